"""A process with as much memory as a board: started as a script, it runs a network on images and says what it took.

python board_memory.py NETWORK IMAGES                  prints the peak after half of the images, and after all, KiB
python board_memory.py infer ARGUMENTS                 the command of that name
"""

from __future__ import annotations

import mmap
import resource
import sys
from pathlib import Path

BYTES = 512 << 20
"""Memory of a PYNQ-Z1."""
PART = 64 << 20
taken: list[mmap.mmap] = []


def limit() -> None:
    """Leave this process BYTES of addresses, whatever it takes them for.

    QEMU keeps no limit that an emulated process of 32 bits sets. There all other addresses are taken, for nothing.
    """
    if sys.maxsize > 1 << 32:
        resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
        return
    try:
        while len(taken) < (1 << 32) // PART:
            taken.append(mmap.mmap(-1, PART, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 0))
    except OSError:
        del taken[-(BYTES // PART) :]


def peak() -> int:
    """The most memory that this program has had, KiB; getrusage has that of the process that started it, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    limit()
    if sys.argv[1] == "infer":
        from host import pynq_infer

        sys.exit(pynq_infer.main(sys.argv[2:]))

    import numpy as np

    from bnn import cpu
    from bnn.networks import network
    from bnn.random_models import random_model

    model = random_model(network(sys.argv[1]))
    half = int(sys.argv[2]) // 2
    images = np.random.default_rng(1).integers(0, 256, (2 * half, model.height, model.width, model.channels), np.uint8)
    engine = cpu.Engine(model)
    for part in (images[:half], images[half:]):
        engine.infer(part)
        print(peak())


if __name__ == "__main__":
    main()
