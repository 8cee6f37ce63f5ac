"""Where what layers read and write lies in the activation memory, and how it is read back: planes and a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence, Tuple

import numpy as np

from bnn.contract import VALUE_BITS, Descriptor, Header
from bnn.golden import Output
from bnn.program import FirstSums


@dataclass(frozen=True)
class Place:
    """Where a map's records lie, by pixel or by image."""

    base: int
    image_stride: int
    row_stride: int
    record: int
    by_image: bool

    def pixel(self, image: Any, y: Any, x: Any, lanes: int) -> Tuple[Any, Any]:
        """Lane and address of a pixel's record, or of many, of numbers or arrays; `image` counts all of the region."""
        if self.by_image:
            return image % lanes, (
                self.base + image // lanes * self.image_stride + y * self.row_stride + x * self.record
            )
        return x % lanes, self.base + image * self.image_stride + y * self.row_stride + x // lanes * self.record


@dataclass(frozen=True)
class Written:
    """The map that a layer writes: (H, W, C), K planes of `plane_words` each, and a value or none."""

    place: Place
    shape: Tuple[int, int, int]
    planes: int
    plane_words: int
    value_word: int = -1
    """First word of the value in a record; -1: there is none"""

    def read(self, memory: np.ndarray, first: int, count: int) -> Output:
        """What it holds of some images.

        Args:
            memory: bits, uint8 (LANES, words, SIMD).
            first: the first image's place in the region.
            count: images.
        """
        lanes, depth, simd = memory.shape
        height, width, channels = self.shape
        spots = [
            self.place.pixel(first + image, y, x, lanes)
            for image in range(count)
            for y in range(height)
            for x in range(width)
        ]
        lane, at = np.array(spots, np.int64).reshape(-1, 2).T
        shape = (count, height, width, channels)

        def words(start: int, bits: int) -> np.ndarray:
            found = memory[lane[:, None], (at[:, None] + start + np.arange(-(-bits // simd))) % depth]
            return np.asarray(found.reshape(len(at), -1)[:, :bits])

        planes = np.zeros((self.planes, *shape), np.uint8)
        for plane in range(self.planes):
            planes[plane] = words(plane * self.plane_words, channels).reshape(shape)
        if self.value_word < 0:
            return Output(planes)
        found = words(self.value_word, VALUE_BITS * self.plane_words * simd)
        return Output(planes, values_of(found, simd)[:, :channels].astype(np.int16).reshape(shape))


def values_of(bits: np.ndarray, simd: int) -> np.ndarray:
    """The values of some records by channel, int8 (N, C), of the bits of their words, uint8 (N, words * SIMD).

    Byte j of the s-th of eight words is channel 8j + s.
    """
    packed = np.packbits(bits, axis=1, bitorder="little").view(np.int8)
    words = packed.reshape(len(bits), -1, VALUE_BITS, simd // VALUE_BITS)
    return np.asarray(words.swapaxes(2, 3).reshape(len(bits), -1))


def value_bits(value: np.ndarray, simd: int) -> np.ndarray:
    """The bits of the words of values (..., C), uint8 (..., words * SIMD): what `values_of` reads."""
    words = -(-value.shape[-1] // simd)
    whole = np.zeros((*value.shape[:-1], words * simd), np.uint8)
    whole[..., : value.shape[-1]] = value & 0xFF
    parts = whole.reshape(*value.shape[:-1], words, simd // VALUE_BITS, VALUE_BITS).swapaxes(-1, -2)
    return np.unpackbits(parts.reshape(*value.shape[:-1], -1), axis=-1, bitorder="little")


def first_values(header: Header, first: FirstSums, total: np.ndarray) -> np.ndarray:
    """The first layer's values, int64 (..., channels with a value), of its sums (..., channels) behind the pool."""
    scaled = total[..., : header.value_channels].astype(np.int64) * first.scales + first.offsets
    return np.asarray(np.clip(scaled >> header.shift, *header.value_range))


def first_written(header: Header, descriptors: Sequence[Descriptor], odd: bool) -> Written:
    """What the first layer writes for a sub-batch; without sums H and W of a packed image are 1."""
    base = header.out_odd if odd else header.out_even
    by_image = not (header.first_channels or header.pixel_map)
    place = Place(base, header.out_image_stride, header.out_row_stride, header.out_words, by_image)
    if not header.first_channels:
        shape = (1, 1, header.elements) if by_image else (header.height, header.width, header.channels)
        planes = max(1, header.first_planes)
        return Written(place, shape, planes, header.out_words // planes)
    step = 2 if header.pool else 1
    size = header.rows // step, header.columns // step
    if header.value_channels:
        planes, words = header.first_channels // header.value_channels, header.value_channels // header.simd
        return Written(place, (*size, header.value_channels), planes, words, header.first_channels // header.simd)
    reader = next(item for item in descriptors if item.from_first)
    planes = reader.planes  # all that there are
    words = header.out_words // planes
    channels = header.first_channels - (planes - 1) * words * header.simd
    return Written(place, (*size, channels), planes, words)


def pixel_planes(header: Header, values: np.ndarray) -> np.ndarray:
    """What the first layer writes where it gives no sums, uint8 (K, N, H, W, C), of the table's values (N, H, W, C).

    Planes are the bits of a value, the most significant first; without planes it is its sign.
    """
    planes = header.first_planes
    codes = values + (1 << planes - 1) if planes else (values > 0).astype(np.int32)
    bits = [codes >> bit & 1 for bit in range(max(planes, 1) - 1, -1, -1)]
    return np.asarray(np.stack(bits).astype(np.uint8))


def source_place(item: Descriptor, odd: bool) -> Place:
    """Where the map lies that an array layer reads."""
    base = item.source_odd if odd else item.source_even
    by_image = item.dense or item.by_image
    return Place(base, item.source_image_stride, item.source_row_stride, item.record, by_image)


def shortcut_place(item: Descriptor, odd: bool) -> Place:
    """Where the map lies whose value an array layer adds or averages."""
    base = item.shortcut_odd if odd else item.shortcut_even
    by_image = item.dense or item.by_image
    return Place(base, item.shortcut_image_stride, item.shortcut_row_stride, item.shortcut_words, by_image)


def images_before(header: Header, item: Descriptor, start: int) -> int:
    """Images in front of those that a layer writes from image `start` of the run on: those of the batch, or none."""
    if header.layers_a == header.layers or not item.in_batch:
        return 0
    before = start % header.batch
    return before if item.serial else before - before % header.lanes  # dense layers write whole blocks


def layer_written(item: Descriptor) -> Written:
    """What an array layer writes; H and W are 1 behind dense layers and averages."""
    by_image = item.dense or item.by_image or item.serial
    place = Place(item.dest_base, item.dest_image_stride, item.dest_row_stride, item.dest_words, by_image)
    shape = (1, 1, item.outputs)
    if not item.dense:
        shape = (item.rows // (2 if item.pool else 1), item.out_columns, item.outputs)
    words = item.plane_words or item.dest_words
    return Written(place, shape, item.given_planes, words, item.value_word if item.value else -1)
