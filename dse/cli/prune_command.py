"""dse prune."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dse.cli.one_network import default_out, run_options, train_only
from dse.errors import DseError, RunError

if TYPE_CHECKING:
    from dse.cost.report import CostReport
    from dse.network.candidate import Candidate

SAY_EVERY = 5.0  # seconds
OPTIONS = {"params": "--params", "macs": "--macs", "arena_bytes": "--memory"}  # by what they limit
COSTS = ("params", "macs", "arena_bytes", "flash_bytes")
SMALLER = "pruned"  # the folder in that of the run with the smaller candidate and its weights before fine-tuning


@click.command("prune")
@click.argument("what", type=click.Path(path_type=Path))
@click.option("--params", help="Prune channels until it has at most so many parameters: 50k, or 50% of what it has.")
@click.option("--macs", help="The same for multiply-accumulates.")
@click.option("--memory", help="The same for the arena: 64KiB, or 50%.")
@click.option(
    "--sparsity",
    type=click.FloatRange(0, 0.99, min_open=True),
    help="Set this share of every kernel to zero, but for depthwise ones.",
)
@click.option("--epochs", type=click.IntRange(min=1), default=5, show_default=True, help="Epochs of fine-tuning.")
@click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True), help="[default: its last one]")
@click.option("--teacher", help="Learn from this network: a .keras file, or a folder RUN/models/ID, such as WHAT.")
@run_options
def command(
    what: Path,
    params: str | None,
    macs: str | None,
    memory: str | None,
    sparsity: float | None,
    epochs: int,
    learning_rate: float | None,
    teacher: str | None,
    out: Path | None,
    exporting: bool,
    **of_run: Any,
) -> None:
    """Prune WHAT, the folder RUN/models/ID of a trained candidate, and train what is left for some epochs.

    With --params, --macs or --memory whole channels go, those that matter least for what they cost: the result is a
    smaller candidate of the same grammar, a run with one trial, for all commands that read runs. With --sparsity single
    weights become zero: the file gets smaller only when it is compressed, and the arena not at all.

    \b
    Example:
      dse prune results/big/models/0a1b2c3d4e5f --macs 50% --epochs 10
    """
    from dse.hardware.boards import load_boards
    from dse.space.single import space_of
    from dse.tasks import load_task
    from dse.training.sources import CANDIDATE, WEIGHTS, read_source, source_name

    targets = {
        name: text for name, text in (("params", params), ("macs", macs), ("arena_bytes", memory)) if text is not None
    }
    if len(targets) + (sparsity is not None) != 1:
        raise click.UsageError("give exactly one of --params, --macs, --memory and --sparsity")
    load_task(of_run["task"])  # what is wrong with these is said before the work
    load_boards(of_run["boards"])
    if not (what / CANDIDATE).is_file() or not (what / WEIGHTS).is_file():
        raise RunError(f"{what}: no trained candidate; expected a folder RUN/models/ID")
    digest = read_source(str(what)).digest
    whole = _load(what)
    out = out or default_out(f"candidate-{whole.id}", SMALLER if targets else "sparse")
    start = out / SMALLER if targets else what
    if targets and (out / "run.yaml").exists() and not start.exists():
        raise RunError(f"{out}: another run is there; choose another --out")
    candidate = _smaller(what, whole, digest, *next(iter(targets.items())), start) if targets else whole
    trained = whole.training
    # As high as in its own training, from where it falls again (Renda et al. 2020): a smaller one recovers less.
    last_rate = trained.learning_rate * (trained.fine_tuning_rate if trained.pretrained else 1.0)
    training = {
        "epochs": epochs,
        "learning_rate": learning_rate or last_rate,
        "fine_tuning_rate": 1.0,
        "pretrained": source_name(start),
        "head_epochs": 0,  # nothing is new
        "sparsity": sparsity or 0.0,
        "teacher": source_name(teacher) if teacher else "",
    }
    space = space_of(candidate, f"candidate-{candidate.id}", f"pruned from candidate {whole.id}", **training)
    train_only(space, out=out, exporting=exporting, classes=candidate.classes, **of_run)
    if exporting and sparsity:
        _compressed(out)


def _load(what: Path) -> Candidate:
    from dse.network.candidate import load_candidate
    from dse.training.sources import CANDIDATE

    return load_candidate(what / CANDIDATE)


def _smaller(what: Path, candidate: Candidate, digest: str, target: str, text: str, folder: Path) -> Candidate:
    """The pruned candidate, left in `folder` with its weights; one that the same command left there stays."""
    from dse._util.files import write_atomic
    from dse._util.quiet import quiet_tensorflow
    from dse._util.units import parse_limit, parse_share
    from dse.cost.report import estimate
    from dse.training.sources import WEIGHTS, write_trained

    cost = estimate(candidate.network)
    option = OPTIONS[target]
    try:
        share = parse_share(text)
        limit = parse_limit(target, text) if share is None else int(share * getattr(cost, target))
    except DseError as error:
        raise DseError(f"{option}: {error}; or a share of what it has, such as 50%") from None
    if getattr(cost, target) <= limit:
        raise DseError(
            f"{option} {text}: candidate {candidate.id} has {getattr(cost, target):,}, and keeps to {limit:,} already"
        )
    asked = {"pruned": digest, "target": target, "limit": limit}
    note = folder / "pruning.json"
    if note.is_file() and _is_of(note, asked):
        return _load(folder)
    if note.is_file() and (folder.parent / "run.yaml").exists():
        raise DseError(f"{folder}: something else was pruned here; choose another --out")
    quiet_tensorflow()
    from dse.pruning.plan import prune
    from dse.pruning.weights import channel_importance, cut
    from dse.training.weights import load_weights, weights_bytes

    trained = load_weights(candidate, what / WEIGHTS)
    importance = channel_importance(candidate.network, trained)
    pruned = prune(candidate, importance, target, limit, _progress(target, limit))
    model = cut(candidate.network, trained, pruned.candidate.network, importance)
    write_trained(folder, pruned.candidate, weights_bytes(pruned.candidate, model))
    costs = {name: [getattr(cost, name), getattr(pruned.cost, name)] for name in COSTS}
    write_atomic(note, json.dumps(asked | costs | {"lost": pruned.lost}, indent=2) + "\n")
    click.echo(f"pruned: {_costs(cost, pruned.cost)}; {pruned.lost:.1%} of the importance went", err=True)
    return pruned.candidate


def _is_of(note: Path, asked: dict[str, object]) -> bool:
    """Whether a note of an earlier call is of the same pruning."""
    try:
        said = json.loads(note.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return isinstance(said, dict) and {key: said.get(key) for key in asked} == asked


def _progress(target: str, limit: int) -> Callable[[int], None]:
    """Says how far it is, every few seconds."""
    last = time.monotonic()

    def step(value: int) -> None:
        nonlocal last
        if time.monotonic() - last > SAY_EVERY:
            last = time.monotonic()
            click.echo(f"pruning: {target} {value:,}, down to {limit:,}", err=True)

    return step


def _costs(before: CostReport, after: CostReport) -> str:
    return ", ".join(f"{name} {getattr(before, name):,} to {getattr(after, name):,}" for name in COSTS)


def _compressed(run: Path) -> None:
    """Says what sparse weights are worth."""
    from dse.search.run_folder import bundle_folder, load_summary
    from dse.training.sparsity import compressed_bytes

    record = load_summary(run).front()[0]
    content = (bundle_folder(run, record.id) / "model_int8.tflite").read_bytes()
    click.echo(
        f"model_int8.tflite: {len(content):,} bytes, as without zeros; {compressed_bytes(content):,} when compressed "
        "(zlib). Arena and time stay as they were."
    )
