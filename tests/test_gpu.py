"""The GPU's kernels on a simulated GPU against numpy and the golden model, and what nvcc makes of them.

The order of threads and the time at which copies arrive are drawn by the schedule: the results must not depend on it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bnn import golden
from bnn.geometry import Spec
from bnn.layers import Model, ModelError
from bnn.model import load
from bnn.networks import network
from bnn.random_models import edge_model, random_model
from bnn.samples import read_images
from gpu import bench, build
from gpu.bench import Case, Row
from gpu.build import GpuError
from gpu.device import LARGE, PATHS, POPCOUNT, SMALL, TENSOR_CORES, TILES, Device
from gpu.engine import Engine
from gpu.packed import MatrixProduct, pack, unpack

ROOT = Path(__file__).resolve().parent.parent
SCHEDULES = (0, 1, 2)
"""The natural order with late copies, a random one with early copies, a random one with late copies."""


@pytest.fixture(scope="module")
def device() -> Device:
    return Device(simulated=True)


def _matrices(m: int, n: int, k: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2, (m, k), np.uint8), rng.integers(0, 2, (n, k), np.uint8)


def _sums(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sums of +-1 products, int32."""
    return np.asarray((2 * a.astype(np.int32) - 1) @ (2 * b.astype(np.int32) - 1).T)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("path", PATHS)
def test_products(device: Device, path: str, tile: str, schedule: int) -> None:
    """Sums and bits for one element, for sizes one off those of words, stages and tiles, and for five stages."""
    device.schedule(schedule)
    for m, n, k in [(1, 1, 1), (65, 33, 511), (129, 257, 513), (3, 2, 2100)]:
        a, b = _matrices(m, n, k, schedule)
        want = _sums(a, b)
        product = MatrixProduct(device, a, b, path, tile=tile)
        product.start()
        np.testing.assert_array_equal(product.result(), want, f"{m} x {n} x {k}")
        rng = np.random.default_rng(schedule)
        thresholds = (np.median(want, 0).astype(int) + k) // 2 + rng.integers(0, 2, n)
        thresholds[0], thresholds[-1] = (0, 65535) if n > 1 else (k, k)
        flip = rng.integers(0, 2, n) > 0
        fused = MatrixProduct(device, a, b, path, thresholds, flip, tile)
        fused.start()
        np.testing.assert_array_equal(fused.result(), ((want + k) // 2 >= thresholds) ^ flip, f"{m} x {n} x {k}")


EDGES = {
    "odd sizes": ((9, 7, 3), [Spec("c1", "conv", 33, 1), Spec("c2", "conv", 5, 1, 1), Spec("f", "dense", 3)]),
    "padding of -1, odd pool": (
        (11, 13, 1),
        [Spec("c1", "conv", 64, 1, 0, True), Spec("c2", "conv", 65, 1, -1, True), Spec("f", "dense", 2)],
    ),
    "words by fours": (
        (6, 6, 4),
        [Spec("c1", "conv", 128), Spec("c2", "conv", 128, 1, 1), Spec("f1", "dense", 70), Spec("f2", "dense", 10)],
    ),
    "dense only": ((5, 7, 3), [Spec("f1", "dense", 33), Spec("f2", "dense", 129), Spec("f3", "dense", 10)]),
    "scores at once": ((3, 5, 1), [Spec("f", "dense", 1)]),
    "one place": ((3, 3, 2), [Spec("c", "conv", 31), Spec("f", "dense", 4)]),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", EDGES)
def test_every_bit_of_odd_networks(device: Device, name: str, path: str, schedule: int) -> None:
    device.schedule(schedule)
    size, specs = EDGES[name]
    model = edge_model(schedule, size, specs, binary=specs[0].kind == "dense")
    images = np.random.default_rng(schedule).integers(0, 256, (3, *size)).astype(np.uint8)
    found, want = Engine(model, device, path).trace(images), golden.trace(model, images)
    assert list(found) == list(want)
    for layer, array in want.items():
        np.testing.assert_array_equal(found[layer], array, layer)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ["cnv", "lfc", "sfc", "mnist_wired", "cifar_wired"])
def test_shipped_models(device: Device, name: str, path: str) -> None:
    device.schedule(0)
    model = load(ROOT / "models" / f"{name}.npz")
    images, _ = read_images(model, count=2)
    found, want = Engine(model, device, path).trace(images), golden.trace(model, images)
    for layer, array in want.items():
        np.testing.assert_array_equal(found[layer], array, layer)


@pytest.mark.parametrize("path", PATHS)
def test_batches(device: Device, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """More images than fit at once, then fewer in the same memory; tiles of either size."""
    device.schedule(1)
    monkeypatch.setattr("gpu.engine.MAX_BATCH", 40)
    model = random_model(network("tiny"))
    images = np.random.default_rng(1).integers(0, 256, (43, 32, 32, 3)).astype(np.uint8)
    engine = Engine(model, device, path)
    for count in (43, 1):
        np.testing.assert_array_equal(engine.infer(images[:count]), golden.infer(model, images[:count]))
    np.testing.assert_array_equal(Engine(model, device, path, LARGE).infer(images[:2]), golden.infer(model, images[:2]))
    assert engine.infer(images[:0]).shape == (0, 10)


def test_the_larger_tile_where_it_keeps_the_gpu_busy(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.tile(128, 256) == LARGE and device.tile(127, 256) == device.tile(128, 255) == SMALL
    monkeypatch.setattr(device, "multiprocessors", 3)
    assert device.tile(256, 256) == SMALL and device.tile(257, 256) == LARGE


def test_what_is_refused(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model(network("tiny"))
    with pytest.raises(ModelError, match="layer conv1: has a value, which the GPU engine does not support"):
        Engine(random_model(network("tiny_bireal")), device)
    with pytest.raises(GpuError, match=r"images: are float64 \(1, 32, 32, 3\), expected uint8"):
        Engine(model, device).infer(np.zeros((1, 32, 32, 3)))
    with pytest.raises(GpuError, match="path: is fast, expected one of popcount, tensor cores"):
        Engine(model, device, "fast")
    with pytest.raises(GpuError, match=r"matrices: are \(1, 3\) and \(1, 2\), expected \(m, k\) and \(n, k\)"):
        MatrixProduct(device, *_matrices(1, 1, 3)[:1], np.zeros((1, 2), np.uint8), POPCOUNT)
    monkeypatch.setattr("gpu.device.OLDEST", 81)
    with pytest.raises(GpuError, match="simulated on the host: has compute capability 8.0, expected 8.1 or more"):
        Device(simulated=True)
    monkeypatch.setattr("gpu.device.why_no_gpu", lambda: "there is no driver")
    with pytest.raises(GpuError, match="there is no driver"):
        Device()


def test_chips_whose_tensor_cores_take_bits(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    for capability, path in {80: TENSOR_CORES, 90: TENSOR_CORES, 100: POPCOUNT, 120: POPCOUNT}.items():
        monkeypatch.setattr(device, "capability", capability)
        assert device.path == path


def test_the_floating_point_baseline(device: Device) -> None:
    device.schedule(1)
    a, b = _matrices(17, 33, 50)
    left, right = (device.put(2 * bits.astype(np.float32) - 1) for bits in (a, b.T))
    limits, signs = np.arange(33, dtype=np.float32) - 16, np.where(np.arange(33) % 2, 1, -1).astype(np.float32)
    out = device.empty(4 * 17 * 33)
    want = _sums(a, b)
    for rule in (None, (device.put(limits), device.put(signs))):
        pointers = [buffer.address for buffer in rule] if rule else [None, None]
        device.call("multiply_floats", left.address, right.address, out.address, *pointers, 17, 50, 33)
        found = out.download((17, 33), np.float32)
        np.testing.assert_array_equal(found, np.where(want >= limits, signs, -signs) if rule else want)


def test_packing(device: Device) -> None:
    values = np.random.default_rng(1).standard_normal((5, 70)).astype(np.float32)
    values[0, 0] = 0.0  # is +1
    given, out = device.put(values), device.empty(4 * 5 * 4)
    device.call("pack_signs", given.address, out.address, 5, 70, 4)
    words = out.download((5, 4), np.uint32)
    np.testing.assert_array_equal(words, pack(values >= 0, 4))
    np.testing.assert_array_equal(unpack(words, 70), values >= 0)


@pytest.fixture
def perceptron() -> Model:
    return edge_model(1, (5, 7, 1), [Spec("f1", "dense", 33), Spec("f2", "dense", 4)], binary=True)


def test_the_bench_compares_what_it_times(device: Device, perceptron: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kernel of it at small sizes, cuBLAS on the processor; then with a wrong one, and without PyTorch."""
    device.schedule(0)
    rows = [*bench.measure(device, 40, perceptron, 3, 1), *bench.measure_networks(device, (("mnist_wired", 2),), 1)]
    assert len(rows) == 4 + 6 + 4 + 2 and all(row.milliseconds for row in rows)
    assert len(bench.table(rows).splitlines()) == 2 + len(rows)
    assert [line.split(":")[0] for line in bench.bars(rows)] == [
        "product, times as fast as naive float32",
        "product, times as fast as cuBLAS float32",
        "mlp_bnn, times as fast as naive float32",
        "product, 10^15 binary operations per second",
    ]
    known = Row(Case(bench.PRODUCT, "8192^3", 2.0 * 8192**3), bench.NAIVE, 23.0)
    fast = [known, replace(known, kernel="packed, tensor cores, to bits", milliseconds=0.2)]
    assert bench.bars(fast) == [
        "product, times as fast as naive float32: 23 in the paper, here 115.0, reached",
        "product, times as fast as cuBLAS float32: 3.4 in the paper, here not measured",
        "mlp_bnn, times as fast as naive float32: 7 in the paper, here not measured",
        "product, 10^15 binary operations per second: 5 is the aim, here 5.5, reached",
    ]
    assert bench.bars([known, replace(fast[1], milliseconds=2.0)])[0].endswith("here 11.5, missed")
    monkeypatch.setitem(sys.modules, "torch", None)
    rows = list(bench.measure(device, 1, perceptron, 1, 1))
    missing = [row for row in rows if row.milliseconds is None]
    assert [row.kernel for row in missing] == ["cuBLAS float32", "cuBLAS TF32", "cuBLAS int8", "cuBLAS float32"]
    assert "not measured: PyTorch is not installed" in bench.table(rows)
    assert bench.bars(rows)[1] == "product, times as fast as cuBLAS float32: 3.4 in the paper, here not measured"
    monkeypatch.setattr(MatrixProduct, "result", lambda self: np.full(self.shape, 7))
    with pytest.raises(bench.BenchError, match="packed, popcount, to bits: gives a wrong result for product, 5"):
        list(bench.measure(device, 5, perceptron, 1, 1))


def test_the_bench_without_a_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gpu.device.why_no_gpu", lambda: "there is no driver")
    assert bench.main(["-o", str(tmp_path / "rows.json")]) == 0
    assert capsys.readouterr().out == "not measured: there is no driver\n" and not list(tmp_path.iterdir())
    assert bench.main.results([]) == {"measured": False, "why": "there is no driver"}


def test_the_bench_with_a_gpu(
    device: Device, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device.schedule(0)
    monkeypatch.setattr(bench, "Device", lambda: device)
    monkeypatch.setattr(bench, "MLP", "sfc")
    monkeypatch.setattr(bench, "NETWORKS", (("mnist_wired", 1),))
    output = tmp_path / "rows.json"
    assert bench.main(["-o", str(output), "--size", "9", "--images", "2", "--runs", "1"]) == 0
    written = json.loads(output.read_text())
    assert written["gpu"] == device.name and len(written["rows"]) == 16
    assert "1 multiprocessors, measured: medians of 1 runs" in capsys.readouterr().out


MUTANTS = {
    "no barrier before a stage is read": ("        __syncthreads();\n", ""),
    "one copy too many under way": ("wait_copies<STAGES - 2>", "wait_copies<STAGES - 1>"),
    "a barrier that some do not reach": ("__syncthreads();", "if (thread) __syncthreads();"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_simulated_gpu_finds_races(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels without one of their barriers or waits, which may well go right on a GPU."""
    sources = tmp_path / "sources"
    shutil.copytree(build.SOURCES, sources)
    text = (sources / "product.h").read_text()
    old, new = MUTANTS[name]
    assert text.count(old) == 1
    (sources / "product.h").write_text(text.replace(old, new))
    monkeypatch.setattr(build, "SOURCES", sources)
    monkeypatch.setattr(build, "BUILT", tmp_path)
    device = Device(simulated=True, options=("-O0",))
    a, b = _matrices(64, 64, 3000)
    wrong = []
    for schedule in SCHEDULES:
        device.schedule(schedule)
        product = MatrixProduct(device, a, b, TENSOR_CORES, tile=SMALL)
        try:
            product.start()
            wrong.append(bool((product.result() != _sums(a, b)).any()))
        except GpuError as error:
            assert str(error) == "GPU, product: threads wait at a barrier that others do not reach"
            wrong.append(True)
    assert any(wrong)


def test_sanitizers() -> None:
    """Reads and writes of the kernels under AddressSanitizer and UBSan, in a process of their own."""
    found = [
        subprocess.run(["g++", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    code = """
import numpy as np
from bnn import golden
from gpu.device import PATHS, Device
from gpu.engine import Engine
from test_gpu import EDGES, edge_model
device = Device(simulated=True, options=("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"))
for size, specs in EDGES.values():
    model = edge_model(1, size, specs, binary=specs[0].kind == "dense")
    images = np.random.default_rng(1).integers(0, 256, (2, *size)).astype(np.uint8)
    for path in PATHS:
        assert (Engine(model, device, path).infer(images) == golden.infer(model, images)).all()
print("clean")
"""
    environment = {**os.environ, "LD_PRELOAD": " ".join(found), "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    environment["ASAN_OPTIONS"] = "detect_leaks=0:detect_stack_use_after_return=0"  # the threads' stacks are our own
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "clean\n"), done.stderr[-2000:]


def test_nvcc_takes_the_sources_for_every_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kernel keeps to its registers: none spills, in particular not the accumulators of a tile.

    In a folder whose name nvcc does not take, as it gives names to a shell.
    """
    try:
        build.find_nvcc()
    except GpuError as error:
        pytest.skip(str(error))
    sources = tmp_path / "a b ü$(x)'"
    shutil.copytree(build.SOURCES, sources)
    monkeypatch.setattr(build, "SOURCES", sources)
    found = re.findall(
        r"Compiling entry function '(\w+)' for 'sm_(\d+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores",
        build.resources(),
        re.DOTALL,
    )
    kernels = {name for name, *_ in found}
    assert len([name for name in kernels if "multiply" in name and "floats" not in name]) == 12
    assert {(name, architecture) for name, architecture, *_ in found} == {
        (name, architecture) for name in kernels for architecture in build.ARCHITECTURES
    }
    assert {(stack, spilled) for *_, stack, spilled in found} == {("0", "0")}


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {"PATH": str(tmp_path), "CUDA_HOME": str(tmp_path), "NVCC": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    with pytest.raises(GpuError, match="nvcc is not on PATH, not in CUDA_HOME and not installed"):
        build.find_nvcc()
    wheel = tmp_path / "nvidia" / "cu13" / "bin" / "nvcc"
    wheel.parent.mkdir(parents=True)
    wheel.write_text("#!/bin/sh\necho 'x.cu(3): error: no'; exit 2\n")
    wheel.chmod(0o755)
    assert build.find_nvcc() == str(wheel)
    with pytest.raises(GpuError, match=r"nvcc fails on bnn_gpu.cu: x.cu\(3\): error: no"):
        build.resources()
    monkeypatch.setenv("NVCC", "/nowhere/nvcc")
    with pytest.raises(GpuError, match="NVCC: is /nowhere/nvcc, expected a program"):
        build.find_nvcc()
