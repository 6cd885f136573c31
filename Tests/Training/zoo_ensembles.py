"""Single nodes of TreeEnsemble, TreeEnsembleRegressor and TreeEnsembleClassifier: modes, aggregates, transforms, types."""

import itertools

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from fixture import SEED

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


BINARY = "the class of the greater score: ONNX Runtime's rule for two classes looks at the second score alone"


def best(scores, labels):
    """The label of the greatest score, the first of equals."""
    return np.array(labels)[np.argmax(scores, axis=1)]


def grow(random, mode, trees=5, depth=3, width=4, track=False):
    """Full trees as the lists of opset 1: nodes, and the (tree, node) of each leaf."""
    lists = {k: [] for k in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids", "missing_value_tracks_true")}
    leaves = []
    inner = 2**depth - 1
    for tree in range(trees):
        for node in range(2 ** (depth + 1) - 1):
            leaf = node >= inner
            chosen = "LEAF" if leaf else (MODES[random.integers(len(MODES))] if mode == "mixed" else mode)
            threshold = 0.0 if leaf else float(np.round(random.normal(0, 1), 0 if chosen in MODES[4:] else 2))
            for key, value in (
                ("treeids", tree),
                ("nodeids", node),
                ("featureids", 0 if leaf else int(random.integers(width))),
                ("values", threshold),
                ("modes", chosen),
                ("truenodeids", 0 if leaf else 2 * node + 1),
                ("falsenodeids", 0 if leaf else 2 * node + 2),
                ("missing_value_tracks_true", 0 if leaf or not track else int(random.integers(2))),
            ):
                lists[key].append(value)
            if leaf:
                leaves.append((tree, node))
    return {f"nodes_{k}": v for k, v in lists.items()}, leaves


def votes(random, leaves, prefix, count, low=-1.0, high=1.0, every=False):
    chosen = [(t, n, k) for t, n in leaves for k in (range(count) if every else [int(random.integers(count))])]
    return {
        f"{prefix}_treeids": [t for t, _, _ in chosen],
        f"{prefix}_nodeids": [n for _, n, _ in chosen],
        f"{prefix}_ids": [k for _, _, k in chosen],
        f"{prefix}_weights": np.round(random.uniform(low, high, len(chosen)), 3).tolist(),
    }


def as_tensors(attributes, *names):
    """The same with doubles in tensors, as opset 3 allows."""
    result = dict(attributes)
    for name in names:
        values = np.array(result.pop(name), np.float64)
        result[f"{name}_as_tensor"] = numpy_helper.from_array(values, name)
    return result


def with_edges(X):
    X = X.copy()
    X[5:20, :] = np.round(X[5:20, :])
    return X


def regressors(case, numbers):
    random = np.random.default_rng(SEED + 210)
    for mode in MODES + ("mixed",):
        nodes, leaves = grow(random, mode)
        case(f"TreeEnsembleRegressor_{mode}", "TreeEnsembleRegressor", with_edges(numbers("float32")), "float32", n_targets=2, **nodes, **votes(random, leaves, "target", 2))
    nodes, leaves = grow(random, "mixed", track=True)
    X = with_edges(numbers("float32"))
    X[::3, 1] = np.nan
    X[1::4, 2] = np.nan
    case("TreeEnsembleRegressor_missing", "TreeEnsembleRegressor", X, "float32", n_targets=2, **nodes, **votes(random, leaves, "target", 2))
    nodes, leaves = grow(random, "BRANCH_LEQ")
    one = votes(random, leaves, "target", 1)
    many = votes(random, leaves, "target", 3, every=True)
    for aggregate, base in itertools.product(("SUM", "AVERAGE", "MIN", "MAX"), (False, True)):
        rest = {"aggregate_function": aggregate}
        name = f"TreeEnsembleRegressor_{aggregate}{'_base' if base else ''}"
        case(name, "TreeEnsembleRegressor", numbers("float32"), "float32", n_targets=1, **rest, **({"base_values": [0.75]} if base else {}), **nodes, **one)
        case(f"{name}_three", "TreeEnsembleRegressor", numbers("float32"), "float32", n_targets=3, **rest, **({"base_values": [0.75, -1.0, 2.0]} if base else {}), **nodes, **many)
    for transform in TRANSFORMS[:4]:
        case(f"TreeEnsembleRegressor_{transform}", "TreeEnsembleRegressor", numbers("float32"), "float32", n_targets=3, post_transform=transform, **nodes, **many)
    for kind in ("float64", "int64", "int32"):
        case(f"TreeEnsembleRegressor_{kind}", "TreeEnsembleRegressor", numbers(kind), kind, n_targets=3, **nodes, **many)
    doubles = as_tensors({**nodes, **many}, "nodes_values", "target_weights")
    base = numpy_helper.from_array(np.array([0.1, 0.2, 0.3]), "base")
    case("TreeEnsembleRegressor_as_tensor", "TreeEnsembleRegressor", numbers("float64"), "float64", n_targets=3, base_values_as_tensor=base, **doubles)


def classifiers(case, numbers):
    random = np.random.default_rng(SEED + 211)
    nodes, leaves = grow(random, "BRANCH_LEQ", trees=6)
    for classes, labels in ((2, {"classlabels_int64s": [7, 3]}), (3, {"classlabels_strings": ["x", "y", "z"]})):
        for low, sign in ((0.0, "positive"), (-1.0, "signed")):
            every = votes(random, leaves, "class", classes, low, 0.16, every=True)
            known = list(labels.values())[0]
            mend = {"change": lambda answers: [best(answers[1], known), answers[1]], "notes": BINARY} if classes == 2 else {}
            for transform in TRANSFORMS[:4]:
                case(f"TreeEnsembleClassifier_{classes}_{sign}_{transform}", "TreeEnsembleClassifier", numbers("float32"), "float32", outputs=2, post_transform=transform, **mend, **labels, **nodes, **every)
            if classes == 3:
                base = np.round(random.uniform(0, 0.2, classes), 2).tolist()
                case(f"TreeEnsembleClassifier_{classes}_{sign}_base", "TreeEnsembleClassifier", numbers("float32"), "float32", outputs=2, base_values=base, **labels, **nodes, **every)
    for low, high, sign in ((0.0, 0.16, "positive"), (-1.0, 1.0, "signed")):
        single = votes(random, leaves, "class", 1, low, high)
        for column in (0, 1):
            single["class_ids"] = [column] * len(single["class_ids"])
            for transform in TRANSFORMS[:3]:
                # The label of a probability above one half, whatever the votes' signs.
                mend = {"change": lambda answers: [(answers[1][:, 1] > 0.5).astype(np.int64), answers[1]], "notes": BINARY} if transform == "LOGISTIC" and column == 0 else {}
                case(f"TreeEnsembleClassifier_column_{column}_{sign}_{transform}", "TreeEnsembleClassifier", numbers("float32"), "float32", outputs=2, classlabels_int64s=[0, 1], post_transform=transform, **mend, **nodes, **single)
            if column == 0:
                case(f"TreeEnsembleClassifier_column_{column}_{sign}_base", "TreeEnsembleClassifier", numbers("float32"), "float32", outputs=2, classlabels_int64s=[0, 1], base_values=[0.3], **nodes, **single)
    every = votes(random, leaves, "class", 3, 0, 0.2, every=True)
    for kind in ("float64", "int64", "int32"):
        case(f"TreeEnsembleClassifier_{kind}", "TreeEnsembleClassifier", numbers(kind), kind, outputs=2, classlabels_int64s=[0, 1, 2], **nodes, **every)
    doubles = as_tensors({**nodes, **every}, "nodes_values", "class_weights")
    case("TreeEnsembleClassifier_as_tensor", "TreeEnsembleClassifier", numbers("float64"), "float64", outputs=2, classlabels_int64s=[0, 1, 2], **doubles)


def shared(case, numbers):
    """A chain of BRANCH_EQ whose true branches meet, as converters write a split by categories."""
    nodes = {
        "nodes_treeids": [0] * 8,
        "nodes_nodeids": list(range(8)),
        "nodes_featureids": [1, 1, 1, 0, 0, 0, 0, 0],
        "nodes_values": [2.0, -1.0, 3.0, 0.5, 0.0, 0.0, 0.0, 0.0],
        "nodes_modes": ["BRANCH_EQ", "BRANCH_EQ", "BRANCH_EQ", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF", "LEAF"],
        "nodes_truenodeids": [3, 3, 3, 4, 0, 0, 0, 0],
        "nodes_falsenodeids": [1, 2, 6, 5, 0, 0, 0, 0],
    }
    leaves = {"target_treeids": [0] * 4, "target_nodeids": [4, 5, 6, 7], "target_ids": [0] * 4, "target_weights": [1.5, -2.0, 0.25, 9.0]}
    case("TreeEnsembleRegressor_shared", "TreeEnsembleRegressor", np.round(numbers("float32")), "float32", n_targets=1, **nodes, **leaves)


def ensembles(case, numbers):
    shared(case, numbers)
    regressors(case, numbers)
    classifiers(case, numbers)
    tensors(case, numbers)


def five(random, kind, mode, aggregate, transform, trees=4, depth=3, width=4, targets=2, track=False):
    """The attributes of TreeEnsemble."""
    dtype = {"float32": np.float32, "float64": np.float64}[kind]
    features, splits, modes, members, roots, tracked = [], [], [], [], [], []
    true, false, true_leaf, false_leaf, ids, weights = [], [], [], [], [], []
    inner = 2**depth - 1
    for _ in range(trees):
        first = len(features)
        roots.append(first)
        for node in range(inner):
            code = int(random.integers(7)) if mode == "mixed" else mode
            modes.append(code)
            features.append(int(random.integers(width)))
            splits.append(float(np.round(random.normal(0, 1), 0 if code in (4, 5) else 2)))
            tracked.append(int(random.integers(2)) if track else 0)
            if code == 6:
                members += random.choice(np.arange(1, 9), random.integers(1, 5), replace=False).astype(float).tolist() + [np.nan]
            for child, places, flags in ((2 * node + 1, true, true_leaf), (2 * node + 2, false, false_leaf)):
                if child < inner:
                    places.append(first + child)
                    flags.append(0)
                else:
                    places.append(len(ids))
                    flags.append(1)
                    ids.append(int(random.integers(targets)))
                    weights.append(float(np.round(random.normal(0, 1), 3)))
    tensor = lambda name, values, type=dtype: numpy_helper.from_array(np.array(values, type), name)
    attributes = dict(
        n_targets=targets,
        aggregate_function=aggregate,
        post_transform=transform,
        tree_roots=roots,
        nodes_modes=tensor("modes", modes, np.uint8),
        nodes_featureids=features,
        nodes_splits=tensor("splits", splits),
        nodes_truenodeids=true,
        nodes_trueleafs=true_leaf,
        nodes_falsenodeids=false,
        nodes_falseleafs=false_leaf,
        leaf_targetids=ids,
        leaf_weights=tensor("weights", weights),
    )
    if members:
        attributes["membership_values"] = tensor("members", members)
    if track:
        attributes["nodes_missing_value_tracks_true"] = tracked
    return attributes


def tensors(case, numbers):
    random = np.random.default_rng(SEED + 212)
    for kind in ("float32", "float64"):
        for mode in range(6):
            case(f"TreeEnsemble_{MODES[mode]}_{kind}", "TreeEnsemble", with_edges(numbers(kind)), kind, opset=5, **five(random, kind, mode, 1, 0))
        X = np.abs(np.round(numbers(kind, scale=4)))
        case(f"TreeEnsemble_BRANCH_MEMBER_{kind}", "TreeEnsemble", X, kind, opset=5, **five(random, kind, 6, 1, 0))
        case(f"TreeEnsemble_mixed_{kind}", "TreeEnsemble", X, kind, opset=5, **five(random, kind, "mixed", 1, 0))
        X[::3, 1] = np.nan
        case(f"TreeEnsemble_missing_{kind}", "TreeEnsemble", X, kind, opset=5, **five(random, kind, "mixed", 1, 0, track=True))
        for aggregate in range(4):
            for transform in range(4):
                attributes = five(random, kind, 0, aggregate, transform)
                # ONNX says 1 is SOFTMAX and 2 is LOGISTIC; ONNX Runtime has them the other way round.
                exchanged = {**attributes, "post_transform": {1: 2, 2: 1}.get(transform, transform)}
                rest = {"answered_by": exchanged} if transform in (1, 2) else {}
                case(f"TreeEnsemble_{aggregate}_{transform}_{kind}", "TreeEnsemble", numbers(kind), kind, opset=5, **rest, **attributes)
