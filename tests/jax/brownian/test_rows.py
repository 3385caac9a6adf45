"""Rows of a batch are drawn without the others, and a device of a mesh draws its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractMesh
from jax.sharding import PartitionSpec as P

from sdegrad.jax import BrownianInterval

KEY, SIZE = jax.random.key(5), (12, 3)


def path(rows=None, shape=SIZE, **options):
    return BrownianInterval(0, 1, shape, KEY, dt=0.03, rows=rows, **options)


def equal(part, whole, rows):
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(x, y[slice(*rows)]), part, whole)


@pytest.mark.exhaustive(but=["native-float64"])
@pytest.mark.parametrize(("generator", "dtype"), [("native", "float64"), ("portable", "float32")])
def test_rows_are_those_of_the_whole(generator, dtype):
    """To the last bit, and so is A."""
    options = {"generator": generator, "dtype": dtype, "levy_area": "foster"}
    whole, part, rows = path(**options), path((3, 7), **options), (3, 7)
    assert part.shape == (4, 3)
    equal(part.cell(4), whole.cell(4), rows)
    assert not np.any(whole.cell(4).W[:4] == part.cell(4).W)


def test_no_rows_and_all_rows():
    for rows in ((0, 12), (5, 5)):
        equal(path(rows).cell(4), path().cell(4), rows)


@pytest.mark.slow
def test_rows_inside_a_cell():
    """To rounding: sums over fewer paths may be made in another order."""
    part, whole = (path(rows, (12,)).evaluate(0.111, 0.115) for rows in ((3, 7), None))
    np.testing.assert_allclose(part, whole[3:7], rtol=0, atol=1e-15)


def test_rows_of_several_arrays():
    shape = [jax.ShapeDtypeStruct((12, *rest), jnp.float64) for rest in ((), (2, 2))]
    part, whole = (path(rows, shape).cell(0) for rows in ((4, 6), None))
    equal(part, whole, (4, 6))


def on_mesh(rows, shape=SIZE):
    """The shape of what four devices of a mesh draw together."""
    mesh = AbstractMesh((2, 2), ("hosts", "devices"))
    drawn = jax.shard_map(lambda: path(rows, shape).cell(0), mesh=mesh, in_specs=(), out_specs=P(("hosts", "devices")))
    return jax.eval_shape(drawn).shape


@pytest.mark.skipif(not hasattr(jax, "shard_map"), reason="needs jax.shard_map")
def test_a_mesh_draws_the_rows_of_its_devices():
    assert on_mesh(("hosts", "devices")) == SIZE
    message = r"divides rows among 4 devices must divide their number, got shape\[0\]=10; make it 8 or 12"
    with pytest.raises(ValueError, match=message):
        on_mesh(("hosts", "devices"), (10, 3))
    with pytest.raises(ValueError, match=r"rows='paths' must be axes of the mesh that jax.shard_map maps over .*paths"):
        on_mesh("paths")


@pytest.mark.parametrize(
    ("rows", "shape", "message"),
    [
        ((3, 1), SIZE, r"0 <= start <= stop <= 12, .* got \(3, 1\)"),
        ((0, 13), SIZE, r"0 <= start <= stop <= 12, .* got \(0, 13\)"),
        ((0, 1, 2), SIZE, r"got \(0, 1, 2\); pass e.g. rows=\(0, 12\)"),
        ("paths", SIZE, "must be axes of the mesh that jax.shard_map maps over .*or pass rows="),
        ((0, 1), (), r"the first axis of shape, which must be the same for all arrays, got \[\(\)\]"),
        ((0, 1), [jax.ShapeDtypeStruct((n,), jnp.float64) for n in (2, 3)], r"got \[\(2,\), \(3,\)\]"),
    ],
)
def test_what_there_is_not_is_refused(rows, shape, message):
    with pytest.raises(ValueError, match=message):
        path(rows, shape)
