"""Many boards and processors on Dask: every image once and in order, whatever dies, hangs or comes back."""

from __future__ import annotations

import csv
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pynq")
pytest.importorskip("distributed")

from helpers.board import Station, next_host  # noqa: E402
from helpers.host import CLASSES, DESIGN, images, make_model  # noqa: E402

from bnn import cluster as clusters  # noqa: E402
from bnn import golden  # noqa: E402
from bnn.cluster import LOCAL, Cluster, ClusterError, WorkerError, by_number  # noqa: E402
from bnn.model import save  # noqa: E402
from hls import explore  # noqa: E402
from hls.wired import topologies  # noqa: E402
from host import accelerator, bench_cluster, cluster, pynq_infer  # noqa: E402
from host import images as sources  # noqa: E402
from sim.board.server import Board, Server  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
IMAGES = 10_000
BOARDS = 8


@pytest.fixture(scope="module")
def stations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Station]]:
    made = [Station(tmp_path_factory.mktemp(f"board{number}")) for number in range(BOARDS)]
    yield made
    for station in made:
        station.close()


def restart(station: Station) -> None:
    """Serve a board again whose server was closed."""
    station.server = Server(Board(DESIGN, station.core, station.memory), station.host)


def over(stations: list[Station], timeout_s: float, said: list[str]) -> cluster.Spread:
    first = stations[0]
    program = accelerator.read_program(first.code, first.bit)
    hosts = [item.host for item in stations]
    return cluster.over_boards(LOCAL, hosts, first.bit, program, timeout_s, 32, said.append)


def processes(of: Cluster) -> dict[str, int]:
    """The process of every local worker, by the worker's name."""
    return {str(nanny.name): nanny.pid for nanny in of._local.workers.values()}


@pytest.mark.slow
def test_eight_boards_of_which_workers_die_and_boards_hang_and_go_away(stations: list[Station]) -> None:
    """10,000 images: none is lost, doubled or out of its place."""
    said: list[str] = []
    many = over(stations, 10.0, said)
    hangs, gone = stations[0], stations[6]
    found: list[np.ndarray] = []
    try:
        assert many.part(IMAGES) == many.item == cluster.RUNS * 32
        for scores in many.stream(images(IMAGES)):
            found.append(scores)
            if len(found) in (10, 20, 30):  # of boards 1 to 3
                os.kill(processes(many._cluster)[stations[len(found) // 10].host], signal.SIGKILL)
            if len(found) == 12:
                hangs.core.hangs = True
                gone.server.close()
            if len(found) == 50:
                hangs.core.hangs = False
                restart(gone)
    finally:
        many.close()
        hangs.core.hangs = False
    assert np.array_equal(np.concatenate(found), golden.infer(make_model(), images(IMAGES)))
    assert sum(many.shares.values()) == IMAGES and set(many.shares) <= {item.host for item in stations}
    out = {text.split(":")[0] for text in said if "left out for now" in text}
    assert out <= {hangs.host, gone.host} and gone.host in out, said
    assert all(item.memory.used == (0, 0) for item in stations[4:6]), "boards whose worker lived are left as they were"


def test_a_board_that_comes_back_works_again(stations: list[Station]) -> None:
    station = stations[7]
    said: list[str] = []
    many = over([station], 20.0, said)
    try:
        station.server.close()
        parts = many.stream(images(70))
        report = many._cluster._report
        many._cluster._report = lambda text: (report(text), restart(station) if "left out" in text else None)
        assert np.array_equal(np.concatenate(list(parts)), golden.infer(make_model(), images(70)))
        assert [text.split(":")[1] for text in said] == [" left out for now", " works again"]
    finally:
        many.close()


@pytest.fixture(scope="module")
def pair() -> Iterator[Cluster]:
    """Two workers of this machine."""
    with Cluster(workers=by_number(2), report=lambda text: None) as made:
        yield made


def twice(item: int) -> tuple[int, int]:
    return os.getpid(), 2 * item


def test_a_worker_that_no_longer_answers_is_replaced() -> None:
    """It is stopped, so that its connections stay open."""
    found = []
    with Cluster(workers=by_number(2), report=lambda text: None, silent_s=5.0) as closely:
        for outcome in closely.map(twice, range(40)):
            found.append(outcome.value[1])
            if outcome.value[1] == 20:
                os.kill(outcome.value[0], signal.SIGSTOP)
    assert found == [2 * number for number in range(40)]


def slow_first(item: int) -> tuple[int, int]:
    time.sleep(0 if item else 2)
    return twice(item)


def test_items_are_taken_as_workers_become_free(pair: Cluster) -> None:
    """While the results of many wait for the first."""
    taken = []
    items = (taken.append(number) or number for number in range(1000))
    for number, outcome in enumerate(pair.map(slow_first, items)):
        assert outcome.value[1] == 2 * number and len(taken) <= number + 1 + 2 * clusters.KEPT
    assert len(taken) == 1000


def unable(item: int) -> int:
    raise WorkerError("no board")


def wrong(item: int) -> float:
    return 1 / (item - 3)


def deadly(item: int) -> int:
    if item == 1:
        os._exit(1)
    return item


def test_workers_that_are_unable_end_the_work(pair: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "FIRST_PAUSE_S", 0.01)
    with pytest.raises(ClusterError, match="^no worker is left; the last said: no board$"):
        list(pair.map(unable, range(3)))
    assert [outcome.value[1] for outcome in pair.map(twice, range(3))] == [0, 2, 4]


def test_a_defect_of_the_job_is_told_as_it_is(pair: Cluster) -> None:
    with pytest.raises(ZeroDivisionError):
        list(pair.map(wrong, range(9)))


def test_an_item_that_ends_its_workers_ends_the_work(pair: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "DEATHS", 2)
    with pytest.raises(ClusterError, match="^every worker that takes item [01] dies$"):
        list(pair.map(deadly, range(2)))


KILLED = """
import os, signal, sys
from bnn.cluster import Cluster, by_number
if __name__ == "__main__":
    with Cluster(workers=by_number(1)) as made:
        print(made._client.submit(os.getpid).result(), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_end_with_a_process_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "killed.py").write_text(KILLED)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    script = [sys.executable, str(tmp_path / "killed.py")]
    done = subprocess.Popen(script, stdout=subprocess.PIPE, text=True, env=environment)
    out, _ = done.communicate(timeout=50)  # the pipe closes when the worker, which holds it too, has ended
    assert done.returncode == -signal.SIGKILL and int(out) != done.pid


# The commands


@contextmanager
def scheduler(workers: int, *options: str) -> Iterator[str]:
    """The address of a scheduler that runs, with workers started as its users do."""
    dask = [sys.executable, "-m", "dask"]
    quiet = {"stderr": subprocess.PIPE, "text": True, "cwd": ROOT, "env": {**os.environ, "PYTHONPATH": str(ROOT)}}
    started = [
        subprocess.Popen([*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"], **quiet)  # type: ignore[call-overload]
    ]
    try:
        address = None
        while address is None:
            text = started[0].stderr.readline()
            assert text, "the scheduler has ended"
            found = re.search(r"Scheduler at: +tcp://(\S+)", text)
            address = found and found[1]
        for _ in range(workers):
            started.append(
                subprocess.Popen(
                    [*dask, "worker", address, "--nthreads", "1", "--no-dashboard", *options],
                    **{**quiet, "stderr": subprocess.DEVNULL},  # type: ignore[call-overload]
                )
            )
        yield address
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(30)


@pytest.fixture
def model(tmp_path: Path) -> list[str]:
    """Arguments: the small model on the processor, and 40 images with labels."""
    save(make_model(), tmp_path / "m.npz")
    wanted = golden.infer(make_model(), images(40))
    np.savez(tmp_path / "x.npz", x=images(40), y=wanted.argmax(1))
    return ["--cpu", "--model", str(tmp_path / "m.npz"), "--images", str(tmp_path / "x.npz")]


def test_a_scheduler_that_runs(
    stations: list[Station], model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One worker that owns a board; processors' batches run on it as well."""
    wanted = golden.infer(make_model(), images(40))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYNQ_REMOTE_DEVICES", stations[4].host)
        with scheduler(1, "--resources", "board=1") as address:
            patch.delenv("PYNQ_REMOTE_DEVICES")
            out = ["--cluster", address, "--npy", str(tmp_path / "s.npy"), "--json"]
            assert pynq_infer.main([*model, *out]) == 0
            result = json.loads(capsys.readouterr().out)
            assert np.array_equal(np.load(tmp_path / "s.npy"), wanted) and "scores" not in result
            assert (result["correct"], list(result["workers"].values())) == (40, [40])
            board = [*stations[4].arguments()[:4], "--images", model[-1], "--batch", "3", *out]
            assert pynq_infer.main(board) == 0
            result = json.loads(capsys.readouterr().out)
            assert np.array_equal(np.load(tmp_path / "s.npy"), wanted) and result["runs"] == 4 * 3 + 2
    assert stations[4].memory.used == (0, 0)


def test_boards_on_the_command_line(
    stations: list[Station], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of three addresses is nobody's."""
    np.save(tmp_path / "x.npy", images(17))
    boards = ",".join([stations[4].host, next_host(), stations[5].host])
    arguments = [*stations[4].arguments()[:4], "--images", str(tmp_path / "x.npy"), "--batch", "1", "--json"]
    assert pynq_infer.main([*arguments, "--boards", boards, "--csv", str(tmp_path / "s.csv")]) == 0
    streams = capsys.readouterr()
    result = json.loads(streams.out)
    wanted = golden.infer(make_model(), images(17))
    assert result["scores"] == wanted.tolist() and sum(result["workers"].values()) == 17
    rows = list(csv.reader((tmp_path / "s.csv").open()))[1:]
    assert [row[0] for row in rows] == [f"x.npy[{number}]" for number in range(17)]
    assert [list(map(int, row[3:])) for row in rows] == wanted.tolist()
    assert all("left out for now" in text for text in streams.err.splitlines())


def test_errors_in_one_line(
    model: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(where: str) -> str:
        assert pynq_infer.main([*model, "--cluster", where]) == 1
        text = capsys.readouterr().err
        assert text.startswith("error: ") and text.count("\n") == 1
        return text[7:-1]

    for bad in ("", "nowhere", "http://a:80", "a:b", "a:1/x", "a b:1", "a:999999", "x\ny:1"):
        assert re.fullmatch(r"--cluster .*: expected HOST:PORT of a Dask scheduler, or local", said(bad)), bad
    monkeypatch.setattr(clusters, "CONNECT_S", 0.5)
    monkeypatch.setattr(clusters, "WORKER_S", 0.5)
    assert said("127.0.0.1:9") == "127.0.0.1:9: no Dask scheduler answers within 0.5 s"
    monkeypatch.setattr(clusters, "CONNECT_S", 15.0)
    with scheduler(0) as address:
        assert said(address) == f"{address}: has no worker after 0.5 s"
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert said("local") == "a cluster needs distributed (pip install 'bnn-fpga[cluster]')"
    with pytest.raises(SystemExit):
        pynq_infer.main(["--bit", "a", "--program", "b", "--boards", "c,d", "--cluster", "e:1", "--images", "x"])
    assert "give either --cluster or --boards" in capsys.readouterr().err


def test_a_million_images_need_no_memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They stay in their file, and the scores go to theirs, a part at a time."""
    count = 1_000_000
    mapped = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.uint8, (count, 9, 7, 1))
    mapped[-3:] = images(3)
    del mapped
    save(make_model(), tmp_path / "m.npz")
    arguments = ["--cpu", "--model", str(tmp_path / "m.npz"), "--images", str(tmp_path / "x.npy")]
    pynq_infer.main([*arguments, "--limit", "1"])
    tracemalloc.start()
    try:
        assert pynq_infer.main([*arguments, "--npy", str(tmp_path / "s.npy")]) == 0
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    found = np.load(tmp_path / "s.npy", mmap_mode="r")
    assert found.shape == (count, 3) and np.array_equal(found[-3:], golden.infer(make_model(), images(3)))
    assert f"... {count - 20} more" in capsys.readouterr().out


def test_results_of_work_that_fails_are_not_left(tmp_path: Path) -> None:
    from host.report import Results

    with (
        pytest.raises(ClusterError),
        Results(["a", "b"], None, list(CLASSES), 0, tmp_path / "a", tmp_path / "b") as out,
    ):
        out.add(np.zeros((1, 3), np.int32))
        raise ClusterError("gone")
    assert list(tmp_path.iterdir()) == []


def test_names_of_an_arrays_images() -> None:
    names = sources.Numbered("x", 5)
    assert list(names) == [f"x[{number}]" for number in range(5)] and names[-1] == "x[4]"
    assert list(names[1:3]) == ["x[1]", "x[2]"] and list(names[1:][1:]) == ["x[2]", "x[3]", "x[4]"]
    with pytest.raises(IndexError):
        names[5]


# Images for the workers of this machine


def test_a_part_is_sent_as_a_name_and_leaves_nothing() -> None:
    wanted = images(1000)
    part = cluster.Part(wanted)
    sent = pickle.dumps(part)
    name = pickle.loads(sent)
    assert len(sent) < 200 and isinstance(name, str) and np.array_equal(cluster.images_of(name), wanted)
    assert cluster.images_of(wanted) is wanted
    del part
    with pytest.raises((OSError, ValueError)):  # another file's number by now
        cluster.images_of(name)


@pytest.mark.parametrize("shares", [True, False])
def test_few_images_are_shared_out_evenly(shares: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processors have `PARTS` parts each; with files in memory and without."""
    made, part = [], cluster.Part

    def kept(images: np.ndarray) -> cluster.Part:
        made.append(len(images))
        return part(images)

    monkeypatch.setattr(cluster, "Part", kept)
    monkeypatch.setattr(cluster, "SHARES", shares)
    engine = cluster.over_processors(LOCAL, make_model(), 2)
    try:
        assert [engine.part(count) for count in (0, 1, 17, 80)] == [1, 1, 3, 10]
        assert engine.part(1 << 30) == engine.item
        found = list(engine.stream(images(17)))
        assert [len(scores) for scores in found] == [3, 3, 3, 3, 3, 2]
        assert made == ([3, 3, 3, 3, 3, 2] if shares else [])
        assert np.array_equal(np.concatenate(found), golden.infer(make_model(), images(17)))
    finally:
        engine.close()


# Searches and studies


def test_searches_find_the_same(pair: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a cluster and those of this process."""
    monkeypatch.setattr(clusters, "Cluster", lambda *arguments: _Lent(pair))
    few = {"pe": (8, 16), "simd": (64,), "lanes": (4,), "first_pe": (8,), "weight_depth": (512, 1024)}
    monkeypatch.setattr(explore, "RANGES", {**explore.RANGES, **few, "act_depth": (4096, 8192)})
    lone = explore.explore([explore.find("tiny")], "pynq_z1", 100.0)
    assert explore.explore([explore.find("tiny")], "pynq_z1", 100.0, where=LOCAL) == lone
    search = (8, 8, 1), 4, [8, 16], 1, 48_000
    alone = topologies.search(*search)  # first: what da4ml compiles, for a minute and a half, the workers find compiled
    assert topologies.search(*search, where=LOCAL) == alone != []


class _Lent:
    """A cluster that stays when it is left."""

    def __init__(self, made: Cluster) -> None:
        self._made = made

    def __enter__(self) -> Cluster:
        return self._made

    def __exit__(self, *error: Any) -> None:
        pass


def test_the_bench(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ITEM_BYTES", 1 << 12)
    save(make_model(), tmp_path / "m.npz")
    arguments = [str(tmp_path / "m.npz"), "--workers", "2", "--rounds", "2", "--seconds", "0"]
    assert bench_cluster.main([*arguments, "-o", str(tmp_path / "b.json")]) == 0
    found = json.loads((tmp_path / "b.json").read_text())
    assert list(found["workers"]) == ["1", "2"] and found["workers"]["1"]["of_linear"] == 1
    assert all(len(item["passes"]) == 2 and 0 < item["bound_of_linear"] < 1 for item in found["workers"].values())
    assert "2 workers: " in capsys.readouterr().out
