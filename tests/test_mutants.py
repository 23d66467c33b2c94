"""The table of what is broken on purpose holds for the code as it is now. `make mutants` breaks it, and sees red."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT
from tools import mutants
from tools.mutants import Copy, Result, Row, load_rows, part_of, try_row, unbroken

ROWS = load_rows()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_a_row_can_be_applied(row: Row) -> None:
    """Its text is there once, what it becomes is Python, and the test that it names exists."""
    assert row.new != row.old
    changed = row.mutated()
    if row.file.endswith(".py"):
        compile(changed, row.file, "exec")
    for test in row.test:
        file, *names = test.partition("[")[0].split("::")
        text = (ROOT / file).read_text(encoding="utf-8")
        for name in names:
            assert f"def {name}(" in text or f"class {name}" in text, test


def test_no_row_comes_twice() -> None:
    assert len({row.what for row in ROWS}) == len({(row.file, row.old, row.new) for row in ROWS}) == len(ROWS)


def test_the_parts_make_the_whole() -> None:
    for count in (1, 4, 7):
        parts = [part_of(ROWS, f"{number}/{count}") for number in range(1, count + 1)]
        assert [row for part in parts for row in part] == ROWS
        assert len(parts[0]) == -(-len(ROWS) // count)


@pytest.mark.parametrize(("old", "count"), [("return a", 2), ("nowhere", 0)])
def test_a_text_that_does_not_stand_there_once_is_refused(old: str, count: int, tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("return a\nreturn a\n")
    with pytest.raises(
        ValueError, match=f"'a sum turned round': expected 'old' once in code.py, found it {count} times"
    ):
        Row("a sum turned round", "code.py", old, "").mutated(tmp_path)


@pytest.mark.parametrize("entry", ["test = 'a'\ncommand = 'b'", "", "test = 'a'\nlane = 'fast'", "tets = 'a'"])
def test_what_is_no_row_is_named(entry: str, tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(f"[[mutant]]\nwhat = 'w'\nfile = 'f'\nold = 'o'\nnew = 'n'\n{entry}\n")
    with pytest.raises(ValueError, match="'w': "):
        load_rows(tmp_path / "t.toml")


TESTS = """
import code_

def test_sum():
    assert code_.add(1, 2) == 3

def test_nothing():
    assert code_.add

def test_red():
    assert False

def test_skipped():
    import pytest
    pytest.skip("no reason")
"""


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copy:
    """A checkout of two files."""
    monkeypatch.setattr(Copy, "__init__", lambda self: None)
    made = Copy()  # type: ignore[call-arg]
    made.root = tmp_path
    made.environment = {
        "PYTHONPATH": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    (tmp_path / "code_.py").write_text("def add(a, b):\n    return a + b\n")
    (tmp_path / "test_code.py").write_text(TESTS)
    return made


@pytest.mark.process
@pytest.mark.parametrize(
    ("new", "test", "ended", "why"),
    [
        ("a - b", "test_code.py::test_sum", "red", "assert -1 == 3"),
        ("a - b", "test_code.py::test_nothing", "green", "1 passed"),
        ("a - b", "test_code.py::test_skipped", "skipped", "1 skipped"),
        ("a - b", "test_code.py::test_gone", "wrong", "exit code 4: "),
        ("a - c", "test_code.py::test_sum", "wrong", "exit code 1: NameError: name 'c'"),
        ("a -", "test_code.py::test_sum", "wrong", "exit code 4: "),
    ],
)
def test_red_counts_for_the_right_reason_only(new: str, test: str, ended: str, why: str, copy: Copy) -> None:
    result = try_row(Row("a sum turned round", "code_.py", "a + b", new, (test,)), copy)
    assert result.ended == ended
    assert why in result.why
    assert (copy.root / "code_.py").read_text() == "def add(a, b):\n    return a + b\n"


@pytest.mark.process
def test_a_test_that_is_red_anyway_shows_nothing(copy: Copy) -> None:
    rows = [Row(name, "code_.py", "a + b", "a", (f"test_code.py::{name}",)) for name in ("test_sum", "test_red")]
    assert list(unbroken(rows, copy)) == rows[1:]
    assert unbroken(rows[:1], copy) == {}


@pytest.mark.process
def test_a_command_in_place_of_a_test(copy: Copy) -> None:
    program = f"{sys.executable} -c 'import code_, sys; sys.exit(code_.add(1, 2) != 3)'"
    row = Row("a sum turned round", "code_.py", "a + b", "a - b", command=program)
    assert unbroken([row], copy) == {}
    assert try_row(row, copy).ended == "red"


def test_what_ran_is_known_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    monkeypatch.setattr(mutants, "STATE", tmp_path / ".mutants.json")
    (tmp_path / "code.py").write_text("1")
    red, green = (Row(what, "code.py", "1", "2", ("test.py",)) for what in ("one", "other"))
    state = mutants.State(["code.py"], anew=False)
    state.keep(red, Result("red", 1.0))
    state.keep(green, Result("green", 1.0))
    assert mutants.State(["code.py"], anew=False).of(red) == Result("red", 1.0)
    assert mutants.State(["code.py"], anew=False).of(green) is None  # it is tried again
    assert mutants.State(["code.py"], anew=True).of(red) is None
    (tmp_path / "code.py").write_text("11")
    assert mutants.State(["code.py"], anew=False).of(red) is None
