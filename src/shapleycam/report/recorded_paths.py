"""Where the files that a run recorded may be now."""

from __future__ import annotations

from pathlib import Path

from shapleycam.experiments import Store
from shapleycam.experiments.storage import FolderStorage
from shapleycam.printable import original_name

_TORCHVISION = "torchvision:"


def places_of(recorded: str, store: Store) -> list[str]:
    """Return the paths where a file with a recorded path may be now, the most likely first.

    A relative path is relative to the folder in which the run was started; runs record it since version 0.2. Further
    candidates are in the current folder, and beside the run, which may have been copied with its photographs.
    """
    prefix, path = "", original_name(recorded)
    if path.startswith(_TORCHVISION):
        _, name, path = [*path.split(":", 2), "", ""][:3]
        prefix = f"{_TORCHVISION}{name}:"
    if not path or Path(path).is_absolute() or "://" in path:
        return [prefix + path]
    started_in = original_name([{}, *store.manifest["sessions"]][-1].get("folder", ""))
    beside = [store.storage.path.parent] if isinstance(store.storage, FolderStorage) else []
    folders = [*([Path(started_in)] if started_in else []), Path(), *beside]
    return list(dict.fromkeys(prefix + str(folder / path) for folder in folders))
