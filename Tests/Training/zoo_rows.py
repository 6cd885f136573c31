"""What the zoo's cases are made of: seeded data of several kinds, and a case as estimator, data and answers."""

from dataclasses import dataclass
from typing import Any, Callable

import numpy as np
import pandas as pd
from sklearn.base import is_classifier, is_outlier_detector

from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

from data import points, target
from fixture import SEED
from onnx_case import edge_rows

TRAIN = points(240, stream=2)
TEST = points(120, stream=3)
SIGNAL = target(TRAIN, stream=2)


class NotConverted(Exception):
    """skl2onnx has no converter for the estimator or for its setting."""


def levels(signal, *quantiles):
    return np.digitize(signal, np.quantile(signal, quantiles)).astype(np.int64)


TARGETS = {
    "two": levels(SIGNAL, 0.5),
    "three": levels(SIGNAL, 0.3, 0.7),
    "signs": np.where(SIGNAL > np.median(SIGNAL), 1, -1).astype(np.int64),
    "strings": np.array(["low", "not sure", "high"], object)[levels(SIGNAL, 0.3, 0.7)],
    "two strings": np.array(["no", "yes"], object)[levels(SIGNAL, 0.4)],
    "real": SIGNAL,
    "positive": np.abs(SIGNAL) + 0.1,
    "reals": np.stack([SIGNAL, -2 * SIGNAL + TRAIN[:, 0]], axis=1),
    "positives": np.abs(np.stack([SIGNAL, TRAIN[:, 0]], axis=1)),
    "labels": np.stack([levels(SIGNAL, 0.4, 0.7), levels(TRAIN[:, 0].astype(float), 0.3, 0.6)], axis=1),
    "bits": np.stack([levels(SIGNAL, 0.5), levels(TRAIN[:, 0].astype(float), 0.4)], axis=1),
    None: None,
}


def holes(X, share=0.15, stream=0):
    X = X.copy()
    X[np.random.default_rng(SEED + 60 + stream).random(X.shape) < share] = np.nan
    return X


def words(X):
    """Categories as text: the first three columns in steps."""
    names = np.array(["red", "green", "blue", "très bleu", ""], object)
    return np.stack([names[np.digitize(X[:, j], np.quantile(TRAIN[:, j], [0.2, 0.5, 0.8, 0.95]))] for j in range(3)], axis=1)


def steps(X):
    return np.stack(
        [np.digitize(X[:, j], np.quantile(TRAIN[:, j], [0.25, 0.5, 0.75])) for j in range(5)], axis=1
    ).astype(np.int64)


# Training rows and rows to score, of one kind.
DATA: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
    "plain": lambda: (TRAIN, edge_rows(TEST, count=70)),
    "tame": lambda: (TRAIN, edge_rows(TEST, count=70, extreme=12)),
    "wild": lambda: (TRAIN, edge_rows(TEST, count=70, extreme=1e30)),
    "scaled": lambda: tuple((X - [0, 10, 1.5, 0, 0]).astype(np.float32) / np.float32(2) for X in (TRAIN, TEST[:80])),
    "above zero": lambda: (np.abs(TRAIN) + np.float32(0.5), np.abs(TEST[:70]) + np.float32(0.25)),
    "positive": lambda: (np.abs(TRAIN), np.abs(edge_rows(TEST, count=70, extreme=100))),
    "unit": lambda: tuple((X / (1 + np.abs(X))).astype(np.float32) for X in (TRAIN, edge_rows(TEST, count=70))),
    "bits": lambda: ((TRAIN > 0.5).astype(np.float32), (TEST[:70] > 0.5).astype(np.float32)),
    "counts": lambda: tuple(np.round(np.abs(X)).astype(np.float32) for X in (TRAIN, TEST[:70])),
    "holes": lambda: (holes(TRAIN), holes(edge_rows(TEST, count=70), stream=1)),
    "wild holes": lambda: (holes(TRAIN), holes(edge_rows(TEST, count=70, extreme=1e30), stream=1)),
    "steps": lambda: (steps(TRAIN), steps(TEST[:70])),
    "integers": lambda: tuple(np.round(3 * X).astype(np.int64) for X in (TRAIN, TEST[:70])),
    "words": lambda: (words(TRAIN), words(TEST[:70])),
}


def dense(matrix):
    return matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)


def two_sided(decision):
    """A decision between two classes as the two columns that the graph has."""
    return np.stack([-decision, decision], axis=1) if decision.ndim == 1 else decision


def machine_options(model):
    """A pipeline that ends in LinearSVC is only converted with an option of that."""
    last = model.steps[-1][1] if isinstance(model, Pipeline) else None
    return {id(last): {"raw_scores": True}} if isinstance(last, LinearSVC) else {}


def default_answers(model, X):
    if hasattr(model, "predict_proba"):
        return [model.predict(X), model.predict_proba(X)]
    if is_outlier_detector(model):
        return [model.predict(X), model.decision_function(X)]
    if is_classifier(model):
        return [model.predict(X), two_sided(model.decision_function(X))]
    if hasattr(model, "predict"):
        return [model.predict(X)]
    return [dense(model.transform(X))]


@dataclass
class Spec:
    """A case with one matrix as its input.

    `answers` gives scikit-learn's outputs in the order of the graph's; `options` are skl2onnx's for the model.
    """

    name: str
    model: Any
    target: str | None = None
    data: str = "plain"
    answers: Callable = default_answers
    options: dict | None = None
    double: bool = False
    opset: Any = None
    notes: str = ""
    about: str = ""
    zipmap: bool = False
    columns: tuple = (0, None)

    def __post_init__(self):
        self.about = self.about or type(self.model).__name__

    def prepare(self):
        train, rows = (X[:, slice(*self.columns)] for X in DATA[self.data]())
        y = TARGETS[self.target]
        wide = train.astype(np.float64) if train.dtype == np.float32 else train
        self.model.fit(wide) if y is None else self.model.fit(wide, y)
        kind = {"f": "float32", "i": "int64", "O": "string"}[rows.dtype.kind]
        if self.double:
            kind, rows = "float64", rows.astype(np.float64)
        seen = rows.astype(np.float64) if rows.dtype == np.float32 else rows
        return [("X", kind, rows)], self.answers(self.model, seen)

    def converter_options(self):
        options = dict(self.options or {})
        if is_classifier(self.model) and hasattr(self.model, "predict_proba") and not self.zipmap:
            options.setdefault("zipmap", False)
        return {id(self.model): options} if options else None


@dataclass
class FrameSpec:
    """A case with named columns of several types; a column whose name ends in digits may stand in a group of one input."""

    name: str
    model: Any
    train: pd.DataFrame
    y: Any
    rows: pd.DataFrame
    kinds: dict
    answers: Callable = default_answers
    options: dict | None = None
    opset: Any = None
    notes: str = ""
    about: str = "Pipeline"
    zipmap: bool = False

    def prepare(self):
        self.model.fit(self.train, self.y) if self.y is not None else self.model.fit(self.train)
        inputs = []
        for name, kind in self.kinds.items():
            values = self.rows[[name]].to_numpy(object if kind == "string" else kind)
            inputs.append((name, kind, values))
        return inputs, self.answers(self.model, self.rows)

    def converter_options(self):
        options = machine_options(self.model) | (self.options or {})
        if is_classifier(self.model) and hasattr(self.model, "predict_proba") and not self.zipmap:
            options[id(self.model)] = {"zipmap": False, **options.get(id(self.model), {})}
        return options or None
