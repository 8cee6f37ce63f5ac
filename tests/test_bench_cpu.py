"""The benchmark of processors: engines that it compares compute the same network, and what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bnn import cpu, golden
from train import bench_cpu
from train.comparable import comparable


@pytest.mark.parametrize("name", ["CNV", "BinaryNet"])
def test_the_float_network_is_the_same(name: str) -> None:
    model = comparable(name)
    images = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    with torch.inference_mode():
        found = bench_cpu.to_torch(model)(torch.from_numpy(images.astype(np.float32) - 128).permute(0, 3, 1, 2))
    wanted = golden.infer(model, images)
    assert np.array_equal(found.numpy(), wanted)
    bench_cpu.check("torch", model, found.numpy(), wanted)
    with pytest.raises(bench_cpu.BenchError, match=f"torch, {name}: scores differ"):
        bench_cpu.check("torch", model, found.numpy()[::-1], wanted)


def test_rows_and_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bench_cpu, "ENOUGH_S", 0.0)
    monkeypatch.setattr(bench_cpu, "BATCHES", (2,))
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- bench-cpu: made by this -->\nold\n<!-- end of bench-cpu -->\nb\n")
    target = tmp_path / "bench.json"
    options = ["--only", "CNV", "--no-larq", "--rounds", "1", "-o", str(target), "--write", str(page)]
    assert bench_cpu.main(options) == 0
    found = json.loads(target.read_text())
    fields = ["network", "batch", "threads", "engine", "isa", "images_per_s", "peak_share", "memory_bytes"]
    assert all(list(row) == fields and row["network"] == "CNV" and row["batch"] == 2 for row in found)
    assert [(row["engine"], row["threads"]) for row in found] == [
        *[("packed", 1)] * len(cpu.isas()),
        ("packed", 2),
        ("torch", 1),
    ]
    for row in found:
        assert row["images_per_s"] > 0 and row["memory_bytes"] > 0
        assert (row["peak_share"] is None) == (row["engine"] == "torch")
    weights = 4 * 1542848
    assert found[-1]["memory_bytes"] > weights > 18 * found[0]["memory_bytes"]
    text = capsys.readouterr().out
    assert "| CNV | 2 | torch," in text and "1.0×" in text and "peaks of one thread" in text
    assert "old" not in page.read_text() and text.startswith(page.read_text().split("\n", 2)[2].split("<!--")[0][:200])


def test_what_is_a_network_for_all() -> None:
    model = comparable("BinaryNet")
    assert all(layer.flip is None or not layer.flip.any() for layer in model.layers)
    assert {layer.pad_value for layer in model.layers[1:] if layer.pad} == {1}
    with pytest.raises(Exception, match="CNX"):
        comparable("CNX")
