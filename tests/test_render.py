"""The build folder: strict rendering, the digest, directives, and every Tcl script in tclsh with recorders as tools."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import jinja2
import pytest
from helpers.designs import ARTY

from bnn.errors import ExpectedError
from hls import boards, build, designs, directives, render
from hls.designs import BACKENDS, DESIGNS, DesignError

FILES = render.render(DESIGNS["pynq_z1"])
TCL = sorted(path for path in FILES if path.endswith(".tcl"))
VERSIONS = ("2019.2", "2020.2", "2022.2", "2024.2")

needs_tclsh = pytest.mark.skipif(shutil.which("tclsh") is None, reason="tclsh is not installed")

# Command: its options without a value, its options with one, least and most other arguments.
# HLS: UG1399 for Vitis HLS, UG902 for Vivado HLS. Vivado: UG835; ipx: UG1118.
HLS = {
    "open_project": ("-reset", "", 1, 1),
    "set_top": ("", "", 1, 1),
    "add_files": ("-tb -blackbox", "-cflags -csimflags", 1, 1),
    "open_solution": ("-reset", "-flow_target", 1, 1),
    "set_part": ("", "", 1, 1),
    "create_clock": ("", "-name -period -uncertainty", 0, 0),
    "csim_design": ("-clean -setup -O -profile", "-argv -ldflags -mflags", 0, 0),
    "csynth_design": ("-dump_cfg -dump_post_cfg -synthesis_check", "", 0, 0),
    "cosim_design": (
        "-O -setup -random_stall -wave_debug -disable_dependency_check",
        "-argv -rtl -tool -trace_level -ldflags -mflags -reduce_diskspace",
        0,
        0,
    ),
    "export_design": (
        "",
        "-description -display_name -flow -format -ipname -library -output -rtl -vendor -version -taxonomy",
        0,
        0,
    ),
    "close_project": ("", "", 0, 0),
}
VIVADO_HLS = {
    **HLS,
    "add_files": ("-tb -blackbox", "-cflags -csimflags", 1, 1),
    "open_solution": ("-reset", "", 1, 1),
    "config_interface": ("-clock_enable -m_axi_addr64 -register_io", "-expose_global -m_axi_offset", 0, 0),
    "cosim_design": (
        "-O -setup -random_stall -wave_debug -compiled_library_dir",
        "-argv -rtl -tool -trace_level -ldflags -mflags -reduce_diskspace",
        0,
        0,
    ),
    "export_design": (
        "",
        "-description -display_name -evaluate -format -ipname -library -rtl -vendor -version -taxonomy",
        0,
        0,
    ),
}
PROJECT = {
    "create_project": ("-force -in_memory -ip -rtl_kernel", "-part", 1, 2),
    "set_property": ("-quiet -verbose", "-dict", 1, 3),
    "current_project": ("-quiet -verbose", "", 0, 1),
    "current_fileset": ("-constrset -simset -srcset -blockset -quiet -verbose", "", 0, 1),
    "update_compile_order": ("-force_gui -quiet -verbose", "-fileset", 0, 0),
    "close_project": ("-delete -quiet -verbose", "", 0, 0),
}
BUILD = {
    **PROJECT,
    "update_ip_catalog": ("-rebuild -quiet -verbose", "-add_ip -delete_ip -disable_ip -enable_ip -repo_path", 0, 0),
    "create_bd_design": ("-quiet -verbose", "-dir -cell", 1, 1),
    "create_bd_cell": ("-quiet -verbose", "-vlnv -type -reference -revision", 1, 1),
    "apply_bd_automation": ("-quiet -verbose", "-rule -config -opts", 1, 1),
    "connect_bd_net": ("-quiet -verbose", "-net -boundary_type", 1, 99),
    "connect_bd_intf_net": ("-quiet -verbose", "-intf_net -boundary_type", 2, 2),
    "get_bd_pins": ("-regexp -hierarchical -quiet -verbose", "-filter -of_objects", 0, 1),
    "get_bd_intf_pins": ("-regexp -hierarchical -quiet -verbose", "-filter -of_objects", 0, 1),
    "get_bd_addr_spaces": ("-regexp -hierarchical -quiet -verbose", "-filter -of_objects", 0, 1),
    "get_bd_addr_segs": (
        "-regexp -hierarchical -addressables -addressing -addressed -unaddressed -excluded -quiet -verbose",
        "-filter -of_objects",
        0,
        1,
    ),
    "assign_bd_address": (
        "-boundary -master_boundary -external -force -quiet -verbose",
        "-target_address_space -dict -import_from_file -export_to_file -export_gui_to_file -offset -range -base_high",
        0,
        9,
    ),
    "validate_bd_design": ("-force -include_pfm -quiet -verbose", "-design -steps", 0, 0),
    "save_bd_design": ("-quiet -verbose", "", 0, 1),
    "get_files": (
        "-regexp -nocase -all -norecurse -quiet -verbose",
        "-filter -of_objects -compile_order -used_in",
        0,
        9,
    ),
    "generate_target": ("-force -quiet -verbose", "", 2, 2),
    "make_wrapper": ("-top -testbench -inst_template -import -force -quiet -verbose", "-fileset -files", 0, 1),
}
BOARD_PARTS = {
    "get_board_parts": (
        "-regexp -nocase -latest_file_version -latest_hw_revision -quiet -verbose",
        "-of_objects -filter",
        0,
        1,
    ),
}
OBJECTS = ("-regexp -nocase -quiet -verbose", "-filter -of_objects", 0, 1)
CHECKPOINT = ("-incremental -quiet -verbose", "-part -write_bitstream", 1, 1)
RUNS = {
    "open_project": ("-read_only -quiet -verbose", "-part", 1, 1),
    "create_run": ("-quiet -verbose", "-constrset -parent_run -part -flow -strategy -report_strategy", 1, 1),
    "reset_run": ("-quiet -verbose", "-from_step", 1, 1),
    "launch_runs": ("-next_step -force -scripts_only -quiet -verbose", "-jobs -to_step -dir -host", 1, 9),
    "wait_on_run": ("-quiet -verbose", "-timeout", 1, 1),
    "get_runs": ("-regexp -nocase -quiet -verbose", "-filter -of_objects", 0, 9),
    "open_run": ("-quiet -verbose", "-name -pr_config", 1, 1),
}
REPORTS = {
    "get_property": ("-min -max -quiet -verbose", "", 2, 2),
    "report_timing_summary": (
        "-no_header -return_string -append -quiet -verbose",
        "-file -max_paths -delay_type",
        0,
        0,
    ),
    "report_utilization": ("-hierarchical -append -return_string -quiet -verbose", "-file -hierarchical_depth", 0, 0),
    "write_checkpoint": ("-force -quiet -verbose", "-cell", 1, 1),
}
COMMANDS = {
    "vitis/hls.tcl": HLS,
    "vivado/build.tcl": BUILD,
    "vivado/implement.tcl": {
        **RUNS,
        **{
            name: REPORTS[name]
            for name in ("get_property", "report_timing_summary", "report_utilization", "write_checkpoint")
        },
        "set_property": PROJECT["set_property"],
        "close_project": PROJECT["close_project"],
    },
    "vivado/clock.tcl": {
        **REPORTS,
        "open_checkpoint": CHECKPOINT,
        "get_clocks": OBJECTS,
        "get_pins": ("-regexp -nocase -hierarchical -leaf -quiet -verbose", "-filter -of_objects", 0, 1),
        "create_clock": ("-add -quiet -verbose", "-name -period -waveform", 0, 1),
        "set_input_jitter": ("-quiet -verbose", "", 2, 2),
        "close_project": PROJECT["close_project"],
    },
    "vivado/bitstream.tcl": {
        "open_checkpoint": CHECKPOINT,
        "open_project": RUNS["open_project"],
        "get_property": REPORTS["get_property"],
        "get_timing_paths": ("-setup -hold -quiet -verbose", "-from -to -delay_type -max_paths -nworst", 0, 0),
        "write_bitstream": ("-force -raw_bitfile -no_binary_bitfile -bin_file -quiet -verbose", "-cell", 1, 1),
        "save_project_as": (
            "-scan_for_includes -exclude_run_results -include_local_ip_cache -force -quiet -verbose",
            "",
            1,
            2,
        ),
        "open_bd_design": ("-quiet -verbose", "", 1, 1),
        "get_bd_cells": ("-regexp -hierarchical -quiet -verbose", "-filter -of_objects", 0, 1),
        **{
            name: BUILD[name]
            for name in (
                "set_property",
                "get_files",
                "validate_bd_design",
                "save_bd_design",
                "generate_target",
                "close_project",
            )
        },
    },
    "vivado/package_rtl.tcl": {
        **{name: value for name, value in PROJECT.items() if name != "current_project"},
        "add_files": ("-norecurse -copy_to -force -scan_for_includes -quiet -verbose", "-fileset", 1, 1),
        "ipx::package_project": (
            "-import_files -force -force_update_compile_order -quiet -verbose",
            "-root_dir -vendor -library -taxonomy -set_current -name -version -module",
            0,
            1,
        ),
        "ipx::current_core": ("-quiet -verbose", "", 0, 1),
        "ipx::infer_bus_interface": ("-quiet -verbose", "", 2, 3),
        "ipx::associate_bus_interfaces": ("-clear -quiet -verbose", "-busif -clock -reset", 0, 1),
        "ipx::get_bus_interfaces": OBJECTS,
        "ipx::get_memory_maps": OBJECTS,
        "ipx::get_address_blocks": OBJECTS,
        "ipx::get_registers": OBJECTS,
        "ipx::remove_memory_map": ("-quiet -verbose", "", 2, 2),
        "ipx::add_memory_map": ("-quiet -verbose", "", 2, 2),
        "ipx::add_address_block": ("-quiet -verbose", "", 2, 2),
        "ipx::add_register": ("-quiet -verbose", "", 2, 2),
        "ipx::create_xgui_files": ("-quiet -verbose", "-logo_file", 0, 1),
        "ipx::update_checksums": ("-force -quiet -verbose", "", 0, 1),
        "ipx::check_integrity": ("-kernel -xrt -quiet -verbose", "", 0, 1),
        "ipx::save_core": ("-quiet -verbose", "", 0, 1),
    },
}

VARIABLES = {
    "vivado/implement.tcl": {"BNN_ATTEMPT": "2", "BNN_STRATEGY": "Performance_Explore PostRoute"},
    "vivado/clock.tcl": {"BNN_ATTEMPT": "clock-8", "BNN_FROM": "1", "BNN_PERIOD": "8.000"},
    "vivado/bitstream.tcl": {"BNN_ATTEMPT": "1", "BNN_MHZ": "125.000"},
}
"""Such that a script uses every command of its table."""

HARNESS = r"""
proc unknown {name args} { error "unknown command $name" }
namespace eval ipx {}
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
        if {{@N} eq "add_files" && ![file exists [lindex $rest 0]]} { error "@N: [lindex $rest 0]: no such file" }
        return [result @N $args $rest]
    }]
}
proc result {name words rest} {
    set last [lindex $rest end]
    switch -exact -- $name {
        get_property { return [property [lindex $rest 0] $last] }
        launch_runs { set ::launched($last) 1 }
        get_runs { if {$last eq "impl_2" && ![info exists ::created]} { return {} } }
        create_run { set ::created $last }
        get_timing_paths { return [expr {[lsearch $words -setup] >= 0 ? "setup" : "hold"}] }
        get_board_parts { if {![info exists ::env(BOARDS)]} { return {} } }
        write_checkpoint { close [open $last w] }
        report_timing_summary - report_utilization { close [open [lindex $words end] w] }
        save_project_as {
            file mkdir [file join $last bnn.srcs sources_1 bd bnn hw_handoff]
            set file [open [file join $last bnn.srcs sources_1 bd bnn hw_handoff bnn.hwh] w]
            puts -nonewline $file slower
            close $file
        }
    }
    return $last
}
proc property {name of} {
    switch -exact -- $name {
        PROGRESS {
            if {[info exists ::env(STOPS)] && $of eq $::env(STOPS)} { return 40% }
            return [lindex $::env(PROGRESS) [info exists ::launched($of)]]
        }
        NEEDS_REFRESH { return $::env(REFRESH) }
        STATUS { return $::env(STATUS) }
        FLOW { return {Vivado Implementation 2022} }
        STRATEGY { return $::env(STRATEGY) }
        SLACK { return [expr {$of eq "setup" ? $::env(SETUP) : $::env(HOLD)}] }
        PERIOD { return 7.000 }
        INPUT_JITTER { return $::env(JITTER) }
        SOURCE_PINS { return {bnn_i/ps/inst/PS7_i/FCLKCLK[0]} }
    }
    return $of
}
rename exit leave
proc exit {{status 0}} { puts EXIT; leave $status }
"""


def run(script: Path, commands: dict, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script in tclsh with `commands` as the tool's."""
    lines = [
        f"recorder {name} {{{flags}}} {{{values}}} {low} {high}"
        for name, (flags, values, low, high) in commands.items()
    ]
    harness = script.parent / "harness.tcl"
    harness.write_text(HARNESS + "\n".join(lines) + f"\nsource {render.tcl_quote(script)}\n")
    environment = {
        "SETUP": "0.5",
        "HOLD": "0.1",
        "PROGRESS": "0% 100%",
        "REFRESH": "0",
        "JITTER": "0.21",
        "STATUS": "route_design Complete!",
        "STRATEGY": "Vivado Implementation Defaults",
        **os.environ,
        **variables,
    }
    return subprocess.run(["tclsh", str(harness)], capture_output=True, text=True, env=environment)


def calls(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The recorded commands in order, without their options."""
    return [line.split()[1] for line in done.stdout.splitlines() if line.startswith("CALL ")]


def in_order(done: subprocess.CompletedProcess[str], *lines: str) -> None:
    """Assert that commands starting with `lines` were recorded in this order."""
    recorded = [line for line in done.stdout.splitlines() if line.startswith("CALL ")]
    at = 0
    for line in lines:
        found = next((index for index in range(at, len(recorded)) if recorded[index].startswith(f"CALL {line}")), None)
        assert found is not None, f"{line}: not recorded after {recorded[at - 1] if at else 'the start'}"
        at = found + 1


def filled(made: Path, files: dict[str, str]) -> Path:
    """Write a build folder, and what the tools would have left in it."""
    build.write(files, made)
    (made / "vitis/bnn_hls/solution/impl/ip").mkdir(parents=True)
    (made / "vivado/ip").mkdir()
    handoff = made / "vivado/project/bnn.gen/sources_1/bd/bnn/hw_handoff"
    handoff.mkdir(parents=True)
    (handoff / "bnn.hwh").write_text("hwh")
    (made / "vivado/project/bnn.xpr").write_text("xpr")
    (made / "attempts/1").mkdir(parents=True)
    for name in ("routed.dcp", "timing.txt", "utilization.txt", "hierarchy.txt"):
        (made / "attempts/1" / name).write_text(name)
    return made


@pytest.fixture()
def folder(tmp_path: Path) -> Path:
    """The build folder of the PYNQ-Z1, with spaces and brackets in its path."""
    return filled(tmp_path / "a build [1] $x", FILES)


def test_unknown_variable_fails() -> None:
    for text in ("{{ missing }}", "{% if missing %}{% endif %}", "{{ name.missing }}"):
        with pytest.raises(jinja2.UndefinedError):
            render.environment().from_string(text).render(render.variables(DESIGNS["pynq_z1"]))


@pytest.mark.parametrize("name", DESIGNS)
def test_render_is_deterministic_and_marked(name: str) -> None:
    backend = "hls" if DESIGNS[name].ports == 1 else "rtl"
    files = render.render(DESIGNS[name], backend=backend)
    assert render.digest(files) == render.digest(render.render(DESIGNS[name], backend=backend))
    assert list(files) == sorted(files)
    for path in ("hls/bnn_design.h", *TCL):
        assert re.search(r"Generated.*do not edit", "".join(files[path].splitlines()[:2])), path
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
    script.write_text(
        "fconfigure stdout -encoding utf-8\nproc show {one} {puts -nonewline $one}\n"
        f"show {render.tcl_quote(text)}\n",
        encoding="utf-8",
    )
    done = subprocess.run(["tclsh", "-encoding", "utf-8", str(script)], capture_output=True)
    assert (done.stdout.decode(), done.stderr) == (text, b"")


def test_tcl_quote_refuses_control_characters() -> None:
    with pytest.raises(ExpectedError, match="control character"):
        render.tcl_quote("a\0b")


def test_every_script_has_a_table() -> None:
    assert sorted(COMMANDS) == TCL


@needs_tclsh
@pytest.mark.parametrize("script", TCL)
def test_scripts_use_legal_commands(script: str, folder: Path) -> None:
    variables = dict(VARIABLES.get(script, {}))
    if script == "vitis/hls.tcl":
        (folder / "vitis/csim").mkdir()
        for name in ("program.bin", "images.bin"):
            (folder / "vitis/csim" / name).write_bytes(b"")
        variables = {"BNN_STAGES": "csim csynth cosim export", "BNN_COUNT": "2"}
    done = run(folder / script, COMMANDS[script], **variables)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("EXIT\n")
    assert set(calls(done)) == set(COMMANDS[script])


@needs_tclsh
@pytest.mark.parametrize("script", TCL)
def test_unknown_commands_and_options_fail(script: str, folder: Path) -> None:
    for name, (_, _, low, high) in COMMANDS[script].items():
        if name == "cosim_design":
            continue
        less = {key: value for key, value in COMMANDS[script].items() if key != name}
        done = run(folder / script, less, **VARIABLES.get(script, {}))
        assert done.returncode and f"unknown command {name}" in done.stderr
        if re.search(rf"\b{name} (\[.*\] )?-", FILES[script]):
            done = run(folder / script, {**COMMANDS[script], name: ("", "", low, high)}, **VARIABLES.get(script, {}))
            assert done.returncode and f"{name}: unknown option" in done.stderr


@needs_tclsh
def test_missing_sources_fail(folder: Path) -> None:
    (folder / "hls/bnn_top.cpp").unlink()
    done = run(folder / "vitis/hls.tcl", HLS)
    assert done.returncode and "bnn_top.cpp: no such file" in done.stderr
    (folder / "rtl/array/bnn_array.sv").unlink()
    done = run(folder / "vivado/package_rtl.tcl", COMMANDS["vivado/package_rtl.tcl"])
    assert done.returncode and "bnn_array.sv: no such file" in done.stderr


@needs_tclsh
def test_a_path_with_spaces_has_to_be_quoted(folder: Path) -> None:
    """The recorders themselves: a path that falls apart is seen."""
    script = folder / "vivado/build.tcl"
    script.write_text(script.read_text().replace("bnn $project\n", "bnn {*}$project\n"))
    done = run(script, BUILD)
    assert done.returncode and "create_project: " in done.stderr


@needs_tclsh
@pytest.mark.parametrize("version", VERSIONS)
def test_hls_stages(version: str, tmp_path: Path) -> None:
    made = filled(tmp_path / "a b", render.render(DESIGNS["pynq_z1"], version))
    table = VIVADO_HLS if version == "2019.2" else HLS
    done = run(made / "vitis/hls.tcl", table)
    assert (done.returncode, done.stderr) == (0, "")
    in_order(
        done,
        "open_project -reset bnn_hls",
        "set_top bnn_top",
        "add_files ../hls/bnn_top.cpp",
        "add_files -tb ../hls/csim_main.cpp",
        "open_solution",
        "set_part xc7z020clg400-1",
        f"create_clock -period {render.number(1000 / DESIGNS['pynq_z1'].clock_mhz)}",
        "csim_design -setup",
        "csynth_design",
        "export_design -format ip_catalog -rtl verilog -vendor bnn -library hls -ipname bnn_top -version 1.0",
        "close_project",
    )
    assert ("-flow_target vivado" in done.stdout) == (version != "2019.2")
    assert ("-std=c++0x" in done.stdout) == (version == "2019.2")
    assert ("config_interface -m_axi_addr64" in done.stdout) == (version == "2019.2")
    done = run(made / "vitis/hls.tcl", table, BNN_STAGES="csynth")
    assert "CALL open_project bnn_hls" in done.stdout and "csim_design" not in done.stdout
    assert "CALL csynth_design" in done.stdout and "export_design" not in done.stdout
    for stage, text in (("cosim", "cosim: needs csim/program.bin"), ("none", "stage none is not one of")):
        done = run(made / "vitis/hls.tcl", table, BNN_STAGES=stage)
        assert done.returncode and text in done.stderr


@needs_tclsh
def test_the_scripts_of_one_tool_are_not_those_of_another(tmp_path: Path) -> None:
    made = filled(tmp_path / "new", render.render(DESIGNS["pynq_z1"], "2022.2"))
    done = run(made / "vitis/hls.tcl", VIVADO_HLS)
    assert done.returncode and "open_solution: unknown option -flow_target" in done.stderr


@needs_tclsh
def test_hls_simulates_a_program(folder: Path) -> None:
    data = folder / "vitis/csim"
    data.mkdir()
    for name in ("program.bin", "images.bin"):
        (data / name).write_bytes(b"")
    done = run(folder / "vitis/hls.tcl", HLS, BNN_COUNT="3")
    assert done.returncode == 0
    assert "CALL csim_design -argv {program.bin images.bin 3 scores.bin}" in done.stdout
    assert "CALL add_files -tb csim/program.bin" in done.stdout


@needs_tclsh
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["pynq_z1", "pynq_z2", "ultra96v2", "kv260"])
def test_vivado_follows_board_and_back_end(name: str, backend: str, tmp_path: Path) -> None:
    design = DESIGNS[name]
    made = filled(tmp_path / "a b", render.render(design, backend=backend))
    zynq = name.startswith("pynq")
    table = BUILD if zynq else {**BUILD, **BOARD_PARTS}
    done = run(made / "vivado/build.tcl", table, BOARDS="1")
    assert (done.returncode, done.stderr) == (0, "")
    ip = made / ("vivado/ip" if backend == "rtl" else "vitis/bnn_hls/solution/impl/ip")
    part = {"ultra96v2": "xczu3eg-sbva484-1-i", "kv260": "xck26-sfvc784-2LV-c"}.get(name, "xc7z020clg400-1")
    in_order(
        done,
        f"create_project -force -part {part} bnn",
        f"set_property ip_repo_paths {{{{{ip}}}}}",
        "update_ip_catalog -rebuild",
        "create_bd_design bnn",
        "create_bd_cell -type ip -vlnv xilinx.com:ip:",
        "apply_bd_automation",
        "set_property -dict",
        "create_bd_cell -type ip -vlnv bnn:hls:bnn_top:1.0 core",
        "connect_bd_net",
        "connect_bd_intf_net",
        "assign_bd_address",
        "validate_bd_design",
        "save_bd_design",
        "generate_target all",
        "make_wrapper",
        "close_project",
    )
    mhz = render.number(design.clock_mhz)
    wanted = [
        "connect_bd_net core/interrupt ps/IRQ_F2P",
        f"CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ {mhz} ",
        "CONFIG.PCW_S_AXI_HP0_DATA_WIDTH 64",
        "connect_bd_intf_net ps/M_AXI_GP0 control/S00_AXI",
        "connect_bd_intf_net memory/M00_AXI ps/S_AXI_HP0",
        "-offset 0x43C00000",
        *(f"CONFIG.{key} " for key in boards.PYNQ_PS),
    ]
    if not zynq:
        wanted = [
            "connect_bd_net core/interrupt ps/pl_ps_irq0",
            "CONFIG.PSU__SAXIGP2__DATA_WIDTH 64",
            f"PL0_REF_CTRL__FREQMHZ {render.number(design.clock_mhz)}",
            "-offset 0xA0000000",
            "connect_bd_intf_net ps/M_AXI_HPM0_FPD control/S00_AXI",
            f"set_property board_part {boards.BOARDS[name].board_part}",
        ]
    for text in wanted:
        assert text in done.stdout, text
    clocks = [
        line
        for line in done.stdout.splitlines()
        if line.startswith("CALL connect_bd_net ps/FCLK_CLK0 ") or line.startswith("CALL connect_bd_net ps/pl_clk0 ")
    ]
    assert len(clocks) == 6
    ip.rmdir()
    done = run(made / "vivado/build.tcl", table, BOARDS="1")
    script = "vivado/package_rtl.tcl" if backend == "rtl" else "vitis/hls.tcl"
    assert done.returncode and f"not found, run {script} first" in done.stderr


@needs_tclsh
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_board_of_a_file(backend: str, tmp_path: Path) -> None:
    """The Arty Z7-20 of docs/adding_a_board.md: every script runs, and knows the board."""
    (tmp_path / "arty.toml").write_text(ARTY)
    design = designs.find(str(tmp_path / "arty.toml"))
    made = filled(tmp_path / "a b", render.render(design, backend=backend))
    for script in TCL:
        table = {**COMMANDS[script], **(BOARD_PARTS if script == "vivado/build.tcl" else {})}
        done = run(made / script, table, **VARIABLES.get(script, {}), BOARDS="1")
        assert (done.returncode, done.stderr) == (0, ""), script
        if script == "vivado/build.tcl":
            in_order(
                done,
                "create_project -force -part xc7z020clg400-1 bnn",
                "set_property board_part digilentinc.com:arty-z7-20:part0:1.0",
                "apply_bd_automation",
            )
            assert "CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ 125 " in done.stdout
    assert "create_clock -period 8 -name default" in (made / "vitis/hls.tcl").read_text()


def test_a_clock_that_the_board_cannot_give(tmp_path: Path) -> None:
    (tmp_path / "arty.toml").write_text(ARTY.replace("125.0", "150"))
    design = designs.find(str(tmp_path / "arty.toml"))
    with pytest.raises(DesignError, match="design arty: clock_mhz=150 is not 1000 MHz over an integer, as 125, 142"):
        render.render(design)


@needs_tclsh
def test_vivado_needs_board_files_where_no_settings_are_written_out(tmp_path: Path) -> None:
    made = filled(tmp_path / "b", render.render(DESIGNS["kv260"]))
    done = run(made / "vivado/build.tcl", {**BUILD, **BOARD_PARTS})
    small = filled(tmp_path / "c", render.render(DESIGNS["zybo_z7_10"]))
    assert "apply_board_preset 1" in run(small / "vivado/build.tcl", {**BUILD, **BOARD_PARTS}, BOARDS="1").stdout
    assert done.returncode and "board files of xilinx.com:kv260_som:part0:1.3 not found" in done.stderr


@needs_tclsh
def test_package_has_the_core_and_its_registers(folder: Path) -> None:
    done = run(folder / "vivado/package_rtl.tcl", COMMANDS["vivado/package_rtl.tcl"])
    in_order(
        done,
        "create_project",
        "add_files -norecurse",
        "set_property top bnn_core",
        "ipx::package_project -root_dir",
        "set_property name bnn_top",
        "set_property version 1.0",
        "ipx::associate_bus_interfaces -busif s_axi_control",
        "ipx::add_address_block Reg",
        "ipx::add_register CTRL",
        "set_property -dict {address_offset 0x00",
        "ipx::add_register error",
        "set_property -dict {address_offset 0xC0",
        "ipx::save_core",
        "close_project",
    )
    added = [
        line.split("/rtl/")[-1].rstrip("}") for line in done.stdout.splitlines() if line.startswith("CALL add_files")
    ]
    assert sorted(f"rtl/{name}" for name in added) == [path for path in FILES if path.startswith("rtl/")]


def test_the_wrapper_has_the_ports_of_both_cores() -> None:
    text = FILES["rtl/bnn_core.v"]
    ports = re.findall(r"^    (?:input|output) wire (?:\[\d+:\d+\] )?(\w+),?$", text, re.MULTILINE)
    assert ports == [name for _, _, name in render.core_ports()] and len(ports) > 50
    assert {"ap_clk", "ap_rst_n", "interrupt", "s_axi_control_AWADDR", "m_axi_gmem_ARADDR"} <= set(ports)
    assert all(text.count(f".{name}({name})") == 1 for name in ports)
    design = DESIGNS["pynq_z1"]
    for name in ("pe", "simd", "act_depth", "max_layers"):
        assert f".{name.title().replace('_', '')}({getattr(design, name)})" in text


def test_the_wrapper_has_a_second_memory_port_where_the_design_has_it() -> None:
    design = DESIGNS["pynq_z1_ports2"]
    text = render.render(design, backend="rtl")["rtl/bnn_core.v"]
    names = [name for _, _, name in render.core_ports(2)]
    second = [name for name in names if name.startswith("m_axi_gmem1_")]
    assert all(text.count(f".{name}({name})") == 1 for name in names) and ".Ports(2)" in text
    assert len(second) == 18 and {name[len("m_axi_gmem1_")] for name in second} == {"A", "R"}
    assert not any("_AW" in name for name in second)
    # without it: inputs at rest
    one = FILES["rtl/bnn_core.v"]
    assert ".Ports(1)" in one and all(f".m_axi_gmem1_{name}(0)" in one for name in ("ARREADY", "RVALID"))
    with pytest.raises(DesignError, match="design pynq_z1_ports2: ports=2, the HLS core has one"):
        render.render(design)


@needs_tclsh
@pytest.mark.parametrize("name", ["pynq_z1", "ultra96v2"])
def test_two_memory_ports_reach_the_memory(name: str, tmp_path: Path) -> None:
    design = replace(DESIGNS[name], name="both", ports=2)
    zynq = name == "pynq_z1"
    made = filled(tmp_path / "a b", render.render(design, backend="rtl"))
    done = run(made / "vivado/build.tcl", BUILD if zynq else {**BUILD, **BOARD_PARTS}, BOARDS="1")
    assert (done.returncode, done.stderr) == (0, "")
    slave, clock, segment = (
        ("S_AXI_HP1", "ps/FCLK_CLK0 ps/S_AXI_HP1_ACLK", "ps/S_AXI_HP1/HP1_DDR_LOWOCM")
        if zynq
        else ("S_AXI_HP1_FPD", "ps/pl_clk0 ps/saxihp1_fpd_aclk", "ps/SAXIGP3/HP1_DDR_LOW")
    )
    wanted = ["CONFIG.PCW_USE_S_AXI_HP1 1", "CONFIG.PCW_S_AXI_HP1_DATA_WIDTH 64"]
    if not zynq:
        wanted = ["CONFIG.PSU__USE__S_AXI_GP3 1", "CONFIG.PSU__SAXIGP3__DATA_WIDTH 64"]
    wanted += [
        "connect_bd_intf_net core/m_axi_gmem1 memory1/S00_AXI",
        f"connect_bd_intf_net memory1/M00_AXI ps/{slave}",
        f"connect_bd_net {clock}",
        "connect_bd_net reset/peripheral_aresetn memory1/aresetn",
        segment,
    ]
    for text in wanted:
        assert text in done.stdout, text
    table = {**COMMANDS["vivado/package_rtl.tcl"], "ipx::get_bus_parameters": OBJECTS}
    table["ipx::add_bus_parameter"] = ("-quiet -verbose", "", 2, 2)
    done = run(made / "vivado/package_rtl.tcl", table)
    assert (done.returncode, done.stderr) == (0, "")
    assert "CALL ipx::associate_bus_interfaces -busif m_axi_gmem1 -clock ap_clk" in done.stdout
    assert "CALL set_property value READ_ONLY" in done.stdout
    assert "gmem1" not in FILES["vivado/package_rtl.tcl"] + FILES["vivado/build.tcl"]


@needs_tclsh
def test_the_default_implementation(folder: Path) -> None:
    done = run(folder / "vivado/implement.tcl", COMMANDS["vivado/implement.tcl"])
    assert (done.returncode, done.stderr) == (0, "")
    in_order(
        done,
        "open_project",
        "launch_runs synth_1",
        "wait_on_run synth_1",
        "launch_runs impl_1",
        "wait_on_run impl_1",
        "open_run impl_1",
        "report_timing_summary",
        "report_utilization -file",
        "report_utilization -hierarchical",
        "write_checkpoint -force",
        "close_project",
    )
    assert "create_run" not in calls(done)
    assert (folder / "attempts/1/status.txt").read_text() == "route_design Complete!\n"
    assert {"routed.dcp", "timing.txt", "utilization.txt"} <= {path.name for path in (folder / "attempts/1").iterdir()}


@needs_tclsh
def test_a_strategy_is_a_run_of_its_own(folder: Path) -> None:
    script = "vivado/implement.tcl"
    done = run(folder / script, COMMANDS[script], **VARIABLES[script])
    in_order(
        done,
        "create_run -parent_run synth_1 -flow {Vivado Implementation 2022} -strategy "
        "{Performance_Explore PostRoute} impl_2",
        "launch_runs impl_2",
        "open_run impl_2",
    )
    assert "launch_runs impl_1" not in done.stdout
    assert (folder / "attempts/2/routed.dcp").exists()
    # a run of that name that is there already, of another strategy, is not what was asked for
    finished = run(folder / script, COMMANDS[script], **VARIABLES[script], PROGRESS="100% 100%")
    in_order(finished, "set_property STRATEGY {Performance_Explore PostRoute} impl_2", "reset_run impl_2")
    kept = run(
        folder / script,
        COMMANDS[script],
        **VARIABLES[script],
        STRATEGY="Performance_Explore PostRoute",
        PROGRESS="100% 100%",
    )
    assert not {"set_property", "reset_run"} & set(calls(kept))


@needs_tclsh
def test_finished_runs_are_kept(folder: Path) -> None:
    script, table = folder / "vivado/implement.tcl", COMMANDS["vivado/implement.tcl"]
    assert "launch_runs" not in calls(run(script, table, PROGRESS="100% 100%"))
    assert "launch_runs" in calls(run(script, table, PROGRESS="100% 100%", REFRESH="1"))


@needs_tclsh
def test_a_design_that_is_not_routed_is_an_attempt_that_failed(folder: Path) -> None:
    done = run(
        folder / "vivado/implement.tcl", COMMANDS["vivado/implement.tcl"], STOPS="impl_1", STATUS="route_design ERROR"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in (folder / "attempts/1").iterdir()] == ["status.txt"]  # nothing of an earlier run


@needs_tclsh
@pytest.mark.parametrize(("stops", "status"), [("synth_1", "synth_design ERROR"), ("impl_1", "place_design ERROR")])
def test_vivado_stops_at_a_failed_run(stops: str, status: str, folder: Path) -> None:
    done = run(folder / "vivado/implement.tcl", COMMANDS["vivado/implement.tcl"], STOPS=stops, STATUS=status)
    assert done.returncode and f"{stops}: {status}" in done.stderr
    assert not (folder / "attempts/1/status.txt").exists()
    assert ("CALL launch_runs impl_1" in done.stdout) == (stops == "impl_1")


@needs_tclsh
@pytest.mark.parametrize(("name", "clock"), [("pynq_z1", "clk_fpga_0"), ("kv260", "clk_pl_0")])
def test_a_slower_clock_takes_the_place_of_the_old_one(name: str, clock: str, tmp_path: Path) -> None:
    made = filled(tmp_path / "a b", render.render(DESIGNS[name]))
    script, table = made / "vivado/clock.tcl", COMMANDS["vivado/clock.tcl"]
    done = run(script, table, **VARIABLES["vivado/clock.tcl"])
    assert (done.returncode, done.stderr) == (0, "")
    pin = "{bnn_i/ps/inst/PS7_i/FCLKCLK[0]}"
    in_order(
        done,
        f"open_checkpoint {{{made / 'attempts/1/routed.dcp'}}}",
        f"get_clocks {clock}",
        f"get_pins {pin}",
        f"create_clock -name {clock} -period 8.000 {pin}",
        f"set_input_jitter {clock} 0.24",
        "report_timing_summary -file",
        "write_checkpoint -force",
        "close_project",
    )
    assert {path.name for path in (made / "attempts/clock-8").iterdir()} == {
        "routed.dcp",
        "timing.txt",
        "utilization.txt",
        "hierarchy.txt",
    }
    assert "set_input_jitter" not in calls(run(script, table, **VARIABLES["vivado/clock.tcl"], JITTER="0"))


@needs_tclsh
def test_bitstream_is_the_designs(folder: Path) -> None:
    done = run(folder / "vivado/bitstream.tcl", COMMANDS["vivado/bitstream.tcl"])
    assert (done.returncode, done.stderr) == (0, "")
    in_order(
        done,
        f"open_checkpoint {{{folder / 'attempts/1/routed.dcp'}}}",
        "get_timing_paths -setup",
        "get_timing_paths -hold",
        f"write_bitstream -force {{{folder / 'bitstream/pynq_z1.bit'}}}",
        "open_project",
        "close_project",
    )
    assert (folder / "bitstream/pynq_z1.hwh").read_text() == "hwh" and "save_project_as" not in calls(done)
    for name in ("timing.txt", "utilization.txt", "hierarchy.txt"):
        assert (folder / "bitstream" / name).read_text() == name


@needs_tclsh
@pytest.mark.parametrize(
    ("name", "parameter"),
    [("pynq_z1", "PCW_FPGA0_PERIPHERAL_FREQMHZ"), ("kv260", "PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ")],
)
def test_the_handoff_has_the_clock_that_was_met(name: str, parameter: str, tmp_path: Path) -> None:
    """It comes from a copy of the project: the project's own runs stay up to date."""
    made = filled(tmp_path / "a b", render.render(DESIGNS[name]))
    done = run(made / "vivado/bitstream.tcl", COMMANDS["vivado/bitstream.tcl"], **VARIABLES["vivado/bitstream.tcl"])
    in_order(
        done,
        "write_bitstream",
        "open_project",
        f"save_project_as -force -exclude_run_results bnn {{{made / 'vivado/clock_project'}}}",
        "open_bd_design bnn.bd",
        f"set_property CONFIG.{parameter} 125.0 ps",
        "validate_bd_design",
        "save_bd_design",
        "generate_target all",
    )
    assert (made / f"bitstream/{name}.hwh").read_text() == "slower"


@needs_tclsh
@pytest.mark.parametrize("slack", ["-0.001", "", "nan ns"])
@pytest.mark.parametrize("kind", ["setup", "hold"])
def test_vivado_writes_no_bitstream_without_timing(kind: str, slack: str, folder: Path) -> None:
    (folder / "bitstream").mkdir()
    (folder / "bitstream/pynq_z1.bit").write_text("of an earlier run")
    done = run(folder / "vivado/bitstream.tcl", COMMANDS["vivado/bitstream.tcl"], **{kind.upper(): slack})
    assert done.returncode and f"timing: {kind} slack is" in done.stderr
    assert "CALL write_bitstream" not in done.stdout
    assert not (folder / "bitstream/pynq_z1.bit").exists()


@needs_tclsh
def test_vivado_needs_what_comes_before(folder: Path) -> None:
    (folder / "attempts/1/routed.dcp").unlink()
    done = run(folder / "vivado/bitstream.tcl", COMMANDS["vivado/bitstream.tcl"])
    assert done.returncode and "run vivado/implement.tcl first" in done.stderr
    (folder / "vivado/project/bnn.xpr").unlink()
    done = run(folder / "vivado/implement.tcl", COMMANDS["vivado/implement.tcl"])
    assert done.returncode and "run vivado/build.tcl first" in done.stderr


# What the tools take, by directive (UG1399, UG902). The first form is older than Vitis HLS 2021.1.
NAME = r"variable=\w+"
POSITIONAL = {
    "INTERFACE": r"(m_axi|s_axilite) port=\w+( bundle=\w+)?( offset=\w+)?( depth=\d+)?( latency=\d+)?"
    r"( num_read_outstanding=\d+)?( max_read_burst_length=\d+)?( num_write_outstanding=\d+)?"
    r"( max_write_burst_length=\d+)?",
    "ARRAY_PARTITION": rf"{NAME} (complete( dim=\d)?|(cyclic|block) factor=\w+( dim=\d)?)",
    "DEPENDENCE": rf"{NAME} (inter|intra)( (RAW|WAR|WAW))?( distance=\d+)? (true|false)",
    "PIPELINE": r"II=\d+|off",
    "LATENCY": r"min=\d+ max=\d+",
    "UNROLL": "",
    "INLINE": "(off)?",
    "DATAFLOW": "",
    "STREAM": rf"{NAME} depth=\d+",
}
BIND = {"BIND_STORAGE": rf"{NAME} type=(ram_1p|ram_s2p|ram_t2p) impl=(bram|lutram|uram)"}
FORMS = {
    "vivado_hls": {**POSITIONAL, "RESOURCE": rf"{NAME} core=RAM_(1P|S2P|T2P)(_BRAM|_LUTRAM)"},
    "vitis_hls_2020": {**POSITIONAL, **BIND},
    "vitis_hls": {
        **POSITIONAL,
        **BIND,
        "INTERFACE": r"mode=" + POSITIONAL["INTERFACE"],
        "ARRAY_PARTITION": rf"{NAME} type=(complete( dim=\d)?|(cyclic|block) factor=\w+( dim=\d)?)",
        "DEPENDENCE": rf"{NAME} type=(inter|intra)( direction=(RAW|WAR|WAW))?( distance=\d+)? dependent=(true|false)",
    },
}


def illegal(files: dict[str, str], forms: dict[str, str]) -> list[str]:
    """Directives of the C++ that a tool does not take."""
    lines = [
        line.split("//")[0].strip()
        for path, text in files.items()
        if path.startswith("hls/")
        for line in text.splitlines()
        if line.startswith("#pragma HLS")
    ]
    assert lines
    found = [re.match(r"#pragma HLS (\w+) ?(.*)", line) for line in lines]
    return [
        item.group(0) for item in found if item and not re.fullmatch(forms.get(item.group(1), "none"), item.group(2))
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_directives_are_those_of_the_tool(version: str) -> None:
    files = render.render(DESIGNS["pynq_z1"], version)
    assert illegal(files, FORMS[directives.dialect(version)]) == []
    for other, forms in FORMS.items():
        if other != directives.dialect(version):
            assert illegal(files, forms), other
    kept = "\n".join(text for path, text in files.items() if path.startswith("hls/"))
    written = "\n".join(text for path, text in FILES.items() if path.startswith("hls/"))
    for kind in ("bram", "lutram"):
        of_2019 = f"core=RAM_S2P_{kind.upper()}"
        found = re.findall(rf"^#pragma .*\b(?:{of_2019}|impl={kind})\b", kept, re.MULTILINE)
        assert len(found) == len(re.findall(rf"^#pragma .*\bimpl={kind}\b", written, re.MULTILINE))
    # nothing but the directives changes
    for path, text in FILES.items():
        if path.startswith("hls/"):
            for old, new in zip(text.splitlines(), files[path].splitlines(), strict=True):
                assert old == new or new.startswith("#pragma HLS") and new.split("//")[1:] == old.split("//")[1:]


@pytest.mark.parametrize(
    "line",
    [
        "#pragma HLS SOMETHING variable=a",
        "#pragma HLS ARRAY_PARTITION variable=a complete",
        "#pragma HLS BIND_STORAGE variable=a type=fifo impl=bram",
        "#pragma HLS DEPENDENCE variable=a type=inter",
        "#pragma HLS DEPENDENCE variable=a type=inter dependent=false RAW",
    ],
)
def test_a_directive_without_translation_is_an_error(line: str) -> None:
    with pytest.raises(directives.DirectiveError, match="#pragma HLS"):
        directives.translate(f"void f() {{\n{line}  // why\n}}\n", "2019.2")


@pytest.mark.parametrize("version", ["2019.1", "2025.1", "2022", "new", "2022.2.1"])
def test_unknown_versions(version: str) -> None:
    with pytest.raises(directives.DirectiveError, match="is not one of 2019.2 to 2024.2"):
        directives.dialect(version)


def test_unknown_back_end() -> None:
    with pytest.raises(DesignError, match="back end 'vhdl' is not one of hls, rtl"):
        render.render(DESIGNS["pynq_z1"], backend="vhdl")


def test_unknown_design(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert build.main(["--design", "none", "-o", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: design 'none'")
