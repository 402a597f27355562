"""The promptable models that can be picked, and how they are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..promptable import COMPACT_HABITS, PromptSegmenter
from ..segmenter import ModelError
from . import library, sam_files, sam_zoo
from .entry import FAMILIES, PROMPTS, SAM, YOURS, ModelEntry, Report
from .names import did_you_mean

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True, eq=False)
class LoadedPrompter:
    """A promptable model, and what names it in a recipe.

    Parameters
    ----------
    prompter : PromptSegmenter
    name : str
    file, sha256 : str
        Name and SHA-256 of the weights file.
    """

    prompter: PromptSegmenter
    name: str
    file: str
    sha256: str

    @property
    def identity(self) -> dict[str, str]:
        """What names the model in a recipe, as values that JSON can hold."""
        return {"name": self.name, "file": self.file, "sha256": self.sha256}


def built_in() -> ModelEntry:
    """Describe the promptable model that comes with the package."""
    path, digest = DATA / "sam-nuclei.safetensors", DATA / "sam-nuclei.sha256"
    return ModelEntry(
        name="sam-nuclei",
        title="Nuclei, by prompts",
        description="Small promptable model for nuclei in fluorescence, bright-field and H&E",
        loader=SAM,
        path=path,
        sha256=digest.read_text("ascii").strip() if digest.is_file() else None,
        license="BSD-3-Clause; trained on BBBC038v1 (CC0)",
        outputs=(PROMPTS,),
        dataset="BBBC038",
        size=path.stat().st_size if path.is_file() else None,
        habits=COMPACT_HABITS,
    )


def entries() -> tuple[ModelEntry, ...]:
    """List the promptable models: the built-in one, those to download, the user's own."""
    own = (entry for entry in library.entries() if entry.promptable)
    return (built_in(), *sam_zoo.entries(), *own)


def find(name: str) -> ModelEntry:
    """Find a promptable model by its name, or a checkpoint of Segment Anything by its path.

    Raises
    ------
    ModelError
        If there is none; the message says what there is.
    """
    own = [built_in(), *(entry for entry in library.entries() if entry.promptable)]
    for entry in own:
        if entry.name == name:
            return entry
    if sam_zoo.knows(name):
        return sam_zoo.find(name)
    path = Path(name).expanduser()
    if path.is_file():
        return of_file(path, name)
    hint = f"{did_you_mean(sam_zoo.suggest(name))} ".lstrip()
    raise ModelError(
        f"there is no promptable model {name!r}: {hint}expected one of "
        f"{[entry.name for entry in own]}, one that 'napari-instseg models --task prompts' lists, "
        "or the path of a checkpoint of Segment Anything (.pth, .pt, .safetensors)"
    )


def of_file(path: Path, name: str) -> ModelEntry:
    """Describe a checkpoint of the user's own.

    Raises
    ------
    ModelError
        If it is none of Segment Anything's families.
    """
    family = sam_files.family_of(path)
    if family is None:
        raise ModelError(
            f"{path}: expected a checkpoint of Segment Anything (SAM, MobileSAM, micro-sam, "
            "SAM 2.1), with tensors named mask_decoder.transformer... or sam_mask_decoder...; "
            "found none of these"
        )
    return ModelEntry(
        name=name,
        title=path.stem,
        description="Your own promptable model",
        loader=FAMILIES[family],
        path=path,
        group=YOURS,
        outputs=(PROMPTS,),
    )


def load(
    name: str = "sam-nuclei",
    device: str = "auto",
    *,
    precision: str = "auto",
    report: Report | None = None,
) -> LoadedPrompter:
    """Load a promptable model: imports its framework, downloads and reads its weights.

    Parameters
    ----------
    name : str
        See `find`.
    device : str
        "auto" or a torch device.
    precision : {"auto", "float32", "half"}
        Number format of the network; see `Settings`.
    report : callable, optional
        Told of a download's progress; see `downloads.fetch`.

    Raises
    ------
    ModelError
        If the model is unknown, needs something that is missing, or its file is damaged.
    """
    entry = find(name)
    prompter, digest = entry.load(device, precision, report)
    return LoadedPrompter(prompter, entry.name, entry.path.name, digest)
