"""C simulation of the HLS core: the C++ of hw_templates/hls, built for one design and run on a program.

    core = build(DESIGNS["sim_small"], Path("build/csim"))
    scores, traces = core.run(pack(placed), images)

``traces`` gives every layer's bits in the terms of docs/ARCHITECTURE.md: key -1 is the
first-layer engine, key j is array layer j. The header files ap_int.h and so on are looked
for in ``ap_types``, in the environment variable ``AP_TYPES``, then in an installed hls4ml.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np

from hls.designs import Design
from hls.render import render_header

SOURCES = Path(__file__).resolve().parent.parent / "hw_templates" / "hls"
POOL, SERIAL, SCORES, DENSE = 8, 16, 32, 64
RUNS = 2
"""Runs of one simulation, back to back."""


class CsimError(Exception):
    """The C simulation cannot be built or run."""


def find_ap_types() -> Optional[Path]:
    """The folder with ap_int.h, or None."""
    folder = os.environ.get("AP_TYPES")
    if folder:
        return Path(folder) if (Path(folder) / "ap_int.h").is_file() else None
    found = importlib.util.find_spec("hls4ml")
    for place in (found.submodule_search_locations or []) if found else []:
        path = Path(place) / "templates" / "vivado" / "ap_types"
        if (path / "ap_int.h").is_file():
            return path
    return None


class Core:
    """A built C simulation of one design."""

    def __init__(self, design: Design, binary: Path) -> None:
        self.design = design
        self.binary = binary

    def run(
        self, program: bytes, images: np.ndarray, trace: bool = True
    ) -> Tuple[np.ndarray, Dict[int, np.ndarray]]:
        """Run a program twice in one process and check that both runs agree.

        Args:
            program: the bytes of program.bin.
            images: uint8 (N, H, W, C).
            trace: whether to return the layers' bits.

        Returns:
            Scores int32 (N, classes), and every layer's bits, uint8 (N, H, W, C), (N, 1, 1, C) after dense
            layers and in pack mode.

        Raises:
            CsimError: the core reports an error, or its runs differ.
        """
        header = np.frombuffer(program, "<u4", 32)
        count, size = len(images), int(header[16])
        rows = np.zeros((count, size), np.uint8)
        pixels = int(np.prod(images.shape[1:]))
        rows[:, :pixels] = images.reshape(count, pixels)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "program.bin").write_bytes(program)
            (folder / "images.bin").write_bytes(rows.tobytes())
            command = [str(self.binary), "program.bin", "images.bin", str(count), "scores.bin"]
            done = subprocess.run(
                command + (["trace.bin"] if trace else []), cwd=folder, capture_output=True, text=True
            )
            if done.returncode:
                raise CsimError(f"{self.binary}: {done.stderr.strip() or f'exit status {done.returncode}'}")
            scores = np.fromfile(folder / "scores.bin", "<i4").reshape(RUNS, count, int(header[17]))
            content = (folder / "trace.bin").read_bytes() if trace else b""
        if (scores != scores[0]).any():
            raise CsimError("the scores of two runs back to back differ")
        traces = [self._decode(program, content, number) for number in range(RUNS)]
        for layer, bits in traces[0].items():
            if (bits != traces[1][layer]).any():
                raise CsimError(f"the bits of layer {layer} differ between two runs back to back")
        return scores[0], traces[0]

    def _decode(self, program: bytes, content: bytes, run: int) -> Dict[int, np.ndarray]:
        lanes, simd = self.design.lanes, self.design.simd
        parts: Dict[int, List[np.ndarray]] = {}
        at = 0
        while at < len(content):
            number, layer, _, count, first, words, _ = np.frombuffer(content, "<i4", 7, at).tolist()
            size = lanes * words * simd // 8
            raw = np.frombuffer(content, np.uint8, size, at + 28)
            at += 28 + size
            if number == run:
                memory = np.unpackbits(raw, bitorder="little").reshape(lanes, words, simd)
                parts.setdefault(layer - 1, []).append(self._bits(program, layer - 1, memory, first, count))
        return {layer: np.concatenate(bits) for layer, bits in parts.items()}

    def _bits(self, program: bytes, layer: int, memory: np.ndarray, first: int, count: int) -> np.ndarray:
        """The bits of one record (N, H, W, C), from memory (LANES, words, SIMD)."""
        header = np.frombuffer(program, "<u4", 32)
        lanes = self.design.lanes
        if layer < 0:
            step = 2 if int(header[21]) >> 9 & 1 else 1
            image_stride, row_stride, words = header[25:28].tolist()
            by_image = not header[15]
            shape = (int(header[22] & 0xFFFF) // step, int(header[22] >> 16) // step, int(header[15]))
            if by_image:
                shape = (1, 1, int(header[28]))
        else:
            item = np.frombuffer(program, "<u4", 32, int(header[9]) + 128 * layer)
            flags = int(item[0])
            image_stride, row_stride, words = item[12:15].tolist()
            by_image = bool(flags & (SERIAL | DENSE))
            shape = (int(item[3]) // (2 if flags & POOL else 1), int(item[18]), int(item[17]))
            if flags & DENSE:
                shape = (1, 1, int(item[17]))
        height, width, channels = shape
        bits = np.zeros((count, *shape), np.uint8)
        for image, y, x in np.ndindex(count, height, width):
            if by_image:
                lane, block = (first + image) % lanes, (first + image) // lanes
                address = block * image_stride + (y * width + x) * words
            else:
                lane, address = x % lanes, image * image_stride + y * row_stride + x // lanes * words
            bits[image, y, x] = memory[lane, address : address + words].reshape(-1)[:channels]
        return bits


def build(design: Design, folder: Path, ap_types: Optional[Path] = None, compiler: str = "g++") -> Core:
    """Render bnn_design.h into `folder` and build the C simulation there.

    Raises:
        CsimError: the headers or the compiler are missing, or the compiler reports an error.
    """
    ap_types = ap_types or find_ap_types()
    if ap_types is None:
        raise CsimError("ap_int.h: not found, expected in the folder AP_TYPES or in an installed hls4ml")
    if shutil.which(compiler) is None:
        raise CsimError(f"{compiler}: not found")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bnn_design.h").write_text(render_header(design))
    binary = folder.resolve() / "csim"
    command = [compiler, "-std=c++14", "-O2", "-Wall", "-Wno-unknown-pragmas", "-Wno-unused-label"]
    command += ["-Wno-uninitialized", "-isystem", str(ap_types), "-I", str(folder), "-I", str(SOURCES)]
    command += [str(SOURCES / name) for name in ("bnn_top.cpp", "csim_main.cpp")]
    done = subprocess.run(command + ["-o", str(binary)], capture_output=True, text=True)
    if done.returncode:
        raise CsimError(f"{compiler}: {done.stderr.strip()}")
    return Core(design, binary)
