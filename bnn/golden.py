"""The golden integer network: what every accelerator must compute, bit for bit. `docs/model.md` has the formulas.

`trace` is the specification, in plain integer numpy. `infer` gives the same
scores fast: it multiplies small integers in float32 or float64, where every sum is an exact integer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from bnn.geometry import walk
from bnn.layers import INPUT, Layer, Model, ModelError
from bnn.rules import shapes

PATCH_BYTES = 1 << 26


@dataclass(frozen=True, eq=False)
class Output:
    """What a layer gives for N images: K planes of bits, uint8 (K, N, H, W, C), and a value, int16 (N, H, W, C)."""

    planes: np.ndarray
    value: Optional[np.ndarray] = None

    def equals(self, other: Output) -> bool:
        """Whether planes and values are the same."""
        if self.value is None or other.value is None:
            return self.value is other.value and np.array_equal(self.planes, other.planes)
        return np.array_equal(self.planes, other.planes) and np.array_equal(self.value, other.value)


def check_images(model: Model, images: np.ndarray) -> None:
    """Refuse images of another shape or type than the model's with a ModelError."""
    shape = (model.height, model.width, model.channels)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != shape:
        raise ModelError(f"images: are {images.dtype.name} {images.shape}, expected uint8 (N, {shape})")


def read_pixels(model: Model, images: np.ndarray) -> np.ndarray:
    """What the first layer reads: the table's values int8 (1, N, H, W, C), or planes of bits uint8 (K, N, H, W, C)."""
    values = model.input_table[images]
    if model.eight_bit_input:
        return np.asarray(values[None])
    bits = model.layers[0].input_bits
    if not bits:
        return np.asarray((values > 0).astype(np.uint8)[None])
    return _bits(values.astype(np.int16) + (1 << bits - 1), bits)


def _bits(codes: np.ndarray, count: int) -> np.ndarray:
    """The bits of unsigned integers as planes, the most significant first."""
    return np.stack([(codes >> place & 1).astype(np.uint8) for place in range(count - 1, -1, -1)])


def _pad_bits(layer: Layer, planes: int) -> List[int]:
    """The bit that stands in the padding of every plane."""
    return [int(layer.pad_value > 0 or (layer.pad_value == 0 and plane == 0)) for plane in range(planes)]


def _pad(maps: np.ndarray, pad: int, value: int) -> np.ndarray:
    if not pad:
        return maps
    return np.pad(maps, ((0, 0), (pad, pad), (pad, pad), (0, 0)), constant_values=value)


def max_pool(maps: np.ndarray) -> np.ndarray:
    """2x2 max-pool of (..., H, W, C), stride 2; an odd last row or column is dropped. Of bits it is their OR."""
    height, width = maps.shape[-3] // 2 * 2, maps.shape[-2] // 2 * 2
    rows = np.maximum(maps[..., 0:height:2, :, :], maps[..., 1:height:2, :, :])
    return np.asarray(np.maximum(rows[..., 0:width:2, :], rows[..., 1:width:2, :]))


def _matches(bits: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Number of equal bits of (..., I) and every row of (O, I)."""
    ones, rows = bits.astype(np.int32), weights.astype(np.int32)
    return np.asarray(ones @ rows.T + (1 - ones) @ (1 - rows).T)


def _signed_sums(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sums of (..., I) with the signs of every row of (O, I)."""
    return np.asarray(values.astype(np.int32) @ (2 * weights.astype(np.int32) - 1).T)


def _one_pass(layer: Layer, maps: np.ndarray, weights: np.ndarray, eight_bit: bool, pad: int) -> np.ndarray:
    """Matches, or sums of 8-bit pixels, of one plane (N, H, W, C) and one base (O, ...): int32 (N, H, W, O)."""
    product = _signed_sums if eight_bit else _matches
    if layer.kind == "dense":
        return product(maps.reshape(len(maps), -1), weights)[:, None, None]
    maps = _pad(maps, layer.pad, pad)
    kernel, stride = layer.kernel, layer.stride
    rows, columns = (edge - kernel + 1 for edge in maps.shape[1:3])
    acc = np.zeros((len(maps), -(-rows // stride), -(-columns // stride), layer.outputs), np.int32)
    for ky in range(kernel):
        for kx in range(kernel):
            acc += product(maps[:, ky : ky + rows : stride, kx : kx + columns : stride], weights[:, ky, kx])
    return acc


def sums(layer: Layer, planes: np.ndarray, eight_bit: bool) -> np.ndarray:
    """The sums over all passes, with the coefficients.

    Args:
        layer: a convolution or a dense layer.
        planes: uint8 (K, N, H, W, C), or with `eight_bit` the pixels' values int8 (1, N, H, W, C).
        eight_bit: whether the layer reads 8-bit pixels.

    Returns:
        int64 (N, H, W, O); (N, 1, 1, O) for a dense layer.
    """
    pads = [0] if eight_bit else _pad_bits(layer, len(planes))
    bases, shifts = layer.base_factors, layer.plane_factors(len(planes))
    total = np.zeros((), np.int64)
    for m, weights in enumerate(layer.base_weights):
        for n, maps in enumerate(planes):
            factor = bases[m] * shifts[n] if layer.coefficients is None else layer.coefficients[:, m, n]
            total = total + factor * _one_pass(layer, maps, weights, eight_bit, pads[n]).astype(np.int64)
    return total


def _map_sums(value: Optional[np.ndarray]) -> np.ndarray:
    """The sums that an average starts from: of a value (N, H, W, C) over its map, int64 (N, 1, 1, C)."""
    assert value is not None
    return np.asarray(value.astype(np.int64).sum(axis=(1, 2), keepdims=True))


def _requantised(layer: Layer, acc: np.ndarray) -> np.ndarray:
    """The scaled sums before the shift, int64."""
    assert layer.offset is not None
    scaled = acc if layer.scale is None else acc * layer.scale.astype(np.int64)
    return scaled + layer.offset.astype(np.int64)


def shortcut_of(layer: Layer, value: np.ndarray, shape: Tuple[int, ...]) -> np.ndarray:
    """A value (N, H, W, C) as a layer adds it to its own of `shape`: shrunk, with absent channels 0; int64."""
    value = value.astype(np.int64)
    if value.shape[1:3] != shape[1:3]:
        if layer.average_shortcut:
            rows = value[:, 0::2] + value[:, 1::2]
            value = (rows[:, :, 0::2] + rows[:, :, 1::2] + 2) >> 2
        else:
            value = value[:, ::2, ::2]
    return np.pad(value, ((0, 0), (0, 0), (0, 0), (0, shape[3] - value.shape[3])))


def result(layer: Layer, acc: np.ndarray, shortcut: Optional[np.ndarray] = None) -> Output:
    """What a hidden layer makes of its sums.

    Args:
        layer: the layer.
        acc: int64 (N, H, W, O), as `sums` gives them.
        shortcut: the value that it adds, (N, H, W, C).
    """
    value = None
    if layer.requantised:
        wide = _requantised(layer, acc) >> layer.shift
        if shortcut is not None:
            wide = wide + shortcut_of(layer, shortcut, wide.shape)
        acc = value = np.clip(wide, *layer.value_range).astype(np.int16)
    if layer.pool and value is not None:
        acc = value = max_pool(value)
    if layer.thresholds is None:
        assert value is not None
        return Output(_bits(value, layer.bits) if layer.bits else np.zeros((0, *value.shape), np.uint8), value)
    assert layer.flip is not None
    bits = np.stack([acc >= limits for limits in layer.limits])
    if layer.pool and value is None:
        bits = max_pool(bits)
    return Output((bits ^ layer.flip).astype(np.uint8), value)


def scores(layer: Layer, acc: np.ndarray) -> np.ndarray:
    """The last layer's scores int32 (N, O), in 32-bit two's complement, of its sums (N, 1, 1, O)."""
    wide = _requantised(layer, acc.astype(np.int64)).reshape(len(acc), layer.outputs)
    return np.asarray((wide & 0xFFFFFFFF).astype(np.uint32).view(np.int32))


def trace(model: Model, images: np.ndarray) -> Dict[str, np.ndarray]:
    """Every layer's output, by the specification.

    Args:
        model: the network.
        images: uint8 (N, H, W, C).

    Returns:
        Layer name to uint8 bits, (N, H, W, C) or (N, O) behind a dense layer or an average, (N, K, ...) of K >= 2
        planes; `<name>.value` to int16 values; for the last layer int32 scores (N, classes).

    Raises:
        ModelError: inconsistent model, or images of another shape.
    """
    shapes(model)
    check_images(model, images)
    given = {INPUT: Output(read_pixels(model, images))}
    found: Dict[str, np.ndarray] = {}
    for index, layer in enumerate(model.layers):
        source = given[layer.inputs[0]]
        if layer.kind == "average":
            acc = _map_sums(source.value)
        else:
            acc = sums(layer, source.planes, index == 0 and model.eight_bit_input)
        if index == len(model.layers) - 1:
            found[layer.name] = scores(layer, acc)
            break
        output = result(layer, acc, given[layer.inputs[1]].value if len(layer.inputs) > 1 else None)
        given[layer.name] = output
        for name, array in ((layer.name, np.moveaxis(output.planes, 0, 1)), (f"{layer.name}.value", output.value)):
            if array is not None and array.size:
                flat = array if layer.kind == "conv" else array.reshape(*array.shape[:-3], array.shape[-1])
                found[name] = flat[:, 0] if name == layer.name and layer.planes == 1 else flat
    return found


class _Product(NamedTuple):
    """A layer's passes as one product of matrices: products + bias are the sums of 8-bit pixels, and twice the sums
    of bits, for a product of +-1 is matches less mismatches."""

    matrix: np.ndarray  # (inputs, O), in a type that keeps every partial sum exact
    bias: np.ndarray  # int64 (O,)
    eight_bit: bool


def _product(layer: Layer, planes: int, eight_bit: bool) -> _Product:
    coefficients = layer.coefficients
    if coefficients is None:
        total = int(layer.base_factors.sum() * layer.plane_factors(planes).sum())
        totals, greatest = np.full(layer.outputs, total, np.int64), total
    else:
        totals = coefficients.astype(np.int64).sum((1, 2))
        greatest = int(np.abs(coefficients.astype(np.int64)).sum((1, 2)).max())
    reach = layer.fan_in * greatest * (128 if eight_bit else 1)
    dtype = np.float32 if reach <= 1 << 24 else np.float64
    signs = (2 * weights.astype(dtype) - 1 for weights in layer.base_weights)
    if coefficients is None:
        rows = sum(dtype(factor) * base for factor, base in zip(layer.base_factors, signs))
    else:  # planes side by side: within a tap, or of whole maps
        axis = 3 if layer.kind == "conv" else 1
        shape = (layer.outputs, planes, *(1 for _ in layer.base_weights.shape[2:]))
        rows = sum(
            np.moveaxis(coefficients[:, m].reshape(shape).astype(dtype) * base[:, None], 1, axis)
            for m, base in enumerate(signs)
        )
    matrix = np.ascontiguousarray(rows.reshape(layer.outputs, -1).T)
    return _Product(matrix, np.zeros_like(totals) if eight_bit else layer.fan_in * totals, eight_bit)


def _patches(maps: np.ndarray, kernel: int, stride: int) -> np.ndarray:
    """(N, H, W, C) to (N, rows, columns, kernel * kernel * C), taps row-major."""
    rows, columns = maps.shape[1] - kernel + 1, maps.shape[2] - kernel + 1
    taps = [
        maps[:, ky : ky + rows : stride, kx : kx + columns : stride] for ky in range(kernel) for kx in range(kernel)
    ]
    return np.concatenate(taps, axis=3)


def _products(layer: Layer, planes: np.ndarray, product: _Product) -> np.ndarray:
    """Products (N, H, W, O) of the signs of bits, or of pixels' values, (K, N, H, W, C)."""
    operands = list(planes)
    if layer.kind == "dense":
        operands = [maps.reshape(len(maps), 1, 1, -1) for maps in operands]
    elif layer.pad:
        pads = [0] if product.eight_bit else [2 * bit - 1 for bit in _pad_bits(layer, len(planes))]
        operands = [_pad(maps, layer.pad, pad) for maps, pad in zip(operands, pads)]
    if layer.coefficients is not None:
        joined = np.concatenate(operands, axis=3)
    else:
        joined = operands[0]
        if len(operands) > 1:
            factors = layer.plane_factors(len(operands)).astype(np.float32)
            joined = sum(factor * maps for factor, maps in zip(factors, operands))
    if layer.kind == "conv":
        joined = _patches(joined, layer.kernel, layer.stride)
    rows = joined.reshape(-1, joined.shape[3]).astype(product.matrix.dtype, copy=False)
    return np.asarray((rows @ product.matrix).reshape(*joined.shape[:3], layer.outputs))


def _exact(found: np.ndarray, product: _Product) -> np.ndarray:
    """The sums, int64, of products."""
    wide = found.astype(np.int64) + product.bias
    return np.asarray(wide if product.eight_bit else wide >> 1)


def _signs(bits: np.ndarray) -> np.ndarray:
    return np.where(bits, np.float32(1), np.float32(-1))


def _fast_bits(layer: Layer, found: np.ndarray, product: _Product) -> np.ndarray:
    """As `result` for a layer with thresholds on the sums, of products."""
    assert layer.flip is not None
    limits = layer.limits.astype(np.int64) * (1 if product.eight_bit else 2) - product.bias
    bits = np.stack([found >= row for row in limits.astype(found.dtype)])
    return np.asarray((max_pool(bits) if layer.pool else bits) ^ layer.flip)


def _infer_batch(
    model: Model, images: np.ndarray, products: Dict[str, _Product], last_reader: Dict[str, str]
) -> np.ndarray:
    pixels = read_pixels(model, images)
    signs = {INPUT: pixels.astype(np.float32) if model.eight_bit_input else _signs(pixels)}
    values: Dict[str, Optional[np.ndarray]] = {}
    for layer in model.layers:
        name, (source, *added) = layer.name, layer.inputs
        shortcut = values[added[0]] if added else None
        if layer.kind == "average":
            output = result(layer, _map_sums(values[source]))
        else:
            product = products[name]
            found = _products(layer, signs[source], product)
            if layer is model.layers[-1]:
                return scores(layer, _exact(found, product))
            if layer.requantised:
                output = result(layer, _exact(found, product), shortcut)
            else:
                output = Output(_fast_bits(layer, found, product))
        signs[name], values[name] = _signs(output.planes), output.value
        for used in set(layer.inputs):
            if last_reader[used] == name:
                signs.pop(used, None)
                values.pop(used, None)
    raise ModelError("layers: there is no last one, expected scores")


def _batch_size(model: Model) -> int:
    """Images whose largest patch matrix takes PATCH_BYTES."""
    shapes(model)
    largest = max(4 * item.convolved[0] * item.convolved[1] * item.fan_in * item.planes for item in walk(model))
    return max(1, min(1024, PATCH_BYTES // max(1, largest)))


def infer(model: Model, images: np.ndarray) -> np.ndarray:
    """Scores, equal to those of `trace`, fast.

    Args:
        model: the network.
        images: uint8 (N, H, W, C).

    Returns:
        int32 (N, classes).

    Raises:
        ModelError: inconsistent model, or images of another shape.
    """
    batch = _batch_size(model)
    check_images(model, images)
    products = {
        layer.name: _product(layer, model.planes_into(layer), layer is model.layers[0] and model.eight_bit_input)
        for layer in model.layers
        if layer.kind != "average"
    }
    last_reader = {name: layer.name for layer in model.layers for name in layer.inputs}
    found = np.zeros((len(images), len(model.classes)), np.int32)
    for start in range(0, len(images), batch):
        found[start : start + batch] = _infer_batch(model, images[start : start + batch], products, last_reader)
    return found
