"""A small model for the host, images for it, and a core that keeps the register protocol."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnn import golden
from bnn.contract import CONSTANT, PROGRAM_MAGIC, WRITABLE, Header, Registers
from bnn.model import Layer, Model
from hls import designs

DESIGN = designs.find("sim_small")
CLASSES = ("ant", "bee", "cat")


def make_model(height: int = 9, width: int = 7) -> Model:
    """Two convolutions and a dense layer; an image takes 63 bytes, which is no multiple of 8."""
    rng = np.random.default_rng(5)

    def bits(*shape: int) -> np.ndarray:
        return rng.integers(0, 2, shape, dtype=np.uint8)

    def conv(name: str, source: str, inputs: int, outputs: int, low: int, high: int, value: int) -> Layer:
        return Layer(
            name,
            "conv",
            (source,),
            bits(outputs, 3, 3, inputs),
            pad=1,
            pad_value=value,
            pool=name == "conv2",
            thresholds=rng.integers(low, high, outputs, dtype=np.int32),
            flip=bits(outputs).astype(np.bool_),
        )

    pooled = (height // 2) * (width // 2) * 8
    dense = Layer(
        "fc",
        "dense",
        ("conv2",),
        bits(3, pooled),
        scale=np.array([3, -2, 5], np.int32),
        offset=np.array([-100, 70, 9], np.int32),
    )
    layers = (conv("conv1", "input", 1, 8, -99, 99, 0), conv("conv2", "conv1", 8, 8, 20, 50, -1), dense)
    table = (np.arange(256) - 128).astype(np.int8)
    return Model("small", height, width, 1, table, layers, CLASSES)


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 9, 7, 1), dtype=np.uint8)


class FakeCore:
    """Backend whose core keeps the register protocol; memory is a dictionary of arrays by address."""

    clock_hz: float | None = 100e6
    interrupts = False

    def __init__(self, model: Model) -> None:
        self.model = model
        self.registers = DESIGN.registers()
        self.late: dict[str, int] = {}
        self.memory: dict[int, np.ndarray] = {}
        self.core_sees: dict[int, np.ndarray] = {}
        self.allocations: list[tuple[int, ...]] = []
        self.counts: list[int] = []
        self.keeps: list[int] = []
        self.next = 0x1_0000_0000
        self.polls = 2
        self.wait = 0
        self.error = 0
        self.hangs = False
        self.fail_allocation = False
        self.closed = False

    def pause(self, seconds: float) -> bool:
        raise AssertionError("the core has no interrupt")

    def forget_interrupt(self) -> None:
        raise AssertionError("the core has no interrupt")

    def fill_late(self) -> None:
        """Behave as the HLS core does: read-only registers are 0 until the first run."""
        self.late = {field.name: getattr(self.registers, field.name) for field in CONSTANT}
        self.fill(dict.fromkeys(self.late, 0))

    def fill(self, values: dict[str, int]) -> None:
        for name, value in values.items():
            setattr(self.registers, name, value)

    def read(self, offset: int) -> int:
        if offset != Registers.control.offset:
            return self.registers.words[offset // 4]
        if self.registers.start and not self.hangs:
            self.wait -= 1
            if self.wait <= 0:
                self.finish()
        status = self.registers.control
        self.registers.done = self.registers.ready = False
        return status

    def write(self, offset: int, value: int) -> None:
        assert offset in WRITABLE and 0 <= value < 2**32
        if offset == Registers.status.offset:
            value ^= self.registers.status
        if offset != Registers.control.offset:
            assert self.registers.idle, "registers change only while the core is idle"
            self.registers.words[offset // 4] = value
            return
        assert value == Registers(start=True).control and self.registers.control == Registers(idle=True).control
        self.registers.control, self.wait = value, self.polls
        self.counts.append(self.registers.image_count)
        self.keeps.append(int(self.registers.keep))

    def finish(self) -> None:
        count = self.registers.image_count
        self.fill({"control": Registers(done=True, idle=True, ready=True).control, **self.late})
        self.fill({"error": self.error if count else 0, "cycles": 1000 * count, "busy": 800 * count})
        assert self.core_sees[self.registers.program][Header.magic.word] == PROGRAM_MAGIC
        if not count or self.error:
            return
        shape = (self.model.height, self.model.width, self.model.channels)
        stored = self.core_sees[self.registers.images]
        assert not stored[:, np.prod(shape) :].any()
        pixels = stored[:count, : np.prod(shape)].reshape(count, *shape)
        self.core_sees[self.registers.scores] = golden.infer(self.model, pixels)

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        if self.fail_allocation:
            raise RuntimeError("Failed to allocate Memory!\nmore")
        buffer = np.zeros(shape, dtype)
        self.memory[self.next] = buffer
        self.next += 0x10000
        self.allocations.append(shape)
        return buffer

    def address(self, buffer: np.ndarray) -> int:
        return next(at for at, held in self.memory.items() if held is buffer)

    def flush(self, buffer: np.ndarray) -> None:
        self.core_sees[self.address(buffer)] = buffer.copy()

    def invalidate(self, buffer: np.ndarray) -> None:
        seen = self.core_sees[self.address(buffer)]
        buffer[: len(seen)] = seen

    def free(self, buffer: np.ndarray) -> None:
        del self.memory[self.address(buffer)]

    def reload(self) -> None:
        self.registers.control, self.hangs = Registers(idle=True).control, False

    def close(self) -> None:
        self.closed = True
