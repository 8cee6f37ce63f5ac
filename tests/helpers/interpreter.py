"""Programs, interpreted word by word, against the golden network."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from bnn import golden
from bnn.golden import Output
from hls.program import pack
from hls.schedule import Plan
from sim import program_model
from sim.board.machine import Machine
from sim.compare import by_name, differences, written
from sim.core_io import joined


def interpreted(placed: Plan, images: np.ndarray) -> None:
    """Compare every bit and value that the program writes, and the scores, with the golden trace."""
    model, design = placed.model, placed.design
    parts: dict[int, list[Output]] = defaultdict(list)
    program = pack(placed)
    assert len(program) % 8 == 0
    scores = program_model.run(
        program,
        images,
        design.act_depth,
        design.weight_depth,
        lambda index, start, output: parts[index].append(output),
    )
    expected = golden.trace(model, images)
    got = by_name(placed, {index: joined(found) for index, found in parts.items()})
    assert not differences(written(placed, expected), got)
    assert np.array_equal(scores, expected[model.layers[-1].name])
    assert np.array_equal(Machine(program, design.act_depth).run(images), scores)
