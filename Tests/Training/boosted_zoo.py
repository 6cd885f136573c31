"""What the zoos of boosted models share: the data, rows full of edges, and how a case is written.

A zoo is made anew for each conformance run and never committed; it lies in $ROWCAST_ZOO, else .data/zoo. A few telling
cases of it, with smaller models, are fixtures.
"""

import os
import pathlib
from dataclasses import dataclass, field

import numpy as np

from fixture import FIXTURES, SEED, Case, Feature, Output, View, write

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ZOO = pathlib.Path(os.environ.get("ROWCAST_ZOO") or ROOT / ".data" / "zoo")

NUMBERS = ["amount", "age_days", "ratio", "phase"]
CATEGORIES = ["colour", "town", "part"]
SIZES = {"colour": 6, "town": 40, "part": 900}


@dataclass
class Data:
    """Rows with numbers and, where asked for, categories as codes: few, many, and sparse ones up to 900."""

    X: np.ndarray
    names: list
    categorical: list = field(default_factory=list)
    signal: np.ndarray | None = None

    @property
    def binary(self):
        return (self.signal > np.median(self.signal)).astype(np.int64)

    @property
    def three(self):
        return np.digitize(self.signal, np.quantile(self.signal, [0.3, 0.7])).astype(np.int64)

    @property
    def positive(self):
        return np.exp(self.signal / 3)

    @property
    def counts(self):
        return np.floor(self.positive * 2)

    @property
    def share(self):
        return 1 / (1 + np.exp(-self.signal))


def make(rows, stream, *, numbers=4, categories=False, missing=0.0, zeros=0.0, missing_categories=0.0):
    random = np.random.default_rng(SEED + stream)
    X = random.normal(0, 1, (rows, numbers))
    X[:, 1] = X[:, 1] * 3 + 10
    if numbers > 2:
        X[:, 2] = np.exp(X[:, 2])
    X = np.round(X, 3).astype(np.float32).astype(np.float64)
    signal = 1.5 * X[:, 0] - 0.4 * (X[:, 1] - 10) + random.normal(0, 0.3, rows)
    if numbers > 3:
        signal += np.sin(2 * X[:, 3])
    names = (NUMBERS + [f"extra_{k}" for k in range(numbers)])[:numbers]
    X[random.random(X.shape) < zeros] = 0
    X[random.random(X.shape) < missing] = np.nan
    categorical = []
    if categories:
        effects = np.random.default_rng(SEED)
        for name in CATEGORIES:
            codes = random.integers(0, SIZES[name], rows).astype(np.float64)
            if name == "part":
                codes = np.floor(codes / 37) * 37
            signal = signal + effects.normal(0, 1, SIZES[name])[codes.astype(int)]
            codes[random.random(rows) < missing_categories] = np.nan
            categorical.append(X.shape[1])
            X = np.column_stack([X, codes])
            names = names + [name]
    return Data(X, names, categorical, signal)


DENORMAL = 5e-324
LEAST_FLOAT = float(np.float32(1e-35))
PLAIN = [np.nan, 0.0, -0.0, 1e-36, -1e-36, LEAST_FLOAT, -LEAST_FLOAT]
CODES = [-1.0, -0.5, -0.0, 0.9, 5.999, 3.5, 7.0, 41.0, 899.0, 1e6, 16777215.0, 16777216.0, np.nan]


def edge_rows(data, splits, special, codes, cast=np.float64):
    """The rows of `data` and: each special value in every number at once and in each alone, each code in each category,
    values on thresholds and beside them."""
    X = data.X.astype(cast)
    numbers = [k for k in range(X.shape[1]) if k not in data.categorical]
    extra = []
    for value in special:
        row = X[len(extra) % len(X)].copy()
        row[numbers] = value
        extra.append(row)
        for k in numbers[:6]:
            row = X[len(extra) % len(X)].copy()
            row[k] = value
            extra.append(row)
    for value in codes:
        for k in data.categorical:
            row = X[len(extra) % len(X)].copy()
            row[k] = value
            extra.append(row)
    for feature, threshold in splits:
        at = cast(threshold)
        for value in (at, np.nextafter(at, cast(np.inf)), np.nextafter(at, cast(-np.inf))):
            row = X[len(extra) % len(X)].copy()
            row[feature] = value
            extra.append(row)
    return np.vstack([X, np.asarray(extra, cast)])


def thinned(values, count):
    return values[:: max(1, len(values) // count)][:count]


def features_of(X, names, kind):
    """Missing values alternate between NULL and NaN, which mean the same."""
    return [
        Feature(name, kind, [None if np.isnan(v) and (i + j) % 2 else v for i, v in enumerate(X[:, j])], "allowed")
        for j, name in enumerate(names)
    ]


def columns_of(P):
    """A prediction as columns: one where it is flat."""
    P = np.asarray(P)
    return [P] if P.ndim == 1 else list(P.reshape(len(P), -1).T)


def predictions(kind, P, type_, labels=None):
    """The outputs of a prediction by kind: scores, binary, multiclass, decision."""
    columns = columns_of(P)
    if kind == "scores":
        names = ["score"] if len(columns) == 1 else [f"score_{k}" for k in range(len(columns))]
        return [Output(name, "score", type_, column) for name, column in zip(names, columns)]
    if kind == "binary":
        return [
            Output("label", "label", "int64", (columns[0] > 0.5).astype(np.int64)),
            Output("probability", "probability", type_, columns[0], "1"),
        ]
    return [Output("label", "label", "int64", np.argmax(P, axis=1) if labels is None else labels)] + [
        Output(f"probability_{k}", "probability", type_, column, str(k)) for k, column in enumerate(columns)
    ]


def margins(kind, P, type_, prefix=""):
    columns = columns_of(P)
    names = ["margin"] if len(columns) == 1 else [f"margin_{k}" for k in range(len(columns))]
    classes = {"binary": ["1"], "multiclass": [str(k) for k in range(len(columns))]}.get(kind, [None] * len(columns))
    return [
        Output(name, "decision", type_, column, class_name, column=prefix + name)
        for name, column, class_name in zip(names, columns, classes)
    ]


def leaves(P):
    return [
        Output(f"leaf_{k}", "value", "int64", column.astype(np.int64)) for k, column in enumerate(columns_of(P))
    ]


def contributions(kind, names, P, tolerance, absolute):
    """What each feature contributes to each margin, then the margin's base: the last axis of `P`.

    They agree within `absolute`, or as much of a row's largest where that is over one in most rows.
    """
    P = np.asarray(P)
    P = P.reshape(len(P), -1, len(names) + 1)
    floor = absolute / tolerance * max(1.0, float(np.median(np.abs(P).max(axis=(1, 2)))))
    found = []
    for k in range(P.shape[1]):
        suffix = f"_{k}" if P.shape[1] > 1 else ""
        class_name = str(k) if suffix and kind == "multiclass" else None
        found += [
            Output(name + suffix, "contribution", "float64", P[:, k, at], class_name, floor)
            for at, name in enumerate([*(f"contribution_{name}" for name in names), "base"])
        ]
    return View("contribution", found)


def views(kind, type_, margin, leaf, ranges, contributed=None):
    """Margins, leaves, margins of the boosting rounds from `start` to `end`, and perhaps contributions."""
    found = [View("margin", margins(kind, margin, type_))]
    if leaf is not None:
        found.append(View("leaf", leaves(np.asarray(leaf).reshape(len(leaf), -1))))
    for (start, end), values in ranges.items():
        found.append(View("margin", margins(kind, values, type_, f"from_{start}_to_{end}_"), (start, end)))
    if contributed is not None:
        found.append(contributed)
    return found


def make_fixtures(cases, case, names):
    """The cases that are committed; a case is (name, ...) as `case` takes it."""
    for row in cases:
        if row[0] in names:
            case(*row, as_fixture=True)


def make_zoo(cases, case, wanted):
    """The cases whose names are wanted, all where none are."""
    for row in cases:
        if not wanted or row[0] in wanted:
            case(*row)


def write_case(case, family, as_fixture):
    write(case, FIXTURES if as_fixture else ZOO / family)


__all__ = [name for name in dir() if not name.startswith("_")]
