"""All benchmarks in one table: ``python -m benchmarks``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from . import (
    batch,
    cluster,
    detectron2_painting,
    detectron2_predictor,
    detectron2_sahi,
    embedding_cache,
    evaluation,
    linking,
    measuring,
    overhead,
    painting,
    review,
    sahi_peer,
    sam_encoder,
    sam_everything,
    sam_prompt,
    scaling,
    startup,
    tracking,
)
from ._common import Result, parse, show

MODULES = (
    *(painting, overhead, batch, sahi_peer),
    *(linking, tracking, measuring, evaluation),
    *(detectron2_predictor, detectron2_painting, detectron2_sahi),
    *(sam_encoder, sam_prompt, embedding_cache, sam_everything),
    *(review, scaling, cluster, startup),
)


def main() -> None:
    """Run one after the other, so that none disturbs another; two at a time if nothing counts."""
    options = parse(__doc__)
    results: list[Result] = []
    with ThreadPoolExecutor(2 if options.smoke else 1) as pool:
        for found in pool.map(lambda module: module.run(options), MODULES):
            results += found if isinstance(found, list) else [found]
    show(results, options.output)


if __name__ == "__main__":
    main()
