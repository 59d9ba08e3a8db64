"""Models of one operator, each with an input: CASES is a list of (name, make), make(model) gives the outputs. What is drawn
is the same on every machine."""
import numpy as np

CASES = []


class Numbers:
    def __init__(self, seed):
        self.state = seed * 2654435761 % 2**32

    def draw(self, shape, low, high):
        """Whole numbers from low to high - 1."""
        values = []
        for _ in range(int(np.prod(shape))):
            self.state = (self.state * 1664525 + 1013904223) % 2**32
            values.append(low + (self.state >> 8) % (high - low))
        return np.array(values).reshape(shape)


class Case:
    """A model in the making; tensors are named a, b, ..., the result y. `q`: None for f32, or int8, uint8, int16."""

    def __init__(self, model, name, q):
        self.m, self.q, self.random, self.values = model, q, Numbers(sum(map(ord, name))), []

    def activation(self, shape, scale=0.05, zero=3, kind=None):
        name = "abcdefgh"[len(self.values)]
        kind = kind or self.q or "float32"
        if kind == "float32":
            data = self.random.draw(shape, -512, 512).astype("float32") / 64
            self.values.append(data)
            return self.m.input(name, shape)
        low, high = np.iinfo(kind).min, np.iinfo(kind).max + 1
        if kind in ("int32", "int64"):
            low, high = -50, 50
        data = self.random.draw(shape, low, high).astype(kind)
        self.values.append(data)
        quantized = kind in ("int8", "uint8", "int16") and self.q
        where = {"int8": zero, "uint8": zero + 128, "int16": 0}.get(kind, 0)
        return self.m.input(name, shape, kind, **({"scale": scale, "zero": where} if quantized else {}))

    def given(self, data, kind=None):
        data = np.asarray(data)
        kind = kind or str(data.dtype)
        self.values.append(data.astype(kind))
        return self.m.input("abcdefgh"[len(self.values) - 1], data.shape, kind)

    def constant(self, data, kind="int32"):
        data = np.asarray(data)
        return self.m.tensor("constant%d" % len(self.m.tensors), data.shape, kind, data)

    def weight(self, shape, axis, channels, per_channel=True):
        if not self.q:
            return self.m.tensor("weight", shape, "float32", self.random.draw(shape, -64, 64) / 128), None
        if self.q == "uint8":
            return self.m.tensor("weight", shape, "uint8", self.random.draw(shape, 0, 256), scale=0.01, zero=117), np.full(channels, 0.01)
        scale = 0.005 + 0.001 * np.arange(channels) if per_channel else 0.01
        return self.m.tensor("weight", shape, "int8", self.random.draw(shape, -127, 128), scale=scale, zero=0, dim=axis), np.broadcast_to(scale, channels)

    def bias(self, channels, scales, input_scale=0.05):
        if not self.q:
            return self.m.tensor("bias", [channels], "float32", self.random.draw([channels], -64, 64) / 64)
        kind = "int64" if self.q == "int16" else "int32"
        return self.m.tensor("bias", [channels], kind, self.random.draw([channels], -3000, 3000), scale=input_scale * np.asarray(scales))

    def result(self, shape, scale=0.05, zero=3, kind=None, name="y"):
        kind = kind or self.q or "float32"
        where = {"int8": zero, "uint8": zero + 128, "int16": 0}.get(kind, 0)
        if kind in ("int8", "uint8", "int16") and self.q:
            return self.m.tensor(name, shape, kind, scale=scale, zero=where)
        return self.m.tensor(name, shape, kind)


def case(*forms):
    """Registers a function case(c) -> outputs for each form: f, i8, u8, i16."""
    kinds = {"f": None, "i8": "int8", "u8": "uint8", "i16": "int16"}

    def register(function):
        for form in forms:
            CASES.append(("%s_%s" % (function.__name__, form), kinds[form], function))
        return function
    return register


def make(model, name):
    for own, q, function in [*CASES, ("missing_f", None, missing_f)]:
        if own == name:
            c = Case(model, name, q)
            outputs = function(c)
            return c.values, outputs if isinstance(outputs, list) else [outputs]
    raise KeyError(name)


def conv(c, in_shape, w_shape, out_shape, depthwise=False, **fields):
    channels = w_shape[3] if depthwise else w_shape[0]
    a = c.activation(in_shape)
    w, scales = c.weight(w_shape, 3 if depthwise else 0, channels)
    scale = 0.25 if c.q else 1
    y = c.result(out_shape, scale=0.4 * scale if c.q != "int16" else 0.003, zero=-5)
    c.m.op("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", [a, w, c.bias(channels, scales)], [y],
           "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions", **fields)
    return y


@case("f", "i8", "u8", "i16")
def conv_same_stride(c):
    return conv(c, [1, 7, 6, 3], [5, 3, 3, 3], [1, 4, 3, 5], padding=0, stride_w=2, stride_h=2, fused_activation_function=1)


@case("f", "i8")
def conv_valid_dilated(c):
    return conv(c, [2, 8, 8, 4], [3, 3, 2, 4], [2, 4, 7, 3], padding=1, stride_w=1, stride_h=1, dilation_h_factor=2)


@case("f", "i8")
def conv_groups(c):
    return conv(c, [1, 4, 4, 6], [4, 3, 3, 3], [1, 4, 4, 4], padding=0, stride_w=1, stride_h=1, fused_activation_function=3)


@case("f", "i8", "u8", "i16")
def depthwise_multiplier(c):
    return conv(c, [1, 6, 5, 3], [1, 3, 3, 6], [1, 3, 3, 6], True, padding=0, stride_w=2, stride_h=2, depth_multiplier=2)


@case("f", "i8")
def depthwise_one(c):
    return conv(c, [1, 6, 5, 8], [1, 3, 3, 8], [1, 4, 3, 8], True, padding=1, stride_w=1, stride_h=1, depth_multiplier=1, fused_activation_function=3)


def transpose_conv(c, same, stride, kernel, size, out):
    shape = c.constant([1, out, out, 3])
    w, scales = c.weight([3, kernel, kernel, 4], 0, 3)
    a = c.activation([1, size, size, 4])
    y = c.result([1, out, out, 3], scale=0.2)
    c.m.op("TRANSPOSE_CONV", [shape, w, a, c.bias(3, scales)], [y], "TransposeConvOptions", padding=0 if same else 1, stride_w=stride, stride_h=stride)
    return y


@case("f", "i8")
def transpose_conv_same(c):
    return transpose_conv(c, True, 2, 3, 4, 8)


@case("f", "i8")
def transpose_conv_valid(c):
    return transpose_conv(c, False, 3, 4, 3, 10)


@case("f")
def transpose_conv_wide_stride(c):
    return transpose_conv(c, True, 3, 2, 3, 9)


def fully(c, shape, out_shape, **fields):
    a = c.activation(shape)
    w, scales = c.weight([5, 8], 0, 5, per_channel=False)
    y = c.result(out_shape, scale=0.2 if c.q != "int16" else 0.003)
    bias = c.bias(5, scales if scales is None else scales[:1])
    c.m.op("FULLY_CONNECTED", [a, w, bias], [y], "FullyConnectedOptions", **fields)
    return y


@case("f", "i8", "u8", "i16")
def fully_connected(c):
    return fully(c, [3, 8], [3, 5], fused_activation_function=1)


@case("f")
def fully_connected_flattened(c):
    return fully(c, [2, 2, 4], [2, 5])


@case("f", "i8")
def fully_connected_kept(c):
    return fully(c, [2, 3, 8], [2, 3, 5], keep_num_dims=True)


def pool(c, name, **fields):
    y = None
    a = c.activation([1, 7, 7, 3])
    y = c.result([1, 4, 4, 3])
    c.m.op(name, [a], [y], "Pool2DOptions", padding=0, stride_w=2, stride_h=2, filter_width=3, filter_height=3, **fields)
    return y


@case("f", "i8", "u8", "i16")
def average_pool(c):
    return pool(c, "AVERAGE_POOL_2D")


@case("f", "i8", "u8")
def max_pool(c):
    return pool(c, "MAX_POOL_2D", fused_activation_function=1)


@case("f")
def l2_pool(c):
    return pool(c, "L2_POOL_2D")


def binary(c, name, options=None, a_shape=(2, 3, 4), b_shape=(2, 3, 4), kind=None, **fields):
    a, b = c.activation(list(a_shape), 0.05, 3), c.activation(list(b_shape), 0.03, -10)
    y = c.result(list(np.broadcast_shapes(a_shape, b_shape)), 0.09, 1, kind)
    c.m.op(name, [a, b], [y], options, **fields)
    return y


@case("f", "i8", "u8", "i16")
def add(c):
    return binary(c, "ADD", "AddOptions", b_shape=(4,), fused_activation_function=3, **({} if c.q != "int16" else {}))


@case("f", "i8")
def sub(c):
    return binary(c, "SUB", "SubOptions", b_shape=(1, 3, 1))


@case("f", "i8", "u8", "i16")
def mul(c):
    return binary(c, "MUL", "MulOptions", fused_activation_function=1)


@case("f")
def add_n1_to_1(c):
    return binary(c, "ADD", "AddOptions", fused_activation_function=2)


@case("f")
def div(c):
    return binary(c, "DIV", "DivOptions", b_shape=(4,))


@case("f")
def squared_difference(c):
    return binary(c, "SQUARED_DIFFERENCE")


@case("f")
def floor_div(c):
    return binary(c, "FLOOR_DIV")


@case("f")
def floor_mod(c):
    return binary(c, "FLOOR_MOD")


def integers(c, name):
    a = c.activation([2, 9], kind="int32")
    b = c.given(np.array([[3, -4, 5, -6, 7, 1, -1, 2, 9]]), "int32")
    y = c.result([2, 9], kind="int32")
    c.m.op(name, [a, b], [y])
    return y


@case("f")
def floor_div_of_integers(c):
    return integers(c, "FLOOR_DIV")


@case("f")
def floor_mod_of_integers(c):
    return integers(c, "FLOOR_MOD")


def extreme(c, name):
    a, b = c.activation([2, 3, 4]), c.activation([2, 3, 4])
    y = c.result([2, 3, 4])
    c.m.op(name, [a, b], [y])
    return y


@case("f", "i8", "u8")
def maximum(c):
    return extreme(c, "MAXIMUM")


@case("f", "i8")
def minimum(c):
    return extreme(c, "MINIMUM")


def comparison(c, name):
    a, b = c.activation([4, 8]), c.activation([4, 8])
    y = c.result([4, 8], kind="bool")
    c.m.op(name, [a, b], [y])
    return y


for _name in ("LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "EQUAL", "NOT_EQUAL"):
    CASES.append(("%s_f" % _name.lower(), None, lambda c, name=_name: comparison(c, name)))
    CASES.append(("%s_i8" % _name.lower(), "int8", lambda c, name=_name: comparison(c, name)))


def function(c, name, y_scale=0.05, y_zero=3, a_scale=0.05, options=None, positive=False, **fields):
    a = c.activation([2, 3, 16], a_scale)
    if positive and not c.q:
        c.values[0] = np.abs(c.values[0]) + np.float32(0.125)
    y = c.result([2, 3, 16], y_scale, y_zero)
    c.m.op(name, [a], [y], options, **fields)
    return y


for _name in ("FLOOR", "CEIL", "ROUND", "EXP", "SIN", "COS", "NEG", "ABS", "ELU", "SQUARE", "LOGISTIC", "TANH", "RELU", "RELU6", "RELU_N1_TO_1",
              "RELU_0_TO_1", "HARD_SWISH", "SIGN"):
    CASES.append(("%s_f" % _name.lower(), None, lambda c, name=_name: function(c, name)))
for _name in ("LOG", "SQRT", "RSQRT"):
    CASES.append(("%s_f" % _name.lower(), None, lambda c, name=_name: function(c, name, positive=True)))
for _form, _kind in (("i8", "int8"), ("u8", "uint8")):
    CASES.append(("logistic_" + _form, _kind, lambda c: function(c, "LOGISTIC", 1 / 256, -128)))
    CASES.append(("tanh_" + _form, _kind, lambda c: function(c, "TANH", 1 / 128, 0)))
    CASES.append(("relu_" + _form, _kind, lambda c: function(c, "RELU", 0.03, -128)))
    CASES.append(("relu6_" + _form, _kind, lambda c: function(c, "RELU6", 0.03, -128)))
    CASES.append(("hard_swish_" + _form, _kind, lambda c: function(c, "HARD_SWISH", 0.03, -100)))
CASES.append(("abs_i8", "int8", lambda c: function(c, "ABS", 0.05, -128)))
CASES.append(("logistic_i16", "int16", lambda c: function(c, "LOGISTIC", 1 / 32768, 0, 1 / 4096)))
CASES.append(("tanh_i16", "int16", lambda c: function(c, "TANH", 1 / 32768, 0, 1 / 4096)))


@case("f", "i8", "u8")
def leaky_relu(c):
    return function(c, "LEAKY_RELU", 0.04, -20, options="LeakyReluOptions", alpha=0.2)


@case("f")
def gelu_exact(c):
    return function(c, "GELU", options="GeluOptions", approximate=False)


@case("f")
def gelu_tanh(c):
    return function(c, "GELU", options="GeluOptions", approximate=True)


@case("f", "i8", "u8")
def softmax(c):
    return function(c, "SOFTMAX", 1 / 256, -128, options="SoftmaxOptions", beta=1.0)


@case("f")
def softmax_beta(c):
    return function(c, "SOFTMAX", options="SoftmaxOptions", beta=0.5)


@case("f", "i8")
def log_softmax(c):
    return function(c, "LOG_SOFTMAX", 16 / 256, 127)


@case("f", "i8")
def l2_normalization(c):
    return function(c, "L2_NORMALIZATION", 1 / 128, 0, options="L2NormOptions")


@case("f")
def l2_normalization_of_little(c):
    a = c.given(np.array([[0, 0], [3, 4], [1e-4, -1e-4], [1e-8, 0]]), "float32")
    y = c.result([4, 2])
    c.m.op("L2_NORMALIZATION", [a], [y], "L2NormOptions")
    return y


@case("f")
def floor_div_of_large_integers(c):
    a = c.given(np.array([-2**31, -2**31, 2**31 - 1, 2**31 - 1, -2**31]), "int32")
    b = c.given(np.array([3, 1, -2, 2**31 - 1, 2**31 - 1]), "int32")
    y = c.result([5], kind="int32")
    c.m.op("FLOOR_DIV", [a, b], [y])
    return y


@case("f", "i8")
def prelu(c):
    a = c.activation([1, 3, 4, 5])
    if c.q:
        slope = c.m.tensor("slope", [1, 1, 5], "int8", c.random.draw([1, 1, 5], -100, 100), scale=0.01, zero=4)
    else:
        slope = c.m.tensor("slope", [1, 1, 5], "float32", c.random.draw([1, 1, 5], -100, 100) / 128)
    y = c.result([1, 3, 4, 5])
    c.m.op("PRELU", [a, slope], [y])
    return y


@case("f", "i8", "u8")
def concatenation(c):
    a, b = c.activation([2, 3, 4], 0.05, 3), c.activation([2, 5, 4], 0.05, 3)
    y = c.result([2, 8, 4], 0.05, 3)
    c.m.op("CONCATENATION", [a, b], [y], "ConcatenationOptions", axis=-2)
    return y


def moved(c, name, in_shape, out_shape, constants, options=None, kinds=None, **fields):
    a = c.activation(in_shape)
    rest = [c.constant(np.asarray(data), "int32") for data in constants]
    y = c.result(out_shape)
    c.m.op(name, [a, *rest], [y], options, **fields)
    return y


@case("f", "i8")
def pad(c):
    return moved(c, "PAD", [1, 3, 4, 2], [1, 6, 5, 2], [[[0, 0], [1, 2], [0, 1], [0, 0]]])


@case("f", "i8")
def padv2(c):
    a = c.activation([2, 3])
    pads = c.constant([[1, 0], [2, 1]])
    value = c.m.tensor("value", [], "float32", np.array(1.5)) if not c.q else c.m.tensor("value", [], "int8", np.array(40), scale=0.05, zero=3)
    y = c.result([3, 6])
    c.m.op("PADV2", [a, pads, value], [y])
    return y


@case("f", "i8")
def mirror_pad_reflect(c):
    return moved(c, "MIRROR_PAD", [2, 4, 5], [4, 7, 5], [[[1, 1], [3, 0], [0, 0]]], "MirrorPadOptions", mode=0)


@case("f", "i8")
def mirror_pad_symmetric(c):
    return moved(c, "MIRROR_PAD", [2, 4, 5], [4, 8, 6], [[[1, 1], [4, 0], [0, 1]]], "MirrorPadOptions", mode=1)


@case("f", "i8")
def reshape(c):
    return moved(c, "RESHAPE", [2, 3, 4], [4, 6], [[4, -1]], "ReshapeOptions", new_shape=[4, -1])


@case("f")
def squeeze(c):
    return moved(c, "SQUEEZE", [1, 3, 1, 4], [3, 1, 4], [], "SqueezeOptions", squeeze_dims=[0])


@case("f", "i8")
def transpose(c):
    return moved(c, "TRANSPOSE", [2, 3, 4], [4, 2, 3], [[2, 0, 1]])


@case("f", "i8")
def slice_part(c):
    return moved(c, "SLICE", [3, 4, 5], [2, 4, 3], [[1, 0, 2], [2, -1, 3]])


@case("f", "i8")
def strided_slice(c):
    return moved(c, "STRIDED_SLICE", [4, 5, 6], [2, 6], [[-1, 1, 0], [0, 2, 6], [-2, 1, 1]], "StridedSliceOptions", shrink_axis_mask=2, end_mask=4)


@case("f")
def strided_slice_ellipsis(c):
    return moved(c, "STRIDED_SLICE", [2, 3, 4, 5], [2, 1, 3, 4, 2], [[0, 0, 0, 1], [2, 0, 0, 5], [1, 1, 1, 2]], "StridedSliceOptions",
                 ellipsis_mask=4, new_axis_mask=2, begin_mask=1, end_mask=1)


@case("f")
def strided_slice_masked_index(c):
    return moved(c, "STRIDED_SLICE", [4, 5], [3], [[2, 1], [3, 4], [1, 1]], "StridedSliceOptions", shrink_axis_mask=1, begin_mask=1)


@case("f", "i8")
def split(c):
    a = c.activation([2, 6, 3])
    ys = [c.result([2, 2, 3], name="y%d" % i) for i in range(3)]
    c.m.op("SPLIT", [c.constant(1), a], ys, "SplitOptions", num_splits=3)
    return ys


@case("f", "i8")
def split_v(c):
    a = c.activation([2, 6])
    ys = [c.result([2, size], name="y%d" % i) for i, size in enumerate((1, 3, 2))]
    c.m.op("SPLIT_V", [a, c.constant([1, 3, -1]), c.constant(-1)], ys, "SplitVOptions", num_splits=3)
    return ys


@case("f", "i8")
def pack(c):
    a, b = c.activation([2, 3]), c.activation([2, 3])
    y = c.result([2, 2, 3])
    c.m.op("PACK", [a, b], [y], "PackOptions", values_count=2, axis=1)
    return y


@case("f", "i8")
def unpack(c):
    a = c.activation([2, 3, 4])
    ys = [c.result([2, 4], name="y%d" % i) for i in range(3)]
    c.m.op("UNPACK", [a], ys, "UnpackOptions", num=3, axis=1)
    return ys


@case("f", "i8")
def gather(c):
    a = c.activation([2, 5, 3])
    y = c.result([2, 4, 3])
    c.m.op("GATHER", [a, c.given(np.array([4, 0, 0, 2]), "int32")], [y], "GatherOptions", axis=1)
    return y


@case("f", "i8")
def gather_batches(c):
    """Indices of their own for each of 2 x 3 tensors, along an axis behind another."""
    a = c.activation([2, 3, 2, 5, 2])
    y = c.result([2, 3, 2, 2, 2, 2])
    places = c.random.draw([2, 3, 2, 2], 0, 5)
    c.m.op("GATHER", [a, c.given(places, "int32")], [y], "GatherOptions", axis=3, batch_dims=2)
    return y


@case("f")
def gather_batches_alone(c):
    y = c.result([4])
    c.m.op("GATHER", [c.activation([4, 3]), c.given(np.array([2, 0, 1, 1]), "int32")], [y], "GatherOptions", axis=1, batch_dims=1)
    return y


@case("f")
def gather_nd(c):
    a = c.activation([3, 4, 2])
    y = c.result([2, 2])
    c.m.op("GATHER_ND", [a, c.given(np.array([[2, 1], [0, 3]]), "int32")], [y])
    return y


def resized(c, name, options, size, **fields):
    return moved(c, name, [1, 4, 3, 2], [1, *size, 2], [size], options, **fields)


@case("f")
def resize_nearest_both_rules(c):
    return resized(c, "RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions", [4, 6], align_corners=True, half_pixel_centers=True)


for _name, _options in (("RESIZE_BILINEAR", "ResizeBilinearOptions"), ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions")):
    for _where in ({}, {"half_pixel_centers": True}, {"align_corners": True}):
        for _size in ([8, 6], [7, 2]):
            _label = "%s%s_%d" % (_name.lower(), "".join("_" + key for key in _where), _size[0])
            for _form, _kind in (("f", None), ("i8", "int8")):
                CASES.append(("%s_%s" % (_label, _form), _kind,
                              lambda c, name=_name, options=_options, size=_size, where=_where: resized(c, name, options, size, **where)))


def reduced(c, name, keep, scale=0.05):
    a = c.activation([2, 3, 4, 5])
    y = c.result([2, 1, 1, 5] if keep else [2, 5], scale)
    c.m.op(name, [a, c.constant([1, -2])], [y], "ReducerOptions", keep_dims=keep)
    return y


for _name, _forms in (("MEAN", ("f", "i8", "u8", "i16")), ("SUM", ("f", "i8")), ("REDUCE_MAX", ("f", "i8")), ("REDUCE_MIN", ("f", "i8")), ("REDUCE_PROD", ("f",))):
    for _form in _forms:
        _kind = {"f": None, "i8": "int8", "u8": "uint8", "i16": "int16"}[_form]
        CASES.append(("%s_%s" % (_name.lower(), _form), _kind, lambda c, name=_name: reduced(c, name, name == "MEAN", 0.3 if name == "SUM" else 0.05)))


def arg(c, name, options):
    a = c.activation([2, 7, 3])
    y = c.result([2, 3], kind="int32")
    c.m.op(name, [a, c.constant(1)], [y], options, output_type=2)
    return y


@case("f", "i8", "u8")
def arg_max(c):
    return arg(c, "ARG_MAX", "ArgMaxOptions")


@case("f", "i8")
def arg_min(c):
    return arg(c, "ARG_MIN", "ArgMinOptions")


@case("f", "i8")
def batch_matmul(c):
    a, b = c.activation([2, 3, 4], 0.05, 3), c.activation([2, 5, 4], 0.03, -10)
    y = c.result([2, 3, 5], 0.5)
    c.m.op("BATCH_MATMUL", [a, b], [y], "BatchMatMulOptions", adj_y=True)
    return y


@case("f")
def cast_to_integers(c):
    a = c.activation([3, 5])
    y = c.result([3, 5], kind="int32")
    c.m.op("CAST", [a], [y], "CastOptions", in_data_type=0, out_data_type=2)
    return y


def quantized(c, kind, scale, zero):
    y = c.m.tensor("y", [4, 16], kind, scale=scale, zero=zero)
    c.m.op("QUANTIZE", [c.activation([4, 16])], [y])
    return y


@case("f")
def quantize_to_i8(c):
    return quantized(c, "int8", 0.037, -11)


@case("f")
def quantize_to_u8(c):
    return quantized(c, "uint8", 0.037, 100)


@case("f")
def quantize_to_i16(c):
    return quantized(c, "int16", 0.0003, 0)


@case("i8", "u8")
def requantize(c):
    return quantized(c, c.q, 0.09, 20)


@case("i8", "u8", "i16")
def dequantize(c):
    y = c.result([4, 8], kind="float32")
    c.m.op("DEQUANTIZE", [c.activation([4, 8])], [y])
    return y


@case("f", "i8")
def space_to_depth(c):
    return moved(c, "SPACE_TO_DEPTH", [1, 4, 6, 3], [1, 2, 3, 12], [], "SpaceToDepthOptions", block_size=2)


@case("f", "i8")
def depth_to_space(c):
    return moved(c, "DEPTH_TO_SPACE", [1, 2, 3, 12], [1, 4, 6, 3], [], "DepthToSpaceOptions", block_size=2)


@case("f", "i8")
def space_to_batch(c):
    return moved(c, "SPACE_TO_BATCH_ND", [2, 3, 4, 2], [12, 2, 2, 2], [[2, 3], [[0, 1], [1, 1]]])


@case("f", "i8")
def batch_to_space(c):
    return moved(c, "BATCH_TO_SPACE_ND", [12, 2, 2, 2], [2, 3, 4, 2], [[2, 3], [[0, 1], [1, 1]]])


@case("f")
def select(c):
    condition = c.given(np.array([True, False, True]))
    a, b = c.activation([3, 4]), c.activation([3, 4])
    y = c.result([3, 4])
    c.m.op("SELECT", [condition, a, b], [y])
    return y


@case("f", "i8")
def select_v2(c):
    condition = c.given(np.array([True, False, True, True]))
    a, b = c.activation([3, 4]), c.activation([3, 4])
    y = c.result([3, 4])
    c.m.op("SELECT_V2", [condition, a, b], [y])
    return y


@case("f", "i8")
def tile(c):
    return moved(c, "TILE", [2, 1, 3], [4, 3, 6], [[2, 3, 2]])


@case("f")
def expand_dims(c):
    return moved(c, "EXPAND_DIMS", [2, 3], [2, 1, 3], [1])


@case("f")
def cumsum(c):
    return moved(c, "CUMSUM", [2, 5], [2, 5], [1], "CumsumOptions", exclusive=True, reverse=True)


@case("f")
def reverse(c):
    return moved(c, "REVERSE_V2", [2, 3, 4], [2, 3, 4], [[1]])


@case("f")
def broadcast_to(c):
    return moved(c, "BROADCAST_TO", [3, 1], [2, 3, 4], [[2, 3, 4]])


@case("f")
def one_hot(c):
    y = c.result([4, 5])
    c.m.op("ONE_HOT", [c.given(np.array([3, 0, -1, 4]), "int32"), c.constant(5), c.constant(2.5, "float32"), c.constant(-1, "float32")], [y], "OneHotOptions", axis=-1)
    return y


@case("f")
def top_k(c):
    a = c.activation([2, 9])
    values, places = c.result([2, 4]), c.result([2, 4], kind="int32", name="places")
    c.m.op("TOPK_V2", [a, c.constant(4)], [values, places])
    return [values, places]


@case("f")
def half_weights(c):
    """Weights of 16 bits, which an operator widens."""
    a = c.activation([3, 8])
    half = c.m.tensor("half", [5, 8], "float16", c.random.draw([5, 8], -64, 64) / 128)
    wide = c.m.tensor("wide", [5, 8])
    y = c.result([3, 5])
    c.m.op("DEQUANTIZE", [half], [wide])
    c.m.op("FULLY_CONNECTED", [a, wide, -1], [y], "FullyConnectedOptions")
    return y


def weights(c, *shapes):
    return [-1 if shape is None else c.constant(c.random.draw(shape, -64, 64) / 128, "float32") for shape in shapes]


def state(c, *shape):
    return c.m.tensor("state%d" % len(c.m.tensors), shape, is_variable=True)


def lstm(c, optional, projection, **fields):
    first, units, wide = None if "coupled" in optional else 1, 4, projection or 4
    gates = lambda *shape: [first and list(shape), list(shape), list(shape), list(shape)]  # noqa: E731
    peepholes = [first and [units], [units], [units]] if "peepholes" in optional else [None] * 3
    norms = gates(units) if "normalized" in optional else []
    last = [[projection, units], [projection]] if projection else [None, None]
    given = [c.activation([5, 2, 3])] + weights(c, *gates(units, 3), *gates(units, wide), *peepholes, *gates(units), *last)
    given += [state(c, 2 if fields.get("time_major") else 5, width) for width in (wide, units)] + weights(c, *norms)
    y = c.result([5, 2, wide])
    c.m.op("UNIDIRECTIONAL_SEQUENCE_LSTM", given, [y], "UnidirectionalSequenceLSTMOptions", fused_activation_function=4, **fields)
    return y


@case("f")
def lstm_plain(c):
    return lstm(c, (), 0)


@case("f")
def lstm_with_everything(c):
    return lstm(c, ("coupled", "peepholes", "normalized"), 3, time_major=True, cell_clip=0.5, proj_clip=0.35)


@case("f")
def rnn(c):
    y = c.result([4, 2, 5])
    given = [c.activation([4, 2, 3])] + weights(c, [5, 3], [5, 5], [5]) + [state(c, 2, 5)]
    c.m.op("UNIDIRECTIONAL_SEQUENCE_RNN", given, [y], "SequenceRNNOptions", time_major=True, fused_activation_function=1)
    return y


@case("f")
def svdf(c):
    y = c.result([2, 4])
    c.m.op("SVDF", [c.activation([2, 6])] + weights(c, [8, 6], [8, 5], [4]) + [state(c, 2, 40)], [y], "SVDFOptions", rank=2)
    return y


@case("f")
def add_n(c):
    y, given = c.result([2, 3]), [c.activation([2, 3]) for _ in range(3)]
    c.m.op("ADD_N", given, [y])
    return y


@case("f")
def power(c):
    y = c.result([2, 3])
    c.m.op("POW", [c.activation([2, 3]), c.constant(3.0, "float32")], [y])
    return y


@case("f")
def scatter_nd_twice(c):
    y = c.result([4, 2])
    c.m.op("SCATTER_ND", [c.constant([[0], [2], [0]]), c.activation([3, 2]), c.constant([4, 2])], [y])
    return y


for _name in ("REDUCE_ANY", "REDUCE_ALL"):
    CASES.append((_name.lower() + "_f", None, lambda c, name=_name: flags(c, name)))


def flags(c, name):
    y = c.result([3], kind="bool")
    c.m.op(name, [c.given(np.array([[True, False], [False, False], [True, True]])), c.constant([1])], [y], "ReducerOptions")
    return y


def missing_f(c):
    """Two operators that are not imported, and one that depends on them; not one of CASES."""
    a = c.activation([4])
    y, z, sum_ = c.result([4]), c.result([4], name="z"), c.result([4], name="sum")
    c.m.op("WHERE", [a], [y])
    c.m.op("WHERE", [a], [z])
    c.m.op("ADD", [y, z], [sum_], "AddOptions")
    return sum_
