"""Data sets of arrays: digits, .npz files and what torchvision reads."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mnas.datasets import CIFAR10Dataset, CIFAR100Dataset, DigitsDataset, FashionMNISTDataset, NpzDataset
from mnas.errors import SettingsError

FASHION = Path(__file__).parents[3] / "shared" / "data" / "fashion-mnist" / "fashion-mnist.npz"


def arrays(train=40, test=20, size=8, classes=2, seed=0):
    generator = np.random.default_rng(seed)
    return {
        "x_train": generator.integers(0, 256, (train, size, size), dtype=np.uint8),
        "y_train": np.arange(train) % classes,
        "x_test": generator.integers(0, 256, (test, size, size), dtype=np.uint8),
        "y_test": np.arange(test) % classes,
    }


@pytest.fixture
def save(tmp_path):
    def write(**changes):
        path = tmp_path / "set.npz"
        np.savez(path, **{key: value for key, value in {**arrays(), **changes}.items() if value is not None})
        return NpzDataset(path=path, resolution=8)

    return write


def test_digits_have_the_documented_splits():
    digits = DigitsDataset()
    sizes = {part: len(digits.split(part)) for part in ("train", "validation", "trainval", "test")}
    assert sizes == {"train": 1078, "validation": 359, "trainval": 1437, "test": 360}
    assert digits.class_names == tuple("0123456789")
    assert (digits.channels, digits.resolution, digits.mirrors) == (1, 16, False)


def test_the_test_split_stays_whatever_the_options_are():
    first = DigitsDataset(resolution=8).split("test").pixels
    other = DigitsDataset(resolution=8, validation=0.5, split_seed=3)
    assert torch.equal(first, other.split("test").pixels)
    assert len(other.split("validation")) == 718


def test_another_split_seed_holds_out_other_images():
    one, two = (DigitsDataset(resolution=8, split_seed=seed).split("validation").pixels for seed in (0, 1))
    assert not torch.equal(one, two)


def test_images_are_resized_to_the_resolution():
    assert DigitsDataset(resolution=24).split("test").pixels.shape == (360, 1, 24, 24)


def test_a_process_loads_its_images_once():
    assert DigitsDataset().split("train") is DigitsDataset().split("train")


def test_npz_pixels_and_labels_come_out_as_they_went_in(save):
    dataset, stored = save(), arrays()
    assert torch.equal(dataset.split("test").pixels[:, 0], torch.from_numpy(stored["x_test"]))
    assert dataset.split("test").labels.tolist() == stored["y_test"].tolist()
    assert dataset.name == "set"
    assert dataset.class_names == ("0", "1")


def test_npz_takes_colour_named_classes_and_labels_in_a_column(save):
    colour = {f"x_{part}": np.repeat(arrays()[f"x_{part}"][..., None], 3, axis=3) for part in ("train", "test")}
    dataset = save(**colour, class_names=np.array(["cat", "dog"]), y_train=arrays()["y_train"][:, None])
    assert dataset.channels == 3
    assert dataset.class_names == ("cat", "dog")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y_test": None}, "y_test missing, it holds x_test, x_train, y_train"),
        ({"x_train": arrays()["x_train"].astype(np.float32)}, "x_train should be uint8.*got float32"),
        ({"x_train": arrays()["x_train"][:, 0]}, r"x_train should be uint8.*shape \(40, 8\)"),
        ({"x_test": arrays(size=9)["x_test"]}, "one shape"),
        ({"y_train": arrays()["y_train"][:30]}, r"y_train should be 40 whole numbers.*\(30,\)"),
        ({"y_train": arrays()["y_train"] * 0.5}, "y_train should be 40 whole numbers.*got float64"),
        ({"y_train": np.zeros(40, int), "y_test": np.zeros(20, int)}, "at least two classes.*got 1"),
        ({"y_test": arrays()["y_test"] * 2}, "y_train has no image of class 2"),
        ({"y_train": arrays()["y_train"] * 2}, "y_train has no image of class 1"),
        ({"y_train": arrays()["y_train"] - 1}, "from 0 to 1, got -1 to 0"),
        ({"y_test": arrays()["y_test"] + 10**9}, "the largest is 1000000001, for 40"),
        ({"class_names": np.array(["cat", "dog", "cow"])}, "y_train has no image of class cow"),
    ],
)
def test_npz_files_that_are_wrong_are_refused_with_what_is_wrong(save, changes, words):
    with pytest.raises(SettingsError, match=words):
        save(**changes).split("train")


@pytest.mark.parametrize("content", [b"", b"not a zip file", None])
def test_what_is_no_npz_file_is_refused(tmp_path, content):
    path = tmp_path / "set.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"set\.npz"):
        NpzDataset(path=path).split("train")


def test_an_npz_file_of_pickled_objects_is_refused(save):
    with pytest.raises(SettingsError, match="plain arrays"):
        save(y_train=np.array([{}] * 40, dtype=object)).split("train")


def test_options_out_of_range_are_refused():
    with pytest.raises(SettingsError, match="resolution"):
        DigitsDataset(resolution=0)
    with pytest.raises(SettingsError, match="validation"):
        DigitsDataset(validation=0)


def test_fashion_mnist_is_read_from_a_folder_in_torchvision_layout(tmp_path):
    pytest.importorskip("sklearn")
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    data = arrays(train=40, test=20, size=28, classes=10)
    for part, stem in (("train", "train"), ("test", "t10k")):
        images, labels = data[f"x_{part}"], data[f"y_{part}"].astype(np.uint8)
        for kind, header, content in (
            ("images-idx3", struct.pack(">IIII", 0x803, *images.shape), images),
            ("labels-idx1", struct.pack(">II", 0x801, len(labels)), labels),
        ):
            (raw / f"{stem}-{kind}-ubyte").write_bytes(header + content.tobytes())
            with gzip.open(raw / f"{stem}-{kind}-ubyte.gz", "wb") as packed:
                packed.write(header + content.tobytes())
    dataset = FashionMNISTDataset(path=tmp_path, resolution=28, validation=0.25)
    assert torch.equal(dataset.split("test").pixels[:, 0], torch.from_numpy(data["x_test"]))
    assert dataset.class_names[0] == "T-shirt/top"
    assert dataset.mirrors


def test_cifar_is_read_from_a_folder_in_torchvision_layout(tmp_path, monkeypatch):
    """The archive's own format; only the checksums are those of the test's small files."""
    from mnas._torchvision import import_torchvision

    import_torchvision()
    from torchvision.datasets import CIFAR10

    def write(path, content):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pickle.dumps(content))
        return [path.name, hashlib.md5(path.read_bytes()).hexdigest()]

    folder = tmp_path / CIFAR10.base_folder
    pixels = np.random.default_rng(0).integers(0, 256, (40, 3072), dtype=np.uint8)
    names = [f"class{i}" for i in range(10)]
    batch = {"data": pixels, "labels": [i % 10 for i in range(40)]}
    monkeypatch.setattr(CIFAR10, "train_list", [write(folder / "data_batch_1", batch)])
    monkeypatch.setattr(CIFAR10, "test_list", [write(folder / "test_batch", batch)])
    meta = write(folder / "batches.meta", {"label_names": names})
    monkeypatch.setattr(CIFAR10, "meta", {"filename": meta[0], "key": "label_names", "md5": meta[1]})
    dataset = CIFAR10Dataset(path=tmp_path, validation=0.25)
    assert torch.equal(dataset.split("test").pixels, torch.from_numpy(pixels.reshape(40, 3, 32, 32)))
    assert dataset.class_names == tuple(names)
    assert dataset.channels == 3


@pytest.mark.parametrize("make", [FashionMNISTDataset, CIFAR10Dataset, CIFAR100Dataset])
def test_a_folder_without_the_data_set_is_refused(make, tmp_path):
    with pytest.raises(SettingsError, match="does not hold"):
        make(path=tmp_path).split("train")
    with pytest.raises(SettingsError, match="there is no folder"):
        make(path=tmp_path / "absent").split("train")


def test_a_failed_download_says_what_to_do(tmp_path, monkeypatch):
    from mnas._torchvision import import_torchvision

    import_torchvision()
    from torchvision.datasets import CIFAR10

    def refuse(self):
        raise OSError("no network")

    monkeypatch.setenv("MNAS_CACHE", str(tmp_path))
    monkeypatch.setattr(CIFAR10, "download", refuse)
    with pytest.raises(SettingsError, match=r"could not be downloaded.*no network.*path"):
        CIFAR10Dataset().split("train")


@pytest.mark.skipif(not FASHION.is_file(), reason=f"{FASHION} is not there")
def test_fashion_mnist_is_read_from_an_npz_file():
    dataset = FashionMNISTDataset(path=FASHION, resolution=28)
    assert (len(dataset.split("train")), len(dataset.split("validation")), len(dataset.split("test"))) == (
        54_000, 6_000, 10_000,
    )  # fmt: skip
    assert dataset.class_names[9] == "Ankle boot"
    assert dataset.mean == pytest.approx([0.286], abs=0.001)  # known of this data set
    assert dataset.std == pytest.approx([0.353], abs=0.001)


def test_the_package_is_imported_without_torch():
    code = "import sys, mnas.datasets, mnas.training; assert not {'torch', 'sklearn', 'PIL'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
