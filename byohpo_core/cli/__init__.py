"""The `byohpo` command."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import NoReturn

from byohpo_core.cli.exit_codes import ERROR, INTERRUPTED
from byohpo_core.cli.output import give_up, open_closed_streams, say_error
from byohpo_core.errors import ByohpoError, one_line


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, as for every other error."""
        say_error(f"byohpo: error: {one_line(message)} (see {self.prog} --help)")
        self.exit(ERROR)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    open_closed_streams()
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except ByohpoError as error:
        say_error(f"byohpo: error: {error}")
        return ERROR
    except KeyboardInterrupt as interrupt:
        say_error(f"byohpo: {str(interrupt) or 'interrupted'}")
        return INTERRUPTED
    except BrokenPipeError:  # whoever read has seen enough
        give_up(sys.stdout)
        return 0
    return code


def _parser() -> _Parser:
    from byohpo_core.cli import check, newplugin, plugins, studies

    parser = _Parser(prog="byohpo", description="Tune models with the optimisation algorithm of your choice.")
    parser.add_argument("--version", action="version", version=f"byohpo-core {version('byohpo-core')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    plugins.add_commands(commands)
    studies.add_commands(commands)
    check.add_commands(commands)
    newplugin.add_commands(commands)
    return parser
