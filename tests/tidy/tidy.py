#!/usr/bin/env python3
"""The tree's own rules that no compiler checks. Exit 1 with one line a finding.

- Banned calls: clocks, disks, sockets, randomness and threads outside runtime/ (tools/ are blocking programs and may);
  raft_* outside controller/quorum.c; printf-like writes to stdout/stderr inside the node.
- Include arrows: a folder includes only what stands below it.
- Length: 70 lines a function, 800 a file (1000 a test file). What is longer today stands in ratchet.tsv and may only shrink; `--update`
  rewrites the file, and refuses to let a number grow.
- No mutable static and no thread-local outside runtime/. No TODO without a home: what is open stands in docs/PLAN.md.
- Every log message of level warn and above has its row in docs/messages.tsv, and docs/MESSAGES.md is up to date (messages.py).
- No name is defined twice in one scope of a Python file: the second takes the place of the first, and a test is lost without a word.
- Every folder has a README.md; every C file opens with a comment, or its header of the same name does.
- clang-format (version 14 only: other versions format otherwise).
"""
import ast, os, re, shutil, subprocess, sys

import messages

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..'))
RATCHET = os.path.join(ROOT, 'tests/tidy/ratchet.tsv')
FUNCTION_MAX, FILE_MAX, TEST_FILE_MAX = 70, 800, 1000
FOLDERS = ['base', 'runtime', 'proto', 'storage', 'controller', 'broker', 'tools']
ARROWS = {  # folder -> folders whose headers it may include
    'base': {'base'},
    'runtime': {'base', 'runtime'},
    'proto': {'base', 'proto'},
    'storage': {'base', 'runtime', 'proto', 'storage'},
    'controller': {'base', 'runtime', 'proto', 'storage', 'controller'},
    'broker': {'base', 'runtime', 'proto', 'storage', 'controller', 'broker'},
    'tools': set(FOLDERS),
}
SEAM = r'\b(clock_gettime|gettimeofday|time|rand|random|srand|getrandom|usleep|nanosleep|sleep|open|openat|fopen|creat|read|' \
       r'write|pread|pwrite|preadv|pwritev|fsync|fdatasync|ftruncate|fallocate|rename|unlink|mkdir|rmdir|opendir|readdir|stat|fstat|mmap|' \
       r'socket|bind|listen|accept|accept4|connect|send|sendto|sendmsg|recv|recvfrom|recvmsg|sendfile|epoll_\w+|poll|select|' \
       r'pthread_\w+|thrd_\w+|uv_\w+|io_uring_\w+)\s*\('
FREE_OF_SEAM = {'runtime', 'tools'}
findings = []


def find(path, line, text):
    findings.append('%s:%d: %s' % (os.path.relpath(path, ROOT), line, text))


def strip(code):
    """Comments and literals out, line structure kept."""
    def blank(m):
        s = m.group(0)
        return '""' + '\n' * s.count('\n') if s[0] == '"' else ("' '" if s[0] == "'" else '\n' * s.count('\n') or ' ')
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', blank, code, flags=re.S)


def functions(code):
    """(name, first line, length) of every function body: a `{` in the first column, as the format puts it."""
    lines, out, start, name = code.split('\n'), [], None, None
    for i, l in enumerate(lines):
        if l == '{' and start is None:
            head = ' '.join(lines[max(0, i - 6):i])
            m = re.findall(r'(\w+)\s*\(', head)
            start, name = i, next((n for n in m[::-1] if n not in ('__attribute__', 'format', 'map_for_each')), '?')
            sig = re.findall(r'(?:^|[;}\s])(\w+)\(', head)
            name = sig[-1] if sig else name
        elif l == '}' and start is not None:
            out.append((name, start + 1, i - start - 1))
            start = None
    return out


def c_files(folders):
    for f in folders:
        for d, _, names in os.walk(os.path.join(ROOT, f)):
            for n in sorted(names):
                if n.endswith(('.c', '.h')):
                    yield f, os.path.join(d, n)


def check_file(folder, path, long_things):
    raw = open(path, encoding='utf-8').read()
    code = strip(raw)
    rel = os.path.relpath(path, ROOT)
    if not path.startswith(os.path.join(ROOT, 'tests', 'unit')) and not raw.lstrip().startswith('/*') and not os.path.exists(path[:-2] + '.h'):
        find(path, 1, 'a file opens with a comment that tells its story')
    n = raw.count('\n')
    if n > (FILE_MAX if folder != 'tests' else TEST_FILE_MAX):
        long_things[(rel, '-')] = n
    for name, line, length in functions(code):
        if length > FUNCTION_MAX:
            long_things[(rel, name)] = length
    product = folder in ARROWS
    for i, l in enumerate(code.split('\n'), 1):
        original = raw.split('\n')[i - 1] if i <= n else ''
        if re.search(r'\b(TODO|FIXME|XXX|HACK)\b', original):
            find(path, i, 'open work belongs in docs/PLAN.md')
        if not product:
            continue
        m = re.match(r'#include "(\w+)/', original)
        if m and m.group(1) in ARROWS and m.group(1) not in ARROWS[folder]:
            find(path, i, '%s may not include %s/' % (folder, m.group(1)))
        if folder not in FREE_OF_SEAM:
            m = re.search(r'(?<![\w.>])' + SEAM, l)
            if m and not re.search(r'(->|\.)\s*$', l[:m.start()]):
                find(path, i, '%s() belongs behind runtime/io.h' % m.group(1))
            if re.search(r'\b(printf|fprintf|puts|perror)\s*\(', l) and rel not in ('base/assert.c', 'base/mem.c'):
                find(path, i, 'the node speaks through base/logger.h')
        if re.search(r'(?<!\w)raft_\w+\s*\(', l) and rel != 'controller/quorum.c':
            find(path, i, 'only controller/quorum.c calls libraft')
        if folder not in ('runtime', 'tools') and re.match(r'\s*(static|_Thread_local|__thread)\b', l) \
                and not re.search(r'\bconst\b|\(|\binline\b|_Static_assert|static_assert|^\s*static\s+(struct|enum|union)\s+\w+\s*\{?\s*$', l) \
                and re.search(r'[;=]', l):
            find(path, i, 'mutable static state outside runtime/')


def ratchet(long_things, update):
    known = {}
    if os.path.exists(RATCHET):
        for l in open(RATCHET):
            if l.strip() and not l.startswith('#'):
                f, fn, n = l.rstrip('\n').split('\t')
                known[(f, fn)] = int(n)
    for key, n in sorted(long_things.items()):
        what = 'file' if key[1] == '-' else 'function %s' % key[1]
        if key not in known and not (update and not known):
            findings.append('%s: %s has %d lines (at most %d)' % (key[0], what, n, FILE_MAX if key[1] == '-' else FUNCTION_MAX))
        elif key in known and n > known[key]:
            findings.append('%s: %s grew from %d to %d lines; exceptions may only shrink' % (key[0], what, known[key], n))
    if update:
        keep = {k: (min(n, known[k]) if k in known else n) for k, n in long_things.items() if k in known or not known}
        with open(RATCHET, 'w') as f:
            f.write('# file\tfunction (- is the whole file)\tlines: the only ones over the limit; they may only shrink\n')
            for k in sorted(keep):
                f.write('%s\t%s\t%d\n' % (*k, keep[k]))


def defined_twice(text):
    """(line, name) of every function and class that one of the same name in the same scope hides. A decorator may want both (@x.setter)."""
    out = []
    for scope in ast.walk(ast.parse(text)):
        seen = set()
        for d in getattr(scope, 'body', []) if isinstance(scope, (ast.Module, ast.ClassDef, ast.FunctionDef)) else []:
            if isinstance(d, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                if d.name in seen and not any(isinstance(x, ast.Attribute) and x.attr in ('setter', 'deleter', 'register') for x in d.decorator_list):
                    out.append((d.lineno, d.name))
                seen.add(d.name)
    return sorted(out)


def python_files():
    """Those of the tree, named .py or not."""
    for d, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in ('.git', 'build', 'node_modules', '__pycache__')]
        for n in sorted(names):
            p = os.path.join(d, n)
            if n.endswith('.py') or ('.' not in n and os.path.isfile(p) and b'python3' in open(p, 'rb').readline(80)):
                yield p


def check_python():
    for p in python_files():
        for line, name in defined_twice(open(p, encoding='utf-8').read()):
            find(p, line, '%s is defined twice: the first is never called' % name)


def check_format():
    tool = shutil.which('clang-format-14')
    if not tool:
        return
    files = [p for _, p in c_files(FOLDERS + ['tests'])]
    if os.path.basename(ROOT) and files:
        bad = [p for p in files if not p.endswith(('tests/bench/blast.c', 'tests/bench/limit.c'))]
        r = subprocess.run([tool, '--dry-run', '--style=file', '-ferror-limit=1'] + bad, capture_output=True, text=True, cwd=ROOT)
        for p in sorted({l.split(':')[0] for l in r.stderr.split('\n') if 'clang-format-violations' in l}):
            find(os.path.join(ROOT, p), 1, 'not formatted (clang-format-14 -i)')


def main():
    long_things = {}
    for folder, path in c_files(FOLDERS + ['tests']):
        if path.endswith(('tests/bench/blast.c', 'tests/bench/limit.c')):
            continue  # the yardsticks, kept as they are
        check_file(folder, path, long_things)
    for f in FOLDERS + ['deploy', 'tests', 'docs']:
        if not os.path.exists(os.path.join(ROOT, f, 'README.md')):
            findings.append('%s/README.md is missing' % f)
    ratchet(long_things, '--update' in sys.argv)
    check_python()
    check_format()
    findings.extend(messages.check())
    for f in findings:
        print(f)
    print('tidy: %d findings' % len(findings))
    return 1 if findings else 0


if __name__ == '__main__':
    sys.exit(main())
