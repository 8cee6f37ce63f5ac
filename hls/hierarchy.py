"""`bnn hierarchy`: the hierarchy of the RTL core and the table of its cells, read from the sources.

Both stand in docs/rtl_walkthrough.md between markers.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from bnn import generated
from bnn.command import Command
from bnn.tables import marked
from hls import sources

ROOT = Path(__file__).resolve().parent.parent
PAGE = Path("docs/rtl_walkthrough.md")
CELLS = "common"
"""The folder of modules that several parts use; the hierarchy leaves them out."""


def _sources() -> dict[str, Path]:
    return {path.stem: path for path in sources.files() if not path.stem.endswith(sources.PACKAGE)}


def summary(module: str) -> str:
    """The first sentence of a module's header comment, without its full stop."""
    lines = _sources()[module].read_text(encoding="utf-8").splitlines()
    comment = " ".join(
        line[2:].strip() for line in lines[: next(i for i, line in enumerate(lines) if line.rstrip() in ("//", ""))]
    )
    return re.split(r"\.(?: |$)|: ", comment)[0]


def instances(module: str) -> list[str]:
    """The modules that a module instantiates, each once, in the order of the source."""
    known = _sources()
    text = re.sub(r"//.*", "", known[module].read_text(encoding="utf-8"))
    found = re.findall(r"^ *(bnn_\w+) +(?:#\(|u_\w+)", text, re.MULTILINE)
    return [name for name in dict.fromkeys(found) if name in known and name != module]


def tree(module: str = sources.TOP, depth: int = 0) -> list[str]:
    """The hierarchy below a module as indented lines: name, folder, what it does."""
    path = _sources()[module]
    folder = "" if path.parent == sources.RTL else f"{path.parent.name}/"
    lines = [f"{'  ' * depth + module:<34}{folder:<9} {summary(module)}"]
    for child in instances(module):
        if _sources()[child].parent.name != CELLS:
            lines += tree(child, depth + 1)
    return lines


def cells() -> str:
    """A table of the cells that several modules use."""
    rows = ["| cell | what | used by |", "|---|---|---|"]
    for name, path in _sources().items():
        if path.parent.name == CELLS:
            users = [f"`{user}`" for user in _sources() if name in instances(user)]
            rows.append(f"| `{name}` | {summary(name)} | {', '.join(users)} |")
    return "\n".join(rows)


def page(text: str) -> str:
    """The page with hierarchy and cells as the sources have them."""
    text = marked(text, "hierarchy", "\n".join(["```", *tree(), "```"]))
    return marked(text, "cells", cells())


def _options(parser: argparse.ArgumentParser) -> None:
    generated.add_option(parser)


def _run(options: argparse.Namespace) -> int:
    path = ROOT / PAGE
    return generated.put({path: page(path.read_text(encoding="utf-8"))}, options.check, "bnn hierarchy")


main = Command("hierarchy", _options, _run, "--check")


if __name__ == "__main__":
    sys.exit(main())
