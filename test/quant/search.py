# The loss of each operator against a network in which it alone is i8, run as any other; what is written follows from the losses.
# REQUIRES: numpy
# RUN: rm -rf %t && mkdir %t && %python %s %qanat %root/docs/examples/digits %t
import json
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
from calls import call, outputs_of

qanat, digits, work = sys.argv[1:4]
digits = os.path.abspath(digits)
model = os.path.join(digits, "digits.onnx")
os.chdir(work)
SAMPLES = 4
METHODS = ["mse", "minmax", "kl"]


def outputs(*options):
    return outputs_of(model, name, samples, "logits", *options)


def loss(real, other):
    return 1 - np.mean([a @ b / np.sqrt((a @ a) * (b @ b)) for a, b in zip(real, other)])


def entries(path):
    with open(path, encoding="utf-8") as file:
        return {line.split()[0]: line.split()[1:] for line in file if line[0] != "#" and not line.startswith(("equalize:", "bias:"))}


with np.load(os.path.join(digits, "test.npz")) as test:
    name = next(k for k in test.files if k != "labels")
    samples = test[name][:SAMPLES].astype(np.float32)
np.savez("data.npz", **{name: samples})
common = ["--data", "data.npz", "--equalize", "none", "--bias-correction", "on"]
search = ["search", model, *common, "--json"]
found = json.loads(call(*search, "--expected-cos", "1", "--methods", ",".join(METHODS), "--max-float-layers", "3", "-o", "all"))
ops = found["ops"]
assert len(ops) >= 12, [op["name"] for op in ops]
for method in METHODS:
    call("calibrate", model, *common, "--method", method, "-o", method)
real = outputs()
assert abs(1 - found["cosine"] - loss(real, outputs("--quantize", "i8", "--calibration", "mse"))) < 1e-6
names = list(entries("mse"))
layers = json.loads(call("compare", model, "--data", "data.npz", "--calibration", "mse", "--json"))["layers"]
unrounded = {layer["name"] for layer in layers if layer["precision"] == "i32"}
assert len(unrounded) >= 2, unrounded
for op in ops[::3]:
    with open("qtable", "w", encoding="utf-8") as file:
        file.write("".join(f"{other} f32\n" for other in names if other not in (op["name"], name)))
    sums = [] if op["name"] in unrounded else ["--sums", "none"] # before float operators there would be some
    for method in METHODS:
        expected = loss(real, outputs("--quantize", "i8", "--calibration", method, "--qtable", "qtable", *sums))
        assert expected > 0 and abs(op["loss"][method] - expected) < 1e-6 + 1e-3 * expected, (op, method, expected)

# The best method of each, the worst operators first.
best = [min(op["loss"].values()) for op in ops]
assert all(op["loss"][op["best"]] == low for op, low in zip(ops, best)) and best == sorted(best, reverse=True)
assert len({op["best"] for op in ops}) > 1
tables = {method: entries(method) for method in METHODS}
tuned, chosen = entries("all.table"), {op["name"]: op["best"] for op in ops}
for tensor, numbers in tuned.items():
    assert numbers == tables[chosen.get(tensor, "mse")][tensor], tensor
assert [tensor for tensor in entries("all.qtable")] == [op["name"] for op in ops[:3]]
# Both tables are what the other subcommands read.
call("run", model, "--input", "one.npz", "--quantize", "i8", "--calibration", "all.table", "--qtable", "all.qtable", "-o", "out.npz")

# The same files for any number of threads.
for threads in ("1", "3"):
    call(*search, "--expected-cos", "1", "--threads", threads, "--max-float-layers", "3", "-o", "again")
    for ending in (".table", ".qtable"):
        with open("all" + ending, encoding="utf-8") as a, open("again" + ending, encoding="utf-8") as b:
            assert a.read() == b.read()

# Reached already: nothing to search, no operator in float.
at_once = json.loads(call(*search, "--expected-cos", "0.9", "-o", "done"))
assert at_once["ops"] == [] and at_once["cosine"] == found["cosine"]
assert entries("done.table") == tables["mse"] and entries("done.qtable") == {}

for options, text in ((["--methods", "mse,best"], "unknown method 'best'"), (["--methods", "mse,mse"], "'mse' stands twice"),
                      (["--expected-cos", "2"], "expected a number from 0 to 1, found '2'"), (["--methods", ""], "expected names")):
    assert text in call(*search, *options, status=2), options

# Infinity is no cosine.
samples[1].flat[0] = np.inf
np.savez("infinite.npz", **{name: samples})
assert "computes NaN or infinity in tensor" in call("search", model, "--calibrate-on", "data.npz", "--data", "infinite.npz", status=1)
