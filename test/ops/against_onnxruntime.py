# RUN: %python %s %qanat
# REQUIRES: onnxruntime, onnx
"""The interpreter against an independent truth: ONNX nodes with many combinations of attributes, run by ONNX Runtime
and by `qanat run --via interp`. Prints the cases that differ; exit status 1 if there are any. Usage: against_onnxruntime.py QANAT [VIA] [FILTER]"""
import itertools
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

OPSET = 19
CASES_PER_MODEL = 20 # of up to three inputs; --input may be given 64 times
random = np.random.RandomState(0)


def numbers(*shape):
    return random.randint(-8, 9, shape).astype(np.float32) / 2


class Case:
    """One node: `inputs` are fed, `constants` are initializers behind them. Names carry a number, so that many cases
    can stand in one model."""
    count = 0

    def __init__(self, op, inputs, constants=(), **attributes):
        self.name = f"{op} {[v.shape for v in inputs]} {attributes}"
        self.feeds = {f"x{Case.count}_{i}": value for i, value in enumerate(inputs)}
        held = [f"c{Case.count}_{i}" if value is not None else "" for i, value in enumerate(constants)]
        self.constants = [numpy_helper.from_array(np.asarray(v), n) for n, v in zip(held, constants) if v is not None]
        self.output = f"y{Case.count}"
        self.node = helper.make_node(op, list(self.feeds) + held, [self.output], **attributes)
        Case.count += 1


def model_of(cases):
    inputs = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
              for c in cases for name, value in c.feeds.items()]
    outputs = [helper.make_empty_tensor_value_info(c.output) for c in cases] # of whatever type they are
    graph = helper.make_graph([c.node for c in cases], "cases", inputs, outputs,
                              [constant for c in cases for constant in c.constants])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)


def conv_cases():
    shapes = [((1, 3, 7, 6), (4, 3, 3, 2), 1), ((2, 4, 6, 6), (4, 1, 3, 3), 4), ((1, 4, 5, 8), (6, 2, 1, 3), 2),
              ((1, 2, 6, 5), (4, 1, 2, 2), 2)]
    settings = itertools.product([[1, 1], [2, 1], [3, 2]], [[0, 0, 0, 0], [1, 0, 2, 1]], [[1, 1], [2, 2]], [0, 1])
    for ((x, w, group), (strides, pads, dilations, bias)) in itertools.product(shapes, settings):
        yield Case("Conv", [numbers(*x)], [numbers(*w)] + [numbers(w[0])] * bias, strides=strides, pads=pads,
                   dilations=dilations, group=group)
    for auto_pad in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        yield Case("Conv", [numbers(1, 2, 7, 6)], [numbers(3, 2, 3, 4)], strides=[2, 3], auto_pad=auto_pad)


def pool_cases():
    settings = itertools.product([[2, 2], [3, 2], [3, 3]], [[1, 1], [2, 3], [3, 2]], [[0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 0, 1]],
                                 [[1, 1], [2, 1]], [0, 1])
    for kernel, strides, pads, dilations, ceil in settings:
        x = numbers(1, 3, 8, 7)
        shared = dict(kernel_shape=kernel, strides=strides, pads=pads, ceil_mode=ceil, dilations=dilations)
        yield Case("MaxPool", [x], **shared)
        for count in (0, 1):
            yield Case("AveragePool", [x], count_include_pad=count, **shared)
    for auto_pad in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        for op in ("MaxPool", "AveragePool"):
            yield Case(op, [numbers(1, 2, 7, 8)], kernel_shape=[3, 2], strides=[2, 2], auto_pad=auto_pad)
    yield Case("GlobalAveragePool", [numbers(2, 3, 4, 5)])


def product_cases():
    for a, b in (((3, 4), (4, 2)), ((2, 3, 4), (4, 5)), ((2, 1, 3, 4), (3, 4, 2)), ((4,), (4, 3)), ((2, 3, 4), (4,))):
        yield Case("MatMul", [numbers(*a), numbers(*b)])
        yield Case("MatMul", [numbers(*a)], [numbers(*b)])
    for trans_a, trans_b, bias in itertools.product((0, 1), (0, 1), (None, (5,), (3, 5), (3, 1))):
        a, b = numbers(*((4, 3) if trans_a else (3, 4))), numbers(*((5, 4) if trans_b else (4, 5)))
        constants = [b] + ([numbers(*bias)] if bias else [])
        yield Case("Gemm", [a], constants, transA=trans_a, transB=trans_b, alpha=0.5, beta=2.0)


def elementwise_cases():
    for op in ("Add", "Sub", "Mul", "Div"):
        for a, b in (((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (3, 1)), ((4,), (2, 1, 1))):
            yield Case(op, [numbers(*a), numbers(*b) + np.float32(8.25)])
        yield Case(op, [numbers(2, 3)], [np.float32(0.75)])
    x = np.linspace(-9, 9, 77, dtype=np.float32).reshape(7, 11)
    for op in ("Relu", "Sigmoid", "Tanh", "Exp", "HardSwish"):
        yield Case(op, [x])
    yield Case("Sqrt", [np.abs(x)])
    for op in ("LeakyRelu", "HardSigmoid"):
        yield Case(op, [x])
        yield Case(op, [x], alpha=0.3)
    yield Case("HardSigmoid", [x], alpha=0.3, beta=0.1)
    low, high = np.float32(-1.5), np.float32(2)
    for constants in ([low, high], [low], [None, high], []):
        yield Case("Clip", [x], constants)


def transposed_cases():
    for (x, w, group) in (((1, 3, 4, 5), (3, 2, 3, 2), 1), ((2, 4, 3, 3), (4, 2, 2, 3), 2), ((1, 4, 3, 4), (4, 1, 3, 3), 4),
                          ((2, 3, 6), (3, 4, 3), 1), ((1, 2, 3, 2, 4), (2, 3, 2, 3, 2), 1)):
        spatial = len(x) - 2
        for stride, dilation, pad, extra in ((1, 1, 0, 0), (2, 1, 0, 1), (3, 1, 1, 0), (2, 2, 1, 1), (3, 2, 0, 2)):
            shared = dict(group=group, strides=[stride] * spatial, dilations=[dilation] * spatial)
            yield Case("ConvTranspose", [numbers(*x)], [numbers(*w), numbers(w[1] * group)], pads=[pad] * spatial + [0] * spatial,
                       output_padding=[extra] * spatial, **shared)
            # A kernel smaller than the stride: ONNX Runtime leaves out what ONNX pads.
            for auto_pad in ("SAME_UPPER", "SAME_LOWER", "VALID") if stride < 3 else ("VALID",):
                yield Case("ConvTranspose", [numbers(*x)], [numbers(*w)], auto_pad=auto_pad, **shared)
        yield Case("ConvTranspose", [numbers(*x), numbers(*w)], strides=[2] * spatial)
        yield Case("ConvTranspose", [numbers(*x)], [numbers(*w)], strides=[2] * spatial,
                   output_shape=[2 * size for size in x[2:]])


def other_rank_cases():
    for x, w, group in (((2, 3, 9), (4, 3, 3), 1), ((1, 4, 5, 6, 4), (6, 2, 3, 2, 3), 2), ((2, 3, 4, 5, 6), (3, 1, 2, 3, 2), 3)):
        spatial = len(x) - 2
        for stride, dilation, pad in ((1, 1, 0), (2, 1, 1), (1, 2, 1), (3, 2, 2)):
            yield Case("Conv", [numbers(*x)], [numbers(*w), numbers(w[0])], group=group, strides=[stride] * spatial,
                       dilations=[dilation] * spatial, pads=[pad] * spatial + [1] * spatial)
        yield Case("Conv", [numbers(*x)], [numbers(*w)], group=group, auto_pad="SAME_UPPER", strides=[2] * spatial)
        for ceil, pad in itertools.product((0, 1), (0, 1)):
            shared = dict(kernel_shape=[3] + [2] * (spatial - 1), strides=[2] * spatial, pads=[pad] * 2 * spatial, ceil_mode=ceil)
            yield Case("MaxPool", [numbers(*x)], **shared)
            for count in (0, 1):
                yield Case("AveragePool", [numbers(*x)], count_include_pad=count, **shared)
        for op in ("GlobalAveragePool", "GlobalMaxPool"):
            yield Case(op, [numbers(*x)])


def resize_cases():
    """align_corners only where scaled lengths are whole: elsewhere ONNX's own tests (test/conformance) take them as they are,
    ONNX Runtime rounds them down."""
    everywhere = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "asymmetric")
    x = numbers(1, 2, 4, 6)
    for scales in ([1, 1, 2, 3], [1, 1, 0.5, 2.5], [1, 1, 1.7, 0.4], [1, 2, 1.5, 1]):
        held = [None, np.array(scales, np.float32)]
        whole = all((length * scale).is_integer() for length, scale in zip(x.shape, map(float, scales)))
        places = everywhere + ("align_corners",) * whole
        for place, rounding in itertools.product(places, ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")):
            yield Case("Resize", [x], held, mode="nearest", coordinate_transformation_mode=place, nearest_mode=rounding)
        for place in places:
            if scales[1] == 1:
                yield Case("Resize", [x], held, mode="linear", coordinate_transformation_mode=place)
                yield Case("Resize", [x], held, mode="cubic", coordinate_transformation_mode=place, cubic_coeff_a=-0.5)
    for mode in ("linear", "cubic"):
        for sizes in ([1, 2, 3, 3], [1, 2, 9, 4]):
            yield Case("Resize", [x], [None, None, np.array(sizes)], mode=mode, antialias=1)
    yield Case("Resize", [x], [None, None, np.array([1, 2, 7, 7])], mode="cubic", exclude_outside=1)
    yield Case("Resize", [x], [None, None, np.array([7, 20])], mode="nearest", axes=[2, 3], keep_aspect_ratio_policy="not_larger")
    roi = np.array([0, 0, 0.4, -0.3, 1, 1, 0.6, 1.2], np.float32)
    for mode in ("nearest", "linear"):
        yield Case("Resize", [x], [roi, None, np.array([1, 2, 3, 9])], mode=mode, extrapolation_value=10.0,
                   coordinate_transformation_mode="tf_crop_and_resize")


def layer_cases():
    for shape in ((2, 3, 5), (2, 3, 4, 5), (2, 4, 3, 2, 3)):
        channels = shape[1]
        yield Case("InstanceNormalization", [numbers(*shape)], [numbers(channels), numbers(channels)], epsilon=0.01)
        yield Case("LayerNormalization", [numbers(*shape)], [numbers(*shape[-2:]), numbers(*shape[-2:])], axis=-2)
    yield Case("LayerNormalization", [numbers(2, 3, 70)], [numbers(70)])
    yield Case("MeanVarianceNormalization", [numbers(2, 3, 4, 5)])
    yield Case("MeanVarianceNormalization", [numbers(2, 3, 4, 5)], axes=[1, 3])
    yield Case("GroupNormalization", [numbers(2, 4, 3, 5)], [numbers(2), numbers(2)], num_groups=2)


def recurrent_cases():
    steps, batch, inputs, hidden = 4, 3, 5, 2
    for op, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
        for direction in ("forward", "reverse", "bidirectional"):
            d = 2 if direction == "bidirectional" else 1
            def held(*shape):
                return random.uniform(-1, 1, shape).astype(np.float32)
            x, lengths = held(steps, batch, inputs), np.array([4, 2, 3], np.int32)
            weights, bias = [held(d, gates * hidden, inputs), held(d, gates * hidden, hidden)], held(d, 2 * gates * hidden)
            shared = dict(hidden_size=hidden, direction=direction)
            states = [held(d, batch, hidden)] * (2 if op == "LSTM" else 1)
            yield Case(op, [x], weights, **shared)
            yield Case(op, [x], weights + [bias, None] + states, **shared)
            yield Case(op, [x], weights + [bias, lengths] + states, clip=0.5, **shared)
            if op == "GRU":
                yield Case(op, [x], weights + [bias], linear_before_reset=1, **shared)
            if op == "LSTM":
                yield Case(op, [x], weights + [bias, None] + states + [held(d, 3 * hidden)], **shared)
            names = {"LSTM": ["HardSigmoid", "ScaledTanh", "Relu"], "GRU": ["HardSigmoid", "Affine"], "RNN": ["LeakyRelu"]}[op]
            yield Case(op, [x], weights, activations=names * d, activation_alpha=[0.3] * d * len(names),
                       activation_beta=[0.6] * d * len(names), **shared)


def power_cases():
    for size, beta in ((3, 0.75), (4, 0.5), (5, 1.0), (1, 0.25), (3, 1.75)):
        for shape in ((2, 7, 3, 4), (1, 3, 2, 2)):
            yield Case("LRN", [numbers(*shape)], size=size, beta=beta, alpha=0.3, bias=1.5)
    for p, axis in ((1, 0), (2, 1), (2, -1)):
        yield Case("LpNormalization", [numbers(2, 3, 4) + np.float32(0.25)], p=p, axis=axis)
    for p, shape in itertools.product((1, 2), ((2, 3, 9), (2, 3, 7, 6), (1, 2, 5, 6, 4))):
        spatial = len(shape) - 2
        yield Case("LpPool", [numbers(*shape)], p=p, kernel_shape=[2] * spatial)
        yield Case("LpPool", [numbers(*shape)], p=p, kernel_shape=[3] * spatial, strides=[2] * spatial, pads=[1] * 2 * spatial)
        yield Case("LpPool", [numbers(*shape)], p=p, kernel_shape=[3] * spatial, strides=[3] * spatial, ceil_mode=1)
        yield Case("GlobalLpPool", [numbers(*shape)], p=p)


def border_cases():
    for mode in ("reflect", "edge", "wrap"):
        for pads in ([0, 1, 2, 0, 2, 1], [1, 0, 3, 1, 1, 2]):
            yield Case("Pad", [numbers(2, 3, 4)], [np.array(pads)], mode=mode)
    yield Case("SpaceToDepth", [numbers(2, 3, 4, 6)], blocksize=2)
    for mode in ("DCR", "CRD"):
        yield Case("DepthToSpace", [numbers(2, 8, 3, 2)], blocksize=2, mode=mode)
    for repeats in ([1, 2, 3], [2, 1, 1]):
        yield Case("Tile", [numbers(2, 3, 4)], [np.array(repeats)])


def function_cases():
    x = np.linspace(-9, 9, 77, dtype=np.float32).reshape(7, 11)
    for op in ("Abs", "Neg", "Floor", "Ceil", "Round", "Sign", "Erf", "Sin", "Cos", "Tan", "Atan", "Sinh", "Cosh", "Asinh",
               "Elu", "Selu", "Celu", "Softplus", "Softsign", "ThresholdedRelu", "Shrink", "IsNaN", "IsInf", "Mish"):
        yield Case(op, [x])
    for op in ("Asin", "Acos", "Atanh"):
        yield Case(op, [x / 10])
    for op in ("Log", "Acosh", "Reciprocal"):
        yield Case(op, [np.abs(x) + 1])
    for op in ("Elu", "Celu", "ThresholdedRelu"):
        yield Case(op, [x], alpha=0.3)
    for a, b in (((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (3, 1)), ((4,), (2, 1, 1))):
        for op in ("Min", "Max", "PRelu", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Mean"):
            if op != "PRelu" or len(a) > len(b):
                yield Case(op, [numbers(*a), numbers(*b)])
        yield Case("Pow", [np.abs(numbers(*a)) + 1, numbers(*b)])
        yield Case("Mod", [numbers(*a), np.abs(numbers(*b)) + np.float32(0.75)], fmod=1)
        yield Case("Where", [numbers(*a) > 0, numbers(*a), numbers(*b)])
        for op in ("And", "Or", "Xor"):
            yield Case(op, [numbers(*a) > 0, numbers(*b) > 0])
        for kind in (np.int32, np.int64):
            for op in ("Add", "Sub", "Mul", "Min", "Max", "Equal", "Less"):
                yield Case(op, [numbers(*a).astype(kind), numbers(*b).astype(kind)])
    yield Case("Clip", [x, np.float32(-1.5), np.float32(2)])


def reduction_cases():
    x = np.abs(numbers(3, 4, 5)) + 1
    for op in ("Sum", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare"):
        for axes in ([0], [1, 2], [-1], [0, 2], [0, 1, 2]):
            yield Case("Reduce" + op, [x], [np.array(axes)], keepdims=axes[0] % 2)
    for axis, last in itertools.product((0, 1, -1), (0, 1)):
        for op in ("ArgMax", "ArgMin"):
            yield Case(op, [numbers(3, 4, 5)], axis=axis, select_last_index=last, keepdims=last)
    for axis, exclusive, reverse in itertools.product((0, 1, -1), (0, 1), (0, 1)):
        yield Case("CumSum", [numbers(3, 4, 5)], [np.array(axis)], exclusive=exclusive, reverse=reverse)
    for op, axis in itertools.product(("LogSoftmax", "Hardmax"), (-1, 0, 1)):
        yield Case(op, [numbers(2, 3, 4)], axis=axis)


def norm_cases():
    parameters = [numbers(3), numbers(3), numbers(3), np.abs(numbers(3)) + 1]
    yield Case("BatchNormalization", [numbers(2, 3, 4, 5)], parameters)
    yield Case("BatchNormalization", [numbers(2, 3)], parameters, epsilon=0.1)
    for axis in (-1, 0, 1, 2):
        yield Case("Softmax", [numbers(2, 3, 4)], axis=axis)
    for axes in ([0], [1, 2], [-1], [0, 1, 2]):
        for keep in (0, 1):
            yield Case("ReduceMean", [numbers(3, 4, 5)], [np.array(axes)], keepdims=keep)


def move_cases():
    x = numbers(2, 3, 4)
    for perm in itertools.permutations(range(3)):
        yield Case("Transpose", [x], perm=perm)
    for shape in ([6, 4], [-1], [0, -1, 2, 2]):
        yield Case("Reshape", [x], [np.array(shape)])
    for starts, ends, axes, steps in (([1], [3], [2], [1]), ([0, 1], [2, 100], [0, 2], [1, 2]), ([-1], [-100], [1], [-1]),
                                      ([3, 2], [0, -9], [2, 1], [-2, -1]), ([5], [9], [2], [1])):
        yield Case("Slice", [x], [np.array(v) for v in (starts, ends, axes, steps)])
    for pads in ([0, 1, 0, 0, 0, 2], [1, 1, 1, 1, 1, 1], [0, -1, 2, 0, 0, -1]):
        yield Case("Pad", [x], [np.array(pads)])
        yield Case("Pad", [x], [np.array(pads), np.float32(-0.75)])
    for axis in (0, 1, -1):
        yield Case("Concat", [x, x + 1, x], axis=axis)
        yield Case("Gather", [x], [np.array([[1, 0], [-1, 1]])], axis=axis)
    yield Case("Gather", [x], [np.array(-1)], axis=1)
    yield Case("Expand", [numbers(3, 1)], [np.array([2, 1, 4])])
    yield Case("Flatten", [x], axis=2)


def run_qanat(command, via, cases):
    """Outputs in order, and what it complained of."""
    with tempfile.TemporaryDirectory() as folder:
        path, out = os.path.join(folder, "model.onnx"), os.path.join(folder, "out.npz")
        onnx.save(model_of(cases), path)
        arguments = [command, "run", path, "--via", via, "-o", out]
        for c in cases:
            for name, value in c.feeds.items():
                np.save(os.path.join(folder, name + ".npy"), value)
                arguments += ["-i", f"{name}={os.path.join(folder, name)}.npy"]
        done = subprocess.run(arguments, capture_output=True, text=True)
        if done.returncode:
            return [], done.stderr.strip()
        with np.load(out) as outputs:
            return [outputs[name] for name in outputs.files], ""


def difference(got, want):
    """What is wrong, or an empty string. Sums in double against single: within a few units in the last place."""
    if got.size != want.size or (got.ndim == want.ndim and got.shape != want.shape):
        return f"shape {got.shape}, expected {want.shape}"
    if not want.size:
        return ""
    error = np.max(np.abs(got.reshape(want.shape).astype(np.float64) - want))
    bound = 2e-6 * max(1.0, float(np.max(np.abs(want))))
    return "" if error <= bound else f"max error {error:.3g}"


def run_onnxruntime(one):
    """None for what ONNX Runtime refuses: that decides nothing."""
    try:
        session = onnxruntime.InferenceSession(model_of([one]).SerializeToString(),
                                               providers=["CPUExecutionProvider"])
        return session.run(None, one.feeds)[0]
    except Exception as error:
        print(f"not run by ONNX Runtime: {one.name}: {str(error).splitlines()[0]}")
        return None


def main():
    command, via = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "interp"
    only = sys.argv[3] if len(sys.argv) > 3 else ""
    onnxruntime.set_default_logger_severity(4)
    generators = (conv_cases(), pool_cases(), product_cases(), elementwise_cases(), function_cases(),
                  reduction_cases(), norm_cases(), move_cases(),
                  transposed_cases(), other_rank_cases(), resize_cases(), layer_cases(),
                  recurrent_cases(), power_cases(), border_cases())
    wanted = [(c, run_onnxruntime(c)) for c in itertools.chain(*generators) if c.name.startswith(only)]
    wanted = [(c, want) for c, want in wanted if want is not None]
    failed = 0
    for first in range(0, len(wanted), CASES_PER_MODEL):
        part = wanted[first:first + CASES_PER_MODEL]
        got, complaint = run_qanat(command, via, [c for c, _ in part])
        if complaint:
            print(complaint)
        for i, (c, want) in enumerate(part):
            problem = difference(got[i], want) if i < len(got) else "no result"
            if problem:
                failed += 1
                print(f"{c.name}: {problem}")
    print(f"{len(wanted)} cases, {failed} differ")
    return 1 if failed or not wanted else 0


if __name__ == "__main__":
    sys.exit(main())
