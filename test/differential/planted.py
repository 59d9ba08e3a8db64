"""Plants defects of one token in kernels, one at a time in a copy of the source, and shows that differential_test finds each.
Not a part of the suite: every defect is a build.

usage: planted.py [--scratch FOLDER] [--jobs N] [--seed S] [NAME...]

Prints how many seconds the search took and what it found; fails if one is not found within LIMIT_S."""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIMIT_S = 120

# name: (file, what stands there, what is put there)
DEFECTS = {
    "matmul s8 generic: zero point of b": (
        "runtime/kernels/matmul/generic.c", "(int16_t)((int8_t)(b[j] ^ flip) - b_zp)", "(int16_t)((int8_t)(b[j] ^ flip))"),
    "pool2d generic: last tap of a window of padding": (
        "runtime/kernels/pool2d/generic.c", "if (count > 0) multiplier", "if (count > 1) multiplier"),
    "conv2d, linear f32 avx2: tail of one channel": (
        "runtime/kernels/f32_avx2.h", "_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)", "_mm256_setr_epi32(1, 1, 2, 3, 4, 5, 6, 7)"),
    "conv2d, linear s8 avx512vnni: truncates instead of rounding": (
        "runtime/kernels/vnni_store.h", "    return _mm512_cvtps_epi32(y);", "    return _mm512_cvttps_epi32(y);"),
    "binary s8 avx512: first element of a tail": (
        "runtime/kernels/binary/avx512.c", "((uint64_t)1 << (size - i)) - 1", "((uint64_t)1 << (size - i)) - 2"),
    "depthwise s8 sse2: rows of the window in a wrong order": (
        "runtime/kernels/madd_sse2.h", "to[2 + high] = _mm_castps_si128(_mm_shuffle_ps(a, b, 0xDD))", "to[2 + high] = _mm_castps_si128(_mm_shuffle_ps(a, b, 0xD8))"),
    "quantize avx512: NaN": ("runtime/kernels/quantize/avx512.c", "_CMP_ORD_Q", "_CMP_TRUE_UQ"),
}


def copy_source(scratch):
    names = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        target = os.path.join(scratch, "source", name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.isfile(os.path.join(ROOT, name)):
            shutil.copy2(os.path.join(ROOT, name), target)


def build(scratch, jobs):
    command = ["cmake", "--build", os.path.join(scratch, "build"), "--target", "differential_test", "-j", str(jobs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit("the copy does not build:\n" + done.stdout[-3000:] + done.stderr[-3000:])


def configure(scratch):
    command = ["cmake", "-G", "Ninja", "-S", os.path.join(scratch, "source"), "-B", os.path.join(scratch, "build")]
    if shutil.which("ccache"):
        command += ["-DCMAKE_C_COMPILER_LAUNCHER=ccache", "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"]
    subprocess.run(command, capture_output=True, check=True)


def search(scratch, seed):
    """Seconds until the first failure, and its line; None after LIMIT_S."""
    command = [os.path.join(scratch, "build", "bin", "differential_test"), "--minutes", str(LIMIT_S / 60), "--seed", str(seed), "--compiled", "0"]
    start = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        for line in process.stdout:
            if line.startswith("FAILED"):
                process.terminate()
                return time.monotonic() - start, line.strip()
    return None


def plant(scratch, jobs, seed, defect):
    path, old, new = defect
    path = os.path.join(scratch, "source", path)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if text.count(old) != 1:
        sys.exit(f"{path}: '{old}' stands there {text.count(old)} times; planted.py must follow the source")
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(old, new))
        build(scratch, jobs)
        return search(scratch, seed)
    finally:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n\n")[0])
    parser.add_argument("--scratch", default=os.path.join(tempfile.gettempdir(), "qanat-planted"))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    copy_source(arguments.scratch)
    configure(arguments.scratch)
    build(arguments.scratch, arguments.jobs)
    missed = 0
    for name, defect in DEFECTS.items():
        if arguments.names and not any(part in name for part in arguments.names):
            continue
        found = plant(arguments.scratch, arguments.jobs, arguments.seed, defect)
        missed += found is None
        print(f"{name}: " + (f"{found[0]:.1f} s: {found[1]}" if found else f"not found in {LIMIT_S} s"), flush=True)
    return missed > 0


if __name__ == "__main__":
    sys.exit(main())
