# RUN: %python %s %root
"""Every op of dialects nn and check has a meaning (eval_<id>, or a row BINARY or REDUCE; functions of one number: a row
of runtime/unary.def or UNARY, and a case in ir/eval_real.c) and a test test/ops/<id>.qir that states its answers. Prints
what is missing.
Usage: ops_are_complete.py ROOT"""
import glob
import os
import re
import sys


def op_ids(root):
    with open(os.path.join(root, "ir/ops.def")) as file:
        rows = re.findall(r"^OP\((\w+), (\w+),", file.read(), re.M)
    return [name if dialect == "nn" else f"check_{name}" for name, dialect in rows if dialect in ("nn", "check")]


def meanings(root):
    text = ""
    for path in glob.glob(os.path.join(root, "ir/eval_*.c")):
        with open(path) as file:
            text += file.read()
    with open(os.path.join(root, "runtime/unary.def")) as file:
        unary = set(re.findall(r"^UNARY\(\w+, (\w+),", file.read() + text, re.M))
    known = set(re.findall(r"^bool eval_(\w+)\(Diag", text, re.M)) | set(re.findall(r"^(?:BINARY|REDUCE)\((\w+)\)", text, re.M))
    return known | unary & set(re.findall(r"case OP_(\w+): return", text))


def main():
    root = sys.argv[1]
    faults, ids, known = [], op_ids(root), meanings(root)
    for name in ids:
        path = os.path.join(root, "test/ops", name + ".qir")
        if name not in known:
            faults.append(f"op '{name}' has no meaning in ir/eval_*.c")
        if not os.path.exists(path):
            faults.append(f"op '{name}' has no test: write {os.path.relpath(path, root)}")
            continue
        with open(path) as file:
            if "check." not in file.read():
                faults.append(f"{os.path.relpath(path, root)} checks nothing")
    print("\n".join(faults) or f"{len(ids)} ops are complete")
    return 1 if faults or not ids else 0


if __name__ == "__main__":
    sys.exit(main())
