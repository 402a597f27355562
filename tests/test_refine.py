from __future__ import annotations

import json

import numpy as np
import pytest
from prompters import BrightnessPrompter

from napari_instseg.instances import Instances, Mask
from napari_instseg.models.prompters import LoadedPrompter
from napari_instseg.ops.axes import Image
from napari_instseg.prompting import PromptSession
from napari_instseg.prompting.refine import RefineRun, refine
from napari_instseg.prompting.refine_settings import RefineSettings
from napari_instseg.segmentation import Segmentation
from napari_instseg.segmenter import Category, InputError
from napari_instseg.settings import Settings

CENTERS = [(20, 20), (45, 64), (100, 30)]
RADIUS = 9


def discs(radius: int) -> np.ndarray:
    rows, cols = np.mgrid[:130, :100]
    labels = np.zeros((130, 100), np.int32)
    for number, (row, col) in enumerate(CENTERS, start=1):
        labels[(rows - row) ** 2 + (cols - col) ** 2 <= radius**2] = number
    return labels


IMAGE = (discs(RADIUS) > 0).astype(np.float32)


def session_of(image=IMAGE, **settings) -> PromptSession:
    loaded = LoadedPrompter(BrightnessPrompter(), "test", "file", "0" * 64)
    return PromptSession(image, loaded, cache=False, limits=((0, 1),), **settings)


def detected(labels: np.ndarray, scores: list[float]) -> Segmentation:
    """What a detector of two classes found."""
    found = Instances.from_labels(labels)
    raw = Instances.create(
        found.image_shape, found.masks, scores=scores, category_ids=[2, 1, 2, 1][: len(scores)]
    )
    return Segmentation(
        (raw,),
        Image(IMAGE, "YX"),
        (Category(1, "round"), Category(2, "odd")),
        Settings(model="detector"),
        {"model": {"name": "detector"}},
        warnings=("the detector's own",),
    )


def same_as(instances: Instances, labels: np.ndarray) -> bool:
    painted = np.zeros(labels.shape, bool)
    for mask in instances.masks:
        painted[mask.slices] |= mask.pixels
    return np.array_equal(painted, labels > 0)


@pytest.mark.parametrize("prompt", ["box", "box and point", "mask"])
@pytest.mark.parametrize("tile_size", [64, 256])
def test_objects_get_the_outlines_of_the_image(prompt, tile_size):
    rough = detected(discs(RADIUS + 2), [0.9, 0.8, 0.7])
    result = refine(session_of(tile_size=tile_size), rough, prompt=prompt)
    assert same_as(result.raw[0], discs(RADIUS))
    assert np.allclose(result.raw[0].scores, [0.9, 0.8, 0.7])
    assert result.raw[0].category_ids.tolist() == [2, 1, 2]
    assert result.table["category"].tolist() == ["odd", "round", "odd"]
    assert result.score_threshold == rough.score_threshold
    assert result.warnings == ("the detector's own",)
    assert result.recipe["detector"]["model"] == {"name": "detector"}
    assert result.recipe["refine"]["objects"] == 3
    json.dumps(result.recipe)


def test_a_poor_answer_leaves_the_object_as_it_was():
    labels = discs(RADIUS)
    labels[110:125, 70:90] = 4  # Where the image is dark.
    run = RefineRun(session_of(), detected(labels, [0.9, 0.8, 0.7, 0.6]))
    list(run)
    result = run.result()
    assert same_as(result.raw[0], labels)
    assert "1 of 4 objects kept their masks" in result.warnings[-1]
    assert np.array_equal(np.array(run.predicted_iou()[0]) > 0.5, [True, True, True, False])


def test_an_answer_that_is_something_else_is_not_taken():
    # Thin crosses over the discs: what the boxes show is another thing.
    crosses = np.zeros_like(discs(RADIUS))
    for number, (row, col) in enumerate(CENTERS, start=1):
        crosses[row - 11 : row + 12, col] = crosses[row, col - 11 : col + 12] = number
    rough = detected(crosses, [0.9, 0.8, 0.7])
    assert same_as(refine(session_of(), rough).raw[0], crosses)
    assert same_as(refine(session_of(), rough, min_iou=0.0).raw[0], discs(RADIUS))


def test_objects_below_the_threshold_stay_as_they_are():
    rough = detected(discs(RADIUS + 2), [0.9, 0.8, 0.1])
    run = RefineRun(session_of(), rough)
    assert [step.total for step in run][-1] == 2
    areas = [mask.area for mask in run.result().raw[0].masks]
    assert areas[2] > areas[0]
    every = refine(session_of(), rough, min_score=0.0)
    assert same_as(every.raw[0], discs(RADIUS))


@pytest.mark.parametrize("form", ["tiff", "zarr"])
def test_labels_from_a_file(tmp_path, form):
    rough = detected(discs(RADIUS + 2), [0.9, 0.8, 0.7])
    path = rough.save(tmp_path, "a", form)[0]
    assert same_as(refine(session_of(), path).raw[0], discs(RADIUS))
    assert same_as(refine(session_of(), str(path)).raw[0], discs(RADIUS))


def test_layers_of_each_kind():
    labels = discs(RADIUS + 1)
    boxes = [(r - 11, c - 11, r + 11, c + 11) for r, c in CENTERS]
    expected = discs(RADIUS)
    for what in (labels, np.array(boxes), np.array(CENTERS, float)):
        result = refine(session_of(), what)
        assert same_as(result.raw[0], expected)
        assert result.score_threshold == 0
        assert result.warnings == ()
    assert np.allclose(refine(session_of(), labels).raw[0].scores, 0.95)


def test_a_prompt_that_hits_nothing_gives_nothing():
    result = refine(session_of(), np.array([[20.0, 20.0], [70.0, 80.0]]))
    assert len(result.raw[0]) == 1
    assert "1 of 2 prompts gave no object" in result.warnings[0]


def test_rows_of_a_stack_begin_with_the_plane():
    stack = np.stack([np.zeros_like(IMAGE), IMAGE])
    result = refine(session_of(stack), np.array([[1, 20, 20], [0, 20, 20], [1, 45, 64]]))
    assert [len(plane) for plane in result.raw] == [0, 2]
    result = refine(session_of(stack), np.array([[1, 9, 9, 31, 31]]))
    assert [len(plane) for plane in result.raw] == [0, 1]
    labels = np.stack([np.zeros((130, 100), np.int64), discs(RADIUS - 1)])
    assert [len(plane) for plane in refine(session_of(stack), labels).raw] == [0, 3]


def test_leaving_the_loop_keeps_all_objects():
    rough = detected(discs(RADIUS + 2), [0.9, 0.8, 0.7])
    session = session_of(tile_size=64)
    run = RefineRun(session, rough)
    for progress in run:
        if progress.done:
            break
    result = run.result()
    assert not result.complete
    assert len(result.raw[0]) == 3
    areas = {mask.area for mask in result.raw[0].masks}
    assert len(areas) > 1
    assert areas >= {int((discs(RADIUS) == 1).sum())}


def test_no_objects():
    assert refine(session_of(), np.zeros((130, 100), np.int32)).count == 0
    assert refine(session_of(), np.empty((0, 4))).count == 0


@pytest.mark.parametrize(
    ("what", "kind", "text"),
    [
        (np.zeros((3, 3), np.int32), None, "expected a Segmentation"),
        (np.zeros((3, 3), np.int32), "labels", "shape"),
        (np.zeros((3, 4)), "points", "points: expected"),
        (np.zeros((3, 4)), "lines", "kind: expected"),
        (np.array([[500.0, 3.0]]), None, "inside"),
    ],
)
def test_what_does_not_fit_is_said(what, kind, text):
    with pytest.raises(InputError, match=text):
        RefineRun(session_of(), what, kind=kind)


def test_another_images_segmentation_is_refused():
    with pytest.raises(InputError, match="expected a segmentation of an image"):
        RefineRun(session_of(IMAGE[:50]), detected(discs(RADIUS), [0.9, 0.8, 0.7]))


def test_settings_are_checked_and_go_through_json():
    settings = RefineSettings(prompt="mask", min_score=0.2)
    assert RefineSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings
    with pytest.raises(InputError, match="prompt"):
        RefineSettings(prompt="words")
    with pytest.raises(InputError, match="min_iou"):
        RefineSettings(min_iou=2)
    with pytest.raises(InputError, match="unknown"):
        RefineSettings.from_json({"boxes": 1})


def test_a_mask_may_have_empty_edges():
    crop = np.zeros((40, 40), bool)
    crop[12:29, 12:29] = True
    found = Instances.create((130, 100), [Mask((0, 0), crop)], scores=[0.9], boxes=[[9, 9, 31, 31]])
    rough = detected(discs(RADIUS), [0.9, 0.8, 0.7])
    rough = Segmentation((found,), rough.image, rough.categories, rough.settings, rough.details)
    assert same_as(refine(session_of(), rough).raw[0], discs(RADIUS) == 1)
