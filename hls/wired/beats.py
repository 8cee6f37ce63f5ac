"""What a beat of a wired network's input stream holds, and how many of them an image has."""

from __future__ import annotations

from typing import NamedTuple

from bnn.geometry import ceil_div
from bnn.model import Model

WIDEST = 64
"""Bits of the widest beat: of an HP port of the Zynq-7000."""


class Beat(NamedTuple):
    """A beat of `s_axis`: `bits` bits of one-bit pixels, or, with 0 of them, `pixels` neighbouring pixels of a row."""

    bits: int = 0
    pixels: int = 1

    def text(self) -> str:
        """What one is called in a report."""
        if self.bits:
            return f"{self.bits} bits"
        return f"{self.pixels} pixels" if self.pixels > 1 else "a pixel"


PIXEL = Beat()
"""A pixel per beat."""


def beats(model: Model, beat: Beat = PIXEL) -> int:
    """Beats per image."""
    pixels = model.height * model.width
    return ceil_div(pixels * model.channels, beat.bits) if beat.bits else pixels // beat.pixels


def period_cycles(model: Model, beat: Beat = PIXEL) -> int:
    """Cycles per image in a steady stream."""
    return max(beats(model, beat), len(model.classes))
