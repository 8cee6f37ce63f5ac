"""Readers in C++, fed by libFuzzer or, by any compiler, with files: the CPU engine and the C simulation."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fuzz import targets

from bnn import cpu
from bnn.random_models import random_graph
from hls.ap_types import find_ap_types
from hls.render import render_header
from sim import hls_csim

HERE = Path(__file__).resolve().parent
SANITIZERS = ["-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@dataclass(frozen=True)
class Native:
    """What is compiled, with its options, and files to begin with."""

    sources: Callable[[], list[Path]]
    options: Callable[[Path], list[str]]
    seeds: Callable[[], Iterator[bytes]]


def fuzzer() -> str | None:
    """A clang with libFuzzer: Debian's, as PyPI's has none."""
    for name in ("clang++", *(f"clang++-{version}" for version in range(21, 10, -1))):
        path = shutil.which(name)
        if path:
            found = subprocess.run(
                [path, "-print-file-name=libclang_rt.fuzzer-x86_64.a"], capture_output=True, text=True
            )
            if Path(found.stdout.strip()).is_file():
                return path
    return None


def missing() -> str:
    """What keeps these from being fuzzed; "": nothing."""
    return "" if fuzzer() else "needs clang with libFuzzer (Debian: clang libclang-rt-14-dev)"


def build(name: str, folder: Path, fuzzer_too: bool) -> Path:
    """The program that feeds a reader: libFuzzer, or one that takes files.

    Raises:
        RuntimeError: the compiler fails.
    """
    native, binary = FORMATS[name], folder / ("fuzz" if fuzzer_too else "replay")
    folder.mkdir(parents=True, exist_ok=True)
    compiler = (fuzzer() or "clang++") if fuzzer_too else "g++"
    flags = [flag.replace("address", "fuzzer,address") for flag in SANITIZERS] if fuzzer_too else SANITIZERS
    more = [] if fuzzer_too else [HERE / "replay.cpp"]
    command = [compiler, *flags, *native.options(folder), *map(str, [*native.sources(), *more]), "-o", str(binary)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{compiler}: {done.stderr[-2000:]}")
    return binary


def _engine_sources() -> list[Path]:
    return [HERE / "engine.cpp", *(path for path in cpu.sources() if path.suffix == ".cpp")]


def _engine_seeds() -> Iterator[bytes]:
    yield cpu.pack(targets.small())
    for seed in range(8):
        yield cpu.pack(random_graph(seed))


def _simulation_options(folder: Path) -> list[str]:
    (folder / "bnn_design.h").write_text(render_header(targets.DESIGN, None))
    # what the header files of ap_int do, they do in every simulation
    return [
        "-std=c++14",
        "-w",
        "-fno-sanitize=shift",
        "-isystem",
        str(find_ap_types()),
        f"-I{folder}",
        f"-I{hls_csim.SOURCES}",
    ]


FORMATS = {
    "engine": Native(_engine_sources, lambda folder: ["-std=c++17", "-pthread", f"-I{cpu.SOURCES}"], _engine_seeds),
    "simulation": Native(
        lambda: [HERE / "simulation.cpp", hls_csim.SOURCES / "bnn_top.cpp"], _simulation_options, targets.seeds_program
    ),
}
