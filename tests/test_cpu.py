"""The CPU engine: every bit, value and score is the golden model's, for every instruction set; what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnn import cpu, golden
from bnn.layers import Layer, ModelError
from bnn.model import Model, load
from bnn.random_models import Sizes, random_graph

ROOT = Path(__file__).resolve().parent.parent
WIDE = Sizes(edge=9, channels=140, convolutions=3, dense=2, classes=70)
"""Maps of more than one word, outputs of more than one block."""
LIMIT_S = 600
"""For a process that hangs: an emulated processor, on a busy machine, takes minutes to compile the engine."""
SHIPPED = [path for path in sorted((ROOT / "models").glob("*.npz")) if not path.stem.endswith("_sample")]


def images_for(model: Model, count: int, seed: int = 1) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return draw.integers(0, 256, (count, model.height, model.width, model.channels)).astype(np.uint8)


def check_trace(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray], where: str) -> None:
    assert list(found) == list(wanted), where
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape, f"{where}, {name}"
        wrong = np.argwhere(found[name] != array)
        first = tuple(wrong[0]) if len(wrong) else ()
        assert not len(wrong), f"{where}, {name} {first}: got {found[name][first]}, expected {array[first]}"


def check(model: Model, images: np.ndarray, where: str, threads: tuple[int, ...] = (1, 2, 3)) -> None:
    wanted = golden.trace(model, images)
    scores = wanted[model.layers[-1].name]
    for isa in cpu.isas():
        check_trace(cpu.Engine(model, isa, 1).trace(images), wanted, f"{where}, {isa}")
        for count in threads:
            engine = cpu.Engine(model, isa, count)
            for n in (1, 2, len(images)):
                assert np.array_equal(engine.infer(images[:n]), scores[:n]), f"{where}, {isa}, {count} threads, {n}"


@pytest.mark.parametrize("start", range(0, 40, 10))
def test_random_networks(start: int) -> None:
    for seed in range(start, start + 10):
        model = random_graph(seed)
        check(model, images_for(model, 7), f"seed {seed}")


@pytest.mark.parametrize("seed", range(6))
def test_wide_random_networks(seed: int) -> None:
    model = random_graph(seed, sizes=WIDE)
    check(model, images_for(model, 3), f"seed {seed}", threads=(2,))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_models(path: Path) -> None:
    model = load(path)
    check(model, images_for(model, 2), path.stem, threads=(2,))


def test_many_images_go_through_in_parts() -> None:
    model = random_graph(4)
    images = images_for(model, 333)
    wanted = golden.infer(model, images)
    for threads in (1, 2, 5):
        engine = cpu.Engine(model, threads=threads)
        for count in (0, 1, 333, 64):  # and its memory grows, and serves fewer
            assert np.array_equal(engine.infer(images[:count]), wanted[:count])
    assert np.array_equal(engine.infer(images[::-1]), wanted[::-1])  # not contiguous


def scores_of(source: str, inputs: int, classes: int, rng: np.random.Generator) -> Layer:
    weights = rng.integers(0, 2, (classes, inputs)).astype(np.uint8)
    ones = np.ones(classes, np.int32)
    return Layer("scores", "dense", (source,), weights, scale=ones, offset=0 * ones)


def test_readers_of_a_layer_may_pad_it_each_in_its_own_way() -> None:
    rng = np.random.default_rng(1)

    def conv(name: str, inputs: tuple[str, ...], kernel: int, channels: int, **fields: Any) -> Layer:
        weights = rng.integers(0, 2, (70, kernel, kernel, channels)).astype(np.uint8)
        return Layer(name, "conv", inputs, weights, pad=kernel // 2, **fields)

    def value(fan_in: int) -> dict[str, Any]:
        return {"scale": np.ones(70, np.int32), "offset": np.full(70, -fan_in // 2, np.int32)}

    bits = {"thresholds": np.zeros(70, np.int32), "flip": rng.integers(0, 2, 70) > 0}
    layers = (
        conv("a", ("input",), 3, 3, **bits),
        conv("b", ("a",), 3, 70, pad_value=-1, **value(9 * 70)),
        conv("c", ("a", "b"), 5, 70, pad_value=1, **value(25 * 70), **bits),
        scores_of("c", 9 * 7 * 70, 2, rng),
    )
    model = Model("pads", 9, 7, 3, np.arange(-128, 128, dtype=np.int8), layers, ("0", "1"))
    check(model, images_for(model, 5), "pads")


def test_counts_that_are_as_high_as_they_can_be() -> None:
    """Every bit differs, so that counts which are collected in bytes are as full as they get."""
    for inputs in (64 * 31, 64 * 32, 64 * 33, 65534):
        layer = replace(scores_of("input", inputs, 9, np.random.default_rng(1)), weights=np.ones((9, inputs), np.uint8))
        model = Model(
            "full", 1, 1, inputs, np.where(np.arange(256) < 128, -1, 1).astype(np.int8), (layer,), tuple("012345678")
        )
        images = np.stack([np.full((1, 1, inputs), pixel, np.uint8) for pixel in (0, 255)])
        check(model, images, f"{inputs} inputs", threads=(1,))
        assert golden.infer(model, images).tolist() == [[0] * 9, [inputs] * 9]


def test_few_large_images_are_shared_by_rows() -> None:
    """Maps of which not all images fit the cache together, so that threads go through parts of the batch together."""
    rng = np.random.default_rng(1)
    first = Layer("a", "conv", ("input",), rng.integers(0, 2, (64, 3, 3, 1)).astype(np.uint8), pad=1, pool=True)
    first = replace(first, thresholds=rng.integers(-99, 99, 64).astype(np.int32), flip=rng.integers(0, 2, 64) > 0)
    second = Layer("b", "conv", ("a",), rng.integers(0, 2, (1, 5, 5, 64)).astype(np.uint8), stride=2)
    second = replace(second, thresholds=np.array([800], np.int32), flip=np.zeros(1, np.bool_))
    scores = scores_of("b", 43 * 43, 3, rng)
    model = Model("large", 180, 180, 1, np.arange(-128, 128, dtype=np.int8), (first, second, scores), ("0", "1", "2"))
    images = images_for(model, 9)
    wanted = golden.infer(model, images)
    engine = cpu.Engine(model, threads=5)
    for _ in range(5):
        assert np.array_equal(engine.infer(images), wanted)


def test_images_of_another_kind_are_refused() -> None:
    engine = cpu.Engine(random_graph(4))
    images = images_for(engine.model, 2)
    for wrong in (images[:, :-1], images[0], images.astype(np.int16)):
        with pytest.raises(ModelError, match=r"images: are .*, expected uint8"):
            engine.infer(wrong)
        with pytest.raises(ModelError, match=r"images: are .*, expected uint8"):
            engine.trace(wrong)
    engine.close()
    with pytest.raises(cpu.EngineError, match="is closed"):
        engine.infer(images)


def test_a_forked_process_gets_an_engine_of_its_own(tmp_path: Path) -> None:
    code = (
        INFER
        + """
import os
if not os.fork():
    try:
        cpu._engines[0].infer(images)
    except cpu.EngineError as error:
        assert "another process" in str(error)
    assert np.array_equal(cpu.infer(model, images), golden.infer(model, images))
    cpu._engines.clear()
    os._exit(0)
assert os.wait()[1] == 0
"""
    )
    process = in_a_process(tmp_path, code, XDG_CACHE_HOME=str(cpu.library().parent.parent))
    assert process.communicate(timeout=LIMIT_S) == ("", "") and not process.returncode


def created(packed: bytes) -> str:
    """What the engine says of a packed model; nothing if it takes it."""
    calls = cpu._calls()
    handle, error = cpu.ctypes.c_void_p(), cpu.ctypes.create_string_buffer(cpu.ERROR_SIZE)
    failed = calls.bnn_engine_create(packed, len(packed), None, 1, cpu.ctypes.byref(handle), error)
    assert bool(failed) == (handle.value is None)
    calls.bnn_engine_destroy(handle)
    return error.value.decode() if failed else ""


FIELDS = (
    "kind source shortcut bases outputs kernel stride pad pad_value pool limits requantised coefficients bits shift "
    "average_shortcut input_bits weights thresholds flip scale offset own zero"
).split()


def changed(packed: bytes, word: int, value: int, layer: int | None = None) -> bytes:
    words = np.frombuffer(packed, "<i4").copy()
    words[word if layer is None else 8 + 64 + cpu.RECORD_WORDS * layer + word] = value
    return words.tobytes()


def test_damaged_packed_models_are_refused_with_a_reason() -> None:
    model = load(ROOT / "models" / "cnv.npz")
    packed = cpu.pack(model)
    assert not created(packed)
    for word, value, part in (
        (0, 7, "expected 504e4e42"),
        (1, 2, "packed format 2, expected 1"),
        (2, len(packed) + 4, "model: says it has"),
        (3, 0, "0 layers"),
        (3, 1 << 30, "layers"),
        (4, 0, "the image is 0x32x3"),
        (5, 1 << 20, "the image is"),
        (6, 5, "5 channels"),
    ):
        assert part in created(changed(packed, word, value)), (word, value)
    for field, value, part in (
        ("kind", 3, "layer 1: kind is 3"),
        ("source", 1, "layer 1: reads layer 1"),
        ("source", -2, "layer 1: reads layer -2"),
        ("shortcut", 0, "layer 1: has a shortcut, expected a value"),
        ("bases", 9, "layer 1: 9 bases"),
        ("outputs", 0, "layer 1: 0 outputs"),
        ("outputs", 1 << 30, "outputs, expected 1 to 65535"),
        ("kernel", 7, "layer 1: kernel is 7"),
        ("stride", 2, "layer 1: stride is 2"),
        ("pad", 2, "layer 1: pad is 2"),
        ("pool", 2, "layer 1: a flag"),
        ("limits", 4, "4 thresholds"),
        ("limits", 0, "layer 1: gives neither bits nor a value"),
        ("bits", 9, "layer 1: bits is 9"),
        ("input_bits", 2, "layer 1: reads layer 0"),
        ("weights", len(packed) - 4, "layer 1: weights of 4608 bytes"),
        ("weights", -4, "layer 1: weights of"),
        ("weights", 6, "layer 1: weights of"),
        ("thresholds", 1 << 30, "layer 1: thresholds of 256 bytes"),
        ("flip", len(packed), "layer 1: flip of 8 bytes"),
    ):
        assert part in created(changed(packed, FIELDS.index(field), value, layer=1)), (field, value)
    for size in (0, 3, 31, 287, len(packed) // 2, len(packed) - 4):
        assert created(packed[:size])
        assert created(changed(packed, 2, size)[:size])


def test_what_the_numpy_side_refuses_is_refused_here_as_well() -> None:
    """Models that `bnn.rules` refuses, packed all the same."""
    model = load(ROOT / "models" / "cnv.npz")
    second = model.layers[1]
    hostile = {
        "thresholds hold": replace(second, thresholds=np.full(64, 70000, np.int32)),
        "pad_value": replace(second, pad=1, pad_value=0),
        "base_shifts 0 is 1, expected": replace(second, base_shifts=(1,)),
        "base_shifts 0 is 2, expected": replace(second, weights=np.stack([second.weights] * 2), base_shifts=(2, 0)),
    }
    for part, layer in hostile.items():
        damaged = replace(model, layers=(model.layers[0], layer, *model.layers[2:]))
        with pytest.raises(ModelError):
            cpu.pack(damaged)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cpu, "shapes", lambda _: {})
            assert part in created(cpu.pack(damaged))


def in_a_process(tmp_path: Path, code: str, **environment: str) -> subprocess.Popen[str]:
    variables = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT), **environment}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


INFER = """
import numpy as np
from bnn import cpu, golden
from bnn.random_models import random_graph
model = random_graph(4)
images = np.zeros((3, model.height, model.width, model.channels), np.uint8)
for _ in range(2):
    assert np.array_equal(cpu.infer(model, images), golden.infer(model, images))
    assert np.array_equal(cpu.trace(model, images)["scores"], golden.infer(model, images))
"""

FAKE = """#!/bin/sh
# ends when two processes compile, however long one of them takes to begin
for last; do :; done
touch "{running}/$PPID"
tries=0
while [ "$(ls "{running}" | wc -l)" -lt 2 ] && [ $tries -lt 6000 ]; do sleep 0.1; tries=$((tries + 1)); done
cp "{library}" "$last"
"""


def test_two_processes_at_once_compile_one_file(tmp_path: Path) -> None:
    compiler = tmp_path / "fake++"
    running_compilers = tmp_path / "running"
    running_compilers.mkdir()
    compiler.write_text(FAKE.format(library=cpu.library(), running=running_compilers))
    compiler.chmod(0o755)
    cache = tmp_path / "cache" / "bnn-fpga"
    cache.mkdir(parents=True)
    for number in range(6):  # of other sources
        (cache / f"cpu-{number}.so").touch()
        os.utime(cache / f"cpu-{number}.so", (number, number))
    running = [in_a_process(tmp_path, INFER, BNN_CXX=str(compiler)) for _ in range(2)]
    for process in running:
        out, error = process.communicate(timeout=LIMIT_S)
        assert (process.returncode, out) == (0, ""), error
        assert error == "compiling the CPU engine, once\n"
    names = sorted(path.name for path in cache.iterdir())
    assert len(names) == cpu.COMPILED and {"cpu-3.so", "cpu-4.so", "cpu-5.so"} < set(names)
    again = in_a_process(tmp_path, INFER, BNN_CXX=str(compiler))
    assert again.communicate(timeout=LIMIT_S) == ("", "")


@pytest.mark.parametrize(
    ("compiler", "reason"),
    [
        ("", "there is no C++ compiler (BNN_CXX is empty) for the CPU engine"),
        ("no-such-compiler", "there is no C++ compiler (no-such-compiler) for the CPU engine"),
        ("false", "false fails on the CPU engine: no message"),
    ],
)
def test_without_a_compiler_the_numpy_model_computes(tmp_path: Path, compiler: str, reason: str) -> None:
    process = in_a_process(tmp_path, INFER, BNN_CXX=compiler)
    error = process.communicate(timeout=LIMIT_S)[1]
    assert process.returncode == 0, error
    assert (
        error.replace("compiling the CPU engine, once\n", "") == f"{reason}: the numpy model computes instead, slowly\n"
    )


def test_a_home_that_cannot_be_written_is_no_hindrance(tmp_path: Path) -> None:
    compiler = tmp_path / "fake++"
    compiler.write_text(f'#!/bin/sh\nfor last; do :; done\ncp "{cpu.library()}" "$last"\n')
    compiler.chmod(0o755)
    (tmp_path / "cache").write_text("a file, where root could write into a folder")
    (tmp_path / "tmp").mkdir()
    process = in_a_process(tmp_path, INFER, BNN_CXX=str(compiler), TMPDIR=str(tmp_path / "tmp"))
    assert process.communicate(timeout=LIMIT_S) == ("", "compiling the CPU engine, once\n") and not process.returncode
    folder = next((tmp_path / "tmp").iterdir())
    folder.chmod(0o777)  # others could put there what is run
    process = in_a_process(tmp_path, INFER, BNN_CXX=str(compiler), TMPDIR=str(tmp_path / "tmp"))
    error = process.communicate(timeout=LIMIT_S)[1]
    assert not process.returncode and "is not a folder of this user alone" in error and error.count("\n") == 1
