"""What runs before there is an environment, and what says why there is none: doctor, environment, clean."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bnn import clean, doctor, environment
from bnn.__main__ import main

ROOT = Path(__file__).resolve().parent.parent


def stand_in(folder: Path, name: str, version: str) -> Path:
    """A program that says it is this version of Python, and makes environments that say so, too."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(
        f'#!/bin/sh\n[ "$1" = -c ] && echo {version} && exit\n'
        'mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && touch "$3/pyvenv.cfg"\n'
    )
    path.chmod(0o755)
    return path


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that is all of PATH, and a Python that runs this which does not fit."""
    monkeypatch.setattr(environment.sys, "version_info", (3, 13, 1, "final", 0))
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "mkdir", "cp", "touch"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


def test_the_range_is_that_of_the_settings() -> None:
    wanted = environment.supported()
    assert (3, 11) in wanted and (3, 9) not in wanted and (3, 13) not in wanted
    assert str(wanted) == "3.10 to 3.12" and wanted.names() == ["python3.12", "python3.11", "python3.10"]


def test_a_python_that_does_not_fit_is_refused_at_once(old: Path, tmp_path: Path) -> None:
    said = environment.prepare(tmp_path / "venv")
    assert said.endswith(
        "is Python 3.13, needs 3.10 to 3.12: install one of python3.12, python3.11, python3.10, "
        "or say make env PYTHON=/path/to/it"
    )
    assert not (tmp_path / "venv").exists()


def test_another_on_path_is_taken(old: Path, tmp_path: Path) -> None:
    stand_in(old, "python3.12", "3.13")  # its name is not what counts
    stand_in(old, "python3.10", "3.10")
    assert environment.prepare(tmp_path / "my venv") == ""
    assert environment.version_of(tmp_path / "my venv/bin/python") == (3, 10)


@pytest.mark.parametrize("before", ["3.13", "", "other", "link", "dangling"])
def test_an_environment_that_does_not_fit_is_replaced(
    before: str, old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(old, "python3.11", "3.11")
    venv = tmp_path / "venv"
    if before in ("link", "dangling"):
        venv.symlink_to(tmp_path / "real")
    if before == "other":
        venv.mkdir()
        (venv / "thesis.txt").write_text("mine")
    elif before != "dangling":
        stand_in((tmp_path / "real" if before == "link" else venv) / "bin", "python", before or "nothing")
        (venv / "pyvenv.cfg").write_text("")
    if before == "link":
        stand_in(tmp_path / "real/bin", "python", "3.13")
    said = environment.prepare(venv)
    if before == "other":
        assert said == f"{venv}: is no virtual environment, and is left alone: move it away"
        assert (venv / "thesis.txt").is_file()
    elif before == "link":
        assert said == f"{venv}: is a link to an environment of Python 3.13, needs 3.10 to 3.12: remove the link"
    else:
        assert said == "" and environment.version_of(venv / "bin/python") == (3, 11)
        assert environment.prepare(venv) == ""  # and stays
        printed = capsys.readouterr().err
        assert printed.count("made anew") == (before != "dangling")


def test_the_doctor_runs_with_nothing_installed() -> None:
    """Any Python, no site packages: it says what is missing, in every line where one is wrong how to mend it."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "bnn", "doctor", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")},
    )
    assert done.stderr == "" and done.returncode == 1
    findings = {item["what"]: item for item in json.loads(done.stdout)["findings"]}
    assert findings["packages"]["state"] == "WRONG" and findings["yosys"]["state"] == "WRONG"
    assert findings["Python"]["state"] == findings["g++"]["state"] == "ok"
    assert all(item["mend"] for item in findings.values() if item["state"] != "ok")


def test_the_doctor_finds_nothing_wrong_here(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the tests' environment lies, and however full the disk is."""
    for name in ("_environment", "_disk"):
        monkeypatch.setattr(doctor, name, lambda: doctor.Finding(doctor.OK, "here", "as it is"))
    assert main(["doctor"]) == 0, capsys.readouterr().out
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "nothing is wrong"
    assert len({line.index(line.split(None, 2)[1]) for line in lines if line.startswith("ok")}) == 1


def test_an_installed_package_is_mended_by_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no checkout, no target of make is there either."""
    missing = ["a-package-that-is-not-there"]
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda name: missing)
    assert doctor._packages()[2:] == (f"missing: {missing[0]}", "touch pyproject.toml and make env")
    monkeypatch.setattr(environment, "SETTINGS", tmp_path / "pyproject.toml")
    assert doctor._packages().mend == f"{sys.executable} -m pip install bnn-fpga"


@pytest.mark.parametrize(
    ("change", "what", "said", "mend"),
    [
        ("PATH", "g++", "not on PATH", "apt install g++"),
        ("python", "Python", "3.", "needs 3.10 to 3.12"),
        ("version", "packages", "torch 2.13.0 (is 1.0)", "make env"),
        ("folder", "folder", "holds: space ü", "plain folder"),
        ("disk", "disk", "0.1 GB free", "make clean"),
        ("moved", "environment", "looks for /gone/bin/python", "make env"),
        ("none", "environment", "no Python in", "make env"),
    ],
)
def test_what_it_finds(
    change: str, what: str, said: str, mend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if change == "PATH":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif change == "python":
        monkeypatch.setattr(doctor.sys, "version_info", (3, 13, 1))
    elif change == "version":
        real = importlib.metadata.version
        monkeypatch.setattr(doctor.importlib.metadata, "version", lambda name: "1.0" if name == "torch" else real(name))
    elif change == "folder":
        monkeypatch.setattr(doctor, "ROOT", tmp_path / "eine prüfung")
    elif change == "disk":
        monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 10**8))
    else:
        monkeypatch.setattr(doctor, "ROOT", tmp_path)
        if change == "moved":
            stand_in(tmp_path / ".venv/bin", "python", "3.11")
            (tmp_path / ".venv/bin/bnn").write_text("#!/gone/bin/python\n")
    found = {item.what: item for item in doctor.examine()}[what]
    assert found.state != doctor.OK and said in found.found and mend in found.mend


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder `build` as days of work leave it."""
    made = {
        "bench.json": "",
        "cnv/checkpoint.pt": "",
        "cnv/log.csv": "",
        "cnv/model.npz": "",
        "mine/net.npz": "",
        "mine/net.html": "",
        "data/cifar10.npz": "",
        "pynq_z1/hls/bnn_design.h": "",
        "pynq_z1/design.toml": "",
        "pynq_z1/program.bin": "",
        "pynq_z1/bitstream/pynq_z1.bit": "of Vivado",
        "pynq_z1/bitstream/pynq_z1.hwh": "",
        "pynq_z1/overlay/pynq_z1.bit": "x;Version=simulation",
        "pynq_z1/overlay/pynq_z1.hwh": "",
        "test/x/trace.npz": "",
        "synthesis/0a.json": "",
    }
    for name, text in made.items():
        (tmp_path / "build" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "build" / name).write_text(text)
    return tmp_path / "build"


STAY = {
    "cnv/checkpoint.pt",
    "cnv/log.csv",
    "cnv/model.npz",
    "mine/net.npz",
    "data/cifar10.npz",
    "pynq_z1/design.toml",
    "pynq_z1/bitstream/pynq_z1.bit",
    "pynq_z1/bitstream/pynq_z1.hwh",
}


def test_clean_keeps_what_took_long(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert clean.main([str(built)]) == 0
    assert files(built) == STAY
    assert not (built / "test").exists() and not (built / "pynq_z1/overlay").exists()
    assert capsys.readouterr().out.startswith("kept 6: ")
    assert clean.main([str(built / "nothing")]) == 0


def test_all_is_removed_after_a_question(
    built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "n")
    assert clean.main(["--all", str(built)]) == 1 and STAY < files(built)
    assert asked == [f"remove {built}, with 6 checkpoints, models, data sets or bitstreams? [y/N] "]
    monkeypatch.setattr("builtins.input", lambda question: "y")
    assert clean.main(["--all", str(built)]) == 0 and not built.exists()
    built.mkdir()
    monkeypatch.delattr("builtins.input")
    assert clean.main(["--all", "--yes", str(built)]) == 0 and not built.exists()
