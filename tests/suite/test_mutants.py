"""A mutant is wrong while it works, and leaves the library right."""

import subprocess
import sys

import numpy as np
import pytest

from suite import mutants
from suite.harness import BrownianTask, load
from suite.mutants.patched import patched

TASK = BrownianTask(queries=((0.0, 0.5), (0.5, 1.0)), shape=(2, 3), dt=0.5, dtype="float64")


def increments(implementation):
    run = implementation.brownian(TASK)
    return run.outcome(run()).ys


@pytest.mark.exhaustive(but=["sdegrad_torch-changes0"])
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
def test_every_mutant_can_be_made(name):
    mutant = mutants.MUTANTS[name]
    assert mutants.load(name).versions() == load(mutant.base).versions()
    assert mutant.about
    assert mutant.effect


IN_FORCE = """
from suite import mutants
from suite.mutants.patched import in_force
for name in mutants.MUTANTS:
    with in_force(mutants.load(name).changes, "none"):
        print(name)
"""


@pytest.mark.slow
def test_what_a_mutant_changes_is_there():
    """In a process of its own: the type checks of the tests would refuse some wrong arguments before they are used."""
    made = subprocess.run([sys.executable, "-c", IN_FORCE], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines() == list(mutants.MUTANTS)
