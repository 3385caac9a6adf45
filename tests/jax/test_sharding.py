"""A batch that is divided among the devices of two processes: nothing of it is gathered, and the numbers are those of
one process."""

import os
import pickle
import re
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

from sdegrad.jax import sdeint
from tests.jax import over_mesh

ROOT = Path(__file__).parents[2]
HOW = ["sharding", "shard_map"]


@pytest.fixture(scope="module")
def reports(request, tmp_path_factory):
    """Of each process, for a name of `over_mesh.SOLVES`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    environment |= {"EQX_ON_ERROR": "nan"}  # programs without callbacks are kept from run to run
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    files = [tmp_path_factory.mktemp("mesh") / f"{rank}" for rank in range(over_mesh.PROCESSES)]
    command = [sys.executable, "-m", "tests.jax.over_mesh", request.param, port]
    programs = [
        subprocess.Popen([*command, f"{rank}", file], env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for rank, file in enumerate(files)
    ]
    said = [program.communicate(timeout=900)[1] for program in programs]
    assert [program.returncode for program in programs] == [0, 0], said
    return [pickle.loads(file.read_bytes()) for file in files]


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize(("name", "reports"), [(name, name) for name in over_mesh.SOLVES], indirect=["reports"])
def test_the_numbers_of_two_processes_are_those_of_one(reports, name):
    """Increments to the last bit, and the rest to rounding: a product of fewer rows is summed in another order."""
    one = jax.jit(partial(over_mesh.gradient, over_mesh.SOLVES[name]))(*over_mesh.inputs())
    tolerances = 0, 1e-14, 1e-13, (1e-13, 1e-13)
    for report in reports:
        for how in HOW:
            jax.tree.map(close, tolerances, one, report[how]["parts"])


def close(tolerance, whole, parts):
    assert len(parts) == over_mesh.DEVICES / over_mesh.PROCESSES
    for index, part in parts:
        np.testing.assert_allclose(part, whole[index], rtol=0, atol=tolerance)


@pytest.mark.exhaustive(but=["*-sdegrad"])
@pytest.mark.slow
@pytest.mark.parametrize("reports", over_mesh.SOLVES, indirect=True)
@pytest.mark.parametrize("how", HOW)
def test_nothing_is_gathered(reports, how):
    for report in reports:
        assert report[how]["moved"] == []
        assert report[how]["undivided"] == []  # no array of the program has room for all paths
        assert (report[how]["in_loops"] == 0) == (how == "shard_map")  # gradients of args: once, or every step


@pytest.mark.slow
@pytest.mark.parametrize("reports", ["sdegrad"], indirect=True)
def test_a_gather_is_seen(reports):
    for report in reports:
        assert "all-gather" in report["gathered"]["moved"]
        assert report["gathered"]["undivided"] != []


@pytest.mark.parametrize("how", [{"check": True}, {"adaptive": True, "method": "midpoint"}])
def test_no_batch_passes_through_what_may_raise(how):
    """A result of a callback lies on one device, so a batch among them would be gathered there."""
    y0, args = over_mesh.inputs()
    bm = over_mesh.path()
    solve = partial(sdeint, over_mesh.drift, over_mesh.diffusion, ts=(0, 1), bm=bm, dt=0.1, **how)
    text = str(jax.make_jaxpr(lambda y0, args: solve(y0=y0, args=args))(y0, args))
    returned = re.findall(r"(?<=:)\w+\[[\d,]*\](?=[^=\n]*= pure_callback)", text)
    assert "f32[]" in returned
    assert not [shape for shape in returned if f"{over_mesh.PATHS}" in shape]
