"""Files of a few kilobytes that say much: reading them takes little memory, whatever is said."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import reading_memory
from fuzz import targets
from helpers.graphs import Builder

KIB = 256 << 10
"""Most that a reader may take beyond what it takes of any file; the fuzzers' limit is 300 MB."""
SMALL, LARGE = (1, 4, 4), (1, 32, 32)
EDGE = 2048
MAP = 4096
"""Channels with which a map of LARGE has as many elements as one may have."""


def good() -> Builder:
    made = Builder(SMALL)
    made.conv(1, 64, dialect="plain")
    made.sign()
    made.add("Flatten", axis=1)
    made.dense(256, 5)
    return made


def real_sums(*operators: str) -> Builder:
    """A first layer of real weights, whose sums are many, and what follows it."""
    made = Builder(SMALL)
    made.add("Conv", made.tensor, made.constant(made.draw.normal(size=(64, 1, 3, 3))))
    for operator in operators:
        made.add(operator)
    return made


def signs_of_real_sums() -> Builder:
    made = real_sums()
    made.sign()
    made.add("Flatten", axis=1)
    made.dense(256, 5)
    return made


def tanh_of_real_sums() -> Builder:
    made = real_sums("Tanh", "Flatten")
    made.dense(256, 5)
    return made


def rounded_real_sums() -> Builder:
    made = real_sums("Relu", "Round")
    made.add("Clip", made.tensor, made.constant(0.0), made.constant(100.0))
    made.add("GlobalAveragePool")
    made.add("Flatten")
    made.dense(64, 5)
    return made


def large_constants() -> Builder:
    """A row times a column, again and again, all of which are read at the end."""
    made, found = Builder(SMALL), []
    row = made.constant(np.ones((1, EDGE)))
    made.tensor = made.constant(np.ones((EDGE, 1)))
    for _ in range(40):
        found.append(made.add("Mul", made.tensor, row))
    for left, right in zip(found, found[1:], strict=False):
        made.add("Add", left, right)
    return made


def parts_of_large_constants() -> Builder:
    made = Builder(SMALL)
    whole = made.add("Mul", made.constant(np.ones((EDGE, 1))), made.constant(np.ones((1, EDGE))))
    start, end = made.constant([0], np.int64), made.constant([1], np.int64)
    parts = [made.add("Slice", whole, start, end) for _ in range(100)]
    made.add("Concat", *parts, axis=0)
    return made


def large_maps(operator: str, kept: bool) -> Builder:
    """One after the other, or all of the same map and read at the end."""
    made = Builder(LARGE)
    attributes = {"perm": [0, 1, 3, 2]} if operator == "Transpose" else {}
    first = made.conv(1, MAP, 1, "plain")
    found = [made.add(operator, *([first] if kept else []), **attributes) for _ in range(40)]
    if kept:
        made.tensor = found[0]
        for other in found[1:]:
            made.add("Add", made.tensor, other)
    return made


def many_channels() -> Builder:
    made = Builder((10_000, 2, 2))
    made.add("Flatten")
    made.dense(40_000, 5)
    return made


def many_outputs(count: int) -> Builder:
    made = Builder((1, 1, 1))
    made.add("Flatten")
    made.dense(1, count)
    made.sign()
    made.dense(count, 5)
    return made


CASES = {
    "signs of real sums": (signs_of_real_sums, "^$"),
    "tanh of real sums": (tanh_of_real_sums, "^$"),
    "rounded real sums": (rounded_real_sums, "^$"),
    "large constants": (large_constants, "brings what is computed of constants to more than .* elements"),
    "parts of them": (parts_of_large_constants, "holds no layers"),
    "layout": (lambda: large_maps("Transpose", False), "ends the graph and is no dense layer"),
    "layout, kept": (lambda: large_maps("Transpose", True), "would be kept with others that are read later"),
    "element by element": (lambda: large_maps("Neg", False), "ends the graph and is no dense layer"),
    "channels": (many_channels, "images have 10000 channels, expected at most 4096"),
    "outputs": (lambda: many_outputs(60_000), "^$"),
    "too many outputs": (lambda: many_outputs(70_000), "has 70000 outputs, expected at most 65534"),
}


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    """What each file took and said, all in one process."""
    folder = tmp_path_factory.mktemp("files")
    files = {"good": (good().proto(5).SerializeToString(), "onnx")}
    files.update({name: (made().proto(5).SerializeToString(), "onnx") for name, (made, _) in CASES.items()})
    files["bmxnet"] = targets.bmxnet_files((4, 4, 1)), "bmxnet"
    paths = [folder / f"{number}.{kind}" for number, (_, kind) in enumerate(files.values())]
    for path, (content, _) in zip(paths, files.values(), strict=True):
        path.write_bytes(content)
    command = [sys.executable, str(Path(reading_memory.__file__)), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert not done.returncode, done.stderr[-3000:]
    rows = [row.partition(" ") for row in done.stdout.splitlines()]
    return {name: (int(took), said) for name, (took, _, said) in zip(files, rows, strict=True)}


@pytest.mark.parametrize("name", [*CASES, "bmxnet"])
def test_what_reading_takes(name: str, read: dict[str, tuple[int, str]]) -> None:
    took, said = read[name]
    assert took < KIB, said
    assert re.search(CASES[name][1] if name in CASES else "^$", said), said
