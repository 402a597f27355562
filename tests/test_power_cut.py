"""A power cut: files that were not waited for are empty after it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_file_run import Counting, contents, file_run, finish, interrupt
from test_journal import result, state
from test_stored import picture

from napari_instseg import Editor
from napari_instseg.io.formats.result import read
from napari_instseg.io.journal import Journal, settle


class Power:
    """Knows which files are on the disk as they are; all others are lost in a cut."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._safe: dict[int, tuple[int, int]] = {}
        fsync = os.fsync

        def wait(file: int) -> None:
            fsync(file)
            about = os.fstat(file)
            self._safe[about.st_ino] = about.st_mtime_ns, about.st_size

        monkeypatch.setattr(os, "fsync", wait)

    def cut(self, folder: Path) -> list[str]:
        """Empty what was not waited for; return the names."""
        lost = []
        for path in folder.rglob("*"):
            about = path.stat()
            now = about.st_mtime_ns, about.st_size
            if path.is_file() and about.st_size and self._safe.get(about.st_ino) != now:
                path.write_bytes(b"")
                lost.append(path.name)
        return lost


@pytest.fixture
def power(monkeypatch: pytest.MonkeyPatch) -> Power:
    return Power(monkeypatch)


@pytest.mark.parametrize("format", ["zarr", "tiff"])
def test_a_run_repeats_the_tiles_under_way_and_loses_none(
    format: str, tmp_path: Path, power: Power
) -> None:
    data = picture((2, 150, 130))
    whole, stopped, rest = Counting(), Counting(21, interrupt), Counting()
    expected = finish(file_run(tmp_path / "whole", data, whole, format=format))
    output = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        finish(file_run(output, data, stopped, format=format))
    power.cut(output)
    assert finish(file_run(output, data, rest, format=format, existing="resume")) == expected
    assert stopped.count + rest.count == whole.count
    # What is there at the end is all that there is: tiles are gone.
    power.cut(output)
    assert contents(output) == expected


def test_a_plane_whose_note_is_damaged_is_put_together_again(tmp_path: Path) -> None:
    data = picture((2, 150, 130))
    expected = finish(file_run(tmp_path / "whole", data, format="zarr"))
    output = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        finish(file_run(output, data, Counting(21, interrupt), format="zarr"))
    (note,) = output.glob(".a.run/plane-*.json")
    note.write_bytes(b"")
    rest = Counting()
    assert finish(file_run(output, data, rest, format="zarr", existing="resume")) == expected
    assert rest.count == 32 - 21


def test_what_was_waited_for_is_all_that_stays(tmp_path: Path, power: Power) -> None:
    kept, lost = tmp_path / "kept", tmp_path / "lost"
    for path in (kept, lost):
        with path.open("wb") as stream:
            stream.write(b"text")
            stream.flush()
            if path is kept:
                os.fsync(stream.fileno())
    assert power.cut(tmp_path) == ["lost"]
    assert (kept.read_bytes(), lost.read_bytes()) == (b"text", b"")


@pytest.mark.parametrize("action", ["apply", "undo", "redo"])
def test_edits_on_disk(
    action: str, tmp_path: Path, power: Power, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = result(tmp_path)
    editor = Editor(*read(folder), in_place=True)
    steps: dict[str, Any] = {
        "apply": lambda: editor.apply("delete", ids=[1]),
        "undo": editor.undo,
        "redo": editor.redo,
    }
    for before in ["apply", "undo", "redo"][: [*steps].index(action)]:
        steps[before]()
    power.cut(folder)
    old = state(folder)
    with monkeypatch.context() as patch:
        # The power goes as the last file is changed.
        patch.setattr(Journal, "_set_aside", interrupt_of)
        patch.setattr(Journal, "_restore", lambda journal: False)
        with pytest.raises(KeyboardInterrupt):
            steps[action]()
    power.cut(folder)
    with pytest.warns(UserWarning, match="that edit was taken back"):
        settle(folder / "a_instances.zarr")
    assert state(folder) == old

    editor = Editor(*read(folder), in_place=True)
    editor.apply("delete", ids=[2])
    new = state(folder)
    assert new != old
    power.cut(folder)
    assert state(folder) == new
    assert not np.any(editor.labels.read("instances") == 2)


def interrupt_of(journal: Journal) -> None:
    interrupt()
