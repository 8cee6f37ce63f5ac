"""From the project to a bitstream that meets its timing: strategies in turn, then slower clocks.

A strategy places and routes the design anew, an hour each. A slower clock does not: the best routed design is timed
again with it, and its bitstream is the same; only the clock of the processing system, in the `.hwh`, is another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnn.output import note
from hls import hls_report, tools
from hls.boards import CLOCK_TOLERANCE
from hls.designs import Design
from hls.stages import BuildError, Runner, Stage

STRATEGIES = (
    "Vivado Implementation Defaults",
    "Performance_ExplorePostRoutePhysOpt",
    "Performance_ExtraTimingOpt",
    "Performance_NetDelay_high",
    "Congestion_SpreadLogic_high",
)
"""In the order in which they are tried; UG904, "Implementation Strategy Descriptions", lists them for 2021.1 to 2024.2,
and projects of Vivado 2018 and 2019 have them."""
SLOWER = 3
"""Dividers of the processing system's clock that are tried beyond the design's."""
ATTEMPTS, BITSTREAM = "attempts", "bitstream"
"""Folders of what was tried and of what it became."""


@dataclass(frozen=True)
class Attempt:
    """A design at a clock, in `ATTEMPTS`/`name`; `timing` as from `hls_report.timing`, None if it was not routed."""

    name: str
    strategy: str
    divider: int
    clock_mhz: float
    timing: dict[str, Any] | None

    @property
    def met(self) -> bool:
        return self.timing is not None and bool(self.timing["met"])

    @property
    def wns_ns(self) -> float:
        """Worst slack; minus infinity where it is not routed."""
        return float(self.timing["wns_ns"]) if self.timing else -math.inf

    @property
    def holds(self) -> bool:
        """Whether it is routed without hold violations, which no slower clock mends."""
        return self.timing is not None and self.timing["whs_ns"] >= 0

    def __str__(self) -> str:
        where = f"{self.strategy} at {self.clock_mhz:.6g} MHz"
        if self.timing is None:
            return f"{where}: not routed"
        return f"{where}: WNS {self.timing['wns_ns']} ns, WHS {self.timing['whs_ns']} ns"

    def summary(self) -> dict[str, Any]:
        """For report.json."""
        slack = {key: self.timing[key] for key in ("wns_ns", "whs_ns")} if self.timing else {}
        return {
            "name": self.name,
            "strategy": self.strategy,
            "divider": self.divider,
            "clock_mhz": round(self.clock_mhz, 3),
            "routed": self.timing is not None,
            "met": self.met,
            **slack,
        }


def bitfile(design: str) -> Path:
    """Where the bitstream of a design lies in its build folder, the `.hwh` beside it."""
    return Path(BITSTREAM) / f"{design}.bit"


def implement_stage(number: int, strategy: str) -> Stage:
    """Placing and routing with a strategy, as attempt `number` from 1."""
    return Stage(
        f"implement-{number}",
        tools.VIVADO,
        "vivado",
        "implement.tcl",
        ("vivado/implement.tcl",),
        (f"{ATTEMPTS}/{number}/status.txt",),
        {"BNN_ATTEMPT": str(number), "BNN_STRATEGY": strategy},
    )


def clock_stage(routed: Attempt, divider: int, clock_mhz: float) -> Stage:
    """Timing a routed design at a slower clock."""
    name = f"clock-{divider}"
    return Stage(
        name,
        tools.VIVADO,
        "vivado",
        "clock.tcl",
        ("vivado/clock.tcl",),
        (f"{ATTEMPTS}/{name}/timing.txt",),
        {"BNN_ATTEMPT": name, "BNN_FROM": routed.name, "BNN_PERIOD": f"{1000 / clock_mhz:.3f}"},
    )


def bitstream_stage(design: Design, attempt: Attempt) -> Stage:
    """Writing the bitstream of an attempt, with the clock of that in the `.hwh`."""
    bit = bitfile(design.name)
    names = (str(bit), str(bit.with_suffix(".hwh")), f"{BITSTREAM}/timing.txt", f"{BITSTREAM}/utilization.txt")

    def check(folder: Path) -> str:
        path = folder / bit.with_suffix(".hwh")
        found = hls_report.handoff_clock(path, design.board.ps.actual)
        if abs(found / attempt.clock_mhz - 1) > CLOCK_TOLERANCE:
            raise BuildError(f"{path}: the clock is {found:.6g} MHz, timing was met at {attempt.clock_mhz:.6g}")
        return ""

    return Stage(
        "bitstream",
        tools.VIVADO,
        "vivado",
        "bitstream.tcl",
        ("vivado/bitstream.tcl",),
        names,
        {"BNN_ATTEMPT": attempt.name, "BNN_MHZ": f"{attempt.clock_mhz:.3f}"},
        check,
    )


def run(
    runner: Runner,
    design: Design,
    before: str,
    strategies: int = len(STRATEGIES),
    cycles_per_image: float | None = None,
) -> Attempt:
    """Implement the project until its timing is met, write the bitstream, and put both into report.json.

    Args:
        runner: of the build folder; its stages up to the project are done.
        design: what is built.
        before: digest of the last of those stages.
        strategies: how many of `STRATEGIES` are tried before the clock is lowered.
        cycles_per_image: estimate of the model's, for images per second at the clock that it becomes.

    Returns:
        The attempt that became the bitstream.

    Raises:
        BuildError: every strategy leaves hold violations, none is routed, or no clock meets the timing.
        hls.tools.ToolError, hls.hls_report.ReportError: as `Runner.run`.
    """
    folder, ps = runner.folder, design.board.ps
    fastest = ps.divider(design.clock_mhz)
    tried: list[Attempt] = []

    def attempt(stage: Stage, digest: str, name: str, strategy: str, divider: int) -> str:
        done = runner.run(stage, digest)
        path = folder / ATTEMPTS / name / "timing.txt"
        tried.append(
            Attempt(name, strategy, divider, ps.pll_mhz / divider, hls_report.timing(path) if path.is_file() else None)
        )
        note(f"hls: {stage.name}: {tried[-1]}")
        return done

    digests: dict[str, str] = {}
    for number, strategy in enumerate(STRATEGIES[:strategies], 1):
        digests[str(number)] = attempt(implement_stage(number, strategy), before, str(number), strategy, fastest)
        if tried[-1].met:
            break
    holding = [item for item in tried if item.holds]
    if holding and not tried[-1].met:
        best = max(holding, key=lambda item: item.wns_ns)
        for divider in range(fastest + 1, fastest + 1 + SLOWER):
            stage = clock_stage(best, divider, ps.pll_mhz / divider)
            digests[stage.name] = attempt(stage, digests[best.name], stage.name, best.strategy, divider)
            if tried[-1].met:
                break
    chosen = tried[-1]
    if not chosen.met:
        hls_report.add_attempts(folder, [item.summary() for item in tried])
        why = "no clock meets the timing" if holding else "no strategy is routed without hold violations"
        raise BuildError(f"{why}: {'; '.join(map(str, tried))}")
    runner.run(bitstream_stage(design, chosen), digests[chosen.name])
    hls_report.add_implementation(
        folder, folder / BITSTREAM, chosen.summary(), [item.summary() for item in tried], cycles_per_image
    )
    return chosen
