"""What a circuit takes of an FPGA of the 7 series."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Resources:
    """Cells: LUTs (those used as memory included), flip-flops, 36-Kbit block RAMs and DSP slices."""

    lut: int = 0
    ff: int = 0
    bram36: float = 0.0
    dsp: int = 0

    def __add__(self, other: Resources) -> Resources:
        return Resources(self.lut + other.lut, self.ff + other.ff, self.bram36 + other.bram36, self.dsp + other.dsp)

    def __mul__(self, times: int) -> Resources:
        return Resources(self.lut * times, self.ff * times, self.bram36 * times, self.dsp * times)
