"""docs/OPERATIONS.md, typed: the commands of a part, in order, each on the machine that its prompt names, against a cluster of the sample files on machines of
their own (lib/machines.py). What comes out must have the shape of what the page shows (lib/transcript.py); of a command that only looks, within a minute. A
scene says what the page does not show: what there was before, and what happens to the cluster between two commands.

On failure the whole transcript stands in the output: what the page should show is copied from there."""
import fcntl
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import time

import pytest

from cluster import ROOT, binary
from machines import Machines
from transcript import agree, learn, section, steps, with_ids

PAGE = os.path.join(ROOT, 'docs/OPERATIONS.md')
CLUSTER_ID = 'g6XYSleSTHW7qEEQlF1-KQ'  # the page's
VOTERS, BROKERS = (1, 2, 3), (11, 12, 13)
ADDRESSES = {**{'controller%d' % i: '10.7.0.%d' % i for i in VOTERS}, **{'broker%d' % i: '10.7.0.%d' % i for i in (*BROKERS, 14)}, 'admin': '10.7.0.20'}
LOG = '/var/log/millrace/server.log'
LOOKS = re.compile(r'(grep|tail|curl|df|du|ls|cat|until) |millrace (health|get-offsets|metadata-quorum|cluster (doctor|list-endpoints|cluster-id)|'
                   r'(topics|features|log-dirs) .*(--describe|describe)|reassign-partitions .*--(list|verify)|broker drain .*--(status|dry-run)|balance .*--dry-run)')
FOREGROUND = re.compile(r'(millrace server \S+)$')


def page():
    with open(PAGE, encoding='utf-8') as f:
        return f.read()


class Play:
    """One scene: the machines, and what was typed on them so far."""

    def __init__(self, lab):
        self.lab, self.ids, self.said = lab, {}, []

    def type(self, machine, command):
        """What comes out; of a server that is started in the foreground, its log."""
        m = self.lab[machine]
        if not FOREGROUND.match(command):
            return m.type(command)
        log = m.path('log/server.log')
        before = os.path.getsize(log) if os.path.exists(log) else 0
        m.must('%s >> %s 2>&1 &' % (command, LOG))
        return lambda: open(log, errors='replace').read()[before:]

    def interrupted(self, machine, step, command):
        """What comes out of a command that gets the SIGINT of a Ctrl-C once it has printed what the page shows before it."""
        before = step.shown[:step.shown.index('^C')]
        with self.lab[machine].begin(command) as p:
            said = ''
            while agree(before, said.splitlines()) is not None:
                line = p.stdout.readline()
                assert line, 'it ended too early:\n' + said
                said += line
            os.killpg(p.pid, signal.SIGINT)
            return said + p.stdout.read()

    def step(self, step, seconds=60):
        command, deadline = with_ids(step.command, self.ids), time.monotonic() + seconds
        if '^C' in step.shown:
            out = self.interrupted(step.machine, step, command)
            step = step._replace(shown=[x for x in step.shown if x != '^C'])
        else:
            out = self.type(step.machine, command)
        while True:
            said = (out() if callable(out) else out).splitlines()
            lacks = agree(step.shown, said)
            if lacks is None or time.monotonic() > deadline or not (callable(out) or LOOKS.match(command)):
                break
            time.sleep(0.3)  # between two looks
            out = out if callable(out) else self.type(step.machine, command)
        self.said += ['%s$ %s' % (step.machine, command), *said]
        assert lacks is None, '%s$ %s\nthe page shows:\n  %s\nwhat is not there:\n  %s\nwhat came out:\n  %s' % (
            step.machine, command, '\n  '.join(step.shown), '\n  '.join(lacks), '\n  '.join(said))
        learn(step.shown, said, self.ids)

    def part(self, heading, happens=(), until=None):
        """Types all of a part, or as far as a heading in it. happens: (beginning of `machine$ command`, what to do just before it), in order."""
        happens = list(happens)
        try:
            for step in steps(section(page(), heading).split('\n#' + (until or '##### none'))[0]):
                if happens and ('%s$ %s' % (step.machine, step.command)).startswith(happens[0][0]):
                    happens.pop(0)[1]()
                self.step(step)
        finally:
            print('\n'.join(self.said))
        assert not happens, 'nothing begins with: ' + happens[0][0]


@pytest.fixture
def play(tmp_path):
    with Machines(tmp_path, ADDRESSES) as lab:
        yield Play(lab)


# ---- the comparison itself

SHOWN = '''Prose, and `admin$ nothing`.

    admin$ millrace topics --list
    orders
    ...
    t-2 has 3 replicas on brokers 11, 12, and 4.5 MiB of 29.3 MiB ...

    Broker 12 is down.
    broker11$ tail -n 1 log
    2026-11-29T09:22:46.362Z WARN  node: one broker=12
      id=2mpREdk9S6SBjHQuuOb7iA
    admin$
- a list

        admin$ kill 1
- more
'''


def test_a_page_is_read():
    first, second, third = steps(SHOWN)
    assert (first.machine, first.command, len(first.shown)) == ('admin', 'millrace topics --list', 4)
    assert second.machine == 'broker11' and len(second.shown) == 1
    assert third == ('admin', 'kill 1', [])
    assert section('# A\n## B\nb\n### C\nc\n## D\nd\n', 'B') == 'b\n### C\nc\n' and section('## B\nb\n', 'B') == 'b\n'


def test_what_does_not_agree_is_found():
    shown = steps(SHOWN)[0].shown
    said = ['orders', 'payments', 't-0 has 1 replica on brokers 13, 14, and 12.0 KiB of 1,024 B to be copied', 'Broker 12 is down.']
    assert agree(shown, said) is None
    assert agree(shown, said[:1] + said[2:]) is None
    assert agree(shown, said[1:]) == ['orders']
    assert agree(shown, said[:3] + ['Broker 13 is down.']) and agree(shown, said + ['More.']) and agree(shown, said[:3])
    assert agree([], []) is None and agree([], ['a']) and agree(['a'], []) and agree(['...'], ['a']) is None and agree(['...', 'a'], ['a', 'b']) == ['a']
    log = steps(SHOWN)[1].shown
    assert agree(log, [log[0].replace('22:46', '23:01').replace('2mpREdk9S6SBjHQuuOb7iA', 'Mlead9rfQmCsJ2fcFC8-BA')]) is None
    assert agree(log, [log[0].replace('broker=12', 'broker=11')]) and agree(log, [log[0].replace('WARN', 'INFO')])
    assert agree(['Isr: 11,12'], ['Isr: 13,12']) is None and agree(['Isr: 11,12'], ['Isr: 13,12,11'])
    ids = {}
    learn(log, [log[0].replace('2mpREdk9S6SBjHQuuOb7iA', 'Mlead9rfQmCsJ2fcFC8-BA')], ids)
    assert with_ids('format -t 2mpREdk9S6SBjHQuuOb7iA', ids) == 'format -t Mlead9rfQmCsJ2fcFC8-BA'


# ---- a cluster of the samples

PATIENCE = 'controller.raft.election.timeout.ms=%d\ncontroller.raft.heartbeat.interval.ms=500\n'  # a busy machine elects no leader for nothing
LEADS, FOLLOWS = 2000, 5000


def configure(lab, name, more='', leads=None, **settings):
    """The sample file of its role, with what the page says that is to be set, and more lines. leads: the controller that is the first to stand for election."""
    role, node_id = re.match(r'(controller|broker)(\d+)$', name).groups()
    with open(os.path.join(ROOT, 'deploy/%s.properties' % role)) as f:
        text = f.read()
    text = re.sub(r'^node\.id=.*', 'node.id=' + node_id, text, flags=re.M)
    text = re.sub(r'^(advertised\.listeners=.*//)\w+', r'\g<1>' + name, text, flags=re.M)
    for key, value in settings.items():
        text = re.sub(r'^%s=.*' % re.escape(key.replace('_', '.')), '%s=%s' % (key.replace('_', '.'), value), text, flags=re.M)
    with open(lab[name].path('etc/%s.properties' % role), 'w') as f:
        f.write(text + more + (PATIENCE % (FOLLOWS if leads not in (None, name) else LEADS) if role == 'controller' else ''))
    return '/etc/millrace/%s.properties' % role


def start(lab, name, *format_options, more='', leads=None, settings=None):
    file = configure(lab, name, more, leads, **(settings or {}))
    lab[name].must('millrace storage format -t %s -c %s %s' % (CLUSTER_ID, file, ' '.join(format_options)))
    again(lab, name)


def again(lab, name):
    lab[name].must('millrace server /etc/millrace/%s.properties >> %s 2>&1 &' % (re.match('[a-z]+', name).group(0), LOG))


def ends(lab, name, how='TERM'):
    lab[name].must('kill -%s $(pidof millrace); while pidof -q millrace; do sleep 0.1; done' % how)


def serves(lab, name):
    file = '/etc/millrace/%s.properties' % re.match('[a-z]+', name).group(0)
    lab[name].must('for i in $(seq 120); do millrace health --config %s && exit; sleep 0.5; done; tail -n 30 %s; false' % (file, LOG))


def cluster(lab, *format_options, more='', leads=None, settings=None):
    """settings: {name: {setting of the sample, with _ for its dots: value}}; more: lines for all; leads: the controller that does, as long as it runs."""
    names = ['controller%d' % i for i in VOTERS] + ['broker%d' % i for i in BROKERS]
    for name in names:
        start(lab, name, *format_options, more=more, leads=leads, settings=(settings or {}).get(name))
    for name in names:
        serves(lab, name)


def topic(lab, name, partitions, mib=0):
    admin = lab['admin']
    admin.must('millrace topics --bootstrap-server broker11:9092 --create --topic %s --partitions %d' % (name, partitions))
    if mib:
        admin.must('millrace producer-perf-test --bootstrap-server broker11:9092 --topic %s --num-records %d --record-size 1024 --throughput -1 '
                   '--command-property acks=all' % (name, mib * 1024))


def move(lab, name, partitions):
    """{partition: replicas}, and waits."""
    plan = {'version': 1, 'partitions': [{'topic': name, 'partition': p, 'replicas': r} for p, r in partitions.items()]}
    with open(lab['admin'].path('home/plan.json'), 'w') as f:
        json.dump(plan, f)
    lab['admin'].must('millrace reassign-partitions --bootstrap-server broker11:9092 --execute --wait --reassignment-json-file plan.json')


def nothing():
    """What happens before a command that is not the one meant."""


# ---- the parts

@pytest.mark.slow
def test_growing(play):
    cluster(play.lab)
    topic(play.lab, 'orders', 6, 48)
    configure(play.lab, 'broker11')
    with open(os.path.join(ROOT, 'deploy/broker.properties')) as f, open(play.lab['broker14'].path('etc/broker.properties'), 'w') as to:
        to.write(f.read())
    play.part('Growing')


@pytest.mark.slow
def test_rolling_upgrade(play):
    cluster(play.lab, '--release-version', '4.2')
    topic(play.lab, 'orders', 6)
    for name in ('controller2', 'broker11'):
        shutil.copy(binary(), play.lab[name].path('home/millrace-0.2.0'))
    play.part('Rolling upgrade')


class Disk:
    """A file system of its own, on a loop device, that can fail."""
    GOING_DOWN, AT_ONCE = 0x8004587d, struct.pack('I', 2)  # FS_IOC_GOINGDOWN, without writing what is in memory

    def __init__(self, folder, name, mib):
        image = os.path.join(str(folder), name)
        with open(image, 'wb') as f:
            f.truncate(mib << 20)
        for command in (['mkfs.ext4', '-q', image], ['losetup', '-f', '--show', image]):
            p = subprocess.run(command, capture_output=True, text=True)
            if p.returncode:
                pytest.skip('this needs a loop device: ' + p.stderr)
        self.device = p.stdout.strip()

    def fail(self, path):
        """Where it is mounted, for who stands outside. From now on it answers EIO."""
        fd = os.open(path, os.O_RDONLY)
        fcntl.ioctl(fd, self.GOING_DOWN, self.AT_ONCE)
        os.close(fd)

    def end(self):
        subprocess.run(['losetup', '-d', self.device])


@pytest.mark.slow
def test_one_disk_of_several(play, tmp_path):
    lab, two = play.lab, '/var/lib/millrace/disk1/data,/var/lib/millrace/disk2/data'
    old, new = Disk(tmp_path, 'old', 128), Disk(tmp_path, 'new', 128)
    broker13 = lab['broker13']
    try:
        broker13.must('mkdir -p /var/lib/millrace/disk2 && mount %s /var/lib/millrace/disk2' % old.device)
        with open(os.path.join(lab.folder, 'etc/fstab'), 'w') as f:
            f.write('%s /var/lib/millrace/disk2 ext4 defaults 0 0\n' % new.device)
        cluster(lab, settings={'broker%d' % i: {'log_dirs': two} for i in BROKERS})
        topic(lab, 'orders', 6)
        topic(lab, 'clicks', 6, 12)

        def fails():
            old.fail('/proc/%s/root/var/lib/millrace/disk2' % broker13.holder.pid)
            lab['admin'].must('millrace producer-perf-test --bootstrap-server broker11:9092 --topic clicks --num-records 1024 --record-size 1024 --throughput -1 '
                              '--command-property acks=all')
        play.part('One disk of a broker with several', [('broker13$ grep ERROR', fails)])
        broker13.must('kill $(pidof millrace); while pidof millrace; do sleep 0.1; done; umount /var/lib/millrace/disk2')
    finally:
        old.end()
        new.end()


@pytest.mark.slow
def test_full_disk(play):
    """Broker 12 has a small disk, which the records of clicks fill."""
    lab, often = play.lab, 'log.retention.check.interval.ms=3000\nlog.segment.delete.delay.ms=1000\n'
    lab['broker12'].must('mkdir /var/lib/millrace/data && mount -t tmpfs -o size=48m tmpfs /var/lib/millrace/data')
    cluster(lab, more=often)
    topic(lab, 'orders', 3, 1)
    lab['admin'].must('millrace topics --bootstrap-server broker11:9092 --create --topic clicks --partitions 3 --config segment.bytes=1048576')
    fill = 'millrace producer-perf-test --bootstrap-server broker11:9092 --topic clicks --num-records 6000 --record-size 10240 --throughput -1 --command-property acks=all batch.size=131072'
    said = lab['admin'].must(fill)
    assert '6000 records sent' in said, said
    play.part('Full disk')


def hand_over(lab, name, file, *to):
    """A file that one machine has, on others."""
    for other in to:
        shutil.copy(lab[name].path('home/' + file), lab[other].path('home/' + file))


@pytest.mark.slow
def test_lost_quorum(play):
    """Controller 3 is cut off while the others decide something, which brokers 12 and 13 have seen; then they are lost."""
    lab, gone = play.lab, ('controller1', 'controller2')
    cluster(lab, leads='controller3')
    topic(lab, 'orders', 6, 1)

    def lost():
        lab['controller3'].must('ip link set eth0 down')
        lab['admin'].must('millrace configs --bootstrap-server broker11:9092 --alter --topic orders --add-config retention.ms=86400000')
        lab['admin'].must('until millrace configs --bootstrap-server broker12:9092 --describe --topic orders | grep -q retention.ms=86400000; do sleep 0.1; done')
        for name in gone:
            lab[name].must('echo 1 > /proc/sys/net/ipv4/tcp_orphan_retries')
            ends(lab, name, 'KILL')
            lab[name].must('while ss -Htn dst %s | grep -q .; do sleep 0.1; done' % ADDRESSES['controller3'])  # what the kernel would still deliver
        lab['controller3'].must('ip link set eth0 up')

    def a_broker_restarted():
        ends(lab, 'broker11', 'KILL')
        again(lab, 'broker11')

    def disks_lost():
        for name in gone:
            lab[name].must('rm -rf /var/lib/millrace/metadata')

    def the_same_for_controller2():
        config = '/etc/millrace/controller.properties'
        lab['controller2'].must('millrace storage format -t %s -c %s && tar x -C /var/lib/millrace/metadata < metadata.tar' % (CLUSTER_ID, config))
        directory = lab['controller2'].must('sed -n s/directory.id=//p /var/lib/millrace/metadata/meta.properties').strip()
        lab['controller3'].must('millrace storage admit-voter -c %s --voter 2 --directory %s' % (config, directory))
        again(lab, 'controller2')

    def the_same_for_others():
        for name in ('broker11', 'broker13'):
            lab[name].must('kill $(pidof millrace) 2>/dev/null; while pidof -q millrace; do sleep 0.1; done')
            again(lab, name)
            serves(lab, name)
        for i in BROKERS:
            said = lab['admin'].must('millrace configs --bootstrap-server broker%d:9092 --describe --topic orders' % i)
            assert 'retention.ms' not in said, 'broker %d: %s' % (i, said)
    play.part('Lost quorum', [('controller3$ millrace health', lost), ('admin$ millrace cluster doctor', nothing), ('admin$ millrace cluster doctor', a_broker_restarted),
                              ('controller3$ kill', disks_lost), ('controller1$ tar', lambda: hand_over(lab, 'controller3', 'metadata.tar', *gone)),
                              ('controller3$ millrace server', the_same_for_controller2),
                              ('admin$ millrace topics --bootstrap-server broker11:9092 --describe', the_same_for_others)])


@pytest.mark.slow
def test_a_controller(play):
    lab, disk = play.lab, '/var/lib/millrace/metadata'
    cluster(lab, leads='controller1')
    topic(lab, 'orders', 6)

    def lost():
        ends(lab, 'controller3', 'KILL')
        lab['controller3'].must('rm -rf ' + disk)
    play.part('A controller', [('admin$', lost)])


@pytest.mark.slow
def test_only_disk(play):
    lab = play.lab
    cluster(lab)
    topic(lab, 'orders', 6, 6)

    def lost():
        ends(lab, 'broker12', 'KILL')
        lab['broker12'].must('rm -rf /var/lib/millrace/data')
    play.part('A broker with its only disk, or all of them', [('broker12$', lost)])


@pytest.mark.slow
def test_shrinking(play):
    lab = play.lab
    cluster(lab)
    topic(lab, 'orders', 6, 96)

    def grown():
        start(lab, 'broker14')
        serves(lab, 'broker14')
        move(lab, 'orders', {4: [12, 14, 11], 5: [13, 11, 14]})
        lab['admin'].must('millrace leader-election --bootstrap-server broker11:9092 --election-type preferred --all-topic-partitions')
    play.part('Shrinking', [('admin$ millrace broker drain 14', grown)], until='## A broker of a container')


@pytest.mark.slow
def test_first_day(play):
    lab = play.lab
    names = [n for n in ADDRESSES if n not in ('admin', 'broker14')]
    for name in names:
        configure(lab, name)

    def the_others():
        for name in names:
            file = '/etc/millrace/%s.properties' % re.match('[a-z]+', name).group(0)
            if name not in ('controller1', 'broker11'):
                lab[name].must(with_ids('millrace storage format -t %s -c %s' % (CLUSTER_ID, file), play.ids))
            if name != 'broker11':
                again(lab, name)
    play.part('First day', [('broker11$ millrace server', the_others), ('admin$ millrace cluster list-endpoints', lambda: [serves(lab, n) for n in names])])


@pytest.mark.slow
def test_moves_by_hand(play):
    """With the throttle that a drain leaves behind which is killed."""
    lab = play.lab
    cluster(lab)
    topic(lab, 'orders', 6, 96)
    start(lab, 'broker14')
    serves(lab, 'broker14')
    move(lab, 'orders', {2: [12, 14, 11], 3: [14, 12, 13]})
    with open(lab['admin'].path('home/move.json'), 'w') as f:
        f.write(next(x for x in steps(section(page(), 'Moving partitions by hand')) if x.command == 'cat move.json').shown[0] + '\n')
    play.part('Moving partitions by hand', until='## With the tools of a container')
    move(lab, 'orders', {4: [12, 14, 11], 5: [13, 11, 14]})
    with lab['admin'].begin('millrace broker drain 14 --bootstrap-server broker11:9092 --throttle 2000000') as drain:
        lab['admin'].must('until millrace reassign-partitions --bootstrap-server broker11:9092 --list | grep -q orders-4; do sleep 0.1; done')
        os.killpg(drain.pid, signal.SIGKILL)
    lab['admin'].must('until millrace reassign-partitions --bootstrap-server broker11:9092 --list | grep -q "No partition reassignments"; do sleep 0.1; done')
    play.part('A throttle left behind')


@pytest.mark.slow
def test_leaders(play):
    """Broker 13 has the first hundred records of `once`, broker 12 all of them."""
    lab = play.lab
    send = 'millrace producer-perf-test --bootstrap-server broker11:9092 --topic once --num-records 100 --record-size 100 --throughput -1 --command-property acks=all'
    cluster(lab)
    topic(lab, 'orders', 6)

    def came_back():
        ends(lab, 'broker11')
        again(lab, 'broker11')
        serves(lab, 'broker11')
    play.part('Back to the preferred ones', [('admin$', came_back)])

    def lost():
        lab['admin'].must('millrace topics --bootstrap-server broker11:9092 --create --topic once --replica-assignment 12:13 --config min.insync.replicas=1')
        lab['admin'].must(send)
        ends(lab, 'broker13', 'KILL')
        lab['admin'].must(send)
        ends(lab, 'broker12', 'KILL')
        again(lab, 'broker13')
        serves(lab, 'broker13')

    def came_back_too():
        again(lab, 'broker12')
    play.part('An unclean one, as the last resort', [('admin$', lost), ('broker12$ grep', came_back_too)])
