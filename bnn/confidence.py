"""Probabilities of classes from a model's integer scores (Guo et al., arXiv 1706.04599, section 4.2).

Scores divided by the model's temperature are logits. The temperature changes no decision: it is positive.
"""

from __future__ import annotations

import numpy as np


def probabilities(scores: np.ndarray, temperature: float) -> np.ndarray:
    """Softmax of scores (N, classes) over the temperature: float64 (N, classes), every row's sum is 1."""
    logits = scores.astype(np.float64) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def calibration_error(found: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error: by how much the highest probability and the share of right answers differ.

    Args:
        found: probabilities (N, classes).
        labels: classes (N,).
        bins: of equal width, whose differences are weighted by their images.
    """
    best = found.max(axis=1)
    right = found.argmax(axis=1) == labels
    bin_of = np.minimum((best * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(bin_of, weights=best - right, minlength=bins)
    return float(np.abs(gaps).sum() / max(1, len(labels)))
