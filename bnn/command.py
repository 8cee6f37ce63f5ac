"""Commands: the table of them, their parsers, and the one way in which they end.

A command is a `Command` in the module of its job. The table names modules by string, so that the ground floor
imports nothing of what stands on it and a command loads only what it needs.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import io
import os
import re
import select
import shlex
import sys
from typing import TYPE_CHECKING, Any, Callable, Dict, Match, NamedTuple, NoReturn, Optional, Sequence

from bnn import caches, output
from bnn.errors import ExpectedError, line
from bnn.text import printable

if TYPE_CHECKING:
    from bnn.networks import Network

FAILED, USAGE, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141
"""Exit statuses: an expected error or a failed check; a wrong command line; 128 and the number of the signal."""


class Entry(NamedTuple):
    """A row of the table."""

    target: str
    """Module and attribute of the `Command`."""
    summary: str


GROUPS: Dict[str, Dict[str, Entry]] = {
    "training": {
        "data": Entry("train.data:main", "fetch a data set and check it"),
        "train": Entry("train.__main__:main", "train a binarized network, or go on with it"),
        "export": Entry("train.export:main", "fold a checkpoint into a model, checked against PyTorch"),
        "import": Entry("train.import_model:main", "make a model of a network of BNN-PYNQ, ONNX, QONNX or BMXNet"),
        "study": Entry("train.study:main", "what each ingredient of a recipe is worth, what binarization costs"),
    },
    "models": {
        "accuracy": Entry("train.accuracy:main", "the integer model's accuracy over a test set"),
        "calibrate": Entry("train.calibrate:main", "make a model's probabilities right by its validation images"),
        "page": Entry("train.report:main", "a page about a model: answers, mistakes, layers, hardware"),
        "bench-cpu": Entry("train.bench_cpu:main", "images/s on a processor: the packed engine, PyTorch, larq's"),
        "bench-gpu": Entry("gpu.bench:main", "packed bits on a GPU, products and networks, against cuBLAS"),
        "zoo": Entry("train.zoo:main", "check, add or list the shipped models"),
        "peers": Entry("hls.peers:main", "the shipped models beside published ones: accuracy against images/s"),
    },
    "hardware": {
        "plan": Entry("hls.__main__:plan", "a model's program for a design, or engines with its weights wired in"),
        "hls": Entry("hls.build:main", "render a design, and build its bitstream where the tools are"),
        "check": Entry("hls.check.__main__:main", "the minimum II of every pipelined loop of the HLS C++"),
        "overlay": Entry("hls.overlay:main", "the overlay that the simulated board loads"),
        "explore": Entry("hls.explore:main", "designs for models or networks on a board; writes the one picked"),
        "fits": Entry("hls.fits:main", "which shipped designs take a model or a network"),
        "reuse": Entry("hls.wired.reuse:main", "repeated work in a model, and what sharing it is worth"),
        "topologies": Entry("hls.wired.topologies:main", "networks that fit with their weights wired in"),
        "report": Entry("hls.rtl_report.__main__:main", "what the RTL core takes, by yosys: resources, paths, fan-out"),
    },
    "simulation": {
        "sim": Entry("sim.demo:main", "a model on images, HLS and RTL core against the golden model"),
        "wired": Entry("sim.wired_demo:main", "a network with its weights wired in, simulated bit for bit"),
        "soak": Entry(
            "sim.soak:main", "random networks through golden model, HLS and RTL core, with stalls and errors"
        ),
        "bench": Entry("sim.bench:main", "cycles of whole networks on the Verilated core"),
        "board": Entry("sim.board.__main__:main", "serve a simulated PYNQ-Z1 to pynq"),
        "board-demo": Entry("sim.board.demo:main", "such a board, and images classified on it"),
    },
    "board": {
        "deploy": Entry("host.deploy:main", "copy to a board what it needs"),
        "infer": Entry("host.pynq_infer:main", "classify images on the accelerator or on the processor"),
        "bench-cluster": Entry("host.bench_cluster:main", "images/s of 1, 2, ... workers on this machine's cores"),
        "web": Entry("host.web:main", "serve a page that classifies pictures"),
    },
    "this machine": {
        "doctor": Entry("bnn.doctor:main", "what is missing here, and how to mend it"),
    },
    "the project's own files": {
        "contract": Entry("hls.contract_files:main", "write the files that are made from bnn.contract"),
        "hierarchy": Entry("hls.hierarchy:main", "write the RTL's hierarchy into its page, from the sources"),
        "lint-rtl": Entry("sim.rtl_lint:main", "Verilator's and Verible's opinion of the SystemVerilog"),
        "picture": Entry("bnn.picture:main", "draw boxes and arrows from a description"),
    },
}
ADVICE = "hls.fits:advice"
"""What training asks about a network before it starts, as `advice`."""
COMMANDS: Dict[str, Entry] = {name: entry for group in GROUPS.values() for name, entry in group.items()}


class UsageError(ExpectedError):
    """Options that do not go together; the command ends as on any other wrong command line."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong with a command line in one line; with `raises` as an exception."""

    raises = False

    def error(self, message: str) -> NoReturn:
        if self.raises:
            raise UsageError(f"{self.prog}: {message}")
        self.exit(USAGE, f"error: {printable(message)}; {self.prog} --help lists the options\n")


class Command:
    """A command of the table: call it with the arguments, the result is the exit status.

    Args:
        name: its name in the table.
        options: adds the command's options to a parser.
        body: does the work; gives the exit status, None for 0. Its options have the whole call as `command_line`.
        example: the arguments of a call that makes sense, for `--help`.
    """

    def __init__(
        self,
        name: str,
        options: Callable[[argparse.ArgumentParser], None],
        body: Callable[[argparse.Namespace], Optional[int]],
        example: str,
    ) -> None:
        self.name, self.example = name, example
        self._options, self._body = options, body

    def parser(self) -> Parser:
        """Its parser; positional arguments, options and an example."""
        prog = f"bnn {self.name}"
        summary = COMMANDS[self.name].summary
        parser = Parser(
            prog=prog,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=f"example:\n  {prog} {self.example}",
            formatter_class=argparse.RawTextHelpFormatter,
        )
        self._options(parser)
        output.add_options(parser)
        return parser

    def results(self, arguments: Sequence[str]) -> Dict[str, Any]:
        """Run it from Python: its results by name, and nothing printed.

        Raises:
            ExpectedError: as it ends with one; UsageError for wrong arguments.
        """
        parser = self.parser()
        parser.raises = True
        options = parser.parse_args(arguments)
        options.command_line = " ".join(map(shlex.quote, ["bnn", self.name, *arguments]))
        with output.collected() as found:
            self._body(options)
        return found

    def __call__(self, arguments: Optional[Sequence[str]] = None) -> int:
        """Run it; `arguments` are those of the process if left out.

        Raises:
            SystemExit: `--help`, or a wrong command line.
        """
        parser = self.parser()

        def work() -> Optional[int]:
            caches.provide()
            given = sys.argv[1:] if arguments is None else list(arguments)
            options = parser.parse_args(given)
            options.command_line = " ".join(map(shlex.quote, ["bnn", self.name, *given]))
            try:
                with output.told(options.quiet, options.json):
                    return self._body(options)
            except UsageError as error:
                parser.error(line(error))

        return finish(work)


def finish(body: Callable[[], Optional[int]]) -> int:
    """The exit status of a command's work; expected errors become one line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files need not be in the terminal's encoding, nor in any
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            return body() or 0
        finally:
            sys.stdout.flush()  # where a reader has left, this says so; at the interpreter's end it is too late
    except KeyboardInterrupt as stop:
        print(f"interrupted{': ' if stop.args else ''}{line(stop) if stop.args else ''}", file=sys.stderr)
        return INTERRUPTED
    except (ExpectedError, OSError, MemoryError) as error:
        if isinstance(error, BrokenPipeError) and _reader_left():
            return BROKEN_PIPE
        print(f"error: {line(error)}", file=sys.stderr)
        return FAILED


def _reader_left() -> bool:
    """Whether what reads the standard output is gone; if so, what is still to be written is dropped."""
    try:
        output = sys.stdout.fileno()
    except OSError:  # no file, as under a test
        return False
    poll = select.poll()
    poll.register(output, 0)  # errors and hang-ups are always told
    if not poll.poll(0):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return True


def find(name: str) -> Command:
    """The command called `name`, loaded.

    Raises:
        ExpectedError: there is none, or what it needs is not installed.
    """
    if name not in COMMANDS:
        raise ExpectedError(f"command {name!r} is not one of {', '.join(COMMANDS)}")
    try:
        found = load(COMMANDS[name].target)
    except ModuleNotFoundError as error:
        raise ExpectedError(f"bnn {name} needs {error.name}, which is not installed") from None
    assert isinstance(found, Command)
    return found


def load(target: str) -> Any:
    """The attribute of a module that the table, or `ADVICE`, names."""
    module, _, attribute = target.partition(":")
    if module.startswith("host.") and importlib.util.find_spec("bnn.host"):
        module = f"bnn.{module}"  # of the wheel for boards
    return getattr(importlib.import_module(module), attribute)


def spelled(calls: str) -> str:
    """Recorded calls as they are given today; the first models say `python -m train.export` for `bnn export`."""
    names = {re.sub(r"(\.__main__)?:\w+$", "", entry.target): name for name, entry in reversed(list(COMMANDS.items()))}

    def name(found: Match[str]) -> str:
        return f"bnn {names[found[1]]}" if found[1] in names else found[0]

    return re.sub(r"\bpython3? -m ([\w.]+)", name, calls)


def advice(network: Network, planes: int, bases: int) -> str:
    """What is to be said of a network before it is trained; "" for nothing, and where the planner is not installed."""
    try:
        return str(load(ADVICE)(network, planes, bases))
    except ModuleNotFoundError:
        return ""


def positive(text: str) -> int:
    """An option's value that is at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return value
