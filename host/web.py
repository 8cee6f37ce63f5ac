"""`python -m host.web`: a page that classifies a dropped image or the camera's on the accelerator.

    PYNQ_REMOTE_DEVICES=127.0.0.1 python -m host.web --bit pynq_z1.bit --program program.bin --model cnv.npz
    python -m host.web --cpu --model cnv.npz

The standard library's server; the page is one file without a build step. A picture's file is sent as it is and read
here, as the command reads it: the page gives the command's scores. Where Pillow is not installed the browser scales
the picture instead, and the page says so.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np

from bnn import images as reader
from bnn.command import Command, UsageError
from bnn.model import Model, load
from host import images as sources
from host.errors import HostError
from host.pynq_infer import Engine

PAGE = Path(__file__).resolve().parent / "web.html"
PORT = 8080
SAMPLES = 16
TIMEOUT_S = 30.0
"""Seconds a browser may take to send its request."""
READERS = 2
"""Pictures that are received and decoded at a time: each takes memory."""


class Classifier:
    """An engine behind a lock: one picture at a time.

    Args:
        engine: what computes.
        model: shape of the pictures and names of the classes.
        samples: pictures to offer, uint8 (N, H, W, C).
    """

    def __init__(self, engine: Engine, model: Model, samples: np.ndarray) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self.shape = (model.height, model.width, model.channels)
        self.classes = list(model.classes)
        self.samples = samples

    def describe(self) -> dict[str, Any]:
        """What the page needs to know."""
        height, width, channels = self.shape
        return {
            "height": height,
            "width": width,
            "channels": channels,
            "classes": self.classes,
            "engine": self._engine.name,
            "boards": self._engine.boards,
            "pictures": reader.can_read_pictures(),
            "samples": [base64.b64encode(image.tobytes()).decode() for image in self.samples],
        }

    def classify_picture(self, content: bytes) -> dict[str, Any]:
        """As `classify`, of a picture's file; `pixels` are what the network sees of it, in base64.

        Raises:
            HostError: it cannot be read, or the run fails.
        """
        began = time.perf_counter()
        pixels = sources.read_picture(content, self.shape)[0].tobytes()
        seconds = time.perf_counter() - began
        result = self.classify(pixels)
        steps = {"decode": 1e3 * seconds, **result["milliseconds"]}
        return {**result, "milliseconds": steps, "pixels": base64.b64encode(pixels).decode()}

    def classify(self, pixels: bytes) -> dict[str, Any]:
        """Scores of one picture, its bytes in H, W, C order, and the milliseconds of the steps.

        Raises:
            HostError: another number of bytes, or the run fails.
        """
        size = int(np.prod(self.shape))
        if len(pixels) != size:
            raise HostError(f"{len(pixels)} bytes, expected {size} ({'x'.join(map(str, self.shape))})")
        asked = time.perf_counter()
        with self._lock:
            began = time.perf_counter()
            image = np.frombuffer(pixels, np.uint8).reshape(1, *self.shape)
            scores, figures = self._engine.timed(image, None)
        steps = {"queue": began - asked, **figures.get("steps", {"run": figures["seconds"]})}
        steps.pop("load", None)
        cycles, clock = figures.get("cycles"), figures.get("clock_hz")
        if cycles and clock:
            steps["accelerator"] = cycles / clock
        return {
            "scores": scores[0].tolist(),
            "predicted": self.classes[int(scores[0].argmax())],
            "milliseconds": {name: 1e3 * seconds for name, seconds in steps.items()},
            "cycles": cycles or None,
        }


class Handler(BaseHTTPRequestHandler):
    """GET / is the page, GET /about what `Classifier.describe` says.

    POST /classify takes pixels in H, W, C order, POST /picture a picture's file.
    """

    server_version = "bnn"
    timeout = TIMEOUT_S
    classifier: Classifier
    readers: threading.Semaphore

    def do_GET(self) -> None:  # noqa: N802
        """Answer a GET."""
        if self.path.split("?")[0] == "/":
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", PAGE.read_bytes())
        elif self.path == "/about":
            self._json(HTTPStatus.OK, self.classifier.describe())
        else:
            self._json(HTTPStatus.NOT_FOUND, {"error": "no such page"})

    def do_POST(self) -> None:  # noqa: N802
        """Answer a POST."""
        if self.path not in ("/classify", "/picture"):
            self._json(HTTPStatus.NOT_FOUND, {"error": "no such page"})
            return
        origin, host = self.headers.get("Origin"), self.headers.get("Host", "")
        if origin is not None and origin.partition("://")[2] != host:
            self._json(HTTPStatus.FORBIDDEN, {"error": "another site's page may not use this one"})
            return
        length = self.headers.get("Content-Length", "")
        picture = self.path == "/picture"
        limit = reader.MAX_FILE_BYTES if picture else 4 * int(np.prod(self.classifier.shape))
        # digits of other scripts are no length, and thousands of them no number
        if not (length.isascii() and length.isdigit()) or len(length) > 12 or int(length) > limit:
            self.close_connection = True
            self._json(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": f"expected at most {limit} bytes"})
            return
        try:
            if picture:
                with self.readers:
                    result = self.classifier.classify_picture(self.rfile.read(int(length)))
            else:
                result = self.classifier.classify(self.rfile.read(int(length)))
            self._json(HTTPStatus.OK, result)
        except HostError as error:
            self._json(HTTPStatus.BAD_REQUEST, {"error": str(error)})

    def log_message(self, format: str, *arguments: Any) -> None:
        """Stay silent."""

    def _json(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(content).encode())

    def _send(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(content)


def serve(classifier: Classifier, host: str = "127.0.0.1", port: int = PORT) -> ThreadingHTTPServer:
    """A server of the page, bound and ready for `serve_forever`.

    Raises:
        HostError: the address cannot be bound.
    """
    bound = {"classifier": classifier, "readers": threading.Semaphore(READERS)}
    handler = type("BoundHandler", (Handler,), bound)
    try:
        return ThreadingHTTPServer((host, port), handler)
    except OSError as error:
        raise HostError(f"{host}:{port}: cannot be listened on ({error.strerror})") from None


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="model.npz: shape, class names, network of --cpu")
    parser.add_argument("--bit", type=Path, help="bitstream, its .hwh beside it")
    parser.add_argument("--program", type=Path, help="program.bin, or a model.npz to be packed (default --model)")
    parser.add_argument("--cpu", action="store_true", help="run the integer model on the processor instead")
    parser.add_argument("--boards", metavar="A,B", help="addresses of boards (default $PYNQ_REMOTE_DEVICES)")
    parser.add_argument("--images", nargs="+", default=[], help="pictures to offer, as bnn infer takes them")
    parser.add_argument("--timeout", type=float, help="seconds one run may take")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=PORT, help=f"default {PORT}")


def _run(options: argparse.Namespace) -> None:
    if not options.cpu and options.bit is None:
        raise UsageError("give --bit, or --cpu")
    options.program = options.program or options.model
    options.batch = 1
    model = load(options.model)
    shape = (model.height, model.width, model.channels)
    samples = np.zeros((0, *shape), np.uint8)
    if options.images:
        samples = sources.read(options.images, shape, list(model.classes)).images[:SAMPLES]
    engine = Engine(options, model)
    try:
        server = serve(Classifier(engine, model, samples), options.host, options.port)
        print(f"http://{options.host}:{server.server_address[1]}/", flush=True)
        try:
            server.serve_forever()
        finally:
            server.server_close()
    except KeyboardInterrupt:
        pass
    finally:
        engine.close()


main = Command("web", _options, _run, "--cpu --model models/cnv.npz --images models/cifar10_sample.npz")


if __name__ == "__main__":
    sys.exit(main())
