"""The DDR memory of the simulated board and the buffers in it."""

from __future__ import annotations

import mmap
import os
import secrets
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Set, Tuple

from bnn.errors import ExpectedError

DDR_BYTES = 512 << 20
"""Memory of a PYNQ-Z1."""
CMA_BASE = 0x10000000
CMA_BYTES = 128 << 20
"""Contiguous memory that the PYNQ image sets aside."""
PAGE = 4096


class MemoryLimit(ExpectedError):
    """An allocation goes beyond a bound; one line says which."""


@dataclass
class Buffer:
    """A piece of contiguous memory of one client."""

    address: int
    size: int
    owner: str


class Memory:
    """DDR from address 0 on, all zero at first, and its allocator.

    A client gets at most `client_bytes` and `client_buffers`; a buffer is that client's who used it last, as one that
    connects again has another name. Where the memory is used up, buffers of clients that are gone are taken back: a
    client that was killed frees nothing.

    Args:
        client_bytes: bytes that one client may hold.
        client_buffers: buffers that one client may hold.
        lease_s: seconds of silence after which a client may lose its buffers.
        cma_bytes: bytes that all clients together may hold.
        gone_s: as `lease_s`, of a client without a connection.
    """

    def __init__(
        self,
        client_bytes: int = CMA_BYTES // 2,
        client_buffers: int = 64,
        lease_s: float = 600.0,
        cma_bytes: int = CMA_BYTES,
        gone_s: float = 5.0,
    ) -> None:
        if hasattr(os, "memfd_create"):
            self.handle = os.memfd_create("bnn_ddr")
        else:
            with tempfile.TemporaryFile() as unnamed:
                self.handle = os.dup(unnamed.fileno())
        # a simulation in another process maps the same descriptor
        os.ftruncate(self.handle, DDR_BYTES)
        self.content = mmap.mmap(self.handle, DDR_BYTES)
        self.client_bytes, self.client_buffers = client_bytes, client_buffers
        self.lease_s, self.cma_bytes, self.gone_s = lease_s, cma_bytes, gone_s
        self.without_connection: Callable[[Set[str]], Set[str]] = lambda clients: set()
        """Those of some clients that are known to have no connection."""
        self.in_use: Callable[[], bool] = lambda: False
        """Whether the core may still reach buffers that are freed now; they are reused later then."""
        self._buffers: Dict[str, Buffer] = {}
        self._freed: List[Buffer] = []
        self._seen: Dict[str, float] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Give the memory back."""
        self.content.close()
        os.close(self.handle)

    def touch(self, owner: str) -> None:
        """Note that a client is there."""
        with self._lock:
            self._seen[owner] = time.monotonic()
            if len(self._seen) > 4096:
                holding = {buffer.owner for buffer in self._buffers.values()}
                self._seen = {name: at for name, at in self._seen.items() if name in holding or name == owner}

    def allocate(self, owner: str, size: int) -> str:
        """A zeroed buffer for a client; gives its ID.

        Raises:
            MemoryLimit: the size is not positive, or a bound is reached.
        """
        if not 0 < size <= self.cma_bytes:
            raise MemoryLimit(f"{size} bytes cannot be allocated, expected 1 to {self.cma_bytes}")
        with self._lock:
            self._seen[owner] = time.monotonic()
            mine = [buffer for buffer in self._buffers.values() if buffer.owner == owner]
            held = sum(buffer.size for buffer in mine)
            if held + size > self.client_bytes:
                raise MemoryLimit(f"{size} bytes: this client holds {held} of {self.client_bytes} already")
            if len(mine) >= self.client_buffers:
                raise MemoryLimit(f"this client holds {len(mine)} buffers, the most it may")
            address = self._place(size)
            if address is None:
                self._reclaim(owner)
                address = self._place(size)
            if address is None:
                used = sum(buffer.size for buffer in self._buffers.values())
                raise MemoryLimit(f"{size} bytes: {used} of {self.cma_bytes} are in use")
            self.content[address : address + size] = bytes(size)
            name = secrets.token_hex(8)
            self._buffers[name] = Buffer(address, size, owner)
            return name

    def find(self, name: str, owner: str) -> Buffer:
        """The buffer with this ID, which is this client's from now on.

        Raises:
            MemoryLimit: there is none.
        """
        with self._lock:
            if name not in self._buffers:
                raise MemoryLimit(f"buffer {name!r} is unknown or was freed")
            self._buffers[name].owner = owner
            return self._buffers[name]

    def free(self, name: str) -> None:
        """Free the buffer with this ID.

        Raises:
            MemoryLimit: there is none.
        """
        with self._lock:
            if name not in self._buffers:
                raise MemoryLimit(f"buffer {name!r} is unknown or was freed")
            self._freed.append(self._buffers.pop(name))

    @property
    def used(self) -> Tuple[int, int]:
        """Buffers and bytes in use."""
        with self._lock:
            return len(self._buffers), sum(buffer.size for buffer in self._buffers.values())

    def _place(self, size: int) -> Optional[int]:
        """The lowest address with room for `size` bytes, or None."""
        if not self.in_use():
            self._freed.clear()
        taken = sorted((item.address, item.size) for item in [*self._buffers.values(), *self._freed])
        at = CMA_BASE
        for address, length in taken:
            if at + size <= address:
                return at
            at = max(at, -(-(address + length) // PAGE) * PAGE)
        return at if at + size <= CMA_BASE + self.cma_bytes else None

    def _reclaim(self, owner: str) -> None:
        """Free the buffers of clients that are gone."""
        now = time.monotonic()
        gone = self.without_connection({buffer.owner for buffer in self._buffers.values()})
        for name, buffer in list(self._buffers.items()):
            lease_s = min(self.gone_s, self.lease_s) if buffer.owner in gone else self.lease_s
            if buffer.owner != owner and self._seen.get(buffer.owner, 0.0) <= now - lease_s:
                self._freed.append(self._buffers.pop(name))
