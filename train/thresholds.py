"""Thresholds, read off what a function gives at every integer that can occur."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import numpy as np


class NotMonotone(Exception):
    """A channel's bits change more than once, or some of its planes rise and others fall."""

    def __init__(self, channel: int) -> None:
        super().__init__(f"channel {channel} is not monotone")
        self.channel = channel


def read_off(parts: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Where bits change along ascending integers, as `bit_k = (integer >= T_k) xor flip` says it.

    Args:
        parts: bool (K, S, C), of K planes at S integers; of each part of the integers, one after the other.

    Returns:
        index (K, C) of the integer at which each plane changes (that of their number: never), and flip (C,).

    Raises:
        NotMonotone: no thresholds do.
    """
    parts = iter(parts)
    first = next(parts)
    total, last = 0, first[:, :1]
    ones, rises, falls = (np.zeros((len(first), first.shape[2]), np.int64) for _ in range(3))
    for bits in chain([first], parts):
        edges = np.concatenate([last, bits[:, :-1]], axis=1) != bits
        total, last = total + bits.shape[1], bits[:, -1:].copy()
        if edges.any():
            ones += np.count_nonzero(bits, axis=1)
            rises += np.count_nonzero(edges & bits, axis=1)
            falls += np.count_nonzero(edges & ~bits, axis=1)
        else:
            ones += bits.shape[1] * last[:, 0]
    bad = ((rises + falls).max(axis=0) > 1) | (rises.any(axis=0) & falls.any(axis=0))
    if bad.any():
        raise NotMonotone(int(bad.argmax()))
    flip = falls.any(axis=0)
    # a constant plane: with flip, never for all 1 and always for all 0; else the reverse
    return np.where(flip, ones, total - ones), flip
