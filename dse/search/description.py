"""What a run is made of, as `run.yaml` has it."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from dse._util.backend import choose_backend
from dse.data.datasets import Data
from dse.search.explorers.names import parse_explorers
from dse.search.planning.ledger import read_plan
from dse.search.run_folder import read_run, run_task
from dse.search.settings import Settings
from dse.training.sources import WeightSource

PACKAGES = ("tensorflow", "keras", "optuna", "ray", "numpy", "ai-edge-litert", "tflite-micro")


def describe(settings: Settings, data: Data, sources: Mapping[str, WeightSource]) -> dict[str, Any]:
    """Everything that a run is made of. Under `settings` stands what may not change when it resumes."""
    return {
        "settings": {
            "space": settings.space.name,
            "space_sha256": settings.space.digest,
            "task": settings.task.to_dict(),
            "boards": [board.name for board in settings.boards],
            "limits": settings.budgets.limits(),
            "explorer": explorers_text(settings.explorers or parse_explorers(())),
            "epochs": settings.epochs,
            "seed": settings.seed,
            "data_sha256": data.digest,
        }
        # Earlier runs do not have these.
        | ({"best_of": settings.best_of} if settings.best_of > 1 else {})
        | ({"fidelity": settings.fidelity} if settings.fidelity != "full" else {})
        | ({"sources": {name: source.digest for name, source in sources.items()}} if sources else {}),
        "data": {
            "source": data.source,
            "classes": list(data.classes),
            "train_images": len(data.train),
            "validation_images": len(data.validation),
            "test_images": len(data.test),
        },
        "boards": [board.model_dump(mode="json", exclude_none=True) for board in settings.boards],
        "space_text": settings.space.document.text,
        "versions": {"python": platform.python_version()}
        | _versions(dict.fromkeys(("dse", *PACKAGES, choose_backend()))),
    }


def with_defaults_of_run(settings: Settings) -> Settings:
    """The settings, with what they do not say as the run in their folder has it: defaults have changed over time, and
    the same command goes on with it. Raises RunError for a folder with a broken run."""
    is_run = (settings.folder / "run.yaml").exists()
    if not settings.explorers:
        named = read_run(settings.folder)["settings"].get("explorer", "").split(", ") if is_run else []
        named = [name for name in named if name]
        settings = replace(settings, explorers=parse_explorers(named))
    planned = read_plan(settings.folder) if is_run else None
    if is_run and settings.epochs is None and (settings.budget or (planned and planned.asked.get("budget"))):
        trained_for = read_run(settings.folder)["settings"].get("epochs")
        settings = settings if trained_for is None else settings.with_epochs(trained_for)
    return _with_training_of_run(settings) if is_run else settings


def _with_training_of_run(settings: Settings) -> Settings:
    """With trainings as the run has them when it began before there were recipes."""
    asked = settings.task.training
    if asked.recipe != "auto":
        return settings
    recorded = run_task(settings.folder).training
    own = {name: value for name, value in asked.given.items() if name != "recipe"}
    if recorded.recipe != "none" or any(getattr(recorded, name) != value for name, value in own.items()):
        return settings
    return replace(settings, task=settings.task.model_copy(update={"training": recorded}))


def _versions(packages: Iterable[str]) -> dict[str, str]:
    """Of those that are installed: a machine that only trains has no TensorFlow, nor Ray."""
    found = {}
    for name in packages:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def explorers_text(shares: Mapping[str, float]) -> str:
    """The explorers as a person names them; one of them by its name only, as runs always did."""
    even = len(set(shares.values())) == 1
    return ", ".join(name if even else f"{name}={share:g}" for name, share in shares.items())
