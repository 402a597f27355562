"""The sample images that ship with the package, for the File menu's Open Sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..io.images import read_image

DATA = Path(__file__).parents[1] / "data"


def fluorescence() -> list[tuple[Any, dict[str, Any], str]]:
    """Nuclei stained with a fluorescent dye: one grey (H, W) uint8 layer."""
    return _sample("fluorescence.png", "fluorescence")


def histology() -> list[tuple[Any, dict[str, Any], str]]:
    """A tissue section stained with H&E: one RGB (H, W, 3) uint8 layer."""
    return _sample("histology.png", "histology")


def _sample(file: str, name: str) -> list[tuple[Any, dict[str, Any], str]]:
    image = read_image(DATA / file)
    options: dict[str, Any] = {"name": name, "rgb": image.is_rgb}
    if not image.is_rgb:
        # The brightest pixels of such pictures are few: without them nuclei are easier to see.
        options["contrast_limits"] = tuple(np.percentile(np.asarray(image.data), (0.5, 99.5)))
    return [(image.data, options, "image")]
