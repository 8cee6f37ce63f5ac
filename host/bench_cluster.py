"""`bnn bench-cluster MODEL`: images/s of 1, 2, ... workers, so that it shows how near to linear they come.

A worker is a process with the CPU engine in one thread. The numbers of workers take turns, as other work of the machine
then falls on all of them alike; told is the median over the rounds of the ratio within a round. Beside it stands what
the processors did for an image, which other work touches less: in the workers, and in this process, which shares the
images out and keeps the workers of all cores from being linear.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bnn import cpu
from bnn.cluster import LOCAL, cores
from bnn.command import Command, positive
from bnn.files import write_atomically
from bnn.model import load
from bnn.output import each, note, result

from .cluster import Spread, over_processors
from .errors import HostError

ROUNDS = 5
SECONDS = 5.0


class Pass(NamedTuple):
    """Images/s, and microseconds of the processors for an image: in the workers, and in this process."""

    images_per_s: float
    workers_us: float
    here_us: float


def measure(engine: Spread, part: np.ndarray, parts: int, wanted: np.ndarray) -> Pass:
    """A pass over `parts` times the same images.

    Raises:
        HostError: scores are not those that are wanted.
    """
    workers, here, began = engine.processor_seconds(), time.process_time(), time.perf_counter()
    for scores in engine.scores(itertools.repeat(part, parts)):
        if not np.array_equal(scores, wanted):
            raise HostError("scores of a worker differ from this process's")
    seconds, here, count = time.perf_counter() - began, time.process_time() - here, parts * len(part)
    return Pass(count / seconds, 1e6 * (engine.processor_seconds() - workers) / count, 1e6 * here / count)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="model.npz")
    parser.add_argument("--workers", type=positive, default=cores(), help="at most so many (default: one a core)")
    parser.add_argument("--rounds", type=positive, default=ROUNDS, help=f"passes of each number ({ROUNDS})")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"a pass of one worker, about ({SECONDS:g})")
    parser.add_argument("-o", "--output", type=Path, help="also write the figures as JSON")


def _run(options: argparse.Namespace) -> None:
    model = load(options.model)
    counts = sorted({1, *(2**power for power in range(1, options.workers.bit_length())), options.workers})
    counts = [count for count in counts if count <= options.workers]
    shape = (model.height, model.width, model.channels)
    rng = np.random.default_rng(1)
    engines: dict[int, Spread] = {}
    passes: dict[int, list[Pass]] = {count: [] for count in counts}
    try:
        for count in counts:
            engines[count] = over_processors(LOCAL, model, count)
        part = rng.integers(0, 256, (engines[1].item, *shape), dtype=np.uint8)
        wanted = cpu.infer(model, part)
        for engine in engines.values():
            measure(engine, part, 16, wanted)  # the workers make their engines
        speed = measure(engines[1], part, 16, wanted).images_per_s
        turns = int(np.lcm.reduce(counts))  # as many parts for every worker, so that none waits at the end
        parts = turns * max(4, round(speed * options.seconds / len(part) / turns))
        for number in range(options.rounds):
            for count in counts if number % 2 else counts[::-1]:
                passes[count].append(measure(engines[count], part, parts, wanted))
    finally:
        for engine in engines.values():
            engine.close()
    size = parts * len(part)
    found: dict[str, Any] = {"model": model.name, "images": size, "rounds": options.rounds, "workers": {}}
    for count in counts:
        speedup = statistics.median(many.images_per_s / one.images_per_s for many, one in zip(passes[count], passes[1]))
        middle = Pass(*(statistics.median(values) for values in zip(*passes[count])))
        bound = middle.workers_us / (middle.workers_us + middle.here_us)
        value = {**middle._asdict(), "speedup": speedup, "of_linear": speedup / count, "bound_of_linear": bound}
        found["workers"][count] = {**value, "passes": [item._asdict() for item in passes[count]]}
        text = (
            f"{count} workers: {middle.images_per_s:,.0f} images/s, {100 * speedup / count:.0f} % of linear; an image "
            f"takes {middle.workers_us:.1f} us in workers, {middle.here_us:.1f} us here: {100 * bound:.0f} % at best"
        )
        each("workers", text, {"workers": count, **value})
    note(f"measured: {model.name}, {size} images a pass, median of {options.rounds} rounds that take turns")
    if options.output:
        write_atomically(options.output, (json.dumps(found, indent=2) + "\n").encode())
        result(f"written: {options.output}", written=str(options.output))


main = Command("bench-cluster", _options, _run, "models/cnv.npz")


if __name__ == "__main__":
    sys.exit(main())
