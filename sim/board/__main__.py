"""`bnn board --design NAME`: serve a simulated PYNQ-Z1 until interrupted."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import threading
from pathlib import Path

from bnn import output
from bnn.command import Command
from hls import designs, overlay
from hls.options import add_folder, folder_of
from sim.board.core import Core, CoreError, FunctionalCore
from sim.board.memory import CMA_BYTES, Memory
from sim.board.rtl import RtlCore
from sim.board.server import PORT, Board, Server, describe


def make_core(kind: str, design: designs.Design, memory: Memory, folder: Path) -> Core:
    """The core called `kind`.

    Raises:
        CoreError: it cannot be built or started.
    """
    if kind == "rtl":
        try:
            return RtlCore(design, memory, folder / "rtl")
        except CoreError as error:
            raise CoreError(f"{error}; --core functional needs no simulator") from None
    return FunctionalCore(design, memory)


def _options(parser: argparse.ArgumentParser) -> None:
    designs.add_option(parser)
    parser.add_argument(
        "--core",
        choices=("rtl", "functional"),
        default="rtl",
        help="the Verilated logic, or its results computed in numpy (default rtl)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=PORT, help=f"default {PORT}, the one that pynq connects to")
    parser.add_argument("--client-bytes", type=int, default=CMA_BYTES // 2, help="memory one client may hold")
    add_folder(parser, "the overlay", overlay.PART)


def _run(options: argparse.Namespace) -> None:
    design = designs.find(options.design)
    if options.core == "rtl":
        output.note(f"building the simulation of {design.name} unless it is there")
    folder = folder_of(options.output, design, overlay.PART)
    bitfile = overlay.write(design, folder)
    memory = Memory(client_bytes=options.client_bytes)
    core = make_core(options.core, design, memory, Path("build") / design.name)
    try:
        server = Server(Board(design, core, memory), options.host, options.port)
    except BaseException:
        core.close()
        raise
    address = options.host if server.port == PORT else f"{options.host}:{server.port}"
    output.event(
        f"simulated PYNQ-Z1: {describe(design)}, {core.kind} core, {CMA_BYTES >> 20} MiB, "
        f"on {options.host} port {server.port}\noverlay: {bitfile}\n"
        f"clients: bnn infer --boards {address} --bit {shlex.quote(str(bitfile))} ...",
        design=design.name,
        core=core.kind,
        host=options.host,
        port=server.port,
        overlay=str(bitfile),
    )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
    server.close()


main = Command("board", _options, _run, "--design pynq_z1 --core functional")


if __name__ == "__main__":
    sys.exit(main())
