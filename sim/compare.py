"""Traces compared layer by layer, with the place of the first difference."""

from __future__ import annotations

from typing import Dict, List

import numpy as np

from bnn.model import Model


def by_name(model: Model, traces: Dict[int, np.ndarray]) -> Dict[str, np.ndarray]:
    """Name the traces of a core by the model's layers.

    Args:
        traces: key -1 is the first-layer engine, key j array layer j; uint8 (N, H, W, C).

    Returns:
        layer name -> bits, without the channels that fill up a core's last group; a packed input is named `input`.
    """
    shift = 0 if model.layers[0].kind == "dense" else 1
    named = {}
    for key, bits in traces.items():
        if key + shift < 0:
            named["input"] = bits
        else:
            layer = model.layers[key + shift]
            named[layer.name] = bits[..., : layer.outputs]
    return named


def differences(expected: Dict[str, np.ndarray], got: Dict[str, np.ndarray]) -> List[str]:
    """One line per layer that differs: layer, image, pixel, channel, expected and got, and how many bits.

    Args:
        expected: bits of every layer by name, uint8 (N, H, W, C) or (N, C).
        got: the same from a core; a missing layer is a difference.
    """
    lines = []
    for name, bits in expected.items():
        if name not in got:
            lines.append(f"{name}: no trace")
            continue
        other = got[name]
        if other.size != bits.size:
            lines.append(f"{name}: shape {other.shape}, expected {bits.shape}")
            continue
        whole = bits if bits.ndim == 4 else bits[:, None, None, :]
        wrong = np.argwhere(whole != other.reshape(whole.shape))
        if len(wrong):
            image, y, x, channel = wrong[0]
            want = whole[image, y, x, channel]
            lines.append(
                f"{name}: image {image}, pixel ({y}, {x}), channel {channel}: expected {want}, got {1 - want}; "
                f"{len(wrong)} of {whole.size} bits differ"
            )
    return lines
