"""The built-in promptable model on real microscopy: as good as its card says."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_instseg.models import prompters
from napari_instseg.training.dataset import find_pairs, load_examples

ROOT = Path(__file__).resolve().parents[3]
VARIABLE = "NAPARI_INSTSEG_DATA"
BESIDE = ROOT.parent / "shared" / "data" / "dsb2018"
DATA = Path(os.environ.get(VARIABLE) or BESIDE)
#: Images of each kind, and objects of each image.
IMAGES, OBJECTS = {"fluorescence": 16, "histology": 8, "brightfield": 1}, 12


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The script that the card's figures come from."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import evaluate_prompts

    yield evaluate_prompts
    del sys.modules["evaluate_prompts"]


@pytest.mark.slow
@pytest.mark.skipif(
    not (DATA / "val" / "images").is_dir(),
    reason=f"no 'val/images' in {DATA}: set {VARIABLE} to a copy of BBBC038v1 (stage1_train) "
    "as index.csv and val/images, val/labels",
)
def test_clicks_boxes_and_corrections_find_nuclei(asking: Any) -> None:
    """Mean IoU over objects with what the plugin shows: the best by predicted IoU."""
    model = prompters.load("sam-nuclei", "cpu")
    pairs = find_pairs(DATA / "val")
    found: dict[str, list[dict[str, list[float]]]] = {}
    for kind, count in IMAGES.items():
        for example in load_examples([pair for pair in pairs if pair.kind == kind][:count]):
            session = asking.open_session(example, model)
            found.setdefault(kind, []).append(asking.ask(session, example.labels, OBJECTS))
    everywhere = [one for of_kind in found.values() for one in of_kind]

    def mean(images: list[dict[str, list[float]]], name: str) -> float:
        return float(np.mean(np.concatenate([one[name] for one in images])))

    assert mean(found["fluorescence"], asking.CLICK) >= 0.70
    assert mean(everywhere, asking.BOX) >= 0.80
    rounds = [asking.CLICK, *(f"+{n} fix" for n in range(1, asking.CORRECTIONS + 1))]
    means = [mean(everywhere, name) for name in rounds]
    assert means == sorted(means)


def test_its_file_is_small() -> None:
    entry = prompters.find("sam-nuclei")
    assert entry.path.stat().st_size <= 12e6
