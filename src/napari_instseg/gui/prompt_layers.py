"""What Labels, Points and Shapes layers say about objects of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import napari.layers
import napari.viewer
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..instances import Instances, Mask
from ..label_set import name_colors
from ..ops.axes import Image
from ..prompting.refine_targets import BOXES, POINTS
from ..segmentation import Segmentation
from ..segmenter import Category, InputError
from ..settings import Settings
from .mapping import LayerMap

#: Layers that can be refined.
KINDS = (napari.layers.Labels, napari.layers.Points, napari.layers.Shapes)
#: Smallest side of a shape's box, px.
SMALLEST = 1.0
OBJECT = "object"


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The planes and the region of an image that are asked about.

    Parameters
    ----------
    planes : tuple of plane index
    region : (slice, slice)
        Rows and columns, half-open, px.
    """

    planes: tuple[tuple[int, ...], ...]
    region: tuple[slice, slice]

    def holds(self, rows: NDArray[np.float64], cols: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether points (continuous px) lie in the region."""
        down, across = self.region
        inside = (rows >= down.start) & (rows < down.stop)
        return np.asarray(inside & (cols >= across.start) & (cols < across.stop), np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class RowSource:
    """Boxes or points: ``rows`` are as `RefineRun` takes them, ``kind`` says which."""

    rows: NDArray[np.float64]
    kind: str

    scored = False


@dataclass(frozen=True, slots=True, eq=False)
class LabelsSource:
    """The objects of a Labels layer, read when the run starts.

    Parameters
    ----------
    name : str
        Of the layer.
    data : array
    map : LayerMap
    part : Part
    table : DataFrame
        The layer's features.
    """

    name: str
    data: Any
    map: LayerMap
    part: Part
    table: pd.DataFrame

    kind = None

    @property
    def scored(self) -> bool:
        """Whether the table tells each object's score."""
        return {"index", "score"} <= set(self.table.columns)

    def segmentation(self, settings: Settings) -> Segmentation:
        """Read the objects in the part that is asked about.

        Raises
        ------
        InputError
            If there is none.
        """
        image = self.map.image
        height, width = image.label_shape[-2:]
        found = dict.fromkeys(image.planes(), Instances.empty((height, width)))
        categories = _categories(self.table)
        for plane in self.part.planes:
            found[plane] = self._objects(plane, categories)
        if not any(map(len, found.values())):
            raise InputError(
                f"expected objects in {self.name!r} to refine; there are none in the chosen region"
            )
        return Segmentation(
            tuple(found.values()),
            image,
            tuple(categories.values()),
            settings.replace(score_threshold=0.0),
            {"layer": self.name},
        )

    def _objects(self, plane: tuple[int, ...], categories: Mapping[str, Category]) -> Instances:
        labels = self.map.look_up(self.data, plane)
        values = np.setdiff1d(labels, [0, *_stuff(self.table)])
        # Labels may be any numbers: their ranks are small ones, and 0 stays nothing.
        ranks = np.searchsorted(values, labels).astype(np.int32) + 1
        ranks[~np.isin(labels, values)] = 0
        everything = Instances.from_labels(ranks)
        middles = np.array([_middle(mask) for mask in everything.masks]).reshape(-1, 2)
        kept = np.flatnonzero(self.part.holds(middles[:, 0], middles[:, 1]))
        chosen = everything.take(kept)
        scores, ids = _looked_up(self.table, values[kept], categories)
        return Instances.create(chosen.image_shape, chosen.masks, scores=scores, category_ids=ids)


def read_layer(
    viewer: napari.viewer.Viewer,
    layer: napari.layers.Image,
    image: Image,
    other: napari.layers.Layer | None,
    part: Part,
) -> RowSource | LabelsSource:
    """Find out what a layer says of the objects in a part of an image.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    layer : napari.layers.Image
    image : Image
        As `image_from_layer` read it.
    other : napari.layers.Labels, Points or Shapes
    part : Part

    Raises
    ------
    InputError
        If there is no such layer, or nothing of it lies in the part.
    """
    if other is None:
        raise InputError(
            "expected a Labels, Points or Shapes layer with the objects to refine: add one, or "
            "choose other prompts"
        )
    where = LayerMap(viewer, layer, image, other)
    if isinstance(other, napari.layers.Labels):
        data = other.data[0] if other.multiscale else other.data
        return LabelsSource(other.name, data, where, part, pd.DataFrame(other.features))
    if isinstance(other, napari.layers.Points):
        rows, kind = _points(where, other), POINTS
        middles = rows[:, -2:]
    else:
        rows, kind = _boxes(where, other.data), BOXES
        middles = (rows[:, -4:-2] + rows[:, -2:]) / 2
    inside = part.holds(middles[:, 0], middles[:, 1])
    axes = len(image.plane_axes)
    inside &= [tuple(row) in part.planes for row in rows[:, :axes].astype(int).tolist()]
    if not inside.any():
        raise InputError(
            f"expected {kind} in {other.name!r} to ask about; there are none in the chosen region"
        )
    return RowSource(rows[inside], kind)


def rectangle(
    viewer: napari.viewer.Viewer,
    layer: napari.layers.Image,
    image: Image,
    shapes: napari.layers.Shapes,
) -> tuple[tuple[int, ...], tuple[slice, slice]]:
    """Return the plane and region of a Shapes layer's selected shape, or of its last one.

    Raises
    ------
    InputError
        If there is no shape, or it lies beside the image.
    """
    chosen = sorted(shapes.selected_data) or range(len(shapes.data))[-1:]
    rows = _boxes(LayerMap(viewer, layer, image, shapes), [shapes.data[i] for i in chosen])
    if not len(rows):
        raise InputError(f"expected a rectangle in {shapes.name!r}: draw one around the region")
    *plane, top, left, bottom, right = rows[-1]
    height, width = image.label_shape[-2:]
    spans = [
        slice(max(0, int(np.floor(first))), min(size, int(np.ceil(last))))
        for first, last, size in ((top, bottom, height), (left, right, width))
    ]
    index = tuple(int(i) for i in plane)
    if index not in image.planes() or any(span.start >= span.stop for span in spans):
        raise InputError(f"the rectangle in {shapes.name!r} lies beside {layer.name!r}")
    return index, (spans[0], spans[1])


def _points(where: LayerMap, layer: napari.layers.Points) -> NDArray[np.float64]:
    """Plane index and row, column (continuous px) of each point."""
    found = where.to_image(np.asarray(layer.data, float).reshape(-1, layer.ndim))
    found[:, :-2] = np.round(found[:, :-2])
    # napari has the middles of pixels at whole numbers, prompts their edges.
    found[:, -2:] += 0.5
    return found


def _boxes(where: LayerMap, shapes: Sequence[Any]) -> NDArray[np.float64]:
    """Plane index and box (continuous px) of each shape; lines and dots have none."""
    axes = len(where.image.plane_axes)
    rows = []
    for vertices in shapes:
        found = where.to_image(np.asarray(vertices, float))
        low, high = found[:, -2:].min(axis=0) + 0.5, found[:, -2:].max(axis=0) + 0.5
        if (high - low >= SMALLEST).all():
            rows.append([*np.round(found[:, :axes].mean(axis=0)), *low, *high])
    return np.array(rows, float).reshape(-1, axes + 4)


def _middle(mask: Mask) -> tuple[float, float]:
    rows, cols = mask.slices
    return (rows.start + rows.stop) / 2, (cols.start + cols.stop) / 2


def _stuff(table: pd.DataFrame) -> list[int]:
    """Labels that are no objects, such as background."""
    if not {"index", "is_thing"} <= set(table.columns):
        return []
    return [int(i) for i in table["index"][~table["is_thing"].astype(bool)]]


def _categories(table: pd.DataFrame) -> dict[str, Category]:
    """Categories by name, with the numbers that a table has for them."""
    if not {"index", "category", "category_id"} <= set(table.columns):
        return {OBJECT: Category(1, OBJECT)}
    pairs = table[["category", "category_id"]].drop_duplicates("category")
    pairs = pairs[pairs["category_id"] > 0].sort_values("category_id")
    if pairs.empty:
        return {OBJECT: Category(1, OBJECT)}
    colors = name_colors(len(pairs))
    return {
        str(name): Category(int(number), str(name), color=color)
        for (name, number), color in zip(pairs.itertuples(index=False), colors, strict=True)
    }


def _looked_up(
    table: pd.DataFrame, values: NDArray[Any], categories: Mapping[str, Category]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Score and category of each label; those that the table does not know are like new ones."""
    first = next(iter(categories.values())).id
    scores, ids = np.ones(len(values)), np.full(len(values), first, np.int64)
    if "index" not in table.columns:
        return scores, ids
    rows = table.drop_duplicates("index").set_index("index").reindex(values)
    if "score" in rows:
        scores = rows["score"].to_numpy(float, na_value=1.0).clip(0, 1)
    if "category" in rows:
        named = {name: category.id for name, category in categories.items()}
        ids = np.array([named.get(str(name), first) for name in rows["category"]], np.int64)
    return scores, ids
