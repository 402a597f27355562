"""The models that can be picked: strings only, so that listing them is instant."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..segmenter import ModelError
from ..settings import Settings
from . import config_text, library, prompters, sam_zoo, zoo
from .downloads import file_sha256
from .entry import (
    CONFIG_SUFFIXES,
    DETECTRON2,
    DETECTRON2_REQUIRES,
    TORCHVISION,
    YOURS,
    LoadedModel,
    ModelEntry,
    Report,
)
from .names import did_you_mean

if TYPE_CHECKING:
    import pandas as pd

DATA = Path(__file__).parent / "data"
SUFFIX = ".safetensors"


def built_in() -> ModelEntry:
    """Describe the model that comes with the package."""
    path = DATA / "nuclei.safetensors"
    return ModelEntry(
        name="nuclei",
        title="Nuclei",
        description="Nuclei in fluorescence, bright-field and H&E images",
        loader=TORCHVISION,
        path=path,
        sha256=(DATA / "nuclei.sha256").read_text("ascii").strip(),
        license="BSD-3-Clause; trained on BBBC038v1 (CC0)",
        dataset="BBBC038",
        size=path.stat().st_size if path.is_file() else None,
    )


def entries() -> tuple[ModelEntry, ...]:
    """List all models: the built-in ones, those to download, then the user's own."""
    return (
        *(built_in(), prompters.built_in()),
        *(*zoo.entries(), *sam_zoo.entries()),
        *library.entries(),
    )


def segmenters() -> tuple[ModelEntry, ...]:
    """List the models that find objects by themselves; see `prompters.entries` for the others."""
    return tuple(entry for entry in entries() if not entry.promptable)


def table() -> pd.DataFrame:
    """List the models: name, title, description, group, needs ("" if ready), license, ..."""
    import pandas as pd

    rows = [
        {
            "name": e.name,
            "title": e.title,
            "group": e.group,
            "outputs": ", ".join(e.outputs),
            "trained_on": e.dataset,
            "size_mb": None if e.size is None else round(e.size / 1e6, 1),
            "here": e.present,
            "needs": e.missing(),
            "license": e.license,
            "description": e.description,
        }
        for e in entries()
    ]
    return pd.DataFrame(rows)


def find(name: str, weights: str | None = None, categories: str | None = None) -> ModelEntry:
    """Find a model by its name, or a user's own by the paths of its files.

    Parameters
    ----------
    name : str
        A registered name (of the zoo also without its folder, where that is clear), the path
        of a weights file of ours, or of a Detectron2 config (YAML).
    weights : str, optional
        Path of the checkpoint that belongs to a config; with a name of the zoo, in place of
        its own.
    categories : str, optional
        Path of a file with the categories' names.

    Raises
    ------
    ModelError
        If there is none; the message says what there is.
    """
    path = Path(name).expanduser()
    if path.suffix.lower() in CONFIG_SUFFIXES and (path.is_file() or not zoo.knows(name)):
        return _own_config(name, path, weights, categories)
    if path.suffix.lower() == ".py":
        raise ModelError(
            f"{name}: a config that is Python code (LazyConfig) is not run, since it could do "
            "anything; expected a Detectron2 config in YAML"
        )
    if weights is not None or categories is not None:
        return _on_zoo_config(name, weights, categories)
    for entry in (built_in(), prompters.built_in(), *library.entries()):
        if entry.name == name:
            return entry
    if zoo.knows(name):
        return zoo.find(name)
    if sam_zoo.knows(name):
        return sam_zoo.find(name)
    if path.suffix == SUFFIX or path.is_file():
        return ModelEntry(
            name=name,
            title=path.stem,
            description="Your own weights",
            loader=TORCHVISION,
            path=path,
            group=YOURS,
        )
    raise ModelError(_unknown(name))


def _own_config(name: str, path: Path, weights: str | None, categories: str | None) -> ModelEntry:
    if not path.is_file():
        raise ModelError(f"expected a Detectron2 config at {path}; there is none")
    if weights is None:
        raise ModelError(
            f"{name}: expected the checkpoint (.pth or .pkl) that belongs to this config, too: "
            "weights='model.pth' in Python, --weights model.pth on the command line"
        )
    return ModelEntry(
        name=name,
        title=path.stem,
        description="Your own Detectron2 model",
        loader=DETECTRON2,
        path=Path(weights).expanduser(),
        requires=DETECTRON2_REQUIRES,
        group=YOURS,
        outputs=config_text.outputs_of(path),
        config=str(path.resolve()),
        categories=_path(categories),
    )


def _on_zoo_config(name: str, weights: str | None, categories: str | None) -> ModelEntry:
    """A model of the zoo with other weights, or other names."""
    if not zoo.knows(name):
        raise ModelError(
            f"weights and categories go with a Detectron2 config (.yaml) or the name of a model of "
            f"its zoo, not with {name!r}"
        )
    entry = replace(zoo.find(name), categories=_path(categories))
    own = _path(weights)
    return entry if own is None else replace(entry, path=own, url="", group=YOURS, license="")


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text).expanduser()


def _unknown(name: str) -> str:
    own = [built_in().name, *(entry.name for entry in library.entries())]
    hint = f"{did_you_mean(zoo.suggest(name))} ".lstrip()
    return (
        f"there is no model {name!r}: {hint}expected one of {own}, a model of Detectron2's zoo "
        f"('napari-instseg models' lists them), the path of a {SUFFIX} file written by "
        "'napari-instseg train', or of a Detectron2 config (.yaml)"
    )


def load(
    name: str,
    device: str = "auto",
    *,
    precision: str = "auto",
    weights: str | None = None,
    categories: str | None = None,
    report: Report | None = None,
) -> LoadedModel:
    """Load a model: imports its framework, downloads and reads its weights.

    Parameters
    ----------
    name, weights, categories : str
        See `find`.
    device : str
        "auto" or a torch device.
    precision : {"auto", "float32", "half"}
        Number format of the network; see `Settings`.
    report : callable, optional
        Told of a download's progress: bytes done, bytes in all, a message. What it raises
        stops the download; the next one goes on from there.

    Raises
    ------
    ModelError
        If the model is unknown, needs something that is missing, or its file is damaged.
    """
    entry = find(name, weights, categories)
    if entry.promptable:
        raise ModelError(
            f"the model {entry.name!r} answers prompts: use PromptSession(image, {entry.name!r}), "
            "or 'napari-instseg everything' and 'prompt'"
        )
    segmenter, digest = entry.load(device, precision, report)
    own_config = Path(entry.config)
    config = file_sha256(own_config) if own_config.is_absolute() else ""
    return LoadedModel(segmenter, entry.name, entry.path.name, digest, config)


def load_for(settings: Settings, report: Report | None = None) -> LoadedModel:
    """Load the model that settings ask for; see `load`."""
    return load(
        settings.model,
        settings.device,
        precision=settings.precision,
        weights=settings.weights,
        categories=settings.categories,
        report=report,
    )
