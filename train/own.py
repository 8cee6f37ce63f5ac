"""Own data: a folder of class folders with images, or an `.npz` file.

Folder
    `DATA/CLASS/image.png` ..., any size and any format of `bnn.images`, also in sub-folders of the class. Each image
    is cut to its middle and scaled. Grey where all images are, else RGB. With `DATA/train/CLASS` and
    `DATA/test/CLASS`, `DATA/val/CLASS` or both, those parts are given.

Archive
    `x` uint8 (N, H, W, C) or (N, H, W) and `y` integers (N,); `classes`, the names, may be there. With
    `x_train`, `y_train`, and `x_test`, `y_test` or `x_val`, `y_val`, those parts are given.

Where it is not given a tenth of each class is for the test, and a tenth of the rest validates; who goes where depends
on the data only. What was read is kept as `data.npz` beside the checkpoint, where the export finds it.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bnn.archives import Archive, ArchiveError, describe
from bnn.contract import MAX_CHANNELS
from bnn.files import write_atomically
from bnn.geometry import walk
from bnn.images import PICTURES, ImageError, is_picture, list_files, list_folders, read_as_it_is
from bnn.model import MAX_OUTPUTS
from bnn.networks import Network
from bnn.output import progress
from bnn.text import printable
from train.data import Arrays, DataError, Dataset

PREFIX = "own:"
FILE = "data.npz"
REPORT = "unusable.txt"
"""In the run's folder: a line for every file that cannot be used."""
MIN_IMAGES = 10
MAX_CLASSES = MAX_OUTPUTS
LISTED = 5
"""Files that a message names; the report names all."""
PARTS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
"""Names of the folders of given parts, in any case."""


class UnusableFiles(DataError):
    """Files of a folder cannot be used; `lines` has one for each."""

    def __init__(self, source: Path, lines: list[str]) -> None:
        shown = "; ".join(lines[:LISTED]) + ("; ..." if len(lines) > LISTED else "")
        many = f"{len(lines)} files" if len(lines) > 1 else "1 file"
        super().__init__(f"{printable(source)}: {many} cannot be used (--skip-unreadable leaves them out): {shown}")
        self.lines = lines


@dataclass(frozen=True)
class OwnData:
    """`name` is `own:` and the data's checksum; `training` and `validation` are parts of `x_train`."""

    name: str
    classes: tuple[str, ...]
    dataset: Dataset
    training: Arrays
    validation: Arrays
    unusable: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Found:
    """What a source holds: x uint8 (N, H, W, C) and y (N,) of "train" and of the parts that are given."""

    x: dict[str, np.ndarray]
    y: dict[str, np.ndarray]
    classes: tuple[str, ...]
    unusable: tuple[str, ...] = ()


def _read_image(path: Path, size: int) -> np.ndarray:
    """uint8 (size, size) if grey, else (size, size, 3)."""
    pixels = read_as_it_is(path, size, size)
    return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels


def _folders(place: Path) -> dict[str, Path]:
    """The folders in a folder that count, by printable name."""
    return {printable(path.name): path for path in list_folders(place)}


def _places(folder: Path) -> dict[str, Path]:
    """The folder of class folders of every given part; {"train": folder} where none is given."""
    lower = {name.lower(): path for name, path in _folders(folder).items()}
    found = {part: lower[name] for part, names in PARTS.items() for name in names if name in lower}
    return found if "train" in found and len(found) > 1 else {"train": folder}


def _class_folders(places: dict[str, Path]) -> dict[str, dict[str, Path]]:
    """By part and class the folder of its images.

    Raises:
        DataError: fewer than two classes, or the parts have not the same.
    """
    found = {part: _folders(place) for part, place in places.items()}
    classes, place = found["train"], places["train"]
    if len(classes) < 2:
        only = f"only {next(iter(classes))}" if classes else "none"
        inside = [path for path in classes.values() if len(_folders(path)) > 1]
        hint = f"; is {printable(inside[0])} meant?" if inside else ""
        raise DataError(f"{printable(place)}: {len(classes)} class folders ({only}), expected at least 2{hint}")
    for part, others in found.items():
        for name in classes:
            if name not in others:
                few = ", ".join(list(classes)[:LISTED]) + (", ..." if len(classes) > LISTED else "")
                where = printable(places[part] / name)
                raise DataError(f"{where}: folder is missing, expected one for each of {few}")
        for name in others:
            if name not in classes:
                raise DataError(f"{printable(places[part] / name)}: is no class of {printable(place)}")
    return found


def _read_folder(folder: Path, size: int, skip_unreadable: bool) -> _Found:
    places = _places(folder)
    folders = _class_folders(places)
    classes = tuple(folders["train"])
    unusable = [
        f"{printable(path)}: is in no class folder"
        for place in {folder, *places.values()}
        for path in sorted(place.iterdir())
        if is_picture(path) and path.is_file()
    ]
    pictures: list[tuple[str, int, Path]] = []
    for part, of_class in folders.items():
        for label, place in enumerate(of_class.values()):
            for path in list_files(place):
                if is_picture(path):
                    pictures.append((part, label, path))
                else:
                    unusable.append(f"{printable(path)}: is not an image, expected {' '.join(PICTURES)}")
    images: dict[str, list[np.ndarray]] = {part: [] for part in folders}
    labels: dict[str, list[int]] = {part: [] for part in folders}
    for part, label, path in progress(pictures, "reading"):
        try:
            images[part].append(_read_image(path, size))
            labels[part].append(label)
        except ImageError as error:
            unusable.append(str(error))
    unusable = [line.removeprefix(f"{printable(folder)}/") for line in unusable]
    if unusable and not skip_unreadable:
        raise UnusableFiles(folder, unusable)
    counts = np.bincount(np.array(labels["train"], np.int64), minlength=len(classes)).tolist()
    for count, place in zip(counts, folders["train"].values(), strict=True):
        if count < MIN_IMAGES:
            raise DataError(f"{printable(place)}: {count} images, expected at least {MIN_IMAGES}")
    for part, found in images.items():
        if not found:
            raise DataError(f"{printable(places[part])}: no images")
    grey = all(image.ndim == 2 for found in images.values() for image in found)
    return _Found(
        {part: _stack(found, grey) for part, found in images.items()},
        {part: np.array(found) for part, found in labels.items()},
        classes,
        tuple(unusable),
    )


def _stack(images: list[np.ndarray], grey: bool) -> np.ndarray:
    if grey:
        return np.expand_dims(np.stack(images), 3)
    return np.stack([np.repeat(image[..., None], 3, 2) if image.ndim == 2 else image for image in images])


def _read_archive(path: Path) -> _Found:
    where = printable(path)
    x: dict[str, np.ndarray] = {}
    y: dict[str, np.ndarray] = {}
    try:
        with Archive(path) as archive:
            end = "_train" if "x_train" in archive else ""
            names = _class_names(archive, where)
            for part, tail in {"train": end, "val": "_val", "test": "_test"}.items():
                if part == "train" or (end and f"x{tail}" in archive):
                    x[part], y[part] = _read_part(archive, where, tail)
    except ArchiveError as error:
        raise DataError(str(error)) from None
    for part in ("val", "test"):
        if part in x and not len(x[part]):  # as if it were not given
            del x[part], y[part]
    shapes = {array.shape[1:] for array in x.values()}
    if len(shapes) > 1:
        raise DataError(f"{where}: its parts hold images of different shapes {sorted(shapes)}")
    labels = np.concatenate(list(y.values()))
    if not len(labels):
        raise DataError(f"{where}: no images")
    low, high = int(labels.min()), int(labels.max())
    if low < 0:
        raise DataError(f"{where}: labels start at {low}, expected 0 or more")
    if names is not None and high >= len(names):
        raise DataError(f"{where}: labels go up to {high}, but classes names {len(names)}")
    if high >= MAX_CLASSES:
        raise DataError(f"{where}: label {high} is no class, expected at most {MAX_CLASSES - 1}")
    if len(np.unique(labels)) < 2:
        raise DataError(f"{where}: {len(np.unique(labels))} class, expected at least 2")
    classes = names if names is not None else tuple(str(index) for index in range(high + 1))
    counts = np.bincount(y["train"].astype(np.int64), minlength=len(classes))
    if counts.min() < MIN_IMAGES:
        label = int(np.flatnonzero(counts < MIN_IMAGES)[0])
        raise DataError(f"{where}: class {classes[label]} has {counts[label]} images, expected at least {MIN_IMAGES}")
    return _Found(x, y, classes)


def _class_names(archive: Archive, where: str) -> tuple[str, ...] | None:
    """The names in an archive, text or bytes, or None."""
    if "classes" not in archive:
        return None
    layout = archive.layout("classes")
    if len(layout.shape) != 1 or layout.shape[0] > MAX_CLASSES:
        raise DataError(f"{where}: classes is {layout}, expected at most {MAX_CLASSES} names")
    names = tuple(
        printable(name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name)
        for name in archive.read("classes").tolist()
    )
    if len(set(names)) < len(names):
        raise DataError(f"{where}: classes names one class twice")
    return names


def _read_part(archive: Archive, where: str, tail: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, H, W, C) and labels (N,) of one part."""
    for key in "xy":
        if f"{key}{tail}" not in archive:
            raise DataError(f"{where}: array {key}{tail} is missing")
    layout, of_labels = archive.layout(f"x{tail}"), archive.layout(f"y{tail}")
    if layout.dtype != np.uint8 or len(layout.shape) not in (3, 4):
        raise DataError(f"{where}: x{tail} is {layout}, expected uint8 (N, H, W, C) or (N, H, W)")
    count = layout.shape[0]
    if of_labels.dtype.kind not in "iu" or of_labels.shape not in ((count,), (count, 1)):
        got = f"{describe(of_labels.dtype)} {of_labels.shape}"
        raise DataError(f"{where}: x{tail} has {count} images, but y is {got}, expected integers ({count},)")
    x = archive.read(f"x{tail}")
    return x[..., None] if x.ndim == 3 else x, archive.read(f"y{tail}").reshape(-1)


def _tenth(labels: np.ndarray, seed: int) -> np.ndarray:
    """Which images are the tenth of their class, at least one each; bool (N,)."""
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        chosen[members[: max(1, len(members) // 10)]] = True
    return chosen


def _read(source: Path, size: int, skip_unreadable: bool = False) -> tuple[_Found, Dataset, np.ndarray | None]:
    """What a source holds, the arrays of training and test, and which training images validate where that is given."""
    if source.is_dir():
        found = _read_folder(source, size, skip_unreadable)
    elif source.is_file():
        found = _read_archive(source)
    else:
        where = printable(source)
        raise DataError(f"{where}: does not exist, expected a folder of class folders or an .npz file")
    if len(found.classes) > MAX_CLASSES:
        raise DataError(f"{printable(source)}: {len(found.classes)} classes, expected at most {MAX_CLASSES}")
    x, y = dict(found.x), dict(found.y)
    channels = x["train"].shape[3]
    if not 1 <= channels <= MAX_CHANNELS:
        raise DataError(f"{printable(source)}: images have {channels} channels, expected 1 to {MAX_CHANNELS}")
    if "test" not in x:
        test = _tenth(y["train"], seed=1)
        for part in (x, y):
            part["train"], part["test"] = part["train"][~test], part["train"][test]
    held = None
    if "val" in x:
        held = np.arange(len(y["train"]) + len(y["val"])) >= len(y["train"])
        for part in (x, y):
            part["train"] = np.concatenate([part["train"], part["val"]])
    kind = np.uint8 if len(found.classes) <= 256 else np.int32
    planes = {part: np.ascontiguousarray(x[part].transpose(0, 3, 1, 2)) for part in ("train", "test")}
    return found, Dataset(planes["train"], y["train"].astype(kind), planes["test"], y["test"].astype(kind)), held


def read(source: Path, size: int) -> tuple[Dataset, tuple[str, ...]]:
    """Read own data; images that validate are among the training images.

    Args:
        source: folder or `.npz` file.
        size: height and width to scale the images of a folder to; an archive's keep theirs.

    Returns:
        the arrays, uint8 (N, C, H, W), and (N,) uint8, of more than 256 classes int32, and the class names.

    Raises:
        DataError: one class, unreadable or too few images...; the message names the file.
    """
    found, dataset, _ = _read(source, size)
    return dataset, found.classes


def digest(dataset: Dataset, classes: tuple[str, ...], held: np.ndarray | None = None) -> str:
    """`own:` and 16 hexadecimal digits of the SHA-256 of arrays, shapes, class names and given validation."""
    total = hashlib.sha256(json.dumps(list(classes)).encode())
    parts = [dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test]
    for array in parts + ([] if held is None else [held]):
        total.update(str(array.shape).encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return PREFIX + total.hexdigest()[:16]


def prepare(
    source: Path, size: int, folder: Path | None, scale: bool = False, skip_unreadable: bool = False
) -> OwnData:
    """Read own data, keep it as `folder/data.npz` and split off the validation images.

    Args:
        source, size: as in `read`.
        folder: of the run, where the report of unusable files goes too; None keeps nothing. The data of a run that has
            begun stay as they are: whether these are the same is for the checkpoint to say.
        scale: whether `size` was asked for: an error for an archive, whose images keep their size.
        skip_unreadable: leave out files that cannot be used.

    Raises:
        DataError: as `read`.
    """
    if scale and not source.is_dir():
        raise DataError(f"{printable(source)}: only images of a folder are scaled")
    try:
        found, dataset, held = _read(source, size, skip_unreadable)
    except UnusableFiles as error:
        if folder is None:
            raise
        _report(folder, error.lines)
        raise DataError(f"{error}, all in {printable(folder / REPORT)}") from None
    if folder is not None and found.unusable:
        _report(folder, found.unusable)
    if folder is not None and not ((folder / "checkpoint.pt").exists() and (folder / FILE).exists()):
        arrays = {key: getattr(dataset, key) for key in ("x_train", "y_train", "x_test", "y_test")}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays, classes=np.array(found.classes), **({} if held is None else {"held": held}))
        write_atomically(folder / FILE, buffer.getvalue())
    training, validation = _split(dataset, held)
    return OwnData(digest(dataset, found.classes, held), found.classes, dataset, training, validation, found.unusable)


def _split(dataset: Dataset, held: np.ndarray | None) -> tuple[Arrays, Arrays]:
    """Training and validation parts; a tenth of every class validates where nothing says which images do."""
    # the order of a folder is by class
    held = _tenth(dataset.y_train, seed=2) if held is None else held
    return (
        {"x": dataset.x_train[~held], "y": dataset.y_train[~held]},
        {"x": dataset.x_train[held], "y": dataset.y_train[held]},
    )


def _report(folder: Path, lines: list[str] | tuple[str, ...]) -> None:
    write_atomically(folder / REPORT, "".join(f"{line}\n" for line in lines).encode())


def load_kept(folder: Path, name: str) -> OwnData:
    """The own data that a run kept in its folder.

    Raises:
        DataError: missing, damaged or other data.
    """
    path = folder / FILE
    try:
        with Archive(path) as stored:
            dataset = Dataset(**{key: stored.read(key) for key in ("x_train", "y_train", "x_test", "y_test")})
            classes = tuple(str(text) for text in stored.read("classes"))
            held = stored.read("held") if "held" in stored else None
    except ArchiveError as error:
        raise DataError(f"{error}: expected the run's own data") from None
    found = digest(dataset, classes, held)
    if found != name:
        raise DataError(f"{printable(path)}: is {found}, the run was on {printable(name)}")
    return OwnData(name, classes, dataset, *_split(dataset, held))


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
