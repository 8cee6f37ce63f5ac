"""Who may import whom, and what imports where little is installed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

ALLOWED = {"bnn": set(), "train": {"bnn"}, "hls": {"bnn"}, "gpu": {"bnn"}, "host": {"bnn"}, "sim": {"bnn", "hls"}}
"""What each package stands on, beside itself."""
BOARD_DEMO = {"sim/board/demo.py"}
"""The demonstration of the simulated board runs the host's command."""
PLAIN = {"numpy"}
"""All that bnn and host need beyond the standard library: the board has no more."""


def imported(path: Path) -> set[str]:
    """The top-level names that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_go_downwards(package: str) -> None:
    for path in sorted((ROOT / package).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name.startswith("sim/cocotb/"):  # tests
            continue
        allowed = ALLOWED[package] | {package} | ({"host"} if name in BOARD_DEMO else set())
        upwards = (imported(path) & set(ALLOWED)) - allowed
        assert not upwards, f"{name} imports {', '.join(sorted(upwards))}, {package} stands on {ALLOWED[package]}"


@pytest.mark.parametrize("package", ["bnn", "host"])
def test_the_board_imports_it_with_numpy_alone(package: str) -> None:
    names = [
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.stem not in ("__init__", "__main__")
    ]
    blocked = ("torch", "jinja2", "cocotb", "pynq", "scipy", "PIL", "matplotlib", "train", "hls", "sim", "gpu")
    code = "\n".join(
        ["import sys", *(f"sys.modules[{name!r}] = None" for name in blocked), *(f"import {name}" for name in names)]
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert not done.returncode, done.stderr


def test_names_that_scripts_outside_use() -> None:
    from bnn import golden, model
    from sim import golden as kept_golden
    from sim import hls_csim, rtl_sim
    from sim import model as kept_model

    assert kept_golden.infer is golden.infer and kept_model.load is model.load
    assert rtl_sim.Core is rtl_sim.RtlSimulation and hls_csim.Core is hls_csim.HlsSimulation
