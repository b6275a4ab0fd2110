"""kafka-python and confluent-kafka, as Debian packages them, against one node."""
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic
from kafka import KafkaConsumer, KafkaProducer
from kafka import TopicPartition as KpPartition


def wait(condition, what, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_kafka_python(node):
    p = KafkaProducer(bootstrap_servers=node.servers, acks='all', linger_ms=5)
    sent = [p.send('kp', b'v%d' % i, key=b'k%d' % (i % 7), partition=0) for i in range(1000)]
    p.flush()
    assert [f.get(30).offset for f in sent] == list(range(1000))
    c = KafkaConsumer(bootstrap_servers=node.servers, group_id=None, auto_offset_reset='earliest', consumer_timeout_ms=20000)
    tp = KpPartition('kp', 0)
    c.assign([tp])
    c.seek_to_beginning(tp)
    got = []
    for m in c:
        got.append((m.offset, m.key, m.value))
        if len(got) == 1000:
            break
    assert got == [(i, b'k%d' % (i % 7), b'v%d' % i) for i in range(1000)]
    assert c.end_offsets([tp]) == {tp: 1000} and c.beginning_offsets([tp]) == {tp: 0}
    c.close()
    p.close()


def test_confluent_idempotent_producer(node):
    failed = []
    p = Producer({'bootstrap.servers': node.servers, 'enable.idempotence': True, 'compression.type': 'lz4'})
    for i in range(2000):
        p.produce('ck', b'value %d' % i, partition=0, on_delivery=lambda e, m: failed.append(e) if e else None)
        p.poll(0)
    assert p.flush(60) == 0 and not failed
    c = Consumer({'bootstrap.servers': node.servers, 'group.id': 'unused', 'enable.auto.commit': False})
    c.assign([TopicPartition('ck', 0, 0)])
    got = []

    def more():
        got.extend(m.value() for m in c.consume(500, 1) if not m.error())
        return len(got) >= 2000
    wait(more, 'not all came', 60)
    assert got == [b'value %d' % i for i in range(2000)]
    assert c.get_watermark_offsets(TopicPartition('ck', 0)) == (0, 2000)
    c.close()


def test_confluent_admin(node):
    a = AdminClient({'bootstrap.servers': node.servers})
    for f in a.create_topics([NewTopic('adm', 3, 1, config={'retention.ms': '5000'})]).values():
        f.result(30)
    wait(lambda: 'adm' in a.list_topics(timeout=10).topics, 'topic adm does not appear')
    for f in a.create_partitions([NewPartitions('adm', 5)]).values():
        f.result(30)
    wait(lambda: len(a.list_topics('adm', timeout=10).topics['adm'].partitions) == 5, 'five partitions do not appear')
    [f] = a.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, 'adm')]).values()
    assert f.result(30)['retention.ms'].value == '5000'
    for f in a.delete_topics(['adm']).values():
        f.result(30)
    wait(lambda: 'adm' not in a.list_topics(timeout=10).topics, 'topic adm does not go away')
