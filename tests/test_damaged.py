"""Damaged programs: every core ends a run of them with the same code, and no simulation crashes or runs on.

`make damaged` takes ten thousand of them.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.cores import TIGHT, built
from helpers.damage import Board, Damage, Program, code_of, compare, is_short, of_hls, of_rtl

from bnn import golden
from bnn.contract import Error, Header
from bnn.program import score_columns
from hls.ap_types import find_ap_types
from host.errors import HostError
from host.program import Program as HostProgram
from sim import hls_csim, rtl_sim

COUNT = int(os.environ.get("BNN_DAMAGED", "280"))
AT_ONCE = 200
DAMAGE = Damage()
SANITIZERS = ("-fsanitize=address,bounds", "-fno-sanitize-recover=all")
"""An index behind an array of the HLS core ends its simulation."""
needs_csim = pytest.mark.skipif(find_ap_types() is None or shutil.which("g++") is None, reason="no ap_int.h or g++")
needs_rtl = pytest.mark.skipif(rtl_sim.find_verilator() is None, reason="verilator is not installed")


def test_good_programs_are_good() -> None:
    assert {Header.read(program).version for program in DAMAGE.good} == {1, 2}
    for program in DAMAGE.good:
        assert code_of(program) == Error.NONE


def compare_all(core: str, run: Callable[[list[Program]], list[int]], whole: bool = False) -> None:
    """Compare COUNT programs, some at a time; all codes occur. `whole`: only those that have all of their bytes."""
    found: Counter[int] = Counter()
    for start in range(0, COUNT, AT_ONCE):
        programs = {number: DAMAGE.program(number) for number in range(start, min(start + AT_ONCE, COUNT))}
        if whole:
            programs = {n: one for n, one in programs.items() if Header.read(one[0]).size <= len(one[0])}
        short = {number: one for number, one in programs.items() if is_short(one)}
        found.update(compare(short, run).values())
        found[-1] += len(programs) - len(short)
    print(f"{core}: {COUNT} damaged programs, by code {dict(sorted(found.items()))} (-1: too long to be run)")
    assert {0, 1, 2, 3, 5} <= set(found)


@needs_csim
def test_the_hls_core_ends_with_the_same_code(tmp_path: Path) -> None:
    core = hls_csim.build(TIGHT, tmp_path, flags=SANITIZERS)
    compare_all("HLS", lambda programs: of_hls(core, programs))


@needs_rtl
def test_the_rtl_core_ends_with_the_same_code() -> None:
    core = built(TIGHT)
    compare_all("RTL", lambda programs: of_rtl(core, programs))


def test_the_functional_core_ends_with_the_same_code() -> None:
    board = Board()
    compare_all("functional", lambda programs: [board.run(*one) for one in programs], whole=True)
    assert board.run(*DAMAGE.program(1814)) == Error.NONE  # a mean of no pixels
    for program, images, model in zip(DAMAGE.good, DAMAGE.images, DAMAGE.models, strict=True):
        assert board.run(program, images) == Error.NONE
        assert (board.scores(len(images), len(model.classes)) == golden.infer(model, images)).all()


def test_scores_take_no_memory_that_a_program_names() -> None:
    words = np.frombuffer(DAMAGE.good[0], "<u4").copy()
    for named in (0xFFFF, 0x10000, 0xFFFFFFFF):
        words[Header.classes.word] = named
        assert score_columns(words.tobytes()) == 0
        assert code_of(words.tobytes()) == Error.RANGE
    assert score_columns(DAMAGE.good[0]) == len(DAMAGE.models[0].classes)


def test_the_host_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "program.bin"
    for field, value, message in (
        (Header.classes, 0x04000000, "classes is 67108864, expected 1 to 65535"),
        (Header.layers_a, 0x7FFFFFFF, "segment A has 2147483647 of 2 layers"),
        (Header.layers, 0x4E24B9B0, "1311029680 layers, expected 1 to"),
        (Header.geometry, 0, "0x0x0, FIRST_PE 4 is no array"),
        (Header.words_a, 3, "weight words"),
    ):
        words = np.frombuffer(DAMAGE.good[0], "<u4").copy()
        words[field.word] = value
        path.write_bytes(words.tobytes())
        with pytest.raises(HostError, match=message) as caught:
            HostProgram(path)
        assert str(caught.value).startswith(f"{path}: ")
    accepted = 0
    for seed in range(200):
        path.write_bytes(DAMAGE.program(seed)[0])
        try:
            HostProgram(path)
            accepted += 1
        except HostError as error:
            assert "\n" not in str(error)
    assert 20 < accepted < 180
