"""Checkpoints fill a network wholly, as Detectron2 fills it, or not at all.

Random weights of fixed seeds: they test how files are read, not how well a model works.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import malicious
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

if importlib.util.find_spec("detectron2") is None:
    pytest.skip("needs Detectron2: napari-instseg install detectron2", allow_module_level=True)

from networks import panoptic_deeplab

from napari_instseg.models.detectron2 import bridges
from napari_instseg.models.detectron2.checkpoint import load_weights
from napari_instseg.models.detectron2.config import read_config, zoo_config
from napari_instseg.segmenter import ModelError

bridges.load()
TINY = {
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 4,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 4,
    "MODEL.RESNETS.WIDTH_PER_GROUP": 2,
    "MODEL.FPN.OUT_CHANNELS": 4,
    "MODEL.ROI_BOX_HEAD.FC_DIM": 4,
    "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": 2,
    "MODEL.ROI_MASK_HEAD.CONV_DIM": 4,
    "MODEL.SEM_SEG_HEAD.CONVS_DIM": 32,
    "MODEL.ROI_HEADS.NUM_CLASSES": 3,
    "MODEL.RETINANET.NUM_CLASSES": 3,
    "MODEL.RETINANET.NUM_CONVS": 1,
}
MASK_RCNN = "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x"
RETINANET = "COCO-Detection/retinanet_R_50_FPN_1x"
PANOPTIC = "COCO-PanopticSegmentation/panoptic_fpn_R_50_1x"


def tiny(name: str = MASK_RCNN, **changes: Any) -> Any:
    cfg = zoo_config(name)
    values = TINY | {key.replace("__", "."): value for key, value in changes.items()}
    cfg.merge_from_list([part for pair in values.items() for part in pair])
    return cfg


def built(cfg: Any, seed: int = 0) -> nn.Module:
    from detectron2.modeling import build_model

    torch.manual_seed(seed)
    model: nn.Module = build_model(cfg)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                low = 0.5 if name.endswith(("running_var", "norm.weight")) else -1
                value.uniform_(low, 1)
    return model


@functools.cache
def trained() -> nn.Module:
    return built(tiny())


def arrays(model: nn.Module) -> dict[str, Any]:
    return {name: value.numpy() for name, value in model.state_dict().items()}


def assert_same(a: nn.Module, b: nn.Module) -> None:
    theirs = b.state_dict()
    for name, value in a.state_dict().items():
        assert torch.equal(value, theirs[name]), name


def write_pickle(path: Path, content: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def write_torch(path: Path, content: Any, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


def wrapped(model: nn.Module) -> dict[str, Any]:
    # What nn.DataParallel gives; itself it would move the network to a GPU.
    return {f"module.{name}": value for name, value in model.state_dict().items()}


def training(model: nn.Module) -> dict[str, Any]:
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10)
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "iteration": 89_999,
    }


def zoo(model: nn.Module) -> dict[str, Any]:
    return {"model": arrays(model), "__author__": "Detectron2 Model Zoo"}


LAYOUTS: dict[str, Callable[[Path, nn.Module], Path]] = {
    "training": lambda p, m: write_torch(p / "m.pth", training(m)),
    "weights alone": lambda p, m: write_torch(p / "m.pth", m.state_dict()),
    "before torch 1.6": lambda p, m: write_torch(
        p / "m.pth", m.state_dict(), _use_new_zipfile_serialization=False
    ),
    "several GPUs": lambda p, m: write_torch(p / "m.pth", {"model": wrapped(m)}),
    "torch under a pickle's name": lambda p, m: write_torch(p / "m.pkl", {"model": m.state_dict()}),
    "zoo, protocol 2": lambda p, m: write_pickle(p / "m.pkl", zoo(m), 2),
    "zoo, protocol 4": lambda p, m: write_pickle(p / "m.pkl", zoo(m), 4),
    "zoo, protocol 5": lambda p, m: write_pickle(p / "m.pkl", zoo(m), 5),
    "zoo, no author": lambda p, m: write_pickle(p / "m.pkl", {"model": arrays(m)}),
    "matched by ends": lambda p, m: write_pickle(
        p / "m.pkl", {**zoo(m), "__author__": "a friend", "matching_heuristics": True}
    ),
    "pycls": lambda p, m: write_torch(p / "m.pyth", {"model_state": m.state_dict()}),
    "safetensors": lambda p, m: safetensors(p / "m.safetensors", m),
}


def safetensors(path: Path, model: nn.Module) -> Path:
    save_file({k: v.clone() for k, v in model.state_dict().items()}, path)
    return path


@pytest.mark.parametrize("write", LAYOUTS.values(), ids=list(LAYOUTS))
def test_every_layout_gives_the_same_weights(
    tmp_path: Path, write: Callable[[Path, nn.Module], Path]
) -> None:
    path = write(tmp_path, trained())
    model = built(tiny(), seed=1)
    digest = load_weights(model, path)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert_same(model, trained())
    assert load_weights(model, path, digest) == digest


def on_cpu(cfg: Any) -> Any:
    cfg.MODEL.DEVICE = "cpu"
    return cfg


FAMILIES: dict[str, Callable[[], Any]] = {
    "Mask R-CNN C4": lambda: tiny("COCO-InstanceSegmentation/mask_rcnn_R_50_C4_1x"),
    "Cascade": lambda: tiny("Misc/cascade_mask_rcnn_R_50_FPN_1x"),
    "GN": lambda: tiny("Misc/mask_rcnn_R_50_FPN_3x_gn", MODEL__FPN__OUT_CHANNELS=32,
                       MODEL__ROI_MASK_HEAD__CONV_DIM=32, MODEL__ROI_BOX_HEAD__CONV_DIM=32,
                       MODEL__RESNETS__STEM_OUT_CHANNELS=32, MODEL__RESNETS__RES2_OUT_CHANNELS=32,
                       MODEL__RESNETS__WIDTH_PER_GROUP=32),
    "SyncBN": lambda: tiny("Misc/mask_rcnn_R_50_FPN_3x_syncbn"),
    "RetinaNet": lambda: tiny(RETINANET),
    "Semantic FPN": lambda: tiny("Misc/semantic_R_50_FPN_1x"),
    "Panoptic FPN": lambda: tiny(PANOPTIC),
    "Panoptic-DeepLab": lambda: on_cpu(panoptic_deeplab()),
}  # fmt: skip


@pytest.mark.parametrize("make", FAMILIES.values(), ids=list(FAMILIES))
@pytest.mark.parametrize("suffix", [".pkl", ".pth"])
def test_every_family_is_filled_as_by_detectron2(
    tmp_path: Path, make: Callable[[], Any], suffix: str
) -> None:
    from detectron2.checkpoint import DetectionCheckpointer

    cfg = make()
    first, ours, theirs = (built(cfg, seed) for seed in range(3))
    path = tmp_path / f"model{suffix}"
    if suffix == ".pkl":
        write_pickle(path, zoo(first))
    else:
        write_torch(path, {"model": first.state_dict(), "iteration": 3})
    load_weights(ours, path)
    DetectionCheckpointer(theirs).load(str(path))
    assert_same(ours, theirs)
    assert_same(ours, first)


def caffe2_name(name: str) -> str:
    """The name that Detectron gave in Caffe2 to what Detectron2 calls so."""
    norms = {"norm.weight": "bn_s", "norm.bias": "bn_b"}
    blocks = {"conv1": "branch2a", "conv2": "branch2b", "conv3": "branch2c", "shortcut": "branch1"}
    fixed = {
        "proposal_generator.rpn_head.conv": "conv_rpn_fpn2",
        "proposal_generator.rpn_head.objectness_logits": "rpn_cls_logits_fpn2",
        "proposal_generator.rpn_head.anchor_deltas": "rpn_bbox_pred_fpn2",
        "roi_heads.box_head.fc1": "fc6",
        "roi_heads.box_head.fc2": "fc7",
        "roi_heads.box_predictor.cls_score": "cls_score",
        "roi_heads.box_predictor.bbox_pred": "bbox_pred",
        "roi_heads.mask_head.deconv": "conv5_mask",
        "roi_heads.mask_head.predictor": "mask_fcn_logits",
        "backbone.bottom_up.stem.conv1": "conv1",
    }
    stem = re.fullmatch(r"backbone\.bottom_up\.stem\.conv1\.(norm\.\w+)", name)
    if stem:
        return f"res_conv1_{norms[stem[1]]}"
    block = re.fullmatch(r"backbone\.bottom_up\.(res\d)\.(\d)\.(\w+)\.(.+)", name)
    if block:
        end = norms.get(block[4], "w")
        return f"{block[1]}_{block[2]}_{blocks[block[3]]}_{end}"
    module, _, kind = name.rpartition(".")
    end = kind[0]
    level = re.fullmatch(r"backbone\.fpn_(lateral|output)(\d)", module)
    if level:
        last = {"2": 2, "3": 3, "4": 5, "5": 2}[level[2]]
        if level[1] == "output":
            return f"fpn_res{level[2]}_{last}_sum_{end}"
        lateral = "" if level[2] == "5" else "_lateral"
        return f"fpn_inner_res{level[2]}_{last}_sum{lateral}_{end}"
    mask = re.fullmatch(r"roi_heads\.mask_head\.mask_fcn(\d)", module)
    return f"_[mask]_fcn{mask[1]}_{end}" if mask else f"{fixed[module]}_{end}"


def caffe2(model: nn.Module) -> dict[str, Any]:
    """As Detectron in Caffe2 wrote it: a class for background first, and no statistics."""
    blobs: dict[str, Any] = {}
    rows = {"bbox_pred": 4, "mask_head.predictor": 1}
    for name, array in arrays(model).items():
        if name.endswith(("running_mean", "running_var")):
            continue
        written = caffe2_name(name)
        more = next((rows[part] for part in rows if part in name), 0)
        value = np.concatenate([np.full_like(array[:more], 9), array])
        if "cls_score" in name:
            value = np.roll(array, 1, axis=0)
        blobs[written] = value
        blobs[f"{written}_momentum"] = value
    return blobs


@pytest.mark.parametrize("protocol", [0, 2])
@pytest.mark.parametrize("bare", [False, True])
def test_a_file_of_caffe2_is_filled_as_by_detectron2(
    tmp_path: Path, protocol: int, bare: bool
) -> None:
    from detectron2.checkpoint import DetectionCheckpointer

    blobs = caffe2(trained())
    content = blobs if bare else {"blobs": blobs, "cfg": "MODEL: {}"}
    path = write_pickle(tmp_path / "model.pkl", content, protocol)
    ours, theirs = (built(tiny(), seed) for seed in (1, 2))
    load_weights(ours, path)
    DetectionCheckpointer(theirs).load(str(path))
    assert_same(ours, theirs)
    wanted = trained().state_dict()
    for name, value in ours.state_dict().items():
        if name.endswith(("running_mean", "running_var")):
            assert torch.equal(value, torch.full_like(value, float(name.endswith("var"))))
        else:
            assert torch.equal(value, wanted[name]), name


def test_half_precision_is_widened(tmp_path: Path) -> None:
    half = {name: value.half() for name, value in trained().state_dict().items()}
    model = built(tiny(), seed=1)
    load_weights(model, write_torch(tmp_path / "model.pth", half))
    for name, value in model.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, half[name].float())


def test_old_names_of_pointrend_are_understood(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "_BASE_: ../Base-RCNN-FPN.yaml\nVERSION: 2\nMODEL:\n  MASK_ON: True\n"
        "  ROI_HEADS: {NAME: PointRendROIHeads}\n"
        "  ROI_MASK_HEAD: {NAME: CoarseMaskHead, FC_DIM: 8, NUM_FC: 1, POINT_HEAD_ON: True}\n"
        "  POINT_HEAD: {FC_DIM: 8, NUM_CLASSES: 3}\n"
    )
    cfg = read_config(config)
    cfg.merge_from_list([part for pair in TINY.items() for part in pair])
    first, model = (built(cfg.clone(), seed) for seed in (0, 1))
    old = {
        name.replace("mask_head.point_head", "mask_point_head")
        .replace("mask_head.coarse_head.fc", "mask_coarse_head.coarse_mask_fc")
        .replace("mask_head.coarse_head", "mask_coarse_head"): value
        for name, value in arrays(first).items()
    }
    assert set(old) != set(arrays(first))
    path = write_pickle(tmp_path / "model.pkl", {"model": old, "__author__": "zoo"})
    load_weights(model, path)
    assert_same(model, first)


# ---------------------------------------------------------------------------- what is let pass


def test_what_the_config_gives_may_be_in_the_file(tmp_path: Path) -> None:
    """Old checkpoints hold pixel mean and anchors; Detectron2 leaves them out, too."""
    model = built(tiny(), seed=1)
    anchors = "proposal_generator.anchor_generator.cell_anchors"
    state = dict(trained().state_dict())
    state["pixel_mean"], state["pixel_std"] = model.pixel_mean.clone(), model.pixel_std.clone()
    state |= {f"{anchors}.{i}": a.clone() for i, a in enumerate(
        model.proposal_generator.anchor_generator.cell_anchors)}  # fmt: skip
    state["backbone.bottom_up.stem.conv1.norm.num_batches_tracked"] = torch.tensor(3)
    load_weights(model, write_torch(tmp_path / "model.pth", {"model": state}))
    assert_same(model, trained())


def test_what_the_config_gives_must_be_the_same(tmp_path: Path) -> None:
    model = built(tiny(), seed=1)
    state = {**trained().state_dict(), "pixel_mean": torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1)}
    path = write_torch(tmp_path / "model.pth", state)
    with pytest.raises(ModelError, match=r"trained with pixel_mean 1, 2, 3, the config says 103"):
        load_weights(model, path)
    anchor = "proposal_generator.anchor_generator.cell_anchors.0"
    path = write_torch(path, {**trained().state_dict(), anchor: torch.zeros(3, 4)})
    with pytest.raises(ModelError, match=r"trained with .*cell_anchors\.0 0, 0, 0, 0 and 8 more"):
        load_weights(model, path)


# ----------------------------------------------------------------------------------- misfits


def fails(path: Path, cfg: Any) -> str:
    with pytest.raises(ModelError) as caught:
        load_weights(built(cfg, seed=1), path)
    assert str(caught.value).startswith(f"{path} does not fit the config: ")
    return str(caught.value).removeprefix(f"{path} does not fit the config: ")


@pytest.mark.parametrize("suffix", [".pth", ".pkl"])
def test_missing_and_extra_weights_are_named(tmp_path: Path, suffix: str) -> None:
    state = arrays(trained())
    gone = "roi_heads.mask_head.predictor.weight"
    del state[gone]
    for i in range(7):
        state[f"extra.{i}"] = np.zeros(1)
    path = tmp_path / f"model{suffix}"
    if suffix == ".pkl":
        write_pickle(path, {"model": state, "__author__": "x"})
    else:
        write_torch(path, {k: torch.from_numpy(v.copy()) for k, v in state.items()})
    assert fails(path, tiny()) == (
        f"missing: {gone}; unknown to it: extra.0, extra.1, extra.2, extra.3, extra.4 and 2 more"
    )


def test_one_missing_statistic_of_a_frozen_norm_is_named(tmp_path: Path) -> None:
    """Detectron2 would fill it with zeros, and say nothing."""
    state = arrays(trained())
    name = "backbone.bottom_up.res3.0.conv1.norm.running_mean"
    del state[name]
    path = write_pickle(tmp_path / "model.pkl", {"model": state, "__author__": "x"})
    assert fails(path, tiny()) == f"missing: {name}"


CLASSES = {
    "boxes and masks": (
        lambda n: tiny(MODEL__ROI_HEADS__NUM_CLASSES=n),
        "MODEL.ROI_HEADS.NUM_CLASSES",
    ),
    "cascade": (
        lambda n: tiny("Misc/cascade_mask_rcnn_R_50_FPN_1x", MODEL__ROI_HEADS__NUM_CLASSES=n),
        "MODEL.ROI_HEADS.NUM_CLASSES",
    ),
    "RetinaNet": (
        lambda n: tiny(RETINANET, MODEL__RETINANET__NUM_CLASSES=n),
        "MODEL.RETINANET.NUM_CLASSES",
    ),
    "pixels": (
        lambda n: tiny("Misc/semantic_R_50_FPN_1x", MODEL__SEM_SEG_HEAD__NUM_CLASSES=n),
        "MODEL.SEM_SEG_HEAD.NUM_CLASSES",
    ),
}


@pytest.mark.parametrize(("make", "key"), CLASSES.values(), ids=list(CLASSES))
def test_a_wrong_number_of_classes_is_said(
    tmp_path: Path, make: Callable[[int], Any], key: str
) -> None:
    path = write_torch(tmp_path / "model.pth", {"model": built(make(3)).state_dict()})
    text = fails(path, make(80))
    assert text.startswith("of another shape: ")
    assert text.endswith(f"The weights have 3 classes, the config says 80: set {key} to 3")
    assert text.count("The weights have") == 1


def test_a_wrong_number_of_classes_is_said_of_caffe2s_names(tmp_path: Path) -> None:
    path = write_pickle(tmp_path / "model.pkl", {"blobs": caffe2(trained())})
    text = fails(path, tiny(MODEL__ROI_HEADS__NUM_CLASSES=5))
    assert "missing" not in text
    assert "unknown" not in text
    assert "The weights have 3 classes, the config says 5" in text


def test_a_backbone_is_no_trained_model(tmp_path: Path) -> None:
    stem = "backbone.bottom_up."
    backbone = {k.removeprefix(stem): v for k, v in arrays(trained()).items() if stem in k}
    content = {"model": backbone, "__author__": "torchvision", "matching_heuristics": True}
    path = write_pickle(tmp_path / "R-50.pkl", content)
    text = fails(path, tiny())
    assert text.endswith("It holds a backbone alone: expected a trained model, with its heads")
    assert "unknown" not in text


def test_the_weights_of_another_model(tmp_path: Path) -> None:
    path = write_torch(tmp_path / "model.pth", {"model": built(tiny(RETINANET)).state_dict()})
    text = fails(path, tiny())
    assert "missing: " in text
    assert "unknown to it: " in text


NOT_WEIGHTS: dict[str, Any] = {
    "a list": [torch.zeros(1)],
    "a number among them": {"a": torch.zeros(1), "b": 3},
    "names that are none": {3: torch.zeros(1)},
    "nothing": {},
    "complex numbers": {"a": torch.zeros(1, dtype=torch.complex64)},
    "a sparse tensor": {"a": torch.zeros(2, 2).to_sparse()},
}


@pytest.mark.parametrize("content", NOT_WEIGHTS.values(), ids=list(NOT_WEIGHTS))
@pytest.mark.filterwarnings("ignore:Validating sparse:UserWarning")
def test_what_is_no_weights_is_refused(tmp_path: Path, content: Any) -> None:
    path = write_torch(tmp_path / "model.pth", content)
    with pytest.raises(ModelError, match=r"model\.pth"):
        load_weights(built(tiny()), path)


def test_other_bytes_than_expected_are_refused(tmp_path: Path) -> None:
    path = write_torch(tmp_path / "model.pth", trained().state_dict())
    with pytest.raises(ModelError, match=r"expected SHA-256 0{64}, got [0-9a-f]{64}; get it again"):
        load_weights(built(tiny()), path, "0" * 64)
    with pytest.raises(ModelError, match="expected a weights file at"):
        load_weights(built(tiny()), tmp_path / "none.pth")


# ----------------------------------------------------------------------------------- strangers

FILES = {**malicious.PICKLES, **malicious.TORCH}


@pytest.mark.parametrize("file", FILES.values(), ids=list(FILES))
def test_malicious_weights_are_refused_and_leave_no_trace(
    tmp_path: Path, file: malicious.File
) -> None:
    canary, path = tmp_path / "canary", tmp_path / f"model{file.suffix}"
    path.write_bytes(file.content(canary))
    with pytest.raises(ModelError, match=r"model\.p"):
        load_weights(small(), path)
    assert list(tmp_path.iterdir()) == [path]


@functools.cache
def small() -> nn.Module:
    return nn.Linear(2, 3)


def lying(header: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", length or len(header)) + header + bytes(16)


SAFETENSORS = {
    "header longer than the file": lying(b"{}", 2**40),
    "header of 100 MB": lying(b"{}", 100_000_001),
    "tensor beyond the file": lying(b'{"a":{"dtype":"F32","shape":[99],"data_offsets":[0,396]}}'),
    "shape and bytes differ": lying(b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,16]}}'),
    "tensors on each other": lying(
        b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},'
        b'"b":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'
    ),
    "no JSON": lying(b"}}}}"),
    "a pickle": pickle.dumps({"a": 1}),
}


@pytest.mark.parametrize("content", SAFETENSORS.values(), ids=list(SAFETENSORS))
def test_safetensors_that_lie_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.safetensors cannot be read as safetensors"):
        load_weights(small(), path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize(
    "layout", ["training", "before torch 1.6", "zoo, protocol 4", "safetensors"]
)
def test_truncated_files_are_refused(tmp_path: Path, layout: str, share: float) -> None:
    path = LAYOUTS[layout](tmp_path, trained())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError, match="cannot be read"):
        load_weights(built(tiny()), path)


def test_more_names_than_can_be_matched_are_refused(tmp_path: Path) -> None:
    many = {f"t{i}": np.zeros(1, np.float32) for i in range(6000)}
    path = write_pickle(tmp_path / "model.pkl", many)
    with pytest.raises(ModelError, match="6000 tensors: expected at most 5000"):
        load_weights(small(), path)


def test_tensors_larger_than_their_bytes_are_not_filled_in(tmp_path: Path) -> None:
    """A file of some bytes can hold a tensor of a TiB, all one value."""
    huge: Tensor = torch.zeros(1).expand(2**20, 2**18)
    path = write_torch(tmp_path / "model.pth", {"weight": huge, "bias": torch.zeros(3)})
    assert path.stat().st_size < 10_000
    with pytest.raises(ModelError, match=r"weight: expected \(3, 2\), got \(1048576, 262144\)"):
        load_weights(small(), path)
