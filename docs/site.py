"""Hooks of mkdocs: pages that lie beside the code, links between pages as the repository has them, and the commands."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from bnn import command
from bnn.errors import ExpectedError

ROOT = Path(__file__).resolve().parent.parent
BESIDE = {
    "train/README.md": "train.md",
    "models/README.md": "models.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "README.md": "index.md",
}
"""Files of the repository, and the pages that they are; the first page takes the place of the README."""
COMMANDS = "commands.md"


def commands() -> str:
    """The page about the commands: what each says with --help."""
    lines = [
        "# Commands",
        "",
        "Every command says in one line what is wrong, with status 1; `--json` prints results for programs.",
    ]
    for group, entries in command.GROUPS.items():
        lines += ["", f"## {group[0].upper()}{group[1:]}"]
        for name, entry in entries.items():
            lines += ["", f"### bnn {name}", "", f"{entry.summary[0].upper()}{entry.summary[1:]}."]
            try:
                lines += ["", "```text", command.find(name).parser().format_help().strip(), "```"]
            except ExpectedError:  # what it needs is not installed here
                continue
    return "\n".join(lines) + "\n"


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are not in docs/."""
    for source, page in BESIDE.items():
        if page != "index.md":
            files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    files.append(File.generated(config, COMMANDS, content=commands()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links to files of the repository into links to pages; the text alone where a file is no page."""
    source = next((name for name, made in BESIDE.items() if made == page.file.src_uri and made != "index.md"), None)
    folder = os.path.dirname(source or f"docs/{page.file.src_uri}")

    def link(found: re.Match[str]) -> str:
        text, target = found.groups()
        name, mark, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target) or not name:
            return found[0]
        path = os.path.normpath(os.path.join(folder, name))
        if path in BESIDE:
            return f"[{text}]({BESIDE[path]}{mark}{anchor})"
        if path.startswith("docs/") and (ROOT / path).is_file():
            return f"[{text}]({os.path.relpath(path, 'docs')}{mark}{anchor})"
        if (ROOT / path).exists():
            return text if text.startswith("`") else f"{text} (`{path}`)"
        return found[0]  # mkdocs says that it leads nowhere

    return re.sub(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)", link, markdown)
