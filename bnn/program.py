"""What every reader of ``program.bin`` needs: its header, and images as the core finds them in memory."""

from __future__ import annotations

import numpy as np

from bnn.errors import ExpectedError


def header(program: bytes) -> np.ndarray:
    """The 32 words of a program's header, uint32.

    Raises:
        ExpectedError: the program is shorter.
    """
    if len(program) < 128:
        raise ExpectedError(f"program: {len(program)} bytes, expected at least 128")
    return np.frombuffer(program, "<u4", 32)


def image_bytes(program: bytes, images: np.ndarray) -> bytes:
    """The images as they lie in memory.

    Args:
        program: the bytes of program.bin.
        images: uint8 (N, H, W, C).

    Raises:
        ExpectedError: the images are of another shape or type than the program's.
    """
    words = header(program)
    shape = (int(words[20] & 0xFFFF), int(words[20] >> 16), int(words[21] & 0xFF))
    if images.dtype != np.uint8 or images.shape[1:] != shape:
        raise ExpectedError(f"images: are {images.dtype.name} {images.shape}, expected uint8 (N, {str(shape)[1:]}")
    rows = np.zeros((len(images), int(words[16])), np.uint8)
    pixels = int(np.prod(shape))
    rows[:, :pixels] = images.reshape(len(images), pixels)
    return rows.tobytes()
