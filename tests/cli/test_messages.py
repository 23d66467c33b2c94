"""The library speaks of parameters, the command line of options."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from dse.cli import cli
from dse.cli.messages import all_options, with_options
from dse.errors import PARAMETER, RunError
from tests.helpers.paths import PACKAGE

LIBRARY = sorted(path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != "cli")
OPTION = re.compile(r"(?<![\w-])--[a-z]")
WHOLE_COMMAND = re.compile(r"\bdse [a-z]+[^`,;]*")
NOT_OURS = re.compile("--(require|max-old-space-size|trace-uncaught)")  # Node's
MARKDOWN = {"export/readme.py"}  # backticks are its own


def texts(path: Path, docstrings: bool) -> Iterator[str]:
    """The string literals of a file, those of an f-string in one piece; without docstrings unless they are asked for."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "..." for part in node.values)
        elif isinstance(node, ast.Constant) and id(node) not in inner and (docstrings or id(node) not in docs):
            yield from [node.value] if isinstance(node.value, str) else []


def named(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", LIBRARY, ids=named)
def test_no_library_text_names_an_option(path: Path) -> None:
    """But for a whole command that a person may give, such as `dse export . --check`."""
    found = [NOT_OURS.sub("", WHOLE_COMMAND.sub("", text)) for text in texts(path, docstrings=True)]
    assert [text for text in found if OPTION.search(text)] == []


def test_every_parameter_that_a_message_names_is_an_option() -> None:
    names = {
        match[1]
        for path in LIBRARY
        if named(path) not in MARKDOWN
        for text in texts(path, docstrings=False)
        for match in PARAMETER.finditer(text)
    }
    assert {f"--{name.replace('_', '-')}" for name in names} <= all_options()
    assert names >= {"data", "explorer", "grid", "out", "qat", "storage", "task", "trial_timeout", "worker_memory"}


def test_backticks_of_others_stay() -> None:
    assert with_options("the argument `shape` of `Dense`") == "the argument `shape` of `Dense`"


def test_the_command_line_names_the_option(tmp_path: Path) -> None:
    (tmp_path / "study.db").touch()
    arguments = ["--space", "cmv3", "--board", "nano33ble", "--data", "sample", "--out", str(tmp_path)]
    done = CliRunner().invoke(cli, ["search", *arguments])
    assert isinstance(done.exception, RunError)
    assert str(done.exception) == f"{tmp_path}: there is a study.db but no run.yaml; choose another --out"
