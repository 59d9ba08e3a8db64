"""Copies a file with one bit flipped. usage: flip_bit.py FROM TO POSITION (negative: from the end)"""
import sys

with open(sys.argv[1], "rb") as file:
    data = bytearray(file.read())
data[int(sys.argv[3])] ^= 2
with open(sys.argv[2], "wb") as file:
    file.write(data)
