"""The cycle model: how long a plan takes on the array design, from start to done."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bnn.contract import BEAT_BYTES, PAIR_WORDS, TABLE_BYTES, VALUE_BITS, Descriptor, FirstBeat, FirstValue, Header
from bnn.geometry import ceil_div

if TYPE_CHECKING:
    from hls.schedule import FirstLayer, Plan

LAYER_START = 10
"""Cycles from the end of a layer to the first step of the next."""
LAYER_END = 15
"""Cycles from the one after a layer's last step to its end: its bits leave the array."""
GROUP_GAP = 7
"""Cycles between the last step of a group and the first of the next, its header among them."""
FOLLOW = 1
"""The same where the next group's words were in the ring before: its header alone."""
FOLLOW_STEPS = 8
"""Cycles at least from a header to the next that follows so, beyond its own."""
AHEAD = 3
"""Cycles before a group's last step in which the next one's words are there then, at least."""
BURST = 8
"""Cycles from a burst of weights to the next, at least; with two ports a port's part of a word is a burst."""
WEIGHTS = 4
"""Cycles from a group's last weight in the ring to its first step."""
SERIAL = 18
"""Cycles from the last step of a block with serial writes to that of the next, and one per column."""
SCORES = 18
"""Cycles from the last step of a block of scores to the first of the next, and those of its pairs but one."""
PAIR = 8
"""Cycles of the scores of two classes at least: the next sums are shifted meanwhile."""
WRITE = 1.5
"""Cycles of a beat of scores at least: a memory takes 8 and answers each after 12."""
DRAIN = 15
"""Cycles from the last serial write or score to the end of the layer."""
HAND = 3
"""Cycles after a sum's last step in which it is handed over to the vector unit."""
LOAD = 13
"""Cycles from a group's last step to the next one's first with the vector unit, beyond eight for each header word."""
VECTOR = 60
"""Cycles from a step to its result through the vector unit, beyond those in which its three parts work."""
PORT = 15
"""Cycles by which the unit's reads and writes of a block come earlier, on average."""
QUEUES = 16, 8
"""Hand-overs that the unit holds, and values of a plane of a block that it holds for their results."""
QUEUED = 18, 25
"""Cycles that they are held beyond those of the parts before and behind."""
CHANNEL = 18.5
"""Cycles in which a channel's scores leave the vector unit, beyond one for each hand-over."""
START = 12
"""Cycles from an image's first rows in the buffer to its first window, where the first layer's engine has waited."""
WINDOW = 20
"""Cycles from a column in the first layer's engine to its last group of channels in work."""
BITS, VALUES = 17, 33
"""Cycles from there to the write of the group's bits, or of its values."""
FILL = -2
"""Cycles from an image's last write to the array's next layer, whose LAYER_START has begun before."""
ROW = 5
"""Cycles from a row's last write to the array's first step with it."""
ROW_GAP = 4
"""Cycles at least between the array's last step of a row and the first of the next, where the first layer is behind."""
RESULTS = 29
"""Groups that are begun in the engine and not written, at most."""


def array_cycles(layer: Descriptor, images: int, lanes: int) -> int:
    """Array cycles of a layer for `images` images: headers and multiplications, without waiting for weights."""
    return layer.groups * layer.headers + layer.busy_cycles(images, lanes)


class Parts(NamedTuple):
    """Cycles of a block of outputs in the array, and of the vector unit in values and in results; 0 without it."""

    array: int
    values: int = 0
    results: int = 0
    period: int = 0
    """Cycles from a block to the next one"""
    port: int = 0
    """Of these, how many it takes the port of the activation memory at which the first layer writes"""


def block_parts(layer: Descriptor, shortcut: bool) -> Parts:
    """How long a block of outputs takes, of a group of channels that has a shortcut or has none.

    The vector unit takes a channel of every eight for each hand-over, or read of a shortcut that is averaged, and then
    for every further plane, one after the other, and writes eight words of values and one of bits of each plane; no
    turn that reads a value, nor one of a further plane behind it, goes together with a result.
    """
    sums = (4 if layer.by_image else 2) if layer.pool else 1
    steps = layer.group_words * layer.planes * sums
    columns = layer.out_columns // layer.blocks if layer.serial else 1  # that are written one by one
    if not layer.vector:
        return Parts(steps, period=steps, port=0 if layer.scores else columns)
    steps += HAND * layer.hand_overs * sums
    reads = (4 if layer.by_image or layer.dense else 2) if layer.shortcut_average else 1
    hand_overs = layer.height * layer.width if layer.average else layer.hand_overs
    planes = max(0, layer.thresholds - 1) * (1 if hand_overs == 1 else 2)  # turns of the planes behind the first
    turns = max(hand_overs, reads) + planes
    if layer.average:
        steps = 0
    values = (8 * turns + 3) * sums
    results = columns * max(layer.given_planes, 1) * (9 if layer.given_planes else 8)
    reading = values if layer.average else 8 * (reads + planes) + (2 if planes else 3) if shortcut else 0
    turn = results + reading
    port = columns * (8 * layer.value + layer.given_planes)
    port += 8 * (hand_overs if layer.average else reads if shortcut else 0)
    kept = 4 if layer.thresholds == 3 else max(1, layer.thresholds)
    held = 0
    over = 2 * layer.hand_overs - QUEUES[0]
    if over > 0:  # so many of the next sum's wait until those of one are worked off
        held = values + steps * over // layer.hand_overs + QUEUED[0] * sums
    waiting = (values + results + QUEUED[1]) // (QUEUES[1] // kept)
    return Parts(steps, values, results, max(steps, values, turn, held, waiting), port)


def first_layer_cycles(first: FirstLayer, first_pe: int, image_bytes: int) -> int:
    """Cycles of one image in the engine, one after the other.

    A column of the window takes a cycle per row to read, a position a cycle per FIRST_PE channels (four with
    a pool, and one more for its second column, or with values) or per plane of pixels, and with values a record a cycle
    per word; pack mode takes eight bytes a cycle, and one for each word.
    """
    if not (first.channels or first.pixel_map):
        return image_bytes // BEAT_BYTES + first.words + 6
    groups = first.planes or first.channels // first_pe
    words = first.words if first.value_channels else 0
    if first.pool:
        turns = max(4 * groups + 1, words)
        return first.rows // 2 * max(4 * (first.columns + 2), first.columns // 2 * turns + 2)
    turns = max(4 * groups, words) if words else groups
    return first.rows * max(3 * (first.columns + 2), first.columns * turns + 2)


class Engine(NamedTuple):
    """An image in the first layer's engine, as parts that are computed and written one after the other."""

    parts: int
    cycles: float
    """Cycles in which a part is computed"""
    writes: int
    """Cycles of the activation memory's port in which it is written"""
    gap: int
    """Cycles between two parts in which nothing is written"""
    lead: float
    """Cycles from its beginning to its first write, where the port is free"""
    latency: int
    """Cycles from its end to its last write, where the port is free"""
    ahead: float
    """Cycles for which it computes beyond what is written"""


def first_layer_engine(first: FirstLayer, first_pe: int, image_bytes: int) -> Engine:
    """How an image is computed and written: whole in pack mode, bits by rows, values by pairs of pixels."""
    cycles = first_layer_cycles(first, first_pe, image_bytes)
    if not (first.channels or first.pixel_map):
        return Engine(1, cycles, first.words, 0, WINDOW + BITS, WINDOW + BITS, WINDOW + BITS)
    rows, columns = first.output_size
    groups = first.planes or first.channels // first_pe
    ahead = WINDOW + RESULTS * cycles / (rows * columns * groups)
    if not first.value_channels:
        return Engine(rows, cycles / rows, columns * groups, 0, WINDOW + BITS, WINDOW + BITS, ahead)
    if first.words >= PAIR_WORDS:
        parts, gap, lead = rows * columns, 0, 0.0
    else:  # the words of a pair's first pixel wait for the second's
        parts = rows * ceil_div(columns, 2)
        gap, lead = first.words + 2, cycles / (2 * parts)
    latency = WINDOW + VALUES
    return Engine(parts, cycles / parts, first.words, gap, latency + lead, latency, ahead)


class _Span(NamedTuple):
    """Cycles in which the array takes the first `taken` of every `period` at the port of the activation memory."""

    begin: float
    end: float
    period: float
    taken: float

    def left(self, now: float) -> float:
        """Cycles that it leaves up to then."""
        periods, rest = divmod(now - self.begin, self.period)
        return periods * (self.period - self.taken) + max(0.0, rest - self.taken)

    def when(self, cycles: float) -> float:
        """When it has left so many."""
        periods = math.ceil(cycles / (self.period - self.taken)) - 1
        return self.begin + cycles + (periods + 1) * self.taken


class _Port:
    """The port of the activation memory that the array and the first layer share: the array's cycles come first."""

    def __init__(self) -> None:
        self.spans: deque[_Span] = deque()

    def take(self, begin: float, blocks: int, period: float, taken: float) -> None:
        """The array needs it for each of some blocks, behind those before."""
        if self.spans:
            begin = max(begin, self.spans[-1].end)
        if taken:
            self.spans.append(_Span(begin, begin + blocks * period, period, min(taken, period)))

    def give(self, begin: float, cycles: float) -> float:
        """When so many cycles are left from `begin` on, which is later from call to call."""
        while self.spans and self.spans[0].end <= begin:
            self.spans.popleft()
        for span in self.spans:
            before = max(0.0, span.begin - begin)
            if before >= cycles:
                break
            begin = max(begin, span.begin)
            cycles += span.left(begin) - before
            if cycles <= span.left(span.end):
                return span.when(cycles)
            cycles -= span.left(span.end)
            begin = span.end
        return begin + cycles


@dataclass(frozen=True)
class MemorySpeed:
    """What a memory gives the core: by default what is assumed of a PYNQ-Z1's.

    `latency`: cycles from a read address to its first beat. `bandwidth`: bytes per second of a port. `together`: those
    of two ports. Both are 0 without limit.
    """

    latency: int = 40
    bandwidth: float = 1e9
    together: float = 2.1e9


ASSUMED = MemorySpeed()
"""Where nothing else is said."""


def run_cycles(plan: Plan, images: int, keep: bool = False, memory: MemorySpeed = ASSUMED) -> int:
    """Cycles of one run of `images` images, from start to done.

    The three loops of the core are followed side by side: the weight stream, bounded by the bus and by the
    ring's room; the first layer, one sub-batch ahead; the array, layer by layer and group by group.

    Args:
        plan: what runs.
        images: image count, 0 or more.
        keep: the resident program is in the core already.
        memory: its speed.
    """
    return _Timeline(plan, keep, memory).cycles(images)


def first_rows(plan: Plan) -> list[float]:
    """When the first layer has written each row of the image in a run of one, with the program kept if it stays."""
    timeline = _Timeline(plan, True, ASSUMED)
    timeline.cycles(1)
    rows, _ = plan.first.output_size
    (parts,) = timeline.given
    return [parts[len(parts) * (row + 1) // rows - 1] for row in range(rows)]


class _Timeline:
    """One run of a plan in time; see `run_cycles`."""

    def __init__(self, plan: Plan, keep: bool, memory: MemorySpeed) -> None:
        self.plan, self.design, self.latency = plan, plan.design, memory.latency
        self.keep = keep and plan.resident
        full = BEAT_BYTES * plan.design.clock_mhz * 1e6  # bytes per second of a port with a beat in every cycle
        ports = plan.design.ports
        alone, both = (full / limit if limit else 0.0 for limit in (memory.bandwidth, memory.together))
        self.beat = max(1.0, alone)  # cycles of a beat through the port that carries all
        weights = max(self.beat / ports, both if ports > 1 else 0.0)  # of one of weights, through both
        self.word = plan.design.word_bytes // BEAT_BYTES * weights
        if ports > 1:
            self.word = max(self.word, BURST)
        self.ring: deque[tuple[int, float]] = deque()  # words and end of the groups in the ring
        self.held = 0
        self.stream = self.array = 0.0  # when the next weights come, when the array is free
        self.kept = 0.0  # when those are there that stay
        self.scores = 0  # of the batch before
        self.filled = 0  # words of the ring that came while those that stay were at work
        self.port = _Port()
        self.steps: list[tuple[int, int]] = []  # layers (-1: the first) and their ends
        self.given: list[list[float]] = []  # when the parts of each image of the sub-batch are written, as far as known
        self.first: Iterator[None] = iter(())  # goes on to the next of these
        self.loaded = self.written = 0.0  # when an image is in the buffer, when the first layer has written all before
        self.ends = 0.0, 0.0  # when the engine has read image n - 2, n - 1
        self.first_free = 0.0, 0.0  # when the array has read sub-batch n - 2, n - 1

    def cycles(self, images: int) -> int:
        if images == 0:
            return 2
        plan = self.plan
        now = 4.0
        if not self.keep:
            first = TABLE_BYTES + plan.first.channels * FirstBeat.size_bytes()
            first += plan.first.value_channels * FirstValue.size_bytes()
            for size in (Header.size_bytes(), len(plan.descriptors) * Descriptor.size_bytes(), first):
                now += self.latency + 8 + size // BEAT_BYTES * self.beat
        self.stream = now + self.latency + 8
        if not self.keep:
            self.stream += plan.staying_words * self.word
        # Images go first on the bus; these come before the weights that fill the ring once.
        image_bus = plan.image_bytes // BEAT_BYTES * self.beat
        ahead = min(images, 3 * plan.sub_batch + 2) if plan.resident and not self.keep else 0
        if plan.ring_base and not self.keep:  # what stays is there before the array begins
            packing = first_layer_cycles(plan.first, self.design.first_pe, plan.image_bytes)
            ahead = min(images, 2 * plan.sub_batch + 2)
            self.kept = self.stream + ahead * max(image_bus, packing)
        self.stream += ahead * image_bus
        self.array = now
        self.loaded = now + self.latency + 8
        self.ends = self.first_free = now, now
        self.written = now
        in_batch = 0
        # what frees the engine's buffer; the first layer in version 1
        frees = next((number for number, item in enumerate(plan.descriptors) if item.release_first), 0)
        for start in range(0, images, plan.sub_batch):
            count = min(plan.sub_batch, images - start)
            if in_batch == 0 and plan.ring_base:
                self._fill()
            self.given = [[] for _ in range(count)]
            self.first = self._first()
            self.stream += max(0, start + count - max(start, ahead)) * image_bus
            for index in range(plan.segment_a):
                item = plan.descriptors[index]
                by_rows = item.from_first and not (item.dense or item.by_image or item.vector or item.scores)
                if not (by_rows or item.early):
                    self._finish_first()
                    self.array = max(self.array, self.written + FILL)
                self._layer(index, count, by_rows)
                if index == frees:
                    self.first_free = self.first_free[1], self.array
            in_batch += count
            if in_batch == plan.batch or start + count == images:
                for index in range(plan.segment_a, len(plan.descriptors)):
                    self._layer(index, in_batch)
                self.scores = in_batch * plan.descriptors[-1].outputs
                in_batch = 0
        return int(self.array) + 8

    def _fill(self) -> None:
        """Follow the words of segment B that come while segment A is at work, behind the scores of the batch before: as
        many as its ring holds."""
        room = self.plan.ring_words
        self.filled = min(room, self.plan.words_b)
        self.stream += ceil_div(self.scores, 2) * self.beat + (room - self.held) * self.word
        for words, left in self.ring:
            self.stream = max(self.stream, left + self.latency + 12) + words * self.word
        self.ring.clear()
        self.held = 0

    def _first(self) -> Iterator[None]:
        """Follow the first layer through a sub-batch, whose images are those of `given`, part by part.

        A part is looked at when the array waits for it, so that all is known by then for which the array has taken the
        port.
        """
        plan = self.plan
        by_pixel = plan.first.channels > 0 or plan.first.pixel_map
        load = max(plan.model.height * plan.model.width if by_pixel else 0, plan.image_bytes // BEAT_BYTES * self.beat)
        engine = first_layer_engine(plan.first, self.design.first_pe, plan.image_bytes)
        if not by_pixel:
            engine, load = engine._replace(cycles=max(engine.cycles, int(load))), 0
        # the rows that the engine begins with
        first_rows = 2 + plan.first.pool + (not plan.first.pad and plan.first.channels > 0)
        lead = load * min(1.0, first_rows / plan.model.height)
        for rows in self.given:
            self.loaded = max(self.loaded, self.ends[0]) + load
            begin = max(self.loaded - load + lead + START, self.first_free[0] + START, self.ends[1])
            for part in range(engine.parts):
                last = part == engine.parts - 1
                begin = max(begin, self.written - engine.ahead, self.loaded + START if last else 0)
                place = max(begin + engine.lead, self.written + engine.gap)
                begin += engine.cycles
                self.written = max(begin + engine.latency, self.port.give(place, engine.writes))
                rows.append(self.written)
                yield
            self.ends = self.ends[1], begin
        self.steps.append((-1, int(self.written)))

    def _finish_first(self) -> None:
        """Follow the first layer to the end of the sub-batch."""
        for _ in self.first:
            pass

    def _layer(self, index: int, images: int, by_rows: bool = False) -> None:
        """Follow the array through one layer; `by_rows`: it waits for rows of the first layer."""
        layer, lanes = self.plan.descriptors[index], self.design.lanes
        blocks = layer.units(images, lanes) * layer.output_rows * layer.blocks
        steps = block_parts(layer, layer.shortcut).array
        words = layer.headers + layer.group_words
        gap = LOAD + 8 * layer.headers if layer.vector else GROUP_GAP + layer.headers - 1
        self.array += LAYER_START - GROUP_GAP
        tail = 0
        done = [0.0, 0.0]  # when the vector unit has group n - 2, n - 1
        follows = not (layer.vector or layer.scores)
        streamed, ring = index >= self.plan.staying, self.plan.ring_words
        for group in range(layer.groups):
            last = self.array
            self.array = max(last, done[0]) + gap
            there = -1.0  # when the group's words are in the ring
            if streamed:
                filled = min(words, self.filled)
                self.filled -= filled
                there = self.stream + (words - filled) * self.word if filled < words else there
                while self.held + words > ring:
                    waiting = self.held + words - ring  # words without room until then
                    freed, left = self.ring.popleft()
                    self.held -= freed
                    there = max(there, left + self.latency + 12 + min(waiting, words) * self.word)
                self.stream = max(self.stream, there)
            elif not self.keep:
                there = self.kept if self.plan.ring_base else self._resident(index, group)
            if group and follows and there <= last - AHEAD:
                self.array = last + FOLLOW
            self.array = max(self.array, there + WEIGHTS)
            word = group * self.design.pe // self.design.simd
            parts = block_parts(layer, layer.shortcut and VALUE_BITS * word < layer.shortcut_values)
            body: float = max(blocks * steps, FOLLOW_STEPS if follows else 4)
            if layer.vector and layer.scores:
                body = steps + blocks * max(steps, 8 * (layer.hand_overs + CHANNEL))
                tail = VECTOR - DRAIN
            elif layer.vector:
                behind = steps + parts.values + parts.results - parts.period
                after = max(done[1], self.array + behind) + blocks * parts.period
                ahead = min(blocks, QUEUES[0] // layer.hand_overs)  # blocks that the array may be ahead
                body = max(body, (blocks - ahead) * parts.period)
                done = [done[1], after]
                begin = after + VECTOR - PORT - blocks * parts.period
                if layer.average:  # all reads of a block, then its results
                    for block in range(blocks):
                        self.port.take(begin + block * parts.period, 1, parts.values, parts.port - layer.given_planes)
                        self.port.take(begin, 1, parts.results, layer.given_planes)
                else:
                    self.port.take(begin, blocks, parts.period, parts.port)
            elif layer.serial:
                columns = min(layer.out_columns, lanes // 2 if layer.pool else lanes)
                body = steps + (blocks - 1) * max(steps, SERIAL + columns)
                tail = SERIAL + columns
            elif layer.scores:
                classes = min(self.design.pe, layer.outputs - group * self.design.pe)
                body = 0
                for left_images in range(images, 0, -lanes):
                    emitted = min(left_images, lanes) * (1 + layer.outputs % 2) * max(self.beat, WRITE)
                    body += steps + SCORES + int((ceil_div(classes, 2) - 1) * max(emitted, PAIR))
                tail = int(emitted)
            if group == 0 and by_rows:
                body = max(body, self._rows(layer, layer.blocks * steps) - self.array)
            self.array += body
            if not layer.vector:
                self.port.take(self.array + LAYER_END - body, blocks, body / blocks, parts.port)
            if streamed:
                self.ring.append((words, self.array))
                self.held += words
        if layer.vector and not layer.scores:
            self.array = done[1] + VECTOR - (16 if layer.average else 0)
        else:
            self.array += DRAIN + tail if layer.serial or layer.scores else LAYER_END
        self.steps.append((index, int(self.array)))

    def _rows(self, layer: Descriptor, cycles: int) -> float:
        """When a layer's first group ends, whose rows, of so many cycles each, wait for those of the first layer."""
        at, first = self.array, self.plan.first
        height, _ = first.output_size
        more = layer.source_row + layer.kernel[0] + layer.pool - layer.padding
        step = 2 if layer.pool or layer.stride2 else 1
        parts = first_layer_engine(first, self.design.first_pe, self.plan.image_bytes).parts
        for rows in self.given:
            for y in range(0, layer.rows * (2 if layer.stride2 else 1), step):
                needed = parts * min(height, y + more) // height
                while len(rows) < needed:
                    next(self.first)
                there = rows[needed - 1] + ROW
                if at < there:
                    at = max(at + ROW_GAP, there)
                at += cycles
        if layer.early:
            return at
        self._finish_first()
        return max(at, self.written + ROW)

    def _resident(self, index: int, group: int) -> float:
        """When the stream that fills the ring once has brought a group."""
        plan = self.plan
        before = sum(item.weight_words - item.weights_back for item in plan.descriptors[:index])
        words = before + (group + 1) * (plan.descriptors[index].weight_words // plan.descriptors[index].groups)
        after = plan.staying_words - words
        return self.stream - after * self.word
