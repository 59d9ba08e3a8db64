# REQUIRES: onnxruntime, onnx
# RUN: %python %s --qanat %qanat --count 300 --seed 1
"""Random ONNX graphs through Qanat and ONNX Runtime. Operators are drawn from frontend/onnx/onnx_ops.def, one in turn and up to
four more; their inputs and attributes from what onnx.defs says of them, with HINTS where random values would hardly fit. An
attempt that ONNX Runtime refuses is drawn anew. Integers and booleans must be equal, floats within 1e-4 of the largest and
what inputs that are off by some last places make of them.

usage: against_onnxruntime.py [--qanat FILE] [--seed S] [--count N] [--via process|llvm|c|interp] [--report]

A graph that differs is kept as FOLDER/SEED.onnx with its inputs, for --keep FOLDER."""
import argparse
import collections
import os
import pickle
import random
import re
import subprocess
import sys
import tempfile
import traceback

import numpy as np
import onnx
import onnx.defs
import onnxruntime
from onnx import helper, numpy_helper

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OPSETS = (9, 13, 17, 18, 21, 23)
ATTEMPTS = 60 # to draw an operator that ONNX Runtime takes
TOLERANCE, MOVED = 1e-4, 2e-6
TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": np.bool_,
         "tensor(uint8)": np.uint8, "tensor(int8)": np.int8}
# Not for random values: subgraphs, no data, other systems' operators, what is random itself.
LEFT_OUT = {"If", "Loop", "Scan", "Constant", "Dropout", "Optional"}
# Results jump where inputs move: only what has not been computed in floats may come in.
JUMPS = {"Floor", "Ceil", "Round", "Sign", "ArgMax", "ArgMin", "TopK", "Hardmax", "Cast", "CastLike", "Mod", "Equal", "Less", "LessOrEqual", "Greater",
         "GreaterOrEqual", "IsInf", "IsNaN", "ThresholdedRelu", "Shrink", "Div", "Reciprocal", "Tan", "Log", "Pow", "Acosh", "Atanh", "Unique",
         "NonMaxSuppression", "NonZero", "MaxUnpool", "QuantizeLinear", "DynamicQuantizeLinear", "RoiAlign", "MaxRoiPool"}
EXACT = {"Identity", "Reshape", "Transpose", "Slice", "Pad", "Concat", "Gather", "GatherElements", "GatherND", "Flatten", "Squeeze", "Unsqueeze", "Expand",
         "Tile", "Split", "DepthToSpace", "SpaceToDepth", "Relu", "Neg", "Abs", "MaxPool", "Max", "Min", "Where", "Trilu", "ReverseSequence"}

FLOATS_ONLY = {"ReduceLogSum", "ReduceLogSumExp"} # ONNX Runtime truncates within

Value = collections.namedtuple("Value", "name array exact")


# ---- what is known besides the schemas: the input's or attribute's value, from the random source and the arrays before it

def axes(rnd, arrays):
    rank = arrays[0].ndim
    return np.array(sorted(rnd.sample(range(rank), rnd.randint(1, max(rank, 1)) if rank else 0)), np.int64)


def new_shape(rnd, arrays):
    size, shape = arrays[0].size, []
    for _ in range(rnd.randint(0, 3)):
        factor = rnd.choice([d for d in range(1, size + 1) if size % d == 0] or [1])
        shape.append(factor)
        size //= factor
    return np.array(shape + [size], np.int64)


def wider(rnd, arrays):
    return np.array([rnd.randint(1, 3) for _ in range(rnd.randint(0, 1))] + [rnd.randint(1, 3) if d == 1 else d for d in arrays[0].shape], np.int64)


def borders(rnd, arrays):
    return np.array([rnd.randint(0, 1) for _ in range(2 * arrays[0].ndim)], np.int64)


def along(rnd, arrays, low=0):
    return np.array([rnd.randint(low, d) for d in arrays[0].shape], np.int64)


def indices(rnd, arrays):
    below = min(arrays[0].shape or (1,))
    return np.array([[rnd.randint(0, below - 1)] for _ in range(rnd.randint(1, 4))], np.int64)


def same_rank_indices(rnd, arrays):
    below = min(arrays[0].shape or (1,))
    shape = [rnd.randint(1, d) for d in arrays[0].shape]
    return np.array([rnd.randint(0, below - 1) for _ in range(int(np.prod(shape)))], np.int64).reshape(shape)


def like(number, dtype=None):
    return lambda rnd, arrays: floats(rnd, arrays[number].shape).astype(dtype or arrays[number].dtype)


def one(low, high, dtype=np.int64):
    return lambda rnd, arrays: np.array(rnd.randint(low, high), dtype)


def one_positive(rnd, arrays):
    return np.array(rnd.choice((0.01, 0.05, 0.25)), np.float32)


def filters(rnd, arrays):
    shape = [rnd.randint(1, 3) for _ in arrays[0].shape[2:]]
    return floats(rnd, [rnd.randint(1, 5), arrays[0].shape[1] if arrays[0].ndim > 1 else 1, *shape])


def channels(rnd, arrays):
    return floats(rnd, [arrays[0].shape[1] if arrays[0].ndim > 1 else 1])


def scaled(rnd, arrays):
    return np.array([1, 1, *(rnd.choice([0.5, 1, 1.5, 2, 3]) for _ in arrays[0].shape[2:])], np.float32)


def depth_pair(rnd, arrays):
    return np.array([0, 1], np.float32)


def lengths(rnd, arrays):
    shape = arrays[0].shape
    return np.array([rnd.randint(1, shape[0]) for _ in range(shape[1])], np.int64)


def recurrent(gates):
    """Inputs of LSTM, GRU and RNN: X, W, R, B for one direction and HIDDEN units."""
    return [lambda rnd, arrays: floats(rnd, [rnd.randint(1, 4), rnd.randint(1, 3), rnd.randint(1, 5)]),
            lambda rnd, arrays: floats(rnd, [1, gates * HIDDEN, arrays[0].shape[2]]), lambda rnd, arrays: floats(rnd, [1, gates * HIDDEN, HIDDEN]),
            lambda rnd, arrays: floats(rnd, [1, 2 * gates * HIDDEN])]


HIDDEN = 3
FIXED = {"hidden_size": HIDDEN, "sorted": 1} # unsorted: in any order
HINTS = {
    **{f"{op}.{name}": hint for op, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)) for name, hint in zip("XWRB", recurrent(gates))},
    **{f"{op}.{name}": None for op in ("LSTM", "GRU", "RNN") for name in ("sequence_lens", "initial_h", "initial_c", "P")},
    "y_scale": one_positive, "x_scale": one_positive, "axes": axes, "Reshape.shape": new_shape, "Expand.shape": wider, "ConstantOfShape.input": lambda rnd, arrays: np.array([2, rnd.randint(0, 3)], np.int64),
    "pads": borders, "Slice.starts": lambda rnd, arrays: along(rnd, arrays) // 2, "Slice.ends": along, "Tile.repeats": lambda rnd, arrays: along(rnd, arrays, 1) % 3 + 1,
    "Gather.indices": indices, "GatherND.indices": indices, "GatherElements.indices": same_rank_indices, "ScatterElements.indices": same_rank_indices,
    "ScatterElements.updates": like(1, np.float32), "Scatter.indices": same_rank_indices, "Scatter.updates": like(1, np.float32), "ScatterND.indices": indices,
    "ScatterND.updates": lambda rnd, arrays: floats(rnd, [arrays[1].shape[0], *arrays[0].shape[1:]]), "TopK.K": lambda rnd, arrays: np.array([rnd.randint(1, max(arrays[0].shape[-1:] or (1,)))], np.int64),
    "OneHot.depth": one(1, 6), "OneHot.values": depth_pair, "CumSum.axis": lambda rnd, arrays: np.array(rnd.randint(0, max(arrays[0].ndim - 1, 0)), np.int64),
    "Trilu.k": one(-2, 2), "Conv.W": filters, "ConvTranspose.W": filters, "BatchNormalization.scale": channels, "BatchNormalization.B": channels,
    "BatchNormalization.input_mean": channels, "BatchNormalization.input_var": lambda rnd, arrays: np.abs(channels(rnd, arrays)) + np.float32(0.1),
    "InstanceNormalization.scale": channels, "InstanceNormalization.B": channels, "Resize.scales": scaled, "Resize.roi": None, "Resize.sizes": None, "Upsample.scales": scaled,
    "GroupNormalization.scale": channels, "GroupNormalization.bias": channels, "LayerNormalization.Scale": lambda rnd, arrays: floats(rnd, arrays[0].shape[-1:]), "LayerNormalization.B": lambda rnd, arrays: floats(rnd, arrays[0].shape[-1:]),
    "RMSNormalization.scale": lambda rnd, arrays: floats(rnd, arrays[0].shape[-1:]), "PRelu.slope": lambda rnd, arrays: floats(rnd, arrays[0].shape[-1:]),
    "Range.start": one(0, 3), "Range.limit": one(4, 12), "Range.delta": one(1, 3), "ReverseSequence.sequence_lens": lengths, "Split.split": None,
    "MatMul.B": lambda rnd, arrays: floats(rnd, [arrays[0].shape[-1] if arrays[0].ndim else 1, rnd.randint(1, 6)]), "Gemm.B": lambda rnd, arrays: floats(rnd, [arrays[0].shape[-1] if arrays[0].ndim else 1, rnd.randint(1, 6)]),
    "Clip.min": lambda rnd, arrays: np.array(-rnd.random(), np.float32), "Clip.max": lambda rnd, arrays: np.array(rnd.random(), np.float32),
}
WORDS = {"auto_pad": ["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"], "mode": ["constant", "edge", "reflect", "nearest", "linear", "cubic", "DCR", "CRD"],
         "approximate": ["none", "tanh"], "reduction": ["none", "add", "mul", "min", "max"], "direction": ["LEFT", "RIGHT", "forward", "reverse"],
         "coordinate_transformation_mode": ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"], "nearest_mode": ["floor", "ceil", "round_prefer_floor"]}


# ---- values

def floats(rnd, shape):
    kind, count = rnd.randint(0, 2), int(np.prod(shape)) if len(shape) else 1
    draw = [lambda: rnd.uniform(-3, 3), lambda: rnd.randint(-3, 3), lambda: rnd.choice([0.5, -1.5, 2.0, 0.25, -0.125, 1.0])][kind]
    return np.array([draw() for _ in range(count)], np.float32).reshape(shape)


def values(rnd, shape, dtype):
    if dtype == np.float32:
        return floats(rnd, shape)
    count = int(np.prod(shape)) if len(shape) else 1
    if dtype == np.bool_:
        return np.array([rnd.random() < 0.5 for _ in range(count)], dtype).reshape(shape)
    return np.array([rnd.randint(1, 4) for _ in range(count)], dtype).reshape(shape) # not 0: no division by it


def random_shape(rnd):
    if rnd.random() < 0.5:
        return [rnd.randint(1, 2), rnd.choice([1, 2, 3, 4, 8]), rnd.randint(1, 7), rnd.randint(1, 7)]
    return [rnd.randint(1, 5) for _ in range(rnd.randint(0 if rnd.random() < 0.1 else 1, 5))]


def related_shape(rnd, shape):
    way = rnd.randint(0, 5)
    if way < 2:
        return list(shape)
    if way == 2:
        return [1 if rnd.random() < 0.4 else d for d in shape][rnd.randint(0, len(shape)):]
    return list(shape[-1:]) if way == 3 and shape else [d if rnd.random() < 0.7 else rnd.randint(1, 4) for d in shape]


def is_usable(array):
    """Not what systems differ in: what becomes of NaN and infinities, and of integers that overflow."""
    if array.size > 20000 or array.dtype.type not in TYPES.values():
        return False
    return array.dtype == np.bool_ or bool(np.all(np.isfinite(array)) and (array.dtype == np.float32 or np.all(np.abs(array.astype(np.float64)) < 1 << 30)))


# ---- one node

def allowed(schema, formal):
    if schema.name in FLOATS_ONLY and formal.type_str == "T":
        return [np.float32]
    for constraint in schema.type_constraints:
        if constraint.type_param_str == formal.type_str:
            return [TYPES[text] for text in constraint.allowed_type_strs if text in TYPES]
    return [TYPES[formal.type_str]] if formal.type_str in TYPES else []


def random_attribute(rnd, attribute, rank):
    kind, name = attribute.type, attribute.name
    if name in FIXED:
        return FIXED[name]
    if name in WORDS:
        return rnd.choice(WORDS[name])
    if kind == onnx.defs.OpSchema.AttrType.INT:
        if name == "to":
            return rnd.choice([onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.BOOL])
        if "axis" in name and rank:
            return rnd.randint(-rank, rank - 1)
        return rnd.randint(1, 3) if name in ("p", "group", "blocksize", "groups", "num_groups", "hidden_size", "num_outputs") else rnd.randint(0, 1)
    if kind == onnx.defs.OpSchema.AttrType.FLOAT:
        return round(rnd.uniform(0.1, 1.5), 3)
    if kind == onnx.defs.OpSchema.AttrType.INTS:
        if name in ("perm", "axes"):
            return rnd.sample(range(rank), rank if name == "perm" else rnd.randint(0, rank))
        spatial = max(rank - 2, 0)
        return [rnd.randint(0 if name == "pads" else 1, 2 if name in ("pads", "dilations") else 3) for _ in range(2 * spatial if name == "pads" else spatial)]
    return None


def random_attributes(rnd, schema, rank):
    attributes = {}
    for name, attribute in schema.attributes.items():
        if name in ("training_mode", "layout", "stash_type", "output_height", "output_width", "auto_pad", "storage_order") and rnd.random() < 0.9:
            continue
        if attribute.required or name in FIXED or rnd.random() < 0.35:
            value = random_attribute(rnd, attribute, rank)
            if value is not None and value != []:
                attributes[name] = value
    if schema.name in ("Conv", "ConvTranspose"):
        attributes.pop("kernel_shape", None)
    return attributes


class Graph:
    """A growing graph: values with what ONNX Runtime gives for them, nodes, constants."""

    def __init__(self, rnd):
        self.rnd, self.opset = rnd, rnd.choice(OPSETS)
        self.values, self.nodes, self.inputs, self.constants = [], [], {}, {}

    def add_input(self, array):
        name = f"in{len(self.inputs)}"
        self.inputs[name] = array
        self.values.append(Value(name, array, True))
        return self.values[-1]

    def model(self, nodes, outputs, inputs, constants):
        infos = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape) for name, array in inputs.items()]
        outs = [helper.make_value_info(name, onnx.TypeProto()) for name in outputs]
        weights = [numpy_helper.from_array(array, name) for name, array in constants.items()]
        graph = helper.make_graph(nodes, "random", infos, outs, weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)

    def draw(self, op):
        """One more node; False where it can't be drawn."""
        try:
            schema = onnx.defs.get_schema(op, self.opset)
        except onnx.defs.SchemaError:
            return False
        return not schema.deprecated and any(self.attempt(schema) for _ in range(ATTEMPTS))

    def first_operand(self, schema, dtypes):
        fitting = [value for value in self.values if value.array.dtype.type in dtypes and (value.exact or schema.name not in JUMPS)]
        if fitting and (self.nodes or self.rnd.random() < 0.3):
            return self.rnd.choice(fitting[-3:])
        if self.nodes:
            return None
        dtype = np.float32 if np.float32 in dtypes and self.rnd.random() < 0.8 else self.rnd.choice(dtypes)
        return Value(None, values(self.rnd, random_shape(self.rnd), dtype), True)

    def operand(self, schema, formal, bound, arrays):
        hint = HINTS.get(f"{schema.name}.{formal.name}", HINTS.get(formal.name, 0))
        if hint is None:
            return None
        if hint:
            return Value(None, hint(self.rnd, arrays), True)
        dtypes = [bound[formal.type_str]] if formal.type_str in bound else allowed(schema, formal)
        if not dtypes:
            return None
        dtype = np.float32 if np.float32 in dtypes else self.rnd.choice(dtypes)
        fitting = [value for value in self.values if value.array.dtype == dtype and (value.exact or schema.name not in JUMPS)]
        if fitting and self.rnd.random() < 0.2:
            return self.rnd.choice(fitting)
        return Value(None, values(self.rnd, related_shape(self.rnd, arrays[0].shape), dtype), True)

    def operands(self, schema):
        bound, chosen = {}, []
        for i, formal in enumerate(schema.inputs):
            if i and formal.option == onnx.defs.OpSchema.FormalParameterOption.Optional and self.rnd.random() < 0.4:
                break
            arrays = [value.array if value else None for value in chosen]
            value = self.operand(schema, formal, bound, arrays) if i else \
                self.first_operand(schema, allowed(schema, formal)) if not HINTS.get(f"{schema.name}.{formal.name}") else self.operand(schema, formal, bound, arrays)
            if value is None and (i == 0 or formal.option == onnx.defs.OpSchema.FormalParameterOption.Single):
                return None
            chosen.append(value)
            bound.setdefault(formal.type_str, value.array.dtype.type if value else None)
            if formal.option == onnx.defs.OpSchema.FormalParameterOption.Variadic:
                chosen += [self.operand(schema, formal, bound, [chosen[0].array]) for _ in range(self.rnd.randint(0, 2))]
        return chosen

    def attempt(self, schema):
        try:
            chosen = self.operands(schema)
        except (IndexError, ValueError): # a hint that wants another rank
            return False
        if chosen is None:
            return False
        names, feeds, number = [], {}, len(self.inputs) + len(self.constants)
        for i, value in enumerate(chosen):
            name = "" if value is None else value.name or f"new{number + i}"
            names.append(name)
            if value is not None:
                feeds[name] = value.array
        outputs = [f"v{len(self.values)}_{i}" for i in range(max(schema.min_output, 1))]
        rank = chosen[0].array.ndim if chosen else 0
        node = helper.make_node(schema.name, names, outputs, **random_attributes(self.rnd, schema, rank))
        results = run_onnxruntime(self.model([node], outputs, {}, feeds), {})
        if results is None or not all(is_usable(result) for result in results):
            return False
        return self.accept(schema, node, chosen, names, outputs, results)

    def accept(self, schema, node, chosen, names, outputs, results):
        for i, (value, name) in enumerate(zip(chosen, names)):
            if value is None or value.name:
                continue
            hinted = HINTS.get(f"{schema.name}.{schema.inputs[min(i, len(schema.inputs) - 1)].name}", HINTS.get(schema.inputs[min(i, len(schema.inputs) - 1)].name))
            shapes = value.array.dtype.type in (np.int64, np.int32) and i > 0
            if i == 0 and not hinted or not hinted and not shapes and self.rnd.random() < 0.3:
                node.input[i] = self.add_input(value.array).name
            else:
                self.constants[name] = value.array
        exact = schema.name in EXACT and all(value is None or value.exact for value in chosen)
        self.nodes.append(node)
        self.values += [Value(name, array, exact or array.dtype != np.float32) for name, array in zip(outputs, results)]
        return True


# ---- running

def run_onnxruntime(model, feeds):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    try:
        results = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, feeds)
        return [np.asarray(result, np.dtype(result.dtype.name)) for result in results] # int64 has two names in numpy
    except Exception: # its own kinds, one for each stage
        return None


def moved(rnd, feeds):
    return {name: (array * (1 + MOVED * np.array([rnd.choice((-1, 1)) for _ in range(array.size)]).reshape(array.shape)).astype(np.float32)
                   if array.dtype == np.float32 else array) for name, array in feeds.items()}


def bounds(rnd, graph, model, expected):
    """What each output may be off by: elements of float outputs."""
    off = [np.zeros(np.shape(array)) for array in expected]
    for _ in range(3):
        other = run_onnxruntime(graph.model(graph.nodes, [o.name for o in model.graph.output], graph.inputs, moved(rnd, graph.constants)), moved(rnd, graph.inputs))
        for i, array in enumerate(other or []):
            if array.dtype == np.float32 and array.shape == expected[i].shape:
                with np.errstate(invalid="ignore"):
                    off[i] = np.fmax(off[i], np.abs(array.astype(np.float64) - expected[i]))
    finite = [np.abs(array[np.isfinite(array)]).max(initial=0) if array.dtype == np.float32 else 0 for array in expected]
    return [TOLERANCE * size + 4 * np.max(each, initial=0, where=np.isfinite(each)) for size, each in zip(finite, off)]


def difference(expected, actual, bound):
    if actual.dtype != expected.dtype or actual.shape != expected.shape:
        return f"is {actual.dtype}{list(actual.shape)}, expected {expected.dtype}{list(expected.shape)}"
    if expected.dtype != np.float32:
        return None if np.array_equal(expected, actual) else f"is {actual.ravel()[:8]}, expected {expected.ravel()[:8]}"
    with np.errstate(invalid="ignore"):
        same = (np.abs(actual.astype(np.float64) - expected) <= bound) | (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    if np.all(same):
        return None
    at = int(np.argmin(same.ravel()))
    return f"element {at} is {actual.ravel()[at]:.9g}, expected {expected.ravel()[at]:.9g} within {bound:.3g}"


def run_qanat(arguments, model, feeds, folder):
    """Outputs by name, or the message."""
    path, out = os.path.join(folder, "model.onnx"), os.path.join(folder, "out.npz")
    onnx.save(model, path)
    command = [arguments.qanat, "run", path, "-o", out, "--via", arguments.via, "-j", "1"]
    for name, array in feeds.items():
        np.save(os.path.join(folder, name + ".npy"), array)
        command += ["-i", f"{name}={os.path.join(folder, name)}.npy"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        return None, done.returncode, done.stderr.strip().replace(folder + "/", "")
    with np.load(out) as arrays:
        return dict(arrays), 0, ""


def operators():
    with open(os.path.join(ROOT, "frontend/onnx/onnx_ops.def"), encoding="utf-8") as file:
        return [name for name in re.findall(r'^ONNX\("(\w+)"', file.read(), re.M) if name not in LEFT_OUT]


def draw_graph(seed, names):
    rnd = random.Random(seed)
    graph = Graph(rnd)
    if not graph.draw(names[seed % len(names)]):
        return None
    for _ in range(rnd.choice((0, 0, 1, 2, 3, 4))):
        graph.draw(rnd.choice(names))
    return graph


def describe(graph):
    return "; ".join(f"{node.op_type}({', '.join(node.input)})" for node in graph.nodes)


def check(arguments, seed, graph, refused):
    """None, or what is wrong."""
    rnd = random.Random(seed)
    outputs = list(dict.fromkeys([graph.values[-1].name, *(v.name for v in graph.values if v.name not in graph.inputs and rnd.random() < 0.3)]))
    model = graph.model(graph.nodes, outputs, graph.inputs, graph.constants)
    expected = run_onnxruntime(model, graph.inputs)
    if expected is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        actual, status, text = run_qanat(arguments, model, graph.inputs, folder)
    if status == 1:
        refused.append((seed, describe(graph), text.splitlines()[0] if text else ""))
        return None
    if status:
        return f"status {status}: {text[-300:]}"
    for name, want, bound in zip(outputs, expected, bounds(rnd, graph, model, expected)):
        fault = difference(want, actual[name], bound) if name in actual else "is missing"
        if fault:
            if arguments.keep:
                onnx.save(model, os.path.join(arguments.keep, f"{seed}.onnx"))
                np.savez(os.path.join(arguments.keep, f"{seed}.npz"), **graph.inputs)
            return f"output '{name}' {fault}"
    return None


def one_graph(arguments, seed, names):
    """(operators, refusal, fault); None where nothing was drawn."""
    graph, refused = draw_graph(seed, names), []
    if graph is None:
        return None
    fault = check(arguments, seed, graph, refused)
    return [node.op_type for node in graph.nodes], refused, fault and f"{describe(graph)}: {fault}"


def in_child(function, *arguments):
    """What the function returns, called in a process of its own: ONNX Runtime crashes on some models. None then."""
    end, start = os.pipe()
    child = os.fork()
    if not child:
        try:
            with os.fdopen(start, "wb") as file:
                pickle.dump(function(*arguments), file)
        except BaseException: # a child must not go on as its parent
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(start)
    with os.fdopen(end, "rb") as file:
        data = file.read()
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        sys.exit(f"seed {arguments[1]}: a fault of this program")
    return pickle.loads(data) if data and not status else None


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n\n")[0])
    parser.add_argument("--qanat", default=os.path.join(ROOT, "build", "bin", "qanat"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--via", default="process")
    parser.add_argument("--keep")
    parser.add_argument("--report", action="store_true")
    arguments = parser.parse_args()
    names, failed, made, refused, drawn = operators(), 0, 0, [], collections.Counter()
    for seed in range(arguments.seed, arguments.seed + arguments.count):
        result = in_child(one_graph, arguments, seed, names)
        if result is None:
            continue
        made += 1
        drawn.update(result[0])
        refused += result[1]
        if result[2]:
            failed += 1
            print(f"FAILED: seed {seed}: {result[2]}")
    if arguments.report:
        print("never drawn:", " ".join(sorted(name for name in names if not drawn[name])))
        for seed, text, message in refused:
            print(f"refused: seed {seed}: {text}: {message}")
    print(f"{made} graphs of {len(drawn)} operators, {len(refused)} refused, {failed} failed")
    return failed > 0 or made < arguments.count / 2 or len(refused) > made / 10


if __name__ == "__main__":
    sys.exit(main())
