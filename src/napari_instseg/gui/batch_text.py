"""What the Batch dock says of what there is to do, and of what was done."""

from __future__ import annotations

from ..batch.jobs import tally
from ..batch.status import DONE, FAILED, SKIPPED
from ..progress import how_many
from .batch_worker import Listing, Outcome


def listed(listing: Listing) -> str:
    """Say what there is to do."""
    jobs = listing.jobs
    if not jobs:
        return ""
    before = tally(jobs)(SKIPPED)
    text = how_many(len(jobs), "image")
    if before:
        rest = len(jobs) - before
        text += f", {before} of them finished in this folder: "
        text += f"Go on does the other {rest}" if rest else "nothing is left to do"
    if listing.left_out:
        text += f" ({how_many(listing.left_out, 'result')} of earlier runs left out)"
    return f"{text}."


def summary(outcome: Outcome) -> str:
    """Say what has become of a batch."""
    count, jobs = tally(outcome.jobs), outcome.jobs
    parts = [f"{count(DONE)} of {how_many(len(jobs), 'image')} done"]
    if count(SKIPPED):
        parts.append(f"{count(SKIPPED)} before")
    if count(FAILED):
        parts.append(f"{count(FAILED)} failed")
    parts.append(how_many(sum(job.count for job in jobs), "object"))
    parts.append(f"{outcome.seconds:.1f}\u00a0s")
    return " · ".join([*parts, *filter(None, [outcome.device])])
