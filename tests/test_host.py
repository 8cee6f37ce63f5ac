"""The host driver against a core that keeps the register protocol and answers with the integer model."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.cores import TIGHT
from helpers.host import DESIGN, FakeCore, images, make_model
from helpers.models import deep
from helpers.programs import change

from bnn import golden
from bnn.contract import Error
from bnn.model import Model, save
from bnn.random_models import random_graph
from hls import designs, program, schedule
from host import Accelerator, HostError, accelerator, backend, pynq_infer
from host.program import Program

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def model() -> Model:
    return make_model()


@pytest.fixture
def core(model: Model) -> FakeCore:
    return FakeCore(model)


@pytest.fixture
def code(model: Model, tmp_path: Path) -> Path:
    path = tmp_path / "program.bin"
    path.write_bytes(program.pack(schedule.plan(model, DESIGN, 8)))
    return path


def start(core: FakeCore, code: Path, timeout_s: float = 1.0) -> Accelerator:
    return Accelerator("bnn.bit", code, timeout_s, backend=core)


@pytest.mark.parametrize("count", [0, 1, 13])
def test_scores(core: FakeCore, code: Path, model: Model, count: int) -> None:
    with start(core, code) as device:
        scores = device.infer(images(count))
        assert device.cycles == 1000 * count and device.busy_cycles == 800 * count
        assert set(device.times) == {"load", "copy", "run", "read", "total"}
    assert scores.dtype == np.int32 and scores.shape == (count, 3) and type(scores) is np.ndarray
    assert np.array_equal(scores, golden.infer(model, images(count)))
    assert core.closed and not core.memory


def test_buffers_are_reused(core: FakeCore, code: Path, model: Model) -> None:
    with start(core, code) as device:
        first = device.infer(images(7, 1))
        kept = first.copy()
        held = len(core.allocations)
        second, third = device.infer(images(7, 2)), device.infer(images(3, 3)[:, ::-1])
        assert len(core.allocations) == held == 3
        device.infer(images(8, 4))
        assert len(core.allocations) == 5 and len(core.memory) == 3
    assert np.array_equal(first, kept)
    assert np.array_equal(second, golden.infer(model, images(7, 2)))
    assert np.array_equal(third, golden.infer(model, images(3, 3)[:, ::-1]))


def test_registers_filled_by_a_run_without_images(core: FakeCore, code: Path) -> None:
    core.fill_late()
    with start(core, code) as device:
        assert core.counts == [0]
        assert device.infer(images(2)).shape == (2, 3)


def test_no_run_where_registers_are_there(core: FakeCore, code: Path) -> None:
    with start(core, code):
        assert core.counts == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"id": 0x12345678}, "core ID is 0x12345678, expected 0x314E4E42"),
        ({"id": 0}, "core ID is 0x00000000, expected 0x314E4E42"),
        ({"version": 2}, "interface version is 2, expected 1"),
        ({"pe": 16, "lanes": 8, "simd": 64}, "is for PE 8, SIMD 32, LANES 4, bnn.bit has PE 16, SIMD 64, LANES 8"),
        ({"first_pe": 8}, "is for FIRST_PE 4, bnn.bit has FIRST_PE 8"),
        ({"weight_depth": 8}, r"needs WEIGHT_DEPTH \d+, bnn.bit has WEIGHT_DEPTH 8"),
        ({"act_depth": 4}, r"needs ACT_DEPTH \d+, bnn.bit has ACT_DEPTH 4"),
        ({"image_pixels": 32}, "needs IMAGE_PIXELS 63, bnn.bit has IMAGE_PIXELS 32"),
        ({"max_layers": 1}, "needs MAX_LAYERS 2, bnn.bit has MAX_LAYERS 1"),
    ],
)
def test_core_that_does_not_fit(core: FakeCore, code: Path, values: dict[str, int], message: str) -> None:
    core.fill(values)
    with pytest.raises(HostError, match=message):
        start(core, code)
    assert core.closed and not core.memory


@pytest.mark.parametrize("name", ["sim_small", "pynq_z1"])
@pytest.mark.parametrize("batch", [1, 8, 64])
def test_depths_are_what_the_planner_used(model: Model, tmp_path: Path, name: str, batch: int) -> None:
    plan = schedule.plan(model, designs.find(name), batch)
    path = tmp_path / "program.bin"
    path.write_bytes(program.pack(plan))
    found = Program(path)
    assert found.act_depth == max(region.base + region.words for region in plan.regions)
    assert found.weight_depth == plan.words_a + plan.words_b
    assert found.shape == (9, 7, 1) and found.classes == 3 and found.image_bytes == 64


def test_a_ring_is_for_one_size_of_the_weight_memory(tmp_path: Path) -> None:
    placed = schedule.plan(deep(), TIGHT, 4)
    assert placed.ring_base
    path = tmp_path / "program.bin"
    path.write_bytes(program.pack(placed))
    core = FakeCore(deep())
    core.fill({"weight_depth": TIGHT.weight_depth, "act_depth": TIGHT.act_depth})
    start(core, path).close()
    core = FakeCore(deep())
    core.fill({"weight_depth": 2 * TIGHT.weight_depth, "act_depth": TIGHT.act_depth})
    with pytest.raises(HostError, match=r"program.bin is for WEIGHT_DEPTH 128, bnn.bit has WEIGHT_DEPTH 256$"):
        start(core, path)


def test_a_core_without_the_vector_unit(tmp_path: Path) -> None:
    model = random_graph(7)
    placed = schedule.plan(model, designs.find("sim_small"), 4)
    assert any(layer.vector for layer in placed.descriptors)
    path = tmp_path / "program.bin"
    path.write_bytes(program.pack(placed))
    core = FakeCore(model)
    core.fill({"vector": False})
    with pytest.raises(HostError, match="program.bin needs the vector unit, which the core of bnn.bit does not have$"):
        start(core, path)
    core.fill({"vector": True})
    start(core, path).close()


@pytest.mark.parametrize("seed", range(20))
def test_depths_of_programs_of_version_2(tmp_path: Path, seed: int) -> None:
    """What the host asks of a core is what the planner used, but for what only the last layers write."""
    with suppress(designs.DesignError):
        plan = schedule.plan(random_graph(seed), designs.find("sim_small"), 4)
        path = tmp_path / "program.bin"
        path.write_bytes(program.pack(plan))
        assert Program(path).act_depth == max(region.base + region.words for region in plan.regions)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("magic", 1, "magic is 0x00000001, expected 0x504E4E42"),
        ("version", 3, "version is 3, expected 1 or 2"),
        ("size", 8, r"size is \d+, expected 8"),
        ("layers", 1 << 20, "1048576 layers, expected 1 to"),
        ("image_bytes", 8, "8 bytes of an image, expected 64"),
    ],
)
def test_damaged_program(core: FakeCore, code: Path, field: str, value: int, message: str) -> None:
    code.write_bytes(change(code.read_bytes(), **{field: value}))
    with pytest.raises(HostError, match=message):
        start(core, code)


def test_program_cut_short_or_missing(core: FakeCore, code: Path) -> None:
    content = code.read_bytes()
    for size in (0, 127, 132, len(content) - 8):
        code.write_bytes(content[:size])
        with pytest.raises(HostError, match="expected"):
            start(core, code)
    with pytest.raises(HostError, match="cannot be read"):
        start(core, code.parent / "none.bin")


def test_timeout(core: FakeCore, code: Path) -> None:
    device = start(core, code, 0.02)
    core.hangs = True
    core.registers.error = Error.RESPONSE
    with pytest.raises(HostError, match=r"no result for 2 images .*control 0x1, error 4: AXI error response"):
        device.infer(images(2))
    with pytest.raises(HostError, match="still works on an earlier run"):
        device.infer(images(2))
    device.close()
    assert core.closed and len(core.memory) == 3, "a running core may still write to its buffers"
    accelerator._abandoned.clear()


def test_program_is_kept_between_runs(core: FakeCore, code: Path, model: Model) -> None:
    """Only after a run of this program without error, and not where someone else used the core meanwhile."""
    with start(core, code) as device:
        assert device.program.resident
        for batch in (3, 2):
            assert np.array_equal(device.infer(images(5), batch), golden.infer(model, images(5)))
        assert core.keeps == [0, 1, 1, 1, 1]
        core.error = Error.RESPONSE
        with pytest.raises(HostError, match="error 4"):
            device.infer(images(1))
        core.error = 0
        device.infer(images(1))
        core.registers.cycles += 1
        device.infer(images(1))
        core.registers.count = 9
        device.infer(images(1))
        device.reload()
        device.infer(images(1))
        assert core.keeps[5:] == [1, 0, 0, 0, 0]
        device.infer(images(1))
        assert core.keeps[-1] == 1
    code.write_bytes(change(code.read_bytes(), resident=0))
    with start(core, code) as device:
        device.infer(images(4), 1)
        assert core.keeps[-4:] == [0, 0, 0, 0]


def test_late_run_is_waited_out(core: FakeCore, code: Path, model: Model) -> None:
    with start(core, code, 0.02) as device:
        core.hangs = True
        with pytest.raises(HostError, match="no result"):
            device.infer(images(2))
        core.hangs, core.wait = False, 0
        assert np.array_equal(device.infer(images(3)), golden.infer(model, images(3)))
    assert not core.memory


@pytest.mark.parametrize(
    ("number", "name"), [*((int(error), error.message) for error in Error if error), (9, "unknown")]
)
def test_error_code(core: FakeCore, code: Path, number: int, name: str) -> None:
    with start(core, code) as device:
        core.error = number
        with pytest.raises(HostError, match=f"the core reports error {number}: {name}"):
            device.infer(images(2))
        core.error = 0
        device.infer(images(2))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((2, 9, 7, 1), np.int32), r"images are int32 \(2, 9, 7, 1\), expected uint8 \(N, 9, 7, 1\)"),
        (np.zeros((2, 9, 7), np.uint8), r"images are uint8 \(2, 9, 7\), expected"),
        (np.zeros((2, 7, 9, 1), np.uint8), r"images are uint8 \(2, 7, 9, 1\), expected"),
        ([[1, 2]], "images are list, expected an array"),
    ],
)
def test_wrong_images(core: FakeCore, code: Path, given: Any, message: str) -> None:
    with start(core, code) as device:
        with pytest.raises(HostError, match=message):
            device.infer(given)
    assert core.counts == []


def test_closed_and_out_of_memory(core: FakeCore, code: Path) -> None:
    with start(core, code) as device:
        core.fail_allocation = True
        with pytest.raises(HostError, match=r"allocated \(Failed to allocate Memory!\); use smaller batches"):
            device.infer(images(2))
    device.close()
    with pytest.raises(HostError, match="closed"):
        device.infer(images(1))


class StubPynq:
    """The few names of pynq that the backend uses, in front of a fake core."""

    def __init__(self, core: FakeCore) -> None:
        self.core = core
        self.Clocks = type("Clocks", (), {"fclk0_mhz": 125.0})
        self.loaded: list[str] = []

    def Overlay(self, path: str, download: bool) -> Any:
        assert not download
        blocks: dict[str, Any] = {"bnn_0": {"type": "x:y:bnn:1.0", "phys_addr": 0x43C00000, "addr_range": 0x10000}}
        blocks["ps7"] = {
            "type": "xilinx.com:ip:processing_system7:5.5",
            "parameters": {"PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ": "125.000000"},
        }
        clocks = {0: {"enable": 1, "frequency": None}, 1: {"enable": 0, "frequency": None}}

        def load(self: Any) -> None:
            assert clocks[0]["frequency"] == 125.0 and clocks[1]["frequency"] is None
            stub.loaded.append(path)

        stub = self
        return type("Overlay", (), {"ip_dict": blocks, "clock_dict": clocks, "download": load})()

    def MMIO(self, address: int, length: int) -> FakeCore:
        assert (address, length) == (0x43C00000, 0x10000)
        return self.core

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        core = self.core

        class Buffer(np.ndarray):
            physical_address = property(lambda self: core.address(self))

            def flush(self) -> None:
                core.flush(self)

            def invalidate(self) -> None:
                core.invalidate(self)

            def freebuffer(self) -> None:
                core.free(self)

        buffer = core.allocate(shape, dtype).view(Buffer)
        buffer[...] = 1  # pynq's memory is not cleared
        core.memory[max(core.memory)] = buffer
        return buffer


def test_pynq_backend(
    core: FakeCore, code: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = StubPynq(core)
    monkeypatch.setitem(sys.modules, "pynq", stub)
    with pytest.raises(HostError, match="no such bitstream"):
        Accelerator(tmp_path / "bnn.bit", code)
    (tmp_path / "bnn.bit").write_bytes(b"")
    with pytest.raises(HostError, match=r"bnn\.hwh: no such file beside the bitstream"):
        Accelerator(tmp_path / "bnn.bit", code)
    (tmp_path / "bnn.hwh").write_bytes(b"")
    with Accelerator(tmp_path / "bnn.bit", code) as device:
        scores = device.infer(images(5))
        assert type(scores) is np.ndarray and np.array_equal(scores, golden.infer(model, images(5)))
        assert device.clock_hz == 125e6
    assert stub.loaded == [str((tmp_path / "bnn.bit").resolve())] and not core.memory


@pytest.mark.parametrize("works", [True, False])
def test_interrupt_of_pynq(
    core: FakeCore, code: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    """Where pynq has an interrupt of the core the driver waits for it, and polls when it does not come."""
    for name in ("bnn.bit", "bnn.hwh"):
        (tmp_path / name).write_bytes(b"")
    waits: list[int] = []

    class Interrupt:
        async def wait(self) -> None:
            waits.append(core.registers.enable_done and core.registers.interrupts)
            if not works:  # the run ends, and nobody says so
                core.wait = 0
            await asyncio.sleep(0.001 if works else 10)
            core.hangs, core.wait = False, 0
            core.registers.status_done = True

    stub = StubPynq(core)
    make = stub.Overlay

    def load(path: str, download: bool) -> Any:
        overlay = make(path, download)
        overlay.bnn_0 = type("Driver", (), {"interrupt": Interrupt()})()
        return overlay

    stub.Overlay = load  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "pynq", stub)
    monkeypatch.setattr(accelerator, "LONGEST_PAUSE_S", 0.02)
    asyncio.set_event_loop(asyncio.new_event_loop())
    with Accelerator(tmp_path / "bnn.bit", code) as device:
        core.hangs = works
        core.polls = 1 if works else 10**9
        assert np.array_equal(device.infer(images(5)), golden.infer(model, images(5)))
        assert waits == [True] and core.registers.status == 0
        assert device._backend.interrupts == works
    asyncio.get_event_loop().close()


def test_find_core() -> None:
    blocks = {
        "ps7_0": {"type": "xilinx.com:ip:processing_system7:5.5"},
        "accelerator_0": {"type": "user.org:module_ref:bnn_top:1.0", "phys_addr": 0x43C00000},
    }
    assert backend.find_core(blocks) == "accelerator_0"
    for wrong in ({}, {"ps7_0": {}}, {"bnn_0": {"phys_addr": 1}, "bnn_1": {"phys_addr": 2}}):
        with pytest.raises(HostError, match="expected one block named bnn, found"):
            backend.find_core(wrong)


@pytest.fixture
def files(core: FakeCore, code: Path, model: Model, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with model.npz and images.npz; the command's backend is the fake core."""
    monkeypatch.setattr(accelerator, "PynqBackend", lambda bitfile, board: core)
    monkeypatch.delenv("PYNQ_REMOTE_DEVICES", raising=False)
    save(model, code.parent / "model.npz")
    labels = golden.infer(model, images(23)).argmax(axis=1)
    labels[:3] = (labels[:3] + 1) % 3
    np.savez(code.parent / "images.npz", x=images(23), y=labels)
    return code.parent


def on_core(files: Path) -> list[str]:
    return ["--bit", "bnn.bit", "--program", str(files / "program.bin"), "--images", str(files / "images.npz")]


def test_command_on_accelerator(files: Path, core: FakeCore, capsys: pytest.CaptureFixture[str]) -> None:
    assert pynq_infer.main(on_core(files) + ["--model", str(files / "model.npz"), "--batch", "10"]) == 0
    text = capsys.readouterr().out
    assert "accuracy: 20/23" in text and "... 3 more" in text and text.count("  wrong") == 3
    assert "accelerator: 100000.0 images/s, 23000 cycles at 100 MHz, array busy 80.0 %" in text
    assert core.counts == [10, 10, 3]
    core.clock_hz = None
    assert pynq_infer.main(on_core(files)) == 0
    assert "23000 cycles, clock unknown" in capsys.readouterr().out


def test_command_on_processor(files: Path, model: Model, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--cpu", "--model", str(files / "model.npz"), "--json", "--limit", "5"]
    assert pynq_infer.main([*arguments, "--images", str(files / "images.npz")]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["correct"], result["images"], result["engine"]) == (2, 5, "cpu")
    assert result["predictions"] == golden.infer(model, images(5)).argmax(axis=1).tolist()
    np.save(files / "maps.npy", images(2)[..., 0])
    assert pynq_infer.main([*arguments, "--images", str(files / "maps.npy")]) == 0
    assert "accuracy" not in json.loads(capsys.readouterr().out)
    np.save(files / "none.npy", images(0))
    assert pynq_infer.main([*arguments, "--images", str(files / "none.npy")]) == 1
    assert capsys.readouterr().err.endswith("none.npy: images are (0, 9, 7, 1), expected at least one\n")


def test_command_errors(files: Path, core: FakeCore, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(files / "wide.npy", np.zeros((1, 3, 3, 1), np.uint8))
    np.save(files / "float.npy", np.zeros((1, 9, 7, 1)))
    np.savez(files / "short.npz", x=images(2), y=np.zeros(1, int))
    np.savez(files / "other.npz", z=images(2))
    (files / "text.npy").write_text("text\nmore\n")
    (files / "cut.npz").write_bytes((files / "images.npz").read_bytes()[:200])
    names = ("wide.npy", "float.npy", "short.npz", "other.npz", "text.npy", "cut.npz", "missing.npy")
    for engine in (on_core(files)[:4], ["--cpu", "--model", str(files / "model.npz")]):
        for name in names:
            assert pynq_infer.main([*engine, "--images", str(files / name)]) == 1, name
            streams = capsys.readouterr()
            assert not streams.out and streams.err.startswith("error: "), name
            assert streams.err.count("\n") == 1, name
    core.registers.id = 7
    assert pynq_infer.main(on_core(files)) == 1
    assert capsys.readouterr().err == "error: bnn.bit: core ID is 0x00000007, expected 0x314E4E42\n"


def test_script_from_anywhere_without_other_packages(files: Path) -> None:
    """Neither the driver nor the integer model needs more than numpy, and pynq only for a bitstream."""
    block = "import sys\nfor name in ('torch', 'jinja2', 'cocotb', 'pynq'): sys.modules[name] = None\n"
    done = subprocess.run(
        [sys.executable, "-c", block + "import host, host.pynq_infer, bnn.golden"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    script = str(ROOT / "host" / "pynq_infer.py")
    run = f"{block}import runpy\nsys.argv[0] = {script!r}\nrunpy.run_path({script!r}, run_name='__main__')"
    images_file = ["--images", str(files / "images.npz")]
    for command in (["-c", run], [script]):
        done = subprocess.run(
            [sys.executable, *command, "--cpu", "--model", "model.npz", *images_file],
            cwd=files,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0 and "accuracy: 20/23" in done.stdout, done.stderr
    (files / "bnn.bit").write_bytes(b"")
    (files / "bnn.hwh").write_bytes(b"")
    done = subprocess.run(
        [sys.executable, "-c", run, "--bit", "bnn.bit", "--program", "program.bin", *images_file],
        cwd=files,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: pynq cannot be imported") and done.stderr.count("\n") == 1
