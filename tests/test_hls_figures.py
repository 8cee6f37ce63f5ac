"""Figures that the estimate of the HLS core takes from its C++."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from hls import yosys
from hls.ap_types import find_ap_types
from hls.check import figures, llvm, loops, verilog
from hls.designs import DESIGNS

SMALL = DESIGNS["sim_small"]
COUNT = """
#include <ap_int.h>
void top(const ap_uint<12>* a, const ap_uint<12>* b, ap_uint<8>* out) {
  ap_uint<8> count = 0;
bits:
  for (int i = 0; i < 12; ++i) {
#pragma HLS UNROLL
    count += (*a)[i] == (*b)[i];
  }
  *out = ap_int<12>(*a) < ap_int<12>(*b) ? ap_uint<8>(count + 100) : count;
}
"""


def straight(folder: Path, text: str) -> str:
    """The Verilog of a snippet's top."""
    (folder / "top.cpp").write_text(text)
    ap_types = find_ap_types()
    assert ap_types is not None
    return verilog.module(loops.straight(folder / "top.cpp", "top", ap_types, folder), "top")


def test_the_verilog_computes_what_the_cpp_does(tmp_path: Path) -> None:
    (tmp_path / "top.v").write_text(straight(tmp_path, COUNT))
    source = random.Random(5)
    cases = [(source.randrange(4096), source.randrange(4096)) for _ in range(20)] + [(0, 0), (4095, 4095), (2048, 1)]
    script = "read_verilog top.v; " + "; ".join(f"eval -set a 16'd{a} -set b 16'd{b} -show out top" for a, b in cases)
    printed = yosys.run(script, tmp_path, "log")
    found = [int(line.split("'")[1].rstrip("."), 2) for line in printed.splitlines() if "\\out = 8'" in line]

    def signed(value: int) -> int:
        return value - 4096 if value >= 2048 else value

    assert found == [12 - (a ^ b).bit_count() + 100 * (signed(a) < signed(b)) for a, b in cases]


@pytest.mark.parametrize(
    "body", ["for (int i = 0; i < *a; ++i) *out += i;", "*out = *a / (*a + 1);"], ids=["loop", "division"]
)
def test_what_is_no_wire_is_refused(body: str, tmp_path: Path) -> None:
    with pytest.raises(llvm.CompileError, match="expected straight-line code|no wires for it"):
        straight(tmp_path, f"void top(const int* a, int* out) {{ {body} }}")


def test_figures_of_a_design(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loops that the estimate counts, the design's memories, and LUTs of a dot product near to published ones."""
    found = figures.figures(SMALL, tmp_path)
    assert all(found.loops[label][0] == 1 for label in ("step", "command", "copy", "unpack", "slots", "packed"))
    assert found.loops["copy"][1] > 8  # a request to memory and its answer
    memories = {name: rest for name, *rest in found.memories}
    assert memories["weights"] == [SMALL.pe, SMALL.weight_depth, SMALL.simd, "bram"]
    assert memories["act"] == [SMALL.lanes * SMALL.simd // SMALL.first_pe, SMALL.act_depth, SMALL.first_pe, "bram"]
    assert [name for name, *_ in found.memories].count("buffer") == 2
    assert ("first", 512, 64) in found.fifos and any(name.startswith("gmem") for name, _ in found.buffers)
    assert SMALL.simd < found.dot_lut < 1.17 * SMALL.simd + 44  # the upper end is BISMO's, with its accumulator
    monkeypatch.setattr(loops, "check", None)  # what is kept is not computed again
    assert figures.figures(SMALL, tmp_path) == found
