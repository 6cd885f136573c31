#!/usr/bin/env python3
"""Trains the models of sql/examples on seeded made-up data: LightGBM, binary.

    python make_example_models.py

Writes sql/examples/models/churn_1.txt and churn_2.txt, who is about to leave, the second with more and deeper trees, over
tenure_months, monthly_fee, orders_90_days, support_calls; and bearing_1.txt, whether a bearing is worn, over mean_value, max_value
and readings of a window of time.
"""

import pathlib

import lightgbm
import numpy as np

from fixture import SEED

MODELS = pathlib.Path(__file__).resolve().parents[2] / "sql" / "examples" / "models"
NAMES = ["tenure_months", "monthly_fee", "orders_90_days", "support_calls"]


def customers(count, stream):
    random = np.random.default_rng([SEED, stream])
    X = np.column_stack(
        [
            random.integers(1, 72, count),
            np.round(random.gamma(4.0, 9.0, count), 2),
            random.poisson(3.0, count),
            random.poisson(1.2, count),
        ]
    ).astype(np.float64)
    margin = -0.045 * X[:, 0] + 0.02 * X[:, 1] - 0.5 * X[:, 2] + 0.7 * X[:, 3] + 0.3
    return X, (random.random(count) < 1 / (1 + np.exp(-margin))).astype(np.int64)


def bearings(count, stream):
    random = np.random.default_rng([SEED, stream])
    X = np.column_stack([random.normal(0, 8, count), random.gamma(3.0, 6.0, count), random.integers(1, 40, count)])
    margin = 0.2 * np.abs(X[:, 0]) + 0.15 * X[:, 1] - 0.03 * X[:, 2] - 4
    return np.round(X, 3), (random.random(count) < 1 / (1 + np.exp(-margin))).astype(np.int64)


def write(name, columns, X, y, trees, leaves):
    settings = {
        "objective": "binary",
        "num_leaves": leaves,
        "learning_rate": 0.3,
        "seed": SEED,
        "deterministic": True,
        "num_threads": 1,
        "verbose": -1,
    }
    model = lightgbm.train(settings, lightgbm.Dataset(X, label=y, feature_name=columns), trees)
    text = model.model_to_string().split("\nparameters:")[0].rstrip() + "\n"
    (MODELS / name).write_text(text)
    print(f"{name}: {trees} trees of {leaves} leaves, {len(text):,} bytes")


def main():
    MODELS.mkdir(parents=True, exist_ok=True)
    X, y = customers(20000, 11)
    for version, (trees, leaves) in enumerate([(6, 4), (12, 8)], start=1):
        write(f"churn_{version}.txt", NAMES, X, y, trees, leaves)
    X, y = bearings(20000, 12)
    write("bearing_1.txt", ["mean_value", "max_value", "readings"], X, y, 8, 6)


if __name__ == "__main__":
    main()
