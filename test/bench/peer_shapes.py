"""Networks that the benchmark knows by their shapes only: ONNX files with random weights (He's normal, always the same).

BatchNormalization is folded already, as converters do, and the softmax of classifiers is left out: with random weights it
answers one class with certainty, and no comparison of two engines' answers would say anything."""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Builder:
    """Appends layers to a graph; each method takes and returns tensors' names, shapes are kept beside them."""

    def __init__(self, shape):
        self.nodes, self.weights, self.shapes, self.random = [], [], {"input": shape}, np.random.RandomState(0)

    def constant(self, values):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def node(self, op, inputs, shape, **attributes):
        out = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [out], name=out, **attributes))
        self.shapes[out] = shape
        return out

    def normal(self, *dims):
        return self.constant((self.random.randn(*dims) * np.sqrt(2 / np.prod(dims[1:]))).astype(np.float32))

    def bias(self, count):
        return self.constant((self.random.randn(count) * 0.05).astype(np.float32))

    def activate(self, x, kind):
        shape = self.shapes[x]
        if kind == "relu6":
            return self.node("Clip", [x, self.constant(np.float32(0)), self.constant(np.float32(6))], shape)
        return self.node("Relu", [x], shape) if kind == "relu" else x

    def conv(self, x, channels, kernel=1, stride=1, groups=1, dilation=1, act=None):
        _, c, *size = self.shapes[x]
        kernel = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        pads = [0] * 4
        out = []
        for i, (n, k) in enumerate(zip(size, kernel)): # as TensorFlow's SAME
            reach, count = (k - 1) * dilation + 1, -(-n // stride)
            total = max(0, (count - 1) * stride + reach - n)
            pads[i], pads[i + 2] = total // 2, total - total // 2
            out.append(count)
        weights = [self.normal(channels, c // groups, *kernel), self.bias(channels)]
        y = self.node("Conv", [x, *weights], [1, channels, *out], kernel_shape=kernel, strides=[stride] * 2,
                      pads=pads, group=groups, dilations=[dilation] * 2)
        return self.activate(y, act)

    def depthwise(self, x, kernel=3, stride=1, dilation=1, act="relu6"):
        channels = self.shapes[x][1]
        return self.conv(x, channels, kernel, stride, channels, dilation, act)

    def add(self, x, y, act=None):
        return self.activate(self.node("Add", [x, y], self.shapes[x]), act)

    def mean(self, x):
        return self.node("GlobalAveragePool", [x], [1, self.shapes[x][1], 1, 1])

    def linear(self, x, features, act=None):
        if len(self.shapes[x]) > 2:
            x = self.node("Flatten", [x], [1, int(np.prod(self.shapes[x][1:]))])
        y = self.node("Gemm", [x, self.normal(features, self.shapes[x][1]), self.bias(features)], [1, features], transB=1)
        return self.activate(y, act)

    def concat(self, *xs):
        return self.node("Concat", list(xs), [1, sum(self.shapes[x][1] for x in xs), *self.shapes[xs[0]][2:]], axis=1)

    def resize(self, x, size):
        shape = [1, self.shapes[x][1], *size]
        return self.node("Resize", [x, "", "", self.constant(np.array(shape, np.int64))], shape, mode="linear",
                         coordinate_transformation_mode="align_corners")

    def save(self, path, y):
        def value(name):
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, self.shapes[name])
        graph = helper.make_graph(self.nodes, "network", [value("input")], [value(y)], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, path)


def inverted(b, x, channels, expand, kernel=3, stride=1, dilation=1):
    """MobileNetV2's block: expand, depthwise, project, and the input added where it has the same shape."""
    start = x
    if expand > 1:
        x = b.conv(x, b.shapes[x][1] * expand, act="relu6")
    x = b.depthwise(x, kernel, stride, dilation)
    x = b.conv(x, channels)
    return b.add(start, x) if b.shapes[x] == b.shapes[start] else x


def efficientnet_lite0(b):
    x = b.conv("input", 32, 3, 2, act="relu6")
    for expand, kernel, stride, channels, count in ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3),
                                                    (6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1)):
        for i in range(count):
            x = inverted(b, x, channels, expand, kernel, stride if i == 0 else 1)
    return b.linear(b.mean(b.conv(x, 1280, act="relu6")), 1000)


def deeplabv3_mobilenetv2(b):
    """TensorFlow's deeplabv3_mnv2 at output stride 16, 257x257, 21 classes."""
    x = b.conv("input", 32, 3, 2, act="relu6")
    for expand, stride, channels, count, dilation in ((1, 1, 16, 1, 1), (6, 2, 24, 2, 1), (6, 2, 32, 3, 1), (6, 2, 64, 4, 1),
                                                      (6, 1, 96, 3, 1), (6, 1, 160, 3, 2), (6, 1, 320, 1, 2)):
        for i in range(count):
            x = inverted(b, x, channels, expand, 3, stride if i == 0 else 1, dilation if i or channels == 320 else 1)
    whole = b.resize(b.conv(b.mean(x), 256, act="relu"), b.shapes[x][2:])
    x = b.conv(b.concat(whole, b.conv(x, 256, act="relu")), 256, act="relu")
    return b.resize(b.conv(x, 21), b.shapes["input"][2:])


def mobilenetv2_cifar(b):
    x = b.conv("input", 32, 3, 1, act="relu6")
    for expand, stride, channels, count in ((1, 1, 16, 1), (6, 1, 24, 2), (6, 2, 32, 3), (6, 2, 64, 4), (6, 1, 96, 3),
                                            (6, 2, 160, 3), (6, 1, 320, 1)):
        for i in range(count):
            x = inverted(b, x, channels, expand, 3, stride if i == 0 else 1)
    return b.linear(b.mean(b.conv(x, 1280, act="relu6")), 10)


def tiny_ic(b):
    """MLPerf Tiny's image classification: ResNet-8."""
    x = b.conv("input", 16, 3, act="relu")
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        y = b.conv(b.conv(x, channels, 3, stride, act="relu"), channels, 3)
        x = b.add(y, b.conv(x, channels, 1, stride) if stride > 1 else x, "relu")
    return b.linear(b.mean(x), 10)


def tiny_kws(b):
    """MLPerf Tiny's keyword spotting: DS-CNN."""
    x = b.conv("input", 64, (10, 4), 2, act="relu")
    for _ in range(4):
        x = b.conv(b.depthwise(x, act="relu"), 64, act="relu")
    return b.linear(b.mean(x), 12)


def tiny_vww(b):
    """MLPerf Tiny's visual wake words: MobileNetV1 of a quarter width, 96x96."""
    x = b.conv("input", 8, 3, 2, act="relu")
    for channels, stride in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (128, 1), (128, 1), (128, 1),
                             (128, 1), (256, 2), (256, 1)):
        x = b.conv(b.depthwise(x, 3, stride, act="relu"), channels, act="relu")
    return b.linear(b.mean(x), 2)


def tiny_ad(b):
    """MLPerf Tiny's anomaly detection: an autoencoder of fully connected layers."""
    x = "input"
    for features in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = b.linear(x, features, "relu")
    return b.linear(x, 640)


def attention(b, x, heads):
    """Of one sequence [1, length, width] with itself."""
    _, length, width = b.shapes[x]

    def head(transposed):
        y = b.node("MatMul", [x, b.normal(width, width)], [1, length, width])
        y = b.node("Add", [y, b.bias(width)], [1, length, width])
        y = b.node("Reshape", [y, b.constant(np.array([1, length, heads, width // heads]))], [1, length, heads, width // heads])
        order = [0, 2, 3, 1] if transposed else [0, 2, 1, 3]
        return b.node("Transpose", [y], [[1, length, heads, width // heads][i] for i in order], perm=order)
    queries, keys, values = head(False), head(True), head(False)
    y = b.node("MatMul", [queries, keys], [1, heads, length, length])
    y = b.node("Mul", [y, b.constant(np.float32((width // heads) ** -0.5))], b.shapes[y])
    y = b.node("MatMul", [b.node("Softmax", [y], b.shapes[y], axis=-1), values], [1, heads, length, width // heads])
    y = b.node("Transpose", [y], [1, length, heads, width // heads], perm=[0, 2, 1, 3])
    y = b.node("Reshape", [y, b.constant(np.array([1, length, width]))], [1, length, width])
    y = b.node("MatMul", [y, b.normal(width, width)], [1, length, width])
    return b.node("Add", [y, b.bias(width)], [1, length, width])


def transformer_encoder(b):
    """Four layers of 4 heads, 64 steps of 128 features, normalized before; GELU as PyTorch writes it."""
    x, shape, wide = "input", [1, 64, 128], [1, 64, 512]

    def normalized(x):
        return b.node("LayerNormalization", [x, b.constant(np.ones(128, np.float32)), b.bias(128)], shape, axis=-1)
    for _ in range(4):
        x = b.node("Add", [x, attention(b, normalized(x), 4)], shape)
        y = b.node("Add", [b.node("MatMul", [normalized(x), b.normal(128, 512)], wide), b.bias(512)], wide)
        erf = b.node("Erf", [b.node("Div", [y, b.constant(np.float32(2 ** 0.5))], wide)], wide)
        y = b.node("Mul", [y, b.node("Add", [erf, b.constant(np.float32(1))], wide)], wide)
        y = b.node("Mul", [y, b.constant(np.float32(0.5))], wide)
        x = b.node("Add", [x, b.node("Add", [b.node("MatMul", [y, b.normal(512, 128)], shape), b.bias(128)], shape)], shape)
    return normalized(x)


SHAPES = {transformer_encoder: [1, 64, 128], efficientnet_lite0: [1, 3, 224, 224], deeplabv3_mobilenetv2: [1, 3, 257, 257], mobilenetv2_cifar: [1, 3, 32, 32],
          tiny_ic: [1, 3, 32, 32], tiny_kws: [1, 1, 49, 10], tiny_vww: [1, 3, 96, 96], tiny_ad: [1, 640]}


def write(network, path):
    builder = Builder(SHAPES[network])
    builder.save(path, network(builder))
