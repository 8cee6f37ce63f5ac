"""When a wired network takes pixels and gives scores, cycle by cycle: queues and latency follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bnn.model import Model
from hls.wired import beats, pixels, verilog
from hls.wired.beats import Beat

if TYPE_CHECKING:
    from hls.wired.network import Engine

QUEUE_IMAGES = 4
"""Images after which the queues of a steady stream do not grow any more."""


class Schedule(NamedTuple):
    """Cycle of each image's last score; the most words in each queue."""

    done: list[int]
    queues: list[int]


def queued(item: pixels.Placed, passes: int) -> bool:
    """Whether a layer takes its map more slowly than it comes, and has a queue for it."""
    return passes > 1 or item.parts > 1


def _vectors(arrivals: list[int], item: pixels.Placed, passes: int) -> tuple[list[int], list[int]]:
    """The cycles in which a layer's engines start on vectors, and those in which words are taken.

    Args:
        arrivals: cycle in which each word can be taken, image after image.
        item: the layer.
        passes: cycles in which the vector must stay.
    """
    starts: list[int] = []
    taken: list[int] = []
    free = tail = 0
    conv, pad, height, row = item.layer.kind == "conv", item.layer.pad, item.shape.input[0], item.takes.row

    def emit(cycle: int) -> int:
        starts.append(cycle + 1)
        return cycle + passes

    for number, arrival in enumerate(arrivals):
        y, x = divmod(number % (height * row), row)
        while tail and y == x == 0 and free < arrival:
            free, tail = emit(free), tail - 1
        cycle = max(free, arrival)
        if conv and pad:
            emits = tail > 0 or y > 1 or (y == 1 and x > 0)
        else:
            emits = (y >= 2 and x >= item.skip) if conv else (y == height - 1 and x == row - 1)
        free = emit(cycle) if emits else cycle + 1
        taken.append(cycle)
        tail = max(0, tail - 1)
        if conv and pad and y == height - 1 and x == row - 1:
            tail = row + 1
    while tail:
        free, tail = emit(free), tail - 1
    return starts, taken


def steady(model: Model, images: int, beat: Beat = beats.PIXEL) -> list[int]:
    """Cycle of each beat of some images that follow each other without a gap."""
    count, period = beats.beats(model, beat), beats.period_cycles(model, beat)
    return [image * period + number for image in range(images) for number in range(count)]


def schedule(model: Model, built: list[Engine], cycles: list[int], beat: Beat = beats.PIXEL) -> Schedule:
    """When the scores of some images come and how full the queues are, the sink never stalled.

    Args:
        model: the network.
        built: its engines.
        cycles: the cycle in which each beat of the images is taken, rising.
        beat: of whole pixels.
    """
    classes = len(model.classes)
    images = len(cycles) // beats.beats(model, beat)
    times = [cycle + 1 for cycle in cycles]
    queues = []
    for item, engine in zip(pixels.place(model, beat.pixels), built, strict=True):
        conv, passes = item.layer.kind == "conv", engine.task.passes
        queue = 0
        if conv or item.words > 1 or passes > 1:
            waits = queued(item, passes)
            ready = np.array(times) + waits  # a cycle in the queue
            parts = np.full(len(ready), item.parts)
            parts[:: item.comes.row] -= item.left_out
            times, taken = _vectors(np.repeat(ready, parts).tolist(), item, passes)
            if waits:
                gone = np.array(taken)[parts.cumsum() - 1]  # with its last part a word leaves the queue
                queue = int((np.arange(1, len(ready) + 1) - np.searchsorted(gone, ready)).max())
        queues.append(queue)
        late = verilog.latency(engine.graph) + (passes if passes > 1 else 0)
        times = [time + late for time in times]
        if item.layer is model.layers[-1]:
            break
        if item.layer.pool:
            height, row = item.shape.convolved[0], item.computes.row
            step = 2 if item.computes.pixels == 1 else 1  # words that make one
            times = [
                times[image * height * row + (2 * y + 1) * row + step * x + step - 1]
                for image in range(images)
                for y in range(height // 2)
                for x in range(row // step)
            ]
        times = [time + 1 for time in times]
    done, free = [], 0
    for time in times:
        free = max(free, time) + classes
        done.append(free + 4)
    return Schedule(done, queues)


def latency_cycles(model: Model, built: list[Engine], beat: Beat = beats.PIXEL) -> int:
    """Cycles from an image's first beat to its last score, nothing stalled and no other image behind it."""
    return schedule(model, built, steady(model, 1, beat), beat).done[0]
