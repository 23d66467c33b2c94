"""The shape of the code: few rooms, short files, and what the light commands may import.

Which package may import which stands in `pyproject.toml` and is checked by `make lint`.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from tests.helpers.paths import MODELS, PACKAGE

HEAVY = ("tensorflow", "keras", "ray", "optuna", "nni")
MODULES_BESIDE_PACKAGES = 5
ARROWS = 154  # ordered pairs of packages and modules at the top with an import between them
LINES = 420
LIBRARIES = ("optuna", "nni", "ray")
# Each says why it needs what its library does not promise, and has a test beside tests/search/test_*_internals.py.
INTERNALS = {"search/study/_optuna_internals.py", "search/workers/_ray_internals.py"}


def test_the_top_level_holds_packages() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= MODULES_BESIDE_PACKAGES


def test_few_arrows_lie_between_the_rooms() -> None:
    graph = grimp.build_graph("dse")
    rooms = {module: ".".join(module.split(".")[:2]) for module in graph.modules}
    arrows = {
        (rooms[module], rooms[other])
        for module in graph.modules
        for other in graph.find_modules_directly_imported_by(module)
        if rooms[module] != rooms[other]
    }
    assert len(rooms) > 150
    assert len(arrows) <= ARROWS


@pytest.mark.process
@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["list"],
        ["check", "cmv3.yaml", "nano33ble"],
        ["cost", "cmv3.yaml", "--board", "nano33ble"],
        ["cost", str(MODELS / "mlperf_resnet8.tflite"), "--board", "nano33ble"],
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


def test_files_stay_short() -> None:
    long = {path.name: n for path in PACKAGE.rglob("*.py") if (n := len(path.read_text("utf-8").splitlines())) > LINES}
    assert not long


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_names_of_libraries(text: str) -> list[str]:
    """Imports of a library's private modules and names; and, in files that import one, attributes with a private name
    that is not the file's own."""
    tree, found, imported = ast.parse(text), [], False
    own, read = set[str](), set[str]()
    for node in ast.walk(tree):
        names: list[str] = []
        match node:
            case ast.Import():
                names = [alias.name for alias in node.names]
            case ast.ImportFrom(module=str(module), level=0):
                names = [f"{module}.{alias.name}" for alias in node.names]
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                own.add(node.name)
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=attr, ctx=ast.Store()):
                own.add(attr)
            case ast.Attribute(attr=attr):
                read.add(attr)
            case ast.AnnAssign(target=ast.Name(id=attr)) | ast.Name(id=attr, ctx=ast.Store()):
                own.add(attr)
        of_libraries = [name for name in names if name.split(".")[0] in LIBRARIES]
        imported = imported or bool(of_libraries)
        found += [name for name in of_libraries if any(map(private, name.split(".")))]
    return found + sorted(name for name in read - own if imported and private(name))


def test_private_names_of_libraries_are_kept_in_one_file_each() -> None:
    files = {path.relative_to(PACKAGE).as_posix(): path for path in PACKAGE.rglob("*.py")}
    found = {name: private_names_of_libraries(path.read_text("utf-8")) for name, path in files.items()}
    assert {name: names for name, names in found.items() if names and name not in INTERNALS} == {}
    assert {name for name, names in found.items() if names} == INTERNALS
    assert len(files) > 150
    assert all((Path(__file__).parent / f"search/test{Path(name).stem}.py").is_file() for name in INTERNALS)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("from optuna.storages._rdb import models", ["optuna.storages._rdb.models"]),
        ("import ray._private.worker", ["ray._private.worker"]),
        ("from nni.experiment import launcher\nlauncher._check_rest_server = print", ["_check_rest_server"]),
        ("def f(e):\n    from nni.experiment import Experiment\n    e._proc.poll()", ["_proc"]),
        ("import optuna\nclass A(optuna.B):\n    def f(self):\n        self._mine, x = 1, self._theirs", ["_theirs"]),
        ("import optuna\nclass A:\n    def _f(self): return self._f() + x.__dict__", []),
        ("from optunas._x import a\na._b", []),
    ],
)
def test_what_is_found_as_private(text: str, names: list[str]) -> None:
    assert private_names_of_libraries(text) == names
