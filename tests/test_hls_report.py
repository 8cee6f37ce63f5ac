"""report.json: the estimate of the HLS core against its C simulation, and the tools' reports in their format."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.cores import TIGHT, pixels
from helpers.models import deep, network
from helpers.tools import CSYNTH_XML, FIGURES, TIMING, UTILIZATION

from bnn.model import Model
from hls import hls_report, overlay, render, shell
from hls.ap_types import find_ap_types
from hls.boards import ZYNQ7
from hls.designs import DESIGNS
from hls.program import pack
from hls.schedule import Sizes, plan
from sim import hls_csim

SMALL = DESIGNS["sim_small"]


# Vivado 2019.2: no column Prohibited; another family's names.
UTILIZATION_2019 = (
    UTILIZATION.replace(" Prohibited |", "")
    .replace("     0 |          0 |", "     0 |")
    .replace("Slice LUTs ", "CLB LUTs*  ")
    .replace("Slice Registers", "CLB Registers  ")
)


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_csynth(tmp_path: Path) -> None:
    found = hls_report.csynth(put(tmp_path, "csynth.xml", CSYNTH_XML))
    assert found["tool"] == "2022.2" and found["part"] == "xc7z020-clg400-1"
    assert found["clock_ns"] == {"target": 10.0, "estimated": 7.3}
    assert found["latency_cycles"] == {"best": 17, "worst": None}
    assert found["loops"]["layers/step"] == {"trips": None, "ii": 1, "depth": 14, "latency": None}
    assert found["loops"]["words"] == {"trips": 16, "ii": 1, "depth": 3, "latency": 17}
    assert found["resources"] == {"lut": 38912, "ff": 21034, "bram36": 100.5, "dsp": 23}
    assert found["available"]["bram36"] == 140


def test_csynth_of_vivado_hls(tmp_path: Path) -> None:
    text = CSYNTH_XML.replace("DSP>", "DSP48E>").replace("<URAM>0</URAM>", "")
    assert hls_report.csynth(put(tmp_path, "csynth.xml", text))["resources"]["dsp"] == 23


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<profile>", "<profile", "not well-formed"),
        ("<LUT>38912</LUT>", "", "Resources: no LUT"),
        ("<LUT>38912</LUT>", "<LUT>many</LUT>", "Resources: no LUT"),
        ("SummaryOfOverallLatency", "Other", "no PerformanceEstimates/SummaryOfOverallLatency"),
        ("7.300", "undef", "the clock periods are not numbers"),
    ],
)
def test_bad_csynth(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = put(tmp_path, "csynth.xml", CSYNTH_XML.replace(old, new))
    with pytest.raises(hls_report.ReportError, match=message) as caught:
        hls_report.csynth(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_reports(tmp_path: Path) -> None:
    for read in (hls_report.csynth, hls_report.utilization, hls_report.timing):
        with pytest.raises(hls_report.ReportError, match="none.txt"):
            read(tmp_path / "none.txt")


@pytest.mark.parametrize(
    ("old", "new", "remark"),
    [
        (
            "38912",
            "60000",
            "csynth.xml counts 60000 lut of 53200 on xc7z020-clg400-1, an estimate: Vivado decides; its "
            "LUTs are 1.1 to 2.7 or more times fewer in published binary networks, here 54545 to 22222",
        ),
        (
            "<BRAM_18K>201",
            "<BRAM_18K>281",
            "csynth.xml counts 140.5 bram36 of 140 on xc7z020-clg400-1, an estimate: Vivado decides",
        ),
        ("38912", "53200", ""),
    ],
)
def test_a_core_beyond_its_part_is_a_remark(old: str, new: str, remark: str, tmp_path: Path) -> None:
    path = put(tmp_path, "csynth.xml", CSYNTH_XML.replace(old, new))
    assert hls_report.add_csynth(tmp_path, path) == remark
    found = json.loads((tmp_path / hls_report.FILE).read_text())["hls"]["synthesis"]
    assert found.get("remark", "") == remark and found["resources"]["lut"]


@pytest.mark.parametrize("text", [UTILIZATION, UTILIZATION_2019])
def test_utilization(text: str, tmp_path: Path) -> None:
    assert hls_report.utilization(put(tmp_path, "utilization.txt", text)) == {
        "used": {"lut": 35210, "ff": 24876, "bram36": 101.5, "dsp": 23},
        "available": {"lut": 53200, "ff": 106400, "bram36": 140, "dsp": 220},
    }


def test_the_older_table_is_another() -> None:
    assert "Prohibited" not in UTILIZATION_2019 and "CLB LUTs" in UTILIZATION_2019


@pytest.mark.parametrize(("old", "message"), [("| DSPs ", "no row DSPs"), ("35210", "Slice LUTs: 'x' of")])
def test_bad_utilization(old: str, message: str, tmp_path: Path) -> None:
    path = put(tmp_path, "utilization.txt", UTILIZATION.replace(old, "x" if old.isdigit() else "| Xs "))
    with pytest.raises(hls_report.ReportError, match=message):
        hls_report.utilization(path)


def test_timing(tmp_path: Path) -> None:
    found = hls_report.timing(put(tmp_path, "timing.txt", TIMING))
    assert found == {
        "wns_ns": 0.214,
        "tns_ns": 0.0,
        "whs_ns": 0.021,
        "ths_ns": 0.0,
        "failing_endpoints": 0,
        "met": True,
    }
    for old, new in (("0.214", "-0.214"), ("0.021", "-0.02")):
        assert not hls_report.timing(put(tmp_path, "timing.txt", TIMING.replace(old, new)))["met"]


@pytest.mark.parametrize(("old", "new"), [("WNS(ns)", "WNS"), ("0.214", "NA")])
def test_bad_timing(old: str, new: str, tmp_path: Path) -> None:
    with pytest.raises(hls_report.ReportError, match="Design Timing Summary"):
        hls_report.timing(put(tmp_path, "timing.txt", TIMING.replace(old, new)))


def test_what_is_around_the_core_is_counted() -> None:
    """Every cell of the block design but the core, each with a source."""
    for name in ("pynq_z1", "pynq_z1_ports2"):
        script = render.render(DESIGNS[name], backend="rtl")["vivado/build.tcl"]
        cells = re.findall(r"create_bd_cell .* (\w+)\]", script)
        assert sorted(cells) == sorted([*(block.name for block in shell.blocks(DESIGNS[name])), "core"])
    assert shell.summary(DESIGNS["pynq_z1_ports2"])["lut"] == 1940 + 910
    found = shell.summary(DESIGNS["pynq_z1"])
    assert (found["lut"], found["ff"]) == (1940, 1928) and found["percent"] == {"lut": 3.6, "ff": 1.8}
    assert found["estimated"] and all(block["source"] for block in found["blocks"])


def test_update_keeps_the_rest(tmp_path: Path) -> None:
    put(tmp_path, hls_report.FILE, '{"format": 1, "total": {"lut": 1}, "hls": {"estimated": 2}}')
    put(tmp_path, "utilization.txt", UTILIZATION)
    put(tmp_path, "timing.txt", TIMING)
    hls_report.add_csynth(tmp_path, put(tmp_path, "csynth.xml", CSYNTH_XML))
    attempt = {"name": "1", "strategy": "s", "divider": 8, "clock_mhz": 125.0}
    hls_report.add_implementation(tmp_path, tmp_path, attempt, [attempt], 6250)
    found = json.loads((tmp_path / hls_report.FILE).read_text())
    assert found["total"] == {"lut": 1} and found["hls"]["estimated"] == 2
    assert set(found) == {"format", "total", "hls", "implementation"}
    assert found["implementation"]["images_per_second"]["value"] == 20000 and found["implementation"]["divider"] == 8
    assert hls_report.sections(tmp_path / hls_report.FILE) == {name: found[name] for name in ("hls", "implementation")}
    put(tmp_path, hls_report.FILE, "[")
    assert hls_report.sections(tmp_path / hls_report.FILE) == {}
    with pytest.raises(hls_report.ReportError, match=hls_report.FILE):
        hls_report.update(tmp_path, 1, "a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<A><PARAMETER NAME='CLOCK' VALUE='x'/></A>", "CLOCK is x, expected MHz"),
        ("<A/>", "CLOCK is not there"),
        ("<A", "unclosed"),
        ("<A><PARAMETER NAME='CLOCK' VALUE='0'/></A>", "CLOCK is 0"),
    ],
)
def test_bad_handoff(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(hls_report.ReportError, match=message):
        hls_report.handoff_clock(put(tmp_path, "a.hwh", text), "CLOCK")


def test_the_clock_of_a_handoff(tmp_path: Path) -> None:
    text = "<A><M><PARAMETER NAME='OTHER' VALUE='1'/><PARAMETER NAME='CLOCK' VALUE='187.498123'/></M></A>"
    assert hls_report.handoff_clock(put(tmp_path, "a.hwh", text), "CLOCK") == 187.498123
    handoff = put(tmp_path, "b.hwh", overlay.render_hwh(DESIGNS["pynq_z1"]))
    assert hls_report.handoff_clock(handoff, ZYNQ7.actual) == pytest.approx(1000 / 7, 1e-5)


@pytest.mark.parametrize(
    ("words", "bits", "expected"),
    [(512, 36, 1), (512, 37, 2), (1024, 16, 1), (2048, 16, 2), (2048, 64, 8), (16384, 1, 1)],
)
def test_block_rams(words: int, bits: int, expected: int) -> None:
    assert hls_report.bram18(words, bits) == expected


def test_an_estimate_takes_the_loops_figures() -> None:
    """II and depth of every loop are those that it is given, and a loop that is not there is an error."""
    stages = [("conv", 24, 1, 0, False), ("conv", 16, 0, 0, False), ("dense", 11)]
    placed = plan(network(4, (10, 10, 3), stages), SMALL, 4)
    one = hls_report.estimated(placed, FIGURES)
    slower = replace(FIGURES, loops={**FIGURES.loops, "slots": (2, 40)})
    two = hls_report.estimated(placed, slower)
    (before,), (after,) = (
        [loop for loop in found["loops"]["first_layer"] if loop["loop"] == "slots"] for found in (one, two)
    )
    assert (before["ii"], before["depth"], after["ii"], after["depth"]) == (1, 13, 2, 40)
    assert after["cycles"] - before["cycles"] == before["calls"] * (40 - 13 + before["trips"])
    with pytest.raises(hls_report.ReportError, match="loop step: not one of"):
        hls_report.estimated(placed, replace(FIGURES, loops={"slots": (1, 1)}))


CONVS = [("conv", 34, 0, 0, False), ("conv", 64, 1, 1, True), ("dense", 64), ("dense", 33), ("dense", 12)]


@pytest.mark.parametrize(
    ("model", "depth", "sizes", "calls"),
    [
        (deep(), 256, Sizes(16, 16, 5), (0, 0)),
        (deep(), 128, Sizes(4, 16, 2), (0, 1)),
        (deep(), 128, Sizes(16, 16, 5), (1, 0)),
        (network(4, (8, 8, 3), CONVS), 128, Sizes(1, 3, 1), (3, 1)),
    ],
    ids=["all stay", "those of segment A stay", "none stays", "none of two segments stays"],
)
def test_words_that_stay_are_not_read_again(model: Model, depth: int, sizes: Sizes, calls: tuple[int, int]) -> None:
    """A batch reads its images, and with each of so many calls of segments A and B their words."""
    placed = plan(model, replace(TIGHT, act_depth=256, weight_depth=depth), sizes.batch, sizes)
    (copy,) = hls_report.estimated(placed, FIGURES)["loops"]["read"]
    words = calls[0] * placed.words_a + calls[1] * placed.words_b
    assert round(copy["calls"] * copy["trips"]) == (placed.batch * placed.image_bytes + words * TIGHT.word_bytes) // 8
    layers = calls[0] * placed.segment_a + calls[1] * (len(placed.descriptors) - placed.segment_a)
    assert copy["calls"] == placed.batch + layers


@pytest.mark.skipif(find_ap_types() is None or shutil.which("g++") is None, reason="no ap_int.h or g++")
def test_the_array_waits_for_no_words_that_stay(tmp_path: Path) -> None:
    """Against the core, whose array is at work while those of segment B come, and would wait if all did."""
    core, placed = hls_csim.build(TIGHT, tmp_path), plan(deep(), TIGHT, 16, Sizes(4, 16, 2))
    cycles = []
    for batches in (2, 3):
        core.run(pack(placed), pixels(placed.model, batches * placed.batch), trace=False)
        assert core.stats is not None and core.stats.cycles is not None
        cycles.append(core.stats.cycles)
    figures = replace(FIGURES, loops={**FIGURES.loops, "step": (1, 0)})  # depths are not the C simulation's
    trips = []
    for item in placed, replace(placed, ring_base=0):
        loops = hls_report.estimated(item, figures)["loops"]["array"]
        trips.append(sum(loop["calls"] * loop["trips"] for loop in loops))
    assert trips[0] == cycles[1] - cycles[0] < trips[1]


def test_memories_of_every_kind_are_counted() -> None:
    """Arrays that are not in LUT RAM, FIFOs beyond shift registers, the port's buffers; and LUTs by the dot product."""
    found = hls_report.resources(SMALL, FIGURES)
    assert found["bram18_by_memory"] == {"act": 32 * 4, "buffer": 2 * 2, "stream beats": 2, "port gmem read": 2}
    assert found["bram36"] == sum(found["bram18_by_memory"].values()) / 2
    more = hls_report.resources(SMALL, replace(FIGURES, dot_lut=101))
    assert more["lut"] - found["lut"] == SMALL.pe * SMALL.lanes


@pytest.mark.skipif(find_ap_types() is None or shutil.which("g++") is None, reason="no ap_int.h or g++")
@pytest.mark.parametrize("resident", [True, False])
def test_trip_counts_are_those_of_the_core(resident: bool, tmp_path: Path) -> None:
    """A batch more takes as many cycles of the array's loops as the estimate says, depths left out."""
    design = replace(SMALL, act_depth=1024, weight_depth=512 if resident else 32)
    core = hls_csim.build(design, tmp_path)
    stages = [
        ("conv", 24, 1, 0, False),
        ("conv", 40, 1, -1, True),
        ("conv", 16, 0, 0, False),
        ("dense", 33),
        ("dense", 11),
    ]
    model = network(4, (10, 10, 3), stages)
    placed = plan(model, design, 4)
    assert placed.resident == resident
    cycles = []
    for images in (2 * placed.batch, 3 * placed.batch, 4 * placed.batch):
        core.run(pack(placed), np.zeros((images, 10, 10, 3), np.uint8), trace=False)
        assert core.stats is not None and core.stats.cycles is not None
        cycles.append(core.stats.cycles)
    assert cycles[2] - cycles[1] == cycles[1] - cycles[0]
    loops = hls_report.estimated(placed, FIGURES)["loops"]["array"]
    assert any(loop["loop"] == "group_weights" and (loop["trips"] > 0) != resident for loop in loops)
    trips = sum(loop["calls"] * loop["trips"] for loop in loops)
    assert abs(cycles[1] - cycles[0] - trips) <= (0.002 if resident else 0.05) * trips
