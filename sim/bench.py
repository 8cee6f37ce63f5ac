"""`bnn bench`: whole networks through the Verilated core, in cycles, against published figures.

Every number is cycles that the simulation counted from start to done, at the design's clock: "simulated cycles x
clock", not a measurement on a board. The memory answers after 40 cycles with at most 1.0 GB/s through a port
(--bandwidth), 2.1 GB/s through two. Networks without a shipped model get random weights and thresholds. Where a
program stays in the core, it is run twice, and the second run counts: it reads images only.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from bnn import golden
from bnn.command import Command
from bnn.contract import MAX_BATCH
from bnn.errors import ExpectedError
from bnn.files import write_atomically
from bnn.geometry import total_macs, walk
from bnn.images import read_array
from bnn.model import Model, load
from bnn.networks import Network, NetworkError
from bnn.networks import network as find_network
from bnn.output import note, progress, result
from bnn.paths import BUILD
from bnn.random_models import random_model, with_planes
from hls import designs, program, schedule
from hls.designs import Design
from sim import rtl_sim
from sim.compare import by_name, differences, written

ROOT = Path(__file__).resolve().parent.parent
MEMORY = rtl_sim.Memory()
TRACED = 4
"""Images whose layers are compared bit by bit; the scores of all images are."""

CAUSES = {
    "weights": "weights",
    "first_layer": "first layer",
    "write_back": "write-back",
    "scores": "scores",
    "switching": "switching",
    "program": "program",
}
"""Heading of every cause in `sim.core_io.Stats.waits`."""


class BenchError(ExpectedError):
    """A case cannot be measured; one line says why."""


@dataclass(frozen=True)
class Case:
    """A network at a batch size, and what was published."""

    network: str
    batch: int
    anchor: str = ""
    title: str = ""
    """Of a network with more planes or bases than the table has; "": the network's"""
    planes: int = 1
    bases: int = 1
    coefficients: bool = False
    """Whether passes have coefficients of their own."""
    shipped: str = ""
    """The shipped model of these planes and bases; "": none is shipped, or the network is the table's"""
    most: int = 0
    """Cycles per image that it may take; 0: none are set"""

    @property
    def name(self) -> str:
        """What rows and `--only` call it."""
        return self.title or self.network

    def model(self, folder: Path) -> Tuple[Model, str]:
        """The model, shipped in `folder` or with random weights, and which of both, as `find`."""
        network = find_network(self.network)
        path = folder / f"{self.shipped}.npz"
        if self.shipped and path.is_file():
            return load(path), "trained"
        if (self.planes, self.bases) == (1, 1):
            return find(network, folder)
        return with_planes(random_model(network), self.planes, self.bases, self.coefficients), "random"


CASES = (
    Case("BinaryNet", 32, "Zhao et al., FPGA'17: 168 images/s", most=44500),
    Case("BinaryNet", 16, "Zhao et al., FPGA'17: 168 images/s"),
    Case("BinaryNet", 1, "Zhao et al., FPGA'17: 5.94 ms"),
    Case("VGG-small", 16),
    Case("CNV", 16, "BNN-PYNQ: 3,050 images/s at 100 MHz", most=5000),
    Case("CNV", 1, "FINN CNV: 1.51 ms; an INT8 ResNet-8: 0.41 ms"),
    Case("LFC", 256, most=250),
    Case("CNV", 16, title="CNV-W1A2", planes=2, most=13500, shipped="cnv_w1a2"),
    Case("CNV", 16, title="CNV-W2A2", planes=2, bases=2, most=24000),
    Case("bireal", 16, title="Bi-Real", most=14000),
    Case("bireal_cnv", 16, title="Bi-Real-W1A2", planes=2, most=20000, shipped="bireal_w1a2"),
    Case("CNV", 16, title="CNV-ABC", planes=3, bases=3, coefficients=True, most=60000, shipped="cnv_abc"),
)


def find(network: Network, folder: Path) -> Tuple[Model, str]:
    """The network's shipped model, or one with random weights, and which of both.

    Raises:
        bnn.model.ModelError: the shipped model cannot be read.
    """
    path = folder / f"{network.name}.npz"
    return (load(path), "trained") if path.is_file() else (random_model(network), "random")


def pictures(network: Network, folder: Path, count: int) -> Tuple[np.ndarray, str]:
    """`count` real images, repeated where there are fewer, and their name; noise where there are none."""
    path = folder / f"{network.dataset}_sample.npz"
    if not path.is_file():
        size = (network.height, network.width, network.channels)
        return np.random.default_rng(1).integers(0, 256, (count, *size), np.uint8), "random"
    x = read_array(path)[0]
    return x[np.arange(count) % len(x)], path.name


def measure(
    core: rtl_sim.RtlSimulation,
    case: Case,
    folder: Path,
    traced: int = TRACED,
    model: Optional[Model] = None,
    memory: rtl_sim.Memory = MEMORY,
) -> Dict[str, Any]:
    """Run one case and give its record.

    Args:
        core: a built simulation.
        case: network and batch.
        folder: where shipped models and images are.
        traced: images whose layers are compared, at most.
        model: instead of the shipped one.
        memory: the memory's speed.

    Raises:
        rtl_sim.RtlSimError, designs.DesignError, bnn.model.ModelError, OSError.
    """
    started = time.time()
    network, design = find_network(case.network), core.design
    found, weights = (model, "random") if model is not None else case.model(folder)
    images, source = pictures(network, folder, case.batch)
    placed = schedule.plan(found, design, case.batch)
    content = program.pack(placed)
    jobs = [rtl_sim.Job(content, images)]
    if placed.resident:
        jobs.append(rtl_sim.Job(content, images, keep=True))
    run = core.sequence(jobs, trace=True, memory=memory)[-1]
    stats = run.stats
    if stats.error or not stats.cycles:
        raise rtl_sim.RtlSimError(f"{case.name}, batch {case.batch}: error code {stats.error}")
    count = min(traced, case.batch)
    expected = written(placed, golden.trace(found, images[:count]))
    got = {name: bits[:count] for name, bits in by_name(placed, run.traces).items()}
    wrong = differences(expected, got)
    bad = int((run.scores != golden.infer(found, images)).any(axis=1).sum())
    if bad:
        wrong.append(f"scores: {bad} of {case.batch} images differ")
    for line in wrong:
        print(f"bench: {case.name}, batch {case.batch}: {line}", file=sys.stderr)
    counts = walk(found)
    on_array = sum(item.macs * item.passes for item in (counts[1:] if placed.first.channels else counts))
    cycles, clock = stats.cycles, design.clock_mhz * 1e6
    return {
        "network": case.name,
        "design": design.name,
        "batch": case.batch,
        "clock_mhz": design.clock_mhz,
        "ports": design.ports,
        "gb_per_s": memory.bandwidth / 1e9,
        "cycles_per_image": round(cycles / case.batch, 1),
        "images_per_s": round(clock * case.batch / cycles, 1),
        "latency_ms": round(1000 * cycles / clock, 4),
        "macs_per_image": total_macs(counts),
        "array_utilisation": round(on_array * case.batch / (cycles * design.pe * design.simd * design.lanes), 4),
        "bit_exact": not wrong,
        "measured": "verilator",
        "weights": weights,
        "images": source,
        "keep": placed.resident,
        "images_compared_by_layer": count,
        "sub_batch": placed.sub_batch,
        "planned_batch": placed.batch,
        "cycles": cycles,
        "array_busy_cycles": stats.busy,
        "predicted_cycles": placed.run_cycles(case.batch, placed.resident, memory),
        "waits": stats.waits,
        "simulation_s": round(time.time() - started, 1),
    }


def tables(records: Sequence[Dict[str, Any]]) -> str:
    """The records as two tables in Markdown: figures beside targets and anchors, and where the cycles went."""
    wanted = {(case.name, case.batch): case for case in CASES}
    first = records[0]
    ports = f"{first['ports']} x " if first["ports"] > 1 else ""
    lines = [
        f"Simulated cycles x clock: {first['design']} under Verilator at {first['clock_mhz']:g} MHz, memory of "
        f"{ports}64 bit, {MEMORY.latency} cycles latency, {ports}{first['gb_per_s']:.1f} GB/s.",
        "",
        "| network, batch | cycles/image | predicted | images/s | start to done | array used | bit-exact | published |",
        "|---|--:|--:|--:|--:|--:|---|---|",
    ]
    for item in records:
        case = wanted.get((item["network"], item["batch"]))
        notes = [
            text
            for text, said in (("random weights", item["weights"] == "random"), ("program kept", item["keep"]))
            if said
        ]
        name = f"{item['network']}, {item['batch']}" + (f" ({', '.join(notes)})" if notes else "")
        lines.append(
            f"| {name} | {item['cycles_per_image']:,.0f} | {item['predicted_cycles'] / item['batch']:,.0f} | "
            f"{item['images_per_s']:,.0f} | {item['latency_ms']:.3f} ms | {item['array_utilisation']:.0%} | "
            f"{'yes' if item['bit_exact'] else 'NO'} | {case.anchor if case else ''} |"
        )
    known = [item for item in records if item["waits"]]
    if known:
        lines += [
            "",
            "Share of the cycles:",
            "",
            "| network, batch | multiplying | " + " | ".join(CAUSES.values()) + " |",
            "|---|--:|" + "--:|" * len(CAUSES),
        ]
    for item in known:
        parts = [item["array_busy_cycles"], *(item["waits"][cause] for cause in CAUSES)]
        cells = " | ".join(f"{part / item['cycles']:.1%}" for part in parts)
        lines.append(f"| {item['network']}, {item['batch']} | {cells} |")
    return "\n".join(lines) + "\n"


def _options(parser: argparse.ArgumentParser) -> None:
    designs.add_option(parser)
    parser.add_argument("--only", action="append", metavar="NETWORK:BATCH", help="this case; more than once if wanted")
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="folder of models and images")
    parser.add_argument("--traced", type=int, default=TRACED, help="images whose layers are compared, at most")
    parser.add_argument(
        "--bandwidth",
        type=float,
        default=MEMORY.bandwidth / 1e9,
        metavar="GB/S",
        help=f"of a port of the memory (default {MEMORY.bandwidth / 1e9:.1f})",
    )
    parser.add_argument("--core", type=Path, help="a built bnn_sim of the design, instead of building one")
    parser.add_argument("-o", "--output", type=Path, default=BUILD / "bench.json")


def _run(options: argparse.Namespace) -> int:
    design = designs.find(options.design)
    cases = chosen(options.only)
    if options.traced < 1:
        raise BenchError(f"--traced {options.traced}: is not positive")
    if not options.bandwidth > 0:
        raise BenchError(f"--bandwidth {options.bandwidth:g}: is not positive")
    memory = replace(MEMORY, bandwidth=options.bandwidth * 1e9)
    core = built(design, options.core)
    records = []
    for case in progress(cases, "bench"):
        records.append(measure(core, case, options.models, options.traced, memory=memory))
        item = records[-1]
        over = f", more than the {case.most:,} wanted" if 0 < case.most < item["cycles_per_image"] else ""
        note(
            f"bench: {case.name}, batch {case.batch}: {item['cycles_per_image']:,.0f} cycles/image{over}, "
            f"{'bit-exact' if item['bit_exact'] else 'NOT bit-exact'} [{item['simulation_s']} s]"
        )
        write_atomically(options.output, (json.dumps(records, indent=2) + "\n").encode())
    result(f"\n{tables(records)}".rstrip(), cases=records)
    return 0 if all(item["bit_exact"] for item in records) else 1


main = Command("bench", _options, _run, "--only CNV:16")


def chosen(only: Optional[Sequence[str]]) -> List[Case]:
    """The cases named NETWORK:BATCH, or all.

    Raises:
        BenchError: a name is not that of a network, or a batch not a positive number.
    """
    if not only:
        return list(CASES)
    result = []
    for text in only:
        name, _, batch = text.rpartition(":")
        if not batch.isdigit() or not 1 <= int(batch) <= MAX_BATCH:
            raise BenchError(f"--only {text}: is not NETWORK:BATCH with a batch of 1 to {MAX_BATCH}")
        titled = [case for case in CASES if case.title and case.title.lower() == name.lower()]
        if titled:
            result.append(replace(titled[0], batch=int(batch)))
            continue
        try:
            found = find_network(name)
        except NetworkError as error:
            raise BenchError(f"--only {text}: {error}") from None
        name = found.title or found.name
        known = [case for case in CASES if (case.name, case.batch) == (name, int(batch))]
        result += known or [Case(name, int(batch))]
    return result


def built(design: Design, binary: Optional[Path]) -> rtl_sim.RtlSimulation:
    """The simulation in `binary`, or one built now.

    Raises:
        rtl_sim.RtlSimError: it cannot be built.
    """
    if binary is not None:
        return rtl_sim.RtlSimulation(design, binary)
    started = time.time()
    note(f"bench: building {design.name}; a first build takes minutes")
    core = rtl_sim.build(design, BUILD / design.name / "rtl")
    note(f"bench: built in {time.time() - started:.0f} s")
    return core


if __name__ == "__main__":
    sys.exit(main())
