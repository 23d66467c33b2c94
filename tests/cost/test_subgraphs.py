"""Files of several subgraphs, which branch, repeat or keep a state: head and tail of the real allocator."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from dse.cli import cli
from dse.cost.report import estimate_graph
from dse.cost.tflm.arena import arena_of
from dse.cost.tflm.build import HOST
from dse.cost.tflm.planner import Lifetime, lifetimes
from dse.errors import FileError
from dse.tflite.reader import read_tflite
from tests.helpers.subgraphs import ADDS, BRANCHING, FILES, LONGER, Graph, Op, file_of, options
from tests.helpers.tflm import allocations, runs


@pytest.mark.tflm
def test_the_arena_is_that_of_the_allocator() -> None:
    graphs = {name: read_tflite(content, name) for name, content in FILES.items()}
    arenas = {name: arena_of(graph, HOST) for name, graph in graphs.items()}
    assert {name: (one.head_bytes, one.tail_bytes) for name, one in arenas.items()} == allocations(FILES)
    # An arena of exactly so many bytes has to do.
    enough = {name: one.num_bytes for name, one in arenas.items()}
    assert set(allocations(FILES, enough)) == set(FILES)


@pytest.mark.tflm
def test_they_run() -> None:
    assert runs(FILES) == dict.fromkeys(FILES, True)


def test_lifetimes_by_hand() -> None:
    """A step for each operator, and one for each branch that is entered; both branches lie within the IF."""
    found = lifetimes(read_tflite(FILES["if"]), HOST)
    # Main: 0 the input, 3 the sum, 4 whether it is more, 5 the output. ADDS begins at 6, LONGER at 9; scratch behind.
    assert found == [
        Lifetime(0, 32, -1, 8), Lifetime(3, 16, 0, 1), Lifetime(4, 16, 1, 8), Lifetime(5, 32, 2, 8),
        Lifetime(6, 32, 3, 4), Lifetime(8, 32, 4, 4),
        Lifetime(9, 32, 5, 6), Lifetime(11, 32, 6, 8), Lifetime(12, 32, 7, 8), Lifetime(13, 32, 8, 8),
        Lifetime(14, 16, 0, 0), Lifetime(15, 16, 0, 0),
    ]  # fmt: skip


def test_what_is_never_called_takes_room_all_the_same() -> None:
    """A second signature: its tensors lie beside one another, before everything else."""
    alone, both = (estimate_graph(read_tflite(content), 1) for content in (file_of(ADDS), FILES["two signatures"]))
    assert (alone.arena_head_bytes, both.arena_head_bytes) == (64, 4 * 32)
    assert both.operators == {"ADD": 2, "MUL": 1, "SUB": 1}


def test_the_command_shows_the_main_one(tmp_path: Path) -> None:
    path = tmp_path / "streaming.tflite"
    path.write_bytes(FILES["streaming"])
    done = CliRunner().invoke(cli, ["cost", str(path), "--board", "nano33ble", "--layers"])
    assert done.exit_code == 0, done.output
    for text in ("CALL_ONCE", "VAR_HANDLE", "ASSIGN_VARIABLE", "nano33ble: fits"):
        assert text in done.output
    assert "in place" not in done.output


def calling(number: int) -> Graph:
    call = Op("IF", [0, 1], [2], options("If", thenSubgraphIndex=number, elseSubgraphIndex=1))
    return Graph([((), "BOOL"), ((1, 8), "FLOAT32"), ((1, 8), "FLOAT32")], [call], [0, 1], [2])


@pytest.mark.parametrize(
    ("graphs", "text"),
    [
        ((calling(2), ADDS), r"IF calls subgraphs \(2, 1\), expected 1 to 1"),
        ((calling(0), ADDS), r"IF calls subgraphs \(0, 1\), expected 1 to 1"),
        ((calling(2), ADDS, calling(2)), "subgraph 2 calls itself"),
        ((LONGER, Graph([((4,), "INT8")], [], [3], [])), r"inputs \(3,\) and outputs \(\), expected tensors below 1"),
    ],
)
def test_calls_that_lead_nowhere_are_one_message(graphs: tuple[Graph, ...], text: str) -> None:
    with pytest.raises(FileError, match=f"not a TFLite model: {text}"):
        read_tflite(file_of(*graphs), "x.tflite")


def test_what_does_not_run_in_a_branch_is_told() -> None:
    whole = read_tflite(file_of(BRANCHING, ADDS, Graph(
        [((1, 8), "FLOAT32"), ((1, 8), "FLOAT16"), ((1, 8), "FLOAT32")],
        [Op("DEQUANTIZE", [1], [2], options("Dequantize"))], [0, 1], [2],
    )))  # fmt: skip
    (refusal,) = estimate_graph(whole, 1).refusals
    assert refusal.startswith("DEQUANTIZE (operator 0 of subgraph 2) takes float16")
