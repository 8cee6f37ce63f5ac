"""Options that several commands have, each said once."""

from __future__ import annotations

import argparse
from pathlib import Path

from bnn.model import load
from hls.designs import Design, DesignError

FIRST_LAYERS = ("array", "wired")
"""First layers of the array design: any program's, or one model's wired in."""


def add_first_layer(parser: argparse.ArgumentParser) -> None:
    """`--first-layer array|wired`, for `first_layer`."""
    parser.add_argument(
        "--first-layer",
        default="array",
        choices=FIRST_LAYERS,
        help="for any program, or with the model's weights wired in (default array)",
    )


def add_folder(parser: argparse.ArgumentParser, what: str, part: str = "") -> None:
    """`-o`, the folder for what is made of a design, for `folder_of`."""
    place = f"build/DESIGN/{part}".rstrip("/")
    parser.add_argument("-o", "--output", type=Path, help=f"folder for {what} (default {place})")


def add_beat(parser: argparse.ArgumentParser) -> None:
    """`--beat BITS` of a wired network; None: `hls.wired.rows.usual_beat` of the model."""
    parser.add_argument(
        "--beat",
        type=int,
        metavar="BITS",
        help="bits of a wired network's input beat, of one-bit pixels; 0: a pixel per beat (default: 64 where pixels "
        "are bits)",
    )


def folder_of(given: Path | None, design: Design, part: str = "") -> Path:
    """The folder that `-o` names, else the design's own in build/."""
    return given or Path("build") / design.name / part


def first_layer(kind: str, model: Path | None, design: Design) -> dict[str, dict[str, str]] | None:
    """The sources of a wired first layer, as `hls.wired.first.sources`; None if it is not wired.

    Raises:
        DesignError, bnn.model.ModelError: there is no model, it cannot be read, or it does not fit.
    """
    if kind != "wired":
        return None
    if model is None:
        raise DesignError("--first-layer wired: needs --model")
    from hls.wired import first  # with it comes all that makes engines

    return first.sources(load(model), design)
