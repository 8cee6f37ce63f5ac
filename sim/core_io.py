"""What the simulations of the core have in common: images in memory, traces, statistics of a run.

The trace file is a sequence of records: seven little-endian int32 (run, layer + 1, first image of
the run, images, first, words, cycle) and then, lane by lane, `words` activation words of SIMD bits.
`first` is the place of the first image in a region that is written by image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional

import numpy as np

from bnn.contract import Header, layers
from hls.designs import Design

RUNS = 2
"""Runs of one simulation, back to back."""


@dataclass(frozen=True)
class Stats:
    """One run of a core; None where a simulation has no clock or no bus.

    `cycles` and `busy` are the registers of that name, `interrupt_cycles` those from the accepted
    ap_start to the interrupt, the beats those of the 64-bit memory port. `waits` are the cycles in which the
    array did not multiply, by cause: "weights" not in the ring yet, "first_layer" not done, "write_back" of a
    layer that is written serially, "scores", "switching" of groups and layers, "program" being read. Their sum
    and `busy` are the `cycles` of a run without error.
    """

    busy: int
    error: int = 0
    cycles: Optional[int] = None
    interrupt_cycles: Optional[int] = None
    read_beats: Optional[int] = None
    write_beats: Optional[int] = None
    waits: Optional[Dict[str, int]] = None


def decode(design: Design, program: bytes, content: bytes, run: int) -> Dict[int, np.ndarray]:
    """The traces of one run.

    Args:
        design: what the core was built with.
        program: the bytes of program.bin of that run.
        content: the bytes of the trace file.
        run: number of the run.

    Returns:
        Every layer's bits, uint8 (N, H, W, C), (N, 1, 1, C) after dense layers and in pack mode; key -1 is
        the first-layer engine, key j array layer j.
    """
    lanes, simd = design.lanes, design.simd
    parts: Dict[int, List[np.ndarray]] = {}
    at = 0
    while at < len(content):
        number, layer, _, count, first, words, _ = np.frombuffer(content, "<i4", 7, at).tolist()
        size = lanes * words * simd // 8
        raw = np.frombuffer(content, np.uint8, size, at + 28)
        at += 28 + size
        if number == run:
            memory = np.unpackbits(raw, bitorder="little").reshape(lanes, words, simd)
            parts.setdefault(layer - 1, []).append(_bits(program, layer - 1, memory, first, count))
    return {layer: np.concatenate(bits) for layer, bits in parts.items()}


def _bits(program: bytes, layer: int, memory: np.ndarray, first: int, count: int) -> np.ndarray:
    """The bits of one record (N, H, W, C), from memory (LANES, words, SIMD)."""
    head = Header.read(program)
    lanes = len(memory)
    if layer < 0:
        step = 2 if head.pool else 1
        image_stride, row_stride, words = head.out_image_stride, head.out_row_stride, head.out_words
        by_image = not head.first_channels
        shape = (head.rows // step, head.columns // step, head.first_channels)
        if by_image:
            shape = (1, 1, head.elements)
    else:
        item = layers(program)[layer]
        image_stride, row_stride, words = item.dest_image_stride, item.dest_row_stride, item.dest_words
        by_image = item.serial or item.dense
        shape = (item.rows // (2 if item.pool else 1), item.out_columns, item.outputs)
        if item.dense:
            shape = (1, 1, item.outputs)
    height, width, channels = shape
    bits = np.zeros((count, *shape), np.uint8)
    for image, y, x in np.ndindex(count, height, width):
        if by_image:
            lane, block = (first + image) % lanes, (first + image) // lanes
            address = block * image_stride + (y * width + x) * words
        else:
            lane, address = x % lanes, image * image_stride + y * row_stride + x // lanes * words
        bits[image, y, x] = memory[lane, address : address + words].reshape(-1)[:channels]
    return bits


def same_runs(scores: List[np.ndarray], traces: List[Dict[int, np.ndarray]]) -> Optional[str]:
    """What differs between the runs of one simulation, or None."""
    if any((other != scores[0]).any() for other in scores):
        return "the scores of two runs back to back differ"
    for other in traces:
        for layer, bits in traces[0].items():
            if not np.array_equal(bits, other[layer]):
                return f"the bits of layer {layer} differ between two runs back to back"
    return None
