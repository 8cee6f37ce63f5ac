"""Arrays from `.npz` and `.npy` files of strangers.

numpy's own reader believes what a file says of its sizes, and lets through whatever zipfile, zlib and its parser raise.
Here sizes are compared with the file's before anything is allocated, and all that can go wrong is an `ArchiveError`. No
array is unpickled.
"""

from __future__ import annotations

import ast
import errno
import io
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Callable, Dict, Optional, Tuple, Type, TypeVar

import numpy as np

from bnn.errors import ExpectedError
from bnn.files import FileError, open_file
from bnn.text import first_line, printable

MAGIC = b"\x93NUMPY"
MAX_HEADER = 10_000
"""Bytes of an array's description, as numpy's own limit."""
FREE_BYTES = 64 << 20
MAX_RATIO = 256
"""An array beyond FREE_BYTES may be so many times as large as what it is compressed to."""
CHUNK = 1 << 20
Result = TypeVar("Result")
KINDS = "biufcSU"
"""Kinds of numbers and text that are read: what they mean does not depend on code."""


class ArchiveError(ExpectedError):
    """A file or an array in it cannot be read; one line says which and why."""


@dataclass(frozen=True)
class Layout:
    """What a file says of an array: its type, its shape, the order of its axes, bytes before and of its content."""

    dtype: np.dtype
    shape: Tuple[int, ...]
    fortran: bool
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{describe(self.dtype)} {self.shape}"


def describe(dtype: np.dtype) -> str:
    """The name of a type, or where it is not in this machine's byte order what numpy writes for it."""
    return dtype.name if dtype.isnative else dtype.str


def _layout(stream: IO[bytes]) -> Layout:
    """The description at the start of an .npy file.

    Raises:
        ArchiveError: it is none.
    """
    start = stream.read(8)
    if start[:6] != MAGIC or len(start) < 8 or start[6] not in (1, 2, 3):
        raise ArchiveError("is no array, expected .npy of version 1 to 3")
    wide = 2 if start[6] == 1 else 4
    length = int.from_bytes(stream.read(wide), "little")
    if length > MAX_HEADER:
        raise ArchiveError(f"a description of {length} bytes, expected at most {MAX_HEADER}")
    text = stream.read(length)
    try:
        fields = ast.literal_eval(text.decode("latin-1" if start[6] < 3 else "utf-8").strip())
        descr, fortran, shape = fields["descr"], fields["fortran_order"], fields["shape"]
        if not (type(fortran) is bool and type(shape) is tuple and len(shape) <= 32):
            raise ValueError
        if not all(type(edge) is int and edge >= 0 for edge in shape):
            raise ValueError
        dtype = np.dtype(descr) if type(descr) is str else None
    except Exception:  # the parser and numpy raise many kinds
        raise ArchiveError("its description is damaged") from None
    if dtype is None or dtype.kind not in KINDS or dtype.names or dtype.subdtype or not dtype.itemsize:
        raise ArchiveError(f"holds {printable(descr)[:40]}, expected numbers or text")
    size = dtype.itemsize
    for edge in shape:
        size *= edge
    return Layout(dtype, shape, fortran, 8 + wide + length, size)


def _content(stream: IO[bytes], layout: Layout) -> np.ndarray:
    """The array behind a description that was read."""
    content = np.empty(layout.size, np.uint8)
    at = 0
    while at < layout.size:
        part = stream.read(min(CHUNK, layout.size - at))
        if not part:
            raise ArchiveError(f"ends after {at} of {layout.size} bytes")
        content[at : at + len(part)] = np.frombuffer(part, np.uint8)
        at += len(part)
    if stream.read(1):  # also makes zipfile compare the checksum
        raise ArchiveError("goes on behind its content")
    if layout.dtype.kind == "U" and layout.size:
        letters = content.view(layout.dtype.str[0] + "u4")
        if letters.max() > sys.maxunicode:
            raise ArchiveError(f"holds letter {letters.max()}, expected at most {sys.maxunicode}")
    return content.view(layout.dtype).reshape(layout.shape, order="F" if layout.fortran else "C")


class Archive:
    """The arrays of an `.npz` file, by name; a context manager.

    Raises:
        ArchiveError: there is no such file, or it is no archive.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = _open(self.path)
        self._entries: Dict[str, zipfile.ZipInfo] = {}
        try:
            self._bytes = self._file.seek(0, io.SEEK_END)
            self._zip = zipfile.ZipFile(self._file)
            for entry in self._zip.infolist():
                if entry.filename.endswith(".npy"):
                    self._entries[entry.filename[:-4]] = entry
        except Exception as error:  # zipfile and struct raise many kinds
            self.close()
            raise ArchiveError(f"{printable(self.path)}: is no .npz file ({first_line(error)})") from None

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def names(self) -> Tuple[str, ...]:
        """The arrays, in the file's order."""
        return tuple(self._entries)

    def layout(self, name: str) -> Layout:
        """What the file says of an array; nothing is allocated.

        Raises:
            ArchiveError: it is missing, damaged, or said to be larger than the file can hold.
        """
        return self._of(name, self._layout)

    def read(self, name: str) -> np.ndarray:
        """An array.

        Raises:
            ArchiveError: as `layout`'s, or its content is damaged.
        """
        return self._of(name, self._read)

    def _of(self, name: str, call: Callable[[zipfile.ZipInfo], Result]) -> Result:
        where = f"{printable(self.path)}: array {printable(name)}"
        entry = self._entries.get(name)
        if entry is None:
            held = ", ".join(printable(other)[:40] for other in self.names[:8]) or "nothing"
            raise ArchiveError(f"{where}: is missing, the file holds {held}{', ...' if len(self.names) > 8 else ''}")
        try:
            return call(entry)
        except MemoryError:
            raise ArchiveError(f"{where}: {entry.file_size} bytes do not fit the memory") from None
        except Exception as error:  # zipfile, zlib, struct and numpy raise many kinds
            raise ArchiveError(f"{where}: cannot be read ({first_line(error)})") from None

    def _layout(self, entry: zipfile.ZipInfo) -> Layout:
        if entry.flag_bits & 1:
            raise ArchiveError("has a password")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ArchiveError(f"compression method {entry.compress_type}, expected none or deflate")
        if entry.compress_size > self._bytes:
            raise ArchiveError(f"{entry.compress_size} bytes in a file of {self._bytes}")
        if entry.file_size > max(FREE_BYTES, MAX_RATIO * entry.compress_size):
            raise ArchiveError(f"{entry.file_size} bytes from {entry.compress_size} compressed ones")
        with self._zip.open(entry) as stream:
            layout = _layout(stream)
        if layout.offset + layout.size != entry.file_size:
            raise ArchiveError(f"{layout} in {entry.file_size} bytes")
        return layout

    def _read(self, entry: zipfile.ZipInfo) -> np.ndarray:
        layout = self._layout(entry)
        with self._zip.open(entry) as stream:
            stream.read(layout.offset)
            return _content(stream, layout)


def read_npy(path: str | Path, mapped: bool = False) -> np.ndarray:
    """The array of an `.npy` file.

    Args:
        path: the file.
        mapped: leave it in the file, whose parts are read as they are looked at; it must stay as it is meanwhile.

    Raises:
        ArchiveError: there is no such file, it is damaged, or holds neither numbers nor text.
    """
    path = Path(path)
    with _open(path) as stream:
        try:
            size = stream.seek(0, io.SEEK_END)
            stream.seek(0)
            layout = _layout(stream)
            if layout.offset + layout.size != size:
                raise ArchiveError(f"{layout} in {size} bytes")
            if mapped and layout.size:
                order: Any = "F" if layout.fortran else "C"
                return np.memmap(stream, layout.dtype, "r", layout.offset, layout.shape, order)
            return _content(stream, layout)
        except Exception as error:
            if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
                raise ArchiveError(f"{printable(path)}: does not fit the memory") from None
            raise ArchiveError(f"{printable(path)}: is no .npy file ({first_line(error)})") from None


def _open(path: Path) -> IO[bytes]:
    try:
        return open_file(path)
    except FileError as error:
        raise ArchiveError(str(error)) from None


def first_bytes(path: str | Path, count: int) -> bytes:
    """The first bytes of a file, fewer where it ends before.

    Raises:
        ArchiveError: there is no such file.
    """
    with _open(Path(path)) as stream:
        return stream.read(count)
