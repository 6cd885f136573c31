"""Seeded data that the models are trained on and measured with."""

import numpy as np

SEED = 20240607


def generator(stream):
    return np.random.default_rng(SEED + stream)


def collisions(count, stream):
    """28 columns like a physics experiment's (momenta, angles, tags, derived masses); binary."""
    g = generator(stream)
    x = np.empty((count, 28), np.float32)
    for column in range(21):
        kind = column % 4
        if kind == 0:
            x[:, column] = g.gamma(2.0, 0.5, count)
        elif kind == 1:
            x[:, column] = g.normal(0, 1, count)
        elif kind == 2:
            x[:, column] = g.uniform(-1.74, 1.74, count)
        else:
            x[:, column] = g.choice(np.float32([0, 1.0865, 2.1731]), count, p=[0.5, 0.25, 0.25])
    noise = np.abs(g.normal(0, 1, (count, 7)))
    for derived in range(7):
        a, b = 4 * (derived % 5), (4 * (derived % 5) + 5) % 21
        x[:, 21 + derived] = np.sqrt(np.abs(x[:, a] * x[:, b]) + 0.05) + 0.35 * noise[:, derived]
    z = (1.4 * x[:, 25] - 0.9 * x[:, 26] ** 2 + 0.8 * np.sin(2 * x[:, 22]) * x[:, 0]
         + 0.5 * x[:, 3] - 0.6 * x[:, 27] * (x[:, 1] > 0) + 0.3 * x[:, 5] * x[:, 9])
    chance = 1 / (1 + np.exp(-1.6 * (z - np.median(z))))
    return x, (g.random(count) < chance).astype(np.int32)


def friedman(count, width, stream):
    """Normal columns, then skewed ones of two decimals; a smooth target with interactions."""
    g = generator(stream)
    x = g.normal(0, 1, (count, width)).astype(np.float32)
    half = width // 2
    x[:, half:] = np.round(np.exp(x[:, half:] * 0.7), 2)
    y = (np.sin(x[:, 0] * x[:, 1]) * 3 + 2 * (x[:, 2] - 0.5) ** 2 + x[:, 3] * 2 + x[:, 4]
         + np.log1p(x[:, half]) * x[:, 5] + np.abs(x[:, 6] + x[:, width - 1])
         + 0.5 * x[:, 7] * x[:, 8] + 0.1 * (x[:, 9:20] ** 2).sum(1) + g.normal(0, 0.5, count))
    return x, y.astype(np.float32)


NUMERIC, TEXTUAL = 80, 20


def customers(count, stream):
    """80 numeric columns with missing values, 20 of categories in text; binary."""
    g, fixed = generator(stream), generator(777)
    scale, shift = fixed.uniform(0.5, 50, NUMERIC), fixed.uniform(-10, 100, NUMERIC)
    numbers = (g.normal(0, 1, (count, NUMERIC)) * scale + shift).astype(np.float32)
    weights = fixed.normal(0, 0.3, NUMERIC)
    z = ((numbers - shift) / scale) @ weights
    texts = np.empty((count, TEXTUAL), object)
    for column in range(TEXTUAL):
        size = int(fixed.integers(3, 60))
        names = np.array([f"c{column:02d}_{'abcdefghij'[: 3 + k % 6]}{k}" for k in range(size)], object)
        chance = 1 / np.arange(1, size + 1)
        chosen = g.choice(size, count, p=chance / chance.sum())
        texts[:, column] = names[chosen]
        z += fixed.normal(0, 0.5, size)[chosen]
    y = (g.random(count) < 1 / (1 + np.exp(-(z - z.mean())))).astype(np.int64)
    numbers[g.random(numbers.shape) < 0.03] = np.nan
    return numbers, texts, y


def documents(count, stream, vocabulary=30_000):
    """Sentences of 6 to 30 made-up words with a natural distribution; binary."""
    g, fixed = generator(stream), generator(4242)
    consonants, vowels = "bcdfghjklmnprstvwz", "aeiou"
    words = {}
    while len(words) < vocabulary:
        word = "".join(consonants[fixed.integers(18)] + vowels[fixed.integers(5)]
                       for _ in range(int(fixed.integers(1, 5))))
        words.setdefault(word + ("" if fixed.random() < 0.5 else consonants[fixed.integers(18)]))
    words = np.array(list(words), object)
    polarity = fixed.normal(0, 1, vocabulary)
    chance = 1 / (np.arange(vocabulary) + 2.7) ** 1.05
    ladder = np.cumsum(chance / chance.sum())
    texts, labels = [], np.empty(count, np.int64)
    for index, length in enumerate(g.integers(6, 31, count)):
        chosen = np.minimum(np.searchsorted(ladder, g.random(length)), vocabulary - 1)
        text = " ".join(words[chosen])
        texts.append(text[:1].upper() + text[1:] + ("." if index % 3 else "!"))
        labels[index] = polarity[chosen].mean() + g.normal(0, 0.1) > 0
    return texts, labels


def readings(count, stream):
    """20 correlated sensor readings, every fiftieth four times as far out."""
    mixing = generator(11).normal(0, 1, (20, 20)) / 4
    raw = generator(stream).normal(0, 1, (count, 20))
    x = (raw @ mixing + 0.3 * np.tanh(raw)).astype(np.float32)
    x[::50] *= 4
    return x


CATEGORICAL = list(range(20, 30))


def shop(count, stream):
    """30 columns: 20 numeric with 5 % missing, 10 of categories as numbers."""
    g = generator(stream)
    x, y = friedman(count, 30, stream)
    fixed = generator(99)
    for column in CATEGORICAL:
        size = int(fixed.integers(4, 60))
        chosen = g.integers(0, size, count)
        x[:, column] = chosen
        y += generator(200 + column).normal(0, 1, size)[chosen]
    x[:, :20][g.random((count, 20)) < 0.05] = np.nan
    return x, y
