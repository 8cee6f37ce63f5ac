"""Programs with words of their header or descriptors changed, and the codes with which runs of them end."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable

import numpy as np

from bnn.check import ProgramFault, check
from bnn.contract import Descriptor, Error, Header, Registers, layers
from bnn.model import Model
from bnn.program import busy_cycles
from bnn.random_models import Sizes, random_graph
from hls.designs import Design
from hls.program import pack
from hls.schedule import plan
from sim import hls_csim, rtl_sim
from sim.board.core import FunctionalCore
from sim.board.memory import Memory

from .cores import BUILD, TIGHT, built, pixels
from .models import deep, network

SMALL = Sizes(edge=6, channels=20, convolutions=3, dense=2, classes=7)
GRAPHS = (0, 2, 4, 11, 16, 20, 24, 27, 35, 36, 37, 44)
"""Networks of version 2 that fit TIGHT: planes, bases, by image, stride, shortcuts, values, averages."""
CYCLES = 1 << 16
"""Of the array: a damaged program may ask for hours, and one that asks for more is not run."""
Program = tuple[bytes, np.ndarray]


def models() -> list[Model]:
    """Networks of version 1, then of version 2, the last with a segment whose weights stay in front of a ring."""
    return [
        network(4, (8, 8, 3), [("conv", 9, 1, 0, False), ("conv", 8, 1, 1, True), ("dense", 5)]),
        network(2, (5, 5, 1), [("dense", 40), ("dense", 65), ("dense", 7)], binary=True),
        network(3, (4, 4, 1), [("dense", 16), ("dense", 17)], binary=True),  # an odd number of scores, in groups
        *(random_graph(seed, sizes=SMALL) for seed in GRAPHS),
        deep(),
    ]


class Damage:
    """Good programs, and damaged ones by number."""

    def __init__(self) -> None:
        self.models = models()
        self.good = [pack(plan(model, TIGHT, 8 if number < 3 else 4)) for number, model in enumerate(self.models)]
        self.images = [pixels(model, 3) for model in self.models]

    def program(self, number: int) -> Program:
        """A program with one or two words of its header or descriptors changed, and images of its shape."""
        rng = np.random.default_rng(number)
        which = number % len(self.good)
        words = np.frombuffer(self.good[which], "<u4").copy()
        head = Header.read(self.good[which])
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
        return words.tobytes(), self.images[which]


def code_of(program: bytes, design: Design = TIGHT) -> int:
    """By the rules in Python."""
    try:
        check(program, design.registers())
    except ProgramFault as fault:
        assert str(fault)
        return int(fault.code)
    return int(Error.NONE)


def is_short(one: Program) -> bool:
    """Whether its run is refused or short; means of maps take the array no cycles."""
    program, images = one
    if code_of(program) != Error.NONE:
        return True
    means = sum(item.height * item.width * item.groups for item in layers(program) if item.average)
    return busy_cycles(program, len(images)) + len(images) * means <= CYCLES


def of_hls(core: hls_csim.HlsSimulation, programs: Iterable[Program]) -> list[int]:
    """The codes of the HLS core."""
    codes = []
    for program, images in programs:
        try:
            core.run(program, images, trace=False)
            codes.append(int(Error.NONE))
        except hls_csim.CsimError as error:
            given = re.search(r"error code (\d)$", str(error))
            # a program that reads what nothing has written may give other scores in another run
            assert given or str(error).startswith("the scores of two runs"), str(error)
            codes.append(int(given[1]) if given else int(Error.NONE))
    return codes


def of_rtl(core: rtl_sim.RtlSimulation, programs: Iterable[Program]) -> list[int]:
    """The codes of the RTL core."""
    jobs = [rtl_sim.Job(*one) for one in programs]
    return [run.stats.error for run in core.sequence(jobs, trace=False)] if jobs else []


class Board:
    """The functional core with a memory of its own."""

    PROGRAM, IMAGES, SCORES = 0x1000, 0x100000, 0x200000

    def __init__(self) -> None:
        self.memory = Memory()
        self.core = FunctionalCore(TIGHT, self.memory)
        for field, address in (
            (Registers.program, self.PROGRAM),
            (Registers.images, self.IMAGES),
            (Registers.scores, self.SCORES),
        ):
            self.core.write(field.offset, address)

    def run(self, program: bytes, images: np.ndarray) -> int:
        """The code of a run; what lies behind the program in the memory belongs to it."""
        content, count, size = self.memory.content, len(images), int(np.prod(images.shape[1:]))
        content[self.PROGRAM : self.PROGRAM + len(program)] = program
        rows = np.zeros((count, -(-size // 8) * 8), np.uint8)
        rows[:, :size] = images.reshape(count, -1)
        content[self.IMAGES : self.IMAGES + rows.size] = rows.tobytes()
        self.core.write(Registers.count.offset, count)
        self.core.write(Registers.control.offset, Registers.start.mask)
        until = time.monotonic() + 120
        while self.core.running:
            assert time.monotonic() < until
            time.sleep(0.0002)
        return self.core.read(Registers.error.offset)

    def scores(self, count: int, classes: int) -> np.ndarray:
        """Of the last run, int32 (count, classes)."""
        raw = bytes(self.memory.content[self.SCORES : self.SCORES + 4 * count * classes])
        return np.frombuffer(raw, "<i4").reshape(count, classes)


Run = Callable[[list[Program]], list[int]]
"""Gives the code with which a core ends each program."""


def hls_core(design: Design = TIGHT) -> Run:
    """The HLS core, whose simulation ends at an index behind an array."""
    core = hls_csim.build(design, BUILD / "damaged", flags=("-fsanitize=address,bounds", "-fno-sanitize-recover=all"))
    return lambda programs: of_hls(core, programs)


def rtl_core(design: Design = TIGHT) -> Run:
    """The RTL core; no access of its may leave the program, the images and the scores."""
    core = built(design)
    return lambda programs: of_rtl(core, programs)


def functional_core() -> Run:
    """The functional core."""
    board = Board()
    return lambda programs: [board.run(*one) for one in programs]


CORES: dict[str, Callable[[], Run]] = {"hls": hls_core, "rtl": rtl_core, "functional": functional_core}


def can_run(core: str, one: Program) -> bool:
    """Whether a core gets a program: its run is refused or short.

    The functional core has no end of the program's memory: there the program must have all of its bytes.
    """
    return is_short(one) and (core != "functional" or Header.read(one[0]).size <= len(one[0]))


def fault(one: Program, code: int) -> str:
    """What is wrong with the code of a run; "": it is that of the rules."""
    expected = code_of(one[0])
    return "" if code == expected else f"ended with code {code}, by the rules {expected}"
