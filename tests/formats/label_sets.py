"""Label sets that tests of formats write and read: every kind of trouble in few pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from helpers import draw, mask_of

from napari_instseg import Category, Image, Instances, LabelSet, Segmentation, Settings
from napari_instseg.instances import Mask
from napari_instseg.io.formats.planes import Found
from napari_instseg.io.formats.stacks import Stack
from napari_instseg.segmenter import Rules

#: A ring with a hole, an object of one pixel, and two that touch.
LABELS = draw(
    """
    AAA..B.
    A.A....
    AAACCDD
    ...CCDD
    """
)
CELL, DEBRIS, TISSUE = (
    Category(3, "Zellkern 核", color=(1.0, 0.2, 0.0)),
    Category(4, "debris", color=(0.0, 0.2, 1.0)),
    Category(7, "größeres Gewebe", is_thing=False, color=(0.0, 1.0, 0.0)),
)


def plain(labels: np.ndarray = LABELS, axes: str = "YX", name: str = "größe 核") -> LabelSet:
    return LabelSet.from_labels(labels, axes, category=CELL, name=name, spacing={"X": 0.5})


def stack() -> LabelSet:
    """Objects through Z with large labels, a plane without any."""
    labels = np.stack([LABELS, np.zeros_like(LABELS), LABELS[::-1] * 1000])
    labels[2][labels[2] == 1000] = 1
    return plain(labels, "ZYX", "stack")


def with_stuff() -> LabelSet:
    """Two categories of objects, and stuff around them in two planes."""
    found = stack()
    table = found.table.assign(score=np.linspace(0.9, 0.25, len(found.table), dtype=np.float32))
    odd = table["index"] % 2 == 0
    table.loc[odd, ["category_id", "category"]] = [DEBRIS.id, DEBRIS.name]
    ground = np.zeros(found.shape, np.int32)
    ground[:2, :, 3:] = TISSUE.id
    panoptic = np.where(found.instances == 0, (ground > 0) * 5000, found.instances)
    stuff = {"index": 5000, "category_id": 7, "category": TISSUE.name, "is_thing": False}
    row = table.iloc[0].to_dict() | stuff | {"score": 1.0, "area": (panoptic == 5000).sum()}
    table = pd.concat([table, pd.DataFrame([row])], ignore_index=True)
    plain_set = replace(found, table=table, categories=(CELL, DEBRIS, TISSUE))
    semantic = np.where(panoptic == 5000, TISSUE.id, plain_set.read("semantic"))
    return replace(
        plain_set,
        semantic=semantic.astype(np.int32),
        panoptic=panoptic.astype(np.int32),
        ground=ground,
    )


def overlapping(model: str = "nuclei") -> Segmentation:
    """Three masks that share pixels; the third is mostly hidden, and below half no object."""
    masks = [
        mask_of("AAAA\nAAAA\nAAAA", (1, 1)),
        mask_of("AAA\nAAA\nAAA\nAAA", (2, 4)),
        mask_of("AA\nAA", (1, 2)),
        mask_of("A", (0, 9)),
    ]
    scores = [0.9, 0.8, 0.7, 0.2]
    found = Instances.create((8, 10), masks, scores=scores, category_ids=[3, 4, 3, 3])
    image = Image(np.zeros((8, 10), np.uint8), "YX", {"X": 0.5, "Y": 0.5}, "cells")
    return Segmentation((found,), image, (CELL, DEBRIS), Settings(model=model), {})


def random_result(seed: int = 0, **settings: object) -> Segmentation:
    """Many masks over each other in three planes, with stuff under them."""
    rng = np.random.default_rng(seed)
    planes = []
    for count in (12, 0, 9):
        labels = np.zeros((count, 30, 40), np.int64)
        for i in range(count):
            row, col, height, width = (*rng.integers(0, 25, 2), *rng.integers(1, 15, 2))
            labels[i, row : row + height, col : col + width] = 1
        masks = [Instances.from_labels(one).masks[0] for one in labels]
        planes.append(
            Instances.create(
                (30, 40),
                masks,
                scores=rng.random(count),
                category_ids=rng.choice([CELL.id, DEBRIS.id], count),
            )
        )
    return Segmentation(
        tuple(planes),
        Image(np.zeros((3, 30, 40, 2), np.uint16), "ZYXC", {"X": 0.3, "Z": 2.0}, "größe 核"),
        (CELL, DEBRIS, TISSUE),
        Settings(**settings),
        {"model": {"name": "nuclei", "sha256": "0" * 64}, "device": "CPU"},
        stuff=rng.choice([0, TISSUE.id], (3, 30, 40), p=[0.7, 0.3]).astype(np.int32),
        warnings=("µm",),
        rules=Rules(min_visible=0.3, min_stuff_area=4),
    )


def crowd() -> LabelSet:
    """A crowd of 20 x 20 px with an object of 9 px in it."""
    group = Found(1, CELL.id, 1.0, Mask((0, 0), np.ones((20, 20), bool)), crowd=True)
    one = Found(2, CELL.id, 0.5, Mask((4, 4), np.ones((3, 3), bool)))
    return Stack("crowd", "YX", (20, 20), "test").paint({(): [group, one]}, [CELL])


def nested() -> LabelSet:
    """Two objects of which the better one hides all of the other."""
    large = Found(1, CELL.id, 0.9, Mask((0, 0), np.ones((5, 5), bool)))
    small = Found(2, CELL.id, 0.5, Mask((1, 1), np.ones((2, 2), bool)))
    return Stack("nested", "YX", (5, 6), "test").paint({(): [large, small]}, [CELL])


def same(a: LabelSet, b: LabelSet, *, stuff: bool = True, scores: bool = True) -> None:
    """Check that two label sets show the same."""
    assert (a.axes, a.name, dict(a.spacing)) == (b.axes, b.name, dict(b.spacing))
    outputs = ("instances", "semantic", "panoptic") if stuff else ("instances",)
    for output in outputs:
        np.testing.assert_array_equal(a.read(output), b.read(output))
    columns = ["index", "category_id", "category", "is_thing", "area"]
    rows = [
        (one.table if stuff else one.things)
        .sort_values("index")[[*columns, *(["score"] if scores else [])]]
        .reset_index(drop=True)
        for one in (a, b)
    ]
    pd.testing.assert_frame_equal(*rows, check_dtype=False)
