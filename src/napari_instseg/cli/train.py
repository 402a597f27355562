"""``napari-instseg train``: a model of your own from label images."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..io.atomic import write_text
from . import values
from .console import INTERRUPTED, Console, UsageError, add_device, add_json, add_quiet

if TYPE_CHECKING:
    from ..training.loop import TrainSettings

#: Those of `TrainSettings`, which cannot be imported for a help text: it needs torch.
DEFAULTS: dict[str, Any] = {
    "iterations": 5000,
    "batch_size": 4,
    "crop_size": 256,
    "learning_rate": 1e-3,
    "seed": 0,
    "precision": "auto",
    "category": "object",
}
#: Where a run leaves its settings, in its folder.
SETTINGS = "settings.json"


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "train",
        help="train a model on your own label images",
        description="Train a model from scratch on DATA/images and DATA/labels, where each "
        "image has a label image of the same name (0 nothing, each object a number).",
        epilog="Use the result with 'napari-instseg segment --model OUTPUT/model.safetensors'.",
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("data", type=Path, metavar="DATA", help="folder with 'images' and 'labels'")
    add("--output", "-o", type=Path, required=True, metavar="DIR", help="folder for the model")
    add("--resume", action="store_true", help="go on from the checkpoint in DIR")
    _add(parser, "iterations", values.whole, "N", "steps")
    _add(parser, "batch_size", values.whole, "N", "crops a step")
    _add(parser, "crop_size", values.whole, "PX", "edge of the crops")
    _add(parser, "learning_rate", values.positive, "R", "at its highest")
    _add(parser, "seed", int, "N", "of all random choices")
    _add(parser, "precision", str, "P", "auto, float32 or bfloat16")
    _add(parser, "category", str, "NAME", "what the objects are called")
    add_device(parser)
    add_quiet(parser)
    add_json(parser)


def _add(parser: argparse.ArgumentParser, name: str, type_: Any, metavar: str, help_: str) -> None:
    choices = ("auto", "float32", "bfloat16") if name == "precision" else None
    parser.add_argument(
        f"--{name.replace('_', '-')}",
        type=type_,
        metavar=metavar,
        choices=choices,
        help=f"{help_} (default: {DEFAULTS[name]})",
    )


def run(args: argparse.Namespace) -> int:
    """Train; return the exit status."""
    from ..training.loop import Step
    from ..training.trainer import train

    console = Console.of(args)
    settings = _settings(args)
    last: list[Step] = []
    try:
        _keep(settings, args.output)
        with console.bar(total=settings.iterations, unit="step", desc="training") as bar:

            def report(step: Step) -> None:
                last[:] = [step]
                bar.update(step.iteration - bar.n)
                bar.set_postfix(loss=f"{step.loss:.3f}", refresh=False)

            weights = train(args.data, args.output, settings, resume=args.resume, report=report)
    except KeyboardInterrupt:
        done = last[0].iteration if last else 0
        console.fail(
            f"stopped after {done} of {settings.iterations} iterations; go on with: "
            f"napari-instseg train {args.data} --output {args.output} --resume"
        )
        return INTERRUPTED
    except (OSError, ValueError, FloatingPointError) as error:
        console.fail(f"napari-instseg train: {error}")
        return 1
    loss = last[0].loss if last else None
    console.say(
        f"{weights}: {settings.iterations} iterations" + (f", loss {loss:.3f}" if loss else "")
    )
    console.document({"weights": str(weights), "iterations": settings.iterations, "loss": loss})
    return 0


def _settings(args: argparse.Namespace) -> TrainSettings:
    """Settings from the options; with ``--resume``, what is not given is as it was."""
    from ..models.devices import pick_device
    from ..training.loop import TrainSettings

    given = {name: getattr(args, name) for name in DEFAULTS if getattr(args, name) is not None}
    before = _resumed(args.output / SETTINGS) if args.resume else {}
    return TrainSettings(**{**before, **given}, device=str(pick_device(args.device)))


def _resumed(path: Path) -> dict[str, Any]:
    """Settings that a run left behind; none if it did not, which the trainer will notice."""
    try:
        then = json.loads(path.read_text(encoding="utf-8"))
        return {name: then[name] for name in DEFAULTS if name in then}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from error


def _keep(settings: TrainSettings, output: Path) -> None:
    """Leave the settings for ``--resume``; a finished or stopped run's are not overwritten."""
    if not (output / "checkpoint.pt").exists():
        output.mkdir(parents=True, exist_ok=True)
        write_text(output / SETTINGS, json.dumps(asdict(settings), indent=2) + "\n")
