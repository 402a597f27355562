"""What holds for all tests."""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from small_disk import small_disk

# A busy machine is slow, not wrong.
settings.register_profile(
    "patient", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def no_models_of_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A developer's own models and downloads stay out of the tests, and the other way round."""
    folder = tmp_path_factory.getbasetemp() / "models-of-nobody"
    monkeypatch.setenv("NAPARI_INSTSEG_CACHE", str(folder / "cache"))
    monkeypatch.setenv("NAPARI_INSTSEG_DATA_HOME", str(folder / "data"))
    monkeypatch.delenv("NAPARI_INSTSEG_MIRROR", raising=False)
    return folder


@pytest.fixture
def stardist_matching(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """StarDist's matching module alone: the package itself needs TensorFlow."""
    spec = importlib.util.find_spec("stardist")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("StarDist is not installed: pip install --no-deps stardist")
    folder = spec.submodule_search_locations[0]
    # Of these it uses a decorator that makes a loop faster, and a function that raises.
    numba, utils = types.ModuleType("numba"), types.ModuleType("csbdeep.utils")
    numba.jit = lambda **options: lambda function: function
    utils._raise = None
    stand_ins = {"numba": numba, "csbdeep": types.ModuleType("csbdeep"), "csbdeep.utils": utils}
    for name, module in stand_ins.items():
        monkeypatch.setitem(sys.modules, name, module)
    found = importlib.util.spec_from_file_location("stardist_matching", f"{folder}/matching.py")
    module = importlib.util.module_from_spec(found)
    monkeypatch.setitem(sys.modules, "stardist_matching", module)
    found.loader.exec_module(module)
    return module


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    with small_disk(tmp_path / "disk", "1m", lazy=True) as path:
        yield path
