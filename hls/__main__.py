"""`python -m hls MODEL --design NAME -o DIR [--batch N]`: write program.bin and plan.json.

`python -m hls MODEL --engine wired -o DIR` writes engines with the model's weights wired in, and
`python -m hls reuse MODEL` tells what sharing repeated work in them is worth.
`python -m hls topologies --lut COUNT` lists networks that fit with their weights wired in.
`python -m hls explore MODEL... --board NAME` lists designs for some models on a board.
`bnn contract` writes the files that are made from `bnn.contract`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bnn import model as models
from bnn.command import Command, find
from bnn.files import write_atomically
from bnn.output import result
from hls import designs, program, schedule

OTHERS = ("contract", "explore", "reuse", "topologies")
"""Commands of `bnn` that `python -m hls` knows by their first word."""


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="model file (.npz)")
    designs.add_option(parser)
    parser.add_argument(
        "--engine",
        choices=("array", "wired"),
        default="array",
        help="one array for every network, or this network's weights wired in",
    )
    parser.add_argument("--level", default="best", help="sharing in wired engines: none, kernel, cse or best")
    parser.add_argument(
        "--fold",
        type=int,
        default=0,
        help="most passes of a wired engine per input; 0: as many as there is time for, 1: none",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="output folder")
    parser.add_argument("--batch", type=int, default=64, help="largest number of images in a batch")


def _run(options: argparse.Namespace) -> None:
    design = designs.find(options.design)
    if options.engine == "wired":
        from hls.wired import network

        network.write(models.load(options.model), options.output, options.level, options.fold)
        result(f"plan: engines written to {options.output}", folder=str(options.output))
        return
    placed = schedule.plan(models.load(options.model), design, options.batch)
    content = program.pack(placed)
    text = json.dumps(program.summary(placed), indent=2) + "\n"
    options.output.mkdir(parents=True, exist_ok=True)
    write_atomically(options.output / "program.bin", content)
    write_atomically(options.output / "plan.json", text.encode())
    cycles = placed.run_cycles(placed.batch, keep=True) / placed.batch
    result(
        f"plan: {len(content):,} bytes of program for {design.name} in {options.output}; "
        f"{cycles:,.0f} cycles/image in batches of {placed.batch} (estimated)",
        program=str(options.output / "program.bin"),
        bytes=len(content),
        batch=placed.batch,
        cycles_per_image=cycles,
    )


plan = Command("plan", _options, _run, "models/cnv.npz --design pynq_z1 -o build/pynq_z1")


def main(arguments: list[str] | None = None) -> int:
    """Run one of `OTHERS` if the first argument names it, else `bnn plan`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in OTHERS:
        return find(arguments[0])(arguments[1:])
    return plan(arguments)


if __name__ == "__main__":
    sys.exit(main())
