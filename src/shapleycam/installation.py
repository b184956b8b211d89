"""Errors of importing PyTorch or torchvision, whose versions must match, as one-line messages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from traceback import walk_tb

from shapleycam.errors import ShapleyCamError

_PACKAGES = ("torch", "torchvision")


@contextmanager
def clear_import_errors() -> Iterator[None]:
    """Convert errors of importing PyTorch or torchvision inside the context to a message that says what to do.

    Python raises a RuntimeError ("operator torchvision::nms does not exist") if torchvision was built for another
    version or build of PyTorch, and an ImportError or OSError if one of them or a shared library is missing.

    Raises:
        ShapleyCamError: instead of such an error.

    Examples:
        >>> from shapleycam.installation import clear_import_errors
        >>> with clear_import_errors():
        ...     import torchvision
    """
    try:
        yield
    except (ImportError, OSError, RuntimeError) as error:
        package = _package_that_failed(error)
        if package is None:
            raise
        reason = " ".join(str(error).split())
        versions = " and ".join(f"{name} {_version_of(name)}" for name in _PACKAGES)
        raise ShapleyCamError(
            f"{package} cannot be imported ({type(error).__name__}: {reason}); installed are {versions}, which must "
            "belong together; install both by one command, from one index: see docs/installing.md"
        ) from error


def _package_that_failed(error: Exception) -> str | None:
    """Return the package that was being imported, the innermost if both were; None if it was neither."""
    if isinstance(error, ModuleNotFoundError) and error.name in _PACKAGES:
        return error.name
    modules = [Path(f.f_code.co_filename) for f, _ in walk_tb(error.__traceback__) if f.f_code.co_name == "<module>"]
    packages = [path.parent.name for path in modules if path.name == "__init__.py"]
    return next((name for name in reversed(packages) if name in _PACKAGES), None)


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(missing)"
