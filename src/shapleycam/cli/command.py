"""A command of the command line, which refuses in one line what its user can mend."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand

from shapleycam.cli.console import print_error
from shapleycam.cli.messages import options_of_command
from shapleycam.cli.stopping import ending_at_once
from shapleycam.errors import ShapleyCamError
from shapleycam.installation import clear_import_errors

REFUSED = 2
"""The exit code where the user can mend what went wrong, as of a wrong option."""


class Command(TyperCommand):
    """A command that prints an error of the library as one line, in the words of its own options."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            typer.Exit: with exit code 2, after an error of the library.
        """
        options = [name for parameter in self.params for name in (*parameter.opts, *parameter.secondary_opts)]
        with options_of_command(options):
            try:
                with clear_import_errors():
                    return super().invoke(ctx)
            except ShapleyCamError as error:
                print_error(str(error))
                raise typer.Exit(REFUSED) from None
            except (RuntimeError, MemoryError) as error:
                message = _device_failure(error)
                if message is None:
                    raise
                print_error(message)
                raise typer.Exit(REFUSED) from None


def _device_failure(error: Exception) -> str | None:
    """Return the one line for an error of the device, None for any other; torch is imported where there is an error."""
    from shapleycam.gpu_failures import describe_device_failure

    return describe_device_failure(error)


class RunCommand(Command):
    """A command that measures for long: a signal that stops it is answered by one line that says how to go on."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with ending_at_once():
            return super().invoke(ctx)
