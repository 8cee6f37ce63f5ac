"""The integer network in ``model.npz``, and the conventions that all parts share.

Bits
    Bit 1 is +1, bit 0 is -1, and sign(0) is +1. Element 0 sits in the least
    significant bit. The channel is innermost: maps are (H, W, C), weights of a
    convolution (O, 3, 3, I), those of a dense layer (O, I). A dense layer after
    a convolution reads the map flattened in H, W, C order.

Binary layers
    ``acc`` is the number of matching bits over the whole fan-in, padding
    included. ``bit = acc >= T``, 2x2 max-pool (stride 2, odd last row and column
    dropped) is the OR of those bits, and a channel's ``flip`` is XORed after the
    pool. A convolution is padded by 0 or 1 pixel that holds ``pad_value``
    (-1 or +1) in every channel.

First layer
    ``input_table`` maps a pixel to a signed 8-bit value. A first convolution
    computes ``sum`` of +-table[pixel] with padding 0 and ``bit = sum >= T``, then
    pool and flip as above. A first dense layer needs a table of -1 and +1 only
    and works on the bits ``table[pixel] > 0`` like every other layer.

Last layer
    Dense, without thresholds: ``score = scale * acc + offset`` as 32-bit
    integers. A score is about the trained one times ``2 ** shift``.

File
    ``np.savez_compressed`` without pickle: a JSON text in the uint8 array
    ``header`` (format, version, layers by name with their inputs by name), the
    array ``input_table``, and per layer ``<name>.weights`` and ``<name>.flip``
    (bit-packed, least significant bit first), ``<name>.thresholds`` or
    ``<name>.scale`` and ``<name>.offset``. Equal models give equal bytes.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bnn.archives import Archive, ArchiveError, describe
from bnn.contract import ACC_BITS, MAX_CHANNELS
from bnn.errors import ExpectedError
from bnn.files import write_atomically
from bnn.geometry import Shape, step
from bnn.text import printable

FORMAT = "bnn-model"
VERSION = 1
KINDS = ("conv", "dense")
MAX_FAN_IN = (1 << ACC_BITS) - 2
MAX_OUTPUTS = 65535
MAX_WEIGHTS = 1 << 27
"""Binary weights of a model in a file; a byte each in memory."""
MAX_HEADER = 4 << 20
"""Bytes of the JSON text of a file."""
INT16 = np.iinfo(np.int16)


class ModelError(ExpectedError):
    """A model is inconsistent or its file cannot be read; one line says where."""


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer. ``inputs`` names the layers it reads, ``input`` for the image.

    A hidden layer has ``thresholds``, the last one ``scale``, ``offset`` and
    ``shift`` instead.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    weights: np.ndarray
    pad: int = 0
    pad_value: int = 0
    pool: bool = False
    thresholds: np.ndarray | None = None
    flip: np.ndarray | None = None
    scale: np.ndarray | None = None
    offset: np.ndarray | None = None
    shift: int = 0

    @property
    def outputs(self) -> int:
        """Number of output channels."""
        return int(self.weights.shape[0])

    @property
    def fan_in(self) -> int:
        """Binary inputs of one output."""
        return int(np.prod(self.weights.shape[1:]))


@dataclass(frozen=True, eq=False)
class Model:
    """A network: the image's shape, the pixel table, the layers in order, the class names."""

    name: str
    height: int
    width: int
    channels: int
    input_table: np.ndarray
    layers: tuple[Layer, ...]
    classes: tuple[str, ...]
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def binary_input(self) -> bool:
        """Whether the table holds -1 and +1 only."""
        return bool(np.isin(self.input_table, (-1, 1)).all())


def _expect(good: bool, where: str, what: str) -> None:
    if not good:
        raise ModelError(f"{where}: {what}")


def _check_vector(
    where: str, array: np.ndarray | None, outputs: int, dtype: type, low: int = 0, high: int = 0
) -> None:
    if array is None:
        raise ModelError(f"{where}: missing, expected {np.dtype(dtype).name} ({outputs},)")
    got = f"{array.dtype.name} {array.shape}"
    _expect(
        array.dtype == dtype and array.shape == (outputs,),
        where,
        f"is {got}, expected {np.dtype(dtype).name} ({outputs},)",
    )
    if low < high:
        _expect(
            bool((array >= low).all() and (array <= high).all()),
            where,
            f"holds {array.min()} to {array.max()}, expected {low} to {high}",
        )


def shapes(model: Model) -> dict[str, Shape]:
    """Check the model and give each layer's output (H, W, C); (1, 1, O) for dense layers.

    Raises:
        ModelError: names the layer, what it has and what was expected.
    """
    _expect(model.height > 0 and model.width > 0, "image", "height and width must be positive")
    _expect(
        1 <= model.channels <= MAX_CHANNELS or bool(model.layers and model.layers[0].kind == "dense"),
        "image",
        f"has {model.channels} channels, expected 1 to {MAX_CHANNELS}",
    )
    _check_vector("input_table", model.input_table, 256, np.int8)
    _expect(bool(model.layers), "layers", "there are none")
    result: dict[str, Shape] = {}
    previous, shape = "input", (model.height, model.width, model.channels)
    for index, layer in enumerate(model.layers):
        first, last = index == 0, index == len(model.layers) - 1
        where = f"layer {layer.name}"
        _expect(bool(layer.name) and "/" not in layer.name, where, "name is empty or holds a slash")
        _expect(layer.name != "input" and layer.name not in result, where, "name is taken")
        _expect(
            tuple(layer.inputs) == (previous,),
            where,
            f"inputs are {list(layer.inputs)}, expected ['{previous}']",
        )
        _expect(layer.kind in KINDS, where, f"kind is '{layer.kind}', expected conv or dense")
        height, width, channels = shape
        conv = layer.kind == "conv"
        tail = (3, 3, channels) if conv else (height * width * channels,)
        weights = layer.weights
        _expect(
            weights.dtype == np.uint8
            and weights.ndim == len(tail) + 1
            and weights.shape[1:] == tail
            and weights.shape[0] > 0,
            f"{where}.weights",
            f"are {weights.dtype.name} {weights.shape}, expected uint8 (O, {', '.join(map(str, tail))})",
        )
        _expect(bool((weights <= 1).all()), f"{where}.weights", "must be 0 or 1")
        _expect(layer.fan_in <= MAX_FAN_IN, where, f"fan-in is {layer.fan_in}, expected at most {MAX_FAN_IN}")
        eight_bit = first and conv
        if conv:
            _expect(layer.pad in (0, 1), where, f"pad is {layer.pad}, expected 0 or 1")
            values = (0,) if eight_bit else (-1, 1)
            _expect(
                layer.pad_value in values or not layer.pad,
                where,
                f"pad_value is {layer.pad_value}, expected {values}",
            )
            shape = step(layer, shape).output
            _expect(min(shape) > 0, where, f"input {height}x{width} is too small")
        else:
            _expect(layer.pad == 0 and not layer.pool, where, "a dense layer has no pad and no pool")
            _expect(not first or model.binary_input, where, "a first dense layer needs a -1 and +1 table")
            shape = (1, 1, layer.outputs)
        if last:
            _expect(not conv, where, "the last layer must be dense")
            _expect(layer.thresholds is None, f"{where}.thresholds", "the last layer has none")
            _expect(layer.flip is None or not layer.flip.any(), f"{where}.flip", "the last layer has none")
            _check_vector(f"{where}.scale", layer.scale, layer.outputs, np.int32, INT16.min, INT16.max)
            _check_vector(f"{where}.offset", layer.offset, layer.outputs, np.int32)
            _expect(
                layer.outputs == len(model.classes),
                where,
                f"{layer.outputs} outputs for {len(model.classes)} classes",
            )
        else:
            low, high = (INT16.min, INT16.max) if eight_bit else (0, 65535)
            _check_vector(f"{where}.thresholds", layer.thresholds, layer.outputs, np.int32, low, high)
            _check_vector(f"{where}.flip", layer.flip, layer.outputs, np.bool_)
            _expect(
                layer.scale is None and layer.offset is None,
                where,
                "only the last layer has scale and offset",
            )
        result[layer.name] = shape
        previous = layer.name
    return result


def _pack(bits: np.ndarray) -> np.ndarray:
    return np.packbits(bits.reshape(-1).astype(np.uint8), bitorder="little")


def to_bytes(model: Model) -> bytes:
    """The bytes of ``model.npz``.

    Raises:
        ModelError: the model is inconsistent.
    """
    shapes(model)
    arrays: dict[str, np.ndarray] = {"input_table": model.input_table}
    described: list[dict[str, Any]] = []
    for layer in model.layers:
        described.append(
            {
                "name": layer.name,
                "kind": layer.kind,
                "inputs": list(layer.inputs),
                "weights": [int(size) for size in layer.weights.shape],
                "pad": int(layer.pad),
                "pad_value": int(layer.pad_value),
                "pool": bool(layer.pool),
                "shift": int(layer.shift),
            }
        )
        arrays[f"{layer.name}.weights"] = _pack(layer.weights)
        if layer.thresholds is not None and layer.flip is not None:
            arrays[f"{layer.name}.thresholds"] = layer.thresholds
            arrays[f"{layer.name}.flip"] = _pack(layer.flip)
        if layer.scale is not None and layer.offset is not None:
            arrays[f"{layer.name}.scale"] = layer.scale
            arrays[f"{layer.name}.offset"] = layer.offset
    header = {
        "format": FORMAT,
        "version": VERSION,
        "name": model.name,
        "height": int(model.height),
        "width": int(model.width),
        "channels": int(model.channels),
        "classes": list(model.classes),
        "layers": described,
        "meta": model.meta,
    }
    text = json.dumps(header, sort_keys=True).encode()
    out = io.BytesIO()
    np.savez_compressed(out, header=np.frombuffer(text, np.uint8), **arrays)
    return out.getvalue()


def save(model: Model, path: str | Path) -> None:
    """Write ``model.npz`` under a temporary name, then rename it.

    Raises:
        ModelError: the model is inconsistent.
    """
    write_atomically(Path(path), to_bytes(model))


class _Reader:
    """Typed access to the arrays of one file."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive

    def array(self, key: str, dtype: type, size: int | None = None, most: int | None = None) -> np.ndarray:
        wanted = f"expected {np.dtype(dtype).name} ({'N' if size is None else size},)"
        if key not in self.archive:
            raise ModelError(f"array {key}: missing, {wanted}")
        try:
            layout = self.archive.layout(key)
            if layout.dtype != np.dtype(dtype) or len(layout.shape) != 1 or size not in (None, layout.shape[0]):
                raise ModelError(f"array {key}: is {describe(layout.dtype)} {layout.shape}, {wanted}")
            if most is not None and layout.size > most:
                raise ModelError(f"array {key}: holds {layout.size} bytes, expected at most {most}")
            return self.archive.read(key)
        except ArchiveError as error:
            reason = str(error).rpartition(f"array {printable(key)}: ")[2]
            raise ModelError(f"array {key}: {reason}, {wanted}") from None

    def bits(self, key: str, shape: tuple[int, ...]) -> np.ndarray:
        count = int(np.prod(shape, dtype=np.int64))
        packed = self.array(key, np.uint8, (count + 7) // 8)
        return np.unpackbits(packed, count=count, bitorder="little").reshape(shape)


def _get(fields: Any, key: str, kind: type, where: str = "header") -> Any:
    value = fields.get(key) if isinstance(fields, dict) else None
    if type(value) is not kind:
        raise ModelError(f"{where}.{key}: is {json.dumps(value)[:40]}, expected {kind.__name__}")
    return value


def _strings(fields: Any, key: str, where: str = "header") -> tuple[str, ...]:
    values = _get(fields, key, list, where)
    if not all(isinstance(value, str) for value in values):
        raise ModelError(f"{where}.{key}: expected a list of strings")
    return tuple(values)


def _sizes(fields: Any) -> tuple[str, list[int]]:
    """A layer's name and the shape of its weights."""
    name = _get(fields, "name", str, "header.layers")
    where = f"layer {name}"
    _expect(name == printable(name), where, "a name is printable text, expected one without control characters")
    sizes = _get(fields, "weights", list, where)
    if len(sizes) not in (2, 4) or not all(type(size) is int and 0 < size < 2**24 for size in sizes):
        raise ModelError(f"{where}.weights: shape is {str(sizes)[:80]}, expected 2 or 4 positive sizes")
    return name, sizes


def _check_sizes(described: list[Any]) -> None:
    """Check what the header says of all weights before any is read.

    Raises:
        ModelError: names the layer and the limit.
    """
    names, total = set(), 0
    for fields in described:
        name, sizes = _sizes(fields)
        where = f"layer {name}"
        _expect(name not in names, where, "name is taken, expected another")
        names.add(name)
        fan_in = int(np.prod(sizes[1:], dtype=object))
        _expect(fan_in <= MAX_FAN_IN, where, f"fan-in is {fan_in}, expected at most {MAX_FAN_IN}")
        _expect(sizes[0] <= MAX_OUTPUTS, where, f"{sizes[0]} outputs, expected at most {MAX_OUTPUTS}")
        total += sizes[0] * fan_in
        _expect(total <= MAX_WEIGHTS, where, f"the weights so far are {total}, expected at most {MAX_WEIGHTS}")


def _read_layer(reader: _Reader, fields: Any, last: bool) -> Layer:
    name, sizes = _sizes(fields)
    where = f"layer {name}"
    outputs = sizes[0]
    vectors: dict[str, Any] = {}
    for key in ("scale", "offset") if last else ("thresholds",):
        vectors[key] = reader.array(f"{name}.{key}", np.int32, outputs)
    if not last:
        vectors["flip"] = reader.bits(f"{name}.flip", (outputs,)).astype(np.bool_)
    return Layer(
        name=name,
        kind=_get(fields, "kind", str, where),
        inputs=_strings(fields, "inputs", where),
        weights=reader.bits(f"{name}.weights", tuple(sizes)),
        pad=_get(fields, "pad", int, where),
        pad_value=_get(fields, "pad_value", int, where),
        pool=_get(fields, "pool", bool, where),
        shift=_get(fields, "shift", int, where),
        **vectors,
    )


def _read(reader: _Reader) -> Model:
    text = reader.array("header", np.uint8, most=MAX_HEADER).tobytes()
    try:
        header = json.loads(text.decode())
    except (ValueError, RecursionError):
        raise ModelError("array header: is not JSON text, expected the model's description") from None
    found = header.get("format") if isinstance(header, dict) else None
    if found != FORMAT:
        raise ModelError(f"header.format: is {json.dumps(found)[:40]}, expected '{FORMAT}'")
    version = _get(header, "version", int)
    if version != VERSION:
        newer = " (the file is newer than this program)" if version > VERSION else ""
        raise ModelError(f"header.version: is {version}, expected {VERSION}{newer}")
    described = _get(header, "layers", list)
    _check_sizes(described)
    model = Model(
        name=printable(_get(header, "name", str)),
        height=_get(header, "height", int),
        width=_get(header, "width", int),
        channels=_get(header, "channels", int),
        input_table=reader.array("input_table", np.int8, 256),
        layers=tuple(
            _read_layer(reader, fields, index == len(described) - 1) for index, fields in enumerate(described)
        ),
        classes=tuple(map(printable, _strings(header, "classes"))),
        meta=_get(header, "meta", dict),
    )
    shapes(model)
    return model


def load(path: str | Path) -> Model:
    """Read ``model.npz``.

    Raises:
        ModelError: missing, damaged, truncated or newer file; one line names the
            file, the field and what was expected.
    """
    try:
        with Archive(path) as archive:
            return _read(_Reader(archive))
    except ArchiveError as error:
        raise ModelError(f"{error}, expected a model file") from None
    except ModelError as error:
        raise ModelError(printable(f"{path}: {error}")) from None
    except (MemoryError, RecursionError) as error:
        what = "does not fit the memory" if isinstance(error, MemoryError) else "its header is nested too deeply"
        raise ModelError(f"{printable(path)}: {what}, expected a model file") from None
