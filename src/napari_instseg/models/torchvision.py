"""Run a Mask R-CNN of torchvision's kind behind the `Segmenter` protocol."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torchvision.models.detection.image_list import ImageList

from ..instances import Instances
from ..ops.masks import solid
from ..segmenter import RGB, Category, ModelError, Prediction, Rules
from .base import TorchSegmenter
from .devices import pick_device
from .entry import ModelEntry, Report
from .pasting import paste_masks
from .thin_mask_rcnn import Architecture, build
from .weights import WeightsFile, fill, read_weights, write_weights

FORMAT = "napari-instseg/thin-mask-rcnn/1"
#: Height and width that the network takes are multiples of this, its largest stride.
MULTIPLE = 32
#: Where in a pixel masks are sampled. torchvision cuts the masks that it trains on with an
#: unaligned RoIAlign, so a network of its kind predicts them half a pixel up and left of the
#: pixel centre (0.5) that one would sample at.
TARGET_SHIFT = 0.0
PASTING: dict[str, Any] = {"sample_at": TARGET_SHIFT, "padding": "border"}


class TorchvisionSegmenter(TorchSegmenter):
    """A Mask R-CNN that gives cropped masks, each one part without holes; never N x H x W.

    Parameters
    ----------
    network : torchvision MaskRCNN
        Takes RGB in [0, 1]; its transform normalises and pads, and does not resize.
    categories : tuple of Category
    diameter : float, optional
        Median object diameter in training, px.
    device : torch.device
    precision : {"auto", "float32", "half"}
        See `devices.half_precision`.
    """

    rules = Rules()

    def __init__(
        self,
        network: nn.Module,
        categories: tuple[Category, ...],
        diameter: float | None,
        device: torch.device,
        precision: str = "auto",
    ) -> None:
        super().__init__(device, precision)
        self.categories, self.diameter = categories, diameter
        self._network: Any = network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _segment_alike(self, tiles: Sequence[RGB], shape: tuple[int, int]) -> list[Prediction]:
        network = self._network
        batch, _ = network.transform(
            [_padded(torch.from_numpy(t).to(self._device)).permute(2, 0, 1) for t in tiles], None
        )
        images = ImageList(
            batch.tensors.contiguous(memory_format=torch.channels_last), [shape] * len(tiles)
        )
        features = network.backbone(images.tensors)
        proposals, _ = network.rpn(images, features)
        found, _ = network.roi_heads(features, proposals, images.image_sizes)
        limit = int(network.roi_heads.detections_per_img)
        return [_prediction(f, shape, limit) for f in found]


def _padded(tile: Tensor) -> Tensor:
    """Pad (H, W, 3) to the strides of the network with the median, mostly the ground's colour.

    The network's own padding, with the mean it normalises by, would be a grey frame beside a
    dark image, and things at that edge would be lost.
    """
    height, width, _ = tile.shape
    rows, cols = -height % MULTIPLE, -width % MULTIPLE
    if rows == cols == 0:
        return tile
    padded = pad(tile, (0, 0, 0, cols, 0, rows))
    ground = tile.flatten(0, 1).median(dim=0).values
    padded[height:], padded[:, width:] = ground, ground
    return padded


def _prediction(found: dict[str, Tensor], shape: tuple[int, int], limit: int) -> Prediction:
    boxes = found["boxes"].float()
    # Where objects overlap, a network of this size leaves holes and crumbs in its masks.
    masks = solid(paste_masks(found["masks"][:, 0], boxes, shape, **PASTING))
    instances = Instances.create(
        shape,
        masks,
        scores=found["scores"].float().clamp(0, 1).cpu().numpy(),
        category_ids=found["labels"].cpu().numpy(),
        boxes=boxes.cpu().numpy(),
    )
    return Prediction(instances, limit_reached=limit if len(boxes) >= limit else 0)


def load_segmenter(
    entry: ModelEntry, device: str, precision: str, report: Report | None = None
) -> tuple[TorchvisionSegmenter, str]:
    """Load a registered model; see `read_segmenter`."""
    return read_segmenter(entry.path, device, entry.sha256, precision)


def read_segmenter(
    path: Path, device: str = "auto", sha256: str | None = None, precision: str = "auto"
) -> tuple[TorchvisionSegmenter, str]:
    """Load a weights file that `save_weights` wrote.

    Parameters
    ----------
    path : Path
    device : str
        "auto" or a torch device.
    sha256 : str, optional
        What the file must hash to.
    precision : {"auto", "float32", "half"}

    Returns
    -------
    segmenter : TorchvisionSegmenter
    sha256 : str
        Of the file.

    Raises
    ------
    ModelError
        If the file is damaged, foreign, or does not fit its own description.
    InputError
        If the device is not there.
    """
    weights = read_weights(path, sha256)
    arch, categories, diameter = _describe(weights, path)
    try:
        network = build(arch)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: its description is damaged ({error!r})") from error
    fill(network, weights, path)
    segmenter = TorchvisionSegmenter(network, categories, diameter, pick_device(device), precision)
    return segmenter, weights.sha256


def _describe(
    weights: WeightsFile, path: Path
) -> tuple[Architecture, tuple[Category, ...], float | None]:
    about = weights.about
    if about.get("format") != FORMAT:
        raise ModelError(f"{path}: expected the format {FORMAT!r}, got {about.get('format')!r}")
    try:
        arch = Architecture.from_dict(about["architecture"])
        names = [str(name) for name in about["categories"]]
        diameter = float(about["diameter"]) if about.get("diameter") else None
        if diameter is not None and not 0 < diameter < 1e6:
            raise ValueError(f"diameter {diameter}")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: its description is damaged ({error!r})") from error
    if len(names) + 1 != arch.num_classes:
        raise ModelError(
            f"{path}: expected {arch.num_classes - 1} category names, got {len(names)}"
        )
    return arch, tuple(Category(i, name) for i, name in enumerate(names, start=1)), diameter


def save_weights(
    path: Path,
    network: nn.Module,
    arch: Architecture,
    *,
    categories: Sequence[str],
    diameter: float,
    training: dict[str, Any],
) -> None:
    """Write a trained network as float16 safetensors with all that `read_segmenter` needs."""
    about = {
        "format": FORMAT,
        "architecture": arch.to_dict(),
        "categories": list(categories),
        "diameter": diameter,
        "training": training,
    }
    write_weights(path, network, about)
