"""Writes Tests/InferenceTests/Fixtures/images: small images with what Pillow and NumPy make of them.

Usage: make_image_fixtures.py [folder]. The pixels are made up, the same in each run.
"""
import base64
import io
import json
import pathlib
import struct
import sys
import zlib

import numpy as np
from PIL import Image, ImageOps

FILTERS = {
    "nearest": Image.Resampling.NEAREST, "box": Image.Resampling.BOX, "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING, "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def picture(width: int, height: int, seed: int) -> Image.Image:
    """Soft colours, an edge and some grain."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BILINEAR)).astype(int)
    pixels[height // 3:, width // 2:] = 255 - pixels[height // 3:, width // 2:]
    pixels += random.integers(-12, 13, pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, form: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


# PNG that Pillow does not write: 16 bits, few bits of grey, interlaced.

def chunk(name: bytes, data: bytes) -> bytes:
    body = name + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def packed(rows: np.ndarray, bits: int) -> bytes:
    """Rows of samples, each row filled up to a whole byte, with filter type 0."""
    out = b""
    for row in rows:
        samples = row.reshape(-1)
        if bits == 16:
            data = samples.astype(">u2").tobytes()
        elif bits == 8:
            data = samples.astype(np.uint8).tobytes()
        else:
            planes = ((samples[:, None] >> np.arange(bits - 1, -1, -1)) & 1).reshape(-1)
            data = np.packbits(planes.astype(np.uint8)).tobytes()
        out += b"\0" + data
    return out


def png(samples: np.ndarray, bits: int, colour: int, interlaced: bool = False, extra: bytes = b"") -> bytes:
    """samples: rows of pixels of channels."""
    height, width = samples.shape[:2]
    if interlaced:
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
        parts = [samples[y::dy, x::dx] for y, x, dy, dx in passes]
        data = b"".join(packed(p, bits) for p in parts if p.size)
    else:
        data = packed(samples, bits)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(data, 9))
            + chunk(b"IEND", b""))


def decoded_cases():
    image = picture(19, 13, 1)
    pixels = np.asarray(image).astype(int)
    grey = image.convert("L")
    random = np.random.default_rng(2)
    cases = {}
    for sampling in (0, 1, 2):
        cases[f"jpeg_sampling_{sampling}"] = encoded(image, "JPEG", quality=90, subsampling=sampling)
    cases["jpeg_progressive"] = encoded(image, "JPEG", progressive=True)
    cases["jpeg_restart"] = encoded(image, "JPEG", restart_marker_blocks=1)
    cases["jpeg_grey"] = encoded(grey, "JPEG")
    cmyk = encoded(image.convert("CMYK"), "JPEG", quality=95)
    cases["jpeg_cmyk"] = cmyk
    # The last byte of Adobe's marker says how the four values were transformed: 2 is YCCK.
    place = cmyk.index(b"Adobe") + 11
    assert cmyk[place] == 0
    cases["jpeg_ycck"] = cmyk[:place] + b"\2" + cmyk[place + 1:]
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        cases[f"jpeg_orientation_{orientation}"] = encoded(image, "JPEG", exif=exif)
    exif[0x0112] = 6
    cases["png_orientation_6"] = encoded(image, "PNG", exif=exif)
    cases["webp_orientation_6"] = encoded(image, "WEBP", exif=exif, lossless=True)
    alpha = image.copy()
    alpha.putalpha(Image.fromarray(random.integers(0, 256, (13, 19), dtype=np.uint8)))
    cases["png_rgb"] = encoded(image, "PNG")
    cases["png_rgba"] = encoded(alpha, "PNG")
    cases["png_grey"] = encoded(grey, "PNG")
    cases["png_grey_alpha"] = encoded(alpha.convert("LA"), "PNG")
    cases["png_palette"] = encoded(image.quantize(60), "PNG")
    cases["png_palette_4_bits"] = encoded(image.quantize(16), "PNG", bits=4)
    cases["png_palette_alpha"] = encoded(image.quantize(40), "PNG", transparency=3)
    cases["png_rgb_transparent"] = encoded(image, "PNG", transparency=(1, 2, 3))
    for bits in (1, 2, 4):
        cases[f"png_grey_{bits}_bits"] = png(random.integers(0, 1 << bits, (13, 19, 1)), bits, 0)
    cases["png_rgb_interlaced"] = png(pixels, 8, 2, interlaced=True)
    cases["png_grey_2_bits_interlaced"] = png(random.integers(0, 4, (13, 19, 1)), 2, 0, interlaced=True)
    cases["png_rgb_16_bits"] = png(random.integers(0, 1 << 16, (13, 19, 3)), 16, 2)
    cases["png_rgba_16_bits_interlaced"] = png(random.integers(0, 1 << 16, (13, 19, 4)), 16, 6, interlaced=True)
    profile = chunk(b"iCCP", b"made up\0\0" + zlib.compress(b"no profile"))
    cases["png_with_a_profile"] = png(pixels, 8, 2, extra=profile + chunk(b"gAMA", struct.pack(">I", 20000)))
    cases["webp"] = encoded(image, "WEBP", quality=80)
    cases["webp_lossless"] = encoded(image, "WEBP", lossless=True)
    cases["webp_alpha"] = encoded(alpha, "WEBP", lossless=True, exact=True)
    for name, data in cases.items():
        seen = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
        yield {"name": name, "bytes": text(data), "width": seen.width, "height": seen.height,
               "rgb": text(seen.tobytes())}
    # Pillow cuts off 16 bits of grey at 255; here the upper eight are taken, as of colours.
    deep = random.integers(0, 1 << 16, (13, 19, 1))
    rgb = np.repeat((deep >> 8).astype(np.uint8), 3, axis=2)
    yield {"name": "png_grey_16_bits", "bytes": text(png(deep, 16, 0)), "width": 19, "height": 13,
           "rgb": text(rgb.tobytes())}


def resized(image: Image.Image, size, resample) -> Image.Image:
    """Rows first and columns then, as Pillow does up to 12; later releases turn that round for some sizes."""
    if resample != Image.Resampling.NEAREST:
        image = image.resize((size[0], image.height), resample)
    return image.resize(size, resample)


def resized_cases():
    image = picture(41, 29, 3)
    for name, resample in FILTERS.items():
        for size in ((13, 9), (53, 37), (41, 11), (17, 29), (1, 1)):
            yield {"filter": name, "width": size[0], "height": size[1],
                   "rgb": text(resized(image, size, resample).tobytes())}


# As torchvision.transforms has it: Resize, CenterCrop, ToTensor, Normalize.

def cropped(image, size, shorter, resample):
    width, height = image.size
    short, long = min(width, height), max(width, height)
    other = int(shorter * long / short)
    image = resized(image, (shorter, other) if width <= height else (other, shorter), resample)
    left = int(round((image.width - size[0]) / 2.0))
    top = int(round((image.height - size[1]) / 2.0))
    return image.crop((left, top, left + size[0], top + size[1]))


def padded(image, size, resample, border):
    ratio, wanted = image.width / image.height, size[0] / size[1]
    inner = size
    if ratio > wanted:
        inner = (size[0], round(image.height / image.width * size[0]))
    elif ratio < wanted:
        inner = (round(image.width / image.height * size[1]), size[1])
    image = resized(image, inner, resample)
    out = Image.new(image.mode, size, border if image.mode == "L" else (border,) * 3)
    out.paste(image, (round((size[0] - inner[0]) * 0.5), round((size[1] - inner[1]) * 0.5)))
    return out


def prepared_cases():
    f = np.float32
    mean, std = f([0.485, 0.456, 0.406]), f([0.229, 0.224, 0.225])
    clip_mean = f([0.48145466, 0.4578275, 0.40821073])
    clip_std = f([0.26862954, 0.26130258, 0.27577711])
    bilinear, bicubic, nearest = FILTERS["bilinear"], FILTERS["bicubic"], FILTERS["nearest"]
    for shape, image in (("wide", picture(47, 20, 4)), ("tall", picture(18, 39, 5)), ("small", picture(5, 7, 6))):
        data = encoded(image, "PNG")
        grey = image.convert("L")

        def case(name, setup, pixels, scaled, first=True):
            values = scaled(np.asarray(pixels).astype(f))
            if values.ndim == 2:
                values = values[:, :, None]
            values = values.transpose(2, 0, 1) if first else values
            assert values.dtype == f
            return {"name": f"{name}_{shape}", "bytes": text(data), "setup": setup,
                    "channels_first": first, "channels": 1 if pixels.mode == "L" else 3,
                    "values": text(np.ascontiguousarray(values).tobytes())}

        yield case("plain", {"width": 6, "height": 5}, resized(image, (6, 5), bilinear), lambda v: v / f(255))
        yield case("torchvision", {"preset": "torchvision", "width": 7, "height": 7},
                   cropped(image, (7, 7), 8, bilinear), lambda v: (v / f(255) - mean) / std)
        yield case("crop_of_16", {"preset": "torchvision", "width": 9, "height": 6, "resize": 16},
                   cropped(image, (9, 6), 16, bilinear), lambda v: (v / f(255) - mean) / std)
        yield case("clip", {"preset": "clip", "width": 8, "height": 8}, cropped(image, (8, 8), 8, bicubic),
                   lambda v: (v / f(255) - clip_mean) / clip_std)
        yield case("keras", {"preset": "keras", "width": 6, "height": 5}, resized(image, (6, 5), nearest),
                   lambda v: v[:, :, ::-1] - f([103.939, 116.779, 123.68]), first=False)
        yield case("tensorflow", {"preset": "tensorflow", "width": 6, "height": 5},
                   resized(image, (6, 5), nearest), lambda v: v / f(127.5) - f(1), first=False)
        yield case("raw", {"preset": "raw", "width": 6, "height": 5}, resized(image, (6, 5), bilinear),
                   lambda v: v, first=False)
        yield case("pad", {"width": 9, "height": 8, "fit": "pad", "border": 114},
                   padded(image, (9, 8), bilinear, 114), lambda v: v / f(255))
        yield case("grey", {"width": 6, "height": 5, "mean": [0.5], "std": [0.25]},
                   resized(grey, (6, 5), bilinear), lambda v: (v / f(255) - f(0.5)) / f(0.25))
        yield case("pad_grey", {"width": 9, "height": 8, "fit": "pad", "filter": "lanczos"},
                   padded(grey, (9, 8), FILTERS["lanczos"], 0), lambda v: v / f(255))


def main() -> None:
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "Tests/InferenceTests/Fixtures/images")
    folder.mkdir(parents=True, exist_ok=True)

    def write(name, value):
        (folder / name).write_text(json.dumps(value, indent=0) + "\n")

    write("decoded.json", list(decoded_cases()))
    source = picture(41, 29, 3)
    write("resized.json", {"width": 41, "height": 29, "rgb": text(source.tobytes()),
                           "cases": list(resized_cases())})
    write("prepared.json", list(prepared_cases()))


main()
