"""The Batch dock's run as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..settings import MODEL_FIELDS, Settings
from .options import comments, of_settings, remarks, words
from .text import IMPORT, call, literal, shell


def batch_python(
    images: Mapping[str, Path],
    output: Path,
    settings: Settings,
    *,
    axes: str | None = None,
    format: str | None = None,
    anew: bool = False,
) -> str:
    """Write Python that segments files into a folder.

    Parameters
    ----------
    images : mapping of str to Path
        By the name that results get.
    output : Path
    settings : Settings
    axes, format : str, optional
        Of all images; of the results.
    anew : bool
        Whether unfinished runs that are there are begun anew.
    """
    given = of_settings(settings)
    model = {name: given.pop(name) for name in MODEL_FIELDS if name in given}
    name = [literal(model.pop("model"))] if "model" in model else []
    loader = call("nis.load_model", *name, **model)
    options = {
        **({} if axes is None else {"axes": axes}),
        **({} if format is None else {"format": format}),
        **({"existing": "replace"} if anew else {}),
    }
    lines = "".join(f"    {literal(name)}: {literal(path)},\n" for name, path in images.items())
    body = call("nis.segment_to", literal(output), "path", "model", "stem=name", **options, **given)
    indented = body.replace("\n", "\n    ")
    return (
        f"{IMPORT}model = {loader}\nimages = {{\n{lines}}}\n"
        f"for name, path in images.items():\n    {indented}\n"
    )


def batch_command(
    texts: Sequence[str],
    output: Path,
    settings: Settings,
    *,
    axes: str | None = None,
    format: str | None = None,
    recipe: str = "",
    anew: bool = False,
) -> str:
    """Write a command that segments files, folders and patterns into a folder.

    Parameters
    ----------
    texts : sequence of str
    recipe : str
        Path of a recipe, whose settings are taken instead; "" for none.
    anew : bool
        Whether results that are there are replaced; else those images are left out.
    output, settings, axes, format
        See `batch_python`.
    """
    given = {} if recipe else of_settings(settings)
    arguments = [*texts, "--output", output]
    arguments += ["--recipe", recipe] if recipe else []
    arguments += ["--axes", axes] if axes else []
    arguments += ["--format", format] if format else []
    arguments += [*words(given), "--overwrite" if anew else "--resume"]
    line = shell(["napari-instseg", "segment", *arguments])
    return f"{comments(remarks(given))}{line}\n"
