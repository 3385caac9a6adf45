"""Neural SDEs: drift f and diffusion g are networks of one hidden layer. Weights act on rows: x -> x w + b.

Initial weights are uniform on +-1/sqrt(inputs), from numpy's generator, so the same in every framework. For
t1 > 1 those of the second layer are divided by t1, which keeps Lipschitz constant x T below 2 for every t1:
undivided, reversible Heun in float32 no longer finds its way back to y0 from T = 100.
"""
# ruff: noqa: ARG001 (all vector fields have the same arguments)

import numpy as np

from suite.problems.problem import Field, NoiseType, Params, Problem, SDEType

SILU_SLOPE = 1.09984  # bounds the slope of silu(x) = x sigmoid(x); that of sigmoid is at most 1/4


def neural_drift(xp, t, y, params):
    hidden = 0.909 * xp.silu(y @ params["f_w1"] + (t * params["f_wt"] + params["f_b1"]))
    return xp.sigmoid(hidden @ params["f_w2"] + params["f_b2"])


def neural_diffusion(xp, t, y, params):
    hidden = 0.909 * xp.silu(y @ params["g_w1"] + (t * params["g_wt"] + params["g_b1"]))
    return xp.reshape(xp.sigmoid(hidden @ params["g_w2"] + params["g_b2"]), (*y.shape, -1))


def mlp_drift(xp, t, y, params):
    return xp.tanh(xp.silu(y @ params["f_w1"] + params["f_b1"]) @ params["f_w2"] + params["f_b2"])


def mlp_diagonal(xp, t, y, params):
    return xp.sigmoid(xp.silu(y @ params["g_w1"] + params["g_b1"]) @ params["g_w2"] + params["g_b2"])


def mlp_columns(xp, t, y, params):
    return xp.reshape(mlp_diagonal(xp, t, y, params), (*y.shape, -1))


def mlp_additive(xp, t, y, params):
    hidden = xp.silu(t * params["g_wt"] + params["g_b1"])
    sigma = xp.reshape(xp.sigmoid(hidden @ params["g_w2"] + params["g_b2"]), (y.shape[-1], -1))
    return xp.broadcast_to(sigma, (*y.shape, sigma.shape[-1]))


MLP_DIFFUSION: dict[NoiseType, Field] = {
    "diagonal": mlp_diagonal,
    "additive": mlp_additive,
    "scalar": mlp_columns,
    "general": mlp_columns,
}


def make_neural(
    *, paths: int, dim: int, noise_dim: int, hidden: int, t1: float, seed: int, sde_type: SDEType
) -> Problem:
    """The small neural SDE of Kidger et al. (2021), figure 2: LipSwish, a final sigmoid, time as an input."""
    rng = np.random.default_rng(seed)
    f = _network(rng, "f", (dim, hidden, dim), t1, time=True)
    g = _network(rng, "g", (dim, hidden, dim * noise_dim), t1, time=True)
    return Problem(
        name="neural",
        version="1",
        t1=t1,
        y0=rng.standard_normal((paths, dim)),
        params=f | g,
        sde_type=sde_type,
        noise_type="general",
        noise_dim=noise_dim,
        hidden=hidden,
        drift=neural_drift,
        diffusion=neural_diffusion,
        lipschitz=0.909 * SILU_SLOPE / 4 * max(_gain(f), _gain(g)),
    )


def make_mlp(
    noise_type: NoiseType,
    *,
    paths: int,
    dim: int,
    hidden: int,
    noise_dim: int = 1,
    t1: float,
    seed: int,
    sde_type: SDEType,
) -> Problem:
    """A bounded neural SDE: drift in (-1, 1), diffusion in (0, 1). Neither depends on time, except that with
    additive noise the diffusion is a network of time alone."""
    rng = np.random.default_rng(seed)
    diagonal, additive = noise_type == "diagonal", noise_type == "additive"
    outputs = dim if diagonal else dim * noise_dim
    f = _network(rng, "f", (dim, hidden, dim), t1)
    g = _network(rng, "g", (0 if additive else dim, hidden, outputs), t1, time=additive)
    return Problem(
        name="mlp" if diagonal else f"mlp_{noise_type}",
        version="1",
        t1=t1,
        y0=rng.standard_normal((paths, dim)),
        params=f | g,
        sde_type=sde_type,
        noise_type=noise_type,
        noise_dim=dim if diagonal else noise_dim,
        hidden=hidden,
        drift=mlp_drift,
        diffusion=MLP_DIFFUSION[noise_type],
        lipschitz=SILU_SLOPE * max(_gain(f), _gain(g) / 4),
    )


def _network(
    rng: np.random.Generator, name: str, sizes: tuple[int, int, int], t1: float, *, time: bool = False
) -> dict[str, np.ndarray]:
    """Layers w1, b1, w2, b2, without w1 if there are no inputs, and wt, the weights of time."""
    inputs, hidden, outputs = sizes
    first, second = (inputs + time) ** -0.5, hidden**-0.5 / max(1.0, t1)
    layers = {"w1": rng.uniform(-first, first, (inputs, hidden))} if inputs else {}
    layers |= {"wt": rng.uniform(-first, first, hidden)} if time else {}
    layers |= {
        "b1": rng.uniform(-first, first, hidden),
        "w2": rng.uniform(-second, second, (hidden, outputs)),
        "b2": rng.uniform(-second, second, outputs),
    }
    return {f"{name}_{layer}": weights for layer, weights in layers.items()}


def _gain(network: Params) -> float:
    """Product of the spectral norms of the layers that the state goes through; 0 if it goes through none."""
    layers = [w for name, w in network.items() if name.endswith(("w1", "w2"))]
    return float(np.prod([np.linalg.norm(w, 2) for w in layers])) if len(layers) == 2 else 0.0
