"""Attaching groups of options to commands; a group is a dataclass whose fields are options.

A field that is annotated with a `typer.Option` or `typer.Argument` is an option of every command that takes the group.
A field without such an annotation is not an option and keeps its default. Thus a group declares once what the library
accepts, and a subclass declares which of these fields a command offers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints

from typer.models import ParameterInfo


def flatten_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Return a function for typer with a keyword parameter for each option of the command's groups.

    The function makes the groups from its arguments and calls the command with them. The options are in the order of
    the command's parameters and of the groups' fields.
    """
    parameters: list[inspect.Parameter] = []
    groups: dict[str, type] = {}
    hints = get_type_hints(command, include_extras=True)
    for name, parameter in inspect.signature(command).parameters.items():
        hint = hints[name]
        if is_dataclass(hint) and isinstance(hint, type):
            groups[name] = hint
            parameters += _parameters_of(hint)
        else:
            parameters.append(parameter.replace(annotation=hint, kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(command)
    def call_with_groups(**values: Any) -> None:
        built = {}
        for name, group in groups.items():
            built[name] = group(**{field: values.pop(field) for field in option_names(group)})
        command(**values, **built)

    # typer reads the parameters from the signature and their types from the annotations. `wraps` copied those of the
    # command, so both are replaced.
    call_with_groups.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call_with_groups.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del call_with_groups.__wrapped__
    return call_with_groups


def option_names(group: type) -> list[str]:
    """Return the names of a group's fields that are options."""
    return [parameter.name for parameter in _parameters_of(group)]


def _parameters_of(group: type) -> list[inspect.Parameter]:
    """Return a parameter for each field of a group that is an option."""
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=_default_of(field), annotation=hints[field.name]
        )
        for field in fields(group)
        if any(isinstance(note, ParameterInfo) for note in getattr(hints[field.name], "__metadata__", ()))
    ]


def _default_of(field: Field[Any]) -> Any:
    """Return a dataclass field's default in the form of a parameter's default."""
    return inspect.Parameter.empty if field.default is MISSING else field.default
