"""Folders whose names hold what make and Verilator do not take: spaces, and letters beyond ASCII."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bnn.paths import PathError, is_plain, plain
from sim import rtl_sim

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("my work", "prüfung", "a'b;$c", "100%_of#it")


@pytest.fixture(autouse=True)
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Links go into a folder of the test's own."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


@pytest.mark.parametrize("name", NAMES)
def test_every_path_has_a_plain_name(name: str, tmp_path: Path, links: Path) -> None:
    folder = tmp_path / name / "in it"
    folder.mkdir(parents=True)
    (folder / "a.cpp").write_text("x")
    for path in (folder, folder / "a.cpp", folder / "not there.o"):
        found = plain(path)
        assert is_plain(found.parent) and (is_plain(found) or " " in path.name)
        assert os.path.realpath(str(found)) == os.path.realpath(str(path))
        assert plain(path) == found  # again the same
    assert plain(links / "b.cpp") == links / "b.cpp"


def test_a_temporary_folder_that_is_not_plain_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / "my temporary"
    odd.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(odd))
    with pytest.raises(PathError, match="set TMPDIR to a plain one"):
        plain(odd / "a.cpp")


@pytest.mark.skipif(rtl_sim.find_verilator() is None, reason="verilator is not installed")
def test_verilator_is_called_with_plain_paths_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources, package, objects: nothing that gets into a makefile has an odd name."""
    root = tmp_path / "prüfung 1"
    for name in ("rtl", "verilator", "contract", "package"):
        (root / name).mkdir(parents=True)
    for name in ("include", "bin"):
        (root / "package" / name).mkdir()
    (root / "package/include/verilated.mk").write_text("")
    program = root / "package/bin/verilator"
    program.write_text("")
    for name in rtl_sim.HARNESS_SOURCES:
        (root / "verilator" / name).write_text("")
    calls: list[tuple[list[str], dict[str, str]]] = []

    def call(name: str, command: list[str], environment: dict[str, str]) -> None:
        calls.append((command, environment))
        if name == "make":  # make itself asks for the folder's name past every link
            assert is_plain(Path(command[command.index("-C") + 1]).resolve())
            (Path(command[command.index("-C") + 1]) / "bnn_sim").write_text("")

    monkeypatch.setattr(rtl_sim, "HARNESS", root / "verilator")
    monkeypatch.setattr(rtl_sim, "CONTRACT", root / "contract")
    monkeypatch.setattr(rtl_sim, "find_verilator", lambda: program)
    monkeypatch.setattr(rtl_sim, "_call", call)
    shutil.copy(ROOT / "hw_templates/rtl/bnn_pkg.sv", root / "rtl")
    binary = root / "build/bnn_sim"
    binary.parent.mkdir()
    files = [root / "rtl/bnn_pkg.sv", *((root / "verilator" / name) for name in rtl_sim.HARNESS_SOURCES)]
    rtl_sim._compile(binary, [], rtl_sim.verilator_environment(program), 1, files, root / "library")
    (verilate, environment), (make, _) = calls
    assert binary.is_file()
    assert is_plain(Path(environment["VERILATOR_ROOT"]))
    assert str(Path(sys.executable).parent) in environment["PATH"].split(os.pathsep)
    for word in (*verilate[1:], *make):
        assert re.fullmatch(r"[\w@%+,./= -]*", word, re.ASCII), word


@pytest.mark.parametrize("target", ["env", "demo", "train", "export", "hls", "deploy", "sim", "test", "lint", "clean"])
def test_targets_name_no_absolute_path(target: str) -> None:
    """What make runs names files relative to the folder: its own name is in no command."""
    command = ["make", "-n", target, "BOARD=board", "PYTHON=python3"]
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert str(ROOT) not in done.stdout
    # the shebang of a script in an environment has a length and takes no spaces
    assert not re.search(r"\.venv/bin/(?!python)", done.stdout)
