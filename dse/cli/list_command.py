"""dse list."""

from __future__ import annotations

import click

WHICH = """  In percent: how much of the best front of NAS-Bench-Macro each has found with 40 and with 160 trainings.
  Take bayes, for thousands of trials too; grid to have all of a small space; random to compare with."""
KINDS = ("spaces", "references", "boards", "builds", "tasks", "blocks", "explorers")


@click.command("list")
@click.argument("kind", type=click.Choice(KINDS), required=False)
def command(kind: str | None) -> None:
    """List the shipped spaces, reference networks, boards, what runs on them, tasks, blocks and explorers.

    \b
    Example:
      dse list boards
    """
    for one in [kind] if kind else KINDS:
        if not kind:
            click.echo(f"{one}:")
        for name, text in entries(one):
            click.echo(f"  {name:20} {text}")
        if one == "explorers":
            click.echo(WHICH)


def entries(kind: str) -> list[tuple[str, str]]:
    """Names with a line about each."""
    from dse._util.strict_yaml import load
    from dse._util.units import bytes_text
    from dse.hardware.boards import list_boards, load_board
    from dse.hardware.builds import list_builds, load_build
    from dse.network.blocks import BLOCKS
    from dse.search.explorers.names import EXPLORERS
    from dse.space.space import list_references, list_spaces
    from dse.tasks import list_tasks, load_task

    match kind:
        case "spaces":
            return [(file.stem, str(load(file).value.get("about", ""))) for file in list_spaces()]
        case "references":
            return [(file.stem, str(load(file).value.get("about", ""))) for file in list_references()]
        case "boards":
            boards = [load_board(str(file)) for file in list_boards()]
            return [
                (b.name, f"{b.title}: arena {bytes_text(b.arena_bytes)}, model {bytes_text(b.model_bytes)}")
                for b in boards
            ]
        case "builds":
            return [(one.name, one.title) for one in (load_build(str(file)) for file in list_builds())]
        case "tasks":
            return [(file.stem, load_task(str(file)).about) for file in list_tasks()]
        case "blocks":
            return [
                (name, f"{(block.__doc__ or '').splitlines()[0]} Keys: {', '.join(block.model_fields)}")
                for name, block in BLOCKS.items()
            ]
        case _:
            return [(name, f"{_found(name):9} {text}") for name, text in EXPLORERS.items()]


def _found(name: str) -> str:
    from dse.search.explorers.names import FOUND

    return "{:2} / {:2}".format(*FOUND[name]) if name in FOUND else ""
