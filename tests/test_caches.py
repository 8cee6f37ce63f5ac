"""Caches of tools where neither their package nor the home can be written."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bnn import caches

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that can be written, no variables, and temporary files of the test's own."""
    for name in (*caches.VARIABLES, "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "home"


def test_a_home_that_can_be_written_is_left_to_the_tools(home: Path) -> None:
    assert caches.variables() == {} and not home.exists()


def test_a_home_that_cannot_be_written(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/proc/none")
    mine = tmp_path / "temporary" / f"bnn-fpga-{os.getuid()}"
    found = caches.variables()
    assert found == {name: str(mine / place) for name, place in caches.VARIABLES.items()}
    assert mine.stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("NUMBA_CACHE_DIR", "elsewhere")
    assert list(caches.variables()) == ["YOWASP_CACHE_DIR", "MPLCONFIGDIR"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert caches.variables() == {}


@pytest.mark.parametrize("trap", ["link", "open", "file"])
def test_a_folder_that_others_may_have_made_is_not_used(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: str
) -> None:
    monkeypatch.setenv("HOME", "/proc/none")
    place = tmp_path / "temporary" / f"bnn-fpga-{os.getuid()}"
    if trap == "link":
        (tmp_path / "other").mkdir()
        place.symlink_to(tmp_path / "other")
    elif trap == "open":
        place.mkdir()
        place.chmod(0o777)
    else:
        place.write_text("")
    folder = Path(caches.variables()["NUMBA_CACHE_DIR"]).parent
    assert folder != place and folder.stat().st_mode & 0o777 == 0o700


def test_numba_takes_the_folder(tmp_path: Path) -> None:
    code = "from bnn import caches; caches.provide(); from numba.core import config; print(config.CACHE_DIR)"
    environment = {**os.environ, "HOME": "/proc/none", "TMPDIR": str(tmp_path)}
    for name in (*caches.VARIABLES, "XDG_CACHE_HOME"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.stdout == f"{tmp_path / f'bnn-fpga-{os.getuid()}' / 'numba'}\n", done.stderr


def test_a_command_without_a_home_says_nothing_of_it(tmp_path: Path) -> None:
    """matplotlib looks for its settings in the home, and complains in two lines."""
    code = "from bnn.command import find; find('overlay')(['--design', 'sim_small', '-o', 'x']); import matplotlib"
    environment = {**os.environ, "HOME": "/proc/none", "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    for name in (*caches.VARIABLES, "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        environment.pop(name, None)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
