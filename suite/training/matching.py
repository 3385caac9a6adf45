"""Training without a discriminator: generated paths match real ones at two times at once.

Zhang, Viktorov, Jung, Pitler, Efficient Training of Neural Stochastic Differential Equations by Matching Finite
Dimensional Distributions (2024), arXiv 2410.03973: laws of Markov processes that agree at every two times are equal.
"""

from typing import Any

_SMALL = 1e-12  # under the root, whose slope at zero is infinite


def energy_score(fake: Any, real: Any, order: Any) -> Any:
    """The energy score of generated paths [times, paths, channels] given real ones, arrays of PyTorch or JAX: the mean
    of |X - Y| - |X - X'| / 2, for X the values of a path at two times. Gneiting, Raftery (2007), equation (22).

    order: of the times, drawn at random; those in its first half make pairs with those in the second. In the mean it is
    least where the laws are equal, and there it is not zero.
    """
    half, paths = len(order) // 2, fake.shape[1]
    first, second = order[:half], order[half : 2 * half]

    def distances(a: Any, b: Any) -> Any:
        squares = ((a[:, :, None] - b[:, None]) ** 2).sum(-1)
        return (squares[first] + squares[second] + _SMALL) ** 0.5

    return distances(fake, real).mean() - distances(fake, fake).sum() / (2 * half * paths * (paths - 1))
