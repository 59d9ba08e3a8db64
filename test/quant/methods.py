# Thresholds against the same definitions in numpy, on all values instead of a histogram; some as literal numbers; and a
# method of a user's own.
# REQUIRES: onnx, numpy, gcc
# RUN: rm -rf %t && mkdir %t && %gcc -shared -fPIC -I %root/quant %root/docs/examples/method/sigma.c -o %t/libsigma.so -lm
# RUN: %python %s %qanat %t
import os
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper

qanat, work = sys.argv[1:3]
os.chdir(work)
random = np.random.default_rng(11)
SHAPE = (1, 50, 100)
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
                          [helper.make_tensor_value_info("y", TensorProto.FLOAT, SHAPE)])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), "net.onnx")

# ---- each takes all values, samples first, and the place of the tensor of two


def percentile(x, _):
    return np.percentile(np.abs(x), 99.99)


def half(x, _):
    return np.percentile(np.abs(x), 50)


def octav(x, _):
    u = 1 if x.min() < 0 else 4
    a = np.abs(x)
    s = a[a > 0].mean()
    for _ in range(200):
        s = a[a > s].sum() / ((a <= s).sum() / (3 * 4 ** 8 * u) + (a > s).sum())
    return s


def aciq(x, _):
    if x.min() < 0:
        return abs(x.mean()) + 9.89675982 * np.abs(x - x.mean()).mean()
    return 11.16268502 * x.mean()


def ema(x, _):
    low, high = x[0].min(), x[0].max()
    for sample in x[1:]:
        low += 0.01 * (sample.min() - low)
        high += 0.01 * (sample.max() - high)
    return max(-low, high), low, high


def sliding(x, index):
    p = 99.99 + (99.999999 - 99.99) / 2 * index
    low, high = np.percentile(x, 100 - p), np.percentile(x, p)
    return max(abs(low), abs(high)), low, high


def sigma(x, _):
    low, high = max(x.min(), x.mean() - 4 * x.std()), min(x.max(), x.mean() + 4 * x.std())
    return max(abs(low), abs(high)), low, high


def histogram(x):
    a = np.abs(x[x != 0])
    return np.bincount(np.minimum((a / a.max() * 2048).astype(int), 2047), minlength=2048).astype(float), a.max()


def kl(x, _):
    bins, largest = histogram(x)
    best = None
    for m in range(16):
        kept = 128 * (m + 1)
        p, q = bins[:kept].copy(), np.zeros(kept)
        p[-1] += bins[kept:].sum()
        for group in range(128):
            own = slice(group * (m + 1), (group + 1) * (m + 1))
            occupied = bins[own] != 0
            q[own][occupied] = bins[own].sum() / max(1, occupied.sum())
        p, q = p / p.sum(), q / q.sum()
        q[(q == 0) & (p > 0)] = 1e-4 / bins.sum()
        found = (p[p > 0] * np.log(p[p > 0] / q[p > 0])).sum()
        if best is None or found < best[0]:
            best = found, kept
    return largest / 2048 * best[1]


def kl_ncnn(x, _):
    bins, largest = histogram(x)
    bins /= bins.sum()
    best = None
    for kept in range(128, 2048):
        clipped = bins[:kept] + 1e-4
        clipped[-1] += bins[kept:].sum()
        ends = np.arange(129) * kept / 128
        # How much of each bin lies in each group: mostly all or nothing.
        groups, level = np.zeros(128), np.full(kept, 1e-4)
        below = np.concatenate([[0], np.cumsum(bins[:kept])])
        at = np.interp(ends, np.arange(kept + 1), below)
        groups = np.diff(at) / (kept / 128)
        covered = np.concatenate([[0], np.cumsum(groups * (kept / 128))])
        level += np.diff(np.interp(np.arange(kept + 1), ends, covered))
        found = (clipped * np.log(clipped / level)).sum()
        if best is None or found < best[0]:
            best = found, kept
    return (best[1] + 0.5) * largest / 2048


# ----


def table_of(path):
    with open(path, encoding="utf-8") as file:
        lines = [line.split() for line in file if line[0] != "#"]
    return {line[0]: [float(word) for word in line[1:]] for line in lines}


def found(*options):
    subprocess.run([qanat, "calibrate", "net.onnx", "--data", "data.npz", "-o", "table", *options], check=True)
    return table_of("table")


METHODS = ((percentile, ["--method", "percentile"], 1.01), (half, ["--percentile", "50"], 1.01), (octav, ["--method", "octav"], 3),
           (aciq, ["--method", "aciq"], 3), (ema, ["--method", "ema"], 0), (sliding, ["--percentile", "sliding"], 1.01),
           (sigma, ["--method", "./libsigma.so"], 1), (kl, ["--method", "kl"], 0), (kl_ncnn, ["--method", "kl-ncnn"], 0))
clipped = 0
for name, data in (("normal", random.standard_normal((20, *SHAPE[1:]))), ("laplace", random.laplace(0.3, 2, (20, *SHAPE[1:]))),
                   ("uniform", random.uniform(-3, 5, (20, *SHAPE[1:]))), ("heavy", random.standard_t(3, (20, *SHAPE[1:])))):
    x = data.astype(np.float32)
    x /= np.float32(2.0 ** np.ceil(np.log2(np.abs(x).max()) + 1e-9))  # below 1 ...
    x[3, 7, 5] = 1  # ... but for one value: bins of 1 / 2048 are two of ours exactly
    np.savez("data.npz", x=x)
    for method, options, tolerance in METHODS:
        table = found(*options)
        for index, (tensor, values) in enumerate((("x", x.astype(np.float64)), ("y", np.maximum(x, 0).astype(np.float64)))):
            expected = method(values, index)
            threshold, low, high = expected if isinstance(expected, tuple) else (expected, values.min(), values.max())
            threshold = min(threshold, np.abs(values).max())
            clipped += threshold < np.abs(values).max()
            width = 2.0 / 8192
            # Percentiles within a bin; sums over bins round each value by half a bin.
            for have, want in zip(table[tensor], (threshold, low, high)):
                assert abs(have - want) <= tolerance * width + 2e-7 * abs(want), (name, method.__name__, tensor, table[tensor], expected)
assert clipped >= 40, clipped

# Values of one sign: the integers' range holds 0 all the same. `mse` of every candidate, on all values.
spread = np.concatenate([np.linspace(4, 5, 9998), [6.5, 40]])
for values in (spread, -spread):
    np.savez("data.npz", x=values.astype(np.float32).reshape(2, 50, 100))
    thresholds = 40 * np.arange(128, 15, -1) / 128
    errors = [np.where(spread > t, (spread - t) ** 2, (t / 255) ** 2 / 12).sum() for t in thresholds]
    best = thresholds[np.argmin(errors)]
    assert best < 40
    assert found("--method", "mse")["x"] == [best, values.min(), values.max()], (best, found("--method", "mse")["x"])

# The same as literal numbers: k / 1024 occurs 1 + 3000 // (k + 40) times for k up to 500, once as 1, all with changing signs.
values = np.concatenate([np.full(1 + 3000 // (k + 40), k / 1024) for k in range(1, 501)] + [[1]])
values[:-1:2] *= -1
values = np.concatenate([values, np.zeros(10000 - len(values))]).astype(np.float32)
np.savez("data.npz", x=values.reshape(2, 50, 100))
LITERAL = {
    "minmax": {"x": [1, -0.48828125, 1], "y": [1, 0, 1]},
    "ema": {"x": [0.17242187, -0.1673047, 0.17242187], "y": [0.17242187, 0, 0.17242187]},
    "kl": {"x": [1, -0.48828125, 1], "y": [1, 0, 1]},
    "kl-ncnn": {"x": [0.56274414, -0.48828125, 1], "y": [0.56274414, 0, 1]},
    "mse": {"x": [0.984375, -0.48828125, 1], "y": [0.9921875, 0, 1]},
    "percentile": {"x": [0.4885562, -0.48828125, 1], "y": [0.48853585, 0, 1]},
    "octav": {"x": [0.95171994, -0.48828125, 1], "y": [0.98756576, 0, 1]},
    "aciq": {"x": [1, -0.48828125, 1], "y": [0.68332815, 0, 1]},
}
subprocess.run([qanat, "calibrate", "net.onnx", "--data", "data.npz", "--methods", "all", "-o", "every"], check=True)
for method, entries in LITERAL.items():
    assert table_of(f"every.{method}.table") == entries, (method, table_of(f"every.{method}.table"))

# What a library lacks or gives wrongly is said.
for text, message in (("int nothing;", "the library has no qn_method_abi; see qanat_method.h"),
                      ("const int qn_method_abi = 7; int qn_method(void) { return 0; }", "the library is for version 7 of qanat_method.h"),
                      ("const int qn_method_abi = 1; int qn_method(void) { return 5; }", "libbad.so: qn_method gave 5 for tensor 'x'"),
                      ("const int qn_method_abi = 1; int qn_method(const void *s, double *c) { c[0] = -1; return 0; }",
                       "libbad.so: qn_method gave the threshold -1 and the range [-0.488281, 1] for tensor 'x'")):
    with open("bad.c", "w", encoding="utf-8") as file:
        file.write(text)
    subprocess.run(["gcc", "-shared", "-fPIC", "bad.c", "-o", "libbad.so"], check=True)
    run = subprocess.run([qanat, "calibrate", "net.onnx", "--data", "data.npz", "--method", "libbad.so"], stderr=subprocess.PIPE, text=True, check=False)
    assert run.returncode == 1 and message in run.stderr, run.stderr
