"""The seeded data that the cases share: five columns, a real target, two and three classes."""

import numpy as np

from fixture import SEED

WIDTH = 5


def points(count, width=WIDTH, stream=0):
    random = np.random.default_rng(SEED + stream)
    X = random.normal(0, 1, (count, width))
    X[:, 1] = X[:, 1] * 3 + 10
    X[:, 2] = np.exp(X[:, 2])
    return np.round(X, 3).astype(np.float32)


def target(X, stream=0):
    random = np.random.default_rng(SEED + 100 + stream)
    X = X.astype(np.float64)
    return (
        1.5 * X[:, 0]
        - 0.4 * (X[:, 1] - 10)
        + np.sin(2 * X[:, 3])
        + 0.5 * X[:, 2] * (X[:, 4] > 0)
        + random.normal(0, 0.3, len(X))
    )


TRAIN = points(600)
TEST = points(400, stream=1)
SIGNAL = target(TRAIN)
BINARY = (SIGNAL > np.median(SIGNAL)).astype(np.int64)
THREE = np.digitize(SIGNAL, np.quantile(SIGNAL, [0.3, 0.7])).astype(np.int64)


def wide(X):
    """What scikit-learn sees: the same values in double precision."""
    return np.asarray(X, np.float64)
