"""Neighbours, Gaussian processes, mixtures and clusters."""

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import (
    RBF,
    ConstantKernel,
    DotProduct,
    Matern,
    RationalQuadratic,
    WhiteKernel,
)
from sklearn.impute import KNNImputer
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.neighbors import (
    KNeighborsClassifier,
    KNeighborsRegressor,
    KNeighborsTransformer,
    LocalOutlierFactor,
    NearestNeighbors,
    NeighborhoodComponentsAnalysis,
    RadiusNeighborsClassifier,
    RadiusNeighborsRegressor,
)

from fixture import SEED
from zoo_rows import Spec, dense

SEEDED = {"random_state": SEED}


def clustered(model, X):
    return [model.predict(X), model.transform(X)]


def mixed(model, X):
    return [model.predict(X), model.predict_proba(X)]


def mixed_samples(model, X):
    return mixed(model, X) + [model.score_samples(X)]


def outlying(model, X):
    return [model.predict(X), model.decision_function(X)]


def nearest(model, X):
    distances, indices = model.kneighbors(X)
    return [indices, distances]


def with_deviation(model, X):
    return list(model.predict(X, return_std=True))


def with_covariance(model, X):
    return list(model.predict(X, return_cov=True))


def neighbours():
    for y in ("two", "three", "strings", "labels"):
        yield Spec(f"KNeighborsClassifier_{y}", KNeighborsClassifier(), y)
    for weights in ("uniform", "distance"):
        for metric, rest in (
            ("euclidean", {}),
            ("manhattan", {}),
            ("minkowski", {"p": 3}),
            ("cosine", {}),
        ):
            settings = {"n_neighbors": 4, "weights": weights, "metric": metric, **rest}
            yield Spec(f"KNeighborsClassifier_{metric}_{weights}", KNeighborsClassifier(**settings), "three", "scaled")
            yield Spec(f"KNeighborsRegressor_{metric}_{weights}", KNeighborsRegressor(**settings), "real", "scaled")
    yield Spec("KNeighborsRegressor_two_targets", KNeighborsRegressor(), "reals")
    yield Spec("KNeighborsRegressor_one", KNeighborsRegressor(1), "real")
    yield Spec("KNeighborsClassifier_double", KNeighborsClassifier(), "three", double=True)
    yield Spec("KNeighborsRegressor_double", KNeighborsRegressor(weights="distance"), "real", double=True)
    yield Spec("KNeighborsRegressor_integers", KNeighborsRegressor(), "real", "integers")
    yield Spec("RadiusNeighborsClassifier_two", RadiusNeighborsClassifier(radius=8, outlier_label=0), "two", "scaled")
    yield Spec("RadiusNeighborsClassifier_three", RadiusNeighborsClassifier(radius=8, outlier_label=1), "three", "scaled")
    yield Spec("RadiusNeighborsRegressor", RadiusNeighborsRegressor(radius=8), "real", "scaled")
    yield Spec("RadiusNeighborsRegressor_distance", RadiusNeighborsRegressor(radius=8, weights="distance"), "real", "scaled")
    yield Spec("KNeighborsTransformer", KNeighborsTransformer(n_neighbors=4, mode="distance"), None, "scaled")
    yield Spec("KNeighborsTransformer_connectivity", KNeighborsTransformer(n_neighbors=4, mode="connectivity"), None, "scaled")
    yield Spec("NearestNeighbors", NearestNeighbors(n_neighbors=4, radius=None), None, "scaled", answers=nearest)
    yield Spec("LocalOutlierFactor", LocalOutlierFactor(novelty=True), None, "scaled", answers=outlying)
    yield Spec("LocalOutlierFactor_few", LocalOutlierFactor(n_neighbors=7, novelty=True), None, answers=outlying)
    yield Spec("KNNImputer", KNNImputer(n_neighbors=3), None, "holes")
    yield Spec("NeighborhoodComponentsAnalysis", NeighborhoodComponentsAnalysis(3, max_iter=20, **SEEDED), "three", "scaled")


def processes():
    kernels = {
        "rbf": RBF(1.5),
        "constant_rbf": ConstantKernel(2.0) * RBF([1, 2, 1, 2, 1]) + WhiteKernel(0.1),
        "matern": Matern(1.5, nu=1.5),
        "matern_half": Matern(1.5, nu=0.5),
        "dot": DotProduct() + WhiteKernel(0.1),
        "quadratic": RationalQuadratic(1.2, 0.7),
    }
    for name, kernel in kernels.items():
        model = GaussianProcessRegressor(kernel, optimizer=None, alpha=0.05)
        yield Spec(f"GaussianProcessRegressor_{name}", model, "real", "scaled", double=True)
    yield Spec("GaussianProcessRegressor", GaussianProcessRegressor(alpha=0.1), "real", "scaled", double=True)
    yield Spec("GaussianProcessRegressor_float", GaussianProcessRegressor(kernels["rbf"], optimizer=None, alpha=0.1), "real", "scaled")
    yield Spec("GaussianProcessRegressor_two_targets", GaussianProcessRegressor(kernels["rbf"], optimizer=None, alpha=0.1), "reals", "scaled", double=True)
    yield Spec("GaussianProcessRegressor_normalized", GaussianProcessRegressor(kernels["rbf"], optimizer=None, alpha=0.1, normalize_y=True), "real", "scaled", double=True)
    yield Spec(
        "GaussianProcessRegressor_deviation",
        GaussianProcessRegressor(kernels["rbf"], optimizer=None, alpha=0.1),
        "real",
        "scaled",
        answers=with_deviation,
        options={"return_std": True},
        double=True,
    )
    yield Spec("GaussianProcessClassifier_two", GaussianProcessClassifier(kernels["rbf"], optimizer=None), "two", "scaled", double=True)


def mixtures():
    for covariance in ("full", "tied", "diag", "spherical"):
        settings = {"n_components": 3, "covariance_type": covariance, **SEEDED}
        yield Spec(f"GaussianMixture_{covariance}", GaussianMixture(**settings), None, "scaled", answers=mixed)
        yield Spec(f"BayesianGaussianMixture_{covariance}", BayesianGaussianMixture(max_iter=300, **settings), None, "scaled", answers=mixed)
    yield Spec("GaussianMixture_double", GaussianMixture(3, **SEEDED), None, "scaled", answers=mixed, double=True)
    yield Spec("GaussianMixture_samples", GaussianMixture(3, **SEEDED), None, "scaled", answers=mixed_samples, options={"score_samples": True})
    for cls in (KMeans, MiniBatchKMeans):
        yield Spec(cls.__name__, cls(4, n_init=3, **SEEDED), None, "scaled", answers=clustered)
        yield Spec(f"{cls.__name__}_double", cls(4, n_init=3, **SEEDED), None, answers=clustered, double=True)


def specs():
    yield from neighbours()
    yield from processes()
    yield from mixtures()
