"""Objects to review."""

from __future__ import annotations

import numpy as np
import pandas as pd
from gui.fakes import squares
from scipy import ndimage

from napari_instseg.segmenter import Category

#: 4 x 5 squares of 8 px, every 16 px: label 1 + row * 5 + column, scores from 0.9 to 0.1.
LABELS = ndimage.label(squares())[0].astype(np.int32)
CELL = Category(2, "cell")


def center(label: int) -> tuple[float, float]:
    """Row and column of the middle of a square."""
    row, col = divmod(label - 1, 5)
    return row * 16 + 7.5, col * 16 + 7.5


def table(count: int, seed: int = 0) -> pd.DataFrame:
    """Rows of so many objects, with equal values among them."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "index": np.arange(1, count + 1),
            "category_id": 1,
            "category": random.choice(["nucleus", "Cell", "debris"], count),
            "is_thing": True,
            "score": random.random(count).round(3).astype(np.float32),
            "area": random.integers(1, 500, count),
            "source": "test",
        }
    )
