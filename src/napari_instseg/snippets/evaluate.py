"""The Evaluate dock's comparison as text."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from ..evaluation import Options
from .options import comments
from .text import IMPORT, call, literal, number, shell

#: A side: the name of a layer, or a folder.
Side = str | Path
#: What layers are called once they are saved.
FILES = ("predicted.tif", "truth.tif")


def evaluate_python(predicted: Side, truth: Side, options: Options) -> str:
    """Write Python that compares two layers, or two folders.

    Parameters
    ----------
    predicted, truth : str or Path
        Names of layers in napari's viewer, or folders.
    options : Options
    """
    note = comments(["The labels are in the viewer: run this in napari's console."])
    head = f"{IMPORT}{note if isinstance(truth, str) else ''}"
    sides = (
        f"viewer.layers[{literal(side)}]" if isinstance(side, str) else literal(side)
        for side in (predicted, truth)
    )
    return f"{head}report = {call('nis.evaluate', *sides, **_chosen(options))}\nprint(report)\n"


def evaluate_command(predicted: Side, truth: Side, options: Options) -> str:
    """Write a command that does so; layers must be saved first."""
    notes, words = [], []
    for side, file in zip((predicted, truth), FILES, strict=True):
        words.append(file if isinstance(side, str) else str(side))
        if isinstance(side, str):
            notes.append(
                f"viewer.layers[{literal(side)}]: save it as {file} first (File > Save Selected "
                "Layers); categories and scores are lost, unless it is a result of ours on disk"
            )
    for name, value in _chosen(options).items():
        if name == "thresholds":
            words += ["--iou", number(value[0])]
        elif name == "poor_below":
            words += ["--poor", number(value)]
        elif isinstance(value, bool):
            words.append(f"--{'' if value else 'no-'}{name}")
        else:
            words += [f"--{name}", str(value)]
    return f"{comments(notes)}{shell(['napari-instseg', 'evaluate', *words])}\n"


def _chosen(options: Options) -> dict[str, Any]:
    """Options that are not as they are by default."""
    usual = Options()
    pairs = {one.name: getattr(options, one.name) for one in fields(options)}
    return {name: value for name, value in pairs.items() if value != getattr(usual, name)}
