"""Files that a stranger might send: each would run code, read elsewhere, or eat the memory.

A file that runs leaves a trace: the canary. `unsafe` is a reader for which it does, where there
is one: it shows that the file is what it claims to be.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml


def command(canary: Path) -> str:
    return f'echo ran > "{canary}"'


class Runs:
    """Runs a command where it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (command(self.canary),)


class Armed:
    """Runs a command where its state is set: the step BUILD, no call."""

    def __init__(self, canary: Path) -> None:
        self.canary = str(canary)

    def __setstate__(self, state: dict[str, str]) -> None:
        os.system(command(Path(state["canary"])))


@dataclass(frozen=True)
class File:
    """A file's suffix, how its bytes are made, and a reader that falls for it."""

    suffix: str
    content: Callable[[Path], bytes]
    unsafe: Callable[[Path], Any] | None = None


def weights() -> dict[str, Any]:
    return {"backbone.weight": np.ones((3, 2), np.float32), "head.bias": np.zeros(4, np.float32)}


def unpickle(path: Path) -> Any:
    return pickle.loads(path.read_bytes(), encoding="latin1")


def load_torch(path: Path) -> Any:
    return torch.load(path, weights_only=False)


def load_yaml(path: Path) -> Any:
    return yaml.unsafe_load(path.read_text())


# --------------------------------------------------------------------------------------- pickle


def in_a_list(canary: Path) -> bytes:
    return pickle.dumps([Runs(canary)])


def among_arrays(canary: Path) -> bytes:
    model = {**weights(), "head.weight": Runs(canary)}
    return pickle.dumps({"model": model, "__author__": "a friend", "matching_heuristics": True})


def deep_in_python_2(canary: Path) -> bytes:
    return pickle.dumps({"blobs": {**weights(), "lr": [({"x": [Runs(canary)]},)]}}, protocol=2)


def set_state(canary: Path) -> bytes:
    return pickle.dumps({"model": {**weights(), "epoch": Armed(canary)}})


def stack_global(canary: Path) -> bytes:
    code = f"__import__('os').system({command(canary)!r})".encode()
    eval_ = b"\x8c\x08builtins\x8c\x04eval\x93"
    return b"\x80\x04" + eval_ + b"X" + struct.pack("<I", len(code)) + code + b"\x85R."


def inst(canary: Path) -> bytes:
    return b"(S" + repr(command(canary)).encode() + b"\nios\nsystem\n."


def obj(canary: Path) -> bytes:
    text = command(canary).encode()
    return b"(cos\nsystem\nX" + struct.pack("<I", len(text)) + text + b"o."


def in_an_object_array(canary: Path) -> bytes:
    return pickle.dumps({"model": {"w": np.array([Runs(canary)], dtype=object)}})


def in_a_structured_array(canary: Path) -> bytes:
    array = np.empty(1, dtype=[("x", "f4"), ("y", object)])
    array["y"][0] = Runs(canary)
    return pickle.dumps({"model": {"w": array}})


def torch_storage(canary: Path) -> bytes:
    inner = io.BytesIO()
    torch.save(Runs(canary), inner)
    data = inner.getvalue()
    load = b"ctorch.storage\n_load_from_bytes\n"
    return b"\x80\x03" + load + b"B" + struct.pack("<I", len(data)) + data + b"\x85R."


def attribute_of_a_maker(_: Path) -> bytes:
    """Give a function that stands in for NumPy's other defaults: the slots' part of BUILD."""
    return b"\x80\x04cnumpy._core.numeric\n_frombuffer\n(N}X\x0c\x00\x00\x00__defaults__)s\x86b."


def state_of_a_maker(_: Path) -> bytes:
    return b"\x80\x04c_codecs\nencode\n}X\x01\x00\x00\x00aK\x01sb."


def numpy_load(_: Path) -> bytes:
    return b"\x80\x04cnumpy\nload\nX\x05\x00\x00\x00a.npy\x85R."


def persistent(_: Path) -> bytes:
    return b"Pfile:///etc/passwd\n."


def extension(_: Path) -> bytes:
    return b"\x80\x04\x82\x01)R."


def memo_of_64_gib(_: Path) -> bytes:
    return b"\x80\x04Nr\xff\xff\xff\xff."


def bytes_of_a_tebibyte(_: Path) -> bytes:
    return b"\x80\x05\x8e" + struct.pack("<Q", 2**40) + b"few."


def frame_of_a_tebibyte(_: Path) -> bytes:
    return b"\x80\x05\x95" + struct.pack("<Q", 2**40) + b"N."


def array_larger_than_its_bytes(_: Path) -> bytes:
    return pickle.dumps(np.ones(4, np.float32), protocol=4).replace(b"K\x04\x85", b"K\xff\x85")


def list_in_itself(_: Path) -> bytes:
    knot: list[Any] = []
    knot.append(knot)
    return pickle.dumps({"model": knot})


def nested_ten_thousand_times(_: Path) -> bytes:
    return b"\x80\x04" + b"]" * 10_000 + b"a" * 9_999 + b"."


PICKLES = {
    "os.system in a list": File(".pkl", in_a_list, unpickle),
    "os.system among arrays": File(".pkl", among_arrays, unpickle),
    "os.system deep in a file of Python 2": File(".pkl", deep_in_python_2, unpickle),
    "__setstate__": File(".pkl", set_state, unpickle),
    "STACK_GLOBAL builtins.eval": File(".pkl", stack_global, unpickle),
    "INST": File(".pkl", inst, unpickle),
    "OBJ": File(".pkl", obj, unpickle),
    "array of objects": File(".pkl", in_an_object_array, unpickle),
    "structured array of objects": File(".pkl", in_a_structured_array, unpickle),
    "torch's storages": File(".pkl", torch_storage),
    "attributes of a stand-in": File(".pkl", attribute_of_a_maker),
    "state of a stand-in": File(".pkl", state_of_a_maker),
    "numpy.load": File(".pkl", numpy_load),
    "persistent id": File(".pkl", persistent),
    "extension registry": File(".pkl", extension),
    "memo of 64 GiB": File(".pkl", memo_of_64_gib),
    "bytes of 1 TiB": File(".pkl", bytes_of_a_tebibyte),
    "frame of 1 TiB": File(".pkl", frame_of_a_tebibyte),
    "array larger than its bytes": File(".pkl", array_larger_than_its_bytes),
    "list in itself": File(".pkl", list_in_itself),
    "nested ten thousand times": File(".pkl", nested_ten_thousand_times),
}

# ---------------------------------------------------------------------------------------- torch


def saved(content: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def tensors() -> dict[str, Any]:
    return {name: torch.from_numpy(value) for name, value in weights().items()}


def zip_with_code(canary: Path) -> bytes:
    return saved({"model": tensors(), "hooks": Runs(canary)})


def old_format_with_code(canary: Path) -> bytes:
    return saved({"model": tensors(), "x": Runs(canary)}, _use_new_zipfile_serialization=False)


def plain_pickle(canary: Path) -> bytes:
    return pickle.dumps({"model": Runs(canary)}, protocol=2)


def with_entries(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A good archive of torch's with other entries added."""
    file = io.BytesIO(saved({"model": tensors()}))
    with zipfile.ZipFile(file, "a", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def entry_above(canary: Path) -> bytes:
    return with_entries({f"archive/../../{canary.name}": b"escaped"})


def entry_absolute(canary: Path) -> bytes:
    return with_entries({str(canary): b"escaped"})


def entry_with_backslashes(_: Path) -> bytes:
    return with_entries({"archive\\..\\..\\escaped": b"escaped"})


def packed_bomb(_: Path) -> bytes:
    return with_entries({"archive/data/9": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)


def torchscript(_: Path) -> bytes:
    return with_entries({"archive/constants.pkl": b"\x80\x02)."})


TORCH = {
    "zip with code": File(".pth", zip_with_code, load_torch),
    "old format with code": File(".pth", old_format_with_code, load_torch),
    "plain pickle": File(".pth", plain_pickle, unpickle),
    "zip under a pickle's name": File(".pkl", zip_with_code, load_torch),
    "entry above the archive": File(".pth", entry_above),
    "absolute entry": File(".pth", entry_absolute),
    "entry with backslashes": File(".pth", entry_with_backslashes),
    "zip bomb": File(".pth", packed_bomb),
    "TorchScript": File(".pth", torchscript),
}

# ----------------------------------------------------------------------------------------- YAML


def text(template: str) -> Callable[[Path], bytes]:
    """YAML in which COMMAND stands for the command, and CANARY for the path."""
    return lambda canary: (
        template.replace("COMMAND", command(canary).replace('"', "'"))
        .replace("CANARY", str(canary))
        .encode()
    )


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 12)
)
NEARLY_RETINANET = (
    "[[x, x * 2**(1.0/3), x * 2**(2.0/3) ] for x in "
    "[32, 64, 128, 256, open('CANARY', 'w').write('') ]]"
)

YAML = {
    "python/object/apply": File(
        ".yaml", text('MODEL: {X: !!python/object/apply:os.system ["COMMAND"]}'), load_yaml
    ),
    "python/object/new": File(
        ".yaml", text('MODEL: !!python/object/new:os.system ["COMMAND"]'), load_yaml
    ),
    "python/object/apply as a key": File(
        ".yaml", text('? !!python/object/apply:os.system ["COMMAND"]\n: 1'), load_yaml
    ),
    "python/object/apply with arguments by name": File(
        ".yaml", text('a: !!python/object/apply:os.system {args: ["COMMAND"]}'), load_yaml
    ),
    "nearly RetinaNet's eval": File(
        ".yaml", text(f'a: !!python/object/apply:eval ["{NEARLY_RETINANET}"]'), load_yaml
    ),
    "tag by its own name": File(
        ".yaml",
        text('%TAG !p! tag:yaml.org,2002:python/object/apply:\n---\na: !p!os.system ["COMMAND"]'),
        load_yaml,
    ),
    "python/name": File(".yaml", text("a: !!python/name:os.system")),
    "python/module": File(".yaml", text("a: !!python/module:antigravity")),
    "python/object": File(".yaml", text("a: !!python/object:malicious.Armed {canary: CANARY}")),
    "python/bytes": File(".yaml", text("a: !!python/bytes aGVsbG8=")),
    "billion laughs": File(".yaml", text(LAUGHS)),
    "billion laughs by merging": File(".yaml", text(MERGES)),
    "list in itself": File(".yaml", text("a: &a [*a]")),
    "mapping merged with itself": File(".yaml", text("a: &a {<<: *a}")),
    "deeply nested, flow": File(".yaml", text("a: " + "[" * 100_000)),
    "deeply nested, block": File(".yaml", text("- " * 10_000)),
    "two megabytes": File(".yaml", text("a: " + "x" * 2_000_000)),
    "a hundred thousand values": File(".yaml", text("a: [" + "1," * 100_000 + "]")),
    "two documents": File(".yaml", text("a: 1\n---\nb: 2")),
    "a key twice": File(".yaml", text("a: 1\nb: 2\na: 3")),
    "a number of 100,000 digits": File(".yaml", text("a: " + "9" * 100_000)),
    "an impossible integer": File(".yaml", text('a: !!int ""')),
    "a date": File(".yaml", text("a: 2001-99-99")),
    "no text": File(".yaml", lambda _: bytes(range(256))),
    "control characters": File(".yaml", lambda _: b"a: \x07"),
}
