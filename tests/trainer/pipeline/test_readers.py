"""Files of each format: what is read from them, and what is said of damaged ones."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from dltrain.api.data import Window
from dltrain_trainer.data.load import Loaded, load_data
from dltrain_trainer.data.readers.parts import Arrays
from dltrain_trainer.data.readers.windows import windows_of
from dltrain_trainer.errors import DataError
from tests.trainer.pipeline.builders import images, settings
from tests.trainer.pipeline.pictures import picture, picture_folder

CSV = """town,age,size,kind
Bonn,30,1.5,cat
Ulm,,2.5,dog
Bonn,50,,cat
,70,4.5,dog
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DLTRAIN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def load(path: Path, form: str, *transforms: dict[str, Any], **others: Any) -> Loaded:
    return load_data(settings(*transforms, source=f"file://{path}", format=form, **others), tell=lambda line: None)


def write(path: Path, text: str = CSV) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def declared(folder: Path, form: str = "csv", rows: str = CSV) -> Path:
    for name in ("train", "test"):
        write(folder / f"{name}.{form}", rows)
    return folder


def test_a_csv_file_becomes_columns_of_numbers_with_gaps(tmp_path: Path) -> None:
    dataset = load(declared(tmp_path / "set"), "csv", target=["kind"]).dataset
    expected = [[0, 30, 1.5], [1, np.nan, 2.5], [0, 50, np.nan], [np.nan, 70, 4.5]]
    np.testing.assert_array_equal(dataset.train.inputs, np.array(expected, np.float32))
    assert dataset.train.targets.tolist() == [0, 1, 0, 1]
    assert [(feature.name, feature.categories) for feature in dataset.features] == [
        ("town", ("Bonn", "Ulm")),
        ("age", ()),
        ("size", ()),
    ]
    assert (dataset.classes, dataset.outputs, dataset.task) == (("cat", "dog"), 2, "classification")


def test_columns_may_be_chosen(tmp_path: Path) -> None:
    dataset = load(declared(tmp_path / "set"), "csv", target=["kind"], columns=["size", "age"]).dataset
    assert [feature.name for feature in dataset.features] == ["size", "age"]
    np.testing.assert_array_equal(dataset.train.inputs[0], [1.5, 30])


def test_parquet_holds_the_same_as_csv(tmp_path: Path) -> None:
    from_csv = load(declared(tmp_path / "csv"), "csv", target=["kind"]).dataset
    table = pa.csv.read_csv(
        tmp_path / "csv" / "train.csv", convert_options=pa.csv.ConvertOptions(strings_can_be_null=True)
    )
    (tmp_path / "parquet").mkdir()
    for name in ("train", "test"):
        words = table.set_column(0, "town", table["town"].dictionary_encode())
        pa.parquet.write_table(words, tmp_path / "parquet" / f"{name}.parquet")
    from_parquet = load(tmp_path / "parquet", "parquet", target=["kind"]).dataset
    torch.testing.assert_close(from_parquet.train.inputs, from_csv.train.inputs, equal_nan=True)
    assert (from_parquet.features, from_parquet.classes) == (from_csv.features, from_csv.classes)


@pytest.mark.parametrize(
    ("name", "text", "others"),
    [
        pytest.param("a.csv", CSV.replace(",", ";"), {"delimiter": ";"}, id="another delimiter"),
        pytest.param("a.csv", CSV.replace(",", "\t"), {"delimiter": "\t"}, id="tabs"),
        pytest.param("a.csv", "\ufeff" + CSV.replace("\n", "\r\n"), {}, id="as spreadsheets write it"),
    ],
)
def test_dialects_of_csv(tmp_path: Path, name: str, text: str, others: dict[str, Any]) -> None:
    path = write(tmp_path / name, text * 1 + "\n".join(text.splitlines()[1:] * 20) + "\n")
    dataset = load(path, "csv", target=["kind"], split={"test": 0.3}, **others).dataset
    assert len(dataset.train) + len(dataset.test) == 84
    assert [feature.name for feature in dataset.features] == ["town", "age", "size"]


def test_a_packed_csv_file_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for name in ("train", "test"):
        (tmp_path / "set" / f"{name}.csv.gz").write_bytes(gzip.compress(CSV.encode()))
    assert len(load(tmp_path / "set", "csv", target=["kind"]).dataset.train) == 4


def test_a_folder_of_part_files_is_one_table(tmp_path: Path) -> None:
    for index in range(30):
        write(tmp_path / "set" / f"part-{index:02}.csv", CSV)
    dataset = load(tmp_path / "set", "csv", target=["kind"]).dataset
    assert len(dataset.train) + len(dataset.test) == 120


@pytest.mark.parametrize(
    ("train", "test", "others", "message"),
    [
        pytest.param(
            "age,w,y\n1,2,0\n", "Age,w,y\n1,2,0\n", {}, "test.csv: has no column age; did you mean Age?", id="missing"
        ),
        pytest.param(
            "w,y\n2,0\n",
            "age,w,y\n1,2,0\n",
            {},
            "test.csv: has column age, which {folder}/train.csv has not; write them alike, or name those to learn from "
            "in spec.pipeline.data.columns",
            id="one more",
        ),
        pytest.param(
            "age,w,y\n1,2,0\n",
            "Age,w,y\n1,2,0\n",
            {"columns": ["w", "age"]},
            "test.csv: has no column age; did you mean Age?",
            id="a chosen one",
        ),
        pytest.param(
            "w,y\n2,0\n", "w,x\n2,0\n", {"columns": ["w"]}, "test.csv: has no column y; it has w, x", id="the target"
        ),
        pytest.param(
            "w,y\n2,0\n",
            "w,y,w\n2,0,1\n",
            {"columns": ["w"]},
            "test.csv: has column w more than once; give each column a name of its own",
            id="a chosen one twice",
        ),
        pytest.param(
            "w,y,w\n2,0,1\n",
            "w,y\n2,0\n",
            {},
            "train.csv: has column w more than once; give each column a name of its own",
            id="one twice",
        ),
    ],
)
def test_files_with_different_columns_are_refused_by_file_and_column(
    tmp_path: Path, train: str, test: str, others: dict[str, Any], message: str
) -> None:
    write(tmp_path / "train.csv", train)
    write(tmp_path / "test.csv", test)
    with pytest.raises(DataError) as refused:
        load(tmp_path, "csv", target=["y"], **others)
    assert str(refused.value) == f"{tmp_path}/{message.format(folder=tmp_path)}"


def test_files_may_differ_in_columns_that_are_not_chosen_and_in_their_order(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "note,w,y\n7,2,0\n8,3,1\n")
    write(tmp_path / "test.csv", "y,w,other,note\n1,4,0,late\n")
    dataset = load(tmp_path, "csv", target=["y"], columns=["w"]).dataset
    assert (dataset.train.inputs.tolist(), dataset.test.inputs.tolist()) == ([[2], [3]], [[4]])
    assert (dataset.train.targets.tolist(), dataset.test.targets.tolist()) == ([0, 1], [1])


def test_line_breaks_in_quotes_are_read_wherever_they_are(tmp_path: Path) -> None:
    row = '"' + "a\n" * 1000 + '",{}\n'
    path = write(tmp_path / "a.csv", "x,y\n" + "".join(row.format(index % 2) for index in range(2000)))
    dataset = load(path, "csv", target=["y"]).dataset
    assert len(dataset.train) + len(dataset.test) == 2000
    assert [feature.categories for feature in dataset.features] == [("a\n" * 1000,)]


@pytest.mark.parametrize(
    ("rows", "others", "message"),
    [
        pytest.param(
            "x,y,p\n1,0,test\n2,0,test\n3,1,validation\n",
            {"split": {"column": "p"}},
            "no row of column p says train (validation 1, test 2); correct spec.pipeline.data.split.column",
            id="by a column",
        ),
        pytest.param(
            "x,y,p\n",
            {"split": {"column": "p"}},
            "no row of column p says train; correct spec.pipeline.data.split.column",
            id="by a column without rows",
        ),
        pytest.param("x,y\n", {}, "has no rows to train with; correct spec.pipeline.data.source", id="no rows"),
    ],
)
def test_a_table_without_rows_to_train_with_is_refused(
    tmp_path: Path, rows: str, others: dict[str, Any], message: str
) -> None:
    path = write(tmp_path / "a.csv", rows)
    with pytest.raises(DataError) as refused:
        load(path, "csv", target=["y"], **others)
    assert str(refused.value) == f"{path}: {message}"


def test_a_column_may_say_which_split_a_row_is_in(tmp_path: Path) -> None:
    rows = "x,y,part\n1,0,train\n2,1,train\n3,1,test\n4,0,validation\n"
    dataset = load(write(tmp_path / "a.csv", rows), "csv", target=["y"], split={"column": "part"}).dataset
    assert [
        split.inputs.flatten().tolist() for split in (dataset.train, dataset.validation, dataset.test) if split
    ] == [
        [1, 2],
        [4],
        [3],
    ]


@pytest.mark.parametrize(
    ("task", "target", "expected"),
    [
        pytest.param("classification", ["b"], [0, 2, 1, 0], id="whole numbers are classes in their order"),
        pytest.param("regression", ["b", "c"], [[10, 0], [30, 1], [20, 1], [10, 0]], id="numbers"),
        pytest.param("multilabel", ["c", "d"], [[0, 1], [1, 1], [1, 0], [0, 0]], id="labels"),
    ],
)
def test_tasks(tmp_path: Path, task: str, target: list[str], expected: list[Any]) -> None:
    rows = "a,b,c,d\n1,10,0,true\n2,30,1,true\n3,20,1,false\n4,10,0,false\n"
    dataset = load(declared(tmp_path / "set", rows=rows), "csv", target=target, task=task).dataset
    assert dataset.train.targets.tolist() == expected
    assert dataset.task == task


def test_classes_that_are_whole_numbers_have_all_their_digits_in_their_names(tmp_path: Path) -> None:
    rows = "a,b\n1,1234568\n2,-3\n3,1234567\n4,20\n5,9007199254740992\n"
    dataset = load(declared(tmp_path / "set", rows=rows), "csv", target=["b"]).dataset
    assert dataset.classes == ("-3", "20", "1234567", "1234568", "9007199254740992")
    assert dataset.train.targets.tolist() == [3, 0, 2, 1, 4]


def test_a_window_makes_samples_of_a_series(tmp_path: Path) -> None:
    rows = "t,u\n" + "".join(f"{i},{i * i}\n" for i in range(20))
    path = declared(tmp_path / "set", rows=rows)
    dataset = load(path, "csv", target=["u"], window={"length": 3, "horizon": 2}).dataset
    assert dataset.train.inputs.shape == (16, 3, 2)
    assert dataset.train.inputs[5].tolist() == [[5, 25], [6, 36], [7, 49]]
    assert dataset.train.targets[5].tolist() == [64, 81]
    assert (dataset.task, dataset.outputs) == ("regression", 2)


def test_windows_are_a_view_of_their_rows_until_they_are_divided() -> None:
    rows = Arrays(np.arange(40.0).reshape(20, 2), np.arange(20.0)[:, None])
    found = windows_of(rows, Window(length=5, horizon=2), "rows").inputs
    facts = (found.shape, str(found.dtype), found.strides, found.flags.writeable)
    assert facts == ((14, 5, 2), "float32", (8, 8, 4), False)
    np.testing.assert_array_equal(found[13], rows.inputs[13:18])


def test_a_number_that_is_too_large_is_found_in_a_window_too(tmp_path: Path) -> None:
    rows = "t,u\n" + "".join(f"{1e300 if index == 4 else index},0\n" for index in range(20))
    path = declared(tmp_path / "set", rows=rows)
    with pytest.raises(DataError, match=r"has an infinite value at \(2, 2, 0\)"):
        load(path, "csv", target=["u"], columns=["t"], window={"length": 3})


@pytest.mark.parametrize(("spare", "stored"), [(0, 1), (1, 0)], ids=["large", "small"])
def test_a_series_goes_by_the_size_of_its_windows_into_the_store(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, spare: int, stored: int
) -> None:
    path = write(tmp_path / "a.csv", "t\n" + "".join(f"{index}\n" for index in range(100)))
    monkeypatch.setattr("dltrain_trainer.data.load.LARGE_BYTES", path.stat().st_size * 8 + spare)
    load(path, "csv", target=["t"], window={"length": 8})
    assert len(list((cache / "datasets" / "prepared").glob("*/train.inputs.npy"))) == stored


@pytest.mark.parametrize(
    ("rows", "others", "message"),
    [
        pytest.param("x,y\n1,0\n", {"target": ["z"]}, "has no column z; it has x, y", id="no such target"),
        pytest.param(
            "size,y\n1,0\n", {"target": ["y"], "columns": ["sise"]}, "did you mean size?", id="a misspelt column"
        ),
        pytest.param("y\n1\n0\n", {"target": ["y"]}, "leaves no column to learn from", id="nothing to learn from"),
        pytest.param("x,y\n1,0\n2,\n", {"target": ["y"]}, "target y has no value in row 2", id="a gap in the target"),
        pytest.param(
            "x,y\n1,0.5\n", {"target": ["y"]}, "has the value 0.5, which is no class; set task", id="no class"
        ),
        pytest.param("x,y\n1,0\n1,inf\n", {"target": ["y"]}, "has the value inf, which is no class", id="endless"),
        pytest.param(
            "x,y\n1,a\n", {"target": ["y"], "task": "regression"}, "holds text, which is no regression", id="text"
        ),
        pytest.param("x,y,z\n1,0,0\n", {"target": ["y", "z"]}, "classification has one target, not y, z", id="two"),
        pytest.param("x,y\n2020-01-01,0\n", {"target": ["y"]}, "column x holds date32[day], not numbers", id="a date"),
        pytest.param("x,y\n1,0,7\n", {"target": ["y"]}, "is no sound csv file", id="a row too long"),
        pytest.param("x,y,p\n1,0,dev\n", {"target": ["y"], "split": {"column": "p"}}, "column p says dev", id="a word"),
        pytest.param(
            "x,y\n1,0\n", {"target": ["y"], "window": {"length": 5}}, "has 1 rows, a window needs 6", id="short"
        ),
    ],
)
def test_a_table_that_does_not_fit_the_job_is_refused(
    tmp_path: Path, rows: str, others: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError) as refused:
        load(write(tmp_path / "a.csv", rows), "csv", **others)
    assert message in str(refused.value)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_file_that_is_missing_or_no_table_is_named(tmp_path: Path, form: str) -> None:
    with pytest.raises(DataError, match=rf"nothing\.{form}: cannot be read \(No such file or directory\); mount"):
        load(tmp_path / f"nothing.{form}", form, target=["y"])
    path = tmp_path / f"broken.{form}"
    path.write_bytes(b"\0\xff" * 50 + b"\n\n,,,")
    with pytest.raises(DataError, match=rf"broken\.{form}: "):
        load(path, form, target=["y"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: has no \.(csv|parquet)"):
        load(tmp_path / "empty", form, target=["y"])


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


X, Y = np.arange(400, dtype=np.float32).reshape(100, 4), np.arange(100) % 3


def test_an_npz_file_may_have_all_splits_or_one(tmp_path: Path) -> None:
    both = npz(
        tmp_path / "a.npz", x_train=X, y_train=Y, x_validation=X[:7], y_validation=Y[:7], x_test=X[:9], y_test=Y[:9]
    )
    dataset = load(both, "npz").dataset
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test) if split] == [100, 7, 9]
    one = load(npz(tmp_path / "b.npz", x=X, y=Y), "npz").dataset
    assert len(one.train) + len(one.test) == 100
    assert [feature.name for feature in one.features] == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        pytest.param({"images": X}, "lacks x_train, y_train; it has images; save the arrays under", id="other names"),
        pytest.param({"x_train": X, "y_train": Y, "x_test": X}, "lacks y_test", id="no test targets"),
        pytest.param({"x_train": X, "y_train": np.array([{}] * 100)}, "is no sound .npz file", id="pickled objects"),
    ],
)
def test_an_npz_file_that_lacks_something_is_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as refused:
        load(npz(tmp_path / "a.npz", **arrays), "npz")
    assert message in str(refused.value)


def test_a_large_file_is_read_into_the_store_once_and_mapped(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dltrain_trainer.data.load.LARGE_BYTES", 1)
    path = npz(tmp_path / "a.npz", x=X, y=Y)
    first = load(path, "npz").dataset
    monkeypatch.setattr("dltrain_trainer.data.load.FORMATS", {"npz": lambda path, data: pytest.fail("is read again")})
    second = load(path, "npz").dataset
    torch.testing.assert_close(second.train.inputs, first.train.inputs)
    assert second.features == first.features
    assert len(list((cache / "datasets" / "prepared").glob("*/train.inputs.npy"))) == 1


def idx_folder(folder: Path) -> Path:
    folder.mkdir()
    for prefix, pictures in (("train", images(20, channels=1)), ("t10k", images(10, channels=1, seed=1))):
        count, _, height, width = pictures.shape
        data = struct.pack(">HBBIII", 0, 8, 3, count, height, width) + pictures.numpy().tobytes()
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(data))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 8, 1, count) + bytes(range(count)))
    return folder


def test_an_idx_folder_has_two_splits(tmp_path: Path) -> None:
    dataset = load(idx_folder(tmp_path / "set"), "idx").dataset
    torch.testing.assert_close(dataset.train.inputs, images(20, channels=1))
    assert dataset.test.targets.tolist() == list(range(10))


def test_resize_and_denoise_at_the_start_are_done_when_the_data_is_read(tmp_path: Path) -> None:
    path = idx_folder(tmp_path / "set")
    loaded = load(path, "idx", {"resize": {"height": 8, "width": 8}}, {"denoise": {}}, {"normalize": {}})
    assert (loaded.dataset.train.inputs.shape, loaded.layout.shape) == ((20, 1, 8, 8), (1, 8, 8))
    assert [step.name for step in loaded.done] == ["resize", "median"]
    plain = load(path, "idx").dataset.train.inputs
    expected = plain.float()
    for step in loaded.done:
        expected = step(expected)
    torch.testing.assert_close(loaded.dataset.train.inputs, expected.to(torch.uint8))


def test_a_folder_of_images_has_its_classes_in_order_and_its_pixels_as_they_are(tmp_path: Path) -> None:
    dataset = load(picture_folder(tmp_path / "set"), "image-folder").dataset
    assert (dataset.classes, dataset.train.inputs.shape) == (("cat", "dog"), (12, 3, 10, 20))
    reds = dataset.train.inputs[:, 0, 0, 0].tolist()
    assert sorted(reds) == [index * 20 for index in range(12)]
    assert dataset.train.targets.tolist() == [0 if red // 20 % 2 else 1 for red in reds]


def test_the_first_samples_of_a_folder_show_all_classes(tmp_path: Path) -> None:
    dataset = load(picture_folder(tmp_path / "set"), "image-folder", limit={"train": 6}).dataset
    assert len(dataset.train) == 6
    assert set(dataset.train.targets.tolist()) == {0, 1}


def test_a_folder_without_splits_is_divided(tmp_path: Path) -> None:
    for index in range(100):
        picture(tmp_path / "set" / "ab"[index % 2] / f"{index}.jpg", (index, 0, 0))
    dataset = load(tmp_path / "set", "image-folder", split={"validation": 0.2}).dataset
    counts = [len(split) for split in (dataset.train, dataset.validation, dataset.test) if split]
    assert sum(counts) == 100
    assert min(counts) > 5


def test_gray_images_have_one_channel_and_images_of_any_size_are_scaled(tmp_path: Path) -> None:
    root = picture_folder(tmp_path / "set", sizes=((20, 10), (9, 30)), mode="L", suffix="jpeg")
    loaded = load(root, "image-folder", {"resize": {"height": 8, "width": 6}})
    assert loaded.dataset.train.inputs.shape == (12, 1, 8, 6)


def test_what_the_store_decodes_is_what_inference_makes_of_the_same_pixels(tmp_path: Path) -> None:
    pixels = images(1, height=40, width=30)[0]
    for name in ("train", "test"):
        (tmp_path / "set" / name / "a").mkdir(parents=True)
        Image.fromarray(pixels.movedim(0, 2).numpy()).save(tmp_path / "set" / name / "a" / "0.png")
    loaded = load(tmp_path / "set", "image-folder", {"resize": {"height": 8, "width": 6}})
    torch.testing.assert_close(loaded.dataset.train.inputs[0].float(), loaded.done[0](pixels[None].float())[0])


@pytest.mark.parametrize(
    ("what", "message"),
    [
        pytest.param(lambda p: p.write_bytes(p.read_bytes()[:45]), "1.png: cannot be read (", id="cut short"),
        pytest.param(lambda p: p.write_bytes(b"GIF?"), "1.png: cannot be read (cannot identify", id="no image"),
        pytest.param(lambda p: picture(p, 1000, mode="I;16"), "1.png: has more than 8 bits a channel", id="16 bits"),
        pytest.param(lambda p: picture(p, 0, (5, 5)), " pixels, ", id="another size"),
    ],
)
def test_a_damaged_image_is_named(tmp_path: Path, what: Callable[[Path], object], message: str) -> None:
    root = picture_folder(tmp_path / "set")
    what(root / "train" / "cat" / "1.png")
    with pytest.raises(DataError) as refused:
        load(root, "image-folder")
    assert message in str(refused.value)


def test_an_image_of_16_bits_is_found_wherever_it_is(tmp_path: Path) -> None:
    root = picture_folder(tmp_path / "set")
    for index in range(12):
        path = root / "train" / ("cat" if index % 2 else "dog") / f"{index}.png"
        sound = path.read_bytes()
        picture(path, 1000, mode="I;16")
        with pytest.raises(DataError) as refused:
            load(root, "image-folder")
        assert str(refused.value) == f"{path}: has more than 8 bits a channel (mode I;16); convert it to 8"
        path.write_bytes(sound)


def test_images_in_folders_that_are_links_are_told_from_those_that_were_there_before(tmp_path: Path) -> None:
    root, elsewhere = picture_folder(tmp_path / "set"), tmp_path / "elsewhere"
    (root / "train" / "cat").rename(elsewhere)
    (root / "train" / "cat").symlink_to(elsewhere)
    (elsewhere / "around").symlink_to(root)
    assert len(load(root, "image-folder").dataset.train) == 12
    picture(elsewhere / "new.png", (7, 0, 0))
    assert len(load(root, "image-folder").dataset.train) == 13


def test_a_build_that_was_cut_short_is_done_again(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = picture_folder(tmp_path / "set")
    with monkeypatch.context() as patch:
        patch.setattr("dltrain_trainer.data.readers.decoding.dataset_of", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            load(root, "image-folder")
    assert len(list((cache / "datasets" / "prepared").glob("*/train.inputs.npy"))) == 1
    assert len(load(root, "image-folder").dataset.train) == 12


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda root: None, "cannot be read (No such file or directory); mount the data", id="no folder"),
        pytest.param(lambda root: root.mkdir(), "has no folders of images, one for each class", id="nothing in it"),
        pytest.param(lambda root: write(root / "cat" / "a.txt"), "has no PNG or JPEG files below cat", id="no images"),
        pytest.param(
            lambda root: picture(picture_folder(root) / "test" / "cow" / "a.png", 0),
            "has class cow, which no training image shows",
            id="an unknown class",
        ),
    ],
)
def test_a_folder_that_is_no_set_of_images_is_refused(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    make(tmp_path / "set")
    with pytest.raises(DataError) as refused:
        load(tmp_path / "set", "image-folder")
    assert message in str(refused.value)


def test_files_that_are_no_images_are_left_out_and_said(tmp_path: Path) -> None:
    root = picture_folder(tmp_path / "set")
    write(root / "train" / "cat" / "notes.txt")
    said: list[str] = []
    load_data(settings(source=f"file://{root}", format="image-folder"), tell=said.append)
    assert f"{root}/train: 1 of 13 files are no PNG or JPEG and are left out" in said


def test_a_claim_that_is_not_mounted_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="the claim photos is not mounted here; use file:// on this machine"):
        load_data(settings(source="pvc://photos/animals", format="image-folder"))
    monkeypatch.setattr("dltrain_trainer.data.load.CLAIMS", tmp_path)
    picture_folder(tmp_path / "photos" / "animals")
    assert len(load_data(settings(source="pvc://photos/animals", format="image-folder")).dataset.train) == 12
