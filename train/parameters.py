"""Trained parameters that no network can have are refused by layer, tensor and channel."""

from __future__ import annotations

import numpy as np

from bnn.errors import ExpectedError
from train.module import BinaryNetwork


class ParameterError(ExpectedError):
    """A parameter is not finite, or cannot be; one line names layer, tensor and channel."""


def check(layer: str, tensor: str, values: np.ndarray, least: float | None = None) -> None:
    """Check the values of one tensor, its first axis being the output channels.

    Args:
        layer, tensor: names for the message.
        values: floating-point (C, ...).
        least: smallest value that is possible.

    Raises:
        ParameterError: a value is not finite or below `least`.
    """
    bad = ~np.isfinite(values) if least is None else ~(np.isfinite(values) & (values >= least))
    if bad.any():
        where = tuple(int(index) for index in np.argwhere(bad)[0])
        wanted = "a finite number" if least is None else f"a finite number of at least {least:g}"
        inside = f" at {where[1:]}" if len(where) > 1 else ""
        value = values[where]
        raise ParameterError(f"{layer}.{tensor}: channel {where[0]} holds {value:g}{inside}, expected {wanted}")


def names(network: BinaryNetwork) -> list[str]:
    """The names of the layers in the exported model."""
    convs = len(network.network.convs)
    count = len(network.each())
    return [f"conv{number + 1}" if number < convs else f"fc{number + 1 - convs}" for number in range(count)]


def check_network(network: BinaryNetwork) -> None:
    """Check all parameters of a network on the processor.

    Raises:
        ParameterError: one is not finite, or a variance is negative.
    """
    for name, block in zip(names(network), network.each(), strict=True):
        norm = block.norm
        tensors = {
            "weight": block.layer.weight,
            "gamma": norm.weight,
            "beta": norm.bias,
            "mean": norm.running_mean,
            "variance": norm.running_var,
            "shift": block.shift,
        }
        for tensor, values in tensors.items():
            if values is not None:
                check(name, tensor, values.detach().numpy(), 0.0 if tensor == "variance" else None)
