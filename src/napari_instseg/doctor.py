"""What is installed, what is missing, and the exact command that mends it."""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .models.entry import ModelEntry

#: Without these nothing runs: the name to import, the package to install.
NEEDED = {
    "numpy": "numpy",
    "scipy": "scipy",
    "skimage": "scikit-image",
    "pandas": "pandas",
    "tifffile": "tifffile",
    "imagecodecs": "imagecodecs",
    "PIL": "pillow",
    "platformdirs": "platformdirs",
    "yaml": "pyyaml",
    "safetensors": "safetensors",
    "tqdm": "tqdm",
}
#: Without these something less runs.
OPTIONAL = {"zarr": "zarr", "dask": "dask"}
QT = ("PyQt6", "PySide6", "PyQt5", "PySide2")
#: Libraries that Qt and OpenGL load on Linux, and where Debian and Fedora have them.
LIBRARIES = {
    "libEGL.so.1": ("libegl1", "libglvnd-egl"),
    "libGL.so.1": ("libgl1", "libglvnd-glx"),
    "libxkbcommon-x11.so.0": ("libxkbcommon-x11-0", "libxkbcommon-x11"),
    "libxcb-cursor.so.0": ("libxcb-cursor0", "xcb-util-cursor"),
    "libxcb-icccm.so.4": ("libxcb-icccm4", "xcb-util-wm"),
    "libxcb-image.so.0": ("libxcb-image0", "xcb-util-image"),
    "libxcb-keysyms.so.1": ("libxcb-keysyms1", "xcb-util-keysyms"),
    "libxcb-render-util.so.0": ("libxcb-render-util0", "xcb-util-renderutil"),
    "libdbus-1.so.3": ("libdbus-1-3", "dbus-libs"),
    "libfontconfig.so.1": ("libfontconfig1", "fontconfig"),
}
#: Where torch's builds for NVIDIA GPUs are; PyPI's for Windows have none.
CUDA_INDEX = "https://download.pytorch.org/whl/cu128"
PIP = f'"{sys.executable}" -m pip install'
EVERYTHING = f'{PIP} "napari-instseg[all]"'


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    name : str
    status : {"ok", "missing", "note"}
        "missing" is needed on the command line; "note" is for the viewer, for speed, or for
        some files only.
    detail : str
        What was found.
    remedy : str
        The command that mends it, or "".
    """

    name: str
    status: str
    detail: str
    remedy: str = ""

    def to_json(self) -> dict[str, str]:
        """Return values that `json` can write."""
        return asdict(self)


def examine() -> list[Finding]:
    """Look at everything; a check that fails is a finding, not an error."""
    findings = [_python(), _self()]
    findings += [_package(name, package, needed=True) for name, package in NEEDED.items()]
    findings += [_package(name, package, needed=False) for name, package in OPTIONAL.items()]
    for check in (_torch, _weights, _detectron2, _viewer):
        findings += _guarded(check)
    return findings


def format_report(findings: list[Finding]) -> str:
    """Lay findings out as text: one line each, and the commands at the end."""
    marks = {"ok": "ok     ", "missing": "MISSING", "note": "note   "}
    width = max(len(finding.name) for finding in findings)
    lines = [f"{marks[f.status]}  {f.name.ljust(width)}  {f.detail}" for f in findings]
    open_ = [finding for finding in findings if finding.status != "ok"]
    if not open_:
        return "\n".join([*lines, "", "All is well."])
    if not any(finding.status == "missing" for finding in open_):
        lines += ["", "The command line is ready."]
    remedies = list(dict.fromkeys(finding.remedy for finding in open_ if finding.remedy))
    if remedies:
        lines += ["", "To mend it:", *(f"  {remedy}" for remedy in remedies)]
    return "\n".join(lines)


def _guarded(check: Callable[[], list[Finding]]) -> list[Finding]:
    name = check.__name__.strip("_")
    try:
        return check()
    except (ArithmeticError, AttributeError, ImportError, LookupError, OSError) as error:
        return [Finding(name, "missing", f"the check failed: {error!r}", EVERYTHING)]
    except (RuntimeError, TypeError, ValueError) as error:
        return [Finding(name, "missing", f"the check failed: {error!r}", EVERYTHING)]


def _python() -> Finding:
    detail = f"{platform.python_version()} ({platform.system()} {platform.machine()})"
    return Finding("python", "ok", detail)


def _self() -> Finding:
    try:
        return Finding("napari-instseg", "ok", version("napari-instseg"))
    except PackageNotFoundError:
        from . import __version__

        detail = f"{__version__}, not installed: napari does not see its menu entries"
        return Finding("napari-instseg", "note", detail, EVERYTHING)


def _package(name: str, package: str, *, needed: bool) -> Finding:
    """Import a package: one that is there may still not work."""
    found, detail = _import(name)
    if found is not None:
        return Finding(package, "ok", detail)
    if needed:
        return Finding(package, "missing", detail, f"{PIP} {package}")
    return Finding(package, "note", f"{detail}; needed for Zarr files", EVERYTHING)


def _import(name: str) -> tuple[Any, str]:
    """Return the module and its version; or None and why it is not there."""
    if _spec(name) is None:
        return None, "not installed"
    try:
        module = importlib.import_module(name)
    except (ImportError, OSError, RuntimeError, AttributeError, ValueError, TypeError) as error:
        return None, f"cannot be imported: {error}"
    return module, str(getattr(module, "__version__", "found"))


def _spec(name: str) -> Any:
    try:
        return find_spec(name)
    except (ImportError, ValueError):
        return None


def _torch() -> list[Finding]:
    torch, detail = _import("torch")
    if torch is None:
        return [Finding("torch", "missing", detail, f"{PIP} torch torchvision")]
    build = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
    findings = [Finding("torch", "ok", f"{detail}, {build}")]
    torchvision, detail = _import("torchvision")
    if torchvision is None:
        # Most often the two come from builds that do not fit each other.
        remedy = f"{PIP} --force-reinstall torch torchvision"
        return [*findings, Finding("torchvision", "missing", detail, remedy)]
    return [*findings, Finding("torchvision", "ok", detail), _device(torch)]


def _device(torch: Any) -> Finding:
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return Finding("device", "ok", "CUDA: " + ", ".join(names))
    if torch.backends.mps.is_available():
        return Finding("device", "ok", "MPS (Apple GPU)")
    detail = f"CPU, {torch.get_num_threads()} threads"
    if shutil.which("nvidia-smi") is None:
        return Finding("device", "ok", detail)
    if torch.version.cuda:
        why = "torch does not reach the NVIDIA GPU here; see what nvidia-smi says of the driver"
        return Finding("device", "note", f"{detail}; {why}", "nvidia-smi")
    remedy = f"{PIP} --force-reinstall torch torchvision --index-url {CUDA_INDEX}"
    return Finding("device", "note", f"{detail}; there is an NVIDIA GPU, torch lacks CUDA", remedy)


def _weights() -> list[Finding]:
    """Look at the weights that come with the program, and for the files of the user's models."""
    from .models.entry import BUILT_IN, YOURS
    from .models.registry import entries

    known = entries()
    findings = [_built_in(entry) for entry in known if entry.group == BUILT_IN]
    for entry in known:
        if entry.group == YOURS and not entry.present:
            remedy = f'napari-instseg models remove "{entry.name}"'
            findings.append(Finding(f"model {entry.name}", "note", f"no file {entry.path}", remedy))
    return findings


def _built_in(entry: ModelEntry) -> Finding:
    name = f"model {entry.name}"
    again = f"{PIP} --force-reinstall --no-deps napari-instseg"
    if not entry.present:
        return Finding(name, "missing", f"no file {entry.path}", again)
    with entry.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if entry.sha256 is not None and digest != entry.sha256:
        detail = f"{entry.path} is damaged (SHA-256 {digest[:12]}..., not {entry.sha256[:12]}...)"
        return Finding(name, "missing", detail, again)
    megabytes = entry.path.stat().st_size / 1e6
    return Finding(name, "ok", f"{megabytes:.1f} MB, SHA-256 as expected")


def _detectron2() -> list[Finding]:
    """Import it if it is there: that it can be found says little of a package of 2021."""
    from .models.detectron2 import bridges, install
    from .segmenter import ModelError

    found = install.state()
    if not found.installed:
        detail = "not installed; needed for the models of its zoo and your own ones"
        return [Finding("Detectron2", "note", detail, bridges.INSTALL)]
    build = "with" if found.compiled else "without"
    whose = "this program" if found.by == "this program" else "you"
    detail = f"{found.version}, {build} its compiled extension, installed by {whose}"
    try:
        bridges.load()
    except ModelError as error:
        remedy = f'"{sys.executable}" -m pip uninstall detectron2 && {bridges.INSTALL}'
        return [Finding("Detectron2", "missing", f"{detail}: {error}", remedy)]
    return [Finding("Detectron2", "ok", detail)]


def _viewer() -> list[Finding]:
    """Look at napari and what it needs, without opening it."""
    findings = []
    if _spec("napari") is None:
        findings.append(Finding("napari", "note", "not installed: no viewer", EVERYTHING))
    else:
        try:
            detail = version("napari")
        except PackageNotFoundError:
            detail = "found"
        findings.append(Finding("napari", "ok", detail))
    bindings = [name for name in QT if _spec(name) is not None]
    if bindings:
        findings.append(Finding("Qt", "ok", ", ".join(bindings)))
    else:
        findings.append(Finding("Qt", "note", "no binding: no viewer", EVERYTHING))
    if sys.platform.startswith("linux"):
        findings += [_libraries(), _screen()]
    return findings


def _libraries() -> Finding:
    absent = [name for name in LIBRARIES if not _loads(name)]
    if not absent:
        return Finding("libraries for Qt", "ok", "all there")
    apt, dnf = zip(*(LIBRARIES[name] for name in absent), strict=True)
    if shutil.which("apt-get"):
        remedy = f"sudo apt-get install -y {' '.join(apt)}"
    elif shutil.which("dnf"):
        remedy = f"sudo dnf install -y {' '.join(dnf)}"
    else:
        remedy = ""
    return Finding("libraries for Qt", "note", f"no {', '.join(absent)}: no viewer", remedy)


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _screen() -> Finding:
    for name in ("WAYLAND_DISPLAY", "DISPLAY"):
        if os.environ.get(name):
            return Finding("screen", "ok", f"{name}={os.environ[name]}")
    detail = "neither DISPLAY nor WAYLAND_DISPLAY is set: no viewer (over SSH, connect with ssh -X)"
    return Finding("screen", "note", detail)
