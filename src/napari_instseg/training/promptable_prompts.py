"""What a user would ask about an object, drawn at random: first prompts and corrections."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..models.sam.prompt_encoder import FIRST_CORNER, LAST_CORNER, OFF, ON
from ..ops.morphing import ellipse

#: Chances of a click and of a box as the first prompt; what is left is a mask in its box.
CLICK, BOX = 0.45, 0.4
#: How often the click that goes with a box is its centre.
CENTRE = 0.8
#: How often the first click lies at the deepest point; else anywhere on the object.
DEEPEST = 0.65
#: How much of its side a box may be too large, and too small, on each side.
LOOSE, SHORT = 0.22, 0.04
#: How far the edge of a mask may be off, in radii of the object; and over how many such
#: radii it is as far off.
BLUR, REACH = 0.3, 0.5


def first_click(mask: NDArray[np.bool_], rng: np.random.Generator) -> tuple[float, float]:
    """Row and column (px, continuous) of a click on an object."""
    if rng.random() < DEEPEST:
        row, column = deepest(mask)
        spread = 0.12 * np.sqrt(np.count_nonzero(mask) / np.pi)
        moved = np.array([row, column]) + rng.normal(0, spread, 2)
        inside = np.clip(moved, 0, np.array(mask.shape) - 1).astype(np.int64)
        if mask[inside[0], inside[1]]:
            return float(inside[0]) + 0.5, float(inside[1]) + 0.5
        return row + 0.5, column + 0.5
    return anywhere(mask, rng)


def anywhere(mask: NDArray[np.bool_], rng: np.random.Generator) -> tuple[float, float]:
    """Row and column (px, continuous) of the centre of a random pixel of a mask."""
    pixels = np.flatnonzero(mask)
    row, column = np.unravel_index(pixels[rng.integers(len(pixels))], mask.shape)
    return float(row) + 0.5, float(column) + 0.5


def deepest(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Row and column of the pixel farthest from a mask's border; the picture's edge counts."""
    top, left, bottom, right = _bounds(mask)
    crop = np.pad(mask[top:bottom, left:right], 1)
    depth = ndimage.distance_transform_edt(crop)
    row, column = np.unravel_index(int(np.argmax(depth)), crop.shape)
    return top + int(row) - 1, left + int(column) - 1


def first_box(mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float64]:
    """Row and column of the first and of the last corner of a box around an object."""
    chance = rng.random()
    if chance < 0.25:
        share = np.zeros(4)
    elif chance < 0.55:
        share = np.full(4, rng.uniform(0, LOOSE))
    else:
        share = rng.uniform(-SHORT, LOOSE, 4)
    return loose_box(mask, share)


def loose_box(mask: NDArray[np.bool_], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Box with each side moved outward by a share of the object's size, inside the picture."""
    box = np.array(_bounds(mask), np.float64)
    size = np.tile(box[2:] - box[:2], 2)
    box += share * size * np.array([-1, -1, 1, 1])
    return np.clip(box, 0, np.tile(mask.shape, 2))


def _bounds(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """First row and column, last row and column (half-open) of a mask with pixels."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def larger_error(
    truth: NDArray[np.bool_], answer: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], int]:
    """Pixels of the larger kind of error, and the label (1 on, 0 off) of a click there."""
    missed, extra = truth & ~answer, answer & ~truth
    return (missed, ON) if missed.sum() >= extra.sum() else (extra, OFF)


def correction(
    truth: NDArray[np.bool_], answer: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[float, float, int]:
    """Row, column and label (1 on, 0 off) of the click that corrects an answer.

    It lies in the larger kind of error, mostly at its deepest point; where there is no error,
    on the object once more.
    """
    wrong, label = larger_error(truth, answer)
    if not wrong.any():
        return (*anywhere(truth, rng), ON)
    if rng.random() < DEEPEST:
        row, column = deepest(wrong)
        return row + 0.5, column + 0.5, label
    return (*anywhere(wrong, rng), label)


def rough_mask(mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw a mask of an object as a person or another model might: its edge is off."""
    radius = float(np.sqrt(np.count_nonzero(mask) / np.pi))
    pad = round(radius) + 1
    top, left, bottom, right = _bounds(mask)
    place = np.s_[max(top - pad, 0) : bottom + pad, max(left - pad, 0) : right + pad]
    crop = np.pad(mask[place], 1)
    depth = ndimage.distance_transform_edt(crop) - ndimage.distance_transform_edt(~crop)
    noise = ndimage.gaussian_filter(rng.normal(size=crop.shape), REACH * radius)
    off = BLUR * radius * (rng.normal() / 2 + noise / max(float(noise.std()), 1e-6) / 2)
    rough = np.zeros_like(mask)
    rough[place] = (depth + off > 0)[1:-1, 1:-1]
    return rough if rough.any() else mask


def first_prompts(
    objects: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_] | None]:
    """Draw the first prompts of M objects: a click each, a box each, or a mask each.

    Returns
    -------
    points : (M, P, 2) float64 array
        Row and column, px, continuous. A box is its two corners.
    labels : (M, P) int64 array
    masks : (M, H, W) bool array, optional
        What a box comes with: the ellipse in it, or the mask around which it lies.
    """
    chance = rng.random()
    count = len(objects)
    if chance < CLICK:
        points = np.array([[first_click(mask, rng)] for mask in objects])
        return points, np.full((count, 1), ON), None
    if chance >= CLICK + BOX:
        masks = np.stack([rough_mask(mask, rng) for mask in objects])
        corners = np.reshape([loose_box(mask, np.zeros(4)) for mask in masks], (count, 2, 2))
        return corners, np.tile([FIRST_CORNER, LAST_CORNER], (count, 1)), masks
    boxes = [first_box(mask, rng) for mask in objects]
    corners = np.reshape(boxes, (count, 2, 2))
    if rng.random() < CENTRE:
        clicks = corners.mean(1, keepdims=True)
    else:
        clicks = np.array([[first_click(mask, rng)] for mask in objects])
    masks = np.zeros_like(objects)
    for mask, box in zip(masks, boxes, strict=True):
        inscribed = ellipse(box.tolist())
        mask[inscribed.slices] = inscribed.pixels
    points = np.concatenate([clicks, corners], axis=1)
    return points, np.tile([ON, FIRST_CORNER, LAST_CORNER], (count, 1)), masks


def corrected(
    points: NDArray[np.float64],
    labels: NDArray[np.int64],
    truth: NDArray[np.floating],
    answers: NDArray[np.bool_],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Add to each prompt the click that corrects its answer.

    Parameters
    ----------
    points, labels
        From `first_prompts` or from here.
    truth : (M, h, w) array
        Share of each cell of 2 x 2 px that the object covers.
    answers : (M, h, w) bool array
    rng : numpy.random.Generator
    """
    new, kinds = [], []
    for mask, answer in zip(truth, answers, strict=True):
        solid = mask >= min(0.5, mask.max())
        row, column, label = correction(solid, answer, rng)
        new.append((2 * row + rng.uniform(-0.9, 0.9), 2 * column + rng.uniform(-0.9, 0.9)))
        kinds.append(label)
    # Clicks come before a box's corners.
    return (
        np.concatenate([np.array(new)[:, np.newaxis], points], axis=1),
        np.concatenate([np.array(kinds, np.int64)[:, np.newaxis], labels], axis=1),
    )
