"""Programs for tests: with words changed, by the contract's names."""

from __future__ import annotations

from bnn.contract import (
    FIRST_VALUES,
    TABLE_BYTES,
    VALUE_BITS,
    Descriptor,
    FirstBeat,
    FirstValue,
    Header,
    Record,
    layers,
)
from bnn.geometry import ceil_div


def wrong_values(program: bytes) -> list[dict[str, int]]:
    """Fields of a header with values of the first layer that break one rule each; the code is RANGE.

    Some are of programs that are larger by up to 4096 bytes.
    """
    head = Header.read(program)

    def channels(sums: int, values: int) -> dict[str, int]:
        words = (sums + VALUE_BITS * values) // head.simd
        size = max(
            head.size, head.first + TABLE_BYTES + sums * FirstBeat.size_bytes() + values * FirstValue.size_bytes()
        )
        return {"first_channels": sums, "value_channels": values, "out_words": words, "size": size}

    without = head.size - TABLE_BYTES - FirstBeat.size_bytes() * head.first_channels  # the values' words
    return [
        channels(head.first_channels, head.simd // 2),
        channels(head.first_channels, 2 * head.first_channels),
        channels(FIRST_VALUES + head.simd, FIRST_VALUES + head.simd),
        channels(head.first_channels + 4, head.value_channels),
        {"value_bits": 9},
        {"shift": 6},
        {"out_words": head.out_words + 1},
        {"first": without},
        {"first_channels": 0, "rows": 0, "columns": 0, "out_words": ceil_div(head.elements, head.simd)},
    ]


def wrong_bands(program: bytes) -> list[dict[str, int]]:
    """Fields of a program that runs by bands of rows, which break one rule on them each; the code is RANGE."""
    first = layers(program)[0]
    return [
        {"version": 1},
        {"sub_batch": 2, "batch": 2},
        {"first_release_first": 1},
        {"first_weights_back": first.weight_words + 1},
        {"first_weights_back": 0xFFFF},
        {"last_weights_back": 1},
        {"resident": 0},
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
