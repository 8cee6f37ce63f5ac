"""Planning: sub-batches, activation memory and one descriptor per array layer (docs/ARCHITECTURE.md)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from bnn.contract import FIRST_CHANNELS, MAX_BATCH, MAX_CHANNELS, Descriptor
from bnn.geometry import Shape, ceil_div, step, walk
from bnn.layers import require
from bnn.model import Layer, Model, shapes
from hls import cycles
from hls.designs import Design, DesignError


class Sizes(NamedTuple):
    """How a run is cut.

    `sub_batch` images go through the first `segment_a` array layers at a time, `batch`, a multiple of it, through the
    others. Without others both are the same.
    """

    sub_batch: int
    batch: int
    segment_a: int


@dataclass(frozen=True)
class Region:
    """A piece of the activation memory: `words` words of every lane from `base` on."""

    name: str
    base: int
    words: int


@dataclass(frozen=True)
class FirstLayer:
    """The first-layer engine's part of the header. `channels` is 0 in pack mode."""

    channels: int
    pad: bool
    pool: bool
    rows: int
    columns: int
    base: tuple[int, int]
    image_stride: int
    row_stride: int
    words: int


@dataclass(frozen=True)
class Plan:
    """A model placed on a design: batch sizes, memory regions, the first layer and the descriptors."""

    model: Model
    design: Design
    sub_batch: int
    batch: int
    segment_a: int
    first: FirstLayer
    descriptors: tuple[Descriptor, ...]
    regions: tuple[Region, ...]

    @cached_property
    def words_a(self) -> int:
        """Weight words of segment A."""
        return sum(layer.weight_words for layer in self.descriptors[: self.segment_a])

    @cached_property
    def words_b(self) -> int:
        """Weight words of segment B."""
        return sum(layer.weight_words for layer in self.descriptors[self.segment_a :])

    @cached_property
    def resident(self) -> bool:
        """Whether all weights stay in the weight memory."""
        return self.words_a + self.words_b <= self.design.weight_depth

    def array_layers(self) -> tuple[Layer, ...]:
        """The model's layers that run on the array, in the order of `descriptors`."""
        return _array_layers(self.model)

    def layer_cycles(self, index: int) -> int:
        """Array cycles of layer `index` for one whole batch."""
        layer, lanes = self.descriptors[index], self.design.lanes
        if index < self.segment_a:
            return self.batch // self.sub_batch * cycles.array_cycles(layer, self.sub_batch, lanes)
        return cycles.array_cycles(layer, self.batch, lanes)

    def run_cycles(self, images: int, keep: bool = False, latency: int = 40, bytes_per_second: float = 1e9) -> int:
        """Cycles of one run of `images` images, see `hls.cycles.run_cycles`."""
        return cycles.run_cycles(self, images, keep, latency, bytes_per_second)

    def batch_cycles(self) -> int:
        """Estimated cycles of a run of one full batch."""
        return self.run_cycles(self.batch)


def _array_layers(model: Model) -> tuple[Layer, ...]:
    return model.layers[1:] if model.layers[0].kind == "conv" else model.layers


@dataclass(frozen=True)
class _Map:
    """An activation map as it lies in memory: by pixel, or flattened by image."""

    shape: Shape
    by_image: bool
    words: int  # per pixel
    row_stride: int
    image_stride: int

    def region_words(self, images: int, lanes: int) -> int:
        return (ceil_div(images, lanes) if self.by_image else images) * self.image_stride


def _map(shape: Shape, by_image: bool, design: Design, elements: int | None = None) -> _Map:
    height, width, channels = shape
    words = ceil_div(channels if elements is None else elements, design.simd)
    if elements is not None:
        return _Map(shape, True, words, 0, words)
    row = (width if by_image else ceil_div(width, design.lanes)) * words
    return _Map(shape, by_image, words, row, height * row)


def _check(model: Model, design: Design) -> None:
    """Refuse what no batch size can make fit."""
    if model.height * model.width > design.image_pixels:
        raise DesignError(
            f"image: {model.height}x{model.width} pixels do not fit IMAGE_PIXELS={design.image_pixels} of {design.name}"
        )
    if model.channels > MAX_CHANNELS:
        raise DesignError(f"image: {model.channels} channels, at most {MAX_CHANNELS} are supported")
    first = model.layers[0]
    if first.kind == "dense" and not model.binary_input:
        raise DesignError(
            f"{first.name}: a dense first layer on 8-bit pixels is not supported, "
            "the input table must hold -1 and +1 only"
        )
    if first.kind == "conv":
        if first.outputs > FIRST_CHANNELS:
            raise DesignError(
                f"{first.name}: {first.outputs} output channels, the first layer has at most {FIRST_CHANNELS}"
            )
        if model.layers[1].kind == "dense":
            raise DesignError(
                f"{model.layers[1].name}: a dense layer right after the first convolution "
                f"{first.name} is not supported, at least two convolutions are needed"
            )
    count = len(_array_layers(model))
    if count > design.max_layers:
        raise DesignError(
            f"{model.name}: {count} array layers do not fit MAX_LAYERS={design.max_layers} of {design.name}"
        )


def _maps(model: Model, design: Design) -> list[_Map]:
    """The input map of every array layer, in order."""
    shape_of = shapes(model)
    maps: list[_Map] = []
    if model.layers[0].kind == "dense":
        shape = (model.height, model.width, model.channels)
        maps.append(_map(shape, True, design, model.height * model.width * model.channels))
    for layer, following in zip(model.layers[:-1], model.layers[1:], strict=True):
        maps.append(_map(shape_of[layer.name], following.kind == "dense", design))
    return maps


def _allocate(sizes: dict[str, tuple[int, int, int]]) -> tuple[Region, ...]:
    """First-fit placement. `sizes` gives words, and the first and last layer at which a region is live."""
    placed: list[tuple[Region, int, int]] = []
    for name, (words, start, end) in sorted(sizes.items(), key=lambda item: (-item[1][0], item[0])):
        busy = sorted(
            (region.base, region.base + region.words)
            for region, first, last in placed
            if first <= end and start <= last
        )
        base = 0
        for low, high in busy:
            if base + words <= low:
                break
            base = max(base, high)
        placed.append((Region(name, base, words), start, end))
    return tuple(sorted((region for region, _, _ in placed), key=lambda region: (region.base, region.name)))


def _place(
    model: Model, design: Design, maps: list[_Map], sub_batch: int, batch: int, segment_a: int
) -> tuple[tuple[Region, ...], int]:
    """The regions and the depth they take; region `name` is the input of the layer `name`."""
    layers = _array_layers(model)
    total = len(layers)
    sizes: dict[str, tuple[int, int, int]] = {}
    words = maps[0].region_words(sub_batch, design.lanes)
    for parity in ("even", "odd"):
        sizes[f"first.{parity}"] = (words, 0, total)
    for index in range(1, total):
        images = sub_batch if index < segment_a else batch
        start = 0 if index == segment_a else index - 1
        sizes[layers[index].name] = (maps[index].region_words(images, design.lanes), start, index)
    regions = _allocate(sizes)
    return regions, max(region.base + region.words for region in regions)


def _descriptor(layer: Layer, source: _Map, dest: _Map | None, design: Design) -> Descriptor:
    """The descriptor of a layer but for its place in the memory and in the order of layers."""
    made = Descriptor(
        scores=dest is None,
        groups=ceil_div(layer.outputs, design.pe),
        source_image_stride=source.image_stride,
        dest_image_stride=dest.image_stride if dest else 0,
        dest_row_stride=dest.row_stride if dest else 0,
        dest_words=dest.words if dest else 0,
        outputs=layer.outputs,
    )
    height, width, channels = source.shape
    if layer.kind == "conv":
        made.kernel3, made.pad, made.pool = True, bool(layer.pad), layer.pool
        made.pad_one = made.pad and layer.pad_value > 0
        made.serial = dest is not None and dest.by_image
        made.rows, made.columns = step(layer, source.shape).computed
        made.height, made.width = height, width
        made.tap_words, made.source_row_stride, taps = source.words, source.row_stride, 9
        made.out_columns = made.columns // 2 if layer.pool else made.columns
    else:
        made.dense = True
        made.rows, made.columns, made.height, made.width = 1, design.lanes, 1, design.lanes
        made.tap_words, taps, made.out_columns = source.image_stride, 1, design.lanes
        if source.row_stride == 0:
            channels *= height * width  # packed without gaps
    made.blocks = ceil_div(made.columns, design.lanes)
    made.group_words = taps * made.tap_words
    made.last_bits = (channels - 1) % design.simd + 1
    if made.group_words + made.headers > design.weight_depth:
        raise DesignError(
            f"{layer.name}: a group of {made.group_words + made.headers} words "
            f"does not fit WEIGHT_DEPTH={design.weight_depth} of {design.name}"
        )
    return made


def _build(
    model: Model,
    design: Design,
    maps: list[_Map],
    sub_batch: int,
    batch: int,
    segment_a: int,
    regions: tuple[Region, ...],
) -> Plan:
    base = {region.name: region.base for region in regions}
    layers = _array_layers(model)
    double = (base["first.even"], base["first.odd"])
    descriptors = []
    for index, layer in enumerate(layers):
        last = index == len(layers) - 1
        made = _descriptor(layer, maps[index], None if last else maps[index + 1], design)
        made.from_first = index == 0
        made.segment_end = last or index == segment_a - 1
        made.batch_source = index >= segment_a
        made.source_even, made.source_odd = double if index == 0 else (base[layer.name],) * 2
        made.dest_base = 0 if last else base[layers[index + 1].name]
        descriptors.append(made)
    head = model.layers[0]
    if head.kind == "conv":
        rows, columns = walk(model)[0].computed
        channels = ceil_div(head.outputs, design.first_pe) * design.first_pe
        first = FirstLayer(
            channels,
            bool(head.pad),
            head.pool,
            rows,
            columns,
            double,
            maps[0].image_stride,
            maps[0].row_stride,
            maps[0].words,
        )
    else:
        first = FirstLayer(0, False, False, 0, 0, double, maps[0].image_stride, 0, maps[0].words)
    return Plan(model, design, sub_batch, batch, segment_a, first, tuple(descriptors), regions)


def _sizes(layers: tuple[Layer, ...], batch: int) -> Iterator[Sizes]:
    """The ways to cut a batch, the largest sub-batch first, each with and without a split at the first dense layer."""
    split = next(index for index, layer in enumerate(layers) if layer.kind == "dense")
    for sub_batch in range(batch, 0, -1):
        yield Sizes(sub_batch, sub_batch, len(layers))
        if split:
            yield Sizes(sub_batch, batch // sub_batch * sub_batch, split)


def plan(model: Model, design: Design, batch: int = 64, sizes: Sizes | None = None) -> Plan:
    """Place `model` on `design` for batches of at most `batch` images.

    Of the sizes that fit, those with the fewest estimated cycles of two runs of `batch` images, the second with the
    program kept, are taken, the larger sub-batch if equal; or those that are given.

    Raises:
        DesignError: the model does not fit the design; one line names the layer, what it needs and the limit.
        bnn.model.ModelError: the model is inconsistent, or needs what the cores do not have.
    """
    if not 1 <= batch <= MAX_BATCH:
        raise DesignError(f"batch {batch} is not in 1 to {MAX_BATCH}")
    shapes(model)
    require(model, "the planner")
    _check(model, design)
    maps = _maps(model, design)
    layers = _array_layers(model)
    if sizes is not None:
        whole = sizes.segment_a == len(layers) and sizes.batch == sizes.sub_batch
        if not whole and not (
            1 <= sizes.segment_a < len(layers)
            and 1 <= sizes.sub_batch <= sizes.batch
            and not sizes.batch % sizes.sub_batch
        ):
            raise DesignError(f"{model.name}: {tuple(sizes)} do not cut a batch of its {len(layers)} array layers")
    best: Plan | None = None
    least = 1 << 62
    for tried in _sizes(layers, batch) if sizes is None else [sizes]:
        regions, depth = _place(model, design, maps, *tried)
        if depth > design.act_depth:
            continue
        found = _build(model, design, maps, *tried, regions)
        cost = found.run_cycles(batch) + found.run_cycles(batch, keep=True)
        if cost < least:
            best, least = found, cost
    if best is None:
        regions, depth = _place(model, design, maps, *(sizes or Sizes(1, 1, len(layers))))
        worst = max(regions, key=lambda region: region.words)
        what = "one image takes" if sizes is None else f"{sizes.batch} images, {sizes.sub_batch} at a time, take"
        raise DesignError(
            f"{model.name}: {what} {depth} activation words ({worst.name} alone "
            f"{worst.words}), which do not fit ACT_DEPTH={design.act_depth} of {design.name}"
        )
    return best
