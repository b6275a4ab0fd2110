#!/usr/bin/env python3
"""compare.py LINES OURS KAFKA: the same answer to each line? Texts of errors may differ, that there is one may not."""
import json
import sys


def strip(v):
    if isinstance(v, dict):
        return {k: strip(x) for k, x in v.items() if k not in ("records", "recordsSizeInBytes", "unalignedRecords",
                                                                "unalignedRecordsSizeInBytes")}
    return [strip(x) for x in v] if isinstance(v, list) else v


def parse(line):
    head, _, rest = line.rstrip("\n").partition("\t")
    return head if head in ("error", "none") else (head, strip(json.loads(rest, strict=False)))


def main():
    passed = failed = refused = 0
    with open(sys.argv[1]) as lines, open(sys.argv[2]) as ours, open(sys.argv[3]) as kafkas:
        for line, a, b in zip(lines, ours, kafkas, strict=True):
            if b.startswith("none"):
                continue
            if parse(a) == parse(b):
                passed += 1
                refused += b.startswith("error")
            else:
                failed += 1
                if failed <= 20:
                    print(f"{line.strip()}\n  ours  {a.strip()[:600]}\n  Kafka {b.strip()[:600]}")
    print(f"{refused} of them refused by both")
    print(f"{passed} passed, {failed} failed")
    return failed != 0


sys.exit(main())
