from __future__ import annotations

import time
import weakref
from typing import Any

import numpy as np
import pytest
from gui.fakes import FakeModel, squares

from napari_instseg.gui.worker import Job, ModelHolder, SegmentWorker
from napari_instseg.ops.axes import Image
from napari_instseg.segmentation import Segmentation
from napari_instseg.segmenter import ModelError
from napari_instseg.settings import Settings

SETTINGS = Settings(tile_size=64, overlap=16, score_threshold=0.0)


class Log:
    """What a worker's signals say, in their order."""

    def __init__(self, worker: SegmentWorker, qtbot: Any) -> None:
        self.names: list[str] = []
        self.result: Segmentation | None = None
        self.error: Exception | None = None
        self.steps: list[tuple[int, int, str]] = []
        worker.started.connect(lambda: self.names.append("started"))
        worker.returned.connect(lambda result: self._ended("returned", result))
        worker.aborted.connect(lambda result: self._ended("aborted", result))
        worker.errored.connect(self._failed)
        worker.finished.connect(lambda: self.names.append("finished"))
        worker.progress.connect(lambda *step: self.steps.append(step))
        worker.start()
        self._qtbot = qtbot

    def wait(self) -> Log:
        self._qtbot.waitUntil(lambda: "finished" in self.names, timeout=60_000)
        return self

    def _ended(self, name: str, result: Segmentation | None) -> None:
        self.names.append(name)
        self.result = result

    def _failed(self, error: Exception) -> None:
        self.names.append("errored")
        self.error = error


def run(job: Job, model: FakeModel, qtbot: Any) -> Log:
    return Log(SegmentWorker(job, ModelHolder(model.load)), qtbot).wait()


def test_success(model: FakeModel, qtbot: Any) -> None:
    log = run(Job(Image(squares(), "YX"), SETTINGS), model, qtbot)
    assert log.names == ["started", "returned", "finished"]
    assert log.result is not None
    assert log.result.count == 20
    assert log.steps[0] == (0, 0, "loading model")
    assert log.steps[-1][:2] == (model.tiles, model.tiles)
    # Nothing is left to compute for the GUI's thread.
    assert {"rendering", "instances", "_combined"} <= set(log.result.__dict__)
    assert log.result.recipe["model"]["file"] == "fake.safetensors"


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("bad"), MemoryError()])
def test_no_error_is_lost(model: FakeModel, qtbot: Any, error: Exception) -> None:
    model.error = error
    log = run(Job(Image(squares(), "YX"), SETTINGS), model, qtbot)
    assert log.names == ["started", "errored", "finished"]
    assert log.error is error


def test_a_model_that_does_not_load_is_reported(model: FakeModel, qtbot: Any) -> None:
    model.load_error = ModelError("weights.safetensors is damaged: get it again")
    log = run(Job(Image(squares(), "YX"), SETTINGS), model, qtbot)
    assert log.names == ["started", "errored", "finished"]
    assert log.error is model.load_error


def test_cancel_keeps_what_is_done_and_stops_within_a_tile(model: FakeModel, qtbot: Any) -> None:
    model.gate.clear()
    worker = SegmentWorker(Job(Image(squares(16, 16), "YX"), SETTINGS), ModelHolder(model.load))
    log = Log(worker, qtbot)
    qtbot.waitUntil(model.entered.is_set, timeout=60_000)
    worker.quit()
    model.gate.set()
    log.wait()
    assert log.names == ["started", "aborted", "finished"]
    assert model.tiles == 1
    assert log.result is not None
    assert not log.result.complete
    assert 0 < log.result.count <= 16


def test_cancel_while_the_model_loads(model: FakeModel, qtbot: Any) -> None:
    worker = SegmentWorker(Job(Image(squares(), "YX"), SETTINGS), ModelHolder(model.load))
    worker.quit()
    log = Log(worker, qtbot).wait()
    assert log.names == ["started", "aborted", "finished"]
    assert log.result is None
    assert model.tiles == 0


def test_cancel_during_a_download(model: FakeModel, qtbot: Any) -> None:
    model.download_mb = 2000
    worker = SegmentWorker(Job(Image(squares(), "YX"), SETTINGS), ModelHolder(model.load))
    log = Log(worker, qtbot)
    qtbot.waitUntil(lambda: len(log.steps) > 3, timeout=60_000)
    worker.quit()
    begin = time.monotonic()
    log.wait()
    assert time.monotonic() - begin < 5
    assert log.names == ["started", "aborted", "finished"]
    assert log.result is None
    assert log.steps[:2] == [
        (0, 0, "loading model"),
        (0, 2000, "downloading fake.pkl: 0 of 2000 MB"),
    ]


def test_the_model_stays_warm(model: FakeModel) -> None:
    holder = ModelHolder(model.load)
    assert not holder.holds(SETTINGS)
    assert holder.get(SETTINGS) is holder.get(SETTINGS.replace(tile_size=512))
    assert holder.holds(SETTINGS)
    assert holder.name == "nuclei"
    others = (
        SETTINGS.replace(device="cpu"),
        SETTINGS.replace(precision="float32"),
        SETTINGS.replace(model="a.yaml", weights="one.pth"),
        SETTINGS.replace(model="a.yaml", weights="two.pth"),
    )
    for other in others:
        assert not holder.holds(other)
        holder.get(other)
    assert [name for name, _ in model.loads] == ["nuclei"] * 3 + ["a.yaml"] * 2


def test_a_released_model_is_gone_and_comes_again(model: FakeModel) -> None:
    holder = ModelHolder(lambda settings, report: FakeModel().load(settings, report))
    kept = weakref.ref(holder.get(SETTINGS).segmenter)
    assert kept() is not None
    holder.release()
    assert kept() is None
    assert (holder.name, holder.holds(SETTINGS)) == ("", False)
    holder.release()
    assert holder.get(SETTINGS).name == "nuclei"


def test_one_plane_and_region(model: FakeModel, qtbot: Any) -> None:
    stack = np.zeros((2, 3, 64, 80), np.uint8)
    stack[1, 2] = squares()
    image = Image(stack, "TZYX")
    job = Job(image, SETTINGS, plane=(1, 2), region=(slice(0, 32), slice(0, 80)))
    result = run(job, model, qtbot).result
    assert result is not None
    assert result.image.axes == "YX"
    assert result.instances.shape == (64, 80)
    assert result.count == 10
    assert result.instances[32:].max() == 0
    assert result.recipe["view"] == {"T": 1, "Z": 2, "Y": [0, 32], "X": [0, 80]}
