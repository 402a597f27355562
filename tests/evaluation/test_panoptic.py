"""PQ by COCO panoptic's protocol, against its own code."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from held_against import blocks, set_of, shaken
from helpers import draw
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_instseg import LabelSet
from napari_instseg.evaluation import Score, assess
from napari_instseg.evaluation.options import Options

NAMES = ("cell", "dust", "tissue", "glass")
STUFF = ("tissue", "glass")
OFFSET, VOID = 256 * 256 * 256, 0


def pq_compute(gt: LabelSet, pred: LabelSet) -> dict[str, list[float]]:
    """TP, FP, FN and sum of IoU by category.

    As of panopticapi's ``pq_compute_single_core`` (evaluation.py, commit 7bb4655; Alexander
    Kirillov, BSD licence), for one image whose segments are in tables instead of JSON.
    """
    stat: dict[str, list[float]] = defaultdict(lambda: [0, 0, 0, 0.0])
    pan_gt, pan_pred = gt.read("panoptic"), pred.read("panoptic")
    gt_segms = {row["index"]: dict(row) for row in gt.table.to_dict("records")}
    pred_segms = {row["index"]: dict(row) for row in pred.table.to_dict("records")}
    for label, label_cnt in zip(*np.unique(pan_gt, return_counts=True), strict=True):
        if label:
            gt_segms[label]["area"] = label_cnt
    for label, label_cnt in zip(*np.unique(pan_pred, return_counts=True), strict=True):
        if label not in pred_segms:
            assert label == VOID
            continue
        pred_segms[label]["area"] = label_cnt
    pan_gt_pred = pan_gt.astype(np.uint64) * OFFSET + pan_pred.astype(np.uint64)
    gt_pred_map = {}
    for label, intersection in zip(*np.unique(pan_gt_pred, return_counts=True), strict=True):
        gt_pred_map[(label // OFFSET, label % OFFSET)] = intersection
    gt_matched, pred_matched = set(), set()
    for (gt_label, pred_label), intersection in gt_pred_map.items():
        if gt_label not in gt_segms or pred_label not in pred_segms:
            continue
        if gt_segms[gt_label]["iscrowd"] == 1:
            continue
        if gt_segms[gt_label]["category"] != pred_segms[pred_label]["category"]:
            continue
        union = (
            pred_segms[pred_label]["area"]
            + gt_segms[gt_label]["area"]
            - intersection
            - gt_pred_map.get((VOID, pred_label), 0)
        )
        iou = intersection / union
        if iou > 0.5:
            stat[gt_segms[gt_label]["category"]][0] += 1
            stat[gt_segms[gt_label]["category"]][3] += iou
            gt_matched.add(gt_label)
            pred_matched.add(pred_label)
    crowd_labels_dict: dict[str, Any] = {}
    for gt_label, gt_info in gt_segms.items():
        if gt_label in gt_matched:
            continue
        if gt_info["iscrowd"] == 1:
            crowd_labels_dict[gt_info["category"]] = gt_label
            continue
        stat[gt_info["category"]][2] += 1
    for pred_label, pred_info in pred_segms.items():
        if pred_label in pred_matched:
            continue
        intersection = gt_pred_map.get((VOID, pred_label), 0)
        if pred_info["category"] in crowd_labels_dict:
            crowd = crowd_labels_dict[pred_info["category"]]
            intersection += gt_pred_map.get((crowd, pred_label), 0)
        if intersection / pred_info["area"] > 0.5:
            continue
        stat[pred_info["category"]][1] += 1
    return dict(stat)


def scored(predicted: LabelSet, truth: LabelSet, **options: Any) -> Score:
    (score,) = assess(predicted, truth, Options(draws=0, **options)).scores
    return score


def named(labels: NDArray[np.int32], seed: int) -> dict[int, str]:
    random = np.random.default_rng(seed)
    return {int(n): str(random.choice(NAMES, p=[0.5, 0.2, 0.2, 0.1])) for n in np.unique(labels)}


def one_segment_each(labels: NDArray[np.int32], kinds: dict[int, str]) -> NDArray[np.int32]:
    """Stuff has one segment a category."""
    first = {name: min(n for n in kinds if kinds[n] == name) for name in kinds.values()}
    table = np.arange(labels.max() + 1)
    for n, name in kinds.items():
        if name in STUFF and n:
            table[n] = next(k for k in sorted(kinds) if k and kinds[k] == name)
    assert first is not None
    return np.asarray(table[labels], np.int32)


@given(st.integers(0, 100_000), st.booleans())
def test_as_cocos_own_code(seed: int, with_crowds: bool) -> None:
    truth = blocks(seed)
    kinds = named(truth, seed)
    found = shaken(truth, seed)
    # Most keep their category.
    origin = {int(n): kinds[n % 100] for n in np.unique(found)}
    random = np.random.default_rng(seed)
    others = {
        n: str(random.choice(NAMES)) if random.random() < 0.2 else k for n, k in origin.items()
    }
    truth, found = one_segment_each(truth, kinds), one_segment_each(found, others)
    crowds = []
    if with_crowds:
        # The reference knows one a category.
        for name in ("cell", "dust"):
            crowds += [int(n) for n in np.unique(truth) if n and kinds[int(n)] == name][:1]
    gt = set_of(truth, kinds, stuff=STUFF, crowds=crowds)
    pred = set_of(found, others, stuff=STUFF)
    if not len(gt.stuff) or not set(gt.table["category"]) & set(pred.table["category"]):
        return
    expected = pq_compute(gt, pred)
    ours = {c.name: c.panoptic for c in scored(pred, gt).categories}
    for name, (tp, fp, fn, iou) in expected.items():
        if name not in ours:
            assert (tp, fp, fn) == (0, 0, 0)
            continue
        match = ours[name]
        assert (match.true_positives, match.false_positives, match.false_negatives) == (tp, fp, fn)
        assert match.iou_sum == pytest.approx(iou, abs=1e-6)


TRUTH = draw("""
    AAAA..BB
    AAAA..BB
    TTTTTTTT
""")
T = 20


def test_unlabelled_pixels_count_for_nothing_unless_they_are_background() -> None:
    kinds = {1: "cell", 2: "cell", T: "tissue"}
    gt = set_of(TRUTH, kinds, stuff=["tissue"])
    # A reaches 4 px into nothing, and C lies on nothing alone... but for a pixel of B.
    pred = set_of(
        draw("""
        AAAAACCB
        AAAAACBB
        TTTTTTTT
    """),
        {**kinds, 3: "cell"},
        stuff=["tissue"],
    )
    cell = scored(pred, gt).categories[0].panoptic
    assert (cell.true_positives, cell.false_positives, cell.false_negatives) == (2, 0, 0)
    assert cell.iou_sum == pytest.approx(1 + 3 / 4)
    cell = scored(pred, gt, void=False).categories[0].panoptic
    assert (cell.true_positives, cell.false_positives, cell.false_negatives) == (2, 1, 0)
    assert cell.iou_sum == pytest.approx(8 / 10 + 3 / 4)


def test_of_plain_labels_nothing_is_background() -> None:
    score = scored(set_of(draw("AA.BB")), set_of(draw("AA...")))
    assert (score.matches[0.5].false_positives, score.categories[0].panoptic.false_positives) == (
        1,
        1,
    )


def test_crowds_are_neither_missed_nor_wrong() -> None:
    gt = set_of(draw("AAAA.BB"), crowds=[1])
    pred = set_of(draw("CDDD.EE"))
    score = scored(pred, gt)
    assert score.truth_count == score.predicted_count == 1
    assert (score.matches[0.5].true_positives, score.matches[0.5].false_positives) == (1, 0)
    assert score.count_error == 0


def test_dice_and_ap_leave_out_what_counts_for_nothing() -> None:
    gt = set_of(draw("AAAA.BB."), crowds=[1])
    pred = set_of(draw("CCDD.EEE"))
    # Without the crowd: 2 px of B, 3 px of E, and what lies on nothing is wrong.
    score = scored(pred, gt)
    assert (score.overlap, score.foreground) == (2, 5)
    assert score.matches[0.5].iou_sum == pytest.approx(2 / 3)
    score = scored(pred, gt, void=True)
    assert (score.overlap, score.foreground) == (2, 4)
    match = score.matches[0.95]
    assert (match.true_positives, match.false_positives, match.iou_sum) == (1, 0, 1)
    assert score.categories[0].matches[0.95] == match


def test_pixels_of_categories() -> None:
    kinds = {1: "cell", 2: "cell", T: "tissue"}
    gt = set_of(TRUTH, kinds, stuff=["tissue"])
    pred = set_of(np.where(TRUTH == 2, T, TRUTH), kinds, stuff=["tissue"])
    cell, tissue = scored(pred, gt).categories
    assert (cell.iou, cell.dice) == (8 / 12, 16 / 20)
    assert (tissue.iou, tissue.dice) == (8 / 12, 16 / 20)
    score = scored(pred, gt)
    assert score.mean_iou == pytest.approx(2 / 3)
    assert score.panoptic(things=False)["pq"] == pytest.approx(8 / 12)
    assert score.panoptic()["rq"] == pytest.approx((2 / 3 + 1) / 2)
