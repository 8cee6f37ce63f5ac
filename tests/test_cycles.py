"""The cycle model's port of the activation memory; tests/test_cores.py holds the whole model to the RTL."""

from __future__ import annotations

import random

from hls.cycles import _Port


def test_the_port_gives_what_the_array_leaves() -> None:
    """Against a list of cycles: spans of any period, also without a free cycle, apart or one behind the other."""
    draw = random.Random(1)
    for _ in range(300):
        port, free, now = _Port(), [True] * 4000, 0
        for _ in range(draw.randint(0, 8)):
            begin, period, blocks = now + draw.randint(0, 40), draw.randint(1, 30), draw.randint(1, 12)
            taken = draw.randint(0, period)
            port.take(begin, blocks, period, taken)
            for block in range(blocks):
                at = begin + block * period
                free[at : at + taken] = [False] * taken
            now = begin + blocks * period
        begin = 0
        for _ in range(30):
            begin += draw.randint(0, 30)
            wanted = draw.randint(1, 12)
            given = port.give(begin, wanted)
            end = int(given)
            assert end == given and sum(free[begin:end]) == wanted and free[end - 1]


def test_a_span_begins_behind_the_one_before() -> None:
    port = _Port()
    port.take(10, 1, 4, 4)
    port.take(12, 1, 4, 5)  # from 14 on, no more than its period
    assert port.give(0, 10) == 10 and port.give(10, 1) == 19
