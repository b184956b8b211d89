"""`open_remote_photographs`: a dataset of photographs at URLs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from shapleycam.errors import ImageError
from shapleycam.experiments.datasets.byte_sources import reason_of
from shapleycam.experiments.datasets.dataset import ENCODED_LIMIT, Dataset, Label, open_encoded_image
from shapleycam.experiments.datasets.folder_labels import label_by_folder
from shapleycam.experiments.datasets.remote import RemoteFile, RemoteListing
from shapleycam.images import is_hidden, is_picture, warn_of_hidden
from shapleycam.printable import printable_name


@dataclass(frozen=True, eq=False, repr=False)
class RemoteDataset(Dataset):
    """Photographs at URLs; each is fetched when it is opened."""

    origin: str
    files: Sequence[RemoteFile]
    names: Sequence[str]
    labels: Sequence[Label]
    classes: Sequence[str] | None = None

    def open(self, index: int) -> Image.Image:
        """Fetch and return a photograph.

        Raises:
            ImageError: the photograph cannot be fetched, has changed since the dataset was opened, or is not a picture.
        """
        try:
            content = self.files[index].read(0, ENCODED_LIMIT + 1)
        except OSError as error:
            raise ImageError(f"{self.names[index]}: cannot be fetched ({reason_of(error)})") from None
        return open_encoded_image(content, self.names[index])

    def content_signature(self, index: int) -> str:
        """Return the file's size and time of change when the dataset was opened."""
        return self.files[index].signature()


def open_remote_photographs(origin: str, listing: RemoteListing) -> RemoteDataset:
    """Return a dataset of the photographs among the files of a URL; the label of each is its first sub-folder.

    Raises:
        ImageError: there are no photographs.
    """
    pictures = [
        (file, name)
        for file, name in zip(listing.files, listing.names, strict=True)
        if is_picture(name.rpartition("/")[2])
    ]
    visible = [(file, printable_name(name)) for file, name in pictures if not is_hidden(name)]
    warn_of_hidden(origin, [name for _, name in pictures if is_hidden(name)])
    if not visible:
        raise ImageError(f"{origin}: no pictures there; expected files such as .jpg or .png")
    names = tuple(name for _, name in visible)
    labels, classes = label_by_folder(names)
    return RemoteDataset(origin, tuple(file for file, _ in visible), names, labels, classes)
