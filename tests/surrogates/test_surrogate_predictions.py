"""What a surrogate predicts: the same alone as among many, with error bars that hold, and only for its space."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kendalltau

from mnas.errors import SettingsError
from mnas.space import (
    Architecture,
    accel_nasbench_space,
    accel_nasbench_tokens,
    count_madds,
    count_params,
    mnasnet_space,
)
from mnas.surrogates import encoder, load_surrogate, network_inputs, surrogate_names

SPACE = accel_nasbench_space()


@pytest.fixture(scope="module")
def tokens() -> NDArray[np.uint8]:
    generator = np.random.default_rng(0)
    columns = [generator.integers(0, len(choice.options), 1500) for choice in SPACE.choices]
    return np.stack(columns, axis=1).astype(np.uint8)


def architectures(tokens: NDArray[np.uint8]) -> list[Architecture]:
    return [SPACE.decode(tuple(row)) for row in tokens.tolist()]


@pytest.mark.parametrize("name", surrogate_names())
def test_alone_is_as_among_many(name: str, tokens: NDArray[np.uint8]) -> None:
    """Bit for bit, also over the borders of the chunks that are worked on at a time."""
    surrogate = load_surrogate(name)
    many = surrogate.predict_tokens(tokens)
    for index in (0, 1, 255, 256, 1499):
        one = surrogate.predict_tokens(tokens[index : index + 1])
        for field in ("mean", "sd", "low", "high", "distance", "rows_alike", "far"):
            assert getattr(one, field)[0] == getattr(many, field)[index]


@pytest.mark.parametrize("name", surrogate_names())
def test_an_interval_holds_its_mean(name: str, tokens: NDArray[np.uint8]) -> None:
    prediction = load_surrogate(name).predict_tokens(tokens)
    assert (prediction.low < prediction.mean).all()
    assert (prediction.mean < prediction.high).all()
    assert (prediction.sd > 0).all()
    assert (prediction.mean > 0).all()


def test_architectures_and_tokens_are_two_ways_to_ask(tokens: NDArray[np.uint8]) -> None:
    surrogate = load_surrogate("accuracy-mlp")
    asked = surrogate.predict(architectures(tokens[:50]))
    assert (asked.mean == surrogate.predict_tokens(tokens[:50]).mean).all()
    parsed = [Architecture.parse(str(architecture)) for architecture in architectures(tokens[:5])]
    assert (surrogate.predict(parsed).mean == asked.mean[:5]).all()


def test_asking_for_nothing_gives_nothing() -> None:
    assert load_surrogate("accuracy-trees").predict([]).mean.shape == (0,)


def test_inputs_are_counted_from_the_architecture(tokens: NDArray[np.uint8]) -> None:
    """Networks of more MAdds and parameters have larger totals, whichever blocks they are in."""
    inputs = network_inputs()(tokens[:200])
    assert inputs.shape == (200, 62)
    for column, count in ((57, count_madds), (58, count_params)):
        counts = [count(architecture) for architecture in architectures(tokens[:200])]
        assert kendalltau(inputs[:, column], counts).statistic > 0.999


def test_an_architecture_outside_the_space_is_refused() -> None:
    member = SPACE.decode((0,) * 28)
    outsiders = [
        mnasnet_space().decode((0,) * 42),
        member.replace(resolution=192),
        member.replace(activation="relu6"),
        member.replace(bn_eps=1e-5),
        Architecture.parse(str(member).replace("c320", "c312")),
    ]
    for outsider in outsiders:
        with pytest.raises(SettingsError, match="members of accel-nasbench"):
            load_surrogate("accuracy-mlp").predict([member, outsider])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((3, 27), dtype=int), "shape"),
        (np.zeros(28, dtype=int), "shape"),
        (np.zeros((2, 28)), "whole numbers"),
        (np.full((1, 28), 9), "out of range"),
        (np.full((1, 28), -1), "out of range"),
    ],
)
def test_bad_tokens_are_refused(bad: NDArray[np.int64], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_surrogate("zcu102").predict_tokens(bad)


def test_a_network_unlike_the_data_is_flagged() -> None:
    """The smallest of all lies beyond every row; MBConv6 with SE and three layers first, hardly any row has."""
    smallest = np.zeros((1, 28), dtype=np.uint8)
    rare = np.array([[2, 1, 1, 2] + [1, 0, 0, 1] * 6], dtype=np.uint8)
    usual = np.array([[1, 1, 0, 1] * 7], dtype=np.uint8)
    predict = load_surrogate("accuracy-mlp").predict_tokens
    assert predict(smallest).far[0]
    assert "farther from the data" in predict(smallest).remark(0)
    assert predict(smallest).sd[0] > 3 * predict(usual).sd[0]
    assert predict(rare).far[0]
    assert "rows of the data" in predict(rare).remark(0)
    assert not predict(usual).far[0]
    assert predict(usual).remark(0) == ""


def test_hardly_any_row_is_far_from_the_rows(accel_nasbench_rows: list[dict[str, str]]) -> None:
    tokens = np.array([accel_nasbench_tokens(row) for row in accel_nasbench_rows])
    assert load_surrogate("accuracy-mlp").predict_tokens(tokens).far.mean() < 0.005


@pytest.mark.parametrize(
    ("name", "column", "tau", "error"),
    [("accuracy-mlp", "val_top1", 0.93, 0.28), ("accuracy-trees", "val_top1", 0.92, 0.33)],
)
def test_the_shipped_accuracies_fit_the_data(
    name: str, column: str, tau: float, error: float, accel_nasbench_rows: list[dict[str, str]]
) -> None:
    """On rows that they were fitted on: what must hold if the file belongs to the data. Out of fold: the page."""
    tokens = np.array([accel_nasbench_tokens(row) for row in accel_nasbench_rows])
    truth = np.array([float(row[column]) for row in accel_nasbench_rows])
    prediction = load_surrogate(name).predict_tokens(tokens)
    assert kendalltau(prediction.mean, truth).statistic > tau
    assert np.abs(prediction.mean - truth).mean() < error
    assert ((prediction.low < truth) & (truth < prediction.high)).mean() > 0.95


def test_the_accuracies_reach_what_was_asked_out_of_fold() -> None:
    errors = load_surrogate("accuracy-mlp").provenance["errors"]
    assert errors["tau"] >= 0.925
    assert errors["mae_points"] <= 0.30


@pytest.mark.parametrize(
    ("name", "column", "percent"),
    [
        ("zcu102", "latency_zcu102_mean", 0.5),
        ("vck190", "latency_vck190_mean", 0.7),
        ("a100", "throughput_a100_mean", 0.4),
        ("3090", "throughput_3090_mean", 0.8),
        ("tpuv2", "throughput_tpuv2_mean", 1.6),
        ("tpuv3", "throughput_tpuv3_mean", 2.1),
    ],
)
def test_the_shipped_latencies_fit_the_data(
    name: str, column: str, percent: float, accel_nasbench_rows: list[dict[str, str]]
) -> None:
    rows = [row for row in accel_nasbench_rows if row[column]]
    tokens = np.array([accel_nasbench_tokens(row) for row in rows])
    measured = np.array([float(row[column]) for row in rows])
    ms = 1000 / measured if column.startswith("throughput") else measured
    prediction = load_surrogate(name).predict_tokens(tokens)
    assert 100 * np.abs(prediction.mean / ms - 1).mean() < percent
    assert ((prediction.low < ms) & (ms < prediction.high)).mean() > 0.93


def test_two_different_models_agree_on_the_order(tokens: NDArray[np.uint8]) -> None:
    """Ranks of networks that neither saw: much alike, not the same."""
    means = [load_surrogate(name).predict_tokens(tokens).mean for name in ("accuracy-mlp", "accuracy-trees")]
    assert 0.9 < kendalltau(*means).statistic < 0.99


def test_efficientnet_b0_is_predicted_as_when_the_files_were_made() -> None:
    """Fails when the counts that the networks see change, or a file is replaced by a much different fit."""
    b0 = "ds_k3_c16_se0.25_noskip ir_r2_k3_s2_e6_c24_se0.25 ir_r2_k5_s2_e6_c40_se0.25 ir_r3_k3_s2_e6_c80_se0.25 "
    b0 += "ir_r3_k5_e6_c112_se0.25 ir_r4_k5_s2_e6_c192_se0.25 ir_k3_e6_c320_se0.25"
    expected = {"accuracy-mlp": 66.02, "accuracy-trees": 65.94, "zcu102": 8.386, "3090": 0.1826}
    for name, mean in expected.items():
        assert load_surrogate(name).predict([Architecture.parse(b0)]).mean[0] == pytest.approx(mean, rel=3e-3)


def test_an_encoder_row_is_the_spaces_encoding(tokens: NDArray[np.uint8]) -> None:
    assert (encoder().tokens(architectures(tokens[:100])) == tokens[:100]).all()
