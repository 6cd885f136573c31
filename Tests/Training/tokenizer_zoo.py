"""Tokenizers of every kind that is read, trained on the spot, and what the library makes of texts.

    python tokenizer_zoo.py OUT [--small]

OUT gets a folder for each tokenizer: tokenizer.json, texts.json and ids.txt (a line a text). With --small,
which needs nothing but this script to be repeated, OUT gets one file a tokenizer, for the fixtures.
Needs tokenizers and, for its tables of characters, sentencepiece.
"""

import json
import pathlib
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, models
from tokenizers import normalizers as norm
from tokenizers import pre_tokenizers as pre
from tokenizers import processors as post
from tokenizers import trainers

SYLLABLES = (
    "an be co de er fo ga ing jo ka lo ment ne or pre qua re sen tion un ver wa xi ya zo st tr ch sh th"
).split()
NASTY = [
    "", " ", "  a  b ", "\n\n\nx\n \ty", "\t", "a\u00a0b", "\u3000全角 ＡＢＣ", "Hello, y'all! How are you 😁 ?",
    "👩‍👩‍👧‍👦 family", "🇩🇪🇫🇷", "e\u0301 vs é", "n\u0303 ñ Ñ", "ﬁ ﬂ ﬀ", "İstanbul ı I i", "ΑΒΓΣ ς σ",
    "straße STRASSE ẞ", "你好，世界", "한국어 텍스트", "\u1112\u1161\u11ab", "日本語テキスト。", "ｶﾞｷﾞ", "مرحبا بالعالم",
    "שָׁלוֹם עוֹלָם", "हिन्दी में", "ไทยภาษา", "\u202eRTL\u202c \u200bzero\u200dwidth\ufeff", "\x01\x02a\x7fb",
    "a\x85b\x0b\x0cc", "a\u2028b\u2029c", "\ufffd\ufffe\uffff", "\ue000private", "\U000e0001tag", "a" * 99,
    "b" * 100, "c" * 101, "é" * 100, "antidisestablishment" * 40, "x1y2z3 1234567 ²³¼ Ⅳ ٣٤٥ ४५",
    "$100+20=120 <tag> ^_^ `code` |x| ~", "don't DON'T we'LL I'm you'Re ſ 'ſ", "a'b 's 't 're", "   leading",
    "trailing   ", "a  b   c    d", "a\r\nb\r\n\r\nc", "[MASK] the [SEP] x[CLS]y [mask]", "<s>a</s> <mask> <pad>",
    "<mask>  x <mask>", "__init__(self)", "https://example.com/a?b=c&d=%20", "snake_case CamelCase kebab-case",
    "1.5e-10", "…—–“quotes”‘’", "\u0345\u0301a\u0315\u0300", "\U0001d157\U0001d165\U0001d16e",
    "\u1885\u1886 \U000111c9 \u1734", "\u302e\u302f a\u302f\u0300", "\u212b Å A\u030a", "ſt ﬅ",
    "\u0f71\u0f72\u0f74\u0f80", "\u0958 \u09dc", "½ℵ™©®", "①②③ ㈱ ㎏", "\u180e\u200b", "<0x0A>", "▁a ▁▁b", "Ġa Ċ",
    "café CAFÉ", "Zażółć gęślą jaźń", "Đặng Việt Nam", "\u1e9b\u0323", "\ufb1d\ufb4f", "Ꭰꭰ", "𐐀𐐨", "\U00011938",
    "\u32ff", "\ua7f2", "\u1abf", "\u0340\u0302\u032c\u09fe", "5ç\u0f81",
]
BLOCKS = [
    (0x20, 0x7F), (0x20, 0x7F), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x530), (0x590, 0x700), (0x900, 0xE00),
    (0xE00, 0x1200), (0x1E00, 0x2070), (0x2070, 0x2C00), (0x3000, 0x3400), (0x4E00, 0xA000), (0xA000, 0xAC00),
    (0xAC00, 0xD7B0), (0xF900, 0x10000), (0x10000, 0x12000), (0x1D000, 0x1D800), (0x1F000, 0x1FB00),
    (0x20000, 0x30000),
]
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
LATER = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class Texts:
    def __init__(self, count):
        self.draw = random.Random(7)
        self.words = ["".join(self.draw.choices(SYLLABLES, k=self.draw.randint(1, 4))) for _ in range(2000)]
        self.corpus = [self.sentence() for _ in range(3000)]
        self.all = NASTY + [self.anything() for _ in range(count)] + [self.sentence() for _ in range(count // 2)]

    def sentence(self):
        words = []
        for _ in range(self.draw.randint(1, 25)):
            word = self.draw.choice(self.words)
            kind = self.draw.random()
            if kind < 0.1:
                word = word.capitalize()
            elif kind < 0.17:
                word = str(self.draw.randint(0, 10 ** self.draw.randint(1, 9)))
            elif kind < 0.22:
                word += self.draw.choice(["'s", "'ll", "'re", "n't", "'d", "'M", "'VE"])
            words.append(word + self.draw.choice(["", "", "", "", ",", ".", "!?", ";", " -", "...", ":)"]))
        return " ".join(words)

    def anything(self):
        parts = []
        for _ in range(self.draw.randint(1, 40)):
            kind = self.draw.random()
            if kind < 0.25:
                parts.append(" ")
            elif kind < 0.3:
                parts.append(self.draw.choice(["\n", "\t", "\r", "  ", "<mask>", "[MASK]"]))
            else:
                block = self.draw.choice(BLOCKS)
                parts += [chr(self.draw.randrange(*block)) for _ in range(self.draw.randint(1, 3))]
        return "".join(parts)


def every_character():
    """All characters of the planes that have any, sixteen a text."""
    points = [point for point in range(1, 0x31000) if not 0xD800 <= point < 0xE000]
    return [" a".join(map(chr, points[start : start + 16])) for start in range(0, len(points), 16)]


def made(texts, size):
    """Name and tokenizer, one after the other; `size` is a number of tokens."""
    learned = texts.corpus + texts.all[: len(NASTY) + 500]

    def trained(model, trainer, normalizer=None, cut=None, more=(), processor=None, **options):
        tokenizer = Tokenizer(model)
        if normalizer is not None:
            tokenizer.normalizer = normalizer
        if cut is not None:
            tokenizer.pre_tokenizer = cut
        rows = texts.corpus + NASTY if trainer is trainers.UnigramTrainer else learned
        tokenizer.train_from_iterator(rows, trainer(show_progress=False, **options))
        if more:
            tokenizer.add_tokens(list(more))
        if processor is not None:
            tokenizer.post_processor = processor
        return tokenizer

    bert = post.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    for name, options in {
        "bert": {}, "bert_cased": {"lowercase": False},
        "bert_raw": {"handle_chinese_chars": False, "clean_text": False}, "bert_accents": {"strip_accents": False},
    }.items():
        yield name, trained(
            models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer, norm.BertNormalizer(**options),
            pre.BertPreTokenizer(), processor=bert, vocab_size=size, special_tokens=BERT, limit_alphabet=size // 4)

    bytes_of = {"initial_alphabet": pre.ByteLevel.alphabet(), "vocab_size": size}
    yield "gpt2", trained(
        models.BPE(), trainers.BpeTrainer, cut=pre.ByteLevel(add_prefix_space=False),
        processor=post.ByteLevel(), special_tokens=["<|endoftext|>"], **bytes_of)
    yield "roberta", trained(
        models.BPE(), trainers.BpeTrainer, cut=pre.ByteLevel(add_prefix_space=True),
        more=[AddedToken("<mask>", lstrip=True, special=True)],
        processor=post.RobertaProcessing(("</s>", 2), ("<s>", 0)),
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"], **bytes_of)
    for name, digits in {"cl100k": "{1,3}", "qwen": ""}.items():
        yield name, trained(
            models.BPE(ignore_merges=name == "cl100k"), trainers.BpeTrainer,
            None if name == "cl100k" else norm.NFC(),
            pre.Sequence([
                pre.Split(Regex(LATER.replace("{1,3}", digits)), "isolated"),
                pre.ByteLevel(add_prefix_space=False, use_regex=False)]),
            processor=post.Sequence([
                post.ByteLevel(),
                post.TemplateProcessing(single="<|a|> $A", special_tokens=[("<|a|>", 0)])]),
            special_tokens=["<|a|>"], **bytes_of)
    for name, fuses in {"llama": True, "llama_single": False}.items():
        yield name, trained(
            models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=fuses), trainers.BpeTrainer,
            norm.Sequence([norm.Prepend("▁"), norm.Replace(" ", "▁")]), vocab_size=size + 256,
            special_tokens=["<unk>", "<s>", "</s>"] + BYTES, limit_alphabet=100)
    yield "metaspace", trained(
        models.BPE(unk_token="<unk>", fuse_unk=True), trainers.BpeTrainer, norm.NFKC(),
        pre.Metaspace(prepend_scheme="first"), vocab_size=size, special_tokens=["<unk>", "<mask>"],
        limit_alphabet=100)
    yield "clip", trained(
        models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"), trainers.BpeTrainer,
        norm.Sequence([norm.NFD(), norm.StripAccents(), norm.Lowercase()]), pre.Whitespace(), vocab_size=size,
        end_of_word_suffix="</w>", special_tokens=["<unk>"], limit_alphabet=100)
    yield "prefixed", trained(
        models.BPE(unk_token="<unk>", continuing_subword_prefix="##"), trainers.BpeTrainer, norm.NFKD(),
        pre.Sequence([
            pre.WhitespaceSplit(), pre.Punctuation("merged_with_previous"), pre.Digits(individual_digits=True)]),
        vocab_size=size, continuing_subword_prefix="##", special_tokens=["<unk>"], limit_alphabet=100)
    for behavior in ["merged_with_next", "contiguous", "removed", "isolated"]:
        yield "split_" + behavior, trained(
            models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=20), trainers.WordPieceTrainer,
            norm.Sequence([norm.Strip(), norm.Lowercase(), norm.Replace(Regex(r"\s+"), " "), norm.Nmt()]),
            pre.Sequence([
                pre.Punctuation(behavior), pre.Split(Regex(r"\d+"), behavior), pre.Digits(),
                pre.Split(" ", behavior)]),
            more=[
                AddedToken("THE", single_word=True, normalized=True),
                AddedToken("ing ", rstrip=True, normalized=True)],
            vocab_size=size, special_tokens=BERT, limit_alphabet=size // 4)
    for name, more in {"unigram": [], "unigram_bytes": BYTES}.items():
        tokenizer = trained(
            models.Unigram(), trainers.UnigramTrainer, norm.NFKC(), pre.Metaspace(),
            vocab_size=size + len(more) + 500, unk_token="<unk>",
            special_tokens=["<s>", "<pad>", "</s>", "<unk>"] + more,
            processor=post.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]))
        if more:
            own = json.loads(tokenizer.to_str())
            own["model"]["byte_fallback"] = True
            tokenizer = Tokenizer.from_str(json.dumps(own))
        yield name, tokenizer
    for rule in ["nmt_nfkc", "nmt_nfkc_cf"]:
        tokenizer = trained(
            models.Unigram(), trainers.UnigramTrainer,
            norm.Sequence([norm.Precompiled(characters(rule)), norm.Replace(Regex(" {2,}"), " ")]), pre.Metaspace(),
            vocab_size=size + 500, unk_token="<unk>", special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
            processor=post.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]))
        # The library reads decimals to within a last bit, which decides between ways that are equally good.
        own = json.loads(tokenizer.to_str())
        own["model"]["vocab"] = [[text, round(score * 1024) / 1024] for text, score in own["model"]["vocab"]]
        yield "sentencepiece_" + rule, Tokenizer.from_str(json.dumps(own))


def characters(rule):
    """SentencePiece's table of replacements, as its models hold it."""
    import io

    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c"] * 10), model_writer=out, vocab_size=8, normalization_rule_name=rule,
        model_type="char", minloglevel=2)
    model = sentencepiece_model_pb2.ModelProto.FromString(out.getvalue())
    return model.normalizer_spec.precompiled_charsmap


SMALL = ["bert", "bert_cased", "roberta", "cl100k", "llama", "metaspace", "clip", "split_merged_with_next"]


def main():
    out = pathlib.Path(sys.argv[1])
    small = "--small" in sys.argv
    out.mkdir(parents=True, exist_ok=True)
    texts = Texts(20 if small else 4000)
    for name, tokenizer in made(texts, 420 if small else 4000):
        if small and name not in SMALL:
            continue
        # As it is read again: what was in memory may differ by the last bit of a score.
        written = tokenizer.to_str()
        again = Tokenizer.from_str(written)
        if small:
            case = {
                "tokenizer": json.loads(written), "texts": texts.all,
                "ids": [again.encode(text).ids for text in texts.all]}
            (out / f"{name}.json").write_text(
                json.dumps(case, ensure_ascii=True, separators=(",", ":")) + "\n")
            continue
        rows = texts.all + every_character()
        folder = out / name
        folder.mkdir(exist_ok=True)
        (folder / "tokenizer.json").write_text(written)
        (folder / "texts.json").write_text(json.dumps(rows))
        with open(folder / "ids.txt", "w") as lines:
            for row in rows:
                lines.write(" ".join(map(str, again.encode(row).ids)) + "\n")
        print(f"{name}: {len(rows)} texts, {again.get_vocab_size()} tokens")


if __name__ == "__main__":
    main()
