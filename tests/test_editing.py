"""Edits keep label images and table in step, come back, and are made again from their log."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import ComponentSegmenter, brightness, draw
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from label_sets import CATEGORIES, check_consistent, drawn, same, with_stuff
from numpy.testing import assert_array_equal
from skimage.segmentation import expand_labels

from napari_instseg import Category, Image, InputError, LabelSet, Settings
from napari_instseg.editing import Editor, replay
from napari_instseg.io.formats.result import read_one, write_one
from napari_instseg.io.label_store import ArrayStore
from napari_instseg.io.label_zarr import write_label_zarr
from napari_instseg.io.ngff import describe_labels
from napari_instseg.io.zarr import read_label_pyramid
from napari_instseg.ops.editing import parts
from napari_instseg.ops.editing.painting import KEEP, Paint
from napari_instseg.pipeline import Run, run_to_end
from napari_instseg.progress import Progress

PICTURE = """
    AA...DD.
    AA.C.DD.
    ...CC...
    BBBBCC.E
    BBBBB..E
    BBBB...E
"""
GROUND = np.array([[5] * 5 + [6] * 3] * 5 + [[0] * 8], np.int32)


def started(ndim: int = 2, *, stuff: bool = True) -> LabelSet:
    labels = draw(PICTURE)
    if ndim == 2:
        return with_stuff(labels, GROUND if stuff else None)
    other = np.where(labels == 2, 0, np.roll(labels, 1, axis=1))
    stack = np.stack([labels, other, np.where(other == 3, 3, 0)])
    if ndim == 4:
        stack = np.stack([stack, stack[::-1]])
    ground = np.broadcast_to(GROUND, stack.shape).copy()
    spacing = {"Z": 2.0, "Y": 1.0, "X": 1.0}
    return with_stuff(stack, ground if stuff else None, "TZYX"[-ndim:], spacing=spacing)


KINDS = [(2, True), (2, False), (3, True), (3, False), (4, True)]


@pytest.mark.parametrize(("ndim", "stuff"), KINDS)
def test_what_edits_begin_with_is_consistent(ndim: int, stuff: bool) -> None:
    labels = started(ndim, stuff=stuff)
    check_consistent(labels)
    editor = Editor(labels)
    assert same(editor.labels, Editor(editor.labels).labels)
    table = editor.labels.table
    pd.testing.assert_frame_equal(table[labels.table.columns], labels.table)
    assert not table[["edited", "reviewed"]].any().any()


def some_edit(data: st.DataObject, editor: Editor) -> tuple[str, dict[str, Any]]:
    """Any edit, with parameters that may or may not fit."""
    labels = editor.labels
    shape = labels.shape
    ids = sorted(set(labels.things["index"])) or [1]
    one, several = st.sampled_from(ids), st.lists(st.sampled_from(ids), min_size=1, unique=True)
    place = st.tuples(*(st.integers(0, n - 1) for n in shape))
    point = st.tuples(st.floats(-1, shape[-2] + 1), st.floats(-1, shape[-1] + 1))
    corners = st.tuples(place, place).map(
        lambda p: ([*map(min, *p)], [max(x) + 1 for x in zip(*p, strict=True)])
    )
    start, stop = data.draw(corners)
    sizes = np.subtract(stop, start)
    pixels = st.lists(
        st.sampled_from([KEEP, 0, *ids, editor.next_id, 40]),
        min_size=int(sizes.prod()),
        max_size=int(sizes.prod()),
    )
    box = {"start": start, "stop": stop}
    edits = {
        "delete": st.fixed_dictionaries({"ids": several}),
        "merge": st.fixed_dictionaries({"ids": several}),
        "split_line": st.fixed_dictionaries(
            {
                "id": one,
                "line": st.lists(point, min_size=2, max_size=4),
                "plane": place.map(lambda p: p[:-2]),
                "through": st.booleans(),
            }
        ),
        "split_points": st.fixed_dictionaries(
            {"id": one, "points": st.lists(place, min_size=2, max_size=3)}
        ),
        "fill_holes": st.fixed_dictionaries({"each_plane": st.booleans()}),
        "smooth": st.fixed_dictionaries({"ids": several, "radius": st.floats(1, 2)}),
        "grow": st.fixed_dictionaries({"ids": several, "distance": st.floats(0.5, 2)}),
        "shrink": st.fixed_dictionaries({"ids": several}),
        "cut": st.fixed_dictionaries({"keep": st.sampled_from(["inside", "outside"])}).map(
            lambda p: p | box
        ),
        "remove_edge": st.just({}),
        "filter": st.fixed_dictionaries({"min": st.integers(1, 4)}),
        "categorize": st.fixed_dictionaries(
            {"ids": several, "category_id": st.sampled_from([1, 2])}
        ),
        "paint": pixels.map(
            lambda values: Paint.of(
                tuple(start), np.reshape(values, sizes).astype(np.int32), 2
            ).to_json()
        ),
        "rename": st.fixed_dictionaries(
            {"category_id": st.sampled_from([1, 2, 5, 9]), "name": st.sampled_from("xy")}
        ),
        "renumber": st.just({}),
        "review": st.fixed_dictionaries({"ids": several, "reviewed": st.booleans()}),
    }
    name = data.draw(st.sampled_from(sorted(edits)))
    return name, data.draw(edits[name])


@pytest.mark.parametrize(("ndim", "stuff"), KINDS)
@hypothesis_settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_edits_leave_all_in_step_and_come_back(
    data: st.DataObject, ndim: int, stuff: bool
) -> None:
    first = started(ndim, stuff=stuff)
    editor = Editor(first)
    states = [copied(editor.labels)]
    for _ in range(data.draw(st.integers(1, 5))):
        name, parameters = some_edit(data, editor)
        before = len(editor.edits)
        try:
            change = editor.apply(name, **parameters)
        except InputError:
            assert same(editor.labels, states[-1])
            continue
        now = copied(editor.labels)
        check_consistent(now)
        check_change(states[-1], now, change.ids, change.where)
        if len(editor.edits) > before:
            states.append(now)
        else:
            assert same(now, states[-1])
    log = json.loads(json.dumps(editor.edits))
    assert len(log) == len(states) - 1
    assert same(replay(first, log), states[-1])
    for state in reversed(states[:-1]):
        assert editor.undo() is not None
        assert same(editor.labels, state)
    assert editor.undo() is None
    for state in states[1:]:
        assert editor.redo() is not None
        assert same(editor.labels, state)
    assert editor.redo() is None


def copied(labels: LabelSet) -> LabelSet:
    arrays = {
        name: None if getattr(labels, name) is None else np.array(getattr(labels, name))
        for name in ("instances", "semantic", "panoptic")
    }
    return LabelSet(
        arrays["instances"],
        labels.axes,
        labels.table.copy(),
        labels.categories,
        spacing=labels.spacing,
        semantic=arrays["semantic"],
        panoptic=arrays["panoptic"],
    )


def check_change(
    before: LabelSet, after: LabelSet, ids: frozenset[int], where: tuple[slice, ...]
) -> None:
    """Whether a change names the objects and pixels that differ."""
    differ = np.zeros(before.shape, bool)
    for name in ("instances", "semantic", "panoptic"):
        differ |= before.read(name) != after.read(name)
    differ[where] = False
    assert not differ.any()
    old, new = np.asarray(before.instances), np.asarray(after.instances)
    changed = old != new
    assert {*np.unique(old[changed]), *np.unique(new[changed])} - {0} <= ids
    rows = (before.things.set_index("index"), after.things.set_index("index"))
    for number in set(rows[0].index) & set(rows[1].index) - ids:
        assert rows[0].loc[number].equals(rows[1].loc[number])


def test_what_was_changed_is_marked_and_what_is_no_longer_known_is_not_told() -> None:
    labels = started(3)
    table = labels.table.assign(
        hidden_area=3, is_box=True, planes=2, volume=9, volume_um3=1.0, link_iou_mean=0.5,
        roundness=0.7, cluster=4, note="good",
    )  # fmt: skip
    editor = Editor(
        LabelSet(labels.instances, "ZYX", table, labels.categories, spacing=labels.spacing)
    )
    first = editor.labels.table.set_index("index")
    editor.apply("split_line", id=2, line=[[2, 2], [7, 2]], plane=[0])
    new = editor.next_id - 1
    rows = editor.labels.table.set_index("index")
    for number, planes in ((2, 2), (new, 1)):
        row = rows.loc[number]
        assert (row["edited"], row["source"], row["note"]) == (True, "edited", "good")
        assert (row["hidden_area"], row["is_box"], row["planes"]) == (0, False, planes)
        assert row["volume"] == row["area"]
        assert row["volume_um3"] == 2 * row["area"]
        assert row[["link_iou_mean", "roundness", "cluster"]].isna().all()
    others = rows.drop([2, new]).index
    assert (rows.loc[others] == first.loc[others]).all().all()
    editor.undo()
    pd.testing.assert_frame_equal(editor.labels.table.set_index("index"), first)


def test_a_category_can_be_new() -> None:
    editor = Editor(started())
    change = editor.apply("categorize", ids=[1, 3], category_id=9, name="debris")
    assert change.ids == {1, 3}
    labels = editor.labels
    check_consistent(labels)
    assert labels.categories[-1] == Category(9, "debris", color=labels.categories[-1].color)
    assert labels.categories[-1].color not in {one.color for one in labels.categories[:-1]}
    assert set(np.unique(labels.read("semantic")[labels.read("instances") == 1])) == {9}
    editor.undo()
    assert len(editor.labels.categories) == 4


def test_parents_follow_their_objects() -> None:
    labels = drawn("A.B.C.D")
    editor = Editor(
        LabelSet(
            labels.instances, "YX", labels.table.assign(parent=[0, 1, 1, 3]), labels.categories
        )
    )
    editor.apply("merge", ids=[2, 3])
    assert editor.labels.table["parent"].tolist() == [0, 1, 2]
    editor.apply("delete", ids=[1])
    editor.apply("renumber")
    assert editor.labels.table["parent"].tolist() == [0, 1]


def test_a_model_result_is_edited_and_replayed_from_its_recipe() -> None:
    labels = draw(PICTURE).repeat(6, axis=0).repeat(6, axis=1)
    image = Image(brightness(labels), "YX")
    run = Run(image, ComponentSegmenter(), Settings(limits=((0.0, 1.0),)))
    found = run_to_end(run).label_set
    before = np.array(found.instances)
    editor = Editor(found)
    editor.apply("delete", ids=[1])
    editor.apply("grow", distance=2)
    now = editor.labels
    assert now.recipe["settings"] == found.recipe["settings"]
    assert [entry["edit"] for entry in now.recipe["edits"]] == ["delete", "grow"]
    assert_array_equal(found.instances, before)
    again = Editor(now)
    again.apply("renumber")
    assert same(replay(found, again.labels.recipe["edits"]), again.labels)


def test_a_table_that_is_behind_its_labels_is_brought_in_line() -> None:
    labels = started(stuff=False)
    painted = np.array(labels.instances)
    painted[painted == 1] = 0
    painted[0, 0] = 12
    painted[5, 5:7] = 2
    editor = Editor(LabelSet(painted, "YX", labels.table, labels.categories))
    check_consistent(editor.labels)
    row = editor.labels.table.set_index("index").loc[12]
    assert (row["category"], row["source"], row["edited"]) == ("cell", "edited", False)


def test_uncovered_stuff_that_had_no_pixels_gets_a_number() -> None:
    labels = draw("AAB\nAAB")
    ground = np.array([[5, 5, 6], [5, 5, 6]], np.int32)
    editor = Editor(with_stuff(labels, ground))
    editor.apply("delete", ids=[1])
    check_consistent(editor.labels)
    assert_array_equal(editor.labels.panoptic, [[3, 3, 2], [3, 3, 2]])
    editor.apply("paint", start=[0, 0], stop=[2, 2], runs=[7, 4])
    check_consistent(editor.labels)
    assert editor.labels.stuff.empty


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("melt", {}, "edit: expected one of delete, merge, "),
        ("delete", {"ids": [1, 77]}, "no object has the number 77"),
        ("delete", {"ids": [1, 1]}, "delete: ids: expected numbers of objects"),
        ("delete", {"ids": "all"}, "delete: ids: expected numbers of objects"),
        ("delete", {}, "delete: expected ids, got"),
        ("delete", {"ids": [1], "force": True}, r"delete: unknown parameters \['force'\]"),
        ("merge", {"ids": [1]}, "two different numbers"),
        ("split_line", {"id": 1, "line": [[0, 0]]}, "line: expected two points"),
        ("split_line", {"id": 1, "line": [[0, 0], [9, float("nan")]]}, "line: expected two"),
        ("split_line", {"id": 1, "line": [[0, 0], [1, 1]], "plane": [4]}, "plane: expected"),
        ("split_line", {"id": 9, "line": [[0, 0], [1, 1]]}, "number 9"),
        ("split_points", {"id": 1, "points": [[0, 0]]}, "points: expected two different"),
        ("split_points", {"id": 1, "points": [[0, 0, 0], [0, 1, 1]]}, "an index for each of 'YX'"),
        ("split_points", {"id": 1, "points": [[0, 0], [5, 5]]}, "is not on object 1"),
        ("smooth", {"radius": 0}, "radius: expected"),
        ("grow", {"distance": -1}, "distance: expected"),
        ("shrink", {"distance": "far"}, "distance: expected"),
        ("cut", {}, "either a polygon or a box"),
        ("cut", {"start": [0, 0], "stop": [99, 3]}, "within the image of shape"),
        ("cut", {"start": [0, 0], "stop": [2, 2], "runs": [1, 3]}, "4 pixels in all"),
        ("filter", {"column": "mood", "min": 3}, "column of numbers, one of .*got 'mood'"),
        ("filter", {"column": "category", "min": 3}, "column of numbers"),
        ("filter", {"column": "area"}, "min, max or both"),
        ("categorize", {"ids": [1], "category_id": 5}, r"1 \(cell\), 2 \(nucleus\), got 5"),
        ("categorize", {"ids": [1], "category_id": 8}, "category_id: expected one of"),
        ("paint", {"start": [0, 0], "stop": [1, 1], "runs": [6, 1]}, "that of a segment of stuff"),
        ("paint", {"start": [0, 0], "stop": [1, 1], "runs": [1, 2]}, "1 pixels in all"),
        ("paint", {"start": [0, 0], "stop": [0, 1], "runs": []}, "stop: expected"),
    ],
)
def test_bad_input_is_refused_and_nothing_changes(
    name: str, parameters: dict[str, Any], message: str
) -> None:
    editor = Editor(started())
    before = copied(editor.labels)
    with pytest.raises(InputError, match=message):
        editor.apply(name, **parameters)
    assert same(editor.labels, before)
    assert not editor.edits
    with pytest.raises(InputError, match="edit 2 of the log"):
        replay(started(), [{"edit": "delete", "ids": [2]}, {"edit": name, **parameters}])


@pytest.mark.parametrize("log", [[3], [{"ids": [1]}], [{"edit": 4}], [None], ["delete"]])
def test_a_malformed_log_is_refused(log: list[Any]) -> None:
    array = np.array(started(stuff=False).instances)
    labels = LabelSet.from_labels(array, "YX")
    with pytest.raises(InputError, match="edit 2 of the log: expected an edit as"):
        replay(labels, [{"edit": "delete", "ids": [2]}, *log], in_place=True)
    assert_array_equal(array, draw(PICTURE))


def test_arrays_are_changed_only_where_that_is_asked_for() -> None:
    array = draw(PICTURE).astype(np.uint8)
    Editor(LabelSet.from_labels(array, "YX")).apply("delete", ids=[1])
    assert_array_equal(array, draw(PICTURE))
    editor = Editor(LabelSet.from_labels(array, "YX"), in_place=True)
    editor.apply("delete", ids=[1])
    assert (array != 1).all()
    with pytest.raises(InputError, match="numbers up to 255, got 300"):
        editor.apply("paint", start=[0, 0], stop=[1, 1], runs=[300, 1])
    array.setflags(write=False)
    with pytest.raises(InputError, match="read-only"):
        Editor(LabelSet.from_labels(array, "YX"), in_place=True)


def test_what_can_only_be_read_is_not_edited_in_place() -> None:
    import dask.array as da

    lazy = LabelSet.from_labels(da.from_array(draw(PICTURE)), "YX")
    with pytest.raises(InputError, match="can only be read: write them as OME-Zarr"):
        Editor(lazy, in_place=True)
    Editor(lazy).apply("delete", ids=[1])


class TestZarr:
    SHAPE = (2300, 2100)

    def write(self, folder: Path, labels: np.ndarray) -> LabelSet:
        path = folder / "instances.zarr"
        table = LabelSet.from_labels(labels, "YX").table
        about = describe_labels(table, np.zeros((len(table), 3), np.uint8), "../image.zarr")
        write_label_zarr(path, labels, "YX", {"Y": 0.5, "X": 0.5}, about)
        pyramid = read_label_pyramid(path)
        assert pyramid is not None
        return LabelSet(pyramid.levels[0], "YX", table, (Category(1, "object"),))

    def picture(self) -> np.ndarray:
        labels = np.zeros(self.SHAPE, np.int32)
        labels[100:200, 100:200] = 1
        labels[1000:1050, 1000:1101] = 2
        labels[2200:2300, 2000:2100] = 3
        return labels

    def test_only_touched_chunks_are_written_and_levels_and_properties_follow(
        self, tmp_path: Path
    ) -> None:
        labels = self.picture()
        found = self.write(tmp_path, labels)
        path = tmp_path / "instances.zarr"
        old = {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in chunk_files(path)}
        for p in old:
            os.utime(p, ns=(1, 1))
        editor = Editor(found, in_place=True)
        editor.apply("split_line", id=1, line=[[0, 150], [999, 150]])
        written = {str(p.relative_to(path)) for p in chunk_files(path) if p.stat().st_mtime_ns != 1}
        assert written == {"0/c/0/0", "1/c/0/0", "2/c/0/0"}
        expected = labels.copy()
        expected[100:200, 150:200] = 4
        self.check(tmp_path, expected, editor)
        for p in chunk_files(path):
            os.utime(p, ns=(1, 1))
        editor.apply("delete", ids=[2])
        # Object 2 lies on the corner of four chunks, all of which are still needed or gone.
        expected[expected == 2] = 0
        self.check(tmp_path, expected, editor)
        written = {str(p.relative_to(path)) for p in chunk_files(path) if p.stat().st_mtime_ns != 1}
        assert written == {"0/c/0/0", "1/c/0/0", "2/c/0/0"}
        editor.undo()
        editor.undo()
        self.check(tmp_path, labels, editor)
        assert {str(p.relative_to(path)) for p in chunk_files(path)} == {
            str(p.relative_to(path)) for p in old
        }

    def check(self, folder: Path, expected: np.ndarray, editor: Editor) -> None:
        """Whether the file is what would be written of these labels."""
        self.write(folder / "fresh", expected)
        mine = read_label_pyramid(folder / "instances.zarr")
        fresh = read_label_pyramid(folder / "fresh" / "instances.zarr")
        assert mine is not None
        assert fresh is not None
        for a, b in zip(mine.levels, fresh.levels, strict=True):
            assert_array_equal(np.asarray(a), np.asarray(b))
        rows = [
            {"label-value" if k == "index" else k: v for k, v in row.items()}
            for row in editor.labels.table.to_dict("records")
        ]
        assert list(mine.properties) == rows
        group = json.loads((folder / "instances.zarr" / "zarr.json").read_text("utf-8"))
        assert group["attributes"]["ome"]["image-label"]["source"] == {"image": "../image.zarr"}

    def test_the_same_edits_as_in_memory(self, tmp_path: Path) -> None:
        labels = self.picture()
        found = self.write(tmp_path, labels)
        log = [
            {"edit": "grow", "distance": 30},
            {"edit": "smooth", "ids": [2], "radius": 4},
            {"edit": "paint", "start": [1020, 1020], "stop": [1030, 1030], "runs": [0, 100]},
            {"edit": "fill_holes", "ids": [2]},
            {"edit": "shrink", "distance": 3},
            {"edit": "cut", "polygon": [[50, 50], [50, 1060], [1060, 1060], [1060, 50]]},
            {"edit": "remove_edge"},
            {"edit": "renumber"},
        ]
        memory = replay(LabelSet.from_labels(labels, "YX"), log)
        stored = replay(found, log, in_place=True)
        assert_array_equal(np.asarray(stored.instances[...]), memory.instances)
        assert stored.table.drop(columns="source").equals(memory.table.drop(columns="source"))

    @pytest.mark.parametrize("stuff", [True, False])
    def test_all_files_of_a_saved_result_follow(self, tmp_path: Path, stuff: bool) -> None:
        first = started(3, stuff=stuff)
        write_one(first, tmp_path, "a", "zarr")
        found = read_one(tmp_path, "a")
        # A layer of instances knows nothing of stuff.
        found = LabelSet(found.instances, found.axes, found.things, CATEGORIES[:2])
        log = [
            {"edit": "delete", "ids": [1]},
            {"edit": "split_line", "id": 2, "line": [[2, 2], [7, 2]], "plane": [0]},
            {"edit": "categorize", "ids": [3], "category_id": 2},
        ]
        editor = Editor(found, in_place=True)
        for entry in log:
            editor.apply(entry["edit"], **{k: v for k, v in entry.items() if k != "edit"})
        now = read_one(tmp_path, "a")
        check_consistent(now)
        check_consistent(editor.labels)
        assert now.recipe["edits"] == list(editor.edits)
        assert len(now.stuff) == (2 if stuff else 0)
        again = replay(replace(first, ground=None), now.recipe["edits"])
        for output in ("instances", "semantic", "panoptic"):
            assert_array_equal(now.read(output), again.read(output))
            path = tmp_path / f"a_{output}.zarr"
            pyramid = read_label_pyramid(path)
            assert pyramid is not None
            assert_array_equal(np.asarray(pyramid.levels[0]), again.read(output))
        while editor.undo():
            pass
        now = read_one(tmp_path, "a")
        assert "edits" not in now.recipe
        for output in ("instances", "semantic", "panoptic"):
            assert_array_equal(now.read(output), first.read(output))

    def test_a_copy_leaves_the_file(self, tmp_path: Path) -> None:
        labels = self.picture()
        editor = Editor(self.write(tmp_path, labels))
        editor.apply("delete", ids=[1])
        again = read_label_pyramid(tmp_path / "instances.zarr")
        assert again is not None
        assert_array_equal(np.asarray(again.levels[0]), labels)


def chunk_files(path: Path) -> list[Path]:
    return [p for p in path.rglob("*") if p.is_file() and "c" in p.relative_to(path).parts]


def test_undo_of_a_large_image_keeps_little(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.zeros((3000, 3000), np.int32)
    labels[1000:1100, 1000:1100] = 1
    labels[2900:2950, 10:60] = 2
    editor = Editor(LabelSet.from_labels(labels, "YX"))
    editor.apply("delete", ids=[1, 2])
    editor.undo()
    editor.apply("renumber")
    editor.apply("grow", distance=5)
    kept = sum(len(patch.packed) for step in editor._done for _, patch in step.patches)
    assert 0 < kept < 5000


@pytest.mark.parametrize("failing", range(6))
def test_a_disk_that_fails_leaves_all_as_it_was(
    failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = Editor(started())
    editor.apply("delete", ids=[5])
    before = copied(editor.labels)
    write, calls = ArrayStore.write, iter(range(100))

    def fail(self: ArrayStore, box: Any, labels: np.ndarray) -> None:
        write(self, box, labels)
        if next(calls) == failing:
            raise OSError("no space left")

    monkeypatch.setattr(ArrayStore, "write", fail)
    monkeypatch.setattr(parts, "ROWS", 4)
    with pytest.raises(OSError, match="no space"):
        editor.apply("grow", distance=1)
    assert same(editor.labels, before)
    calls = iter(range(100))
    monkeypatch.setattr(parts, "ROWS", 1024)
    if failing < 3:
        with pytest.raises(OSError, match="no space"):
            editor.undo()
        assert same(editor.labels, before)
    editor.undo()
    assert not editor.edits
    check_consistent(editor.labels)


def test_the_size_of_parts_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(11)
    labels = np.zeros((5, 40, 50), np.int32)
    for number in range(1, 25):
        z, y, x = rng.integers(0, (4, 32, 42))
        labels[z : z + 2, y : y + 8, x : x + 8] = number
    whole = with_stuff(labels, np.full_like(labels, 5), "ZYX")
    log = [
        {"edit": "delete", "ids": [23]},
        {"edit": "categorize", "ids": [24], "category_id": 1},
        {"edit": "shrink", "distance": 1.5},
        {"edit": "cut", "polygon": [[3, 3], [35, 10], [20, 48]], "keep": "outside"},
        {"edit": "fill_holes", "each_plane": True},
        {"edit": "remove_edge", "axes": "X"},
        {"edit": "renumber"},
    ]
    first = replay(whole, log)
    check_consistent(first)
    monkeypatch.setattr(parts, "ROWS", 7)
    monkeypatch.setattr(parts, "PLANES", 2)
    assert same(replay(whole, log), first)
    # Where two are equally near to a pixel, either may have it.
    grown = Editor(first)
    grown.apply("grow", distance=2)
    check_consistent(grown.labels)
    near = expand_labels(np.asarray(first.instances), 2)
    assert_array_equal(np.asarray(grown.labels.instances) > 0, near > 0)


def test_a_listener_stops_an_edit() -> None:
    editor = Editor(started())
    before = copied(editor.labels)

    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt(progress.message)

    with pytest.raises(KeyboardInterrupt, match="fill holes"):
        editor.apply("fill_holes", stop)
    assert same(editor.labels, before)
