"""Lines to be copied say what was chosen: they are read back, quoted and all."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_instseg.cli import build_parser
from napari_instseg.cli.evaluate import _options
from napari_instseg.cli.segment import read_settings
from napari_instseg.evaluation import Options, thresholds_from
from napari_instseg.prompting.everything_settings import EverythingSettings
from napari_instseg.prompting.refine_settings import RefineSettings
from napari_instseg.prompting.requests import requests_from_json, requests_to_json
from napari_instseg.segmenter import InputError
from napari_instseg.settings import OUTPUTS, Settings
from napari_instseg.snippets.batch import batch_command, batch_python
from napari_instseg.snippets.evaluate import evaluate_command, evaluate_python
from napari_instseg.snippets.everything import Everything, everything_command, everything_python
from napari_instseg.snippets.options import OF_LINKS, OF_TRACKS
from napari_instseg.snippets.recipe import (
    Kept,
    labels_python,
    recipe_command,
    recipe_python,
)
from napari_instseg.snippets.segment import segment_command, segment_python
from napari_instseg.snippets.source import Source
from napari_instseg.snippets.text import windows_word

SHARE = st.floats(0, 1)
SIZES = st.floats(0.01, 1e6)
NAMES = ("/data/a.tif", '/my cells/it\'s "50 %" $HOME.tif', "/µm/ä;rm.tif", "/x/[1]*?.tif")
PATHS = st.sampled_from([*NAMES, "/tab\t.tif"]).map(Path)


@st.composite
def any_settings(draw: st.DrawFn) -> Settings:
    tile = draw(st.sampled_from([128, 1024, 2048]))
    pair = st.tuples(st.floats(-1e6, 1e6), st.floats(1, 1e6)).map(lambda p: (p[0], p[0] + p[1]))
    values = {
        "model": draw(st.sampled_from(["nuclei", "/my model/a b.safetensors"])),
        "outputs": draw(st.sampled_from([OUTPUTS, ("instances",), ("panoptic", "semantic")])),
        "score_threshold": draw(SHARE),
        "channels": draw(st.none() | st.tuples(st.integers(0, 5), st.integers(0, 5))),
        "percentiles": draw(st.tuples(st.floats(0, 40), st.floats(60, 100))),
        "limits": draw(st.none() | st.lists(pair, min_size=1, max_size=2).map(tuple)),
        "invert": draw(st.booleans()),
        "diameter": draw(st.none() | st.sampled_from(["auto", "as trained"]) | SIZES),
        "diameter_unit": draw(st.sampled_from(["px", "um"])),
        "link": draw(st.booleans()),
        "link_overlap": draw(st.floats(0.01, 1)),
        "link_gap": draw(st.integers(0, 9)),
        "link_fill": draw(st.booleans()),
        "track": draw(st.booleans()),
        "track_distance": draw(st.none() | SIZES),
        "track_distance_unit": draw(st.sampled_from(["px", "um"])),
        "track_split": draw(st.booleans()),
        "min_frames": draw(st.integers(1, 9)),
        "tile_size": tile,
        "overlap": draw(st.integers(0, tile // 2)),
        "batch_size": draw(st.integers(0, 9)),
        "device": draw(st.sampled_from(["auto", "cpu", "cuda:1"])),
        "precision": draw(st.sampled_from(["auto", "float32"])),
    }
    return Settings(**values)


def counting(chosen: Settings) -> Settings:
    """Without what has no meaning, since something else is not chosen."""
    plain, values = Settings(), chosen.to_json()
    off = [name for names in ((OF_LINKS,) if not chosen.link else ()) for name in names]
    off += [*OF_TRACKS] if not chosen.track else []
    if not chosen.track or chosen.track_distance is None:
        off += ["track_distance", "track_distance_unit"]
    if chosen.diameter is None or isinstance(chosen.diameter, str):
        off += ["diameter_unit"]
    return Settings.from_json({**values, **{name: getattr(plain, name) for name in off}})


class Recorder:
    """Stands for the package, and keeps what it is called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        def record(*values: Any, **named: Any) -> Any:
            self.calls.append((name, values, named))
            done = ("refine", "everything", "draw", "apply")
            return SimpleNamespace(
                **{name: getattr(self, name) for name in done}, label_set=0, labels=0
            )

        return record


def execute(text: str, **names: Any) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    first, rest = text.split("\n", 1)
    assert first == "import napari_instseg as nis"
    recorder = Recorder()
    exec(compile(rest, "copied", "exec"), {"nis": recorder, **names})
    return recorder.calls


@settings(max_examples=80, deadline=None)
@given(any_settings(), PATHS)
def test_python_says_the_same_settings(chosen: Settings, path: Path) -> None:
    ((name, values, named),) = execute(segment_python(Source(path), chosen))
    assert (name, values[0]) == ("segment", str(path))
    model = {"model": values[1]} if len(values) > 1 else {}
    assert Settings.from_json({**model, **named}) == counting(chosen)
    plain = Settings().to_json()
    assert all(value != plain[name] for name, value in named.items())


@settings(max_examples=80, deadline=None)
@given(any_settings(), PATHS)
def test_the_command_says_the_same_settings(chosen: Settings, path: Path) -> None:
    line = segment_command(Source(path), chosen, Path("/my results"))
    program, *words = shlex.split(line)
    args = build_parser().parse_args(words)
    assert (program, args.inputs, args.output) == (
        "napari-instseg",
        [str(path)],
        Path("/my results"),
    )
    assert read_settings(args)[1] == counting(chosen)


def test_defaults_are_left_out() -> None:
    source = Source(Path("a.tif"))
    assert segment_python(source, Settings()) == (
        "import napari_instseg as nis\n\nresult = nis.segment('a.tif')\n"
    )
    assert segment_command(source, Settings()) == (
        "napari-instseg segment a.tif --output results\n"
    )


def test_an_image_larger_than_memory_goes_into_files() -> None:
    text = segment_python(Source(Path("a.zarr")), Settings(model="m"), Path("out"))
    assert execute(text) == [("segment_to", ("out", "a.zarr", "m"), {})]
    assert "files = " in text


def test_axes_pixel_sizes_and_layers() -> None:
    given = Source(Path("a.tif"), "a", "ZYX", {"Z": 2.0, "Y": 0.5, "X": 0.5})
    ((_, _, named),) = execute(segment_python(given, Settings()))
    assert named == {"axes": "ZYX", "spacing": {"Z": 2.0, "Y": 0.5, "X": 0.5}}
    assert "--axes ZYX --pixel-size 0.5 --z-step 2\n" in segment_command(given, Settings())
    layer = Source(layer='it\'s "mine"', level=1, axes="YX")
    data = object()
    layers = {'it\'s "mine"': SimpleNamespace(data=[None, data])}
    viewer = SimpleNamespace(layers=layers)
    ((_, values, named),) = execute(segment_python(layer, Settings()), viewer=viewer)
    assert values == (data,)
    assert named == {"axes": "YX"}
    note, line = segment_command(layer, Settings()).splitlines()
    assert note.startswith("# viewer.layers[")
    assert shlex.split(line)[:3] == ["napari-instseg", "segment", "image.tif"]
    oblong = Source(Path("a.tif"), "a", None, {"Y": 1.0, "X": 0.5})
    assert "# pixels that are not square" in segment_command(oblong, Settings())


def test_no_pixel_sizes_are_not_those_of_the_file() -> None:
    as_file, none = Source(Path("a.tif")), Source(Path("a.tif"), spacing={})
    assert execute(segment_python(as_file, Settings())) == [("segment", ("a.tif",), {})]
    assert execute(segment_python(none, Settings())) == [("segment", ("a.tif",), {"spacing": {}})]
    note = "# without pixel sizes: the command takes the file's pixel size\n"
    assert segment_command(none, Settings()) == note + segment_command(as_file, Settings())


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("a.tif", "a.tif"),
        ("my cells.tif", '"my cells.tif"'),
        ("", '""'),
        ("C:\\R&D\\", '"C:\\R&D\\\\"'),
        *((f"a{sign}b", f'"a{sign}b"') for sign in "&|<>^(),;@'"),
        ('a"b', 'a\\"b'),
    ],
)
def test_words_for_windows(word: str, quoted: str) -> None:
    assert windows_word(word) == quoted


def test_a_batch() -> None:
    images = {"a": Path("/in/a b.tif"), "b": Path("/in/b.tif")}
    chosen = Settings(model="m.safetensors", device="cpu", score_threshold=0.7)
    text = batch_python(images, Path("/out"), chosen, axes="ZYX", format="zarr", anew=True)
    load, *calls = execute(text)
    assert load == ("load_model", ("m.safetensors",), {"device": "cpu"})
    named = {"axes": "ZYX", "format": "zarr", "existing": "replace", "score_threshold": 0.7}
    for (name, values, options), (stem, path) in zip(calls, images.items(), strict=True):
        assert (name, values[:2]) == ("segment_to", ("/out", str(path)))
        assert options == {"stem": stem, **named}
    line = batch_command(["/in/**", "/x y"], Path("/out"), chosen, recipe="/r.json")
    assert shlex.split(line) == [
        *("napari-instseg", "segment", "/in/**", "/x y"),
        *("--output", "/out", "--recipe", "/r.json", "--resume"),
    ]
    line = batch_command(["/in"], Path("/out"), chosen, axes="ZYX", format="zarr", anew=True)
    args = build_parser().parse_args(shlex.split(line)[1:])
    assert (args.axes, args.format, args.overwrite) == ("ZYX", "zarr", True)
    assert read_settings(args)[1] == chosen
    colored = Settings(colors=((1, 0, 0),))
    assert batch_command(["a"], Path("o"), colored).startswith("# colours of channels have no")


def test_everything_and_a_detectors_objects() -> None:
    source, place = Source(Path("a.tif")), (slice(2, 40), slice(0, 9))
    options = {"channels": None, "diameter": None, "tile_size": 256, "overlap": 64, "invert": True}
    grid = EverythingSettings(mode="exact", min_area=20.0)
    what = Everything("mobile-sam", options, grid, planes=((1,),), region=place)
    opened, asked = execute(everything_python(source, what))
    tiles = {"diameter": None, "tile_size": 256, "overlap": 64, "invert": True}
    assert opened == ("PromptSession", ("a.tif", "mobile-sam"), tiles)
    settings_given = {"region": place, "planes": [(1,)], "mode": "exact", "min_area": 20.0}
    assert asked == ("everything", (), settings_given)
    note, line = everything_command(source, what).splitlines()
    assert "takes no part of it" in note
    args = build_parser().parse_args(shlex.split(line)[1:])
    assert (args.model, args.mode, args.min_area, args.tile_size) == (
        "mobile-sam",
        "exact",
        20,
        256,
    )
    assert (args.diameter, args.invert) == ((None, "px"), True)

    found = Settings(model="mine.safetensors", score_threshold=0.4)
    what = Everything("sam-nuclei", {}, found, refine=RefineSettings(prompt="mask"))
    opened, detected, refined = execute(everything_python(source, what))
    assert opened == ("PromptSession", ("a.tif",), {})
    assert detected == ("segment", ("a.tif", "mine.safetensors"), {"score_threshold": 0.4})
    assert refined[2] == {"prompt": "mask"}
    note, line = everything_command(source, what).splitlines()
    assert "no options for the detector's prompt, score_threshold" in note
    assert line.endswith("--prompts detector --detector mine.safetensors")


def test_objects_of_a_layer() -> None:
    what = Everything("sam-nuclei", {}, "viewer.layers['a'].data")
    viewer = SimpleNamespace(layers={"a": SimpleNamespace(data=7)})
    _, refined = execute(everything_python(Source(Path("a.tif")), what), viewer=viewer)
    assert refined == ("refine", (7,), {"kind": "labels"})


RUN = {"schema": 2, "settings": Settings(model="m", score_threshold=0.7).to_json(), "input": {}}
PROMPT = {
    "plane": [2],
    "category": "cell",
    "category_id": 3,
    "points": [[1.5, 2.25], [3.0, 4.0]],
    "labels": [1, 0],
    "box": None,
    "mask": None,
    "corrects": {"points": [[1.5, 2.25]], "labels": [1], "box": None, "mask": None, "choice": 1},
    "index": 4,
}
LAYER = Kept('it\'s "mine"')


def test_a_recipe_is_a_run_and_its_edits() -> None:
    edits = [{"edit": "merge", "ids": [1, 2]}, {"edit": "paint", "runs": [-1, 3], "start": [0, 0]}]
    text = recipe_python({**RUN, "edits": edits}, Source(Path("a.tif")), LAYER)
    run, editor, merge, paint = execute(text)
    assert run == ("segment", ("a.tif", "m"), {"score_threshold": 0.7})
    assert editor[0] == "Editor"
    assert merge == ("apply", ("merge",), {"ids": [1, 2]})
    assert paint == ("apply", ("paint",), {"runs": [-1, 3], "start": [0, 0]})
    # A long log, and runs of other kinds, are replayed.
    layers = {LAYER.layer: SimpleNamespace(metadata={"napari_instseg": 7})}
    viewer = SimpleNamespace(layers=layers)
    for recipe in (
        {**RUN, "edits": [{"edit": "delete", "ids": list(range(20_000))}]},
        {**RUN, "everything": {}},
        {**RUN, "view": {"Z": 2}},
        {**RUN, "refine": {}, "detector": {}},
        {**RUN, "complete": False},
    ):
        text = recipe_python(recipe, Source(Path("a.tif")), LAYER)
        assert "run this in napari's console" in text
        assert execute(text, viewer=viewer) == [("replay", (7, "a.tif"), {})]
        kept = Kept("a", Path("/x y/a_recipe.json"))
        text = recipe_python(recipe, Source(Path("a.tif")), kept)
        assert execute(text) == [("replay", ("/x y/a_recipe.json", "a.tif"), {})]


@pytest.mark.parametrize("write", [recipe_python, recipe_command])
def test_what_no_replay_makes_again_is_refused(write: Any) -> None:
    with pytest.raises(InputError, match="save the labels as they are"):
        write({**RUN, "refine": {}}, Source(Path("a.tif")), LAYER)


def test_prompts_are_said_without_what_goes_without_saying() -> None:
    plain = {**PROMPT, "category": "object", "category_id": 1, "plane": [], "labels": [1, 1]}
    recipe = {**RUN, "prompts": [PROMPT, plain]}
    opened, asked = execute(recipe_python(recipe, Source(Path("a.tif")), LAYER))
    assert opened[:2] == ("PromptSession", ("a.tif", "m"))
    assert opened[2]["score_threshold"] == 0.7
    first, second = asked[1][0]
    assert next(iter(first)) == "index"
    assert first["corrects"] == {"points": [[1.5, 2.25]], "choice": 1}
    assert (first["category"], first["labels"]) == ("cell", [1, 0])
    assert set(second) == {"index", "points", "corrects"}
    for short, long in zip((first, second), recipe["prompts"], strict=True):
        ((one,), names), ((two,), _) = requests_from_json([short]), requests_from_json([long])
        assert requests_to_json([one], names) == requests_to_json([two], names)


def test_the_command_of_a_recipe() -> None:
    recipe = {**RUN, "prompts": [PROMPT]}
    line = recipe_command(recipe, Source(Path("it's a.tif")), LAYER)
    args = build_parser().parse_args(shlex.split(line)[1:])
    assert (args.command, str(args.image), args.model) == ("prompt", "it's a.tif", "m")
    ((request,), names) = requests_from_json(json.loads(args.prompts))
    assert requests_to_json([request], names) == [PROMPT]
    # Many prompts, and edits, are in the recipe's file, which is to be written first.
    for more in ({"prompts": [PROMPT] * 100}, {"edits": [{"edit": "delete", "ids": [1]}]}):
        note, line = recipe_command({**recipe, **more}, Source(Path("a.tif")), LAYER).splitlines()
        assert note.endswith("""nis.export(viewer.layers['it\\'s "mine"'], 'results', 'result')""")
        args = build_parser().parse_args(shlex.split(line)[1:])
        assert args.recipe == Path("results/it's _mine__recipe.json")
        assert args.input == Path("a.tif")
    kept = Kept("a", Path("/x y/a_recipe.json"))
    line = recipe_command(RUN, Source(Path("a.tif")), kept)
    assert shlex.split(line)[1:4] == ["replay", "/x y/a_recipe.json", "--input"]
    note, _ = recipe_command(RUN, Source(layer="cells"), kept).splitlines()
    assert "save it as image.tif first" in note


def test_many_edits_of_a_plain_label_image_are_refused() -> None:
    with pytest.raises(InputError, match="1 edits are too many"):
        labels_python(Path("a.tif"), [{"edit": "delete", "ids": list(range(20_000))}])


@given(
    st.sampled_from(["auto", "name", "one"]),
    st.sampled_from([None, True, False]),
    st.booleans(),
    st.integers(5, 100).map(lambda n: n / 100),
    PATHS,
    st.sampled_from([None, "found", 'it\'s "mine"']),
)
def test_an_evaluation_says_the_same(
    categories: str, void: bool | None, flag: bool, iou: float, path: Path, layer: str | None
) -> None:
    options = Options(
        thresholds=thresholds_from(iou),
        categories=categories,
        void=void,
        coco=flag,
        boundary=not flag,
        poor_below=iou,
        draws=10 if flag else 1000,
    )
    sides = (layer, "truth") if layer else (path, Path("/truth"))
    *_, (name, values, named) = execute(
        evaluate_python(*sides, options).replace("print(report)", ""),
        viewer=SimpleNamespace(layers={layer: 1, "truth": 2}),
    )
    assert (name, Options.of(named)) == ("evaluate", options)
    assert values == ((1, 2) if layer else (str(path), "/truth"))
    *notes, line = evaluate_command(*sides, options).splitlines()
    assert all(note.startswith("# ") for note in notes)
    assert len(notes) == (2 if layer else 0)
    parsed = build_parser().parse_args(shlex.split(line)[1:])
    assert _options(parsed) == options
    assert str(parsed.predicted) == ("predicted.tif" if layer else str(path))
