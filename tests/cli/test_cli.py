"""The command line as a person meets it: help, results, and mistakes in one message."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from click.testing import CliRunner

from dse._util.units import bytes_text
from dse.cli import COMMANDS, cli
from dse.cost.report import estimate
from dse.hardware.boards import list_boards, load_board
from dse.network.candidate import Candidate, load_candidate
from dse.search.settings import Settings
from dse.space.space import load_space
from tests.helpers.boards import engine_board
from tests.helpers.networks import family_space, only_candidate
from tests.helpers.one_operator import called, one_operator
from tests.helpers.paths import MODELS, README
from tests.helpers.searches import TINY


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
    lines = README.read_text(encoding="utf-8").splitlines()
    readme = "\n".join(line for line in lines if "pip install" not in line)  # which has options of its own
    shown = {word.strip("`,.)(") for word in readme.split() if word.strip("`(").startswith("--")}
    known = set()
    for name in [*COMMANDS, "data get"]:
        known |= {w.strip(",[]") for w in CliRunner().invoke(cli, [*name.split(), "--help"]).output.split()}
    assert shown <= known


@pytest.mark.process
@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["serch"], "unknown command 'serch', did you mean 'search'?", 2),
        (["search"], "Missing option '--space'", 2),
        (["search", "--space", "cmv3", "--board", "zx81"], "unknown board 'zx81'; known: bluebox2, ", 2),
        (["search", "--space", "cmv3", "--board", "nano33bel"], "did you mean 'nano33ble'?", 2),
        (["search", "--space", "cmv3"], "give a --board (dse list boards), or a limit such as --max-memory", 2),
        (["search", "--space", "cmv3", "--board", "nano33ble", "--explorer", "optuna:tpee"], "did you mean 'optuna:tpe'", 2),
        (["search", "--space", "cmv3", "--board", "nano33ble", "--max-params", "many"], "--max-params: 'many' is no amount", 2),
        (["search", "--space", "cmv3", "--board", "nano33ble", "--max-params", "50KiB"], "--max-params: '50KiB' is no amount; expected a number such as 200000, 200k or 1.5M", 2),
        (["search", "--space", "cmv3", "--board", "nano33ble", "--max-params", "0"], "'0' is no amount", 2),
        (["search", "--space", "cmv3", "--board", "nano33ble", "--out", "/dev/null"], "dse: /dev/null", 2),
        (["check", "x" * 5000], "File name too long", 2),
        (["search", "--space", "cmv3", "--board", "nano33ble", "--timeout", "soon"], "'soon' is no duration", 2),
        (["search", "--space", "cmv3", "--board", "nano33ble", "--task", "cifar11"], "did you mean 'cifar10'", 2),
        (["search", "--space", "cmv3", "--board", "nano33ble", "--data", "/nowhere"], "/nowhere: neither cifar-10-batches-bin nor", 2),
        (["search", "--space", "cmv3", "--board", "nano33ble", "--max-memory", "1KiB"], "arena_bytes is the binding limit (1,024", 3),
        (["front", "/nowhere"], "this is no run", 2),
        (["export", "/nowhere"], "give --front, --trial N, or --check", 2),
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


@pytest.mark.process
@pytest.mark.smoke
def test_check_says_what_is_right_and_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(TINY)
    done = dse("check", "mine.yaml", "cmv3.yaml", "imxrt1060", "cifar10", cwd=tmp_path)
    assert "mine.yaml: space tiny: 3 open values, 12 combinations" in done.stdout
    assert "imxrt1060: board imxrt1060: arena" in done.stdout
    assert "cifar10: task cifar10: accuracy, params, macs, arena_bytes" in done.stdout
    (tmp_path / "mine.yaml").write_text(TINY.replace("training: {", "training: {pretrained: big.keras, "))
    assert dse("check", "mine.yaml", cwd=tmp_path).stdout.endswith("12 combinations; not there: big.keras\n")
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
    reports = [json.loads(line) for line in CliRunner().invoke(cli, [*arguments, "--json"]).output.splitlines()]
    assert [report["board"] for report in reports] == ["nano33ble", "fs32k142"]
    report = reports[0]
    expected = json.loads(json.dumps(estimate(candidate.network).on(load_board("nano33ble").library()).to_dict()))
    assert {key: report[key] for key in expected} == expected
    text = CliRunner().invoke(cli, arguments).output
    assert f"{report['params']:,}" in text
    assert "arena:" in text


def test_cost_of_a_model_file() -> None:
    """ResNet8 of MLPerf Tiny: 12,501,632 MACs and 98,496 bytes as published; 49,152 bytes of head as TFLM takes them."""
    path = str(MODELS / "mlperf_resnet8.tflite")
    arguments = ["cost", path, "--board", "nano33ble", "--board", "fs32k142", "--json"]
    lines = CliRunner().invoke(cli, [*arguments, "--build", "tflm"]).output
    nano, small = (json.loads(line) for line in lines.splitlines())
    # With the kernels of CMSIS-NN there is a window of 3x3x16 more, twice and in 16 bits, where most is alive.
    on_cmsis = json.loads(CliRunner().invoke(cli, arguments).output.splitlines()[0])
    assert (on_cmsis["build"], on_cmsis["arena_head_bytes"]) == ("tflm-cmsis-nn", 49_152 + 4 * 9 * 16)
    wanted = {"params": 77_706, "macs": 12_501_632, "arena_head_bytes": 49_152, "flash_bytes": 98_496}
    assert {key: nano[key] for key in wanted} == wanted
    assert nano["operators"] == {
        "ADD": 3, "AVERAGE_POOL_2D": 1, "CONV_2D": 9, "FULLY_CONNECTED": 1, "RESHAPE": 1, "SOFTMAX": 1,
    }  # fmt: skip
    assert nano["arena_tail_bytes"] < nano["arena_tail_bytes_host"] == 6_832
    assert (nano["fits"], nano["over_by"]) == (True, {"arena_bytes": 0, "flash_bytes": 0})
    board = load_board("fs32k142")
    over = small["arena_bytes"] - board.arena_bytes
    assert 0 <= small["arena_bytes"] - 49_152 - small["arena_tail_bytes"] < 16
    assert (small["fits"], small["over_by"]) == (False, {"arena_bytes": over, "flash_bytes": 0})
    assert nano["latency_ms"]["low"] < nano["latency_ms"]["high"]
    assert nano["latency_ms"]["runtime"] == "tflm"
    first = CliRunner().invoke(cli, ["cost", path, "--board", "nano33ble", "--build", "vendor", "--json"]).output
    assert json.loads(first)["latency_ms"]["runtime"] == "vendor"
    text = CliRunner().invoke(cli, ["cost", path, "--board", "fs32k142", "--build", "tflm"]).output
    assert f"does not fit: arena {bytes_text(over)} too much" in text
    assert "peak:" in text
    assert "modelled" in text


@pytest.mark.process
def test_cost_of_what_is_no_model(tmp_path: Path) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes((MODELS / "mlperf_resnet8.tflite").read_bytes()[:40_000])
    done = dse("cost", str(broken))
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"dse: \S+broken.tflite: not a TFLite model: .*\n", done.stderr)
    unknown = tmp_path / "unknown.tflite"
    for kind, text in (
        ("EMBEDDING_LOOKUP", "dse cannot price EMBEDDING_LOOKUP, which TFLM has"),
        ("TILE", "TFLM has no operator TILE"),
    ):
        unknown.write_bytes(called(one_operator("ABS"), kind))
        done = dse("cost", str(unknown))
        assert done.returncode == 2
        assert f"unknown.tflite: {text}" in done.stderr


@pytest.mark.process
def test_names_from_a_file_or_a_path_are_only_names(tmp_path: Path) -> None:
    """No markup of the table, no control characters for the terminal."""
    folder = tmp_path / "[red]x[/blue]"
    folder.mkdir(parents=True)
    model = schema.ModelT.InitFromPackedBuf((MODELS / "colabnas_vww_k2c3.tflite").read_bytes())
    for tensor in model.subgraphs[0].tensors:
        tensor.name = b"[/red]\x1b[31mevil\r\nfits everywhere"
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    (folder / "model.tflite").write_bytes(bytes(builder.Output()))
    done = dse("cost", str(folder / "model.tflite"))
    assert done.returncode == 0, done.stderr
    assert "[red]x[/blue]" in done.stdout
    assert "\x1b" not in done.stdout
    assert "[/red]?[31mevil??fits everywhere" in done.stdout


@pytest.mark.keras
@pytest.mark.process
def test_cost_of_a_keras_file(tmp_path: Path) -> None:
    """What it costs is what the network that it came from costs."""
    from dse.quantization.timing import with_plausible_weights
    from dse.training.model import build_model

    network = only_candidate(family_space("bneck", "{expansion: 2}")).network
    path = tmp_path / "model.keras"
    with_plausible_weights(build_model(network)).save(path)
    done = dse("cost", str(path), "--board", "nano33ble", "--json")
    assert done.returncode == 0, done.stderr
    report, expected = json.loads(done.stdout), estimate(network)
    assert report["macs"] == expected.macs
    assert report["operators"] == expected.operators
    assert report["arena_head_bytes"] == expected.arena_head_bytes
    path.write_bytes(b"PK no archive at all")
    done = dse("cost", str(path))
    assert done.returncode == 2
    assert "not a Keras model" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.process
def test_screen(tmp_path: Path) -> None:
    arguments = ["screen", "--space", "mixed", "--board", "fs32k142", "--board", "nano33ble", "--max-macs", "5M"]
    arguments += ["--count", "4500", "--out", str(tmp_path / "one"), "--json"]
    done = dse(*arguments, "--workers", "2")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    # The same figures from one process, and the same again in the file.
    again = json.loads(dse(*arguments, "--workers", "1").stdout)
    assert figures == again == json.loads((tmp_path / "one" / "screen.json").read_text())
    for name in ("screen.html", "screen.png"):
        assert (tmp_path / "one" / name).stat().st_size > 10_000
    small, nano = figures["boards"]["fs32k142"], figures["boards"]["nano33ble"]
    assert nano["limits"] == {"arena_bytes": 212_992, "flash_bytes": 800_000, "macs": 5_000_000}
    for fit in (small, nano):
        assert fit["share"] + sum(fit["binds"].values()) == pytest.approx(1)
        assert all(fit["binds"][name] <= fit["breaks"][name] for name in fit["limits"])
        best = estimate(Candidate.from_dict(fit["candidate"]).network)
        assert best.macs == fit["most_macs"] <= 5_000_000
        assert best.arena_bytes <= fit["limits"]["arena_bytes"]
    assert small["share"] < nano["share"]
    spread = figures["spread"]["arena_bytes"]
    assert spread["p0"] < spread["p50"] < spread["p100"]
    text = dse(*arguments[:-1]).stdout
    assert re.search(r"fs32k142: \d+\.\d\d% fit", text)


@pytest.mark.process
def test_a_board_without_an_interpreter(tmp_path: Path) -> None:
    """cost and screen hold its memory against what an engine takes that works in place."""
    board = str(engine_board(tmp_path))
    model = str(MODELS / "mlperf_resnet8.tflite")
    body = json.loads(CliRunner().invoke(cli, ["cost", model, "--board", board, "--json"]).output)
    # Two tensors of 32x32x16 and the first residual's third; columns of 3x3x64; 64 kernels of 3x3x64.
    assert body["inplace_bytes"] == 3 * 16_384 + 4 * 576 + 2 * 64 * 576
    assert body["left"] == {"flash_bytes": 800_000 - 98_496, "inplace_bytes": 212_992 - body["inplace_bytes"]}
    assert body["latency_ms"]["runtime"] == "vendor"
    lines = CliRunner().invoke(cli, ["cost", model, "--board", "nano33ble", "--build", "tinyengine"]).output
    size = bytes_text(body["inplace_bytes"])
    assert f"in place: {size} with depthwise convolutions in place, {size} with each bottleneck as" in lines
    assert f"memory in place {bytes_text(body['left']['inplace_bytes'])} left" in lines
    arguments = ["screen", "--space", "mixed", "--board", board, "--board", "nano33ble", "--max-memory", "24KiB"]
    done = dse(*arguments, "--count", "600", "--workers", "1", "--out", str(tmp_path / "out"), "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["boards"]["mine"]["limits"] == {"flash_bytes": 800_000, "inplace_bytes": 24_576}
    assert figures["boards"]["nano33ble"]["limits"] == {"arena_bytes": 24_576, "flash_bytes": 800_000}
    assert figures["spread"]["inplace_bytes"]["p50"] < figures["spread"]["arena_bytes"]["p50"]
    assert figures["boards"]["mine"]["share"] > figures["boards"]["nano33ble"]["share"] > 0
    best = estimate(Candidate.from_dict(figures["boards"]["mine"]["candidate"]).network)
    assert best.inplace_bytes <= 24_576
    assert (tmp_path / "out" / "screen.png").stat().st_size > 10_000


def test_a_model_on_every_board() -> None:
    """One table: what fits first, and of that the board of whose memory it makes most use."""
    model = str(MODELS / "mlperf_resnet8.tflite")
    lines = CliRunner().invoke(cli, ["cost", model, "--board", "all"]).output.splitlines()
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]
    rows = rows[-len(list(list_boards())) :]
    boards = {row[0]: row for row in rows}
    assert set(boards) == {path.stem for path in list_boards()}
    assert (boards["nano33ble"][1:4], boards["fs32k142"][1]) == (["yes", "tflm-cmsis-nn", "26%"], "no")
    shares = [int(row[3].rstrip("%")) for row in rows if row[1] == "yes"]
    assert shares == sorted(shares, reverse=True)
    bodies = CliRunner().invoke(cli, ["cost", model, "--board", "all", "--json"]).output.splitlines()
    assert {json.loads(line)["board"] for line in bodies} == set(boards)


def test_boards_are_found_by_name_core_and_room() -> None:
    def names(*arguments: str) -> list[str]:
        done = CliRunner().invoke(cli, ["boards", *arguments, "--json"])
        assert done.exit_code == 0, done.output
        return [row["name"] for row in json.loads(done.output)]

    assert len(names()) == len(list(list_boards()))
    assert {"esp32-s3", "xiao-esp32s3"} <= set(names("ESP32-S3"))
    assert all(load_board(name).core == "cortex-m55" for name in names("--core", "M55"))
    roomy = names("--min-memory", "1MiB", "--min-flash", "4MB")
    assert roomy
    assert all(load_board(name).arena_bytes >= 1 << 20 and load_board(name).model_bytes >= 4e6 for name in roomy)
    assert "Nordic nRF52840 DK" in CliRunner().invoke(cli, ["boards", "nrf52840"]).output
    assert "no board that ships with dse is like that" in str(CliRunner().invoke(cli, ["boards", "zx81"]).exception)


def test_cost_of_a_space() -> None:
    body = json.loads(CliRunner().invoke(cli, ["cost", "mixed", "--board", "nano33ble", "--json"]).output)
    assert body["params"]["smallest"] < body["params"]["median"] < body["params"]["largest"]
    assert 0.5 < body["fits"]["nano33ble"] <= 1


def test_the_options_of_workers_reach_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def stopped(settings: Settings, observer: object) -> None:
        asked.append((settings.threads, settings.trial_timeout, settings.worker_memory))
        raise KeyboardInterrupt

    monkeypatch.setattr("dse.search.loop.search", stopped)
    arguments = ["search", "--space", "mixed", "--board", "nano33ble"]
    limits = ["--threads", "4", "--trial-timeout", "20m", "--worker-memory", "3GiB"]
    for given in (arguments, arguments + limits):
        assert CliRunner().invoke(cli, given).exit_code == 130
    assert asked == [(None, None, None), (4, 1200.0, 3 * 2**30)]


def test_list_names_what_is_shipped() -> None:
    output = CliRunner().invoke(cli, ["list"]).output
    for name in ("cmv3", "mixed", "imxrt1060", "cifar10", "bneck", "shuffle", "optuna:nsga2"):
        assert f"  {name} " in output


@pytest.mark.process
def test_the_main_job_from_an_empty_folder(tmp_path: Path) -> None:
    """search, front, plot, export: what the README promises, on the bundled sample, at its smallest."""
    (tmp_path / "tiny.yaml").write_text(TINY.replace("training: {", "training: {epochs: 50, "))  # --epochs goes first
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

    assert "published by others" not in page
    assert dse("plot", str(run), "--reference").returncode == 0
    assert "published by others" in (run / "plots" / "front.html").read_text(encoding="utf-8")

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

    # Every bundle again, from its files alone.
    checked = dse("export", str(run), "--check", "--data", "sample")
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.count("every figure is as reported") == len(front)

    # One run, read for boards that the search did not know: latency of each, and nothing where nothing fits.
    boards = ("--board", "nano33ble", "--board", "bluebox2")
    rows = json.loads(dse("front", str(run), *boards, "--json").stdout)
    assert {row["board"] for row in rows} == {"nano33ble", "bluebox2"}
    assert all(row["latency_ms"] for row in rows if row["board"] == "nano33ble")
    assert not any(row["latency_ms"] for row in rows if row["board"] == "bluebox2")
    assert {row["id"] for row in rows if row["board"] == "bluebox2"} == {row["id"] for row in front}
    tiny = tmp_path / "tiny-board.yaml"  # the same with 100 bytes of SRAM that a model may use
    source = next(path for path in list_boards() if path.stem == "fs32k142").read_text()
    tiny.write_text(source.replace("name: fs32k142", "name: tiny").replace("value: 12288", "value: 32668"))
    assert "no complete trial fits tiny" in dse("front", str(run), "--board", str(tiny)).stdout
    assert "latency (tflm-cmsis-nn)" in dse("front", str(run), *boards).stdout

    engine = ("--board", str(engine_board(tmp_path)))
    rows = json.loads(dse("front", str(run), *engine, "--json").stdout)
    assert rows
    # Not always less than TFLM's: what 3x3 convolutions are written out in counts too.
    for row in rows:
        cost = estimate(load_candidate(run / "models" / row["id"] / "candidate.json").network)
        assert (row["inplace_bytes"], row["arena_bytes"]) == (cost.inplace_bytes, cost.arena_bytes)
        assert 0 < cost.inplace_bytes != cost.arena_bytes
    text = dse("front", str(run), *engine).stdout
    assert "in place" in text
    assert "latency (tinyengine)" in text
    assert "inplace_bytes" in text.partition("trial")[0]  # what the front is a trade against

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
