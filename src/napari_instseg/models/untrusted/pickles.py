"""Pickles of arrays: what is in them comes back as plain data, and nothing in them runs."""

from __future__ import annotations

import collections
import math
import mmap
import pickle
import pickletools
import re
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ...segmenter import ModelError
from .files import DAMAGE, check_is_file, says

#: Containers in containers; files of models need about five.
DEPTH = 64
#: Steps in a pickle; a file of 600 tensors needs about 15,000.
STEPS = 2_000_000


def read_pickle(path: Path) -> Any:
    """Read a pickle of NumPy arrays in plain containers, such as a ``.pkl`` of model weights.

    Parameters
    ----------
    path : Path
        Any protocol; strings of Python 2 are taken as Latin-1, as in files of Caffe2.

    Returns
    -------
    dict, list, tuple, str, bytes, number, bool, None or numeric ndarray (read-only)

    Raises
    ------
    ModelError
        If the file is missing or damaged, or asks for anything that is not of those kinds.
    """
    check_is_file(path)
    try:
        with path.open("rb") as file:
            _check_steps(file.fileno())
            return _plain(_Unpickler(file, encoding="latin1").load(), {})
    except DAMAGE as error:
        raise ModelError(
            f"{path} cannot be read: expected a pickle of NumPy arrays and plain values only, "
            f"got: {says(error)}. Nothing in it was run"
        ) from error


#: What makes Python objects, or values from elsewhere; arrays and containers need none of it.
_REFUSED_STEPS = {
    *("INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "PERSID", "BINPERSID"),
    *("EXT1", "EXT2", "EXT4", "NEXT_BUFFER"),
}


def _check_steps(descriptor: int) -> None:
    """Refuse before reading: a few bytes can claim 64 GiB of memory."""
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as data:
        # It has the methods of a file that are needed here.
        steps: Any = data
        for count, (step, argument, _) in enumerate(pickletools.genops(steps)):
            if step.name in _REFUSED_STEPS:
                raise pickle.UnpicklingError(f"the step {step.name}, which makes Python objects")
            if "PUT" in step.name and int(argument or 0) > count:
                raise pickle.UnpicklingError(f"the memo number {argument} at step {count}")
            if step.name == "FRAME" and int(argument or 0) > len(data):
                raise pickle.UnpicklingError(f"a frame of {argument} in {len(data)} bytes")
            if count > STEPS:
                raise pickle.UnpicklingError(f"more than {STEPS} steps")


class _Maker:
    """What a pickle gets in place of a function: it can be called, and not changed."""

    __slots__ = ("_function",)

    _function: Any

    def __init__(self, function: Any) -> None:
        object.__setattr__(self, "_function", function)

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise pickle.UnpicklingError(f"an attempt to set {name!r}")

    def __setstate__(self, state: Any) -> NoReturn:
        raise pickle.UnpicklingError("an attempt to change a function")


class _DType:
    """A numeric dtype; never object, nor one with fields."""

    __slots__ = ("dtype",)

    def __init__(self, code: str, *_: Any) -> None:
        if not re.fullmatch(r"[<>|=]?(b1|[iu][1248]|f[248])", code):
            raise pickle.UnpicklingError(f"an array of dtype {code!r}: expected numbers")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, order, *fields = state
        if order not in ("<", ">", "|", "=") or fields[:3] != [None, None, None]:
            raise pickle.UnpicklingError(f"a dtype of the state {state!r}: expected numbers")
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """An array to be; NumPy's own would take any dtype and any state."""

    __slots__ = ("array",)

    def __init__(self, *_: Any) -> None:
        self.array: NDArray[Any] | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        self.array = _array(data, dtype, shape, "F" if fortran else "C")


def _from_buffer(data: Any, dtype: Any, shape: Any, order: str, axes: Any = None) -> _Array:
    made = _Array()
    if order == "K":
        made.array = _array(data, dtype, shape, "C").transpose(axes)
    else:
        made.array = _array(data, dtype, shape, order)
    return made


def _array(data: Any, dtype: Any, shape: Any, order: str) -> NDArray[Any]:
    if not isinstance(dtype, _DType):
        raise pickle.UnpicklingError("an array without a numeric dtype")
    if not isinstance(shape, tuple) or any(type(n) is not int or n < 0 for n in shape):
        raise pickle.UnpicklingError(f"an array of the shape {shape!r}")
    raw = data.encode("latin1") if isinstance(data, str) else data
    if not isinstance(raw, (bytes, bytearray)):
        raise pickle.UnpicklingError(f"an array of {type(raw).__name__}: expected bytes")
    size = math.prod(shape) * dtype.dtype.itemsize
    if size != len(raw):
        raise pickle.UnpicklingError(
            f"an array of the shape {shape} and {len(raw)} bytes: expected {size}"
        )
    if order not in ("C", "F"):
        raise pickle.UnpicklingError(f"an array of the order {order!r}")
    flat = np.frombuffer(raw, dtype.dtype) if raw else np.empty(0, dtype.dtype)
    array = flat.reshape(shape, order="F" if order == "F" else "C")
    array = array.astype(dtype.dtype.newbyteorder("="), copy=False)
    array.flags.writeable = False
    return array


def _scalar(dtype: Any, data: Any) -> Any:
    return _array(data, dtype, (), "C").item()


def _encode(text: str, encoding: str) -> bytes:
    """How protocols 0 to 2 write bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in the encoding {encoding!r}")
    return text.encode("latin1")


_NUMPY = ("numpy.core", "numpy._core")
_MAKERS: dict[tuple[str, str], _Maker] = {
    ("numpy", "dtype"): _Maker(_DType),
    ("numpy", "ndarray"): _Maker(_Array),
    ("collections", "OrderedDict"): _Maker(collections.OrderedDict),
    ("_codecs", "encode"): _Maker(_encode),
    ("__builtin__", "bytes"): _Maker(lambda: b""),
    **{(f"{numpy}.multiarray", "_reconstruct"): _Maker(_Array) for numpy in _NUMPY},
    **{(f"{numpy}.multiarray", "scalar"): _Maker(_scalar) for numpy in _NUMPY},
    **{(f"{numpy}.numeric", "_frombuffer"): _Maker(_from_buffer) for numpy in _NUMPY},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _MAKERS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name}, which is code") from None


_LEAVES = (type(None), bool, int, float, complex, str, bytes, bytearray)


def _plain(value: Any, done: dict[int, Any], depth: int = 0) -> Any:
    """Copy containers, with arrays for what stood for them; each shared one is copied once."""
    if type(value) in _LEAVES:
        return value
    if isinstance(value, _Array) and value.array is not None:
        return value.array
    if not isinstance(value, (dict, list, tuple)):
        raise pickle.UnpicklingError(f"a value of type {type(value).__name__.lstrip('_')}")
    if depth == DEPTH:
        raise pickle.UnpicklingError(f"more than {DEPTH} containers in each other")
    if id(value) not in done:
        # A container in itself is found by the depth.
        if isinstance(value, dict):
            items = list(dict.items(value))
            if any(type(key) not in _LEAVES for key, _ in items):
                raise pickle.UnpicklingError("a dict whose keys are not plain")
            copy: Any = {key: _plain(item, done, depth + 1) for key, item in items}
        else:
            copy = [_plain(item, done, depth + 1) for item in value]
        done[id(value)] = tuple(copy) if isinstance(value, tuple) else copy
    return done[id(value)]
