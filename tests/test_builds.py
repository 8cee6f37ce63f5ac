"""Folders of builds, and the lock of a folder."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from helpers.cores import TIGHT
from helpers.models import network

from bnn import golden
from bnn.files import LOCK, locked
from hls import build as hls_build
from hls.ap_types import find_ap_types
from hls.designs import DESIGNS, Design
from hls.program import pack
from hls.schedule import plan
from sim import hls_csim
from sim.builds import KEPT, build_folder
from train.__main__ import main as train_main

HOLD = """
import sys
from pathlib import Path
from bnn.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(folder: Path) -> subprocess.Popen:
    """Another process that holds a folder until its input ends."""
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None and other.stdout.readline() == "held\n"
    return other


def test_one_process_works_in_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = hold(tmp_path)
    with pytest.raises(BlockingIOError, match="another process works in this folder"), locked(tmp_path, wait=False):
        pass
    commands = {
        "train": lambda: train_main(["tiny", "--data", "none.npz", "-o", str(tmp_path)]),
        "build": lambda: hls_build.main(["--design", "sim_small", "-o", str(tmp_path)]),
    }
    for name, command in commands.items():
        assert command() == 1, name
        assert capsys.readouterr().err == f"error: {tmp_path}: another process works in this folder\n", name
    other.kill()  # the lock ends with the process
    other.wait()
    with locked(tmp_path, wait=False):
        assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_old_builds_go_and_those_in_use_stay(tmp_path: Path) -> None:
    digests = [f"{number:064x}"[::-1] for number in range(KEPT + 2)]
    for number, digest in enumerate(digests[:KEPT]):
        with build_folder(tmp_path, digest) as place:
            (place / "core").write_text(digest)
        os.utime(place, (number, number))
    with build_folder(tmp_path, digests[0]):  # used again
        pass
    other = hold(tmp_path / digests[1][:16])
    for digest in digests[KEPT:]:
        with build_folder(tmp_path, digest):
            pass
    other.kill()
    other.wait()
    left = {path.name for path in tmp_path.iterdir()}
    assert {digests[0][:16], digests[1][:16], *(digest[:16] for digest in digests[KEPT:])} <= left
    assert digests[2][:16] not in left and len(left) <= KEPT + 1


@pytest.mark.skipif(find_ap_types() is None, reason="ap_int.h is not installed")
def test_two_designs_in_one_folder_at_a_time(tmp_path: Path) -> None:
    """Both are right, also when the second was built before the first runs."""
    model = network(3, (8, 8, 3), [("conv", 9, 1, 0, False), ("conv", 8, 1, 1, True), ("dense", 5)])
    images = np.random.default_rng(1).integers(0, 256, (3, 8, 8, 3), np.uint8)
    cores: dict[Design, hls_csim.HlsSimulation] = {}

    def build(design: Design) -> None:
        cores[design] = hls_csim.build(design, tmp_path)

    threads = [threading.Thread(target=build, args=(design,)) for design in (TIGHT, DESIGNS["sim_small"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({core.binary for core in cores.values()}) == 2
    for design, core in cores.items():
        assert (core.run(pack(plan(model, design, 3)), images)[0] == golden.infer(model, images)).all(), design.name
    before = {design: core.binary.stat().st_mtime_ns for design, core in cores.items()}
    for design in cores:
        assert hls_csim.build(design, tmp_path).binary.stat().st_mtime_ns == before[design]  # nothing is compiled twice
