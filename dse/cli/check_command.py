"""dse check."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import click


@click.command("check")
@click.argument("files", nargs=-1, required=True)
def command(files: tuple[str, ...]) -> None:
    """Check FILES: spaces, tasks, boards or build profiles, each told by its keys.

    Says all that is wrong with file, line and key; says what is right in one line each.

    \b
    Example:
      dse check cmv3.yaml my_board.yaml
    """
    from dse.errors import DseError

    wrong: list[DseError] = []
    for name in files:
        try:
            click.echo(f"{name}: {check(name)}")
        except DseError as error:
            wrong.append(error)
    if wrong:
        raise wrong[0] if len(wrong) == 1 else DseError("\n".join(map(str, wrong)))


def check(name: str) -> str:
    """One line about a file that is right. Raises DseError about one that is wrong."""
    from dse._util.shipped import shipped
    from dse._util.strict_yaml import load
    from dse._util.units import bytes_text
    from dse.hardware.boards import FOLDER, load_board
    from dse.hardware.builds import list_builds, load_build
    from dse.space.space import list_spaces, load_space
    from dse.tasks import load_task

    kind = "space"
    path = Path(name)
    if path.is_file():
        value = load(path).value
        keys = value if isinstance(value, dict) else {}
        marks = (
            ("task", "task"),
            ("sram_bytes", "board"),
            ("core", "board"),
            ("engine", "build"),
            ("kernels", "build"),
        )
        kind = next((kind for key, kind in marks if key in keys), "space")
    elif path.parent == Path():
        stem = path.name.removesuffix(".yaml")
        known = {"space": list_spaces(), "board": shipped(FOLDER), "build": list_builds()}
        kind = next((k for k, files in known.items() if stem in {f.stem for f in files}), "space")
        if kind == "space" and stem not in {f.stem for f in list_spaces()}:
            from dse.tasks import list_tasks

            kind = "task" if stem in {f.stem for f in list_tasks()} else "space"
    if kind == "task":
        task = load_task(name)
        missing = _missing([task.training.pretrained, task.training.teacher])
        return f"task {task.task}: {', '.join(task.objectives)}{missing}"
    if kind == "board":
        board = load_board(name)
        return f"board {board.name}: arena {bytes_text(board.arena_bytes)}, model {board.model_bytes:,} bytes"
    if kind == "build":
        build = load_build(name)
        return f"build {build.name}: {build.title}"
    space = load_space(name)
    size = space.size()
    count = "without end" if math.isinf(size) else f"{size:,.0f}" if size < 1e6 else f"{size:.1e}"
    impossible = f"; {space.impossible:.0%} of its candidates are no network at 32x32" if space.impossible else ""
    missing = _missing(space.sources())
    return f"space {space.name}: {len(space.domains)} open values, {count} combinations{impossible}{missing}"


def _missing(sources: Iterable[str]) -> str:
    """Trained networks that are not in their place on this machine, as the end of a line."""
    from dse.training.sources import IMAGENET

    names = [name for name in sources if name and name != IMAGENET and not Path(name).exists()]
    return f"; not there: {', '.join(names)}" if names else ""
