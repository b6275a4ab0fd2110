"""Consumer groups whose coordinator dies or leaves: members go on with the next one, no commit is lost, none goes back."""
import pytest
from cluster import Cluster, wait
from history import Writer, check_commits, check_records, committed_by
from members import KafkaPython, Librdkafka, read_by, wait_settled

GROUP, TOPIC = 'g', 't'


@pytest.mark.parametrize('kind', [Librdkafka, pytest.param(KafkaPython, marks=pytest.mark.slow)])
def test_the_coordinator_dies(tmp_path, kind):
    with Cluster(tmp_path, controllers=1, brokers=3) as c:
        c.create_topic(TOPIC, 4, 3)
        w = Writer(c, TOPIC, 4, rate=200)
        members = [kind(c.servers, GROUP, TOPIC) for _ in range(2)]
        wait_settled(members, TOPIC, 4)
        for end in ('kill', 'stop'):
            wait(lambda: len(committed_by(members)) == 4, 'no commits')
            n = c.coordinator(GROUP)
            getattr(n, end)()
            assert c.coordinator(GROUP) is not n
            check_commits(c, GROUP, members)
            high = committed_by(members)
            wait(lambda: all(committed_by(members)[p] > high[p] for p in high), lambda: 'commits stay at %s: %s' % (high, '; '.join(map(str, members))), 90)
            n.start()
            c.wait_in_sync('__consumer_offsets')
        w.stop()
        wait(lambda: len(read_by(members)) >= w.count, lambda: 'read %d of %d' % (len(read_by(members)), w.count), 60)
        for m in members:
            m.stop()
            assert not m.backward, m.backward
        check_commits(c, GROUP, members)
        check_records(c, w)
