"""Fits an estimator, chooses its rows, and writes the case: what the scikit-learn families share."""

import numpy as np

from data import SIGNAL, TEST, TRAIN, wide
from fixture import Output
from onnx_case import (
    TOLERANCE,
    edge_rows,
    label,
    matrix_case,
    per_class,
    scale_of,
    score,
    without_ties,
)

NO_ZIPMAP = {"zipmap": False}


def tree_thresholds(trees, limit=12):
    """Up to `limit` splits (feature, threshold), spread over the trees."""
    splits = [
        (int(f), float(t))
        for tree in trees
        for f, t in zip(tree.tree_.feature[:3], tree.tree_.threshold[:3])
        if f >= 0
    ]
    return splits[:: max(1, len(splits) // limit)][:limit]


def hist_thresholds(model, limit=12):
    splits = [
        (int(n["feature_idx"]), float(n["num_threshold"]))
        for group in model._predictors
        for predictor in group
        for n in predictor.nodes[:2]
        if not n["is_leaf"]
    ]
    return splits[:: max(1, len(splits) // limit)][:limit]


def classifier(
    name,
    model,
    y,
    description,
    *,
    thresholds=None,
    zipmap=False,
    extreme=1e4,
    count=110,
    rows=None,
    options=None,
    **rest,
):
    model.fit(wide(TRAIN), y)
    X = edge_rows(TEST, thresholds(model) if thresholds else (), count, extreme) if rows is None else rows
    X = without_ties(X, model.predict_proba(wide(X)))
    outputs = [label(model.predict(wide(X)))] + per_class(
        "probability",
        "probability",
        model.classes_,
        model.predict_proba(wide(X)),
        by_class=any(" " in str(c) for c in model.classes_),
    )
    options = {} if zipmap else {id(model): {**NO_ZIPMAP, **(options or {})}}
    matrix_case(name, model, X, outputs, description, options=options, **rest)


def regressor(name, model, description, *, thresholds=None, floor=None, extreme=1e4, count=110, **rest):
    model.fit(wide(TRAIN), SIGNAL)
    X = edge_rows(TEST, thresholds(model) if thresholds else (), count, extreme)
    Y = model.predict(wide(X))
    matrix_case(name, model, X, score(Y, floor(model, X) if floor else scale_of(Y)), description, **rest)


def outlier(name, model, description, extreme=1e4, **rest):
    model.fit(wide(TRAIN))
    X = edge_rows(TEST, extreme=extreme)
    D = model.decision_function(wide(X))
    floor = kernel_terms(model, X) if hasattr(model, "steps") else scale_of(model.score_samples(wide(X)))
    X = X[np.abs(D) > 10 * TOLERANCE * floor]
    matrix_case(
        name,
        model,
        X,
        [
            label(model.predict(wide(X))),
            Output("decision", "decision", "float32", model.decision_function(wide(X)), floor=floor),
        ],
        description,
        **rest,
    )


def kernel_terms(pipeline, X):
    """Median over the rows of the root of the sum of squared terms, coefficient * kernel.

    The file's coefficients are rounded to 32 bits one by one, so their errors add up like independent ones: relative to
    this, and not to what cancellation leaves of the sum.
    """
    *steps, model = [step for _, step in pipeline.steps]
    Z = wide(X)
    for step in steps:
        Z = step.transform(Z)
    S = model.support_vectors_
    if model.kernel == "rbf":
        K = np.exp(-model._gamma * ((Z[:, None, :] - S[None]) ** 2).sum(axis=2))
    else:
        inner = np.abs(Z) @ np.abs(S).T
        K = {
            "linear": lambda: inner,
            "sigmoid": lambda: np.ones_like(inner),
            "poly": lambda: (model._gamma * inner + abs(model.coef0)) ** model.degree,
        }[model.kernel]()
    return float(np.median(np.sqrt(np.square(model.dual_coef_[:, None, :] * K[None]).sum(axis=2))))
