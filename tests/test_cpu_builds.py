"""The CPU engine as sanitizers and other processors run it: the same bits, and damaged models without harm."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from test_cpu import ROOT, SHIPPED, WIDE, check_trace, images_for

from bnn import cpu, golden
from bnn.model import Model, load
from bnn.random_models import random_graph

COMPILE = ["-std=c++17", "-pthread", f"-I{cpu.SOURCES}"]
SANITIZERS = ["-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
ARM = {"aarch64": "aarch64-linux-gnu", "arm": "arm-linux-gnueabihf"}
"""QEMU's name of a processor, and that of its compiler: ARMv8, and ARMv7 as on the board."""


def models() -> list[Model]:
    return [*(random_graph(seed) for seed in range(24)), *(random_graph(seed, sizes=WIDE) for seed in range(2))]


def build(compiler: str, flags: list[str], binary: Path) -> Path:
    sources = [path for path in cpu.sources() if path.suffix == ".cpp"]
    command = [compiler, *COMPILE, *flags, *map(str, sources), str(ROOT / "tests" / "cpu_drive.cpp"), "-o", str(binary)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return binary


def run(command: list[str], isa: str, folder: Path, cases: list[Model], rounds: int) -> str:
    """The driver's line on the models of a folder, after its traces were compared with the golden model's."""
    folder.mkdir(exist_ok=True)
    given = [images_for(model, 3) for model in cases]
    for index, (model, images) in enumerate(zip(cases, given, strict=True)):
        (folder / f"{index}.model").write_bytes(cpu.pack(model))
        (folder / f"{index}.images").write_bytes(images.tobytes())
    done = subprocess.run(
        [*command, isa, str(folder), str(len(cases)), str(rounds)], capture_output=True, text=True, timeout=500
    )
    assert not done.returncode, f"{isa}: {done.stderr[-3000:]}"
    for index, (model, images) in enumerate(zip(cases, given, strict=True)):
        raw = np.frombuffer((folder / f"{index}.found").read_bytes(), np.uint8).reshape(len(images), -1)
        check_trace(cpu.unpack_trace(model, raw), golden.trace(model, images), f"{isa}, model {index}")
    return done.stdout


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("g++", SANITIZERS, tmp_path_factory.mktemp("sanitized") / "drive")


def test_sanitizers_find_nothing(sanitized: Path, tmp_path: Path) -> None:
    for isa in cpu.isas():
        line = run([str(sanitized)], isa, tmp_path / isa, models(), 150)
        said = line.split()
        assert said[:2] == ["26", "cases,"] and int(said[4]) == 26 * 150
        assert 26 * 75 < int(said[2]) < 26 * 150, line  # most are refused, some run


@pytest.mark.parametrize("processor", ARM)
def test_neon_under_emulation(processor: str, tmp_path: Path) -> None:
    emulator = shutil.which(f"qemu-{processor}-static") or shutil.which(f"qemu-{processor}")
    compiler = shutil.which(f"{ARM[processor]}-g++")
    if not emulator or not compiler:
        pytest.skip(f"needs Debian's packages qemu-user-static and g++-{ARM[processor]}")
    binary = build(compiler, ["-O3", "-static"], tmp_path / "drive")
    cases = [*models(), *(load(path) for path in SHIPPED)]
    assert run([emulator, str(binary)], "neon", tmp_path / "neon", cases, 10).startswith(f"{len(cases)} cases, ")
    assert run([emulator, str(binary)], "portable", tmp_path / "portable", models()[:8], 10).startswith("8 cases, ")
