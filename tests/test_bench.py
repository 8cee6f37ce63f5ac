"""The bench: records and tables of networks on the RTL core."""

from __future__ import annotations

import json
import shutil
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest
from helpers.cores import BUILD, SMALL

from bnn import golden, networks
from bnn.geometry import walk
from bnn.networks import Network
from bnn.random_models import random_model
from sim import bench, rtl_sim
from sim.bench import Case

TINY = Network("tiny", 8, 8, 3, ((8, False), (12, True)), (16,), 3, 1, "none")

needs_verilator = pytest.mark.skipif(
    rtl_sim.find_verilator() is None or shutil.which("g++") is None, reason="verilator or g++ is not installed"
)


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> rtl_sim.RtlSimulation:
    monkeypatch.setitem(networks.NETWORKS, "tiny", TINY)
    return rtl_sim.build(SMALL, BUILD / "-".join(f"{value}" for value in astuple(SMALL)[2:-1]))


@needs_verilator
def test_record_of_a_kept_program(core: rtl_sim.RtlSimulation, tmp_path: Path) -> None:
    record = bench.measure(core, Case("tiny", 5), tmp_path)
    assert record["bit_exact"] and record["keep"] and record["weights"] == record["images"] == "random"
    assert record["array_busy_cycles"] + sum(record["waits"].values()) == record["cycles"]
    assert record["waits"]["program"] < 10  # the start itself
    assert record["images_compared_by_layer"] == 4
    seconds = record["cycles"] / (SMALL.clock_mhz * 1e6)
    assert record["latency_ms"] == pytest.approx(1000 * seconds, rel=0.01)
    assert record["images_per_s"] == pytest.approx(5 / seconds, rel=0.01)
    array = 8 * 8 * 12 * 72 + 16 * 4 * 4 * 12 + 3 * 16
    assert record["macs_per_image"] == array + 8 * 8 * 8 * 27
    assert record["array_utilisation"] == pytest.approx(5 * array / (record["cycles"] * 1024), abs=1e-4)
    text = bench.tables([record])
    assert "| tiny, 5 (random weights, program kept) |" in text and "first layer" in text
    json.dumps(record)


@needs_verilator
def test_streamed_weights(core: rtl_sim.RtlSimulation, tmp_path: Path) -> None:
    record = bench.measure(core, Case("LFC", 6), tmp_path, traced=2)
    assert record["bit_exact"] and not record["keep"] and record["waits"]["program"] > 0
    assert abs(record["predicted_cycles"] / record["cycles"] - 1) < 0.02 and "1.0 GB/s" in bench.tables([record])
    slow = bench.measure(core, Case("LFC", 6), tmp_path, traced=2, memory=rtl_sim.Memory(bandwidth=5e8))
    assert abs(slow["predicted_cycles"] / slow["cycles"] - 1) < 0.02 and "0.5 GB/s" in bench.tables([slow])
    assert slow["cycles"] > 1.2 * record["cycles"]
    # with few images the bus is what a run waits for
    assert record["waits"]["weights"] == max(record["waits"].values()) > record["cycles"] / 3


@needs_verilator
def test_differences_are_found(
    core: rtl_sim.RtlSimulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    trace, infer = golden.trace, golden.infer

    def wrong_bit(model, images):
        result = trace(model, images)
        result["conv2"][1, 0, 0, 3] ^= 1
        return result

    with monkeypatch.context() as patch:
        patch.setattr(golden, "trace", wrong_bit)
        assert not bench.measure(core, Case("tiny", 3), tmp_path)["bit_exact"]
    assert "conv2: image 1" in capsys.readouterr().err
    monkeypatch.setattr(golden, "infer", lambda model, images: infer(model, images) + (np.arange(3) == 2)[:, None])
    assert not bench.measure(core, Case("tiny", 3), tmp_path)["bit_exact"]
    assert "1 of 3 images differ" in capsys.readouterr().err


def test_multiplications() -> None:
    counts = [item.macs for item in walk(networks.network("BinaryNet"))]
    assert counts == [3538944, 150994944, 75497472, 150994944, 75497472, 150994944, 8388608, 1048576, 10240]
    assert walk(networks.network("CNV"))[0].macs == 30 * 30 * 64 * 27


def test_shipped_models_have_the_topology() -> None:
    for name in {case.network for case in bench.CASES}:
        network = networks.network(name)
        model, weights = bench.find(network, bench.ROOT / "models")
        assert weights in ("trained", "random")
        shape = [layer.weights.shape for layer in random_model(network).layers]
        assert [layer.weights.shape for layer in model.layers] == shape
    for case in bench.CASES:
        if case.shipped:
            model, weights = case.model(bench.ROOT / "models")
            drawn, other = replace(case, shipped="").model(bench.ROOT / "models")
            assert (weights, other) == ("trained", "random")
            assert [(item.weights.shape, len(item.limits)) for item in model.layers] == [
                (item.weights.shape, len(item.limits)) for item in drawn.layers
            ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--only", "AlexNet:1"],
        ["--only", "CNV:0"],
        ["--only", "CNV"],
        ["--design", "none"],
        ["--traced", "0"],
        ["--bandwidth", "0"],
    ],
)
def test_bad_arguments(arguments: list[str], capsys: pytest.CaptureFixture) -> None:
    assert bench.main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
