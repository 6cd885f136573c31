"""Networks of torchvision and transformers with generated weights, and what PyTorch and ONNX Runtime compute.

    python zoo_networks.py OUT [NAME ...]

OUT is .data/zoo/networks where none is given; `tiny` is the fixture in Tests/InferenceTests. Each case is a folder OUT/NAME: model.onnx, case.json, input_K.pb, torch_K.pb and runtime_K.pb
(TensorProto). Weights are drawn from a seed so that a layer's outputs vary about as much as its
inputs; nothing is downloaded.
"""

import json
import os
import shutil
import sys

import numpy as np
import onnx
import onnxruntime
import torch
import torchvision
from onnx import numpy_helper

BATCH = 3


def draw(network, seed):
    """Weights that keep the variance, and statistics of batches that are not trivial."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if value.dim() >= 2:
                fan = value[0].numel()
                gain = 2.0 if value.dim() == 4 else 1.0
                value.normal_(0, (gain / fan) ** 0.5, generator=generator)
            elif name.endswith("weight"):
                # What a block adds to its input is less than that, as training leaves it.
                least, most = (0.2, 0.4) if "bn3" in name else (0.8, 1.2)
                value.uniform_(least, most, generator=generator)
            else:
                value.normal_(0, 0.05, generator=generator)
        for name, value in network.named_buffers():
            if name.endswith("running_mean"):
                value.normal_(0, 0.1, generator=generator)
            elif name.endswith("running_var"):
                value.uniform_(0.8, 1.2, generator=generator)
    return network.eval()


def settle(network, inputs):
    """Statistics of batches as training would have left them, so that deep networks stay in range."""
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    if not norms:
        return
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        network(*inputs)
    network.eval()


def image(size, batch=BATCH, seed=5):
    return (torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(seed)),)


def vision(name, size=224, exporter="script", batch=BATCH, **options):
    def make():
        network = draw(getattr(torchvision.models, name)(weights=None, **options), 7)
        settle(network, image(size, 4, 11))
        return network, image(size, batch), ["image"], ["scores"], exporter

    return make


class Tiny(torch.nn.Module):
    """A bit of everything that image networks are made of, in a few kilobytes."""

    def __init__(self):
        super().__init__()
        nn = torch.nn
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish())
        self.depthwise = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.ReLU6())
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 4, 1), nn.ReLU(), nn.Conv2d(4, 8, 1), nn.Sigmoid())
        self.branches = nn.ModuleList([nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3, padding=2, dilation=2)])
        self.norm = nn.BatchNorm2d(16)
        self.end = nn.Linear(16, 5)

    def forward(self, image):
        x = self.stem(image)
        y = self.depthwise(x)
        x = torch.relu(x + y * self.squeeze(y))
        x = torch.nn.functional.max_pool2d(x, 3, 2, ceil_mode=True)
        x = torch.cat([branch(x) for branch in self.branches], 1)
        x = torch.nn.functional.silu(self.norm(x))
        return self.end(x.mean((2, 3)))


def tiny():
    network = draw(Tiny(), 1)
    return network, (torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(2)),), ["image"], ["scores"], "script"


class Encoder(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, input_ids, attention_mask):
        return self.inner(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state


def bert(exporter="script"):
    def make():
        from transformers import BertConfig, BertModel

        config = BertConfig(
            vocab_size=1000, hidden_size=192, num_hidden_layers=4, num_attention_heads=6,
            intermediate_size=768, max_position_embeddings=128, attn_implementation="eager")
        network = Encoder(draw(BertModel(config), 3))
        generator = torch.Generator().manual_seed(9)
        ids = torch.randint(0, 1000, (BATCH, 24), generator=generator)
        mask = torch.ones(BATCH, 24, dtype=torch.int64)
        mask[1, 17:] = 0
        return network, (ids, mask), ["input_ids", "attention_mask"], ["states"], exporter

    return make


CASES = {
    "tiny": tiny,
    "resnet18": vision("resnet18"),
    "resnet50": vision("resnet50"),
    "resnet152": vision("resnet152"),
    "mobilenet_v2": vision("mobilenet_v2"),
    "mobilenet_v3_large": vision("mobilenet_v3_large"),
    "efficientnet_b0": vision("efficientnet_b0"),
    "convnext_tiny": vision("convnext_tiny"),
    "vit_b_16": vision("vit_b_16"),
    "swin_t": vision("swin_t"),
    "regnet_y_400mf": vision("regnet_y_400mf"),
    "regnet_x_400mf": vision("regnet_x_400mf"),
    "densenet121": vision("densenet121"),
    "shufflenet_v2": vision("shufflenet_v2_x1_0"),
    "squeezenet": vision("squeezenet1_1"),
    "googlenet": vision("googlenet", init_weights=False, aux_logits=False),
    "inception_v3": vision("inception_v3", 299, init_weights=False, aux_logits=False),
    "vgg11_bn": vision("vgg11_bn"),
    "resnet18_dynamo": vision("resnet18", exporter="dynamo"),
    "resnet50_dynamo": vision("resnet50", exporter="dynamo"),
    "mobilenet_v3_dynamo": vision("mobilenet_v3_small", exporter="dynamo"),
    "efficientnet_b0_dynamo": vision("efficientnet_b0", exporter="dynamo"),
    "convnext_tiny_dynamo": vision("convnext_tiny", exporter="dynamo"),
    "vit_b_16_dynamo": vision("vit_b_16", exporter="dynamo"),
    "swin_t_dynamo": vision("swin_t", exporter="dynamo"),
    "bert_dynamo": bert("dynamo"),
}


LIGHT = ["bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet",
         "squeezenet", "vgg19", "zfnet512"]


def light(root, name):
    """A real topology of the onnx package, on the input and with the outputs of its backend tests."""
    source = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data", "light", f"light_{name}")
    folder = os.path.join(root, f"light_{name}")
    os.makedirs(folder, exist_ok=True)
    shutil.copy(f"{source}.onnx", os.path.join(folder, "model.onnx"))
    shutil.copy(f"{source}_output_0.pb", os.path.join(folder, "expected_0.pb"))
    graph = onnx.load(f"{source}.onnx").graph
    constants = {value.name for value in graph.initializer}
    info = next(value for value in graph.input if value.name not in constants)
    shape = [size.dim_value if size.HasField("dim_value") else 1 for size in info.type.tensor_type.shape.dim]
    count = np.prod(shape)
    write(folder, "input", [(np.arange(count).reshape(shape) / count).astype(np.float32)])
    print(f"light_{name}", len(graph.node), "nodes", flush=True)


def export(network, inputs, names, outputs, exporter, path):
    if exporter == "script":
        axes = {name: {0: "rows"} for name in names + outputs}
        for name in names:
            if name == "input_ids" or name == "attention_mask":
                axes[name][1] = "tokens"
        torch.onnx.export(
            network, inputs, path, input_names=names, output_names=outputs, dynamic_axes=axes,
            opset_version=17, dynamo=False)
        return
    rows = torch.export.Dim("rows", min=1, max=4096)
    shapes = []
    for name in names:
        shape = {0: rows}
        if name in ("input_ids", "attention_mask"):
            shape[1] = torch.export.Dim("tokens", min=2, max=128)
        shapes.append(shape)
    program = torch.onnx.export(
        network, inputs, input_names=names, output_names=outputs, dynamic_shapes=tuple(shapes),
        dynamo=True, verbose=False)
    program.save(path)


def write(folder, prefix, arrays):
    for index, array in enumerate(arrays):
        with open(os.path.join(folder, f"{prefix}_{index}.pb"), "wb") as file:
            file.write(numpy_helper.from_array(np.ascontiguousarray(array)).SerializeToString())


def make(root, name):
    folder = os.path.join(root, name)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "model.onnx")
    network, inputs, names, outputs, exporter = CASES[name]()
    export(network, inputs, names, outputs, exporter, path)
    with torch.no_grad():
        found = network(*inputs)
    found = [found.numpy()] if torch.is_tensor(found) else [value.numpy() for value in found]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = {info.name: value.numpy() for info, value in zip(session.get_inputs(), inputs)}
    runtime = session.run(None, feeds)
    write(folder, "input", [value.numpy() for value in inputs])
    write(folder, "torch", found)
    write(folder, "runtime", runtime)
    graph = onnx.load(path, load_external_data=False).graph
    facts = {
        "exporter": exporter, "nodes": len(graph.node),
        "operators": sorted({node.op_type for node in graph.node}),
        "torch": torch.__version__, "onnxruntime": onnxruntime.__version__,
        "spread": float(np.std(found[0])),
        "runtimeDiffersBy": float(max(np.abs(a - b).max() for a, b in zip(found, runtime))),
    }
    with open(os.path.join(folder, "case.json"), "w") as file:
        json.dump(facts, file, indent=1)
    print(name, facts["nodes"], "nodes, spread", facts["spread"], "runtime differs by",
          facts["runtimeDiffersBy"], flush=True)


def main():
    default = os.path.join(os.environ.get("ROWCAST_ZOO") or ".data/zoo", "networks")
    root = sys.argv[1] if len(sys.argv) > 1 else default
    for name in sys.argv[2:] or [*CASES, *(f"light_{name}" for name in LIGHT)]:
        try:
            if name.startswith("light_"):
                light(root, name.removeprefix("light_"))
            else:
                make(root, name)
        except Exception as error:  # One exporter's failure leaves the other networks.
            print(name, "cannot be exported:", str(error).splitlines()[0][:200], flush=True)


if __name__ == "__main__":
    main()
