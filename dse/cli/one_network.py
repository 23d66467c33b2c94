"""What the commands that train one network have in common: their options, and the run of one trial."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dse.training.names import ASKED, Asked

if TYPE_CHECKING:
    from dse.space.space import Space

ARITHMETIC = (
    "How trainings are computed: as Keras has it (plain), by faster layers (fused), those with bfloat16 (bf16)."
)
# By the name of the parameter of `train_only`.
OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "task": ("--task", {"default": "cifar10", "show_default": True, "help": "Task, as for dse search."}),
    "data": ("--data", {"help": "Where the images are, as for dse search."}),
    "boards": ("--board", {"multiple": True, "help": "Say whether it fits this board."}),
    "threads": (
        "--threads",
        {"type": click.IntRange(1, 1024), "help": "Threads. [default: the cores of this machine]"},
    ),
    "arithmetic": (
        "--arithmetic",
        {"type": click.Choice(ASKED), "default": "auto", "show_default": True, "help": ARITHMETIC},
    ),
    "seed": (
        "--seed",
        {
            "type": click.IntRange(0, 2**31 - 1),
            "default": 0,
            "show_default": True,
            "help": "Of weights and batches.",
        },
    ),
    "out": (
        "--out",
        {
            "type": click.Path(path_type=Path),
            "help": "Folder of the run. [default: results/NETWORK-trained or such]",
        },
    ),
    "exporting": (
        "--export/--no-export",
        {"default": True, "show_default": True, "help": "Write its bundle."},
    ),
    "test_images": (
        "--test-images",
        {"type": click.IntRange(min=1), "help": "Score on the first N test images. [default: all]"},
    ),
}


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options; the command gets them as keywords, for `train_only`."""
    for name, (option, settings) in reversed(OPTIONS.items()):
        command = click.option(option, name, **settings)(command)
    return command


def split_options(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a command was given: its values for `train_only`, and the others."""
    return (
        {name: value for name, value in given.items() if name in OPTIONS},
        {name: value for name, value in given.items() if name not in OPTIONS},
    )


def default_out(network: str, how: str) -> Path:
    """Where the run of a network goes that is `trained`, `pruned` or `sparse`."""
    return Path("results") / f"{network}-{how}"


def train_only(
    space: Space,
    *,
    task: str,
    data: str | None,
    boards: tuple[str, ...],
    threads: int | None,
    arithmetic: Asked,
    seed: int,
    out: Path | None,
    exporting: bool,
    test_images: int | None,
    classes: int | None = None,
) -> None:
    """Trains the only network of a space as a run of one trial in this process, and shows and exports it.

    `classes` is how many the data must have. Raises DseError.
    """
    from dse.cli.ending import end_of_run
    from dse.cli.search_command import data_of, run_search
    from dse.hardware.boards import load_boards
    from dse.search.single import forget_failure, single_settings
    from dse.tasks import load_task

    the_task = load_task(task)
    settings = single_settings(
        space,
        the_task,
        out or default_out(space.name, "trained"),
        boards=load_boards(boards),
        data=data_of(task, the_task, data),
        threads=threads,
        arithmetic=arithmetic,
        seed=seed,
        classes=classes,
    )
    forget_failure(settings.folder)
    run_search(settings)
    end_of_run(settings.folder, exporting, test_images)
