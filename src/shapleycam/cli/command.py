"""Base classes of commands, which print an error that the user can fix as one line."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from shapleycam.cli.console import print_error
from shapleycam.cli.help_texts import first_sentence, help_lines
from shapleycam.cli.messages import options_of_command
from shapleycam.cli.stopping import ending_at_once
from shapleycam.errors import ShapleyCamError
from shapleycam.installation import clear_import_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

REFUSED = 2
"""The exit code for an error that the user can fix, such as a wrong option."""
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""The parser's exception. Versions of typer have it under a private name or take it from click, so it is found here."""


class Command(TyperCommand):
    """A command that prints an error in its options, or an error of the library, as one line."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Parse the options.

        Raises:
            typer.Exit: with exit code 2, after a wrong option.
        """
        with _wrong_usage_on_one_line():
            return super().make_context(info_name, args, parent, **extra)

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

    def format_help_text(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write the command's description, with its examples as a list."""
        formatter.write("\n")
        for line in help_lines(self.help or "", formatter.width - 2):
            formatter.write(f"  {line}".rstrip() + "\n")


class RunCommand(Command):
    """A long-running command: if a signal stops it, it prints one line that says how to continue."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with ending_at_once():
            return super().invoke(ctx)


class Group(TyperGroup):
    """The whole command line."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Parse the options before the command's name.

        Raises:
            typer.Exit: with exit code 2, after a wrong option.
        """
        with _wrong_usage_on_one_line():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run the named command.

        Raises:
            typer.Exit: with exit code 2, if there is no such command.
        """
        with _wrong_usage_on_one_line():
            return super().invoke(ctx)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands, each with the first sentence of its description, uncut."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, first_sentence(command.help or ""))
                    for name, command in commands.items()
                    if command is not None
                ]
            )


def _device_failure(error: Exception) -> str | None:
    """Return a one-line message for an error of the device, None for any other; torch is imported only here."""
    from shapleycam.gpu_failures import describe_device_failure

    return describe_device_failure(error)


@contextmanager
def _wrong_usage_on_one_line() -> Iterator[None]:
    try:
        yield
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help text
            typer.echo(error.format_message())  # type: ignore[attr-defined]
            raise typer.Exit(REFUSED) from None
        context: Any = getattr(error, "ctx", None)
        message = " ".join(error.format_message().split())  # type: ignore[attr-defined]
        print_error(f"{message} (see: {context.command_path} --help)" if context else message)
        raise typer.Exit(REFUSED) from None
