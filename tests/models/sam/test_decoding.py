"""Prompts are answered with the masks of segment_anything."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from planted import plant, tiny_sam
from twins import prompter_of

from napari_instseg.models.sam import segmenter
from napari_instseg.models.sam.decoding import FastDecoder
from napari_instseg.models.sam.mask_decoder import MaskDecoder
from napari_instseg.models.sam.prompt_encoder import PromptEncoder
from napari_instseg.models.sam.recent import KEPT
from napari_instseg.models.sam.reordered import SharedCells
from napari_instseg.models.sam.segmenter import SamPrompter
from napari_instseg.promptable import Candidates, Embedding, Prompts
from napari_instseg.segmenter import DeviceMemoryError, InputError

SIZE = 128
#: Rows and columns of objects in a picture of 100 x 128, as the reference counts: from the
#: centres of pixels.
POINTS = np.array([[20, 30], [70, 40], [55, 90], [31, 101]])
BOXES = np.array([[10, 20, 40, 45], [50, 20, 90, 60], [40, 70, 75, 110], [0, 90, 60, 127]])


def picture_of(shape: tuple[int, int]) -> NDArray[np.uint8]:
    rng = np.random.default_rng(1)
    return rng.integers(0, 255, (*shape, 3), dtype=np.uint8)


def unit(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    return picture.astype(np.float32) / np.float32(255)


@pytest.fixture(scope="module")
def reference() -> Any:
    torch.manual_seed(0)
    sam = tiny_sam(SIZE)
    with torch.no_grad():
        for parameter in sam.image_encoder.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.02)
    picture = torch.from_numpy(picture_of((100, SIZE))).permute(2, 0, 1).float()
    return plant(sam, picture).requires_grad_(False)


@pytest.fixture(scope="module")
def prompter(reference: Any) -> SamPrompter:
    return prompter_of(reference)


def full(candidates: Candidates) -> NDArray[np.bool_]:
    masks = np.zeros((len(candidates), *candidates.picture_shape), bool)
    for canvas, mask in zip(masks, candidates.masks, strict=True):
        canvas[mask.slices] = mask.pixels
    return masks


def overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> NDArray[np.float64]:
    """IoU of each two masks; 1 of two empty ones."""
    both, either = (a & b).sum((1, 2)), (a | b).sum((1, 2))
    return np.where(either, both / np.maximum(either, 1), 1.0)


def expected_of(sam: Any, picture: NDArray[np.uint8], prompts: Prompts, multimask: bool) -> Any:
    """What SamPredictor says: logits in the picture's pixels, predicted IoU, small logits."""
    from segment_anything import SamPredictor

    predictor = SamPredictor(sam)
    predictor.set_image(picture)
    shape = picture.shape[:2]
    xy = predictor.transform.apply_coords(prompts.points[..., ::-1] - 0.5, shape)
    boxes = None
    if prompts.boxes is not None:
        boxes = predictor.transform.apply_boxes(prompts.boxes[:, [1, 0, 3, 2]] - 0.5, shape)
        boxes = torch.tensor(boxes, dtype=torch.float32)
    empty = prompts.points.shape[1] == 0
    values = predictor.predict_torch(
        None if empty else torch.tensor(xy, dtype=torch.float32),
        None if empty else torch.from_numpy(prompts.labels),
        boxes,
        None if prompts.logits is None else torch.from_numpy(prompts.logits)[:, None],
        multimask_output=multimask,
        return_logits=True,
    )
    return [value.flatten(0, 1).numpy() for value in values]


def assert_same(found: Candidates, masks: Any, predicted: Any, logits: Any) -> None:
    assert overlap(full(found), masks > 0).min() >= 0.999
    np.testing.assert_allclose(found.predicted_iou, predicted, atol=1e-4)
    low, high = (masks > -1).sum((1, 2)), (masks > 1).sum((1, 2))
    apart = np.abs(found.stability - high / np.maximum(low, 1))
    # Of these small masks, one pixel whose logit is a threshold's to the last digit is much.
    assert (apart <= 1e-5 + 1 / np.maximum(low, 1)).all()
    assert (apart <= 1e-5).mean() > 0.9
    if found.logits is not None:
        np.testing.assert_allclose(found.logits, logits, atol=1e-4 * np.abs(logits).max())


KINDS = {
    "a click": {"points": POINTS[:, None] + 0.5},
    "two clicks": {
        "points": np.stack([POINTS, POINTS[::-1]], axis=1) + 0.5,
        "labels": np.tile([1, 0], (4, 1)),
    },
    "a box": {"boxes": BOXES + 0.5},
    "a click and a box": {"points": POINTS[:, None] + 0.5, "boxes": BOXES + 0.5},
    "many clicks": {"points": np.tile(POINTS, (4, 8, 1)) + 0.5},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("multimask", [True, False])
def test_answers(reference: Any, prompter: SamPrompter, kind: str, multimask: bool) -> None:
    picture, prompts = picture_of((100, SIZE)), Prompts.create(**KINDS[kind])
    (embedding,) = prompter.encode([unit(picture)])
    found = prompter.decode(embedding, prompts, multimask=multimask, keep_logits=True)
    each = 3 if multimask else 1
    assert found.prompts.tolist() == np.repeat(range(4), each).tolist()
    assert found.outputs.tolist() == ([1, 2, 3] if multimask else [0]) * 4
    assert_same(found, *expected_of(reference, picture, prompts, multimask))
    areas = [mask.area for mask in found.masks]
    assert max(areas) > 0, "the planted masks are lost: nothing was compared"


@pytest.mark.parametrize("with_points", [True, False])
def test_masks_as_prompts(reference: Any, prompter: SamPrompter, with_points: bool) -> None:
    picture = picture_of((100, SIZE))
    (embedding,) = prompter.encode([unit(picture)])
    clicks = Prompts.create(**KINDS["a click"])
    first = prompter.decode(embedding, clicks, multimask=False, keep_logits=True)
    points = clicks.points if with_points else None
    prompts = Prompts.create(points, logits=first.logits)
    found = prompter.decode(embedding, prompts, keep_logits=True)
    assert_same(found, *expected_of(reference, picture, prompts, True))


@pytest.mark.parametrize(
    "shape", [(SIZE, SIZE), (64, 128), (128, 50), (64, 64), (37, 53), (300, 200), (1, 128), (5, 3)]
)
def test_pictures_of_any_shape(
    reference: Any, prompter: SamPrompter, shape: tuple[int, int]
) -> None:
    """Those that are resized are rounded to 8 bit, and resized by the same library."""
    picture = picture_of(shape)
    (embedding,) = prompter.encode([unit(picture)])
    points = np.array([[[0.3, 0.3]], [[0.6, 0.7]]]) * shape + 0.5
    prompts = Prompts.create(points)
    found = prompter.decode(embedding, prompts, keep_logits=True)
    assert found.picture_shape == shape
    assert_same(found, *expected_of(reference, picture, prompts, True))
    for mask in found.masks:
        rows, cols = mask.slices
        assert rows.stop <= shape[0]
        assert cols.stop <= shape[1]
        assert mask.area == 0 or mask.tight().pixels.shape == mask.pixels.shape  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("least_iou", "least_stability"), [(0.85, None), (None, 0.9), (0.86, 0.95), (9.0, None)]
)
def test_thresholds_drop_what_the_reference_drops(
    reference: Any,
    prompter: SamPrompter,
    least_iou: float | None,
    least_stability: float | None,
) -> None:
    from segment_anything import SamAutomaticMaskGenerator

    picture = picture_of((100, SIZE))
    generator = SamAutomaticMaskGenerator(
        reference,
        pred_iou_thresh=least_iou or -9,
        stability_score_thresh=least_stability or 0,
        output_mode="uncompressed_rle",
    )
    generator.predictor.set_image(picture)
    side = (np.arange(6) + 0.5) / 6
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2) * (SIZE, 100)
    whole = [0, 0, SIZE, 100]
    data = generator._process_batch(grid, (100, SIZE), whole, (100, SIZE))
    (embedding,) = prompter.encode([unit(picture)])
    found = prompter.decode(
        embedding,
        Prompts.create(grid[:, None, ::-1] + 0.5),
        min_predicted_iou=least_iou,
        min_stability=least_stability,
    )
    assert len(found) == len(data["iou_preds"])
    np.testing.assert_allclose(found.predicted_iou, data["iou_preds"].numpy(), atol=1e-4)
    stability = np.nan_to_num(data["stability_score"].numpy())
    np.testing.assert_allclose(found.stability, stability, atol=1e-5)
    points = grid[found.prompts]
    np.testing.assert_array_equal(points, data["points"].numpy())
    areas = [sum(rle["counts"][1::2]) for rle in data["rles"]]
    np.testing.assert_allclose([mask.area for mask in found.masks], areas, rtol=1e-3)
    assert least_iou == 9 or 0 < len(found) < 3 * len(grid)


def test_batches_do_not_matter(prompter: SamPrompter, monkeypatch: pytest.MonkeyPatch) -> None:
    (embedding,) = prompter.encode([unit(picture_of((100, SIZE)))])
    prompts = Prompts.create(**KINDS["a click"])
    together = prompter.decode(embedding, prompts, min_predicted_iou=0.85)
    monkeypatch.setattr(segmenter, "CELL_BYTES", {"cpu": 1})
    apart = prompter.decode(embedding, prompts, min_predicted_iou=0.85)
    assert 0 < len(together) < 12
    assert apart.prompts.tolist() == together.prompts.tolist()
    assert apart.outputs.tolist() == together.outputs.tolist()
    np.testing.assert_allclose(apart.predicted_iou, together.predicted_iou, atol=1e-6)
    assert overlap(full(apart), full(together)).min() >= 0.999


def test_no_prompts_give_no_masks(prompter: SamPrompter) -> None:
    (embedding,) = prompter.encode([unit(picture_of((100, SIZE)))])
    for logits in (False, True):
        found = prompter.decode(embedding, Prompts.create(), keep_logits=logits)
        assert len(found) == 0
        assert found.picture_shape == (100, SIZE)
    assert found.logits is not None
    assert found.logits.shape == (0, 32, 32)


def test_half_precision_embeddings(prompter: SamPrompter) -> None:
    (embedding,) = prompter.encode([unit(picture_of((100, SIZE)))])
    prompts = Prompts.create(**KINDS["a click"])
    found = prompter.decode(embedding.half(), prompts)
    assert overlap(full(found), full(prompter.decode(embedding, prompts))).min() > 0.9


def test_another_models_embedding(prompter: SamPrompter) -> None:
    (embedding,) = prompter.encode([unit(picture_of((100, SIZE)))])
    foreign = Embedding(embedding.arrays, embedding.picture_shape, "f" * 64)
    with pytest.raises(InputError, match="by another model: expected one of the weights 0000"):
        prompter.decode(foreign, Prompts.create(**KINDS["a click"]))


def test_masks_of_another_models_size(prompter: SamPrompter) -> None:
    (embedding,) = prompter.encode([unit(picture_of((100, SIZE)))])
    with pytest.raises(InputError, match=r"expected masks of 32 x 32 logits .*, got \(64, 64\)"):
        prompter.decode(embedding, Prompts.create(logits=np.zeros((1, 64, 64))))


def test_arrays_that_must_not_be_written(prompter: SamPrompter) -> None:
    (embedding,) = prompter.encode([unit(picture_of((100, SIZE)))])
    prompts = Prompts.create(**KINDS["a click"], logits=np.zeros((4, 32, 32)))
    for array in (prompts.points, prompts.labels, prompts.logits, *embedding.arrays):
        assert array is not None
        array.setflags(write=False)
    assert len(prompter.decode(embedding, prompts)) == 12


def test_threads_with_pictures_of_their_own(prompter: SamPrompter) -> None:
    """More pictures than are kept, asked about at once."""
    prompts = Prompts.create(**KINDS["a click"])
    rng = np.random.default_rng(0)
    pictures = [rng.random((100, SIZE, 3), np.float32) for _ in range(4)]
    embeddings = prompter.encode(pictures)
    alone = [prompter.decode(e, prompts).predicted_iou for e in embeddings]
    found: dict[int, Any] = {}

    def ask(i: int) -> None:
        answers = [prompter.decode(embeddings[i], prompts) for _ in range(3)]
        found[i] = [answer.predicted_iou for answer in answers]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(4):
        assert len(prompter._shared) <= KEPT
        np.testing.assert_allclose(found[i], [alone[i]] * 3, atol=1e-6)


def test_memory_errors_are_ours(prompter: SamPrompter, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    (embedding,) = prompter.encode([unit(picture_of((100, SIZE)))])
    monkeypatch.setattr(FastDecoder, "__call__", fail)
    with pytest.raises(DeviceMemoryError, match="CPU ran out of memory"):
        prompter.decode(embedding, Prompts.create(**KINDS["a click"]))


@torch.inference_mode()
def test_the_decoder_as_it_is() -> None:
    """Real sizes, 256 channels and 64 x 64 cells; random weights, and masks that are prompts."""
    from segment_anything.modeling import MaskDecoder as Reference
    from segment_anything.modeling import TwoWayTransformer

    torch.manual_seed(0)
    theirs = Reference(transformer_dim=256, transformer=TwoWayTransformer(2, 256, 8, 2048)).eval()
    for parameter in theirs.parameters():
        parameter.add_(torch.randn_like(parameter), alpha=0.02)
    ours, encoder = MaskDecoder(256), PromptEncoder(256, 64, 1024)
    ours.load_state_dict(theirs.state_dict())
    positions = encoder.dense_positions()
    fast = FastDecoder(ours, positions)
    image = torch.randn(1, 256, 64, 64)
    sparse = encoder.sparse(1024 * torch.rand(2, 1, 2), torch.ones(2, 1, dtype=torch.int64))
    shared = fast.share((image + encoder.dense(None))[0].flatten(1).T)
    own = encoder.dense(torch.randn(2, 1, 256, 256))
    masked = (image + own).flatten(2).transpose(1, 2)
    cases: list[tuple[SharedCells | torch.Tensor, torch.Tensor]] = [
        (shared, encoder.dense(None).expand(2, -1, 64, 64)),
        (masked, own),
    ]
    for cells, dense in cases:
        logits, predicted = theirs(image, positions, sparse, dense, multimask_output=True)
        found = fast(cells, sparse, slice(1, None))
        assert found.prompts.tolist() == [0, 0, 0, 1, 1, 1]
        torch.testing.assert_close(found.logits, logits.flatten(0, 1), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found.predicted_iou, predicted.flatten(), atol=1e-5, rtol=1e-4)
        limit = float(predicted.median())
        best = fast(cells, sparse, slice(1, None), limit)
        assert best.predicted_iou.tolist() == [v for v in found.predicted_iou.tolist() if v > limit]
        torch.testing.assert_close(
            best.logits, found.logits[found.predicted_iou > limit], atol=1e-5, rtol=1e-4
        )
