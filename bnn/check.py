"""What a program must be before a core runs it, by the rules of docs/ARCHITECTURE.md.

The cores check the same (hw_templates/hls/bnn_check.h, hw_templates/rtl/control) and end a run with the same code; here
the reason is told too.
"""

from __future__ import annotations

from itertools import chain
from typing import Iterator, List, Tuple

from bnn.contract import (
    BEAT_BYTES,
    FIRST_CHANNELS,
    FIRST_VALUES,
    MAX_AVERAGE,
    MAX_BATCH,
    MAX_CHANNELS,
    MAX_HAND_OVERS,
    PROGRAM_MAGIC,
    PROGRAM_VERSION,
    PROGRAM_VERSION_2,
    TABLE_BYTES,
    VALUE_BITS,
    Descriptor,
    Error,
    FirstBeat,
    FirstValue,
    Header,
    Registers,
    burst_words,
    layers,
)
from bnn.errors import ExpectedError

MAX_PLANES = 8
"""Planes that a map has, and bases that a layer has, at most."""
MOST = 0xFFFF
"""What the core's counters hold."""


class ProgramFault(ExpectedError):
    """A core would end the run with error `code`; one line says why."""

    def __init__(self, code: Error, message: str) -> None:
        super().__init__(message)
        self.code = code


def check(program: bytes, core: Registers) -> List[Descriptor]:
    """Check a program for a core; gives its layers.

    Args:
        program: its bytes.
        core: the read-only registers that describe the core.

    Raises:
        ProgramFault: the code with which the core ends a run, and why.
        bnn.contract.ContractError: the program is shorter than its header.
    """
    header = Header.read(program)
    header.size = min(header.size, len(program))  # what lies behind them belongs to no part
    check_header(header, core)
    found = layers(program)
    check_layers(header, found, core)
    return found


def check_header(header: Header, core: Registers) -> None:
    """Check the header alone.

    Raises:
        ProgramFault: as `check`'s.
    """
    if header.magic != PROGRAM_MAGIC:
        raise ProgramFault(Error.MAGIC, f"magic is {header.magic:#x}, expected {PROGRAM_MAGIC:#x}")
    if header.version not in (PROGRAM_VERSION, PROGRAM_VERSION_2):
        raise ProgramFault(
            Error.MAGIC, f"version is {header.version}, expected {PROGRAM_VERSION} or {PROGRAM_VERSION_2}"
        )
    if header.geometry != core.geometry:
        raise ProgramFault(Error.GEOMETRY, f"geometry is {header.geometry:#x}, the core has {core.geometry:#x}")
    if header.first_pe != core.first_pe:
        raise ProgramFault(Error.GEOMETRY, f"FIRST_PE is {header.first_pe}, the core has {core.first_pe}")
    if not 1 <= header.layers <= core.max_layers:
        raise ProgramFault(Error.LAYERS, f"{header.layers} layers, expected 1 to {core.max_layers}")
    if header.value_channels and not core.vector:
        raise ProgramFault(
            Error.VECTOR, "values of the first layer: need the vector unit, which the core does not have"
        )
    for good, message in _of_header(header, core):
        if not good:
            raise ProgramFault(Error.RANGE, message)


def check_layers(header: Header, found: List[Descriptor], core: Registers) -> None:
    """Check the layers of a program whose header is good.

    Raises:
        ProgramFault: as `check`'s.
    """
    taken, released = 0, False  # weight words of the segment before a layer; the first layer's double buffer is free
    for number, item in enumerate(found):
        if item.vector and not core.vector:
            raise ProgramFault(Error.VECTOR, f"layer {number}: needs the vector unit, which the core does not have")
        if number == header.layers_a:
            taken = 0
        for good, message in chain(
            _of_layer(header, item, core, number),
            _of_release(header, item, number, released),
            _of_segment(header, item, number, taken),
        ):
            if not good:
                raise ProgramFault(Error.RANGE, f"layer {number}: {message}")
        taken += item.weight_words - item.weights_back
        released = released or item.release_first


def _size(name: str, value: int) -> Tuple[bool, str]:
    return 1 <= value <= MOST, f"{name} is {value}, expected 1 to {MOST}"


def _inside(name: str, offset: int, size: int, header: Header) -> Tuple[bool, str]:
    end = offset + size
    good = offset % BEAT_BYTES == 0 and end // BEAT_BYTES <= header.size // BEAT_BYTES
    return good, f"{name} at byte {offset} ends at {end}, the size is {header.size}"


def _of_header(h: Header, core: Registers) -> Iterator[Tuple[bool, str]]:
    simd, word_bytes = core.simd, core.pe * core.simd // 8
    first, two_segments = h.first_channels != 0, h.layers_a != h.layers
    yield 1 <= h.layers_a <= h.layers, f"segment A has {h.layers_a} of {h.layers} layers"
    yield h.batch <= MAX_BATCH, f"batch is {h.batch}, expected at most {MAX_BATCH}"
    yield 1 <= h.sub_batch <= h.batch, f"sub-batch is {h.sub_batch}, expected 1 to the batch's {h.batch}"
    words = (h.words_a + h.words_b) & 0xFFFFFFFF
    rest = h.kept & ~(Header.resident.mask | Header.ring_base.mask)
    yield rest == 0, f"what stays is {h.kept:#x}, expected no bits but those of resident and ring_base"
    fits = not h.resident or h.ring_base > 0 or words <= core.weight_depth
    yield fits, f"{words} resident words, WEIGHT_DEPTH is {core.weight_depth}"
    yield from _of_ring(h, core)
    yield h.words_a != 0 and two_segments == (h.words_b != 0), f"{h.words_a} and {h.words_b} weight words"
    yield (
        h.first_channels <= FIRST_CHANNELS and h.first_channels % core.first_pe == 0,
        (f"{h.first_channels} channels of the first layer, expected a multiple of {core.first_pe} to {FIRST_CHANNELS}"),
    )
    yield 1 <= h.pixels <= core.image_pixels, f"{h.pixels} pixels, expected 1 to {core.image_pixels}"
    yield h.pixels == h.height * h.width, f"{h.pixels} pixels, the image is {h.height}x{h.width}"
    yield 1 <= h.channels <= MAX_CHANNELS, f"{h.channels} channels, expected 1 to {MAX_CHANNELS}"
    yield h.elements == h.pixels * h.channels, f"{h.elements} elements of {h.pixels} pixels and {h.channels} channels"
    beats = -(-h.elements // BEAT_BYTES)
    yield h.image_bytes == beats * BEAT_BYTES, f"{h.image_bytes} bytes of an image, expected {beats * BEAT_BYTES}"
    yield h.first_planes <= MAX_PLANES, f"{h.first_planes} planes of pixels, expected at most {MAX_PLANES}"
    yield not (first and h.first_planes), f"{h.first_planes} planes of pixels and {h.first_channels} channels of sums"
    yield not h.pixel_map or h.first_planes > 0, "a map of pixels without planes"
    yield first or not h.value_channels, f"{h.value_channels} channels with a value and none of sums"
    most = core.act_depth
    yield h.out_words % most != 0, f"{h.out_words} words of the first layer, expected no multiple of {most}"
    if first:
        for what, got, size in (("rows", h.rows, h.height), ("columns", h.columns, h.width)):
            sums = size - (0 if h.pad else 2)
            wanted = sums & ~1 if h.pool else sums
            yield got != 0 and got == wanted, f"the first layer computes {got} {what}, expected {wanted}"
        yield from _of_values(h, simd)
    elif h.pixel_map:
        size = (h.rows, h.columns) == (h.height, h.width)
        yield size, f"planes of {h.rows}x{h.columns} pixels, the image is {h.height}x{h.width}"
        yield h.out_words == h.first_planes, f"{h.out_words} words of {h.first_planes} planes of a pixel"
    else:
        words, planes = -(-h.elements // simd), max(1, h.first_planes)
        yield h.out_words == planes * words, f"{h.out_words} words of a packed image, expected {planes * words}"
        most = core.image_pixels // (simd // 32)
        yield words <= most, f"{words} words of a packed image's plane, IMAGE_PIXELS holds {most}"
    yield h.weights_b % BEAT_BYTES == 0, f"weights of segment B at byte {h.weights_b}"
    yield _inside("the header", 0, Header.size_bytes(), h)
    yield _inside("the descriptors", h.descriptors, h.layers * Descriptor.size_bytes(), h)
    channels = h.first_channels * FirstBeat.size_bytes() + h.value_channels * FirstValue.size_bytes()
    yield _inside("the first layer", h.first, TABLE_BYTES + channels, h)
    yield _inside("segment A", h.weights_a, h.words_a * word_bytes, h)
    yield _inside("segment B", h.weights_b, h.words_b * word_bytes, h)
    yield h.classes <= MOST, f"{h.classes} classes, expected at most {MOST}"  # the last layer's, so not none


def _of_ring(h: Header, core: Registers) -> Iterator[Tuple[bool, str]]:
    """The ring of segment B's words, if those of segment A stay in front of it."""
    if not h.ring_base:
        return
    plain = h.version == PROGRAM_VERSION_2 and h.resident and h.words_b > 0
    yield plain, "a ring of segment B's words, and not version 2, resident or two segments"
    ring = core.weight_depth - h.ring_base
    yield ring > 0 and ring & (ring - 1) == 0, f"a ring of {ring} words, expected 2^n"
    yield h.words_a <= h.ring_base, f"{h.words_a} words stay in front of a ring from word {h.ring_base} on"


def _in_ring(h: Header, number: int) -> bool:
    """Whether the weights of a layer go through that ring."""
    return h.ring_base > 0 and number >= h.layers_a


def _of_values(h: Header, simd: int) -> Iterator[Tuple[bool, str]]:
    """Values of the first layer, if it has some."""
    values = h.value_channels
    if not values:
        return
    whole = values % simd == 0 and h.first_channels % simd == 0
    yield whole, f"{values} of {h.first_channels} channels with a value, expected multiples of {simd}"
    most = min(h.first_channels, FIRST_VALUES)
    yield values <= most, f"{values} channels of the first layer with a value, expected at most {most}"
    yield h.value_bits <= VALUE_BITS, f"{h.value_bits} bits of the first layer's value, expected at most {VALUE_BITS}"
    yield h.shift % 4 == 0, f"the first layer's shift is {h.shift}, expected a multiple of 4"
    wanted = (h.first_channels + VALUE_BITS * values) // simd
    yield h.out_words == wanted, f"{h.out_words} words of the first layer's record, expected {wanted}"


def _of_layer(h: Header, d: Descriptor, core: Registers, number: int) -> Iterator[Tuple[bool, str]]:
    yield from _of_vector(d)
    for name in ("groups", "blocks", "rows", "outputs", "columns"):
        yield _size(name, getattr(d, name))
    yield not d.pool or d.rows % 2 == 0, f"{d.rows} rows before a pool"
    words = d.group_words + d.headers
    yield words <= core.weight_depth, f"a group of {words} words, WEIGHT_DEPTH is {core.weight_depth}"
    ring, burst = core.weight_depth - h.ring_base, burst_words(core.pe, core.simd)
    yield (
        not _in_ring(h, number) or words < ring - burst,
        f"a group of {words} words and a burst of {burst}, segment B's ring has {ring}",
    )
    yield d.out_columns != 0, "no columns"
    wanted = -(-d.outputs // core.pe)
    yield d.groups == wanted, f"{d.groups} groups of {d.outputs} outputs, expected {wanted}"
    wanted = (d.columns // 2 if d.pool else d.columns) if d.by_image else -(-d.columns // core.lanes)
    yield d.blocks == wanted, f"{d.blocks} blocks of {d.columns} columns, expected {wanted}"
    if d.average:
        none = d.tap_words == d.group_words == 0
        yield none, f"{d.tap_words} words of a tap and {d.group_words} of a group of an average, expected none"
        edges = 1 <= min(d.height, d.width) and max(d.height, d.width) <= MAX_AVERAGE
        yield edges, f"an average of {d.height}x{d.width} pixels, expected 1x1 to {MAX_AVERAGE}x{MAX_AVERAGE}"
    else:
        yield _size("tap_words", d.tap_words)
        yield _size("group_words", d.group_words)
        words = d.tap_words * d.kernel[0] * d.kernel[1]
        wanted = words * d.bases
        yield d.group_words == wanted, f"{d.group_words} words of a group, expected {wanted}"
        single = d.pass_words == 0 and d.bases == 1
        yield single or d.pass_words == words, f"{d.pass_words} words of a pass, expected {words}"
    yield not d.dense or (d.rows == 1 and d.blocks == 1), f"{d.rows} rows and {d.blocks} blocks of a dense layer"
    last = number + 1 == h.layers
    yield d.scores == last, "the last layer gives no scores" if last else "gives scores and is not the last layer"
    yield from _of_band(h, d, number)
    yield (
        not d.scores or (d.dense and d.outputs == h.classes),
        (f"gives {d.outputs} scores of {h.classes} classes{'' if d.dense else ' and is not dense'}"),
    )


def _of_release(h: Header, d: Descriptor, number: int, released: bool) -> Iterator[Tuple[bool, str]]:
    """One layer frees the first layer's double buffer: of segment A, the last that reads it."""
    if h.version != PROGRAM_VERSION_2:
        return
    uses = d.from_first or d.shortcut_first or d.release_first
    yield not uses or not released, "reads or releases the first layer's buffer, which an earlier layer releases"
    freed = released or d.release_first or number + 1 != h.layers_a
    yield freed, "is the last of segment A, of which none releases the first layer's buffer"


def _of_segment(h: Header, d: Descriptor, number: int, taken: int) -> Iterator[Tuple[bool, str]]:
    """The weight words of a segment, of which its layers before this one take `taken`."""
    segment, words, last = ("A", h.words_a, h.layers_a) if number < h.layers_a else ("B", h.words_b, h.layers)
    end = taken + d.weight_words
    yield end <= words, f"segment {segment} has {words} weight words, the layers up to this one take {end}"
    yield number + 1 != last or end == words, f"segment {segment} has {words} weight words, its layers take {end}"
    yield d.weights_back <= end, f"segment {segment} goes back by {d.weights_back} weight words from word {end}"


def _of_band(h: Header, d: Descriptor, number: int) -> Iterator[Tuple[bool, str]]:
    """Layers that end before the first layer does, and weights that come again."""
    single = h.version == PROGRAM_VERSION_2 and h.sub_batch == 1
    plain = not (d.vector or d.dense or d.release_first)
    yield (
        not d.early or (single and plain),
        "ends early, and is not of version 2, by pixel and without the vector unit, in a sub-batch of one image, or "
        "releases the first layer's buffer",
    )
    inner = number + 1 not in (h.layers_a, h.layers)
    kept = h.version == PROGRAM_VERSION_2 and h.resident and not _in_ring(h, number)
    yield (
        not d.weights_back or (kept and inner),
        f"goes back by {d.weights_back} weight words, expected 0 but in version 2, with weights that stay, before the "
        "last layer of a segment",
    )


def _of_vector(d: Descriptor) -> Iterator[Tuple[bool, str]]:
    """Planes, bases, and what the vector unit does."""
    yield max(d.bases, d.planes) <= MAX_PLANES, f"{d.bases} bases and {d.planes} planes, expected at most {MAX_PLANES}"
    if not d.vector:
        without = d.hand, d.by_image, d.stride2, d.average, d.value, d.bit_planes, d.shortcut, d.result
        yield not any(without), "has what needs the vector unit, and not the flag vector"
        return
    yield d.hand <= 2, f"hand is {d.hand}, expected 0 to 2"
    yield d.hand_overs <= MAX_HAND_OVERS, f"{d.hand_overs} hand-overs, expected at most {MAX_HAND_OVERS}"
    yield d.shift % 4 == 0, f"shift is {d.shift}, expected a multiple of 4"
    yield d.value_bits <= VALUE_BITS, f"{d.value_bits} bits of a value, expected at most {VALUE_BITS}"
    given = d.thresholds > 0, d.bit_planes, d.value
    yield not (d.thresholds and d.bit_planes), "planes by thresholds and bits of the value, expected one of them"
    yield any(given) != d.scores, "planes or a value and scores, expected one of them"
    yield not (d.pool and (d.stride2 or d.shortcut)), "a pool with stride 2 or a shortcut, expected one of them"
    yield not (d.scores and d.shortcut), "scores with a shortcut"
    plain = d.dense and not d.pool and not d.shortcut and d.bases == d.planes == 1 and d.hand == 0
    yield not d.average or plain, "an average that is not dense, or has passes, a pool or a shortcut"
