# RUN: %python %s %qanat %root/docs/language.md
"""The examples of docs/language.md parse, print the same twice, and hold."""
import re
import subprocess
import sys

qanat, page = sys.argv[1:]
with open(page, encoding="utf-8") as file:
    examples = re.findall(r"```mlir\n(.*?)```", file.read(), re.S)


def run(text, *options):
    result = subprocess.run([qanat, "opt", "-", *options], input=text, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"{text}\n{result.stderr}")
    return result.stdout


for example in examples:
    printed = run(example)
    if printed != run(printed):
        sys.exit("printed otherwise the second time:\n" + printed)
    if "check." in example:
        run(example, "--eval")
sys.exit(0 if len(examples) >= 3 else "examples are missing")
