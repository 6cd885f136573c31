"""What the gradient boosting cases share: rows with holes and edges, and the outputs of each kind of objective."""

import numpy as np

from data import wide
from fixture import SEED, Feature, Output

# LightGBM's settings for models that come out the same each time.
STEADY = {"verbose": -1, "seed": SEED, "deterministic": True, "force_row_wise": True, "num_threads": 1}
NAMES = ["amount", "age_days", "ratio", "phase", "balance"]


def holes(X, share, stream):
    X = wide(X)
    X[np.random.default_rng(SEED + stream).random(X.shape) < share] = np.nan
    return X


def edge_rows(X, thresholds, extreme, cast=float):
    """Rows with holes, all missing, zeros of both signs, extremes, and values on and beside thresholds."""
    width = X.shape[1]
    extra = [
        np.full(width, np.nan),
        np.zeros(width),
        np.full(width, -0.0),
        np.full(width, 1e-36),
        np.full(width, -1e-36),
        np.full(width, extreme),
        np.full(width, -extreme),
    ]
    for k, (feature, threshold) in enumerate(thresholds):
        at = cast(threshold)
        for value in (at, np.nextafter(at, cast(np.inf)), np.nextafter(at, cast(-np.inf))):
            row = X[k].copy()
            row[feature] = value
            extra.append(row)
    return np.vstack([X, np.asarray(extra)])


def features_of(X, kind):
    """Missing values alternate between NULL and NaN, which mean the same."""
    columns = []
    for j, name in enumerate(NAMES):
        columns.append(
            Feature(
                name, kind, [None if np.isnan(v) and (i + j) % 2 else v for i, v in enumerate(X[:, j])], "allowed"
            )
        )
    return columns


def answers(objective_kind, P, kind):
    """The outputs of a prediction: a score, a binary label with its probability, or a probability a class."""
    if objective_kind == "regression":
        return [Output("score", "score", kind, P)]
    if objective_kind == "binary":
        return [
            Output("label", "label", "int64", (P > 0.5).astype(np.int64)),
            Output("probability", "probability", kind, P, "1"),
        ]
    return [Output("label", "label", "int64", P.argmax(axis=1))] + [
        Output(f"probability_{k}", "probability", kind, P[:, k], str(k)) for k in range(P.shape[1])
    ]
