"""Folders of label images: which prediction belongs to which truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from pathlib import Path

from ..io.formats.engine import read_sets
from ..io.formats.names import Names
from ..io.formats.result import read as read_result
from ..io.images import is_image, stem_of
from ..io.index import read_kinds
from ..label_set import LabelSet
from ..progress import Listener, ignore
from ..segmenter import InputError
from ..settings import OUTPUTS
from .assessment import Assessment, assess
from .error_files import write_errors
from .options import Options
from .report import Report

#: What a predicted file may be called beyond the stem of its truth. What has just its name comes
#: last: beside labels of another name it is the raw image.
PREDICTED_ENDINGS = ("_instances", "_panoptic", "_masks", "_labels", "")


def evaluate_folders(
    predicted: str | Path,
    truth: str | Path,
    thresholds: Sequence[float] | None = None,
    *,
    options: Options | None = None,
    errors: str | Path | None = None,
    report: Listener = ignore,
) -> Report:
    """Compare the label images of two folders (or two label images) by name.

    Parameters
    ----------
    predicted : str or Path
        Label images named as those of the truth, whatever the format; ``a_instances.tif``
        fits ``a.png``. Categories and scores come from the table of the run beside it. Or two
        files of a format that `io.formats` reads, such as COCO's JSON: images pair by name.
    truth : str or Path
        Label images; a folder with a sub-folder ``labels`` means that one. Of results the
        instances count. An ``index.csv`` in it or above it with the columns ``name`` and ``kind``
        groups the images.
    thresholds : sequence of float, optional
        IoU, in (0, 1]; instead of those of the options.
    options : Options, optional
    errors : str or Path, optional
        A folder for label images and tables of the errors; see `write_errors`.
    report : callable
        Hears of each window before it is read; may raise to stop.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If a folder is missing or empty, a prediction is missing or cannot be told from
        another, or a pair does not fit; the message names the files.
    """
    predicted, truth = Path(predicted), Path(truth)
    options = options or Options()
    if thresholds is not None:
        options = replace(options, thresholds=tuple(thresholds))
    kinds: dict[str, str] = {}
    unused: list[str] = []
    if all(path.is_file() or is_image(path) for path in (truth, predicted)):
        pairs = [(truth, predicted)]
    else:
        if (truth / "labels").is_dir():
            truth = truth / "labels"
        truths, candidates = _label_files(truth), _label_files(predicted)
        stems = {stem_of(path) for path in truths}
        truths = [path for path in truths if not _is_other_output(path, stems)]
        pairs = _pair(truths, candidates, predicted)
        kinds = read_kinds((truth, *truth.resolve().parents[:2]))
        used = {path for _, path in pairs}
        stems = {stem_of(path) for path in used}
        unused = [p.name for p in candidates if p not in used and not _is_other_output(p, stems)]

    names = Names()

    def assessed() -> Iterator[Assessment]:
        for wanted, found in pairs:
            kind = kinds.get(stem_of(wanted), "")
            for sides in _sides(wanted, found):
                one = _assess(sides, (found, wanted), options, kind, report)
                if errors is not None:
                    write_errors(one, Path(errors), names.of(one.truth.name))
                yield one

    return Report.of(assessed(), options, unused)


def _sides(truth: Path, predicted: Path) -> Iterator[tuple[LabelSet, LabelSet]]:
    """Prediction and truth of each image of two files."""
    if is_image(truth) or is_image(predicted):
        yield open_side(predicted), open_side(truth)
        return
    found = {one.name: one for one in read_sets(predicted)}
    for wanted in read_sets(truth):
        if wanted.name not in found:
            raise InputError(f"{predicted}: expected the image {wanted.name!r} of {truth}")
        yield found[wanted.name], wanted


def _assess(
    sides: tuple[LabelSet, LabelSet],
    paths: tuple[Path, Path],
    options: Options,
    kind: str,
    report: Listener,
) -> Assessment:
    predicted, truth = sides
    try:
        return assess(predicted, truth, options, kind=kind, report=report)
    except InputError as error:
        raise InputError(f"{paths[0]}: {error} (truth: {paths[1]})") from error


def open_side(path: Path) -> LabelSet:
    """Read a label image, with the table of the run that wrote it, if that is beside it.

    Raises
    ------
    InputError
        If it cannot be read, or holds several images; the message names the file.
    """
    sets = list(read_result(path, listed=False) if is_image(path) else read_sets(path))
    if len(sets) != 1:
        raise InputError(f"{path}: expected one image, found {len(sets)}")
    name = stem_of(path) if is_image(path) else sets[0].name
    return replace(sets[0], name=name)


def _label_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of label images (or two files)")
    files = sorted(path for path in folder.iterdir() if is_image(path))
    if not files:
        raise InputError(f"{folder}: expected label images, found none")
    return files


def _pair(
    truths: Sequence[Path], candidates: Sequence[Path], folder: Path
) -> list[tuple[Path, Path]]:
    by_stem: dict[str, list[Path]] = {}
    for path in candidates:
        by_stem.setdefault(stem_of(path), []).append(path)
    pairs, missing = [], []
    for path in truths:
        stem = stem_of(path).removesuffix("_instances")
        found = next((by_stem[stem + e] for e in PREDICTED_ENDINGS if stem + e in by_stem), [])
        if len(found) > 1:
            names = " and ".join(p.name for p in found)
            raise InputError(f"{folder}: both {names} fit {path.name}; remove one")
        if found:
            pairs.append((path, found[0]))
        else:
            missing.append(path.name)
    if missing:
        some = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise InputError(
            f"{folder}: {len(missing)} of {len(truths)} label images have no prediction ({some})"
        )
    return pairs


def _is_other_output(path: Path, stems: Set[str]) -> bool:
    """Whether a file is the semantic or panoptic image of a result whose instances are there."""
    stem = stem_of(path)
    output = stem.rpartition("_")[2]
    return output in OUTPUTS[1:] and stem.removesuffix(output) + OUTPUTS[0] in stems
