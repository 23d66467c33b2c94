"""dse train."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dse.errors import DseError

if TYPE_CHECKING:
    from dse.space import Space


@click.command("train")
@click.argument("what")
@click.option("--task", default="cifar10", show_default=True, help="Task: a YAML file, a shipped name, or a folder.")
@click.option("--data", help="Where the images are, as for dse search.")
@click.option("--epochs", type=click.IntRange(min=1), help="Instead of the candidate's.")
@click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True), help="Instead of the candidate's.")
@click.option("--pretrained", help="Begin with these weights: a .keras file, a folder RUN/models/ID, or imagenet.")
@click.option("--teacher", help="Learn from this network: a .keras file, or a folder RUN/models/ID.")
@click.option("--teacher-weight", type=click.FloatRange(0, 1), help="Its share of the loss. [default: 0.7]")
@click.option(
    "--temperature", type=click.FloatRange(min=0, min_open=True), help="By which scores are softened. [default: 4]"
)
@click.option("--board", "boards", multiple=True, help="Say whether it fits this board.")
@click.option("--workers", type=click.IntRange(0, 1), default=0, show_default=True, help="1: in a worker of Ray.")
@click.option("--threads", type=click.IntRange(min=1, max=1024), help="Threads. [default: the cores of this machine]")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Of weights and batches.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option("--export/--no-export", "exporting", default=True, show_default=True, help="Write its bundle.")
@click.option("--test-images", type=click.IntRange(min=1), help="Score on the first N test images. [default: all]")
def command(
    what: str,
    task: str,
    data: str | None,
    boards: tuple[str, ...],
    workers: int,
    threads: int | None,
    seed: int,
    out: Path,
    exporting: bool,
    test_images: int | None,
    **training: Any,
) -> None:
    """Train one network, WHAT: a candidate (.json, or a folder RUN/models/ID), a reference network, or a space of one.

    What comes back is a run with one trial, for all commands that read runs. It is trained by its own settings, but for
    those given here; the classes are those of the task. Stopped, it goes on when the same command is given again.

    \b
    Example:
      dse train results/big/models/0a1b2c3d4e5f --out results/again --epochs 60
      dse train small.json --teacher results/big/models/0a1b2c3d4e5f --out results/taught
    """
    from dse.cli.search_command import data_of, finish, run_search
    from dse.cost import Budgets, load_boards
    from dse.run import Settings
    from dse.tasks import load_task
    from dse.weight_source import source_name

    the_task, the_boards = load_task(task), tuple(load_boards(boards))
    given = {name: value for name, value in training.items() if value is not None}
    given |= {name: source_name(given[name]) for name in ("pretrained", "teacher") if name in given}
    if not training["teacher"] and (given.keys() & {"teacher_weight", "temperature"}):
        raise DseError("--teacher-weight and --temperature go with a --teacher")
    settings = Settings(
        space=_only(what, given),
        task=the_task,
        boards=the_boards,
        budgets=Budgets.of_boards(()),
        folder=out,
        explorers={"grid": 1.0},
        trials=1,
        workers=workers,
        threads=threads,
        seed=seed,
        data=data_of(task, the_task, data),
    )
    summary = run_search(settings)
    finish(settings.folder, summary.count("complete"), exporting, test_images)


def _only(what: str, training: dict[str, Any]) -> Space:
    """The network as a space in which nothing is open."""
    from dse.candidate import load_candidate
    from dse.grid import open_text
    from dse.references import load_network
    from dse.single import space_of, with_training
    from dse.weight_source import CANDIDATE

    path = Path(what)
    path = path / CANDIDATE if path.is_dir() else path
    if path.suffix == ".json":
        candidate = load_candidate(path)
        return space_of(candidate, f"candidate-{candidate.id}", f"candidate {candidate.id}", **training)
    space = load_network(what)
    space = with_training(space, **training) if training else space
    if space.domains:
        raise DseError(f"{space.name}: {open_text(space)}; dse search trains candidates of a space")
    return space
