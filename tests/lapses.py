"""Time-lapses with known truth: discs that move, meet, divide, and are missed for a frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_instseg.instances import Instances


@dataclass(frozen=True, slots=True)
class Lapse:
    """Labels (T, Y, X) with one number for each track, and the parent of those that have one."""

    labels: NDArray[np.int32]
    parents: Mapping[int, int]


@dataclass(slots=True)
class _Cell:
    """A disc: its track, centre (px), velocity (px a frame), radius (px), and age in frames."""

    track: int
    center: NDArray[np.float64]
    velocity: NDArray[np.float64]
    radius: float
    age: int


def lapse(
    size: int,
    frames: int,
    count: int,
    *,
    speed: float = 2.0,
    turning: float = 0.5,
    radius: tuple[float, float] = (6.0, 9.0),
    division: float = 0.0,
    seed: int = 0,
) -> Lapse:
    """Discs that wander over a field, and leave it.

    Parameters
    ----------
    size, frames : int
        Edge of the field, px; number of frames.
    count : int
        Discs in the first frame.
    speed : float
        Mean way from frame to frame, px.
    turning : float
        Share of the velocity that is new in each frame: 0 goes straight on, 1 forgets it.
    radius : (low, high)
        px. Where discs meet, pixels go to the nearer centre: they touch, and cross.
    division : float
        Probability to divide in a frame, from the age of five frames on.
    """
    rng = np.random.default_rng(seed)
    scale = speed / np.sqrt(np.pi / 2)
    cells = [
        _Cell(i + 1, rng.uniform(0, size, 2), rng.normal(0, scale, 2), rng.uniform(*radius), 0)
        for i in range(count)
    ]
    labels, parents, last = np.zeros((frames, size, size), np.int32), {}, count
    for t in range(frames):
        labels[t] = _paint(cells, size)
        following = []
        for cell in cells:
            fresh = rng.normal(0, scale, 2)
            velocity = np.sqrt(1 - turning) * cell.velocity + np.sqrt(turning) * fresh
            if cell.age >= 5 and rng.random() < division:
                following += _daughters(cell, last, rng)
                parents |= {last + 1: cell.track, last + 2: cell.track}
                last += 2
            else:
                # Daughters grow until they are as large as their mother.
                grown = min(cell.radius * 1.04, radius[1]) if cell.age < 9 else cell.radius
                center = cell.center + velocity
                following.append(_Cell(cell.track, center, velocity, grown, cell.age + 1))
        cells = [c for c in following if (c.center > 0).all() and (c.center < size).all()]
    seen = set(np.unique(labels).tolist())
    return Lapse(labels, {c: p for c, p in parents.items() if c in seen and p in seen})


def _daughters(cell: _Cell, last: int, rng: np.random.Generator) -> list[_Cell]:
    """Two discs with half the area each, side by side."""
    angle = rng.uniform(0, np.pi)
    apart = np.array([np.sin(angle), np.cos(angle)]) * cell.radius * 0.75
    small = cell.radius / np.sqrt(2)
    return [
        _Cell(last + 1 + i, cell.center + sign * apart, sign * apart / 5, small, 0)
        for i, sign in enumerate((-1, 1))
    ]


def _paint(cells: list[_Cell], size: int) -> NDArray[np.int32]:
    labels, nearest = np.zeros((size, size), np.int32), np.ones((size, size))
    for cell in cells:
        first = np.maximum(np.floor(cell.center - cell.radius), 0).astype(int)
        last = np.minimum(np.ceil(cell.center + cell.radius).astype(int) + 1, size)
        window = tuple(slice(f, s) for f, s in zip(first, last, strict=True))
        rows, cols = np.ogrid[window]
        row, col = cell.center
        distance = ((rows - row) ** 2 + (cols - col) ** 2) / cell.radius**2
        mine = distance < nearest[window]
        labels[window][mine], nearest[window][mine] = cell.track, distance[mine]
    return labels


def frames_of(labels: NDArray[np.integer], missed: float = 0.0, seed: int = 0) -> list[Instances]:
    """The objects of each frame with scores of their own; some are missed."""
    rng = np.random.default_rng(seed)
    found = []
    for frame in labels:
        objects = Instances.from_labels(frame)
        kept = rng.random(len(objects)) >= missed
        scores = rng.uniform(0.5, 1, len(objects))
        whole = Instances.create(objects.image_shape, objects.masks, scores=scores)
        found.append(whole.take(kept))
    return found
