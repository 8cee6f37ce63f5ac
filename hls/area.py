"""What a design takes, estimated: LUT, FF, BRAM36 and DSP without synthesis.

The terms follow the modules of hw_templates/rtl. Their coefficients are what yosys (`bnn report`) gave per
instance at 32x64x8; how they grow with PE, SIMD and LANES follows from the modules' structure. Block RAM is
counted from the shapes that a RAMB36 and a RAMB18 can have.
"""

from __future__ import annotations

from dataclasses import dataclass

from bnn.contract import MAX_CHANNELS
from hls.boards import Board
from hls.designs import Design

WIDTHS = {512: 72, 1024: 36, 2048: 18, 4096: 9, 8192: 4, 16384: 2, 32768: 1}
"""Bits per word of a RAMB36, by its words; a RAMB18 has half."""
BANK = 256
"""Bits of a bank of the weight memory."""
DSP = 12


@dataclass(frozen=True)
class Area:
    """Cells of a design; `array_lut` is the part of `lut` in the array."""

    lut: int
    ff: int
    bram36: float
    dsp: int
    array_lut: int

    def fits(self, board: Board, fill: float = 1.0) -> bool:
        """Whether `board` has it, with at most the share `fill` of its LUT and FF."""
        return (
            self.lut <= fill * board.lut
            and self.ff <= fill * board.ff
            and self.bram36 <= board.bram36
            and self.dsp <= board.dsp
        )


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
    dots, tiles = pe * lanes, -(-pe // 4) * -(-lanes // 4)
    array_lut = dots * (33 * simd / 64 + simd / 2 + 18) + (pe + lanes) * 54 * simd / 64 + tiles * 41 + 9
    lut = array_lut
    lut += lanes * (2 * simd + 3) + simd  # lane alignment
    lut += 439 + 12 * pe  # scores
    lut += 365 + 1.5625 * dots  # write-back
    lut += 700 + 92.5 * lanes + 189  # sequencer, engine
    lut += 3282 + 337 * first  # first layer
    lut += 11 + lanes * (17 + simd) + 4 * lanes  # writes and memory of activations
    lut += 1690 + 328 + 743 + 101 + 98 + 19 + 17  # controller, registers, bus, ring
    ff = dots * (34 * simd / 64 + simd / 2 + 26) + tiles * (760 * simd / 64 + 61) + (pe + lanes) * 180 * simd / 64
    ff += 32 * pe + 90  # array: thresholds and control
    ff += lanes * (21 * simd / 16 + 5)
    ff += 313 + 48 * pe + 183 * pe / 32
    ff += 505 + 3.25 * dots + 83
    ff += 337 + 112
    ff += 4282 + 600 + 324 + 68 + 205 + 271.5 * first
    ff += lanes * (52 + 49 * simd / 16) + lanes * simd
    ff += 1581 + 267 + 606 + 36 + 139 + 102 + 1 + pe * simd * (1 + 534 / BANK)
    dsp = DSP
    if design.vector:  # its units, for each lane one of eight PEs, with their queues; control, planes of pixels
        units = lanes * pe / 8
        lut += 2430 + 173 * units
        ff += 3400 + 293 * units
        dsp += round(3 + 3.5 * units)
        lut += 220 + 30 * first  # values of the first layer
        ff += 570 + 44 * first
        dsp += first // 2
    if design.ports > 1:  # another reader; counters of the ring
        lut += 202 + 19
        ff += 369 + 91
    banks, left = divmod(pe * simd, BANK)
    memory = banks * block_ram(design.weight_depth, BANK)
    memory += block_ram(design.weight_depth, left) if left else 0
    memory += lanes * block_ram(design.act_depth, simd, pe)
    memory += block_ram(2 * design.image_pixels, 8 * MAX_CHANNELS) + block_ram(16 * design.max_layers, 64)
    memory += block_ram(128, 64)  # beats of images
    memory += pe // 8 + first // 4 if design.vector else 0  # coefficients and offsets; those of the first layer
    return Area(round(lut), round(ff), memory, dsp, round(array_lut))
