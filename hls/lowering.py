"""Lowering: a model's layers as array layers, the maps between them, and who keeps them how (docs/ARCHITECTURE.md).

An array layer is one descriptor: one of the model's, or one that only moves a value. What of the first layer the engine
of 8-bit pixels does not do runs on the array, from planes of pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from bnn.contract import (
    FIRST_CHANNELS,
    FIRST_TAPS,
    FIRST_VALUES,
    MAX_HAND_OVERS,
    VALUE_BITS,
    CoefficientHeader,
    Field,
    FirstBeat,
    ScoreHeader,
    ThresholdHeader,
    VectorHeader,
)
from bnn.geometry import Shape, ceil_div, walk
from bnn.layers import INPUT, Layer, Model
from bnn.rules import MAX_FAN_IN
from hls.designs import Design, DesignError

NEVER = 0, 1 << VALUE_BITS
"""The words of `VectorHeader` for an output that there is not: a threshold that no value reaches."""


@dataclass(frozen=True)
class Map:
    """An activation map as it lies in memory: records of planes and a value, by pixel or by image.

    `words` are those of a plane, `record` those of a pixel; a packed image is one record of all its elements.
    """

    name: str
    shape: Shape
    planes: int
    valued: bool
    by_image: bool
    words: int
    record: int
    row_stride: int
    image_stride: int
    from_first: bool = False

    @property
    def value_word(self) -> int:
        """First word of the value in the record."""
        return self.planes * self.words

    @property
    def packed(self) -> bool:
        """Whether it is a packed image."""
        return self.row_stride == 0

    def region_words(self, images: int, lanes: int) -> int:
        """Words of every lane that the map takes for some images."""
        return (ceil_div(images, lanes) if self.by_image else images) * self.image_stride


class Passes(NamedTuple):
    """The order of a layer's passes, and the coefficient of every hand-over, int64 (H, O)."""

    planes_outer: bool
    hand: int
    coefficients: np.ndarray


@dataclass(frozen=True, eq=False)
class Stage:
    """One array layer.

    `weights` are uint8 (M, O, rows, columns, C) over the taps; those of an average are (1, O, 0, 0, 0). `headers` are
    a group's header words by output, int64 (words, O), `absent` those of outputs that there are not.
    """

    name: str
    layer: Layer
    source: str
    weights: np.ndarray
    kind: str
    pad: int = 0
    pad_value: int = 0
    pool: bool = False
    stride: int = 1
    shortcut: str = ""
    average_shortcut: bool = False
    moves: bool = False
    scores: bool = False
    vector: bool = False
    planes_outer: bool = False
    hand: int = 0
    thresholds: int = 0
    bit_planes: int = 0
    value: bool = False
    value_bits: int = 0
    shift: int = 0
    headers: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    absent: tuple[int, ...] = ()

    @property
    def outputs(self) -> int:
        """Output channels."""
        return int(self.weights.shape[1])

    @property
    def bases(self) -> int:
        """M."""
        return int(self.weights.shape[0])

    @property
    def planes(self) -> int:
        """Planes that it gives."""
        return self.bit_planes or self.thresholds

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the maps that it reads."""
        return tuple(name for name in (self.source, self.shortcut) if name)


@dataclass(frozen=True)
class Lowered:
    """A model on a design: array layers in order, their maps by name, and what the first layer does.

    `engine`: the engine of 8-bit pixels gives the first map; else that has `input_planes` planes of pixels, or for 0
    one of their signs.
    """

    stages: tuple[Stage, ...]
    maps: dict[str, Map]
    engine: bool
    input_planes: int
    by_image: tuple[bool, ...]

    @property
    def split(self) -> int:
        """The first array layer by image."""
        return self.by_image.index(True)


def _error(layer: Layer, what: str) -> DesignError:
    return DesignError(f"layer {layer.name}: {what}")


def _rows(layer: Layer, fields: dict[Field, np.ndarray]) -> list[np.ndarray]:
    """Header words of fields, int64 (O,) each; values that do not fit are refused."""
    words: dict[int, np.ndarray] = {}
    for item, values in fields.items():
        if values.size and not item.least <= values.min() <= values.max() <= item.largest:
            raise _error(
                layer,
                f"{item.name}s of {values.min()} to {values.max()}, the program holds {item.least} to {item.largest}",
            )
        words[item.word] = words.get(item.word, np.zeros(layer.outputs, np.int64)) | item.insert(
            values.astype(np.int64)
        )
    return [words[number] for number in sorted(words)]


def _passes(layer: Layer, factors: np.ndarray, fan_in: int) -> Passes:
    """The order with the fewest hand-overs: passes of one coefficient go on in the accumulators.

    Args:
        layer: for the message.
        factors: coefficients, int64 (O, M, N).
        fan_in: of a pass.
    """
    _, bases, planes = factors.shape
    along = {0: (1, 2), 1: (2,), 2: (1,)}  # axes of the passes that go on: all, over planes, over bases
    found = [Passes(False, 2, np.moveaxis(factors, 0, -1).reshape(bases * planes, -1))]
    for way, axes in along.items():
        least, most = factors.min(axes, keepdims=True), factors.max(axes, keepdims=True)
        going = int(np.prod([factors.shape[axis] for axis in axes]))
        if (least == most).all() and fan_in * going <= MAX_FAN_IN:
            found.append(Passes(way == 2, 0 if way == 0 else 1, np.moveaxis(most, 0, -1).reshape(-1, layer.outputs)))
    return min(found, key=lambda item: (len(item.coefficients), item.hand))


class _Sums(NamedTuple):
    """A layer's sums as passes: U = Σ factors · acc - bias, with factors (O, M, N) and bias (O,), both int64."""

    factors: np.ndarray
    bias: np.ndarray
    fan_in: int


def _sums(layer: Layer, planes: int, pixels: bool) -> _Sums:
    """The sums of a layer of `planes` planes; `pixels`: they are those of 8-bit pixels, most significant first."""
    if layer.coefficients is not None:
        factors = layer.coefficients.astype(np.int64)
    else:
        powers = np.outer(layer.base_factors, layer.plane_factors(1 if pixels else planes))
        factors = np.broadcast_to(powers, (layer.outputs, *powers.shape)).astype(np.int64)
        if layer.scale is not None:
            factors = factors * layer.scale.astype(np.int64)[:, None, None]
    bias = np.zeros(layer.outputs, np.int64)
    if pixels:
        signs = (2 * layer.base_weights.astype(np.int64) - 1).reshape(layer.bases, layer.outputs, -1).sum(2)
        half = ((1 << planes) - 1) * layer.fan_in + signs  # even: twice what the matches exceed the sums by
        bias = (factors[:, :, 0] * (half // 2).T).sum(1)
        factors = factors * (1 << np.arange(planes - 1, -1, -1, dtype=np.int64))
    return _Sums(factors, bias, layer.fan_in)


def _result(layer: Layer, sums: _Sums, scores: bool, forced: bool, valued: bool) -> dict[str, Any]:
    """The fields of a stage that say what leaves the accumulators, and how.

    Args:
        layer: the model's layer.
        sums: its sums.
        scores: whether it gives the scores.
        forced: it needs the vector unit, whatever it gives.
        valued: whether the value is read.
    """
    order = _passes(layer, sums.factors, sums.fan_in)
    if len(order.coefficients) > MAX_HAND_OVERS:
        raise _error(
            layer, f"{len(order.coefficients)} passes of different coefficients, the vector unit takes {MAX_HAND_OVERS}"
        )
    several = len(order.coefficients) > 1
    hidden_value = layer.requantised and not scores
    count = len(layer.limits)
    if not (several or hidden_value or count > 1 or forced):
        fields: dict[Field, np.ndarray] = {}
        absent: tuple[int, ...] = (0, 0)
        if layer.offset is not None:
            fields = {ScoreHeader.offset: layer.offset, ScoreHeader.scale: order.coefficients[0]}
        elif layer.flip is not None:
            fields = {ThresholdHeader.threshold: layer.limits[0], ThresholdHeader.flip: layer.flip}
            absent = (ThresholdHeader.threshold.largest,)
        return {"headers": np.stack(_rows(layer, fields)), "absent": absent, "planes_outer": order.planes_outer}
    rows = [_rows(layer, {CoefficientHeader.coefficient: row})[0] for row in order.coefficients]
    none = np.zeros(layer.outputs, np.int64)
    flip = none if layer.flip is None else layer.flip
    limits = layer.limits if count else none[None]
    for limit in limits:
        offset, at = (-limit.astype(np.int64), none) if layer.offset is None else (layer.offset, limit)
        fields = {VectorHeader.offset: offset - sums.bias, VectorHeader.limit: at, VectorHeader.flip: flip}
        rows += _rows(layer, fields)
    return {
        "headers": np.stack(rows),
        "absent": (0,) * len(order.coefficients) + NEVER * len(limits),
        "vector": True,
        "planes_outer": order.planes_outer,
        "hand": order.hand,
        "thresholds": count,
        "bit_planes": layer.bits if layer.bits and not count else 0,
        "value": valued,
        "value_bits": layer.bits,
        "shift": 0 if scores else layer.shift,
    }


def _why_vector(stage: Stage, pixels: bool, by_image: bool) -> str:
    """What of a stage needs the vector unit."""
    layer = stage.layer
    if layer.kind == "average":
        return "an average"
    if stage.moves or stage.shortcut:
        return f"a shortcut from {layer.inputs[1]}"
    if pixels:
        return "sums of 8-bit pixels that the first layer's engine does not give"
    if len(layer.limits) > 1:
        return f"{len(layer.limits)} planes by thresholds"
    if layer.requantised and not stage.scores:
        return "a value"
    if stage.stride == 2:
        return "stride 2"
    if by_image:
        return "a convolution whose input a dense layer or an average reads too"
    return f"passes with coefficients that differ, sums beyond {MAX_FAN_IN:,}, or planes of pixels"


class _Lowering:
    """Makes the stages of one model; see `lower`."""

    def __init__(self, model: Model, design: Design) -> None:
        self.model, self.design = model, design
        self.shapes = {item.name: item.output for item in walk(model)}
        self.shapes[INPUT] = (model.height, model.width, model.channels)
        self.planes = {layer.name: layer.planes for layer in model.layers}
        averages = {layer.inputs[0] for layer in model.layers if layer.kind == "average"}
        self.valued = averages | {layer.inputs[1] for layer in model.layers if len(layer.inputs) > 1}

    @property
    def first_valued(self) -> bool:
        """Whether the first layer's value is read."""
        return self.model.layers[0].name in self.valued

    def engine(self) -> bool:
        """Whether the engine of 8-bit pixels can run the first layer."""
        first, simd = self.model.layers[0], self.design.simd
        taps = first.kernel**2
        if not self.model.eight_bit_input or first.bases > 1 or (taps, first.stride) != (FIRST_TAPS, 1):
            return False
        whole = ceil_div(first.outputs, simd) * simd
        if self.first_valued:
            room = whole <= FIRST_VALUES and first.planes * whole <= FIRST_CHANNELS
            return self.design.vector and first.thresholds is not None and room
        return first.thresholds is not None and (first.planes - 1) * whole + first.outputs <= FIRST_CHANNELS

    def pixel_planes(self) -> int:
        """Planes of pixels that the first layer reads; 0: their signs."""
        first = self.model.layers[0]
        if not self.model.eight_bit_input:
            return first.input_bits
        table = self.model.input_table.astype(int)
        return max(2, *(int(max(value, -value - 1)).bit_length() + 1 for value in (table.min(), table.max())))

    def stage(self, layer: Layer, pixels: int, by_image: bool) -> Stage:
        """The array layer of one of the model's.

        Args:
            layer: the model's layer.
            pixels: planes of 8-bit pixels that it reads, 0 if it does not.
            by_image: whether it is a convolution by image.
        """
        source, scores = layer.inputs[0], layer is self.model.layers[-1]
        shortcut = layer.inputs[1] if len(layer.inputs) > 1 else ""
        planes = pixels or self.model.planes_into(layer)
        height, width, channels = self.shapes[source]
        if layer.kind == "average":
            assert layer.scale is not None or layer.thresholds is not None
            scale = np.ones(layer.outputs, np.int64) if layer.scale is None else layer.scale.astype(np.int64)
            sums = _Sums(scale[:, None, None], np.zeros(layer.outputs, np.int64), 0)
            weights = np.zeros((1, layer.outputs, 0, 0, 0), np.uint8)
            source, shortcut = "", source
        else:
            sums = _sums(layer, planes, pixels > 0)
            form = (layer.kernel, layer.kernel) if layer.kind == "conv" else (height, width)
            weights = layer.base_weights.reshape(layer.bases, layer.outputs, *form, channels)
        planed = source == INPUT and (pixels > 0 or layer.input_bits > 0)
        forced = planed or layer.kind == "average" or by_image or layer.stride == 2
        made = Stage(
            layer.name,
            layer,
            source,
            weights,
            layer.kind,
            layer.pad,
            0 if pixels else layer.pad_value,
            layer.pool,
            layer.stride,
            shortcut,
            layer.average_shortcut,
            scores=scores,
            **_result(layer, sums, scores, forced, layer.name in self.valued),
        )
        if made.vector and not self.design.vector:
            raise _error(
                layer,
                f"needs the vector unit ({_why_vector(made, pixels > 0, by_image)}), which design {self.design.name} "
                "does not have",
            )
        return made

    def mover(self, stage: Stage) -> Stage:
        """An array layer that shrinks the shortcut of a stage, which has stride 1."""
        channels = self.shapes[stage.shortcut][2]
        name = f"{stage.name}/shortcut"
        rows, columns, _ = self.shapes[stage.name]
        self.shapes[name] = (rows, columns, channels)
        self.planes[name] = 0
        self.valued.add(name)
        return Stage(
            name,
            stage.layer,
            stage.shortcut,
            np.ones((1, channels, 1, 1, channels), np.uint8),
            "conv",
            stride=2,
            shortcut=stage.shortcut,
            average_shortcut=stage.average_shortcut,
            moves=True,
            vector=True,
            value=True,
            headers=np.zeros((3, channels), np.int64),
            absent=(0, *NEVER),
        )

    def stages(self, pixels: int, by_image: frozenset[str] = frozenset()) -> list[Stage]:
        """The array layers in the order of the model, with the maps that lie by image."""
        first = self.model.layers[0]
        found: list[Stage] = []
        on_engine = self.model.eight_bit_input and not pixels
        for layer in self.model.layers[1:] if on_engine else self.model.layers:
            on_images = layer.kind == "conv" and layer.inputs[0] in by_image
            made = self.stage(layer, pixels if layer is first and self.model.eight_bit_input else 0, on_images)
            shrinks = made.shortcut and layer.kind != "average"
            if shrinks and layer.stride == 1 and self.shapes[made.shortcut][:2] != self.shapes[layer.name][:2]:
                found.append(self.mover(made))
                made = replace(made, shortcut=found[-1].name, average_shortcut=False)
            found.append(made)
        return found


class EngineLayer(NamedTuple):
    """The first layer as the engine of 8-bit pixels computes it: weights uint8 (O, 3, 3, C), thresholds on the sums
    int64 (K, O), flips bool (O,), scale and offset of the value int64 (O,), no scale below 0."""

    weights: np.ndarray
    limits: np.ndarray
    flip: np.ndarray
    scale: np.ndarray
    offset: np.ndarray


def engine_layer(layer: Layer) -> EngineLayer:
    """A layer with thresholds, on its sums or on a value, for the engine.

    Of an output with a negative scale the weights are inverted. So no value falls where its sum rises, and the sums
    that reach a threshold on the value are those from the least one on: it is found by trying all.
    """
    assert layer.flip is not None
    none = np.zeros(layer.outputs, np.int64)
    if layer.offset is None:
        return EngineLayer(layer.weights, layer.limits.astype(np.int64), layer.flip, none, none)
    given = layer.coefficients if layer.scale is None else layer.scale
    assert given is not None
    scale, offset = given.reshape(layer.outputs).astype(np.int64), layer.offset.astype(np.int64)
    weights = np.where(scale[:, None, None, None] < 0, 1 - layer.weights, layer.weights).astype(np.uint8)
    scale = np.abs(scale)
    most = layer.fan_in << VALUE_BITS - 1
    sums = np.arange(-most, most + 1)[:, None]
    values = np.clip((sums * scale + offset) >> layer.shift, *layer.value_range)
    limits = np.stack([(values < limit).sum(0) - most for limit in layer.limits])
    return EngineLayer(weights, np.where(limits > most, FirstBeat.threshold.largest, limits), layer.flip, scale, offset)


def _by_image(stages: list[Stage], wanted: frozenset[str]) -> frozenset[str]:
    """Names of the maps that must lie by image where those of `wanted` do.

    Dense layers and averages read by image; what reads one such map reads and writes by image only.
    """
    found = wanted.union(*(stage.inputs for stage in stages if stage.kind != "conv"))
    while True:
        grown = set(found)
        for stage in stages:
            if found.intersection(stage.inputs):
                grown.update(stage.inputs)
                grown.add(stage.name)
        if grown == found:
            return found
        found = frozenset(grown)


def make_map(
    name: str, shape: Shape, planes: int, valued: bool, by_image: bool, design: Design, packed: bool = False
) -> Map:
    """A map's place in memory; `packed`: an image whose elements lie without gaps."""
    height, width, channels = shape
    words = ceil_div(height * width * channels if packed else channels, design.simd)
    record = planes * words
    if valued:
        record += VALUE_BITS * words
    if packed:
        return Map(name, shape, planes, False, True, words, record, 0, record)
    row = (width if by_image else ceil_div(width, design.lanes)) * record
    return Map(name, shape, planes, valued, by_image, words, record, row, height * row)


def lower(model: Model, design: Design, wanted: frozenset[str] = frozenset()) -> Lowered:
    """The array layers of a consistent model.

    Args:
        model: the network.
        design: what it is to run on.
        wanted: names of layers whose outputs shall lie by image, beyond those that must.

    Raises:
        DesignError: a layer needs what the design or the program's format does not have.
    """
    first = model.layers[0]
    on_engine = _Lowering(model, design).engine()
    while True:
        lowering = _Lowering(model, design)
        pixels = 0 if on_engine else lowering.pixel_planes()
        by_image = _by_image(lowering.stages(pixels), wanted)
        if not (on_engine and first.name in by_image):
            break
        on_engine = False  # it writes by pixel
    stages = lowering.stages(pixels, by_image)
    source = first.name if on_engine else INPUT
    ways = {stage.name: bool(by_image.intersection(stage.inputs)) for stage in stages}
    stages.sort(key=lambda stage: ways[stage.name])  # what reads by image reads nothing that comes later
    packed = first.kind == "dense"
    planes = first.planes if on_engine else max(1, pixels)
    valued = on_engine and lowering.first_valued
    given = make_map(source, lowering.shapes[source], planes, valued, packed, design, packed)
    maps = {source: replace(given, from_first=True)}
    for stage in stages:
        if not stage.scores:
            by = stage.name in by_image
            planes = stage.planes if stage.vector else 1
            maps[stage.name] = make_map(stage.name, lowering.shapes[stage.name], planes, stage.value, by, design)
    return Lowered(tuple(stages), maps, on_engine, pixels, tuple(ways[stage.name] for stage in stages))
