"""Cut a picture's tokens into square windows for attention, and join them again."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def cut(x: Tensor, side: int, padding: Tensor) -> Tensor:
    """Cut (B, h, w, C) into (N, side, side, C); what lies beyond is ``padding`` (C).

    Where a model pads with zeros before a projection, its bias is there after it.
    """
    count, height, width, _ = x.shape
    squares = padding.repeat(count, -(-height // side), -(-width // side), side, side, 1)
    for there, inside in _pieces(x, squares, side):
        inside.copy_(there)
    return squares.flatten(0, 2)


def join(squares: Tensor, shape: torch.Size, side: int) -> Tensor:
    """Put (N, side, side, C) windows together to (B, h, w, C), without what lies beyond."""
    count, height, width, _ = shape
    x = squares.new_empty(count, height, width, squares.shape[-1])
    squares = squares.view(count, -(-height // side), -(-width // side), side, side, -1)
    for there, inside in _pieces(x, squares, side):
        there.copy_(inside)
    return x


def _pieces(x: Tensor, squares: Tensor, side: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Views of (B, h, w, C) and of its windows that show the same: whole windows, and cut ones."""
    for row, rows, tall in _runs(x.shape[1], side):
        for col, cols, wide in _runs(x.shape[2], side):
            there = x[:, row * side : row * side + rows * tall]
            there = there[:, :, col * side : col * side + cols * wide]
            there = there.unflatten(1, (rows, tall)).unflatten(3, (cols, wide)).transpose(2, 3)
            yield there, squares[:, row : row + rows, col : col + cols, :tall, :wide]


def _runs(length: int, side: int) -> Iterator[tuple[int, int, int]]:
    """Windows of one size along an axis: the first, how many, and their size."""
    whole, rest = divmod(length, side)
    if whole:
        yield 0, whole, side
    if rest:
        yield whole, 1, rest
