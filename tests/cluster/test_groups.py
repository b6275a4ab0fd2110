"""Consumer groups whose coordinator dies or leaves: members go on with the next one, no commit is lost, none goes back."""
import pytest
from cluster import Cluster, wait
from history import Writer, check_records
from members import KafkaPython, Librdkafka, read_by, wait_settled

GROUP, TOPIC = 'g', 't'


def coordinator(c):
    found = []

    def known():
        r = c.any('FindCoordinator', 4, {'keyType': 0, 'coordinatorKeys': [GROUP]})
        found[:] = [n for n in c.brokers if n.running and r and (r['coordinators'][0]['errorCode'], r['coordinators'][0]['nodeId']) == (0, n.id)]
        return found
    wait(known, 'no coordinator')
    return found[0]


def committed(c):
    """{partition: offset} as the coordinator tells, None if it does not."""
    r = c.any('OffsetFetch', 8, {'groups': [{'groupId': GROUP, 'topics': None}], 'requireStable': False}, [coordinator(c)])
    if r is None or r['groups'][0]['errorCode']:
        return None
    return {p['partitionIndex']: p['committedOffset'] for t in r['groups'][0]['topics'] for p in t['partitions']}


def told(members):
    """The highest commit that any member was told is done."""
    best = {}
    for m in members:
        for (_, p), offset in list(m.committed.items()):
            best[p] = max(best.get(p, 0), offset)
    return best


def check_commits(c, members):
    """What was acknowledged before the question is there."""
    before = told(members)
    now = []

    def answered():
        now[:] = [committed(c)]
        return now[0] is not None
    wait(answered, 'offsets are not answered')
    lost = {p: (offset, now[0].get(p)) for p, offset in before.items() if now[0].get(p, -1) < offset}
    assert not lost, 'commits that were acknowledged are gone: %s' % lost


@pytest.mark.parametrize('kind', [Librdkafka, pytest.param(KafkaPython, marks=pytest.mark.slow)])
def test_the_coordinator_dies(tmp_path, kind):
    with Cluster(tmp_path, controllers=1, brokers=3) as c:
        c.create_topic(TOPIC, 4, 3)
        w = Writer(c, TOPIC, 4, rate=200)
        members = [kind(c.servers, GROUP, TOPIC) for _ in range(2)]
        wait_settled(members, TOPIC, 4)
        for end in ('kill', 'stop'):
            wait(lambda: len(told(members)) == 4, 'no commits')
            n = coordinator(c)
            getattr(n, end)()
            assert coordinator(c) is not n
            check_commits(c, members)
            high = told(members)
            wait(lambda: all(told(members)[p] > high[p] for p in high), lambda: 'commits stay at %s: %s' % (high, '; '.join(map(str, members))), 90)
            n.start()
            c.wait_in_sync('__consumer_offsets')
        w.stop()
        wait(lambda: len(read_by(members)) >= w.count, lambda: 'read %d of %d' % (len(read_by(members)), w.count), 60)
        for m in members:
            m.stop()
            assert not m.backward, m.backward
        check_commits(c, members)
        check_records(c, w)
