"""What the host needs of `program.bin` (docs/ARCHITECTURE.md, "Program")."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bnn.check import MOST, ProgramFault, check
from bnn.contract import BEAT_BYTES, PROGRAM_MAGIC, PROGRAM_VERSION, PROGRAM_VERSION_2, Descriptor, Header, Registers
from bnn.files import FileError, read_file

from .errors import HostError

MAX_BYTES = 128 << 20
"""Of a program: the contiguous memory of a board."""


class Program:
    """A program, checked as a core checks it.

    Args:
        path: the file, named in messages.
        content: its bytes where they are at hand.

    Raises:
        HostError: the file is missing, damaged or of another version.
    """

    def __init__(self, path: str | Path, content: bytes | None = None) -> None:
        if content is None:
            try:
                content = read_file(Path(path), MAX_BYTES)
            except FileError as error:
                raise HostError(str(error)) from None
        self.path = str(path)
        least = Header.size_bytes()
        if len(content) < least or len(content) % BEAT_BYTES:
            raise HostError(f"{path}: {len(content)} bytes, expected a multiple of {BEAT_BYTES} from {least}")
        self.words = np.frombuffer(content, "<u4")
        self.header = head = Header.read(content)
        versions = f"{PROGRAM_VERSION} or {PROGRAM_VERSION_2}"
        for what, good, got, wanted in (
            ("magic", head.magic == PROGRAM_MAGIC, f"0x{head.magic:08X}", f"0x{PROGRAM_MAGIC:08X}"),
            ("version", head.version in (PROGRAM_VERSION, PROGRAM_VERSION_2), head.version, versions),
            ("size", len(content) == head.size, len(content), head.size),
        ):
            if not good:
                raise HostError(f"{path}: {what} is {got}, expected {wanted}")
        self.shape = (head.height, head.width, head.channels)
        self.classes, self.image_bytes, self.resident = head.classes, head.image_bytes, bool(head.resident)
        if not (head.pe and head.lanes and head.simd >= 32 and head.first_pe):
            raise HostError(f"{path}: {head.pe}x{head.simd}x{head.lanes}, FIRST_PE {head.first_pe} is no array")
        # whether the core is large enough is asked when it is there
        largest = Registers(
            geometry=head.geometry,
            first_pe=head.first_pe & MOST,
            weight_depth=self._ring_depth or MOST,
            act_depth=MOST,
            image_pixels=MOST,
            max_layers=len(content) // Descriptor.size_bytes(),
            vector=True,
        )
        try:
            self.descriptors = check(content, largest)
        except ProgramFault as error:
            raise HostError(f"{path}: {error}") from None

    def check_images(self, images: np.ndarray) -> None:
        """Check images against the program.

        Raises:
            HostError: they are not uint8 (N, H, W, C) of its shape.
        """
        wanted = f"uint8 (N, {', '.join(map(str, self.shape))})"
        if not isinstance(images, np.ndarray):
            raise HostError(f"images are {type(images).__name__}, expected an array {wanted}")
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != self.shape:
            raise HostError(f"images are {images.dtype.name} {images.shape}, expected {wanted}")

    @property
    def _ring_depth(self) -> int:
        """Words of the weight memory whose last 2^n are segment B's ring; 0: there is none."""
        base = int(self.header.ring_base)
        return base + (base & -base)

    @property
    def exact_weight_depth(self) -> bool:
        """Whether it runs with no more weight memory either."""
        return self._ring_depth > 0

    @property
    def weight_depth(self) -> int:
        """Weight memory needed: all words if resident, the largest group otherwise; with a ring that size alone."""
        if self._ring_depth:
            return self._ring_depth
        if self.resident:
            return self.header.words_a + self.header.words_b
        return max(layer.headers + layer.group_words for layer in self.descriptors)

    @property
    def act_depth(self) -> int:
        """Activation memory needed: the last word that any layer reads, plus one."""
        head, needed = self.header, 0
        for index, layer in enumerate(self.descriptors):
            images = head.sub_batch if index < head.layers_a else head.batch
            units = max(layer.units(images, max(head.lanes, 1)), 1)
            words = layer.height * layer.source_row_stride or layer.more_planes * layer.tap_words + layer.tap_words
            end = max(layer.source_even, layer.source_odd) + (units - 1) * layer.source_image_stride + words
            needed = max(needed, 0 if layer.average else end)
            if layer.shortcut or layer.average:
                rows = layer.height if layer.average else layer.rows
                base = max(layer.shortcut_even, layer.shortcut_odd)
                end = base + (units - 1) * layer.shortcut_image_stride + rows * layer.shortcut_row_stride
                needed = max(needed, end)
        return needed

    @property
    def vector(self) -> bool:
        """Whether it needs the vector unit."""
        return any(layer.vector for layer in self.descriptors)
