"""Inference in the memory of a board, 512 MB: images pass through in parts, and nothing grows with them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import board_memory
import numpy as np
import pytest
from PIL import Image

from bnn.images import MAX_PIXELS

ROOT = Path(__file__).resolve().parent.parent
EMULATED = sys.maxsize < 1 << 32
IMAGES = {"cnv": 600, "binarynet": 80} if EMULATED else {"cnv": 10_000, "binarynet": 10_000}
"""On the emulated processor as many as take about a minute."""
GROWTH_KIB = 1024


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    # of the BLAS that numpy uses every thread takes address space
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(board_memory.__file__)), *map(str, arguments)]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)


def test_the_limit_holds(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((400, 640, 640, 4), np.uint8))
    done = run("infer", "--cpu", "--model", "models/cnv.npz", "--images", tmp_path / "x.npy")
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith(f"error: {tmp_path / 'x.npy'}: does not fit the memory")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "I;16", "F"])
def test_the_largest_picture_is_read(tmp_path: Path, mode: str) -> None:
    size = (1024, 1024) if EMULATED else (8192, MAX_PIXELS // 8192)
    Image.new(mode, size).save(tmp_path / "a.tif", compression="tiff_deflate")
    done = run("infer", "--cpu", "--model", "models/cnv.npz", "--images", tmp_path / "a.tif")
    assert not done.returncode, done.stderr


@pytest.mark.parametrize("name", IMAGES)
def test_memory_does_not_grow_with_the_images(name: str) -> None:
    done = run(name, IMAGES[name])
    assert not done.returncode, done.stderr
    half, whole = map(int, done.stdout.split())
    assert whole - half < GROWTH_KIB, (half, whole)
    assert whole < board_memory.BYTES >> 10


def test_the_command_takes_all_of_a_test_set(tmp_path: Path) -> None:
    count = IMAGES["cnv"]
    rng = np.random.default_rng(2)
    np.savez(tmp_path / "x.npz", x=rng.integers(0, 256, (count, 32, 32, 3), np.uint8), y=rng.integers(0, 10, count))
    done = run(
        "infer", "--cpu", "--model", "models/cnv.npz", "--images", tmp_path / "x.npz", "--csv", tmp_path / "out.csv"
    )
    assert not done.returncode, done.stderr
    assert len((tmp_path / "out.csv").read_text().splitlines()) == count + 1
