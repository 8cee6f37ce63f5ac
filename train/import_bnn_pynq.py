"""BNN-PYNQ's parameter folders as models.

The folder holds `L-P-weights.bin` and `L-P-thres.bin` for layer L and PE P, 64-bit little-endian words. Neuron n is
in file n mod PE; its weights start at word (n div PE) * (synapses / SIMD), SIMD of them in a word from the least
significant bit up; 3x3 taps row-major, channels innermost. `classes.txt` beside them names the classes, a name a
line.

The kind of network is found from the files: nine layers are CNV and four LFC; weights are of one bit, 1 for +1, or of
two, -1, 0 and +1 in two's complement; activations are of one bit, or of two with two thresholds a neuron one after the
other, -1 + (sum > T1) + (sum > T2). A threshold fires on strictly greater: where weights and activations have one bit,
of the number of matches, else of the sum of products. The first convolution's pixels have 7 fractional bits, its
thresholds 8. LFC reads a pixel as +1 from 128 on and pads its inputs with -1 to a multiple of 64; its outputs have
thresholds, and the class is the first that fires.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bnn.errors import ExpectedError
from bnn.files import FileError, read_file
from bnn.geometry import ceil_div, walk
from bnn.model import Layer, Model
from bnn.networks import NETWORKS, Network
from train import classes as class_names

TOPOLOGIES = ("cnv", "lfc")
OUTPUT_ROWS = 64
"""Rows of the last layer, whatever the classes."""
MAX_BYTES = 16 << 20
"""Of a file."""
INPUT_BITS = 64
"""LFC's inputs are padded to a multiple of it."""


class ParameterError(ExpectedError):
    """A parameter folder does not hold what its topology asks for."""


@dataclass(frozen=True)
class _Part:
    """A layer of the topology as the files hold it."""

    name: str
    conv: bool
    outputs: int
    rows: int
    synapses: int
    padding: int  # synapses beyond the fan-in, which read -1
    channels: int  # of a convolution's input
    pool: bool


def input_table() -> np.ndarray:
    """Pixel p to 2p/255 - 1 with 7 fractional bits, saturated to 8 bits."""
    values = np.rint((2 * np.arange(256) / 255 - 1) * 128)
    return np.asarray(np.clip(values, -128, 127).astype(np.int8))


def _files(folder: Path, layer: int, kind: str) -> list[np.ndarray]:
    """The words of all PE files of a layer, (words,) each."""
    count = len(list(folder.glob(f"{layer}-*-{kind}.bin")))
    if not count:
        raise ParameterError(f"{folder}: {layer}-0-{kind}.bin is missing")
    words: list[np.ndarray] = []
    for pe in range(count):
        path = folder / f"{layer}-{pe}-{kind}.bin"
        try:
            content = read_file(path, MAX_BYTES)
        except FileError as error:
            raise ParameterError(str(error)) from None
        if not content or len(content) % 8 or (words and len(content) != words[0].nbytes):
            size = f"{words[0].nbytes} bytes" if words else "a positive multiple of 8 bytes"
            raise ParameterError(f"{path}: holds {len(content)} bytes, expected {size}")
        words.append(np.frombuffer(content, "<u8"))
    return words


def _words(folder: Path, layer: int, rows: int, synapses: int) -> tuple[np.ndarray, int]:
    """A layer's words (rows, words) and SIMD.

    Raises:
        ParameterError: a file is missing or its size does not fit.
    """
    files = _files(folder, layer, "weights")
    rows_of, rest = divmod(rows, len(files))
    if rest:
        raise ParameterError(f"{folder}: layer {layer} has {len(files)} files of weights, expected a divisor of {rows}")
    per_row, rest = divmod(files[0].size, rows_of)
    if rest or not per_row or synapses % per_row or synapses // per_row > 64:
        where = f"{folder / f'{layer}-0-weights.bin'}: holds {files[0].size} words"
        raise ParameterError(f"{where}, expected {rows_of} rows of {synapses} weights")
    stacked = np.stack(files, axis=1).reshape(rows_of, per_row, len(files))
    return stacked.transpose(0, 2, 1).reshape(rows, per_row), synapses // per_row


def _has_two_bits(words: np.ndarray, simd: int) -> bool:
    """Whether words hold more than SIMD bits."""
    return simd < 64 and bool((words >> np.uint64(simd)).any())


def read_weights(folder: Path, layer: int, rows: int, synapses: int, bits: int = 1) -> np.ndarray:
    """A layer's weights, uint8 (bits, rows, synapses): as many bases, whose mean the weights are.

    Raises:
        ParameterError: a file is missing, its size does not fit, or a weight of two bits is -2.
    """
    words, simd = _words(folder, layer, rows, synapses)
    if bits * simd > 64:
        raise ParameterError(f"{folder}: layer {layer} has {simd} weights of {bits} bits a word, expected 64 bits")
    places = np.arange(bits, dtype=np.uint64)[:, None] + np.arange(0, bits * simd, bits, dtype=np.uint64)
    codes = (words[:, :, None, None] >> places) & np.uint64(1)  # (rows, words, bits, SIMD)
    codes = codes.transpose(2, 0, 1, 3).reshape(bits, rows, synapses).astype(np.uint8)
    if bits == 1:
        return np.asarray(codes)
    low, high = codes
    if (high & ~low & 1).any():
        raise ParameterError(f"{folder}: layer {layer} holds a weight of -2, expected -1, 0 or 1")
    return np.stack([1 - high, low & (1 - high)])


def read_thresholds(folder: Path, layer: int, rows: int) -> np.ndarray:
    """Thresholds int64 (K, rows).

    Raises:
        ParameterError: a file is missing, or they are neither one nor two a row.
    """
    files = _files(folder, layer, "thres")
    values = np.stack(files, axis=1).view(np.int64)  # (words, PE)
    planes, rest = divmod(values.size, rows)
    if rest or planes not in (1, 2) or len(values) % planes:
        raise ParameterError(f"{folder}: layer {layer} has {values.size} thresholds, expected {rows} or {2 * rows}")
    return np.asarray(values.reshape(-1, planes, len(files)).transpose(1, 0, 2).reshape(planes, rows))


def _parts(network: Network, classes: int) -> list[_Part]:
    """The topology's layers for so many classes."""
    parts: list[_Part] = []
    for geometry in walk(network):
        conv, last = geometry.kind == "conv", len(parts) == len(network.layers) - 1
        outputs = classes if last else geometry.output[2]
        fan_in, count = geometry.fan_in, len(parts)
        synapses = fan_in if count or conv else ceil_div(fan_in, INPUT_BITS) * INPUT_BITS
        name = f"conv{count + 1}" if conv else f"dense{count - len(network.convs) + 1}"
        parts.append(
            _Part(
                name,
                conv,
                outputs,
                OUTPUT_ROWS if last else outputs,
                synapses,
                synapses - fan_in,
                geometry.input[2],
                geometry.computed != geometry.output[:2],
            )
        )
    return parts


def _limits(
    values: np.ndarray, part: _Part, weights: np.ndarray, planes: int, first: bool, counted: bool
) -> np.ndarray:
    """Thresholds T of `acc >= T`, int32 (K, O), of those that the sums exceed.

    Args:
        values: as the files hold them, (K, O).
        part: the layer.
        weights: of all synapses, (M, O, synapses).
        planes: that it reads.
        first: whether it reads 8-bit pixels.
        counted: whether the thresholds are of matches.
    """
    values, passes = np.clip(values, -(1 << 40), 1 << 40), len(weights) * planes
    if first:  # twice the weights' mean times pixels exceeds them
        return np.asarray(np.clip(passes * values // 2 + 1, -32768, 32767).astype(np.int32))
    limits = values + 1 if counted else passes * (values + part.synapses) // 2 + 1
    padded = (weights[:, :, part.synapses - part.padding :] == 0).sum((0, 2))  # always match
    return np.asarray(np.clip(limits - padded, 0, 65535).astype(np.int32))


def _scores_of_bits(name: str, source: str, outputs: int) -> Layer:
    """A layer that scores 2 where a bit is 1 and else 0, of the bits and after them their inverses.

    Every other bit and its inverse give one match together, whatever they are.
    """
    weights = np.ones((outputs, 2 * outputs), np.uint8)
    weights[np.arange(outputs), outputs + np.arange(outputs)] = 0
    return Layer(
        name,
        "dense",
        (source,),
        weights,
        scale=np.ones(outputs, np.int32),
        offset=np.full(outputs, 1 - outputs, np.int32),
    )


def _topology(folder: Path) -> str:
    """The topology by the number of layers.

    Raises:
        ParameterError: it is no known one's.
    """
    count = 0
    while (folder / f"{count}-0-weights.bin").exists():
        count += 1
    for name in TOPOLOGIES:
        if len(NETWORKS[name].layers) == count:
            return name
    if not count:
        raise ParameterError(f"{folder}: holds no 0-0-weights.bin of BNN-PYNQ, nor a *-symbol.json of BMXNet")
    wanted = " or ".join(f"{len(NETWORKS[name].layers)} ({name})" for name in TOPOLOGIES)
    raise ParameterError(f"{folder}: holds weights of {count} layers, expected {wanted}: 0-0-weights.bin and so on")


def read_model(
    folder: Path, topology: str | None = None, classes: str | None = None, dataset: str | None = None
) -> Model:
    """The model in a parameter folder.

    Args:
        folder: the parameters, and classes.txt unless the classes are named otherwise.
        topology: of the network, None: by the number of layers; the number of classes is that of their names.
        classes: their names with commas, or a file of them.
        dataset: what it was trained on.

    Raises:
        ParameterError: a file is missing or its size does not fit.
        DataError: nothing names the classes.
        ModelError: the values do not make a model.
    """
    topology = _topology(folder) if topology is None else topology
    network = NETWORKS[topology]
    names, dataset = class_names.find(folder, classes, dataset, (network.height, network.width, network.channels))
    if len(names) > OUTPUT_ROWS:
        raise ParameterError(
            f"{folder}: layer {len(network.layers) - 1} has {OUTPUT_ROWS} rows, expected {len(names)} "
            "as there are classes"
        )
    parts = _parts(network, len(names))
    packed = [_words(folder, index, part.rows, part.synapses) for index, part in enumerate(parts)]
    bases = 2 if any(_has_two_bits(words, simd) for words, simd in packed) else 1
    hidden = range(len(parts) - 1)
    values = {index: read_thresholds(folder, index, parts[index].rows) for index in hidden}
    planes = max(len(rows) for rows in values.values())
    wrong = [index for index in hidden if len(values[index]) != planes]
    if wrong:
        count = len(values[wrong[0]])
        raise ParameterError(f"{folder}: layer {wrong[0]} has {count} thresholds a row, expected {planes} as in others")
    layers: list[Layer] = []
    for index, part in enumerate(parts):
        weights = read_weights(folder, index, part.rows, part.synapses, bases)[:, : part.outputs]
        real = weights[:, :, : part.synapses - part.padding]
        real = real.reshape(bases, part.outputs, 3, 3, part.channels) if part.conv else real
        source = layers[-1].name if layers else "input"
        layer = Layer(
            part.name,
            "conv" if part.conv else "dense",
            (source,),
            real if bases > 1 else real[0],
            pad_value=-1 if part.conv and index else 0,
            pool=part.pool,
        )
        if index == len(parts) - 1 and topology == "cnv":
            scale = np.ones(part.outputs, np.int32)
            layers.append(replace(layer, scale=scale, offset=np.zeros_like(scale)))
            break
        found = values[index] if index in values else read_thresholds(folder, index, part.rows)
        if index not in values and len(found) > 1:
            raise ParameterError(f"{folder}: layer {index} has {len(found)} thresholds a row, expected 1 of the last")
        limits = _limits(
            found[:, : part.outputs],
            part,
            weights,
            planes if index else 1,
            not index and part.conv,
            bases == planes == 1,
        )
        flip = np.zeros(part.outputs, np.bool_)
        if index in values:
            layers.append(replace(layer, thresholds=limits if planes > 1 else limits[0], flip=flip))
        else:  # the bits themselves are the scores
            twice = np.concatenate([layer.weights, layer.weights], axis=-2)
            flip = np.repeat([False, True], part.outputs)
            layers.append(replace(layer, weights=twice, thresholds=np.tile(limits[0], 2), flip=flip))
            layers.append(_scores_of_bits("scores", part.name, part.outputs))
    return Model(
        name=f"{topology}W{bases}A{planes}",
        height=network.height,
        width=network.width,
        channels=network.channels,
        input_table=input_table() if parts[0].conv else np.where(np.arange(256) < 128, -1, 1).astype(np.int8),
        layers=tuple(layers),
        classes=names,
        meta={"dataset": dataset, "source": "BNN-PYNQ"},
    )
