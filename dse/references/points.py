"""Published accuracies as points to draw beside a front, with what each network costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dse.cost.report import estimate
from dse.references.figures import Figure, load_figures, number
from dse.references.networks import reference_at, reference_files

IMAGES: dict[str, tuple[int, int] | None] = {"cifar10": (32, 32), "cifar100": (32, 32), "vww": None}  # None: any


@dataclass(frozen=True)
class ReferencePoint:
    """One published accuracy. A cost is None where neither the network nor a figure says it."""

    name: str
    at: str
    source: str
    accuracy: float
    int8: bool
    params: int | None
    macs: int | None
    arena_bytes: int | None  # as dse would export it, or as published

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
                    costs.get("params"),
                    costs.get("macs"),
                    costs.get("arena_bytes"),
                )
            )
    return points


def _costs(figure: Figure, image: tuple[int, int] | None) -> Iterator[tuple[str, int]]:
    """What the network costs; nothing but parameters where its file has another image than the task."""
    candidate = reference_at(figure.network, figure.at)
    cost = estimate(candidate.network)
    yield "params", cost.params
    if image in (None, candidate.input_shape[:2]):
        yield "macs", cost.macs
        yield "arena_bytes", cost.arena_bytes


def _published_costs(figure: Figure) -> Iterator[tuple[str, int]]:
    for other in load_figures():
        same = (other.network, other.at) == (figure.network, figure.at)
        if same and other.quantity in ("params", "macs", "arena_bytes"):
            yield other.quantity, round(number(other.published)[0])
