"""A program run fast: whole maps at a time through the memories of docs/ARCHITECTURE.md, bit for bit as the cores.

`sim.program_model` follows the specification word by word; this computes the same from index arrays and products of
matrices, of which every sum is an exact integer.
"""

from __future__ import annotations

from typing import List, NamedTuple, Tuple

import numpy as np

from bnn.contract import (
    TABLE_BYTES,
    VALUE_BITS,
    CoefficientHeader,
    Descriptor,
    Header,
    ScoreHeader,
    ThresholdHeader,
    VectorHeader,
    layers,
)
from bnn.program import first_layer, layer_weights
from sim.records import (
    Place,
    Written,
    first_values,
    first_written,
    images_before,
    layer_written,
    pixel_planes,
    shortcut_place,
    source_place,
    value_bits,
    values_of,
)

CHUNK_BYTES = 1 << 27
"""What the operands of a layer take at a time."""


class _Weights(NamedTuple):
    """A layer's header words int64 (words, G * PE), and its weights as -1 and +1, float32 (M, steps * SIMD, G * PE)."""

    headers: np.ndarray
    signs: np.ndarray


def _pooled(maps: np.ndarray) -> np.ndarray:
    """Maximum over 2x2 of (..., H, W, C)."""
    rows = np.maximum(maps[..., 0::2, :, :], maps[..., 1::2, :, :])
    return np.asarray(np.maximum(rows[..., 0::2, :], rows[..., 1::2, :]))


class Machine:
    """A checked program and the memories it works on.

    Args:
        program: its bytes.
        act_depth: ACT_DEPTH of the design; addresses are taken modulo it.
    """

    def __init__(self, program: bytes, act_depth: int) -> None:
        self.header = head = Header.read(program)
        self.layers = layers(program)
        self.table = np.frombuffer(program, np.int8, TABLE_BYTES, head.first)
        self.memory = np.zeros((head.lanes, act_depth, head.simd), np.uint8)
        self.first = first_layer(program) if head.first_channels else None
        self.weights = [self._signs(item, *found) for item, found in zip(self.layers, layer_weights(program))]

    def _signs(self, item: Descriptor, headers: np.ndarray, bits: np.ndarray) -> _Weights:
        bits = bits.reshape(item.groups, item.bases, item.group_words // item.bases, self.header.pe, self.header.simd)
        rows = bits.transpose(1, 2, 4, 0, 3).reshape(item.bases, -1, item.groups * self.header.pe)
        return _Weights(headers, 2 * rows.astype(np.float32) - 1)

    def run(self, images: np.ndarray) -> np.ndarray:
        """Scores int32 (N, classes) of images uint8 (N, H, W, C)."""
        head = self.header
        scores = np.zeros((len(images), head.classes), np.int32)
        for number, start in enumerate(self._starts(len(images))):
            batch_end = min(start // head.batch * head.batch + head.batch, len(images))
            count = min(head.sub_batch, batch_end - start)
            self._first_layer(images[start : start + count], number % 2 == 1)
            for index in range(head.layers_a):
                self._layer(index, number % 2 == 1, start, count, scores)
            if start + count == batch_end:
                begin = start // head.batch * head.batch
                for index in range(head.layers_a, head.layers):
                    self._layer(index, False, begin, batch_end - begin, scores)
        return scores

    def _starts(self, count: int) -> List[int]:
        """First images of the sub-batches."""
        batch, size = self.header.batch, self.header.sub_batch
        return [at for start in range(0, count, batch) for at in range(start, min(start + batch, count), size)]

    def _pixels(self, place: Place, first: int, shape: Tuple[int, ...]) -> Tuple[np.ndarray, np.ndarray]:
        """Lanes and addresses of the records of (N, H, W) pixels, the first being of image `first`."""
        image, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
        lane, at = place.pixel(image + first, y, x, self.header.lanes)
        return np.broadcast_to(lane, shape), np.broadcast_to(at, shape)

    def _read(self, lane: np.ndarray, at: np.ndarray, words: int) -> np.ndarray:
        """Words of records, uint8 (..., words * SIMD)."""
        found = self.memory[lane[..., None], (at[..., None] + np.arange(words)) % self.memory.shape[1]]
        return np.asarray(found.reshape(*lane.shape, words * self.header.simd))

    def _write(self, lane: np.ndarray, at: np.ndarray, bits: np.ndarray) -> None:
        """Whole words of records, of bits (..., n)."""
        simd = self.header.simd
        words = -(-bits.shape[-1] // simd)
        whole = np.zeros((*lane.shape, words * simd), np.uint8)
        whole[..., : bits.shape[-1]] = bits
        places = (at[..., None] + np.arange(words)) % self.memory.shape[1]
        self.memory[lane[..., None], places] = whole.reshape(*lane.shape, words, simd)

    def _first_layer(self, images: np.ndarray, odd: bool) -> None:
        head = self.header
        written = first_written(head, self.layers, odd)
        values = self.table[images].astype(np.int32)
        if self.first is None:
            maps = pixel_planes(head, values)
            maps = maps.reshape(len(maps), len(images), *written.shape)
            lane, at = self._pixels(written.place, 0, maps.shape[1:4])
            for plane, bits in enumerate(maps):
                self._write(lane, at + plane * written.plane_words, bits)
            return
        weights, thresholds, flips = self.first[:3]
        pad = int(head.pad)
        padded = np.pad(values, ((0, 0), (pad, pad), (pad, pad), (0, 0))).astype(np.float32)
        rows, columns = head.rows, head.columns
        taps = [padded[:, ky : ky + rows, kx : kx + columns] for ky in range(3) for kx in range(3)]
        signs = 2 * weights.reshape(len(weights), -1).astype(np.float32) - 1
        sums = np.concatenate(taps, axis=3) @ signs.T
        sums = _pooled(sums) if head.pool else sums  # the OR over the pool is the bit of its maximum
        lane, at = self._pixels(written.place, 0, sums.shape[:3])
        self._write(lane, at, (sums >= thresholds).astype(np.uint8) ^ flips)
        if head.value_channels:
            value = first_values(head, self.first, sums)
            self._write(lane, at + written.value_word, value_bits(value, head.simd))

    def _columns(self, item: Descriptor) -> int:
        """Columns that a layer writes."""
        if item.dense:
            return 1
        across = item.blocks if item.by_image else item.blocks * self.header.lanes
        return min(item.out_columns, across // 2 if (item.pool or item.stride2) and not item.by_image else across)

    def _patches(self, item: Descriptor, place: Place, first: int, count: int, plane: int) -> np.ndarray:
        """The inputs of a pass as -1 and +1, float32 (N, rows, columns, steps * SIMD)."""
        words, pad, simd = item.tap_words, item.padding, self.header.simd
        step = 2 if item.stride2 else 1
        columns = self._columns(item) * (2 if item.pool else 1)
        kernel, outputs = item.kernel, (item.rows, columns)
        # what the taps reach, of which the map has `inside` rows and columns behind the padding
        reach = [(edge - 1) * step + taps for edge, taps in zip(outputs, kernel)]
        inside = [max(0, min(size, edge - pad)) for size, edge in zip((item.height, item.width), reach)]
        lane, at = self._pixels(place, first, (count, *inside))
        bits = self._read(lane, at + plane * words, words)
        padding = np.full(words * simd, int(item.pad_one or (item.pad_first and plane == 0)), np.uint8)
        padding[(words - 1) * simd + item.last_bits :] = 0
        signs = np.empty((count, *reach, words * simd), np.float32)
        signs[:] = 2.0 * padding - 1
        signs[:, pad : pad + inside[0], pad : pad + inside[1]] = 2.0 * bits - 1
        taps = [
            signs[:, ky : ky + reach[0] - kernel[0] + 1 : step, kx : kx + reach[1] - kernel[1] + 1 : step]
            for ky, kx in np.ndindex(*kernel)
        ]
        return np.concatenate(taps, axis=3)

    def _sums(self, item: Descriptor, weights: _Weights, place: Place, first: int, count: int) -> np.ndarray:
        """acc, or with `vector` U: int64 (N, rows, columns, G * PE)."""
        found = {}
        for plane in range(item.planes):
            patches = self._patches(item, place, first, count, plane)
            rows = patches.reshape(-1, patches.shape[3])
            for base in range(item.bases):
                matches = (rows @ weights.signs[base] + rows.shape[1]).astype(np.int32) >> 1
                found[base, plane] = matches.reshape(*patches.shape[:3], -1)
        if not item.vector:
            return np.asarray(sum(found.values()))
        bases, planes = range(item.bases), range(item.planes)
        order = (
            [(base, plane) for plane in planes for base in bases]
            if item.planes_outer
            else [(base, plane) for base in bases for plane in planes]
        )
        going = len(order) // item.hand_overs
        factors = CoefficientHeader.coefficient.extract(weights.headers[: item.hand_overs])
        return np.asarray(sum(factors[number // going] * found[key] for number, key in enumerate(order)))

    def _values(self, item: Descriptor, odd: bool, first: int, y: np.ndarray, x: np.ndarray, count: int) -> np.ndarray:
        """The shortcut's values at pixels, int64 (N, H, W, G * PE)."""
        image = np.arange(first, first + count)[:, None, None]
        lane, at = np.broadcast_arrays(*shortcut_place(item, odd).pixel(image, y, x, self.header.lanes))
        if not lane.size:  # a damaged program may have no pixels
            return np.zeros((*lane.shape, item.groups * self.header.pe), np.int64)
        # it may also name any number of words: those of the layer's channels are looked at
        words = -(-item.groups * self.header.pe // self.header.simd) * VALUE_BITS
        words = min(words, -(-item.shortcut_values // VALUE_BITS) * VALUE_BITS)
        bits = self._read(lane, at + item.shortcut_word, words)
        found = values_of(bits.reshape(lane.size, -1), self.header.simd)
        wide = np.zeros((lane.size, item.groups * self.header.pe), np.int64)
        channels = min(wide.shape[1], found.shape[1])
        wide[:, :channels] = found[:, :channels]
        return wide.reshape(*lane.shape, -1)

    def _added(self, item: Descriptor, odd: bool, first: int, count: int) -> np.ndarray:
        y, x = np.ogrid[: item.rows, : self._columns(item)]
        if not item.stride2 or item.shortcut_same:
            return self._values(item, odd, first, y, x, count)
        if not item.shortcut_average:
            return self._values(item, odd, first, 2 * y, 2 * x, count)
        near = [self._values(item, odd, first, 2 * y + dy, 2 * x + dx, count) for dy in (0, 1) for dx in (0, 1)]
        return np.asarray((sum(near) + 2) >> 2)

    @property
    def image_bytes(self) -> int:
        """About the most that a layer's operands and results take for one image."""
        found = 0
        for item in self.layers:
            pixels = item.height * item.width if item.average else item.rows * self._columns(item)
            steps = max(1, item.group_words // item.bases) * self.header.simd
            found = max(found, 8 * pixels * max(steps, item.groups * self.header.pe))
        return found

    def _layer(self, index: int, odd: bool, start: int, count: int, scores: np.ndarray) -> None:
        item = self.layers[index]
        size = count * item.rows * self._columns(item) * max(1, item.group_words // item.bases) * self.header.simd * 8
        chunk = max(1, min(count, CHUNK_BYTES * count // max(1, size)))
        written = layer_written(item)
        before = images_before(self.header, item, start)
        for first in range(0, count, chunk):
            number = min(chunk, count - first)
            self._part(item, self.weights[index], odd, start, before, first, number, written, scores)

    def _part(
        self,
        item: Descriptor,
        weights: _Weights,
        odd: bool,
        start: int,
        before: int,
        first: int,
        count: int,
        written: Written,
        scores: np.ndarray,
    ) -> None:
        """Run a layer on `count` images from the `first` of its run on."""
        if item.average:
            y, x = np.ogrid[: item.height, : item.width]
            factor = CoefficientHeader.coefficient.extract(weights.headers[0])
            total = factor * self._values(item, odd, first, y, x, count).sum((1, 2), keepdims=True)
        else:
            total = self._sums(item, weights, source_place(item, odd), first, count)
        headers = weights.headers[item.hand_overs :] if item.vector else weights.headers
        if item.scores:
            if item.vector:
                wide = total + VectorHeader.offset.extract(headers[0])
            else:
                offset, scale = (
                    field.extract(headers[field.word]) for field in (ScoreHeader.offset, ScoreHeader.scale)
                )
                wide = scale * total + offset
            found = wide[:, 0, 0, : item.outputs].astype(np.int32)  # in two's complement
            scores[start + first : start + first + count] = found
            return
        if item.vector:
            planes, value = self._vector(item, headers, total, odd, first)
        else:
            bits = (total >= ThresholdHeader.threshold.extract(headers[0])).astype(np.uint8)
            planes = [
                (_pooled(bits) if item.pool else bits) ^ ThresholdHeader.flip.extract(headers[0]).astype(np.uint8)
            ]
            value = total
        lane, at = self._pixels(written.place, before + first, planes[0].shape[:3] if planes else value.shape[:3])
        for plane, bits in enumerate(planes):
            self._write(lane, at + plane * written.plane_words, bits)
        if item.value:
            self._write(lane, at + item.value_word, value_bits(value, self.header.simd))

    def _vector(
        self, item: Descriptor, headers: np.ndarray, total: np.ndarray, odd: bool, first: int
    ) -> Tuple[List[np.ndarray], np.ndarray]:
        """Planes uint8 (N, H, W, G * PE) and the value int64."""
        added = self._added(item, odd, first, len(total)) if item.shortcut else 0
        planes, value = [], total
        for plane in range(max(1, item.thresholds)):
            part = headers[VectorHeader.WORDS * plane :]
            offset, limit, flip = (
                field.extract(part[field.word])
                for field in (VectorHeader.offset, VectorHeader.limit, VectorHeader.flip)
            )
            found = np.clip(((total + offset) >> item.shift) + added, *item.value_range)
            found = _pooled(found) if item.pool else found
            value = value if plane else found
            if plane < item.thresholds:
                planes.append((found >= limit).astype(np.uint8) ^ flip.astype(np.uint8))
        if item.bit_planes:
            planes = [(value >> bit & 1).astype(np.uint8) for bit in range(item.given_planes - 1, -1, -1)]
        return planes, value
