"""`python3 -m bnn.clean FOLDER`: remove what commands make again; what took a person or days to make stays.

Standard library only: it runs without an environment.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import Iterator, List, Optional, Set

from bnn.files import is_simulated
from bnn.text import printable

MADE = ("*.npz", "*.npy", "*.pt", "*.pth", "*.onnx", "*.bit", "*.xsa", "*.card.json", "*.toml")
"""Files that stay: data and models, checkpoints, bitstreams and their `.hwh`, cards, designs."""
CHECKPOINT = "*.pt"
"""A folder that holds one stays as it is: log, curves and data belong to the run."""
MADE_AGAIN = ("test", "synthesis", "demo", "board", "reuse", "page")
"""Folders of builds, tests and caches, where nothing stays."""


def kept(folder: Path) -> Iterator[Path]:
    """The files and whole folders below `folder` that stay."""
    for place in sorted(folder.iterdir()):
        if place.name in MADE_AGAIN and place.is_dir():
            continue
        yield from _kept(place)


def _kept(place: Path) -> Iterator[Path]:
    if place.is_symlink() or not place.is_dir():
        if _made(place):
            yield place
            if place.suffix == ".bit" and place.with_suffix(".hwh").exists():
                yield place.with_suffix(".hwh")
    elif any(place.glob(CHECKPOINT)):
        yield place
    else:
        for inner in sorted(place.iterdir()):
            yield from _kept(inner)


def _made(path: Path) -> bool:
    if path.is_symlink() or not any(path.match(pattern) for pattern in MADE):
        return False
    return path.suffix != ".bit" or not is_simulated(path)


def clean(folder: Path) -> List[Path]:
    """Remove everything below `folder` but what stays; gives that."""
    if not folder.is_dir():
        return []
    stay = list(kept(folder))
    _remove(folder, set(stay))
    return stay


def _remove(folder: Path, stay: Set[Path]) -> None:
    for place in folder.iterdir():
        if place in stay:
            continue
        if place.is_dir() and not place.is_symlink():
            if any(place in path.parents for path in stay):
                _remove(place, stay)
            else:
                shutil.rmtree(str(place))
        else:
            place.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


def main(arguments: Optional[List[str]] = None) -> int:
    """Clean the first folder; with `--all` remove all folders, after a question."""
    parser = argparse.ArgumentParser(prog="python3 -m bnn.clean")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--all", action="store_true", help="everything, after a question")
    parser.add_argument("--yes", action="store_true", help="without a question")
    options = parser.parse_args(arguments)
    try:
        if options.all:
            return _remove_all([folder for folder in options.folders if folder.exists()], options.yes)
        stay = clean(options.folders[0])
    except OSError as error:
        print(f"error: {printable(error.filename)}: {error.strerror}", file=sys.stderr)
        return 1
    if stay:
        print(f"kept {len(stay)}: " + ", ".join(printable(path) for path in stay[:8]) + (", ..." if stay[8:] else ""))
    return 0


def _remove_all(folders: List[Path], sure: bool) -> int:
    stay = [path for folder in folders if not (folder / "pyvenv.cfg").exists() for path in kept(folder)]
    names = " and ".join(printable(folder) for folder in folders)
    if folders and not sure:
        lost = f", with {len(stay)} checkpoints, models, data sets or bitstreams" if stay else ""
        try:
            answer = input(f"remove {names}{lost}? [y/N] ")
        except (EOFError, KeyboardInterrupt):
            answer = ""
        if answer.strip().lower() not in ("y", "yes"):
            print("nothing removed")
            return 1
    for folder in folders:
        if folder.is_symlink():
            os.unlink(str(folder))
        else:
            shutil.rmtree(str(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
