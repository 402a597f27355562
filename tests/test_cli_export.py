"""Export and convert on the command line, with what the built-in model finds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from formats.label_sets import overlapping, plain, with_stuff
from PIL import Image as Pillow
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import napari_instseg as nis
from napari_instseg.cli import main

SAMPLE = Path(nis.__file__).parent / "data" / "fluorescence.png"
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real result on disk, with all objects that were found."""
    folder = tmp_path_factory.mktemp("results")
    argv = ["segment", str(SAMPLE), "-o", str(folder), "--keep-raw", "--quiet", "--device", "cpu"]
    assert main(argv) == 0
    return folder


@pytest.fixture(scope="module")
def result() -> nis.Segmentation:
    return nis.segment(SAMPLE, device="cpu")


def test_the_saved_result_is_the_one_of_the_model(results: Path, result: nis.Segmentation) -> None:
    saved = nis.read_result(results)
    for threshold in (0.5, 0.2, 0.9):
        one, other = (r.with_score_threshold(threshold) for r in (saved, result))
        np.testing.assert_array_equal(one.panoptic, other.panoptic)
        assert one.table.equals(other.table)


@pytest.mark.parametrize("name", ["a.json", "b.divisor.tif", "c"])
def test_a_real_result_there_and_back(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    format = ["--format", "cityscapes"] if name == "c" else []
    assert main(["export", str(results), "-o", str(tmp_path / name), *format, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert all(Path(file).exists() for file in said["files"])
    # Some masks share a few pixels.
    assert bool(said["notes"]) == (name != "a.json")
    assert (
        main(["convert", str(tmp_path / name), "-o", str(tmp_path / "r"), "--format=result"]) == 0
    )
    before, after = nis.read_labels(results), nis.read_labels(tmp_path / "r")
    assert before.name == after.name == "fluorescence"
    np.testing.assert_array_equal(before.instances, after.instances)
    columns = ["index", "category", "area", "score"]
    assert before.table[columns].round(6).equals(after.table[columns].round(6))


def test_pycocotools_finds_its_own_truth(results: Path, tmp_path: Path) -> None:
    """Detectron2's results against COCO of the same objects: an AP of 1 by COCO's own measure."""
    nis.export(results, tmp_path / "truth.json", masks="polygons")
    nis.export(results, tmp_path / "found.json", "detectron2")
    truth = COCO(str(tmp_path / "truth.json"))
    images = COCO(str(tmp_path / "found_images.json"))
    assert images.imgs.keys() == truth.imgs.keys()
    measure = COCOeval(truth, truth.loadRes(str(tmp_path / "found.json")), "segm")
    measure.params.maxDets = [1, 10, 1000]
    measure.evaluate()
    measure.accumulate()
    precision = measure.eval["precision"][:, :, :, 0, -1]
    assert precision.min() == 1.0


def test_panoptic_as_the_paper_reads_it(tmp_path: Path) -> None:
    before = with_stuff()
    nis.export(before, tmp_path / "a.json", "panoptic")
    values = json.loads((tmp_path / "a.json").read_text("utf-8"))
    names = {one["id"]: one for one in values["categories"]}
    for plane, annotation in enumerate(values["annotations"]):
        color = np.asarray(Pillow.open(tmp_path / "a" / annotation["file_name"])).astype(np.uint32)
        ids = color[..., 0] + 256 * color[..., 1] + 256**2 * color[..., 2]
        np.testing.assert_array_equal(ids, before.panoptic[plane])
        segments = {one["id"]: one for one in annotation["segments_info"]}
        assert {*segments, 0} == {0, *np.unique(ids).tolist()}
        for number, one in segments.items():
            assert one["area"] == (ids == number).sum()
            category = names[one["category_id"]]
            assert category["isthing"] == (number != 5000)
            assert before.semantic[plane][ids == number].tolist() == [category["id"]] * one["area"]


class TestCommands:
    def test_several_results(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        overlapping().save(tmp_path / "in", "a")
        overlapping().save(tmp_path / "in", "b", raw=True)
        argv = ["export", str(tmp_path / "in"), str(tmp_path / "in" / "a"), "-o"]
        assert main([*argv, str(tmp_path / "all.json")]) == 0
        out, err = capsys.readouterr()
        assert out == f"{tmp_path / 'all.json'}\n"
        assert err == (
            "note: cells: what overlapping objects hide of each other was not saved with the "
            "result (segment --keep-raw)\n"
        )
        found = nis.read_labels(tmp_path / "all.json")
        assert [one.table["hidden_area"].sum() for one in found] == [0, 2, 0]

    def test_a_file_is_not_replaced_unasked(self, tmp_path: Path) -> None:
        plain_labels = tmp_path / "labels.npy"
        np.save(plain_labels, plain().instances)
        target = str(tmp_path / "a.json")
        assert main(["convert", str(plain_labels), "-o", target, "-q"]) == 0
        with pytest.raises(SystemExit) as stopped:
            main(["convert", str(plain_labels), "-o", target])
        assert stopped.value.code == 2
        argv = ["convert", str(plain_labels), "-o", target, "--overwrite", "-q"]
        assert main([*argv, "--option", "masks=polygons"]) == 0
        same_labels = nis.read_labels(target)
        np.testing.assert_array_equal(same_labels.instances, plain().instances)

    @pytest.mark.parametrize("command", ["export", "convert", "measure", "evaluate"])
    def test_what_cannot_be_written_is_said_in_a_line(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
    ) -> None:
        labels = str(tmp_path / "a.npy")
        np.save(labels, plain().instances)
        more = [labels] if command == "evaluate" else []
        # No folder: a file is called so.
        target = str(tmp_path / "a.npy" / "table.csv")
        assert main([command, labels, *more, "-o", target]) == 1
        err = capsys.readouterr().err
        assert err.startswith(f"napari-instseg {command}: [")
        assert err.count("\n") == 1

    def test_options_of_reading(self, tmp_path: Path) -> None:
        np.save(tmp_path / "a.npy", np.array([[[0, 203], [201, 400]]]))
        argv = ["convert", str(tmp_path / "a.npy"), "-o", str(tmp_path / "b"), "--format", "result"]
        assert main([*argv, "--from", "divisor", "--read-option", "divisor=200"]) == 0
        assert nis.read_labels(tmp_path / "b").table["category_id"].tolist() == [1, 1, 2]

    def test_what_fails_says_so(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["export", str(tmp_path / "none"), "-o", str(tmp_path / "a.json")]) == 1
        assert "none: no such file or folder" in capsys.readouterr().err
        for wrong in (["--option", "masks"], ["--option", "=3"]):
            with pytest.raises(SystemExit):
                main(["export", str(tmp_path), "-o", str(tmp_path / "a.json"), *wrong])
        assert not list(tmp_path.iterdir())

    def test_the_help_lists_all_formats(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            main(["export", "--help"])
        out = capsys.readouterr().out
        for word in ("coco", "panoptic", "cityscapes", "divisor=", "detectron2", "masks="):
            assert word in out

    @pytest.mark.parametrize(
        ("name", "format"),
        [
            ("l", "coco"),
            ("r", "result"),
            ("m", "masks"),
            ("c", "cityscapes"),
            ("d.json", "detectron2"),
            ("p.json", "panoptic"),
            ("z.zarr", "ome-zarr"),
        ],
    )
    def test_no_file_is_replaced_unasked(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, format: str
    ) -> None:
        np.save(tmp_path / "in.npy", plain().instances)
        target = tmp_path / "out" / name
        argv = ["convert", str(tmp_path / "in.npy"), "-o", str(target), "--format", format, "-q"]
        assert main(argv) == 0
        # What lies beside the file is kept, too.
        if target.is_file():
            target.unlink()
        files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
        before = {path: path.stat().st_mtime_ns for path in files}
        capsys.readouterr()
        assert main(argv) != 0
        assert "is there" in capsys.readouterr().err
        assert before == {path: path.stat().st_mtime_ns for path in before}
        assert main([*argv, "--overwrite"]) == 0
