"""The user's own models: a list in one JSON file, and copies of their files beside it.

The folder is set with ``NAPARI_INSTSEG_DATA_HOME``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from platformdirs import user_data_path

from ..segmenter import ModelError
from . import sam_files, zoo
from .config_text import bases_of, outputs_of
from .downloads import disk_use, file_sha256
from .entry import (
    CONFIG_SUFFIXES,
    DETECTRON2,
    DETECTRON2_REQUIRES,
    FAMILIES,
    PROMPTS,
    TORCHVISION,
    TORCHVISION_REQUIRES,
    YOURS,
    ModelEntry,
)

HOME = "NAPARI_INSTSEG_DATA_HOME"
#: Names of the models that come with the package, which `registry` describes.
BUILT_IN_NAMES = ("nuclei", "sam-nuclei")
#: Weights written by 'napari-instseg train', which describe themselves.
OURS = ".safetensors"
#: Checkpoints that need a Detectron2 config, if they are not of Segment Anything.
CHECKPOINTS = (".pth", ".pkl")
VERSION = 1
#: What of a record is a path: relative to `data_folder` if it is a copy.
PATHS = ("weights", "config", "categories")
NAME = re.compile(r"\w[\w .+-]{0,62}[\w+-]|\w")
#: What Windows does not take as the name of a folder.
DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


def data_folder() -> Path:
    """Folder for the list of the user's models and copies of their files."""
    chosen = os.environ.get(HOME, "").strip()
    if chosen:
        return Path(chosen).expanduser().absolute()
    return user_data_path("napari-instseg", appauthor=False)


def entries() -> tuple[ModelEntry, ...]:
    """List the user's models; what is damaged is left out (see `problems`)."""
    return _read()[0]


def problems() -> tuple[str, ...]:
    """Say what of the list cannot be read, one sentence each."""
    return _read()[1]


def add(
    name: str,
    path: Path,
    *,
    config: str | None = None,
    categories: Path | None = None,
    title: str = "",
    description: str = "",
    diameter: float | None = None,
    license: str = "",
    copy: bool = True,
) -> ModelEntry:
    """Add a model under a name.

    Parameters
    ----------
    name : str
    path : Path
        Weights: .safetensors of 'napari-instseg train', a Detectron2 checkpoint (.pth, .pkl), or
        a checkpoint of Segment Anything (.pth, .pt, .safetensors).
    config : str, optional
        For a checkpoint: the path of its YAML config, or the name of one in Detectron2's zoo.
    categories : Path, optional
        File with the names of the categories, for a checkpoint.
    title, description, license : str
    diameter : float, optional
        Median object diameter in training, px.
    copy : bool
        Copy the files, or only remember where they are.

    Raises
    ------
    ModelError
        If the name cannot be used, a file is missing or of another kind, or the list cannot be
        written.
    """
    _check_name(name)
    if diameter is not None and not 0 < diameter < 1e6:
        raise ModelError(f"diameter: expected a number of pixels above 0, got {diameter}")
    path = _existing(path, "weights")
    files = [path]
    family = sam_files.family_of(path)
    if family or path.suffix.lower() == OURS:
        if config or categories:
            raise ModelError(f"{path.name} describes itself: expected no config and no categories")
        outputs: tuple[str, ...] = (PROMPTS,) if family else ("instances",)
    else:
        config, outputs = _config(path, config)
        if copy and Path(config).is_absolute():
            files += [Path(config), *bases_of(Path(config))]
    names = _existing(categories, "category names") if categories else None
    record: dict[str, Any] = {
        "title": title or name,
        "description": description,
        "license": license,
        "outputs": list(outputs),
        "family": family or "",
        "diameter": diameter,
        "bytes": path.stat().st_size,
        "copied": copy,
        "weights": str(path),
        "config": config or "",
        "categories": str(names) if names else "",
    }
    with _changing() as models:
        if name.lower() in {known.lower() for known in models}:
            raise ModelError(f"there is a model {name!r} already: remove it first")
        if copy:
            copies = _copy(name, files, names)
            record |= {key: copies.get(record[key], record[key]) for key in PATHS}
        record["sha256"] = file_sha256(_absolute(record["weights"]))
        models[name] = record
    return next(entry for entry in entries() if entry.name == name)


def remove(name: str) -> int:
    """Remove a model, and the copies of its files, but never the user's own files.

    Returns
    -------
    int
        Bytes that are free again.

    Raises
    ------
    ModelError
        If there is none of this name, or its files cannot be removed.
    """
    with _changing() as models:
        if name not in models:
            own = ", ".join(map(repr, models)) or "none"
            raise ModelError(f"there is no model {name!r} of yours: expected one of {own}")
        record, folder, freed = models.pop(name), _folder(name), 0
        # A name that only a doctored list can have may stand for any folder.
        copied = isinstance(record, dict) and record.get("copied") and NAME.fullmatch(name)
        if copied and folder.is_dir():
            freed = disk_use(folder)
            try:
                shutil.rmtree(folder)
            except OSError as error:
                raise ModelError(f"{folder} cannot be removed: {error}") from error
    return freed


def _config(weights: Path, config: str | None) -> tuple[str, tuple[str, ...]]:
    """Check a checkpoint's config; return its path or name, and what it gives."""
    if weights.suffix.lower() not in CHECKPOINTS:
        raise ModelError(
            f"{weights.name}: expected weights that end with {OURS}, {', '.join(CHECKPOINTS)}"
        )
    if not config:
        raise ModelError(
            f"{weights.name}: expected the Detectron2 config (.yaml) that it was trained with, too"
        )
    path = Path(config).expanduser()
    if config in zoo.configs() and not path.is_file():
        return config, outputs_of(config)
    if path.suffix.lower() == ".py":
        raise ModelError(
            f"{config}: a config that is Python code (LazyConfig) is not run; expected YAML"
        )
    if path.suffix.lower() not in CONFIG_SUFFIXES:
        raise ModelError(f"{config}: expected a Detectron2 config that ends with .yaml")
    path = _existing(path, "config")
    return str(path), outputs_of(path)


def _copy(name: str, files: list[Path], names: Path | None) -> dict[str, str]:
    """Copy files into a folder of the model's own, all or none; return the new paths.

    The config's bases keep their places relative to it.
    """
    folder = _folder(name)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    top = files[1].parent if len(files) > 1 else None
    targets = {}
    for source in files[1:]:
        targets[source] = Path("config") / source.relative_to(top) if top else Path(source.name)
    targets[files[0]] = Path(files[0].name)
    if names:
        targets[names] = Path("categories" + names.suffix)
    try:
        for source, target in targets.items():
            (partial / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, partial / target)
        if folder.exists():  # left by a run that was cut off; no record knows it
            shutil.rmtree(folder)
        partial.replace(folder)
    except OSError as error:
        raise ModelError(f"the files cannot be copied to {folder}: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    inside = folder.relative_to(data_folder())
    return {str(source): (inside / target).as_posix() for source, target in targets.items()}


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name) or DEVICES.fullmatch(name):
        raise ModelError(
            f"expected a name of up to 64 letters, digits, spaces and . _ + -, got {name!r}"
        )
    if Path(name).suffix.lower() in (OURS, ".py", *CHECKPOINTS, *CONFIG_SUFFIXES):
        raise ModelError(f"{name!r} looks like a file: expected a name with no such ending")
    if name.lower() in BUILT_IN_NAMES or zoo.knows(name):
        raise ModelError(f"{name!r} is a model of this package: expected another name")


def _existing(path: Path, what: str) -> Path:
    path = Path(path).expanduser().absolute()
    if not path.is_file():
        raise ModelError(f"{what}: expected a file at {path}; there is none")
    return path


def _folder(name: str) -> Path:
    return data_folder() / "models" / name


def _list() -> Path:
    return data_folder() / "models.json"


def _absolute(path: str) -> Path:
    return data_folder() / path


def _records() -> dict[str, Any]:
    """Read the list as it is; ModelError if it is damaged as a whole."""
    file = _list()
    try:
        content = json.loads(file.read_text("utf-8"))
        if content["version"] != VERSION:
            raise ValueError(f"version {content['version']}, expected {VERSION}")
        return dict(content["models"])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise ModelError(
            f"the list of your models is damaged ({error!r}): mend {file}, or delete it and add "
            "your models again"
        ) from error


def _read() -> tuple[tuple[ModelEntry, ...], tuple[str, ...]]:
    try:
        records = _records()
    except ModelError as error:
        return (), (str(error),)
    good, bad = [], []
    for name, record in records.items():
        try:
            good.append(_entry(name, record))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            bad.append(
                f"your model {name!r} is damaged in {_list()} ({error!r}): remove it with "
                "'napari-instseg models remove', and add it again"
            )
    return tuple(good), tuple(bad)


def _entry(name: str, record: dict[str, Any]) -> ModelEntry:
    if not NAME.fullmatch(name):
        raise ValueError("its name")
    path = _absolute(record["weights"])
    described = FAMILIES.get(record.get("family", ""))
    if described is None and path.suffix.lower() == OURS:
        described = TORCHVISION
    config = record["config"]
    if config and config not in zoo.configs():
        config = str(_absolute(config))
    return ModelEntry(
        name=name,
        title=str(record["title"]),
        description=str(record["description"]) or "Your own model",
        loader=described or DETECTRON2,
        path=path,
        sha256=str(record["sha256"]),
        license=str(record["license"]),
        requires=TORCHVISION_REQUIRES if described else DETECTRON2_REQUIRES,
        group=YOURS,
        outputs=tuple(map(str, record["outputs"])),
        dataset="your own",
        size=int(record["bytes"]),
        config=config,
        categories=_absolute(record["categories"]) if record["categories"] else None,
        diameter=float(record["diameter"]) if record["diameter"] is not None else None,
    )


@contextmanager
def _changing() -> Iterator[dict[str, Any]]:
    """Give the records, and write them whole or not at all; one program at a time."""
    from filelock import FileLock

    file = _list()
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_name(file.name + ".lock")):
            records = _records()
            yield records
            text = json.dumps({"version": VERSION, "models": records}, indent=1)
            partial.write_text(text + "\n", "utf-8", newline="\n")
            partial.replace(file)
    except OSError as error:
        raise ModelError(f"{file} cannot be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
