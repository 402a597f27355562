"""Tests that need an NVIDIA GPU: `pytest tests/gpu`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

#: Networks with random weights lie with the tests of Detectron2's models.
sys.path.append(str(Path(__file__).parents[1] / "models" / "detectron2"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="no NVIDIA GPU here"))
