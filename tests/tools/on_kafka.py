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
NOT_YET = (3, 5, 6)  # of Produce: the broker does not know the topic, or its leader, or that it leads
# Followers fetch little at a time: what they have fetched before a throttle holds them back is not all. Nothing is too old: batches of records.py are of 2023.
# However busy the machine is, nobody that lives is taken for dead, nor for out of sync.
SETTINGS = {'auto.leader.rebalance.enable': 'false', 'broker.session.timeout.ms': 20000, 'broker.heartbeat.interval.ms': 500, 'replica.lag.time.max.ms': 60000,
            'min.insync.replicas': 1, 'log.retention.ms': -1, 'replica.fetch.max.bytes': 65536, 'replica.fetch.response.max.bytes': 262144, 'offsets.topic.replication.factor': 1, 'auto.create.topics.enable': 'false', 'default.replication.factor': 2,
            'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT'}
# Bytes a second. Below the size of a batch one goes through in each span that the quota looks back upon (11 s): a move takes ten minutes, however long it is
# looked at; or it is hardly held back.
SLOW, FAST = 1000, 100000000
PER_BATCH, BATCHES = 9, 60  # of each partition: 60 times 90 KB
DIRS_RATE = 'replica.alter.log.dirs.io.max.bytes.per.second'


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

    def ours(self, *words, timeout=600):
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
        """At the leader, as soon as there is one that knows that it is."""
        value = {'transactionalId': None, 'acks': -1, 'timeoutMs': 90000, 'topicData': [
            {'name': topic, 'partitionData': [{'index': p, 'records': batch(values)}]}]}
        seen = []

        def written():
            leaders = {state[p][0] for state in self.states(topic) if p in state}
            seen[:] = [leaders]
            if len(leaders) != 1 or leaders == {None}:
                return False
            r = ask(self.nodes.ports[leaders.pop()], 'Produce', 9, value, 120)
            seen[:] = [r['responses'][0]['partitionResponses'][0]['errorCode']]
            assert seen[0] in (0, *NOT_YET), r
            return seen[0] == 0
        wait(written, lambda: '%s-%d was not written: %s' % (topic, p, seen), 180)

    def metadata(self, topics):
        """What each broker tells that answers."""
        for i in BROKERS:
            try:
                yield ask(self.nodes.ports[i], 'Metadata', 12, {'topics': topics, 'allowAutoTopicCreation': False}, 20)['topics']
            except (OSError, WireError):
                pass

    def states(self, topic):
        """Of each broker that answers {partition: (leader, replicas, ISR)}; without partitions where it does not know the topic."""
        return [{p['partitionIndex']: (p['leaderId'] if p['leaderId'] >= 0 else None, p['replicaNodes'], set(p['isrNodes'])) for p in found[0]['partitions']}
                for found in self.metadata([{'topicId': 'A' * 22, 'name': topic}])]

    def state(self, topic):
        """As a broker tells that lives."""
        return next(iter(self.states(topic)), {})

    def wait(self, topic, holds):
        """Until it holds for all partitions, and every broker knows: holds(partition, leader, replicas, isr)."""
        def held():
            states = self.states(topic)
            return states and all(state and all(holds(p, *x) for p, x in state.items()) for state in states)
        wait(held, lambda: '%s: %s' % (topic, self.states(topic)), 180)

    def wait_gone(self, topic):
        wait(lambda: self.states(topic) in [[{}] * n for n in range(1, 1 + len(BROKERS))], lambda: '%s is there: %s' % (topic, self.states(topic)), 180)

    def partitions(self):
        """Of each broker that answers all partitions of all topics, {topic-partition: as Metadata has it}."""
        return [{'%s-%d' % (t['name'], p['partitionIndex']): p for t in found for p in t['partitions']} for found in self.metadata(None)]

    def wait_whole(self):
        """Until all brokers are there and know that all replicas are in sync."""
        def whole():
            all_ = self.partitions()
            return len(all_) == len(BROKERS) and all(p['leaderId'] >= 0 and set(p['isrNodes']) == set(p['replicaNodes']) for x in all_ for p in x.values())
        wait(whole, lambda: 'not all is in sync: %s' % self.partitions(), 180)

    def placed(self, *topics):
        """described() of Kafka's log-dirs."""
        return described(self.kafka(('log-dirs', '--describe', '--topic-list', ','.join(topics)))[0])

    def replicas(self):
        """How many each broker has, by Kafka's log-dirs."""
        said, = self.kafka(('log-dirs', '--describe'))
        found = json.loads(next(line for line in said.splitlines() if line.startswith('{')))
        return {x['broker']: sum(len(d['partitions']) for d in x['logDirs']) for x in found['brokers']}

    def records(self, topic):
        return sum(int(x) for x in re.findall(r'^%s:\d+:(\d+)' % topic, self.kafka(('get-offsets', '--topic', topic))[0], re.M))

    def throttles(self, *topics):
        """All that Kafka's tool tells of throttles, of brokers and topics."""
        said = self.kafka(*(('configs', '--describe', '--entity-type', 'brokers', '--entity-name', i) for i in BROKERS),
                          *(('configs', '--describe', '--entity-type', 'topics', '--entity-name', t) for t in topics))
        return sorted(set(re.findall(r'^ +((?:\S*throttled\S*|%s)=\S*)' % re.escape(DIRS_RATE), '\n'.join(said), re.M)))

    def wait_throttles(self, holds, *topics):
        """Until what the brokers tell of throttles is so; each knows what is set a moment later than who sets it. The last that they told."""
        told = [None]

        def held():
            told[0] = self.throttles(*topics)
            return holds(told[0])
        wait(held, lambda: 'throttles: %s' % told, 180)
        return told[0]

    def check_unthrottled(self, name, *topics):
        check(name, self.wait_throttles(lambda t: not t, *topics) == [])

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
    x.wait_throttles(lambda t: 'leader.replication.throttled.rate=%d' % SLOW in t and any(s.startswith('follower.replication.throttled.replicas=') for s in t), 'm')
    check('--throttle is set on brokers and topic', True)
    status, said = x.ours('cluster', 'doctor')
    check('cluster doctor tells the throttle that is in use', re.search(r'throttle', said), said)
    said = x.must(*r, '--cancel')
    check('--cancel', 'Successfully cancelled partition reassignments' in said, said)
    x.wait('m', lambda p, leader, replicas, isr: sorted(replicas) == sorted(before[p][1]))  # Kafka does not keep the order
    theirs, = x.kafka(('reassign-partitions', '--list'))
    check('nothing moves by Kafka\'s --list', 'No partition reassignments found' in theirs, theirs)
    x.check_unthrottled('no throttle is left of what was cancelled', 'm')
    x.must(*r, '--execute', '--throttle', SLOW)
    status, said = x.ours(*r, '--execute', '--throttle', FAST)
    check('a second --execute is refused while it moves', status == 1 and '--additional' in said, (status, said))
    said = x.must(*r, '--execute', '--additional', '--throttle', FAST)
    x.wait_throttles(lambda t: {s for s in t if '.rate=' in s} == {'%s.replication.throttled.rate=%d' % (who, FAST) for who in ('leader', 'follower')}, 'm')
    check('--additional sets another throttle', True)
    said = x.must(*r, '--verify', '--wait')
    check('--verify --wait: done', said.count('is completed') == 4 and 'Clearing' in said, said)
    x.wait('m', lambda p, leader, replicas, isr: replicas == [13, 11] and isr == {11, 13})
    check('Kafka\'s brokers have them where they were wanted', True)
    theirs, = x.kafka(('reassign-partitions', '--verify', '--reassignment-json-file', plan))
    check('by Kafka\'s --verify, too', theirs.count('is completed') == 4, theirs)
    x.check_unthrottled('no throttle is left of what was moved', 'm')
    check('no record is missing', x.records('m') == 4 * BATCHES * PER_BATCH, x.records('m'))


def directories(x):
    """Between the two directories of a broker, and to one of another broker's."""
    x.make('d', [[11, 12], [12, 11]])
    place = {(i, p): path for (i, path), found in x.placed('d').items() for p in found}
    away = {k: next(d for d in x.nodes.dirs[k[0]] if d != path) for k, path in place.items()}
    plan = x.plan('d', {0: [11, 12], 1: [12, 13]}, {0: [away[11, 0], 'any'], 1: [away[12, 1], x.nodes.dirs[13][1]]})
    r = ('reassign-partitions', '--reassignment-json-file', plan)
    # The tool sets a rate and asks the broker to copy, as Kafka's does; a busy broker may hear of the first later, and would have copied all. So it has one.
    for i in (11, 12):
        x.must('configs', '--alter', '--entity-type', 'brokers', '--entity-name', i, '--add-config', '%s=%d' % (DIRS_RATE, SLOW + 1))
    x.wait_throttles(lambda t: t == ['%s=%d' % (DIRS_RATE, SLOW + 1)], 'd')
    said = x.must(*r, '--execute', '--replica-alter-log-dirs-throttle', SLOW, '--timeout', 180000)
    check('--execute with log_dirs', said.count('Successfully started moving log directory') + said.count('Successfully started log directory move') >= 2, said)
    found = x.placed('d')
    futures = {(i, path, p) for (i, path), parts in found.items() for p, row in parts.items() if row[0]}
    check('Kafka\'s log-dirs shows what is on its way', (11, away[11, 0], 0) in futures and (12, away[12, 1], 1) in futures, found)
    check('ours, too', {(i, path, p) for (i, path), parts in described(x.must('log-dirs', '--describe', '--topic-list', 'd')).items()
                        for p, row in parts.items() if row[0]} == futures)
    x.wait_throttles(lambda t: t == ['%s=%d' % (DIRS_RATE, SLOW)], 'd')
    check('--replica-alter-log-dirs-throttle is set', True)
    said = x.must(*r, '--verify', '--preserve-throttles')
    check('--verify: still in progress', said.count('still in progress') >= 2, said)
    x.must(*r, '--execute', '--additional', '--replica-alter-log-dirs-throttle', FAST, '--timeout', 180000)
    said = x.must(*r, '--verify', '--wait')
    check('--verify --wait: done', said.count('completed successfully') == 3 and 'Clearing' in said, said)
    found = x.placed('d')
    check('they lie where they were wanted', 0 in found[11, away[11, 0]] and 1 in found[12, away[12, 1]] and 1 in found[13, x.nodes.dirs[13][1]] and
          not any(row[0] for parts in found.values() for row in parts.values()), found)
    x.check_unthrottled('no throttle of directories is left', 'd')
    status, said = x.ours('reassign-partitions', '--execute', '--reassignment-json-file', x.plan('d', {0: [11, 12]}, {0: ['/nowhere', 'any']}))
    check('a directory that the broker does not have is refused', status == 1 and '/nowhere' in said and 'No partition reassignments' in x.must('reassign-partitions', '--list'), said)
    check('no record is missing', x.records('d') == 2 * BATCHES * PER_BATCH, x.records('d'))


def elections(x):
    x.make('e', [[11, 12], [12, 13]], 1)
    x.make('once', [[12, 13]], 1)
    x.nodes.end(12)
    x.wait('e', lambda p, leader, replicas, isr: p == 0 or leader == 13)  # who has stopped in order is fenced
    one = ('leader-election', '--topic', 'e', '--partition', 1, '--election-type')
    status, said = x.ours(*one, 'preferred')
    check('preferred, while it is down: refused', status == 1 and 'PREFERRED_LEADER_NOT_AVAILABLE' in said.upper().replace(' ', '_') or 'preferred leader was not available' in said, (status, said))
    x.nodes.start(12)
    x.wait_whole()
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
    x.wait('e', lambda p, leader, replicas, isr: (leader is None) == (p == 1))
    led_by_none, = {', '.join(sorted(name for name, p in found.items() if p['leaderId'] < 0)) for found in x.partitions()}  # of the parts before, too
    status, said = x.ours('cluster', 'doctor')
    check('cluster doctor: no leader, broker 12 is down', status == 1 and re.search('ha(s|ve) no leader', said) and
          re.search('^   %s$' % led_by_none, said, re.M) and 'once-0' in led_by_none and 'Broker 12 is down' in said and '--election-type unclean' in said,
          (led_by_none, said))
    status, said = x.ours('leader-election', '--topic', 'once', '--partition', 0, '--election-type', 'preferred')
    check('preferred, where only one out of sync is left: refused', status == 1 and x.state('once')[0][0] is None, (status, said))
    said = x.must('leader-election', '--topic', 'once', '--partition', 0, '--election-type', 'unclean')
    check('unclean', said == 'Successfully completed leader election (UNCLEAN) for partitions once-0\n', said)
    x.wait('once', lambda p, leader, replicas, isr: leader == 13)
    check('the other leads, without what it had not', x.records('once') == PER_BATCH, x.records('once'))
    x.nodes.start(12)
    x.wait_whole()
    said = x.must('leader-election', '--all-topic-partitions', '--election-type', 'preferred')
    check('all that are led elsewhere', 'once-0' in said, said)
    x.wait('once', lambda p, leader, replicas, isr: leader == 12)
    check('they are led by their first replicas', True)


def drains(x):
    x.make('three', [[11, 12, 13]], 1)
    x.make('two', [[13, 11], [12, 13], [11, 12]])
    status, said = x.ours('broker', 'drain', 13, '--dry-run')
    check('broker drain: refused where a topic would lack brokers', status == 1 and 'too few for: three (3 replicas)' in said, (status, said))
    x.must('topics', '--delete', '--topic', 'three')
    x.wait_gone('three')
    said = x.must('broker', 'drain', 13, '--dry-run')
    check('broker drain --dry-run changes nothing', 'two-0' in said and 'No partition reassignments' in x.must('reassign-partitions', '--list'), said)
    said = x.must('broker', 'drain', 13, '--throttle', FAST)
    check('broker drain', 'Broker 13 has no replicas and leads nothing' in said, said)
    wait(lambda: x.replicas()[13] == 0, lambda: x.replicas(), 180)  # it deletes what it has been told to leave
    check('by Kafka\'s log-dirs nothing is left there', True)
    check('broker drain --status', x.ours('broker', 'drain', 13, '--status')[0] == 0)
    x.wait('two', lambda p, leader, replicas, isr: set(replicas) == isr == {11, 12})
    check('all are in sync elsewhere', True)
    x.check_unthrottled('no throttle is left of the drain', 'two')
    x.wait_whole()  # balance leaves alone what is not
    said = x.must('balance', '--execute', '--sample-seconds', 0, '--throttle', FAST)
    check('balance --execute', said.endswith('Done.\n'), said)
    x.wait_whole()
    told = [None]

    def nothing_more():
        told[0] = x.must('balance', '--dry-run', '--sample-seconds', 0)
        return 'Nothing has to move.' in told[0]
    wait(nothing_more, lambda: told[0], 60)
    check('balance finds nothing more', True)
    share = sum(len(p['replicaNodes']) for p in x.partitions()[0].values()) / len(BROKERS)  # of all topics: balance evens out those of the parts before, too
    wait(lambda: all(abs(n - share) < 1 + share / 10 for n in x.replicas().values()), lambda: (x.replicas(), said), 180)
    check('broker 13 has its share again, and so have the others', True)
    x.check_unthrottled('no throttle is left by balance', 'two')
    check('no record is missing', x.records('two') == 3 * BATCHES * PER_BATCH, x.records('two'))


def main():
    t = Tools()
    nodes = KafkaNodes(t.folder)
    try:
        x = Bench(nodes, t)
        parts = {'looks': looks, 'moves': moves, 'directories': directories, 'elections': elections, 'drains': drains}
        for name in sys.argv[1:] or parts:
            try:
                x.wait_whole()
                parts[name](x)
            except (AssertionError, OSError, WireError, subprocess.SubprocessError) as e:
                check(name + ': to the end', False, repr(e))
    finally:
        nodes.wipe()
        t.end()
    print('%d passed, %d failed' % (sum(results), len(results) - sum(results)))
    return 0 if all(results) else 1


if __name__ == '__main__':
    sys.exit(main())
