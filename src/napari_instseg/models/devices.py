"""Devices: which there are, how they are called, and how they say that memory is short."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from ..segmenter import DeviceMemoryError, InputError

#: What errors say, in lower case, when there is not enough memory.
MEMORY_ERRORS = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")


def pick_device(name: str) -> torch.device:
    """Choose a device: "auto" takes CUDA, then MPS, then CPU.

    Raises
    ------
    InputError
        If the name is unknown, or the device is not there.
    """
    there = available_devices()
    if name == "auto":
        return torch.device(there[0])
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device: expected auto or one of {there}, got {name!r}") from error
    if device.type not in there:
        raise InputError(f"device: {name!r} is not there; this machine has {', '.join(there)}")
    return device


def available_devices() -> list[str]:
    """Device types of this machine, the fastest first."""
    there = []
    if torch.cuda.is_available():
        there.append("cuda")
    if torch.backends.mps.is_available():
        there.append("mps")
    return [*there, "cpu"]


def describe_device(device: torch.device) -> str:
    """Name a device for people: "CPU", "Apple GPU (mps)", "NVIDIA H100 (cuda:0)"."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({device})"
    return "Apple GPU (mps)" if device.type == "mps" else device.type.upper()


def half_precision(device: torch.device, precision: str) -> torch.dtype | None:
    """Choose the number format of the network's multiplications; None is float32.

    Parameters
    ----------
    device : torch.device
    precision : {"auto", "float32", "half"}
        "auto" takes half precision on NVIDIA GPUs with tensor cores (compute capability 7)
        only, "half" on any device.

    Returns
    -------
    torch.dtype or None
        float16, whose fraction has three bits more than bfloat16's; but CPUs are slow with it.
    """
    if precision == "float32":
        return None
    if precision == "auto":
        if device.type != "cuda" or torch.cuda.get_device_capability(device)[0] < 7:
            return None
        return torch.float16
    return torch.bfloat16 if device.type == "cpu" else torch.float16


def describe_precision(dtype: torch.dtype | None) -> str:
    """Name a choice of `half_precision`: "float32", "float16", "bfloat16"."""
    return str(torch.float32 if dtype is None else dtype).removeprefix("torch.")


def autocast(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[object]:
    """Run the network in half precision where that is safe; None does nothing."""
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


@contextmanager
def memory_errors(device: str) -> Iterator[None]:
    """Turn a framework's out-of-memory error into ours."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        _release_memory()
        raise DeviceMemoryError(f"{device} ran out of memory") from error
    except RuntimeError as error:
        # The CPU's and MPS's allocators, and CUDA's libraries, raise a plain RuntimeError.
        text = str(error).lower()
        if not any(words in text for words in MEMORY_ERRORS):
            raise
        raise DeviceMemoryError(f"{device} ran out of memory") from error


def _release_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
