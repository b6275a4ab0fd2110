#!/usr/bin/env python3
"""How hard the perf tools load a broker, and what they cost: ours and Kafka's against the same kind of Millrace node, in turns.

  tests/bench/perf_tools.py [--build build/release] [--rounds 3] [--tool producer|consumer|e2e]

The node's logs are in memory (/dev/shm), so that the disk decides nothing; each run has a fresh node. Lines are medians: what the tool
says, CPU seconds of the tool and of the node per GB (or per 1000 records), the tool's most memory. Needs Java 17 and Maven."""
import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../lib'))
from node import ROOT, Node  # noqa: E402

KAFKA = os.path.join(ROOT, 'tests/oracle/kafka')
TICK = os.sysconf('SC_CLK_TCK')
SIZES = {100: 3000000, 1000: 1000000}  # record size to how many
LARGE = ['acks=1', 'batch.size=262144', 'linger.ms=10', 'buffer.memory=134217728']
CASES = [(t, size, props) for t, size, props in (
    ('producer', 100, []), ('producer', 1000, []), ('producer', 100, LARGE), ('producer', 1000, LARGE), ('consumer', 100, []),
    ('consumer', 1000, []), ('e2e', 100, []))]


def node_cpu(n):
    fields = open('/proc/%d/stat' % n.process.pid).read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def run(words):
    """What it printed, how long it took, its CPU seconds and most memory in MiB."""
    began = time.monotonic()
    p = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    out = p.stdout.read()
    _, status, use = os.wait4(p.pid, 0)
    p.returncode = status
    if status:
        raise RuntimeError('%s ended with %d: %s' % (' '.join(words), status, out))
    return out, time.monotonic() - began, use.ru_utime + use.ru_stime, use.ru_maxrss / 1024


def produce(n, size, props):
    return ['producer-perf-test', '--bootstrap-server', n.servers, '--topic', 'perf', '--num-records', str(SIZES[size]), '--record-size', str(size),
            '--throughput', '-1', '--reporting-interval', '600000'] + (['--command-property'] + props if props else [])


def one(millrace, tool, size, props, kafka):
    """A fresh node and one run: (figure, tool's CPU, node's CPU, seconds, MiB)."""
    folder = tempfile.mkdtemp(prefix='perf-tools-', dir='/dev/shm')
    try:
        with Node(folder) as n:
            subprocess.run([millrace, 'topics', '--bootstrap-server', n.servers, '--create', '--topic', 'perf', '--partitions', '4'],
                           check=True, stdout=subprocess.DEVNULL)
            words, unit = produce(n, size, props), SIZES[size] * size / 1e9
            if tool == 'consumer':
                run([millrace] + produce(n, size, LARGE))
                words = ['consumer-perf-test', '--bootstrap-server', n.servers, '--topic', 'perf', '--num-records', str(SIZES[size]), '--hide-header']
            elif tool == 'e2e':
                words = ['e2e-latency', '--bootstrap-server', n.servers, '--topic', 'perf', '--num-records', '10000', '--producer-acks', 'all',
                         '--record-size', str(size)]
                unit = 10
            before = node_cpu(n)
            out, took, cpu, memory = run([KAFKA if kafka else millrace] + words)
            used = node_cpu(n) - before
    finally:
        shutil.rmtree(folder)
    if tool == 'producer':
        figure = float(re.search(r'\(([\d.]+) MB/sec\)', out).group(1))
    elif tool == 'consumer':
        figure = float(out.strip().splitlines()[-1].split(', ')[8])
    else:
        figure = float(re.search(r'Avg latency: ([\d.]+) ms', out).group(1))
    return figure, cpu / unit, used / unit, took, memory


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--build', default=os.path.join(ROOT, 'build/release'))
    p.add_argument('--rounds', type=int, default=3)
    p.add_argument('--tool', choices=('producer', 'consumer', 'e2e'))
    o = p.parse_args()
    os.environ['MILLRACE_BUILD'] = o.build
    subprocess.run([KAFKA, 'setup'], check=True)
    for case in CASES:
        if o.tool and case[0] != o.tool:
            continue
        tool, size, props = case
        got = {False: [], True: []}
        for _ in range(o.rounds):
            for kafka in (True, False):
                got[kafka].append(one(os.path.join(o.build, 'millrace'), tool, size, props, kafka))
        for kafka in (True, False):
            figure, cpu, used, took, memory = (statistics.median(column) for column in zip(*got[kafka]))
            print('%s %4d B%s: %-8s %9.2f %s, CPU of the tool %.2f and of the node %.2f s/%s, %.1f s, %d MiB' % (
                tool, size, ' large batches' if props else '', "Kafka's" if kafka else 'ours', figure, 'ms' if tool == 'e2e' else 'MB/s', cpu, used,
                '1000 records' if tool == 'e2e' else 'GB', took, memory), flush=True)


if __name__ == '__main__':
    main()
