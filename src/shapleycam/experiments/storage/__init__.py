"""Storage of a run's results: a local folder, or a URL of an object store or a shared file system.

There are three reasons not to use fsspec here.

- A file must be either complete or absent. A folder needs fsync and a rename for that, which fsspec does not do; an
  object store needs a single PUT, for which fsspec makes several requests.
- A run must be locked while it is written, and the system must release the lock of a killed process.
- Object stores must work with pyarrow, which is a dependency, without further packages.

fsspec is used for all other URLs.
"""

from shapleycam.experiments.storage.base import Storage
from shapleycam.experiments.storage.folder import FolderStorage
from shapleycam.experiments.storage.opening import Location, open_storage
from shapleycam.experiments.storage.remote import RemoteStorage

__all__ = ["FolderStorage", "Location", "RemoteStorage", "Storage", "open_storage"]
