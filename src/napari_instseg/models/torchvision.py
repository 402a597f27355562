"""Run a Mask R-CNN of torchvision's kind behind the `Segmenter` protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample, pad
from torchvision.models.detection.image_list import ImageList

from ..instances import Instances, Mask
from ..ops.masks import solid
from ..segmenter import RGB, Category, DeviceMemoryError, InputError, ModelError, Prediction
from .thin_mask_rcnn import Architecture, build
from .weights import WeightsFile, fill, read_weights, write_weights

FORMAT = "napari-instseg/thin-mask-rcnn/1"
#: Masks and pixels (of their frames) pasted at a time: bounds memory, whatever the number and
#: size of the objects.
PASTE_CHUNK = 256
PASTE_PIXELS = 4_000_000
#: Height and width that the network takes are multiples of this, its largest stride.
MULTIPLE = 32
#: What errors say, in lower case, when there is not enough memory.
MEMORY_ERRORS = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")
#: Where in a pixel masks are sampled. torchvision cuts the masks that it trains on with an
#: unaligned RoIAlign, so a network of its kind predicts them half a pixel up and left of the
#: pixel centre (0.5) that one would sample at.
TARGET_SHIFT = 0.0


class TorchvisionSegmenter:
    """A Mask R-CNN that gives cropped masks, each one part without holes; never N x H x W.

    Parameters
    ----------
    network : torchvision MaskRCNN
        Takes RGB in [0, 1]; its transform normalises and pads, and does not resize.
    categories : tuple of Category
    diameter : float, optional
        Median object diameter in training, px.
    device : torch.device
    """

    def __init__(
        self,
        network: nn.Module,
        categories: tuple[Category, ...],
        diameter: float | None,
        device: torch.device,
    ) -> None:
        self.categories, self.diameter = categories, diameter
        self._device = device
        self._network: Any = network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def device(self) -> str:
        """Where it computes, for people."""
        return describe_device(self._device)

    @property
    def batch_size(self) -> int:
        """A GPU is kept busy by a few tiles at a time, a CPU's caches by one."""
        return 4 if self._device.type == "cuda" else 1

    @torch.inference_mode()
    def segment(self, tiles: Sequence[RGB]) -> list[Prediction]:
        """Segment tiles; see `Segmenter.segment`."""
        if not tiles:
            return []
        with _memory_errors(self.device):
            return self._segment(tiles)

    def _segment(self, tiles: Sequence[RGB]) -> list[Prediction]:
        """Segment tiles of one shape together: padding to another's would change the answer."""
        shapes = [(tile.shape[0], tile.shape[1]) for tile in tiles]
        found: dict[int, Prediction] = {}
        for shape in dict.fromkeys(shapes):
            same = [i for i, other in enumerate(shapes) if other == shape]
            found |= zip(same, self._segment_alike([tiles[i] for i in same], shape), strict=True)
        return [found[i] for i in range(len(tiles))]

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
    boxes = found["boxes"]
    # Where objects overlap, a network of this size leaves holes and crumbs in its masks.
    masks = [solid(mask) for mask in paste_masks(found["masks"][:, 0], boxes, shape)]
    instances = Instances.create(
        shape,
        masks,
        scores=found["scores"].clamp(0, 1).cpu().numpy(),
        category_ids=found["labels"].cpu().numpy(),
        boxes=boxes.cpu().numpy(),
    )
    return Prediction(instances, limit_reached=limit if len(boxes) >= limit else 0)


def paste_masks(
    probabilities: Tensor, boxes: Tensor, shape: tuple[int, int], threshold: float = 0.5
) -> list[Mask]:
    """Resample each object's small mask to the pixels of its own box.

    Parameters
    ----------
    probabilities : (N, m, m) float Tensor
        In [0, 1], over each box.
    boxes : (N, 4) float Tensor
        XYXY, px.
    shape : (int, int)
        Height and width of the image, px.
    threshold : float
        Pixels at or above it belong to the object.

    Returns
    -------
    list of N Mask
        Crops over the pixels whose centres each box holds (at least one); some may be empty.

    References
    ----------
    Detectron2 ``layers/mask_ops.py``; torchvision ``roi_heads.py``, ``project_masks_on_boxes``
    for the half pixel between the two (see `TARGET_SHIFT`).
    """
    if len(boxes) == 0:
        return []
    height, width = shape
    first = boxes[:, :2].round()
    size = (boxes[:, 2:].round() - first).clamp(min=1)
    # Objects of like size share a chunk, so that its common frame is hardly larger than they.
    order = torch.argsort(size.amax(dim=1))
    corners = torch.cat([first, first + size], dim=1).long().cpu().numpy()
    masks: list[Mask | None] = [None] * len(boxes)
    for chunk in _chunks(order, size):
        sampled = _sample(probabilities[chunk], boxes[chunk], first[chunk], size[chunk])
        pasted = (sampled >= threshold).cpu().numpy()
        for pixels, i in zip(pasted, chunk.tolist(), strict=True):
            left, top, right, bottom = (int(corner) for corner in corners[i])
            inner_top, inner_left = min(max(top, 0), height), min(max(left, 0), width)
            rows = slice(inner_top - top, max(min(bottom, height), inner_top) - top)
            cols = slice(inner_left - left, max(min(right, width), inner_left) - left)
            masks[i] = Mask((inner_top, inner_left), pixels[rows, cols].copy())
    return [mask for mask in masks if mask is not None]


def _chunks(order: Tensor, size: Tensor) -> Iterator[Tensor]:
    """Split objects, which are in the order of their size, so that a chunk's frames fit."""
    begin = 0
    edges = size.amax(dim=1)[order].tolist()
    for end in range(1, len(edges) + 1):
        count = end - begin + 1
        if end == len(edges) or count > PASTE_CHUNK or count * edges[end] ** 2 > PASTE_PIXELS:
            yield order[begin:end]
            begin = end


def _sample(masks: Tensor, boxes: Tensor, first: Tensor, size: Tensor) -> Tensor:
    """Sample (n, m, m) masks at the pixels of a common frame from ``first`` on."""
    frame_w, frame_h = (int(n) for n in size.amax(dim=0))
    extent = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-6)
    axes = []
    for axis, length in ((0, frame_w), (1, frame_h)):
        centers = torch.arange(length, device=boxes.device) + TARGET_SHIFT
        position = first[:, axis, None] + centers - boxes[:, axis, None]
        axes.append(position / extent[:, axis, None] * 2 - 1)
    n = len(boxes)
    grid = torch.stack(
        [
            axes[0][:, None, :].expand(n, frame_h, frame_w),
            axes[1][:, :, None].expand(n, frame_h, frame_w),
        ],
        dim=-1,
    )
    # Zero padding, as torchvision and Detectron2 have it, would shave the object's outermost
    # pixels off where it touches its box.
    return grid_sample(masks[:, None].float(), grid, padding_mode="border", align_corners=False)[
        :, 0
    ]


@contextmanager
def _memory_errors(device: str) -> Iterator[None]:
    """Turn a framework's out-of-memory error into ours."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        _release_memory()
        raise DeviceMemoryError(f"{device} ran out of memory") from error
    except RuntimeError as error:
        # The CPU's and MPS's allocators, and CUDA's libraries, raise a plain RuntimeError.
        text = str(error).lower()
        if not any(words in text for words in MEMORY_ERRORS):
            raise
        raise DeviceMemoryError(f"{device} ran out of memory") from error


def _release_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def load_segmenter(
    path: Path, device: str = "auto", sha256: str | None = None
) -> tuple[TorchvisionSegmenter, str]:
    """Load a weights file that `save_weights` wrote.

    Parameters
    ----------
    path : Path
    device : str
        "auto" or a torch device.
    sha256 : str, optional
        What the file must hash to.

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
    return TorchvisionSegmenter(network, categories, diameter, pick_device(device)), weights.sha256


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
    """Write a trained network as float16 safetensors with all that `load_segmenter` needs."""
    about = {
        "format": FORMAT,
        "architecture": arch.to_dict(),
        "categories": list(categories),
        "diameter": diameter,
        "training": training,
    }
    write_weights(path, network, about)


def pick_device(name: str) -> torch.device:
    """Choose a device: "auto" takes CUDA, then MPS, then CPU.

    Raises
    ------
    InputError
        If the name is unknown, or the device is not there.
    """
    there = available_devices()
    if name == "auto":
        return torch.device(there[0])
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device: expected auto or one of {there}, got {name!r}") from error
    if device.type not in there:
        raise InputError(f"device: {name!r} is not there; this machine has {', '.join(there)}")
    return device


def available_devices() -> list[str]:
    """Device types of this machine, the fastest first."""
    there = []
    if torch.cuda.is_available():
        there.append("cuda")
    if torch.backends.mps.is_available():
        there.append("mps")
    return [*there, "cpu"]


def describe_device(device: torch.device) -> str:
    """Name a device for people: "CPU", "Apple GPU (mps)", "NVIDIA H100 (cuda:0)"."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({device})"
    return "Apple GPU (mps)" if device.type == "mps" else device.type.upper()
