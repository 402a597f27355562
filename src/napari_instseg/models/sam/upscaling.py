"""From the decoder's cells to mask logits, a piece that fits the cache at a time."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .prompt_encoder import LayerNorm2d

#: Cells at a time on a CPU: the widest intermediate is then 0.5 MiB.
CELLS = 512


class Upscaling:
    """Both transposed convolutions as matrix products, and the masks inside each piece.

    A transposed convolution whose stride is its kernel's size makes 2 x 2 fine cells of each
    coarse one, alone; nothing of the size of a whole fine map is needed.

    Parameters
    ----------
    layers : nn.Sequential
        `MaskDecoder.output_upscaling`.
    grid : int
        Side of the embedding, cells.
    """

    def __init__(self, layers: nn.Sequential, grid: int) -> None:
        first, norm, _, second, _ = layers
        if not isinstance(norm, LayerNorm2d):
            raise TypeError(f"expected LayerNorm2d, got {type(norm).__name__}")
        self._norm = norm
        self.grid = grid
        self._weights1, self._bias1 = _as_product(first)
        self._weights2, self._bias2 = _as_product(second)

    def __call__(self, cells: Tensor, outputs: Tensor) -> Tensor:
        """(B, T, C) cells and (B, m, C / 8) masks' weights to (B, m, 4 grid, 4 grid) logits."""
        count, total, _ = cells.shape
        step = CELLS if cells.device.type == "cpu" else total
        pieces = [
            torch.cat(
                [self._piece(own[begin : begin + step], weights) for begin in range(0, total, step)]
            )
            for own, weights in zip(cells, outputs, strict=True)
        ]
        # Row, column; then twice which of 2 rows and of 2 columns; then the mask.
        logits = torch.stack(pieces).view(count, self.grid, self.grid, 2, 2, 2, 2, -1)
        side = 4 * self.grid
        return logits.permute(0, 7, 1, 3, 5, 2, 4, 6).reshape(count, -1, side, side)

    def _piece(self, cells: Tensor, outputs: Tensor) -> Tensor:
        """(t, C) cells and (m, C / 8) weights to (16 t, m)."""
        norm = self._norm
        fine = torch.addmm(self._bias1, cells, self._weights1)
        fine = fine.view(-1, norm.weight.shape[0])
        fine = F.layer_norm(fine, norm.weight.shape, norm.weight, norm.bias, norm.eps)
        fine = torch.addmm(self._bias2, F.gelu(fine), self._weights2)
        return F.gelu(fine).view(-1, outputs.shape[1]) @ outputs.T


def _as_product(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Weights (inputs, 2 * 2 * outputs) and bias of a transposed convolution 2 x 2, stride 2."""
    weight, bias = layer.weight, layer.bias
    if not isinstance(weight, Tensor) or not isinstance(bias, Tensor):
        raise TypeError(f"expected a transposed convolution, got {type(layer).__name__}")
    return weight.permute(0, 2, 3, 1).flatten(1).contiguous(), bias.repeat(4)
