"""Label sets made by hand for tests of evaluation, and random pairs of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_instseg import Category, LabelSet


def set_of(
    labels: NDArray[Any],
    kinds: Mapping[int, str] | None = None,
    *,
    axes: str = "YX",
    scores: Mapping[int, float] | None = None,
    stuff: Sequence[str] = (),
    crowds: Sequence[int] = (),
    **more: Any,
) -> LabelSet:
    """A label set of panoptic labels; ``kinds`` names the category of each, "cell" of the rest.

    Segments whose category is in ``stuff`` are no objects.
    """
    names = {int(n): (kinds or {}).get(int(n), "cell") for n in np.unique(labels) if n}
    numbers = {name: i for i, name in enumerate(dict.fromkeys(names.values()), start=1)}
    things = [name not in stuff for name in names.values()]
    table = pd.DataFrame(
        {
            "index": list(names),
            "category_id": [numbers[name] for name in names.values()],
            "category": list(names.values()),
            "is_thing": things,
            "score": [(scores or {}).get(n, 1.0) for n in names],
            "area": [int((labels == n).sum()) for n in names],
            "source": "drawn",
            "iscrowd": [n in crowds for n in names],
        }
    ).astype({"is_thing": bool, "iscrowd": bool, "category": object})
    categories = tuple(Category(i, name, name not in stuff) for name, i in numbers.items())
    objects = np.where(np.isin(labels, table["index"][table["is_thing"]]), labels, 0)
    return LabelSet(
        objects.astype(np.int32),
        axes,
        table,
        categories,
        panoptic=labels.astype(np.int32) if stuff else None,
        **more,
    )


def blocks(seed: int, shape: tuple[int, int] = (24, 32), count: int = 12) -> NDArray[np.int32]:
    """Rectangles of 1 to 9 px that hide parts of each other; 0 between them."""
    random = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    for label in range(1, count + 1):
        top, left = random.integers(0, shape[0] - 2), random.integers(0, shape[1] - 2)
        height, width = random.integers(1, 10, 2)
        labels[top : top + height, left : left + width] = label
    return labels


def shaken(labels: NDArray[np.int32], seed: int) -> NDArray[np.int32]:
    """The same objects with other numbers: moved, cut, joined, lost, and some that are new."""
    random = np.random.default_rng(seed + 1000)
    found = np.roll(labels, random.integers(-1, 2, 2), (0, 1))
    present = [int(n) for n in np.unique(found) if n]
    numbers = np.arange(found.max() + 1)
    for n in present:
        what = random.random()
        if what < 0.15:
            numbers[n] = 0
        elif what < 0.3:
            numbers[n] = random.choice(present)
    found = numbers[found]
    if random.random() < 0.7:
        cut = int(random.integers(1, labels.shape[1]))
        found[:, cut:] = np.where(found[:, cut:], found[:, cut:] + 100, 0)
    return np.asarray(found, np.int32)


#: Truth and prediction.
pairs = st.integers(0, 10_000).map(lambda seed: (blocks(seed), shaken(blocks(seed), seed)))
