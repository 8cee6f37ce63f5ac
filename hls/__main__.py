"""`bnn plan`: program.bin and plan.json, or engines with a model's weights wired in.

`python -m hls` is `bnn plan`, and knows some other commands by their first word.
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
from hls.options import add_beat, add_folder, beat_of, folder_of

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
    add_beat(parser)
    add_folder(parser, "program.bin and plan.json, or the engines")
    parser.add_argument("--batch", type=int, default=64, help="largest number of images in a batch")


def _run(options: argparse.Namespace) -> None:
    design = designs.find(options.design)
    where = folder_of(options.output, design)
    if options.engine == "wired":
        from hls.wired import network

        model = models.load(options.model)
        beat = beat_of(options, model)
        built = network.write(model, where, options.level, options.fold, beat=beat)
        figures = network.report(model, built, network.CLOCK_MHZ, beat)
        lut, cycles = figures["estimated_lut"], figures["cycles_per_image"]
        result(
            f"plan: engines written to {where}; {lut:,} LUT by the cost model, without the stream between them; "
            f"{cycles:,} cycles/image",
            folder=str(where),
            estimated_lut=lut,
            cycles_per_image=cycles,
        )
        return
    placed = schedule.plan(models.load(options.model), design, options.batch)
    content = program.pack(placed)
    text = json.dumps(program.summary(placed), indent=2) + "\n"
    write_atomically(where / "program.bin", content)
    write_atomically(where / "plan.json", text.encode())
    cycles = placed.run_cycles(placed.batch, keep=True) / placed.batch
    result(
        f"plan: {len(content):,} bytes of program for {design.name} in {where}; "
        f"{cycles:,.0f} cycles/image in batches of {placed.batch} (estimated)",
        program=str(where / "program.bin"),
        bytes=len(content),
        batch=placed.batch,
        cycles_per_image=cycles,
    )


plan = Command("plan", _options, _run, "models/cnv.npz --design pynq_z1")


def main(arguments: list[str] | None = None) -> int:
    """Run one of `OTHERS` if the first argument names it, else `bnn plan`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in OTHERS:
        return find(arguments[0])(arguments[1:])
    return plan(arguments)


if __name__ == "__main__":
    sys.exit(main())
