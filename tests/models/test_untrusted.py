"""Files from strangers: none of them runs, and honest ones come back as they were."""

from __future__ import annotations

import collections
import contextlib
import math
import pickle
import sys
import time
from pathlib import Path
from typing import Any

import malicious
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_instseg.models.untrusted import read_pickle, read_torch, read_yaml
from napari_instseg.segmenter import ModelError

READERS = {
    **{("pickle", name): (read_pickle, file) for name, file in malicious.PICKLES.items()},
    **{("torch", name): (read_torch, file) for name, file in malicious.TORCH.items()},
    **{("yaml", name): (read_yaml, file) for name, file in malicious.YAML.items()},
}
ids = [": ".join(key) for key in READERS]


@pytest.mark.parametrize(("read", "file"), READERS.values(), ids=ids)
def test_a_malicious_file_is_refused_and_leaves_no_trace(
    tmp_path: Path, read: Any, file: malicious.File
) -> None:
    folder = tmp_path / "in" / "here"
    folder.mkdir(parents=True)
    canary = folder.parent / "canary"
    path = folder / f"model{file.suffix}"
    path.write_bytes(file.content(canary))
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    modules = set(sys.modules)
    began = time.monotonic()
    with pytest.raises(ModelError) as caught:
        read(path)
    assert time.monotonic() - began < 20
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()} == before
    assert not {"antigravity", "this"} & (set(sys.modules) - modules)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 500 + len(str(path))


UNSAFE = {key: file for key, (_, file) in READERS.items() if file.unsafe is not None}


@pytest.mark.parametrize("file", UNSAFE.values(), ids=[": ".join(key) for key in UNSAFE])
@pytest.mark.filterwarnings("ignore")
def test_the_same_file_runs_in_a_reader_that_does_not_look(
    tmp_path: Path, file: malicious.File
) -> None:
    canary, path = tmp_path / "canary", tmp_path / f"model{file.suffix}"
    path.write_bytes(file.content(canary))
    assert file.unsafe is not None
    try:
        file.unsafe(path)
    except Exception:  # noqa: BLE001 (whatever comes after the damage)
        assert canary.exists()
    assert canary.exists()


def test_the_error_says_what_the_file_wanted(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(malicious.among_arrays(tmp_path / "canary"))
    with pytest.raises(ModelError, match=r"system, which is code\. Nothing in it was run"):
        read_pickle(path)
    path.write_bytes(malicious.zip_with_code(tmp_path / "canary"))
    with pytest.raises(ModelError, match=r"system, which is code\. Nothing in it was run"):
        read_torch(path)
    with pytest.raises(ModelError, match=r"!!python/object/apply:os\.system .*\(line 2\)"):
        read_yaml("a: 1\nb: !!python/object/apply:os.system [ls]")


def test_a_stand_in_for_numpys_functions_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(malicious.attribute_of_a_maker(path))
    with pytest.raises(ModelError):
        read_pickle(path)
    path.write_bytes(pickle.dumps(np.arange(3), protocol=5))
    assert read_pickle(path).tolist() == [0, 1, 2]


@pytest.mark.parametrize("read", [read_pickle, read_torch, read_yaml])
def test_a_missing_file_is_named(tmp_path: Path, read: Any) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(ModelError, match="expected a file at"):
            read(path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_truncated_files_are_named(tmp_path: Path, share: float) -> None:
    contents = {
        read_pickle: [pickle.dumps(malicious.weights(), protocol=p) for p in range(6)],
        read_torch: [
            malicious.saved(malicious.tensors()),
            malicious.saved(malicious.tensors(), _use_new_zipfile_serialization=False),
        ],
    }
    for read, whole in contents.items():
        for content in whole:
            path = tmp_path / "model.pth"
            path.write_bytes(content[: int(len(content) * share)])
            with pytest.raises(ModelError, match=r"model\.pth cannot be read"):
                read(path)


WHOLE = {
    "pickle 2": (read_pickle, pickle.dumps(malicious.weights(), protocol=2)),
    "pickle 4": (read_pickle, pickle.dumps(malicious.weights(), protocol=4)),
    "pickle 5": (read_pickle, pickle.dumps(malicious.weights(), protocol=5)),
    "torch": (read_torch, malicious.saved(malicious.tensors())),
    "old torch": (
        read_torch,
        malicious.saved(malicious.tensors(), _use_new_zipfile_serialization=False),
    ),
    "yaml": (read_yaml, b"a: &a {b: [1, 2.5, 'x'], c: !!int 3}\nd: {<<: *a}\n"),
}


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning")
@given(data=st.data())
def test_damage_is_an_error_that_is_told_and_no_crash(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    read, whole = WHOLE[kind]
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        where = data.draw(st.integers(0, len(content) - 1))
        content[where] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content)
    with contextlib.suppress(ModelError):
        read(path)


def test_an_escape_that_is_none_is_an_error_that_is_told(tmp_path: Path) -> None:
    path = tmp_path / "damaged.pkl"
    path.write_bytes(b"c\\collections\nOrderedDict\n.")
    with pytest.raises(ModelError, match="expected a pickle of NumPy arrays"):
        read_pickle(path)


# ------------------------------------------------------------------------------- honest files

numbers = st.sampled_from(["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "?", ">f4", ">i2"])
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.binary(max_size=5)
    | arrays.arrays(numbers, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.tuples(inner, inner)
    ),
    max_leaves=8,
)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        native = a.dtype.newbyteorder("=")
        return b.dtype == native and a.shape == b.shape and np.array_equal(a, b, equal_nan=True)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@given(value=values, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_values_and_arrays_come_back(
    tmp_path_factory: pytest.TempPathFactory, value: Any, protocol: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "value.pkl"
    # A single dtype object is written by its name, from which the byte order is read.
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    assert same(value, read_pickle(path))


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_each_layout_come_back(tmp_path: Path, protocol: int) -> None:
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    layouts = {
        "C": array,
        "F": np.asfortranarray(array),
        "axes": array.transpose(1, 0, 2),
        "strides": array[:, ::2],
        "scalar": np.float32(0.5),
        "0-D": np.array(3),
    }
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(collections.OrderedDict(layouts), protocol=protocol))
    read = read_pickle(path)
    assert type(read) is dict
    assert list(read) == list(layouts)
    for name, value in layouts.items():
        assert np.array_equal(read[name], value), name
    assert not read["C"].flags.writeable


@pytest.mark.parametrize("spelling", [b"numpy.core", b"numpy._core"])
def test_numpy_before_and_after_2_0(tmp_path: Path, spelling: bytes) -> None:
    path = tmp_path / "model.pkl"
    # Protocol 2 names modules in lines, so that their length does not matter.
    content = pickle.dumps(malicious.weights(), protocol=2)
    for name in (b"numpy.core.", b"numpy._core."):
        content = content.replace(b"c" + name, b"c" + spelling + b".")
    path.write_bytes(content)
    assert same(malicious.weights(), read_pickle(path))


def test_a_file_of_python_2(tmp_path: Path) -> None:
    """As cPickle of Python 2 wrote it with its highest protocol: text is bytes."""
    none = b"J\xff\xff\xff\xff"
    state = b"(K\x03U\x01<NNN" + none + none + b"K\x00tb"
    dtype = b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R" + state
    start = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    data = np.array([1.5, -2.25, 1e-30], np.float32).tobytes()
    array = start + b"(K\x01K\x03\x85" + dtype + b"\x89U\x0c" + data + b"tb"
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x02}U\x05blobs}U\x07conv1_w" + array + b"ss.")
    blobs = read_pickle(path)["blobs"]
    assert blobs["conv1_w"].tobytes() == data


def test_shared_values_do_not_multiply(tmp_path: Path) -> None:
    value: Any = [np.ones(2)]
    for _ in range(40):
        value = [value, value]
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(value))
    assert len(read_pickle(path)) == 2


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_large_files_take_little_time(tmp_path: Path, protocol: int) -> None:
    rng = np.random.default_rng(0)
    big = {f"layer{i}": rng.random((512, 1024), np.float32) for i in range(16)}
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"model": big}, protocol=protocol))
    began = time.monotonic()
    read = read_pickle(path)["model"]
    # 32 MiB take 0.05 s; on a busy machine much more.
    assert time.monotonic() - began < 5
    assert same(big, read)


@pytest.mark.parametrize("old", [False, True])
def test_torch_files_come_back(tmp_path: Path, old: bool) -> None:
    path = tmp_path / "model.pth"
    content = {"model": malicious.tensors(), "iteration": 7, "best": math.inf, "lr": [0.1, None]}
    torch.save(content, path, _use_new_zipfile_serialization=not old)
    read = read_torch(path)
    assert (read["iteration"], read["best"], read["lr"]) == (7, math.inf, [0.1, None])
    for name, value in malicious.tensors().items():
        assert torch.equal(read["model"][name], value)


def test_an_old_torch_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.pth"
    torch.save(malicious.tensors(), path)
    monkeypatch.setattr(torch, "__version__", "2.5.1+cu121")
    with pytest.raises(ModelError, match=r"torch 2\.5\.1.*: expected 2\.6 or later"):
        read_torch(path)


def test_yaml_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "a: [1, 2.5, true, null, text]\n"
        "b: &b {c: 1, d: [x]}\n"
        "e: {<<: *b, c: 2}\n"
        "f: *b\n"
        "g: !!python/tuple [1, 2]\n"
        "h: 1.0e-3\n"
        "1: number\n",
        encoding="utf-8-sig",
    )
    assert read_yaml(path) == {
        "a": [1, 2.5, True, None, "text"],
        "b": {"c": 1, "d": ["x"]},
        "e": {"c": 2, "d": ["x"]},
        "f": {"c": 1, "d": ["x"]},
        "g": (1, 2),
        "h": 0.001,
        1: "number",
    }
    assert read_yaml("") is None


def test_a_tag_that_is_known_stands_for_a_value() -> None:
    known = {("tag:yaml.org,2002:python/object/apply:eval", "[1 + 1]"): [2]}
    assert read_yaml('a: !!python/object/apply:eval ["[1 + 1]"]', known) == {"a": [2]}
    for other in ('["[1 + 2]"]', '["[1 + 1]", "x"]', "[]", '"[1 + 1]"', "{args: [1 + 1]}"):
        with pytest.raises(ModelError, match="would run Python code"):
            read_yaml(f"a: !!python/object/apply:eval {other}", known)
