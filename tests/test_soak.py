"""Campaigns of random networks: what a seed stands for, what is told of one that fails, and how a campaign goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.cores import built

from sim import hls_csim, rtl_sim, soak


def test_seeds_stand_for_cases_of_all_kinds() -> None:
    cases = [case for case in map(soak.drawn, range(1, 41)) if case]
    assert len(cases) > 25 and {case.build for case in cases} == set(soak.BUILDS)
    assert {case.memory.error[1] for case in cases if case.memory.error} == {"program", "images", "scores"}
    assert len({case.memory.stall for case in cases}) == 4 and len({len(case.images) for case in cases}) > 4
    again = soak.drawn(1)
    first = soak.drawn(1)
    assert again and first and np.array_equal(again.images, first.images) and again.memory == first.memory


@pytest.mark.skipif(
    rtl_sim.find_verilator() is None or shutil.which("g++") is None, reason="verilator or g++ is not installed"
)
def test_what_is_told_of_a_case(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The RTL core as it is, in place of the HLS core one that refuses; then a bus without the awaited error."""

    def refuse(*_: Any) -> Any:
        raise hls_csim.CsimError("no compiler\nat all")

    monkeypatch.setattr(soak, "csim", refuse)
    monkeypatch.setattr(soak, "rtl", lambda design, folder: built(design))
    seed, case = next((seed, case) for seed in range(1, 99) if (case := soak.drawn(seed)) and case.build == "small")
    campaign = soak.Campaign(tmp_path)
    assert campaign(seed) == (seed, ["HLS: no compiler"])
    calm = case._replace(memory=rtl_sim.Memory())
    assert campaign.run(calm)[1:] == ["RTL: run 1 ended with error 0, expected 4"]
    other = case._replace(images=255 - case.images)
    expected = {name: array.copy() for name, array in soak.golden.trace(case.placed.model, other.images).items()}
    monkeypatch.setattr(soak.golden, "trace", lambda model, images: expected)
    assert any(text.startswith("RTL: ") for text in campaign.run(case)[1:])


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
    assert soak.main(["--count", "3", *where]) == 0 and ran == planned[:3]
    assert "3 networks, 0 of which differ; " in capsys.readouterr().out
    assert soak.main(["--count", "2", *where]) == 1 and ran == planned[:5]
    out = capsys.readouterr().out
    assert f"seed {bad}: RTL: scores differ; again: bnn soak --seed {bad}\n" in out
    assert f"5 networks, 1 of which differ: seeds {bad}; " in out and "commit abc" in out
    assert soak.main(["--seed", str(bad), *where]) == 1 and "scores differ" in capsys.readouterr().out
    monkeypatch.setattr(soak, "NETWORKS", 6)
    assert soak.main(where) == 1 and ran == [*planned[:5], bad, planned[5]]
    monkeypatch.setattr(soak, "commit", lambda: "def")
    assert soak.main(["--count", "1", *where]) == 0 and ran[-1] == planned[0]
    assert "is of commit abc, starts anew" in capsys.readouterr().out
    assert json.loads((tmp_path / "soak.json").read_text())["seeds"][str(planned[0])] == []
    (tmp_path / "soak.json").write_text("[]")
    assert soak.main(["--count", "1", *where]) == 1
    assert (
        capsys.readouterr().err == f"error: {tmp_path}/soak.json: is no record of a campaign (list indices must be "
        "integers or slices, not str)\n"
    )
