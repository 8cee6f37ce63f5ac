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


def wrong_bands(banded: bytes, plain: bytes) -> list[bytes]:
    """Programs that break one rule on bands of rows each; the code is RANGE.

    Args:
        banded: a program that runs by bands, of one segment.
        plain: one of version 1, without them.
    """
    found = layers(banded)
    head, first, before, last = Header.read(banded), found[0], found[-2], found[-1]
    release = next(number for number, item in enumerate(found) if item.release_first)
    back = first.weight_words + 1 - first.weights_back  # more than up to the place before the first layer
    size = len(banded) + 2 * before.groups * head.pe * head.simd // 8
    vector = dict.fromkeys(("vector", "thresholds", "early"), 1)
    behind = {f"layer{len(found) - 2}_{name}": value for name, value in vector.items()}
    late = {f"layer{number}_early": 0 for number in range(release)}
    wrong: list[dict[str, int]] = [
        {"version": 1, **late},
        {"sub_batch": 2, "batch": 2},
        {f"layer{release}_early": 1},
        {"last_early": 1},
        {"words_a": head.words_a + 2 * before.groups, "size": size, **behind},
        {"first_weights_back": 0xFFFF},
        {"first_weights_back": first.weight_words + 1, "words_a": head.words_a - back},
        {
            f"layer{len(found) - 2}_weights_back": last.weight_words + 1,
            "words_a": head.words_a - last.weight_words - 1,
        },
        {"last_weights_back": 1},
        {"resident": 0},
    ]
    programs = [change(banded.ljust(fields.get("size", 0), b"\0"), **fields) for fields in wrong]
    return [*programs, change(plain, first_early=1)]


def wrong_rings(program: bytes) -> list[dict[str, int]]:
    """Fields of a program with a ring behind words that stay, which break a rule on it each; the code is RANGE."""
    head = Header.read(program)
    room = head.ring_base & -head.ring_base
    return [
        {"version": 1},
        {"resident": 0},
        {"kept": head.kept | 2},
        {"ring_base": head.ring_base - 1},  # of no 2^n words
        {"ring_base": head.ring_base + room},  # of none
        {"ring_base": head.ring_base + 3 * room // 4},  # no room for a burst
        {"words_a": head.ring_base + 1},
        {"words_b": 0},
        {f"layer{head.layers_a}_weights_back": 1, "words_b": head.words_b - 1},
    ]


def change(program: bytes, **fields: int) -> bytes:
    """The program with other fields: `batch` is the header's; `first_rows`, `layer2_rows`, `last_rows` descriptors'.

    A field of the header that is called so itself goes before. Negative values are in two's complement.
    """
    header, descriptors = Header.read(program), layers(program)
    for name, value in fields.items():
        part, _, rest = name.partition("_")
        record: Record = header
        if not hasattr(Header, name):
            number = {"first": 0, "last": -1}.get(part)
            record, name = descriptors[int(part[len("layer") :]) if number is None else number], rest
        setattr(record, name, value & 0xFFFFFFFF)
    at, size = Header.read(program).descriptors, Descriptor.size_bytes()
    changed = bytearray(program)
    changed[: Header.size_bytes()] = bytes(header)
    changed[at : at + size * len(descriptors)] = b"".join(map(bytes, descriptors))
    return bytes(changed)
