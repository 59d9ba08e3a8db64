# Factors of channels against the same formulas in numpy; what a network loses whose channels have wild ranges, and gets back.
# REQUIRES: onnx, onnxruntime, numpy
# RUN: rm -rf %t && mkdir %t && %python %s %qanat %t
import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

qanat, work = sys.argv[1:3]
os.chdir(work)
random = np.random.default_rng(5)
CHANNELS = 16


def weights(*shape):
    return (random.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


# stem -> relu -> [expand -> relu -> depthwise -> relu -> project] + skip -> mean -> linear
W = {"stem": weights(CHANNELS, 3, 3, 3), "expand": weights(2 * CHANNELS, CHANNELS, 1, 1), "deep": weights(2 * CHANNELS, 1, 3, 3),
     "project": weights(CHANNELS, 2 * CHANNELS, 1, 1), "head": weights(10, CHANNELS)}
B = {name: random.uniform(0, 0.5, w.shape[0]).astype(np.float32) for name, w in W.items()}
W["expand"][5] = 0 # a channel that is always 0: its factor is 1
B["expand"][5] = 0
B["deep"][5] = -1 # and so is what is made of it, but a convolution of several channels reads that


def save(path, w, b):
    def conv(name, source, to, **attributes):
        return helper.make_node("Conv", [source, name + "_w", name + "_b"], [to], **attributes)

    pad = {"pads": [1, 1, 1, 1]}
    nodes = [conv("stem", "x", "s0", **pad), helper.make_node("Relu", ["s0"], ["s"]),
             conv("expand", "s", "e0"), helper.make_node("Relu", ["e0"], ["e"]),
             conv("deep", "e", "d0", group=2 * CHANNELS, **pad), helper.make_node("Relu", ["d0"], ["d"]),
             conv("project", "d", "p"), helper.make_node("Add", ["s", "p"], ["sum"]),
             helper.make_node("GlobalAveragePool", ["sum"], ["gap"]), helper.make_node("Flatten", ["gap"], ["flat"]),
             helper.make_node("Gemm", ["flat", "head_w", "head_b"], ["y"], transB=1)]
    constants = [numpy_helper.from_array(np.ascontiguousarray(a, np.float32), n + k) for k, t in (("_w", w), ("_b", b)) for n, a in t.items()]
    graph = helper.make_graph(nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 12, 12])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def tensors(path, x):
    model = onnx.load(path)
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("s", "e", "d", "sum", "p", "y"))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    results = [session.run(None, {"x": row[None]}) for row in x]
    return {o.name: np.concatenate([r[i] for r in results]) for i, o in enumerate(session.get_outputs())}


def calibrate(path, equalize):
    subprocess.run([qanat, "calibrate", path, "--data", "data.npz", "--method", "minmax", "--equalize", equalize, "-o", "table"], check=True)
    with open("table", encoding="utf-8") as file:
        lines = [line.split() for line in file if line.startswith("equalize:")]
    return {line[1]: np.array(line[2:], np.float64) for line in lines}


def int8(path, x):
    rows = []
    for row in x:
        np.savez("row.npz", x=row[None])
        subprocess.run([qanat, "run", path, "--quantize", "i8", "--calibration", "table", "--input", "row.npz", "-o", "out.npz"],
                       check=True, stdout=subprocess.DEVNULL)
        rows.append(np.load("out.npz")["y"])
    return np.concatenate(rows)


def decibels(real, quantized):
    return 10 * np.log10((real.astype(np.float64) ** 2).sum() / ((quantized.astype(np.float64) - real) ** 2).sum())


def share(w, ranges):
    """Root mean square of each column, where a row counts as a share of what it gives when every channel has its largest magnitude."""
    w = w.astype(np.float64)
    rows = (w * ranges.reshape((1, -1) + (1,) * (w.ndim - 2))) ** 2
    w = w / np.sqrt(rows.sum(tuple(range(1, w.ndim)), keepdims=True))
    return np.sqrt((w ** 2).mean(tuple(i for i in range(w.ndim) if i != 1)))


data = random.standard_normal((20, 3, 12, 12)).astype(np.float32)
np.savez("data.npz", x=data)
save("plain.onnx", W, B)
seen = tensors("plain.onnx", data)
ranges = {n: np.abs(v).max((0, 2, 3)).astype(np.float64) for n, v in seen.items() if v.ndim == 4}
# The skip joins the stem's result, the projection's and their sum.
stream = np.maximum(np.maximum(ranges["s"], ranges["p"]), ranges["sum"])
live = [o for o in range(2 * CHANNELS) if o != 5] # a row of zeros gives nothing, and counts as such
columns = share(W["expand"][live], stream) * np.sqrt(len(live) / (2 * CHANNELS)) + share(W["head"], stream)
sizes = {"d": share(W["project"], ranges["d"])}

expected = {
    "range": {"s": np.sqrt(stream.max() / stream), "e": ranges["e"].max() / np.maximum(ranges["e"], 1e-9), "d": np.sqrt(ranges["d"].max() / np.maximum(ranges["d"], 1e-9))},
    "cross": {"s": np.sqrt(columns / stream), "e": ranges["e"].max() / np.maximum(ranges["e"], 1e-9), "d": np.sqrt(sizes["d"] / np.maximum(ranges["d"], 1e-9))}}
spans = {"s": stream, "e": ranges["e"], "d": ranges["d"]}
for kind, by_name in expected.items():
    found = calibrate("plain.onnx", kind)
    assert sorted(found) == ["d", "e", "s"], found.keys()
    for name, factors in by_name.items():
        alive = spans[name] > 0
        factors[~alive] = 0
        silent = kind == "cross" and name in sizes # its column is then as large as the others on average
        if silent:
            factors[~alive] = sizes[name][~alive] / (sizes[name] / np.where(alive, factors, np.inf))[alive].mean()
        assert (~alive).sum() == (name != "s")
        factors = np.where(alive | silent, factors * spans[name].max() / (factors * spans[name]).max(), 1) # the tensor's range stays
        assert np.allclose(found[name], factors, rtol=0.006), (kind, name, found[name] / factors) # three digits
assert calibrate("plain.onnx", "none") == {}

# The same network with each channel of its inner tensors times a random factor up to 1000.
wild_w, wild_b = {n: w.astype(np.float64) for n, w in W.items()}, {n: b.astype(np.float64) for n, b in B.items()}
for makers, readers, count in ((("stem", "project"), ("expand", "head"), CHANNELS), (("expand",), ("deep",), 2 * CHANNELS),
                               (("deep",), ("project",), 2 * CHANNELS)):
    scale = 10 ** random.uniform(0, 3, count)
    for name in makers:
        wild_w[name] = wild_w[name] * scale.reshape((-1,) + (1,) * (wild_w[name].ndim - 1))
        wild_b[name] = wild_b[name] * scale
    for name in readers:
        shape = (-1, 1, 1, 1) if name == "deep" else (1, -1) + (1,) * (wild_w[name].ndim - 2)
        wild_w[name] = wild_w[name] / scale.reshape(shape)
save("wild.onnx", wild_w, wild_b)
fresh = random.standard_normal((12, 3, 12, 12)).astype(np.float32)
real = tensors("plain.onnx", fresh)["y"]
assert decibels(real, tensors("wild.onnx", fresh)["y"]) > 80
calibrate("plain.onnx", "none")
plain = decibels(real, int8("plain.onnx", fresh))
calibrate("wild.onnx", "none")
lost = decibels(real, int8("wild.onnx", fresh))
factors = calibrate("wild.onnx", "auto")
back = decibels(real, int8("wild.onnx", fresh))
print(f"int8: {plain:.1f} dB; wild {lost:.1f} dB; equalized {back:.1f} dB")
assert factors and lost < plain - 10 and back > plain - 1, (plain, lost, back)

# Tables carry the factors: the same object as with --calibrate-on. Any number of threads, any order of samples: one table.
with open("table", encoding="utf-8") as file:
    table = file.read()
common = ["--target", "x86-64", "--name", "net"]
subprocess.run([qanat, "compile", "wild.onnx", *common, "--calibration", "table", "-o", "a.o"], check=True)
subprocess.run([qanat, "compile", "wild.onnx", *common, "--method", "minmax", "--calibrate-on", "data.npz", "-o", "b.o"], check=True)
with open("a.o", "rb") as a, open("b.o", "rb") as b:
    assert a.read() == b.read()
for threads in ("1", "3"):
    subprocess.run([qanat, "calibrate", "wild.onnx", "--data", "data.npz", "--method", "minmax", "--threads", threads, "-o", "again"], check=True)
    with open("again", encoding="utf-8") as file:
        assert file.read() == table
os.mkdir("rows")
for i, row in enumerate(np.concatenate([data, 2 * data])): # more than are looked at
    np.save(f"rows/{i:02}.npy", row[None])
for order in (1, -1):
    with open("list.txt", "w", encoding="utf-8") as file:
        file.write("".join(f"rows/{i:02}.npy\n" for i in range(40)[::order]))
    subprocess.run([qanat, "calibrate", "wild.onnx", "--data", "list.txt", "-o", f"order{order}"], check=True)
with open("order1", encoding="utf-8") as a, open("order-1", encoding="utf-8") as b:
    assert a.read() == b.read()
