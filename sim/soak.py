"""`bnn soak`: random networks through golden model, HLS core and RTL core, until some hundred agree.

A seed is one network, on one of two designs that are built once: of version 2, with planes, bases, values and shortcuts
by chance, or every so often of dense layers whose weights stay in part, in front of a ring of the others'. Both cores
must give every bit and value of every layer and every score; the RTL core behind a memory that stalls, before and
after a run in which an access of the bus fails, which must end with error 4. What is done is kept for the commit, so
that a campaign can go on; a seed that fails is told with the command that runs it again.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import subprocess
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from bnn import golden
from bnn.cluster import add_options, spread
from bnn.command import FAILED, Command, positive
from bnn.contract import Error, Header
from bnn.errors import ExpectedError, line
from bnn.files import write_atomically
from bnn.geometry import Spec, ceil_div
from bnn.layers import FEATURES, Model
from bnn.output import each, note, progress, result
from bnn.paths import BUILD
from bnn.random_models import edge_model, random_graph
from hls.designs import DESIGNS, Design, DesignError
from hls.program import pack
from hls.schedule import Plan, plan
from sim import hls_csim, rtl_sim
from sim.compare import by_name, differences, written
from sim.rtl_sim import Job, Memory

ROOT = Path(__file__).resolve().parent.parent
NETWORKS = 500
SAVED = 10
"""Networks after which the record is written."""
DENSE = 5
"""Of so many seeds, one after the other, the first is a network of dense layers."""
SMALL = DESIGNS["sim_small"]
TIGHT = replace(SMALL, act_depth=512, weight_depth=128)
"""Weights stream, and sub-batches are of a few images."""
BUILDS: Dict[str, Tuple[Design, List[str]]] = {"small": (SMALL, []), "tight": (TIGHT, ["-DBNN_CSIM_STALL=200"])}
"""Designs, and flags of their C simulations: in the second one data come late."""


class Case(NamedTuple):
    """What a seed stands for: the build, the network planned for it, its images and the memory behind the RTL core."""

    build: str
    placed: Plan
    images: np.ndarray
    memory: Memory


def drawn(seed: int) -> Optional[Case]:
    """The case of a seed; None where the design does not take its network."""
    dense, rng = seed % DENSE == 1, np.random.default_rng(seed)
    allowed = FEATURES if rng.random() < 0.5 else {name for name in FEATURES if rng.random() < 0.5}
    build = list(BUILDS)[int(rng.integers(len(BUILDS)))]
    design, _ = BUILDS[build]
    try:
        if dense:
            placed = plan(_dense(seed, rng, design), design, design.lanes * int(rng.integers(1, 7)))
        else:
            placed = plan(random_graph(seed, allowed), design, int(rng.integers(1, 7)))
    except DesignError:
        return None
    model, count = placed.model, int(rng.integers(1, 2 * placed.batch + 2 if dense else 8))
    images = rng.integers(0, 256, (count, model.height, model.width, model.channels), dtype=np.uint8)
    head = Header.read(pack(placed))
    region, size = [
        ("program", Header.size_bytes()),
        ("images", count * head.image_bytes),
        ("scores", max(8, 4 * count * head.classes - 8)),
    ][int(rng.integers(3))]
    stall = (0.0, 0.1, 0.3, 0.6)[int(rng.integers(4))]
    error = 1, region, int(rng.integers(size // 8)) * 8, 8  # of the second run of three
    return Case(build, placed, images, Memory(stall=stall, seed=seed, error=error))


def _dense(seed: int, rng: np.random.Generator, design: Design) -> Model:
    """A network of dense layers that takes about once or twice the design's weight memory."""
    height, width, channels = (int(rng.integers(low, high)) for low, high in ((4, 13), (4, 13), (1, 5)))
    outputs: List[int] = []
    inputs, words = height * width * channels, 0
    wanted, most = design.weight_depth * rng.uniform(1.0, 1.6), 512 if design.weight_depth > 256 else 160
    while words < wanted and len(outputs) < design.max_layers - 1:
        outputs.append(int(rng.integers(8, most)))
        words += ceil_div(outputs[-1], design.pe) * (1 + ceil_div(inputs, design.simd))
        inputs = outputs[-1]
    outputs.append(int(rng.integers(2, 17)))
    specs = [Spec(f"dense{number}", "dense", count) for number, count in enumerate(outputs)]
    return edge_model(seed, (height, width, channels), specs, binary=True)


class Campaign:
    """A job: the case of a seed on both cores; gives the seed and what is wrong, nothing where all is right.

    Args:
        folder: of the builds.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, seed: int) -> Tuple[int, List[str]]:
        case = drawn(seed)
        assert case is not None
        return seed, self.run(case)

    def run(self, case: Case) -> List[str]:
        """What is wrong with a case."""
        code, (design, flags) = pack(case.placed), BUILDS[case.build]
        expected = golden.trace(case.placed.model, case.images)
        found: List[str] = []
        try:
            scores, traces = csim(design, self._folder / "hls", tuple(flags)).run(code, case.images)
            found += [f"HLS: {text}" for text in faults(case, expected, scores, traces)]
        except ExpectedError as error:
            found.append(f"HLS: {line(error)}")
        try:
            runs = rtl(design, self._folder / "rtl").sequence([Job(code, case.images)] * 3, memory=case.memory)
        except ExpectedError as error:
            return [*found, f"RTL: {line(error)}"]
        for number, (run, code_wanted) in enumerate(zip(runs, (Error.NONE, Error.RESPONSE, Error.NONE))):
            if run.stats.error != code_wanted:
                found.append(f"RTL: run {number} ended with error {run.stats.error}, expected {int(code_wanted)}")
            elif not run.stats.error:
                found += [f"RTL: {text}" for text in faults(case, expected, run.scores, run.traces)]
        return found


@lru_cache(maxsize=None)
def csim(design: Design, folder: Path, flags: Tuple[str, ...]) -> hls_csim.HlsSimulation:
    """The C simulation of a design, looked for once a process."""
    return hls_csim.build(design, folder, flags=flags)


@lru_cache(maxsize=None)
def rtl(design: Design, folder: Path) -> rtl_sim.RtlSimulation:
    """The RTL simulation of a design, likewise."""
    return rtl_sim.build(design, folder)


def faults(case: Case, expected: Dict[str, np.ndarray], scores: np.ndarray, traces: Any) -> List[str]:
    """Where a run's bits, values and scores are not the golden network's."""
    found = differences(written(case.placed, expected), by_name(case.placed, traces))
    same = np.array_equal(scores, expected[case.placed.model.layers[-1].name])
    return found if same else [*found, "scores differ"]


def commit() -> str:
    """The commit of these sources, "unknown" without git, with a + where files are changed."""
    call = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=9", "--exclude=*", "--dirty=+"]
    try:
        done = subprocess.run(call, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


class Record:
    """What a campaign has done so far, in a file: for every seed what is wrong, or None where it is not run."""

    def __init__(self, path: Path) -> None:
        self.path, self.commit = path, commit()
        self.seeds: Dict[int, Optional[List[str]]] = {}
        try:
            content = json.loads(path.read_text())
            if content["commit"] == self.commit:
                self.seeds = {int(seed): found for seed, found in content["seeds"].items()}
            else:
                note(f"{path}: is of commit {content['commit']}, starts anew")
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ExpectedError(f"{path}: is no record of a campaign ({line(error)})") from None

    def save(self) -> None:
        """Write the file."""
        content = {"commit": self.commit, "date": str(datetime.date.today()), "seeds": self.seeds}
        write_atomically(self.path, (json.dumps(content, indent=1) + "\n").encode())

    @property
    def ran(self) -> int:
        """How many seeds were run."""
        return sum(found is not None for found in self.seeds.values())

    @property
    def failed(self) -> List[int]:
        """Seeds of which something is wrong."""
        return sorted(seed for seed, found in self.seeds.items() if found)


def seeds(record: Record, count: int) -> Iterator[int]:
    """The next `count` seeds that have a plan; those without are noted."""
    for seed in itertools.count(1):
        if not count:
            return
        if seed in record.seeds:
            continue
        if drawn(seed) is None:
            record.seeds[seed] = None
            continue
        count -= 1
        yield seed


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--networks", type=positive, help=f"networks of this part (default: what is missing to {NETWORKS})"
    )
    parser.add_argument("--seed", type=int, help="run this one alone, and keep nothing")
    add_options(parser)
    parser.add_argument("-o", "--output", type=Path, default=BUILD / "soak", help="folder of builds and of soak.json")


def _run(options: argparse.Namespace) -> int:
    campaign = Campaign(options.output)
    if options.seed is not None:
        if drawn(options.seed) is None:
            raise ExpectedError(f"seed {options.seed}: the design does not take its network")
        _, found = campaign(options.seed)
        result("\n".join(found) or f"seed {options.seed}: both cores agree with the golden model", faults=found)
        return FAILED if found else 0
    record = Record(options.output / "soak.json")
    count = options.networks or max(0, NETWORKS - record.ran)
    try:
        with spread(options.cluster) as each_of:
            for seed, found in progress(each_of(campaign, seeds(record, count)), "soak", count):
                record.seeds[seed] = found
                for text in found:
                    each("faults", f"seed {seed}: {text}; again: bnn soak --seed {seed}", {"seed": seed, "what": text})
                if record.ran % SAVED == 0:
                    record.save()
    finally:
        record.save()
    wrong = record.failed
    result(
        f"{record.ran} networks, {len(wrong)} of which differ{': seeds ' if wrong else ''}"
        f"{', '.join(map(str, wrong))}; {datetime.date.today()}, commit {record.commit}",
        networks=record.ran,
        failed=wrong,
        commit=record.commit,
    )
    return FAILED if wrong else 0


main = Command("soak", _options, _run, "--networks 20")


if __name__ == "__main__":
    sys.exit(main())
