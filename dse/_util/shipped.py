"""Where spaces, tasks and boards are found: a path first, then the files that ship with dse.

In a checkout the shipped files are the folders beside `dse/`; in an installed wheel they lie inside it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

from dse.errors import FileError, UnknownNameError

_INSTALLED = Path(__file__).parents[1] / "shipped"
_CHECKOUT = Path(__file__).parents[2]
_ALSO = {"search_spaces": "reference"}  # a subfolder whose files need not be named by it
_KINDS = {
    "search_spaces": "space",
    "objectives": "task",
    "objectives/boards": "board",
    "objectives/builds": "build profile",
}


def shipped_folder(folder: str) -> Path:
    """The folder of the shipped files, such as 'search_spaces'."""
    installed = _INSTALLED / folder
    return installed if installed.is_dir() else _CHECKOUT / folder


def shipped(folder: str) -> Iterator[Path]:
    """The shipped files of a folder, sorted by name."""
    return iter(sorted(shipped_folder(folder).glob("*.yaml")))


def find(folder: str, name: str) -> Path:
    """The file that `name` means: a path, or a shipped file in any case, with or without '.yaml', also of a subfolder.

    Raises UnknownNameError with the shipped names, or FileError for a path that is not there.
    """
    path = Path(name)
    if path.is_file():
        return path
    if not path.is_absolute() and ".." not in path.parts:
        stem = path.name.removesuffix(".yaml")
        known = {file.stem: file for file in shipped(f"{folder}/{path.parent}")}
        if path.parent == Path():
            known = {file.stem: file for file in shipped(f"{folder}/{_ALSO.get(folder)}")} | known
        by_any_case = {key.lower(): file for key, file in known.items()} | known
        if found := by_any_case.get(stem) or by_any_case.get(stem.lower()):
            return found
        if known and path.suffix not in (".yaml", ".yml"):
            raise UnknownNameError(_KINDS[folder], stem, known)
        if near := difflib.get_close_matches(stem, known, n=1):
            raise FileError(str(path), None, "", f"no such file; did you mean the {_KINDS[folder]} {near[0]!r}?")
    raise FileError(str(path), None, "", f"no such file; it should describe a {_KINDS[folder]}")
