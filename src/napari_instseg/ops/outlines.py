"""Outlines of objects along the edges of their pixels, exact, all objects of a plane at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components
from skimage.measure import label as label_parts

#: Corners (row, col), px; the first is not repeated at the end.
Ring: TypeAlias = NDArray[np.int32]
#: The outer ring, then the holes.
Polygon: TypeAlias = tuple[Ring, ...]

# Sides of a pixel, in the order in which a walk with the object at its right hand meets them:
# top (to the right), right (down), bottom (to the left), left (up). Where the walk goes, and
# what lies outside:
_AHEAD = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])
_OUT = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])
# Where a side begins, from the pixel's upper left corner.
_CORNER = np.array([(0, 0), (0, 1), (1, 1), (1, 0)])


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """Polygons of all objects of a plane, as flat arrays.

    Parameters
    ----------
    points : (M, 2) int32 array
        Corners (row, col) of pixels, px, ring after ring.
    starts : (R + 1,) int64 array
        Where each ring begins in ``points``, and the end of the last.
    labels : (R,) int64 array
        Object of each ring; never falls.
    parts : (R,) int64 array
        Polygon of each ring; never falls. Its first ring is the outer one.
    """

    points: NDArray[np.int32]
    starts: NDArray[np.int64]
    labels: NDArray[np.int64]
    parts: NDArray[np.int64]

    def objects(self) -> Iterator[tuple[int, list[Polygon]]]:
        """Give each object's label and polygons, by rising label."""
        for rings in _groups(self.labels):
            yield (
                int(self.labels[rings.start]),
                [
                    tuple(
                        self.points[self.starts[ring] : self.starts[ring + 1]]
                        for ring in range(rings.start + part.start, rings.start + part.stop)
                    )
                    for part in _groups(self.parts[rings])
                ],
            )


def trace(labels: NDArray[Any], origin: tuple[int, int] = (0, 0)) -> Outlines:
    """Walk around all objects along the edges of their pixels.

    Parameters
    ----------
    labels : (H, W) integer or bool array
        0 is nothing.
    origin : (int, int)
        Row and column of its first pixel in the plane, px.

    Returns
    -------
    Outlines
        Pixel (r, c) covers the square from corner (r, c) to (r + 1, c + 1): exactly the
        pixels whose centres lie inside its polygons are an object's. Each part that is connected
        by edges is one polygon; parts that touch at a corner are two. Only corners where the
        outline turns are kept. In (col, row) as (x, y), y down, outer rings have positive area
        and holes negative (as RFC 7946 has it). All polygons are valid in the sense of OGC: no
        ring touches itself, rings of a polygon share single corners at most.

    Notes
    -----
    Each side of a pixel with something else behind it knows the side that follows: around the
    corner, straight on, or at the pixel diagonally ahead. Within one connected part the diagonal
    pixel always wins; that makes two rings where one would touch itself. The rings are the
    cycles of this permutation, cut and put in one chain to bring them in order.
    """
    parts = label_parts(np.pad(labels.astype(np.int64, copy=False), 1), connectivity=1)
    sides = _sides(parts)
    if not len(sides):
        none = np.zeros(0, np.int64)
        return Outlines(np.zeros((0, 2), np.int32), np.zeros(1, np.int64), none, none)
    ring, order = _walk(_followers(parts, sides))
    pixel, side = np.divmod(sides[order], 4)
    ring = ring[order]
    # A side counts where the one before it in its ring has another direction.
    first = np.flatnonzero(np.diff(ring, prepend=-1))
    before = np.roll(side, 1)
    before[first] = side[np.append(first[1:], len(side)) - 1]
    turns = side != before
    pixel, side, ring = pixel[turns], side[turns], ring[turns]
    corners = np.stack(np.divmod(pixel, parts.shape[1]), axis=1) + _CORNER[side] - 1
    starts = np.flatnonzero(np.diff(ring, prepend=-1))
    part = parts.ravel()[pixel[starts]]
    inside = np.pad(labels, 1).ravel()[pixel[starts]].astype(np.int64)
    return _sorted(corners + np.array(origin), starts, inside, part)


def _sides(parts: NDArray[Any]) -> NDArray[np.int64]:
    """Sides of pixels that something else lies behind: 4 times the pixel's index, plus the side.

    There is nothing in the outermost pixels.
    """
    height, width = parts.shape
    inner = parts[1:-1, 1:-1]
    found = []
    for side, (row, col) in enumerate(_OUT):
        behind = parts[1 + row : height - 1 + row, 1 + col : width - 1 + col]
        rows, cols = np.nonzero((inner > 0) & (inner != behind))
        found.append(((rows + 1) * width + cols + 1) * 4 + side)
    return np.sort(np.concatenate(found))


def _followers(parts: NDArray[Any], sides: NDArray[np.int64]) -> NDArray[np.int64]:
    """Position in ``sides`` of the side that follows each in its ring."""
    width, flat = parts.shape[1], parts.ravel()
    pixel, side = np.divmod(sides, 4)
    ahead = pixel + _AHEAD[side] @ (width, 1)
    diagonal = ahead + _OUT[side] @ (width, 1)
    own = flat[pixel]
    straight, left = flat[ahead] == own, flat[diagonal] == own
    following = np.where(straight, ahead * 4 + side, pixel * 4 + (side + 1) % 4)
    following = np.where(left, diagonal * 4 + (side - 1) % 4, following)
    return np.searchsorted(sides, following)


def _walk(followers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ring of each side, and all sides in the order of a walk around one ring after the other."""
    count = len(followers)
    edges = np.ones(count, np.int8)
    cycles = csr_array((edges, followers, np.arange(count + 1)), (count, count))
    rings = connected_components(cycles, connection="weak")[1].astype(np.int64)
    _, starts = np.unique(rings, return_index=True)
    # The last side of each ring goes on to the first of the next one.
    chain = followers.copy()
    last = np.empty(len(starts), np.int64)
    to_start = np.isin(followers, starts)
    last[rings[to_start]] = np.flatnonzero(to_start)
    chain[last[:-1]] = starts[1:]
    chain[last[-1]] = last[-1]
    path = csr_array((edges, chain, np.arange(count + 1)), (count, count))
    order = breadth_first_order(path, int(starts[0]), return_predecessors=False)
    return rings, order.astype(np.int64)


def _sorted(
    corners: NDArray[np.int64],
    starts: NDArray[np.int64],
    labels: NDArray[np.int64],
    parts: NDArray[np.int64],
) -> Outlines:
    """Bring rings in order: by label, part, the outer ring first."""
    ends = np.append(starts[1:], len(corners))
    following = np.roll(corners, -1, axis=0)
    following[ends - 1] = corners[starts]
    # Green's theorem: the integral of x dy.
    area = np.add.reduceat(corners[:, 1] * (following[:, 0] - corners[:, 0]), starts)
    rings = np.lexsort((area < 0, parts, labels))
    sizes = (ends - starts)[rings]
    places = np.concatenate([[0], np.cumsum(sizes)])
    source = np.repeat(starts[rings] - places[:-1], sizes) + np.arange(len(corners))
    _, numbers = np.unique(np.stack([labels, parts])[:, rings], axis=1, return_inverse=True)
    return Outlines(
        corners[source].astype(np.int32), places, labels[rings], numbers.ravel().astype(np.int64)
    )


def _groups(values: NDArray[np.int64]) -> Iterator[slice]:
    """Spans of equal values."""
    cuts = np.flatnonzero(np.diff(values)) + 1
    edges = [0, *cuts.tolist(), len(values)] if len(values) else []
    for start, stop in pairwise(edges):
        yield slice(start, stop)
