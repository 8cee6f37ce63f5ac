"""The build folder: strict rendering, the digest, and every Tcl script in tclsh with recorders as tools."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import jinja2
import pytest

from hls import build, render
from hls.designs import DESIGNS

FILES = render.render(DESIGNS["pynq_z1"])
TCL = sorted(path for path in FILES if path.endswith(".tcl"))

needs_tclsh = pytest.mark.skipif(shutil.which("tclsh") is None, reason="tclsh is not installed")

# Command: its options without a value, its options with one, least and most other arguments (UG1399, UG835).
COMMANDS = {
    "vitis/hls.tcl": {
        "open_project": ("-reset", "", 1, 1),
        "set_top": ("", "", 1, 1),
        "add_files": ("-tb -blackbox", "-cflags -csimflags", 1, 1),
        "open_solution": ("-reset", "-flow_target", 1, 1),
        "set_part": ("", "", 1, 1),
        "create_clock": ("", "-name -period -uncertainty", 0, 0),
        "csim_design": ("-clean -setup", "-argv -ldflags", 0, 0),
        "csynth_design": ("-dump_cfg -dump_post_cfg -synthesis_check", "", 0, 0),
        "export_design": ("", "-description -display_name -flow -format -ipname -library -output -rtl -vendor -version "
                              "-taxonomy", 0, 0),
        "close_project": ("", "", 0, 0),
    },
    "vivado/build.tcl": {
        "create_project": ("-force -in_memory -ip -rtl_kernel", "-part", 1, 2),
        "get_board_parts": ("-regexp -nocase -latest_file_version -latest_hw_revision -quiet -verbose", "-of_objects "
                            "-filter", 0, 1),
        "set_property": ("-quiet -verbose", "-dict", 1, 3),
        "get_property": ("-min -max -quiet -verbose", "", 2, 2),
        "current_project": ("-quiet -verbose", "", 0, 1),
        "current_fileset": ("-constrset -simset -srcset -blockset -quiet -verbose", "", 0, 1),
        "update_ip_catalog": ("-rebuild -quiet -verbose", "-add_ip -delete_ip -disable_ip -enable_ip -repo_path", 0, 0),
        "create_bd_design": ("-quiet -verbose", "-dir -cell", 1, 1),
        "create_bd_cell": ("-quiet -verbose", "-vlnv -type -reference -revision", 1, 1),
        "apply_bd_automation": ("-quiet -verbose", "-rule -config -opts", 1, 1),
        "connect_bd_net": ("-quiet -verbose", "-net -boundary_type", 1, 99),
        "connect_bd_intf_net": ("-quiet -verbose", "-intf_net -boundary_type", 2, 2),
        "get_bd_pins": ("-regexp -hierarchical -quiet -verbose", "-filter -of_objects", 0, 1),
        "get_bd_intf_pins": ("-regexp -hierarchical -quiet -verbose", "-filter -of_objects", 0, 1),
        "get_bd_addr_spaces": ("-regexp -hierarchical -quiet -verbose", "-filter -of_objects", 0, 1),
        "get_bd_addr_segs": ("-regexp -hierarchical -addressables -addressing -addressed -unaddressed -excluded "
                             "-quiet -verbose", "-filter -of_objects", 0, 1),
        "assign_bd_address": ("-boundary -master_boundary -external -force -quiet -verbose", "-target_address_space "
                              "-dict -import_from_file -export_to_file -export_gui_to_file -offset -range -base_high",
                              0, 9),
        "validate_bd_design": ("-force -include_pfm -quiet -verbose", "-design -steps", 0, 0),
        "save_bd_design": ("-quiet -verbose", "", 0, 1),
        "get_files": ("-regexp -nocase -all -norecurse -quiet -verbose", "-filter -of_objects -compile_order -used_in",
                      0, 9),
        "generate_target": ("-force -quiet -verbose", "", 2, 2),
        "make_wrapper": ("-top -testbench -inst_template -import -force -quiet -verbose", "-fileset -files", 0, 1),
        "update_compile_order": ("-force_gui -quiet -verbose", "-fileset", 0, 0),
        "launch_runs": ("-next_step -force -scripts_only -quiet -verbose", "-jobs -to_step -dir -host", 1, 9),
        "wait_on_run": ("-quiet -verbose", "-timeout", 1, 1),
        "get_runs": ("-regexp -nocase -quiet -verbose", "-filter -of_objects", 0, 9),
        "open_run": ("-quiet -verbose", "-name -pr_config", 1, 1),
        "report_timing_summary": ("-no_header -return_string -append -quiet -verbose", "-file -max_paths -delay_type",
                                  0, 0),
        "report_utilization": ("-hierarchical -append -return_string -quiet -verbose", "-file -hierarchical_depth",
                               0, 0),
        "write_bitstream": ("-force -raw_bitfile -no_binary_bitfile -bin_file -quiet -verbose", "-cell", 1, 1),
        "close_project": ("-delete -quiet -verbose", "", 0, 0),
    },
}

HARNESS = r"""
proc unknown {name args} { error "unknown command $name" }
proc recorder {name flags values low high} {
    proc $name args [string map [list @N $name @F $flags @V $values @L $low @H $high] {
        puts [linsert $args 0 CALL @N]
        set rest {}
        for {set i 0} {$i < [llength $args]} {incr i} {
            set word [lindex $args $i]
            if {[lsearch -exact {@V} $word] >= 0} {
                if {[incr i] >= [llength $args]} { error "@N: $word has no value" }
            } elseif {[lsearch -exact {@F} $word] < 0} {
                if {[string match {-[a-zA-Z]*} $word]} { error "@N: unknown option $word" }
                lappend rest $word
            }
        }
        if {[llength $rest] < @L || [llength $rest] > @H} { error "@N: [llength $rest] arguments" }
        return [result @N $args $rest]
    }]
}
proc result {name words rest} {
    if {$name eq "get_property"} {
        switch -glob -- [lindex $rest 0] {
            PROGRESS { return $::env(PROGRESS) }
            STATS.* { return $::env(SLACK) }
        }
    }
    return [lindex $rest end]
}
rename exit leave
proc exit {{status 0}} { puts EXIT; leave $status }
"""


def run(script: Path, commands: dict, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script in tclsh with `commands` as the tool's."""
    lines = [f"recorder {name} {{{flags}}} {{{values}}} {low} {high}"
             for name, (flags, values, low, high) in commands.items()]
    harness = script.parent / "harness.tcl"
    harness.write_text(HARNESS + "\n".join(lines) + f"\nsource {render.tcl_quote(script)}\n")
    environment = {"SLACK": "0.5", "PROGRESS": "100%", **os.environ, **variables}
    return subprocess.run(["tclsh", str(harness)], capture_output=True, text=True, env=environment)


@pytest.fixture()
def folder(tmp_path: Path) -> Path:
    """A build folder with spaces and brackets in its path, and what the tools would have left in it."""
    made = tmp_path / "a build [1] $x"
    build.write(FILES, made)
    (made / "vitis/bnn_hls/solution/impl/ip").mkdir(parents=True)
    handoff = made / "vivado/project/bnn.gen/sources_1/bd/bnn/hw_handoff"
    handoff.mkdir(parents=True)
    (handoff / "bnn.hwh").write_text("hwh")
    return made


def test_unknown_variable_fails() -> None:
    for text in ("{{ missing }}", "{% if missing %}{% endif %}", "{{ name.missing }}"):
        with pytest.raises(jinja2.UndefinedError):
            render.environment().from_string(text).render(render.variables(DESIGNS["pynq_z1"]))


@pytest.mark.parametrize("name", DESIGNS)
def test_render_is_deterministic_and_marked(name: str) -> None:
    files = render.render(DESIGNS[name])
    assert render.digest(files) == render.digest(render.render(DESIGNS[name]))
    assert list(files) == sorted(files)
    for path in ("hls/bnn_design.h", *TCL):
        assert re.search(r"Generated.*do not edit", files[path].splitlines()[0]), path
    assert f"constexpr int PE = {DESIGNS[name].pe};" in files["hls/bnn_design.h"]
    sources = [path for path in files if path.endswith(".cpp")]
    assert sources and all(f'"{Path(path).name}"' in files["vitis/hls.tcl"] for path in sources)


def test_digest_depends_on_every_file() -> None:
    assert render.digest(FILES) != render.digest(render.render(DESIGNS["sim_small"]))
    seen = {render.digest({**FILES, path: text + " "}) for path, text in FILES.items()}
    assert len(seen) == len(FILES)
    assert render.digest({"a": "bc"}) != render.digest({"ab": "c"})


@needs_tclsh
@pytest.mark.parametrize(
    "text", ["", "a b", "[exit 3]", '"$x" {', "back\\slash\\", "line\nline\ttab", "}; puts no", "#é"]
)
def test_tcl_quote_gives_one_word(text: str, tmp_path: Path) -> None:
    script = tmp_path / "quote.tcl"
    script.write_text("fconfigure stdout -encoding utf-8\nproc show {one} {puts -nonewline $one}\n"
                      f"show {render.tcl_quote(text)}\n", encoding="utf-8")
    done = subprocess.run(["tclsh", "-encoding", "utf-8", str(script)], capture_output=True)
    assert (done.stdout.decode(), done.stderr) == (text, b"")


def test_tcl_quote_refuses_control_characters() -> None:
    with pytest.raises(ValueError, match="control character"):
        render.tcl_quote("a\0b")


def test_every_script_has_a_table() -> None:
    assert sorted(COMMANDS) == TCL


@needs_tclsh
@pytest.mark.parametrize("script", TCL)
def test_scripts_use_legal_commands(script: str, folder: Path) -> None:
    done = run(folder / script, COMMANDS[script])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("EXIT\n")
    used = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("CALL ")}
    assert used == set(COMMANDS[script])


@needs_tclsh
@pytest.mark.parametrize("script", TCL)
def test_unknown_commands_and_options_fail(script: str, folder: Path) -> None:
    for name, (_, _, low, high) in COMMANDS[script].items():
        less = {key: value for key, value in COMMANDS[script].items() if key != name}
        done = run(folder / script, less)
        assert done.returncode and f"unknown command {name}" in done.stderr
        if re.search(rf"\b{name} (\[.*\] )?-", FILES[script]):
            done = run(folder / script, {**COMMANDS[script], name: ("", "", low, high)})
            assert done.returncode and f"{name}: unknown option" in done.stderr


@needs_tclsh
def test_hls_simulates_a_program(folder: Path) -> None:
    data = folder / "vitis/csim"
    data.mkdir()
    for name in ("program.bin", "images.bin"):
        (data / name).write_bytes(b"")
    done = run(folder / "vitis/hls.tcl", COMMANDS["vitis/hls.tcl"], BNN_COUNT="3")
    assert done.returncode == 0
    assert "CALL csim_design -argv {program.bin images.bin 3 scores.bin}" in done.stdout
    assert "CALL add_files -tb csim/program.bin" in done.stdout


@needs_tclsh
def test_vivado_follows_the_design(folder: Path) -> None:
    done = run(folder / "vivado/build.tcl", COMMANDS["vivado/build.tcl"])
    for text in ("-part xc7z020clg400-1", "CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ 100 ",
                 "CONFIG.PCW_S_AXI_HP0_DATA_WIDTH 64", "-vlnv bnn:hls:bnn_top:1.0", "-offset 0x43C00000",
                 "CALL connect_bd_net core/interrupt ps/IRQ_F2P"):
        assert text in done.stdout
    assert (folder / "bitstream/bnn.hwh").read_text() == "hwh"


@needs_tclsh
@pytest.mark.parametrize("slack", ["-0.001", "", "nan ns"])
def test_vivado_writes_no_bitstream_without_timing(slack: str, folder: Path) -> None:
    (folder / "bitstream").mkdir()
    (folder / "bitstream/bnn.bit").write_text("of an earlier run")
    done = run(folder / "vivado/build.tcl", COMMANDS["vivado/build.tcl"], SLACK=slack)
    assert done.returncode and "timing: WNS" in done.stderr
    assert "CALL write_bitstream" not in done.stdout
    assert not (folder / "bitstream/bnn.bit").exists()


@needs_tclsh
def test_vivado_stops_at_a_failed_run(folder: Path) -> None:
    done = run(folder / "vivado/build.tcl", COMMANDS["vivado/build.tcl"], PROGRESS="40%")
    assert done.returncode and "synth_1:" in done.stderr
    assert "CALL launch_runs impl_1" not in done.stdout


@needs_tclsh
def test_vivado_needs_the_core(folder: Path) -> None:
    (folder / "vitis/bnn_hls/solution/impl/ip").rmdir()
    done = run(folder / "vivado/build.tcl", COMMANDS["vivado/build.tcl"])
    assert done.returncode and "run vitis/hls.tcl first" in done.stderr


def test_build_without_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    out = tmp_path / "out"
    assert build.main(["--design", "pynq_z1", "-o", str(out)]) == 0
    written = {str(path.relative_to(out)): path.read_text() for path in out.rglob("*") if path.is_file()}
    assert written.pop(build.DIGEST) == render.digest(FILES) + "\n"
    assert written == FILES
    assert capsys.readouterr().out == (
        f"hls: wrote {len(FILES) + 1} files to {out}; vitis_hls and vivado not found, synthesis skipped\n")


@pytest.mark.parametrize("status", [0, 3])
def test_build_runs_the_tools(status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                              capsys: pytest.CaptureFixture) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, result in (("vitis_hls", 0), ("vivado", status)):
        (tools / name).write_text(f'#!/bin/sh\necho "$PWD: $*" >> "{tmp_path}/log"\nexit {result}\n')
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    out = tmp_path / "o p"
    assert build.main(["-o", str(out)]) == bool(status)
    assert (tmp_path / "log").read_text().splitlines() == [
        f"{out}/vitis: -f hls.tcl", f"{out}/vivado: -mode batch -source build.tcl"]
    assert capsys.readouterr().err == (f"error: vivado: exit status {status}\n" if status else "")


def test_unknown_design(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert build.main(["--design", "none", "-o", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: design 'none'")
