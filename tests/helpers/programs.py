"""Programs for tests: with words changed, by the contract's names."""

from __future__ import annotations

from bnn.contract import TABLE_BYTES, VALUE_BITS, Descriptor, FirstBeat, Header, Record, layers


def wrong_values(program: bytes) -> list[dict[str, int]]:
    """Fields of a header with values of the first layer that break one rule or more; the code is RANGE."""
    head = Header.read(program)
    beats = TABLE_BYTES + FirstBeat.size_bytes() * head.first_channels
    twice = 2 * head.first_channels
    return [
        {"value_channels": 16},
        {"value_channels": twice, "out_words": (head.first_channels + VALUE_BITS * twice) // head.simd},
        {"value_channels": 288, "first_channels": 288, "out_words": 81},
        {"first_channels": head.first_channels + 4},
        {"value_bits": 9},
        {"shift": 6},
        {"out_words": head.out_words + 1},
        {"first": len(program) - beats},  # without the values' words
        {"first_channels": 0, "rows": 0, "columns": 0, "out_words": 1},
    ]


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
