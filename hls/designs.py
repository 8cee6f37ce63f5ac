"""Boards and designs: the parameters one bitstream is synthesised with, and their constraints."""

from __future__ import annotations

from dataclasses import dataclass

MAX_CHANNELS = 4
"""Channels of an input image."""
FIRST_CHANNELS = 512
"""Output channels of the first layer."""
ACC_BITS = 16
"""Width of an accumulator: fan-in below 2**ACC_BITS - 1."""


class DesignError(ValueError):
    """A design, or a model on a design, breaks a constraint; one line names object, value and constraint."""


@dataclass(frozen=True)
class Board:
    """An FPGA board and what its part offers.

    Raises:
        DesignError: a resource or the clock is not positive.
    """

    name: str
    part: str
    lut: int
    ff: int
    bram36: int
    dsp: int
    clock_mhz: float

    def __post_init__(self) -> None:
        for field in ("lut", "ff", "bram36", "dsp", "clock_mhz"):
            if getattr(self, field) <= 0:
                raise DesignError(f"board {self.name}: {field}={getattr(self, field)} is not positive")


@dataclass(frozen=True)
class Design:
    """Parameters of one bitstream (docs/ARCHITECTURE.md, "Parameters of a design").

    `board` names an entry of `BOARDS`.

    Raises:
        DesignError: a parameter breaks its constraint, or the memories exceed the board's block RAM.
    """

    name: str
    board: str
    pe: int
    simd: int
    lanes: int
    weight_depth: int
    act_depth: int
    first_pe: int
    image_pixels: int
    max_layers: int
    clock_mhz: float

    def __post_init__(self) -> None:
        if self.board not in BOARDS:
            raise DesignError(f"design {self.name}: board {self.board!r} is not one of {', '.join(BOARDS)}")
        self._check("simd", 32, 256)
        self._check("pe", 4, min(self.simd, 128), "SIMD and 128")
        self._check("lanes", 2, 16)
        self._check("weight_depth", 16, 32768)
        self._check("act_depth", 16, 32768)
        self._check("first_pe", 4, self.pe, "PE")
        self._check("image_pixels", 16, 32768)
        self._check("max_layers", 1, 256)
        if not 0 < self.clock_mhz:
            raise DesignError(f"design {self.name}: clock_mhz={self.clock_mhz} is not positive")
        need, have = self.bram36, BOARDS[self.board].bram36
        if need > have:
            raise DesignError(f"design {self.name}: memories need {need} BRAM36 or more, "
                              f"{self.board} has {have}")

    def _check(self, field: str, low: int, high: int, why: str = "") -> None:
        value = getattr(self, field)
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0 or value & (value - 1):
            raise DesignError(f"design {self.name}: {field.upper()}={value} is not a power of two")
        if not low <= value <= high:
            reason = f" (at most {why})" if why and value > high else ""
            raise DesignError(f"design {self.name}: {field.upper()}={value} is not in "
                              f"{low} to {high}{reason}")

    @property
    def word_bytes(self) -> int:
        """Bytes of a weight word in the program."""
        return self.pe * self.simd // 8

    @property
    def bram36(self) -> int:
        """Lower bound of the block RAMs that the weight, activation and image memories take."""
        bits = (self.pe * self.simd * self.weight_depth, self.lanes * self.simd * self.act_depth,
                2 * self.image_pixels * 8 * MAX_CHANNELS)
        return sum(-(-size // 36864) for size in bits)


BOARDS: dict[str, Board] = {
    "pynq_z1": Board("pynq_z1", "xc7z020clg400-1", 53200, 106400, 140, 220, 100.0),
    "pynq_z2": Board("pynq_z2", "xc7z020clg400-1", 53200, 106400, 140, 220, 100.0),
    "zybo_z7_10": Board("zybo_z7_10", "xc7z010clg400-1", 17600, 35200, 60, 80, 125.0),
    "ultra96v2": Board("ultra96v2", "xczu3eg-sbva484-1-i", 70560, 141120, 216, 360, 150.0),
    "kv260": Board("kv260", "xck26-sfvc784-2LV-c", 117120, 234240, 144, 1248, 200.0),
}

DESIGNS: dict[str, Design] = {
    "pynq_z1": Design("pynq_z1", "pynq_z1", pe=32, simd=64, lanes=8, weight_depth=1024, act_depth=4096,
                      first_pe=16, image_pixels=1024, max_layers=16, clock_mhz=142.857),
    "pynq_z2": Design("pynq_z2", "pynq_z2", pe=32, simd=64, lanes=8, weight_depth=1024, act_depth=4096,
                      first_pe=16, image_pixels=1024, max_layers=16, clock_mhz=142.857),
    "pynq_z1_small": Design("pynq_z1_small", "zybo_z7_10", pe=16, simd=64, lanes=4, weight_depth=1024,
                            act_depth=2048, first_pe=4, image_pixels=1024, max_layers=16, clock_mhz=125.0),
    "ultra96v2": Design("ultra96v2", "ultra96v2", pe=32, simd=64, lanes=8, weight_depth=2048, act_depth=4096,
                        first_pe=16, image_pixels=1024, max_layers=16, clock_mhz=200.0),
    "kv260": Design("kv260", "kv260", pe=64, simd=64, lanes=8, weight_depth=512, act_depth=4096,
                    first_pe=32, image_pixels=1024, max_layers=16, clock_mhz=200.0),
    "sim_small": Design("sim_small", "pynq_z1", pe=8, simd=32, lanes=4, weight_depth=512, act_depth=4096,
                        first_pe=4, image_pixels=1024, max_layers=16, clock_mhz=100.0),
}


def find(name: str) -> Design:
    """The design called `name`.

    Raises:
        DesignError: there is none.
    """
    if name not in DESIGNS:
        raise DesignError(f"design {name!r} is not one of {', '.join(DESIGNS)}")
    return DESIGNS[name]
