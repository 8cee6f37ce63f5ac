"""Figures of the HLS core in report.json: what the loops' schedule says, and what the tools report.

report.json also holds the figures of the RTL core (`bnn report`); this module adds

- `hls.estimated`: cycles, block RAM, DSP and LUT from the loops of hw_templates/hls, before any synthesis;
- `hls.synthesis`: from csynth.xml of Vitis HLS, once it has run;
- `implementation`: from Vivado's utilisation and timing reports of the whole block design;
- `around`: what stands around the core in that (`hls.shell`), before Vivado has counted it.
"""

from __future__ import annotations

import json
import re
from collections import deque
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from bnn.contract import ACC_BITS, BEAT_BYTES, FIRST_TAPS, FIRST_VALUES, MAX_CHANNELS, VALUE_BITS, Descriptor
from bnn.errors import ExpectedError
from bnn.files import write_atomically
from bnn.geometry import ceil_div
from hls.check.figures import Figures
from hls.designs import Design
from hls.schedule import Plan

COMMAND_WORDS = Descriptor.USED + 13
"""Words of a command to the array: a descriptor and what control adds (hw_templates/hls/bnn_types.h)."""
FILE = "report.json"
MEMORY_CYCLES = 60
"""Assumed between an order and its first beat, on the port and in the memory controller."""
LUT_PER_SUM = ACC_BITS + ACC_BITS // 2
"""An accumulator with its start at zero, and the comparison with the threshold, two bits a LUT."""
LUT_PER_FIRST = 11
"""An 8-bit add or subtract of the first layer, with the choice between them."""
LUT_PER_FIRST_SUM = 24
"""Of the first layer's values, for each of FIRST_PE: the greatest sum of a pool."""
LUT_PER_FIRST_VALUE = 130
"""Of the first layer's values, for each of a slice of FIRST_PE bits: offset, shift and limits."""
LUT_PER_FACTOR = 1
"""Scale and offset of a channel in LUT RAM, of which four LUTs hold three bits of 64."""
LUT_REST = 9000
"""Control, address arithmetic, multiplexers, AXI adapters."""
LUT_PER_LANE = 275
"""Of the vector unit, a channel a cycle: U, the offset, the shift, shortcut, saturation, thresholds and pool."""
LUT_PER_CHANNEL = 26
"""Of the vector unit, in a lane: sums, shortcut, value and planes that turn, and what chooses among them."""
LUT_PER_HEADER = 68
"""Of the vector unit, for each PE: the header of its channel in LUT RAM, and its choice."""
LUT_VECTOR = 900
"""Addresses of shortcuts and records, and the order of hand-overs."""
AUTO_SRL = 2, 1024
"""A FIFO of at most this depth, or of this many bits in all, is made of shift registers (UG1399, config_storage fifo,
auto_srl_max_depth and auto_srl_max_bits); a deeper and larger one of block RAM."""
_BRAM18 = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))


CSYNTH_LUT = (1.1, 2.7)
"""LUTs of csynth.xml to one that Vivado places, in published binary networks written in HLS. bnn-fpga: 51,779 in
sds_Accel.rpt (github.com/cornell-zhang/bnn-fpga, issue 14) to the 46,900 of its paper (FPGA'17). FracBNN: 193,380
(github.com/cornell-zhang/FracBNN, issue 9) on a part of 70,560 that it runs on (arXiv 2012.12206), so at least 2.7;
its block RAMs are 530 of 432 there."""


class ReportError(ExpectedError):
    """A report that is not understood; one line names the file."""


def update(folder: Path, content: Any, *keys: str) -> None:
    """Put `content` under `keys` in `folder`/report.json and keep the rest.

    Raises:
        ReportError: the file there is not a JSON object.
    """
    path = folder / FILE
    try:
        report = json.loads(path.read_text()) if path.is_file() else {}
    except ValueError as error:
        raise ReportError(f"{path}: {error}") from error
    if not isinstance(report, dict):
        raise ReportError(f"{path}: expected a JSON object")
    place = report
    for key in keys[:-1]:
        place = place.setdefault(key, {})
    place[keys[-1]] = content
    write_atomically(path, (json.dumps(report, indent=1) + "\n").encode())


def sections(path: Path) -> dict[str, Any]:
    """What this module has put into a report.json, {} where there is none; for those who write the file anew."""
    try:
        report = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    names = ("hls", "implementation", "around")
    return {key: report[key] for key in names if isinstance(report, dict) and key in report}


# ---- Estimate ---------------------------------------------------------------------------------


def _loop(figures: Figures, label: str, calls: int, trips: float, name: str = "", wait: int = 0) -> dict[str, Any]:
    """A pipelined loop: its cycles over all calls, with `wait` before its first iteration."""
    interval, depth = timing_of(figures, label)
    return {
        "loop": name or label,
        "ii": interval,
        "depth": depth + wait,
        "calls": calls,
        "trips": trips,
        "cycles": round(calls * (wait + depth + interval * trips)),
    }


def timing_of(figures: Figures, label: str) -> tuple[int, int]:
    """II and depth of a loop.

    Raises:
        ReportError: the C++ has no pipelined loop with the label.
    """
    if label not in figures.loops:
        raise ReportError(f"loop {label}: not one of {', '.join(sorted(figures.loops))}")
    return figures.loops[label]


def _steps(item: Descriptor, images: int, design: Design) -> float:
    """Cycles of the loop `step` for a group: multiplications, and waits for what takes longer to leave."""
    lanes, pe = design.lanes, design.pe
    by_image = item.dense or item.by_image
    parts = (4 if item.by_image else 2) if item.pool else 1
    blocks = item.units(images, lanes) * item.output_rows * item.blocks
    pieces = item.outputs / item.groups if item.scores else item.given_planes + VALUE_BITS * item.value
    halved = 2 if not by_image and (item.pool or item.stride2) else 1
    leaving = pieces * (lanes if item.scores else lanes // halved if item.serial else 1)
    last = pieces * (images - (blocks - 1) * lanes) if item.scores else leaving
    words = item.group_words * item.planes * parts
    if not item.vector:
        return (blocks - 1) * max(words, leaving) + words + last
    # sums are handed over at the end of a turn, and evaluated, a channel a cycle, in the next one
    hands = item.height * item.width if item.average else item.hand_overs
    reads = VALUE_BITS * (4 if item.shortcut_average else 1) if item.average or item.shortcut else 0
    evaluated = max(1, item.thresholds) * pe + leaving
    words //= parts * hands
    finished = blocks * parts
    short, full = max(words, pe) + reads, max(words, evaluated) + reads
    return (finished * (hands - 1) + 1) * short + (finished - 1) * full + evaluated + last - leaving


def _waits(plan: Plan, figures: Figures) -> int:
    """Cycles of a batch in which the array waits for weights, one beat a cycle into the ring; the second of two."""
    if plan.staying == len(plan.descriptors):
        return 0
    design = plan.design
    layers = [(index, plan.sub_batch) for index in range(plan.segment_a)] * ceil_div(plan.batch, plan.sub_batch)
    layers += [(index, plan.batch) for index in range(plan.segment_a, len(plan.descriptors))]
    held = 0
    stream = array = waited = 0.0
    ring: deque[tuple[int, float]] = deque()  # words and end of the groups in the ring
    for _ in range(2):
        waited = 0.0
        for index, images in layers:
            item = plan.descriptors[index]
            words = item.headers + item.group_words
            interval, depth = timing_of(figures, "step")
            cycles = interval * _steps(item, images, design) + depth
            if index < plan.staying:
                array += item.groups * cycles
                continue
            for _ in range(item.groups):
                while held + words > plan.ring_words:
                    freed, done = ring.popleft()
                    held -= freed
                    stream = max(stream, done)
                stream += words * design.word_bytes // 8
                waited += max(0, stream - array)
                array = max(array, stream) + cycles
                ring.append((words, array))
                held += words
    return round(waited)


def estimated(plan: Plan, figures: Figures) -> dict[str, Any]:
    """Cycles of one batch by process and loop, and resources, from the loops of hw_templates/hls.

    The processes overlap, so the slowest one sets the pace; JSON types only.

    Raises:
        ReportError: a loop that the estimate counts is not in the C++.
    """
    design, first = plan.design, plan.first
    calls = [ceil_div(plan.batch, plan.sub_batch)] * plan.segment_a
    calls += [1] * (len(plan.descriptors) - plan.segment_a)
    again = range(plan.staying, len(plan.descriptors))  # layers whose weights come with every call
    weights = sum(calls[index] * plan.descriptors[index].weight_words for index in again)
    array = []
    names = [stage.name for stage in plan.stages]
    for index, item in enumerate(plan.descriptors):
        images, groups = plan.sub_batch if index < plan.segment_a else plan.batch, calls[index] * item.groups
        steps = _steps(item, images, design)
        array.append({**_loop(figures, "step", groups, steps, f"step {names[index]}"), "layer": names[index]})
        if item.vector:
            array.append(_loop(figures, "group_header", groups, item.headers))
    array.append(_loop(figures, "command", sum(calls), COMMAND_WORDS // 2))
    array.append(_loop(figures, "group_weights", 1, _waits(plan, figures)))

    pixels = plan.model.height * plan.model.width
    image_beats = ceil_div(pixels * plan.model.channels, 8)
    orders = plan.batch + sum(calls[index] for index in again)
    beats = plan.batch * image_beats + weights * design.word_bytes // 8
    if first.channels:
        step = 2 if first.pool else 1
        reads, lead = step * (step + 2), 2 if first.pool else 3
        groups, values = first.channels // design.first_pe, first.value_channels // design.first_pe
        gives = values * VALUE_BITS + groups if values else 0
        slots = max(groups * step * step + gives, reads)
        trips = first.rows // step * (lead * reads + first.columns // step * slots)
        layer = [_loop(figures, "unpack", plan.batch, pixels), _loop(figures, "slots", plan.batch, trips)]
    elif first.pixel_map:
        layer = [
            _loop(figures, "unpack", plan.batch, pixels),
            _loop(figures, "pixels", plan.batch, pixels * first.planes),
        ]
    elif first.planes:
        elements = pixels * plan.model.channels
        layer = [
            _loop(figures, "unpack", plan.batch, ceil_div(elements, MAX_CHANNELS)),
            _loop(figures, "planes", plan.batch, first.words * design.simd // MAX_CHANNELS),
        ]
    else:
        layer = [
            _loop(figures, "unpack", plan.batch, first.words * design.simd // 8),
            _loop(figures, "packed", plan.batch, first.words * design.simd // min(design.first_pe, 32)),
        ]
    classes = len(plan.model.classes)
    groups = ceil_div(classes, design.pe)
    processes = {
        "read": [_loop(figures, "copy", orders, beats / orders, wait=MEMORY_CYCLES)],
        "first_layer": layer,
        "array": array,
        "store": [_loop(figures, "values", plan.batch * groups, classes / groups)],
    }
    # the two loops of the first layer work on two images at the same time
    cycles = {
        name: (max if name == "first_layer" else sum)(loop["cycles"] for loop in loops)
        for name, loops in processes.items()
    }
    slowest = max(cycles, key=lambda name: cycles[name])
    per_batch = cycles[slowest]
    return {
        "estimated": True,
        "note": "from the loops' trip counts, and the II and depth that `bnn check` finds; not from a synthesis",
        "model": plan.model.name,
        "design": design.name,
        "clock_mhz": design.clock_mhz,
        "batch": plan.batch,
        "cycles_per_batch": per_batch,
        "cycles_per_image": round(per_batch / plan.batch),
        "images_per_second": round(design.clock_mhz * 1e6 * plan.batch / per_batch),
        "slowest": slowest,
        "process_cycles": cycles,
        "loops": processes,
        "resources": resources(design, figures),
    }


def bram18(words: int, bits: int) -> int:
    """Block RAMs of 18 kbit for a memory of one read and one write port."""
    return min(ceil_div(words, depth) * ceil_div(bits, width) for depth, width in _BRAM18)


def resources(design: Design, figures: Figures) -> dict[str, Any]:
    """Estimated resources of the HLS core, by memory and in all; FIFOs and the port's buffers are memories too."""
    memories: dict[str, int] = {}
    for name, banks, words, bits, bound in figures.memories:
        if bound != "lutram":
            memories[name] = memories.get(name, 0) + banks * bram18(words, bits)
    for name, depth, bits in figures.fifos:
        if depth > AUTO_SRL[0] and depth * bits > AUTO_SRL[1]:
            memories[f"stream {name}"] = bram18(depth, bits)
    for name, beats in figures.buffers:
        memories[f"port {name}"] = bram18(beats, 8 * BEAT_BYTES)
    macs = design.pe * design.simd * design.lanes
    dots = design.pe * design.lanes
    total = sum(memories.values())
    slice_values = max(design.first_pe // VALUE_BITS, 1)
    vector = LUT_PER_LANE * design.lanes + LUT_PER_CHANNEL * dots + LUT_PER_HEADER * design.pe + LUT_VECTOR
    vector += LUT_PER_FIRST_SUM * design.first_pe + LUT_PER_FIRST_VALUE * slice_values + 2 * design.simd
    vector += LUT_PER_FACTOR * FIRST_VALUES
    found = {
        "lut": round(
            (figures.dot_lut + LUT_PER_SUM) * dots
            + (vector if design.vector else 0)
            + LUT_PER_FIRST * FIRST_TAPS * MAX_CHANNELS * design.first_pe
            + LUT_REST
        ),
        # accumulators, finished sums, the operands' registers and two levels of the adder trees
        "ff": round(32 * dots + design.simd * (design.pe + design.lanes) + 0.5 * macs + LUT_REST)
        + (vector if design.vector else 0),
        "bram36": total / 2,
        # scores: 1; addresses of the array: 11; control: 8; the first layer's addresses: 4; of the vector unit
        # a product a lane and a shortcut's addresses, of the first layer a product a value
        "dsp": 24 + (design.lanes + 3 + slice_values if design.vector else 0),
    }
    board = design.board
    return {
        **found,
        "bram18_by_memory": memories,
        "percent": {key: round(100 * value / getattr(board, key), 1) for key, value in found.items()},
    }


def add_estimate(folder: Path, plan: Plan, figures: Figures) -> dict[str, Any]:
    """Put the estimate for `plan` into report.json, and give it."""
    found = estimated(plan, figures)
    update(folder, found, "hls", "estimated")
    return found


# ---- Reports of the tools ---------------------------------------------------------------------


def _value(text: str | None) -> Any:
    """A figure of csynth.xml: an int, a float, or None for "undef" and the like."""
    text = (text or "").strip()
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    try:
        return float(text)
    except ValueError:
        return None


def csynth(path: Path) -> dict[str, Any]:
    """What csynth.xml says: clock in ns, latency and interval in cycles, loops, resources used and available.

    Figures that the tool leaves open, such as the latency of loops without fixed bounds, are None.

    Raises:
        ReportError: the file is missing, no XML, or lacks a section.
    """
    try:
        root = ElementTree.fromstring(path.read_text())
    except (OSError, UnicodeDecodeError, ElementTree.ParseError) as error:
        raise ReportError(f"{path}: {error}") from error

    def need(name: str) -> ElementTree.Element:
        found = root.find(name)
        if found is None:
            raise ReportError(f"{path}: no {name}")
        return found

    def number(name: str) -> Any:
        return _value(need(name).text)

    latency = "PerformanceEstimates/SummaryOfOverallLatency"
    target, found = (
        number("UserAssignments/TargetClockPeriod"),
        number("PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod"),
    )
    if not isinstance(target, int | float) or not isinstance(found, int | float):
        raise ReportError(f"{path}: the clock periods are not numbers")
    used, available = need("AreaEstimates/Resources"), need("AreaEstimates/AvailableResources")

    def figures(place: ElementTree.Element) -> dict[str, Any]:
        values = {item.tag: _value(item.text) for item in place}
        missing = [name for name in ("LUT", "FF", "BRAM_18K") if not isinstance(values.get(name), int)]
        dsp = values.get("DSP", values.get("DSP48E"))  # Vivado HLS counts DSP48E
        if missing or not isinstance(dsp, int):
            raise ReportError(f"{path}: {place.tag}: no {', '.join(missing or ['DSP'])}")
        return {"lut": values["LUT"], "ff": values["FF"], "bram36": values["BRAM_18K"] / 2, "dsp": dsp}

    loops: dict[str, Any] = {}

    def walk(place: ElementTree.Element, prefix: str) -> None:
        for item in place:
            if item.find("TripCount") is None and item.find("IterationLatency") is None:
                continue
            loops[prefix + item.tag] = {
                "trips": _value(item.findtext("TripCount")),
                "ii": _value(item.findtext("PipelineII")),
                "depth": _value(item.findtext("PipelineDepth")) or _value(item.findtext("IterationLatency")),
                "latency": _value(item.findtext("Latency")),
            }
            walk(item, f"{prefix}{item.tag}/")

    summary = root.find("PerformanceEstimates/SummaryOfLoopLatency")
    if summary is not None:
        walk(summary, "")
    return {
        "source": path.name,
        "tool": root.findtext("ReportVersion/Version") or "",
        "part": (need("UserAssignments/Part").text or "").strip(),
        "clock_ns": {"target": target, "estimated": found},
        "latency_cycles": {
            "best": number(f"{latency}/Best-caseLatency"),
            "worst": number(f"{latency}/Worst-caseLatency"),
        },
        "interval_cycles": {"best": number(f"{latency}/Interval-min"), "worst": number(f"{latency}/Interval-max")},
        "loops": loops,
        "resources": figures(used),
        "available": figures(available),
    }


def add_csynth(folder: Path, path: Path) -> str:
    """Put csynth.xml into report.json, and tell what exceeds the part by its count, "" for nothing.

    That is a remark and no more: the count is not Vivado's (`CSYNTH_LUT`).

    Raises:
        ReportError: as `csynth`.
    """
    found = csynth(path)
    used, available = found["resources"], found["available"]
    over = [f"{used[key]:g} {key} of {available[key]:g}" for key in used if used[key] > available[key]]
    remark = ""
    if over:
        remark = f"{path.name} counts {', '.join(over)} on {found['part']}, an estimate: Vivado decides"
    if used["lut"] > available["lut"]:
        least, most = CSYNTH_LUT
        remark += (
            f"; its LUTs are {least:g} to {most:g} or more times fewer in published binary networks, here "
            f"{used['lut'] / least:.0f} to {used['lut'] / most:.0f}"
        )
    if remark:
        found["remark"] = remark
    update(folder, found, "hls", "synthesis")
    return remark


_SITES = {
    "lut": ("Slice LUTs", "CLB LUTs"),
    "ff": ("Slice Registers", "CLB Registers", "Register as Flip Flop"),
    "bram36": ("Block RAM Tile",),
    "dsp": ("DSPs",),
}


def utilization(path: Path) -> dict[str, Any]:
    """What `report_utilization` says: used and available LUTs, flip-flops, BRAM36 and DSPs.

    Raises:
        ReportError: the file is missing or a row is.
    """
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror}") from error
    columns: list[str] = []
    rows: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        if not line.startswith("|"):
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if cells[0] == "Site Type":
            columns = cells
        elif columns and len(cells) == len(columns):
            rows.setdefault(cells[0].rstrip("*"), dict(zip(columns, cells, strict=True)))
    used, available = {}, {}
    for key, names in _SITES.items():
        row = next((rows[name] for name in names if name in rows), None)
        if row is None or not {"Used", "Available"} <= set(row):
            raise ReportError(f"{path}: no row {names[0]}")
        used[key], available[key] = _value(row["Used"]), _value(row["Available"])
        if used[key] is None or available[key] is None:
            raise ReportError(f"{path}: {names[0]}: {row['Used']!r} of {row['Available']!r}")
    return {"used": used, "available": available}


def timing(path: Path) -> dict[str, Any]:
    """What the "Design Timing Summary" of `report_timing_summary` says: slack in ns, failing endpoints.

    Raises:
        ReportError: the file is missing or has no such table.
    """
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror}") from error
    for index, line in enumerate(lines):
        names = re.split(r"\s{2,}", line.strip())
        if names[:2] == ["WNS(ns)", "TNS(ns)"] and index + 2 < len(lines):
            values = dict(zip(names, lines[index + 2].split(), strict=False))
            found = {name: _value(values.get(name)) for name in ("WNS(ns)", "TNS(ns)", "WHS(ns)", "THS(ns)")}
            if not values or any(not isinstance(value, int | float) for value in found.values()):
                raise ReportError(f"{path}: Design Timing Summary: {lines[index + 2].strip() or 'no figures'}")
            result: dict[str, Any] = {
                "wns_ns": found["WNS(ns)"],
                "tns_ns": found["TNS(ns)"],
                "whs_ns": found["WHS(ns)"],
                "ths_ns": found["THS(ns)"],
            }
            result["failing_endpoints"] = _value(values.get("TNS Failing Endpoints"))
            result["met"] = found["WNS(ns)"] >= 0 and found["WHS(ns)"] >= 0
            return result
    raise ReportError(f"{path}: no Design Timing Summary")


def handoff_clock(path: Path, parameter: str) -> float:
    """The clock of the core in MHz that a `.hwh` states.

    Args:
        path: the `.hwh`.
        parameter: of the processing system, `hls.boards.ProcessingSystem.actual`.

    Raises:
        ReportError: the file is missing, no XML, or does not state it.
    """
    try:
        root = ElementTree.fromstring(path.read_text())
    except (OSError, UnicodeDecodeError, ElementTree.ParseError) as error:
        raise ReportError(f"{path}: {error}") from error
    values = [item.get("VALUE") for item in root.iter("PARAMETER") if item.get("NAME") == parameter]
    clock = _value(values[0]) if values else None
    if not isinstance(clock, int | float) or clock <= 0:
        raise ReportError(f"{path}: {parameter} is {values[0] if values else 'not there'}, expected MHz")
    return float(clock)


def add_attempts(folder: Path, attempts: list[dict[str, Any]]) -> None:
    """Put what was tried without success into report.json."""
    update(folder, {"source": "Vivado", "attempts": attempts}, "implementation")


def add_implementation(
    folder: Path,
    reports: Path,
    chosen: dict[str, Any],
    attempts: list[dict[str, Any]],
    cycles_per_image: float | None = None,
) -> None:
    """Put the bitstream's attempt, and utilization.txt and timing.txt of `reports`, into report.json.

    Raises:
        ReportError: a report is not understood.
    """
    content = {
        "source": "Vivado",
        **{key: chosen[key] for key in ("strategy", "divider", "clock_mhz")},
        **utilization(reports / "utilization.txt"),
        "timing": timing(reports / "timing.txt"),
    }
    if cycles_per_image:
        content["images_per_second"] = {
            "value": round(chosen["clock_mhz"] * 1e6 / cycles_per_image),
            "note": "estimated cycles at this clock",
        }
    update(folder, {**content, "attempts": attempts}, "implementation")
