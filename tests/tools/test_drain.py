"""`broker drain` against three nodes: under a client's load, interrupted and run again, called off, throttled, of a broker that is down, and what
it refuses. Where replicas go is tried in tests/unit/tools/test_plan.c."""
import json
import os
import re
import signal
import subprocess
import sys

import pytest
from interpose import Interpose
from members import wait
from node import binary, millrace, run
from terminal import PROGRESS, WIPED, Tool

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../cluster'))
from cluster import Cluster  # noqa: E402
from history import Writer, check_records  # noqa: E402

LISTS = ('leader.replication.throttled.replicas', 'follower.replication.throttled.replicas')


@pytest.fixture
def cluster(tmp_path):
    with Cluster(tmp_path, combined=3, factor=2, settings={'min.insync.replicas': 1}) as c:
        yield c


def topic(c, name, assignments, mib=0):
    c.create_topic(name, len(assignments), 2, assignments=assignments)
    c.wait_in_sync(name)
    for p in range(len(assignments) if mib else 0):
        fill(c, name, p, mib)


def fill(c, name, p, mib):
    lines = b''.join(b'%09d' % i + b'.' * 9990 + b'\n' for i in range(mib * 105))
    assert run('kcat', '-P', '-b', c.servers, '-t', name, '-p', str(p), '-X', 'acks=all', input=lines)[0] == 0


def drain(c, broker, *more):
    return millrace('broker', 'drain', str(broker), '--bootstrap-server', c.servers, *more)


def launch(c, broker, *more):
    return subprocess.Popen([binary(), 'broker', 'drain', str(broker), '--bootstrap-server', c.servers, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def moving(c):
    r = c.any('ListPartitionReassignments', 0, {'timeoutMs': 5000, 'topics': None})
    return {(t['name'], p['partitionIndex']) for t in r['topics'] for p in t['partitions']} if r else None


def throttles(c):
    """Every setting of a throttle that is set, of topics and brokers."""
    found = []
    for kind in ('topics', 'brokers'):
        out = c.tool('configs', '--describe', '--entity-type', kind, '--json')
        found += [(i['entityName'], s['name']) for i in json.loads(out)['items'] for s in i['configs'] if 'throttled' in s['name']]
    return found


def let_end(c, brokers):
    """What moves slowly ends now, without its tool; the throttle stays."""
    for i in brokers:
        rates = ','.join('%s.replication.throttled.rate=1000000000' % who for who in ('leader', 'follower'))
        c.tool('configs', '--alter', '--broker', str(i), '--add-config', rates)
    wait(lambda: moving(c) == set(), lambda: moving(c), 60)


def replicas(c, name):
    return {p: x['replicaNodes'] for p, x in c.partitions(name).items()}


def assert_empty(c, broker):
    for n in c.brokers:
        if n.running:
            for t in c.any('Metadata', 12, {'topics': None, 'allowAutoTopicCreation': False}, [n])['topics']:
                for p in t['partitions']:
                    assert broker not in p['replicaNodes'] and p['leaderId'] != broker, t


def test_under_load_until_the_broker_can_go(cluster):
    topic(cluster, 't', [[1, 3], [3, 2], [2, 1], [3, 1]])
    w = Writer(cluster, 't', 4)
    w.wait_more(500)
    status, out, err = drain(cluster, 3)
    assert (status, err) == (0, ''), out + err
    assert out.startswith('Moving 3 replicas off broker 3') and 'it can be stopped for good' in out
    assert 'cluster unregister --bootstrap-server %s --id 3' % cluster.servers in out and 'one of 3 voters' in out
    wait(lambda: all(3 not in r for r in replicas(cluster, 't').values()), lambda: replicas(cluster, 't'), 30)
    assert_empty(cluster, 3)
    cluster.node(3).stop()
    cluster.tool('cluster', 'unregister', '--id', '3')
    w.wait_more(500)
    w.stop()
    check_records(cluster, w)
    out = cluster.tool('cluster', 'list-endpoints', '--include-fenced-brokers', '--json')
    assert [i['id'] for i in json.loads(out)['items']] == [1, 2]


def test_progress_on_a_terminal(cluster):
    topic(cluster, 't', [[1, 3], [3, 2], [2, 1]], mib=3)
    with Tool(('broker', 'drain', 3, '--bootstrap-server', cluster.servers, '--throttle', 100000), terminal=True) as p:
        p.until(PROGRESS)
        let_end(cluster, (1, 2, 3))
        status, out = p.end()
    assert status == 0 and 'it can be stopped for good' in out and 'partitions left' not in out, out
    assert p.text.endswith(WIPED) and throttles(cluster) == []


def test_interrupted_and_run_again(cluster):
    topic(cluster, 't', [[1, 3], [3, 2], [2, 1]], mib=3)
    p = launch(cluster, 3, '--throttle', '100000')
    wait(lambda: len(moving(cluster) or ()) == 2, lambda: moving(cluster), 30)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=60)
    assert (p.returncode, err) == (130, b'') and b'Interrupted' in out and b'--cancel' in out, out + err
    assert re.search(rb'\nWith --throttle 100000 the moves take at least [2-9]\d s\.\n', out), out
    assert len(moving(cluster)) == 2  # it goes on by itself
    assert {t for t, _ in throttles(cluster)} == {'t', '1', '2', '3'}
    status, out, _ = drain(cluster, 3, '--status')
    assert status == 1 and out == 'Broker 3 has 2 replicas and leads 1; 2 of its replicas are on the way to others.\n'
    p = launch(cluster, 3, '--throttle', '50000000')
    out, err = p.communicate(timeout=120)
    assert p.returncode == 0 and re.match(rb'(With --throttle 50000000 the moves take at least 1 s\.\n)?Broker 3 has no replicas', out), out + err
    assert throttles(cluster) == [] and moving(cluster) == set()
    assert_empty(cluster, 3)
    assert drain(cluster, 3, '--status')[0] == 0
    assert drain(cluster, 3)[1] == drain(cluster, 3, '--status')[1]  # nothing is left to do


def test_called_off(cluster):
    topic(cluster, 't', [[1, 3], [3, 2]], mib=3)
    before = {p: set(r) for p, r in replicas(cluster, 't').items()}  # the order may be another one, as with Kafka
    p = launch(cluster, 3, '--throttle', '100000')
    wait(lambda: len(moving(cluster) or ()) == 2, lambda: moving(cluster), 30)
    p.kill()
    p.communicate()
    status, out, err = drain(cluster, 3, '--cancel')
    assert (status, out) == (0, '2 moves were called off.\nWhat has left broker 3 already stays there (millrace balance evens out); 2 are still on it.\n'), err
    wait(lambda: {p: set(r) for p, r in replicas(cluster, 't').items()} == before, lambda: replicas(cluster, 't'), 30)
    assert moving(cluster) == set() and throttles(cluster) == []


def test_called_off_in_the_middle(cluster):
    """An empty partition has left, a full one has not: what is there stays there, and that is told."""
    topic(cluster, 't', [[1, 3], [3, 2]])
    fill(cluster, 't', 0, 3)
    p = launch(cluster, 3, '--throttle', '50000')
    wait(lambda: moving(cluster) == {('t', 0)}, lambda: moving(cluster), 30)
    wait(lambda: 3 not in replicas(cluster, 't')[1], lambda: replicas(cluster, 't'), 30)
    p.kill()
    p.communicate()
    left = '\nAt least 1 replica has left broker 3 already and stays there (millrace balance evens out); 1 is still on it.\n'
    status, out, err = drain(cluster, 3, '--cancel')
    assert (status, out) == (0, '1 move was called off.' + left), err
    assert moving(cluster) == set() and throttles(cluster) == []
    wait(lambda: set(replicas(cluster, 't')[0]) == {1, 3}, lambda: replicas(cluster, 't'), 30)
    assert 3 not in replicas(cluster, 't')[1]


def test_what_was_throttled_and_killed_is_finished_without_a_throttle_left(cluster):
    topic(cluster, 't', [[1, 3]], mib=2)
    p = launch(cluster, 3, '--throttle', '200000')
    wait(lambda: len(moving(cluster) or ()) == 1, lambda: moving(cluster), 30)
    p.kill()
    p.communicate()
    status, out, err = drain(cluster, 3)
    assert status == 0, out + err
    assert throttles(cluster) == []
    assert_empty(cluster, 3)


def test_a_throttle_that_was_left_behind_is_found_and_taken_off(cluster):
    """The tool ended first, then the moves. What an operator has set is not touched, and what other moves need stays as long as these go on."""
    topic(cluster, 't', [[1, 3], [3, 2]], mib=2)
    topic(cluster, 'other', [[1, 2]], mib=2)
    own = '%s=[*]' % LISTS[0]
    cluster.tool('configs', '--alter', '--topic', 'other', '--add-config', own)
    p = launch(cluster, 3, '--throttle', '50000')
    wait(lambda: len(moving(cluster) or ()) == 2, lambda: moving(cluster), 30)
    p.kill()
    p.communicate()
    let_end(cluster, (1, 2, 3))
    assert {t for t, _ in throttles(cluster)} == {'t', 'other', '1', '2', '3'}
    for back in ('--status', '--dry-run'):
        drain(cluster, 3, back)
    assert {t for t, _ in throttles(cluster)} == {'t', 'other', '1', '2', '3'}
    status, out, err = drain(cluster, 3)
    assert (status, err) == (0, '') and out.startswith('Taking off the throttle that an earlier run left behind: 1 topic, brokers 1, 2, 3.\nBroker 3 has'), out + err
    assert throttles(cluster) == [('other', LISTS[0])]
    assert drain(cluster, 3)[1].startswith('Broker 3 has no replicas')


def test_a_throttle_left_behind_stays_for_other_moves(cluster, tmp_path):
    topic(cluster, 't', [[1, 3]], mib=2)
    cluster.create_topic('other', 1, 1, assignments=[[1]])
    fill(cluster, 'other', 0, 2)
    p = launch(cluster, 3, '--throttle', '50000')
    wait(lambda: len(moving(cluster) or ()) == 1, lambda: moving(cluster), 30)
    p.kill()
    p.communicate()
    let_end(cluster, (1, 2, 3))
    plan = tmp_path / 'move.json'
    plan.write_text('{"version":1,"partitions":[{"topic":"other","partition":0,"replicas":[2]}]}')
    cluster.tool('reassign-partitions', '--execute', '--throttle', '50000', '--reassignment-json-file', str(plan))
    before = throttles(cluster)
    status, out, err = drain(cluster, 3)
    assert (status, err) == (0, '') and 'stays while other partitions move' in out and 'Broker 3 has no replicas' in out, out + err
    assert throttles(cluster) == before and moving(cluster) == {('other', 0)}
    cluster.tool('reassign-partitions', '--cancel', '--reassignment-json-file', str(plan))
    assert {t for t, _ in throttles(cluster)} == {'t'}
    assert 'Taking off' in drain(cluster, 3)[1] and throttles(cluster) == []


def test_a_topic_that_is_deleted_while_the_throttle_is_set(cluster):
    topic(cluster, 'gone', [[1, 3]], mib=1)
    topic(cluster, 't', [[1, 3]], mib=1)
    with Interpose(cluster.node(1).port, 44, lambda: cluster.tool('topics', '--delete', '--topic', 'gone')) as proxy:
        status, out, err = millrace('broker', 'drain', '3', '--bootstrap-server', proxy.servers, '--throttle', '50000000')
    assert (status, err) == (0, '') and 'it can be stopped for good' in out, out + err
    assert throttles(cluster) == [] and moving(cluster) == set()
    assert_empty(cluster, 3)


def test_of_a_broker_that_is_down(cluster):
    topic(cluster, 't', [[1, 3], [3, 2]], mib=1)
    cluster.node(3).kill()
    for p in (0, 1):
        cluster.wait_partition('t', p, not_leader=3, isr={p + 1})
    status, out, err = drain(cluster, 3)
    assert status == 0 and 'it can be stopped' in out and 'Let the cluster forget it' in out, out + err
    wait(lambda: all(set(r) == {1, 2} for r in replicas(cluster, 't').values()), lambda: replicas(cluster, 't'), 30)
    cluster.wait_in_sync('t')


def test_a_receiver_that_dies(tmp_path):
    """14 is empty and gets all; when it dies, 11 and 12 take what was on the way to it."""
    with Cluster(tmp_path, controllers=1, brokers=4, factor=2, settings={'min.insync.replicas': 1}) as c:
        topic(c, 't', [[11, 13], [13, 12]], mib=2)
        topic(c, 'small', [[11, 13]])
        p = launch(c, 13, '--throttle', '50000', '--patience', '1')
        wait(lambda: moving(c) == {('t', 0), ('t', 1)} and 13 not in replicas(c, 'small')[0], lambda: moving(c), 30)
        c.node(14).kill()
        c.wait_unfenced()
        c.tool('configs', '--alter', '--topic', 't', '--delete-config', ','.join(LISTS))  # so that the rest is quick
        out, err = p.communicate(timeout=120)
        assert p.returncode == 0 and b'Broker 14, to which replicas are moving, is down; others are to take them.' in err, out + err
        assert b'The throttle of broker 14 could not be taken off' in err, out + err
        assert {entity for entity, _ in throttles(c)} <= {'14'}  # also of what the first round alone had
        wait(lambda: all(set(r) == {11, 12} for r in replicas(c, 't').values()), lambda: replicas(c, 't'), 30)
        c.wait_in_sync('t')


def test_what_is_refused_changes_nothing(cluster):
    topic(cluster, 't', [[1, 3]])
    cluster.create_topic('three', 1, 3, assignments=[[1, 2, 3]])
    cluster.wait_in_sync('three')
    for broker, said in ((9, 'The brokers of this cluster are: 1, 2, 3.'), (3, 'too few for: three (3 replicas).')):
        status, out, err = drain(cluster, broker)
        assert (status, out) == (1, '') and said in err, err
        assert drain(cluster, broker, '--dry-run')[0] == 1
    cluster.tool('topics', '--delete', '--topic', 'three')
    for words in ((['x']), (['3', '--status', '--cancel']), (['3', '--json']), ([]), (['3', '--throttle', '0'])):
        status, out, err = millrace('broker', 'drain', *words, '--bootstrap-server', cluster.servers)
        assert (status, out) == (1, '') and len(err.splitlines()) == 1, err
    cluster.node(1).kill()  # 3 is the only one in sync then
    cluster.wait_partition('t', 0, leader=3, isr={3}, nodes=[cluster.node(2)])
    status, out, err = drain(cluster, 3)
    assert (status, out) == (1, '') and 'the last replica in sync of: t-0' in err and '1 (down)' in err, err
    assert moving(cluster) == set() and replicas(cluster, 't') == {0: [1, 3]}
    cluster.node(1).start()


def test_a_broker_that_runs_is_not_unregistered(cluster):
    words = ('cluster', 'unregister', '--bootstrap-server', cluster.servers, '--id', '3')
    gone = 'Broker 3 is no longer registered.\n'
    runs = 'Broker 3 is running, and would register again by itself. Stop it first%s, then unregister it; ' \
           'with --force it is done all the same. Nothing was changed.\n'

    def fenced():
        items = json.loads(cluster.tool('cluster', 'list-endpoints', '--include-fenced-brokers', '--json'))['items']
        return {i['id']: i['fenced'] for i in items}

    assert millrace(*words) == (1, '', runs % '')
    topic(cluster, 't', [[1, 3], [3, 2], [1, 2]])
    assert millrace(*words) == (1, '', runs % ' (it has 2 replicas: before that, `millrace broker drain 3` moves them to others)')
    assert fenced() == {1: False, 2: False, 3: False} and 'registering again' not in cluster.node(3).text(True)
    assert millrace(*words, '--force') == (0, gone, 'Broker 3 is running, and registers again by itself.\n')
    wait(lambda: fenced() == {1: False, 2: False, 3: False}, fenced, 30)
    cluster.node(3).pause()  # it runs, and answers nothing
    assert millrace(*words)[:2] == (1, '')
    cluster.node(3).resume()
    wait(lambda: fenced() == {1: False, 2: False, 3: False}, fenced, 30)
    cluster.node(3).kill()  # and is not fenced yet
    assert fenced()[3] is False
    assert millrace(*words) == (0, gone, '')
    assert 3 not in fenced()
    cluster.node(3).start()
    wait(lambda: fenced() == {1: False, 2: False, 3: False}, fenced, 30)
    cluster.node(3).stop()
    wait(lambda: fenced()[3], fenced, 30)
    assert millrace(*words) == (0, gone, '')


def test_moves_that_take_nothing_off_the_broker_are_not_called_off(cluster, tmp_path):
    topic(cluster, 't', [[1, 3]], mib=3)
    topic(cluster, 'u', [[2, 1]], mib=3)
    p = launch(cluster, 3, '--throttle', '100000')
    wait(lambda: moving(cluster) == {('t', 0)}, lambda: moving(cluster), 30)
    p.kill()
    p.communicate()
    file = tmp_path / 'other.json'
    file.write_text(json.dumps({'partitions': [{'topic': 'u', 'partition': 0, 'replicas': [2, 3]}]}))
    cluster.tool('reassign-partitions', '--execute', '--additional', '--throttle', '100000', '--reassignment-json-file', str(file))
    assert moving(cluster) == {('t', 0), ('u', 0)}
    left = 'What has left broker 3 already stays there (millrace balance evens out); 1 is still on it.\n'
    others = '1 other move goes on, taking nothing away from broker 3 (millrace reassign-partitions --list).\n'
    status, out, err = drain(cluster, 3, '--cancel')
    assert (status, err) == (0, '') and out.endswith('\n1 move was called off.\n' + left + others), out + err
    assert 'stays while other partitions move' in out and moving(cluster) == {('u', 0)}
    assert {t for t, _ in throttles(cluster)} == {'t', 'u', '1', '2', '3'}  # the rates are for u-0, too
    assert drain(cluster, 3, '--cancel')[1].endswith('\n0 moves were called off.\n' + left + others) and moving(cluster) == {('u', 0)}
    let_end(cluster, (1, 2, 3))
    assert set(replicas(cluster, 't')[0]) == {1, 3}
    status, out, err = drain(cluster, 3, '--cancel')
    assert (status, err) == (0, '') and out.startswith('Taking off the throttle that an earlier run left behind: '), out + err
    assert '\n0 moves were called off.\n' in out and 'broker 3 already' in out
    assert not {t for t, _ in throttles(cluster)} & {'t', '1', '3'}


def test_the_plan_as_json(cluster):
    topic(cluster, 't', [[1, 3], [3, 2]])
    out = json.loads(drain(cluster, 3, '--dry-run', '--json')[1])
    assert (out['list'], out['version'], out['copies'], out['leftAlone']) == ('moves', 1, 2, None)
    assert [(i['topic'], i['partition'], i['from'], set(i['to']), i['copies']) for i in out['items']] == [('t', 0, [1, 3], {1, 2}, 1), ('t', 1, [3, 2], {1, 2}, 1)]
    assert [(b['id'], b['now']['replicas'], b['then']['replicas']) for b in out['brokers']] == [(1, 1, 2), (2, 1, 2), (3, 2, 0)]
    assert replicas(cluster, 't') == {0: [1, 3], 1: [3, 2]}
