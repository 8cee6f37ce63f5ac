"""Options that several commands have, each said once."""

from __future__ import annotations

import argparse
from pathlib import Path

from bnn.command import positive
from bnn.model import Model, load
from hls.designs import Design, DesignError
from hls.wired.beats import Beat

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
    """`--beat BITS` and `--pixels-per-cycle N` of a wired network, for `beat_of`."""
    parser.add_argument(
        "--beat",
        type=int,
        metavar="BITS",
        help="bits of a wired network's input beat, of one-bit pixels; 0: a pixel per beat (default: 64 where pixels "
        "are bits)",
    )
    add_pixels(parser)


def add_pixels(parser: argparse.ArgumentParser) -> None:
    """`--pixels-per-cycle N` of a wired network."""
    parser.add_argument(
        "--pixels-per-cycle",
        type=positive,
        default=1,
        metavar="N",
        help="neighbouring pixels that a wired network takes at once, a divisor of an image's width (default 1)",
    )


def beat_of(options: argparse.Namespace, model: Model) -> Beat:
    """What the options of `add_beat` ask for; `hls.wired.rows.usual_beat` of the model where they are not given.

    Raises:
        DesignError: both are given.
    """
    from hls.wired import rows  # with it comes all that makes engines

    if options.pixels_per_cycle > 1 and options.beat:
        raise DesignError(f"--pixels-per-cycle {options.pixels_per_cycle}: expected --beat 0 with it, or none")
    if options.pixels_per_cycle > 1:
        return Beat(pixels=options.pixels_per_cycle)
    return rows.usual_beat(model) if options.beat is None else Beat(options.beat)


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
