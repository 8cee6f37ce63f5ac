"""The integer network in `model.npz`. `docs/model.md` says what it computes.

`np.savez_compressed` without pickle: a JSON text in the uint8 array `header` (format, version, layers by name with
their inputs by name), the array `input_table`, and per layer `<name>.weights` and `<name>.flip` (bit-packed,
least significant bit first), `<name>.thresholds`, or `<name>.scale` and `<name>.offset`. Equal models give equal
bytes.

A model that needs nothing of version 2 is written as version 1. In version 2 a layer's header also has `stride`,
`planes` (rows of `<name>.thresholds`, which is flat), `base_shifts`, `plane_shifts`, `bits`,
`average_shortcut` and `input_bits`, and says by `requantised` and `coefficients` whether there are
`<name>.offset` with `<name>.scale` or with `<name>.coefficients` (flat as well); the axes of weights are those of
`bnn.layers.Layer`.

The header of a model whose probabilities are calibrated also has `temperature`, in either version.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any, Optional

import numpy as np

from bnn.archives import Archive, ArchiveError, describe
from bnn.files import write_atomically
from bnn.layers import Layer, Model, ModelError, features
from bnn.rules import MAX_BASES, MAX_FAN_IN, MAX_PLANES, MAX_THRESHOLDS, expect, shapes
from bnn.text import printable

__all__ = ["MAX_OUTPUTS", "Layer", "SHIPPED", "Model", "ModelError", "load", "save", "shapes", "to_bytes"]

SHIPPED = Path(__file__).resolve().parent.parent / "models"
"""Where the shipped models and images lie."""
FORMAT = "bnn-model"
VERSIONS = (1, 2)
MAX_OUTPUTS = 65535
MAX_WEIGHTS = 1 << 27
"""Binary weights of a model in a file; a byte each in memory."""
MAX_HEADER = 4 << 20
"""Bytes of the JSON text of a file."""


def _pack(bits: np.ndarray) -> np.ndarray:
    return np.packbits(bits.reshape(-1).astype(np.uint8), bitorder="little")


def _describe(layer: Layer, version: int) -> dict[str, Any]:
    """A layer's part of the header."""
    fields: dict[str, Any] = {
        "name": layer.name,
        "kind": layer.kind,
        "inputs": list(layer.inputs),
        "weights": [int(size) for size in layer.weights.shape],
        "pad": int(layer.pad),
        "pad_value": int(layer.pad_value),
        "pool": bool(layer.pool),
        "shift": int(layer.shift),
    }
    if version > 1:
        fields.update(
            stride=int(layer.stride),
            planes=len(layer.limits),
            base_shifts=list(map(int, layer.base_shifts)),
            plane_shifts=list(map(int, layer.plane_shifts)),
            bits=int(layer.bits),
            average_shortcut=bool(layer.average_shortcut),
            input_bits=int(layer.input_bits),
            requantised=layer.requantised,
            coefficients=0 if layer.coefficients is None else int(layer.coefficients.shape[2]),
        )
    return fields


def to_bytes(model: Model) -> bytes:
    """The bytes of `model.npz`.

    Raises:
        ModelError: the model is inconsistent.
    """
    shapes(model)
    _check_temperature(model.temperature)
    version = 2 if any(features(model)) else 1
    arrays: dict[str, np.ndarray] = {"input_table": model.input_table}
    for layer in model.layers:
        arrays[f"{layer.name}.weights"] = _pack(layer.weights)
        if layer.thresholds is not None and layer.flip is not None:
            arrays[f"{layer.name}.thresholds"] = layer.thresholds.reshape(-1)
            arrays[f"{layer.name}.flip"] = _pack(layer.flip)
        for key, array in (("scale", layer.scale), ("coefficients", layer.coefficients), ("offset", layer.offset)):
            if array is not None:
                arrays[f"{layer.name}.{key}"] = array.reshape(-1)
    header = {
        "format": FORMAT,
        "version": version,
        "name": model.name,
        "height": int(model.height),
        "width": int(model.width),
        "channels": int(model.channels),
        "classes": list(model.classes),
        "layers": [_describe(layer, version) for layer in model.layers],
        "meta": model.meta,
    }
    if model.temperature is not None:
        header["temperature"] = float(model.temperature)
    text = json.dumps(header, sort_keys=True).encode()
    out = io.BytesIO()
    np.savez_compressed(out, header=np.frombuffer(text, np.uint8), **arrays)
    return out.getvalue()


def _check_temperature(value: Any) -> Optional[float]:
    """A model's temperature, if it is one.

    Raises:
        ModelError: it is no positive finite number.
    """
    good = value is None or (
        isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= sys.float_info.max
    )
    expect(good, "header.temperature", f"is {str(value)[:40]}, expected a positive finite number")
    return None if value is None else float(value)


def save(model: Model, path: str | Path) -> None:
    """Write `model.npz` under a temporary name, then rename it.

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


def _integers(fields: Any, key: str, where: str) -> tuple[int, ...]:
    values = _get(fields, key, list, where)
    if not all(type(value) is int and 0 <= value < 2**24 for value in values):
        raise ModelError(f"{where}.{key}: is {str(values)[:80]}, expected integers from 0 to {2**24 - 1}")
    return tuple(values)


def _sizes(fields: Any, version: int) -> tuple[str, tuple[int, ...]]:
    """A layer's name and the shape of its weights."""
    name = _get(fields, "name", str, "header.layers")
    where = f"layer {name}"
    expect(name == printable(name), where, "a name is printable text, expected one without control characters")
    sizes = _integers(fields, "weights", where)
    counts = (2, 4) if version == 1 else (2, 3, 4, 5)
    none = version > 1 and fields.get("kind") == "average" and len(sizes) == 2
    if len(sizes) not in counts or not all(sizes[: 1 if none else None]):
        raise ModelError(
            f"{where}.weights: shape is {list(sizes)}, expected {' or '.join(map(str, counts))} positive sizes"
        )
    return name, sizes


def _check_sizes(described: list[Any], version: int) -> None:
    """Check what the header says of all weights before any is read.

    Raises:
        ModelError: names the layer and the limit.
    """
    names, total = set(), 0
    for fields in described:
        name, sizes = _sizes(fields, version)
        where = f"layer {name}"
        expect(name not in names, where, "name is taken, expected another")
        names.add(name)
        bases, (outputs, *inputs) = (sizes[0], sizes[1:]) if len(sizes) % 2 else (1, sizes)
        fan_in = int(np.prod(inputs, dtype=object))
        expect(bases <= MAX_BASES, where, f"{bases} bases, expected at most {MAX_BASES}")
        expect(fan_in <= MAX_FAN_IN, where, f"fan-in is {fan_in}, expected at most {MAX_FAN_IN}")
        expect(outputs <= MAX_OUTPUTS, where, f"{outputs} outputs, expected at most {MAX_OUTPUTS}")
        total += bases * outputs * fan_in
        expect(total <= MAX_WEIGHTS, where, f"the weights so far are {total}, expected at most {MAX_WEIGHTS}")


def _count(fields: Any, key: str, where: str, most: int) -> int:
    value = _get(fields, key, int, where)
    expect(0 <= value <= most, f"{where}.{key}", f"is {value}, expected 0 to {most}")
    return int(value)


def _read_layer(reader: _Reader, fields: Any, version: int, last: bool) -> Layer:
    name, sizes = _sizes(fields, version)
    where = f"layer {name}"
    bases, outputs = sizes[:2] if len(sizes) % 2 else (1, sizes[0])
    more: dict[str, Any] = {}
    limits, requantised, planes = (0, True, 0) if last else (1, False, 0)
    if version > 1:
        limits = _count(fields, "planes", where, MAX_THRESHOLDS)
        planes = _count(fields, "coefficients", where, MAX_PLANES)
        requantised = _get(fields, "requantised", bool, where)
        more = {
            key: _get(fields, key, kind, where)
            for key, kind in (("stride", int), ("bits", int), ("average_shortcut", bool), ("input_bits", int))
        }
        more["base_shifts"] = _integers(fields, "base_shifts", where)
        more["plane_shifts"] = _integers(fields, "plane_shifts", where)
    if limits:
        array = reader.array(f"{name}.thresholds", np.int32, limits * outputs)
        more["thresholds"] = array.reshape(limits, outputs) if limits > 1 else array
        more["flip"] = reader.bits(f"{name}.flip", (outputs,)).astype(np.bool_)
    if requantised:
        if planes:
            array = reader.array(f"{name}.coefficients", np.int32, outputs * bases * planes)
            more["coefficients"] = array.reshape(outputs, bases, planes)
        else:
            more["scale"] = reader.array(f"{name}.scale", np.int32, outputs)
        more["offset"] = reader.array(f"{name}.offset", np.int32, outputs)
    return Layer(
        name=name,
        kind=_get(fields, "kind", str, where),
        inputs=_strings(fields, "inputs", where),
        weights=reader.bits(f"{name}.weights", sizes),
        pad=_get(fields, "pad", int, where),
        pad_value=_get(fields, "pad_value", int, where),
        pool=_get(fields, "pool", bool, where),
        shift=_get(fields, "shift", int, where),
        **more,
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
    if version not in VERSIONS:
        newer = " (the file is newer than this program)" if version > VERSIONS[-1] else ""
        raise ModelError(f"header.version: is {version}, expected {' or '.join(map(str, VERSIONS))}{newer}")
    described = _get(header, "layers", list)
    _check_sizes(described, version)
    model = Model(
        name=printable(_get(header, "name", str)),
        height=_get(header, "height", int),
        width=_get(header, "width", int),
        channels=_get(header, "channels", int),
        input_table=reader.array("input_table", np.int8, 256),
        layers=tuple(
            _read_layer(reader, fields, version, index == len(described) - 1) for index, fields in enumerate(described)
        ),
        classes=tuple(map(printable, _strings(header, "classes"))),
        meta=_get(header, "meta", dict),
        temperature=_check_temperature(header.get("temperature")),
    )
    shapes(model)
    return model


def load(path: str | Path) -> Model:
    """Read `model.npz`.

    Raises:
        ModelError: missing, damaged, truncated or newer file; one line names the
            file, the field and what was expected.
    """
    try:
        with Archive(path) as archive:
            return _read(_Reader(archive))
    except ArchiveError as error:
        shipped = SHIPPED / Path(path).name
        hint = (
            ""
            if Path(path).exists() or not shipped.is_file()
            else f"; one of this name is shipped: {printable(shipped)}"
        )
        raise ModelError(f"{error}, expected a model file{hint}") from None
    except ModelError as error:
        raise ModelError(printable(f"{path}: {error}")) from None
    except (MemoryError, RecursionError) as error:
        what = "does not fit the memory" if isinstance(error, MemoryError) else "its header is nested too deeply"
        raise ModelError(f"{printable(path)}: {what}, expected a model file") from None
