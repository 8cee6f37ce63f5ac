"""Simulated boards of a test's own."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path
from typing import Any

import grpc

from helpers.host import DESIGN, make_model
from hls import overlay, program, schedule
from host import Accelerator
from sim.board import core as cores
from sim.board.core import FunctionalCore
from sim.board.memory import Memory
from sim.board.server import PORT, Board, Server

_hosts = (f"127.{os.getpid() % 200 + 20}.{number // 250 + 1}.{number % 250 + 1}" for number in itertools.count())


def next_host() -> str:
    """A loopback address that no other test uses."""
    return next(_hosts)


class SlowCore(FunctionalCore):
    """A functional core that can be slow, hang, or report an error."""

    delay_s = 0.0
    hangs = False
    code = 0

    def _compute(self, registers: dict[int, int]) -> Any:
        run = self._run
        until = time.monotonic() + self.delay_s
        while (self.hangs or time.monotonic() < until) and run == self._run:
            time.sleep(0.002)
        if self.code:
            raise cores.RunError(self.code)
        return super()._compute(registers)


class Station:
    """A board of the test's own, on a loopback address of its own and pynq's port."""

    def __init__(self, folder: Path, **bounds: Any) -> None:
        self.memory = Memory(**bounds)
        self.core = SlowCore(DESIGN, self.memory)
        self.host = next_host()
        self.server = Server(Board(DESIGN, self.core, self.memory), self.host)
        self.bit = overlay.write(DESIGN, folder)
        self.model = make_model()
        self.code = folder / "program.bin"
        self.code.write_bytes(program.pack(schedule.plan(self.model, DESIGN, 8)))
        self._channel: Any = None

    @property
    def channel(self) -> Any:
        """A connection without pynq."""
        if self._channel is None:
            self._channel = grpc.insecure_channel(f"{self.host}:{PORT}")
        return self._channel

    def accelerator(self, timeout_s: float = 20.0) -> Accelerator:
        return Accelerator(self.bit, self.code, timeout_s, board=self.host)

    def arguments(self) -> list[str]:
        return ["--bit", str(self.bit), "--program", str(self.code), "--boards", self.host]

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
        self.core.reset()
        self.server.close()
