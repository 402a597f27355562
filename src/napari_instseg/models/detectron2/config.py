"""Read Detectron2's YAML configs without running anything that is in them.

Detectron2's own reader evaluates Python in a config and follows `_BASE_` to any file or URL; it
is never reached from here. What does run is `$DETECTRON2_ENV_MODULE`, when Detectron2 is
imported: it is the user's own environment, which no file can set.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...segmenter import ModelError
from ..untrusted import DAMAGE
from ..weights import some
from . import bridges
from .config_files import ConfigFiles, zoo_folder
from .support import check_support, newer_backbone

#: Keys of Detectron2's main branch that change nothing in a network as 0.6 builds it, with their
#: defaults there; `check_support` looks at the one that would.
NEWER_KEYS = {
    "DATALOADER.REPEAT_SQRT": True,
    "FLOAT32_PRECISION": "",
    "MODEL.ROI_BOX_HEAD.FED_LOSS_FREQ_WEIGHT_POWER": 0.5,
    "MODEL.ROI_BOX_HEAD.FED_LOSS_NUM_CLASSES": 50,
    "MODEL.ROI_BOX_HEAD.USE_FED_LOSS": False,
    "MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE": False,
    "SOLVER.BASE_LR_END": 0.0,
    "SOLVER.NUM_DECAYS": 3,
    "SOLVER.RESCALE_INTERVAL": False,
}
#: Which projects' keys a config may use, the plainest first.
_PROJECTS: tuple[tuple[str, ...], ...] = (
    (),
    ("point_rend",),
    ("deeplab",),
    ("panoptic_deeplab",),
    ("point_rend", "deeplab"),
    ("point_rend", "panoptic_deeplab"),
)
#: Words in the names of a model's parts, and the projects one of which has them.
_MARKS = {
    "pointrend": ("point_rend",),
    "deeplab": ("deeplab", "panoptic_deeplab"),
    "panopticdeeplab": ("panoptic_deeplab",),
}


def read_config(path: Path) -> Any:
    """Read a user's config.

    Parameters
    ----------
    path : Path
        YAML; a ``_BASE_`` in it must be a relative path inside its folder, or a file of
        Detectron2's zoo.

    Returns
    -------
    detectron2.config.CfgNode
        Complete, with MODEL.DEVICE "cpu" and MODEL.WEIGHTS "" (weights are given by path).

    Raises
    ------
    ModelError
        If the file is missing, wants to run code or to read elsewhere, holds keys that this
        Detectron2 does not know, or describes a model that cannot be run here.
    """
    bridges.load()
    path = Path(path).expanduser()
    folder = path.parent.resolve()
    return _merged(ConfigFiles(folder).read(folder / path.name), path)


def zoo_config(name: str) -> Any:
    """Read a config of Detectron2's own zoo.

    Parameters
    ----------
    name : str
        Such as "COCO-Detection/retinanet_R_50_FPN_1x.yaml", with or without ".yaml".

    Returns
    -------
    detectron2.config.CfgNode
        As of `read_config`.

    Raises
    ------
    ModelError
        If there is none of this name, or its model cannot be run here.
    """
    bridges.load()
    folder = zoo_folder()
    path = (folder / f"{name.removesuffix('.yaml')}.yaml").resolve()
    if not path.is_relative_to(folder) or not path.is_file():
        raise ModelError(
            f"Detectron2's zoo at {folder} has no config {name!r}: 'napari-instseg models list' "
            "shows what there is"
        )
    return _merged(ConfigFiles(folder).read(path), path)


def _merged(values: dict[str, Any], path: Path) -> Any:
    """Fill a complete config, as Detectron2's ``merge_from_file`` does."""
    from detectron2.config import CfgNode, downgrade_config, upgrade_config

    try:
        loaded = CfgNode(values)
        cfg = _fitting(loaded)
        version = _version(loaded, cfg.VERSION, path)
        if version != cfg.VERSION:
            cfg = downgrade_config(cfg, to_version=version)
        unknown = list(_unknown(loaded, cfg))
        if unknown:
            raise ModelError(_says_unknown(unknown, path))
        cfg.merge_from_other_cfg(loaded)
        cfg = upgrade_config(cfg)
    except DAMAGE as error:
        raise ModelError(f"{path} is no valid Detectron2 config: {error}") from error
    check_support(cfg, path)
    cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS = "cpu", ""
    return cfg


def _version(loaded: Any, latest: int, path: Path) -> int:
    from detectron2.config.compat import guess_version

    version = loaded.get("VERSION")
    if version is None:
        return int(guess_version(loaded, str(path)))
    if type(version) is not int or not 0 <= version <= latest:
        raise ModelError(f"{path} has the VERSION {version!r}: expected 0 to {latest}")
    return version


def _fitting(loaded: Any) -> Any:
    """Detectron2's defaults, with the keys of those of its projects that the config uses."""
    parts = " ".join(
        str(value).lower() for key, value in _leaves(loaded) if key.endswith(("NAME", "TECTURE"))
    )
    needed = [names for part, names in _MARKS.items() if part in parts]
    best, fewest = None, 0
    for names in _PROJECTS:
        if all(any(name in names for name in some_of) for some_of in needed):
            cfg = _defaults(names)
            unknown = len(list(_unknown(loaded, cfg)))
            if best is None or unknown < fewest:
                best, fewest = cfg, unknown
            if not unknown:
                break
    return best


def _defaults(projects: tuple[str, ...]) -> Any:
    from detectron2 import projects as folder
    from detectron2.config import get_cfg

    cfg = get_cfg()
    for project in projects:
        name = f"add_{project.replace('point_rend', 'pointrend')}_config"
        getattr(getattr(folder, project), name)(cfg)
    for key, default in NEWER_KEYS.items():
        *sections, last = key.split(".")
        section = cfg
        for part in sections:
            section = section[part]
        section.setdefault(last, default)
    return cfg


def _leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _unknown(loaded: Any, cfg: Any, prefix: str = "") -> Iterator[str]:
    """Keys that a config sets and Detectron2 has not."""
    for key, value in loaded.items():
        if key not in cfg:
            yield prefix + key
        elif isinstance(value, dict) and isinstance(cfg[key], dict):
            yield from _unknown(value, cfg[key], f"{prefix}{key}.")


def _says_unknown(keys: list[str], path: Path) -> str:
    import detectron2

    text = (
        f"{path} sets {some(keys)}, which Detectron2 {detectron2.__version__} does not know: its "
        "model may need code that this file does not bring"
    )
    return f"{text}. {newer_backbone(' '.join(keys))}".rstrip(". ")
