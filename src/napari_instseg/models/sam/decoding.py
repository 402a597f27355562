"""Answer prompts from an embedding: the mask decoder's numbers in a fraction of its work.

What the prompts share is computed once a picture; `reordered` and `upscaling` say how the rest
is made cheap; and a mask is made only once its predicted IoU is known to be good enough.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from .mask_decoder import MaskDecoder, TwoWayAttentionBlock
from .reordered import CellsToTokens, SharedCells, TokensToCells
from .upscaling import Upscaling


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """The masks that are left of B prompts.

    Parameters
    ----------
    prompts, outputs : (M,) int64 Tensor
        Which of the prompts, ascending; which of the decoder's outputs.
    predicted_iou : (M,) float32 Tensor
    logits : (M, s, s) float32 Tensor
    """

    prompts: Tensor
    outputs: Tensor
    predicted_iou: Tensor
    logits: Tensor


class _Block:
    """One two-way block."""

    def __init__(self, block: TwoWayAttentionBlock, positions: Tensor) -> None:
        self.block = block
        self.look = TokensToCells(block.cross_attn_token_to_image, positions)
        self.tell = CellsToTokens(block.cross_attn_image_to_token, positions)

    def __call__(
        self,
        tokens: Tensor,
        points: Tensor,
        cells: Tensor | SharedCells,
        room: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        block = self.block
        if block.first:
            tokens = block.self_attn(tokens, tokens, tokens)
        else:
            at = tokens + points
            tokens = tokens + block.self_attn(at, at, tokens)
        tokens = block.norm1(tokens)
        if isinstance(cells, SharedCells):
            seen = self.look.shared(tokens + points, cells.keys, cells.values)
        else:
            seen = self.look(tokens + points, cells)
        tokens = block.norm2(tokens + seen)
        tokens = block.norm3(tokens + block.mlp(tokens))
        at = tokens + points
        if isinstance(cells, SharedCells):
            return tokens, self.tell.shared(at, tokens, cells, block.norm4, room)
        return tokens, self.tell(at, tokens, cells, block.norm4, room)


class FastDecoder:
    """Decode with a mask decoder's weights, which must not change afterwards.

    Parameters
    ----------
    decoder : MaskDecoder
    positions : (1, C, h, h) Tensor
        `PromptEncoder.dense_positions`.
    """

    def __init__(self, decoder: MaskDecoder, positions: Tensor) -> None:
        self._decoder = decoder
        transformer = decoder.transformer
        placed = positions[0].flatten(1).T.contiguous()
        blocks = cast(Iterable[TwoWayAttentionBlock], transformer.layers)
        self._blocks = [_Block(block, placed) for block in blocks]
        self._last = TokensToCells(transformer.final_attn_token_to_image, placed)
        self._norm = transformer.norm_final_attn
        self._own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        self._kept = threading.local()
        self._upscaling = Upscaling(decoder.output_upscaling, positions.shape[-1])

    def share(self, cells: Tensor) -> SharedCells:
        """Project the (T, C) cells of a picture, with what stands for "no mask"."""
        first = self._blocks[0]
        keys, values = first.look.project(cells)
        return SharedCells(cells, keys, values, first.tell.project(cells))

    def __call__(
        self,
        cells: SharedCells | Tensor,
        sparse: Tensor,
        outputs: slice,
        min_predicted_iou: float | None = None,
    ) -> Decoded:
        """Decode B prompts.

        Parameters
        ----------
        cells : SharedCells or (B, T, C) Tensor
            Of the picture; or of the picture and each prompt's own mask.
        sparse : (B, n, C) Tensor
            `PromptEncoder.sparse`.
        outputs : slice
            Of the decoder's outputs.
        min_predicted_iou : float, optional
            Make only masks above it.

        Returns
        -------
        Decoded
        """
        room = self._room(len(sparse)) if sparse.device.type == "cpu" else None
        tokens, points, seen = self._talk(cells, sparse, room)
        predicted = self._predicted_iou(tokens, points, seen)[:, outputs]
        keep = above(predicted, min_predicted_iou)
        prompts, columns = keep.nonzero(as_tuple=True)
        kept = torch.arange(self._decoder.num_mask_tokens, device=keep.device)[outputs][columns]
        logits = self._masks(tokens, points, seen, prompts, kept)
        return Decoded(prompts, kept, predicted[keep], logits)

    def _room(self, count: int) -> Tensor:
        """Memory for the cells of some prompts, used again by the next ones of a thread."""
        kept: Tensor | None = getattr(self._kept, "cells", None)
        if kept is None or len(kept) < count:
            kept = self._own.new_empty(count, *self._last.positions.shape)
            self._kept.cells = kept
        return kept[:count]

    def _talk(
        self, cells: SharedCells | Tensor, sparse: Tensor, room: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Let prompts and the picture look at each other; the cells go into ``room``.

        Returns
        -------
        tokens, points : (B, m + n, C) Tensor
            The decoder's own m tokens and the prompts': after that, and before.
        cells : (B, T, C) Tensor
            As each prompt left them.
        """
        points = torch.cat([self._own.expand(len(sparse), -1, -1), sparse], dim=1)
        tokens = points
        for block in self._blocks:
            tokens, cells = block(tokens, points, cells, room)
        if isinstance(cells, SharedCells):
            raise ValueError("expected a decoder with at least one block")
        return tokens, points, cells

    def _predicted_iou(self, tokens: Tensor, points: Tensor, cells: Tensor) -> Tensor:
        """(B, all outputs); the last look of one token alone."""
        seen = self._look(tokens[:, :1], points[:, :1], cells)
        predicted: Tensor = self._decoder.iou_prediction_head(seen[:, 0])
        return predicted

    def _masks(
        self, tokens: Tensor, points: Tensor, cells: Tensor, prompts: Tensor, kept: Tensor
    ) -> Tensor:
        """(M, s, s) logits of M outputs of some of the prompts."""
        side = 4 * self._upscaling.grid
        if not len(prompts):
            return tokens.new_zeros(0, side, side)
        rows, row = prompts.unique(return_inverse=True)
        columns, column = kept.unique(return_inverse=True)
        if len(rows) < len(cells):
            tokens, points, cells = tokens[rows], points[rows], _moved_up(cells, rows)
        at = 1 + columns
        seen = self._look(tokens[:, at], points[:, at], cells)
        networks = self._decoder.output_hypernetworks_mlps
        weights = [networks[i](seen[:, k]) for k, i in enumerate(columns.tolist())]
        logits = self._upscaling(cells, torch.stack(weights, dim=1))
        return logits[row, column]

    def _look(self, tokens: Tensor, points: Tensor, cells: Tensor) -> Tensor:
        seen: Tensor = self._norm(tokens + self._last(tokens + points, cells))
        return seen


def _moved_up(cells: Tensor, rows: Tensor) -> Tensor:
    """Select rows, ascending; on a CPU in the memory where they are."""
    if cells.device.type != "cpu":
        return cells[rows]
    for place, row in enumerate(rows.tolist()):
        if place < row:
            cells[place] = cells[row]
    return cells[: len(rows)]


def above(predicted: Tensor, least: float | None) -> Tensor:
    """Which predicted IoUs are above the least; all if there is none."""
    if least is None:
        return torch.ones_like(predicted, dtype=torch.bool)
    return predicted > least
