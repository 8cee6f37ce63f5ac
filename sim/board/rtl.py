"""The Verilated RTL core behind the registers of the simulated board: a process of its own, through a pipe."""

from __future__ import annotations

import os
import select
import struct
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import IO, Optional, Tuple

from bnn.contract import Registers
from hls.designs import Design
from sim import rtl_sim
from sim.board.core import Core, CoreError
from sim.board.memory import DDR_BYTES, Memory

READ, WRITE = 0, 1
STOP_S, ANSWER_S = 5.0, 30.0
"""Seconds that the end of the process, and an answer, may take."""


class RtlCore(Core):
    """`sim/verilator/bnn_board.cpp` on the memory of the board, restarted by a reset.

    Args:
        design: the parameters of the core.
        memory: the board's.
        folder: where it is built, or was built by sim.rtl_sim.

    Raises:
        CoreError: it cannot be built or started.
    """

    kind = "RTL"

    def __init__(self, design: Design, memory: Memory, folder: Path) -> None:
        try:
            self._binary = rtl_sim.build(design, folder).binary
        except rtl_sim.RtlSimError as error:
            raise CoreError(str(error)) from None
        self._design, self._memory = design, memory
        self._lock = threading.Lock()
        self._process: Optional[subprocess.Popen] = None
        self._errors: Optional[IO[bytes]] = None
        self._flags = 0
        self.reset()

    @property
    def running(self) -> bool:
        process = self._process
        return bool(self._flags & 2) and process is not None and process.poll() is None

    @property
    def interrupt(self) -> bool:
        with self._lock:
            self._ask(READ, Registers.status.offset, 0)
            return bool(self._flags & 1)

    @property
    def pid(self) -> Optional[int]:
        """Process ID of the simulation."""
        return None if self._process is None else self._process.pid

    def read(self, offset: int) -> int:
        with self._lock:
            return self._ask(READ, offset, 0)

    def write(self, offset: int, value: int) -> None:
        with self._lock:
            self._ask(WRITE, offset, value & 0xFFFFFFFF)

    def reset(self) -> None:
        with self._lock:
            self._stop()
            self._errors = tempfile.TemporaryFile()
            command = [str(self._binary), "--serve", str(self._memory.handle), str(DDR_BYTES)]
            command.append(f"--clock={self._design.clock_mhz}")
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._errors,
                    bufsize=0,
                    pass_fds=(self._memory.handle,),
                    start_new_session=True,
                )
            except OSError as error:
                raise CoreError(f"{self._binary}: {error.strerror}") from None
            self._flags = 0
            self._ask(READ, Registers.id.offset, 0)

    def close(self) -> None:
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        process, self._process, self._flags = self._process, None, 0
        if process is not None:
            process.kill()
            process.wait(STOP_S)
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        if self._errors is not None:
            self._errors.close()
            self._errors = None

    def _ask(self, operation: int, offset: int, value: int) -> int:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise CoreError("the simulation ended; load the bitstream again")
        answer = b""
        try:
            process.stdin.write(struct.pack("<III", operation, offset, value))
            while len(answer) < 8:
                if not select.select([process.stdout], [], [], ANSWER_S)[0]:
                    process.kill()
                    raise CoreError(f"the simulation gave no answer within {ANSWER_S:g} s; load the bitstream again")
                part = process.stdout.read(8 - len(answer))
                if not part:
                    break
                answer += part
        except OSError:
            pass
        if len(answer) < 8:
            raise CoreError(f"the simulation ended ({self._reason(process)}); load the bitstream again")
        result: Tuple[int, int] = struct.unpack("<II", answer)
        self._flags = result[1]
        return result[0]

    def _reason(self, process: subprocess.Popen) -> str:
        """Why the process ended, in one line."""
        try:
            status = process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            return "no answer"
        self._flags = 0
        text = ""
        if self._errors is not None:
            self._errors.seek(0, os.SEEK_SET)
            text = self._errors.read(4096).decode("utf-8", "replace").strip()
        return text.splitlines()[-1] if text else f"signal {-status}" if status < 0 else f"exit status {status}"
