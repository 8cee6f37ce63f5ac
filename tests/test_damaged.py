"""Damaged programs: every core ends a run of them with the same code, and no simulation crashes or runs on."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.cores import TIGHT, built, pixels
from helpers.models import network

from bnn import golden
from bnn.check import ProgramFault, check
from bnn.contract import Descriptor, Error, Header, Registers
from hls.ap_types import find_ap_types
from hls.program import pack
from hls.schedule import plan
from host.errors import HostError
from host.program import Program
from sim import hls_csim, rtl_sim
from sim.board.core import FunctionalCore
from sim.board.memory import Memory

MODELS = (
    network(4, (8, 8, 3), [("conv", 9, 1, 0, False), ("conv", 8, 1, 1, True), ("dense", 5)]),
    network(2, (5, 5, 1), [("dense", 40), ("dense", 65), ("dense", 7)], binary=True),
)
GOOD = tuple(pack(plan(model, TIGHT, 8)) for model in MODELS)
IMAGES = tuple(pixels(model, 3) for model in MODELS)
needs_csim = pytest.mark.skipif(find_ap_types() is None or shutil.which("g++") is None, reason="no ap_int.h or g++")
needs_rtl = pytest.mark.skipif(rtl_sim.find_verilator() is None, reason="verilator is not installed")


def damaged(seed: int) -> tuple[bytes, np.ndarray]:
    """A program with one or two words of its header or descriptors changed, and images of its shape."""
    rng = np.random.default_rng(seed)
    good, images = GOOD[seed % 2], IMAGES[seed % 2]
    words = np.frombuffer(good, "<u4").copy()
    head = Header.read(good)
    first = head.descriptors // 4
    places = [
        *(n for n in range(Header.USED) if n not in (Header.image_size.word, Header.image_mode.word)),
        *(first + Descriptor.WORDS * n + k for n in range(head.layers) for k in range(Descriptor.USED)),
    ]
    for place in rng.choice(places, rng.integers(1, 3), replace=False):
        value = int(words[place])
        words[place] = (
            int(rng.integers(0, 2**32)),
            value ^ 1 << int(rng.integers(32)),
            (value + int(rng.integers(-3, 4))) & 0xFFFFFFFF,
            0xFFFF,
            0,
        )[rng.integers(5)]
    return words.tobytes(), images


def code_of(program: bytes) -> int:
    """By the rules in Python."""
    try:
        check(program, TIGHT.registers())
    except ProgramFault as fault:
        assert str(fault)
        return int(fault.code)
    return int(Error.NONE)


def test_good_programs_are_good() -> None:
    for program in GOOD:
        assert code_of(program) == Error.NONE


@needs_csim
def test_the_hls_core_ends_with_the_same_code(tmp_path: Path) -> None:
    core = hls_csim.build(TIGHT, tmp_path)
    found = set()
    for seed in range(200):
        program, images = damaged(seed)
        try:
            core.run(program, images, trace=False)
            code = 0
        except hls_csim.CsimError as error:
            given = re.search(r"error code (\d)$", str(error))
            # a program that reads what nothing has written may give other scores in another run
            assert given or str(error).startswith("the scores of two runs"), (seed, str(error))
            code = int(given[1]) if given else 0
        assert code == code_of(program), seed
        found.add(code)
    assert found == {0, 1, 2, 3, 5}


@needs_rtl
def test_the_rtl_core_ends_with_the_same_code() -> None:
    programs = [damaged(seed) for seed in range(200)]
    runs = built(TIGHT).sequence([rtl_sim.Job(*one) for one in programs], trace=False)
    for seed, (run, (program, _)) in enumerate(zip(runs, programs, strict=True)):
        assert run.stats.error == code_of(program), seed


def test_the_functional_core_ends_with_the_same_code() -> None:
    memory = Memory()
    core = FunctionalCore(TIGHT, memory)
    places = {Registers.program: 0x1000, Registers.images: 0x100000, Registers.scores: 0x200000}
    for field, address in places.items():
        core.write(field.offset, address)
    core.write(Registers.count.offset, 3)

    def run(program: bytes, images: np.ndarray) -> int:
        memory.content[0x1000 : 0x1000 + len(program)] = program
        pixels = int(np.prod(images.shape[1:]))
        rows = np.zeros((3, -(-pixels // 8) * 8), np.uint8)
        rows[:, :pixels] = images.reshape(3, -1)
        memory.content[0x100000 : 0x100000 + rows.size] = rows.tobytes()
        core.write(Registers.control.offset, Registers.start.mask)
        until = time.monotonic() + 30
        while core.running:
            assert time.monotonic() < until
            time.sleep(0.001)
        return core.read(Registers.error.offset)

    for seed in range(200):
        program, images = damaged(seed)
        if Header.read(program).size <= len(program):  # else what lies behind it in the memory belongs to it
            assert run(program, images) == code_of(program), seed
    for program, images, model in zip(GOOD, IMAGES, MODELS, strict=True):
        assert run(program, images) == Error.NONE
        size = images.shape[0] * len(model.classes) * 4
        scores = np.frombuffer(bytes(memory.content[0x200000 : 0x200000 + size]), "<i4").reshape(len(images), -1)
        assert (scores == golden.infer(model, images)).all()


def test_the_host_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "program.bin"
    for field, value, message in (
        (Header.classes, 0x04000000, "classes is 67108864, expected 1 to 65535"),
        (Header.layers_a, 0x7FFFFFFF, "segment A has 2147483647 of 2 layers"),
        (Header.layers, 0x4E24B9B0, "1311029680 layers, expected 1 to"),
        (Header.geometry, 0, "0x0x0, FIRST_PE 4 is no array"),
        (Header.words_a, 3, "weight words"),
    ):
        words = np.frombuffer(GOOD[0], "<u4").copy()
        words[field.word] = value
        path.write_bytes(words.tobytes())
        with pytest.raises(HostError, match=message) as caught:
            Program(path)
        assert str(caught.value).startswith(f"{path}: ")
    accepted = 0
    for seed in range(200):
        path.write_bytes(damaged(seed)[0])
        try:
            Program(path)
            accepted += 1
        except HostError as error:
            assert "\n" not in str(error)
    assert 20 < accepted < 180
