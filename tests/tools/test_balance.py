"""`balance` against three nodes: a broker that has nothing gets its share, what is balanced is left alone, a run that was interrupted is taken up, and
what producers write is evened out while they write. What is moved is tried in tests/unit/tools/test_plan.c."""
import contextlib
import json
import os
import pty
import signal
import subprocess
import threading
import time

import pytest
from interpose import Interpose
from members import wait
from node import binary, millrace
from terminal import PROGRESS, WIPED, Tool
from test_drain import Cluster, let_end, moving, throttles, topic

DESCRIBE_CONFIGS, ALTER_PARTITION_REASSIGNMENTS = 32, 45
RATE = 1 << 20  # bytes a second to each hot partition


@pytest.fixture
def cluster(tmp_path):
    with Cluster(tmp_path, combined=3, factor=2, settings={'min.insync.replicas': 1}) as c:
        topic(c, 't', [[1, 2], [2, 1], [1, 2], [2, 1], [1, 2], [2, 1]], mib=2)
        yield c


def balance(c, *more, sample=0):
    return millrace('balance', '--bootstrap-server', c.servers, '--sample-seconds', str(sample), *more)


def plan(c, sample=0):
    status, out, err = balance(c, '--dry-run', '--json', sample=sample)
    assert status == 0, err
    return json.loads(out)


def test_a_broker_without_replicas_gets_its_share(cluster):
    before = plan(cluster)
    assert before['copies'] == 4 and len(before['items']) >= 4 and before['bytes'] > 8 << 20
    assert [b['then']['replicas'] for b in before['brokers']] == [4, 4, 4] and [b['then']['leaders'] for b in before['brokers']] == [2, 2, 2]
    status, shown, _ = balance(cluster, '--dry-run')
    assert status == 0 and '4 replicas with' in shown and shown.count('\n  t-') == len(before['items']) and 'take at least' not in shown
    status, shown, err = balance(cluster, '--dry-run', '--throttle', '50000000')
    assert (status, err) == (0, '') and '\nWith --throttle 50000000 the moves take at least 1 s.\n' in shown, shown + err
    status, out, err = balance(cluster, '--execute', '--throttle', '50000000')
    assert (status, err) == (0, '') and out == shown + 'Done.\n', out + err
    cluster.wait_in_sync('t')
    assert throttles(cluster) == [] and moving(cluster) == set()
    after = plan(cluster)
    assert after['items'] == [] and [b['now']['replicas'] for b in after['brokers']] == [4, 4, 4]
    leaders = [x['leaderId'] for x in cluster.partitions('t').values()]
    assert sorted(leaders) == [1, 1, 2, 2, 3, 3]
    assert 'Nothing has to move.' in balance(cluster, '--dry-run')[1]


def test_a_throttle_that_takes_for_ever_is_told_and_may_be_set_anew(cluster):
    v = json.loads(balance(cluster, '--dry-run', '--json', '--throttle', '1')[1])
    assert v['seconds'] == v['bytes'] > 8 << 20  # one broker gets all of it, at a byte a second
    warning = 'Warning: with --throttle 1 the moves take at least %d days. It counts bytes a second: with %d an hour would do. ' \
              'Ctrl-C and another run set another one.\n' % (v['seconds'] // 86400, v['seconds'] // 3600 + 1)
    status, out, err = balance(cluster, '--dry-run', '--throttle', '1')
    assert (status, err) == (0, warning) and '\nWith --throttle 1 the moves take at least %d days.\n' % (v['seconds'] // 86400) in out
    assert balance(cluster, '--dry-run', '--throttle', str(v['seconds'] // 86400 + 1))[2] == ''  # within a day
    words = [binary(), 'balance', '--bootstrap-server', cluster.servers, '--sample-seconds', '0', '--execute', '--throttle', '1']
    p = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert p.stderr.readline() == warning  # before anything else is known of it
    wait(lambda: len(moving(cluster) or ()) == 4, lambda: moving(cluster), 30)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=60)
    assert (p.returncode, err) == (130, ''), out + err
    status, out, err = balance(cluster, '--execute', '--throttle', '50000000')  # of what moves already, too
    assert (status, err) == (0, '') and '\nWith --throttle 50000000 the moves take at least 1 s.\n' in out and out.endswith('Done.\n'), out + err
    assert throttles(cluster) == [] and plan(cluster)['items'] == []


def test_progress_on_a_terminal(cluster):
    with Tool(('balance', '--bootstrap-server', cluster.servers, '--execute', '--throttle', 100000), terminal=True) as p:
        p.until(PROGRESS)
        let_end(cluster, (1, 2, 3))
        status, out = p.end()
    assert status == 0 and out.endswith('Done.\n') and 'partitions left' not in out, out
    assert p.text.endswith(WIPED) and throttles(cluster) == []


def test_interrupted_and_run_again(cluster):
    words = [binary(), 'balance', '--bootstrap-server', cluster.servers, '--sample-seconds', '0', '--execute', '--throttle', '100000']
    p = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait(lambda: len(moving(cluster) or ()) == 4, lambda: moving(cluster), 30)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=60)
    assert p.returncode == 130 and b'Interrupted' in out and err == b'', out + err
    assert plan(cluster)['items'] == []  # all of it is on its way
    words[-1] = '50000000'
    p = subprocess.run(words, capture_output=True, timeout=120)
    assert p.returncode == 0 and b'4 partitions move already' in p.stdout, p
    assert moving(cluster) == set() and throttles(cluster) == [] and plan(cluster)['items'] == []


@pytest.mark.parametrize('again', ('--execute', '--cancel'))
def test_a_throttle_that_was_left_behind_is_found_and_taken_off(cluster, again):
    p = subprocess.Popen([binary(), 'balance', '--bootstrap-server', cluster.servers, '--sample-seconds', '0', '--execute', '--throttle', '100000'],
                         stdout=subprocess.DEVNULL)
    wait(lambda: len(moving(cluster) or ()) == 4, lambda: moving(cluster), 30)
    p.kill()
    p.wait()
    let_end(cluster, (1, 2, 3))
    assert {t for t, _ in throttles(cluster)} == {'t', '1', '2', '3'}
    status, out, err = balance(cluster, again)
    assert (status, err) == (0, '') and 'Taking off the throttle that an earlier run left behind: 1 topic, brokers 1, 2, 3.\n' in out, out + err
    assert throttles(cluster) == []


def test_a_throttle_of_a_move_that_is_about_to_begin_is_not_left_behind(cluster, tmp_path):
    """reassign-partitions has set its throttle and not yet begun to move when balance finds it, and sees that nothing moves."""
    assert balance(cluster, '--execute')[0] == 0  # nothing is left to do for the next one
    cluster.wait_in_sync('t')
    now = cluster.partitions('t')[0]['replicaNodes']
    plan = tmp_path / 'move.json'
    plan.write_text(json.dumps({'partitions': [{'topic': 't', 'partition': 0, 'replicas': [now[0], 6 - sum(now)]}]}))
    found, seen = threading.Event(), []

    def meanwhile():
        words = [binary(), 'balance', '--bootstrap-server', second.servers, '--sample-seconds', '0', '--execute']
        seen.append(subprocess.Popen(words, stdout=subprocess.PIPE, text=True))
        assert found.wait(60)
    with Interpose(cluster.node(1).port, DESCRIBE_CONFIGS, found.set, nth=2) as second, \
            Interpose(cluster.node(1).port, ALTER_PARTITION_REASSIGNMENTS, meanwhile) as first:
        status, out, err = millrace('reassign-partitions', '--bootstrap-server', first.servers, '--execute', '--throttle', '50000', '--reassignment-json-file', str(plan))
        assert status == 0, out + err
        out = seen[0].communicate(timeout=60)[0]
    assert seen[0].returncode == 0 and 'Nothing has to move.' in out and 'Taking off' not in out, out
    assert {t for t, _ in throttles(cluster)} == {'t', '1', '2', '3'} and moving(cluster) == {('t', 0)}
    cluster.tool('reassign-partitions', '--cancel', '--reassignment-json-file', str(plan))
    assert throttles(cluster) == []


def test_called_off(cluster):
    p = subprocess.Popen([binary(), 'balance', '--bootstrap-server', cluster.servers, '--sample-seconds', '0', '--execute', '--throttle', '100000'],
                         stdout=subprocess.DEVNULL)
    wait(lambda: len(moving(cluster) or ()) == 4, lambda: moving(cluster), 30)
    p.kill()
    p.wait()
    status, out, err = balance(cluster, '--cancel')
    assert (status, out) == (0, '4 moves were called off.\n'), err
    wait(lambda: all(set(x['replicaNodes']) == {1, 2} for x in cluster.partitions('t').values()), lambda: cluster.partitions('t'), 30)
    assert throttles(cluster) == []


def test_what_is_not_in_sync_is_left_alone_and_that_is_no_success(cluster):
    cluster.node(2).kill()
    for p in range(6):
        cluster.wait_partition('t', p, isr={1}, nodes=[cluster.node(1), cluster.node(3)])
    assert plan(cluster)['leftAlone'] == 6
    status, out, err = balance(cluster, '--dry-run')
    assert (status, err) == (0, '') and '\n6 partitions are not wholly in sync, and left alone; millrace cluster doctor says why.\n' in out, out + err
    status, out, err = balance(cluster, '--execute')
    assert (status, err) == (1, '') and out.endswith('Left alone: 6 partitions, which were not wholly in sync. Run this again when they are.\n'), out + err
    assert 'Done' not in out
    cluster.node(2).start()
    cluster.wait_in_sync('t')
    assert plan(cluster)['leftAlone'] == 0
    status, out, err = balance(cluster, '--execute')
    assert (status, err) == (0, '') and out.endswith('Done.\n'), out + err


@contextlib.contextmanager
def producers(c, name, partitions):
    """One a partition, each at RATE at most, in records of 4 KiB: what a busy machine has kept from it is not made good. A list of what failed."""
    end, failed = threading.Event(), []

    def produce(p):
        kcat = subprocess.Popen(['kcat', '-P', '-b', c.servers, '-t', name, '-p', str(p), '-X', 'acks=all', '-X', 'linger.ms=5'], stdin=subprocess.PIPE)
        due = time.monotonic()
        while not end.is_set():
            if due <= time.monotonic():
                kcat.stdin.write(b'x' * 4095 + b'\n')
                due = max(due, time.monotonic() - 0.05) + 4096 / RATE
            else:
                kcat.stdin.flush()
                end.wait(0.01)
        kcat.stdin.close()
        if kcat.wait(60):
            failed.append(p)

    threads = [threading.Thread(target=produce, args=(p,)) for p in partitions]
    for t in threads:
        t.start()
    try:
        yield failed
    finally:
        end.set()
        for t in threads:
            t.join()


def wait_plan(c, holds):
    """The first plan by a sample of which that holds."""
    seen = [None]

    def look():
        seen[0] = plan(c, 3)
        return holds(seen[0])

    wait(look, lambda: seen[0], 90)
    return seen[0]


def led(plan, when='now'):
    return [b[when]['led'] for b in plan['brokers']]


def test_hot_partitions_are_parted_under_load(tmp_path):
    """Broker 1 leads all that is hot. By bytes, replicas and leaders the cluster is even."""
    with Cluster(tmp_path, combined=3, factor=3) as c:
        c.create_topic('hot', 3, 3, assignments=[[1, 2, 3], [1, 3, 2], [1, 2, 3]])
        c.create_topic('cold', 6, 3, assignments=[[2, 3, 1], [3, 1, 2]] * 3)
        c.wait_in_sync('hot')
        c.wait_in_sync('cold')

        def executed():  # once, but for a machine so busy that it writes to one of them and not to another
            status, shown, err = balance(c, '--execute', sample=4)
            assert (status, err) == (0, '') and shown.endswith('Done.\n') and 'LED/S' in shown, shown + err
            return {x['leaderId'] for x in c.partitions('hot').values()} == {1, 2, 3}

        with producers(c, 'hot', range(3)) as failed:
            assert 'Nothing has to move.' in balance(c, '--dry-run')[1]
            before = wait_plan(c, lambda p: min(led(p, 'then')) > RATE / 2)  # the producers are at their pace
            assert led(before)[1:] == [0, 0] and led(before)[0] > 1.5 * RATE and before['unmeasured'] == 0
            hot = [i for i in before['items'] if i['topic'] == 'hot']
            assert len(hot) == 2 and all(i['written'] > RATE / 2 for i in hot) and before['copies'] == 0, before
            assert all(b['now']['written'] > 1.5 * RATE for b in before['brokers'])
            wait(executed, lambda: c.partitions('hot'), 90)
            after = wait_plan(c, lambda p: p['items'] == [])
            assert 0 < max(led(after)) < 0.6 * sum(led(after)), after
        assert failed == []


def test_the_sample_on_a_terminal_and_in_a_pipe(cluster):
    ours, theirs = pty.openpty()
    words = [binary(), 'balance', '--bootstrap-server', cluster.servers, '--dry-run', '--sample-seconds', '1']
    p = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    out = p.communicate(timeout=60)[0]
    assert p.returncode == 0 and b'WRITTEN/S' in out and b'0 B/s -> 0 B/s' in out, out
    shown = os.read(ours, 10000).split(b'\r\x1b[K')
    os.close(ours)
    assert shown[0] == shown[-1] == b'' and set(shown[1:-1]) == {b'Looking at what is written, 1 s left'}, shown
    status, out, err = balance(cluster, '--dry-run', sample=1)
    assert (status, err) == (0, '') and 'WRITTEN/S' in out
    assert 'WRITTEN/S' not in balance(cluster, '--dry-run')[1]


def test_bad_words(cluster):
    for words in ([], ['--dry-run', '--execute'], ['--execute', '--json'], ['--dry-run', '--tolerance', '0'], ['--dry-run', 'now'],
                  ['--dry-run', '--sample-seconds', '-1'], ['--dry-run', '--sample-seconds', '3601']):
        status, out, err = balance(cluster, *words)
        assert (status, out) == (1, '') and len(err.splitlines()) == 1, err
