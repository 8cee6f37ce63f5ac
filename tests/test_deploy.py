"""Copying to a board: what goes there is enough, and nothing else."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.designs import ARTY
from helpers.host import images, make_model
from helpers.tools import Tools

from bnn import golden
from bnn.__main__ import main as bnn
from bnn.model import save
from hls.designs import DESIGNS
from hls.implementation import bitfile
from host import deploy

ROOT = Path(__file__).resolve().parent.parent
BLOCKED = """
import sys
for name in ('torch', 'jinja2', 'PIL', 'scipy', 'grpc', 'hls', 'train'):
    sys.modules[name] = None
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files to deploy, and stand-ins for ssh and scp that copy into the folder `board`."""
    for name in ("bnn.bit", "bnn.hwh", "program.bin"):
        (tmp_path / name).write_bytes(b"x")
    save(make_model(), tmp_path / "net.npz")
    np.savez(tmp_path / "some.npz", x=images(4), y=np.zeros(4, int))
    tools = tmp_path / "tools"
    tools.mkdir()
    board = tmp_path / "board"
    (tools / "ssh").write_text(
        f'#!/bin/sh\n[ "$1" = xilinx@board ] || {{ echo "ssh: no route" >&2; exit 255; }}\n'
        f'mkdir -p "{board}" && cd "{board}" && eval "$2"\n'
    )
    (tools / "scp").write_text(
        f"#!/bin/sh\nshift\nfor last; do :; done\nwhile [ $# -gt 1 ]; do "
        f'cp -r "$1" "{board}/${{last#*:}}"; shift; done\n'
    )
    for tool in tools.iterdir():
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    real = deploy.shutil.which
    monkeypatch.setattr(deploy.shutil, "which", lambda name: None if name == "rsync" else real(name))
    return tmp_path


def arguments(files: Path) -> list[str]:
    return [
        "--bit",
        str(files / "bnn.bit"),
        "--program",
        str(files / "program.bin"),
        "--model",
        str(files / "net.npz"),
        "--images",
        str(files / "some.npz"),
    ]


def test_what_was_copied_runs(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert deploy.main(["xilinx@board", *arguments(files)]) == 0
    text = capsys.readouterr().out
    there = files / "board" / "bnn"
    copied = {str(path.relative_to(there)) for path in there.rglob("*") if path.is_file()}
    assert copied == {*deploy.CODE, "bnn.bit", "bnn.hwh", "program.bin", "model.npz", "some.npz"}
    assert "cd bnn && sudo -E python3 host/pynq_infer.py --bit bnn.bit --program program.bin" in text
    given = ["host/pynq_infer.py", "--cpu", "--model", "model.npz", "--images", "some.npz", "--json"]
    run = f"{BLOCKED}sys.argv = {given}"
    done = subprocess.run(
        [sys.executable, "-c", f"{run}\nimport runpy\nrunpy.run_path('host/pynq_infer.py', run_name='__main__')"],
        cwd=there,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["scores"] == golden.infer(make_model(), images(4)).tolist()
    assert str(ROOT) not in done.stdout


def test_images_that_fit_the_model_go_along(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = arguments(files)[:-2]
    assert deploy.main(["xilinx@board", *plain]) == 0  # images of which none are shipped
    assert "--images IMAGES" in capsys.readouterr().out
    assert [path.name for path in (files / "board/bnn").glob("*.npz")] == ["model.npz"]
    plain[plain.index("--model") + 1] = str(ROOT / "models/lfc.npz")
    assert deploy.main(["xilinx@board", *plain]) == 0
    assert "--images mnist_sample.npz" in capsys.readouterr().out
    assert (files / "board/bnn/mnist_sample.npz").read_bytes() == (ROOT / "models/mnist_sample.npz").read_bytes()


def made(target: str, *variables: str) -> list[list[str]]:
    """The commands of bnn that a target of the Makefile runs, as words from the command's name on."""
    done = subprocess.run(
        ["make", "-s", "-n", target, *variables], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    lines = [shlex.split(line) for line in done.stdout.replace("\\\n", " ").splitlines()]
    return [line[line.index("bnn") + 1 :] for line in lines if "bnn" in line]


@pytest.mark.parametrize(
    ("design", "net", "backend"), [("pynq_z1", "cnv", "rtl"), ("pynq_z2_hls", "lfc", "hls"), ("arty", "cnv", "rtl")]
)
def test_what_make_hls_leaves_make_deploy_takes(
    design: str,
    net: str,
    backend: str,
    files: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path_factory.mktemp("build")
    with monkeypatch.context() as patch:
        tools = Tools(folder, patch)
        tools.add("vitis_hls", "vivado")
        patch.setenv("DESIGN", design)
        patch.chdir(folder)
        given = design
        if design not in DESIGNS:  # of a file
            given = str(folder / f"{design}.toml")
            Path(given).write_text(ARTY)
        variables = (f"DESIGN={given}", f"BACKEND={backend}", f"MODEL={ROOT / 'models' / net}.npz")
        for words in made("hls", *variables):
            assert bnn(words) == 0
        assert "bitstream" in tools.stages()
    monkeypatch.chdir(folder)
    capsys.readouterr()
    for words in made("deploy", *variables, "BOARD=xilinx@board"):
        assert bnn(words) == 0
    there = files / "board/bnn"
    assert (there / f"{design}.bit").read_bytes() == (folder / "build" / design / bitfile(design)).read_bytes()
    assert "MHZ" in (there / f"{design}.hwh").read_text()
    sample = {"cnv": "cifar10_sample.npz", "lfc": "mnist_sample.npz"}[net]
    assert f"--bit {design}.bit" in capsys.readouterr().out and (there / sample).is_file()


def test_every_module_of_the_host_is_copied_or_left_out_on_purpose() -> None:
    here = {f"host/{path.name}" for path in (ROOT / "host").glob("*.py")}
    assert here - set(deploy.CODE) == {"host/bench_cluster.py", "host/deploy.py"}


def test_errors(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def error(*given: str) -> str:
        assert deploy.main([*given]) == 1
        said = capsys.readouterr().err
        assert said.startswith("error: ") and said.count("\n") == 1
        return said

    assert "ssh: no route" in error("xilinx@nowhere", *arguments(files))
    assert "starts with -" in error("xilinx@board", *arguments(files), "--target=-rf")
    (files / "bnn.bit").write_bytes(b"\0\x09bnn;Version=simulation")
    assert "is the overlay of the simulated board" in error("xilinx@board", *arguments(files))
    (files / "bnn.hwh").unlink()
    assert "bnn.hwh: no such file; build the bitstream" in error("xilinx@board", *arguments(files))
    assert not (files / "board").exists()
