# REQUIRES: onnx, onnxruntime, numpy
# RUN: %python %s %qanat %t
"""Quantized ONNX, one operator a model, held against ONNX Runtime, which may take int8 activations as they are (its option
session.qdqisint8allowed; else it computes some of these in f32): the same bytes, but for LOOSE ones, which it computes by floats in
between: those within one quantum. Integer ops stand in place of the floats between dequantize and quantize.

Pairs (QDQ) around every operator that has an integer form, in u8 and s8, with weights of every type, zero point and axis;
operators of integers (QLinearConv, com.microsoft.QLinearAdd ...); pairs that stand elsewhere: before what moves elements,
around floats, on inputs and outputs of the model."""
import collections
import os
import re
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto as T
from onnx import helper, numpy_helper

qanat, folder = sys.argv[1:3]
only = sys.argv[3:]
os.makedirs(folder, exist_ok=True)
rng = np.random.default_rng(7)

U8, S8, U16, S16, S4, U4 = np.uint8, np.int8, np.uint16, np.int16, "int4", "uint4"
Case = collections.namedtuple("Case", "name nodes inits inputs outputs integer quantum")
ranges = {U8: (0, 255), S8: (-128, 127), U16: (0, 65535), S16: (-32768, 32767), S4: (-8, 7), U4: (0, 15)}
cases = []


class Build:
    """The nodes and constants of one model."""

    def __init__(self):
        self.nodes, self.inits, self.inputs, self.count = [], [], [], 0

    def name(self, what):
        self.count += 1
        return f"{what}{self.count}"

    def const(self, array, elem=None, what="c"):
        name = self.name(what)
        if elem in (S4, U4):
            tensor = helper.make_tensor(name, T.INT4 if elem == S4 else T.UINT4, np.shape(array), np.ravel(array))
        else:
            tensor = numpy_helper.from_array(np.asarray(array, elem), name)
        self.inits.append(tensor)
        return name

    def node(self, op, inputs, outputs=1, domain="", **attrs):
        names = [self.name(op.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=self.name("node"), domain=domain, **attrs))
        return names[0] if outputs == 1 else names

    def input(self, shape, elem=np.float32):
        name = self.name("x")
        self.inputs.append((name, tuple(shape), elem))
        return name

    def parameters(self, scale, zero, elem):
        return [self.const(scale, np.float32, "scale"), self.const(zero, elem, "zero")]

    def quantize(self, x, scale, zero, elem, **attrs):
        return self.node("QuantizeLinear", [x, *self.parameters(scale, zero, elem)], **attrs)

    def dequantize(self, x, scale, zero, elem, **attrs):
        return self.node("DequantizeLinear", [x, *self.parameters(scale, zero, elem)], **attrs)

    def pair(self, x, scale, zero, elem):
        return self.dequantize(self.quantize(x, scale, zero, elem), scale, zero, elem)

    def weight(self, shape, elem, axis=None, zero=False, spread=0.4):
        """A dequantized weight; with an axis a scale, and with `zero` a zero point, for each of its indices."""
        low, high = ranges[elem]
        count = shape[axis] if axis is not None else 1
        scale = rng.uniform(0.5, 1, count).astype(np.float32) * spread / (high - low)
        self.scale = scale
        middle = (low + high + 1) // 2 if elem in (U8, U4) else 0
        point = middle + (rng.integers(-(high - low) // 9, (high - low) // 9, count) if zero else np.zeros(count, int))
        data = rng.integers(low, high + 1, shape)
        array = self.const(data, elem, "weight")
        if axis is None:
            return self.dequantize(array, scale[0], point[0], elem)
        names = [self.const(scale, np.float32), self.const(point, elem)]
        return self.node("DequantizeLinear", [array, *names], axis=axis)

    def done(self, name, outputs, integer, quantum=None):
        cases.append(Case(name, self.nodes, self.inits, self.inputs, outputs, integer, quantum))


S, Z = {U8: 0.021, S8: 0.0183, U16: 7e-5, S16: 6e-5}, {U8: 121, S8: -9, U16: 31000, S16: 0}


def qdq(name, op, shapes, elem=S8, out=None, integer=True, zero=None, **attrs):
    """Pairs around an operator of tensors alone."""
    b = Build()
    first = Z[elem] if zero is None else zero
    real = [b.pair(b.input(shape), S[elem] * (1 + i / 3), first + (5 * i if elem != S16 else 0), elem) for i, shape in enumerate(shapes)]
    scale, zero = out or (S[elem] * 1.7, Z[elem] + 3)
    y = b.pair(b.node(op, real, **attrs), scale, zero, elem)
    b.done(name, [y], integer, scale)


def product(name, op, shape, weight_shape, elem=S8, weight=S8, axis=None, zero=False, bias=True, act=None, integer=True, **attrs):
    b = Build()
    x = b.pair(b.input(shape), S[elem], Z[elem], elem)
    w = b.weight(weight_shape, weight, axis, zero)
    channels = weight_shape[0] if op == "Conv" or attrs.get("transB") else weight_shape[-1]
    inputs = [x, w]
    if bias:  # as exporters have it: of the product's scale
        array, scale = rng.integers(-3000, 3000, channels), (np.float32(S[elem]) * b.scale).astype(np.float32)
        if axis is None:
            scale = scale[0]
        names = [b.const(array, np.int32), b.const(scale, np.float32), b.const(np.zeros(np.shape(scale)), np.int32)]
        inputs.append(b.node("DequantizeLinear", names, axis=0))
    y = b.node(op, inputs, **attrs)
    if act == "Clip":
        y = b.node("Clip", [y, b.const(0, np.float32), b.const(6, np.float32)])
    elif act:
        y = b.node(act, [y])
    scale, point = (0.06, Z[elem] + 2) if elem in (U8, S8) else (S[elem] * 6, Z[elem])
    b.done(name, [b.pair(y, scale, point, elem)], integer, scale)


def products():
    for elem in (U8, S8):
        for weight in (S8, U8, S4, U4):
            for axis in (None, 0):
                tag = f"{elem.__name__}_{weight if isinstance(weight, str) else weight.__name__}_{'each' if axis == 0 else 'one'}"
                product(f"conv_{tag}", "Conv", (1, 5, 7, 6), (9, 5, 3, 3), elem, weight, axis, pads=[1, 1, 1, 1])
    product("conv_zero", "Conv", (1, 5, 7, 6), (9, 5, 3, 3), U8, U8, None, True, pads=[0, 1, 1, 0], strides=[2, 1])
    product("conv_zeros", "Conv", (2, 4, 7, 6), (8, 4, 1, 1), S8, S4, 0, True)
    product("conv_s8_zero", "Conv", (1, 5, 7, 6), (9, 5, 3, 3), U8, S8, None, True, bias=False)
    product("conv_depthwise", "Conv", (1, 16, 9, 9), (16, 1, 3, 3), U8, S8, 0, group=16, pads=[1, 1, 1, 1])
    product("conv_depthwise_zero", "Conv", (1, 16, 9, 9), (16, 1, 3, 3), U8, U8, None, True, group=16, pads=[1, 1, 1, 1])
    product("conv_grouped", "Conv", (1, 8, 9, 9), (12, 4, 3, 3), U8, S8, 0, group=2)
    product("conv_1d", "Conv", (1, 5, 17), (6, 5, 3), U8, S8, 0)
    product("conv_relu", "Conv", (1, 5, 7, 6), (9, 5, 3, 3), S8, S8, 0, act="Relu")
    product("conv_relu6", "Conv", (1, 5, 7, 6), (9, 5, 3, 3), U8, S8, 0, act="Clip")
    product("gemm", "Gemm", (3, 20), (20, 11), U8, S8, 1)
    product("gemm_rows", "Gemm", (3, 20), (11, 20), S8, S8, 0, transB=1)
    product("gemm_zero", "Gemm", (3, 20), (11, 20), U8, U8, None, True, transB=1)
    product("matmul", "MatMul", (2, 3, 20), (20, 11), S8, S8, 1, bias=False)
    product("matmul_s4", "MatMul", (3, 20), (20, 11), S8, S4, 1, bias=False)
    qdq("matmul_tensors", "MatMul", [(2, 4, 6), (2, 6, 5)], S8, (0.11, 4))


def of_tensors():
    for elem in (U8, S8):
        tag = elem.__name__
        for op in ("Add", "Sub", "Mul", "Max", "Min"):
            qdq(f"{op}_{tag}", op, [(2, 3, 5), (3, 1)], elem)
        qdq(f"concat_{tag}", "Concat", [(2, 3, 4), (2, 2, 4)], elem, axis=1)
        qdq(f"average_{tag}", "AveragePool", [(1, 4, 9, 8)], elem, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1])
        qdq(f"global_{tag}", "GlobalAveragePool", [(2, 5, 6, 7)], elem, (S[elem] / 2, Z[elem]))
        qdq(f"maximum_{tag}", "MaxPool", [(1, 4, 9, 8)], elem, (S[elem], Z[elem]), kernel_shape=[3, 3], strides=[2, 2])
        for op in ("Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSwish", "Elu", "Exp", "Abs", "Neg", "HardSigmoid", "Softplus"):
            qdq(f"{op}_{tag}", op, [(3, 50)], elem)
        qdq(f"Sqrt_{tag}", "Sqrt", [(3, 50)], elem, zero=ranges[elem][0])
        for op in ("Transpose", "Flatten"):
            qdq(f"{op}_{tag}", op, [(2, 3, 4)], elem, (S[elem], Z[elem]))
        qdq(f"Softmax_{tag}", "Softmax", [(3, 9)], elem, (1 / 256, ranges[elem][0]))
        qdq(f"LogSoftmax_{tag}", "LogSoftmax", [(3, 9)], elem, (0.04, ranges[elem][1]), False)
        qdq(f"Div_{tag}", "Div", [(3, 9), (3, 9)], elem, (1.0, Z[elem]), False)


def of_16_bits():
    """Activations of 16 bits, which ONNX Runtime computes in floats: within one of their quanta."""
    for elem in (U16, S16):
        tag = f"wide_{elem.__name__}"
        for weight in (S8, U8, S16):
            product(f"{tag}_conv_{weight.__name__}", "Conv", (1, 5, 7, 6), (9, 5, 3, 3), elem, weight, 0, integer=weight != S16, pads=[1, 1, 1, 1])
        product(f"{tag}_depthwise", "Conv", (1, 16, 9, 9), (16, 1, 3, 3), elem, S8, 0, group=16)
        product(f"{tag}_gemm", "Gemm", (3, 20), (11, 20), elem, S8, 0, transB=1)
        product(f"{tag}_matmul", "MatMul", (2, 3, 20), (20, 11), elem, S8, 1, bias=False)
        for op in ("Add", "Sub", "Mul", "Max"):
            qdq(f"{tag}_{op}", op, [(2, 3, 5), (3, 1)], elem, (S[elem] * 3, Z[elem]))
        for op in ("Relu", "Sigmoid", "Softmax", "HardSwish"):
            qdq(f"{tag}_{op}", op, [(3, 50)], elem, (S[elem], Z[elem]), op != "Softmax")
        qdq(f"{tag}_average", "AveragePool", [(1, 4, 9, 8)], elem, (S[elem], Z[elem]), kernel_shape=[3, 2])
        qdq(f"{tag}_global", "GlobalAveragePool", [(2, 5, 6, 7)], elem, (S[elem] / 2, Z[elem]))
        qdq(f"{tag}_maximum", "MaxPool", [(1, 4, 9, 8)], elem, (S[elem], Z[elem]), kernel_shape=[3, 3])
        qdq(f"{tag}_concat", "Concat", [(2, 3, 4), (2, 2, 4)], elem, (S[elem], Z[elem]), axis=1)
        b = Build()  # integers in and out
        y = b.node("Conv", [b.dequantize(b.input((2, 4, 6, 5), elem), S[elem], Z[elem], elem), b.weight((3, 4, 1, 1), S8, 0)])
        b.done(f"{tag}_edges", [b.quantize(y, 2e-4, Z[elem], elem)], elem == S16, 1)


def micro(name, op, shapes, out, elem=U8, last=False, **attrs):
    """com.microsoft operators: tensors with scale and zero point each, and those of the result (first in QLinearConcat)."""
    b = Build()
    operands = []
    for i, shape in enumerate(shapes):
        scale, zero = S[elem] * (1 + i / 2), Z[elem] + i
        operands += [b.quantize(b.input(shape), scale, zero, elem), *b.parameters(scale, zero, elem)]
    result = b.parameters(*out, elem)
    inputs = result + operands if op == "QLinearConcat" else operands + result
    y = b.node(op, inputs, domain="com.microsoft", **attrs)
    b.done(name, [b.dequantize(y, *out, elem), *([y] if last else [])], True, out[0])


def of_integers():
    for elem in (U8, S8):
        tag, out = elem.__name__, (0.03, Z[elem] - 2)
        for op in ("QLinearAdd", "QLinearMul"):
            micro(f"{op}_{tag}", op, [(2, 3, 5), (3, 1)], out, elem, last=True)
        micro(f"QLinearConcat_{tag}", "QLinearConcat", [(2, 3), (2, 4)], out, elem, axis=1)
        micro(f"QLinearLeakyRelu_{tag}", "QLinearLeakyRelu", [(3, 40)], out, elem, alpha=0.2)
        micro(f"QLinearSigmoid_{tag}", "QLinearSigmoid", [(3, 40)], (1 / 256, ranges[elem][0]), elem)
        micro(f"QLinearSoftmax_{tag}", "QLinearSoftmax", [(3, 40)], (1 / 256, ranges[elem][0]), elem, axis=-1, opset=13)
        micro(f"QLinearGlobal_{tag}", "QLinearGlobalAveragePool", [(2, 3, 4, 5)], out, elem)
    micro("QLinearAveragePool", "QLinearAveragePool", [(1, 3, 8, 8)], (0.03, 119), U8, kernel_shape=[2, 2], strides=[2, 2])
    for weight in (S8, U8):
        for each in (False, True):
            qlinear_conv(f"QLinearConv_{weight.__name__}_{each}", weight, each)
            qlinear_matmul(f"QLinearMatMul_{weight.__name__}_{each}", weight, each)
    qgemm("QGemm", True, True)
    qgemm("QGemm_negative", True, True, alpha=-0.5)
    qgemm("QGemm_one", False, False)


def weight_of(b, shape, weight, count, axis):
    low, high = ranges[weight]
    data = b.const(rng.integers(low, high + 1, shape), weight)
    scale = rng.uniform(0.5, 1, count).astype(np.float32) * 0.003
    point = np.full(count, 0 if weight == S8 else 128)
    shaped = (lambda a: a) if count > 1 else (lambda a: a[0])
    return data, shaped(scale), [b.const(shaped(scale), np.float32), b.const(shaped(point), weight)]


def qlinear_conv(name, weight, each):
    b = Build()
    x = b.quantize(b.input((1, 5, 8, 7)), S[U8], Z[U8], U8)
    data, scale, names = weight_of(b, (6, 5, 3, 3), weight, 6 if each else 1, 0)
    bias = b.const(rng.integers(-2000, 2000, 6), np.int32)
    out = (0.031, 130)
    y = b.node("QLinearConv", [x, *b.parameters(S[U8], Z[U8], U8), data, *names, *b.parameters(*out, U8), bias], pads=[1, 1, 0, 0], strides=[1, 2])
    b.done(name, [b.dequantize(y, *out, U8)], True, out[0])


def qlinear_matmul(name, weight, each):
    b = Build()
    x = b.quantize(b.input((4, 18)), S[U8], Z[U8], U8)
    data, scale, names = weight_of(b, (18, 7), weight, 7 if each else 1, 1)
    out = (0.02, 130)
    y = b.node("QLinearMatMul", [x, *b.parameters(S[U8], Z[U8], U8), data, *names, *b.parameters(*out, U8)])
    b.done(name, [b.dequantize(y, *out, U8)], True, out[0])


def qgemm(name, each, transposed, **attrs):
    b = Build()
    x = b.quantize(b.input((4, 18)), S[U8], Z[U8], U8)
    data, scale, names = weight_of(b, (7, 18) if transposed else (18, 7), S8, 7 if each else 1, 0)
    bias = b.const(rng.integers(-2000, 2000, 7), np.int32)
    out = (0.02, 130)
    y = b.node("QGemm", [x, *b.parameters(S[U8], Z[U8], U8), data, *names, bias, *b.parameters(*out, U8)], domain="com.microsoft", transB=int(transposed),
               **attrs)
    b.done(name, [b.dequantize(y, *out, U8)], not attrs, out[0])


def elsewhere():
    for elem in (U8, S8):  # integers in and out, moved as they are
        b = Build()
        x = b.input((2, 4, 6, 5), elem)
        y = b.node("Conv", [b.dequantize(x, S[elem], Z[elem], elem), b.weight((3, 4, 1, 1), S8, 0)])
        y = b.quantize(y, 0.02, Z[elem], elem)
        y = b.node("Transpose", [b.node("MaxPool", [y], kernel_shape=[2, 2])], perm=[0, 2, 3, 1])
        b.done(f"edges_{elem.__name__}", [y], True, 1)
    b = Build()  # weights as training has them: floats with a pair of their own, for each channel
    x = b.pair(b.input((1, 4, 6, 5)), S[S8], 0, S8)
    scale = rng.uniform(0.001, 0.002, 6).astype(np.float32)
    names = [b.const(scale, np.float32), b.const(np.zeros(6), S8)]
    w = b.node("QuantizeLinear", [b.const(rng.normal(0, 0.1, (6, 4, 3, 3)), np.float32), *names], axis=0)
    y = b.node("Conv", [x, b.node("DequantizeLinear", [w, *names], axis=0), b.const(rng.normal(0, 1, 6), np.float32)])
    b.done("trained", [b.pair(b.node("Relu", [y]), 0.02, 0, S8)], True, 0.02)
    b = Build()  # a transposed weight, and a product that floats read
    x = b.pair(b.input((3, 12)), S[U8], Z[U8], U8)
    w = b.node("Transpose", [b.weight((7, 12), S8, 0)], perm=[1, 0])
    b.done("transposed", [b.pair(b.node("MatMul", [x, w]), 0.02, 120, U8)], True, 0.02)
    b = Build()
    x = b.pair(b.input((3, 12)), S[U8], Z[U8], U8)
    y = b.node("MatMul", [x, b.weight((12, 7), S8, 1)])
    b.done("floats", [y, b.pair(y, 0.02, 120, U8)], False, 0.02)
    b = Build()  # a residual
    x = b.pair(b.input((1, 8, 6, 6)), S[U8], Z[U8], U8)
    y = b.pair(b.node("Relu", [b.node("Conv", [x, b.weight((8, 8, 3, 3), S8, 0)], pads=[1, 1, 1, 1])]), 0.03, 0, U8)
    y = b.pair(b.node("Relu", [b.node("Add", [x, y])]), 0.04, 0, U8)
    y = b.pair(b.node("Resize", [y, "", b.const([1, 1, 2, 2], np.float32)], mode="nearest", coordinate_transformation_mode="asymmetric",
                      nearest_mode="floor"), 0.04, 0, U8)
    b.done("residual", [y], True, 0.04)
    b = Build()  # scales along a filter's taps, and of its input channels
    x = b.pair(b.input((1, 5, 17)), S[U8], Z[U8], U8)
    y = b.node("Conv", [b.node("Conv", [x, b.weight((6, 5, 3), S8, 2)]), b.weight((4, 6, 1), S8, 1)])
    b.done("taps", [y], False, 1e-4)
    b = Build()  # a weight whose channels have blocks of scales stays float
    x = b.input((3, 8))
    names = [b.const(rng.integers(-8, 8, (8, 5)), S4), b.const(rng.uniform(0.01, 0.02, (2, 5)), np.float32), b.const(np.zeros((2, 5), int), S4)]
    w = b.node("DequantizeLinear", names, axis=0, block_size=4)
    b.done("blocks", [b.node("MatMul", [x, w])], False, 1e-4)


def model_of(case):
    elems = {np.float32: T.FLOAT, U8: T.UINT8, S8: T.INT8, U16: T.UINT16, S16: T.INT16}
    inputs = [helper.make_tensor_value_info(n, elems[e], s) for n, s, e in case.inputs]
    outputs = [helper.make_empty_tensor_value_info(n) for n in case.outputs]
    graph = helper.make_graph(case.nodes, "g", inputs, outputs, case.inits)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model) if not any(n.domain for n in case.nodes) else stated(model, case)


def stated(model, case):
    """Of operators that onnx does not know: types of the outputs as ONNX Runtime has them."""
    session = runtime(model.SerializeToString())
    elems = {"tensor(float)": T.FLOAT, "tensor(uint8)": T.UINT8, "tensor(int8)": T.INT8}
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(o.name, elems[o.type], None) for o in session.get_outputs())
    return model


def runtime(data):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


LOOSE = {"QLinearConcat_uint8", "QLinearLeakyRelu_uint8", "QLinearAveragePool"}


def check(case):
    path = os.path.join(folder, case.name)
    model = model_of(case)
    onnx.save(model, path + ".onnx")
    feeds = {n: (rng.integers(*ranges[e], s).astype(e) if e != np.float32 else rng.normal(0, 1, s).astype(np.float32)) for n, s, e in case.inputs}
    np.savez(path + ".in.npz", **feeds)
    wanted = runtime(model.SerializeToString()).run(None, feeds)
    run = [qanat, "run", path + ".onnx", "-i", path + ".in.npz", "-o", path + ".out.npz"]
    done = subprocess.run(run, capture_output=True, text=True)
    if done.returncode:
        return done.stderr.strip()
    got = np.load(path + ".out.npz")
    for name, want in zip(case.outputs, wanted):
        if got[name].shape != want.shape or got[name].dtype != want.dtype:
            return f"{name} is {got[name].dtype}{got[name].shape}, expected {want.dtype}{want.shape}"
        quanta = np.abs(got[name].astype(np.float64) - want.astype(np.float64)).max() / (case.quantum if want.dtype == np.float32 else 1)
        if quanta > (1.001 if case.name in LOOSE or case.name.startswith(("average_", "wide_")) else 0.001):
            return f"{name} is {quanta:.3f} quanta off"
    return ops(case, path)


FREE = {"quantize", "dequantize", "requantize", "reshape", "transpose"}


def ops(case, path):
    """What computes has quantized results, where the case says so; and none has where it says not."""
    text = subprocess.run([qanat, "opt", path + ".onnx", "--passes=import", "--elide", "--no-locations", "--verify-each"], capture_output=True, text=True)
    if text.returncode:
        return text.stderr.strip()
    lines = re.findall(r"= nn\.(\w+).*-> (.*)", text.stdout)
    computing = [(op, "quant.uniform" in result) for op, result in lines if op not in FREE]
    if case.integer and not all(whole for _, whole in computing):
        return f"stays float: {', '.join(op for op, whole in computing if not whole)}"
    if case.integer and [op for op, _ in lines].count("quantize") > len(case.inputs):
        return "quantize ops are left"
    return None if case.integer or not all(whole for _, whole in computing) else "is expected to stay float"


products()
of_16_bits()
of_tensors()
of_integers()
elsewhere()
faults = 0
for case in cases:
    if only and not any(text in case.name for text in only):
        continue
    fault = check(case)
    if fault:
        print(f"{case.name}: {fault}")
        faults += 1
assert len(cases) > 100, len(cases)
sys.exit(f"{faults} of {len(cases)} cases failed" if faults else 0)
