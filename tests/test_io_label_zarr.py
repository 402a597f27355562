"""Label images written as OME-Zarr, checked against the specification, and read back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaozarrs
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from napari_instseg.evaluation import evaluate_folders
from napari_instseg.instances import Instances
from napari_instseg.io import label_zarr, ngff
from napari_instseg.io.images import is_image, read_image, read_labels
from napari_instseg.io.label_zarr import write_label_zarr
from napari_instseg.io.records import RECIPE, TABLE, read_table
from napari_instseg.io.results import save_segmentation
from napari_instseg.io.zarr import image_folder, is_zarr_data, read_label_pyramid
from napari_instseg.ops.axes import Image
from napari_instseg.ops.pyramid import halve
from napari_instseg.ops.rendering import rows_of
from napari_instseg.segmentation import Segmentation
from napari_instseg.segmenter import Category, InputError
from napari_instseg.settings import OUTPUTS, Settings
from napari_instseg.training.dataset import find_pairs, load_examples

ABOUT = {"version": "0.5", "colors": [{"label-value": 0, "rgba": [0, 0, 0, 0]}]}
CATEGORIES = (
    Category(1, "nucleus", color=(1.0, 0.5, 0.0)),
    Category(7, "glass", is_thing=False, color=(0.0, 0.0, 1.0)),
)


def grid(height: int, width: int) -> np.ndarray:
    """Squares of 6 px, 10 px apart, numbered from 1."""
    rows, cols = np.mgrid[:height, :width]
    number = (rows // 10) * -(-width // 10) + cols // 10 + 1
    return np.where((rows % 10 < 6) & (cols % 10 < 6), number, 0).astype(np.int32)


def result_of(data, axes="YX", spacing=None, outputs=OUTPUTS) -> Segmentation:
    """Numbered squares on the right, glass on the left."""
    image = Image(data, axes, spacing or {}, "cells")
    height, width = image.label_shape[-2:]
    labels = grid(height, width)
    labels[:, : width // 2] = 0
    stuff = np.zeros(image.label_shape, np.int32)
    stuff[..., : width // 2] = 7
    planes = tuple(Instances.from_labels(labels) for _ in image.planes())
    return Segmentation(
        planes, image, CATEGORIES, Settings(outputs=outputs), {"model": {"name": "x"}}, stuff
    )


def ome_of(path: Path) -> dict:
    return json.loads((path / "zarr.json").read_text("utf-8"))["attributes"]["ome"]


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(label_zarr, "CHUNK", 16)


class TestPixels:
    @settings(max_examples=10)
    @given(
        npst.arrays(
            np.int64,
            npst.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=21),
            elements=st.sampled_from([0, 1, 300, 2**32 - 1, 2**32, 2**62]),
        )
    )
    def test_round_trip(self, tmp_path_factory, labels):
        path = tmp_path_factory.mktemp("labels") / "a.zarr"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(label_zarr, "CHUNK", 8)
            write_label_zarr(path, labels, "TZYX"[-labels.ndim :], {}, ABOUT)
        np.testing.assert_array_equal(read_labels(path), labels)
        # Written chunk by chunk: the same as each level made from the one above as a whole.
        levels = read_label_pyramid(path).levels
        assert max(levels[-1].shape[-2:]) <= 8
        for fine, coarse in pairwise(levels):
            np.testing.assert_array_equal(coarse[...], halve(fine[...]))

    def test_chunks_are_planes_and_empty_ones_are_not_stored(self, tmp_path, small_chunks):
        labels = np.zeros((3, 40, 33), np.int32)
        labels[1, 20:30, 1:5] = 4
        path = write_label_zarr(tmp_path / "a.zarr", labels, "ZYX", {}, ABOUT)
        array = zarr.open_array(path / "0", mode="r")
        assert (array.chunks, array.dtype) == ((1, 16, 16), np.uint32)
        assert array.metadata.zarr_format == 3
        assert [type(codec).__name__ for codec in array.compressors] == ["ZstdCodec"]
        stored = {p.relative_to(path / "0/c").as_posix() for p in path.glob("0/c/*/*/*")}
        assert stored == {"1/1/0"}

    def test_axes_come_in_the_order_of_the_specification(self, tmp_path):
        labels = np.arange(2 * 3 * 4 * 5 * 6).reshape(2, 3, 4, 5, 6)
        path = write_label_zarr(tmp_path / "a.zarr", labels, "ZPTYX", {"Z": 2.0}, ABOUT)
        image = read_image(path)
        assert (image.axes, dict(image.spacing)) == ("TPZYX", {"Z": 2.0})
        np.testing.assert_array_equal(image.data[...], labels.transpose(2, 1, 0, 3, 4))
        yaozarrs.validate_zarr_store(path)

    @pytest.mark.parametrize(
        ("shape", "axes", "value", "reason"),
        [
            ((2, 2, 3, 4), "PQYX", 1, "at most one other axis in OME-Zarr, got 'PQYX'"),
            ((3, 4), "ZYX", 1, "one axis letter for each"),
            ((3, 4), "YX", -1, "labels from 0"),
        ],
    )
    def test_what_cannot_be_written(self, tmp_path, shape, axes, value, reason):
        with pytest.raises(InputError, match=reason):
            write_label_zarr(tmp_path / "a.zarr", np.full(shape, value), axes, {}, ABOUT)
        assert list(tmp_path.iterdir()) == []

    def test_memory_is_that_of_a_few_chunks(self, tmp_path, monkeypatch):
        monkeypatch.setattr(label_zarr, "CHUNK", 256)
        labels = grid(3000, 3000)
        write_label_zarr(tmp_path / "warm.zarr", labels[:300, :300], "YX", {}, ABOUT)
        tracemalloc.start()
        write_label_zarr(tmp_path / "a.zarr", labels, "YX", {}, ABOUT)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # A chunk has 0.25 MiB, and the one above it 1 MiB; the labels have 34 MiB.
        assert peak < 12 * 2**20


class TestMetadata:
    """The fields of https://ngff.openmicroscopy.org/0.5/, and yaozarrs' own reading of it."""

    @pytest.mark.parametrize("axes", ["YX", "ZYX", "TYX", "TZYX", "PYX"])
    @pytest.mark.parametrize("spacing", [{}, {"Z": 2.0, "Y": 0.5, "X": 0.25}])
    def test_is_valid(self, tmp_path, small_chunks, recwarn, axes, spacing):
        shape = tuple(40 if a in "YX" else 2 for a in axes)
        known = {a: size for a, size in spacing.items() if a in axes}
        for path in result_of(np.zeros(shape), axes, known).save(tmp_path, "a", "zarr")[:3]:
            group = yaozarrs.validate_zarr_store(path)
            assert isinstance(group.ome_metadata(), yaozarrs.v05.LabelImage)
            entry = ome_of(path)["multiscales"][0]
            assert [axis["name"] for axis in entry["axes"]] == list(axes.lower())
            for level in entry["datasets"]:
                array = zarr.open_array(path / level["path"], mode="r")
                assert list(array.metadata.dimension_names) == list(axes.lower())
        assert [w.message for w in recwarn if "validation" in type(w.message).__name__] == []

    def test_transforms_place_the_middle_of_each_pixel(self, tmp_path, small_chunks):
        data = np.zeros((2, 40, 33))
        path = result_of(data, "ZYX", {"Z": 2.0, "Y": 0.5, "X": 0.25}).save(tmp_path, "", "zarr")[0]
        (entry,) = ome_of(path)["multiscales"]
        assert entry["axes"] == [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
        found = [level["coordinateTransformations"] for level in entry["datasets"]]
        assert found == [
            [{"type": "scale", "scale": [2.0, 0.5, 0.25]}],
            [
                {"type": "scale", "scale": [2.0, 1.0, 0.5]},
                {"type": "translation", "translation": [0.0, 0.25, 0.125]},
            ],
            [
                {"type": "scale", "scale": [2.0, 2.0, 1.0]},
                {"type": "translation", "translation": [0.0, 0.75, 0.375]},
            ],
        ]
        assert [zarr.open_array(path / str(i)).shape for i in range(3)] == [
            *((2, 40, 33), (2, 20, 17), (2, 10, 9))
        ]

    def test_unknown_sizes_have_no_unit(self, tmp_path):
        path = result_of(np.zeros((3, 20, 20)), "TYX").save(tmp_path, "", "zarr")[0]
        (entry,) = ome_of(path)["multiscales"]
        assert entry["axes"] == [
            {"name": "t", "type": "time"},
            {"name": "y", "type": "space"},
            {"name": "x", "type": "space"},
        ]

    def test_colours_and_properties(self, tmp_path):
        result = result_of(np.zeros((20, 40)))
        paths = dict(zip(OUTPUTS, result.save(tmp_path, "", "zarr"), strict=False))
        for output, path in paths.items():
            about = ome_of(path)["image-label"]
            assert about["version"] == "0.5"
            values = np.unique(read_labels(path)).tolist()
            assert [entry["label-value"] for entry in about["colors"]] == values
            assert [entry["label-value"] for entry in about["properties"]] == values[1:]
            assert about["colors"][0]["rgba"] == [0, 0, 0, 0]
            rows = rows_of(result.table, output)
            listed = pd.DataFrame(about["properties"]).rename(columns={"label-value": "index"})
            pd.testing.assert_frame_equal(
                listed, rows.reset_index(drop=True), check_dtype=False, check_like=True
            )
        semantic = ome_of(paths["semantic"])["image-label"]
        assert [c["rgba"] for c in semantic["colors"][1:]] == [[255, 128, 0, 255], [0, 0, 255, 255]]
        assert [p["category"] for p in semantic["properties"]] == ["nucleus", "glass"]
        panoptic = ome_of(paths["panoptic"])["image-label"]
        assert panoptic["colors"][-1]["rgba"] == [0, 0, 255, 255]
        assert not panoptic["properties"][-1]["is_thing"]

    def test_nothing_found(self, tmp_path):
        result = Segmentation(
            (Instances.empty((9, 9)),), Image(np.zeros((9, 9)), "YX"), CATEGORIES, Settings(), {}
        )
        for path in result.save(tmp_path, "", "zarr")[:3]:
            yaozarrs.validate_zarr_store(path)
            assert "properties" not in ome_of(path)["image-label"]
            assert not read_labels(path).any()

    def test_of_very_many_segments_only_the_table_tells(self, tmp_path, monkeypatch):
        monkeypatch.setattr(ngff, "MOST_LISTED", 3)
        paths = result_of(np.zeros((20, 40))).save(tmp_path, "", "zarr")
        assert ome_of(paths[0])["image-label"] == ABOUT
        assert len(read_table(paths[-2])) == 5
        yaozarrs.validate_zarr_store(paths[0])


class TestFormat:
    @pytest.fixture
    def plate(self, tmp_path) -> Path:
        """An OME-Zarr 0.5 image in a folder of its own."""
        folder = tmp_path / "in" / "cells.zarr"
        group = zarr.open_group(folder, mode="w", zarr_format=3)
        group.create_array("full", data=np.zeros((20, 30), np.uint8))
        axes = [{"name": a, "type": "space"} for a in "yx"]
        scale = {"type": "scale", "scale": [1.0, 1.0]}
        level = {"path": "full", "coordinateTransformations": [scale]}
        group.attrs["ome"] = {
            "version": "0.5",
            "multiscales": [{"axes": axes, "datasets": [level]}],
        }
        return folder

    def test_zarr_gives_zarr_that_names_its_source(self, tmp_path, plate):
        result = result_of(read_image(plate).data)
        paths = result.save(tmp_path / "out", "a")
        assert [p.name for p in paths] == [
            *("a_instances.zarr", "a_semantic.zarr", "a_panoptic.zarr"),
            *(f"a_{TABLE}", f"a_{RECIPE}"),
        ]
        source = ome_of(paths[0])["image-label"]["source"]["image"]
        assert source == "../../in/cells.zarr"
        assert (paths[0] / source).resolve() == plate
        yaozarrs.validate_zarr_store(paths[0])
        assert result.save(tmp_path / "out", "b", "tiff")[0].name == "b_instances.tif"

    def test_a_source_of_an_earlier_version_is_not_named(self, tmp_path):
        group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
        group.create_array("0", data=np.zeros((20, 30), np.uint8))
        group.attrs["multiscales"] = [
            {"version": "0.4", "axes": ["y", "x"], "datasets": [{"path": "0"}]}
        ]
        path = result_of(read_image(tmp_path / "a.zarr").data).save(tmp_path / "out")[0]
        assert path.name == "instances.zarr"
        assert "source" not in ome_of(path)["image-label"]
        yaozarrs.validate_zarr_store(path)

    def test_what_is_kept_as_zarr(self, tmp_path, plate, monkeypatch):
        import tifffile

        from napari_instseg.io import tiff

        monkeypatch.setattr(tiff, "LAZY_BYTES", 0)
        tifffile.imwrite(tmp_path / "a.tif", np.ones((64, 64), np.uint8), compression="zlib")
        through = read_image(tmp_path / "a.tif").data
        assert isinstance(through, zarr.Array)
        plain = zarr.create_array(tmp_path / "plain.zarr", data=np.zeros((20, 20)))
        memory = zarr.create_array({}, data=np.zeros((20, 20)))
        whole = read_image(plate).data
        assert [is_zarr_data(d) for d in (through, plain, memory, whole, whole[...])] == [
            *(False, True, True, True, False)
        ]
        assert [image_folder(d) for d in (through, plain, memory, whole)] == [
            *(None, None, None, plate)
        ]
        assert result_of(memory).save(tmp_path / "out")[0].name == "instances.zarr"
        assert result_of(through).save(tmp_path / "out")[0].name == "instances.tif"

    def test_formats_that_do_not_do(self, tmp_path):
        with pytest.raises(InputError, match=r"format: expected one of .*, got 'png'"):
            result_of(np.zeros((20, 20))).save(tmp_path, "", "png")
        with pytest.raises(InputError, match="format 'tiff'"):
            result_of(np.zeros((2, 2, 20, 20)), "PQYX").save(tmp_path, "", "zarr")
        assert list(tmp_path.iterdir()) == []


class TestWholeOrNotThere:
    def test_an_error_leaves_what_was_there(self, tmp_path, monkeypatch):
        old = result_of(np.zeros((20, 20)), outputs=("instances",))
        save_segmentation(old, tmp_path, "a", "zarr")
        before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
        monkeypatch.setattr(ngff, "describe_levels", lambda *_: 1 / 0)
        for stem in ("a", "b"):
            with pytest.raises(ZeroDivisionError):
                save_segmentation(result_of(np.ones((40, 40))), tmp_path, stem, "zarr")
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before

    def test_a_result_is_replaced_as_a_whole(self, tmp_path, small_chunks):
        write_label_zarr(tmp_path / "a.zarr", np.full((70, 70), 9), "YX", {}, ABOUT)
        write_label_zarr(tmp_path / "a.zarr", np.zeros((20, 20), int), "YX", {}, ABOUT)
        assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]
        assert not read_labels(tmp_path / "a.zarr").any()
        assert not (tmp_path / "a.zarr" / "2").exists()

    @pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
    def test_a_killed_write_looks_like_nothing(self, tmp_path):
        """The process dies while it writes its second level; the first is on disk by then."""
        code = (
            "import os, signal, sys; from pathlib import Path; import numpy as np\n"
            "from napari_instseg.io import label_zarr\n"
            "def die(*_): os.kill(os.getpid(), signal.SIGKILL)\n"
            "label_zarr.CHUNK, label_zarr.halve = 16, die\n"
            "labels = np.ones((64, 64), int)\n"
            "label_zarr.write_label_zarr(Path(sys.argv[1]), labels, 'YX', {}, {})\n"
        )
        command = [sys.executable, "-c", code, str(tmp_path / "a_instances.zarr")]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        (rest,) = tmp_path.iterdir()
        assert len(list(rest.glob("0/c/*/*"))) == 16
        assert not is_image(rest)
        assert read_label_pyramid(rest) is None
        with pytest.raises(InputError, match="found none"):
            evaluate_folders(tmp_path, tmp_path)


class TestReadingBack:
    def test_evaluate(self, tmp_path):
        truth, found = tmp_path / "truth", tmp_path / "found"
        truth.mkdir()
        result = result_of(np.zeros((40, 60)))
        (instances, *_) = result.save(found, "a", "zarr")
        np.save(truth / "a.npy", result.instances)
        report = evaluate_folders(found, truth)
        assert report.pooled.matches[0.9].panoptic_quality == 1
        assert report.unused == ()
        assert evaluate_folders(instances, truth / "a.npy").pooled.truth_count == 12
        assert evaluate_folders(instances, instances).pooled.dice == 1

    def test_train(self, tmp_path):
        image = np.arange(40 * 60, dtype=np.uint16).reshape(40, 60)
        (tmp_path / "images").mkdir()
        zarr.create_array(tmp_path / "images" / "a.zarr", data=image)
        result = result_of(image)
        result.save(tmp_path / "labels", "a", "zarr")
        (pair,) = find_pairs(tmp_path)
        assert pair.labels.name == "a_instances.zarr"
        (example,) = load_examples([pair])
        np.testing.assert_array_equal(example.image, image)
        np.testing.assert_array_equal(example.labels, result.instances)

    @pytest.mark.parametrize("version", [2, 3])
    def test_label_images_of_other_programs(self, tmp_path, version):
        """OME-Zarr 0.4 on Zarr 2 and 0.5 on Zarr 3, with little more than what must be there."""
        group = zarr.open_group(tmp_path / "cells", mode="w", zarr_format=version)
        labels = grid(30, 20).astype(np.uint16)
        group.create_array("s0", data=labels)
        attributes = {
            "multiscales": [
                {
                    "axes": [{"name": a, "type": "space", "unit": "nanometer"} for a in "yx"],
                    "datasets": [
                        {
                            "path": "s0",
                            "coordinateTransformations": [{"type": "scale", "scale": [500, 250]}],
                        }
                    ],
                    "version": "0.4",
                }
            ],
            "image-label": {"colors": [{"label-value": 2, "rgba": [1, 2, 3, 4]}]},
        }
        if version == 2:
            group.attrs.update(attributes)
        else:
            group.attrs["ome"] = {"version": "0.5", **attributes}
        np.testing.assert_array_equal(read_labels(tmp_path / "cells"), labels)
        pyramid = read_label_pyramid(tmp_path / "cells")
        assert (pyramid.axes, pyramid.spacing) == ("YX", {"Y": 0.5, "X": 0.25})
        assert (pyramid.colors, pyramid.properties) == ({2: (1, 2, 3, 4)}, ())

    def test_what_is_no_label_image(self, tmp_path):
        zarr.create_array(tmp_path / "array.zarr", data=np.zeros((3, 4)))
        zarr.open_group(tmp_path / "group.zarr", mode="w")
        for name in ("array.zarr", "group.zarr", "nothing.zarr"):
            assert read_label_pyramid(tmp_path / name) is None

    def test_a_damaged_chunk_is_named(self, tmp_path):
        path = result_of(np.zeros((40, 60))).save(tmp_path, "a", "zarr")[0]
        chunk = path / "0" / "c" / "0" / "0"
        os.truncate(chunk, chunk.stat().st_size // 2)
        with pytest.raises(InputError, match=r"a_instances\.zarr: damaged"):
            read_labels(path)

    @pytest.mark.parametrize("content", ["", "index,area\n1,2\n", "\0"])
    def test_files_that_are_no_table(self, tmp_path, content):
        (tmp_path / "a.csv").write_text(content)
        with pytest.raises(InputError, match=r"a\.csv: "):
            read_table(tmp_path / "a.csv")
