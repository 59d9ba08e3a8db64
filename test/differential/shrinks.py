# RUN: %python %s %qanat
"""What is printed of a network that fails: one op, small, and right by `qanat opt --eval` with the options that stand above it.
Networks are taken for failing that have a certain op. Usage: shrinks.py QANAT"""
import re
import shlex
import subprocess
import sys

OPS = ("nn.conv2d", "nn.reduce_sum", "nn.mul", "nn.concat", "nn.sigmoid")
MOST_LINES = 14 # of a module with one op, its operands, and the check; large constants stand behind it


def main():
    qanat, faults, shown = sys.argv[1], [], 0
    for op in OPS:
        text = subprocess.run(["differential_test", "--seed", "1", "--count", "120", "--compiled", "0", "--wrong", op],
                              capture_output=True, text=True, check=False).stdout
        for seed, command, module in re.findall(r"^FAILED: seed (\d+).*\n// qanat (.*) FILE\n(module(?:.*\n)+?^}\n(?:\n\{-#\n(?:.*\n)+?#-\}\n)?)", text, re.M):
            shown += 1
            ops = re.findall(r"= (nn\.\w+)", module)
            done = subprocess.run([qanat, *shlex.split(command), "-"], input=module, capture_output=True, text=True, check=False)
            if ops != [op] or module.split("\n{-#")[0].count("\n") > MOST_LINES or done.returncode:
                faults.append(f"{op}, seed {seed}: status {done.returncode}\n{done.stderr}{module}")
    print("\n".join(faults) or f"{shown} networks")
    return 1 if faults or shown < 10 else 0


if __name__ == "__main__":
    sys.exit(main())
