"""The servers under garbage, floods, slow and killed clients: what they hold is bounded, and others are answered."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pynq")

import grpc  # noqa: E402
from helpers.board import Station, next_host  # noqa: E402
from helpers.host import DESIGN, images, make_model  # noqa: E402
from helpers.page import MODEL, serving  # noqa: E402
from pynq.remote import buffer_pb2, buffer_pb2_grpc, mmio_pb2, mmio_pb2_grpc  # noqa: E402
from pynq.remote import remote_device_pb2 as device_pb2  # noqa: E402
from pynq.remote import remote_device_pb2_grpc as device_pb2_grpc  # noqa: E402

from bnn import golden  # noqa: E402
from hls import program, schedule  # noqa: E402
from host import Accelerator, HostError, web  # noqa: E402
from host.classifier import Choice, Classifier  # noqa: E402
from host.server import Server as PageServer  # noqa: E402
from sim.board import demo  # noqa: E402
from sim.board import server as boards  # noqa: E402
from sim.board.server import PORT, BoardError, Incoming  # noqa: E402


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    made = Station(tmp_path, cma_bytes=4 << 20, client_bytes=4 << 20, gone_s=0.0)
    yield made
    made.close()


def buffers(station: Station) -> Any:
    return buffer_pb2_grpc.RemoteBufferStub(station.channel)


def reset(connection: socket.socket) -> None:
    """Close as the kernel does for a process that is killed with bytes unread."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


HOLDER = """
import sys, grpc
from pynq.remote import buffer_pb2, buffer_pb2_grpc
stub = buffer_pb2_grpc.RemoteBufferStub(grpc.insecure_channel(sys.argv[1]))
stub.allocate(buffer_pb2.AllocateRequest(size=3 << 20))
print("held", flush=True)
sys.stdin.read()
"""


def eventually(call: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The first result that is true."""
    until = time.monotonic() + seconds
    while True:
        found = call()
        if found or time.monotonic() > until:
            return found
        time.sleep(0.02)


def test_a_killed_clients_memory_is_taken_back(station: Station) -> None:
    """While it lives, and is silent, it is not; its lease would be ten minutes."""
    where = f"{station.host}:{PORT}"
    client = subprocess.Popen([sys.executable, "-c", HOLDER, where], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert client.stdout is not None and client.stdout.readline() == b"held\n"
        wanted = buffer_pb2.AllocateRequest(size=2 << 20)
        with pytest.raises(grpc.RpcError, match="3145728 of 4194304 are in use"):
            buffers(station).allocate(wanted)
    finally:
        client.kill()
        client.wait()

    def allocate() -> bool:
        try:
            return bool(buffers(station).allocate(wanted).buffer_id)
        except grpc.RpcError:
            return False

    assert eventually(allocate), "the kernel closes the connection"
    assert station.memory.used == (1, 2 << 20)


def test_a_client_that_connects_again_keeps_its_memory(station: Station) -> None:
    name = buffers(station).allocate(buffer_pb2.AllocateRequest(size=3 << 20)).buffer_id
    station.channel.close()
    station._channel = None
    assert not buffers(station).flush(buffer_pb2.FlushRequest(buffer_id=name)).msg
    with grpc.insecure_channel(f"{station.host}:{PORT}", [("grpc.use_local_subchannel_pool", 1)]) as other:
        with pytest.raises(grpc.RpcError, match="are in use"):
            buffer_pb2_grpc.RemoteBufferStub(other).allocate(buffer_pb2.AllocateRequest(size=2 << 20))
    assert station.memory.used == (1, 3 << 20)


def test_garbage_and_half_open_connections(station: Station) -> None:
    """Connections that say nothing, or no HTTP/2, and are left open or torn down; calls are answered meanwhile."""
    rng = np.random.default_rng(1)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    opened = []
    for number in range(100):
        connection = socket.create_connection((station.host, PORT), 10)
        start = (b"", b"GET / HTTP/1.1\r\n\r\n", preface, preface + b"\xff" * 20)[number % 4]
        connection.sendall(start + rng.bytes(int(rng.integers(0, 3000))) * (number % 3))
        if number % 2:
            opened.append(connection)
        else:
            reset(connection)
    with station.accelerator() as device:
        assert np.array_equal(device.infer(images(5)), golden.infer(make_model(), images(5)))
    for connection in opened:
        connection.close()
    assert station.memory.used == (0, 0)


def test_a_connection_must_begin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(boards, "HANDSHAKE_S", 1)
    station = Station(tmp_path)
    try:
        with socket.create_connection((station.host, PORT), 30) as connection:
            assert b"".join(iter(lambda: connection.recv(1 << 16), b"")) is not None, "it is closed"
    finally:
        station.close()


def test_slow_streams_end(monkeypatch: pytest.MonkeyPatch, station: Station, capfd: pytest.CaptureFixture[str]) -> None:
    """More than there are threads for, each a byte now and then, or reading nothing; the next call is answered."""
    monkeypatch.setattr(boards, "STREAM_S", 1.0)
    over = threading.Event()

    def drip() -> Iterator[Any]:
        while not over.is_set():
            yield device_pb2.WriteFileRequest(file_path="/slow", data=b"x")
            over.wait(0.2)

    stub = device_pb2_grpc.RemoteDeviceStub(station.channel)
    calls = [stub.writefile.future(drip()) for _ in range(boards.THREADS + 3)]
    assert stub.existsfile(device_pb2.ExistsFileRequest(file_path="/proc"), timeout=60).exists
    assert {call.exception(60).code() for call in calls} <= {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN}
    over.set()
    assert not station.server.board.files.exists("/slow")
    assert "Traceback" not in capfd.readouterr().err


def test_bytes_of_files_under_way_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "TREE_BYTES", 10)
    monkeypatch.setattr(boards, "INCOMING_BYTES", 15)
    incoming = Incoming()
    first = iter([b"1234", b"5678", b"9"])

    def nested() -> Iterator[bytes]:
        yield b"abcdefgh"
        assert incoming.receive(iter([b"1234567"])) == b"1234567"
        with pytest.raises(BoardError, match="8 bytes of other files are under way, try again"):
            incoming.receive(iter([b"12345678"]))
        yield b"i"

    assert incoming.receive(nested()) == b"abcdefghi"
    assert incoming.receive(first) == b"123456789"
    with pytest.raises(BoardError, match="more than 10 bytes"):
        incoming.receive(iter([b"12345678", b"123"]))
    assert incoming._bytes == 0


def test_a_message_has_a_limit(station: Station) -> None:
    name = buffers(station).allocate(buffer_pb2.AllocateRequest(size=4 << 20)).buffer_id
    request = buffer_pb2.BufferWriteRequest(buffer_id=name, data=bytes(3 << 20))
    with pytest.raises(grpc.RpcError, match="Received message larger than max"):
        buffers(station).write(iter([request]))


def test_a_hundred_clients_of_a_board(station: Station) -> None:
    """Each with a connection of its own: memory, what they write there, registers."""
    wrong: list[Any] = []

    def client(number: int) -> None:
        try:
            options = [("grpc.use_local_subchannel_pool", 1)]
            with grpc.insecure_channel(f"{station.host}:{PORT}", options) as channel:
                stub, content = buffer_pb2_grpc.RemoteBufferStub(channel), bytes([number]) * 4096
                name = stub.allocate(buffer_pb2.AllocateRequest(size=4096), timeout=60).buffer_id
                stub.write(iter([buffer_pb2.BufferWriteRequest(buffer_id=name, data=content)]), timeout=60)
                got = b"".join(part.data for part in stub.read(buffer_pb2.BufferReadRequest(buffer_id=name)))
                window = mmio_pb2_grpc.MmioStub(channel).get_mmio(
                    mmio_pb2.GetMmioRequest(base_addr=0xF8000000, length=4096)
                )
                stub.freebuffer(buffer_pb2.FreeBufferRequest(buffer_id=name))
                if got != content or not window.status:
                    wrong.append(number)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and station.memory.used == (0, 0)


# The page


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    choices = [Choice(MODEL, images(3, 5))]
    options = Namespace(cpu=True, boards="", program=None, model=[None])
    classifier = Classifier(choices, web.makers(options, choices))
    with serving(PageServer(classifier)) as number:
        yield number
    classifier.close()


def post(port: int, body: bytes) -> bytes:
    """The answer to a picture, sent again where the server says that it is busy."""
    head = f"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    while True:
        with socket.create_connection(("127.0.0.1", port), 120) as connection:
            try:
                connection.sendall(head + body)
                answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
            except ConnectionError:  # refused with the body unread
                continue
        if answer and b" 503 " not in answer.partition(b"\r\n")[0]:
            return answer


def test_a_hundred_clients_of_the_page(port: int) -> None:
    wanted = golden.infer(MODEL, images(100))
    answers: dict[int, bytes] = {}

    def client(number: int) -> None:
        answers[number] = post(port, images(100)[number].tobytes())

    threads = [threading.Thread(target=client, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, answer in answers.items():
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["scores"] == wanted[number].tolist()
    assert len(answers) == 100


@pytest.mark.parametrize("kill", [reset, socket.socket.close], ids=["reset", "closed"])
def test_clients_of_the_page_that_are_killed(port: int, kill: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """After every few bytes of a request, and with an answer unread; all threads are free again."""
    body = images(1).tobytes()
    head = f"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    request = head + body
    for count in (*range(0, len(request), 7), len(request)):
        connection = socket.create_connection(("127.0.0.1", port), 60)
        connection.sendall(request[:count])
        kill(connection)
    assert (
        json.loads(post(port, body).partition(b"\r\n\r\n")[2])["scores"] == golden.infer(MODEL, images(1))[0].tolist()
    )
    assert eventually(lambda: not [t for t in threading.enumerate() if "process_request_thread" in t.name])
    assert "Traceback" not in capfd.readouterr().err


# A soak


def figures(pid: int) -> tuple[int, int, int]:
    """Resident bytes, threads and open files of a process."""
    folder = Path(f"/proc/{pid}")
    resident = int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    return resident, len(list((folder / "task").iterdir())), len(list((folder / "fd").iterdir()))


@pytest.mark.slow
def test_a_thousand_jobs_among_faults(tmp_path: Path) -> None:
    """A board in a process of its own, and beside its jobs what a network of strangers does; no score is wrong."""
    host = next_host()
    rng = np.random.default_rng(2)
    model = make_model()
    code = tmp_path / "program.bin"
    code.write_bytes(program.pack(schedule.plan(model, DESIGN, 8)))
    given = images(64)
    wanted = golden.infer(model, given)
    server = demo.start(["--core", "functional", "--host", host, "--design", "sim_small", "-o", str(tmp_path)], 120)
    bit, where = tmp_path / "sim_small.bit", f"{host}:{PORT}"
    opened: list[socket.socket] = []

    def connect() -> socket.socket:
        return socket.create_connection((host, PORT), 60)

    def garbage() -> None:
        connection = connect()
        connection.sendall(rng.bytes(int(rng.integers(1, 5000))))
        reset(connection)

    def half_open() -> None:
        opened.append(connect())
        if len(opened) > 20:
            opened.pop(0).close()

    def leaves_memory() -> None:
        with grpc.insecure_channel(where, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub = buffer_pb2_grpc.RemoteBufferStub(channel)
            stub.allocate(buffer_pb2.AllocateRequest(size=48 << 20), timeout=60)

    def leaves_a_file() -> None:
        with grpc.insecure_channel(where, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            part = device_pb2.WriteFileRequest(file_path="/half", data=bytes(1 << 20))
            stub, over = device_pb2_grpc.RemoteDeviceStub(channel), threading.Event()
            stub.writefile.future(part for _ in range(3) if not over.wait(0.01))

    def another_program() -> None:
        with Accelerator(bit, code, 60, board=host) as other:
            assert np.array_equal(other.infer(given[:3]), wanted[:3])

    def pause() -> None:
        os.kill(server.pid, signal.SIGSTOP)
        threading.Timer(0.05, os.kill, (server.pid, signal.SIGCONT)).start()

    faults = [garbage, half_open, leaves_memory, leaves_a_file, another_program, pause]
    met: dict[str, int] = {}
    device: Accelerator | None = None
    done, failed, before = 0, 0, (0, 0, 0)
    try:
        while done < 1000:
            if rng.random() < 0.15:
                fault = faults[int(rng.integers(len(faults)))]
                try:
                    fault()
                except grpc.RpcError as error:  # memory is used up until what was left is taken back
                    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, error
                met[fault.__name__] = met.get(fault.__name__, 0) + 1
            start = int(rng.integers(0, 60))
            try:
                if device is None:
                    device = Accelerator(bit, code, 60, board=host)
                scores = device.infer(given[start : start + 4], batch=2)
            except HostError:
                failed += 1
                assert failed < 300
                if device is not None:
                    device.close()
                device = None
                continue
            assert np.array_equal(scores, wanted[start : start + 4]), done
            done += 1
            if done == 300:
                before = figures(server.pid)
        for connection in opened:
            connection.close()
        after = figures(server.pid)
        assert set(met) == {fault.__name__ for fault in faults}
        grown = after[0] - before[0]
        assert grown < 24 << 20, f"{grown} bytes more after 1,000 jobs than after 300"
        assert after[1] <= boards.THREADS + before[1] and after[2] <= before[2] + 30
        print(f"{done} jobs, {failed} told as failed, {met}, {before} -> {after}")
    finally:
        if device is not None:
            device.close()
        os.kill(server.pid, signal.SIGCONT)
        server.terminate()
        assert server.wait(30) == 0
