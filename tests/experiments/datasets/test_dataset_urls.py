"""Photographs, shards and tables of pictures at URLs."""

from __future__ import annotations

import io
import pickle
import tarfile
import zipfile
from collections.abc import Iterator
from uuid import uuid4

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from helpers.object_store import ObjectStore, object_store
from helpers.small_evaluations import QUICK, picture, run_evaluation
from shapleycam.errors import DatasetWarning, ImageError, OptionError
from shapleycam.experiments import RunSettings
from shapleycam.experiments.datasets.opening import open_dataset
from shapleycam.images import open_photograph


def png(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (value, 0, 0)).save(file, "PNG")
    return file.getvalue()


def shard(*values: int) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for value in values:
            for suffix, content in (("png", png(value)), ("cls", str(value).encode())):
                info = tarfile.TarInfo(f"{value:03d}.{suffix}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def red(dataset, index: int) -> int:
    return open_photograph(dataset.open(index)).getpixel((0, 0))[0]


def refusal(source: str) -> str:
    with pytest.raises((OptionError, ImageError)) as caught:
        open_dataset(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def s3() -> Iterator[ObjectStore]:
    with object_store() as store:
        yield store


class Place:
    """Files in a new bucket, or a new folder of fsspec's memory."""

    def __init__(self, store: ObjectStore | None) -> None:
        self._store, self._name = store, f"bucket-{uuid4().hex}"
        if store is not None:
            store.client.create_bucket(Bucket=self._name)

    def put(self, name: str, content: bytes) -> None:
        if self._store is not None:
            self._store.client.put_object(Bucket=self._name, Key=name, Body=content)
        else:
            fsspec.filesystem("memory").pipe_file(f"/{self._name}/{name}", content)

    def remove(self, name: str) -> None:
        if self._store is not None:
            self._store.client.delete_object(Bucket=self._name, Key=name)
        else:
            fsspec.filesystem("memory").rm_file(f"/{self._name}/{name}")

    def url(self, path: str) -> str:
        if self._store is None:
            return f"memory://{self._name}/{path}"
        return f"s3://{self._name}/{path}?scheme=http&endpoint_override=127.0.0.1:{self._store.port}"


@pytest.fixture(params=["s3", "memory"])
def place(request, s3) -> Place:
    return Place(s3 if request.param == "s3" else None)


class TestPhotographs:
    @pytest.fixture
    def photos(self, place) -> Place:
        for number, name in enumerate(("ant/1.png", "ant/in/2.PNG", "bee/3 ü.png", "notes.txt", "bee/4.txt")):
            place.put(f"photos/{name}", png(number))
        return place

    @pytest.mark.parametrize("path", ["photos", "photos/", "photos/**/*.[pP]*", "photos/**"])
    def test_of_a_folder_and_of_a_pattern(self, photos, path):
        dataset = open_dataset(photos.url(path))
        assert dataset.names == ("ant/1.png", "ant/in/2.PNG", "bee/3 ü.png")
        assert dataset.labels == ("ant", "ant", "bee")
        assert dataset.classes == ("ant", "bee")
        assert [red(dataset, index) for index in range(3)] == [0, 1, 2]

    def test_of_one_folder_of_a_pattern(self, photos):
        assert open_dataset(photos.url("photos/*/*.png")).names == ("ant/1.png", "bee/3 ü.png")

    def test_one(self, photos):
        dataset = open_dataset(photos.url("photos/ant/1.png"))
        assert (dataset.names, dataset.labels) == (("1.png",), (None,))

    def test_hidden_ones_are_said(self, photos):
        photos.put("photos/.thumbs/1.png", png(9))
        with pytest.warns(DatasetWarning, match=r"1 hidden photograph left out \(\.thumbs/1\.png\)"):
            assert len(open_dataset(photos.url("photos"))) == 3

    def test_are_the_same_in_another_process(self, photos):
        dataset = open_dataset(photos.url("photos"))
        copy = pickle.loads(pickle.dumps(dataset))  # noqa: S301
        assert copy.fingerprint() == dataset.fingerprint()
        assert red(copy, 2) == 2

    def test_that_are_removed_or_replaced_later(self, photos):
        dataset = open_dataset(photos.url("photos"))
        photos.put("photos/ant/1.png", png(77) + b" ")
        photos.remove("photos/bee/3 ü.png")
        for index in (0, 2):
            with pytest.raises(ImageError, match=r"cannot be fetched .*was changed or removed after the dataset was"):
                dataset.open(index)
        assert open_dataset(photos.url("photos")).fingerprint() != dataset.fingerprint()

    @pytest.mark.parametrize(
        ("path", "message"),
        [
            ("photos/*.tif", "no such file, folder or pattern there"),
            ("nothing", "no such file, folder or pattern there"),
            ("photos/notes.txt", "no pictures there"),
            ("photos/{0..1}.tar", "there is no photos/0.tar; expected every file that the braces name"),
            ("list.csv", "a list at a URL"),
        ],
    )
    def test_refused(self, photos, path, message):
        assert message in refusal(photos.url(path))


class TestPacked:
    @pytest.mark.parametrize("path", ["shards/{000..001}.tar", "shards/*.tar"])
    def test_shards(self, place, path):
        place.put("shards/000.tar", shard(10, 20))
        place.put("shards/001.tar", shard(30))
        dataset = open_dataset(place.url(path))
        assert dataset.names == ("000.tar/010.png", "000.tar/020.png", "001.tar/030.png")
        assert dataset.labels == (10, 20, 30)
        assert [red(dataset, index) for index in (2, 0, 1)] == [30, 10, 20]

    def test_a_shard_that_is_replaced(self, place):
        place.put("a.tar", shard(10, 20))
        dataset = open_dataset(place.url("a.tar"))
        place.put("a.tar", shard(*range(20)))  # of another size: the times of S3 are whole seconds
        with pytest.raises(ImageError, match="was changed or removed after the dataset was opened"):
            dataset.open(0)

    def test_an_archive(self, place):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("ant/1.png", png(3))
        place.put("photos.zip", file.getvalue())
        dataset = open_dataset(place.url("photos.zip"))
        assert (dataset.names, dataset.labels, red(dataset, 0)) == (("ant/1.png",), ("ant",), 3)

    def test_pictures_in_parquet(self, place):
        for number in range(2):
            file = io.BytesIO()
            pq.write_table(pa.table({"image": [png(number)] * 40, "label": [number] * 40}), file)
            place.put(f"train-{number}.parquet", file.getvalue())
        dataset = open_dataset(place.url("train-*.parquet"))
        assert dataset.labels == (0,) * 40 + (1,) * 40
        assert [red(dataset, index) for index in (79, 0, 39, 40, 2)] == [1, 0, 0, 1, 0]


class TestUnusable:
    def test_a_bucket_that_is_not_there(self, s3):
        url = f"s3://no-such-bucket-{uuid4().hex}/*.png?scheme=http&endpoint_override=127.0.0.1:{s3.port}"
        assert refusal(url).startswith(f"{url}: ")

    def test_credentials_that_are_refused(self, s3, monkeypatch):
        place = Place(s3)
        place.put("a.png", png(1))
        answer = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        from moto.s3.responses import S3Response

        monkeypatch.setattr(S3Response, "list_objects_v2", lambda *_: (403, {}, answer), raising=False)
        monkeypatch.setattr(S3Response, "list_objects", lambda *_: (403, {}, answer), raising=False)
        message = refusal(place.url("*.png"))
        assert "cannot be listed (" in message
        assert message.endswith("check the address and the credentials")

    @pytest.mark.parametrize(
        ("url", "reason"),
        [
            ("sftp://host/photos/*.jpg", 'requires "paramiko" to be installed'),
            ("nowhere://bucket/*.jpg", "Protocol not known: nowhere"),
            ("https://example.org/*.jpg", "a URL of a web server, which is not fetched; download it"),
            ("s3://", "cannot be used ("),
        ],
    )
    def test_schemes(self, url, reason):
        assert reason in refusal(url)


@pytest.mark.slow
def test_a_run_on_photographs_in_a_bucket_with_processes(s3, tmp_path):
    place = Place(s3)
    for number in range(4):
        file = io.BytesIO()
        picture(number).save(file, "PNG")
        place.put(f"photos/{number}.png", file.getvalue())
    store = run_evaluation(place.url("photos/*.png"), tmp_path, protocol=QUICK, settings=RunSettings(workers=2))
    assert store.rows()["status"].unique().to_list() == ["ok"]
    assert sorted(store.rows()["image"].unique()) == [f"{number}.png" for number in range(4)]
