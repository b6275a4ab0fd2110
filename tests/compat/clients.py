#!/usr/bin/env python3
"""Other people's clients against one Millrace node, each by its program in clients/: produce with every codec that it has, read back what
it produced by partition, its admin calls, and its consumer groups (rskafka has none). A client's packages come from the registry of its
language, pinned below, into a cache folder outside the tree.

    clients.py [NAME...]     some of: sarama kafkago kafkajs kafka-python aiokafka confluent-kafka rskafka

What each produced is read once more by kcat. The last line is `N passed, N failed`. Run by clients.sh."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../lib'))
from node import ROOT, Node, run  # noqa: E402

PROGRAMS = os.path.join(ROOT, 'tests/compat/clients')
CACHE = os.path.join(os.environ.get('MILLRACE_CACHE', os.path.expanduser('~/.cache/millrace-compat')), 'clients')
PYTHON = ['kafka-python==3.0.12', 'aiokafka==0.14.0', 'confluent-kafka==2.16.1', 'lz4==4.4.5', 'python-snappy==0.7.3', 'zstandard==0.25.0', 'cramjam==2.11.0']
CARGO = '''[package]
name = "client"
version = "0.1.0"
edition = "2021"
[dependencies]
rskafka = "=0.6.0"
tokio = { version = "1", features = ["full"] }
chrono = { version = "0.4", default-features = false, features = ["clock"] }
'''


def do(folder, *args):
    subprocess.run(args, cwd=folder, check=True, stdout=sys.stderr)


def program(folder, name, to=None):
    """A copy in the cache: what is built there does not touch the tree."""
    os.makedirs(os.path.dirname(os.path.join(folder, to or name)), exist_ok=True)
    shutil.copy(os.path.join(PROGRAMS, name), os.path.join(folder, to or name))


def go_client(name, module):
    folder = os.path.join(CACHE, name)
    program(folder, name + '.go', 'main.go')
    if not os.path.exists(os.path.join(folder, 'go.mod')):
        do(folder, 'go', 'mod', 'init', 'client')
        do(folder, 'go', 'get', module)
    do(folder, 'go', 'mod', 'tidy')
    do(folder, 'go', 'build', '-o', 'client', '.')
    return [os.path.join(folder, 'client')]


def js_client():
    folder = os.path.join(CACHE, 'kafkajs')
    program(folder, 'kafkajs.js')
    if not os.path.exists(os.path.join(folder, 'node_modules')):
        do(folder, 'npm', 'install', '--silent', '--no-audit', '--no-fund', 'kafkajs@2.2.4', 'kafkajs-snappy@1.1.0')
    return ['node', os.path.join(folder, 'kafkajs.js')]


def python_client(name):
    folder = os.path.join(CACHE, 'python')
    stamp = os.path.join(folder, 'packages')
    if not os.path.exists(stamp) or open(stamp).read() != repr(PYTHON):
        do('/', 'python3', '-m', 'venv', folder)
        do(folder, 'bin/pip', 'install', '-q', *PYTHON)
        with open(stamp, 'w') as f:
            f.write(repr(PYTHON))
    return [os.path.join(folder, 'bin/python'), os.path.join(PROGRAMS, 'python_newest.py'), name]


def rust_client():
    folder = os.path.join(CACHE, 'rskafka')
    program(folder, 'rskafka.rs', 'src/main.rs')
    with open(os.path.join(folder, 'Cargo.toml'), 'w') as f:
        f.write(CARGO)
    do(folder, 'cargo', 'build', '-q')
    return [os.path.join(folder, 'target/debug/client')]


ALL = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
CLIENTS = {  # name: (how it is made, the prefix of its topics, its codecs)
    'sarama': (lambda: go_client('sarama', 'github.com/IBM/sarama@v1.61.1'), 'sarama', ALL),
    'kafkago': (lambda: go_client('kafkago', 'github.com/segmentio/kafka-go@v0.4.51'), 'kafkago', ALL),
    'kafkajs': (js_client, 'kafkajs', ['none', 'gzip', 'snappy']),
    'kafka-python': (lambda: python_client('kafka-python'), 'kafka-python', ALL),
    'aiokafka': (lambda: python_client('aiokafka'), 'aiokafka', ALL),
    'confluent-kafka': (lambda: python_client('confluent-kafka'), 'confluent', ALL),
    'rskafka': (rust_client, 'rskafka', ALL),
}


def main():
    names = sys.argv[1:] or list(CLIENTS)
    results = []

    def check(name, ok, why=''):
        results.append(ok)
        print('%-7s%s%s' % ('ok' if ok else 'FAILED', name, '' if ok else ': ' + why), flush=True)

    commands = {name: CLIENTS[name][0]() for name in names}
    with tempfile.TemporaryDirectory(prefix='clients-') as folder, Node(folder) as n:
        for name in names:
            _, prefix, codecs = CLIENTS[name]
            status, out, err = run(*commands[name], n.servers, timeout=300)
            for verdict, what, why in re.findall(r'^(ok|FAILED) (.*?)(?:: (.*))?$', out, re.M):
                check('%s: %s' % (name, what), verdict == 'ok', why)
            if not out.rstrip() or (status == 0) != ('FAILED' not in out):
                check(name + ': to its end', False, 'status %d\n%s' % (status, (out + err)[-1500:]))
            for codec in codecs:
                topic = '%s-%s' % (prefix, codec)
                status, out, err = run('kcat', '-C', '-q', '-e', '-b', n.servers, '-t', topic, '-p', '0', '-o', 'beginning', '-f', '%o %k %s\n')
                lines = out.splitlines()
                want = ['%d k%d v%d' % (i, i, i) for i in range(500 - len(lines), 500)]  # some checks delete the first records
                check('%s: kcat reads %s' % (name, topic), status == 0 and len(lines) >= 400 and lines == want, out[-200:] + err)
    print('%d passed, %d failed' % (sum(results), len(results) - sum(results)))
    return 0 if results and all(results) else 1


if __name__ == '__main__':
    sys.exit(main())
