"""The support vector machines."""

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC, OneClassSVM

from data import BINARY, TEST, THREE, TRAIN, wide
from estimators import NO_ZIPMAP, classifier, kernel_terms, outlier, regressor
from fixture import SEED
from onnx_case import (
    edge_rows,
    label,
    matrix_case,
    per_class,
    scale_of,
    without_ties,
)


def svm():
    scaled = lambda model: make_pipeline(StandardScaler(), model)
    for name, kernel, extreme in (
        ("svc_rbf_probability", {}, 50),
        ("svc_poly_probability", {"kernel": "poly", "degree": 2, "coef0": 1}, 5),
    ):
        classifier(
            name,
            scaled(SVC(probability=True, random_state=SEED, **kernel)),
            THREE,
            "support vector classifier with probabilities, three classes",
            extreme=extreme,
            count=100,
        )
    classifier(
        "svc_binary_probability",
        scaled(SVC(probability=True, random_state=SEED)),
        BINARY,
        "support vector classifier with probabilities, two classes",
        extreme=50,
        count=100,
    )
    for name, model, y in (
        ("svc_rbf", SVC(decision_function_shape="ovr"), THREE),
        ("svc_sigmoid", SVC(kernel="sigmoid", gamma=0.05), THREE),
        ("svc_linear_binary", SVC(kernel="linear"), BINARY),
    ):
        pipeline = scaled(model).fit(wide(TRAIN), y)
        X = edge_rows(TEST, count=100, extreme=50)
        D, notes = pipeline.decision_function(wide(X)), ""
        floor = scale_of(D)
        if D.ndim == 1:
            floor = kernel_terms(pipeline, X)
            notes = (
                "ONNX Runtime returns these two columns exchanged, so that the predicted class has the lower one; "
                "here, as in scikit-learn, the predicted class has the higher."
            )
            X = X[np.abs(D) > 1e-5]
            D = pipeline.decision_function(wide(X))
            D = np.stack([-D, D], axis=1)
        else:
            X = without_ties(X, D)
            D = pipeline.decision_function(wide(X))
        matrix_case(
            name,
            pipeline,
            X,
            [label(pipeline.predict(wide(X)))]
            + per_class("decision", "decision", pipeline.classes_, D, floor=floor),
            "support vector classifier without probabilities",
            options={id(pipeline): NO_ZIPMAP},
            notes=notes,
        )
    for name, y in (("linear_svc", THREE), ("linear_svc_binary", BINARY)):
        model = LinearSVC(random_state=SEED).fit(wide(TRAIN), y)
        X = edge_rows(TEST)
        D = model.decision_function(wide(X))
        D = np.stack([-D, D], axis=1) if D.ndim == 1 else D
        X = without_ties(X, D)
        D = model.decision_function(wide(X))
        D = np.stack([-D, D], axis=1) if D.ndim == 1 else D
        matrix_case(
            name,
            model,
            X,
            [label(model.predict(wide(X)))] + per_class("decision", "decision", model.classes_, D, floor=scale_of(D)),
            "linear support vector classifier",
            options={id(model): {"raw_scores": True}},
        )
    regressor("svr_rbf", scaled(SVR(C=2)), "support vector regression", extreme=50, count=100, floor=kernel_terms)
    regressor(
        "svr_poly",
        scaled(SVR(kernel="poly", degree=2, coef0=1)),
        "support vector regression, polynomial kernel",
        extreme=10,
        count=100,
        floor=kernel_terms,
    )
    for name, model in (
        ("one_class_svm", OneClassSVM(nu=0.1)),
        ("one_class_svm_poly", OneClassSVM(kernel="poly", degree=2, coef0=1.0, nu=0.1)),
    ):
        outlier(name, scaled(model), "one-class support vector machine", extreme=50)
