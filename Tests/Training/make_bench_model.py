#!/usr/bin/env python3
"""Trains the benchmark's model: LightGBM, binary, 100 trees of 31 leaves over 28 floats, on seeded synthetic data.

    python make_bench_model.py

Writes deploy/bench/boosted_100x31.txt and deploy/bench/expected.csv: 200 rows with LightGBM's own label and probability.
The data has the shape of a physics classification: 21 measured columns (momenta, angles, flags) and 7 derived ones.
"""

import pathlib

import lightgbm
import numpy as np

from fixture import SEED, float_text

BENCH = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "bench"
WIDTH, TREES, LEAVES = 28, 100, 31


def events(count, stream):
    random = np.random.default_rng([SEED, stream])
    X = np.empty((count, WIDTH))
    for j in range(21):
        X[:, j] = [
            lambda: random.gamma(2.0, 0.5, count),
            lambda: random.normal(0, 1, count),
            lambda: random.uniform(-np.pi / 1.8, np.pi / 1.8, count),
            lambda: random.choice([0.0, 1.0865, 2.1731], count, p=[0.5, 0.25, 0.25]),
        ][j % 4]()
    for j in range(7):
        a, b = 4 * (j % 5), (4 * (j % 5) + 5) % 21
        X[:, 21 + j] = np.sqrt(np.abs(X[:, a] * X[:, b]) + 0.05) + 0.35 * np.abs(random.normal(0, 1, count)) + 0.3
    X = np.round(X, 4).astype(np.float32)
    D = X.astype(np.float64)
    margin = (
        1.4 * (D[:, 25] - 1)
        - 0.9 * (D[:, 26] - 1) ** 2
        + 0.8 * np.sin(2 * D[:, 22]) * D[:, 0]
        + 0.5 * D[:, 3]
        - 0.6 * D[:, 27] * (D[:, 1] > 0)
        + 0.3 * D[:, 5] * D[:, 9]
    )
    y = random.random(count) < 1 / (1 + np.exp(-1.6 * (margin - np.median(margin))))
    return X, y.astype(np.int64)


def auc(y, p):
    rank = np.empty(len(p))
    rank[np.argsort(p)] = np.arange(1, len(p) + 1)
    ones = y.sum()
    return (rank[y == 1].sum() - ones * (ones + 1) / 2) / (ones * (len(y) - ones))


def main():
    BENCH.mkdir(parents=True, exist_ok=True)
    X, y = events(60000, 1)
    names = [f"f{j}" for j in range(WIDTH)]
    settings = {
        "objective": "binary",
        "num_leaves": LEAVES,
        "learning_rate": 0.1,
        "min_data_in_leaf": 20,
        "verbose": -1,
        "seed": SEED,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
    }
    text = lightgbm.train(settings, lightgbm.Dataset(X, y, feature_name=names), TREES).model_to_string()
    (BENCH / "boosted_100x31.txt").write_text(text)
    booster = lightgbm.Booster(model_str=text)
    held, truth = events(20000, 2)
    P = booster.predict(held.astype(np.float64), num_threads=1)
    with open(BENCH / "expected.csv", "w") as file:
        file.write(",".join(names) + ",label,probability\n")
        for row, p in zip(held[:200], P[:200].tolist()):
            file.write(",".join(float_text(v, True) for v in row) + f",{int(p > 0.5)},{p!r}\n")
    print(f"{booster.num_trees()} trees, {len(text)} bytes, AUC {auc(truth, P):.4f} on 20,000 held out rows")


if __name__ == "__main__":
    main()
