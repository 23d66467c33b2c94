"""The command line: one short file per command, each imported only when it is called.

Results go to stdout, progress to stderr. A user's mistake is one message and exit code 2.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from dse.errors import DseError

COMMANDS = {
    "search": "Search a space for networks that fit a board.",
    "finish": "Convert and measure what a search without TensorFlow has trained.",
    "train": "Train one network, from fresh weights or others, with a teacher or not.",
    "prune": "Take channels or weights away from a trained network, and train what is left.",
    "front": "Show the Pareto front of a run.",
    "plot": "Draw the Pareto front of a run.",
    "ui": "Look at a run in a browser.",
    "export": "Write int8 TFLite bundles of trials.",
    "cost": "Show what a model file, a candidate or a space costs.",
    "compare": "Show two models side by side.",
    "show": "Show a network as the table that papers print.",
    "table": "Show what a space costs on a grid, such as its widths.",
    "screen": "Look at a whole space before anything is trained.",
    "simulate": "Try explorers on a table of trained networks, in place of trainings.",
    "reproduce": "Hold published figures of reference networks against ours.",
    "check": "Check spaces, tasks and boards.",
    "sample": "Draw random candidates of a space.",
    "boards": "List boards, and find those that have room.",
    "list": "List spaces, boards, tasks, blocks, explorers.",
    "data": "Get data sets.",
}


class LazyGroup(click.Group):
    """Commands by name; the module of one is imported when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = importlib.import_module(f"dse.cli.{name}_command").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from dse.errors import UnknownNameError

            raise UnknownNameError("command", args[0], COMMANDS)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command. What the library says of a parameter is said of its option."""
        try:
            return super().invoke(ctx)
        except DseError as error:
            from dse.cli.messages import with_options

            error.args = (with_options(str(error)),)
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="dse", prog_name="dse")
def cli() -> None:
    """Searches for neural networks that really fit a microcontroller.

    \b
    Example:
      dse search --space cmv3.yaml --board imxrt1060
    """


def main() -> None:
    """The console script: turns every error that a user can mend into one message."""
    try:
        code = cli.main(standalone_mode=False)
    except DseError as error:
        click.echo(f"dse: {error}", err=True)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("dse: stopped", err=True)
        code = 130
    except BrokenPipeError:
        code = 1
        sys.stderr.close()
    except ModuleNotFoundError as error:
        if not error.name or error.name.split(".")[0] in ("dse", *sys.stdlib_module_names):
            raise
        click.echo(f"dse: this needs the Python package {error.name.split('.')[0]}, which is not installed", err=True)
        code = 2
    except OSError as error:
        if error.filename is None:
            raise
        click.echo(f"dse: {str(error.filename)[:200]}: {error.strerror}", err=True)
        code = 2
    sys.exit(code if isinstance(code, int) else 0)
