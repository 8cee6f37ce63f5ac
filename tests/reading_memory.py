"""What reading files takes: a process of its own that prints, of each file, the most memory it took beyond before, KiB,
and what was said: python reading_memory.py FILE ...

FILE.onnx is an ONNX file; FILE.bmxnet are BMXNet's two files as `fuzz.targets` takes them, of images 4x4x1. The first
file is read before anything is measured, so that what it takes is loaded.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:1] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

from fuzz import targets  # noqa: E402


def kib(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def main() -> None:
    targets.SHAPE = (4, 4, 1)
    files = [(Path(name).suffix[1:], Path(name).read_bytes()) for name in sys.argv[1:]]
    targets.read(*files[0])
    for format_name, content in files:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is what is resident now
        before = kib("VmRSS")
        said = targets.read(format_name, content)
        print(kib("VmHWM") - before, said, flush=True)


if __name__ == "__main__":
    main()
