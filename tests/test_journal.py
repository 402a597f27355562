"""Edits of a result on disk: whole or not at all, whatever stops the program."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from helpers import draw, fill
from label_sets import with_stuff

from napari_instseg import Editor, export
from napari_instseg.gui.reader import read_layers
from napari_instseg.io.formats.result import read, write_one
from napari_instseg.io.journal import Journal, settle
from napari_instseg.io.label_record import LabelRecord
from napari_instseg.segmenter import InstsegError, WritingError

LABELS = draw("""
    AA...BB.
    AA...BB.
    ....CCCC
    DD..CCCC
""")
#: Lets child after child edit a copy of a result, and kill itself before it changes a file or
#: folder for the n-th time; says how many there were until one came to its end.
KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from napari_instseg import Editor
from napari_instseg.gui.reader import read_layers
from napari_instseg.io.formats.result import read

source, target, action, step = *sys.argv[1:4], int(sys.argv[4])

def edit(path, last):
    editor = Editor(*read(path), in_place=True)
    if action != "apply":
        editor.apply("delete", ids=[1])
    if action == "redo":
        editor.undo()
    count = 0

    def listen(event, arguments):
        nonlocal count
        writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir"):
            count += 1
            if count == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(listen)
    editor.apply("delete", ids=[1]) if action == "apply" else getattr(editor, action)()

last = 1
while True:
    path = Path(target, str(last))
    shutil.copytree(source, path)
    child = os.fork()
    if not child:
        status = 1
        try:
            edit(path, last)
            status = 0
        finally:
            os._exit(status)
    status = os.waitpid(child, 0)[1]
    if not os.WIFSIGNALED(status):
        print(last, os.waitstatus_to_exitcode(status))
        break
    last += step
"""


def result(folder: Path) -> Path:
    labels = with_stuff(LABELS, np.full(LABELS.shape, 5, np.int32), "YX")
    write_one(labels, folder, "a", "zarr")
    return folder


def fail(*_: object) -> None:
    raise OSError("no room")


def state(folder: Path) -> dict[str, Any]:
    """All that is in the files of a result."""
    (labels,) = read(folder)
    return {
        **{o: labels.read(o).tolist() for o in ("instances", "semantic", "panoptic")},
        "table": labels.table.to_csv(index=False),
        "edits": labels.recipe.get("edits", []),
        "files": [path.read_text() for path in sorted(folder.glob("*.zarr/zarr.json"))],
    }


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What a result is at first, after an edit, and after that was taken back."""
    folder = result(tmp_path_factory.mktemp("states"))
    found = {"fresh": state(folder)}
    editor = Editor(*read(folder), in_place=True)
    editor.apply("delete", ids=[1])
    found["done"] = state(folder)
    editor.undo()
    found["undone"] = state(folder)
    assert found["fresh"] != found["done"] != found["undone"]
    assert not [*folder.glob(".*")]
    return found


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
@pytest.mark.parametrize(
    ("action", "before", "after", "step"),
    [("apply", "fresh", "done", 3), ("undo", "done", "undone", 13), ("redo", "undone", "done", 17)],
)
def test_killed_at_any_moment_it_is_as_before_or_as_after(
    action: str,
    before: str,
    after: str,
    step: int,
    states: dict[str, dict[str, Any]],
    tmp_path: Path,
) -> None:
    source = result(tmp_path / "source")
    command = [sys.executable, "-c", KILLED, str(source), str(tmp_path), action, str(step)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    last, code = map(int, done.stdout.split())
    assert code == 0, done.stderr
    assert last > 30
    seen = []
    for number in range(1, last + 1, step):
        folder = tmp_path / str(number)
        cut_off = Journal.of(folder / "a_instances.zarr").path.exists()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = state(folder)
        assert [str(w.message).endswith("are as before it") for w in said] == [True] * cut_off
        assert found in (states[before], states[after])
        assert found == states[before] or not cut_off
        seen.append(found == states[after])
        # It can be edited on, and nothing is said any more.
        if number % 10 == 1:
            Editor(*read(folder), in_place=True).apply("delete", ids=[2])
            assert not [*folder.glob(".*edit*")]
    assert seen[-1]
    assert not seen[0]
    assert seen == sorted(seen)


@pytest.fixture
def cut_off(tmp_path: Path) -> Path:
    """A result whose pixels are changed, but neither table nor log: an edit was cut off."""
    folder = result(tmp_path / "cut off")
    journal = Journal.of(folder / "a_instances.zarr")
    record = folder / "a_segments.csv"
    old = record.read_bytes()
    journal.keep(record)
    record.write_text("half")
    journal.keep(folder / "a_instances.zarr" / "new")
    (folder / "a_instances.zarr" / "new").touch()
    journal.keep(record)
    assert (journal.path / "old" / "a_segments.csv").read_bytes() == old
    return folder


@pytest.mark.parametrize("output", ["instances", "semantic", "panoptic"])
def test_whichever_label_image_is_opened_all_are_settled(
    cut_off: Path, output: str, states: dict[str, dict[str, Any]]
) -> None:
    with pytest.warns(UserWarning, match="that edit was taken back"):
        assert settle(cut_off / f"a_{output}.zarr")
    assert not settle(cut_off / f"a_{output}.zarr")
    assert not (cut_off / "a_instances.zarr" / "new").exists()
    assert state(cut_off) == states["fresh"]


def test_napari_is_told_when_it_opens_them(cut_off: Path) -> None:
    (cut_off / "a_recipe.json").unlink()
    with pytest.warns(UserWarning, match="that edit was taken back"):
        ((_, options, _),) = read_layers(str(cut_off / "a_instances.zarr"))
    assert len(options["features"]) == 4


def test_an_editor_of_labels_read_before_takes_the_table_as_it_was(tmp_path: Path) -> None:
    folder = result(tmp_path)
    (labels,) = read(folder)
    other = labels.table.drop(index=0)
    journal = Journal.of(folder / "a_instances.zarr")
    journal.keep(folder / "a_segments.csv")
    with pytest.warns(UserWarning, match="taken back"):
        editor = Editor(replace(labels, table=other), in_place=True)
    assert editor.labels.table["index"].tolist() == labels.table["index"].tolist()


def keep_all(folder: Path) -> Journal:
    """Leave a journal with every file of a result, as of an edit that was cut off."""
    journal = Journal.of(folder / "a_instances.zarr")
    for file in [path for path in folder.rglob("*") if path.is_file()]:
        journal.keep(file)
    return journal


@pytest.mark.parametrize("way", ["saved", "exported"])
@pytest.mark.parametrize("format", ["zarr", "tiff"])
def test_a_result_that_takes_the_place_of_one_stays(tmp_path: Path, way: str, format: str) -> None:
    folder = result(tmp_path / "a")
    journal = keep_all(folder)
    labels = replace(with_stuff(LABELS[::-1] * 2, None), name="a")
    if way == "saved":
        write_one(labels, folder, "a", format)
    else:
        export(labels, folder, "result", labels=format)
    assert not journal.path.exists()
    found = state(folder)
    assert found["instances"] == (LABELS[::-1] * 2).tolist()
    assert found["table"] == labels.table.to_csv(index=False)


def test_a_label_image_that_takes_the_place_of_one_stays(tmp_path: Path) -> None:
    folder = result(tmp_path)
    before = state(folder)
    keep_all(folder)
    (folder / "a_segments.csv").write_text("half")
    path = folder / "a_instances.zarr"
    export(with_stuff(LABELS[::-1], None), path, "ome-zarr")
    assert state(folder)["instances"] == LABELS[::-1].tolist()
    assert state(folder)["table"] == before["table"]


def test_nothing_is_replaced_while_another_process_edits_it(cut_off: Path) -> None:
    journal = Journal.of(cut_off / "a_instances.zarr")
    (labels,) = read(result(cut_off / "other"))
    with (
        FileLock(journal.path.with_name(journal.path.name + ".lock")),
        pytest.raises(OSError, match="another process is changing it"),
    ):
        write_one(labels, cut_off, "a", "zarr")
    assert (cut_off / "a_instances.zarr" / "new").exists()


def test_a_journal_of_what_was_removed_is_in_nobodys_way(cut_off: Path) -> None:
    for path in cut_off.glob("a_*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (labels,) = read(result(cut_off / "other"))
    write_one(labels, cut_off, "a", "zarr")
    assert not Journal.of(cut_off / "a_instances.zarr").path.exists()
    assert state(cut_off)["table"] == state(cut_off / "other")["table"]


def test_an_edit_under_way_elsewhere_is_left_alone(cut_off: Path) -> None:
    journal = Journal.of(cut_off / "a_instances.zarr")
    with FileLock(journal.path.with_name(journal.path.name + ".lock")):
        with pytest.warns(UserWarning, match="are being edited by another process"):
            assert not settle(cut_off / "a_instances.zarr")
        assert journal.path.exists()
        assert (cut_off / "a_segments.csv").read_text() == "half"


def test_only_one_editor_writes_at_a_time(tmp_path: Path) -> None:
    folder = result(tmp_path)
    editor = Editor(*read(folder), in_place=True)
    before = state(folder)
    journal = Journal.of(folder / "a_instances.zarr")
    with (
        FileLock(journal.path.with_name(journal.path.name + ".lock")),
        pytest.raises(WritingError, match=r"another process .* as before"),
    ):
        editor.apply("delete", ids=[1])
    assert state(folder) == before
    editor.apply("delete", ids=[1])


def test_an_editor_does_not_write_over_what_another_did(tmp_path: Path) -> None:
    folder = result(tmp_path)
    late = Editor(*read(folder), in_place=True)
    late.apply("delete", ids=[1])
    other = Editor(*read(folder), in_place=True)
    other.apply("delete", ids=[2])
    after = state(folder)
    for action in (lambda: late.apply("delete", ids=[3]), late.undo):
        with pytest.raises(WritingError, match=r"changed elsewhere .* Open them again"):
            action()
        assert state(folder) == after
    other.undo()
    late.apply("delete", ids=[3])
    assert [one["ids"] for one in state(folder)["edits"]] == [[1], [3]]


def test_an_editor_of_labels_read_before_an_edit_takes_the_table_after_it(tmp_path: Path) -> None:
    folder = result(tmp_path)
    (labels,) = read(folder)
    for number in (1, 2):
        Editor(labels, in_place=True).apply("delete", ids=[number])
    (after,) = read(folder)
    assert after.things["index"].tolist() == np.unique(after.instances)[1:].tolist() == [3, 4]
    assert len(after.recipe["edits"]) == 2


def test_a_journal_from_elsewhere_does_not_reach_beyond_its_folder(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("mine")
    folder = result(tmp_path / "folder")
    (folder / "way").symlink_to(victim)
    journal = Journal.of(folder / "a_instances.zarr")
    for kind in ("old", "new"):
        (journal.path / kind / "way").mkdir(parents=True)
        (journal.path / kind / "way" / "file").write_text("theirs")
    with pytest.warns(UserWarning, match="taken back"):
        settle(folder / "a_instances.zarr")
    assert (victim / "file").read_text() == "mine"


def test_a_journal_that_is_a_link_moves_nothing(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    (victim / "old").mkdir(parents=True)
    (victim / "old" / "file").write_text("mine")
    for links in ("old", ""):
        folder = result(tmp_path / f"folder {links}")
        journal = Journal.of(folder / "a_instances.zarr")
        way = journal.path / links
        way.parent.mkdir(exist_ok=True)
        way.symlink_to(victim / links)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            settle(folder / "a_instances.zarr")
        assert (victim / "old" / "file").read_text() == "mine"
        Editor(*read(folder), in_place=True).apply("delete", ids=[1])


@pytest.mark.parametrize("other_disk", [False, True])
def test_labels_that_are_a_link_are_put_back_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other_disk: bool
) -> None:
    folder, large = result(tmp_path / "folder"), tmp_path / "large"
    large.mkdir()
    (folder / "a_instances.zarr").rename(large / "a.zarr")
    (folder / "a_instances.zarr").symlink_to(large / "a.zarr")
    before = state(folder)
    editor = Editor(*read(folder), in_place=True)
    rename = os.replace

    def replacing(source: Any, target: Any) -> None:
        ends = [Path(path).parent.resolve().is_relative_to(large) for path in (source, target)]
        if other_disk and ends[0] != ends[1]:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr(os, "replace", replacing)
    with monkeypatch.context() as failing:
        failing.setattr(LabelRecord, "write", fail)
        with pytest.raises(WritingError, match="as before"):
            editor.apply("delete", ids=[1])
    assert state(folder) == before
    assert not [*folder.glob(".*edit*")]
    editor.apply("delete", ids=[1])
    assert state(folder) != before


def test_label_images_in_other_folders_are_put_back_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, other = result(tmp_path / "folder"), result(tmp_path / "other")
    (labels,), (others,) = read(folder), read(other)
    before = state(folder), state(other)["panoptic"]
    editor = Editor(replace(labels, panoptic=others.panoptic), in_place=True)
    monkeypatch.setattr(LabelRecord, "write", fail)
    with pytest.raises(WritingError, match="as before"):
        editor.apply("delete", ids=[1])
    assert (state(folder), state(other)["panoptic"]) == before


def test_a_lock_that_cannot_be_removed_while_it_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows."""
    editor = Editor(*read(result(tmp_path)), in_place=True)
    unlink = Path.unlink

    def removing(path: Path, *args: Any, **options: Any) -> None:
        if path.suffix == ".lock":
            raise PermissionError(f"{path} is open")
        unlink(path, *args, **options)

    monkeypatch.setattr(Path, "unlink", removing)
    editor.apply("delete", ids=[1])
    assert state(tmp_path)["edits"] == [*editor.edits]


def test_what_can_only_be_read_says_what_was_found(cut_off: Path, disk: Path) -> None:
    shutil.copytree(cut_off, disk / "result")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.warns(UserWarning, match=r"cannot be taken back .*Read-only file system"):
        assert not settle(disk / "result" / "a_instances.zarr")


@pytest.mark.parametrize("room", [0, 1, 2, 4, 6, 8])
def test_on_a_full_disk_an_edit_fails_as_a_whole(disk: Path, room: int) -> None:
    folder = result(disk / "result")
    editor = Editor(*read(folder), in_place=True)
    editor.apply("delete", ids=[4])
    editor.apply("grow", ids=[2], distance=1)
    editor.undo()
    before, table, log = state(folder), editor.labels.table, editor.edits
    fill(disk, room)
    for action in (lambda: editor.apply("delete", ids=[1]), editor.undo, editor.redo):
        with pytest.raises(InstsegError, match=r"No space left on device.*as before") as failed:
            action()
        assert isinstance(failed.value, WritingError)
        assert state(folder) == before
        assert editor.labels.table is table
        assert editor.edits == log
        assert editor.can_redo
    assert not [*folder.glob(".*edit*")]
    (disk / "filler").unlink()
    editor.redo()
    editor.undo()
    assert state(folder) == before
