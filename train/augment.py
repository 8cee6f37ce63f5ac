"""Batched augmentation of uint8 images."""

from __future__ import annotations

import torch
from torch import Tensor

CROP_PAD = 4


def crop_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Random crop from 4 pixels of zero padding and random horizontal flip.

    Args:
        images: uint8 (N, C, H, W).
        generator: source of randomness, on the CPU.

    Returns:
        uint8 (N, C, H, W), a new tensor.
    """
    count, _, height, width = images.shape
    device = images.device
    padded = torch.nn.functional.pad(images, (CROP_PAD,) * 4)
    draw = torch.randint(0, 2 * CROP_PAD + 1, (2, count), generator=generator).to(device)
    flip = (torch.rand(count, generator=generator) < 0.5).to(device)
    rows = draw[0, :, None] + torch.arange(height, device=device)
    columns = torch.arange(width, device=device).expand(count, width)
    columns = draw[1, :, None] + torch.where(flip[:, None], columns.flip(1), columns)
    batch = torch.arange(count, device=device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
