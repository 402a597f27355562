"""Run Detectron2's models behind the `Segmenter` protocol."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...instances import Instances, Mask
from ...segmenter import RGB, Category, ModelError, Prediction, Rules, Segmenter
from ..base import TorchSegmenter
from ..devices import pick_device
from ..downloads import fetch_weights
from ..entry import ModelEntry, Report
from . import bridges
from .caps import Caps
from .categories import Categories, categories_of
from .checkpoint import load_weights
from .config import read_config, zoo_config
from .network import build
from .results import crops_of, full_boxes, read_detections


class Detectron2Segmenter(TorchSegmenter):
    """A Detectron2 model that gives cropped masks; never N x H x W.

    Parameters
    ----------
    model : nn.Module
        What ``detectron2.modeling.build_model`` gave for the config, with its weights.
    cfg : detectron2.config.CfgNode
    categories : Categories
    device : torch.device
    precision : {"auto", "float32", "half"}
        See `devices.half_precision`.
    diameter : float, optional
        Median object diameter in training (px); None takes the middle of its anchors' sizes.
    """

    def __init__(
        self,
        model: nn.Module,
        cfg: Any,
        categories: Categories,
        device: torch.device,
        precision: str = "auto",
        diameter: float | None = None,
    ) -> None:
        super().__init__(device, precision)
        self._cfg, self._names = cfg, categories
        self._model: Any = model.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        architecture = cfg.MODEL.META_ARCHITECTURE
        if architecture not in _RUNNERS:
            raise ModelError(
                f"the architecture {architecture!r} cannot be run: expected one of "
                f"{', '.join(sorted(_RUNNERS))}"
            )
        self._runner = _RUNNERS[architecture]
        self._caps = Caps(self._model)
        self.rules = _rules(cfg)
        self.diameter = _middle_anchor(cfg) if diameter is None else diameter
        self._resizes = False

    @property
    def categories(self) -> tuple[Category, ...]:
        """What the model can find: things, then stuff."""
        return self._names.categories

    def as_trained(self) -> Segmenter:
        """Return the same model, resizing each tile as `DefaultPredictor` does."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, _resizes=True)
        return other

    def _segment_alike(self, tiles: Sequence[RGB], shape: tuple[int, int]) -> list[Prediction]:
        return self._runner(self, [self._input(tile) for tile in tiles], shape)

    def _input(self, tile: RGB) -> dict[str, Any]:
        """Turn a tile into what Detectron2's models take, in the colour order of the config."""
        pixels: NDArray[Any] = tile * np.float32(255)
        if self._cfg.INPUT.FORMAT == "BGR":
            pixels = pixels[..., ::-1]
        if self._resizes:
            pixels = self._resized(pixels)
        image = torch.as_tensor(np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32))
        return {"image": image, "height": tile.shape[0], "width": tile.shape[1]}

    def _resized(self, pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Resize as in training, which Detectron2 does with 8 bit and Pillow."""
        from detectron2.data.transforms import ResizeShortestEdge

        eight_bit = np.rint(pixels).clip(0, 255).astype(np.uint8)
        shortest, longest = self._cfg.INPUT.MIN_SIZE_TEST, self._cfg.INPUT.MAX_SIZE_TEST
        transform = ResizeShortestEdge([shortest, shortest], longest).get_transform(eight_bit)
        resized: NDArray[np.uint8] = transform.apply_image(eight_bit)
        return resized

    def _features(self, inputs: list[dict[str, Any]]) -> tuple[Any, dict[str, Tensor]]:
        images = self._model.preprocess_image(inputs)
        images.tensor = images.tensor.contiguous(memory_format=torch.channels_last)
        features = self._model.backbone(images.tensor)
        # RoIAlign takes boxes in the features' format, and float16 has no half pixels above 1024.
        return images, {name: maps.float() for name, maps in features.items()}

    def _run_rcnn(self, inputs: list[dict[str, Any]], shape: tuple[int, int]) -> list[Prediction]:
        """R-CNNs, and Panoptic FPN, which has a semantic head beside one."""
        images, features = self._features(inputs)
        model = self._model
        stuff: list[Tensor | None] = [None] * len(inputs)
        if hasattr(model, "sem_seg_head"):
            stuff = list(model.sem_seg_head(features, None)[0])

        def detect(which: int | None) -> list[Any]:
            some, part = images, features
            if which is not None:
                one = slice(which, which + 1)
                some = type(images)(images.tensor[one], images.image_sizes[one])
                part = {name: maps[one] for name, maps in features.items()}
            proposals, _ = model.proposal_generator(some, part, None)
            results: list[Any] = model.roi_heads(some, part, proposals, None)[0]
            return results

        found = self._caps.detect(detect)
        return [
            self._prediction(result, limit, shape, logits, size)
            for (result, limit), logits, size in zip(found, stuff, images.image_sizes, strict=True)
        ]

    def _run_dense(self, inputs: list[dict[str, Any]], shape: tuple[int, int]) -> list[Prediction]:
        """RetinaNet: boxes without proposals."""

        def detect(which: int | None) -> list[Any]:
            some = inputs if which is None else [inputs[which]]
            return [result["instances"] for result in self._model(some)]

        found = self._caps.detect(detect)
        return [self._prediction(result, limit, shape) for result, limit in found]

    def _run_semantic(
        self, inputs: list[dict[str, Any]], shape: tuple[int, int]
    ) -> list[Prediction]:
        """Semantic FPN, DeepLab: a class for each pixel, no objects."""
        return [
            Prediction(Instances.empty(shape), self._stuff(result["sem_seg"]))
            for result in self._model(inputs)
        ]

    def _run_deeplab(
        self, inputs: list[dict[str, Any]], shape: tuple[int, int]
    ) -> list[Prediction]:
        """Panoptic-DeepLab: it groups pixels to objects by itself, without overlaps."""
        predictions = []
        for result in self._model(inputs):
            found = result.get("instances")
            instances = Instances.empty(shape)
            if found is not None and len(found):
                pixels = found.pred_masks.cpu().numpy()
                instances = Instances.create(
                    shape,
                    crops_of(pixels),
                    scores=found.scores.clamp(0, 1).float().cpu().numpy(),
                    category_ids=self._names.thing_ids[found.pred_classes.cpu().numpy()],
                )
            predictions.append(Prediction(instances, self._stuff(result["sem_seg"])))
        return predictions

    def _prediction(
        self,
        result: Any,
        limit: int,
        shape: tuple[int, int],
        logits: Tensor | None = None,
        size: tuple[int, int] = (0, 0),
    ) -> Prediction:
        boxes, scores, classes, masks = read_detections(result, shape)
        crops: list[Mask] = full_boxes(boxes, shape) if masks is None else masks
        instances = Instances.create(
            shape,
            crops,
            scores=scores,
            category_ids=self._names.thing_ids[classes],
            boxes=boxes,
        )
        if logits is None:
            return Prediction(instances, None, limit)
        from detectron2.modeling.postprocessing import sem_seg_postprocess

        return Prediction(instances, self._stuff(sem_seg_postprocess(logits, size, *shape)), limit)

    def _stuff(self, logits: Tensor) -> NDArray[np.int32]:
        """Category id of each pixel, from (C, H, W) logits."""
        classes = logits.argmax(dim=0).cpu().numpy()
        ids: NDArray[np.int32] = self._names.stuff_ids.astype(np.int32)[classes]
        return ids


_RUNNERS = {
    "GeneralizedRCNN": Detectron2Segmenter._run_rcnn,
    "PanopticFPN": Detectron2Segmenter._run_rcnn,
    "RetinaNet": Detectron2Segmenter._run_dense,
    "SemanticSegmentor": Detectron2Segmenter._run_semantic,
    "PanopticDeepLab": Detectron2Segmenter._run_deeplab,
}


def _rules(cfg: Any) -> Rules:
    """How Detectron2 itself combines objects and stuff, as the config has it."""
    architecture = cfg.MODEL.META_ARCHITECTURE
    if architecture == "PanopticFPN":
        combine = cfg.MODEL.PANOPTIC_FPN.COMBINE
        return Rules(
            min_visible=1 - combine.OVERLAP_THRESH, min_stuff_area=int(combine.STUFF_AREA_LIMIT)
        )
    if architecture == "PanopticDeepLab":
        return Rules(min_stuff_area=int(cfg.MODEL.PANOPTIC_DEEPLAB.STUFF_AREA))
    if architecture == "RetinaNet" or (architecture == "GeneralizedRCNN" and not cfg.MODEL.MASK_ON):
        return Rules(boxes_only=True, min_visible=0.0)
    return Rules()


def _middle_anchor(cfg: Any) -> float | None:
    """Geometric mean of the anchors' sizes, px: the object size that the model centres on."""
    if cfg.MODEL.META_ARCHITECTURE not in ("GeneralizedRCNN", "PanopticFPN", "RetinaNet"):
        return None
    sizes = [float(size) for level in cfg.MODEL.ANCHOR_GENERATOR.SIZES for size in level]
    return float(np.exp(np.mean(np.log(sizes)))) if sizes else None


def load_segmenter(
    entry: ModelEntry, device: str, precision: str = "auto", report: Report | None = None
) -> tuple[Detectron2Segmenter, str]:
    """Load a model of the zoo, or a user's own; see `registry.load`.

    Parameters
    ----------
    entry : ModelEntry
        Its ``config`` is a name in the zoo or the path of a YAML file.
    device : str
        "auto" or a torch device.
    precision : {"auto", "float32", "half"}
    report : callable, optional
        Told of the download's progress.

    Returns
    -------
    segmenter : Detectron2Segmenter
    sha256 : str
        Of the weights file.

    Raises
    ------
    ModelError
        If Detectron2 is missing, the config cannot be used, or the weights do not fit it.
    InputError
        If the device is not there.
    """
    bridges.load()
    chosen = pick_device(device)
    path = Path(entry.config)
    cfg = read_config(path) if path.is_absolute() else zoo_config(entry.config)
    categories = categories_of(cfg, entry.categories)
    digest = fetch_weights(entry, report)
    model = build(cfg, categories)
    digest = load_weights(model, entry.path, digest)
    return Detectron2Segmenter(model, cfg, categories, chosen, precision, entry.diameter), digest
