"""The Segment everything dock's run as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..prompting.everything_settings import EverythingSettings
from ..prompting.refine_settings import RefineSettings
from ..settings import Settings
from .options import chosen, comments, of_session, of_settings, remarks, words
from .segment import FOLDER
from .source import Source
from .text import IMPORT, call, literal, shell

MODEL, DETECTOR = "sam-nuclei", "nuclei"
#: Fields of `EverythingSettings` that are options of the command.
OPTIONS = (
    *("mode", "points_per_side", "min_predicted_iou", "min_stability", "nms", "levels"),
    *("min_area", "max_area", "overlapping"),
)
#: Fields of `Settings` that a detector sees as the promptable model does.
ALIKE = ("channels", "colors", "percentiles", "limits", "invert", "device", "precision")


@dataclass(frozen=True, slots=True)
class Everything:
    """What is asked, of which model, and where.

    Parameters
    ----------
    model : str
        The promptable one.
    options : mapping
        Of the session: fields of `Settings` that were chosen; those of tiles, and a diameter,
        only where they are not automatic.
    asked : EverythingSettings, Settings or str
        A grid of points; or a detector; or code that gives labels.
    usual : EverythingSettings
        What the model does well with.
    refine : RefineSettings
        How objects of a detector or of labels become prompts.
    planes : tuple of tuple of int, optional
    region : (slice, slice), optional
        Where it is asked; None: all over.
    """

    model: str
    options: Mapping[str, Any]
    asked: EverythingSettings | Settings | str
    usual: EverythingSettings = field(default_factory=EverythingSettings)
    refine: RefineSettings = field(default_factory=RefineSettings)
    planes: tuple[tuple[int, ...], ...] | None = None
    region: tuple[slice, slice] | None = None

    @property
    def session(self) -> dict[str, Any]:
        """Fields of the session that are not as they are by default."""
        return of_session(self.options)

    @property
    def place(self) -> dict[str, Any]:
        """Where it is asked."""
        named = {"region": self.region, "planes": None if self.planes is None else [*self.planes]}
        return {name: value for name, value in named.items() if value is not None}


def everything_python(source: Source, what: Everything) -> str:
    """Write Python that asks a promptable model all over an image, or at objects."""
    model = [] if what.model == MODEL else [literal(what.model)]
    opened = call("nis.PromptSession", source.argument, *model, **source.options, **what.session)
    begin = f"{IMPORT}{source.lines}session = {opened}\n"
    if isinstance(what.asked, EverythingSettings):
        given = chosen(what.asked, what.usual)
        return f"{begin}result = {call('session.everything', **what.place, **given)}\n"
    refined = chosen(what.refine, RefineSettings())
    if isinstance(what.asked, str):
        asked = call("session.refine", what.asked, kind="labels", **refined)
        return f"{begin}result = {asked}\n"
    given = of_settings(what.asked)
    name = [literal(given.pop("model"))] if "model" in given else []
    found = call("nis.segment", source.argument, *name, **source.options, **given)
    asked = call("session.refine", "detected", **refined)
    note = comments(["all of the image: segment() takes no part of it"]) if what.place else ""
    return f"{begin}{note}detected = {found}\nresult = {asked}\n"


def everything_command(source: Source, what: Everything, output: Path = FOLDER) -> str:
    """Write a command that does so, and what it cannot be told."""
    notes = [*source.remarks, *remarks(what.session)]
    if what.place:
        notes.append("all of the image: the command takes no part of it")
    given = dict(what.session)
    arguments: list[object] = [source.word, "--output", output, *source.words]
    arguments += [] if what.model == MODEL else ["--model", what.model]
    outputs = given.pop("outputs", None)
    if outputs:
        notes.append("the command writes instances only")
    arguments += words(given)
    if isinstance(what.asked, EverythingSettings):
        differing = chosen(what.asked, what.usual)
        arguments += words({name: differing[name] for name in OPTIONS if name in differing})
    elif isinstance(what.asked, Settings):
        arguments += ["--prompts", "detector"]
        arguments += [] if what.asked.model == DETECTOR else ["--detector", what.asked.model]
        others = {k for k in of_settings(what.asked) if k not in (*ALIKE, "model", "outputs")}
        others |= set(chosen(what.refine, RefineSettings()))
        if others:
            notes.append(f"no options for the detector's {', '.join(sorted(others))}")
    else:
        notes.append("a grid of points: the command takes no objects of a layer")
    line = shell(["napari-instseg", "everything", *arguments])
    return f"{comments(notes)}{line}\n"
