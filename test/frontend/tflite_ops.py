# REQUIRES: numpy
# RUN: %python %s %qanat %t
"""One model an operator against what TFLite's reference kernels gave, as recorded in Inputs/tflite_recorded.json: floats within
1e-5 of the largest, integers within one quantum. What keeps states is run several times in a row. usage: tflite_ops.py QANAT SCRATCH [CASE...]; with --record in
place of QANAT, the record of these cases, or of all, is made anew by ai_edge_litert."""
import json
import os
import subprocess
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "Inputs"))
import tflite_cases  # noqa: E402
import tflite_detection  # noqa: E402, F401
import tflite_more  # noqa: E402, F401
from tflite_states import RUNS, STREAMS  # noqa: E402
from tflite_writer import Model  # noqa: E402

RECORD = os.path.join(HERE, "Inputs", "tflite_recorded.json")
qanat, scratch, *only = sys.argv[1:]
os.makedirs(scratch, exist_ok=True)


def save(name):
    model, path = Model(), os.path.join(scratch, name + ".tflite")
    values, outputs = tflite_cases.make(model, name)
    model.save(path, outputs)
    return path, values, [model.tensors[i]["name"] for i in outputs]


def sum_i8(x):
    return np.clip(np.round((x - 3.0).sum(axis=(1, 2)) * (0.05 / 0.3)) + 3, -128, 127).astype("int8")


# What the reference kernels of ai_edge_litert 2.3 lack, or get wrong (sums of int8 along two axes), by numpy.
FORMULAS = {"sum_i8": sum_i8, "ceil_f": np.ceil, "round_f": np.round, "elu_f": lambda x: np.where(x < 0, np.expm1(x), x),
            "broadcast_to_f": lambda x: np.broadcast_to(x, (2, 3, 4))}


def reference(name, path, values):
    if name in FORMULAS:
        result = FORMULAS[name](values[0])
        return [result if name.endswith("i8") else result.astype("float32")]
    from ai_edge_litert.interpreter import Interpreter, OpResolverType
    model = Interpreter(path, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    model.allocate_tensors()
    for detail, value in zip(model.get_input_details(), values):
        model.set_tensor(detail["index"], value)
    runs = []
    for _ in range(RUNS if name in STREAMS else 1):
        model.invoke()
        runs.append([model.get_tensor(detail["index"]) for detail in model.get_output_details()])
    return [np.concatenate(results) if len(runs) > 1 else results[0] for results in zip(*runs)]


def run(name, path, values):
    stream = name in STREAMS
    command = [qanat, "run", path, "-o", os.path.join(scratch, "out.npz"), "-j", "1"] + ["--keep-state"] * stream
    for i, value in enumerate(values):
        np.save(os.path.join(scratch, f"in{i}.npy"), np.concatenate([value] * RUNS) if stream else value)
        command += ["-i", f"{'abcdefgh'[i]}={scratch}/in{i}.npy"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (np.load(os.path.join(scratch, "out.npz")), "") if done.returncode == 0 else (None, done.stderr.strip())


def difference(actual, expected):
    """In quanta, or of floats in units of what is allowed."""
    if list(actual.shape) != list(expected.shape):
        return f"has the shape {actual.shape}, expected {expected.shape}"
    apart = np.abs(actual.astype("float64") - expected.astype("float64")).max() if expected.size else 0
    allowed = 1e-5 * max(1, np.abs(expected).max()) if actual.dtype.kind == "f" else 0 if actual.dtype.kind in "b" or expected.dtype in ("int32", "int64") else 1
    return "" if apart <= allowed else f"is {apart} apart, at most {allowed} is allowed"


names = [name for name, _, _ in tflite_cases.CASES if not only or name in only]
if qanat == "--record":
    record = {}
    if only:
        with open(RECORD, encoding="utf-8") as file:
            record = json.load(file)
    for name in names:
        path, values, _ = save(name)
        results = reference(name, path, values)
        record[name] = [[str(result.dtype), list(result.shape), [float(f"{x:.9g}") if result.dtype.kind == "f" else int(x) for x in result.ravel()]]
                        for result in results]
    with open(RECORD, "w", encoding="utf-8") as file:
        file.write("{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(value, separators=(',', ':'))}" for name, value in record.items()) + "\n}\n")
    sys.exit()

with open(RECORD, encoding="utf-8") as file:
    record = json.load(file)
faults = [] if only or len(record) == len(names) else ["the record does not hold all cases"]
for name in names:
    path, values, outputs = save(name)
    results, message = run(name, path, values)
    if results is None:
        faults.append(f"{name}: {message}")
        continue
    for output, (kind, shape, numbers) in zip(outputs, record[name]):
        actual, expected = results[output], np.array(numbers, kind).reshape(shape)
        fault = difference(actual, expected) if actual.dtype == expected.dtype else f"is of {actual.dtype}, expected {kind}"
        if fault:
            faults.append(f"{name}: {output} {fault}")
print("\n".join(faults) or f"{len(names)} models agree")
sys.exit(bool(faults))
