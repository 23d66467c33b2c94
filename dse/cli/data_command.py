"""dse data."""

from __future__ import annotations

import click


@click.group("data")
def command() -> None:
    """Get data sets.

    \b
    Example:
      dse data get cifar10
    """


@command.command("get")
@click.argument("name")
@click.option("--from", "source", help="An archive, a folder in the official layout, or a folder of images per class.")
def get(name: str, source: str | None) -> None:
    """Get NAME (cifar10, cifar100) in the official binary layout, by download or from what you have.

    The download shows its progress, goes on where it stopped, and is checked against the published checksum.

    \b
    Example:
      dse data get cifar10 --from ~/Downloads/cifar-10-binary.tar.gz
    """
    from dse.download import get_data

    folder = get_data(name, source)
    click.echo(folder)
