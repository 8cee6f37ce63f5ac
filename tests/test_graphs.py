"""Real weights as bases, and lines as fixed-point numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from train.graphs.graph import MAX_ELEMENTS, GraphError, Node, apply
from train.graphs.lines import fixed, score_line
from train.graphs.weights import decompose


def value_of(found):
    """The weights that bases stand for."""
    factors = 1 << np.array(found.shifts)
    rows = np.tensordot(factors, 2 * found.bits.astype(int) - 1, 1)
    return rows * found.unit.reshape(-1, *(1 for _ in rows.shape[1:]))


@pytest.mark.parametrize(
    ("levels", "shifts"),
    [
        ((-1, 1), (0,)),
        ((-1, 0, 1), (0, 0)),
        ((-3, -1, 1, 3), (1, 0)),
        ((-2, -1, 0, 1, 2), (1, 0, 0)),
        (tuple(range(-7, 8)), (3, 2, 1, 0, 0)),
        (tuple(range(-255, 256, 2)), (7, 6, 5, 4, 3, 2, 1, 0)),
        (tuple(range(-64, 65)), (6, 5, 4, 3, 2, 1, 0, 0)),
    ],
)
@pytest.mark.parametrize("per_output", [False, True])
def test_multiples_of_a_unit_are_exact(levels, shifts, per_output):
    draw = np.random.default_rng(len(levels))
    whole = draw.choice(levels, (6, 40, 9)).astype(float)
    whole[:, 0, : min(9, len(levels))] = levels[: min(9, len(levels))]
    whole[:, 1, 0], whole[:, 1, 1] = levels[-1], levels[0]
    weights = whole * (draw.uniform(0.1, 3, (6, 1, 1)) if per_output else 0.37)
    found = decompose(weights.astype(np.float32), rounded=False)
    assert found is not None and found.exact and found.shifts == shifts
    np.testing.assert_allclose(value_of(found), weights, rtol=1e-5, atol=1e-6)


def test_real_weights_are_refused_or_rounded_to_the_nearest():
    weights = np.random.default_rng(0).normal(size=(4, 50))
    assert decompose(weights, rounded=False) is None
    found = decompose(weights, rounded=True)
    assert found is not None and not found.exact and found.bits.shape == (8, 4, 50)
    assert (np.abs(value_of(found) - weights) <= found.unit[:, None] * (1 + 1e-9)).all()
    common = decompose(weights, rounded=True, common=True)
    assert common is not None and not np.ptp(common.unit)


def test_weights_are_rounded_by_what_they_are_multiplied_with():
    """Inputs that go together leave the error of their sum: with their covariance it is much less."""
    draw = np.random.default_rng(1)
    inputs = draw.normal(size=(2000, 1)) * 3 + draw.normal(size=(2000, 27)) * 0.5
    weights = draw.normal(size=(16, 27))
    nearest = decompose(weights, rounded=True)
    chosen = decompose(weights, rounded=True, covariance=np.cov(inputs.T))
    assert nearest is not None and chosen is not None
    errors = [np.std(inputs @ (value_of(found) - weights).T) for found in (nearest, chosen)]
    assert errors[1] < errors[0] / 3


def test_lines_that_fit_are_exact_with_the_least_shift():
    scale, offset, shift = fixed(np.array([3.0, -5.5]), np.array([0.5, 7.0]))
    assert (scale.tolist(), offset.tolist(), shift) == ([48, -88], [8, 112], 4)
    scale, offset, shift = fixed(np.array([0.1]), np.array([-1.0]))
    assert shift == 16 and abs(scale[0] / 2**16 - 0.1) < 2**-17
    with pytest.raises(GraphError, match="expected less than 2"):
        fixed(np.array([40000.0]), np.array([0.0]))
    assert score_line(np.array([2.0]), np.array([-9.0]), 100, 7)[2] == 7
    scale, offset, shift = score_line(np.array([0.75]), np.array([0.125]), 100, None)
    assert (scale.tolist(), offset.tolist(), shift) == ([6], [1], 3)


@pytest.mark.parametrize(
    ("operator", "shapes", "attributes"),
    [
        ("Pad", [(1, 1, 2, 2)], {"pads": [0, 0, 0, 0, 0, 0, 1 << 11, 1 << 11]}),
        ("Pad", [(1, 0, 1 << 11, (1 << 11) + 1)], {"pads": [0, 1, 0, 0, 0, 0, 0, 0]}),
        ("Conv", [(1, 1, 3, 3), (2, 1, 3, 3)], {"pads": [1 << 10] * 4}),
        ("MaxPool", [(1, 1, 2, 2)], {"kernel_shape": [1, 1], "pads": [1 << 10] * 4}),
        ("Add", [(1, 1, 1 << 12), (1, (1 << 10) + 1, 1)], {}),
        ("MatMul", [(1, (1 << 10) + 1, 1), (1, 1, 1 << 12)], {}),
        ("Gather", [(2, 1 << 12), ((1 << 10) + 1,)], {}),
    ],
)
def test_what_a_strangers_node_makes_large_is_refused(operator, shapes, attributes):
    """Before it is computed, just above the limit too."""
    node = Node("node", operator, ("a", "b"), "c", attributes)
    arguments = [torch.zeros(shape) for shape in shapes]
    with pytest.raises(GraphError, match=f"gives .*, expected at most {MAX_ELEMENTS} elements"):
        apply(node, arguments, bounded=True)
