"""The reference, ``segment_anything``, around the weights that we load; and how alike masks are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_instseg.instances import Mask

#: Bytes of packed masks that are held against each other at a time.
PART = 1 << 13


def reference_of(network: Any) -> Any:
    """segment_anything's Sam with the weights of our built-in network, and its encoder."""
    import torch
    from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

    arch = network.arch
    grid = network.prompt_encoder.embedding_size
    prompts = PromptEncoder(
        arch.embed_dim, (grid, grid), (arch.input_size, arch.input_size), arch.mask_channels
    )
    transformer = TwoWayTransformer(
        arch.decoder_depth,
        arch.embed_dim,
        arch.decoder_heads,
        arch.decoder_hidden,
        attention_downsample_rate=arch.decoder_downsample,
    )
    decoder = MaskDecoder(
        transformer_dim=arch.embed_dim,
        transformer=transformer,
        num_multimask_outputs=arch.outputs - 1,
        iou_head_depth=arch.iou_depth,
        iou_head_hidden_dim=arch.iou_hidden,
    )
    prompts.load_state_dict(network.prompt_encoder.state_dict())
    decoder.load_state_dict(network.mask_decoder.state_dict())
    scale = 255 * torch.tensor([arch.mean, arch.deviation])
    return Sam(network.image_encoder, prompts, decoder, *scale.tolist()).eval()


def drawn(masks: Iterable[Mask], shape: tuple[int, int]) -> Iterator[NDArray[np.bool_]]:
    """Our masks in a picture, each (H, W)."""
    for mask in masks:
        canvas = np.zeros(shape, bool)
        canvas[mask.slices] = mask.pixels
        yield canvas


def pack(masks: Iterable[NDArray[np.bool_]]) -> NDArray[np.uint8]:
    """Masks of one picture, each (H, W), with eight pixels a byte: (N, B)."""
    rows = [np.packbits(mask) for mask in masks]
    return np.stack(rows) if rows else np.empty((0, 1), np.uint8)


def overlaps(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float64]:
    """IoU of each of N packed masks with each of M: (N, M)."""
    both = np.zeros((len(first), len(second)))
    areas = np.zeros(len(first)), np.zeros(len(second))
    if both.size:
        for begin in range(0, first.shape[1], PART):
            a, b = (
                np.unpackbits(packed[:, begin : begin + PART], axis=1).astype(np.float32)
                for packed in (first, second)
            )
            both += a @ b.T
            areas[0][:] += a.sum(axis=1)
            areas[1][:] += b.sum(axis=1)
    return both / np.maximum(areas[0][:, np.newaxis] + areas[1] - both, 1)


def matches(iou: NDArray[np.float64], least: float) -> tuple[int, int]:
    """How many of the first masks are among the second, and how many of the second are extra."""
    # A column, or a row, of zeros: there may be no masks on a side.
    same = np.pad(iou, ((0, 1), (0, 1))) >= least
    return int(same[:-1].any(axis=1).sum()), int((~same[:, :-1].any(axis=0)).sum())
