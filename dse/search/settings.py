"""What a search is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dse.cost.metrics import by_board
from dse.cost.tflm.build import MICROCONTROLLER
from dse.data.datasets import Data
from dse.errors import RunError
from dse.hardware.board_metrics import check_known, upper_end
from dse.hardware.boards import Board
from dse.hardware.budget import Budgets, Cost
from dse.search.fidelity.names import Fidelity
from dse.search.fidelity.rungs import Rungs
from dse.search.summary import cost_values
from dse.space.space import Defaults, Space
from dse.tasks import Task
from dse.training.names import Asked

DEFAULT_TRIALS = 20


@dataclass(frozen=True)
class Settings:
    """What a search was asked for. Raises BoardError where an objective is not known of one of the boards, RunError for
    a budget of no time."""

    space: Space
    task: Task
    boards: tuple[Board, ...]
    budgets: Budgets
    folder: Path
    # Share of the proposals, by name; when none is named, those of the run that is in the folder, or the default.
    explorers: Mapping[str, float] = field(default_factory=dict)
    trials: int = DEFAULT_TRIALS
    timeout: float | None = None  # seconds, after which no new trial starts
    budget: float | None = None  # seconds for all of it, the export too, over all commands that work on the run
    trials_open: bool = False  # a budget decides how many trials there are
    scored: int | None = 0  # test images that bundles are scored on afterwards, for the plan; None for all
    epochs: int | None = None
    workers: int = 2
    at_once: int = 1  # trials in this process, without workers
    ray_address: str | None = None
    threads: int | None = None  # of each worker
    trial_timeout: float | None = None  # seconds, after which a trial is ended as failed
    worker_memory: int | None = None  # bytes, at which a worker is ended and its trial has failed
    arithmetic: Asked = "auto"  # of trainings
    seed: int = 0
    data: str | None = None
    fidelity: Fidelity = "full"  # trainings in steps, or each at once
    repeats: int = 0  # trainings more, by other seeds, of the networks on the front when all else is done
    best_of: int = 1  # drafts per proposal, of which the one that is expected to better the front most is proposed
    storage: str | None = None  # address of a database to keep the study in, instead of study.db
    classes: int | None = None  # that the data must have, because a trained network has them

    def __post_init__(self) -> None:
        check_known(self.task.objectives, self.boards)
        if self.budget is not None and self.budget <= 0:
            raise RunError("`budget` 0 leaves no time for anything; expected a time such as 3h")

    @property
    def rungs(self) -> Rungs:
        """The steps of its trainings."""
        said, recipe = self.space.template.training, self.task.training
        shortest = min(said["epochs"].possible()) if "epochs" in said else self.epochs or recipe.epochs
        return Rungs(self.fidelity, self.task.objectives, epochs=shortest, given=frozenset({*said, *recipe.given}))

    def with_epochs(self, epochs: int) -> Settings:
        """The same with trainings of so many epochs, whatever the space says. Raises FileError."""
        space = self.space
        if "epochs" in space.tree.get("training", {}):
            space = space.at(**{"training.epochs": epochs})
        return replace(self, space=space, epochs=epochs)

    def values_of(self, cost: Cost) -> dict[str, float]:
        """The costs of a network that its trial records; the arena is the largest over the boards that it fits."""
        libraries = {board.library() for board in self._fitting(cost)} or {MICROCONTROLLER}
        arenas = [cost_values(cost.on(library)) for library in libraries]
        return max(arenas, key=lambda values: values["arena_bytes"]) | self.values_on_boards(cost)

    def values_on_boards(self, cost: Cost) -> dict[str, float]:
        """Those of the objectives and limits that depend on a board: the largest over the boards that a network fits.

        Over all of them where it fits none.
        """
        names = by_board(
            {*self.task.objectives, *(name for limits in self.budgets.limits().values() for name in limits)}
        )
        if not names:
            return {}
        return {name: max(upper_end(name, cost.work, board) for board in self._fitting(cost)) for name in names}

    def _fitting(self, cost: Cost) -> Sequence[Board]:
        """The boards that a network fits; all of them where it fits none."""
        budgets = self.budgets.by_board
        if len(self.boards) < 2:
            return self.boards
        return [b for b in self.boards if b.name in budgets and budgets[b.name].excess(cost) <= 0] or self.boards

    def training_defaults(self, data: Data) -> Defaults:
        """What the task and the data give to every candidate."""
        recipe = self.task.training
        if self.epochs is not None:
            recipe = recipe.model_copy(update={"epochs": self.epochs})
        return Defaults(data.image_shape, len(data.classes), recipe)
