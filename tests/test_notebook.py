"""The notebooks, run from top to bottom: with the simulated board, without one, and own pictures in a small setting."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pynq")
nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

from helpers.board import next_host  # noqa: E402
from helpers.cores import BUILD  # noqa: E402

from bnn import golden  # noqa: E402
from bnn.model import load  # noqa: E402
from hls import designs, overlay, program, schedule  # noqa: E402
from host import deploy  # noqa: E402
from sim.board import demo  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
CIFAR10 = ROOT / "host" / "notebooks" / "cifar10.ipynb"
OWN = ROOT / "notebooks" / "own_network.ipynb"


def execute(path: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> tuple[str, int]:
    """What a notebook prints, and how many pictures it shows."""
    settings |= {"JUPYTER_PLATFORM_DIRS": "1", "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    for name, value in settings.items():
        monkeypatch.setenv(name, str(value))
    notebook = nbformat.read(path, 4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") for output in outputs)
    return text, sum("image/png" in output.get("data", {}) for output in outputs)


def right() -> str:
    """What the golden model reaches on the shipped images."""
    with np.load(ROOT / "models" / "cifar10_sample.npz") as sample:
        found = golden.infer(load(ROOT / "models" / "cnv.npz"), sample["x"]).argmax(1)
        return f"{int((found == sample['y']).sum())} of 64 right"


@pytest.mark.slow
def test_on_the_simulated_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = next_host()
    model = load(ROOT / "models" / "cnv.npz")
    (tmp_path / "program.bin").write_bytes(program.pack(schedule.plan(model, designs.find("pynq_z1"), 64)))
    server = demo.start(["--core", "functional", "--host", host, "-o", str(tmp_path / "overlay")], 60)
    try:
        text, pictures = execute(CIFAR10, monkeypatch, PYNQ_REMOTE_DEVICES=host, BNN_FOLDER=tmp_path)
        monkeypatch.setattr(deploy, "is_simulated", lambda bit: False)
        shipped, there = ROOT / "models", tmp_path / "bnn"
        files = (tmp_path / "overlay" / "pynq_z1.bit", tmp_path / "program.bin", shipped / "cnv.npz")
        deploy.collect(there, *files, shipped / "cifar10_sample.npz")
        monkeypatch.delenv("BNN_FOLDER")
        deployed, _ = execute(there / CIFAR10.relative_to(ROOT), monkeypatch, PYNQ_REMOTE_DEVICES=host)
    finally:
        server.terminate()
        server.wait(20)
    assert f"pynq_z1.bit on {host}" in text and right() in text and "all 640 scores are equal\n" in text
    assert "end to end" in text and "No accelerator" not in text
    assert pictures == 2, "two sheets of pictures"
    assert right() in deployed and "all 640 scores are equal\n" in deployed and "No accelerator" not in deployed


@pytest.mark.slow
@pytest.mark.parametrize("built", [False, True])
def test_where_no_board_is_found(built: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to do, whether there is nothing yet or only the board lacks, and goes on with the processor."""
    monkeypatch.delenv("PYNQ_REMOTE_DEVICES", raising=False)
    if built:
        design = designs.find("pynq_z1")
        overlay.write(design, tmp_path / "overlay")
        model = load(ROOT / "models" / "cnv.npz")
        (tmp_path / "program.bin").write_bytes(program.pack(schedule.plan(model, design, 64)))
    text, pictures = execute(CIFAR10, monkeypatch, BNN_FOLDER=tmp_path)
    said = text.partition("No accelerator: ")[2]
    assert "bnn board" in said and "PYNQ_REMOTE_DEVICES" in said and "Traceback" not in said
    assert ("program.bin" in said.splitlines()[0]) is not built, said.splitlines()[0]
    assert right() in said and "equal (both are the processor's)" in said and "end to end" not in said
    assert pictures == 2


@pytest.mark.slow
def test_an_own_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of pictures, a few epochs, and the small core, whose simulation other tests use as well."""
    settings = {"BNN_DRAWN": 30, "BNN_EPOCHS": 2, "BNN_DESIGN": "sim_small", "BNN_CORES": BUILD}
    text, pictures = execute(OWN, monkeypatch, BNN_FOLDER=tmp_path, **settings)
    assert "90 images of circle, square, triangle" in text and ", 0 score mismatches" in text
    assert "PE x SIMD x LANES" in text and "simulated next: 8x32x4" in text
    assert "scores and every bit of 3 layers are equal" in text and "at 100 MHz: simulated" in text
    assert "the planner expected " in text and f"in {tmp_path / 'design'}" in text
    assert pictures == 4 and (tmp_path / "cycles.png").read_bytes().startswith(b"\x89PNG")
    assert load(tmp_path / "model.npz").classes == ("circle", "square", "triangle")


@pytest.mark.parametrize("path", [CIFAR10, OWN], ids=lambda path: path.stem)
def test_notebooks_are_stored_without_results(path: Path) -> None:
    content = json.loads(path.read_text())
    assert all(not cell.get("outputs") and not cell.get("execution_count") for cell in content["cells"])
    assert os.path.getsize(path) < 20000
