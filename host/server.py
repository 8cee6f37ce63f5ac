"""The HTTP server of the page, from the standard library, with bounds on what a client can take of it.

- A request has `RECEIVE_S` seconds in all to arrive, however its bytes are spread, and an answer `SEND_S` to leave.
- `REQUESTS` are answered at a time, `UPLOADS` of them with a picture, whose size has a limit as well.
- The `Host` header must be an address, `localhost`, this machine's name or one that was given: a page of another site
  whose name is made to point here (DNS rebinding) has that site's name in it.
- A POST with the `Origin` of another site is refused, and no answer may be read or shown by other sites' pages.
"""

from __future__ import annotations

import io
import ipaddress
import json
import re
import socket
import sys
import threading
import time
import traceback
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from bnn import images as reader
from bnn.errors import ExpectedError, line
from bnn.text import printable

from .classifier import Classifier
from .errors import HostError

FOLDER = Path(__file__).resolve().parent / "page"
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
REQUESTS = 8
UPLOADS = 2
RECEIVE_S = 30.0
SEND_S = 30.0
WAIT_S = 5.0
"""Seconds that a request waits for others before it is told to come back."""
MAX_LENGTH_DIGITS = 18
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
        "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")
_BUSY = "the server is busy; try again"


class Refusal(Exception):
    """A request that is not carried out: status and reason."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Receiver(io.RawIOBase):
    """What a connection receives until a deadline: who sends little by little has no more time than others."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._until = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        left = self._until - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        self._connection.settimeout(left)
        return self._connection.recv_into(target)


def body_length(lengths: list[str], limit: int) -> int:
    """The length of a request's body.

    Args:
        lengths: every `Content-Length` of the request.
        limit: bytes at most.

    Raises:
        Refusal: none, several, one that is no plain number, or too long.
    """
    if not lengths:
        raise Refusal(HTTPStatus.LENGTH_REQUIRED, "Content-Length is missing")
    text = lengths[0]
    # digits of other scripts are no length, and int() takes signs, spaces and underscores
    if len(lengths) > 1 or not re.fullmatch(r"[0-9]+", text):
        raise Refusal(HTTPStatus.BAD_REQUEST, f"Content-Length is {printable(', '.join(lengths))[:40]}")
    if len(text) > MAX_LENGTH_DIGITS or int(text) > limit:
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{text[:20]} bytes, expected at most {limit}")
    return int(text)


def is_own_host(value: str, names: frozenset[str]) -> bool:
    """Whether a `Host` header names this server: by an address, as localhost, or by one of its names."""
    found = _HOST.fullmatch(value)
    if found is None:
        return False
    name = found.group(1).strip("[]").lower().rstrip(".")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name in names
    return True


class Handler(BaseHTTPRequestHandler):
    """GET: the page's files, and /about, what `Classifier.describe` says.

    POST, with `model=INDEX` and `engines=A,B` in the query: /classify takes pixels in H, W, C order, /picture a
    picture's file, /maps pixels.
    """

    server: Server
    server_version = "bnn"
    sys_version = ""

    def setup(self) -> None:
        """Bound the time of the request."""
        super().setup()
        self.rfile = io.BufferedReader(_Receiver(self.connection, self.server.receive_s))

    def do_GET(self) -> None:  # noqa: N802
        """Answer a GET."""
        self._answer(self._get)

    def do_POST(self) -> None:  # noqa: N802
        """Answer a POST."""
        self._answer(self._post)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Stay silent."""

    def _answer(self, work: Any) -> None:
        try:
            self._check_host()
            status, (kind, content) = HTTPStatus.OK, work()
        except Refusal as refusal:
            status, (kind, content) = refusal.status, _json({"error": str(refusal)})
        except ExpectedError as error:
            status, (kind, content) = HTTPStatus.BAD_REQUEST, _json({"error": line(error)})
        except OSError:  # the client left, or was too slow
            raise
        except Exception:
            traceback.print_exc()
            told = {"error": "the server has failed; its terminal says where"}
            status, (kind, content) = HTTPStatus.INTERNAL_SERVER_ERROR, _json(told)
        self._reply(status, kind, content)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no request, or one of another kind, as the other refusals are told."""
        status = HTTPStatus(code)
        self.close_connection = True
        self._reply(status, *_json({"error": printable(message or status.phrase)[:200]}))

    def _reply(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.connection.settimeout(self.server.send_s)
        self.request_version = self.protocol_version  # of what was no request it would be one without a status line
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _check_host(self) -> None:
        values = self.headers.get_all("Host") or []
        if len(values) != 1 or not is_own_host(values[0], self.server.names):
            raise Refusal(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"the page was asked for as {printable(', '.join(values))[:80] or 'nothing'}: "
                "use the machine's address, or start it with --name",
            )

    def _get(self) -> tuple[str, bytes]:
        path = self.path.partition("?")[0]
        if path in FILES:
            name, kind = FILES[path]
            return kind, (FOLDER / name).read_bytes()
        if path == "/about":
            return _json(self.server.classifier.describe())
        raise Refusal(HTTPStatus.NOT_FOUND, "no such page")

    def _post(self) -> tuple[str, bytes]:
        classifier = self.server.classifier
        path, _, query = self.path.partition("?")
        if path not in ("/classify", "/picture", "/maps"):
            raise Refusal(HTTPStatus.NOT_FOUND, "no such page")
        origin = self.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != self.headers["Host"]:
            raise Refusal(HTTPStatus.FORBIDDEN, "another site's page may not use this one")
        if "Transfer-Encoding" in self.headers:
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "Transfer-Encoding is not taken, send a Content-Length")
        index, names = self._choice(query)
        limit = reader.MAX_FILE_BYTES if path == "/picture" else int(np.prod(classifier.choices[index].shape))
        length = body_length(self.headers.get_all("Content-Length") or [], limit)
        if path == "/picture":
            if not self.server.uploads.acquire(timeout=self.server.wait_s):
                raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, _BUSY)
            try:
                return _json(classifier.classify_picture(self._body(length), index, names))
            finally:
                self.server.uploads.release()
        body = self._body(length)
        return _json(
            {"layers": classifier.maps(body, index)} if path == "/maps" else classifier.classify(body, index, names)
        )

    def _choice(self, query: str) -> tuple[int, list[str]]:
        """Index of the model and names of the engines."""
        classifier = self.server.classifier
        try:
            fields = parse_qs(query, max_num_fields=4)
        except ValueError:
            raise Refusal(HTTPStatus.BAD_REQUEST, "the query has more than 4 fields") from None
        model = fields.get("model", ["0"])[-1]
        if not re.fullmatch(r"[0-9]{1,4}", model) or int(model) >= len(classifier.choices):
            count = len(classifier.choices)
            raise Refusal(HTTPStatus.BAD_REQUEST, f"model is {printable(model)[:20]}, expected 0 to {count - 1}")
        names = list(dict.fromkeys(fields.get("engines", [classifier.names[0]])[-1].split(",")))
        unknown = [name for name in names if name not in classifier.names]
        if unknown:
            choices = ", ".join(classifier.names)
            raise Refusal(HTTPStatus.BAD_REQUEST, f"engine is {printable(unknown[0])[:20]}, expected one of {choices}")
        return int(model), names

    def _body(self, length: int) -> bytes:
        content = self.rfile.read(length)
        if len(content) < length:
            raise Refusal(HTTPStatus.BAD_REQUEST, f"the request ended after {len(content)} of {length} bytes")
        return content


def _json(content: dict[str, Any]) -> tuple[str, bytes]:
    return "application/json", json.dumps(content).encode()


class Server(ThreadingHTTPServer):
    """A server of the page, bound and ready for `serve_forever`.

    Args:
        classifier: what answers.
        host, port: to listen on.
        names: further names of this machine that a browser may ask for.

    Raises:
        HostError: the address cannot be bound.
    """

    daemon_threads = True
    request_queue_size = 32
    receive_s, send_s, wait_s = RECEIVE_S, SEND_S, WAIT_S
    requests, most_uploads = REQUESTS, UPLOADS

    def __init__(
        self, classifier: Classifier, host: str = "127.0.0.1", port: int = 0, names: tuple[str, ...] = ()
    ) -> None:
        self.classifier, self.host = classifier, host
        own = socket.gethostname().lower()
        self.names = frozenset((own, f"{own}.local", *(name.lower() for name in names)))
        self.uploads = threading.BoundedSemaphore(self.most_uploads)
        self._free = threading.BoundedSemaphore(self.requests)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise HostError(f"{host}:{port}: cannot be listened on ({reason})") from None

    @property
    def url(self) -> str:
        """Where the page is; where it listens on all addresses, by this machine's name."""
        host = socket.gethostname() if self.host in ("", "0.0.0.0", "::") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.server_address[1]}/"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, if one becomes free; connections that wait stay with the kernel."""
        if not self._free.acquire(timeout=self.wait_s):
            try:
                request.settimeout(1.0)
                request.sendall(f"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n{_BUSY}\n".encode())
            except OSError:
                pass
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and let the next one in."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that left; of anything else what it was."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)
