"""The page's server in front of the simulated board: answers, and what it does not let clients do."""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("pynq")

from helpers.board import Station  # noqa: E402
from helpers.host import CLASSES, images  # noqa: E402
from helpers.page import MODEL, OTHER, page, serving  # noqa: E402

from bnn import golden  # noqa: E402
from bnn.confidence import probabilities  # noqa: E402
from bnn.errors import ExpectedError  # noqa: E402
from bnn.images import MAX_FILE_BYTES  # noqa: E402
from bnn.model import save  # noqa: E402
from host import images as sources  # noqa: E402
from host import pynq_infer, server, web  # noqa: E402
from host.classifier import Choice, Classifier  # noqa: E402
from host.errors import HostError  # noqa: E402
from host.pynq_infer import Engine  # noqa: E402
from host.server import Refusal, Server, body_length, is_own_host  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    made = Station(tmp_path_factory.mktemp("web"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def port(station: Station, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with page(station, tmp_path_factory.mktemp("other")) as number:
        yield number


def ask(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body, {key.replace("_", "-"): value for key, value in headers.items()})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    if answer.getheader("Content-Type") == "application/json":
        return answer.status, json.loads(content)
    return answer.status, content


def raw(port: int, text: bytes, close: bool = False) -> bytes:
    """What the server answers to bytes."""
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(text)
        if close:
            connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_scores_probabilities_and_times(port: int) -> None:
    for image in images(3):
        status, result = ask(port, "POST", "/classify", image.tobytes())
        wanted = golden.infer(MODEL, image[None])
        assert status == 200 and result["scores"] == wanted[0].tolist() and result["best"] == wanted[0].argmax()
        assert result["probabilities"] == pytest.approx(probabilities(wanted, 40.0)[0].tolist())
        assert list(result["engines"]) == ["accelerator"] and set(result["milliseconds"]) == {"queue"}
        assert set(result["engines"]["accelerator"]["milliseconds"]) == {"copy", "run", "read"}


def test_both_engines_and_both_models(port: int) -> None:
    """The board runs one program at a time, so models in turn load theirs; bits are those of the golden model."""
    rng = np.random.default_rng(1)
    for index, model in ((0, MODEL), (1, OTHER), (0, MODEL)):
        image = rng.integers(0, 256, (1, model.height, model.width, model.channels), dtype=np.uint8)
        query = f"model={index}&engines=accelerator,cpu"
        status, result = ask(port, "POST", f"/classify?{query}", image.tobytes())
        assert status == 200 and list(result["engines"]) == ["accelerator", "cpu"], result
        wanted = golden.infer(model, image)[0].tolist()
        assert all(engine["scores"] == wanted for engine in result["engines"].values())
        assert (result["probabilities"] is None) == (model.temperature is None)
        status, result = ask(port, "POST", f"/maps?model={index}", image.tobytes())
        trace = golden.trace(model, image)
        assert [layer["name"] for layer in result["layers"]] == [layer.name for layer in model.layers[:-1]]
        for layer in result["layers"]:
            sizes = [layer[key] for key in ("planes", "channels", "rows", "columns")]
            packed = np.frombuffer(base64.b64decode(layer["bits"]), np.uint8)
            bits = np.unpackbits(packed, count=int(np.prod(sizes)), bitorder="little").reshape(sizes)
            assert np.array_equal(
                bits[0].transpose(1, 2, 0), np.atleast_3d(trace[layer["name"]][0]).reshape(sizes[2], sizes[3], sizes[1])
            )


def test_about(port: int) -> None:
    status, about = ask(port, "GET", "/about")
    first, second = about["models"]
    assert status == 200 and about["engines"] == ["accelerator", "cpu"] and about["pictures"]
    assert first["classes"] == list(CLASSES) and [item["label"] for item in first["samples"]] == list(CLASSES)
    assert base64.b64decode(first["samples"][1]["pixels"]) == images(3, 5)[1].tobytes()
    assert (second["height"], second["width"], second["channels"]) == (8, 6, 3) and second["accuracy"] is None


def test_several_browsers_at_once(port: int) -> None:
    found: dict[int, Any] = {}

    def browse(seed: int) -> None:
        found[seed] = ask(port, "POST", "/classify", images(1, seed).tobytes())[1]["scores"]

    threads = [threading.Thread(target=browse, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {seed: golden.infer(MODEL, images(1, seed))[0].tolist() for seed in range(6)}


def pictures(folder: Path) -> list[Path]:
    """Files whose readers could differ: orientation, transparency, 16 bits, palette, CMYK, sizes."""
    rng = np.random.default_rng(2)
    photo = Image.fromarray(rng.integers(0, 256, (30, 41, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(folder / "turned.jpg", exif=exif)
    photo.convert("CMYK").save(folder / "cmyk.jpg")
    photo.convert("P").save(folder / "palette.png")
    layered = photo.convert("RGBA")
    layered.putalpha(Image.fromarray(rng.integers(0, 256, (30, 41), np.uint8)))
    layered.save(folder / "layered.webp", lossless=True)
    Image.fromarray(rng.integers(0, 65536, (9, 7), np.uint16)).save(folder / "deep.png")
    return sorted(folder.iterdir())


def test_the_page_gives_the_commands_scores(port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = pictures(tmp_path)
    save(MODEL, tmp_path / "m.npz")
    command = ["--cpu", "--model", str(tmp_path / "m.npz"), "--json", "--images", *map(str, files)]
    assert pynq_infer.main(command) == 0
    wanted = json.loads(capsys.readouterr().out)["scores"]
    results = [ask(port, "POST", "/picture", path.read_bytes())[1] for path in files]
    assert len(files) == 5 and [result["scores"] for result in results] == wanted
    assert len({result["pixels"] for result in results}) == 5 and len(results[0]["pixels"]) == 84


def test_bad_requests(port: int) -> None:
    assert ask(port, "GET", "/../etc/passwd")[0] == 404
    assert ask(port, "GET", "/page/../../web.py")[0] == 404
    assert ask(port, "POST", "/other", b"x")[0] == 404
    assert ask(port, "PUT", "/classify", b"x")[0] == 501
    assert ask(port, "POST", "/classify", b"short") == (400, {"error": "5 bytes, expected 63 (9x7x1)"})
    assert ask(port, "POST", "/maps", b"short") == (400, {"error": "5 bytes, expected 63 (9x7x1)"})
    assert ask(port, "POST", "/classify", bytes(64)) == (413, {"error": "64 bytes, expected at most 63"})
    status, result = ask(port, "POST", "/picture", b"no picture")
    assert status == 400 and result == {"error": "picture: is no picture (of a known format)"}
    for query, reason in (
        ("model=2", "model is 2, expected 0 to 1"),
        ("model=-1", "model is -1, expected 0 to 1"),
        ("model=%D9%A1", "model is \u0661, expected 0 to 1"),
        ("engines=cpu,gpu%0A", "engine is gpu\\n, expected one of accelerator, cpu"),
        ("a=1&" * 5, "the query has more than 4 fields"),
    ):
        assert ask(port, "POST", f"/classify?{query}", images(1).tobytes()) == (400, {"error": reason})


def test_what_is_no_request_is_refused(port: int) -> None:
    """The text of the refusal is no page, whatever it repeats."""
    host = b"Host: localhost\r\n"
    for request, status in (
        (b"<script>alert(1)</script> / HTTP/1.0\r\n" + host, b"501"),
        (b"GET / HTTP/7<b>\r\n" + host, b"400"),
        (b"\x16\x03\x01\x02\x00\r\n", b"400"),
        (b"GET /" + b"a" * 70000 + b" HTTP/1.0\r\n" + host, b"414"),
        (b"GET / HTTP/1.0\r\n" + host + b"X: " + b"a" * 70000 + b"\r\n", b"431"),
        (b"GET / HTTP/1.0\r\n" + host + b"X: a\r\n" * 200, b"431"),
    ):
        answer = raw(port, request + b"\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert status in head.split(b"\r\n")[0] and list(json.loads(body)) == ["error"], answer
        assert b"application/json" in head and b"nosniff" in head and len(body) < 300


def test_other_sites_pages_are_refused(port: int) -> None:
    body = images(1).tobytes()
    for origin in ("http://elsewhere.example", "null", f"http://127.0.0.1.example:{port}", "http://127.0.0.1:1"):
        assert ask(port, "POST", "/classify", body, Origin=origin)[0] == 403, origin
    assert ask(port, "POST", "/classify", body, Origin=f"http://127.0.0.1:{port}")[0] == 200
    for path in ("/", "/page.js", "/about", "/none"):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:8080", True),
        ("[::1]:8080", True),
        ("192.168.2.99", True),
        ("localhost:9", True),
        ("LOCALHOST", True),
        ("pynq", True),
        ("Lab.Example:80", True),
        ("", False),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("pynq.evil.example", False),
        ("evil.example@127.0.0.1", False),
        ("127.0.0.1:80:80", False),
        ("127.0.0.1, evil.example", False),
        ("127.1/..", False),
        ("localhost\u212a", False),
    ],
)
def test_hosts(value: str, good: bool) -> None:
    assert is_own_host(value, frozenset({"pynq", "lab.example"})) is good


def test_a_name_that_is_made_to_point_here_gets_nothing(port: int) -> None:
    for method, path in (("GET", "/"), ("GET", "/about"), ("POST", "/classify"), ("POST", "/picture")):
        status, result = ask(port, method, path, images(1).tobytes(), Host=f"rebound.example:{port}")
        assert status == 421 and "rebound.example" in result["error"] and "--name" in result["error"]
    assert b" 421 " in raw(port, b"GET / HTTP/1.0\r\n\r\n")
    assert b" 421 " in raw(port, b"GET / HTTP/1.0\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
    assert b" 200 " in raw(port, f"GET / HTTP/1.1\r\nHost: {socket.gethostname()}\r\n\r\n".encode())


@pytest.mark.parametrize(
    ("lengths", "status"),
    [
        ([], 411),
        (["-3"], 400),
        (["+3"], 400),
        (["1_0"], 400),
        ([" 3"], 400),
        (["3 "], 400),
        (["0x3"], 400),
        (["3.0"], 400),
        (["3, 3"], 400),
        (["\u00b2"], 400),
        (["\u0663"], 400),
        ([""], 400),
        (["3", "3"], 400),
        (["11"], 413),
        ([str(1 << 40)], 413),
        (["9" * 5000], 413),
    ],
)
def test_lengths_that_are_none(lengths: list[str], status: int) -> None:
    with pytest.raises(Refusal) as caught:
        body_length(lengths, 10)
    assert caught.value.status == status and len(str(caught.value)) < 80


def test_lengths(port: int) -> None:
    assert [body_length([text], 10) for text in ("0", "10", "007")] == [0, 10, 7]
    start = f"POST /classify HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    body = images(1).tobytes()
    assert b" 411 " in raw(port, f"{start}\r\n".encode())
    assert b" 411 " in raw(port, f"{start}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode())
    assert b" 400 " in raw(port, f"{start}Content-Length: 6_3\r\n\r\n".encode() + body)
    assert b" 400 " in raw(port, f"{start}Content-Length: 63\r\nContent-Length: 64\r\n\r\n".encode() + body)
    assert b" 413 " in raw(port, f"{start}Content-Length: {MAX_FILE_BYTES}\r\n\r\n".encode())
    ended = raw(port, f"{start}Content-Length: 63\r\n\r\n".encode() + body[:20], close=True)
    assert b" 400 " in ended and b"the request ended after 20 of 63 bytes" in ended


def test_addresses_for_people() -> None:
    for host, name in (("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"), ("0.0.0.0", socket.gethostname())):
        try:
            made = Server(Held(), host)  # type: ignore[arg-type]
        except HostError:
            assert host == "::1", "a machine without IPv6"
            continue
        with made:
            assert made.url == f"http://{name}:{made.server_address[1]}/" and is_own_host(made.url[7:-1], made.names)


class Held:
    """In place of a classifier: keeps those who ask waiting until they may go."""

    names = ["cpu"]

    def __init__(self, size: int = 0) -> None:
        self.go = threading.Event()
        self.size = size
        self.inside, self.most = 0, 0
        self.choices = [Choice(MODEL, images(0))]
        self._lock = threading.Lock()

    def describe(self) -> dict[str, Any]:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        assert self.go.wait(30)
        with self._lock:
            self.inside -= 1
        return {"text": "x" * self.size}

    def classify_picture(self, content: bytes, index: int, names: list[str]) -> dict[str, Any]:
        return self.describe()


class Strict(Server):
    """A server with little patience."""

    receive_s, send_s, wait_s = 0.4, 0.4, 0.1
    requests, most_uploads = 2, 1

    def free(self) -> None:
        """Wait until nobody is served."""
        for _ in range(2):
            assert self._free.acquire(timeout=30)
        for _ in range(2):
            self._free.release()


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"GET /about HT",
        b"GET /about HTTP/1.0\r\nHost: localhost\r\nX: ",
        b"POST /classify HTTP/1.0\r\nHost: localhost\r\nContent-Length: 63\r\n\r\n",
        b"POST /picture HTTP/1.0\r\nHost: localhost\r\nContent-Length: 60000000\r\n\r\n",
    ],
)
@pytest.mark.parametrize("drips", [False, True])
def test_slow_and_half_open_clients_are_left(start: bytes, drips: bool) -> None:
    """A byte now and then does not lengthen the time of a request; what was open is free for others."""
    made = Strict(Held())  # type: ignore[arg-type]
    with serving(made) as port, socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(start)
        connection.settimeout(0.05)
        for _ in range(400):
            try:
                if drips:
                    connection.sendall(b"x")
                got = connection.recv(1 << 16)
            except TimeoutError:
                continue
            except ConnectionError:
                got = b""
            assert not got, "an answer to half a request"
            break
        else:
            raise AssertionError("the connection stays open")
        made.free()


def test_a_client_that_reads_nothing_is_left() -> None:
    held = Held(64 << 20)
    held.go.set()
    made = Strict(held)  # type: ignore[arg-type]
    with serving(made) as port, socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(b"GET /about HTTP/1.0\r\nHost: localhost\r\n\r\n")
        while not held.most:
            time.sleep(0.01)
        made.free()


def test_at_most_so_many_requests_at_a_time() -> None:
    held = Held()
    with serving(Strict(held)) as port:  # type: ignore[arg-type]
        answers: list[int] = []
        threads = [threading.Thread(target=lambda: answers.append(ask(port, "GET", "/about")[0])) for _ in range(2)]
        for thread in threads:
            thread.start()
        while held.inside < 2:
            time.sleep(0.01)
        assert b" 503 " in raw(port, b"GET /about HTTP/1.0\r\nHost: localhost\r\n\r\n")
        held.go.set()
        for thread in threads:
            thread.join()
        assert answers == [200, 200] and held.most == 2
        assert ask(port, "GET", "/about")[0] == 200


def test_at_most_so_many_uploads_at_a_time() -> None:
    held = Held()
    with serving(Strict(held)) as port:  # type: ignore[arg-type]
        answers: list[int] = []
        thread = threading.Thread(target=lambda: answers.append(ask(port, "POST", "/picture", b"abc")[0]))
        thread.start()
        while held.inside < 1:
            time.sleep(0.01)
        assert ask(port, "POST", "/picture", b"abc") == (503, {"error": "the server is busy; try again"})
        held.go.set()
        thread.join()
        assert answers == [200] and held.most == 1


def test_one_picture_is_decoded_at_a_time(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file can be a picture of 64 million pixels."""
    content, real = pictures(tmp_path)[0].read_bytes(), sources.read_picture
    inside, most = [0], [0]

    def read_picture(*arguments: Any) -> Any:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.05)
        inside[0] -= 1
        return real(*arguments)

    monkeypatch.setattr(sources, "read_picture", read_picture)
    threads = [threading.Thread(target=ask, args=(port, "POST", "/picture", content)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_failing_board_is_told(port: int, station: Station) -> None:
    station.core.code = 4
    status, result = ask(port, "POST", "/classify", images(1).tobytes())
    station.core.code = 0
    assert status == 400 and result["error"] == "the core reports error 4: AXI error response"
    assert ask(port, "POST", "/classify", images(1).tobytes())[0] == 200


def test_what_fails_is_told_and_the_server_goes_on(
    port: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """An expected error of any part, and a mistake in the code, whose place is for the terminal alone."""
    body, path = images(1).tobytes(), "/classify?engines=cpu"
    for error, status, reason in (
        (ExpectedError("no engine\nat all"), 400, "no engine\\nat all"),
        (RuntimeError("secret"), 500, "the server has failed; its terminal says where"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(Engine, "stream", lambda self, given, error=error: (_ for _ in ()).throw(error))
            assert ask(port, "POST", path, body) == (status, {"error": reason})
        assert ask(port, "POST", path, body)[0] == 200
    assert capfd.readouterr().err.count("RuntimeError: secret") == 1


def test_the_page_fetches_nothing_from_elsewhere(port: int) -> None:
    named = set()
    for path, (name, _) in server.FILES.items():
        text = (server.FOLDER / name).read_text()
        assert ask(port, "GET", path) == (200, text.encode())
        assert not re.search(r"https?://(?!localhost)|@import|innerHTML|insertAdjacentHTML|\beval\b|\bon\w+=", text), (
            name
        )
        named |= set(re.findall(r"""(?:src|href)="([^"]*)\"""", text))
    assert named == {"data:,", "page.css", "page.js"}
    assert {path.name for path in server.FOLDER.iterdir()} == {name for name, _ in server.FILES.values()}


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], port: int) -> None:
    save(MODEL, tmp_path / "model.npz")
    np.save(tmp_path / "x.npy", images(2))
    arguments = ["--cpu", "--model", str(tmp_path / "model.npz"), "--images", str(tmp_path / "x.npy")]
    assert web.main([*arguments, "--port", str(port)]) == 1
    assert capsys.readouterr().err.startswith(f"error: 127.0.0.1:{port}: cannot be listened on")
    assert web.main([*arguments, "--port", "70000"]) == 1
    assert web.main(["--cpu", "--model", str(tmp_path / "none.npz")]) == 1
    np.save(tmp_path / "wide.npy", np.zeros((1, 9, 8, 1), np.uint8))
    assert web.main([*arguments[:3], "--images", str(tmp_path / "wide.npy")]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3 and errors[2].startswith("error: images are (9, 8, 1), ")
    command = [sys.executable, "-m", "host.web", *arguments, "--port", "0", "--name", "Lab.example"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\n", process.stdout.readline())
        assert address is not None
        status, about = ask(int(address[1]), "GET", "/about")
        assert status == 200 and about["engines"] == ["cpu"] and len(about["models"][0]["samples"]) == 2
        status, content = ask(int(address[1]), "GET", "/", Host="lab.example")
        assert status == 200 and b"<title>" in content
        scores = ask(int(address[1]), "POST", "/classify", images(1).tobytes())[1]["scores"]
        assert scores == golden.infer(MODEL, images(1))[0].tolist()
    finally:
        process.terminate()
        process.wait(20)


def test_wrong_options(capsys: pytest.CaptureFixture[str]) -> None:
    for options, reason in (
        (["--model", "a.npz"], "give --bit, or --cpu"),
        (["--cpu", "--model", "a.npz", "b.npz", "--program", "c.bin"], "--program names 1 files, --model 2"),
    ):
        with pytest.raises(SystemExit) as caught:
            web.main(options)
        assert caught.value.code == 2 and reason in capsys.readouterr().err


def test_an_engine_that_cannot_be_made_ends_the_start() -> None:
    closed = []

    class Made:
        boards: list[str] = []

        def close(self) -> None:
            closed.append(self)

    def refuse(index: int) -> Engine:
        raise HostError("no board")

    makers: Any = {"cpu": lambda index: Made(), "accelerator": refuse}
    with pytest.raises(HostError, match="no board"):
        Classifier([Choice(MODEL, images(0))], makers)
    assert len(closed) == 1
