"""``python -m train.import_bnn_pynq``: make a model of a BNN-PYNQ parameter folder.

The folder holds ``L-P-weights.bin`` and ``L-P-thres.bin`` for layer L and PE P,
64-bit little-endian words. Neuron n is in file n mod PE; its weights start at word
(n div PE) * (synapses / SIMD), SIMD of them in a word from the least significant
bit up, bit 1 for +1; 3x3 taps row-major, channels innermost. A threshold fires on
strictly greater. The first layer's pixels have 7 fractional bits, its thresholds 8.
``classes.txt`` beside them names the classes, a name a line.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from bnn.command import Command
from bnn.errors import ExpectedError
from bnn.model import Layer, Model, save
from bnn.networks import NETWORKS
from train import classes as class_names
from train.data import SOURCES

TOPOLOGIES = ("cnv",)


class ParameterError(ExpectedError):
    """A parameter folder does not hold what its topology asks for."""


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
            content = path.read_bytes()
        except OSError as error:
            raise ParameterError(f"{path}: cannot be read ({error.strerror})") from None
        if not content or len(content) % 8 or (words and len(content) != words[0].nbytes):
            size = f"{words[0].nbytes} bytes" if words else "a positive multiple of 8 bytes"
            raise ParameterError(f"{path}: holds {len(content)} bytes, expected {size}")
        words.append(np.frombuffer(content, "<u8"))
    return words


def read_weights(folder: Path, layer: int, synapses: int) -> np.ndarray:
    """Weights of all rows in the files, uint8 (rows, synapses).

    Raises:
        ParameterError: a file is missing or its size does not fit.
    """
    files = _files(folder, layer, "weights")
    where = f"{folder / f'{layer}-0-weights.bin'}: holds {files[0].size} words"
    rows_of = _files(folder, layer, "thres")[0].size if list(folder.glob(f"{layer}-*-thres.bin")) else None
    if rows_of is None:  # the last layer: 64 rows, whatever the classes
        rows_of = max(1, 64 // len(files))
    per_row, rest = divmod(files[0].size, rows_of)
    if rest or not per_row or synapses % per_row or synapses // per_row > 64:
        raise ParameterError(f"{where}, expected {rows_of} rows of {synapses} weights")
    simd = synapses // per_row
    shifts = np.arange(simd, dtype=np.uint64)
    stacked = np.stack(files, axis=1)  # (words, PE)
    bits = (stacked.reshape(rows_of, per_row, len(files), 1) >> shifts) & np.uint64(1)
    rows = bits.transpose(0, 2, 1, 3).reshape(rows_of * len(files), synapses)
    return np.asarray(rows.astype(np.uint8))


def read_thresholds(folder: Path, layer: int, outputs: int) -> np.ndarray:
    """Thresholds int64 (outputs,).

    Raises:
        ParameterError: a file is missing or its size does not fit.
    """
    values = np.asarray(np.stack(_files(folder, layer, "thres"), axis=1).reshape(-1).view(np.int64))
    if values.size != outputs:
        raise ParameterError(f"{folder}: layer {layer} has {values.size} thresholds, expected {outputs}")
    return values


def read_model(folder: Path, topology: str = "cnv", classes: str | None = None, dataset: str | None = None) -> Model:
    """The model in a parameter folder.

    Args:
        folder: the parameters, and classes.txt unless the classes are named otherwise.
        topology: of the network; the number of classes is that of their names.
        classes: their names with commas, or a file of them.
        dataset: what it was trained on.

    Raises:
        ParameterError: a file is missing or its size does not fit.
        DataError: nothing names the classes.
        ModelError: the values do not make a model.
    """
    network = NETWORKS[topology]
    names, dataset = class_names.find(folder, classes, dataset, (network.height, network.width, network.channels))
    table = [(outputs, pool, True) for outputs, pool in network.convs]
    table += [(outputs, False, False) for outputs in (*network.dense, len(names))]
    height, width, channels = network.height, network.width, network.channels
    layers: list[Layer] = []
    for index, (outputs, pool, conv) in enumerate(table):
        name = f"conv{index + 1}" if conv else f"dense{index - len(network.convs) + 1}"
        last = index == len(table) - 1
        synapses = 9 * channels if conv else height * width * channels
        weights = read_weights(folder, index, synapses)
        if len(weights) != outputs and not (last and len(weights) > outputs):
            what = "as there are classes" if last else ""
            raise ParameterError(f"{folder}: layer {index} has {len(weights)} rows, expected {outputs} {what}".rstrip())
        weights = weights[:outputs]
        inputs = (layers[-1].name if layers else "input",)
        if conv:
            weights = weights.reshape(outputs, 3, 3, channels)
            height, width = ((height - 2) // 2, (width - 2) // 2) if pool else (height - 2, width - 2)
        else:
            height = width = 1
        if last:
            scale, offset = np.ones(outputs, np.int32), np.zeros(outputs, np.int32)
            layers.append(Layer(name, "dense", inputs, weights, scale=scale, offset=offset))
            break
        values = read_thresholds(folder, index, outputs)
        if index == 0:
            limits = np.clip(values // 2 + 1, -32768, 32767)  # 2 * sum > t
        else:
            limits = np.clip(values + 1, 0, 65535)  # acc > t
        layers.append(
            Layer(
                name,
                "conv" if conv else "dense",
                inputs,
                weights,
                pad_value=-1 if conv and index else 0,
                pool=pool,
                thresholds=limits.astype(np.int32),
                flip=np.zeros(outputs, np.bool_),
            )
        )
        channels = outputs
    return Model(
        name=topology,
        height=network.height,
        width=network.width,
        channels=network.channels,
        input_table=input_table(),
        layers=tuple(layers),
        classes=names,
        meta={"dataset": dataset, "source": "BNN-PYNQ"},
    )


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="parameter folder, for example cnvW1A1")
    parser.add_argument("--topology", choices=TOPOLOGIES, default="cnv")
    parser.add_argument("--classes", metavar="NAMES", help="with commas, or a file of them; default DIR/classes.txt")
    parser.add_argument("--dataset", choices=list(SOURCES), help="what it was trained on")
    parser.add_argument("-o", "--output", type=Path, required=True, help="model file to write")


def _run(arguments: argparse.Namespace) -> None:
    model = read_model(arguments.folder, arguments.topology, arguments.classes, arguments.dataset)
    save(model, arguments.output)
    print(f"{arguments.output}: {model.name}, {len(model.layers)} layers, {len(model.classes)} classes")


main = Command("import", _options, _run, "cnvW1A1 --topology cnv -o build/cnv.npz")


if __name__ == "__main__":
    sys.exit(main())
