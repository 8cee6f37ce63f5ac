"""What the simulations of the core have in common: images in memory, traces, statistics of a run.

The trace file is a sequence of records: seven little-endian int32 (run, layer + 1, first image of
the run, images, first, words, cycle) and then, lane by lane, `words` activation words of SIMD bits.
`first` is the place of the first image in a region that is written by image.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Dict, List, Optional

import numpy as np

from bnn.contract import Header, layers
from bnn.golden import Output
from hls.designs import Design
from sim.records import first_written, layer_written

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


def decode(design: Design, program: bytes, content: bytes, run: int) -> Dict[int, Output]:
    """The traces of one run.

    Args:
        design: what the core was built with.
        program: the bytes of program.bin of that run.
        content: the bytes of the trace file.
        run: number of the run.

    Returns:
        What every layer has written; key -1 is the first layer, key j array layer j. H and W are 1 after dense layers
        and in pack mode; the value is None where none is written.
    """
    if not content:  # nothing was traced; a damaged program need not have descriptors
        return {}
    lanes, simd = design.lanes, design.simd
    head, items = Header.read(program), layers(program)
    parts: Dict[int, List[Output]] = {}
    at = 0
    while at < len(content):
        number, layer, _, count, first, words, _ = np.frombuffer(content, "<i4", 7, at).tolist()
        size = lanes * words * simd // 8
        raw = np.frombuffer(content, np.uint8, size, at + 28)
        at += 28 + size
        if number == run:
            memory = np.unpackbits(raw, bitorder="little").reshape(lanes, words, simd)
            written = first_written(head, items, False) if layer == 0 else layer_written(items[layer - 1])
            here = replace(written, place=replace(written.place, base=0))
            parts.setdefault(layer - 1, []).append(here.read(memory, first, count))
    return {layer: joined(found) for layer, found in parts.items()}


def joined(parts: List[Output]) -> Output:
    """The outputs of all images, of parts of them."""
    values = [part.value for part in parts if part.value is not None]
    planes = np.concatenate([part.planes for part in parts], axis=1)
    return Output(planes, np.concatenate(values) if values else None)


def same_runs(scores: List[np.ndarray], traces: List[Dict[int, Output]]) -> Optional[str]:
    """What differs between the runs of one simulation, or None."""
    if any((other != scores[0]).any() for other in scores):
        return "the scores of two runs back to back differ"
    for other in traces:
        for layer, output in traces[0].items():
            if not output.equals(other[layer]):
                return f"the bits of layer {layer} differ between two runs back to back"
    return None
