"""The layers of the code, and what the light commands may import."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "dse"

# Lower layers first; a file imports only from its own layer and those below.
LAYERS = [
    {
        *("errors", "units", "domains", "explorer_names", "files", "statistics", "quiet", "loopback"),
        *("strict_yaml", "resources", "network", "training", "blocks", "candidate", "body", "space", "tasks", "cost"),
        *("pareto", "record", "proxy", "feasible", "summary", "choices", "screening", "screen_report", "references"),
        *("published", "quantities", "literature", "network_table", "grid", "checkpoint"),
        *("reference_points", "weight_source", "single", "channels", "pruning"),
        *("space_check", "flatbuffer", "tflite_file", "firmware"),
    },
    {
        *("images", "image_folder", "cifar", "datasets", "coco", "download", "build", "train", "convert", "rewrite"),
        *("keras_file", "weights", "fake_quant", "qat"),
        *("runtimes", "tflm_child", "pipeline", "layer_noise", "transfer", "distill", "recipe", "slicing", "sparse"),
        "timing",
    },
    {
        *("database", "samplers", "study", "scalar", "nni_tuners", "explorers"),
        *("workers", "ray_worker", "ray_pool", "frames", "run_folder", "run", "export", "golden_images", "scores"),
        *("bundle", "bundle_readme", "bundle_check", "measure"),
    },
    {"plots", "screen_plots", "grid_plot", "dashboard", "nni_ui", "cli", "__init__"},
]
HEAVY = ("tensorflow", "keras", "ray", "optuna", "nni")
# Of Optuna one file has the tables, one the samplers, one the study that both serve. As an explorer NNI is one file's; its
# web UI needs a file in each of two processes of its own.
FILES_OF = {
    "optuna": {"database.py", "samplers.py", "study.py"},
    "optuna_dashboard": {"dashboard.py"},
    "ray": {"ray_pool.py"},
    "nni": {"nni_tuners.py", "nni_ui/server.py", "nni_ui/advisor.py"},
}


def layer_of(path: Path) -> int:
    name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return next(index for index, names in enumerate(LAYERS) if name in names)


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


SOURCES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downward(path: Path) -> None:
    for name in imports(path):
        if name.startswith("dse.") and path.name != "__init__.py":
            target = PACKAGE / name.split(".")[1]
            exists = target.is_dir() or target.with_suffix(".py").is_file()
            assert not exists or layer_of(target.with_suffix(".py")) <= layer_of(path), f"{path.name} imports {name}"
    if layer_of(path) == 0 and path.name != "quiet.py":
        assert not {name.split(".")[0] for name in imports(path)} & set(HEAVY)


@pytest.mark.parametrize(("library", "homes"), FILES_OF.items())
def test_a_search_library_is_imported_by_its_files_only(library: str, homes: set[str]) -> None:
    users = {path for path in SOURCES if library in {name.split(".")[0] for name in imports(path)}}
    assert {str(path.relative_to(PACKAGE)) for path in users} == homes


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["list"],
        ["check", "cmv3.yaml", "nano33ble"],
        ["cost", "cmv3.yaml", "--board", "nano33ble"],
        ["cost", str(Path(__file__).parent / "models" / "mlperf_resnet8.tflite"), "--board", "nano33ble"],
    ],
)
def test_light_commands_import_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys\nfrom dse.cli import cli\n"
        f"cli.main({arguments!r}, standalone_mode=False)\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stderr


def test_help_is_quick() -> None:
    """Half a second is the promise; the best of three, because the machine may be busy."""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", "from dse.cli import cli; cli(['--help'])"], check=True, capture_output=True
        )
        times.append(time.perf_counter() - started)
    assert min(times) < 0.5


def test_files_stay_short() -> None:
    long = {path.name: n for path in SOURCES if (n := len(path.read_text(encoding="utf-8").splitlines())) > 420}
    assert not long
