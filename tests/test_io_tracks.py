"""Tracks in files, read back by others: the challenge's own tools, geff, pandas."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from lapses import Lapse, frames_of, lapse
from numpy.typing import NDArray

from napari_instseg.io.ctc import RESULT, TRUTH, write_ctc
from napari_instseg.io.geff import links_of
from napari_instseg.io.results import result_paths
from napari_instseg.ops.axes import Image
from napari_instseg.segmentation import Segmentation
from napari_instseg.segmenter import Category, InputError
from napari_instseg.settings import CSV, CTC, GEFF, Settings

SPACING = {"Y": 0.5, "X": 0.25}


def result_of(truth: Lapse, missed: float = 0.1, **settings: Any) -> Segmentation:
    image = Image(np.zeros(truth.labels.shape, np.uint8), "TYX", SPACING)
    chosen = Settings(track=True, track_split=True, score_threshold=0.0, **settings)
    frames = tuple(frames_of(truth.labels, missed))
    return Segmentation(frames, image, (Category(1, "cell"),), chosen, {})


@pytest.fixture(scope="module")
def truth() -> Lapse:
    return lapse(128, 12, 6, speed=1.5, division=0.2, seed=0)


@pytest.fixture(scope="module")
def result(truth: Lapse) -> Segmentation:
    found = result_of(truth)
    # Gaps and divisions are there to be written.
    table = found.table
    assert (table["frames"] < table["t_last"] - table["t_first"] + 1).any()
    assert found.lineage
    return found


def read_ctc(folder: Path, prefix: str = "mask") -> tuple[NDArray[Any], NDArray[np.int64]]:
    masks = [tifffile.imread(path) for path in sorted(folder.glob(f"{prefix}*.tif"))]
    return np.stack(masks), np.loadtxt(folder / "res_track.txt", np.int64, ndmin=2)


def test_ctc_there_and_back(result: Segmentation, tmp_path: Path) -> None:
    paths = result.save(tmp_path, "a", tracks=[CTC])
    assert paths == result_paths(result.settings.outputs, tmp_path, "a", "tiff", [CTC])
    masks, lines = read_ctc(tmp_path / "a_RES")
    assert masks.dtype == np.uint16
    np.testing.assert_array_equal(masks > 0, result.instances > 0)
    whole = dict(zip(lines[:, 0].tolist(), lines[:, 0].tolist(), strict=True))
    for number, begin, end, parent in lines.tolist():
        # Each is there in all of its frames, and in no other.
        here = np.flatnonzero((masks == number).any(axis=(1, 2)))
        assert here.tolist() == list(range(begin, end + 1))
        if parent and np.count_nonzero(lines[:, 3] == parent) == 1:
            whole[number] = whole[parent]
    # Joined over gaps, they are our tracks.
    lookup = np.zeros(masks.max() + 1, np.int64)
    lookup[list(whole)] = list(whole.values())
    np.testing.assert_array_equal(lookup[masks], result.instances)
    parents = {whole[a]: whole[d] for a, _, _, d in lines.tolist() if d and whole[a] == a}
    assert parents == {child: parent for child, (parent,) in result.lineage.items()}


def measured(folder: Path, found: Path, metrics: list[str]) -> dict[str, Any]:
    evaluate = pytest.importorskip("ctc_metrics.scripts.evaluate")
    with contextlib.redirect_stdout(io.StringIO()):
        values: dict[str, Any] = evaluate.evaluate_sequence(
            str(found), str(folder), metrics=metrics, threads=1
        )
    return values


def test_the_challenges_own_tools_read_it(
    truth: Lapse, result: Segmentation, tmp_path: Path
) -> None:
    (tmp_path / "GT").mkdir()
    write_ctc(tmp_path / "GT" / "TRA", truth.labels, "TYX", truth.parents, TRUTH)
    result.save(tmp_path, "a", tracks=[CTC])
    perfect = tmp_path / "perfect"
    write_ctc(perfect, truth.labels, "TYX", truth.parents)
    names = ["Valid", "TRA", "LNK", "CT"]
    best = measured(tmp_path / "GT", perfect, list(names))
    assert [best[name] for name in names] == [1, 1, 1, 1]
    ours = measured(tmp_path / "GT", tmp_path / "a_RES", list(names))
    assert ours["Valid"] == 1
    assert 0.8 < ours["TRA"] < 1


@given(st.integers(0, 500), st.floats(0, 0.5))
def test_tracks_with_gaps_stay_valid(seed: int, missed: float) -> None:
    """Whatever is missing: the lines fit the masks, and parents end before children begin."""
    valid = pytest.importorskip("ctc_metrics.metrics").valid
    made = lapse(32, 6, 4, speed=2.0, radius=(2.0, 4.0), division=0.4, seed=seed)
    found = result_of(made, missed)
    if not found.count:
        return
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        parents = {child: parent for child, (parent,) in found.lineage.items()}
        folder = write_ctc(Path(name) / "RES", found.instances, "TYX", parents)
        masks, lines = read_ctc(folder)
    labels = [np.setdiff1d(np.unique(mask), 0).tolist() for mask in masks]
    with (
        pytest.warns(UserWarning, match="Empty frame")
        if not all(labels)
        else contextlib.nullcontext()
    ):
        assert valid(list(masks), lines, labels) == 1


def test_volumes_and_long_lapses(tmp_path: Path) -> None:
    labels = np.zeros((2, 1001, 3, 4), np.int32)
    labels[1, :, 1, 2] = 7
    write_ctc(tmp_path / "RES", labels, "ZTYX", {}, RESULT)
    # Each mask has its axes in the order Z, Y, X.
    mask = tifffile.imread(tmp_path / "RES" / "mask1000.tif")
    np.testing.assert_array_equal(mask, labels[:, 1000])
    assert (tmp_path / "RES" / "res_track.txt").read_text() == "7 0 1000 0\n"
    assert (tmp_path / "RES" / "mask0000.tif").is_file()


def test_nothing_found(tmp_path: Path) -> None:
    image = Image(np.zeros((2, 8, 8), np.uint8), "TYX")
    empty = Segmentation(
        tuple(frames_of(np.zeros((2, 8, 8), np.int32))), image, (), Settings(track=True), {}
    )
    empty.save(tmp_path, tracks=[CSV, CTC, GEFF])
    assert (tmp_path / "RES" / "res_track.txt").read_text() == ""
    assert not tifffile.imread(tmp_path / "RES" / "mask001.tif").any()
    assert not len(pd.read_csv(tmp_path / "tracks.csv"))
    assert list(pd.read_csv(tmp_path / "tracks.csv").columns) == list(empty.tracks.columns)


def test_what_ctc_has_no_room_for(tmp_path: Path) -> None:
    many = np.arange(70_000, dtype=np.int32).reshape(1, 700, 100)
    with pytest.raises(InputError, match="holds 65535 tracks, got 69999"):
        write_ctc(tmp_path / "RES", many, "TYX", {})
    assert not (tmp_path / "RES").exists()
    with pytest.raises(InputError, match="TYX or TZYX, got PTYX"):
        write_ctc(tmp_path / "RES", many[None], "PTYX", {})


def test_csv_there_and_back(result: Segmentation, tmp_path: Path) -> None:
    result.save(tmp_path, "a")
    table = pd.read_csv(tmp_path / "a_tracks.csv")
    # float32 scores are written with the digits that they need.
    pd.testing.assert_frame_equal(
        table.drop(columns="score"), result.tracks.drop(columns="score"), check_dtype=False
    )
    np.testing.assert_array_equal(table["score"].astype(np.float32), result.tracks["score"])


def test_geff_there_and_back(result: Segmentation, tmp_path: Path) -> None:
    geff = pytest.importorskip("geff")
    result.save(tmp_path, "a", tracks=[GEFF])
    path = tmp_path / "a_tracks.geff"
    geff.validate_structure(path)
    graph, about = geff.read(path, backend="networkx")
    tracks = result.tracks
    assert graph.is_directed()
    rows = pd.DataFrame.from_dict(dict(graph.nodes(data=True)), orient="index").sort_index()
    assert len(rows) == len(tracks)
    for name in ("track", "parent", "t", "y", "x", "area", "score"):
        np.testing.assert_array_equal(rows[name], tracks[name])
    assert set(rows["category"]) == {"cell"}
    assert sorted(graph.edges) == [tuple(pair) for pair in links_of(tracks).tolist()]
    for a, b in graph.edges:
        assert rows.loc[a, "t"] < rows.loc[b, "t"]
        assert rows.loc[a, "track"] in (rows.loc[b, "track"], rows.loc[b, "parent"])
    # All but the first of each tree have one object before them.
    roots = tracks.groupby("track").first()["parent"] == 0
    assert graph.number_of_edges() == len(tracks) - np.count_nonzero(roots)
    assert [(axis.name, axis.type, axis.scale) for axis in about.axes] == [
        ("t", "time", None),
        ("y", "space", 0.5),
        ("x", "space", 0.25),
    ]


def test_without_geff_one_learns_how_to_get_it(
    result: Segmentation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "geff", None)
    with pytest.raises(InputError, match=r'pip install "napari-instseg\[geff\]"'):
        result.save(tmp_path / "out", "a", tracks=[GEFF])
    # Nothing is written by half.
    assert not (tmp_path / "out").exists()


def test_only_known_formats(result: Segmentation, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected some of .*, got 'xml'"):
        result.save(tmp_path, tracks=["xml"])
