"""Delay of nets before placement: a model fitted to paths of routed blocks.

    net_ns = near_ns * loads ** growth * (1 + spread * full / (full + HALF)),  and chain_ns more into a carry chain

`full` is the share of the part's LUTs that is taken. The blocks are five modules of this core, as it was before
its first layer and run controller were split, placed and routed one by one with an open tool on the XC7Z020-1:
each alone on an empty part, virtual pins, the worst path of one to three seeds. `full` was 1 to 15 %: what the model
says of a fuller part is extrapolated. The tool does not time LUT RAM and DSP slices, and knows no skew.
"""

from __future__ import annotations

from typing import NamedTuple

UNCERTAINTY_NS = 0.7
"""Taken off the clock's period: skew and uncertainty, which the fit does not have."""
HALF = 0.05
"""Share of the part at which half of the spread is there; of 0.02, 0.05, 0.1, 0.2 the one that fits best."""


class Fit(NamedTuple):
    """Parameters of the model: least squares of the relative error of the delay of `ROUTED`."""

    near_ns: float
    growth: float
    spread: float
    chain_ns: float


class Routed(NamedTuple):
    """The worst path of a routed block: its delay in ns, in cells and in wires, as the router has it.

    `loads` are those of the nets on the way that leave their slice, from the block's netlist of yosys; `chains`
    counts the carry chains, `full` is the block's share of the part.
    """

    block: str
    path: str
    full: float
    loads: tuple[int, ...]
    chains: int
    logic_ns: float
    wire_ns: float


ROUTED = (
    Routed("bnn_first_layer", "column, valid_o, pop_i, enable of a count", 0.152, (2, 1, 577, 19), 0, 1.28, 7.77),
    Routed("bnn_first_layer", "image memory, byte, lookup", 0.152, (2, 66, 1, 1, 2), 0, 3.20, 5.37),
    Routed("bnn_first_layer", "sub_some_q to a reset", 0.152, (5, 9, 57, 3), 0, 1.41, 6.53),
    Routed("bnn_first_layer", "group 8, PE 7", 0.152, (2, 2, 2, 2), 1, 1.69, 5.81),
    Routed("bnn_run", "beat to the enable of header_q", 0.027, (27, 4, 920), 0, 0.95, 7.94),
    Routed("bnn_run", "section_offset_q plus 64 bits", 0.027, (4, 2), 1, 3.19, 3.29),
    Routed("bnn_writeback", "go through three loops", 0.0135, (20, 20, 24, 19, 1), 0, 1.20, 5.69),
    Routed("bnn_sequencer", "go through three loops", 0.0115, (4, 78, 19, 19, 1), 0, 1.20, 4.36),
    Routed("bnn_tile", "first_q through an accumulator", 0.026, (18,), 1, 1.89, 2.59),
    Routed("bnn_tile", "count_clear_q to a reset", 0.026, (112,), 0, 0.93, 2.87),
)
"""The last three have one figure for their delay; logic is that of the path in the netlist."""

FIT = Fit(near_ns=0.34, growth=0.336, spread=1.263, chain_ns=1.682)


def net_ns(loads: float, full: float, fit: Fit = FIT) -> float:
    """Delay of a net that leaves its slice, in ns; 0 without loads."""
    return fit.near_ns * loads**fit.growth * (1 + fit.spread * full / (full + HALF)) if loads else 0.0


def wire_ns(path: Routed, fit: Fit = FIT) -> float:
    """What the model says of a routed path's wires."""
    return sum(net_ns(loads, path.full, fit) for loads in path.loads) + fit.chain_ns * path.chains
