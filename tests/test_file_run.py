"""Runs that are killed, run out of disk, or meet each other: nothing is lost, nothing is mixed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr
from helpers import ComponentSegmenter
from numpy.typing import NDArray
from small_disk import small_disk
from test_stored import Noisy, picture

import napari_instseg as nis
from napari_instseg.file_run import FileRun
from napari_instseg.io.run_folder import run_folder
from napari_instseg.models.entry import LoadedModel
from napari_instseg.ops.axes import Image
from napari_instseg.ops.preview import Preview
from napari_instseg.progress import Progress
from napari_instseg.segmentation import Result
from napari_instseg.segmenter import RGB, InputError, Prediction
from napari_instseg.settings import Settings

TILED = {"tile_size": 64, "overlap": 24}


class Counting(Noisy):
    """Counts tiles; does something before a certain one."""

    def __init__(self, before: int = -1, act: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.count, self._before, self._act = 0, before, act

    def segment(self, tiles: Sequence[RGB]) -> list[Prediction]:
        if self.count == self._before:
            self._act()
        self.count += len(tiles)
        return super().segment(tiles)


def interrupt() -> None:
    raise KeyboardInterrupt


def file_run(
    output: Path,
    data: NDArray[Any],
    segmenter: ComponentSegmenter | None = None,
    **options: Any,
) -> FileRun:
    settings = Settings(limits=((0.0, 1.0),), **{**TILED, **options.pop("settings", {})})
    model = LoadedModel(segmenter or Noisy(), "known", "known.safetensors", "0" * 64)
    axes = "ZYX"[-data.ndim :]
    return FileRun(Image(data, axes), model, settings, output, "a", **options)


def finish(run: FileRun) -> dict[str, bytes]:
    """Do the run; return all that it has written."""
    with run:
        for _ in run:
            pass
        _, files = run.save()
    return contents(files[0].parent)


def contents(folder: Path) -> dict[str, bytes]:
    """All files but those that tell when and where."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    files = (path for path in found if not path.name.endswith("_status.json"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("format", ["zarr", "tiff"])
def test_after_an_interruption_the_results_are_those_of_an_undisturbed_run(
    format: str, tmp_path: Path
) -> None:
    data = picture((2, 150, 130))
    whole = Counting()
    expected = finish(file_run(tmp_path / "whole", data, whole, format=format))
    assert whole.count == 32
    assert not any("run" in Path(name).suffix for name in expected)
    stopped = Counting(17, interrupt)
    output = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        finish(file_run(output, data, stopped, format=format))
    assert run_folder(output, "a").is_dir()
    rest = Counting()
    resumed = finish(file_run(output, data, rest, format=format, existing="resume"))
    assert stopped.count + rest.count == whole.count
    assert resumed == expected


def test_a_damaged_tile_is_done_again(tmp_path: Path) -> None:
    data = picture((150, 130))
    expected = finish(file_run(tmp_path / "whole", data, format="zarr"))
    with pytest.raises(KeyboardInterrupt):
        finish(file_run(tmp_path / "cut", data, Counting(9, interrupt), format="zarr"))
    tiles = sorted(run_folder(tmp_path / "cut", "a").rglob("*.npz"))
    assert len(tiles) == 9
    tiles[3].write_bytes(tiles[3].read_bytes()[:100])
    rest = Counting()
    assert finish(file_run(tmp_path / "cut", data, rest, existing="resume", format="zarr")) == (
        expected
    )
    assert rest.count == 16 - 9 + 1


def test_an_unfinished_run_is_neither_lost_nor_mixed_with_another(tmp_path: Path) -> None:
    data = picture((150, 130))
    with pytest.raises(KeyboardInterrupt):
        finish(file_run(tmp_path, data, Counting(5, interrupt)))
    with pytest.raises(InputError, match=r"unfinished run; go on with it \(--resume\)"):
        file_run(tmp_path, data)
    with pytest.raises(
        InputError, match=r"unfinished run with another settings \(overlap\); resume"
    ):
        file_run(tmp_path, data, existing="resume", settings={"overlap": 32})
    other = data.copy()
    other[75, 65] = 0.9
    with pytest.raises(InputError, match="unfinished run with another image"):
        file_run(tmp_path, other, existing="resume")
    new = Counting()
    finish(file_run(tmp_path, other, new, existing="replace"))
    assert new.count == 16
    assert not run_folder(tmp_path, "a").exists()


def test_a_run_that_found_nothing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        finish(file_run(tmp_path, picture((150, 130)), Counting(0, interrupt)))
    assert contents(tmp_path) == {}


def test_two_runs_on_one_output_refuse_each_other(tmp_path: Path) -> None:
    data = picture((90, 70))
    with file_run(tmp_path, data) as first:
        with pytest.raises(InputError, match="another run is writing here"):
            file_run(tmp_path, data, existing="replace")
        for _ in first:
            pass
        first.save()
    assert (tmp_path / "a_instances.tif").is_file()


def test_half_written_files_of_killed_runs_go_but_not_those_of_others(tmp_path: Path) -> None:
    left = [".a_instances.01ab.partial.tif", ".a_recipe.01ab.partial.json"]
    others = [".a_b_instances.01ab.partial.tif", ".a_b_status.01ab.partial.json"]
    for name in (*left, *others):
        (tmp_path / name).write_text("half")
    # Of an exchange of folders that was cut off; where there is no new one, the old one stays.
    done = ["a_instances.zarr", ".a_panoptic.12.old.zarr"]
    folders = [".a_instances.12.partial.zarr", ".a_instances.12.old.zarr", ".a_RES.12.partial"]
    for name in (*folders, *done, ".a_b_instances.12.partial.zarr"):
        (tmp_path / name).mkdir()
    with file_run(tmp_path, picture((90, 70))):
        there = {path.name for path in tmp_path.iterdir()}
    assert there == {*others, *done, ".a_b_instances.12.partial.zarr", ".a.run"}


def test_a_chunk_that_cannot_be_read_is_an_error_and_what_is_done_stays(tmp_path: Path) -> None:
    data = picture((150, 130))
    store = zarr.create_array(tmp_path / "in.zarr", data=data, chunks=(75, 65))
    expected = finish(file_run(tmp_path / "whole", data, format="zarr"))
    chunk = tmp_path / "in.zarr" / "c" / "1" / "1"
    good = chunk.read_bytes()
    first, output = Counting(), tmp_path / "out"
    run = file_run(output, store, first, format="zarr")
    with run:
        steps = iter(run)
        for _ in range(3):
            next(steps)
        chunk.write_bytes(good[:20])
        with pytest.raises(InputError, match=r"image: a part of the image cannot be read \("):
            list(steps)
    assert 0 < first.count < 16
    chunk.write_bytes(good)
    rest = Counting()
    resumed = finish(file_run(output, store, rest, format="zarr", existing="resume"))
    assert first.count + rest.count == 16
    assert resumed.keys() == expected.keys()
    chunks = [name for name in expected if "/c/" in name]
    assert chunks
    assert all(resumed[name] == expected[name] for name in chunks)


def test_writing_can_be_stopped_and_goes_on(tmp_path: Path) -> None:
    data = picture((2, 150, 130))
    expected = finish(file_run(tmp_path / "whole", data, format="zarr"))
    heard: list[Progress] = []

    def stop(progress: Progress) -> None:
        heard.append(progress)
        if progress.done:
            interrupt()

    output = tmp_path / "stopped"
    with file_run(output, data, format="zarr") as run:
        for _ in run:
            pass
        with pytest.raises(KeyboardInterrupt):
            run.save(stop)
    assert [(progress.done, progress.total) for progress in heard] == [(0, 2), (1, 2)]
    assert [path.name for path in output.iterdir()] == [".a.run"]
    rest = Counting()
    assert finish(file_run(output, data, rest, format="zarr", existing="resume")) == expected
    assert rest.count == 0


@pytest.mark.parametrize("diameter", [None, 10.0])
def test_what_is_found_is_told_in_the_pixels_of_the_image(
    diameter: float | None, tmp_path: Path
) -> None:
    data = picture((2, 150, 130))
    settings = {"score_threshold": 0.0, "diameter": diameter, "tile_size": 512, "overlap": 0}

    def told(existing: str, stop_at: int = -1) -> tuple[Preview, Result | None]:
        preview, model = Preview(data.shape, 0.0), ComponentSegmenter(diameter=20.0)
        with file_run(
            *(tmp_path, data, model),
            existing=existing,
            settings=settings,
            watch=preview.add,
        ) as run:
            for number, _ in enumerate(run):
                if number == stop_at:
                    return preview, None
            return preview, run.save()[0]

    first, _ = told("refuse", 1)
    assert first.labels[0].any()
    assert not first.labels[1].any()
    # What was there before is told again.
    second, result = told("resume")
    assert result is not None
    np.testing.assert_array_equal(first.labels[0], second.labels[0])
    np.testing.assert_array_equal(second.labels > 0, np.asarray(result.instances) > 0)


# ----------------------------------------------------------------------- processes that end


def command(data: Path, output: Path, *more: str) -> list[str]:
    return [
        *(
            sys.executable,
            "-m",
            "napari_instseg.cli",
            "segment",
            str(data),
            "--output",
            str(output),
        ),
        *("--tile-size", "256", "--overlap", "64", "--quiet", *more),
    ]


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample picture four times, as a file."""
    from PIL import Image as Pillow

    import napari_instseg

    folder = tmp_path_factory.mktemp("field")
    sample = Path(napari_instseg.__file__).parent / "data" / "fluorescence.png"
    gray = np.asarray(Pillow.open(sample).convert("L"))
    np.save(folder / "field.npy", np.tile(gray, (2, 1)))
    return folder / "field.npy"


@pytest.fixture(scope="module")
def undisturbed(field: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("undisturbed")
    subprocess.run(command(field, output, "--format", "zarr"), check=True, timeout=300)
    return contents(output)


def tiles_of(output: Path) -> set[tuple[str, int]]:
    found = run_folder(output, "field").glob("tiles/**/*.npz")
    return {(path.name, path.stat().st_mtime_ns) for path in found}


@pytest.mark.slow
def test_killed_it_goes_on_and_ends_with_the_same_bytes(
    field: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    run = subprocess.Popen(command(field, tmp_path, "--format", "zarr"))
    deadline = time.monotonic() + 300
    while len(tiles_of(tmp_path)) < 3 and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    before = tiles_of(tmp_path)
    assert len(before) >= 3
    again = command(field, tmp_path, "--format", "zarr")
    refused = subprocess.run(again, check=False, capture_output=True, text=True, timeout=300)
    assert refused.returncode == 1
    assert "unfinished run; go on with it (--resume)" in refused.stderr
    assert tiles_of(tmp_path) == before
    subprocess.run([*again, "--resume"], check=True, timeout=300)
    assert contents(tmp_path) == undisturbed


@contextmanager
def small_files() -> Iterator[None]:
    """No file may grow beyond 3 kB; writing more is an error, as on a full disk."""
    resource = pytest.importorskip("resource", reason="no limits on files here")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_what_cannot_be_written_costs_nothing_that_was(tmp_path: Path) -> None:
    data, counting, rest = picture((5, 150, 130)), Counting(), Counting()
    with small_files(), pytest.raises(OSError, match="File too large"):
        finish(file_run(tmp_path / "out", data, counting))
    resumed = finish(file_run(tmp_path / "out", data, rest, existing="resume"))
    assert counting.count + rest.count - 5 * 16 in (0, 1)
    assert resumed == finish(file_run(tmp_path / "whole", data))


def test_a_full_disk(tmp_path: Path) -> None:
    data, counting = picture((4, 150, 130)), Counting()
    with small_disk(tmp_path / "disk", "64k") as disk:
        with pytest.raises(OSError, match="No space left on device"):
            finish(file_run(disk / "out", data, counting, format="zarr"))
        assert 0 < counting.count < 64
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        rest = Counting()
        resumed = finish(file_run(disk / "out", data, rest, format="zarr", existing="resume"))
        assert counting.count + rest.count - 64 in (0, 1)
    assert resumed == finish(file_run(tmp_path / "whole", data, format="zarr"))


class Share:
    """A folder that shows another one, as a network share does, until it vanishes."""

    def __init__(self, real: Path, path: Path) -> None:
        self.path, self._real = path, real
        path.mkdir()
        real.mkdir(exist_ok=True)
        self.come()

    def come(self) -> None:
        mount = ["mount", "--bind", str(self._real), str(self.path)]
        mounted = subprocess.run(mount, check=False, capture_output=True)
        if mounted.returncode:
            pytest.skip(f"cannot mount a folder: {mounted.stderr.decode().strip()}")

    def vanish(self) -> None:
        # As it is in use, it goes from sight only.
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)


@pytest.mark.parametrize("what", ["input", "output"])
def test_a_share_that_vanishes_and_comes_back(what: str, tmp_path: Path) -> None:
    data = picture((150, 130))
    expected = finish(file_run(tmp_path / "whole", data, format="zarr"))
    share = Share(tmp_path / "server", tmp_path / "share")
    inside, local = share.path / "a", tmp_path / "local"
    source, output = (inside, local) if what == "input" else (local, inside)
    store = zarr.create_array(source, data=data, chunks=(75, 65))
    first, rest = Counting(3, share.vanish), Counting()
    with pytest.raises(InputError, match="gone while" if what == "input" else "folder of this run"):
        finish(file_run(output, store, first, format="zarr"))
    # Nothing has been written where the share was.
    assert not any(share.path.iterdir())
    share.come()
    try:
        resumed = finish(file_run(output, store, rest, format="zarr", existing="resume"))
    finally:
        share.vanish()
    assert 0 < rest.count < 16
    for name in expected:
        # Of a Zarr the labels say where it is.
        assert name.endswith(("zarr.json", "recipe.json")) or resumed[name] == expected[name]


def test_the_recipe_of_a_resumed_run_is_complete(tmp_path: Path) -> None:
    data = picture((150, 130))
    with pytest.raises(KeyboardInterrupt):
        finish(file_run(tmp_path, data, Counting(5, interrupt)))
    finish(file_run(tmp_path, data, existing="resume"))
    recipe = json.loads((tmp_path / "a_recipe.json").read_text())
    assert recipe["complete"] is True
    assert recipe["model"]["name"] == "known"


# ------------------------------------------------------------------------------------- memory


class Discs:
    """A picture of bright discs, one in each square of 64 px, that is made where it is read."""

    dtype, ndim = np.dtype(np.float32), 2

    def __init__(self, size: int) -> None:
        self.shape = (size, size)

    def __getitem__(self, key: tuple[slice, slice]) -> NDArray[np.float32]:
        rows, cols = (
            np.arange(*span.indices(length)) for span, length in zip(key, self.shape, strict=True)
        )
        y, x = np.meshgrid(rows, cols, indexing="ij")
        inside = (y % 64 - 30) ** 2 + (x % 64 - 34) ** 2 <= 22**2
        own = 0.6 + 0.05 * ((y // 64 * 3 + x // 64) % 8)
        return np.where(inside, own, 0).astype(np.float32)


def peak_of(size: int, output: Path) -> tuple[int, int]:
    """Peak of what is allocated during a run, bytes, and its number of objects."""
    settings = Settings(limits=((0.0, 1.0),), tile_size=320, overlap=64)
    model = LoadedModel(ComponentSegmenter(), "known", "known.safetensors", "0" * 64)
    tracemalloc.start()
    try:
        with FileRun(Image(Discs(size), "YX"), model, settings, output, format="zarr") as run:
            for _ in run:
                pass
            result, _ = run.save()
        return tracemalloc.get_traced_memory()[1], result.count
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_picture(tmp_path: Path) -> None:
    # Imports count once only.
    peak_of(64, tmp_path / "first")
    small, few = peak_of(1024, tmp_path / "small")
    large, many = peak_of(4096, tmp_path / "large")
    assert (few, many) == (16**2, 64**2)
    assert large <= 1.5 * small
    # What the label images of the large one would take: int32, three outputs.
    assert large < 3 * 4 * 4096**2 / 4


@pytest.mark.parametrize("format", ["zarr", "tiff"])
def test_seams_are_listed_in_a_file(format: str, tmp_path: Path) -> None:
    """The same from memory, from files, and after an interruption; with a zoom that is not 1."""
    data, own = picture((2, 150, 130)), {"diameter": 13.0}
    options = {"format": format, "settings": own, "seams": True}
    with file_run(tmp_path / "whole", data, Noisy(diameter=20.0), **options) as run:
        for _ in run:
            pass
        result, files = run.save()
        assert files[-3].name == "a_seams.csv"
        result.save(tmp_path / "again", "a", format, seams=True)
    listed = pd.read_csv(files[-3])
    assert {"joined", "ambiguous"} <= set(listed["kind"])
    assert listed.columns[0] == "z"
    assert set(listed["z"]) == {0, 1}
    pd.testing.assert_frame_equal(listed, result.seams)
    output = tmp_path / "stopped"
    with file_run(output, data, Noisy(diameter=20.0), **options) as run:
        for number, _ in enumerate(run):
            if number == 20:
                break
    rest = finish(file_run(output, data, Noisy(diameter=20.0), existing="resume", **options))
    assert rest == contents(tmp_path / "whole") == contents(tmp_path / "again")


def test_seams_of_what_was_read_from_files(tmp_path: Path) -> None:
    with file_run(tmp_path, picture((90, 80)), format="tiff", raw=True) as run:
        for _ in run:
            pass
        run.save()
    with pytest.raises(InputError, match="expected the result of a run"):
        nis.read_result(tmp_path / "a").save(tmp_path / "b", seams=True)
    assert not (tmp_path / "b").exists()
