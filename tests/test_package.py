"""Both wheels, each in an environment in which nothing else of the project is: what they hold, and that it runs."""

from __future__ import annotations

import email
import email.message
import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bnn import golden
from bnn.model import load

ROOT = Path(__file__).resolve().parent.parent
SITE = Path(np.__file__).resolve().parent.parent
"""Where the packages of this environment lie; the checkout is not among them."""


def python(folder: Path, *arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run an environment's Python, away from the checkout."""
    left = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [str(folder / "bin/python"), *arguments], cwd=cwd, capture_output=True, text=True, env={**left, **more}
    )


def installed(wheel: Path, folder: Path, seen: Path) -> Path:
    """An empty environment with the wheel in it, that sees the packages in the folder `seen` too."""
    venv.create(folder, symlinks=True)
    call = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "install", "-q", "--no-deps"]
    done = subprocess.run([*call, "--no-index", str(wheel)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    site = next(folder.glob("lib/python3*/site-packages"))
    (site / "seen.pth").write_text(f"{seen}\n")
    return folder


def built(wheels: Path) -> Path:
    (wheel,) = wheels.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel for boards, with an overlay."""
    folder = tmp_path_factory.mktemp("board")
    for name in ("mine.bit", "mine.hwh"):
        (folder / name).write_text("x")
    call = [sys.executable, "board/wheel.py", "-o", str(folder / "wheels"), "--bit", str(folder / "mine.bit")]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return built(folder / "wheels")


@pytest.fixture(scope="module")
def toolkit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toolkit's wheel, of a copy of what is tracked."""
    folder = tmp_path_factory.mktemp("toolkit")
    for name in tracked():
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / "source" / name)
    call = ["wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder / "wheels"), str(folder / "source")]
    done = subprocess.run([sys.executable, "-m", "pip", *call], capture_output=True, text=True)
    assert done.returncode == 0 and "deprecated" not in (done.stdout + done.stderr).lower(), done.stderr
    return built(folder / "wheels")


def tracked() -> list[str]:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in names.split("\0") if name and (ROOT / name).is_file()]


def metadata(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as content:
        (name,) = (name for name in content.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(content.read(name))


def test_the_boards_wheel_is_bnn_alone(board: Path) -> None:
    names = zipfile.ZipFile(board).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"bnn"}
    for needed in ("page/index.html", "notebooks/cifar10.ipynb", "overlays/mine.bit", "overlays/mine.hwh"):
        assert f"bnn/host/{needed}" in names
    found = metadata(board)
    assert [one for one in found.get_all("Requires-Dist") or [] if "extra" not in one] == ["numpy", "pynq"]
    assert found["License-Expression"] == "Apache-2.0"


def test_the_board_runs_with_numpy_alone(board: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    seen.mkdir()
    for path in SITE.glob("numpy*"):
        (seen / path.name).symlink_to(path)
    folder = installed(board, tmp_path / "env", seen)
    (tmp_path / "host.py").write_text("raise SystemExit('a stranger of that name')\n")
    model, sample = ROOT / "models/sfc.npz", ROOT / "models/mnist_sample.npz"
    call = ["-m", "bnn", "infer", "--cpu", "--model", str(model), "--images", str(sample), "--limit", "3", "--json"]
    done = python(folder, *call, cwd=tmp_path, BNN_CXX="")
    assert done.returncode == 0, done.stderr
    images = np.load(sample)["x"][:3]
    assert json.loads(done.stdout)["scores"] == golden.infer(load(model), images).tolist()
    code = "import bnn.host, bnn.cpu, sys; print(bnn.host.__file__, len(bnn.cpu.sources()) > 3, 'host' in sys.modules)"
    done = python(folder, "-c", code, cwd=tmp_path)
    assert done.stdout.endswith("bnn/host/__init__.py True False\n"), done.stderr
    done = python(folder, "-m", "bnn", "train", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "error: bnn train needs train, which is not installed\n")
    assert (folder / "bin/bnn").is_file()


def test_pynq_finds_overlay_and_notebooks(board: Path, tmp_path: Path) -> None:
    """By its own code: `Overlay("mine.bit")` looks where the wheel put it, `pynq get-notebooks` copies."""
    pytest.importorskip("pynq")
    folder = installed(board, tmp_path / "env", SITE)
    code = """
import sys, warnings
warnings.simplefilter("ignore")
from pynqutils.setup_utils import ExtensionsManager
for path in ExtensionsManager("pynq.overlays").paths: print(path)
from pynq._cli.get_notebooks import main
sys.argv = ["get-notebooks", "--ignore-overlays", "--quiet", "--path", "copied", "bnn"]
main()
"""
    done = python(folder, "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    places = [Path(line) for line in done.stdout.splitlines() if line.startswith("/")]
    assert any((place / "mine.bit").is_file() for place in places)
    (copied,) = (tmp_path / "copied").rglob("cifar10.ipynb")
    assert "from bnn.host import Accelerator" in copied.read_text()


def test_the_toolkit_carries_what_it_renders_and_shows(toolkit: Path) -> None:
    names = set(zipfile.ZipFile(toolkit).namelist())
    carried = ("hw_templates/", "models/", "bnn/", "train/", "hls/", "host/", "sim/verilator/")
    missing = [name for name in tracked() if name.startswith(carried) and name not in names]
    assert not missing
    assert not any("__pycache__" in name or name.startswith("tests") for name in names)
    found = metadata(toolkit)
    assert {"sim", "board", "brevitas", "dev"} <= set(found.get_all("Provides-Extra") or [])
    assert found["License-Expression"] == "Apache-2.0"


def test_the_toolkit_runs_where_it_cannot_write(toolkit: Path, tmp_path: Path) -> None:
    """From another folder, with a home that cannot be written; nothing is written beside the code."""
    folder = installed(toolkit, tmp_path / "env", SITE)
    site = next(folder.glob("lib/python3*/site-packages"))
    work = tmp_path / "work"
    work.mkdir()
    calls = [
        ["fits", "lfc"],
        ["zoo", "table"],
        ["overlay", "--design", "sim_small", "-o", "overlay"],
        ["plan", str(site / "models/sfc.npz"), "--design", "pynq_z1", "-o", "plan"],
        ["infer", "--cpu", "--model", str(site / "models/sfc.npz"), "--images", str(site / "models/mnist_sample.npz")],
    ]

    def beside() -> set[Path]:
        return {path for path in site.rglob("*") if path.suffix != ".pyc" and path.name != "__pycache__"}

    before = beside()
    for call in calls:
        done = python(folder, "-m", "bnn", *call, cwd=work, HOME="/proc/none", BNN_CXX="")
        assert done.returncode == 0, (call, done.stderr)
    code = "import bnn, train.data, sim.demo; print(bnn.__file__); print(train.data.DEFAULT_FOLDER)"
    done = python(folder, "-c", code, cwd=work)
    assert done.stdout == f"{site}/bnn/__init__.py\nbuild/data\n", done.stderr
    assert beside() == before
    assert (folder / "bin/bnn").is_file()
