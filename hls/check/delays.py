"""What an operation costs on a Zynq-7000 of speed grade -1, as data. Each figure names where it comes from.

A scheduler of an HLS tool gives each operator a latency in cycles and a delay in ns, and puts one after the other
into a cycle as long as the sum of delays stays below the clock period less its uncertainty.
"""

from __future__ import annotations

from dataclasses import dataclass

UNCERTAINTY = 0.27
"""Part of the clock period that is left to place and route (UG1399, "Specifying the Clock Frequency")."""
INSTRUCTIONS = 50_000
"""Instructions that a pipelined loop may have after unrolling, well below where the tool gives up."""


@dataclass(frozen=True)
class Cost:
    """Of an operator: `latency` in clock edges between inputs and output, `delay` in ns after the last of them."""

    latency: int
    delay: float


LUT = 0.98
"""ns of a LUT with its net: an and, or, xor or select of one level."""
LUT_INPUTS = 6
CARRY = ((1, 0.98), (2, 1.56), (4, 1.74), (8, 1.92), (16, 2.08), (32, 2.55), (64, 3.52), (128, 5.47))
"""ns of an add, subtract or comparison of order, by bits."""
EQUAL = ((1, 0.98), (3, 1.13), (6, 1.43), (8, 1.55), (16, 2.10), (32, 2.47), (64, 2.78), (128, 3.4))
"""ns of a comparison for equality, by bits."""
SHIFT = ((1, 0.98), (4, 1.6), (8, 2.1), (16, 3.0), (32, 4.42), (64, 4.42), (128, 5.4))
"""ns of a shift by a variable number of bits, by bits of the word."""
BLOCK_RAM = Cost(1, 3.25)
"""A read: the address is registered in the memory, the data leave it in the cycle after."""
LUT_RAM = Cost(1, 2.32)
FIFO = Cost(0, 2.19)
"""A read of a FIFO: first word falls through."""
STORE = {"bram": 3.25, "lutram": 2.32, "fifo": 2.19, "register": 0.0, "axi": 2.19}
"""ns at the end of a cycle that a write takes."""
AXI = Cost(7, 2.19)
MULTIPLY = ((11, Cost(0, 4.17)), (25, Cost(3, 0.0)), (35, Cost(3, 0.0)), (64, Cost(5, 0.0)), (1024, Cost(9, 0.0)))
"""A product by the bits of its wider factor: in LUTs up to 11, a DSP with its registers up to 25, several above."""
DIVIDE = Cost(36, 0.0)


def by_width(table: tuple[tuple[int, float], ...], bits: int) -> float:
    """A delay between the table's points, linearly."""
    low, last = table[0]
    if bits <= low:
        return last
    for width, delay in table[1:]:
        if bits <= width:
            return last + (delay - last) * (bits - low) / (width - low)
        low, last = width, delay
    return last * bits / low


def multiply(bits: int) -> Cost:
    """A product whose wider factor has `bits`."""
    return next((cost for width, cost in MULTIPLY if bits <= width), MULTIPLY[-1][1])
