"""Whatever a user has: results on disk, files of other formats, arrays; and real images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from held_against import blocks, set_of, shaken
from helpers import draw

import napari_instseg as nis
from napari_instseg import InputError
from napari_instseg.cli import main
from napari_instseg.evaluation import evaluate, evaluate_folders, pool
from napari_instseg.io.formats.result import write_one
from napari_instseg.io.images import read_labels, write_labels

TRUTH, FOUND = draw("AAAA.BB.CC"), draw("AAA..BB...")
KINDS = {1: "cell", 2: "dust", 3: "cell"}


def test_arrays_label_sets_and_paths_are_all_the_same(tmp_path: Path) -> None:
    for name, labels in (("truth", TRUTH), ("found", FOUND)):
        np.save(tmp_path / f"{name}.npy", labels)
    reports = [
        nis.evaluate(FOUND, TRUTH, draws=10),
        nis.evaluate(set_of(FOUND), set_of(TRUTH), draws=10),
        nis.evaluate(str(tmp_path / "found.npy"), tmp_path / "truth.npy", draws=10),
        nis.evaluate(FOUND, tmp_path / "truth.npy", draws=10),
    ]
    assert len({report.pooled.matches[0.75] for report in reports}) == 1
    text = str(reports[0])
    assert "Errors at IoU 0.5: 1 missed; count off by 1" in text
    assert "draws of objects, seed 0" in text
    with pytest.raises(InputError, match=r"expected options thresholds, .* got colour"):
        evaluate(FOUND, TRUTH, colour=1)
    with pytest.raises(InputError, match="integers"):
        evaluate(FOUND.astype(float), TRUTH)


def test_results_on_disk_have_categories_and_scores(tmp_path: Path, capsys: Any) -> None:
    found, truth = tmp_path / "found", tmp_path / "truth"
    stuff = {"stuff": ["glass"]}
    ground = np.where(TRUTH == 0, 9, TRUTH).repeat(3, 0)
    scores = {1: 0.9, 2: 0.3}
    write_one(set_of(ground, {**KINDS, 9: "glass"}, **stuff), truth, "a")
    write_one(
        set_of(
            np.where(FOUND == 0, 9, FOUND).repeat(3, 0),
            {**KINDS, 9: "glass"},
            scores=scores,
            **stuff,
        ),
        found,
        "a",
    )
    errors, output = tmp_path / "errors", tmp_path / "report.csv"
    arguments = ["evaluate", str(found / "a_instances.tif"), str(truth / "a_instances.tif")]
    assert main([*arguments, "--coco", "--errors", str(errors), "--output", str(output)]) == 0
    out = capsys.readouterr().out
    assert "dust" in out
    assert "stuff" in out
    assert "COCO: AP " in out
    assert "all scores are equal" not in out
    (report,) = evaluate_folders(*(Path(a) for a in arguments[1:])).images
    cell, dust, glass = report.categories
    assert (cell.panoptic.true_positives, cell.panoptic.false_negatives) == (1, 1)
    assert dust.panoptic.panoptic_quality == 1
    # In each row, 5 px on either side, 2 of them on both.
    assert glass.iou == pytest.approx(2 / 5)
    table = pd.read_csv(errors / "a_instances_errors.csv")
    assert table["kind"].tolist() == ["missed"]
    assert np.unique(read_labels(errors / "a_instances_errors.tif")).tolist() == [0, 1]
    assert pd.read_csv(output)["name"].tolist() == ["a_instances", "all"]


def test_cocos_files(tmp_path: Path) -> None:
    truth, found = tmp_path / "truth.json", tmp_path / "found.json"
    names = ("a", "b")
    nis.export([set_of(TRUTH, KINDS, name=n) for n in names], truth, format="coco")
    nis.export([set_of(FOUND, KINDS, name=n) for n in names[::-1]], found, format="coco")
    report = nis.evaluate(found, truth)
    assert [score.name for score in report.images] == ["a", "b"]
    assert report.pooled.matches[0.5].false_negatives == 2
    nis.export([set_of(FOUND, KINDS, name="c")], tmp_path / "other.json", format="coco")
    with pytest.raises(InputError, match="expected the image 'a'"):
        nis.evaluate(tmp_path / "other.json", truth)


@pytest.mark.parametrize("stem", ["a", ""])
def test_of_a_result_that_is_the_truth_the_instances_count(tmp_path: Path, stem: str) -> None:
    write_one(set_of(TRUTH, KINDS, name="a"), tmp_path / "truth", stem)
    write_one(set_of(FOUND, KINDS, name="a"), tmp_path / "found", stem)
    report = evaluate_folders(tmp_path / "found", tmp_path / "truth")
    assert len(report.images) == 1
    assert report.unused == ()
    (tmp_path / "found" / f"{stem}_semantic.tif".lstrip("_")).unlink()
    (tmp_path / "found" / f"{stem}_panoptic.tif".lstrip("_")).unlink()
    again = evaluate_folders(tmp_path / "found", tmp_path / "truth")
    assert again.pooled == report.pooled


def test_axes_of_length_one_do_not_matter() -> None:
    flat = nis.evaluate(FOUND, TRUTH).pooled
    assert nis.evaluate(FOUND[None], TRUTH).pooled == flat
    assert nis.evaluate(FOUND, TRUTH[None, None], axes=None).pooled.matches == flat.matches
    with pytest.raises(InputError, match="expected the shape"):
        nis.evaluate(FOUND.T, TRUTH)


def test_large_numbers_in_files(tmp_path: Path) -> None:
    names = np.array([0, 2**40, 2**33, 7])
    np.save(tmp_path / "truth.npy", names[TRUTH])
    np.save(tmp_path / "found.npy", names[FOUND])
    report = evaluate_folders(tmp_path / "found.npy", tmp_path / "truth.npy")
    assert report.pooled.matches[0.5] == nis.evaluate(FOUND, TRUTH).pooled.matches[0.5]
    assert nis.evaluate(names[FOUND], names[TRUTH]).pooled == nis.evaluate(FOUND, TRUTH).pooled


def test_large_numbers_in_lazy_arrays_are_not_taken_for_others() -> None:
    truth = np.array([[1, 1, 0, 2**32 + 1]], np.uint64)
    with pytest.raises(InputError, match="from 0 to 2147483647, got 0 to 4294967297"):
        nis.evaluate(da.from_array(np.array([[1, 1, 0, 2]])), da.from_array(truth))


def test_zarr_is_read_and_written_in_parts(tmp_path: Path) -> None:
    truth, found = blocks(1), shaken(blocks(1), 1)
    write_one(set_of(truth, name="a"), tmp_path / "truth", "a", "zarr")
    write_one(set_of(found, name="a"), tmp_path / "found", "a", "zarr")
    both = [tmp_path / side / "a_instances.zarr" for side in ("found", "truth")]
    report = evaluate_folders(*both, errors=tmp_path / "errors")
    assert report.pooled.truth_count == len(np.unique(truth)) - 1
    painted = read_labels(tmp_path / "errors" / "a_instances_errors.zarr")
    assert (painted > 0).any()
    assert not painted[(truth == 0) & (found == 0)].any()


def test_a_damaged_table_and_what_is_no_label_image_are_named(tmp_path: Path) -> None:
    write_labels(tmp_path / "a_instances.tif", TRUTH, "YX")
    (tmp_path / "a_segments.csv").write_text("nothing,of,use\n1,2,3\n")
    np.save(tmp_path / "float.npy", np.full(TRUTH.shape, 0.5))
    with pytest.raises(InputError, match=r"a_segments\.csv"):
        evaluate_folders(tmp_path / "a_instances.tif", tmp_path / "a_instances.tif")
    # A label image without a table has no names.
    with pytest.raises(InputError, match=r"\(cell, dust\) has the name of one of .* \(object\)"):
        evaluate(set_of(TRUTH, KINDS), TRUTH, categories="name")
    with pytest.raises(InputError, match=r"float\.npy.*whole numbers"):
        evaluate_folders(tmp_path / "float.npy", tmp_path / "float.npy")


VARIABLE = "NAPARI_INSTSEG_DATA"
BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data" / "dsb2018"
DATA = Path(os.environ.get(VARIABLE) or BESIDE) / "val" / "labels"


@pytest.mark.skipif(
    not DATA.is_dir(),
    reason=f"no {DATA}: set {VARIABLE} to a copy of BBBC038v1 as index.csv and val/labels",
)
@pytest.mark.filterwarnings("ignore")
def test_real_labels_as_stardist_has_them(stardist_matching: Any) -> None:
    """Nuclei of the validation images against the same, moved and thinned."""
    truths = [read_labels(path) for path in sorted(DATA.iterdir())[:12]]
    found = [np.where(np.arange(t.size).reshape(t.shape) % 97, np.roll(t, 2, 0), 0) for t in truths]
    for threshold in (0.5, 0.7, 0.9):
        expected = stardist_matching.matching_dataset(truths, found, threshold, show_progress=False)
        reports = [
            nis.evaluate(f, t, draws=0).images[0] for f, t in zip(found, truths, strict=True)
        ]
        pooled = pool(reports).matches[threshold]
        counts = pooled.true_positives, pooled.false_positives, pooled.false_negatives
        assert counts == (expected.tp, expected.fp, expected.fn)
        assert pooled.average_precision == pytest.approx(expected.accuracy, abs=1e-6)
        assert pooled.panoptic_quality == pytest.approx(expected.panoptic_quality, abs=1e-6)
        assert pooled.f1 == pytest.approx(expected.f1, abs=1e-6)
