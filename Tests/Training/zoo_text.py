"""Text: counts and TF-IDF of words and characters, hashing, dictionaries; models of texts."""

from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.naive_bayes import ComplementNB, MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from skl2onnx.common.data_types import DictionaryType, FloatTensorType, StringTensorType

from fixture import SEED
from zoo_rows import Spec, dense, machine_options

WORDS = (
    "red green blue big small cat dog house tree river stone fast slow bright dark north south "
    "order invoice refund late broken great terrible value price shipping Case UPPER mixedCase x1 a b 42 2024 not_found"
).split()
OTHERS = "naïve café Straße über Ærø mañana Ωmega файл 東京".split()


def sentences(count, stream, others=False):
    random = np.random.default_rng(SEED + 80 + stream)
    bag = np.array(WORDS + (OTHERS if others else []), object)
    marks = np.array([" ", " ", " ", ", ", ". ", "  ", "-", "! "], object)
    return np.array(
        [
            "".join(w + m for w, m in zip(random.choice(bag, n), random.choice(marks, n)))
            for n in random.integers(1, 14, count)
        ],
        object,
    )


EDGES = ["", " ", "?!", "a", "unseen words only", "red", "RED Red red", "red  green\tblue\nbig", "don't re-do it's", "ab " * 60]


def texts(others):
    train = sentences(200, 0, others)
    rows = np.concatenate([sentences(50, 1, others), np.array(EDGES + (OTHERS if others else []), object)])
    return train, rows


@dataclass
class TextSpec(Spec):
    """A case whose one input is a text."""

    others: bool = False

    def prepare(self):
        train, rows = texts(self.others)
        y = None
        if self.target:
            good = np.array([sum(t.count(w) for w in ("great", "bright", "fast", "value")) for t in train])
            bad = np.array([sum(t.count(w) for w in ("broken", "late", "terrible", "slow")) for t in train])
            y = {"two": (good > bad).astype(int), "three": np.sign(good - bad) + 1, "real": (good - bad).astype(float)}[self.target]
        self.model.fit(train) if y is None else self.model.fit(train, y)
        return [("text", "string", rows[:, None])], self.answers(self.model, rows)

    def converter_options(self):
        return machine_options(self.model) | (super().converter_options() or {}) or None


class DictSpec(Spec):
    """DictVectorizer: a row brings a map; a key that it lacks is NULL."""

    def prepare(self):
        random = np.random.default_rng(SEED + 90)
        keys = ["price", "size", "plan=pro", "größe"]
        table = np.where(random.random((40, 4)) < 0.6, np.round(random.normal(0, 5, (40, 4)), 2), np.nan).astype(np.float32)
        self.rows = [{k: float(v) for k, v in zip(keys, row) if not np.isnan(v)} for row in table]
        self.model.fit(self.rows)
        names = self.model.get_feature_names_out()
        columns = [[row.get(name) for row in self.rows] for name in names]
        self.features = [(f"X_{name}", "float32", [None if v is None else np.float32(v) for v in c]) for name, c in zip(names, columns)]
        return [("X", DictionaryType(StringTensorType([1]), FloatTensorType([1])), self.rows)], [dense(self.model.transform(self.rows))]


class HashSpec(TextSpec):
    """FeatureHasher: each text is one token."""

    def prepare(self):
        _, rows = texts(True)
        rows = np.concatenate([rows[:20], np.array(WORDS + OTHERS, object)])
        self.model.fit([["a"]])
        return [("X", "string", rows[:, None])], [self.model.transform([[t] for t in rows]).toarray()]


def vectors(model, X):
    return [np.asarray(model.transform(X).toarray())]


def specs():
    for cls in (CountVectorizer, TfidfVectorizer):
        name = cls.__name__
        yield TextSpec(name, cls(), answers=vectors)
        yield TextSpec(f"{name}_bigrams", cls(ngram_range=(1, 2)), answers=vectors)
        yield TextSpec(f"{name}_only_bigrams", cls(ngram_range=(2, 2)), answers=vectors)
        yield TextSpec(f"{name}_case", cls(lowercase=False), answers=vectors)
        yield TextSpec(f"{name}_binary", cls(binary=True), answers=vectors)
        yield TextSpec(f"{name}_stop_words", cls(stop_words=["red", "a", "big"]), answers=vectors)
        yield TextSpec(f"{name}_vocabulary", cls(max_features=12, min_df=3), answers=vectors)
        yield TextSpec(f"{name}_unicode", cls(), answers=vectors, others=True)
        yield TextSpec(f"{name}_letters", cls(token_pattern="[a-zA-Z]+"), answers=vectors, options={"tokenexp": "[a-zA-Z]+"})
        yield TextSpec(f"{name}_characters", cls(analyzer="char"), answers=vectors)
        yield TextSpec(f"{name}_character_trigrams", cls(analyzer="char", ngram_range=(2, 3)), answers=vectors)
    yield TextSpec("TfidfVectorizer_sublinear", TfidfVectorizer(sublinear_tf=True), answers=vectors)
    yield TextSpec("TfidfVectorizer_l1", TfidfVectorizer(norm="l1"), answers=vectors)
    yield TextSpec("TfidfVectorizer_no_norm", TfidfVectorizer(norm=None, smooth_idf=False), answers=vectors)
    yield TextSpec("TfidfVectorizer_no_idf", TfidfVectorizer(use_idf=False), answers=vectors)
    yield TextSpec("HashingVectorizer", HashingVectorizer(n_features=64), answers=vectors)
    yield DictSpec("DictVectorizer", DictVectorizer())
    yield HashSpec("FeatureHasher", FeatureHasher(16, input_type="string"))
    yield HashSpec("FeatureHasher_positive", FeatureHasher(8, input_type="string", alternate_sign=False, dtype=np.float32))
    yield Spec("TfidfTransformer", TfidfTransformer(), data="counts")
    yield Spec("TfidfTransformer_l1", TfidfTransformer(norm="l1", sublinear_tf=True), data="counts")
    yield Spec("TfidfTransformer_no_idf", TfidfTransformer(use_idf=False, norm=None), data="counts")
    for y in ("two", "three"):
        yield TextSpec(f"text_logistic_{y}", make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression()), y, about="Pipeline")
        yield TextSpec(f"text_bayes_{y}", make_pipeline(CountVectorizer(), MultinomialNB()), y, about="Pipeline")
    yield TextSpec("text_complement", make_pipeline(CountVectorizer(), TfidfTransformer(), ComplementNB()), "two", about="Pipeline")
    yield TextSpec("text_machine", make_pipeline(TfidfVectorizer(), LinearSVC(random_state=SEED)), "three", about="Pipeline")
    yield TextSpec("text_sgd", make_pipeline(TfidfVectorizer(sublinear_tf=True), SGDClassifier(random_state=SEED)), "two", about="Pipeline")
    yield TextSpec("text_ridge", make_pipeline(TfidfVectorizer(), Ridge()), "real", about="Pipeline")
    yield TextSpec("text_forest", make_pipeline(CountVectorizer(max_features=20), RandomForestClassifier(8, random_state=SEED)), "two", about="Pipeline")
    yield TextSpec("text_svd", make_pipeline(TfidfVectorizer(), TruncatedSVD(4, random_state=SEED), LogisticRegression()), "two", about="Pipeline")
    yield TextSpec("text_characters", make_pipeline(TfidfVectorizer(analyzer="char", ngram_range=(2, 3)), LogisticRegression()), "two", about="Pipeline")
