"""EfficientDet-Lite0 by its shapes, as an int8 TFLite file: efficientdet.py FILE.tflite [heads]. 320x320 photographs of uint8 in; EfficientNet-Lite0,
three BiFPN layers of 64 channels, heads of three separable convolutions that all levels share, 90 classes, 9 anchors, 19206 boxes, and
TFLite_Detection_PostProcess; with `heads` what that takes is the result. Weights are random, scaled so that activations stay within their ranges; what it finds means nothing."""
import math
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "frontend", "Inputs"))
from tflite_detection import flex_map  # noqa: E402
from tflite_writer import Model  # noqa: E402

SIZE, CHANNELS, CLASSES, ANCHORS, LEVELS = 320, 64, 90, 9, range(3, 8)
BACKBONE = ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1))
RELU6, LINEAR, LOGITS = (6 / 255, -128), (8 / 127, 0), (0.1, 30)  # scales and zero points
# What the nodes of a BiFPN layer add up: the levels that come in are 0 to 4, the nodes follow. The last five give the levels.
NODES = ((6, (3, 4)), (5, (2, 5)), (4, (1, 6)), (3, (0, 7)), (4, (1, 7, 8)), (5, (2, 6, 9)), (6, (3, 5, 10)), (7, (4, 11)))


class Net:
    """Tensors are (index, height, channels, scale)."""

    def __init__(self):
        self.m, self.random, self.weights = Model(), np.random.RandomState(0), {}

    def tensor(self, shape, where, kind="int8"):
        return self.m.tensor("t%d" % len(self.m.tensors), shape, kind, scale=where[0], zero=where[1])

    def weight(self, shape, axis, gain, in_scale, bias, shared):
        """Of each output channel the squares sum to gain^2. `shared`: a name under which the same weights come again."""
        if shared not in self.weights or shared is None:
            data = self.random.randn(*shape)
            others = tuple(i for i in range(len(shape)) if i != axis)
            data *= gain / np.sqrt((data ** 2).sum(others, keepdims=True))
            scale = np.abs(data).max(others) / 127
            line = [-1 if i == axis else 1 for i in range(len(shape))]
            self.weights[shared] = np.rint(data / scale.reshape(line)).astype("int8"), scale, self.random.randn(len(scale)) * 0.1 + bias
        data, scale, offset = self.weights[shared]
        w = self.m.tensor("w%d" % len(self.m.tensors), shape, "int8", data, scale=scale, dim=axis)
        scales = scale.astype("float32") * np.float32(in_scale)
        return w, self.m.tensor("b%d" % len(self.m.tensors), [len(scale)], "int32", np.rint(offset / scales), scale=scales)

    def conv(self, x, channels, kernel=1, stride=1, relu=False, depthwise=False, where=None, gain=1.0, bias=0.0, shared=None):
        index, size, depth, scale = x
        channels = depth if depthwise else channels
        where = where or (RELU6 if relu else LINEAR)
        shape = [1, kernel, kernel, depth] if depthwise else [channels, kernel, kernel, depth]
        w, b = self.weight(shape, 3 if depthwise else 0, gain, scale, bias, shared)
        size = -(-size // stride)
        y = self.tensor([1, size, size, channels], where)
        kind = "DepthwiseConv2D" if depthwise else "Conv2D"
        more = {"depth_multiplier": 1} if depthwise else {}
        self.m.op("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", [index, w, b], [y], kind + "Options", padding=0, stride_w=stride, stride_h=stride,
                  fused_activation_function=3 if relu else 0, **more)
        return y, size, channels, where[0]

    def add(self, a, b, relu=False):
        where = RELU6 if relu else LINEAR
        y = self.tensor([1, a[1], a[1], a[2]], where)
        self.m.op("ADD", [a[0], b[0]], [y], "AddOptions", fused_activation_function=3 if relu else 0)
        return y, a[1], a[2], where[0]

    def sized(self, x, size):
        """To another level: pools, or repeats pixels."""
        index, old, depth, scale = x
        if old == size:
            return x
        y = self.tensor([1, size, size, depth], LINEAR if scale == LINEAR[0] else RELU6)
        if size < old:
            self.m.op("MAX_POOL_2D", [index], [y], "Pool2DOptions", padding=0, stride_w=2, stride_h=2, filter_width=3, filter_height=3)
        else:
            to = self.m.tensor("size%d" % len(self.m.tensors), [2], "int32", np.array([size, size]))
            self.m.op("RESIZE_NEAREST_NEIGHBOR", [index, to], [y], "ResizeNearestNeighborOptions")
        return y, size, depth, scale

    def separable(self, x, channels, kernel=3, shared=None, **more):
        x = self.conv(x, 0, kernel, depthwise=True, gain=0.9, shared=shared and shared + " depthwise")
        return self.conv(x, channels, shared=shared, **more)


def backbone(net, x):
    """The levels 3, 4 and 5."""
    levels = {}
    x = net.conv(x, 32, 3, 2, True, gain=2.0)
    for expand, kernel, stride, channels, count in BACKBONE:
        for i in range(count):
            start = x
            if expand > 1:
                x = net.conv(x, x[2] * expand, relu=True, gain=1.5)
            x = net.conv(x, 0, kernel, stride if i == 0 else 1, True, True, gain=1.5)
            x = net.conv(x, channels)
            x = net.add(start, x) if i else x
        levels[int(math.log2(SIZE // x[1] + 1))] = x
    return [levels[level] for level in (3, 4, 5)]


def bifpn(net, levels):
    """One layer; the first takes other channels than it gives."""
    nodes = list(levels)
    for level, inputs in NODES:
        size = -(-SIZE // 2 ** level)
        taken = [net.sized(x if x[2] == CHANNELS else net.conv(x, CHANNELS), size) for x in (nodes[i] for i in inputs)]
        total = taken[0]
        for i, x in enumerate(taken[1:]):
            total = net.add(total, x, relu=i == len(taken) - 2)
        nodes.append(net.separable(total, CHANNELS))
    return nodes[-5:]


def head(net, levels, name, outputs, where, **more):
    """The same weights for all levels; one row a box."""
    parts = []
    for x in levels:
        for i in range(3):
            x = net.separable(x, CHANNELS, relu=True, shared="%s %d" % (name, i), gain=1.6)
        x = net.separable(x, outputs * ANCHORS, shared=name, where=where, **more)
        rows = x[1] * x[1] * ANCHORS
        part = net.tensor([1, rows, outputs], where)
        net.m.op("RESHAPE", [x[0], net.m.tensor("rows%d" % len(net.m.tensors), [3], "int32", np.array([1, rows, outputs]))], [part], "ReshapeOptions",
                 new_shape=[1, rows, outputs])
        parts.append((part, rows))
    boxes = sum(rows for _, rows in parts)
    whole = net.tensor([1, boxes, outputs], where)
    net.m.op("CONCATENATION", [part for part, _ in parts], [whole], "ConcatenationOptions", axis=1)
    return whole, boxes


def anchors():
    rows = []
    for level in LEVELS:
        size, stride = -(-SIZE // 2 ** level), 2 ** level / SIZE
        for y in range(size):
            for x in range(size):
                for octave in range(3):
                    for wide, high in ((1, 1), (1.4, 0.7), (0.7, 1.4)):
                        side = 3 * stride * 2 ** (octave / 3)
                        rows.append(((y + 0.5) * stride, (x + 0.5) * stride, side * high, side * wide))
    return np.array(rows, "float32")


def real(net, x, shape, name, squash=False):
    if squash:
        y = net.tensor(shape, (1 / 256, -128))
        net.m.op("LOGISTIC", [x], [y])
        x = y
    y = net.m.tensor(name, shape)
    net.m.op("DEQUANTIZE", [x], [y])
    return y


OPTIONS = {"max_detections": 25, "max_classes_per_detection": 1, "nms_score_threshold": 0.1, "nms_iou_threshold": 0.5, "num_classes": CLASSES,
           "y_scale": 1.0, "x_scale": 1.0, "h_scale": 1.0, "w_scale": 1.0, "use_regular_nms": False, "detections_per_class": 100}


def write(path, heads=False):
    net = Net()
    photo = net.m.input("image", [1, SIZE, SIZE, 3], "uint8", scale=1 / 128, zero=127)
    x = net.tensor([1, SIZE, SIZE, 3], (1 / 128, -1))
    net.m.op("QUANTIZE", [photo], [x])
    levels = backbone(net, (x, SIZE, 3, 1 / 128))
    sixth = net.sized(net.conv(levels[2], CHANNELS), -(-SIZE // 64))
    levels += [sixth, net.sized(sixth, -(-SIZE // 128))]
    for _ in range(3):
        levels = bifpn(net, levels)
    classes, boxes = head(net, levels, "class", CLASSES, LOGITS, gain=1.3, bias=-6.0)
    codes, _ = head(net, levels, "box", 4, (0.03, 0), gain=0.5)
    given = [real(net, codes, [1, boxes, 4], "codes"), real(net, classes, [1, boxes, CLASSES], "likely", True),
             net.m.tensor("anchors", [boxes, 4], "float32", anchors())]
    results = [net.m.tensor(name, shape) for name, shape in (("boxes", [1, 25, 4]), ("classes", [1, 25]), ("scores", [1, 25]), ("count", [1]))]
    if not heads:
        net.m.op("TFLite_Detection_PostProcess", given, results, custom=flex_map(OPTIONS))
    net.m.save(path, given[:2] if heads else results)
    return boxes


if __name__ == "__main__":
    print(write(sys.argv[1], sys.argv[2:] == ["heads"]), "boxes")
