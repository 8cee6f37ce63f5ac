"""Planning: sub-batches, activation memory and one descriptor per array layer (docs/ARCHITECTURE.md)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property

from bnn.contract import FIRST_CHANNELS, MAX_BATCH, MAX_CHANNELS, Descriptor
from bnn.geometry import Shape, step, walk
from bnn.layers import require
from bnn.model import Layer, Model, shapes
from hls.designs import Design, DesignError


def ceil_div(value: int, divisor: int) -> int:
    """`value / divisor`, rounded up."""
    return -(-value // divisor)


def array_cycles(layer: Descriptor, images: int, lanes: int) -> int:
    """Array cycles of a layer for `images` images: headers and multiplications, without waiting for weights."""
    return layer.groups * layer.headers + layer.busy_cycles(images, lanes)


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

    def cycles(self, first_pe: int, image_bytes: int) -> int:
        """Cycles of one image in the engine, once it is in the image buffer.

        A column of the window takes a cycle per row to read, a position a cycle per FIRST_PE channels (four with
        a pool, and one more for its second column); pack mode takes eight bytes a cycle.
        """
        if not self.channels:
            return ceil_div(image_bytes, 8) + 2
        groups = self.channels // first_pe
        if self.pool:
            return self.rows // 2 * max(4 * (self.columns + 2), self.columns // 2 * (4 * groups + 1) + 3) + 12
        return self.rows * max(3 * (self.columns + 2), self.columns * groups + 2) + 12


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
            return self.batch // self.sub_batch * array_cycles(layer, self.sub_batch, lanes)
        return array_cycles(layer, self.batch, lanes)

    def run_cycles(self, images: int, keep: bool = False, latency: int = 40,
                   bytes_per_second: float = 1e9) -> int:
        """Cycles of one run of `images` images, from start to done.

        The three loops of the core are followed side by side: the weight stream, bounded by the bus and by the
        ring's room; the first layer, one sub-batch ahead; the array, layer by layer and group by group.

        Args:
            images: image count, 0 or more.
            keep: the resident program is in the core already.
            latency: cycles from a read address to its first beat.
            bytes_per_second: what the bus carries at most.
        """
        return _Run(self, keep, latency, bytes_per_second).cycles(images)

    def batch_cycles(self) -> int:
        """Estimated cycles of a run of one full batch."""
        return self.run_cycles(self.batch)


LAYER_START = 8
"""Cycles from the end of a layer to the first step of the next."""
LAYER_END = 17
"""Cycles from the one after a layer's last step to its end: its bits leave the array."""
GROUP_GAP = 7
"""Cycles between the last step of a group and the first of the next, its header among them."""
WEIGHTS = 3
"""Cycles from a group's last weight in the ring to its first step."""
SERIAL = 20
"""Cycles from the last step of a block with serial writes to that of the next, and one per column."""
SCORES = 20
"""Cycles from the last step of a block of scores to the first of the next, and those of its pairs but one."""
PAIR = 8
"""Cycles of the scores of two classes at least: the next sums are shifted meanwhile."""
WRITE = 1.5
"""Cycles of a beat of scores at least: a memory takes 8 and answers each after 12."""
DRAIN = 14
"""Cycles from the last serial write or score to the end of the layer."""
FILL = 36
"""Cycles from the last column of an image to its last bits in memory and the start of the array."""


class _Run:
    """One run of a plan in time; see Plan.run_cycles."""

    def __init__(self, plan: Plan, keep: bool, latency: int, bytes_per_second: float) -> None:
        self.plan, self.design, self.latency = plan, plan.design, latency
        self.keep = keep and plan.resident
        self.beat = max(1.0, 8 * plan.design.clock_mhz * 1e6 / bytes_per_second)
        self.ring: deque[tuple[int, float]] = deque()  # words and end of the groups in the ring
        self.held = 0
        self.stream = self.array = 0.0  # when the next weights come, when the array is free
        self.steps: list[tuple[int, int]] = []  # layers (-1: the first) and their ends

    def cycles(self, images: int) -> int:
        if images == 0:
            return 2
        plan, model = self.plan, self.plan.model
        image_bytes = ceil_div(model.height * model.width * model.channels, 8) * 8
        now = 4.0
        if not self.keep:
            for beats in (16, 16 * len(plan.descriptors), 32 + plan.first.channels):
                now += self.latency + 8 + beats * self.beat
        self.stream = now + self.latency + 8
        if plan.resident and not self.keep:
            self.stream += (plan.words_a + plan.words_b) * self.design.word_bytes // 8 * self.beat
        # Images go first on the bus; these come before the weights that fill the ring once.
        image_bus = image_bytes // 8 * self.beat
        ahead = min(images, 3 * plan.sub_batch + 2) if plan.resident and not self.keep else 0
        self.stream += ahead * image_bus
        self.array = now
        pixels = model.height * model.width if plan.first.channels else 0
        load = max(pixels, image_bus)
        engine = plan.first.cycles(self.design.first_pe, image_bytes)
        if not plan.first.channels:
            engine, load = max(engine, int(load)), 0
        loaded = now + self.latency + 8  # image n is in the buffer
        ends = [now, now]  # the engine has read image n - 2, n - 1
        first_free = [now, now]  # the array has read sub-batch n - 2, n - 1
        in_batch = 0
        for start in range(0, images, plan.sub_batch):
            count = min(plan.sub_batch, images - start)
            done = first_free[0]
            for image in range(start, start + count):
                loaded = max(loaded, ends[0]) + load
                done = max(done, loaded, ends[1]) + engine
                ends = [ends[1], done]
                if image >= ahead:
                    self.stream += image_bus
            self.array = max(self.array, done + FILL)
            self.steps.append((-1, int(done)))
            for index in range(plan.segment_a):
                self._layer(index, count)
                if index == 0:
                    first_free = [first_free[1], self.array]
            in_batch += count
            if in_batch == plan.batch or start + count == images:
                for index in range(plan.segment_a, len(plan.descriptors)):
                    self._layer(index, in_batch)
                in_batch = 0
        return int(self.array) + 8

    def _layer(self, index: int, images: int) -> None:
        """Follow the array through one layer."""
        layer, lanes = self.plan.descriptors[index], self.design.lanes
        blocks = layer.units(images, lanes) * layer.blocks
        blocks *= layer.rows // 2 if layer.pool else layer.rows
        steps = layer.group_words * (2 if layer.pool else 1)
        words = layer.headers + layer.group_words
        self.array += LAYER_START - GROUP_GAP
        tail = 0
        for group in range(layer.groups):
            self.array += GROUP_GAP + layer.headers - 1
            if not self.plan.resident:
                beats = self.design.word_bytes // 8 * self.beat
                end = self.stream + words * beats
                while self.held + words > self.design.weight_depth:
                    waiting = self.held + words - self.design.weight_depth  # words without room until then
                    freed, done = self.ring.popleft()
                    self.held -= freed
                    end = max(end, done + self.latency + 12 + min(waiting, words) * beats)
                self.stream = end
                self.array = max(self.array, self.stream + WEIGHTS)
            elif not self.keep:
                self.array = max(self.array, self._resident(index, group) + WEIGHTS)
            body = max(blocks * steps, 4)  # headers come at most every ten cycles
            if layer.serial:
                columns = min(layer.out_columns, lanes // 2 if layer.pool else lanes)
                body = steps + (blocks - 1) * max(steps, SERIAL + columns)
                tail = SERIAL + columns
            elif layer.scores:
                classes = min(self.design.pe, layer.outputs - group * self.design.pe)
                body = 0
                for left in range(images, 0, -lanes):
                    emitted = min(left, lanes) * (1 + layer.outputs % 2) * max(self.beat, WRITE)
                    body += steps + SCORES + int((ceil_div(classes, 2) - 1) * max(emitted, PAIR))
                tail = int(emitted)
            self.array += body
            if not self.plan.resident:
                self.ring.append((words, self.array))
                self.held += words
        self.array += DRAIN + tail if layer.serial or layer.scores else LAYER_END
        self.steps.append((index, int(self.array)))

    def _resident(self, index: int, group: int) -> float:
        """When the stream that fills the ring once has brought a group."""
        plan = self.plan
        before = sum(item.weight_words for item in plan.descriptors[:index])
        words = before + (group + 1) * (plan.descriptors[index].weight_words // plan.descriptors[index].groups)
        after = plan.words_a + plan.words_b - words
        return self.stream - after * (self.design.word_bytes // 8) * self.beat


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
        raise DesignError(f"image: {model.height}x{model.width} pixels do not fit "
                          f"IMAGE_PIXELS={design.image_pixels} of {design.name}")
    if model.channels > MAX_CHANNELS:
        raise DesignError(f"image: {model.channels} channels, at most {MAX_CHANNELS} are supported")
    first = model.layers[0]
    if first.kind == "dense" and not model.binary_input:
        raise DesignError(f"{first.name}: a dense first layer on 8-bit pixels is not supported, "
                          "the input table must hold -1 and +1 only")
    if first.kind == "conv":
        if first.outputs > FIRST_CHANNELS:
            raise DesignError(f"{first.name}: {first.outputs} output channels, the first layer has at most "
                              f"{FIRST_CHANNELS}")
        if model.layers[1].kind == "dense":
            raise DesignError(f"{model.layers[1].name}: a dense layer right after the first convolution "
                              f"{first.name} is not supported, at least two convolutions are needed")
    count = len(_array_layers(model))
    if count > design.max_layers:
        raise DesignError(f"{model.name}: {count} array layers do not fit MAX_LAYERS={design.max_layers} "
                          f"of {design.name}")


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
        busy = sorted((region.base, region.base + region.words) for region, first, last in placed
                      if first <= end and start <= last)
        base = 0
        for low, high in busy:
            if base + words <= low:
                break
            base = max(base, high)
        placed.append((Region(name, base, words), start, end))
    return tuple(sorted((region for region, _, _ in placed), key=lambda region: (region.base, region.name)))


def _place(model: Model, design: Design, maps: list[_Map], sub_batch: int, batch: int,
           segment_a: int) -> tuple[tuple[Region, ...], int]:
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
        scores=dest is None, groups=ceil_div(layer.outputs, design.pe), source_image_stride=source.image_stride,
        dest_image_stride=dest.image_stride if dest else 0, dest_row_stride=dest.row_stride if dest else 0,
        dest_words=dest.words if dest else 0, outputs=layer.outputs)
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
        raise DesignError(f"{layer.name}: a group of {made.group_words + made.headers} words "
                          f"does not fit WEIGHT_DEPTH={design.weight_depth} of {design.name}")
    return made


def _build(model: Model, design: Design, maps: list[_Map], sub_batch: int, batch: int, segment_a: int,
           regions: tuple[Region, ...]) -> Plan:
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
        first = FirstLayer(channels, bool(head.pad), head.pool, rows, columns, double, maps[0].image_stride,
                           maps[0].row_stride, maps[0].words)
    else:
        first = FirstLayer(0, False, False, 0, 0, double, maps[0].image_stride, 0, maps[0].words)
    return Plan(model, design, sub_batch, batch, segment_a, first, tuple(descriptors), regions)


def plan(model: Model, design: Design, batch: int = 64) -> Plan:
    """Place `model` on `design` for batches of at most `batch` images.

    Of the sub-batch sizes that fit, each with and without a split at the first dense layer, the one with the
    fewest estimated cycles of two runs of `batch` images, the second with the program kept, is taken, the larger
    one if equal.

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
    total = len(layers)

    split = next(index for index, layer in enumerate(layers) if layer.kind == "dense")
    best: Plan | None = None
    least = 1 << 62
    for sub_batch in range(batch, 0, -1):
        options = [(sub_batch, total)]
        if split:
            options.append((batch // sub_batch * sub_batch, split))
        for size, segment_a in options:
            regions, depth = _place(model, design, maps, sub_batch, size, segment_a)
            if depth > design.act_depth:
                continue
            found = _build(model, design, maps, sub_batch, size, segment_a, regions)
            cycles = found.run_cycles(batch) + found.run_cycles(batch, keep=True)
            if cycles < least:
                best, least = found, cycles
    if best is None:
        regions, depth = _place(model, design, maps, 1, 1, total)
        worst = max(regions, key=lambda region: region.words)
        raise DesignError(f"{model.name}: one image takes {depth} activation words ({worst.name} alone "
                          f"{worst.words}), which do not fit ACT_DEPTH={design.act_depth} of {design.name}")
    return best
