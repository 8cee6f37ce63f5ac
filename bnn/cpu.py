"""The packed network on the processor: `infer` and `trace` of `bnn.golden`, by the C++ engine of hw_templates/cpu.

The engine is compiled by g++ at its first use and kept in the user's cache folder, named by its sources. Where it
cannot be had, `infer` here is the golden model's, which one line on the standard error says. docs/cpu.md has the rest.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from bnn import golden
from bnn.caches import user_cache
from bnn.errors import ExpectedError, line
from bnn.layers import INPUT, Layer, Model
from bnn.paths import PathError, shared_folder
from bnn.rules import MAX_BASES, MAX_PLANES, shapes

_HERE = Path(__file__).resolve().parent
SOURCES = next((path for path in (_HERE / "cpu_sources",) if path.is_dir()), _HERE.parent / "hw_templates" / "cpu")
"""In the wheel for boards they lie in the package."""
COMPILER = "BNN_CXX"
"""Environment variable: the compiler in place of g++; empty: none."""
FLAGS = ("-std=c++17", "-O3", "-fPIC", "-shared", "-pthread")
TIMEOUT_S = 900.0
COMPILED = 4
"""Engines that stay in the cache folder."""
ERROR_SIZE = 256
MAGIC, VERSION = 0x504E4E42, 1
RECORD_WORDS = 40
KINDS = ("conv", "dense", "average")
"""The number of a kind is its place, as in network.h."""


class EngineError(ExpectedError):
    """The engine cannot be built or loaded, or refuses something; one line says why."""


def sources(folder: Path = SOURCES) -> List[Path]:
    """The files that are compiled, headers last."""
    return sorted(folder.glob("*.cpp")) + sorted(folder.glob("*.h"))


def _digest(compiler: str) -> str:
    found = hashlib.sha256(
        "\0".join((compiler, *FLAGS, platform.system(), platform.machine(), str(struct.calcsize("P")))).encode()
    )
    for path in sources():
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


def _cache() -> Path:
    """The folder for compiled engines: what lies there is run, so it is this user's alone."""
    folder = user_cache() / "bnn-fpga"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=str(folder)):
            return folder
    except OSError:
        pass
    try:
        return shared_folder()
    except PathError as error:
        raise EngineError(f"{error}, expected one for the compiled CPU engine") from None
    except OSError as error:
        what = f"{error.filename}: {error.strerror}"
        raise EngineError(f"{what}, expected a folder for the compiled CPU engine") from None


def _forget_old(folder: Path) -> None:
    """Remove the engines that were compiled before the last few; processes that have them loaded keep them."""
    try:
        found = sorted(folder.glob("cpu-*.so"), key=lambda path: path.stat().st_mtime)
        for path in found[:-COMPILED]:
            path.unlink()
    except OSError:  # another process does the same
        pass


def library() -> Path:
    """The compiled engine; it is compiled if it is not there yet. Two processes at once both compile, one file stays.

    Raises:
        EngineError: no sources, no compiler, or it fails.
    """
    if not sources():
        raise EngineError(f"{SOURCES}: holds no sources of the CPU engine")
    given = os.environ.get(COMPILER)
    compiler = "g++" if given is None else given
    target = _cache() / f"cpu-{_digest(compiler)}.so"
    if target.is_file():
        return target
    if not compiler or shutil.which(compiler) is None:
        raise EngineError(f"there is no C++ compiler ({compiler or COMPILER + ' is empty'}) for the CPU engine")
    print("compiling the CPU engine, once", file=sys.stderr, flush=True)
    handle, temporary = tempfile.mkstemp(dir=str(target.parent), prefix=f".{target.name}.")
    os.close(handle)
    try:
        command = [compiler, *FLAGS, *(str(path) for path in sources() if path.suffix == ".cpp"), "-o", temporary]
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EngineError(f"{compiler}: {line(error)}") from None
        if done.returncode:
            lines = [text for text in done.stderr.decode(errors="replace").splitlines() if "error" in text]
            raise EngineError(f"{compiler} fails on the CPU engine: {(lines or ['no message'])[0][:160]}")
        os.chmod(temporary, 0o755)
        os.replace(temporary, str(target))
        _forget_old(target.parent)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
    return target


_CALLS: Dict[str, Tuple[Any, List[Any]]] = {
    "create": (
        ctypes.c_int,
        [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p],
    ),
    "destroy": (None, [ctypes.c_void_p]),
    "infer": (
        ctypes.c_int,
        [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_char_p],
    ),
    "trace": (
        ctypes.c_int,
        [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_char_p],
    ),
    "trace_bytes": (ctypes.c_size_t, [ctypes.c_void_p]),
    "memory": (ctypes.c_size_t, [ctypes.c_void_p]),
    "isa": (ctypes.c_char_p, [ctypes.c_void_p]),
    "isas": (ctypes.c_char_p, []),
    "peak": (ctypes.c_double, [ctypes.c_char_p, ctypes.c_double]),
}

_loaded: Dict[str, Any] = {}


def _calls() -> Any:
    """The library, loaded once.

    Raises:
        EngineError: as of `library`, or it cannot be loaded.
    """
    if "library" not in _loaded:
        if "error" in _loaded:  # compiling once is enough
            raise EngineError(_loaded["error"])
        try:
            path = library()
            try:
                found = ctypes.CDLL(str(path))
            except OSError as error:
                raise EngineError(f"{path}: cannot be loaded ({line(error)[:120]})") from None
        except EngineError as error:
            _loaded["error"] = str(error)
            raise
        for name, (result, arguments) in _CALLS.items():
            call = getattr(found, f"bnn_engine_{name}")
            call.restype, call.argtypes = result, arguments
        _loaded["library"] = found
    return _loaded["library"]


def isas() -> List[str]:
    """The instruction sets that run here, fastest first.

    Raises:
        EngineError: there is no engine.
    """
    return str(_calls().bnn_engine_isas().decode()).split()


def peak(isa: str, seconds: float = 0.2) -> float:
    """Binary multiply-accumulates a second that XOR, popcount and add on registers reach in one thread, measured.

    Raises:
        EngineError: there is no engine.
    """
    return float(_calls().bnn_engine_peak(isa.encode(), seconds))


def pack(model: Model) -> bytes:
    """The packed model, which the engine reads; hw_templates/cpu/network.h has the format.

    Raises:
        ModelError: the model is inconsistent.
    """
    shapes(model)
    numbers = {INPUT: -1}
    records: List[List[int]] = []
    arrays: List[bytes] = []
    position = 4 * 8 + 256 + 4 * RECORD_WORDS * len(model.layers)

    def add(content: Optional[np.ndarray]) -> int:
        nonlocal position
        if content is None:
            return 0
        start, raw = position, content.tobytes()
        arrays.append(raw + bytes(-len(raw) % 4))
        position += len(arrays[-1])
        return start

    def words(array: Optional[np.ndarray]) -> Optional[np.ndarray]:
        return None if array is None else array.astype("<i4")

    for index, layer in enumerate(model.layers):
        hidden = index < len(model.layers) - 1
        thresholds, flip = (layer.thresholds, layer.flip) if hidden else (None, None)
        coefficients = layer.coefficients
        at = [
            add(np.packbits(layer.weights.reshape(-1), bitorder="little")),
            add(words(thresholds)),
            add(None if thresholds is None or flip is None else np.packbits(flip, bitorder="little")),
            add(words(layer.scale if layer.requantised else None)),
            add(words(layer.offset)),
            add(words(coefficients)),
        ]
        records.append(_record(model, layer, numbers, 0 if thresholds is None else len(layer.limits), at))
        numbers[layer.name] = index
    header = (MAGIC, VERSION, position, len(records), model.height, model.width, model.channels, 0)
    return b"".join(
        [
            np.array(header, "<i4").tobytes(),
            model.input_table.tobytes(),
            np.array(records, "<i4").tobytes(),
            *arrays,
        ]
    )


def _record(model: Model, layer: Layer, numbers: Dict[str, int], limits: int, at: List[int]) -> List[int]:
    def exponents(given: Tuple[int, ...], room: int) -> List[int]:
        return [*given, *[0] * (room - len(given))]

    names = layer.inputs
    return [
        KINDS.index(layer.kind),
        numbers[names[0]],
        numbers[names[1]] if len(names) > 1 else -1,
        layer.bases,
        layer.outputs,
        layer.kernel,
        layer.stride,
        layer.pad,
        layer.pad_value if layer.pad else 0,
        int(layer.pool),
        limits,
        int(layer.requantised),
        0 if layer.coefficients is None else layer.coefficients.shape[2],
        layer.bits,
        layer.shift,
        int(layer.average_shortcut),
        layer.input_bits,
        *at,
        0,
        *exponents(layer.base_shifts, MAX_BASES),
        *exponents(layer.plane_shifts, MAX_PLANES),
    ]


class Engine:
    """A model laid out for an instruction set. Bits, values and scores are those of `bnn.golden`, exactly.

    Args:
        model: the network.
        isa: one of `isas()`; default: the first.
        threads: that work on every inference; default: as many as there are processors, fewer on few images of little
            work.

    Raises:
        ModelError: inconsistent model.
        EngineError: there is no engine, or it does not run that instruction set or a model so large.
    """

    def __init__(self, model: Model, isa: Optional[str] = None, threads: Optional[int] = None) -> None:
        self._handle: Any = None
        self._process = os.getpid()
        self.model, self.threads = model, threads
        self._calls = _calls()
        packed = pack(model)
        handle = ctypes.c_void_p()
        name = None if isa is None else isa.encode()
        self._error = ctypes.create_string_buffer(ERROR_SIZE)
        self._check(
            self._calls.bnn_engine_create(packed, len(packed), name, threads or 0, ctypes.byref(handle), self._error)
        )
        self._handle = handle

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Free the engine; it cannot be used afterwards."""
        if self._handle is not None:
            if self.usable:  # else its threads stayed in the process from which this one was forked
                self._calls.bnn_engine_destroy(self._handle)
            self._handle = None

    @property
    def usable(self) -> bool:
        """Whether it was made in this process: threads do not come along into one that is forked."""
        return self._process == os.getpid()

    def _check(self, failed: int) -> None:
        if failed:
            raise EngineError(f"CPU engine: {self._error.value.decode(errors='replace')}")

    def _images(self, images: np.ndarray) -> np.ndarray:
        golden.check_images(self.model, images)
        if self._handle is None or not self.usable:
            raise EngineError(f"CPU engine: is {'of another process' if self._handle else 'closed'}")
        return images if images.flags.c_contiguous else np.ascontiguousarray(images)

    @property
    def isa(self) -> str:
        """The instruction set."""
        return str(self._calls.bnn_engine_isa(self._handle).decode())

    @property
    def memory_bytes(self) -> int:
        """Bytes that it holds: weights, and the maps of the largest batch so far."""
        return int(self._calls.bnn_engine_memory(self._handle))

    def infer(self, images: np.ndarray) -> np.ndarray:
        """Scores int32 (N, classes) of images uint8 (N, H, W, C).

        Raises:
            ModelError: images of another shape.
            EngineError: no memory for the maps, or it is closed.
        """
        images = self._images(images)
        scores = np.empty((len(images), len(self.model.classes)), np.int32)
        self._check(
            self._calls.bnn_engine_infer(self._handle, images.ctypes.data, len(images), scores.ctypes.data, self._error)
        )
        return scores

    def trace(self, images: np.ndarray) -> Dict[str, np.ndarray]:
        """Every layer's output, in the form of `bnn.golden.trace`.

        Raises:
            ModelError: images of another shape.
            EngineError: no memory for the maps, or it is closed.
        """
        images = self._images(images)
        size = int(self._calls.bnn_engine_trace_bytes(self._handle))
        raw = np.empty((len(images), size), np.uint8)
        self._check(
            self._calls.bnn_engine_trace(self._handle, images.ctypes.data, len(images), raw.ctypes.data, self._error)
        )
        return unpack_trace(self.model, raw)


def unpack_trace(model: Model, raw: np.ndarray) -> Dict[str, np.ndarray]:
    """What the engine's trace (N, bytes) of images says, in the form of `bnn.golden.trace`."""
    found: Dict[str, np.ndarray] = {}
    start = 0

    def take(shape: Tuple[int, ...], dtype: str) -> np.ndarray:
        nonlocal start
        end = start + int(np.prod(shape)) * np.dtype(dtype).itemsize
        part = np.ascontiguousarray(raw[:, start:end]).view(dtype).reshape(len(raw), *shape)
        start = end
        return part

    for layer, (height, width, outputs) in zip(model.layers, shapes(model).values()):
        if layer is model.layers[-1]:
            found[layer.name] = take((outputs,), "<i4").astype(np.int32, copy=False)
            break
        shape = (height, width, outputs) if layer.kind == "conv" else (outputs,)
        if layer.planes:
            planes = take((layer.planes, *shape), "u1")
            found[layer.name] = planes[:, 0] if layer.planes == 1 else planes
        if layer.requantised:
            found[f"{layer.name}.value"] = take(shape, "<i2").astype(np.int16, copy=False)
    return found


KEPT = 2
"""Engines that are kept, of the models used last."""
_engines: List[Engine] = []
_told: List[str] = []


def _engine(model: Model, threads: Optional[int] = None) -> Optional[Engine]:
    """A model's engine, kept for the next call with the same object; None, and one line once, where there is none."""
    try:
        kept = (item for item in _engines if item.model is model and item.threads == threads and item.usable)
        found = next(kept, None)
        if found is None:
            found = Engine(model, threads=threads)
            _engines.insert(0, found)
            del _engines[KEPT:]
        return found
    except EngineError as error:
        if str(error) not in _told:
            _told.append(str(error))
            print(f"{error}: the numpy model computes instead, slowly", file=sys.stderr, flush=True)
        return None


def infer(model: Model, images: np.ndarray, threads: Optional[int] = None) -> np.ndarray:
    """Scores, equal to those of `bnn.golden.infer`, by the engine; by the golden model where there is no engine.

    Args:
        model: the network. It must not change between calls with the same object.
        images: uint8 (N, H, W, C).
        threads: as `Engine`'s.

    Returns:
        int32 (N, classes).

    Raises:
        ModelError: inconsistent model, or images of another shape.
    """
    engine = _engine(model, threads)
    return golden.infer(model, images) if engine is None else engine.infer(images)


def trace(model: Model, images: np.ndarray) -> Dict[str, np.ndarray]:
    """Every layer's output, equal to `bnn.golden.trace`, in the way of `infer`.

    Raises:
        ModelError: inconsistent model, or images of another shape.
    """
    engine = _engine(model)
    return golden.trace(model, images) if engine is None else engine.trace(images)
