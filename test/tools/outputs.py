# What is written is written whole or not at all: on a full disk, where it can't be, and when Qanat is stopped in the
# middle; and never over an input.
# RUN: rm -rf %t && %python %s %qanat %root/docs/examples/digits %t
import os
import shutil
import signal
import subprocess
import sys
import time

qanat, digits, work = sys.argv[1:4]
os.makedirs(os.path.join(work, "tmp"))
os.chdir(work)
environment = {**os.environ, "TMPDIR": os.path.join(work, "tmp")}
shutil.copy(os.path.join(digits, "digits.onnx"), "model.onnx")
shutil.copy("model.onnx", "header.h")
random = ["--data", "random", "--limit", "2"]
COMMANDS = [["import", "model.onnx"], ["opt", "model.onnx"], ["compile", "model.onnx"], ["compile", "model.onnx", "--emit", "c"],
            ["compile", "model.onnx", "--emit", "lib"], ["compile", "model.onnx", "--emit", "shared"],
            ["calibrate", "model.onnx", *random], ["run", "model.onnx", "--input", "random"]]
before = open("model.onnx", "rb").read()


def qanat_run(*arguments):
    return subprocess.run([qanat, *arguments], capture_output=True, text=True, env=environment, timeout=100, check=False)


def nothing_left(what):
    left = sorted(set(os.listdir(".")) - {"model.onnx", "header.h", "tmp", "folder", "folder.h"}) + os.listdir("tmp")
    assert not left, (what, left)


def expect(status, text, *arguments):
    done = qanat_run(*arguments)
    errors = [line for line in done.stderr.splitlines() if "error: " in line]
    assert done.returncode == status and len(errors) == 1 and text in errors[0], (arguments, done.returncode, done.stderr)
    assert open("model.onnx", "rb").read() == open("header.h", "rb").read() == before, arguments
    nothing_left(arguments)


os.makedirs("folder")
os.makedirs("folder.h")
for command in COMMANDS:
    expect(1, "/dev/full", *command, "-o", "/dev/full")
    expect(1, "missing/out", *command, "-o", "missing/out")
    expect(1, "folder: ", *command, "-o", "folder")
    expect(2, "would replace the input", *command, "-o", "./model.onnx")
expect(1, "folder.h: ", "compile", "model.onnx", "-o", "folder.o")  # the header comes second
expect(2, "'header.h' would replace the input", "compile", "header.h", "-o", "header.o")

# The reader of a pipe goes away: the end that every tool has, and no message.
for command in COMMANDS[:2] + [["compile", "model.onnx", "--emit", "c", "-o", "-"], ["info", "model.onnx", "--json"]]:
    process = subprocess.Popen([qanat, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    process.stdout.close()
    errors = process.stderr.read().decode()
    assert process.wait() == -signal.SIGPIPE and "error" not in errors, (command, process.returncode, errors)

for number, command in ((signal.SIGTERM, ["compile", "model.onnx", "-o", "out.so"]), (signal.SIGHUP, ["bench", "model.onnx"])):
    start = time.monotonic()
    assert qanat_run(*command).returncode == 0
    whole = time.monotonic() - start
    for share in (0.2, 0.6, 0.9):
        for name in set(os.listdir(".")) & {"out.so", "out.h"}:
            os.remove(name)
        process = subprocess.Popen([qanat, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        time.sleep(share * whole)
        process.send_signal(number)
        assert process.wait() in (0, -number), (number, process.returncode)
        if not process.returncode or {"out.so", "out.h"} <= set(os.listdir(".")):
            continue  # done already
        nothing_left((number, command, share))
