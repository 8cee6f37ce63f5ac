"""`python -m hls.build`: stages with stand-ins for the tools, resuming, failures."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from helpers.models import network
from helpers.tools import CSYNTH_XML, FIGURES, TOOL, Tools

from bnn import model as models
from hls import build, designs, hls_report, implementation, render, shell
from hls import tools as vendor
from hls.area import estimate_area
from hls.designs import BACKENDS, DESIGNS, HLS_DESIGNS, DesignError, choose

FILES = render.render(DESIGNS["pynq_z1_hls"])
HLS, RTL = (
    ["csim", "csynth", "export", "project", "implement-1", "bitstream"],
    ["package", "project", "implement-1", "bitstream"],
)
BIT = "bitstream/pynq_z1_hls.bit"


@pytest.fixture()
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    return Tools(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("backend", "there", "missing"),
    [
        ("hls", (), "vitis_hls and vivado not found, skipped csim, csynth, export, project, bitstream"),
        ("rtl", (), "vivado not found, skipped package, project, bitstream"),
        ("hls", ("vivado",), "vitis_hls not found, skipped csim, csynth, export, project, bitstream"),
        ("hls", ("vitis_hls",), "vivado not found, skipped project, bitstream"),
    ],
)
def test_without_tools(
    backend: str, there: tuple[str, ...], missing: str, tools: Tools, capsys: pytest.CaptureFixture
) -> None:
    tools.add(*there)
    assert tools.run("--backend", backend) == 0
    files = render.render(DESIGNS["pynq_z1_hls"], backend=backend)
    assert capsys.readouterr().out.splitlines()[0] == f"hls: wrote {len(files) + 1} files to {tools.out}; {missing}"
    assert tools.stages() == (["csim", "csynth", "export"] if there == ("vitis_hls",) else [])
    written = {path: (tools.out / path).read_text() for path in files}
    assert written == files and (tools.out / build.DIGEST).read_text() == render.digest(files) + "\n"


@pytest.mark.parametrize("backend", BACKENDS)
def test_all_stages_and_again(backend: str, tools: Tools, capsys: pytest.CaptureFixture) -> None:
    tools.add("vitis_hls", "vivado")
    wanted = HLS if backend == "hls" else RTL
    assert tools.run("--backend", backend) == 0, capsys.readouterr().err
    assert tools.stages() == wanted
    assert (tools.out / "bitstream/pynq_z1_hls.bit").exists() and (tools.out / "bitstream/pynq_z1_hls.hwh").exists()
    report = json.loads((tools.out / hls_report.FILE).read_text())
    assert report["around"]["lut"] == 1940
    assert report["implementation"]["timing"]["met"] and ("hls" in report) == (backend == "hls")
    capsys.readouterr()
    assert tools.run("--backend", backend) == 0
    assert tools.stages() == []
    assert [line for line in capsys.readouterr().out.splitlines() if "done before" in line] == [
        f"hls: {name}: done before" for name in wanted
    ]


@pytest.mark.parametrize(
    ("name", "backend", "chosen"),
    [
        (None, None, ("pynq_z1_hls", "hls")),
        (None, "hls", ("pynq_z1_hls", "hls")),
        (None, "rtl", ("pynq_z1_binary", "rtl")),
        ("pynq_z1", None, ("pynq_z1", "rtl")),
        ("pynq_z1_hls", None, ("pynq_z1_hls", "hls")),
        ("pynq_z1_hls", "rtl", ("pynq_z1_hls", "rtl")),
        ("pynq_z1_ports2", None, ("pynq_z1_ports2", "rtl")),
        ("sim_small", None, ("sim_small", "hls")),
    ],
)
def test_design_and_back_end_choose_each_other(name: str | None, backend: str | None, chosen: tuple[str, str]) -> None:
    design, core = choose(name, backend)
    assert (design.name, core) == chosen


@pytest.mark.parametrize("name", HLS_DESIGNS)
def test_a_design_of_the_rtl_core_is_refused_for_hls(name: str, tools: Tools, capsys: pytest.CaptureFixture) -> None:
    assert tools.run("--design", name, "--backend", "hls") == 1
    assert f"is for the back end rtl; for hls take {HLS_DESIGNS[name]}" in capsys.readouterr().err
    assert DESIGNS[HLS_DESIGNS[name]].board == DESIGNS[name].board and not tools.out.exists()


def test_what_a_part_has_too_little_of_is_said(tools: Tools, capsys: pytest.CaptureFixture) -> None:
    """Of the core and what is around it."""
    zybo = DESIGNS["zybo_z7_10"]
    assert build.too_much(zybo) == ""
    four = replace(zybo, lanes=4, dsp_lanes=4, act_depth=2048)
    alone = estimate_area(four)
    assert alone.fits(zybo.board) and not shell.whole(four, alone).fits(zybo.board)
    assert re.fullmatch(r"18,[01]\d\d of 17,600 LUT", build.too_much(four))
    assert re.fullmatch(r"\d\d(\.5)? of 60 BRAM36", build.too_much(replace(zybo, act_depth=8192)))
    file = tools.out.parent / "four.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(designs.write_toml(replace(four, name="four")))
    assert tools.run("--backend", "rtl", "--design", str(file)) == 0
    said = "".join(capsys.readouterr())
    assert f"hls: four and what is around it take an estimated {build.too_much(four)}: it may not fit" in said


def test_a_back_end_that_is_none() -> None:
    with pytest.raises(DesignError, match="back end 'vhdl' is not one of hls, rtl"):
        choose(None, "vhdl")


@pytest.mark.parametrize(
    ("name", "backend"),
    [(name, backend) for name in DESIGNS for backend in BACKENDS if backend == "rtl" or name not in HLS_DESIGNS],
)
def test_every_design_and_back_end(name: str, backend: str, tools: Tools, capsys: pytest.CaptureFixture) -> None:
    tools.add("vitis_hls", "vivado")
    tools.monkeypatch.setenv("DESIGN", name)
    tools.monkeypatch.setenv("ACTUAL", DESIGNS[name].board.ps.actual)
    assert tools.run("--design", name, "--backend", backend) == 0, capsys.readouterr().err
    assert tools.stages() == (HLS if backend == "hls" else RTL)
    assert implementation_of(tools)["clock_mhz"] == pytest.approx(DESIGNS[name].clock_mhz, 1e-5)
    assert (tools.out / implementation.bitfile(name)).is_file()


@pytest.mark.parametrize("stage", HLS)
def test_resume_after_a_failure(stage: str, tools: Tools, capsys: pytest.CaptureFixture) -> None:
    tools.add("vitis_hls", "vivado")
    tools.monkeypatch.setenv("FAIL", stage)
    assert tools.run() == 1
    at = HLS.index(stage)
    assert tools.stages() == HLS[: at + 1]
    error = capsys.readouterr().err
    assert error.startswith(f"error: {stage}: ") and error.count("\n") == 1
    assert "exit status 3" in error and "[X 1-1] it broke" in error
    tools.monkeypatch.delenv("FAIL")
    assert tools.run() == 0
    assert tools.stages() == HLS[at:]


def test_a_stage_that_leaves_nothing_fails(tools: Tools, capsys: pytest.CaptureFixture) -> None:
    tools.add("vitis_hls", "vivado")
    tools.monkeypatch.setenv("OMIT", "export")
    assert tools.run() == 1
    assert f"export: vitis_hls left no {tools.out / 'vitis/bnn_hls/solution/impl/ip/component.xml'}" in (
        capsys.readouterr().err
    )


def test_what_changed_is_run_again(tools: Tools) -> None:
    tools.add("vitis_hls", "vivado")
    assert tools.run() == 0
    tools.stages()
    (tools.out / "bitstream/pynq_z1_hls.bit").unlink()
    assert tools.run() == 0 and tools.stages() == ["bitstream"]
    (tools.out / "bitstream/pynq_z1_hls.bit").write_text("x")
    assert tools.run("--hls-version", "2024.2") == 0 and tools.stages() == HLS  # the scripts name the version
    assert tools.run("--hls-version", "2024.2", "--backend", "rtl") == 0 and tools.stages() == RTL


@pytest.mark.parametrize(
    ("version", "tool", "line"),
    [
        ("2022.2", "vitis_hls", "vitis_hls -f hls.tcl [csim] vitis 0"),
        ("2024.2", "vitis-run", "vitis-run --mode hls --tcl hls.tcl [csim] vitis 0"),
        ("2019.2", "vivado_hls", "vivado_hls -f hls.tcl [csim] vitis 0"),
    ],
)
def test_tools_of_several_versions(version: str, tool: str, line: str, tools: Tools) -> None:
    tools.add(tool)
    assert tools.run("--hls-version", version, "--date-patched") == 0
    assert tools.log.read_text().splitlines()[0] == line


@pytest.mark.parametrize("place", ["Vitis/2022.2/bin", "Vitis_HLS/2022.2/bin"])
def test_the_hls_tool_is_found_beside_the_compiler(place: str, tools: Tools) -> None:
    folder = tools.folder / "Xilinx"
    for name in ("Vitis/2022.2/bin/v++", f"{place}/vitis_hls"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TOOL)
        path.chmod(0o755)
    tools.monkeypatch.setenv("PATH", os.pathsep.join([str(folder / "Vitis/2022.2/bin"), os.environ["PATH"]]))
    assert tools.run() == 0
    assert tools.stages() == ["csim", "csynth", "export"]


def implementation_of(tools: Tools) -> dict:
    return json.loads((tools.out / hls_report.FILE).read_text())["implementation"]


def test_a_count_of_csynth_beyond_the_part_is_a_remark(tools: Tools, capsys: pytest.CaptureFixture) -> None:
    """Also block RAMs: FracBNN's core counts 122 % of those of the part that it runs on."""
    tools.add("vitis_hls", "vivado")
    text = CSYNTH_XML.replace("<LUT>38912</LUT>", "<LUT>200000</LUT>").replace("<BRAM_18K>201<", "<BRAM_18K>300<")
    (tools.folder / "data/csynth.xml").write_text(text)
    assert tools.run() == 0
    assert tools.stages() == HLS
    remark = next(line for line in capsys.readouterr().out.splitlines() if "csynth.xml" in line)
    assert remark == (
        "hls: csynth: csynth.xml counts 200000 lut of 53200, 150 bram36 of 140 on xc7z020-clg400-1, an "
        "estimate: Vivado decides; its LUTs are 1.1 to 2.7 or more times fewer in published binary "
        "networks, here 181818 to 74074"
    )
    assert json.loads((tools.out / hls_report.FILE).read_text())["hls"]["synthesis"]["remark"] in remark


def test_strategies_in_turn(tools: Tools, capsys: pytest.CaptureFixture) -> None:
    tools.add("vitis_hls", "vivado")
    tools.slack("1", -0.412)
    tools.slack("2", 0.1, -0.03)  # a hold violation is not met either
    tools.slack("3", 0.0)
    assert tools.run() == 0
    lines = [line for line in tools.log.read_text().splitlines() if "implement.tcl" in line]
    assert [line.split(" 0 ", 1)[1].strip() for line in lines] == list(implementation.STRATEGIES[:3])
    assert tools.stages() == [*HLS[:4], "implement-1", "implement-2", "implement-3", "bitstream"]
    out = capsys.readouterr().out
    assert "hls: implement-1: Vivado Implementation Defaults at 142.857 MHz: WNS -0.412 ns, WHS 0.021 ns" in out
    assert f"hls: {tools.out / BIT} and .hwh: Performance_ExtraTimingOpt at 142.857 MHz" in out.splitlines()[-1]
    found = implementation_of(tools)
    assert (found["strategy"], found["divider"], found["clock_mhz"]) == ("Performance_ExtraTimingOpt", 7, 142.857)
    assert [item["met"] for item in found["attempts"]] == [False, False, True] and found["timing"]["met"]


def test_then_slower_clocks(tools: Tools, capsys: pytest.CaptureFixture) -> None:
    """The best of the routed designs without hold violations is timed at every divider until one is met."""
    tools.add("vitis_hls", "vivado")
    for number, wns, whs in ((1, -1.5, 0.1), (2, -1.2, 0.1), (3, -0.1, -0.01), (4, -1.3, 0.1), (5, -1.4, 0.1)):
        tools.slack(str(number), wns, whs)
    tools.slack("clock-8", -0.2)
    assert tools.run("--backend", "rtl") == 0, capsys.readouterr().err
    lines = tools.log.read_text().splitlines()
    assert [line.split("] vivado 0", 1)[1].strip() for line in lines[-3:]] == [
        "2 8.000 ns",
        "2 9.000 ns",
        "111.111 MHz",
    ]
    assert tools.stages() == [
        *RTL[:2],
        *(f"implement-{number}" for number in range(1, 6)),
        "clock-8",
        "clock-9",
        "bitstream",
    ]
    found = implementation_of(tools)
    assert (found["strategy"], found["divider"], found["clock_mhz"]) == (implementation.STRATEGIES[1], 9, 111.111)
    assert [item["clock_mhz"] for item in found["attempts"]] == [142.857] * 5 + [125.0, 111.111]
    assert "111.111" in (tools.out / "bitstream/pynq_z1_hls.hwh").read_text()
    assert "at 111.111 MHz" in capsys.readouterr().out.splitlines()[-1]
    # nothing is tried twice, and what was timed again is the routed design that it is of
    assert tools.run("--backend", "rtl") == 0 and tools.stages() == []
    first, _, *rest = implementation.STRATEGIES
    tools.monkeypatch.setattr(implementation, "STRATEGIES", (first, "Performance_Retiming", *rest))
    assert tools.run("--backend", "rtl") == 0
    assert tools.stages() == ["implement-2", "clock-8", "clock-9", "bitstream"]


def test_fewer_strategies(tools: Tools) -> None:
    tools.add("vitis_hls", "vivado")
    tools.slack("1", -0.5)
    assert tools.run("--strategies", "1") == 0
    assert tools.stages() == [*HLS[:5], "clock-8", "bitstream"]


def test_the_clocks_are_those_of_the_boards_processing_system(tools: Tools, capsys: pytest.CaptureFixture) -> None:
    tools.add("vitis_hls", "vivado")
    tools.monkeypatch.setenv("DESIGN", "kv260")
    tools.monkeypatch.setenv("ACTUAL", "PSU__CRL_APB__PL0_REF_CTRL__ACT_FREQMHZ")
    tools.slack("1", -0.5)
    assert tools.run("--design", "kv260", "--strategies", "1") == 0, capsys.readouterr().err
    assert (implementation_of(tools)["divider"], implementation_of(tools)["clock_mhz"]) == (9, 166.667)


@pytest.mark.parametrize("stage", ["implement-2", "clock-9", "bitstream"])
def test_an_interrupted_search_goes_on(stage: str, tools: Tools) -> None:
    tools.add("vitis_hls", "vivado")
    for name in ("1", "2", "clock-8"):
        tools.slack(name, -1.1)
    wanted = [*HLS[:5], "implement-2", "clock-8", "clock-9", "bitstream"]
    tools.monkeypatch.setenv("FAIL", stage)
    assert tools.run("--strategies", "2") == 1
    assert tools.stages() == wanted[: wanted.index(stage) + 1]
    tools.monkeypatch.delenv("FAIL")
    assert tools.run("--strategies", "2") == 0
    assert tools.stages() == wanted[wanted.index(stage) :]


@pytest.mark.parametrize(
    ("slacks", "message"),
    [
        ({"1": (-9.0, 0.1), "2": (-8.0, 0.1)}, "no clock meets the timing: "),
        ({"1": (0.5, -0.1), "2": (-0.5, -0.2)}, "no strategy is routed without hold violations: "),
        ({}, "no strategy is routed without hold violations: "),
    ],
)
def test_only_hold_violations_and_the_last_divider_leave_nothing(
    slacks: dict, message: str, tools: Tools, capsys: pytest.CaptureFixture
) -> None:
    tools.add("vitis_hls", "vivado")
    for name in ("1", "2"):
        (tools.folder / "data" / f"timing-{name}").write_text("")
    for name, (wns, whs) in slacks.items():
        tools.slack(name, wns, whs)
    for divider in (8, 9, 10):
        tools.slack(f"clock-{divider}", -10.0 + divider - 0.1)
    assert tools.run("--strategies", "2") == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}") and error.count("\n") == 1
    assert ("at 100 MHz: WNS -0.1 ns" in error) == message.startswith("no clock")
    assert ("not routed" in error) == (not slacks)
    assert not (tools.out / BIT).exists()
    found = implementation_of(tools)
    assert not any(item["met"] for item in found["attempts"]) and "clock_mhz" not in found
    assert len(found["attempts"]) == (5 if message.startswith("no clock") else 2)


def test_a_handoff_with_another_clock_is_refused(tools: Tools, capsys: pytest.CaptureFixture) -> None:
    tools.add("vitis_hls", "vivado")
    tools.slack("1", -0.5)
    tools.monkeypatch.setenv("HWH_MHZ", "142.857")
    assert tools.run("--strategies", "1") == 1
    assert "pynq_z1_hls.hwh: the clock is 142.857 MHz, timing was met at 125" in capsys.readouterr().err
    tools.monkeypatch.setenv("HWH_MHZ", "124.9987")  # a crystal of 33.333 MHz
    assert tools.run("--strategies", "1") == 0


def test_simulation_of_a_model(tools: Tools, capsys: pytest.CaptureFixture) -> None:
    """The tool's C simulation gets a program and images, and its scores are compared with the golden ones."""
    tools.add("vitis_hls")
    tools.monkeypatch.setattr("hls.check.figures.figures", lambda *_: FIGURES)
    model = network(2, (5, 5, 1), [("dense", 40), ("dense", 7)], binary=True)
    models.save(model, tools.folder / "model.npz")
    np.savez(tools.folder / "images.npz", x=np.zeros((5, 5, 5, 1), np.uint8))
    options = ["--model", str(tools.folder / "model.npz"), "--images", str(tools.folder / "images.npz")]
    assert tools.run(*options, "--cosim") == 0, capsys.readouterr().err
    assert tools.log.read_text().splitlines()[0].endswith(f"vitis {build.COUNT}")
    assert tools.stages() == ["csim", "csynth", "cosim", "export"]
    assert len((tools.out / "vitis/csim/images.bin").read_bytes()) == build.COUNT * 32
    report = json.loads((tools.out / hls_report.FILE).read_text())["hls"]
    assert report["estimated"]["estimated"] is True and report["synthesis"]["resources"]["lut"]
    tools.add("vivado")
    tools.slack("1", -0.5)
    assert tools.run(*options, "--strategies", "1") == 0
    speed = implementation_of(tools)["images_per_second"]
    assert speed["value"] == pytest.approx(125e6 / report["estimated"]["cycles_per_image"], abs=1)
    assert "estimated" in speed["note"]
    tools.monkeypatch.setenv("SCORES", "wrong")
    (tools.out / "stages/csim").unlink()
    assert tools.run(*options) == 1
    assert "differs from the golden model's scores" in capsys.readouterr().err


def installed(tools: Tools, version: str) -> Path:
    """The HLS tool as in an installation of a version, on PATH; gives the folder of the version."""
    name = "vivado_hls" if version < "2020.2" else "vitis_hls"
    home = tools.folder / "Xilinx" / ("Vivado" if version < "2020.2" else "Vitis_HLS") / version
    (home / "bin").mkdir(parents=True)
    (home / "bin" / name).write_text(TOOL)
    (home / "bin" / name).chmod(0o755)
    tools.monkeypatch.setenv("PATH", os.pathsep.join([str(home / "bin"), os.environ["PATH"]]))
    return home


@pytest.mark.parametrize("version", ["2019.2", "2020.2", "2021.2"])
def test_a_tool_that_cannot_export_today_is_refused_before_it_works(
    version: str, tools: Tools, capsys: pytest.CaptureFixture
) -> None:
    """Vitis HLS numbers an IP by the date; since 2022 that overflows, unless it is patched (answer record 76960)."""
    home = installed(tools, version)
    assert tools.run("--hls-version", version) == 1
    assert tools.stages() == []
    error = capsys.readouterr().err
    assert error.startswith("error: v") and "76960" in error and "DATE_PATCHED=1" in error and error.count("\n") == 1
    assert tools.run("--hls-version", version, "--date-patched") == 0
    assert tools.stages() == ["csim", "csynth", "export"]
    assert tools.run("--hls-version", version) == 0  # what is exported is no longer at stake
    shutil.rmtree(tools.out)
    patch = home / "common/scripts/automg_patch_20220104.tcl"
    patch.parent.mkdir(parents=True)
    patch.write_text("")
    assert tools.run("--hls-version", version) == 0
    assert tools.stages() == ["csim", "csynth", "export"]


def test_the_date_decides(tmp_path: Path) -> None:
    line = [str(tmp_path / "2020.2/bin/vitis_hls")]
    vendor.check_hls(line, "2020.2", datetime(2021, 12, 31, 23, 59))
    with pytest.raises(vendor.ToolError, match="vitis_hls 2020.2 cannot export an IP since 2022"):
        vendor.check_hls(line, "2020.2", datetime(2022, 1, 1))
    vendor.check_hls([str(tmp_path / "2022.1/bin/vitis_hls")], "2022.1", datetime(2030, 1, 1))


def test_directives_of_another_version_are_refused(tools: Tools, capsys: pytest.CaptureFixture) -> None:
    installed(tools, "2020.2")
    assert tools.run("--hls-version", "2022.2") == 1
    assert "is of 2020.2, whose directives are not those of --hls-version 2022.2" in capsys.readouterr().err
    installed(tools, "2025.1")  # newer than any known
    assert tools.run("--hls-version", "2024.2") == 0


def test_bad_arguments(tools: Tools, capsys: pytest.CaptureFixture) -> None:
    for options, message in (
        (["--design", "none"], "error: design 'none'"),
        (["--hls-version", "1"], "error: HLS version '1' is not one of 2019.2 to 2024.2"),
        (["--cosim"], "error: --cosim: needs --model, and --images where none that fit"),
        (["--first-layer", "wired"], "error: --first-layer wired: needs --model"),
        (["--model", "none.npz"], "error: "),
    ):
        assert tools.run(*options) == 1
        error = capsys.readouterr().err
        assert error.startswith(message) and error.count("\n") == 1


def test_a_wired_first_layer_is_packed(tools: Tools, tmp_path: Path) -> None:
    model = network(3, (8, 8, 3), [("conv", 40, 1, 0, True), ("conv", 8, 1, 1, False), ("dense", 10)])
    models.save(model, tmp_path / "net.npz")
    options = ("--backend", "rtl", "--first-layer", "wired", "--model", str(tmp_path / "net.npz"))
    assert tools.run(*options) == 0
    assert "module bnn_first_wired" in (tools.out / "rtl/bnn_first_wired.sv").read_text()
    assert ".FirstWired(1)" in (tools.out / "rtl/bnn_core.v").read_text()
    script = (tools.out / "vivado/package_rtl.tcl").read_text()
    engine = f"wired_{model.layers[0].name}_cse.sv"
    assert "bnn_first_wired.sv" in script and engine in script and (tools.out / "rtl" / engine).is_file()
    assert tools.run("--backend", "rtl") == 0  # what the other core needed goes
    assert not (tools.out / "rtl/bnn_first_wired.sv").exists()
    assert ".FirstWired(0)" in (tools.out / "rtl/bnn_core.v").read_text()
    assert "FIRST_WIRED" not in (tools.out / "hls/bnn_design.h").read_text()
    assert tools.run("--first-layer", "wired", "--model", str(tmp_path / "net.npz")) == 0
    assert "#define BNN_FIRST_WIRED" in (tools.out / "hls/bnn_design.h").read_text()
    assert "wired_window" in (tools.out / "hls/bnn_first_wired.h").read_text()
