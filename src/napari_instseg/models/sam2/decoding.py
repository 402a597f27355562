"""Answer prompts from an embedding, by the fast order of work of Segment Anything's decoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..sam.decoding import Decoded, FastDecoder
from ..sam.prompt_encoder import LayerNorm2d
from ..sam.reordered import SharedCells
from .mask_decoder import HighResolutionMaskDecoder

#: A first output is trusted if it is nearly the same at logits above and below by this much.
DELTA, STABLE = 0.05, 0.98
#: Cells at a time on a CPU, so that what one piece needs stays in the cache.
CELLS = 512


@dataclass(frozen=True, slots=True, eq=False)
class FineMaps:
    """What is added while masks are made, cell by cell of the coarse map.

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


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What the transformer says of B prompts, before any mask is made.

    Parameters
    ----------
    cells : (B, T, C) Tensor
        Of the picture, as each prompt left it.
    outputs : (B, outputs, C) Tensor
        A token for each mask.
    predicted_iou : (B, outputs) Tensor
    presence : (B,) Tensor
        Logits: whether there is an object at all.
    """

    cells: Tensor
    outputs: Tensor
    predicted_iou: Tensor
    presence: Tensor

    def take(self, which: Tensor) -> Answers:
        """Select prompts."""
        return Answers(
            self.cells[which],
            self.outputs[which],
            self.predicted_iou[which],
            self.presence[which],
        )


class HighResolutionDecoder(FastDecoder):
    """Decode with a mask decoder's weights, which must not change afterwards.

    Parameters
    ----------
    decoder : HighResolutionMaskDecoder
    positions : (1, C, h, h) Tensor
        `PromptEncoder.dense_positions`.
    """

    def __init__(self, decoder: HighResolutionMaskDecoder, positions: Tensor) -> None:
        super().__init__(decoder, positions)
        self._own = torch.cat([decoder.obj_score_token.weight, self._own])
        self._presence = decoder.pred_obj_score_head
        first, norm, _, second, _ = decoder.output_upscaling
        self._first, self._second = _matrix(first), _matrix(second)
        if not isinstance(norm, LayerNorm2d):
            raise TypeError(f"expected a norm over channels, got {type(norm).__name__}")
        self._norm_halves = norm
        self._grid = positions.shape[-1]

    def answer(self, cells: SharedCells | Tensor, sparse: Tensor) -> Answers:
        """Let (B, n, C) prompts and a picture look at each other; see `FastDecoder`."""
        points = torch.cat([self._own.expand(len(sparse), -1, -1), sparse], dim=1)
        tokens, seen = points, cells
        for block in self._blocks:
            tokens, seen = block(tokens, points, seen)
        if isinstance(seen, SharedCells):
            raise ValueError("expected a decoder with at least one block")
        count = len(self._own)
        tokens = self._look(tokens[:, :count], points[:, :count], seen)
        iou = self._decoder.iou_prediction_head(tokens[:, 1]).sigmoid()
        return Answers(seen, tokens[:, 2:], iou, self._presence(tokens[:, 0])[:, 0])

    def several(
        self, answers: Answers, fine: FineMaps, min_predicted_iou: float | None = None
    ) -> Decoded:
        """Make the masks of all outputs but the first, for an ambiguous prompt."""
        predicted = answers.predicted_iou[:, 1:]
        keep = torch.ones_like(predicted, dtype=torch.bool)
        if min_predicted_iou is not None:
            keep = predicted > min_predicted_iou
        prompts, columns = keep.nonzero(as_tuple=True)
        rows, row = prompts.unique(return_inverse=True)
        logits = self.masks(answers.take(rows), fine, slice(1, None))[row, columns]
        return Decoded(prompts, columns + 1, predicted[keep], logits)

    def one(
        self, answers: Answers, fine: FineMaps, min_predicted_iou: float | None = None
    ) -> Decoded:
        """Make one mask a prompt: the first output's, or if that is not stable the best other."""
        prompts = torch.arange(len(answers.cells), device=answers.cells.device)
        if min_predicted_iou is not None:
            # Whichever output it will be.
            prompts = prompts[(answers.predicted_iou > min_predicted_iou).any(1)]
            answers = answers.take(prompts)
        logits = self.masks(answers, fine, slice(0, 1))[:, 0]
        outputs = torch.zeros_like(prompts)
        inner, outer = ((logits > at).flatten(1).sum(1) for at in (DELTA, -DELTA))
        shaky = (inner < STABLE * outer).nonzero()[:, 0]
        if len(shaky):
            best = answers.predicted_iou[shaky, 1:].argmax(1)
            others = self.masks(answers.take(shaky), fine, slice(1, None))
            logits[shaky] = others[torch.arange(len(shaky), device=best.device), best]
            outputs[shaky] = best + 1
        iou = answers.predicted_iou.gather(1, outputs[:, None])[:, 0]
        if min_predicted_iou is not None:
            keep = iou > min_predicted_iou
            prompts, outputs, iou, logits = prompts[keep], outputs[keep], iou[keep], logits[keep]
        return Decoded(prompts, outputs, iou, logits)

    def best(self, answers: Answers, fine: FineMaps) -> Decoded:
        """Make one mask a prompt: of all outputs but the first, the one of the highest IoU."""
        iou, outputs = answers.predicted_iou[:, 1:].max(1)
        logits = self.masks(answers, fine, slice(1, None))
        prompts = torch.arange(len(iou), device=iou.device)
        return Decoded(prompts, outputs + 1, iou, logits[prompts, outputs])

    def masks(self, answers: Answers, fine: FineMaps, outputs: slice) -> Tensor:
        """Make (B, m, 4 h, 4 h) logits of m outputs."""
        networks = list(self._decoder.output_hypernetworks_mlps)[outputs]
        tokens = answers.outputs[:, outputs].unbind(1)
        weights = torch.stack([mlp(t) for mlp, t in zip(networks, tokens, strict=True)], dim=1)
        total = answers.cells.shape[1]
        step = CELLS if answers.cells.device.type == "cpu" else total
        parts = [slice(at, at + step) for at in range(0, total, step)]
        pieces = [
            torch.cat([self._piece(cells, own, fine, part) for part in parts])
            for cells, own in zip(answers.cells, weights, strict=True)
        ]
        side = 4 * self._grid
        if not pieces:
            return weights.new_zeros(0, weights.shape[1], side, side)
        # Row, column; then twice which of 2 rows and of 2 columns; then the mask.
        logits = torch.stack(pieces).view(-1, self._grid, self._grid, 2, 2, 2, 2, len(networks))
        return logits.permute(0, 7, 1, 3, 5, 2, 4, 6).reshape(-1, len(networks), side, side)

    def _piece(self, cells: Tensor, outputs: Tensor, fine: FineMaps, part: slice) -> Tensor:
        """(t, C) cells of all and (m, C / 8) weights to (16 t, m) logits."""
        norm = self._norm_halves
        x = F.linear(cells[part], *self._first).view(-1, 4, norm.weight.shape[0])
        x = x + fine.halves[part]
        x = F.gelu(F.layer_norm(x, norm.weight.shape, norm.weight, norm.bias, norm.eps))
        x = F.linear(x, *self._second).view(len(x), 16, -1)
        x = F.gelu(x + fine.quarters[part])
        return x.flatten(0, 1) @ outputs.T


def _matrix(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Weights (4 * out, in) and bias of a transposed convolution of size and stride 2."""
    if not isinstance(layer, nn.ConvTranspose2d) or layer.bias is None:
        raise TypeError(f"expected a transposed convolution, got {type(layer).__name__}")
    return layer.weight.permute(2, 3, 1, 0).flatten(0, 2), layer.bias.repeat(4)
