"""The golden integer network: what every accelerator must compute, bit for bit.

``trace`` is the specification, in plain integer numpy. ``infer`` gives the same
scores fast: it multiplies +-1 in float32, where every sum is an exact integer.
"""

from __future__ import annotations

import numpy as np

from bnn.geometry import walk
from bnn.model import Layer, Model, ModelError, shapes

PATCH_BYTES = 1 << 26


def _check_images(model: Model, images: np.ndarray) -> None:
    shape = (model.height, model.width, model.channels)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != shape:
        raise ModelError(f"images: are {images.dtype.name} {images.shape}, expected uint8 (N, {shape})")


def _pad(maps: np.ndarray, pad: int, value: int) -> np.ndarray:
    if not pad:
        return maps
    return np.pad(maps, ((0, 0), (pad, pad), (pad, pad), (0, 0)), constant_values=value)


def _pool(bits: np.ndarray) -> np.ndarray:
    """2x2 max-pool of bits, stride 2; an odd last row or column is dropped."""
    height, width = bits.shape[1] // 2 * 2, bits.shape[2] // 2 * 2
    rows = bits[:, 0:height:2] | bits[:, 1:height:2]
    return np.asarray(rows[:, :, 0:width:2] | rows[:, :, 1:width:2])


def _scores(layer: Layer, acc: np.ndarray) -> np.ndarray:
    """scale * acc + offset in 32-bit two's complement."""
    assert layer.scale is not None and layer.offset is not None
    wide = acc.astype(np.int64) * layer.scale.astype(np.int64) + layer.offset.astype(np.int64)
    return np.asarray((wide & 0xFFFFFFFF).astype(np.uint32).view(np.int32))


def _matches(bits: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Number of equal bits of (..., I) and every row of (O, I)."""
    ones, rows = bits.astype(np.int32), weights.astype(np.int32)
    return np.asarray(ones @ rows.T + (1 - ones) @ (1 - rows).T)


def _plain_conv(layer: Layer, maps: np.ndarray, eight_bit: bool) -> np.ndarray:
    """acc of a binary convolution, or sum of the 8-bit one, before pool."""
    maps = _pad(maps, layer.pad, 0 if eight_bit else int(layer.pad_value > 0))
    height, width = maps.shape[1] - 2, maps.shape[2] - 2
    acc = np.zeros((len(maps), height, width, layer.outputs), np.int32)
    for ky in range(3):
        for kx in range(3):
            window = maps[:, ky : ky + height, kx : kx + width]
            weights = layer.weights[:, ky, kx]
            if eight_bit:
                acc += window.astype(np.int32) @ (2 * weights.astype(np.int32) - 1).T
            else:
                acc += _matches(window, weights)
    return acc


def trace(model: Model, images: np.ndarray) -> dict[str, np.ndarray]:
    """Every layer's output, by the specification.

    Args:
        model: the network.
        images: uint8 (N, H, W, C).

    Returns:
        Layer name to uint8 bits, (N, H, W, C) after pool and flip or (N, O);
        for the last layer int32 scores (N, classes).

    Raises:
        ModelError: inconsistent model, or images of another shape.
    """
    shapes(model)
    _check_images(model, images)
    eight_bit = model.layers[0].kind == "conv"
    values = model.input_table[images]
    current = values if eight_bit else (values > 0).astype(np.uint8)
    result: dict[str, np.ndarray] = {}
    for index, layer in enumerate(model.layers):
        if layer.kind == "conv":
            acc = _plain_conv(layer, current, eight_bit and index == 0)
        else:
            acc = _matches(current.reshape(len(current), -1), layer.weights)
        if layer.thresholds is None:
            result[layer.name] = _scores(layer, acc)
            break
        assert layer.flip is not None
        bits = acc >= layer.thresholds
        if layer.pool:
            bits = _pool(bits)
        current = (bits ^ layer.flip).astype(np.uint8)
        result[layer.name] = current
    return result


def _patches(maps: np.ndarray) -> np.ndarray:
    """(N, H, W, C) to (N * (H - 2) * (W - 2), 9 * C), taps row-major."""
    count, height, width, channels = maps.shape
    height, width = height - 2, width - 2
    taps = [maps[:, ky : ky + height, kx : kx + width] for ky in range(3) for kx in range(3)]
    return np.asarray(np.concatenate(taps, axis=3).reshape(count * height * width, 9 * channels))


def _infer_batch(model: Model, images: np.ndarray, signs: list[np.ndarray]) -> np.ndarray:
    eight_bit = model.layers[0].kind == "conv"
    current = model.input_table[images].astype(np.float32)
    for index, layer in enumerate(model.layers):
        if layer.kind == "conv":
            current = _pad(current, layer.pad, layer.pad_value)
            shape = (len(current), current.shape[1] - 2, current.shape[2] - 2, layer.outputs)
            sums = (_patches(current) @ signs[index]).reshape(shape)
        else:
            sums = current.reshape(len(current), -1) @ signs[index]
        if layer.thresholds is None:
            return _scores(layer, (sums.astype(np.int64) + layer.fan_in) // 2)
        assert layer.flip is not None
        limits = layer.thresholds.astype(np.int64)
        if not (eight_bit and index == 0):
            limits = 2 * limits - layer.fan_in  # acc = (sum + fan-in) / 2
        bits = sums >= limits.astype(np.float32)
        if layer.pool:
            bits = _pool(bits)
        current = np.where(bits ^ layer.flip, np.float32(1), np.float32(-1))
    raise ModelError("layers: the last one has thresholds, expected scale and offset")


def _batch_size(model: Model) -> int:
    """Images whose largest patch matrix takes PATCH_BYTES."""
    shapes(model)
    largest = max(4 * item.convolved[0] * item.convolved[1] * item.fan_in for item in walk(model))
    return max(1, min(1024, PATCH_BYTES // max(1, largest)))


def infer(model: Model, images: np.ndarray) -> np.ndarray:
    """Scores, equal to those of ``trace``, fast.

    Args:
        model: the network.
        images: uint8 (N, H, W, C).

    Returns:
        int32 (N, classes).

    Raises:
        ModelError: inconsistent model, or images of another shape.
    """
    batch = _batch_size(model)
    _check_images(model, images)
    signs = [
        np.ascontiguousarray((2 * layer.weights.astype(np.float32) - 1).reshape(layer.outputs, -1).T)
        for layer in model.layers
    ]
    result = np.zeros((len(images), len(model.classes)), np.int32)
    for start in range(0, len(images), batch):
        result[start : start + batch] = _infer_batch(model, images[start : start + batch], signs)
    return result
