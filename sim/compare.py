"""Traces compared layer by layer, with the place of the first difference."""

from __future__ import annotations

from typing import Dict, List, Mapping, Tuple, Union

import numpy as np

from bnn.golden import Output
from bnn.model import Model
from hls.schedule import Plan


def by_name(placed: Union[Plan, Model], traces: Mapping[int, Output]) -> Dict[str, np.ndarray]:
    """Name what a core's layers have written as `bnn.golden.trace` does.

    Args:
        placed: the plan whose program the core ran; or its model, where that is of version 1 (its first layer may run
            on the array).
        traces: key -1 is the first layer, key j array layer j.

    Returns:
        Layer name -> bits (N, H, W, C), or (N, K, H, W, C) of several planes, and `<name>.value` -> values that are
        written. Channels that fill up a core's last group are left out, as are layers that only move a value; what the
        array reads as planes of pixels is named `input`.
    """
    named: Dict[str, np.ndarray] = {}
    if isinstance(placed, Model):
        head = placed.layers[0]
        has_first = max(traces) < len(placed.layers) - 2  # else it is on the array, all but the scores are
        stages = [(layer.name, layer.outputs, False) for layer in placed.layers[has_first:]]
    else:
        has_first, head = bool(placed.first.channels), placed.model.layers[0]
        stages = [(stage.name, stage.outputs, stage.moves) for stage in placed.stages]
    for key, output in sorted(traces.items()):
        name, outputs, moves = stages[key] if key >= 0 else ("input", None, False)
        if moves:
            continue
        if key < 0 and has_first:
            name, outputs = head.name, head.outputs
        planes = output.planes[..., :outputs]
        if len(planes):
            bits = planes[0] if len(planes) == 1 else np.moveaxis(planes, 0, 1)
            # bands of a layer's rows come one after the other
            named[name] = np.concatenate([named[name], bits], axis=-3) if name in named else bits
        if output.value is not None:
            named[f"{name}.value"] = output.value[..., :outputs]
    return named


def written(placed: Plan, expected: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
    """What of the golden model's trace a program writes: all planes, and the values that a layer reads."""
    values = {f"{stage.name}.value" for stage in placed.stages if stage.value}
    last = placed.model.layers[-1].name
    return {
        name: array
        for name, array in expected.items()
        if name != last and (not name.endswith(".value") or name in values)
    }


def differences(expected: Dict[str, np.ndarray], got: Dict[str, np.ndarray]) -> List[str]:
    """One line per layer that differs: layer, image, pixel, channel, expected and got, and how many bits.

    Args:
        expected: of every layer by name, bits uint8 (N, H, W, C) or (N, C), (N, K, ...) of several planes, and
            values int16.
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
        other = other.reshape(bits.shape)
        wrong = np.argwhere(bits != other)
        if len(wrong):
            spot = tuple(wrong[0])
            lines.append(
                f"{name}: image {spot[0]}, {_place(bits, spot)}channel {spot[-1]}: expected {bits[spot]}, got "
                f"{other[spot]}; {len(wrong)} of {bits.size} {'values' if name.endswith('.value') else 'bits'} differ"
            )
    return lines


def _place(array: np.ndarray, spot: Tuple[int, ...]) -> str:
    """Plane and pixel of a spot in a layer's output."""
    pixel = spot[-3:-1] if array.ndim > 3 else (0, 0)
    plane = f"plane {spot[1]}, " if array.ndim in (3, 5) else ""
    return f"{plane}pixel ({pixel[0]}, {pixel[1]}), "
