"""Driver of the accelerator (docs/ARCHITECTURE.md, "Program" and "Interface").

Needs numpy, and pynq only where a bitstream is loaded. `Accelerator` reaches the hardware through a
`host.backend.Backend`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from bnn.contract import CORE_ID, INTERFACE_VERSION, Error, Header, Register, Registers

from .backend import Backend, PynqBackend
from .errors import HostError, line
from .program import Program

ROOT = Path(__file__).resolve().parent.parent
BATCH = 256
"""Images of a run where the caller does not say."""
SPIN_S = 0.002
SLEEP_S = 0.0005
LONGEST_SLEEP_S = 0.02
LONGEST_PAUSE_S = 0.25

_START, _DONE, _IDLE = Registers.start.mask, Registers.done.mask, Registers.idle.mask
_abandoned: list[Any] = []  # buffers that a core still running may write to


def pack(model: str | Path, bitfile: str | Path, batch: int = 64) -> bytes:
    """The program of a model for the design that the bitstream is named after, as `bnn plan` packs it.

    The planner runs as a command of its own: the host does not import it, and a board does not have it.

    Raises:
        HostError: the planner is not there, or refuses the model or the design.
    """
    design = Path(bitfile).stem
    if not (ROOT / "hls" / "__main__.py").is_file():
        raise HostError(
            f"{model}: is a model, and there is no planner here; "
            f"pack it with bnn plan {Path(model).name} --design {design} -o DIR and give DIR/program.bin"
        )
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "hls", str(Path(model).resolve()), "--design", design]
        done = subprocess.run(
            [*command, "--batch", str(batch), "-o", folder],
            cwd=ROOT,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            raise HostError(f"{model}: cannot be packed: {last[7:] if last.startswith('error: ') else last}")
        return (Path(folder) / "program.bin").read_bytes()


def read_program(path: str | Path, bitfile: str | Path) -> Program:
    """A program's file, or that of a model, which is packed.

    Raises:
        HostError: it is neither, or cannot be packed.
    """
    return Program(path, pack(path, bitfile) if zipfile.is_zipfile(str(path)) else None)


def _geometry(of: Header | Registers) -> str:
    return f"PE {of.pe}, SIMD {of.simd}, LANES {of.lanes}"


class _Slot:
    """A pair of arrays shared with the core: the images of a run and its scores."""

    def __init__(self, images: Any, scores: Any, addresses: tuple[int, int]) -> None:
        self.images, self.scores, self.addresses = images, scores, addresses


class Accelerator:
    """One accelerator with one program. A context manager; for one thread at a time, one process at a time.

    The arrays shared with the core are allocated when first needed and reused; a larger batch than any before
    gets new ones. Of several batches the next is written while the core works on one.

    Args:
        bitfile: the bitstream, its `.hwh` beside it.
        program_path: `program.bin`, planned for the same design, or `model.npz`, which is packed with
            `pack` where the planner is at hand.
        timeout_s: longest time one run may take.
        board: address of a board; see `host.backend`.
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
        board: str | None = None,
        backend: Backend | None = None,
    ) -> None:
        if not timeout_s > 0:
            raise HostError(f"timeout is {timeout_s} s, expected more than 0")
        began = time.perf_counter()
        self.program = read_program(program_path, bitfile)
        self.timeout_s = timeout_s
        self.times: dict[str, float] = {}
        """Seconds of the steps: `load` once; `copy`, `run`, `read` and `total` of the last `infer`.
        `total` is less than the sum where batches overlap."""
        self.runs: list[dict[str, float]] = []
        """Of the last `infer`: `images`, `cycles`, `busy_cycles` and seconds (`run`) of every run."""
        self._slots: list[_Slot | None] = [None, None]
        self._code: Any = None
        self._code_address = 0
        self._running = False
        self._left: tuple[int, int] | None = None  # image count and cycles that the last run left in the registers
        self._bitfile = bitfile
        self._used = threading.Lock()
        self._backend: Backend = PynqBackend(bitfile, board) if backend is None else backend
        self._open = True
        try:
            self._load_program()
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
        """Clock cycles of the last `infer` (each run's modulo 2**32); 0 where they are not counted."""
        return int(sum(run["cycles"] for run in self.runs))

    @property
    def busy_cycles(self) -> int:
        """Clock cycles of the last `infer` in which the array multiplied."""
        return int(sum(run["busy_cycles"] for run in self.runs))

    @property
    def clock_hz(self) -> float | None:
        """The core's clock, None where it is unknown."""
        return self._backend.clock_hz

    def infer(self, images: np.ndarray, batch: int | None = None) -> np.ndarray:
        """Scores, int32 (N, classes), of uint8 images (N, H, W, C); N may be 0.

        Args:
            images: the images.
            batch: images of a run, default `BATCH`.

        Raises:
            HostError: the images do not suit the program, or a run fails or takes too long.
        """
        size = BATCH if batch is None else batch
        if size < 1:
            raise HostError(f"batch is {size}, expected 1 or more")
        self.program.check_images(images)
        parts = (images[at : at + size] for at in range(0, len(images), size))
        return np.concatenate([np.zeros((0, self.program.classes), np.int32), *self.stream(parts)])

    def stream(self, parts: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The scores of every part, in order; a part is taken and written while the core works on the one before.

        Raises:
            HostError: as `infer`'s.
        """
        if not self._used.acquire(blocking=False):
            raise HostError("the accelerator is in use by another thread")
        try:
            if not self._open:
                raise HostError("the accelerator is closed")
            self._check_idle()
            self.runs = []
            self.times.update(copy=0.0, run=0.0, read=0.0, total=0.0)
            yield from self._stream(iter(parts))
        finally:
            self._used.release()

    def reload(self) -> None:
        """Load the bitstream again, which ends a run that does not come to an end by itself.

        Raises:
            HostError: it cannot be loaded.
        """
        if not self._open:
            raise HostError("the accelerator is closed")
        buffers = self._take_buffers()
        self._backend.reload()
        self._running = False
        for buffer in buffers:
            try:
                self._backend.free(buffer)
            except HostError:
                pass  # the board has started anew
        self._load_program()

    def close(self) -> None:
        """Free the buffers; those that a core still running may write to are kept until the process ends."""
        if not self._open:
            return
        self._open = False
        buffers = self._take_buffers()
        try:
            if self._running and not self._finished():
                _abandoned.extend(buffers)
            else:
                for buffer in buffers:
                    self._backend.free(buffer)
        except HostError:
            pass  # the board is gone, and its memory with it
        finally:
            self._backend.close()

    def _take_buffers(self) -> list[Any]:
        """The arrays shared with the core, which are no longer this object's."""
        buffers = [self._code] + [part for slot in self._slots if slot for part in (slot.images, slot.scores)]
        self._code, self._slots = None, [None, None]
        return [buffer for buffer in buffers if buffer is not None]

    def _load_program(self) -> None:
        words = self.program.words
        self._code = self._allocate((words.size,), np.uint32)
        self._code[:] = words
        self._backend.flush(self._code)
        self._code_address = self._place(self._code)
        self._address(Registers.program, self._code_address)
        self._left = None
        self._check_core()

    def _stream(self, parts: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        began = time.perf_counter()
        done: tuple[_Slot, int] | None = None
        current = self._fill(parts, 0)
        number = 0
        while current is not None:
            started = self._start(*current)
            number += 1
            try:
                following = self._fill(parts, number % 2)
                scores = None if done is None else self._collect(*done)
            except BaseException:
                self._settle()
                raise
            self._wait(current[1], started)
            done, current = current, following
            self.times["total"] = time.perf_counter() - began
            if scores is not None:
                yield scores
        if done is not None:
            scores = self._collect(*done)
            self.times["total"] = time.perf_counter() - began
            yield scores

    def _fill(self, parts: Iterator[np.ndarray], index: int) -> tuple[_Slot, int] | None:
        """Write the next part that holds images; None after the last."""
        for images in parts:
            self.program.check_images(images)
            count = len(images)
            if not count:
                continue
            began = time.perf_counter()
            slot = self._reserve(index, count)
            flat = images.reshape(count, -1)
            slot.images[:count, : flat.shape[1]] = flat
            self._backend.flush(slot.images)
            self.times["copy"] += time.perf_counter() - began
            return slot, count
        return None

    def _collect(self, slot: _Slot, count: int) -> np.ndarray:
        """The scores of a run that is over."""
        began = time.perf_counter()
        self._backend.invalidate(slot.scores)
        scores = np.array(slot.scores[:count], dtype=np.int32, subok=False)
        self.times["read"] += time.perf_counter() - began
        return scores

    def _allocate(self, shape: tuple[int, ...], dtype: Any) -> Any:
        try:
            return self._backend.allocate(shape, dtype)
        except Exception as error:
            size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
            raise HostError(
                f"{size} bytes of contiguous memory cannot be allocated ({line(error)}); use smaller batches"
            ) from None

    def _reserve(self, index: int, count: int) -> _Slot:
        slot = self._slots[index]
        if slot is not None and count <= len(slot.images):
            return slot
        self._slots[index] = None
        if slot is not None:
            self._backend.free(slot.images)
            self._backend.free(slot.scores)
        images = self._allocate((count, self.program.image_bytes), np.uint8)
        try:
            scores = self._allocate((count, self.program.classes), np.int32)
        except HostError:
            self._backend.free(images)
            raise
        slot = self._slots[index] = _Slot(images, scores, (self._place(images), self._place(scores)))
        self._backend.flush(scores)
        return slot

    def _place(self, buffer: Any) -> int:
        address = self._backend.address(buffer)
        if address % 8:
            raise HostError(f"a buffer lies at 0x{address:X}, expected a multiple of 8")
        return address

    def _read(self, register: Register) -> int:
        return self._backend.read(register.offset)

    def _write(self, register: Register, value: int) -> None:
        self._backend.write(register.offset, value)

    def _address(self, register: Register, address: int) -> None:
        self._backend.write(register.offset, address & 0xFFFFFFFF)
        self._backend.write(register.offset + 4, address >> 32)

    def _finished(self) -> bool:
        """Whether the run is over; reading clears the done bit."""
        status = self._read(Registers.control)
        if status & _DONE or status & (_IDLE | _START) == _IDLE:
            self._running = False
        return not self._running

    def _check_idle(self) -> None:
        if self._running and not self._finished():
            raise HostError("the core still works on an earlier run; load the bitstream again")

    def _start(self, slot: _Slot | None, count: int) -> float:
        """Start a run and give the time; a run of no images needs no arrays."""
        backend = self._backend
        status = self._read(Registers.control)  # clears a done bit left over
        if not status & _IDLE:
            raise HostError(f"the core is not idle (control 0x{status:X}); load the bitstream again")
        # what another user of the board ran meanwhile would show in these registers
        keep = self._left is not None and self._left == (self._read(Registers.count), self._read(Registers.cycles))
        self._left = None
        if slot is not None:
            self._address(Registers.program, self._code_address)
            self._address(Registers.images, slot.addresses[0])
            self._address(Registers.scores, slot.addresses[1])
        if backend.interrupts:
            self._write(Registers.global_enable, Registers.interrupts.mask)
            self._write(Registers.enable, Registers.enable_done.mask)
        self._write(Registers.count, Registers(image_count=count, keep=keep).count)
        self._running = True
        started = time.perf_counter()
        self._write(Registers.control, _START)
        return started

    def _wait(self, count: int, started: float) -> None:
        """Wait for the end of a run and note its figures."""
        backend = self._backend
        while not self._finished():
            waited = time.perf_counter() - started
            if waited > self.timeout_s:
                status, code = self._read(Registers.control), self._read(Registers.error)
                raise HostError(
                    f"no result for {count} images after {self.timeout_s:g} s "
                    f"(control 0x{status:X}, error {code}: {Error.explain(code)})"
                )
            if waited <= SPIN_S:
                continue
            if not backend.interrupts:
                time.sleep(min(max(SLEEP_S, waited / 50), LONGEST_SLEEP_S))
            elif not backend.pause(min(LONGEST_PAUSE_S, self.timeout_s)) and self._finished():
                backend.forget_interrupt()
                break
        if backend.interrupts and self._read(Registers.status) & Registers.status_done.mask:
            self._write(Registers.status, Registers.status_done.mask)
        seconds = time.perf_counter() - started
        self.times["run"] = self.times.get("run", 0.0) + seconds
        cycles, busy, code = map(self._read, (Registers.cycles, Registers.busy, Registers.error))
        if code:
            raise HostError(f"the core reports error {code}: {Error.explain(code)}")
        word = self._read(Registers.count)
        if Registers.image_count.extract(word) != count:
            raise HostError(f"the core was reset while it worked on {count} images; does someone else use the board?")
        if self.program.resident:
            self._left = word, cycles
        self.runs.append({"images": count, "cycles": cycles, "busy_cycles": busy, "run": seconds})

    def _settle(self) -> None:
        """After an error beside a run: let the run end, so that the next one can start."""
        until = time.perf_counter() + self.timeout_s
        try:
            while not self._finished() and time.perf_counter() < until:
                time.sleep(SLEEP_S)
        except HostError:
            pass

    def _check_core(self) -> None:
        program, bitfile = self.program, self._bitfile
        if self._read(Registers.id) != CORE_ID:
            if self._read(Registers.id) == 0:  # the HLS core fills its read-only registers in a run
                self._wait(0, self._start(None, 0))
            found = self._read(Registers.id)
            if found != CORE_ID:
                raise HostError(f"{bitfile}: core ID is 0x{found:08X}, expected 0x{CORE_ID:08X}")
        version = self._read(Registers.version)
        if version != INTERFACE_VERSION:
            raise HostError(f"{bitfile}: interface version is {version}, expected {INTERFACE_VERSION}")
        core = Registers(
            geometry=self._read(Registers.geometry),
            weights=self._read(Registers.weights),
            activations=self._read(Registers.activations),
            max_layers=self._read(Registers.max_layers),
            features=self._read(Registers.features),
        )
        if core.geometry != program.header.geometry:
            raise HostError(f"{program.path} is for {_geometry(program.header)}, {bitfile} has {_geometry(core)}")
        if core.first_pe != program.header.first_pe:
            raise HostError(
                f"{program.path} is for FIRST_PE {program.header.first_pe}, {bitfile} has FIRST_PE {core.first_pe}"
            )
        limits = [
            ("WEIGHT_DEPTH", program.weight_depth, core.weight_depth),
            ("ACT_DEPTH", program.act_depth, core.act_depth),
            ("MAX_LAYERS", program.header.layers, core.max_layers),
            ("IMAGE_PIXELS", program.header.pixels, core.image_pixels),
        ]
        for name, needed, offered in limits:
            if needed > offered:
                raise HostError(f"{program.path} needs {name} {needed}, {bitfile} has {name} {offered}")
        if program.exact_weight_depth and program.weight_depth != core.weight_depth:
            raise HostError(
                f"{program.path} is for WEIGHT_DEPTH {program.weight_depth}, {bitfile} has WEIGHT_DEPTH "
                f"{core.weight_depth}"
            )
        if program.vector and not core.vector:
            raise HostError(f"{program.path} needs the vector unit, which the core of {bitfile} does not have")
