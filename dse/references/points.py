"""Published accuracies as points to draw beside a front, with what each network costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dse.cost.metrics import METRICS
from dse.cost.report import estimate
from dse.references.figures import Figure, load_figures, number
from dse.references.networks import reference_at, reference_files

DRAWN = [metric.name for metric in METRICS if metric.drawn == "always"]
IMAGES: dict[str, tuple[int, int] | None] = {"cifar10": (32, 32), "cifar100": (32, 32), "vww": None}  # None: any


@dataclass(frozen=True)
class ReferencePoint:
    """One published accuracy, with those of the costs in DRAWN that the network or a figure says."""

    name: str
    at: str
    source: str
    accuracy: float
    int8: bool
    costs: Mapping[str, int]  # by metric, as dse would export it, or as published

    @property
    def label(self) -> str:
        """The network with what is special about it."""
        return f"{self.name} {self.at}".strip()


def reference_points(task: str) -> list[ReferencePoint]:
    """Every published accuracy of a task, in the order of the table; empty for a task that nobody published for."""
    if task not in IMAGES:
        return []
    ours = reference_files()
    points = []
    for figure in load_figures():
        if figure.task == task and figure.quantity in ("accuracy", "accuracy_int8"):
            costs = dict(_costs(figure, IMAGES[task]) if figure.network in ours else _published_costs(figure))
            points.append(
                ReferencePoint(
                    figure.network,
                    figure.at,
                    figure.source,
                    number(figure.published)[0],
                    figure.quantity == "accuracy_int8",
                    costs,
                )
            )
    return points


def _costs(figure: Figure, image: tuple[int, int] | None) -> Iterator[tuple[str, int]]:
    """What the network costs; only what the image does not change where its file has another than the task."""
    candidate = reference_at(figure.network, figure.at)
    cost = estimate(candidate.network)
    same = image in (None, candidate.input_shape[:2])
    for name in DRAWN:
        if same or name == "params":
            yield name, getattr(cost, name)


def _published_costs(figure: Figure) -> Iterator[tuple[str, int]]:
    for other in load_figures():
        same = (other.network, other.at) == (figure.network, figure.at)
        if same and other.quantity in DRAWN:
            yield other.quantity, round(number(other.published)[0])
