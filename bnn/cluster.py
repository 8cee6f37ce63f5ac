"""Work spread over processes and machines by Dask (dask.distributed, the extra `cluster`): nothing is lost or doubled.

    with Cluster(workers={"one": {}, "two": {}}) as cluster:
        for outcome in cluster.map(job, items):
            outcome.value  # in the order of the items

A job is a picklable callable; every worker gets a copy of it once, so it may keep what is costly to make, a board's
program for example. Dask starts processes again that die, and runs elsewhere what they had. What it does not know is
that a worker's board is gone: the job raises an `ExpectedError` then. Its item goes to another worker, and the worker
is tried again after a while, so that a board that comes back works on.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import queue
import re
import secrets
import threading
import time
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple, Type

from bnn.errors import ExpectedError, line
from bnn.output import note
from bnn.text import printable

LOCAL = "local"
BOARD = "board"
"""The resource of a worker that owns a board: one."""
CONNECT_S = 15.0
WORKER_S = 60.0
"""Seconds in which a first worker must be there."""
SILENT_S = 30.0
"""After that a local worker that says nothing is ended and started again."""
TICK_S = 0.5
AHEAD, KEPT = 3, 24
"""Items of a worker that are under way, and those of which results wait for an earlier one."""
TRIES = 5
"""Failures in a row after which a worker counts as lost; the work ends when all are."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Until a worker that failed is tried again; doubled with every failure in a row."""
DEATHS = 5
"""Times that Dask may give an item up, whose workers died, before the work ends."""


class ClusterError(ExpectedError):
    """A cluster cannot be had, or has lost its workers; one line says why."""


class WorkerError(ExpectedError):
    """What a job raises where its worker cannot do it now, but another may; one line says why."""


class Outcome(NamedTuple):
    """What a job made of an item, and the name of the worker."""

    value: Any
    worker: str


class _Answer(NamedTuple):
    """What a worker returns: its address and name, and what the job made of the item or why the worker cannot."""

    where: str
    name: str
    value: Any
    reason: Optional[str] = None


class _Worker:
    """What is known of a worker: its name, its failures in a row and when it may be tried again."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.failures = 0
        self.again = 0.0


class _Task:
    """An item under way: where it is allowed to run (None: anywhere), and how often it ended workers."""

    def __init__(self, item: Any) -> None:
        self.item = item
        self.future: Any = None
        self.allowed: Optional[Set[str]] = None
        self.deaths = 0


class Cluster:
    """Workers of Dask: those of a running scheduler, or processes of this machine. A context manager.

    Args:
        scheduler: HOST:PORT of a scheduler that runs, or a URL as Dask writes it. None starts `workers` here.
        workers: by name, the environment variables of every process that is started.
        board: whether each of the workers owns a board; jobs then run on those alone, one at a time.
        report: called with one line where a worker fails or works again.
        silent_s: as `SILENT_S`.

    Raises:
        ClusterError: Dask is not installed, no scheduler answers, or there are no workers.
    """

    def __init__(
        self,
        scheduler: Optional[str] = None,
        workers: Optional[Mapping[str, Mapping[str, str]]] = None,
        board: bool = False,
        report: Callable[[str], Any] = note,
        silent_s: float = SILENT_S,
    ) -> None:
        self._report = report
        self._resources = {BOARD: 1} if board else {}
        self._local: Any = None
        self._client: Any = None
        self._known: Dict[str, _Worker] = {}
        self.name = LOCAL if scheduler is None else printable(scheduler)
        try:
            self._dask: Any = importlib.import_module("distributed")
            importlib.import_module("dask").config.set({"distributed.admin.large-graph-warning-threshold": "1GB"})
        except ImportError as error:
            raise ClusterError(f"a cluster needs {error.name} (pip install 'bnn-fpga[cluster]')") from None
        try:
            if scheduler is None:
                self._start(workers or {}, silent_s)
            else:
                self._connect(address(scheduler))
            self._await_worker()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the scheduler; end the processes that were started here."""
        for item in (self._client, self._local):
            if item is not None:
                try:
                    item.close(timeout=CONNECT_S)
                except Exception:  # what is left of them ends with this process
                    pass
        self._client = self._local = None

    def _start(self, workers: Mapping[str, Mapping[str, str]], silent_s: float) -> None:
        """A scheduler in this process and a process each for the workers; nobody else on this machine has their key."""
        dask = self._dask
        quiet = logging.CRITICAL
        logging.getLogger("distributed").setLevel(quiet)
        security = dask.Security.temporary()
        here = "127.0.0.1"
        common = {"security": security, "host": here, "protocol": "tls://", "dashboard_address": f"{here}:0"}
        options = {**common, "port": 0, "dashboard": False, "worker_ttl": silent_s, "allowed_failures": 0}
        processes = {
            name: {
                "cls": dask.Nanny,
                "options": {
                    **common,
                    "name": name,
                    "nthreads": 1,
                    "resources": self._resources,
                    "memory_limit": 0,
                    "silence_logs": quiet,
                    "env": dict(environment),
                },
            }
            for name, environment in workers.items()
        }
        try:
            self._local = dask.SpecCluster(
                workers=processes,
                scheduler={"cls": dask.Scheduler, "options": options},
                security=security,
                silence_logs=quiet,
            )
            self._client = dask.Client(self._local, set_as_default=False)
        except Exception as error:
            raise ClusterError(f"no cluster of this machine: {line(error)}") from None

    def _connect(self, where: str) -> None:
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        try:
            self._client = self._dask.Client(where, timeout=CONNECT_S, set_as_default=False)
        except Exception:  # of many kinds, none of which says more
            raise ClusterError(f"{self.name}: no Dask scheduler answers within {CONNECT_S:g} s") from None

    def _await_worker(self) -> None:
        until = time.monotonic() + WORKER_S
        while not self._workers():
            if time.monotonic() > until:
                what = f"worker with the resource {BOARD}=1" if self._resources else "worker"
                raise ClusterError(f"{self.name}: has no {what} after {WORKER_S:g} s")
            time.sleep(0.05)

    def _workers(self) -> Dict[str, _Worker]:
        """The workers that may run jobs, by address."""
        try:
            found = self._client.scheduler_info()["workers"]
        except Exception as error:
            raise ClusterError(f"{self.name}: the scheduler is gone ({line(error)})") from None
        able = {
            where: str(about["name"])
            for where, about in found.items()
            if all(about.get("resources", {}).get(key, 0) >= value for key, value in self._resources.items())
        }
        self._known = {where: self._known.get(where) or _Worker(name) for where, name in able.items()}
        return self._known

    @property
    def size(self) -> int:
        """Workers that may run jobs, as far as is known; 1 at least."""
        return max(1, len(self._known))

    def processor_seconds(self) -> float:
        """What the workers' processes have taken of the processors so far."""
        return float(sum(self._client.run(time.process_time).values()))

    def map(self, job: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Outcome]:
        """What the job makes of every item, in their order; items are taken from `items` as workers become free.

        Args:
            job: runs in the workers. It may raise `WorkerError`; any other exception ends the work, and is raised. Its
                method `close`, where it has one, is called at the end of the work, and before another job's run
                on a worker that owns a board.
            items: any number; those under way and their results are all that is held.

        Raises:
            ClusterError: all workers fail again and again, an item ends every worker, or the scheduler is gone.
        """
        run = _Run(self, job, iter(items))
        try:
            yield from run.outcomes()
        finally:
            run.end()


class _Run:
    """One job's run on a cluster."""

    def __init__(self, cluster: Cluster, job: Callable[[Any], Any], items: Iterator[Any]) -> None:
        self._cluster, self._items = cluster, items
        self._client = cluster._client
        self._name = f"bnn-{secrets.token_hex(8)}"
        self._tasks: Dict[int, _Task] = {}
        self._waiting: List[int] = []  # to be sent again
        self._done: "queue.Queue[Tuple[int, Any]]" = queue.Queue()
        self._ready: Dict[int, Outcome] = {}
        self._taken = self._given = 0
        self._lonely = 0.0  # since when there is no worker
        self._cluster._workers()
        self._client.register_plugin(_holder(job, bool(cluster._resources)), name=self._name)

    def outcomes(self) -> Iterator[Outcome]:
        exhausted = False
        looked = time.monotonic()
        while True:
            if time.monotonic() - looked > TICK_S:
                looked = time.monotonic()
                self._look()
            workers = self._cluster.size
            for number in [number for number in self._waiting if self._send(number)]:
                self._waiting.remove(number)
            while (
                not exhausted
                and not self._waiting
                and len(self._tasks) < AHEAD * workers
                and self._taken - self._given < KEPT * workers
            ):
                try:
                    self._tasks[self._taken] = _Task(next(self._items))
                except StopIteration:
                    exhausted = True
                    break
                if not self._send(self._taken):
                    self._waiting.append(self._taken)
                self._taken += 1
            while self._given in self._ready:
                self._given += 1
                yield self._ready.pop(self._given - 1)
            if exhausted and not self._tasks:
                return
            try:
                number, future = self._done.get(timeout=TICK_S / 5)
            except queue.Empty:
                continue
            if number in self._tasks and self._tasks[number].future is future:
                self._take(number, future)

    def end(self) -> None:
        """Give up what is under way, and take the job away from the workers."""
        try:
            self._client.cancel([task.future for task in self._tasks.values() if task.future is not None])
            self._client.unregister_worker_plugin(self._name)
        except Exception:  # there is no scheduler any more
            pass

    def _send(self, number: int) -> bool:
        """Submit an item, unless every worker is to be left alone for now."""
        task, known, now = self._tasks[number], self._cluster._known, time.monotonic()
        failed = {where for where, worker in known.items() if worker.failures}
        due = [where for where in failed if now >= known[where].again]
        if due:  # one item tells whether it works again
            task.allowed = {due[0]}
            known[due[0]].again = now + LONGEST_PAUSE_S
        elif failed:
            task.allowed = set(known) - failed
            if not task.allowed:
                return False
        else:
            task.allowed = None
        task.future = self._client.submit(
            _work,
            self._name,
            task.item,
            key=f"{self._name}-{number}-{secrets.token_hex(4)}",
            pure=False,
            resources=self._cluster._resources or None,
            workers=None if task.allowed is None else sorted(task.allowed),
        )
        task.future.add_done_callback(lambda future: self._done.put((number, future)))
        return True

    def _again(self, number: int) -> None:
        self._tasks[number].future = None
        self._waiting.append(number)

    def _take(self, number: int, future: Any) -> None:
        """What has become of an item."""
        task, known = self._tasks[number], self._cluster._known
        try:
            answer: _Answer = future.result(timeout=SILENT_S)
        except Exception as error:
            kind = type(error).__name__
            if future.status == "cancelled":
                raise ClusterError(f"{self._cluster.name}: the scheduler is gone") from None
            if kind == "KilledWorker":
                task.deaths += 1
                if task.deaths >= DEATHS:
                    raise ClusterError(f"every worker that takes item {number} dies") from None
            elif future.status == "error":  # a defect of the job
                raise
            self._again(number)  # else its result was lost with a worker
            return
        worker = known.setdefault(answer.where, _Worker(answer.name))  # it may have come a moment ago
        if answer.reason is not None:
            self._again(number)
            self._failed(worker, answer.reason)
            return
        if worker.failures:
            self._cluster._report(f"{worker.name}: works again")
            worker.failures = 0
        self._ready[number] = Outcome(answer.value, answer.name)
        del self._tasks[number]

    def _failed(self, worker: _Worker, reason: str) -> None:
        worker.failures += 1
        worker.again = time.monotonic() + min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (worker.failures - 1))
        if worker.failures == 1:
            self._cluster._report(f"{worker.name}: left out for now: {reason}")
        if all(other.failures >= TRIES for other in self._cluster._known.values()):
            what = BOARD if self._cluster._resources else "worker"
            raise ClusterError(f"no {what} is left; the last said: {reason}")

    def _look(self) -> None:
        """Which workers are there now; what waits for none of them goes elsewhere."""
        known = self._cluster._workers()
        self._lonely = 0.0 if known else self._lonely or time.monotonic()
        if self._lonely and time.monotonic() - self._lonely > WORKER_S:
            raise ClusterError(f"{self._cluster.name}: has had no worker for {WORKER_S:g} s")
        for number, task in self._tasks.items():
            if task.future is not None and task.allowed and not task.allowed & set(known):
                task.future.cancel()
                self._again(number)


def address(text: str) -> str:
    """The address of a scheduler as Dask takes it.

    Raises:
        ClusterError: it is none.
    """
    if re.fullmatch(r"((tcp|tls|ws|wss)://)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}", text):
        return text
    raise ClusterError(f"--cluster {printable(text)[:80]}: expected HOST:PORT of a Dask scheduler, or {LOCAL}")


# In a worker

_turn = threading.Lock()
"""Held while a job runs on the worker's board, or is closed: a board is one job's at a time."""
_holding: List[Any] = []
"""The job that has the board."""


def _close(job: Any) -> None:
    close = getattr(job, "close", None)
    if close is not None:
        close()


def _drop(job: Any) -> None:
    """Close a job, when its run is over."""
    with _turn:
        if job in _holding:
            _holding.remove(job)
        _close(job)


def _holder(job: Any, board: bool) -> Any:
    """What brings a job to every worker, those to come as well."""
    dask: Any = importlib.import_module("distributed")

    class Holder(dask.WorkerPlugin):  # type: ignore[misc]
        """A job's place in a worker."""

        def __init__(self) -> None:
            self.job, self.board = job, board

        def teardown(self, worker: Any) -> None:
            """Close the job; not in the thread that answers the scheduler, where a run must end first."""
            thread = threading.Thread(target=_drop, args=(self.job,), daemon=True)
            thread.start()
            thread.join(1.0)

    return Holder()


def _work(name: str, item: Any) -> _Answer:
    """Run a job on an item."""
    dask: Any = importlib.import_module("distributed")
    worker = dask.get_worker()
    about = worker.address, str(worker.name)
    holder = worker.plugins.get(name)
    if holder is None:
        return _Answer(*about, None, "does not know the job")
    try:
        if not holder.board:
            return _Answer(*about, holder.job(item))
        with _turn:
            if _holding != [holder.job]:
                for other in _holding:
                    _close(other)
                _holding[:] = [holder.job]
            return _Answer(*about, holder.job(item))
    except WorkerError as error:
        return _Answer(*about, None, line(error))


# For commands


def add_options(parser: argparse.ArgumentParser) -> None:
    """`--cluster`."""
    parser.add_argument(
        "--cluster",
        metavar="HOST:PORT",
        help=f"spread the work over the workers of this Dask scheduler; {LOCAL}: over one a core of this machine",
    )


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def by_number(count: int) -> Dict[str, Dict[str, str]]:
    """So many workers for `Cluster`, named by their numbers."""
    return {f"worker {number}": {} for number in range(count)}


@contextmanager
def spread(where: Optional[str], jobs: Optional[int] = None) -> Iterator[Callable[..., Iterator[Any]]]:
    """What maps a job over items, in order: on a cluster, or in this process where none is asked for.

    Args:
        where: of `--cluster`.
        jobs: processes of this machine, for `local`; one a core by default.

    Raises:
        ClusterError: as `Cluster`'s.
    """
    if where is None:
        yield map
        return
    with Cluster(None if where == LOCAL else where, by_number(jobs or cores())) as cluster:
        yield lambda job, items: (outcome.value for outcome in cluster.map(job, items))
