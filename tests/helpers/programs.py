"""Programs for tests: with words changed, by the contract's names."""

from __future__ import annotations

from bnn.contract import Descriptor, Header, Record, layers


def change(program: bytes, **fields: int) -> bytes:
    """The program with other fields: `batch` is the header's, `first_rows` and `last_rows` those of descriptors.

    A field of the header that is called so itself goes before. Negative values are in two's complement.
    """
    header, descriptors = Header.read(program), layers(program)
    for name, value in fields.items():
        part, _, rest = name.partition("_")
        record: Record = header
        if not hasattr(Header, name):
            record, name = {"first": descriptors[0], "last": descriptors[-1]}[part], rest
        setattr(record, name, value & 0xFFFFFFFF)
    at, size = Header.read(program).descriptors, Descriptor.size_bytes()
    changed = bytearray(program)
    changed[: Header.size_bytes()] = bytes(header)
    changed[at : at + size * len(descriptors)] = b"".join(map(bytes, descriptors))
    return bytes(changed)
