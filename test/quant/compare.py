# Each tensor's figures against numpy on what `run --dump-all` writes; the own error of an operator is all there is where
# everything else stays float.
# REQUIRES: numpy
# RUN: rm -rf %t && mkdir %t && %python %s %qanat %root/docs/examples/digits %t
import json
import os
import subprocess
import sys

import numpy as np

qanat, digits, work = sys.argv[1:4]
digits = os.path.abspath(digits)
model = os.path.join(digits, "digits.onnx")
os.chdir(work)
SAMPLES = 3


def call(*arguments):
    return subprocess.run([qanat, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def compared(*options):
    text = call("compare", model, "--data", "data.npz", "--calibration", "table", "--json", *options)
    layers = json.loads(text)["layers"]
    return {layer["name"]: layer for layer in layers}


def close(a, b):
    return abs(a - b) <= 1e-6 * max(1, abs(a), abs(b))


with np.load(os.path.join(digits, "test.npz")) as test:
    name = next(k for k in test.files if k != "labels")
    samples = test[name][:SAMPLES].astype(np.float32)
np.savez("data.npz", **{name: samples})
call("calibrate", model, "--data", os.path.join(digits, "calibration"), "--preprocess", "color=gray,mean=0,std=255", "--equalize", "none",
     "--bias-correction", "off", "--method", "mse", "-o", "table")
ranges = {}
with open("table", encoding="utf-8") as file:
    for line in file:
        if line[0] != "#":
            words = line.split()
            ranges[words[0]] = [float(np.float32(word)) for word in words[1:]] # as the compiler reads them
# Everything in i8 writes what it dumps with integers; --dump-all names the same tensors in both precisions.
real, quantized = [], []
for i in range(SAMPLES):
    np.savez("one.npz", **{name: samples[i:i + 1]})
    for options, to in (((), real), (("--quantize", "i8", "--calibration", "table"), quantized)):
        call("run", model, "--input", "one.npz", "--dump-all", "-o", "dump.npz", *options)
        with np.load("dump.npz") as dump:
            to.append({k: dump[k] for k in dump.files})
layers = compared()
assert len(layers) > 10, layers.keys()
checked = 0
for tensor, layer in layers.items():
    stored = [k for k in (tensor, tensor + "_i8") if k in quantized[0] and quantized[0][k].dtype == np.int8]
    if not stored or tensor not in real[0]:
        continue # a sum behind a convolution has no tensor of its own in the program that is dumped
    threshold, least, most = ranges[tensor]
    low, high = min(max(least, -threshold), 0), max(min(most, threshold), 0)
    scale = np.float64(np.float32((high - low) / 255))
    zero = np.rint(-128 - low / scale)
    r = np.stack([one[tensor] for one in real]).astype(np.float64)
    q = np.stack([one[stored[0]] for one in quantized]).astype(np.float64)
    v = (q - zero) * scale
    e = v - r
    assert close(layer["cosine"], (r * v).sum() / np.sqrt((r ** 2).sum() * (v ** 2).sum())), tensor
    assert close(layer["sqnr_db"], 10 * np.log10((r ** 2).sum() / (e ** 2).sum())), tensor
    assert close(layer["max_error"], np.abs(e).max()), tensor
    beyond = (r < (-128.5 - zero) * scale) | (r > (127.5 - zero) * scale)
    assert close(layer["saturated"], beyond.mean()), (tensor, layer["saturated"], beyond.mean())
    assert close(layer["used"], (q.max() - q.min() + 1) / 256), tensor
    checked += 1
assert checked >= 8, checked
assert any(layer["saturated"] for layer in layers.values())

# Alone in i8, the rest float: its error is its own.
alone = summed = 0
for tensor, layer in layers.items():
    if layer["own_sqnr_db"] is None or layer["precision"] == "f32":
        continue
    sums = ["--sums", "none"] if layer["precision"] == "i8" else [] # before float operators there would be some
    with open("qtable", "w", encoding="utf-8") as file:
        file.write("".join(f"{other} f32\n" for other in layers if other not in (tensor, name)))
    only = compared("--qtable", "qtable", *sums)[tensor]
    assert close(only["sqnr_db"], layer["own_sqnr_db"]) and close(only["own_share"], 1), (tensor, only, layer)
    alone += 1
    summed += layer["precision"] == "i32"
assert summed >= 2, summed # residuals and the output
assert alone >= 8, alone
assert sum(layer["own_share"] < 0.5 for layer in layers.values() if layer["own_share"]) >= 4 # most is inherited

# Any number of threads, the same text.
texts = {call("compare", model, "--data", "data.npz", "--calibration", "table", "--threads", n) for n in ("1", "2", "3")}
assert len(texts) == 1

# With everything in float there is nothing to compare, and it says so.
with open("float.qtable", "w", encoding="utf-8") as file:
    file.writelines(f"{tensor} f32\n" for tensor in layers if tensor not in ("image", "stem.conv_reshape"))
text = call("compare", model, "--data", "data.npz", "--calibration", "table", "--qtable", "float.qtable")
assert "\nnothing to compare: no float operator of this network has an i8 form" in text, text

# A network that computes infinity is not compared as if nothing were wrong.
samples[1].flat[0] = np.inf
np.savez("data.npz", **{name: samples})
done = subprocess.run([qanat, "compare", model, "--data", "data.npz", "--calibration", "table"], capture_output=True, text=True, check=False)
assert done.returncode == 1 and "computes NaN or infinity in tensor" in done.stderr and not done.stdout, done
