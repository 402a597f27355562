"""A model without weights, images to go with it, and results made by hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from napari_instseg.instances import Instances
from napari_instseg.models.entry import LoadedModel, ModelEntry, Report
from napari_instseg.ops.axes import Image
from napari_instseg.segmentation import Segmentation
from napari_instseg.segmenter import RGB, Category, Prediction, Rules
from napari_instseg.settings import Settings

NUCLEUS = Category(1, "nucleus")


class FakeModel:
    """Finds what is brighter than one half; can be held up and made to fail.

    Scores fall from 0.95 to 0.25 in the order of the objects in the tile.
    """

    categories: tuple[Category, ...] = (NUCLEUS,)
    diameter: float | None = 10.0
    device = "a fake device"
    batch_size = 1
    rules = Rules()
    #: Weights of this size are downloaded first, in 10 ms a MB.
    download_mb = 0
    resized = False

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.error: Exception | None = None
        self.load_error: Exception | None = None
        self.loads: list[tuple[str, str]] = []
        self.tiles = 0

    def load(self, settings: Settings, report: Report | None = None) -> LoadedModel:
        self.loads.append((settings.model, settings.device))
        if self.load_error is not None:
            raise self.load_error
        for done in range(self.download_mb):
            self.entered.set()
            if report is not None:
                report(done * 1_000_000, self.download_mb * 1_000_000, "downloading fake.pkl")
            time.sleep(0.01)
        return LoadedModel(self, settings.model, "fake.safetensors", "0" * 64)

    def as_trained(self) -> FakeModel:
        self.resized = True
        return self

    def segment(self, tiles: Sequence[RGB]) -> list[Prediction]:
        self.tiles += len(tiles)
        self.entered.set()
        if not self.gate.wait(20):
            raise TimeoutError("nobody opened the gate")
        if self.error is not None:
            raise self.error
        return [self._one(tile) for tile in tiles]

    def _one(self, tile: RGB) -> Prediction:
        labels, count = ndimage.label(tile[..., 0] > 0.5)
        found = Instances.from_labels(labels)
        scores = np.linspace(0.95, 0.25, count) if count > 1 else np.full(count, 0.95)
        return Prediction(Instances.create(found.image_shape, found.masks, scores=scores))


def entry(
    name: str,
    *outputs: str,
    group: str = "zoo",
    path: Path = Path("/nowhere/model.pkl"),
    **options: Any,
) -> ModelEntry:
    """A model that needs nothing but its file."""
    values = {"url": "http://127.0.0.1:9/model.pkl", "dataset": "COCO", "size": 178_000_000}
    return ModelEntry(
        name=name,
        title=name.title(),
        description=f"Made for tests: {name}",
        loader="nowhere:load",
        path=path,
        license="CC BY-SA 3.0",
        outputs=outputs,
        group=group,
        **{"requires": (), **values, **options},
    )


def squares(rows: int = 4, cols: int = 5, pitch: int = 16, size: int = 8) -> np.ndarray:
    """Bright squares on black, uint8: ``rows`` times ``cols`` of them."""
    image = np.zeros((rows * pitch, cols * pitch), np.uint8)
    for r in range(rows):
        for c in range(cols):
            top, left = r * pitch + (pitch - size) // 2, c * pitch + (pitch - size) // 2
            image[top : top + size, left : left + size] = 200
    return image


def result_of(
    image: Image,
    labels: np.ndarray,
    *,
    outputs: tuple[str, ...] = ("instances", "semantic", "panoptic"),
    categories: tuple[Category, ...] = (NUCLEUS,),
    category_ids: Sequence[int] | None = None,
    stuff: np.ndarray | None = None,
    threshold: float = 0.5,
    rules: Rules | None = None,
) -> Segmentation:
    """A result with the objects of a label image; scores fall from 0.9 to 0.1 in each plane."""
    planes = labels.reshape(-1, *labels.shape[-2:])
    raw = []
    for plane in planes:
        found = Instances.from_labels(plane)
        scores = np.linspace(0.9, 0.1, len(found)) if len(found) > 1 else [0.9] * len(found)
        ids = None if category_ids is None else category_ids[: len(found)]
        raw.append(
            Instances.create(found.image_shape, found.masks, scores=scores, category_ids=ids)
        )
    return Segmentation(
        raw=tuple(raw),
        image=image,
        categories=categories,
        settings=Settings(outputs=outputs, score_threshold=threshold),
        details={"model": {"name": "fake"}, "resolved": {"device": "a fake device"}},
        stuff=stuff,
        rules=rules or Rules(),
    )
