#!/usr/bin/env python3
"""Figures of starting and of being idle: start to first answer on an empty folder and on many partitions after a clean stop, memory when
idle, memory of an idle connection, and all of these connections and partitions at once.

    startup.py [--build DIR] [--partitions 10000] [--connections 10000]

Needs a release build. Prints one `name value unit (limit)` line a figure; exit 1 if one is over its limit."""
import argparse
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../lib'))
from kafkawire import Codec, Connection  # noqa: E402
from node import ROOT, free_port  # noqa: E402
from records import batch, values  # noqa: E402

ASK = b'\0\0\0\x0a\0\x12\0\0\0\0\0\x01\xff\xff'  # ApiVersions, version 0
worst = []


def figure(name, value, unit, limit):
    worst.append(value <= limit)
    print('%-58s %10.1f %-4s (at most %g)%s' % (name, value, unit, limit, '' if value <= limit else '  OVER'), flush=True)


def rss_kib(pid):
    """Once it has come to rest: what a start or a load leaves to the background is over."""
    last = -1
    while True:
        now = int([line for line in open('/proc/%d/status' % pid) if line.startswith('VmRSS')][0].split()[1])
        if now == last:
            return now
        last = now
        time.sleep(1)


def cpu_ms(pid):
    """Of all threads, to the nanosecond: schedstat."""
    folder = '/proc/%d/task' % pid
    return sum(int(open('%s/%s/schedstat' % (folder, t)).read().split()[0]) for t in os.listdir(folder)) / 1e6


def starts(name, runs, limit):
    """The median of runs of (ms, ms of CPU)."""
    wall, cpu = sorted(runs)[len(runs) // 2][0], sorted(c for _, c in runs)[len(runs) // 2]
    figure(name, wall, 'ms', limit)
    print('%-58s %10.1f ms' % ('    CPU of that', cpu), flush=True)


def first_answer_ms(binary, data, port, log):
    """The process, and from fork to the answer of one ApiVersions request: time, and CPU of the process."""
    begin = time.monotonic()
    p = subprocess.Popen([binary, 'server', '--data', data, '--port', str(port)], stdout=log, stderr=log)
    while True:
        try:
            with socket.create_connection(('127.0.0.1', port), 5) as s:
                s.settimeout(30)
                s.sendall(ASK)
                if len(s.recv(4)) == 4:
                    return p, ((time.monotonic() - begin) * 1000, cpu_ms(p.pid))
        except OSError:
            if p.poll() is not None:
                raise SystemExit('the node ended with %d' % p.returncode)
            time.sleep(0.001)


def work_on(port, codec, partitions):
    """All partitions are known, and a record to a partition of every topic comes back."""
    conn = Connection('127.0.0.1', port, codec)
    r = conn.ask('Metadata', 12, {'topics': None}, timeout=60)
    assert sum(len(t['partitions']) for t in r['topics']) == partitions
    for name in [t['name'] for t in r['topics']]:
        r = conn.ask('Produce', 8, {'transactionalId': None, 'acks': -1, 'timeoutMs': 30000, 'topicData': [
            {'name': name, 'partitionData': [{'index': 0, 'records': batch([b'here'])}]}]})
        assert r['responses'][0]['partitionResponses'][0]['errorCode'] == 0, r
        r = conn.ask('Fetch', 11, {'replicaId': -1, 'maxWaitMs': 0, 'minBytes': 1, 'maxBytes': 1 << 20, 'sessionEpoch': -1, 'topics': [
            {'topic': name, 'partitions': [{'partition': 0, 'currentLeaderEpoch': -1, 'fetchOffset': 0, 'logStartOffset': -1,
                                            'partitionMaxBytes': 1 << 20}]}]})
        assert values(r['responses'][0]['partitions'][0]['records']) == [(0, b'here')], r
    conn.close()


def stop(p):
    p.terminate()
    if p.wait(120):
        raise SystemExit('the node ended with %d' % p.returncode)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--build', default=os.path.join(ROOT, 'build/release'))
    ap.add_argument('--partitions', type=int, default=10000)
    ap.add_argument('--connections', type=int, default=10000)
    a = ap.parse_args()
    binary, port, codec = os.path.join(a.build, 'millrace'), free_port(), Codec()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix='startup-') as folder:
        log, data = open(os.path.join(folder, 'log'), 'w'), os.path.join(folder, 'data')
        runs = []
        for i in range(5):
            p, ms = first_answer_ms(binary, data + str(i), port, log)
            runs.append(ms)
            stop(p)
        starts('start to first answer, empty folder', runs, 100)
        p, _ = first_answer_ms(binary, data, port, log)
        idle = rss_kib(p.pid)
        figure('idle memory', idle / 1024, 'MiB', 32)
        conn = Connection('127.0.0.1', port, codec)
        per = 500
        for i in range(0, a.partitions, per):
            r = conn.ask('CreateTopics', 5, {'topics': [{'name': 't%d' % i, 'numPartitions': min(per, a.partitions - i), 'replicationFactor': 1,
                                                         'assignments': [], 'configs': []}], 'timeoutMs': 30000, 'validateOnly': False}, timeout=60)
            assert r['topics'][0]['errorCode'] == 0, r
        stop(p)
        runs = []
        for i in range(3):
            p, ms = first_answer_ms(binary, data, port, log)
            runs.append(ms)
            if i < 2:
                stop(p)
        starts('start to first answer, %d partitions, clean stop' % a.partitions, runs, 500)
        before = rss_kib(p.pid)
        print('%-58s %10.1f MiB' % ('memory with %d partitions' % a.partitions, before / 1024))
        socks = [socket.create_connection(('127.0.0.1', port), 30) for _ in range(min(a.connections, hard - 200))]
        for s in socks:
            s.sendall(ASK)
        for s in socks:
            assert len(s.recv(4096)) > 4
        figure('memory of an idle connection (%d of them)' % len(socks), (rss_kib(p.pid) - before) / len(socks), 'KiB', 8)
        work_on(port, codec, a.partitions)
        for s in socks:  # they are still served
            s.sendall(ASK)
        for s in socks:
            assert len(s.recv(4096)) > 4
        for s in socks:
            s.close()
        stop(p)
    return 0 if all(worst) else 1


if __name__ == '__main__':
    sys.exit(main())
