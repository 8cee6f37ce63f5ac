"""The RTL core between its host and its memory: runs in a row, slow and failing buses, bad programs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.cores import SMALL, TIGHT, built, pixels
from helpers.models import network
from helpers.programs import change

from bnn import golden
from bnn.model import Model, ModelError
from hls.ap_types import find_ap_types
from hls.designs import Design
from hls.program import pack
from hls.schedule import Plan, plan
from hls.wired import first
from sim import hls_csim, rtl_sim
from sim.compare import by_name, differences
from sim.rtl_sim import Job, Memory, RtlSimError

CONVS = [("conv", 34, 0, 0, False), ("conv", 64, 1, 1, True), ("dense", 64), ("dense", 33), ("dense", 11)]

pytestmark = pytest.mark.skipif(
    rtl_sim.find_verilator() is None or shutil.which("g++") is None, reason="verilator or g++ is not installed"
)

TWO_PORTS = replace(TIGHT, ports=2)


def convolutions() -> tuple[Model, Plan]:
    """Two segments, weights that stream."""
    model = network(4, (8, 8, 3), CONVS)
    return model, plan(model, TIGHT, 8)


def packed() -> tuple[Model, Plan]:
    """One segment, weights that stay, packed input."""
    model = network(2, (5, 5, 1), [("dense", 40), ("dense", 65), ("dense", 7)], binary=True)
    return model, plan(model, TIGHT, 8)


def test_other_programs_without_a_reset() -> None:
    jobs, want = [], []
    order = ((convolutions, 9), (packed, 19), (convolutions, 1), (packed, 0), (packed, 8))
    for case, count in order:
        model, placed = case()
        jobs.append(Job(pack(placed), pixels(model, count)))
        want.append(golden.infer(model, jobs[-1].images))
    for job, run, scores in zip(jobs, built(TIGHT).sequence(jobs, memory=Memory(stall=0.2)), want, strict=True):
        assert run.stats.error == 0 and (run.scores == scores).all()
        cycles = [cycle for _, _, cycle in run.steps]
        assert cycles == sorted(cycles) and bool(cycles) == bool(len(job.images))


def test_the_first_run_does_not_depend_on_what_registers_held_before_the_reset() -> None:
    model, placed = packed()
    job = Job(pack(placed), pixels(model, 1))
    want = golden.infer(model, job.images)
    for seed in range(64):  # also of the registers' first content
        run = built(TIGHT).sequence([job], trace=False, memory=Memory(seed=seed))[0]
        assert run.stats.error == 0 and (run.scores == want).all(), seed


def test_a_kept_program_is_not_read_again() -> None:
    def run(case, keeps: list[bool], error: tuple[int, str, int, int] | None = None) -> list[rtl_sim.RtlRun]:
        model, placed = case()
        jobs = [Job(pack(placed), pixels(model, count + 3), keep) for count, keep in enumerate(keeps)]
        runs = built(TIGHT).sequence(jobs, memory=Memory(stall=0.1, error=error))
        for job, one in zip(jobs, runs, strict=True):
            if one.stats.error == 0:
                assert (one.scores == golden.infer(model, job.images)).all()
        return runs

    images = 4  # beats of one image
    for keep in (False, True):
        first, second, third = run(packed, [keep, True, False])
        assert first.stats.read_beats > 3 * images and third.stats.read_beats > 5 * images
        assert second.stats.read_beats == 4 * images
    failed, after = run(packed, [False, True], error=(0, "images", 0, 8))
    assert failed.stats.error == 4 and after.stats.error == 0 and after.stats.read_beats > 4 * images
    streamed = run(convolutions, [False, True])  # its weights do not stay
    assert streamed[1].stats.read_beats > streamed[0].stats.read_beats


@pytest.mark.parametrize("design", [TIGHT, TWO_PORTS], ids=["one port", "two ports"])
@pytest.mark.parametrize(
    "memory",
    [
        Memory(latency=1, bandwidth=0),
        Memory(bandwidth=1e8, together=1.1e8, stall=0.1),
        Memory(latency=300, outstanding=1),
        Memory(bandwidth=5e7),
        Memory(stall=0.8, seed=2),
        Memory(stall=0.1, seed=3, latency=7, outstanding=2),
    ],
)
def test_speeds_of_the_memory(memory: Memory, design: Design) -> None:
    for model, placed in (convolutions(), packed()):
        images = pixels(model, 9)
        scores, traces = built(design).run(pack(placed), images, memory=memory)
        assert (scores == golden.infer(model, images)).all()
        expected = golden.trace(model, images)
        for name in [layer.name for layer in model.layers[:-1]]:
            index = [layer.name for layer in model.layers].index(name) - (model.layers[0].kind == "conv")
            want = expected[name]
            assert (traces[index].planes[0][..., : want.shape[-1]].reshape(want.shape) == want).all(), name


@pytest.mark.parametrize(
    ("region", "offset"),
    [
        ("program", 0),
        ("program", 64),
        ("program", 200),
        ("program", 1000),
        ("program", -8),
        ("program", -24),
        ("images", 0),
        ("images", 1600),
        ("scores", 0),
        ("scores", 300),
    ],
)
@pytest.mark.parametrize("design", [TIGHT, TWO_PORTS], ids=["one port", "two ports"])
@pytest.mark.parametrize("case", [convolutions, packed])
def test_a_bus_error_ends_the_run_and_not_the_core(case, region: str, offset: int, design: Design) -> None:
    model, placed = case()
    program = pack(placed)
    offset = offset + len(program) if offset < 0 else offset
    images = pixels(model, 9)
    if region == "images":
        offset = min(offset, 8 * len(images))
    if region == "scores":
        offset = min(offset, 4 * 9 * len(model.classes) - 8)
    job = Job(program, images)
    bad, good = built(design).sequence([job, job], memory=Memory(error=(0, region, offset, 8), stall=0.1))
    assert bad.stats.error == 4
    assert good.stats.error == 0 and (good.scores == golden.infer(model, images)).all()


def test_writes_on_their_way_are_done_before_a_failed_one_resets_the_core() -> None:
    """The writes of further scores begin while the response to one is on its way, however the bus stalls."""
    model, placed = convolutions()
    job = Job(pack(placed), pixels(model, 3))
    want = golden.infer(model, job.images)
    for seed in range(40):
        memory = Memory(error=(0, "scores", 8 * (seed % 16), 8), stall=0.1, seed=seed)
        bad, good = built(TIGHT).sequence([job, job], memory=memory, trace=False)
        assert bad.stats.error == 4 and good.stats.error == 0 and (good.scores == want).all(), seed


def test_two_ports_are_as_fast_as_each_of_them_and_the_memory() -> None:
    """Weights that stream: half the cycles through two ports, and no more than both may carry together."""
    model, placed = convolutions()
    job = Job(pack(placed), pixels(model, 1))

    def cycles(design: Design, **speed: float) -> int:
        return built(design).sequence([job], trace=False, memory=Memory(latency=1, **speed))[0].stats.cycles

    one, two = cycles(TIGHT, bandwidth=1e8), cycles(TWO_PORTS, bandwidth=1e8)
    assert 0.5 < two / one < 0.6
    shared = cycles(TWO_PORTS, bandwidth=1e8, together=1e8)
    assert shared == pytest.approx(one, rel=0.01) and cycles(TIGHT, bandwidth=1e8, together=1e7) == one


def test_cycles_are_counted() -> None:
    for model, placed in (convolutions(), packed()):
        core = built(TIGHT)
        core.run(pack(placed), pixels(model, placed.batch))
        stats = core.stats
        assert stats is not None and stats.cycles is not None and stats.interrupt_cycles is not None
        parts = placed.batch // placed.sub_batch
        busy = 0
        for index, layer in enumerate(placed.descriptors):
            inside = index < placed.segment_a
            images = placed.sub_batch if inside else placed.batch
            busy += layer.busy_cycles(images, TIGHT.lanes) * (parts if inside else 1)
        assert stats.busy == busy < stats.cycles <= stats.interrupt_cycles
        # two classes in a beat, unless an odd number of scores lies before the image's
        classes = len(model.classes)
        beats = [classes if image * classes % 2 else -(-classes // 2) for image in range(placed.batch)]
        assert stats.write_beats == sum(beats)
        assert stats.waits is not None and busy + sum(stats.waits.values()) == stats.cycles


def test_a_memory_that_does_not_answer() -> None:
    model, placed = convolutions()
    message = r"no transfer and no activation written for 100000 cycles, at cycle \d+; .* array layers done"
    with pytest.raises(RtlSimError, match=message):
        built(TIGHT).sequence([Job(pack(placed), pixels(model, 3))], memory=Memory(latency=200_000))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        (
            "assign layer_scores_o = scores_q;",
            "assign layer_scores_o = scores_q + 64'h1000;",
            r"write of a byte at 0x52000\w+, outside of the scores$",
        ),
        (
            "assign first_images_o = images_q;",
            "assign first_images_o = images_q + 64'h1000_0000;",
            r"read of 8 bytes at 0x\w+, outside of the program and the images$",
        ),
    ],
)
def test_a_core_that_goes_elsewhere(right: str, wrong: str, message: str, tmp_path: Path) -> None:
    changed = tmp_path / "rtl"
    shutil.copytree(rtl_sim.RTL, changed)
    source = (changed / "control/bnn_run.sv").read_text()
    assert right in source
    (changed / "control/bnn_run.sv").write_text(source.replace(right, wrong))
    model, placed = packed()
    with pytest.raises(RtlSimError, match=message) as caught:
        rtl_sim.build(TIGHT, tmp_path / "core", rtl=changed).sequence([Job(pack(placed), pixels(model, 3))])
    assert "\n" not in str(caught.value)


def test_a_core_is_built_again_only_after_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built(TIGHT)

    def refuse(name: str, *_: object) -> None:
        raise RtlSimError(f"{name} ran")

    monkeypatch.setattr(rtl_sim, "_call", refuse)
    core = built(TIGHT)
    assert core.binary.is_file()
    folder = core.binary.parent.parent
    changed = tmp_path / "rtl"
    shutil.copytree(rtl_sim.RTL, changed)
    assert rtl_sim.build(TIGHT, folder, rtl=changed).binary == core.binary
    shutil.copytree(folder, tmp_path / "core")
    with pytest.raises(RtlSimError, match="verilator ran"):
        rtl_sim.build(replace(TIGHT, max_layers=8), tmp_path / "core", rtl=changed)
    with (changed / "common/bnn_fifo.sv").open("a") as file:
        file.write("// changed\n")
    with pytest.raises(RtlSimError, match="verilator ran"):
        rtl_sim.build(TIGHT, tmp_path / "core", rtl=changed)
    assert rtl_sim.build(TIGHT, tmp_path / "core").binary.is_file()  # what was there is there still


def test_build_errors(tmp_path: Path) -> None:
    with pytest.raises(RtlSimError, match=r"bnn_top.sv: not found$"):
        rtl_sim.build(SMALL, tmp_path / "out", rtl=tmp_path)
    (tmp_path / "bnn_top.sv").write_text("module bnn_top (input logic ap_clk\nendmodule\n")
    with pytest.raises(RtlSimError, match=r"verilator: %Error: .*bnn_top.sv:2:\d+: syntax error") as caught:
        rtl_sim.build(SMALL, tmp_path / "out", rtl=tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(RtlSimError, match=r"none/bnn_sim: No such file or directory$"):
        model, placed = packed()
        rtl_sim.RtlSimulation(TIGHT, tmp_path / "none" / "bnn_sim").run(pack(placed), pixels(model, 1))


@pytest.mark.slow
def test_waveforms(tmp_path: Path) -> None:
    model, placed = packed()
    core = rtl_sim.build(TIGHT, tmp_path / "core", wave=True)
    core.sequence([Job(pack(placed), pixels(model, 1))], wave=tmp_path / "run.vcd")
    with (tmp_path / "run.vcd").open() as file:
        head = file.read(200000)
    assert "tap_layer_done" in head and "m_axi_gmem_ARVALID" in head
    with pytest.raises(RtlSimError, match="built without waveforms"):
        built(TIGHT).sequence([Job(pack(placed), pixels(model, 1))], wave=tmp_path / "no.vcd")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "head", "fields"),
    [
        ((8, 8, 3), ("conv", 40, 1, 0, True), {}),
        ((9, 7, 1), ("conv", 19, 0, 0, False), {"first_pe": 8}),
    ],
)
def test_a_wired_first_layer(size: tuple[int, int, int], head: tuple, fields: dict[str, int], tmp_path: Path) -> None:
    # a build for each
    design = replace(SMALL, **fields)
    stages = [head, ("conv", 33, 1, -1, False), ("dense", 10)]
    model, other = network(3, size, stages), network(4, size, stages)
    wider = network(3, size, [(*head[:1], 70, *head[2:]), *stages[1:]])
    binary = network(5, size, [("dense", 40), ("dense", 10)], binary=True)
    files = first.sources(model, design)
    core = rtl_sim.build(design, tmp_path / "core", first=files)
    images = pixels(model, 9)
    jobs = [Job(pack(plan(each, design, 4)), images) for each in (model, other, wider, model, binary)]
    # the first layer comes before the others
    jobs += [Job(change(job.program, last_out_columns=0), images) for job in jobs[:2]]
    jobs.append(Job(jobs[0].program, images))
    runs = core.sequence([*jobs, Job(jobs[0].program, images, keep=True)], memory=Memory(stall=0.3, seed=2))
    assert [run.stats.error for run in runs] == [0, 2, 2, 0, 2, 5, 2, 0, 0]
    want = golden.trace(model, images)
    for run in (runs[0], runs[3], runs[7], runs[8]):
        got = by_name(plan(model, design, 4), run.traces)
        assert not differences({name: want[name] for name in got}, got)
        assert (run.scores == want[model.layers[-1].name]).all()
    if find_ap_types() is None:
        pytest.skip("the HLS core: ap_int.h is not installed")
    other_core = hls_csim.build(design, tmp_path / "hls", flags=["-Werror"], first=files)
    for job, error in zip(jobs, (0, 2, 2, 0, 2, 5, 2, 0), strict=True):
        if error:
            with pytest.raises(hls_csim.CsimError, match=f"error code {error}$"):
                other_core.run(job.program, images)
        else:
            scores, traces = other_core.run(job.program, images)
            got = by_name(plan(model, design, 4), traces)
            assert not differences({name: want[name] for name in got}, got)
            assert (scores == want[model.layers[-1].name]).all()


def test_only_a_convolution_is_wired_in_first() -> None:
    model, _ = packed()
    with pytest.raises(ModelError, match="only a convolution can be wired in as the first layer"):
        first.sources(model, SMALL)
