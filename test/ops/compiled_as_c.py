# REQUIRES: gcc, clang
# RUN: %python %s %qanat %gcc %S
# RUN: %python %s %qanat %clang %S
"""The answers of every test of an op, by the C route: what test/ops/<op>.qir checks, computed by the emitted C through one
C compiler. Prints what fails. Usage: compiled_as_c.py QANAT COMPILER FOLDER"""
import concurrent.futures
import glob
import os
import subprocess
import sys


def commands(text):
    """The options of the file's run through compiled code by the LLVM route; none in files that are about something else."""
    for line in text.splitlines():
        if line.startswith("//") and " --via llvm " in line:
            return [word for word in line.split()[3:] if word not in ("%s", "--via", "llvm")]
    return None


def main():
    qanat, compiler, folder = sys.argv[1:4]
    jobs = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for path in sorted(glob.glob(os.path.join(folder, "*.qir"))):
            with open(path, encoding="utf-8") as file:
                options = commands(file.read())
            if options is not None:
                command = [qanat, *options, "--via", "c", "--cc", compiler, path]
                jobs[path] = pool.submit(subprocess.run, command, capture_output=True, text=True, check=False)
    failed = [path for path, job in jobs.items() if job.result().returncode]
    for path in failed:
        print(f"{path}: exit status {jobs[path].result().returncode}\n{jobs[path].result().stderr}")
    print(f"{len(jobs)} files, {len(failed)} failed")
    return 1 if failed or len(jobs) < 25 else 0


if __name__ == "__main__":
    sys.exit(main())
