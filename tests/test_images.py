"""The one reader of images: what was trained on and the same file at inference are identical pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bnn import images as reader
from bnn.images import ImageError, fit_array, list_pictures, read_array, read_picture
from bnn.samples import some
from host import images as host_images
from train.own import _read_image

EXIF = 274
SHAPE = (32, 32, 3)
"""Of inference; training scales to squares."""


def scene(height: int = 70, width: int = 90) -> np.ndarray:
    """A picture that is like itself from no other side, uint8 (H, W, 3)."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 / width, y * 255 / height, 128 + 100 * np.sin(x / 5) * np.cos(y / 9)], 2).astype(np.uint8)


def trained(path: Path, size: int = 32) -> np.ndarray:
    """What the training sees, as three channels."""
    pixels = _read_image(path, size)
    return np.repeat(pixels[:, :, None], 3, 2) if pixels.ndim == 2 else pixels


def infers(path: Path) -> np.ndarray:
    return host_images.read([str(path)], SHAPE).images[0]


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_upright(tmp_path: Path, orientation: int, ending: str) -> None:
    upright = scene()
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[EXIF] = orientation
    options = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}.get(ending, {})
    path = tmp_path / f"a.{ending}"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, **options)
    pixels, size = read_picture(path, (70, 90, 3))
    assert size == (90, 70)
    assert np.abs(pixels.astype(int) - upright).max() <= (8 if ending == "jpg" else 0)
    assert np.array_equal(trained(path), infers(path))


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_orientations_that_no_camera_writes_count_for_nothing(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[EXIF] = orientation
    Image.fromarray(scene()).save(tmp_path / "a.jpg", exif=exif)
    wanted = read_picture(tmp_path / "a.jpg", (70, 90, 3))[0]
    assert np.abs(wanted.astype(int) - scene()).max() < 40
    content = (tmp_path / "a.jpg").read_bytes()
    assert b"MM\0*" in content
    (tmp_path / "b.jpg").write_bytes(content.replace(b"MM\0*", b"\xff" * 4))  # EXIF data that is none
    assert np.array_equal(read_picture(tmp_path / "b.jpg", (70, 90, 3))[0], wanted)


MODES = (
    "1",
    "L",
    "LA",
    "La",
    "P",
    "PA",
    "RGB",
    "RGBA",
    "RGBX",
    "RGBa",
    "CMYK",
    "YCbCr",
    "LAB",
    "HSV",
    "I",
    "F",
    "I;16",
    "I;16L",
    "I;16B",
)
ENDINGS = ("png", "jpg", "bmp", "gif", "webp", "ppm", "tif", "tga", "jp2", "avif")


def in_mode(mode: str) -> Image.Image:
    """The scene in a mode; grey of more bits goes over its whole range."""
    grey = Image.fromarray(scene()).convert("L")
    values = np.asarray(grey)
    if mode.startswith("I;16"):
        return Image.fromarray(values.astype(np.uint16) * 257)
    if mode == "I":
        return Image.fromarray(values.astype(np.int32) * 257)
    if mode == "F":
        return Image.fromarray(values.astype(np.float32) / 255)
    if mode in ("LA", "La", "RGBA", "RGBa", "PA"):
        base = Image.fromarray(scene()).convert("L" if mode in ("LA", "La") else "RGB")
        base.putalpha(Image.fromarray(np.clip(values.astype(int) * 3, 0, 255).astype(np.uint8)))
        return base if base.mode == mode else base.convert(mode)
    if mode in ("LAB", "HSV", "PA"):
        return Image.fromarray(scene()).convert(mode)
    return Image.fromarray(scene()).convert(mode)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("mode", MODES)
def test_modes_that_pillow_writes(tmp_path: Path, mode: str, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    try:
        in_mode(mode).save(path)
    except (OSError, ValueError, KeyError, SystemError, TypeError):
        return  # no file of this kind has this mode
    assert np.array_equal(trained(path), infers(path))
    grey = read_picture(path, (32, 32, 1))[0]
    colour = read_picture(path, SHAPE)[0]
    with Image.open(path) as stored:
        kept = stored.mode
    if mode in ("1", "P") or (mode[0] in "IF" and kept[0] not in "IF"):  # the writer has kept a few levels only
        return
    levels = len(np.unique(read_picture(path, (70, 90, 1))[0]))
    assert levels > 60, (kept, levels)
    assert np.ptp(grey.astype(int)) > 60 and colour.std() > 20


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (np.arange(256, dtype=np.uint16) * 257, np.arange(256)),
        (np.arange(256, dtype=np.uint16), np.rint(np.arange(256) / 257)),  # dark pictures stay dark
        (np.arange(256, dtype=np.int32), np.arange(256)),
        (np.arange(256, dtype=np.int32) * 1000 - 7, np.arange(256)),
        (np.arange(256, dtype=np.int32) * -3, 255 - np.arange(256)),
        (np.arange(256, dtype=np.float32) / 255, np.arange(256)),
        (np.arange(256, dtype=np.float32), np.arange(256)),
        (np.arange(256, dtype=np.float32) * 1e-3 - 1, np.arange(256)),
        (np.arange(256, dtype=np.float32) * 1e30, np.arange(256)),
        (np.full(256, 0.5, np.float32), np.full(256, 128)),
        (np.full(256, -4.0, np.float32), np.zeros(256)),
    ],
)
def test_grey_of_more_bits_is_scaled_by_its_range(tmp_path: Path, values: np.ndarray, wanted: np.ndarray) -> None:
    Image.fromarray(values.reshape(16, 16)).save(tmp_path / "a.tif")
    found = read_picture(tmp_path / "a.tif", (16, 16, 1))[0]
    assert np.array_equal(found.reshape(-1), wanted)


def test_16_bit_grey_of_other_formats(tmp_path: Path) -> None:
    values = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    (tmp_path / "a.pgm").write_bytes(b"P5 16 16 65535\n" + values.astype(">u2").tobytes())
    (tmp_path / "b.pgm").write_bytes(b"P5 16 16 4095\n" + (values // 16).astype(">u2").tobytes())
    Image.fromarray(values).save(tmp_path / "a.png")
    for name in ("a.pgm", "b.pgm", "a.png"):
        assert np.array_equal(read_picture(tmp_path / name, (16, 16, 1))[0].reshape(-1), np.arange(256)), name


@pytest.mark.parametrize("mode", ["LA", "La", "RGBA", "RGBa"])
@pytest.mark.parametrize("ending", ["png", "tif", "webp", "tga"])
def test_transparent_pixels_are_white(tmp_path: Path, mode: str, ending: str) -> None:
    content = np.zeros((8, 8, 2 if mode[0] == "L" else 4), np.uint8)
    content[:4, :, -1] = 255
    content[4:, :, 0] = 77  # the colour of what is not seen
    content[6:, :, -1] = 128
    content[6:, :, :-1] = 0
    picture = Image.fromarray(content, mode[0] == "L" and "LA" or "RGBA")
    try:
        (picture if mode[-1] == "A" else picture.convert(mode)).save(tmp_path / f"a.{ending}", lossless=True)
    except (OSError, ValueError):
        return
    found = read_picture(tmp_path / f"a.{ending}", (8, 8, 3))[0]
    assert (found[:4] == 0).all() and (found[4:6] == 255).all() and (found[6:] == 127).all()


def test_palettes_and_keys(tmp_path: Path) -> None:
    picture = Image.new("P", (8, 8), 1)
    picture.putpalette([255, 0, 0, 10, 20, 30])
    picture.paste(0, (0, 0, 8, 4))
    picture.save(tmp_path / "plain.png")
    found = read_picture(tmp_path / "plain.png", (8, 8, 3))[0]
    assert (found[:4] == (255, 0, 0)).all() and (found[4:] == (10, 20, 30)).all()
    for name in ("clear.png", "clear.gif"):
        picture.save(tmp_path / name, transparency=1)
        found = read_picture(tmp_path / name, (8, 8, 3))[0]
        assert (found[:4] == (255, 0, 0)).all() and (found[4:] == 255).all(), name
    Image.new("RGB", (8, 8), (1, 2, 3)).save(tmp_path / "key.png", transparency=(1, 2, 3))
    assert (read_picture(tmp_path / "key.png", (8, 8, 3))[0] == 255).all()
    Image.new("L", (8, 8), 9).save(tmp_path / "key.png", transparency=9)
    assert (read_picture(tmp_path / "key.png", (8, 8, 1))[0] == 255).all()


def test_cmyk(tmp_path: Path) -> None:
    for ending in ("tif", "jpg"):
        Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / f"a.{ending}")
        found = read_picture(tmp_path / f"a.{ending}", (8, 8, 3))[0].astype(int)
        assert np.abs(found - (255, 0, 0)).max() <= 4, ending


@pytest.mark.parametrize("size", [(320, 240), (64, 64), (97, 33), (28, 28), (1, 1), (3, 400), (1000, 7)])
def test_one_crop_and_resizer(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(scene(size[1], size[0])).save(path)
    assert np.array_equal(trained(path), infers(path))
    assert np.array_equal(fit_array(scene(size[1], size[0]), SHAPE), infers(path))  # a camera's frame
    with path.open("rb") as stream:
        assert np.array_equal(read_picture(stream, SHAPE)[0], infers(path))
    assert np.array_equal(read_picture(path.read_bytes(), SHAPE)[0], infers(path))


def test_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")  # would start ghostscript
    with pytest.raises(ImageError, match=r"a.png: is no picture \(of a known format\)"):
        read_picture(tmp_path / "a.png", SHAPE)
    Image.fromarray(np.full((4, 4), np.nan, np.float32)).save(tmp_path / "b.tif")
    with pytest.raises(ImageError, match=r"b.tif: is no picture \(holds NaN or infinite values\)"):
        read_picture(tmp_path / "b.tif", SHAPE)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ImageError, match="folder.png: is a folder"):
        read_picture(tmp_path / "folder.png", SHAPE)
    with pytest.raises(ImageError, match="pictures have 1 or 3 channels, the network takes 2"):
        read_picture(tmp_path / "b.tif", (4, 4, 2))
    Image.new("L", (4, 4)).save(tmp_path / ".hidden.png")
    assert [path.name for path in list_pictures(tmp_path)] == ["a.png", "b.tif"]


def test_arrays(tmp_path: Path) -> None:
    x = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4)
    np.save(tmp_path / "a.npy", x)
    np.savez(tmp_path / "a.npz", x=x[..., None], y=np.array([[3], [1]]))
    assert read_array(tmp_path / "a.npy")[0].shape == (2, 4, 4, 1) and read_array(tmp_path / "a.npy")[1] is None
    labels = read_array(tmp_path / "a.npz")[1]
    assert labels is not None and labels.tolist() == [3, 1]
    for arrays, message in (
        ({"x": x, "y": np.eye(2)}, "labels are float64"),
        ({"x": x, "y": np.zeros(3, int)}, "labels are"),
        ({"x": x[:0]}, "expected at least one"),
        ({"y": x}, "array x: is missing"),
        ({"x": x.astype(">u2")}, "images are >u2"),
    ):
        np.savez(tmp_path / "b.npz", **arrays)
        with pytest.raises(ImageError, match=message):
            read_array(tmp_path / "b.npz")
    (tmp_path / "c.npz").write_text("x")
    with pytest.raises(ImageError, match="c.npz: is no .npy or .npz file"):
        read_array(tmp_path / "c.npz")


def test_a_camera_needs_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "can_read_pictures", lambda: False)
    with pytest.raises(ImageError, match="pictures need Pillow"):
        fit_array(np.zeros((4, 4, 3), np.uint8), SHAPE)


def test_some_images_are_of_all_classes() -> None:
    """Of data that lie class by class some of each; of others, and of those without labels, the first."""
    for labels, count, wanted in (
        (np.repeat([0, 1, 2], 5), 7, [0, 1, 2, 5, 6, 10, 11]),
        (np.array([2, 0, 1, 0]), 3, [0, 1, 2]),
        (None, 2, [0, 1]),
        (np.arange(3), None, [0, 1, 2]),
        (np.arange(3), 5, [0, 1, 2]),
    ):
        total = 9 if labels is None else len(labels)
        assert np.arange(total)[some(labels, total, count)].tolist() == wanted
