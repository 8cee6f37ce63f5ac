"""The one reader of images: training, host, page, camera and simulations see the same pixels of the same file.

A picture is turned upright by its EXIF orientation, brought to 8 bits, laid over a white background where it is
transparent, cut to its middle and resized. Grey stays grey (then three equal channels, where three are wanted).

- 16-bit grey: 0 to 65,535 become 0 to 255.
- 32-bit and floating-point grey say nothing of their range: values within 0 to 1 (of floats) or within 0 to 255 are
  taken as they are, others from the picture's smallest to its largest.
- CMYK, YCbCr, LAB, HSV and palettes become RGB as Pillow converts them; colour profiles are not applied.

Arrays need numpy alone; pictures need Pillow.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any, BinaryIO, Iterator, List, Optional, Tuple, Union

import numpy as np

from bnn.archives import MAGIC, Archive, ArchiveError, describe, first_bytes, read_npy
from bnn.errors import ExpectedError
from bnn.text import first_line, printable

PICTURES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".bmp",
    ".gif",
    ".webp",
    ".avif",
    ".jp2",
    ".ppm",
    ".pgm",
    ".pbm",
    ".pnm",
    ".tif",
    ".tiff",
    ".tga",
)
"""Ends of the names of files that are taken for pictures."""
LITTER = ("thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "system volume information")
"""What file managers leave behind, in any case; it counts for nothing, as do names that begin with a dot."""
FORMATS = (
    "PNG",
    "JPEG",
    "MPO",
    "BMP",
    "DIB",
    "GIF",
    "WEBP",
    "AVIF",
    "JPEG2000",
    "PPM",
    "TIFF",
    "TGA",
    "ICO",
    "PCX",
    "SGI",
    "QOI",
)
"""Pillow's decoders that are let near a file, whatever its name: none that starts another program."""
MAX_PIXELS = 32 << 20
"""A picture beyond this is refused before it is decoded: of four bytes each it takes a quarter of a board's memory."""
STRIP = 64
"""Rows that are converted at a time: whole copies would take as much once more."""
MAX_FILE_BYTES = 64 << 20
BACKGROUND = 255
"""What stands behind transparent pixels, in every channel."""
ORIENTATION = 0x0112
"""The EXIF tag."""
UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""By orientation, Pillow's name of what turns a picture upright."""
STATED_RANGE = ("PNG", "PPM")
"""Formats whose grey of more than 8 bits, where Pillow hands it over as 32 bits, goes from 0 to 65,535."""

Source = Union[Path, BinaryIO, bytes]


class ImageError(ExpectedError):
    """A file holds no usable image; one line says which file and why."""


def can_read_pictures() -> bool:
    """Whether Pillow is installed."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError:
        return False
    return True


def list_pictures(folder: Path) -> List[Path]:
    """The pictures of a folder, by name; not those of its sub-folders, nor hidden ones."""
    return sorted(path for path in folder.iterdir() if is_picture(path) and path.is_file())


def is_litter(path: Path) -> bool:
    """Whether a file or folder is hidden, or one that a system leaves among people's own."""
    return path.name.startswith(".") or path.name.lower() in LITTER


def list_folders(folder: Path) -> List[Path]:
    """The folders in a folder that count, by name."""
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and not is_litter(path)]


def list_files(folder: Path) -> List[Path]:
    """The files in a folder and in its sub-folders that count, by name; links to folders are not followed."""
    found: List[Path] = []
    for path in sorted(folder.iterdir()):
        if is_litter(path):
            continue
        if path.is_dir():
            found += [] if path.is_symlink() else list_files(path)
        else:
            found.append(path)
    return found


def is_picture(path: Path) -> bool:
    """Whether a file is a picture by its name."""
    return path.suffix.lower() in PICTURES and not path.name.startswith(".")


def read_picture(source: Source, shape: Tuple[int, int, int]) -> Tuple[np.ndarray, Tuple[int, int]]:
    """A picture as the network sees it, uint8 (H, W, C), and the upright picture's size (width, height).

    Args:
        source: a path, a binary file, or a file's bytes.
        shape: (H, W, C), C being 1 or 3.

    Raises:
        ImageError: it cannot be read, is too large, or there is no Pillow.
    """
    name, height, width, channels = _name(source), *shape
    if channels not in (1, 3):
        raise ImageError(f"{name}: pictures have 1 or 3 channels, the network takes {channels}")
    pixels, size = _pixels(source, height, width, channels == 1)
    return np.repeat(pixels, channels // pixels.shape[2], 2), size


def read_as_it_is(source: Source, height: int, width: int) -> np.ndarray:
    """A picture, uint8 (H, W, 1) if it is grey, else (H, W, 3); the pixels are `read_picture`'s.

    Raises:
        ImageError: as `read_picture`'s.
    """
    return _pixels(source, height, width, False)[0]


def _name(source: Source) -> str:
    return printable(source) if isinstance(source, Path) else "picture"


def _pixels(source: Source, height: int, width: int, grey: bool) -> Tuple[np.ndarray, Tuple[int, int]]:
    name = _name(source)
    try:
        from PIL import Image
    except ImportError:
        raise ImageError(f"{name}: pictures need Pillow (pip install pillow); .npy and .npz do not") from None
    try:
        if isinstance(source, Path):
            size = source.stat().st_size
            if not source.is_file():  # a pipe or a device would never end
                raise ImageError(f"{name}: is {'a folder' if source.is_dir() else 'no file'}")
            if size > MAX_FILE_BYTES:
                raise ImageError(f"{name}: {size} bytes, expected at most {MAX_FILE_BYTES}")
        Image.init()
        formats = [kind for kind in FORMATS if kind in Image.OPEN]
        opened: Any = io.BytesIO(source) if isinstance(source, bytes) else source
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(opened, formats=formats) as picture:
                if picture.size[0] * picture.size[1] > MAX_PIXELS:
                    wide, high = picture.size
                    raise ImageError(f"{name}: {wide}x{high} pixels, expected at most {MAX_PIXELS} in all")
                picture.load()
                upright = _upright(Image, picture, _eight_bit(Image, picture, picture.format))
            return fit(upright.convert("L") if grey else upright, height, width), upright.size
    except ImageError:
        raise
    except MemoryError:
        raise ImageError(f"{name}: does not fit the memory") from None
    except Exception as error:  # decoders of damaged files raise many kinds
        reason = getattr(error, "strerror", None)
        if reason:
            raise ImageError(f"{name}: cannot be read ({reason})") from None
        known = type(error).__name__ != "UnidentifiedImageError"  # which names the file once more
        raise ImageError(f"{name}: is no picture ({first_line(error) if known else 'of a known format'})") from None


def _upright(image: Any, picture: Any, pixels: Any) -> Any:
    """The pixels of a loaded picture turned by its EXIF orientation; what no camera writes there counts for nothing.

    TIFF is turned while it is loaded, and Pillow before 10.1 leaves the tag as it was.
    """
    if picture.format == "TIFF":
        return pixels
    try:
        turn = UPRIGHT.get(picture.getexif().get(ORIENTATION, 1))
    except Exception:  # of damaged EXIF data Pillow raises many kinds; the pixels are whole
        turn = None
    # where the names are depends on Pillow's version
    return pixels.transpose(getattr(getattr(image, "Transpose", image), turn)) if turn else pixels


def _strips(picture: Any) -> Iterator[Tuple[int, Any]]:
    """The rows of a picture, some at a time, each with the number of its first."""
    wide, high = picture.size
    for top in range(0, high, STRIP):
        yield top, picture.crop((0, top, wide, min(top + STRIP, high)))


def _eight_bit(image: Any, picture: Any, kind: Optional[str]) -> Any:
    """A picture in mode L, or else RGB."""
    keyed = picture.mode in ("1", "L", "P", "RGB") and "transparency" in picture.info
    if picture.mode in ("L", "RGB") and not keyed:
        return picture
    low, high = _range(picture, kind)
    grey = picture.mode in ("1", "L", "LA", "La", "I", "F") or picture.mode.startswith("I;16")

    def converted(part: Any) -> Any:
        if high > low:
            return image.fromarray(_scaled(np.asarray(part), low, high))
        if keyed or part.mode in ("LA", "La", "RGBA", "RGBa", "PA"):
            layered = part.convert("LA" if grey else "RGBA")
            base = image.new("L" if grey else "RGB", part.size, BACKGROUND if grey else (BACKGROUND,) * 3)
            base.paste(layered.convert(base.mode), mask=layered.getchannel("A"))
            return base
        return part.convert("L" if grey else "RGB")

    result = image.new("L" if grey else "RGB", picture.size)
    for top, part in _strips(picture):
        result.paste(converted(part), (0, top))
    return result


def _range(picture: Any, kind: Optional[str]) -> Tuple[float, float]:
    """What becomes 0 and 255 of grey of more than 8 bits; 0 and 0 of others."""
    if picture.mode.startswith("I;16"):
        return 0.0, 65535.0
    if picture.mode not in ("I", "F"):
        return 0.0, 0.0
    ends = [(values.min(), values.max()) for values in (np.asarray(part) for _, part in _strips(picture))]
    low, high = float(np.min(ends)), float(np.max(ends))
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("holds NaN or infinite values")
    if picture.mode == "I" and kind in STATED_RANGE:
        return 0.0, 65535.0
    if picture.mode == "F" and 0 <= low and high <= 1:
        return 0.0, 1.0
    if 0 <= low and high <= 255:
        return 0.0, 255.0
    return low, high


def _scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values from `low` to `high` as uint8 from 0 to 255."""
    return np.asarray(np.rint(np.clip((values.astype(np.float64) - low) / (high - low), 0, 1) * 255), np.uint8)


def fit(picture: Any, height: int, width: int) -> np.ndarray:
    """The middle of a Pillow picture in the wanted proportions, resized: uint8 (H, W, channels)."""
    from PIL import Image

    wide, high = picture.size
    edge = min(wide * height, high * width)  # the largest part of the wanted proportions
    part = max(1, edge // height), max(1, edge // width)
    left, top = (wide - part[0]) // 2, (high - part[1]) // 2
    if picture.size != (width, height):
        filters: Any = getattr(Image, "Resampling", Image)
        box = (left, top, left + part[0], top + part[1])
        picture = picture.resize((width, height), filters.LANCZOS, box=box)
    return np.asarray(picture, np.uint8).reshape(height, width, -1)


def fit_array(pixels: np.ndarray, shape: Tuple[int, int, int]) -> np.ndarray:
    """Pixels of a camera, uint8 (rows, columns, 3), as `read_picture` makes of a picture that holds them.

    Raises:
        ImageError: there is no Pillow.
    """
    if not can_read_pictures():
        raise ImageError("camera: pictures need Pillow (pip install pillow)")
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return fit(picture.convert("L") if shape[2] == 1 else picture, shape[0], shape[1])


def read_array(path: Path, mapped: bool = False) -> Tuple[np.ndarray, Optional[np.ndarray]]:
    """Images uint8 (N, H, W, C) and labels (N,), or None, from an .npy file or from x and y of an .npz file.

    Labels are whole numbers of any range; whether they are classes is for the caller to say. With `mapped` the images
    of an .npy file stay in it, as of `bnn.archives.read_npy`.

    Raises:
        ImageError: the file cannot be read or holds something else.
    """
    labels: Optional[np.ndarray] = None
    try:
        start = first_bytes(path, 6)
        if start == MAGIC:
            images = read_npy(path, mapped)
        elif start[:2] != b"PK":
            raise ArchiveError(f"{printable(path)}: is no .npy or .npz file")
        else:
            with Archive(path) as archive:
                images = archive.read("x")
                labels = archive.read("y") if "y" in archive else None
    except ArchiveError as error:
        raise ImageError(str(error)) from None
    where = printable(path)
    images = images[..., np.newaxis] if images.ndim == 3 else images
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise ImageError(f"{where}: holds NaN or infinite values, expected uint8 images")
    if images.ndim != 4 or images.dtype != np.uint8:
        raise ImageError(f"{where}: images are {describe(images.dtype)} {images.shape}, expected uint8 (N, H, W, C)")
    if not images.size:
        raise ImageError(f"{where}: images are {images.shape}, expected at least one")
    if labels is not None:
        if labels.dtype.kind not in "iu" or labels.size != len(images):
            raise ImageError(
                f"{where}: labels are {describe(labels.dtype)} {labels.shape}, expected {len(images)} whole numbers"
            )
        labels = labels.reshape(-1)
    return images, labels
