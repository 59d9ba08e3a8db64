# What correction takes from the error of every channel's mean, for convolutions of all kinds; that it is left where other samples say so;
# the lines of the table, which are the same for any number of threads, and what reads them.
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
random = np.random.default_rng(3)
CHANNELS, SIZE, SAMPLES = 8, 12, 48

# All read x itself: strides, padding, dilations, groups; and what lies in a row. Channels and places have means of their own, which
# rounding the weights does not leave as they were.
KINDS = {"plain": ((16, 8, 1, 1), {}), "strided": ((16, 8, 3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
         "deep": ((8, 1, 3, 3), {"group": 8, "pads": [1, 1, 1, 1]}), "dilated": ((12, 4, 3, 5), {"group": 2, "dilations": [2, 1], "pads": [2, 3, 0, 1], "strides": [1, 3]})}
nodes, constants = [], []


def constant(name, values):
    constants.append(numpy_helper.from_array(values.astype(np.float32), name))
    return name


for name, (shape, attributes) in KINDS.items():
    weight = constant(name + "_w", random.standard_normal(shape))
    nodes.append(helper.make_node("Conv", ["x", weight, constant(name + "_b", random.standard_normal(shape[0]))], [name], **attributes))
nodes.append(helper.make_node("Flatten", ["x"], ["flat"]))
nodes.append(helper.make_node("Gemm", ["flat", constant("row_w", random.standard_normal((10, CHANNELS * SIZE * SIZE)))], ["row"], transB=1))
graph = helper.make_graph(nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, CHANNELS, SIZE, SIZE])],
                          [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in [*KINDS, "row"]], constants)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), "net.onnx")
means = random.integers(-90, 90, (CHANNELS, SIZE, SIZE)) // 4 + random.integers(-60, 60, (CHANNELS, 1, 1))
x = np.clip(means + random.integers(-30, 31, (SAMPLES, CHANNELS, SIZE, SIZE)), -128, 127).astype(np.float32)
x[:, 0, 0, 0], x[:, 0, 0, 1] = -128, 127 # the scale is 1: x is not rounded
np.savez("x.npz", x=x)


def call(*arguments, status=0):
    done = subprocess.run([qanat, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == status, (arguments, done.stderr)
    return done.stderr


def calibrate(to, *options, data="x.npz"):
    call("calibrate", "net.onnx", "--data", data, "--method", "minmax", "--equalize", "none", "-o", to, *options)
    with open(to, encoding="utf-8") as file:
        return [line for line in file if line.startswith("bias:")]


def shifts(table):
    """Of each output, how far the mean of each channel is off, as a root of mean squares."""
    session = onnxruntime.InferenceSession("net.onnx")
    sums = {}
    for row in x:
        np.savez("row.npz", x=row[None])
        call("run", "net.onnx", "--quantize", "i8", "--calibration", table, "--input", "row.npz", "-o", "out.npz")
        out = np.load("out.npz")
        for output, real in zip(session.get_outputs(), session.run(None, {"x": row[None]})):
            error = out[output.name].astype(np.float64) - real
            sums[output.name] = sums.get(output.name, 0) + (error.mean((0, 2, 3)) if error.ndim == 4 else error[0])
    return {name: np.sqrt(((total / SAMPLES) ** 2).mean()) for name, total in sums.items()}


assert calibrate("off", "--bias-correction", "off") == []
lines = calibrate("on", "--bias-correction", "on")
assert [len(line.split()) - 2 for line in lines] == [16, 16, 8, 12, 10], lines
assert calibrate("auto") and calibrate("again", "--threads", "1") == calibrate("other", "--threads", "2")
before, after = shifts("off"), shifts("on")
for name in before: # what is left is the rounding of results, whose mean is small
    assert after[name] < 0.3 * before[name], (name, before[name], after[name])

# What corrects the first half is wrong for the other, which judges it.
flipped = x.copy()
flipped[1::2] = -flipped[1::2]
np.savez("flipped.npz", x=flipped)
assert calibrate("none", data="flipped.npz") == [] and len(calibrate("all", "--bias-correction", "on", data="flipped.npz")) == 5

# Both ways to an object give the same.
for options, to in ((("--calibration", "on"), "a.o"), (("--calibrate-on", "x.npz", "--method", "minmax", "--equalize", "none", "--bias-correction", "on"), "b.o")):
    call("compile", "net.onnx", "--name", "net", "-o", to, *options)
with open("a.o", "rb") as a, open("b.o", "rb") as b:
    assert a.read() == b.read()

# A person's lines and comments stay.
with open("on", encoding="utf-8") as file:
    text = file.read().replace("bias: deep", "# looked at\nbias: deep").rstrip("\n") + " # the last\n# the end\n"
with open("edited", "w", encoding="utf-8") as file:
    file.write(text)
call("calibrate", "net.onnx", "--calibration", "edited", "-o", "written")
with open("written", encoding="utf-8") as file:
    assert file.read() == text

assert "the table has corrections of biases, which TPU-MLIR's form can't say" in call("calibrate", "net.onnx", "--calibration", "on", "--table-format", "tpu-mlir", "-o", "t", status=1)
assert "corrections of biases (bias:) are of one run's thresholds, and are left out" in call("calibrate", "--merge", "on", "all", "-o", "merged")
with open("merged", encoding="utf-8") as file:
    assert "bias:" not in file.read()


# What a linear layer reads may lie in an image with a border, which another layer's padding made: as it is, in rows or in one. Its
# corrections are those of the same layer by itself.
def dense(*shape):
    return str(random.standard_normal(shape).astype(np.float32).tolist())


W1, W2, CASES = dense(4, 3, 3, 2), dense(5, 3, 3, 4), (("1x6x7", 4), ("42", 4), ("1", 168))
WEIGHTS = {each: dense(6, each) for _, each in CASES}


def network(path, places, each, bordered):
    shape, out = f"tensor<{places}x{each}xf32>", f"tensor<{places}x6xf32>"
    other, image, bent = "tensor<1x6x7x5xf32>", "tensor<1x6x7x4xf32>", ", ".join(shape[7:-5].split("x"))
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"""func @main(%x: tensor<1x6x7x2xf32>) -> ({out}{", " + other if bordered else ""}) {{
%w1 = constant dense<{W1}> : tensor<4x3x3x2xf32>
%w2 = constant dense<{W2}> : tensor<5x3x3x4xf32>
%w3 = constant dense<{WEIGHTS[each]}> : tensor<6x{each}xf32>
%a = nn.conv2d %x, %w1 {{pads = [1, 1, 1, 1], activation = "relu"}} : (tensor<1x6x7x2xf32>, tensor<4x3x3x2xf32>) -> {image}
{f'%b = nn.conv2d %a, %w2 {{pads = [1, 1, 1, 1]}} : ({image}, tensor<5x3x3x4xf32>) -> {other}' if bordered else ''}
%r = nn.reshape %a {{shape = [{bent}]}} : ({image}) -> {shape}
%c = nn.linear %r, %w3 : ({shape}, tensor<6x{each}xf32>) -> {out}
return %c{", %b" if bordered else ""} : {out}{", " + other if bordered else ""}
}}
""")


np.savez("images.npz", x=random.standard_normal((40, 6, 7, 2)).astype(np.float32))
for places, each in CASES:
    found = []
    for bordered in (False, True):
        network("image.qir", places, each, bordered)
        call("calibrate", "image.qir", "--data", "images.npz", "--method", "minmax", "--equalize", "none", "--bias-correction", "on", "-o", "image.table")
        with open("image.table", encoding="utf-8") as file:
            found.append([line for line in file if line.startswith("bias: c ")])
    assert len(found[0]) == 1 and found[0] == found[1], (places, found)

# A layer that reads nothing is nothing to correct.
with open("empty.qir", "w", encoding="utf-8") as file:
    file.write("""func @main(%x: tensor<1x0xf32>) -> tensor<1x2xf32> {
%w = constant dense<[[], []]> : tensor<2x0xf32>
%y = nn.linear %x, %w : (tensor<1x0xf32>, tensor<2x0xf32>) -> tensor<1x2xf32>
return %y : tensor<1x2xf32>
}
""")
call("compile", "empty.qir", "--calibrate-on", "random", "--bias-correction", "on", "-o", "empty.o")

# What is decided by outputs is decided alike whatever sums are compiled to.
digits = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "examples", "digits")
for samples in ("4", "10"):
    model, data = os.path.join(digits, "digits.onnx"), os.path.join(digits, "test.npz")
    call("calibrate", model, "--data", data, "--limit", samples, "-o", "digits.table")
    call("compile", model, "--name", "net", "--sums", "none", "--calibration", "digits.table", "-o", "a.o")
    call("compile", model, "--name", "net", "--sums", "none", "--calibrate-on", data, "--calibrate-limit", samples, "-o", "b.o")
    with open("a.o", "rb") as a, open("b.o", "rb") as b:
        assert a.read() == b.read(), samples
