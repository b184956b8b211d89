"""Pillow's warnings while threads read pictures: ignored, but a bomb's; the filters of the process stay the user's."""

from __future__ import annotations

import threading
import warnings

import pytest
from PIL import Image

from shapleycam.errors import ImageError
from shapleycam.images import raise_image_errors


def warn_as_pillow(category, text="about metadata"):
    warnings.warn_explicit(text, category, "TiffImagePlugin.py", 1, module="PIL.TiffImagePlugin")


def test_readers_that_overlap_leave_the_filters_as_they_were():
    warnings.filterwarnings("error", category=Image.DecompressionBombWarning)  # a user's own
    before, entered, left = list(warnings.filters), threading.Event(), threading.Event()

    def read():
        with raise_image_errors("first.jpg"):
            entered.set()
            left.wait()

    thread = threading.Thread(target=read)
    thread.start()
    entered.wait()
    reading = raise_image_errors("second.jpg")
    reading.__enter__()
    left.set()
    thread.join()  # the first to come has gone, the second still reads
    warn_as_pillow(UserWarning)
    with pytest.warns(UserWarning, match="not of Pillow"):
        warnings.warn("not of Pillow", UserWarning, stacklevel=1)
    with pytest.raises(ImageError, match=r"second\.jpg: over the limit of"), raise_image_errors("second.jpg"):
        warn_as_pillow(Image.DecompressionBombWarning)
    reading.__exit__(None, None, None)
    assert list(warnings.filters) == before
    with pytest.warns(UserWarning, match="about metadata"):
        warn_as_pillow(UserWarning)


def test_filters_that_were_replaced_meanwhile_are_no_error():
    with raise_image_errors("a.jpg"):
        warnings.resetwarnings()
    assert list(warnings.filters) == []
