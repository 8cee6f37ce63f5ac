"""Training methods of binarized networks, each a small unit with its source.

Signs
    `sign` and `stochastic_sign` are the forward functions; sign(0) = +1 everywhere.
    `StraightThrough` joins one of them with a slope of `WINDOWS`: in the backward
    pass the gradient is multiplied with that slope.

Sources
    BC      Courbariaux, Bengio, David, BinaryConnect, NIPS 2015
    BNN     Courbariaux, Hubara, Soudry, El-Yaniv, Bengio, arXiv 1602.02830
    XNOR    Rastegari, Ordonez, Redmon, Farhadi, XNOR-Net, ECCV 2016
    BiReal  Liu, Wu, Luo, Yang, Liu, Cheng, Bi-Real Net, ECCV 2018
    IRNet   Qin, Gong, Liu, Shen, Wei, Yu, Song, CVPR 2020
    ReAct   Liu, Shen, Savvides, Cheng, ReActNet, ECCV 2020
    ReCU    Xu, Lin, Liu, Chen, Shao, Huang, Gao, Tian, Ji, ICCV 2021
    TWN     Li, Liu, Ternary Weight Networks, arXiv 1605.04711
    DoReFa  Zhou, Wu, Ni, Zhou, Wen, Zou, arXiv 1606.06160
    BMXNet  Yang, Fritzsche, Bartz, Meinel, ACM MM 2017: layers of k bits as DoReFa's, k by layer
    ABC     Lin, Zhao, Pan, Towards Accurate Binary Convolutional Neural Network, NIPS 2017
    KD      Hinton, Vinyals, Dean, arXiv 1503.02531
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from train.errors import TrainError

# --- signs and straight-through slopes ---------------------------------------------------------


def sign(x: Tensor) -> Tensor:
    """sign(x) in {-1, +1}, any shape, sign(0) = +1 (BNN eq. 1)."""
    return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)


def hard_sigmoid(x: Tensor) -> Tensor:
    """clip((x + 1) / 2, 0, 1), any shape (BNN eq. 3)."""
    return ((x + 1.0) / 2.0).clamp(0.0, 1.0)


def stochastic_sign(x: Tensor) -> Tensor:
    """+1 with probability hard_sigmoid(x), else -1, any shape (BNN eq. 2)."""
    # rand is in [0, 1): p = 1 gives +1 always and p = 0 never
    return torch.where(torch.rand_like(x) < hard_sigmoid(x), 1.0, -1.0).to(x.dtype)


def identity_slope(x: Tensor, sharpness: Tensor) -> Tensor:
    """1 everywhere (BC algorithm 1: the gradient of the binary weight is that of the latent one)."""
    return torch.ones_like(x)


def clip_slope(x: Tensor, sharpness: Tensor) -> Tensor:
    """1 for abs(x) <= 1, else 0 (BNN eq. 4)."""
    return (x.abs() <= 1.0).to(x.dtype)


def approx_sign_slope(x: Tensor, sharpness: Tensor) -> Tensor:
    """2 - 2 abs(x) inside [-1, 1], else 0.

    The derivative of BiReal's ApproxSign (2x + x^2 below 0, 2x - x^2 above), and the
    triangle that ReCU uses.
    """
    return (2.0 - 2.0 * x.abs()).clamp_min(0.0)


def half_slope(x: Tensor, sharpness: Tensor) -> Tensor:
    """1 for abs(x) <= 1/2, else 0 (ABC section 3.2: the slope of clip(x + 1/2, 0, 1))."""
    return (x.abs() <= 0.5).to(x.dtype)


def annealed_slope(x: Tensor, sharpness: Tensor) -> Tensor:
    """k t (1 - tanh(t x)^2) with t = `sharpness` and k = max(1 / t, 1) (IRNet, error decay estimator)."""
    scale = (1.0 / sharpness).clamp_min(1.0)
    return scale * sharpness * (1.0 - torch.tanh(sharpness * x).square())


Slope = Callable[[Tensor, Tensor], Tensor]

WINDOWS: dict[str, Slope] = {
    "identity": identity_slope,
    "clip": clip_slope,
    "approx_sign": approx_sign_slope,
    "triangular": approx_sign_slope,
    "half": half_slope,
    "annealed": annealed_slope,
}


def annealed_sharpness(progress: float) -> float:
    """t of `annealed_slope`: 0.1 at the start, 10 at the end, geometric between (IRNet).

    Args:
        progress: share of the training done, 0 to 1.
    """
    return float(10.0 ** (2.0 * progress - 1.0))


class StraightThrough(torch.autograd.Function):
    """`signs` in the forward pass, gradient times `slope` in the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, signs: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(slope)
        return signs

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return grad * ctx.saved_tensors[0], None, None


def binarize(x: Tensor, window: str, sharpness: Tensor, stochastic: bool = False) -> Tensor:
    """Signs of `x`, any shape, with the straight-through slope `window`.

    Raises:
        TrainError: unknown window; the message lists the known ones.
    """
    return _straight_through(x, [x.detach()], window, sharpness, stochastic)


def thermometer(
    x: Tensor, steps: Sequence[float | Tensor], window: str, sharpness: Tensor, stochastic: bool = False
) -> Tensor:
    """The sum of the signs of `x - step`, any shape: -2, 0 and +2 of two steps.

    Each step is one plane of an activation, or one base of a weight; its slope is `window` around the step.

    Raises:
        TrainError: unknown window; the message lists the known ones.
    """
    fixed = x.detach()
    return _straight_through(x, [fixed - step for step in steps], window, sharpness, stochastic)


def _slope(window: str) -> Slope:
    if window not in WINDOWS:
        raise TrainError(f"window '{window}' is unknown: choose one of {', '.join(WINDOWS)}")
    return WINDOWS[window]


def _straight_through(x: Tensor, distances: list[Tensor], window: str, sharpness: Tensor, stochastic: bool) -> Tensor:
    draw, slope_of = stochastic_sign if stochastic else sign, _slope(window)
    signs, slope = draw(distances[0]), slope_of(distances[0], sharpness)
    for distance in distances[1:]:
        signs, slope = signs + draw(distance), slope + slope_of(distance, sharpness)
    result: Tensor = StraightThrough.apply(x, signs, slope)  # type: ignore[no-untyped-call]
    return result


PLANES = (1, 2, 3)
"""Planes that an activation may have: there are as many thresholds per channel."""


def plane_steps(planes: int) -> tuple[float, ...]:
    """Where the planes of a normalised activation change sign, ascending: 0, or -1/2 and 1/2, or -2/3, 0 and 2/3.

    Between them it rounds to one of `planes + 1` levels, evenly spaced from -1 to 1.

    Raises:
        TrainError: unknown number of planes.
    """
    if planes not in PLANES:
        raise TrainError(f"activation_planes is {planes}, expected one of {', '.join(map(str, PLANES))}")
    return tuple((2 * plane + 1) / planes - 1 for plane in range(planes))


# --- latent weights ----------------------------------------------------------------------------


def standardise(w: Tensor) -> Tensor:
    """Weights (O, ...) with mean 0 and standard deviation 1 per output (IRNet's balanced weights; ReCU)."""
    flat = w.flatten(1)
    centred = flat - flat.mean(1, keepdim=True)
    return (centred / torch.sqrt(centred.square().mean(1, keepdim=True) + 1e-5)).view_as(w)


def laplace_quantile(w: Tensor, tau: Tensor) -> Tensor:
    """The quantile at `tau` > 0.5 of a zero-mean Laplace distribution with the mean magnitude of `w`.

    -mean(abs(w)) ln(2 - 2 tau), as ReCU's code estimates it.
    """
    return -w.abs().mean() * torch.log(2.0 - 2.0 * tau)


def quantile_clamp(w: Tensor, tau: Tensor) -> Tensor:
    """Clamp `w`, any shape, to +- its quantile at `tau` (ReCU, rectified clamp unit); no gradient outside."""
    limit = laplace_quantile(w.detach(), tau)
    return torch.minimum(torch.maximum(w, -limit), limit)


def quantile_tau(progress: float) -> float:
    """tau of `quantile_clamp`: a e^progress + b, 0.85 at the start, 0.99 at the end (ReCU's code).

    Args:
        progress: share of the training done, 0 to 1.
    """
    return 0.85 + 0.14 * (math.exp(progress) - 1.0) / (math.e - 1.0)


BASES = (1, 2)
"""Bases that a weight may have."""


def ternary_step(w: Tensor) -> Tensor:
    """0.7 mean(abs(w)) per output, (O, ...) -> (O, 1, ...): below it a weight is better 0 than +-1 (TWN eq. 6)."""
    mean: Tensor = w.detach().abs().flatten(1).mean(1)
    return 0.7 * mean.view(-1, *(1 for _ in w.shape[1:]))


ABC_BASES = (1, 2, 3, 4, 5)
"""Bases that a weight of ABC-Net may have; three planes make 15 passes of them, and the vector unit takes 16."""


def abc_shifts(bases: int) -> tuple[float, ...]:
    """u_i = -1 + 2 (i - 1) / (M - 1), i from 1 to M, in standard deviations of the weights; 0 of one (ABC section 3.1).

    Raises:
        TrainError: unknown number of bases.
    """
    if bases not in ABC_BASES:
        raise TrainError(f"weight_bases is {bases}, expected one of {', '.join(map(str, ABC_BASES))}")
    return tuple(2 * base / (bases - 1) - 1 for base in range(bases)) if bases > 1 else (0.0,)


def abc_distances(w: Tensor, bases: int) -> Tensor:
    """w - mean(w) + u_i std(w) per output, (O, ...) -> (M, O, ...), whose signs are the bases (ABC section 3.1)."""
    flat = w.detach().flatten(1)
    centred = flat - flat.mean(1, keepdim=True)
    deviation = centred.square().mean(1, keepdim=True).sqrt()
    return torch.stack([centred + shift * deviation for shift in abc_shifts(bases)]).view(bases, *w.shape)


def abc_alphas(w: Tensor, signs: Tensor) -> Tensor:
    """alpha (O, M) with the least |w - sum_i alpha_i B_i|^2 per output: (B B^T) alpha = B w (ABC section 3.1).

    Bases that are equal share theirs evenly.

    Args:
        w: (O, ...).
        signs: the bases B, (M, O, ...).
    """
    flat = signs.flatten(2).transpose(0, 1).double()  # double: autocast leaves it alone
    ridge = 1e-9 * flat.shape[2] * torch.eye(len(signs), dtype=flat.dtype, device=flat.device)
    wanted = flat @ w.detach().flatten(1).double().unsqueeze(2)
    alphas: Tensor = torch.linalg.solve(flat @ flat.transpose(1, 2) + ridge, wanted)
    return alphas.squeeze(2)


def abc_weight(w: Tensor, bases: int, window: str, sharpness: Tensor) -> Tensor:
    """sum_i alpha_i B_i, (O, ...), of which the gradient is taken through every B_i (ABC section 3.1).

    d/dw = sum_i alpha_i window(w - mean(w) + u_i std(w)); what alpha depends on is left out.

    Raises:
        TrainError: unknown window or number of bases.
    """
    distances = abc_distances(w, bases)
    signs = sign(distances)
    alphas = abc_alphas(w, signs).to(w.dtype).t().reshape(bases, -1, *(1 for _ in w.shape[1:]))
    slope = (alphas * _slope(window)(distances, sharpness)).sum(0)
    result: Tensor = StraightThrough.apply(w, (alphas * signs).sum(0), slope)  # type: ignore[no-untyped-call]
    return result


def magnitude_aware(w: Tensor) -> Tensor:
    """`w` (O, ...) itself, with its gradient over mean(abs(w)) per output (BiReal section 3.4, as its code has it).

    The code multiplies sign(w) with the mean and leaves it out of the slope. A batch norm takes the mean out of the
    sums again, and what remains is this factor of the gradient.
    """
    fixed = w.detach()
    mean = fixed.abs().flatten(1).mean(1).clamp_min(1e-8).view(-1, *(1 for _ in w.shape[1:]))
    result: Tensor = StraightThrough.apply(w, fixed, (1.0 / mean).expand_as(w))  # type: ignore[no-untyped-call]
    return result


def round_half_up(x: Tensor, step: float) -> Tensor:
    """`x`, any shape, rounded half up to a multiple of `step`; gradient 1."""
    return x + (torch.floor(x.detach() / step + 0.5) * step - x.detach())


def quantise(x: Tensor, bits: int) -> Tensor:
    """round((2^k - 1) x) of `x` in [0, 1], any shape, half up; gradient 2^k - 1 (DoReFa eq. 5, times 2^k - 1)."""
    return round_half_up(x * ((1 << bits) - 1), 1.0)


def dorefa_weight(w: Tensor, bits: int) -> Tensor:
    """2 quantise(tanh(w) / (2 max abs(tanh(w))) + 1/2) - (2^k - 1), same shape (DoReFa eq. 9, times 2^k - 1).

    Odd integers: the sum of k bases +-1 times 2^(k-1), ..., 2, 1.
    """
    squashed = torch.tanh(w)
    levels = (1 << bits) - 1
    largest = squashed.abs().max().clamp_min(1e-8)
    return 2 * quantise(squashed / (2 * largest) + 0.5, bits) - levels


def xnor_alpha(w: Tensor) -> Tensor:
    """mean(abs(w)) per output, (O, ...) -> (O,): the best scale of sign(w) (XNOR section 3.1)."""
    return w.abs().flatten(1).mean(1)


def clip_(weights: Iterable[Tensor]) -> None:
    """Clip latent weights to [-1, 1] in place (BNN algorithm 1)."""
    with torch.no_grad():
        for weight in weights:
            weight.clamp_(-1.0, 1.0)


def glorot_rate(fan_in: int, fan_out: int, power_of_two: bool = False) -> float:
    """Learning-rate scale sqrt((fan_in + fan_out) / 1.5) of a layer (BC; BNN's Theano code).

    Fans count the taps of a kernel. BNN's Torch7 code rounds it with AP2.
    """
    scale = math.sqrt((fan_in + fan_out) / 1.5)
    return 2.0 ** round(math.log2(scale)) if power_of_two else scale


# --- shift-based parts -------------------------------------------------------------------------


class _PowerOfTwo(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        power = torch.exp2(torch.round(torch.log2(x.abs())))
        return torch.where(x == 0, torch.zeros_like(x), torch.copysign(power, x))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


def ap2(x: Tensor) -> Tensor:
    """AP2(x) = sign(x) 2^round(log2 abs(x)), any shape, 0 for 0 (BNN section 1.4); gradient 1."""
    power: Tensor = _PowerOfTwo.apply(x)  # type: ignore[no-untyped-call]
    return power


def _shift_norm(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("shift-based batch norm has no running statistics")
    axes = [axis for axis in range(x.dim()) if axis != 1]
    shape = [1, -1] + [1] * (x.dim() - 2)
    if norm.training:
        mean = x.mean(axes)
        centred = x - mean.view(shape)
        variance = (centred * ap2(centred)).mean(axes)
        with torch.no_grad():
            norm.running_mean.lerp_(mean, norm.momentum or 0.0)
            norm.running_var.lerp_(variance, norm.momentum or 0.0)
    else:
        centred = x - norm.running_mean.view(shape)
        variance = norm.running_var
    gain = ap2(torch.rsqrt(variance + norm.eps)) * ap2(norm.weight)
    return centred * gain.view(shape) + norm.bias.view(shape)


class ShiftNorm1d(nn.BatchNorm1d):
    """Shift-based batch norm (BNN algorithm 3), (N, C).

    With c = x - mean(x): variance = mean(c AP2(c)), y = c AP2(1 / sqrt(variance + eps)) AP2(gamma) + beta.
    """

    def forward(self, x: Tensor) -> Tensor:
        return _shift_norm(self, x)


class ShiftNorm2d(nn.BatchNorm2d):
    """`ShiftNorm1d` over maps (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return _shift_norm(self, x)


class ShiftAdaMax(torch.optim.Optimizer):
    """Shift-based AdaMax (BNN algorithm 4).

    m = beta1 m + (1 - beta1) g, v = max(beta2 v, abs(g)),
    w -= AP2(lr / (1 - beta1^t)) m AP2(1 / v); a weight whose gradients were all 0 keeps its value.
    """

    def __init__(
        self, params: Any, lr: float = 2.0**-10, betas: tuple[float, float] = (1 - 2.0**-3, 1 - 2.0**-10)
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = torch.zeros(())
                    state["m"], state["v"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
                state["step"] += 1
                m, v = state["m"], state["v"]
                m.lerp_(parameter.grad, 1 - beta1)
                torch.maximum(v.mul_(beta2), parameter.grad.abs(), out=v)
                rate = 2.0 ** round(math.log2(group["lr"] / (1 - beta1 ** float(state["step"]))))
                shift = torch.where(v > 0, ap2(1.0 / v), 0.0)
                parameter.sub_(rate * m * shift)


# --- losses ------------------------------------------------------------------------------------


def squared_hinge(scores: Tensor, labels: Tensor) -> Tensor:
    """mean(max(0, 1 - t s)^2) of scores (N, classes) with targets t = +-1 (L2-SVM, as BNN's code)."""
    targets = 2.0 * F.one_hot(labels, scores.shape[1]).to(scores.dtype) - 1.0
    return F.relu(1.0 - targets * scores).square().mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": F.cross_entropy,
    "squared_hinge": squared_hinge,
}


def distillation(scores: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 KL(softmax(teacher / T) || softmax(scores / T)), both (N, classes) (KD section 2)."""
    wanted = F.log_softmax(teacher / temperature, 1)
    got = F.log_softmax(scores / temperature, 1)
    return F.kl_div(got, wanted, reduction="batchmean", log_target=True) * temperature**2


# --- averages ----------------------------------------------------------------------------------


@torch.no_grad()
def average_(average: dict[str, Tensor], model: nn.Module, decay: float) -> None:
    """Move the averages of the parameters by 1 - `decay` towards the model's, in place."""
    for name, parameter in model.named_parameters():
        average[name].lerp_(parameter, 1.0 - decay)


# --- the choice --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Methods:
    """What the layers of a network do; see the functions named in the comments."""

    weight_window: str = "clip"  # WINDOWS
    activation_window: str = "triangular"  # WINDOWS
    activation_planes: int = 1  # PLANES; 2: activations -1, 0, +1 up to a factor
    weight_bases: int = 1  # BASES; 2: weights -1, 0, +1 up to a factor
    abc: bool = False  # abc_weight of so many bases, planes with learned shifts and factors
    # bits, in place of planes and bases: one number for all layers, or of the first, the inner ones and the last,
    # or of each layer; of activations those that a layer reads, the first reads the image as it is
    weight_bits: tuple[int, ...] = ()  # dorefa_weight; 1: binary
    activation_bits: tuple[int, ...] = ()  # quantise(clip(x, 0, 1)); 1: signs
    stochastic_weights: bool = False  # stochastic_sign while training
    stochastic_activations: bool = False
    standardise: bool = False  # standardise
    quantile: bool = False  # quantile_clamp
    magnitude_aware: bool = False  # magnitude_aware
    alpha: bool = False  # xnor_alpha, folded into the thresholds
    threshold_shift: bool = False  # RSign (ReAct): sign(x - a), a learned per channel
    norm: str = "batch"  # or shift: ShiftNorm
    input_dropout: float = 0.0
    dropout: float = 0.0  # of hidden layers
    real: bool = False  # float32 weights and ReLU: the reference, not exportable

    @property
    def base_sum(self) -> int:
        """The greatest weight: the sum of the bases' coefficients; of a layer's own methods, not of ABC-Net."""
        return (1 << self.weight_bits[0]) - 1 if self.weight_bits else self.weight_bases

    @property
    def plane_sum(self) -> int:
        """The greatest activation: the sum of the planes' coefficients; of a layer's own methods."""
        return (1 << self.activation_bits[0]) - 1 if self.activation_bits else self.activation_planes

    def of_layer(self, index: int, layers: int) -> Methods:
        """The methods of one of so many layers: its `weight_bits`, and the `activation_bits` that it gives.

        Raises:
            TrainError: there are not as many bits as needed, or they are not 1 to 8.
        """
        if self.real:
            return replace(self, weight_bits=(), activation_bits=())
        weights = _bits_of("weight_bits", self.weight_bits, index, layers)
        gives = _bits_of("activation_bits", self.activation_bits, min(index + 1, layers - 1), layers)
        bases = 1 if self.abc and index == 0 else self.weight_bases
        return replace(self, weight_bits=weights, activation_bits=gives, weight_bases=bases)


MAX_BITS = 8


def _bits_of(name: str, bits: tuple[int, ...], index: int, layers: int) -> tuple[int, ...]:
    """The bits of one layer, () for none."""
    if len(bits) == layers:
        found = bits[index : index + 1]
    elif len(bits) == 3:
        found = (bits[0 if index == 0 else 2 if index == layers - 1 else 1],)
    elif len(bits) > 1:
        said = ",".join(map(str, bits))
        raise TrainError(
            f"{name} is {said}, expected one number, three of the first, the inner and the last layer, or {layers}"
        )
    else:
        found = bits
    if found and not 1 <= found[0] <= MAX_BITS:
        raise TrainError(f"{name} is {found[0]} of layer {index + 1}, expected 1 to {MAX_BITS}")
    return found
