"""Sending to, and bringing back from, a real server of S3's protocol that fails, is slow, cuts short and damages."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dltrain.api.storage import S3
from dltrain.bucket.folder import BucketFolder
from dltrain.bucket.system import CONFIGURATION
from dltrain.errors import DamagedObjectError, StorageAwayError, StorageError
from dltrain_agent.storage.owner import FencedError, Ownership
from dltrain_agent.storage.sender import Sender
from tests.buckets import BUCKET, BucketServer

ADDRESS = f"s3://{BUCKET}/team/tiny-01234567"
PREFIX = "team/tiny-01234567/"
MEBIBYTE = 1 << 20


def bucket(buckets: BucketServer, **settings: Any) -> BucketFolder:
    return BucketFolder(ADDRESS, S3.model_validate({"endpoint": buckets.address, "partSizeMiB": 5, **settings}))


def sender(buckets: BucketServer, folder: Path, incarnation: int = 1, keep: int = 2, **more: Any) -> Sender:
    folder.mkdir(parents=True, exist_ok=True)
    where = bucket(buckets)
    return Sender(folder, where, owner=Ownership(where, incarnation), keep=keep, **more)


def checkpoint(folder: Path, step: int, content: bytes = b"weights") -> Path:
    """A checkpoint as the trainer writes it."""
    made = folder / "checkpoints" / f"step-{step:08}"
    made.mkdir(parents=True)
    files = {"state.safetensors": content, "state.json": json.dumps({"step": step}).encode()}
    for name, data in files.items():
        (made / name).write_bytes(data)
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    (made / "manifest.json").write_text(json.dumps({"version": 1, "files": sums}))
    return made


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_was_sent_comes_back_to_another_pod(buckets: BucketServer, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    told = []
    first = sender(buckets, one, stored=lambda step, address: told.append((step, address)))
    checkpoint(one, 10, b"a" * 12 * MEBIBYTE)
    (one / "metrics.jsonl").write_text("{}\n")
    (one / "compression").mkdir()
    (one / "compression" / "course.json").write_text("{}")
    first.send()
    sender(buckets, other, incarnation=2).bring_back()
    assert content(other) == content(one)
    assert told == [(10, f"{ADDRESS}/checkpoints/step-00000010")]
    assert first.waiting.names == ()


def test_large_files_go_up_in_parts_with_checksums_and_encryption(buckets: BucketServer, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 12 * MEBIBYTE)
    bucket(buckets, serverSideEncryption="aws:kms", kmsKeyId="alias/models").put(tmp_path / "large", "large")
    client = buckets.client
    found = client.head_object(Bucket=BUCKET, Key=f"{PREFIX}large")
    client.close()
    assert found["ETag"].strip('"').endswith("-3")
    assert found["Metadata"] == {"sha256": hashlib.sha256(b"x" * 12 * MEBIBYTE).hexdigest()}
    assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", "alias/models")


def test_records_are_there_before_the_checkpoint_that_speaks_of_them_and_its_manifest_last(
    buckets: BucketServer, tmp_path: Path
) -> None:
    first = sender(buckets, tmp_path / "job")
    checkpoint(tmp_path / "job", 10)
    (tmp_path / "job" / "metrics.jsonl").write_text("{}\n")
    first.send()
    names = [key.removeprefix(PREFIX) for key in buckets.written()]
    assert names[0] == "metrics.jsonl"
    assert names[-1] == "checkpoints/step-00000010/manifest.json"


def test_old_checkpoints_and_what_was_removed_are_deleted(buckets: BucketServer, tmp_path: Path) -> None:
    first = sender(buckets, tmp_path / "job", keep=2)
    for step in (10, 20, 30):
        checkpoint(tmp_path / "job", step)
        (tmp_path / "job" / f"product-{step}.onnx").write_text("")
        first.send()
    (tmp_path / "job" / "product-10.onnx").unlink()
    first.send()
    steps = {key.split("/")[3] for key in buckets.sizes(f"{PREFIX}checkpoints")}
    assert steps == {"step-00000020", "step-00000030"}
    assert f"{PREFIX}product-10.onnx" not in buckets.sizes()
    assert f"{PREFIX}product-20.onnx" in buckets.sizes()


def test_a_damaged_newest_checkpoint_is_passed_over(buckets: BucketServer, tmp_path: Path) -> None:
    first = sender(buckets, tmp_path / "one")
    checkpoint(tmp_path / "one", 10)
    (checkpoint(tmp_path / "one", 20) / "state.safetensors").write_bytes(b"other")
    first.send()
    sender(buckets, tmp_path / "other", 2).bring_back()
    assert [path.name for path in (tmp_path / "other" / "checkpoints").iterdir()] == ["step-00000010"]


def test_a_checkpoint_that_was_only_half_sent_is_not_brought_back(buckets: BucketServer, tmp_path: Path) -> None:
    first = sender(buckets, tmp_path / "one")
    checkpoint(tmp_path / "one", 10)
    first.send()
    checkpoint(tmp_path / "one", 20)
    buckets.fault = lambda method, path: "busy" if method == "PUT" and "20/manifest" in path else None
    with pytest.raises(StorageAwayError):
        first.send()
    buckets.fault = lambda _method, _path: None
    sender(buckets, tmp_path / "other", 2).bring_back()
    assert [path.name for path in (tmp_path / "other" / "checkpoints").iterdir()] == ["step-00000010"]
    first.send()
    assert f"{PREFIX}checkpoints/step-00000020/manifest.json" in buckets.sizes()


@pytest.mark.parametrize("fault", ["busy", "slow", "cut", "damaged", "deaf"])
def test_a_server_that_fails_now_and_then_is_asked_again(buckets: BucketServer, tmp_path: Path, fault: Any) -> None:
    first = sender(buckets, tmp_path / "one")
    checkpoint(tmp_path / "one", 10, b"a" * 6 * MEBIBYTE)
    seen: Counter[str] = Counter()

    def once(method: str, path: str) -> Any:
        key = f"{method} {path}" if "state.safetensors" in path else ""
        seen[key] += bool(key)
        return fault if key and method in {"PUT", "GET"} and seen[key] == 1 else None

    buckets.fault = once
    first.send()
    sender(buckets, tmp_path / "other", 2).bring_back()
    assert content(tmp_path / "other") == content(tmp_path / "one")
    assert max(seen.values()) > 1 or fault == "slow"


def test_what_always_arrives_damaged_is_named(buckets: BucketServer, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("content")
    bucket(buckets).put(tmp_path / "a", "a")
    buckets.fault = lambda method, path: "damaged" if method == "GET" and path.endswith("/a") else None
    with pytest.raises(DamagedObjectError, match=f"{ADDRESS}/a: arrived damaged"):
        bucket(buckets).get("a", tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_what_is_not_what_was_written_is_named(buckets: BucketServer, tmp_path: Path) -> None:
    client = buckets.client
    client.put_object(Bucket=BUCKET, Key=f"{PREFIX}a", Body=b"other", Metadata={"sha256": "0" * 64})
    client.close()
    with pytest.raises(DamagedObjectError, match=rf"{ADDRESS}/a: arrived damaged: its SHA-256 is d9298a1\w+, not 0+$"):
        bucket(buckets).get("a", tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_away_is_said_to_be_away_and_what_is_wrong_for_good_is_said_to_be(
    buckets: BucketServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONFIGURATION, "retries", {"max_attempts": 1})
    (tmp_path / "a").write_text("content")
    buckets.fault = lambda _method, _path: "busy"
    with pytest.raises(StorageAwayError, match=rf"{ADDRESS}/a: cannot be reached"):
        bucket(buckets).put(tmp_path / "a", "a")
    buckets.fault = lambda _method, _path: None
    nowhere = BucketFolder("s3://no-such-bucket/a", S3(endpoint=buckets.address))
    with pytest.raises(StorageError, match=r"s3://no-such-bucket/a/a: refused .*check the address") as refused:
        nowhere.put(tmp_path / "a", "a")
    assert not isinstance(refused.value, StorageAwayError)


def test_a_pod_that_was_replaced_sends_nothing_any_more(buckets: BucketServer, tmp_path: Path) -> None:
    where = bucket(buckets)
    old, new = Ownership(where, 1), Ownership(where, 2)
    old.claim()
    old.check()
    new.claim()
    stale = Sender(tmp_path, where, owner=old, keep=1)
    (tmp_path / "a").write_text("")
    with pytest.raises(FencedError, match=f"incarnation 2 of this worker writes {ADDRESS} now"):
        stale.send()
    with pytest.raises(FencedError):
        old.claim()
    assert list(buckets.sizes()) == [f"{PREFIX}.owner.json"]


@pytest.mark.parametrize("state", ["ending", "closed"])
def test_a_pod_that_was_replaced_does_not_write_over_the_mark_of_its_successor(
    buckets: BucketServer, tmp_path: Path, state: Any
) -> None:
    where = bucket(buckets)
    old, new = Ownership(where, 1), Ownership(where, 2)
    old.claim()
    new.claim()
    with pytest.raises(FencedError):
        old.say(state)  # else nothing would keep it from sending what it has
    assert where.read_json(".owner.json") == {"incarnation": 2, "state": "open"}


def test_a_successor_waits_for_a_pod_that_ends_and_not_for_one_that_was_lost(
    buckets: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = bucket(buckets)
    old, new = Ownership(where, 1), Ownership(where, 2)
    looks: list[float] = []

    def close(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            old.say("closed")

    monkeypatch.setattr("dltrain_agent.storage.owner.time.sleep", close)
    old.say("ending")
    new.claim()
    assert len(looks) == 2
    Ownership(where, 3).claim()
    assert len(looks) == 2


def test_a_file_that_changes_while_it_is_sent_is_sent_again(buckets: BucketServer, tmp_path: Path) -> None:
    first = sender(buckets, tmp_path / "job")
    log = tmp_path / "job" / "metrics.jsonl"
    log.write_text("one\n")

    def append(method: str, path: str) -> None:
        if method == "PUT" and path.endswith("metrics.jsonl") and log.stat().st_size == 4:
            with log.open("a") as file:
                file.write("two\n")

    buckets.fault = append
    first.send()
    assert first.waiting.names == ("metrics.jsonl",)
    first.send()
    assert buckets.sizes()[f"{PREFIX}metrics.jsonl"] == 8


def test_a_name_that_leads_out_of_the_folder_is_refused(buckets: BucketServer) -> None:
    class Hostile:
        def find(self, root: str, detail: bool) -> dict[str, Any]:
            return {f"{root}/../../x": {"size": 1}}

    with pytest.raises(StorageError, match=r"has \.\. in its name"):
        BucketFolder(ADDRESS, files=Hostile()).list()
