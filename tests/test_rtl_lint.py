"""The linters of the SystemVerilog: the sources are clean, and each linter sees what it is there for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hls import sources
from hls.designs import DESIGNS
from sim import rtl_lint, rtl_sim

needs_verilator = pytest.mark.skipif(rtl_sim.find_verilator() is None, reason="verilator is not installed")


@needs_verilator
def test_the_sources_are_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert rtl_lint.main(["--design", "sim_small"]) == 0
    assert capsys.readouterr().err == ""


def changed(folder: Path, name: str, old: str, new: str) -> list[Path]:
    """The core's sources with one changed."""
    shutil.copytree(sources.RTL, folder)
    path = sources.find(name, folder)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return sources.files(folder)


@needs_verilator
def test_verilator_sees_a_signal_of_another_width(tmp_path: Path) -> None:
    files = changed(tmp_path / "rtl", "bnn_loop_count", "assign more = Bits'(add", "assign more = 40'(add")
    with pytest.raises(rtl_lint.LintError, match="WIDTHTRUNC.*bnn_loop_count.sv"):
        rtl_lint.verilator(files, "sim_small")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("assign value_o = value_q;", "assign value_o = value_q", r"bnn_loop_count.sv:\d+:\d+.*: syntax error"),
        ("module bnn_loop_count", "module bnn_other", r"\[module-filename\]"),
    ],
)
def test_verible_sees_what_is_no_systemverilog(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(rtl_lint.LintError, match=message):
        rtl_lint.verible(changed(tmp_path / "rtl", "bnn_loop_count", old, new))


def test_a_linter_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtl_lint, "find_verilator", lambda: None)
    monkeypatch.setattr(rtl_lint, "VERIBLE", "no-such-linter")
    with pytest.raises(rtl_lint.LintError, match="verilator: not found"):
        rtl_lint.verilator([], "sim_small")
    with pytest.raises(rtl_lint.LintError, match="no-such-linter: not found"):
        rtl_lint.verible([])


def test_packages_come_first_and_modules_are_found(tmp_path: Path) -> None:
    for name in ("a/bnn_a.sv", "bnn_top.sv", "z/bnn_z_pkg.sv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert [path.name for path in sources.files(tmp_path)] == ["bnn_z_pkg.sv", "bnn_a.sv", "bnn_top.sv"]
    assert sources.find("bnn_a", tmp_path) == tmp_path / "a/bnn_a.sv"
    assert sources.find("bnn_b", tmp_path) == tmp_path / "bnn_b.sv"
    assert sources.folders(tmp_path) == [tmp_path, tmp_path / "a", tmp_path / "z"]


@pytest.mark.parametrize("name", sorted(DESIGNS))
def test_parameters_are_those_of_the_top(name: str) -> None:
    text = sources.find(sources.TOP).read_text()
    assert all(f"parameter int unsigned {key} =" in text for key in sources.parameters(DESIGNS[name]))
