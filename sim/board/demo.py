"""`bnn board-demo`: the simulated board and host/pynq_infer.py against it, in one command.

Both are processes of their own, started as a user starts them; every score is compared with the golden
model's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import List

from bnn import output
from bnn.command import Command, positive
from bnn.errors import ExpectedError
from bnn.model import load
from bnn.paths import BUILD
from bnn.samples import sample_images
from hls import designs

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = BUILD.resolve().parent
"""Where the processes run: there they have the folder for what they make."""
READY = "clients:"


class DemoError(ExpectedError):
    """The board does not start, or the model does not suit it; one line says why."""


def start(arguments: List[str], wait_s: float = 900.0) -> subprocess.Popen:
    """Start `python -m sim.board` and wait until it serves.

    Raises:
        DemoError: it ends before, or takes longer than `wait_s`; one line says why.
    """
    command = [sys.executable, "-m", "sim.board", *arguments]
    server = subprocess.Popen(command, cwd=FOLDER, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert server.stdout is not None and server.stderr is not None
    until = time.monotonic() + wait_s
    for line in server.stdout:
        output.note(line.rstrip("\n"))
        if line.startswith(READY):
            return server
        if time.monotonic() > until:
            break
    server.kill()
    raise DemoError(_reason(server.communicate()[1]) or "the board did not start")


def _reason(said: str) -> str:
    """What a command that failed wrote to stderr, without the word before it."""
    text = said.strip()
    return text[7:] if text.startswith("error: ") else text


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, nargs="?", default=ROOT / "models" / "cnv.npz")
    designs.add_option(parser)
    parser.add_argument("--core", choices=("rtl", "functional"), default="rtl")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address (default 127.0.0.1)")
    parser.add_argument("--images", help="default: the shipped ones of the model's size")
    parser.add_argument("--limit", type=positive, default=64, help="images (default 64)")
    parser.add_argument("--batch", type=positive, default=16, help="images of a run (default 16)")


def _run(options: argparse.Namespace) -> int:
    images = options.images or str(sample_images(load(options.model)))
    design = designs.find(options.design).name
    # both processes run in one folder
    given = str(Path(options.design).resolve()) if options.design.endswith(".toml") else options.design
    folder = BUILD.resolve() / design
    packing = [sys.executable, "-m", "hls", str(options.model.resolve()), "--design", given, "-o", str(folder)]
    packed = subprocess.run(packing, cwd=FOLDER, capture_output=True, text=True)
    if packed.returncode:
        raise DemoError(_reason(packed.stderr) or "the model could not be packed")
    output.note(packed.stdout.rstrip("\n"))
    server = start(["--design", given, "--core", options.core, "--host", options.host])
    try:
        client = [
            sys.executable,
            str(ROOT / "host" / "pynq_infer.py"),
            "--bit",
            str(folder / "overlay" / f"{design}.bit"),
            "--program",
            str(folder / "program.bin"),
            "--model",
            str(options.model),
            "--images",
            images,
            "--limit",
            str(options.limit),
            "--batch",
            str(options.batch),
            "--validate",
            *output.options(),
        ]
        environment = {**os.environ, "PYNQ_REMOTE_DEVICES": options.host}
        done = subprocess.run(client, env=environment, stdout=subprocess.PIPE if options.json else None, text=True)
    finally:
        server.terminate()
        server.wait(30)
    if options.json and not done.returncode:
        output.result("", design=design, **json.loads(done.stdout))
    return done.returncode


main = Command("board-demo", _options, _run, "models/cnv.npz --core functional")


if __name__ == "__main__":
    sys.exit(main())
