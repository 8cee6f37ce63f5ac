"""What makes a model consistent, and the limits of hardware that it keeps to; every refusal names the layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Optional, Sequence, Tuple

import numpy as np

from bnn.contract import ACC_BITS, MAX_CHANNELS
from bnn.geometry import Shape, step
from bnn.layers import INPUT, Layer, Model, ModelError

KINDS = ("conv", "dense", "average")
KERNELS = (1, 3, 5)
MAX_FAN_IN = (1 << ACC_BITS) - 2
"""Matches of one plane with one base: a pass counts in ACC_BITS, and a threshold beyond the greatest count exists."""
MAX_BASES = 8
MAX_PLANES = 8
MAX_THRESHOLDS = 3
MAX_SUM = (1 << 24) - 1
"""Sums over the passes: with a sign they are 25 bits, the wider operand of the multiplier in a DSP48E1."""
MAX_SPAN = 8
"""Layers from that which gives a value to that which adds it."""
SHIFTS = tuple(range(0, 29, 4))
"""Right shifts of a value; of eight, a shifter takes two LUTs a bit."""
INT16 = np.iinfo(np.int16)


def expect(good: bool, where: str, what: str) -> None:
    """Refuse unless `good`.

    Raises:
        ModelError: `where` and `what`.
    """
    if not good:
        raise ModelError(f"{where}: {what}")


def _check_array(
    where: str, array: Optional[np.ndarray], shape: Tuple[int, ...], dtype: type, low: int = 0, high: int = 0
) -> None:
    wanted = f"expected {np.dtype(dtype).name} {shape}"
    if array is None:
        raise ModelError(f"{where}: missing, {wanted}")
    expect(array.dtype == dtype and array.shape == shape, where, f"is {array.dtype.name} {array.shape}, {wanted}")
    if low < high and array.size:
        expect(
            bool((array >= low).all() and (array <= high).all()),
            where,
            f"holds {array.min()} to {array.max()}, expected {low} to {high}",
        )


@dataclass(frozen=True)
class _Given:
    """What a layer, or the image, gives to those that read it."""

    index: int
    shape: Shape
    planes: int
    value: bool  # that can be added or averaged


def _check_exponents(where: str, exponents: Sequence[int], count: int, of: str) -> None:
    if exponents:
        steps = [left - right for left, right in zip(exponents, (*exponents[1:], 0))]
        expect(
            len(exponents) == count and set(steps) <= {0, 1} and exponents[-1] == 0,
            where,
            f"is {list(exponents)} for {count} {of}, expected as many, each 0 or 1 below the one before, the last 0",
        )


def _check_weights(where: str, layer: Layer, shape: Shape) -> None:
    """Kind, kernel, weights, stride and pad against the shape of the input."""
    height, width, channels = shape
    weights = layer.weights
    wanted = {
        "conv": f"(O, k, k, {channels}) with k of {', '.join(map(str, KERNELS))}",
        "dense": f"(O, {height * width * channels})",
        "average": f"({channels}, 0)",
    }[layer.kind]
    sizes = weights.shape[-(4 if layer.kind == "conv" else 2) :]
    good = weights.dtype == np.uint8 and len(sizes) == (4 if layer.kind == "conv" else 2) and 0 < sizes[0]
    if layer.kind == "conv":
        good = good and sizes[1:] == (sizes[1], sizes[1], channels) and sizes[1] in KERNELS
    elif layer.kind == "dense":
        good = good and sizes[1] == height * width * channels
    else:
        good = weights.dtype == np.uint8 and weights.shape == (channels, 0)
    axes = weights.shape[: weights.ndim - len(sizes)]
    good = good and (not axes or (len(axes) == 1 and 2 <= axes[0] <= MAX_BASES and layer.kind != "average"))
    expect(
        bool(good),
        f"{where}.weights",
        f"are {weights.dtype.name} {weights.shape}, expected uint8 {wanted}, behind 2 to {MAX_BASES} bases if there "
        "are several",
    )
    expect(bool((weights <= 1).all()), f"{where}.weights", "must be 0 or 1")
    expect(layer.fan_in <= MAX_FAN_IN, where, f"fan-in is {layer.fan_in}, expected at most {MAX_FAN_IN}")
    if layer.kind != "conv":
        what = "an average" if layer.kind == "average" else "a dense layer"
        expect(layer.pad == 0 and not layer.pool, where, f"{what} has no pad and no pool")
        expect(layer.stride == 1, where, f"stride is {layer.stride}, expected 1 as of {what}")
        return
    expect(0 <= layer.pad <= layer.kernel // 2, where, f"pad is {layer.pad}, expected 0 to {layer.kernel // 2}")
    expect(layer.stride in (1, 2), where, f"stride is {layer.stride}, expected 1 or 2")
    expect(layer.stride == 1 or not layer.pool, where, "has stride 2 and a pool, expected one of them")


def _check_input(where: str, model: Model, layer: Layer) -> None:
    """The pixels as the first layer reads them."""
    bits = layer.input_bits
    expect(bits == 0 or 2 <= bits <= MAX_PLANES, where, f"input_bits is {bits}, expected 0 or 2 to {MAX_PLANES}")
    if bits:
        least, most = int(model.input_table.min()), int(model.input_table.max())
        expect(
            -(1 << bits - 1) <= least and most < 1 << bits - 1,
            "input_table",
            f"holds {least} to {most}, expected {-(1 << bits - 1)} to {(1 << bits - 1) - 1} for {bits} planes",
        )
    expect(
        layer.kind != "dense" or bits > 0 or model.binary_input,
        where,
        "a first dense layer needs a -1 and +1 table, or input_bits",
    )
    expect(layer.kind != "average", where, "an average cannot read the image")


def _check_inputs(where: str, layer: Layer, index: int, given: Dict[str, _Given]) -> _Given:
    """The layers that a layer reads; gives the first."""
    names = list(layer.inputs)
    if index == 0:
        expect(names == [INPUT], where, f"inputs are {names}, expected ['{INPUT}'] of the first layer")
        return given[INPUT]
    most = 1 if layer.kind == "average" else 2
    expect(1 <= len(names) <= most, where, f"inputs are {names}, expected one{' or two' * (most - 1)}")
    for name in names:
        expect(name in given and name != INPUT, where, f"input '{name}' is no layer before it, expected one")
    source = given[names[0]]
    if layer.kind == "average":
        expect(source.value, where, f"averages {names[0]}, expected a layer with a value of at most 7 bits and sign")
    else:
        expect(source.planes > 0, where, f"reads {names[0]}, expected a layer with planes")
    return source


def _check_shortcut(where: str, layer: Layer, index: int, shape: Shape, given: Dict[str, _Given]) -> None:
    if len(layer.inputs) < 2:
        expect(not layer.average_shortcut, where, "average_shortcut is set, expected a shortcut with it")
        return
    name = layer.inputs[1]
    source = given[name]
    expect(layer.requantised, where, f"has a shortcut from {name}, expected a value to add it to")
    expect(not layer.pool, where, f"has a pool and a shortcut from {name}, expected one of them")
    expect(source.value, where, f"adds {name}, expected a layer with a value of at most 7 bits and sign")
    span = index - source.index
    expect(span <= MAX_SPAN, where, f"adds {name} of {span} layers before, expected at most {MAX_SPAN}")
    (rows, columns, channels), got = shape, source.shape
    same = got[:2] == (rows, columns)
    halved = ((got[0] + 1) // 2, (got[1] + 1) // 2) == (rows, columns)
    expect(
        (same or halved) and got[2] <= channels,
        where,
        f"adds {name} of {got}, expected {rows}x{columns} or twice that, and at most {channels} channels",
    )
    if layer.average_shortcut:
        expect(
            not same and got[0] % 2 == 0 and got[1] % 2 == 0,
            where,
            f"averages {name} of {got[0]}x{got[1]}, expected {2 * rows}x{2 * columns}",
        )


def _greatest_sum(model: Model, layer: Layer, index: int, source: _Given) -> int:
    """Bound of the sums' magnitude, before coefficients of the layer's own."""
    if layer.kind == "average":
        return source.shape[0] * source.shape[1] * 128
    if index == 0 and model.eight_bit_input:
        return layer.fan_in * int(np.abs(model.input_table.astype(int)).max()) * int(layer.base_factors.sum())
    return layer.fan_in * int(layer.base_factors.sum()) * int(layer.plane_factors(source.planes).sum())


def _check_sums(where: str, model: Model, layer: Layer, index: int, source: _Given, last: bool) -> None:
    """Coefficients, and what the sums can reach."""
    eight_bit = index == 0 and model.eight_bit_input
    _check_exponents(f"{where}.base_shifts", layer.base_shifts, layer.bases, "bases")
    _check_exponents(f"{where}.plane_shifts", layer.plane_shifts, 1 if eight_bit else source.planes, "planes")
    if layer.kind == "average":
        expect(not layer.plane_shifts and layer.coefficients is None, where, "an average has no coefficients")
    if layer.coefficients is not None:
        expect(
            layer.requantised and layer.scale is None,
            where,
            "has coefficients, expected an offset and no scale with them",
        )
        expect(not layer.base_shifts + layer.plane_shifts, where, "has coefficients and exponents, expected one")
        _check_array(
            f"{where}.coefficients",
            layer.coefficients,
            (layer.outputs, layer.bases, source.planes),
            np.int32,
            INT16.min,
            INT16.max,
        )
        return
    most = MAX_SUM
    if not layer.requantised:
        most = INT16.max - 1 if eight_bit or layer.kind == "average" else MAX_FAN_IN
    bound = _greatest_sum(model, layer, index, source)
    advice = "" if most == MAX_SUM else " with thresholds on them, or a value: scale 1, offset -T, threshold 0"
    expect(bound <= most, where, f"sums reach {bound}, expected at most {most}{advice}")


def _check_result(where: str, layer: Layer, signed: bool, last: bool) -> None:
    """Thresholds, value or scores."""
    outputs = (layer.outputs,)
    thresholds = layer.thresholds
    expect(0 <= layer.bits <= MAX_PLANES, where, f"bits is {layer.bits}, expected 0 to {MAX_PLANES}")
    if last:
        expect(thresholds is None, f"{where}.thresholds", "the last layer has none")
        expect(layer.flip is None or not layer.flip.any(), f"{where}.flip", "the last layer has none")
        expect(layer.bits == 0 and len(layer.inputs) == 1, where, "the last layer has no bits and no shortcut")
    elif thresholds is not None:
        count = 1 if thresholds.ndim < 2 else thresholds.shape[0]
        expect(
            1 <= count <= MAX_THRESHOLDS,
            f"{where}.thresholds",
            f"are {count} per output, expected 1 to {MAX_THRESHOLDS}",
        )
        shape = outputs if thresholds.ndim < 2 else (max(2, count), *outputs)
        low, high = (INT16.min, INT16.max) if signed else (0, MAX_FAN_IN + 1)
        if layer.requantised:
            low, high = layer.value_range[0], layer.value_range[1] + 1
        _check_array(f"{where}.thresholds", thresholds, shape, np.int32, low, high)
        _check_array(f"{where}.flip", layer.flip, outputs, np.bool_)
    else:
        expect(layer.requantised, f"{where}.thresholds", f"missing, expected int32 {outputs}, or an offset")
        expect(layer.flip is None or not layer.flip.any(), f"{where}.flip", "is set, expected thresholds with it")
    if not layer.requantised and not last:
        expect(layer.scale is None and layer.bits == 0, where, "has scale or bits, expected an offset with them")
        return
    if layer.coefficients is None:
        _check_array(f"{where}.scale", layer.scale, outputs, np.int32, INT16.min, INT16.max)
    _check_array(f"{where}.offset", layer.offset, outputs, np.int32)
    expect(last or layer.shift in SHIFTS, where, f"shift is {layer.shift}, expected one of {SHIFTS}")


def shapes(model: Model) -> Dict[str, Shape]:
    """Check the model and give each layer's output (H, W, C); (1, 1, O) for dense layers and averages.

    Raises:
        ModelError: names the layer, what it has and what was expected.
    """
    expect(model.height > 0 and model.width > 0, "image", "height and width must be positive")
    expect(
        1 <= model.channels <= MAX_CHANNELS or bool(model.layers and model.layers[0].kind == "dense"),
        "image",
        f"has {model.channels} channels, expected 1 to {MAX_CHANNELS}",
    )
    _check_array("input_table", model.input_table, (256,), np.int8)
    expect(bool(model.layers), "layers", "there are none")
    image = (model.height, model.width, model.channels)
    given = {INPUT: _Given(-1, image, max(1, model.layers[0].input_bits), False)}
    flat = ""
    for index, layer in enumerate(model.layers):
        last = index == len(model.layers) - 1
        where = f"layer {layer.name}"
        expect(bool(layer.name) and "/" not in layer.name, where, "name is empty or holds a slash")
        expect(not layer.name.endswith(".value"), where, "name ends with .value, which traces call values by")
        expect(layer.name not in given, where, "name is taken")
        expect(layer.kind in KINDS, where, f"kind is '{layer.kind}', expected {', '.join(KINDS)}")
        source = _check_inputs(where, layer, index, given)
        if index == 0:
            _check_input(where, model, layer)
        else:
            expect(layer.input_bits == 0, where, f"input_bits is {layer.input_bits}, expected 0 but in the first layer")
        _check_weights(where, layer, source.shape)
        eight_bit = index == 0 and model.eight_bit_input
        if layer.kind == "conv":
            expect(not flat, where, f"is a convolution behind {flat}, expected only dense layers behind it")
            values = (0,) if eight_bit else (-1, 1) if source.planes == 1 else (-1, 0, 1)
            expect(
                layer.pad_value in values or not layer.pad, where, f"pad_value is {layer.pad_value}, expected {values}"
            )
        else:
            flat = flat or layer.name
        shape = step(layer, source.shape).output
        expect(min(shape) > 0, where, f"input {source.shape[0]}x{source.shape[1]} is too small")
        expect(not last or layer.kind == "dense", where, "the last layer must be dense")
        _check_result(where, layer, eight_bit or layer.kind == "average", last)
        _check_sums(where, model, layer, index, source, last)
        _check_shortcut(where, layer, index, shape, given)
        expect(
            not last or layer.outputs == len(model.classes),
            where,
            f"{layer.outputs} outputs for {len(model.classes)} classes",
        )
        given[layer.name] = _Given(index, shape, layer.planes, layer.requantised and layer.bits < MAX_PLANES)
    read = {name for layer in model.layers for name in layer.inputs}
    for layer in model.layers[:-1]:
        expect(layer.name in read, f"layer {layer.name}", "is read by no layer, expected one that reads it")
    del given[INPUT]
    return {name: item.shape for name, item in given.items()}
