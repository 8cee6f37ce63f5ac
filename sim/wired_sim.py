"""Simulation of a wired network: its SystemVerilog under Verilator, or its HLS C++ under g++.

run = run_rtl(folder, model, images)     # folder: written by hls.wired.network.write
print(run.scores, run.latency, run.period)
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from bnn.errors import ExpectedError
from bnn.files import move
from bnn.model import Model
from bnn.paths import build_place, plain
from hls.ap_types import find_ap_types
from hls.wired import rows
from hls.wired.beats import PIXEL, Beat, beats
from sim.rtl_sim import find_verilator, verilator_environment

HARNESS = Path(__file__).resolve().parent / "wired" / "wired_sim.cpp"
TOP = "wired_top"


class WiredSimError(ExpectedError):
    """The simulation cannot be built or run; one line."""


class WiredRun(NamedTuple):
    """Scores int32 (N, classes); cycles from the first beat to the last score of the first image; cycles per image
    after it, 0 for a single image. The cycles are 0 in C simulation."""

    scores: np.ndarray
    latency: int
    period: float


def run_rtl(folder: Path, model: Model, images: np.ndarray, beat: Beat = PIXEL) -> WiredRun:
    """Build `folder/rtl` with Verilator and send the images, uint8 (N, H, W, C), without a pause.

    `beat` is that of the design.

    Raises:
        WiredSimError: the build or the run fails.
    """
    sources = sorted((folder / "rtl").glob("*.sv"))
    if not sources:
        raise WiredSimError(f"{folder / 'rtl'}: holds no .sv files")
    program = find_verilator()
    if program is None:
        raise WiredSimError("verilator: not found, expected as the installed package verilator or on the path")
    flags = ["--cc", "--exe", "--build", "-j", "2", "-Wno-fatal", "--top-module", TOP]
    # a few thousand cycles: compiling takes far longer than running
    flags += ["--x-assign", "fast", "--x-initial", "fast", "--output-split", "20000", "-CFLAGS", "-std=c++17 -O0"]
    environment = dict(verilator_environment(program), MAKEFLAGS="CFG_CXXFLAGS_PCH_I=-include")
    binary = folder / "wired_sim"
    with build_place(folder / "sim") as place:
        files = [str(plain(path)) for path in [*sources, HARNESS]]
        _call([str(program), *flags, "-Mdir", str(place), *files], folder, environment)
        move(place / f"V{TOP}", binary)
    sent, count = rows.pack(model, images, beat), beats(model, beat)
    sizes = [str(count), str(sent.shape[1] // count), str(len(model.classes))]
    text, scores = _scores([str(binary.resolve())], model, sent, sizes)
    latency, rest = (int(word) for word in text.split())
    return WiredRun(scores, latency, rest / (len(images) - 1) if len(images) > 1 else 0.0)


def run_hls(folder: Path, model: Model, images: np.ndarray, compiler: str = "g++") -> WiredRun:
    """Build `folder/hls` with g++ and the Xilinx headers and send the images, uint8 (N, H, W, C).

    Raises:
        WiredSimError: the headers are missing, or the build or the run fails.
    """
    ap_types = find_ap_types()
    if ap_types is None:
        raise WiredSimError("ap_int.h: not found, expected in the folder AP_TYPES or in an installed hls4ml")
    hls = folder / "hls"
    command = [compiler, "-std=c++14", "-O0", "-Wno-unknown-pragmas", "-isystem", str(ap_types), "-I", str(hls)]
    command += [str(hls / "wired_top.cpp"), str(hls / "wired_main.cpp"), "-o", str(folder / "wired_main")]
    _call(command, folder)
    _, scores = _scores([str((folder / "wired_main").resolve())], model, images, [])
    return WiredRun(scores, 0, 0.0)


def _call(command: List[str], folder: Path, environment: Optional[Dict[str, str]] = None) -> str:
    if shutil.which(command[0]) is None:
        raise WiredSimError(f"{command[0]}: not found")
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit status {done.returncode}"]
        wrong = [line for line in lines if "rror" in line] or lines
        raise WiredSimError(f"{folder}: {wrong[0]}")
    return done.stdout


def _scores(command: List[str], model: Model, images: np.ndarray, sizes: List[str]) -> Tuple[str, np.ndarray]:
    with tempfile.TemporaryDirectory() as name:
        source, target = Path(name) / "images", Path(name) / "scores"
        source.write_bytes(np.ascontiguousarray(images).tobytes())
        text = _call([*command, str(source), str(len(images)), *sizes, str(target)], Path(command[0]).parent)
        return text, np.fromfile(target, "<i4").reshape(len(images), len(model.classes))
