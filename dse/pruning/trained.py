"""A trained candidate in a folder, pruned: the smaller candidate with its weights, and the space that trains it on.

Above the folder of the smaller candidate lies that of the run that trains it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from dse._util.files import write_atomic
from dse._util.quiet import quiet_tensorflow
from dse.cost.metrics import LIMITED_COSTS
from dse.cost.report import CostReport, estimate
from dse.errors import DseError, RunError
from dse.network.candidate import Candidate, load_candidate
from dse.space.single import space_of
from dse.space.space import Space
from dse.training.sources import CANDIDATE, WEIGHTS, read_source, source_name, write_trained

SMALLER = "pruned"  # folder of the smaller candidate, with its weights before fine-tuning, in the folder of the run
NOTE = "pruning.json"
SAY_EVERY = 5.0  # seconds
COSTS = tuple(metric.name for metric in LIMITED_COSTS)

Note = Callable[[str], None]


def load_trained(folder: Path) -> Candidate:
    """The trained candidate in a folder. Raises RunError when there is none."""
    if not (folder / CANDIDATE).is_file() or not (folder / WEIGHTS).is_file():
        raise RunError(f"{folder}: no trained candidate; expected a folder RUN/models/ID")
    return load_candidate(folder / CANDIDATE)


def prune_for_run(
    source: Path,
    run: Path,
    *,
    target: str | None = None,
    limit: int = 0,
    sparsity: float = 0.0,
    epochs: int = 5,
    learning_rate: float | None = None,
    teacher: str | None = None,
    note: Note = lambda text: None,
) -> Space:
    """Prune the trained candidate in the folder `source`; returns the space of one network that `run` fine-tunes.

    With a `target` (one of `plan.TARGETS`) channels go until its cost is at most `limit`, and the smaller candidate is
    left in the folder of the run, where the same call finds it again. With `sparsity` alone the network stays as it is,
    and that fraction of its weights becomes zero when it is trained. Without a `learning_rate` it is the last one that
    the candidate was trained with. Raises RunError, DseError.
    """
    whole = load_trained(source)
    candidate, start = whole, source
    if target:
        start = run / SMALLER
        if _is_run(run) and not start.exists():
            raise RunError(f"{run}: another run is there; choose another `out`")
        candidate = _smaller(source, whole, target, limit, start, note)
    trained = whole.training
    # As high as in its own training, from where it falls again (Renda et al. 2020): a smaller one recovers less.
    last_rate = trained.learning_rate * (trained.fine_tuning_rate if trained.pretrained else 1.0)
    return space_of(
        candidate,
        f"candidate-{candidate.id}",
        f"pruned from candidate {whole.id}",
        epochs=epochs,
        learning_rate=learning_rate or last_rate,
        fine_tuning_rate=1.0,
        pretrained=source_name(start),
        head_epochs=0,  # nothing is new
        sparsity=sparsity,
        teacher=source_name(teacher) if teacher else "",
    )


def _smaller(source: Path, candidate: Candidate, target: str, limit: int, folder: Path, note: Note) -> Candidate:
    """The pruned candidate, left in `folder` with its weights; one that the same call left there stays."""
    asked = {"pruned": read_source(str(source)).digest, "target": target, "limit": limit}
    written = folder / NOTE
    if written.is_file() and _is_of(written, asked):
        return load_candidate(folder / CANDIDATE)
    if written.is_file() and _is_run(folder.parent):
        raise DseError(f"{folder}: something else was pruned here; choose another `out`")
    quiet_tensorflow()
    from dse.pruning.plan import prune
    from dse.pruning.weights import channel_importance, cut
    from dse.training.weights import load_weights, weights_bytes

    trained = load_weights(candidate, source / WEIGHTS)
    importance = channel_importance(candidate.network, trained)
    pruned = prune(candidate, importance, target, limit, _progress(target, limit, note))
    model = cut(candidate.network, trained, pruned.candidate.network, importance)
    write_trained(folder, pruned.candidate, weights_bytes(model))
    before = estimate(candidate.network)
    costs = {name: [getattr(before, name), getattr(pruned.cost, name)] for name in COSTS}
    write_atomic(written, json.dumps(asked | costs | {"lost": pruned.lost}, indent=2) + "\n")
    note(f"pruned: {_costs(before, pruned.cost)}; {pruned.lost:.1%} of the importance went")
    return pruned.candidate


def _is_run(folder: Path) -> bool:
    return (folder / "run.yaml").exists()


def _is_of(written: Path, asked: dict[str, object]) -> bool:
    """Whether the note of an earlier call is of the same pruning."""
    try:
        said = json.loads(written.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return isinstance(said, dict) and {key: said.get(key) for key in asked} == asked


def _progress(target: str, limit: int, note: Note) -> Callable[[int], None]:
    """Says how far it is, every few seconds."""
    last = time.monotonic()

    def step(value: int) -> None:
        nonlocal last
        if time.monotonic() - last > SAY_EVERY:
            last = time.monotonic()
            note(f"pruning: {target} {value:,}, down to {limit:,}")

    return step


def _costs(before: CostReport, after: CostReport) -> str:
    return ", ".join(f"{name} {getattr(before, name):,} to {getattr(after, name):,}" for name in COSTS)
