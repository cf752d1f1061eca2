"""The command line: a group that imports a command only when that command is called."""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from types import FrameType
from typing import NoReturn

import click

from dnaannot import __version__
from dnaannot.errors import DnaannotError, SettingsError, lacks_memory

COMMANDS: dict[str, str] = {
    "genes": "Predict protein-coding genes in genome sequences.",
    "tracks": "Predict accessibility, histone marks, CTCF and methylation.",
    "selfpretrain": "Train an encoder on your own sequence, without labels.",
    "train": "Train a model on your own genomes and annotations.",
    "evaluate": "Compare predictions with a reference.",
    "models": "List the bundled models and show what they were trained on.",
    "config": "Keep settings, such as the genome that tracks takes.",
}
"""Help line of each command; the command `NAME` is `dnaannot.cli.NAME.NAME`."""

INTERRUPTED = 130
BROKEN_PIPE = 141


@dataclass
class Settings:
    """What was said before the command's name."""

    debug: bool = False


class LazyGroup(click.Group):
    """A group whose commands are modules, imported when called and not for `--help`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"dnaannot.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"there is no command '{args[0]}'.{_like(args[0])}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _like(word: str) -> str:
    """A question after the command that a word may stand for, or nothing."""
    from difflib import get_close_matches

    close = get_close_matches(word, COMMANDS, n=1)
    return f" Do you mean '{close[0]}'?" if close else ""


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dnaannot", message="%(prog)s %(version)s")
@click.option(
    "--debug",
    is_flag=True,
    envvar="DNAANNOT_DEBUG",
    help="Show a traceback when something fails (also: DNAANNOT_DEBUG=1).",
)
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Annotate DNA from sequence alone: valid gene models, and tracks.

    \b
    dnaannot genes genome.fa -o genes.gff3
    dnaannot COMMAND --help
    """  # noqa: D301
    ctx.ensure_object(Settings).debug = debug


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its status.

    The status is 0 after success, 1 where a file or its content is at fault, 2 where the
    command line is, 130 after Ctrl-C; a message on stderr says why. After other signals it is
    128 and the signal's number.

    Args:
        arguments: what follows the program's name; those of the process by default.
    """
    settings = Settings()
    _heed_signals()
    with warnings.catch_warnings():
        if not sys.warnoptions:
            # what libraries warn their callers of is noise to a user
            warnings.simplefilter("ignore")
        try:
            given = sys.argv[1:] if arguments is None else list(arguments)
            with cli.make_context("dnaannot", given, obj=settings) as ctx:
                cli.invoke(ctx)
            sys.stdout.flush()
        except (Exception, KeyboardInterrupt) as error:
            sys.exit(_report(error, settings.debug))
    sys.exit(0)


def _report(error: BaseException, debug: bool) -> int:
    """Say on stderr what went wrong and return the exit status."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return _say("interrupted", INTERRUPTED)
    if isinstance(error, BrokenPipeError):
        return _drop_output()
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, DnaannotError):
        return _say(str(error), 2 if isinstance(error, SettingsError) else 1)
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return _say(f"{place}{error.strerror}", 1)
    if lacks_memory(error):
        return _say(
            "not enough memory. Prediction needs less with a smaller --window or --batch-size, "
            "training with a smaller --batch, --window-bases or --stretch-bases.",
            1,
        )
    return _say(
        f"internal error: {type(error).__name__}: {error}\n"
        "This is a bug in dnaannot, not in your data. Please report it together with the "
        "command line,\nthe output of `dnaannot --version` and the traceback that "
        "DNAANNOT_DEBUG=1 prints.",
        1,
    )


def _say(message: str, status: int) -> int:
    click.echo(f"dnaannot: {message}", err=True)
    return status


def _drop_output() -> int:
    """Let the interpreter close a stdout that nobody reads any more without complaint."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE


def _heed_signals() -> None:
    """End in order when told to, and when the terminal goes, unless started under nohup."""
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _terminate)


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    """Leave through `finally` blocks, so that no partial output stays behind."""
    signal.signal(signum, signal.SIG_IGN)  # shell and terminal may both tell, amid the cleanup
    sys.exit(128 + signum)
