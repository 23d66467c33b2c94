"""What a person sees while a search runs: a live line and a table of the best in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from dse._util.units import bytes_text, count_text, duration_text
from dse.cli.messages import with_options
from dse.cost.metrics import figure
from dse.search.fidelity.rungs import Rungs
from dse.search.record import TrialRecord, share_text

if TYPE_CHECKING:
    from dse.cost.report import CostReport
    from dse.data.datasets import Data
    from dse.hardware.boards import Board
    from dse.screening.feasibility import Nearest
    from dse.search.settings import Settings
    from dse.search.summary import Summary


def make_observer() -> PlainObserver:
    """What a search tells this terminal, or for a file or pipe."""
    import sys

    return LiveObserver() if sys.stderr.isatty() else PlainObserver()


class PlainObserver:
    """A line per event, on stderr."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.first_done = 0.0  # whole trainings
        self.rungs = Rungs("full", [])
        self.trials, self.repeats = 0, 0
        self.boards: tuple[Board, ...] = ()
        self.last_infeasible_line = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def line(self, text: str) -> None:
        click.echo(text, err=True)

    def note(self, text: str) -> None:
        self.line(with_options(text))

    def began(self, settings: Settings, data: Data, nearest: Nearest, summary: Summary) -> None:
        self.started = time.monotonic()
        self.trials, self.repeats = settings.trials, settings.repeats
        self.rungs = settings.rungs
        self.first_done, done = self.rungs.done(summary.records), summary.trained
        # Where the boards are no limits it is said of each network whether it fits them.
        self.boards = () if any(settings.budgets.limits().values()) else settings.boards
        self.line(f"data: {data.source}")
        train, validation, test = (f"{len(part):,}" for part in (data.train, data.validation, data.test))
        self.line(f"      {train} to train on, {validation} to choose by, {test} to report on")
        for board, budget in settings.budgets.limits().items():
            if budget:
                self.line(
                    f"fits: {board}: " + ", ".join(f"{name} <= {figure(name, limit)}" for name, limit in budget.items())
                )
        if settings.space.domains:
            which = "one of them" if len(settings.boards) > 1 else "it"
            self.line(f"      {nearest.share:.0%} of random candidates of {settings.space.name} fit {which}")
        if recipe := nearest.candidate.training.recipe_text():
            self.line(f"recipe: {recipe}")
        self.line(
            f"run:  {settings.folder}" + (f" (goes on after {done} trial{'s' if done > 1 else ''})" if done else "")
        )

    def proposed(self, record: TrialRecord, cost: CostReport | None) -> None:
        if cost:
            from dse.hardware.verdict import judge

            self.line(
                f"trial {record.number} {record.id}: {count_text(cost.params)} parameters, "
                f"{count_text(cost.macs)} MACs, arena {bytes_text(cost.arena_bytes)}"
            )
            for board in self.boards:
                self.line(str(judge(cost, board)))

    def goes_on(self, record: TrialRecord) -> None:
        assert record.more is not None
        self.line(f"trial {record.number} {record.id}: {record.more.text}")

    def epoch(self, number: int, epoch: int, epochs: int, metrics: dict[str, float]) -> None:
        accuracy = metrics.get("val_accuracy")
        text = f"{accuracy:.1%}" if accuracy is not None else "?"
        self.line(f"trial {number}: epoch {epoch}/{epochs}, validation {text}")

    def ended(self, record: TrialRecord, summary: Summary) -> None:
        match record.outcome:
            case "complete":
                after = f" after {share_text(record.share)}" if record.share < 1 else ""
                result = f"{record.values['accuracy']:.1%}{after} in {duration_text(record.seconds)}"
                self.line(f"trial {record.number}: {result}; {self.standing(summary)}")
            case "failed":
                self.line(f"trial {record.number}: failed: {with_options(record.reason)}")
            case _ if time.monotonic() - self.last_infeasible_line > 2:
                self.last_infeasible_line = time.monotonic()
                self.line(f"trial {record.number}: {record.outcome}: {record.reason}")

    def standing(self, summary: Summary) -> str:
        """Done, left, how long, how many were infeasible, the best."""
        parts = [f"{summary.trained}/{self.trials} done"]
        if len(self.rungs.shares) > 1:
            full = sum(record.outcome == "complete" and record.share == 1 for record in summary.records)
            parts[0] += f", {full} in full"
        done, whole = self.rungs.done(summary.records), self.trials * self.rungs.work
        whole += self.repeats * len(summary.front())
        if self.first_done < done < whole:
            left = (time.monotonic() - self.started) / (done - self.first_done) * (whole - done)
            parts.append(f"about {duration_text(left)} left")
        if infeasible := summary.count("infeasible"):
            parts.append(f"{infeasible} infeasible")
        if front := summary.front():
            parts.append(f"best {front[0].values['accuracy']:.1%}, {len(front)} on the front")
        return ", ".join(parts)


class LiveObserver(PlainObserver):
    """The same events in a terminal: a progress bar and the running trials stay at the bottom."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[standing]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self.total = self.bar.add_task("search", total=None, standing="")
        self.rows: dict[int, int] = {}

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def line(self, text: str) -> None:
        self.bar.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def began(self, settings: Settings, data: Data, nearest: Nearest, summary: Summary) -> None:
        super().began(settings, data, nearest, summary)
        self.bar.update(self.total, total=settings.trials, completed=summary.trained)

    def epoch(self, number: int, epoch: int, epochs: int, metrics: dict[str, float]) -> None:
        if number not in self.rows:
            self.rows[number] = int(self.bar.add_task(f"trial {number}", total=epochs, standing=""))
        accuracy = metrics.get("val_accuracy")
        text = f"epoch {epoch}/{epochs}" + (f", validation {accuracy:.1%}" if accuracy is not None else "")
        self.bar.update(self.rows[number], completed=epoch, total=epochs, standing=text)  # type: ignore[arg-type]

    def ended(self, record: TrialRecord, summary: Summary) -> None:
        super().ended(record, summary)
        if record.number in self.rows:
            self.bar.remove_task(self.rows.pop(record.number))  # type: ignore[arg-type]
        self.bar.update(self.total, completed=summary.trained, standing=self.standing(summary))
