"""Promptable training: prompts lie where they should, the loss falls, a stopped run goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trainings
from numpy.typing import NDArray
from trainings import stop_after

from napari_instseg.models.sam.compact_encoder import Architecture, build
from napari_instseg.models.sam.prompt_encoder import FIRST_CORNER, LAST_CORNER, OFF, ON
from napari_instseg.models.thin_mask_rcnn import Architecture as MaskArchitecture
from napari_instseg.models.thin_mask_rcnn import build as build_mask_rcnn
from napari_instseg.models.torchvision import save_weights
from napari_instseg.models.weights import read_weights
from napari_instseg.training.promptable import (
    DIAMETER,
    PromptTrainer,
    PromptTrainSettings,
    begin_with_places,
    train_promptable,
)
from napari_instseg.training.promptable_losses import prompt_losses
from napari_instseg.training.promptable_prompts import (
    LOOSE,
    SHORT,
    correction,
    deepest,
    first_box,
    first_click,
    first_prompts,
    rough_mask,
)

TINY = Architecture(
    input_size=96,
    embed_dim=32,
    stem_width=16,
    widths=(16, 16, 16, 16),
    depths=(1, 1, 1, 1),
    fpn_width=16,
    decoder_heads=2,
    decoder_hidden=32,
    iou_hidden=16,
)
SETTINGS = PromptTrainSettings(
    iterations=6,
    batch_size=2,
    crop_size=96,
    warmup=2,
    objects=3,
    rounds=2,
    precision="float32",
    category="disc",
)


def run(data: Path, output: Path, settings: PromptTrainSettings = SETTINGS, **options: Any) -> Path:
    return train_promptable(data, output, settings, architecture=TINY, **options)


def rows(output: Path) -> list[list[str]]:
    """The log but for the seconds."""
    return [row[:-1] for row in trainings.rows(output)]


def disc(radius: float = 12, row: float = 40, column: float = 50) -> NDArray[np.bool_]:
    y, x = np.indices((96, 96))
    return np.asarray(np.hypot(y + 0.5 - row, x + 0.5 - column) <= radius)


def test_a_stopped_run_goes_on_as_if_nothing_had_happened(data: Path, tmp_path: Path) -> None:
    whole = run(data, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "parts", report=stop_after(3))
    parts = run(data, tmp_path / "parts", resume=True)
    ours, theirs = read_weights(parts), read_weights(whole)
    assert all(torch.equal(ours.tensors[name], theirs.tensors[name]) for name in theirs.tensors)
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")
    assert rows(tmp_path / "whole")[0] == [
        "iteration",
        "loss",
        *PromptTrainer.losses,
        *PromptTrainer.figures,
        "learning_rate",
    ]
    assert ours.about["format"] == "napari-instseg/sam/1"
    assert Architecture.from_dict(ours.about["architecture"]) == TINY
    assert ours.about["training"]["images"] == 2
    assert ours.about["diameter"] == DIAMETER


def test_other_settings_are_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path, report=stop_after(1))
    with pytest.raises(ValueError, match=r"other settings \(objects: 3 then, 4 now\)"):
        run(data, tmp_path, replace(SETTINGS, objects=4), resume=True)


@pytest.mark.slow
def test_the_loss_falls(data: Path, tmp_path: Path) -> None:
    # Until answers find objects takes longer than a test may.
    settings = replace(
        SETTINGS, iterations=120, warmup=5, learning_rate=3e-3, batch_size=3, objects=4
    )
    run(data, tmp_path, settings)
    steps = [dict(zip(rows(tmp_path)[0], row, strict=True)) for row in rows(tmp_path)[1:]]
    first, last = (np.mean([float(step["loss"]) for step in s]) for s in (steps[:10], steps[-10:]))
    assert last < first / 5


def test_it_begins_with_the_backbone_of_a_mask_rcnn(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    arch = MaskArchitecture(
        stem_width=16, widths=(16,) * 4, depths=(1,) * 4, fpn_width=16, box_width=16
    )
    network = build_mask_rcnn(arch)
    start = tmp_path / "start.safetensors"
    save_weights(start, network, arch, categories=("disc",), diameter=22.0, training={})
    still = replace(SETTINGS, iterations=0)
    ours = read_weights(run(data, tmp_path / "run", still, start=start)).tensors
    theirs = read_weights(start).tensors
    prefix = "image_encoder.pyramid."
    stem = "stem.0.weight"
    assert torch.equal(ours[prefix + stem], theirs[f"backbone.{stem}"])
    # Levels are counted without the finest, which is left out.
    for part in ("inner_blocks", "layer_blocks"):
        mine = ours[f"{prefix}fpn.{part}.0.0.weight"]
        assert torch.equal(mine, theirs[f"backbone.fpn.{part}.1.0.weight"])
    torch.manual_seed(SETTINGS.seed)
    other = read_weights(run(data, tmp_path / "other", still)).tensors
    assert not torch.equal(ours[prefix + stem], other[prefix + stem])


@torch.no_grad()
def test_a_click_is_near_in_attention_from_the_start() -> None:
    torch.manual_seed(0)
    network = build(Architecture()).eval()
    begin_with_places(network)
    click = torch.tensor([[[100.0, 60.0]]])
    tokens = network.prompt_encoder.sparse(click, torch.ones(1, 1))[:, :1]
    picture = network.image_encoder(torch.randn(1, 3, 256, 256)).flatten(2).transpose(1, 2)
    places = network.prompt_encoder.dense_positions().flatten(2).transpose(1, 2)
    attention = network.mask_decoder.transformer.layers[0].cross_attn_token_to_image
    match = attention.q_proj(tokens) @ attention.k_proj(picture + places).transpose(1, 2)
    row, column = divmod(int(match.argmax()), 32)
    assert abs(row - 60 // 8) <= 1
    assert abs(column - 100 // 8) <= 1


def test_clicks_lie_on_the_object_and_boxes_around_it() -> None:
    rng = np.random.default_rng(0)
    mask = disc()
    clicks = np.array([first_click(mask, rng) for _ in range(200)])
    assert all(mask[int(row), int(column)] for row, column in clicks)
    deep = np.hypot(*(clicks - (40, 50)).T) < 4
    assert 0.5 < deep.mean() < 0.85
    boxes = np.array([first_box(mask, rng) for _ in range(200)])
    tight = np.array([28, 38, 52, 62])
    outward = (boxes - tight) * (-1, -1, 1, 1) / 24
    assert outward.min() >= -SHORT - 1e-6
    assert outward.max() <= LOOSE + 1e-6
    assert outward.max() > 0.15
    at_edge = np.array([first_box(disc(12, 4, 92), rng) for _ in range(50)])
    assert at_edge.min() >= 0
    assert at_edge.max() <= 96


def test_the_deepest_point_counts_the_edge_of_the_picture() -> None:
    mask = np.zeros((20, 30), bool)
    mask[:9, :] = True
    row, column = deepest(mask)
    assert row == 4
    assert 4 <= column <= 25


def test_a_correction_lies_in_the_larger_error() -> None:
    rng = np.random.default_rng(0)
    truth = disc()
    missed = disc() & (np.arange(96) < 50)
    for _ in range(20):
        row, column, label = correction(truth, missed, rng)
        assert label == ON
        assert (truth & ~missed)[int(row), int(column)]
        row, column, label = correction(missed, truth, rng)
        assert label == OFF
        assert (truth & ~missed)[int(row), int(column)]
        row, column, label = correction(truth, truth, rng)
        assert label == ON
        assert truth[int(row), int(column)]


def test_first_prompts_are_of_one_kind_for_all() -> None:
    kinds = set()
    objects = np.stack([disc(), disc(5, 20, 20)])
    for seed in range(40):
        points, labels, masks = first_prompts(objects, np.random.default_rng(seed))
        assert points.shape == (*labels.shape, 2)
        assert (labels[0] == labels[1]).all()
        kinds.add((*labels[0].tolist(), masks is not None))
        if masks is None:
            continue
        for truth, mask, corners in zip(objects, masks, points[:, -2:], strict=True):
            rows, columns = np.nonzero(mask)
            inside = np.stack([rows, columns], 1) + 0.5
            assert (inside >= corners[0]).all()
            assert (inside <= corners[1]).all()
            assert (mask & truth).sum() > 0.3 * (mask | truth).sum()
    box = (FIRST_CORNER, LAST_CORNER, True)
    assert kinds == {(ON, False), box, (ON, *box)}


def test_rough_masks_are_near_the_object_and_differ() -> None:
    truth, rng = disc(), np.random.default_rng(0)
    rough = [rough_mask(truth, rng) for _ in range(50)]
    found = [(mask & truth).sum() / (mask | truth).sum() for mask in rough]
    assert 0.6 < np.median(found) < 0.95
    assert np.std(found) > 0.05


def test_losses_of_a_right_answer_are_small_and_the_best_output_is_chosen() -> None:
    target = torch.zeros(1, 32, 32)
    target[0, 8:20, 8:20] = 1
    right = target * 20 - 10
    wrong = torch.full_like(right, -10)
    masks = torch.stack([wrong, wrong, right, wrong], dim=1)
    iou = torch.tensor([[0.0, 0.1, 1.0, 0.0]])
    losses, answer = prompt_losses(masks, iou, target)
    assert torch.equal(answer, right)
    assert losses["iou"] == 1
    assert losses["loss_iou"] == pytest.approx(0.01 / 4)
    # The clear output is wrong; of the others, one is right, and all learn a little.
    assert losses["loss_clear"] > 5
    assert losses["loss_ambiguous"] < losses["loss_clear"] / 5
