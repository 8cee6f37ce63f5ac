"""Bits to memory words: element 0 in the least significant bit, bytes little-endian."""

from __future__ import annotations

import numpy as np


def words_for(count: int, simd: int) -> int:
    """Words of ``simd`` bits that ``count`` bits take."""
    return -(-count // simd)


def pack_words(bits: np.ndarray, simd: int, fill: int = 0) -> np.ndarray:
    """Pack the innermost axis into words of ``simd`` bits.

    Args:
        bits: 0 or 1, (..., count).
        simd: bits of a word, a multiple of 8.
        fill: the unused bits of the last word; 0 for activations, 1 for weights.

    Returns:
        uint8 (..., words, simd / 8), the bytes of every word, least significant first.

    Raises:
        ValueError: ``simd`` is not a positive multiple of 8.
    """
    if simd <= 0 or simd % 8:
        raise ValueError(f"SIMD is {simd}, expected a positive multiple of 8")
    count = bits.shape[-1]
    words = words_for(count, simd)
    padded = np.full((*bits.shape[:-1], words * simd), fill, np.uint8)
    padded[..., :count] = bits
    return np.packbits(padded, axis=-1, bitorder="little").reshape(*bits.shape[:-1], words, simd // 8)


def unpack_words(words: np.ndarray, count: int) -> np.ndarray:
    """The first ``count`` bits of words as ``pack_words`` gives them.

    Args:
        words: uint8 (..., words, bytes of a word).
        count: bits wanted.

    Returns:
        uint8 0 or 1, (..., count).

    Raises:
        ValueError: the words hold fewer bits.
    """
    size = words.shape[-2] * words.shape[-1]
    if count > 8 * size:
        raise ValueError(f"the words hold {8 * size} bits, expected {count}")
    flat = np.ascontiguousarray(words).reshape(*words.shape[:-2], size)
    return np.unpackbits(flat, axis=-1, bitorder="little")[..., :count]
