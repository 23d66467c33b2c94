"""Tables of trained networks: what may stand in them, and what is said of what may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from dse.cost.report import estimate
from dse.errors import FileError
from dse.simulation.table import read_table
from dse.space.space import parse_space

SPACE = parse_space(
    """
space: two
stem: {block: conv, channels: 8, stride: 2}
stages:
  - {block: {choice: [skip, conv: {kernel: {choice: [1, 3]}}]}, channels: 8}
  - {block: {choice: [skip, conv: {kernel: 3}]}, channels: 8}
training: {learning_rate: 0.01}
""",
    "two.yaml",
)
HEADER = "stages[0].block,stages[0].block.conv.kernel,stages[1].block"
ROWS = ("skip,,conv,{}", "conv,1,skip,{}", "conv,3,skip,{}", "conv,3,conv,{}")


def write(folder: Path, header: str, *rows: str) -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def complaint(folder: Path, header: str, *rows: str) -> str:
    with pytest.raises(FileError) as error:
        read_table(write(folder, header, *rows), SPACE)
    return str(error.value).partition("table.csv")[2]


def test_all_that_may_stand_in_it(tmp_path: Path) -> None:
    header = f"{HEADER},accuracy_2,accuracy_1,accuracy_1@epochs=0.33,macs,seconds"
    rows = [row.format(f"0.{7 + index},0.5,0.25,{index or ''},60") for index, row in enumerate(ROWS)]
    table = read_table(write(tmp_path, header, *rows), SPACE)
    # A kernel of three behind none, or before none: the second stage has no other.
    assert (len(table.rows), table.twins) == (3, 1)
    row = table.rows[1]
    assert row.assignment == {"stages[0].block": "conv", "stages[0].block.conv.kernel": 1, "stages[1].block": "skip"}
    assert row.accuracies == (0.5, 0.8)
    assert row.accuracy == pytest.approx(0.65)
    assert row.shorter == {"epochs=0.33": (0.25,)}
    assert row.seconds == 60
    cost = table.costs[1]
    assert cost.macs == 1  # as the table says
    known = estimate(row.candidate.network)
    assert (cost.params, cost.arena_bytes, cost.work) == (known.params, known.arena_bytes, known.work)


def test_percent_are_shares(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, f"{HEADER},accuracy", *(row.format("87.5") for row in ROWS)), SPACE)
    assert {row.accuracies for row in table.rows} == {(0.875,)}
    assert "expected shares or percent" in complaint(tmp_path, f"{HEADER},accuracy", ROWS[0].format("101"))


def test_ids_alone(tmp_path: Path) -> None:
    ids = [candidate.id for _, candidate in SPACE.candidates()]
    table = read_table(write(tmp_path, "id,accuracy", *(f"{one},0.5" for one in ids)), SPACE)
    assert [row.candidate.id for row in table.rows] == list(dict.fromkeys(ids))
    assert "came '0123', which is no candidate of two" in complaint(tmp_path, "id,accuracy", "0123,0.5")


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [
        (f"{HEADER},acuracy", ROWS[0].format(1), ":1: acuracy: unknown column, did you mean 'accuracy'?"),
        (HEADER, "skip,,conv", ":1: there is no column 'accuracy', nor 'accuracy_1'"),
        ("stages[0].block,accuracy", "skip,1", ":1: stages[0].block.conv.kernel: this open value of the space has no"),
        (f"{HEADER},accuracy", "skipp,,conv,1", ":2: stages[0].block: came 'skipp', expected one of skip, conv"),
        (f"{HEADER},accuracy", "conv,2,conv,1", ":2: stages[0].block.conv.kernel: came '2', expected one of 1, 3"),
        (f"{HEADER},accuracy", "conv,,conv,1", ":2: no network of the space: stages[0].block.conv.kernel: no value"),
        (f"{HEADER},accuracy", ROWS[0].format("high"), ":2: accuracy: came 'high', expected a number that is not"),
        (f"{HEADER},accuracy", ROWS[0].format(""), ":2: accuracy: there is no accuracy"),
        (f"{HEADER},accuracy", "skip,,conv", ":2: not as many cells as there are columns"),
        (f"{HEADER},accuracy", "skip,,conv,1,2", ":2: not as many cells as there are columns"),
        (f"{HEADER},accuracy,accuracy", "skip,,conv,1,1", ":1: two columns have the same name"),
        (f"{HEADER},accuracy,accuracy_1", "skip,,conv,1,1", ":1: accuracy: expected 'accuracy' alone, or one for each"),
        (f"{HEADER},accuracy_int8", "skip,,conv,1", ":1: accuracy_int8: unknown column, did you mean 'accuracy'?"),
        (f"{HEADER},accuracy,latency_ms", "skip,,conv,1,5", ":1: latency_ms: unknown column"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, header: str, row: str, said: str) -> None:
    assert complaint(tmp_path, header, row).startswith(said)


def test_no_table(tmp_path: Path) -> None:
    assert "there is no row" in complaint(tmp_path, f"{HEADER},accuracy")
    with pytest.raises(FileError, match="cannot be read: No such file"):
        read_table(tmp_path / "none.csv", SPACE)
