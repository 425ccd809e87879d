"""S3: a real server of its protocol on the loopback; what is fetched, kept, verified and said."""

import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from moto.server import ThreadedMotoServer

from dltrain_trainer.data import remote
from dltrain_trainer.data.cache import locked
from dltrain_trainer.data.load import load_data
from dltrain_trainer.data.remote import Fetching, RemoteObject, copy, fetch, listed, s3
from dltrain_trainer.errors import DataError
from tests.trainer.pipeline.builders import settings

BUCKET = "pictures"
FILES = {"set/a.bin": b"a" * 10, "set/deep/b.bin": b"b" * 5_000_000, "other.bin": b"c"}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def client(address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    urllib.request.urlopen(urllib.request.Request(f"{address}/moto-api/reset", method="POST")).close()
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "DLTRAIN_CACHE": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    for key, data in FILES.items():
        client.put_object(Bucket=BUCKET, Key=key, Body=data)
    yield client
    client.close()


class Counting:
    """A file system that counts what is opened, and may spoil what is read."""

    def __init__(self, files: Any, spoil: Callable[[bytes], bytes] = lambda data: data) -> None:
        self.files, self.spoil = files, spoil
        self.opened: list[str] = []

    def find(self, where: str, detail: bool) -> Any:
        return self.files.find(where, detail=detail)

    def get_file(self, key: str, path: str, callback: Any) -> None:
        self.opened.append(key)
        self.files.get_file(key, path, callback=callback)
        Path(path).write_bytes(self.spoil(Path(path).read_bytes()))

    def call_s3(self, method: str, **arguments: Any) -> Any:
        return self.files.call_s3(method, **arguments)


class Sealing(Counting):
    """A file system whose tags are no MD5 of anything, as those of stores that encrypt by a key."""

    def find(self, where: str, detail: bool) -> Any:
        found = super().find(where, detail)
        return {key: {**facts, "ETag": '"0123456789abcdef0123456789abcdef"'} for key, facts in found.items()}


def contents(folder: Path) -> dict[str, bytes | None]:
    """All that is in a folder but the manifest; None for folders."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if path.name != "fetched.json"
    }


def quiet(line: str) -> None:
    """Nobody reads the log."""


def test_everything_below_a_prefix_is_fetched_and_said(client: Any, tmp_path: Path) -> None:
    said: list[str] = []
    folder = fetch(f"s3://{BUCKET}/set", tmp_path, said.append)
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.bin")}
    assert found == {"a.bin": FILES["set/a.bin"], "deep/b.bin": FILES["set/deep/b.bin"]}
    assert said[0] == f"fetching s3://{BUCKET}/set: 2 of 2 objects"
    assert said[1].endswith(" of 5 MB")


def test_an_object_is_a_file(client: Any, tmp_path: Path) -> None:
    assert fetch(f"s3://{BUCKET}/other.bin", tmp_path, quiet).read_bytes() == b"c"


def test_nothing_is_fetched_twice_but_what_has_changed(client: Any, tmp_path: Path) -> None:
    files = Counting(s3())
    fetch(f"s3://{BUCKET}/set", tmp_path, quiet, files)
    fetch(f"s3://{BUCKET}/set", tmp_path, quiet, files)
    assert sorted(files.opened) == [f"{BUCKET}/set/a.bin", f"{BUCKET}/set/deep/b.bin"]
    client.put_object(Bucket=BUCKET, Key="set/a.bin", Body=b"A" * 10)
    folder = fetch(f"s3://{BUCKET}/set", tmp_path, quiet, files)
    assert files.opened[2:] == [f"{BUCKET}/set/a.bin"]
    assert (folder / "a.bin").read_bytes() == b"A" * 10


def test_what_is_deleted_in_the_bucket_goes_here_too_with_the_folders_that_are_empty_then(
    client: Any, tmp_path: Path
) -> None:
    fetch(f"s3://{BUCKET}/set", tmp_path, quiet)
    client.delete_object(Bucket=BUCKET, Key="set/deep/b.bin")
    folder = fetch(f"s3://{BUCKET}/set", tmp_path, quiet)
    assert contents(folder) == {"a.bin": FILES["set/a.bin"]}


READER = """
import sys
from pathlib import Path
from dltrain_trainer.data.remote import fetch
print(fetch(sys.argv[1], Path(sys.argv[2]), lambda line: None), flush=True)
sys.stdin.read()
"""


@contextmanager
def reader(address: str, cache: Path) -> Iterator[Path]:
    """The folder that another process reads."""
    command = [sys.executable, "-c", READER, address, str(cache)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Path(process.stdout.readline().strip())
        finally:
            process.kill()


def test_what_another_process_reads_stays_as_it_is_for_as_long_as_that_lives(client: Any, tmp_path: Path) -> None:
    address, files = f"s3://{BUCKET}/set", Counting(s3())
    with reader(address, tmp_path) as read:
        client.delete_object(Bucket=BUCKET, Key="set/a.bin")
        client.put_object(Bucket=BUCKET, Key="set/c.bin", Body=b"c")
        folder = fetch(address, tmp_path, quiet, files)
        assert contents(read) == {"a.bin": FILES["set/a.bin"], "deep": None, "deep/b.bin": FILES["set/deep/b.bin"]}
        assert contents(folder) == {"c.bin": b"c", "deep": None, "deep/b.bin": FILES["set/deep/b.bin"]}
        assert files.opened == [f"{BUCKET}/set/c.bin"], "the rest is linked"
        assert fetch(address, tmp_path, quiet, files) == folder
    assert fetch(address, tmp_path, quiet, files) == folder
    assert sorted(each for each in tmp_path.iterdir() if each.is_dir()) == [folder], "nobody reads the other any more"


def test_what_came_while_another_rank_fetched_is_fetched_too(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def fetching(folder: Path) -> Iterator[None]:
        """Another rank has held the lock meanwhile."""
        client.put_object(Bucket=BUCKET, Key="set/c.bin", Body=b"c")
        with locked(folder):
            yield

    monkeypatch.setattr(remote, "locked", fetching)
    assert contents(fetch(f"s3://{BUCKET}/set", tmp_path, quiet))["c.bin"] == b"c"


def test_an_object_may_take_the_place_of_a_folder_and_a_folder_that_of_an_object(client: Any, tmp_path: Path) -> None:
    fetch(f"s3://{BUCKET}/set", tmp_path, quiet)
    for key in ("set/a.bin", "set/deep/b.bin"):
        client.delete_object(Bucket=BUCKET, Key=key)
    for key in ("set/a.bin/c", "set/deep"):
        client.put_object(Bucket=BUCKET, Key=key, Body=b"new")
    folder = fetch(f"s3://{BUCKET}/set", tmp_path, quiet)
    assert contents(folder) == {"a.bin": None, "a.bin/c": b"new", "deep": b"new"}


def test_ranks_that_ask_at_the_same_time_fetch_once(client: Any, tmp_path: Path) -> None:
    files = Counting(s3())
    threads = [threading.Thread(target=fetch, args=(f"s3://{BUCKET}/set", tmp_path, quiet, files)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(files.opened) == [f"{BUCKET}/set/a.bin", f"{BUCKET}/set/deep/b.bin"]


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        pytest.param(lambda data: data[:-1] + b"x", "arrived as 10 bytes with MD5", id="changed"),
        pytest.param(lambda data: b"", "arrived as 0 bytes with MD5", id="cut short"),
    ],
)
def test_an_object_that_arrives_damaged_is_named_and_the_others_stay(
    client: Any, tmp_path: Path, spoil: Callable[[bytes], bytes], found: str
) -> None:
    files = Counting(s3(), spoil)
    with pytest.raises(DataError) as refused:
        fetch(f"s3://{BUCKET}/set/a.bin", tmp_path, quiet, files)
    assert str(refused.value).startswith(f"s3://{BUCKET}/set/a.bin: {found}")
    files.spoil = lambda data: data
    assert fetch(f"s3://{BUCKET}/set/a.bin", tmp_path, quiet, files).read_bytes() == FILES["set/a.bin"]


def test_an_upload_in_several_parts_is_known_by_its_size(client: Any, tmp_path: Path) -> None:
    wanted = RemoteObject(f"{BUCKET}/other.bin", "other.bin", 2, "0cc175b9c0f1b6a831c399e269772661-3")
    with pytest.raises(DataError, match=r"other\.bin: arrived as 1 bytes with MD5 \w+, not 2 bytes; start"):
        copy(wanted, tmp_path, s3(), Fetching(2, quiet))


@pytest.mark.parametrize(
    "encryption", [{"ServerSideEncryption": "aws:kms"}, {"SSECustomerAlgorithm": "AES256"}], ids=["KMS", "own key"]
)
def test_an_object_that_is_encrypted_by_a_key_is_known_by_its_size(
    client: Any, tmp_path: Path, encryption: dict[str, str]
) -> None:
    files = Sealing(s3())
    files.call_s3 = lambda method, **arguments: {  # type: ignore[method-assign]
        ("head_object", BUCKET, "set/a.bin"): encryption
    }[method, arguments["Bucket"], arguments["Key"]]
    assert fetch(f"s3://{BUCKET}/set/a.bin", tmp_path, quiet, files).read_bytes() == FILES["set/a.bin"]
    (tmp_path / "again").mkdir()
    files.spoil = lambda data: data[:-1]
    with pytest.raises(DataError, match=r"set/a\.bin: arrived as 9 bytes"):
        fetch(f"s3://{BUCKET}/set/a.bin", tmp_path / "again", quiet, files)


def test_the_store_is_asked_how_an_object_is_encrypted_before_its_tag_is_believed(client: Any, tmp_path: Path) -> None:
    client.put_object(Bucket=BUCKET, Key="sealed.bin", Body=b"s", ServerSideEncryption="aws:kms")
    client.put_object(Bucket=BUCKET, Key="plain.bin", Body=b"p", ServerSideEncryption="AES256")
    files = Sealing(s3())
    assert fetch(f"s3://{BUCKET}/sealed.bin", tmp_path, quiet, files).read_bytes() == b"s"
    for key in ("plain.bin", "other.bin"):
        with pytest.raises(DataError, match=rf"{key}: arrived as 1 bytes with MD5 \w+, not 1 bytes with MD5 0123"):
            fetch(f"s3://{BUCKET}/{key}", tmp_path, quiet, files)


def test_what_was_fetched_before_a_failure_is_not_fetched_again(client: Any, tmp_path: Path) -> None:
    files = Counting(s3(), lambda data: data if len(data) == 10 else b"")
    with pytest.raises(DataError, match=r"deep/b\.bin"):
        fetch(f"s3://{BUCKET}/set", tmp_path, quiet, files)
    files.opened, files.spoil = [], lambda data: data
    fetch(f"s3://{BUCKET}/set", tmp_path, quiet, files)
    assert files.opened == [f"{BUCKET}/set/deep/b.bin"]


def test_an_object_that_goes_while_it_is_fetched_is_named(client: Any, tmp_path: Path) -> None:
    [gone] = listed(f"s3://{BUCKET}/other.bin", s3())
    client.delete_object(Bucket=BUCKET, Key="other.bin")
    with pytest.raises(DataError, match=r"s3://pictures/other\.bin: does not exist; correct spec"):
        copy(gone, tmp_path, s3(), Fetching(1, quiet))


@pytest.mark.parametrize(
    ("where", "message"),
    [
        pytest.param("pictures/nothing", "s3://pictures/nothing: there is nothing; correct", id="no such key"),
        pytest.param("no-such-bucket/a", "s3://no-such-bucket/a: ", id="no such bucket"),
    ],
)
def test_an_address_with_nothing_is_named(client: Any, tmp_path: Path, where: str, message: str) -> None:
    with pytest.raises(DataError) as refused:
        fetch(f"s3://{where}", tmp_path, quiet)
    assert message in str(refused.value)


def test_an_empty_object_that_stands_for_the_folder_is_left_out(client: Any, tmp_path: Path) -> None:
    for key in ("set/", "set/deep/"):
        client.put_object(Bucket=BUCKET, Key=key)
    folder = fetch(f"s3://{BUCKET}/set/", tmp_path, quiet)
    assert contents(folder) == {"a.bin": FILES["set/a.bin"], "deep": None, "deep/b.bin": FILES["set/deep/b.bin"]}


def test_a_folder_with_nothing_but_the_object_that_stands_for_it_has_nothing(client: Any, tmp_path: Path) -> None:
    client.put_object(Bucket=BUCKET, Key="bare/")
    with pytest.raises(DataError, match=r"^s3://pictures/bare/: there is nothing; correct spec"):
        fetch(f"s3://{BUCKET}/bare/", tmp_path, quiet)


def test_a_full_disk_is_said_to_be_full(client: Any, tmp_path: Path) -> None:
    def fill(data: bytes) -> bytes:
        raise OSError(28, "No space left on device")

    with pytest.raises(DataError, match=r"cannot write .*: No space left on device; make room, or set DLTRAIN_CACHE"):
        fetch(f"s3://{BUCKET}/set", tmp_path, quiet, Counting(s3(), fill))


def test_a_server_that_cannot_be_reached_is_named_with_what_to_check(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(DataError, match=r"s3://pictures/set: cannot be read \(.*check the address, the credentials"):
        fetch(f"s3://{BUCKET}/set", tmp_path, quiet)


def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    class Hostile:
        def find(self, where: str, detail: bool) -> Any:
            return {f"{BUCKET}/set/../../x": {"size": 1, "ETag": '""'}}

    with pytest.raises(DataError, match=r"has \.\. in its name"):
        fetch(f"s3://{BUCKET}/set", tmp_path, quiet, Hostile())


@pytest.mark.parametrize(
    ("tag", "md5"),
    [
        ("0cc175b9c0f1b6a831c399e269772661", "0cc175b9c0f1b6a831c399e269772661"),
        ("0cc175b9c0f1b6a831c399e269772661-3", None),
    ],
    ids=["one part", "several parts"],
)
def test_only_the_tag_of_an_upload_in_one_part_is_its_md5(tag: str, md5: str | None) -> None:
    assert RemoteObject("a", "a", 1, tag).md5 == md5


def test_a_job_reads_its_data_from_s3(client: Any, tmp_path: Path) -> None:
    path = Path(tmp_path) / "set.npz"
    np.savez(path, x=np.zeros((50, 4, 4), np.uint8), y=np.arange(50) % 2)
    client.upload_file(str(path), BUCKET, "npz/set.npz")
    loaded = load_data(settings(source=f"s3://{BUCKET}/npz/set.npz", format="npz"), tell=quiet)
    assert loaded.dataset.shape == (1, 4, 4)
    [manifest] = (tmp_path / "cache" / "datasets" / "remote").glob("*/fetched.json")
    assert [each["path"] for each in json.loads(manifest.read_text())] == ["set.npz"]
