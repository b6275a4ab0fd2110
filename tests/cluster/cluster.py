"""A cluster of real Millrace processes on loopback, for tests.

    with Cluster(folder, controllers=3, brokers=3) as c:      # nodes 1.. are controllers, 11.. brokers
        c.create_topic('t', 6, 3)
        c.wait_partition('t', 0, leader=12, isr={11, 12, 13})
        c.node(12).kill()

Cluster(folder, combined=3) has nodes 1.. that are both. Every node has a folder of its own with its configuration (node.properties), its data
and its log; directories are formatted with `millrace storage format`. Conditions are asked for with Metadata and DescribeQuorum from whichever node
answers, and waited for with wait(); what was waited for in vain is told with what was there instead. If the test fails, the end of every node's
log is printed and all nodes are killed; else they are stopped in order, brokers first, and each must end with status 0.

Extra settings: `settings` for all nodes, `per_node` {id: {name: value}}. With `links` (proxy.py) all nodes reach each other through proxies that
can be cut; clients always come directly. `disks` {id: MiB} has the nodes whose data are on a small file system of their own (node.disk, small_disk.py)."""
import os
import random
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..'))
sys.path.insert(0, os.path.join(HERE, '../lib'))
from kafkawire import Codec, Connection, WireError  # noqa: E402
from members import wait  # noqa: E402
from node import ROOT, binary, millrace, run  # noqa: E402,F401
from small_disk import SmallDisk  # noqa: E402

CODEC = Codec()
READY = 'is ready.'
START_SECONDS = 60
# Short enough for tests, long enough for a busy machine and a build with sanitizers.
SETTINGS = {'broker.session.timeout.ms': 6000, 'broker.heartbeat.interval.ms': 500, 'replica.lag.time.max.ms': 6000,
            'offsets.topic.num.partitions': 5, 'group.initial.rebalance.delay.ms': 0, 'io.threads': 1, 'min.insync.replicas': 2,
            'default.replication.factor': 3, 'shutdown.timeout.ms': 20000, 'auto.create.topics.enable': 'false'}


def ports(n):
    """n free ports below the range that the system hands out."""
    found, at = [], random.SystemRandom().randrange(20000, 31000)
    while len(found) < n:
        at = at + 1 if at < 32000 else 20000
        try:
            with socket.socket() as s:
                s.bind(('127.0.0.1', at))
            found.append(at)
        except OSError:
            pass
    return found


def ask(port, api, version, value, timeout=5):
    conn = Connection('127.0.0.1', port, CODEC, timeout)
    try:
        return conn.ask(api, version, value, timeout)
    finally:
        conn.close()


class ClusterNode:
    """One process. start() returns when it says that it is ready; launch() does not wait."""

    def __init__(self, cluster, node_id, roles, port, controller_port, settings):
        self.cluster, self.id, self.roles, self.port, self.controller_port = cluster, node_id, roles, port, controller_port
        self.folder = os.path.join(cluster.folder, 'node%d' % node_id)
        self.data, self.log = os.path.join(self.folder, 'data'), os.path.join(self.folder, 'node.log')
        self.properties = os.path.join(self.folder, 'node.properties')
        self.settings, self.process, self.paused, self.mark, self.disk = settings, None, False, 0, None

    def __repr__(self):
        return 'node %d' % self.id

    @property
    def prefix(self):
        return self.disk.prefix if self.disk else []

    def seen(self, path):
        """Where a file of its data is for who looks from outside."""
        return self.disk.seen(path) if self.disk else path

    @property
    def is_broker(self):
        return 'broker' in self.roles

    @property
    def is_controller(self):
        return 'controller' in self.roles

    @property
    def servers(self):
        return '127.0.0.1:%d' % self.port

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def write_properties(self, **more):
        os.makedirs(self.folder, exist_ok=True)
        with open(self.properties, 'w') as f:
            for k, v in {**self.settings, **more}.items():
                f.write('%s=%s\n' % (k, v))

    def format(self, cluster_id=None, *options):
        status, out, err = run(*self.prefix, binary(), 'storage', 'format', '-t', cluster_id or self.cluster.id, '-c', self.properties, *options)
        assert status == 0, out + err

    def launch(self):
        assert not self.running
        self.mark = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        self.process = subprocess.Popen([*self.prefix, binary(), 'server', self.properties], stdout=open(self.log, 'a'), stderr=subprocess.STDOUT)
        self.paused = False

    def text(self, whole=False):
        """Its log since the last start."""
        with open(self.log, errors='replace') as f:
            f.seek(0 if whole else self.mark)
            return f.read()

    def wait_ready(self, seconds=START_SECONDS):
        wait(lambda: READY in self.text() or not self.running, lambda: '%r is not ready:\n%s' % (self, self.text()[-4000:]), seconds)
        assert self.running, '%r did not start:\n%s' % (self, self.text()[-4000:])
        return self

    def start(self):
        self.launch()
        return self.wait_ready()

    def refused(self, seconds=START_SECONDS):
        """Starts it; it must end by itself with a status that is not 0. Returns what its log says."""
        self.launch()
        wait(lambda: not self.running, lambda: '%r was not refused:\n%s' % (self, self.text()[-3000:]), seconds)
        assert self.process.returncode > 0, 'ended by signal or with success: %d\n%s' % (self.process.returncode, self.text())
        return self.text()

    def wait_log(self, text, seconds=30):
        wait(lambda: text in self.text(), lambda: '%r does not say "%s":\n%s' % (self, text, self.text()[-3000:]), seconds)

    def signal(self, sign):
        self.process.send_signal(sign)

    def stop(self, seconds=60):
        """SIGTERM, and it must end with success."""
        self.signal(signal.SIGTERM)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError('%r does not stop:\n%s' % (self, self.text()[-4000:])) from None
        assert status == 0, '%r ended with %d:\n%s' % (self, status, self.text()[-4000:])

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stands(self):
        """All its threads are stopped."""
        tasks = '/proc/%d/task' % self.process.pid
        for t in os.listdir(tasks):
            try:
                with open('%s/%s/stat' % (tasks, t)) as f:
                    if f.read().rpartition(')')[2].split()[0] not in 'Tt':
                        return False
            except FileNotFoundError:
                pass
        return True

    def pause(self):
        """Returns when it stands still: one thread gets the signal and stops the others, which takes a while on a busy machine."""
        self.signal(signal.SIGSTOP)
        self.paused = True
        wait(self.stands, '%r does not stop' % self, 30)

    def resume(self):
        self.signal(signal.SIGCONT)
        self.paused = False

    def restart(self):
        self.stop()
        return self.start()

    def cpu_seconds(self):
        t = open('/proc/%d/stat' % self.process.pid).read().rpartition(')')[2].split()
        return (int(t[11]) + int(t[12])) / os.sysconf('SC_CLK_TCK')


class Cluster:
    def __init__(self, folder, controllers=0, brokers=0, combined=0, settings=None, per_node=None, links=None, factor=3, disks=None):
        self.folder, self.links = str(folder), links
        self.id, self.writers = millrace('storage', 'random-uuid')[1].strip(), []
        plan = [(i + 1, 'broker,controller') for i in range(combined)] + [(i + 1, 'controller') for i in range(controllers)] + \
               [(i + 11, 'broker') for i in range(brokers)]
        free = ports(2 * len(plan))
        self.nodes = []
        internal = min(factor, max(1, brokers + combined))
        own = {**SETTINGS, 'offsets.topic.replication.factor': internal, 'default.replication.factor': internal,
               'min.insync.replicas': max(1, internal - 1), **(settings or {})}
        for n, (node_id, roles) in enumerate(plan):
            self.nodes.append(ClusterNode(self, node_id, roles, free[2 * n], free[2 * n + 1], dict(own)))
        if links:
            links.plan(self.nodes)
        for n in self.nodes:
            n.settings.update(self.role_settings(n))
            n.settings.update((per_node or {}).get(n.id, {}))
            n.write_properties()
        for node_id, mib in (disks or {}).items():
            self.node(node_id).disk = SmallDisk(self.node(node_id).data, mib)

    def voters(self, n):
        """The voters as node n is told them: through its links, or directly."""
        return ','.join('%d@127.0.0.1:%d' % (v.id, self.links.controller_port(n, v) if self.links and n is not v else v.controller_port)
                        for v in self.controllers)

    def role_settings(self, n):
        s = {'process.roles': n.roles, 'node.id': n.id, 'log.dirs': n.data, 'controller.quorum.voters': self.voters(n),
             'controller.listener.names': 'CONTROLLER', 'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT'}
        listeners, advertised = [], []
        if n.is_broker:
            listeners.append('PLAINTEXT://127.0.0.1:%d' % n.port)
            advertised.append(listeners[-1])
            s['inter.broker.listener.name'] = 'PLAINTEXT'
            if self.links:
                listeners.append('INSIDE://127.0.0.1:%d' % self.links.inside[n.id])
                advertised.append('INSIDE://127.0.0.1:%d' % self.links.broker_port(n))
                s['inter.broker.listener.name'] = 'INSIDE'
            s['advertised.listeners'] = ','.join(advertised)
        if n.is_controller:
            listeners.append('CONTROLLER://127.0.0.1:%d' % n.controller_port)
        s['listeners'] = ','.join(listeners)
        return s

    # ---- life

    def node(self, node_id):
        return next(n for n in self.nodes if n.id == node_id)

    @property
    def brokers(self):
        return [n for n in self.nodes if n.is_broker]

    @property
    def controllers(self):
        return [n for n in self.nodes if n.is_controller]

    @property
    def servers(self):
        return ','.join(n.servers for n in self.brokers)

    @property
    def controller_servers(self):
        return ','.join('127.0.0.1:%d' % n.controller_port for n in self.controllers)

    def format(self):
        for n in self.nodes:
            n.format()

    def start(self):
        for n in self.nodes:
            n.launch()
        for n in self.nodes:
            n.wait_ready()
        self.wait_unfenced()
        return self

    def __enter__(self):
        try:
            self.format()
            if self.links:
                self.links.start()
            return self.start()
        except BaseException:
            self.fail()
            raise

    def __exit__(self, *exc):
        if exc[0] is not None:
            self.fail()
            return
        try:
            for n in self.nodes:
                if n.process is not None and not n.running and n.process.returncode not in (0, -signal.SIGKILL):
                    raise AssertionError('%r died (%d):\n%s' % (n, n.process.returncode, n.text()[-4000:]))
            self.stop()
            for n in self.nodes:
                self.clean(n)
        except BaseException:
            self.fail()
            raise
        self.end()

    def end(self):
        if self.links:
            self.links.stop()
        for n in self.nodes:
            if n.disk:
                n.disk.end()

    def clean(self, n):
        """No node may have met a failed assertion or a sanitizer's finding, whatever became of it."""
        if n.process is not None:
            for bad in ('ERROR: AddressSanitizer', 'runtime error:', 'LeakSanitizer', 'assertion failed', 'Assertion'):
                assert bad not in n.text(True), '%r: %s\n%s' % (n, bad, n.text(True)[-6000:])

    def stop(self):
        """Brokers first, together; then controllers."""
        running = [n for n in self.nodes if n.running]
        for n in running:
            if n.paused:
                n.resume()
        for group in ([n for n in running if n.roles == 'broker'], [n for n in running if n.roles != 'broker']):
            for n in group:
                n.signal(signal.SIGTERM)
            for n in group:
                n.stop()

    def fail(self):
        """Kills what runs and prints the logs."""
        for w in self.writers:
            w.wanted = False
        for n in self.nodes:
            if n.running:
                n.kill()
        self.end()
        for n in self.nodes:
            if os.path.exists(n.log):
                print('---- %r (%s), the end of %s' % (n, n.roles, n.log))
                print(n.text(True)[-3500:])

    # ---- questions

    def any(self, api, version, value, nodes=None, bad=lambda r: False):
        """The answer of the first broker that gives one."""
        for n in nodes or self.brokers:
            if not n.running or n.paused:
                continue
            try:
                r = ask(n.port, api, version, value)
                if not bad(r):
                    return r
            except (OSError, WireError):
                continue
        return None

    def metadata(self, topic=None, nodes=None):
        return self.any('Metadata', 12, {'topics': [] if topic is None else [{'topicId': 'A' * 22, 'name': topic}],
                                         'allowAutoTopicCreation': False}, nodes)

    def unfenced(self, n=None):
        """The ids of the brokers that broker n (or any) lists."""
        m = self.metadata(nodes=[n] if n else None)
        return {b['nodeId'] for b in m['brokers']} if m else set()

    def wait_unfenced(self, ids=None, seconds=60):
        """Every running broker knows that exactly these (or all running ones) are unfenced."""
        ids = ids or {n.id for n in self.brokers if n.running and not n.paused}
        for n in self.brokers:
            if n.running and not n.paused:
                wait(lambda n=n: self.unfenced(n) == ids, lambda n=n: '%r knows %s, not %s' % (n, self.unfenced(n), ids), seconds)

    def partition(self, topic, p, nodes=None):
        m = self.metadata(topic, nodes)
        if not m or not m['topics'] or m['topics'][0]['errorCode']:
            return None
        return next((x for x in m['topics'][0]['partitions'] if x['partitionIndex'] == p), None)

    def partitions(self, topic, nodes=None):
        m = self.metadata(topic, nodes)
        return {x['partitionIndex']: x for x in m['topics'][0]['partitions']} if m and m['topics'] else {}

    def leader(self, topic, p):
        """The node that leads, or None."""
        x = self.partition(topic, p)
        return self.node(x['leaderId']) if x and x['leaderId'] >= 0 else None

    def wait_partition(self, topic, p, leader=None, isr=None, not_leader=None, seconds=60, nodes=None):
        def holds():
            x = self.partition(topic, p, nodes)
            return bool(x) and (x['leaderId'] == leader if leader is not None else x['leaderId'] >= 0) and \
                (isr is None or set(x['isrNodes']) == set(isr)) and (not_leader is None or x['leaderId'] != not_leader)
        wait(holds, lambda: '%s-%d: wanted leader %s (not %s) isr %s, is %s' % (topic, p, leader, not_leader, isr, self.partition(topic, p, nodes)), seconds)
        return self.partition(topic, p, nodes)

    def wait_in_sync(self, topic, seconds=60):
        """Every running broker knows that each partition has a leader, and all its replicas in the ISR."""
        late = {}

        def in_sync(n):
            seen = self.partitions(topic, [n])
            late.clear()
            late.update({p: x for p, x in seen.items() if x['leaderId'] < 0 or set(x['isrNodes']) != set(x['replicaNodes'])})
            return seen and not late
        for n in self.brokers:
            if n.running and not n.paused:
                wait(lambda n=n: in_sync(n), lambda n=n: '%s is not in sync, says %r: %s' % (topic, n, late), seconds)

    def quorum(self):
        """DescribeQuorum of the metadata log, by way of any broker; None if nobody knows."""
        r = self.any('DescribeQuorum', 2, {'topics': [{'topicName': '__cluster_metadata', 'partitions': [{'partitionIndex': 0}]}]},
                     bad=lambda r: r['errorCode'] or r['topics'][0]['partitions'][0]['errorCode'])
        return r['topics'][0]['partitions'][0] if r else None

    def active(self):
        """The controller that leads the quorum, or None."""
        q = self.quorum()
        return self.node(q['leaderId']) if q and q['leaderId'] >= 0 else None

    def wait_active(self, other_than=None, seconds=60):
        found = []

        def holds():
            found[:] = [self.active()]
            return found[0] is not None and found[0] is not other_than
        wait(holds, lambda: 'no active controller: %s' % self.quorum(), seconds)
        return found[0]

    def wait_quorum(self):
        """quorum(), as soon as there is an answer."""
        found = []

        def told():
            found[:] = [self.quorum()]
            return found[0]
        wait(told, 'nobody describes the quorum')
        return found[0]

    def wait_voters(self, seconds=60):
        """Every voter has what the leader has committed."""
        seen = []

        def equal():
            q = self.wait_quorum()
            seen[:] = [v['logEndOffset'] for v in q['currentVoters']] + [q['highWatermark']]
            return len(set(seen)) == 1 and -1 not in seen
        wait(equal, lambda: 'voters stand at %s' % seen, seconds)

    def coordinator(self, group):
        """The node of a group's coordinator."""
        found = []

        def known():
            r = self.any('FindCoordinator', 4, {'keyType': 0, 'coordinatorKeys': [group]})
            found[:] = [n for n in self.brokers if n.running and r and (r['coordinators'][0]['errorCode'], r['coordinators'][0]['nodeId']) == (0, n.id)]
            return found
        wait(known, 'no coordinator')
        return found[0]

    def committed(self, group):
        """{(topic, partition): offset} as the group's coordinator tells, None if it does not."""
        r = self.any('OffsetFetch', 8, {'groups': [{'groupId': group, 'topics': None}], 'requireStable': False}, [self.coordinator(group)])
        if r is None or r['groups'][0]['errorCode']:
            return None
        return {(t['name'], p['partitionIndex']): p['committedOffset'] for t in r['groups'][0]['topics'] for p in t['partitions']}

    # ---- commands

    def create_topic(self, name, partitions, factor, configs=(), assignments=None):
        """assignments: [[replica, ...], ...] instead of the controller's placement. Waits until every broker knows of it."""
        value = {'topics': [{'name': name, 'numPartitions': -1 if assignments else partitions, 'replicationFactor': -1 if assignments else factor,
                             'assignments': [{'partitionIndex': i, 'brokerIds': a} for i, a in enumerate(assignments or [])],
                             'configs': [{'name': k, 'value': str(v)} for k, v in dict(configs).items()]}], 'timeoutMs': 10000}
        answers = []

        def made():
            r = self.any('CreateTopics', 7, value)
            answers[:] = [r]
            return r is not None and r['topics'][0]['errorCode'] in (0, 36)
        wait(made, lambda: 'topic %s: %s' % (name, answers), 30)
        for n in self.brokers:
            if n.running and not n.paused:
                wait(lambda n=n: self.partition(name, partitions - 1, [n]), '%r does not know %s' % (n, name), 30)

    def tool(self, *args, **kw):
        """Our own tool against the brokers: its output. It must succeed."""
        status, out, err = millrace(*args, '--bootstrap-server', self.servers, **kw)
        assert status == 0, '%s: %d\n%s%s' % (' '.join(args), status, out, err)
        return out
