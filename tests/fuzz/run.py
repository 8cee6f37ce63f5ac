"""Fuzz the readers of files: python tests/fuzz/run.py [--seconds 60] [--inputs 100000] [FORMAT ...]

Each format is fed for so many seconds, or inputs where these are given. Findings go to build/fuzz/FORMAT/findings; what
is mended is kept, small, in tests/fuzz/FORMAT, which tests/test_fuzz.py replays.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:1] = [str(ROOT), str(ROOT / "tests")]

from fuzz import native, targets  # noqa: E402

MOST_BYTES = 1 << 17
HANG_S = 60
"""What ends an input that never returns; one that takes more than two seconds of the processor is a finding anyway."""
MOST_FINDINGS = 25
AT_ONCE = 10_000
"""Inputs of one process: what changes inputs in Python keeps 100 to 300 KB of each, whatever the reader does."""


def command(name: str, out: Path) -> tuple[list[str], dict[str, str]]:
    """What fuzzes a format, and its environment."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    if name in native.FORMATS:
        environment["ASAN_OPTIONS"] = "detect_leaks=0:allocator_may_return_null=1"
        return [str(native.build(name, out, fuzzer_too=True)), "-rss_limit_mb=812"], environment
    return [sys.executable, str(HERE / "guided.py"), name, "-rss_limit_mb=4096"], environment


def seeds(name: str) -> list[bytes]:
    found = list(native.FORMATS[name].seeds() if name in native.FORMATS else targets.FORMATS[name].seeds())
    return found + [path.read_bytes() for path in targets.kept(name)]


def fuzz(name: str, out: Path, seconds: int, inputs: int) -> tuple[int, list[Path]]:
    """Feed a format; gives the number of inputs and what was found."""
    corpus, found = out / "corpus", out / "findings"
    shutil.rmtree(found, ignore_errors=True)
    for place in (corpus, found):
        place.mkdir(parents=True, exist_ok=True)
    for seed in seeds(name):
        (corpus / hashlib.sha1(seed).hexdigest()).write_bytes(seed)
    start, environment = command(name, out)
    total, until = 0, time.monotonic() + seconds
    with (out / "log").open("w") as log:
        while time.monotonic() < until and len(list(found.iterdir())) < MOST_FINDINGS and total < (inputs or 1 << 62):
            left = max(1, round(until - time.monotonic()))
            runs = min(AT_ONCE, inputs - total) if inputs else AT_ONCE
            line = [*start, str(corpus), f"-max_total_time={left}", f"-max_len={MOST_BYTES}", f"-timeout={HANG_S}"]
            line += [f"-runs={runs}", f"-artifact_prefix={found}/", "-print_final_stats=1", f"-seed={total + 1}"]
            line.append(f"-report_slow_units={HANG_S}")  # by the clock; what is too slow goes by the processor
            done = subprocess.run(
                line,
                cwd=out,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            log.write(done.stdout)
            log.flush()
            counts = re.findall(r"^(?:#|stat::number_of_executed_units: )(\d+)", done.stdout, re.MULTILINE)
            total += max(map(int, counts), default=0)
            if not counts:
                sys.exit(f"error: {name}: {done.stdout.strip().splitlines()[-1:]}, {out / 'log'} has more")
    return total, sorted(found.iterdir())


def main() -> int:
    parser = argparse.ArgumentParser(description="fuzz the readers of files")
    parser.add_argument(
        "formats", nargs="*", metavar="FORMAT", help=f"{', '.join([*targets.FORMATS, *native.FORMATS])}"
    )
    parser.add_argument("--seconds", type=int, default=60, help="for each format (default 60)")
    parser.add_argument("--inputs", type=int, default=0, help="end a format after so many")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "build" / "fuzz")
    options = parser.parse_args()
    names = [*targets.FORMATS, *native.FORMATS]
    unknown = [name for name in options.formats if name not in names]
    if unknown:
        parser.error(f"{unknown[0]}: unknown, expected one of {', '.join(names)}")
    failed = False
    print(f"{'format':<20}{'inputs':>10}{'seconds':>9}  findings", flush=True)
    for name in options.formats or names:
        if name in native.FORMATS and native.missing():
            print(f"{name:<20}{'-':>10}{'-':>9}  not fuzzed: {native.missing()}", flush=True)
            continue
        began = time.monotonic()
        total, found = fuzz(name, options.output / name, options.seconds, options.inputs)
        print(f"{name:<20}{total:>10}{time.monotonic() - began:>9.0f}  {len(found) or 'none'}", flush=True)
        failed = failed or bool(found)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
