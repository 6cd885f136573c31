"""Writes deploy/demo/images: a small network that reads digits, and digits to be read.

The digits are scikit-learn's (8 x 8, from UCI's "Optical Recognition of Handwritten Digits"), drawn larger, moved and
turned a little, as PNG. The network is a layer of convolutions whose kernels are the principal components of the
patches, then a perceptron of scikit-learn. Usage: make_image_demo.py [folder].
"""
import io
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

SIDE = 28  # Of the pictures.
INPUT = 16  # Of the network's input.
KERNELS, WINDOW = 12, 5
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def drawn(digit: np.ndarray, random) -> Image.Image:
    """A digit as somebody else might have written it: dark paper, light ink."""
    image = Image.fromarray((digit * 255 / 16).astype(np.uint8))
    size = int(random.integers(20, 27))
    image = image.resize((size, size), Image.Resampling.BICUBIC)
    paper = Image.new("L", (SIDE, SIDE), 0)
    paper.paste(image, (int(random.integers(0, SIDE - size + 1)), int(random.integers(0, SIDE - size + 1))))
    paper = paper.rotate(float(random.normal(0, 5)), Image.Resampling.BILINEAR)
    # Sixteen greys: the file is a third as large.
    return paper.point(lambda v: v // 16 * 17)


def encoded(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def prepared(image: Image.Image) -> np.ndarray:
    """As the preset "plain" prepares it for one channel."""
    small = image.convert("L").resize((INPUT, image.height), Image.Resampling.BILINEAR)
    small = small.resize((INPUT, INPUT), Image.Resampling.BILINEAR)
    return np.asarray(small).astype(np.float32) / np.float32(255)


def pooled(images: np.ndarray, kernels: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The layers that scikit-learn has not: convolution, ReLU, the largest of two by two."""
    windows = np.lib.stride_tricks.sliding_window_view(images, (WINDOW, WINDOW), axis=(1, 2))
    maps = np.einsum("nyxij,kij->nkyx", windows, kernels, optimize=True) + bias[None, :, None, None]
    maps = np.maximum(maps, 0)
    n, k, y, x = maps.shape
    return maps.reshape(n, k, y // 2, 2, x // 2, 2).max(axis=(3, 5)).reshape(n, -1)


def network(kernels, bias, perceptron: MLPClassifier) -> onnx.ModelProto:
    def constant(name, value):
        return numpy_helper.from_array(np.ascontiguousarray(value, dtype=np.float32), name)

    (w1, w2), (b1, b2) = perceptron.coefs_, perceptron.intercepts_
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "kernels", "bias"], ["maps"], kernel_shape=[WINDOW, WINDOW]),
         helper.make_node("Relu", ["maps"], ["lit"]),
         helper.make_node("MaxPool", ["lit"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
         helper.make_node("Flatten", ["pooled"], ["features"]),
         helper.make_node("Gemm", ["features", "w1", "b1"], ["hidden"]),
         helper.make_node("Relu", ["hidden"], ["active"]),
         helper.make_node("Gemm", ["active", "w2", "b2"], ["logits"])],
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, INPUT, INPUT])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 10])],
        [constant("kernels", kernels[:, None]), constant("bias", bias), constant("w1", w1), constant("b1", b1),
         constant("w2", w2), constant("b2", b2)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="rowcast")
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


def main() -> None:
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "deploy/demo/images")
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    digits, labels = load_digits(return_X_y=True)
    train, test, train_labels, test_labels = train_test_split(
        digits.reshape(-1, 8, 8), labels, test_size=0.25, random_state=1, stratify=labels)
    images = np.stack([prepared(drawn(d, random)) for _ in range(8) for d in train])
    wanted = np.tile(train_labels, 8)

    windows = np.lib.stride_tricks.sliding_window_view(images[:2000], (WINDOW, WINDOW), axis=(1, 2))
    patches = windows.reshape(-1, WINDOW * WINDOW)
    patches = patches[patches.std(axis=1) > 0.05]
    parts = PCA(KERNELS // 2, random_state=1).fit(patches).components_.reshape(-1, WINDOW, WINDOW)
    # Each component and its negative: what the ReLU cuts off of one is seen by the other.
    kernels = np.concatenate([parts, -parts]).astype(np.float32)
    bias = np.full(KERNELS, -0.1, dtype=np.float32)
    perceptron = MLPClassifier((32,), max_iter=60, random_state=1, early_stopping=True, alpha=1e-3)
    perceptron.fit(pooled(images, kernels, bias), wanted)

    model = network(kernels, bias, perceptron)
    (folder / "digits.onnx").write_bytes(model.SerializeToString())
    (folder / "labels.txt").write_text("\n".join(NAMES) + "\n")
    pictures = [drawn(d, random) for d in test]
    features = pooled(np.stack([prepared(p) for p in pictures]), kernels, bias)
    right = perceptron.predict(features) == test_labels
    print(f"accuracy on {len(test)} digits of others: {right.mean():.4f}")
    rows = ["label,image"]
    rows += [f"{NAMES[label]},\\x{encoded(p).hex()}" for p, label in list(zip(pictures, test_labels))[:250]]
    (folder / "digits.csv").write_text("\n".join(rows) + "\n")
    print(f"accuracy on those written: {right[:250].mean():.4f}")


main()
