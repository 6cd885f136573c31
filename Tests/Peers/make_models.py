#!/usr/bin/env python3
"""Makes the models that engines are compared on: make_models.py --out FOLDER [--quick] [--only a,b].

For each a folder with the files that peers load, `inputs.npz` (what they score), `expected.npy`
(what the trainer's library says of the first rows) and `rows_FILE.csv` (the same for Rowcast, with
the trainer's outputs in the columns that it compares). What is there already is kept.
"""

import argparse
import csv
import json
import os
import subprocess

# Threads that wait for one another by spinning take a shared machine's cores from each other.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import joblib
import numpy as np

import data

CHECKED = 1024


class Maker:
    def __init__(self, out, quick, rowcast):
        self.out, self.quick, self.rowcast = out, quick, rowcast
        self.pool = 8192 if quick else 65536

    def size(self, full, quick):
        return quick if self.quick else full

    def folder(self, name):
        path = os.path.join(self.out, name)
        os.makedirs(path, exist_ok=True)
        return path

    def finish(self, folder, title, expected, files, **inputs):
        """Writes what is scored, once as arrays and once as CSV for each of our files."""
        np.savez(os.path.join(folder, "inputs.npz"), **inputs)
        np.save(os.path.join(folder, "expected.npy"), expected)
        for file in files:
            self.write_rows(folder, file, list(inputs.values()), expected)
        with open(os.path.join(folder, "meta.json"), "w") as target:
            json.dump({"title": title, "files": files, "quick": self.quick}, target, indent=1)
        print(os.path.basename(folder), "is made", flush=True)

    def write_rows(self, folder, file, blocks, expected):
        shown = subprocess.run([self.rowcast, "inspect", "--json", os.path.join(folder, file)],
                               capture_output=True, text=True)
        if shown.returncode:
            print(f"{file}: {shown.stderr.strip()}", flush=True)
            return
        signature = json.loads(shown.stdout)["signature"]
        outputs = [output for output in signature["outputs"]
                   if output["role"] in ("probability", "score", "decision")]
        # The last one is the positive class's, or the only one.
        wanted = expected if expected.ndim == 2 and expected.shape[1] == len(outputs) \
            else expected.reshape(len(expected), -1)[:, -1:]
        names = [output["name"] for output in outputs[-wanted.shape[1]:]]
        columns = []
        for block in blocks:
            for index in range(block.shape[1]):
                values = block[:, index]
                if values.dtype == object or values.dtype.kind == "U":
                    columns.append([str(value) for value in values])
                else:
                    columns.append([text(value) for value in values])
        assert len(columns) == len(signature["features"]), (file, len(columns))
        for index in range(wanted.shape[1]):
            tail = [""] * (len(columns[0]) - len(wanted))
            columns.append([repr(float(value)) for value in wanted[:, index]] + tail)
        with open(os.path.join(folder, f"rows_{file}.csv"), "w", newline="") as target:
            writer = csv.writer(target)
            writer.writerow([feature["name"] for feature in signature["features"]] + names)
            writer.writerows(zip(*columns))


def text(value):
    """The shortest digits; a missing value is an empty field."""
    return "" if np.isnan(value) else np.format_float_positional(value, trim="0") \
        if 1e-5 < abs(value) < 1e9 else repr(float(value))


def whole_numbers(helper):
    """Newer protobuf refuses numpy's booleans and integers, which skl2onnx hands it in lists."""
    original = helper.make_attribute

    def make_attribute(key, value, *rest, **named):
        if isinstance(value, np.ndarray):
            value = value.tolist()
        if isinstance(value, (list, tuple)) and value and isinstance(
                value[0], (bool, np.bool_, np.integer)):
            value = [int(item) for item in value]
        return original(key, value, *rest, **named)

    helper.make_attribute = make_attribute


def save_onnx(model, folder, name="model.onnx"):
    with open(os.path.join(folder, name), "wb") as target:
        target.write(model.SerializeToString())


def floats(width):
    from onnxmltools.convert.common.data_types import FloatTensorType
    return [("X", FloatTensorType([None, width]))]


def lightgbm_model(folder, parameters, x, y, rounds, **dataset):
    import lightgbm
    import onnxmltools

    booster = lightgbm.train(
        dict(parameters, verbose=-1, seed=data.SEED, deterministic=True, force_row_wise=True),
        lightgbm.Dataset(x, y, **dataset), rounds)
    path = os.path.join(folder, "lightgbm.txt")
    booster.save_model(path)
    booster = lightgbm.Booster(model_file=path)
    options = {"zipmap": False} if parameters["objective"] == "binary" else {}
    save_onnx(onnxmltools.convert_lightgbm(booster, initial_types=floats(x.shape[1]),
                                           target_opset=15, **options), folder)
    return booster


def xgboost_model(folder, objective, leaves, rate, x, y, rounds):
    """The same shape, trained by XGBoost: a peer with trees of its own."""
    import xgboost

    booster = xgboost.train(
        dict(objective=objective, tree_method="hist", grow_policy="lossguide", max_leaves=leaves,
             max_depth=0, eta=rate, max_bin=256, min_child_weight=20, seed=data.SEED),
        xgboost.DMatrix(x, y), rounds)
    booster.save_model(os.path.join(folder, "xgboost.json"))


def make_a(maker, folder):
    trees = 100
    x, y = data.collisions(maker.size(200_000, 20_000), 1)
    pool, _ = data.collisions(maker.pool, 2)
    booster = lightgbm_model(folder, dict(objective="binary", num_leaves=31, learning_rate=0.1),
                             x, y, trees)
    xgboost_model(folder, "binary:logistic", 31, 0.1, x, y, trees)
    np.savez(os.path.join(folder, "training.npz"), x=x, y=y)
    maker.finish(folder, f"boosted, {trees} x 31 leaves, 28 features",
                 booster.predict(pool[:CHECKED]), ["lightgbm.txt", "model.onnx"], X=pool)


def make_b(maker, folder):
    trees = maker.size(500, 100)
    x, y = data.friedman(maker.size(200_000, 20_000), 50, 3)
    pool, _ = data.friedman(maker.pool, 50, 4)
    booster = lightgbm_model(
        folder, dict(objective="regression", num_leaves=255, learning_rate=0.05), x, y, trees)
    xgboost_model(folder, "reg:squarederror", 255, 0.05, x, y, trees)
    maker.finish(folder, f"boosted, {trees} x 255 leaves, 50 features",
                 booster.predict(pool[:CHECKED]), ["lightgbm.txt", "model.onnx"], X=pool)


def make_c(maker, folder):
    from skl2onnx import to_onnx
    from sklearn.ensemble import RandomForestClassifier

    trees = maker.size(200, 50)

    def classes(count, stream):
        x, y = data.friedman(count, 30, stream)
        return x, np.digitize(y, [0.5, 3, 5.5, 9]).astype(np.int64)

    x, y = classes(maker.size(40_000, 8_000), 5)
    pool, _ = classes(maker.pool, 6)
    forest = RandomForestClassifier(trees, max_depth=16, random_state=data.SEED, n_jobs=-1)
    forest.fit(x, y)
    joblib.dump(forest, os.path.join(folder, "model.joblib"))
    np.savez(os.path.join(folder, "training.npz"), x=x, y=y)
    save_onnx(to_onnx(forest, pool[:1], options={"zipmap": False}), folder)
    maker.finish(folder, f"forest, {trees} x depth 16, 5 classes",
                 forest.predict_proba(pool[:CHECKED]), ["model.onnx"], X=pool)


def make_d(maker, folder):
    import pandas
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers, texts, y = data.customers(maker.size(50_000, 5_000), 7)
    pool, words, _ = data.customers(maker.pool, 8)
    words[::97, 3] = "never seen in training"
    numeric = [f"n{i:02d}" for i in range(data.NUMERIC)]
    textual = [f"s{i:02d}" for i in range(data.TEXTUAL)]

    def frame(x, s):
        return pandas.concat([pandas.DataFrame(x, columns=numeric),
                              pandas.DataFrame(s, columns=textual, dtype=object)], axis=1)

    pipeline = Pipeline([
        ("columns", ColumnTransformer([
            ("numbers", Pipeline([("impute", SimpleImputer(strategy="median")),
                                  ("scale", StandardScaler())]), numeric),
            ("texts", OneHotEncoder(handle_unknown="ignore"), textual)])),
        ("classifier", LogisticRegression(max_iter=300))])
    pipeline.fit(frame(numbers, texts), y)
    joblib.dump(pipeline, os.path.join(folder, "model.joblib"))
    types = [(name, FloatTensorType([None, 1])) for name in numeric]
    types += [(name, StringTensorType([None, 1])) for name in textual]
    save_onnx(to_onnx(pipeline, initial_types=types,
                      options={id(pipeline): {"zipmap": False}}), folder)
    maker.finish(folder, "columns (80 numeric, 20 string) + logistic",
                 pipeline.predict_proba(frame(pool[:CHECKED], words[:CHECKED])), ["model.onnx"],
                 X=pool, S=words.astype(str))


def make_e(maker, folder):
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import StringTensorType
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

    texts, y = data.documents(maker.size(120_000, 10_000), 9)
    pool, _ = data.documents(maker.size(16_384, 4_096), 10)
    pattern = "[a-zA-Z0-9_]+"
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), max_features=maker.size(50_000, 5_000),
                                 token_pattern=pattern)
    pipeline = Pipeline([("words", vectorizer),
                         ("classifier", LogisticRegression(max_iter=200, C=10.0))]).fit(texts, y)
    joblib.dump(pipeline, os.path.join(folder, "model.joblib"))
    save_onnx(to_onnx(pipeline, initial_types=[("text", StringTensorType([None, 1]))],
                      options={id(pipeline): {"zipmap": False},
                               id(vectorizer): {"tokenexp": pattern, "locale": "C"}}), folder)
    maker.finish(folder, f"TF-IDF 1-2 grams, {len(vectorizer.vocabulary_):,} terms + logistic",
                 pipeline.predict_proba(pool[:CHECKED]), ["model.onnx"],
                 S=np.array(pool).reshape(-1, 1))


def make_f(maker, folder):
    from skl2onnx import to_onnx
    from sklearn.svm import OneClassSVM

    x, pool = data.readings(maker.size(10_000, 2_000), 12), data.readings(maker.pool, 13)
    machine = OneClassSVM(kernel="rbf", nu=0.05, gamma="scale").fit(x)
    joblib.dump(machine, os.path.join(folder, "model.joblib"))
    save_onnx(to_onnx(machine, pool[:1]), folder)
    maker.finish(folder, f"OneClassSVM, {len(machine.support_)} vectors, 20 features",
                 machine.decision_function(pool[:CHECKED]), ["model.onnx"], X=pool)


def make_g(maker, folder):
    from skl2onnx import to_onnx
    from sklearn.neural_network import MLPClassifier

    def classes(count, stream):
        x, y = data.friedman(count, 64, stream)
        x[:, 32:] = np.log(x[:, 32:] + 0.01)
        return x, np.digitize(y, [3, 8]).astype(np.int64)

    x, y = classes(maker.size(20_000, 4_000), 14)
    pool, _ = classes(maker.pool, 15)
    network = MLPClassifier((256, 256, 256), max_iter=4, random_state=data.SEED).fit(x, y)
    joblib.dump(network, os.path.join(folder, "model.joblib"))
    save_onnx(to_onnx(network, pool[:1], options={"zipmap": False}), folder)
    maker.finish(folder, "MLP 64-256-256-256-3", network.predict_proba(pool[:CHECKED]),
                 ["model.onnx"], X=pool)


def make_i(maker, folder):
    trees = maker.size(200, 100)
    x, y = data.shop(maker.size(100_000, 10_000), 17)
    pool, _ = data.shop(maker.pool, 18)
    booster = lightgbm_model(
        folder, dict(objective="regression", num_leaves=63, learning_rate=0.08), x, y, trees,
        categorical_feature=data.CATEGORICAL)
    maker.finish(folder, f"LightGBM {trees} x 63, categorical and missing",
                 booster.predict(pool[:CHECKED]), ["lightgbm.txt", "model.onnx"], X=pool)


MAKERS = {name[5:]: maker for name, maker in globals().items() if name.startswith("make_")}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    parser.add_argument("--rowcast", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default=",".join(MAKERS))
    options = parser.parse_args()
    import onnx.helper
    whole_numbers(onnx.helper)
    maker = Maker(options.out, options.quick, options.rowcast)
    for name in options.only.split(","):
        folder = maker.folder(name)
        meta = os.path.join(folder, "meta.json")
        if os.path.exists(meta) and json.load(open(meta))["quick"] == options.quick:
            continue
        MAKERS[name](maker, folder)


if __name__ == "__main__":
    main()
