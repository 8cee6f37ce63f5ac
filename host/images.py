"""Images and labels from files: arrays, pictures of any size and format, the CIFAR-10 test set.

Arrays need numpy alone; pictures need Pillow.
"""

from __future__ import annotations

import os
import warnings
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from host.errors import HostError, line

ROOT = Path(__file__).resolve().parent.parent
ARRAYS = (".npy", ".npz")
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
MAX_PIXELS = 64 << 20
"""A picture beyond this is refused before it is decoded."""
MAX_FILE_BYTES = 64 << 20


class Images(NamedTuple):
    """Images uint8 (N, H, W, C), their labels (N,) or None, a name each, and remarks for the user."""

    images: np.ndarray
    labels: np.ndarray | None
    names: list[str]
    remarks: list[str]


def read(paths: list[str], shape: tuple[int, int, int] | None) -> Images:
    """The images of arguments, in order: ``cifar10``, array files, pictures, folders of pictures.

    Args:
        paths: what to read; labels are kept where all of it has them.
        shape: (H, W, C) that pictures are converted to.

    Raises:
        HostError: something cannot be read or holds something else.
    """
    parts: list[Images] = []
    for text in paths:
        path = Path(text)
        if text == "cifar10" and not path.exists():
            parts.append(read_cifar10())
        elif path.is_dir():
            parts.append(read_pictures(list_pictures(path), shape))
        elif path.suffix.lower() in PICTURES:
            parts.append(read_pictures([path], shape))
        else:
            parts.append(read_array(path))
    if not parts:
        raise HostError("no images were given")
    sizes = {part.images.shape[1:] for part in parts if len(part.images)}
    if len(sizes) > 1:
        raise HostError(f"images are of different shapes: {', '.join(map(str, sorted(sizes)))}")
    labels: np.ndarray | None = None
    known = [part.labels for part in parts if part.labels is not None]
    if len(known) == len(parts):
        labels = np.concatenate(known)
    kept = [part for part in parts if len(part.images)] or parts[:1]
    return Images(
        np.concatenate([part.images for part in kept]), labels,
        [name for part in parts for name in part.names], [text for part in parts for text in part.remarks],
    )


def read_array(path: Path) -> Images:
    """Images from an .npy file, or array x and, where there is one, labels y of an .npz file.

    Raises:
        HostError: the file cannot be read or holds something else.
    """
    images, labels = _load(path, ("x", "y"))
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise HostError(f"{path}: holds NaN or infinite values, expected uint8 images")
    if images.ndim != 4 or images.dtype != np.uint8:
        raise HostError(f"{path}: images are {images.dtype.name} {images.shape}, expected uint8 (N, H, W, C)")
    if labels is not None:
        labels = labels.reshape(-1)
        if labels.dtype.kind not in "iu" or len(labels) != len(images):
            raise HostError(
                f"{path}: labels are {labels.dtype.name} {labels.shape}, expected {len(images)} whole numbers"
            )
    return Images(images, labels, [f"{path.name}[{index}]" for index in range(len(images))], [])


def _load(path: Path, keys: tuple[str, str]) -> tuple[np.ndarray, np.ndarray | None]:
    try:
        content = np.load(str(path), allow_pickle=False)
        if isinstance(content, np.ndarray):
            return content, None
        with content as archive:
            if keys[0] not in archive.files:
                raise HostError(f"{path}: holds {', '.join(archive.files) or 'nothing'}, expected array {keys[0]}")
            return archive[keys[0]], archive[keys[1]] if keys[1] in archive.files else None
    except OSError as error:
        raise HostError(f"{path}: cannot be read ({error.strerror or line(error)})") from None
    except (ValueError, EOFError, zipfile.BadZipFile, MemoryError, KeyError) as error:
        raise HostError(f"{path}: is no .npy or .npz file ({line(error)})") from None


def read_cifar10() -> Images:
    """The CIFAR-10 test set: cifar10.npz or the official test_batch.bin, in $BNN_DATA or build/data.

    Raises:
        HostError: the data set is not there, or the file holds something else.
    """
    folders = [Path(os.environ["BNN_DATA"])] if os.environ.get("BNN_DATA") else []
    folders.append(ROOT / "build" / "data")
    for folder in folders:
        for name in ("cifar10.npz", "test_batch.bin", "cifar-10-batches-bin/test_batch.bin"):
            path = folder / name
            if path.is_file():
                images, labels = _load_test_batch(path) if path.suffix == ".bin" else _load(path, ("x_test", "y_test"))
                planes = images.ndim == 4 and images.shape[1:] == (3, 32, 32)
                if not planes or images.dtype != np.uint8 or labels is None or labels.size != len(images):
                    raise HostError(f"{path}: holds no uint8 images x_test (N, 3, 32, 32) with labels y_test")
                images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
                return Images(images, labels.reshape(-1), [f"test[{index}]" for index in range(len(images))], [])
    looked = " and ".join(str(folder) for folder in folders)
    raise HostError(f"cifar10: the test set is not in {looked}; fetch it with make data DATASET=cifar10")


def _load_test_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32) and labels of CIFAR-10's binary version: a label byte, then three planes."""
    content = np.fromfile(str(path), np.uint8)
    if not content.size or content.size % 3073:
        raise HostError(f"{path}: {content.size} bytes, expected a multiple of 3073")
    rows = content.reshape(-1, 3073)
    return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0].astype(np.int64)


def list_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES and path.is_file())


def read_pictures(paths: list[Path], shape: tuple[int, int, int] | None) -> Images:
    """Pictures as images of one shape.

    Raises:
        HostError: as `read_picture`'s, or the shape is unknown.
    """
    if shape is None:
        raise HostError("pictures need a program or a model that says what size they must have")
    images = np.zeros((len(paths), *shape), np.uint8)
    resized: dict[str, int] = {}
    for index, path in enumerate(paths):
        images[index], size = read_picture(path, shape)
        if size != (shape[1], shape[0]):
            resized[f"{size[0]}x{size[1]}"] = resized.get(f"{size[0]}x{size[1]}", 0) + 1
    remarks = []
    if resized:
        sizes = ", ".join(sorted(resized)[:3]) + (", ..." if len(resized) > 3 else "")
        remarks.append(f"resized {sum(resized.values())} pictures ({sizes}) to {shape[1]}x{shape[0]}")
    return Images(images, None, [path.name for path in paths], remarks)


def read_picture(source: Any, shape: tuple[int, int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """A picture, cut to its middle and resized to (H, W, C), and the size (width, height) that it had.

    Args:
        source: a path, or a binary file.
        shape: (H, W, C), C being 1 or 3.

    Raises:
        HostError: it cannot be read, is too large, or there is no Pillow.
    """
    name = source if isinstance(source, Path) else "picture"
    try:
        from PIL import Image
    except ImportError:
        raise HostError(f"{name}: pictures need Pillow (pip install pillow); .npy and .npz do not") from None
    height, width, channels = shape
    if channels not in (1, 3):
        raise HostError(f"{name}: pictures have 1 or 3 channels, the program wants {channels}")
    try:
        if isinstance(source, Path) and source.stat().st_size > MAX_FILE_BYTES:
            raise HostError(f"{name}: {source.stat().st_size} bytes, expected at most {MAX_FILE_BYTES}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(source) as picture:
                size = picture.size
                if size[0] * size[1] > MAX_PIXELS:
                    raise HostError(f"{name}: {size[0]}x{size[1]} pixels, expected at most {MAX_PIXELS} in all")
                converted = picture.convert("L" if channels == 1 else "RGB")
        edge = min(size[0] * height, size[1] * width)  # the largest part of the wanted proportions
        wide, high = max(1, edge // height), max(1, edge // width)
        left, top = (size[0] - wide) // 2, (size[1] - high) // 2
        if size != (width, height):
            box = (left, top, left + wide, top + high)
            filters: Any = getattr(Image, "Resampling", Image)  # where it is depends on the version
            converted = converted.resize((width, height), filters.LANCZOS, box=box)
        return np.asarray(converted, np.uint8).reshape(shape), size
    except HostError:
        raise
    except OSError as error:
        raise HostError(f"{name}: cannot be read ({error.strerror or line(error)})") from None
    except Exception as error:  # decoders of damaged files raise many kinds
        raise HostError(f"{name}: is no picture ({line(error)})") from None
