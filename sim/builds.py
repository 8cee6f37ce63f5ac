"""Folders of builds: one for each set of sources and options, so that builds side by side never meet."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from bnn.files import LOCK, locked

KEPT = 4
"""Builds that stay in a folder; the ones not used for longest go."""
NAME = 16
"""Hexadecimal digits in the name of a build's folder."""


@contextmanager
def build_folder(folder: Path, digest: str) -> Iterator[Path]:
    """The folder of one build, locked against other processes; a process that builds the same waits.

    Args:
        folder: of all builds of a kind.
        digest: hexadecimal, of all that the build is made from.
    """
    place = folder.resolve() / digest[:NAME]
    with locked(place):
        os.utime(str(place))
        _forget_old(place)
        yield place


def _forget_old(used: Path) -> None:
    """Remove the oldest builds beside the one in use, but none that is being made."""
    others = [path for path in used.parent.iterdir() if path != used and (path / LOCK).is_file()]
    others.sort(key=lambda path: path.stat().st_mtime)
    for path in others[: max(0, len(others) + 1 - KEPT)]:
        try:
            with locked(path, wait=False):
                shutil.rmtree(path)
        except OSError:  # in use, or gone
            continue
