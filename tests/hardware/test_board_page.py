"""The page that shows how to write a board says what the file wants."""

from __future__ import annotations

import re

import pytest

from dse._util.strict_yaml import parse
from dse.errors import FileError
from dse.hardware.boards import Board
from dse.hardware.builds import CORES, list_builds
from tests.helpers.paths import ROOT

PAGE = (ROOT / "docs" / "boards.md").read_text(encoding="utf-8")


def template() -> str:
    """The board in the page."""
    found = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def test_the_template_is_a_board_and_leaves_what_the_page_says() -> None:
    document = parse(template(), "my_board.yaml")
    board = document.check(Board, document.value)
    assert f"board {board.name}: arena 208.0 KiB, model {board.model_bytes:,} bytes" in PAGE
    assert board.arena_bytes == 208 * 1024


def test_it_names_every_key_core_and_build() -> None:
    keys = set(Board.model_fields) - {"runtime"}  # of old files
    assert keys <= set(re.findall(r"\w+", PAGE))
    said = re.search(r"`core` is one of: (.*?)\. It", PAGE, re.DOTALL)
    assert said
    assert set(re.split(r",\s+", said[1])) == set(CORES)
    builds = {path.stem for path in list_builds()}
    named = {name for group in re.findall(r"`\[(.*?)\]`", PAGE) for name in group.split(", ")}
    assert named <= builds


def test_a_core_that_is_not_known_is_no_plain_one() -> None:
    """Its kernels might ask for more than was said."""
    for core, hint in (("cortexm4", "did you mean 'cortex-m4'?"), ("xtensa-lx7", "known: cortex-a53")):
        document = parse(template().replace("cortex-m4", core), "my_board.yaml")
        with pytest.raises(FileError, match=rf"my_board.yaml:3: core: unknown core '{core}'") as caught:
            document.check(Board, document.value)
        assert hint in str(caught.value)
