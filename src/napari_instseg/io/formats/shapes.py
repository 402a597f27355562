"""Objects as outlines: what ImageJ's ROIs and GeoJSON have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ...label_set import OBJECT, LabelSet
from ...ops.filling import FARTHEST, fill
from ...ops.outlines import Polygon, trace
from ...segmenter import Category, InputError
from .about import About
from .checks import LARGEST_LABEL, LARGEST_MASKS, check_size
from .planes import Found, PlaneReader
from .segments import Segment, Segments, from_segments, labels_in
from .stacks import Stack


def outlined(
    label_set: LabelSet,
) -> Iterator[tuple[tuple[int, ...], list[tuple[Segment, list[Polygon]]]]]:
    """Give the objects of each plane, and then its stuff, with their outlines.

    Yields
    ------
    (plane, list of (Segment, polygons))
        Objects that others hide in part are whole, where that is known. Outlines run along the
        edges of pixels; see `ops.outlines.trace`.
    """
    reader, segments = PlaneReader(label_set, whole=True), Segments(label_set)
    stuff = label_set.stuff["index"].tolist()
    for plane in np.ndindex(*label_set.plane_shape):
        labels = label_set.read("instances", plane)
        visible = dict(np.stack(np.unique(labels, return_counts=True), axis=1).tolist())
        outlines = dict(trace(labels).objects())
        listed = [
            (segments.of(found.label), outlines[found.label])
            if found.mask.area == visible.get(found.label)
            else (
                segments.of(found.label),
                next(trace(found.mask.pixels, found.mask.origin).objects())[1],
            )
            for found in reader.read(plane)
        ]
        if stuff and label_set.panoptic is not None:
            panoptic = label_set.read("panoptic", plane)
            ground = np.where(np.isin(panoptic, stuff), panoptic, 0)
            listed += [(segments.of(label), parts) for label, parts in trace(ground).objects()]
        yield plane, listed


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A closed outline, as a file has it.

    Parameters
    ----------
    rings : sequence of (N, 2) arrays
        Corners (row, col), px; rings inside others are holes.
    planes : sequence of tuple of int
        In which it is; most are in one.
    label : int
        Of its object; 0: none is known.
    category : str
        Name.
    score : float
        In [0, 1]; NaN if unknown.
    crowd : bool
        Several objects that are not told apart.
    more : mapping of str to value
        Further columns of the table.
    """

    rings: Sequence[ArrayLike]
    planes: Sequence[tuple[int, ...]] = ((),)
    label: int = 0
    category: str = OBJECT.name
    score: float = float("nan")
    crowd: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)


def numbered(shapes: Iterable[Shape]) -> list[Shape]:
    """Give each shape the label of its object.

    Shapes keep theirs. Those without one get new ones, and so do those whose label another
    shape of one of their planes has: a program may copy shapes with all that is known of them.
    """
    kept, taken = list(shapes), set[tuple[int, tuple[int, ...]]]()
    last = max((shape.label for shape in kept), default=0)
    for i, shape in enumerate(kept):
        if shape.label == 0 or any((shape.label, plane) in taken for plane in shape.planes):
            last += 1
            kept[i] = replace(shape, label=last)
        taken.update((kept[i].label, plane) for plane in shape.planes)
    if last > LARGEST_LABEL:
        raise InputError(f"expected labels up to {LARGEST_LABEL}, got {last}")
    return kept


def paint(shapes: Iterable[Shape], about: About, source: str) -> LabelSet:
    """Make a label set of outlines.

    Parameters
    ----------
    shapes : iterable of Shape
    about : About
        Of the image; without a shape it is as large as the outlines need.
    source : str
        For the table.

    Returns
    -------
    LabelSet
        Where outlines overlap, better scores hide others, among equals the first; crowds are
        hidden by all. All pixels are in ``raw``. Outlines without a pixel are left out.

    Raises
    ------
    InputError
        If labels, coordinates or planes cannot be; or the image were too large.
    """
    kept = numbered(shapes)
    size = about.shape or _extent(kept, len(about.axes) - 2)
    if len(size) != len(about.axes):
        raise InputError(f"expected a shape of axes {about.axes}, got {size}")
    check_size(size)
    categories = _categories(kept, about.categories)
    ids = {category.name: category.id for category in categories}
    planes: dict[tuple[int, ...], list[Found]] = {}
    rows: dict[int, Mapping[str, Any]] = {}
    pixels = 0
    for shape in kept:
        mask = fill(shape.rings, (size[-2], size[-1]))
        if mask is None:
            continue
        pixels += mask.pixels.size * len(shape.planes)
        if pixels > LARGEST_MASKS:
            raise InputError(f"expected objects of at most {LARGEST_MASKS} px together")
        found = Found(shape.label, ids[shape.category], shape.score, mask, shape.crowd)
        for plane in shape.planes:
            if any(not 0 <= i < n for i, n in zip(plane, size[:-2], strict=True)):
                raise InputError(f"object {shape.label}: expected a plane of {size}, got {plane}")
            planes.setdefault(plane, []).append(found)
        rows.setdefault(shape.label, shape.more)
    stack = Stack(about.name, about.axes, size, source, about.spacing)
    things = {category.id for category in categories if category.is_thing}
    objects = {
        plane: [found for found in listed if found.category_id in things]
        for plane, listed in planes.items()
    }
    label_set = stack.paint(objects, categories)
    stuff = {
        plane: [found for found in listed if found.category_id not in things]
        for plane, listed in planes.items()
    }
    return with_columns(_with_stuff(stack, label_set, stuff), rows)


def _with_stuff(
    stack: Stack, label_set: LabelSet, stuff: Mapping[tuple[int, ...], Sequence[Found]]
) -> LabelSet:
    """Put stuff where there are no objects."""
    panoptic, segments = label_set.read("panoptic"), Segments(label_set)
    listed: dict[int, Segment] = {}
    for plane, several in stuff.items():
        for found in several:
            window = panoptic[plane][found.mask.slices]
            free = found.mask.pixels & (window == 0)
            if free.any():
                window[free] = found.label
                listed[found.label] = Segment(found.label, found.category_id, False, found.score)
    if not listed:
        return label_set
    seen = [listed.get(label) or segments.of(label) for label in labels_in(panoptic)]
    whole = from_segments(stack, panoptic, seen, label_set.categories)
    # Of objects the rows stay: some may be hidden.
    rows = whole.stuff.assign(hidden_area=0)
    if "iscrowd" in label_set.table:
        rows["iscrowd"] = False
    table = pd.concat([label_set.table, rows], ignore_index=True)
    return replace(
        label_set, table=table, semantic=whole.semantic, panoptic=panoptic, ground=whole.ground
    )


def with_columns(label_set: LabelSet, rows: Mapping[int, Mapping[str, Any]]) -> LabelSet:
    """Add columns to the table: those that it has not, for the labels that they are known of."""
    more = pd.DataFrame.from_dict(dict(rows), orient="index")
    table = label_set.table
    new = [name for name in more.columns if name not in table.columns and more[name].notna().any()]
    if not new:
        return label_set
    found = more[new].reindex(table["index"]).reset_index(drop=True)
    return replace(label_set, table=pd.concat([table, found], axis=1))


def _categories(shapes: Sequence[Shape], known: Sequence[Category]) -> tuple[Category, ...]:
    """Known categories, and those that shapes have besides."""
    names = {category.name for category in known}
    last = max((category.id for category in known), default=0)
    new = [name for name in dict.fromkeys(shape.category for shape in shapes) if name not in names]
    return (*known, *(replace(OBJECT, id=last + 1 + i, name=name) for i, name in enumerate(new)))


def _extent(shapes: Sequence[Shape], planes: int) -> tuple[int, ...]:
    """The smallest image that all outlines fit into."""
    size = [1] * (planes + 2)
    for shape in shapes:
        for plane in shape.planes:
            size[:planes] = map(max, size, (i + 1 for i in plane))
        for ring in shape.rings:
            ends = np.max(np.reshape(np.asarray(ring, np.float64), (-1, 2)), axis=0, initial=0)
            if not (ends < FARTHEST).all():
                raise InputError(
                    f"object {shape.label}: expected coordinates below {FARTHEST:.0e}, got {ends}"
                )
            size[planes:] = map(max, size[planes:], np.ceil(ends).astype(int).tolist())
    return tuple(size)
