"""A run of one trial: its network as a space in which nothing is open, and the settings of its search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dse._util.files import locked
from dse.errors import DseError
from dse.hardware.boards import Board
from dse.hardware.budget import Budgets
from dse.network.candidate import load_candidate
from dse.references.networks import load_network
from dse.screening.grid import open_text
from dse.search.run_folder import load_summary
from dse.search.settings import Settings
from dse.search.study.database import OWN
from dse.space.single import space_of, with_training
from dse.space.space import Space
from dse.tasks import Task
from dse.training.names import Asked
from dse.training.sources import CANDIDATE


def single_space(what: str, **training: Any) -> tuple[Space, int | None]:
    """A network as a space in which nothing is open, and the classes that it was made for, where that is known.

    `what` is a candidate (.json, or a folder RUN/models/ID), a reference network or a space of one; `training` are
    settings in place of its own. Raises DseError.
    """
    path = Path(what)
    if path.is_dir() and not (path / CANDIDATE).is_file():
        raise DseError(f"{what}: no candidate in there; expected a folder RUN/models/ID")
    path = path / CANDIDATE if path.is_dir() else path
    if path.suffix == ".json":
        candidate = load_candidate(path)
        space = space_of(candidate, f"candidate-{candidate.id}", f"candidate {candidate.id}", **training)
        return space, candidate.classes
    if path.suffix in (".keras", ".h5", ".tflite"):
        raise DseError(
            f"{what}: a model's file has no block grammar to train by; expected a candidate (.json, or a folder "
            "RUN/models/ID), a reference network or a space, and weights with `pretrained`"
        )
    space = load_network(what)
    space = with_training(space, **training) if training else space
    if space.domains:
        raise DseError(f"{space.name}: {open_text(space)}; dse search trains candidates of a space")
    return space, None


def single_settings(
    space: Space,
    task: Task,
    folder: Path,
    *,
    boards: Sequence[Board] = (),
    data: str | None = None,
    threads: int | None = None,
    arithmetic: Asked = "auto",
    seed: int = 0,
    classes: int | None = None,
) -> Settings:
    """The search that trains the only network of a space, in this process. No budget keeps it from that.

    `classes` is how many the data must have.
    """
    return Settings(
        space=space,
        task=task,
        boards=tuple(boards),
        budgets=Budgets.of_boards(()),
        folder=folder,
        explorers={"grid": 1.0},
        trials=1,
        workers=0,
        threads=threads,
        arithmetic=arithmetic,
        seed=seed,
        data=data,
        classes=classes,
    )


def forget_failure(folder: Path) -> None:
    """Empty a run whose only training failed, to train the network again: what was wrong may have been mended."""
    if (folder / "run.yaml").is_file() and (folder / OWN).is_file():
        with locked(folder):
            records = load_summary(folder).records
            if records and all(record.outcome == "failed" for record in records):
                (folder / OWN).unlink()
                (folder / "run.yaml").unlink()
