"""The gRPC services of a PYNQ.remote board, as pynq 4.0 calls them, in front of a `Core`.

The file services act on a tree in memory; nothing of the machine is read or written. What clients can take is bounded:
calls at a time, bytes of a message and of all files under way, seconds of a stream and of a connection's beginning; a
connection whose other end no longer answers is closed.
"""

from __future__ import annotations

import json
import posixpath
import re
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Optional, Set

import grpc

from bnn.contract import Registers
from bnn.errors import ExpectedError
from hls.designs import Design
from hls.overlay import MAGIC, SIMULATED, identity
from sim.board.core import Core, CoreError
from sim.board.memory import Memory, MemoryLimit

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # pynq's of setuptools, which nobody here can mend
    from pynq.remote import (
        buffer_pb2,
        buffer_pb2_grpc,
        gpio_pb2_grpc,
        mmio_pb2,
        mmio_pb2_grpc,
        remote_device_pb2,
        remote_device_pb2_grpc,
    )

PORT = 7967
"""The port that pynq connects to."""
CONTROL_BASE, CONTROL_RANGE = SIMULATED.ps.control_base, 0x10000
SLCR_BASE, SLCR_RANGE = 0xF8000000, 0x1000
FIRMWARE = "/lib/firmware/"
MANAGER = "/sys/class/fpga_manager/fpga0/"
CHUNK = 1 << 20
TREE_BYTES, TREE_FILES, PATH_LENGTH = 64 << 20, 256, 255
INCOMING_BYTES = 2 * TREE_BYTES
"""Bytes of files that all streams together may have sent so far."""
MESSAGE_BYTES = (2 << 20) + (64 << 10)
"""A part of a file or a buffer as pynq sends it, and what is around it."""
CALLS, THREADS = 128, 32
STREAM_S = 30.0
"""Seconds that a stream of messages may take, either way."""
HANDSHAKE_S, PING_S, PONG_S = 5, 20, 10
"""Seconds until a connection must have said what it is; of silence until it is asked; until it must have answered."""
ESTABLISHED = "01"
SYNC_WORD = bytes.fromhex("AA995566")


class BoardError(ExpectedError):
    """A request is refused; one line says why."""


class Files:
    """A small tree of files in memory."""

    def __init__(self) -> None:
        self._content: Dict[str, bytes] = {
            "/proc/version": b"Linux version 6.6.10-xilinx (armv7l), simulated by bnn-fpga\n",
            "/proc/device-tree/chosen/pynq_board": b"Pynq-Z1\0",
            MANAGER + "state": b"unknown\n",
            MANAGER + "flags": b"0\n",
            MANAGER + "firmware": b"",
        }
        self._lock = threading.Lock()

    def exists(self, path: str) -> bool:
        """Whether there is a file or a folder of this name."""
        with self._lock:
            name = self._name(path)
            return name in self._content or any(item.startswith(name + "/") for item in self._content)

    def read(self, path: str) -> bytes:
        """A file's content.

        Raises:
            BoardError: there is none.
        """
        with self._lock:
            name = self._name(path)
            if name not in self._content:
                raise BoardError(f"{path}: no such file on the simulated board")
            return self._content[name]

    def write(self, path: str, content: bytes) -> None:
        """Write a file.

        Raises:
            BoardError: the path is not absolute or too long, or the tree would be too large.
        """
        with self._lock:
            name = self._name(path)
            if not name.startswith("/") or name == "/" or len(name) > PATH_LENGTH or "\0" in name:
                raise BoardError(f"{path[:80]!r}: expected an absolute path of at most {PATH_LENGTH} characters")
            others = [len(data) for key, data in self._content.items() if key != name]
            if sum(others) + len(content) > TREE_BYTES or len(others) >= TREE_FILES:
                raise BoardError(f"{path}: the files of the simulated board are full ({TREE_BYTES} bytes)")
            self._content[name] = content

    def remove(self, path: str) -> None:
        """Remove a file if it is there."""
        with self._lock:
            self._content.pop(self._name(path), None)

    @staticmethod
    def _name(path: str) -> str:
        return posixpath.normpath(path.replace("//", "/")) if path else ""


class Incoming:
    """The bytes of files that streams have sent so far."""

    def __init__(self) -> None:
        self._bytes = 0
        self._lock = threading.Lock()

    def receive(self, parts: Iterator[bytes]) -> bytes:
        """All parts as one.

        Raises:
            BoardError: they are too many, or those of all streams together.
        """
        held: List[bytes] = []
        size = 0
        try:
            for part in parts:
                with self._lock:
                    if self._bytes + len(part) > INCOMING_BYTES:
                        raise BoardError(f"{self._bytes} bytes of other files are under way, try again")
                    self._bytes += len(part)
                size += len(part)
                held.append(part)
                if size > TREE_BYTES:
                    raise BoardError(f"more than {TREE_BYTES} bytes")
            return b"".join(held)
        finally:
            with self._lock:
                self._bytes -= size


@contextmanager
def limited(context: Any) -> Iterator[Callable[[], bool]]:
    """End a stream that takes longer than `STREAM_S`, however its bytes are spread; gives whether it is still there."""
    late = threading.Event()

    def end() -> None:
        late.set()
        context.cancel()

    timer = threading.Timer(STREAM_S, end)
    timer.daemon = True
    timer.start()
    try:
        yield lambda: context.is_active() and not late.is_set()
    finally:
        timer.cancel()


def connected(port: int) -> Optional[Set[str]]:
    """The ports, as text, of all that have a connection to a port of this machine; None where Linux does not say."""
    found: Set[str] = set()
    read = False
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(name) as table:
                lines = table.read().splitlines()[1:]
        except OSError:
            continue
        read = True
        for line in lines:
            _, local, remote, state = line.split()[:4]
            if state == ESTABLISHED and int(local.rpartition(":")[2], 16) == port:
                found.add(str(int(remote.rpartition(":")[2], 16)))
    return found if read else None


def describe(design: Design) -> str:
    """A design in a few words."""
    return f"{design.name} (PE {design.pe}, SIMD {design.simd}, LANES {design.lanes})"


class Board:
    """What the services share: the memory, the core, the files, and which bitstream is loaded."""

    def __init__(self, design: Design, core: Core, memory: Memory) -> None:
        self.design, self.core, self.memory = design, core, memory
        memory.in_use = lambda: core.running
        self.files = Files()
        self.loaded = False
        self.lock = threading.Lock()
        clock = 10 << 8 | 1 << 20  # divisors 10 and 1
        self.slcr: Dict[int, int] = {0x100: 26 << 12, 0x104: 21 << 12, 0x108: 20 << 12, 0x120: 2 << 8}
        self.slcr.update(dict.fromkeys((0x170, 0x180, 0x190, 0x1A0), clock))

    def load(self, content: bytes) -> None:
        """Configure the logic.

        Args:
            content: the payload of the `.bit`, as it is or with the bytes of its words swapped.

        Raises:
            BoardError: it is no overlay of the simulated board, or that of another design.
            CoreError: the simulation does not start.
        """
        swapped = bytearray(len(content) // 4 * 4)
        for lane in range(4):
            swapped[lane::4] = content[: len(swapped)][3 - lane :: 4]
        for form in (content, bytes(swapped)):
            found = re.search(re.escape(MAGIC) + rb"([^\n]{1,4096})\n", form)
            if found:
                break
        else:
            real = any(SYNC_WORD in form for form in (content, bytes(swapped)))
            what = "a bitstream for a real device" if real else f"{len(content)} bytes that are no overlay"
            raise BoardError(f"{what}; this is a simulated board, load the overlay that hls renders for it")
        try:
            given = json.loads(found.group(1))
        except ValueError:
            raise BoardError("a damaged overlay") from None
        wanted = json.loads(json.dumps(identity(self.design)))
        if given != wanted:
            other = given.get("design", {}) if isinstance(given, dict) else {}
            fields = other if isinstance(other, dict) else {}
            name, parts = fields.get("name"), [f"{key.upper()} {fields.get(key)}" for key in ("pe", "simd", "lanes")]
            raise BoardError(
                f"bitstream of design {name} ({', '.join(parts)}), this board simulates {describe(self.design)}"
            )
        with self.lock:
            self.core.reset()
            self.loaded = True
        self.files.write(MANAGER + "state", b"operating\n")

    def read(self, address: int) -> int:
        """Read a 32-bit word.

        Raises:
            BoardError: nothing answers at the address.
            CoreError: the simulation ended.
        """
        if SLCR_BASE <= address < SLCR_BASE + SLCR_RANGE:
            return self.slcr.get(address - SLCR_BASE, 0)
        return self.core.read(self._offset(address))

    def write(self, address: int, value: int) -> None:
        """Write a 32-bit word.

        Raises:
            BoardError: nothing answers at the address.
            CoreError: the simulation ended.
        """
        if SLCR_BASE <= address < SLCR_BASE + SLCR_RANGE:
            with self.lock:
                self.slcr[address - SLCR_BASE] = value
            return
        self.core.write(self._offset(address), value)

    def _offset(self, address: int) -> int:
        if not CONTROL_BASE <= address < CONTROL_BASE + CONTROL_RANGE:
            raise BoardError(f"0x{address:08X}: nothing answers there on the simulated board")
        if not self.loaded:
            raise BoardError("no bitstream is loaded")
        return (address - CONTROL_BASE) % Registers.size_bytes()


class DeviceService(remote_device_pb2_grpc.RemoteDeviceServicer):  # type: ignore[misc]
    """Files, and loading a bitstream through those of the FPGA manager."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._incoming = Incoming()

    def existsfile(self, request: Any, context: Any) -> Any:
        return remote_device_pb2.ExistsFileResponse(exists=self._board.files.exists(request.file_path))

    def readfile(self, request: Any, context: Any) -> Iterator[Any]:
        try:
            content = self._board.files.read(request.file_path)
        except BoardError as error:
            context.abort(grpc.StatusCode.NOT_FOUND, str(error))
            return
        with limited(context):
            for at in range(0, len(content), CHUNK):
                yield remote_device_pb2.ReadFileResponse(data=content[at : at + CHUNK])

    def writefile(self, requests: Iterator[Any], context: Any) -> Any:
        path = ""

        def parts() -> Iterator[bytes]:
            nonlocal path
            for request in requests:
                path = path or request.file_path
                yield request.data

        try:
            with limited(context) as there:
                content = self._incoming.receive(parts())
                if not there():  # what a client sent that was too slow, or left, is no whole file
                    return remote_device_pb2.WriteFileResponse()
            if path == MANAGER + "firmware":
                name = content.decode("utf-8", "replace").strip("\n\0 ")
                self._board.load(self._board.files.read(FIRMWARE + name))
            self._board.files.write(path, content)
        except BoardError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except CoreError as error:
            context.abort(grpc.StatusCode.INTERNAL, str(error))
        return remote_device_pb2.WriteFileResponse()

    def set_bitstream_attrs(self, request: Any, context: Any) -> Any:
        if request.partial:
            return remote_device_pb2.SetBitstreamAttrsResponse(status=False)
        # pynq sends a file only where there is none of its name, so that an older one would be loaded
        self._board.files.remove(FIRMWARE + request.binfile_name)
        return remote_device_pb2.SetBitstreamAttrsResponse(status=True)

    def download(self, requests: Iterator[Any], context: Any) -> Any:
        try:
            with limited(context) as there:
                content = self._incoming.receive(request.buffer for request in requests)
                if not there():
                    return remote_device_pb2.DownloadResponse(status=False)
            self._board.load(content)
        except (BoardError, CoreError) as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        return remote_device_pb2.DownloadResponse(status=True)

    def set_pl_clk(self, request: Any, context: Any) -> Any:
        known = 0 <= request.i < 4 and 0 < request.div0 < 64 and 0 < request.div1 < 64
        if known:
            self._board.write(SLCR_BASE + 0x170 + 0x10 * request.i, request.div0 << 8 | request.div1 << 20)
        return remote_device_pb2.SetPlClkResponse(status=known)

    def shutdown(self, request: Any, context: Any) -> Any:
        return remote_device_pb2.ShutdownResponse(status=True)


class MmioService(mmio_pb2_grpc.MmioServicer):  # type: ignore[misc]
    """Registers. The ID of a window is its base and length, so that nothing is kept for a client."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def get_mmio(self, request: Any, context: Any) -> Any:
        base, length = request.base_addr, request.length
        windows = ((CONTROL_BASE, CONTROL_RANGE), (SLCR_BASE, SLCR_RANGE))
        if length <= 0 or not any(start <= base and base + length <= start + size for start, size in windows):
            text = f"0x{base:08X} + {length}: nothing answers there on the simulated board"
            return mmio_pb2.GetMmioResponse(status=False, msg=text)
        return mmio_pb2.GetMmioResponse(status=True, mmio_id=f"{base:x}:{length:x}")

    def read(self, request: Any, context: Any) -> Any:
        try:
            length = request.length or 4
            address = self._address(request, max(length, 4))
            if length not in (1, 2, 4, 8):
                raise BoardError(f"length is {length}, expected 1, 2, 4 or 8")
            data = self._board.read(address)
            if length == 8:
                other = self._board.read(address + 4)
                data = data << 32 | other if request.word_order == "big" else other << 32 | data
            return mmio_pb2.ReadResponse(status=True, data=data & (1 << 8 * length) - 1)
        except (BoardError, CoreError) as error:
            return mmio_pb2.ReadResponse(status=False, msg=str(error))

    def write(self, request: Any, context: Any) -> Any:
        try:
            address = self._address(request, len(request.data))
            if len(request.data) % 4:
                raise BoardError(f"{len(request.data)} bytes, expected a multiple of 4")
            for at in range(0, len(request.data), 4):
                self._board.write(address + at, int.from_bytes(request.data[at : at + 4], "little"))
            return mmio_pb2.WriteResponse(status=True)
        except (BoardError, CoreError) as error:
            return mmio_pb2.WriteResponse(status=False, msg=str(error))

    @staticmethod
    def _address(request: Any, size: int) -> int:
        try:
            base, length = (int(part, 16) for part in request.mmio_id.split(":"))
        except ValueError:
            raise BoardError(f"window {request.mmio_id!r} is unknown") from None
        if request.offset < 0 or request.offset % 4 or request.offset + size > length:
            raise BoardError(f"offset {request.offset} with {size} bytes, expected a multiple of 4 below {length}")
        return int(base + request.offset)


class BufferService(buffer_pb2_grpc.RemoteBufferServicer):  # type: ignore[misc]
    """Buffers in the DDR memory, each of the client that asked for it."""

    def __init__(self, board: Board) -> None:
        self._memory = board.memory

    def allocate(self, request: Any, context: Any) -> Any:
        self._memory.touch(context.peer())
        try:
            return buffer_pb2.AllocateResponse(buffer_id=self._memory.allocate(context.peer(), request.size))
        except MemoryLimit as error:  # pynq does not look at the message of this response
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))

    def write(self, requests: Iterator[Any], context: Any) -> Any:
        self._memory.touch(context.peer())
        at: Optional[int] = None
        try:
            with limited(context):
                for request in requests:
                    buffer = self._memory.find(request.buffer_id, context.peer())
                    if at is None:
                        at = request.start
                    if at < 0 or at + len(request.data) > buffer.size:
                        raise MemoryLimit(f"bytes {at} to {at + len(request.data)} of a buffer of {buffer.size}")
                    start = buffer.address + at
                    self._memory.content[start : start + len(request.data)] = request.data
                    at += len(request.data)
            return buffer_pb2.BufferWriteResponse()
        except MemoryLimit as error:
            return buffer_pb2.BufferWriteResponse(msg=str(error))

    def read(self, request: Any, context: Any) -> Iterator[Any]:
        self._memory.touch(context.peer())
        try:
            buffer = self._memory.find(request.buffer_id, context.peer())
            end = request.end or buffer.size
            if not 0 <= request.start <= end <= buffer.size:
                raise MemoryLimit(f"bytes {request.start} to {end} of a buffer of {buffer.size}")
        except MemoryLimit as error:
            context.abort(grpc.StatusCode.NOT_FOUND, str(error))
            return
        with limited(context):
            for at in range(buffer.address + request.start, buffer.address + end, CHUNK):
                data = self._memory.content[at : min(at + CHUNK, buffer.address + end)]
                yield buffer_pb2.BufferReadResponse(data=bytes(data))

    def freebuffer(self, request: Any, context: Any) -> Any:
        self._memory.touch(context.peer())
        try:
            self._memory.free(request.buffer_id)
            return buffer_pb2.FreeBufferResponse()
        except MemoryLimit as error:
            return buffer_pb2.FreeBufferResponse(msg=str(error))

    def flush(self, request: Any, context: Any) -> Any:
        return buffer_pb2.FlushResponse(msg=self._missing(request, context))

    def invalidate(self, request: Any, context: Any) -> Any:
        return buffer_pb2.InvalidateResponse(msg=self._missing(request, context))

    def physical_address(self, request: Any, context: Any) -> Any:
        self._memory.touch(context.peer())
        try:
            return buffer_pb2.AddressResponse(address=self._memory.find(request.buffer_id, context.peer()).address)
        except MemoryLimit as error:
            return buffer_pb2.AddressResponse(msg=str(error))

    def virtual_address(self, request: Any, context: Any) -> Any:
        return self.physical_address(request, context)

    def cacheable(self, request: Any, context: Any) -> Any:
        return buffer_pb2.CacheableResponse(msg=self._missing(request, context), cacheable=True)

    def _missing(self, request: Any, context: Any) -> str:
        self._memory.touch(context.peer())
        try:
            self._memory.find(request.buffer_id, context.peer())
            return ""
        except MemoryLimit as error:
            return str(error)


class Server:
    """The services of one board, listening.

    Args:
        board: what they act on.
        host: address to listen on.
        port: 0 takes a free one.

    Raises:
        BoardError: the address cannot be bound.
    """

    def __init__(self, board: Board, host: str = "127.0.0.1", port: int = PORT) -> None:
        self.board = board
        options = [
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", MESSAGE_BYTES),
            ("grpc.server_handshake_timeout_ms", 1000 * HANDSHAKE_S),
            ("grpc.keepalive_time_ms", 1000 * PING_S),
            ("grpc.keepalive_timeout_ms", 1000 * PONG_S),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
        ]
        self._server = grpc.server(
            ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="board"),
            options=options,
            maximum_concurrent_rpcs=CALLS,
        )
        remote_device_pb2_grpc.add_RemoteDeviceServicer_to_server(DeviceService(board), self._server)
        mmio_pb2_grpc.add_MmioServicer_to_server(MmioService(board), self._server)
        buffer_pb2_grpc.add_RemoteBufferServicer_to_server(BufferService(board), self._server)
        gpio_pb2_grpc.add_GpioServicer_to_server(gpio_pb2_grpc.GpioServicer(), self._server)
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            self.port = self._server.add_insecure_port(address)
        except RuntimeError:
            self.port = 0
        if not self.port:
            raise BoardError(f"{address}: cannot be listened on, another server may use it")
        board.memory.without_connection = self._without_connection
        self._server.start()

    def _without_connection(self, peers: Set[str]) -> Set[str]:
        """Those of some peers that have none; two of one port on two machines are not told apart."""
        ports = connected(self.port)
        return set() if ports is None else {peer for peer in peers if peer.rpartition(":")[2] not in ports}

    def close(self) -> None:
        """Stop listening and end the simulation."""
        self._server.stop(0).wait()
        self.board.core.close()
