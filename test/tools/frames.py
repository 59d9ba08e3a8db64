# RUN: %python %s %qanat %root %t
# REQUIRES: numpy, gcc
"""Preprocessing in the model: a network that gives back its input gives Pillow's bytes, recorded in Inputs/frames.npz, by every
route; and an int8 network that takes frames gives what it gives where the host prepares the image.

    frames.py --record     # with Pillow: writes Inputs/frames.npz
"""
import os
import shutil
import subprocess
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
RECORDED = os.path.join(HERE, "Inputs", "frames.npz")
HEIGHT, WIDTH = 33, 47

# name: preprocessing, height x width x channels of the result, what Pillow does
CASES = {
    "shrunk": ("resize=12x9", (9, 12, 3), [("resize", (12, 9))]),
    "enlarged": ("resize=60x50", (50, 60, 3), [("resize", (60, 50))]),
    "wider": ("resize=94x33", (33, 94, 3), [("resize", (94, 33))]),
    "middle": ("resize=20,crop=16", (16, 16, 3), [("resize", (28, 20)), ("crop", (6, 2, 22, 18))]),
    "cut": ("crop=16x12", (12, 16, 3), [("crop", (16, 10, 32, 22))]),
    "right": ("rotate=90,resize=12x9", (9, 12, 3), [("turn", "ROTATE_270"), ("resize", (12, 9))]),
    "left": ("rotate=270,flip=vertical,resize=12x9", (9, 12, 3),
             [("turn", "ROTATE_90"), ("turn", "FLIP_TOP_BOTTOM"), ("resize", (12, 9))]),
    "around": ("rotate=180,resize=13x10", (10, 13, 3), [("turn", "ROTATE_180"), ("resize", (13, 10))]),
    "placed": ("resize=28x20,crop=16x12+9+8", (12, 16, 3), [("resize", (28, 20)), ("crop", (9, 8, 25, 20))]),
    "mirrored": ("flip=horizontal,crop=20", (20, 20, 3), [("turn", "FLIP_LEFT_RIGHT"), ("crop", (14, 6, 34, 26))]),
    "nearest": ("resize=12x9,filter=nearest", (9, 12, 3), [("nearest", (12, 9))]),
    "blocks": ("resize=61x50,filter=nearest", (50, 61, 3), [("nearest", (61, 50))]),
    "box": ("resize=12x9,filter=box", (9, 12, 3), [("BOX", (12, 9))]),
    "hamming": ("resize=12x9,filter=hamming", (9, 12, 3), [("HAMMING", (12, 9))]),
    "bicubic": ("resize=13x40,filter=bicubic", (40, 13, 3), [("BICUBIC", (13, 40))]),
    "lanczos": ("resize=12x9,filter=lanczos", (9, 12, 3), [("LANCZOS", (12, 9))]),
    "sharper": ("resize=94x70,filter=lanczos", (70, 94, 3), [("LANCZOS", (94, 70))]),
    "blue": ("resize=12x9,color=bgr", (9, 12, 3), [("resize", (12, 9)), ("bgr", None)]),
    "gray": ("resize=12x9,color=gray", (9, 12, 1), [("gray", None), ("resize", (12, 9))]),
    "darker": ("rotate=90,color=gray,crop=20", (20, 20, 1), [("gray", None), ("turn", "ROTATE_270"), ("crop", (6, 14, 26, 34))]),
}


def frame():
    """Edges, ramps and noise, from integers only."""
    y, x, c = np.mgrid[0:HEIGHT, 0:WIDTH, 0:3]
    noise = ((y * 7919 + x * 104729 + c * 1299709) * 40503 % 65536) >> 8
    ramp = (x * 5 + y * 3 + c * 40) % 256
    return np.where((x // 6 + y // 5) % 2 == 0, noise, ramp).astype(np.uint8)


def record():
    from PIL import Image

    arrays = {}
    for name, (_, shape, steps) in CASES.items():
        image = Image.fromarray(frame())
        for step, value in steps:
            if step in ("resize", "nearest"):
                image = image.resize(value, Image.BILINEAR if step == "resize" else Image.NEAREST)
            elif step in ("BOX", "HAMMING", "BICUBIC", "LANCZOS"):
                image = image.resize(value, getattr(Image, step))
            elif step == "crop":
                image = image.crop(value)
            elif step == "turn":
                image = image.transpose(getattr(Image.Transpose, value))
            elif step == "gray":
                image = image.convert("L")
            else:
                image = Image.fromarray(np.array(image)[..., ::-1])
        arrays[name] = np.array(image).reshape(shape)
    np.savez_compressed(RECORDED, **arrays)


def qanat(*arguments, fails=False):
    done = subprocess.run([QANAT, *arguments], capture_output=True, text=True)
    assert (done.returncode == 1) == fails and done.returncode < 2, (arguments, done.stderr)
    return done.stderr


def outputs(model, frames, *options):
    path = os.path.join(OUT, "y.npz")
    qanat("run", model, "--input", frames, "-o", path, *options)
    with np.load(path) as file:
        return file[file.files[0]]


def frames_of(image):
    """The same frame in every format, with what --frame says of it."""
    four = np.concatenate([image, image[..., :1]], -1)
    for name, pixels in (("rgb8", image), ("bgr8", image[..., ::-1]), ("rgba8", four), ("bgra8", four[..., [2, 1, 0, 3]])):
        path = os.path.join(OUT, name + ".npy")
        np.save(path, np.ascontiguousarray(pixels[None]))
        yield path, f"{name}:{image.shape[0]}x{image.shape[1]}"


def check_recorded():
    with np.load(RECORDED) as recorded:
        assert sorted(recorded.files) == sorted(CASES)
        for name, (spec, shape, _) in CASES.items():
            model = os.path.join(OUT, "same.qir")
            with open(model, "w") as file:
                dims = "x".join(map(str, shape))
                file.write(f"func @main(%x: tensor<1x{dims}xu8>) -> tensor<1x{dims}xu8> {{\n  return %x\n}}\n")
            for number, (path, told) in enumerate(frames_of(frame())):
                routes = ["process", "interp"] + (["llvm", "c"] if name in ("middle", "left", "gray") and not number else [])
                for via in routes:
                    got = outputs(model, path, "--frame", told, "--preprocess", spec + ",layout=nhwc", "--via", via)
                    assert np.array_equal(got[0], recorded[name]), (name, told, via)


def check_network():
    """Calibrated on images that the host prepares; then frames."""
    digits = os.path.join(ROOT, "docs", "examples", "digits")
    model, table = os.path.join(digits, "digits.onnx"), os.path.join(OUT, "table.txt")
    spec = ["--preprocess", "rotate=90,resize=10,crop=8,color=gray,mean=10,std=255"]
    qanat("calibrate", model, "--data", os.path.join(digits, "calibration"), *spec, "-o", table)
    image = os.path.join(digits, "images", sorted(os.listdir(os.path.join(digits, "images")))[0])
    for precision in (["--quantize", "i8", "--calibration", table], ["--quantize", "none"]):
        expected = outputs(model, image, *spec, *precision)
        for via in ("process", "interp", "llvm", "c"):
            got = outputs(model, image, "--frame", "gray8:8x8", "--via", via, *spec, *precision)
            if precision[1] == "i8":
                assert np.array_equal(got, expected), via
            else:
                assert np.allclose(got, expected, rtol=1e-5, atol=1e-5), via
    carried = os.path.join(OUT, "carried.qir")
    qanat("import", model, "--frame", "gray8:8x8", *spec, "-o", carried)
    i8 = ["--quantize", "i8", "--calibration", table]
    assert np.array_equal(outputs(carried, image, *i8), outputs(model, image, *spec, *i8))
    message = qanat("run", model, "--input", image, "--frame", "gray8:10x8", *spec, fails=True)
    assert "the image has 8 x 8 pixels, the input takes 8 x 10" in message, message


if sys.argv[1] == "--record":
    record()
else:
    QANAT, ROOT, OUT = sys.argv[1:]
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)
    check_recorded()
    check_network()
