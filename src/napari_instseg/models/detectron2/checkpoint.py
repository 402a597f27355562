"""Fill a Detectron2 network from a checkpoint: all of it, or an error that says why not."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...segmenter import ModelError
from ..downloads import checked_sha256
from ..untrusted import DAMAGE, is_zip, read_pickle, read_torch
from ..weights import plain_tensor, read_safetensors, some, unpacked
from . import bridges

#: Not among a model's weights, but in old files: the config gives them.
_FROM_CONFIG = re.compile(r"^pixel_(mean|std)$|anchor_generator\.cell_anchors")
_COUNTERS = "num_batches_tracked"
_STATISTICS = ("running_mean", "running_var")
#: Names that can be matched by their ends; models have about 600.
MANY = 5_000
#: Where the number of classes shows: the tensor's name, how many rows there are more than
#: classes, and the config's key.
_CLASSES = (
    (r"box_predictor(\.\d+)?\.cls_score\.", 1, "MODEL.ROI_HEADS.NUM_CLASSES"),
    (r"mask_head\.predictor\.", 0, "MODEL.ROI_HEADS.NUM_CLASSES"),
    (r"point_head\.predictor\.", 0, "MODEL.POINT_HEAD.NUM_CLASSES"),
    (r"sem_seg_head\.predictor\.", 0, "MODEL.SEM_SEG_HEAD.NUM_CLASSES"),
)


@dataclass(slots=True)
class _Weights:
    """Tensors by name, and how the names are to be understood."""

    tensors: dict[str, Tensor]
    #: Versions of modules, by their names, as ``state_dict()`` notes them.
    versions: dict[str, int] = field(default_factory=dict)
    #: Match names by their ends; and first translate those of Caffe2.
    by_ends: bool = False
    caffe2: bool = False


def load_weights(model: nn.Module, path: Path, sha256: str | None = None) -> str:
    """Fill a network of Detectron2.

    Parameters
    ----------
    model : nn.Module
        On the CPU; after an error it must not be used.
    path : Path
        ``.pth`` of a training or of ``torch.save``, ``.pkl`` of the zoo or of Caffe2,
        ``.safetensors``.
    sha256 : str, optional
        What the file must hash to.

    Returns
    -------
    str
        SHA-256 of the file.

    Raises
    ------
    ModelError
        If the file is missing, damaged, differs from ``sha256``, would run code, or does not
        fit the network; then it names tensors that are missing, left over or of other shapes.

    References
    ----------
    Detectron2 ``checkpoint/detection_checkpoint.py``.
    """
    digest = checked_sha256(path, sha256, "damaged or another file", "get it again")
    weights = _read(path)
    if weights.by_ends:
        weights.tensors = _matched_by_ends(model, weights, path)
    _fill(model, weights, path)
    return digest


def _read(path: Path) -> _Weights:
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        return _weights(read_safetensors(path), path)
    # Detectron2 tells the two apart by the suffix alone; a torch file may have either.
    plain = suffix == ".pkl" and not is_zip(path)
    content = unpacked(read_pickle(path) if plain else read_torch(path), path)
    if isinstance(content.get("model"), dict):
        by_ends = content.get("matching_heuristics") is True
        caffe2 = by_ends and content.get("__author__") == "Caffe2"
        return _weights(content["model"], path, by_ends, caffe2)
    if isinstance(content.get("model_state"), dict):
        return _weights(content["model_state"], path, by_ends=True)
    if plain:
        blobs = content["blobs"] if isinstance(content.get("blobs"), dict) else content
        kept = {k: v for k, v in blobs.items() if not str(k).endswith("_momentum")}
        return _weights(kept, path, by_ends=True, caffe2=True)
    return _weights(content, path)


def _weights(
    named: dict[Any, Any], path: Path, by_ends: bool = False, caffe2: bool = False
) -> _Weights:
    """Take tensors by name, without the prefix that training on several GPUs adds."""
    prefix = "module."
    if not all(isinstance(name, str) and name.startswith(prefix) for name in named):
        prefix = ""
    tensors = {str(k).removeprefix(prefix): _tensor(str(k), v, path) for k, v in named.items()}
    noted = getattr(named, "_metadata", None)
    versions = {
        str(name).removeprefix(prefix): about["version"]
        for name, about in (noted.items() if isinstance(noted, dict) else ())
        if isinstance(about, dict) and type(about.get("version")) is int
    }
    return _Weights(tensors, versions, by_ends, caffe2)


def _tensor(name: str, value: Any, path: Path) -> Tensor:
    if isinstance(value, np.ndarray):
        # Torch takes no read-only array.
        value = torch.from_numpy(value.copy())
    return plain_tensor(name, value, path)


def _matched_by_ends(model: nn.Module, weights: _Weights, path: Path) -> dict[str, Tensor]:
    """Give tensors the model's names, by Detectron2's own rules."""
    bridges.load()
    from detectron2.checkpoint.c2_model_loading import align_and_update_state_dicts

    if len(weights.tensors) > MANY:
        raise ModelError(
            f"{path} holds {len(weights.tensors)} tensors: expected at most {MANY} where names "
            "are matched by their ends"
        )
    try:
        matched: dict[str, Tensor] = align_and_update_state_dicts(
            model.state_dict(), weights.tensors, c2_conversion=weights.caffe2
        )
    except DAMAGE as error:
        raise ModelError(
            f"{path} does not fit the config: its names say no model: {error}"
        ) from error
    return matched


def _fill(model: nn.Module, weights: _Weights, path: Path) -> None:
    expected = model.state_dict()
    given = dict(weights.tensors)
    _take_out_what_the_config_gives(model, given, path)
    shapes = [
        (name, tuple(given.pop(name).shape), tuple(wanted.shape))
        for name, wanted in expected.items()
        if name in given and given[name].shape != wanted.shape
    ]
    missing = _missing_statistics(expected, given)
    state = OrderedDict(given)
    if weights.versions:
        # Where Detectron2's modules read how old a file is.
        versions = {name: {"version": number} for name, number in weights.versions.items()}
        state._metadata = versions  # type: ignore[attr-defined]
    try:
        left = model.load_state_dict(state, strict=False)
    except DAMAGE as error:
        text = " ".join(str(error).split())[:400]
        raise ModelError(f"{path} does not fit the config: {text}") from error
    wrong = {name for name, _, _ in shapes}
    shared = _loaded_under_another_name(model, set(left.missing_keys))
    missing += [name for name in left.missing_keys if name not in wrong | shared]
    missing = [name for name in missing if not name.endswith(_COUNTERS)]
    extra = [name for name in left.unexpected_keys if not name.endswith(_COUNTERS)]
    for name, found in _pairs_by_ends(missing, extra):
        missing.remove(name)
        extra.remove(found)
        shapes.append((name, tuple(given[found].shape), tuple(expected[name].shape)))
    if missing or extra or shapes:
        raise ModelError(_misfit(model, path, missing, extra, shapes))


def _take_out_what_the_config_gives(model: nn.Module, given: dict[str, Tensor], path: Path) -> None:
    buffers = dict(model.named_buffers())
    for name in [name for name in given if _FROM_CONFIG.search(name)]:
        value, wanted = given.pop(name).float(), buffers.get(name)
        if wanted is None:
            continue
        wanted = wanted.float()
        if value.numel() != wanted.numel() or not torch.allclose(
            value.flatten(), wanted.flatten(), rtol=1e-3, atol=1e-3
        ):
            raise ModelError(
                f"{path} does not fit the config: the weights were trained with {name} "
                f"{some(_numbers(value), 4)}, the config says {some(_numbers(wanted), 4)}"
            )


def _numbers(values: Tensor) -> list[str]:
    return [f"{value:g}" for value in values.flatten().tolist()]


def _missing_statistics(expected: dict[str, Tensor], given: dict[str, Tensor]) -> list[str]:
    """Statistics of frozen norms, which fills in what is missing without a word.

    Files from Caffe2 have none at all: there they are part of the weights.
    """
    if not any(name.endswith(_STATISTICS) for name in given):
        return []
    return [name for name in expected if name.endswith(_STATISTICS) and name not in given]


def _loaded_under_another_name(model: nn.Module, missing: set[str]) -> set[str]:
    """Names of tensors that the model has under several, one of which was in the file."""
    names: dict[int, set[str]] = {}
    for name, value in model.state_dict(keep_vars=True).items():
        names.setdefault(id(value), set()).add(name)
    return {name for same in names.values() if same - missing for name in same & missing}


def _pairs_by_ends(missing: list[str], extra: list[str]) -> list[tuple[str, str]]:
    """Names that Detectron2 would have matched, had the shapes been the same."""
    return [
        (name, found)
        for found in extra
        for name in [m for m in missing if m.endswith(f".{found}")][:1]
    ]


def _misfit(
    model: nn.Module,
    path: Path,
    missing: list[str],
    extra: list[str],
    shapes: list[tuple[str, tuple[int, ...], tuple[int, ...]]],
) -> str:
    problems = (
        ("missing", sorted(missing)),
        ("unknown to it", sorted(extra)),
        ("of another shape", [f"{n}: expected {want}, got {got}" for n, got, want in shapes]),
    )
    text = "; ".join(f"{what}: {some(names)}" for what, names in problems if names)
    hints = list(dict.fromkeys(_hints(model, missing, shapes)))
    return ". ".join([f"{path} does not fit the config: {text}", *hints])


def _hints(
    model: nn.Module,
    missing: list[str],
    shapes: list[tuple[str, tuple[int, ...], tuple[int, ...]]],
) -> Iterator[str]:
    for name, got, want in shapes:
        for pattern, more, key in _CLASSES:
            if re.search(pattern, name) and got[1:] == want[1:] and got and want:
                yield _hint_of_classes(got[0] - more, want[0] - more, key)
        classes = getattr(model, "num_classes", None)
        if (
            re.match(r"head\.cls_score\.", name)
            and isinstance(classes, int)
            and got[1:] == want[1:]
        ):
            anchors = want[0] // classes
            if got[0] % anchors == 0:
                yield _hint_of_classes(got[0] // anchors, classes, "MODEL.RETINANET.NUM_CLASSES")
    heads = [n for n, _ in model.named_parameters() if not n.startswith("backbone.")]
    if heads and set(heads) <= set(missing) and not shapes:
        yield "It holds a backbone alone: expected a trained model, with its heads"


def _hint_of_classes(got: int, want: int, key: str) -> str:
    return f"The weights have {got} classes, the config says {want}: set {key} to {got}"
