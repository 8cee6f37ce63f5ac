"""What defines a run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from bnn.networks import Network
from bnn.networks import network as find_network
from train.data import VALIDATION
from train.errors import TrainError
from train.methods import Methods
from train.recipes import Recipe


@dataclass(frozen=True)
class Config:
    """What defines a run: two runs with equal configurations give equal results.

    `shape` (height, width, channels) and `classes` replace those of the network's table,
    `pad_value` that of its padding; 0 keeps them.
    """

    network: str
    recipe: Recipe
    dataset: str = ""
    seed: int = 1
    shape: tuple[int, ...] = ()
    classes: int = 0
    pad_value: int = 0
    bf16: bool = False  # layers in bfloat16 while training, for GPUs
    teacher: str = ""  # sha256 of the teacher's file, of several with + between
    start: str = ""  # sha256 of the model that the weights start from
    validation: int = VALIDATION  # last training images that validate, but for own data
    limit: int = 0  # images that are used for training, and for validation, where not all are


def to_dict(config: Config) -> dict[str, Any]:
    """The configuration as plain numbers, strings and lists, for checkpoints and models."""
    result: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return result


def from_dict(fields: dict[str, Any]) -> Config:
    """The reverse of `to_dict`.

    Raises:
        TrainError: the fields are those of another version.
    """
    try:
        given = dict(fields)
        recipe = dict(given.pop("recipe"))
        methods: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in recipe["methods"].items()
        }
        recipe["methods"] = Methods(**methods)
        given["shape"] = tuple(given["shape"])
        numbers = (*given["shape"], given.get("classes", 0))
        if len(given["shape"]) not in (0, 3) or not all(type(item) is int and item >= 0 for item in numbers):
            raise TypeError(f"shape {given['shape']} and {given.get('classes', 0)} classes")
        for name, least in (("seed", 0), ("validation", 1), ("limit", 0)):
            value = given.get(name, least)
            if type(value) is not int or value < least:
                raise ValueError(f"{name} is {value!r}, expected a number from {least}")
        return Config(recipe=Recipe(**recipe), **given)
    except (KeyError, TypeError, ValueError) as error:
        raise TrainError(f"configuration of the checkpoint is not of this version: {error}") from None


def topology(config: Config) -> Network:
    """The network of a run, with the data's shape and classes."""
    network = find_network(config.network)
    changes: dict[str, Any] = {}
    if config.shape:
        changes = dict(zip(("height", "width", "channels"), config.shape, strict=True))
    if config.classes:
        changes["classes"] = config.classes
    if config.pad_value:
        changes["pad_value"] = config.pad_value
    return replace(network, **changes)


def differences(wanted: dict[str, Any], found: dict[str, Any], prefix: str = "") -> list[str]:
    """What two configurations differ in, as `name found, not wanted`."""
    result = []
    for key, value in wanted.items():
        other = found.get(key)
        if isinstance(value, dict) and isinstance(other, dict):
            result += differences(value, other, f"{prefix}{key}.")
        elif other != value:
            result.append(f"{prefix}{key} {other}, not {value}")
    return result
