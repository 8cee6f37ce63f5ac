"""The notebook, run from top to bottom against the simulated board."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pynq")
nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

from helpers.board import next_host  # noqa: E402

from bnn import golden  # noqa: E402
from bnn.model import load  # noqa: E402
from hls import designs, program, schedule  # noqa: E402
from sim.board import demo  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "host" / "notebooks" / "cifar10.ipynb"


@pytest.mark.slow
def test_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = next_host()
    model = ROOT / "models" / "cnv.npz"
    (tmp_path / "program.bin").write_bytes(program.pack(schedule.plan(load(model), designs.find("pynq_z1"), 64)))
    server = demo.start(["--core", "functional", "--host", host, "-o", str(tmp_path / "overlay")], 60)
    for name, value in (
        ("PYNQ_REMOTE_DEVICES", host),
        ("BNN_FOLDER", tmp_path),
        ("JUPYTER_PLATFORM_DIRS", "1"),
        ("MPLBACKEND", "module://matplotlib_inline.backend_inline"),
    ):
        monkeypatch.setenv(name, str(value))
    try:
        notebook = nbformat.read(NOTEBOOK, 4)
        nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    finally:
        server.terminate()
        server.wait(20)
    text = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    with np.load(ROOT / "models" / "cifar10_sample.npz") as sample:
        right = int((golden.infer(load(model), sample["x"]).argmax(1) == sample["y"]).sum())
    assert f"pynq_z1.bit on {host}" in text and f"{right} of 64 right" in text and "all 640 scores are equal" in text
    pictures = [
        output for cell in notebook.cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 2, "two sheets of pictures"


def test_notebook_is_stored_without_results() -> None:
    content = json.loads(NOTEBOOK.read_text())
    assert all(not cell.get("outputs") and not cell.get("execution_count") for cell in content["cells"])
    assert os.path.getsize(NOTEBOOK) < 20000
