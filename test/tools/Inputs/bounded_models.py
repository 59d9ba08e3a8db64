"""Small networks with sizes that vary, for bounded.py: conv.onnx (batch), transformer.onnx (batch and seq), pair.onnx (two
inputs of one length), causal.onnx (a mask of batch and seq), valid.onnx (height and width, without padding), and some that
can't vary: fixed.onnx (a reshape to 8 rows), mask.onnx (a triangle of the length), odd.onnx (half the length, rounded
down)."""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RANDOM = np.random.default_rng(7)
WIDTH, HEADS, LONGEST, WORDS = 16, 4, 48, 30


class Net:
    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, value):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def weights(self, *shape):
        return self.constant((RANDOM.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32))

    def __call__(self, op, *inputs, name=None, **attributes):
        name = name or f"{op}_{len(self.nodes)}"
        inputs = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def save(self, path, inputs, outputs):
        infos = [[helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in each.items()] for each in (inputs, outputs)]
        graph = helper.make_graph(self.nodes, "net", *infos, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, path)


def conv():
    net = Net()
    stem = net("Relu", net("Conv", "x", net.weights(8, 3, 3, 3), net.weights(8), pads=[1, 1, 1, 1]))
    half = net("MaxPool", stem, kernel_shape=[2, 2], strides=[2, 2])
    deep = net("Conv", half, net.weights(8, 1, 3, 3), group=8, pads=[1, 1, 1, 1])
    flat = net("Flatten", net("GlobalAveragePool", net("Add", deep, half)))
    net("Gemm", flat, net.weights(8, 5), net.weights(5), name="y")
    net.save("conv.onnx", {"x": (TensorProto.FLOAT, ["batch", 3, 8, 8])}, {"y": (TensorProto.FLOAT, ["batch", 5])})


def attention(net, x):
    parts = []
    for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]):
        part = net("Add", net("MatMul", x, net.weights(WIDTH, WIDTH)), net.weights(WIDTH))
        part = net("Reshape", part, np.array([0, 0, HEADS, WIDTH // HEADS], np.int64))
        parts.append(net("Transpose", part, perm=perm))
    scores = net("Mul", net("MatMul", parts[0], parts[1]), np.float32(0.5))
    mixed = net("Transpose", net("MatMul", net("Softmax", scores, axis=-1), parts[2]), perm=[0, 2, 1, 3])
    mixed = net("Reshape", mixed, np.array([0, 0, WIDTH], np.int64))
    return net("Add", net("MatMul", mixed, net.weights(WIDTH, WIDTH)), x)


def transformer():
    net = Net()
    length = net("Gather", net("Shape", "ids"), np.array(1, np.int64))
    places = net("Gather", net.weights(LONGEST, WIDTH), net("Range", np.array(0, np.int64), length, np.array(1, np.int64)))
    x = net("Add", net("Gather", net.weights(WORDS, WIDTH), "ids"), places)
    for _ in range(2):
        x = net("LayerNormalization", attention(net, x), np.ones(WIDTH, np.float32), net.weights(WIDTH))
        wide = net("Relu", net("MatMul", x, net.weights(WIDTH, 32)))
        x = net("Add", net("MatMul", wide, net.weights(32, WIDTH)), x)
    net("Identity", x, name="words")
    net("MatMul", net("ReduceMean", x, axes=[1], keepdims=0), net.weights(WIDTH, 3), name="y")
    net.save("transformer.onnx", {"ids": (TensorProto.INT64, ["batch", "seq"])},
             {"y": (TensorProto.FLOAT, ["batch", 3]), "words": (TensorProto.FLOAT, ["batch", "seq", WIDTH])})


def valid(net):
    net("Conv", net("Relu", net("Conv", "x", net.weights(4, 1, 3, 3))), net.weights(2, 4, 3, 3), name="y")


def small(path, op, inputs, shape):
    net = Net()
    op(net)
    net.save(path, inputs, {"y": (TensorProto.FLOAT, shape)})


def causal(net):
    """The corner of a constant mask, as exported decoders have it."""
    mask = net.constant(np.tril(np.ones((1, 1, LONGEST, LONGEST), bool)))
    length = net("Gather", net("Shape", "x"), np.array([1], np.int64))
    mask = net("Slice", mask, np.array([0, 0], np.int64), net("Concat", length, length, axis=0), np.array([2, 3], np.int64))
    x = net("Unsqueeze", "x", np.array([1], np.int64))
    scores = net("MatMul", x, net("Transpose", x, perm=[0, 1, 3, 2]))
    mixed = net("MatMul", net("Softmax", net("Where", mask, scores, np.float32(-1e9)), axis=-1), x)
    net("Squeeze", mixed, np.array([1], np.int64), name="y")


def mask(net):
    length = net("Gather", net("Shape", "x"), np.array([0], np.int64))
    square = net("Expand", np.float32(1), net("Concat", length, length, axis=0))
    net("MatMul", net("Trilu", square, name="triangle"), "x", name="y")


def all_models():
    conv()
    transformer()
    small("pair.onnx", lambda net: net("Concat", net("Mul", "a", "b"), "b", axis=1, name="y"),
          {name: (TensorProto.FLOAT, ["n", 6]) for name in "ab"}, ["n", 12])
    small("causal.onnx", causal, {"x": (TensorProto.FLOAT, ["batch", "seq", 8])}, ["batch", "seq", 8])
    small("fixed.onnx", lambda net: net("Reshape", "x", np.array([8, 4], np.int64), name="y"), {"x": (TensorProto.FLOAT, ["n", 4])},
          [8, 4])
    small("mask.onnx", mask, {"x": (TensorProto.FLOAT, ["n", 4])}, ["n", 4])
    small("odd.onnx", lambda net: net("MaxPool", "x", kernel_shape=[2], strides=[2], name="y"), {"x": (TensorProto.FLOAT, [1, 2, "n"])},
          [1, 2, "half"])
    small("valid.onnx", valid, {"x": (TensorProto.FLOAT, [1, 1, "h", "w"])}, [1, 2, "h - 4", "w - 4"])
