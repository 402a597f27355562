"""Answer prompts from an embedding, by the fast order of work of Segment Anything's decoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..sam.decoding import Decoded, FastDecoder, above
from ..sam.reordered import SharedCells
from ..sam.upscaling import FineMaps
from .mask_decoder import HighResolutionMaskDecoder

#: A first output is trusted if it is nearly the same at logits above and below by this much.
DELTA, STABLE = 0.05, 0.98


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

    def answer(self, cells: SharedCells | Tensor, sparse: Tensor) -> Answers:
        """Let (B, n, C) prompts and a picture look at each other; see `FastDecoder`."""
        tokens, points, seen = self._talk(cells, sparse)
        count = len(self._own)
        tokens = self._look(tokens[:, :count], points[:, :count], seen)
        iou = self._decoder.iou_prediction_head(tokens[:, 1]).sigmoid()
        return Answers(seen, tokens[:, 2:], iou, self._presence(tokens[:, 0])[:, 0])

    def several(
        self, answers: Answers, fine: FineMaps, min_predicted_iou: float | None = None
    ) -> Decoded:
        """Make the masks of all outputs but the first, for an ambiguous prompt."""
        predicted = answers.predicted_iou[:, 1:]
        keep = above(predicted, min_predicted_iou)
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
        return self._upscaling(answers.cells, weights, fine)
