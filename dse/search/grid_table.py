"""What the networks of a grid cost, beside the accuracies that runs gave them and those that were published.

A row is a dictionary by the titles of columns: what is measured, and which boards there are, decides which it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dse._util.quiet import quiet_tensorflow
from dse.cost.metrics import COSTS
from dse.errors import DseError, ExportError
from dse.hardware.boards import Board
from dse.hardware.budget import Budget
from dse.network.candidate import Candidate
from dse.references.figures import Figure
from dse.screening.grid import GridPoint
from dse.search.record import TrialRecord
from dse.search.run_folder import load_summary
from dse.space.space import Defaults

COLUMNS = {metric.title: metric.name for metric in COSTS if not metric.by_board and not metric.part}

Row = dict[str, Any]
Trained = dict[str, dict[str, float]]  # by architecture, accuracies by their kind
Published = Mapping[str, Mapping[str, Figure]]  # by architecture, figures by their kind


def trained_records(runs: Iterable[Path]) -> list[TrialRecord]:
    """The trials that these runs trained. Raises RunError."""
    records = (record for run in runs for record in load_summary(run).records)
    return [record for record in records if record.candidate and record.outcome == "complete"]


def defaults_of(records: Sequence[TrialRecord], classes: int | None) -> Defaults | None:
    """What a network has that its space does not say: as in these trials, whose accuracies could not be found else.

    None where neither says the classes. Raises DseError where the trials have several numbers of classes.
    """
    candidates = [record.candidate for record in records if record.candidate]
    found = sorted({candidate.classes for candidate in candidates})
    if classes is None and len(found) > 1:
        raise DseError(f"`run`: came runs of {' and '.join(map(str, found))} classes; say which with `classes`")
    classes = classes or next(iter(found), None)
    if classes is None:
        return None
    shapes = {candidate.input_shape for candidate in candidates}
    return Defaults(shapes.pop() if len(shapes) == 1 else Defaults.input_shape, classes)


def best_accuracies(records: Iterable[TrialRecord]) -> Trained:
    """The best validation accuracies of every network, by its architecture, however it was trained."""
    best: Trained = {}
    for record in records:
        if record.candidate:
            found = best.setdefault(record.candidate.architecture, {})
            for kind in ("accuracy", "accuracy_float", "accuracy_int8"):
                if kind in record.values:
                    found[kind] = max(record.values[kind], found.get(kind, 0.0))
    return best


def grid_rows(
    points: Iterable[GridPoint], boards: Sequence[Board], trained: Trained, published: Published
) -> list[Row]:
    """A row for every network of a grid; a combination that is no network has no costs."""
    return [_row(point, boards, trained, published) for point in points]


def measured_rows(
    points: Sequence[GridPoint],
    boards: Sequence[Board],
    trained: Trained,
    published: Published,
    note: Callable[[str], None],
) -> list[Row]:
    """A row for the float file of every network and one for its int8 file, converted and timed on this machine.

    A network that cannot be converted is told to `note` and left out.
    """
    rows = []
    for number, point in enumerate(points, 1):
        row = _row(point, boards, trained, published)
        if not point.candidate:
            rows.append(row)
            continue
        note(f"measuring {number} of {len(points)}")
        try:
            rows += _measured(point, row, trained, published)
        except ExportError as error:
            note(f"{values_text(point.values)}: {error}")
    return rows


def _row(point: GridPoint, boards: Sequence[Board], trained: Trained, published: Published) -> Row:
    candidate, cost = point.candidate, point.cost
    figures = published.get(candidate.architecture, {}) if candidate else {}
    said = {kind: figure.published for kind, figure in figures.items()}
    return {
        **point.values,
        "id": candidate.id if candidate else None,
        **{title: getattr(cost, name) if cost else None for title, name in COLUMNS.items()},
        **{f"fits {board.name}": Budget.of_board(board).excess(cost) <= 0 if cost else None for board in boards},
        "accuracy": _accuracy(trained, candidate, "accuracy"),
        "published accuracy": said.get("accuracy"),
        "published int8 accuracy": said.get("accuracy_int8"),
    }


def _measured(point: GridPoint, row: Row, trained: Trained, published: Published) -> list[Row]:
    """The row of the float file and that of the int8 file, which alone has an arena. Raises ExportError."""
    quiet_tensorflow()
    from dse.quantization.timing import time_network

    assert point.candidate
    figures = published.get(point.candidate.architecture, {})
    rows = []
    for quantized, timed in sorted(time_network(point.candidate).items()):
        said = figures.get("accuracy_int8" if quantized else "accuracy")
        costs = {
            title: row[title] for title in COLUMNS if title in ("params", "MACs") or (quantized and title != "flash")
        }
        fits = {name: value if quantized else None for name, value in row.items() if name.startswith("fits ")}
        accuracy = _accuracy(trained, point.candidate, "accuracy_int8" if quantized else "accuracy_float")
        rows.append(
            point.values
            | {"id": row["id"], "quantized": quantized}
            | dict.fromkeys(COLUMNS)
            | costs
            | fits
            | {"file": timed.num_bytes, "latency ms": round(timed.milliseconds, 2)}
            | {"accuracy": accuracy, "published accuracy": said.published if said else None}
        )
    return rows


def _accuracy(trained: Trained, candidate: Candidate | None, kind: str) -> float | None:
    return trained.get(candidate.architecture, {}).get(kind) if candidate else None


def values_text(values: Mapping[str, Any], shown: int = 6) -> str:
    """Values by their place, as a part of a sentence."""
    parts = [f"{place} {value}" for place, value in values.items()]
    return ", ".join(parts[:shown]) + (f" and {len(parts) - shown} more" if len(parts) > shown else "")
