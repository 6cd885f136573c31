"""Recurrent and quantized networks, and what PyTorch and ONNX Runtime compute.

    python zoo_layers.py [NAME ...]

Writes <zoo>/layers/<case>/ as zoo_networks.py does: model.onnx, case.json, input_K.pb, torch_K.pb, runtime_K.pb. A
case's `tolerance` is what its answers may differ by: those of quantized networks by some steps of the last layer, since
a float that lies between two integers may be rounded to either. `rows` says that ONNX Runtime was asked row by row,
because it quantizes what is quantized at run time by the range of the whole batch.
"""

import itertools
import json
import os
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static)

from zoo_networks import draw, write

ROWS = 5


def seeded(shape, seed, scale=1.0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


# MARK: Recurrent networks


class Tagger(torch.nn.Module):
    """Words to classes: an embedding, a recurrent layer or two, the last state."""

    def __init__(self, kind, layers, both, **options):
        super().__init__()
        self.words = torch.nn.Embedding(50, 12)
        self.layer = getattr(torch.nn, kind)(12, 20, layers, batch_first=True, bidirectional=both, **options)
        self.end = torch.nn.Linear(40 if both else 20, 4)

    def forward(self, words):
        states, _ = self.layer(self.words(words))
        return self.end(states[:, -1] + states.mean(1))


class Signal(torch.nn.Module):
    """Numbers along time, and all states as well as the last."""

    def __init__(self, kind, both, **options):
        super().__init__()
        self.layer = getattr(torch.nn, kind)(6, 18, 1, batch_first=True, bidirectional=both, **options)
        self.end = torch.nn.Linear(36 if both else 18, 3)

    def forward(self, signal):
        states, last = self.layer(signal)
        last = last[0] if isinstance(last, tuple) else last
        return self.end(states), torch.cat(list(last), 1)


class FirstState(torch.nn.Module):
    """A first state that was learned, the same for all rows."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.LSTM(6, 10, 1, batch_first=True)
        self.first = torch.nn.Parameter(seeded((1, 1, 10), 3))
        self.cell = torch.nn.Parameter(seeded((1, 1, 10), 4))

    def forward(self, signal):
        rows = signal.shape[0]
        states, _ = self.layer(signal, (self.first.expand(1, rows, 10), self.cell.expand(1, rows, 10)))
        return states[:, -1]


def recurrent(make, tokens, exporter="script", length=9):
    def case(path):
        network = draw(make(), 17)
        if tokens:
            inputs = torch.randint(0, 50, (ROWS, length), generator=torch.Generator().manual_seed(5))
        else:
            inputs = seeded((ROWS, length, 6), 6)
        if exporter == "script":
            torch.onnx.export(
                network, (inputs,), path, input_names=["x"], dynamic_axes={"x": {0: "rows", 1: "time"}},
                opset_version=17, dynamo=False)
        else:
            torch.onnx.export(
                network, (inputs,), path, input_names=["x"], dynamo=True, verbose=False,
                dynamic_shapes=({0: torch.export.Dim("rows", min=1, max=4096)},))
        with torch.no_grad():
            found = network(inputs)
        found = [found] if torch.is_tensor(found) else found
        return [inputs.numpy()], [value.numpy() for value in found], {"tolerance": 1e-5}

    return case


def node(kind, number, **attributes):
    """One layer of ONNX with whatever it may have, rows first by transposes around it."""
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    random = np.random.default_rng(number)
    length, size, hidden = 7, 5, 6
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    options = {name: attributes.pop(name) for name in ("bias", "lengths", "states", "peepholes") if name in attributes}

    def case(path):
        constants = {
            "W": random.normal(0, 0.6, (directions, gates * hidden, size)),
            "R": random.normal(0, 0.6, (directions, gates * hidden, hidden)),
        }
        names = ["xt", "W", "R", "", "", "", "", ""]
        infos = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", length, size])]
        feeds = [random.normal(0, 1.5, (ROWS, length, size)).astype(np.float32)]
        nodes = [helper.make_node("Transpose", ["x"], ["xt"], perm=[1, 0, 2])]
        if options.get("bias"):
            constants["B"] = random.normal(0, 0.5, (directions, 2 * gates * hidden))
            names[3] = "B"
        if options.get("lengths"):
            names[4] = "lengths"
            infos.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, ["rows"]))
            feeds.append(np.array([7, 3, 1, 6, 7], np.int32))
        if options.get("states"):
            for place, name in ((5, "h"), (6, "c")) if kind == "LSTM" else ((5, "h"),):
                infos.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", directions, hidden]))
                feeds.append(random.normal(0, 1, (ROWS, directions, hidden)).astype(np.float32))
                nodes.append(helper.make_node("Transpose", [name], [f"{name}t"], perm=[1, 0, 2]))
                names[place] = f"{name}t"
        if options.get("peepholes"):
            constants["P"] = random.normal(0, 0.5, (directions, 3 * hidden))
            names[7] = "P"
        while not names[-1]:
            names.pop()
        results = ["y", "yh", "yc"][: 3 if kind == "LSTM" else 2]
        nodes.append(helper.make_node(kind, names, results, hidden_size=hidden, **attributes))
        nodes.append(helper.make_node("Transpose", ["y"], ["states"], perm=[2, 0, 1, 3]))
        outputs = [helper.make_tensor_value_info("states", TensorProto.FLOAT, ["rows", length, directions, hidden])]
        for name in results[1:]:
            nodes.append(helper.make_node("Transpose", [name], [f"{name}_last"], perm=[1, 0, 2]))
            outputs.append(
                helper.make_tensor_value_info(f"{name}_last", TensorProto.FLOAT, ["rows", directions, hidden]))
        graph = helper.make_graph(
            nodes, kind, infos, outputs,
            [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
        return feeds, None, {"tolerance": 1e-5}

    return case


def nodes():
    directions = ("forward", "reverse", "bidirectional")
    for direction, lengths in itertools.product(directions, (False, True)):
        name = f"{direction}{'_lengths' if lengths else ''}"
        number = 100 + directions.index(direction) * 10 + lengths
        twice = 2 if direction == "bidirectional" else 1
        common = {"direction": direction, "lengths": lengths, "bias": True, "states": True}
        yield f"lstm_{name}", node("LSTM", number, **common)
        yield f"lstm_peepholes_{name}", node("LSTM", number + 2, peepholes=True, clip=0.8, **common)
        yield f"lstm_functions_{name}", node(
            "LSTM", number + 3, activations=["HardSigmoid", "ScaledTanh", "Softsign"] * twice,
            activation_alpha=[0.3, 1.2] * twice, activation_beta=[0.4, 0.7] * twice, **common)
        yield f"lstm_coupled_{name}", node("LSTM", number + 4, input_forget=1, **common)
        yield f"gru_{name}", node("GRU", number + 5, **common)
        yield f"gru_late_{name}", node("GRU", number + 6, linear_before_reset=1, clip=0.7, **common)
        yield f"gru_functions_{name}", node(
            "GRU", number + 7, activations=["Sigmoid", "LeakyRelu"] * twice, activation_alpha=[0.2] * twice, **common)
        yield f"rnn_{name}", node("RNN", number + 8, **common)
        yield f"rnn_functions_{name}", node(
            "RNN", number + 9, activations=["Affine"] * twice, activation_alpha=[0.4] * twice,
            activation_beta=[0.1] * twice, clip=1.1, **common)


# MARK: Quantized networks


class Convnet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        nn = torch.nn
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.ReLU())
        self.more = nn.Conv2d(16, 16, 1)
        self.end = nn.Linear(16, 5)

    def forward(self, image):
        x = self.layers(image)
        x = torch.relu(x + self.more(x))
        return self.end(x.mean((2, 3)))


class Perceptron(torch.nn.Module):
    def __init__(self):
        super().__init__()
        nn = torch.nn
        self.layers = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 16), nn.Tanh(), nn.Linear(16, 3))

    def forward(self, x):
        return self.layers(x)


class Block(torch.nn.Module):
    """A block of an encoder."""

    def __init__(self):
        super().__init__()
        self.norm = torch.nn.LayerNorm(24)
        self.query, self.key, self.value, self.out = (torch.nn.Linear(24, 24) for _ in range(4))
        self.up, self.down = torch.nn.Linear(24, 48), torch.nn.Linear(48, 24)

    def forward(self, x):
        y = self.norm(x)
        weights = torch.softmax(self.query(y) @ self.key(y).transpose(1, 2) / 24**0.5, -1)
        x = x + self.out(weights @ self.value(y))
        return x + self.down(torch.nn.functional.gelu(self.up(self.norm(x))))


class Reader(CalibrationDataReader):
    def __init__(self, shape):
        self.batches = iter([{"x": seeded(shape, 50 + k).numpy()} for k in range(8)])

    def get_next(self):
        return next(self.batches, None)


def exported(network, shape, path):
    inputs = seeded(shape, 8)
    torch.onnx.export(
        network, (inputs,), path, input_names=["x"], output_names=["y"], dynamic_axes={"x": {0: "rows"}},
        opset_version=17, dynamo=False)
    return inputs


def static(make, shape, **options):
    # Weights of 7 bits: sums of bytes times signed bytes overflow in ONNX Runtime on CPUs without VNNI.
    options = {"reduce_range": True, **options}

    def case(path):
        with tempfile.TemporaryDirectory() as folder:
            plain = os.path.join(folder, "plain.onnx")
            inputs = exported(draw(make(), 21), shape, plain)
            quantize_static(plain, path, Reader(shape), **options)
        return [inputs.numpy()], None, {"steps": 3}

    return case


def dynamic(make, shape, **options):
    options = {"reduce_range": True, **options}

    def case(path):
        with tempfile.TemporaryDirectory() as folder:
            plain = os.path.join(folder, "plain.onnx")
            inputs = exported(draw(make(), 22), shape, plain)
            quantize_dynamic(plain, path, **options)
        return [inputs.numpy()], None, {"tolerance": 2e-3, "rows": True}

    return case


def halves(path):
    network = draw(Convnet(), 23)
    inputs = seeded((ROWS, 3, 16, 16), 9).half()
    torch.onnx.export(
        network.half(), (inputs,), path, input_names=["x"], dynamic_axes={"x": {0: "rows"}}, opset_version=17,
        dynamo=False)
    return [inputs.numpy()], None, {"tolerance": 1e-2}


def blocks(kind, weights, scale_shape, block_size):
    """A product with weights of few bits, a scale a block or a column."""

    def case(path):
        random = np.random.default_rng(31)
        scales = random.uniform(0.01, 0.1, scale_shape).astype(np.float32)
        attributes = {"axis": 0, "block_size": block_size} if block_size else {"axis": 1}
        graph = helper.make_graph(
            [helper.make_node("DequantizeLinear", ["W", "s"], ["w"], **attributes),
             helper.make_node("MatMul", ["x", "w"], ["y"])],
            kind,
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 3, 64])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 3, 10])],
            [weights(random), numpy_helper.from_array(scales, "s")])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
        return [random.normal(0, 1, (ROWS, 3, 64)).astype(np.float32)], None, {"tolerance": 1e-4}

    return case


def int4(random):
    values = random.integers(-8, 8, 64 * 10)
    packed = ((values[0::2] & 15) | (values[1::2] & 15) << 4).astype(np.uint8)
    return helper.make_tensor("W", TensorProto.INT4, [64, 10], packed.tobytes(), raw=True)


def float8(random):
    values = random.integers(0, 0x70, 64 * 10) | random.integers(0, 2, 64 * 10) << 7
    return helper.make_tensor("W", TensorProto.FLOAT8E4M3FN, [64, 10], values.astype(np.uint8).tobytes(), raw=True)


IMAGES = (ROWS, 3, 16, 16)
CASES = {
    "lstm_tagger": recurrent(lambda: Tagger("LSTM", 2, True), True),
    "lstm_tagger_dynamo": recurrent(lambda: Tagger("LSTM", 1, False), True, "dynamo"),
    "gru_tagger": recurrent(lambda: Tagger("GRU", 2, True), True),
    "gru_signal": recurrent(lambda: Signal("GRU", True), False),
    "lstm_signal": recurrent(lambda: Signal("LSTM", False), False),
    "lstm_long": recurrent(lambda: Signal("LSTM", True), False, length=150),
    "rnn_signal": recurrent(lambda: Signal("RNN", False, nonlinearity="relu"), False),
    "lstm_first_state": recurrent(FirstState, False),
    **dict(nodes()),
    "qdq_convnet": static(
        Convnet, IMAGES, quant_format=QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8),
    "qdq_convnet_signed": static(
        Convnet, IMAGES, quant_format=QuantFormat.QDQ, activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8, extra_options={"ActivationSymmetric": True}),
    "qdq_convnet_16": static(
        Convnet, IMAGES, quant_format=QuantFormat.QDQ, activation_type=QuantType.QUInt16,
        weight_type=QuantType.QInt8, extra_options={"UseQDQContribOps": False}),
    "qoperator_convnet": static(
        Convnet, IMAGES, quant_format=QuantFormat.QOperator, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8),
    "qdq_block": static(Block, (ROWS, 6, 24), quant_format=QuantFormat.QDQ),
    "dynamic_perceptron": dynamic(Perceptron, (ROWS, 20), weight_type=QuantType.QInt8),
    "dynamic_perceptron_unsigned": dynamic(
        Perceptron, (ROWS, 20), weight_type=QuantType.QUInt8, per_channel=True),
    "dynamic_block": dynamic(Block, (ROWS, 6, 24), weight_type=QuantType.QInt8),
    "dynamic_convnet": dynamic(Convnet, IMAGES, weight_type=QuantType.QUInt8),
    "half_convnet": halves,
    "int4_blocks": blocks("int4", int4, (2, 10), 32),
    "float8_columns": blocks("float8", float8, (10,), 0),
}


def ask(path, feeds, by_row):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Otherwise products with weights of 4 bits are computed with bytes.
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [info.name for info in session.get_inputs()]
    if not by_row:
        return session.run(None, dict(zip(names, feeds)))
    rows = [session.run(None, {n: f[k : k + 1] for n, f in zip(names, feeds)}) for k in range(len(feeds[0]))]
    return [np.concatenate(parts) for parts in zip(*rows)]


def step(path):
    """The step of the last quantization of a graph."""
    graph = onnx.load(path).graph
    values = {value.name: numpy_helper.to_array(value) for value in graph.initializer}
    last = [n for n in graph.node if n.op_type in ("DequantizeLinear", "QGemm") and n.input[1] in values][-1]
    return float(np.max(values[last.input[1]]))


def make(root, name):
    folder = os.path.join(root, name)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "model.onnx")
    feeds, found, facts = CASES[name](path)
    runtime = ask(path, feeds, facts.get("rows", False))
    if "steps" in facts:
        facts["tolerance"] = facts.pop("steps") * step(path)
    write(folder, "input", feeds)
    write(folder, "runtime", runtime)
    if found:
        write(folder, "torch", found)
    graph = onnx.load(path).graph
    facts["operators"] = sorted({f"{n.domain or 'ai.onnx'}.{n.op_type}" for n in graph.node})
    facts["onnxruntime"] = onnxruntime.__version__
    facts["spread"] = float(np.std(runtime[0]))
    with open(os.path.join(folder, "case.json"), "w") as file:
        json.dump(facts, file, indent=1)
    print(f"{name:32} spread {facts['spread']:.3f} tolerance {facts['tolerance']:.2g}", flush=True)


def main():
    root = os.path.join(os.environ.get("ROWCAST_ZOO") or ".data/zoo", "layers")
    for name in sys.argv[1:] or CASES:
        try:
            make(root, name)
        except Exception as error:  # One exporter's failure leaves the other networks.
            print(f"{name:32} cannot be made: {str(error).splitlines()[0][:200]}", flush=True)


if __name__ == "__main__":
    main()
