"""Fuzzes one reader, guided by the code that inputs reach: python guided.py FORMAT [libFuzzer's arguments]

An input is a finding where the reader raises anything but a refusal, takes more than SECONDS of the processor, or more
than BYTES of memory.
"""

from __future__ import annotations

import io
import json
import random
import resource
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris

SECONDS = 2.0
BYTES = 300 << 20
ROOT = Path(__file__).resolve().parents[2]
INSTRUMENTED = ["bnn", "host", "hls", "train", "fuzz", "zipfile", "tomllib", "PIL", "onnx.helper", "qonnx"]


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def peak() -> int:
    """The most that was resident since `reset_peak`."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


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


NUMBERS = (0, 1, -1, 2, 3, 7, 255, 1 << 15, (1 << 31) - 1, -(1 << 31))


def mutated_value(value: Any, rng: random.Random) -> Any:
    """Another text, number or truth value in place of one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice([*NUMBERS, value + 1, value - 1, value * 2])
    if isinstance(value, float):
        return rng.choice([0.0, -value, value * 2, 1e30, -1.5, float("inf"), float("nan")])
    if isinstance(value, bytes):
        return atheris.Mutate(value or b"x", len(value) + 64)
    return atheris.Mutate(value.encode() or b"x", 64).decode("utf-8", "ignore")


def mutated_message(data: bytes, most: int, rng: random.Random) -> bytes:
    """An ONNX file with one field of one of its messages changed: raw changes hardly get past the lengths."""
    import onnx

    proto = onnx.load_from_string(data)
    places: list[tuple[Any, Any]] = []
    messages = [proto]
    while messages:
        message = messages.pop()
        for field, value in message.ListFields():
            places.append((message, field))
            if field.message_type is not None:
                messages += value if field.label == field.LABEL_REPEATED else [value]
    message, field = rng.choice(places)
    value = getattr(message, field.name)
    if field.label == field.LABEL_REPEATED:
        at, item = rng.randrange(len(value)), rng.random()
        if item < 0.3:
            del value[at]
        elif item < 0.6 or field.message_type is not None:
            value.append(value[at])
        else:
            value[at] = mutated_value(value[at], rng)
    elif field.message_type is not None:
        message.ClearField(field.name)
    else:
        setattr(message, field.name, mutated_value(value, rng))
    return bytes(proto.SerializeToString())


def mutated_symbol(data: bytes, most: int, rng: random.Random) -> bytes:
    """BMXNet's two files as `targets.read_bmxnet` takes them: one value of the symbol changed, or the arrays."""
    size = int.from_bytes(data[:4], "little")
    symbol, params = data[4 : 4 + size], data[4 + size :]
    if rng.random() < 0.3:
        return data[: 4 + size] + bytes(atheris.Mutate(params, most - 4 - size))
    tree = json.loads(symbol)
    places: list[tuple[Any, Any]] = []
    branches = [tree]
    while branches:
        branch = branches.pop()
        for key in range(len(branch)) if isinstance(branch, list) else list(branch):
            places.append((branch, key))
            if isinstance(branch[key], (list, dict)):
                branches.append(branch[key])
    branch, key = rng.choice(places)
    if isinstance(branch[key], (list, dict)) or rng.random() < 0.2:
        if rng.random() < 0.5 and isinstance(branch, list):
            branch.insert(key, branch[rng.randrange(len(branch))])
        else:
            del branch[key]
    else:
        branch[key] = mutated_value(branch[key], rng)
    changed = json.dumps(tree).encode()
    return len(changed).to_bytes(4, "little") + changed + params


def mutator(kind: Callable[[bytes, int, random.Random], bytes]) -> Callable[[bytes, int, int], bytes]:
    """What changes an input by what it is made of, or as bytes."""

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.7:
            try:
                found = kind(data, most, rng)
                if len(found) <= most:
                    return found
            except Exception:  # an earlier change left nothing of the kind, or says what cannot be written
                pass
        return bytes(atheris.Mutate(data, most))

    return mutate


MADE_OF = {"onnx": mutated_message, "bmxnet": mutated_symbol}


def main() -> None:
    name = sys.argv[1]
    sys.path[:1] = [str(ROOT), str(ROOT / "tests")]
    with atheris.instrument_imports(include=INSTRUMENTED):
        from fuzz import targets

        for seed in targets.FORMATS[name].seeds():  # imports what the reader imports
            targets.read(name, seed)

    def one(data: bytes) -> None:
        reset_peak()  # the fuzzer grows as well
        before = resident()
        began = time.process_time()
        targets.read(name, data)
        took = time.process_time() - began
        if took > SECONDS:
            raise RuntimeError(f"takes {took:.1f} s, expected at most {SECONDS:g}")
        if peak() - before > BYTES:
            raise RuntimeError(f"takes more than {BYTES >> 20} MB")

    kind = mutated_part if targets.FORMATS[name].archive else MADE_OF.get(name)
    own = {"custom_mutator": mutator(kind)} if kind else {}
    atheris.Setup([sys.argv[0], *sys.argv[2:]], one, **own)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
