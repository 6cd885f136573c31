"""The peers: each loads a model, takes a batch of inputs, and answers an array of outputs."""

import ctypes
import os

import joblib
import numpy as np


class Peer:
    """What all have in common: where the model lies, and how many threads may be used."""

    #: Whether the outputs are those of the same trees, so that they can be compared.
    compares = True
    #: Batches that make sense; None for all.
    only = None

    def __init__(self, folder, threads):
        self.folder, self.threads = folder, threads
        inputs = np.load(os.path.join(folder, "inputs.npz"), allow_pickle=False)
        self.inputs = {name: inputs[name] for name in inputs.files}
        self.load()

    def path(self, name):
        return os.path.join(self.folder, name)

    def count(self):
        return len(next(iter(self.inputs.values())))

    def batch(self, rows):
        """What `run` takes; made outside of the measured time."""
        return np.ascontiguousarray(self.inputs["X"][rows])


class OnnxRuntime(Peer):
    def load(self):
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            self.path("model.onnx"), options, providers=["CPUExecutionProvider"])
        self.names = [value.name for value in self.session.get_inputs()]

    def batch(self, rows):
        if len(self.names) == 1:
            (values,) = self.inputs.values()
            values = values[rows]
            return {self.names[0]: values.astype(object) if values.dtype.kind == "U" else values}
        columns = [values[rows].astype(object) if values.dtype.kind == "U" else values[rows]
                   for values in self.inputs.values()]
        flat = [np.ascontiguousarray(block[:, [i]]) for block in columns for i in range(block.shape[1])]
        return dict(zip(self.names, flat))

    def run(self, batch):
        return self.session.run(None, batch)[-1]


class LightGBM(Peer):
    def load(self):
        import lightgbm
        self.booster = lightgbm.Booster(model_file=self.path("lightgbm.txt"))

    def run(self, batch):
        return self.booster.predict(batch, num_threads=self.threads)


class LightGBMSingleRow(LightGBM):
    """LightGBM's quickest way for one row, through its C interface."""

    only = [1]
    compares = False

    def load(self):
        super().load()
        from lightgbm.basic import _LIB
        self.library, self.configuration = _LIB, ctypes.c_void_p()
        code = _LIB.LGBM_BoosterPredictForMatSingleRowFastInit(
            self.booster._handle, 0, 0, -1, 0, ctypes.c_int32(self.inputs["X"].shape[1]),
            ctypes.c_char_p(b"num_threads=1"), ctypes.byref(self.configuration))
        assert code == 0, code
        self.answer, self.length = np.zeros(1), ctypes.c_int64()
        self.target = self.answer.ctypes.data_as(ctypes.POINTER(ctypes.c_double))

    def batch(self, rows):
        kept = super().batch(rows)
        return kept, ctypes.c_void_p(kept.ctypes.data)

    def run(self, batch):
        self.library.LGBM_BoosterPredictForMatSingleRowFast(
            self.configuration, batch[1], ctypes.byref(self.length), self.target)
        return self.answer


class XGBoost(Peer):
    """Trees of its own, of the same shape."""

    compares = False

    def load(self):
        import xgboost
        self.booster = xgboost.Booster(model_file=self.path("xgboost.json"))
        self.booster.set_param({"nthread": self.threads})

    def run(self, batch):
        return self.booster.inplace_predict(batch)


class ScikitLearn(Peer):
    def load(self):
        self.model = joblib.load(self.path("model.joblib"))
        if hasattr(self.model, "n_jobs"):
            self.model.n_jobs = self.threads
        self.call = getattr(self.model, "predict_proba", None) or self.model.decision_function
        self.frame = None

    def batch(self, rows):
        if "S" not in self.inputs:
            return super().batch(rows)
        if "X" not in self.inputs:
            return list(self.inputs["S"][rows, 0])
        if self.frame is None:
            import pandas
            numbers = pandas.DataFrame(
                self.inputs["X"], columns=[f"n{i:02d}" for i in range(self.inputs["X"].shape[1])])
            texts = pandas.DataFrame(
                self.inputs["S"].astype(object),
                columns=[f"s{i:02d}" for i in range(self.inputs["S"].shape[1])], dtype=object)
            self.frame = pandas.concat([numbers, texts], axis=1)
        return self.frame.iloc[rows]

    def run(self, batch):
        return self.call(batch)


class NumPySupportVectors(Peer):
    """The one-class SVM as one matrix product and one exponential."""

    def load(self):
        model = joblib.load(self.path("model.joblib"))
        self.vectors = np.ascontiguousarray(model.support_vectors_.astype(np.float32).T)
        self.squares = (self.vectors ** 2).sum(0)
        self.gamma = np.float32(model._gamma)
        self.weights = model.dual_coef_[0].astype(np.float32)
        self.intercept = np.float32(model.intercept_[0])

    def run(self, x):
        d = x @ self.vectors
        d *= 2
        d -= (x * x).sum(1)[:, None]
        d -= self.squares
        d *= self.gamma
        np.exp(d, out=d)
        return d @ self.weights + self.intercept


class NumPyNetwork(Peer):
    def load(self):
        model = joblib.load(self.path("model.joblib"))
        self.layers = [(w.astype(np.float32), b.astype(np.float32))
                       for w, b in zip(model.coefs_, model.intercepts_)]

    def run(self, x):
        for index, (weights, bias) in enumerate(self.layers):
            x = x @ weights
            x += bias
            if index + 1 < len(self.layers):
                np.maximum(x, 0, out=x)
        x -= x.max(1, keepdims=True)
        np.exp(x, out=x)
        x /= x.sum(1, keepdims=True)
        return x


class Lleaves(Peer):
    def load(self):
        import lleaves
        self.model = lleaves.Model(model_file=self.path("lightgbm.txt"))
        self.model.compile(cache=self.path("lleaves.bin"))

    def batch(self, rows):
        return super().batch(rows).astype(np.float64)

    def run(self, batch):
        return self.model.predict(batch, n_jobs=self.threads)


class Tl2cgen(Peer):
    def load(self):
        import tl2cgen
        import treelite
        library = self.path("tl2cgen.so")
        if not os.path.exists(library):
            model = treelite.frontend.load_lightgbm_model(self.path("lightgbm.txt"))
            tl2cgen.export_lib(model, toolchain="gcc", libpath=library,
                               params={"parallel_comp": 32}, nthread=os.cpu_count())
        self.matrix = tl2cgen.DMatrix
        self.predictor = tl2cgen.Predictor(library, nthread=self.threads)

    def batch(self, rows):
        return self.matrix(super().batch(rows).astype(np.float64), dtype="float64")

    def run(self, batch):
        return self.predictor.predict(batch)


class OneDAL(Peer):
    """Intel's oneDAL, which converts LightGBM's trees."""

    def load(self):
        import daal4py
        import daal4py.mb
        import lightgbm
        daal4py.daalinit(self.threads)
        booster = lightgbm.Booster(model_file=self.path("lightgbm.txt"))
        self.model = daal4py.mb.convert_model(booster)
        self.isClassifier = "binary" in str(booster.params.get("objective", "")) \
            or "objective=binary" in open(self.path("lightgbm.txt")).read(4000)

    def run(self, batch):
        return self.model.predict_proba(batch) if self.isClassifier else self.model.predict(batch)


class OneDALForest(Peer):
    """oneDAL's own random forest, trained on the same data: trees of its own."""

    compares = False

    def load(self):
        import daal4py
        from sklearnex.ensemble import RandomForestClassifier
        path = self.path("onedal.joblib")
        if not os.path.exists(path):
            training = np.load(self.path("training.npz"))
            trees = len(joblib.load(self.path("model.joblib")).estimators_)
            model = RandomForestClassifier(trees, max_depth=16, random_state=1)
            joblib.dump(model.fit(training["x"], training["y"]), path)
        self.model = joblib.load(path)
        self.model.n_jobs = self.threads
        daal4py.daalinit(self.threads)

    def run(self, batch):
        return self.model.predict_proba(batch)


class Yggdrasil(Peer):
    """YDF, trained on the same data to the same shape; timed by its own benchmark."""

    compares = False

    def load(self):
        import ydf
        ydf.verbose(0)
        path = self.path("ydf")
        if not os.path.exists(path):
            training = np.load(self.path("training.npz"))
            columns = {f"f{i}": training["x"][:, i] for i in range(training["x"].shape[1])}
            ydf.GradientBoostedTreesLearner(
                label="label", task=ydf.Task.CLASSIFICATION, num_trees=100,
                growing_strategy="BEST_FIRST_GLOBAL", max_num_nodes=31, max_depth=-1,
                shrinkage=0.1, validation_ratio=0.0, early_stopping="NONE",
            ).train({**columns, "label": training["y"]}).save(path)
        self.model = ydf.load_model(path)
        x = self.inputs["X"]
        self.columns = {f"f{i}": x[:, i] for i in range(x.shape[1])}

    def seconds_a_row(self, size, seconds):
        result = self.model.benchmark(self.columns, benchmark_duration=seconds,
                                      warmup_duration=0.1, batch_size=size,
                                      num_threads=self.threads)
        duration = result.duration_per_example
        return duration.total_seconds() if hasattr(duration, "total_seconds") else float(duration)


BOOSTED = {"ONNX Runtime": OnnxRuntime, "LightGBM": LightGBM, "LightGBM single row": LightGBMSingleRow,
           "lleaves": Lleaves, "tl2cgen": Tl2cgen, "oneDAL": OneDAL}

#: By model, by name; compiling model b takes lleaves and tl2cgen many minutes and gigabytes.
PEERS = {
    "a": {**BOOSTED, "XGBoost": XGBoost, "YDF": Yggdrasil},
    "b": {name: peer for name, peer in {**BOOSTED, "XGBoost": XGBoost}.items()
          if name not in ("lleaves", "tl2cgen")},
    "c": {"ONNX Runtime": OnnxRuntime, "scikit-learn": ScikitLearn, "oneDAL": OneDALForest},
    "d": {"ONNX Runtime": OnnxRuntime, "scikit-learn": ScikitLearn},
    "e": {"ONNX Runtime": OnnxRuntime, "scikit-learn": ScikitLearn},
    "f": {"ONNX Runtime": OnnxRuntime, "scikit-learn": ScikitLearn, "NumPy": NumPySupportVectors},
    "g": {"ONNX Runtime": OnnxRuntime, "scikit-learn": ScikitLearn, "NumPy": NumPyNetwork},
    "i": {name: peer for name, peer in BOOSTED.items() if name != "oneDAL"},
}
