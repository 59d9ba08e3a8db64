# RUN: %python %s %qanat
# REQUIRES: onnxruntime, onnx
"""The interpreter against an independent truth: small ONNX models of one node, with many combinations of attributes,
run by ONNX Runtime and by `qanat run --via interp`. Prints the cases that differ; exit status 1 if there are any,
77 (skipped) where ONNX Runtime or onnx is not installed. Usage: against_onnxruntime.py QANAT [VIA] [FILTER]"""
import itertools
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    import onnxruntime
    from onnx import helper, numpy_helper
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

OPSET = 19
random = np.random.RandomState(0)


def numbers(*shape):
    return random.randint(-8, 9, shape).astype(np.float32) / 2


def case(op, inputs, constants=(), **attributes):
    """A model of one node: `inputs` are fed, `constants` are initializers behind them."""
    names = [f"x{i}" for i in range(len(inputs))]
    held = [f"c{i}" if value is not None else "" for i, value in enumerate(constants)]
    node = helper.make_node(op, names + held, ["y"], **attributes)
    graph = helper.make_graph(
        [node], op,
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
         for n, v in zip(names, inputs)],
        [helper.make_tensor_value_info("y", 1, None)],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in zip(held, constants) if v is not None])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    return f"{op} {[v.shape for v in inputs]} {attributes}", model, dict(zip(names, inputs))


def conv_cases():
    shapes = [((1, 3, 7, 6), (4, 3, 3, 2), 1), ((2, 4, 6, 6), (4, 1, 3, 3), 4), ((1, 4, 5, 8), (6, 2, 1, 3), 2),
              ((1, 2, 6, 5), (4, 1, 2, 2), 2)]
    settings = itertools.product([[1, 1], [2, 1], [3, 2]], [[0, 0, 0, 0], [1, 0, 2, 1]], [[1, 1], [2, 2]], [0, 1])
    for ((x, w, group), (strides, pads, dilations, bias)) in itertools.product(shapes, settings):
        yield case("Conv", [numbers(*x)], [numbers(*w)] + [numbers(w[0])] * bias, strides=strides, pads=pads,
                   dilations=dilations, group=group)
    for auto_pad in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        yield case("Conv", [numbers(1, 2, 7, 6)], [numbers(3, 2, 3, 4)], strides=[2, 3], auto_pad=auto_pad)


def pool_cases():
    settings = itertools.product([[2, 2], [3, 2], [3, 3]], [[1, 1], [2, 3], [3, 2]], [[0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 0, 1]],
                                 [[1, 1], [2, 1]], [0, 1])
    for kernel, strides, pads, dilations, ceil in settings:
        x = numbers(1, 3, 8, 7)
        shared = dict(kernel_shape=kernel, strides=strides, pads=pads, ceil_mode=ceil, dilations=dilations)
        yield case("MaxPool", [x], **shared)
        for count in (0, 1):
            yield case("AveragePool", [x], count_include_pad=count, **shared)
    for auto_pad in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        for op in ("MaxPool", "AveragePool"):
            yield case(op, [numbers(1, 2, 7, 8)], kernel_shape=[3, 2], strides=[2, 2], auto_pad=auto_pad)
    yield case("GlobalAveragePool", [numbers(2, 3, 4, 5)])


def product_cases():
    for a, b in (((3, 4), (4, 2)), ((2, 3, 4), (4, 5)), ((2, 1, 3, 4), (3, 4, 2)), ((4,), (4, 3)), ((2, 3, 4), (4,))):
        yield case("MatMul", [numbers(*a), numbers(*b)])
        yield case("MatMul", [numbers(*a)], [numbers(*b)])
    for trans_a, trans_b, bias in itertools.product((0, 1), (0, 1), (None, (5,), (3, 5), (3, 1))):
        a, b = numbers(*((4, 3) if trans_a else (3, 4))), numbers(*((5, 4) if trans_b else (4, 5)))
        constants = [b] + ([numbers(*bias)] if bias else [])
        yield case("Gemm", [a], constants, transA=trans_a, transB=trans_b, alpha=0.5, beta=2.0)


def elementwise_cases():
    for op in ("Add", "Sub", "Mul", "Div"):
        for a, b in (((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (3, 1)), ((4,), (2, 1, 1)), ((2, 3), ())):
            yield case(op, [numbers(*a), np.asarray(numbers(*b) + np.float32(8.25))])
    x = np.linspace(-9, 9, 77, dtype=np.float32).reshape(7, 11)
    for op in ("Relu", "Sigmoid", "Tanh", "Exp", "HardSwish"):
        yield case(op, [x])
    yield case("Sqrt", [np.abs(x)])
    for op in ("LeakyRelu", "HardSigmoid"):
        yield case(op, [x])
        yield case(op, [x], alpha=0.3)
    yield case("HardSigmoid", [x], alpha=0.3, beta=0.1)
    low, high = np.float32(-1.5), np.float32(2)
    for constants in ([low, high], [low], [None, high], []):
        yield case("Clip", [x], constants)


def norm_cases():
    parameters = [numbers(3), numbers(3), numbers(3), np.abs(numbers(3)) + 1]
    yield case("BatchNormalization", [numbers(2, 3, 4, 5)], parameters)
    yield case("BatchNormalization", [numbers(2, 3)], parameters, epsilon=0.1)
    for axis in (-1, 0, 1, 2):
        yield case("Softmax", [numbers(2, 3, 4)], axis=axis)
    for axes in ([0], [1, 2], [-1], [0, 1, 2]):
        for keep in (0, 1):
            yield case("ReduceMean", [numbers(3, 4, 5)], [np.array(axes)], keepdims=keep)


def move_cases():
    x = numbers(2, 3, 4)
    for perm in itertools.permutations(range(3)):
        yield case("Transpose", [x], perm=perm)
    for shape in ([6, 4], [-1], [0, -1, 2, 2]):
        yield case("Reshape", [x], [np.array(shape)])
    for starts, ends, axes, steps in (([1], [3], [2], [1]), ([0, 1], [2, 100], [0, 2], [1, 2]), ([-1], [-100], [1], [-1]),
                                      ([3, 2], [0, -9], [2, 1], [-2, -1]), ([5], [9], [2], [1])):
        yield case("Slice", [x], [np.array(v) for v in (starts, ends, axes, steps)])
    for pads in ([0, 1, 0, 0, 0, 2], [1, 1, 1, 1, 1, 1], [0, -1, 2, 0, 0, -1]):
        yield case("Pad", [x], [np.array(pads)])
        yield case("Pad", [x], [np.array(pads), np.float32(-0.75)])
    for axis in (0, 1, -1):
        yield case("Concat", [x, x + 1, x], axis=axis)
        yield case("Gather", [x], [np.array([[1, 0], [-1, 1]])], axis=axis)
    yield case("Gather", [x], [np.array(-1)], axis=1)
    yield case("Expand", [numbers(3, 1)], [np.array([2, 1, 4])])
    yield case("Flatten", [x], axis=2)


def run_qanat(command, via, model, feeds):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        onnx.save(model, path)
        arguments = [command, "run", path, "--via", via, "-o", os.path.join(folder, "out.npz")]
        for name, value in feeds.items():
            np.save(os.path.join(folder, name + ".npy"), value)
            arguments += ["-i", f"{name}={os.path.join(folder, name)}.npy"]
        done = subprocess.run(arguments, capture_output=True, text=True)
        if done.returncode:
            return None, done.stderr.strip()
        outputs = np.load(os.path.join(folder, "out.npz"))
        return outputs[outputs.files[0]], ""


def difference(got, want):
    """What is wrong, or an empty string. Sums in double against single: within a few units in the last place."""
    if got.size != want.size or (got.ndim == want.ndim and got.shape != want.shape):
        return f"shape {got.shape}, expected {want.shape}"
    if not want.size:
        return ""
    error = np.max(np.abs(got.reshape(want.shape).astype(np.float64) - want))
    bound = 2e-6 * max(1.0, float(np.max(np.abs(want))))
    return "" if error <= bound else f"max error {error:.3g}"


def main():
    command, via = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "interp"
    only = sys.argv[3] if len(sys.argv) > 3 else ""
    failed = count = 0
    onnxruntime.set_default_logger_severity(4)
    for name, model, feeds in itertools.chain(conv_cases(), pool_cases(), product_cases(), elementwise_cases(),
                                              norm_cases(), move_cases()):
        if not name.startswith(only):
            continue
        try:
            session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
            want = session.run(None, feeds)[0]
        except Exception as error:  # a combination that ONNX Runtime refuses decides nothing
            print(f"not run by ONNX Runtime: {name}: {str(error).splitlines()[0]}")
            continue
        count += 1
        got, problem = run_qanat(command, via, model, feeds)
        problem = problem or difference(got, want)
        if problem:
            failed += 1
            print(f"{name}: {problem}")
    print(f"{count} cases, {failed} differ")
    return 1 if failed or not count else 0


if __name__ == "__main__":
    sys.exit(main())
