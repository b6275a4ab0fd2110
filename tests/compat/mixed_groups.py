#!/usr/bin/env python3
"""librdkafka and Kafka's Java consumer as members of the same groups of a Millrace node, and Kafka's own decoders on what the node wrote
about them: dump-log --offsets-decoder on its files, and GroupsReader.java (Kafka's generated classes) on the topic.

    mixed_groups.py [NAME...]     NAME: part of a check's name

The last line is `N passed, N failed`. Run by mixed_groups.sh."""
import glob
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../lib'))
import shared_group  # noqa: E402
from confluent_kafka import Consumer, TopicPartition  # noqa: E402
from members import LONG, Java, Librdkafka, wait, wait_settled  # noqa: E402
from node import ROOT, Node, millrace, run  # noqa: E402

KAFKA = os.path.join(ROOT, 'tests/oracle/kafka')
QUICK = ['group.initial.rebalance.delay.ms=0', 'offsets.topic.num.partitions=5']
TOPIC = 'seen'


def commit(servers, group, offsets, metadata=None):
    """Commits as a client that is in no group."""
    c = Consumer({'bootstrap.servers': servers, 'group.id': group, 'enable.auto.commit': False})
    parts = [TopicPartition(TOPIC, p, o) for p, o in offsets.items()]
    for p in parts if metadata else []:
        p.metadata = metadata
    told = c.commit(offsets=parts, asynchronous=False)
    assert not [p for p in told if p.error], told
    c.close()


def tool(n, name, *args):
    status, out, err = millrace(name, '--bootstrap-server', n.servers, *args)
    assert status == 0, out + err
    return out


def of_dump(data):
    """{key: (version, value)} left when all records of the topic's files are played, as Kafka's dump-log reads them."""
    left = {}
    files = ','.join(sorted(glob.glob(os.path.join(data, '__consumer_offsets-*/*.log'))))
    status, out, err = run(KAFKA, 'dump-log', '--deep-iteration', '--offsets-decoder', '--files', files, timeout=LONG)
    assert status == 0 and 'isvalid: false' not in out, out[-1000:] + err
    for key, value in re.findall(r'^\| offset: .*? key: (.*?) payload: (.*)$', out, re.M):
        key = json.loads(key)
        name = (key['type'],) + tuple(key['data'][k] for k in sorted(key['data']))
        if value == '<DELETE>':
            left.pop(name, None)
        else:
            value = json.loads(value)
            left[name] = (value['version'], value['data'])
    assert 'Error at offset' not in out and 'Unknown record' not in out, out[-1000:]
    return left


def decoders(n):
    """Offsets with and without metadata, deleted ones, a deleted group, a group with members of both kinds, and one that was left."""
    shared_group.create(n, TOPIC, 4)
    feed = shared_group.Feed(n.servers, TOPIC, 4, 500)
    wait(lambda: min(feed.acked) >= 50, 'nothing to read')
    acked = feed.stop()
    before = int(time.time() * 1000)
    commit(n.servers, 'simple', {0: 5, 1: 7, 3: 0})
    commit(n.servers, 'simple', {1: 9})
    commit(n.servers, 'cut', {0: 1, 2: 3})
    commit(n.servers, 'gone', {0: 4})
    tool(n, 'consumer-groups', '--delete-offsets', '--group', 'cut', '--topic', TOPIC + ':2')
    tool(n, 'consumer-groups', '--delete', '--group', 'gone')
    members = [Librdkafka(n.servers, 'both', TOPIC), Java(n.servers, 'both', TOPIC)]
    wait_settled(members, TOPIC, 4)
    left = Librdkafka(n.servers, 'left', TOPIC, 'roundrobin')
    wait_settled([left], TOPIC, 4)
    shared_group.all_read([left], TOPIC, acked)
    shared_group.all_read(members, TOPIC, acked)
    left.stop()
    want = {('simple', 0): 5, ('simple', 1): 9, ('simple', 3): 0, ('cut', 0): 1}
    want.update({(g, p): acked[p] for g in ('both', 'left') for p in range(4)})
    status, out, err = run(KAFKA, 'java', os.path.join(ROOT, 'tests/compat/GroupsReader.java'), n.servers, timeout=LONG)
    assert status == 0, out + err
    told = [json.loads(line) for line in out.splitlines()]
    offsets = {(o['offset']['group'], o['offset']['partition']): o['offset'] for o in told if 'offset' in o}
    groups = {g['group']['group']: g['group'] for g in told if 'group' in g}
    now = int(time.time() * 1000)
    assert {k: o['offset'] for k, o in offsets.items()} == want, offsets
    assert all(o['topic'] == TOPIC and before <= o['commitTimestamp'] <= now and o['metadata'] == '' for o in offsets.values()), offsets
    assert {o['version'] for o in told if 'offset' in o} == {4}, told
    assert set(groups) >= {'both', 'left'} and 'gone' not in groups, sorted(groups)
    both = groups['both']
    owns = {m['client']: set(m['assigned']) for m in both['members']}
    want_owns = {'%s-%d' % tp for tp in members[0].owned}, {'%s-%d' % tp for tp in members[1].owned}
    assert both['protocolType'] == 'consumer' and both['protocol'] == 'range' and both['leader'] in [m['id'] for m in both['members']], both
    assert owns['rdkafka'] == want_owns[0] and [v for k, v in owns.items() if k != 'rdkafka'] == [want_owns[1]], both
    assert all(m['subscribed'] == [TOPIC] and m['sessionTimeout'] == 6000 and m['host'] == '/127.0.0.1' for m in both['members']), both
    assert groups['left']['members'] == [] and groups['left']['generation'] > 0, groups['left']
    n.kill()
    dumped = of_dump(os.path.join(n.folder, 'data'))
    assert {(k[1], k[2]): v[1]['offset'] for k, v in dumped.items() if k[0] == '1'} == want, dumped
    assert {v[0] for k, v in dumped.items() if k[0] == '1'} == {'4'}, dumped
    by_dump = dumped['2', 'both'][1]
    assert {m['memberId'] for m in by_dump['members']} == {m['id'] for m in both['members']} and by_dump['generation'] == both['generation'], by_dump
    n.start()
    wait_settled(members, TOPIC, 4)
    for m in members:
        m.stop()


def checks():
    for assignor in ('range', 'roundrobin'):
        for first, second in ((Librdkafka, Java), (Java, Librdkafka)):
            yield ('%s and %s take turns, %s' % (first.kind, second.kind, assignor),
                   lambda n, f=first, s=second, a=assignor: shared_group.take_turns(n, f, s, 'turns', a))
    yield 'a java member dies and librdkafka takes over', lambda n: shared_group.dies(n, Java, Librdkafka, 'dies', 'range')
    yield 'java and librdkafka commit through kill -9', lambda n: shared_group.through_kills(n, [Librdkafka, Java], 6)
    yield "kafka's decoders on __consumer_offsets", decoders


def run_check(name, check):
    """In a process group of its own: members and feeds of a check that failed do not live on to meet the next node."""
    pid = os.fork()
    if pid != 0:
        _, status = os.waitpid(pid, 0)
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        return status == 0
    os.setsid()
    folder, passed = tempfile.mkdtemp(prefix='groups-'), False
    try:
        with Node(folder, QUICK) as n:
            check(n)
        shutil.rmtree(folder)
        passed = True
        print('ok     %s' % name, flush=True)
    except Exception as e:  # one result each
        print('FAILED %s (%s): %s' % (name, folder, str(e)[:1500] or traceback.format_exc()), flush=True)
    sys.stdout.flush()
    os._exit(0 if passed else 1)


def main():
    results = [run_check(name, check) for name, check in checks() if not sys.argv[1:] or any(a in name for a in sys.argv[1:])]
    print('%d passed, %d failed' % (sum(results), len(results) - sum(results)))
    return 0 if results and all(results) else 1


if __name__ == '__main__':
    sys.exit(main())
