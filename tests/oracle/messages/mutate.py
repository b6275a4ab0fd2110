#!/usr/bin/env python3
"""Tampers with golden vectors: mutate.py SEED COUNT VECTORS.tsv... prints COUNT lines name, version, hex.

Bytes are overwritten, inserted, left out or repeated, mostly one or two places at a time, often with values that lengths
and tags like to have. Deterministic in the seed.
"""
import random
import sys

INTERESTING = [b"\x00", b"\x01", b"\x7f", b"\x80", b"\xff", b"\xfe", b"\x02", b"\xff\xff", b"\x7f\xff", b"\xff\xff\xff\xff",
               b"\x7f\xff\xff\xff", b"\x00\x00\x00\x00", b"\xff\xff\xff\xff\x0f", b"\x80\x80\x80\x80\x08", b"\x81\x80\x00",
               b"\xff\xff\xff\xff\x7f", b"\x01\x00\x01\x00", b"\x01\xe4\x00\x00"]


def mutate(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(5)
        what = rng.choice(INTERESTING) if rng.random() < 0.7 else bytes([rng.randrange(256)])
        if kind == 0:
            data[at:at + len(what)] = what
        elif kind == 1:
            data[at:at] = what
        elif kind == 2:
            del data[at:at + rng.randrange(1, 5)]
        elif kind == 3:
            data[at:at] = data[at:at + rng.randrange(1, 9)]
        else:
            data[at:at + 1] = bytes([(data[at] ^ 1 << rng.randrange(8))]) if at < len(data) else what
    return bytes(data)


def main():
    rng = random.Random(int(sys.argv[1]))
    rows = []
    for path in sys.argv[3:]:
        with open(path) as f:
            for line in f:
                col = line.rstrip("\n").split("\t")
                if len(col) == 6 and "/" not in col[5] and len(col[3]) < 4000:
                    rows.append((col[0], col[2], bytes.fromhex(col[3])))
    for _ in range(int(sys.argv[2])):
        name, version, data = rng.choice(rows)
        print(name, version, mutate(rng, data).hex(), sep="\t")


main()
