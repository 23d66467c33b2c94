"""Latency and energy as what is limited and traded: the upper end of a range, on a board that knows it."""

from __future__ import annotations

import pytest

from dse.cost.report import estimate
from dse.errors import BoardError
from dse.hardware.board_metrics import check_known, is_known, upper_end
from dse.hardware.boards import list_boards, load_board
from dse.hardware.budget import Budget, Budgets
from dse.hardware.verdict import judge
from tests.helpers.networks import family_space, only_candidate

COST = estimate(only_candidate(family_space("conv")).network)


def test_it_is_the_upper_end() -> None:
    nano = load_board("nano33ble")
    verdict = judge(COST, nano)
    assert verdict.energy is not None
    assert upper_end("latency_ms", COST.work, nano) == verdict.latencies["tflm-cmsis-nn"].high_ms
    assert upper_end("energy_mj", COST.work, nano) == verdict.energy.high_mj
    assert upper_end("latency_ms", COST.work, nano, "tinyengine") == verdict.latencies["vendor"].high_ms


def test_one_of_several_boards_must_be_quick_enough() -> None:
    """A limit between the two: the quicker board keeps to it, and the slower one says by how much it does not."""
    slow, quick = load_board("nano33ble"), load_board("imxrt1060")
    on_slow, on_quick = (upper_end("latency_ms", COST.work, board) for board in (slow, quick))
    assert on_quick < on_slow
    limit = (on_slow + on_quick) / 2
    assert Budgets.of_boards([slow, quick], latency_ms=limit).exceeded_by(COST) == []
    alone = Budgets.of_boards([slow], latency_ms=limit)
    assert alone.violations(COST)["latency_ms"] == pytest.approx(on_slow / limit - 1)
    assert alone.exceeded_by(COST) == [f"latency_ms {on_slow:,.6g} > {limit:,.6g}"]


def test_a_board_without_figures_is_never_a_zero() -> None:
    known = {board.name for board in map(load_board, map(str, list_boards())) if is_known("latency_ms", board)}
    assert "bluebox2" not in known
    with pytest.raises(
        BoardError, match="cannot give latency_ms on bluebox2 because what runs there was not"
    ) as raised:
        upper_end("latency_ms", COST.work, load_board("bluebox2"))
    assert set(str(raised.value).partition("boards that know it: ")[2].split(", ")) == known
    assert raised.value.exit_code == 2
    with pytest.raises(
        BoardError, match="energy_mj on imxrt1060 because its file gives no supply_volts and active_milli"
    ):
        check_known(["energy_mj"], [load_board("nano33ble"), load_board("imxrt1060")])
    with pytest.raises(
        BoardError, match="cannot give energy_mj without a board because it depends on one; boards that"
    ):
        check_known(["accuracy", "energy_mj"], [])
    check_known(["accuracy", "macs"], [])


def test_a_limit_that_a_board_does_not_know_is_refused() -> None:
    with pytest.raises(BoardError, match="on bluebox2"):
        Budget.of_board(load_board("bluebox2"), latency_ms=5)
    with pytest.raises(BoardError, match="on bluebox2"):
        Budgets.of_boards([load_board("nano33ble"), load_board("bluebox2")], latency_ms=5)
    with pytest.raises(BoardError, match="without a board"):
        Budgets.of_boards([], energy_mj=5)
