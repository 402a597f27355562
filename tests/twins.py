"""Our networks with the weights of the reference packages' ones."""

from __future__ import annotations

from typing import Any

import torch

from napari_instseg.models.sam.image_encoder import ImageEncoder, ViTArchitecture
from napari_instseg.models.sam.mask_decoder import MaskDecoder
from napari_instseg.models.sam.network import SamNetwork
from napari_instseg.models.sam.segmenter import SamPrompter


def architecture_of(encoder: Any) -> ViTArchitecture:
    """Sizes of segment_anything's ImageEncoderViT."""
    blocks = encoder.blocks
    return ViTArchitecture(
        width=encoder.patch_embed.proj.out_channels,
        depth=len(blocks),
        heads=blocks[0].attn.num_heads,
        look_around=tuple(i for i, block in enumerate(blocks) if block.window_size == 0),
        window=max(block.window_size for block in blocks),
        patch=encoder.patch_embed.proj.kernel_size[0],
        grid=encoder.pos_embed.shape[1],
        hidden=blocks[0].mlp.lin1.out_features,
        outputs=encoder.neck[0].out_channels,
    )


def empty_network_of(sam: Any) -> SamNetwork:
    """Build our network of the reference's sizes, with weights of its own."""
    head, transformer = sam.mask_decoder.iou_prediction_head, sam.mask_decoder.transformer
    decoder = MaskDecoder(
        sam.mask_decoder.transformer_dim,
        depth=transformer.depth,
        heads=transformer.num_heads,
        hidden=transformer.mlp_dim,
        outputs=sam.mask_decoder.num_mask_tokens,
        iou_depth=head.num_layers,
        iou_hidden=head.layers[0].out_features,
    )
    return SamNetwork(ImageEncoder(architecture_of(sam.image_encoder)), decoder)


def prompter_of(sam: Any) -> SamPrompter:
    """Our segmenter on the CPU, with the reference's weights."""
    network = empty_network_of(sam)
    network.load_state_dict(sam.state_dict())
    return SamPrompter(network, "0" * 64, torch.device("cpu"))
