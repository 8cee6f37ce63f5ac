"""What the simulated board needs of a core, and a core that computes without simulating logic."""

from __future__ import annotations

import hashlib
import threading
from typing import List, Optional, Tuple

import numpy as np

from bnn import cpu
from bnn.check import ProgramFault, check, check_header
from bnn.contract import (
    PROGRAM_VERSION,
    TABLE_BYTES,
    WRITABLE,
    Error,
    Header,
    Registers,
    ScoreHeader,
    ThresholdHeader,
    layers,
)
from bnn.errors import ExpectedError, line
from bnn.model import Layer, Model, ModelError, shapes
from bnn.program import busy_cycles, first_layer, layer_weights
from hls.designs import Design
from sim.board.machine import Machine
from sim.board.memory import DDR_BYTES, Memory

LONGEST_CYCLES = 1 << 26
"""Cycles of the array that a program which is not turned back into a network may take: more would be minutes here."""
LARGEST_BYTES = 1 << 30
"""Memory that such a program may take for an image here."""


class CoreError(ExpectedError):
    """The simulation of the core ended or cannot be started; one line says why."""


class Core:
    """Registers of docs/ARCHITECTURE.md, "Interface", over a memory. Subclasses simulate the core.

    Calls may come from several threads at a time.
    """

    kind = "none"
    """What runs, in one word."""

    @property
    def running(self) -> bool:
        """Whether the core may still reach its buffers."""
        raise NotImplementedError

    @property
    def interrupt(self) -> bool:
        """Level of the interrupt line."""
        raise NotImplementedError

    def read(self, offset: int) -> int:
        """Read the register at `offset`, a multiple of 4 below 0x10000.

        Raises:
            CoreError: the simulation ended.
        """
        raise NotImplementedError

    def write(self, offset: int, value: int) -> None:
        """Write 32 bits to the register at `offset`.

        Raises:
            CoreError: the simulation ended.
        """
        raise NotImplementedError

    def reset(self) -> None:
        """What loading the bitstream does: end a run, clear the registers, start a simulation that ended.

        Raises:
            CoreError: it cannot be started.
        """
        raise NotImplementedError

    def close(self) -> None:
        """End the simulation."""


class RunError(Exception):
    """A run ends with an error code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"error code {code}")
        self.code = code


class FunctionalCore(Core):
    """Registers by hand; a run computes the program's scores.

    A program of version 1 is turned back into its network for the CPU engine; any other, and one that is no network's,
    is run as it is, whole maps at a time.

    Scores, error codes and the busy counter are the accelerator's; the cycle counter stays 0, as no
    time is simulated. A defect of this core ends its simulation: it is no error code of the accelerator.
    """

    kind = "functional"

    def __init__(self, design: Design, memory: Memory) -> None:
        self.design = design
        self.memory = memory
        self._lock = threading.RLock()
        self._registers = Registers()
        self._run = 0
        self._ended = ""
        self._decoded: Tuple[bytes, Optional[Model]] = b"", None
        self._machine: Optional[Tuple[bytes, Machine]] = None
        self.reset()

    @property
    def running(self) -> bool:
        return self._registers.start

    @property
    def interrupt(self) -> bool:
        with self._lock:
            return self._registers.interrupts and bool(self._registers.status)

    def read(self, offset: int) -> int:
        with self._lock:
            self._check_alive()
            value = self._registers.words[offset // 4] if offset < Registers.size_bytes() else 0
            if offset == Registers.control.offset:
                self._registers.done = self._registers.ready = False
            return value

    def write(self, offset: int, value: int) -> None:
        if offset not in WRITABLE:
            return
        given = Registers()
        given.words[offset // 4] = value & 0xFFFFFFFF
        with self._lock:
            self._check_alive()
            registers = self._registers
            if offset == Registers.control.offset:
                registers.restart = given.restart
                if given.start and registers.idle:
                    registers.control = Registers(start=True, restart=given.restart).control
                    self._run += 1
                    arguments = (self._run, Registers.unpack(registers.words))
                    threading.Thread(target=self._work, args=arguments, daemon=True).start()
            elif offset == Registers.status.offset:
                registers.status_done ^= given.status_done
                registers.status_ready ^= given.status_ready
            elif offset == Registers.global_enable.offset:
                registers.interrupts = given.interrupts
            elif offset == Registers.enable.offset:
                registers.enable_done, registers.enable_ready = given.enable_done, given.enable_ready
            else:
                registers.words[offset // 4] = given.words[offset // 4]

    def reset(self) -> None:
        with self._lock:
            self._run += 1
            self._ended = ""
            self._registers = self.design.registers()

    def _check_alive(self) -> None:
        if self._ended:
            raise CoreError(f"the simulation ended ({self._ended}); load the bitstream again")

    def _work(self, number: int, registers: Registers) -> None:
        """One run, in a thread of its own; a reset meanwhile makes it come to nothing."""
        code, busy, scores = int(Error.NONE), 0, np.zeros(0, np.int32)
        try:
            scores, busy = self._compute(registers)
        except RunError as error:
            code = error.code
        except MemoryError:  # what a damaged program may ask for is bounded, but not by the memory of this machine
            code = Error.RANGE
        except Exception as error:
            with self._lock:
                if number != self._run:
                    return
                self._ended = f"{type(error).__name__}: {line(error)}"
                self._registers.start = False
            raise
        with self._lock:
            if number != self._run:
                return
            at = registers.scores
            if not code and scores.size:
                self.memory.content[at : at + scores.nbytes] = scores.astype("<i4").tobytes()
            now = self._registers
            now.cycles, now.busy, now.error = 0, busy & 0xFFFFFFFF, code
            now.control = Registers(done=True, idle=True, ready=True, restart=now.restart).control
            now.status_done |= now.enable_done
            now.status_ready |= now.enable_ready

    def _bytes(self, at: int, size: int) -> bytes:
        if at < 0 or at % 8 or at + size > DDR_BYTES:
            raise RunError(Error.RESPONSE)
        return bytes(self.memory.content[at : at + size])

    def _compute(self, registers: Registers) -> Tuple[np.ndarray, int]:
        """Scores int32 (N, classes) and busy cycles of a run; the program is read in any case, keep or not."""
        count = registers.image_count
        if not count:
            return np.zeros(0, np.int32), 0
        core = self.design.registers()
        try:
            header = Header.read(self._bytes(registers.program, Header.size_bytes()))
            check_header(header, core)
            program = self._bytes(registers.program, header.size)
            check(program, core)
        except ProgramFault as fault:
            raise RunError(fault.code) from None
        raw = np.frombuffer(self._bytes(registers.images, count * header.image_bytes), np.uint8)
        self._bytes(registers.scores, 4 * count * header.classes)
        given = raw.reshape(count, header.image_bytes)[:, : header.elements]
        images = given.reshape(count, header.height, header.width, header.channels)
        key = hashlib.sha256(program).digest()
        if self._decoded[0] != key:
            try:
                self._decoded = key, decode(program)
                shapes(self._decoded[1])
            except (ModelError, ArithmeticError, LookupError, ValueError):  # of no network; it runs
                self._decoded = key, None
        model, busy = self._decoded[1], busy_cycles(program, count)
        if model is not None:
            return cpu.infer(model, images), busy
        if busy > LONGEST_CYCLES:
            raise RunError(Error.RANGE)
        if self._machine is None or self._machine[0] != key:
            self._machine = key, Machine(program, self.design.act_depth)
        if self._machine[1].image_bytes > LARGEST_BYTES:
            raise RunError(Error.RANGE)
        return self._machine[1].run(images), busy


def decode(program: bytes) -> Model:
    """The network of a program of version 1.

    Raises:
        ValueError: the program is damaged, or of another version.
    """
    header = Header.read(program)
    if header.version != PROGRAM_VERSION:
        raise ValueError(f"version {header.version}, expected {PROGRAM_VERSION}")
    pe, simd = header.pe, header.simd
    descriptors = layers(program)
    table = np.frombuffer(program, np.int8, TABLE_BYTES, header.first)
    result: List[Layer] = []
    words_per_pixel, name = header.out_words, "input"
    if header.first_channels:
        channels = (words_per_pixel - 1) * simd + descriptors[0].last_bits
        weights, limits, flips = (part[:channels] for part in first_layer(program)[:3])
        result.append(
            Layer(
                "conv0",
                "conv",
                (name,),
                weights,
                pad=int(header.pad),
                pool=header.pool,
                thresholds=limits,
                flip=flips.astype(np.bool_),
            )
        )
        name = "conv0"
    for index, (item, (words, body)) in enumerate(zip(descriptors, layer_weights(program))):
        words = words[:, : item.outputs]
        channels = (words_per_pixel - 1) * simd + item.last_bits
        taps = 9 if item.kernel3 else item.tap_words // words_per_pixel
        weights = body.transpose(0, 2, 1, 3).reshape(item.groups * pe, taps, -1)[: item.outputs, :, :channels]
        if item.kernel3:
            weights = weights.reshape(item.outputs, 3, 3, channels)
        elif item.dense:
            weights = weights.reshape(item.outputs, -1)
        else:
            raise ValueError(f"layer {index}: neither 3x3 nor dense")
        kind = "conv" if item.kernel3 else "dense"
        label = f"{kind}{index + 1}"
        weights = np.ascontiguousarray(weights)
        if item.scores:
            scale, offset = (field.extract(words[field.word]) for field in (ScoreHeader.scale, ScoreHeader.offset))
            result.append(
                Layer(label, kind, (name,), weights, scale=scale.astype(np.int32), offset=offset.astype(np.int32))
            )
        else:
            result.append(
                Layer(
                    label,
                    kind,
                    (name,),
                    weights,
                    pad=int(item.pad),
                    pad_value=0 if kind == "dense" else 1 if item.pad_one else -1,
                    pool=item.pool,
                    thresholds=ThresholdHeader.threshold.extract(words[0]).astype(np.int32),
                    flip=ThresholdHeader.flip.extract(words[0]).astype(np.bool_),
                )
            )
        words_per_pixel, name = item.dest_words, label
    classes = tuple(str(number) for number in range(header.classes))
    return Model("program", header.height, header.width, header.channels, table.copy(), tuple(result), classes)
