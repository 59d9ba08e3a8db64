"""ONNX's own backend tests, through code that Qanat compiled.

usage: run.py [--qanat FILE] [--set package|debian|all] [-k TEXT]... [--via llvm|c|process|interp] [--jobs N] [-v]
              [--markdown FILE] [--check FILE]

Sets: `package` is what the PyPI package onnx holds (node tests, simple, pytorch-converted, pytorch-operator), `debian` the
same of Debian's libonnx-testdata, which is older. A test passes when every output has the shape, the element type and the
values that ONNX states, within the tolerances that ONNX's runner uses (1e-3 relative and 1e-7, or the test's own).

Tests often feed axes, sizes and the like as inputs. What a shape depends on must be known when the model is compiled: such
an input is given by --constant, when the compiler asks for it.

-k runs the tests whose name contains a TEXT (^TEXT$: exactly it). --markdown writes docs/conformance.md. --check compares
with it: status 1 if a test fails that is not listed there, or one that is listed passes."""
import argparse
import collections
import glob
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEBIAN = "/usr/share/libonnx-testdata/data"
FOLDERS = ("simple", "pytorch-converted", "pytorch-operator")
LIMIT_S = 120
BFLOAT16_RTOL = 2**-6 # as ONNX's runner has it: two of its last places
FREEZES = 12 # inputs that are tried one after the other

Case = collections.namedtuple("Case", "group name model data rtol atol") # data: [(inputs, outputs)]
Result = collections.namedtuple("Result", "group name verdict detail") # passed, constants, folded, failed, or a reason


# ---- reading the tests

def from_file(path, value_type):
    """A tensor of a .pb file; None where the input or output is no tensor."""
    if value_type.WhichOneof("value") != "tensor_type":
        return None
    tensor = TensorProto()
    with open(path, "rb") as file:
        tensor.ParseFromString(file.read())
    return numpy_helper.to_array(tensor)


def from_folder(group, path):
    model = onnx.load(os.path.join(path, "model.onnx"))
    initializers = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in initializers]
    data = []
    for folder in sorted(glob.glob(os.path.join(path, "test_data_set_*"))):
        data.append(tuple([from_file(os.path.join(folder, f"{kind}_{i}.pb"), value.type) for i, value in enumerate(values)
                           if os.path.exists(os.path.join(folder, f"{kind}_{i}.pb"))]
                          for kind, values in (("input", inputs), ("output", model.graph.output))))
    return Case(group, os.path.basename(path), model, data, 1e-3, 1e-7)


def folder_cases(group, base, folders):
    for folder in folders:
        for path in sorted(glob.glob(os.path.join(base, folder, "*", "model.onnx"))):
            yield from_folder(group, os.path.dirname(path))


def package_cases():
    from onnx.backend.test.loader import load_model_tests
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nodes = load_model_tests(kind="node")
    for test in nodes:
        yield Case("package", test.name, test.model, test.data_sets, test.rtol, test.atol)
    yield from folder_cases("package", os.path.join(os.path.dirname(onnx.backend.test.__file__), "data"), FOLDERS)


def debian_cases():
    if not os.path.isdir(DEBIAN):
        sys.exit(f"run.py: {DEBIAN} is missing: install libonnx-testdata")
    return folder_cases("debian", DEBIAN, ("node", *FOLDERS))


# ---- what is out of scope: decided by the model, never by how the compiler fares

ELEMS = {name: number for name, number in TensorProto.DataType.items()}
SMALL = {ELEMS[name] for name in ELEMS if re.match(r"FLOAT8|FLOAT4|U?INT[24]$", name)}
RANDOM = {"Bernoulli", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial"}
TRAINING = "training"


def nodes_of(graph):
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else attribute.graphs:
                yield from nodes_of(inner)


def is_training(node):
    """The node is asked to behave as in training."""
    return "training" in node.domain or any(a.name == "training_mode" and a.i for a in node.attribute) \
        or node.op_type == "Dropout" and len(node.input) > 2 and bool(node.input[2])


def all_nodes(model):
    yield from nodes_of(model.graph)
    for function in model.functions:
        yield from nodes_of(function)


def elems_of(model):
    """Element types of inputs, outputs, initializers, constants and casts."""
    for value in [*model.graph.input, *model.graph.output, *model.graph.value_info]:
        if value.type.WhichOneof("value") == "tensor_type":
            yield value.type.tensor_type.elem_type
    for tensor in model.graph.initializer:
        yield tensor.data_type
    for node in all_nodes(model):
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t.data_type
            elif attribute.name in ("to", "dtype", "output_dtype") and attribute.type == onnx.AttributeProto.INT:
                yield attribute.i


def out_of_scope(model):
    """Why the test is not for this compiler; None when it is."""
    nodes, elems = list(all_nodes(model)), set(elems_of(model))
    ops, domains = {node.op_type for node in nodes}, {node.domain for node in nodes}
    kinds = {value.type.WhichOneof("value") for value in [*model.graph.input, *model.graph.output]}
    if any(is_training(node) for node in nodes):
        return TRAINING
    if ELEMS["STRING"] in elems or any(op.startswith(("String", "Regex")) for op in ops):
        return "strings"
    if "sequence_type" in kinds or any("Sequence" in op and op != "ReverseSequence" for op in ops):
        return "sequences"
    if "optional_type" in kinds or any(op.startswith("Optional") for op in ops):
        return "optional values"
    if "map_type" in kinds or "ai.onnx.ml" in domains:
        return "maps and the operators of ai.onnx.ml (decision trees, label encoders, …)"
    if elems & SMALL:
        return "floats and integers of fewer than 8 bits, and 8-bit floats"
    if ops & RANDOM:
        return "random numbers"
    if "ImageDecoder" in ops:
        return "decoding of image files"
    return None


# ---- running one

def freeze_order(model, text, inputs):
    """The graph inputs that the error advises to make constant, then those its tensor depends on, nearest first."""
    advised = [name for name in re.findall(r"--constant ([^ =]+)=", text) if name in inputs]
    named = re.search(r"input '([^']+)'", text)
    if not named:
        node = re.search(r"node '([^']+)'", text)
        wanted = [name for each in model.graph.node if node and node[1] in (each.name, *each.output) for name in each.input]
    else:
        wanted = [named[1]]
    makers = {name: node for node in model.graph.node for name in node.output}
    order, seen = advised, set(advised)
    while wanted:
        name = wanted.pop(0)
        if name in seen:
            continue
        seen.add(name)
        if name in inputs:
            order.append(name)
        elif name in makers:
            wanted += makers[name].input
    return order


def is_open(value):
    shape = value.type.tensor_type.shape
    return not value.type.tensor_type.HasField("shape") or any(not dim.HasField("dim_value") for dim in shape.dim)


def compare(case, actual, outputs):
    names = [value.name for value in case.model.graph.output if value.name]
    for name, want in zip(names, outputs):
        if name not in actual:
            return f"output '{name}' is missing"
        want, got = np.asarray(want), actual[name]
        if want.dtype.name == "bfloat16" and got.dtype == np.dtype("V2"): # what numpy makes of it in .npy
            got = got.view(want.dtype)
        if got.dtype != want.dtype:
            return f"output '{name}' is {got.dtype}, expected {want.dtype}"
        if got.shape != want.shape:
            return f"output '{name}' has shape {got.shape}, expected {want.shape}"
        rtol = max(case.rtol, BFLOAT16_RTOL) if want.dtype.name == "bfloat16" else case.rtol
        if want.dtype.kind not in "iub":
            got, want = got.astype(np.float64), want.astype(np.float64)
        if not np.allclose(got, want, rtol=rtol, atol=case.atol, equal_nan=True):
            worst = np.nanmax(np.abs(got.astype(np.float64) - want.astype(np.float64)))
            return f"output '{name}' differs by up to {worst:.3g}"
    return None


def run_data(case, qanat, via, scratch, inputs, outputs):
    """(verdict, detail) of one set of inputs."""
    constants, out = set(), os.path.join(scratch, "out.npz")
    open_inputs = {value.name for value in case.model.graph.input if is_open(value)}
    path = os.path.join(scratch, "model.onnx")
    onnx.save(case.model, path)
    for _ in range(FREEZES):
        command = [qanat, "run", path, "-o", out, "--via", via, "-j", "1"]
        for i, (name, array) in enumerate(inputs.items()):
            file = os.path.join(scratch, f"{i}.npy")
            np.save(file, array)
            command += ["--constant" if name in constants else "-i", f"{name}={file}"]
            if name in open_inputs and name not in constants:
                command += ["--shape", f"{name}:{','.join(map(str, array.shape))}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        except subprocess.TimeoutExpired:
            return "failed", f"no result after {LIMIT_S} s"
        if done.returncode == 0:
            with np.load(out) as actual:
                fault = compare(case, actual, outputs)
            folded = len(constants) == len(inputs)
            return ("failed", fault) if fault else ("folded" if folded else "constants" if constants else "passed", "")
        lines = [line for line in done.stderr.splitlines() if "error:" in line]
        text = lines[0] if lines else f"status {done.returncode}: {done.stderr[-200:]}"
        asked = [name for name in freeze_order(case.model, text, inputs) if name not in constants]
        if "constant" not in text or not asked:
            break
        constants.add(asked[0])
    return "failed", re.sub(r"^.*?error: ", "", text).replace(scratch + "/", "")


def as_array(value):
    """Some tests hold arrays, some ONNX's own tensors."""
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


def run_case(job):
    case, qanat, via = job
    reason = out_of_scope(case.model)
    if reason:
        return Result(case.group, case.name, reason, "")
    scratch = tempfile.mkdtemp(prefix="qanat-conformance-")
    verdict, detail = "passed", ""
    try:
        initializers = {tensor.name for tensor in case.model.graph.initializer}
        names = [value.name for value in case.model.graph.input if value.name not in initializers]
        for inputs, outputs in case.data:
            arrays = {name: as_array(value) for name, value in zip(names, inputs)}
            one, detail = run_data(case, qanat, via, scratch, arrays, [as_array(value) for value in outputs])
            verdict = one if one in ("failed", "constants", "folded") else verdict
            if verdict == "failed":
                break
    except Exception as error: # a fault of this program must not hide the other tests
        verdict, detail = "failed", f"run.py: {type(error).__name__}: {error}"
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Result(case.group, case.name, verdict, detail)


# ---- the report

PASSED = ("passed", "constants", "folded")


def summary(results):
    """group -> counts"""
    groups = collections.OrderedDict()
    for result in results:
        row = groups.setdefault(result.group, collections.Counter())
        row[result.verdict] += 1
    return groups


def share(part, whole):
    return f"{100 * part / whole:.1f} %" if whole else "–"


def table(results):
    lines = ["| | all | without training | in scope | passed | failed |", "| --- | --- | --- | --- | --- | --- |"]
    labels = {"package": f"PyPI's onnx {onnx.__version__}", "debian": "Debian's libonnx-testdata"}
    for group, row in summary(results).items():
        total = sum(row.values())
        inference = total - row[TRAINING]
        passed = sum(row[verdict] for verdict in PASSED)
        scope = passed + row["failed"]
        lines.append(f"| {labels[group]} | {total} | {inference} | {scope} ({share(scope, inference)}) | "
                     f"{passed} ({share(passed, scope)}) | {row['failed']} |")
    return lines


def markdown(results):
    lines = ["# ONNX conformance", "",
             "The ONNX project's own backend tests, each compiled to machine code and run; made by", "", "```",
             "build/venv/bin/python test/conformance/run.py --set all --markdown docs/conformance.md", "```", "", *table(results), ""]
    groups = summary(results)
    lines += ["Of those that passed, some feed as inputs what decides a shape (axes, sizes, counts): such an input was given when",
              "the model was compiled (`--constant`). Where that were all inputs, the compiler computed the whole result.", "",
              "| | inputs at run time | some given when compiled | all given when compiled |", "| --- | --- | --- | --- |"]
    lines += [f"| {group} | {row['passed']} | {row['constants']} | {row['folded']} |" for group, row in groups.items()]
    lines += ["", "## Out of scope", "", "| reason | " + " | ".join(groups) + " |", "| --- |" + " --- |" * len(groups)]
    reasons = sorted({reason for row in groups.values() for reason in row} - {"failed", *PASSED})
    lines += [f"| {reason} | " + " | ".join(str(row[reason]) for row in groups.values()) + " |" for reason in reasons]
    lines += ["", "## Failed", ""]
    failed = [result for result in results if result.verdict == "failed"]
    lines += [f"- {result.group}/{result.name}: {result.detail}" for result in failed] or ["None."]
    return "\n".join(lines) + "\n"


def check(results, path):
    with open(path, encoding="utf-8") as file:
        listed = set(re.findall(r"^- (\S+/\S+):", file.read(), re.M))
    ran = {f"{result.group}/{result.name}" for result in results}
    failed = {f"{result.group}/{result.name}" for result in results if result.verdict == "failed"}
    for name in sorted(failed - listed):
        print(f"{name} fails, and {path} does not say so")
    for name in sorted((listed & ran) - failed):
        print(f"{name} passes; {path} says that it fails")
    return not (failed ^ (listed & ran))


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n\n")[0])
    parser.add_argument("--qanat", default=os.path.join(ROOT, "build", "bin", "qanat"))
    parser.add_argument("--set", default="package", choices=("package", "debian", "all"))
    parser.add_argument("-k", action="append", default=[])
    parser.add_argument("--via", default="llvm")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("-v", action="store_true")
    parser.add_argument("--markdown")
    parser.add_argument("--check")
    options = parser.parse_args()
    cases = []
    if options.set in ("package", "all"):
        cases += package_cases()
    if options.set in ("debian", "all"):
        cases += debian_cases()
    if options.k:
        cases = [case for case in cases if any(case.name == text[1:-1] if text[:1] == "^" else text in case.name for text in options.k)]
    with multiprocessing.Pool(options.jobs) as pool:
        jobs = [(case, options.qanat, options.via) for case in cases]
        results = []
        for result in pool.imap(run_case, jobs, chunksize=4):
            results.append(result)
            if result.verdict == "failed" and not options.check or options.v:
                print(f"{result.verdict}: {result.group}/{result.name}: {result.detail}", flush=True)
    print("\n".join(table(results)))
    if options.markdown:
        with open(options.markdown, "w", encoding="utf-8") as file:
            file.write(markdown(results))
    if options.check and not check(results, options.check):
        sys.exit(1)


if __name__ == "__main__":
    main()
