#!/usr/bin/env python3
"""Writes the hostile files of Tests/Fuzz/Regressions that were made by hand: python make_regressions.py

Each lies at the edge of a guard: it loads in no time and is refused, or becomes a model that scores. What the fuzzers find
is added to the same folders as it is.
"""

import io
import json
import pathlib
import struct
import zlib

import onnx
from onnx import TensorProto, helper
from PIL import Image

FOLDER = pathlib.Path(__file__).resolve().parent / "Regressions"


def write(target, name, content):
    folder = FOLDER / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


# LightGBM's text


def lightgbm_model(header="", tree="", tail="", **changes):
    fields = {
        "num_leaves": "3",
        "num_cat": "0",
        "split_feature": "0 0",
        "threshold": "0.5 1.5",
        "decision_type": "2 2",
        "left_child": "1 -1",
        "right_child": "-2 -3",
        "leaf_value": "10 20 30",
        **changes,
    }
    lines = "\n".join(f"{key}={value}" for key, value in fields.items() if value is not None)
    return (
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=0\nobjective=regression\n"
        f"feature_names=age\nfeature_infos=[0:1]\n{header}\nTree=0\n{lines}\n{tree}\n\nend of trees\n{tail}"
    )


def lightgbm():
    def file(name, text):
        write("lightgbm", name + ".txt", text)

    file("cyclic-tree", lightgbm_model(left_child="1 0"))
    file("node-with-two-parents", lightgbm_model(left_child="1 -1", right_child="1 -3"))
    file("root-is-its-own-child", lightgbm_model(left_child="0 -1"))
    file("truncated", lightgbm_model()[:-40])
    file("huge-leaf-count", lightgbm_model(num_leaves="2147483647"))
    file("huge-feature-count", lightgbm_model().replace("max_feature_idx=0", "max_feature_idx=9223372036854775807"))
    file("huge-trees-an-iteration", lightgbm_model().replace("iteration=1", "iteration=4294967297"))
    file("feature-out-of-range", lightgbm_model(split_feature="0 -2147483648"))
    sets = dict(num_cat="1", decision_type="1 2", threshold="0 1.5")
    file("category-boundaries-beyond", lightgbm_model(**sets, cat_boundaries="0 4294967296", cat_threshold="1"))
    file("category-boundaries-descend", lightgbm_model(**sets, cat_boundaries="0 -1", cat_threshold=""))
    file("category-word-negative", lightgbm_model(**sets, cat_boundaries="0 1", cat_threshold="-1"))
    file("category-set-of-a-huge-threshold", lightgbm_model(num_cat="1", decision_type="1 2", threshold="1e300 1"))
    linear = dict(leaf_const="1 2 3", leaf_features="0", leaf_coeff="1")
    file("linear-terms-overflow", lightgbm_model(**linear, is_linear="1", num_features="9223372036854775807 1 1"))
    file("linear-terms-negative", lightgbm_model(**linear, is_linear="1", num_features="-1 1 1"))
    file("infinite-leaf", lightgbm_model(leaf_value="10 inf nan"))
    file("deep-nesting-of-categories", lightgbm_model(tail="pandas_categorical:" + "[[" + "[" * 300 + "\n"))
    file("categories-cut-in-an-escape", lightgbm_model(tail='pandas_categorical:[["\\u12'))
    file("categories-of-no-feature", lightgbm_model(tail="pandas_categorical:[[],[],[],[]]\n"))


# XGBoost's JSON and UBJSON


def xgboost_model(tree=None, **parameters):
    nodes = {
        "left_children": [1, -1, -1],
        "right_children": [2, -1, -1],
        "split_indices": [0, 0, 0],
        "split_conditions": [0.5, 1, 2],
        "default_left": [0, 0, 0],
        "categories": [],
        "categories_nodes": [],
        "categories_segments": [],
        "categories_sizes": [],
        "split_type": [0, 0, 0],
        "tree_param": {"num_nodes": "3", "size_leaf_vector": "1", "num_feature": "1"},
        **(tree or {}),
    }
    return {
        "learner": {
            "learner_model_param": {"base_score": "0.5", "num_class": "0", "num_feature": "1", **parameters},
            "objective": {"name": "reg:squarederror"},
            "gradient_booster": {
                "name": "gbtree",
                "model": {"gbtree_model_param": {"num_trees": "1"}, "tree_info": [0], "trees": [nodes]},
            },
        },
        "version": [2, 0, 0],
    }


def xgboost():
    def file(name, document):
        write("xgboost", name + ".json", document if isinstance(document, str) else json.dumps(document))

    file("cyclic-tree", xgboost_model({"left_children": [0, -1, -1]}))
    file("node-with-two-parents", xgboost_model({"right_children": [1, -1, -1]}))
    file("child-out-of-range", xgboost_model({"left_children": [2147483647, -1, -1]}))
    file("truncated", json.dumps(xgboost_model())[:-60])
    file("deep-nesting", '{"learner":{"attributes":' + "[" * 400)
    file("deep-nesting-where-skipped", '{"other":' + '{"a":' * 300 + "1" + "}" * 300 + "}")
    file("huge-feature-count", xgboost_model(num_feature="18446744073709551615"))
    file("huge-class-count", xgboost_model(num_class="4294967296"))
    file("base-score-not-finite", xgboost_model(base_score="NaN"))
    categories = {"split_type": [1, 0, 0], "categories_nodes": [0], "categories": [1]}
    for name, start, size in (("beyond", 0, 4294967296), ("negative", -1, 1), ("overflow", 2**63 - 1, 2**63 - 1)):
        file(
            f"category-segment-{name}",
            xgboost_model({**categories, "categories_segments": [start], "categories_sizes": [size]}),
        )
    file(
        "category-too-large",
        xgboost_model({**categories, "categories": [2**31 - 1], "categories_segments": [0], "categories_sizes": [1]}),
    )
    file("huge-leaf-vector", xgboost_model({"tree_param": {"num_nodes": "3", "size_leaf_vector": "2147483647"}}))
    file("string-cut-in-an-escape", '{"learner":{"objective":{"name":"\\ud83')


def ubj_text(text):
    return b"i" + struct.pack(">b", len(text)) + text.encode()


def ubjson():
    def file(name, content):
        write("ubjson", name + ".ubj", content)

    # A member that is skipped, whatever it is, and one whose array is read.
    other = b"{" + ubj_text("other")
    learner = b"{" + ubj_text("version")
    file("deep-nesting", other + b"[" * 400)
    file("deep-nesting-of-typed-arrays", other + b"[$[#i\x01" * 100)
    file("huge-array-of-nothing", other + b"[$Z#L" + struct.pack(">q", 2**62) + b"}")
    file("huge-array-of-truths", other + b"[$T#L" + struct.pack(">q", 2**40) + b"}")
    file("huge-array-of-doubles", other + b"[$D#L" + struct.pack(">q", 2**60))
    file("negative-count", other + b"[$d#i\xff")
    file("negative-string-length", b"{" + b"l" + struct.pack(">i", -5) + b"abcde")
    file("huge-version", learner + b"[$L#L" + struct.pack(">q", 2**61))
    file("huge-string-length", b"{" + b"L" + struct.pack(">q", 2**63 - 1) + b"abc")
    file("huge-object", b"{#L" + struct.pack(">q", 2**61) + ubj_text("a") + b"i\x01")
    file("count-without-end", other + b"[#")
    file("type-without-count", other + b"[$d" + struct.pack(">f", 1))
    file("cut-in-a-number", other + b"{" + ubj_text("x") + b"D\x00\x00")


# CatBoost's JSON


def catboost_model(trees=None, **changes):
    return {
        "features_info": {
            "float_features": [
                {
                    "feature_index": 0,
                    "flat_feature_index": 0,
                    "borders": [0.5],
                    "has_nans": False,
                    "nan_value_treatment": "AsIs",
                }
            ]
        },
        "model_info": {"params": {"loss_function": {"type": "RMSE"}}},
        "oblivious_trees": (
            trees
            if trees is not None
            else [
                {
                    "splits": [{"border": 0.5, "float_feature_index": 0, "split_type": "FloatFeature"}],
                    "leaf_values": [1, 2],
                }
            ]
        ),
        "scale_and_bias": [1, [0]],
        **changes,
    }


def catboost():
    def file(name, document):
        write("catboost", name + ".json", document if isinstance(document, str) else json.dumps(document))

    split = {"border": 0.5, "float_feature_index": 0, "split_type": "FloatFeature"}
    file("deep-symmetric-tree", catboost_model([{"splits": [split] * 63, "leaf_values": [1, 2]}]))
    file("deeper-than-a-word", catboost_model([{"splits": [split] * 64, "leaf_values": [1]}]))
    file("too-few-leaves", catboost_model([{"splits": [split] * 2, "leaf_values": [1, 2, 3]}]))
    file(
        "feature-out-of-range",
        catboost_model([{"splits": [{**split, "float_feature_index": 2**31}], "leaf_values": [1, 2]}]),
    )
    nested = '{"value":1}'
    for _ in range(60):
        nested = f'{{"split":{json.dumps(split)},"left":{{"value":1}},"right":{nested}}}'
    file("deep-nesting-of-a-tree", json.dumps(catboost_model([]))[:-1] + f',"trees":[{nested}]}}')
    file("deep-nesting", '{"other":' + "[" * 400)
    file("truncated", json.dumps(catboost_model())[:-30])
    info = catboost_model()["features_info"]
    info["float_features"][0]["flat_feature_index"] = 2**62
    file("huge-flat-index", catboost_model(features_info=info))
    file("no-bias", catboost_model(scale_and_bias=[1, []]))
    file("scale-not-finite", json.dumps(catboost_model(scale_and_bias=[1, [0]])).replace("[1, [0]]", "[1e999, [0]]"))


# ONNX


def onnx_model(nodes, *, inputs=None, outputs=None, initializers=(), opset=18, functions=(), domains=()):
    graph = helper.make_graph(
        list(nodes),
        "g",
        inputs or [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        outputs or [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])],
        list(initializers),
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    opsets += [helper.make_opsetid(domain, 1) for domain in domains]
    return helper.make_model(graph, opset_imports=opsets, functions=list(functions), ir_version=8).SerializeToString()


def field(number, content):
    """A field of bytes as protobuf has it."""
    length, size = bytearray(), len(content)
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + content


def tensor(name, values, dims=None):
    kind = TensorProto.INT64 if all(isinstance(v, int) for v in values) else TensorProto.FLOAT
    return helper.make_tensor(name, kind, [len(values)] if dims is None else dims, values)


def tree_node(**changes):
    attributes = {
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [0, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_values": [0.5, 0.0, 0.0],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "n_targets": 1,
        "target_treeids": [0, 0],
        "target_nodeids": [1, 2],
        "target_ids": [0, 0],
        "target_weights": [1.0, 2.0],
        **changes,
    }
    return helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", **attributes)


def looped(body_nodes, inputs, outputs, state):
    """A loop without an end of its own, with one state."""
    body = helper.make_graph(
        body_nodes,
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            *inputs,
        ],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, []), *outputs],
    )
    return helper.make_node("Loop", ["", "", state], ["y"], body=body)


def onnx_files():
    def file(name, content, target="onnx"):
        write(target, name + ".onnx", content)

    node = helper.make_node
    plain = onnx_model([node("Relu", ["x"], ["y"])])
    file("truncated", plain[:-12])
    file(
        "cyclic-graph",
        onnx_model([node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["y"])]),
    )
    file("length-beyond-the-end", b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f")
    file("number-of-eleven-bytes", b"\x08" + b"\xff" * 11)
    file("group-without-end", b"\x0b" * 300)
    huge = tensor("w", [1.0])
    for name, dims in (("huge", [1 << 40]), ("overflow", [1 << 32, 1 << 32]), ("negative", [-1, -1])):
        del huge.dims[:]
        huge.dims.extend(dims)
        file(f"constant-of-{name}-size", onnx_model([node("Add", ["x", "w"], ["y"])], initializers=[huge]))
    file("tree-cyclic", onnx_model([tree_node(nodes_truenodeids=[0, 0, 0])]))
    file("tree-node-with-two-parents", onnx_model([tree_node(nodes_falsenodeids=[1, 0, 0])]))
    file("tree-feature-beyond", onnx_model([tree_node(nodes_featureids=[1 << 40, 0, 0])]))
    file("tree-target-beyond", onnx_model([tree_node(target_ids=[0, 1 << 40])]))
    file("tree-of-huge-targets", onnx_model([tree_node(n_targets=1 << 60)]))
    chain = list(range(40))
    file(
        "tree-of-one-long-branch",
        onnx_model(
            [
                tree_node(
                    nodes_treeids=[0] * 81,
                    nodes_nodeids=list(range(81)),
                    nodes_featureids=[0] * 81,
                    nodes_modes=["BRANCH_LEQ"] * 40 + ["LEAF"] * 41,
                    nodes_values=[float(k) for k in chain] + [0.0] * 41,
                    nodes_truenodeids=[40 + k for k in chain] + [0] * 41,
                    nodes_falsenodeids=[k + 1 for k in chain[:-1]] + [80] + [0] * 41,
                    target_treeids=[0] * 41,
                    target_nodeids=list(range(40, 81)),
                    target_ids=[0] * 41,
                    target_weights=[float(k) for k in range(41)],
                )
            ],
            outputs=[helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        ),
    )
    shape = tensor("shape", [1 << 20, 1 << 20])
    file("expand-to-a-huge-size", onnx_model([node("Expand", ["x", "shape"], ["y"])], initializers=[shape]))
    file(
        "constant-of-shape-huge",
        onnx_model([node("ConstantOfShape", ["shape"], ["z"]), node("Add", ["x", "z"], ["y"])], initializers=[shape]),
    )
    file("tile-overflows", onnx_model([node("Tile", ["x", "n"], ["y"])], initializers=[tensor("n", [1, 1 << 62])]))
    bounds = [tensor("from", [0], []), tensor("to", [1 << 62], []), tensor("by", [1], [])]
    file(
        "range-of-huge-length",
        onnx_model(
            [
                node("Range", ["from", "to", "by"], ["r"]),
                node("Cast", ["r"], ["f"], to=1),
                node("Add", ["x", "f"], ["y"]),
            ],
            initializers=bounds,
        ),
    )
    file(
        "range-of-no-step",
        onnx_model(
            [
                node("Range", ["from", "to", "from"], ["r"]),
                node("Cast", ["r"], ["f"], to=1),
                node("Add", ["x", "f"], ["y"]),
            ],
            initializers=bounds[:2],
        ),
    )
    file(
        "pad-of-negative-sizes",
        onnx_model([node("Pad", ["x", "pads"], ["y"])], initializers=[tensor("pads", [0, -(1 << 62), 0, -(1 << 62)])]),
    )
    file(
        "gather-place-of-least-integer",
        onnx_model([node("Gather", ["x", "places"], ["y"], axis=1)], initializers=[tensor("places", [-(1 << 63)])]),
    )
    file(
        "slice-at-the-ends-of-integers",
        onnx_model(
            [node("Slice", ["x", "a", "b", "c", "d"], ["y"])],
            initializers=[
                tensor("a", [-(1 << 63)]),
                tensor("b", [(1 << 63) - 1]),
                tensor("c", [1]),
                tensor("d", [-(1 << 63)]),
            ],
        ),
    )
    call = helper.make_function(
        "local",
        "again",
        ["a"],
        ["c"],
        [node("again", ["a"], ["b"], domain="local"), node("Neg", ["b"], ["c"])],
        [helper.make_opsetid("", 18), helper.make_opsetid("local", 1)],
    )
    file(
        "function-calls-itself",
        onnx_model([node("again", ["x"], ["y"], domain="local")], functions=[call], domains=["local"]),
    )
    doubling = [
        helper.make_function(
            "local",
            f"f{k}",
            ["a"],
            ["c"],
            (
                [node(f"f{k + 1}", ["a"], ["b"], domain="local"), node(f"f{k + 1}", ["b"], ["c"], domain="local")]
                if k < 29
                else [node("Neg", ["a"], ["c"])]
            ),
            [helper.make_opsetid("", 18), helper.make_opsetid("local", 1)],
        )
        for k in range(30)
    ]
    file(
        "functions-that-double",
        onnx_model([node("f0", ["x"], ["y"], domain="local")], functions=doubling, domains=["local"]),
    )
    # GraphProto.node, NodeProto.attribute, AttributeProto.g, again and again.
    nested = b""
    for _ in range(100):
        for number in (6, 5, 1):
            nested = field(number, nested)
    file("deep-nesting-of-graphs", field(7, nested))

    # These load, or nearly: what they would do is done when they run.
    text_in = [helper.make_tensor_value_info("x0", TensorProto.STRING, [None, 1])]
    text_out = [helper.make_tensor_value_info("x40", TensorProto.STRING, [None, 1])]
    joins = [node("StringConcat", [f"x{k}", f"x{k}"], [f"x{k + 1}"]) for k in range(40)]
    file("texts-that-double", onnx_model(joins, inputs=text_in, outputs=text_out, opset=20), "executor")
    flag = [helper.make_tensor_value_info("x40", TensorProto.BOOL, [None, 1])]
    file(
        "expression-that-backtracks",
        onnx_model(
            [node("RegexFullMatch", ["x0"], ["x40"], pattern="(a|a)*(a|aa)*b")], inputs=text_in, outputs=flag, opset=20
        ),
        "executor",
    )
    state = helper.make_tensor_value_info("state", TensorProto.FLOAT, [None, 2])
    grown = helper.make_tensor_value_info("next", TensorProto.FLOAT, [None, 2])
    file(
        "loop-that-grows",
        onnx_model([looped([node("Concat", ["state", "state"], ["next"], axis=1)], [state], [grown], "x")]),
        "executor",
    )
    file(
        "division-by-zero",
        onnx_model(
            [
                node("Cast", ["x"], ["i"], to=7),
                node("Sub", ["i", "i"], ["o"]),
                node("Div", ["i", "o"], ["q"]),
                node("Mod", ["i", "o"], ["m"]),
                node("Add", ["q", "m"], ["s"]),
                node("Cast", ["s"], ["y"], to=1),
            ]
        ),
        "executor",
    )
    file(
        "least-integer-by-minus-one",
        onnx_model(
            [
                node("Cast", ["x"], ["i"], to=7),
                node("Div", ["i", "one"], ["q"]),
                node("Mod", ["i", "one"], ["m"]),
                node("Add", ["q", "m"], ["s"]),
                node("Abs", ["s"], ["a"]),
                node("Cast", ["a"], ["y"], to=1),
            ],
            initializers=[tensor("one", [-1])],
        ),
        "executor",
    )
    file(
        "shift-beyond-the-width",
        onnx_model(
            [
                node("Cast", ["x"], ["u"], to=12),
                node("BitShift", ["u", "n"], ["s"], direction="LEFT"),
                node("Cast", ["s"], ["y"], to=1),
            ],
            initializers=[helper.make_tensor("n", TensorProto.UINT32, [1], [200])],
        ),
        "executor",
    )
    # Before their opset bounds and fillers are attributes, and more inputs are nobody's.
    file(
        "bound-before-its-opset",
        onnx_model([node("Clip", ["x", "n"], ["y"])], initializers=[tensor("n", [1])], opset=10),
        "executor",
    )
    file(
        "filler-before-its-opset",
        onnx_model(
            [node("Pad", ["x", "", "n"], ["y"], pads=[0, 1, 0, 0])],
            outputs=[helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3])],
            initializers=[tensor("n", [], [0])],
            opset=10,
        ),
        "executor",
    )
    file(
        "filler-of-another-type",
        onnx_model(
            [node("Pad", ["x", "pads", "n"], ["y"])],
            outputs=[helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3])],
            initializers=[tensor("pads", [0, 1, 0, 0]), tensor("n", [1], [])],
        ),
        "executor",
    )
    write(
        "executor",
        "categories-of-a-frame.txt",
        lightgbm_model(
            num_cat="1",
            decision_type="1 1",
            threshold="0 0",
            cat_boundaries="0 1",
            cat_threshold="2",
            tail='[categorical_feature: 0]\n\npandas_categorical:[["a", "A b c", ""]]\n',
        ).replace("[0:1]", "0:1:2"),
    )


def png(*chunks):
    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, data in chunks:
        parts.append(struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)))
    return b"".join(parts)


def images():
    def header(width, height, bits=8, colour=2, interlaced=0):
        return b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)

    def pixels(data):
        return b"IDAT", zlib.compress(data, 9)

    def jpeg(**options):
        picture = Image.new("RGB", (24, 16), (200, 30, 90))
        picture.paste((20, 220, 40), (3, 5, 17, 11))
        out = io.BytesIO()
        picture.save(out, "JPEG", **options)
        return out.getvalue()

    def file(name, content):
        write("image", name, content)

    end = b"IEND", b""
    grey = b"".join(b"\0" + bytes([i]) * 9 for i in range(8))
    file("size-of-a-bomb.png", png(header(20000, 20000), pixels(b"\0" * 100), end))
    file("size-that-overflows.png", png(header(0x7FFFFFFF, 0x7FFFFFFF), pixels(b""), end))
    file("no-pixels.png", png(header(0, 8), pixels(b""), end))
    file("too-few-pixels.png", png(header(9, 8), pixels(b"\0" * 5), end))
    file("palette-without-colours.png", png(header(9, 8, 8, 3), pixels(grey), end))
    file("palette-of-one.png", png(header(9, 8, 8, 3), (b"PLTE", b"\1\2\3"), pixels(grey), end))
    file("text-that-unpacks.png", png(
        header(9, 8, 8, 0), (b"zTXt", b"k\0\0" + zlib.compress(b"\0" * 8_000_000, 9)), pixels(grey), end))
    file("chunk-longer-than-the-file.png", png(header(9, 8, 8, 0))[:-4] + b"\x7f\xff\xff\xffIDAT")
    file("interlaced.png", png(header(9, 8, 1, 0, 1), pixels(b"\0\xff" * 20), end))
    file("cut.jpg", jpeg()[:-30])
    file("no-end.jpg", jpeg()[:-2])
    whole = jpeg()
    frame = whole.index(b"\xff\xc0")
    file("lines-that-are-not-there.jpg", whole[: frame + 5] + b"\xff\xff\xff\xff" + whole[frame + 9 :])
    file("five-colours.jpg", whole[: frame + 9] + b"\5" + whole[frame + 10 :])
    slow = jpeg(progressive=True)
    last = slow.rindex(b"\xff\xda")
    file("scans-without-end.jpg", slow[:last] + slow[last:-2] * 150 + b"\xff\xd9")
    exif = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\1\x12\0\3\0\0\0\1\0\6\0\0"
    file("directory-longer-than-itself.jpg", whole[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + whole[2:])
    file("directory-beyond.jpg", whole[:2] + b"\xff\xe1\0\x10Exif\0\0II*\0\xff\xff\xff\xff" + whole[2:])
    out = io.BytesIO()
    Image.new("RGB", (24, 16), (200, 30, 90)).save(out, "WEBP", lossless=True)
    file("cut.webp", out.getvalue()[:-8])
    file("chunk-longer-than-the-file.webp", out.getvalue()[:16] + b"\xff\xff\xff\x7f" + out.getvalue()[20:])


# Networks of tensors


def network(nodes, shape, *, initializers=(), outputs=("y",), kind=TensorProto.FLOAT, opset=21):
    return onnx_model(
        nodes,
        inputs=[helper.make_tensor_value_info("x", kind, [None, *shape])],
        outputs=[onnx.ValueInfoProto(name=name) for name in outputs],
        initializers=initializers,
        opset=opset,
    )


def constant(name, dims, value=0.5):
    count = 1
    for size in dims:
        count *= size
    return helper.make_tensor(name, TensorProto.FLOAT, dims, [value] * count)


def networks():
    def file(name, content):
        write("network", name + ".onnx", content)

    node = helper.make_node
    turned = node("Transpose", ["x"], ["xt"], perm=[1, 0, 2])
    weights = [constant("W", [1, 8, 3]), constant("R", [1, 8, 2])]

    def lstm(extra=(), inputs=(), **attributes):
        layer = node("LSTM", ["xt", "W", "R", *inputs], ["a", "h"], hidden_size=2, **attributes)
        return network(
            [turned, layer, node("Transpose", ["h"], ["y"], perm=[1, 0, 2])], [5, 3],
            initializers=[*weights, *extra])

    file("lstm", lstm())
    file("lstm-of-huge-hidden-size", lstm(layout=0).replace(b"hidden_size\x18\x02", b"hidden_size\x18\x7f"))
    file("lstm-clip-not-a-number", lstm(clip=float("nan")))
    file("lstm-too-few-functions", lstm(activations=["Tanh"]))
    file("lstm-lengths-beyond", lstm([tensor("n", [1 << 62])], ["", "n"]))
    file("gru-of-lstm-weights", network(
        [turned, node("GRU", ["xt", "W", "R"], ["", "h"], hidden_size=2), node("Transpose", ["h"], ["y"], perm=[1, 0, 2])],
        [5, 3], initializers=weights))
    kernel = [constant("K", [2, 3, 3, 3])]
    for name, attributes in (
        ("conv", {}),
        ("conv-huge-padding", {"pads": [1 << 24] * 4}),
        ("conv-huge-step", {"strides": [1 << 24] * 2}),
        ("conv-huge-dilation", {"dilations": [1 << 62] * 2}),
        ("conv-negative-padding", {"pads": [-1, 0, 0, 0]}),
    ):
        file(name, network([node("Conv", ["x", "K"], ["y"], **attributes)], [3, 6, 6], initializers=kernel))
    scale, zero = helper.make_tensor("s", 1, [], [0.1]), helper.make_tensor("z", TensorProto.UINT8, [], [200])
    bytes_of_kernel = helper.make_tensor("q", TensorProto.UINT8, [2, 3, 3, 3], [255] * 54)
    file("qlinear-conv", network(
        [node("QuantizeLinear", ["x", "s", "z"], ["b"]),
         node("QLinearConv", ["b", "s", "z", "q", "s", "z", "s", "z"], ["c"], pads=[1, 1, 1, 1]),
         node("DequantizeLinear", ["c", "s", "z"], ["y"])],
        [3, 6, 6], initializers=[scale, zero, bytes_of_kernel]))
    file("scale-of-zero", network(
        [node("QuantizeLinear", ["x", "s", "z"], ["b"]), node("DequantizeLinear", ["b", "s", "z"], ["y"])],
        [4, 4], initializers=[helper.make_tensor("s", 1, [], [0.0]), zero]))
    file("zero-of-another-type", network(
        [node("QuantizeLinear", ["x", "s", "z"], ["b"]), node("DequantizeLinear", ["b", "s", "s"], ["y"])],
        [4, 4], initializers=[scale, zero]))
    file("dynamic-product", network(
        [node("DynamicQuantizeLinear", ["x"], ["b", "t", "u"]), node("MatMulInteger", ["b", "q", "u"], ["i"]),
         node("Cast", ["i"], ["f"], to=1), node("Mul", ["f", "t"], ["y"])],
        [4, 4], initializers=[helper.make_tensor("q", TensorProto.INT8, [4, 3], list(range(-6, 6)))]))
    four = helper.make_tensor("q", TensorProto.INT4, [4, 3], bytes(6), raw=True)
    file("few-bits-cut", network(
        [node("DequantizeLinear", ["q", "s"], ["w"]), node("MatMul", ["x", "w"], ["y"])], [4, 4],
        initializers=[scale, four]).replace(b"\x4a\x06" + bytes(6), b"\x4a\x05" + bytes(5) + b"\x40\x00", 1))
    file("spectrum-of-huge-length", network(
        [node("DFT", ["x", "n"], ["y"])], [8, 1], initializers=[tensor("n", [1 << 40], [])]))
    file("spectrum-of-a-prime", network([node("DFT", ["x", "n"], ["y"])], [8, 1], initializers=[tensor("n", [31], [])]))
    file("frames-of-no-step", network(
        [node("STFT", ["x", "n"], ["y"])], [8, 1], initializers=[tensor("n", [0], [])]))
    file("resize-to-a-huge-size", network(
        [node("Resize", ["x", "", "", "n"], ["y"])], [3, 6, 6], initializers=[tensor("n", [1, 3, 1 << 40, 1 << 40])]))
    file("pool-of-a-huge-kernel", network(
        [node("MaxPool", ["x"], ["y"], kernel_shape=[1 << 40, 1])], [3, 6, 6]))
    file("blocks-beyond-the-image", network(
        [node("Col2Im", ["x", "n", "k"], ["y"])], [4, 9],
        initializers=[tensor("n", [1 << 40, 1 << 40]), tensor("k", [2, 2])]))
    file("attention-of-no-heads", network(
        [node("Attention", ["x", "x", "x"], ["y"], q_num_heads=0, kv_num_heads=0)], [4, 8], opset=23))


# Tokenizers


def tokenizers():
    def document(**changes):
        model = {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"], **changes.pop("model", {})}
        return {"version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": None,
                "post_processor": None, "decoder": None, "model": model, **changes}

    def file(name, content):
        write("tokenizer", name + ".json", content if isinstance(content, str) else json.dumps(content))

    def added(number, content):
        return {"id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": True}

    file("pairs", document())
    file("truncated", json.dumps(document())[:-20])
    file("deep-nesting", '{"model":' + "[" * 400)
    file("negative-number", document(model={"vocab": {"a": -1}, "merges": []}))
    file("huge-number", document(model={"vocab": {"a": 1 << 40}, "merges": []}))
    file("greatest-number", document(model={"vocab": {"a": (1 << 31) - 1}, "merges": []}))
    file("merge-of-unknown", document(model={"merges": ["a c"]}))
    file("merge-of-one", document(model={"merges": ["a"]}))
    file("merge-of-nothing", document(model={"merges": [["", ""]]}))
    file("empty-vocabulary", document(model={"vocab": {}, "merges": []}))
    file("empty-added-token", document(added_tokens=[added(3, "")]))
    file("added-token-twice", document(added_tokens=[added(3, "a"), added(4, "a")]))
    file("added-token-of-huge-number", document(added_tokens=[added((1 << 31) - 1, "[X]")]))
    file("template-of-unknown", document(post_processor={
        "type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "[X]", "type_id": 0}}], "pair": [],
        "special_tokens": {}}))
    file("empty-pattern", document(pre_tokenizer={
        "type": "Split", "pattern": {"Regex": ""}, "behavior": "Isolated", "invert": False}))
    file("pattern-that-doubles", document(pre_tokenizer={
        "type": "Split", "pattern": {"Regex": "(a*)*b"}, "behavior": "Isolated", "invert": False}))
    file("replace-nothing", document(normalizer={"type": "Replace", "pattern": {"String": ""}, "content": "aaaa"}))
    file("replace-that-doubles", document(normalizer={"type": "Sequence", "normalizers": [
        {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}] * 60}))
    file("prepend-again-and-again", document(normalizer={"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "a" * 200}] * 40}))
    pieces = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##"}
    file("no-unknown-piece", document(model={**pieces, "vocab": {"a": 0}, "max_input_chars_per_word": 100}))
    file("words-of-no-length", document(model={**pieces, "vocab": {"[UNK]": 0}, "max_input_chars_per_word": 0}))
    unigram = {"type": "Unigram", "unk_id": 0}
    file("unigram-scores", document(model={**unigram, "vocab": [["<unk>", 0], ["a", -1e308], ["aa", -1e308]]}))
    file("unigram-unknown-beyond", document(model={"type": "Unigram", "unk_id": 7, "vocab": [["a", 0]]}))
    file("truncation-shorter-than-the-template", document(
        truncation={"max_length": 1, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        added_tokens=[added(3, "[X]")],
        post_processor={"type": "BertProcessing", "sep": ["[X]", 3], "cls": ["[X]", 3]}))


if __name__ == "__main__":
    for make in (lightgbm, xgboost, ubjson, catboost, onnx_files, images, networks, tokenizers):
        make()
