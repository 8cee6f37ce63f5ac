"""Thresholds, read off what a function gives at every integer that can occur."""

from __future__ import annotations

import numpy as np


class NotMonotone(Exception):
    """A channel's bits change more than once, or some of its planes rise and others fall."""

    def __init__(self, channel: int) -> None:
        super().__init__(f"channel {channel} is not monotone")
        self.channel = channel


def read_off(bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where bits change along ascending integers, as `bit_k = (integer >= T_k) xor flip` says it.

    Args:
        bits: bool (K, S, C), of K planes at S integers.

    Returns:
        index (K, C) of the integer at which each plane changes (S: never), and flip (C,).

    Raises:
        NotMonotone: no thresholds do.
    """
    rises, falls = (bits[:, 1:] & ~bits[:, :-1]).sum(axis=(0, 1)), (bits[:, :-1] & ~bits[:, 1:]).sum(axis=(0, 1))
    changes = (bits[:, 1:] != bits[:, :-1]).sum(axis=1).max(axis=0)
    bad = (changes > 1) | ((rises > 0) & (falls > 0))
    if bad.any():
        raise NotMonotone(int(bad.argmax()))
    flip = falls > 0
    # a constant plane: with flip, never for all 1 and always for all 0; else the reverse
    return np.where(flip, bits.sum(axis=1), (~bits).sum(axis=1)), flip
