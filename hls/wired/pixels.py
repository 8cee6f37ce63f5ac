"""Wired networks that take a beat of whole pixels per cycle: one, or a few neighbours of a row.

A map comes row by row in words of some pixels, and a convolution has an engine per pixel of a word. A pool leaves
words of half as many pixels, at a quarter of the rate; in front of a convolution that has the time they are narrowed,
down to words of one pixel, whose one engine then takes several passes where there is time for them as well.
"""

from __future__ import annotations

from typing import NamedTuple

from bnn.geometry import Geometry, walk
from bnn.model import Layer, Model, ModelError, shapes
from hls.designs import DesignError
from hls.wired import beats
from hls.wired.beats import Beat


class Words(NamedTuple):
    """How a map comes: `row` words of `pixels` pixels per row, of which the first `empty` pixels are of no map."""

    pixels: int
    row: int
    empty: int = 0

    def narrowed(self, pixels: int) -> Words:
        """The same in words of fewer pixels, without those that would be empty."""
        return Words(pixels, self.row * self.pixels // pixels - self.empty // pixels, self.empty % pixels)


class Placed(NamedTuple):
    """A layer: how its map comes, how its engines take it, and what they give before the pool and after it.

    A row of the map that it takes has `skip` words that complete no window.
    """

    layer: Layer
    shape: Geometry
    comes: Words
    takes: Words
    computes: Words
    gives: Words
    skip: int

    @property
    def engines(self) -> int:
        """Engines side by side."""
        return self.takes.pixels if self.layer.kind == "conv" else 1

    @property
    def parts(self) -> int:
        """Words taken of each that comes; 1: they are the same."""
        return self.comes.pixels // self.takes.pixels

    @property
    def left_out(self) -> int:
        """Of these parts, those of a row's first word that are empty."""
        return self.comes.empty // self.takes.pixels

    @property
    def words(self) -> int:
        """Words taken per map."""
        return self.shape.input[0] * self.takes.row

    @property
    def vector_pixels(self) -> int:
        """Pixels that the engines see at once, those of several windows side by side or of the words of a map."""
        return 3 * (self.takes.pixels + 2) if self.layer.kind == "conv" else self.map_pixels

    @property
    def map_pixels(self) -> int:
        """Pixels of these words, the empty ones included."""
        return self.words * self.takes.pixels


def _check(model: Model, pixels: int) -> None:
    if pixels < 1 or model.width % pixels:
        raise DesignError(f"{pixels} pixels per cycle: expected a divisor of {model.width}, the width of an image")
    bits = 8 * model.channels * pixels
    if pixels > 1 and bits > beats.WIDEST:
        raise DesignError(f"{pixels} pixels per cycle: {bits} bits, expected at most {beats.WIDEST}")


def _computed(layer: Layer, takes: Words) -> tuple[Words, int]:
    """What a convolution gives before its pool, and the words of a row that complete no window."""
    if layer.pad and takes.empty:
        raise ModelError(
            f"layer {layer.name}: pads rows that begin with pixel {takes.empty} of a word of {takes.pixels}, "
            "expected fewer pixels per cycle"
        )
    skip, empty = (0, 0) if layer.pad else divmod(takes.empty + 2, takes.pixels)
    return Words(takes.pixels, takes.row - skip, empty), skip


def _pooled(layer: Layer, words: Words) -> Words:
    if words.pixels == 1:
        return Words(1, words.row // 2)
    if words.pixels % 2 or words.empty % 2:
        raise ModelError(
            f"layer {layer.name}: a pool takes pairs, its rows begin with pixel {words.empty} of a word of "
            f"{words.pixels}, expected fewer pixels per cycle"
        )
    return Words(words.pixels // 2, words.row, words.empty // 2)


def place(model: Model, pixels: int = 1) -> list[Placed]:
    """The layers with as few engines as beats of so many pixels that follow each other without a gap allow.

    Raises:
        ModelError: a layer pads or pools a map whose rows do not begin where the words do.
        DesignError: rows are not whole beats of so many pixels, or those are too wide.
    """
    shapes(model)
    _check(model, pixels)
    period = beats.period_cycles(model, Beat(pixels=pixels))
    comes = Words(pixels, model.width // pixels)
    result = []
    for layer, shape in zip(model.layers, walk(model), strict=True):
        takes, gives, computes, skip = comes, Words(1, 1), Words(1, 1), 0
        if layer.kind == "conv":
            if layer is not model.layers[0]:
                divisors = [number for number in range(1, comes.pixels + 1) if comes.pixels % number == 0]
                each = [comes.narrowed(number) for number in divisors]
                takes = next(words for words in each if shape.input[0] * words.row <= period)
            computes, skip = _computed(layer, takes)
            gives = _pooled(layer, computes) if layer.pool else computes
        result.append(Placed(layer, shape, comes, takes, computes, gives, skip))
        comes = gives
    return result


def folds(model: Model, pixels: int = 1) -> list[int]:
    """The most passes that each layer has time for while images follow each other without a gap."""
    period = beats.period_cycles(model, Beat(pixels=pixels))
    result = []
    for item in place(model, pixels):
        conv, vectors = item.layer.kind == "conv", item.shape.convolved[0] * item.shape.convolved[1]
        # a cycle for each word that completes no vector
        spare = period - max(0, item.words - vectors)
        one = conv and (item.layer is model.layers[0] or item.engines > 1)
        result.append(1 if one else max(1, min(item.layer.outputs, spare // vectors)))
    return result
