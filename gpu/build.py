"""The library of hw_templates/gpu, compiled by nvcc for a GPU or by g++ for the simulated one, kept by content."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bnn.errors import ExpectedError, line
from bnn.paths import BUILD, plain

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "hw_templates" / "gpu"
BUILT = BUILD / "gpu"
MAIN = "bnn_gpu.cu"
ARCHITECTURES = ("80", "90")
"""Compute capabilities with machine code of their own; 8.6 and 8.9 run that of 8.0, later ones translate its PTX."""
COMMON = ("-std=c++17", "-shared")
NVCC_FLAGS = (*COMMON, "-O3", "-Xcompiler=-fPIC,-Wall", "--cudart=static", "--threads=2", "-Werror=all-warnings")
GXX_FLAGS = (*COMMON, "-O2", "-fPIC", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas")
TIMEOUT_S = 900


class GpuError(ExpectedError):
    """There is no GPU, or no compiler for it, or it refuses something; one line says why."""


def find_nvcc() -> str:
    """Path of nvcc: of the variable NVCC, on PATH, in CUDA_HOME, or of the package nvidia-cuda-nvcc.

    Raises:
        GpuError: none of them.
    """
    given = os.environ.get("NVCC")
    if given:
        found = shutil.which(given)
        if found is None:
            raise GpuError(f"NVCC: is {given}, expected a program")
        return found
    packages = Path(sysconfig.get_path("purelib")) / "nvidia"
    folders = [os.environ.get("PATH", os.defpath), os.path.join(os.environ.get("CUDA_HOME", "/usr/local/cuda"), "bin")]
    folders += [str(path) for path in sorted(packages.glob("cu[0-9]*/bin"), reverse=True)]
    for folder in folders:
        found = shutil.which("nvcc", path=folder)
        if found is not None:
            return found
    raise GpuError("nvcc is not on PATH, not in CUDA_HOME and not installed: pip install nvidia-cuda-nvcc brings it")


def _nvcc() -> str:
    """nvcc by a plain path, as it gives paths to a shell."""
    return str(plain(Path(find_nvcc())))


def why_no_gpu() -> str | None:
    """Why nothing can run on a GPU here, by its driver; None: something can."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "there is no driver of an NVIDIA GPU (libcuda.so.1)"
    code = driver.cuInit(0)
    if code:
        return f"the driver of the NVIDIA GPU does not start (cuInit gives {code})"
    count = ctypes.c_int()
    if driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return "the driver finds no NVIDIA GPU"
    return None


def _run(command: Sequence[str]) -> str:
    """What a compiler prints, on either stream."""
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GpuError(f"{command[0]}: {line(error)}") from None
    if done.returncode:
        lines = [text for text in done.stdout.splitlines() if "error" in text or "fatal" in text]
        raise GpuError(f"{Path(command[0]).name} fails on {MAIN}: {(lines or ['no message'])[0].strip()[:200]}")
    return done.stdout


def targets() -> list[str]:
    """Options for nvcc: machine code for every architecture, and PTX for those to come."""
    options = [f"-gencode=arch=compute_{item},code=sm_{item}" for item in ARCHITECTURES]
    return [*options, f"-gencode=arch=compute_{ARCHITECTURES[0]},code=compute_{ARCHITECTURES[0]}"]


def library(simulated: bool, options: Sequence[str] = ()) -> Path:
    """The compiled library; it is compiled if it is not there yet.

    Args:
        simulated: by g++, with a simulated GPU; else by nvcc.
        options: more options for the compiler.

    Raises:
        GpuError: no compiler, or it fails.
    """
    if simulated:
        command = ["g++", *GXX_FLAGS, *options, "-x", "c++"]
    else:
        command = [_nvcc(), *NVCC_FLAGS, *targets(), *options]
    digest = hashlib.sha256("\0".join([*command, _run([command[0], "--version"])]).encode())
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    target = BUILT / f"bnn_gpu-{digest.hexdigest()[:16]}.so"
    if target.is_file():
        return target
    BUILT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILT) as folder:  # two processes may both compile, one file stays
        output = Path(folder) / target.name
        _run([*command, str(plain(SOURCES / MAIN)), "-o", str(plain(output))])
        os.replace(output, target)
    return target


def resources() -> str:
    """What ptxas says of every kernel and architecture: registers, stack, spills.

    Raises:
        GpuError: no nvcc, or it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [_nvcc(), *NVCC_FLAGS, *targets()[:-1], "-Xptxas=-v", str(plain(SOURCES / MAIN))]
        return _run([*command, "-o", str(plain(Path(folder) / "bnn_gpu.so"))])
