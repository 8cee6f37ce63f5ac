"""`bnn lint-rtl`: two compilers' opinion of the SystemVerilog, beside yosys' own (which is slang).

Verilator elaborates the core with the parameters of every design, all warnings on; Verible parses every source by
itself and holds it to its rules of style.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List, Sequence

from bnn import output
from bnn.command import FAILED, Command
from bnn.errors import ExpectedError
from hls import sources
from hls.designs import DESIGNS
from sim.rtl_sim import find_verilator, verilator_environment

WIRED = sources.RTL.parent / "wired" / "rtl"
VERIBLE = "verible-verilog-lint"
RULES = ["--rules=line-length=length:120"]
"""Changes of Verible's rules: the line length of the Python sources."""


class LintError(ExpectedError):
    """A linter is missing, or finds something; what it prints."""


def verilator(files: Sequence[Path], design: str) -> None:
    """Check the core as a design has it.

    Raises:
        LintError: Verilator is missing or warns of something.
    """
    program = find_verilator()
    if program is None:
        raise LintError("verilator: not found, expected as the installed package verilator or on the path")
    parameters = [f"-G{name}={value}" for name, value in sources.parameters(DESIGNS[design]).items()]
    _call([str(program), "--lint-only", "-Wall", "--top-module", sources.TOP, *parameters, *map(str, files)])


def verible(files: Sequence[Path]) -> None:
    """Check each source by itself: syntax and style.

    Raises:
        LintError: Verible is missing or finds something.
    """
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    program = shutil.which(VERIBLE, path=places)
    if program is None:
        raise LintError(f"{VERIBLE}: not found, expected of the installed package verible or on the path")
    _call([program, *RULES, *map(str, files)])


def _call(command: List[str]) -> None:
    done = subprocess.run(command, env=verilator_environment(Path(command[0])), capture_output=True, text=True)
    if done.returncode:
        raise LintError((done.stdout + done.stderr).strip() or f"{command[0]}: exit status {done.returncode}")


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--design", action="append", choices=sorted(DESIGNS), help="these only; by default all")
    parser.add_argument("--rtl", type=Path, default=sources.RTL, help="folder of the core's sources")


def _run(options: argparse.Namespace) -> int:
    files = sources.files(options.rtl)
    every = [*files, *sources.files(WIRED)]
    chosen = options.design or sorted(DESIGNS)
    try:
        for design in output.progress(chosen, "designs"):
            verilator(files, design)
        verible(every)
    except LintError as error:
        print(error, file=sys.stderr)  # all that was found
        return FAILED
    output.result(f"{len(every)} files, {len(chosen)} designs: nothing found", files=len(every), designs=chosen)
    return 0


main = Command("lint-rtl", _options, _run, "--design pynq_z1")


if __name__ == "__main__":
    sys.exit(main())
