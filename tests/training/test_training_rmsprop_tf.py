"""RMSpropTF computes what TensorFlow computes."""

from __future__ import annotations

import copy

import pytest
import torch

from mnas._torchvision import import_torchvision
from mnas.errors import SettingsError
from mnas.training import RMSpropTF

SHAPES = ((3, 4), (5,), (2, 3, 3, 3))


def weights(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in SHAPES]


def give_gradients(parameters, seed):
    generator = torch.Generator().manual_seed(seed)
    for weight in parameters:
        weight.grad = torch.randn(weight.shape, generator=generator)


def test_two_steps_are_those_of_the_formula():
    """Epsilon inside the root, mean square from one, learning rate inside the momentum buffer."""
    weight = torch.tensor([2.0], requires_grad=True)
    optimizer = RMSpropTF([weight], lr=0.1, weight_decay=0.5)
    expected, square, buffer = 2.0, 1.0, 0.0
    for gradient, rate in ((3.0, 0.1), (-1.0, 0.05)):
        optimizer.param_groups[0]["lr"] = rate
        weight.grad = torch.tensor([gradient])
        optimizer.step()
        decayed = gradient + 0.5 * expected
        square = 0.9 * square + 0.1 * decayed**2
        buffer = 0.9 * buffer + rate * decayed / (square + 1e-3) ** 0.5
        expected -= buffer
        assert weight.item() == pytest.approx(expected, rel=1e-6)


def test_thirty_steps_are_those_of_timm():
    import_torchvision()
    optim = pytest.importorskip("timm.optim")
    ours, theirs = weights(), weights()
    one = RMSpropTF(ours, lr=0.02, weight_decay=1e-2)
    two = optim.RMSpropTF(theirs, lr=0.02, alpha=0.9, momentum=0.9, eps=1e-3, weight_decay=1e-2)
    for step in range(30):
        for optimizer, parameters in ((one, ours), (two, theirs)):
            give_gradients(parameters, step)
            optimizer.param_groups[0]["lr"] = 0.02 * 0.97**step
            optimizer.step()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)


def test_a_parameter_without_gradient_stays():
    parameters = weights()
    before = [weight.detach().clone() for weight in parameters]
    give_gradients(parameters[:1], 0)
    RMSpropTF(parameters, lr=0.1).step()
    assert [torch.equal(w, b) for w, b in zip(parameters, before, strict=True)] == [False, True, True]


def test_gradients_are_left_as_they_are():
    parameters = weights()
    give_gradients(parameters, 0)
    before = [weight.grad.clone() for weight in parameters]
    RMSpropTF(parameters, lr=0.1, weight_decay=0.1).step()
    assert all(torch.equal(w.grad, b) for w, b in zip(parameters, before, strict=True))


def test_it_goes_on_from_its_state_dict():
    parameters = weights()
    optimizer = RMSpropTF(parameters, lr=0.1)
    give_gradients(parameters, 0)
    optimizer.step()
    copies = [weight.detach().clone().requires_grad_() for weight in parameters]
    other = RMSpropTF(copies, lr=0.1)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for each, its in ((optimizer, parameters), (other, copies)):
        give_gradients(its, 1)
        each.step()
    assert all(torch.equal(w, c) for w, c in zip(parameters, copies, strict=True))


@pytest.mark.parametrize("setting", [{"lr": -1}, {"decay": 1}, {"momentum": 1}, {"eps": 0}, {"weight_decay": -1}])
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(SettingsError, match="RMSpropTF needs"):
        RMSpropTF(weights(), **{"lr": 0.1, **setting})
