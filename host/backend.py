"""The hardware behind an `Accelerator`: a board of its own, or one at an address through pynq 4.0.

pynq is imported here and nowhere else. On the board that runs this code any pynq from 2.7 on will do. With
an address (or the environment variable PYNQ_REMOTE_DEVICES) pynq 4.0 talks gRPC to a PYNQ.remote board or
to the simulated one of sim/board; every call then has a deadline, which pynq itself does not set.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from .errors import HostError, line

REMOTE = "PYNQ_REMOTE_DEVICES"
PORT = 7967
"""Port of a PYNQ.remote board."""
LOAD_S = 30.0
"""Seconds that reaching a board and loading its bitstream may take."""

_loading = threading.Lock()  # pynq keeps the metadata of the last bitstream in files of its own


def addresses(text: str | None) -> list[str]:
    """Addresses of a list with commas; without one those of the environment variable PYNQ_REMOTE_DEVICES."""
    given = os.environ.get(REMOTE, "") if text is None else text
    return [part.strip() for part in given.split(",") if part.strip()]


def within(seconds: float, what: str, call: Callable[[], Any]) -> Any:
    """The result of a call that may take `seconds`; after that it is left to itself.

    Raises:
        HostError: it took longer.
    """
    outcome: list[Any] = []

    def work() -> None:
        try:
            outcome.append((call(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise HostError(f"{what}: no answer within {seconds:g} s")
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


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


class Backend(Protocol):
    """What `Accelerator` asks of the hardware. Buffers are the backend's own; each behaves as a numpy array."""

    @property
    def clock_hz(self) -> float | None:
        """The core's clock, None where it is unknown."""

    @property
    def interrupts(self) -> bool:
        """Whether `pause` ends with the core's interrupt; the driver polls where not."""

    def read(self, offset: int) -> int:
        """Read a 32-bit register of the core."""

    def write(self, offset: int, value: int) -> None:
        """Write one."""

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """A zeroed, physically contiguous array; raises whatever the hardware's library does."""

    def address(self, buffer: Any) -> int:
        """Physical address of an array."""

    def flush(self, buffer: Any) -> None:
        """Make what the processor wrote visible to the core."""

    def invalidate(self, buffer: Any) -> None:
        """Make what the core wrote visible to the processor."""

    def free(self, buffer: Any) -> None:
        """Give an array's memory back."""

    def pause(self, seconds: float) -> bool:
        """Wait for the core's interrupt, at most `seconds`; gives whether it came."""

    def forget_interrupt(self) -> None:
        """Poll from now on: a run ended without an interrupt."""

    def reload(self) -> None:
        """Load the bitstream again: the core and its registers are reset."""

    def close(self) -> None:
        """Let go of the hardware."""


class PynqBackend:
    """One board: loads the bitstream and gives access to the one core in it.

    Args:
        bitfile: the bitstream, its `.hwh` beside it.
        board: address of a board, HOST or HOST:PORT; None takes the first of PYNQ_REMOTE_DEVICES, else the board
            that this runs on.
        timeout_s: seconds that one call to a board at an address may take.

    Raises:
        HostError: pynq or the bitstream cannot be loaded, the board cannot be reached, or the core is not found.
    """

    def __init__(self, bitfile: str | Path, board: str | None = None, timeout_s: float = 10.0) -> None:
        self._path = Path(bitfile).resolve()
        for path in (self._path, self._path.with_suffix(".hwh")):
            if not path.is_file():
                raise HostError(f"{path}: no such {'bitstream' if path == self._path else 'file beside the bitstream'}")
        self.board = board or next(iter(addresses(None)), None)
        self.name = self.board or "this board"
        self._timeout_s = timeout_s
        self._overlay: Any = None
        self._device: Any = None
        self._clock_hz: float | None = None
        self._interrupt: Any = None
        if self.board is None:
            self._open()
        else:
            within(LOAD_S, f"{self.board}: loading {self._path.name}", self._open)

    def _open(self) -> None:
        with _loading, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an error follows where one matters
            before = os.environ.get(REMOTE)
            if self.board is not None:
                os.environ[REMOTE] = self.board  # pynq looks at it when it is imported
            try:
                self._pynq: Any = importlib.import_module("pynq")
            except Exception as error:  # its dependencies raise many kinds
                raise HostError(f"pynq cannot be imported: {line(error)}") from None
            finally:
                if before is None:
                    os.environ.pop(REMOTE, None)
                else:
                    os.environ[REMOTE] = before
        if self.board is not None:
            self._connect(self.board)  # without the lock: another board need not wait for this one
        self._load()

    def _connect(self, board: str) -> None:
        try:
            remote = importlib.import_module("pynq.pl_server.remote_device")
        except ImportError:
            version = getattr(self._pynq, "__version__", "unknown")
            raise HostError(f"{board}: pynq {version} knows no boards at an address, expected 4.0 or later") from None
        host, _, port = board.rpartition(":") if board.count(":") == 1 else (board, "", str(PORT))
        if not port.isdigit():
            raise HostError(f"{board}: expected HOST or HOST:PORT")
        try:
            self._device = remote.RemoteDevice(0, host, int(port))
            set_deadline(self._device, self._timeout_s)
        except Exception as error:
            raise HostError(f"{board}: cannot be reached: {line(error)}") from None

    def _wait_until_reached(self) -> None:
        """A connection that broke is not tried again at once; wait for that."""
        grpc: Any = importlib.import_module("grpc")
        try:
            grpc.channel_ready_future(self._device.client.channel).result(timeout=self._timeout_s)
        except grpc.FutureTimeoutError:
            raise HostError(f"{self.board}: cannot be reached within {self._timeout_s:g} s") from None

    def _load(self) -> None:
        with _loading, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._load_alone()

    def _load_alone(self) -> None:
        target = {} if self._device is None else {"device": self._device}
        forget_clocks(self._pynq)
        forget_metadata(self._pynq)
        for last in (False, True):
            try:
                self._overlay = self._pynq.Overlay(str(self._path), download=False, **target)
                complete_clocks(self._overlay)
                self._overlay.download()
                blocks = dict(self._overlay.ip_dict)
                break
            except Exception as error:
                # another process may have removed the file in which pynq keeps the metadata
                if isinstance(error, FileNotFoundError) and not last:
                    continue
                where = "" if self.board is None else f"{self.board}: "
                raise HostError(f"{where}{self._path}: cannot be loaded: {line(error)}") from None
        name = find_core(blocks)
        block = blocks[name]
        self._interrupt = self._find_interrupt(name)
        self._mmio = self._pynq.MMIO(block["phys_addr"], block["addr_range"], **target)
        try:
            self._clock_hz = float(self._pynq.Clocks.fclk0_mhz) * 1e6
        except Exception:  # not every platform lets the clock be read
            self._clock_hz = None

    def _find_interrupt(self, name: str) -> Any:
        """pynq's interrupt of the core, or None: there is none at an address, nor without a UIO device for it."""
        if self.board is not None:
            return None
        try:
            driver = self._overlay
            for part in name.split("/"):
                driver = getattr(driver, part)
            found = getattr(driver, "interrupt", None)
        except Exception:
            return None
        return found if hasattr(found, "wait") else None

    @property
    def interrupts(self) -> bool:
        """Whether `pause` ends with the core's interrupt."""
        return self._interrupt is not None

    def pause(self, seconds: float) -> bool:
        """Wait for the core's interrupt, at most `seconds`; gives whether it came."""
        try:
            loop = asyncio.get_event_loop()
            if not loop.is_running():  # that of a notebook runs
                loop.run_until_complete(asyncio.wait_for(self._interrupt.wait(), seconds))
                return True
        except asyncio.TimeoutError:
            return False
        except Exception:  # the driver polls then
            pass
        self._interrupt = None
        return False

    def forget_interrupt(self) -> None:
        """Poll from now on: a run ended without an interrupt."""
        self._interrupt = None

    @property
    def clock_hz(self) -> float | None:
        """Frequency of the first PL clock, which drives the core, when the bitstream was loaded."""
        return self._clock_hz

    def reload(self) -> None:
        """Load the bitstream again: the core and its registers are reset.

        Raises:
            HostError: as the constructor's.
        """
        if self.board is None:
            self._load()
        else:
            self._wait_until_reached()
            within(LOAD_S, f"{self.board}: loading {self._path.name}", self._load)

    def _do(self, what: str, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except Exception as error:
            raise HostError(f"{self.name}: {what} failed: {line(error)}") from None

    def read(self, offset: int) -> int:
        """Read a register."""
        return int(self._do("reading a register", self._mmio.read, offset))

    def write(self, offset: int, value: int) -> None:
        """Write a register."""
        self._do("writing a register", self._mmio.write, offset, int(value))

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Allocate a zeroed, physically contiguous array; raises whatever pynq does."""
        target = {} if self._device is None else {"target": self._device}
        buffer = self._pynq.allocate(shape=shape, dtype=dtype, **target)
        buffer[...] = 0
        return buffer

    def address(self, buffer: Any) -> int:
        """Physical address of an array."""
        return int(self._do("finding a buffer", lambda: buffer.physical_address))

    def flush(self, buffer: Any) -> None:
        """Make what the processor wrote visible to the core."""
        self._do("writing a buffer", buffer.flush)

    def invalidate(self, buffer: Any) -> None:
        """Make what the core wrote visible to the processor."""
        self._do("reading a buffer", buffer.invalidate)

    def free(self, buffer: Any) -> None:
        """Give an array's memory back."""
        self._do("freeing a buffer", buffer.freebuffer)

    def close(self) -> None:
        """Let go of the overlay; the bitstream stays loaded."""
        self._overlay = None
        client = getattr(self._device, "client", None)
        if client is not None:
            client.channel.close()


def forget_clocks(pynq: Any) -> None:
    """Make pynq look up the clocks of the next board: it keeps those of the first one."""
    clocks = getattr(pynq, "Clocks", None)
    if clocks is not None and "_real_instance" in vars(clocks):
        del clocks._real_instance


def forget_metadata(pynq: Any) -> None:
    """Make pynq read the `.hwh`: it keeps what the last one said by the `.bit` alone, beyond the process's end."""
    place = getattr(pynq, "__file__", None)
    if place is None:
        return
    try:
        (Path(place).parent / "pl_server" / "_current_metadata.pkl").unlink()
    except OSError:  # there is none, or it is not ours to remove: where it cannot be written there is none of ours
        pass


def complete_clocks(overlay: Any) -> None:
    """Give the PL clocks their frequency where pynq 4.0 did not find it in the `.hwh` of a Zynq-7000."""
    clocks = getattr(overlay, "clock_dict", None)
    if not isinstance(clocks, dict):
        return
    parameters: dict[str, Any] = {}
    for block in overlay.ip_dict.values():
        if "processing_system7" in str(block.get("type", "")):
            parameters = block.get("parameters", {})
    for index, clock in clocks.items():
        if clock.get("enable") and "frequency" in clock and clock["frequency"] is None:
            found = parameters.get(f"PCW_ACT_FPGA{index}_PERIPHERAL_FREQMHZ")
            if found is not None:
                clock["frequency"] = float(found)


def set_deadline(device: Any, seconds: float) -> None:
    """Give every call to a device of pynq.remote a deadline."""
    grpc: Any = importlib.import_module("grpc")

    def call(_: Any, continuation: Any, details: Any, request: Any) -> Any:
        if details.timeout is None:
            details = details._replace(timeout=seconds)
        return continuation(details, request)

    kinds = (grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor, grpc.StreamUnaryClientInterceptor)
    names = ("intercept_unary_unary", "intercept_unary_stream", "intercept_stream_unary")
    deadline = type("Deadline", kinds, dict.fromkeys(names, call))()
    channel = grpc.intercept_channel(device.client.channel, deadline)
    device._stub = {name: type(stub)(channel) for name, stub in device._stub.items()}
