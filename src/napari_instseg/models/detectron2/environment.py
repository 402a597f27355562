"""The environment that packages are installed into: by what, where, and what is there."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shlex
import shutil
import site
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ...segmenter import ModelError
from .bridges import INSTALL


def tool() -> tuple[str, ...]:
    """Return the command that installs packages here: pip, or uv where there is no pip."""
    if importlib.util.find_spec("pip") is not None:
        return (sys.executable, "-m", "pip")
    uv = shutil.which("uv")
    if uv is not None:
        return (uv, "pip")
    raise ModelError(
        f"no pip in this environment ({sys.prefix}) and no uv on the PATH: run "
        f"{readable((sys.executable, '-m', 'ensurepip'))} (Debian, Ubuntu: apt-get install "
        f"python3-pip), then '{INSTALL}' again"
    )


def site_packages() -> Path:
    """Return where packages go; raise if nothing can be put there."""
    folder = Path(sysconfig.get_path("purelib"))
    inside = sys.prefix != sys.base_prefix
    marker = Path(sysconfig.get_path("stdlib")) / "EXTERNALLY-MANAGED"
    if not inside and marker.is_file() and not os.environ.get("PIP_BREAK_SYSTEM_PACKAGES"):
        raise ModelError(
            f"this Python ({sys.executable}) belongs to the operating system, which alone "
            f"installs packages into it: make a virtual environment ({sys.executable} -m venv "
            f"FOLDER), install napari-instseg there, and run '{INSTALL}' in it"
        )
    try:
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        if not inside and site.ENABLE_USER_SITE:
            return Path(site.getusersitepackages())
        raise ModelError(
            f"nothing can be written to {folder} ({error.strerror}): run '{INSTALL}' as the user "
            "who made this environment, or in a virtual environment of your own"
        ) from error


def installed() -> list[str]:
    """Pin every package that is installed, a line each."""
    from packaging.utils import canonicalize_name
    from packaging.version import InvalidVersion, Version

    pins: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        try:
            name = canonicalize_name(distribution.metadata["Name"])
            version = Version(distribution.version)
        except (AttributeError, InvalidVersion, KeyError, TypeError):
            # Remains of an installation that was broken off; pip does not see them either.
            continue
        # The first one on the path is the one that counts.
        pins.setdefault(name, f"{name}=={version}\n")
    return sorted(pins.values())


def readable(command: Sequence[str]) -> str:
    """Write a command as it is typed."""
    return subprocess.list2cmdline(command) if os.name == "nt" else shlex.join(command)
