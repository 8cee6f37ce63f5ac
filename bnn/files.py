"""Files that are either whole or as they were, and folders that one process at a time writes to."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, Iterator

from bnn.errors import ExpectedError
from bnn.text import first_line, printable

LOCK = ".lock"
SIMULATION = "Version=simulation"
"""In the head of a bitstream that is the simulated board's."""


def is_simulated(bit: Path) -> bool:
    """Whether a bitstream is the simulated board's."""
    with bit.open("rb") as content:
        return SIMULATION.encode() in content.read(256)


class FileError(ExpectedError):
    """A file cannot be read; one line says which and why."""


def open_file(path: Path) -> IO[bytes]:
    """A file, opened to be read.

    Raises:
        FileError: there is none, it cannot be read, or it is a folder, a pipe or a device, which would never end.
    """
    try:
        if path.exists() and not path.is_file():
            raise FileError(f"{printable(path)}: is {'a folder' if path.is_dir() else 'no file'}")
        return path.open("rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise FileError(f"{printable(path)}: cannot be read ({reason})") from None


def read_file(path: Path, most: int) -> bytes:
    """A file's bytes.

    Raises:
        FileError: as `open_file`, or it holds more than `most` bytes; then none is read.
    """
    with open_file(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > most:
            raise FileError(f"{printable(path)}: holds {size} bytes, expected at most {most}")
        return stream.read(most)


@contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """A file to write: it has a temporary name in its folder, which is made if need be, until all went well.

    What is no plain file, a pipe or a device, is written to as it is.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as out:
            yield out
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=str(path.parent), prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file as `written` does."""
    with written(path) as out:
        out.write(content)


def move(source: Path, target: Path) -> None:
    """Put a file in the place of another, whole at once, from another file system too."""
    try:
        os.replace(str(source), str(target))
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        near = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copy2(str(source), str(near))
        os.replace(str(near), str(target))
        source.unlink()


@contextmanager
def locked(folder: Path, wait: bool = True) -> Iterator[None]:
    """Keep other processes that lock the folder out of it; it is made if need be, the lock ends with the process.

    Args:
        folder: where a file is kept for the lock.
        wait: until another process is done.

    Raises:
        BlockingIOError: another process holds it, and `wait` is false.
    """
    import fcntl  # not on every system that can run a model

    folder.mkdir(parents=True, exist_ok=True)
    with open(str(folder / LOCK), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise BlockingIOError(f"{folder}: another process works in this folder") from None
        yield
