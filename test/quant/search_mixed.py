# Mixed precision finds the two tensors that were made hard for i8, and keeps in float what makes and reads them, and no more; budgets are kept;
# any number of threads gives the same files; networks in which there is nothing to search.
# REQUIRES: numpy, onnx
# RUN: rm -rf %t && mkdir %t && %python %s %qanat %root %t
import json
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
from calls import call, outputs_of

qanat, root, work = sys.argv[1:4]
root = os.path.abspath(root)
os.chdir(work)
rng = np.random.default_rng(7)
SHAPE = [1, 8, 12, 12]


def save(path, nodes, constants, inputs, outputs):
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info(n, t, s) for n, t, s in inputs],
                              [helper.make_tensor_value_info(n, t, s) for n, t, s in outputs],
                              [numpy_helper.from_array(v, k) for k, v in constants.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


# Eight convolutions. c2 and c5 make one channel a thousand times larger than the others, and what reads them undoes it. Where that is
# in float, it reads their sums.
nodes, constants = [], {}
for i in range(8):
    weight = rng.normal(0, 1 / np.sqrt(8 * 9), (8, 8, 3, 3)).astype(np.float32)
    if i in (2, 5):
        weight[0] *= 1000
    if i in (3, 6):
        weight[:, 0] /= 1000
    constants[f"w{i}"] = weight
    nodes.append(helper.make_node("Conv", [f"c{i - 1}" if i else "x", f"w{i}"], [f"c{i}"], pads=[1, 1, 1, 1]))
save("bad.onnx", nodes, constants, [("x", TensorProto.FLOAT, SHAPE)], [("c7", TensorProto.FLOAT, SHAPE)])
samples = rng.normal(0, 1, [24, *SHAPE[1:]]).astype(np.float32)
np.savez("data.npz", x=samples)
search = ["search", "bad.onnx", "--mode", "mixed", "--data", "data.npz", "--equalize", "none", "--json"]


def outputs(*options):
    return outputs_of("bad.onnx", "x", samples[:4], "c7", *options)


def cosine(a, b):
    return np.mean([x @ y / np.sqrt((x @ x) * (y @ y)) for x, y in zip(a, b)])


def files(prefix):
    return [open(f"{prefix}.{ending}", encoding="utf-8").read() for ending in ("table", "qtable", "log")]


found = json.loads(call(*search, "-o", "one", "--threads", "1"))
mixed = found["mixed"]
assert mixed["reached"] and mixed["expected"] == 0.99 and mixed["start"]["cosine"] < 0.9 and mixed["final"]["cosine"] >= 0.99, mixed
assert set(mixed["ops"]) == {"c3", "c6"}, mixed
assert mixed["start"]["estimated_ns"] < mixed["final"]["estimated_ns"] < mixed["float"]["estimated_ns"]
assert [line.split()[:2] for line in files("one")[1].splitlines() if line[0] != "#"] == [[op, "f32"] for op in mixed["ops"]]
real, tables = outputs(), ["--quantize", "i8", "--calibration", "one.table"]
assert cosine(real, outputs(*tables)) < 0.95 and cosine(real, outputs(*tables, "--qtable", "one.qtable")) > 0.98
assert json.loads(call(*search, "-o", "two", "--threads", "2")) == found and files("one") == files("two")

# Less is asked for, less is kept in float; and a budget is kept, with what helps most in it.
small = json.loads(call(*search, "--expected-cos", "0.7"))["mixed"]
assert small["reached"] and len(small["ops"]) < 4 and 0.7 <= small["final"]["cosine"] < 0.99, small
whole = mixed["final"]["estimated_ns"] / mixed["tuned"]["estimated_ns"]
half = 50 * (whole - 1)
budget = json.loads(call(*search, "--max-slowdown", str(half), "-o", "one", "--threads", "1"))["mixed"]
assert 0 < len(budget["ops"]) < 8 and budget["final"]["estimated_ns"] <= budget["tuned"]["estimated_ns"] * (1 + half / 100) + 1, budget
assert budget["tuned"]["cosine"] < budget["final"]["cosine"]
call(*search, "--max-slowdown", str(half), "-o", "two", "--threads", "2")
assert files("one") == files("two")
bytes_ = budget["tuned"]["weights_bytes"]
none = json.loads(call(*search, "--expected-cos", "0.99", "--max-bytes", str(bytes_)))["mixed"]
assert not none["reached"] and none["final"]["weights_bytes"] <= bytes_, none
assert "NOT reached" in call(*search[:-1], "--expected-cos", "0.99", "--max-bytes", str(bytes_))
both = json.loads(call(*search, "--expected-cos", "0.99", "--max-slowdown", "1000"))["mixed"]
assert both["reached"] and set(both["ops"]) == {"c3", "c6"}, both
by_loss = json.loads(call(*search, "--loss", "sqnr", "--expected-loss", "0.01"))["mixed"]
assert by_loss["reached"] and by_loss["final"]["loss"] <= 0.01 < by_loss["start"]["loss"], by_loss

# A budget that both ends of the one bad tensor fit into. Several moves put the same two operators into float: each network is scored once.
constants["w2"][0] /= 1000
constants["w3"][:, 0] *= 1000
save("one_bad.onnx", nodes, constants, [("x", TensorProto.FLOAT, SHAPE)], [("c7", TensorProto.FLOAT, SHAPE)])
fitting = json.loads(call("search", "one_bad.onnx", *search[2:], "--max-slowdown", "100", "-o", "fitting"))["mixed"]
assert "c6" in fitting["ops"] and fitting["final"]["cosine"] > 0.99, fitting
for line in files("fitting")[2].split("# networks")[1].splitlines()[1:]:
    assert all(float(share) <= 1 for share in line.split()[3:6]), line  # loss, cosine, agreement

# Enough already: nothing is searched.
at_once = json.loads(call(*search, "--methods", "kl", "--expected-cos", "0.5"))
assert at_once["ops"] == [] and at_once["mixed"]["ops"] == [] and at_once["mixed"]["reached"]

# A cosine of 0.999 without being asked for: nothing is searched either.
easy = ["search", os.path.join(root, "docs/examples/digits/digits.onnx"), "--mode", "mixed", "--data", os.path.join(root, "docs/examples/digits/calibration"),
        "--preprocess", "color=gray,mean=0,std=255", "--limit", "20"]
found = json.loads(call(*easy, "--json"))
assert found["ops"] == [] and found["mixed"]["expected"] == 0.999 and found["mixed"]["reached"] and found["mixed"]["trials"] <= 3, found
assert call(*easy).count("i8, table mse") <= 1

# Labels: top-1 as float has it. The labels are the float network's classes, all but one.
digits = os.path.join(root, "docs/examples/digits")
labelled = ["search", os.path.join(digits, "digits.onnx"), "--mode", "mixed", "--data", os.path.join(digits, "test.npz"), "--limit", "40", "--calibrate-on",
            os.path.join(digits, "calibration"), "--calibrate-preprocess", "color=gray,mean=0,std=255", "--json"]
scores = json.loads(call(*labelled, "--expected-top1-loss", "0"))["mixed"]
assert scores["reached"] and scores["final"]["top1"] >= scores["float"]["top1"] > 0.5, scores
assert "has no label" in call(*search, "--expected-top1-loss", "1", status=1)

# Nothing that i8 has a form of; nothing but integers; weights that are no numbers; no samples.
save("noi8.onnx", [helper.make_node("LogSoftmax", ["x"], ["y"], axis=-1)], {}, [("x", TensorProto.FLOAT, [1, 10])], [("y", TensorProto.FLOAT, [1, 10])])
np.savez("ten.npz", x=rng.normal(0, 1, (3, 10)).astype(np.float32))
for mode in ("sensitive", "mixed"):
    empty = json.loads(call("search", "noi8.onnx", "--mode", mode, "--data", "ten.npz", "--json", "-o", "none"))
    assert empty["ops"] == [] and empty["cosine"] > 1 - 1e-9, empty
save("integers.onnx", [helper.make_node("Add", ["x", "x"], ["y"])], {}, [("x", TensorProto.INT32, [1, 10])], [("y", TensorProto.INT32, [1, 10])])
np.savez("integers.npz", x=np.arange(30, dtype=np.int32).reshape(3, 10))
for mode in ("sensitive", "mixed"):
    assert json.loads(call("search", "integers.onnx", "--mode", mode, "--data", "integers.npz", "--json"))["ops"] == []
# Zero in i8 is divided by while the division is still float: that is a bad candidate, and no end of the search.
save("inverse.onnx", [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Reciprocal", ["r"], ["y"])], {}, [("x", TensorProto.FLOAT, [1, 32])],
     [("y", TensorProto.FLOAT, [1, 32])])
np.savez("positive.npz", x=np.abs(rng.normal(0, 1, (12, 32))).astype(np.float32) + 1e-3)
inverse = json.loads(call("search", "inverse.onnx", "--mode", "mixed", "--data", "positive.npz", "--json"))["mixed"]
assert 0 <= inverse["final"]["cosine"] <= 1 + 1e-9 and inverse["final"]["cosine"] >= inverse["start"]["cosine"], inverse
constants["w4"] = np.full_like(constants["w4"], np.nan)
save("nan.onnx", nodes, constants, [("x", TensorProto.FLOAT, SHAPE)], [("c7", TensorProto.FLOAT, SHAPE)])
os.mkdir("nothing")
for options, status, text in ((["nan.onnx", "--data", "data.npz"], 1, "error"), (["bad.onnx", "--data", "nothing"], 1, "nothing"),
                              (["bad.onnx", "--data", "data.npz", "--limit", "0"], 2, "expected 1 or more"),
                              (["bad.onnx", "--data", "data.npz", "--max-slowdown", "-1"], 2, "expected a number from 0"),
                              (["bad.onnx", "--data", "data.npz", "--max-float-layers", "1"], 2, "exclude")):
    assert text in call("search", "--mode", "mixed", *options, status=status), options
assert "would replace the table of that name" in call("search", "bad.onnx", "--data", "data.npz", "--tables", "a=one.table", "-o", "one", status=2)

# What a table's header says of its method is text of others: no control characters get to a terminal, and a name with a blank stays a word of the log.
with open("one.table", encoding="utf-8") as file, open("strange.table", "w", encoding="utf-8") as out:
    out.write("# method: \x1b[31mred two\n" + "".join(line for line in file if not line.startswith("# method")))
assert "\x1b" not in call("search", "bad.onnx", "--data", "data.npz", "--tables", "strange.table", "--expected-cos", "1", "-o", "shown")
assert all(line.split('"')[1].endswith("red two") for line in files("shown")[2].splitlines() if line[0] != "#")
assert "need --mode mixed" in call("search", "bad.onnx", "--mode", "sensitive", "--data", "data.npz", "--max-slowdown", "1", status=2)
