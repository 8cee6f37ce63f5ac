"""What the demo prints, on a small network."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.cores import TIGHT, built
from helpers.models import network

from bnn import model as models
from hls import designs, schedule
from hls.ap_types import find_ap_types
from sim import demo, hls_csim, rtl_sim

pytestmark = pytest.mark.skipif(
    find_ap_types() is None or rtl_sim.find_verilator() is None or shutil.which("g++") is None,
    reason="ap_int.h, verilator or g++ is not installed",
)


@pytest.fixture(scope="module")
def hls_core(tmp_path_factory: pytest.TempPathFactory) -> hls_csim.HlsSimulation:
    return hls_csim.build(TIGHT, tmp_path_factory.mktemp("hls"))


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hls_core: hls_csim.HlsSimulation) -> list[str]:
    """Three images of a network with a first layer whose channels do not fill the last group."""
    model = network(6, (6, 6, 3), [("conv", 9, 1, 0, False), ("conv", 8, 1, 1, True), ("dense", 5)])
    models.save(model, tmp_path / "model.npz")
    rng = np.random.default_rng(1)
    np.savez(tmp_path / "images.npz", x=rng.integers(0, 256, (3, 6, 6, 3), np.uint8), y=np.array([0, 1, 2]))
    monkeypatch.setitem(designs.DESIGNS, "tight", TIGHT)
    rtl_core = built(TIGHT)
    monkeypatch.setattr(hls_csim, "build", lambda design, folder, first: hls_core)
    monkeypatch.setattr(rtl_sim, "build", lambda design, folder, first: rtl_core)
    return [
        str(tmp_path / "model.npz"),
        "--images",
        str(tmp_path / "images.npz"),
        "--design",
        "tight",
        "-o",
        str(tmp_path / "out"),
    ]


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
    honest = rtl_sim.RtlSimulation.sequence

    def sequence(self: rtl_sim.RtlSimulation, jobs: list[rtl_sim.Job]) -> list[rtl_sim.RtlRun]:
        runs = honest(self, jobs)
        for run in runs:
            run.traces[0].planes[0, 1, 2, 0, 7] ^= 1
        return runs

    monkeypatch.setattr(rtl_sim.RtlSimulation, "sequence", sequence)
    assert demo.main(arguments) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.strip().startswith("RTL: conv2: image 0, pixel (2, 0), channel 7: expected") for line in lines)
    assert lines[-1].startswith("demo: 2/3 images bit-exact (golden = HLS = RTL), ")


def test_a_missing_tool_is_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*_: object, **__: object) -> rtl_sim.RtlSimulation:
        raise rtl_sim.RtlSimError("verilator: not found")

    monkeypatch.setattr(rtl_sim, "build", build)
    assert demo.main(arguments) == 1
    assert capsys.readouterr().err == "error: verilator: not found\n"


def images_of(arguments: list[str]) -> np.ndarray:
    with np.load(arguments[2]) as sample:
        return np.asarray(sample["x"])


def test_labels_that_are_no_class_or_unknown(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    x = images_of(arguments)
    np.savez(arguments[2], x=x, y=np.array([-1, 77, 2]))
    assert demo.main(arguments) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if not line.startswith("demo:")]
    assert [row[1] for row in rows] == ["label", "-1", "77", rows[3][1]]
    np.savez(arguments[2], x=x)
    assert demo.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines if not line.startswith("demo:")][0] == ["image", "golden"]
    assert "accuracy" not in "".join(lines) and "correct" not in lines[-1]
    np.save(arguments[2].replace(".npz", ".npy"), x)
    arguments[2] = arguments[2].replace(".npz", ".npy")
    assert demo.main([*arguments, "--limit", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("demo: 1/1 images bit-exact")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x", "is no .npy or .npz file"),
        (b"PK\3\4cut", "is no .npz file"),
        (None, "images are (6, 5, 3), model"),
    ],
)
def test_bad_images_are_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str], content: bytes | None, message: str
) -> None:
    if content is None:
        np.savez(arguments[2], x=images_of(arguments)[:, :, :5])
    else:
        Path(arguments[2]).write_bytes(content)
    assert demo.main(arguments) == 1
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    with pytest.raises(SystemExit):
        demo.main([*arguments, "--limit", "0"])
    assert capsys.readouterr().err.startswith("error: argument --limit: 0 is not positive; ")


def test_the_estimate_is_of_the_images_that_run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """More images than a batch of the plan: the cycles of them all are divided by their number."""
    x = np.repeat(images_of(arguments), 9, axis=0)
    np.savez(arguments[2], x=x)
    model = models.load(arguments[0])
    placed = schedule.plan(model, TIGHT, len(x))
    assert placed.batch < len(x)
    assert demo.main([*arguments, "--limit", str(len(x))]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "cycles/image, " in line]
    found = [int(line.rpartition(": ")[2].split()[0]) for line in lines]
    wanted = [round(placed.run_cycles(len(x), keep) / len(x)) for keep in (False, True)]
    assert found[:2] == wanted and "estimated" in lines[0] and "simulated" in lines[2]
    for estimated, simulated in zip(found[:2], found[2:], strict=True):
        assert abs(estimated - simulated) < 0.25 * simulated
