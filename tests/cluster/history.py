"""What clients did, and whether the cluster kept its word.

Writer is a librdkafka producer in a thread of its own (acks=all, idempotent unless told otherwise) that goes on sending numbered records to every
partition of a topic and notes what was acknowledged where and when. The checkers are functions of such a history and of what is read
afterwards:

    check_records   all acknowledged records are there, where they were acknowledged, once, in the order of sending
    check_commits   commits that members of a group were told are done are there
    check_replicas  the replicas' files are equal to the byte
    check_seen      what a consumer was shown is still there
    longest_wait    the longest time that a record waited for its acknowledgement
    longest_gap     the longest time in which nothing was acknowledged
"""
import os
import threading
import time

from cluster import wait


# A leader that was stopped in order and is back knows the last batch of each producer alone, as the snapshot files of Kafka have it. If nobody else could
# lead meanwhile, a producer that had several batches in flight is told that it is out of order when it sends the earlier ones again; librdkafka calls
# that fatal, with this word. With begins_anew a Writer goes on as another producer; the records that were in flight may then be there or not.
REWOUND = 'rewound sequence number'
GIVEN_UP = (-150, -152, -151)  # librdkafka's _FATAL, _PURGE_QUEUE, _PURGE_INFLIGHT


class Writer:
    def __init__(self, cluster, topic, partitions, rate=400, name='w', idempotent=True, size=100, config=None, begins_anew=False):
        self.topic, self.partitions, self.rate, self.name, self.size = topic, partitions, rate, name, size
        self.config = {'bootstrap.servers': cluster.servers, 'enable.idempotence': idempotent, 'acks': 'all', 'linger.ms': 2, 'batch.num.messages': 50,
                       'message.timeout.ms': 120000, 'reconnect.backoff.ms': 20, 'reconnect.backoff.max.ms': 200, 'retry.backoff.ms': 50,
                       'socket.timeout.ms': 10000, 'topic.metadata.refresh.interval.ms': 5000, **(config or {})}
        self.sent = [0] * partitions
        self.acked = [{} for _ in range(partitions)]  # of a partition: number -> offset
        self.times = [[] for _ in range(partitions)]  # of a partition: (sent, acknowledged)
        self.failed, self.trouble, self.wanted = [], None, True
        self.begins_anew, self.rewound, self.unknown = begins_anew, [], 0
        cluster.writers.append(self)  # who fails ends it
        self.thread = threading.Thread(target=self.guarded, daemon=True)
        self.thread.start()

    def value(self, p, i):
        return (b'%s %d %d ' % (self.name.encode(), p, i)).ljust(self.size, b'.')

    def delivered(self, p, i, sent_at):
        def cb(err, msg):
            if err and self.rewound and err.code() in GIVEN_UP:
                self.unknown += 1
            elif err:
                self.failed.append((p, i, str(err)))
            else:
                self.acked[p][i] = msg.offset()
                self.times[p].append((sent_at, time.monotonic()))
        return cb

    def guarded(self):
        try:
            self.main()
        except Exception as e:  # told by stop()
            self.trouble = repr(e)

    def main(self):
        from confluent_kafka import KafkaException, Producer
        while self.wanted:
            producer = Producer(self.config)
            try:
                self.go_on(producer)
                left = producer.flush(120)
                if left:
                    self.trouble = '%d records were never answered' % left
            except KafkaException as e:
                if not self.begins_anew or REWOUND not in str(e):
                    raise
                self.rewound.append(str(e))
                producer.purge()
                producer.flush(120)

    def go_on(self, producer):
        due = time.monotonic()
        while self.wanted:
            for p in range(self.partitions):
                if self.sent[p] - len(self.acked[p]) - self.unknown < 2000:
                    i, self.sent[p] = self.sent[p], self.sent[p] + 1
                    producer.produce(self.topic, self.value(p, i), partition=p, on_delivery=self.delivered(p, i, time.monotonic()))
            due = max(due + self.partitions / self.rate, time.monotonic() - 0.1)
            producer.poll(max(0, due - time.monotonic()))

    @property
    def count(self):
        return sum(map(len, self.acked))

    def wait_more(self, n=200, seconds=60, partitions=None):
        """Until each of these partitions (or all) has n more acknowledged records."""
        goal = {p: len(self.acked[p]) + n for p in (range(self.partitions) if partitions is None else partitions)}
        wait(lambda: self.trouble or all(len(self.acked[p]) >= g for p, g in goal.items()),
             lambda: 'acknowledged %s, wanted %s' % ([len(a) for a in self.acked], goal), seconds)
        assert not self.trouble, self.trouble

    def stop(self):
        self.wanted = False
        self.thread.join(180)
        assert not self.thread.is_alive() and not self.trouble, self.trouble or 'the writer does not end'
        return self


class Watcher:
    """A consumer that follows a topic from its start and notes what it was shown: of each partition {offset: value}."""

    def __init__(self, cluster, topic, partitions):
        self.servers, self.topic, self.shown, self.wrong, self.wanted = cluster.servers, topic, [{} for _ in range(partitions)], [], True
        cluster.writers.append(self)
        self.thread = threading.Thread(target=self.main, daemon=True)
        self.thread.start()

    def main(self):
        from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
        c = Consumer({'bootstrap.servers': self.servers, 'group.id': 'watcher', 'enable.auto.commit': False, 'auto.offset.reset': 'error',
                      'reconnect.backoff.max.ms': 200, 'check.crcs': True})
        c.assign([TopicPartition(self.topic, p, OFFSET_BEGINNING) for p in range(len(self.shown))])
        while self.wanted:
            for m in c.consume(1000, 0.2):
                if not m.error():
                    self.note(m.partition(), m.offset(), m.value())
                elif m.error().code() == KafkaError._AUTO_OFFSET_RESET:
                    self.wrong.append('%s-%d: %s' % (self.topic, m.partition(), m.error()))
        c.close()

    def note(self, p, offset, value):
        if offset in self.shown[p]:
            self.wrong.append('%s-%d: offset %d is shown twice' % (self.topic, p, offset))
        self.shown[p][offset] = value

    def stop(self):
        self.wanted = False
        self.thread.join(60)
        assert not self.thread.is_alive(), 'the watcher does not end'
        return self


def check_seen(watcher, p, records):
    """Sentences about what the watcher was shown of partition p and is not there any more."""
    there = dict(records)
    return watcher.wrong + ['offset %d was shown as %r and is %r' % (offset, value[:40], there.get(offset, b'')[:40])
                            for offset, value in watcher.shown[p].items() if there.get(offset) != value]


def read_partition(servers, topic, p, seconds=60):
    """[(offset, value)] from the start to the high watermark."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition
    c = Consumer({'bootstrap.servers': servers, 'group.id': 'reader', 'enable.auto.commit': False, 'reconnect.backoff.max.ms': 200,
                  'check.crcs': True, 'fetch.wait.max.ms': 100})
    tp, out, marks = TopicPartition(topic, p, OFFSET_BEGINNING), [], []

    def known():
        try:
            marks[:] = c.get_watermark_offsets(tp, timeout=5)
            return True
        except KafkaException:
            return False
    try:
        wait(known, 'nobody tells the watermarks of %s-%d' % (topic, p), seconds)
        c.assign([tp])
        deadline = time.monotonic() + seconds
        while len(out) == 0 and marks[1] > marks[0] or out and out[-1][0] + 1 < marks[1]:
            assert time.monotonic() < deadline, '%s-%d: read to %s of %s' % (topic, p, out[-1:], marks)
            out += [(m.offset(), m.value()) for m in c.consume(2000, 0.5) if not m.error()]
        return out
    finally:
        c.close()


def check_partition(writer, p, records):
    """records: [(offset, value)] of partition p. Sentences about what is wrong."""
    wrong, at, seen, last = [], {}, {}, -1
    for offset, value in records:
        if at and offset != max_offset + 1:
            wrong.append('offset %d follows %d' % (offset, max_offset))
        max_offset, at[offset] = offset, value
        name, part, number = value.split(b' ')[:3]
        if name != writer.name.encode():
            continue
        i = int(number)
        if value != writer.value(p, i):
            wrong.append('offset %d: not what was sent: %r' % (offset, value[:60]))
        if i in seen and writer.config['enable.idempotence']:
            wrong.append('record %d stands at %d and at %d' % (i, seen[i], offset))
        elif i < last and writer.config['enable.idempotence']:
            wrong.append('record %d at %d stands behind %d' % (i, offset, last))
        seen.setdefault(i, offset)
        last = max(last, i)
    for i, offset in writer.acked[p].items():
        if i not in seen:
            wrong.append('record %d, acknowledged at %d, is lost' % (i, offset))
        elif at.get(offset) != writer.value(p, i):
            wrong.append('record %d, acknowledged at %d, stands at %d' % (i, offset, seen[i]))
    return wrong


def check_records(cluster, writer):
    """Reads everything back. The writer must have been stopped."""
    assert writer.count > 0, 'nothing was acknowledged'
    if writer.config['enable.idempotence']:
        assert not writer.failed, 'records failed: %s' % writer.failed[:3]
    for p in range(writer.partitions):
        wrong = check_partition(writer, p, read_partition(cluster.servers, writer.topic, p))
        assert not wrong, '%s-%d: %d findings: %s' % (writer.topic, p, len(wrong), '; '.join(wrong[:8]))


def log_bytes(node, topic, p):
    """The bytes of a replica's segments, one after the other. A file may go while it is looked at."""
    dirs = [node.seen(os.path.join(d, '%s-%d' % (topic, p))) for d in node.settings['log.dirs'].split(',')]
    folder = next(filter(os.path.isdir, dirs), dirs[0])
    try:
        return b''.join(open(os.path.join(folder, f), 'rb').read() for f in sorted(os.listdir(folder)) if f.endswith('.log'))
    except FileNotFoundError:
        return None


def check_replicas(cluster, topic, partitions, seconds=60):
    """Waits until all replicas are in the ISR and their files equal."""
    cluster.wait_in_sync(topic, seconds)
    for p in range(partitions):
        nodes = [cluster.node(i) for i in cluster.partition(topic, p)['replicaNodes']]

        def copies():
            return [log_bytes(n, topic, p) for n in nodes]

        def told():
            c = copies()
            short = min(len(x or b'') for x in c)
            differ = next((i for i in range(short) if len({x[i] for x in c}) > 1), short)
            return '%s-%d: replicas %s have %s bytes and part at %d' % (topic, p, nodes, [len(x or b'') for x in c], differ)
        wait(lambda: len(set(copies())) == 1 and copies()[0] is not None, told, seconds)


def committed_by(members):
    """The highest commit of each (topic, partition) that any member was told is done."""
    best = {}
    for m in members:
        for tp, offset in list(m.committed.items()):
            best[tp] = max(best.get(tp, 0), offset)
    return best


def check_commits(cluster, group, members):
    """What was acknowledged before the question is there, and no member was told a lower commit after a higher one."""
    before, now = committed_by(members), []

    def answered():
        now[:] = [cluster.committed(group)]
        return now[0] is not None
    wait(answered, 'offsets are not answered')
    lost = {tp: (offset, now[0].get(tp)) for tp, offset in before.items() if now[0].get(tp, -1) < offset}
    assert not lost, 'commits that were acknowledged are gone: %s' % lost
    for m in members:
        assert not m.backward, m.backward


def longest_wait(writer):
    return max(b - a for times in writer.times for a, b in times)


def longest_gap(writer, p, since=None):
    """The longest time between two acknowledgements of a partition that followed each other."""
    ends = sorted(b for _, b in writer.times[p] if since is None or b >= since)
    return max((b - a for a, b in zip(ends, ends[1:])), default=0)
