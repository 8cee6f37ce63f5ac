"""`python -m hls.build`: stages with stand-ins for the tools, resuming, failures."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from test_program import network
from test_reports import CSYNTH_XML, TIMING, UTILIZATION

from bnn import model as models
from hls import build, render, reports
from hls.designs import DESIGNS

FILES = render.render(DESIGNS["pynq_z1"])
HLS, RTL = ["csim", "csynth", "export", "project", "bitstream"], ["package", "project", "bitstream"]

# A stand-in leaves what the tool leaves for the stage, and what it was called with in a log. `FAIL` names a
# stage that fails, `OMIT` one that leaves nothing.
TOOL = r'''#!/bin/sh
stage="${BNN_STAGES:-$4}"
case "$4" in
  package_rtl.tcl) stage=package ;;
  build.tcl) stage=project ;;
  bitstream.tcl) stage=bitstream ;;
esac
echo "$(basename "$0") $* [$stage] $(basename "$PWD") ${BNN_COUNT:-0}" >> "$LOG"
echo "working on $stage"
if [ "$stage" = "$FAIL" ]; then echo "ERROR: [X 1-1] it broke"; exit 3; fi
if [ "$stage" = "$OMIT" ]; then exit 0; fi
case "$stage" in
  csim) mkdir -p bnn_hls/solution/csim/build
    [ -f csim/golden.bin ] && cat csim/golden.bin csim/golden.bin > bnn_hls/solution/csim/build/scores.bin
    [ -n "$SCORES" ] && printf "$SCORES" > bnn_hls/solution/csim/build/scores.bin ;;
  csynth) mkdir -p bnn_hls/solution/syn/report; cp "$DATA/csynth.xml" bnn_hls/solution/syn/report ;;
  cosim) mkdir -p bnn_hls/solution/sim/report ;;
  export) mkdir -p bnn_hls/solution/impl/ip; echo x > bnn_hls/solution/impl/ip/component.xml ;;
  package) mkdir -p ip; echo x > ip/component.xml ;;
  project) mkdir -p project; echo x > project/bnn.xpr ;;
  bitstream) mkdir -p ../bitstream; cp "$DATA/timing.txt" "$DATA/utilization.txt" ../bitstream
    for kind in bit hwh; do echo x > "../bitstream/pynq_z1.$kind"; done ;;
esac
exit 0
'''


class Tools:
    """Stand-ins on PATH and the log of their calls."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.out, self.log, self.monkeypatch = folder, folder / "a build", folder / "log", monkeypatch
        (folder / "bin").mkdir()
        (folder / "data").mkdir()
        for name, text in (("csynth.xml", CSYNTH_XML), ("timing.txt", TIMING), ("utilization.txt", UTILIZATION)):
            (folder / "data" / name).write_text(text)
        for name in ("FAIL", "OMIT", "SCORES", "BNN_STAGES", "BNN_COUNT"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("LOG", str(self.log))
        monkeypatch.setenv("DATA", str(folder / "data"))
        programs = {os.path.dirname(shutil.which(name) or name) for name in ("sh", "mkdir", "cp", "cat", "basename")}
        monkeypatch.setenv("PATH", os.pathsep.join([str(folder / "bin"), *sorted(programs)]))

    def add(self, *names: str) -> None:
        for name in names:
            path = self.folder / "bin" / name
            path.write_text(TOOL)
            path.chmod(0o755)

    def run(self, *options: str) -> int:
        return build.main(["-o", str(self.out), *options])

    def stages(self) -> list[str]:
        """The stages that ran since the last call."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return [line.split("[")[1].split("]")[0] for line in lines]


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
def test_without_tools(backend: str, there: tuple[str, ...], missing: str, tools: Tools,
                       capsys: pytest.CaptureFixture) -> None:
    tools.add(*there)
    assert tools.run("--backend", backend) == 0
    files = render.render(DESIGNS["pynq_z1"], backend=backend)
    assert capsys.readouterr().out.splitlines()[0] == f"hls: wrote {len(files) + 1} files to {tools.out}; {missing}"
    assert tools.stages() == (["csim", "csynth", "export"] if there == ("vitis_hls",) else [])
    written = {path: (tools.out / path).read_text() for path in files}
    assert written == files and (tools.out / build.DIGEST).read_text() == render.digest(files) + "\n"


@pytest.mark.parametrize("backend", render.BACKENDS)
def test_all_stages_and_again(backend: str, tools: Tools, capsys: pytest.CaptureFixture) -> None:
    tools.add("vitis_hls", "vivado")
    wanted = HLS if backend == "hls" else RTL
    assert tools.run("--backend", backend) == 0, capsys.readouterr().err
    assert tools.stages() == wanted
    assert (tools.out / "bitstream/pynq_z1.bit").exists() and (tools.out / "bitstream/pynq_z1.hwh").exists()
    report = json.loads((tools.out / reports.FILE).read_text())
    assert report["implementation"]["timing"]["met"] and ("hls" in report) == (backend == "hls")
    capsys.readouterr()
    assert tools.run("--backend", backend) == 0
    assert tools.stages() == []
    assert [line for line in capsys.readouterr().out.splitlines() if "done before" in line] == [
        f"hls: {name}: done before" for name in wanted]


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
        capsys.readouterr().err)


def test_what_changed_is_run_again(tools: Tools) -> None:
    tools.add("vitis_hls", "vivado")
    assert tools.run() == 0
    tools.stages()
    (tools.out / "bitstream/pynq_z1.bit").unlink()
    assert tools.run() == 0 and tools.stages() == ["bitstream"]
    (tools.out / "bitstream/pynq_z1.bit").write_text("x")
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
    assert tools.run("--hls-version", version) == 0
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


def test_timing_that_is_not_met_fails(tools: Tools, capsys: pytest.CaptureFixture) -> None:
    tools.add("vitis_hls", "vivado")
    path = tools.folder / "data/timing.txt"
    path.write_text(TIMING.replace("      0.214 ", "     -0.214 "))
    assert tools.run() == 1
    assert "timing is not met: WNS -0.214 ns" in capsys.readouterr().err
    assert json.loads((tools.out / reports.FILE).read_text())["implementation"]["timing"]["met"] is False
    tools.stages()
    assert tools.run() == 1 and tools.stages() == ["bitstream"]


def test_simulation_of_a_model(tools: Tools, capsys: pytest.CaptureFixture) -> None:
    """The tool's C simulation gets a program and images, and its scores are compared with the golden ones."""
    tools.add("vitis_hls")
    model = network(2, (5, 5, 1), [("dense", 40), ("dense", 7)], binary=True)
    models.save(model, tools.folder / "model.npz")
    np.savez(tools.folder / "images.npz", x=np.zeros((5, 5, 5, 1), np.uint8))
    options = ["--model", str(tools.folder / "model.npz"), "--images", str(tools.folder / "images.npz")]
    assert tools.run(*options, "--cosim") == 0, capsys.readouterr().err
    assert tools.log.read_text().splitlines()[0].endswith(f"vitis {build.COUNT}")
    assert tools.stages() == ["csim", "csynth", "cosim", "export"]
    assert len((tools.out / "vitis/csim/images.bin").read_bytes()) == build.COUNT * 32
    report = json.loads((tools.out / reports.FILE).read_text())["hls"]
    assert report["estimated"]["estimated"] is True and report["synthesis"]["resources"]["lut"]
    tools.monkeypatch.setenv("SCORES", "wrong")
    (tools.out / "stages/csim").unlink()
    assert tools.run(*options) == 1
    assert "differs from the golden model's scores" in capsys.readouterr().err


def test_bad_arguments(tools: Tools, capsys: pytest.CaptureFixture) -> None:
    for options, message in ((["--design", "none"], "error: design 'none'"),
                             (["--hls-version", "1"], "error: HLS version '1' is not one of 2019.2 to 2024.2"),
                             (["--cosim"], "error: --cosim: needs --model and --images"),
                             (["--first-layer", "wired"], "error: --first-layer wired: needs --model"),
                             (["--model", "none.npz"], "error: ")):
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
