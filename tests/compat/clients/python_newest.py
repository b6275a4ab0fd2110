"""The newest kafka-python, aiokafka and confluent-kafka against one node: python_newest.py CLIENT HOST:PORT."""
import asyncio
import sys

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
    for codec in CODECS:
        check('produce and fetch, ' + codec, lambda: round_trip(codec))
    check('admin', admin)


{'kafka-python': kafka_python, 'aiokafka': aiokafka, 'confluent-kafka': confluent_kafka}[sys.argv[1]](sys.argv[2])
sys.exit(1 if failed else 0)
