"""Cases of tflite_cases.py that keep something from run to run. STREAMS: their names; each is run several times in a row."""
import numpy as np

import tflite_cases
from tflite_cases import CASES, state, weights

RUNS = 3
first = len(CASES)
case = tflite_cases.case


@case("f")
def lstm_one_step(c):
    units = 4
    gates = lambda *shape: [list(shape)] * 4  # noqa: E731
    given = [c.activation([2, 3])] + weights(c, *gates(units, 3), *gates(units, units), *[None] * 3, *gates(units), None, None)
    given += [state(c, 2, units), state(c, 2, units)]
    y = c.result([2, units])
    c.m.op("LSTM", given, [y], "LSTMOptions", fused_activation_function=4, cell_clip=0.75)
    return y


@case("f")
def rnn_one_step(c):
    y = c.result([2, 5])
    c.m.op("RNN", [c.activation([2, 3])] + weights(c, [5, 3], [5, 5], [5]) + [state(c, 2, 5)], [y], "RNNOptions", fused_activation_function=4)
    return y


def both_lstm(c, merged, aux):
    units, wide = 4, 3
    way = lambda: weights(c, *[[units, 3]] * 4, *[[units, wide]] * 4, *[[units]] * 3, *[[units]] * 4, [wide, units], [wide])  # noqa: E731
    given = [c.activation([5, 2, 3])] + way() + way() + [state(c, 2, width) for width in (wide, units) * 2]
    given += [c.activation([5, 2, 3]) if aux else -1] + (weights(c, *[[units, 3]] * 8) if aux == "weighed" else [-1] * 8)
    outputs = [c.result([5, 2, 2 * wide])] if merged else [c.result([5, 2, wide]), c.result([5, 2, wide], name="z")]
    c.m.op("BIDIRECTIONAL_SEQUENCE_LSTM", given, outputs, "BidirectionalSequenceLSTMOptions", fused_activation_function=4, merge_outputs=merged,
           time_major=True)
    return outputs


@case("f")
def both_lstm_merged(c):
    return both_lstm(c, True, None)


@case("f")
def both_lstm_weighed(c):
    return both_lstm(c, False, "weighed")


@case("f")
def both_lstm_crossed(c):
    return both_lstm(c, False, "crossed")


def both_rnn(c, merged, aux, time_major):
    shape = [5, 2, 3] if time_major else [2, 5, 3]
    given = [c.activation(shape)] + (weights(c, [4, 3], [4, 4], [4]) + [state(c, 2, 4)]) + (weights(c, [4, 3], [4, 4], [4]) + [state(c, 2, 4)])
    given += [c.activation(shape)] + weights(c, [4, 3], [4, 3]) if aux else [-1] * 3
    outputs = [c.result([*shape[:2], 8])] if merged else [c.result([*shape[:2], 4]), c.result([*shape[:2], 4], name="z")]
    c.m.op("BIDIRECTIONAL_SEQUENCE_RNN", given, outputs, "BidirectionalSequenceRNNOptions", fused_activation_function=1, merge_outputs=merged,
           time_major=time_major)
    return outputs


@case("f")
def both_rnn_merged(c):
    return both_rnn(c, True, False, True)


@case("f")
def both_rnn_weighed(c):
    return both_rnn(c, False, True, False)


@case("i8")
def svdf_whole(c):
    """The state in 16 bits."""
    y = c.result([2, 4], scale=0.02, zero=-128)  # TFLite takes it that relu is what the type leaves
    number = lambda shape, low, high, kind, scale: c.m.tensor("t%d" % len(c.m.tensors), shape, kind, c.random.draw(shape, low, high), scale=scale)  # noqa: E731
    given = [c.activation([2, 6]), number([8, 6], -127, 128, "int8", 0.01), number([8, 5], -3000, 3000, "int16", 0.0003),
             number([4], -3000, 3000, "int32", 0.0003 * 0.002),
             c.m.tensor("memory", [2, 40], "int16", scale=0.002, is_variable=True)]
    c.m.op("SVDF", given, [y], "SVDFOptions", rank=2, fused_activation_function=1)
    return y


# ---- variables

def handle(m, name):
    tensor = m.tensor("handle_" + name, [], "resource")
    m.op("VAR_HANDLE", [], [tensor], "VarHandleOptions", container="", shared_name=name)
    return tensor


def start(c, **values):
    """A graph that runs once: variables by name, with tensors as they are given to Model.tensor."""
    once = c.m.graph()
    for name, (shape, kind, data, more) in values.items():
        value = once.tensor("start_" + name, shape, kind, np.asarray(data), **more)
        once.op("ASSIGN_VARIABLE", [handle(once, name), value], [])
    c.m.op("CALL_ONCE", [], [], "CallOnceOptions", init_subgraph_index=once.number)


def read(c, variable, shape, kind="float32", **more):
    value = c.m.tensor("read%d" % len(c.m.tensors), shape, kind, **more)
    c.m.op("READ_VARIABLE", [variable], [value])
    return value


@case("f")
def variable_sum(c):
    """What is read before the assignment, and after it."""
    a, y = c.activation([2, 3]), c.result([2, 3])
    start(c, total=([2, 3], "float32", [[1, 2, 3], [-4, 5, -6]], {}))
    total = handle(c.m, "total")
    before, next_ = read(c, total, [2, 3]), c.m.tensor("next", [2, 3])
    c.m.op("ADD", [before, a], [next_], "AddOptions")
    c.m.op("ASSIGN_VARIABLE", [total, next_], [])
    after = read(c, total, [2, 3])
    c.m.op("MUL", [before, after], [y], "MulOptions")
    return y


@case("f")
def variable_swap(c):
    """Two variables change places in each run; a third never changes, and is the weight of a convolution."""
    a, y = c.activation([1, 2, 2, 2]), c.result([1, 2, 2, 1])
    start(c, one=([1], "float32", [3], {}), two=([1], "float32", [-5], {}), weight=([1, 1, 1, 2], "float32", [[[[2, 0.5]]]], {}))
    one, two, weight = handle(c.m, "one"), handle(c.m, "two"), handle(c.m, "weight")
    x, z = read(c, one, [1]), read(c, two, [1])
    c.m.op("ASSIGN_VARIABLE", [one, z], [])
    c.m.op("ASSIGN_VARIABLE", [two, x], [])
    image = c.m.tensor("image", [1, 2, 2, 1])
    c.m.op("CONV_2D", [a, read(c, weight, [1, 1, 1, 2]), c.constant([0.25], "float32")], [image], "Conv2DOptions", padding=1, stride_w=1, stride_h=1)
    c.m.op("MUL", [image, read(c, one, [1])], [y], "MulOptions")
    return y


@case("i8")
def variable_line(c):
    """A ring of the last columns, as streaming convolutions keep it."""
    a = c.activation([1, 1, 3])
    y = c.result([1, 4, 3])
    q = {"scale": 0.05, "zero": 3}
    start(c, line=([1, 3, 3], "int8", np.full([1, 3, 3], 3), q))
    line = handle(c.m, "line")
    whole, rest = c.m.tensor("whole", [1, 4, 3], "int8", **q), c.m.tensor("rest", [1, 3, 3], "int8", **q)
    c.m.op("CONCATENATION", [read(c, line, [1, 3, 3], "int8", **q), a], [whole], "ConcatenationOptions", axis=1)
    c.m.op("STRIDED_SLICE", [whole, c.constant([0, 1, 0]), c.constant([1, 4, 3]), c.constant([1, 1, 1])], [rest], "StridedSliceOptions")
    c.m.op("ASSIGN_VARIABLE", [line, rest], [])
    c.m.op("ADD", [whole, whole], [y], "AddOptions")
    return y


STREAMS = {name for name, _, _ in CASES[first:]} | {"lstm_plain_f", "lstm_with_everything_f", "rnn_f", "svdf_f"}
