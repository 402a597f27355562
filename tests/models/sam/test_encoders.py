"""Image encoders give the reference packages' numbers."""

from __future__ import annotations

import importlib
import warnings
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from twins import architecture_of

from napari_instseg.models.sam.image_encoder import VIT_B, VIT_H, VIT_L, ImageEncoder
from napari_instseg.models.sam.tiny_vit import TinyViT
from napari_instseg.models.sam.windows import cut, join


@torch.no_grad()
def shaken(network: Any, seed: int = 0) -> Any:
    """Give every weight a value of its own: the reference begins with zeros and ones."""
    torch.manual_seed(seed)
    for parameter in network.parameters():
        parameter.add_(torch.randn_like(parameter), alpha=0.02)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    # TinyViT keeps a copy of its biases from the moment it is told to infer.
    return network.train().eval()


def reference_vit(
    width: int, depth: int, heads: int, look_around: tuple[int, ...], size: int
) -> Any:
    from segment_anything.modeling import ImageEncoderViT

    return ImageEncoderViT(
        img_size=size,
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=14,
        global_attn_indexes=look_around,
        out_chans=256,
    )


def twin(reference: Any) -> ImageEncoder:
    network = ImageEncoder(architecture_of(reference))
    network.load_state_dict(reference.state_dict())
    return network.eval()


def difference(a: Tensor, b: Tensor) -> float:
    """Relative to the largest value."""
    return float((a - b).abs().max() / b.abs().max())


@pytest.mark.parametrize(
    ("width", "heads", "size"),
    [
        # Whole windows and cut ones; a picture as large as a window, and a smaller one.
        pytest.param(48, 3, 16 * 20, id="narrow"),
        pytest.param(48, 3, 16 * 14, id="one window"),
        pytest.param(48, 3, 16 * 5, id="less than a window"),
        # Reduced: two blocks of the real width, and a quarter of the side.
        pytest.param(VIT_L.width, VIT_L.heads, 256, id="ViT-L, 2 blocks"),
        pytest.param(VIT_H.width, VIT_H.heads, 256, id="ViT-H, 2 blocks"),
    ],
)
@torch.inference_mode()
def test_vit_of_any_size(width: int, heads: int, size: int) -> None:
    reference = shaken(reference_vit(width, 2, heads, (1,), size))
    pictures = torch.randn(2, 3, size, size)
    assert difference(twin(reference)(pictures), reference(pictures)) < 1e-5


@pytest.mark.slow
@torch.inference_mode()
def test_vit_b_as_it_is() -> None:
    reference = shaken(
        reference_vit(VIT_B.width, VIT_B.depth, VIT_B.heads, VIT_B.look_around, 1024)
    )
    assert architecture_of(reference) == replace(VIT_B, hidden=4 * VIT_B.width)
    picture = torch.randn(1, 3, 1024, 1024)
    assert difference(twin(reference)(picture), reference(picture)) < 1e-4


@torch.inference_mode()
def test_small_pieces_of_bias_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = twin(shaken(reference_vit(48, 2, 3, (1,), 320)))
    picture = torch.randn(1, 3, 320, 320)
    whole = encoder(picture)
    module = importlib.import_module(ImageEncoder.__module__)
    monkeypatch.setattr(module, "BIAS_BYTES", {"cpu": 4 * 20**2 * 20 * 3})
    monkeypatch.setattr(module, "ROWS", 7)
    assert difference(encoder(picture), whole) < 1e-5


@torch.inference_mode()
def test_half_precision_is_near() -> None:
    encoder = twin(shaken(reference_vit(48, 2, 3, (1,), 320)))
    picture = torch.randn(1, 3, 320, 320)
    with torch.autocast("cpu", torch.bfloat16):
        half = encoder(picture)
    assert difference(half.float(), encoder(picture)) < 0.1


@pytest.mark.slow
@torch.inference_mode()
def test_tiny_vit_as_it_is() -> None:
    with warnings.catch_warnings():
        # mobile_sam uses old names of timm, and registers models that timm has by now.
        warnings.simplefilter("ignore")
        from mobile_sam import sam_model_registry
    reference = shaken(sam_model_registry["vit_t"]().image_encoder)
    state = {k: v for k, v in reference.state_dict().items() if "head" not in k.split(".")[0]}
    encoder = TinyViT()
    encoder.load_state_dict(state)
    encoder.eval().fold()
    picture = torch.randn(1, 3, 1024, 1024)
    expected = reference(picture)
    assert difference(encoder(picture), expected) < 1e-4
    encoder.to(memory_format=torch.channels_last)
    encoder.fold()
    assert difference(encoder(picture), expected) < 1e-4


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (6, 9), (4, 8), (7, 2)])
def test_windows_hold_every_token_once(shape: tuple[int, int]) -> None:
    x = torch.arange(2 * shape[0] * shape[1] * 5.0).view(2, *shape, 5)
    squares = cut(x, 3, torch.full((5,), -1.0))
    rows, cols = -(-shape[0] // 3), -(-shape[1] // 3)
    assert squares.shape == (2 * rows * cols, 3, 3, 5)
    assert torch.equal(join(squares, x.shape, 3), x)
    assert int((squares == -1).sum()) == squares.numel() - x.numel()
    last = squares.view(2, rows, cols, 3, 3, 5)[:, -1, -1]
    assert torch.equal(last[:, 0, 0], x[:, 3 * (rows - 1), 3 * (cols - 1)])
