"""The table of metrics: every row is whole, and everything that reads it covers every row."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from click.testing import CliRunner

from dse.cli import cli
from dse.cli.limits import METRIC_OF, flag_of, parse_limits
from dse.cli.prune_command import TARGETS as PRUNED_BY
from dse.cost.metrics import ACCURACY, BY_NAME, COSTS, DIRECTIONS, LIMITED, METRICS, OBJECTIVES, RECORDED, by_board
from dse.cost.report import CostReport, estimate
from dse.cost.tflm.build import MICROCONTROLLER
from dse.errors import DseError, UnknownNameError
from dse.export.report import Predicted
from dse.hardware.board_metrics import UPPER_ENDS
from dse.hardware.boards import Board, load_board
from dse.hardware.budget import Budget, Budgets
from dse.hardware.verdict import judge
from dse.plots.front import panels as front_panels
from dse.plots.front import row
from dse.plots.screening import panels
from dse.pruning.plan import TARGETS
from dse.references.points import DRAWN
from dse.screening.report import fitting_rows, report
from dse.screening.screening import COLUMNS, Screened, screen
from dse.screening.sections import SectionCost
from dse.search.grid_table import COLUMNS as TABLE_COLUMNS
from dse.search.record import TrialRecord
from dse.search.summary import cost_values, on_board
from dse.space.space import Defaults, Space, load_space
from dse.tasks import Task, load_task
from tests.helpers.networks import family_space, only_candidate

NAMES = [metric.name for metric in METRICS]
OF_NETWORK = [metric.name for metric in COSTS if not metric.by_board]
# A value of each limit as a person types it, and as a budget has it.
TYPED = {
    "params": ("200k", 200_000),
    "macs": ("1.5M", 1_500_000),
    "arena_bytes": ("128KiB", 131_072),
    "flash_bytes": ("500kB", 500_000),
    "latency_ms": ("1.5s", 1_500.0),
    "energy_mj": ("0.5J", 500.0),
}


@pytest.fixture(scope="module")
def space() -> Space:
    return load_space("mixed")


@pytest.fixture(scope="module")
def screened(space: Space) -> Screened:
    return screen(space, count=200, libraries=(nano().library(), MICROCONTROLLER))


def nano() -> Board:
    return load_board("nano33ble")


def cost() -> CostReport:
    return estimate(only_candidate(family_space("conv")).network)


def test_every_row_is_whole() -> None:
    assert len(set(NAMES)) == len({metric.title for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.name == metric.name.lower()
        assert metric.name.endswith(f"_{metric.unit.name.lower()}") or metric.unit.name in ("", "share")
        assert metric.unit.text(1.0)
        assert metric.direction == ("maximize" if metric.name == ACCURACY else "minimize")
        assert (metric.drawn == "never") == (not metric.axis) == (not metric.panel)
        assert not (metric.recorded and metric.by_board)  # it is recorded where it is asked for
        if metric.limit:
            assert metric.limit.option.startswith("max_")
            assert metric.limit.help.endswith(".")
            assert metric.drawn != "never"
    places = [metric.panel for metric in METRICS if metric.panel]
    assert len(set(places)) == len(places)
    assert [m.name for m in LIMITED] == list(TYPED)
    assert DIRECTIONS.keys() == BY_NAME.keys()


def test_every_reader_covers_every_row() -> None:
    # What computes them.
    report_has = {*get_type_hints(CostReport), "arena_bytes"}
    section_has = {*SectionCost._fields, "arena_bytes"}
    assert set(OF_NETWORK) <= report_has & section_has
    assert set(OF_NETWORK) - {"arena_bytes"} <= set(COLUMNS)
    assert list(UPPER_ENDS) == [metric.name for metric in METRICS if metric.by_board]
    assert set(UPPER_ENDS) <= judge(cost(), nano()).to_dict().keys()
    # What names them.
    assert set(get_args(get_args(Task.model_fields["objectives"].annotation)[0])) == set(OBJECTIVES)
    assert set(OBJECTIVES) == {ACCURACY, *TYPED}
    assert cost_values(cost()).keys() == set(RECORDED)
    assert {metric.name for metric in METRIC_OF.values()} == set(TYPED)
    assert TARGETS.keys() == set(PRUNED_BY.values()) == {metric.name for metric in METRICS if metric.pruned}
    assert set(TABLE_COLUMNS.values()) == {m.name for m in COSTS if not m.part and not m.by_board}
    assert set(DRAWN) == {metric.name for metric in METRICS if metric.drawn == "always"}


def test_what_pruning_offers() -> None:
    text = CliRunner().invoke(cli, ["prune", "--help"]).output
    assert all(f"--{option} TEXT" in text for option in PRUNED_BY)


@pytest.mark.parametrize("command", ["search", "screen", "front"])
def test_every_limit_is_an_option(command: str) -> None:
    text = " ".join(CliRunner().invoke(cli, [command, "--help"]).output.split())
    for metric in LIMITED:
        assert metric.limit is not None
        assert f"{flag_of(metric.limit.option)} TEXT" in text
        assert metric.limit.help in text.replace("SPACE- BOARD", "SPACE-BOARD")


@pytest.mark.parametrize("name", TYPED)
def test_a_limit_is_read_in_its_unit(name: str) -> None:
    limit = BY_NAME[name].limit
    assert limit is not None
    text, value = TYPED[name]
    assert parse_limits({limit.option: text}, [nano()]) == {name: value}
    with pytest.raises(DseError, match=rf"^{flag_of(limit.option)}: "):
        parse_limits({limit.option: "3 parsecs"}, [nano()])


@pytest.mark.parametrize("name", ["latency_ms", "energy_mj"])
@pytest.mark.parametrize("text", ["100", "0ms", "0mJ", "-5ms", "5MJ", "5 Ms", "inf", "1e3ms", "5kB", ""])
def test_what_is_no_latency_and_no_energy(name: str, text: str) -> None:
    what = name.partition("_")[0]
    with pytest.raises(DseError, match=rf"^invalid {what} '.*': expected a number above 0 with its unit, such as "):
        BY_NAME[name].unit.parse(text)


def limits_at(value: float, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A limit that a network of this value just keeps to, and one that it just breaks."""
    return {name: value}, {name: value - 1 if BY_NAME[name].unit.whole else value * 0.999}


@pytest.mark.parametrize("name", TYPED)
def test_every_limit_excludes_a_candidate(name: str) -> None:
    candidate = only_candidate(family_space("conv"))
    found = cost()
    value = Budget(nano(), **{name: 10**9}).value(found, name)
    record = TrialRecord(0, "complete", "random", candidate.to_json(), values={"accuracy": 0.5})
    for limits, fits in zip(limits_at(value, name), (True, False), strict=True):
        budgets = Budgets.of_boards([nano()], **limits)
        assert (budgets.excess(found) <= 0) is fits
        assert (not budgets.exceeded_by(found)) is fits
        assert (budgets.violations(found)[name] <= 0) is fits
        assert (len(on_board([record], nano(), **limits)) == 1) is fits
    (reason,) = budgets.exceeded_by(found)
    assert reason.startswith(f"{name} ")


@pytest.mark.parametrize("name", TYPED)
def test_every_limit_excludes_rows_of_a_screening(name: str, space: Space, screened: Screened) -> None:
    budget = Budget(nano(), **{name: 10**9})
    values = screened.column(name, budget)[screened.possible]
    median = float(np.sort(values)[len(values) // 2])
    limited = Budget(nano(), **{name: median})
    kept = fitting_rows(screened, limited)
    assert kept.sum() == (values <= median).sum() < len(values)
    figures = report(space, Defaults(), screened, Budgets({"nano33ble": limited}))
    spread = f"{name} on nano33ble" if BY_NAME[name].by_board else name
    assert figures.fits[0].limits == {name: median}
    assert figures.fits[0].breaks[name] == pytest.approx(1 - kept.sum() / len(values))
    assert figures.spread[spread][3] == pytest.approx(float(np.median(values)), abs=0.5)
    assert name in [panel.metric.name for panel in panels(figures)]


def test_a_screening_knows_what_its_candidates_take(space: Space, screened: Screened) -> None:
    """All at once what a budget finds one by one."""
    from dse.screening.screening import candidate_of_row

    budget = Budget(nano(), arena_bytes=10**9, **dict.fromkeys(by_board(NAMES), 10**9))
    for number in np.flatnonzero(screened.possible)[:20]:
        found = estimate(candidate_of_row(space, Defaults(), screened.seed, int(number)).network)
        for name in (*OF_NETWORK, *by_board(NAMES)):
            assert screened.column(name, budget)[number] == pytest.approx(budget.value(found, name), rel=1e-12)


def test_a_budget_knows_its_metrics() -> None:
    with pytest.raises(UnknownNameError, match="unknown limit 'latency', did you mean 'latency_ms'"):
        Budget(latency=5)
    assert list(Budget(flash_bytes=1, params=2, macs=None).limits()) == ["params", "flash_bytes"]
    assert Budget(nano(), macs=5) == Budget(macs=5)  # no limit asks for the board
    assert Budget(nano(), latency_ms=5) != Budget(load_board("fs32k142"), latency_ms=5)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_task_may_have_it_as_an_objective(name: str) -> None:
    task = load_task("cifar10").model_dump() | {"objectives": [name]}
    assert Task.model_validate(task).objectives == [name]


def test_a_trial_is_drawn_with_all_that_is_known_of_it() -> None:
    """Latency where it was asked for, and the usual three panels for what knows none."""
    candidate = only_candidate(family_space("conv"))
    values = cost_values(cost()) | {"accuracy": 0.5, "accuracy_float": 0.5}
    old = TrialRecord(0, "complete", "random", candidate.to_json(), values=values)
    new = replace(old, number=1, values=values | {"latency_ms": 41.5})
    from dse.plots.front import draw_figure, draw_png, front_data

    plain = front_data([old], ["accuracy", "params"], "title")
    assert [metric.name for metric in front_panels(plain)] == ["arena_bytes", "macs", "params"]
    assert row(new)["latency_ms"] == 41.5
    assert "latency_ms" not in row(old)
    # The old one lacks an objective, so it is on no front; it is drawn where it has a place.
    data = front_data([old, new], ["accuracy", "latency_ms"], "title")
    assert ([r["trial"] for r in data.front], [r["trial"] for r in data.others]) == ([1], [0])
    assert [metric.name for metric in front_panels(data)] == ["arena_bytes", "macs", "params", "latency_ms"]
    figure = draw_figure(data)
    assert [len(trace.x) for trace in figure.data] == [1, 1, 1, 1, 1, 1, 0, 1]
    assert "latency 41.5 ms" in figure.data[-1].hovertext[0]
    assert draw_png(data)[:4] == b"\x89PNG"


def test_a_report_has_every_cost() -> None:
    """A field that a cost has and a report has not would be left out of it without a word."""
    assert set(Predicted.model_fields) == {field.name for field in fields(CostReport)} - {
        "build",
        "graph",
        "computed_in",
        "refusals",
    } | {"arena_bytes"}
