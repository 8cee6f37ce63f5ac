"""ONNX and QONNX files as graphs.

Three dialects, which may be mixed: QONNX as Brevitas exports it (BipolarQuant, Quant), FINN's (MultiThreshold, TopK),
and QCDQ (QuantizeLinear, Clip, DequantizeLinear). What depends on constants only is computed here.
"""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bnn.errors import ExpectedError
from bnn.files import FileError, read_file
from train.export_onnx import METADATA
from train.graphs.graph import MAX_ELEMENTS, OPERATORS, Graph, GraphError, Node, apply, outlined, refusing

try:
    import onnx
    from onnx import TensorProto, numpy_helper
    from qonnx.core.modelwrapper import ModelWrapper
except ModuleNotFoundError as error:
    raise ExpectedError(f"ONNX needs {error.name}, which is not installed: pip install '.[onnx]'") from None

ENDINGS = ("TopK", "ArgMax", "Softmax", "LogSoftmax")
"""Operators at the end that leave the order of the scores: the class is the first of the highest in any case."""
MAX_BYTES = 1 << 30


def _attribute(attribute: Any) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return value


def _name(proto: Any, index: int) -> str:
    return proto.name or f"{proto.op_type}_{index}"


def _load(path: Path) -> Any:
    try:
        proto = onnx.load_from_string(read_file(path, MAX_BYTES))
    except FileError as error:
        raise GraphError(str(error)) from None
    except Exception as error:  # protobuf's errors have no common base that is public
        raise GraphError(f"{path}: is no ONNX file ({type(error).__name__})") from None
    if not proto.graph.node:
        raise GraphError(f"{path}: holds no nodes, expected an ONNX graph")
    return proto


def _input(graph: Any, constants: dict[str, np.ndarray], path: Path) -> tuple[str, tuple[int, ...], int]:
    """Name, shape without the batch and element type of the one input that is not a constant."""
    found = [item for item in graph.input if item.name not in constants]
    if len(found) != 1:
        names = ", ".join(item.name for item in found)
        raise GraphError(f"{path}: has {len(found)} inputs ({names}), expected one, of images")
    tensor = found[0].type.tensor_type
    sizes = [size.dim_value for size in tensor.shape.dim]
    if len(sizes) not in (2, 4) or not all(sizes[1:]):
        raise GraphError(
            f"{path}: input {found[0].name} has shape {sizes}, expected (N, C, H, W), (N, H, W, C) or (N, C * H * W)"
        )
    if math.prod(sizes[1:]) > MAX_ELEMENTS:
        raise GraphError(f"{path}: input {found[0].name} has shape {sizes}, expected at most {MAX_ELEMENTS} elements")
    return found[0].name, tuple(sizes[1:]), tensor.elem_type


def _divisor(proto: Any, name: str, element: int) -> float:
    """255 where the graph reads pixels from 0 to 1, 1 where it reads 0 to 255: 8-bit integers by type or annotation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # FINN's domains of earlier years are mended with a warning
        wrapped = ModelWrapper(proto)
    annotated = wrapped.get_tensor_datatype(name).name == "UINT8"
    return 1.0 if annotated or element == TensorProto.UINT8 else 255.0


def _notes(proto: Any) -> dict[str, Any]:
    """What this project's own export says of the model."""
    for item in proto.metadata_props:
        if item.key == METADATA:
            try:
                found = json.loads(item.value)
            except ValueError:
                return {}
            return found if isinstance(found, dict) else {}
    return {}


def read_graph(path: Path, divisor: float | None = None) -> Graph:
    """The graph in an ONNX file.

    Args:
        path: the file.
        divisor: what pixels are divided by before the graph reads them; default: 1 where the input is of 8-bit
            integers by its type or annotation, else 255.

    Raises:
        GraphError: no ONNX file, another number of inputs or outputs, or an unknown operator.
    """
    proto = _load(path)
    with refusing(f"{path}: is damaged"):
        return folded(_graph(proto, path, divisor))


def _graph(proto: Any, path: Path, divisor: float | None) -> Graph:
    graph = proto.graph
    constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    name, shape, element = _input(graph, constants, path)
    nodes: list[Node] = []
    for index, item in enumerate(graph.node):
        attributes = {entry.name: _attribute(entry) for entry in item.attribute}
        node = Node(_name(item, index), item.op_type, tuple(item.input), item.output[0], attributes)
        if item.op_type == "Constant":
            value = next(iter(attributes.values()))
            constants[item.output[0]] = np.asarray(value, np.float32 if isinstance(value, float) else None)
            continue
        if item.op_type in ENDINGS:
            later = {reader.op_type for reader in graph.node[index + 1 :]}
            if not later <= set(ENDINGS) | {"Squeeze", "Cast", "Identity"}:
                raise GraphError(f"{node}: is not at the end, expected there")
            break
        nodes.append(node)
    if not nodes:
        raise GraphError(f"{path}: holds no layers, expected some")
    outputs = [item.name for item in graph.output]
    last = {item.output for item in nodes} & set(outputs)
    if len(outputs) != 1:
        raise GraphError(f"{path}: has {len(outputs)} outputs ({', '.join(outputs)}), expected one, of scores")
    output = outputs[0] if last else nodes[-1].output
    notes = _notes(proto)
    if divisor is None:
        divisor = 1.0 if notes.get("divisor") == 1 else _divisor(proto, name, element)
    return Graph(path.stem, tuple(nodes), constants, name, shape, output, divisor, notes)


def folded(graph: Graph) -> Graph:
    """The graph with what depends on constants only as constants, and what the output does not need left out.

    Raises:
        GraphError: an operator is unknown or does not fit its inputs.
    """
    constants = dict(graph.constants)
    nodes: list[Node] = []
    # what depends on the image looks like this, for a batch of one
    outlines = {graph.input: torch.zeros(()).expand(1, *graph.shape)}
    last_reader = {name: index for index, node in enumerate(graph.nodes) for name in node.inputs}
    made: dict[str, int] = {}  # elements of the constants that are computed here and may still be read
    kept_for: set[str] = set()  # what nodes read that stay
    most = 2 * (MAX_ELEMENTS + sum(array.size for array in constants.values()))
    for index, node in enumerate(graph.nodes):
        missing = [name for name in node.inputs if name and name not in constants and name not in outlines]
        if missing:
            raise GraphError(f"{node}: reads {missing[0]}, which nothing before it gives")
        if node.operator not in OPERATORS:
            known = ", ".join(sorted(OPERATORS))
            of = " and ".join(
                str(list((outlines[name] if name in outlines else constants[name]).shape))
                for name in node.inputs
                if name
            )
            raise GraphError(f"{node} of {of}: operator is not supported, expected one of {known}")
        arguments = [
            torch.from_numpy(np.array(constants[name])) if name in constants else outlines[name]
            for name in node.inputs
            if name
        ]
        if node.operator == "Shape" or all(name in constants for name in node.inputs if name):
            found = apply(node, arguments, bounded=True).clone().numpy()  # not a part of something larger
            constants[node.output], made[node.output] = found, found.size
            if sum(made.values()) > most:
                raise GraphError(f"{node}: brings what is computed of constants to more than {most} elements")
        else:
            outlines[node.output] = outlined(node, arguments)
            nodes.append(node)
            kept_for.update(node.inputs)
        for name in set(node.inputs):
            if name in made and last_reader[name] == index and name not in kept_for and name != graph.output:
                del constants[name], made[name]
    needed, kept = {graph.output}, []
    for node in nodes[::-1]:
        if node.output in needed:
            needed.update(node.inputs)
            kept.append(node)
    used = {name: array for name, array in constants.items() if name in needed}
    return replace(graph, nodes=tuple(kept[::-1]), constants=used)
