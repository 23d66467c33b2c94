"""dse data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import click

from dse.errors import DataError


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
@click.option("--coco", type=click.Path(path_type=Path), help="vww: the folder of COCO 2014, annotations and pictures.")
@click.option("--size", type=click.IntRange(8, 512), help="vww: pictures are kept at this size. [default: 128]")
@click.option("--balance", is_flag=True, help="vww: as many pictures with a person as without.")
@click.option(
    "--minival", type=click.Path(path_type=Path), help="vww: a file with the numbers of the pictures to test on."
)
@click.option("--by", type=click.Choice(["box", "mask"]), help="vww: whose area must be 0.5 % of it. [default: box]")
def get(name: str, source: str | None, **of_vww: Any) -> None:
    """Get NAME: cifar10, cifar100 by download or from what you have; vww out of COCO.

    CIFAR comes in the official binary layout: the download shows its progress, goes on where it stopped, and is checked
    against the published checksum. vww, Visual Wake Words, is made of COCO 2014: a person is in a picture when a box of
    one has at least 0.5 % of its area. The published split takes the pictures of mscoco_minival_ids.txt to test on
    (--minival) and all others to train on; without it, val2014 is the test set.

    \b
    Example:
      dse data get cifar10 --from ~/Downloads/cifar-10-binary.tar.gz
      dse data get vww --coco ~/coco --minival mscoco_minival_ids.txt
    """
    if name == "vww":
        _vww(source, **of_vww)
        return
    if any(of_vww.values()):
        raise click.UsageError("--coco, --size, --balance, --minival and --by are for vww")
    from dse.data.download import get_data

    click.echo(get_data(name, source))


def _vww(
    source: str | None,
    coco: Path | None,
    size: int | None,
    balance: bool,
    minival: Path | None,
    by: Literal["box", "mask"] | None,
) -> None:
    from dse.data.datasets import data_home
    from dse.data.vww import VwwSettings, build_vww, read_numbers

    target = data_home() / "vww"
    if target.is_dir():
        click.echo(target)
        if coco:
            raise DataError(f"{target} is there already; remove it to make it anew")
        return
    if source or not coco:
        raise DataError(
            "vww is made of COCO 2014: name its folder with --coco. A folder of images per class needs no preparation: "
            "name it with --data where the task is used"
        )
    numbers = read_numbers(minival) if minival else ()
    settings = VwwSettings(size or VwwSettings.size, by or VwwSettings.by, balance, numbers)
    target.parent.mkdir(parents=True, exist_ok=True)
    with click.progressbar(length=1, label="pictures", file=sys.stderr) as bar:

        def progress(done: int, total: int) -> None:
            bar.length = total
            bar.update(1)

        counts = build_vww(coco, target, settings, progress)
    for part, count in counts.items():
        click.echo(f"{part}: {count:,}", err=True)
    click.echo(target)
