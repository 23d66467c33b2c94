"""Where tensors lie: nothing that is alive together overlaps, and heads are those of the report."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from click.testing import CliRunner

from dse.cli import cli
from dse.cost.report import estimate_graph
from dse.cost.tflm.plans import Placed, Plan, map_lines, plans_of
from dse.errors import DseError
from dse.hardware.boards import load_board
from dse.plots.arena import draw_figure, heading, write_arena_plot
from dse.tflite.reader import read_tflite
from tests.helpers.paths import MODELS, ROOT

# The export gave this one an offline plan, since TFLM's own takes a quarter more.
PLANNED = ROOT / "results" / "cifar10-mixed-nano33ble" / "bundles" / "2b84b36853e0" / "model_int8.tflite"


@pytest.mark.parametrize(
    "path", [*sorted(MODELS.glob("*.tflite")), PLANNED], ids=lambda path: path.parent.name + path.stem
)
@pytest.mark.parametrize("build", ["tflm", "tflm-cmsis-nn"])
def test_nothing_overlaps_what_is_alive_with_it(path: Path, build: str) -> None:
    content = path.read_bytes()
    graph = read_tflite(content)
    library = load_board("nano33ble").library(build)
    plans = plans_of(graph, library)
    assert [plan.title for plan in plans] == (["greedy", "offline"] if path == PLANNED else ["greedy"])
    report = estimate_graph(graph, len(content)).on(library)
    assert plans[-1].head_bytes == report.arena_head_bytes
    for plan in plans:
        for one, other in itertools.combinations(plan.placed, 2):
            together = one.first <= other.last and other.first <= one.last
            apart = one.offset + one.num_bytes <= other.offset or other.offset + other.num_bytes <= one.offset
            assert apart or not together
        at_peak = plan.alive(plan.peak_step)
        assert sum(one.num_bytes for one in at_peak) == plan.peak_bytes
        assert sorted((one.name, one.num_bytes) for one in at_peak) == sorted(report.peak_tensors)


SMALL = Plan(
    "greedy", (Placed("input a", -1, 0, 0, 32), Placed("ADD b", 0, 2, 32, 64), Placed("x", 2, 2, 0, 16)), 96, 0, 96
)


def test_a_map_in_text() -> None:
    assert map_lines(SMALL, height=6) == ["bbb", "bbb", "bbb", "bbb", "a··", "a·c", "^"]
    assert [len(line) for line in map_lines(SMALL, width=2, height=3)] == [2, 2, 2, 1]


def test_pictures_of_an_arena(tmp_path: Path) -> None:
    plans = plans_of(read_tflite(PLANNED.read_bytes()), load_board("nano33ble").library())
    for name, start in (("a.png", b"\x89PNG"), ("a.html", b"<!doctype html>")):
        write_arena_plot(tmp_path / name, plans, "a <b>")
        assert (tmp_path / name).read_bytes().startswith(start)
    figure = draw_figure(plans, "a <b>")
    assert [len(bars.y) for bars in figure.data] == [len(plan.placed) for plan in plans]
    assert figure.layout.title.text == "a &lt;b&gt;"
    assert "above the least" in heading(plans[0])
    assert "the least there is" in heading(plans[1])
    evil = Plan("greedy", (Placed("<script>\x1b", 0, 0, 0, 16),), 16, 0, 16)
    assert "&lt;script&gt;?<br>" in draw_figure([evil], "")["data"][0]["hovertext"][0]
    write_arena_plot(tmp_path / "B.PNG", plans, "")
    with pytest.raises(DseError, match=r"expected a file that ends with .html or .png"):
        write_arena_plot(tmp_path / "a.pdf", plans, "")


def test_the_command_draws_it(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    arguments = ["cost", str(PLANNED), "--board", "nano33ble", "--build", "tflm", "--arena", "--plot", str(picture)]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    assert "greedy plan: 10.0 KiB, 2.0 KiB above the least" in done.output
    assert "offline plan: 8.0 KiB, the least there is" in done.output
    assert picture.stat().st_size > 5_000
    refused = CliRunner().invoke(cli, ["cost", "mixed", "--plot", str(picture)])
    assert "--plot: mixed is a space of many networks" in str(refused.exception)
