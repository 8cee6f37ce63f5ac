"""C simulation of the HLS core: the C++ of hw_templates/hls, built for one design and run on a program.

    core = build(DESIGNS["sim_small"], Path("build/csim"))
    scores, traces = core.run(pack(placed), images)

`traces` gives every layer's bits in the terms of docs/ARCHITECTURE.md: key -1 is the
first-layer engine, key j is array layer j. The header files ap_int.h and so on are looked
for in `ap_types`, in the environment variable `AP_TYPES`, then in an installed hls4ml.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Dict, Optional, Sequence, Tuple

import numpy as np

from bnn.errors import ExpectedError
from bnn.golden import Output
from bnn.program import image_bytes, score_columns
from hls.ap_types import find_ap_types
from hls.designs import Design
from hls.render import render_header
from sim.builds import build_folder
from sim.core_io import RUNS, Stats, decode, same_runs

SOURCES = Path(__file__).resolve().parent.parent / "hw_templates" / "hls"
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wno-unknown-pragmas", "-Wno-unused-label"]
# g++ finds members of ap_int that its constructors leave open, in the header files themselves
WARNINGS += ["-Wno-uninitialized", "-Wno-maybe-uninitialized"]
THREADS_SOURCES = Path(__file__).resolve().parent / "hls_threads"
THREADS = ["-DBNN_CSIM_THREADS", "-pthread", "-I", str(THREADS_SOURCES)]
"""Flags of a simulation whose processes run at the same time, joined by FIFOs of two elements."""


class CsimError(ExpectedError):
    """The C simulation cannot be built or run."""


class HlsSimulation:
    """A built C simulation of one design; `stats` is that of the last run."""

    def __init__(self, design: Design, binary: Path) -> None:
        self.design = design
        self.binary = binary
        self.stats: Optional[Stats] = None

    def run(self, program: bytes, images: np.ndarray, trace: bool = True) -> Tuple[np.ndarray, Dict[int, Output]]:
        """Run a program twice in one process and check that both runs agree.

        Args:
            program: the bytes of program.bin.
            images: uint8 (N, H, W, C).
            trace: whether to return what the layers have written.

        Returns:
            Scores int32 (N, classes), and what every layer has written, as `sim.core_io.decode` gives it.

        Raises:
            CsimError: the images do not fit the program, the core reports an error, or its runs differ.
        """
        count = len(images)
        try:
            rows, classes = image_bytes(program, images), score_columns(program)
        except ExpectedError as error:
            raise CsimError(str(error)) from error
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "program.bin").write_bytes(program)
            (folder / "images.bin").write_bytes(rows)
            command = [str(self.binary), "program.bin", "images.bin", str(count), "scores.bin"]
            done = subprocess.run(
                command + (["trace.bin"] if trace else []), cwd=folder, capture_output=True, text=True
            )
            if done.returncode:
                raise CsimError(f"{self.binary}: {done.stderr.strip() or f'exit status {done.returncode}'}")
            scores = np.fromfile(folder / "scores.bin", "<i4").reshape(RUNS, count, classes)
            content = (folder / "trace.bin").read_bytes() if trace else b""
        traces = [decode(self.design, program, content, number) for number in range(RUNS)]
        different = same_runs(list(scores), traces)
        if different:
            raise CsimError(different)
        words = done.stdout.split()
        figures = {name: int(value) for name, value in zip(words[::2], words[1::2])}  # noqa: B905
        self.stats = Stats(figures["busy"], cycles=figures.get("cycles") or None)
        return scores[0], traces[0]


Core = HlsSimulation
"""As scripts outside call it."""


def build(
    design: Design,
    folder: Path,
    ap_types: Optional[Path] = None,
    compiler: str = "g++",
    flags: Sequence[str] = (),
    sources: Path = SOURCES,
    first: Optional[Dict[str, Dict[str, str]]] = None,
) -> HlsSimulation:
    """Render bnn_design.h and build the C simulation in a folder of its own in `folder`, unless it is there.

    Args:
        design: parameters of the core.
        folder: of all builds, see `sim.builds`; the binary is `csim`, what the compiler said `log` beside it.
        ap_types: folder with ap_int.h, looked for if None.
        compiler: g++ or clang++.
        flags: more options of the compiler, before its others.
        sources: folder of the C++ sources.
        first: files of a wired first layer, of `hls.wired.first.sources`.

    Raises:
        CsimError: the headers or the compiler are missing, or the compiler reports an error.
    """
    ap_types = ap_types or find_ap_types()
    if ap_types is None:
        raise CsimError("ap_int.h: not found, expected in the folder AP_TYPES or in an installed hls4ml")
    if shutil.which(compiler) is None:
        raise CsimError(f"{compiler}: not found")
    files = {"bnn_design.h": render_header(design, first), **(first["hls"] if first else {})}
    options = [compiler, "-std=c++14", *WARNINGS, "-O2", *flags, "-isystem", str(ap_types)]
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
    digest = hashlib.sha256(json.dumps([version, options, files]).encode())
    for path in sorted([*sources.glob("*"), *THREADS_SOURCES.glob("*")]):
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    with build_folder(folder, digest.hexdigest()) as place:
        binary = place / "csim"
        if not binary.is_file():
            for name, text in files.items():
                (place / name).write_text(text)
            made = place / "made"
            command = [*options, "-I", str(place), "-I", str(sources)]
            command += [str(sources / name) for name in ("bnn_top.cpp", "csim_main.cpp")]
            done = subprocess.run(command + ["-o", str(made)], capture_output=True, text=True)
            (place / "log").write_text(done.stdout + done.stderr)
            if done.returncode:
                raise CsimError(f"{compiler}: {_errors(done.stderr)}")
            if made.exists():  # not where only the syntax was checked
                os.replace(made, binary)
    return HlsSimulation(design, binary)


def _errors(output: str) -> str:
    """The lines of a compiler's output that say what is wrong, in one."""
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["no message"]
    return "; ".join([line for line in lines if "error:" in line] or lines[:1])
