"""The same answers as Detectron2's own predictor, on the same random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from networks import SCORE, excite, needs_detectron2, panoptic_deeplab, picture, pointrend, small
from numpy.typing import NDArray

import napari_instseg as nis
from napari_instseg.instances import Instances
from napari_instseg.models.detectron2.categories import categories_of
from napari_instseg.models.detectron2.network import build
from napari_instseg.models.detectron2.segmenter import Detectron2Segmenter
from napari_instseg.models.entry import LoadedModel

pytestmark = needs_detectron2
COCO = "COCO-InstanceSegmentation"


def scores_from(least: float) -> dict[str, float]:
    """Of few classes at random the best is better than of many."""
    return {"MODEL.ROI_HEADS.SCORE_THRESH_TEST": least}


FAMILIES: dict[str, Callable[[], Any]] = {
    "Mask R-CNN R50-C4": lambda: small(f"{COCO}/mask_rcnn_R_50_C4_1x"),
    "Mask R-CNN R50-DC5": lambda: small(f"{COCO}/mask_rcnn_R_50_DC5_1x"),
    "Mask R-CNN R50-FPN": lambda: small(f"{COCO}/mask_rcnn_R_50_FPN_1x"),
    "Mask R-CNN R101-FPN": lambda: small(f"{COCO}/mask_rcnn_R_101_FPN_3x"),
    "Mask R-CNN X101-FPN": lambda: small(f"{COCO}/mask_rcnn_X_101_32x8d_FPN_3x"),
    "Mask R-CNN, LVIS": lambda: small(
        "LVISv0.5-InstanceSegmentation/mask_rcnn_R_50_FPN_1x", **scores_from(0.015)
    ),
    "Mask R-CNN, Cityscapes": lambda: small("Cityscapes/mask_rcnn_R_50_FPN", **scores_from(0.3)),
    "Cascade Mask R-CNN": lambda: small("Misc/cascade_mask_rcnn_R_50_FPN_1x"),
    "PointRend": pointrend,
    "Faster R-CNN": lambda: small("COCO-Detection/faster_rcnn_R_50_FPN_1x"),
    "Faster R-CNN, VOC": lambda: small(
        "PascalVOC-Detection/faster_rcnn_R_50_C4", **scores_from(0.2)
    ),
    "RetinaNet": lambda: small("COCO-Detection/retinanet_R_50_FPN_1x"),
    "Semantic FPN": lambda: small("Misc/semantic_R_50_FPN_1x"),
    "Panoptic FPN": lambda: small("COCO-PanopticSegmentation/panoptic_fpn_R_50_1x"),
    "Panoptic-DeepLab": panoptic_deeplab,
}


def both(make: Callable[[], Any]) -> tuple[Detectron2Segmenter, Any]:
    """Our segmenter and Detectron2's predictor around the same weights."""
    cfg = make()
    from detectron2.engine import DefaultPredictor  # Only after the bridges.

    model = excite(build(cfg))
    theirs_cfg = cfg.clone()
    theirs_cfg.MODEL.DEVICE, theirs_cfg.MODEL.WEIGHTS = "cpu", ""
    theirs = DefaultPredictor(theirs_cfg)
    theirs.model.load_state_dict(model.state_dict())
    categories = categories_of(cfg, None)
    return Detectron2Segmenter(model, cfg, categories, torch.device("cpu")), theirs


def full(instances: Instances, i: int) -> NDArray[np.bool_]:
    canvas = np.zeros(instances.image_shape, bool)
    canvas[instances.masks[i].slices] = instances.masks[i].pixels
    return canvas


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_objects_as_detectron2s_own_predictor(family: str) -> None:
    image = picture()
    ours, predictor = both(FAMILIES[family])
    theirs = predictor(image[..., ::-1])  # It takes BGR.
    (found,) = ours.as_trained().segment([image.astype(np.float32) / 255])
    if "instances" in theirs:
        compare = compare_deeplab if family == "Panoptic-DeepLab" else compare_objects
        compare(found.instances, theirs["instances"], ours)
    if "sem_seg" in theirs:
        classes = theirs["sem_seg"].argmax(dim=0).numpy()
        expected = ours._names.stuff_ids[classes]
        assert found.semantic is not None
        np.testing.assert_array_equal(found.semantic, expected)
        assert len(np.unique(expected)) > 3
    if "panoptic_seg" in theirs:
        compare_panoptic(image, ours, *theirs["panoptic_seg"])


def compare_objects(found: Instances, theirs: Any, ours: Detectron2Segmenter) -> None:
    """One to one: of the same class, nearest by score, box and mask; order may differ in ties."""
    classes = ours._names.thing_ids[theirs.pred_classes.numpy()]
    scores = theirs.scores.numpy()
    assert len(found) == len(theirs) >= 20
    boxes = theirs.pred_boxes.tensor.numpy()
    apart = np.abs(found.boxes[:, None] - boxes).max(axis=-1)
    apart[found.category_ids[:, None] != classes] = np.inf
    pairs = apart.argmin(axis=1)
    assert len(set(pairs)) == len(pairs)
    assert apart.min(axis=1).max() <= 1e-3
    np.testing.assert_allclose(found.scores, scores[pairs], rtol=0, atol=1e-5)
    assert theirs.has("pred_masks") == (not ours.rules.boxes_only)
    if theirs.has("pred_masks"):
        compare_masks(found, theirs.pred_masks.numpy()[pairs])


def compare_masks(found: Instances, masks: NDArray[np.bool_]) -> None:
    """Random masks have pixels all but on the threshold, where float32's rounding decides.

    So IoU is that of all objects together, and a single one may differ by two such pixels.
    """
    mine = np.array([full(found, i) for i in range(len(found))])
    assert np.count_nonzero(mine & masks) >= 0.999 * np.count_nonzero(mine | masks) > 0
    assert np.count_nonzero(mine ^ masks, axis=(1, 2)).max() <= 2


def compare_deeplab(found: Instances, theirs: Any, ours: Detectron2Segmenter) -> None:
    """Panoptic-DeepLab's objects have no boxes of their own, and do not overlap."""
    assert len(found) == len(theirs) >= 3
    # With random weights the middle of an object may count less than nothing.
    scores = theirs.scores.numpy().clip(0, 1)
    np.testing.assert_allclose(found.scores, scores, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(
        found.category_ids, ours._names.thing_ids[theirs.pred_classes.numpy()]
    )
    compare_masks(found, theirs.pred_masks.numpy())


def compare_panoptic(
    image: NDArray[np.uint8], ours: Detectron2Segmenter, panoptic: Any, segments: Any
) -> None:
    """Through the whole pipeline, as a user runs it: one map, equal pixel by pixel."""
    loaded = LoadedModel(ours, "random", "none", "")
    result = nis.segment(
        image,
        loaded,
        diameter="as trained",
        limits=((0, 255),),
        score_threshold=SCORE if segments is not None else 0,
    )
    theirs = panoptic.numpy()
    if segments is None:
        # Panoptic-DeepLab codes class and number in a pixel: the same segments, other numbers.
        pairs = np.unique(np.stack([theirs.ravel(), result.panoptic.ravel()]), axis=1)
        assert len(np.unique(theirs)) > 3
        assert len(np.unique(pairs[0])) == pairs.shape[1]
        return
    np.testing.assert_array_equal(result.panoptic, theirs)
    assert len(segments) == len(result.table) > 5
    assert {s["isthing"] for s in segments} == {True, False}
    for segment, row in zip(segments, result.table.itertuples(), strict=True):
        ids = ours._names.thing_ids if segment["isthing"] else ours._names.stuff_ids
        assert row.index == segment["id"]
        assert row.is_thing == segment["isthing"]
        assert row.category_id == ids[segment["category_id"]]
        assert row.area == np.count_nonzero(theirs == segment["id"])
