"""Measures that need the mask of an object as a whole."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from skimage.measure import marching_cubes, mesh_surface_area, perimeter
from skimage.morphology import convex_hull_image

from ..axes import ArrayLike
from .blocks import Block
from .columns import CONVEX


def crops(
    labels: ArrayLike,
    blocks: Sequence[Block],
    where: NDArray[np.int64],
    owner: NDArray[np.integer[Any]],
    label: NDArray[np.int64],
    boxes: NDArray[np.int64],
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Cut objects out of a label image, each once; read each block at most once.

    Parameters
    ----------
    labels : integer array
    blocks : sequence of tuple of slice
    where, owner : (P,) int64
        Pieces of objects: number of the block, and of the object.
    label : (N,) int64
        Of each object.
    boxes : (N, 2, ndim) int64
        First and (half-open) last index along each axis.

    Yields
    ------
    int, bool array
        Number of the object, and its mask, as large as its box. Of objects that lie in several
        blocks the pixels are held in memory from the first of these to the last.
    """
    pairs = np.unique(np.stack([where, owner], axis=1), axis=0)
    last = np.zeros(len(label), np.int64)
    np.maximum.at(last, pairs[:, 1], pairs[:, 0])
    open_: dict[int, list[NDArray[np.integer[Any]]]] = {}
    starts = np.flatnonzero(np.diff(pairs[:, 0], prepend=-1))
    for members in np.split(pairs, starts[1:]) if len(pairs) else ():
        number = int(members[0, 0])
        block = blocks[number]
        part = np.asarray(labels[block])
        for owned in members[:, 1].tolist():
            low, high = boxes[owned].tolist()
            shape = tuple(np.subtract(high, low).tolist())
            here, there = _overlap(block, low, high)
            found = part[here] == label[owned]
            if last[owned] != number:
                open_.setdefault(owned, []).append(_places(found, there, shape))
                continue
            mask = np.zeros(shape, np.bool_)
            mask[there] = found
            for places in open_.pop(owned, ()):
                mask.reshape(-1)[places] = True
            yield owned, mask


def _places(
    found: NDArray[np.bool_], where: Block, shape: tuple[int, ...]
) -> NDArray[np.integer[Any]]:
    """Flat places in an array of ``shape`` of the pixels found in a part of it.

    A thin object across an image has far fewer pixels than its box.
    """
    inside = [at + span.start for at, span in zip(np.nonzero(found), where, strict=True)]
    small = math.prod(shape) <= np.iinfo(np.int32).max
    flat = np.asarray(np.ravel_multi_index(inside, shape))
    return flat.astype(np.int32 if small else np.int64)


def _overlap(block: Block, low: list[int], high: list[int]) -> tuple[Block, Block]:
    """What a block and a box have in common: slices of each."""
    here, there = [], []
    for span, first, stop in zip(block, low, high, strict=True):
        begin, end = max(span.start, first), min(span.stop, stop)
        here.append(slice(begin - span.start, end - span.start))
        there.append(slice(begin - first, end - first))
    return tuple(here), tuple(there)


def shape_columns(
    axes: str, sizes: tuple[float, ...] | None, wanted: Sequence[str]
) -> dict[str, list[str]]:
    """Name the columns that `measure_shape` gives, by measure.

    Parameters
    ----------
    axes : str
        Of the objects: YX or ZYX.
    sizes : tuple of float, optional
        µm per pixel along each of them.
    wanted : sequence of str
        Measures that were asked for.
    """
    if len(axes) == 3:
        units = {"surface_area": "_um2", "sphericity": None}
    else:
        # The estimate of a perimeter is made for square pixels.
        square = sizes is not None and len({*sizes}) == 1
        units = {"perimeter": "_um" if square else None, "solidity": None}
        units |= dict.fromkeys(("feret_max", "feret_min"), "_um")
    return {
        name: [name, name + unit] if unit and sizes else [name]
        for name, unit in units.items()
        if name in wanted
    }


def measure_shape(
    mask: NDArray[np.bool_], sizes: tuple[float, ...] | None, wanted: Collection[str]
) -> dict[str, float]:
    """Measure a mask, 2-D or 3-D; see `shape_columns`."""
    if mask.ndim == 3:
        return _solid(mask, sizes)
    found: dict[str, float] = {}
    if "perimeter" in wanted:
        found["perimeter"] = float(perimeter(mask, 4))
        found["perimeter_um"] = found["perimeter"] * (sizes or (1,))[0]
    if not {*CONVEX}.isdisjoint(wanted):
        found["solidity"], corners = convex(mask)
        found["feret_max"], found["feret_min"] = feret(corners)
        if sizes is not None:
            found["feret_max_um"], found["feret_min_um"] = feret(corners * sizes)
    return found


def _solid(mask: NDArray[np.bool_], sizes: tuple[float, ...] | None) -> dict[str, float]:
    """Surface and sphericity of a 3-D mask."""
    found = {"surface_area": surface(mask, (1.0, 1.0, 1.0))}
    volume, area = float(mask.sum()), found["surface_area"]
    if sizes is not None:
        volume, area = volume * math.prod(sizes), surface(mask, sizes)
        found["surface_area_um2"] = area
    return {**found, "sphericity": math.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / area}


def convex(mask: NDArray[np.bool_]) -> tuple[float, NDArray[np.float64]]:
    """Return solidity, and the corners of the convex hull, of a 2-D mask.

    Returns
    -------
    solidity : float
        Share of the pixels of the convex hull that are the object's.
    corners : (K, 2) float64
        Of the middles of the outer edges of the hull's pixels, in order, px.
    """
    hull = convex_hull_image(mask)
    rows = np.flatnonzero(hull.any(axis=1))
    first = hull[rows].argmax(axis=1)
    last = hull.shape[1] - 1 - hull[rows, ::-1].argmax(axis=1)
    ends = np.concatenate([np.stack([rows, col], axis=1) for col in (first, last)])
    steps = np.array([[0.5, 0], [-0.5, 0], [0, 0.5], [0, -0.5]])
    points = (ends[:, np.newaxis] + steps).reshape(-1, 2)
    return float(mask.sum() / hull.sum()), points[ConvexHull(points).vertices]


def feret(corners: NDArray[np.float64]) -> tuple[float, float]:
    """Largest and smallest distance of two parallel lines with a convex polygon between them.

    Parameters
    ----------
    corners : (K, 2) float64
        In order around it.

    References
    ----------
    Shamos, "Computational geometry", 1978 (rotating calipers): the smallest is at an edge.

    Examples
    --------
    >>> feret(np.array([[0.0, 0.0], [0.0, 4.0], [3.0, 4.0], [3.0, 0.0]]))
    (5.0, 3.0)
    """
    apart = corners[:, np.newaxis] - corners
    largest = float(np.sqrt((apart**2).sum(axis=-1).max()))
    edges = np.roll(corners, -1, axis=0) - corners
    normals = np.stack([-edges[:, 1], edges[:, 0]]) / np.hypot(*edges.T)
    return largest, float(np.ptp(corners @ normals, axis=0).min())


def surface(mask: NDArray[np.bool_], spacing: tuple[float, ...]) -> float:
    """Area of the surface of a 3-D mask.

    Parameters
    ----------
    mask : (D, H, W) bool array
    spacing : tuple of float
        Of the voxels along each axis; the area is in its square.

    References
    ----------
    Lewiner et al., "Efficient implementation of marching cubes' cases with topological
    guarantees", 2003.
    """
    solid = np.pad(mask, 1).astype(np.float32)
    corners, faces, _, _ = marching_cubes(solid, 0.5, spacing=spacing)
    return float(mesh_surface_area(corners, faces))
