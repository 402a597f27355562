"""One object becomes several: along a drawn line, or by a click in each part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from typing import ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components
from skimage.segmentation import watershed

from ...checked import Check, is_whole
from ...segmenter import InputError
from .base import Edit, is_row
from .scene import SPACE, Region, Scene

#: (row, col), px; pixel (r, c) covers r to r + 1 and c to c + 1.
Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Split(Edit):
    """One object becomes several; the largest part keeps its number.

    Parameters
    ----------
    id : int
        Its number.
    """

    id: int
    LOCAL: ClassVar[bool] = False

    def targets(self, scene: Scene) -> tuple[int, ...]:
        """See `Edit.targets`."""
        return (self.id,)

    def parent(self) -> int | None:
        """See `Edit.parent`."""
        return self.id

    def _named(
        self, region: Region, where: tuple[slice, ...], parts: NDArray[np.int32]
    ) -> NDArray[np.int32]:
        """Write parts 1, 2, ... of the object into a region."""
        labels = region.labels.copy()
        numbers = name_parts(parts, self.id, region.scene.next_id)
        labels[where] = np.where(parts > 0, numbers[parts], labels[where])
        return labels


@dataclass(frozen=True, slots=True)
class SplitLine(_Split):
    """Split an object along a drawn line.

    Parameters
    ----------
    id : int
        Its number.
    line : tuple of (row, col)
        Two points or more, px; pixel (r, c) covers r to r + 1 and c to c + 1. Neighbouring pixels
        hang together unless the line runs between their centres.
    plane : tuple of int
        Index along each axis but the last two.
    through : bool
        Split on all planes that the object is on, not on this one only.
    """

    line: tuple[Point, ...]
    plane: tuple[int, ...] = ()
    through: bool = False
    NAME: ClassVar[str] = "split_line"
    CHECKS: ClassVar[tuple[Check, ...]] = (
        ("id", lambda e: is_whole(e.id, 1), "the number of an object"),
        (
            "line",
            lambda e: len(e.line) > 1 and all(is_row(p, 2) for p in e.line),
            "two points (row, col) or more",
        ),
        ("plane", lambda e: all(is_whole(i, 0) for i in e.plane), "indices of a plane"),
        ("through", lambda e: isinstance(e.through, bool), "True or False"),
    )

    def resolved(self, scene: Scene) -> Self:
        """See `Edit.resolved`."""
        scene.known([self.id])
        scene.check_plane(self.plane)
        return self

    def change(self, region: Region, ids: tuple[int, ...]) -> NDArray[np.int32]:
        """See `Edit.change`."""
        where = _one_plane(region, self.plane, self.through)
        mask = region.labels[where] == self.id
        *_, top, left = region.origin
        line = np.array(self.line, np.float64) - (top + 0.5, left + 0.5)
        parts = divide(mask, line)
        if parts.max(initial=0) < 2:
            raise InputError(
                f"the line does not divide object {self.id} {_on(self.plane, self.through)}: draw "
                "it all the way across, from outside to outside"
            )
        return self._named(region, where, parts)


@dataclass(frozen=True, slots=True)
class SplitPoints(_Split):
    """Split an object by a watershed from clicks, one in each part.

    Parameters
    ----------
    id : int
        Its number.
    points : tuple of tuple of int
        Pixels of the object, one index for each axis of the image; two or more.
    through : bool
        Split the object in Z, too; else only on the plane of the clicks.

    Notes
    -----
    Parts grow from the clicks towards the object's edge, deepest first: they meet where it is
    narrow. Depth is measured in real size where Z is spaced otherwise than Y and X.

    References
    ----------
    `skimage.segmentation.watershed` over the Euclidean distance transform.
    """

    points: tuple[tuple[int, ...], ...]
    through: bool = True
    NAME: ClassVar[str] = "split_points"
    CHECKS: ClassVar[tuple[Check, ...]] = (
        ("id", lambda e: is_whole(e.id, 1), "the number of an object"),
        (
            "points",
            lambda e: all(is_whole(i, 0) for p in e.points for i in p) and len({*e.points}) > 1,
            "two different pixels or more",
        ),
        ("through", lambda e: isinstance(e.through, bool), "True or False"),
    )

    def resolved(self, scene: Scene) -> Self:
        """See `Edit.resolved`."""
        scene.known([self.id])
        ndim = len(scene.shape)
        if any(len(point) != ndim for point in self.points):
            raise InputError(f"points: expected an index for each of {scene.axes!r}")
        fixed = [
            k for k, axis in enumerate(scene.axes[:-2]) if axis not in SPACE or not self.through
        ]
        if any(len({point[k] for point in self.points}) > 1 for k in fixed):
            raise InputError(
                f"points: expected all on one index of {', '.join(scene.axes[k] for k in fixed)}"
            )
        return self

    def change(self, region: Region, ids: tuple[int, ...]) -> NDArray[np.int32]:
        """See `Edit.change`."""
        points = np.array(self.points) - region.origin
        size = np.array(region.labels.shape)
        inside = ((points >= 0) & (points < size)).all(axis=1)
        hit = np.zeros(len(points), bool)
        hit[inside] = region.labels[tuple(points[inside].T)] == self.id
        if not hit.all():
            raise InputError(
                f"the click at {self.points[int(np.argmin(hit))]} is not on object {self.id}: "
                "click into each of its parts"
            )
        axes = region.scene.axes
        whole = [
            k > len(axes) - 3 or (self.through and axis in SPACE) for k, axis in enumerate(axes)
        ]
        where = tuple(
            slice(None) if all_of_it else slice(int(i), int(i) + 1)
            for all_of_it, i in zip(whole, points[0], strict=True)
        )
        mask = region.labels[where] == self.id
        markers = np.zeros(mask.shape, np.int32)
        places = np.where(whole, points, 0)
        markers[tuple(places.T)] = np.arange(1, len(points) + 1)
        return self._named(region, where, _flood(mask, markers, region.scene.sampling))


def _flood(
    mask: NDArray[np.bool_], markers: NDArray[np.int32], sampling: tuple[float, ...]
) -> NDArray[np.int32]:
    """Parts that grow from markers; pieces of the mask without one go to the first."""
    padded = np.pad(mask, 1)
    depth = ndimage.distance_transform_edt(padded, sampling=sampling)
    parts = watershed(
        -depth, np.pad(markers, 1), mask=padded, connectivity=np.ones((3,) * mask.ndim)
    )
    inner = parts[(slice(1, -1),) * mask.ndim].astype(np.int32)
    return np.where(mask & (inner == 0), np.int32(1), inner)


def divide(mask: NDArray[np.bool_], line: NDArray[np.float64]) -> NDArray[np.int32]:
    """Cut a mask along a line.

    Parameters
    ----------
    mask : (..., H, W) bool array
    line : (P, 2) float array
        Rows and columns, px; pixel (r, c) is the point (r, c). It cuts all planes.

    Returns
    -------
    int32 array like ``mask``
        Parts 1, 2, ..., 0 outside. What the line does not divide belongs to part 1, also where
        the mask was in pieces before.
    """
    index = np.full(mask.shape, -1, np.int64)
    pixels = np.argwhere(mask)
    index[mask] = np.arange(len(pixels))
    links = np.concatenate([np.empty((0, 2), np.int64), *_links(index)])
    before = _pieces(links, len(pixels))
    places = pixels[:, -2:].astype(np.float64)
    cut = crosses(places[links[:, 0]], places[links[:, 1]], line)
    after = _pieces(links[~cut], len(pixels))
    # Of each piece as it was, the largest one left is as good as whole.
    sizes = np.bincount(after, minlength=1)
    parts = np.ones(len(sizes), np.int32)
    owner = np.zeros(len(sizes), np.int64)
    owner[after] = before
    divided = np.flatnonzero(np.bincount(owner, minlength=1) > 1)
    count = 1
    for piece in divided:
        mine = np.flatnonzero(owner == piece)
        for part in mine[np.argsort(-sizes[mine], kind="stable")][1:]:
            count += 1
            parts[part] = count
    found = np.zeros(mask.shape, np.int32)
    found[mask] = parts[after]
    return found


def crosses(
    a: NDArray[np.float64], b: NDArray[np.float64], line: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether a line runs between two points.

    Parameters
    ----------
    a, b : (N, 2) float arrays
        Pairs of points.
    line : (P, 2) float array

    Returns
    -------
    (N,) bool
        A point on the line counts as on one side of it, always the same.
    """
    found = np.zeros(len(a), bool)
    for p, q in pairwise(line):
        low, high = np.minimum(p, q), np.maximum(p, q)
        near = ((np.maximum(a, b) >= low) & (np.minimum(a, b) <= high)).all(axis=1)
        one, two = a[near], b[near]
        sides = (_turn(p, q, one) >= 0) != (_turn(p, q, two) >= 0)
        ends = (_turn(one, two, p) > 0) != (_turn(one, two, q) > 0)
        found[near] |= sides & ends
    return found


def _turn(
    a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Above 0 if the way from a over b to c turns one way, below if the other."""
    turn: NDArray[np.float64] = (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (
        b[..., 1] - a[..., 1]
    ) * (c[..., 0] - a[..., 0])
    return turn


def _links(index: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Pairs of pixels that are neighbours, by corners, too."""
    for step in product((-1, 0, 1), repeat=index.ndim):
        if step <= (0,) * index.ndim:
            continue
        here = tuple(
            slice(max(0, -s), min(n, n - s)) for s, n in zip(step, index.shape, strict=True)
        )
        there = tuple(
            slice(max(0, s), min(n, n + s)) for s, n in zip(step, index.shape, strict=True)
        )
        pair = np.stack([index[here].ravel(), index[there].ravel()], axis=1)
        yield pair[(pair >= 0).all(axis=1)]


def _pieces(links: NDArray[np.int64], count: int) -> NDArray[np.int32]:
    ones = np.ones(len(links), np.int8)
    graph = sparse.coo_array((ones, (links[:, 0], links[:, 1])), (count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int32)


def name_parts(parts: NDArray[np.int32], number: int, next_id: int) -> NDArray[np.int32]:
    """Number parts 1, 2, ...: the largest keeps a number, new ones follow by falling size.

    Returns
    -------
    (parts + 1,) int32
        The number of each part; of 0 it is 0. Of equal parts the first one is larger.
    """
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    order = np.argsort(-sizes[1:], kind="stable") + 1
    numbers = np.zeros(len(sizes), np.int32)
    numbers[order] = [number, *range(next_id, next_id + len(order) - 1)]
    return numbers


def _one_plane(region: Region, plane: tuple[int, ...], through: bool) -> tuple[slice, ...]:
    """Where a plane lies in a region, as one of its own number of dimensions."""
    if through:
        return (slice(None),) * region.labels.ndim
    leading = zip(plane, region.origin, region.labels.shape, strict=False)
    inside = [i - o if 0 <= i - o < n else n for i, o, n in leading]
    return (*(slice(i, i + 1) for i in inside), slice(None), slice(None))


def _on(plane: tuple[int, ...], through: bool) -> str:
    return f"on plane {plane}" if plane and not through else "anywhere"
