"""What the page asks: models, the engines that compute them, and one picture at a time through both."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from bnn import cpu
from bnn import images as reader
from bnn.confidence import probabilities
from bnn.errors import ExpectedError
from bnn.model import Model
from bnn.samples import data_title
from bnn.text import label_text

from . import images as sources
from . import report
from .errors import HostError
from .pynq_infer import Engine


class Choice(NamedTuple):
    """A model that the page offers, with samples uint8 (N, H, W, C) and, where they are known, their labels (N,)."""

    model: Model
    samples: np.ndarray
    labels: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of its images."""
        return self.model.height, self.model.width, self.model.channels


class Classifier:
    """Models and their engines behind a lock: one picture at a time.

    Args:
        choices: the models.
        makers: by the engine's name, what makes one for the model of an index. An engine is made when it is first
            asked for, and closed before another of its name is made: a board runs one program.

    Raises:
        HostError: the first model's engines cannot be made.
    """

    def __init__(self, choices: list[Choice], makers: dict[str, Callable[[int], Engine]]) -> None:
        self.choices = choices
        self._makers = makers
        self._engines: dict[str, tuple[int, Engine]] = {}
        self._lock = threading.Lock()
        self._decoding = threading.Lock()
        try:
            for name in makers:
                self._engine(name, 0)
        except BaseException:
            self.close()
            raise

    @property
    def names(self) -> list[str]:
        """The engines."""
        return list(self._makers)

    def close(self) -> None:
        """Free the accelerator."""
        with self._lock:
            for name in list(self._engines):
                self._drop(name)

    def describe(self) -> dict[str, Any]:
        """What the page needs to know."""
        boards = [board for _, engine in self._engines.values() for board in engine.boards]
        return {
            "models": [_describe(choice) for choice in self.choices],
            "engines": self.names,
            "boards": list(dict.fromkeys(boards)),
            "pictures": reader.can_read_pictures(),
            "largest": reader.MAX_FILE_BYTES,
        }

    def classify_picture(self, content: bytes, index: int, names: list[str]) -> dict[str, Any]:
        """As `classify`, of a picture's file; `pixels` are what the network sees of it, in base64.

        Raises:
            HostError: it cannot be read, or the run fails.
        """
        with self._decoding:  # a small file can be a large picture: one at a time is in memory
            began = time.perf_counter()
            pixels = sources.read_picture(content, self.choices[index].shape)[0].tobytes()
            decode = 1e3 * (time.perf_counter() - began)
        result = self.classify(pixels, index, names)
        result["milliseconds"]["decode"] = decode
        return {**result, "pixels": base64.b64encode(pixels).decode()}

    def classify(self, pixels: bytes, index: int, names: list[str]) -> dict[str, Any]:
        """Scores of one picture by the engines of `names`.

        Args:
            pixels: the picture, bytes in H, W, C order.
            index: of the model.
            names: of engines, one at least.

        Returns:
            `scores`, the index `best` of the first highest and `probabilities` (None where the model has no
            temperature) of the first engine; by name, `engines` with `scores`, `best`, `milliseconds` of the steps,
            `cycles` and `clock_hz` (None where they are unknown); and `milliseconds` of waiting for others.

        Raises:
            HostError: another number of bytes, or a run fails.
        """
        model = self.choices[index].model
        image = self._image(pixels, index)
        asked = time.perf_counter()
        with self._lock:
            queue = time.perf_counter() - asked
            engines = {name: self._run(name, index, image) for name in names}
        first = engines[names[0]]
        shares = None
        if model.temperature is not None:
            shares = probabilities(np.array([first["scores"]]), model.temperature)[0].tolist()
        return {
            "scores": first["scores"],
            "best": first["best"],
            "probabilities": shares,
            "engines": engines,
            "milliseconds": {"queue": 1e3 * queue},
        }

    def maps(self, pixels: bytes, index: int) -> list[dict[str, Any]]:
        """The bits of every hidden layer for one picture, as `bnn.golden.trace` has them.

        Returns:
            for each layer its `name` and the sizes of its bits, `planes`, `channels`, `rows`, `columns`; in this order
            the `bits` are packed, the first in the least significant bit, and in base64.

        Raises:
            HostError: another number of bytes.
        """
        model = self.choices[index].model
        image = self._image(pixels, index)
        with self._lock:  # of memory, for the trace of one image
            found = cpu.trace(model, image)
        result = []
        for layer in model.layers[:-1]:
            if layer.name not in found:  # gives a value alone
                continue
            bits = found[layer.name][0]
            bits = bits if layer.planes > 1 else bits[np.newaxis]
            bits = bits if layer.kind == "conv" else bits[:, np.newaxis, np.newaxis]
            planes, rows, columns, channels = bits.shape
            packed = np.packbits(bits.transpose(0, 3, 1, 2).reshape(-1), bitorder="little")
            result.append(
                {
                    "name": layer.name,
                    "planes": planes,
                    "channels": channels,
                    "rows": rows,
                    "columns": columns,
                    "bits": base64.b64encode(packed.tobytes()).decode(),
                }
            )
        return result

    def _image(self, pixels: bytes, index: int) -> np.ndarray:
        shape = self.choices[index].shape
        if len(pixels) != int(np.prod(shape)):
            raise HostError(f"{len(pixels)} bytes, expected {int(np.prod(shape))} ({'x'.join(map(str, shape))})")
        return np.frombuffer(pixels, np.uint8).reshape(1, *shape)

    def _engine(self, name: str, index: int) -> Engine:
        if name in self._engines and self._engines[name][0] != index:
            self._drop(name)
        if name not in self._engines:
            self._engines[name] = index, self._makers[name](index)
        return self._engines[name][1]

    def _drop(self, name: str) -> None:
        self._engines.pop(name)[1].close()

    def _run(self, name: str, index: int, image: np.ndarray) -> dict[str, Any]:
        engine = self._engine(name, index)
        try:
            results = report.Results(["image"], None, list(self.choices[index].model.classes), 1)
            figures = engine.timed(image, results)
            scores = results.scores
        except ExpectedError:
            self._drop(name)  # the next one loads the bitstream anew, which ends what a core may still do
            raise
        steps = {step: seconds for step, seconds in figures.get("steps", {}).items() if step != "load"}
        return {
            "scores": scores[0].tolist(),
            "best": int(scores[0].argmax()),
            "milliseconds": {step: 1e3 * value for step, value in (steps or {"run": figures["seconds"]}).items()},
            "cycles": figures.get("cycles") or None,
            "clock_hz": figures.get("clock_hz"),
        }


def _describe(choice: Choice) -> dict[str, Any]:
    model, labels = choice.model, choice.labels
    right, total = model.meta.get("test_correct"), model.meta.get("test_images")
    accuracy = right / total if isinstance(right, int) and isinstance(total, int) and total > 0 else None
    height, width, channels = choice.shape
    return {
        "name": model.name,
        "dataset": data_title(model),
        "accuracy": accuracy,
        "height": height,
        "width": width,
        "channels": channels,
        "classes": list(model.classes),
        "samples": [
            {
                "pixels": base64.b64encode(image.tobytes()).decode(),
                "label": None if labels is None else label_text(int(labels[number]), model.classes),
            }
            for number, image in enumerate(choice.samples)
        ],
    }
