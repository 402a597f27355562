"""Training: the loss falls, a stopped run goes on exactly, weights give what was trained."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from trainings import rows, stop_after

from napari_instseg.models.thin_mask_rcnn import Architecture
from napari_instseg.models.torchvision import TorchvisionSegmenter, read_segmenter
from napari_instseg.models.weights import read_weights
from napari_instseg.segmenter import Category
from napari_instseg.training.loop import TrainSettings, learning_rate
from napari_instseg.training.trainer import LOSSES, _Trainer, train

# Not narrower: oneDNN 3.12's backward pass of a strided 1x1 convolution with 8 channels in
# channels_last writes outside its memory.
TINY = Architecture(
    stem_width=16,
    widths=(16, 16, 16, 16),
    depths=(1, 1, 1, 1),
    fpn_width=16,
    box_width=16,
    mask_layers=(8,),
)
SETTINGS = TrainSettings(
    iterations=6, batch_size=2, crop_size=96, warmup=2, precision="float32", category="disc"
)


def run(data: Path, output: Path, settings: TrainSettings = SETTINGS, **options: Any) -> Path:
    return train(data, output, settings, architecture=TINY, **options)


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("undisturbed")
    run(data, output)
    return output


def same_but_for_seconds(a: list[list[str]], b: list[list[str]]) -> bool:
    return [row[:-1] for row in a] == [row[:-1] for row in b]


def test_a_run_leaves_weights_a_checkpoint_and_a_log(undisturbed: Path) -> None:
    assert {p.name for p in undisturbed.iterdir()} == {
        "checkpoint.pt",
        "log.csv",
        "model.safetensors",
    }
    header, *steps = rows(undisturbed)
    assert header == ["iteration", "loss", *LOSSES, "learning_rate", "seconds"]
    assert [row[0] for row in steps] == [str(n) for n in range(1, 7)]
    for row in steps:
        assert float(row[1]) == pytest.approx(sum(float(v) for v in row[2:7]), rel=1e-3)
    about = read_weights(undisturbed / "model.safetensors").about
    assert about["categories"] == ["disc"]
    assert about["training"]["images"] == 2
    assert about["training"]["iterations"] == 6


@pytest.mark.parametrize("stop", [1, 4])
def test_a_stopped_run_goes_on_as_if_nothing_had_happened(
    data: Path, tmp_path: Path, undisturbed: Path, stop: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path, report=stop_after(stop))
    assert not (tmp_path / "model.safetensors").exists()
    path = run(data, tmp_path, resume=True)
    ours, theirs = (read_weights(p).tensors for p in (path, undisturbed / "model.safetensors"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    for part in ("network", "averaged"):
        a, b = (
            torch.load(folder / "checkpoint.pt", weights_only=True)[part]
            for folder in (tmp_path, undisturbed)
        )
        assert all(torch.equal(a[name], b[name]) for name in a)
    assert same_but_for_seconds(rows(tmp_path), rows(undisturbed))


def test_steps_after_the_last_checkpoint_are_done_again_and_logged_once(
    data: Path, tmp_path: Path, undisturbed: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path, report=stop_after(3))
    with (tmp_path / "log.csv").open("a", newline="") as file:
        file.write("4,9,9,9,9,9,9,0.001,1\r\n5,9,9,9,9,9,9,0.001,1\r\n6,9")
    run(data, tmp_path, resume=True)
    assert same_but_for_seconds(rows(tmp_path), rows(undisturbed))


def test_a_lost_log_does_not_keep_a_run_from_going_on(data: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path, report=stop_after(5))
    (tmp_path / "log.csv").unlink()
    run(data, tmp_path, resume=True)
    assert [row[0] for row in rows(tmp_path)] == ["iteration", "6"]


def test_a_finished_run_may_be_resumed_to_no_effect(data: Path, undisturbed: Path) -> None:
    before = (undisturbed / "model.safetensors").read_bytes()
    log = rows(undisturbed)
    run(data, undisturbed, resume=True)
    assert (undisturbed / "model.safetensors").read_bytes() == before
    assert rows(undisturbed) == log


def test_other_settings_are_named(data: Path, undisturbed: Path) -> None:
    changed = replace(SETTINGS, learning_rate=0.5, seed=9)
    message = r"other settings \(learning_rate: 0.001 then, 0.5 now; seed: 0 then, 9 now\)"
    with pytest.raises(ValueError, match=message):
        run(data, undisturbed, changed, resume=True)


def test_a_checkpoint_is_not_overwritten_and_must_be_there_to_resume(
    data: Path, tmp_path: Path, undisturbed: Path
) -> None:
    with pytest.raises(FileExistsError, match=r"checkpoint\.pt exists: pass --resume, or choose"):
        run(data, undisturbed)
    with pytest.raises(FileNotFoundError, match=r"expected .*checkpoint\.pt to resume from"):
        run(data, tmp_path / "new", resume=True)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_a_broken_checkpoint_is_named(
    data: Path, tmp_path: Path, undisturbed: Path, content: bytes | None
) -> None:
    whole = (undisturbed / "checkpoint.pt").read_bytes()
    (tmp_path / "checkpoint.pt").write_bytes(
        whole[: len(whole) // 2] if content is None else content
    )
    with pytest.raises(ValueError, match=r"checkpoint\.pt cannot be read as a checkpoint.*delete"):
        run(data, tmp_path, resume=True)


def test_a_loss_that_is_not_finite_stops_the_run(data: Path, tmp_path: Path) -> None:
    wild = replace(SETTINGS, learning_rate=1e30, warmup=0, iterations=20)
    with pytest.raises(FloatingPointError, match=r"iteration \d+: lower --learning-rate"):
        run(data, tmp_path, wild)


@pytest.mark.slow
def test_the_loss_falls_and_the_weights_give_what_was_trained(data: Path, tmp_path: Path) -> None:
    from napari_instseg.training import trainer

    kept: list[_Trainer] = []

    class Kept(trainer._Trainer):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            kept.append(self)

    settings = replace(SETTINGS, iterations=40, warmup=5, learning_rate=3e-3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "_Trainer", Kept)
        path = run(data, tmp_path, settings)
    losses = [float(row[1]) for row in rows(tmp_path)[1:]]
    assert np.mean(losses[-8:]) < 0.75 * np.mean(losses[:8])
    loaded, _ = read_segmenter(path, "cpu")
    assert loaded.categories == (Category(1, "disc"),)
    # The file holds float16: compare with the same network, rounded.
    rounded = kept[0].averaged
    rounded.load_state_dict(
        {
            k: v.half().float() if v.is_floating_point() else v
            for k, v in rounded.state_dict().items()
        }
    )
    direct = TorchvisionSegmenter(rounded, loaded.categories, None, torch.device("cpu"))
    image = np.zeros((96, 96, 3), np.float32)
    image[20:40, 20:40] = image[60:80, 50:70] = 0.8
    for segmenter in (loaded, direct):
        segmenter._network.roi_heads.score_thresh = 0.0
    (a,), (b,) = loaded.segment([image]), direct.segment([image])
    assert len(a.instances) == len(b.instances) > 0
    np.testing.assert_array_equal(a.instances.scores, b.instances.scores)
    np.testing.assert_array_equal(a.instances.boxes, b.instances.boxes)


def test_the_rate_rises_then_falls_as_a_cosine() -> None:
    settings = TrainSettings(iterations=110, warmup=10, learning_rate=1.0)
    rates = [learning_rate(settings, i) for i in range(110)]
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10)
    assert rates[10] == pytest.approx(1)
    assert rates[60] == pytest.approx(0.505)
    assert rates[109] == pytest.approx(0.01, abs=1e-3)
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))


def test_precision_is_one_of_three(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected precision auto, float32 or bfloat16, got 'f8'"):
        run(data, tmp_path, replace(SETTINGS, precision="f8"))
