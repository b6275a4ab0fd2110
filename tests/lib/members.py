"""Members of consumer groups for tests, each a real client that commits what it has read before it reads on: librdkafka and kafka-python
(Debian's packages, a thread here) and Kafka's Java consumer (its verifiable-consumer, a process). All tell the same things:

    owned       the (topic, partition) that it owns now
    records     (topic, partition, offset) of each record, in the order of reading
    committed   {(topic, partition): the highest offset whose commit was answered with success}
    backward    commits that were answered and lay below an earlier one of this member
    stop()      leaves the group in order; kill() goes without a word (Java only)

Whoever waits uses wait(), which fails with what it waited for. Its processes end with the program, also when a check fails."""
import atexit
import collections
import json
import logging
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..'))
SESSION_MS = 6000
STALL = 90  # s: librdkafka gives up a request after 60
LONG = 300  # s, for what is waited for: a busy machine takes a minute to start a JVM that compiles its program
JAVA = {'range': 'RangeAssignor', 'roundrobin': 'RoundRobinAssignor', 'cooperative-sticky': 'CooperativeStickyAssignor'}


def wait(condition, what, seconds=LONG):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(what() if callable(what) else what)
        time.sleep(0.02)


class Member:
    kind = None

    def __init__(self, servers, group, topic, assignor='range', session_ms=SESSION_MS):
        self.servers, self.group, self.topic, self.assignor, self.session_ms = servers, group, topic, assignor, session_ms
        self.owned, self.records, self.committed, self.backward, self.trouble = set(), [], {}, [], None
        self.wanted = True
        self.thread = threading.Thread(target=self.guarded, daemon=True)
        self.thread.start()

    def __str__(self):
        return '%s owns %s, read %d%s' % (self.kind, sorted(self.owned), len(self.records), ', ' + self.trouble if self.trouble else '')

    def guarded(self):
        try:
            self.main()
        except Exception as e:  # told by whoever waits for this member
            self.trouble = repr(e)

    def told(self, tp, offset):
        """A commit was answered with success."""
        if offset < self.committed.get(tp, 0):
            self.backward.append((tp, self.committed[tp], offset))
        self.committed[tp] = max(offset, self.committed.get(tp, 0))

    def stop(self):
        self.wanted = False
        self.thread.join(60)
        assert not self.thread.is_alive(), '%s does not leave' % self.kind
        assert not self.trouble, str(self)


class Stalled(Exception):
    pass


class Committer:
    """Commits of librdkafka have no time limit: they wait for a coordinator, and it may look for none any more (GroupLog). So they are called in a
    thread that can be left behind, with the consumer."""

    def __init__(self, consumer):
        self.consumer, self.asked, self.answers = consumer, queue.SimpleQueue(), queue.SimpleQueue()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while self.asked.get():
            try:
                self.answers.put((self.consumer.commit(asynchronous=False), None))
            except Exception as e:
                self.answers.put((None, e))

    def commit(self):
        self.asked.put(True)
        try:
            parts, error = self.answers.get(timeout=STALL)
        except queue.Empty:
            raise Stalled from None
        if error:
            raise error
        return parts

    def end(self):
        self.asked.put(False)


class GroupLog(logging.Handler):
    """What a consumer of librdkafka says of its group: the state of its search for a coordinator, and the last lines. All that is no debugging goes to
    stderr, where it would be without.

    In wait-coord it waits for the answer to a FindCoordinator, each of which it gives up after 60 seconds; in query-coord it looks for a broker to ask,
    twice a second, and is in another state as soon as it has sent. It was seen (2.16.1) to stay in either for good, without a request on the wire, while
    brokers are killed and come back: what it says of its brokers is kept, too, so that the last lines tell which one it does not find."""

    def __init__(self):
        super().__init__()
        self.state, self.since, self.lines = None, time.monotonic(), collections.deque(maxlen=200)
        self.logger = logging.Logger('librdkafka')
        self.logger.addHandler(self)

    def emit(self, record):
        line = record.getMessage()
        self.lines.append('%.3f %s' % (record.created, line))
        changed = re.search(r' changed state \S+ -> (\S+)', line)
        if changed:
            self.state, self.since = changed.group(1), time.monotonic()
        if record.levelno > logging.DEBUG:
            sys.stderr.write('%.3f|%s\n' % (record.created, line))
            sys.stderr.flush()

    def hangs(self):
        return self.state in ('wait-coord', 'query-coord') and time.monotonic() - self.since > STALL

    def __str__(self):
        return 'in %s for %d s' % (self.state, time.monotonic() - self.since)


class Librdkafka(Member):
    kind = 'librdkafka'

    def main(self):
        self.left, self.log = [], None  # consumers that hang
        while self.wanted:
            try:
                self.life()
            except Stalled:
                self.owned = set()

    def __str__(self):
        return '%s, %s' % (super().__str__(), self.log)

    def life(self):
        from confluent_kafka import Consumer, KafkaException
        self.log = GroupLog()
        c = Consumer({'bootstrap.servers': self.servers, 'group.id': self.group, 'enable.auto.commit': False, 'auto.offset.reset': 'earliest',
                      'partition.assignment.strategy': self.assignor, 'session.timeout.ms': self.session_ms, 'heartbeat.interval.ms': 500,
                      'max.poll.interval.ms': max(60000, self.session_ms), 'topic.metadata.refresh.interval.ms': 2000, 'reconnect.backoff.max.ms': 300,
                      'debug': 'cgrp,broker'}, logger=self.log.logger)

        def assigned(_, parts):
            self.owned = {(p.topic, p.partition) for p in parts}

        def revoked(_, parts):
            self.owned = set()
        c.subscribe([self.topic], on_assign=assigned, on_revoke=revoked, on_lost=revoked) if hasattr(c, 'incremental_assign') else \
            c.subscribe([self.topic], on_assign=assigned, on_revoke=revoked)
        committer = Committer(c)
        while self.wanted:
            got = [m for m in c.consume(100, 0.2) if not m.error()]
            if self.log.hangs():
                self.leave_behind(c)
            if not got:
                continue
            self.records += [(m.topic(), m.partition(), m.offset()) for m in got]
            try:
                for p in committer.commit():
                    if p.error is None and p.offset >= 0:
                        self.told((p.topic, p.partition), p.offset)
            except KafkaException:
                pass  # a rebalance came between: the next one reads it again
            except Stalled:
                self.leave_behind(c)
        committer.end()
        c.close()
        self.owned = set()

    def leave_behind(self, consumer):
        self.left.append(consumer)
        sys.stderr.write('a consumer of librdkafka hangs, %s:\n%s\n' % (self.log, '\n'.join(self.log.lines)))
        raise Stalled


class KafkaPython(Member):
    kind = 'kafka-python'

    def main(self):
        from kafka import ConsumerRebalanceListener, KafkaConsumer
        from kafka.coordinator.assignors.range import RangePartitionAssignor
        from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
        from kafka.errors import CommitFailedError, KafkaError, NoBrokersAvailable
        from kafka.structs import OffsetAndMetadata
        config = dict(bootstrap_servers=self.servers, group_id=self.group, enable_auto_commit=False, auto_offset_reset='earliest',
                      session_timeout_ms=self.session_ms, heartbeat_interval_ms=500, max_poll_interval_ms=max(60000, self.session_ms), max_poll_records=100,
                      partition_assignment_strategy=[{'range': RangePartitionAssignor, 'roundrobin': RoundRobinPartitionAssignor}[self.assignor]])
        member, c = self, None
        while c is None and self.wanted:
            try:
                c = KafkaConsumer(**config)
            except NoBrokersAvailable:
                pass  # none answered within two seconds: it gives up at once where others try again
        if c is None:
            return

        class Listener(ConsumerRebalanceListener):
            def on_partitions_revoked(self, revoked):
                member.owned = set()

            def on_partitions_assigned(self, assigned):
                member.owned = {(p.topic, p.partition) for p in assigned}
        c.subscribe([self.topic], listener=Listener())
        while self.wanted:
            got = c.poll(200)
            if not got:
                continue
            self.records += [(m.topic, m.partition, m.offset) for ms in got.values() for m in ms]
            offsets = {tp: OffsetAndMetadata(ms[-1].offset + 1, '') for tp, ms in got.items()}
            try:
                c.commit(offsets)
            except (CommitFailedError, KafkaError):
                continue
            for tp, o in offsets.items():
                self.told((tp.topic, tp.partition), o.offset)
        c.close(autocommit=False)
        self.owned = set()


class Java(Member):
    kind = 'java'

    def main(self):
        args = [os.path.join(ROOT, 'tests/oracle/kafka'), 'verifiable-consumer', '--bootstrap-server', self.servers, '--topic', self.topic, '--group-id',
                self.group, '--session-timeout', str(self.session_ms), '--reset-policy', 'earliest', '--assignment-strategy',
                'org.apache.kafka.clients.consumer.' + JAVA[self.assignor], '--verbose']
        self.process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
                                        env=dict(os.environ, JOPTS='-Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1'))
        atexit.register(self.reap)
        for line in self.process.stdout:
            if line.startswith(b'{'):
                self.event(json.loads(line))
        self.process.wait()
        atexit.unregister(self.reap)
        self.owned = set()

    def reap(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)

    def event(self, e):
        if e['name'] == 'partitions_assigned':
            self.owned = self.owned | {(p['topic'], p['partition']) for p in e['partitions']}
        elif e['name'] == 'partitions_revoked':
            self.owned = self.owned - {(p['topic'], p['partition']) for p in e['partitions']}
        elif e['name'] == 'record_data':
            self.records.append((e['topic'], e['partition'], e['offset']))
        elif e['name'] == 'offsets_committed' and e['success']:
            for p in e['offsets']:
                self.told((p['topic'], p['partition']), p['offset'])

    def end(self, sign):
        wait(lambda: self.trouble or hasattr(self, 'process'), 'no process')
        os.killpg(self.process.pid, sign)
        super().stop()

    def stop(self):
        self.end(signal.SIGTERM)

    def kill(self):
        self.end(signal.SIGKILL)


def settled(members, topic, partitions):
    """Every partition of the topic is owned once."""
    owned = [tp for m in members for tp in m.owned]
    return len(owned) == partitions and set(owned) == {(topic, p) for p in range(partitions)} and all(m.owned for m in members)


def wait_settled(members, topic, partitions, seconds=LONG):
    wait(lambda: settled(members, topic, partitions), lambda: 'not settled: ' + '; '.join(map(str, members)), seconds)


def read_by(members):
    """{(topic, partition, offset): how often it was read}"""
    count = {}
    for m in members:
        for r in list(m.records):
            count[r] = count.get(r, 0) + 1
    return count
