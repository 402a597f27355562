"""NumPy's own files from anywhere: looked at before there is memory for what they claim."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..segmenter import InputError

#: Archives that unpack to more are refused, bytes.
LARGEST = 2**31


def read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read shape and type of an array written by `numpy.save`.

    Raises
    ------
    InputError
        If it is none, or not one of numbers.
    """
    if stream.read(6) != b"\x93NUMPY":
        raise InputError("expected an array written by numpy.save, without pickled objects")
    read = {
        b"\x01\x00": np.lib.format.read_array_header_1_0,
        b"\x02\x00": np.lib.format.read_array_header_2_0,
    }.get(stream.read(2))
    shape, _, dtype = read(stream) if read else ((1,), False, np.dtype(object))
    if dtype.hasobject or dtype.names:
        raise InputError(f"expected an array of numbers, got one of {dtype}")
    return shape, dtype


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of an archive written by `numpy.savez`.

    Raises
    ------
    InputError
        If one is not of numbers, or claims more bytes than are there, or all of them together
        would take more than `LARGEST`.
    Exception
        What zipfile and NumPy raise for damaged files.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        total = sum(member.file_size for member in members)
        if total > LARGEST:
            raise InputError(f"expected at most {LARGEST} bytes of arrays, got {total}")
        for member in members:
            with archive.open(member) as stream:
                shape, dtype = read_header(stream)
            if math.prod(shape) * dtype.itemsize > member.file_size:
                raise InputError(
                    f"{member.filename}: expected an array of shape {shape}, not whole"
                )
    # NumPy does not close what it cannot read.
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        return dict(file)
