"""The command line, with a stand-in for the model where the real one adds nothing but time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from scipy import ndimage

import napari_instseg
from napari_instseg.batch.inputs import expand, is_own_result, name_results
from napari_instseg.cli import main
from napari_instseg.cli.train import DEFAULTS
from napari_instseg.instances import Instances
from napari_instseg.io.images import read_image, read_labels, write_labels
from napari_instseg.models import registry
from napari_instseg.models.entry import LoadedModel
from napari_instseg.segmenter import Category, InputError, Prediction, Rules
from napari_instseg.settings import Settings

DATA = Path(napari_instseg.__file__).parent / "data"
WEIGHTS = Path(registry.__file__).parent / "data" / "nuclei.safetensors"
needs_weights = pytest.mark.skipif(
    not WEIGHTS.is_file(), reason=f"the built-in weights are not there: {WEIGHTS}"
)


class Bright:
    """Finds what is brighter than half."""

    categories = (Category(1, "nucleus"),)
    diameter = 20.0
    device = "a stand-in"
    batch_size = 1
    rules = Rules()

    def __init__(self):
        self.calls = 0

    def segment(self, tiles):
        self.calls += 1
        return [
            Prediction(Instances.from_labels(ndimage.label(tile[..., 0] > 0.5)[0]))
            for tile in tiles
        ]


@pytest.fixture
def model(monkeypatch):
    segmenter = Bright()
    loaded = LoadedModel(segmenter, "nuclei", "nuclei.safetensors", "0" * 64)
    loads = []

    def load(name, device="auto", **options):
        loads.append((name, device))
        return loaded

    monkeypatch.setattr(registry, "load", load)
    segmenter.loads = loads
    return segmenter


def squares(count: int = 3) -> np.ndarray:
    image = np.zeros((40, 60), np.uint8)
    for i in range(count):
        image[5 + 10 * i : 11 + 10 * i, 10:16] = 200
    return image


@pytest.fixture
def folder(tmp_path):
    inputs = tmp_path / "in"
    inputs.mkdir()
    for i, name in enumerate(("a", "b", "c"), start=1):
        np.save(inputs / f"{name}.npy", squares(i))
    return inputs


def segment(*arguments: object) -> int:
    return main(["segment", *map(str, arguments)])


def python(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        **options,
    )


class TestStart:
    @pytest.mark.parametrize(
        "arguments",
        [["--help"], ["models"], ["models", "--json"], ["--version"]]
        + [[c, "--help"] for c in ("segment", "demo", "models", "train", "evaluate", "doctor")],
    )
    def test_neither_torch_nor_napari_is_imported(self, arguments):
        code = (
            "import sys\n"
            "from napari_instseg.cli import main\n"
            "try:\n"
            f"    status = main({arguments!r})\n"
            "except SystemExit as end:\n"
            "    status = end.code\n"
            "heavy = {'torch', 'torchvision', 'napari', 'qtpy', 'pandas', 'skimage'}\n"
            "heavy &= set(sys.modules)\n"
            "assert not heavy, heavy\n"
            "sys.exit(status)\n"
        )
        done = python("-W", "error", "-c", code)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout

    def test_version(self, capsys):
        with pytest.raises(SystemExit) as end:
            main(["--version"])
        assert end.value.code == 0
        assert capsys.readouterr().out == f"napari-instseg {napari_instseg.__version__}\n"

    def test_models(self, capsys):
        assert main(["models"]) == 0
        assert "nuclei" in capsys.readouterr().out
        assert main(["models", "--json"]) == 0
        first = json.loads(capsys.readouterr().out)[0]
        assert first["name"] == "nuclei"
        assert first["ready"] == (first["needs"] is None)

    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["fly"],
            ["segment"],
            ["segment", "a.tif"],
            ["segment", "a.tif", "-o", "out", "--outputs", "instances,boxes"],
            ["segment", "a.tif", "-o", "out", "--score-threshold", "2"],
            ["segment", "a.tif", "-o", "out", "--diameter", "-3"],
            ["segment", "a.tif", "-o", "out", "--diameter", "3 mm"],
            ["segment", "a.tif", "-o", "out", "--percentiles", "99,1"],
            ["segment", "a.tif", "-o", "out", "--percentiles", "1,101"],
            ["segment", "a.tif", "-o", "out", "--limits", "5"],
            ["segment", "a.tif", "-o", "out", "--channel", "-1"],
            ["segment", "a.tif", "-o", "out", "--channel", "red"],
            ["segment", "a.tif", "-o", "out", "--tile-size", "10"],
            ["segment", "a.tif", "-o", "out", "--overlap", "900"],
            ["segment", "a.tif", "-o", "out", "--pixel-size", "0"],
            ["segment", "a.tif", "-o", "out", "--z-step", "-1"],
            ["segment", "a.tif", "-o", "out", "--link", "--link-overlap", "0"],
            ["segment", "a.tif", "-o", "out", "--link", "--link-gap", "-1"],
            ["segment", "a.tif", "-o", "out", "--min-planes", "2"],
            ["segment", "a.tif", "-o", "out", "--track", "--track-distance", "0"],
            ["segment", "a.tif", "-o", "out", "--track", "--track-overlap", "2"],
            ["segment", "a.tif", "-o", "out", "--track", "--track-format", "xml"],
            ["segment", "a.tif", "-o", "out", "--track-format", "ctc"],
            ["segment", "a.tif", "-o", "out", "--track-distance", "4um"],
            ["segment", "a.tif", "-o", "out", "--min-frames", "2"],
            ["segment", "a.tif", "-o", "out", "--overwrite", "--skip-existing"],
            ["segment", "a.tif", "-o", "out", "--recipe", "no-such.json"],
            ["train", "data", "-o", "out", "--iterations", "0"],
            ["train", "data", "-o", "out", "--precision", "float8"],
        ],
    )
    def test_wrong_options_end_with_2_and_say_why(self, arguments, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 2
        assert "napari-instseg" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []

    def test_a_closed_pipe_is_no_error(self):
        code = "import sys; from napari_instseg.cli import main; sys.exit(main(['models']))"
        command = [sys.executable, "-u", "-c", code]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.close()
        message = process.stderr.read()
        process.stderr.close()
        assert process.wait(60) == 1
        assert message == b""


class TestSegment:
    def test_files_of_each_input(self, model, folder, tmp_path, capsys):
        out = tmp_path / "out"
        assert segment(folder / "a.npy", folder / "c.npy", "--output", out) == 0
        endings = ("instances.tif", "semantic.tif", "panoptic.tif", "segments.csv", "recipe.json")
        expected = {f"{stem}_{ending}" for stem in "ac" for ending in (*endings, "status.json")}
        assert {p.name for p in out.iterdir()} == {*expected, "all-segments.csv"}
        labels = read_labels(out / "c_instances.tif")
        assert np.array_equal(labels > 0, squares(3) > 0)
        assert labels.max() == 3
        assert len(pd.read_csv(out / "c_segments.csv")) == 3
        assert set(np.unique(read_labels(out / "c_semantic.tif"))) == {0, 1}
        said = capsys.readouterr()
        assert [line.split(" in ")[0] for line in said.out.splitlines()] == [
            f"{folder / 'a.npy'}: 1 objects",
            f"{folder / 'c.npy'}: 3 objects",
        ]
        assert "nuclei on a stand-in" in said.err
        assert model.loads == [("nuclei", "auto")]

    def test_quiet(self, model, folder, tmp_path, capsys):
        assert segment(folder, "-o", tmp_path / "out", "--quiet") == 0
        assert capsys.readouterr() == ("", "")

    def test_json(self, model, folder, tmp_path, capsys):
        (folder / "b.npy").write_bytes(b"nonsense")
        assert segment(folder, "-o", tmp_path / "out", "--json", "--outputs", "instances") == 1
        document = json.loads(capsys.readouterr().out)
        assert document["device"] == "a stand-in"
        assert [(i["name"], i["status"], i["count"]) for i in document["inputs"]] == [
            ("a", "done", 1),
            ("b", "failed", None),
            ("c", "done", 3),
        ]
        assert "b.npy" in document["inputs"][1]["error"]
        names = [Path(file).name for file in document["inputs"][0]["files"]]
        assert names == ["a_instances.tif", "a_segments.csv", "a_recipe.json"]

    def test_broken_inputs_do_not_stop_the_others(self, model, folder, tmp_path, capsys):
        (folder / "b.npy").write_bytes(b"nonsense")
        out = tmp_path / "out"
        assert segment(folder / "no.tif", folder / "b.npy", folder / "c.npy", "-o", out) == 1
        assert sorted(p.name for p in out.glob("*_instances.tif")) == ["c_instances.tif"]
        lines = capsys.readouterr().err.splitlines()
        start = lines.index("2 of 3 inputs failed:")
        assert lines[start + 1] == f"  {folder / 'no.tif'}: no such file"
        assert lines[start + 2].startswith(f"  {folder / 'b.npy'}: ")
        assert len(lines) == start + 3

    def test_bugs_do_not_stop_the_others(self, model, folder, tmp_path, capsys, monkeypatch):
        find = model.segment

        def fail_once(tiles):
            if model.calls == 0:
                model.calls += 1
                raise ZeroDivisionError("oh")
            return find(tiles)

        monkeypatch.setattr(model, "segment", fail_once)
        assert segment(folder, "-o", tmp_path / "out") == 1
        err = capsys.readouterr().err
        assert "a.npy: unexpected ZeroDivisionError: oh (see where: " in err
        assert "Traceback" not in err
        assert {p.name[0] for p in (tmp_path / "out").glob("*.tif")} == {"b", "c"}
        model.calls = 0
        assert main(["--traceback", "segment", str(folder / "a.npy"), "-o", str(tmp_path)]) == 1
        assert "Traceback" in capsys.readouterr().err

    def test_ctrl_c_keeps_what_is_finished(self, model, folder, tmp_path, capsys, monkeypatch):
        find = model.segment

        def stop_at_second(tiles):
            if model.calls == 1:
                raise KeyboardInterrupt
            return find(tiles)

        monkeypatch.setattr(model, "segment", stop_at_second)
        out = tmp_path / "out"
        assert segment(folder, "-o", out, "--json") == 130
        assert {p.name[:2] for p in out.iterdir()} == {"a_", "al"}
        said = capsys.readouterr()
        assert f"stopped: 1 of 3 inputs are finished; results are in {out}" in said.err
        document = json.loads(said.out)
        assert document["interrupted"]
        assert [i["status"] for i in document["inputs"]] == ["done", "waiting", "waiting"]

    def test_a_run_that_was_stopped_goes_on(self, model, tmp_path, capsys, monkeypatch):
        field, out, find = tmp_path / "field.npy", tmp_path / "out", model.segment
        np.save(field, np.zeros((300, 300), np.uint8))
        tiled = ("--tile-size", "128", "--overlap", "32", "-o", out)
        expected = tmp_path / "whole"
        assert segment(field, *tiled[:-1], expected, "--format", "zarr") == 0
        whole, model.calls = model.calls, 0

        def stop_at_third(tiles):
            if model.calls == 3:
                raise KeyboardInterrupt
            return find(tiles)

        monkeypatch.setattr(model, "segment", stop_at_third)
        assert segment(field, *tiled, "--format", "zarr") == 130
        assert "field.npy: what was found is kept; go on with --resume" in capsys.readouterr().err
        monkeypatch.setattr(model, "segment", find)
        assert segment(field, *tiled, "--format", "zarr") == 1
        assert "unfinished run; go on with it (--resume)" in capsys.readouterr().err
        assert segment(field, *tiled, "--format", "zarr", "--resume") == 0
        assert model.calls == whole
        names = {p.name for p in expected.iterdir()}
        assert {p.name for p in out.iterdir()} == names
        assert segment(field, *tiled, "--format", "zarr", "--resume") == 0
        assert model.calls == whole

    @pytest.mark.parametrize("jobs", [1, 2])
    def test_goes_on_where_it_stopped(self, model, folder, tmp_path, monkeypatch, jobs, capsys):
        find = model.segment

        def stop_at_second(tiles):
            if model.calls == 1:
                raise KeyboardInterrupt
            return find(tiles)

        out, arguments = tmp_path / "out", ["--jobs", jobs, "--skip-existing"]
        with monkeypatch.context() as patch:
            patch.setattr(model, "segment", stop_at_second)
            assert segment(folder, "-o", out, *arguments) == 130
        assert [p.name for p in out.glob("*_status.json")] == [
            f"{p.name[0]}_status.json" for p in out.glob("*_recipe.json")
        ]
        assert len(list(out.glob("*_recipe.json"))) == 1
        capsys.readouterr()
        assert segment(folder, "-o", out, *arguments, "--json") == 0
        statuses = [i["status"] for i in json.loads(capsys.readouterr().out)["inputs"]]
        assert sorted(statuses) == ["done", "done", "skipped"]
        assert model.calls == 3
        table = pd.read_csv(out / "all-segments.csv")
        assert table["name"].tolist() == list("abbccc")
        assert table["file"].unique().tolist() == [str(folder / f"{x}.npy") for x in "abc"]

    def test_a_pattern_for_all_sub_folders(self, model, tmp_path, monkeypatch):
        """As it comes where the shell does not know it."""
        monkeypatch.chdir(tmp_path)
        for i, folder in enumerate(("plates/1/day", "plates/2/day"), start=1):
            (tmp_path / folder).mkdir(parents=True)
            np.save(tmp_path / folder / "a.npy", squares(i))
        assert segment("plates/**/*.npy", "-o", "plates/out", "--jobs", 2, "--quiet") == 0
        table = pd.read_csv(tmp_path / "plates" / "out" / "all-segments.csv")
        assert list(table.columns[:3]) == ["file", "name", "index"]
        assert table["name"].tolist() == ["1_day_a", "2_day_a", "2_day_a"]
        assert table["file"].unique().tolist() == [
            str(Path("plates", folder, "day", "a.npy")) for folder in "12"
        ]
        assert model.loads == [("nuclei", "auto")]

    def test_results_that_are_there(self, model, folder, tmp_path, capsys):
        out = tmp_path / "out"
        assert segment(folder / "a.npy", "-o", out) == 0
        before = (out / "a_instances.tif").stat().st_mtime_ns
        assert segment(folder / "a.npy", folder / "b.npy", "-o", out) == 1
        assert "pass --overwrite or --skip-existing" in capsys.readouterr().err
        assert (out / "a_instances.tif").stat().st_mtime_ns == before
        assert (out / "b_instances.tif").is_file()
        calls = model.calls
        assert segment(folder / "a.npy", folder / "b.npy", "-o", out, "--skip-existing") == 0
        assert model.calls == calls
        assert "2 inputs were skipped" in capsys.readouterr().err
        (out / "b_recipe.json").unlink()
        assert segment(folder / "a.npy", folder / "b.npy", "-o", out, "--skip-existing") == 0
        assert model.calls == calls + 1
        assert segment(folder / "a.npy", "-o", out, "--overwrite") == 0
        assert (out / "a_instances.tif").stat().st_mtime_ns > before

    def test_files_that_skipped_results_lack_are_told(self, model, folder, tmp_path, capsys):
        out = tmp_path / "out"
        both = folder / "a.npy", folder / "b.npy"
        assert segment(both[0], "-o", out) == 0
        assert segment(both[1], "-o", out, "--seams") == 0
        assert segment(*both, "-o", out, "--resume", "--seams", "--keep-raw") == 0
        told = capsys.readouterr().err
        assert "1 of the inputs that were skipped have no seams.csv" in told
        assert "2 of the inputs that were skipped have no objects.npz" in told

    def test_results_of_other_settings_are_not_passed_over_in_silence(
        self, model, folder, tmp_path, capsys
    ):
        out = tmp_path / "out"
        options = ["--tile-size", "128", "--limits", "0,1"]
        assert segment(folder / "a.npy", folder / "b.npy", "-o", out, *options) == 0
        same = [*options, "--outputs", "instances", "--device", "cpu", "--resume"]
        assert segment(folder / "a.npy", folder / "b.npy", "-o", out, *same) == 0
        assert "other settings" not in capsys.readouterr().err
        assert segment(folder / "b.npy", "-o", out, "--overwrite", "--tile-size", "256") == 0
        assert segment(folder / "a.npy", folder / "b.npy", "-o", out, *options, "--resume") == 0
        told = capsys.readouterr().err
        assert "1 of the inputs that were skipped have results of other settings (limits" in told
        assert "tile_size): --overwrite does them again" in told

    def test_same_stems_get_names_of_their_own(self, model, folder, tmp_path, capsys):
        other = tmp_path / "other"
        other.mkdir()
        np.save(other / "a.npy", squares(2))
        out = tmp_path / "out"
        assert segment(folder / "a.npy", other / "a.npy", folder / "b.npy", "-o", out) == 0
        found = {p.name: read_labels(p).max() for p in out.glob("*_instances.tif")}
        assert found == {
            "in_a_instances.tif": 1,
            "other_a_instances.tif": 2,
            "b_instances.tif": 2,
        }
        assert "results are called in_a_..., as names would clash" in capsys.readouterr().err

    @pytest.mark.skipif(os.name == "nt", reason="links need rights there")
    def test_a_link_that_leads_nowhere_stops_no_other(self, model, folder, tmp_path, capsys):
        (folder / "0.npy").symlink_to("0.npy")
        (folder / "1.npy").symlink_to("nothing.npy")
        out = tmp_path / "out"
        assert segment(folder, "-o", out) == 1
        assert (out / "a_instances.tif").is_file()
        assert "2 of 5 inputs failed" in capsys.readouterr().err

    def test_own_results_are_not_inputs(self, model, folder, capsys):
        assert segment(folder, "-o", folder) == 0
        capsys.readouterr()
        assert segment(folder, "-o", folder, "--overwrite") == 0
        said = capsys.readouterr()
        assert len(said.out.splitlines()) == 3
        assert "left out 9 results of earlier runs" in said.err

    def test_formats_of_label_images(self, model, folder, tmp_path, capsys):
        """Zarr gives Zarr unless something else is wanted; all else gives TIFF."""
        zarr.create_array(folder / "z.zarr", data=squares(2), chunks=(16, 16))

        def written(*arguments):
            assert segment(*arguments, "-o", tmp_path / "out", "--outputs", "instances") == 0
            capsys.readouterr()
            return sorted(p.name for p in (tmp_path / "out").glob("*_instances.*"))

        both = [folder / "a.npy", folder / "z.zarr"]
        assert written(*both) == ["a_instances.tif", "z_instances.zarr"]
        labels = read_labels(tmp_path / "out" / "z_instances.zarr")
        assert np.array_equal(labels > 0, squares(2) > 0)
        calls = model.calls
        assert written(*both, "--skip-existing") == ["a_instances.tif", "z_instances.zarr"]
        assert model.calls == calls
        assert written(*both, "--format", "zarr", "--skip-existing") == [
            *("a_instances.tif", "a_instances.zarr", "z_instances.zarr")
        ]
        assert model.calls == calls + 1
        assert "z_instances.tif" in written(*both, "--format", "tiff", "--overwrite")
        # Results in Zarr, and the arrays in them, are not taken for inputs.
        assert expand([str(tmp_path / "out" / "**")]) == ([], 4)

    def test_axes_that_the_format_has_no_room_for(self, model, tmp_path, capsys):
        np.save(tmp_path / "x.npy", np.zeros((2, 2, 40, 60), np.uint8))
        arguments = [tmp_path / "x.npy", "-o", tmp_path / "out", "--axes", "PQYX"]
        assert segment(*arguments, "--format", "zarr") == 1
        assert "at most one other axis in OME-Zarr" in capsys.readouterr().err
        # Said before the work.
        assert model.calls == 0
        assert segment(*arguments) == 0

    def test_a_guess_is_noted_and_what_is_known_is_not(self, model, tmp_path, capsys):
        data = np.stack([squares(1), squares(2)])
        np.save(tmp_path / "x.npy", data)
        tifffile.imwrite(
            tmp_path / "y.ome.tif", data, photometric="minisblack", metadata={"axes": "TYX"}
        )
        out, note = tmp_path / "out", "axes ZYX: Z (z-stack, 2) was guessed from the number of dim"
        assert segment(tmp_path / "x.npy", tmp_path / "y.ome.tif", "-o", out) == 0
        said = capsys.readouterr().err
        assert f"x.npy: {note}" in said
        assert "y.ome.tif: axes" not in said
        recipes = [json.loads((out / f"{n}_recipe.json").read_text("utf-8")) for n in "xy"]
        assert [recipe["input"]["axes"] for recipe in recipes] == ["ZYX", "TYX"]
        assert [len(recipe["warnings"]) for recipe in recipes] == [1, 0]
        assert segment(tmp_path / "x.npy", "-o", out, "--axes", "pyx", "--overwrite") == 0
        assert "guessed" not in capsys.readouterr().err

    @pytest.mark.parametrize("axes", ["TZCYX", "CZTYX", "ZCTYX", "YCXZT"])
    def test_axes_in_any_order(self, model, tmp_path, axes):
        """What is known of the pixels is the same, so the labels are, too."""
        usual = np.zeros((2, 3, 2, 40, 60), np.uint8)
        usual[0, :, 1], usual[1, :, 1] = squares(2), squares(3)
        np.save(tmp_path / "x.npy", np.einsum(f"TZCYX->{axes}", usual))
        options = ["--axes", axes, "--channel", "1", "--link"]
        assert segment(tmp_path / "x.npy", "-o", tmp_path / "out", *options) == 0
        labels = read_image(tmp_path / "out" / "x_instances.tif")
        found = np.einsum(f"{labels.axes}->TZYX", np.asarray(labels.data))
        for t, count in enumerate((2, 3)):
            # Linked through Z, whatever comes first.
            assert len(np.unique(found[t])) == count + 1
            np.testing.assert_array_equal(found[t, 0], found[t, 2])
            np.testing.assert_array_equal(found[t, 0] > 0, squares(count) > 0)

    def test_every_option_arrives(self, model, tmp_path):
        data = np.zeros((3, 2, 40, 60), np.float32)
        data[:, 0] = squares(2)
        np.save(tmp_path / "x.npy", data)
        options = [
            "--axes",
            "ZCYX",
            "--pixel-size",
            "0.5",
            "--z-step",
            "2",
            "--link",
            "--link-overlap",
            "0.4",
            "--no-link-waists",
            "--link-gap",
            "2",
            "--min-planes",
            "2",
            "--link-fill",
            "--track",
            "--track-distance",
            "4um",
            "--track-overlap",
            "0.3",
            "--track-gap",
            "2",
            "--track-split",
            "--min-frames",
            "2",
            "--channel",
            "0",
            "--channel",
            "1",
            "--diameter",
            "10um",
            "--limits=-5,100",
            "--limits",
            "0,1",
            "--invert",
            "--tile-size",
            "128",
            "--batch-size",
            "2",
            "--score-threshold",
            "0.25",
            "--outputs",
            "semantic,instances",
            "--device",
            "cpu",
        ]
        assert segment(tmp_path / "x.npy", "-o", tmp_path / "out", *options) == 0
        recipe = json.loads((tmp_path / "out" / "x_recipe.json").read_text("utf-8"))
        assert Settings.from_json(recipe["settings"]) == Settings(
            outputs=("semantic", "instances"),
            score_threshold=0.25,
            channels=(0, 1),
            limits=((-5, 100), (0, 1)),
            invert=True,
            diameter=10.0,
            diameter_unit="um",
            link=True,
            link_overlap=0.4,
            link_waists=False,
            link_gap=2,
            min_planes=2,
            link_fill=True,
            track=True,
            track_distance=4.0,
            track_distance_unit="um",
            track_overlap=0.3,
            track_gap=2,
            track_split=True,
            min_frames=2,
            tile_size=128,
            overlap=64,
            batch_size=2,
            device="cpu",
        )
        assert recipe["input"]["axes"] == "ZCYX"
        assert recipe["resolved"]["diameter_px"] == 20
        assert model.loads == [("nuclei", "cpu")]
        labels = read_image(tmp_path / "out" / "x_instances.tif")
        assert labels.axes == "ZYX"
        assert labels.spacing == pytest.approx({"Z": 2.0, "Y": 0.5, "X": 0.5})

    def test_planes_of_a_stack_are_linked(self, model, tmp_path, capsys):
        # The second object is not in the middle plane, the third only in the first.
        np.save(tmp_path / "x.npy", np.stack([squares(3), squares(1), squares(2)]))
        out = tmp_path / "out"
        options = ["--axes", "ZYX", "--pixel-size", "0.5", "--z-step", "1"]
        assert segment(tmp_path / "x.npy", "-o", out, *options, "--link") == 0
        assert "3 objects" in capsys.readouterr().out
        table = pd.read_csv(out / "x_segments.csv")
        assert sorted(table["planes"]) == [1, 2, 3]
        np.testing.assert_allclose(table["volume_um3"], table["volume"] * 0.25)
        labels = read_labels(out / "x_instances.tif")
        recipe = out / "x_recipe.json"
        again, other = tmp_path / "again", tmp_path / "other"
        assert segment(tmp_path / "x.npy", "-o", again, "--recipe", recipe) == 0
        np.testing.assert_array_equal(read_labels(again / "x_instances.tif"), labels)
        assert pd.read_csv(again / "x_segments.csv").equals(table)
        assert segment(tmp_path / "x.npy", "-o", other, "--recipe", recipe, "--no-link") == 0
        assert read_labels(other / "x_instances.tif").max() == 6

    def test_frames_of_a_time_lapse_are_tracked(self, model, tmp_path, capsys):
        # The second object is missed in the middle, the third is only in the first frame.
        np.save(tmp_path / "x.npy", np.stack([squares(3), squares(1), squares(2)]))
        out, other = tmp_path / "out", tmp_path / "other"
        assert segment(tmp_path / "x.npy", "-o", out, "--axes", "TYX", "--track") == 0
        assert "3 objects" in capsys.readouterr().out
        assert sorted(pd.read_csv(out / "x_segments.csv")["frames"]) == [1, 2, 3]
        tracks = pd.read_csv(out / "x_tracks.csv")
        assert tracks["track"].value_counts().sort_index().tolist() == [3, 2, 1]
        assert tracks["t"].tolist() == [0, 1, 2, 0, 2, 0]
        labels = read_labels(out / "x_instances.tif")
        formats = ["--track-format", "ctc,geff,csv", "--json"]
        recipe = ["--recipe", out / "x_recipe.json"]
        assert segment(tmp_path / "x.npy", "-o", other, *recipe, *formats) == 0
        files = json.loads(capsys.readouterr().out)["inputs"][0]["files"]
        assert [Path(file).name for file in files][-5:] == [
            *("x_RES", "x_tracks.geff", "x_tracks.csv", "x_segments.csv", "x_recipe.json")
        ]
        assert pd.read_csv(other / "x_tracks.csv").equals(tracks)
        np.testing.assert_array_equal(read_labels(other / "x_RES" / "mask000.tif"), labels[0])
        # None of it is taken for an input.
        assert [path.name for path in expand([str(tmp_path / "**")])[0]] == ["x.npy"]

    def test_tracks_that_a_format_has_no_room_for(self, model, tmp_path, capsys):
        np.save(tmp_path / "x.npy", np.zeros((2, 2, 40, 60), np.uint8))
        arguments = [tmp_path / "x.npy", "-o", tmp_path / "out", "--axes", "PTYX", "--track"]
        assert segment(*arguments, "--track-format", "ctc") == 1
        assert "holds axes TYX or TZYX, got PTYX" in capsys.readouterr().err
        # Said before the work.
        assert model.calls == 0
        assert segment(*arguments) == 0

    @pytest.mark.parametrize("format", ["tiff", "zarr"])
    def test_places_where_tiles_met(self, model, tmp_path, format):
        data = np.zeros((100, 300), np.float32)
        data[20:60, 100:160] = 1
        np.save(tmp_path / "x.npy", data)
        options = ["--tile-size", "128", "--overlap", "32", "--limits", "0,1", "--format", format]
        out = tmp_path / "aus gabe ü 日本 %20 #1"
        assert segment(tmp_path / "x.npy", "-o", out, *options) == 0
        assert not (out / "x_seams.csv").exists()
        again = ["--seams", "--overwrite"]
        assert segment(tmp_path / "x.npy", "-o", out, *options, *again) == 0
        rows = pd.read_csv(out / "x_seams.csv")
        assert set(rows["kind"]) == {"joined"}
        assert (rows["iou"] > 0.5).all()
        status = json.loads((out / "x_status.json").read_text("utf-8"))
        assert str(out / "x_seams.csv") in str(status["files"])

    def test_percentiles_and_channels(self, model, tmp_path):
        np.save(tmp_path / "x.npy", np.stack([squares(1), squares(3)]))
        options = ["--axes", "CYX", "--channel", "1", "--percentiles", "1,99"]
        assert segment(tmp_path / "x.npy", "-o", tmp_path / "out", *options) == 0
        recipe = json.loads((tmp_path / "out" / "x_recipe.json").read_text("utf-8"))
        assert recipe["settings"]["percentiles"] == [1, 99]
        assert read_labels(tmp_path / "out" / "x_instances.tif").max() == 3

    def test_no_image_at_all(self, model, tmp_path, capsys):
        (tmp_path / "empty").mkdir()
        assert segment(tmp_path / "empty", "-o", tmp_path / "out") == 1
        assert "is a folder; expected an image" in capsys.readouterr().err

    def test_output_is_a_file(self, model, folder):
        with pytest.raises(SystemExit) as end:
            segment(folder, "-o", folder / "a.npy")
        assert end.value.code == 2

    def test_unknown_model(self, folder, tmp_path, capsys):
        assert segment(folder, "-o", tmp_path / "out", "--model", "cells") == 1
        assert "there is no model 'cells'" in capsys.readouterr().err

    def test_blank_images(self, model, tmp_path):
        np.save(tmp_path / "blank.npy", np.full((30, 30), 7, np.uint16))
        assert segment(tmp_path / "blank.npy", "-o", tmp_path / "out") == 0
        assert not read_labels(tmp_path / "out" / "blank_panoptic.tif").any()

    @pytest.mark.parametrize("axes", ["YX", "ZYX", "TYX"])
    def test_images_without_pixels(self, model, tmp_path, axes, capsys):
        np.save(tmp_path / "none.npy", np.zeros((0, 5, 5)[: len(axes)], np.uint16))
        options = ["-o", tmp_path / "out", "--axes", axes]
        assert segment(tmp_path / "none.npy", *options) == 1
        assert "without pixels, got shape" in capsys.readouterr().err
        assert model.calls == 0
        assert segment(tmp_path / "none.npy", *options, "--format", "zarr", "--seams") == 0
        assert read_labels(tmp_path / "out" / "none_instances.zarr").size == 0


class TestRecipe:
    def test_gives_the_same_again(self, model, tmp_path):
        np.save(tmp_path / "x.npy", np.stack([squares(1), squares(3)]))
        one, two = tmp_path / "one", tmp_path / "two"
        first = ["--axes", "CYX", "--channel", "1", "--limits", "0,300", "--pixel-size", "0.5"]
        assert segment(tmp_path / "x.npy", "-o", one, *first) == 0
        assert segment(tmp_path / "x.npy", "-o", two, "--recipe", one / "x_recipe.json") == 0
        results = [path for path in one.iterdir() if path.name != "x_status.json"]
        assert len(results) == 5
        for path in results:
            assert (two / path.name).read_bytes() == path.read_bytes()

    def test_options_win(self, model, folder, tmp_path, capsys):
        one, two = tmp_path / "one", tmp_path / "two"
        assert segment(folder / "a.npy", "-o", one, "--limits", "0,300", "--invert") == 0
        recipe = one / "a_recipe.json"
        options = ["--recipe", recipe, "--percentiles", "2,98", "--no-invert"]
        assert segment(folder / "a.npy", "-o", two, *options) == 0
        settings = json.loads((two / "a_recipe.json").read_text("utf-8"))["settings"]
        assert (settings["limits"], settings["percentiles"], settings["invert"]) == (
            None,
            [2, 98],
            False,
        )

    def test_other_weights_are_said(self, model, folder, tmp_path, capsys):
        assert segment(folder / "a.npy", "-o", tmp_path / "one") == 0
        path = tmp_path / "one" / "a_recipe.json"
        path.write_text(path.read_text("utf-8").replace("0" * 64, "1" * 64), "utf-8")
        assert segment(folder / "a.npy", "-o", tmp_path / "two", "--recipe", path) == 0
        assert "other weights (111111111111..., now 000000000000...)" in capsys.readouterr().err

    @pytest.mark.parametrize("content", ["{", '{"settings": {"speed": 3}, "schema": 1}', "[]"])
    def test_damaged(self, model, folder, tmp_path, content):
        (tmp_path / "recipe.json").write_text(content, "utf-8")
        with pytest.raises(SystemExit) as end:
            segment(folder, "-o", tmp_path / "out", "--recipe", tmp_path / "recipe.json")
        assert end.value.code == 2


class TestInputs:
    def test_patterns_folders_and_doubles(self, folder, monkeypatch):
        monkeypatch.chdir(folder)
        paths, left_out = expand(["b.npy", "*.npy", str(folder), "no*.tif"])
        assert [p.name for p in paths] == ["b.npy", "a.npy", "c.npy", "no*.tif"]
        assert left_out == 0

    def test_sub_folders(self, folder):
        paths, _ = expand([str(folder.parent / "**" / "*.npy")])
        assert [p.name for p in paths] == ["a.npy", "b.npy", "c.npy"]

    def test_names_with_brackets_are_files_first(self, tmp_path):
        np.save(tmp_path / "a[1].npy", squares())
        assert expand([str(tmp_path / "a[1].npy")]) == ([tmp_path / "a[1].npy"], 0)

    @pytest.mark.skipif(os.name == "nt", reason="links need rights there")
    def test_links_have_their_own_names(self, tmp_path):
        (tmp_path / "store").mkdir()
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            np.save(tmp_path / "store" / f"{name}.npy", squares())
            (tmp_path / name / "well.npy").symlink_to(tmp_path / "store" / f"{name}.npy")
        (tmp_path / "a" / "again.npy").symlink_to(tmp_path / "a" / "well.npy")
        (tmp_path / "b" / "round.npy").symlink_to("round.npy")
        paths, _ = expand([str(tmp_path / name) for name in ("a", "b")])
        # Of links to one file only the first.
        assert name_results(paths) == ["again", "round", "well"]
        both = [tmp_path / name / "well.npy" for name in ("a", "b")]
        assert name_results(both) == ["a_well", "b_well"]

    def test_own_results(self, tmp_path):
        path = write_labels(tmp_path / "my_instances.tif", squares().astype(int), "YX")
        assert not is_own_result(path)
        (tmp_path / "my_recipe.json").write_text("{}", "utf-8")
        assert is_own_result(path)
        assert not is_own_result(tmp_path / "my.tif")

    def test_names(self, tmp_path):
        def names(*paths):
            return name_results([tmp_path / path for path in paths])

        assert names("a.tif", "b.ome.tif") == ["a", "b"]
        assert names("a.tif", "a.png", "c.png") == ["a_tif", "a_png", "c"]
        assert names("1/A.tif", "2/a.tif", "c.png") == ["1_A", "2_a", "c"]
        assert names("1/a.tif", "2/a.tif", "2/a.png") == ["1_a_tif", "2_a_tif", "2_a_png"]
        assert names("a.tif", "a.ome.tif") == ["a_tif", "a_ome_tif"]
        assert names("x/1/a.tif", "y/1/a.tif", "y/1/b.tif") == ["x_1_a", "y_1_a", "b"]
        assert names("a.tif", "y/1/a.tif", "x/1/a.tif") == ["a", "y_1_a", "x_1_a"]
        with pytest.raises(InputError, match="would get the same names"):
            names("x_1/a.tif", "x/1/a.tif", "y/1/a.tif", "y_1/a.tif", "p/1/a.tif")


class TestEvaluate:
    @pytest.fixture
    def labels(self, tmp_path):
        for name in ("truth", "found"):
            (tmp_path / name).mkdir()
        for stem, count in (("a", 2), ("b", 3)):
            truth = ndimage.label(squares(3))[0]
            np.save(tmp_path / "truth" / f"{stem}.npy", truth)
            found = np.where(truth <= count, truth, 0)
            write_labels(tmp_path / "found" / f"{stem}_instances.tif", found, "YX")
        return str(tmp_path / "found"), str(tmp_path / "truth")

    def test_table(self, labels, capsys):
        assert main(["evaluate", *labels]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[1].split()[:6] == ["all", "2", "6", "5", "0.833", "0.833"]
        assert lines[2] == ""
        assert lines[3].startswith("95% intervals (1000 draws of images, seed 0): map 0.667-1.000")
        assert lines[4] == "Errors at IoU 0.5: 1 missed; count off by 1"
        assert main(["evaluate", *labels, "--per-image"]) == 0
        assert [line[:1] for line in capsys.readouterr().out.splitlines()[3:5]] == ["a", "b"]

    def test_json(self, labels, tmp_path, capsys):
        output = tmp_path / "new" / "report.json"
        assert main(["evaluate", *labels, "--json", "--output", str(output)]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["pooled"]["iou"]["0.5"]["tp"] == 5
        assert json.loads(output.read_text("utf-8")) == document

    def test_missing(self, labels, capsys):
        assert main(["evaluate", "nowhere", labels[1]]) == 1
        assert "napari-instseg evaluate: nowhere: expected a folder" in capsys.readouterr().err


class TestTrain:
    def test_defaults_are_those_of_the_trainer(self):
        from napari_instseg.training.loop import TrainSettings

        settings = TrainSettings()
        assert {name: getattr(settings, name) for name in DEFAULTS} == DEFAULTS

    @pytest.fixture
    def data(self, tmp_path):
        for name in ("images", "labels"):
            (tmp_path / "data" / name).mkdir(parents=True)
        rng = np.random.default_rng(0)
        for name in ("a", "b"):
            image = squares(3).repeat(2, 0).repeat(2, 1)
            noisy = image + rng.integers(0, 9, image.shape).astype(np.uint8)
            np.save(tmp_path / "data" / "images" / f"{name}.npy", noisy)
            np.save(tmp_path / "data" / "labels" / f"{name}.npy", ndimage.label(image)[0])
        return tmp_path / "data"

    def test_a_short_run_can_be_used(self, data, tmp_path, capsys):
        out = tmp_path / "model"
        options = [
            "--iterations",
            "2",
            "--batch-size",
            "1",
            "--crop-size",
            "64",
            "--device",
            "cpu",
            "--category",
            "spot",
        ]
        command = ["train", str(data), "--output", str(out)]
        assert main([*command, *options, "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["iterations"] == 2
        assert document["loss"] > 0
        weights = out / "model.safetensors"
        assert Path(document["weights"]) == weights
        assert main([*command, *options]) == 1
        assert "pass --resume" in capsys.readouterr().err
        assert main([*command, "--resume", "--iterations", "9"]) == 1
        assert "iterations: 2 then, 9 now" in capsys.readouterr().err
        assert main([*command, "--resume"]) == 0
        picture = data / "images" / "a.npy"
        assert segment(picture, "-o", tmp_path / "out", "--model", weights, "--quiet") == 0
        recipe = json.loads((tmp_path / "out" / "a_recipe.json").read_text("utf-8"))
        assert recipe["model"]["file"] == "model.safetensors"

    def test_ctrl_c_says_how_to_go_on(self, data, tmp_path, capsys, monkeypatch):
        from napari_instseg.training import trainer
        from napari_instseg.training.loop import Step

        def train(data, output, settings, *, resume, report):
            report(Step(7, 1.5, {}, 1e-3, 0.1))
            raise KeyboardInterrupt

        monkeypatch.setattr(trainer, "train", train)
        assert main(["train", str(data), "--output", str(tmp_path / "m"), "--device", "cpu"]) == 130
        err = capsys.readouterr().err
        assert "stopped after 7 of 5000 iterations; go on with: napari-instseg train" in err
        assert "--resume" in err

    def test_missing_data(self, tmp_path, capsys):
        assert main(["train", str(tmp_path / "no"), "--output", str(tmp_path / "m")]) == 1
        assert "expected the folder" in capsys.readouterr().err


@needs_weights
class TestRealModel:
    def test_in_a_process_of_its_own(self, tmp_path):
        (tmp_path / "broken.png").write_bytes((DATA / "histology.png").read_bytes()[:5000])
        inputs = [str(DATA / "fluorescence.png"), str(tmp_path / "broken.png")]
        out = tmp_path / "out"
        options = ["--output", str(out), "--device", "cpu", "--json"]
        done = python("-m", "napari_instseg.cli", "segment", *inputs, *options)
        assert done.returncode == 1, done.stderr
        assert "1 of 2 inputs failed:" in done.stderr
        first = json.loads(done.stdout)["inputs"][0]
        assert 100 <= first["count"] <= 150  # 126 in the truth of the data set
        labels = read_labels(out / "fluorescence_instances.tif")
        table = pd.read_csv(out / "fluorescence_segments.csv")
        assert labels.max() == len(table) == first["count"]
        areas = np.bincount(labels.ravel(), minlength=len(table) + 1)[1:]
        assert areas.tolist() == table["area"].tolist()
        assert set(table["category"]) == {"nucleus"}

    def test_a_recipe_gives_the_same_labels(self, tmp_path):
        path, one, two = DATA / "histology.png", tmp_path / "one", tmp_path / "two"
        assert segment(path, "-o", one, "--score-threshold", "0.7", "--quiet") == 0
        recipe = one / "histology_recipe.json"
        assert segment(path, "-o", two, "--recipe", recipe, "--quiet") == 0
        name = "histology_panoptic.tif"
        assert (one / name).read_bytes() == (two / name).read_bytes()
