"""Cost reports, budgets and boards."""

from __future__ import annotations

import json

import pytest

from dse.cost import Budget, estimate, list_boards, load_board
from dse.errors import FileError, UnknownNameError
from dse.tasks import list_tasks, load_task
from tests.conftest import FAMILIES, family_space, only_candidate


def test_hand_worked_report() -> None:
    """conv 3x3 s2 3 -> 16 on 32x32, two convolutions, 1x1 head 64: every figure from the table in the comments."""
    report = estimate(only_candidate(family_space("conv", FAMILIES["conv"])).network)
    kernels = 27 * 16 + 9 * 16 * 16 + 9 * 16 * 32 + 9 * 32 * 32 + 32 * 64 + 64 * 10
    norms = 16 + 16 + 32 + 32 + 64
    assert report.trainable_params == kernels + 2 * norms + 10
    assert report.params == kernels + 4 * norms + 10
    assert report.deployed_params == kernels + norms + 10
    assert report.macs == 256 * (27 * 16 + 9 * 16 * 16) + 64 * (9 * 16 * 32 + 9 * 32 * 32 + 32 * 64) + 640
    # conv1 16x16x16 = 4096 and conv2 4096 together: nothing later needs more (2048 + 2048, 2048 + 4096)
    assert report.arena_head_bytes == 8192
    assert report.operators == {"CONV_2D": 5, "FULLY_CONNECTED": 1, "MEAN": 1}


def test_budget_says_what_is_exceeded_and_by_how_much() -> None:
    report = estimate(only_candidate(family_space("conv")).network)
    budget = Budget(params=report.params - 1, macs=report.macs, arena_bytes=2 * report.arena_bytes)
    assert budget.exceeded_by(report) == [f"params {report.params:,} > {report.params - 1:,}"]
    violations = budget.violations(report)
    assert violations["params"] > 0
    assert violations["macs"] == 0
    assert violations["arena_bytes"] == pytest.approx(-0.5)


def test_the_stricter_limit_holds() -> None:
    board = load_board("nano33ble")
    assert Budget.of_board(board).limits() == {"arena_bytes": 212_992, "flash_bytes": 800_000}
    assert Budget.of_board(board, arena_bytes=100_000, params=5).limits() == {
        "params": 5,
        "arena_bytes": 100_000,
        "flash_bytes": 800_000,
    }
    assert Budget.of_board(board, arena_bytes=10**9).arena_bytes == 212_992


@pytest.mark.parametrize("path", list_boards(), ids=lambda path: path.stem)
def test_every_board_has_sources(path) -> None:  # type: ignore[no-untyped-def]
    board = load_board(str(path))
    assert board.name == path.stem
    for name in ("clock_mhz", "sram_bytes", "sram_reserved_bytes", "flash_bytes", "flash_reserved_bytes"):
        assert len(getattr(board, name).source) > 10
    assert board.arena_bytes > 0
    assert board.model_bytes > 0


def test_the_six_boards_are_there() -> None:
    assert {path.stem for path in list_boards()} == {
        "imxrt1060", "nano33ble", "bluebox2", "stm32f746g-disco", "frdm-k64f", "fs32k142",
    }  # fmt: skip
    with pytest.raises(UnknownNameError, match="did you mean 'imxrt1060'"):
        load_board("imxrt1064")


def test_a_wrong_board_has_an_address(tmp_path) -> None:  # type: ignore[no-untyped-def]
    text = (load_board_path("nano33ble")).read_text()
    wrong = tmp_path / "mine.yaml"
    wrong.write_text(text.replace("sram_bytes:", "sram_byte:"))
    with pytest.raises(FileError, match=r"mine.yaml:\d+: sram_byte"):
        load_board(str(wrong))
    wrong.write_text(text.replace("value: 49152", "value: 999999"))
    with pytest.raises(FileError, match="sram_reserved_bytes 999999 leave nothing of sram_bytes 262144"):
        load_board(str(wrong))


def load_board_path(name: str):  # type: ignore[no-untyped-def]
    return next(path for path in list_boards() if path.stem == name)


@pytest.mark.parametrize("path", list_tasks(), ids=lambda path: path.stem)
def test_every_task_loads(path) -> None:  # type: ignore[no-untyped-def]
    assert load_task(str(path)).task == path.stem


def test_reports_are_plain_data() -> None:
    report = estimate(only_candidate(family_space("fire")).network)
    data = json.loads(json.dumps(report.to_dict()))
    assert data["arena_bytes"] == report.arena_bytes
    assert data["work"]["conv_macs"] + data["work"]["fully_connected_macs"] == report.macs
    assert sum(tensor["bytes"] for tensor in data["peak_tensors"]) == report.arena_head_bytes
