#!/usr/bin/env python3
"""Makes one C file of the console's files (broker/console/web): their bytes, plain and packed, types and ETags. Standard library only."""
import argparse
import gzip
import hashlib
import os
import sys

TYPES = {'.html': 'text/html; charset=utf-8', '.css': 'text/css; charset=utf-8', '.js': 'text/javascript; charset=utf-8',
         '.svg': 'image/svg+xml'}


def array(name, data):
    lines = [', '.join('%d' % b for b in data[i:i + 32]) for i in range(0, len(data), 32)]
    return 'static const uint8_t %s[] = {\n%s};\n' % (name, ',\n'.join(lines))


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--web', required=True)
    p.add_argument('--out', required=True)
    a = p.parse_args()
    arrays, rows = [], []
    for i, name in enumerate(sorted(os.listdir(a.web))):
        kind = TYPES.get(os.path.splitext(name)[1])
        if kind is None:
            sys.exit('%s: a file of no known type' % name)
        with open(os.path.join(a.web, name), 'rb') as f:
            plain = f.read()
        packed = gzip.compress(plain, 9, mtime=0)
        etag = hashlib.sha256(plain).hexdigest()[:20]
        arrays += [array('plain_%d' % i, plain), array('packed_%d' % i, packed)]
        rows.append('    {"%s", "%s", "\\"%s\\"",\n     {plain_%d, %d}, {packed_%d, %d}},\n' % (name, kind, etag, i, len(plain), i, len(packed)))
    with open(a.out, 'w', encoding='utf-8') as f:
        f.write('/* Made by gen/gen_console.py. */\n#include "broker/console/assets.h"\n\n%s\n' % '\n'.join(arrays))
        f.write('const struct console_asset console_assets[] = {\n%s};\n' % ''.join(rows))
        f.write('const size_t console_assets_n = %d;\n' % len(rows))


if __name__ == '__main__':
    main()
