"""What several kinds of clients do with one group: taking turns as its members, and going on through kill -9 of the node. Run with Debian's
librdkafka and kafka-python by test_group_members.py, with librdkafka and Java by mixed_groups.py."""
import threading

from confluent_kafka import Consumer, Producer, TopicPartition
from members import read_by, wait, wait_settled
from node import millrace

PARTITIONS = 6


def create(n, topic, partitions=PARTITIONS):
    status, out, err = millrace('topics', '--bootstrap-server', n.servers, '--create', '--topic', topic, '--partitions', str(partitions))
    assert status == 0, out + err


class Feed:
    """Goes on producing to every partition until it is stopped; acked[p] counts what was acknowledged, offsets 0 to acked[p] - 1."""

    def __init__(self, servers, topic, partitions=PARTITIONS, rate=1500):
        self.acked, self.bad, self.wanted = [0] * partitions, [], True
        self.producer = Producer({'bootstrap.servers': servers, 'enable.idempotence': True, 'linger.ms': 5, 'message.timeout.ms': 120000,
                                  'reconnect.backoff.max.ms': 200, 'queue.buffering.max.messages': 20000})
        self.topic, self.rate = topic, rate
        self.thread = threading.Thread(target=self.main, daemon=True)
        self.thread.start()

    def delivered(self, err, m):
        if err:
            self.bad.append(err)
        else:
            self.acked[m.partition()] = max(self.acked[m.partition()], m.offset() + 1)

    def main(self):
        i = 0
        while self.wanted:
            self.producer.poll(0.02)
            for _ in range(self.rate // 50 if len(self.producer) < 10000 else 0):
                self.producer.produce(self.topic, b'%d' % i, partition=i % len(self.acked), on_delivery=self.delivered)
                i += 1
        self.left = self.producer.flush(90)

    def stop(self):
        self.wanted = False
        self.thread.join(100)
        assert not self.thread.is_alive() and self.left == 0 and not self.bad, self.bad[:3]
        return self.acked


def all_read(members, topic, acked):
    """Every acknowledged record was read."""
    want = {(topic, p, o) for p, count in enumerate(acked) for o in range(count)}
    wait(lambda: want <= set(read_by(members)), lambda: 'not read: %d of %d; %s' % (
        len(want - set(read_by(members))), len(want), '; '.join(map(str, members))))


def committed(servers, group, topic, partitions=PARTITIONS):
    """What OffsetFetch says, -1 where there is nothing."""
    c = Consumer({'bootstrap.servers': servers, 'group.id': group, 'reconnect.backoff.max.ms': 200})
    try:
        told = c.committed([TopicPartition(topic, p) for p in range(partitions)], timeout=60)
        assert not [p for p in told if p.error], told
        return {(p.topic, p.partition): max(p.offset, -1) for p in told}
    finally:
        c.close()


def take_turns(n, first, second, group, assignor):
    """One member has all, a second kind takes its half, the first leaves and the second has all: each record is read, and read once."""
    topic = group
    create(n, topic)
    feed = Feed(n.servers, topic)
    a = first(n.servers, group, topic, assignor)
    wait_settled([a], topic, PARTITIONS)
    b = second(n.servers, group, topic, assignor)
    wait_settled([a, b], topic, PARTITIONS)
    both = (len(a.records), len(b.records))
    wait(lambda: len(a.records) > both[0] + 200 and len(b.records) > both[1] + 200, 'not both read: %s; %s' % (a, b))
    a.stop()
    wait_settled([b], topic, PARTITIONS)
    acked = feed.stop()
    all_read([a, b], topic, acked)
    # Each committed before it gave its partitions away, so nothing is read twice.
    twice = [r for r, count in read_by([a, b]).items() if count > 1]
    assert not twice, '%d records were read twice, such as %s' % (len(twice), twice[:3])
    end = {(topic, p): count for p, count in enumerate(acked)}
    wait(lambda: b.committed == end, lambda: 'committed %s of %s' % (b.committed, end))
    assert committed(n.servers, group, topic) == end
    assert not a.backward and not b.backward, (a.backward, b.backward)
    b.stop()


def dies(n, first, second, group, assignor):
    """The first is killed without a word: its session times out and the second takes over where it had committed."""
    topic = group
    create(n, topic)
    feed = Feed(n.servers, topic)
    a, b = first(n.servers, group, topic, assignor), second(n.servers, group, topic, assignor)
    wait_settled([a, b], topic, PARTITIONS)
    wait(lambda: len(a.records) > 200 and len(b.records) > 200, 'not both read')
    a.kill()
    wait_settled([b], topic, PARTITIONS)
    all_read([a, b], topic, feed.stop())
    b.stop()


def through_kills(n, kinds, rounds):
    """Members of every kind in two groups commit while the node is killed and started again: no commit that was answered is lost or goes
    back, every group settles, and everything is read in the end."""
    topic = 'killed'
    create(n, topic)
    feed = Feed(n.servers, topic)
    groups = {'killed-1': 'range', 'killed-2': 'roundrobin'}
    members = {g: [kind(n.servers, g, topic, assignor, 10000) for kind in kinds] for g, assignor in groups.items()}
    for r in range(rounds):
        for g in groups:
            wait_settled(members[g], topic, PARTITIONS)
            seen = [len(m.records) for m in members[g]]
            wait(lambda: all(len(m.records) > s + 300 for m, s in zip(members[g], seen)), lambda: 'no progress: ' + '; '.join(map(str, members[g])))
        wait(lambda: all(len(highest(members[g])) == PARTITIONS for g in groups), 'not every partition has a commit')
        n.kill()
        # While the node is down no commit is answered, so what was told by now must be there again.
        before = {g: highest(members[g]) for g in groups}
        n.start()
        for g in groups:
            now = committed(n.servers, g, topic)
            lost = {tp: (o, now[tp]) for tp, o in before[g].items() if now[tp] < o}
            assert not lost, 'round %d: of %s lost: %s' % (r, g, lost)
    for g in groups:
        wait_settled(members[g], topic, PARTITIONS)
    acked = feed.stop()
    for g in groups:
        all_read(members[g], topic, acked)
        end = {(topic, p): count for p, count in enumerate(acked)}
        wait(lambda: highest(members[g]) == end, lambda: '%s: committed %s of %s' % (g, highest(members[g]), end))
        assert committed(n.servers, g, topic) == end
        for m in members[g]:
            m.stop()
    return acked


def highest(members):
    most = {}
    for m in members:
        for tp, o in list(m.committed.items()):
            most[tp] = max(o, most.get(tp, -1))
    return most
