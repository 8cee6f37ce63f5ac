"""`bnn import`: make a model of a network that others trained.

The kind is that of the file: a folder of BNN-PYNQ's parameters, an ONNX file in any of QONNX's dialects, or BMXNet's
`NAME-symbol.json` with the `NAME-0000.params` beside it. Where the model is not exactly the network, it says where, and
what that costs on images.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from bnn.command import Command, positive
from bnn.cpu import infer
from bnn.geometry import Shape
from bnn.images import read_array
from bnn.model import Model, save
from bnn.output import each, note, result
from train import classes as class_names
from train import data
from train.graphs import bmxnet
from train.graphs.graph import Graph, GraphError, run
from train.graphs.lowering import Lowered, image_size, lower
from train.graphs.signals import NeedsImages
from train.graphs.weights import Ends
from train.import_bnn_pynq import TOPOLOGIES, read_model

SEEN = 256
"""Training images from which the ranges of values are taken."""
CHUNK = 200
SYMBOL, PARAMS = "-symbol.json", ".params"


def _bmxnet_files(path: Path) -> tuple[Path, Path] | None:
    """Symbol and parameters of BMXNet, given one of them or the folder of both; None: neither.

    Raises:
        GraphError: one of them is missing, or there are several.
    """
    if path.is_dir():
        symbols = sorted(path.glob(f"*{SYMBOL}"))
    elif path.name.endswith(SYMBOL):
        symbols = [path]
    elif path.suffix == PARAMS:
        symbols = [path.with_name(path.stem.rpartition("-")[0] + SYMBOL)]
    else:
        return None
    if not symbols:
        return None
    if len(symbols) > 1:
        raise GraphError(f"{path}: holds {len(symbols)} files *{SYMBOL}, give one of them")
    symbol = symbols[0]
    stem = symbol.name[: -len(SYMBOL)]
    found = [path] if path.suffix == PARAMS else sorted(symbol.parent.glob(f"{stem}-*{PARAMS}"))
    if not found:
        raise GraphError(f"{symbol.parent / stem}-0000{PARAMS}: is missing beside {symbol.name}")
    return symbol, found[-1]


def read_graph(path: Path, shape: Shape | None, divisor: float | None) -> Graph | None:
    """The graph of an ONNX file or of BMXNet's; None: it is neither.

    Raises:
        GraphError: it cannot be read.
    """
    files = _bmxnet_files(path)
    if files is not None:
        if shape is None:
            raise GraphError(f"{files[0]}: does not say how large images are, give --dataset")
        return bmxnet.read_graph(*files, shape, divisor)
    if path.suffix.lower() == ".onnx":
        from train.graphs import onnx_file  # onnx is optional

        return onnx_file.read_graph(path, divisor)
    return None


def _images(arguments: argparse.Namespace) -> tuple[np.ndarray, np.ndarray, np.ndarray | None] | None:
    """Images to see ranges on, and images and labels to measure the loss on; None: there are none."""
    if arguments.images is not None:
        images, labels = read_array(arguments.images)
        return images[:SEEN], images[: arguments.limit], None if labels is None else labels[: arguments.limit]
    if arguments.dataset is None:
        return None
    found = data.load(arguments.dataset, arguments.data_folder, arguments.cache)
    seen, images = (
        np.ascontiguousarray(part.transpose(0, 2, 3, 1))
        for part in (found.x_train[:SEEN], found.x_test[: arguments.limit])
    )
    return seen, images, found.y_test[: arguments.limit]


def measure(graph: Graph, model: Model, images: np.ndarray, labels: np.ndarray | None) -> str:
    """What the model gives beside its graph in floating point, in a line.

    Args:
        images: uint8 (N, H, W, C).
        labels: (N,), None: unknown.
    """
    alike, right, total = 0, np.zeros(2, int), len(images)
    for start in range(0, total, CHUNK):
        part = images[start : start + CHUNK]
        classes = [run(graph, part)[graph.output].reshape(len(part), -1).argmax(1), infer(model, part).argmax(1)]
        alike += int((classes[0] == classes[1]).sum())
        if labels is not None:
            right += [int((found == labels[start : start + CHUNK]).sum()) for found in classes]
    scores = "" if labels is None else f"right: {right[0]} in floating point, {right[1]} as integers, "
    return f"of {total} images {scores}the same class: {alike}"


def import_graph(graph: Graph, arguments: argparse.Namespace) -> Model:
    """The model of a graph; prints where it is not exactly that, and what it costs.

    Raises:
        GraphError, ModelError, DataError, ImageError: it cannot be expressed, or classes or images are missing.
    """
    shape = None if arguments.dataset is None else dataset_shape(arguments.dataset)
    size = image_size(graph, shape)
    noted = graph.notes.get("classes")
    meta = dict(graph.notes.get("meta") or {})
    if arguments.classes is None and arguments.dataset is None and isinstance(noted, list):
        names, dataset = tuple(map(str, noted)), str(meta.get("dataset", ""))
    else:
        names, dataset = class_names.find(arguments.source.parent, arguments.classes, arguments.dataset, size)
    meta.update(dataset=dataset, source=meta.get("source", arguments.source.name))
    images = None
    try:
        found = lower(graph, names, size, None, meta, arguments.ends)
        images = _images(arguments) if found.losses else None
    except NeedsImages:
        images = _images(arguments)
        if images is None:
            raise
    if images is not None:  # what is rounded is rounded by what images do
        found = lower(graph, names, size, images[0], meta, arguments.ends)
    _report(graph, found, arguments, images)
    return found.model


def _report(
    graph: Graph,
    found: Lowered,
    arguments: argparse.Namespace,
    images: tuple[np.ndarray, np.ndarray, np.ndarray | None] | None,
) -> None:
    if not found.losses and arguments.images is None:
        note("import: exactly the network")
        return
    for loss in found.losses:
        each("losses", f"import: {loss}", loss)
    images = images or _images(arguments)
    if images is None:
        note("import: not measured, give --images or --dataset")
        return
    measured = measure(graph, found.model, *images[1:])
    result(f"import: {measured}", measured=measured)


def dataset_shape(name: str) -> Shape:
    """Height, width and channels of a data set's images."""
    channels, height, width = data.SOURCES[name].shapes["test"][1:]
    return height, width, channels


def _ends(text: str) -> Ends:
    if not re.fullmatch("[2-8](,[2-8]){3}", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not four numbers of 2 to 8 with commas")
    return Ends(*map(int, text.split(",")))


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", type=Path, metavar="PATH", help="BNN-PYNQ's folder, FILE.onnx, or BMXNet's NAME-symbol.json"
    )
    parser.add_argument(
        "--classes", metavar="NAMES", help="with commas, or a file of them; default classes.txt beside it"
    )
    parser.add_argument("--dataset", choices=list(data.SOURCES), help="what it was trained on")
    parser.add_argument("-o", "--output", type=Path, required=True, help="model file to write")
    parser.add_argument("--topology", choices=TOPOLOGIES, help="of BNN-PYNQ's; default: by the number of layers")
    parser.add_argument(
        "--divide", type=float, metavar="N", help="what pixels are divided by before the network reads them: 255 or 1"
    )
    parser.add_argument(
        "--images", type=Path, metavar="FILE", help="x and y (.npz) to measure a loss on; default --dataset's"
    )
    parser.add_argument(
        "--ends",
        type=_ends,
        default=Ends(),
        metavar="BITS,BITS,BITS,BITS",
        help="of a first layer's real weights and the pixels, of a last layer's and what it reads,\n"
        "default 8,8,8,8; cores take 16 by the product of two, as 4,4,2,8",
    )
    parser.add_argument("--limit", type=positive, default=1000, help="images to measure on, default 1000")
    data.add_options(parser)


def _run(arguments: argparse.Namespace) -> None:
    shape = None if arguments.dataset is None else dataset_shape(arguments.dataset)
    graph = read_graph(arguments.source, shape, arguments.divide)
    if graph is None:
        if not arguments.source.is_dir():
            missing = "" if arguments.source.exists() else "no file or folder, and "
            raise GraphError(
                f"{arguments.source}: is {missing}neither BNN-PYNQ's folder, FILE.onnx, "
                f"NAME{SYMBOL} nor NAME-0000{PARAMS}"
            )
        model = read_model(arguments.source, arguments.topology, arguments.classes, arguments.dataset)
    else:
        model = import_graph(graph, arguments)
        if graph.notes.get("temperature") is not None:
            model = replace(model, temperature=float(graph.notes["temperature"]))
    save(model, arguments.output)
    text = f"{arguments.output}: {model.name}, {len(model.layers)} layers, {len(model.classes)} classes"
    result(text, model=str(arguments.output), layers=len(model.layers), classes=list(model.classes))


main = Command("import", _options, _run, "TFC_1W2A.onnx --dataset mnist -o build/tfc.npz")


if __name__ == "__main__":
    sys.exit(main())
