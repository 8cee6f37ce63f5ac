"""`bnn report --design NAME -o DIR`: synthesise the RTL core with yosys and report what it takes."""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bnn.command import Command
from bnn.files import write_atomically
from bnn.output import result
from hls import designs, hls_report, shell, sources, yosys
from hls.boards import Board
from hls.options import add_first_layer, add_folder, first_layer, folder_of
from hls.resources import Resources
from hls.rtl_report import cells, netlist, synth, wires
from hls.rtl_report.synth import Memory

ARRAY = "bnn_array"
TILE = "bnn_tile"
FORMAT = 2
RANKED = 10
"""Length of the lists of paths and of fan-out."""
DEEP = 16
"""Words from which an array of any style must not become registers."""
DELAYS = {
    "note": "typical of speed grade -1; an estimate before placement, by a model fitted to routed blocks",
    "lut_ns": cells.LUT_NS,
    "net_ns": wires.FIT._asdict(),
    "uncertainty_ns": wires.UNCERTAINTY_NS,
    "level_ns": cells.LEVEL_NS,
    "clock_to_q_ns": cells.CLOCK_TO_Q_NS,
    "setup_ns": cells.SETUP_NS,
    "carry4_ns": cells.CARRY_NS,
    "mux_ns": cells.MUX_NS,
    "lutram_ns": cells.LUTRAM_NS,
    "bram_ns": cells.BRAM_NS,
    "dsp_ns": cells.DSP_NS,
}


def failed(memory: Memory) -> bool:
    """Whether a memory is not what it is meant to be: block or LUT RAM as its ram_style says."""
    if memory.became == "removed" or memory.style in ("registers", "logic"):
        return False
    if memory.became == "registers":
        return bool(memory.style) or memory.words >= DEEP
    return memory.became != {"block": "block RAM", "ultra": "block RAM", "distributed": "LUT RAM"}.get(
        memory.style, memory.became
    )


def analyse(
    results: dict[str, synth.Netlist],
    top: str,
    board: Board,
    macs: int,
    clock_mhz: float,
    ranked: int = RANKED,
    full: float | None = None,
) -> dict[str, Any]:
    """The report of synthesised modules.

    Args:
        results: by module name, `top` and all below it.
        macs: multiplications that the array does in a cycle.
        clock_mhz: clock that paths are held to.
        ranked: entries of each list of worst ones.
        full: share of the board's LUTs that is taken, for the delay of nets; what these modules take without it.

    Raises:
        netlist.NetlistError, cells.CellError: the netlist is not understood.
    """
    text = {name: data for part in results.values() for name, data in part.modules.items()}
    modules = netlist.read({"modules": text})
    total = netlist.total(modules, top)
    full = min(total.lut / board.lut, 1.0) if full is None else full
    placed = netlist.Design(modules, top, full)
    instances = Counter(name for _, name, _ in placed.instances)
    example = {name: path for path, name, _ in reversed(placed.instances)}
    rows: dict[str, Any] = {}
    for name, numbers in placed.module_cells().items():
        by_level = placed.longest_through(numbers)
        by_ns = placed.longest_through(numbers, levels=False)
        rows[name] = {
            "instances": instances[name],
            "example": example[name],
            "own": _figures(modules[name].own),
            "total": _figures(netlist.total(modules, name)),
            "levels": by_level.levels if by_level else 0,
            "ns": by_ns.ns if by_ns else 0,
            "path": by_level._asdict() if by_level else None,
            "slowest": by_ns._asdict() if by_ns else None,
        }
    memories = [
        {
            "module": name,
            "instances": instances[name],
            "name": memory.name,
            "words": memory.words,
            "bits": memory.bits,
            "style": memory.style,
            "became": memory.became,
            "failed": failed(memory),
        }
        for name, part in results.items()
        for memory in part.memories
        if memory.style or memory.words >= DEEP or memory.became in ("block RAM", "LUT RAM")
    ]
    array = [name for name in modules if name.split(".")[0] == ARRAY and instances[name]]
    luts = sum(netlist.total(modules, name).lut * instances[name] for name in array)
    worst = placed.paths(ranked)
    slowest = placed.paths(ranked, levels=False)
    fanout = placed.fanout(ranked)
    allowed_ns = 1000 / clock_mhz - wires.UNCERTAINTY_NS
    max_ns = slowest[0].ns if slowest else 0.0
    return {
        "format": FORMAT,
        "total": _figures(total),
        "available": {key: getattr(board, key) for key in _figures(total)},
        "percent": {key: round(100 * value / getattr(board, key), 1) for key, value in _figures(total).items()},
        "array_lut_per_mac": round(luts / macs, 3) if array else None,
        "tile_nets": placed.crossing(TILE),
        "max_logic_levels": worst[0].levels if worst else 0,
        "full": round(full, 3),
        "max_ns": max_ns,
        "clock_mhz": clock_mhz,
        "slack_ns": round(allowed_ns - max_ns, 2),
        "failing_ends": placed.slower(allowed_ns),
        "max_fanout": fanout[0].loads if fanout else 0,
        "max_fanout_net": fanout[0].name if fanout else "",
        "modules": rows,
        "memories": memories,
        "paths": [path._asdict() for path in worst],
        "slowest": [path._asdict() for path in slowest],
        "fanout": [item._asdict() for item in fanout],
        "fanout_logic": [item._asdict() for item in placed.fanout(ranked, (cells.LUT, cells.MUX, cells.CARRY))],
        "fanout_control": [item._asdict() for item in placed.fanout(ranked, control=True)],
        "delays": DELAYS,
    }


def _figures(found: Resources) -> dict[str, float]:
    return {"lut": found.lut, "ff": found.ff, "bram36": found.bram36, "dsp": found.dsp}


def table(report: dict[str, Any]) -> str:
    """The report as text."""
    lines = [
        f"{'module':24} {'inst':>5} {'LUT':>7} {'FF':>7} {'BRAM36':>7} {'DSP':>4} "
        f"{'all LUT':>8} {'levels':>7} {'ns':>6}"
    ]
    rows = report["modules"].items()
    for name, row in sorted(rows, key=lambda item: -item[1]["total"]["lut"] * item[1]["instances"]):
        own, whole = row["own"], row["total"]
        lines.append(
            f"{name:24} {row['instances']:5} {own['lut']:7} {own['ff']:7} {own['bram36']:7g} {own['dsp']:4} "
            f"{whole['lut'] * row['instances']:8} {row['levels']:7g} {row['ns']:6.2f}"
        )
    lines.append("  LUT, FF, BRAM36, DSP: one instance without its children; all LUT: all instances with theirs;")
    near, far = (wires.net_ns(loads, report["full"]) for loads in (4, 64))
    lines.append(
        "  levels, ns: longest path through one of its cells, also from and to other modules; not placed: estimated"
    )
    lines.append(
        f"  by a model fitted to routed blocks, a net of 4 loads {near:.2f} ns, of 64 {far:.2f}, on a part of which "
        f"{report['full']:.0%} is taken"
    )
    lines.append("")
    lines.append(f"{'memory':40} {'count':>5} {'words x bits':>14}  {'asked for':12} became")
    alike: Counter[tuple] = Counter()
    for item in report["memories"]:
        name = re.sub(r"\[\d+\]", "[*]", f"{item['module']}.{item['name']}")
        shape = f"{item['words']} x {item['bits']}"
        mark = "  <-- not as meant" if item["failed"] else ""
        alike[name, shape, item["style"] or "-", item["became"] + mark] += item["instances"]
    for (name, shape, style, became), count in alike.items():
        lines.append(f"{name:40} {count:5} {shape:>14}  {style:12} {became}")
    for title, key in (("longest paths, by levels", "paths"), ("longest paths, by ns", "slowest")):
        lines.append("")
        lines.append(f"{title}: levels, ns = logic + wire")
        for path in report[key]:
            loads = ", ".join(map(str, path["loads"]))
            lines.append(
                f"{path['levels']:7g} {path['ns']:6.2f} = {path['logic_ns']:.2f} + {path['wire_ns']:.2f}  "
                f"{path['start']} -> {path['end']}  [{path['cells']}; loads {loads}]"
            )
    for title, key, pins in (
        ("loads of outputs, all but clocks", "fanout", "loads"),
        ("loads of logic, all but clocks", "fanout_logic", "loads"),
        ("enable, reset and write pins", "fanout_control", "control"),
    ):
        lines.append("")
        lines.append(f"{title}:")
        lines.extend(f"{item[pins]:7}  {item['name']} ({item['kind']})" for item in report[key][:5])
    lines.append("")
    total, percent = report["total"], report["percent"]
    for key, label in (("lut", "LUT"), ("ff", "FF"), ("bram36", "BRAM36"), ("dsp", "DSP")):
        lines.append(f"{label:24} {total[key]:9g}  {percent[key]:5.1f} % of {report['board']}")
    if "around" in report:
        around = report["around"]
        for key, label in (("lut", "LUT"), ("ff", "FF")):
            lines.append(
                f"{f'{label} with what is around':24} {total[key] + around[key]:9g}  "
                f"{100 * (total[key] + around[key]) / report['available'][key]:5.1f} % of {report['board']}"
            )
        lines.append(
            f"  around the core: {around['lut']} LUT, {around['ff']} FF for SmartConnect and resets, an estimate"
        )
    if report["array_lut_per_mac"] is not None:
        lines.append(f"{'array LUT per MAC':24} {report['array_lut_per_mac']:9g}")
        lines.append(f"{'nets across tile borders':24} {report['tile_nets']:9g}")
    lines.append(f"{'logic levels at most':24} {report['max_logic_levels']:9g}")
    lines.append(f"{'longest path, estimated':24} {report['max_ns']:9.2f} ns")
    met = f"fails at {report['failing_ends']} ends of paths" if report["failing_ends"] else "met"
    clock = f"{report['clock_mhz']:g} MHz less {wires.UNCERTAINTY_NS} ns"
    lines.append(f"{'worst slack':24} {report['slack_ns']:9.2f} ns at {clock}: {met}")
    lines.append(f"{'fan-out at most':24} {report['max_fanout']:9g}  {report['max_fanout_net']}")
    return "\n".join(lines)


def _options(parser: argparse.ArgumentParser) -> None:
    designs.add_option(parser)
    add_folder(parser, "report.json")
    parser.add_argument("--module", help="this module and what it contains, out of the whole core")
    parser.add_argument("--alone", action="store_true", help="with --module: elaborate the module without the core")
    parser.add_argument(
        "-P",
        dest="values",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="value of a parameter of the core, or of the module with --alone",
    )
    add_first_layer(parser)
    parser.add_argument("--model", type=Path, help="of --first-layer wired")
    parser.add_argument("--rtl", type=Path, default=sources.RTL, help="folder of the SystemVerilog")
    parser.add_argument("--cache", type=Path, default=Path("build/synthesis"), help="folder for netlists")
    parser.add_argument("--jobs", type=int, default=synth.JOBS, help="runs of yosys at a time")
    parser.add_argument("--ranked", type=int, default=RANKED, help=f"entries of each list of worst ones ({RANKED})")
    parser.add_argument(
        "--clock", type=_positive, metavar="MHZ", help="clock that paths are held to (default the design's)"
    )
    parser.add_argument(
        "--full",
        type=_percent,
        metavar="PERCENT",
        help="how full the part is, for the delay of nets (default what is reported takes of it)",
    )


def _run(options: argparse.Namespace) -> None:
    began = time.monotonic()
    design = designs.find(options.design)
    files = sources.files(options.rtl)
    if not files:
        raise synth.SynthesisError(f"{options.rtl}: no SystemVerilog files")
    values = sources.parameters(design)
    folder = folder_of(options.output, design)
    wired = first_layer(options.first_layer, options.model, design)
    if wired:
        values["FirstWired"] = 1
    top = options.module if options.alone and options.module else sources.TOP
    if top != sources.TOP:
        values = _declared(sources.find(top, options.rtl), values)
    values.update(_values(options.values))
    with tempfile.TemporaryDirectory() as first:  # another report may have another model's
        for name, text in (wired["rtl"] if wired else {}).items():
            files.append(Path(first) / name)
            files[-1].write_text(text)
        modules = synth.elaborate(files, top, values, options.cache)
    print(f"report: {len(modules)} modules after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    chosen = options.module or sources.TOP
    modules = synth.below(modules, chosen)
    results = synth.synthesise(
        modules, options.cache, options.jobs, lambda line: print(f"report: {line}", file=sys.stderr, flush=True)
    )
    macs = values.get("Pe", design.pe) * values.get("Simd", design.simd) * values.get("Lanes", design.lanes)
    clock = options.clock or design.clock_mhz
    report = analyse(results, chosen, design.board, macs, clock, options.ranked, options.full)
    report.update(design=design.name, board=design.board.name, top=chosen, parameters=values, yosys=yosys.version())
    name = "report.json" if chosen == sources.TOP else f"report_{chosen}.json"
    target = folder / name
    report.update(hls_report.sections(target))
    if chosen == sources.TOP:
        report["around"] = shell.summary(design)
    write_atomically(target, (json.dumps(report, indent=1) + "\n").encode())
    result(table(report), report=report)
    print(f"report: wrote {target} after {time.monotonic() - began:.0f} s", file=sys.stderr)
    wrong = [
        f"{item['module']}.{item['name']} ({item['words']} x {item['bits']}, {item['style'] or 'any'}) "
        f"became {item['became']}"
        for item in report["memories"]
        if item["failed"]
    ]
    if wrong:
        raise synth.SynthesisError(f"memory {', '.join(wrong)}")


main = Command("report", _options, _run, "--design pynq_z1 --module bnn_engine")


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: expected a number above 0")
    return value


def _percent(text: str) -> float:
    """A percentage as a share."""
    value = float(text)
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text}: expected 0 to 100")
    return value / 100


def _values(texts: list[str]) -> dict[str, int]:
    values = {}
    for text in texts:
        match = re.fullmatch(r"(\w+)=(\d+)", text)
        if match is None:
            raise synth.SynthesisError(f"parameter {text!r}: expected NAME=NUMBER")
        values[match.group(1)] = int(match.group(2))
    return values


def _declared(path: Path, values: dict[str, int]) -> dict[str, int]:
    """Those of the values that the module in a file declares as parameters."""
    if not path.is_file():
        raise synth.SynthesisError(f"module {path.stem}: no file {path}")
    names = re.findall(r"^\s*parameter\s+(?:int\s+unsigned\s+)?(\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: value for name, value in values.items() if name in names}


if __name__ == "__main__":
    sys.exit(main())
