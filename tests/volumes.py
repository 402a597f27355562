"""Volumes with known truth: ellipsoids cut into planes, and planes with a detector's faults."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_instseg.instances import Instances
from napari_instseg.ops.masks import corners, union
from napari_instseg.ops.nesting import touching


def ellipsoids(
    shape: tuple[int, int, int],
    count: int,
    step: float = 1.0,
    radius: tuple[float, float] = (6.0, 12.0),
    touching: float = 1.0,
    seed: int = 0,
) -> NDArray[np.int32]:
    """Ellipsoids at random places, none hiding another's centre.

    Parameters
    ----------
    shape : (Z, Y, X)
        Size of the volume, px.
    count : int
        As many as this, if there is room.
    step : float
        Distance of planes, px of a plane.
    radius : (low, high)
        Half axes, px of a plane.
    touching : float
        Centres are at least this many sums of mean radii apart: below 1 they cut into each other,
        and pixels go to the nearer one.
    """
    rng = np.random.default_rng(seed)
    labels, nearest = np.zeros(shape, np.int32), np.full(shape, 1.0)
    pixel = np.array([step, 1.0, 1.0])
    centers, means = np.empty((0, 3)), np.empty(0)
    for _ in range(100 * count):
        if len(centers) == count:
            break
        center, half = rng.uniform(0, pixel * shape), rng.uniform(*radius, 3)
        apart = np.linalg.norm(centers - center, axis=1)
        if (apart < touching * (half.mean() + means)).any():
            continue
        centers, means = np.vstack([centers, center]), np.append(means, half.mean())
        first = np.maximum(np.floor((center - half) / pixel), 0).astype(int)
        last = np.minimum(np.ceil((center + half) / pixel).astype(int) + 1, shape)
        window = tuple(slice(f, s) for f, s in zip(first, last, strict=True))
        axes = np.ogrid[window]
        parts = (
            ((ticks * p - c) / h) ** 2
            for ticks, p, c, h in zip(axes, pixel, center, half, strict=True)
        )
        distance = sum(parts, np.zeros(1))
        mine = distance < nearest[window]
        labels[window][mine], nearest[window][mine] = len(centers), distance[mine]
    return labels


def planes_of(labels: NDArray[np.integer]) -> list[Instances]:
    """The objects of each plane, without what they have to do with those of other planes."""
    return [Instances.from_labels(plane) for plane in labels]


def with_faults(
    planes: list[Instances], missed: float, fused: float, seed: int = 0
) -> list[Instances]:
    """Miss objects, and see two that lie side by side as one, each with a probability."""
    rng = np.random.default_rng(seed)
    return [_with_faults(plane, missed, fused, rng) for plane in planes]


def _with_faults(
    plane: Instances, missed: float, fused: float, rng: np.random.Generator
) -> Instances:
    masks = [mask for mask in plane.masks if rng.random() >= missed]
    bounds = corners(masks)
    wide = bounds + np.array([0, 0, 1, 1])
    gone: set[int] = set()
    joined = []
    for i, j in zip(*touching(wide), strict=True):
        both = union([masks[i], masks[j]])
        beside = both.area < 1.5 * max(masks[i].area, masks[j].area)
        if {i, j} & gone or not beside or rng.random() >= fused:
            continue
        gone |= {i, j}
        joined.append(both)
    return Instances.create(
        plane.image_shape, [*(m for k, m in enumerate(masks) if k not in gone), *joined]
    )
