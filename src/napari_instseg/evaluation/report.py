"""What is said of all images: a table, JSON, CSV."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..io.atomic import write_text
from ..segmenter import InputError
from .assessment import Assessment
from .boundary import distance_unit
from .comparison import Comparison
from .errors import KINDS
from .intervals import Intervals, find_intervals
from .options import Options
from .scores import Score, pool

if TYPE_CHECKING:
    from .coco import CocoScore

#: Ending of reports as tables.
CSV = ".csv"


@dataclass(frozen=True, slots=True)
class Report:
    """Scores of one or more images.

    Parameters
    ----------
    images : tuple of Score
        One each, in the order of their names; of a time-lapse, one a frame.
    unused : tuple of str
        Label images in the folder of predictions that have no truth.
    intervals : Intervals, optional
        How sure the pooled measures are; None where that cannot be told.
    coco : CocoScore, optional
        If it was asked for.
    errors : DataFrame
        A row an error; see `Assessment.error_table`.
    options : Options
        What was asked for.
    unit : {"px", "µm"}
        Of boundary distances.
    """

    images: tuple[Score, ...]
    unused: tuple[str, ...] = ()
    intervals: Intervals | None = None
    coco: CocoScore | None = None
    errors: pd.DataFrame = field(default_factory=pd.DataFrame, compare=False, repr=False)
    options: Options = field(default_factory=Options)
    unit: str = "px"

    @classmethod
    def of(
        cls,
        assessments: Iterable[Assessment],
        options: Options | None = None,
        unused: Sequence[str] = (),
    ) -> Report:
        """Put images together; they are looked at one after the other.

        Raises
        ------
        InputError
            If there is none, or a package is missing.
        """
        options = options or Options()
        if options.coco:
            _coco()
        scores: list[Score] = []
        comparisons: list[Comparison] = []
        tables, units = [], set()
        for one in assessments:
            scores += one.scores
            tables.append(one.error_table)
            units.add(distance_unit(one.truth))
            comparisons += one.comparisons if options.coco else ()
        if options.boundary and len(units) > 1:
            raise InputError(
                "boundary distances: expected pixel sizes of all images, or of none: give them, "
                "or leave distances out"
            )
        drawing = options.draws, options.seed, options.level
        return cls(
            tuple(scores),
            tuple(unused),
            find_intervals(scores, *drawing),
            _coco()(comparisons, *drawing) if options.coco else None,
            pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(),
            options,
            units.pop() if units else "px",
        )

    def __str__(self) -> str:
        return self.to_text(per_image=False)

    @property
    def pooled(self) -> Score:
        """All images together."""
        return pool(self.images)

    @property
    def kinds(self) -> tuple[Score, ...]:
        """The images of each kind together; empty if no kind is known."""
        names = sorted({score.kind for score in self.images} - {""})
        return tuple(pool([s for s in self.images if s.kind == k], k, k) for k in names)

    @property
    def error_counts(self) -> dict[str, int]:
        """Number of errors of each kind."""
        kinds = self.errors["kind"].tolist() if len(self.errors) else []
        return {name: kinds.count(name) for name in KINDS.values()}

    def to_json(self) -> dict[str, Any]:
        """Return pooled, per-kind and per-image scores, as values that JSON can hold."""
        intervals = self.intervals
        return {
            "thresholds": list(self.images[0].matches),
            "pooled": self.pooled.to_json(),
            "intervals": None if intervals is None else intervals.to_json(),
            "coco": None if self.coco is None else self.coco.to_json(),
            "errors": self.error_counts,
            "kinds": {score.kind: score.to_json() for score in self.kinds},
            "images": [score.to_json() for score in self.images],
            "unused": list(self.unused),
            "options": {**asdict(self.options), "boundary_unit": self.unit},
        }

    def to_frame(self) -> pd.DataFrame:
        """Return one row an image, then one a kind, then one for all, with the main numbers."""
        return pd.DataFrame([_flat(s) for s in (*self.images, *self.kinds, self.pooled)])

    def to_table(self, *, per_image: bool = True) -> str:
        """Return aligned text: AP at some thresholds, then P, R, F1, PQ, SQ at the first."""
        from .text import score_table

        singles = self.images if per_image else ()
        return score_table([*self.kinds, self.pooled], singles)

    def to_text(self, *, per_image: bool = True) -> str:
        """Return `to_table`, then intervals, categories, COCO's measures and errors."""
        from .text import details

        return "\n".join([self.to_table(per_image=per_image), *details(self)])

    def save(self, path: str | Path) -> None:
        """Write `to_frame` as CSV where the path ends so, else `to_json`.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        path = Path(path)
        if path.suffix.lower() == CSV:
            text = self.to_frame().to_csv(index=False, lineterminator="\n")
        else:
            text = json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n"
        write_text(path, text)


def _flat(score: Score) -> dict[str, Any]:
    """The numbers of a score that fit one row."""
    values = score.to_json()
    plain = {k: v for k, v in values.items() if not isinstance(v, dict | list)}
    first = values["iou"][next(iter(values["iou"]))]
    aps = {f"ap_{t}": match["ap"] for t, match in values["iou"].items()}
    return {**plain, **aps, **{k: v for k, v in first.items() if k != "ap"}}


def _coco() -> Any:
    """The function for COCO's measures, if its package is there."""
    try:
        from .coco import coco_score
    except ImportError as error:
        raise InputError(
            'COCO\'s measures need a package: pip install "napari-instseg[evaluate]"'
        ) from error
    return coco_score
