"""Scores against hand-counted cases, StarDist's own matching and brute force."""

from __future__ import annotations

import json
import math
from itertools import permutations

import numpy as np
import pytest
from PIL import Image as Pillow

from napari_instseg.evaluation import (
    Match,
    Options,
    Report,
    evaluate,
    evaluate_folders,
    match_labels,
    pool,
)
from napari_instseg.io.images import write_labels
from napari_instseg.segmenter import InputError


def draw(*rows: str) -> np.ndarray:
    """Digits and letters are objects, dots are nothing."""
    return np.array([[0 if c == "." else int(c, 36) for c in row] for row in rows])


class TestByHand:
    TRUTH = draw(
        "1111....22",
        "1111....22",
        "1111....22",
        "......3333",
        "4.....3333",
    )
    FOUND = draw(
        "111.....22",
        "111....222",
        "1111...222",
        "......3355",
        "......3355",
    )

    def test_counts_at_each_threshold(self):
        score = match_labels(self.TRUTH, self.FOUND, (0.5, 0.75, 0.8, 0.9))
        # IoU: 1: 10/12; 2: 6/8; 3: 4/8 with 3, and 4/8 with 5; 4: nothing.
        assert (score.truth_count, score.predicted_count, score.count_error) == (4, 4, 0)
        match = score.matches[0.5]
        assert (match.true_positives, match.false_positives, match.false_negatives) == (3, 1, 1)
        assert match.average_precision == 3 / 5
        assert match.precision == match.recall == match.f1 == 3 / 4
        iou = 10 / 12 + 6 / 8 + 4 / 8
        assert match.iou_sum == pytest.approx(iou)
        assert match.segmentation_quality == pytest.approx(iou / 3)
        assert match.panoptic_quality == pytest.approx(iou / (3 + 0.5 + 0.5))
        assert match.panoptic_quality == pytest.approx(match.f1 * match.segmentation_quality)
        assert [m.true_positives for m in score.matches.values()] == [3, 2, 1, 0]

    def test_dice_of_the_foreground(self):
        score = match_labels(self.TRUTH, self.FOUND)
        truth, found = self.TRUTH > 0, self.FOUND > 0
        assert score.dice == pytest.approx(2 * (truth & found).sum() / (truth.sum() + found.sum()))

    def test_numbers_do_not_matter(self):
        names = np.array([0, 7, 2**40, 3, 5, 11])
        one = match_labels(self.TRUTH, self.FOUND)
        assert match_labels(names[self.TRUTH], names[self.FOUND]) == one
        assert match_labels(self.TRUTH.astype(np.uint64), self.FOUND.astype(np.int8)) == one

    def test_perfect(self):
        match = match_labels(self.TRUTH, self.TRUTH, (1.0,)).matches[1.0]
        assert match == Match(4, 0, 0, 4.0)
        assert match.panoptic_quality == 1

    def test_four_hundred_objects_are_not_capped(self):
        labels = np.arange(1, 401).reshape(20, 20).repeat(3, 0).repeat(3, 1)
        assert match_labels(labels, labels).matches[0.9].average_precision == 1


class TestOneToOne:
    def test_one_object_cut_in_two_counts_once(self):
        truth, found = draw("1111"), draw("1122")
        assert match_labels(truth, found, (0.5,)).matches[0.5] == Match(1, 1, 0, 0.5)

    def test_most_pairs_come_before_the_best_pair(self):
        truth = draw("1111112222......")
        found = draw("1112222222......")
        # IoU: 1-1: 3/6, 1-2: 3/10, 2-2: 4/7. At 0.3 a greedy choice cannot lose one of two.
        assert match_labels(truth, found, (0.3,)).matches[0.3].true_positives == 2
        truth = draw("11112222222222..", "..........2222..")
        found = draw("3333444444......", "...........55555")
        match = match_labels(truth, found, (0.1,)).matches[0.1]
        assert match.true_positives == 2

    @pytest.mark.parametrize("seed", range(20))
    def test_brute_force(self, seed):
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 5, (4, 5)).repeat(2, 0).repeat(2, 1)
        found = np.where(rng.random(truth.shape) < 0.3, rng.integers(0, 5, truth.shape), truth)
        threshold = 0.1
        iou = np.array(
            [
                [
                    ((truth == t) & (found == f)).sum() / ((truth == t) | (found == f)).sum()
                    if (truth == t).any() and (found == f).any()
                    else 0
                    for f in range(1, 5)
                ]
                for t in range(1, 5)
            ]
        )
        good = np.where(iou >= threshold, iou, 0)
        best = max(
            ((good[range(4), p] > 0).sum(), good[range(4), p].sum()) for p in permutations(range(4))
        )
        match = match_labels(truth, found, (threshold,)).matches[threshold]
        assert (match.true_positives, match.iou_sum) == (best[0], pytest.approx(best[1]))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.filterwarnings("ignore")
def test_agrees_with_stardist(seed, stardist_matching):
    truth, found = random_pair(seed)
    thresholds = (0.3, 0.5, 0.7, 0.9)
    score = match_labels(truth, found, thresholds)
    for threshold, expected in zip(
        thresholds, stardist_matching.matching(truth, found, thresholds), strict=True
    ):
        match = score.matches[threshold]
        assert (match.true_positives, match.false_positives, match.false_negatives) == (
            expected.tp,
            expected.fp,
            expected.fn,
        )
        assert match.average_precision == pytest.approx(expected.accuracy)
        assert match.precision == pytest.approx(expected.precision)
        assert match.recall == pytest.approx(expected.recall)
        assert match.f1 == pytest.approx(expected.f1)
        if threshold >= 0.5:  # below, StarDist lets pairs under the threshold break ties
            assert np.nan_to_num(match.segmentation_quality) == pytest.approx(
                expected.mean_matched_score
            )
            assert match.panoptic_quality == pytest.approx(expected.panoptic_quality)


def random_pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Discs, and the same discs moved, some lost, some new."""
    rng = np.random.default_rng(seed)
    truth, found = np.zeros((2, 120, 120), np.int64)
    rows, cols = np.mgrid[:120, :120]
    for label in range(1, 60):
        row, col, radius = *rng.uniform(0, 120, 2), rng.uniform(2, 8)
        if rng.random() < 0.9:
            truth[(rows - row) ** 2 + (cols - col) ** 2 < radius**2] = label
        if rng.random() < 0.9:
            row, col, radius = (
                row + rng.normal(),
                col + rng.normal(),
                radius * rng.uniform(0.8, 1.2),
            )
            found[(rows - row) ** 2 + (cols - col) ** 2 < radius**2] = 100 - label
    return truth, found


class TestNothingThere:
    def test_neither_has_objects(self):
        score = match_labels(np.zeros((3, 4), int), np.zeros((3, 4), int))
        assert score.matches[0.5] == Match()
        assert math.isnan(score.matches[0.5].average_precision)
        assert math.isnan(score.dice)
        assert score.to_json()["dice"] is None
        json.dumps(score.to_json(), allow_nan=False)

    @pytest.mark.parametrize("shape", [(0, 0), (0, 5), (1, 1)])
    def test_tiny(self, shape):
        assert match_labels(np.zeros(shape, int), np.ones(shape, bool)).truth_count == 0

    def test_one_side_only(self):
        labels = draw("1.2")
        assert match_labels(labels, labels * 0).matches[0.5] == Match(0, 0, 2)
        assert match_labels(labels * 0, labels).matches[0.5] == Match(0, 2, 0)
        assert match_labels(labels * 0, labels).matches[0.5].average_precision == 0
        assert match_labels(labels * 0, labels).dice == 0


def test_pooling_adds_counts_not_ratios():
    one = match_labels(draw("1.2"), draw("1.."))
    two = match_labels(draw("1.2.3.4"), draw("1.2.3.4"))
    pooled = pool([one, two])
    assert pooled.matches[0.5] == Match(5, 0, 1, 5.0)
    assert pooled.matches[0.5].average_precision == 5 / 6
    assert (pooled.images, pooled.truth_count, pooled.count_error) == (2, 6, 1)
    with pytest.raises(InputError, match="at least one"):
        pool([])


def test_thresholds_may_come_in_any_order():
    truth, found = random_pair(3)
    reports = [
        evaluate(found, truth, thresholds=given, draws=20)
        for given in ((0.9, 0.5, 0.9), (0.5, 0.9))
    ]
    assert reports[0].to_json() == reports[1].to_json()
    assert Options(thresholds=(0.9, 0.5, 0.9)).thresholds == (0.5, 0.9)
    assert match_labels(truth, found, (0.9, 0.5)) == match_labels(truth, found, (0.5, 0.9))


def test_a_raw_image_beside_its_labels_is_no_prediction(tmp_path):
    for folder in ("truth", "found"):
        (tmp_path / folder).mkdir()
    labels = draw("AA..", "AA.B")
    write_labels(tmp_path / "truth" / "a.tif", labels, "YX")
    write_labels(tmp_path / "found" / "a.tif", labels * 0 + 7, "YX")
    write_labels(tmp_path / "found" / "a_instances.tif", labels, "YX")
    report = evaluate_folders(tmp_path / "found", tmp_path / "truth")
    assert report.pooled.matches[0.5].true_positives == 2
    assert report.unused == ("a.tif",)


def test_what_cannot_be_compared():
    with pytest.raises(InputError, match=r"shape \(1, 3\), got \(1, 4\)"):
        match_labels(draw("1.2"), draw("1.2."))
    with pytest.raises(InputError, match="thresholds in"):
        match_labels(draw("1"), draw("1"), (0.0,))
    with pytest.raises(InputError, match="integers"):
        match_labels(np.zeros((2, 2)), np.zeros((2, 2), int))
    with pytest.raises(InputError, match="labels from 0, got -1"):
        match_labels(draw("1"), -draw("1"))


class TestFolders:
    @pytest.fixture
    def folders(self, tmp_path):
        truth, found = tmp_path / "set" / "labels", tmp_path / "found"
        truth.mkdir(parents=True)
        found.mkdir()
        for name, labels in (("a", draw("1.2")), ("b", draw("1.2"))):
            Pillow.fromarray(labels.astype(np.uint8)).save(truth / f"{name}.png")
        write_labels(found / "a_instances.tif", draw("1.2"), "YX")
        write_labels(found / "a_semantic.tif", draw("1.1"), "YX")
        np.save(found / "b.npy", draw("1.."))
        return found, tmp_path / "set"

    def test_files_are_found_by_stem(self, folders):
        report = evaluate_folders(*folders)
        assert [score.name for score in report.images] == ["a", "b"]
        assert report.pooled.matches[0.5] == Match(3, 0, 1, 3.0)
        assert report.unused == ()
        assert report.kinds == ()
        assert evaluate_folders(folders[0], folders[1] / "labels") == report

    def test_kinds(self, folders):
        rows = ["split,name,kind", "val,a,fluorescence", "val,b,histology", "val,c,other"]
        (folders[1].parent / "index.csv").write_text("\n".join(rows))
        report = evaluate_folders(*folders)
        assert [(s.name, s.matches[0.5].average_precision) for s in report.kinds] == [
            ("fluorescence", 1),
            ("histology", 0.5),
        ]
        assert report.to_json()["kinds"]["histology"]["iou"]["0.5"]["fn"] == 1

    def test_table_is_aligned(self, folders):
        table = evaluate_folders(*folders).to_table().splitlines()
        assert table[0].split() == (
            [
                "images",
                "truth",
                "found",
                "mAP",
                "AP",
                "0.5",
                "AP",
                "0.6",
                "AP",
                "0.7",
                "AP",
                "0.8",
                "AP",
                "0.9",
                "P",
                "0.5",
                "R",
                "0.5",
                "F1",
                "0.5",
                "PQ",
                "0.5",
                "SQ",
                "0.5",
                "Dice",
                "split",
                "merged",
            ]
        )
        assert table[1].split()[:6] == ["all", "2", "4", "3", "0.750", "0.750"]
        assert [line.split()[0] for line in table[3:]] == ["a", "b"]
        assert len({len(line) for line in table if line}) == 1
        assert len(evaluate_folders(*folders).to_table(per_image=False).splitlines()) == 2

    def test_json(self, folders):
        written = json.loads(json.dumps(evaluate_folders(*folders).to_json(), allow_nan=False))
        assert written["thresholds"] == [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
        assert written["pooled"]["iou"]["0.5"]["ap"] == 0.75
        assert [image["name"] for image in written["images"]] == ["a", "b"]

    def test_two_files(self, folders):
        found, truth = folders
        report = evaluate_folders(found / "b.npy", truth / "labels" / "b.png", (0.5,))
        assert isinstance(report, Report)
        assert report.pooled.matches[0.5] == Match(1, 0, 1, 1.0)

    def test_a_prediction_is_missing(self, folders):
        (folders[0] / "b.npy").unlink()
        with pytest.raises(InputError, match=r"1 of 2 label images have no prediction \(b.png\)"):
            evaluate_folders(*folders)

    def test_a_prediction_without_truth_is_said(self, folders):
        np.save(folders[0] / "c.npy", draw("1.."))
        assert evaluate_folders(*folders).unused == ("c.npy",)

    def test_two_predictions_fit(self, folders):
        np.save(folders[0] / "a_instances.npy", draw("1.."))
        with pytest.raises(InputError, match=r"both a_instances.npy and a_instances.tif fit a.png"):
            evaluate_folders(*folders)

    def test_shapes_differ(self, folders):
        np.save(folders[0] / "b.npy", draw("1.2."))
        with pytest.raises(InputError, match=r"b\.npy: expected the shape \(1, 3\) .*b\.png"):
            evaluate_folders(*folders)

    def test_no_folder_and_nothing_in_it(self, tmp_path, folders):
        with pytest.raises(InputError, match="no-such"):
            evaluate_folders(tmp_path / "no-such", folders[1])
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match="found none"):
            evaluate_folders(tmp_path / "empty", folders[1])
