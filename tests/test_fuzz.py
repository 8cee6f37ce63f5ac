"""Readers of files under what fuzzers found, and under files cut and changed at random: refused in a line, or read."""

from __future__ import annotations

import io
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fuzz import native, targets

from hls.ap_types import find_ap_types

FOLDERS = [path.name for path in targets.HERE.iterdir() if path.is_dir() and not path.name.startswith("__")]


def changed(content: bytes, rng: np.random.Generator) -> bytes:
    """A file with a few bytes changed, or cut short."""
    if rng.random() < 0.2:
        return content[: rng.integers(len(content))]
    found = bytearray(content)
    for at in rng.integers(len(found), size=rng.integers(1, 4)):
        found[at] = (rng.integers(256), found[at] ^ 1 << rng.integers(8), 0, 255)[rng.integers(4)]
    return bytes(found)


def damaged(name: str, content: bytes, rng: np.random.Generator) -> bytes:
    """A file changed as a whole or, of an archive, in one of its parts."""
    if not targets.FORMATS[name].archive or rng.random() < 0.3:
        return changed(content, rng)
    out = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(out, "w") as target:
            items = archive.infolist()
            place = rng.integers(len(items))
            for number, item in enumerate(items):
                part = archive.read(item)
                target.writestr(item.filename, changed(part, rng) if number == place and part else part)
    except zipfile.BadZipFile:
        return changed(content, rng)
    return out.getvalue()


def test_findings_lie_where_they_are_read() -> None:
    assert set(FOLDERS) <= {*targets.FORMATS, *native.FORMATS}


@pytest.mark.parametrize("name", targets.FORMATS)
def test_good_files_are_read(name: str) -> None:
    said = [targets.read(name, content) for content in targets.FORMATS[name].seeds()]
    assert "" in said and said[0] == "", said


@pytest.mark.parametrize("name", targets.FORMATS)
def test_findings_are_refused_or_read(name: str) -> None:
    for path in targets.kept(name):
        targets.read(name, path.read_bytes())


@pytest.mark.parametrize("name", targets.FORMATS)
def test_damaged_files_are_refused_or_read(name: str) -> None:
    rng = np.random.default_rng(1)
    seeds = list(targets.FORMATS[name].seeds())
    refused = 0
    for _ in range(15 if name in ("onnx", "bmxnet", "checkpoint") else 150):
        refused += bool(targets.read(name, damaged(name, seeds[rng.integers(len(seeds))], rng)))
    assert refused


@pytest.mark.parametrize("name", native.FORMATS)
def test_findings_in_cpp(name: str, tmp_path: Path) -> None:
    if shutil.which("g++") is None or (name == "simulation" and find_ap_types() is None):
        pytest.skip("no g++, or no ap_int.h")
    rng = np.random.default_rng(1)
    binary = native.build(name, tmp_path, fuzzer_too=False)
    files = [path.read_bytes() for path in targets.kept(name)]
    seeds = list(native.FORMATS[name].seeds())
    files += [*seeds, *(changed(seeds[rng.integers(len(seeds))], rng) for _ in range(100))]
    for number, content in enumerate(files):
        (tmp_path / f"{number:03}.bin").write_bytes(content)
    done = subprocess.run([binary, *sorted(tmp_path.glob("*.bin"))], capture_output=True, text=True, cwd=tmp_path)
    assert not done.returncode, done.stderr[-3000:]
