"""The contract between planner, cores and host, as data: the one place that numbers words, bits, registers and errors.

A record is a class, a field of it one line: word, sentence, and bits where it is a part of a word. On the class a
name is the field, with its place; on an object it is the value:

    header = Header.read(program)              # from bytes, or Header(layers=3, batch=16), or Header.unpack(words)
    header.batch, header.pool                  # an int, and a bool where the field is one bit
    Header.batch.word, Registers.cycles.offset
    header.pack(), bytes(header)

`bnn contract` writes what others need of it: the C++ header, the SystemVerilog package and the tables of
docs/ARCHITECTURE.md. Sentences are what stands there.
"""

from __future__ import annotations

import enum
import struct
from typing import Any, ClassVar, List, Sequence, Tuple, Type, TypeVar, overload

from bnn.errors import ExpectedError

R = TypeVar("R", bound="Record")


class ContractError(ExpectedError):
    """A value does not fit its field, or content is too short for a record; one line."""


class Constant(int):
    """A number of the architecture with its sentence."""

    doc: str

    def __new__(cls, value: int, doc: str) -> Constant:
        made = super().__new__(cls, value)
        made.doc = doc
        return made


PROGRAM_MAGIC = Constant(0x504E4E42, 'first word of a program, "BNNP"')
PROGRAM_VERSION = Constant(1, "version of the program's format")
PROGRAM_VERSION_2 = Constant(2, "version of a program that uses planes, bases, values or shortcuts")
CORE_ID = Constant(0x314E4E42, 'ID register of the core, "BNN1"')
INTERFACE_VERSION = Constant(1, "version of the registers")
HEADER_WORDS = Constant(32, "words of the program's header")
DESCRIPTOR_WORDS = Constant(32, "words of a descriptor")
BEAT_BYTES = Constant(8, "bytes of a beat of the memory port; addresses and offsets are multiples of it")
TABLE_BYTES = Constant(256, "bytes of the pixel table, the first part of the first-layer block")
MAX_CHANNELS = Constant(4, "channels of an input image at most")
FIRST_CHANNELS = Constant(512, "output channels of the first layer at most")
FIRST_TAPS = Constant(9, "taps of the first layer's kernel")
FIRST_VALUES = Constant(256, "output channels of the first layer that give a value at most")
ACC_BITS = Constant(16, "bits of an accumulator: a fan-in is below 2^ACC_BITS - 1")
VALUE_BITS = Constant(8, "bits of a value in memory")
MAX_HAND_OVERS = Constant(16, "hand-overs of a sum at most")
MAX_AVERAGE = Constant(255, "rows, and columns, of a map that is averaged at most")
MAX_BATCH = Constant(1024, "images of a batch at most")
BURST_BEATS = Constant(64, "beats of a burst of the RTL core's reads at most, for which a ring has room beside a group")
PAIR_WORDS = Constant(
    32, "words of a pixel with values below which the RTL core's first layer writes those of two lanes at once"
)
ARRAY_LATENCY = Constant(
    7, "cycles from operands to sums in the RTL core's array up to SIMD = 64; each doubling of it adds one"
)


def array_latency(simd: int) -> int:
    """Cycles from operands to a sum of the RTL core's array of a width that is a power of two."""
    return ARRAY_LATENCY + max((simd // 64).bit_length() - 1, 0)


def burst_words(pe: int, simd: int) -> int:
    """Weight words of the RTL core's longest burst, rounded up."""
    return -(-BURST_BEATS * 8 * BEAT_BYTES // (pe * simd))


def value_range(bits: int) -> Tuple[int, int]:
    """The smallest and the largest value: unsigned of some bits, signed of VALUE_BITS for 0."""
    return (0, (1 << bits) - 1) if bits else (-1 << VALUE_BITS - 1, (1 << VALUE_BITS - 1) - 1)


class Error(enum.IntEnum):
    """What the error register says of the last run; `message` is the host's, `doc` all of it where that is more."""

    message: str
    doc: str

    def __new__(cls, code: int, message: str, doc: str = "") -> Error:
        made = int.__new__(cls, code)
        made._value_ = code
        made.message, made.doc = message, doc
        return made

    @classmethod
    def explain(cls, code: int) -> str:
        """The message of a code, which may be none of these."""
        return next((error.message for error in cls if error == code), "unknown")

    NONE = 0, "no error"
    MAGIC = 1, "bad magic or version"
    GEOMETRY = 2, "geometry, or another first layer than the one wired in"
    LAYERS = 3, "too many layers", "too many layers, or none"
    RESPONSE = 4, "AXI error response"
    RANGE = (
        5,
        "a value of the program out of range",
        (
            "a value of the header or of a descriptor out of range, sizes or counts of them that disagree, a part of "
            "the program that ends beyond its total size, layers that take another number of weight words than "
            "their segment has, or an average of a map without rows or columns, or of too many"
        ),
    )
    VECTOR = 6, "the program needs the vector unit, which the design does not have"


class Field:
    """Bits of a record: `bits` from bit `low` of word `word` on; a number may go on in the words behind it.

    A word that consists of several has them as its `parts`; `inside` is the word of a part.
    """

    name = ""
    width = 32
    """Bits of the record's words."""
    span: Sequence[int] = ()
    """Numbers of the words in which it lies."""

    def __init__(
        self, word: int, doc: str, low: int = 0, bits: int = 32, signed: bool = False, inside: Field | None = None
    ) -> None:
        self.word, self.doc, self.low, self.bits, self.signed, self.inside = word, doc, low, bits, signed, inside
        self.parts: List[Field] = []

    def part(self, low: int, bits: int, doc: str, signed: bool = False) -> Field:
        """A field inside this word."""
        self.parts.append(Field(self.word, doc, low, bits, signed, self))
        return self.parts[-1]

    def bit(self, low: int, doc: str) -> Bit:
        """A single bit of this word."""
        found = Bit(self.word, doc, low, 1, False, self)
        self.parts.append(found)
        return found

    @property
    def mask(self) -> int:
        """Ones in the place of the field in its word."""
        return ((1 << self.bits) - 1) << self.low

    @property
    def least(self) -> int:
        """The smallest value."""
        return -1 << (self.bits - 1) if self.signed else 0

    @property
    def largest(self) -> int:
        """The largest value."""
        return self.least + (1 << self.bits) - 1

    @property
    def offset(self) -> int:
        """Byte of the record at which its word begins."""
        return self.word * self.width // 8

    def extract(self, word: Any) -> Any:
        """The field's value in its word, an int or an array of a type that holds the word and the sign."""
        value = word >> self.low & ((1 << self.bits) - 1)
        sign = 1 << (self.bits - 1)
        return (value ^ sign) - sign if self.signed else value

    def insert(self, value: Any) -> Any:
        """The word that has a value in the field's place, of an int or of an array."""
        return (value & ((1 << self.bits) - 1)) << self.low

    def __set_name__(self, owner: Type[Record], name: str) -> None:
        self.name, self.width = name, owner.WIDTH
        self.span = range(self.word, self.word - (-(self.low + self.bits) // owner.WIDTH))

    def _whole(self, record: Record) -> int:
        """The words in which it lies, as one number."""
        return sum(record.words[n] << self.width * (n - self.word) for n in self.span)

    @overload
    def __get__(self: F, record: None, owner: Type[Record]) -> F: ...

    @overload
    def __get__(self, record: Record, owner: Type[Record]) -> int: ...

    def __get__(self, record: Record | None, owner: Type[Record]) -> Any:
        if record is None:
            return self
        if self.bits == self.width and not self.signed:  # most of them
            return record.words[self.word]
        return self.extract(self._whole(record))

    def __set__(self, record: Record, value: int) -> None:
        if not self.least <= value <= self.largest:
            raise ContractError(
                f"{type(record).__name__.lower()}: {self.name} is {value}, not in {self.least} to {self.largest}"
            )
        whole = self._whole(record) & ~self.mask | self.insert(int(value))
        for n in self.span:
            record.words[n] = whole >> self.width * (n - self.word) & ((1 << self.width) - 1)


F = TypeVar("F", bound=Field)


class Bit(Field):
    """A field of one bit, true or false."""

    @overload
    def __get__(self: F, record: None, owner: Type[Record]) -> F: ...

    @overload
    def __get__(self, record: Record, owner: Type[Record]) -> bool: ...

    def __get__(self, record: Record | None, owner: Type[Record]) -> Any:
        return self if record is None else bool(record.words[self.word] >> self.low & 1)


class Record:
    """Words with named fields; those that are not given are 0.

    Raises:
        ContractError: a value does not fit its field.
        TypeError: there is no field of a name.
    """

    WIDTH: ClassVar[int] = 32
    """Bits of a word."""
    WORDS: ClassVar[int]
    USED: ClassVar[int]
    """Words up to the last that has a field; those behind it are 0."""
    FIELDS: ClassVar[Tuple[Field, ...]]
    """The fields in order, parts behind their word."""

    def __init_subclass__(cls) -> None:
        cls.FIELDS = tuple(
            field for base in reversed(cls.__mro__) for field in vars(base).values() if isinstance(field, Field)
        )
        cls.USED = max(field.span[-1] + 1 for field in cls.FIELDS)

    def __init__(self, **values: int) -> None:
        self.words = [0] * self.WORDS
        for name, value in values.items():
            if not isinstance(getattr(type(self), name, None), Field):
                raise TypeError(f"{type(self).__name__} has no field {name}")
            setattr(self, name, value)

    @classmethod
    def unpack(cls: Type[R], words: Sequence[int]) -> R:
        """The record of its words.

        Raises:
            ContractError: they are another number.
        """
        if len(words) != cls.WORDS:
            raise ContractError(f"{cls.__name__.lower()}: {len(words)} words, expected {cls.WORDS}")
        made = cls()
        made.words = [int(word) for word in words]
        return made

    @classmethod
    def read(cls: Type[R], content: bytes, offset: int = 0) -> R:
        """The record at a byte of some content, little-endian.

        Raises:
            ContractError: the content ends before it.
        """
        if not 0 <= offset <= len(content) - cls.size_bytes():
            raise ContractError(
                f"{cls.__name__.lower()}: {len(content)} bytes, expected at least {offset + cls.size_bytes()}"
            )
        return cls.unpack(struct.unpack_from(cls._format(), content, offset))

    @classmethod
    def size_bytes(cls) -> int:
        """Bytes that it takes."""
        return cls.WORDS * cls.WIDTH // 8

    @classmethod
    def _format(cls) -> str:
        return f"<{cls.WORDS}{'Q' if cls.WIDTH == 64 else 'I'}"

    def pack(self) -> List[int]:
        """Its words."""
        return list(self.words)

    def __bytes__(self) -> bytes:
        return struct.pack(self._format(), *self.words)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Record) and other.words == self.words

    def __repr__(self) -> str:
        values = ", ".join(f"{field.name}={getattr(self, field.name)}" for field in self.FIELDS if not field.parts)
        return f"{type(self).__name__}({values})"


def _geometry(word: Field) -> Tuple[Field, Field, Field]:
    """The parts of the word that tells arrays apart."""
    return word.part(0, 8, "PE"), word.part(8, 8, "LANES"), word.part(16, 16, "SIMD")


class Header(Record):
    """The program's first words. Offsets are in bytes from the program's start, multiples of 8."""

    WORDS = HEADER_WORDS

    magic = Field(0, "PROGRAM_MAGIC")
    version = Field(1, "PROGRAM_VERSION")
    geometry = Field(2, "geometry of the design")
    pe, lanes, simd = _geometry(geometry)
    size = Field(3, "total size in bytes; no part of the program ends beyond it")
    layers = Field(4, "array layers L")
    layers_a = Field(5, "layers LA of segment A (run per sub-batch)")
    sub_batch = Field(6, "sub-batch S (images)")
    batch = Field(7, "batch B (images, a multiple of S; B = S if LA = L)")
    kept = Field(8, "what stays in the weight memory")
    resident = kept.bit(0, "all weight words, or with `ring_base` those of segment A")
    ring_base = kept.part(16, 16, "where the ring of segment B's words begins; 0: they stay too, or none do")
    descriptors = Field(9, "offset of the descriptors")
    weights_a = Field(10, "offset of segment A's weights")
    words_a = Field(
        11,
        "its weight-memory words: just what its layers take, the sum of groups × (header words + `group_words`) "
        "less `weights_back`",
    )
    weights_b = Field(12, "offset of segment B's weights; 0 without one")
    words_b = Field(13, "its weight-memory words")
    first = Field(14, "offset of the first-layer block")
    first_channels = Field(15, "output channels of the first layer rounded up to FIRST_PE (0: pack mode)")
    image_bytes = Field(16, "image bytes in memory: H·W·C rounded up to 8")
    classes = Field(17, "classes")
    first_pe = Field(18, "FIRST_PE of the design")
    pixels = Field(19, "pixels per image, H·W")
    image_size = Field(20, "size of an image")
    height = image_size.part(0, 16, "height H")
    width = image_size.part(16, 16, "width W")
    image_mode = Field(21, "channels and what the first layer does")
    channels = image_mode.part(0, 8, "channels C")
    pad = image_mode.bit(8, "pad 1")
    pool = image_mode.bit(9, "2×2 pool")
    first_planes = image_mode.part(12, 4, "planes of pixels B that are written in place of sums; 0: none")
    pixel_map = image_mode.bit(16, "they are written by pixel, else by image")
    computed = Field(22, "what the first layer computes, before the pool, even if pool; 0 in pack mode")
    rows = computed.part(0, 16, "rows")
    columns = computed.part(16, 16, "columns")
    out_even = Field(23, "output base for even sub-batches")
    out_odd = Field(24, "output base for odd sub-batches")
    out_image_stride = Field(25, "output image_stride")
    out_row_stride = Field(26, "output row_stride (pack mode: 0)")
    out_words = Field(27, "output words per pixel CW (pack mode: words per image)")
    elements = Field(28, "elements per image H·W·C (pack mode)")
    first_result = Field(29, "what the first layer gives beyond bits")
    value_channels = first_result.part(0, 16, "channels with a value, a multiple of SIMD; 0: none")
    value_bits = first_result.part(16, 4, "0: the value is signed, of 8 bits; 1 to 8: unsigned, of so many")
    shift = first_result.part(20, 5, "bits that it is shifted right: 0, 4, …, 28")

    @property
    def value_range(self) -> Tuple[int, int]:
        """The smallest and the largest value of the first layer."""
        return value_range(self.value_bits)


class Descriptor(Record):
    """One array layer.

    A dense layer is a 1×1 layer with one row, one block of LANES columns, image blocks in place of images: its
    `tap_words` are those of the input vector, height is 1, width LANES, source row_stride 0, output columns LANES.
    """

    WORDS = DESCRIPTOR_WORDS

    flags = Field(0, "what the layer does")
    kernel3 = flags.bit(0, "3×3 (else 1×1)")
    pad = flags.bit(1, "pad 1")
    pad_one = flags.bit(2, "padding is +1")
    pool = flags.bit(3, "2×2 pool")
    serial = flags.bit(4, "write serially by image")
    scores = flags.bit(5, "scores: the last layer, no other")
    dense = flags.bit(6, "lanes are images (dense)")
    from_first = flags.bit(7, "source is the first layer's double buffer")
    segment_end = flags.bit(8, "last layer of its segment")
    batch_source = flags.bit(9, "source was written by image for the whole batch: every layer of segment B")
    vector = flags.bit(10, "sums leave through the vector unit")
    by_image = flags.bit(11, "lanes are images of a map that lies by image")
    stride2 = flags.bit(12, "stride 2")
    pad2 = flags.bit(13, "pad 2 (with `pad` off)")
    pad_first = flags.bit(14, "padding is +1 in the first plane, -1 in the others (with `pad_one` off)")
    average = flags.bit(15, "no sums of bits: values are summed over their map")
    value = flags.bit(16, "the value is written")
    bit_planes = flags.bit(17, "planes are the bits of the value, the most significant first")
    shortcut = flags.bit(18, "a shortcut is added")
    shortcut_average = flags.bit(
        19, "the shortcut is averaged over 2×2, of twice the height and width (with `stride2`)"
    )
    shortcut_same = flags.bit(20, "the shortcut has the output's height and width, in a layer with `stride2`")
    shortcut_first = flags.bit(21, "the shortcut, or the value to average, is of the first layer's double buffer")
    release_first = flags.bit(22, "last layer that reads the first layer's double buffer")
    early = flags.bit(23, "a band of rows that may end while the first layer is at work")
    groups = Field(1, "groups G")
    tap_words = Field(2, "input words per tap CW")
    rows = Field(3, "rows computed (before pool; even if pool)")
    columns = Field(4, "columns computed (before pool; even if pool) = valid lanes over all blocks; dense: LANES")
    blocks = Field(5, "column blocks ceil(columns / LANES)")
    input_size = Field(6, "size of the input")
    height = input_size.part(0, 16, "input height")
    width = input_size.part(16, 16, "input width")
    source_even = Field(7, "source base for even sub-batches")
    source_odd = Field(8, "source base for odd sub-batches; equal unless `from_first`")
    source_image_stride = Field(9, "source image_stride")
    source_row_stride = Field(10, "source row_stride")
    dest_base = Field(11, "destination base")
    dest_image_stride = Field(12, "destination image_stride")
    dest_row_stride = Field(13, "destination row_stride")
    dest_words = Field(14, "destination words per pixel")
    group_words = Field(15, "weight words per group without header, k·k·CW")
    last_bits = Field(16, "valid bits in the last input word of a tap, 1 … SIMD; of a pixel if flattened")
    outputs = Field(17, "output channels (classes for scores)")
    out_columns = Field(18, "output columns after pool")
    passes = Field(19, "passes of a sum; 0: one")
    more_bases = passes.part(0, 4, "bases M less 1")
    more_planes = passes.part(4, 4, "planes N less 1")
    planes_outer = passes.bit(8, "the outer loop is that over planes, else that over bases")
    hand = passes.part(9, 2, "when sums are handed over: 0 after all passes, 1 after each outer one, 2 after each pass")
    pass_words = Field(20, "weight words of a pass, taps × CW")
    source_words = Field(21, "words per pixel of the source, all planes and the value; 0: CW")
    taps = Field(22, "taps of the kernel; 0: 3×3 or 1×1 by `kernel3`")
    tap_rows = taps.part(0, 16, "rows")
    tap_columns = taps.part(16, 16, "columns")
    dest_planes = Field(23, "where a pixel's planes and value lie among the `dest_words`")
    plane_words = dest_planes.part(0, 16, "words per plane: plane k lies at k × these")
    value_word = dest_planes.part(16, 16, "first word of the value")
    result = Field(24, "what the vector unit gives")
    thresholds = result.part(0, 2, "planes by thresholds K")
    value_bits = result.part(4, 4, "0: the value is signed, of 8 bits; 1 to 8: unsigned, of so many")
    shift = result.part(8, 5, "bits that it is shifted right: 0, 4, …, 28")
    shortcut_even = Field(25, "shortcut base for even sub-batches")
    shortcut_odd = Field(26, "shortcut base for odd sub-batches; equal unless `shortcut_first`")
    shortcut_image_stride = Field(27, "shortcut image_stride")
    shortcut_row_stride = Field(28, "shortcut row_stride")
    shortcut_place = Field(29, "where a pixel's value lies")
    shortcut_words = shortcut_place.part(0, 16, "words per pixel, all planes and the value")
    shortcut_word = shortcut_place.part(16, 16, "first word of the value")
    shortcut_values = Field(30, "words of the value that there are, a multiple of 8: behind them the shortcut is 0")
    band = Field(31, "what a band of a layer's rows has beside its own descriptor")
    source_row = band.part(0, 16, "row of the first layer's map at which its source begins (with `from_first`)")
    weights_back = band.part(16, 16, "weight words by which the ring goes back behind it")

    @property
    def bases(self) -> int:
        """M."""
        return self.more_bases + 1

    @property
    def planes(self) -> int:
        """N."""
        return self.more_planes + 1

    @property
    def hand_overs(self) -> int:
        """How often the sums of an output are handed over to the vector unit."""
        outer = self.planes if self.planes_outer else self.bases
        return (1, outer, self.bases * self.planes)[min(self.hand, 2)]

    @property
    def headers(self) -> int:
        """Header words of a group."""
        if self.vector:
            return self.hand_overs + VectorHeader.WORDS * max(1, self.thresholds)
        return ScoreHeader.WORDS if self.scores else ThresholdHeader.WORDS

    @property
    def in_batch(self) -> bool:
        """Whether it writes by image, as one of the batch; in segment A."""
        return self.serial or (self.dense and self.segment_end)

    @property
    def weight_words(self) -> int:
        """Weight-memory words of the layer, headers included."""
        return self.groups * (self.headers + self.group_words)

    @property
    def kernel(self) -> Tuple[int, int]:
        """Rows and columns of taps."""
        return (self.tap_rows, self.tap_columns) if self.taps else (3, 3) if self.kernel3 else (1, 1)

    @property
    def padding(self) -> int:
        """Rows and columns of padding on each side."""
        return 2 if self.pad2 else int(self.pad)

    @property
    def output_rows(self) -> int:
        """Rows of the output, behind the pool."""
        return self.rows // 2 if self.pool else self.rows

    @property
    def record(self) -> int:
        """Words of a pixel of the source."""
        return self.source_words or self.tap_words

    @property
    def given_planes(self) -> int:
        """Planes that it writes."""
        if not self.vector:
            return int(not self.scores)
        return (self.value_bits or VALUE_BITS) if self.bit_planes else self.thresholds

    @property
    def value_range(self) -> Tuple[int, int]:
        """The smallest and the largest value, at which it saturates."""
        return value_range(self.value_bits)

    def units(self, images: int, lanes: int) -> int:
        """What the array works through one by one: images, or blocks of LANES images."""
        return -(-images // lanes) if self.dense or self.by_image else images

    def busy_cycles(self, images: int, lanes: int) -> int:
        """Cycles in which the array multiplies on `images` images."""
        positions = self.rows * (self.columns if self.by_image else self.blocks)
        return self.groups * self.units(images, lanes) * positions * self.group_words * self.planes


class ThresholdHeader(Record):
    """What the header word of a group has for every PE."""

    WORDS = 1

    threshold = Field(0, "T, unsigned; absent channels 65535", bits=16)
    flip = Bit(0, "flip: the bit is inverted after the pool", low=16, bits=1)


class ScoreHeader(Record):
    """What the two header words of a group of the last layer have for every PE."""

    WORDS = 2

    offset = Field(0, "offset, signed", signed=True)
    scale = Field(1, "scale, signed", bits=16, signed=True)


class CoefficientHeader(Record):
    """What the header word of a hand-over has for every PE, in the order of the hand-overs."""

    WORDS = 1

    coefficient = Field(0, "coefficient, signed; absent channels 0", bits=25, signed=True)


class VectorHeader(Record):
    """What the two header words of a plane by thresholds, or of a value without any, have for every PE."""

    WORDS = 2

    offset = Field(0, "offset, signed", signed=True)
    limit = Field(1, "threshold on the value, signed; absent channels 256", bits=16, signed=True)
    flip = Bit(1, "flip: the bit is inverted after the pool", low=16, bits=1)


class FirstBeat(Record):
    """An output channel in the first-layer block, behind the pixel table."""

    WORDS = 1
    WIDTH = 64

    weights = Field(0, "weights, bit tap·4 + c with tap = 3·ky + kx; unused bits 0", bits=FIRST_TAPS * MAX_CHANNELS)
    threshold = Field(0, "T, signed; absent channels 32767", low=40, bits=16, signed=True)
    flip = Bit(0, "flip: the bit is inverted after the pool", low=56, bits=1)


class FirstValue(Record):
    """What makes a value of an output channel's sums, behind all channels of the first-layer block."""

    WORDS = 1
    WIDTH = 64

    offset = Field(0, "offset, signed; absent channels 0", bits=32, signed=True)
    scale = Field(0, "scale, unsigned; absent channels 0", low=32, bits=16)


class Register(Field):
    """A register at a byte offset.

    `label` is its name in the `.hwh`, as Vitis HLS writes it, `labels` those of its parts where they have others.
    `bits` is 64 for an address of two registers.
    """

    def __init__(
        self, offset: int, access: str, doc: str, label: str = "", labels: Sequence[str] = (), bits: int = 32
    ) -> None:
        super().__init__(offset // 4, doc, bits=bits)
        self.access, self.label, self.labels = access, label, labels


class Registers(Record):
    """The registers, as Vitis HLS lays them out: addresses and the image count are arguments of the top function."""

    WORDS = 64

    control = Register(
        0x00, "read-write", "control signals", "CTRL", ("AP_START", "AP_DONE", "AP_IDLE", "AP_READY", "AUTO_RESTART")
    )
    start = control.bit(0, "ap_start")
    done = control.bit(1, "ap_done (clear on read)")
    idle = control.bit(2, "ap_idle")
    ready = control.bit(3, "ap_ready (clear on read)")
    restart = control.bit(7, "auto_restart")
    global_enable = Register(0x04, "read-write", "global interrupt enable", "GIER", ("Enable",))
    interrupts = global_enable.bit(0, "whether status bits raise the interrupt")
    enable = Register(0x08, "read-write", "interrupt enable", "IP_IER", ("CHAN0_INT_EN", "CHAN1_INT_EN"))
    enable_done = enable.bit(0, "done")
    enable_ready = enable.bit(1, "ready")
    status = Register(
        0x0C, "read-write", "interrupt status, toggle on write", "IP_ISR", ("CHAN0_INT_ST", "CHAN1_INT_ST")
    )
    status_done = status.bit(0, "done")
    status_ready = status.bit(1, "ready")
    program = Register(0x10, "write-only", "address of the program", bits=64)
    images = Register(0x1C, "write-only", "address of the images", bits=64)
    scores = Register(0x28, "write-only", "address of the scores", bits=64)
    count = Register(0x34, "read-write", "images of a run")
    image_count = count.part(0, 31, "image count")
    keep = count.bit(31, "keep: the program of the last run is still the one to run")
    id = Register(0x40, "read-only", "CORE_ID")
    version = Register(0x50, "read-only", "INTERFACE_VERSION")
    geometry = Register(0x60, "read-only", "geometry of the design, as in the program", labels=("PE", "LANES", "SIMD"))
    pe, lanes, simd = _geometry(geometry)
    weights = Register(
        0x70, "read-only", "size of the weight memory, FIRST_PE", "weight_depth", ("WEIGHT_DEPTH", "FIRST_PE")
    )
    weight_depth = weights.part(0, 16, "WEIGHT_DEPTH")
    first_pe = weights.part(16, 16, "FIRST_PE")
    activations = Register(
        0x80,
        "read-only",
        "sizes of the activation memory and of the image buffer",
        "act_depth",
        ("ACT_DEPTH", "IMAGE_PIXELS"),
    )
    act_depth = activations.part(0, 16, "ACT_DEPTH")
    image_pixels = activations.part(16, 16, "IMAGE_PIXELS")
    max_layers = Register(0x90, "read-only", "MAX_LAYERS: array layers of a program")
    cycles = Register(0xA0, "read-only", "cycles of the last run")
    busy = Register(0xB0, "read-only", "cycles in which the array multiplied")
    error = Register(0xC0, "read-only", "error code of the last run")
    features = Register(0xD0, "read-only", "what the design has", labels=("VECTOR",))
    vector = features.bit(0, "the vector unit")


WRITABLE = frozenset(
    offset
    for field in Registers.FIELDS
    if isinstance(field, Register) and field.access != "read-only"
    for offset in range(field.offset, field.offset + field.bits // 8, 4)
)
"""Offsets of the registers that a host may write."""
CONSTANT: Tuple[Field, ...] = (
    Registers.id,
    Registers.version,
    Registers.geometry,
    Registers.weights,
    Registers.activations,
    Registers.max_layers,
    Registers.features,
)
"""Registers that tell what a core is; the HLS core fills them in its first run."""
RECORDS: Tuple[Type[Record], ...] = (
    Header,
    Descriptor,
    ThresholdHeader,
    ScoreHeader,
    CoefficientHeader,
    VectorHeader,
    FirstBeat,
    FirstValue,
    Registers,
)


def layers(program: bytes) -> List[Descriptor]:
    """The descriptors of a program.

    Raises:
        ContractError: it ends before them.
    """
    header = Header.read(program)
    size = Descriptor.size_bytes()
    return [Descriptor.read(program, header.descriptors + size * index) for index in range(header.layers)]
