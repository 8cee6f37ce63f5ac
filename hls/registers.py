"""The core's registers as the tools name them: for the `.hwh` and for the IP that is packed from the RTL core."""

from __future__ import annotations

from typing import NamedTuple

from bnn import contract


class Register(NamedTuple):
    """A register of 32 bits; fields are name, lowest bit and bits."""

    name: str
    offset: int
    access: str
    description: str
    fields: list[tuple[str, int, int]]


def registers() -> list[Register]:
    """The core's registers, named as Vitis HLS names them: an address is a register for each half."""
    result = []
    for register in contract.Registers.FIELDS:
        if not isinstance(register, contract.Register):
            continue
        name = register.label or register.name
        parts = [(label, part.low, part.bits) for label, part in zip(register.labels, register.parts, strict=False)]
        for half in range(register.bits // 32):
            several = register.bits > 32
            bits = f", bits {32 * half + 31}..{32 * half}" if several else ""
            result.append(
                Register(
                    f"{name}_{half + 1}" if several else name,
                    register.offset + 4 * half,
                    register.access,
                    register.doc[:1].upper() + register.doc[1:] + bits,
                    parts or [(name, 0, 32)],
                )
            )
    return result
