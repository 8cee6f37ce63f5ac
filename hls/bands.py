"""Bands: rows of the first array layers of one image, run while the first layer is at work on it.

With a batch of one image the array would wait for the first layer, then run layer after layer. A chain of convolutions
without padding, each of which alone reads what the one before writes, can go on by bands of rows instead: rows of the
second layer as soon as the first has made what they read, and so on. A band is an array layer of its own, with the same
weights: the ring goes back for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bnn.contract import Descriptor
from hls.cycles import FOLLOW, LAYER_END, LAYER_START, ROW, block_parts


class Band(NamedTuple):
    """Rows of an array layer's output, `rows` of them from row `first` on."""

    layer: int
    first: int
    rows: int


def chain(descriptors: Sequence[Descriptor], readers: Sequence[int]) -> int:
    """How many of the first array layers can run by bands.

    Args:
        descriptors: of all array layers.
        readers: how many layers read what each writes.
    """
    count = 0
    for number, item in enumerate(descriptors):
        by_pixel = not (item.dense or item.by_image or item.serial or item.vector)
        if not by_pixel or item.padding or item.from_first != (number == 0):
            break
        if number and (readers[number - 1] != 1 or item.source_even != descriptors[number - 1].dest_base):
            break
        count += 1
    return count


def rows_read(item: Descriptor, rows: int) -> int:
    """Rows of its source that the first `rows` rows of a layer's output read, without padding."""
    return (2 * rows if item.pool else rows) + item.kernel[0] - 1


class _Way(NamedTuple):
    """Bands one after the other, and when the last one ends."""

    end: float
    bands: tuple[Band, ...]


def choose(layers: Sequence[Descriptor], given: Sequence[float], most: int) -> list[tuple[Band, ...]]:
    """Ways to cut a chain of layers into bands: for each number of them, up to `most`, that with which it ends first.

    The ends are estimates; a number of bands with which the chain ends no sooner than with fewer is left out.

    A layer but the first always goes on with all rows that it can. The ring of weights only goes on to the next layer,
    or back, so the last band is one of the last layer.

    Args:
        layers: the chain.
        given: when the first layer has written each of its rows.
        most: bands that there is room for, no less than layers.
    """
    whole = tuple(item.output_rows for item in layers)
    costs = [block_parts(item, False).array * item.blocks for item in layers]

    def end(at: float, number: int, first: int, rows: int) -> float:
        item = layers[number]
        at += LAYER_START
        for row in range(first, rows):
            if number == 0:
                at = max(at, given[rows_read(item, row + 1) - 1] + ROW)
            at += costs[number]
        return at + (item.groups - 1) * ((rows - first) * costs[number] + FOLLOW) + LAYER_END

    # Ways to have done some rows of each layer, by the layer of the last band; none is later and longer than another.
    ways: dict[tuple[tuple[int, ...], int], list[_Way]] = {((0,) * len(layers), -1): [_Way(0.0, ())]}
    waiting = [next(iter(ways))]
    while waiting:
        waiting.sort(key=lambda key: sum(key[0]), reverse=True)
        key = waiting.pop()
        done, last = key
        for number in range(min(last + 2, len(layers))):
            if number == last:
                continue
            able = whole[number]
            if number:
                while able > done[number] and rows_read(layers[number], able) > done[number - 1]:
                    able -= 1
            if able <= done[number]:
                continue
            for rows in range(done[number] + 1, able + 1) if number == 0 else (able,):
                to = (*done[:number], rows, *done[number + 1 :]), number
                for way in ways[key]:
                    if len(way.bands) == most:
                        continue
                    band = Band(number, done[number], rows - done[number])
                    new = _Way(end(way.end, number, done[number], rows), (*way.bands, band))
                    if to not in ways:
                        ways[to] = []
                        waiting.append(to)
                    others = ways[to]
                    if any(other.end <= new.end and len(other.bands) <= len(new.bands) for other in others):
                        continue
                    others[:] = [other for other in others if other.end < new.end or len(other.bands) < len(new.bands)]
                    others.append(new)
    return [way.bands for way in sorted(ways[whole, len(layers) - 1], key=lambda way: len(way.bands))]
