"""A recipe as text: what makes its labels again, corrections by hand included."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..io.formats.names import file_stem
from ..io.records import RECIPE, VIEW
from ..label_set import EDITS
from ..ops.editing.registry import read_entry
from ..prompting.options import FIELDS
from ..segmenter import InputError
from ..settings import Settings
from .everything import MODEL
from .options import comments, of_session, remarks, words
from .segment import FOLDER, segment_python
from .source import Source
from .text import IMPORT, call, literal, shell

#: Longer lines, and commands, read the recipe instead; characters.
LONGEST, LONGEST_COMMAND = 40_000, 6_000
#: Where a replayed result goes.
AGAIN = Path("replayed")
#: Keys of recipes of other runs than those of `segment` and of prompts.
OTHERS = ("everything", "refine", VIEW)
#: Settings that mean nothing to painted objects.
UNUSED = ("outputs", "score_threshold")
#: What prompts say if it is not said.
UNSAID: dict[str, Any] = {"plane": [], "points": [], "labels": [], "box": None, "mask": None}


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a recipe is.

    Parameters
    ----------
    layer : str
        Name of the Labels layer in the viewer.
    path : Path, optional
        Its file, if that says the same.
    """

    layer: str
    path: Path | None = None

    @property
    def code(self) -> str:
        """The recipe as an argument."""
        if self.path is not None:
            return literal(self.path)
        return f"viewer.layers[{literal(self.layer)}].metadata['napari_instseg']"

    @property
    def export(self) -> str:
        """Python that writes it."""
        return f"nis.export(viewer.layers[{literal(self.layer)}], {literal(FOLDER)}, 'result')"

    @property
    def file(self) -> Path:
        """Its file, once it is written."""
        return self.path or FOLDER / f"{file_stem(self.layer)}_{RECIPE}"


def recipe_python(recipe: Mapping[str, Any], source: Source, kept: Kept) -> str:
    """Write Python that makes the labels of a recipe again.

    Parameters
    ----------
    recipe : mapping
    source : Source
        Its image.
    kept : Kept

    Returns
    -------
    str
        The run and an edit a line; of runs that take more than that, and of long lists, a call of
        `replay`.

    Raises
    ------
    InputError
        If nothing makes them again.
    """
    _check(recipe)
    edits = recipe.get(EDITS) or ()
    # `replay` says that a run was stopped before its end.
    if not set(OTHERS) & set(recipe) and recipe.get("complete") is not False:
        text = _made(recipe, source) + edits_python(edits)
        if len(text) <= LONGEST:
            return text
    where = "" if kept.path else "# The recipe is in the layer: run this in napari's console.\n"
    again = call("nis.replay", kept.code, source.argument)
    return f"{IMPORT}{source.lines}{where}labels = {again}\n"


def _check(recipe: Mapping[str, Any]) -> None:
    """Refuse a recipe that `replay` refuses."""
    if "refine" in recipe and not isinstance(recipe.get("detector"), Mapping):
        raise InputError(
            "the objects that were drawn anew came from a layer or a file, which the recipe does "
            "not hold: save the labels as they are"
        )


def _made(recipe: Mapping[str, Any], source: Source) -> str:
    """The run of a recipe, without its edits."""
    settings = Settings.from_json(recipe["settings"])
    if "prompts" not in recipe:
        return f"{segment_python(source, settings)}labels = result.label_set\n"
    model = [] if settings.model == MODEL else [literal(settings.model)]
    options = {**source.options, **_session(settings)}
    opened = call("nis.PromptSession", source.argument, *model, **options)
    lines = "".join(f"    {literal(_short(one))},\n" for one in recipe["prompts"])
    return f"{IMPORT}{source.lines}session = {opened}\nlabels = session.draw([\n{lines}])\n"


def edits_python(edits: Any) -> str:
    """Write Python that makes the edits of a log in ``labels``."""
    if not edits:
        return ""
    pairs = [read_entry(entry) for entry in edits]
    lines = [call("editor.apply", literal(name), **values) for name, values in pairs]
    return "\n".join(["editor = nis.Editor(labels)", *lines, "labels = editor.labels", ""])


def recipe_command(recipe: Mapping[str, Any], source: Source, kept: Kept) -> str:
    """Write a command that does so: of a few prompts as such, else with the recipe's file.

    Raises
    ------
    InputError
        If nothing makes them again.
    """
    _check(recipe)
    if kept.path is None and "prompts" in recipe and EDITS not in recipe:
        settings = Settings.from_json(recipe["settings"])
        given = {k: v for k, v in _session(settings).items() if k not in UNUSED}
        prompts = json.dumps([_short(one) for one in recipe["prompts"]])
        model = [] if settings.model == MODEL else ["--model", settings.model]
        asked = [*source.words, *model, *words(given), "--prompts", prompts]
        line = shell(["napari-instseg", "prompt", source.word, "--output", FOLDER, *asked])
        if len(line) <= LONGEST_COMMAND:
            return f"{comments([*source.remarks, *remarks(given)])}{line}\n"
    # The recipe knows axes and pixel sizes.
    notes = source.remarks[: source.path is None]
    if kept.path is None:
        told = "the recipe is in no file: write it first, in napari's console"
        notes.append(f"{told}: {kept.export}")
    arguments = [kept.file, "--input", source.word, "--output", AGAIN]
    return f"{comments(notes)}{shell(['napari-instseg', 'replay', *arguments])}\n"


def labels_python(path: Path, edits: Any) -> str:
    """Write Python that makes edits of a label image that no run made.

    Examples
    --------
    >>> print(labels_python(Path("a.tif"), [{"edit": "delete", "ids": [7]}]))
    import napari_instseg as nis
    <BLANKLINE>
    labels = nis.read_labels('a.tif')
    editor = nis.Editor(labels)
    editor.apply('delete', ids=[7])
    labels = editor.labels
    <BLANKLINE>
    """
    text = f"{IMPORT}labels = {call('nis.read_labels', literal(path))}\n{edits_python(edits)}"
    if len(text) > LONGEST:
        raise InputError(
            f"{len(edits)} edits are too many to be copied as lines: save the labels as they are"
        )
    return text


def _session(settings: Settings) -> dict[str, Any]:
    return of_session({name: getattr(settings, name) for name in FIELDS})


def _short(prompt: Mapping[str, Any]) -> dict[str, Any]:
    """A prompt without what goes without saying."""
    found = {k: v for k, v in prompt.items() if k not in UNSAID or v != UNSAID[k]}
    if all(found.get("labels", ())):
        found.pop("labels", None)
    if (found.get("category"), found.get("category_id")) == ("object", 1):
        del found["category"], found["category_id"]
    if "corrects" in found:
        found["corrects"] = _short(found["corrects"])
    return dict(sorted(found.items(), key=lambda pair: pair[0] != "index"))
