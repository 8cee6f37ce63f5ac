"""What the demo prints, on a small network."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from test_program import network
from test_rtl_sim import TIGHT, built

from bnn import model as models
from hls import designs
from hls.ap_types import find_ap_types
from sim import demo, hls_csim, rtl_sim

pytestmark = pytest.mark.skipif(
    find_ap_types() is None or rtl_sim.find_verilator() is None or shutil.which("g++") is None,
    reason="ap_int.h, verilator or g++ is not installed",
)


@pytest.fixture(scope="module")
def hls_core(tmp_path_factory: pytest.TempPathFactory) -> hls_csim.Core:
    return hls_csim.build(TIGHT, tmp_path_factory.mktemp("hls"))


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hls_core: hls_csim.Core) -> list[str]:
    """Three images of a network with a first layer whose channels do not fill the last group."""
    model = network(6, (6, 6, 3), [("conv", 9, 1, 0, False), ("conv", 8, 1, 1, True), ("dense", 5)])
    models.save(model, tmp_path / "model.npz")
    rng = np.random.default_rng(1)
    np.savez(tmp_path / "images.npz", x=rng.integers(0, 256, (3, 6, 6, 3), np.uint8), y=np.array([0, 1, 2]))
    monkeypatch.setitem(designs.DESIGNS, "tight", TIGHT)
    rtl_core = built(TIGHT)
    monkeypatch.setattr(hls_csim, "build", lambda design, folder, first: hls_core)
    monkeypatch.setattr(rtl_sim, "build", lambda design, folder, first: rtl_core)
    return [str(tmp_path / "model.npz"), "--images", str(tmp_path / "images.npz"), "--design", "tight",
            "-o", str(tmp_path / "out")]


def test_all_bits_match(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    table = [line.split() for line in lines if not line.startswith("demo:")]
    assert table[0] == ["image", "label", "golden", "HLS", "RTL", "bit-exact"]
    assert [row[0] for row in table[1:]] == ["0", "1", "2"]
    assert all(row[2] == row[3] == row[4] and row[5] == "yes" for row in table[1:])
    right = sum(row[1] == row[2] for row in table[1:])
    start, _, cycles = lines[-1].rpartition(", ")
    assert start == f"demo: 3/3 images bit-exact (golden = HLS = RTL), {right}/3 correct"
    assert cycles.endswith(" cycles/image") and 0 < int(cycles.split()[0]) < 10000


def test_a_wrong_bit_is_reported(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = rtl_sim.Core.sequence

    def sequence(self: rtl_sim.Core, jobs: list[rtl_sim.Job]) -> list[rtl_sim.Run]:
        runs = honest(self, jobs)
        for run in runs:
            run.traces[0][1, 2, 0, 7] ^= 1
        return runs

    monkeypatch.setattr(rtl_sim.Core, "sequence", sequence)
    assert demo.main(arguments) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.strip().startswith("RTL: conv2: image 0, pixel (2, 0), channel 7: expected") for line in lines)
    assert lines[-1].startswith("demo: 2/3 images bit-exact (golden = HLS = RTL), ")


def test_a_missing_tool_is_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*_: object, **__: object) -> rtl_sim.Core:
        raise rtl_sim.RtlSimError("verilator: not found")

    monkeypatch.setattr(rtl_sim, "build", build)
    assert demo.main(arguments) == 1
    assert capsys.readouterr().err == "error: verilator: not found\n"
