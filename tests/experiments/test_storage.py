"""Results in folders and at URLs: whole or absent, and the same run wherever they lie."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from helpers.object_store import ObjectStore, object_store
from helpers.small_evaluations import RecordingListener, raises, run_evaluation
from shapleycam.errors import OptionError
from shapleycam.experiments import Store
from shapleycam.experiments.storage import FolderStorage, RemoteStorage, Storage, open_storage
from shapleycam.files import UNFINISHED

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")


@pytest.fixture(scope="module")
def s3() -> Iterator[ObjectStore]:
    with object_store() as store:
        yield store


@pytest.fixture(params=["folder", "s3", "fsspec"])
def storage(request, s3, tmp_path) -> Storage:
    if request.param == "folder":
        return open_storage(tmp_path / "run")
    if request.param == "s3":
        return open_storage(s3.url(f"bucket-{uuid4().hex}"))
    return open_storage(f"local://{tmp_path}/run")  # fsspec's own, which has a rename


def put(storage: Storage, name: str, content: bytes) -> None:
    storage.write(name, lambda file: file.write(content))


class TestFiles:
    def test_are_read_as_they_were_written(self, storage):
        put(storage, "parts/a%2Fb/0.parquet", b"first")
        put(storage, "manifest.json", b"{}")
        assert storage.read("parts/a%2Fb/0.parquet") == b"first"
        assert storage.names() == ["manifest.json", "parts"]
        assert storage.names("parts") == ["a%2Fb"]
        assert storage.names("parts/a%2Fb") == ["0.parquet"]

    def test_are_written_anew(self, storage):
        put(storage, "a", b"first, and longer")
        put(storage, "a", b"second")
        assert storage.read("a") == b"second"
        assert storage.names() == ["a"]

    def test_none_where_nothing_is(self, storage):
        assert storage.names() == storage.names("parts/a") == []
        with pytest.raises(OSError, match=r"."):
            storage.read("a")

    def test_that_cannot_be_finished_are_not_there(self, storage):
        def half(file) -> None:
            file.write(b"half")
            raise MemoryError

        with pytest.raises(MemoryError):
            storage.write("a", half)
        assert storage.names() == []

    def test_of_a_storage_that_was_sent_to_another_process(self, storage):
        put(storage, "a", b"content")
        sent = pickle.loads(pickle.dumps(storage))  # noqa: S301
        assert sent.read("a") == b"content"
        assert str(sent) == str(storage)

    def test_what_killed_writers_left_does_not_count(self, tmp_path):
        (tmp_path / "parts").mkdir()
        (tmp_path / "parts" / f"{UNFINISHED}1").write_bytes(b"half")
        for storage in (open_storage(tmp_path), open_storage(f"local://{tmp_path}")):
            assert storage.names("parts") == []
        with open_storage(tmp_path).lock():
            assert not list(tmp_path.rglob(f"{UNFINISHED}*"))


class TestObjectStore:
    def test_a_chunk_is_one_put(self, s3, shots):
        url = s3.url("one-put")
        s3.request_log.requests.clear()
        run_evaluation(shots, url)
        puts = [line.partition("?")[0] for line in s3.request_log.requests if line.startswith(("PUT", "POST"))]
        chunks = [line for line in puts if "/parts/" in line]
        assert sorted(chunks) == [f"PUT /one-put/{key}" for key in s3.keys("one-put") if "/parts/" in key]
        assert len(chunks) == 3
        assert set(puts) - set(chunks) == {"PUT /one-put/run/manifest.json"}

    def test_the_same_rows_as_in_a_folder(self, s3, shots, finished):
        url = s3.url("same-rows")
        assert run_evaluation(shots, url).rows().equals(finished.rows())
        assert Store(url).rows().equals(finished.rows())

    @pytest.mark.slow
    def test_a_run_goes_on_there(self, s3, shots, finished):
        url = s3.url("goes-on")
        with pytest.raises(KeyboardInterrupt):
            run_evaluation(shots, url, listener=RecordingListener(33, raises(KeyboardInterrupt())))
        listener = RecordingListener()
        assert run_evaluation(shots, url, listener=listener).rows().equals(finished.rows())
        assert listener.started == (70, 32)

    @pytest.mark.slow
    def test_a_table_of_it(self, s3, shots, finished, run):
        url = s3.url("a-table")
        run_evaluation(shots, url)
        remote, local = run("table", url), run("table", finished.storage)
        assert remote.code == 0, remote.err
        assert remote.out == local.out.replace(str(finished.storage), url)

    def test_another_run_is_refused_there(self, s3, shots, finished):
        url = s3.url("another")
        run_evaluation(shots, url)
        with pytest.raises(OptionError, match=r"holds results of another run: the photographs differ"):
            run_evaluation(shots, url, limit=69)

    def test_a_bucket_that_is_not_there(self, s3, shots):
        url = s3.url("there").replace("//there", "//not-there")
        with pytest.raises(OptionError) as caught:
            run_evaluation(shots, url, limit=1)
        assert str(caught.value).startswith(f"{url}: manifest.json cannot be written (")
        assert str(caught.value).endswith("); check the address and the credentials")
        assert "\n" not in str(caught.value)

    @pytest.mark.slow
    def test_nobody_answers(self, s3, shots):
        url = "s3://bucket/run?scheme=http&endpoint_override=127.0.0.1:1"
        with pytest.raises(OptionError) as caught:
            run_evaluation(shots, url, limit=1)
        assert str(caught.value).startswith(f"{url}: cannot be reached (")


class TestOpenStorage:
    @pytest.mark.parametrize("where", ["run", Path("run"), "a/b", "C:run"])
    def test_a_folder(self, where):
        assert isinstance(open_storage(where), FolderStorage)
        assert str(open_storage(where)) == str(Path(where))

    def test_a_file_url_is_a_folder(self, tmp_path):
        assert open_storage(f"file://{tmp_path}").path == tmp_path

    def test_a_storage_is_itself(self, tmp_path):
        storage = open_storage(tmp_path)
        assert open_storage(storage) is storage

    def test_urls(self):
        assert isinstance(open_storage("s3://bucket/run?region=us-east-1"), RemoteStorage)
        assert str(open_storage("memory://a/run/")) == "memory://a/run"

    def test_a_scheme_that_nobody_knows(self):
        with pytest.raises(OptionError) as caught:
            open_storage("foo://bucket/run")
        assert str(caught.value) == (
            "foo://bucket/run: cannot be used (Protocol not known: foo); expected a folder, or a URL such as "
            "s3://bucket/run or gs://bucket/run (others need their fsspec package, such as adlfs or sshfs)"
        )

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
    def test_a_folder_that_cannot_be_read(self, tmp_path):
        tmp_path.chmod(0)
        try:
            with pytest.raises(OptionError, match="cannot be read"):
                open_storage(tmp_path).names()
        finally:
            tmp_path.chmod(0o755)
