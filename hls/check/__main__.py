"""`bnn check [--design NAME]`: the pipelined loops of a design's HLS C++, and its pragmas."""

from __future__ import annotations

import argparse
import sys

from bnn.command import FAILED, Command
from bnn.output import each, result
from hls import designs
from hls.check import figures
from hls.directives import DEFAULT_VERSION
from hls.options import add_folder, folder_of


def _options(parser: argparse.ArgumentParser) -> None:
    designs.add_option(parser)
    parser.add_argument("--hls-version", default=DEFAULT_VERSION, help="version of the HLS tool, such as 2022.2")
    add_folder(parser, "sources and IR", "check")


def _run(options: argparse.Namespace) -> int:
    design = designs.find(options.design)
    report = figures.report(design, folder_of(options.output, design, "check"), options.hls_version)
    head = f"{'loop':<34}{'instructions':>12}{'recurrence':>11}{'resource':>9}{'exit':>5}{'depth':>6}{'longest':>10}"
    result(f"{head}  binds", faults=list(report.faults))
    for one in report.loops:
        name = f"{one.place} {one.label}"
        binds = one.places[-1] if one.places else "-"
        text = (
            f"{name:<34}{one.instructions:>12}{one.recurrence:>11}{one.resource:>9}{one.exit:>5}{one.depth:>6}"
            f"{one.longest:>7.2f} ns  {binds}"
        )
        figure = {"loop": name, "instructions": one.instructions, "recurrence": one.recurrence}
        figure |= {"resource": one.resource, "exit": one.exit, "depth": one.depth, "longest_ns": one.longest}
        each("loops", text, figure)
    for line in report.faults:
        print(f"error: {line}", file=sys.stderr)
    return FAILED if report.faults else 0


main = Command("check", _options, _run, "--design pynq_z1")


if __name__ == "__main__":
    sys.exit(main())
