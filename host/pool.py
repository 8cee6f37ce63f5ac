"""Several accelerators as one: batches are shared, order is kept, a board that fails is left out."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import numpy as np

from .accelerator import BATCH, Accelerator
from .errors import HostError


class Pool:
    """Accelerators with the same program. A context manager; for one thread at a time.

    Args:
        makers: by name, what makes an accelerator of the pool; each is called in its own thread at a time.
        report: called with one line where a board is left out.

    Raises:
        HostError: none can be made.
    """

    def __init__(self, makers: dict[str, Callable[[], Accelerator]], report: Callable[[str], Any] = print) -> None:
        self._report = report
        self._members: dict[str, Accelerator] = {}
        self.runs: dict[str, list[dict[str, float]]] = {}
        """Of the last `infer`: the runs of every board, as `Accelerator.runs`."""
        last: HostError | None = None
        for name, make in makers.items():
            try:
                self._members[name] = make()
            except HostError as error:
                last = error
                report(f"{name}: left out: {error}")
        if not self._members:
            raise last or HostError("a pool needs at least one board")
        self.program = next(iter(self._members.values())).program

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def names(self) -> list[str]:
        """The boards that still work."""
        return list(self._members)

    @property
    def clock_hz(self) -> float | None:
        """The clock of the first board."""
        return next((member.clock_hz for member in self._members.values()), None)

    def close(self) -> None:
        """Close all."""
        for member in self._members.values():
            member.close()
        self._members = {}

    def infer(self, images: np.ndarray, batch: int | None = None) -> np.ndarray:
        """Scores, int32 (N, classes), of uint8 images (N, H, W, C), as `Accelerator.infer`.

        Raises:
            HostError: the images do not suit the program, or no board is left.
        """
        size = BATCH if batch is None else batch
        if size < 1:
            raise HostError(f"batch is {size}, expected 1 or more")
        if not self._members:
            raise HostError("the pool is closed, or has lost all of its boards")
        first = next(iter(self._members.values()))
        first.check_images(images)
        scores = np.zeros((len(images), self.program.classes), np.int32)
        waiting = deque(range(0, len(images), size))
        lost: dict[str, HostError] = {}
        lock = threading.Condition()
        unfinished = [len(waiting)]

        def take(mine: deque[int]) -> Iterator[np.ndarray]:
            """The next batches; waits while others may still give theirs back, unless this one holds some."""
            while True:
                with lock:
                    while not waiting and unfinished[0] and not mine:
                        lock.wait(0.1)
                    if not waiting:
                        return
                    start = waiting.popleft()
                    mine.append(start)
                yield images[start : start + size]

        def work(name: str, member: Accelerator) -> None:
            mine: deque[int] = deque()
            try:
                while unfinished[0]:
                    for part in member.stream(take(mine)):
                        with lock:
                            start = mine.popleft()
                            scores[start : start + len(part)] = part
                            unfinished[0] -= 1
                            lock.notify_all()
                    runs[name] += member.runs
            except Exception as error:
                with lock:
                    waiting.extendleft(reversed(mine))
                    lost[name] = error if isinstance(error, HostError) else HostError(f"{name}: {error!r}")
                    lock.notify_all()

        runs: dict[str, list[dict[str, float]]] = {name: [] for name in self._members}
        threads = [threading.Thread(target=work, args=item, daemon=True) for item in self._members.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.runs = runs
        for name, error in lost.items():
            self._report(f"{name}: left out: {error}")
            self._members.pop(name).close()
        if unfinished[0]:
            raise HostError(f"no board is left; the last said: {list(lost.values())[-1]}")
        return scores
