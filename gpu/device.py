"""One GPU through the library of hw_templates/gpu: its memory, its kernels, its clock."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress
from ctypes import POINTER, byref, c_char_p, c_double, c_float, c_int, c_int32, c_size_t, c_uint, c_uint32, c_void_p
from typing import Any

import numpy as np

from bnn.geometry import ceil_div
from gpu.build import GpuError, library, why_no_gpu

POPCOUNT, TENSOR_CORES = "popcount", "tensor cores"
PATHS = (POPCOUNT, TENSOR_CORES)
"""Ways to multiply bits; the number of one is its place."""
SMALL, LARGE = "small", "large"
TILES = (SMALL, LARGE)
"""Tiles of a block: 64 x 64 and 128 x 256 rows x columns."""
LARGE_TILE = 128, 256
OLDEST = 80
"""Compute capability, times ten, from which on there are the copies that the kernels make."""
BITS_OF_MMA = range(80, 100)
"""Compute capabilities where mma of bits is one instruction; from 10.0 on it is eight on bytes."""
WORD = 32
STAGE_WORDS = 16
"""As in product.h: the depth of weights is a multiple of it."""


class Product(ctypes.Structure):
    """As in hw_templates/gpu/product.h."""

    _fields_ = [
        *(
            (name, c_void_p)
            for name in ("maps", "weights", "ones", "limits", "flip", "scale", "offset", "bits", "scores")
        ),
        *((name, c_int32) for name in ("images", "height", "width", "words", "kernel", "pad")),
        *((name, c_uint32) for name in ("pad_word", "pad_last")),
        *((name, c_int32) for name in ("computed_rows", "computed_columns", "pool", "outputs", "out_words", "depth")),
    ]

    @property
    def rows(self) -> int:
        """Rows of the product of matrices that it is."""
        return int(self.images * self.computed_rows * self.computed_columns)


class FirstLayer(ctypes.Structure):
    """As in hw_templates/gpu/layers.h."""

    _fields_ = [
        *((name, c_void_p) for name in ("pixels", "weights", "limits", "flip", "bits")),
        *((name, c_int32) for name in ("images", "height", "width", "pad")),
        *((name, c_int32) for name in ("out_rows", "out_columns", "pool", "out_words")),
    ]


_CALLS: dict[str, list[Any]] = {
    "describe": [c_char_p, c_size_t, POINTER(c_int), POINTER(c_int)],
    "allocate": [POINTER(c_void_p), c_size_t],
    "release": [c_void_p],
    "upload": [c_void_p, c_void_p, c_size_t],
    "download": [c_void_p, c_void_p, c_size_t],
    "mark": [c_int],
    "elapsed": [POINTER(c_float)],
    "product": [POINTER(Product), c_void_p, c_int],
    "read_pixels": [c_void_p, c_void_p, c_void_p, c_int, c_int],
    "first_layer": [POINTER(FirstLayer)],
    "pack_pixels": [c_void_p, c_void_p, c_void_p, c_int, c_int, c_int],
    "pack_signs": [c_void_p, c_void_p, c_int, c_int, c_int],
    "multiply_floats": [c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_int, c_int, c_int],
    "peak": [c_int, c_int, c_int, c_void_p, POINTER(c_double)],
}


class Buffer:
    """Memory of a GPU. It is released with the object, or before by `release`."""

    def __init__(self, device: Device, size: int) -> None:
        self.device, self.size, self.address = device, size, c_void_p()
        device.call("allocate", byref(self.address), max(size, 1))

    def upload(self, array: np.ndarray) -> Buffer:
        """Fill its beginning with an array's bytes."""
        array = np.ascontiguousarray(array)
        if array.nbytes > self.size:
            raise GpuError(f"an array of {array.nbytes} bytes does not fit a buffer of {self.size}")
        self.device.call("upload", self.address, array.ctypes.data_as(c_void_p), array.nbytes)
        return self

    def download(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Its beginning as an array; kernels that were started are finished first."""
        array = np.empty(shape, dtype)
        if array.nbytes > self.size:
            raise GpuError(f"an array of {array.nbytes} bytes is not in a buffer of {self.size}")
        self.device.call("download", array.ctypes.data_as(c_void_p), self.address, array.nbytes)
        return array

    def release(self) -> None:
        """Give the memory back; once is enough."""
        if self.address:
            address, self.address = self.address, c_void_p()
            self.device.call("release", address)

    def __del__(self) -> None:
        with suppress(GpuError):  # at the end of the process the driver may be gone before
            self.release()


class Device:
    """A GPU.

    Args:
        simulated: one on the host, of g++ and slow, whose results are a GPU's.
        options: more options for the compiler.

    Raises:
        GpuError: there is none, or the library cannot be compiled or loaded.
    """

    def __init__(self, simulated: bool = False, options: tuple[str, ...] = ()) -> None:
        reason = None if simulated else why_no_gpu()
        if reason is not None:
            raise GpuError(reason)
        path = library(simulated, options)
        try:
            self._library = ctypes.CDLL(str(path))
        except OSError as error:
            raise GpuError(f"{path}: cannot be loaded: {error}") from None
        for name, arguments in _CALLS.items():
            function = getattr(self._library, f"bnn_gpu_{name}")
            function.restype, function.argtypes = c_char_p, arguments
        self._library.bnn_gpu_schedule.argtypes = [c_uint]
        text, capability, multiprocessors = ctypes.create_string_buffer(256), c_int(), c_int()
        self.call("describe", text, len(text), byref(capability), byref(multiprocessors))
        self.simulated = simulated
        self.name = text.value.decode()
        self.capability = capability.value
        """10 x major + minor"""
        self.multiprocessors = multiprocessors.value
        if self.capability < OLDEST:
            raise GpuError(
                f"{self.name}: has compute capability {self.capability / 10}, expected {OLDEST / 10} or more"
            )

    @property
    def path(self) -> str:
        """The faster way to multiply bits."""
        return TENSOR_CORES if self.capability in BITS_OF_MMA else POPCOUNT

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of the library.

        Raises:
            GpuError: what it says.
        """
        error = getattr(self._library, f"bnn_gpu_{name}")(*arguments)
        if error is not None:
            raise GpuError(f"GPU, {name}: {error.decode(errors='replace')}")

    def schedule(self, number: int) -> None:
        """Choose the order in which a simulated GPU does what has no order; 0 is the natural one."""
        self._library.bnn_gpu_schedule(number)

    def empty(self, size: int) -> Buffer:
        """Memory of `size` bytes, all 0."""
        return Buffer(self, size)

    def put(self, array: np.ndarray) -> Buffer:
        """Memory with an array in it."""
        return Buffer(self, array.nbytes).upload(array)

    def tile(self, rows: int, outputs: int) -> str:
        """The larger tile where it leaves no multiprocessor idle, else the smaller."""
        blocks = ceil_div(rows, LARGE_TILE[0]) * ceil_div(outputs, LARGE_TILE[1])
        full = rows >= LARGE_TILE[0] and outputs >= LARGE_TILE[1]
        return LARGE if full and blocks >= self.multiprocessors else SMALL

    def multiply(self, product: Product, ones: Buffer | None, tile: str | None = None) -> None:
        """Start a product of bits.

        Args:
            product: what to multiply.
            ones: memory for the ones of every row, 4 bytes each: on the tensor cores. None: by popcount.
            tile: one of TILES; None: by the size.
        """
        tile = tile or self.tile(product.rows, product.outputs)
        self.call("product", byref(product), ones and ones.address, TILES.index(tile))

    def milliseconds(self, work: Callable[[], object]) -> float:
        """How long work that only starts kernels takes on the GPU."""
        elapsed = c_float()
        self.call("mark", 0)
        work()
        self.call("mark", 1)
        self.call("elapsed", byref(elapsed))
        return elapsed.value

    def peak(self, path: str, blocks: int, turns: int) -> tuple[Callable[[], None], float]:
        """What starts a path's instruction alone, on registers, and the binary multiply-accumulates of a start."""
        out, macs = self.empty(4 * 256 * blocks), c_double()

        def start() -> None:
            self.call("peak", PATHS.index(path), blocks, turns, out.address, byref(macs))

        start()
        return start, macs.value
