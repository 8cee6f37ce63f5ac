"""What the simulated board needs of a core, and a core that computes without simulating logic."""

from __future__ import annotations

import hashlib
import threading
from typing import Dict, List, Optional, Tuple

import numpy as np

from bnn import golden
from bnn.errors import ExpectedError
from bnn.model import Layer, Model
from hls.designs import Design
from sim.board.memory import DDR_BYTES, Memory
from sim.program_model import DENSE, KERNEL, MAGIC, PAD, PAD_ONE, POOL, SCORES, VERSION

CORE_ID, INTERFACE_VERSION = 0x314E4E42, 1
CONTROL, GLOBAL_ENABLE, ENABLE, STATUS = 0x00, 0x04, 0x08, 0x0C
PROGRAM, IMAGES, SCORES_AT, COUNT = 0x10, 0x1C, 0x28, 0x34
CYCLES, BUSY, ERROR = 0xA0, 0xB0, 0xC0
START, DONE, IDLE, READY, RESTART = 1, 2, 4, 8, 128
BAD_MAGIC, BAD_GEOMETRY, TOO_MANY_LAYERS, BUS_ERROR, BAD_VALUE = 1, 2, 3, 4, 5


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


def constants(design: Design) -> Dict[int, int]:
    """The read-only registers that describe a core."""
    return {
        0x40: CORE_ID,
        0x50: INTERFACE_VERSION,
        0x60: design.pe | design.lanes << 8 | design.simd << 16,
        0x70: design.weight_depth & 0xFFFF | design.first_pe << 16,
        0x80: design.act_depth & 0xFFFF | design.image_pixels << 16,
        0x90: design.max_layers,
    }


class RunError(Exception):
    """A run ends with an error code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"error code {code}")
        self.code = code


class FunctionalCore(Core):
    """Registers by hand; a run turns the program back into a network and computes its scores in numpy.

    Scores, error codes and the busy counter are the accelerator's; the cycle counter stays 0, as no
    time is simulated.
    """

    kind = "functional"

    def __init__(self, design: Design, memory: Memory) -> None:
        self.design = design
        self.memory = memory
        self._lock = threading.RLock()
        self._registers: Dict[int, int] = {}
        self._control = IDLE
        self._run = 0
        self._decoded: Tuple[bytes, Optional[Model]] = b"", None
        self.reset()

    @property
    def running(self) -> bool:
        return bool(self._control & START)

    @property
    def interrupt(self) -> bool:
        with self._lock:
            return bool(self._registers.get(GLOBAL_ENABLE, 0) & 1 and self._registers.get(STATUS, 0))

    def read(self, offset: int) -> int:
        with self._lock:
            if offset == CONTROL:
                value = self._control | self._registers.get(CONTROL, 0)
                self._control &= ~(DONE | READY)
                return value
            return self._registers.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        with self._lock:
            if offset == CONTROL:
                self._registers[CONTROL] = value & RESTART
                if value & START and self._control & IDLE:
                    self._control = START
                    self._run += 1
                    arguments = (self._run, dict(self._registers))
                    threading.Thread(target=self._work, args=arguments, daemon=True).start()
            elif offset == STATUS:
                self._registers[STATUS] = (self._registers.get(STATUS, 0) ^ value) & 3
            elif offset == GLOBAL_ENABLE:
                self._registers[offset] = value & 1
            elif offset == ENABLE:
                self._registers[offset] = value & 3
            elif PROGRAM <= offset <= COUNT:
                self._registers[offset] = value & 0xFFFFFFFF

    def reset(self) -> None:
        with self._lock:
            self._run += 1
            self._control = IDLE
            self._registers = constants(self.design)

    def _work(self, number: int, registers: Dict[int, int]) -> None:
        """One run, in a thread of its own; a reset meanwhile makes it come to nothing."""
        code, busy, scores = 0, 0, np.zeros(0, np.int32)
        try:
            scores, busy = self._compute(registers)
        except RunError as error:
            code = error.code
        except Exception:  # values that make no network
            code = BAD_VALUE
        with self._lock:
            if number != self._run:
                return
            at = registers.get(SCORES_AT, 0) | registers.get(SCORES_AT + 4, 0) << 32
            if not code and scores.size:
                self.memory.content[at : at + scores.nbytes] = scores.astype("<i4").tobytes()
            self._registers.update({CYCLES: 0, BUSY: busy & 0xFFFFFFFF, ERROR: code})
            self._control = DONE | IDLE | READY
            self._registers[STATUS] = self._registers.get(STATUS, 0) | 3 & self._registers.get(ENABLE, 0)

    def _bytes(self, at: int, size: int) -> bytes:
        if at < 0 or at % 8 or at + size > DDR_BYTES:
            raise RunError(BUS_ERROR)
        return bytes(self.memory.content[at : at + size])

    def _compute(self, registers: Dict[int, int]) -> Tuple[np.ndarray, int]:
        """Scores int32 (N, classes) and busy cycles of a run."""
        count = registers.get(COUNT, 0) & 0x7FFFFFFF  # bit 31 is keep: the program is read in any case
        if not count:
            return np.zeros(0, np.int32), 0
        code, images, scores = (
            registers.get(at, 0) | registers.get(at + 4, 0) << 32 for at in (PROGRAM, IMAGES, SCORES_AT)
        )
        head = np.frombuffer(self._bytes(code, 128), "<u4").astype(np.int64).tolist()
        if head[0] != MAGIC or head[1] != VERSION:
            raise RunError(BAD_MAGIC)
        if head[2] != constants(self.design)[0x60] or head[18] != self.design.first_pe:
            raise RunError(BAD_GEOMETRY)
        if head[4] > self.design.max_layers:
            raise RunError(TOO_MANY_LAYERS)
        program = self._bytes(code, head[3])
        key = hashlib.sha256(program).digest()
        if self._decoded[0] != key:
            self._decoded = key, decode(program)
        model = self._decoded[1]
        assert model is not None
        pixels = model.height * model.width * model.channels
        raw = np.frombuffer(self._bytes(images, count * head[16]), np.uint8).reshape(count, head[16])
        self._bytes(scores, 4 * count * head[17])
        given = raw[:, :pixels].reshape(count, model.height, model.width, model.channels)
        return golden.infer(model, given), busy_cycles(program, count)


def busy_cycles(program: bytes, count: int) -> int:
    """Cycles in which the array multiplies in a run of `count` images."""
    head = np.frombuffer(program, "<u4", 32).astype(np.int64).tolist()
    layers = np.frombuffer(program, "<u4", 32 * head[4], head[9]).reshape(-1, 32).astype(np.int64)
    lanes = head[2] >> 8 & 0xFF
    total = 0
    for start in range(0, count, head[7]):
        images = min(head[7], count - start)
        parts = [min(head[6], images - at) for at in range(0, images, head[6])]
        for index, item in enumerate(layers.tolist()):
            for size in parts if index < head[5] else [images]:
                blocks = -(-size // lanes) if item[0] & DENSE else size
                total += item[1] * blocks * item[3] * item[5] * item[15]
    return total


def decode(program: bytes) -> Model:
    """The network of a program.

    Raises:
        ValueError: the program is damaged.
    """
    head = np.frombuffer(program, "<u4", 32).astype(np.int64).tolist()
    pe, lanes_simd = head[2] & 0xFF, head[2] >> 16
    simd = lanes_simd
    layers = np.frombuffer(program, "<u4", 32 * head[4], head[9]).reshape(-1, 32).astype(np.int64).tolist()
    table = np.frombuffer(program, np.int8, 256, head[14])
    result: List[Layer] = []
    words_per_pixel, name = head[27], "input"
    if head[15]:
        following = layers[0]
        channels = (words_per_pixel - 1) * simd + following[16]
        beats = np.frombuffer(program, "<u8", head[15], head[14] + 256)[:channels]
        places = np.arange(36, dtype=np.uint64)
        taps = (beats[:, None] >> places & np.uint64(1)).astype(np.uint8).reshape(-1, 3, 3, 4)
        limits = (beats >> np.uint64(40) & np.uint64(0xFFFF)).astype(np.uint16).view(np.int16).astype(np.int32)
        result.append(Layer(
            "conv0", "conv", (name,), np.ascontiguousarray(taps[:, :, :, : head[21] & 0xFF]),
            pad=head[21] >> 8 & 1, pool=bool(head[21] >> 9 & 1), thresholds=limits,
            flip=(beats >> np.uint64(56) & np.uint64(1)).astype(np.bool_),
        ))
        name = "conv0"
    at = {True: head[10], False: head[12]}
    for index, item in enumerate(layers):
        in_a = index < head[5]
        headers = 2 if item[0] & SCORES else 1
        group = headers + item[15]
        size = item[1] * group * pe * simd // 8
        raw = np.frombuffer(program, np.uint8, size, at[in_a]).reshape(item[1], group, pe, simd // 8)
        at[in_a] += size
        body = np.unpackbits(raw[:, headers:], axis=-1, bitorder="little")
        words = raw[:, :headers].transpose(1, 0, 2, 3).reshape(headers, item[1] * pe, simd // 8)
        first = np.ascontiguousarray(words[0, : item[17], :4]).view("<u4").reshape(-1)
        channels = (words_per_pixel - 1) * simd + item[16]
        taps_of = 9 if item[0] & KERNEL else item[2] // words_per_pixel
        weights = body.transpose(0, 2, 1, 3).reshape(item[1] * pe, taps_of, -1)[: item[17], :, :channels]
        if item[0] & KERNEL:
            weights = weights.reshape(item[17], 3, 3, channels)
        elif item[0] & DENSE:
            weights = weights.reshape(item[17], -1)
        else:
            raise ValueError(f"layer {index}: neither 3x3 nor dense")
        kind = "conv" if item[0] & KERNEL else "dense"
        label = f"{kind}{index + 1}"
        weights = np.ascontiguousarray(weights)
        if item[0] & SCORES:
            second = np.ascontiguousarray(words[1, : item[17], :2]).view("<i2").reshape(-1)
            result.append(Layer(label, kind, (name,), weights, scale=second.astype(np.int32),
                                offset=first.view("<i4").astype(np.int32)))
        else:
            result.append(Layer(
                label, kind, (name,), weights, pad=1 if item[0] & PAD else 0,
                pad_value=0 if kind == "dense" else 1 if item[0] & PAD_ONE else -1, pool=bool(item[0] & POOL),
                thresholds=(first & 0xFFFF).astype(np.int32), flip=(first >> 16 & 1).astype(np.bool_),
            ))
        words_per_pixel, name = item[14], label
    shape = head[20] & 0xFFFF, head[20] >> 16, head[21] & 0xFF
    classes = tuple(str(number) for number in range(head[17]))
    return Model("program", shape[0], shape[1], shape[2], table.copy(), tuple(result), classes)
