"""A headless Chromium through its debugging pipe, screenshots of it, and the accessibility checker axe-core."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import select
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SCREENSHOTS = ROOT / "build" / "screenshots"
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"))), None
)
AXE = "axe-core@4.14.1"
AXE_SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
"""As the npm registry gives it for the package."""
NARROW, WIDE = (390, 844), (1280, 800)
"""Sizes of a phone's window and of a desktop's."""
SCHEMES = ("light", "dark")


class Browser:
    """One page in a headless Chromium.

    Args:
        folder: for the browser's profile.
        address: of the page.
        ready: an expression that is true when the page's script has run.
    """

    def __init__(self, folder: Path, address: str, ready: str = "document.readyState === 'complete'") -> None:
        read_in, self._write = os.pipe()
        self._read, write_out = os.pipe()
        command = [
            str(CHROMIUM),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
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
        self.open(address, ready)

    def open(self, address: str, ready: str = "document.readyState === 'complete'") -> None:
        """Go to a page."""
        self.call("Page.navigate", url=address)
        self.until(f"location.href !== 'about:blank' && ({ready})")

    def call(self, method: str, **parameters: Any) -> Any:
        """What a method of the debugging protocol gives."""
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
        """Wait for an expression to be true."""
        for _ in range(300):
            if self.run(condition):
                return
            time.sleep(0.05)
        raise AssertionError(f"never true: {condition}")

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press and release a key.

        Args:
            key: its name, as `Tab`.
            code: its number in Windows' table.
            text: what it types.
        """
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **more)

    @contextmanager
    def shown(self, size: tuple[int, int], scheme: str) -> Iterator[None]:
        """The page at a window's size, (width, height), in a colour scheme."""
        width, height = size
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        try:
            yield
        finally:
            self.call("Emulation.clearDeviceMetricsOverride")
            self.call("Emulation.setEmulatedMedia", features=[])

    def screenshot(self, name: str) -> None:
        """The whole page, into `build/screenshots/NAME.png`."""
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        (SCREENSHOTS / f"{name}.png").write_bytes(base64.b64decode(found["data"]))

    def overflow(self) -> list[str]:
        """What reaches beyond the window's right edge, where the page can be scrolled sideways."""
        found: list[str] = self.run(
            """document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("body *")]
            .filter(item => item.getBoundingClientRect().right > innerWidth + 1)
            .map(item => `${item.tagName}#${item.id}.${item.className}`)"""
        )
        return found

    def accessibility(self, axe: str) -> list[str]:
        """What axe-core finds wrong: rule, element and why."""
        if not self.run("typeof axe !== 'undefined'"):
            self.run(f"{axe};0")
        found = self.run("axe.run(document, {resultTypes: ['violations']}).then(result => result.violations)")
        return [f"{rule['id']}: {node['html']} {node['failureSummary']}" for rule in found for node in rule["nodes"]]

    def close(self) -> None:
        """End the browser."""
        self._process.kill()
        self._process.wait()
        os.close(self._read)
        os.close(self._write)


@contextmanager
def browse(folder: Path, address: str, ready: str = "document.readyState === 'complete'") -> Iterator[Browser]:
    """A browser at a page; the test is skipped where there is none."""
    if CHROMIUM is None or shutil.which("bash") is None:
        pytest.skip("there is no Chromium (Debian: apt-get install chromium-headless-shell)")
    made = Browser(folder, address, ready)
    try:
        yield made
    finally:
        made.close()


def load_axe() -> str:
    """The script of axe-core, kept in `build/axe`; the test is skipped where the npm registry does not give it."""
    kept = ROOT / "build" / "axe" / f"{AXE}.js"
    if kept.exists():
        return kept.read_text()
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm, which brings axe-core")
    with tempfile.TemporaryDirectory() as name:
        done = subprocess.run([npm, "pack", AXE], cwd=name, capture_output=True, text=True, timeout=120)
        if done.returncode:
            pytest.skip(f"{AXE} cannot be had: {done.stderr.strip().splitlines()[-1:]}")
        archive = next(Path(name).glob("*.tgz"))
        assert base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() == AXE_SHA512
        with tarfile.open(archive) as packed:
            member = packed.extractfile("package/axe.min.js")
            assert member is not None
            text = member.read().decode()
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(text)
    return text
