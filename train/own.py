"""Own data: a folder of class folders with images, or an ``.npz`` file.

Folder
    ``DATA/CLASS/image.png`` ..., any size and any format that Pillow reads. Each image is scaled so that its
    shorter side fits and its middle is cut out. Grey where all images are, else RGB. With ``DATA/train/CLASS`` and
    ``DATA/test/CLASS`` the split is given.

Archive
    ``x`` uint8 (N, H, W, C) or (N, H, W) and ``y`` integers (N,); ``classes``, the names, may be there. With
    ``x_train``, ``y_train``, ``x_test``, ``y_test`` the split is given.

A tenth of each class is for the test (unless given) and a tenth of the rest validates; who goes where depends on the
data only. What was read is kept as ``data.npz`` beside the checkpoint, where the export finds it.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bnn.files import write_atomically
from bnn.geometry import walk
from bnn.model import MAX_CHANNELS
from bnn.networks import Network
from train.data import Arrays, DataError, Dataset

PREFIX = "own:"
FILE = "data.npz"
MIN_IMAGES = 10
MAX_CLASSES = 256
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")


@dataclass(frozen=True)
class OwnData:
    """``name`` is ``own:`` and the data's checksum; ``training`` and ``validation`` are parts of ``x_train``."""

    name: str
    classes: tuple[str, ...]
    dataset: Dataset
    training: Arrays
    validation: Arrays


def _read_image(path: Path, size: int) -> np.ndarray:
    """uint8 (size, size) if grey, else (size, size, 3)."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            image = ImageOps.exif_transpose(image)
            image = image.convert("L" if image.mode in ("1", "L", "LA", "I;16") else "RGB")
            scaled: np.ndarray = np.asarray(ImageOps.fit(image, (size, size)))
            return scaled
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{path}: image cannot be read ({str(error).splitlines()[0][:80]})") from None


def _read_classes(folder: Path, classes: tuple[str, ...], size: int) -> tuple[list[np.ndarray], list[int]]:
    images, labels = [], []
    for label, name in enumerate(classes):
        place = folder / name
        if not place.is_dir():
            raise DataError(f"{place}: folder is missing, expected one for each of {', '.join(classes)}")
        files = sorted(path for path in place.iterdir() if path.is_file() and not path.name.startswith("."))
        for path in files:
            if path.suffix.lower() not in SUFFIXES:
                raise DataError(f"{path}: is not an image, expected {' '.join(SUFFIXES)}")
        if len(files) < MIN_IMAGES and folder.name != "test":
            raise DataError(f"{place}: {len(files)} images, expected at least {MIN_IMAGES}")
        for path in files:
            images.append(_read_image(path, size))
            labels.append(label)
    return images, labels


def _stack(images: list[np.ndarray], grey: bool) -> np.ndarray:
    if grey:
        return np.expand_dims(np.stack(images), 3)
    return np.stack([np.repeat(image[..., None], 3, 2) if image.ndim == 2 else image for image in images])


def _read_folder(folder: Path, size: int) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    split = (folder / "train").is_dir() and (folder / "test").is_dir()
    place = folder / "train" if split else folder
    classes = tuple(sorted(path.name for path in place.iterdir() if path.is_dir() and not path.name.startswith(".")))
    if len(classes) < 2:
        found = f"only {classes[0]}" if classes else "none"
        raise DataError(f"{place}: {len(classes)} class folders ({found}), expected at least 2")
    parts = {"train": _read_classes(place, classes, size)}
    if split:
        parts["test"] = _read_classes(folder / "test", classes, size)
    grey = all(image.ndim == 2 for images, _ in parts.values() for image in images)
    arrays = {}
    for part, (images, labels) in parts.items():
        if not images:
            raise DataError(f"{folder / part}: no images")
        arrays[f"x_{part}"] = _stack(images, grey)
        arrays[f"y_{part}"] = np.array(labels)
    return arrays, classes


def _read_archive(path: Path) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            stored = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise DataError(f"{path}: cannot be read as .npz ({str(error).splitlines()[0][:80]})") from None
    parts = ("train", "test") if "x_train" in stored else ("",)
    arrays = {}
    for part in parts:
        for key in "xy":
            name = f"{key}_{part}" if part else key
            if name not in stored:
                raise DataError(f"{path}: array {name} is missing")
        x, y = (stored[f"{key}_{part}" if part else key] for key in "xy")
        where = f"{path}: x{'_' + part if part else ''}"
        if x.dtype != np.uint8 or x.ndim not in (3, 4):
            raise DataError(f"{where} is {x.dtype} {x.shape}, expected uint8 (N, H, W, C) or (N, H, W)")
        x = x[..., None] if x.ndim == 3 else x
        if y.shape != x.shape[:1] or not np.issubdtype(y.dtype, np.integer):
            raise DataError(f"{where} has {len(x)} images, but y is {y.dtype} {y.shape}, expected integers ({len(x)},)")
        arrays[f"x_{part or 'train'}"], arrays[f"y_{part or 'train'}"] = x, y.astype(np.int64)
    shapes = {array.shape[1:] for key, array in arrays.items() if key[0] == "x"}
    if len(shapes) > 1:
        raise DataError(f"{path}: x_train and x_test hold images of different shapes {sorted(shapes)}")
    labels = np.concatenate([array for key, array in arrays.items() if key[0] == "y"])
    if len(labels) == 0 or labels.min() < 0:
        raise DataError(f"{path}: labels start at {labels.min() if len(labels) else 'nothing'}, expected 0 or more")
    count = int(labels.max()) + 1
    names = stored.get("classes")
    classes = tuple(str(name) for name in names) if names is not None else tuple(str(index) for index in range(count))
    if len(classes) < count:
        raise DataError(f"{path}: labels go up to {count - 1}, but classes names {len(classes)}")
    if len(np.unique(labels)) < 2:
        raise DataError(f"{path}: {len(np.unique(labels))} class, expected at least 2")
    for label, name in enumerate(classes):
        images = int((arrays["y_train"] == label).sum())
        if images < MIN_IMAGES:
            raise DataError(f"{path}: class {name} has {images} images, expected at least {MIN_IMAGES}")
    return arrays, classes


def _tenth(labels: np.ndarray, seed: int) -> np.ndarray:
    """Which images are the tenth of their class, at least one each; bool (N,)."""
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        chosen[members[: max(1, len(members) // 10)]] = True
    return chosen


def read(source: Path, size: int) -> tuple[Dataset, tuple[str, ...]]:
    """Read own data.

    Args:
        source: folder or ``.npz`` file.
        size: height and width to scale the images of a folder to; an archive's keep theirs.

    Returns:
        the arrays, uint8 (N, C, H, W) and (N,), and the class names.

    Raises:
        DataError: one class, unreadable or too few images...; the message names the file.
    """
    if source.is_dir():
        arrays, classes = _read_folder(source, size)
    elif source.is_file():
        arrays, classes = _read_archive(source)
    else:
        raise DataError(f"{source}: does not exist, expected a folder of class folders or an .npz file")
    if len(classes) > MAX_CLASSES:
        raise DataError(f"{source}: {len(classes)} classes, expected at most {MAX_CLASSES}")
    channels = arrays["x_train"].shape[3]
    if not 1 <= channels <= MAX_CHANNELS:
        raise DataError(f"{source}: images have {channels} channels, expected 1 to {MAX_CHANNELS}")
    if "x_test" not in arrays:
        test = _tenth(arrays["y_train"], seed=1)
        for key in "xy":
            whole = arrays[f"{key}_train"]
            arrays[f"{key}_train"], arrays[f"{key}_test"] = whole[~test], whole[test]
    ready = {
        key: np.ascontiguousarray(value.transpose(0, 3, 1, 2)) if key[0] == "x" else value.astype(np.uint8)
        for key, value in arrays.items()
    }
    return Dataset(**ready), classes


def digest(dataset: Dataset, classes: tuple[str, ...]) -> str:
    """``own:`` and 16 hexadecimal digits of the SHA-256 of arrays, shapes and class names."""
    total = hashlib.sha256(json.dumps(list(classes)).encode())
    for array in (dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test):
        total.update(str(array.shape).encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return PREFIX + total.hexdigest()[:16]


def prepare(source: Path, size: int, folder: Path, scale: bool = False) -> OwnData:
    """Read own data, keep it as ``folder/data.npz`` and split off the validation images.

    Args:
        source, size: as in :func:`read`.
        folder: of the run.
        scale: whether ``size`` was asked for: an error for an archive, whose images keep their size.

    Raises:
        DataError: as :func:`read`.
    """
    if scale and not source.is_dir():
        raise DataError(f"{source}: only images of a folder are scaled")
    dataset, classes = read(source, size)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        x_train=dataset.x_train,
        y_train=dataset.y_train,
        x_test=dataset.x_test,
        y_test=dataset.y_test,
        classes=np.array(classes),
    )
    write_atomically(folder / FILE, buffer.getvalue())
    # the order of a folder is by class
    held = _tenth(dataset.y_train, seed=2)
    training = {"x": dataset.x_train[~held], "y": dataset.y_train[~held]}
    validation = {"x": dataset.x_train[held], "y": dataset.y_train[held]}
    return OwnData(digest(dataset, classes), classes, dataset, training, validation)


def load_kept(folder: Path, name: str) -> tuple[Dataset, tuple[str, ...]]:
    """The own data that a run kept in its folder.

    Raises:
        DataError: missing, damaged or other data.
    """
    path = folder / FILE
    try:
        with np.load(path, allow_pickle=False) as stored:
            dataset = Dataset(**{key: stored[key] for key in ("x_train", "y_train", "x_test", "y_test")})
            classes = tuple(str(text) for text in stored["classes"])
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise DataError(f"{path}: the run's own data cannot be read ({str(error).splitlines()[0][:80]})") from None
    if digest(dataset, classes) != name:
        raise DataError(f"{path}: is {digest(dataset, classes)}, the run was on {name}")
    return dataset, classes


def check_size(network: Network) -> None:
    """Refuse images that are too small for the network's convolutions and pools.

    Raises:
        DataError: names network, layer and size.
    """
    for item in walk(network):
        if min(item.output) < 1:
            raise DataError(
                f"images of {network.height}x{network.width} are too small for {network.name}: "
                f"nothing is left after {item.name}"
            )
