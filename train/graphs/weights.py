"""Real weights as bases: multiples of a unit that a few bits each hold."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bnn.layers import bit_shifts
from bnn.rules import MAX_BASES


class Ends(NamedTuple):
    """Bits to which real weights of the first layer and pixels are rounded, and those of the last and what it reads."""

    first: int = 8
    pixels: int = 8
    last: int = 8
    reads: int = 8


ROUNDING = 1e-6
"""Of the greatest magnitude: numbers that follow each other by no more are one level."""


class Levels:
    """The distinct numbers of what is added part by part; what differs by rounding only is one."""

    def __init__(self) -> None:
        self._scale = 0.0
        self._low, self._high = np.empty(0), np.empty(0)  # of every level, its least and greatest number

    def add(self, values: np.ndarray) -> None:
        """More numbers, of any shape."""
        kept = np.ones(values.shape, bool)
        kept[1:] = values[1:] != values[:-1]  # of millions of sums few differ from the one before
        found = np.unique(values[kept].astype(np.float64))
        if len(self._low):
            at = np.searchsorted(self._low, found, "right") - 1
            found = found[(at < 0) | (found > self._high[at])]
        if not len(found):
            return
        self._scale = max(self._scale, float(np.abs(found).max()))
        low, high = np.append(self._low, found), np.append(self._high, found)
        order = np.argsort(low, kind="stable")
        low, high = low[order], np.maximum.accumulate(high[order])
        # the scale only grows, so that what is one level stays one
        first = np.append(True, low[1:] - high[:-1] > ROUNDING * self._scale)
        self._low, self._high = low[first], high[np.append(first[1:], True)]

    @property
    def numbers(self) -> np.ndarray:
        """The least number of each level, ascending."""
        return self._low


def levels_of(values: np.ndarray) -> np.ndarray:
    """The levels of one array."""
    levels = Levels()
    levels.add(values)
    return levels.numbers


def unit_of_levels(levels: np.ndarray) -> float:
    """The unit of which all differences are multiples, 0: there is none."""
    gaps = np.diff(levels)
    if not len(gaps):
        return 1.0
    unit = float(gaps.min())
    multiples = gaps / unit
    if np.abs(multiples - np.rint(multiples)).max() > 1e-3:
        return 0.0
    span = levels[-1] - levels[0]
    return float(span / np.rint(span / unit))


class Weights(NamedTuple):
    """Weights as `unit[o] * sum over bases of 2^shift * (+-1)`, and whether they are exactly that."""

    bits: np.ndarray  # (M, O, ...)
    shifts: tuple[int, ...]
    unit: np.ndarray  # (O,)
    exact: bool


def _integers_of(weights: np.ndarray, unit: np.ndarray) -> np.ndarray | None:
    ratio = weights / unit
    whole = np.rint(ratio)
    if np.abs(whole).max() > 255 or np.abs(ratio - whole).max() > 1e-3:
        return None
    return np.asarray(whole.astype(np.int64))


def _refined(odd: np.ndarray, unit: np.ndarray, weights: np.ndarray, covariance: np.ndarray, most: int) -> np.ndarray:
    """Odd multiples (O, n) of `unit` near `weights` whose products with inputs of that covariance (n, n) vary least.

    None is beyond `most`.
    One weight of every output goes up or down by one step at a time, whichever is best, while that helps.
    """
    odd = odd.copy()
    step = 2 * unit[:, None]
    error = odd * unit[:, None] - weights
    slope, own, outputs = error @ covariance, np.diag(covariance), np.arange(len(odd))
    for _ in range(4 * odd.shape[1]):
        changes = [2 * sign * step * slope + step**2 * own for sign in (1, -1)]
        changes = [
            np.where(np.abs(odd + 2 * sign) > most, np.inf, change)
            for sign, change in zip((1, -1), changes, strict=True)
        ]
        up = changes[0] < changes[1]
        change = np.minimum(*changes)
        best = change.argmin(1)
        helps = change[outputs, best] < -1e-9 * (error**2 * own).sum(1).clip(1e-30)
        if not helps.any():
            break
        turn = np.where(up[outputs, best], 1, -1) * helps
        odd[outputs, best] += 2 * turn
        moved = turn * step[:, 0]
        error[outputs, best] += moved
        slope += moved[:, None] * covariance[best]
    return odd


def decompose(
    weights: np.ndarray, rounded: bool, common: bool = False, covariance: np.ndarray | None = None, bits: int = 8
) -> Weights | None:
    """Real weights (O, ...) as bases.

    Args:
        weights: float.
        rounded: whether they may be rounded to so many `bits`, of 8 the 255 odd multiples of a unit.
        common: whether rounded weights have one unit for all outputs.
        covariance: of what they are multiplied with, where it is known; rounded weights are chosen by it.

    Returns:
        None: they are not multiples of a unit that 8 bases hold, and may not be rounded.
    """
    flat = weights.reshape(len(weights), -1).astype(np.float64)
    rows = (-1,) + (1,) * (weights.ndim - 1)
    for part in (flat.reshape(1, -1), flat):
        units = []
        for row in part:
            magnitudes = levels_of(np.abs(row))
            positive = magnitudes[magnitudes > 1e-6 * max(1e-30, magnitudes[-1])]
            gaps = np.diff(positive)
            units.append(min([*positive[:1], *gaps]) if len(positive) else 1.0)
        unit = np.broadcast_to(np.array(units), (len(weights),)).copy()
        whole = _integers_of(weights, unit.reshape(rows))
        if whole is None:
            continue
        most = int(np.abs(whole).max())
        if (whole % 2).all():
            count = max(1, int(most).bit_length())
            shifts = bit_shifts(count)
            codes = (whole + (1 << count) - 1) // 2
        else:  # even numbers: the last exponent twice
            count = max(1, int(np.ceil(np.log2(2 * most)))) + 1 if most else 2
            shifts = (*range(count - 2, -1, -1), 0)
            codes, unit = (2 * whole + (1 << count - 1)) // 2, unit / 2
        if count <= MAX_BASES:
            return Weights(_base_bits(codes, shifts), shifts, unit, True)
    if not rounded:
        return None
    most_of = np.abs(flat).max(1)
    most = (1 << bits) - 1
    unit = (np.full(len(weights), most_of.max()) if common else np.maximum(most_of, 1e-30)) / most
    odd = np.clip(2 * np.floor(weights / (2 * unit.reshape(rows))) + 1, -most, most).astype(np.int64)
    if covariance is not None:
        odd = _refined(odd.reshape(flat.shape), unit, flat, covariance, most).reshape(odd.shape)
    shifts = bit_shifts(bits)
    return Weights(_base_bits((odd + most) // 2, shifts), shifts, unit, False)


def _base_bits(codes: np.ndarray, shifts: tuple[int, ...]) -> np.ndarray:
    """The bits with which `sum of 2^shift * bit` is `codes`, (M, ...)."""
    bits = []
    rest = codes.copy()
    for shift in shifts:
        bit = rest >= 1 << shift
        rest = rest - (bit << shift)
        bits.append(bit)
    assert not rest.any()
    return np.stack(bits).astype(np.uint8)
