"""dse search."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dse.cli.ending import end_of_run
from dse.cli.limits import BUILD, limit_options, parse_limits
from dse.cli.one_network import ARITHMETIC
from dse.errors import DseError
from dse.search.fidelity.names import FIDELITIES, Fidelity
from dse.training.names import ASKED, Asked

if TYPE_CHECKING:
    from dse.search.observer import SearchObserver
    from dse.search.settings import Settings
    from dse.search.summary import Summary
    from dse.tasks import Task


@click.command("search")
@click.option("--space", required=True, help="Space: a YAML file or a shipped name (dse list spaces).")
@click.option(
    "--board",
    "boards",
    multiple=True,
    help="Board whose memory candidates must fit (dse list boards). Of several, one of them must be fitted.",
)
@click.option(
    "--task", default="cifar10", show_default=True, help="Task: a YAML file, a shipped name, or an image folder."
)
@click.option(
    "--data", help="Where the images are: a folder, or 'sample'. Default: what 'dse data get' left, else the sample."
)
@click.option(
    "--explorer",
    "explorers",
    multiple=True,
    help="Who proposes (dse list explorers); several propose in turn, or by share, as in nni:tpe=0.3. [default: bayes]",
)
@click.option(
    "--best-of",
    type=click.IntRange(min=1, max=1000),
    default=1,
    show_default=True,
    help="Proposals to draw for each trial; the one that is expected to better the front most is trained.",
)
@click.option(
    "--fidelity",
    type=click.Choice(FIDELITIES),
    default="full",
    show_default=True,
    help="full: each network is trained in full. halving: for a ninth of the epochs, the better third for a third, of "
    "those the better third in full; halving:data: on so much of the images.",
)
@click.option(
    "--repeats",
    type=click.IntRange(min=0, max=20),
    default=0,
    show_default=True,
    help="At the end, train the networks on the front so many times more, by other seeds; their mean is what counts.",
)
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    help="Trials to train, earlier ones of the run included. [default: 20; with --budget as many as fit into it]",
)
@click.option(
    "--budget",
    help="Time for all of it, such as 3h: as many trials as it is enough for, with fewer epochs where it must be.",
)
@click.option("--timeout", help="Start no trial after this time: 30m, 1h30m, 90 (seconds).")
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs per trial, instead of the space's or the task's.")
@click.option(
    "--workers",
    type=click.IntRange(min=0, max=256),
    default=2,
    show_default=True,
    help="Parallel trials on Ray; 0 runs in this process.",
)
@click.option(
    "--at-once",
    type=click.IntRange(min=1, max=64),
    default=1,
    show_default=True,
    help="With --workers 0, on JAX: so many trials at once in this process, for a GPU that one does not fill.",
)
@click.option("--ray-address", help="Use this Ray cluster instead of a local one.")
@click.option(
    "--threads",
    type=click.IntRange(min=1, max=1024),
    help="Threads of each worker. [default: this machine's cores shared out; 1 on a cluster]",
)
@click.option("--arithmetic", type=click.Choice(ASKED), default="auto", show_default=True, help=ARITHMETIC)
@click.option("--trial-timeout", help="End a trial that takes longer, as failed: 20m.")
@click.option("--worker-memory", help="End a worker that takes more memory, its trial as failed: 3GiB.")
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=2**31 - 1),
    default=0,
    show_default=True,
    help="Seed of proposals, weights and batches.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run. [default: results/SPACE-BOARD]")
@click.option(
    "--ui",
    type=click.Choice(["optuna", "nni"]),
    help="Watch the search in a browser of this machine: Optuna's dashboard, or NNI's web UI, live after every epoch.",
)
@click.option(
    "--ui-port", type=click.IntRange(1, 65535), help="Port for --ui. [default: 8080, or the next that is free]"
)
@click.option(
    "--storage",
    help="Keep the study in this database, such as postgresql://user@host/name, instead of study.db in the folder.",
)
@BUILD
@limit_options
@click.option(
    "--export/--no-export", "exporting", default=True, show_default=True, help="Export the front when the search ends."
)
@click.option(
    "--test-images", type=click.IntRange(min=1), help="Score exported files on the first N test images. [default: all]"
)
def command(
    space: str,
    boards: tuple[str, ...],
    task: str,
    data: str | None,
    explorers: tuple[str, ...],
    best_of: int,
    fidelity: Fidelity,
    repeats: int,
    trials: int | None,
    budget: str | None,
    timeout: str | None,
    epochs: int | None,
    workers: int,
    at_once: int,
    ray_address: str | None,
    threads: int | None,
    arithmetic: Asked,
    trial_timeout: str | None,
    worker_memory: str | None,
    seed: int,
    out: Path | None,
    ui: str | None,
    ui_port: int | None,
    storage: str | None,
    exporting: bool,
    test_images: int | None,
    build: str | None,
    **given_limits: str | None,
) -> None:
    """Search a space for networks that fit a board, or one of several.

    Proposes candidates, drops those that do not fit before any training, trains the others, and leaves everything in
    the folder of the run: the study, weights, plots and, for the front, bundles with int8 TFLite files. A search that
    was stopped goes on when the same command is given again; a larger --trials makes it go further.

    \b
    Exit code 3: nothing in the space fits. Exit code 130: stopped by Ctrl-C.

    \b
    Example:
      dse search --space cmv3.yaml --board imxrt1060 --trials 30
    """
    from dse._util.units import parse_bytes, parse_duration
    from dse.hardware.boards import load_boards
    from dse.hardware.budget import Budgets
    from dse.search.explorers.names import parse_explorers
    from dse.search.settings import DEFAULT_TRIALS, Settings
    from dse.space.space import load_space
    from dse.tasks import load_task

    if ui_port and not ui:
        raise DseError("--ui-port is the port of a --ui, and none is asked for")
    shares = parse_explorers(explorers) if explorers else {}
    the_space, the_task = load_space(space), load_task(task)
    the_boards = tuple(load_boards(boards, build))
    limits = parse_limits(given_limits, the_boards)
    settings = Settings(
        space=the_space,
        task=the_task,
        boards=the_boards,
        budgets=Budgets.of_boards(the_boards, **limits),
        folder=out or Path("results") / "-".join([the_space.name, *(board.name for board in the_boards)]),
        explorers=shares,
        best_of=best_of,
        fidelity=fidelity,
        repeats=repeats,
        trials=trials or DEFAULT_TRIALS,
        trials_open=trials is None,
        budget=parse_duration(budget) if budget else None,
        scored=test_images if exporting else 0,
        timeout=parse_duration(timeout) if timeout else None,
        workers=workers,
        at_once=at_once,
        ray_address=ray_address,
        threads=threads,
        arithmetic=arithmetic,
        trial_timeout=parse_duration(trial_timeout) if trial_timeout else None,
        worker_memory=parse_bytes(worker_memory) if worker_memory else None,
        seed=seed,
        data=data_of(task, the_task, data),
        storage=storage,
    )
    run_search(settings if epochs is None else settings.with_epochs(epochs), ui, ui_port)
    end_of_run(settings.folder, exporting, test_images)


def data_of(name: str, task: Task, data: str | None) -> str | None:
    """Where the images of a task are: for a folder of images that is the task, in the folder itself."""
    from dse.tasks import FOLDER_OF_IMAGES

    return name if task.dataset == FOLDER_OF_IMAGES and not data and Path(name).is_dir() else data


def run_search(settings: Settings, ui: str | None = None, ui_port: int | None = None) -> Summary:
    """Searches with progress on the terminal and, if asked, in a browser; Ctrl-C ends the command."""
    from dse.cli.progress import make_observer
    from dse.search.loop import search

    try:
        with ExitStack() as stack:
            observer: SearchObserver = stack.enter_context(make_observer())
            if ui == "optuna":
                from dse.cli.watching import WithDashboard
                from dse.ui.dashboard import Dashboard

                observer = WithDashboard(observer, stack.enter_context(Dashboard(settings.folder, ui_port)))
            elif ui == "nni":
                from dse._util.loopback import free_port
                from dse.ui.nni.observer import NniObserver

                observer = stack.enter_context(NniObserver(observer, free_port(ui_port)))
            return search(settings, observer)
    except KeyboardInterrupt:
        click.echo(f"dse: stopped; the same command goes on from {settings.folder}", err=True)
        raise SystemExit(130) from None
