"""dse train."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from dse.cli.one_network import run_options, split_options, train_only
from dse.errors import DseError


@click.command("train")
@click.argument("what")
@click.option("--epochs", type=click.IntRange(min=1), help="Instead of the candidate's.")
@click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True), help="Instead of the candidate's.")
@click.option("--pretrained", help="Begin with these weights: a .keras file, a folder RUN/models/ID, or imagenet.")
@click.option(
    "--head-epochs",
    type=click.IntRange(min=0),
    help="With --pretrained: what is new is trained alone first, for so many epochs at most. [default: 10]",
)
@click.option("--teacher", help="Learn from this network: a .keras file, or a folder RUN/models/ID.")
@click.option("--teacher-weight", type=click.FloatRange(0, 1), help="Its share of the loss. [default: 0.7]")
@click.option(
    "--temperature", type=click.FloatRange(min=0, min_open=True), help="By which scores are softened. [default: 4]"
)
@run_options
def command(what: str, **given: Any) -> None:
    """Train one network, WHAT: a candidate (.json, or a folder RUN/models/ID), a reference network, or a space of one.

    What comes back is a run with one trial, for all commands that read runs. It is trained by its own settings, but for
    those given here; with a --task the classes are those of the task. Stopped or failed, it goes on when the same
    command is given again.

    \b
    Example:
      dse train results/big/models/0a1b2c3d4e5f --epochs 60 --out results/again
      dse train small.json --teacher results/big/models/0a1b2c3d4e5f
    """
    from dse.search.single import single_space
    from dse.training.sources import source_name

    asked_for = click.get_current_context().get_parameter_source("task") is ParameterSource.COMMANDLINE
    of_run, of_training = split_options(given)
    training = {name: value for name, value in of_training.items() if value is not None}
    training |= {name: source_name(training[name]) for name in ("pretrained", "teacher") if name in training}
    if "teacher" not in training and (training.keys() & {"teacher_weight", "temperature"}):
        raise DseError("--teacher-weight and --temperature go with a --teacher")
    if "head_epochs" in training and "pretrained" not in training:
        raise DseError("--head-epochs goes with --pretrained")
    space, classes = single_space(what, **training)
    train_only(space, classes=None if asked_for else classes, **of_run)
