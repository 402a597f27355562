from __future__ import annotations

import pytest

from napari_instseg.gui.prompt.texts import warnings_text
from napari_instseg.progress import how_many


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (0, "object", "0 objects"),
        (1, "object", "1 object"),
        (2, "tile", "2 tiles"),
        (1234, "pixel", "1,234 pixels"),
    ],
)
def test_numbers_and_nouns_agree(count: int, noun: str, text: str) -> None:
    assert how_many(count, noun) == text


def test_warnings_have_a_line_each_and_paths_may_be_broken() -> None:
    assert warnings_text(()) == ""
    path = "/a/very/long/path/to/some/folder"
    text = warnings_text(("one", f"cannot be kept in {path}"))
    assert text.replace("\u200b", "") == f"⚠ one\n⚠ cannot be kept in {path}"
    assert "/\u200b" in text
