#!/usr/bin/env python3
"""Our tools against Kafka's brokers: one controller and three brokers of Kafka's own, each with two log directories. What ours do is done by ours alone;
what has come of it is asked by Kafka's tools.

Run by on_kafka.sh; words after it are the parts to run (of main()), without one all are. The last line is `N passed, N failed`."""
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '../cluster'))
from cluster import WireError, ask, ports, wait  # noqa: E402
from java_tools import KAFKA, Tools, check, described, results  # noqa: E402
from node import millrace  # noqa: E402
from records import batch  # noqa: E402

CONTROLLER, BROKERS = 1, (11, 12, 13)
NOT_LEADER = 6
# Followers fetch little at a time: what they have fetched before a throttle holds them back is not all. Nothing is too old: batches of records.py are of 2023.
SETTINGS = {'auto.leader.rebalance.enable': 'false', 'broker.session.timeout.ms': 6000, 'broker.heartbeat.interval.ms': 500, 'replica.lag.time.max.ms': 6000,
            'min.insync.replicas': 1, 'log.retention.ms': -1, 'replica.fetch.max.bytes': 65536, 'replica.fetch.response.max.bytes': 262144, 'offsets.topic.replication.factor': 1, 'auto.create.topics.enable': 'false', 'default.replication.factor': 2,
            'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT'}
SLOW, FAST = 50000, 100000000  # bytes a second: a move does not end meanwhile, or is hardly held back
PER_BATCH, BATCHES = 9, 60  # of each partition: 60 times 90 KB


class KafkaNodes:
    def __init__(self, folder):
        self.ports = dict(zip((CONTROLLER, *BROKERS), ports(4)))
        self.dirs = {i: [os.path.join(folder, 'data%d-%d' % (i, n)) for n in (1, 2)] for i in self.ports}
        self.id = millrace('storage', 'random-uuid')[1].strip()
        for p in [self.launch(i) for i in self.ports]:
            if p.wait():
                self.wipe()
                raise SystemExit('Kafka does not start')

    def name(self, node_id):
        return 'on-kafka-%d-%d' % (os.getpid(), node_id)

    def launch(self, node_id):
        role, listener = ('controller', 'CONTROLLER') if node_id == CONTROLLER else ('broker', 'PLAINTEXT')
        values = {**SETTINGS, 'process.roles': role, 'node.id': node_id, 'listeners': '%s://127.0.0.1:%d' % (listener, self.ports[node_id]),
                  'controller.quorum.voters': '%d@127.0.0.1:%d' % (CONTROLLER, self.ports[CONTROLLER]), 'log.dirs': ','.join(self.dirs[node_id])}
        return subprocess.Popen([KAFKA, 'start', self.name(node_id), *('%s=%s' % x for x in values.items())],
                                env={'HEAP': '256m', 'START_WAIT': '240', **os.environ, 'CLUSTER_ID': self.id})

    def start(self, node_id):
        assert self.launch(node_id).wait() == 0

    def end(self, node_id, how='stop'):
        subprocess.check_call([KAFKA, how, self.name(node_id)])

    def wipe(self):
        for i in self.ports:
            subprocess.call([KAFKA, 'wipe', self.name(i)])


class Bench:
    """The cluster, and both kinds of tools against it."""

    def __init__(self, nodes, theirs):
        self.nodes, self.theirs, self.folder = nodes, theirs, theirs.folder
        self.b = ('--bootstrap-server', ','.join('127.0.0.1:%d' % nodes.ports[i] for i in BROKERS))
        self.ctl = ('--bootstrap-controller', '127.0.0.1:%d' % nodes.ports[CONTROLLER])

    def ours(self, *words, timeout=300):
        """(exit status, output and errors)"""
        status, out, err = millrace(*(str(w) for w in words), *self.b, timeout=timeout)
        return status, out + err

    def must(self, *words):
        status, said = self.ours(*words)
        assert status == 0, '%s: %d\n%s' % (' '.join(map(str, words)), status, said)
        return said

    def kafka(self, *commands):
        """What Kafka's tools say, which must succeed."""
        got = self.theirs.run(*((words[0], *self.b, *words[1:]) for words in commands))
        assert all(status == 0 for status, _ in got), got
        return [said for _, said in got]

    def make(self, topic, assignments, batches=BATCHES):
        """By ours, with records in it."""
        self.must('topics', '--create', '--topic', topic, '--replica-assignment', ','.join(':'.join(map(str, a)) for a in assignments), '--config', 'segment.bytes=1048576')
        self.wait(topic, lambda p, leader, replicas, isr: replicas == assignments[p] and isr == set(replicas))
        for p in range(len(assignments)):
            for _ in range(batches):
                self.write(topic, p, [os.urandom(10000)] * PER_BATCH)

    def write(self, topic, p, values):
        """At the leader, as soon as it knows that it is."""
        value = {'transactionalId': None, 'acks': -1, 'timeoutMs': 30000, 'topicData': [
            {'name': topic, 'partitionData': [{'index': p, 'records': batch(values)}]}]}
        answers = []

        def written():
            r = ask(self.nodes.ports[self.state(topic)[p][0]], 'Produce', 9, value, 60)
            answers[:] = [r['responses'][0]['partitionResponses'][0]['errorCode']]
            assert answers[0] in (0, NOT_LEADER), r
            return answers[0] == 0
        wait(written, lambda: 'error %s' % answers, 60)

    def state(self, topic):
        """{partition: (leader, replicas, ISR)}, as a broker tells that lives."""
        for i in BROKERS:
            try:
                found = ask(self.nodes.ports[i], 'Metadata', 12, {'topics': [{'topicId': 'A' * 22, 'name': topic}], 'allowAutoTopicCreation': False}, 20)
            except (OSError, WireError):
                continue
            return {p['partitionIndex']: (p['leaderId'] if p['leaderId'] >= 0 else None, p['replicaNodes'], set(p['isrNodes']))
                    for p in found['topics'][0]['partitions']}
        return {}

    def wait(self, topic, holds):
        """Until it holds for all partitions: holds(partition, leader, replicas, isr)."""
        wait(lambda: all(holds(p, *s) for p, s in self.state(topic).items()) and self.state(topic), lambda: '%s: %s' % (topic, self.state(topic)), 180)

    def placed(self, *topics):
        """described() of Kafka's log-dirs."""
        return described(self.kafka(('log-dirs', '--describe', '--topic-list', ','.join(topics)))[0])

    def records(self, topic):
        return sum(int(x) for x in re.findall(r'^%s:\d+:(\d+)' % topic, self.kafka(('get-offsets', '--topic', topic))[0], re.M))

    def throttles(self, *topics):
        """All that Kafka's tool tells of throttles, of brokers and topics."""
        said = self.kafka(*(('configs', '--describe', '--entity-type', 'brokers', '--entity-name', i) for i in BROKERS),
                          *(('configs', '--describe', '--entity-type', 'topics', '--entity-name', t) for t in topics))
        return sorted(set(re.findall(r'(\S*throttled\S*=\S*)', '\n'.join(said))))

    def file(self, name, value):
        path = os.path.join(self.folder, name)
        with open(path, 'w') as f:
            json.dump(value, f)
        return path

    def plan(self, topic, moves, dirs=None):
        """A reassignment file: {partition: replicas}, dirs {partition: directories}."""
        return self.file('plan.json', {'version': 1, 'partitions': [{'topic': topic, 'partition': p, 'replicas': r, **({'log_dirs': dirs[p]} if dirs else {})}
                                                                    for p, r in moves.items()]})


def ids(text):
    return [int(x) for x in text.split(',') if x]


def moving(said):
    """{partition: (adding, removing)} of --list."""
    return {p: (sorted(ids(a)), sorted(ids(r))) for p, a, r in re.findall(r'^(\S+): replicas: \S+?\.? ?adding: ([\d,]*)\.?(?: removing: ([\d,]*)\.?)?', said, re.M)}


def rows(said):
    """A table's words, without the numbers that change: of a quorum that goes on."""
    lines = [' '.join(line.split()) for line in said.splitlines() if line.strip()]
    return sorted(re.sub(r'(?<=^HighWatermark: )\d+|(?<=^MaxFollowerLagTimeMs: )\d+|(?<= Epoch: )\d+|(?<= )\d+(?= .*(?:Leader|Observer)$)', 'N', line) for line in lines)


# ---- the parts

def looks(x):
    """What ours and Kafka's tools say of the same cluster."""
    x.make('looked', [[11, 12], [12, 13], [13, 11]], 1)
    x.wait('looked', lambda p, leader, replicas, isr: isr == set(replicas))
    for words in (('topics', '--describe', '--topic', 'looked'), ('metadata-quorum', 'describe', '--status'), ('metadata-quorum', 'describe', '--replication'),
                  ('cluster', 'cluster-id'), ('cluster', 'list-endpoints'), ('features', 'describe')):
        if words[0] in ('cluster', 'features', 'metadata-quorum'):
            got = x.theirs.run((words[0], *x.b, *words[1:]) if words[0] != 'cluster' else (*words, *x.b))[0][1]
        else:
            got, = x.kafka(words)
        status, said = x.ours(*words)
        check('%s says what Kafka\'s does' % ' '.join(words), status == 0 and rows(said) == rows(got), 'ours:\n%s\nKafka\'s:\n%s' % (said, got))
    status, said, err = millrace('metadata-quorum', *x.ctl, 'describe', '--replication')
    check('metadata-quorum, asked of the controller', status == 0 and len(said.splitlines()) == 5 and re.search(r'^1 .*Leader', said, re.M), said + err)
    said = x.must('log-dirs', '--describe', '--topic-list', 'looked')
    check('log-dirs says what Kafka\'s does', described(said) == x.placed('looked') and len(described(said)) == 6, (said, x.placed('looked')))
    status, said = x.ours('cluster', 'doctor')
    check('cluster doctor: nothing is broken or wrong', 'WRONG' not in said and 'DOES NOT WORK' not in said and '3 brokers, 1 voter' in said, said)
    said = x.must('balance', '--dry-run', '--sample-seconds', 0)
    check('balance --dry-run has a row for each broker', all(re.search(r'^%d .* up ' % i, said, re.M) for i in BROKERS), said)


def moves(x):
    x.make('m', [[11, 12], [12, 11], [11, 12], [12, 11]])
    topics = x.file('topics.json', {'version': 1, 'topics': [{'topic': 'm'}]})
    said = x.must('reassign-partitions', '--generate', '--topics-to-move-json-file', topics, '--broker-list', '11,12,13')
    now, proposed = (json.loads(line) for line in said.splitlines() if line.startswith('{'))
    check('--generate: what is', {p['partition']: p['replicas'] for p in now['partitions']} == {p: r[1] for p, r in x.state('m').items()}, said)
    check('--generate: what it proposes has all brokers', {i for p in proposed['partitions'] for i in p['replicas']} == set(BROKERS), said)
    plan, before = x.plan('m', {p: [13, 11] for p in range(4)}), x.state('m')
    r = ('reassign-partitions', '--reassignment-json-file', plan)
    said = x.must(*r, '--execute', '--throttle', SLOW)
    check('--execute', 'Successfully started partition reassignments for m-0,m-1,m-2,m-3' in said, said)
    theirs = x.kafka(('reassign-partitions', '--list'), ('reassign-partitions', '--verify', '--preserve-throttles', '--reassignment-json-file', plan))
    said = x.must('reassign-partitions', '--list')
    check('--list says what Kafka\'s does', rows(said) == rows(theirs[0]) and said.count('adding: 13. removing: 12.') == 4, (said, theirs[0]))
    check('Kafka\'s --verify says that it is under way', theirs[1].count('is still in progress') == 4, theirs[1])
    check('ours, too', x.must(*r, '--verify', '--preserve-throttles').count('is still in progress') == 4)
    set_now = x.throttles('m')
    check('--throttle is set on brokers and topic', any('leader.replication.throttled.rate=%d' % SLOW in s for s in set_now) and
          any('follower.replication.throttled.replicas=' in s for s in set_now), set_now)
    status, said = x.ours('cluster', 'doctor')
    check('cluster doctor tells the throttle that is in use', re.search(r'throttle', said), said)
    said = x.must(*r, '--cancel')
    check('--cancel', 'Successfully cancelled partition reassignments' in said, said)
    x.wait('m', lambda p, leader, replicas, isr: sorted(replicas) == sorted(before[p][1]))  # Kafka does not keep the order
    theirs, = x.kafka(('reassign-partitions', '--list'))
    check('nothing moves by Kafka\'s --list, and no throttle is left', 'No partition reassignments found' in theirs and not x.throttles('m'),
          (theirs, x.throttles('m')))
    x.must(*r, '--execute', '--throttle', SLOW)
    status, said = x.ours(*r, '--execute', '--throttle', FAST)
    check('a second --execute is refused while it moves', status == 1 and '--additional' in said, (status, said))
    said = x.must(*r, '--execute', '--additional', '--throttle', FAST)
    check('--additional sets another throttle', any('rate=%d' % FAST in s for s in x.throttles('m')), said)
    said = x.must(*r, '--verify', '--wait')
    check('--verify --wait: done', said.count('is completed') == 4 and 'Clearing' in said, said)
    theirs, = x.kafka(('reassign-partitions', '--verify', '--reassignment-json-file', plan))
    check('by Kafka\'s, too', theirs.count('is completed') == 4, theirs)
    state = x.state('m')
    check('Kafka\'s brokers have them where they were wanted', all(s[1] == [13, 11] and s[2] == {11, 13} for s in state.values()), state)
    check('no throttle is left', not x.throttles('m'), x.throttles('m'))
    check('no record is missing', x.records('m') == 4 * BATCHES * PER_BATCH, x.records('m'))


def directories(x):
    """Between the two directories of a broker, and to one of another broker's."""
    x.make('d', [[11, 12], [12, 11]])
    place = {(i, p): path for (i, path), found in x.placed('d').items() for p in found}
    away = {k: next(d for d in x.nodes.dirs[k[0]] if d != path) for k, path in place.items()}
    plan = x.plan('d', {0: [11, 12], 1: [12, 13]}, {0: [away[11, 0], 'any'], 1: [away[12, 1], x.nodes.dirs[13][1]]})
    r = ('reassign-partitions', '--reassignment-json-file', plan)
    said = x.must(*r, '--execute', '--replica-alter-log-dirs-throttle', SLOW)
    check('--execute with log_dirs', said.count('Successfully started moving log directory') + said.count('Successfully started log directory move') >= 2, said)
    found = x.placed('d')
    futures = {(i, path, p) for (i, path), parts in found.items() for p, row in parts.items() if row[0]}
    check('Kafka\'s log-dirs shows what is on its way', (11, away[11, 0], 0) in futures and (12, away[12, 1], 1) in futures, found)
    check('ours, too', {(i, path, p) for (i, path), parts in described(x.must('log-dirs', '--describe', '--topic-list', 'd')).items()
                        for p, row in parts.items() if row[0]} == futures)
    said = x.must(*r, '--verify', '--preserve-throttles')
    check('--verify: still in progress', said.count('still in progress') >= 2, said)
    x.must(*r, '--execute', '--additional', '--replica-alter-log-dirs-throttle', FAST)
    said = x.must(*r, '--verify', '--wait')
    check('--verify --wait: done', said.count('completed successfully') == 3 and 'Clearing' in said, said)
    found = x.placed('d')
    check('they lie where they were wanted', 0 in found[11, away[11, 0]] and 1 in found[12, away[12, 1]] and 1 in found[13, x.nodes.dirs[13][1]] and
          not any(row[0] for parts in found.values() for row in parts.values()), found)
    check('no throttle of directories is left', not x.throttles('d'), x.throttles('d'))
    status, said = x.ours('reassign-partitions', '--execute', '--reassignment-json-file', x.plan('d', {0: [11, 12]}, {0: ['/nowhere', 'any']}))
    check('a directory that the broker does not have is refused', status == 1 and '/nowhere' in said and 'No partition reassignments' in x.must('reassign-partitions', '--list'), said)
    check('no record is missing', x.records('d') == 2 * BATCHES * PER_BATCH, x.records('d'))


def elections(x):
    x.make('e', [[11, 12], [12, 13]], 1)
    x.make('once', [[12, 13]], 1)
    x.nodes.end(12)
    x.wait('e', lambda p, leader, replicas, isr: p == 0 or leader == 13)
    one = ('leader-election', '--topic', 'e', '--partition', 1, '--election-type')
    status, said = x.ours(*one, 'preferred')
    check('preferred, while it is down: refused', status == 1 and 'PREFERRED_LEADER_NOT_AVAILABLE' in said.upper().replace(' ', '_') or 'preferred leader was not available' in said, (status, said))
    x.nodes.start(12)
    x.wait('e', lambda p, leader, replicas, isr: isr == set(replicas))
    said = x.must(*one, 'preferred')
    check('preferred', said == 'Successfully completed leader election (PREFERRED) for partitions e-1\n', said)
    x.wait('e', lambda p, leader, replicas, isr: leader == replicas[0])
    check('it leads', True)
    status, said = x.ours(*one, 'preferred')
    check('preferred, where it leads: not needed', status == 0 and 'Valid replica already elected for partitions e-1' in said, (status, said))
    status, said = x.ours(*one, 'unclean')
    check('unclean, where somebody leads: not needed', 'already elected' in said and x.state('e')[1][0] == 12, (status, said))
    x.nodes.end(13, 'kill')
    x.wait('once', lambda p, leader, replicas, isr: isr == {12})
    x.write('once', 0, [b'lost'] * 100)
    x.nodes.end(12, 'kill')
    x.nodes.start(13)
    x.wait('once', lambda p, leader, replicas, isr: leader is None)
    status, said = x.ours('cluster', 'doctor')
    check('cluster doctor: no leader, broker 12 is down', status == 1 and re.search('ha(s|ve) no leader', said) and
          re.search(r'^   (e-1, )?once-0$', said, re.M) and 'Broker 12 is down' in said and '--election-type unclean' in said, said)
    status, said = x.ours('leader-election', '--topic', 'once', '--partition', 0, '--election-type', 'preferred')
    check('preferred, where only one out of sync is left: refused', status == 1 and x.state('once')[0][0] is None, (status, said))
    said = x.must('leader-election', '--topic', 'once', '--partition', 0, '--election-type', 'unclean')
    check('unclean', said == 'Successfully completed leader election (UNCLEAN) for partitions once-0\n', said)
    x.wait('once', lambda p, leader, replicas, isr: leader == 13)
    check('the other leads, without what it had not', x.records('once') == PER_BATCH, x.records('once'))
    x.nodes.start(12)
    x.wait('once', lambda p, leader, replicas, isr: isr == {12, 13})
    said = x.must('leader-election', '--all-topic-partitions', '--election-type', 'preferred')
    check('all that are led elsewhere', 'once-0' in said, said)
    x.wait('once', lambda p, leader, replicas, isr: leader == 12)


def drains(x):
    x.make('three', [[11, 12, 13]], 1)
    x.make('two', [[13, 11], [12, 13], [11, 12]])
    status, said = x.ours('broker', 'drain', 13, '--dry-run')
    check('broker drain: refused where a topic would lack brokers', status == 1 and 'too few for: three (3 replicas)' in said, (status, said))
    x.must('topics', '--delete', '--topic', 'three')
    said = x.must('broker', 'drain', 13, '--dry-run')
    check('broker drain --dry-run changes nothing', 'two-0' in said and 'No partition reassignments' in x.must('reassign-partitions', '--list'), said)
    said = x.must('broker', 'drain', 13, '--throttle', FAST)
    check('broker drain', 'Broker 13 has no replicas and leads nothing' in said, said)
    whole = described(x.kafka(('log-dirs', '--describe'))[0])
    check('by Kafka\'s log-dirs nothing is left there', not any(found for (i, _), found in whole.items() if i == 13), whole)
    check('broker drain --status', x.ours('broker', 'drain', 13, '--status')[0] == 0)
    state = x.state('two')
    check('all are in sync elsewhere', all(set(s[1]) == s[2] == {11, 12} for s in state.values()), state)
    check('no throttle is left', not x.throttles('two'), x.throttles('two'))
    said = x.must('balance', '--execute', '--sample-seconds', 0, '--throttle', FAST)
    check('balance --execute', said.endswith('Done.\n'), said)
    state = x.state('two')
    check('broker 13 has its share again', any(13 in s[1] for s in state.values()) and all(set(s[1]) == s[2] for s in state.values()), state)
    check('balance finds nothing more', 'Nothing has to move.' in x.must('balance', '--dry-run', '--sample-seconds', 0))
    check('no throttle is left by it', not x.throttles('two'), x.throttles('two'))
    check('no record is missing', x.records('two') == 3 * BATCHES * PER_BATCH, x.records('two'))


def main():
    t = Tools()
    nodes = KafkaNodes(t.folder)
    try:
        x = Bench(nodes, t)
        parts = {'looks': looks, 'moves': moves, 'directories': directories, 'elections': elections, 'drains': drains}
        for name in sys.argv[1:] or parts:
            try:
                parts[name](x)
            except AssertionError as e:
                check(name + ': to the end', False, str(e))
    finally:
        nodes.wipe()
        t.end()
    print('%d passed, %d failed' % (sum(results), len(results) - sum(results)))
    return 0 if all(results) else 1


if __name__ == '__main__':
    sys.exit(main())
