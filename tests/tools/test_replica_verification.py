"""replica-verification against three nodes: its lines, and what it says of replicas that differ."""
import json
import os
import re
import signal
import subprocess
import time

import pytest
from cluster_session import ClusterTarget
from members import wait
from node import binary, millrace, run

TIME = r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}'


@pytest.fixture(scope='module')
def target(tmp_path_factory):
    with ClusterTarget(tmp_path_factory.mktemp('replicas')) as t:
        t.cluster.create_topic('t', 2, 3, assignments=[[1, 2, 3], [2, 3, 1]])
        produce(t, b'one\ntwo\nthree\n')
        yield t


def produce(t, lines):
    t.cluster.wait_in_sync('t')
    assert run('kcat', '-P', '-b', t.servers, '-t', 't', '-p', '0', '-X', 'acks=all', input=lines)[0] == 0


class Verification:
    def __init__(self, t, folder, *words):
        self.path = os.path.join(str(folder), 'lines')
        self.process = subprocess.Popen([binary(), 'replica-verification', '--broker-list', t.servers, '--topics-include', 't', '--max-wait-ms', '50', *words],
                                        stdout=open(self.path, 'w'), stderr=subprocess.STDOUT)

    def lines(self):
        with open(self.path, encoding='utf-8') as f:
            return f.read().splitlines()

    def wait_line(self, pattern):
        wait(lambda: any(re.fullmatch(pattern, line) for line in self.lines()), lambda: 'no line like %s: %s' % (pattern, self.lines()), 30)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()


def test_reports(target, tmp_path):
    with Verification(target, tmp_path, '--time', '-2', '--report-interval-ms', '100') as v:
        v.wait_line(TIME + ': max lag is 0 for partition t-0 at offset 3 among 2 partitions')
        assert re.fullmatch(TIME + ': verification process is started', v.lines()[0])
        produce(target, b'four\n')
        v.wait_line(TIME + ': max lag is 0 for partition t-0 at offset 4 among 2 partitions')
        v.process.send_signal(signal.SIGTERM)
        assert v.process.wait(20) == -signal.SIGTERM
        assert all(re.fullmatch(TIME + r': (verification process is started|max lag is \d+ for partition t-\d at offset \d among 2 partitions)', line)
                   for line in v.lines())


def test_reports_as_json(target, tmp_path):
    names = {'version', 'event', 'timeMs', 'topic', 'partition', 'offset', 'lag', 'partitions', 'replicas'}
    with Verification(target, tmp_path, '--time', '-2', '--report-interval-ms', '100', '--json') as v:
        wait(lambda: any('"event":"lag"' in line and '"lag":0,' in line for line in v.lines()), lambda: v.lines(), 30)
        events = [json.loads(line) for line in v.lines()]
    assert all(set(e) == names and e['version'] == 1 and abs(e['timeMs'] / 1000 - time.time()) < 3600 for e in events)
    assert [events[0][k] for k in ('event', 'topic', 'partition', 'offset', 'lag', 'partitions', 'replicas')] == ['started', None, None, None, None, 2, None]
    lag = next(e for e in events if e['lag'] == 0)
    assert (lag['event'], lag['topic'], lag['partitions'], lag['replicas']) == ('lag', 't', 2, None) and lag['partition'] in (0, 1) and lag['offset'] >= 0


def test_bad_words(target):
    for words, said in ((['--topics-include', 't'], 'broker-list'), (['--broker-list', target.servers, '--topics-include', 'nowhere'], 'No topics found'),
                        (['--broker-list', 'nowhere'], 'host:port'), (['--broker-list', target.servers, '--fetch-size', '0'], 'fetch-size')):
        status, out, err = millrace('replica-verification', *words)
        assert (status, out) == (1, '') and said in err and len(err.splitlines()) == 1


def test_a_replica_that_differs(target, tmp_path):
    """One byte of a record, and the checksum in the batch with it, in the log of a follower that is down: what only a comparison can see."""
    target.step('damage', ['3', 't-0', 'one'])
    with Verification(target, tmp_path, '--time', '-2', '--report-interval-ms', '100') as v:
        v.wait_line(TIME + r': partition t-0 has unmatched checksum at offset \d; replica 1\'s checksum \d+; replica 3\'s checksum \d+')
        v.wait_line(TIME + r': max lag is 0 for partition t-\d at offset \d among 2 partitions')  # and it goes on
    with Verification(target, tmp_path, '--time', '-2', '--report-interval-ms', '100', '--json') as v:
        wait(lambda: any('"event":"checksum"' in line for line in v.lines()), lambda: v.lines(), 30)
        e = next(json.loads(line) for line in v.lines() if '"event":"checksum"' in line)
    one, three = e['replicas']
    assert (e['topic'], e['partition'], e['lag'], e['partitions'], one['broker'], three['broker']) == ('t', 0, None, None, 1, 3)
    assert one['offset'] == three['offset'] and one['checksum'] != three['checksum']
