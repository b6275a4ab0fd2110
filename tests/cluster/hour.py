#!/usr/bin/env python3
"""Three controllers and three brokers under real clients for an hour, while things happen to them; at the end of every round the checkers.

    tests/cluster/hour.sh [--minutes N] [--seed S] [--keep]

Everything that is drawn comes from the seed: what strikes whom, in which order and for how long, which codecs the producers use. (Real processes are
not replayed by it.) A round takes about two minutes. In it two librdkafka producers send with acks=all (one idempotent, one not), a group of members
of two kinds (librdkafka and kafka-python) reads and commits, a watcher notes what it is shown, an administrator makes and deletes topics; and faults
strike one after the other, now and then two at once:

    kill      a node or all brokers, or all nodes, by SIGKILL; started again after a while
    pause     a node stands still, at times longer than its session
    stop      a node in order; `roll`: every node, one after the other
    cut       links between nodes (proxy.py): a broker, a pair, the active controller; both ways or one; silent or by resets
    full      the disk of a broker has no room left (small_disk.py)
    elect     leaders go back to their first replicas; `move`: replicas of a partition in another order

Whatever was done is undone at the end of the round. Each of these is counted as passed or failed there: the cluster heals (all brokers known to all,
all partitions in sync, all voters' logs equally long) within two minutes; no node ended by itself; acknowledged records are there, where they
were acknowledged, idempotent ones once and in order; replicas are equal to the byte; what was shown is still there; the group reads all and no commit is
lost or goes back; topics that were made are there, deleted ones are not. At last all topics are read again, and the nodes stop in order.

The last line is `N passed, N failed`. With --keep, and when something failed, the folder stays (logs, data but those of small disks)."""
import argparse
import contextlib
import os
import random
import shutil
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, wait  # noqa: E402
from history import Watcher, Writer, check_commits, check_partition, check_replicas, check_seen, read_partition  # noqa: E402
from members import KafkaPython, Librdkafka, read_by, wait_settled  # noqa: E402
from proxy import Links  # noqa: E402

ROUND_SECONDS, KEPT_TOPICS, DISK_MIB, HEAL_SECONDS = 90, 6, 768, 120
SETTINGS = {'broker.session.timeout.ms': 4000, 'replica.lag.time.max.ms': 5000, 'log.segment.bytes': 4 << 20, 'log.index.size.max.bytes': 65536,
            'offsets.topic.segment.bytes': 1 << 20, 'metadata.log.max.record.bytes.between.snapshots': 20000}
CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd']


class Results:
    def __init__(self):
        self.passed, self.failed, self.start = 0, [], time.monotonic()

    def say(self, text):
        print('%7.1f  %s' % (time.monotonic() - self.start, text), flush=True)

    @contextlib.contextmanager
    def check(self, name):
        """What fails is told and counted, and the run goes on."""
        try:
            yield
            self.passed += 1
        except Exception as e:
            self.failed.append(name)
            self.say('FAILED %s: %s' % (name, str(e) or repr(e)))
            if not isinstance(e, AssertionError):
                traceback.print_exc(file=sys.stdout)


class Faults:
    """Draws faults and lets them happen; undo() ends all that still goes on."""

    def __init__(self, cluster, links, rng, say):
        self.c, self.links, self.rng, self.say, self.due, self.down, self.topics = cluster, links, rng, say, [], set(), []
        self.kinds = [(self.kill, 5), (self.kill_many, 1), (self.pause, 4), (self.stop, 3), (self.roll, 1), (self.cut, 5), (self.full, 3), (self.elect, 2),
                      (self.move, 2)]

    def later(self, seconds, what):
        self.due.append((time.monotonic() + seconds, what))

    def run_due(self, all_of_them=False):
        now = time.monotonic()
        ready = [d for d in self.due if all_of_them or d[0] <= now]
        self.due = [d for d in self.due if d not in ready]
        for _, what in sorted(ready, key=lambda d: d[0]):
            what()

    def sleep(self, seconds):
        """Lets time pass, which is what the clients and the faults need."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.run_due()
            time.sleep(0.05)

    def healthy(self, nodes=None):
        return [n for n in nodes or self.c.nodes if n.running and not n.paused]

    def some(self, nodes=None):
        """A node that runs. A majority of the controllers is left alone, so that the rest has somebody to ask."""
        can = [n for n in self.healthy(nodes) if n.is_broker or len(self.healthy(self.c.controllers)) > 2]
        return self.rng.choice(can) if can else None

    def strike(self):
        kinds, weights = zip(*self.kinds)
        self.rng.choices(kinds, weights)[0]()

    def take_down(self, n, end):
        """end: 'kill' or 'stop'."""
        self.down.add(n)
        getattr(n, end)()
        n.paused = False

    def again(self, n):
        if n in self.down:
            self.down.discard(n)
            n.launch()

    def died(self):
        """Sentences about nodes that are down although nobody took them down."""
        return ['%r ended with %d: %s' % (n, n.process.returncode, n.text()[-2000:]) for n in self.c.nodes if not n.running and n not in self.down]

    def kill(self):
        n = self.some()
        if n:
            seconds = self.rng.choice([0, 1, 3, 8])
            self.say('kill %r for %d s' % (n, seconds))
            self.take_down(n, 'kill')
            self.later(seconds, lambda: self.again(n))

    def kill_many(self):
        nodes = self.c.brokers if self.rng.random() < 0.7 else self.c.nodes
        nodes = [n for n in nodes if n.running]
        self.say('kill %s' % nodes)
        for n in nodes:
            n.signal(9)
        for n in nodes:
            self.take_down(n, 'kill')
            self.later(self.rng.random() * 3, lambda n=n: self.again(n))

    def pause(self):
        n = self.some()
        if n:
            seconds = self.rng.choice([0.3, 1.5, 6, 12])
            self.say('pause %r for %.1f s' % (n, seconds))
            n.pause()

            def go_on():
                if n.running:
                    n.resume()
            self.later(seconds, go_on)

    def stop(self):
        n = self.some()
        if n:
            self.say('stop %r' % n)
            self.take_down(n, 'stop')
            self.later(self.rng.choice([0, 2]), lambda: self.again(n))

    def roll(self):
        self.say('roll')
        self.undo()
        for n in self.c.nodes:
            n.wait_ready()
        for n in self.c.nodes:
            n.restart()
            self.sleep(1)

    def cut(self):
        seconds, one_way, reset = self.rng.choice([1, 5, 10]), self.rng.random() < 0.4, self.rng.random() < 0.3
        kind = self.rng.choice(['broker', 'pair', 'active', 'any'])
        how = 'for %d s%s%s' % (seconds, ', one way' if one_way else '', ', with resets' if reset else '')
        if kind == 'active':
            n = self.c.active()
            if n is None:
                return
        else:
            n = self.rng.choice(self.c.brokers if kind != 'any' else self.c.nodes)
        if kind == 'pair':
            other = self.rng.choice([b for b in self.c.brokers if b is not n])
            self.say('cut %r from %r %s' % (n, other, how))
            self.links.cut(n, other, one_way, reset)
        else:
            self.say('cut %r off %s' % (n, how))
            for other in self.c.nodes:
                if other is not n:
                    self.links.cut(n, other, one_way, reset)
        self.later(seconds, self.links.heal)

    def full(self):
        n = self.rng.choice(self.c.brokers)
        if any(os.path.exists(b.disk.filler) for b in self.c.brokers):
            return
        seconds = self.rng.choice([2, 6, 10])
        self.say('the disk of %r is full for %d s' % (n, seconds))
        n.disk.fill()
        self.later(seconds, n.disk.give_space_back)

    def elect(self):
        self.say('elect')
        self.c.any('ElectLeaders', 2, {'electionType': 0, 'topicPartitions': None, 'timeoutMs': 5000})

    def move(self):
        topic, p = self.rng.choice(self.topics), self.rng.randrange(2)
        replicas = self.rng.sample([11, 12, 13], 3)
        self.say('move %s-%d to %s' % (topic, p, replicas))
        self.c.any('AlterPartitionReassignments', 0, {'timeoutMs': 5000, 'topics': [
            {'name': topic, 'partitions': [{'partitionIndex': p, 'replicas': replicas}]}]})

    def undo(self):
        self.run_due(True)
        self.links.heal()
        for n in self.c.nodes:
            if n.disk and os.path.exists(n.disk.filler):
                n.disk.give_space_back()
            if n.running and n.paused:
                n.resume()
        for n in list(self.down):
            self.again(n)


class Admin:
    """Makes and deletes topics; what was answered must hold. A request without an answer leaves its topic open: it may be carried out later, even behind
    one that was asked later and answered."""

    def __init__(self, cluster):
        self.c, self.made, self.open, self.gone, self.serial = cluster, set(), set(), set(), 0

    def step(self, rng):
        if self.made and rng.random() < 0.4:
            name = rng.choice(sorted(self.made))
            self.made.discard(name)
            code = self.code('DeleteTopics', 6, {'topics': [{'name': name, 'topicId': 'A' * 22}], 'timeoutMs': 4000}, 'responses')
            (self.gone if code in (0, 3) else self.open).add(name)
            return
        self.serial += 1
        name = 'admin-%d' % self.serial
        code = self.code('CreateTopics', 7, {'topics': [{'name': name, 'numPartitions': 2, 'replicationFactor': 3, 'assignments': [], 'configs': []}],
                                             'timeoutMs': 4000}, 'topics')
        (self.made if code == 0 else self.open).add(name)

    def code(self, api, version, body, rows):
        """Of one broker that runs: asking another one as well would be a second request."""
        running = [n for n in self.c.brokers if n.running and not n.paused]
        r = self.c.any(api, version, body, running[:1])
        return r[rows][0]['errorCode'] if r else None

    def check(self):
        m = self.c.any('Metadata', 12, {'topics': None, 'allowAutoTopicCreation': False})
        there = {t['name'] for t in m['topics']}
        assert self.made <= there, 'topics that were made are not there: %s' % sorted(self.made - there)
        assert not self.gone & there, 'topics that were deleted are there: %s' % sorted(self.gone & there)


class Round:
    def __init__(self, number, cluster, rng, results):
        self.c, self.results, self.number, self.rng = cluster, results, number, rng
        self.topics = {'r%d-once' % number: 4, 'r%d-any' % number: 2}
        for topic, n in self.topics.items():
            cluster.create_topic(topic, n, 3)
        codec = {t: {'compression.type': rng.choice(CODECS), 'message.timeout.ms': 600000} for t in self.topics}
        once, anyhow = self.topics
        self.writers = [Writer(cluster, once, 4, rate=300, config=codec[once], begins_anew=True),
                        Writer(cluster, anyhow, 2, rate=150, name='x', idempotent=False, config=codec[anyhow])]
        self.watchers = [Watcher(cluster, t, n) for t, n in self.topics.items()]
        self.members = [kind(cluster.servers, 'group-%d' % number, once, session_ms=10000) for kind in (Librdkafka, KafkaPython)]

    def check(self, name):
        return self.results.check('round %d: %s' % (self.number, name))

    def end(self):
        for w in self.writers:
            with self.check('the writer of %s ends' % w.topic):
                w.stop()
                assert w.count > 0, 'nothing was acknowledged'
                for what in w.rewound:
                    self.results.say('%s begins anew: %s' % (w.topic, what))
                assert not w.failed or not w.config['enable.idempotence'], 'records failed: %s' % w.failed[:3]
        with self.check('the group reads all'):
            once = self.writers[0]
            want = {(once.topic, p, o) for p, acked in enumerate(once.acked) for o in acked.values()}
            wait(lambda: want <= set(read_by(self.members)), lambda: '%d of %d are not read: %s' % (
                len(want - set(read_by(self.members))), len(want), '; '.join(map(str, self.members))), HEAL_SECONDS)
            wait_settled(self.members, once.topic, once.partitions)
        with self.check('no commit is lost or goes back'):
            check_commits(self.c, 'group-%d' % self.number, self.members)
        for m in self.members:
            if getattr(m, 'left', None):
                self.results.say('round %d: %s hung and was left behind, %d times' % (self.number, m.kind, len(m.left)))
            with self.check('%s leaves' % m.kind):
                m.stop()
        for w in self.watchers:
            w.stop()
        self.read('are there')
        for topic, n in self.topics.items():
            with self.check('replicas of %s are equal' % topic):
                check_replicas(self.c, topic, n, HEAL_SECONDS)

    def read(self, what):
        for writer, watcher in zip(self.writers, self.watchers):
            with self.check('records of %s %s' % (writer.topic, what)):
                for p in range(writer.partitions):
                    records = read_partition(self.c.servers, writer.topic, p, HEAL_SECONDS)
                    wrong = check_partition(writer, p, records) + check_seen(watcher, p, records)
                    if wrong:
                        self.keep(writer.topic, p)
                    assert not wrong, '%s-%d: %d findings: %s' % (writer.topic, p, len(wrong), '; '.join(wrong[:8]))

    def keep(self, topic, p):
        """The logs of a partition in which something is wrong, for millrace dump-log: their topic is deleted before the end."""
        for n in self.c.brokers:
            folder = n.seen(os.path.join(n.settings['log.dirs'], '%s-%d' % (topic, p)))
            if os.path.isdir(folder):
                shutil.copytree(folder, os.path.join(self.c.folder, 'kept', str(n.id), os.path.basename(folder)), dirs_exist_ok=True)

    def tell(self):
        acked, shown = sum(w.count for w in self.writers), sum(len(s) for w in self.watchers for s in w.shown)
        self.results.say('round %d: %d acknowledged, %d shown, %d read by the group' % (self.number, acked, shown, len(read_by(self.members))))
        return acked


def check_heals(c, faults, topics, results, name):
    with results.check(name + ': no node ended by itself'):
        died = faults.died()
        faults.down.update(n for n in c.nodes if not n.running)
        faults.undo()
        assert not died, '; '.join(died)
    with results.check(name + ': the disks have room'):  # of __consumer_offsets nothing is compacted
        for b in c.brokers:
            assert b.disk.free() > 32 << 20, '%r has %d bytes left of %d MiB: this run needs larger ones (DISK_MIB)' % (b, b.disk.free(), DISK_MIB)
    with results.check(name + ': the cluster heals'):
        for n in c.nodes:
            n.wait_ready(HEAL_SECONDS)
        c.wait_unfenced({b.id for b in c.brokers}, HEAL_SECONDS)
        for topic in topics + ['__consumer_offsets']:
            c.wait_in_sync(topic, HEAL_SECONDS)
        c.wait_voters(HEAL_SECONDS)


def run(seed, minutes, folder, results):
    rng, links = random.Random(seed), Links()
    total, rounds, end = 0, [], time.monotonic() + 60 * minutes
    with Cluster(folder, controllers=3, brokers=3, links=links, settings=SETTINGS, disks={b: DISK_MIB for b in (11, 12, 13)}) as c:
        faults, admin, number = Faults(c, links, rng, results.say), Admin(c), 0
        while time.monotonic() < end:
            number += 1
            r = Round(number, c, rng, results)
            rounds.append(r)
            faults.topics = list(r.topics)
            begin = time.monotonic()
            while time.monotonic() < begin + ROUND_SECONDS:
                faults.sleep(rng.choice([0.5, 2, 5]))
                with results.check('round %d: a fault strikes' % number):
                    faults.strike()
                admin.step(rng)
            results.say('round %d: undo' % number)
            check_heals(c, faults, [t for x in rounds for t in x.topics], results, 'round %d' % number)
            r.end()
            with results.check('round %d: topics' % number):
                admin.check()
            total += r.tell()
            while sum(len(x.topics) for x in rounds) > KEPT_TOPICS:
                old = rounds.pop(0)
                old.read('are still there')
                c.any('DeleteTopics', 6, {'topics': [{'name': t, 'topicId': 'A' * 22} for t in old.topics], 'timeoutMs': 10000})
        for r in rounds:
            r.read('are there at last')
        for n in c.nodes:
            with results.check('%r: neither assertions nor sanitizers' % n):
                c.clean(n)
    return number, total


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--minutes', type=float, default=60, help='how long faults strike (60)')
    p.add_argument('--seed', type=int, default=random.SystemRandom().randrange(1 << 31), help='another one each time unless given')
    p.add_argument('--keep', action='store_true', help='keep the folder')
    args = p.parse_args()
    folder, results = tempfile.mkdtemp(prefix='cluster-hour-'), Results()
    print('seed %d, %.1f minutes, in %s' % (args.seed, args.minutes, folder), flush=True)
    with open(os.path.join(folder, 'clients.log'), 'wb') as f:
        os.dup2(f.fileno(), 2)  # what librdkafka says of each connection
    with results.check('the nodes start and stop in order'):
        number, total = run(args.seed, args.minutes, folder, results)
        print('seed %d: %d rounds, %d records acknowledged' % (args.seed, number, total))
    for name in results.failed:
        print('failed: %s' % name)
    if args.keep or results.failed:
        print('kept: %s' % folder)
    else:
        shutil.rmtree(folder)
    print('%d passed, %d failed' % (results.passed, len(results.failed)), flush=True)
    os._exit(1 if results.failed else 0)  # a client's thread may be left where its cluster has gone


if __name__ == '__main__':
    main()
