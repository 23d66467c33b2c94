"""Fronts and plots: gathered, then drawn."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dse._util.intervals import wilson
from dse.network.candidate import Candidate
from dse.plots.front import draw_figure, draw_png, front_data
from dse.references.figures import load_figures
from dse.references.points import IMAGES, reference_points
from dse.search.frames import trials_frame
from dse.search.pareto import front_rows, non_dominated
from dse.search.record import TrialRecord
from tests.helpers.networks import family_space, only_candidate

OBJECTIVES = ["accuracy", "params"]


def record(number: int, accuracy: float, params: float, outcome: str = "complete") -> TrialRecord:
    candidate: Candidate = only_candidate(family_space("conv"))
    names = ("macs", "arena_bytes", "arena_head_bytes", "flash_bytes")
    values = {"accuracy": accuracy, "accuracy_float": accuracy, "params": params} | dict.fromkeys(names, 1000.0)
    return TrialRecord(number, outcome, "random", candidate and candidate.to_json(), values, seconds=1.0)  # type: ignore[arg-type]


RECORDS = [
    record(0, 0.7, 100),
    record(1, 0.8, 200),
    record(2, 0.6, 150),  # beaten by 0
    record(3, 0.8, 200),  # equal to 1: both stay
    record(4, 0.9, 50, "infeasible"),
    record(5, 0.0, 0, "failed"),
]


def test_front_data_by_hand() -> None:
    data = front_data(RECORDS, OBJECTIVES, "title")
    assert [row["trial"] for row in data.front] == [1, 3, 0]
    assert [row["trial"] for row in data.others] == [2]
    assert data.front[0]["blocks"] == "conv conv conv conv"


def test_the_figure_holds_every_complete_trial() -> None:
    figure = draw_figure(front_data(RECORDS, OBJECTIVES, "title"))
    assert [len(trace.x) for trace in figure.data] == [1, 3, 1, 3, 1, 3]
    assert list(figure.data[1].y) == [80.0, 80.0, 70.0]
    assert "trial 1 " in figure.data[1].hovertext[0]


def test_the_png_is_the_same_every_time() -> None:
    data = front_data(RECORDS, OBJECTIVES, "title")
    assert draw_png(data) == draw_png(data)


def test_an_empty_run_has_an_empty_front() -> None:
    assert front_rows([], OBJECTIVES) == []
    assert front_data([], OBJECTIVES, "title").front == []


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30))
def test_non_dominated_by_definition(points: list[tuple[int, int, int]]) -> None:
    expected = [not any(all(a <= b for a, b in zip(q, p, strict=True)) and q != p for q in points) for p in points]
    assert non_dominated(np.array(points)).tolist() == expected


def test_the_table_has_a_row_per_trial() -> None:
    frame = trials_frame(RECORDS)
    assert frame.shape[0] == 6
    assert frame.loc[0, "accuracy"] == 0.7
    assert frame["outcome"].tolist()[-2:] == ["infeasible", "failed"]


def test_wilson_against_a_published_example() -> None:
    """81 of 263: 0.2553 to 0.3662 (Newcombe 1998, table I, method 3)."""
    low, high = wilson(81, 263)
    assert round(low, 4) == 0.2553
    assert round(high, 4) == 0.3662
    assert wilson(0, 0) == (0.0, 1.0)


def test_published_points_of_the_task() -> None:
    points = {(point.name, point.at): point for point in reference_points("cifar10")}
    cmv3 = points["cmv3", ""]
    assert (cmv3.accuracy, cmv3.costs["params"], cmv3.costs["macs"]) == (0.8913, 117_050, 22_657_248)
    # Its file takes images of 227x227, so on CIFAR-10 only the parameters are known.
    squeezenet = points["squeezenet_v1_0", "classes=10"]
    assert squeezenet.costs == {"params": 740_554}
    # No network of ours: what was published of it.
    nano = points["nanonas_l010", ""]
    assert nano.int8
    assert (nano.accuracy, nano.costs["params"], nano.costs["macs"]) == (0.6461, 12_217, 537_596)
    assert len({point.accuracy for point in reference_points("vww")}) > 20
    assert reference_points("my-photos") == []


def test_every_task_of_the_table_can_be_drawn() -> None:
    assert {figure.task for figure in load_figures()} - {"", "imagenet"} == set(IMAGES)


def test_published_points_are_drawn_in() -> None:
    points = reference_points("cifar10")
    figure = draw_figure(front_data(RECORDS, OBJECTIVES, "title", points))
    drawn = [trace for trace in figure.data if trace.name == "published by others"]
    assert [len(trace.x) for trace in drawn] == [
        sum(cost in point.costs for point in points) for cost in ("arena_bytes", "macs", "params")
    ]
    assert any("cmv3<br>accuracy 89.13%, float<br>CMV3 thesis" in text for text in drawn[0].hovertext)
    assert figure.layout.xaxis.type == "log"
    plain = draw_png(front_data(RECORDS, OBJECTIVES, "title"))
    assert draw_png(front_data(RECORDS, OBJECTIVES, "title", points)) != plain
