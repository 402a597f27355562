"""What a promptable network learns from one round of prompts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

#: What outputs other than the best one of an ambiguous prompt still learn.
OTHERS = 0.1
#: Added to an object's area (cells), so that the smallest do not count most.
AREA = 16


def prompt_losses(masks: Tensor, iou: Tensor, target: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Compute the losses, and the answer that the next round corrects.

    Parameters
    ----------
    masks : (M, outputs, h, w) Tensor
        Logits.
    iou : (M, outputs) Tensor
        Predicted.
    target : (M, h, w) Tensor
        Share of each cell that the object covers.

    Returns
    -------
    losses : dict
        "loss_clear" of the first output, "loss_ambiguous" of the best of the others,
        "loss_iou"; and "iou", the mean of the answers'.
    answer : (M, h, w) Tensor
        Logits of the output with the highest predicted IoU, cut from the graph.
    """
    wanted = target[:, None].expand_as(masks)
    area = target.sum((1, 2))[:, None]
    pixel = F.binary_cross_entropy_with_logits(masks, wanted, reduction="none").sum((2, 3))
    chance = masks.sigmoid()
    shared = (chance * wanted).sum((2, 3))
    # Squares, so that the best answer to half a cell is a half.
    squares = chance.square().sum((2, 3)) + wanted.square().sum((2, 3))
    each = pixel / (area + AREA) + 1 - (2 * shared + 1) / (squares + 1)
    ambiguous = each[:, 1:].min(1).values + OTHERS * each[:, 1:].mean(1)
    with torch.no_grad():
        on, solid = masks > 0, wanted >= 0.5
        both = (on & solid).sum((2, 3)).float()
        true_iou = both / (on | solid).sum((2, 3)).clamp(min=1)
        chosen = iou.argmax(1)
    index = torch.arange(len(masks), device=masks.device)
    losses = {
        "loss_clear": each[:, 0].mean(),
        "loss_ambiguous": ambiguous.mean(),
        "loss_iou": F.mse_loss(iou, true_iou),
        "iou": true_iou[index, chosen].mean(),
    }
    return losses, masks[index, chosen].detach()
