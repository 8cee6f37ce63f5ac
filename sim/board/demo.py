"""`python -m sim.board.demo`: the simulated board and host/pynq_infer.py against it, in one command.

Both are processes of their own, started as a user starts them; every score is compared with the golden
model's.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import List, Optional

from bnn.model import ModelError, load
from bnn.samples import sample_images
from hls import designs

ROOT = Path(__file__).resolve().parent.parent.parent
READY = "clients:"


def start(arguments: List[str], wait_s: float = 900.0) -> subprocess.Popen:
    """Start `python -m sim.board` and wait until it serves.

    Raises:
        RuntimeError: it ends before, or takes longer than `wait_s`; one line says why.
    """
    command = [sys.executable, "-m", "sim.board", *arguments]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert server.stdout is not None and server.stderr is not None
    until = time.monotonic() + wait_s
    for line in server.stdout:
        print(line, end="", flush=True)
        if line.startswith(READY):
            return server
        if time.monotonic() > until:
            break
    server.kill()
    said = (server.communicate()[1] or "").strip()
    raise RuntimeError(said[7:] if said.startswith("error: ") else said or "the board did not start")


def main(arguments: Optional[List[str]] = None) -> int:
    """Run the command; the exit status is that of pynq_infer."""
    parser = argparse.ArgumentParser(prog="python -m sim.board.demo", description="Board and client in one command.")
    parser.add_argument("model", type=Path, nargs="?", default=ROOT / "models" / "cnv.npz")
    designs.add_option(parser)
    parser.add_argument("--core", choices=("rtl", "functional"), default="rtl")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address (default 127.0.0.1)")
    parser.add_argument("--images", help="default: the shipped ones of the model's size")
    parser.add_argument("--limit", type=int, default=64, help="images (default 64)")
    parser.add_argument("--batch", type=int, default=16, help="images of a run (default 16)")
    options = parser.parse_args(arguments)
    try:
        images = options.images or str(sample_images(load(options.model)))
        design = designs.find(options.design).name
    except (ModelError, designs.DesignError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    # both processes run in the project's folder
    given = str(Path(options.design).resolve()) if options.design.endswith(".toml") else options.design
    folder = ROOT / "build" / design
    packing = [sys.executable, "-m", "hls", str(options.model), "--design", given, "-o", str(folder)]
    packed = subprocess.run(packing, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    if packed.returncode:
        print(packed.stderr.strip(), file=sys.stderr)
        return 1
    try:
        server = start(["--design", given, "--core", options.core, "--host", options.host])
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    try:
        client = [
            sys.executable, str(ROOT / "host" / "pynq_infer.py"),
            "--bit", str(folder / "overlay" / f"{design}.bit"), "--program", str(folder / "program.bin"),
            "--model", str(options.model), "--images", images, "--limit", str(options.limit),
            "--batch", str(options.batch), "--validate",
        ]
        return subprocess.run(client, env={**os.environ, "PYNQ_REMOTE_DEVICES": options.host}).returncode
    finally:
        server.terminate()
        server.wait(30)


if __name__ == "__main__":
    sys.exit(main())
