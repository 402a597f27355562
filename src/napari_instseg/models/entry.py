"""What is known of a model before it is loaded: strings and paths only."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ..promptable import USUAL_HABITS, Habits
from ..segmenter import ModelError, Segmenter

#: Called with what is done, what there is to do (0: unknown) and a message; may raise to stop.
Report: TypeAlias = Callable[[int, int, str], None]

#: The loaders ("module:function", see `ModelEntry`), and what each needs.
TORCHVISION = "napari_instseg.models.torchvision:load_segmenter"
TORCHVISION_REQUIRES = ("torch", "torchvision")
DETECTRON2 = "napari_instseg.models.detectron2.segmenter:load_segmenter"
DETECTRON2_REQUIRES = (*TORCHVISION_REQUIRES, "detectron2")
SAM = "napari_instseg.models.sam.segmenter:load_prompter"
SAM2 = "napari_instseg.models.sam2.segmenter:load_prompter"
#: Loaders of Segment Anything's families.
FAMILIES = {"SAM": SAM, "SAM 2": SAM2}
#: What a promptable model gives, in place of boxes and label images.
PROMPTS = "prompts"
CONFIG_SUFFIXES = (".yaml", ".yml")

BUILT_IN, ZOO, SEGMENT_ANYTHING, YOURS = GROUPS = ("built-in", "zoo", "segment-anything", "yours")
#: How to get what a model may need, by the module's name.
REMEDIES = {"detectron2": ("Detectron2", "napari-instseg install detectron2")}
INSTALL = 'pip install "napari-instseg[all]"'


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model by name.

    Parameters
    ----------
    name, title, description : str
    loader : str
        "module:function"; called as ``function(entry, device, precision, report)`` and gives
        the segmenter (or promptable segmenter) and the SHA-256 of its weights.
    path : Path
        The weights file, where it is or will be.
    sha256 : str, optional
        What the file must hash to; None if that is not known beforehand.
    license : str
    requires : tuple of str
        Modules that must be importable.
    group : {"built-in", "zoo", "segment-anything", "yours"}
    outputs : tuple of str
        What it gives: of "boxes", "instances", "semantic" and "panoptic"; a promptable model
        gives "prompts".
    dataset : str
        What it was trained on.
    size : int, optional
        Bytes of the weights; an estimate while they are not here.
    url : str
        Where the weights come from; "" if they cannot be downloaded.
    config : str
        Detectron2's description of the network: a name in its zoo, or the path of a YAML file.
    categories : Path, optional
        File with the names of the categories.
    diameter : float, optional
        Median object diameter (px) that it was trained on, if its files do not say so.
    habits : Habits
        Of a promptable model.
    """

    name: str
    title: str
    description: str
    loader: str
    path: Path
    sha256: str | None = None
    license: str = ""
    requires: tuple[str, ...] = TORCHVISION_REQUIRES
    group: str = BUILT_IN
    outputs: tuple[str, ...] = ("instances",)
    dataset: str = ""
    size: int | None = None
    url: str = ""
    config: str = ""
    categories: Path | None = None
    diameter: float | None = None
    habits: Habits = USUAL_HABITS

    @property
    def promptable(self) -> bool:
        """Whether it answers prompts, rather than finding objects by itself."""
        return PROMPTS in self.outputs

    @property
    def present(self) -> bool:
        """Whether the weights are on this machine."""
        return self.path.is_file()

    @property
    def ready(self) -> bool:
        """Whether it can run as things are, with no download."""
        return self.present and not self.absent_modules()

    def absent_modules(self) -> tuple[str, ...]:
        """Names of the required modules that are not installed."""
        return tuple(name for name in self.requires if not _is_installed(name))

    def missing(self) -> str:
        """Return "" if the model can run (after a download, if need be), else what to do."""
        absent = self.absent_modules()
        others = [name for name in absent if name not in REMEDIES]
        if others:
            return f"needs {', '.join(others)}: {INSTALL}"
        if absent:
            title, remedy = REMEDIES[absent[0]]
            return f"needs {title}: {remedy}"
        return "" if self.present or self.url else f"needs the file {self.path}"

    def load(self, device: str, precision: str, report: Report | None) -> tuple[Any, str]:
        """Call the loader, which imports the framework, downloads and reads the weights.

        Returns
        -------
        model : Segmenter or PromptSegmenter
        sha256 : str
            Of the weights file.

        Raises
        ------
        ModelError
            If something is missing, or the file is damaged.
        """
        missing = self.missing()
        if missing:
            raise ModelError(f"the model {self.name!r} {missing}")
        module, function = self.loader.split(":")
        loader: Callable[[ModelEntry, str, str, Report | None], tuple[Any, str]]
        loader = getattr(importlib.import_module(module), function)
        return loader(self, device, precision, report)


def _is_installed(module: str) -> bool:
    spec = importlib.util.find_spec(module)
    # A folder of that name on the path is not the package.
    return spec is not None and spec.origin is not None


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A segmenter, and what names it in a recipe.

    Parameters
    ----------
    segmenter : Segmenter
    name : str
    file, sha256 : str
        Name and SHA-256 of the weights file.
    config_sha256 : str
        SHA-256 of the user's own config, if there is one.
    """

    segmenter: Segmenter
    name: str
    file: str
    sha256: str
    config_sha256: str = ""

    @property
    def identity(self) -> dict[str, str]:
        """What names the model in a recipe, as values that JSON can hold."""
        config = {"config_sha256": self.config_sha256} if self.config_sha256 else {}
        return {"name": self.name, "file": self.file, "sha256": self.sha256, **config}
