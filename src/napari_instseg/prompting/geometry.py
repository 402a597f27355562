"""Prompts from the plane to a view's picture, and masks back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..instances import Mask
from ..ops.morphing import clip, ellipse
from ..ops.scaling import Resampling
from ..promptable import MASK_LOGIT, ON, Prompts, PromptSegmenter
from .prompts import NO_PIXELS, Candidate, Prompt
from .views import Pyramid, View

#: How far a mask may reach over the edge of its prompt's box: this share of the side, at least
#: a pixel.
BOX_MARGIN = 0.05


@dataclass(frozen=True, slots=True)
class Grid:
    """How a model's logits lie over a picture.

    Parameters
    ----------
    size : int
        Side of the grid.
    stretched : bool
        Its height and width span those of the picture; else the longest side spans it.
    """

    size: int
    stretched: bool = False

    @classmethod
    def of(cls, prompter: PromptSegmenter) -> Grid:
        """Ask the model."""
        return cls(prompter.mask_size, prompter.habits.stretches)

    def steps(self, shape: tuple[int, int]) -> tuple[float, float]:
        """Height and width of a cell, px of a picture of ``shape``."""
        height, width = shape if self.stretched else (max(shape), max(shape))
        return height / self.size, width / self.size


def to_prompts(
    pyramid: Pyramid, view: View, prompts: Sequence[Prompt], prompter: PromptSegmenter
) -> Prompts:
    """Write prompts of one kind (see `kind`) as the model takes them.

    A mask goes with a box around it where there are no points: models answer the pair better.
    """
    if prompter.habits.fills_boxes:
        prompts = [_filled(prompt) for prompt in prompts]
    boxes = [_box(prompt) for prompt in prompts]
    logits = [_logits(pyramid, view, prompt, Grid.of(prompter)) for prompt in prompts]
    points = [pyramid.to_picture(view, np.reshape(p.points, (-1, 2))) for p in prompts]
    corners = [pyramid.to_picture(view, np.reshape(b, (2, 2))) for b in boxes if b is not None]
    return Prompts.create(
        points,
        [prompt.labels for prompt in prompts],
        _inside(np.array(corners), view) if corners else None,
        [each for each in logits if each is not None] or None,
    )


def confine(mask: Mask, prompt: Prompt) -> Mask:
    """Leave out what a model drew outside of the box that it was given, but for `BOX_MARGIN`.

    A click on the object outside of the box says that the box was too small.
    """
    if prompt.box is None or not mask.pixels.size:
        return mask
    low, high = np.array(prompt.box[:2]), np.array(prompt.box[2:])
    clicks = [p for p, label in zip(prompt.points, prompt.labels, strict=True) if label == ON]
    if any(not np.all((low <= at) & (at <= high)) for at in clicks):
        return mask
    margin = np.maximum(1, BOX_MARGIN * (high - low))
    begin = np.floor(np.maximum(low - margin - mask.origin, 0)).astype(int)
    end = np.ceil(np.maximum(high + margin - mask.origin, 0)).astype(int)
    pixels = mask.pixels[begin[0] : end[0], begin[1] : end[1]]
    origin = mask.origin[0] + int(begin[0]), mask.origin[1] + int(begin[1])
    return Mask(origin, pixels).tight() or NO_PIXELS


def _filled(prompt: Prompt) -> Prompt:
    """A box with the ellipse in it and a click; a prompt with another mask as it is."""
    if prompt.box is None or prompt.mask or prompt.previous:
        return prompt
    top, left, bottom, right = prompt.box
    points = prompt.points or (((top + bottom) / 2, (left + right) / 2),)
    return replace(prompt, points=points, labels=prompt.labels or (ON,), mask=ellipse(prompt.box))


def kind(prompt: Prompt) -> tuple[int, bool, bool]:
    """What prompts of one batch have in common: points, whether a box, whether a mask."""
    has_mask = prompt.mask is not None or prompt.previous is not None
    return len(prompt.points), _box(prompt) is not None, has_mask


def to_logits(pyramid: Pyramid, view: View, mask: Mask, grid: Grid) -> NDArray[np.float32]:
    """Put a mask on the model's grid over a view's picture.

    Parameters
    ----------
    pyramid : Pyramid
    view : View
    mask : Mask
        In px of the plane.
    grid : Grid

    Returns
    -------
    (size, size) float32
        From -`MASK_LOGIT` (outside) to `MASK_LOGIT`, by the share of each cell that is inside.
    """
    steps = grid.steps(view.tile.shape)
    scale = np.divide(pyramid.resampling.target, pyramid.resampling.source) / 2**view.level
    share = mask.pixels.astype(np.float32)
    for axis, begin in enumerate((view.tile.top, view.tile.left)):
        # Edges of the cells, in px of the mask's crop.
        edges = (np.arange(grid.size + 1) * steps[axis] + begin) / scale[axis] - mask.origin[axis]
        share = _means(share, edges, axis)
    return (MASK_LOGIT * (2 * share - 1)).astype(np.float32)


def to_plane(pyramid: Pyramid, view: View, masks: Sequence[Mask]) -> list[Mask]:
    """Move masks from px of a view's picture to px of the plane.

    Returns
    -------
    list of Mask
        One for each, tight; `NO_PIXELS` for one without pixels.
    """
    return [_restore(pyramid, view, mask) for mask in masks]


def is_cut(pyramid: Pyramid, view: View, mask: Mask, margin: int) -> bool:
    """Whether a mask (px of the picture) ends this near to an edge that cuts the plane."""
    (rows, cols), tile = mask.slices, view.tile
    (height, width), (tall, wide) = pyramid.shape(view.level), tile.shape
    return mask.pixels.size > 0 and (
        (tile.top > 0 and rows.start <= margin)
        or (tile.left > 0 and cols.start <= margin)
        or (tile.bottom < height and rows.stop >= tall - margin)
        or (tile.right < width and cols.stop >= wide - margin)
    )


def _box(prompt: Prompt) -> tuple[float, float, float, float] | None:
    if prompt.box is not None or prompt.mask is None or prompt.points:
        return prompt.box
    rows, cols = prompt.mask.slices
    return rows.start, cols.start, rows.stop, cols.stop


def _inside(boxes: NDArray[np.float64], view: View) -> NDArray[np.float64]:
    """Clip (N, 2, 2) boxes to the picture."""
    return np.asarray(np.clip(boxes, 0, view.tile.shape).reshape(-1, 4), np.float64)


def _logits(pyramid: Pyramid, view: View, prompt: Prompt, grid: Grid) -> NDArray[np.float32] | None:
    if prompt.mask is not None:
        return to_logits(pyramid, view, prompt.mask, grid)
    previous: Candidate | None = prompt.previous
    if previous is None:
        return None
    return (
        previous.logits if previous.view == view else to_logits(pyramid, view, previous.mask, grid)
    )


def _means(
    values: NDArray[np.float32], edges: NDArray[np.float64], axis: int
) -> NDArray[np.float32]:
    """Mean between each edge and the next along an axis; what lies outside counts as 0."""
    total = np.cumsum(values, axis=axis, dtype=np.float64)
    total = np.concatenate([np.zeros_like(total.take([0], axis)), total], axis)
    last = values.shape[axis]
    at = np.clip(edges, 0, last)
    below = np.minimum(np.floor(at).astype(np.intp), last - 1)
    weight = np.expand_dims(at - below, 1 - axis)
    upto = total.take(below, axis) * (1 - weight) + total.take(below + 1, axis) * weight
    lengths = np.expand_dims(np.diff(edges), 1 - axis)
    return np.asarray(np.diff(upto, axis=axis) / lengths, np.float32)


def _restore(pyramid: Pyramid, view: View, mask: Mask) -> Mask:
    found = mask.shift(view.tile.top, view.tile.left).tight()
    factor = 2**view.level
    if found is not None and factor > 1:
        rows, cols = pyramid.shape(view.level)
        finer = Resampling((rows * factor, cols * factor), (rows, cols))
        found = finer.restore_mask(found)
        found = None if found is None else clip(found, pyramid.resampling.target)
    if found is not None:
        found = pyramid.resampling.restore_mask(found)
    return NO_PIXELS if found is None else found
