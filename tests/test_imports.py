"""What must stay unloaded until it is needed: torch, napari, Qt."""

from __future__ import annotations

import subprocess
import sys

import pytest

import napari_instseg

HEAVY = ("torch", "torchvision", "napari", "qtpy", "magicgui", "PyQt6", "skimage", "pandas")
#: Segmenter types and tables need NumPy and pandas; nothing here needs more.
STATEMENTS = {
    "import napari_instseg": HEAVY,
    "from napari_instseg import Settings": HEAVY,
    "from napari_instseg import Instances, Mask, Category, InputError": HEAVY,
    "from napari_instseg.models import registry; registry.entries()": HEAVY,
    "import napari_instseg; dir(napari_instseg); napari_instseg.Segmentation": HEAVY[:7],
    "import napari_instseg; napari_instseg.models()": HEAVY[:6],
    "from napari_instseg.pipeline import Run": HEAVY[:6],
}


@pytest.mark.parametrize("statement", STATEMENTS)
def test_what_is_not_needed_is_not_imported(statement: str) -> None:
    names = STATEMENTS[statement]
    code = f"import sys; {statement}; print(*(n for n in {names!r} if n in sys.modules))"
    result = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:napari_instseg", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split() == []


def test_every_public_name_is_there_and_no_other() -> None:
    for name in napari_instseg.__all__:
        assert getattr(napari_instseg, name) is not None
        assert name in dir(napari_instseg)
    with pytest.raises(AttributeError, match="no attribute 'Segment'"):
        napari_instseg.Segment  # noqa: B018
