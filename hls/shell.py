"""What stands around the core in the block design of vivado/build.tcl, and about what it takes.

AMD's product guides give no figure for these blocks as they are configured here (PG247 and PG164 refer to web pages),
so the figures are what others report; Vivado's own are in `implementation` of report.json once it has run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hls.area import Area
from hls.designs import Design


@dataclass(frozen=True)
class Block:
    """A block by the name of its cell in the block design; `source` says where its figures come from."""

    name: str
    what: str
    lut: int
    ff: int
    source: str


_SMARTCONNECT = "Analog Devices hdl, pull request 1054: one master and one HP port of an XC7Z007S, Vivado 2023.1"
BLOCKS = (
    Block("ps", "processing system", 0, 0, "a hard block; its wrapper is wires and a clock buffer"),
    Block("memory", "SmartConnect, AXI4 of 64 bits to the processing system's memory port", 910, 904, _SMARTCONNECT),
    Block("control", "SmartConnect, from the processing system to AXI4-Lite", 910, 904, f"at most; {_SMARTCONNECT}"),
    Block("reset", "proc_sys_reset", 120, 120, "at most; DS406, IP facts of its version 3.00a"),
)
"""In the order of the script. SmartConnect also turns AXI4 into the AXI3 of a Zynq-7000's ports."""
SECOND = Block("memory1", "SmartConnect, to the second memory port", 910, 904, f"at most; {_SMARTCONNECT}")
"""Of a design with two memory ports."""


def blocks(design: Design) -> tuple[Block, ...]:
    """What stands around the core of a design."""
    return BLOCKS + (SECOND,) * (design.ports - 1)


def total(design: Design) -> dict[str, int]:
    """LUT and FF of the blocks together."""
    return {key: sum(getattr(block, key) for block in blocks(design)) for key in ("lut", "ff")}


def whole(design: Design, core: Area) -> Area:
    """The core's cells and those around it."""
    around = total(design)
    return replace(core, lut=core.lut + around["lut"], ff=core.ff + around["ff"])


def summary(design: Design) -> dict[str, Any]:
    """The blocks and their sum, in percent of the board too; JSON types only."""
    around = total(design)
    return {
        "estimated": True,
        **around,
        "percent": {key: round(100 * value / getattr(design.board, key), 1) for key, value in around.items()},
        "blocks": [
            {"name": block.name, "what": block.what, "lut": block.lut, "ff": block.ff, "source": block.source}
            for block in blocks(design)
        ],
    }
