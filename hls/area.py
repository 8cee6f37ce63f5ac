"""What a design takes, estimated: LUT, FF, BRAM36 and DSP without synthesis.

The terms follow the modules of hw_templates/rtl. Their coefficients are what yosys (`bnn report`) gave per
instance at 64x64x8, 32x64x8, 16x64x4 and 16x64x2; how they grow with PE, SIMD and LANES follows from the modules'
structure. Block RAM is counted from the shapes that a RAMB36 and a RAMB18 can have.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bnn.contract import MAX_CHANNELS
from hls.boards import Board
from hls.designs import Design

WIDTHS = {512: 72, 1024: 36, 2048: 18, 4096: 9, 8192: 4, 16384: 2, 32768: 1}
"""Bits per word of a RAMB36, by its words; a RAMB18 has half."""
BANK = 256
"""Bits of a bank of the weight memory."""
DSP = 11
CASCADE = 16
"""PEs of a lane whose accumulators are one chain of DSP slices, as in `bnn_array`."""


@dataclass(frozen=True)
class Area:
    """Cells of a design; `array_lut` is the part of `lut` in the array."""

    lut: int
    ff: int
    bram36: float
    dsp: int
    array_lut: int

    def beyond(self, board: Board, fill: float = 1.0) -> dict[str, tuple[float, int]]:
        """What of it `board` has too little, where the share `fill` of its LUT and FF may be taken: taken, there."""
        shares = {"lut": fill, "ff": fill, "bram36": 1.0, "dsp": 1.0}
        counts = {name: (getattr(self, name), getattr(board, name)) for name in shares}
        return {name: (taken, there) for name, (taken, there) in counts.items() if taken > shares[name] * there}

    def fits(self, board: Board, fill: float = 1.0) -> bool:
        """Whether `board` has it, with at most the share `fill` of its LUT and FF."""
        return not self.beyond(board, fill)


def block_ram(words: int, bits: int, enable: int = 0) -> float:
    """BRAM36 of a memory; `enable` is the number of bits with a common write enable, 0 if the word has one."""
    depth = 512
    while depth < words:
        depth *= 2
    width = WIDTHS[depth]
    if enable and enable < 8:
        return bits // enable * _columns(width, enable)
    if enable and width >= 9:  # the ninth bit of a byte shares its enable, and no group of 2**n bits fills it
        width = width // 9 * 8
    return _columns(width, bits)


def _columns(width: int, bits: int) -> float:
    full, rest = divmod(bits, width)
    return full + (0 if not rest else 0.5 if rest <= width // 2 else 1)


def estimate_area(design: Design) -> Area:
    """Cells of the whole core of `design`."""
    pe, simd, lanes, first = design.pe, design.simd, design.lanes, design.first_pe
    dots, rows = pe * lanes, -(-pe // 4)
    in_slices = pe * design.dsp_lanes  # dot products whose accumulator is in a DSP slice
    tiles = rows * -(-lanes // 4)  # of up to four PEs and four lanes
    array_lut = dots * (33 * simd / 64 + simd / 2 + 18) + (pe + lanes) * 36 * simd / 64
    array_lut += tiles * 2 + rows * lanes * 6 + 21 - pe / 2
    array_lut -= in_slices * 16 - (pe - 1) // CASCADE * design.dsp_lanes * 17  # less what is between their chains
    lut = array_lut
    lut += lanes * (2 * simd + 3) + simd  # lane alignment
    lut += 365 + 13.6 * pe  # scores
    lut += 232 + 1.52 * dots  # write-back
    lut += 611 + 33 * lanes + 345  # sequencer, engine
    lut += 3530 + 273 * first  # first layer
    lut += 8 + lanes * (16 + simd)  # writes and memory of activations
    lut += 3321 + 110 + pe * simd * 0.048  # controller, registers, bus; ring
    ff = dots * (19 * simd / 64 + simd / 2 + 26) + (pe + lanes) * 95 * simd / 64
    ff += tiles * (360 * simd / 64 + 36) + rows * lanes * (100 * simd / 64 + 7)
    ff += 35.5 * pe + 22  # array: thresholds and control
    ff += lanes * (19 * simd / 16 + 3) + 66
    ff -= in_slices * 25.9 + (22 * pe if design.dsp_lanes == lanes else 0)  # with their thresholds
    ff += 893 + 61.75 * pe
    ff += 432 + 3.96 * dots
    ff += 667 + 32.75 * lanes + 505
    ff += 5515 + 676.2 * first
    ff += lanes * (44 + 49 * simd / 16) + lanes * simd + 9
    ff += 5499 + 155 + pe * simd * 2.112
    dsp = DSP + in_slices // 2
    if design.vector:  # its units, for each lane one of eight PEs, with their queues; control, planes of pixels
        units = lanes * pe / 8
        lut += 2105 + 183.7 * units
        ff += 4216 + 286.1 * units
        dsp += round(2 + 3.5 * units)
        lut += 575 + 38 * first  # values of the first layer
        ff += 432 + 102 * first
        dsp += first // 2
    if design.ports > 1:  # another reader; counters of the ring
        lut += 217
        ff += 454
    banks, left = divmod(pe * simd, BANK)
    memory = banks * block_ram(design.weight_depth, BANK)
    memory += block_ram(design.weight_depth, left) if left else 0
    memory += lanes * block_ram(design.act_depth, simd, pe)
    memory += block_ram(2 * design.image_pixels, 8 * MAX_CHANNELS) + block_ram(16 * design.max_layers, 64)
    memory += block_ram(128, 64)  # beats of images
    memory += pe // 8 + first // 4 if design.vector else 0  # coefficients and offsets; those of the first layer
    return Area(round(lut), round(ff), memory, dsp, round(array_lut))


def sliced(design: Design) -> Design:
    """The design with the accumulators of as many lanes in DSP slices as its board has some for."""
    left = design.board.dsp - estimate_area(replace(design, dsp_lanes=0)).dsp
    tile = min(4, design.lanes)
    return replace(design, dsp_lanes=min(max(left, 0) // (design.pe * tile // 2) * tile, design.lanes))
