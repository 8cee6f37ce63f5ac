"""`bnn bench-cpu`: networks on processors, the packed engine against the same networks in PyTorch and larq's engine.

All compute the same network, with random weights: float32 in PyTorch (signs as +-1), binary convolutions in
larq-compute-engine, whose scores are compared with the golden model's before anything is timed. The engines take
turns, round by round, and the median counts. One thread is timed by the processor time of its process, so that other
work on the machine does not count; several threads by the clock, ahead of other work where the system allows it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bnn import cpu, golden
from bnn.command import Command, positive
from bnn.errors import ExpectedError
from bnn.files import write_atomically
from bnn.geometry import total_macs, walk
from bnn.model import Model, save
from bnn.output import result
from bnn.paths import BUILD
from bnn.tables import marked
from train.comparable import affine, comparable

ROOT = Path(__file__).resolve().parent.parent
LARQ = BUILD / "larq"
"""A virtual environment of its own: tensorflow and this project's other packages need not agree."""
LARQ_PACKAGES = ("larq-compute-engine==0.16.0", "larq==0.13.3", "tensorflow==2.21.0", "tf_keras==2.21.0", "numpy<2")
NETWORKS = ("CNV", "BinaryNet")
BATCHES = (1, 64)
ENOUGH_S = 0.02
"""A round of an engine takes at least so long."""


class BenchError(ExpectedError):
    """Something cannot be measured, or engines disagree; one line says which."""


class Sign(nn.Module):
    """+-1 by the sign; what comes in is never 0."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return torch.sign(values)


def to_torch(model: Model) -> nn.Sequential:
    """The network in float32, convolution, pool, batch norm, sign; scores of pixels less 128 (N, C, H, W)."""
    steps: list[nn.Module] = []
    shapes = walk(model)
    for index, (layer, geometry) in enumerate(zip(model.layers, shapes, strict=True)):
        signs = torch.from_numpy(2.0 * layer.weights.astype(np.float32) - 1)
        norm: nn.BatchNorm1d | nn.BatchNorm2d
        if layer.kind == "conv":
            if layer.pad:
                steps.append(nn.ConstantPad2d(layer.pad, 0.0 if index == 0 else float(layer.pad_value)))
            conv = nn.Conv2d(geometry.input[2], layer.outputs, layer.kernel, bias=False)
            conv.weight.data = signs.permute(0, 3, 1, 2).contiguous()
            steps.append(conv)
            if layer.pool:
                steps.append(nn.MaxPool2d(2))
            norm = nn.BatchNorm2d(layer.outputs)
        else:
            if shapes[index - 1].kind == "conv":  # in the order of (C, H, W) there
                steps.append(nn.Flatten())
                height, width, channels = geometry.input
                signs = signs.reshape(-1, height, width, channels).permute(0, 3, 1, 2).reshape(len(signs), -1)
            linear = nn.Linear(layer.fan_in, layer.outputs, bias=False)
            linear.weight.data = signs.contiguous()
            steps.append(linear)
            norm = nn.BatchNorm1d(layer.outputs)
        factor, mean, offset = affine(model, index)
        norm.eps = 0.0
        norm.weight.data, norm.bias.data = torch.from_numpy(factor), torch.from_numpy(offset)
        norm.running_mean = torch.from_numpy(mean)
        norm.running_var = torch.ones_like(norm.running_mean)
        steps.append(norm)
        if layer is not model.layers[-1]:
            steps.append(Sign())
    return nn.Sequential(*steps).eval()


@dataclass
class Entrant:
    """An engine with a network at a batch size; `once` runs so many batches and gives the seconds."""

    engine: str
    isa: str
    network: str
    batch: int
    threads: int
    once: Callable[[int], float]
    memory: Callable[[], int]
    binary_macs: int

    def __post_init__(self) -> None:
        self.repeats = 1
        self.rates: list[float] = []

    def measure(self) -> None:
        """One round."""
        self.rates.append(self.batch * self.repeats / self.once(self.repeats))

    def settle(self) -> None:
        """Warm up, and find how many batches take long enough."""
        self.once(2)
        seconds = min(self.once(2) for _ in range(3)) / 2
        self.repeats = max(1, round(ENOUGH_S / max(seconds, 1e-6)))


@contextmanager
def ahead() -> Iterator[None]:
    """Before other work on the machine, if this user may; threads that start within stay so."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except (AttributeError, OSError):  # not on Linux, or not this user
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def timed(body: Callable[[], Any], threads: int) -> Callable[[int], float]:
    """Runs the body some times and gives the seconds: on the processor, or of several threads those that pass."""
    clock = time.process_time if threads == 1 else time.perf_counter

    def once(repeats: int) -> float:
        with nullcontext() if threads == 1 else ahead():
            began = clock()
            for _ in range(repeats):
                body()
            return clock() - began

    return once


def check(engine: str, model: Model, found: np.ndarray, wanted: np.ndarray) -> None:
    """Compare scores, which float32 may round.

    Raises:
        BenchError: they differ.
    """
    if found.shape != wanted.shape or not np.allclose(found, wanted, rtol=1e-5, atol=64):
        raise BenchError(f"{engine}, {model.name}: scores differ from the golden model's, the network is another")


def packed(model: Model, images: np.ndarray, isa: str, threads: int, macs: int) -> Entrant:
    """The engine of this project."""
    if not np.array_equal(cpu.Engine(model, isa).infer(images), golden.infer(model, images)):
        raise BenchError(f"packed, {model.name}, {isa}: scores differ from the golden model's")
    with ahead():
        own = cpu.Engine(model, isa, threads)
    return Entrant(
        "packed", isa, model.name, len(images), threads, timed(lambda: own.infer(images), threads),
        lambda: own.memory_bytes, macs,
    )  # fmt: skip


def in_torch(model: Model, images: np.ndarray, threads: int, macs: int) -> Entrant:
    """PyTorch in float32, in the memory format that is faster."""
    network = to_torch(model)
    pixels = torch.from_numpy(images.astype(np.float32) - 128).permute(0, 3, 1, 2)

    @torch.inference_mode()
    def run(form: torch.memory_format) -> torch.Tensor:
        network.to(memory_format=form)  # type: ignore[call-overload]
        result: torch.Tensor = network(pixels.contiguous(memory_format=form))
        return result

    check("torch", model, run(torch.contiguous_format).numpy(), golden.infer(model, images))
    seconds = {}
    for form in (torch.contiguous_format, torch.channels_last):
        run(form)
        seconds[form] = min(timed(lambda form=form: run(form), 1)(1) for _ in range(3))  # type: ignore[misc]
    best = min(seconds, key=lambda form: seconds[form])
    network.to(memory_format=best)  # type: ignore[call-overload]
    given = pixels.contiguous(memory_format=best)

    @torch.inference_mode()
    def body() -> None:
        network(given)

    return Entrant(
        "torch", torch.backends.cpu.get_cpu_capability(), model.name, len(images), threads, timed(body, threads),
        lambda: torch_memory(network, given), macs,
    )  # fmt: skip


@torch.inference_mode()
def torch_memory(network: nn.Sequential, images: torch.Tensor) -> int:
    """Bytes of the parameters and of the greatest input and output of a step; scratch memory does not count."""
    most, values = 0, images
    for step in network:
        result = step(values)
        most = max(most, values.nbytes + result.nbytes)
        values = result
    held = [*network.parameters(), *network.buffers()]
    return most + sum(item.nbytes for item in held)


def larq_python() -> Path:
    """The Python of larq's environment, which is made if need be.

    Raises:
        BenchError: it cannot be made.
    """
    python = LARQ / "bin" / "python"
    if (LARQ / ".ready").is_file():
        return python
    print(f"installing {LARQ_PACKAGES[0]} into {LARQ}, once", file=sys.stderr, flush=True)
    for command in ([sys.executable, "-m", "venv", str(LARQ)], [str(python), "-m", "pip", "install", *LARQ_PACKAGES]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no message"]
            raise BenchError(f"{' '.join(command[:4])}: {lines[-1][:160]}")
    (LARQ / ".ready").touch()
    return python


class Larq:
    """A process that runs a network in larq's engine, told by lines what to do."""

    def __init__(self, python: Path, model: Model, images: np.ndarray, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path, given = folder / "model.npz", folder / "images.npy"
        save(model, path)
        np.save(given, images)
        variables = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
        variables |= {"TF_USE_LEGACY_KERAS": "1", "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [str(python), "-m", "train.bench_larq", str(path), str(given)], env=variables, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        first = self._answer()
        self.memory = int(first["memory_bytes"])
        check("larq", model, np.array(first["scores"]), golden.infer(model, images))

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                result: dict[str, Any] = json.loads(line)
                return result
        raise BenchError(f"larq's process ended with status {self.process.wait()}")

    def once(self, repeats: int) -> float:
        """Seconds of the process on the processor for so many batches."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{repeats}\n")
        self.process.stdin.flush()
        return float(self._answer()["seconds"])

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


def enter(name: str, batch: int, python: Path | None, opened: list[Larq]) -> list[Entrant]:
    """All engines with a network at a batch size."""
    model = comparable(name)
    images = np.random.default_rng(0).integers(0, 256, (batch, model.height, model.width, model.channels))
    images = images.astype(np.uint8)
    macs = total_macs(walk(model)[1:])  # the first layer's are 8-bit
    sets = cpu.isas()
    found = [packed(model, images, isa, 1, macs) for isa in sets]
    found += [packed(model, images, sets[0], 2, macs), in_torch(model, images, 1, macs)]
    if python is not None:
        larq = Larq(python, model, images, ROOT / "build" / "larq_models" / f"{name.lower()}_{batch}")
        opened.append(larq)
        found.append(Entrant("larq", "x86-64", model.name, batch, 1, larq.once, lambda: larq.memory, macs))
    return found


def rows(entrants: list[Entrant], peaks: dict[str, list[float]]) -> list[dict[str, Any]]:
    """What was measured."""
    found = []
    for item in entrants:
        rate = float(np.median(item.rates))
        peak = float(np.median(peaks[item.isa])) * item.threads if item.isa in peaks else None
        found.append(
            {
                "network": item.network,
                "batch": item.batch,
                "threads": item.threads,
                "engine": item.engine,
                "isa": item.isa,
                "images_per_s": round(rate, 1),
                "peak_share": None if peak is None else round(rate * item.binary_macs / peak, 3),
                "memory_bytes": item.memory(),
            }
        )
    return found


def table(found: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table, with each rate relative to PyTorch's."""
    lines = [
        "| network | batch | engine | threads | images/s | to PyTorch | share of XNOR-popcount peak | memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in found:
        base = next(
            item for item in found
            if item["engine"] == "torch" and (item["network"], item["batch"]) == (row["network"], row["batch"])
        )  # fmt: skip
        share = "" if row["peak_share"] is None else f"{row['peak_share']:.0%}"
        lines.append(
            f"| {row['network']} | {row['batch']} | {row['engine']}, {row['isa']} | {row['threads']} "
            f"| {row['images_per_s']:,.0f} | {row['images_per_s'] / base['images_per_s']:.1f}× | {share} "
            f"| {row['memory_bytes'] / 1e6:.2f} MB |"
        )
    return "\n".join(lines)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", type=Path, default=Path("build/bench_cpu.json"), help="where figures go")
    parser.add_argument("--only", action="append", choices=NETWORKS, help="only this network; may be repeated")
    parser.add_argument("--rounds", type=positive, default=15, help="turns of every engine (default 15)")
    parser.add_argument("--no-larq", action="store_true", help="leave larq-compute-engine out")
    parser.add_argument("--write", type=Path, metavar="FILE", help="replace the table in this Markdown file")


def _run(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    python = None
    if not options.no_larq:
        try:
            python = larq_python()
        except BenchError as error:
            print(f"larq-compute-engine is left out: {error}", file=sys.stderr)
    peaks: dict[str, list[float]] = {isa: [] for isa in cpu.isas()}
    found: list[dict[str, Any]] = []
    for name in options.only or NETWORKS:
        for batch in BATCHES:
            opened: list[Larq] = []
            try:
                entrants = enter(name, batch, python, opened)
                for item in entrants:
                    item.settle()
                for _ in range(options.rounds):
                    for isa, rates in peaks.items():
                        rates.append(cpu.peak(isa, ENOUGH_S))
                    for item in entrants:
                        item.measure()
                found += rows(entrants, peaks)
            finally:
                for larq in opened:
                    larq.close()
    text = table(found)
    result(text, rows=found)
    reached = {isa: float(np.median(rates)) for isa, rates in peaks.items()}
    listed = ", ".join(f"{isa} {rate / 1e12:.2f} T/s" for isa, rate in reached.items())
    result(f"peaks of one thread: {listed}", peaks=reached)
    write_atomically(options.output, (json.dumps(found, indent=1) + "\n").encode())
    if options.write:
        content = marked(options.write.read_text(), "bench-cpu", text)
        write_atomically(options.write, content.encode())


main = Command("bench-cpu", _options, _run, "--only CNV --no-larq")


if __name__ == "__main__":
    sys.exit(main())
