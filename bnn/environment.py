"""`python3 -m bnn.environment .venv`: a virtual environment of a Python that fits, made anew where it does not.

Standard library only, and any Python from 3.7 on: it is what runs before there is an environment.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List, NamedTuple, Optional, Tuple

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = ROOT / "pyproject.toml"
_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"

Version = Tuple[int, int]


class Range(NamedTuple):
    """The versions of Python that fit: from `low` to below `end`."""

    low: Version
    end: Version

    def __contains__(self, version: object) -> bool:
        return isinstance(version, tuple) and self.low <= version[:2] < self.end

    def __str__(self) -> str:
        return f"{text(self.low)} to {text((self.end[0], self.end[1] - 1))}"

    def names(self) -> List[str]:
        """Programs to look for, the newest version first."""
        return [f"python3.{minor}" for minor in range(self.end[1] - 1, self.low[1] - 1, -1)]


def text(version: Version) -> str:
    """As `3.12`."""
    return ".".join(map(str, version[:2]))


def parse(requirement: str) -> Range:
    """The range of a `requires-python` as `>=3.10,<3.13`."""
    found = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", requirement.replace(" ", ""))
    assert found is not None, requirement
    return Range((3, int(found.group(1))), (3, int(found.group(2))))


def supported() -> Range:
    """The range that the project's settings give."""
    found = re.search(r'^requires-python = "(.*)"$', SETTINGS.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None, SETTINGS
    return parse(found.group(1))


def version_of(python: Path) -> Optional[Version]:
    """The version of a Python, None where it does not start."""
    try:
        done = subprocess.run([str(python), "-c", _VERSION], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        major, minor = done.stdout.decode().strip().split(".")
        return int(major), int(minor)
    except (OSError, ValueError):
        return None


def choose(wanted: Range) -> Optional[Path]:
    """This Python where it fits, else the newest on PATH that does; None if there is none."""
    if sys.version_info[:2] in wanted:
        return Path(sys.executable)
    for name in wanted.names():
        found = shutil.which(name)
        if found and version_of(Path(found)) in wanted:
            return Path(found)
    return None


def prepare(folder: Path) -> str:
    """See to it that `folder` is an environment of a Python that fits; gives what is wrong, "" for nothing."""
    wanted = supported()
    found = version_of(folder / "bin" / "python")
    if found in wanted:
        return ""
    if folder.is_symlink() and found is not None:
        return f"{folder}: is a link to an environment of Python {text(found)}, needs {wanted}: remove the link"
    python = choose(wanted)
    if python is None:
        here = f"{sys.executable} is Python {text(sys.version_info[:2])}"
        return f"{here}, needs {wanted}: install one of {', '.join(wanted.names())}, or say make env PYTHON=/path/to/it"
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        if any(folder.iterdir()) and not (folder / "pyvenv.cfg").is_file():
            return f"{folder}: is no virtual environment, and is left alone: move it away"
        was = f"of Python {text(found)}, needs {wanted}" if found else "of a Python that does not start"
        print(f"{folder}: {was}; made anew with {python}", file=sys.stderr)
        shutil.rmtree(str(folder))
    done = subprocess.run(
        [str(python), "-m", "venv", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=_plain()
    )
    if done.returncode:
        shutil.rmtree(str(folder), ignore_errors=True)
        if b"ensurepip" in done.stdout:
            return f"{python}: cannot make environments: install its package venv, as apt install python3-venv"
        lines = done.stdout.decode("utf-8", "replace").strip().splitlines() or [f"exit status {done.returncode}"]
        return f"{python} -m venv {folder}: {lines[-1]}"
    return ""


def _plain() -> "dict[str, str]":
    """The environment without what would lead another Python to the packages of this one."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONPATH")}


def main(arguments: Optional[List[str]] = None) -> int:
    """Prepare the folder that the first argument names."""
    folder = Path((sys.argv[1:] if arguments is None else arguments)[0])
    try:
        wrong = prepare(folder)
    except OSError as error:
        wrong = f"{error.filename or folder}: {error.strerror or error}"
    if wrong:
        print(f"error: {wrong}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
