#!/usr/bin/env python3
"""Trains the models of sql/examples: who is about to leave, a first version and a better one, on seeded made-up customers.

    python make_example_models.py

Writes sql/examples/models/churn_1.txt (without support calls it would see less: few, shallow trees) and churn_2.txt, both LightGBM
over tenure_months, monthly_fee, orders_90_days, support_calls.
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


def main():
    MODELS.mkdir(parents=True, exist_ok=True)
    X, y = customers(20000, 11)
    for version, (trees, leaves) in enumerate([(6, 4), (12, 8)], start=1):
        model = lightgbm.train(
            {
                "objective": "binary",
                "num_leaves": leaves,
                "learning_rate": 0.3,
                "seed": SEED,
                "deterministic": True,
                "num_threads": 1,
                "verbose": -1,
            },
            lightgbm.Dataset(X, label=y, feature_name=NAMES),
            trees,
        )
        text = model.model_to_string().split("\nparameters:")[0].rstrip() + "\n"
        (MODELS / f"churn_{version}.txt").write_text(text)
        print(f"churn_{version}.txt: {trees} trees of {leaves} leaves, {len(text):,} bytes")


if __name__ == "__main__":
    main()
