"""The simulated board, through the real pynq package: services, bounds, bad days."""

from __future__ import annotations

import inspect
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pynq")

import grpc  # noqa: E402
from helpers.board import Station, next_host  # noqa: E402
from helpers.host import DESIGN, images, make_model  # noqa: E402
from helpers.programs import change  # noqa: E402
from pynq.remote import (  # noqa: E402
    buffer_pb2,
    buffer_pb2_grpc,
    mmio_pb2,
    mmio_pb2_grpc,
    remote_device_pb2,
    remote_device_pb2_grpc,
)

from bnn.contract import CONSTANT, CORE_ID, Error, Register, Registers  # noqa: E402
from bnn.model import load, save  # noqa: E402
from bnn.program import busy_cycles  # noqa: E402
from hls import designs, overlay, program, schedule  # noqa: E402
from host import Accelerator, HostError, accelerator, backend, pynq_infer  # noqa: E402
from sim import golden, rtl_sim  # noqa: E402
from sim.board import __main__ as command  # noqa: E402
from sim.board import core as cores  # noqa: E402
from sim.board import demo  # noqa: E402
from sim.board import rtl as board_rtl  # noqa: E402
from sim.board.core import FunctionalCore  # noqa: E402
from sim.board.machine import Machine  # noqa: E402
from sim.board.memory import CMA_BASE, Memory, MemoryLimit  # noqa: E402
from sim.board.rtl import RtlCore  # noqa: E402
from sim.board.server import PORT, Board, BoardError, Files, Server  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    made = Station(tmp_path, lease_s=600.0)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """A board for tests that leave it as it was."""
    made = Station(tmp_path_factory.mktemp("board"))
    made.server.board.load(overlay.bitfile(DESIGN))
    yield made
    made.close()


def expected(count: int, seed: int = 0) -> np.ndarray:
    return golden.infer(make_model(), images(count, seed))


# The core and what it computes


@pytest.mark.parametrize("name", ["pynq_z1", "sim_small"])
@pytest.mark.parametrize("batch", [1, 8])
def test_program_turns_back_into_its_network(name: str, batch: int) -> None:
    model, design = make_model(), designs.find(name)
    found = cores.decode(program.pack(schedule.plan(model, design, batch)))
    for ours, theirs in zip(model.layers, found.layers, strict=True):
        assert np.array_equal(ours.weights, theirs.weights) and ours.pool == theirs.pool and ours.pad == theirs.pad
        for field in ("thresholds", "flip", "scale", "offset"):
            assert np.array_equal(getattr(ours, field), getattr(theirs, field))
    assert np.array_equal(golden.infer(found, images(9)), expected(9))


@pytest.mark.parametrize("name", ["pynq_z1", "sim_small"])
@pytest.mark.parametrize("batch", [1, 8])
def test_a_program_gives_its_networks_scores(name: str, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, design = make_model(), designs.find(name)
    content = program.pack(schedule.plan(model, design, batch))
    assert np.array_equal(Machine(content, design.act_depth).run(images(9)), expected(9))
    monkeypatch.setattr("sim.board.machine.CHUNK_BYTES", 1)  # images one by one
    assert np.array_equal(Machine(content, design.act_depth).run(images(9)), expected(9))


def ready(station: Station) -> Any:
    """The core, its arguments set to a run of two images in the memory."""
    core, memory = station.core, station.memory
    core.reset()
    code = station.code.read_bytes()
    memory.content[CMA_BASE : CMA_BASE + len(code)] = code
    values = Registers(program=CMA_BASE, images=CMA_BASE + (1 << 20), scores=CMA_BASE + (2 << 20), image_count=2)
    for register in (Registers.program, Registers.images, Registers.scores, Registers.count):
        core.write(register.offset, values.words[register.word])
    return core


def begin(core: Any) -> None:
    """Start a run."""
    core.write(Registers.control.offset, Registers.start.mask)


def finish(core: Any) -> int:
    """Wait for the end of a run; gives the control register as it was read then."""
    for _ in range(2000):
        status = core.read(Registers.control.offset)
        if status & Registers.done.mask:
            return int(status)
        time.sleep(0.005)
    raise AssertionError("the run did not end")


def interrupts(core: Any) -> None:
    """A run raises the interrupt, which ends when its status is cleared."""
    control, status = Registers.control.offset, Registers.status.offset
    idle, done = Registers(idle=True), Registers(status_done=True)
    assert core.read(control) == idle.control and not core.interrupt
    core.write(Registers.global_enable.offset, Registers.interrupts.mask)
    core.write(Registers.enable.offset, Registers.enable_done.mask)
    begin(core)
    assert finish(core) == Registers(done=True, idle=True, ready=True).control
    assert core.read(control) == idle.control and core.interrupt and core.read(status) == done.status
    core.write(status, done.status)
    assert not core.interrupt


def test_registers_and_interrupt(shared: Station) -> None:
    core = ready(shared)
    interrupts(core)
    assert core.read(Registers.error.offset) == Error.NONE and core.read(Registers.busy.offset) > 0


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("magic", 1, Error.MAGIC),
        ("version", 9, Error.MAGIC),
        ("geometry", 1, Error.GEOMETRY),
        ("first_pe", 8, Error.GEOMETRY),
        ("layers", 99, Error.LAYERS),
        ("layers", 0, Error.LAYERS),
        ("batch", 0, Error.RANGE),
        ("first", 1 << 20, Error.RANGE),
    ],
)
def test_error_codes(shared: Station, field: str, value: int, code: Error) -> None:
    core = ready(shared)
    wrong = change(shared.code.read_bytes(), **{field: value})
    shared.memory.content[CMA_BASE : CMA_BASE + len(wrong)] = wrong
    begin(core)
    finish(core)
    assert core.read(Registers.error.offset) == code


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_defect_is_no_error_code(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_: Any) -> Any:
        raise IndexError("index 9 is out of bounds")

    with station.accelerator() as device:
        with monkeypatch.context() as patch:
            patch.setattr(cores.cpu, "infer", defect)
            with pytest.raises(
                HostError, match=r"the simulation ended \(IndexError: .* 9 .*\); load the bitstream again"
            ):
                device.infer(images(2))
        assert not station.core.running
        device.reload()
        assert np.array_equal(device.infer(images(2)), expected(2))


@pytest.mark.parametrize("register", [Registers.program, Registers.images, Registers.scores], ids=lambda it: it.name)
def test_addresses_beyond_the_memory(shared: Station, register: Register) -> None:
    core = ready(shared)
    core.write(register.offset + 4, 1)
    begin(core)
    finish(core)
    assert core.read(Registers.error.offset) == Error.RESPONSE


# The unmodified script and package


@pytest.mark.slow
def test_shipped_network_through_the_unmodified_script(tmp_path: Path) -> None:
    """What make board-demo does: board and script as processes, 64 CIFAR-10 images, every score."""
    host = next_host()
    sample = ROOT / "models" / "cifar10_sample.npz"
    server = demo.start(["--core", "functional", "--host", host, "-o", str(tmp_path)], 60)
    try:
        done = subprocess.run(
            [
                sys.executable,
                str(ROOT / "host" / "pynq_infer.py"),
                "--bit",
                str(tmp_path / "pynq_z1.bit"),
                "--program",
                str(ROOT / "models" / "cnv.npz"),
                "--images",
                str(sample),
                "--batch",
                "23",
                "--json",
            ],
            env={**os.environ, "PYNQ_REMOTE_DEVICES": host},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
    finally:
        server.terminate()
        assert server.wait(20) == 0
    result = json.loads(done.stdout)
    with np.load(sample) as content:
        expected = golden.infer(load(ROOT / "models" / "cnv.npz"), content["x"])
        right = int((expected.argmax(1) == content["y"]).sum())
    assert result["scores"] == expected.tolist()
    assert (result["correct"], result["images"], result["runs"]) == (right, 64, 3)


def test_pynq_alone(station: Station) -> None:
    """A user's own script: overlay, register map, allocate; no file of this project on the client's side."""
    script = f"""
import numpy, pynq, warnings
overlay = pynq.Overlay({str(station.bit)!r})
core = overlay.core
assert core.register_map.id.id == 0x314E4E42 and core.register_map.geometry.SIMD == {DESIGN.simd}
with pynq.allocate((3, 5), 'u4') as buffer:
    buffer[:] = numpy.arange(15).reshape(3, 5)
    buffer.flush()
    buffer[:] = 0
    buffer.invalidate()
    assert (buffer.ravel() == numpy.arange(15)).all() and buffer.device_address % 8 == 0
with pynq.allocate((5 << 20,), 'u1') as buffer:  # more than one message
    buffer[:] = wanted = numpy.random.default_rng(1).integers(0, 256, 5 << 20, 'u1')
    buffer.flush()
    buffer[:] = 0
    buffer.invalidate()
    assert (numpy.asarray(buffer) == wanted).all()
assert pynq.Clocks.fclk0_mhz == {DESIGN.clock_mhz}
print('fine')
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYNQ_REMOTE_DEVICES": station.host},
        cwd=station.bit.parent,
    )
    assert done.stdout == "fine\n", done.stderr


@pytest.mark.parametrize("count", [0, 1, 13])
def test_scores(station: Station, count: int) -> None:
    with station.accelerator() as device:
        scores = device.infer(images(count), batch=5)
        assert [run["images"] for run in device.runs] == [5] * (count // 5) + [count % 5] * (count % 5 > 0)
        assert device.clock_hz == 100e6
    assert np.array_equal(scores, expected(count)) and scores.shape == (count, 3)
    assert station.memory.used == (0, 0)


@pytest.mark.slow
def test_many_batches_back_to_back(station: Station) -> None:
    """The same scores every time, and no growth of memory on either side."""
    with station.accelerator() as device:
        parts = (images(3, number % 7) for number in range(1000))
        wanted = [expected(3, number) for number in range(7)]
        used: set[Any] = set()
        resident: list[int] = []
        for number, scores in enumerate(device.stream(parts)):
            assert np.array_equal(scores, wanted[number % 7]), number
            if number > 2:
                used.add((station.memory.used, len(station.memory._seen), len(station.memory._freed)))
            if number in (99, 999):
                resident.append(int(Path("/proc/self/statm").read_text().split()[1]))
        assert number == 999 and len(used) == 1
        grown = (resident[1] - resident[0]) * os.sysconf("SC_PAGESIZE")
        assert grown < 8 << 20, f"{grown} bytes more after 1,000 batches than after 100"
    assert not accelerator._abandoned


# The bitstream


def refusal(station: Station, bit: Path) -> str:
    with pytest.raises(HostError) as caught:
        Accelerator(bit, station.code, board=station.host)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_bitstreams_that_are_refused(station: Station, tmp_path: Path) -> None:
    other = overlay.write(designs.find("pynq_z1"), tmp_path)
    large = designs.find("pynq_z1")
    assert (
        f"bitstream of design pynq_z1 (PE {large.pe}, SIMD {large.simd}, LANES {large.lanes}), this board "
        "simulates sim_small (PE 8, SIMD 32, LANES 4)"
    ) in refusal(station, other)
    real = tmp_path / "real.bit"
    shutil.copy(station.bit.with_suffix(".hwh"), real.with_suffix(".hwh"))
    content = overlay.bitfile(DESIGN)
    at = content.index(b"e\0\0") + 5
    for payload, message in (
        (b"\xff" * 32 + bytes.fromhex("AA995566") + bytes(64), "a bitstream for a real device; this is a simulated"),
        (bytes(64), "64 bytes that are no overlay"),
        (overlay.MAGIC + b"{]\n" + bytes(2), "a damaged overlay"),
    ):
        padded = payload + bytes(-len(payload) % 4)
        real.write_bytes(content[: at - 4] + len(padded).to_bytes(4, "big") + padded)
        assert message in refusal(station, real)
    real.write_bytes(b"no bitstream")
    assert "cannot be loaded" in refusal(station, real)
    with station.accelerator() as device:
        assert np.array_equal(device.infer(images(2)), expected(2))


def test_nothing_answers_before_a_bitstream_is_loaded(station: Station) -> None:
    stub = mmio_pb2_grpc.MmioStub(station.channel)
    window = stub.get_mmio(mmio_pb2.GetMmioRequest(base_addr=0x43C00000, length=0x10000))
    answer = stub.read(mmio_pb2.ReadRequest(mmio_id=window.mmio_id, offset=Registers.id.offset, length=4))
    assert answer.msg == "no bitstream is loaded"


def test_wrong_program(station: Station, tmp_path: Path) -> None:
    other = tmp_path / "other.bin"
    other.write_bytes(program.pack(schedule.plan(station.model, designs.find("pynq_z1"), 8)))
    with pytest.raises(HostError, match=r"is for PE \d+, SIMD 64, LANES 8, .*sim_small.bit has PE 8, SIMD 32, LANES 4"):
        Accelerator(station.bit, other, board=station.host)
    other.write_bytes(change(station.code.read_bytes(), version=0))
    with pytest.raises(HostError, match="version is 0, expected 1"):
        Accelerator(station.bit, other, board=station.host)
    assert station.memory.used == (0, 0)


def test_model_is_packed_first(station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(station.model, tmp_path / "net.npz")
    with Accelerator(station.bit, tmp_path / "net.npz", board=station.host) as device:
        assert np.array_equal(device.infer(images(3)), expected(3))
    shutil.copy(station.bit, tmp_path / "none.bit")
    with pytest.raises(HostError, match="net.npz: cannot be packed: design 'none' is not one of"):
        Accelerator(tmp_path / "none.bit", tmp_path / "net.npz", board=station.host)
    monkeypatch.setattr(accelerator, "ROOT", tmp_path)
    with pytest.raises(HostError, match="there is no planner here; pack it with bnn plan net.npz --design sim_sm"):
        Accelerator(station.bit, tmp_path / "net.npz", board=station.host)


def test_handoff_as_vivado_writes_it(station: Station) -> None:
    """pynq 4.0 finds no frequency of the clock in it, and cannot load it by itself; the driver helps."""
    hwh = station.bit.with_suffix(".hwh")
    lines = hwh.read_text().splitlines(keepends=True)
    kept = [text for text in lines if "PSU__CRL_APB" not in text]
    assert len(kept) == len(lines) - 1
    hwh.write_text("".join(kept))
    with station.accelerator() as device:
        assert np.array_equal(device.infer(images(2)), expected(2)) and device.clock_hz == 100e6


def test_a_handoff_that_was_wrong_is_read_again(station: Station) -> None:
    """pynq keeps the metadata of a bitstream that it has seen, by the .bit alone."""
    hwh = station.bit.with_suffix(".hwh")
    right = hwh.read_text()
    hwh.write_text(
        right.replace('MODTYPE="bnn_top" VLNV="bnn:hls:bnn_top:1.0"', 'MODTYPE="fir" VLNV="acme:hls:fir:1.0"')
    )
    assert hwh.read_text() != right
    assert "expected one block named bnn, found 0" in refusal(station, station.bit)
    hwh.write_text(right)
    with station.accelerator() as device:
        assert np.array_equal(device.infer(images(2)), expected(2))


# Files and memory


def test_files_stay_in_memory(shared: Station, tmp_path: Path) -> None:
    stub = remote_device_pb2_grpc.RemoteDeviceStub(shared.channel)

    def write(path: str, *parts: bytes) -> None:
        stub.writefile(iter([remote_device_pb2.WriteFileRequest(file_path=path, data=part) for part in parts]))

    def read(path: str) -> bytes:
        return b"".join(part.data for part in stub.readfile(remote_device_pb2.ReadFileRequest(file_path=path)))

    write(str(tmp_path / "made"), b"one", b"two")
    assert read(str(tmp_path / "made")) == b"onetwo" and not (tmp_path / "made").exists()
    write("/lib/../etc/passwd", b"")
    assert read("/etc/passwd") == b""
    for path in (str(Path(__file__)), "/etc/hostname"):
        with pytest.raises(grpc.RpcError, match="no such file on the simulated board"):
            read(path)
    assert stub.existsfile(remote_device_pb2.ExistsFileRequest(file_path="/proc")).exists
    assert not stub.existsfile(remote_device_pb2.ExistsFileRequest(file_path="/usr")).exists
    for bad in ("relative", "/" + "x" * 300, "/"):
        with pytest.raises(grpc.RpcError, match="expected an absolute path"):
            write(bad, b"x")


def test_files_are_bounded() -> None:
    files = Files()
    with pytest.raises(BoardError, match="full"):
        files.write("/big", bytes(64 << 20))
    with pytest.raises(BoardError, match="full"):
        for number in range(1000):
            files.write(f"/{number}", b"")


def test_memory_is_bounded() -> None:
    memory = Memory(client_bytes=3 << 20, client_buffers=3, cma_bytes=4 << 20)
    for size, message in ((0, "expected 1 to"), (5 << 20, "expected 1 to"), (4 << 20, "holds 0 of 3145728 already")):
        with pytest.raises(MemoryLimit, match=message):
            memory.allocate("a", size)
    names = [memory.allocate("a", 1 << 20) for _ in range(3)]
    with pytest.raises(MemoryLimit, match="holds 3145728 of 3145728 already"):
        memory.allocate("a", 1)
    with pytest.raises(MemoryLimit, match=f"2097152 bytes: {3 << 20} of {4 << 20} are in use"):
        memory.allocate("b", 2 << 20)
    memory.free(names[1])
    with pytest.raises(MemoryLimit, match="unknown or was freed"):
        memory.free(names[1])
    small = [memory.allocate("a", 1)]
    with pytest.raises(MemoryLimit, match="3 buffers, the most"):
        memory.allocate("a", 1)
    spans = sorted(
        (item.address, item.size) for item in (memory.find(name, "a") for name in [names[0], names[2], *small])
    )
    assert all(at % 8 == 0 and at + size <= after for (at, size), (after, _) in itertools.pairwise(spans))
    memory.close()


def test_memory_of_clients_that_vanished_is_taken_back() -> None:
    memory = Memory(cma_bytes=2 << 20, client_bytes=2 << 20, lease_s=0.05)
    memory.touch("gone")
    memory.allocate("gone", 2 << 20)
    with pytest.raises(MemoryLimit, match="in use"):
        memory.allocate("new", 1 << 20)
    time.sleep(0.06)
    memory.touch("new")
    memory.allocate("new", 1 << 20)
    assert memory.used == (1, 1 << 20)
    memory.close()


def test_memory_in_use_by_a_run_is_not_given_away() -> None:
    memory = Memory()
    memory.in_use = lambda: True
    first = memory.allocate("a", 4096)
    at = memory.find(first, "a").address
    memory.free(first)
    assert memory.find(memory.allocate("a", 4096), "a").address != at
    memory.in_use = lambda: False
    assert memory.find(memory.allocate("a", 4096), "a").address == at
    memory.close()


def test_hostile_requests(shared: Station) -> None:
    mmio, buffers = mmio_pb2_grpc.MmioStub(shared.channel), buffer_pb2_grpc.RemoteBufferStub(shared.channel)
    for base, length in ((0, 4096), (0x43C00000, 0x20000), (0x43C00000, 0), (0xF8000000, 1 << 30)):
        assert "nothing answers there" in mmio.get_mmio(mmio_pb2.GetMmioRequest(base_addr=base, length=length)).msg
    window = mmio.get_mmio(mmio_pb2.GetMmioRequest(base_addr=0x43C00000, length=0x100)).mmio_id
    for name, offset in ((window, 0x100), (window, 0xFFFFFFFC), (window, 2), ("", 0), ("x:y", 0), ("0:ffffffff", 0)):
        assert mmio.read(mmio_pb2.ReadRequest(mmio_id=name, offset=offset, length=4)).msg
        assert mmio.write(mmio_pb2.WriteRequest(mmio_id=name, offset=offset, data=bytes(4))).msg
    name = buffers.allocate(buffer_pb2.AllocateRequest(size=16)).buffer_id
    assert buffers.write(iter([buffer_pb2.BufferWriteRequest(buffer_id=name, data=bytes(17))])).msg
    assert buffers.write(iter([buffer_pb2.BufferWriteRequest(buffer_id=name, start=16, data=b"x")])).msg
    for start, end in ((0, 17), (9, 3), (17, 17)):
        with pytest.raises(grpc.RpcError, match="of a buffer of 16"):
            list(buffers.read(buffer_pb2.BufferReadRequest(buffer_id=name, start=start, end=end)))
    assert buffers.physical_address(buffer_pb2.AddressRequest(buffer_id="other")).msg
    assert not buffers.freebuffer(buffer_pb2.FreeBufferRequest(buffer_id=name)).msg
    assert buffers.freebuffer(buffer_pb2.FreeBufferRequest(buffer_id=name)).msg
    for size in (0, -1, 0x7FFFFFFF):
        with pytest.raises(grpc.RpcError, match="cannot be allocated"):
            buffers.allocate(buffer_pb2.AllocateRequest(size=size))


def test_out_of_contiguous_memory(tmp_path: Path) -> None:
    station = Station(tmp_path, client_bytes=1 << 20)
    try:
        with station.accelerator() as device:
            with pytest.raises(
                HostError,
                match=r"contiguous memory cannot be allocated \(resource exhausted: .*"
                r"this client holds \d+ of 1048576 already\); use smaller batches",
            ):
                device.infer(images(20000), batch=20000)
            assert np.array_equal(device.infer(images(3)), expected(3))
    finally:
        station.close()


# Bad days


def test_no_end_of_a_run(station: Station) -> None:
    with station.accelerator(timeout_s=0.3) as device:
        station.core.hangs = True
        began = time.monotonic()
        with pytest.raises(HostError, match="no result for 2 images after 0.3 s"):
            device.infer(images(2))
        assert time.monotonic() - began < 10
        with pytest.raises(HostError, match="still works on an earlier run; load the bitstream again"):
            device.infer(images(2))
        station.core.hangs = False
        device.reload()
        assert np.array_equal(device.infer(images(3)), expected(3))
    assert station.memory.used == (0, 0)


def test_error_code_and_slow_board(station: Station) -> None:
    with station.accelerator() as device:
        station.core.code = 4
        with pytest.raises(HostError, match="the core reports error 4: AXI error response"):
            device.infer(images(9), batch=2)
        station.core.code, station.core.delay_s = 0, 0.2
        assert np.array_equal(device.infer(images(7), batch=4), expected(7))
        assert all(run["run"] >= 0.2 for run in device.runs)


def test_second_client_loads_its_bitstream_meanwhile(station: Station) -> None:
    with station.accelerator() as device:
        station.core.delay_s = 1.0
        timer = threading.Timer(0.3, lambda: station.server.board.load(overlay.bitfile(DESIGN)))
        timer.start()
        with pytest.raises(HostError, match="the core was reset while it worked on 2 images"):
            device.infer(images(2))
        timer.join()


def test_bad_images_in_the_middle_leave_the_core_usable(station: Station) -> None:
    with station.accelerator() as device:
        with pytest.raises(HostError, match=r"images are float64 \(2, 9, 7, 1\)"):
            list(device.stream([images(2), np.full((2, 9, 7, 1), np.nan)]))
        assert np.array_equal(device.infer(images(3)), expected(3))


def test_one_thread_at_a_time(station: Station) -> None:
    with station.accelerator() as device:
        station.core.delay_s = 0.5
        outcome: list[Any] = []
        thread = threading.Thread(target=lambda: outcome.append(device.infer(images(2))))
        thread.start()
        time.sleep(0.2)
        with pytest.raises(HostError, match="in use by another thread"):
            device.infer(images(2))
        thread.join()
        assert np.array_equal(outcome[0], expected(2))


@pytest.mark.slow
def test_client_that_vanishes_in_a_run(station: Station) -> None:
    station.core.delay_s = 30.0
    script = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
from host import Accelerator
from helpers.host import images
device = Accelerator({str(station.bit)!r}, {str(station.code)!r}, 60, board={station.host!r})
print('running', flush=True)
device.infer(images(4))
"""
    client = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None and client.stdout.readline() == "running\n"
    until = time.monotonic() + 20
    while not station.core.running and time.monotonic() < until:
        time.sleep(0.01)
    assert station.core.running and station.memory.used[0] == 3
    client.kill()
    client.wait()
    station.core.delay_s = 0.0
    with station.accelerator() as device:
        assert np.array_equal(device.infer(images(5)), expected(5))


@pytest.mark.slow
def test_board_that_cannot_be_reached(station: Station, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nobody = next_host()
    np.save(tmp_path / "x.npy", images(2))
    arguments = [*station.arguments()[:4], "--images", str(tmp_path / "x.npy")]
    assert pynq_infer.main([*arguments, "--boards", nobody]) == 1
    assert capsys.readouterr().err == f"error: {nobody}: cannot be reached: Failed to connect to remote device\n"
    assert pynq_infer.main([*arguments, "--boards", f"{nobody}:x"]) == 1
    assert "expected HOST or HOST:PORT" in capsys.readouterr().err


def test_board_that_goes_away_in_a_run(station: Station, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "x.npy", images(4))
    station.core.delay_s = 20.0

    def leave() -> None:
        while not station.core.running:
            time.sleep(0.01)
        station.server.close()

    thread = threading.Thread(target=leave)
    thread.start()
    assert pynq_infer.main([*station.arguments(), "--images", str(tmp_path / "x.npy")]) == 1
    thread.join()
    error = capsys.readouterr().err
    # the answer to the write that starts the run may be lost, too
    assert (
        error.startswith(
            (
                f"error: {station.host}: reading a register failed: ",
                f"error: {station.host}: writing a register failed: ",
            )
        )
        and error.count("\n") == 1
    )


def test_board_that_is_started_anew(station: Station, tmp_path: Path) -> None:
    with station.accelerator() as device:
        assert np.array_equal(device.infer(images(2)), expected(2))
        station.server.close()
        with pytest.raises(HostError):
            device.infer(images(2))
        memory = Memory()
        station.server = Server(Board(DESIGN, FunctionalCore(DESIGN, memory), memory), station.host)
        device.reload()
        assert np.array_equal(device.infer(images(3)), expected(3))


@pytest.mark.slow
def test_board_that_no_longer_answers(tmp_path: Path) -> None:
    """A stopped process keeps its connections open: only the deadline of the host ends a call."""
    host = next_host()
    server = demo.start(["--core", "functional", "--host", host, "--design", "sim_small", "-o", str(tmp_path)], 60)
    try:
        code = tmp_path / "program.bin"
        code.write_bytes(program.pack(schedule.plan(make_model(), DESIGN, 8)))
        reached = backend.PynqBackend(tmp_path / "sim_small.bit", host, timeout_s=1.0)
        with Accelerator(tmp_path / "sim_small.bit", code, backend=reached) as device:
            assert np.array_equal(device.infer(images(3)), expected(3))
            os.kill(server.pid, signal.SIGSTOP)
            with pytest.raises(HostError, match="failed: deadline exceeded"):
                device.infer(images(3))
            os.kill(server.pid, signal.SIGCONT)
            device.reload()
            assert np.array_equal(device.infer(images(3)), expected(3))
    finally:
        os.kill(server.pid, signal.SIGCONT)
        server.terminate()
        server.wait(20)


def test_loading_has_a_limit() -> None:
    with pytest.raises(HostError, match="x: no answer within 0.05 s"):
        backend.within(0.05, "x", lambda: time.sleep(1))


# The Verilated core


@pytest.fixture(scope="module")
def rtl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    if rtl_sim.find_verilator() is None or shutil.which("g++") is None:
        pytest.skip("verilator or g++ is not installed")
    folder = tmp_path_factory.mktemp("rtl")
    made = Station(folder)
    made.server.close()
    where = "-".join(f"{value}" for value in astuple(DESIGN)[2:-1])
    core: Any = RtlCore(DESIGN, made.memory, ROOT / "build" / "test" / where)
    made.core, made.host = core, next_host()
    made.server = Server(Board(DESIGN, core, made.memory), made.host)
    yield made
    made.close()


def test_rtl_scores(rtl: Station) -> None:
    with rtl.accelerator(60) as device:
        scores = device.infer(images(13), batch=5)
        code = rtl.code.read_bytes()
        assert device.busy_cycles == busy_cycles(code, 5) * 2 + busy_cycles(code, 3)
        assert device.cycles > device.busy_cycles
        first, second, _ = (run["cycles"] for run in device.runs)
        assert device.program.resident and second < first, "the program stays in the core"
    assert np.array_equal(scores, expected(13))
    time.sleep(0.2)
    assert not rtl.core.running


def test_rtl_registers_and_interrupt(rtl: Station) -> None:
    core = ready(rtl)
    for register in CONSTANT:
        assert core.read(register.offset) == DESIGN.registers().words[register.word], register.name
    interrupts(core)
    core.write(Registers.program.offset + 4, 1)
    begin(core)
    finish(core)
    assert core.read(Registers.error.offset) == Error.RESPONSE, "an address beyond the memory"


def test_rtl_simulation_that_is_killed(rtl: Station) -> None:
    with rtl.accelerator(60) as device:
        core: Any = rtl.core

        def kill() -> None:
            while not core.running:
                time.sleep(0.001)
            os.kill(core.pid, signal.SIGKILL)

        thread = threading.Thread(target=kill)
        thread.start()
        with pytest.raises(HostError, match=r"the simulation ended \(signal 9\); load the bitstream again"):
            device.infer(images(200), batch=100)
        thread.join()
        with pytest.raises(HostError, match="the simulation ended"):
            device.infer(images(2))
        device.reload()
        assert np.array_equal(device.infer(images(3)), expected(3))


def test_rtl_simulation_that_is_stopped(rtl: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    core: Any = rtl.core
    monkeypatch.setattr(board_rtl, "ANSWER_S", 0.2)
    os.kill(core.pid, signal.SIGSTOP)
    with pytest.raises(cores.CoreError, match="gave no answer within 0.2 s"):
        core.read(Registers.id.offset)
    core.reset()
    assert core.read(Registers.id.offset) == CORE_ID


# The command


def test_command_errors(capsys: pytest.CaptureFixture[str], tmp_path: Path, shared: Station) -> None:
    assert command.main(["--design", "none", "--core", "functional"]) == 1
    assert capsys.readouterr().err.startswith("error: design 'none'")
    arguments = ["--core", "functional", "--design", "sim_small", "-o", str(tmp_path)]
    assert command.main([*arguments, "--host", shared.host]) == 1
    assert capsys.readouterr().err == (
        f"error: {shared.host}:{PORT}: cannot be listened on, another server may use it\n"
    )


def test_demo_errors(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert demo.main([str(tmp_path / "none.npz")]) == 1
    assert "none.npz" in capfd.readouterr().err
    with pytest.raises(demo.DemoError, match="design 'none' is not one of"):
        demo.start(["--design", "none", "--core", "functional"], 60)


@pytest.mark.slow
def test_demo_for_programs(capfd: pytest.CaptureFixture[str]) -> None:
    """One object, and nothing else of board, planner and script on the standard output, nor a warning of a package."""
    arguments = ["--core", "functional", "--design", "sim_small", "--host", next_host(), "--limit", "8", "--json"]
    assert demo.main(arguments) == 0
    printed = capfd.readouterr()
    result = json.loads(printed.out)
    assert (result["design"], result["images"], len(result["scores"])) == ("sim_small", 8, 8)
    assert result["remarks"] == ["validated: 80 scores of 8 images equal to the golden model's"]
    assert printed.err == ""


def test_listens_on_loopback_only_unless_told() -> None:
    assert inspect.signature(Server.__init__).parameters["host"].default == "127.0.0.1"
