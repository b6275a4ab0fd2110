#!/usr/bin/env python3
"""Figures of the monitor: how long /metrics and /why take on a node with many partitions, what one answer costs, and whether a producer sees that
the node is asked.

    monitor.py [--build DIR] [--partitions 10000] [--rounds 7] [--seconds 6] [--every 1.0]

Needs a release build. The producer's part runs the same load in turns, alone and while /metrics and /why are asked every --every seconds
(Prometheus asks every 15 s), and compares the 99th percentiles: medians over the rounds, and their ratio. Prints one `name value unit (limit)`
line a figure; exit 1 if one is over its limit. Times mean little on a busy machine: its load is printed; the least of many is told beside
the median."""
import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../lib'))
from monitor import SETTING, get, metrics, port_of  # noqa: E402
from node import ROOT, Node  # noqa: E402

TOPICS = 10
ASKED = 100
RATE = 5000  # records a second, of 100 bytes: a load that leaves the node time
TICK = os.sysconf('SC_CLK_TCK')
over = []


def figure(name, value, unit, limit=None):
    if limit is not None and value > limit:
        over.append(name)
    print('%-62s %10.2f %-4s%s' % (name, value, unit, '' if limit is None else ' (at most %g)%s' % (limit, '  OVER' if value > limit else '')), flush=True)


def tool(build, *words):
    return subprocess.run([os.path.join(build, 'millrace'), *words], check=True, capture_output=True, text=True).stdout


def cpu_ms(pid):
    fields = open('/proc/%d/stat' % pid).read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / TICK


def fill(build, n, partitions):
    for t in range(TOPICS):
        tool(build, 'topics', '--bootstrap-server', n.servers, '--create', '--topic', 'topic-%d' % t, '--partitions', str(partitions // TOPICS))
    port = port_of(lambda: open(n.log).read())
    while metrics(port)['kafka_server_replicamanager_partitioncount'][()] < partitions // TOPICS * TOPICS:
        time.sleep(0.2)
    return port


def answers(n, port, partitions):
    for path in ('/metrics', '/why'):
        times, size = [], 0
        before = cpu_ms(n.process.pid)
        for _ in range(ASKED):
            began = time.monotonic()
            status, _, text = get(port, path)
            times.append((time.monotonic() - began) * 1000)
            assert status == 200
            size = len(text)
        used = (cpu_ms(n.process.pid) - before) / ASKED
        figure('%s, %d partitions: the least of %d' % (path, partitions, ASKED), min(times), 'ms', 50)
        figure('%s, %d partitions: median' % (path, partitions), statistics.median(times), 'ms')
        figure('%s, %d partitions: processor time of the node' % (path, partitions), used, 'ms', 50)
        figure('%s, %d partitions: size' % (path, partitions), size / 1024, 'KiB')


def produce(build, n, seconds):
    """The 99th percentile of one run."""
    out = tool(build, 'producer-perf-test', '--bootstrap-server', n.servers, '--topic', 'topic-0', '--num-records', str(RATE * seconds),
               '--record-size', '100', '--throughput', str(RATE), '--reporting-interval', '600000', '--command-property', 'acks=all')
    return float(re.findall(r'([0-9.]+) ms 99th', out)[-1])


def asked_while(port, every, work):
    end, asked = threading.Event(), [0]

    def ask():
        while not end.wait(every):
            for path in ('/metrics', '/why'):
                assert get(port, path, timeout=60)[0] == 200
            asked[0] += 1
    t = threading.Thread(target=ask)
    t.start()
    try:
        return work(), asked[0]
    finally:
        end.set()
        t.join()


def effect(build, n, port, rounds, seconds, every):
    produce(build, n, 2)  # warm
    alone, asked, times = [], [], 0
    for i in range(rounds):
        for which in ((alone, asked) if i % 2 == 0 else (asked, alone)):
            if which is alone:
                alone.append(produce(build, n, seconds))
            else:
                p99, k = asked_while(port, every, lambda: produce(build, n, seconds))
                asked.append(p99)
                times += k
    figure('p99 of a producer, alone: median of %d' % rounds, statistics.median(alone), 'ms')
    figure('p99 while both are asked every %g s (%d times): median' % (every, times), statistics.median(asked), 'ms')
    figure('ratio of the two', statistics.median(asked) / max(statistics.median(alone), 0.01), '', 1.25)
    print('each run: alone %s; asked %s' % (alone, asked))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--build', default=os.path.join(ROOT, 'build/release'))
    p.add_argument('--partitions', type=int, default=10000)
    p.add_argument('--rounds', type=int, default=7)
    p.add_argument('--seconds', type=int, default=6)
    p.add_argument('--every', type=float, default=1.0)
    a = p.parse_args()
    os.environ['MILLRACE_BUILD'] = a.build
    print('load %s' % ' '.join(open('/proc/loadavg').read().split()[:3]))
    with tempfile.TemporaryDirectory(prefix='monitor-', dir='/dev/shm') as folder:
        with Node(folder, ['metrics.listener=' + SETTING]) as n:
            port = fill(a.build, n, a.partitions)
            answers(n, port, a.partitions)
            effect(a.build, n, port, a.rounds, a.seconds, a.every)
    print('load %s' % ' '.join(open('/proc/loadavg').read().split()[:3]))
    return 1 if over else 0


if __name__ == '__main__':
    sys.exit(main())
