#!/usr/bin/env python3
"""The whole way of a picture, from a bytea to its five likeliest categories, beside Pillow with PyTorch and ONNX Runtime.

    python pictures.py --rowcast .build/release/rowcast --models .data/zoo/networks --picture lynx.jpg
                       [--decoded lynx.png] [--only resnet50,resnet152]

Starts an appliance in a folder that goes away, pushes each network with `--image 224x224 --preset torchvision --softmax`,
inserts the picture and pieces cut from it into a table, waits, and reads the typed rows. The other side opens the same bytes
with Pillow and takes torchvision's own steps. PyTorch computes with the weights of the same file. Ends with 1 where a
score is further than 1e-4 from PyTorch's, or a category at another rank, where the scores are not as near as that.

With --decoded, a lossless image of what another decoder makes of the picture, both ways of bringing the colour to size
are held against it: the network answers its input, and no value may be further than one of 255 levels for "dct".
"""

import argparse
import csv
import io
import os
import re
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import torch
import torchvision
from onnx import helper, numpy_helper
from PIL import Image

TOLERANCE = 1e-4
csv.field_size_limit(1 << 30)


class Appliance:
    """A private PostgreSQL with workers, for as long as the program runs."""

    def __init__(self, program):
        self.program = os.path.abspath(program)
        self.folder = tempfile.TemporaryDirectory(prefix="rowcast-pictures-")
        self.data = os.path.join(self.folder.name, "data")
        # The server may run as another user, who has to get there.
        os.chmod(self.folder.name, 0o755)
        self.process = subprocess.Popen(
            [self.program, "up", "--data-dir", self.data, "--lanes", "2"], stdout=subprocess.PIPE, text=True)
        self.connection = None
        for line in self.process.stdout:
            found = re.search(r'psql "(.*)"', line)
            if found:
                self.connection = found.group(1)
                break
        if not self.connection:
            raise SystemExit("the appliance did not start")

    def run(self, *arguments):
        return subprocess.run([self.program, *arguments, "--data-dir", self.data], check=True, text=True,
                              capture_output=True).stdout

    def sql(self, text):
        """Rows of the last query, as lists of texts."""
        out = subprocess.run(["psql", "-X", "-q", "--csv", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.connection],
                             input=text, check=True, text=True, capture_output=True).stdout
        return list(csv.reader(io.StringIO(out)))

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.folder.cleanup()


def pieces(path):
    """The picture itself, then others made of it, so that there is more than one answer to compare."""
    with open(path, "rb") as file:
        yield file.read()
    picture = Image.open(path).convert("RGB")
    width, height = picture.size
    for index, box in enumerate([(0, 0, width, height // 2), (width // 4, 0, width, height),
                                 (0, height // 3, width, height), (10, 20, width - 30, height - 7)]):
        out = io.BytesIO()
        own = picture.crop(box)
        own = own.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if index % 2 else own
        own.save(out, "PNG" if index == 2 else "JPEG")
        yield out.getvalue()


def steps():
    """torchvision's own preparation of its classifiers of 224 x 224 pixels, by Pillow."""
    t = torchvision.transforms
    return t.Compose([t.Resize(256), t.CenterCrop(224), t.ToTensor(),
                      t.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])


def torch_network(path, name):
    """torchvision's network with the weights of an exported file.

    The exporter folds normalisations into convolutions: PyTorch's layer after such a one is set to change nothing.
    """
    network = getattr(torchvision.models, name)(weights=None).eval()
    graph = onnx.load(path).graph
    weights = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    layers = [n for n in graph.node if n.op_type in ("Conv", "Gemm")]
    modules = {}
    hooks = []
    order = []
    for module in network.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            hooks.append(module.register_forward_hook(lambda m, *_: order.append(m)))
    with torch.no_grad():
        network(torch.zeros(1, 3, 224, 224))
        for hook in hooks:
            hook.remove()
        assert len(order) == len(layers), f"{len(layers)} layers in the file, {len(order)} in {name}"
        for parent in network.modules():
            for child_name, child in list(parent.named_children()):
                if isinstance(child, torch.nn.BatchNorm2d):
                    setattr(parent, child_name, torch.nn.Identity())
        for module, node in zip(order, layers):
            weight = torch.from_numpy(weights[node.input[1]].copy())
            assert weight.shape == module.weight.shape, f"{node.name}: {weight.shape} is not {module.weight.shape}"
            module.weight.copy_(weight)
            if len(node.input) > 2:
                module.bias = torch.nn.Parameter(torch.from_numpy(weights[node.input[2]].copy()))
    return network


def peers(path, name, images):
    import onnxruntime

    batch = torch.stack([steps()(Image.open(io.BytesIO(i)).convert("RGB")) for i in images])
    with torch.inference_mode():
        own = torch.softmax(torch_network(path, name)(batch), 1).numpy()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    scores = session.run(None, {session.get_inputs()[0].name: batch.numpy()})[0]
    return own, torch.softmax(torch.from_numpy(scores), 1).numpy()


def compare(appliance, models, name, images):
    path = os.path.join(models, name, "model.onnx")
    labels = os.path.join(appliance.folder.name, "labels.txt")
    with open(labels, "w") as file:
        file.writelines(f"n{number:08}\n" for number in range(1000))
    appliance.run("push", path, "--name", name, "--alias", "champion", "--image", "224x224", "--preset", "torchvision",
                  "--softmax", "--labels", labels)
    appliance.sql(f"call rowcast.wait_for_model('{name}')")
    appliance.sql(f"""create table {name}_photo (photo_id int primary key, image bytea not null);
        select * from rowcast.create_scorer('{name}', '{name}_photo', '{name}', features => '{{"image": "image"}}', top_k => 5)""")
    start = time.perf_counter()
    appliance.sql("".join(f"insert into {name}_photo values ({number}, decode('{image.hex()}', 'hex'));\n"
                          for number, image in enumerate(images)) + f"call rowcast.wait('{name}', timeout => '5 min')")
    seconds = time.perf_counter() - start
    columns = ", ".join(f"top_{k}, top_{k}_probability" for k in range(1, 6))
    rows = appliance.sql(f"select photo_id, label, {columns} from predictions.{name} order by photo_id")
    as_rows = appliance.sql(f"select photo_id, rank, label, score from predictions.{name}_classes order by photo_id, rank")
    assert len(rows) == len(images), appliance.sql(f"select * from predictions.{name}_failure")
    in_columns = [[r[0], str(k + 1), r[2 + 2 * k], r[3 + 2 * k]] for r in rows for k in range(5)]
    assert in_columns == as_rows, "the view says something else than the columns"
    good = True
    ours_torch, runtime = peers(path, name, images)
    for peer, wanted in (("PyTorch", ours_torch), ("ONNX Runtime", runtime)):
        worst = alike = 0
        nearest = 1.0
        for row, scores in zip(rows, wanted):
            best = np.argsort(-scores, kind="stable")[:6]
            nearest = min(nearest, *(scores[best[k]] - scores[best[k + 1]] for k in range(5)))
            for k in range(5):
                label, score = int(row[2 + 2 * k][1:]), float(row[3 + 2 * k])
                worst = max(worst, abs(score - scores[best[k]]), abs(score - scores[label]))
                alike += label == best[k]
                good &= abs(score - scores[label]) <= TOLERANCE
                good &= label == best[k] or abs(scores[label] - scores[best[k]]) <= TOLERANCE
        print(f"{name}: {len(rows)} pictures beside {peer}: {alike} of {5 * len(rows)} categories at the same rank, "
              f"scores within {worst:.1e} of it (the largest is {max(float(r[3]) for r in rows):.3f}, two neighbours are "
              f"{nearest:.1e} apart)")
    first = ", ".join(f"{rows[0][2 + 2 * k]} {float(rows[0][3 + 2 * k]):.5f}" for k in range(5))
    print(f"{name}: the picture is {first}; {len(rows)} rows inserted and scored in {seconds:.2f} s")
    return good


def decoded(appliance, picture, reference):
    """What the network's input is, where the network answers its input, beside a lossless reference."""
    wanted = np.asarray(Image.open(reference).convert("RGB")).astype(int)
    height, width = wanted.shape[:2]
    size = width * height * 3
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["image"], ["levels"])], "levels",
        [helper.make_tensor_value_info("image", 1, ["n", 3, height, width])],
        [helper.make_tensor_value_info("levels", 1, ["n", size])])
    path = os.path.join(appliance.folder.name, "levels.onnx")
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    with open(picture, "rb") as file:
        bytes = file.read()
    appliance.sql(f"""create table lossy (id int primary key, image bytea);
        insert into lossy values (1, decode('{bytes.hex()}', 'hex'))""")
    levels = {}
    for way in ("triangle", "dct"):
        appliance.run("push", path, "--name", f"levels_{way}", "--alias", "champion", "--preset", "raw", "--setup",
                      f'{{"image": {{"upsampling": "{way}"}}}}')
        appliance.sql(f"call rowcast.wait_for_model('levels_{way}')")
        appliance.sql(f"""select * from rowcast.create_scorer('levels_{way}', 'lossy', 'levels_{way}');
            call rowcast.wait('levels_{way}')""")
        text = appliance.sql(f"select array_to_string(levels, ' ') from predictions.levels_{way}")[0][0]
        levels[way] = np.array(text.split(), dtype=float).astype(int).reshape(3, height, width).transpose(1, 2, 0)
    pillow = np.asarray(Image.open(io.BytesIO(bytes)).convert("RGB")).astype(int)
    good = True
    for way, other, name, most in (("triangle", pillow, "Pillow", 0), ("triangle", wanted, "the reference", None),
                                   ("dct", wanted, "the reference", 1)):
        difference = np.abs(levels[way] - other)
        print(f"{width} x {height} decoded, {way}: within {difference.max()} levels of {name}, "
              f"{(difference == 0).mean():.2%} of values equal")
        good &= most is None or difference.max() <= most
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rowcast", required=True)
    parser.add_argument("--models", required=True)
    parser.add_argument("--picture", required=True)
    parser.add_argument("--decoded")
    parser.add_argument("--only", default="resnet50,resnet152")
    options = parser.parse_args()
    torch.set_num_threads(2)
    images = list(pieces(options.picture))
    appliance = Appliance(options.rowcast)
    try:
        good = all([compare(appliance, options.models, name, images) for name in options.only.split(",")])
        if options.decoded:
            good &= decoded(appliance, options.picture, options.decoded)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(map(str, error.cmd))[:300]}\n{error.stderr[-2000:]}")
    finally:
        appliance.stop()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
