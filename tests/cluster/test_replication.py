"""Topics of factor 3 under a load of acks=all, while brokers are killed, paused, stopped. At the end: every acknowledged record is there, where it
was acknowledged, once and in order; the replicas' files are equal to the byte."""
import json
import os

import pytest
from cluster import SETTINGS, Cluster, ask, wait
from history import Writer, check_records, check_replicas, log_bytes, longest_gap, longest_wait
from records import batch

TOPIC, PARTITIONS = 't', 3


def spread(c):
    """Partition p is led by broker 11 + p."""
    c.create_topic(TOPIC, PARTITIONS, 3, assignments=[[11, 12, 13], [12, 13, 11], [13, 11, 12]])
    return Writer(c, TOPIC, PARTITIONS)


def finish(c, w):
    check_records(c, w.stop())
    check_replicas(c, TOPIC, PARTITIONS)


def test_a_leader_is_killed(tmp_path):
    with Cluster(tmp_path, controllers=3, brokers=3) as c:
        w = spread(c)
        w.wait_more(100)
        for victim in (11, 12):
            n, p = c.node(victim), victim - 11
            n.kill()
            c.wait_partition(TOPIC, p, not_leader=victim, isr={11, 12, 13} - {victim})
            w.wait_more(100)
            n.start()
            c.wait_in_sync(TOPIC)
        w.wait_more(100)
        finish(c, w)


def eligible(c, topic):
    """ISR and ELR of partition 0, as any broker says."""
    r = c.any('DescribeTopicPartitions', 0, {'topics': [{'name': topic}], 'responsePartitionLimit': 10, 'cursor': None})
    p = r['topics'][0]['partitions'][0]
    return p['leaderId'], sorted(p['isrNodes']), sorted(p['eligibleLeaderReplicas'] or [])


def wait_eligible(c, topic, wanted):
    wait(lambda: eligible(c, topic) == wanted, lambda: 'leader, ISR, ELR are %s, not %s' % (eligible(c, topic), wanted), 60)


@pytest.mark.parametrize('machine', ['the same', 'booted'])
def test_who_was_killed_may_lead(tmp_path, machine):
    """Both replicas are killed. The follower comes back first: what it acknowledged is in the page cache, so it stays eligible and leads, and has
    all. If its machine had booted meanwhile (its note names another kernel), it might have lost it: only the other one may lead."""
    with Cluster(tmp_path, controllers=1, brokers=3, settings={'min.insync.replicas': 2, 'broker.session.timeout.ms': 3000}) as c:
        c.create_topic(TOPIC, 1, 2, assignments=[[11, 12]])
        w = Writer(c, TOPIC, 1)
        w.wait_more(300)
        for n in (c.node(12), c.node(11)):
            n.kill()
            wait_eligible(c, TOPIC, (11, [11], [12]) if n.id == 12 else (-1, [], [11, 12]))
        note = c.node(12).seen(c.node(12).data + '/.millrace_run')
        if not os.path.exists(note):
            pytest.skip('no run is noted on this file system, which does not tell one mount from the next')
        with open(note) as f:
            text = f.read()
        if machine == 'booted':
            with open(note, 'w') as f:
                f.write(text.replace('"kernel":"', '"kernel":"0'))
        c.node(12).start()
        if machine == 'booted':
            wait_eligible(c, TOPIC, (-1, [], [11]))
            assert 'stop=unclean' in c.node(12).text()
        else:
            wait_eligible(c, TOPIC, (12, [12], [11]))
            c.node(12).wait_log('the process before was killed, and all that it wrote is here')
        c.node(11).start()
        c.wait_in_sync(TOPIC)
        w.wait_more(100)
        check_records(c, w.stop())
        check_replicas(c, TOPIC, 1)


@pytest.mark.slow
def test_a_leader_is_paused(tmp_path):
    """Longer than its session. When it goes on it still thinks that it leads, and must not harm anybody."""
    with Cluster(tmp_path, controllers=1, brokers=3, settings={'broker.session.timeout.ms': 3000}) as c:
        w = spread(c)
        w.wait_more(100)
        n = c.node(12)
        n.pause()
        c.wait_partition(TOPIC, 1, not_leader=12, isr={11, 13})
        w.wait_more(100)
        n.resume()
        c.wait_in_sync(TOPIC)
        w.wait_more(100)
        finish(c, w)


@pytest.mark.slow
def test_all_brokers_are_killed_at_once(tmp_path):
    """The page cache outlives a killed process, so nothing that was acknowledged may be gone."""
    with Cluster(tmp_path, controllers=1, brokers=3) as c:
        w = spread(c)
        w.wait_more(300)
        for n in c.brokers:
            n.signal(9)
        for n in c.brokers:
            n.kill()
        for n in c.brokers:
            n.launch()
        for n in c.brokers:
            n.wait_ready()
        c.wait_in_sync(TOPIC)
        w.wait_more(100)
        finish(c, w)


def test_too_few_in_sync(tmp_path):
    from confluent_kafka import KafkaError, Producer
    with Cluster(tmp_path, controllers=1, brokers=3) as c:
        c.create_topic(TOPIC, 1, 3, assignments=[[11, 12, 13]], configs={'min.insync.replicas': 2})
        got = []

        def send(acks, value, retries=1000):
            p = Producer({'bootstrap.servers': c.node(11).servers, 'acks': acks, 'retries': retries, 'message.timeout.ms': 60000})
            p.produce(TOPIC, value, on_delivery=lambda err, m: got.append(err.code() if err else m.offset()))
            p.flush(60)
            return got.pop()
        assert send('all', b'three') == 0
        c.node(12).kill()
        c.wait_partition(TOPIC, 0, leader=11, isr={11, 13})
        assert send('all', b'two') == 1
        c.node(13).kill()
        c.wait_unfenced({11})
        c.wait_partition(TOPIC, 0, leader=11, isr={11})
        assert send('all', b'one', 0) == KafkaError.NOT_ENOUGH_REPLICAS
        assert send('1', b'alone') == 2  # acks=1 does not ask for others
        # nothing is shown beyond what min.insync.replicas members have: the last record waits
        c.node(12).start()
        c.wait_partition(TOPIC, 0, leader=11, isr={11, 12})
        assert send('all', b'again') == 3
        c.node(13).start()
        check_replicas(c, TOPIC, 1)


@pytest.mark.slow
def test_a_disk_is_lost(tmp_path):
    """A broker comes back on an empty disk: it is let in, out of the ISR, and copies everything."""
    import shutil
    with Cluster(tmp_path, controllers=1, brokers=3) as c:
        w = spread(c)
        w.wait_more(200)
        n = c.node(13)
        n.kill()
        c.wait_partition(TOPIC, 2, not_leader=13)
        shutil.rmtree(n.data)
        n.format()
        n.start()
        c.wait_in_sync(TOPIC)
        assert all(log_bytes(n, TOPIC, p) for p in range(PARTITIONS))
        finish(c, w)


@pytest.mark.slow
def test_a_disk_is_full(tmp_path):
    """A broker without room on its disk dies, and starts on the full disk; when there is room again it catches up by itself."""
    with Cluster(tmp_path, controllers=1, brokers=3, settings={'replica.lag.time.max.ms': 3000}, disks={12: 64}) as c:
        w = spread(c)
        w.wait_more(100)
        n = c.node(12)
        n.disk.fill()
        for p in (0, 2):
            c.wait_partition(TOPIC, p, isr={11, 13})
        w.wait_more(100, partitions=(0, 2))
        n.wait_log('append refused until it can be written partition=%s-1 ' % TOPIC)
        n.kill()
        c.wait_partition(TOPIC, 1, not_leader=12, isr={11, 13})
        w.wait_more(100)
        n.start()
        w.wait_more(100)
        n.disk.give_space_back()
        c.wait_in_sync(TOPIC)
        w.wait_more(100)
        finish(c, w)


def commit(c, groups, offset):
    from confluent_kafka import Consumer, TopicPartition
    for g in groups:
        consumer = Consumer({'bootstrap.servers': c.servers, 'group.id': g, 'enable.auto.commit': False})
        consumer.commit(offsets=[TopicPartition(TOPIC, 0, offset)], asynchronous=False)
        consumer.close()


def committed(c, group):
    from confluent_kafka import Consumer, TopicPartition
    consumer = Consumer({'bootstrap.servers': c.servers, 'group.id': group})
    found = consumer.committed([TopicPartition(TOPIC, 0)], timeout=60)[0].offset
    consumer.close()
    return found


def test_a_full_disk_gives_its_leaderships_away(tmp_path):
    """At once, with those of the groups, and it is not waited for where it follows: nobody waits for replica.lag.time.max.ms. When there is room again
    it catches up and leads again, without a restart."""
    import time
    groups = ['group %d' % i for i in range(8)]
    settings = {'replica.lag.time.max.ms': 30000, 'leader.imbalance.check.interval.seconds': 2}
    with Cluster(tmp_path, controllers=1, brokers=3, settings=settings, disks={12: 64}) as c:
        w = spread(c)
        w.wait_more(100)
        commit(c, groups, 1)
        n, since = c.node(12), time.monotonic()
        n.disk.fill()
        for topic, partitions in ((TOPIC, PARTITIONS), ('__consumer_offsets', 5)):
            for p in range(partitions):
                c.wait_partition(topic, p, not_leader=12, isr={11, 13}, seconds=20)
        w.wait_more(200)
        commit(c, groups, 2)
        assert n.disk.free() < 640 << 10  # less than what counts as room
        assert max(longest_gap(w, p, since) for p in range(PARTITIONS)) < 15
        n.wait_log('the disk of a log directory is full: other replicas lead where they can dir=')
        n.disk.give_space_back()
        c.wait_in_sync(TOPIC)
        c.wait_partition(TOPIC, 1, leader=12)
        n.wait_log('a log directory has room again dir=')
        w.wait_more(100)
        c.wait_in_sync('__consumer_offsets')
        assert [committed(c, g) for g in groups] == [2] * len(groups)
        finish(c, w)


@pytest.mark.slow
def test_every_node_restarts_under_load(tmp_path):
    """No record waits longer than it may after a leader's death: the session's time and a second."""
    with Cluster(tmp_path, controllers=3, brokers=3) as c:
        w = spread(c)
        w.wait_more(100)
        for n in c.nodes:
            n.stop()
            w.wait_more(50)
            n.start()
            if n.is_broker:
                c.wait_in_sync(TOPIC)
            else:
                c.wait_active()
        w.wait_more(100)
        finish(c, w)
        print('the longest wait for an acknowledgement: %.2f s' % longest_wait(w))
        assert longest_wait(w) < SETTINGS['broker.session.timeout.ms'] / 1000 + 1


@pytest.mark.parametrize('end', ['kill', pytest.param('stop', marks=pytest.mark.slow)])
def test_combined_nodes(tmp_path, end):
    with Cluster(tmp_path, combined=3) as c:
        c.create_topic(TOPIC, 3, 3, assignments=[[1, 2, 3], [2, 3, 1], [3, 1, 2]])
        w = Writer(c, TOPIC, 3)
        w.wait_more(100)
        for n in c.nodes:
            getattr(n, end)()
            c.wait_partition(TOPIC, n.id - 1, not_leader=n.id, isr={1, 2, 3} - {n.id})
            w.wait_more(50)
            n.start()
            c.wait_in_sync(TOPIC)
        finish(c, w)


@pytest.mark.slow
def test_other_clients_follow_the_leader(tmp_path):
    """kafka-python and kcat, which know one broker at first, go on when it dies."""
    import subprocess
    from kafka import KafkaConsumer, KafkaProducer
    with Cluster(tmp_path, controllers=1, brokers=3) as c:
        c.create_topic(TOPIC, 1, 3, assignments=[[11, 12, 13]])
        python = KafkaProducer(bootstrap_servers=c.servers, acks='all', retries=100, max_in_flight_requests_per_connection=1)
        kcat = subprocess.Popen(['kcat', '-P', '-b', c.servers, '-t', TOPIC, '-X', 'linger.ms=0', '-X', 'acks=all', '-X', 'enable.idempotence=true'],
                                stdin=subprocess.PIPE)
        sent = []

        def both(n):
            for _ in range(n):
                i = len(sent)
                sent.append(i)
                python.send(TOPIC, b'python %d' % i).get(60)
                kcat.stdin.write(b'kcat %d\n' % i)
                kcat.stdin.flush()
        both(20)
        c.node(11).kill()
        both(20)
        kcat.stdin.close()
        assert kcat.wait(60) == 0
        reader = KafkaConsumer(TOPIC, bootstrap_servers=c.servers, auto_offset_reset='earliest', enable_auto_commit=False)
        got = []

        def all_of(kind):
            return [int(v.split()[1]) for v in got if v.startswith(kind)]

        def read():
            got.extend(m.value for ms in reader.poll(200).values() for m in ms)
            return set(all_of(b'kcat')) == set(sent) and set(all_of(b'python')) == set(sent)
        wait(read, lambda: 'read %d of %d' % (len(got), 2 * len(sent)))
        assert all_of(b'kcat') == sent  # idempotent: once, in order
        assert sorted(set(all_of(b'python')), key=all_of(b'python').index) == sent
        reader.close()
        python.close()
        c.node(11).start()
        check_replicas(c, TOPIC, 1)


def test_a_killed_leader_is_fenced_at_once(tmp_path):
    """Its host says that nobody listens any more: nobody waits for its session to end."""
    import signal
    import time
    with Cluster(tmp_path, controllers=1, brokers=3, settings={'broker.session.timeout.ms': 60000}) as c:
        w = spread(c)
        w.wait_more(50)
        for victim in (11, 12, 13):
            since = time.monotonic()
            c.node(victim).signal(signal.SIGKILL)
            c.node(victim).kill()
            c.wait_partition(TOPIC, victim - 11, not_leader=victim, isr={11, 12, 13} - {victim}, seconds=30)
            c.node(victim).start()  # its id is free again at once, too
            assert time.monotonic() - since < 55  # who waits for the session waits longer
            c.wait_in_sync(TOPIC)
        assert 'its session is over broker=12' in c.node(1).text()
        finish(c, w)

NOT_LEADER, FENCED_EPOCH = 6, 74
NOBODY = {'leaderId': -1, 'leaderEpoch': -1}


def ask_produce(n, version, topic, topic_id):
    r = ask(n.port, 'Produce', version, {'transactionalId': None, 'acks': 1, 'timeoutMs': 5000, 'topicData': [
        {'name': topic, 'topicId': topic_id, 'partitionData': [{'index': 0, 'records': batch([b'x'])}]}]})
    return r['responses'][0]['partitionResponses'][0], r


def ask_fetch(n, version, topic, topic_id, epoch=-1):
    r = ask(n.port, 'Fetch', version, {
        'replicaState': {'replicaId': -1, 'replicaEpoch': -1}, 'maxWaitMs': 0, 'minBytes': 0, 'maxBytes': 1000, 'isolationLevel': 0,
        'sessionId': 0, 'sessionEpoch': -1, 'forgottenTopicsData': [], 'rackId': '', 'topics': [
            {'topic': topic, 'topicId': topic_id, 'partitions': [{'partition': 0, 'currentLeaderEpoch': epoch, 'fetchOffset': 0, 'lastFetchedEpoch': -1,
                                                                  'logStartOffset': -1, 'partitionMaxBytes': 1000}]}]})
    return r['responses'][0]['partitions'][0], r


def check_hints(answer, code, leader, epoch):
    p, whole = answer
    assert p['errorCode'] == code
    assert p['currentLeader'] == {'leaderId': leader.id, 'leaderEpoch': epoch}
    assert whole['nodeEndpoints'] == [{'nodeId': leader.id, 'host': '127.0.0.1', 'port': leader.port, 'rack': 'r%d' % leader.id}]


def check_all_hints(old, new, topic_id, epoch, fetch_epoch, fetch_code):
    """What is asked of the broker that led: Produce from 10 and Fetch from 16 on say who leads now, and where that is."""
    for version in (10, 12, 13):
        check_hints(ask_produce(old, version, TOPIC, topic_id), NOT_LEADER, new, epoch)
    for version in (16, 18):
        check_hints(ask_fetch(old, version, TOPIC, topic_id, fetch_epoch), fetch_code, new, epoch)
    for (p, _), code in ((ask_produce(old, 9, TOPIC, topic_id), NOT_LEADER), (ask_fetch(old, 11, TOPIC, topic_id, fetch_epoch), fetch_code),
                         (ask_fetch(old, 15, TOPIC, topic_id, fetch_epoch), fetch_code)):
        assert p['errorCode'] == code and p.get('currentLeader', NOBODY) == NOBODY


def reassign(c, replicas):
    r = c.any('AlterPartitionReassignments', 0, {'timeoutMs': 10000, 'topics': [
        {'name': TOPIC, 'partitions': [{'partitionIndex': 0, 'replicas': replicas}]}]})
    assert r['errorCode'] == 0 and r['responses'][0]['partitions'][0]['errorCode'] == 0, r


def test_the_old_leader_says_who_leads_now(tmp_path):
    """KIP-951: whoever asks the broker that led before needs no Metadata. After an election it follows, and serves consumers that know the present
    epoch (KIP-392); after a move it has no replica at all."""
    racks = {i: {'broker.rack': 'r%d' % i} for i in (11, 12)}
    with Cluster(tmp_path, controllers=1, brokers=2, factor=2, per_node=racks, settings={'auto.leader.rebalance.enable': 'false'}) as c:
        old, new = c.node(11), c.node(12)
        c.create_topic(TOPIC, 1, 2, assignments=[[11, 12]])
        c.wait_in_sync(TOPIC)
        topic_id = c.metadata(TOPIC)['topics'][0]['topicId']
        reassign(c, [12, 11])
        c.tool('leader-election', '--election-type', 'preferred', '--topic', TOPIC, '--partition', '0')
        epoch = c.wait_partition(TOPIC, 0, leader=12, nodes=[old])['leaderEpoch']
        check_all_hints(old, new, topic_id, epoch, epoch - 1, FENCED_EPOCH)
        c.wait_partition(TOPIC, 0, leader=12, nodes=[new])
        # whoever asks the right one with an epoch that is over is told the present one
        check_hints(ask_fetch(new, 16, TOPIC, topic_id, epoch - 1), FENCED_EPOCH, new, epoch)
        # what succeeds names nobody
        for p, whole in (ask_produce(new, 10, TOPIC, topic_id), ask_fetch(new, 16, TOPIC, topic_id, epoch)):
            assert (p['errorCode'], p.get('currentLeader', NOBODY), whole.get('nodeEndpoints', [])) == (0, NOBODY, [])
        reassign(c, [12])
        wait(lambda: c.partition(TOPIC, 0, [old])['replicaNodes'] == [12], 'broker 11 does not hear that the partition left it', 30)
        check_all_hints(old, new, topic_id, c.partition(TOPIC, 0, [old])['leaderEpoch'], -1, NOT_LEADER)


@pytest.mark.slow
def test_partitions_move_while_both_ends_are_killed(tmp_path):
    """The reassignment tool takes partitions from a broker to one that has none of them, slowly; the source, which leads, and the target are killed with
    -9 on the way. The move goes on by itself and ends as it was asked for."""
    with Cluster(tmp_path, controllers=3, brokers=4) as c:
        c.create_topic(TOPIC, PARTITIONS, 3, assignments=[[11, 12, 13]] * PARTITIONS)
        w = Writer(c, TOPIC, PARTITIONS, size=2000)
        w.wait_more(300)
        file = tmp_path / 'move.json'
        file.write_text(json.dumps({'version': 1, 'partitions': [{'topic': TOPIC, 'partition': p, 'replicas': [14, 12, 13]} for p in range(PARTITIONS)]}))
        moves = ['reassign-partitions', '--reassignment-json-file', str(file)]
        assert 'Successfully started partition reassignments' in c.tool(*moves, '--execute', '--throttle', '100000')
        for victim in (11, 14):
            assert 'is still in progress' in c.tool(*moves, '--verify', '--preserve-throttles')
            n = c.node(victim)
            n.kill()
            w.wait_more(50)
            n.start()
            w.wait_more(50)
        c.tool(*moves, '--execute', '--additional', '--throttle', '100000000')
        wait(lambda: [x['replicaNodes'] for x in c.partitions(TOPIC).values()] == [[14, 12, 13]] * PARTITIONS, lambda: c.partitions(TOPIC))
        assert c.tool(*moves, '--verify').count(' is completed.') == PARTITIONS
        w.wait_more(100)
        finish(c, w)
