#!/usr/bin/env python3
"""Real Kafka opens what Millrace wrote: a node is filled through several clients (every codec, keys, headers, several segments, idempotent
producers, deleted records and topics, changed settings), restarted, killed in the middle of a load and stopped. Copies of its data
directory, as the kill and as the clean stop left it, are dumped by Kafka's tools (check-dir) and served by a Kafka broker, and each record
of each partition is compared. Then Kafka goes on writing to its copy, and Millrace opens that and serves all of it.

    open_dir.py          the last line is `N passed, N failed`. Run by open_dir.sh."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../lib'))
from confluent_kafka import Producer  # noqa: E402
from node import ROOT, Node, free_port, millrace, run  # noqa: E402

KAFKA = os.path.join(ROOT, 'tests/oracle/kafka')
FILE = '/var/lib/dpkg/status'
CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
TOPICS = {'lines': 1, 'keyed': 3, 'segments': 1, 'cut': 1, 'killed': 1}
results = []


def check(name, ok, why=''):
    results.append(ok)
    print('%-7s%s%s' % ('ok' if ok else 'FAILED', name, '' if ok else ': ' + why), flush=True)


def must(*args, **kw):
    status, out, err = run(*args, **kw)
    if status != 0:
        raise SystemExit('%s: %s' % (' '.join(args), out + err))
    return out


def records(servers):
    """What kcat reads of every partition, with offsets, timestamps, keys and headers."""
    got = {}
    for topic, parts in TOPICS.items():
        for p in range(parts):
            got[topic, p] = must('kcat', '-C', '-q', '-e', '-b', servers, '-t', topic, '-p', str(p), '-o', 'beginning', '-f', '%o %T %K %k %h %S %s\\n')
    return got


def differs(want, got):
    for key in want:
        if want[key] != got[key]:
            a, b = want[key].splitlines(), got[key].splitlines()
            at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
            return '%s-%d: %d records and %d, the first difference at record %d' % (*key, len(a), len(b), at)
    return ''


def fill(n):
    at = ('--bootstrap-server', n.servers)
    for topic, parts, more in (('keyed', 3, ()), ('segments', 1, ('--config', 'segment.bytes=1048576', '--config', 'index.interval.bytes=1024')),
                               ('cut', 1, ('--config', 'retention.ms=-1')), ('killed', 1, ()), ('gone', 2, ())):
        must(os.path.join(os.environ['MILLRACE_BUILD'], 'millrace'), 'topics', *at, '--create', '--topic', topic, '--partitions', str(parts), *more)
    part = os.path.join(n.folder, 'part')
    with open(part, 'w') as f:
        f.writelines(open(FILE).readlines()[:4000])
    for codec in CODECS:
        must('kcat', '-P', '-b', n.servers, '-t', 'lines', '-z', codec, '-l', part)
        must('kcat', '-P', '-b', n.servers, '-t', 'segments', '-p', '0', '-z', codec, '-l', FILE if codec in ('none', 'lz4') else part)
        p = Producer({'bootstrap.servers': n.servers, 'enable.idempotence': True, 'compression.type': codec, 'linger.ms': 1})
        for i in range(3000):
            p.produce('keyed', None if i % 11 == 0 else b'%s %d' % (codec.encode(), i), None if i % 7 == 0 else b'k%d' % (i % 100),
                      headers=[('h', b'%d' % i), ('none', None)] if i % 3 else None)
            p.poll(0)
        if p.flush(60):
            raise SystemExit('not all was acknowledged')
    must('kcat', '-P', '-b', n.servers, '-t', 'gone', '-l', part)
    must('kcat', '-P', '-b', n.servers, '-t', 'cut', '-p', '0', '-l', part)
    cut = os.path.join(n.folder, 'cut.json')
    with open(cut, 'w') as f:
        json.dump({'partitions': [{'topic': 'cut', 'partition': 0, 'offset': 1234}], 'version': 1}, f)
    for args in (('delete-records', *at, '--offset-json-file', cut), ('topics', *at, '--delete', '--topic', 'gone'),
                 ('configs', *at, '--alter', '--entity-type', 'topics', '--entity-name', 'keyed', '--add-config', 'retention.bytes=1000000000'),
                 ('topics', *at, '--alter', '--topic', 'gone2', '--partitions', '2', '--if-exists')):
        status, out, err = millrace(*args)
        if status != 0:
            raise SystemExit('%s: %s' % (args[0], out + err))


def killed_under_load(n):
    p = Producer({'bootstrap.servers': n.servers, 'enable.idempotence': True, 'compression.type': 'lz4', 'linger.ms': 1, 'batch.num.messages': 50})
    acked = []
    deadline = time.monotonic() + 60
    while len(acked) < 3000 and time.monotonic() < deadline:
        for i in range(100):
            p.produce('killed', b'%d' % i, on_delivery=lambda e, m: acked.append(m) if not e else None)
        p.poll(0.005)
    n.kill()
    p.purge()  # else the producer waits for the node when it goes
    return len(acked)


class Kafka:
    """A real broker on a directory that Millrace wrote; its other files beside it."""

    def __init__(self, folder, data):
        self.port = free_port()
        self.home = os.path.join(folder, 'kafka-' + os.path.basename(data))
        lib = os.path.join(os.environ.get('ORACLE_HOME', os.path.expanduser('~/.cache/kafka-oracle')), 'lib')
        os.makedirs(os.path.join(self.home, 'run/copy'))
        os.symlink(lib, os.path.join(self.home, 'lib'))
        with open(os.path.join(self.home, 'run/copy/server.properties'), 'w') as f:
            f.write('process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@localhost:%d\n' % (self.port + 1) +
                    'listeners=PLAINTEXT://localhost:%d,CONTROLLER://localhost:%d\n' % (self.port, self.port + 1) +
                    'controller.listener.names=CONTROLLER\nlog.dirs=%s\noffsets.topic.replication.factor=1\n' % data)
        self.env = dict(os.environ, ORACLE_HOME=self.home, HEAP='400m', START_WAIT='240')

    def __enter__(self):
        must(KAFKA, 'start', 'copy', env=self.env, timeout=300)
        return 'localhost:%d' % self.port

    def __exit__(self, *exc):
        run(KAFKA, 'stop', 'copy', env=self.env)


def check_dir(name, data, want):
    expected = data + '.expected'
    with open(expected, 'w') as f:
        for (topic, p), text in want.items():
            lines = text.splitlines()
            first = 1234 if topic == 'cut' else 0
            f.write(json.dumps({'t': 'offsets', 'topic': topic, 'partition': p, 'earliest': first, 'latest': first + len(lines)}) + '\n')
    status, out, err = run(os.path.join(ROOT, 'tests/oracle/check-dir'), '-p', str(free_port()), '-w', '240', data, expected, timeout=1200,
                           env=dict(os.environ, START_WAIT='240'))
    check('check-dir of ' + name, status == 0, out + err)


def main():
    folder = tempfile.mkdtemp(prefix='open-dir-')
    data = os.path.join(folder, 'data')
    n = Node(folder).start()
    fill(n)
    n.stop()
    n.start()
    acked = killed_under_load(n)
    killed = os.path.join(folder, 'killed')
    subprocess.run(['cp', '-a', data, killed], check=True)
    n.start()
    want = records(n.servers)
    check('what was acknowledged before the kill is there', acked <= want['killed', 0].count('\n'), str(acked))
    n.stop()
    stopped = os.path.join(folder, 'stopped')
    subprocess.run(['cp', '-a', data, stopped], check=True)
    check_dir('the directory after a clean stop', stopped, want)
    check_dir('the directory after kill -9', killed, want)
    for name, copy in (('a clean stop', stopped), ('kill -9', killed)):
        with Kafka(folder, copy) as servers:
            check('Kafka serves each record after ' + name, not differs(want, records(servers)), differs(want, records(servers)))
            must('kcat', '-P', '-b', servers, '-t', 'lines', '-z', 'zstd', '-l', os.path.join(folder, 'part'))
            must(KAFKA, 'topics', '--bootstrap-server', servers, '--create', '--topic', 'of-kafka', '--partitions', '2')
            more = records(servers)
        shutil.rmtree(data)
        subprocess.run(['cp', '-a', copy, data], check=True)
        n.start()
        check('Millrace serves what Kafka went on with after ' + name, not differs(more, records(n.servers)), differs(more, records(n.servers)))
        status, out, _ = millrace('topics', '--bootstrap-server', n.servers, '--list')
        check('Millrace knows the topics after ' + name, out.split() == sorted(list(TOPICS) + ['of-kafka']), out)
        must('kcat', '-P', '-b', n.servers, '-t', 'lines', '-z', 'lz4', '-l', os.path.join(folder, 'part'))
        n.stop()
    if all(results):
        shutil.rmtree(folder)
    print('%d passed, %d failed' % (sum(results), len(results) - sum(results)))
    return 0 if all(results) else 1


if __name__ == '__main__':
    sys.exit(main())
