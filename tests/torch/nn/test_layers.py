"""Networks of bounded slope: what clipping bounds, and what it does not."""

import pytest
import torch

from sdegrad.torch.nn import MLP, LipSwish, clip_weights

ORDS = {"inf": torch.inf, "one": 1}  # of torch.linalg.matrix_norm


def test_lipswish_is_1_lipschitz_and_not_by_far(double):
    x = torch.linspace(-20, 20, 40001, requires_grad=True)
    (slope,) = torch.autograd.grad(LipSwish()(x).sum(), x)
    assert 0.999 < slope.abs().max() <= 1


@pytest.mark.parametrize(("norm", "other"), [("inf", "one"), ("one", "inf")])
@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (1, 7), (7, 1)])
def test_clipping_bounds_the_operator_norm_that_it_names(norm, other, shape, double):
    layer = torch.nn.Linear(*shape)
    torch.nn.init.normal_(layer.weight, std=100.0, generator=torch.Generator().manual_seed(0))
    signs = layer.weight.detach().sign()
    assert clip_weights(layer, norm) is layer
    largest = torch.linalg.matrix_norm(layer.weight, ORDS[norm])
    torch.testing.assert_close(largest, torch.ones(()))  # all entries were clipped, so the bound is attained
    assert (layer.weight.sign() == signs).all()
    assert (torch.linalg.matrix_norm(layer.weight, ORDS[other]) > 1 + 1e-9) == (
        shape[0] < shape[1] if norm == "inf" else shape[0] > shape[1]
    )  # the other norm is bounded only where the shape sees to it


def test_clipping_leaves_small_entries_and_biases(double):
    layer = torch.nn.Linear(2, 4)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.5, -0.5], [0.4, -9.0], [9.0, 0.1], [0.0, 0.51]]))
        layer.bias.fill_(7.0)
    clip_weights(layer)
    assert layer.weight.tolist() == [[0.5, -0.5], [0.4, -0.5], [0.5, 0.1], [0.0, 0.5]]
    assert (layer.bias == 7).all()


@pytest.mark.parametrize("norm", ORDS)
def test_a_clipped_network_is_1_lipschitz(norm, double):
    torch.manual_seed(0)
    mlp = MLP(3, 5, width=8, depth=2, final=torch.nn.Tanh())

    def slope():
        jacobians = [torch.autograd.functional.jacobian(mlp, torch.randn(3)) for _ in range(100)]
        return max(torch.linalg.matrix_norm(jacobian, ORDS[norm]) for jacobian in jacobians)

    for p in mlp.parameters():
        torch.nn.init.uniform_(p, 0, 9) if p.dim() == 2 else torch.nn.init.zeros_(p)
    assert slope() > 2  # before clipping
    clip_weights(mlp, norm)
    assert 0.01 < slope() <= 1


def test_bad_input():
    with pytest.raises(ValueError, match=r"norm must be .* got 'two'"):
        clip_weights(torch.nn.Linear(1, 1), "two")
    with pytest.raises(ValueError, match=r"Tanh has no nn\.Linear to clip"):
        clip_weights(torch.nn.Tanh())
    for sizes in ({"width": 0}, {"depth": True}):
        with pytest.raises(ValueError, match=f"{next(iter(sizes))} must be a positive integer"):
            MLP(1, 1, **sizes)
