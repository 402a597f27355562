"""A stack seen from three sides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from helpers import ComponentSegmenter, brightness, same_partition
from numpy.typing import NDArray
from volumes import ellipsoids

from napari_instseg.evaluation import match_labels
from napari_instseg.file_run import FileRun
from napari_instseg.models.entry import LoadedModel
from napari_instseg.ops.axes import Image
from napari_instseg.ortho import OrthoRun, OrthoSegmentation, new_run
from napari_instseg.pipeline import run_to_end
from napari_instseg.segmentation import Segmentation
from napari_instseg.segmenter import RGB, InputError, Prediction
from napari_instseg.settings import Settings

SPACING = {"Z": 0.5, "Y": 0.5, "X": 0.5}
WANTED = {"link": True, "ortho": True, "limits": ((0.0, 1.0),), "link_gap": 0}


class Faulty(ComponentSegmenter):
    """Misses a part of the objects in each plane."""

    def __init__(self, missed: float) -> None:
        super().__init__()
        self._random, self._missed = np.random.default_rng(0), missed

    def segment(self, tiles: Sequence[RGB]) -> list[Prediction]:
        found = [p.instances for p in super().segment(tiles)]
        return [
            Prediction(f.take(np.flatnonzero(self._random.random(len(f)) >= self._missed)))
            for f in found
        ]


@pytest.fixture(scope="module")
def truth() -> NDArray[np.int32]:
    return ellipsoids((48, 56, 64), 20, radius=(6.0, 9.0), touching=0.9)


def segment(
    data: NDArray[np.float32], segmenter: ComponentSegmenter | None = None, **more: object
) -> Segmentation:
    settings = Settings(**{**WANTED, **more})
    image = Image(data, "ZYX", SPACING, "cells")
    return run_to_end(new_run(image, segmenter or ComponentSegmenter(), settings))


def test_right_answers_from_all_sides_are_the_truth(truth: NDArray[np.int32]) -> None:
    result = segment(brightness(truth))
    assert isinstance(result, OrthoSegmentation)
    assert result.complete
    assert result.warnings == ()
    assert same_partition(result.instances, truth)
    table = result.table
    assert set(table["directions"]) == {3}
    assert (table["direction_iou"] == 1).all()
    areas = np.bincount(result.instances.ravel())[1:]
    assert table["area"].tolist() == table["volume"].tolist() == areas.tolist()
    np.testing.assert_allclose(table["volume_um3"], areas / 8)
    assert table["score"].is_monotonic_decreasing
    for row in table.itertuples():
        z, y, x = np.nonzero(result.instances == row.index)
        assert (row.z_first, row.z_last) == (z.min(), z.max())
        assert (row.row_min, row.row_max) == (y.min(), y.max() + 1)
        assert (row.col_min, row.col_max) == (x.min(), x.max() + 1)
        assert row.z == np.bincount(z).argmax()
    # Links tell of the planes along Z, by the numbers of the result.
    for link in result.links.itertuples():
        both = {link.z_from, link.z_to}
        assert both <= set(np.nonzero(result.instances == link.index)[0])
    assert [len(plane) for plane in result.raw] == [
        len(np.unique(plane)) - (plane.min() == 0) for plane in truth
    ]
    assert len(result.numbers) == sum(len(plane) for plane in result.raw)


def test_three_sides_make_up_for_what_one_misses(truth: NDArray[np.int32]) -> None:
    data = brightness(truth)
    found = [segment(data, Faulty(0.15), ortho=ortho, link_gap=1) for ortho in (False, True)]
    scores = [match_labels(truth, result.instances, [0.5, 0.9]).matches for result in found]
    plain, ortho = ([s[iou].average_precision for iou in (0.5, 0.9)] for s in scores)
    # Measured: 0.79 and 0.16 from one side, 1 and 0.54 from three.
    assert ortho[0] > max(0.95, plain[0] + 0.1)
    assert ortho[1] > plain[1] + 0.2


def test_a_higher_threshold_is_a_run_with_it(truth: NDArray[np.int32]) -> None:
    data = brightness(truth)
    higher = segment(data).with_score_threshold(0.8)
    again = segment(data, score_threshold=0.8)
    assert 0 < again.count < len(np.unique(truth)) - 1
    np.testing.assert_array_equal(higher.instances, again.instances)
    assert higher.table.equals(again.table)


def test_stopped_it_has_what_is_done(truth: NDArray[np.int32]) -> None:
    run = OrthoRun(
        Image(brightness(truth), "ZYX", SPACING), ComponentSegmenter(), Settings(**WANTED)
    )
    seen = set()
    for step in run:
        seen.add(step.message[:2])
        if len(seen) == 2:
            break
    first = run.result()
    assert not first.complete
    assert same_partition(first.instances, truth)


def test_files_from_a_run_that_was_stopped(truth: NDArray[np.int32], tmp_path: Path) -> None:
    import zarr

    image = Image(brightness(truth), "ZYX", SPACING)
    model = LoadedModel(ComponentSegmenter(), "known", "known.safetensors", "0" * 64)
    settings = Settings(**WANTED)
    with FileRun(image, model, settings, tmp_path, "a", "zarr") as run:
        for number, _ in enumerate(run):
            if number == 70:
                break
    before = len(model.segmenter.calls)
    assert 48 < before < 48 + 56 + 64
    with FileRun(image, model, settings, tmp_path, "a", "zarr", existing="resume") as run:
        for _ in run:
            pass
        _, files = run.save()
    assert len(model.segmenter.calls) == 48 + 56 + 64
    assert same_partition(zarr.open_group(files[0])["0"][:], truth)


def test_what_cannot_be_seen_from_three_sides_is_named() -> None:
    volume = np.zeros((2, 8, 8, 8), np.float32)
    with pytest.raises(InputError, match=r"ortho: expected a single z-stack .* got axes 'TZYX'"):
        new_run(Image(volume, "TZYX"), ComponentSegmenter(), Settings(**WANTED))
    with pytest.raises(InputError, match="ortho: expected link=True with it"):
        Settings(ortho=True)
    far = Image(volume[0], "ZYX", {"Z": 5.0, "Y": 1.0, "X": 1.0})
    result = run_to_end(new_run(far, ComponentSegmenter(), Settings(**WANTED)))
    assert "planes lie 5.0 times as far apart as pixels" in result.warnings[0]
