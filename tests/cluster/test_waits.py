"""/why in a cluster, with real waits: whoever is waited for is paused, and must be named by those who wait."""
import json
import struct

from cluster import CODEC, Cluster, millrace, wait
from kafkawire import Connection
from monitor import SETTING, get, metrics, port_of
from node import run
from records import batch
from test_log_dirs import dirs_of, jbod, move, place, set_rate, wait_place

LAG_MS = 60000  # nobody is taken out of the in-sync set while a test looks


def why(n, kind=None):
    """The rows of /why, of one kind if said."""
    status, headers, text = get(port_of(n.text), '/why?format=json')
    assert status == 200 and headers['content-type'] == 'application/json', text
    return [r for r in json.loads(text)['waits'] if kind in (None, r['kind'])]


def wait_why(nodes, kind, match, seconds=60):
    """The first row of that kind that matches, of any of the nodes, as soon as there is one. Of controllers all are asked: on a busy machine
    another one may be the active one at any time."""
    nodes = nodes if isinstance(nodes, list) else [nodes]
    found, last = [], []

    def look():
        last[:] = [r for n in nodes if not n.paused for r in why(n)]
        found[:] = [r for r in last if r['kind'] == kind and match(r)]
        return found
    wait(look, lambda: '%s: no row of kind %s that was wanted in %s' % (nodes, kind, last), seconds)
    return found[0]


def wait_nothing(n, kinds, seconds=60):
    wait(lambda: not any(r['kind'] in kinds for r in why(n)), lambda: '%r: still %s' % (n, why(n)), seconds)


def produce(c, topic, acks=-1, timeout_ms=60000):
    """A Produce to partition 0 that is under way: its connection."""
    leader = c.leader(topic, 0)
    conn = Connection('127.0.0.1', leader.port, CODEC)
    body = {'transactionalId': None, 'acks': acks, 'timeoutMs': timeout_ms,
            'topicData': [{'name': topic, 'partitionData': [{'index': 0, 'records': batch([b'x'])}]}]}
    frame = CODEC.request(0, 9, 1, 'the-producer', CODEC.encode('ProduceRequest', 9, body))
    conn.send_raw(struct.pack('>i', len(frame)) + frame)
    return conn


def test_a_follower_that_stands_still(tmp_path):
    with Cluster(tmp_path, controllers=1, brokers=3, settings={'metrics.listener': SETTING, 'replica.lag.time.max.ms': LAG_MS,
                                                               'broker.session.timeout.ms': LAG_MS}) as c:
        c.create_topic('t', 1, 3)
        c.wait_in_sync('t')
        leader = c.leader('t', 0)
        follower = next(n for n in c.brokers if n is not leader)
        follower.pause()
        conn = produce(c, 't')
        row = wait_why(leader, 'produce', lambda r: r['topic'] == 't' and 'for follower %d ' % follower.id in r['text'])  # the other one has it
        assert row['partition'] == 0 and row['batches'] == 1 and row['offset'] == 0 and row['ms'] >= 100
        assert row['followers'].startswith('%d (last fetch ' % follower.id)
        later = wait_why(leader, 'produce', lambda r: r['ms'] > row['ms'])
        assert later['batches'] == 1
        asked = wait_why(leader, 'request', lambda r: r['request'] == 'Produce')
        assert asked['client'] == 'the-producer' and asked['requests'] == 1 and asked['peer'] == '127.0.0.1'
        behind = wait_why(leader, 'replica', lambda r: r.get('follower') == follower.id)
        assert behind['late'] == 1 and behind['out_of_sync'] == 0 and behind['records_behind'] == 1 and behind['ms'] > 1000
        silent = wait_why(c.controllers, 'broker', lambda r: r['broker'] == follower.id)
        assert 'no heartbeat comes from it' in silent['text']
        text = get(port_of(leader.text), '/why')[2]
        assert 't-0: batches waiting to be acknowledged: 1, the oldest at offset 0, for follower' in text and "client 'the-producer'" in text, text
        follower.resume()
        assert conn.receive(60)
        conn.close()
        for n in c.nodes:
            wait_nothing(n, ('produce', 'request', 'replica', 'fetcher', 'broker'))
        slow = json.loads(get(port_of(leader.text), '/why?format=json')[2])['slow']
        one = next(s for s in slow if s['request'] == 'Produce')
        assert one['client'] == 'the-producer' and one['remote_us'] > 1000000 and one['total_us'] >= one['remote_us'] + one['queue_us']
        assert slow == sorted(slow, key=lambda s: -s['total_us']) or len({s['request'] for s in slow}) > 1


def test_a_leader_and_a_controller_that_stand_still(tmp_path):
    with Cluster(tmp_path, controllers=1, brokers=2, factor=2, settings={'metrics.listener': SETTING, 'broker.session.timeout.ms': LAG_MS,
                                                                         'min.insync.replicas': 1, 'replica.socket.timeout.ms': 1000}) as c:
        c.create_topic('t', 1, 2)
        c.wait_in_sync('t')
        leader = c.leader('t', 0)
        follower = next(n for n in c.brokers if n is not leader)
        assert not [r for r in why(follower) if r['kind'] in ('fetcher', 'controller', 'node')]
        leader.pause()
        row = wait_why(follower, 'fetcher', lambda r: r['leader'] == leader.id and r['tries'] > 0)
        assert row['partitions'] >= 1 and row['host'] == '127.0.0.1' and row['port'] == leader.port
        leader.resume()
        wait_nothing(follower, ('fetcher',))
        c.active().pause()
        row = wait_why(follower, 'controller', lambda r: True)
        assert row['heartbeat_ms'] > 1000 and row['controller'] == 1
        c.nodes[0].resume()
        wait_nothing(follower, ('controller', 'node'))


def describe(c, topic, *more):
    return millrace('topics', '--bootstrap-server', c.node(11).servers, '--describe', '--topic', topic, *more)


def wait_told(c, text):
    """In the log of whichever controller led then."""
    wait(lambda: any(text in n.text() for n in c.controllers), lambda: 'no controller says "%s"' % text, 30)


def described(c):
    """While `alone`, whose one replica 12 has, has no leader: Kafka's output, and behind it why."""
    for more in ((), ('--unavailable-partitions',)):
        status, out, err = describe(c, 'alone', *more)
        assert (status, err) == (0, 'alone-0 has no leader: broker 12 has to come back, which has all of its records; no other replica lives\n')
        assert out.splitlines()[-1] == '\tTopic: alone\tPartition: 0\tLeader: none\tReplicas: 12\tIsr: \tElr: 12\tLastKnownElr: 12'
    p = json.loads(describe(c, 'alone', '--json')[1])['items'][0]['partitions'][0]
    assert (p['leader'], p['waitsFor']) == (None, [12])
    assert describe(c, 't')[2] == ''


def test_a_broker_that_is_gone(tmp_path):
    with Cluster(tmp_path, controllers=3, brokers=2, factor=2, settings={'metrics.listener': SETTING, 'min.insync.replicas': 2}) as c:
        c.create_topic('t', 4, 2)
        c.create_topic('alone', 1, 1, assignments=[[12]])
        c.wait_in_sync('t')
        c.node(12).kill()
        c.wait_partition('t', 0, leader=11, isr={11})
        row = wait_why(c.node(11), 'replica', lambda r: r.get('follower') == 12 and r['out_of_sync'] == 4)
        assert 'counts the broker as gone' in row['text']
        row = wait_why(c.node(11), 'replica', lambda r: r.get('partitions') == 4)
        assert 'acks=all is refused' in row['text']
        wait_why(c.controllers, 'broker', lambda r: r['broker'] == 12 and 'is fenced' in r['text'])
        told = [metrics(port_of(n.text)) for n in c.controllers]
        assert sum(m['millrace_controller_leader_elections_total'][()] for m in told) >= 2  # of the four that 12 led
        assert sum(m['kafka_controller_controllerstats_uncleanleaderelections_total'][()] for m in told) == 0
        assert sum(m['kafka_controller_kafkacontroller_newactivecontrollerscount_total'][()] for m in told) >= 1
        row = wait_why(c.controllers, 'election', lambda r: r['topic'] == 'alone')
        assert (row['partition'], row['isr'], row['elr']) == (0, 'none', '12 (fenced)')
        assert row['text'].startswith('alone-0 has no leader: ')
        wait_told(c, 'a partition has no leader: none of its replicas that have all records lives partition=alone-0 isr=[none] elr=[12 (')
        described(c)
        other = next(n for n in c.controllers if n is not c.active())
        other.pause()
        row = wait_why(c.controllers, 'quorum', lambda r: r.get('voter') == other.id)
        assert row['records_behind'] > 0
        other.resume()
        for n in c.controllers:
            wait_nothing(n, ('quorum',))
        c.node(12).start()
        c.wait_in_sync('t')
        wait_told(c, 'a partition has a leader again partition=alone-0 leader=12 ')
        assert json.loads(describe(c, 'alone', '--json')[1])['items'][0]['partitions'][0]['waitsFor'] is None
        for n in c.nodes:
            wait_nothing(n, ('replica', 'election', 'broker', 'quorum'))


def fill(c, topic, count=200, size=10000):
    status, out, err = run('kcat', '-P', '-b', c.servers, '-t', topic, input=b'\n'.join([b'x' * size] * count))
    assert status == 0, err


def test_a_reassignment_to_a_broker_that_stands_still(tmp_path):
    with Cluster(tmp_path, controllers=1, brokers=3, settings={'metrics.listener': SETTING, 'broker.session.timeout.ms': LAG_MS}) as c:
        c.create_topic('t', 1, 2, assignments=[[11, 12]])
        c.wait_in_sync('t')
        fill(c, 't')
        c.node(13).pause()
        answer = c.any('AlterPartitionReassignments', 0, {'timeoutMs': 10000, 'topics': [
            {'name': 't', 'partitions': [{'partitionIndex': 0, 'replicas': [11, 13]}]}]}, nodes=[c.node(11)])
        assert answer['errorCode'] == 0 and answer['responses'][0]['partitions'][0]['errorCode'] == 0, answer
        row = wait_why(c.node(11), 'move', lambda r: r['topic'] == 't')
        assert row['partition'] == 0 and row['adding'] == '13' and row['removing'] == '12' and row['percent'] == 0, row
        row = wait_why(c.controllers, 'move', lambda r: r['topic'] == 't')
        assert row['partitions'] == 1 and 't-0' in row['text']
        row = wait_why(c.node(11), 'replica', lambda r: r.get('follower') == 13)
        assert row['out_of_sync'] == 1 and row['records_behind'] == 200 and 'no fetch has come' in row['text']
        c.node(13).resume()
        c.wait_partition('t', 0, isr={11, 13})
        for n in c.nodes:
            wait_nothing(n, ('move', 'replica'))


def test_a_throttled_move_between_directories(tmp_path):
    with Cluster(tmp_path, combined=1, factor=1, settings={'metrics.listener': SETTING, 'min.insync.replicas': 1},
                 per_node=jbod(tmp_path, nodes=(1,), dirs=2)) as c:
        n = c.node(1)
        c.create_topic('t', 1, 1)
        fill(c, 't', 1000)
        wait(lambda: place(n, 't', 0), 'the replica is nowhere', 30)
        set_rate(c, n, 1000)
        target = next(d for d in dirs_of(n) if d != place(n, 't', 0))
        assert move(n, target, 't', [0]) == {0: 0}
        row = wait_why(n, 'move', lambda r: 'is throttled' in r['text'])
        assert row['topic'] == 't' and row['partition'] == 0 and row['directory'] == target
        assert 0 <= row['bytes_done'] < row['bytes'] and row['bytes'] > 10000000 and row['ms'] >= 100
        set_rate(c, n, None)
        wait_place(n, 't', 0, target)
        wait_nothing(n, ('move',))
