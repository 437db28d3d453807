"""Entry point: the group of commands, and how a mistake is answered.

Exit codes: 0 done, 1 an honest negative (not certified, not proved, a loop that failed), 2 bad input. Commands import
what is heavy when they run, so that --help and tab completion answer at once.
"""

import os
import re
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

import click

from .certify import certify
from .check import check
from .doctor import doctor, installed
from .export import export
from .fit import fit
from .mpc import mpc
from .plants import plants
from .report import report
from .simulate import simulate
from .types import nearest

COMMANDS = (fit, certify, simulate, mpc, export, plants, report, doctor, check)
HELP = """From measured records to certified recurrent models and predictive control.

\b
Four commands from nothing to a closed loop:
  rnn-control plants van_de_vusse --record reactor.csv
  rnn-control fit reactor.csv --inputs F,Q --outputs C_B,T --dt 30 --out model.safetensors
  rnn-control certify model.safetensors --rigorous
  rnn-control mpc model.safetensors --plant van_de_vusse --reference C_B=0.95

\b
Tab completion, for bash (zsh_source, fish_source for the others):
  eval "$(_RNN_CONTROL_COMPLETE=bash_source rnn-control)"
"""


SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class Commands(click.Group):
    """Says which command is nearest to an unknown one."""

    def resolve_command(self, ctx: click.Context, args: list[str]):
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            raise click.UsageError(f'there is no command "{args[0]}"; {nearest(args[0], self.commands)}')
        return super().resolve_command(ctx, args)


group = Commands("rnn-control", COMMANDS, help=HELP, context_settings=SETTINGS)
group = click.version_option(installed("rnn-control") or "not installed", prog_name="rnn-control")(group)


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run one command and leave with its exit code."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the nets are small: a second thread costs more than it gives
    os.environ.setdefault("MPLBACKEND", "Agg")
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = _show_warning
        sys.exit(_run(args))


def _run(args: Sequence[str] | None) -> int:
    try:
        return group.main(args, prog_name="rnn-control", standalone_mode=False) or 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
    except click.Abort:
        _say("stopped")
        return 130
    except click.ClickException as error:
        _say(error.format_message())
    except (ValueError, OSError) as error:
        _say(str(error))
    return 2


def _say(text: str):
    click.echo("rnn-control: " + as_options(" ".join(text.split())), err=True)


def as_options(text: str) -> str:
    """Keyword arguments that the library names, as the options that stand for them: time="t" is --time t."""
    text = re.sub(r"\bu_units\b", "--input-units", re.sub(r"\by_units\b", "--output-units", text))
    found = r'(?<![\w-])(dt|time|time_unit|gaps|sep)=(?:"([^"]*)")?'
    return re.sub(found, lambda m: " ".join(filter(None, (f"--{m[1].replace('_', '-')}", m[2]))), text)


def _show_warning(message, *_):
    _say(f"warning: {message}")
