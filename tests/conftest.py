"""What holds for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

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
