"""What trainings share: a few discs to learn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("discs")
    y, x = np.indices((128, 128))
    for n in range(2):
        labels = np.zeros((128, 128), np.uint8)
        for k, (row, col) in enumerate(np.random.default_rng(n).uniform(10, 118, (8, 2)), 1):
            labels[np.hypot(y - row, x - col) <= 10] = k
        for name, array in (("images", (labels > 0) * np.uint8(200)), ("labels", labels)):
            (folder / name).mkdir(exist_ok=True)
            Pillow.fromarray(array).save(folder / name / f"{n}.png")
    return folder
