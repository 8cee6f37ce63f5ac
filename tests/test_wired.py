"""Wired engines: graphs multiply out to their weights, count what they should, and fail on what is wrong."""

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers.models import network as of_stages
from helpers.models import random_model
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn import golden, networks
from bnn.model import ModelError, save
from bnn.random_models import random_model as draw
from hls import sources, yosys
from hls.__main__ import main
from hls.designs import DESIGNS, DesignError
from hls.resources import Resources
from hls.wired import cost, first, heap, levels, measure, network, pixels, reuse, rows, timing, topologies, verilog
from hls.wired.beats import PIXEL, Beat, beats, period_cycles
from hls.wired.graph import Add, Bit, Chain, Graph, GraphError, Input, Select, adders, evaluate, multiply_out, split
from sim import wired_demo
from sim.rtl_sim import find_verilator, verilator_environment
from sim.wired_sim import WiredRun, run_hls, run_rtl

TEMPLATES = Path(__file__).resolve().parent.parent / "hw_templates"


def task(seed, outputs, inputs, input_bits=1, taps=1, thresholds=True):
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 2, (outputs, inputs)).astype(np.uint8)
    made = levels.Task("layer", weights, input_bits, taps)
    low, high = made.value_range()
    limits = rng.integers(low - 1, high + 2, outputs) if thresholds else None
    return dataclasses.replace(made, thresholds=limits)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 25), min_size=1, max_size=7), st.integers(0, 2**32 - 1))
def test_a_compressed_heap_keeps_its_value(heights, seed):
    heights[0] = max(1, heights[0])
    rng = np.random.default_rng(seed)
    count = sum(heights)
    graph = Graph(count, 1)
    for position in range(count):
        graph.put(Input(position, 0, 1))
    columns, used = [], 0
    for height in heights:
        columns.append([Bit(used + i, 0, bool(rng.integers(2))) for i in range(height)])
        used += height
    graph.output(heap.compress(graph, columns))
    weights = np.repeat(1 << np.arange(len(heights)), heights)
    inverted = np.array([bit.inverted for column in columns for bit in column])
    matrix, constants = multiply_out(graph)
    assert (matrix[0] == np.where(inverted, -weights, weights)).all()
    assert constants[0] == weights[inverted].sum()
    vectors = rng.integers(0, 2, (20, count))
    assert (evaluate(graph, vectors)[0][:, 0] == ((vectors ^ inverted) * weights).sum(axis=1)).all()


def test_chains_have_operands_that_fit_their_luts():
    graph = levels.trees(task(1, 3, 150))
    for node in graph.nodes:
        if not isinstance(node, Chain):
            continue
        columns = [term.column for term in node.row]
        assert len(columns) == len(set(columns)), "two row bits in a column"
        taken = set()
        for group in node.groups:
            assert len(group) <= 5
            first = min(term.column for term in group)
            size = sum(1 << (term.column - first) for term in group).bit_length()
            assert size <= 3 and not taken & set(range(first, first + size)), "groups overlap"
            taken |= set(range(first, first + size))


@pytest.mark.parametrize(
    ("level", "input_bits"),
    [
        ("none", 1),
        ("none", 8),
        ("kernel", 1),
        ("kernel", 8),
        ("trees", 1),
        ("chunked", 1),  # the last two: bits only
    ],
)
@pytest.mark.parametrize("taps", [1, 9])
def test_levels_equal_the_weights(level, input_bits, taps):
    item = task(3, 12, 27, input_bits, taps)
    if level in levels.LEVELS:
        graph = levels.build(item, level)
    else:
        graph = levels.trees(item) if level == "trees" else levels.chunked(item, 3)
        levels.check(item, graph)
        levels.finish(item, graph)
    rng = np.random.default_rng(5)
    vectors = rng.integers(0, 2, (50, 27)) if input_bits == 1 else rng.integers(-128, 128, (50, 27))
    signs = 2 * item.weights.astype(int) - 1
    want = vectors @ signs.T + ((item.weights == 0).sum(axis=1) if input_bits == 1 else 0)
    values, bits = evaluate(graph, vectors)
    assert (values == want).all()
    assert (bits == (want >= item.thresholds)).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 40), st.integers(1, 60), st.integers(2, 50), st.booleans(), st.integers(0, 2**32 - 1))
def test_folded_engines_equal_the_weights_in_every_pass(outputs, inputs, fold, thresholds, seed):
    item = dataclasses.replace(task(seed, outputs, inputs, thresholds=thresholds), fold=fold)
    assert item.slots * (item.passes - 1) < outputs <= item.slots * item.passes and item.passes <= fold
    graph = levels.build(item, "cse")
    vectors = np.random.default_rng(seed).integers(0, 2, (20, inputs))
    want = (vectors[:, None, :] == item.weights[None]).sum(axis=2)
    for number in range(item.passes):
        here = slice(number * item.slots, (number + 1) * item.slots)
        values, bits = evaluate(graph, vectors, number)
        count = want[:, here].shape[1]
        assert (values[:, :count] == want[:, here]).all()
        if thresholds:
            assert (bits[:, :count] == (want[:, here] >= item.thresholds[here])).all()


def test_a_wrong_pass_is_found():
    item = dataclasses.replace(task(6, 8, 40), fold=4)
    graph = levels.folded(item)
    number = next(i for i, node in enumerate(graph.nodes) if isinstance(node, Select))
    graph.nodes[number] = dataclasses.replace(graph.nodes[number], flips=graph.nodes[number].flips ^ 8)
    with pytest.raises(GraphError, match=r"layer: output [67] is not the sum of its weights"):
        levels.check(item, graph)


@pytest.mark.parametrize("level,input_bits", [("none", 1), ("kernel", 1), ("cse", 8)])
def test_what_cannot_be_folded_is_refused(level, input_bits):
    item = dataclasses.replace(task(1, 8, 9, input_bits, 9), fold=2)
    with pytest.raises(DesignError, match="layer: only engines of level cse on 1-bit inputs can be folded"):
        levels.build(item, level)


def test_layers_behind_a_pool_are_folded_as_far_as_time_allows():
    model = random_model(
        5,
        height=16,
        width=16,
        channels=3,
        pad=1,
        classes=10,
        dense=(12,),
        convs=((4, False), (4, True), (6, True), (40, False)),
    )
    # 256 cycles per image: 256, 256, 64, 16 windows, then a vector of 16 pixels
    assert pixels.folds(model) == [1, 1, 4, 16, 12, 10]
    passes = [
        network.task_of(model, layer, most).passes
        for layer, most in zip(model.layers, pixels.folds(model), strict=True)
    ]
    assert passes == [1, 1, 3, 14, 12, 10]  # of 2, 3, 1 and 1 outputs
    assert [item.task.passes for item in network.engines(model, "none")] == [1] * 6
    with pytest.raises(DesignError, match="fold -1: expected 0 or a number of passes"):
        network.engines(model, "cse", fold=-1)


def of_bits(seed=3, **arguments):
    return random_model(seed, **{"channels": 1, "pad": 0, "binary": True, **arguments})


def vectors_read(reads, words):
    """What `wired_rows` reads of the words of several maps, ints, with an idle cycle after each map or none."""
    found, kept, after, mask = [], 0, False, (1 << reads.size) - 1
    starts, total = reads.starts(), (reads.keep + 1) * reads.word_bits
    for place, word in words:
        assert not (after and place in reads.at), "two vectors at once"
        if after or word is not None:
            kept = (kept >> reads.word_bits) | (word or 0) << (total - reads.word_bits)
        at = reads.words if after else place
        if at in reads.at:
            found.append(kept >> starts[at] & mask)
        after = place == reads.words - 1 and reads.words in reads.at
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(3, 30), st.integers(3, 30), st.integers(1, 3)),
    st.lists(st.booleans(), max_size=3),
    st.sampled_from(rows.BEATS),
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.integers(0, 2**32 - 1),
)
def test_rows_come_out_of_beats_wherever_these_end(size, pools, beat, pauses, seed):
    height, width, channels = size
    try:
        model = of_bits(height=height, width=width, channels=channels, convs=tuple((2, pool) for pool in pools))
    except ModelError:  # too small for its layers
        return
    rng = np.random.default_rng(seed)
    for item in rows.place(model, beat):
        reads, (height, width, channels) = item.reads, item.shape.input
        maps = rng.integers(0, 2, (3, height, width * channels))
        words, want = [], []
        for bits, pause in zip(maps, pauses, strict=True):
            flat = np.zeros(max(reads.words * reads.word_bits, reads.size + reads.stride * len(reads.at)), np.uint8)
            flat[: bits.size] = bits.ravel()
            parts = flat[: reads.words * reads.word_bits].reshape(reads.words, -1)
            words += [
                (place, int.from_bytes(np.packbits(part, bitorder="little").tobytes(), "little"))
                for place, part in enumerate(parts)
            ]
            words += [(None, None)] * pause
            count = bits.size if item.layer.kind == "dense" else (item.rows + 2) * width * channels
            assert reads.size == count
            for number in range(len(reads.at)):
                part = flat[number * reads.stride :][:count]
                want.append(int.from_bytes(np.packbits(part, bitorder="little").tobytes(), "little"))
        found = vectors_read(reads, [*words, (None, None)])
        # of the last rows only those that are computed count
        known = bits.size - reads.stride * (len(reads.at) - 1)
        for number, (one, other) in enumerate(zip(found, want, strict=True)):
            mask = (1 << (known if number % len(reads.at) == len(reads.at) - 1 else reads.size)) - 1
            assert one & mask == other & mask
        if item.layer.kind == "conv":
            assert (len(reads.at) - 1) * item.rows < item.shape.computed[0] <= len(reads.at) * item.rows


def test_a_beat_of_64_bits_takes_two_rows_of_mnist_in_13_cycles():
    model = of_bits(height=28, width=28, convs=((16, True), (32, True)), dense=(64,), classes=10)
    placed = rows.place(model, 64)
    assert rows.usual_beat(model) == Beat(64) and period_cycles(model, Beat(64)) == beats(model, Beat(64)) == 13
    assert [(item.rows, item.columns) for item in placed] == [(2, 26), (1, 10), (1, 1), (1, 1)]
    assert network.side_by_side(model, Beat(64)) == [52, 10, 1, 1] and network.side_by_side(model) == [1] * 4
    assert rows.folds(placed) == [1, 1, 13, 10]
    # as many rows as are needed, no more
    assert [rows.place(model, beat)[0].rows for beat in rows.BEATS] == [1, 1, 2, 2]


def test_words_of_pixels_are_narrowed_as_far_as_time_allows():
    def layers(model, count):
        placed = pixels.place(model, count)
        return [(item.comes.pixels, item.takes, item.engines) for item in placed], pixels.folds(model, count)

    mnist = random_model(
        1, height=28, width=28, channels=1, convs=((16, True), (32, True), (64, False)), pad=0, dense=()
    )
    rows_of, passes = layers(mnist, 2)
    assert rows_of == [(2, (2, 14, 0), 2), (1, (1, 13, 0), 1), (1, (1, 5, 0), 1), (1, (1, 3, 0), 1)]
    assert passes == [1, 2, 41, 4]  # of 392 cycles, 169 words with 121 windows, 25 with 9, 9 with a vector
    rows_of, passes = layers(mnist, 4)
    # windows of 26 columns begin inside a word, the pool's 13 in the second pixel of one of two
    assert rows_of[:2] == [(4, (4, 7, 0), 4), (2, (1, 13, 0), 1)] and passes[:2] == [1, 1]
    cifar = random_model(1, height=32, width=32, convs=((3, False), (3, True), (4, False), (4, True)), dense=())
    rows_of, passes = layers(cifar, 2)
    assert [engines for _, _, engines in rows_of] == [2, 2, 1, 1, 1] and passes == [1, 1, 2, 2, 4]
    # behind the pool of the fastest, words of four are narrowed to two
    grey = random_model(1, height=8, width=16, channels=1, convs=((3, True), (3, False)), dense=())
    assert layers(grey, 8)[0][1] == (4, (2, 4, 0), 2)


def test_words_of_pixels_that_do_not_fit_are_refused(tmp_path, capsys):
    model = random_model(1, height=8, width=12, channels=3)
    with pytest.raises(DesignError, match=r"^5 pixels per cycle: expected a divisor of 12, the width of an image$"):
        pixels.place(model, 5)
    with pytest.raises(DesignError, match=r"^4 pixels per cycle: 96 bits, expected at most 64$"):
        network.engines(model, beat=Beat(pixels=4))
    odd = random_model(1, height=9, width=9, channels=1, convs=((4, True),))
    with pytest.raises(
        ModelError, match=r"^layer layer0: a pool takes pairs, its rows begin with pixel 0 of a word of 3"
    ):
        pixels.place(odd, 3)
    mixed = of_stages(1, (9, 8, 1), [("conv", 4, 0, 0, False), ("conv", 4, 1, 1, False), ("dense", 3)])
    with pytest.raises(ModelError, match=r"^layer conv2: pads rows that begin with pixel 2 of a word of 4, expected"):
        pixels.place(mixed, 4)
    wide = random_model(1, height=3, width=48, channels=1, convs=((140, False), (2, False)))
    with pytest.raises(
        ModelError, match=r"^layer layer1: \d{4} bits at once, an integer of Vitis HLS has at most 4096$"
    ):
        network.engines(wide, beat=Beat(pixels=8))
    save(model, tmp_path / "net.npz")
    arguments = [str(tmp_path / "net.npz"), "--engine", "wired", "-o", str(tmp_path / "out"), "--pixels-per-cycle"]
    assert main([*arguments, "2", "--beat", "8"]) == 1
    assert capsys.readouterr().err == "error: --pixels-per-cycle 2: expected --beat 0 with it, or none\n"
    assert main([*arguments, "2"]) == 0
    assert json.loads((tmp_path / "out/wired.json").read_text())["pixels_per_cycle"] == 2


def test_one_bit_pixels_are_packed():
    model = of_bits(height=3, width=5, channels=2, convs=(), dense=(4,))
    images = np.full((2, 3, 5, 2), 100, np.uint8)  # below the middle, so -1
    images[0, 0, 0, 1] = images[0, 1, 3, 0] = images[1, 2, 4, 1] = 255
    assert rows.pack(model, images, Beat(16)).tolist() == [[2, 0, 1, 0], [0, 0, 0, 32]]
    assert rows.pack(model, images, Beat(64)).shape == (2, 8)


def test_thresholds_of_one_bit_pixels_count_matches():
    model = of_bits(height=3, width=3, convs=((20, False),), dense=())
    # every one of a sum of nine, also those that no sum is equal to
    layer = dataclasses.replace(model.layers[0], thresholds=np.arange(-9, 11, dtype=np.int32))
    found = network.task_of(dataclasses.replace(model, layers=(layer, *model.layers[1:])), layer).thresholds
    matches = np.arange(10)[:, None]
    assert ((matches >= found) == (2 * matches - 9 >= layer.thresholds)).all()


def test_what_cannot_come_in_beats_is_refused(tmp_path, capsys):
    model = of_bits(height=9, width=8)
    with pytest.raises(DesignError, match=r"^beat 12: expected 8, 16, 32, 64 bits, or 0 for a pixel per beat$"):
        rows.place(model, 12)
    grey = random_model(1, height=9, width=8, channels=1, pad=0)
    with pytest.raises(ModelError, match=r"^input_table: a beat of 64 bits has pixels of one, expected"):
        network.engines(grey, beat=Beat(64))
    padded = random_model(1, height=9, width=8, channels=1, pad=1, binary=True)
    with pytest.raises(ModelError, match=r"^layer layer0: has padding, a wired engine of whole rows has none$"):
        network.engines(padded, beat=Beat(8))
    wide = of_bits(height=28, width=28, convs=((96, True), (160, True)), dense=())
    with pytest.raises(ModelError, match=r"^layer layer1: 10 engines at once have 1382400 products, expected at most"):
        network.engines(wide, beat=Beat(64))
    long = of_bits(height=5, width=9000, channels=4, convs=((1, False),), dense=())
    with pytest.raises(ModelError, match=r"^layer layer0: keeps \d{6} bits of rows, a wired engine has at most 65536$"):
        rows.place(long, 64)
    assert [rows.usual_beat(each) for each in (model, grey, padded)] == [Beat(64), PIXEL, PIXEL]
    assert [network.input_bits(each, each.layers[0]) for each in (model, grey, padded)] == [1, 8, 8]
    save(model, tmp_path / "net.npz")
    plan = [str(tmp_path / "net.npz"), "--engine", "wired", "-o", str(tmp_path / "out")]
    assert main(plan) == 0
    assert json.loads((tmp_path / "out/wired.json").read_text())["beat"] == 64
    assert not (tmp_path / "out/hls").exists()
    assert main([*plan, "--beat", "0"]) == 0 and (tmp_path / "out/hls").exists()
    capsys.readouterr()
    assert wired_demo.main([str(tmp_path / "net.npz"), "--hls", "-o", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == (
        "error: --hls: a design with beats of 64 bits is SystemVerilog only, expected --beat 0 with it\n"
    )


def test_engines_side_by_side_are_all_counted(tmp_path, monkeypatch):
    model = of_bits(height=9, width=8, convs=((3, True),), dense=())
    built = network.engines(model, beat=Beat(16))
    monkeypatch.setattr(measure, "engine", lambda item, cache: Resources(10, 1))
    monkeypatch.setattr(measure, "synthesise", lambda sources, top, cache: Resources(5))
    found = measure.design(model, built, tmp_path, Beat(16))
    # 72 bits in 5 beats: six rows of six windows are computed, two at once
    assert {name: part.lut for name, part in found.items()} == {"layer0": 120, "layer1": 10, "stream": 5}
    report = network.report(model, built, 100.0, Beat(16))
    assert [row["engines"] for row in report["layers"]] == [12, 1]
    assert report["estimated_lut"] == 12 * built[0].cost.lut + built[1].cost.lut


def test_the_command_adds_up_what_was_synthesised(tmp_path, monkeypatch, capsys):
    model = of_bits(height=9, width=8, convs=((3, True),), dense=())
    images = np.random.default_rng(1).integers(0, 256, (3, 9, 8, 1)).astype(np.uint8)
    save(model, tmp_path / "net.npz")
    np.save(tmp_path / "x.npy", images)
    run = WiredRun(golden.infer(model, images), 40, 10.0)
    monkeypatch.setattr(wired_demo, "run_rtl", lambda folder, model, images, beat: run)
    parts = {"layer0": Resources(120, 7, 0.5, 1), "stream": Resources(30, 5)}
    monkeypatch.setattr(measure, "design", lambda model, built, cache, beat: parts if beat == Beat(16) else {})
    arguments = [str(tmp_path / "net.npz"), "--images", str(tmp_path / "x.npy"), "-o", str(tmp_path / "out")]
    assert wired_demo.main([*arguments, "--beat", "16", "--synthesise"]) == 0
    text = capsys.readouterr().out
    assert "3 images, 12 scores, mismatches = 0" in text
    assert "40 cycles from first of 5 beats of 16 bits to last score" in text
    assert "whole design: 150 LUT (LUT memory included), 12 FF, 1 DSP, 0.5 BRAM36" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    "beat,arguments",
    [
        (Beat(64), {"height": 12, "width": 13, "convs": ((3, True), (4, False))}),
        (Beat(16), {"height": 9, "width": 9, "convs": ()}),
    ],
)
def test_latency_and_period_of_whole_rows_are_those_of_the_rtl(beat, arguments, tmp_path):
    # Verilator builds a small network
    model = of_bits(dense=(15,), classes=3, **arguments)
    built = network.write(model, tmp_path, "cse", beat=beat)
    images = np.random.default_rng(4).integers(0, 256, (5, model.height, model.width, 1)).astype(np.uint8)
    run = run_rtl(tmp_path, model, images, beat)
    assert (run.scores == golden.infer(model, images)).all()
    assert (run.latency, run.period) == (
        network.latency_cycles(model, built, beat),
        period_cycles(model, beat),
    )


@pytest.mark.slow
@pytest.mark.parametrize("pad,width,count", [(1, 15, 1), (0, 15, 1), (1, 16, 2), (0, 16, 4)])
def test_the_schedule_is_what_the_rtl_does(pad, width, count, tmp_path):
    # Verilator builds a small network
    model = random_model(
        8, height=16, width=width, channels=2, pad=pad, convs=((3, True), (9, False), (20, False)), dense=(30,)
    )
    beat = Beat(pixels=count)
    built = network.write(model, tmp_path, "cse", 99, beat=beat)
    images = np.random.default_rng(4).integers(0, 256, (5, 16, width, 2)).astype(np.uint8)
    run = run_rtl(tmp_path, model, images, beat)
    assert (run.scores == golden.infer(model, images)).all()
    done = timing.schedule(model, built, timing.steady(model, 5, beat), beat).done
    # alone, an image's last windows do not wait for the next image's pixels
    assert (run.latency, run.period) == (done[0], (done[4] - done[0]) / 4)


QUEUED = {  # folded engines behind pools, and what their queues hold in a steady stream
    "padded": (dict(height=16, width=15, channels=2, pad=1, convs=((3, True), (9, False), (20, False)), dense=()), 10),
    "deep": (dict(height=24, width=20, channels=1, pad=1, convs=((6, True), (12, True), (20, True)), dense=()), 5),
    "wide": (dict(height=20, width=28, channels=1, pad=0, convs=((6, True), (12, True), (20, False)), dense=(17,)), 21),
    "two": (dict(height=16, width=16, channels=1, pad=1, convs=((6, True), (12, True), (20, False)), dense=()), 3),
    "four": (dict(height=24, width=20, channels=1, pad=0, convs=((6, True), (12, True), (20, False)), dense=()), 3),
}
AT_ONCE = {"two": Beat(pixels=2), "four": Beat(pixels=4)}


@pytest.fixture(scope="module", params=QUEUED)
def queued(request):
    arguments, most = QUEUED[request.param]
    model = random_model(3, **arguments)
    beat = AT_ONCE.get(request.param, PIXEL)
    built = network.engines(model, "cse", beat=beat)
    steady = timing.schedule(model, built, timing.steady(model, timing.QUEUE_IMAGES, beat), beat).queues
    assert max(steady) == most
    return model, built, beat, steady


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_pauses_fill_no_queue_further(queued, data):
    model, built, beat, steady = queued
    cycles = np.array(timing.steady(model, 6, beat))
    count = beats(model, beat)
    places = st.one_of(st.integers(0, len(cycles) - 1), st.sampled_from([0, count, 2 * count, 3 * count, 5 * count]))
    gaps = np.full(len(cycles), data.draw(st.sampled_from([0, 0, 0, 1, 3])))
    for place, length in data.draw(st.lists(st.tuples(places, st.integers(1, 2 * count)), max_size=12)):
        gaps[place] += length
    found = timing.schedule(model, built, list(cycles + np.cumsum(gaps)), beat).queues
    # one more, as an image's last windows do not wait for the next image
    assert all(most <= usual + 1 for most, usual in zip(found, steady, strict=True))


def test_none_shares_nothing_and_a_tree_per_output_has_the_expected_adders():
    item = task(4, 64, 27, 8, 9)
    graph = levels.build(item, "none")
    assert adders(graph) == 64 * 26
    for single in split(graph):
        assert len(single.sums) == 1
    assert len({id(node) for node in graph.nodes}) == len(graph.nodes)
    assert verilog.engine(graph, "e", *item.value_range()).count("keep_hierarchy") == 64


def test_a_wrong_graph_is_found():
    item = task(6, 4, 40)
    graph = levels.trees(item)
    number = next(i for i, node in enumerate(graph.nodes) if isinstance(node, Chain))
    node = graph.nodes[number]
    first = node.groups[0][0]
    changed = (first._replace(bit=first.bit._replace(inverted=not first.bit.inverted)), *node.groups[0][1:])
    graph.nodes[number] = dataclasses.replace(node, groups=(changed, *node.groups[1:]))
    with pytest.raises(GraphError, match="layer: output 0 is not the sum of its weights"):
        levels.check(item, graph)


def test_a_lost_carry_is_found():
    item = task(6, 2, 40)
    graph = levels.trees(item)
    last = graph.nodes[graph.sums[0]]
    graph.nodes[graph.sums[0]] = dataclasses.replace(last, row=last.row[1:])
    with pytest.raises(GraphError, match="output 0 uses the bits of node"):
        levels.check(item, graph)


def test_wide_adders_are_found_when_wrong():
    item = task(7, 3, 9, 8, 9)
    graph = levels.build(dataclasses.replace(item, thresholds=None), "kernel")
    number = max(i for i, node in enumerate(graph.nodes) if isinstance(node, Add))
    node = graph.nodes[number]
    graph.nodes[number] = dataclasses.replace(node, sign_b=-node.sign_b)
    with pytest.raises(GraphError):
        levels.check(item, graph)


def test_an_unknown_level_is_refused():
    with pytest.raises(DesignError, match="level 'most' is not one of none, kernel, cse"):
        levels.build(task(1, 2, 9), "most")


def test_the_cost_model_prefers_sharing():
    item = task(8, 32, 144, 1, 9)
    none, kernel, cse = (cost.engine_cost(levels.build(item, level)).lut for level in levels.LEVELS)
    assert cse < kernel < none
    assert cse <= 0.55 * item.macs


@pytest.mark.parametrize("outputs,percent", [(128, 79), (256, 63), (512, 43)])
def test_random_kernels_repeat_as_expected(outputs, percent):
    assert round(100 * reuse.expected_ratio(outputs)) == percent
    codes = np.random.default_rng(1).integers(0, 256, (200, outputs))
    seen = np.mean([len(np.unique(row)) for row in codes]) / outputs
    assert abs(seen - reuse.expected_ratio(outputs)) < 0.01


def test_repeated_and_inverse_kernels_are_counted():
    model = random_model(1, convs=((4, False), (6, False)), dense=())
    layer = model.layers[1]
    weights = layer.weights.copy()
    weights[1] = weights[0]
    weights[2] = 1 - weights[0]
    weights[3] = weights[0]
    weights[3, 0, 0, 0] ^= 1  # channel 0 differs in one tap
    weights[4:] = weights[0]
    found = reuse.count_kernels(dataclasses.replace(layer, weights=weights), 10)
    # channel 0: a kernel, its inverse and a third one; the others: a kernel and its inverse
    assert (found.unique, found.unique_inverse) == (3 + 2 * 3, 2 + 1 * 3)
    assert (found.operations, found.operations_reused) == (6 * 4 * 9 * 10, 5 * 9 * 10)


def test_reuse_writes_its_table(tmp_path, capsys):
    model = random_model(2, convs=((4, True), (5, False)), dense=(70,))
    save(model, tmp_path / "net.npz")
    arguments = ["reuse", str(tmp_path / "net.npz"), "-o", str(tmp_path / "out"), "--no-synthesis", "--largest", "300"]
    assert main(arguments) == 0
    rows = json.loads((tmp_path / "out" / "net.json").read_text())
    names = {"layer", "level", "inputs", "outputs", "input_bits", "adders", "lut", "ff", "chosen"}
    assert all(names <= set(row) for row in rows)
    assert "not built: layer2" in capsys.readouterr().out
    for layer in {row["layer"] for row in rows}:
        here = [row for row in rows if row["layer"] == layer]
        assert [row for row in here if row["chosen"]] == [min(here, key=lambda row: row["lut"])]
    assert {row["passes"] for row in rows if row["input_bits"] == 8} == {1}
    assert max(row["passes"] for row in rows) > 1
    assert reuse.order_text(rows).endswith("agree on the order of the engines of every layer")
    first, second = rows[:2]
    swapped = [{**first, "lut": second["lut"]}, {**second, "lut": first["lut"]}]
    assert reuse.order_text(swapped).endswith(f"disagree on the order of the engines of {first['layer']}")
    assert (tmp_path / "out" / "net.png").stat().st_size > 1000
    assert main(["reuse", str(tmp_path / "none.npz")]) == 1
    assert "none.npz: cannot be read" in capsys.readouterr().err


def test_what_cannot_be_wired_is_refused(tmp_path, capsys):
    model = random_model(3, height=30, width=30, convs=((64, False),), dense=(16,))
    save(model, tmp_path / "net.npz")
    assert main([str(tmp_path / "net.npz"), "--engine", "wired", "-o", str(tmp_path / "out")]) == 1
    assert "layer layer1: 921600 weights, a wired engine has at most 400000" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    with pytest.raises(ModelError, match="layer1: 4608 bits at once, an integer of Vitis HLS has at most 4096"):
        network.check_size(random_model(3, height=26, width=26, convs=((8, False),), dense=(5,), pad=0))
    with pytest.raises(ModelError, match="padded map of 1x9"):
        network.check_size(random_model(1, height=1, width=9, convs=((2, False),), dense=()))


@pytest.mark.parametrize(
    "count,pad,convs",
    [
        (2, 1, ((4, False), (5, True), (3, True))),
        (4, 0, ((4, True), (5, False))),  # rows begin inside a word that is narrowed
        (4, 0, ((4, False),)),  # or that a dense layer takes
    ],
)
def test_hls_of_several_pixels_per_cycle_gives_the_golden_scores(count, pad, convs, tmp_path):
    if shutil.which("g++") is None:
        pytest.skip("g++ is missing")
    model = random_model(9, height=12, width=12, channels=2, convs=convs, pad=pad, dense=(5,))
    images = np.random.default_rng(2).integers(0, 256, (6, 12, 12, 2)).astype(np.uint8)
    network.write(model, tmp_path, "cse", 99, beat=Beat(pixels=count))
    assert (run_hls(tmp_path, model, images).scores == golden.infer(model, images)).all()


@pytest.mark.parametrize("level,fold", [("none", 1), ("kernel", 1), ("cse", 99)])
@pytest.mark.parametrize(
    "arguments",
    [
        {"height": 6, "width": 5, "channels": 3, "convs": ((5, True), (7, False)), "dense": (6,)},
        {"height": 11, "width": 8, "channels": 1, "convs": ((4, True), (3, False)), "dense": (), "pad": 0},
        {"height": 4, "width": 3, "channels": 2, "convs": (), "dense": (9, 5)},
        {"height": 9, "width": 8, "channels": 2, "convs": ((4, True), (3, False)), "pad": 0, "binary": True},
    ],
)
def test_hls_engines_give_the_golden_scores(level, fold, arguments, tmp_path):
    if shutil.which("g++") is None:
        pytest.skip("g++ is missing")
    model = random_model(9, **arguments, pad_value=1) if "pad" not in arguments else random_model(9, **arguments)
    rng = np.random.default_rng(2)
    images = rng.integers(0, 256, (12, model.height, model.width, model.channels)).astype(np.uint8)
    network.write(model, tmp_path, level, fold)
    assert (run_hls(tmp_path, model, images).scores == golden.infer(model, images)).all()
    header = (tmp_path / "hls/wired_top.h").read_text()
    assert header.index("#define AP_INT_MAX_W 4096") < header.index("#include")


@pytest.mark.slow
def test_da4ml_graphs_equal_the_weights(monkeypatch):
    # a minute where da4ml is compiled for the first time
    api = pytest.importorskip("da4ml.cmvm.api")
    solve, depths = api.jit_solve, []
    monkeypatch.setattr(api, "jit_solve", lambda *given: depths.append(given[4]) or solve(*given))
    for input_bits in (1, 8):
        item = task(10, 12, 27, input_bits, 9)
        graph = levels.optimised(item)
        levels.check(item, graph)
        if input_bits == 8:
            assert adders(graph) < adders(levels.build(item, "none")) / 2
    assert depths == 2 * list(range(-1, 6)), "every depth is tried, however long it takes"


@pytest.mark.slow
def test_yosys_and_the_cost_model_agree_on_the_order(tmp_path):
    # three runs of yosys on a small layer
    item = task(11, 8, 72, 1, 9)
    found = []
    for level in levels.LEVELS:
        graph = levels.build(item, level)
        text = verilog.engine(graph, "engine", *item.value_range())
        measured = measure.synthesise({"e.sv": text}, "engine", tmp_path, srl=False)
        found.append((cost.engine_cost(graph).lut, measured.lut))
    assert sorted(found) == sorted(found, key=lambda pair: pair[1])


@pytest.mark.parametrize("outputs,inputs,fold", [(20, 108, 4), (24, 90, 24), (70, 60, 70)])
def test_topologies_are_counted_as_their_engines(outputs, inputs, fold):
    rng = np.random.default_rng(1)
    spread = int(np.sqrt(inputs)) + 1
    limits = inputs // 2 + rng.integers(-spread, spread, outputs)
    item = dataclasses.replace(task(12, outputs, inputs, 1, 9), thresholds=limits, fold=fold)
    built = cost.engine_cost(levels.build(item, "cse")).lut
    assert abs(topologies.layer_lut(outputs, inputs, 1, fold, False) / built - 1) < 0.1


def test_topologies_of_two_pixels_per_cycle_have_two_engines_before_the_pool():
    model = random_model(1, height=16, width=16, convs=((8, True), (40, False)), dense=())
    one, two = (topologies.candidate_of(model, 1, count) for count in (1, 2))
    assert (one.passes, two.passes) == ((1, 4, 4), (1, 1, 4))  # two passes would cost more than one
    first = topologies.layer_lut(8, 27, 8, 1, False)
    middle = [topologies.layer_lut(40, 72, 1, passes, False) for passes in (4, 1)]
    assert two.lut - one.lut - first - (middle[1] - middle[0]) in range(100)  # and what lies between them


def test_topologies_within_a_limit(capsys):
    found = topologies.search((16, 16, 1), 4, [2, 4], 2, 10**6)
    assert {item.pad for item in found} == {0, 1} and {len(item.convs) for item in found} == {2, 3, 4}
    assert all(item.convs[-1][1] and item.weights > 0 for item in found)
    limit = sorted(item.lut for item in found)[len(found) // 2]
    fewer = topologies.search((16, 16, 1), 4, [2, 4], 2, limit)
    assert fewer == [item for item in found if item.lut <= limit] and len(fewer) < len(found)
    assert [item.macs for item in fewer] == sorted((item.macs for item in fewer), reverse=True)
    assert main(["topologies", "--lut", "0"]) == 1
    assert capsys.readouterr().err == "error: every number must be at least 1\n"


@pytest.mark.slow
def test_a_whole_design_is_measured_once(tmp_path, monkeypatch):
    # yosys on two small engines and the stream around them
    model = random_model(3, height=9, width=8, channels=1, pad=1, convs=((3, True), (5, False)), dense=())
    built = network.engines(model, "cse", fold=3)
    found = measure.design(model, built, tmp_path)
    assert list(found) == [*(layer.name for layer in model.layers), "stream"]
    assert all(part.lut > 0 and part.ff > 0 for part in found.values())
    assert found["stream"].dsp == 1 and sum(part.dsp for part in found.values()) == 1
    monkeypatch.setattr(yosys, "run", None)
    assert measure.design(model, built, tmp_path) == found


@pytest.mark.parametrize("depth", [4, 16, 128])
def test_yosys_keeps_every_register_of_a_queue(depth, tmp_path):
    # four pointers and two flags at least; read_verilog takes AddrBits'(~x) for a constant, and with it the pointers
    texts = {f"{name}.sv": sources.find(name).read_text(encoding="utf-8") for name in network.CORE_RTL}
    texts["top.sv"] = f"""module top (
    input clk, rst, push, pop, input [7:0] in, output room, valid, output [7:0] out);
  bnn_fifo #(.Width(8), .Depth({depth})) u_fifo (
      .clk_i(clk), .rst_i(rst), .push_i(push), .data_i(in), .room_o(room), .valid_o(valid), .pop_i(pop), .data_o(out));
endmodule
"""
    assert measure.synthesise(texts, "top", tmp_path).ff >= 4 * (depth.bit_length() - 1) + 2


def test_a_first_layer_with_values_is_refused():
    model = draw(networks.network("tiny_bireal"))
    with pytest.raises(ModelError, match=r"^layer conv1: gives a value, one that is wired in gives bits"):
        first.sources(model, DESIGNS["pynq_z1"])


COROUTINES = "-O0 -std=c++20 -fcoroutines"
BENCH = """
module bench;
  logic clk = 0, rst_n = 0, emit = 0, push = 0, ready, valid, out, given;
  logic [1:0] turn;
  int unsigned many, spare;
  wired_fold #(.Passes(4)) i_fold (
      .clk_i(clk), .rst_ni(rst_n), .emit_i(emit), .ready_o(ready), .valid_o(valid), .pass_o(turn));
  wired_queue #(.Bits(1), .Depth(4)) i_queue (
      .clk_i(clk), .rst_ni(rst_n), .valid_i(push), .data_i(1'b1), .valid_o(given), .data_o(out), .ready_i(1'b0));
  always #1 clk = !clk;
  initial begin
    if (!$value$plusargs("push=%d", many)) many = 0;
    if (!$value$plusargs("spare=%d", spare)) spare = 0;
    repeat (2) @(negedge clk);
    rst_n = 1;
    @(negedge clk);
    for (int n = 0; n < 3; ++n) begin  // a vector as soon as it may come, the last one earlier
      emit = 1;
      @(negedge clk);
      emit = 0;
      repeat (n == 1 ? 3 - spare : 3) @(negedge clk);
    end
    push = many != 0;
    repeat (many) @(negedge clk);
    push = 0;
    repeat (2) @(negedge clk);
    $display("done");
    $finish;
  end
endmodule
"""


@pytest.fixture(scope="module")
def wired_bench(tmp_path_factory):
    """A simulation of both units that have assertions; arguments say what comes too early, and how much."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "bench.sv").write_text(BENCH)
    units = [TEMPLATES / "wired/rtl/wired_fold.sv", TEMPLATES / "wired/rtl/wired_queue.sv"]
    units += [TEMPLATES / f"rtl/common/{name}.sv" for name in network.CORE_RTL]
    verilator = find_verilator()
    assert verilator is not None
    command = [
        str(verilator),
        "--binary",
        "--timing",
        "-Wno-fatal",
        "-CFLAGS",
        COROUTINES,
        "--top",
        "bench",
    ]
    command += ["--Mdir", str(folder / "made"), str(folder / "bench.sv"), *map(str, units)]
    done = subprocess.run(command, capture_output=True, text=True, env=verilator_environment(verilator))
    assert not done.returncode, done.stderr[-2000:]
    return folder / "made" / "Vbench"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), ""),
        (("+spare=1",), "wired_fold: a vector too many"),
        (("+spare=3",), "wired_fold: a vector too many"),
        (("+push=4",), ""),
        (("+push=7",), "wired_queue: an element too many"),
    ],
)
def test_what_the_schedule_does_not_allow_ends_a_simulation(wired_bench, arguments, said):
    done = subprocess.run([wired_bench, *arguments], capture_output=True, text=True)
    assert (said in done.stdout + done.stderr) and bool(done.returncode) == bool(said), done.stdout
    assert ("done" in done.stdout) == (not said)
