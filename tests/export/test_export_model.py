"""Promises of exports: files that agree with torch on real images, or none; each format, fp32 and int8."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F

from mnas.errors import ExportError, SettingsError
from mnas.export import FORMATS, Tolerance, export_model
from mnas.export import _converted_file as module_under_test
from mnas.export._check import Comparison
from mnas.models import Preprocessing, TrainedModel, build_model
from mnas.space import Architecture

# Every kind of layer and skip that the spaces have.
SMALL = Architecture.parse(
    "input_r16_c1 stem_k3_s1_c8 cn_r2_k3_s1_c8 ir_r2_k3_s2_e3_c16_se0.25 ds_r1_k5_s2_c16_pool ir_r1_k5_s1_e3_c24 "
    "head_c32_n10"
)


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    from sklearn.datasets import load_digits

    found = load_digits()
    pixels = torch.from_numpy(found.images).float()[:, None] * (255 / 16)
    return F.interpolate(pixels, (16, 16)).to(torch.uint8), torch.from_numpy(found.target).long()


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture(scope="module")
def trained(data) -> TrainedModel:
    """A small network that knows digits: 100 steps, a few seconds."""
    pixels, labels = data
    preprocessing = Preprocessing(16, 1, (0.3,), (0.38,), 1.0)
    module = build_model(SMALL.replace(bn_momentum=0.1), seed=0)
    optimizer = torch.optim.Adam(module.parameters(), 0.004)
    images, generator = preprocessing.normalize(pixels[:1200]), torch.Generator().manual_seed(0)
    for _ in range(100):
        chosen = torch.randint(1200, (96,), generator=generator)
        optimizer.zero_grad()
        F.cross_entropy(module(images[chosen]), labels[:1200][chosen]).backward()
        optimizer.step()
    return TrainedModel(module.eval(), tuple("0123456789"), preprocessing)


def export(trained, data, folder, formats=("onnx",), int8=False, **changes):
    pixels, labels = data
    arguments = {"calibration": pixels[:64], "check": (pixels[1200:1400], labels[1200:1400])} | changes
    return export_model(trained, folder, formats, int8, **arguments)


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def needs(name: str) -> None:
    for package in FORMATS[name].packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")


def test_onnx_files_are_written_and_say_what_was_checked(trained, data, tmp_path):
    fp32, int8 = export(trained, data, tmp_path, int8=True)
    assert names(tmp_path) == ["model-int8.onnx", "model-int8.onnx.json", "model.onnx", "model.onnx.json"]
    for exported, precision in ((fp32, "fp32"), (int8, "int8")):
        content = exported.path.read_bytes()
        assert (exported.format, exported.precision, exported.opset) == ("onnx", precision, 17)
        assert (exported.bytes, exported.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert exported.images == 200
        assert exported.torch_accuracy > 0.9  # the network knows something, or the checks below mean nothing
        assert {"onnx", "onnxruntime", "mnas"} <= exported.versions.keys()
        properties = {entry.key: entry.value for entry in onnx.load(exported.path).metadata_props}
        assert json.loads(properties["preprocessing"])["mean"] == [0.3]
        assert json.loads(properties["class_names"]) == list("0123456789")
        assert properties["architecture"] == str(trained.architecture)
    assert fp32.largest_difference <= 1e-5
    assert (fp32.agreement, fp32.accuracy) == (1.0, fp32.torch_accuracy)
    assert int8.largest_difference > 1e-3
    assert int8.agreement > 0.9


def test_what_a_user_has_to_know_lies_beside_the_file(trained, data, tmp_path):
    (exported,) = export(trained, data, tmp_path, dynamic_batch=True)
    described = json.loads(exported.description.read_text())
    assert Preprocessing.from_dict(described["preprocessing"]) == trained.preprocessing
    assert described["class_names"] == list("0123456789")
    assert Architecture.parse(described["architecture"]) == trained.architecture
    assert (described["file"], described["sha256"]) == ("model.onnx", exported.sha256)
    assert (described["format"], described["precision"], described["is_multilabel"]) == ("onnx", "fp32", False)
    assert described["inputs"] == [tensor("images", ["batch", 1, 16, 16])]
    assert described["outputs"] == [tensor("logits", ["batch", 10])]


def tensor(name, shape, type_name="float32", quantization=None):
    return {"name": name, "shape": shape, "type": type_name, "quantization": quantization}


def answer(described, path, image) -> int:
    """The class that an app finds, which knows the description and the runtime alone."""
    from ai_edge_litert.interpreter import Interpreter

    (source,), (target,) = described["inputs"], described["outputs"]
    pre = described["preprocessing"]
    values = (image.numpy() / 255 - np.array(pre["mean"])[:, None, None]) / np.array(pre["std"])[:, None, None]
    steps = np.round(values / source["quantization"]["scale"] + source["quantization"]["zero"])
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    indices = {each["name"]: each["index"] for each in interpreter.get_tensor_details()}
    interpreter.set_tensor(
        indices[source["name"]], steps.clip(-128, 127).astype(source["type"]).reshape(source["shape"])
    )
    interpreter.invoke()
    return int(interpreter.get_tensor(indices[target["name"]]).argmax())


def test_the_accuracy_stated_is_that_of_the_file(trained, data, tmp_path):
    (_, int8) = export(trained, data, tmp_path, int8=True)
    session = onnxruntime.InferenceSession(int8.path, providers=["CPUExecutionProvider"])
    images = trained.preprocessing.normalize(data[0][1200:1400]).numpy()
    found = [session.run(None, {"images": image[None]})[0].argmax() for image in images]
    assert int8.accuracy == pytest.approx(np.mean(np.array(found) == data[1][1200:1400].numpy()))


def test_the_module_stays_as_it_is(trained, data, tmp_path):
    trained.module.train()
    before = {key: value.clone() for key, value in trained.module.state_dict().items()}
    try:
        export(trained, data, tmp_path, int8=True)
        assert trained.module.training
    finally:
        trained.module.eval()
    assert all(torch.equal(before[key], value) for key, value in trained.module.state_dict().items())


@pytest.mark.parametrize("int8", [False, True])
def test_a_dynamic_batch_takes_several_images(trained, data, tmp_path, int8):
    path = export(trained, data, tmp_path, int8=int8, dynamic_batch=True)[-1].path
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.run(None, {"images": np.zeros((5, 1, 16, 16), np.float32)})[0].shape == (5, 10)


def damaged(converted):
    """Converts another network: the last convolution's channels in reverse order."""

    def convert(trained, *rest, **options):
        other = build_model(trained.architecture, seed=0).eval()
        other.load_state_dict(trained.module.state_dict())
        with torch.no_grad():
            other.head.conv.weight.copy_(other.head.conv.weight.flip(0))
        return converted(TrainedModel(other, trained.class_names, trained.preprocessing), *rest, **options)

    return convert


@pytest.mark.parametrize(
    ("int8", "words"), [(False, "differ from torch's by"), (True, "predicted classes are torch's")]
)
def test_a_file_that_disagrees_is_not_there_afterwards(trained, data, tmp_path, monkeypatch, int8, words):
    """Nor is one of the same name from before, which would be taken for it."""
    name = "model-int8.onnx" if int8 else "model.onnx"
    for old in (name, f"{name}.json"):
        (tmp_path / old).write_bytes(b"from before")
    right, calls = module_under_test.converted, []

    def convert(*arguments, **options):
        calls.append(arguments)
        return (damaged(right) if len(calls) == 1 + int8 else right)(*arguments, **options)

    monkeypatch.setattr(module_under_test, "converted", convert)
    with pytest.raises(ExportError, match=rf"{name} was not written: .*{words}"):
        export(trained, data, tmp_path, int8=int8)
    assert names(tmp_path) == (["model.onnx", "model.onnx.json"] if int8 else [])


def test_int8_calibrated_on_other_images_fails_by_its_predictions(trained, data, tmp_path):
    """Black images tell nothing of what tensors are on digits."""
    with pytest.raises(ExportError, match=r"int8.onnx was not written: .*Calibrate on more images"):
        export(trained, data, tmp_path, int8=True, calibration=torch.zeros(8, 1, 16, 16, dtype=torch.uint8))


def test_the_tolerance_can_be_chosen_and_is_recorded(trained, data, tmp_path):
    strict = Tolerance(int8_agreement=1.0, int8_accuracy_loss=0.0, fp32_difference=0.0)
    with pytest.raises(ExportError, match="of the largest output, where at most 0e"):
        export(trained, data, tmp_path, tolerance=strict)
    (exported,) = export(trained, data, tmp_path, tolerance=Tolerance(fp32_difference=0.5))
    assert exported.tolerance.fp32_difference == 0.5
    with pytest.raises(SettingsError, match="int8_agreement should be from 0 to 1, got 80"):
        Tolerance(int8_agreement=80)


def test_a_loss_of_accuracy_fails_even_where_predictions_agree():
    """90 % equal predictions of torch's are within the tolerance; losing 10 % of accuracy is not."""
    expected = np.eye(10, dtype=np.float32)[np.arange(1000) % 10]
    found = expected.copy()
    found[:100] = np.roll(found[:100], 1, axis=1)
    labels = np.arange(1000) % 10
    with pytest.raises(ExportError, match=r"accuracy is 90.0% and torch's 100.0% .* 10.0% lost, .* at most 2.0%"):
        Comparison.of(found, expected, labels).check(True, Tolerance())
    Comparison.of(found, expected, (labels + 5) % 10).check(True, Tolerance())  # nothing was right before either


def test_several_labels_per_image_are_compared_one_by_one(trained, data, tmp_path):
    several = TrainedModel(trained.module, trained.class_names, trained.preprocessing, is_multilabel=True)
    pixels, labels = data
    yes = F.one_hot(labels[1200:1400], 10).to(torch.uint8)
    (exported,) = export(several, data, tmp_path, check=(pixels[1200:1400], yes))
    with torch.no_grad():
        logits = trained.module(trained.preprocessing.normalize(pixels[1200:1400]))
    assert exported.torch_accuracy == pytest.approx(((logits > 0) == yes).float().mean().item())
    with pytest.raises(SettingsError, match=r"should have the shape \(200, 10\), got \(200,\)"):
        export(several, data, tmp_path)


def test_what_is_asked_wrongly_is_refused_before_anything_is_converted(trained, data, tmp_path, monkeypatch):
    monkeypatch.setattr(module_under_test, "converted", None)
    pixels, labels = data
    cases = [
        ({"formats": ("onnx", "litter")}, "unknown export format 'litter': did you mean 'litert'"),
        ({"folder": tmp_path / "no"}, "there is no such folder"),
        ({"check": None}, "checked on at least 8 images"),
        ({"check": (pixels[:3], labels[:3])}, "checked on at least 8 images"),
        ({"int8": True, "calibration": None}, "int8 needs images to calibrate on"),
        ({"check": (pixels[:9].float(), labels[:9])}, "images should be uint8"),
    ]
    for changes, words in cases:
        with pytest.raises(SettingsError, match=words):
            export(trained, data, **{"folder": tmp_path, **changes})


@pytest.mark.parametrize("name", ["litert", "executorch"])
def test_a_missing_library_names_its_extra(trained, data, tmp_path, monkeypatch, name):
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    with pytest.raises(SettingsError, match=rf"which is not installed: pip install 'mnas\[{name}\]'"):
        export(trained, data, tmp_path, (name,))


def test_a_diverged_model_is_not_exported(trained, data, tmp_path):
    other = build_model(trained.architecture, seed=0)
    with torch.no_grad():
        other.classifier.bias.fill_(float("nan"))
    with pytest.raises(ExportError, match="its training diverged"):
        export(TrainedModel(other, trained.class_names, trained.preprocessing), data, tmp_path)


_FULL_DISK = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_export_model import *
pixels, labels = digits()
model = TrainedModel(build_model(SMALL, seed=0), tuple("0123456789"), Preprocessing(16, 1, (0.3,), (0.38,), 1.0))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
export_model(model, Path({folder!r}), ["onnx"], check=(pixels[:9], labels[:9]))
"""


@pytest.mark.slow
def test_a_full_disk_leaves_no_file(tmp_path):
    code = _FULL_DISK.format(tests=str(__file__).rpartition("/")[0], folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "StorageError: cannot write" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["litert", "executorch"])
def test_files_of_slow_converters_agree_too(trained, data, tmp_path, name, capfd, monkeypatch):
    """And what these libraries print and write stays away: they work in a process of their own."""
    needs(name)
    (tmp_path / "here").mkdir()
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    fp32, int8 = export(trained, data, tmp_path / "out", (name,), int8=True)
    assert capfd.readouterr() == ("", "")
    suffix = FORMATS[name].suffix
    files = [f"model-int8{suffix}", f"model{suffix}"]
    assert names(tmp_path / "out") == sorted(files + [f"{file}.json" for file in files])
    described = json.loads(int8.description.read_text())
    if name == "litert":
        found = [answer(described, int8.path, image) for image in data[0][1200:1400]]
        assert np.mean(np.array(found) == data[1][1200:1400].numpy()) == pytest.approx(int8.accuracy)
    else:
        assert (described["inputs"], described["outputs"]) == (
            [tensor(None, [1, 1, 16, 16])],
            [tensor(None, [1, 10])],
        )
    assert fp32.largest_difference < 1e-5
    assert int8.agreement > 0.9
    assert int8.largest_difference > 1e-3
    assert not list((tmp_path / "here").iterdir())


@pytest.mark.slow
def test_a_conversion_ends_with_the_process_that_asked_for_it_and_leaves_nothing(
    trained, data, tmp_path, monkeypatch
):
    needs("litert")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    child = multiprocessing.get_context("fork").Process(target=export, args=(trained, data, tmp_path, ("litert",)))
    child.start()
    wait_until(lambda: list(tmp_path.glob("*/images.npy")))
    time.sleep(2)  # now it is at work
    child.kill()
    child.join()
    wait_until(lambda: not list(tmp_path.glob("*")))


def wait_until(holds) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_what_a_converter_cannot_is_said_in_its_words(trained, data, tmp_path, monkeypatch):
    needs("litert")
    (tmp_path / "torchao").mkdir()
    (tmp_path / "torchao" / "__init__.py").write_text("raise RuntimeError('no such luck')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{next(p for p in sys.path if p.endswith('src'))}")
    with pytest.raises(ExportError, match="runtime 'litert' cannot convert it: RuntimeError: no such luck"):
        export(trained, data, tmp_path, ("litert",))
