"""Small masks over boxes to crops in the image's pixels."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from ..instances import Mask

#: Masks and pixels (of their frames) pasted at a time: bounds memory, whatever the number and
#: size of the objects.
PASTE_CHUNK = 256
PASTE_PIXELS = 4_000_000


def paste_masks(
    probabilities: Tensor,
    boxes: Tensor,
    shape: tuple[int, int],
    *,
    threshold: float = 0.5,
    sample_at: float = 0.5,
    padding: str = "zeros",
) -> list[Mask]:
    """Resample each object's small mask to the pixels of its own box.

    Parameters
    ----------
    probabilities : (N, m, m) float Tensor
        In [0, 1], over each box.
    boxes : (N, 4) float Tensor
        XYXY, px.
    shape : (int, int)
        Height and width of the image, px.
    threshold : float
        Pixels at or above it belong to the object.
    sample_at : float
        Where in a pixel the mask is sampled, px; 0.5 is its centre.
    padding : {"zeros", "border"}
        What lies beyond a mask's outermost values. Zeros, which Detectron2 has, shave the
        object's outermost pixels off where it touches its box.

    Returns
    -------
    list of N Mask
        Crops over the pixels whose centres each box holds (at least one); some may be empty.

    References
    ----------
    Detectron2 ``layers/mask_ops.py``, whose pixels the defaults give, without its N x H x W.
    """
    if len(boxes) == 0:
        return []
    height, width = shape
    first = boxes[:, :2].round()
    size = (boxes[:, 2:].round() - first).clamp(min=1)
    # Objects of like size share a chunk, so that its common frame is hardly larger than they.
    order = torch.argsort(size.amax(dim=1))
    corners = torch.cat([first, first + size], dim=1).long().cpu().numpy()
    masks: list[Mask | None] = [None] * len(boxes)
    for chunk in _chunks(order, size):
        grid = _grid(boxes[chunk], first[chunk], size[chunk], sample_at)
        values = probabilities[chunk, None].float()
        sampled = grid_sample(values, grid, padding_mode=padding, align_corners=False)[:, 0]
        pasted = (sampled >= threshold).cpu().numpy()
        for pixels, i in zip(pasted, chunk.tolist(), strict=True):
            left, top, right, bottom = (int(corner) for corner in corners[i])
            inner_top, inner_left = min(max(top, 0), height), min(max(left, 0), width)
            rows = slice(inner_top - top, max(min(bottom, height), inner_top) - top)
            cols = slice(inner_left - left, max(min(right, width), inner_left) - left)
            masks[i] = Mask((inner_top, inner_left), pixels[rows, cols].copy())
    return [mask for mask in masks if mask is not None]


def _chunks(order: Tensor, size: Tensor) -> Iterator[Tensor]:
    """Split objects, which are in the order of their size, so that a chunk's frames fit."""
    begin = 0
    edges = size.amax(dim=1)[order].tolist()
    for end in range(1, len(edges) + 1):
        count = end - begin + 1
        if end == len(edges) or count > PASTE_CHUNK or count * edges[end] ** 2 > PASTE_PIXELS:
            yield order[begin:end]
            begin = end


def _grid(boxes: Tensor, first: Tensor, size: Tensor, sample_at: float) -> Tensor:
    """Where `grid_sample` finds the pixels of a common frame from ``first`` on, in each mask."""
    frame_w, frame_h = (int(n) for n in size.amax(dim=0))
    extent = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-6)
    axes = []
    for axis, length in ((0, frame_w), (1, frame_h)):
        places = torch.arange(length, device=boxes.device) + sample_at
        position = first[:, axis, None] + places - boxes[:, axis, None]
        axes.append(position / extent[:, axis, None] * 2 - 1)
    n = len(boxes)
    return torch.stack(
        [
            axes[0][:, None, :].expand(n, frame_h, frame_w),
            axes[1][:, :, None].expand(n, frame_h, frame_w),
        ],
        dim=-1,
    )
