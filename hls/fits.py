"""`bnn fits MODEL`: which of the shipped designs take a model or a network, and what is in the way on the others."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bnn.command import FAILED, Command, positive
from bnn.errors import ExpectedError, line
from bnn.model import Model
from bnn.networks import Network
from bnn.output import result
from bnn.random_models import random_model
from hls import explore, schedule
from hls.designs import DESIGNS

TESTS = "sim_small"
"""The design that is for tests alone."""


def refusals(model: Model) -> dict[str, str]:
    """Every shipped design, and why it does not take a model; "" where it does."""
    result = {}
    for name, design in DESIGNS.items():
        if name == TESTS:
            continue
        try:
            schedule.plan(model, design, 1)
            result[name] = ""
        except ExpectedError as error:
            result[name] = line(error)
    return result


def shaped(network: Network, planes: int = 1, bases: int = 1) -> Model:
    """A model of a network that is not trained: random weights, its activations of `planes`, its weights of `bases`.

    Raises:
        bnn.model.ModelError: the images are too small for the network.
    """
    model = random_model(network)
    layers = list(model.layers)
    if bases > 1:
        layers = [replace(layer, weights=np.stack([layer.weights] * bases)) for layer in layers]
    if planes > 1:
        layers = [
            layer if layer.thresholds is None else replace(layer, thresholds=np.stack([layer.thresholds] * planes))
            for layer in layers
        ]
    return replace(model, layers=tuple(layers))


def advice(network: Network, planes: int = 1, bases: int = 1) -> str:
    """What to say before a network is trained that no shipped design takes; "" where one does."""
    try:
        found = refusals(shaped(network, planes, bases))
    except ExpectedError as error:
        return line(error)
    if not all(found.values()):
        return ""
    reason = found[next(iter(found))]
    size = f" --size {network.height}" if network.height == network.width else ""
    hint = f"; bnn explore {network.name}{size} --classes {network.classes} sizes one" if planes * bases == 1 else ""
    return f"no shipped design takes {network.name}: {reason}{hint}"


def _table(found: Mapping[str, str]) -> str:
    width = max(map(len, found))
    return "\n".join(f"{name:{width}}  {reason or 'takes it'}" for name, reason in found.items())


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="model file (.npz), or a network of bnn.networks")
    parser.add_argument("--size", type=positive, help="height and width of a network's images, where they are your own")
    parser.add_argument("--classes", type=positive, help="classes of a network, where they are your own")


def _run(options: argparse.Namespace) -> int:
    found = refusals(explore.find(options.model, options.size, options.classes))
    result(_table(found), designs={name: reason or None for name, reason in found.items()})
    return FAILED if all(found.values()) else 0


main = Command("fits", _options, _run, "cnv")


if __name__ == "__main__":
    sys.exit(main())
