# RUN: %python %s %root
"""Every row of passes.def has its file and its test, and every file in passes/ that defines a pass has its row."""
import os
import re
import sys

root = sys.argv[1]
with open(os.path.join(root, "passes", "passes.def"), encoding="utf-8") as file:
    rows = re.findall(r"^PASS\((\w+),", file.read(), re.M)
assert rows, "no rows in passes.def"
faults = []
for name in rows:
    for path in (f"passes/{name}.c", f"test/passes/{name}.qir"):
        if not os.path.exists(os.path.join(root, path)):
            faults.append(f"pass {name} has no {path}")
for name in os.listdir(os.path.join(root, "test", "passes")):
    stem, suffix = os.path.splitext(name)
    if suffix == ".qir" and stem.partition(".")[0] not in rows: # <pass>.<what>.qir is a further test
        faults.append(f"test/passes/{name} tests no pass of that name")
sys.exit("\n".join(faults) or 0)
