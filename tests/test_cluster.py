"""Runs on a real cluster of processes: what they give is what one process gives."""

from __future__ import annotations

import gc
import json
import os
import pickle
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr
from distributed import Client
from helpers import ComponentSegmenter
from local_workers import local_workers
from safetensors.torch import save_file
from test_stored import Noisy, assert_same, picture

import napari_instseg as nis
from napari_instseg import remote
from napari_instseg.cli import main
from napari_instseg.cluster import LEAST_AHEAD, THREADS, ClusterError, DaskHands, connect
from napari_instseg.inputs import as_image
from napari_instseg.instances import Instances
from napari_instseg.io import tiff
from napari_instseg.io.images import read_image
from napari_instseg.io.records import read_recipe
from napari_instseg.io.run_folder import RunFolder
from napari_instseg.models.downloads import file_sha256
from napari_instseg.models.entry import LoadedModel
from napari_instseg.models.registry import built_in
from napari_instseg.models.weights import METADATA_KEY, read_weights
from napari_instseg.ops import sampling
from napari_instseg.ops.axes import Image
from napari_instseg.ops.intensity import map_intensity
from napari_instseg.ops.results import TileResult
from napari_instseg.ops.tiling import Tile
from napari_instseg.pipeline import Run, run_to_end
from napari_instseg.remote import portable
from napari_instseg.segmenter import RGB, InputError, Prediction
from napari_instseg.settings import Settings

# Dask warns on a busy machine.
pytestmark = pytest.mark.filterwarnings("ignore:Creating scratch directories:UserWarning")

#: Ends a process at once, on Windows, too.
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
TILED = {"tile_size": 64, "overlap": 24, "limits": ((0.0, 1.0),)}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with local_workers(2) as client:
        yield client


@pytest.fixture
def data() -> Any:
    return picture((260, 300))


def on_cluster(
    client: Client, folder: RunFolder, image: Image, segmenter: Any, **wanted: Any
) -> Run:
    sent = portable(image, None, folder.path)
    chosen = Settings(**{**TILED, **wanted})
    return Run(sent, segmenter, chosen, shelf=folder, hands=DaskHands(client))


class Deadly(Noisy):
    """Kills its own process when it first sees as many tiles."""

    def __init__(self, marker: Path, after: int) -> None:
        super().__init__(diameter=20.0)
        self.marker, self.after = marker, after

    def segment(self, tiles: Sequence[RGB]) -> list[Prediction]:
        with self.marker.open("a") as file:
            file.write(f"{len(tiles)}\n")
        if len(self.marker.read_text().split()) == self.after:
            os.kill(os.getpid(), KILL)
        return super().segment(tiles)


# ------------------------------------------------------------------------------- the same labels


@pytest.mark.parametrize(
    ("shape", "axes", "wanted"),
    [
        ((260, 300), "YX", {}),
        ((2, 3, 90, 70), "TZYX", {"diameter": 13.0, "batch_size": 3}),
        ((0, 40, 40), "ZYX", {}),
    ],
)
def test_workers_give_what_one_process_gives(
    shape: tuple[int, ...], axes: str, wanted: dict[str, Any], client: Client, tmp_path: Path
) -> None:
    image = Image(picture(shape), axes)
    alone = run_to_end(Run(image, Noisy(diameter=20.0), Settings(**{**TILED, **wanted})))
    with RunFolder(tmp_path / "run", {}) as folder:
        run = on_cluster(client, folder, image, Noisy(diameter=20.0), **wanted)
        stored = _ended(run).stored()
        assert_same(stored, alone)
        # Each chunk is written by the worker that paints it.
        stored.save(tmp_path / "workers", format="zarr")
        alone.save(tmp_path / "alone", format="zarr")
    assert _files(tmp_path / "workers") == _files(tmp_path / "alone")


def _ended(run: Run) -> Run:
    for _ in run:
        pass
    return run


def _files(folder: Path) -> dict[str, bytes]:
    """All files but those that tell when and where."""
    files = (p for p in folder.rglob("*") if p.is_file() and not p.name.endswith("_status.json"))
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def test_a_worker_that_dies_in_the_middle_changes_nothing(
    data: Any, client: Client, tmp_path: Path
) -> None:
    image = Image(data, "YX")
    alone = run_to_end(Run(image, Noisy(diameter=20.0), Settings(**TILED)))
    with RunFolder(tmp_path / "run", {}) as folder:
        before = set(client.run(os.getpid).values())
        deadly = Deadly(tmp_path / "calls", after=8)
        run = on_cluster(client, folder, image, deadly)
        steps = iter(run)
        for progress in steps:
            if progress.total and progress.done == progress.total:
                break
        first = set(client.run(os.getpid).values())
        assert first != before
        # Once more, with all tiles done, as they are about to be put together.
        os.kill(sorted(first)[0], KILL)
        assert [*steps] == []
        assert_same(run.stored(), alone)


def test_too_little_memory_is_dealt_with_as_in_one_process(client: Client, tmp_path: Path) -> None:
    data = picture((600, 420))
    for wanted in ({"batch_size": 8}, {"batch_size": 1, "tile_size": 512}):
        tight = ComponentSegmenter(memory=3 * 64 * 64 if wanted["batch_size"] > 1 else 300 * 300)
        image, chosen = Image(data, "YX"), Settings(**{**TILED, **wanted})
        alone = run_to_end(Run(image, tight, chosen))
        assert "ran out of memory" in alone.warnings[0]
        with RunFolder(tmp_path / str(len(wanted)), {}) as folder:
            run = on_cluster(client, folder, image, tight, **wanted)
            assert_same(_ended(run).stored(), alone)


def test_a_run_that_is_left_goes_on_where_it_was(data: Any, client: Client, tmp_path: Path) -> None:
    image, calls = Image(data, "YX"), tmp_path / "calls"
    with RunFolder(tmp_path / "run", {}) as folder:
        run = on_cluster(client, folder, image, Deadly(calls, after=0))
        for progress in run:
            if progress.done == 5:
                break
        partial = run.result()
        assert not partial.complete
        assert partial.count > 0
        # What was running when the rest was cancelled comes to its end.
        _quiet(client)
        there = len([*(folder.path / "tiles").rglob("*.npz")])
    done = len(calls.read_text().split())
    alone = run_to_end(Run(image, Noisy(diameter=20.0), Settings(**TILED)))
    with RunFolder(tmp_path / "run", {}, existing="resume") as folder:
        run = on_cluster(client, folder, image, Deadly(calls, after=0))
        assert_same(_ended(run).stored(), alone)
        tiles = len([*(folder.path / "tiles").rglob("*.npz")])
    assert 5 <= there < tiles
    assert len(calls.read_text().split()) == done + tiles - there


def _quiet(client: Client) -> None:
    """Wait until no worker has anything to do."""
    while any(client.processing().values()):
        client.run(bool)


# ------------------------------------------------------------------------------------ what travels


def _dask_over_zarr(data: Any, folder: Path) -> Any:
    return da.from_zarr(_zarr(data, folder))


def _zarr(data: Any, folder: Path) -> Any:
    return zarr.create_array(folder / "a.zarr", data=data, chunks=(64, 64))


@pytest.mark.parametrize("make", [_zarr, _dask_over_zarr, lambda data, folder: data])
def test_images_travel_without_their_pixels(
    make: Callable[[Any, Path], Any], data: Any, tmp_path: Path
) -> None:
    image = Image(make(data, tmp_path), "YX", {"X": 0.5}, "field")
    sent = portable(image, None, tmp_path)
    packed = pickle.dumps(sent)
    assert len(packed) < 20_000 < data.nbytes
    back = pickle.loads(packed)
    assert (back.axes, back.spacing, back.name) == ("YX", {"X": 0.5}, "field")
    np.testing.assert_array_equal(back.read((), slice(10, 90), slice(70, 300)), data[10:90, 70:300])
    assert (back.data.shape, back.data.dtype) == (data.shape, data.dtype)


def test_a_file_that_changes_is_not_taken_for_the_image(data: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, data)
    sent = portable(as_image(path), path, tmp_path)
    np.save(path, data[:100])
    remote._opened.cache_clear()
    with pytest.raises(InputError, match=r"a.npy: expected float32 pixels of shape \(260, 300\)"):
        sent.read((), slice(0, 9), slice(0, 9))
    path.unlink()
    remote._opened.cache_clear()
    with pytest.raises(InputError, match="no such file; expected all workers to see the same"):
        sent.read((), slice(0, 9), slice(0, 9))


@pytest.mark.parametrize("name", ["a.tif", None])
def test_workers_that_outlive_a_run_read_the_next_image_anew(
    name: str | None, client: Client, data: Any, tmp_path: Path
) -> None:
    for pixels in (data, 1 - data):
        path = None if name is None else tmp_path / name
        if path is not None:
            tifffile.imwrite(path, pixels)
        sent = portable(Image(pixels, "YX"), path, tmp_path)
        for found in DaskHands(client).map(_middle_of, [sent] * 4):
            np.testing.assert_array_equal(found, pixels[100:110, 100:110])


def _middle_of(image: Image) -> Any:
    return image.read((), slice(100, 110), slice(100, 110))


def test_intensities_are_sampled_as_in_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiff, "LAZY_BYTES", 0)
    monkeypatch.setattr(sampling, "FEW_PIXELS", 300 * 300)
    pixels = np.random.default_rng(0).integers(0, 99, (512, 512), np.uint16)
    pixels[64:96, 320:400] += 1000
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(pixels, tile=(64, 64), compression="zlib", subifds=1)
        writer.write(pixels[::2, ::2], tile=(64, 64), compression="zlib", subfiletype=1)
    image = read_image(path)
    levels = [da.from_array(level, chunks=64) for level in (pixels, pixels[::2, ::2])]
    in_dask = Image(levels[0], "YX", coarse=levels[1])
    for one, where in ((image, path), (in_dask, None)):
        assert one.coarse is not None
        back = pickle.loads(pickle.dumps(portable(one, where, tmp_path)))
        assert map_intensity(back, Settings()) == map_intensity(one, Settings())
        other = map_intensity(replace(one, coarse=None), Settings())
        assert other != map_intensity(one, Settings())
        assert back.notes == one.notes


def test_large_planar_tiff_travels_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiff, "LAZY_BYTES", 0)
    pixels = np.random.default_rng(0).integers(0, 255, (3, 128, 128), np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, pixels, photometric="rgb", planarconfig="separate", tile=(64, 64), compression="zlib"
    )
    back = pickle.loads(pickle.dumps(portable(read_image(path), path, tmp_path)))
    found = back.read((), slice(9, 99), slice(9, 99))
    np.testing.assert_array_equal(found, np.moveaxis(pixels, 0, -1)[9:99, 9:99])


def test_a_late_worker_does_not_write_into_another_run(tmp_path: Path) -> None:
    tile = Tile(0, 0, 8, 8)
    nothing = TileResult(Instances.empty((8, 8)), tile)
    folder = RunFolder(tmp_path / "run", {"image": "a"})
    late = pickle.loads(pickle.dumps(folder))
    late.keep_tile((), tile, nothing)
    assert folder.tile((), tile) is not None
    folder.remove()
    with pytest.raises(InputError, match="expected the folder of this run here"):
        late.keep_tile((), tile, nothing)
    with RunFolder(tmp_path / "run", {"image": "b"}) as other:
        with pytest.raises(InputError, match="expected the folder of this run here"):
            late.keep_tile((), tile, nothing)
        assert other.tile((), tile) is None


# -------------------------------------------------------------------------------- tasks and errors


def _listed(number: int) -> list[int]:
    return [number]


def _chained(several: Sequence[list[int]]) -> list[int]:
    return [number for numbers in several for number in numbers]


def test_few_tasks_are_under_way_and_results_keep_their_order(client: Client) -> None:
    hands, begun = DaskHands(client), []

    def items(count: int) -> Iterator[int]:
        for number in range(count):
            begun.append(number)
            yield number

    for done, result in enumerate(hands.map(_listed, items(100))):
        assert result == [done]
        assert len(begun) <= done + LEAST_AHEAD
        assert len(client.futures) <= LEAST_AHEAD + 2
    assert hands.combine(_listed, range(150), _chained) == [*range(150)]
    assert hands.combine(_listed, [], _chained) == []
    assert _dropped(client)


def _dropped(client: Client) -> bool:
    """Whether no task is left; the client tells the scheduler a moment later."""
    while client.cluster.scheduler.tasks:
        # What an error has come through may hold the last result.
        gc.collect()
        client.run(bool)
    return True


def _fail_at_three(number: int) -> int:
    if number == 3:
        raise InputError("three: expected another number")
    return number


def test_an_error_of_a_worker_comes_back_and_the_rest_is_cancelled(client: Client) -> None:
    found = []
    with pytest.raises(InputError, match=r"^three: expected another number$"):
        found += DaskHands(client).map(_fail_at_three, range(50))
    assert _dropped(client)


def _die(number: int) -> None:
    os.kill(os.getpid(), KILL)


def test_work_that_kills_every_worker_is_an_error_that_says_what_to_do(client: Client) -> None:
    scheduler = client.cluster.scheduler
    allowed, scheduler.allowed_failures = scheduler.allowed_failures, 0
    try:
        with pytest.raises(ClusterError, match=r"1 workers died.*give workers more memory"):
            list(DaskHands(client).map(_die, [1]))
    finally:
        scheduler.allowed_failures = allowed
    client.wait_for_workers(2)


def test_what_is_no_cluster(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a distributed.Client .*, got str"):
        nis.segment(np.zeros((9, 9)), client="tcp://somewhere:1")
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(InputError, match=r"tcp://127.0.0.1:9: expected the address of a running"),
        connect("tcp://127.0.0.1:9"),
    ):
        pass


def test_without_dask_distributed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_instseg.cluster.find_spec", lambda name: None)
    with (
        pytest.raises(
            InputError, match=r'needs a package: pip install "napari-instseg\[cluster\]"'
        ),
        connect("local"),
    ):
        pass


# ------------------------------------------------------------------------------- the built-in model


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("field")
    np.save(folder / "field.npy", (picture((200, 260)) * 200).astype(np.uint8))
    return folder / "field.npy"


SMALL = {"tile_size": 128, "overlap": 32, "device": "cpu"}


def test_the_console_and_the_command_line(
    field: Path, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out, alone = tmp_path / "out", tmp_path / "alone"
    nis.segment_to(alone, field, stem="field", format="zarr", **SMALL)
    result = nis.segment(field, client=client, **SMALL)
    labels = zarr.open_group(alone / "field_instances.zarr", mode="r")["0"]
    np.testing.assert_array_equal(result.instances, labels[:])
    assert result.count > 10
    assert json.loads(json.dumps(result.recipe)) == read_recipe(alone / "field_recipe.json")
    assert [*tmp_path.iterdir()] == [alone]
    address = client.scheduler_info()["address"]
    options = ["--tile-size", "128", "--overlap", "32", "--device", "cpu", "--format", "zarr"]
    where = ["--scheduler", address, "-o", str(out)]
    assert main(["segment", str(field), *options, *where]) == 0
    assert _files(out) == _files(alone)
    loads = client.run(lambda: remote._loaded.cache_info().misses)
    assert max(loads.values()) == 1


def test_weights_that_were_trained_anew_are_loaded_anew(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path("own.safetensors")
    # Workers are in another folder.
    monkeypatch.chdir(tmp_path)
    weights = read_weights(built_in().path)
    tensors, hands = weights.tensors, DaskHands(client)
    for name in sorted(tensors)[:2]:
        tensors[name].zero_()
        save_file(tensors, path, metadata={METADATA_KEY: json.dumps(weights.about)})
        loaded = hands.load(Settings(model=str(path), device="cpu"))
        assert (loaded.name, loaded.sha256) == ("own.safetensors", file_sha256(path))
        # On all workers.
        tiles = [[np.zeros((64, 64, 3), np.float32)]] * 4
        assert len(list(hands.map(loaded.segmenter.segment, tiles))) == 4


def test_a_model_of_this_process_is_refused(field: Path, client: Client) -> None:
    with pytest.raises(InputError, match="expected its name, since each worker loads its own"):
        nis.segment(field, LoadedModel(ComponentSegmenter(), "own", "", ""), client=client)


def test_workers_of_this_machine(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)
    with connect("local", 1) as hands:
        assert str(hands) == "1 worker"
        # It may use all cores.
        assert [*hands.map(os.environ.get, ["OMP_NUM_THREADS"])] == [str(os.cpu_count())]
    with pytest.raises(SystemExit, match="2"):
        main(["segment", "a.npy", "-o", "out", "--workers", "2"])
    assert "add --scheduler local" in capsys.readouterr().err
