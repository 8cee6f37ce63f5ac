"""The page of host/web.py against the simulated board, also in a headless Chromium where there is one."""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import re
import select
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("pynq")

from helpers.board import Station  # noqa: E402
from helpers.host import CLASSES, images, make_model  # noqa: E402

from bnn import golden  # noqa: E402
from bnn.images import read_picture  # noqa: E402
from bnn.model import save  # noqa: E402
from host import web  # noqa: E402
from host.errors import HostError  # noqa: E402
from host.pynq_infer import Engine  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None)


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    made = Station(tmp_path_factory.mktemp("web"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def port(station: Station) -> Iterator[int]:
    """Port of a page in front of the simulated board."""
    options: Any = SimpleNamespace(
        cpu=False, boards=station.host, batch=1, timeout=20.0, bit=station.bit, program=station.code
    )
    engine = Engine(options, make_model())
    server = web.serve(web.Classifier(engine, make_model(), images(3, 5)), port=0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    engine.close()
    assert station.memory.used == (0, 0)


def ask(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body, {key.replace("_", "-"): value for key, value in headers.items()})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def test_scores_and_times(port: int) -> None:
    for image in images(3):
        status, content = ask(port, "POST", "/classify", image.tobytes())
        result = json.loads(content)
        wanted = golden.infer(make_model(), image[None])[0]
        assert status == 200 and result["scores"] == wanted.tolist()
        assert result["predicted"] == CLASSES[int(wanted.argmax())]
        assert set(result["milliseconds"]) == {"queue", "copy", "run", "read"}
        assert all(value >= 0 for value in result["milliseconds"].values())


def test_several_browsers_at_once(port: int) -> None:
    found: dict[int, Any] = {}

    def browse(seed: int) -> None:
        found[seed] = json.loads(ask(port, "POST", "/classify", images(1, seed).tobytes())[1])["scores"]

    threads = [threading.Thread(target=browse, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {seed: golden.infer(make_model(), images(1, seed))[0].tolist() for seed in range(6)}


def test_bad_requests(port: int) -> None:
    assert ask(port, "GET", "/../etc/passwd")[0] == 404
    assert ask(port, "POST", "/other", b"x")[0] == 404
    status, content = ask(port, "POST", "/classify", b"short")
    assert status == 400 and json.loads(content) == {"error": "5 bytes, expected 63 (9x7x1)"}
    assert ask(port, "POST", "/classify", bytes(1000))[0] == 413
    assert ask(port, "POST", "/classify", b"x", Content_Length="-3")[0] == 413
    status, content = ask(port, "POST", "/picture", b"no picture")
    assert status == 400 and json.loads(content) == {"error": "picture: is no picture (of a known format)"}
    for length in (str(1 << 40), "9" * 5000, "\u00b2"):
        assert ask(port, "POST", "/picture", b"x", Content_Length=length)[0] == 413
    assert ask(port, "POST", "/classify", images(1).tobytes(), Origin="http://elsewhere.example")[0] == 403
    assert ask(port, "POST", "/classify", images(1).tobytes(), Origin=f"http://127.0.0.1:{port}")[0] == 200


def test_failing_board_is_told(port: int, station: Station) -> None:
    station.core.code = 4
    status, content = ask(port, "POST", "/classify", images(1).tobytes())
    station.core.code = 0
    assert status == 400 and json.loads(content)["error"] == "the core reports error 4: AXI error response"
    assert ask(port, "POST", "/classify", images(1).tobytes())[0] == 200


def test_page_is_one_file_of_its_own() -> None:
    text = web.PAGE.read_text()
    assert not re.search(r"""(src|href)\s*=|https?://|import\s""", text), "nothing is fetched from elsewhere"


class Browser:
    """A headless Chromium with one page, through its debugging pipe."""

    def __init__(self, folder: Path, address: str) -> None:
        read_in, self._write = os.pipe()
        self._read, write_out = os.pipe()
        command = [
            str(CHROMIUM),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-pipe",
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--user-data-dir={folder}",
            "about:blank",
        ]
        # the pipe is file descriptors 3 and 4 of the browser
        shell = ["bash", "-c", f'exec 3<&{read_in} 4>&{write_out}; exec "$@"', "bash", *command]
        self._process = subprocess.Popen(shell, pass_fds=(read_in, write_out), stderr=subprocess.DEVNULL)
        os.close(read_in)
        os.close(write_out)
        self._buffer, self._number, self._session = b"", 0, ""
        pages = self.call("Target.getTargets")["targetInfos"]
        target = next(item["targetId"] for item in pages if item["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.navigate", url=address)
        # before its script runs, the page has elements but no functions
        self.until("typeof at === 'function' && at('about').textContent !== ''")

    def call(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._buffer:
                assert select.select([self._read], [], [], 30)[0], "the browser does not answer"
                part = os.read(self._read, 1 << 16)
                assert part, "the browser ended"
                self._buffer += part
            text, self._buffer = self._buffer.split(b"\0", 1)
            answer = json.loads(text)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def run(self, script: str) -> Any:
        """The value of an expression."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def until(self, condition: str) -> None:
        for _ in range(300):
            if self.run(condition):
                return
            time.sleep(0.05)
        raise AssertionError(f"never true: {condition}")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._read)
        os.close(self._write)


@pytest.fixture(scope="module")
def browser(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None or shutil.which("bash") is None:
        pytest.skip("there is no Chromium")
    made = Browser(tmp_path_factory.mktemp("browser"), f"http://127.0.0.1:{port}/")
    yield made
    made.close()


def shown(browser: Browser) -> list[list[str]]:
    """Rows of the table of scores: class, score, how it is marked."""
    rows: list[list[str]] = browser.run(
        "[...at('scores').rows].map(row => [row.cells[0].textContent, row.cells[1].textContent, row.className])"
    )
    return rows


def expected_rows(image: np.ndarray) -> list[list[str]]:
    scores = golden.infer(make_model(), image[None])[0]
    return [
        [name, str(score), "best" if number == scores.argmax() else ""]
        for number, (name, score) in enumerate(zip(CLASSES, scores.tolist(), strict=True))
    ]


@pytest.mark.parametrize("sample", [0, 2])
def test_click_on_a_sample(browser: Browser, sample: int) -> None:
    browser.run("delete document.body.dataset.state")
    browser.run(f"at('samples').querySelectorAll('canvas')[{sample}].click()")
    browser.until("document.body.dataset.state === 'done'")
    assert shown(browser) == expected_rows(images(3, 5)[sample])
    times = browser.run("[...at('times').rows].map(row => row.cells[0].textContent)")
    assert times == ["queue", "copy", "run", "read", "browser and network, all in all"]
    assert browser.run("at('problem').textContent") == ""


def test_drop_a_picture(browser: Browser) -> None:
    """A PNG of the network's size is classified as it is; a larger one is scaled; another file is refused."""
    drop = """(async content => {
        delete document.body.dataset.state;
        const files = new DataTransfer();
        files.items.add(new File([Uint8Array.from(atob(content), c => c.charCodeAt(0))], "a.png"));
        at("drop").dispatchEvent(new DragEvent("drop", {dataTransfer: files, bubbles: true, cancelable: true}));
    })"""

    def encoded(image: Image.Image) -> str:
        content = io.BytesIO()
        image.save(content, "png")
        return base64.b64encode(content.getvalue()).decode()

    grey = images(1, 8)[0]
    browser.run(f"{drop}({encoded(Image.fromarray(grey[..., 0]))!r})")
    browser.until("document.body.dataset.state === 'done'")
    assert shown(browser) == expected_rows(grey)
    browser.run(f"{drop}({encoded(Image.new('L', (140, 90), 77))!r})")
    browser.until("document.body.dataset.state === 'done'")
    assert shown(browser) == expected_rows(np.full((9, 7, 1), 77, np.uint8))
    browser.run(f"{drop}('bm90IGEgcGljdHVyZQ==')")
    browser.until("at('problem').textContent !== ''")
    assert browser.run("at('problem').textContent") == "picture: is no picture (of a known format)"
    photo = Image.fromarray(np.random.default_rng(2).integers(0, 256, (30, 41), np.uint8))
    browser.run(f"{drop}({encoded(photo)!r})")
    browser.until("document.body.dataset.state === 'done'")
    content = io.BytesIO()
    photo.save(content, "png")
    assert shown(browser) == expected_rows(read_picture(content, (9, 7, 1))[0])
    browser.run("about.pictures = false")  # without Pillow on the server
    browser.run(f"{drop}({encoded(Image.fromarray(grey[..., 0]))!r})")
    browser.until("document.body.dataset.state === 'done'")
    assert shown(browser) == expected_rows(grey)
    browser.run("about.pictures = true")


def test_camera(browser: Browser) -> None:
    browser.run("delete document.body.dataset.state")
    browser.run("at('camera').click()")
    browser.until("document.body.dataset.state === 'done'")
    assert len(shown(browser)) == 3 and browser.run("!at('video').hidden")
    browser.run("at('camera').click()")
    browser.until("at('video').hidden")
    assert browser.run("at('problem').textContent") == ""


def test_failure_is_shown(browser: Browser, station: Station) -> None:
    browser.until("!busy")
    station.core.code = 4
    try:
        browser.run("at('samples').querySelectorAll('canvas')[0].click()")
        browser.until("at('problem').textContent !== ''")
    finally:
        station.core.code = 0
    assert browser.run("at('problem').textContent") == "the core reports error 4: AXI error response"


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], port: int) -> None:
    save(make_model(), tmp_path / "model.npz")
    np.save(tmp_path / "x.npy", images(2))
    arguments = ["--cpu", "--model", str(tmp_path / "model.npz"), "--images", str(tmp_path / "x.npy")]
    assert web.main([*arguments, "--port", str(port)]) == 1
    assert capsys.readouterr().err.startswith(f"error: 127.0.0.1:{port}: cannot be listened on")
    assert web.main(["--cpu", "--model", str(tmp_path / "none.npz")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    server = subprocess.Popen(
        [sys.executable, "-m", "host.web", *arguments, "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        address = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\n", server.stdout.readline())
        assert address is not None
        status, content = ask(int(address[1]), "GET", "/about")
        assert status == 200 and json.loads(content)["engine"] == "cpu" and len(json.loads(content)["samples"]) == 2
        assert b"<title>" in ask(int(address[1]), "GET", "/")[1]
        scores = json.loads(ask(int(address[1]), "POST", "/classify", images(1).tobytes())[1])["scores"]
        assert scores == golden.infer(make_model(), images(1))[0].tolist()
    finally:
        server.terminate()
        server.wait(20)
    with pytest.raises(HostError, match="expected 63"):
        web.Classifier(None, make_model(), images(0)).classify(b"")  # type: ignore[arg-type]
