"""Estimates of a design's cells, and the choice of designs for models."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.models import network

from bnn import networks
from hls import __main__ as command
from hls import designs, explore, fits, shell
from hls.area import block_ram, estimate_area
from hls.boards import BOARDS
from hls.designs import DESIGNS, DesignError
from hls.schedule import plan

ROOT = Path(__file__).resolve().parent.parent

# yosys, bnn report: LUT, FF, BRAM36, DSP and LUT of the array
MEASURED = {
    "pynq_z1": (46123, 85172, 136, 197, 21135),
    "pynq_z1_binary": (34978, 65722, 128, 139, 19153),
    "pynq_z1_ports2": (35199, 66192, 128, 139, 19153),
    "zybo_z7_10": (13358, 26579, 50, 27, 2859),
    "ultra96v2": (44170, 81157, 192, 261, 19153),
    "kv260": (69931, 127374, 144, 501, 38142),
    "of_four_lanes": (16113, 30217, 50, 43, 5120),
}
DESIGN = {**DESIGNS, "of_four_lanes": dataclasses.replace(DESIGNS["zybo_z7_10"], lanes=4, dsp_lanes=4, act_depth=2048)}
CONV = network(1, (12, 12, 3), [("conv", 32, 1, 0, False), ("conv", 64, 1, -1, True), ("dense", 64), ("dense", 10)])
DENSE = network(2, (8, 8, 1), [("dense", 128), ("dense", 64), ("dense", 10)], binary=True)


@pytest.mark.parametrize("name", MEASURED)
def test_estimate_is_near_synthesis(name: str) -> None:
    found = estimate_area(DESIGN[name])
    for got, want in zip((found.lut, found.ff, found.bram36, found.dsp, found.array_lut), MEASURED[name], strict=True):
        assert abs(got - want) <= 0.01 * want  # as docs/figures.md says


def test_the_pages_quote_the_syntheses() -> None:
    """The README in percent of the board, docs/figures.md in numbers."""
    readme, figures = (Path(ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "docs/figures.md"))
    for name, row in (("pynq_z1_binary", "of `pynq_z1_binary` on the XC7Z020"), ("pynq_z1", "those of `pynq_z1` ")):
        lut, ff, bram36, dsp, _ = MEASURED[name]
        board = DESIGNS[name].board
        line = next(line for line in readme.splitlines() if row in line and "`bnn report --design" in line)
        assert f"| {lut / board.lut:.0%}, {bram36 / board.bram36:.0%}, **".replace("%", " %") in line
        for label, value in (("LUT", lut), ("FF", ff), ("DSP", dsp)):
            assert any(line.startswith(f"| {label} |") and f" {value:,} |" in line for line in figures.splitlines()), (
                label
            )
    for name in set(MEASURED) - {"pynq_z1_binary", "pynq_z1"}:
        lut, ff, *_ = MEASURED[name]
        assert re.search(rf"^\| .* {lut:,} \(\d+ %\) \| {ff:,} \(", figures, re.MULTILINE), name


@pytest.mark.parametrize(("pe", "between"), [(4, 0), (8, 0), (16, 0), (32, 1), (64, 3)])
def test_an_accumulator_in_a_slice_takes_no_luts(pe: int, between: int) -> None:
    """But those between two chains of slices."""
    design = dataclasses.replace(DESIGNS["kv260"], pe=pe, first_pe=4, vector=False, dsp_lanes=0)
    slices = dataclasses.replace(design, dsp_lanes=design.lanes)
    saved = estimate_area(design).array_lut - estimate_area(slices).array_lut
    assert saved == design.lanes * (16 * pe - 17 * between)
    assert estimate_area(slices).dsp - estimate_area(design).dsp == pe * design.lanes // 2


@pytest.mark.parametrize("name", sorted(set(DESIGNS) - {name for name in DESIGNS if name.endswith("_hls")}))
def test_the_rtl_core_and_what_is_around_it_fit_the_board(name: str) -> None:
    design, area = DESIGNS[name], estimate_area(DESIGNS[name])
    assert shell.whole(design, area).fits(design.board, 0.92)


@pytest.mark.parametrize(
    ("words", "bits", "enable", "want"),
    [
        (1024, 512, 0, 14.5),
        (4096, 64, 16, 8),
        (2048, 32, 0, 2),
        (256, 64, 0, 1),
        (1024, 64, 8, 2),
        (512, 36, 0, 0.5),
    ],
)
def test_block_ram(words: int, bits: int, enable: int, want: float) -> None:
    assert block_ram(words, bits, enable) == want


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        explore,
        "RANGES",
        {
            "pe": (8, 16, 32),
            "simd": (32, 64),
            "lanes": (2, 4),
            "first_pe": (4, 8),
            "weight_depth": (256, 512),
            "act_depth": (128, 512),
        },
    )


def test_front_is_the_pareto_set(few: None) -> None:
    front = explore.explore([CONV, DENSE], "pynq_z1", 142.857, batch=4)
    every = []
    for design, cells in explore.candidates("pynq_z1", 142.857):
        try:
            cost = sum(plan(model, design, 4).run_cycles(4, True) / 4 for model in (CONV, DENSE))
        except DesignError:
            continue
        every.append((cells.lut, cells.bram36, cost))

    def beaten(a: tuple, b: tuple) -> bool:
        return a != b and all(y <= x for x, y in zip(a, b, strict=True))

    best = {item for item in every if not any(beaten(item, other) for other in every)}
    assert len(best) > 3 and len(every) > len(best)
    assert {(point.cells.lut, point.cells.bram36, point.cost) for point in front} == best
    assert [point.cost for point in front] == sorted(point.cost for point in front)
    for point in front:
        for model, cycles in zip((CONV, DENSE), point.cycles, strict=True):
            assert explore.least(model, point.design) < cycles


def test_pick(few: None) -> None:
    front = explore.explore([CONV], "pynq_z1", 142.857, batch=4)
    assert explore.pick(front) is front[0]
    target = front[len(front) // 2].cycles[0]
    chosen = explore.pick(front, [target])
    assert chosen.cycles[0] <= target
    assert all(point.cells.lut >= chosen.cells.lut for point in front if point.cycles[0] <= target)
    with pytest.raises(DesignError, match="the fastest has"):
        explore.pick(front, [1])
    with pytest.raises(DesignError, match="2 targets for 1 models"):
        explore.pick(front, [1, 2])


def test_every_candidate_is_within_the_board() -> None:
    part = BOARDS["zybo_z7_10"]
    found = list(explore.candidates("zybo_z7_10", 125.0, 0.9))
    around = 910 + 910 + 120
    assert found and all(cells.lut + around <= 0.9 * part.lut and cells.bram36 <= part.bram36 for _, cells in found)


def test_command(few: None, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "front.json"
    monkeypatch.chdir(tmp_path)
    assert command.main(["explore", "LFC", "--batch", "4", "--target", "1e6", "-o", str(out)]) == 0
    text = capsys.readouterr().out
    assert "LFC cycles/image" in text and "picked: PE=" in text
    assert json.loads(out.read_text())["designs"][0]["cycles_per_image"]
    for bad in (
        ["LFC", "--board", "none"],
        ["none.npz"],
        ["LFC", "--target", "1"],
        ["LFC", "--fill", "2"],
        ["LFC", "--batch", "0"],
    ):
        assert command.main(["explore", *bad]) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1


def test_a_network_is_sized_before_it_is_trained(
    few: None, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images beyond IMAGE_PIXELS of every shipped design: the design that is written takes them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(explore.RANGES, "act_depth", (2048, 8192))
    call = ["explore", "tiny", "--size", "64", "--classes", "3", "--batch", "2"]
    assert command.main(call) == 0
    assert "IMAGE_PIXELS=4096" in capsys.readouterr().out
    found = designs.find("design.toml")
    assert (found.name, found.image_pixels, found.max_layers, found.board.name) == ("design", 4096, 32, "pynq_z1")
    model = explore.find("tiny", 64, 3)
    assert len(model.classes) == 3
    best = explore.explore([model], "pynq_z1", found.clock_mhz, 2)[0]
    assert best.design.parameters() | {"name": "design"} == found.parameters()
    assert plan(model, found, 2).run_cycles(2, True) / 2 == best.cycles[0]
    assert all("image: 64x64 pixels do not fit IMAGE_PIXELS=1024" in reason for reason in fits.refusals(model).values())
    assert command.main(call) == 0  # its own file is written again
    (tmp_path / "design.toml").write_text("# mine\n")
    assert command.main(call) == 1
    assert capsys.readouterr().err.startswith("error: design.toml: is not written by bnn explore and stays")
    assert (tmp_path / "design.toml").read_text() == "# mine\n"
    assert command.main([*call, "--write", "pynq_z1.toml"]) == 1  # a name that is taken
    assert not (tmp_path / "pynq_z1.toml").exists()
    capsys.readouterr()
    assert command.main([*call, "--write", "fast.toml", "--clock", "99"]) == 1
    assert "clock_mhz=99 is not 1000 MHz over an integer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--write", "fast"], "fast: expected NAME.toml, with a name of its own of letters, digits and _"),
        (["--write", "my design.toml"], "my design.toml: expected NAME.toml, with a name of its own"),
        (["--write", "folder.toml"], "folder.toml: is a folder"),
        (["--clock", "99"], "design design: clock_mhz=99 is not 1000 MHz over an integer"),
        (["--clock", "inf"], "design design: clock_mhz=inf is not positive and finite"),
        (["--clock", "-5"], "design design: clock_mhz=-5.0 is not positive and finite"),
        (["--clock", "0"], "design design: clock_mhz=0.0 is not positive and finite"),
    ],
)
def test_what_could_not_be_written_is_refused_before_the_search(
    more: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr(explore, "explore")
    (tmp_path / "folder.toml").mkdir()
    assert command.main(["explore", "tiny", *more]) == 1
    assert capsys.readouterr().err.startswith(f"error: {message}")


def test_a_file_has_its_own_images_and_classes(capsys: pytest.CaptureFixture) -> None:
    file = str(ROOT / "models" / "sfc.npz")
    for main in (explore.main, fits.main):
        for more in (["--size", "64"], ["--classes", "3"]):
            assert main([file, *more]) == 1
            assert "is a model's file, which has its images and classes; leave out --size" in capsys.readouterr().err


def test_what_no_shipped_design_takes_is_said_before_training() -> None:
    tiny = networks.network("tiny")
    assert fits.advice(tiny) == ""
    large = dataclasses.replace(tiny, height=96, width=96, classes=7)
    assert fits.advice(large) == (
        "no shipped design takes tiny: image: 96x96 pixels do not fit IMAGE_PIXELS=1024 of pynq_z1; "
        "bnn explore tiny --size 96 --classes 7 sizes one"
    )
    assert fits.advice(dataclasses.replace(tiny, height=2, width=2)).startswith("layer conv2")
    found = fits.refusals(fits.shaped(networks.network("bireal")))
    assert found and fits.TESTS not in found


def test_designs_that_had_another_name(tmp_path: Path) -> None:
    for old, new in designs.RENAMED.items():
        assert designs.find(old) is DESIGNS[new]
    assert designs.choose("pynq_z1_small", None) == (DESIGNS["zybo_z7_10"], "rtl")


def test_a_training_warns_at_its_start(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from train.__main__ import main as train

    for size, said in ((40, "warning: no shipped design takes tiny: image: 40x40 pixels do not fit"), (16, "")):
        images = np.random.default_rng(1).integers(0, 256, (24, size, size, 3), np.uint8)
        np.savez(tmp_path / "d.npz", x=images, y=np.arange(24) % 2)
        call = ["tiny", "--data", str(tmp_path / "d.npz"), "--dry-run", "-o", str(tmp_path)]
        assert train(call) == 0
        error = capsys.readouterr().err
        assert error.startswith(said) and error.count("\n") == bool(said)
