"""Many inputs: lanes, status files, what goes on where it stopped, and the table of all."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
import pandas as pd
import pytest
import zarr
from helpers import ComponentSegmenter, brightness, draw

from napari_instseg.batch.jobs import REPLACE, SKIP, Job, plan
from napari_instseg.batch.run import BatchRun
from napari_instseg.batch.status import read_status, status_path
from napari_instseg.batch.table import write_all
from napari_instseg.batch.tasks import SegmentTask
from napari_instseg.io.images import read_image
from napari_instseg.io.run_folder import run_folder
from napari_instseg.models.entry import LoadedModel
from napari_instseg.ops.axes import Image
from napari_instseg.segmenter import InputError
from napari_instseg.settings import Settings

OUTPUTS = ("instances",)
#: Fixed limits: what an image is made of is what the model sees.
SETTINGS = Settings(outputs=OUTPUTS, limits=((0.0, 1.0),))
#: Long, s: other work may share the machine. Only a test that fails takes it.
WAIT = 60
LABELS = draw("""
    A..B
    A..B
    ....
    CC..
""")


class Files:
    """Opens images, and tells of it before."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        #: Those that somebody still has.
        self.alive: WeakSet[Image] = WeakSet()
        self.on_open: Callable[[Path], object] = lambda path: None

    def open(self, path: Path) -> Image:
        self.on_open(path)
        self.opened.append(path.stem)
        self.alive.add(image := read_image(path))
        return image


def task_of(files: Files | None = None) -> SegmentTask:
    loaded = LoadedModel(ComponentSegmenter(), "nuclei", "file", "0" * 64)
    return SegmentTask((files or Files()).open, loaded, SETTINGS)


def save(folder: Path, count: int) -> list[Path]:
    """Write ``count`` images; the i-th has i % 3 + 1 of the drawing's objects."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i in range(count):
        pixels = brightness(LABELS)
        pixels[i % 3 + 1 < LABELS] = 0
        np.save(path := folder / f"{i:02}.npy", pixels)
        paths.append(path)
    return paths


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return save(tmp_path / "in", 7)


def finish(task: SegmentTask, jobs: list[Job], out: Path, at_once: int = 1, **more: Any) -> None:
    for _ in BatchRun(task, jobs, out, at_once=at_once, **more):
        pass


def statuses(jobs: list[Job]) -> list[str]:
    return [job.status for job in jobs]


class TestLanes:
    @pytest.mark.parametrize("at_once", [2, 3, 20])
    def test_results_are_those_of_one_by_one(self, paths, tmp_path, at_once):
        one, many = tmp_path / "one", tmp_path / "many"
        for folder, number in ((one, 1), (many, at_once)):
            jobs = plan(paths, folder, OUTPUTS)
            finish(task_of(), jobs, folder, number)
            assert statuses(jobs) == ["done"] * 7
            assert [job.count for job in jobs] == [1, 2, 3, 1, 2, 3, 1]
            write_all(jobs, folder)
        names = sorted(p.name for p in one.iterdir())
        assert len(names) == 7 * 4 + 1
        assert names == sorted(p.name for p in many.iterdir())
        for name in names:
            if not name.endswith("status.json"):
                assert (one / name).read_bytes() == (many / name).read_bytes()

    def test_the_next_is_read_while_the_model_works(self, paths, out):
        files, reading = Files(), threading.Event()
        task = task_of(files)
        find = task.loaded.segmenter.segment
        files.on_open = lambda p: p.stem != "01" or reading.set()

        def segment(tiles):
            # One by one, this would wait for ever: the second is read after the first is done.
            assert reading.wait(WAIT)
            return find(tiles)

        task.loaded.segmenter.segment = segment
        jobs = plan(paths[:3], out, OUTPUTS)
        finish(task, jobs, out, 2)
        assert statuses(jobs) == ["done"] * 3

    def test_the_last_is_written_while_the_model_works(self, paths, out):
        task, written = task_of(), threading.Event()
        find, calls = task.loaded.segmenter.segment, []

        def segment(tiles):
            calls.append(len(tiles))
            assert len(calls) != 2 or written.wait(WAIT)
            return find(tiles)

        task.loaded.segmenter.segment = segment
        jobs = plan(paths[:3], out, OUTPUTS)
        finish(task, jobs, out, 2, on_result=lambda job, result: written.set())
        assert statuses(jobs) == ["done"] * 3

    @pytest.mark.parametrize("at_once", [1, 2, 3])
    def test_no_more_are_in_memory_and_the_model_has_one_user(self, paths, out, at_once):
        files, lock = Files(), threading.Lock()
        task = task_of(files)
        find, most, users = task.loaded.segmenter.segment, [], set()

        def segment(tiles):
            assert lock.acquire(blocking=False)
            users.add(threading.get_ident())
            found = find(tiles)
            lock.release()
            return found

        files.on_open = lambda path: most.append(len(files.alive))
        task.loaded.segmenter.segment = segment
        jobs = plan(paths, out, OUTPUTS)
        finish(task, jobs, out, at_once)
        assert statuses(jobs) == ["done"] * 7
        # As one is opened, those under way are in memory.
        assert max(most) <= at_once - 1
        assert not files.alive
        assert users == {threading.get_ident()}

    @pytest.mark.parametrize("at_once", [1, 2])
    def test_none_stops_the_others(self, paths, out, at_once):
        paths[0].write_bytes(b"nonsense")
        task = task_of()
        find = task.loaded.segmenter.segment

        def segment(tiles):
            found = find(tiles)
            if len(found[0].instances) == 3:
                raise ZeroDivisionError("oh")
            return found

        task.loaded.segmenter.segment = segment
        missing = paths[0].with_name("no.tif")
        jobs = plan([*paths, missing], out, OUTPUTS)
        finish(task, jobs, out, at_once)
        assert statuses(jobs) == [
            *("failed", "done", "failed", "done"),
            *("done", "failed", "done", "failed"),
        ]
        assert [job.unexpected for job in jobs[:3]] == [False, False, True]
        assert jobs[2].error == f"{paths[2]}: unexpected ZeroDivisionError: oh"
        assert 'raise ZeroDivisionError("oh")' in jobs[2].trace
        assert jobs[-1].failure == f"{missing}: no such file"

    @pytest.mark.parametrize("at_once", [1, 2, 3])
    def test_leaving_keeps_what_is_finished(self, paths, out, at_once):
        files, jobs = Files(), plan(paths, out, OUTPUTS)
        task = task_of(files)
        with closing(iter(BatchRun(task, jobs, out, at_once=at_once))) as steps:
            for step in steps:
                if step.progress is None:
                    break
        done = {job.name for job in jobs if job.status == "done"}
        assert 1 <= len(done) <= at_once
        assert set(statuses(jobs)) == {"done", "waiting"}
        assert {p.name.split("_")[0] for p in out.iterdir()} == done
        assert not [thread for thread in threading.enumerate() if "_lane" in thread.name]
        # And on from there.
        jobs = plan(paths, out, OUTPUTS, existing=SKIP)
        assert statuses(jobs).count("skipped") == len(done)
        before = len(files.opened)
        finish(task, jobs, out, at_once)
        assert len(files.opened) - before == 7 - len(done)
        assert set(statuses(jobs)) == {"done", "skipped"}

    @pytest.mark.parametrize("at_once", [1, 2])
    def test_ctrl_c_amid_an_input(self, paths, out, at_once):
        task, calls = task_of(), []
        find = task.loaded.segmenter.segment

        def segment(tiles):
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return find(tiles)

        task.loaded.segmenter.segment = segment
        jobs = plan(paths, out, OUTPUTS)
        with pytest.raises(KeyboardInterrupt):
            finish(task, jobs, out, at_once)
        assert sorted(statuses(jobs)) == ["done"] * 2 + ["waiting"] * 5
        assert not list(out.glob(".*"))
        assert len(list(out.glob("*_status.json"))) == 2

    def test_no_lanes(self):
        with pytest.raises(InputError, match="expected 1 input or more, got 0"):
            BatchRun(task_of(), [], Path(), at_once=0)


class TestStatus:
    def test_what_is_written_when(self, paths, out):
        files, jobs, seen = Files(), plan(paths[:1], out, OUTPUTS), []
        files.on_open = lambda path: seen.append(read_status(out, "00").status)
        finish(task_of(files), jobs, out)
        assert seen == ["running"]
        values = json.loads(status_path(out, "00").read_text("utf-8"))
        assert values["status"] == "done"
        assert values["count"] == 1
        assert values["error"] is None
        assert values["seconds"] > 0
        assert values["input"] == str(paths[0].resolve())
        assert "napari-instseg" in values["versions"]
        assert [Path(file).name for file in values["files"]] == [
            *("00_instances.tif", "00_segments.csv", "00_recipe.json")
        ]
        paths[0].write_bytes(b"nonsense")
        finish(task_of(), plan(paths[:1], out, OUTPUTS, existing=REPLACE), out)
        status = read_status(out, "00")
        assert (status.status, status.count) == ("failed", 0)
        assert "damaged" in status.error or "expected an array" in status.error

    def test_a_second_run_leaves_the_first_ones_status(self, tmp_path, out):
        image = zarr.create_array(tmp_path / "a.zarr", shape=(40, 40), dtype="u1", fill_value=3)
        paths = [Path(str(image.store.root))]
        task = task_of()
        first = task.begin(read_image(paths[0]), paths[0], out, "a", "zarr")
        (job,) = plan(paths, out, OUTPUTS)
        finish(task, [job], out)
        assert job.status == "failed"
        assert "another run is writing here" in job.error
        assert read_status(out, "a").status == "running"
        first.close()
        (job,) = plan(paths, out, OUTPUTS, existing=REPLACE)
        finish(task, [job], out)
        assert read_status(out, "a").status == "done"

    @pytest.mark.parametrize("status", ["running", "failed", "stopped"])
    def test_what_is_not_done_is_done_anew(self, paths, out, status):
        """Results of a run that died while it replaced them look whole."""
        finish(task_of(), plan(paths[:2], out, OUTPUTS), out)
        path = status_path(out, "00")
        path.write_text(path.read_text("utf-8").replace('"done"', f'"{status}"'), "utf-8")
        jobs = plan(paths[:2], out, OUTPUTS, existing=SKIP)
        assert statuses(jobs) == ["waiting", "skipped"]
        assert (jobs[1].count, len(jobs[1].files)) == (2, 3)
        assert statuses(plan(paths[:2], out, OUTPUTS)) == ["failed", "failed"]
        assert statuses(plan(paths[:2], out, OUTPUTS, existing=REPLACE)) == ["waiting", "waiting"]

    def test_results_of_earlier_versions_have_none(self, paths, out):
        finish(task_of(), plan(paths[:1], out, OUTPUTS), out)
        status_path(out, "00").unlink()
        assert statuses(plan(paths[:1], out, OUTPUTS, existing=SKIP)) == ["skipped"]
        status_path(out, "00").write_text("[]", "utf-8")
        assert statuses(plan(paths[:1], out, OUTPUTS, existing=SKIP)) == ["skipped"]

    def test_results_of_another_input_are_not_taken_for_its_own(self, paths, tmp_path, out):
        finish(task_of(), plan(paths[:1], out, OUTPUTS), out)
        other = save(tmp_path / "other", 1)
        for existing in (SKIP, "refuse"):
            (job,) = plan(other, out, OUTPUTS, existing=existing)
            assert job.status == "failed"
            assert f"00_instances.tif is of another input, {paths[0].resolve()}" in job.error
        # Moved meanwhile: that is the same one.
        paths[0].rename(tmp_path / "gone.npy")
        assert statuses(plan(other, out, OUTPUTS, existing=SKIP)) == ["skipped"]

    @pytest.mark.parametrize("existing", ["refuse", SKIP, REPLACE])
    def test_no_input_is_replaced(self, tmp_path, existing):
        for name in ("00.npy", "00_instances.tif"):
            (tmp_path / name).touch()
        paths = [tmp_path / "00.npy", tmp_path / "00_instances.tif"]
        jobs = plan(paths, tmp_path, OUTPUTS, existing=existing)
        assert statuses(jobs) == ["failed", "waiting"]
        assert "00_instances.tif is an input" in jobs[0].error

    @pytest.mark.parametrize("name", ["00_instances.tif", "00_segments.csv"])
    def test_what_no_run_has_left_is_not_done_anew(self, paths, out, name):
        out.mkdir()
        (out / name).touch()
        (job,) = plan(paths[:1], out, OUTPUTS, existing=SKIP)
        assert job.status == "failed"
        assert f"{name} exists, and is not of an unfinished run: pass --overwrite" in job.error
        run_folder(out, "00").mkdir()
        assert statuses(plan(paths[:1], out, OUTPUTS, existing=SKIP)) == ["waiting"]
        run_folder(out, "00").rmdir()
        (out / "00_recipe.json").touch()
        assert statuses(plan(paths[:1], out, OUTPUTS, existing=SKIP)) == ["waiting"]

    def test_a_disk_that_cannot_be_written_to_is_told(self, paths, tmp_path):
        (tmp_path / "file").touch()
        jobs = [Job(paths[0], "00")]
        finish(task_of(), jobs, tmp_path / "file" / "out")
        assert jobs[0].status == "failed"
        assert "file" in jobs[0].error
        with pytest.raises(InputError, match="is a file; expected a folder"):
            plan(paths, tmp_path / "file", OUTPUTS)


class TestTable:
    def test_inputs_with_different_columns(self, tmp_path, out):
        flat = save(tmp_path / "in", 2)[1]
        np.save(stack := tmp_path / "in" / "stack.npy", np.stack([brightness(LABELS)] * 2))
        flat.with_name("bad.npy").write_bytes(b"nonsense")
        jobs = plan([flat, stack, flat.with_name("bad.npy")], out, OUTPUTS)
        finish(task_of(), jobs, out, 2)
        assert write_all(jobs, out) == out / "all-segments.csv"
        table = pd.read_csv(out / "all-segments.csv")
        own = [pd.read_csv(out / f"{name}_segments.csv") for name in ("01", "stack")]
        together = pd.concat(own, ignore_index=True)
        assert set(table.columns[:2]) == {"file", "name"}
        pd.testing.assert_frame_equal(table[together.columns], together)
        assert table["name"].tolist() == ["01"] * 2 + ["stack"] * 6
        assert table["file"].tolist() == [str(flat)] * 2 + [str(stack)] * 6
        assert table["z"].isna().tolist() == [True] * 2 + [False] * 6

    def test_nothing_found_is_no_table(self, out):
        assert write_all([Job(Path("a.npy"), "a", status="failed")], out) is None

    def test_a_table_that_cannot_be_read_is_named(self, paths, out):
        jobs = plan(paths[:2], out, OUTPUTS)
        finish(task_of(), jobs, out)
        (out / "01_segments.csv").unlink()
        with pytest.raises(InputError, match=r"01_segments\.csv"):
            write_all(jobs, out)
        assert not (out / "all-segments.csv").exists()
