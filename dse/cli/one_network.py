"""What the commands that train one network have in common: their options, and the run of one trial."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dse.space.space import Space

OPTIONS = (
    click.option("--task", default="cifar10", show_default=True, help="Task, as for dse search."),
    click.option("--data", help="Where the images are, as for dse search."),
    click.option("--board", "boards", multiple=True, help="Say whether it fits this board."),
    click.option("--threads", type=click.IntRange(1, 1024), help="Threads. [default: the cores of this machine]"),
    click.option(
        "--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Of weights and batches."
    ),
    click.option(
        "--out", type=click.Path(path_type=Path), help="Folder of the run. [default: results/NETWORK-trained or such]"
    ),
    click.option("--export/--no-export", "exporting", default=True, show_default=True, help="Write its bundle."),
    click.option("--test-images", type=click.IntRange(min=1), help="Score on the first N test images. [default: all]"),
)
NAMES = ("task", "data", "boards", "threads", "seed", "out", "exporting", "test_images")


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options; the command gets them as keywords, for `train_only`."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def default_out(network: str, how: str) -> Path:
    """Where the run of a network goes that is `trained`, `pruned` or `sparse`."""
    return Path("results") / f"{network}-{how}"


def _forget_a_failure(folder: Path) -> None:
    """Empties a run whose training failed, to train the network again: what was wrong may have been mended."""
    from dse._util.files import locked
    from dse.search.run_folder import load_summary
    from dse.search.study.database import OWN

    if (folder / "run.yaml").is_file() and (folder / OWN).is_file():
        with locked(folder):
            records = load_summary(folder).records
            if records and all(record.outcome == "failed" for record in records):
                (folder / OWN).unlink()
                (folder / "run.yaml").unlink()


def train_only(
    space: Space,
    *,
    task: str,
    data: str | None,
    boards: tuple[str, ...],
    threads: int | None,
    seed: int,
    out: Path | None,
    exporting: bool,
    test_images: int | None,
    classes: int | None = None,
) -> None:
    """Trains the only network of a space as a run of one trial in this process, and shows and exports it.

    `classes` is how many the data must have. Raises DseError.
    """
    from dse.cli.search_command import data_of, finish, run_search
    from dse.hardware.boards import load_boards
    from dse.hardware.budget import Budgets
    from dse.search.settings import Settings
    from dse.tasks import load_task

    the_task = load_task(task)
    folder = out or default_out(space.name, "trained")
    _forget_a_failure(folder)
    settings = Settings(
        space=space,
        task=the_task,
        boards=tuple(load_boards(boards)),
        budgets=Budgets.of_boards(()),
        folder=folder,
        explorers={"grid": 1.0},
        trials=1,
        workers=0,
        threads=threads,
        seed=seed,
        data=data_of(task, the_task, data),
        classes=classes,
    )
    summary = run_search(settings)
    finish(settings.folder, summary.count("complete"), exporting, test_images)
