"""`bnn bench-gpu`: the table of Courbariaux et al. (arXiv 1602.02830, section 4) on the GPU that is there.

Products of 8192 x 8192 x 8192 and the MNIST MLP of 3 x 4096 over 10,000 images, in packed bits, by popcount and on the
tensor cores, against the paper's naive kernel and cuBLAS; then whole networks. Times are medians by the GPU's clock,
without copies to and from it, and of kernels whose result was compared just before. Without a GPU: "not measured".
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from bnn import golden
from bnn.command import Command, positive
from bnn.errors import ExpectedError
from bnn.files import write_atomically
from bnn.layers import Model
from bnn.model import load
from bnn.networks import network as find_network
from bnn.output import note, result
from bnn.paths import BUILD
from bnn.random_models import random_model
from gpu.baselines import FLOAT32, INT8, TF32, FloatNetwork, NaiveNetwork, NaiveProduct, Torch, signs
from gpu.build import ROOT, GpuError
from gpu.device import PATHS, Device
from gpu.engine import Engine
from gpu.packed import MatrixProduct

SIZE, IMAGES, RUNS = 8192, 10_000, 20
PRODUCT, MLP = "product", "mlp_bnn"
NETWORKS = (("cnv", 1), ("cnv", 64), ("cnv", 4096), ("binarynet", 1), ("binarynet", 1024))
"""Networks and images at once."""
NAIVE, CUBLAS = "naive float32", "cuBLAS "
BARS = (
    (PRODUCT, NAIVE, 23.0),
    (PRODUCT, CUBLAS + FLOAT32, 3.4),
    (MLP, NAIVE, 7.0),
)
"""What the paper measured: how many times as fast packed bits are as another kernel."""
STRETCH = 5e15
"""Binary operations per second of a product that are worth aiming at on tensor cores."""
CHECKED = 64
"""Rows and columns of a product, and images, that are compared."""
NOT_MEASURED = "not measured"


class BenchError(ExpectedError):
    """A kernel gives a wrong result, so its time means nothing."""


@dataclass(frozen=True)
class Kernel:
    """Something to measure."""

    name: str
    start: Callable[[], object]
    exact: Callable[[], bool]
    """Whether the result of the last start is right"""
    milliseconds: Callable[[Callable[[], object]], float]
    """The clock"""
    peak: float | None = None
    """Binary multiply-accumulates per second of its instruction alone"""


@dataclass(frozen=True)
class Missing:
    """A kernel that cannot be had."""

    name: str
    why: str


@dataclass(frozen=True)
class Case:
    """What kernels compute."""

    name: str
    """product, or a network"""
    size: str
    work: float
    """Binary operations, two for a multiply-accumulate, or images"""


@dataclass(frozen=True)
class Row:
    """A line of a table. `milliseconds` None: it could not be run, `note` says why."""

    case: Case
    kernel: str
    milliseconds: float | None
    peak_share: float | None = None
    note: str = ""


def _measured(case: Case, kernels: Iterator[Kernel | Missing], runs: int) -> list[Row]:
    rows = []
    for kernel in kernels:
        if isinstance(kernel, Missing):
            rows.append(Row(case, kernel.name, None, note=kernel.why))
            continue
        kernel.start()
        if not kernel.exact():
            raise BenchError(f"{kernel.name}: gives a wrong result for {case.name}, {case.size}")
        times = [kernel.milliseconds(kernel.start) for _ in range(runs + 1)][1:]
        found = statistics.median(times)
        share = case.work / 2 / (found / 1000) / kernel.peak if kernel.peak else None
        rows.append(Row(case, kernel.name, found, share))
    return rows


def peak(device: Device, path: str, runs: int) -> float:
    """Binary multiply-accumulates per second that a path's instruction reaches alone."""
    blocks, turns = (1, 8) if device.simulated else (16 * device.multiprocessors, 1 << 12)
    start, macs = device.peak(path, blocks, turns)
    return macs / statistics.median(device.milliseconds(start) for _ in range(runs)) * 1000


def _torch(device: Device) -> Torch | str:
    """PyTorch on the GPU, or why not."""
    try:
        return Torch(device)
    except GpuError as error:
        return str(error)


def _product_kernels(device: Device, size: int, runs: int) -> Iterator[Kernel | Missing]:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 2, (2, size, size), np.uint8)
    some = np.unique(np.linspace(0, size - 1, CHECKED).astype(int))
    sums = (signs(a[some]) @ signs(b[some]).T).astype(np.int32)
    limit = size // 2 + 1

    def right(found: Callable[[], np.ndarray], want: np.ndarray) -> Callable[[], bool]:
        return lambda: bool((found()[some][:, some] == want).all())

    floats = device.put(signs(a))
    naive = NaiveProduct(device, floats, np.ascontiguousarray(signs(b).T), size)
    yield Kernel(NAIVE, naive.start, right(naive.result, sums), device.milliseconds)
    torch = _torch(device)
    for kind in (FLOAT32, TF32, INT8):
        if isinstance(torch, str):
            yield Missing(CUBLAS + kind, torch)
            continue
        multiply = torch.product(kind, signs(a), signs(b).T)
        yield Kernel(CUBLAS + kind, multiply, right(_numpy(multiply), sums), torch.milliseconds)
    for path in PATHS:
        most = peak(device, path, runs)
        fused = MatrixProduct(device, a, b, path, np.full(size, limit))
        want = sums + size >= 2 * limit
        yield Kernel(f"packed, {path}, to bits", fused.start, right(fused.result, want), device.milliseconds, most)
        whole = MatrixProduct(device, a, b, path)
        exact = right(whole.result, sums)
        yield Kernel(f"packed, {path}, to int32", whole.start, exact, device.milliseconds, most)
        packing = partial(_pack_and_start, device, floats.address, whole)
        yield Kernel(f"packed, {path}, to int32, a packed first", packing, exact, device.milliseconds)


def _numpy(multiply: Callable[[], object]) -> Callable[[], np.ndarray]:
    """A function that gives PyTorch's result as an array."""
    return lambda: np.asarray(multiply().cpu())  # type: ignore[attr-defined]


def _pack_and_start(device: Device, floats: object, product: MatrixProduct) -> None:
    rows = product.shape[0]
    device.call("pack_signs", floats, product.a.address, rows, product.depth, product.words)
    product.start()


def _mlp_kernels(device: Device, model: Model, count: int) -> Iterator[Kernel | Missing]:
    images = _images(model, count)
    want = golden.infer(model, images[:CHECKED])
    network = FloatNetwork(model)

    def right(found: Callable[[], np.ndarray]) -> Callable[[], bool]:
        return lambda: bool((found()[:CHECKED] == want).all())

    naive = NaiveNetwork(device, network, images)
    yield Kernel(NAIVE, naive.start, right(naive.scores), device.milliseconds)
    torch = _torch(device)
    if isinstance(torch, str):
        yield Missing(CUBLAS + FLOAT32, torch)
    else:
        multiply = torch.network(network, images)
        sums = _numpy(multiply)
        yield Kernel(CUBLAS + FLOAT32, multiply, right(lambda: network.scores(sums())), torch.milliseconds)
    yield from _packed_kernels(device, model, images)


def _packed_kernels(device: Device, model: Model, images: np.ndarray) -> Iterator[Kernel]:
    """A network by each path; all images at once."""
    want = golden.infer(model, images[:CHECKED])
    for path in PATHS:
        engine = Engine(model, device, path)
        count = engine.load(images)
        exact = partial(_scores_are, engine, count, want)
        yield Kernel(f"packed, {path}", partial(engine.start, count), exact, device.milliseconds)


def _scores_are(engine: Engine, count: int, want: np.ndarray) -> bool:
    return bool((engine.scores(count)[: len(want)] == want).all())


def _images(model: Model, count: int) -> np.ndarray:
    shape = count, model.height, model.width, model.channels
    return np.random.default_rng(2).integers(0, 256, shape, np.uint8)


def _model(name: str) -> Model:
    """The shipped model of a network, or one with random weights."""
    path = ROOT / "models" / f"{name}.npz"
    return load(path) if path.is_file() else random_model(find_network(name))


def measure(device: Device, size: int, mlp: Model, count: int, runs: int) -> Iterator[Row]:
    """The rows of products of size^3 and of the MLP over `count` images.

    Args:
        device: the GPU.
        mlp: a model of dense layers.
        size, count, runs: edge of the matrices, images, runs of which the median counts.

    Raises:
        BenchError: a kernel gives a wrong result.
        GpuError: what the GPU says.
    """
    yield from _measured(Case(PRODUCT, f"{size}^3", 2.0 * size**3), _product_kernels(device, size, runs), runs)
    kernels = _mlp_kernels(device, mlp, count)
    yield from _measured(Case(MLP, f"{count} images", count), kernels, runs)


def measure_networks(device: Device, cases: Iterable[tuple[str, int]], runs: int) -> Iterator[Row]:
    """The rows of whole networks, as `measure`; those without a shipped model have random weights."""
    for name, batch in cases:
        model = _model(name)
        kernels = _packed_kernels(device, model, _images(model, batch))
        yield from _measured(Case(name, f"{batch} images", batch), kernels, runs)


def times(row: Row, rows: list[Row], other: str) -> float | None:
    """How many times as fast as another kernel on the same case; None: one of them was not measured."""
    found = [item.milliseconds for item in rows if (item.case, item.kernel) == (row.case, other)]
    return found[0] / row.milliseconds if found and found[0] and row.milliseconds else None


def _milliseconds(row: Row) -> str:
    return f"{NOT_MEASURED}: {row.note}" if row.milliseconds is None else f"{row.milliseconds:.4g} ms"


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    lines = [
        "| case | kernel | ms | rate | × naive | × cuBLAS float32 | of its instruction's peak |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        cells = [f"{row.case.name}, {row.case.size}", row.kernel]
        if row.milliseconds is None:
            cells += [_milliseconds(row), *[""] * 4]
        else:
            rate = row.case.work / row.milliseconds * 1000
            speed = [times(row, rows, other) for other in (NAIVE, CUBLAS + FLOAT32)]
            cells += [
                f"{row.milliseconds:.4g}",
                f"{rate / 1e12:,.4g} TOPS" if row.case.name == PRODUCT else f"{rate:,.0f} images/s",
                *("" if value is None else f"{value:.1f}" for value in speed),
                "" if row.peak_share is None else f"{row.peak_share:.0%}",
            ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def bars(rows: list[Row]) -> list[str]:
    """A line for each figure of the paper, and the stretch: what the fastest packed kernel reaches here."""
    lines = []
    for case, other, bar in BARS:
        found = [value for value in (times(row, rows, other) for row in _packed(rows, case)) if value is not None]
        here = f"{max(found):.1f}, {'reached' if max(found) >= bar else 'missed'}" if found else NOT_MEASURED
        lines.append(f"{case}, times as fast as {other}: {bar:g} in the paper, here {here}")
    rates = [row.case.work / row.milliseconds * 1000 for row in _packed(rows, PRODUCT) if row.milliseconds]
    here = f"{max(rates) / 1e15:.3g}, {'reached' if max(rates) >= STRETCH else 'missed'}" if rates else NOT_MEASURED
    return [*lines, f"{PRODUCT}, 10^15 binary operations per second: {STRETCH / 1e15:g} is the aim, here {here}"]


def _packed(rows: list[Row], case: str) -> list[Row]:
    return [row for row in rows if row.case.name == case and row.kernel.startswith("packed")]


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", type=Path, default=BUILD / "bench_gpu.json", help="JSON file of the rows")
    parser.add_argument("--size", type=positive, default=SIZE, help=f"edge of the matrices (default: {SIZE})")
    parser.add_argument("--images", type=positive, default=IMAGES, help=f"images of the MLP (default: {IMAGES})")
    parser.add_argument("--runs", type=positive, default=RUNS, help=f"runs whose median counts (default: {RUNS})")


def _body(options: argparse.Namespace) -> None:
    try:
        device = Device()
    except GpuError as error:
        result(f"{NOT_MEASURED}: {error}", measured=False, why=str(error))
        return
    rows = []
    for row in chain(
        measure(device, options.size, _model(MLP), options.images, options.runs),
        measure_networks(device, NETWORKS, options.runs),
    ):
        rows.append(row)
        note(f"bench-gpu: {row.case.name}, {row.case.size}, {row.kernel}: {_milliseconds(row)}")
    content = {"gpu": device.name, "capability": device.capability, "rows": [asdict(row) for row in rows]}
    write_atomically(options.output, (json.dumps(content, indent=1) + "\n").encode())
    title = f"{device.name}, {device.multiprocessors} multiprocessors, measured: medians of {options.runs} runs"
    result("\n".join([title, "", table(rows), "", *bars(rows)]), measured=True, **content)


main = Command("bench-gpu", _options, _body, "--size 8192 --images 10000")
