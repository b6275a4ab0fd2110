#!/usr/bin/env python3
"""Takes the pictures of docs/images: each view of the console of a cluster under some load, as PNG. Look at them before they are committed.

usage: pictures.py [FOLDER]"""
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '../cluster'), os.path.join(HERE, '../lib'), os.path.join(HERE, '..')]
from browser import Browser  # noqa: E402
from cluster import Cluster, ports  # noqa: E402
from node import ROOT, binary, run  # noqa: E402

FOLDER = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, 'docs/images')
SECONDS = 60  # of load, so that charts and alarms have something to say
PICTURES = [('overview', 'overview', {}), ('overview-dark', 'overview', {'dark': True}), ('overview-phone', 'overview', {'width': 390, 'height': 780, 'phone': True}),
            ('brokers', 'brokers', {'height': 440}), ('topics', 'topics', {'height': 460}), ('topic', 'topic/orders', {}), ('groups', 'groups', {'height': 460}),
            ('group', 'group/billing', {}), ('throughput', 'throughput', {}), ('messages', 'messages?topic=orders', {})]


class Load:
    def __init__(self, servers):
        self.servers, self.running = servers, []

    def tool(self, *args):
        self.running.append(subprocess.Popen([binary(), *args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def write(self, topic, each_second, size):
        self.tool('producer-perf-test', '--topic', topic, '--num-records', '100000000', '--record-size', str(size), '--throughput', str(each_second),
                  '--producer-props', 'bootstrap.servers=' + self.servers)

    def read(self, topic, group, *more):
        self.tool('console-consumer', '--bootstrap-server', self.servers, '--topic', topic, '--group', group, *more)

    def end(self):
        for p in self.running:
            p.terminate()
        for p in self.running:
            p.wait(30)


def fill(c, load):
    for topic, partitions in (('orders', 6), ('payments', 12), ('clicks', 3), ('audit-log', 1)):
        c.create_topic(topic, partitions, 3, {'retention.ms': 604800000})
    orders = ''.join('customer-%d\t{"order": %d, "items": [{"sku": "A-%d", "count": %d}], "note": "leave at the door"}\n' % (i * 37 % 900, i, i * 7 % 90, i % 5 + 1)
                     for i in range(400))
    status, _, err = run('kcat', '-P', '-b', c.servers, '-t', 'orders', '-K', '\t', '-H', 'source=shop', input=orders.encode())
    assert status == 0, err
    load.write('payments', 400, 220)
    load.write('clicks', 150, 500)
    load.read('payments', 'billing')
    load.read('payments', 'billing')
    load.read('clicks', 'analytics')
    load.read('orders', 'shipping', '--from-beginning')
    c.tool('consumer-groups', '--reset-offsets', '--group', 'archive', '--topic', 'clicks', '--to-earliest', '--execute')


def main():
    os.makedirs(FOLDER, exist_ok=True)
    nodes = (1, 2, 3, 11, 12, 13)
    http = dict(zip(nodes, ports(len(nodes))))
    per_node = {i: {'metrics.listener': 'http://127.0.0.1:%d' % p, 'console.messages.enable': 'true', 'broker.rack': 'room-%s' % 'abc'[i % 10 % 3]}
                for i, p in http.items()}
    with tempfile.TemporaryDirectory() as folder, Cluster(os.path.join(folder, 'demo'), controllers=3, brokers=3, per_node=per_node) as c:
        load, base = Load(c.servers), 'http://127.0.0.1:%d/console/' % http[11]
        try:
            fill(c, load)
            with Browser() as b:
                b.open(base, 'overview')
                time.sleep(SECONDS)  # what is shown is what passes in that time: there is no condition to wait for
                for name, view, screen in PICTURES:
                    b.screen(**{'width': 1120, 'height': 720, **screen})
                    b.open(base, view)
                    b.wait_for(lambda: b.text('#live') == 'live', view)
                    time.sleep(0.5)  # the colours of a new page fade in
                    b.driver.save_screenshot(os.path.join(FOLDER, 'console-%s.png' % name))
        finally:
            load.end()


if __name__ == '__main__':
    main()
