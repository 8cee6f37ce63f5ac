"""Designs: the parameters one bitstream is synthesised with, and their constraints.

A design is an entry of `DESIGNS`, or a TOML file that is named where a design is (docs/adding_a_board.md).
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from bnn.contract import CORE_ID, INTERFACE_VERSION, MAX_CHANNELS, Registers
from bnn.files import FileError, read_file
from bnn.text import first_line
from hls import boards
from hls.boards import BOARDS, CLOCK_TOLERANCE, PROCESSING_SYSTEMS, Board, Device
from hls.boards import DesignError as DesignError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_BYTES = 1 << 20
"""Of a file."""
OPTIONAL = ("vector", "ports", "dsp_lanes")
"""Keys that a design's file may lack."""
PORT_WORD_BYTES = 32
"""Of a weight word at least where two ports bring a half each, of two beats or more."""
NAME = r"[A-Za-z]\w*"
"""Of a design or a board: it becomes part of the names of files and of Tcl and C++."""


@dataclass(frozen=True)
class Design:
    """Parameters of one bitstream (docs/ARCHITECTURE.md, "Parameters of a design").

    Raises:
        DesignError: a parameter breaks its constraint, or the memories exceed the board's block RAM.
    """

    name: str
    board: Board
    pe: int
    simd: int
    lanes: int
    weight_depth: int
    act_depth: int
    first_pe: int
    image_pixels: int
    max_layers: int
    clock_mhz: float
    vector: bool = False
    ports: int = 1
    dsp_lanes: int = 0

    def __post_init__(self) -> None:
        self._check("simd", 32, 256)
        self._check("pe", 4, min(self.simd, 128), "SIMD and 128")
        self._check("lanes", 2, 16)
        self._check("weight_depth", 16, 32768)
        self._check("act_depth", 16, 32768)
        if self.vector is True:  # a quarter of them give their values in one cycle, into one word
            self._check("first_pe", 4, min(self.pe, self.simd // 2), "PE, and with the vector unit SIMD / 2")
        else:
            self._check("first_pe", 4, self.pe, "PE")
        self._check("image_pixels", 16, 32768)
        self._check("max_layers", 1, 256)
        self._check("ports", 1, 2)
        if isinstance(self.clock_mhz, bool) or not isinstance(self.clock_mhz, int | float):
            raise DesignError(f"design {self.name}: clock_mhz={self.clock_mhz!r} is no number")
        if not 0 < self.clock_mhz < math.inf:
            raise DesignError(f"design {self.name}: clock_mhz={self.clock_mhz!r} is not positive and finite")
        if not isinstance(self.vector, bool):
            raise DesignError(f"design {self.name}: vector={self.vector!r} is neither true nor false")
        for field, least in (("pe", 8), ("lanes", 4)):
            if self.vector and getattr(self, field) < least:
                raise DesignError(
                    f"design {self.name}: {field.upper()}={getattr(self, field)}, the vector unit needs {least} or more"
                )
        if self.ports > 1 and self.word_bytes < PORT_WORD_BYTES:
            raise DesignError(
                f"design {self.name}: PE x SIMD = {8 * self.word_bytes}, PORTS={self.ports} needs "
                f"{8 * PORT_WORD_BYTES} or more"
            )
        tile = min(4, self.lanes)
        if isinstance(self.dsp_lanes, bool) or not isinstance(self.dsp_lanes, int) or self.dsp_lanes % tile:
            raise DesignError(f"design {self.name}: DSP_LANES={self.dsp_lanes} is not a multiple of {tile}")
        if not 0 <= self.dsp_lanes <= self.lanes:
            raise DesignError(f"design {self.name}: DSP_LANES={self.dsp_lanes} is not in 0 to LANES = {self.lanes}")
        need, have = self.bram36, self.board.bram36
        if need > have:
            raise DesignError(f"design {self.name}: memories need {need} BRAM36 or more, {self.board.name} has {have}")

    def _check(self, field: str, low: int, high: int, why: str = "") -> None:
        value = getattr(self, field)
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0 or value & (value - 1):
            raise DesignError(f"design {self.name}: {field.upper()}={value} is not a power of two")
        if not low <= value <= high:
            reason = f" (at most {why})" if why and value > high else ""
            raise DesignError(f"design {self.name}: {field.upper()}={value} is not in {low} to {high}{reason}")

    def parameters(self) -> dict[str, Any]:
        """Every field by name, JSON types only: the board by its name."""
        return {item.name: getattr(self, item.name) for item in fields(self)} | {"board": self.board.name}

    def check_clock(self) -> None:
        """Hold the clock against those that the board's processing system can give.

        Raises:
            DesignError: it is none of them.
        """
        ps = self.board.ps
        divider = ps.divider(self.clock_mhz)
        if abs(ps.pll_mhz / divider / self.clock_mhz - 1) > CLOCK_TOLERANCE:
            near = sorted({ps.pll_mhz / value for value in (divider, divider + 1, max(1, divider - 1))})
            raise DesignError(
                f"design {self.name}: clock_mhz={self.clock_mhz:g} is not {ps.pll_mhz:g} MHz over an "
                f"integer, as {', '.join(f'{value:.6g}' for value in near)}"
            )

    def registers(self) -> Registers:
        """The registers of a core of this design before its first run: the read-only ones tell what it is."""
        return Registers(
            idle=True,
            id=CORE_ID,
            version=INTERFACE_VERSION,
            pe=self.pe,
            lanes=self.lanes,
            simd=self.simd,
            weight_depth=self.weight_depth,
            first_pe=self.first_pe,
            act_depth=self.act_depth,
            image_pixels=self.image_pixels,
            max_layers=self.max_layers,
            vector=self.vector,
        )

    @property
    def word_bytes(self) -> int:
        """Bytes of a weight word in the program."""
        return self.pe * self.simd // 8

    @property
    def bram36(self) -> int:
        """Lower bound of the block RAMs that the weight, activation and image memories take."""
        bits = (
            self.pe * self.simd * self.weight_depth,
            self.lanes * self.simd * self.act_depth,
            2 * self.image_pixels * 8 * MAX_CHANNELS,
        )
        return sum(-(-size // 36864) for size in bits)


_PYNQ = Design(
    "pynq_z1",
    BOARDS["pynq_z1"],
    pe=32,
    simd=64,
    lanes=8,
    weight_depth=1024,
    act_depth=4096,
    first_pe=16,
    image_pixels=1024,
    max_layers=32,
    clock_mhz=142.857,
    vector=True,
    dsp_lanes=4,
)
_ZYBO = replace(
    _PYNQ,
    name="zybo_z7_10",
    board=BOARDS["zybo_z7_10"],
    pe=16,
    lanes=2,
    first_pe=4,
    clock_mhz=125.0,
    vector=False,
    dsp_lanes=2,
)
_ULTRA96 = replace(_PYNQ, name="ultra96v2", board=BOARDS["ultra96v2"], weight_depth=2048, clock_mhz=187.5, dsp_lanes=8)
_KV260 = replace(_PYNQ, name="kv260", board=BOARDS["kv260"], pe=64, weight_depth=512, clock_mhz=187.5, dsp_lanes=8)

DESIGNS: dict[str, Design] = {
    design.name: design
    for design in (
        _PYNQ,
        replace(_PYNQ, name="pynq_z1_binary", vector=False, dsp_lanes=8),
        replace(_PYNQ, name="pynq_z1_ports2", vector=False, ports=2, dsp_lanes=8),
        replace(_PYNQ, name="pynq_z2", board=BOARDS["pynq_z2"]),
        _ZYBO,
        _ULTRA96,
        _KV260,
        replace(_PYNQ, name="pynq_z1_hls", pe=16, max_layers=16, dsp_lanes=0),
        replace(_PYNQ, name="pynq_z2_hls", board=BOARDS["pynq_z2"], pe=16, max_layers=16, dsp_lanes=0),
        replace(_ZYBO, name="zybo_z7_10_hls", pe=8, lanes=4, act_depth=2048, max_layers=16, dsp_lanes=0),
        replace(_ULTRA96, name="ultra96v2_hls", pe=16, max_layers=16, dsp_lanes=0),
        replace(_KV260, name="kv260_hls", pe=32, max_layers=16, dsp_lanes=0),
        replace(
            _PYNQ,
            name="sim_small",
            pe=8,
            simd=32,
            lanes=4,
            weight_depth=512,
            first_pe=4,
            max_layers=16,
            clock_mhz=100.0,
        ),
    )
}
"""By name; those that end in _hls are of half the PEs, as the HLS core takes more LUTs for the same array, and have
room for half the layers, as that core does not begin a layer on rows of the first one."""


BACKENDS = ("hls", "rtl")
"""The cores."""
HLS_DESIGNS = {
    "pynq_z1": "pynq_z1_hls",
    "pynq_z1_binary": "pynq_z1_hls",
    "pynq_z1_ports2": "pynq_z1_hls",
    "pynq_z2": "pynq_z2_hls",
    "zybo_z7_10": "zybo_z7_10_hls",
    "ultra96v2": "ultra96v2_hls",
    "kv260": "kv260_hls",
}
"""Designs of the RTL core alone, which the HLS core would not fit or not in time, and those that take their place."""
RENAMED = {"pynq_z1_small": "zybo_z7_10", "pynq_z1_small_hls": "zybo_z7_10_hls"}
"""Names that designs had; commands and files that have them go on working."""
DEFAULT = {"hls": "pynq_z1_hls", "rtl": "pynq_z1_binary"}
"""The design that is built where none is given: one that fits its chip."""


def choose(name: str | None, backend: str | None) -> tuple[Design, str]:
    """The design and the back end that are built, where one of them or both may be left open.

    A design says its back end: "hls" unless it is one of the RTL core alone. Without either it is "hls".

    Raises:
        DesignError: as `find`; or the design is not one of the back end.
    """
    if backend is not None and backend not in BACKENDS:
        raise DesignError(f"back end {backend!r} is not one of {', '.join(BACKENDS)}")
    design = find(DEFAULT[backend or "hls"] if name is None else name)
    if backend is None:
        backend = "rtl" if design.name in HLS_DESIGNS or design.ports > 1 else "hls"
    if backend == "hls" and design.name in HLS_DESIGNS:
        size = f"{design.pe}x{design.simd}x{design.lanes} at {design.clock_mhz:g} MHz"
        raise DesignError(
            f"design {design.name}: {size} is for the back end rtl; for hls take {HLS_DESIGNS[design.name]}"
        )
    check_backend(design, backend)
    return design, backend


def check_backend(design: Design, backend: str) -> None:
    """Hold a design to what a core can have.

    Raises:
        DesignError: it has a second memory port, and the core is that of HLS.
    """
    if backend == "hls" and design.ports > 1:
        raise DesignError(f"design {design.name}: ports={design.ports}, the HLS core has one; take the back end rtl")


def find(name: str) -> Design:
    """The design called `name`, or that of a file `name`.toml.

    Raises:
        DesignError: there is none, or as `load`.
    """
    if name.endswith(".toml"):
        return load(Path(name))
    name = RENAMED.get(name, name)
    if name not in DESIGNS:
        raise DesignError(f"design {name!r} is not one of {', '.join(DESIGNS)}, nor a file NAME.toml")
    return DESIGNS[name]


def add_option(parser: argparse.ArgumentParser) -> None:
    """The option --design, whose value `find` takes."""
    parser.add_argument(
        "--design", default="pynq_z1", help=f"one of {', '.join(DESIGNS)} (default pynq_z1), or a file NAME.toml"
    )


def load(path: Path) -> Design:
    """The design of a TOML file, which has its name, every parameter by name, and `board`, a name or a table.

    Raises:
        DesignError: the file is missing or no TOML, lacks a key or has an unknown one, or a value breaks a constraint.
    """
    try:
        content = tomllib.loads(read_file(path, MAX_BYTES).decode())
    except FileError as error:
        raise DesignError(str(error)) from None
    except (ValueError, RecursionError) as error:  # of text, of TOML, of its numbers, of what is nested too deeply
        raise DesignError(f"{path}: is no TOML ({first_line(error)})") from None
    check_name(path)
    _keys(path, "", content, [item.name for item in fields(Design) if item.name not in ("name", *OPTIONAL)], OPTIONAL)
    board = content["board"]
    if not isinstance(board, str | dict):
        raise DesignError(f"{path}: board={board!r} is neither a name nor a table")
    try:
        content["board"] = boards.find(board) if isinstance(board, str) else _board(path, board)
        return Design(path.stem, **content)
    except DesignError as error:
        raise DesignError(str(error) if str(error).startswith(f"{path}: ") else f"{path}: {error}") from error


def check_name(path: Path) -> None:
    """Hold a design's file to the names that it can have.

    Raises:
        DesignError: it is none, or that of a shipped design.
    """
    if not re.fullmatch(NAME, path.stem) or path.stem in DESIGNS or path.suffix != ".toml":
        raise DesignError(f"{path}: expected NAME.toml, with a name of its own of letters, digits and _")


def write_toml(design: Design, remarks: Sequence[str] = ()) -> str:
    """The text of a file that `load` takes, of a design on one of `BOARDS`; remarks stand above it, one a line."""
    values = {name: value for name, value in design.parameters().items() if name != "name"}
    lines = [f"# {remark}" for remark in remarks]
    lines += [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    return "\n".join(lines) + "\n"


def _keys(path: Path, table: str, content: Mapping[str, Any], needed: list[str], more: tuple[str, ...] = ()) -> None:
    wrong = [f"no {key}" for key in needed if key not in content]
    wrong += [f"unknown {key}" for key in content if key not in (*needed, *more)]
    if wrong:
        raise DesignError(f"{path}: {table}{', '.join(wrong)}")


def _board(path: Path, content: Mapping[str, Any]) -> Board:
    """The board of a table: `ps` is one of `PROCESSING_SYSTEMS`; resources are needed where the device is not known."""
    optional = {"board_part": "", "preset": {}}
    _keys(path, "board: ", content, ["name", "part", "ps"], (*optional, *Device._fields))
    name, part, ps, board_part, preset = (
        {**optional, **content}[key] for key in ("name", "part", "ps", "board_part", "preset")
    )
    patterns = (("name", name, NAME), ("part", part, r"[\w-]+"), ("board_part", board_part, r"[\w.:-]*"))
    for key, value, pattern in patterns:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise DesignError(f"{path}: board: {key}={value!r} is not a name")
    if ps not in PROCESSING_SYSTEMS:
        raise DesignError(f"{path}: board: ps={ps!r} is not one of {', '.join(PROCESSING_SYSTEMS)}")
    if not isinstance(preset, dict) or not all(
        re.fullmatch(NAME, key) and isinstance(value, str) for key, value in preset.items()
    ):
        raise DesignError(f"{path}: board: preset is not a table of texts")
    if name in BOARDS:
        raise DesignError(f'{path}: board {name} is there already, write board = "{name}"')
    given = [key for key in Device._fields if key in content]
    if not given:
        return boards.known(name, part, PROCESSING_SYSTEMS[ps], board_part, preset)
    _keys(path, "board: ", content, list(Device._fields), tuple(content))
    resources = {key: content[key] for key in Device._fields}
    return Board(name, part, PROCESSING_SYSTEMS[ps], **resources, board_part=board_part, preset=preset)
