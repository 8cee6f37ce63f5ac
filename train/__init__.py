"""Training, and the parts of networks of one's own: `from train import BinaryConv2d`; docs/own_module.md shows how."""

from __future__ import annotations

import importlib
from typing import Any

PARTS = {
    "BinaryActivation": "train.layers",
    "BinaryConv2d": "train.layers",
    "BinaryLinear": "train.layers",
    "Methods": "train.methods",
    "Value": "train.layers",
    "export_module": "train.tracing",
    "mean_codes": "train.layers",
    "shrink": "train.layers",
}
"""Names, and the modules that have them; torch is loaded with the first."""


def __getattr__(name: str) -> Any:
    if name not in PARTS:
        raise AttributeError(f"module 'train' has no attribute '{name}', expected one of {', '.join(PARTS)}")
    return getattr(importlib.import_module(PARTS[name]), name)
