"""`bnn export`: checkpoint -> integer model, checked against PyTorch.

Thresholds are read off, not derived: the trained batch norm is evaluated on every
sum that a channel can reach, the result must be monotone, and the threshold is where
it changes sign. The exported model must then give the network's own scores.
"""

from __future__ import annotations

import argparse
import io
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bnn import cpu
from bnn.command import Command, UsageError
from bnn.errors import ExpectedError
from bnn.files import write_atomically
from bnn.geometry import Spec, walk
from bnn.layers import INPUT, bit_shifts, map_mean
from bnn.model import Layer, Model, load, save
from bnn.output import result
from train import data, own, parameters
from train.abc_net import AbcBlock, AbcLayer, AbcScores
from train.calibrate import calibrated
from train.checkpoint import is_model_file, load_checkpoint, load_network
from train.config import Config, from_dict
from train.layers import VALUE_HIGH, VALUE_LOW, VALUE_STEP, BinaryConv2d, BitsBlock, Block, ScoreNorm, ValueBlock
from train.module import BinaryNetwork, input_table, pixel_unit
from train.thresholds import NotMonotone, read_off

SAMPLE = 64
"""Test images kept beside a model."""


class ExportError(ExpectedError):
    """The network cannot be expressed as an integer model."""


@torch.no_grad()
def fold(block: Block, sums: np.ndarray, unit: float, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Read the thresholds of `bit_k = (sum >= T_k) xor flip` off a trained block.

    Args:
        block: of the network, in eval mode; scale, batch norm and learned shift fold together.
        sums: every reachable integer sum, ascending (S,).
        unit: what one step of the sum is worth to the block.
        name: of the layer, for messages.

    Returns:
        index (K, C) into `sums` of the first sum at or above each plane's threshold (S: never), and flip (C,).

    Raises:
        ExportError: the block is not finite or not monotone over the sums.
    """
    channels = block.norm.num_features
    values = torch.from_numpy(sums.astype(np.float32) * np.float32(unit))
    column = values[:, None].expand(-1, channels).contiguous()
    if isinstance(block.norm, nn.BatchNorm2d):
        column = column[:, :, None, None]
    normalised = block.normalise(column).reshape(len(sums), channels).numpy()
    if not np.isfinite(normalised).all():
        channel = int(np.flatnonzero(~np.isfinite(normalised).all(axis=0))[0])
        raise ExportError(f"{name}: batch norm of channel {channel} is not finite over its {len(sums)} sums")
    bits = np.stack([normalised >= np.float32(float(step)) for step in block.steps()])  # (K, S, C)
    try:
        return read_off([bits])
    except NotMonotone as error:
        what = f"batch norm of channel {error.channel} is not monotone over its {len(sums)} sums"
        raise ExportError(f"{name}: {what}") from None


def _bits(block: Block) -> np.ndarray:
    """The weights as the model has them: (O, ...) bits with channels innermost, behind an axis of bases if several."""
    layer = block.layer
    if isinstance(layer, AbcLayer):
        weights = layer.bases()[0].numpy() > 0
    else:
        signs, bases = layer.signs().numpy(), layer.methods.weight_bases
        if layer.methods.weight_bits:
            codes = (signs.astype(np.int64) + layer.methods.base_sum) // 2
            weights = np.stack([codes >> place & 1 for place in bit_shifts(layer.methods.weight_bits[0])])
        else:  # the sum of thermometer codes has a base more at +1 for every 2
            weights = np.stack([signs > 2 * base - bases for base in range(bases)])
    weights = np.ascontiguousarray(np.moveaxis(weights, 2, -1)).astype(np.uint8)
    return weights if len(weights) > 1 else weights[0]


@torch.no_grad()
def _block_layer(block: Block, spec: Spec, source: Layer | None, pixels: tuple[int, float] | None) -> Layer:
    """The layer of a block.

    `pixels`, where the sums are of pixels and not matches: the greatest value of one, and what 1 of it is worth.
    """
    layer, name = block.layer, spec.name
    pad, pad_value, kind = 0, -1, "dense"
    if isinstance(layer, BinaryConv2d):
        pad, pad_value, kind = layer.pad, int(layer.pad_value), "conv"
    fan_in = layer.weight[0].numel()
    reach = fan_in * layer.methods.base_sum * layer.planes
    make = partial(
        Layer,
        name=name,
        kind=kind,
        inputs=spec.inputs or (INPUT if source is None else source.name,),
        weights=_bits(block),
        pad=pad,
        pad_value=pad_value,
        pool=block.pool,
        stride=spec.stride,
        base_shifts=bit_shifts(layer.methods.weight_bits[0]) if max(layer.methods.weight_bits, default=1) > 1 else (),
        plane_shifts=bit_shifts(source.bits) if source is not None else (),
    )
    norm = block.norm
    if isinstance(block, ValueBlock | AbcScores):
        scale, offset, shift = block.fixed_point()
        thresholds, flip = None, None
        if isinstance(block, ValueBlock) and spec.planes and not isinstance(block, BitsBlock):
            low, high = VALUE_LOW, VALUE_HIGH
            index, flip = fold(block, np.arange(low, high + 1), VALUE_STEP, name)
            thresholds = (low + (index if len(index) > 1 else index[0])).astype(np.int32)
        if isinstance(block, AbcBlock | AbcScores):  # the products are 2 * matches - fan_in
            return make(
                thresholds=thresholds,
                flip=flip,
                coefficients=(2 * scale).numpy().astype(np.int32),
                offset=(offset - fan_in * scale.sum((1, 2))).numpy().astype(np.int32),
                shift=shift,
            )
        return make(
            thresholds=thresholds,
            flip=flip,
            scale=(2 * scale if pixels is None else scale).numpy().astype(np.int32),
            offset=(offset - reach * scale if pixels is None else offset).numpy().astype(np.int32),
            shift=shift,
            average_shortcut=spec.stride > 1,
            bits=layer.methods.activation_bits[0] if isinstance(block, BitsBlock) else 0,
        )
    if isinstance(norm, ScoreNorm):
        scale, offset, shift = norm.fixed_point(reach, block.alpha())
        # the dot product is 2 * matches - fan_in, over all planes and bases
        return make(
            thresholds=None,
            flip=np.zeros(len(scale), np.bool_),
            scale=(2 * scale).numpy().astype(np.int32),
            offset=(offset - reach * scale).numpy().astype(np.int32),
            shift=shift,
        )
    if pixels is not None:
        most, unit = pixels
        sums = np.arange(-most * reach, most * reach + 1)
        index, flip = fold(block, sums, unit, name)
        thresholds = sums[0] + index
    else:
        matches = np.arange(reach + 1)
        thresholds, flip = fold(block, 2 * matches - reach, 1.0, name)
    return make(
        thresholds=(thresholds if len(thresholds) > 1 else thresholds[0]).astype(np.int32),
        flip=flip.astype(np.bool_),
        scale=None,
        offset=None,
        shift=0,
    )


def export(model: BinaryNetwork, classes: tuple[str, ...], meta: dict[str, object]) -> Model:
    """Fold a trained network into an integer model.

    Raises:
        ExportError: a float32 network, a parameter is not finite, a batch norm is not monotone, or scores do not fit.
    """
    model = model.cpu().eval()
    if model.methods.real:
        raise ExportError(f"{model.network.name}: a float32 reference has no integer model")
    try:
        parameters.check_network(model)
    except parameters.ParameterError as error:
        raise ExportError(str(error)) from None
    network = model.network
    table = input_table(network)
    pixels = int(np.abs(table.astype(int)).max()), pixel_unit(network)
    layers: list[Layer] = []
    blocks = iter(model.each())
    for spec, geometry in zip(network.layers, walk(network), strict=True):
        if spec.kind == "average":
            layers.append(map_mean(spec.name, layers[-1].name, geometry.input))
            continue
        of_pixels = pixels if not layers and spec.kind == "conv" else None
        layers.append(_block_layer(next(blocks), spec, layers[-1] if layers else None, of_pixels))
    return Model(
        name=network.name,
        height=network.height,
        width=network.width,
        channels=network.channels,
        input_table=table,
        layers=tuple(layers),
        classes=classes,
        meta=meta,
    )


@torch.no_grad()
def compare_scores(model: BinaryNetwork, exported: Model, images: np.ndarray) -> tuple[int, np.ndarray]:
    """Run both networks over images (N, C, H, W) uint8.

    Returns:
        the number of images for which any score differs, and the integer model's
        scores int32 (N, classes).
    """
    model = model.cpu().eval()
    shift = exported.layers[-1].shift
    mismatches = 0
    scores = []
    for start in range(0, len(images), 500):
        part = images[start : start + 500]
        expected = torch.round(model(torch.from_numpy(part)) * 2.0**shift).numpy().astype(np.int64)
        got = cpu.infer(exported, np.ascontiguousarray(part.transpose(0, 2, 3, 1)))
        mismatches += int((expected != got).any(axis=1).sum())
        scores.append(got)
    return mismatches, np.concatenate(scores)


def load_data(
    config: Config, folder: Path, data_folder: Path | None, cache: Path
) -> tuple[data.Dataset, data.Arrays, tuple[str, ...]]:
    """The data of a run, those of them that validate, and the class names.

    Raises:
        DataError: not to be had.
    """
    if config.dataset.startswith(own.PREFIX):
        kept = own.load_kept(folder, config.dataset)
        return kept.dataset, kept.validation, kept.classes
    dataset = data.load(config.dataset, data_folder, cache)
    return dataset, data.split_validation(dataset, config.validation)[1], data.SOURCES[config.dataset].classes


def export_run(checkpoint: Path, out: Path, data_folder: Path | None, cache: Path, command: str = "") -> Model:
    """Fold the network of a checkpoint, compare it with PyTorch on every test image, calibrate and write it.

    Beside `NAME.npz`, `NAME.images.npz` gets the first test images (`x` uint8 (N, H, W, C), `y`).

    Raises:
        ExportError: the integer model's scores differ, or it cannot be folded.
        TrainError, DataError, ModelError: no usable checkpoint, data or model.
    """
    saved = load_checkpoint(checkpoint)
    config = from_dict(saved["config"])
    model = load_network(checkpoint)
    dataset, validation, classes = load_data(config, checkpoint.parent, data_folder, cache)
    meta: dict[str, object] = {
        "dataset": config.dataset,
        "config": saved["config"],
        "epochs_trained": saved["epoch"],
        "validation_accuracy": saved.get("deploy_accuracy"),
        "validation_images": saved.get("deploy_images", len(validation["y"])),
        "command": command or saved.get("command", ""),
    }
    exported = export(model, classes, meta)
    mismatches, scores = compare_scores(model, exported, dataset.x_test)
    total = len(dataset.x_test)
    result(f"export: {total} images, score mismatches = {mismatches}", images=total, mismatches=mismatches)
    if mismatches:
        raise ExportError(f"{model.network.name}: {mismatches} of {total} images differ from the PyTorch network")
    right = int((scores.argmax(axis=1) == dataset.y_test).sum())
    meta["test_correct"], meta["test_images"] = right, total
    exported = calibrated(exported, np.ascontiguousarray(validation["x"].transpose(0, 2, 3, 1)), validation["y"])
    save(exported, out)
    sample = io.BytesIO()
    images = np.ascontiguousarray(dataset.x_test[:SAMPLE].transpose(0, 2, 3, 1))
    np.savez_compressed(sample, x=images, y=dataset.y_test[:SAMPLE])
    write_atomically(out.with_suffix(".images.npz"), sample.getvalue())
    result(f"export: {out} written, test accuracy {right}/{total}", model=str(out), correct=right)
    return exported


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="CHECKPOINT", help="checkpoint; with --onnx also a model.npz")
    parser.add_argument("-o", "--output", type=Path, help="model.npz to write; not of a model.npz")
    data.add_options(parser)
    parser.add_argument("--command", default="", help="recorded in the model, in place of the call that trained it")
    parser.add_argument("--onnx", type=Path, metavar="FILE", help="write the integer model as an ONNX graph as well")
    parser.add_argument("--plain", action="store_true", help="with standard ONNX operators only, else QONNX")


def _run(arguments: argparse.Namespace) -> None:
    is_model = is_model_file(arguments.source)
    if (arguments.output is None) != is_model:
        raise UsageError(f"{arguments.source}: " + ("-o is for a checkpoint" if is_model else "-o is missing"))
    if arguments.onnx is None and (is_model or arguments.plain):
        raise UsageError("--onnx FILE is missing, expected with --plain and of a model.npz")
    if is_model:
        model = load(arguments.source)
    else:
        folder, cache = arguments.data_folder, arguments.cache
        model = export_run(arguments.source, arguments.output, folder, cache, arguments.command)
    if arguments.onnx is not None:
        from train.export_onnx import save_onnx  # onnx is optional

        save_onnx(model, arguments.onnx, "plain" if arguments.plain else "qonnx")
        result(f"export: {arguments.onnx} written", onnx=str(arguments.onnx))


main = Command("export", _options, _run, "build/cnv/checkpoint.pt -o build/cnv/model.npz")


if __name__ == "__main__":
    sys.exit(main())
