"""Results in folders and at URLs: whole or absent, and the same run wherever they lie."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from helpers.object_store import ObjectStore, object_store
from helpers.small_evaluations import Told, measured, raises
from shapleycam.errors import OptionError
from shapleycam.experiments import Store
from shapleycam.experiments.storage import Folder, Place, Remote, place_of
from shapleycam.files import UNFINISHED

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")


@pytest.fixture(scope="module")
def s3() -> Iterator[ObjectStore]:
    with object_store() as store:
        yield store


@pytest.fixture(params=["folder", "s3", "fsspec"])
def place(request, s3, tmp_path) -> Place:
    if request.param == "folder":
        return place_of(tmp_path / "run")
    if request.param == "s3":
        return place_of(s3.url(f"bucket-{uuid4().hex}"))
    return place_of(f"local://{tmp_path}/run")  # fsspec's own, which has a rename


def put(place: Place, name: str, content: bytes) -> None:
    place.write(name, lambda file: file.write(content))


class TestFiles:
    def test_are_read_as_they_were_written(self, place):
        put(place, "parts/a%2Fb/0.parquet", b"first")
        put(place, "manifest.json", b"{}")
        assert place.read("parts/a%2Fb/0.parquet") == b"first"
        assert place.names() == ["manifest.json", "parts"]
        assert place.names("parts") == ["a%2Fb"]
        assert place.names("parts/a%2Fb") == ["0.parquet"]

    def test_are_written_anew(self, place):
        put(place, "a", b"first, and longer")
        put(place, "a", b"second")
        assert place.read("a") == b"second"
        assert place.names() == ["a"]

    def test_none_where_nothing_is(self, place):
        assert place.names() == place.names("parts/a") == []
        with pytest.raises(OSError, match=r"."):
            place.read("a")

    def test_that_cannot_be_finished_are_not_there(self, place):
        def half(file) -> None:
            file.write(b"half")
            raise MemoryError

        with pytest.raises(MemoryError):
            place.write("a", half)
        assert place.names() == []

    def test_of_a_place_that_was_sent_to_another_process(self, place):
        put(place, "a", b"content")
        there = pickle.loads(pickle.dumps(place))  # noqa: S301
        assert there.read("a") == b"content"
        assert str(there) == str(place)

    def test_what_killed_writers_left_does_not_count(self, tmp_path):
        (tmp_path / "parts").mkdir()
        (tmp_path / "parts" / f"{UNFINISHED}1").write_bytes(b"half")
        for place in (place_of(tmp_path), place_of(f"local://{tmp_path}")):
            assert place.names("parts") == []
        with place_of(tmp_path).alone():
            assert not list(tmp_path.rglob(f"{UNFINISHED}*"))


class TestObjectStore:
    def test_a_part_is_one_put(self, s3, shots):
        url = s3.url("one-put")
        s3.asked.requests.clear()
        measured(shots, url)
        puts = [line.partition("?")[0] for line in s3.asked.requests if line.startswith(("PUT", "POST"))]
        parts = [line for line in puts if "/parts/" in line]
        assert sorted(parts) == [f"PUT /one-put/{key}" for key in s3.keys("one-put") if "/parts/" in key]
        assert len(parts) == 3
        assert set(puts) - set(parts) == {"PUT /one-put/run/manifest.json"}

    def test_the_same_rows_as_in_a_folder(self, s3, shots, finished):
        url = s3.url("same-rows")
        assert measured(shots, url).rows().equals(finished.rows())
        assert Store(url).rows().equals(finished.rows())

    def test_a_run_goes_on_there(self, s3, shots, finished):
        url = s3.url("goes-on")
        with pytest.raises(KeyboardInterrupt):
            measured(shots, url, watcher=Told(33, raises(KeyboardInterrupt())))
        told = Told()
        assert measured(shots, url, watcher=told).rows().equals(finished.rows())
        assert told.begun == (70, 32)

    def test_a_table_of_it(self, s3, shots, finished, run):
        url = s3.url("a-table")
        measured(shots, url)
        there, here = run("table", url), run("table", finished.place)
        assert there.code == 0, there.err
        assert there.out == here.out.replace(str(finished.place), url)

    def test_another_run_is_refused_there(self, s3, shots, finished):
        url = s3.url("another")
        measured(shots, url)
        with pytest.raises(OptionError, match=r"holds results of another run: dataset\.fingerprint was"):
            measured(shots, url, limit=69)

    def test_a_bucket_that_is_not_there(self, s3, shots):
        url = s3.url("there").replace("//there", "//not-there")
        with pytest.raises(OptionError) as caught:
            measured(shots, url, limit=1)
        assert str(caught.value).startswith(f"{url}: manifest.json cannot be written (")
        assert str(caught.value).endswith("); check the address and the credentials")
        assert "\n" not in str(caught.value)

    def test_nobody_answers(self, s3, shots):
        url = "s3://bucket/run?scheme=http&endpoint_override=127.0.0.1:1"
        with pytest.raises(OptionError) as caught:
            measured(shots, url, limit=1)
        assert str(caught.value).startswith(f"{url}: cannot be reached (")


class TestWhichPlace:
    @pytest.mark.parametrize("where", ["run", Path("run"), "a/b", "C:run"])
    def test_a_folder(self, where):
        assert isinstance(place_of(where), Folder)
        assert str(place_of(where)) == str(Path(where))

    def test_a_file_url_is_a_folder(self, tmp_path):
        assert place_of(f"file://{tmp_path}").path == tmp_path

    def test_a_place_is_itself(self, tmp_path):
        place = place_of(tmp_path)
        assert place_of(place) is place

    def test_urls(self):
        assert isinstance(place_of("s3://bucket/run?region=us-east-1"), Remote)
        assert str(place_of("memory://a/run/")) == "memory://a/run"

    def test_a_scheme_that_nobody_knows(self):
        with pytest.raises(OptionError) as caught:
            place_of("foo://bucket/run")
        assert str(caught.value) == (
            "foo://bucket/run: cannot be used (Protocol not known: foo); expected a folder, or a URL such as "
            "s3://bucket/run or gs://bucket/run (others need their fsspec package, such as adlfs or sshfs)"
        )

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
    def test_a_folder_that_cannot_be_read(self, tmp_path):
        tmp_path.chmod(0)
        try:
            with pytest.raises(OptionError, match="cannot be read"):
                place_of(tmp_path).names()
        finally:
            tmp_path.chmod(0o755)
