"""Designs and boards: those of the sources, and those of files."""

from __future__ import annotations

import ast
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.designs import ARTY, PAGE

from bnn.model import SHIPPED
from hls import __main__ as hls
from hls import boards, designs, overlay
from hls.check import __main__ as check
from hls.designs import DESIGNS, DesignError
from hls.rtl_report import __main__ as report
from sim import bench, demo


def write(folder: Path, text: str, name: str = "arty.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_the_file_of_the_page(tmp_path: Path) -> None:
    design = designs.find(str(write(tmp_path, ARTY)))
    assert (design.name, design.board.name, design.clock_mhz) == ("arty", "arty_z7_20", 125.0)
    assert design.board == replace(
        boards.BOARDS["pynq_z1"], name="arty_z7_20", preset={}, board_part="digilentinc.com:arty-z7-20:part0:1.0"
    )
    twin = DESIGNS["pynq_z1_binary"]
    assert replace(design, name=twin.name, board=twin.board, clock_mhz=twin.clock_mhz) == twin
    design.check_clock()


def test_the_row_of_the_page_is_the_same_board(tmp_path: Path) -> None:
    row = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
    call = ast.parse(row.strip(), mode="eval")
    names = {"known": boards.known, "ZYNQ7": boards.ZYNQ7}
    assert eval(compile(call, "row", "eval"), names) == designs.load(write(tmp_path, ARTY)).board


def test_a_design_on_a_known_board_and_a_board_of_another_device(tmp_path: Path) -> None:
    short = ARTY[: ARTY.index("[board]")]
    design = designs.load(write(tmp_path, 'board = "pynq_z2"\n' + short, "mine.toml"))
    assert design.board is boards.BOARDS["pynq_z2"] and design.name == "mine"
    with pytest.raises(DesignError, match="mine.toml: board 'none' is not one of pynq_z1, "):
        designs.load(write(tmp_path, 'board = "none"\n' + short, "mine.toml"))
    text = ARTY.replace("xc7z020clg400-1", "xc7z030sbg485-1") + "lut = 78600\nff = 157200\nbram36 = 265\ndsp = 400\n"
    board = designs.load(write(tmp_path, text + '[board.preset]\nPCW_UIPARAM_DDR_PARTNO = "x y"\n')).board
    assert (board.lut, board.ff, board.bram36, board.dsp) == (78600, 157200, 265, 400)
    assert board.preset == {"PCW_UIPARAM_DDR_PARTNO": "x y"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("pe = 32", "pe = 33", "design arty: PE=33 is not a power of two"),
        ("ports = 1", "ports = 3", "design arty: PORTS=3 is not a power of two"),
        ("ports = 1", "ports = 4", "design arty: PORTS=4 is not in 1 to 2"),
        ("ports = 1", "ports = true", "design arty: PORTS=True is not a power of two"),
        ("dsp_lanes = 8", "dsp_lanes = 6", "design arty: DSP_LANES=6 is not a multiple of 4"),
        ("dsp_lanes = 8", "dsp_lanes = 12", "design arty: DSP_LANES=12 is not in 0 to LANES = 8"),
        ("dsp_lanes = 8", "dsp_lanes = -4", "design arty: DSP_LANES=-4 is not in 0 to LANES = 8"),
        ("dsp_lanes = 8", "dsp_lanes = true", "design arty: DSP_LANES=True is not a multiple of 4"),
        ("dsp_lanes = 8", "dsp_lanes = 4.0", "design arty: DSP_LANES=4.0 is not a multiple of 4"),
        ("pe = 32", "pe = 64.0", "design arty: PE=64.0 is not a power of two"),
        ("act_depth = 4096", "act_depth = 16384", "design arty: memories need .* BRAM36 or more, arty_z7_20 has 140"),
        ("clock_mhz = 125.0", 'clock_mhz = "fast"', "design arty: clock_mhz='fast' is no number"),
        ("pe = 32", "", "no pe"),
        ("pe = 32", "pe = 32\nPE = 32", "unknown PE"),
        ("pe = 32", "pe = ", r"Invalid value \(at line 1"),
        ("[board]", "[bord]", "no board, unknown bord"),
        ("[board]", "board = 3\n[x]", "no"),
        ('name = "arty_z7_20"', "", "board: no name"),
        ('name = "arty_z7_20"', 'name = "pynq_z1"', 'board pynq_z1 is there already, write board = "pynq_z1"'),
        ('name = "arty_z7_20"', 'name = "arty z7"', "board: name='arty z7' is not a name"),
        ('ps = "zynq7"', 'ps = "versal"', "board: ps='versal' is not one of zynq7, zynqmp"),
        (
            "xc7z020clg400-1",
            "xc7z030sbg485-1",
            "board arty_z7_20: part 'xc7z030sbg485-1' is of none of .*: say what it offers, lut, ff, bram36, dsp",
        ),
        ('ps = "zynq7"', 'ps = "zynq7"\nlut = 5', "board: no ff, no bram36, no dsp"),
        ('ps = "zynq7"', 'ps = "zynq7"\nlut = 5\nff = 5\nbram36 = 0\ndsp = 5', "bram36=0 is not a positive integer"),
        (
            'board_part = "digilentinc.com:arty-z7-20:part0:1.0"',
            "",
            "needs board_part, Vivado's name of it, or a preset",
        ),
        ('ps = "zynq7"', 'ps = "zynq7"\npreset = {A = 1}', "preset is not a table of texts"),
    ],
)
def test_bad_files(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, ARTY.replace(old, new, 1))
    with pytest.raises(DesignError, match=message) as caught:
        designs.load(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    assert str(caught.value).count(str(path)) == 1


def test_ports_of_a_file(tmp_path: Path) -> None:
    two = designs.load(write(tmp_path, ARTY.replace("ports = 1", "ports = 2")))
    assert two == replace(designs.load(write(tmp_path, ARTY)), ports=2)
    assert designs.choose(str(tmp_path / "arty.toml"), None)[1] == "hls"
    write(tmp_path, ARTY.replace("ports = 1", "ports = 2"))
    assert designs.choose(str(tmp_path / "arty.toml"), None) == (two, "rtl")
    with pytest.raises(DesignError, match="design arty: ports=2, the HLS core has one; take the back end rtl"):
        designs.choose(str(tmp_path / "arty.toml"), "hls")
    with pytest.raises(DesignError, match="design sim_small: PE x SIMD = 128, PORTS=2 needs 256 or more"):
        replace(DESIGNS["sim_small"], pe=4, vector=False, ports=2)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pynq_z1.toml", "a name of its own"),
        ("my design.toml", "a name of its own"),
        ("other.toml", "No such file"),
    ],
)
def test_bad_names(name: str, message: str, tmp_path: Path) -> None:
    if message != "No such file":
        write(tmp_path, ARTY, name)
    with pytest.raises(DesignError, match=message):
        designs.find(str(tmp_path / name))
    with pytest.raises(DesignError, match="design 'other' is not one of pynq_z1, .*, nor a file NAME.toml"):
        designs.find("other")


def test_a_clock_without_end_is_refused() -> None:
    for clock in (math.inf, math.nan, -5.0, 0):
        with pytest.raises(DesignError, match=f"design sim_small: clock_mhz={clock} is not positive and finite"):
            replace(DESIGNS["sim_small"], clock_mhz=clock)


@pytest.mark.parametrize("name", DESIGNS)
def test_the_clock_of_every_design_is_one_of_its_boards(name: str) -> None:
    DESIGNS[name].check_clock()
    near = replace(DESIGNS[name], clock_mhz=DESIGNS[name].clock_mhz * 1.002)
    with pytest.raises(DesignError, match=r"clock_mhz=\S+ is not 1[05]00 MHz over an integer, as \S+, "):
        near.check_clock()


def test_a_board_is_hashable_and_named_in_json() -> None:
    assert len({DESIGNS[name] for name in DESIGNS}) == len(DESIGNS)
    assert DESIGNS["kv260"].parameters()["board"] == "kv260"


def test_the_simulated_board_takes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pynq")
    from sim.board import __main__ as board
    from sim.board import demo as board_demo

    path = str(write(tmp_path, ARTY.replace("pe = 32", "pe = 33")))
    for main in (board.main, board_demo.main):
        assert main(["--design", path]) == 1
        assert capsys.readouterr().err == f"error: {path}: design arty: PE=33 is not a power of two\n"


def test_every_command_takes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each says what is wrong with it, in one line, before it does anything."""
    path = str(write(tmp_path, ARTY.replace("pe = 32", "pe = 33")))
    model = str(SHIPPED / "cnv.npz")
    commands = {
        hls.main: [model, "-o", str(tmp_path)],
        overlay.main: ["-o", str(tmp_path)],
        report.main: [],
        demo.main: [],
        bench.main: [],
        check.main: [],
    }
    for main, arguments in commands.items():
        assert main([*arguments, "--design", path]) == 1
        error = capsys.readouterr().err
        assert error == f"error: {path}: design arty: PE=33 is not a power of two\n"
    good = str(write(tmp_path, ARTY))
    assert hls.main([model, "-o", str(tmp_path / "out"), "--design", good]) == 0
    assert '"board": "arty_z7_20"' in (tmp_path / "out/plan.json").read_text()
    assert overlay.main(["-o", str(tmp_path / "out"), "--design", good]) == 0
    assert (tmp_path / "out/arty.hwh").is_file()
