"""Fuzzes one reader, guided by the code that inputs reach: python guided.py FORMAT [libFuzzer's arguments]

An input is a finding where the reader raises anything but a refusal, takes more than SECONDS of the processor, or more
than BYTES of memory.
"""

from __future__ import annotations

import io
import random
import resource
import sys
import time
import zipfile
from pathlib import Path

import atheris

SECONDS = 2.0
BYTES = 300 << 20
ROOT = Path(__file__).resolve().parents[2]
INSTRUMENTED = ["bnn", "host", "hls", "train", "fuzz", "zipfile", "tomllib", "PIL", "onnx.helper", "qonnx"]


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def mutated_part(data: bytes, most: int, rng: random.Random) -> bytes:
    """An archive with one part of it changed: of raw changes hardly any gets past the checksums."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = [(item.filename, archive.read(item)) for item in archive.infolist() if item.file_size < most]
    place = rng.randrange(len(parts))
    name, content = parts[place]
    if rng.random() < 0.1:
        name = atheris.Mutate(name.encode(), 64).decode("latin-1") or "x"
    else:
        content = atheris.Mutate(content, most)
    parts[place] = name, content
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        for name, content in parts:
            archive.writestr(name, content)
    return out.getvalue()


def mutate(data: bytes, most: int, seed: int) -> bytes:
    rng = random.Random(seed)
    if rng.random() < 0.7:
        try:
            found = mutated_part(data, most, rng)
            if len(found) <= most:
                return found
        except Exception:  # what an earlier change left is no archive, or says what zipfile does not write
            pass
    return bytes(atheris.Mutate(data, most))


def main() -> None:
    name = sys.argv[1]
    sys.path[:1] = [str(ROOT), str(ROOT / "tests")]
    with atheris.instrument_imports(include=INSTRUMENTED):
        from fuzz import targets

        for seed in targets.FORMATS[name].seeds():  # imports what the reader imports
            targets.read(name, seed)
    limit, count = resident() + BYTES, 0

    def one(data: bytes) -> None:
        nonlocal limit, count
        count += 1
        if count % 1000 == 0:  # the fuzzer's own corpus grows
            limit = max(limit, resident() + BYTES)
        began = time.process_time()
        targets.read(name, data)
        took = time.process_time() - began
        if took > SECONDS:
            raise RuntimeError(f"takes {took:.1f} s, expected at most {SECONDS:g}")
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10 > limit:
            raise RuntimeError(f"takes more than {BYTES >> 20} MB")

    mutator = {"custom_mutator": mutate} if targets.FORMATS[name].archive else {}
    atheris.Setup([sys.argv[0], *sys.argv[2:]], one, **mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
