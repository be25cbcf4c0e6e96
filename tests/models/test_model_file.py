"""Promises of model files: all comes back, nothing is executed, and what is no whole model file is refused."""

from __future__ import annotations

import pickle
import resource
import subprocess
import sys

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mnas.errors import SettingsError, StorageError
from mnas.models import Preprocessing, TrainedModel, build_model, load_model, save_model
from mnas.space import Architecture, Head, Stem, count_params

SMALL = Architecture.parse("input_r16_c1 stem_k3_s2_c8 ds_r1_k3_s1_c8 ir_r2_k3_s2_e3_c16_se0.25 head_c32_n3")


def preprocessing_of(architecture: Architecture, **changes: object) -> Preprocessing:
    channels = architecture.input_channels
    fields = {"mean": (0.4,) * channels, "std": (0.25,) * channels, "crop_share": 0.875} | changes
    return Preprocessing(architecture.resolution, channels, **fields)  # type: ignore[arg-type]


def trained(architecture: Architecture = SMALL, **changes: object) -> TrainedModel:
    module = build_model(architecture, dropout=0.2, seed=0)
    names = tuple(f"class {i}" for i in range(architecture.head.classes))
    fields = {"module": module, "class_names": names, "preprocessing": preprocessing_of(architecture)} | changes
    return TrainedModel(**fields)  # type: ignore[arg-type]


def described(model: TrainedModel) -> tuple[object, ...]:
    return (
        model.architecture, model.module.dropout, model.class_names, model.preprocessing, model.is_multilabel,
        model.metrics, model.made,
    )  # fmt: skip


blocks = st.sampled_from(["ds_r1_k3_s1_c8", "ds_r2_k5_s2_c16_se0.25", "ir_r2_k3_s2_e3_c8", "cn_r1_k3_s1_c8_pool"])
architectures = st.builds(
    lambda blocks, **fields: Architecture.parse(" ".join(blocks)).replace(**fields),
    st.lists(blocks, min_size=1, max_size=3),
    stem=st.builds(Stem, kernel=st.sampled_from([1, 3]), stride=st.integers(1, 2), filters=st.integers(1, 9)),
    head=st.builds(Head, filters=st.integers(1, 40), classes=st.integers(1, 9)),
    resolution=st.integers(1, 300),
    input_channels=st.integers(1, 4),
    padding=st.sampled_from(["same", "symmetric"]),
    activation=st.sampled_from(["relu", "relu6"]),
    bn_momentum=st.floats(1e-6, 1),
    bn_eps=st.floats(1e-9, 1),
)
finite = st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(st.none() | st.booleans() | st.integers() | finite | st.text(), st.lists, max_leaves=5)


@settings(max_examples=40, deadline=None)
@given(
    architecture=architectures,
    names=st.lists(st.text(), min_size=9, max_size=9, unique=True),
    is_multilabel=st.booleans(),
    metrics=st.dictionaries(st.text(), finite, max_size=3),
    made=st.dictionaries(st.text(), values, max_size=3),
    seed=st.integers(0, 99),
)
def test_a_model_file_gives_back_what_was_saved(
    tmp_path_factory, architecture, names, is_multilabel, metrics, made, seed
):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    model = trained(
        architecture, class_names=tuple(names[: architecture.head.classes]), is_multilabel=is_multilabel,
        metrics=metrics, made=made, module=build_model(architecture, dropout=0.1, seed=seed),
    )  # fmt: skip
    save_model(path, model)
    found = load_model(path)
    assert described(found) == described(model)
    weights = found.module.state_dict()
    assert all(torch.equal(weights[key], value) for key, value in model.module.state_dict().items())


def test_a_loaded_model_gives_the_same_outputs_and_can_be_trained_on(tmp_path):
    model = trained()
    images = torch.randn(4, 1, 16, 16)
    model.module(images)  # moves the batch norm statistics, which are weights too
    save_model(tmp_path / "a", model)
    assert model.module.training
    found = load_model(tmp_path / "a").module
    assert not found.training
    assert torch.equal(found(images), model.module.eval()(images))
    found.train()(images).sum().backward()
    torch.optim.SGD(found.parameters(), 0.1).step()
    assert sum(p.numel() for p in found.parameters() if p.requires_grad) == count_params(SMALL)
    assert not torch.equal(found(images), model.module(images))


def test_modules_in_other_memory_formats_are_saved_too(tmp_path):
    model = trained()
    model.module.to(memory_format=torch.channels_last)
    save_model(tmp_path / "a", model)
    weights = load_model(tmp_path / "a").module.state_dict()
    assert all(torch.equal(weights[key], value) for key, value in model.module.state_dict().items())


def test_every_truncation_is_refused(tmp_path):
    save_model(tmp_path / "whole", trained())
    data = (tmp_path / "whole").read_bytes()
    for size in (0, 4, 8, 100, len(data) // 2, len(data) - 1):
        (tmp_path / "cut").write_bytes(data[:size])
        with pytest.raises(StorageError, match=r"cut is no whole safetensors file .*Copy or train the model again"):
            load_model(tmp_path / "cut")


class _Trap:
    def __reduce__(self):
        return open, ("executed", "w")


def test_pickles_are_refused_and_never_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(_Trap()))
    torch.save({"weights": _Trap()}, tmp_path / "a.pth")
    for name in ("a.pkl", "a.pth"):
        with pytest.raises(StorageError, match=r"of another kind, as a \.pt or \.pth file is"):
            load_model(tmp_path / name)
    assert not (tmp_path / "executed").exists()
    pickle.loads((tmp_path / "a.pkl").read_bytes()).close()  # the trap is one
    assert (tmp_path / "executed").exists()


def resaved(tmp_path, metadata=(), weights=()):
    """A file like that of `trained()` but for these."""
    save_model(tmp_path / "a", trained())
    with safetensors.safe_open(tmp_path / "a", "pt") as file:
        kept = file.metadata()
    tensors = safetensors.torch.load_file(tmp_path / "a")
    tensors = {key: value for key, value in {**tensors, **dict(weights)}.items() if value is not None}
    safetensors.torch.save_file(tensors, tmp_path / "b", {**kept, **dict(metadata)})
    return tmp_path / "b"


def test_weights_that_do_not_fit_are_named(tmp_path):
    cases = [
        ({"classifier.bias": None}, "1 weights are missing, such as classifier.bias"),
        ({"fc.bias": torch.zeros(3)}, "1 weights are not of this architecture, such as fc.bias"),
        ({"classifier.bias": torch.zeros(4)}, r"classifier.bias is float32 \(4,\) instead of float32 \(3,\)"),
        ({"classifier.bias": torch.zeros(3).half()}, r"classifier.bias is float16 \(3,\) instead of float32 \(3,\)"),
    ]
    for weights, words in cases:
        with pytest.raises(StorageError, match=words):
            load_model(resaved(tmp_path, weights=weights))


def test_headers_that_are_not_ours_or_damaged_are_refused(tmp_path):
    giant = '{"architecture": "ir_r9_k3_s1_e9_c200000 head_n3", "dropout": 0}'  # 20 terabytes
    cases = [
        ({"format": "other"}, "is no model file of mnas"),
        ({"version": "2"}, "has version 2 of the model file, this mnas reads version 1"),
        ({"model": "{"}, "damaged model file"),
        ({"model": "[]"}, "damaged model file"),
        ({"model": '{"architecture": "xx"}'}, "damaged model file"),
        ({"model": giant}, r"damaged model file: .* weights are missing"),
        ({"model": giant.replace("200000", "2000000000")}, "damaged model file"),
    ]
    for metadata, words in cases:
        with pytest.raises(StorageError, match=words):
            load_model(resaved(tmp_path, metadata=metadata))


def test_a_file_that_is_not_there_and_a_folder_that_is_not_there_are_named(tmp_path):
    with pytest.raises(SettingsError, match=r"there is no model file .*nowhere"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(SettingsError, match="there is no folder"):
        save_model(tmp_path / "no" / "model", trained())


_FULL_DISK = """
import resource, sys
sys.path.insert(0, {tests!r})
from test_model_file import trained, save_model
model = trained()
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
save_model({path!r}, model)
"""


@pytest.mark.parametrize("is_there", [False, True])
def test_a_full_disk_leaves_no_file_and_keeps_the_one_before(tmp_path, is_there):
    path = tmp_path / "model.safetensors"
    if is_there:
        path.write_bytes(b"before")
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    code = _FULL_DISK.format(tests=str(__file__).rpartition("/")[0], path=str(path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "StorageError: cannot write" in done.stderr
    kept = "The one before is kept" if is_there else "Nothing of it was left"
    assert f"{kept}; make room or name another folder" in done.stderr
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == ([(path.name, b"before")] if is_there else [])


def test_models_whose_parts_do_not_fit_each_other_are_not_made():
    with pytest.raises(SettingsError, match="class_names should be 3 different names, got 2"):
        trained(class_names=("a", "b"))
    with pytest.raises(SettingsError, match="class_names should be 3 different names, got 3, 2 of them different"):
        trained(class_names=("a", "b", "b"))
    with pytest.raises(SettingsError, match=r"resolution and channels \(16, 1\), gives \(16, 3\)"):
        trained(preprocessing=preprocessing_of(SMALL.replace(input_channels=3)))
    with pytest.raises(SettingsError, match="metrics should be finite numbers, but 'accuracy' is nan"):
        trained(metrics={"accuracy": float("nan")})
    for made in ({"seed": object()}, {"share": float("inf")}):
        with pytest.raises(SettingsError, match="made should hold JSON values"):
            trained(made=made)
    half = trained(module=build_model(SMALL, seed=0).half())
    with pytest.raises(SettingsError, match=r"float16 .* instead of float32 .*module.float\(\)"):
        save_model("nowhere", half)


def test_preprocessing_normalizes_per_channel_and_refuses_other_images():
    preprocessing = Preprocessing(2, 2, (0.5, 0.0), (0.5, 1.0), 1.0)
    pixels = torch.tensor([0, 255]).to(torch.uint8).view(1, 1, 1, 2).expand(1, 2, 2, 2)
    found = preprocessing.normalize(pixels)
    assert torch.equal(found[0, :, 0], torch.tensor([[-1.0, 1.0], [0.0, 1.0]]))
    for wrong in (pixels.float(), pixels[:, :1], pixels[..., :1], pixels[0]):
        with pytest.raises(SettingsError, match=r"should be uint8 of the shape \(n, 2, 2, 2\)"):
            preprocessing.normalize(wrong)


def test_impossible_preprocessing_is_refused():
    cases = [
        ({"mean": (0.0, 0.0)}, "mean should have 1 numbers"),
        ({"std": (0.0,)}, "above zero"),
        ({"crop_share": 1.5}, "at most 1"),
        ({"interpolation": "cubic"}, "interpolation should be one of"),
    ]
    for changes, words in cases:
        with pytest.raises(SettingsError, match=words):
            preprocessing_of(SMALL, **changes)
