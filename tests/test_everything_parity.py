"""Segmenting everything in exact mode gives what segment_anything's generator gives."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Picture

import napari_instseg
from napari_instseg.models import prompters
from napari_instseg.models.sam.checkpoint import read_network
from napari_instseg.prompting import PromptSession
from napari_instseg.prompting.everything import EverythingRun
from napari_instseg.prompting.everything_settings import EverythingSettings

ROOT = Path(__file__).resolve().parents[1]
#: Edge of the picture, px, and points along it.
SIZE, SIDE = 256, 12


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """What the benchmarks compare with, too."""
    pytest.importorskip("segment_anything")
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import _sam

    yield _sam
    for name in ("benchmarks._sam", "benchmarks"):
        del sys.modules[name]


def nuclei() -> NDArray[np.uint8]:
    """A corner of the sample image, RGB; its edges cut nuclei."""
    path = Path(napari_instseg.__file__).parent / "data" / "fluorescence.png"
    with Picture.open(path) as image:
        return np.array(image.convert("RGB"))[:SIZE, :SIZE]


def test_exact_mode_finds_what_the_reference_finds(peer: Any) -> None:
    from segment_anything import SamAutomaticMaskGenerator

    picture, model = nuclei(), prompters.load("sam-nuclei", "cpu")
    habits = model.prompter.habits
    network, _ = read_network(prompters.find("sam-nuclei").path)
    expected = SamAutomaticMaskGenerator(
        peer.reference_of(network),
        points_per_side=SIDE,
        pred_iou_thresh=habits.min_predicted_iou,
        stability_score_thresh=habits.min_stability,
    ).generate(picture)

    as_it_is = {"limits": ((0, 255),), "diameter": None, "tile_size": SIZE}
    session = PromptSession(picture, model, axes="YXS", cache=False, **as_it_is)
    settings = EverythingSettings(
        mode="exact",
        points_per_side=SIDE,
        min_predicted_iou=habits.min_predicted_iou,
        min_stability=habits.min_stability,
    )
    run = EverythingRun(session, settings)
    list(run)
    (found,) = run.raw().instances

    iou = peer.overlaps(
        peer.pack(one["segmentation"] for one in expected),
        peer.pack(peer.drawn(found.masks, found.image_shape)),
    )
    same, extra = peer.matches(iou, 0.99)
    assert len(expected) > 30
    assert same >= 0.99 * len(expected)
    assert extra == 0
    best = iou.argmax(axis=1)[iou.max(axis=1) >= 0.99]
    predicted = np.array([one["predicted_iou"] for one in expected])[iou.max(axis=1) >= 0.99]
    np.testing.assert_allclose(found.scores[best], np.clip(predicted, 0, 1), atol=1e-4)
    edges = [
        min(mask.origin) == 0 or SIZE in np.add(mask.origin, mask.pixels.shape)
        for mask in found.masks
    ]
    assert any(edges)
