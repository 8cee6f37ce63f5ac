"""A model as an ONNX graph with the model's own integer scores.

Two dialects: `plain` has standard operators only, for onnxruntime; `qonnx` has QONNX's quantisers (BipolarQuant and
Quant on weights, BipolarQuant and MultiThreshold on activations), for qonnx, FINN and hls4ml. Every tensor holds
integers or halves, in float32 where they stay below 2^24 and else in float64: no sum depends on its order.

A layer's planes are read as their weighted sum of +-1, `2 * matches - fan-in` summed over the passes is what a
convolution gives, and thresholds lie half way between two of its results. `docs/onnx.md` has the graph.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bnn.errors import ExpectedError
from bnn.files import write_atomically
from bnn.layers import INPUT, Layer, Model
from bnn.rules import shapes

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ModuleNotFoundError as error:
    raise ExpectedError(f"ONNX needs {error.name}, which is not installed: pip install '.[onnx]'") from None

DIALECTS = ("qonnx", "plain")
OPSET, IR_VERSION = 13, 8
QONNX_DOMAIN, QONNX_VERSION = "qonnx.custom_op.general", 1
EXACT = 1 << 24
"""Integers up to it are exact in float32."""
PART = 10
"""Bits of the lower part of weights that are split."""
METADATA = "bnn_model"
"""Key of the graph's metadata: a JSON text of the model's name, classes and meta, and the shift of its scores."""


class _Graph:
    """Nodes and constants as they are added."""

    def __init__(self, model: Model, dialect: str) -> None:
        self.model, self.dialect = model, dialect
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}
        self.named: set[str] = set()

    def constant(self, name: str, array: np.ndarray | np.generic) -> str:
        self.constants[name] = numpy_helper.from_array(np.asarray(array, order="C"), name)
        return name

    def add(self, operator: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Add a node; its output has its name."""
        node = helper.make_node(operator, inputs, [f"{name}/out"], name=name, **attributes)
        if operator in ("BipolarQuant", "Quant", "MultiThreshold"):
            node.domain = QONNX_DOMAIN
        assert name not in self.named, name
        self.named.add(name)
        self.nodes.append(node)
        return f"{name}/out"

    def with_constant(self, operator: str, source: str, value: np.ndarray | np.generic, name: str) -> str:
        return self.add(operator, [source, self.constant(f"{name}/by", value)], name)

    def sign(self, source: str, name: str) -> str:
        """+-1 of what is never 0."""
        if self.dialect == "plain":
            return self.add("Sign", [source], name)
        return self.add("BipolarQuant", [source, self.constant(f"{name}/scale", np.float32(1))], name)

    def weights(self, rows: np.ndarray, name: str) -> str:
        """Integer weights; in QONNX behind a quantiser that gives themselves."""
        constant = self.constant(f"{name}/weight", rows.astype(np.float32))
        if self.dialect == "plain":
            return constant
        magnitudes = np.unique(np.abs(rows))
        if magnitudes.tolist() == [1]:
            scale = self.constant(f"{name}/weight_scale", np.float32(1))
            return self.add("BipolarQuant", [constant, scale], f"{name}/binary")
        step = int(np.gcd.reduce(magnitudes.astype(np.int64))) or 1
        bits = int(max(2, np.ceil(np.log2(magnitudes.max() / step + 1)) + 1))
        inputs = [
            self.constant(f"{name}/weight_{key}", np.float32(value))
            for key, value in (("scale", step), ("zero", 0), ("bits", bits))
        ]
        return self.add("Quant", [constant, *inputs], f"{name}/integer", signed=1, narrow=1, rounding_mode="ROUND")


class _Given:
    """What a layer gives, as tensors of the graph (N, C, H, W) or (N, C)."""

    def __init__(self, channels: int, planes: int, flat: bool) -> None:
        self.channels, self.planes, self.flat = channels, planes, flat
        self.value = ""
        self.sums: dict[tuple[int, ...], str] = {}  # factors of the planes -> their weighted sum of +-1
        self.plane: Callable[[int], str] | None = None  # adds one of the planes as +-1
        self.each: list[str] = []  # planes of +-1, where they were asked for


def _per_channel(values: np.ndarray, conv: bool) -> np.ndarray:
    return values.reshape(1, -1, 1, 1) if conv else values.reshape(1, -1)


def _plane_of_value(graph: _Graph, given: _Given, name: str, plane: int) -> str:
    """One of the bits of a value as +-1: 2 (floor(v / 2^k) - 2 floor(v / 2^(k + 1))) - 1."""
    place = given.planes - 1 - plane
    parts = []
    for number, power in enumerate((place, place + 1)):
        scaled = graph.with_constant("Mul", given.value, np.float32(2.0**-power), f"{name}/p{plane}_{number}")
        parts.append(graph.add("Floor", [scaled], f"{name}/p{plane}_{number}_floor"))
    low = graph.with_constant("Mul", parts[0], np.float32(2), f"{name}/p{plane}_low")
    high = graph.with_constant("Mul", parts[1], np.float32(4), f"{name}/p{plane}_high")
    bit = graph.add("Sub", [low, high], f"{name}/p{plane}_bit")
    return graph.with_constant("Sub", bit, np.float32(1), f"{name}/p{plane}")


def _each_plane(graph: _Graph, given: _Given, name: str) -> list[str]:
    if not given.each:
        plane = given.plane or partial(_plane_of_value, graph, given, name)
        given.each = [plane(number) for number in range(given.planes)]
    return given.each


def _weighted(graph: _Graph, given: _Given, factors: tuple[int, ...], name: str) -> str:
    """The planes' sum of +-1 with `factors`."""
    if factors not in given.sums:
        if (
            given.plane is None
            and given.value
            and factors == tuple(1 << place for place in range(given.planes - 1, -1, -1))
        ):
            twice = graph.with_constant("Mul", given.value, np.float32(2), f"{name}/twice")
            given.sums[factors] = graph.with_constant("Sub", twice, np.float32(sum(factors)), f"{name}/codes")
        else:
            total = ""
            for plane, tensor in enumerate(_each_plane(graph, given, name)):
                number = len(given.sums)
                if factors[plane] != 1:
                    tensor = graph.with_constant("Mul", tensor, np.float32(factors[plane]), f"{name}/w{number}_{plane}")
                total = graph.add("Add", [total, tensor], f"{name}/s{number}_{plane}") if total else tensor
            given.sums[factors] = total
    return given.sums[factors]


def _pixels(graph: _Graph, first: Layer) -> _Given:
    """The image through the table: values, or +-1 of a binary first layer."""
    model = graph.model
    given = _Given(model.channels, max(1, first.input_bits), flat=False)
    table = model.input_table.astype(np.int64)
    step, start = int(table[1] - table[0]), int(table[0])
    bits = not model.eight_bit_input and not first.input_bits
    ones = table > 0
    if bits and not ones[0] and ones.any() and ones[int(ones.argmax()) :].all():
        shifted = graph.with_constant("Sub", "image", np.float32(ones.argmax() - 0.5), "input/pixels")
        given.sums[(1,)] = graph.sign(shifted, "input/signs")
        given.each = [given.sums[(1,)]]
        return given
    if (table == start + step * np.arange(256)).all() and step:
        values = "image"
        if step != 1:
            values = graph.with_constant("Mul", values, np.float32(step), "input/step")
        values = graph.with_constant("Add", values, np.float32(start), "input/pixels") if start else values
    else:
        index = graph.add("Cast", ["image"], "input/index", to=TensorProto.INT64)
        values = graph.add(
            "Gather", [graph.constant("input/table", table.astype(np.float32)), index], "input/pixels", axis=0
        )
    if first.input_bits:
        half = np.float32(1 << first.input_bits - 1)
        given.value = graph.with_constant("Add", values, half, "input/unsigned")
    else:
        given.sums[(1,)] = values
        given.each = [values]
    return given


def _operand(
    graph: _Graph, layer: Layer, given: _Given, source: str, eight_bit: bool
) -> tuple[str, np.ndarray, list[int]]:
    """What a layer multiplies, its integer weights (O, ...) with channels innermost, and the padding of every plane.

    Coefficients of a layer's own take the planes side by side as channels, as `bnn.golden` does.
    """
    signs = 2 * layer.base_weights.astype(np.int64) - 1
    if eight_bit:
        pads = [0]
    else:
        pads = [
            1 if layer.pad_value > 0 or (layer.pad_value == 0 and not plane) else -1 for plane in range(given.planes)
        ]
    if layer.coefficients is None:
        factors = layer.plane_factors(given.planes)
        rows = np.tensordot(layer.base_factors, signs, 1)
        return _weighted(graph, given, tuple(factors.tolist()), source), rows, [int(np.dot(factors, pads))]
    planes = _each_plane(graph, given, source)
    parts = [np.einsum("om,mo...->o...", layer.coefficients[:, :, plane], signs) for plane in range(given.planes)]
    if len(planes) == 1:
        return planes[0], parts[0], pads
    if layer.kind == "conv":
        return graph.add("Concat", planes, f"{layer.name}/side", axis=1), np.concatenate(parts, axis=-1), pads
    return graph.add("Concat", planes, f"{layer.name}/side", axis=1), np.stack(parts, axis=1), pads


def _padded(graph: _Graph, layer: Layer, tensor: str, pads: list[int], channels: int) -> tuple[str, int]:
    """The operand with its border, and what the convolution still has to pad with 0."""
    if not layer.pad or not any(pads):
        return tensor, layer.pad
    edges = np.array([0, 0, layer.pad, layer.pad] * 2, np.int64)
    if len(set(pads)) == 1:
        border = (
            graph.constant(f"{layer.name}/edges", edges),
            graph.constant(f"{layer.name}/border", np.float32(pads[0])),
        )
        return graph.add("Pad", [tensor, *border], f"{layer.name}/pad", mode="constant"), 0
    # planes side by side: what is 0 in the border of x - border is the border of x
    values = np.repeat(np.array(pads, np.float32), channels).reshape(1, -1, 1, 1)
    moved = graph.with_constant("Sub", tensor, values, f"{layer.name}/less")
    border = graph.constant(f"{layer.name}/edges", edges), graph.constant(f"{layer.name}/border", np.float32(0))
    moved = graph.add("Pad", [moved, *border], f"{layer.name}/pad", mode="constant")
    return graph.with_constant("Add", moved, values, f"{layer.name}/border_added"), 0


def _sums(
    graph: _Graph, layer: Layer, given: _Given, source: str, shape: tuple[int, int, int], eight_bit: bool
) -> tuple[str, np.ndarray]:
    """The layer's sums of +-1, and the sum of all its coefficients times fan-in (O,): sums = 2 acc - that."""
    tensor, rows, pads = _operand(graph, layer, given, source, eight_bit)
    if layer.coefficients is None:
        total = int(layer.base_factors.sum() * layer.plane_factors(given.planes).sum())
        reach = np.full(layer.outputs, 0 if eight_bit else layer.fan_in * total, np.int64)
    else:
        reach = (0 if eight_bit else layer.fan_in) * layer.coefficients.astype(np.int64).sum((1, 2))
    conv, pad = layer.kind == "conv", 0
    if conv:
        tensor, pad = _padded(graph, layer, tensor, pads, given.channels)
        rows = np.moveaxis(rows, -1, 1)
    else:
        height, width, channels = shape
        if not given.flat:
            tensor = graph.add("Flatten", [tensor], f"{layer.name}/flat", axis=1)
        # (O, planes, H, W, C) to columns as a flattened (N, planes * C, H, W) has them
        rows = rows.reshape(layer.outputs, -1, height, width, channels).transpose(0, 1, 4, 2, 3)
        rows = rows.reshape(layer.outputs, -1).T

    def product(part: np.ndarray, name: str) -> str:
        weights = graph.weights(part, name)
        if not conv:
            return graph.add("MatMul", [tensor, weights], name)
        edges = {"kernel_shape": [layer.kernel] * 2, "strides": [layer.stride] * 2, "pads": [pad] * 4}
        return graph.add("Conv", [tensor, weights], name, **edges)

    most = 128 if eight_bit else int(layer.plane_factors(given.planes).sum()) if layer.coefficients is None else 1
    reached = most * layer.base_weights[0, 0].size * int(np.abs(rows).max())
    reached = reached * (given.planes if layer.coefficients is not None else 1)
    if reached <= EXACT:
        return product(rows, layer.name), reach
    # weights in two parts, each with sums that float32 holds
    high = (rows + (1 << PART - 1)) >> PART
    low = rows - (high << PART)
    wide = _to_double(graph, product(high, f"{layer.name}/high"), f"{layer.name}/high_wide")
    wide = graph.with_constant("Mul", wide, np.float64(1 << PART), f"{layer.name}/high_moved")
    return graph.add(
        "Add", [wide, _to_double(graph, product(low, layer.name), f"{layer.name}/low_wide")], f"{layer.name}/both"
    ), reach


def _to_double(graph: _Graph, tensor: str, name: str) -> str:
    return graph.add("Cast", [tensor], name, to=TensorProto.DOUBLE)


def _planes_by_thresholds(
    graph: _Graph, layer: Layer, source: str, limits: np.ndarray, conv: bool, given: _Given
) -> None:
    """The planes of `source >= limits`, (K, O), inverted where the layer flips; no result equals a limit."""
    assert layer.flip is not None
    name, turn, flips = layer.name, np.where(layer.flip, -1.0, 1.0).astype(np.float32), layer.flip.any()
    if len(limits) > 1 and graph.dialect == "qonnx":
        turned = graph.with_constant("Mul", source, _per_channel(turn, conv), f"{name}/turn") if flips else source
        rows = np.sort((limits * turn).T, axis=1).astype(np.float32)
        given.sums[(1,) * len(limits)] = graph.add(
            "MultiThreshold",
            [turned, graph.constant(f"{name}/thresholds", rows)],
            f"{name}/planes",
            out_dtype="INT4",
            out_scale=2.0,
            out_bias=float(-len(limits)),
        )

    def plane(number: int) -> str:
        part = f"{name}/t{number}"
        row = _per_channel(limits[number].astype(np.float32), conv)
        moved = graph.with_constant("Sub", source, row, f"{part}/sub")
        if flips:
            moved = graph.with_constant("Mul", moved, _per_channel(turn, conv), f"{part}/turn")
        return graph.sign(moved, part)

    given.plane = plane


def _shortcut(graph: _Graph, layer: Layer, given: _Given, same_size: bool) -> str:
    """The value that a layer adds, as it adds it."""
    name, tensor = layer.name, given.value
    if not same_size and layer.average_shortcut:
        tensor = graph.add("AveragePool", [tensor], f"{name}/mean", kernel_shape=[2, 2], strides=[2, 2])
        tensor = graph.with_constant("Add", tensor, np.float32(0.5), f"{name}/mean_half")
        tensor = graph.add("Floor", [tensor], f"{name}/mean_rounded")
    elif not same_size:
        most = np.iinfo(np.int64).max
        ranges = [
            graph.constant(f"{name}/skip_{key}", np.array(value, np.int64))
            for key, value in (("from", [0, 0]), ("to", [most, most]), ("axes", [2, 3]), ("steps", [2, 2]))
        ]
        tensor = graph.add("Slice", [tensor, *ranges], f"{name}/skip")
    if given.channels < layer.outputs:
        edges = np.zeros(8, np.int64)
        edges[5] = layer.outputs - given.channels
        border = graph.constant(f"{name}/more", edges), graph.constant(f"{name}/zero", np.float32(0))
        border = border if not given.flat else (graph.constant(f"{name}/more", edges[[0, 1, 4, 5]]), border[1])
        tensor = graph.add("Pad", [tensor, *border], f"{name}/channels", mode="constant")
    if layer.kind == "dense" and not given.flat:
        tensor = graph.add("Flatten", [tensor], f"{name}/added_flat", axis=1)
    return tensor


def _requantised(graph: _Graph, layer: Layer, sums: str, reach: np.ndarray, conv: bool, of_products: bool) -> str:
    """The scaled sums before the shift, in float64; of products +-1 they are 2 acc - reach."""
    assert layer.offset is not None
    name, offset = layer.name, layer.offset.astype(np.float64)
    scale = np.ones(layer.outputs) if layer.scale is None else layer.scale.astype(np.float64)
    if of_products:
        scale = scale / 2
        offset = offset + scale * reach
    wide = sums if sums.endswith("/both/out") else _to_double(graph, sums, f"{name}/wide")
    wide = graph.with_constant("Mul", wide, _per_channel(scale, conv), f"{name}/scale")
    return graph.with_constant("Add", wide, _per_channel(offset, conv), f"{name}/offset")


def _hidden(graph: _Graph, layer: Layer, sums: str, reach: np.ndarray, of_products: bool, added: str) -> _Given:
    """What a hidden layer makes of its sums."""
    conv, name = layer.kind == "conv", layer.name
    given = _Given(layer.outputs, layer.planes, flat=not conv)
    if not layer.requantised:
        assert layer.thresholds is not None
        if layer.pool:
            sums = graph.add("MaxPool", [sums], f"{name}/pool", kernel_shape=[2, 2], strides=[2, 2])
        limits = layer.limits.astype(np.float64)
        limits = 2 * limits - reach - 1 if of_products else limits - 0.5
        _planes_by_thresholds(graph, layer, sums, limits, conv, given)
        return given
    wide = _requantised(graph, layer, sums, reach, conv, of_products)
    if layer.shift:
        wide = graph.with_constant("Mul", wide, np.float64(2.0**-layer.shift), f"{name}/shift")
    wide = graph.add("Floor", [wide], f"{name}/floor")
    if added:
        wide = graph.add("Add", [wide, _to_double(graph, added, f"{name}/added_wide")], f"{name}/sum")
    low, high = (
        graph.constant(f"{name}/{key}", np.float64(limit)) for key, limit in zip("lh", layer.value_range, strict=True)
    )
    wide = graph.add("Clip", [wide, low, high], f"{name}/clip")
    given.value = graph.add("Cast", [wide], f"{name}/value", to=TensorProto.FLOAT)
    if layer.pool:
        given.value = graph.add("MaxPool", [given.value], f"{name}/pool", kernel_shape=[2, 2], strides=[2, 2])
    if layer.thresholds is not None:
        _planes_by_thresholds(graph, layer, given.value, layer.limits - 0.5, conv, given)
    return given


def to_onnx(model: Model, dialect: str = "qonnx") -> Any:
    """The model as an `onnx.ModelProto`.

    Its input `image` is float32 (N, C, H, W) of pixels 0 to 255, its output `scores` int32 (N, classes), equal to those
    of `bnn.golden`. In `qonnx` N is 1, as qonnx asks for.

    Args:
        model: any consistent model.
        dialect: one of DIALECTS.

    Raises:
        ModelError: the model is inconsistent.
        ExpectedError: unknown dialect.
    """
    if dialect not in DIALECTS:
        raise ExpectedError(f"dialect '{dialect}' is unknown: choose one of {', '.join(DIALECTS)}")
    sizes = shapes(model)
    graph = _Graph(model, dialect)
    image = (model.height, model.width, model.channels)
    given = {INPUT: _pixels(graph, model.layers[0])}
    scores = ""
    for index, layer in enumerate(model.layers):
        source = layer.inputs[0]
        shape = sizes.get(source, image)
        if layer.kind == "average":
            axes = graph.constant(f"{layer.name}/axes", np.array([2, 3], np.int64))
            sums = graph.add("ReduceSum", [given[source].value, axes], layer.name, keepdims=0)
            reach = np.zeros(layer.outputs, np.int64)
            given[layer.name] = _hidden(graph, layer, sums, reach, False, "")
            continue
        eight_bit = index == 0 and model.eight_bit_input
        sums, reach = _sums(graph, layer, given[source], source, shape, eight_bit)
        if layer is model.layers[-1]:
            wide = _requantised(graph, layer, sums, reach, False, not eight_bit)
            whole = graph.add("Cast", [wide], f"{layer.name}/whole", to=TensorProto.INT64)
            scores = graph.add("Cast", [whole], f"{layer.name}/whole_32", to=TensorProto.INT32)
            break
        added = ""
        if len(layer.inputs) > 1:
            same = sizes[layer.inputs[1]][:2] == sizes[layer.name][:2]
            added = _shortcut(graph, layer, given[layer.inputs[1]], same)
        given[layer.name] = _hidden(graph, layer, sums, reach, not eight_bit, added)
    graph.nodes[-1].output[0] = "scores"
    assert scores
    batch: Any = 1 if dialect == "qonnx" else "N"
    made = helper.make_graph(
        graph.nodes,
        model.name,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, model.channels, model.height, model.width])],
        [helper.make_tensor_value_info("scores", TensorProto.INT32, [batch, len(model.classes)])],
        list(graph.constants.values()),
    )
    if dialect == "qonnx":
        annotation = made.quantization_annotation.add()
        annotation.tensor_name = "image"
        annotation.quant_parameter_tensor_names.add(key="finn_datatype", value="UINT8")
    opsets = [helper.make_opsetid("", OPSET)]
    if dialect == "qonnx":
        opsets.append(helper.make_opsetid(QONNX_DOMAIN, QONNX_VERSION))
    proto = helper.make_model(made, opset_imports=opsets, ir_version=IR_VERSION, producer_name="bnn")
    described = {
        "name": model.name,
        "size": [model.height, model.width, model.channels],
        "divisor": 1,
        "temperature": model.temperature,
        "classes": model.classes,
        "shift": model.layers[-1].shift,
        "meta": model.meta,
    }
    helper.set_model_props(proto, {METADATA: json.dumps(described, sort_keys=True)})
    onnx.checker.check_model(proto)
    return proto


def save_onnx(model: Model, path: Path, dialect: str = "qonnx") -> None:
    """Write the model as an ONNX file.

    Raises:
        ModelError, ExpectedError: as `to_onnx`.
    """
    write_atomically(path, to_onnx(model, dialect).SerializeToString(deterministic=True))
