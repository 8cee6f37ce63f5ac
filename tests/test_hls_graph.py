"""Programs of version 2 on the HLS core, every bit and value against the golden network: planes to shortcuts."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from helpers.cores import pixels
from helpers.models import STEMS, stem

from bnn import golden
from bnn.check import ProgramFault
from bnn.check import check as check_program
from bnn.contract import PROGRAM_VERSION_2, Descriptor, Error, Header, layers
from bnn.layers import FEATURES, features
from bnn.model import Model
from bnn.random_models import Sizes as RandomSizes
from bnn.random_models import random_graph
from hls import hls_report, schedule
from hls.ap_types import find_ap_types
from hls.check.figures import Figures
from hls.designs import DESIGNS, Design, DesignError
from hls.lowering import Lowered, lower
from hls.program import pack
from hls.schedule import Plan, Sizes, plan
from sim import hls_csim
from sim.compare import by_name, differences, written

pytestmark = pytest.mark.skipif(
    find_ap_types() is None or shutil.which("g++") is None, reason="ap_int.h or g++ is not installed"
)

SMALL = replace(DESIGNS["sim_small"], vector=True)
TIGHT = replace(SMALL, act_depth=512, weight_depth=128)
"""Weights stream, and sub-batches are of a few images."""
WIDE = replace(SMALL, pe=16, simd=64, lanes=8, first_pe=16, weight_depth=256)
"""As the design of a board: two values of a channel's word, 16 channels a slice."""
BUILDS: dict[str, tuple[Design, list[str]]] = {
    "plain": (SMALL, []),
    "late": (TIGHT, ["-DBNN_CSIM_STALL=200"]),
    "threads": (TIGHT, hls_csim.THREADS),
    "sanitizers": (SMALL, ["-O1", "-fsanitize=address,undefined"]),
    "wide": (WIDE, []),
}
SEEDS: dict[str, Iterable[int]] = {
    "plain": range(18),
    "late": range(10, 20),
    "threads": range(36, 42),
    "sanitizers": range(6),
    "wide": (*range(24, 46), 83, 106),
}


@pytest.fixture(scope="module")
def cores(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], hls_csim.HlsSimulation]:
    """Simulations, each built once."""
    folder = tmp_path_factory.mktemp("cores")

    @cache
    def get(name: str) -> hls_csim.HlsSimulation:
        design, flags = BUILDS[name]
        return hls_csim.build(design, folder / name, flags=flags)

    return get


def _lower(some: frozenset[str], model: Model, design: Design, wanted: frozenset[str] = frozenset()) -> Lowered:
    """As `lower`, with `some` maps by image in place of those that are wanted."""
    return lower(model, design, some)


def drawn(design: Design, seeds: Iterable[int]) -> Iterator[tuple[int, Plan]]:
    """Random networks on a design: one batch, two segments of sub-batches, and with maps by image that need not be."""
    for seed in seeds:
        # of several words a pixel and groups, some of them
        sizes = RandomSizes(edge=6, channels=90, convolutions=4) if seed % 4 == 1 else RandomSizes()
        model = random_graph(seed, FEATURES, sizes)
        some = frozenset(layer.name for layer in model.layers[:-1] if (seed + len(layer.name) + layer.outputs) % 3)
        with suppress(DesignError), patch.object(schedule, "NARROW_BY_IMAGE", bool(seed % 2)):
            placed = plan(model, design, 1 + seed % 7)  # or more than 16 hand-overs, or no room
            yield seed, placed
            split = next(n for n, item in enumerate(placed.descriptors) if item.dense or item.by_image)
            if split and seed % 2:
                yield seed, plan(model, design, 6, Sizes(2, 6, split))
        with suppress(DesignError), patch.object(schedule, "lower", partial(_lower, some)):
            yield seed, plan(model, design, 1 + seed % 5)


def stems(design: Design) -> Iterator[tuple[int, Plan]]:
    """Networks whose first layer gives values, on a design."""
    for seed, channels in STEMS:
        with suppress(DesignError):
            placed = plan(stem(seed, channels), design, 1 + seed % 5)
            assert placed.first.value_channels
            yield seed, placed


def faults(core: hls_csim.HlsSimulation, placed: Plan, images: np.ndarray) -> list[str]:
    """What differs from the golden network in bits, values and scores of two runs back to back."""
    scores, traces = core.run(pack(placed), images)
    expected = golden.trace(placed.model, images)
    found = differences(written(placed, expected), by_name(placed, traces))
    return found + ([] if np.array_equal(scores, expected[placed.model.layers[-1].name]) else ["scores"])


@pytest.mark.parametrize("build", BUILDS)
def test_random_networks(
    build: str, cores: Callable[[str], hls_csim.HlsSimulation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches that are not full, two of them and more; what UBSan finds in the header files themselves is not ours."""
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
        monkeypatch.setenv(name, f"log_path={tmp_path / 'found'}")
    for seed, placed in (*drawn(BUILDS[build][0], SEEDS[build]), *stems(BUILDS[build][0])):
        assert faults(cores(build), placed, pixels(placed.model, (1, 5, 9)[seed % 3])) == [], seed
    found = "".join(path.read_text() for path in tmp_path.glob("found*"))
    assert [line for line in found.splitlines() if "runtime error" in line and "hw_templates/hls" in line] == []


def test_the_networks_have_everything() -> None:
    """Every feature, and of the program's words what a feature can be in several ways."""
    models: list[Model] = []
    items: list[Descriptor] = []
    heads: list[Header] = []
    for design, seeds in ((SMALL, SEEDS["plain"]), (TIGHT, SEEDS["late"]), (WIDE, SEEDS["wide"])):
        for _, placed in drawn(design, seeds):
            models.append(placed.model)
            items += placed.descriptors
            heads.append(Header.read(pack(placed)))
    assert {feature for model in models for _, feature, _ in features(model)} == set(FEATURES)
    assert {min(item.hand, 2) for item in items if item.bases > 1 and item.planes > 1} == {0, 1, 2}
    assert {item.planes_outer for item in items if item.hand_overs > 1} == {False, True}
    assert {item.thresholds for item in items} == {0, 1, 2, 3}
    assert {item.pad_first for item in items if item.pad2 and item.planes > 1} == {False, True}
    for flag in ("shortcut_average", "shortcut_same", "serial", "by_image", "scores", "average", "bit_planes"):
        assert any(getattr(item, flag) for item in items if item.vector), flag
    assert any(item.by_image and item.pool for item in items) and any(item.by_image and item.shortcut for item in items)
    assert any(item.by_image and item.stride2 for item in items)
    assert any(item.pool and not item.by_image and item.value for item in items)
    assert any(0 < item.shortcut_values < 8 * -(-item.outputs // WIDE.simd) for item in items)
    assert {head.pixel_map for head in heads if head.first_planes} == {False, True}


MUTANTS = {
    "planes": ("bnn_array.h", "plane * f.tap_words", "0"),
    "bases": ("bnn_array.h", "base * f.pass_words", "0"),
    "order of passes": ("bnn_array.h", "f.planes_outer ? at.inner.value : at.outer.value", "at.outer.value"),
    "hand over": ("bnn_array.h", "f.hand_outer ? last_inner : last_sum", "last_sum"),
    "padding of planes": ("bnn_array.h", "f.pad_first && first_plane", "f.pad_first"),
    "taps": ("bnn_layer.h", "Index(taps.columns)", "Index(3)"),
    "record of the source": ("bnn_layer.h", "f.tap_words : index(d[D_SOURCE_WORDS])", "f.tap_words : f.tap_words"),
    "rows of a stride": ("bnn_array.h", "f.stride2 ? 2 * y : y", "y"),
    "columns of a stride": ("bnn_vector.h", "f.halved && !f.pool ? 2 * l % LANES : l", "l"),
    "pool by image": ("bnn_array.h", "f.by_image ? at.part.value & 1 : 0", "0"),
    "coefficient": ("bnn_vector.h", "leaving.hand & (MAX_HANDS - 1)", "0"),
    "earlier hand-overs": ("bnn_vector.h", "leaving.added ? before[l] : Wide(0)", "Wide(0)"),
    "offset of a plane": ("bnn_vector.h", "offsets[channel][round]", "offsets[channel][0]"),
    "limit of a plane": ("bnn_vector.h", "thresholds[channel][round]", "thresholds[channel][0]"),
    "least value": ("bnn_vector.h", "y < low", "y < low - 1"),
    "greatest value": ("bnn_vector.h", "y > high", "y > high + 1"),
    "sums of an average": ("bnn_vector.h", "f.average ? int(at.kx.value)", "f.average ? 0"),
    "mean of a shortcut": ("bnn_vector.h", "ap_int<10>(2)", "ap_int<10>(1)"),
    "shortcut of fewer channels": ("bnn_array.h", "added_word >= f.added_values", "false"),
    "shortcut of the same size": ("bnn_vector.h", "f.shortcut_same ? same : twice", "twice"),
    "shortcut by image": ("bnn_vector.h", "f.by_image ? pixel_x : block", "block"),
    "maximum": ("bnn_vector.h", "leaving.first_part ? own : greater(own, earlier)", "own"),
    "OR over a pool": ("bnn_vector.h", "kept = !leaving.first_part", "kept = false"),
    "flip": ("bnn_vector.h", "leaving.writes && c.flip", "false"),
    "order of channels": ("bnn_vector.h", "number % VALUES * VALUE_WORDS + number / VALUES", "number"),
    "bits of a value": ("bnn_vector.h", "(f.planes - 1 - piece) & 7", "piece & 7"),
    "value's words": ("bnn_array.h", "f.value_word + value_word", "f.value_word"),
    "scores": ("bnn_array.h", "Score(before[lane] + c.offset)", "Score(before[lane])"),
    "pixels by pixel": ("bnn_first.h", "* f.words + plane.value", "* f.words + 0"),
    "pixels by image": ("bnn_first.h", "f.elements - int(element)", "MAX_CHANNELS"),
    "greatest sum of a pool": ("bnn_first.h", "at.part.value == 0 || sums[p] > best[p]", "at.part.value == 0"),
    "channels in the order of values": ("bnn_first.h", "given[channel % FIRST_PE]", "given[n % FIRST_PE]"),
    "values of the first layer": ("bnn_first.h", "shifted < low ? low", "shifted < low ? high"),
    "their word": ("bnn_first.h", "place = f.value_word", "place = 0"),
    "bits that wait for their word": ("bnn_first.h", "word[(n + FIRST_PE) % SIMD]", "word[n]"),
    "their factors": ("bnn_first.h", "factors[n][row & (FACTOR_ROWS - 1)]", "factors[n][0]"),
}
"""Expressions and what stands in their place; a common prefix says which of the type."""
SWITCH = """
#include <cstdlib>
namespace bnn {
inline bool mutant(int number) {
  static const int chosen = std::atoi(std::getenv("MUTANT"));
  return number == chosen;
}
"""


@pytest.fixture(scope="module")
def mutants(tmp_path_factory: pytest.TempPathFactory) -> hls_csim.HlsSimulation:
    """All mutants in one simulation, of which the environment's MUTANT chooses one."""
    folder = tmp_path_factory.mktemp("mutants")
    sources = folder / "sources"
    shutil.copytree(hls_csim.SOURCES, sources)
    for number, (file, old, new) in enumerate(MUTANTS.values()):
        text = (sources / file).read_text()
        assert text.count(old) == 1, old
        equal = 0  # a prefix that both have, up to a sign of assignment or a question mark
        for mark in (" = ", " ? ", " : ", "* f.words + "):
            if mark in old and mark in new and old.split(mark)[0] == new.split(mark)[0]:
                equal = old.index(mark) + len(mark)
        changed = f"{old[:equal]}(mutant({number}) ? ({new[equal:]}) : ({old[equal:]}))"
        (sources / file).write_text(text.replace(old, changed))
    text = (sources / "bnn_types.h").read_text()
    (sources / "bnn_types.h").write_text(text.replace("\nnamespace bnn {\n", SWITCH, 1))
    return hls_csim.build(WIDE, folder, flags=["-Wno-conversion"], sources=sources)


@pytest.fixture(scope="module")
def wide() -> list[tuple[Plan, np.ndarray]]:
    some = (*drawn(WIDE, SEEDS["wide"]), *stems(WIDE))
    return [(placed, pixels(placed.model, (1, 5, 9)[seed % 3])) for seed, placed in some]


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_are_caught(
    name: str,
    mutants: hls_csim.HlsSimulation,
    wide: list[tuple[Plan, np.ndarray]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MUTANT", str(list(MUTANTS).index(name)))

    def differs(placed: Plan, images: np.ndarray) -> bool:
        try:
            return bool(faults(mutants, placed, images))
        except hls_csim.CsimError as error:  # what nothing has written is another the next time
            return "two runs" in str(error)

    assert any(differs(placed, images) for placed, images in wide)


def wrong(seed: int) -> tuple[bytes, Design, np.ndarray]:
    """A program with a field of its header or of a layer changed, and images of its shape."""
    rng = np.random.default_rng(seed)
    _, placed = PLACED[seed % len(PLACED)]
    program, images = bytearray(pack(placed)), pixels(placed.model, 2)
    head, items = Header.read(bytes(program)), layers(bytes(program))
    if rng.random() < 0.2:
        field = FIRST_FIELDS[rng.integers(len(FIRST_FIELDS))]
        setattr(head, field, int(rng.integers(getattr(Header, field).largest + 1)))
        program[: Header.size_bytes()] = bytes(head)
    else:
        number = int(rng.integers(len(items)))
        field = FIELDS[rng.integers(len(FIELDS))]
        most, value = getattr(Descriptor, field).largest, getattr(items[number], field)
        near = (value + int(rng.integers(-2, 3))) & most
        setattr(items[number], field, (near, int(rng.integers(min(most, 0xFFFF) + 1)), 0)[rng.integers(3)])
        at = head.descriptors + number * Descriptor.size_bytes()
        program[at : at + Descriptor.size_bytes()] = bytes(items[number])
    return bytes(program), placed.design, images


PLACED = [*drawn(SMALL, SEEDS["plain"]), *stems(SMALL)]
FIRST_FIELDS = (
    *("first_planes", "pixel_map", "version", "rows", "out_words", "first_channels"),
    *("value_channels", "value_bits", "shift"),
)
FIELDS = [field.name for field in Descriptor.FIELDS if not field.parts and field.word not in range(7, 11)]


@pytest.mark.parametrize("build", ["plain", "binary"])
def test_wrong_programs_end_with_the_code_of_the_rules(
    build: str, cores: Callable[[str], hls_csim.HlsSimulation], tmp_path: Path
) -> None:
    """As `bnn.check` has it, with the vector unit and without; what it finds good may give anything."""
    core = cores("plain") if build == "plain" else hls_csim.build(replace(SMALL, vector=False), tmp_path)
    codes = set()
    for seed in range(200):
        program, _, images = wrong(seed)
        try:
            check_program(program, core.design.registers())
            continue
        except ProgramFault as fault:
            code = fault.code
        with pytest.raises(hls_csim.CsimError) as caught:
            core.run(program, images, trace=False)
        given = re.search(r"error code (\d)$", str(caught.value))
        assert given and int(given[1]) == code, seed
        codes.add(code)
    assert {Error.MAGIC, Error.RANGE} <= codes and (Error.VECTOR in codes) == (build == "binary")


def test_version_1_programs_run_with_the_vector_unit(cores: Callable[[str], hls_csim.HlsSimulation]) -> None:
    """The same bits in as many cycles as without it."""
    plain = hls_csim.build(replace(SMALL, vector=False), cores("plain").binary.parent.parent)
    for seed in range(6):
        model = random_graph(seed, set())
        placed = plan(model, SMALL, 4)
        if Header.read(pack(placed)).version == PROGRAM_VERSION_2:
            continue
        stats = []
        for core in (plain, cores("plain")):
            assert faults(core, placed, pixels(model, 7)) == []
            stats.append(core.stats)
        assert stats[0] == stats[1]


def test_trip_counts_are_those_of_the_core(cores: Callable[[str], hls_csim.HlsSimulation]) -> None:
    """A batch more takes as many cycles of the array's loops as the estimate says, headers and depths left out."""
    labels = ("step", "command", "group_weights", "group_header", "unpack", "slots", "pixels", "planes", "packed")
    figures = Figures({label: (1, 0) for label in (*labels, "copy", "values")}, [], [], [], 0)
    core, found = cores("wide"), 0
    for _, placed in drawn(WIDE, SEEDS["wide"]):
        if (
            not any(item.vector for item in placed.descriptors) or not placed.resident
        ):  # else the array waits for weights
            continue
        cycles = []
        for batches in (3, 4):
            core.run(pack(placed), pixels(placed.model, batches * placed.batch), trace=False)
            assert core.stats is not None and core.stats.cycles is not None
            cycles.append(core.stats.cycles)
        loops = hls_report.estimated(placed, figures)["loops"]["array"]
        trips = sum(loop["calls"] * loop["trips"] for loop in loops if loop["loop"] != "group_header")
        more = cycles[1] - cycles[0]
        assert more >= 0.99 * trips
        if more <= 1.01 * trips:  # in the others the array waits for the first layer's planes of pixels
            found += 1
        else:
            assert placed.first.planes
    assert found > 5
