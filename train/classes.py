"""Class names of networks that others trained: from what came with the parameters or was said, never from a default."""

from __future__ import annotations

from pathlib import Path

from bnn.files import FileError, read_file
from bnn.text import printable
from train.data import SOURCES, DataError

FILE = "classes.txt"
"""Beside the parameters in BNN-PYNQ's folders: a name a line."""
MAX_BYTES = 4 << 20


def read_names(path: Path) -> tuple[str, ...]:
    """The names in a text file, one a line; blank lines do not count.

    Raises:
        DataError: it cannot be read, is too large, or names none.
    """
    try:
        text = read_file(path, MAX_BYTES).decode("utf-8-sig", "surrogateescape")
    except FileError as error:
        raise DataError(f"class names: {error}") from None
    names = tuple(printable(line.strip()) for line in text.splitlines() if line.strip())
    if not names:
        raise DataError(f"{path}: names no class, expected one a line")
    return names


def find(
    folder: Path, given: str | None, dataset: str | None, shape: tuple[int, int, int]
) -> tuple[tuple[str, ...], str]:
    """Class names and data set of the network whose parameters a folder holds.

    Args:
        folder: may hold classes.txt.
        given: names with commas, or a text file of them; goes before the folder's.
        dataset: its names are taken where there are no others; named in the model.
        shape: (H, W, C) of the images.

    Returns:
        the names, and `dataset`, else the known data set of that shape with just these names, else "".

    Raises:
        DataError: no names anywhere, or another number than the data set has.
    """
    if given is not None:
        path = Path(given)
        names = (
            read_names(path)
            if path.is_file()
            else tuple(printable(name.strip()) for name in given.split(",") if name.strip())
        )
        if not names:
            raise DataError(f"--classes '{given}': names no class, expected names with commas or a file of them")
    elif (folder / FILE).exists():
        names = read_names(folder / FILE)
    elif dataset is not None:
        names = SOURCES[dataset].classes
    else:
        raise DataError(f"{folder / FILE}: is missing and nothing else names the classes: give --classes or --dataset")
    if dataset is not None:
        if len(names) != len(SOURCES[dataset].classes):
            raise DataError(f"{len(names)} classes, {dataset} has {len(SOURCES[dataset].classes)}")
        return names, dataset
    height, width, channels = shape
    for name, source in SOURCES.items():
        alike = [left.casefold() for left in names] == [right.casefold() for right in source.classes]
        if alike and source.shapes["test"][1:] == (channels, height, width):
            return names, name
    return names, ""
