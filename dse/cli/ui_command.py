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
@click.option(
    "--ui", type=click.Choice(["optuna", "nni"]), default="optuna", show_default=True, help="Whose pages: as in search."
)
def command(run: Path, port: int | None, ui: str) -> None:
    """Look at RUN in a browser, a search that is finished or still goes on.

    With Optuna's dashboard, or NNI's web UI. Only browsers on this machine reach it, and it cannot change the run.
    Ctrl-C ends it.

    \b
    Example:
      dse ui results/cmv3-imxrt1060
    """
    import signal
    from types import FrameType

    from dse._util.loopback import address, free_port, listen
    from dse.errors import RunError
    from dse.search.run_folder import read_run

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    read_run(run)
    signal.signal(signal.SIGTERM, stop)
    if ui == "nni":
        from dse.ui.nni.show import show

        show(run, free_port(port), lambda text: click.echo(text, err=True))
        raise RunError(f"{run}: NNI's web UI has ended")
    from dse.ui.dashboard import serve

    with listen(port) as listener:
        click.echo(f"{run} is at {address(listener)} until you press Ctrl-C", err=True)
        serve(run, listener)
