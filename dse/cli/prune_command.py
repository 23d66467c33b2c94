"""dse prune."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dse.cli.messages import note
from dse.cli.one_network import default_out, run_options, train_only
from dse.cost.metrics import BY_NAME, LIMITED
from dse.errors import DseError

if TYPE_CHECKING:
    from dse.network.candidate import Candidate

TARGETS = {m.limit.option.removeprefix("max_"): m.name for m in LIMITED if m.limit and m.pruned}  # by option


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
    from dse.pruning.trained import SMALLER, load_trained, prune_for_run
    from dse.tasks import load_task

    limits = {"params": params, "macs": macs, "memory": memory}
    given = [(option, text) for option, text in limits.items() if text is not None]
    if len(given) + (sparsity is not None) != 1:
        raise click.UsageError("give exactly one of --params, --macs, --memory and --sparsity")
    load_task(of_run["task"])  # what is wrong with these is said before the work
    load_boards(of_run["boards"])
    whole = load_trained(what)
    out = out or default_out(f"candidate-{whole.id}", SMALLER if given else "sparse")
    target, limit = _limit(whole, *given[0]) if given else (None, 0)
    space = prune_for_run(
        what,
        out,
        target=target,
        limit=limit,
        sparsity=sparsity or 0.0,
        epochs=epochs,
        learning_rate=learning_rate,
        teacher=teacher,
        note=note,
    )
    train_only(space, out=out, exporting=exporting, classes=whole.classes, **of_run)
    if exporting and sparsity:
        _compressed(out)


def _limit(candidate: Candidate, option: str, text: str) -> tuple[str, int]:
    """What is limited, and to how much. Raises DseError for a limit that the candidate keeps to already."""
    from dse._util.units import parse_share
    from dse.cost.report import estimate

    target = TARGETS[option]
    cost = getattr(estimate(candidate.network), target)
    try:
        share = parse_share(text)
        limit = int(BY_NAME[target].unit.parse(text)) if share is None else int(share * cost)
    except DseError as error:
        raise DseError(f"--{option}: {error}; or a share of what it has, such as 50%") from None
    if cost <= limit:
        raise DseError(f"--{option} {text}: candidate {candidate.id} has {cost:,}, and keeps to {limit:,} already")
    return target, limit


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
