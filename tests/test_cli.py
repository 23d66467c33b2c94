"""The command line as a person meets it: help, results, and mistakes in one message."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dse.candidate import Candidate
from dse.cli import COMMANDS, cli
from dse.cost import estimate
from dse.space import load_space
from tests.test_run import TINY


def dse(*arguments: str, cwd: Path | None = None, timeout: int = 300) -> subprocess.CompletedProcess[str]:
    """The console script in a process of its own."""
    program = [sys.executable, "-c", "from dse.cli import main; main()", *arguments]
    return subprocess.run(program, capture_output=True, text=True, cwd=cwd, timeout=timeout)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert "Example:" in result.output
    assert f"dse {name}" in result.output.split("Example:")[1]


def test_the_readme_and_the_help_know_the_same_options() -> None:
    """Every option that the README shows exists."""
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    shown = {word.strip("`,.)(") for word in readme.split() if word.strip("`(").startswith("--")}
    known = set()
    for name in [*COMMANDS, "data get"]:
        known |= {w.strip(",[]") for w in CliRunner().invoke(cli, [*name.split(), "--help"]).output.split()}
    assert shown <= known


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["serch"], "unknown command 'serch', did you mean 'search'?", 2),
        (["search"], "Missing option '--space'", 2),
        (["search", "--space", "cmv3", "--board", "zx81"], "unknown board 'zx81'; known: bluebox2, frdm-k64f", 2),
        (["search", "--space", "cmv3", "--board", "nano33bel"], "did you mean 'nano33ble'?", 2),
        (["search", "--space", "cmv3"], "give a --board (dse list boards), or a limit such as --max-memory", 2),
        (["search", "--space", "cmv3", "--board", "nano33ble", "--explorer", "optuna:nsga"], "did you mean 'optuna:nsga2'", 2),
        (["search", "--space", "cmv3", "--board", "nano33ble", "--max-params", "many"], "'many' is no amount", 2),
        (["search", "--space", "cmv3", "--board", "nano33ble", "--max-params", "0"], "'0' is no amount", 2),
        (["search", "--space", "cmv3", "--board", "nano33ble", "--out", "/dev/null"], "dse: /dev/null", 2),
        (["check", "x" * 5000], "File name too long", 2),
        (["search", "--space", "cmv3", "--board", "nano33ble", "--timeout", "soon"], "'soon' is no duration", 2),
        (["search", "--space", "cmv3", "--board", "nano33ble", "--task", "cifar11"], "did you mean 'cifar10'", 2),
        (["search", "--space", "cmv3", "--board", "nano33ble", "--data", "/nowhere"], "/nowhere: neither cifar-10-batches-bin nor", 2),
        (["search", "--space", "cmv3", "--board", "nano33ble", "--max-memory", "1KiB"], "arena_bytes is the binding limit (1,024", 3),
        (["front", "/nowhere"], "this is no run", 2),
        (["export", "/nowhere"], "give --front, or --trial N", 2),
        (["cost", "nothing.json"], "nothing.json: cannot be read", 2),
        (["check", "nothing"], "unknown space 'nothing'", 2),
        (["data", "get", "cifar11"], "did you mean 'cifar10'", 2),
    ],
)  # fmt: skip
def test_a_mistake_is_one_message(arguments: list[str], message: str, code: int, tmp_path: Path) -> None:
    done = dse(*arguments, cwd=tmp_path)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == code
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())


def test_check_says_what_is_right_and_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(TINY)
    done = dse("check", "mine.yaml", "cmv3.yaml", "imxrt1060", "cifar10", cwd=tmp_path)
    assert "mine.yaml: space tiny: 3 open values, 12 combinations" in done.stdout
    assert "imxrt1060: board imxrt1060: arena" in done.stdout
    assert "cifar10: task cifar10: accuracy, params, macs, arena_bytes" in done.stdout
    (tmp_path / "mine.yaml").write_text(TINY.replace("kernel", "kernal"))
    done = dse("check", "mine.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("dse: mine.yaml:8: stages[0].kernal: unknown key 'kernal', did you mean 'kernel'?")


def test_sample_and_cost_agree_with_the_library(tmp_path: Path) -> None:
    sampled = CliRunner().invoke(cli, ["sample", "cmv3", "-n", "2", "--seed", "7"]).output.splitlines()
    rng = np.random.default_rng(7)
    space = load_space("cmv3")
    assert [Candidate.from_json(line).id for line in sampled] == [space.sample(rng)[1].id for _ in range(2)]
    file = tmp_path / "candidate.json"
    file.write_text(sampled[0])
    candidate = Candidate.from_json(sampled[0])
    arguments = ["cost", str(file), "--board", "nano33ble", "--board", "fs32k142"]
    report = json.loads(CliRunner().invoke(cli, [*arguments, "--json"]).output)
    assert {key: report[key] for key in estimate(candidate.network).to_dict()} == estimate(candidate.network).to_dict()
    assert set(report["boards"]) == {"nano33ble", "fs32k142"}
    text = CliRunner().invoke(cli, arguments).output
    assert f"{report['params']:,}" in text
    assert "arena:" in text


def test_cost_of_a_space() -> None:
    body = json.loads(CliRunner().invoke(cli, ["cost", "mixed", "--board", "nano33ble", "--json"]).output)
    assert body["params"]["smallest"] < body["params"]["median"] < body["params"]["largest"]
    assert 0.5 < body["fits"]["nano33ble"] <= 1


def test_list_names_what_is_shipped() -> None:
    output = CliRunner().invoke(cli, ["list"]).output
    for name in ("cmv3", "mixed", "imxrt1060", "cifar10", "bneck", "shuffle", "optuna:nsga2"):
        assert f"  {name} " in output


def test_the_main_job_from_an_empty_folder(tmp_path: Path) -> None:
    """search, front, plot, export: what the README promises, on the bundled sample, at its smallest."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    arguments = ["search", "--space", "tiny.yaml", "--board", "imxrt1060", "--trials", "3", "--epochs", "1"]
    done = dse(*arguments, "--workers", "0", "--test-images", "100", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "results" / "tiny-imxrt1060"
    assert "data: bundled sample of CIFAR-10" in done.stderr
    assert "validation" in done.stderr
    assert "3/3 done" in done.stderr
    assert "bundle:" in done.stdout
    assert "WARNING" not in done.stderr

    front = json.loads(dse("front", str(run), "--json").stdout)
    wanted = {"trial", "id", "accuracy", "params", "macs", "arena_bytes", "flash_bytes"}
    assert front
    assert all(wanted <= set(row) for row in front)

    page = (run / "plots" / "front.html").read_text(encoding="utf-8")
    assert 'src="http' not in page  # plotly.js is inside
    assert (run / "plots" / "front.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"

    for row in front:
        bundle = run / "bundles" / row["id"]
        report = json.loads((bundle / "report.json").read_text(encoding="utf-8"))
        assert report["predicted"]["params"] == row["params"]
        assert report["measured"]["arena_head_bytes"] == report["predicted"]["arena_head_bytes"]
        assert report["measured"]["flash_bytes"] == (bundle / "model_int8.tflite").stat().st_size
        assert report["same_class_litert_and_tflm"] >= 0.99
        assert report["test_images"] == 100
        assert set(report["accuracy"]) == {"float", "litert_int8", "tflm_int8"}
        score = report["accuracy"]["tflm_int8"]
        assert score["low_95"] <= score["accuracy"] <= score["high_95"]
        assert report["fits"]["imxrt1060"]["fits"] is True
        assert "feed `pixel - 128`" in (bundle / "README.md").read_text(encoding="utf-8")

    # One trial by its number, for another board, and a number that is not there.
    number = str(front[0]["trial"])
    reports = dse(
        "export",
        str(run),
        "--trial",
        number,
        "--board",
        "fs32k142",
        "--test-images",
        "20",
        "--json",
        "--out",
        "other",
        cwd=tmp_path,
    )
    assert json.loads(reports.stdout)[0]["fits"].keys() == {"fs32k142"}
    missing = dse("export", str(run), "--trial", "999")
    assert missing.returncode == 2
    assert "no trial 999" in missing.stderr

    # The same command again trains nothing and exports nothing anew.
    again = dse(*arguments, "--workers", "0", "--test-images", "100", cwd=tmp_path)
    assert again.returncode == 0
    assert "converting" not in again.stderr
    assert "epoch" not in again.stderr
