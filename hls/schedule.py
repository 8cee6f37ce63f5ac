"""Planning: sub-batches, activation memory and one descriptor per array layer (docs/ARCHITECTURE.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from bnn.contract import (
    BEAT_BYTES,
    MAX_BATCH,
    MAX_CHANNELS,
    PROGRAM_VERSION,
    PROGRAM_VERSION_2,
    VALUE_BITS,
    Descriptor,
    burst_words,
)
from bnn.geometry import Shape, ceil_div, step, walk
from bnn.model import Model, shapes
from hls import bands, cycles
from hls.bands import Band
from hls.designs import Design, DesignError
from hls.lowering import Lowered, Map, Stage, lower

NARROW_BY_IMAGE = True
"""Whether convolutions run by image where that is cheaper, as on maps narrower than LANES."""


class Sizes(NamedTuple):
    """How a run is cut.

    `sub_batch` images go through the first `segment_a` array layers at a time, `batch`, a multiple of it, through the
    others, which are by image. Without others both are the same.
    """

    sub_batch: int
    batch: int
    segment_a: int


@dataclass(frozen=True)
class Region:
    """A piece of the activation memory: `words` words of every lane from `base` on. `name` is that of the layer whose
    output it holds."""

    name: str
    base: int
    words: int


@dataclass(frozen=True)
class FirstLayer:
    """The first-layer engine's part of the header. `channels` is 0 where it gives planes of pixels or their signs."""

    channels: int
    pad: bool
    pool: bool
    rows: int
    columns: int
    base: tuple[int, int]
    image_stride: int
    row_stride: int
    words: int
    planes: int = 0
    pixel_map: bool = False
    value_channels: int = 0
    value_bits: int = 0
    shift: int = 0

    @property
    def output_size(self) -> tuple[int, int]:
        """Rows and columns behind the pool."""
        return (self.rows // 2, self.columns // 2) if self.pool else (self.rows, self.columns)


@dataclass(frozen=True)
class Plan:
    """A model placed on a design: batch sizes, memory regions, the first layer, array layers and their descriptors.

    A layer that runs by bands of rows (`hls.bands`) has a stage and a descriptor for each of them.
    """

    model: Model
    design: Design
    sub_batch: int
    batch: int
    segment_a: int
    first: FirstLayer
    stages: tuple[Stage, ...] = field(compare=False)
    descriptors: tuple[Descriptor, ...]
    regions: tuple[Region, ...]
    version: int
    ring_base: int = 0
    """Where the ring of segment B's weights begins, if those of segment A stay before it; 0: there is none"""

    @property
    def elements(self) -> int:
        """Pixels times channels of an image."""
        return self.model.height * self.model.width * self.model.channels

    @property
    def image_bytes(self) -> int:
        """Bytes of an image in memory."""
        return ceil_div(self.elements, BEAT_BYTES) * BEAT_BYTES

    @cached_property
    def words_a(self) -> int:
        """Weight words of segment A."""
        return sum(layer.weight_words - layer.weights_back for layer in self.descriptors[: self.segment_a])

    @cached_property
    def words_b(self) -> int:
        """Weight words of segment B."""
        return sum(layer.weight_words for layer in self.descriptors[self.segment_a :])

    @cached_property
    def staying(self) -> int:
        """Of how many layers, from the first on, the weights stay in the weight memory: all, with `ring_base` those of
        segment A, or none. The others' come again."""
        if self.ring_base:
            return self.segment_a
        return len(self.descriptors) if self.words_a + self.words_b <= self.design.weight_depth else 0

    @property
    def resident(self) -> bool:
        """Whether some stay."""
        return self.staying > 0

    @cached_property
    def staying_words(self) -> int:
        """Weight words that stay."""
        return sum(layer.weight_words - layer.weights_back for layer in self.descriptors[: self.staying])

    @property
    def ring_words(self) -> int:
        """Words of the ring that the others go through."""
        return self.design.weight_depth - self.ring_base

    def layer_cycles(self, index: int) -> int:
        """Array cycles of layer `index` for one whole batch."""
        layer, lanes = self.descriptors[index], self.design.lanes
        if index < self.segment_a:
            return self.batch // self.sub_batch * cycles.array_cycles(layer, self.sub_batch, lanes)
        return cycles.array_cycles(layer, self.batch, lanes)

    def run_cycles(self, images: int, keep: bool = False, memory: cycles.MemorySpeed = cycles.ASSUMED) -> int:
        """Cycles of one run of `images` images, see `hls.cycles.run_cycles`."""
        return cycles.run_cycles(self, images, keep, memory)

    def batch_cycles(self) -> int:
        """Estimated cycles of a run of one full batch."""
        return self.run_cycles(self.batch)


def _check(model: Model, design: Design) -> None:
    """Refuse what no batch size can make fit."""
    if model.height * model.width > design.image_pixels:
        raise DesignError(
            f"image: {model.height}x{model.width} pixels do not fit IMAGE_PIXELS={design.image_pixels} of {design.name}"
        )
    if model.channels > MAX_CHANNELS:
        raise DesignError(f"image: {model.channels} channels, at most {MAX_CHANNELS} are supported")


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


PARITIES = ("first.even", "first.odd")
"""Regions of the first layer's double buffer."""


def _order(stages: Sequence[Stage], parts: Sequence[Band]) -> tuple[Stage, ...]:
    """The stages of a plan whose first layers run by `parts`, their bands: one for each of these, then the others."""
    return (*(stages[part.layer] for part in parts), *stages[len({part.layer for part in parts}) :])


def _lives(lowered: Lowered, design: Design, cut: Sizes, parts: Sequence[Band] = ()) -> dict[str, tuple[int, int, int]]:
    """Words of every region, and the first and last array layer, of the plan's (`_order`), at which it is live."""
    stages = _order(lowered.stages, parts)
    segment_a = cut.segment_a + len(stages) - len(lowered.stages)
    numbers = {stage.name: index for index, stage in reversed(list(enumerate(stages)))}
    lives: dict[str, tuple[int, int, int]] = {}
    for name, item in lowered.maps.items():
        if item.from_first:
            words = item.region_words(cut.sub_batch, design.lanes)
            lives.update(dict.fromkeys(PARITIES, (words, 0, len(stages))))
            continue
        last = max(index for index, stage in enumerate(stages) if name in stage.inputs)
        made = numbers[name]
        images = cut.batch if last >= segment_a else cut.sub_batch
        # what segment B reads stays while segment A goes on with more images
        start = 0 if made < segment_a <= last else made
        lives[name] = (item.region_words(images, design.lanes), start, last)
    return lives


def _place(lowered: Lowered, design: Design, cut: Sizes, parts: Sequence[Band] = ()) -> tuple[tuple[Region, ...], int]:
    """The regions and the depth they take."""
    regions = _allocate(_lives(lowered, design, cut, parts))
    return regions, max(region.base + region.words for region in regions)


def _dense_source(made: Descriptor, source: Map, design: Design) -> None:
    """What a dense layer reads: a vector without gaps, or records of a map."""
    height, width, channels = source.shape
    made.dense = True
    made.rows, made.columns, made.out_columns, made.blocks = 1, design.lanes, design.lanes, 1
    made.height, made.width = 1, design.lanes
    if source.packed:
        channels *= height * width
    made.last_bits = (channels - 1) % design.simd + 1
    if source.record == source.words or source.packed:
        made.tap_words = source.image_stride // source.planes
    else:
        made.tap_words, made.source_row_stride = source.words, source.row_stride
        made.height, made.width = height, width
        if (height, width) != (1, 1):
            made.tap_rows, made.tap_columns = height, width


def _conv_source(made: Descriptor, stage: Stage, source: Map, shape: Shape, design: Design) -> None:
    """What a convolution reads, and where it computes. `shape` is that of the output."""
    height, width, channels = source.shape
    _, _, rows, columns, _ = stage.weights.shape
    made.kernel3 = rows == 3
    if rows == 5:
        made.tap_rows, made.tap_columns = rows, columns
    made.pad, made.pad2 = stage.pad == 1, stage.pad == 2
    made.pad_one = stage.pad > 0 and stage.pad_value > 0
    made.pad_first = stage.pad > 0 and stage.pad_value == 0
    made.pool, made.stride2 = stage.pool, stage.stride == 2
    made.rows, made.columns = shape[:2] if stage.moves else step(stage.layer, source.shape).computed
    made.height, made.width = height, width
    made.tap_words, made.source_row_stride = source.words, source.row_stride
    made.out_columns = shape[1]
    made.last_bits = (channels - 1) % design.simd + 1
    if source.by_image:
        made.by_image = True
        made.blocks = made.out_columns
        return
    if stage.stride == 2:
        made.columns *= 2
    made.blocks = ceil_div(made.columns, design.lanes)
    if rows == 5 and design.lanes < 4:
        raise DesignError(f"layer {stage.name}: a 5x5 kernel needs LANES >= 4, design {design.name} has {design.lanes}")


def _shortcut(made: Descriptor, stage: Stage, source: Map, shape: Shape, design: Design) -> None:
    """Where the value lies that a layer adds or averages. `shape` is that of the output."""
    height, width, channels = source.shape
    made.shortcut_image_stride, made.shortcut_row_stride = source.image_stride, source.row_stride
    made.shortcut_words, made.shortcut_word = source.record, source.value_word
    made.shortcut_values = VALUE_BITS * ceil_div(channels, design.simd)
    if stage.kind == "average":
        made.height, made.width = height, width
        return
    made.shortcut = True
    if stage.stride == 2:
        made.shortcut_same = shape[:2] == (height, width)
        made.shortcut_average = stage.average_shortcut and not made.shortcut_same


def _descriptor(stage: Stage, lowered: Lowered, design: Design) -> Descriptor:
    """The descriptor of a layer but for its place in the memory and in the order of layers."""
    dest = lowered.maps.get(stage.name)
    shape = dest.shape if dest else (1, 1, stage.outputs)
    made = Descriptor(
        scores=stage.scores,
        groups=ceil_div(stage.outputs, design.pe),
        dest_image_stride=dest.image_stride if dest else 0,
        dest_row_stride=dest.row_stride if dest else 0,
        dest_words=dest.record if dest else 0,
        outputs=stage.outputs,
        vector=stage.vector,
        planes_outer=stage.planes_outer,
        hand=stage.hand,
        more_bases=stage.bases - 1,
    )
    if stage.vector:
        made.thresholds, made.bit_planes, made.value = stage.thresholds, stage.bit_planes > 0, stage.value
        made.value_bits, made.shift = stage.value_bits, stage.shift
    if stage.source:
        source = lowered.maps[stage.source]
        made.source_image_stride = source.image_stride
        if stage.kind == "dense":
            _dense_source(made, source, design)
        else:
            _conv_source(made, stage, source, shape, design)
        made.serial = bool(dest and dest.by_image and not source.by_image)
        made.more_planes = 0 if stage.moves else source.planes - 1
        taps = made.tap_rows * made.tap_columns or (9 if made.kernel3 else 1)
        made.pass_words = taps * made.tap_words
        flat = stage.kind == "dense" and made.tap_words != source.words
        made.source_words = made.tap_words if flat else source.record
    else:
        made.average = made.dense = True
        made.rows, made.columns, made.out_columns, made.blocks = 1, design.lanes, design.lanes, 1
    if stage.shortcut:
        _shortcut(made, stage, lowered.maps[stage.shortcut], shape, design)
    if dest:
        made.plane_words, made.value_word = dest.words, dest.value_word
    made.group_words = stage.bases * made.pass_words
    if made.group_words + made.headers > design.weight_depth:
        raise DesignError(
            f"{stage.name}: a group of {made.group_words + made.headers} words "
            f"does not fit WEIGHT_DEPTH={design.weight_depth} of {design.name}"
        )
    return made


def _ring_base(descriptors: Sequence[Descriptor], segment_a: int, design: Design) -> int:
    """Where the ring of segment B's weights begins if those of segment A stay; 0 where all do, or no ring fits.

    It has 2^n words and takes the memory's end, with room for a group of segment B and a burst.
    """
    words = [item.weight_words for item in descriptors]
    room = design.weight_depth - sum(words[:segment_a])
    if segment_a == len(words) or sum(words[segment_a:]) <= room or room <= 0:
        return 0
    ring = 1 << (room.bit_length() - 1)
    largest = max(item.headers + item.group_words for item in descriptors[segment_a:])
    return design.weight_depth - ring if largest < ring - burst_words(design.pe, design.simd) else 0


def _ends(lowered: Lowered, design: Design, sub_batch: int) -> list[int]:
    """Where a segment A that runs by sub-batches of so many images may end, as its number of array layers.

    It ends before the first layer by image. In a network of dense layers all are, and it is those whose weights stay
    while segment B's come again: so an image is packed while others are in the array, and costs no weights. Sub-batches
    are then of whole blocks.
    """
    if lowered.split:
        return [lowered.split]
    if sub_batch % design.lanes or any(stage.kind != "dense" or stage.vector for stage in lowered.stages):
        return []
    descriptors = [_descriptor(stage, lowered, design) for stage in lowered.stages]
    return [count for count in range(1, len(descriptors)) if _ring_base(descriptors, count, design)]


def _plain(descriptors: list[Descriptor], first: FirstLayer, ring_base: int) -> bool:
    """Whether version 1 has all of a program; its words beyond are then cleared."""
    if (
        ring_base
        or first.planes
        or first.value_channels
        or [index for index, item in enumerate(descriptors) if item.from_first] != [0]
    ):
        return False
    for item in descriptors:
        later = (
            item.vector,
            item.by_image,
            item.stride2,
            item.pad2,
            item.pad_first,
            item.passes,
            item.taps,
            item.early,
        )
        if any(later) or item.dest_words != item.plane_words or item.source_words != item.tap_words:
            return False
    for item in descriptors:
        item.release_first = False
        item.pass_words = item.source_words = item.dest_planes = 0
    return True


def _first(model: Model, lowered: Lowered, base: tuple[int, int], design: Design) -> FirstLayer:
    """The first layer: sums of 8-bit pixels, planes of pixels, or their signs."""
    head = model.layers[0]
    given = next(item for item in lowered.maps.values() if item.from_first)
    place: dict[str, Any] = {
        "base": base,
        "image_stride": given.image_stride,
        "row_stride": given.row_stride,
        "words": given.record,
    }
    if lowered.engine:
        rows, columns = walk(model)[0].computed
        whole = given.words * design.simd
        if given.valued:
            place.update(value_channels=whole, value_bits=head.bits, shift=head.shift)
            channels = given.planes * whole
        else:
            channels = ceil_div((given.planes - 1) * whole + head.outputs, design.first_pe) * design.first_pe
        return FirstLayer(channels, bool(head.pad), head.pool, rows, columns, **place)
    size = (0, 0) if given.packed else (model.height, model.width)
    return FirstLayer(0, False, False, *size, planes=lowered.input_planes, pixel_map=not given.packed, **place)


def _build(
    model: Model,
    design: Design,
    lowered: Lowered,
    cut: Sizes,
    regions: tuple[Region, ...],
    parts: Sequence[Band] = (),
) -> Plan:
    """The plan; `parts` are the bands by which its first layers run, in their order."""
    base = {region.name: region.base for region in regions}
    double = (base[PARITIES[0]], base[PARITIES[1]])

    def places(name: str) -> tuple[int, int]:
        return double if lowered.maps[name].from_first else (base[name], base[name])

    descriptors: list[Descriptor] = []
    for index, stage in enumerate(lowered.stages):
        made = _descriptor(stage, lowered, design)
        if stage.source:
            made.source_even, made.source_odd = places(stage.source)
            made.from_first = lowered.maps[stage.source].from_first
        if stage.shortcut:
            made.shortcut_even, made.shortcut_odd = places(stage.shortcut)
            made.shortcut_first = lowered.maps[stage.shortcut].from_first
        made.dest_base = 0 if stage.scores else base[stage.name]
        made.segment_end = index in (cut.segment_a - 1, len(lowered.stages) - 1)
        made.batch_source = index >= cut.segment_a
        descriptors.append(made)
    stages = _order(lowered.stages, parts)
    more = len(stages) - len(descriptors)  # bands than layers that have some
    descriptors = [*_bands(descriptors, parts), *descriptors[len(parts) - more :]]
    [item for item in descriptors if item.from_first or item.shortcut_first][-1].release_first = True
    for item in descriptors[: len(parts)]:
        if item.release_first:
            break
        item.early = True
    first = _first(model, lowered, double, design)
    ring_base = 0 if lowered.split else _ring_base(descriptors, cut.segment_a + more, design)
    version = PROGRAM_VERSION if _plain(descriptors, first, ring_base) else PROGRAM_VERSION_2
    return Plan(
        model,
        design,
        cut.sub_batch,
        cut.batch,
        cut.segment_a + more,
        first,
        stages,
        tuple(descriptors),
        regions,
        version,
        ring_base,
    )


def _bands(descriptors: Sequence[Descriptor], parts: Sequence[Band]) -> list[Descriptor]:
    """A descriptor for each band, of those of the whole layers; the stride from image to image is that of a band."""
    found = []
    for number, (layer, first, rows) in enumerate(parts):
        made = Descriptor.unpack(descriptors[layer].words)
        step = 2 if made.pool else 1
        made.rows, made.height = step * rows, bands.rows_read(made, rows)
        made.source_even += step * first * made.source_row_stride
        made.source_odd += step * first * made.source_row_stride
        made.dest_base += first * made.dest_row_stride
        made.dest_image_stride = rows * made.dest_row_stride
        if made.from_first:
            made.source_row = step * first
        if number + 1 < len(parts):
            again = descriptors[parts[number + 1].layer : layer + 1]  # none where the next layer follows
            made.weights_back = sum(item.weight_words for item in again)
        found.append(made)
    return found


def _by_bands(whole: Plan, lowered: Lowered, cut: Sizes, images: int, keep: bool) -> Plan | None:
    """The plan, whose batch is one image, with its first layers cut into bands; None where that is not faster."""
    design, stages = whole.design, whole.stages
    readers = [sum(stage.name in other.inputs for other in stages) for stage in stages]
    count = bands.chain(whole.descriptors, readers)
    if not count or not whole.resident:
        return None
    room = design.max_layers - (len(stages) - count)
    best, least = None, whole.run_cycles(images, keep)
    for _ in range(2):  # the bands' own writes hold up the first layer
        for parts in bands.choose(whole.descriptors[:count], cycles.first_rows(best or whole), room):
            regions, depth = _place(lowered, design, cut, parts)
            if len(parts) == count or depth > design.act_depth:
                continue
            found = _build(whole.model, design, lowered, cut, regions, parts)
            taken = found.run_cycles(images, keep)
            if taken < least:
                best, least = found, taken
    return best


def _sizes(lowered: Lowered, design: Design, batch: int, few: bool) -> Iterator[tuple[Sizes, tuple[Region, ...]]]:
    """The ways to cut a batch that fit, the largest sub-batch first, each whole and in two segments.

    Where what lies by image does not fit for the whole batch, it is halved until it does. `few`: only sub-batches of
    2^n and 3 * 2^n images, as always in front of a ring.
    """
    for sub_batch in range(batch, 0, -1):
        round_size = not sub_batch % (1 << max(0, sub_batch.bit_length() - 2))
        if few and not round_size:
            continue
        cuts = [Sizes(sub_batch, sub_batch, len(lowered.stages))]
        ends = _ends(lowered, design, sub_batch) if lowered.split or round_size else []
        cuts += [Sizes(sub_batch, batch // sub_batch * sub_batch, end) for end in ends]
        for cut in cuts:
            regions, depth = _place(lowered, design, cut)
            while depth > design.act_depth and cut.batch >= 2 * max(sub_batch, design.lanes):
                cut = cut._replace(batch=cut.batch // 2 // sub_batch * sub_batch)
                regions, depth = _place(lowered, design, cut)
            if depth <= design.act_depth:
                yield cut, regions


def _given(lowered: Lowered, design: Design, cut: Sizes) -> Iterator[tuple[Sizes, tuple[Region, ...]]]:
    """A cut that is given, if it fits."""
    regions, depth = _place(lowered, design, cut)
    ends = [len(lowered.stages), *_ends(lowered, design, cut.sub_batch)]
    if depth <= design.act_depth and cut.segment_a in ends:
        yield cut, regions


def _lowered(model: Model, design: Design) -> list[Lowered]:
    """The ways to run a model, the first with no more maps by image than must be."""
    found = [lower(model, design)]
    if not (NARROW_BY_IMAGE and design.vector):
        return found
    ways = {found[0].by_image}
    for stage in found[0].stages[::-1]:
        source = found[0].maps.get(stage.source)
        if stage.kind != "conv" or source is None or source.by_image or source.from_first:
            continue
        if source.shape[1] > 2 * design.lanes:
            break
        try:
            other = lower(model, design, frozenset([source.name]))
        except DesignError:  # more than the vector unit takes
            continue
        if other.by_image not in ways:
            ways.add(other.by_image)
            found.append(other)
    return found


def _no_room(model: Model, design: Design, lowered: Lowered, cut: Sizes) -> DesignError:
    """What would fit, of a cut that does not."""
    regions, depth = _place(lowered, design, cut)
    worst = max(regions, key=lambda region: region.words)
    made = next((name for name, item in lowered.maps.items() if item.from_first and worst.name in PARITIES), worst.name)
    given = lowered.maps[made]
    what = "planes and values" if given.valued and given.planes else "values" if given.valued else "bits"
    images = f"{cut.batch} images, {cut.sub_batch} at a time," if cut.batch > 1 else "1 image"
    return DesignError(
        f"layer {made}: {what} of {images} take {worst.words:,} words, all maps {depth:,}, activation memory has "
        f"{design.act_depth:,} (ACT_DEPTH={design.act_depth} of {design.name})"
    )


def plan(model: Model, design: Design, batch: int = 64, sizes: Sizes | None = None, keep: bool = True) -> Plan:
    """Place `model` on `design` for batches of at most `batch` images.

    Of the sizes that fit, those with the fewest estimated cycles of a run of `batch` images are taken, the larger
    sub-batch if equal; or those that are given. With `keep` it is a run that finds the program in the core, where that
    stays there: a run that loads it comes once.

    Raises:
        DesignError: the model does not fit the design; one line names the layer, what it needs and the limit.
        bnn.model.ModelError: the model is inconsistent.
    """
    if not 1 <= batch <= MAX_BATCH:
        raise DesignError(f"batch {batch} is not in 1 to {MAX_BATCH}")
    shapes(model)
    _check(model, design)
    ways = _lowered(model, design)
    lowered = ways[0]
    count = len(lowered.stages)
    if count > design.max_layers:
        raise DesignError(
            f"{model.name}: {count} array layers do not fit MAX_LAYERS={design.max_layers} of {design.name}"
        )
    if sizes is not None:
        whole = sizes.segment_a == count and sizes.batch == sizes.sub_batch
        if not whole and not (
            any(sizes.segment_a in _ends(way, design, sizes.sub_batch) for way in ways)
            and 1 <= sizes.sub_batch <= sizes.batch
            and not sizes.batch % sizes.sub_batch
        ):
            raise DesignError(f"{model.name}: {tuple(sizes)} do not cut a batch of its {count} array layers")
    best: Plan | None = None
    made: tuple[Lowered, Sizes] | None = None
    least = 1 << 62
    for way in ways:
        cuts = _sizes(way, design, batch, way is not ways[0]) if sizes is None else _given(way, design, sizes)
        for cut, regions in cuts:
            found = _build(model, design, way, cut, regions)
            cost = found.run_cycles(batch, keep)
            if cost < least:
                best, made, least = found, (way, cut), cost
    if best is None or made is None:
        raise _no_room(model, design, lowered, sizes or Sizes(1, 1, count))
    return (_by_bands(best, *made, batch, keep) if best.batch == 1 and sizes is None else None) or best
