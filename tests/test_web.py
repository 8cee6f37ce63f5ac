"""The page of host/web.py against the simulated board, also in a headless Chromium where there is one."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pynq")

from test_board import Station  # noqa: E402
from test_host import CLASSES, images, make_model  # noqa: E402

from host import web  # noqa: E402
from host.errors import HostError  # noqa: E402
from host.pynq_infer import Engine  # noqa: E402
from sim import golden  # noqa: E402
from sim.model import save  # noqa: E402

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
    options: Any = SimpleNamespace(cpu=False, boards=station.host, batch=1, timeout=20.0, bit=station.bit,
                                   program=station.code)
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


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
@pytest.mark.parametrize("sample", [0, 2])
def test_page_in_a_browser(port: int, sample: int, tmp_path: Path) -> None:
    """A click on a sample picture: three scores, the best one marked, the time of every step."""
    done = subprocess.run(
        [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}",
         "--virtual-time-budget=20000", "--dump-dom", f"http://127.0.0.1:{port}/#sample={sample}"],
        capture_output=True, text=True, timeout=60,
    )
    scores = golden.infer(make_model(), images(3, 5)[sample : sample + 1])[0]
    body = done.stdout
    assert 'data-state="done"' in body, done.stderr[-500:]
    rows = re.findall(r'<tr(?: class="(\w*)")?><td class="name">([^<]*)</td><td class="value">([^<]*)</td>', body)
    assert [(name, int(value)) for _, name, value in rows[:3]] == list(zip(CLASSES, scores.tolist(), strict=True))
    assert [name for mark, name, _ in rows[:3] if mark == "best"] == [CLASSES[int(scores.argmax())]]
    assert [name for _, name, _ in rows[3:]] == ["queue", "copy", "run", "read", "browser and network, all in all"]
    assert '<p id="problem" role="alert"></p>' in body


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], port: int) -> None:
    save(make_model(), tmp_path / "model.npz")
    np.save(tmp_path / "x.npy", images(2))
    arguments = ["--cpu", "--model", str(tmp_path / "model.npz"), "--images", str(tmp_path / "x.npy")]
    assert web.main([*arguments, "--port", str(port)]) == 1
    assert capsys.readouterr().err.startswith(f"error: 127.0.0.1:{port}: cannot be listened on")
    assert web.main(["--cpu", "--model", str(tmp_path / "none.npz")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    server = subprocess.Popen([sys.executable, "-m", "host.web", *arguments, "--port", "0"], cwd=ROOT,
                              stdout=subprocess.PIPE, text=True)
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
