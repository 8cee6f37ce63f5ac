"""Campaigns of random networks: what a seed stands for, what is told of one that fails, and how a campaign goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim import hls_csim, rtl_sim, soak
from sim.core_io import Stats


def test_seeds_stand_for_cases_of_all_kinds() -> None:
    cases = [case for case in map(soak.drawn, range(1, 41)) if case]
    assert len(cases) > 25 and {case.build for case in cases} == set(soak.BUILDS)
    assert {case.memory.error[1] for case in cases if case.memory.error} == {"program", "images", "scores"}
    assert len({case.memory.stall for case in cases}) == 4 and len({len(case.images) for case in cases}) > 4
    rings = [case for case in cases if case.placed.ring_base]
    assert len(rings) > 4 and {case.build for case in rings} == set(soak.BUILDS)
    assert any(case.placed.sub_batch < case.placed.batch < len(case.images) for case in rings)
    again = soak.drawn(1)
    first = soak.drawn(1)
    assert again and first and np.array_equal(again.images, first.images) and again.memory == first.memory


class Said:
    """In place of a simulation: gives what it was told to."""

    def __init__(self, *errors: int) -> None:
        self._errors = errors

    def run(self, program: bytes, images: np.ndarray) -> Any:
        raise hls_csim.CsimError("no end")

    def sequence(self, jobs: list[rtl_sim.Job], memory: rtl_sim.Memory) -> list[rtl_sim.RtlRun]:
        assert len(jobs) == 3 and memory.error and memory.error[0] == 1
        scores = np.zeros((len(jobs[0].images), 1), np.int32)
        return [rtl_sim.RtlRun(scores, {}, Stats(0, error), []) for error in self._errors]


def test_what_is_told_of_a_case(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A core that does not run, one that does not see an error, one that never ends with another, and wrong traces."""
    monkeypatch.setattr(soak, "csim", lambda *_: Said())
    seed = next(seed for seed in range(1, 99) if soak.drawn(seed))
    with monkeypatch.context() as patch:
        patch.setattr(soak, "faults", lambda *_: [])
        for errors, told in (
            ((0, 4, 0), []),
            ((0, 0, 0), ["RTL: run 1 ended with error 0, expected 4"]),
            ((0, 4, 4), ["RTL: run 2 ended with error 4, expected 0"]),
        ):
            patch.setattr(soak, "rtl", lambda *_, errors=errors: Said(*errors))
            assert soak.Campaign(tmp_path)(seed) == (seed, ["HLS: no end", *told])
    monkeypatch.setattr(soak, "rtl", lambda *_: Said(0, 4, 0))
    _, found = soak.Campaign(tmp_path)(seed)
    assert any("no trace" in text for text in found) and found.count("RTL: scores differ") == 2


def test_a_campaign_goes_on_and_tells_what_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[int] = []

    def run(campaign: soak.Campaign, seed: int) -> tuple[int, list[str]]:
        ran.append(seed)
        if seed == bad:
            return seed, ["RTL: scores differ"]
        return seed, []

    monkeypatch.setattr(soak.Campaign, "__call__", run)
    monkeypatch.setattr(soak, "commit", lambda: "abc")
    planned = [seed for seed in range(1, 30) if soak.drawn(seed)]
    bad = planned[3]
    where = ["-o", str(tmp_path)]
    assert soak.main(["--networks", "3", *where]) == 0 and ran == planned[:3]
    assert "3 networks, 0 of which differ; " in capsys.readouterr().out
    assert soak.main(["--networks", "2", *where]) == 1 and ran == planned[:5]
    out = capsys.readouterr().out
    assert f"seed {bad}: RTL: scores differ; again: bnn soak --seed {bad}\n" in out
    assert f"5 networks, 1 of which differ: seeds {bad}; " in out and "commit abc" in out
    assert soak.main(["--seed", str(bad), *where]) == 1 and "scores differ" in capsys.readouterr().out
    monkeypatch.setattr(soak, "NETWORKS", 6)
    assert soak.main(where) == 1 and ran == [*planned[:5], bad, planned[5]]
    monkeypatch.setattr(soak, "commit", lambda: "def")
    assert soak.main(["--networks", "1", *where]) == 0 and ran[-1] == planned[0]
    assert "is of commit abc, starts anew" in capsys.readouterr().out
    assert json.loads((tmp_path / "soak.json").read_text())["seeds"][str(planned[0])] == []
    (tmp_path / "soak.json").write_text("[]")
    assert soak.main(["--networks", "1", *where]) == 1
    assert (
        capsys.readouterr().err == f"error: {tmp_path}/soak.json: is no record of a campaign (list indices must be "
        "integers or slices, not str)\n"
    )
