"""What clients did, and whether the cluster kept its word.

Writer is a librdkafka producer in a thread of its own (acks=all, idempotent unless told otherwise) that goes on sending numbered records to every
partition of a topic and notes what was acknowledged where and when. The checkers are functions of such a history and of what is read
afterwards:

    check_records   all acknowledged records are there, where they were acknowledged, once, in the order of sending
    check_replicas  the replicas' files are equal to the byte
    longest_wait    the longest time that a record waited for its acknowledgement
    longest_gap     the longest time in which nothing was acknowledged
"""
import os
import threading
import time

from cluster import wait


class Writer:
    def __init__(self, cluster, topic, partitions, rate=400, name='w', idempotent=True, size=100, config=None):
        self.topic, self.partitions, self.rate, self.name, self.size = topic, partitions, rate, name, size
        self.config = {'bootstrap.servers': cluster.servers, 'enable.idempotence': idempotent, 'acks': 'all', 'linger.ms': 2, 'batch.num.messages': 50,
                       'message.timeout.ms': 120000, 'reconnect.backoff.ms': 20, 'reconnect.backoff.max.ms': 200, 'retry.backoff.ms': 50,
                       'socket.timeout.ms': 10000, 'topic.metadata.refresh.interval.ms': 5000, **(config or {})}
        self.sent = [0] * partitions
        self.acked = [{} for _ in range(partitions)]  # of a partition: number -> offset
        self.times = [[] for _ in range(partitions)]  # of a partition: (sent, acknowledged)
        self.failed, self.trouble, self.wanted = [], None, True
        cluster.writers.append(self)  # who fails ends it
        self.thread = threading.Thread(target=self.guarded, daemon=True)
        self.thread.start()

    def value(self, p, i):
        return (b'%s %d %d ' % (self.name.encode(), p, i)).ljust(self.size, b'.')

    def delivered(self, p, i, sent_at):
        def cb(err, msg):
            if err:
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
        from confluent_kafka import Producer
        producer = Producer(self.config)
        due = time.monotonic()
        while self.wanted:
            for p in range(self.partitions):
                if self.sent[p] - len(self.acked[p]) < 2000:
                    i, self.sent[p] = self.sent[p], self.sent[p] + 1
                    producer.produce(self.topic, self.value(p, i), partition=p, on_delivery=self.delivered(p, i, time.monotonic()))
            due = max(due + self.partitions / self.rate, time.monotonic() - 0.1)
            producer.poll(max(0, due - time.monotonic()))
        left = producer.flush(120)
        if left:
            self.trouble = '%d records were never answered' % left

    @property
    def count(self):
        return sum(map(len, self.acked))

    def wait_more(self, n=200, seconds=60):
        """Until each partition has n more acknowledged records."""
        goal = [len(a) + n for a in self.acked]
        wait(lambda: self.trouble or all(len(a) >= g for a, g in zip(self.acked, goal)),
             lambda: 'acknowledged %s, wanted %s' % ([len(a) for a in self.acked], goal), seconds)
        assert not self.trouble, self.trouble

    def stop(self):
        self.wanted = False
        self.thread.join(180)
        assert not self.thread.is_alive() and not self.trouble, self.trouble or 'the writer does not end'
        return self


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
    dirs = [os.path.join(d, '%s-%d' % (topic, p)) for d in node.settings['log.dirs'].split(',')]
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


def longest_wait(writer):
    return max(b - a for times in writer.times for a, b in times)


def longest_gap(writer, p, since=None):
    """The longest time between two acknowledgements of a partition that followed each other."""
    ends = sorted(b for _, b in writer.times[p] if since is None or b >= since)
    return max((b - a for a, b in zip(ends, ends[1:])), default=0)
