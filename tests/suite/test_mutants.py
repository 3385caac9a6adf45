"""A mutant is wrong while it works, and leaves the library right."""

import numpy as np
import pytest

from suite import mutants
from suite.harness import BrownianTask, load
from suite.mutants.patched import in_force, patched

TASK = BrownianTask(queries=((0.0, 0.5), (0.5, 1.0)), shape=(2, 3), dt=0.5, dtype="float64")


def increments(implementation):
    run = implementation.brownian(TASK)
    return run.outcome(run()).ys


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        (
            "sdegrad_torch",
            {"sdegrad.torch.brownian.rng:Normals.more": lambda f: lambda *a: f(*a) * 2},
        ),
        ("sdegrad_jax", {"sdegrad.jax.brownian.cells:normal": lambda f: lambda *a: f(*a) * 2}),
    ],
)
def test_changes_are_in_force_for_the_mutant_alone(name, changes):
    right = increments(load(name))
    mutant = patched(name, changes)()
    np.testing.assert_array_equal(increments(mutant), 2 * right)
    np.testing.assert_array_equal(increments(load(name)), right)


def test_a_name_that_is_not_there_is_an_error():
    with pytest.raises(AttributeError, match="nothing"):
        patched("sdegrad_torch", {"sdegrad.torch.brownian.rng:nothing": lambda f: f})().brownian(TASK)


@pytest.mark.parametrize("name", mutants.MUTANTS)
def test_every_mutant_can_be_made_and_what_it_changes_is_there(name):
    mutant = mutants.MUTANTS[name]
    with in_force(mutants.load(name).changes, "none"):
        pass
    assert mutants.load(name).versions() == load(mutant.base).versions()
    assert mutant.about
    assert mutant.effect
