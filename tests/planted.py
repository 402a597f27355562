"""Networks of segment_anything with random weights whose masks are spots, not all or nothing."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

#: Strength of the attention of a cell to a click near it.
ATTENTION = 4.0
#: How much louder than a random network clicks tell cells what they are.
LOUDNESS = 30.0
#: Radius of the discs that are fitted, cells of the embedding; and the share of its usual peak
#: that a fit must have to belong to the mask, one an output.
RADIUS, SHARES = 1.5, (0.7, 0.8, 0.7, 0.6)
#: Logit of twice that share: masks are stable.
STRENGTH = 300.0
#: Predicted IoU: its mean and its spread over places.
PREDICTED = (0.85, 0.05)


def tiny_sam(size: int = 128, width: int = 32) -> Any:
    """The reference's network with few channels, weights drawn with torch's seed."""
    from segment_anything.modeling import (
        ImageEncoderViT,
        MaskDecoder,
        PromptEncoder,
        Sam,
        TwoWayTransformer,
    )

    grid = size // 16
    encoder = ImageEncoderViT(
        img_size=size,
        embed_dim=48,
        depth=2,
        num_heads=3,
        out_chans=width,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=3,
        global_attn_indexes=(1,),
    )
    prompts = PromptEncoder(width, (grid, grid), (size, size), 16)
    transformer = TwoWayTransformer(2, width, 8, 64)
    decoder = MaskDecoder(transformer_dim=width, transformer=transformer, iou_head_hidden_dim=width)
    return Sam(encoder, prompts, decoder).eval()


@torch.no_grad()
def plant(sam: Any, picture: Tensor, points: int = 48) -> Any:
    """Change the weights so that a click is answered with spots of different sizes.

    They are fitted to discs around clicks, and depend on the click; but they need not lie at it.

    Cells attend to the click by where they are; what they learn from it is read out by a
    linear fit to discs, a different radius for each output.

    Parameters
    ----------
    sam : segment_anything's Sam
    picture : (3, H, W) Tensor
        In [0, 255]; where the fit is made, with this many ``points``.
    """
    decoder, encoder = sam.mask_decoder, sam.prompt_encoder
    for layer in decoder.transformer.layers:
        _attend_by_place(layer)
    embedding = sam.image_encoder(sam.preprocess(picture[None]))
    where = torch.rand(points, 1, 2) * torch.tensor(picture.shape[:0:-1])
    sparse, dense = encoder((where, torch.ones(points, 1)), None, None)
    caught: dict[str, Tensor] = {}
    _add_constant(decoder.output_upscaling[3])
    hook = decoder.output_upscaling.register_forward_hook(
        lambda module, inputs, output: caught.update(features=output)
    )
    _, predicted = decoder.predict_masks(embedding, encoder.get_dense_pe(), sparse, dense)
    hook.remove()
    _fit_masks(decoder, caught["features"], where[:, 0] / sam.image_encoder.img_size)
    last = decoder.iou_prediction_head.layers[-1]
    mean, spread = PREDICTED
    scale = spread / predicted.std(dim=0)
    last.bias.copy_(mean + (last.bias - predicted.mean(dim=0)) * scale)
    last.weight *= scale[:, None]
    return sam


def _attend_by_place(layer: Any) -> None:
    attention = layer.cross_attn_image_to_token
    inner, width = attention.q_proj.weight.shape
    heads = attention.num_heads
    # Sine and cosine of a wave go to the same head.
    waves = torch.arange(inner // 2).reshape(heads, -1)
    rows = torch.cat([waves, waves + width // 2], dim=1).ravel()
    for projection in (attention.q_proj, attention.k_proj):
        projection.weight.zero_()
        projection.weight[torch.arange(inner), rows] = ATTENTION / math.sqrt(heads)
        projection.bias.zero_()
    # What is not a place says little, so that places decide; and what clicks say outweighs
    # the picture.
    layer.norm3.weight *= 0.2
    layer.norm4.weight *= 0.2
    attention.v_proj.weight *= LOUDNESS


def _add_constant(layer: Any) -> None:
    """Let the first channel be 1 everywhere (but for the GELU that follows), for a threshold."""
    layer.weight[:, 0] = 0
    layer.bias[0] = 1


def _fit_masks(decoder: Any, features: Tensor, where: Tensor) -> None:
    count, channels, side, _ = features.shape
    at = (torch.arange(side) + 0.5) / side
    distance = torch.hypot(
        at[None, None, :] - where[:, 0, None, None], at[None, :, None] - where[:, 1, None, None]
    )
    flat = features.permute(0, 2, 3, 1).reshape(-1, channels)
    square = flat.T @ flat / len(flat) + 1e-5 * torch.eye(channels)
    inside = (distance < RADIUS * 4 / side).float().ravel()
    fit = torch.linalg.solve(square, flat.T @ inside / len(flat))
    values = flat @ fit
    fit[0] -= values.mean() / flat[0, 0]
    peak = (values - values.mean()).reshape(count, -1).amax(dim=1).median()
    for share, network in zip(SHARES, decoder.output_hypernetworks_mlps, strict=True):
        own = fit / peak
        own[0] -= share / flat[0, 0]
        last = network.layers[-1]
        last.weight *= 1e-2
        last.bias.copy_(STRENGTH * own)
