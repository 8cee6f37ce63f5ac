"""Damaged programs through every core: python tests/run_damaged.py [--programs 10000] [CORE ...]

A program's number is the seed of its damage. A core must end a run with the code that the rules give
(`helpers.damage`). What is done is kept for the commit, in CORE.json of the folder, so that a campaign can go on.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:1] = [str(ROOT), str(ROOT / "tests")]

from helpers.damage import CORES, Damage, Program, Run, can_run, fault  # noqa: E402

from bnn.errors import ExpectedError, line  # noqa: E402
from bnn.output import progress  # noqa: E402
from sim.soak import Record  # noqa: E402

AT_ONCE = 100
"""Programs that a core gets together, after which the record is written."""


def wrong(run: Run, programs: dict[int, Program]) -> Iterator[tuple[int, list[str]]]:
    """Every program's number and what is wrong with its run; where a run fails, they are run one by one."""
    try:
        codes = dict(zip(programs, run(list(programs.values())), strict=True))
    except (AssertionError, ExpectedError) as error:
        if len(programs) == 1:
            yield next(iter(programs)), [line(error)]
            return
        for number, one in programs.items():
            yield from wrong(run, {number: one})
        return
    for number, code in codes.items():
        said = fault(programs[number], code)
        yield number, [said] if said else []


def campaign(core: str, folder: Path, programs: int) -> Record:
    """Run the programs that the record does not have yet; one line for each that is wrong."""
    record, damage = Record(folder / f"{core}.json"), Damage()
    left = [number for number in range(programs) if number not in record.seeds]
    parts = [left[at : at + AT_ONCE] for at in range(0, len(left), AT_ONCE)]
    run = CORES[core]()
    for part in progress(parts, core, len(parts)):
        every = {number: damage.program(number) for number in part}
        chosen = {number: one for number, one in every.items() if can_run(core, one)}
        record.seeds.update(dict.fromkeys(every))
        for number, found in wrong(run, chosen):
            record.seeds[number] = found
            for text in found:
                print(f"{core}: program {number}: {text}", flush=True)
        record.save()
    return record


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; arguments are those of the process if left out. Gives its exit status."""
    parser = argparse.ArgumentParser(description="damaged programs through every core")
    parser.add_argument("cores", nargs="*", metavar="CORE", help=f"of {', '.join(CORES)} (default: all)")
    parser.add_argument("--programs", type=int, default=10_000, help="number of programs (default 10000)")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "build" / "damaged", help="folder of records")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.cores if name not in CORES]
    if unknown:
        parser.error(f"{unknown[0]}: unknown, expected one of {', '.join(CORES)}")
    failed = False
    try:
        for core in options.cores or CORES:
            record = campaign(core, options.output, options.programs)
            print(
                f"{core}: {len(record.seeds)} damaged programs, {record.ran} of them run, {len(record.failed)} of "
                f"which end with another code than the rules'; {datetime.date.today()}, commit {record.commit}",
                flush=True,
            )
            failed = failed or bool(record.failed)
    except (ExpectedError, OSError) as error:  # a record that is none, a folder, or no tools for a core
        print(f"error: {line(error)}", file=sys.stderr)
        return 1
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
