"""Convert errors of code that is not this package's: a user's functions, and other libraries.

Such code may raise an error of any type. These contexts turn it into an error of one line. They should contain nothing
but the call, so that they do not hide an error of this package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shapleycam.errors import ShapleyCamError
from shapleycam.gpu_failures import is_out_of_memory


@contextmanager
def convert_errors(convert: Callable[[Exception], Exception | None], *unchanged: type[Exception]) -> Iterator[None]:
    """Raise `convert(error)` in place of an error inside the context; the error is its cause.

    Errors of this package, errors of the `unchanged` types, and those for which `convert` returns None pass unchanged.

    Examples:
        >>> from shapleycam.errors import OptionError
        >>> from shapleycam.foreign_errors import convert_errors
        >>> try:
        ...     with convert_errors(lambda error: OptionError(f"not a number ({error})")):
        ...         float("one")
        ... except OptionError as error:
        ...     print(error)
        not a number (could not convert string to float: 'one')
    """
    try:
        yield
    except Exception as error:
        converted = None if isinstance(error, (ShapleyCamError, *unchanged)) else convert(error)
        if converted is None:
            raise
        raise converted from error


@contextmanager
def convert_errors_of_function(convert: Callable[[Exception], Exception | None]) -> Iterator[None]:
    """Convert as `convert_errors` does; an error of full memory passes unchanged too, so that a smaller batch is tried.

    Examples:
        >>> from shapleycam.errors import OptionError
        >>> from shapleycam.foreign_errors import convert_errors_of_function
        >>> try:
        ...     with convert_errors_of_function(lambda error: OptionError(f"the function raised {error}")):
        ...         raise MemoryError("the memory is full")
        ... except MemoryError as error:
        ...     print(error)
        the memory is full
    """
    with convert_errors(lambda error: None if is_out_of_memory(error) else convert(error)):
        yield
