"""When a wired network takes pixels and gives scores, cycle by cycle: folding, queues and latency follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bnn.geometry import ceil_div, walk
from bnn.model import Model, shapes
from hls.wired import verilog

if TYPE_CHECKING:
    from hls.wired.network import Engine

QUEUE_IMAGES = 4
"""Images after which the queues of a steady stream do not grow any more."""


class Schedule(NamedTuple):
    """Cycle of each image's last score; the most pixels in each queue."""

    done: list[int]
    queues: list[int]


def _vectors(arrivals: list[int], height: int, width: int, pad: int, conv: bool, passes: int) -> tuple[list[int], int]:
    """The cycles in which a layer's engine starts on a vector, and the most pixels waiting before it.

    Args:
        arrivals: cycle in which each pixel can be taken, image after image.
        height: of the map.
        width: of the map.
        pad: of a convolution.
        conv: windows, otherwise a vector per map.
        passes: cycles in which the vector must stay.
    """
    starts: list[int] = []
    taken: list[int] = []
    free = tail = 0

    def emit(cycle: int) -> int:
        starts.append(cycle + 1)
        return cycle + passes

    for number, arrival in enumerate(arrivals):
        y, x = divmod(number % (height * width), width)
        while tail and y == x == 0 and free < arrival:
            free, tail = emit(free), tail - 1
        cycle = max(free, arrival)
        if conv and pad:
            emits = tail > 0 or y > 1 or (y == 1 and x > 0)
        else:
            emits = (y >= 2 and x >= 2) if conv else (y == height - 1 and x == width - 1)
        free = emit(cycle) if emits else cycle + 1
        taken.append(cycle)
        tail = max(0, tail - 1)
        if conv and pad and y == height - 1 and x == width - 1:
            tail = width + 1
    while tail:
        free, tail = emit(free), tail - 1
    waiting = np.arange(1, len(arrivals) + 1) - np.searchsorted(taken, arrivals)
    return starts, int(waiting.max())


def steady(model: Model, images: int) -> list[int]:
    """Cycle of each pixel of some images that follow each other without a gap."""
    pixels, period = model.height * model.width, period_cycles(model)
    return [image * period + pixel for image in range(images) for pixel in range(pixels)]


def schedule(model: Model, built: list[Engine], pixels: list[int]) -> Schedule:
    """When the scores of some images come and how full the queues are, the sink never stalled.

    Args:
        model: the network.
        built: its engines.
        pixels: the cycle in which each pixel of the images is taken, rising.
    """
    classes = len(model.classes)
    images = len(pixels) // (model.height * model.width)
    times = [cycle + 1 for cycle in pixels]
    queues = []
    for layer, item, shape in zip(model.layers, built, walk(model), strict=True):
        height, width, _ = shape.input
        conv, passes = layer.kind == "conv", item.task.passes
        if conv or height * width > 1 or passes > 1:
            ready = [time + (passes > 1) for time in times]  # a cycle in the queue
            times, queue = _vectors(ready, height, width, layer.pad, conv, passes)
        else:
            queue = 0
        queues.append(queue)
        late = verilog.latency(item.graph) + (passes if passes > 1 else 0)
        times = [time + late for time in times]
        if layer is model.layers[-1]:
            break
        height, width = shape.convolved
        if layer.pool:
            times = [
                times[image * height * width + (2 * y + 1) * width + 2 * x + 1]
                for image in range(images)
                for y in range(height // 2)
                for x in range(width // 2)
            ]
        times = [time + 1 for time in times]
    done, free = [], 0
    for time in times:
        free = max(free, time) + classes
        done.append(free + 4)
    return Schedule(done, queues)


def latency_cycles(model: Model, built: list[Engine]) -> int:
    """Cycles from an image's first pixel to its last score, nothing stalled and no other image behind it."""
    return schedule(model, built, steady(model, 1)).done[0]


def beats(model: Model, beat: int = 0) -> int:
    """Beats per image: of `beat` bits, one per channel of a pixel, or a pixel each where `beat` is 0."""
    pixels = model.height * model.width
    return ceil_div(pixels * model.channels, beat) if beat else pixels


def period_cycles(model: Model, beat: int = 0) -> int:
    """Cycles per image in a steady stream."""
    return max(beats(model, beat), len(model.classes))


def folds(model: Model) -> list[int]:
    """The most passes that each layer has time for while images follow each other without a gap."""
    shapes(model)
    result = []
    for layer, item in zip(model.layers, walk(model), strict=True):
        (height, width, _), conv = item.input, layer.kind == "conv"
        vectors = item.convolved[0] * item.convolved[1]
        # a cycle for each pixel that completes no vector
        spare = period_cycles(model) - max(0, height * width - vectors)
        of_pixels = conv and layer is model.layers[0]
        result.append(1 if of_pixels else max(1, min(layer.outputs, spare // vectors)))
    return result
