"""The HLS core's C++ itself: warnings, constraints, sanitizers, and its processes running at the same time."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from helpers.models import network
from helpers.programs import change

from bnn import golden
from bnn.contract import FIRST_CHANNELS, MAX_BATCH, PROGRAM_MAGIC, PROGRAM_VERSION_2, Header
from bnn.model import Model, load
from hls.ap_types import find_ap_types
from hls.check.__main__ import main as check_loops
from hls.cycles import array_cycles
from hls.designs import DESIGNS, HLS_DESIGNS
from hls.program import pack
from hls.render import render, render_header
from hls.schedule import plan
from sim import hls_csim

SMALL = DESIGNS["sim_small"]
CLANG = next(
    (name for name in ("clang++", "clang++-14", "clang++-15", "clang++-16", "clang++-19") if shutil.which(name)), None
)

pytestmark = pytest.mark.skipif(
    find_ap_types() is None or shutil.which("g++") is None, reason="ap_int.h or g++ is not installed"
)
needs_clang = pytest.mark.skipif(CLANG is None, reason="clang++ is not installed")

# Small memories: sub-batches, two segments, a ring that wraps.
TIGHT = replace(SMALL, act_depth=128, weight_depth=128)
# Between them: pool and none, both paddings, several words per pixel and groups, odd classes in one group and in
# several, resident weights and packed images, batches that are not full.
NETWORKS = {
    "segments": (
        network(
            4,
            (8, 8, 3),
            [("conv", 34, 0, 0, False), ("conv", 64, 1, 1, True), ("dense", 64), ("dense", 33), ("dense", 11)],
        ),
        8,
        19,
    ),
    "ring": (
        network(
            5,
            (9, 8, 3),
            [("conv", 40, 1, 0, True), ("conv", 70, 1, -1, False), ("conv", 33, 1, 1, False), ("dense", 5)],
        ),
        4,
        9,
    ),
    "full": (
        network(
            6, (8, 8, 1), [("conv", 8, 1, 0, False), ("conv", 40, 1, -1, False), ("conv", 40, 0, 1, True), ("dense", 5)]
        ),
        1,
        4,
    ),
    "packed": (network(2, (7, 9, 3), [("dense", 40), ("dense", 65), ("dense", 21)], binary=True), 5, 13),
}
BUILDS = {
    "plain": ("g++", []),
    "clang": (CLANG or "", []),
    "sanitizers": ("g++", ["-O1", "-fsanitize=address,undefined"]),
    "compressors": ("g++", ["-DBNN_CSIM_COMPRESSORS"]),
    "late": ("g++", ["-DBNN_CSIM_STALL=200"]),
    "threads": ("g++", hls_csim.THREADS),
}


@pytest.fixture(scope="module")
def cores(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], hls_csim.HlsSimulation]:
    """Simulations of TIGHT, each built once."""
    folder = tmp_path_factory.mktemp("cores")

    @cache
    def get(name: str) -> hls_csim.HlsSimulation:
        if name == "clang" and CLANG is None:
            pytest.skip("clang++ is not installed")
        compiler, flags = BUILDS[name]
        return hls_csim.build(TIGHT, folder / name, compiler=compiler, flags=flags)

    return get


def test_the_networks_use_what_they_are_for() -> None:
    plans = {name: plan(model, TIGHT, batch) for name, (model, batch, _) in NETWORKS.items()}
    assert plans["segments"].sub_batch < plans["segments"].batch
    assert plans["segments"].segment_a < len(plans["segments"].descriptors)
    assert not plans["ring"].resident and plans["ring"].words_a > 2 * TIGHT.weight_depth
    # four beats a word: while a group of conv2 runs, more words than it has come in, until the ring is full
    conv2 = plans["full"].descriptors[0]
    assert not plans["full"].resident and array_cycles(conv2, 1, TIGHT.lanes) > 4 * TIGHT.weight_depth
    assert plans["packed"].resident and not plans["packed"].first.channels


def check(core: hls_csim.HlsSimulation, model: Model, batch: int, images: int) -> None:
    """Run the program on random images and compare every layer's bits and the scores."""
    shape = (images, model.height, model.width, model.channels)
    pixels = np.random.default_rng(images).integers(0, 256, shape, np.uint8)
    scores, traces = core.run(pack(plan(model, core.design, batch)), pixels)
    expected = golden.trace(model, pixels)
    skip = 1 if model.layers[0].kind == "conv" else 0
    for index, layer in enumerate(model.layers[:-1]):
        want = expected[layer.name]
        assert (traces[index - skip].planes[0][..., : want.shape[-1]].reshape(want.shape) == want).all(), layer.name
    assert (scores == expected[model.layers[-1].name]).all()


def warnings_of(core: hls_csim.HlsSimulation) -> list[str]:
    """Warnings whose place is in the core's own files."""
    lines = (core.binary.parent / "log").read_text().splitlines()
    return [line for line in lines if "warning:" in line and "hw_templates/hls" in line]


@pytest.mark.parametrize("compiler", ["g++", pytest.param(CLANG, marks=needs_clang, id="clang++")])
def test_no_warnings(compiler: str, tmp_path: Path) -> None:
    assert warnings_of(hls_csim.build(SMALL, tmp_path, compiler=compiler, flags=["-fsyntax-only"])) == []


def test_warnings_are_seen(tmp_path: Path) -> None:
    sources = tmp_path / "hw_templates/hls"
    shutil.copytree(hls_csim.SOURCES, sources)
    text = (sources / "bnn_top.cpp").read_text()
    (sources / "bnn_top.cpp").write_text(text + "\nchar narrow(int wide) { return wide; }\n")
    core = hls_csim.build(SMALL, tmp_path / "csim", flags=["-fsyntax-only"], sources=sources)
    assert [line for line in warnings_of(core) if "-Wconversion" in line]


@pytest.mark.parametrize("build", ["plain", "clang", "compressors", "threads"])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name: str, build: str, cores: Callable[[str], hls_csim.HlsSimulation]) -> None:
    """Every bit; with threads also that no FIFO needs more than two elements to keep the processes going."""
    model, batch, images = NETWORKS[name]
    check(cores(build), model, batch, images)


@pytest.mark.parametrize("name", NETWORKS)
def test_under_sanitizers(
    name: str, cores: Callable[[str], hls_csim.HlsSimulation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AddressSanitizer stops a run; what UBSan finds in the header files themselves is not ours."""
    options = f"log_path={tmp_path / 'found'}"
    monkeypatch.setenv("ASAN_OPTIONS", options)
    monkeypatch.setenv("UBSAN_OPTIONS", options)
    model, batch, images = NETWORKS[name]
    check(cores("sanitizers"), model, batch, images)
    found = "".join(path.read_text() for path in tmp_path.glob("found*"))
    assert [line for line in found.splitlines() if "runtime error" in line and "hw_templates/hls" in line] == []


@pytest.mark.parametrize("name", NETWORKS)
def test_late_data(name: str, cores: Callable[[str], hls_csim.HlsSimulation]) -> None:
    """Weights and first-layer bits that come late: the array waits, and nothing is overwritten."""
    model, batch, images = NETWORKS[name]
    stats = []
    for build in ("plain", "late"):
        check(cores(build), model, batch, images)
        stats.append(cores(build).stats)
    early, late = stats
    assert early is not None and late is not None and early.cycles is not None and late.cycles is not None
    assert late.busy == early.busy <= early.cycles < late.cycles


COUNT = """
#include <cstdio>
#include <random>
#include "bnn_dot.h"
int main() {
  std::mt19937 random(1);
  for (int n = 0; n < 4000; ++n) {
    bnn::Vector a, b;
    for (int i = 0; i < bnn::SIMD; i += 32) {
      const unsigned word = random(), mask = n % 2 ? random() & random() & random() : random();
      a.range(i + 31, i) = word;
      b.range(i + 31, i) = n < 2 ? word ^ unsigned(-n) : word ^ mask;  // all agree, none does, some do
    }
    int count = 0;
    for (int i = 0; i < bnn::SIMD; ++i) count += a[i] == b[i];
    const int got = bnn::count_matches(bnn::operand(a, true), bnn::operand(b, false)).to_int();
    if (got != count) return std::printf("word %d: %d matches, expected %d", n, got, count), 1;
  }
}
"""


@pytest.mark.parametrize("simd", [32, 64, 128, 256])
def test_compressors_count(simd: int, tmp_path: Path) -> None:
    (tmp_path / "bnn_design.h").write_text(render_header(replace(TIGHT, simd=simd)))
    (tmp_path / "count.cpp").write_text(COUNT)
    command = [
        "g++",
        "-std=c++14",
        "-O1",
        "-DBNN_CSIM_COMPRESSORS",
        "-isystem",
        str(hls_csim.find_ap_types()),
        "-I",
        str(tmp_path),
        "-I",
        str(hls_csim.SOURCES),
        *hls_csim.WARNINGS,
        str(tmp_path / "count.cpp"),
        "-o",
        str(tmp_path / "count"),
    ]
    subprocess.run(command, check=True)
    done = subprocess.run([str(tmp_path / "count")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


READS = """    if (compute || reads) {
      fetch(f, at, reads, shortcut_address(f, at, shortcut) + added_word, weight, act, weights, read, columns, vectors);
    }
"""
LAST_WRITE = "    receive_weights(weights_in, ring, weights);\n"


@pytest.mark.slow
@pytest.mark.parametrize("name", HLS_DESIGNS.values())
def test_every_loop_runs_at_one(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An iteration a cycle, within the instructions and by the rules that `hls.check` holds."""
    assert check_loops(["--design", name, "-o", str(tmp_path)]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("flags", [[], ["-DBNN_CSIM_STALL=200"]], ids=["early", "late"])
def test_order_of_memory_accesses(flags: list[str], tmp_path: Path) -> None:
    """Reads after the writes of their cycle see the same: what DEPENDENCE says of iterations holds within one too."""
    sources = tmp_path / "sources"
    shutil.copytree(hls_csim.SOURCES, sources)
    text = (sources / "bnn_array.h").read_text()
    assert text.count(READS) == text.count(LAST_WRITE) == 1 and text.index(READS) < text.index(LAST_WRITE)
    (sources / "bnn_array.h").write_text(text.replace(READS, "").replace(LAST_WRITE, LAST_WRITE + READS))
    core = hls_csim.build(TIGHT, tmp_path / "build", flags=flags, sources=sources)
    for model, batch, images in NETWORKS.values():
        check(core, model, batch, images)


@pytest.mark.parametrize(
    ("change", "sentences"),
    [
        (
            {
                "lanes": 3,
                "simd": 48,
                "pe": 2,
                "weight_depth": 500,
                "act_depth": 65536,
                "image_pixels": 1000,
                "max_layers": 512,
            },
            [
                "LANES must be a power of two from 2 to 16",
                "SIMD must be a power of two from 32 to 256",
                "PE must be a power of two from 4 to SIMD",
                "WEIGHT_DEPTH must be a power of two from 16",
                "ACT_DEPTH must be a power of two from 16 to 32768",
                "IMAGE_PIXELS must be a power of two from 16 to 32768",
                "MAX_LAYERS must be a power of two up to 256",
            ],
        ),
        (
            {"lanes": 32, "pe": 64, "first_pe": 2},
            [
                "LANES must be a power of two from 2 to 16",
                "PE must be a power of two from 4 to SIMD",
                "FIRST_PE must be a power of two from 4 to PE",
            ],
        ),
    ],
)
def test_constraints_are_sentences(change: dict[str, int], sentences: list[str], tmp_path: Path) -> None:
    broken = replace(SMALL)
    for parameter, value in change.items():
        object.__setattr__(broken, parameter, value)
    with pytest.raises(hls_csim.CsimError) as caught:
        hls_csim.build(broken, tmp_path, flags=["-fsyntax-only"])
    for sentence in sentences:
        assert sentence in str(caught.value)


def body_of(function: str) -> list[str]:
    """The statements of a function of bnn_top.cpp, without comments and what is for threads."""
    text = (hls_csim.SOURCES / "bnn_top.cpp").read_text()
    text = re.sub(r"#ifdef BNN_CSIM_THREADS\n(?:(?!#endif).)*#else\n(.*?)#endif\n", r"\1", text, flags=re.DOTALL)
    found = re.search(rf"\bvoid {function}\([^{{]*\{{(.*?)\n\}}", text, re.DOTALL)
    assert found
    lines = re.sub(r"//[^\n]*", "", found.group(1)).splitlines()
    pragmas = [line.strip() for line in lines if line.startswith("#pragma")]
    code = " ".join(line for line in lines if not line.startswith("#pragma"))
    return pragmas + [statement.strip() for statement in code.split(";") if statement.strip()]


def test_the_processes_are_a_canonical_region() -> None:
    """Nothing but streams and calls; a stream has one writer and then one reader (UG1399, canonical dataflow)."""
    statements = body_of("run_program")
    assert "#pragma HLS DATAFLOW" in statements
    streams, calls = [], []
    for statement in statements:
        if re.match(r"(Word|Beat|Write|Score)Stream ", statement):
            streams += re.findall(r'(\w+)\("\1"\)', statement)
        elif not statement.startswith("#pragma"):
            assert re.fullmatch(r"\w+\([\w, ]+\)", statement), statement
            calls.append(re.findall(r"\w+", statement))
    assert [call[0] for call in calls] == ["control", "read", "first_layer", "array", "pair", "store"]
    headers = "\n".join(path.read_text() for path in hls_csim.SOURCES.glob("*.h"))
    depths = {name for line in statements for name in re.findall(r"STREAM variable=(\w+)", line)}
    assert depths == set(streams) and len(streams) == 9
    for stream in streams:
        assert sum(stream in call for call in calls) == 2, stream
    # memory: one process has the arguments that are read, another the one that is written
    for argument, process in (("program", "read"), ("images", "read"), ("scores", "store")):
        assert [call[0] for call in calls if argument in call] == [process]
    assert "memory[" in headers and headers.count("scores[beat + n] =") == 1


def test_the_memory_port_asks_for_what_an_hp_port_takes() -> None:
    """Bursts of 16 beats, eight at a time (UG1085); the ports of the bundle agree."""
    ports = {}
    for line in re.findall(r"#pragma HLS INTERFACE mode=m_axi (.*)", (hls_csim.SOURCES / "bnn_top.cpp").read_text()):
        options = dict(word.split("=") for word in line.split())
        ports[options["port"]] = options
    assert set(ports) == {"program", "images", "scores"}
    for options in ports.values():
        assert options["bundle"] == "gmem" and options["latency"] == "40"
        assert (options["num_read_outstanding"], options["max_read_burst_length"]) == ("8", "16")
    assert (ports["scores"]["num_write_outstanding"], ports["scores"]["max_write_burst_length"]) == ("8", "16")


def test_operands_have_registers_of_their_tile() -> None:
    """A function of its own for each, a clock edge inside; no other way to them leads into a tile."""
    text = (hls_csim.SOURCES / "bnn_array.h").read_text()
    bodies = {name: re.search(rf"inline void {name}\(.*?\n}}\n", text, re.DOTALL) for name in ("keep", "count_tile")}
    keep, tile = (found.group(0) if found else "" for found in bodies.values())
    assert all(pragma in keep for pragma in ("INLINE off", "PIPELINE II=1", "LATENCY min=1 max=1"))
    assert all(pragma in tile for pragma in ("INLINE off", "PIPELINE II=1"))
    assert re.findall(r"keep\((\w+)\[", tile) == ["weights", "acts"]
    assert re.findall(r"count_matches\((.*)\);", text) == ["weight[p], activation[l]"]


def test_the_branch_for_synthesis_compiles(tmp_path: Path) -> None:
    """The open header files refuse __SYNTHESIS__, so our own files get another name; as C++11, too, for Vivado HLS."""
    files = render(SMALL, "2019.2")
    for path, text in files.items():
        if path.startswith("hls/"):
            (tmp_path / Path(path).name).write_text(text.replace("__SYNTHESIS__", "BNN_SYNTHESIS"))
    for standard in ("c++11", "c++14"):
        command = [
            "g++",
            f"-std={standard}",
            "-fsyntax-only",
            "-DBNN_SYNTHESIS",
            *hls_csim.WARNINGS,
            "-isystem",
            str(find_ap_types()),
            str(tmp_path / "bnn_top.cpp"),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert not [line for line in done.stderr.splitlines() if "warning:" in line and str(tmp_path) in line]
    everything = "".join((tmp_path / name).read_text() for name in ("bnn_array.h", "bnn_top.cpp", "bnn_types.h"))
    assert everything.count("BNN_SYNTHESIS") >= 6


def test_every_directive_has_its_reason() -> None:
    """Pragmas other than the interface's, whose reasons stand above them, are followed by a comment."""
    for path in sorted(hls_csim.SOURCES.glob("bnn_*")):
        for line in path.read_text().splitlines():
            if line.startswith("#pragma") and " INTERFACE " not in line:
                assert re.search(r"  // \S", line), f"{path.name}: {line}"


def test_scores_end_where_they_should(cores: Callable[[str], hls_csim.HlsSimulation]) -> None:
    """Odd numbers of scores: the C simulation itself checks the half of the last beat that is not a score."""
    for classes in (5, 9, 17):
        model = network(7, (4, 4, 1), [("dense", 16), ("dense", classes)], binary=True)
        for batch, images in ((1, 3), (3, 8), (4, 5)):
            assert plan(model, TIGHT, batch).batch == batch
            check(cores("plain"), model, batch, images)


PLACED = plan(NETWORKS["segments"][0], TIGHT, NETWORKS["segments"][1])
SIZE = len(pack(PLACED))
HEAD, START, END = Header.read(pack(PLACED)), PLACED.descriptors[0], PLACED.descriptors[-1]
# error code, fields
WRONG: list[tuple[int, dict[str, int]]] = [
    (1, {"magic": PROGRAM_MAGIC + 1}),
    (1, {"version": PROGRAM_VERSION_2 + 1}),
    (2, {"geometry": 0}),
    (2, {"first_pe": 2 * TIGHT.first_pe}),
    (3, {"layers": TIGHT.max_layers + 1}),
    (3, {"layers": 0}),
    (5, {"layers_a": 0}),
    (5, {"layers_a": 5}),
    (5, {"sub_batch": 0}),
    (5, {"sub_batch": 0x10001}),
    (5, {"batch": 0}),
    (5, {"batch": 0x10002}),
    (5, {"descriptors": 132}),
    (5, {"weights_a": 4}),
    (5, {"weights_b": 2}),
    (5, {"first": 1}),
    (5, {"words_a": 0}),
    (5, {"first_channels": 2}),
    (5, {"first_channels": FIRST_CHANNELS + 4}),
    (5, {"image_bytes": 0}),
    (5, {"image_bytes": 4}),
    (5, {"classes": 0}),
    (5, {"pixels": 0}),
    (5, {"pixels": TIGHT.image_pixels + 1}),
    (5, {"image_mode": 0}),
    (5, {"image_mode": 5}),
    (5, {"channels": 11}),
    (5, {"rows": 3, "columns": 0}),
    (5, {"rows": 0, "columns": 3}),
    (5, {"out_words": 0}),
    (5, {"batch": 2 * MAX_BATCH}),  # more images than halves of beats of the scores are kept for
    (5, {"last_groups": 0}),
    (5, {"last_groups": 1 << 16}),
    (5, {"last_tap_words": 0}),
    (5, {"last_rows": 0}),
    (5, {"last_blocks": 0}),
    (5, {"last_group_words": 0}),
    (5, {"last_group_words": TIGHT.weight_depth - 1}),
    (5, {"last_outputs": 0}),
    (5, {"last_out_columns": 0}),
    # shorter than its parts, parts beyond its end
    (5, {"size": 0}),
    (5, {"size": SIZE - 8}),
    (5, {"descriptors": SIZE}),
    (5, {"first": SIZE - 8}),
    (5, {"weights_a": SIZE - 8}),
    (5, {"weights_b": SIZE - 8}),
    (5, {"words_b": 1 << 31}),
    # weight words of segments and layers that differ
    (5, {"words_a": HEAD.words_a - 1}),
    (5, {"words_a": HEAD.words_a + 1}),
    (5, {"words_b": HEAD.words_b - 1}),
    (5, {"last_groups": END.groups + 1}),
    (5, {"last_group_words": END.group_words + 1}),
    # sizes and counts that disagree: 8x8 pixels of 3 channels
    (5, {"pixels": 63}),
    (5, {"height": 7}),
    (5, {"channels": 2}),
    (5, {"elements": 191}),
    (5, {"image_bytes": 184}),
    (5, {"image_bytes": 200}),
    (5, {"rows": HEAD.rows - 2}),
    (5, {"columns": HEAD.columns - 2}),
    (5, {"first_channels": 0}),
    (5, {"classes": END.outputs + 1}),
    (5, {"last_outputs": END.outputs - 1}),
    (5, {"last_tap_words": END.tap_words + 1}),
    (5, {"last_rows": 2}),
    (5, {"last_columns": TIGHT.lanes + 1}),
    (5, {"last_blocks": 2}),
    (5, {"last_scores": 0}),
    (5, {"last_dense": 0}),
    (5, {"first_scores": 1}),
    (5, {"first_kernel3": 0}),
]


PACKED = plan(NETWORKS["packed"][0], TIGHT, NETWORKS["packed"][1])
WRONG_OF = [("segments", *case) for case in WRONG]
WRONG_OF += [
    ("packed", 5, {"words_b": 1}),
    ("packed", 5, {"out_words": PACKED.first.words - 1}),
    ("packed", 5, {"out_words": PACKED.first.words + 1}),
]


@pytest.mark.parametrize(("name", "code", "fields"), WRONG_OF, ids=str)
def test_wrong_programs(
    name: str, code: int, fields: dict[str, int], cores: Callable[[str], hls_csim.HlsSimulation], tmp_path: Path
) -> None:
    """A program that would not run ends with its code before anything is written."""
    model, batch, images = NETWORKS[name]
    program = change(pack(plan(model, TIGHT, batch)), **fields)
    (tmp_path / "images.bin").write_bytes(bytes(images * Header.read(program).image_bytes))
    (tmp_path / "program.bin").write_bytes(program)
    command = [str(cores("plain").binary), "program.bin", "images.bin", str(images), "scores.bin"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (1, f"error code {code}")


@pytest.mark.slow
def test_shipped_model() -> None:
    """The shipped CNV on the design of the board."""
    root = Path(__file__).resolve().parent.parent
    core = hls_csim.build(DESIGNS["pynq_z1"], root / "build/test/hls-pynq_z1")
    with np.load(root / "models/cifar10_sample.npz", allow_pickle=False) as sample:
        pixels = sample["x"][:4]
    model = load(root / "models/cnv.npz")
    scores, _ = core.run(pack(plan(model, core.design, 4)), pixels)
    assert (scores == golden.infer(model, pixels)).all()
