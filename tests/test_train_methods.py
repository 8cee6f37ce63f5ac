"""Training methods against their formulas: gradients on a grid, parts against hand-computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bnn.networks import network
from train import methods
from train.abc_net import AbcConv2d
from train.config import Config
from train.errors import TrainError
from train.layers import BinaryConv2d, BinaryLinear, BitsBlock, Schedules, binary_weight
from train.methods import Methods, ap2, binarize, thermometer
from train.module import BinaryNetwork
from train.optimizer import clip, initialise, make_optimizer
from train.recipes import RECIPES, recipe

torch.set_num_threads(1)

GRID = torch.linspace(-2.0, 2.0, 81)
ONE = torch.tensor(1.0)


def derivative_of_approx_sign(x: float) -> float:
    """Of 2x + x^2 below 0 and 2x - x^2 above, inside [-1, 1)."""
    if not -1 <= x < 1:
        return 0.0
    return 2 + 2 * x if x < 0 else 2 - 2 * x


FORMULAS = {
    "identity": lambda x: 1.0,
    "clip": lambda x: 1.0 if abs(x) <= 1 else 0.0,
    "approx_sign": derivative_of_approx_sign,
    "triangular": derivative_of_approx_sign,
    "half": lambda x: 1.0 if abs(x) <= 0.5 else 0.0,
}


@pytest.mark.parametrize("window", FORMULAS)
@pytest.mark.parametrize("stochastic", [False, True])
def test_gradient_is_the_windows_formula_on_a_grid(window: str, stochastic: bool) -> None:
    x = GRID.clone().requires_grad_()
    upstream = torch.arange(1.0, 1.0 + len(x))
    (binarize(x, window, ONE, stochastic) * upstream).sum().backward()
    expected = torch.tensor([FORMULAS[window](value.item()) for value in GRID]) * upstream
    assert torch.allclose(x.grad, expected, atol=1e-5)


@pytest.mark.parametrize("window", FORMULAS)
def test_thermometer_adds_a_sign_and_a_slope_for_every_step(window: str) -> None:
    edges = torch.tensor([-3.0, -0.51, -0.5, -0.0, 0.49, 0.5, 3.0])
    assert thermometer(edges, (-0.5, 0.5), window, ONE).tolist() == [-2, -2, 0, 0, 0, 2, 2]
    x = GRID.clone().requires_grad_()
    thermometer(x, (-0.5, 0.5), window, ONE).sum().backward()
    distances = zip((GRID + 0.5).tolist(), (GRID - 0.5).tolist(), strict=True)
    expected = [FORMULAS[window](low) + FORMULAS[window](high) for low, high in distances]
    assert torch.allclose(x.grad, torch.tensor(expected), atol=1e-5)


def test_planes_round_to_evenly_spaced_levels() -> None:
    assert [methods.plane_steps(planes) for planes in (1, 2)] == [(0.0,), (-0.5, 0.5)]
    assert methods.plane_steps(3) == pytest.approx((-2 / 3, 0, 2 / 3))
    with pytest.raises(TrainError, match="activation_planes is 4, expected one of 1, 2, 3"):
        BinaryNetwork(network("tiny"), Methods(activation_planes=4))


def test_two_bases_are_ternary_weights_by_hand() -> None:
    w = torch.tensor([[-1.0, 0.1, 0.3, 0.6], [0.01, -0.01, 0.0, 0.06]], requires_grad=True)
    # 0.7 mean(abs(w)): 0.35 and 0.014
    assert methods.ternary_step(w).flatten().tolist() == pytest.approx([0.35, 0.014])
    signs = binary_weight(w, Methods(weight_bases=2), Schedules(), True)
    assert signs.tolist() == [[-2, 0, 0, 2], [0, 0, 0, 2]]
    signs.sum().backward()
    assert w.grad.tolist() == [[1, 2, 2, 2], [2, 2, 2, 2]]  # clip: 1 within 1 of each step
    with pytest.raises(TrainError, match="weight_bases is 3, expected one of 1, 2"):
        binary_weight(w, Methods(weight_bases=3), Schedules(), True)


def test_bases_and_alphas_of_abc_net_are_least_squares() -> None:
    assert methods.abc_shifts(1) == (0.0,) and methods.abc_shifts(3) == (-1.0, 0.0, 1.0)
    assert methods.abc_shifts(5) == (-1.0, -0.5, 0.0, 0.5, 1.0)
    torch.manual_seed(6)
    w = torch.randn(4, 3, 3, 3) + 0.2
    signs = methods.sign(methods.abc_distances(w, 3))
    alphas = methods.abc_alphas(w, signs)
    for row, bases, alpha in zip(w.flatten(1).numpy(), signs.flatten(2).numpy().swapaxes(0, 1), alphas, strict=True):
        wanted = [np.where(row - row.mean() + shift * row.std() >= 0, 1, -1) for shift in (-1, 0, 1)]
        assert np.array_equal(bases, wanted)
        assert alpha.numpy() == pytest.approx(np.linalg.lstsq(bases.T, row, rcond=None)[0], rel=1e-5)
    same = torch.ones(2, 1, 8)  # of bases that are equal
    assert methods.abc_alphas(torch.full((1, 8), 0.5), same)[0].tolist() == pytest.approx([0.25, 0.25])
    with pytest.raises(TrainError, match="weight_bases is 6, expected one of 1, 2, 3, 4, 5"):
        methods.abc_shifts(6)


def test_weight_of_abc_net_and_its_gradient_by_formula() -> None:
    torch.manual_seed(7)
    w = torch.randn(3, 20).requires_grad_()
    upstream = torch.randn(3, 20)
    combined = methods.abc_weight(w, 3, "half", ONE)
    (combined * upstream).sum().backward()
    for row, got, gradient, up in zip(w.detach().numpy(), combined.detach(), w.grad, upstream.numpy(), strict=True):
        distances = [row - row.mean() + shift * row.std() for shift in (-1, 0, 1)]
        bases = np.array([np.where(item >= 0, 1.0, -1.0) for item in distances])
        alpha = np.linalg.lstsq(bases.T, row, rcond=None)[0]
        assert got.numpy() == pytest.approx(alpha @ bases, rel=1e-4)
        assert gradient.numpy() == pytest.approx(alpha @ (np.abs(distances) <= 0.5) * up, rel=1e-4, abs=1e-6)


def test_one_product_of_abc_net_is_that_of_every_base_and_plane() -> None:
    torch.manual_seed(8)
    layer = AbcConv2d(4, 6, 1, -1, Methods(abc=True, weight_bases=3), planes=2)
    with torch.no_grad():
        layer.beta.copy_(torch.tensor([0.75, 0.5]))
    planes = methods.sign(torch.randn(2 * 5, 4, 6, 6))
    passes = layer.passes(planes)
    assert passes.shape == (5, 6, 6, 6, 3, 2) and set(np.unique(passes % 2)) == {0.0}
    alphas = layer.bases()[1]
    wanted = torch.einsum("pohwmn,om,n->pohw", passes, alphas, layer.beta.double())
    assert torch.allclose(layer(planes).double(), wanted, atol=1e-4)
    border = torch.nn.functional.pad(planes[:5], (1, 1, 1, 1), value=-1.0)
    assert torch.equal(passes[..., 0, 0], torch.nn.functional.conv2d(border, layer.bases()[0][0]).double())


def test_planes_of_abc_net_learn_where_they_change() -> None:
    block = BinaryNetwork(network("tiny"), recipe("abc", "cifar10").methods).each()[1]
    assert [step.item() for step in block.steps()] == pytest.approx([-2 / 3, 0, 2 / 3])
    with torch.no_grad():
        block.v.copy_(torch.tensor([0.9, 0.5, 0.0]))
    x = torch.tensor([-0.41, -0.4, 0.0, 0.3, 0.5, 1.2])
    planes = block.planes(x)
    wanted = [np.where(np.clip(x.numpy() + v, 0, 1) >= 0.5, 1, -1) for v in (0.9, 0.5, 0.0)]
    assert np.array_equal(planes.detach().view(3, -1).numpy(), wanted)
    planes.sum().backward()
    inside = [sum(0 <= item + v <= 1 for item in x.tolist()) for v in (0.9, 0.5, 0.0)]
    assert block.v.grad.tolist() == inside == [3, 5, 3]


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_weights_of_bits_by_formula(bits: int) -> None:
    torch.manual_seed(10)
    w = torch.randn(5, 7).requires_grad_()
    levels = 2**bits - 1
    got = methods.dorefa_weight(w, bits)
    squashed = np.tanh(w.detach().numpy())
    code = np.floor((squashed / (2 * np.abs(squashed).max()) + 0.5) * levels + 0.5)
    assert np.array_equal(got.detach().numpy(), 2 * code - levels)
    signs = [2 * (code.astype(int) >> place & 1) - 1 for place in range(bits)]
    assert np.array_equal(sum(sign << place for place, sign in enumerate(signs)), got.detach().numpy())
    got.sum().backward()
    largest = np.unravel_index(np.abs(squashed).argmax(), squashed.shape)
    slope = (1 - squashed**2) * levels / np.abs(squashed).max()
    inner = np.ones(w.shape, bool)
    inner[largest] = False  # that which all are divided by
    assert w.grad.numpy()[inner] == pytest.approx(slope[inner], rel=1e-4)


def test_activations_of_bits_by_formula() -> None:
    model = BinaryNetwork(network("tiny"), Methods(activation_bits=(3,)))
    block = model.each()[2]
    assert isinstance(block, BitsBlock) and block.layer.planes == 7
    x = torch.tensor([-0.5, 0.0, 0.07, 0.08, 0.5, 0.93, 1.0, 3.0]).requires_grad_()
    block.layer, block.norm = _Same(block.layer.methods), torch.nn.Identity()
    codes = block(x[:, None])
    wanted = np.floor(np.clip(x.detach().numpy(), 0, 1) * 7 + 0.5)
    assert np.array_equal(codes.detach()[:, 0].numpy(), 2 * wanted - 7) and wanted.tolist() == [0, 0, 0, 1, 4, 7, 7, 7]
    codes.sum().backward()
    assert x.grad.tolist() == [0, 14, 14, 14, 14, 14, 14, 0]


class _Same(torch.nn.Module):
    """A layer that gives what it reads."""

    def __init__(self, chosen: Methods) -> None:
        super().__init__()
        self.methods, self.weight = chosen, torch.zeros(1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_bits_are_of_all_layers_or_of_the_ends_or_of_each() -> None:
    def bits(*given: int) -> list[tuple[int, int]]:
        chosen = Methods(weight_bits=given, activation_bits=given)
        return [
            (own.weight_bits[0], own.activation_bits[0]) for own in (chosen.of_layer(index, 4) for index in range(4))
        ]

    assert bits(2) == [(2, 2)] * 4
    assert bits(8, 1, 4) == [(8, 1), (1, 1), (1, 4), (4, 4)]
    assert bits(8, 1, 2, 4) == [(8, 1), (1, 2), (2, 4), (4, 4)]
    assert Methods().of_layer(0, 4) == Methods()
    with pytest.raises(TrainError, match="weight_bits is 2,4, expected one number, three of the first, the inner"):
        bits(2, 4)
    with pytest.raises(TrainError, match="weight_bits is 9 of layer 1, expected 1 to 8"):
        bits(9)
    with pytest.raises(TrainError, match="bits and weight_bases are given, expected one of them"):
        BinaryNetwork(network("tiny"), Methods(weight_bits=(2,), weight_bases=2))
    with pytest.raises(TrainError, match="fc1: sums reach 133171200, expected at most 16777215, of fewer bits"):
        BinaryNetwork(network("tiny"), Methods(weight_bits=(8,), activation_bits=(8,)))
    with pytest.raises(TrainError, match="activation_bits are given, expected none of tiny_bireal"):
        BinaryNetwork(network("tiny_bireal"), Methods(activation_bits=(2,)))


def test_magnitude_aware_gradient_by_hand() -> None:
    w = torch.tensor([[0.5, -0.1, 1e-20, -0.4], [0.0, 0.02, -0.02, 2.0]], requires_grad=True)
    signs = binary_weight(w, Methods(magnitude_aware=True), Schedules(), True)
    assert signs.tolist() == [[1, -1, 1, -1], [1, 1, -1, 1]]
    signs.sum().backward()
    # over mean magnitudes of 0.25 and 0.51; clip: 0 beyond 1
    assert w.grad.flatten().tolist() == pytest.approx([4, 4, 4, 4, 1 / 0.51, 1 / 0.51, 1 / 0.51, 0])


def test_values_round_half_up_and_pass_gradients() -> None:
    x = torch.tensor([-0.75, -0.25, 0.24, 0.25, 1.1], requires_grad=True)
    rounded = methods.round_half_up(x, 0.5)
    assert rounded.tolist() == [-0.5, 0, 0, 0.5, 1]
    rounded.sum().backward()
    assert x.grad.tolist() == [1] * 5


@pytest.mark.parametrize("progress", [0.0, 0.3, 0.5, 1.0])
def test_annealed_gradient_is_its_formula_on_a_grid(progress: float) -> None:
    t = methods.annealed_sharpness(progress)
    k = max(1 / t, 1.0)
    x = GRID.clone().requires_grad_()
    binarize(x, "annealed", torch.tensor(t)).sum().backward()
    expected = torch.tensor([k * t * (1 - math.tanh(t * value.item()) ** 2) for value in GRID])
    assert torch.allclose(x.grad, expected, atol=1e-4)


def test_annealing_starts_wide_and_ends_sharp() -> None:
    assert methods.annealed_sharpness(0.0) == pytest.approx(0.1)
    assert methods.annealed_sharpness(0.5) == pytest.approx(1.0)
    assert methods.annealed_sharpness(1.0) == pytest.approx(10.0)


@pytest.mark.parametrize("window", list(methods.WINDOWS))
def test_signs_are_plus_and_minus_one_and_plus_at_zero(window: str) -> None:
    x = torch.tensor([-3.0, -1e-30, -0.0, 0.0, 1e-30, 3.0])
    assert binarize(x, window, ONE).tolist() == [-1, -1, 1, 1, 1, 1]


def test_unknown_window_is_named() -> None:
    with pytest.raises(TrainError, match="window 'soft' is unknown: choose one of identity, clip,"):
        binarize(GRID, "soft", ONE)


def test_hard_sigmoid_by_hand() -> None:
    x = torch.tensor([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
    assert methods.hard_sigmoid(x).tolist() == [0, 0, 0.25, 0.5, 0.75, 1, 1]


def test_stochastic_sign_has_the_probability_of_the_hard_sigmoid() -> None:
    torch.manual_seed(1)
    count = 20_000
    for value, p in ((-1.0, 0.0), (-0.5, 0.25), (0.0, 0.5), (0.8, 0.9), (1.0, 1.0)):
        share = (methods.stochastic_sign(torch.full((count,), value)) == 1).float().mean().item()
        assert abs(share - p) <= 5 * math.sqrt(p * (1 - p) / count), value


def test_stochastic_layers_are_deterministic_in_evaluation() -> None:
    torch.manual_seed(2)
    chosen = Methods(stochastic_weights=True, stochastic_activations=True)
    model = BinaryNetwork(network("tiny"), chosen)
    layer = model.each()[1].layer
    assert not torch.equal(layer.signs(), layer.signs())
    model.eval()
    assert torch.equal(layer.signs(), methods.sign(layer.weight))
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    assert torch.equal(model(images), model(images))


@pytest.mark.parametrize(
    ("x", "power"),
    [(1.0, 1), (3.0, 4), (2.8, 2), (2.9, 4), (-3.0, -4), (0.7, 0.5), (0.71, 1), (-0.3, -0.25), (0.0, 0), (96.0, 128)],
)
def test_ap2_by_hand(x: float, power: float) -> None:
    value = torch.tensor(x, requires_grad=True)
    result = ap2(value)
    assert result.item() == power
    result.backward()
    assert value.grad.item() == 1.0


def test_shift_batch_norm_by_hand() -> None:
    norm = methods.ShiftNorm1d(1, eps=0.0, momentum=0.5)
    with torch.no_grad():
        norm.weight.fill_(3.0)  # AP2: 4
        norm.bias.fill_(0.5)
    x = torch.tensor([[-3.0], [-1.0], [1.0], [3.0]])
    # centred is x; c AP2(c) = 12, 1, 1, 12: variance 6.5; 1 / sqrt(6.5) = 0.392, AP2: 0.5
    assert norm(x)[:, 0].tolist() == [-5.5, -1.5, 2.5, 6.5]
    assert norm.running_mean.item() == 0.0 and norm.running_var.item() == pytest.approx(0.5 + 3.25)
    norm.eval()
    # 1 / sqrt(3.75) = 0.516, AP2: 0.5
    assert norm(torch.tensor([[1.0]])).item() == 2.5


def test_shift_batch_norm_of_maps_is_that_of_their_pixels() -> None:
    torch.manual_seed(3)
    x = torch.randn(5, 4, 3, 2)
    flat = x.permute(0, 2, 3, 1).reshape(-1, 4)
    maps = methods.ShiftNorm2d(4)(x).permute(0, 2, 3, 1).reshape(-1, 4)
    assert torch.allclose(maps, methods.ShiftNorm1d(4)(flat), atol=1e-6)


def test_shift_adamax_by_hand() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, 1.0, 1.0]))
    optimizer = methods.ShiftAdaMax([weight], lr=2.0**-6, betas=(0.5, 0.75))
    weight.grad = torch.tensor([3.0, -1.0, 0.0])
    optimizer.step()
    # m = g / 2; v = |g|; rate = AP2(2^-6 / 0.5) = 2^-5; AP2(1 / 3) = 1 / 4 (log2 -1.58), AP2(1 / 1) = 1
    assert weight.tolist() == [1 - 2.0**-5 * 1.5 / 4, 1 + 2.0**-5 * 0.5, 1.0]
    before = weight.tolist()
    weight.grad = torch.tensor([1.0, 1.0, 0.0])
    optimizer.step()
    # m = 1.25, 0.25; v = max(2.25, 1), max(0.75, 1); rate = AP2(2^-6 / 0.75) = 2^-6; AP2(1 / 2.25) = 1 / 2
    assert weight.tolist() == [before[0] - 2.0**-6 * 1.25 / 2, before[1] - 2.0**-6 * 0.25, 1.0]


def test_squared_hinge_by_hand() -> None:
    scores = torch.tensor([[0.5, -2.0, 0.25]])
    # targets +1 -1 -1: margins 0.5, -1, 1.25
    assert methods.squared_hinge(scores, torch.tensor([0])).item() == pytest.approx((0.25 + 0 + 1.5625) / 3)


def test_distillation_is_zero_for_equal_scores_and_by_hand_else() -> None:
    scores = torch.tensor([[0.0, 2 * math.log(3.0)]])
    teacher = torch.tensor([[0.0, 0.0]])
    assert methods.distillation(teacher, teacher, 4.0).item() == pytest.approx(0.0, abs=1e-7)
    # at T = 2: teacher 1/2, 1/2 and student 1/4, 3/4
    expected = 4 * (0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75))
    assert methods.distillation(scores, teacher, 2.0).item() == pytest.approx(expected, rel=1e-5)


def test_standardised_weights_have_mean_0_and_deviation_1_per_output() -> None:
    w = torch.randn(4, 3, 3, 3) * 2 + 5
    flat = methods.standardise(w).flatten(1)
    assert torch.allclose(flat.mean(1), torch.zeros(4), atol=1e-5)
    assert torch.allclose(flat.square().mean(1), torch.ones(4), atol=1e-4)


def test_quantile_clamp_by_hand() -> None:
    w = torch.tensor([-4.0, -1.0, 1.0, 2.0], requires_grad=True)
    tau = torch.tensor(0.9)
    limit = 2.0 * -math.log(2 - 2 * 0.9)  # mean magnitude 2
    clamped = methods.quantile_clamp(w, tau)
    assert clamped.tolist() == pytest.approx([-limit, -1.0, 1.0, 2.0])
    clamped.sum().backward()
    assert w.grad.tolist() == [0, 1, 1, 1]
    assert [methods.quantile_tau(progress) for progress in (0.0, 0.5, 1.0)] == pytest.approx([0.85, 0.902855, 0.99])


def test_laplace_quantile_is_the_distributions() -> None:
    torch.manual_seed(4)
    w = torch.distributions.Laplace(0.0, 0.3).sample((200_000,))
    assert methods.laplace_quantile(w, torch.tensor(0.95)).item() == pytest.approx(w.quantile(0.95).item(), rel=0.02)


def test_xnor_alpha_is_the_best_scale() -> None:
    w = torch.randn(3, 2, 3, 3)
    alpha = methods.xnor_alpha(w)
    assert alpha.tolist() == pytest.approx([row.abs().mean().item() for row in w])
    for change in (-0.01, 0.01):
        error = ((w - alpha.view(3, 1, 1, 1) * methods.sign(w)) ** 2).sum()
        assert error < ((w - (alpha + change).view(3, 1, 1, 1) * methods.sign(w)) ** 2).sum()


def test_weight_transforms_act_before_the_sign_and_pass_gradients() -> None:
    w = (torch.randn(4, 6) + 3).requires_grad_()
    schedules = Schedules()
    assert (binary_weight(w, Methods(), schedules, True) == 1).all()
    centred = binary_weight(w, Methods(standardise=True, quantile=True, weight_window="identity"), schedules, True)
    assert (centred == -1).any() and (centred == 1).any()
    (centred * torch.randn(4, 6)).sum().backward()
    assert (w.grad != 0).any()
    assert binary_weight(w, Methods(real=True), schedules, True) is w


def test_clip_limits_latent_weights_only_or_all() -> None:
    model = BinaryNetwork(network("tiny"))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(-1.5)
    clip(model, recipe("modern", "cifar10"))
    assert {block.layer.weight.min().item() for block in model.each()} == {-1.0}
    assert model.each()[0].norm.weight.min().item() == -1.5
    clip(model, recipe("torch7", "cifar10"))
    assert min(parameter.min().item() for parameter in model.parameters()) == -1.0


def test_glorot_rate_by_hand() -> None:
    # conv 3 -> 128, 3x3: sqrt(9 * 131 / 1.5) = 28.04, nearest power of two in the logarithm 32
    assert methods.glorot_rate(27, 1152) == pytest.approx(28.035692)
    assert methods.glorot_rate(27, 1152, power_of_two=True) == 32.0


def test_learning_rate_scales_are_those_of_the_layers() -> None:
    model = BinaryNetwork(network("tiny"))
    chosen = recipe("theano", "cifar10")
    scales = [group["scale"] for group in make_optimizer(model, chosen).param_groups]
    assert scales == pytest.approx(
        [math.sqrt(fans / 1.5) for fans in (9 * 19, 9 * 48, 2048 + 64, 64 + 10)] + [1.0], rel=1e-6
    )
    assert len({id(p) for group in make_optimizer(model, chosen).param_groups for p in group["params"]}) == len(
        list(model.parameters())
    )


def test_unit_start_is_uniform_between_minus_one_and_one() -> None:
    torch.manual_seed(5)
    model = BinaryNetwork(network("tiny"))
    initialise(model, recipe("theano", "cifar10"))
    weight = model.each()[2].layer.weight
    assert weight.abs().max() > 0.99 and abs(weight.square().mean().item() - 1 / 3) < 0.01


def test_learned_shift_moves_the_threshold() -> None:
    model = BinaryNetwork(network("sfc"), Methods(threshold_shift=True)).eval()
    block = model.each()[0]
    assert block.shift is not None and model.each()[-1].shift is None
    sums = torch.tensor([[0.25]]).expand(1, 256)
    assert (block.normalise(sums) > 0).all()
    with torch.no_grad():
        block.shift.fill_(0.5)
    assert (block.normalise(sums) < 0).all()


@pytest.mark.parametrize("value", [-1, 1])
def test_padding_has_the_chosen_value(value: int) -> None:
    conv = BinaryConv2d(1, 1, pad=1, pad_value=value)
    torch.nn.init.ones_(conv.weight)
    assert conv(torch.ones(1, 1, 1, 1)).item() == 1 + 8 * value
    conv.planes = 2
    assert conv(torch.ones(1, 1, 1, 1)).item() == 1 + 16 * value


def test_kernel_is_the_tables() -> None:
    blocks = BinaryNetwork(network("lenet")).each()
    assert [tuple(block.layer.weight.shape[1:]) for block in blocks] == [(1, 5, 5), (64, 5, 5), (1024,), (512,)]


def test_average_moves_towards_the_parameters() -> None:
    layer = BinaryLinear(2, 1)
    torch.nn.init.ones_(layer.weight)
    average = {"weight": torch.zeros(1, 2)}
    for expected in (0.25, 0.4375):
        methods.average_(average, layer, 0.75)
        assert average["weight"].tolist() == [[expected, expected]]


def test_recipes_are_what_their_sources_say() -> None:
    theano = recipe("theano", "cifar10")
    assert (theano.epochs, theano.batch, theano.learning_rate, theano.final_learning_rate) == (500, 50, 1e-3, 3e-7)
    assert (theano.optimizer, theano.loss, theano.glorot, theano.initial) == ("adam", "squared_hinge", "exact", "unit")
    assert recipe("theano", "mnist").methods.dropout == 0.5 and recipe("theano", "svhn").epochs == 200
    torch7 = recipe("torch7", "cifar10")
    assert (torch7.batch, torch7.learning_rate, torch7.optimizer) == (200, 2.0**-6, "adamax_shift")
    assert torch7.methods.norm == "shift" and torch7.methods.stochastic_activations
    assert recipe("xnor", "cifar10").methods.alpha
    with pytest.raises(TrainError, match="recipe 'modem' is unknown: choose one of theano, torch7, xnor, modern"):
        recipe("modem", "cifar10")


@pytest.mark.parametrize("name", RECIPES)
def test_configurations_survive_the_checkpoint(name: str) -> None:
    from train.config import from_dict, to_dict

    config = Config("tiny", recipe(name, "cifar10"), dataset="cifar10", shape=(8, 8, 3), classes=3)
    assert from_dict(to_dict(config)) == config
