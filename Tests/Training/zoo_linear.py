"""Linear models, support vector machines, naive Bayes and discriminants."""

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.linear_model import (
    ARDRegression,
    BayesianRidge,
    ElasticNet,
    ElasticNetCV,
    GammaRegressor,
    HuberRegressor,
    Lars,
    LarsCV,
    Lasso,
    LassoCV,
    LassoLars,
    LassoLarsCV,
    LassoLarsIC,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    MultiTaskElasticNet,
    MultiTaskElasticNetCV,
    MultiTaskLasso,
    MultiTaskLassoCV,
    OrthogonalMatchingPursuit,
    OrthogonalMatchingPursuitCV,
    PassiveAggressiveClassifier,
    PassiveAggressiveRegressor,
    Perceptron,
    PoissonRegressor,
    QuantileRegressor,
    RANSACRegressor,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
    RidgeCV,
    SGDClassifier,
    SGDOneClassSVM,
    SGDRegressor,
    TheilSenRegressor,
    TweedieRegressor,
)
from sklearn.naive_bayes import BernoulliNB, CategoricalNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR, NuSVC, NuSVR, OneClassSVM

from fixture import SEED
from zoo_rows import Spec, two_sided

SEEDED = {"random_state": SEED}


def with_deviation(model, X):
    mean, deviation = model.predict(X, return_std=True)
    return [mean, deviation]


def raw(model, X):
    return [model.predict(X), two_sided(model.decision_function(X))]


def decided(model, X):
    return [model.predict(X), model.decision_function(X)]


def several(model, X):
    """Each output's probabilities by themselves, as trees have them."""
    return [model.predict(X)] + [np.stack([1 - p, p], axis=1) for p in model.predict_proba(X).T]


def regressors():
    for cls, rest in (
        (LinearRegression, {}),
        (Ridge, {}),
        (RidgeCV, {}),
        (Lasso, {"alpha": 0.01}),
        (LassoCV, {"cv": 3}),
        (ElasticNet, {"alpha": 0.01}),
        (ElasticNetCV, {"cv": 3}),
        (Lars, {}),
        (LarsCV, {"cv": 3}),
        (LassoLars, {"alpha": 0.01}),
        (LassoLarsCV, {"cv": 3}),
        (LassoLarsIC, {}),
        (OrthogonalMatchingPursuit, {}),
        (OrthogonalMatchingPursuitCV, {"cv": 3}),
        (ARDRegression, {}),
        (HuberRegressor, {}),
        (QuantileRegressor, {"alpha": 0.01}),
        (TheilSenRegressor, SEEDED),
        (PassiveAggressiveRegressor, SEEDED),
        (BayesianRidge, {}),
        (LinearSVR, SEEDED),
    ):
        yield Spec(cls.__name__, cls(**rest), "real")
    yield Spec("SGDRegressor", SGDRegressor(**SEEDED), "real", "scaled")
    yield Spec("RANSACRegressor", RANSACRegressor(**SEEDED), "real")
    yield Spec("LinearRegression_double", LinearRegression(), "real", double=True)
    yield Spec("LinearRegression_integers", LinearRegression(), "real", "integers")
    yield Spec("LinearRegression_no_intercept", LinearRegression(fit_intercept=False), "real")
    yield Spec("LinearRegression_two_targets", LinearRegression(), "reals")
    yield Spec("Ridge_two_targets_double", Ridge(), "reals", double=True)
    yield Spec("BayesianRidge_deviation", BayesianRidge(), "real", "tame", answers=with_deviation, options={"return_std": True})
    for cls in (MultiTaskLasso, MultiTaskElasticNet):
        yield Spec(cls.__name__, cls(alpha=0.05), "reals")
    for cls in (MultiTaskLassoCV, MultiTaskElasticNetCV):
        yield Spec(cls.__name__, cls(cv=3), "reals")
    yield Spec("PoissonRegressor", PoissonRegressor(), "positive", "scaled")
    yield Spec("PoissonRegressor_double", PoissonRegressor(), "positive", "scaled", double=True)
    yield Spec("GammaRegressor", GammaRegressor(), "positive", "scaled")
    for power in (0, 1, 1.5, 2, 3):
        yield Spec(f"TweedieRegressor_{power}", TweedieRegressor(power=power), "positive", "scaled")
    yield Spec("TweedieRegressor_identity", TweedieRegressor(power=0, link="identity"), "real", "scaled")


def classifiers():
    for y in ("two", "three", "strings"):
        yield Spec(f"LogisticRegression_{y}", LogisticRegression(), y)
        yield Spec(f"LogisticRegression_{y}_zipmap", LogisticRegression(C=0.4), y, zipmap=True)
        yield Spec(f"LogisticRegressionCV_{y}", LogisticRegressionCV(Cs=3, cv=3), y, "scaled")
        yield Spec(f"LinearDiscriminantAnalysis_{y}", LinearDiscriminantAnalysis(), y)
        yield Spec(f"QuadraticDiscriminantAnalysis_{y}", QuadraticDiscriminantAnalysis(), y)
        yield Spec(f"RidgeClassifier_{y}", RidgeClassifier(), y, answers=decided)
        yield Spec(f"RidgeClassifierCV_{y}", RidgeClassifierCV(), y, answers=decided)
        yield Spec(f"LinearSVC_{y}", LinearSVC(**SEEDED), y, "scaled", answers=decided)
        yield Spec(f"Perceptron_{y}", Perceptron(**SEEDED), y, "scaled")
        yield Spec(f"PassiveAggressiveClassifier_{y}", PassiveAggressiveClassifier(**SEEDED), y, "scaled")
        for loss in ("hinge", "log_loss", "modified_huber"):
            yield Spec(f"SGDClassifier_{loss}_{y}", SGDClassifier(loss=loss, **SEEDED), y, "scaled")
    yield Spec("LogisticRegression_double", LogisticRegression(), "three", double=True)
    yield Spec("LogisticRegression_integers", LogisticRegression(), "three", "integers")
    yield Spec("LogisticRegression_raw", LogisticRegression(), "three", answers=raw, options={"raw_scores": True})
    yield Spec("LogisticRegression_raw_two", LogisticRegression(), "two", answers=raw, options={"raw_scores": True})
    yield Spec("LogisticRegression_opset9", LogisticRegression(), "three", opset={"": 9, "ai.onnx.ml": 1})
    yield Spec("SGDClassifier_raw", SGDClassifier(loss="log_loss", **SEEDED), "three", "scaled", answers=raw, options={"raw_scores": True})
    yield Spec("QuadraticDiscriminantAnalysis_double", QuadraticDiscriminantAnalysis(), "three", double=True)
    yield Spec("MLPClassifier_two", MLPClassifier((12, 6), max_iter=60, **SEEDED), "two", "scaled")
    yield Spec("MLPClassifier_double", MLPClassifier((12,), max_iter=60, **SEEDED), "strings", "scaled", double=True)
    yield Spec("MLPClassifier_labels", MLPClassifier((12,), max_iter=60, **SEEDED), "bits", "scaled", answers=several)
    for activation in ("identity", "logistic", "tanh", "relu"):
        settings = {"hidden_layer_sizes": (12, 6), "activation": activation, "max_iter": 60, **SEEDED}
        yield Spec(f"MLPClassifier_{activation}", MLPClassifier(**settings), "three", "scaled")
        yield Spec(f"MLPRegressor_{activation}", MLPRegressor(**settings), "real", "scaled")


def bayes():
    for y in ("two", "three", "strings"):
        yield Spec(f"GaussianNB_{y}", GaussianNB(), y, "tame")
        yield Spec(f"BernoulliNB_{y}", BernoulliNB(), y, "bits")
        yield Spec(f"MultinomialNB_{y}", MultinomialNB(), y, "counts")
        yield Spec(f"ComplementNB_{y}", ComplementNB(), y, "counts")
        yield Spec(f"CategoricalNB_{y}", CategoricalNB(), y, "steps")
    yield Spec("GaussianNB_double", GaussianNB(), "three", "tame", double=True)
    yield Spec("BernoulliNB_threshold", BernoulliNB(binarize=0.7), "three", "tame")
    yield Spec("BernoulliNB_no_threshold", BernoulliNB(binarize=None), "three", "bits")
    yield Spec("MultinomialNB_no_prior", MultinomialNB(fit_prior=False, alpha=0.1), "three", "counts")
    yield Spec("ComplementNB_norm", ComplementNB(norm=True), "three", "counts")


def machines():
    for kernel in ("linear", "poly", "rbf", "sigmoid"):
        settings = {"kernel": kernel, "gamma": 0.2, "coef0": 0.5}
        for y in ("two", "three"):
            yield Spec(f"SVC_{kernel}_{y}", SVC(**settings), y, "scaled")
            yield Spec(f"SVC_{kernel}_{y}_probability", SVC(probability=True, **SEEDED, **settings), y, "scaled")
        yield Spec(f"SVR_{kernel}", SVR(**settings), "real", "scaled")
        yield Spec(f"OneClassSVM_{kernel}", OneClassSVM(nu=0.3, **settings), None, "scaled")
    yield Spec("SVC_strings", SVC(), "strings", "scaled")
    yield Spec("SVC_strings_probability", SVC(probability=True, **SEEDED), "two strings", "scaled")
    yield Spec("SVC_one_against_one", SVC(decision_function_shape="ovo"), "three", "scaled")
    yield Spec("SVC_double", SVC(probability=True, **SEEDED), "three", "scaled", double=True)
    yield Spec("NuSVC_two", NuSVC(nu=0.3), "two", "scaled")
    yield Spec("NuSVC_three", NuSVC(nu=0.3), "three", "scaled")
    yield Spec("NuSVC_probability", NuSVC(nu=0.3, probability=True, **SEEDED), "three", "scaled")
    yield Spec("NuSVR", NuSVR(nu=0.4), "real", "scaled")
    yield Spec("SVR_double", SVR(), "real", "scaled", double=True)
    yield Spec("OneClassSVM_tight", OneClassSVM(nu=0.05), None, "scaled")
    yield Spec("SGDOneClassSVM", SGDOneClassSVM(**SEEDED), None, "scaled")


def specs():
    yield from regressors()
    yield from classifiers()
    yield from bayes()
    yield from machines()
