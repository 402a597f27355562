"""Put the real Detectron2 into the running environment, without a compiler.

Imports neither torch nor Detectron2. Its source is fetched by pip (or uv) from wherever they are
set up to fetch from, packed without the extension (see `packing`), and installed in one go with
what it needs, so that all of it is there in the end, or nothing.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from ...segmenter import ModelError
from . import environment, packing
from .bridges import INSTALL
from .processes import Failed, follow

THIS = "napari-instseg"
#: Lines of pip's and uv's with which they begin to write into the environment: no way back.
WRITING = ("Installing collected packages", "Prepared ", "Installed ")
#: setup.py reads these, and would call itself another version.
MISLEADING = ("BUILD_NIGHTLY", "D2_VERSION_SUFFIX", "FORCE_CUDA")
LAST_LINES = 12

Reporter = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class State:
    """Which Detectron2 is here.

    Parameters
    ----------
    installed : bool
        It can be found; whether it can be imported, only `bridges.load` can tell.
    version : str
        "" if not installed or unknown.
    location : str
        Its folder.
    compiled : bool
        With its extension.
    by : {"", "this program", "user"}
        Who put it there; "" if not installed.
    """

    installed: bool = False
    version: str = ""
    location: str = ""
    compiled: bool = False
    by: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the installation: what it is for, and the command ("" inside this program)."""

    purpose: str
    command: tuple[str, ...] = ()
    writes: bool = False


def state() -> State:
    """Look for Detectron2 without importing it."""
    importlib.invalidate_caches()
    try:
        spec = importlib.util.find_spec(packing.NAME)
    except ValueError:
        spec = None
    # A folder without __init__.py, such as a clone's parent, is found too, and is not it.
    if spec is None or spec.origin is None:
        return State()
    folder = Path(spec.origin).parent
    text = Path(spec.origin).read_text("utf-8", errors="replace")
    found = re.search(r"^__version__ = [\"'](.+)[\"']", text, re.MULTILINE)
    compiled = any((folder / f"_C{suffix}").is_file() for suffix in EXTENSION_SUFFIXES)
    return State(
        installed=True,
        version=found[1] if found else "",
        location=str(folder),
        compiled=compiled,
        by="this program" if _is_ours(folder) else "user",
    )


def plan() -> list[str]:
    """Say what `install` would do, with the exact commands; changes nothing.

    Returns
    -------
    list of str
        Lines for people.

    Raises
    ------
    ModelError
        If it cannot be installed here.
    """
    now = state()
    if now.installed:
        return [_already(now)]
    folder = Path("TEMP")
    lines = [
        f"Detectron2 {packing.VERSION} into {environment.site_packages()}",
        f"  source: {packing.SOURCE} {packing.VERSION}, SHA-256 {packing.SHA256}",
        "  with, where missing: " + ", ".join(packing.REQUIRES),
        "  All that is installed keeps its version. No compiler is needed.",
    ]
    for number, step in enumerate(_steps(environment.tool(), folder), 1):
        lines.append(f"{number}. {step.purpose}")
        if step.command:
            lines.append(f"   {environment.readable(step.command)}")
    lines += [
        "TEMP is a temporary folder, removed at the end.",
        f"To undo it: {environment.readable((*environment.tool(), 'uninstall', packing.NAME))}",
    ]
    return lines


def install(report: Reporter, dry_run: bool = False) -> State:
    """Install Detectron2 if it is not here; a Detectron2 that is here is left as it is.

    Parameters
    ----------
    report : callable
        Called with each line of what happens, and about five times a second with "". What it
        raises cancels the installation, until the last second, in which files are copied.
    dry_run : bool
        Report the plan only.

    Returns
    -------
    State
        What is here afterwards.

    Raises
    ------
    ModelError
        If it cannot be installed; says why and what to do. Nothing is changed then.
    """
    if dry_run:
        for line in plan():
            report(line)
        return state()
    now = state()
    if now.installed:
        report(_already(now))
        return now
    tool = environment.tool()
    target = environment.site_packages()
    with tempfile.TemporaryDirectory(prefix=f"{THIS}-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        _prepare(folder)
        for step in _steps(tool, folder):
            report(f"{step.purpose} ...")
            if step.writes:
                _write(step, folder, target, report)
            elif step.command:
                _run(step, folder, report)
            else:
                _pack(folder)
    now = state()
    if not now.installed:
        raise ModelError(
            f"Detectron2 was installed, but not into {target}, where Python looks: see whether "
            "pip's settings (pip config list) name another target or prefix"
        )
    report(f"Detectron2 {now.version} is installed in {now.location}")
    return now


def _is_ours(folder: Path) -> bool:
    try:
        distribution = importlib.metadata.distribution(packing.NAME)
    except importlib.metadata.PackageNotFoundError:
        return False
    if Path(str(distribution.locate_file(packing.NAME))) != folder:
        return False
    return packing.GENERATOR in (distribution.read_text("WHEEL") or "")


def _already(now: State) -> str:
    build = "with" if now.compiled else "without"
    return (
        f"Detectron2 {now.version} ({build} its compiled extension) is already in "
        f"{now.location}: nothing to do"
    )


def _steps(tool: tuple[str, ...], folder: Path) -> list[Step]:
    """Return the steps, in order; all but the last only write to the temporary folder."""
    # uv would otherwise look for an environment, and might find another one.
    here = ("--python", sys.executable) if tool[0] != sys.executable else ()
    add = (*tool, "install", *here)
    wheel = folder / packing.WHEEL
    return [
        Step(
            "Fetch setuptools, for the next step only",
            (*add, "--no-deps", "--target", str(folder / "tools"), "setuptools>=70.1"),
        ),
        Step(
            "Fetch Detectron2's source, check it, and lay it out without its extension",
            (
                *add,
                *("--no-deps", "--no-cache-dir", "--no-build-isolation", "--require-hashes"),
                *("--target", str(folder / "source")),
                *("-r", str(folder / "requirements.txt")),
            ),
        ),
        Step(f"Pack it as {wheel}"),
        Step(
            "Install it with what it needs, and change nothing that is installed",
            (*add, "-c", str(folder / "constraints.txt"), str(wheel)),
            writes=True,
        ),
    ]


def _prepare(folder: Path) -> None:
    """Write what the steps read."""
    for name in ("stand-in", "temp"):
        (folder / name).mkdir()
    (folder / "stand-in" / "torch.py").write_text(packing.STAND_IN, "utf-8")
    line = f"{packing.SOURCE}=={packing.VERSION} --hash=sha256:{packing.SHA256}\n"
    (folder / "requirements.txt").write_text(line, "utf-8")
    (folder / "constraints.txt").write_text("".join(environment.installed()), "utf-8")


def _run(step: Step, folder: Path, report: Reporter) -> None:
    try:
        settled = WRITING if step.writes else ()
        follow(step.command, report, env=_variables(folder, step), settled=settled)
    except (Failed, OSError) as error:
        lines = error.lines if isinstance(error, Failed) else [str(error)]
        raise ModelError(_explain(step, lines)) from error


def _write(step: Step, folder: Path, target: Path, report: Reporter) -> None:
    """Run the last step; what it leaves half done would pass for an installation: remove that."""
    package = target / packing.NAME
    info = target / f"{packing.NAME}-{packing.VERSION}.dist-info"
    fresh = not package.exists()
    try:
        _run(step, folder, report)
    finally:
        # pip and uv write RECORD last.
        if fresh and not (info / "RECORD").is_file():
            for remains in (package, info):
                shutil.rmtree(remains, ignore_errors=True)


def _variables(folder: Path, step: Step) -> dict[str, str]:
    """Return the variables for a step; only the first steps see the stand-in."""
    env = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    env |= {name: str(folder / "temp") for name in ("TMPDIR", "TEMP", "TMP")}
    # Not quiet: its lines tell when it begins to write.
    env |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_PROGRESS_BAR": "off"}
    env["PIP_QUIET"] = "0"
    env |= {"PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"}
    if not step.writes:
        paths = [str(folder / "stand-in"), str(folder / "tools"), env.get("PYTHONPATH", "")]
        env |= {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "PIP_USER": "0"}
    return env


def _pack(folder: Path) -> None:
    try:
        version = importlib.metadata.version(THIS)
    except importlib.metadata.PackageNotFoundError:
        version = ""
    try:
        packing.pack(folder / "source", folder, version)
    except OSError as error:
        raise ModelError(f"Detectron2's source could not be packed: {error}") from error


def _explain(step: Step, lines: list[str]) -> str:
    """Say what went wrong and what to do."""
    text = "\n".join(lines)
    if re.search(r"do not match the hashes|hash mismatch", text, re.IGNORECASE):
        advice = "The source that came is not Detectron2 0.6 as it was published: use another index"
    elif re.search(r"ResolutionImpossible|conflict|No solution found", text):
        advice = "A package that is installed here does not fit Detectron2: use a new environment"
    elif re.search(r"Could not find a version|No matching|connection|resolve|network", text, re.I):
        advice = "Look whether there is a network, and whether your package index has all of it"
    elif "No space left" in text:
        advice = "Make room on the disk, then run it again"
    else:
        advice = f"Run '{INSTALL} --dry-run' to see the commands, and try them by hand"
    last = "\n".join(f"  {line}" for line in lines[-LAST_LINES:])
    return f"Detectron2 could not be installed. {advice}. At '{step.purpose}' it said:\n{last}"
