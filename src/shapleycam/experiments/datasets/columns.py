"""The names of columns for photographs and for labels, and functions that find such columns in a table."""

from __future__ import annotations

from collections.abc import Sequence

from shapleycam.errors import DatasetWarning, OptionError, warn
from shapleycam.names import normalize_name
from shapleycam.printable import printable_name

PATH_COLUMNS = (
    *("path", "image", "file", "filename", "filepath", "imagepath", "imagefile", "imagefilename", "imagename"),
    *("img", "imgpath", "photo", "photograph", "picture"),
)
LABEL_COLUMNS = (
    *("label", "class", "target", "labels", "classname", "labelname", "classlabel", "classid", "labelid"),
    *("category", "categoryname", "species", "y"),
)
"""Names of columns in lower case, without spaces, hyphens and underscores; the first one that a table has is used."""


def find_column(columns: Sequence[str], known: Sequence[str]) -> str | None:
    """Return the first of the known columns that a table has, in any spelling; None if it has none of them.

    Examples:
        >>> find_column(["Image Path", " Label "], PATH_COLUMNS), find_column(["a"], LABEL_COLUMNS)
        ('Image Path', None)
    """
    by_name = {normalize_name(column): column for column in reversed(columns)}
    return next((by_name[name] for name in known if name in by_name), None)


def path_column(table: str, columns: Sequence[str]) -> str:
    """Return the column of paths; warn if several columns have names for paths.

    Raises:
        OptionError: there is no such column.
    """
    column = find_column(columns, PATH_COLUMNS)
    if column is None:
        raise OptionError(
            f"{table}: the columns are {_listed(columns)}; expected one called path (or image, file, filename)"
        )
    _warn_of_others(table, column, columns, PATH_COLUMNS, "paths")
    return column


def label_column(table: str, columns: Sequence[str], path: str) -> str | None:
    """Return the column of labels, or None if there is none; warn if another column may hold labels.

    `path` is the column of photographs, which holds no labels.
    """
    others = [
        name
        for name in columns
        if name != path and name and not name.startswith("Unnamed:") and find_column([name], PATH_COLUMNS) is None
    ]  # pandas writes its row numbers into a column without a name
    column = find_column(others, LABEL_COLUMNS)
    if column is not None:
        _warn_of_others(table, column, others, LABEL_COLUMNS, "labels")
    elif others:
        warn(
            DatasetWarning,
            f"{table}: no labels are read, since none of the columns {_listed(others)} is called label (or class, "
            "target); rename the one that holds them, if there is one",
        )
    return column


def refuse_repeated_columns(table: str, columns: Sequence[str]) -> None:
    """Refuse a table in which several columns have the same name for paths or for labels.

    Raises:
        OptionError: there are such columns.
    """
    names = [normalize_name(column) for column in columns]
    for name in (*PATH_COLUMNS, *LABEL_COLUMNS):
        if names.count(name) > 1:
            raise OptionError(f"{table}: several columns are called {name!r}; expected one, rename the others")


def _warn_of_others(table: str, column: str, columns: Sequence[str], known: Sequence[str], content: str) -> None:
    warn_of_others(table, column, [name for name in columns if find_column([name], known) is not None], content)


def warn_of_others(table: str, column: str, candidates: Sequence[str], content: str) -> None:
    """Issue a `DatasetWarning` if other columns than the chosen one may hold the same content ("paths", "labels").

    Examples:
        >>> import warnings
        >>> from shapleycam.experiments.datasets.columns import warn_of_others
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     warn_of_others("list.csv", "label", ["label", "species"], "labels")
        >>> str(caught[0].message)[:57]
        "list.csv: labels are those of column 'label', not of spec"
    """
    others = [name for name in candidates if name != column]
    if others:
        warn(
            DatasetWarning,
            f"{table}: {content} are those of column {printable_name(column)!r}, not of {_listed(others)}; rename the "
            "columns, if others are meant",
        )


def _listed(columns: Sequence[str]) -> str:
    text = ", ".join(printable_name(column) for column in columns) or "none"
    return text if len(text) <= 200 else f"{text[:200]} …"
