"""A contact sheet: the first images of every class, as the network gets them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from bnn.files import write_atomically

COLUMNS, ROWS = 12, 40
"""Images of a class, and classes, that are shown."""
TILE, GAP, NAMES = 48, 4, 200
"""Pixels of an image's edge, between images, and for the names."""


def write(path: Path, x: np.ndarray, y: np.ndarray, classes: tuple[str, ...]) -> None:
    """Write a sheet as PNG, a row for each class that has images.

    Args:
        path: of the sheet.
        x, y: uint8 (N, C, H, W) and labels (N,).
        classes: names.
    """
    from PIL import Image, ImageDraw

    shown = np.unique(y)[:ROWS].tolist()
    step = TILE + GAP
    sheet = Image.new("RGB", (NAMES + COLUMNS * step, len(shown) * step + GAP), (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    for row, label in enumerate(shown):
        top = GAP + row * step
        for text, down in ((classes[label], 8), (f"{int((y == label).sum())} images", 24)):
            try:
                draw.text((GAP, top + down), text[:32], fill=(0, 0, 0))
            except UnicodeEncodeError:  # a font of Latin letters only
                draw.text((GAP, top + down), text[:32].encode("ascii", "replace").decode(), fill=(0, 0, 0))
        for column, index in enumerate(np.flatnonzero(y == label)[:COLUMNS].tolist()):
            pixels = x[index].transpose(1, 2, 0)
            pixels = pixels[:, :, :3] if pixels.shape[2] >= 3 else np.repeat(pixels[:, :, :1], 3, 2)
            tile = Image.fromarray(np.ascontiguousarray(pixels))
            tile = tile.resize((TILE, TILE), getattr(Image, "Resampling", Image).NEAREST)
            sheet.paste(tile, (NAMES + column * step, top))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    write_atomically(path, buffer.getvalue())
