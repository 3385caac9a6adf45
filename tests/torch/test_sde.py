"""Ways to define an SDE: by which of its functions, and under which names."""

import pytest
import torch

import sdegrad.torch as sd
from sdegrad.methods import METHODS, NOISE_TYPES
from sdegrad.torch.methods import make_scheme
from sdegrad.torch.sde import make_vector_field
from tests.torch.sdes import PAIRS, channels, neural, state

pytestmark = pytest.mark.usefixtures("double")
# Of general noise, and of no Levy area.
STRATONOVICH = ["euler_heun", "heun", "midpoint", "reversible_heun"]


def variants():
    """The same SDE by every set of methods that says enough."""

    def f(t, y):
        return torch.sin(y) + t

    def g(t, y):
        return torch.stack((y, torch.cos(y), y + t), -1)

    def product(t, y, v):
        return (g(t, y) @ v.unsqueeze(-1)).squeeze(-1)

    return {
        "f, g": {"f": f, "g": g},
        "f_and_g": {"f_and_g": lambda t, y: (f(t, y), g(t, y))},
        "f, g_prod": {"f": f, "g_prod": product},
        "f, g, g_prod": {"f": f, "g": g, "g_prod": product},
        "f_and_g_prod": {"f_and_g_prod": lambda t, y, v: (f(t, y), product(t, y, v))},
        "g, f_and_g_prod": {"g": g, "f_and_g_prod": lambda t, y, v: (f(t, y), product(t, y, v))},
    }


class Bare:
    """No module, no base class."""

    noise_type, sde_type = "general", "stratonovich"

    def __init__(self, functions):
        self.__dict__.update(functions)


@pytest.mark.parametrize("which", variants())
@pytest.mark.parametrize("method", STRATONOVICH)
def test_every_way_to_define_an_sde(method, which):
    bm = sd.BrownianInterval(0.0, 1.0, (3, 3), dt=0.1, entropy=2)

    def solve(which):
        return sd.sdeint(Bare(variants()[which]), state(), (0.0, 1.0), bm=bm, method=method, dt=0.1)

    if method == "reversible_heun" and not variants()[which].keys() & {"g", "f_and_g"}:
        with pytest.raises(ValueError, match="needs"):
            solve(which)
    else:
        assert (solve(which) - solve("f, g")).abs().max() < 1e-14


@pytest.mark.parametrize("method", STRATONOVICH)
def test_g_beside_the_product_tells_the_noise_dimension(method):
    """And the drift alone is f_and_g_prod without noise; no Brownian motion is passed."""
    solutions = []
    for which in ("g, f_and_g_prod", "f, g"):
        torch.manual_seed(3)
        solutions.append(sd.sdeint(Bare(variants()[which]), state(), (0.0, 1.0), method=method, dt=0.1))
    assert (solutions[0] - solutions[1]).abs().max() < 1e-14


class Product:
    """An SDE that knows its drift and its diffusion together and in products alone."""

    def __init__(self, sde):
        self.noise_type, self.sde_type, self._field = sde.noise_type, sde.sde_type, make_vector_field(sde, {})

    def f_and_g_prod(self, t, y, v):
        return self._field.drift(t, y, 1.0), self._field.noise(t, y, v)


NEED_G = {
    ("log_ode", "general"),
    ("reversible_heun", "additive"),
    ("reversible_heun", "general"),
    ("shark", "additive"),
}


@pytest.mark.parametrize(("method", "noise_type"), PAIRS)
def test_an_sde_of_products_alone(method, noise_type):
    """Every method solves it that does not need the matrix g itself; entry by entry g is its product with one."""
    for sde_type in METHODS[method].sde_types:
        sde, size = neural(noise_type, sde_type), (3, channels(noise_type))
        levy_area = make_scheme(method, sde_type, noise_type, {}).levy_area
        bm = sd.BrownianInterval(0.0, 1.0, size, dt=0.1, entropy=2, levy_area_approximation=levy_area)
        options = {"bm": bm, "method": method, "dt": 0.1}
        if (method, noise_type) in NEED_G:
            with pytest.raises(ValueError, match="needs g"):
                sd.sdeint(Product(sde), state(), (0.0, 1.0), **options)
            continue
        ys = sd.sdeint(Product(sde), state(), (0.0, 1.0), **options)
        assert (ys - sd.sdeint(sde, state(), (0.0, 1.0), **options)).abs().max() < 1e-14


@pytest.mark.parametrize("noise_type", NOISE_TYPES)
def test_own_noise_for_an_sde_of_products_alone(noise_type):
    """Where each entry of the diffusion meets one channel, their number is known."""
    sde = Product(neural(noise_type))
    if noise_type in ("additive", "general"):
        with pytest.raises(ValueError, match="noise dimension is unknown"):
            sd.sdeint(sde, state(), (0.0, 1.0), dt=0.1)
    else:
        assert sd.sdeint(sde, state(), (0.0, 1.0), dt=0.1).isfinite().all()


def test_names():
    functions = variants()
    bm = sd.BrownianInterval(0.0, 1.0, (3, 3), dt=0.1, entropy=2)
    renamed = Bare(
        {
            "mu": functions["f, g"]["f"],
            "sigma": functions["f, g"]["g"],
            "both": functions["f_and_g"]["f_and_g"],
        }
    )
    results = [
        sd.sdeint(sde, state(), (0.0, 1.0), bm=bm, dt=0.1, names=names)
        for sde, names in (
            (Bare(functions["f, g"]), None),
            (renamed, {"drift": "mu", "diffusion": "sigma"}),
            (renamed, {"drift_and_diffusion": "both"}),
        )
    ]
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
