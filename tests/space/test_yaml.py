"""YAML as people write it: what is taken, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from dse._util.strict_yaml import parse, show
from dse.cli.check_command import check
from dse.errors import DseError, FileError, FileErrors
from dse.hardware.figures import Figure


def _refusal(text: str) -> str:
    with pytest.raises(FileError) as caught:
        parse(text, "a.yaml")
    return str(caught.value)


def test_merge_keys_bring_what_is_not_given() -> None:
    document = parse("a: &a {x: 1, y: {z: 2}}\nb: &b {w: 5, x: 7}\nc:\n  x: 3\n  <<: [*a, *b]\n  y: 4\n", "a.yaml")
    assert document.value["c"] == {"x": 3, "y": 4, "w": 5}
    assert [document.line(("c", key)) for key in "xyw"] == [4, 6, 2]
    assert "a merge key (<<) wants an anchored mapping" in _refusal("a: &a 1\nb: {<<: *a}\n")


def test_merge_keys_do_not_blow_up() -> None:
    steps = "".join(f"k{i}: &k{i} {{<<: [{', '.join([f'*k{i - 1}'] * 9)}]}}\n" for i in range(1, 20))
    assert "more than 50000 values" in _refusal("k0: &k0 {a: 1}\n" + steps)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 010", "a.yaml:1: a: came 010, which YAML 1.1 takes for 8: write 8 or 10"),
        ("a: -010", "write -8 or 10"),
        ("a: 00", "came 00, which YAML 1.1 takes for 0: write 0"),
        ("a: 0_1", "came 0_1, which YAML 1.1 takes for 1: write 1"),
        ("a: 1:30", "a.yaml:1: a: came 1:30, which YAML 1.1 takes for 90: write 90"),
        ("a: x\nb: \0", "a.yaml:2: not valid YAML: the character U+0000 is not allowed"),
        ('"\\e[31mred": 1', "a.yaml:1: came '\\x1b[31mred', expected no control characters"),
        ('about: "\\e]0;title\\a"', "a.yaml:1: about: came '\\x1b]0;title\\x07', expected no control characters"),
    ],
)
def test_what_looks_like_something_else_is_refused(text: str, expected: str) -> None:
    assert expected in _refusal(text)


def test_mistakes_of_writing_are_told_together() -> None:
    told = _refusal("a: 1\na: 2\nb: 010\nc: [1:30, 2]\n").splitlines()
    assert [line.split(": ")[:2] for line in told] == [["a.yaml:2", "a"], ["a.yaml:3", "b"], ["a.yaml:4", "c[0]"]]


def test_what_is_repeated_is_looked_at_once() -> None:
    """Seconds, not hours: a long text that stands there a thousand times."""
    document = parse(f'a: &a "{"x" * 200_000}"\nb: [{", ".join(["*a"] * 1000)}]\n', "a.yaml")
    with pytest.raises(FileError, match="a.yaml:2: b: unknown key 'b'"):
        document.mapping((), document.value, ["a"])
    assert len(show(document.value)) == 80


def test_ordinary_numbers_and_texts_pass() -> None:
    text = 'a: [0, 10, -7, 0.5, 1e-3, 1_000, 0x10, "010", "1:30"]\nb: "a\\tb"\nc: |\n  two\n  lines\n'
    assert parse(text, "a.yaml").value["a"] == [0, 10, -7, 0.5, 1e-3, 1000, 16, "010", "1:30"]


class Part(BaseModel):
    """A model with a model inside."""

    model_config = ConfigDict(extra="forbid")
    clock: Figure
    size: Figure | None = None
    name: str


def test_a_model_tells_all_that_is_wrong_in_words_of_the_file() -> None:
    document = parse("clock: 240\nsize: {valu: 3, source: x}\n", "a.yaml")
    with pytest.raises(FileErrors) as caught:
        document.check(Part, document.value)
    assert str(caught.value).splitlines() == [
        "a.yaml:1: clock: came 240, expected {value: ..., source: ...}",
        "a.yaml:1: missing key 'name'",
        "a.yaml:2: size: missing key 'value'",
        "a.yaml:2: size.valu: unknown key 'valu', did you mean 'value'? known keys: value, source",
    ]


def test_a_file_that_is_not_there_is_no_unknown_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, expected in (
        ("nothere.yaml", "nothere.yaml: no such file; it should describe a space"),
        ("cmv4.yaml", "cmv4.yaml: no such file; did you mean the space 'cmv3'?"),
    ):
        with pytest.raises(DseError) as caught:
            check(name)
        assert str(caught.value) == expected
    assert check("cmv3.yaml").startswith("space cmv3")
