"""Wired networks that take a beat of many one-bit pixels per cycle: whole rows at once, an engine per column.

A map comes in words. The image's are beats, which need not end where a row ends; those of every other map are whole
rows. A layer reads vectors of it: a convolution those rows that `rows` rows of windows need, a dense layer the
map. Which word completes which vector is known beforehand (`Reads`), so nothing between the layers ever waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bnn.geometry import Geometry, ceil_div, walk
from bnn.model import Layer, Model, ModelError, shapes
from hls.designs import DesignError
from hls.wired import beats, verilog
from hls.wired.beats import Beat

if TYPE_CHECKING:
    from hls.wired.network import Engine

BEATS = (8, 16, 32, beats.WIDEST)
"""Bits of a beat of one-bit pixels."""
START_BITS = 16
"""Bits of the place of a vector's first bit, in the schedule as `wired_rows` has it."""


class Reads(NamedTuple):
    """When a layer reads its vectors of a map that comes in words.

    Vector j has `size` bits, from bit `j * stride` of the map on. It is read with word `at[j]`, which completes it, or
    with the one after that if a vector is read with that one already; `words`: in the cycle after the last word.
    """

    words: int
    word_bits: int
    size: int
    stride: int
    at: tuple[int, ...]

    @property
    def keep(self) -> int:
        """Words behind the newest that vectors reach back to."""
        return max(ceil_div(self._back(number), self.word_bits) for number in range(len(self.at))) - 1

    def _back(self, number: int) -> int:
        """Bits from a vector's first to the end of the word that it is read with."""
        return (self.at[number] + 1) * self.word_bits - number * self.stride

    def starts(self) -> list[int]:
        """By place, 0 to `words`: the vector's first bit in the kept words, oldest first, and the newest behind them.

        A place without a vector has the start of the next one that has, or of the last.
        """
        total = (self.keep + 1) * self.word_bits
        found = {place: total - self._back(number) for number, place in enumerate(self.at)}
        result = [found[self.at[-1]]] * (self.words + 1)
        for place in range(self.words, -1, -1):
            result[place] = found.get(place, result[min(place + 1, self.words)])
        return result


class Placed(NamedTuple):
    """A layer: its vectors, and the rows and columns that it computes at once, (1, 1) of a dense layer."""

    layer: Layer
    shape: Geometry
    reads: Reads
    rows: int
    columns: int

    @property
    def engines(self) -> int:
        """Engines side by side."""
        return self.rows * self.columns

    @property
    def out_rows(self) -> int:
        """Rows of a word that it gives."""
        return max(1, self.rows // 2) if self.layer.pool else self.rows

    @property
    def out_words(self) -> int:
        """Words of the map that it gives."""
        return len(self.reads.at) // 2 if self.layer.pool and self.rows == 1 else len(self.reads.at)

    @property
    def word_bits(self) -> int:
        """Bits of a word that it gives."""
        return self.out_rows * self.shape.output[1] * self.shape.output[2]


def _reads(words: int, word_bits: int, map_bits: int, size: int, stride: int, count: int) -> Reads | None:
    """The schedule of `count` vectors; None if two of them would have to be read at once."""
    at: list[int] = []
    for number in range(count):
        complete = ceil_div(min(number * stride + size, map_bits), word_bits) - 1
        at.append(max(complete, at[-1] + 1 if at else 0))
    # a vector read after the last word comes with the next map's first one
    if at[-1] > words or at[-1] - words >= at[0]:
        return None
    return Reads(words, word_bits, size, stride, tuple(at))


def _placed(model: Model, beat: int, rows: int) -> list[Placed] | None:
    """The layers with so many rows of the first at once; None if that does not go."""
    words, word_bits = beats.beats(model, Beat(beat)), beat
    result: list[Placed] = []
    for layer, shape in zip(model.layers, walk(model), strict=True):
        height, width, channels = shape.input
        row_bits, columns = width * channels, 1
        if layer.kind == "conv":
            rows, columns = min(rows, shape.computed[0]), shape.computed[1]
            if layer.pool and rows > 1 and rows % 2:
                return None
            size, stride, count = (rows + 2) * row_bits, rows * row_bits, ceil_div(shape.computed[0], rows)
        else:
            rows, size, stride, count = 1, height * row_bits, 0, 1
        reads = _reads(words, word_bits, height * row_bits, size, stride, count)
        if reads is None:
            return None
        item = Placed(layer, shape, reads, rows, columns)
        result.append(item)
        rows, words, word_bits = item.out_rows, item.out_words, item.word_bits
    return result


def _check_width(placed: list[Placed]) -> None:
    most = 1 << START_BITS
    for item in placed:
        bits = (item.reads.keep + 1) * item.reads.word_bits
        if bits > most:
            raise ModelError(f"layer {item.layer.name}: keeps {bits} bits of rows, a wired engine has at most {most}")


def place(model: Model, beat: int) -> list[Placed]:
    """The layers with as few rows at once as beats that follow each other without a gap allow.

    Args:
        model: the network.
        beat: bits of a beat.

    Raises:
        ModelError: pixels are not bits, or a layer has padding or too wide rows.
        DesignError: no such beat.
    """
    shapes(model)
    if beat not in BEATS:
        raise DesignError(f"beat {beat}: expected {', '.join(map(str, BEATS))} bits, or 0 for a pixel per beat")
    if not model.binary_input:
        raise ModelError(f"input_table: a beat of {beat} bits has pixels of one, expected only -1 and +1")
    for layer in model.layers:
        if layer.pad:
            raise ModelError(f"layer {layer.name}: has padding, a wired engine of whole rows has none")
    for rows in range(1, model.height + 1):
        found = _placed(model, beat, rows)
        if found:
            _check_width(found)
            return found
    raise ModelError(f"image: {model.height} rows of {model.width} pixels cannot be taken in beats of {beat} bits")


def folds(placed: list[Placed]) -> list[int]:
    """The most passes that each layer has time for: a dense layer's vectors come as far apart as beats take."""
    words = placed[0].reads.words
    return [1 if item.layer.kind == "conv" else min(words, item.layer.outputs) for item in placed]


def usual_beat(model: Model) -> Beat:
    """The widest beat where pixels are bits and no layer has padding, else a pixel per beat."""
    one_bit = model.binary_input and not any(layer.pad for layer in model.layers)
    return Beat(beats.WIDEST) if one_bit else beats.PIXEL


def pack(model: Model, images: np.ndarray, beat: Beat) -> np.ndarray:
    """The beats of images, uint8 (N, H, W, C), as bytes, uint8 (N, beats * bytes of one).

    Beats of whole pixels are these. Else a bit per channel of a pixel, set where the input table has +1, in the order
    of the array, the first least significant; an image begins with a beat of its own.
    """
    if not beat.bits:
        return images.reshape(len(images), -1)
    bits = np.packbits((model.input_table[images] > 0).reshape(len(images), -1), axis=1, bitorder="little")
    return np.pad(bits, ((0, 0), (0, beats.beats(model, beat) * beat.bits // 8 - bits.shape[1])))


def latency_cycles(placed: list[Placed], built: list[Engine]) -> int:
    """Cycles from an image's first beat to its last score, beats without a gap and nothing stalled."""
    times = [word + 1 for word in range(placed[0].reads.words)]
    for item, engine in zip(placed, built, strict=True):
        passes = engine.task.passes
        times.append(times[-1] + 1)  # the cycle after the last word
        late = 1 + verilog.latency(engine.graph) + (passes if passes > 1 else 0)
        times = [times[at] + late for at in item.reads.at]
        if item.layer.pool and item.rows == 1:
            times = times[1::2]
        times = [time + 1 for time in times]
    return times[-1] - 1 + built[-1].task.outputs + 4
