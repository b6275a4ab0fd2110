"""The newest kafka-python, aiokafka and confluent-kafka against one node: python_newest.py CLIENT HOST:PORT.

Groups: two consumers share the four partitions of a topic and read all of it, once; what they committed is where a third goes on."""
import asyncio
import sys
import threading
import time

CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
WANT = [(i, b'k%d' % i, b'v%d' % i, [('h', bytes([i % 256]))]) for i in range(500)]
failed = False


def check(name, f):
    global failed
    try:
        f()
        print('ok ' + name)
    except Exception as e:
        failed = True
        print('FAILED %s: %r' % (name, e))


def shared(consumers, produce, count):
    """Each of the two has two partitions, then they read records first to last of each partition, once, and commit."""
    wait(lambda: sorted(len(c.owned) for c in consumers) == [2, 2], lambda: 'owned: %s' % [c.owned for c in consumers])
    produce(0, count)
    wait(lambda: sum(len(c.read) for c in consumers) >= 4 * count, lambda: 'read: %s' % [len(c.read) for c in consumers])
    for c in consumers:
        c.stop()
    assert sorted(r for c in consumers for r in c.read) == [(p, o) for p in range(4) for o in range(count)]


def resumed(consumer, produce, first, count):
    produce(first, count)
    wait(lambda: len(consumer.read) >= 4 * count, lambda: 'read: %d' % len(consumer.read))
    consumer.stop()
    assert sorted(consumer.read) == [(p, o) for p in range(4) for o in range(first, first + count)]


def wait(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)


class Thread:
    """A consumer of a group in a thread: `owned` partitions, `read` (partition, offset)."""

    def __init__(self, main):
        self.owned, self.read, self.wanted = set(), [], True
        self.thread = threading.Thread(target=main, args=(self,), daemon=True)
        self.thread.start()

    def stop(self):
        self.wanted = False
        self.thread.join(60)
        assert not self.thread.is_alive(), 'a consumer does not leave'


def kafka_python(servers):
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition
    from kafka.admin import KafkaAdminClient, NewTopic

    def round_trip(codec):
        p = KafkaProducer(bootstrap_servers=servers, acks='all', linger_ms=5, compression_type=None if codec == 'none' else codec)
        sent = [p.send('kafka-python-' + codec, v, key=k, partition=0, headers=h) for _, k, v, h in WANT]
        p.flush()
        assert [f.get(30).offset for f in sent] == list(range(500))
        c = KafkaConsumer(bootstrap_servers=servers, group_id=None, consumer_timeout_ms=20000)
        tp = TopicPartition('kafka-python-' + codec, 0)
        c.assign([tp])
        c.seek_to_beginning(tp)
        got = []
        for m in c:
            got.append((m.offset, m.key, m.value, [tuple(h) for h in m.headers]))
            if len(got) == 500:
                break
        assert got == WANT
        assert c.end_offsets([tp]) == {tp: 500}
        c.close()
        p.close()

    def admin():
        a = KafkaAdminClient(bootstrap_servers=servers)
        a.create_topics([NewTopic(name='kafka-python-adm', num_partitions=2, replication_factor=1)])
        assert 'kafka-python-adm' in a.list_topics()
        [t] = a.describe_topics(['kafka-python-adm'])
        assert len(t['partitions']) == 2
        assert len(a.describe_cluster()['brokers']) == 1
        a.delete_topics(['kafka-python-adm'])
        assert 'kafka-python-adm' not in a.list_topics()
        a.close()

    def member(self):
        c = KafkaConsumer('kafka-python-group', bootstrap_servers=servers, group_id='kafka-python-group', auto_offset_reset='earliest', enable_auto_commit=False,
                          heartbeat_interval_ms=500)
        while self.wanted:
            got = c.poll(200)
            self.owned = {tp.partition for tp in c.assignment()}
            self.read += [(m.partition, m.offset) for ms in got.values() for m in ms]
            if got:
                c.commit()
        c.close()

    def group():
        a = KafkaAdminClient(bootstrap_servers=servers)
        a.create_topics([NewTopic(name='kafka-python-group', num_partitions=4, replication_factor=1)])
        p = KafkaProducer(bootstrap_servers=servers, acks='all')

        def produce(first, count):
            for i in range(4 * count):
                p.send('kafka-python-group', b'%d' % i, partition=i % 4)
            p.flush()
        shared([Thread(member), Thread(member)], produce, 300)
        resumed(Thread(member), produce, 300, 50)
        offsets = a.list_group_offsets(['kafka-python-group']) if hasattr(a, 'list_group_offsets') else a.list_consumer_group_offsets('kafka-python-group')
        assert str(offsets).count('offset=350') == 4, offsets
        p.close()
        a.close()
    check('group', group)
    for codec in CODECS:
        check('produce and fetch, ' + codec, lambda: round_trip(codec))
    check('admin', admin)


def aiokafka(servers):
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    async def round_trip(codec):
        p = AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True, compression_type=None if codec == 'none' else codec)
        await p.start()
        sent = [await p.send('aiokafka-' + codec, v, key=k, partition=0, headers=h) for _, k, v, h in WANT]
        assert [(await f).offset for f in sent] == list(range(500))
        await p.stop()
        c = AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset='earliest')
        await c.start()
        tp = TopicPartition('aiokafka-' + codec, 0)
        c.assign([tp])
        await c.seek_to_beginning(tp)
        got = []
        while len(got) < 500:
            m = await asyncio.wait_for(c.getone(), 20)
            got.append((m.offset, m.key, m.value, list(m.headers)))
        assert got == WANT
        assert await c.end_offsets([tp]) == {tp: 500}
        await c.stop()

    async def admin():
        a = AIOKafkaAdminClient(bootstrap_servers=servers)
        await a.start()
        await a.create_topics([NewTopic('aiokafka-adm', 2, 1)])
        assert 'aiokafka-adm' in await a.list_topics()
        await a.delete_topics(['aiokafka-adm'])
        assert 'aiokafka-adm' not in await a.list_topics()
        await a.close()

    class Member:
        def __init__(self):
            self.read, self.c = [], AIOKafkaConsumer('aiokafka-group', bootstrap_servers=servers, group_id='aiokafka-group', auto_offset_reset='earliest',
                                                     enable_auto_commit=False, heartbeat_interval_ms=500)

        async def main(self):
            await self.c.start()
            while True:
                got = await self.c.getmany(timeout_ms=200)
                self.read += [(m.partition, m.offset) for ms in got.values() for m in ms]
                if got:
                    await self.c.commit()

        async def stop(self):
            self.task.cancel()
            await asyncio.wait([self.task])
            await self.c.stop()

        def start(self):
            self.task = asyncio.ensure_future(self.main())
            return self

    async def until(condition, what):
        for _ in range(600):
            if condition():
                return
            await asyncio.sleep(0.1)
        raise AssertionError(what())

    async def group():
        a = AIOKafkaAdminClient(bootstrap_servers=servers)
        await a.start()
        await a.create_topics([NewTopic('aiokafka-group', 4, 1)])
        p = AIOKafkaProducer(bootstrap_servers=servers, acks='all')
        await p.start()

        async def produce(count):
            for f in [await p.send('aiokafka-group', b'%d' % i, partition=i % 4) for i in range(4 * count)]:
                await f
        two = [Member().start(), Member().start()]
        await until(lambda: sorted(len(m.c.assignment()) for m in two) == [2, 2], lambda: [m.c.assignment() for m in two])
        await produce(300)
        await until(lambda: sum(len(m.read) for m in two) >= 1200, lambda: [len(m.read) for m in two])
        for m in two:
            await m.stop()
        assert sorted(r for m in two for r in m.read) == [(p, o) for p in range(4) for o in range(300)]
        third = Member().start()
        await produce(50)
        await until(lambda: len(third.read) >= 200, lambda: len(third.read))
        await third.stop()
        assert sorted(third.read) == [(p, o) for p in range(4) for o in range(300, 350)]
        offsets = await a.list_consumer_group_offsets('aiokafka-group')
        assert sorted(o.offset for o in offsets.values()) == [350] * 4
        assert ('aiokafka-group', 'consumer') in [tuple(g) for g in await a.list_consumer_groups()]
        await p.stop()
        await a.close()
    check('group', lambda: asyncio.run(group()))
    for codec in CODECS:
        check('produce and fetch, ' + codec, lambda: asyncio.run(round_trip(codec)))
    check('admin', lambda: asyncio.run(admin()))


def confluent_kafka(servers):
    from confluent_kafka import Consumer, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient, NewTopic

    def round_trip(codec):
        bad = []
        p = Producer({'bootstrap.servers': servers, 'enable.idempotence': True, 'compression.type': codec})
        for _, k, v, h in WANT:
            p.produce('confluent-' + codec, v, k, partition=0, headers=h, on_delivery=lambda e, m: bad.append(e) if e else None)
        assert p.flush(60) == 0 and not bad
        c = Consumer({'bootstrap.servers': servers, 'group.id': 'unused', 'enable.auto.commit': False})
        c.assign([TopicPartition('confluent-' + codec, 0, 0)])
        got = []
        for _ in range(60):
            got += [(m.offset(), m.key(), m.value(), m.headers()) for m in c.consume(500, 1) if not m.error()]
            if len(got) >= 500:
                break
        assert got == WANT
        c.close()

    def admin():
        a = AdminClient({'bootstrap.servers': servers})
        a.create_topics([NewTopic('confluent-adm', 2, 1)])['confluent-adm'].result(30)
        assert len(a.list_topics('confluent-adm', 10).topics['confluent-adm'].partitions) == 2
        assert len(a.describe_cluster().result(30).nodes) == 1
        a.delete_topics(['confluent-adm'])['confluent-adm'].result(30)

    def member(assignor):
        def main(self):
            c = Consumer({'bootstrap.servers': servers, 'group.id': 'confluent-' + assignor, 'auto.offset.reset': 'earliest', 'enable.auto.commit': False,
                          'heartbeat.interval.ms': 500, 'partition.assignment.strategy': assignor, 'topic.metadata.refresh.interval.ms': 1000})
            c.subscribe(['confluent-group-' + assignor])
            while self.wanted:
                got = [m for m in c.consume(200, 0.2) if not m.error()]
                self.owned = {p.partition for p in c.assignment()}
                self.read += [(m.partition(), m.offset()) for m in got]
                if got:
                    c.commit(asynchronous=False)
            c.close()
        return main

    def group(assignor):
        from confluent_kafka import ConsumerGroupTopicPartitions
        topic, name = 'confluent-group-' + assignor, 'confluent-' + assignor
        a = AdminClient({'bootstrap.servers': servers})
        a.create_topics([NewTopic(topic, 4, 1)])[topic].result(30)
        p = Producer({'bootstrap.servers': servers})

        def produce(first, count):
            for i in range(4 * count):
                p.produce(topic, b'%d' % i, partition=i % 4)
            assert p.flush(30) == 0
        shared([Thread(member(assignor)), Thread(member(assignor))], produce, 300)
        resumed(Thread(member(assignor)), produce, 300, 50)
        told = a.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)])[name].result(30)
        assert sorted((t.partition, t.offset) for t in told.topic_partitions) == [(i, 350) for i in range(4)]
        a.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(name, [TopicPartition(topic, 2, 7)])])[name].result(30)
        told = a.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name, [TopicPartition(topic, 2)])])[name].result(30)
        assert [t.offset for t in told.topic_partitions] == [7]
        assert a.describe_consumer_groups([name])[name].result(30).state.name == 'EMPTY'
        a.delete_consumer_groups([name])[name].result(30)
        assert name not in [g.group_id for g in a.list_consumer_groups().result(30).valid]
    for assignor in ('range', 'cooperative-sticky'):
        check('group, ' + assignor, lambda: group(assignor))
    for codec in CODECS:
        check('produce and fetch, ' + codec, lambda: round_trip(codec))
    check('admin', admin)


{'kafka-python': kafka_python, 'aiokafka': aiokafka, 'confluent-kafka': confluent_kafka}[sys.argv[1]](sys.argv[2])
sys.exit(1 if failed else 0)
