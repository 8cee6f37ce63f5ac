"""What readers of `program.bin` share: images as the core finds them, its weights, its busy cycles."""

from __future__ import annotations

from typing import Iterator, NamedTuple, Tuple

import numpy as np

from bnn.check import MOST
from bnn.contract import (
    BEAT_BYTES,
    FIRST_TAPS,
    MAX_CHANNELS,
    TABLE_BYTES,
    VALUE_BITS,
    ContractError,
    FirstBeat,
    FirstValue,
    Header,
    layers,
)
from bnn.errors import ExpectedError


def image_bytes(program: bytes, images: np.ndarray) -> bytes:
    """The images as they lie in memory.

    Args:
        program: the bytes of program.bin.
        images: uint8 (N, H, W, C).

    Raises:
        ExpectedError: the images are of another shape or type than the program's, or that is too short.
    """
    header = Header.read(program)
    shape = (header.height, header.width, header.channels)
    if images.dtype != np.uint8 or images.shape[1:] != shape:
        raise ExpectedError(f"images: are {images.dtype.name} {images.shape}, expected uint8 (N, {str(shape)[1:]}")
    pixels = int(np.prod(shape))
    # not the bytes that the header says: a damaged one may say any number, and the core refuses it
    rows = np.zeros((len(images), -(-pixels // BEAT_BYTES) * BEAT_BYTES), np.uint8)
    rows[:, :pixels] = images.reshape(len(images), pixels)
    return rows.tobytes()


def score_columns(program: bytes) -> int:
    """Scores of an image in the memory behind a run: the classes, 0 where no core runs a program of so many.

    Each class has 32 bits of weights at least, so scores take no more memory an image than the program.

    Raises:
        ContractError: the program is shorter than its header.
    """
    classes = Header.read(program).classes
    return classes if classes <= min(MOST, len(program) // 4) else 0


def value_order(channels: int, simd: int) -> np.ndarray:
    """Of every place of a channel in a first-layer block with values, in whole words of SIMD: which channel it is."""
    word, at = np.divmod(np.arange(channels), simd)
    return np.asarray(word * simd + at % (simd // VALUE_BITS) * VALUE_BITS + at // (simd // VALUE_BITS))


class FirstSums(NamedTuple):
    """The first layer of a program whose first layer is a convolution, by channel; planes follow each other."""

    weights: np.ndarray
    """uint8 (channels, 3, 3, C)"""
    thresholds: np.ndarray
    """int32 (channels,)"""
    flips: np.ndarray
    """uint8 (channels,)"""
    scales: np.ndarray
    """int64 (channels with a value,)"""
    offsets: np.ndarray
    """int64 (channels with a value,)"""


def first_layer(program: bytes) -> FirstSums:
    """The first layer of a checked program whose first layer is a convolution.

    Raises:
        ContractError: the program ends before it.
    """
    header = Header.read(program)
    channels, valued = header.first_channels, header.value_channels
    if header.first + TABLE_BYTES + BEAT_BYTES * (channels + valued) > len(program):
        raise ContractError(f"program: {len(program)} bytes, its first layer ends behind them")
    beats = np.frombuffer(program, "<i8", channels + valued, header.first + TABLE_BYTES)
    beats, factors = beats[:channels], beats[channels:]
    if valued:
        places = np.argsort(value_order(channels, header.simd))
        beats, factors = beats[places], factors[places[:valued]]
    bits = FirstBeat.weights.extract(beats)[:, None] >> np.arange(FIRST_TAPS * MAX_CHANNELS) & 1
    weights = bits.astype(np.uint8).reshape(-1, 3, 3, MAX_CHANNELS)[:, :, :, : header.channels]
    return FirstSums(
        np.ascontiguousarray(weights),
        FirstBeat.threshold.extract(beats).astype(np.int32),
        FirstBeat.flip.extract(beats).astype(np.uint8),
        FirstValue.scale.extract(factors),
        FirstValue.offset.extract(factors),
    )


def layer_weights(program: bytes) -> Iterator[Tuple[np.ndarray, np.ndarray]]:
    """Of every array layer of a checked program the header words and the weights.

    Yields:
        Header words int64 (words, G * PE), and bits uint8 (G, group_words, PE, SIMD).
    """
    header = Header.read(program)
    pe, simd = header.pe, header.simd
    at = {True: header.weights_a, False: header.weights_b}
    for index, item in enumerate(layers(program)):
        in_a = index < header.layers_a
        size = item.weight_words * pe * simd // 8
        raw = np.frombuffer(program, np.uint8, size, at[in_a])
        at[in_a] += (item.weight_words - item.weights_back) * pe * simd // 8
        words = raw.reshape(item.groups, item.headers + item.group_words, pe, simd // 8)
        head = np.ascontiguousarray(words[:, : item.headers, :, :4].swapaxes(0, 1)).view("<u4")
        headers = head.reshape(item.headers, item.groups * pe).astype(np.int64)
        yield headers, np.unpackbits(words[:, item.headers :], axis=-1, bitorder="little")


def busy_cycles(program: bytes, count: int) -> int:
    """Cycles in which the array multiplies in a run of `count` images.

    Raises:
        ContractError: the program ends before its descriptors.
    """
    header, descriptors, total = Header.read(program), layers(program), 0
    for start in range(0, count, header.batch):
        images = min(header.batch, count - start)
        parts = [min(header.sub_batch, images - at) for at in range(0, images, header.sub_batch)]
        for index, item in enumerate(descriptors):
            for size in parts if index < header.layers_a else [images]:
                total += item.busy_cycles(size, header.lanes)
    return total
