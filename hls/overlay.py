"""The overlay of the simulated board: `NAME.hwh` and `NAME.bit` of a design, as pynq loads them.

`bnn overlay --design NAME`. The `.hwh` describes the block design of
vivado/build.tcl. The `.bit` has the header of a bitstream and a payload that names the design; it
holds no synchronisation word, so that a real device takes no configuration from it.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
from pathlib import Path
from typing import Any

from bnn.command import Command
from bnn.files import SIMULATION, write_atomically
from bnn.output import result
from hls import designs, render
from hls.boards import BOARDS
from hls.designs import Design
from hls.options import add_folder, folder_of
from hls.registers import registers

TEMPLATE = render.TEMPLATES / "overlay" / "bnn.hwh.j2"
PART = "overlay"
"""Where it lies in a design's folder, if nowhere else."""
MAGIC = b"BNN simulation overlay\n"
"""First bytes of the payload, after the padding."""
PADDING = b"\xff" * 64
SIMULATED = BOARDS["pynq_z1"]
"""The board that is simulated, whatever board the design is for; only the PLL of its clocks is that of the latter."""


def divisors(clock_mhz: float, pll_mhz: float) -> tuple[int, int]:
    """The two clock divisors (1 to 63 each) that come closest to `clock_mhz` from `pll_mhz`."""
    pairs = ((a, b) for a in range(1, 64) for b in range(1, 64))
    return min(pairs, key=lambda pair: (abs(pll_mhz / (pair[0] * pair[1]) - clock_mhz), -pair[0]))


def _ps_parameters(design: Design) -> list[tuple[str, str]]:
    pll_mhz = design.board.ps.pll_mhz
    first, second = divisors(design.clock_mhz, pll_mhz)
    actual = render.number(pll_mhz / (first * second))
    result = {
        "PCW_CRYSTAL_PERIPHERAL_FREQMHZ": "50",
        "PCW_DDR_RAM_HIGHADDR": "0x1FFFFFFF",
        "PCW_IRQ_F2P_INTR": "1",
        "PCW_USE_FABRIC_INTERRUPT": "1",
        "PCW_USE_M_AXI_GP0": "1",
    }
    for port in SIMULATED.ps.memory[: design.ports]:
        result |= {port.use: "1", port.width: "64"}
    for index in range(4):
        used = index == 0
        result[f"PCW_FPGA_FCLK{index}_ENABLE"] = "1" if used else "0"
        result[f"PCW_FCLK{index}_PERIPHERAL_CLKSRC"] = "IO PLL"
        result[f"PCW_FCLK{index}_PERIPHERAL_DIVISOR0"] = str(first if used else 1)
        result[f"PCW_FCLK{index}_PERIPHERAL_DIVISOR1"] = str(second if used else 1)
        result[f"PCW_ACT_FPGA{index}_PERIPHERAL_FREQMHZ"] = actual if used else "10"
        result[f"PCW_FPGA{index}_PERIPHERAL_FREQMHZ"] = render.number(design.clock_mhz) if used else "50"
    # pynq 4.0 looks for the frequency of a PL clock under this name only, also on a Zynq-7000
    result["PSU__CRL_APB__PL0_REF_CTRL__ACT_FREQMHZ"] = actual
    return sorted(result.items())


def render_hwh(design: Design) -> str:
    """The text of the `.hwh`."""
    part = SIMULATED.part  # as xc7z020clg400-1
    device, speed = part.rsplit("-", 1)
    at = device.index("clg") if "clg" in device else len(device)
    paths = render.memory_paths(design.ports, SIMULATED.ps)
    cells = [("control", "ps", "M_AXI_GP0", "core", "s_axi_control", "AWADDR")]
    names: dict[str, Any] = {
        "name": design.name,
        "top": render.TOP,
        "version": render.VERSION,
        "vlnv": f"{render.VENDOR}:{render.LIBRARY}:{render.TOP}:{render.VERSION}",
        "control_base": SIMULATED.ps.control_base,
        "period_ns": render.number(1000 / design.clock_mhz),
        "device": device[2:at],
        "package": device[at:],
        "speed": f"-{speed}",
        "clock_hz": round(design.clock_mhz * 1e6),
        "registers": registers(),
        "memory_paths": paths,
        "bus_cells": cells + [(path.cell, "core", path.master, "ps", path.slave.name, path.address) for path in paths],
        "ps_parameters": _ps_parameters(design),
        "fixed_io": [("FIXED_IO_mio", "IO", "53"), ("FIXED_IO_ps_clk", "IO", ""), ("FIXED_IO_ps_porb", "IO", "")],
        "ddr": [("DDR_addr", "IO", "14"), ("DDR_dq", "IO", "31"), ("DDR_cas_n", "IO", "")],
    }
    return render.environment().from_string(TEMPLATE.read_text(encoding="utf-8")).render(names)


def identity(design: Design) -> dict[str, Any]:
    """What the payload of the `.bit` says: the format's version and every parameter of the design."""
    return {"format": 1, "design": design.parameters()}


def bitfile(design: Design) -> bytes:
    """The bytes of the `.bit`: the header of a bitstream, then padding, `MAGIC` and `identity` as JSON."""
    text = json.dumps(identity(design), sort_keys=True).encode()
    payload = PADDING + MAGIC + text + b"\n"
    payload += b"\xff" * (-len(payload) % 4) + PADDING
    part = SIMULATED.part[2:].rsplit("-", 1)[0]
    fields = (
        (b"a", f"{design.name};UserID=0XFFFFFFFF;{SIMULATION}"),
        (b"b", part),
        (b"c", "2000/01/01"),
        (b"d", "00:00:00"),
    )
    header = struct.pack(">H", 9) + b"\x0f\xf0\x0f\xf0\x0f\xf0\x0f\xf0\x00" + struct.pack(">H", 1)
    for key, value in fields:
        content = value.encode("ascii") + b"\0"
        header += key + struct.pack(">H", len(content)) + content
    return header + b"e" + struct.pack(">I", len(payload)) + payload


def write(design: Design, folder: Path) -> Path:
    """Write `NAME.hwh` and `NAME.bit` into `folder`; gives the path of the latter."""
    write_atomically(folder / f"{design.name}.hwh", render_hwh(design).encode())
    path = folder / f"{design.name}.bit"
    write_atomically(path, bitfile(design))
    return path


def _options(parser: argparse.ArgumentParser) -> None:
    designs.add_option(parser)
    add_folder(parser, "the overlay", PART)


def _run(options: argparse.Namespace) -> None:
    design = designs.find(options.design)
    bit = write(design, folder_of(options.output, design, PART))
    result(f"wrote {bit} and its .hwh, for the simulated board", bitstream=str(bit))


main = Command("overlay", _options, _run, "--design pynq_z1")


if __name__ == "__main__":
    sys.exit(main())
