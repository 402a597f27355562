"""The Segment dock's run as text."""

from __future__ import annotations

from pathlib import Path

from ..settings import Settings
from .options import comments, of_settings, remarks, words
from .source import Source
from .text import IMPORT, call, literal, shell

#: Of results.
FOLDER = Path("results")


def segment_python(source: Source, settings: Settings) -> str:
    """Write Python that segments an image.

    Examples
    --------
    >>> print(segment_python(Source(Path("a.tif")), Settings(score_threshold=0.6)))
    import napari_instseg as nis
    <BLANKLINE>
    result = nis.segment('a.tif', score_threshold=0.6)
    """
    given = of_settings(settings)
    model = [literal(given.pop("model"))] if "model" in given else []
    line = call("nis.segment", source.argument, *model, **source.options, **given)
    return f"{IMPORT}{source.lines}result = {line}\n"


def segment_command(source: Source, settings: Settings, output: Path = FOLDER) -> str:
    """Write a command that segments an image into a folder."""
    given = of_settings(settings)
    arguments = [source.word, "--output", output, *source.words, *words(given)]
    line = shell(["napari-instseg", "segment", *arguments])
    return f"{comments([*source.remarks, *remarks(given)])}{line}\n"
