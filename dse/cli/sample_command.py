"""dse sample."""

from __future__ import annotations

from contextlib import suppress

import click


@click.command("sample")
@click.argument("space")
@click.option("-n", "--count", type=click.IntRange(min=1), default=1, show_default=True, help="How many.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the draw.")
def command(space: str, count: int, seed: int) -> None:
    """Draw random candidates of SPACE, a JSON object per line.

    \b
    Example:
      dse sample cmv3.yaml -n 1 > candidate.json && dse cost candidate.json
    """
    import numpy as np

    from dse.errors import NetworkError
    from dse.space.space import load_space

    the_space, rng = load_space(space), np.random.default_rng(seed)
    while count:
        with suppress(NetworkError):  # not every combination has to be a network
            click.echo(the_space.sample(rng)[1].to_json())
            count -= 1
