"""COCO's AP and AR, against pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

import numpy as np
import pytest
from held_against import blocks, set_of, shaken
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_instseg import LabelSet
from napari_instseg.evaluation import assess
from napari_instseg.evaluation.coco import BUNDLE, CocoScore, coco_score
from napari_instseg.evaluation.options import Options

pytest.importorskip("faster_coco_eval")


def ours(pairs: Sequence[tuple[LabelSet, LabelSet]]) -> CocoScore:
    found = [assess(p, t, Options(draws=0)).comparisons for t, p in pairs]
    return coco_score([one for some in found for one in some])


def theirs(pairs: Sequence[tuple[LabelSet, LabelSet]], most: int = 100) -> np.ndarray:
    """AP, AP50, AP75, AP by size, AR at 1, 10 and ``most``, AR by size."""
    from pycocotools import mask
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    names = sorted({n for pair in pairs for side in pair for n in side.table["category"]})
    sides: list[list[dict[str, object]]] = [[], []]
    for image, pair in enumerate(pairs, start=1):
        for side, listed in zip(pair, sides, strict=True):
            labels = side.read("instances")
            for row in side.things.sort_values("index").itertuples():
                rle = mask.encode(np.asfortranarray(labels == row.index, np.uint8))
                one = {"id": len(listed) + 1, "image_id": image, "segmentation": rle}
                one |= {"category_id": names.index(row.category) + 1, "iscrowd": int(row.iscrowd)}
                # Without boxes, of which `loadRes` would take the areas of predictions.
                listed.append(one | {"area": float(mask.area(rle)), "score": float(row.score)})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        height, width = pairs[0][0].shape
        truth.dataset = {
            "info": {},
            "images": [{"id": i + 1, "height": height, "width": width} for i in range(len(pairs))],
            "categories": [{"id": i, "name": name} for i, name in enumerate(names, start=1)],
            "annotations": sides[0],
        }
        truth.createIndex()
        found = truth.loadRes(sides[1])
        evaluation = COCOeval(truth, found, "segm")
        evaluation.params.maxDets = [1, 10, most]
        evaluation.evaluate()
        evaluation.accumulate()
        # `summarize` knows only 100.
        precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
    values = [precision[..., 0, 2], precision[0, ..., 0, 2], precision[5, ..., 0, 2]]
    values += [precision[..., k, 2] for k in (1, 2, 3)]
    values += [recall[..., 0, 2], *(recall[..., k, 2] for k in (1, 2, 3))]
    return np.array([v[v > -1].mean() if (v > -1).any() else np.nan for v in values])


def listed(score: CocoScore) -> list[float]:
    sizes = [*score.ap_by_size.values()], [*score.ar_by_size.values()]
    return [score.ap, score.ap50, score.ap75, *sizes[0], score.ar, *sizes[1]]


def random_pair(seed: int, *, ties: bool) -> tuple[LabelSet, LabelSet]:
    random = np.random.default_rng(seed)
    # Some are larger than 32² px.
    truth = blocks(seed).repeat(6, 0).repeat(6, 1)
    found = shaken(blocks(seed), seed).repeat(6, 0).repeat(6, 1)
    kinds = {int(n): ("cell", "dust")[int(random.random() < 0.3)] for n in np.unique(truth)}
    guesses = {int(n): kinds[n % 100] for n in np.unique(found)}
    scores = {n: float(np.round(random.random(), 1 if ties else 6)) for n in guesses}
    crowds = [int(n) for n in np.unique(truth)[1:] if random.random() < 0.1]
    return set_of(truth, kinds, crowds=crowds), set_of(found, guesses, scores=scores)


@settings(max_examples=25)
@given(st.integers(0, 100_000), st.booleans(), st.integers(1, 3))
def test_as_pycocotools(seed: int, ties: bool, images: int) -> None:
    pairs = [random_pair(seed + i, ties=ties) for i in range(images)]
    if all(pair[1].table.empty for pair in pairs):
        return
    np.testing.assert_allclose(listed(ours(pairs)), theirs(pairs), atol=1e-6)


def test_four_hundred_perfect_objects() -> None:
    labels = np.arange(1, 401, dtype=np.int32).reshape(20, 20).repeat(4, 0).repeat(4, 1)
    pair = set_of(labels), set_of(labels)
    found = ours([pair])
    assert (found.ap, found.ap50, found.ar, found.objects) == (1, 1, 1, 400)
    # COCO's cap leaves 300 of them out: a quarter of recall, and 26 of 101 points of the curve.
    assert theirs([pair])[0] == pytest.approx(0.257, abs=1e-3)
    assert theirs([pair], most=400)[0] == 1


def test_groups_of_objects_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [random_pair(seed, ties=True) for seed in range(4)]
    whole = ours(pairs)
    assert BUNDLE > 100
    monkeypatch.setattr("napari_instseg.evaluation.coco.BUNDLE", 2)
    assert listed(ours(pairs)) == pytest.approx(listed(whole), nan_ok=True, abs=1e-12)


def test_volumes_have_no_sizes_and_frames_are_pictures() -> None:
    labels = np.stack([blocks(1), blocks(1)])
    volume = ours([(set_of(labels, axes="ZYX"), set_of(labels, axes="ZYX"))])
    assert (volume.ap, volume.ap_by_size) == (1, {})
    frames = ours([(set_of(labels, axes="TYX"), set_of(labels, axes="TYX"))])
    assert frames.ap == 1
    assert frames.ap_by_size["small"] == 1
    assert not frames.has_scores


def test_without_objects() -> None:
    nothing = set_of(np.zeros((4, 5), np.int32))
    assert np.isnan(ours([(nothing, nothing)]).ap)
    some = set_of(blocks(1))
    assert ours([(some, set_of(np.zeros((24, 32), np.int32)))]).ap == 0


def test_intervals_are_those_of_images_drawn_and_evaluated_one_by_one() -> None:
    pairs = [random_pair(seed, ties=False) for seed in range(7)]
    nothing = set_of(np.zeros((24, 32), np.int32))
    pairs.append((nothing, nothing))
    comparisons = [assess(p, t, Options(draws=0)).comparisons[0] for t, p in pairs]
    found = coco_score(comparisons, 25, seed=3, level=0.8)
    random = np.random.default_rng(3)
    drawn = []
    for _ in range(25):
        # An object that is there twice has a score twice; which comes first says nothing.
        one = coco_score([comparisons[i] for i in random.integers(0, 8, 8)])
        drawn.append((one.ap, one.ap50, one.ap75, one.ar))
    assert found.intervals is not None
    assert [*found.intervals.values] == ["ap", "ap50", "ap75", "ar"]
    expected = np.quantile(drawn, (0.1, 0.9), axis=0).T
    np.testing.assert_allclose([*found.intervals.values.values()], expected, atol=1e-12)
    assert found.intervals.values["ap"][0] <= found.ap <= found.intervals.values["ap"][1]
    # They change nothing else.
    assert listed(found) == listed(coco_score(comparisons))
    assert found.to_json()["intervals"]["drawn"] == "images"


def test_when_there_are_no_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, predicted = random_pair(1, ties=False)
    (one,) = assess(predicted, truth, Options(draws=0)).comparisons
    assert coco_score([one], 100).intervals is None
    assert coco_score([one, one]).intervals is None
    nothing = set_of(np.zeros((4, 5), np.int32))
    (empty,) = assess(nothing, nothing, Options(draws=0)).comparisons
    assert coco_score([empty, empty], 10).intervals is None
    # Draws of nothing but empty images say nothing.
    half = coco_score([empty, one], 20)
    assert half.intervals is not None
    assert half.intervals.values["ap"] == (half.ap, half.ap)
    # Of many objects there are fewer draws, and it says how many.
    monkeypatch.setattr("napari_instseg.evaluation.coco.MOST_LOOKS", 10)
    monkeypatch.setattr("napari_instseg.evaluation.coco.LEAST_DRAWS", 3)
    few = coco_score([one, one], 100).intervals
    assert few is not None
    assert few.draws == 3
