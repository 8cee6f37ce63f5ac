"""Bits in the words that the kernels read, and products of whole matrices of bits."""

from __future__ import annotations

import numpy as np

from bnn.geometry import ceil_div
from gpu.build import GpuError
from gpu.device import POPCOUNT, STAGE_WORDS, TENSOR_CORES, WORD, Buffer, Device, Product

NEVER = np.iinfo(np.int32).max
"""A limit that no value reaches."""


def words_of(bits: int) -> int:
    """Words that hold so many bits."""
    return ceil_div(bits, WORD)


def aligned_words_of(bits: int) -> int:
    """The same, rounded up to whole vectors of 16 bytes, which is what a row is best read by."""
    return ceil_div(words_of(bits), 4) * 4


def pack(bits: np.ndarray, words: int) -> np.ndarray:
    """Bits (..., C) as words (..., words), element 0 in the least significant bit; the bits behind them are 0."""
    padded = np.zeros((*bits.shape[:-1], words * WORD), np.uint8)
    padded[..., : bits.shape[-1]] = bits
    return np.packbits(padded, axis=-1, bitorder="little").view("<u4")


def unpack(words: np.ndarray, bits: int) -> np.ndarray:
    """Words (..., W) as bits (..., bits), uint8."""
    return np.unpackbits(words.astype("<u4", copy=False).view(np.uint8), axis=-1, count=bits, bitorder="little")


def rows_of_weights(weights: np.ndarray, words: int) -> np.ndarray:
    """Weights (O, taps, C), bits, as rows of words (O, depth): `words` for each tap, then zeros to whole stages."""
    outputs, taps = weights.shape[:2]
    depth = ceil_div(taps * words, STAGE_WORDS) * STAGE_WORDS
    rows = np.zeros((outputs, depth), np.uint32)
    rows[:, : taps * words] = pack(weights, words).reshape(outputs, -1)
    return rows


def constants(weights: np.ndarray, path: str) -> np.ndarray:
    """What the number of matches exceeds a kernel's value by, int64 (O,), of weights (O, ...), bits."""
    flat = weights.reshape(len(weights), -1)
    ones = flat.sum(1, dtype=np.int64)
    return np.asarray(flat.shape[1] - (ones if path == TENSOR_CORES else 0 * ones))


def limits_of(thresholds: np.ndarray, constant: np.ndarray | int, words: int) -> np.ndarray:
    """Thresholds (O,) on matches or sums as limits on a kernel's values, int32 (32 * words,)."""
    limits = np.full(words * WORD, NEVER, np.int64)
    limits[: len(thresholds)] = thresholds.astype(np.int64) - constant
    return limits.astype(np.int32)


class MatrixProduct:
    """a (m, k) times the transpose of b (n, k), of bits for +1 and -1.

    Args:
        device: where.
        a, b: bits, uint8.
        path: one of PATHS.
        thresholds: int (n,) on the number of matches: the result is bits (m, n); None: sums of +-1, int32 (m, n).
        flip: bool (n,): bits that are inverted.
        tile: one of TILES; None: by the size.

    Raises:
        GpuError: sizes that do not go together, or what the GPU says.
    """

    def __init__(
        self,
        device: Device,
        a: np.ndarray,
        b: np.ndarray,
        path: str,
        thresholds: np.ndarray | None = None,
        flip: np.ndarray | None = None,
        tile: str | None = None,
    ) -> None:
        if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or not (a.size and b.size):
            raise GpuError(f"matrices: are {a.shape} and {b.shape}, expected (m, k) and (n, k)")
        self._device, self._tile = device, tile
        self.shape = len(a), len(b)
        self.depth = a.shape[1]
        self.words = aligned_words_of(self.depth)
        out_words = words_of(len(b))
        rows, constant = rows_of_weights(b[:, None], self.words), constants(b, path)
        self.a = device.put(pack(a, self.words))
        self._ones = device.empty(4 * len(a)) if path != POPCOUNT else None
        self._kept: dict[str, Buffer] = {"maps": self.a, "weights": device.put(rows)}
        self._bits = thresholds is not None
        if thresholds is not None:
            inverted = np.zeros((1, len(b)), np.uint8) if flip is None else flip[None]
            self._kept["limits"] = device.put(limits_of(thresholds, constant, out_words))
            self._kept["flip"] = device.put(pack(inverted, out_words))
            self._kept["bits"] = device.empty(4 * len(a) * out_words)
        else:  # 2 * matches - depth
            self._kept["scale"] = device.put(np.full(len(b), 2, np.int32))
            self._kept["offset"] = device.put((2 * constant - self.depth).astype(np.int32))
            self._kept["scores"] = device.empty(4 * len(a) * len(b))
        sizes = {"images": len(a), "height": 1, "width": 1, "words": self.words, "kernel": 1}
        self._product = Product(
            **{name: buffer.address for name, buffer in self._kept.items()},
            **sizes,
            computed_rows=1,
            computed_columns=1,
            outputs=len(b),
            out_words=out_words,
            depth=rows.shape[1],
        )

    def start(self) -> None:
        """Start the kernels."""
        self._device.multiply(self._product, self._ones, self._tile)

    def result(self) -> np.ndarray:
        """Bits, uint8 (m, n), or sums, int32 (m, n); once the kernels have run."""
        rows, columns = self.shape
        if not self._bits:
            return self._kept["scores"].download(self.shape, np.int32)
        return unpack(self._kept["bits"].download((rows, words_of(columns)), np.uint32), columns)
