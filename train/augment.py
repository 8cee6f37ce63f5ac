"""Batched augmentation of uint8 images."""

from __future__ import annotations

import torch
from torch import Tensor


def crop_flip(images: Tensor, generator: torch.Generator, pad: int = 4, flip: bool = True) -> tuple[Tensor, Tensor]:
    """Random crop from `pad` pixels of zero padding and random horizontal flip.

    Args:
        images: uint8 (N, C, H, W).
        generator: source of randomness, on the CPU.
        pad: pixels on each side, 0 for no crop.
        flip: whether to flip at all.

    Returns:
        uint8 (N, C, H, W), a new tensor, and which images were flipped, bool (N,).
    """
    count, _, height, width = images.shape
    device = images.device
    padded = torch.nn.functional.pad(images, (pad,) * 4)
    draw = torch.randint(0, 2 * pad + 1, (2, count), generator=generator).to(device)
    flipped = (torch.rand(count, generator=generator) < (0.5 if flip else 0.0)).to(device)
    rows = draw[0, :, None] + torch.arange(height, device=device)
    columns = torch.arange(width, device=device).expand(count, width)
    columns = draw[1, :, None] + torch.where(flipped[:, None], columns.flip(1), columns)
    batch = torch.arange(count, device=device)[:, None, None]
    moved = padded.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return moved, flipped
