"""Masks pasted into their boxes, and a network behind the protocol."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny import TINY
from torchvision.models.detection.roi_heads import paste_masks_in_image, project_masks_on_boxes
from torchvision.ops import masks_to_boxes

import napari_instseg
from napari_instseg.evaluation import match_labels
from napari_instseg.instances import Instances, Mask
from napari_instseg.models.devices import available_devices, half_precision, pick_device
from napari_instseg.models.pasting import paste_masks
from napari_instseg.models.registry import load
from napari_instseg.models.thin_mask_rcnn import build
from napari_instseg.models.torchvision import (
    PASTING,
    TARGET_SHIFT,
    TorchvisionSegmenter,
    _padded,
)
from napari_instseg.segmenter import (
    RGB,
    Category,
    DeviceMemoryError,
    InputError,
    Prediction,
    Segmenter,
)


def smooth_masks(count: int, size: int = 28, seed: int = 0) -> torch.Tensor:
    """Random soft ellipses of (size, size)."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((size, size)) / (size - 1) * 2 - 1
    masks = []
    for _ in range(count):
        a, b = rng.uniform(0.6, 1.0, 2)
        masks.append(1 / (1 + np.exp(8 * ((y / a) ** 2 + (x / b) ** 2 - 1))))
    return torch.tensor(np.array(masks).reshape(-1, size, size), dtype=torch.float32)


def random_boxes(count: int, shape: tuple[int, int], least: float = 3) -> torch.Tensor:
    rng = np.random.default_rng(0)
    height, width = shape
    corner = rng.uniform(0, 0.7, (count, 2)) * (width, height)
    size = rng.uniform(least, 0.3 * min(shape), (count, 2))
    return torch.tensor(np.concatenate([corner, corner + size], axis=1), dtype=torch.float32)


def full(mask: Mask, shape: tuple[int, int]) -> NDArray[np.bool_]:
    canvas = np.zeros(shape, bool)
    canvas[mask.slices] = mask.pixels
    return canvas


def slow(mask: NDArray[np.float64], box: NDArray[np.float64], shape: tuple[int, int]) -> np.ndarray:
    """Bilinear sampling of one mask at every pixel whose centre is in its box, one by one."""
    side = len(mask)
    left, top, right, bottom = box
    value = np.zeros(shape)
    for row, col in np.ndindex(shape):
        if top <= row + 0.5 < bottom and left <= col + 0.5 < right:
            v = (row + TARGET_SHIFT - top) / (bottom - top) * side - 0.5
            u = (col + TARGET_SHIFT - left) / (right - left) * side - 0.5
            v, u = np.clip([v, u], 0, side - 1)
            i, j = min(int(v), side - 2), min(int(u), side - 2)
            a, b = v - i, u - j
            value[row, col] = (1 - a) * ((1 - b) * mask[i, j] + b * mask[i, j + 1]) + a * (
                (1 - b) * mask[i + 1, j] + b * mask[i + 1, j + 1]
            )
    return value


def test_pasting_is_bilinear_sampling() -> None:
    shape = (70, 90)
    masks, boxes = smooth_masks(12, 8), random_boxes(12, shape)
    masks[6:] = 1 - masks[6:]  # Corners are inside, too.
    for pasted, mask, box in zip(
        paste_masks(masks, boxes, shape, **PASTING), masks, boxes, strict=True
    ):
        value = slow(mask.double().numpy(), box.double().numpy(), shape)
        expected = value >= 0.5
        clear = abs(value - 0.5) > 1e-5
        np.testing.assert_array_equal(full(pasted, shape)[clear], expected[clear])


def test_pasting_is_torchvisions_but_for_the_place_in_the_pixel() -> None:
    shape = (200, 220)
    masks, boxes = smooth_masks(40), random_boxes(40, shape, least=12)
    theirs = paste_masks_in_image(masks[:, None], boxes, shape)[:, 0].numpy() >= 0.5
    # torchvision samples at pixel centres of boxes that it rounds: about half a pixel from ours.
    for shift, least in ((TARGET_SHIFT, 0.7), (0.5, 0.8)):
        options = {**PASTING, "sample_at": shift}
        pasted = [full(m, shape) for m in paste_masks(masks, boxes, shape, **options)]
        iou = [(a & b).sum() / (a | b).sum() for a, b in zip(pasted, theirs, strict=True)]
        assert min(iou) > least
        assert np.median(iou) > 0.9


def test_a_full_mask_fills_its_box() -> None:
    boxes = torch.tensor([[2.0, 3.0, 7.0, 5.0], [4.6, 0.2, 6.6, 1.8]])
    pasted = paste_masks(torch.ones(2, 28, 28), boxes, (9, 9), **PASTING)
    assert [m.slices for m in pasted] == [
        (slice(3, 5), slice(2, 7)),
        (slice(0, 2), slice(5, 7)),
    ]
    assert all(m.pixels.all() for m in pasted)


def test_what_a_network_learns_is_pasted_where_it_was() -> None:
    # torchvision cuts the masks that it trains on out of the image: a perfect network gives them.
    y, x = np.indices((64, 64))
    discs = [np.hypot(y - 20.3, x - 25.1) <= 9.2, np.hypot((y - 40) / 1.5, x - 33.7) <= 7.4]
    truth = torch.tensor(np.array(discs), dtype=torch.uint8)
    boxes = masks_to_boxes(truth) + torch.tensor([0, 0, 1, 1])
    learned = project_masks_on_boxes(truth, boxes, torch.arange(2), 28)
    for mask, disc in zip(paste_masks(learned, boxes, (64, 64), **PASTING), discs, strict=True):
        pasted = full(mask, (64, 64))
        assert (pasted & disc).sum() / (pasted | disc).sum() > 0.95
        shift = np.mean(np.nonzero(pasted), axis=1) - np.mean(np.nonzero(disc), axis=1)
        assert np.abs(shift).max() < 0.2


def test_no_objects_and_empty_masks() -> None:
    assert paste_masks(torch.zeros(0, 28, 28), torch.zeros(0, 4), (9, 9), **PASTING) == []
    (mask,) = paste_masks(torch.zeros(1, 28, 28), torch.tensor([[1.0, 1, 5, 5]]), (9, 9), **PASTING)
    assert mask.area == 0


@pytest.mark.parametrize(
    "box",
    [
        (-4, -3, 3, 4),
        (5, 6, 14, 15),
        (-5, 2, 14, 4),
        (-20, 2, -10, 4),
        (30, 2, 40, 4),
        (2, -20, 4, -10),
        (2, 30, 4, 40),
        (9, 9, 9, 9),
        (3, 3, 3, 3),
    ],
)
def test_masks_at_and_beyond_the_border_are_cut(box: tuple[float, ...]) -> None:
    shape = (9, 10)
    masks = paste_masks(
        torch.ones(1, 28, 28), torch.tensor([box], dtype=torch.float32), shape, **PASTING
    )
    instances = Instances.create(shape, masks)  # Checks that they are inside.
    left, top, right, bottom = box
    expected = np.zeros(shape, bool)
    expected[max(0, int(top)) : max(0, int(bottom)), max(0, int(left)) : max(0, int(right))] = True
    if left < right:
        np.testing.assert_array_equal(full(instances.masks[0], shape), expected)


def test_many_masks_come_back_in_their_order() -> None:
    shape = (300, 300)
    masks, boxes = smooth_masks(600), random_boxes(600, shape)
    together = paste_masks(masks, boxes, shape, **PASTING)
    for i in (0, 1, 299, 599):
        (alone,) = paste_masks(masks[i : i + 1], boxes[i : i + 1], shape, **PASTING)
        assert together[i].origin == alone.origin
        np.testing.assert_array_equal(together[i].pixels, alone.pixels)


class Largest(torch.overrides.TorchFunctionMode):
    """Notes the number of elements of the largest Tensor that any function gives."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.untyped_storage().nbytes():
            self.elements = max(self.elements, result.untyped_storage().nbytes() // 4)
        return result


@pytest.mark.parametrize(("edge", "count"), [(30, 1000), (1000, 40)])
def test_memory_does_not_grow_with_the_image(edge: int, count: int) -> None:
    shape = (4096, 4096)
    corner = torch.rand(count, 2, generator=torch.manual_seed(0)) * (4096 - edge)
    boxes = torch.cat([corner, corner + edge], dim=1)
    tracemalloc.start()
    with Largest() as largest:
        masks = paste_masks(smooth_masks(1).expand(count, 28, 28), boxes, shape, **PASTING)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    pixels = sum(mask.pixels.size for mask in masks)
    assert peak < pixels + 20_000_000
    # The sampling grid has two numbers a pixel.
    assert largest.elements < 10_000_000


# ------------------------------------------------------------------------------------- network


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return load("nuclei", "cpu").segmenter


def nuclei(shape: tuple[int, int], seed: int = 0) -> RGB:
    """A dark field with a few bright discs."""
    rng = np.random.default_rng(seed)
    y, x = np.ogrid[: shape[0], : shape[1]]
    gray = rng.normal(0.05, 0.01, shape).clip(0, 1)
    for row, col in rng.uniform(0, 1, (6, 2)) * shape:
        gray[(y - row) ** 2 + (x - col) ** 2 <= 81] = 0.8
    return np.repeat(gray[..., None].astype(np.float32), 3, axis=-1)


def assert_same(a: Prediction, b: Prediction, *, exact: bool = True) -> None:
    assert len(a.instances) == len(b.instances)
    tolerance = 0 if exact else 1e-3
    np.testing.assert_allclose(a.instances.scores, b.instances.scores, atol=tolerance)
    np.testing.assert_allclose(a.instances.boxes, b.instances.boxes, atol=100 * tolerance)
    for mask, other in zip(a.instances.masks, b.instances.masks, strict=True):
        assert not exact or np.array_equal(mask.pixels, other.pixels)


def test_the_same_tile_gives_the_same_answer(segmenter: Segmenter) -> None:
    tile = nuclei((96, 128))
    (first,), (again,) = segmenter.segment([tile]), segmenter.segment([tile.copy()])
    assert np.count_nonzero(first.instances.scores > 0.5) >= 3
    assert first.instances.image_shape == (96, 128)
    assert_same(first, again)


def test_tiles_of_different_shapes_together_are_tiles_one_by_one(segmenter: Segmenter) -> None:
    tiles = [nuclei(shape, i) for i, shape in enumerate([(64, 64), (70, 110), (64, 64), (40, 33)])]
    together = segmenter.segment(tiles)
    assert [p.instances.image_shape for p in together] == [t.shape[:2] for t in tiles]
    for tile, prediction in zip(tiles, together, strict=True):
        assert_same(prediction, segmenter.segment([tile])[0], exact=False)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 2), (33, 31)])
def test_tiny_images(segmenter: Segmenter, shape: tuple[int, int]) -> None:
    for value in (0.0, 1.0):
        tile = np.full((*shape, 3), value, np.float32)
        (prediction,) = segmenter.segment([tile])
        assert prediction.instances.image_shape == shape
    (prediction,) = segmenter.segment([nuclei(shape)])
    boxes = prediction.instances.boxes
    assert np.all((boxes >= 0) & (boxes <= [*shape[::-1], *shape[::-1]]))


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_constant_tile_holds_nothing_worth_showing(segmenter: Segmenter, value: float) -> None:
    (prediction,) = segmenter.segment([np.full((100, 100, 3), value, np.float32)])
    assert not np.any(prediction.instances.scores >= 0.5)


def test_no_tiles_give_no_predictions(segmenter: Segmenter) -> None:
    assert segmenter.segment([]) == []


def test_the_frame_around_a_tile_is_of_the_grounds_colour(segmenter: Segmenter) -> None:
    tile = torch.from_numpy(nuclei((40, 50)))
    padded = _padded(tile)
    assert padded.shape == (64, 64, 3)
    torch.testing.assert_close(padded[:40, :50], tile)
    ground = tile.reshape(-1, 3).median(dim=0).values
    assert (padded[40:] == ground).all()
    assert (padded[:, 50:] == ground).all()
    fits = torch.zeros(64, 32, 3)
    assert _padded(fits) is fits


def tiny_segmenter() -> TorchvisionSegmenter:
    torch.manual_seed(0)
    return TorchvisionSegmenter(build(TINY), (Category(1, "cell"),), None, torch.device("cpu"))


def test_the_cap_is_reported_when_it_is_reached() -> None:
    segmenter = tiny_segmenter()
    heads = segmenter._network.roi_heads
    heads.score_thresh, heads.detections_per_img = 0.0, 5
    (prediction,) = segmenter.segment([nuclei((64, 64))])
    assert (len(prediction.instances), prediction.limit_reached) == (5, 5)
    heads.detections_per_img = 10_000
    (prediction,) = segmenter.segment([nuclei((64, 64))])
    assert prediction.limit_reached == 0


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 17 GB)"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried ..."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
    ],
)
def test_every_devices_memory_error_is_ours(error: RuntimeError) -> None:
    segmenter = tiny_segmenter()

    def fail(*_: object) -> None:
        raise error

    segmenter._network.backbone.register_forward_pre_hook(fail)
    with pytest.raises(DeviceMemoryError, match="CPU ran out of memory") as raised:
        segmenter.segment([nuclei((32, 32))])
    assert raised.value.__cause__ is error


def test_other_errors_pass() -> None:
    segmenter = tiny_segmenter()

    def fail(*_: object) -> None:
        raise RuntimeError("shapes differ")

    segmenter._network.backbone.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="shapes differ"):
        segmenter.segment([nuclei((32, 32))])


def test_devices_that_are_not_there_are_named(tmp_path: Path) -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type == available_devices()[0]
    with pytest.raises(InputError, match=r"device: expected auto or one of .*, got 'gpu9x'"):
        pick_device("gpu9x")
    with pytest.raises(InputError, match=r"device: 'meta' is not there; this machine has .*cpu"):
        pick_device("meta")


@pytest.mark.parametrize(
    ("dtype", "least"), [(torch.float16, (0.98, 0.97)), (torch.bfloat16, (0.95, 0.9))]
)
def test_half_precision_gives_nearly_the_same(
    dtype: torch.dtype, least: tuple[float, float]
) -> None:
    """F1 at IoU 0.5 and mean IoU, beside float32; on the CPU, by the path that GPUs take."""
    path = Path(napari_instseg.__file__).parent / "data" / "fluorescence.png"
    model = load("nuclei", "cpu")
    expected = napari_instseg.segment(path, model).instances
    model.segmenter._half = dtype
    found = napari_instseg.segment(path, model).instances
    match = match_labels(expected, found, (0.5,)).matches[0.5]
    assert match.f1 >= least[0]
    assert match.segmentation_quality >= least[1]


def test_automatic_precision_is_full_where_there_is_no_gpu() -> None:
    cpu = torch.device("cpu")
    assert half_precision(cpu, "auto") is half_precision(cpu, "float32") is None
    assert half_precision(cpu, "half") is torch.bfloat16
