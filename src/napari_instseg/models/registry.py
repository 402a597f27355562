"""The models that can be picked: strings only, so that listing them is instant."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..segmenter import ModelError, Segmenter

if TYPE_CHECKING:
    import pandas as pd

DATA = Path(__file__).parent / "data"
INSTALL = 'pip install "napari-instseg[all]"'
SUFFIX = ".safetensors"


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model by name.

    Parameters
    ----------
    name, title, description : str
    loader : str
        "module:function"; called as ``function(path, device, sha256)`` and gives the
        segmenter and the file's SHA-256.
    path : Path
        The weights file.
    sha256 : str, optional
        What the file must hash to; None for a user's own file.
    license : str
    requires : tuple of str
        Modules that must be importable.
    """

    name: str
    title: str
    description: str
    loader: str
    path: Path
    sha256: str | None = None
    license: str = ""
    requires: tuple[str, ...] = ("torch", "torchvision")

    def missing(self) -> str:
        """Return "" if the model can run, else what to do."""
        absent = [name for name in self.requires if importlib.util.find_spec(name) is None]
        if absent:
            return f"needs {', '.join(absent)}: {INSTALL}"
        return "" if self.path.is_file() else f"needs the file {self.path}"


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A segmenter, and what names it in a recipe."""

    segmenter: Segmenter
    name: str
    file: str
    sha256: str

    @property
    def identity(self) -> dict[str, str]:
        """Name, file name and SHA-256, for the recipe."""
        return {"name": self.name, "file": self.file, "sha256": self.sha256}


def entries() -> tuple[ModelEntry, ...]:
    """List the registered models, the built-in one first."""
    return (
        ModelEntry(
            name="nuclei",
            title="Nuclei (built in)",
            description="Nuclei in fluorescence, bright-field and H&E images",
            loader="napari_instseg.models.torchvision:load_segmenter",
            path=DATA / "nuclei.safetensors",
            sha256=(DATA / "nuclei.sha256").read_text("ascii").strip(),
            license="BSD-3-Clause; trained on BBBC038v1 (CC0)",
        ),
    )


def table() -> pd.DataFrame:
    """List the models: name, title, description, needs ("" if ready), license."""
    import pandas as pd

    columns = ("name", "title", "description", "needs", "license")
    rows = [(e.name, e.title, e.description, e.missing(), e.license) for e in entries()]
    return pd.DataFrame(rows, columns=columns)


def find(name: str) -> ModelEntry:
    """Find a model by its name, or a user's own by the path of its weights file.

    Raises
    ------
    ModelError
        If there is none; the message lists what there is.
    """
    known = entries()
    for entry in known:
        if entry.name == name:
            return entry
    path = Path(name).expanduser()
    if path.suffix == SUFFIX or path.is_file():
        return ModelEntry(
            name=name,
            title=path.stem,
            description="Your own weights",
            loader="napari_instseg.models.torchvision:load_segmenter",
            path=path,
        )
    raise ModelError(
        f"there is no model {name!r}: expected one of {[e.name for e in known]} or the path of "
        f"a {SUFFIX} file written by 'napari-instseg train'"
    )


def load(name: str, device: str = "auto") -> LoadedModel:
    """Load a model: imports its framework and reads its weights.

    Parameters
    ----------
    name : str
        A registered name, or the path of a weights file.
    device : str
        "auto" or a torch device.

    Raises
    ------
    ModelError
        If the model is unknown, needs something that is missing, or its file is damaged.
    """
    entry = find(name)
    missing = entry.missing()
    if missing:
        raise ModelError(f"the model {entry.name!r} {missing}")
    module, function = entry.loader.split(":")
    loader: Callable[[Path, str, str | None], tuple[Segmenter, str]]
    loader = getattr(importlib.import_module(module), function)
    segmenter, digest = loader(entry.path, device, entry.sha256)
    return LoadedModel(segmenter, entry.name, entry.path.name, digest)
