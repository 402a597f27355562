"""From the decoder's cells to mask logits, a piece that fits the cache at a time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .mask_decoder import as_matrix, channels_norm

#: Cells at a time on a CPU: the widest intermediate is then 0.5 MiB.
CELLS = 512


@dataclass(frozen=True, slots=True, eq=False)
class FineMaps:
    """What SAM 2 adds while masks are made, cell by cell of the coarse map.

    Parameters
    ----------
    halves : (T, 4, C / 4) Tensor
        The 2 x 2 halves of each of T cells.
    quarters : (T, 16, C / 8) Tensor
        The 2 x 2 quarters of each half.
    """

    halves: Tensor
    quarters: Tensor

    @classmethod
    def create(cls, half: Tensor, quarter: Tensor) -> FineMaps:
        """Build from (C / 4, 2 h, 2 w) and (C / 8, 4 h, 4 w) maps."""
        two = half.unflatten(2, (-1, 2)).unflatten(1, (-1, 2))
        four = quarter.unflatten(2, (-1, 2, 2)).unflatten(1, (-1, 2, 2))
        return cls(
            two.permute(1, 3, 2, 4, 0).flatten(0, 1).flatten(1, 2).contiguous(),
            four.permute(1, 4, 2, 5, 3, 6, 0).flatten(0, 1).flatten(1, 4).contiguous(),
        )


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
        first, self._norm, _, second, _ = layers
        self.grid = grid
        (matrix1, self._bias1), (matrix2, self._bias2) = as_matrix(first), as_matrix(second)
        self._weights1, self._weights2 = matrix1.T.contiguous(), matrix2.T.contiguous()

    def __call__(self, cells: Tensor, outputs: Tensor, fine: FineMaps | None = None) -> Tensor:
        """Make masks.

        Parameters
        ----------
        cells : (B, T, C) Tensor
        outputs : (B, m, C / 8) Tensor
            Weights of masks.
        fine : FineMaps, optional
            Of the picture.

        Returns
        -------
        (B, m, 4 grid, 4 grid) Tensor
            Logits.
        """
        count, total, _ = cells.shape
        each, side = outputs.shape[1], 4 * self.grid
        if not count:
            return outputs.new_zeros(0, each, side, side)
        step = CELLS if cells.device.type == "cpu" else total
        parts = [slice(begin, begin + step) for begin in range(0, total, step)]
        pieces = [
            torch.cat([self._piece(own, weights, fine, part) for part in parts])
            for own, weights in zip(cells, outputs, strict=True)
        ]
        # Row, column; then twice which of 2 rows and of 2 columns; then the mask.
        logits = torch.stack(pieces).view(count, self.grid, self.grid, 2, 2, 2, 2, each)
        return logits.permute(0, 7, 1, 3, 5, 2, 4, 6).reshape(count, each, side, side)

    def _piece(self, cells: Tensor, outputs: Tensor, fine: FineMaps | None, part: slice) -> Tensor:
        """A part of (T, C) cells, t of them, and (m, C / 8) weights to (16 t, m) logits."""
        x = torch.addmm(self._bias1, cells[part], self._weights1).unflatten(1, (4, -1))
        if fine is not None:
            x = x + fine.halves[part]
        x = F.gelu(channels_norm(x, self._norm)).flatten(0, 1)
        x = torch.addmm(self._bias2, x, self._weights2).view(-1, 16, outputs.shape[1])
        if fine is not None:
            x = x + fine.quarters[part]
        return F.gelu(x).flatten(0, 1) @ outputs.T
