"""Driver of the accelerator (docs/ARCHITECTURE.md, "Program" and "Interface").

Needs numpy, and pynq only where a bitstream is loaded. `Accelerator` reaches the
hardware through a backend, an object with

- ``read(offset) -> int`` and ``write(offset, value)``: 32-bit registers of the core,
- ``allocate(shape, dtype)``: a zeroed, physically contiguous array,
- ``address(buffer)``, ``flush(buffer)``, ``invalidate(buffer)``, ``free(buffer)``,
- ``clock_hz``: the core's clock or None where it is unknown,
- ``close()``.
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

CONTROL, PROGRAM, IMAGES, SCORES, COUNT = 0x00, 0x10, 0x1C, 0x28, 0x34
ID, VERSION, GEOMETRY, WEIGHTS, ACTIVATIONS, MAX_LAYERS = 0x40, 0x50, 0x60, 0x70, 0x80, 0x90
CYCLES, BUSY_CYCLES, ERROR = 0xA0, 0xB0, 0xC0
START, DONE, IDLE = 1, 2, 4

CORE_ID = 0x314E4E42
INTERFACE_VERSION = 1
MAGIC = 0x504E4E42
PROGRAM_VERSION = 1
HEADER_WORDS = LAYER_WORDS = 32
ERRORS = {
    0: "no error",
    1: "bad magic or version",
    2: "geometry",
    3: "too many layers",
    4: "AXI error response",
}
SPIN_S = 0.002
SLEEP_S = 0.0005

_abandoned: list[Any] = []  # buffers that a core still running may write to


class HostError(Exception):
    """The accelerator, its program or the images are unusable; one line says what and why."""


class PynqBackend:
    """The hardware: loads the bitstream and gives access to the one core in it.

    Raises:
        HostError: pynq or the bitstream cannot be loaded, or the core is not found.
    """

    def __init__(self, bitfile: str | Path) -> None:
        path = Path(bitfile).resolve()
        if not path.is_file():
            raise HostError(f"{path}: no such bitstream")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an error follows where one matters
            try:
                import pynq
            except Exception as error:  # its dependencies raise many kinds
                raise HostError(f"pynq cannot be imported: {_line(error)}") from None
            try:
                overlay = pynq.Overlay(str(path))
                blocks = dict(overlay.ip_dict)
            except Exception as error:
                raise HostError(f"{path}: cannot be loaded: {_line(error)}") from None
        name = find_core(blocks)
        self._pynq = pynq
        self._overlay: Any = overlay
        self._mmio = pynq.MMIO(blocks[name]["phys_addr"], blocks[name]["addr_range"])

    @property
    def clock_hz(self) -> float | None:
        """Frequency of the first PL clock, which drives the core."""
        try:
            return float(self._pynq.Clocks.fclk0_mhz) * 1e6
        except Exception:  # not every platform lets the clock be read
            return None

    def read(self, offset: int) -> int:
        """Read a register."""
        return int(self._mmio.read(offset))

    def write(self, offset: int, value: int) -> None:
        """Write a register."""
        self._mmio.write(offset, int(value))

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Allocate a zeroed, physically contiguous array."""
        buffer = self._pynq.allocate(shape=shape, dtype=dtype)
        buffer[...] = 0
        return buffer

    def address(self, buffer: Any) -> int:
        """Physical address of an array."""
        return int(buffer.physical_address)

    def flush(self, buffer: Any) -> None:
        """Make what the processor wrote visible to the core."""
        buffer.flush()

    def invalidate(self, buffer: Any) -> None:
        """Make what the core wrote visible to the processor."""
        buffer.invalidate()

    def free(self, buffer: Any) -> None:
        """Give an array's memory back."""
        buffer.freebuffer()

    def close(self) -> None:
        """Let go of the overlay; the bitstream stays loaded."""
        self._overlay = None


def find_core(blocks: dict[str, Any]) -> str:
    """Name of the only block of an overlay whose name or type holds "bnn".

    Raises:
        HostError: there is none or more than one; the message lists the blocks.
    """
    found = [
        name
        for name, block in blocks.items()
        if "phys_addr" in block and "bnn" in f"{name} {block.get('type', '')}".lower()
    ]
    if len(found) != 1:
        listed = ", ".join(sorted(found or blocks)) or "nothing"
        raise HostError(f"overlay: expected one block named bnn, found {len(found)} ({listed})")
    return found[0]


def _line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0]


class Program:
    """The fields of ``program.bin`` that the host needs.

    Raises:
        HostError: the file is missing, damaged or of another version.
    """

    def __init__(self, path: str | Path) -> None:
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise HostError(f"{path}: cannot be read ({error.strerror})") from None
        self.path = str(path)
        if len(content) < 4 * HEADER_WORDS or len(content) % 8:
            raise HostError(f"{path}: {len(content)} bytes, expected a multiple of 8 from {4 * HEADER_WORDS}")
        self.words = np.frombuffer(content, "<u4")
        head = [int(word) for word in self.words[:HEADER_WORDS]]
        for what, got, wanted in (
            ("magic", f"0x{head[0]:08X}", f"0x{MAGIC:08X}"),
            ("version", head[1], PROGRAM_VERSION),
            ("size", len(content), head[3]),
        ):
            if got != wanted:
                raise HostError(f"{path}: {what} is {got}, expected {wanted}")
        self.geometry = head[2]
        self.layers, self.layers_a, self.sub_batch, self.batch, self.resident = head[4:9]
        self.weight_words = head[11] + head[13]
        self.image_bytes, self.classes, self.first_pe, self.pixels = head[16:20]
        self.shape = (head[20] & 0xFFFF, head[20] >> 16, head[21] & 0xFF)
        start, elements = head[9] // 4, int(np.prod(self.shape, dtype=np.int64))
        if head[9] % 8 or start + self.layers * LAYER_WORDS > self.words.size:
            raise HostError(f"{path}: descriptors of {self.layers} layers do not fit at byte {head[9]}")
        if not (self.layers and self.classes and elements and self.image_bytes == (elements + 7) // 8 * 8):
            raise HostError(
                f"{path}: {self.layers} layers, {self.classes} classes, image {self.shape} "
                f"in {self.image_bytes} bytes make no program"
            )
        self.descriptors = self.words[start : start + self.layers * LAYER_WORDS].reshape(-1, LAYER_WORDS)

    @property
    def weight_depth(self) -> int:
        """Weight memory needed: all words if resident, the largest group otherwise."""
        if self.resident:
            return self.weight_words
        return max(int(d[15]) + (2 if int(d[0]) >> 5 & 1 else 1) for d in self.descriptors)

    @property
    def act_depth(self) -> int:
        """Activation memory needed: the last word that any layer reads, plus one."""
        lanes, needed = max(self.geometry >> 8 & 0xFF, 1), 0
        for index, layer in enumerate(self.descriptors.astype(np.int64)):
            images = self.sub_batch if index < self.layers_a else self.batch
            if layer[0] >> 6 & 1:
                images, words = -(-images // lanes), layer[2]
            else:
                words = (layer[6] & 0xFFFF) * layer[10]
            end = max(layer[7], layer[8]) + (max(images, 1) - 1) * layer[9] + words
            needed = max(needed, int(end))
        return needed


def _geometry(word: int) -> str:
    return f"PE {word & 0xFF}, SIMD {word >> 16}, LANES {word >> 8 & 0xFF}"


class Accelerator:
    """One accelerator with one program. A context manager; not thread-safe, one process at a time.

    The arrays shared with the core are allocated when first needed and reused;
    a larger batch than any before gets new ones.

    Args:
        bitfile: the bitstream, its ``.hwh`` beside it.
        program_path: ``program.bin``, planned for the same design.
        timeout_s: longest time one run may take.
        backend: stands in for the hardware; the bitstream is not read then.

    Raises:
        HostError: the bitstream or the program cannot be used, or do not fit each other.
    """

    def __init__(
        self,
        bitfile: str | Path,
        program_path: str | Path,
        timeout_s: float = 10.0,
        *,
        backend: Any = None,
    ) -> None:
        if not timeout_s > 0:
            raise HostError(f"timeout is {timeout_s} s, expected more than 0")
        began = time.perf_counter()
        self.program = Program(program_path)
        self.timeout_s = timeout_s
        self.times: dict[str, float] = {}
        """Seconds of the steps: ``load`` once; ``copy``, ``run``, ``read`` and ``total`` of the last `infer`."""
        self._images: Any = None
        self._scores: Any = None
        self._code: Any = None
        self._cycles = self._busy_cycles = 0
        self._running = False
        self._backend = PynqBackend(bitfile) if backend is None else backend
        self._open = True
        try:
            words = self.program.words
            self._code = self._allocate((words.size,), np.uint32)
            self._code[:] = words
            self._backend.flush(self._code)
            self._address(PROGRAM, self._code)
            self._check_core(bitfile)
        except BaseException:
            self.close()
            raise
        self.times["load"] = time.perf_counter() - began

    def __enter__(self) -> Accelerator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def cycles(self) -> int:
        """Clock cycles of the last run (modulo 2**32)."""
        return self._cycles

    @property
    def busy_cycles(self) -> int:
        """Clock cycles of the last run in which the array multiplied."""
        return self._busy_cycles

    @property
    def clock_hz(self) -> float | None:
        """The core's clock, None where it is unknown."""
        return None if self._backend.clock_hz is None else float(self._backend.clock_hz)

    def infer(self, images: np.ndarray) -> np.ndarray:
        """Scores, int32 (N, classes), of uint8 images (N, H, W, C); N may be 0.

        Raises:
            HostError: the images do not suit the program, or the run fails or takes too long.
        """
        if not self._open:
            raise HostError("the accelerator is closed")
        program = self.program
        wanted = f"uint8 (N, {', '.join(map(str, program.shape))})"
        if not isinstance(images, np.ndarray):
            raise HostError(f"images are {type(images).__name__}, expected an array {wanted}")
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != program.shape:
            raise HostError(f"images are {images.dtype.name} {images.shape}, expected {wanted}")
        began = time.perf_counter()
        count = len(images)
        if not count:
            self._cycles = self._busy_cycles = 0
            self.times.update(copy=0.0, run=0.0, read=0.0, total=time.perf_counter() - began)
            return np.zeros((0, program.classes), np.int32)
        self._check_idle()
        self._reserve(count)
        flat = images.reshape(count, -1)
        self._images[:count, : flat.shape[1]] = flat
        self._backend.flush(self._images)
        copied = time.perf_counter()
        self._run(count)
        ran = time.perf_counter()
        self._backend.invalidate(self._scores)
        scores = np.array(self._scores[:count], dtype=np.int32, subok=False)
        read = time.perf_counter()
        self.times.update(copy=copied - began, run=ran - copied, read=read - ran, total=read - began)
        return scores

    def close(self) -> None:
        """Free the buffers; those that a core still running may write to are kept until the process ends."""
        if not self._open:
            return
        self._open = False
        buffers = [buffer for buffer in (self._code, self._images, self._scores) if buffer is not None]
        self._code = self._images = self._scores = None
        try:
            if self._running and not self._finished():
                _abandoned.extend(buffers)
            else:
                for buffer in buffers:
                    self._backend.free(buffer)
        finally:
            self._backend.close()

    def _allocate(self, shape: tuple[int, ...], dtype: Any) -> Any:
        try:
            return self._backend.allocate(shape, dtype)
        except Exception as error:
            size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
            raise HostError(
                f"{size} bytes of contiguous memory cannot be allocated ({_line(error)}); use smaller batches"
            ) from None

    def _reserve(self, count: int) -> None:
        if self._images is not None and count <= len(self._images):
            return
        old = [buffer for buffer in (self._images, self._scores) if buffer is not None]
        self._images = self._scores = None
        for buffer in old:
            self._backend.free(buffer)
        images = self._allocate((count, self.program.image_bytes), np.uint8)
        try:
            scores = self._allocate((count, self.program.classes), np.int32)
        except HostError:
            self._backend.free(images)
            raise
        self._images, self._scores = images, scores
        self._backend.flush(scores)
        self._address(IMAGES, images)
        self._address(SCORES, scores)

    def _address(self, offset: int, buffer: Any) -> None:
        address = self._backend.address(buffer)
        if address % 8:
            raise HostError(f"a buffer lies at 0x{address:X}, expected a multiple of 8")
        self._backend.write(offset, address & 0xFFFFFFFF)
        self._backend.write(offset + 4, address >> 32)

    def _finished(self) -> bool:
        """Whether the run is over; reading clears the done bit."""
        status = self._backend.read(CONTROL)
        if status & DONE or (status & IDLE and not status & START):
            self._running = False
        return not self._running

    def _check_idle(self) -> None:
        if self._running and not self._finished():
            raise HostError("the core still works on an earlier run; load the bitstream again")

    def _run(self, count: int) -> None:
        backend = self._backend
        status = backend.read(CONTROL)  # clears a done bit left over
        if not status & IDLE:
            raise HostError(f"the core is not idle (control 0x{status:X}); load the bitstream again")
        backend.write(COUNT, count)
        self._running = True
        backend.write(CONTROL, START)
        began = time.monotonic()
        while not self._finished():
            waited = time.monotonic() - began
            if waited > self.timeout_s:
                status, code = backend.read(CONTROL), backend.read(ERROR)
                raise HostError(
                    f"no result for {count} images after {self.timeout_s:g} s "
                    f"(control 0x{status:X}, error {code}: {ERRORS.get(code, 'unknown')})"
                )
            if waited > SPIN_S:
                time.sleep(SLEEP_S)
        self._cycles, self._busy_cycles = backend.read(CYCLES), backend.read(BUSY_CYCLES)
        code = backend.read(ERROR)
        if code:
            raise HostError(f"the core reports error {code}: {ERRORS.get(code, 'unknown')}")

    def _check_core(self, bitfile: str | Path) -> None:
        backend, program = self._backend, self.program
        if backend.read(ID) != CORE_ID:
            if backend.read(ID) == 0:  # the HLS core fills its read-only registers in a run
                self._run(0)
            found = backend.read(ID)
            if found != CORE_ID:
                raise HostError(f"{bitfile}: core ID is 0x{found:08X}, expected 0x{CORE_ID:08X}")
        version = backend.read(VERSION)
        if version != INTERFACE_VERSION:
            raise HostError(f"{bitfile}: interface version is {version}, expected {INTERFACE_VERSION}")
        geometry, weights, activations = (backend.read(at) for at in (GEOMETRY, WEIGHTS, ACTIVATIONS))
        if geometry != program.geometry:
            raise HostError(
                f"{program.path} is for {_geometry(program.geometry)}, {bitfile} has {_geometry(geometry)}"
            )
        if weights >> 16 != program.first_pe:
            raise HostError(
                f"{program.path} is for FIRST_PE {program.first_pe}, {bitfile} has FIRST_PE {weights >> 16}"
            )
        limits = [
            ("WEIGHT_DEPTH", program.weight_depth, weights & 0xFFFF),
            ("ACT_DEPTH", program.act_depth, activations & 0xFFFF),
            ("MAX_LAYERS", program.layers, backend.read(MAX_LAYERS)),
            ("IMAGE_PIXELS", program.pixels, activations >> 16),
        ]
        for name, needed, offered in limits:
            if needed > offered:
                raise HostError(f"{program.path} needs {name} {needed}, {bitfile} has {name} {offered}")
