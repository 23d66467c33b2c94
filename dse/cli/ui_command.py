"""dse ui."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import click


@click.command("ui")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Port on 127.0.0.1. [default: 8080, or the next that is free]"
)
def command(run: Path, port: int | None) -> None:
    """Look at RUN in a browser: Optuna's dashboard, on a search that is finished or still goes on.

    Only browsers on this machine reach it, it needs no internet, and it cannot change the run. Ctrl-C ends it.

    \b
    Example:
      dse ui results/cmv3-imxrt1060
    """
    import signal
    from types import FrameType

    from dse.dashboard import address, listen, serve
    from dse.run_folder import read_run

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    read_run(run)
    with listen(port) as listener:
        signal.signal(signal.SIGTERM, stop)
        click.echo(f"{run} is at {address(listener)} until you press Ctrl-C", err=True)
        serve(run, listener)
