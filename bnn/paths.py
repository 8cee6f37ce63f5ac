"""Paths that makefiles take, and a folder of the user's own for temporary files.

GNU Make splits names at spaces, and Verilator writes letters beyond ASCII into its makefiles as octal numbers.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from bnn.errors import ExpectedError
from bnn.text import printable

_ROOT = Path(__file__).resolve().parent.parent
BUILD = _ROOT / "build" if (_ROOT / "pyproject.toml").is_file() else Path("build")
"""Where commands put what they make: in the checkout, else in the current folder; an installation may be read-only."""
PLAIN = r"[\w@%+,./-]*"
"""What a path may consist of, ASCII letters only."""


class PathError(ExpectedError):
    """A path cannot be given a plain name, or a folder is not this user's."""


def is_plain(path: Path) -> bool:
    """Whether make and the compilers' flags take an absolute path as it is."""
    return re.fullmatch(PLAIN, str(path), re.ASCII) is not None


def plain(path: Path) -> Path:
    """The path itself, absolute, where it is plain; else the same file through a link in a folder of this user's.

    The link is to the folder that holds it; it stays, as what was built under it names it.

    Raises:
        PathError: the name of the file itself is not plain, or that of the folder for temporary files.
    """
    path = Path(os.path.abspath(str(path)))
    if is_plain(path):
        return path
    if not is_plain(Path(path.name)):
        return plain(path / "x").parent
    links = private_folder() / "links"
    if not is_plain(links):
        raise PathError(f"{printable(links)}: Verilator's makefiles do not take this name; set TMPDIR to a plain one")
    links.mkdir(exist_ok=True)
    link = links / hashlib.sha256(os.fsencode(str(path.parent))).hexdigest()[:16]
    try:
        link.symlink_to(path.parent, target_is_directory=True)
    except FileExistsError:  # made before, of the same folder
        pass
    return link / path.name


@contextmanager
def build_place(folder: Path) -> Iterator[Path]:
    """An empty folder for make to build in: `folder` where its path is plain, else a temporary one.

    make asks for the folder's own name, past every link. Either is gone afterwards.

    Raises:
        PathError: the name of the folder for temporary files is not plain.
    """
    if is_plain(Path(os.path.realpath(str(folder)))):
        place = folder
        shutil.rmtree(str(place), ignore_errors=True)
        place.mkdir(parents=True)
    else:
        place = Path(tempfile.mkdtemp(dir=str(plain(private_folder()))))
    try:
        yield place
    finally:
        shutil.rmtree(str(place), ignore_errors=True)


def shared_folder() -> Path:
    """The folder for temporary files that this user's processes share, and no one else: what lies there is run.

    Raises:
        PathError: others may write to it.
        OSError: it cannot be made.
    """
    folder = Path(tempfile.gettempdir()) / f"bnn-fpga-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PathError(f"{folder}: is not a folder of this user alone")
    return folder


def private_folder() -> Path:
    """The shared folder, or where it is not to be had one of this process's own."""
    try:
        return shared_folder()
    except (PathError, OSError):
        return Path(tempfile.mkdtemp(prefix="bnn-fpga-"))
