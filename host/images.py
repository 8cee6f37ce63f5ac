"""Images and labels from arguments of the command: arrays, pictures of any size and format, the CIFAR-10 test set.

Arrays need numpy alone; pictures need Pillow. How a picture becomes pixels is `bnn.images`' affair.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bnn import images as reader
from bnn.archives import Archive, ArchiveError
from bnn.images import ImageError
from bnn.paths import BUILD
from bnn.text import printable

from .errors import HostError

LISTED = 5
"""Files that a message names."""


KEPT_BYTES = 64 << 20
"""Pixels of pictures that are kept in memory; of more, each picture is read again when its turn comes."""


def count_of(size: int, shape: Sequence[int]) -> int:
    """Images of `shape` whose pixels take at most `size` bytes, or one that takes more."""
    return max(1, size // math.prod(shape))


class Pictures:
    """Pictures as images uint8 (N, H, W, C) that are read when they are asked for.

    It has an array's `shape`, `ndim`, `dtype` and length; a slice or an array of numbers gives some of them, and
    `numpy.asarray` their pixels.

    Args:
        paths: the pictures, which were read before.
        shape: (H, W, C) that they are converted to.
    """

    ndim = 4
    dtype = np.dtype(np.uint8)

    def __init__(self, paths: Sequence[Path], shape: tuple[int, int, int]) -> None:
        self.paths, self._shape = paths, shape

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the array that they would be."""
        return len(self.paths), *self._shape

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, chosen: slice | np.ndarray) -> Pictures:
        if isinstance(chosen, slice):
            return Pictures(self.paths[chosen], self._shape)
        return Pictures([self.paths[index] for index in chosen], self._shape)

    def __array__(self, dtype: Any = None) -> np.ndarray:
        """Their pixels.

        Raises:
            HostError: a picture cannot be read any more.
        """
        pixels = np.empty(self.shape, np.uint8)
        for index, path in enumerate(self.paths):
            pixels[index] = read_picture(path, self._shape)[0]
        return pixels if dtype is None else pixels.astype(dtype)


class Images(NamedTuple):
    """Images uint8 (N, H, W, C), their labels (N,) or None, a name each, and remarks for the user."""

    images: np.ndarray | Pictures
    labels: np.ndarray | None
    names: Sequence[str]
    remarks: list[str]


class Numbered(Sequence[str]):
    """The names `name[0]`, `name[1]`, ... of an array's images, made when they are asked for."""

    def __init__(self, name: str, count: int, start: int = 0) -> None:
        self._name, self._count, self._start = name, count, start

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, at: Any) -> Any:
        numbers = range(self._start, self._start + self._count)[at]
        if isinstance(numbers, range):
            return Numbered(self._name, len(numbers), numbers.start)
        return f"{self._name}[{numbers}]"


def read(
    paths: list[str],
    shape: tuple[int, int, int] | None,
    classes: list[str] | None = None,
    skip_unreadable: bool = False,
) -> Images:
    """The images of arguments, in order: `cifar10`, array files, pictures, folders of pictures.

    A folder without pictures may hold one folder a class, named as the class: its pictures then have labels.

    Args:
        paths: what to read; labels are kept where all of it has them.
        shape: (H, W, C) that pictures are converted to.
        classes: names of the network's classes, where they are known.
        skip_unreadable: leave out pictures that cannot be read, with a remark.

    Raises:
        HostError: something cannot be read, holds something else or nothing.
    """
    parts: list[Images] = []
    for text in paths:
        path = Path(text)
        if text == "cifar10" and not path.exists():
            parts.append(read_cifar10())
        elif path.is_dir():
            parts.append(read_folder(path, shape, classes, skip_unreadable))
        elif reader.is_picture(path):
            parts.append(read_pictures([path], shape, skip_unreadable))
        else:
            parts.append(read_array(path))
    if not parts:
        raise HostError("no images were given")
    sizes = {part.images.shape[1:] for part in parts}
    if len(sizes) > 1:
        raise HostError(f"images are of different shapes: {', '.join(map(str, sorted(sizes)))}")
    if len(parts) == 1:
        return parts[0]
    labels: np.ndarray | None = None
    known = [part.labels for part in parts if part.labels is not None]
    if len(known) == len(parts):
        labels = np.concatenate(known)
    every = [part.images for part in parts]
    later = [item.paths for item in every if isinstance(item, Pictures)]
    images: np.ndarray | Pictures
    if len(later) == len(every):
        height, width, channels = every[0].shape[1:]
        images = Pictures([path for paths in later for path in paths], (height, width, channels))
    else:
        images = np.concatenate([np.asarray(item) for item in every])
    return Images(
        images,
        labels,
        [name for part in parts for name in part.names],
        [text for part in parts for text in part.remarks],
    )


def read_array(path: Path) -> Images:
    """Images from an .npy file, in which they stay, or array x and, where there is one, labels y of an .npz file.

    Raises:
        HostError: the file cannot be read or holds something else.
    """
    images, labels = _host_error(lambda: reader.read_array(path, mapped=True))
    return Images(images, labels, Numbered(printable(path.name), len(images)), [])


def read_cifar10() -> Images:
    """The CIFAR-10 test set: cifar10.npz or the official test_batch.bin, in $BNN_DATA or build/data.

    Raises:
        HostError: the data set is not there, or the file holds something else.
    """
    folders = [Path(os.environ["BNN_DATA"])] if os.environ.get("BNN_DATA") else []
    folders.append(BUILD / "data")
    for folder in folders:
        for name in ("cifar10.npz", "test_batch.bin", "cifar-10-batches-bin/test_batch.bin"):
            path = folder / name
            if path.is_file():
                images, labels = _load_test_batch(path) if path.suffix == ".bin" else _load_test_set(path)
                planes = images.ndim == 4 and images.shape[1:] == (3, 32, 32)
                if not planes or images.dtype != np.uint8 or labels.size != len(images):
                    raise HostError(f"{path}: holds no uint8 images x_test (N, 3, 32, 32) with labels y_test")
                images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
                return Images(images, labels.reshape(-1), Numbered("test", len(images)), [])
    looked = " and ".join(str(folder) for folder in folders)
    raise HostError(f"cifar10: the test set is not in {looked}; fetch it with bnn data cifar10")


def _load_test_set(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32) and labels as `bnn data` keeps them."""
    try:
        with Archive(path) as archive:
            return archive.read("x_test"), archive.read("y_test")
    except ArchiveError as error:
        raise HostError(str(error)) from None


def _load_test_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32) and labels of CIFAR-10's binary version: a label byte, then three planes."""
    content = np.fromfile(str(path), np.uint8)
    if not content.size or content.size % 3073:
        raise HostError(f"{path}: {content.size} bytes, expected a multiple of 3073")
    rows = content.reshape(-1, 3073)
    return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0].astype(np.int64)


def read_folder(
    folder: Path, shape: tuple[int, int, int] | None, classes: list[str] | None, skip_unreadable: bool = False
) -> Images:
    """The pictures of a folder; where it has none, those in its sub-folders, each named as a class, with labels.

    Raises:
        HostError: there are none, a sub-folder with pictures is no class, or as `read_pictures`'.
    """
    pictures = _host_error(lambda: reader.list_pictures(folder))
    below = _host_error(
        lambda: {
            path.name: [file for file in reader.list_files(path) if reader.is_picture(file)]
            for path in reader.list_folders(folder)
        }
    )
    below = {name: paths for name, paths in below.items() if paths}
    named = ", ".join(printable(name) for name in list(below)[:LISTED]) + (", ..." if len(below) > LISTED else "")
    where = printable(folder)
    if pictures:
        found = read_pictures(pictures, shape, skip_unreadable)
        if below:
            found.remarks.append(f"{where}: took its pictures, not those of its sub-folders {named}")
        return found
    if not below:
        raise HostError(f"{where}: holds no pictures ({' '.join(reader.PICTURES)})")
    numbers = {name: number for number, name in enumerate(classes or [])}
    unknown = [printable(name) for name in below if printable(name) not in numbers]
    if unknown:
        what = "of which no names are known: give --model" if classes is None else f"of which {unknown[0]} is none"
        raise HostError(f"{where}: holds no pictures; its sub-folders ({named}) may be classes, {what}")
    every = [(name, path) for name, paths in below.items() for path in paths]
    return read_pictures(
        [path for _, path in every],
        shape,
        skip_unreadable,
        names=[printable(path.relative_to(folder)) for _, path in every],
        labels=[numbers[printable(name)] for name, _ in every],
    )


def read_pictures(
    paths: list[Path],
    shape: tuple[int, int, int] | None,
    skip_unreadable: bool = False,
    names: list[str] | None = None,
    labels: list[int] | None = None,
) -> Images:
    """Pictures as images of one shape; by default named as their files, without labels.

    Every one is read, so that those that cannot be are known before anything runs; the pixels of many are not kept.

    Raises:
        HostError: pictures cannot be read (all of them are counted, the first few named), or the shape is unknown.
    """
    if shape is None:
        raise HostError("pictures need a program or a model that says what size they must have")
    keep = len(paths) * math.prod(shape) <= KEPT_BYTES
    images = np.zeros((len(paths) if keep else 0, *shape), np.uint8)
    resized: dict[str, int] = {}
    bad: dict[int, str] = {}
    for index, path in enumerate(paths):
        try:
            pixels, size = reader.read_picture(path, shape)
        except ImageError as error:
            bad[index] = str(error)
            continue
        if keep:
            images[index] = pixels
        if size != (shape[1], shape[0]):
            resized[f"{size[0]}x{size[1]}"] = resized.get(f"{size[0]}x{size[1]}", 0) + 1
    remarks = []
    if bad:
        first = "; ".join(list(bad.values())[:LISTED]) + ("; ..." if len(bad) > LISTED else "")
        if len(paths) == 1:
            raise HostError(first)
        if not skip_unreadable:
            raise HostError(
                f"{len(bad)} of {len(paths)} pictures cannot be used (--skip-unreadable leaves them out): {first}"
            )
        if len(bad) == len(paths):
            raise HostError(f"none of {len(paths)} pictures can be read: {first}")
        remarks.append(f"left out {len(bad)} of {len(paths)} pictures: {first}")
    if resized:
        sizes = ", ".join(sorted(resized)[:3]) + (", ..." if len(resized) > 3 else "")
        remarks.append(f"resized {sum(resized.values())} pictures ({sizes}) to {shape[1]}x{shape[0]}")
    kept = [index for index in range(len(paths)) if index not in bad]
    names = [printable(path.name) for path in paths] if names is None else names
    return Images(
        images[kept] if keep else Pictures([paths[index] for index in kept], shape),
        None if labels is None else np.array(labels)[kept],
        [names[index] for index in kept],
        remarks,
    )


def list_pictures(folder: Path) -> list[Path]:
    """As `bnn.images.list_pictures`."""
    return reader.list_pictures(folder)


def read_picture(source: Any, shape: tuple[int, int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """As `bnn.images.read_picture`.

    Raises:
        HostError: it cannot be read, is too large, or there is no Pillow.
    """
    found: tuple[np.ndarray, tuple[int, int]] = _host_error(lambda: reader.read_picture(source, shape))
    return found


def _host_error(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except ImageError as error:
        raise HostError(str(error)) from None
    except OSError as error:
        raise HostError(f"{printable(error.filename or '')}: cannot be read ({error.strerror})") from None
