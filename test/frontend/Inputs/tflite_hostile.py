"""TFLite files that say what no converter does: tflite_hostile.py CASE PATH."""
import struct
import sys

import tflite_writer
from tflite_writer import Model

MOST = 2**31 - 1


class Repeating(tflite_writer.Writer):
    """A tuple (table, count) is a list of one table, which lies in the file once."""

    def vector(self, kind, value):
        if not isinstance(value, tuple):
            return super().vector(kind, value)
        self.align(4)
        place, (item, count) = len(self.out), value
        self.out += struct.pack("<I", count) + bytes(4 * count)
        at = self.table(item)
        for i in range(count):
            self.point(place + 4 + 4 * i, at)
        return place


def empty_of_many(m):
    x, y = m.input("x", [0] + [MOST] * 7), m.tensor("y", [])
    m.op("SQUEEZE", [x], [y])
    return [y]


def name_with_lines(m):
    x, y = m.input("x", [2]), m.tensor("y\nerror: made up", [3])
    m.op("RELU", [x], [y])
    return [y]


def depthwise_weight_of_8(m):
    x, w, y = m.input("x", [1, 4, 4, 2]), m.input("w", [1, 3, 3, 2]), m.tensor("y", [1, 4, 4, 2])
    open_shape = m.tensor("open", [1, 3, 3, 2], shape_signature=[-1, 3, 3, 2])
    m.op("RESHAPE", [w, m.tensor("shape", [8], "int32", [1, 3, 3, 2, 1, 1, 1, 1])], [open_shape])
    m.op("DEPTHWISE_CONV_2D", [x, open_shape, -1], [y], "DepthwiseConv2DOptions", stride_w=1, stride_h=1)
    return [y]


def transposed(m, in_shape, w_shape, data):
    x, y = m.input("x", in_shape), m.tensor("y", [])
    shape = m.tensor("shape", [4], "int32", [1, 4, 4, w_shape[0]])
    m.op("TRANSPOSE_CONV", [shape, m.tensor("w", w_shape, "float32", data), x], [y], "TransposeConvOptions", stride_w=1 << 20, stride_h=1 << 20)
    return [y]


def transposed_strides(m):
    return transposed(m, [1, 2, 2, 1], [1, 1, 1, 1], [1.0])


def transposed_empty(m):
    return transposed(m, [1, 2, 2, 0], [1 << 30, 1, 1, 0], [])


def batch_blocks(m):
    x, y = m.input("x", [MOST, 0, 0, 0, 1]), m.tensor("y", [])
    m.op("SPACE_TO_BATCH_ND", [x, m.tensor("blocks", [3], "int32", [1 << 15] * 3), m.tensor("pads", [3, 2], "int32", [0] * 6)], [y])
    return [y]


def pool_window(m):
    x, y = (make("xy"[i], [1, 2, 2, 1], "int8", scale=0.1) for i, make in enumerate((m.input, m.tensor)))
    m.op("AVERAGE_POOL_2D", [x], [y], "Pool2DOptions", stride_w=1, stride_h=1, filter_width=1 << 20, filter_height=1 << 20)
    return [y]


def repeated_operator(m):
    x = m.input("x", [1])
    m.op("RANGE", [m.tensor("", [], "int32", [number]) for number in (0, 1 << 16, 1)], [-1])
    m.operators = (m.operators[0], 100000)
    return [x]


def repeated_links(m):
    x = m.input("x", [1])
    m.op("CONCATENATION", [x] * 100000, [-1], "ConcatenationOptions")
    m.operators = (m.operators[0], 100000)
    return [x]


def unrolled(m):
    x, ones = m.input("x", [1, 4096, 1]), m.tensor("ones", [1, 1], "float32", [1.0])
    bias, state = m.tensor("bias", [1], "float32", [0.0]), m.tensor("state", [1, 1], is_variable=True)
    for i in range(500):
        y = m.tensor("y%d" % i, [1, 4096, 1])
        m.op("UNIDIRECTIONAL_SEQUENCE_RNN", [x, ones, ones, bias, state], [y], "SequenceRNNOptions", fused_activation_function=4)
        x = y
    return [x]


def variable(m, start_shape, once=1):
    """y = x + v; v = y: v begins with what graph 1 assigns."""
    x, y, read = m.input("x", [2]), m.tensor("y", [2]), m.tensor("read", [2])
    first = m.graph()
    for graph in first, m:
        graph.handle = graph.tensor("handle", [], "resource")
        graph.op("VAR_HANDLE", [], [graph.handle], "VarHandleOptions", shared_name="v")
    if start_shape:
        first.op("ASSIGN_VARIABLE", [first.handle, first.tensor("start", start_shape, "float32", [1.0] * start_shape[0])], [])
    m.op("CALL_ONCE", [], [], "CallOnceOptions", init_subgraph_index=once)
    m.op("READ_VARIABLE", [m.handle], [read])
    m.op("ADD", [x, read], [y], "AddOptions")
    m.op("ASSIGN_VARIABLE", [m.handle, y], [])
    return first, [y]


def variable_of_two_types(m):
    return variable(m, [3])[1]


def graph_beyond(m):
    return variable(m, [2], 7)[1]


def graph_that_calls_itself(m):
    first, outputs = variable(m, [2])
    first.op("CALL_ONCE", [], [], "CallOnceOptions", init_subgraph_index=1)
    return outputs


def start_that_reads(m):
    first, outputs = variable(m, None)
    read = first.tensor("read", [2])
    first.op("READ_VARIABLE", [first.handle], [read])
    first.op("ASSIGN_VARIABLE", [first.handle, read], [])
    return outputs


def no_handle(m):
    x, y = m.input("x", [2]), m.tensor("y", [2])
    m.op("READ_VARIABLE", [x], [y])
    return [y]


def branch_into_itself(m):
    """Graph 1 is its own branch."""
    first = m.graph()
    for graph in m, first:
        condition = graph.tensor("c", [1], "bool", [True]) if graph is first else graph.input("x", [1], "bool")
        graph.op("IF", [condition], [graph.tensor("y", [1], "bool")], "IfOptions", then_subgraph_index=1, else_subgraph_index=1)
    first.outputs = [1]
    return [1]


def state_of_branch(m):
    first, x, y = m.graph(), m.input("x", [1], "bool"), m.tensor("y", [1, 1])
    one = lambda shape, **more: first.tensor("t%d" % len(first.tensors), shape, **more)  # noqa: E731
    weight, bias, first.outputs = one([1, 1], data=[1.0]), one([1], data=[1.0]), [one([1, 1])]
    first.op("RNN", [weight, weight, weight, bias, one([1, 1], is_variable=True)], first.outputs, "RNNOptions")
    m.op("IF", [x], [y], "IfOptions", then_subgraph_index=1, else_subgraph_index=1)
    return [y]


def handle_that_is_a_state(m):
    x, handle, y = m.input("x", [1, 1]), m.tensor("handle", [1, 1], is_variable=True), m.tensor("y", [1, 1])
    weight, bias = m.tensor("w", [1, 1], data=[1.0]), m.tensor("b", [1], data=[1.0])
    m.op("VAR_HANDLE", [], [handle], "VarHandleOptions", shared_name="v")
    m.op("RNN", [x, weight, weight, bias, handle], [y], "RNNOptions")
    return [y]


tflite_writer.Writer = Repeating
model = Model()
model.save(sys.argv[2], globals()[sys.argv[1]](model))
