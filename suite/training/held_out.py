"""How useful generated paths are in the place of real ones: functions of arrays [times, paths, channels].

Each is a model of few parameters, fitted to one set of paths and asked about another: linear in the signature of a path
or in its values. It starts from no random numbers, and takes about a second.
"""

import numpy as np
from scipy.optimize import minimize

from suite.training.measures import LEAST_PATHS, signature

_FEATURES = 130  # at most, of a path
_RIDGE = 1e-3  # of coefficients of standardised features, a path
_KNOWN = 0.8  # of the times, from which the others are predicted


def real_fake_accuracy(real: np.ndarray, fake: np.ndarray) -> float:
    """Of a classifier trained to tell generated from real paths, on others than it was trained on. Ideal is 1/2, which
    real paths against real ones have, but for their number. The fewer of the two say how many are taken of each.
    """
    number = min(real.shape[1], fake.shape[1])
    halves = [(ys[:, : number // 2], ys[:, number // 2 : number]) for ys in (real, fake)]
    _check(halves[0][0])
    seen, unseen = (np.concatenate([ys[k] for ys in halves], 1) for k in range(2))
    numbers = [np.repeat((0, 1), [ys[k].shape[1] for ys in halves]) for k in range(2)]
    return label_accuracy((seen, numbers[0]), (unseen, numbers[1]))


def label_accuracy(train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> float:
    """Of a classifier, trained on paths with their labels 0, 1, ... and asked for those of others."""
    (ys, labels), (others, true) = train, test
    a, b = _standardised(features(ys), features(others))
    weights = _softmax_regression(a, labels, 1 + int(max(labels.max(), true.max())))
    return float(np.mean((b @ weights).argmax(1) == true))


def prediction_loss(train: np.ndarray, test: np.ndarray) -> float:
    """The mean square error of the last fifth of the times, predicted from those before by the linear map that is best
    for `train`, on `test`."""
    for ys in (train, test):
        _check(ys)
    known = _known(len(train))
    a, b = _standardised(*(np.concatenate(np.moveaxis(ys[:known], 2, 0)).T for ys in (train, test)))
    goal, truth = (np.concatenate(np.moveaxis(ys[known:], 2, 0)).T for ys in (train, test))
    penalty = _RIDGE * len(a) * np.eye(a.shape[1])
    penalty[0, 0] = 0
    found = b @ np.linalg.solve(a.T @ a + penalty, a.T @ goal)
    return float(np.mean((found - truth) ** 2))


def _known(times: int) -> int:
    if times < 3:
        raise ValueError(f"{times} times are too few to predict the last from the first; give 3 or more.")
    return min(times - 1, max(2, round(_KNOWN * times)))


def features(ys: np.ndarray) -> np.ndarray:
    """The signature of the path (time, y), begun at zero, to the depth at which there are not too many, [paths, ...].

    All is of the order of one where the data are, and the place where a path begins counts.
    """
    _check(ys)
    t = np.broadcast_to(np.linspace(0, 1, len(ys))[:, None, None], (*ys.shape[:2], 1))
    path = np.concatenate((t, ys), -1)
    path = np.concatenate((np.zeros_like(path[:1]), path))
    channels, depth = path.shape[2], 1
    while sum(channels**k for k in range(1, depth + 2)) <= _FEATURES:
        depth += 1
    return signature(path, depth)


def _check(ys: np.ndarray) -> None:
    if ys.shape[1] < LEAST_PATHS:
        raise ValueError(f"{ys.shape[1]} paths are too few to learn from; give {LEAST_PATHS} or more.")
    if not np.isfinite(ys).all():
        raise ValueError("paths with NaN or infinite values have no measure; see where training went wrong.")


def _standardised(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both with the mean and deviation of the first, and one more column of ones; those that do not vary are zero."""
    mean, deviation = train.mean(0), train.std(0)
    scale = np.where(deviation > 1e-10, deviation, np.inf)
    # Beyond what training has seen, features of high order would explode.
    return tuple(  # pyright: ignore[reportReturnType]
        np.concatenate((np.ones((len(x), 1)), np.clip((x - mean) / scale, -10, 10)), 1) for x in (train, test)
    )


def _softmax_regression(x: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """The weights [features, classes] of least mean cross-entropy plus a square penalty."""
    targets = np.eye(classes)[labels]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(x.shape[1], classes)
        scores = x @ weights
        scores = scores - scores.max(1, keepdims=True)
        total = np.log(np.exp(scores).sum(1, keepdims=True))
        slope = x.T @ (np.exp(scores - total) - targets) / len(x) + _RIDGE * weights
        value = -np.mean(np.sum(targets * (scores - total), 1)) + _RIDGE / 2 * np.sum(flat**2)
        return float(value), slope.ravel()

    start = np.zeros(x.shape[1] * classes)
    return minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x.reshape(-1, classes)
