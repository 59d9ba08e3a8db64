"""Compares decoding, resizing, cropping and normalising with Pillow, byte for byte.

usage: pillow.py TOOL_TEST FOLDER [IMAGES...]   FOLDER: for files made here; IMAGES: more to try
"""
import io
import os
import subprocess
import sys

import numpy as np
from PIL import Image

tool, folder, extra = sys.argv[1], sys.argv[2], sys.argv[3:]
os.makedirs(folder, exist_ok=True)
checks = 0


def ours(*args):
    return subprocess.run([tool, *map(str, args)], check=True, stdout=subprocess.PIPE).stdout


def resize(image, width, height):
    """Horizontally, then vertically: what Pillow does in one call, but for some shapes since Pillow 13, which begins with
    the vertical pass where that is less work (and rounds differently)."""
    return image.resize((width, image.height), Image.BILINEAR).resize((width, height), Image.BILINEAR)


def check(path, channels, *operations):
    """operations: ("resize" | "crop", width, height)"""
    global checks
    image = Image.open(path).convert("RGB" if channels == 3 else "L")
    args = []
    for name, width, height in operations:
        if name == "resize":
            image = resize(image, width, height)
        else:
            left = int(round((image.width - width) / 2.0))
            top = int(round((image.height - height) / 2.0))
            image = image.crop((left, top, left + width, top + height))
        args += [name, f"{width}x{height}"]
    got = np.frombuffer(ours("image", path, channels, *args), np.uint8)
    want = np.asarray(image).reshape(-1)
    assert got.shape == want.shape, (path, operations, got.shape, want.shape)
    wrong = int((got != want).sum())
    assert wrong == 0, f"{path} {channels} {operations}: {wrong} of {got.size} bytes differ"
    checks += 1


def picture(width, height, seed):
    """Smooth shapes, edges and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [127 + 120 * np.sin(x / (7 + c) + y / (11 - 2 * c) + seed) for c in range(3)]
    data = np.stack(waves, -1) + rng.normal(0, 20, (height, width, 3))
    data[height // 4 : height // 2, width // 3 :] = [255, 0, 20]
    return Image.fromarray(np.clip(data, 0, 255).astype(np.uint8))


files = []


def save(name, image, **options):
    path = os.path.join(folder, name)
    image.save(path, **options)
    files.append(path)
    return path


base = picture(131, 90, 1)
for sampling in ("4:4:4", "4:2:2", "4:2:0"):
    save(f"q90-{sampling.replace(':', '')}.jpg", base, quality=90, subsampling=sampling)
save("progressive.jpg", base, quality=70, progressive=True)
save("gray.jpg", base.convert("L"))
save("cmyk.jpg", base.convert("CMYK"))
save("rgb.png", base)
save("rgba.png", base.convert("RGBA"))
save("gray.png", base.convert("L"))
save("bilevel.png", base.convert("1"))
save("palette.png", base.quantize(50))
save("interlaced.png", base.quantize(10))
save("one-pixel.png", base.crop((0, 0, 1, 1)))
files += extra

for path in files:
    for channels in (3, 1):
        check(path, channels)
    check(path, 3, ("resize", 64, 48))
photo = save("photo.jpg", picture(341, 256, 2), quality=92)
for size in [(224, 224), (340, 256), (341, 100), (17, 256), (500, 300), (1, 1), (700, 13), (341, 256), (33, 500)]:
    check(photo, 3, ("resize", *size))
    check(photo, 1, ("resize", *size))
for size in [(224, 224), (225, 223), (341, 256), (1, 1)]:
    check(photo, 3, ("crop", *size))


def normalised(path, side, crop, mean, std):
    """torchvision's Resize(side), CenterCrop(crop), in the order of its roundings."""
    image = Image.open(path).convert("RGB")
    short, long = sorted(image.size)
    other = int(side * long / short)
    image = resize(image, *((side, other) if image.width <= image.height else (other, side)))
    left, top = int(round((image.width - crop) / 2.0)), int(round((image.height - crop) / 2.0))
    data = np.asarray(image.crop((left, top, left + crop, top + crop))).astype(np.float64)
    return ((data - mean) / std).astype(np.float32)


mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
spec = "mean=123.675:116.28:103.53,std=58.395:57.12:57.375"
for index, (width, height) in enumerate([(341, 256), (300, 451), (256, 256), (640, 427)]):
    path = save(f"size{index}.jpg", picture(width, height, index))
    want = normalised(path, 128, 112, mean, std)
    got = np.load(io.BytesIO(ours("input", path, f"resize=128,crop=112,{spec}", "1,3,112,112")))
    assert (got[0].transpose(1, 2, 0) == want).all(), path
    got = np.load(io.BytesIO(ours("input", path, f"resize=128,crop=112,{spec}", "1,112,112,3")))
    assert (got[0] == want).all(), path
    bgr = np.load(io.BytesIO(ours("input", path, "resize=128,crop=112,color=bgr,scale=2,mean=1,std=4", "1,3,112,112")))
    pixels = normalised(path, 128, 112, 0, 1).astype(np.float64)
    assert (bgr[0].transpose(1, 2, 0) == ((pixels * 2 - 1) / 4).astype(np.float32)[:, :, ::-1]).all(), path
    checks += 3
print(f"{checks} checks passed")
