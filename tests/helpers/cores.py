"""The cores under simulation, each design built once."""

from __future__ import annotations

from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np

from bnn.model import Model
from hls.designs import DESIGNS, Design
from sim import hls_csim, rtl_sim

SMALL = DESIGNS["sim_small"]
TIGHT = replace(SMALL, act_depth=128, weight_depth=128)
"""Memories so small that weights stream and sub-batches are of a few images."""
BUILD = Path(__file__).resolve().parents[2] / "build" / "test"


class Backend:
    """One of the cores, its designs built once."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.cores: dict[Design, Any] = {}

    def core(self, design: Design) -> Any:
        if design not in self.cores:
            self.cores[design] = (
                built(design) if self.name == "rtl" else (hls_csim.build(design, self.folder / _sizes(design)))
            )
        return self.cores[design]

    def run(self, program: bytes, images: np.ndarray, design: Design, stall: float = 0.3) -> Any:
        """Scores and traces; on the RTL with random stalls of the bus."""
        if self.name == "hls":
            return self.core(design).run(program, images)
        return self.core(design).run(program, images, memory=rtl_sim.Memory(stall=stall, seed=len(images)))


def built(design: Design) -> rtl_sim.RtlSimulation:
    """The RTL core's simulation of a design, kept from test to test."""
    return rtl_sim.build(design, BUILD / _sizes(design))


def _sizes(design: Design) -> str:
    return "-".join(f"{value}" for value in astuple(design)[2:-1])


def pixels(model: Model, count: int) -> np.ndarray:
    shape = (count, model.height, model.width, model.channels)
    return np.random.default_rng(count).integers(0, 256, shape, np.uint8)
