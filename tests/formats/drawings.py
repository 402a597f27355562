"""Label sets that formats are tried with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from helpers import draw
from numpy.typing import NDArray

from napari_instseg import Category, LabelSet
from napari_instseg.instances import Instances, Mask

CATEGORIES = (
    Category(1, "nucleus", color=(0.9, 0.1, 0.1)),
    Category(3, 'größe "⌀ 核😀', color=(0.0, 0.5, 1.0)),
)

#: A hole, an island in it, parts that touch at a corner, neighbours, and one pixel.
SHAPES = """
    AAAAA..CC...
    A...A..CCC..
    A.B.A...DD..
    A...A...DDE.
    AAAAA......E
    ............
    FFF.........
    F.FF.......G
    """


def with_classes(label_set: LabelSet) -> LabelSet:
    """Give every other object the second category, and each a score of its own."""
    table = label_set.table.copy()
    second = np.arange(len(table)) % 2 == 1
    table["category_id"] = np.where(second, CATEGORIES[1].id, CATEGORIES[0].id)
    table["category"] = np.where(second, CATEGORIES[1].name, CATEGORIES[0].name)
    table["score"] = (1 / (2 + np.arange(len(table)))).astype(np.float32)
    return replace(label_set, table=table, categories=CATEGORIES)


def shapes(spacing: float = 0.25) -> LabelSet:
    """One plane with all kinds of shapes."""
    labels = draw(SHAPES)
    return with_classes(
        LabelSet.from_labels(labels, "YX", spacing={"Y": spacing, "X": spacing}, name="größe")
    )


def stack(axes: str = "TZYX") -> LabelSet:
    """A few planes with objects that go through them."""
    labels = np.zeros((2, 3, 4, 5)[4 - len(axes) :], np.int32)
    labels[..., 1:, :2, 1:3] = 5
    labels[..., 0, 3, 2:] = 7
    labels[..., 2, 2:, 4] = 70_000
    return with_classes(LabelSet.from_labels(labels, axes, name="stack"))


def overlapping() -> LabelSet:
    """Two objects of which the better one hides a corner of the other."""
    masks = [Mask((0, 0), np.ones((4, 4), bool)), Mask((2, 2), np.ones((3, 4), bool))]
    labels = np.zeros((6, 8), np.int32)
    for number, mask in reversed(list(enumerate(masks, start=1))):
        labels[mask.slices] = number
    found = with_classes(LabelSet.from_labels(labels, "YX", name="both"))
    scores = found.table["score"].to_numpy()
    raw = Instances.create((6, 8), masks, scores=scores, category_ids=found.table["category_id"])
    table = found.table.assign(hidden_area=[0, 4])
    return replace(found, table=table, raw=(raw,), numbers=np.array([1, 2], np.int32))


def many(count: int = 70_000, step: int = 7) -> LabelSet:
    """Objects of one pixel, with labels so far apart."""
    labels = np.zeros((600, 600), np.int32)
    labels.ravel()[np.arange(count) * 5] = np.arange(count) * step + 1
    return with_classes(LabelSet.from_labels(labels, "YX", name="many"))


def same(a: LabelSet, b: LabelSet, *columns: str) -> None:
    """Check that two label sets have the same labels, categories and columns."""
    np.testing.assert_array_equal(a.read("instances"), b.read("instances"))
    assert (a.axes, a.name, dict(a.spacing)) == (b.axes, b.name, dict(b.spacing))
    assert a.categories == b.categories
    for column in ("index", "category_id", "category", "is_thing", "score", *columns):
        one, other = (s.table.sort_values("index")[column].to_numpy() for s in (a, b))
        np.testing.assert_array_equal(one, other, err_msg=column)


def masks(label_set: LabelSet) -> dict[int, NDArray[np.bool_]]:
    """Whole masks of a plane's objects, by label."""
    assert label_set.raw is not None
    assert label_set.numbers is not None
    found = {}
    for number, mask in zip(label_set.numbers, label_set.raw[0].masks, strict=True):
        found[int(number)] = np.zeros(label_set.shape, bool)
        found[int(number)][mask.slices] = mask.pixels
    return found
