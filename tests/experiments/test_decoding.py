"""Photographs decoded ahead, in order, each by itself."""

from __future__ import annotations

import io
import multiprocessing
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from helpers.platforms import forked_only, posix_only
from helpers.small_evaluations import PREPROCESS, QUICK, folder_of, picture, plain, run_evaluation, tiny_network
from shapleycam import Explainer
from shapleycam.errors import DarkPictureWarning, OptionError, warn
from shapleycam.experiments import RunSettings, decoding
from shapleycam.experiments.chunk import ChunkDecoder
from shapleycam.experiments.datasets.opening import open_dataset
from shapleycam.experiments.engines.local import forks_processes, prepare_ahead

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")


WAITING = """
import os, pathlib, time

def wait(_):
    pathlib.Path("worker").write_text(str(os.getpid()), encoding="utf-8")
    time.sleep(1000)
"""
PROGRAM = """
import multiprocessing
from shapleycam.experiments.engines.local import prepare_ahead
from waiting import wait

if __name__ == "__main__":
    multiprocessing.set_start_method("forkserver")
    list(prepare_ahead([0], wait, 1))
"""


def wait_until(condition: Callable[[], object], seconds: float = 120) -> None:
    """Wait for something, which takes long on a machine with much else to do."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def decode_batches(dataset, preprocess, batches, workers):
    for _, images in prepare_ahead(batches, ChunkDecoder(dataset, preprocess), workers):
        yield images


def decode_all(data, preprocess=PREPROCESS, size=4, workers=0):
    dataset = open_dataset(data)
    batches = [range(start, min(start + size, len(dataset))) for start in range(0, len(dataset), size)]
    return list(decode_batches(dataset, preprocess, batches, workers))


class TestOrder:
    @pytest.mark.parametrize("workers", [0, 1, 2])
    def test_is_that_of_the_batches(self, shots, workers):
        batches = decode_all(shots, size=9, workers=workers)
        assert [len(batch) for batch in batches] == [9] * 7 + [7]
        assert [image.index for batch in batches for image in batch] == list(range(70))

    @pytest.mark.parametrize("workers", [0, 2])
    def test_any_images_in_any_order(self, shots, workers):
        batches = list(decode_batches(open_dataset(shots), PREPROCESS, [[5, 2], [69], [2]], workers))
        assert [[image.index for image in batch] for batch in batches] == [[5, 2], [69], [2]]

    def test_arrays_are_the_same_from_processes(self, shots):
        local = [image for batch in decode_all(shots) for image in batch]
        from_processes = [image for batch in decode_all(shots, workers=2) for image in batch]
        for image, same in zip(local, from_processes, strict=True):
            assert image.array.dtype == same.array.dtype == np.float32
            assert np.array_equal(image.array, same.array)
            assert (image.size, image.box) == (same.size, same.box)

    def test_no_batches(self, shots):
        assert list(decode_batches(open_dataset(shots), PREPROCESS, [], 0)) == []

    def test_ends_at_once_when_closed(self, shots):
        others = set(multiprocessing.active_children())
        images = decode_batches(open_dataset(shots), PREPROCESS, [[index] for index in range(70)], 2)
        assert next(images)[0].index == 0
        images.close()
        assert set(multiprocessing.active_children()) <= others


@posix_only
def test_a_worker_ends_with_a_program_that_is_killed(tmp_path):
    """A server that forks lives as long as a worker: the worker must look for the program itself."""
    (tmp_path / "waiting.py").write_text(WAITING, encoding="utf-8")
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    program = subprocess.Popen([sys.executable, "program.py"], cwd=tmp_path)
    worker = tmp_path / "worker"
    wait_until(lambda: worker.exists() and worker.read_text(encoding="utf-8"))
    process = psutil.Process(int(worker.read_text(encoding="utf-8")))
    program.kill()
    program.wait()
    wait_until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, seconds=20)


class TestProcessesThatAreNotForked:
    """As on Windows, macOS, and Linux from Python 3.14 on."""

    @pytest.fixture(params=["spawn", "forkserver"])
    def method(self, request):
        if request.param not in multiprocessing.get_all_start_methods():
            pytest.skip("this system has no such processes")
        before = multiprocessing.get_start_method(allow_none=True)
        multiprocessing.set_start_method(request.param, force=True)
        yield request.param
        multiprocessing.set_start_method(before, force=True)

    def test_images_are_the_same(self, shots, method):
        (forked,), (image,) = (decode_batches(open_dataset(shots), PREPROCESS, [[3]], workers) for workers in (0, 1))
        assert np.array_equal(forked[0].array, image[0].array)

    def test_what_cannot_be_sent_is_refused(self, shots, method):
        with pytest.raises(OptionError) as caught:
            decode_all(shots, lambda photo: PREPROCESS(photo) * 1, workers=1)
        message = str(caught.value)
        assert message.startswith("photographs cannot be sent to decoding processes (")
        assert message.endswith("such as functions of a module, or decode with workers=0")
        assert "\n" not in message

    def test_by_default_there_are_none(self, monkeypatch, method):
        monkeypatch.setattr(os, "cpu_count", lambda: 16)
        assert RunSettings().workers == 0

    def test_the_method_may_still_be_chosen(self, method):
        multiprocessing.set_start_method(None, force=True)
        forks_processes()
        assert multiprocessing.get_start_method(allow_none=True) is None


@forked_only
class TestForks:
    """What a forked process may not need: threads and locks of the program."""

    def test_a_worker_prints_past_a_display_of_the_program(self, monkeypatch, capfd):
        """One that somebody locks, as the thread of a progress bar does, and that is not unlocked in a fork."""

        class Display(io.StringIO):
            def write(self, _: str) -> int:
                raise AssertionError("a fork would wait here for ever")

        def prepare(item: int) -> int:
            sys.stderr.write("of a worker\n")
            sys.stdout.write("of a worker\n")
            sys.stdout.flush()
            return item

        monkeypatch.setattr(sys, "stderr", Display())
        monkeypatch.setattr(sys, "stdout", Display())
        assert list(prepare_ahead([7], prepare, 1)) == [7]
        assert capfd.readouterr() == ("of a worker\n", "of a worker\n")

    def test_warnings_of_the_library_are_given_here_and_others_are_printed(self, capfd):
        def prepare(item: int) -> int:
            warnings.warn("of a worker", UserWarning, stacklevel=1)
            warn(DarkPictureWarning, f"{item} is dark")
            return item

        here: list[str] = []

        def show(message: Warning | str, *_: object, **__: object) -> None:
            here.append(str(message))
            os.write(2, f"{message}\n".encode())

        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = show
            assert list(prepare_ahead([7, 8], prepare, 1)) == [7, 8]
        assert here == ["7 is dark", "8 is dark"]
        assert sorted(capfd.readouterr().err.splitlines()) == ["7 is dark", "8 is dark", *2 * ["of a worker"]]

    def test_pytorch_computes_with_one_thread(self):
        before = torch.get_num_threads()
        torch.set_num_threads(2)
        try:
            assert list(prepare_ahead([0], lambda _: torch.get_num_threads(), 1)) == [1]
        finally:
            torch.set_num_threads(before)


class TestImages:
    def test_are_what_the_preprocessing_makes(self, shots):
        path = shots / "0003.jpg"
        image = decode_all(shots)[0][3]
        assert torch.equal(image.image, PREPROCESS(Image.open(path)))
        assert image.size == (44, 38)
        assert image.box == PREPROCESS.box((44, 38))
        assert image.error is None

    def test_are_arrays_that_can_be_written_and_share_nothing(self, shots):
        """An array travels through a pipe: torch's shared memory is small in containers."""
        first, second = decode_all(shots, workers=1)[0][:2]
        assert isinstance(first.array, np.ndarray)
        assert first.array.flags.writeable
        assert not first.image.is_shared()
        before = second.array.copy()
        first.image.zero_()
        assert np.array_equal(second.array, before)

    @forked_only
    def test_many_large_images_fit_through(self, tmp_path):
        """Far more than a pipe holds, with nobody reading for a while."""
        folder_of(tmp_path, 12)

        def large(photo):
            return PREPROCESS(photo).repeat(1, 16, 16)

        images = decode_batches(open_dataset(tmp_path), large, [[index, index + 1] for index in range(0, 12, 2)], 2)
        batches = [next(images)]
        batches += images
        assert [image.array.shape for batch in batches for image in batch] == [(3, 512, 512)] * 12

    @pytest.mark.parametrize("orientation", [3, 6, 8])
    def test_are_upright(self, tmp_path, orientation):
        """A camera held otherwise: the rows and the pixels are those of the upright photograph."""
        turn = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
        upright = picture(1, (60, 40))
        exif = Image.Exif()
        exif[0x0112] = orientation
        upright.transpose(turn[orientation]).save(tmp_path / "turned.png", exif=exif)
        ((image,),) = decode_all(tmp_path)
        assert image.size == (60, 40)
        assert image.box == PREPROCESS.box((60, 40))
        assert torch.equal(image.image, PREPROCESS(upright))

    def test_of_any_mode(self, tmp_path):
        for mode in ("L", "RGBA", "P", "1", "CMYK"):
            suffix = "jpg" if mode == "CMYK" else "png"
            picture(0).convert(mode).save(tmp_path / f"{mode}.{suffix}")
        (batch,) = decode_all(tmp_path, size=5)
        assert [image.array.shape for image in batch] == [(3, 32, 32)] * 5


class TestErrors:
    @pytest.mark.parametrize("workers", [0, 2])
    def test_of_a_file_are_its_own(self, tmp_path, workers):
        folder_of(tmp_path, 6)
        (tmp_path / "0002.jpg").write_bytes(b"")
        (tmp_path / "0004.jpg").write_text("no picture")
        images = [image for batch in decode_all(tmp_path, size=3, workers=workers) for image in batch]
        assert [image.index for image in images if image.error] == [2, 4]
        assert "0002.jpg: the file is empty (0 bytes)" in images[2].error
        assert images[2].array is None
        assert not any("\n" in image.error for image in images if image.error)

    @pytest.mark.parametrize("workers", [0, pytest.param(2, marks=forked_only)])
    def test_of_a_preprocessing_are_the_images(self, tmp_path, workers):
        folder_of(tmp_path, 5)

        def stumbles(photo):
            if photo.width == 50:
                raise RuntimeError("too\n  wide")
            return PREPROCESS(photo)

        picture(9, (50, 40)).save(tmp_path / "0003.jpg")
        images = [image for batch in decode_all(tmp_path, stumbles, workers=workers) for image in batch]
        assert [image.error for image in images] == [
            None,
            None,
            None,
            (
                "0003.jpg: preprocess= raised RuntimeError: too wide, for a photograph of 50 x 40 pixels; expected a "
                "function from an RGB PIL image to a floating-point tensor (c, h, w): its own error is the "
                "cause of this one"
            ),
            None,
        ]

    @pytest.mark.parametrize(
        ("preprocess", "says"),
        [
            (np.asarray, "preprocess= returned uint8 numbers; expected a function from an RGB"),
            (
                lambda photo: PREPROCESS(photo).expand(2, 3, 32, 32),
                "preprocess= returned shape (2, 3, 32, 32); expected",
            ),
        ],
    )
    def test_of_what_a_preprocessing_returns(self, tmp_path, preprocess, says):
        folder_of(tmp_path, 1)
        ((image,),) = decode_all(tmp_path, preprocess)
        assert says in image.error

    def test_are_rows(self, shots, tmp_path):
        def stumbles(photo):
            if photo.getpixel((0, 0))[0] % 2:
                raise KeyError("odd")
            return PREPROCESS(photo)

        rows = run_evaluation(shots, tmp_path, tiny_network(preprocess=stumbles), limit=12).rows()
        bad, good = rows.filter(status="error"), rows.filter(status="ok")
        odd = [i for i in range(12) if Image.open(shots / f"{i:04d}.jpg").getpixel((0, 0))[0] % 2]
        assert 0 < len(odd) < 12
        assert bad["index"].to_list() == odd
        assert "preprocess= raised KeyError: 'odd', for a photograph of" in bad["message"][0]
        assert len(good) == 3 * (12 - len(odd))


class TestOwnPreprocessing:
    def test_plain_function_gives_the_same_rows_and_layer(self, shots, finished, tmp_path):
        store = run_evaluation(shots, tmp_path, tiny_network(preprocess=plain), limit=12)
        assert store.manifest["models"]["tiny"]["layers"] == {"before-pool": "features"}
        assert (
            store.rows().drop("image").equals(run_evaluation(shots, tmp_path / "other", limit=12).rows().drop("image"))
        )

    def test_plain_function_with_processes(self, shots, tmp_path):
        from shapleycam.experiments import RunSettings

        rows = run_evaluation(
            shots, tmp_path, tiny_network(preprocess=plain), settings=RunSettings(workers=2), limit=20
        ).rows()
        assert rows["status"].unique().to_list() == ["ok"]

    KINDS: ClassVar = {
        "float64": lambda photo: PREPROCESS(photo).double(),
        "bfloat16": lambda photo: PREPROCESS(photo).bfloat16(),
        "gradient": lambda photo: PREPROCESS(photo).requires_grad_(),
    }

    @pytest.mark.parametrize("kind", KINDS)
    def test_explainer_takes_what_it_makes(self, shots, kind):
        explainer = Explainer(tiny_network(preprocess=self.KINDS[kind]), layer="features")
        explanation = explainer.explain(shots / "0000.jpg", "gradcam")
        assert explanation.heatmap.shape == (1, 32, 32)

    @pytest.mark.parametrize("kind", KINDS)
    def test_evaluation_takes_what_an_explainer_takes(self, shots, tmp_path, kind):
        rows = run_evaluation(shots, tmp_path, tiny_network(preprocess=self.KINDS[kind]), QUICK, limit=2).rows()
        assert rows["status"].unique().to_list() == ["ok"]

    @forked_only
    def test_an_error_is_not_called_the_death_of_a_process(self, shots, monkeypatch):
        def broken(*_, **__):
            raise RuntimeError("a fault of the program")

        monkeypatch.setattr(decoding, "DecodedImage", broken)
        with pytest.raises(RuntimeError, match="a fault of the program"):
            decode_all(shots, tiny_network().preprocess, workers=1)
