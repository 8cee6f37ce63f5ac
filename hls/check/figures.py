"""What an estimate of the HLS core takes from its C++: II and depth of the loops, memories, LUTs of a dot product."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnn.files import write_atomically
from hls import yosys
from hls.ap_types import find_ap_types
from hls.check import llvm, loops, verilog
from hls.designs import Design
from hls.directives import DEFAULT_VERSION
from hls.render import TOP, digest, render

VERSION = 1
"""Counts changes of what is kept in the file."""
FILE = "figures.json"
BEHIND = """
template <typename Function>
struct Ports;
template <typename Result, typename First, typename Second>
struct Ports<Result(First, Second)> {
  typedef Result Out;
  typedef First A;
  typedef Second B;
};
typedef Ports<decltype(bnn::count_matches)> Dot;
void dot(const Dot::A* a, const Dot::B* b, Dot::Out* out) { *out = bnn::count_matches(*a, *b); }
"""
"""A top around one dot product, whatever the types of its operands."""


@dataclass(frozen=True)
class Figures:
    """Of one design.

    `loops`: II and depth in cycles by label. `memories`: name, banks, words and bits of a bank, and where it is bound
    ("bram", "lutram" or "" where that is left to the tool). `fifos`: name, depth, bits. `buffers`: of the ports to
    memory, name and beats. `dot_lut`: LUTs of one dot product.
    """

    loops: dict[str, tuple[int, int]]
    memories: list[tuple[str, int, int, int, str]]
    fifos: list[tuple[str, int, int]]
    buffers: list[tuple[str, int]]
    dot_lut: int


def sources(design: Design, folder: Path, version: str) -> str:
    """Write a design's C++ into `folder`; the digest of its files."""
    files = {path: text for path, text in render(design, version).items() if path.startswith("hls/")}
    for path, text in files.items():
        target = folder / path
        if not target.is_file() or target.read_text() != text:
            write_atomically(target, text.encode())
    return digest(files)


def report(design: Design, folder: Path, version: str = DEFAULT_VERSION) -> loops.Report:
    """Check a design's C++, which is written into `folder`.

    Raises:
        hls.check.llvm.CompileError: a tool or the vendor's headers are missing, or clang refuses the sources.
    """
    sources(design, folder, version)
    return loops.check(
        folder / "hls" / f"{TOP}.cpp",
        TOP,
        _headers(),
        1000 / design.clock_mhz,
        design.board.part,
        folder / "ir",
        version,
    )


def _headers() -> Path:
    found = find_ap_types()
    if found is None:
        raise llvm.CompileError("ap_int.h: not found, expected in the folder AP_TYPES or in an installed hls4ml")
    return found


def figures(design: Design, folder: Path, version: str = DEFAULT_VERSION) -> Figures:
    """The figures of a design, kept in `folder` by what they depend on.

    Raises:
        hls.check.llvm.CompileError: as `report`.
        hls.yosys.YosysError: yosys is missing or fails.
    """
    key = llvm.digest(
        str(VERSION),
        str(loops.VERSION),
        llvm.versions(),
        yosys.version(),
        version,
        str(design.clock_mhz),
        design.board.part,
        sources(design, folder, version),
    )
    kept = folder / FILE
    if kept.is_file():
        known = json.loads(kept.read_text(encoding="utf-8"))
        if known["key"] == key:
            return _read(known)
    found = report(design, folder, version)
    timed: dict[str, tuple[int, int]] = {}
    for one in found.loops:  # a label that several functions have stands for the slowest of its loops
        timed[one.label] = max(timed.get(one.label, (0, 0)), (one.interval, one.depth))
    memories = [(one.name, *one.banks, one.bits, one.implementation) for one in found.memories if one.kind == "memory"]
    fifos = [(one.name, one.depth, one.bits) for one in found.memories if one.kind == "fifo"]
    made: dict[str, Any] = {
        "key": key,
        "loops": timed,
        "memories": memories,
        "fifos": fifos,
        "buffers": found.buffers,
        "dot_lut": dot_lut(folder / "hls", folder / "dot"),
    }
    write_atomically(kept, (json.dumps(made, indent=1) + "\n").encode())
    return _read(json.loads(json.dumps(made)))


def _read(known: dict[str, Any]) -> Figures:
    return Figures(
        {label: (interval, depth) for label, (interval, depth) in known["loops"].items()},
        [(name, banks, words, bits, bound) for name, banks, words, bits, bound in known["memories"]],
        [(name, depth, bits) for name, depth, bits in known["fifos"]],
        [(name, beats) for name, beats in known["buffers"]],
        known["dot_lut"],
    )


def dot_lut(core: Path, folder: Path) -> int:
    """LUTs that yosys maps one `count_matches` to, of the C++ in `core`; `folder` is where it works.

    Raises:
        hls.check.llvm.CompileError: clang refuses it.
        hls.yosys.YosysError: yosys is missing or fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "dot.cpp"
    header = "bnn_dot.h" if (core / "bnn_dot.h").is_file() else "bnn_array.h"
    write_atomically(path, f'#include "{header}"\n{BEHIND}'.encode())
    write_atomically(folder / "dot.v", verilog.module(loops.straight(path, "dot", _headers(), core), "dot").encode())
    yosys.run(
        "read_verilog dot.v; synth_xilinx -family xc7 -noiopad -noclkbuf -top dot; tee -q -o dot.stat stat",
        folder,
        "dot.log",
    )
    counted = re.findall(
        r"^\s*(?:(\d+)\s+(?:[\d.e+-]+\s+)?LUT[1-6]|LUT[1-6]\s+(\d+))\s*$",
        (folder / "dot.stat").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    return sum(int(one or other) for one, other in counted)
