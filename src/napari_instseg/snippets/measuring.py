"""What measures ``labels``, or a replayed result, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .options import comments
from .recipe import AGAIN
from .source import Source
from .text import call, literal, shell


def measure_python(images: Sequence[Source], spacing: Mapping[str, float]) -> str:
    """Write Python that measures ``labels``.

    Parameters
    ----------
    images : sequence of Source
        Whose grey values are measured.
    spacing : mapping of str to float
        µm per pixel by axis letter; empty: unknown.

    Examples
    --------
    >>> print(measure_python([Source(layer="cells")], {"Y": 0.5, "X": 0.5}), end="")
    table = nis.measure(labels, [viewer.layers['cells']], spacing={'Y': 0.5, 'X': 0.5})
    """
    # A file is read with its own axes.
    codes = [
        source.code if source.path is None or source.axes else literal(source.path)
        for source in images
    ]
    known = {"spacing": dict(spacing)} if spacing else {}
    return call("table = nis.measure", "labels", f"[{', '.join(codes)}]", **known) + "\n"


def measure_command(images: Sequence[Source], spacing: Mapping[str, float]) -> str:
    """Write a command that measures what was replayed; images without a file are named.

    Examples
    --------
    >>> print(measure_command([Source(layer="cells")], {}), end="")
    # not measured: viewer.layers['cells'], which is in no file with the same axes
    napari-instseg measure replayed --output replayed/measured.csv
    """
    read = [source for source in images if source.path is not None and not source.axes]
    notes = [
        f"not measured: {source.code}, which is in no file with the same axes"
        for source in images
        if source not in read
    ]
    given = [word for source in read for word in ("--image", source.word)]
    sizes = Source(spacing=spacing).words
    line = ["napari-instseg", "measure", AGAIN, *given, *sizes, "--output", AGAIN / "measured.csv"]
    return f"{comments(notes)}{shell(line)}\n"
