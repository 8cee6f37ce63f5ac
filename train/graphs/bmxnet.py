"""BMXNet's networks as graphs: MXNet's symbols in JSON, and `.params` with packed binary weights.

A `.params` file is MXNet's list of arrays: 64-bit magic 0x112 and 0, their number, and of each its dimensions, device,
type and numbers; then their names. Binary weights are 64-bit words, from the least significant bit up, 1 for +1: a
convolution's (O, I, k, k) row by row, and of a dense layer's (O, I) the first 64 inputs of all outputs, then the next.

A binary layer takes the signs of what it reads, sign(0) = +1, pads with +1, and gives the number of matches.
"""

from __future__ import annotations

import ast
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from bnn.files import FileError, read_file
from bnn.geometry import Shape, ceil_div
from train.graphs.graph import Builder, Graph, GraphError, refusing

MAGIC = 0x112
MAX_BYTES = 1 << 30
MAX_SYMBOL_BYTES = 4 << 20
"""JSON takes fifty times as much when it is read; of the largest networks it is a tenth of this."""
WORD = 64
TYPES = {0: "<f4", 1: "<f8", 3: "u1", 4: "<i4", 6: "<i8"}
"""MXNet's numbers of element types; words of binary weights are stored as 1."""
DEFAULT_EPSILON = 1e-3
"""Of MXNet's BatchNorm, which also leaves gamma at 1 by default."""


class _Bytes:
    """A file that is read from its beginning."""

    def __init__(self, path: Path) -> None:
        self.path, self.position = path, 0
        try:
            self.content = read_file(path, MAX_BYTES)
        except FileError as error:
            raise GraphError(str(error)) from None

    def take(self, size: int, what: str) -> bytes:
        """The next bytes.

        Raises:
            GraphError: there are fewer.
        """
        rest = len(self.content) - self.position
        if not 0 <= size <= rest:
            raise GraphError(f"{self.path}: {what} takes {size} bytes at {self.position}, {rest} are left")
        self.position += size
        return self.content[self.position - size : self.position]

    def numbers(self, layout: str, what: str) -> tuple[int, ...]:
        return struct.unpack(f"<{layout}", self.take(struct.calcsize(f"<{layout}"), what))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a `.params` file by name, without `arg:` and `aux:`; words of binary weights are uint64.

    Raises:
        GraphError: it is none, or is cut short; names the file and what is missing.
    """
    source = _Bytes(path)
    magic, _, count = source.numbers("QQQ", "its beginning")
    if magic != MAGIC:
        raise GraphError(f"{path}: begins with {magic:#x}, expected {MAGIC:#x} of an MXNet list of arrays")
    arrays = []
    for index in range(count):
        what = f"array {index}"
        (axes,) = source.numbers("I", what)
        if axes > 8:
            raise GraphError(f"{path}: {what} has {axes} axes, expected at most 8 (a newer MXNet's file?)")
        sizes = source.numbers("I" * axes, what)
        kind = source.numbers("iii", what)[2]
        if kind not in TYPES:
            raise GraphError(
                f"{path}: {what} has elements of type {kind}, expected one of {', '.join(map(str, TYPES))}"
            )
        layout = np.dtype(TYPES[kind])
        elements = 1
        for size in sizes:
            elements *= size
        found = np.frombuffer(source.take(elements * layout.itemsize, what), layout).reshape(sizes)
        arrays.append(found.view("<u8") if kind == 1 else found)
    (named,) = source.numbers("Q", "the number of names")
    if named != count:
        raise GraphError(f"{path}: has {named} names for {count} arrays, expected as many")
    names = []
    for index in range(named):
        (size,) = source.numbers("Q", f"name {index}")
        names.append(source.take(size, f"name {index}").decode("utf-8", "replace").partition(":")[2])
    return dict(zip(names, arrays, strict=True))


def unpack(words: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Binary weights of `shape`, float32 -1 and +1.

    Raises:
        GraphError: there are too few or too many words.
    """
    count = int(np.prod(shape))
    if words.size != ceil_div(count, WORD):
        raise GraphError(
            f"{name}: has {words.size} words of {WORD} bits, expected {ceil_div(count, WORD)} for {list(shape)}"
        )
    if len(shape) == 2:
        if shape[1] % WORD:
            raise GraphError(f"{name}: has {shape[1]} inputs, expected a multiple of {WORD}")
        words = words.reshape(-1, shape[0]).T
    bits = np.unpackbits(np.ascontiguousarray(words, "<u8").reshape(-1).view(np.uint8), bitorder="little")[:count]
    return np.where(bits.reshape(shape) > 0, np.float32(1), np.float32(-1))


def _pair(text: str | None, default: int) -> list[int]:
    value = ast.literal_eval(text) if text else (default, default)
    return [int(item) for item in value]


def _window(given: dict[str, str], kernel: int) -> tuple[list[int], list[int], list[int]]:
    """Kernel, by default that, strides and pads."""
    return _pair(given.get("kernel"), kernel), _pair(given.get("stride"), 1), _pair(given.get("pad"), 0)


class _Reader(Builder):
    """The nodes of a symbol, one after the other."""

    def __init__(self, symbol: dict[str, Any], arrays: dict[str, np.ndarray], path: Path, size: Shape) -> None:
        super().__init__("data", size)
        self.rows, self.arrays, self.path = symbol["nodes"], arrays, path
        self.output = ""
        self.divisor = 255.0

    def constant(self, name: str, array: np.ndarray | float) -> str:
        self.constants[name] = np.asarray(array, np.float32)
        return name

    def array(self, name: str) -> np.ndarray:
        if name not in self.arrays:
            raise GraphError(f"{self.path}: array {name} is missing")
        return self.arrays[name]

    def given(self, row: dict[str, Any]) -> dict[str, str]:
        found = row.get("attrs") or row.get("attr") or row.get("param") or {}
        return {str(key): str(value) for key, value in found.items()}

    def read(self) -> None:
        """Turn every row into nodes."""
        tensors: dict[int, str] = {}
        for number, row in enumerate(self.rows):
            name, operator = str(row["name"]), str(row["op"])
            if operator == "null":
                tensors[number] = name
                continue
            sources = [tensors[int(item[0])] for item in row["inputs"]]
            if operator == "SoftmaxOutput":
                tensors[number] = self.output = sources[0]
                continue
            method = getattr(self, f"read_{operator.lower()}", None)
            if method is None:
                accepted = sorted(key[len("read_") :] for key in dir(self) if key.startswith("read_"))
                raise GraphError(f"node {name} ({operator}): is not supported, expected one of {', '.join(accepted)}")
            tensors[number] = self.output = method(name, sources, self.given(row))

    def read_batchnorm(self, name: str, sources: list[str], given: dict[str, str]) -> str:
        arrays = [self.array(source) for source in sources[1:]]
        if given.get("fix_gamma", "True") == "True":
            arrays[0] = np.ones_like(arrays[0])
        constants = [self.constant(source, array) for source, array in zip(sources[1:], arrays, strict=True)]
        if sources[0] == "data":
            self.divisor = 1.0  # what it learnt of raw pixels
        epsilon = float(given.get("eps", DEFAULT_EPSILON))
        return self.add(name, "BatchNormalization", [sources[0], *constants], epsilon=epsilon)

    def read_qactivation(self, name: str, sources: list[str], given: dict[str, str]) -> str:
        if given.get("act_bit", "1") != "1":
            raise GraphError(f"node {name} (QActivation): has {given['act_bit']} bits, expected 1")
        return sources[0]  # the layer behind it takes the signs

    def read_activation(self, name: str, sources: list[str], given: dict[str, str]) -> str:
        kinds = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid"}
        if given.get("act_type") not in kinds:
            raise GraphError(
                f"node {name} (Activation): is {given.get('act_type')}, expected one of {', '.join(kinds)}"
            )
        return self.add(name, kinds[given["act_type"]], [sources[0]])

    def read_elemwise_add(self, name: str, sources: list[str], given: dict[str, str]) -> str:
        return self.add(name, "Add", sources)

    def read_flatten(self, name: str, sources: list[str], given: dict[str, str]) -> str:
        return self.add(name, "Flatten", sources, axis=1)

    def read_pooling(self, name: str, sources: list[str], given: dict[str, str]) -> str:
        if given.get("global_pool") == "True" and given.get("pool_type") == "avg":
            return self.add(name, "GlobalAveragePool", sources)
        kernel, strides, pads = _window(given, 2)
        if given.get("pool_type") != "max" or any(pads):
            raise GraphError(f"node {name} (Pooling): is {given}, expected a maximum without pad, or a global average")
        return self.add(name, "MaxPool", sources, kernel_shape=kernel, strides=strides)

    def read_convolution(self, name: str, sources: list[str], given: dict[str, str]) -> str:
        kernel, strides, pads = _window(given, 1)
        constants = [self.constant(source, self.array(source)) for source in sources[1:]]
        return self.add(
            name, "Conv", [sources[0], *constants], kernel_shape=kernel, strides=strides, pads=[*pads, *pads]
        )

    def read_fullyconnected(self, name: str, sources: list[str], given: dict[str, str]) -> str:
        constants = [self.constant(source, self.array(source)) for source in sources[1:]]
        return self.add(name, "Gemm", [sources[0], *constants], transB=1)

    def signs(self, name: str, source: str, given: dict[str, str]) -> str:
        if given.get("act_bit", "1") != "1":
            raise GraphError(f"node {name}: has {given['act_bit']} bits, expected 1")
        return self.add(f"{name}.sign", "BipolarQuant", [source, self.constant("one", 1.0)])

    def matches(self, name: str, source: str, weights: str, shape: tuple[int, ...]) -> list[str]:
        """Inputs of a layer that counts matches: half the sum of products, and half the fan-in more."""
        array = self.array(weights)
        rows = unpack(array, shape, weights) if array.dtype == np.uint64 else np.where(array >= 0, 1.0, -1.0)
        rows = rows.reshape(shape)  # the array is as large as it is said to be
        half = np.full(shape[0], np.prod(shape[1:]) / 2)
        return [source, self.constant(weights, rows / 2), self.constant(f"{name}.half", half)]

    def read_qconvolution(self, name: str, sources: list[str], given: dict[str, str]) -> str:
        kernel, strides, pads = _window(given, 1)
        source = self.signs(name, sources[0], given)
        shape = (int(given["num_filter"]), self.seen[source].shape[1], *kernel)
        inputs = self.matches(name, source, sources[1], shape)
        if any(pads):
            edges = [0, 0, *pads] * 2
            inputs[0] = self.add(f"{name}.pad", "Pad", [source], pads=edges, value=1.0, mode="constant")
        return self.add(name, "Conv", inputs, kernel_shape=kernel, strides=strides, pads=[0, 0, 0, 0])

    def read_qfullyconnected(self, name: str, sources: list[str], given: dict[str, str]) -> str:
        source = self.signs(name, sources[0], given)
        shape = (int(given["num_hidden"]), self.seen[source].numel())
        return self.add(name, "Gemm", self.matches(name, source, sources[1], shape), transB=1)


def read_graph(symbol: Path, params: Path, shape: Shape, divisor: float | None = None) -> Graph:
    """The graph of a symbol file and its arrays.

    Args:
        symbol, params: the files.
        shape: of the images, (H, W, C).
        divisor: what pixels are divided by before the graph reads them; default 1 where the first operator is a
            batch norm, else 255.

    Raises:
        GraphError: a file is damaged, an array is missing or an operator is not supported.
    """
    try:
        described = json.loads(read_file(symbol, MAX_SYMBOL_BYTES))
        rows = described["nodes"]
    except FileError as error:
        raise GraphError(str(error)) from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise GraphError(f"{symbol}: is no MXNet symbol, expected JSON with nodes") from None
    with refusing(f"{params}: is damaged"):
        arrays = read_arrays(params)
    reader = _Reader(described, arrays, params, shape)
    with refusing(f"{symbol}: of {len(rows)} nodes one is damaged"):
        reader.read()
    name = symbol.name.replace("-symbol.json", "")
    return reader.graph(name, reader.output, reader.divisor if divisor is None else divisor)
