"""Kafka's tools through the cases of tests/data/tools/cases.tsv: see sessions.sh."""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '../lib'))
import session  # noqa: E402
from cluster_session import cluster_of  # noqa: E402
from node import Node, free_port  # noqa: E402

KAFKA = os.path.join(session.ROOT, 'tests/oracle/kafka')
TOOLS = 'org.apache.kafka.tools.'
CLASSES = {'topics': TOOLS + 'TopicCommand', 'configs': 'kafka.admin.ConfigCommand', 'get-offsets': TOOLS + 'GetOffsetShell',
           'delete-records': TOOLS + 'DeleteRecordsCommand', 'broker-api-versions': TOOLS + 'BrokerApiVersionsCommand',
           'console-producer': TOOLS + 'ConsoleProducer', 'console-consumer': TOOLS + 'consumer.ConsoleConsumer',
           'storage': 'kafka.tools.StorageTool', 'consumer-groups': TOOLS + 'consumer.group.ConsumerGroupCommand', 'groups': TOOLS + 'GroupsCommand',
           'verifiable-producer': TOOLS + 'VerifiableProducer', 'verifiable-consumer': TOOLS + 'VerifiableConsumer',
           'producer-perf-test': TOOLS + 'ProducerPerformance', 'consumer-perf-test': TOOLS + 'ConsumerPerformance',
           'e2e-latency': TOOLS + 'EndToEndLatency', 'metadata-quorum': TOOLS + 'MetadataQuorumCommand', 'cluster': TOOLS + 'ClusterTool',
           'features': TOOLS + 'FeatureCommand', 'log-dirs': TOOLS + 'LogDirsCommand', 'leader-election': TOOLS + 'LeaderElectionCommand',
           'reassign-partitions': TOOLS + 'reassign.ReassignPartitionsCommand', 'replica-verification': TOOLS + 'ReplicaVerificationTool'}


def alone(c):
    """In a Java process of its own: what says its last words while Java ends, what ends Java when its command line is wrong, and what is stopped."""
    return c.mode == 'report' or c.tool in ('verifiable-producer', 'verifiable-consumer') or (c.tool == 'cluster' and c.mode == 'status')


def store(c, text):
    os.makedirs(os.path.join(session.DATA, 'expect'), exist_ok=True)
    with open(os.path.join(session.DATA, 'expect', c.name), 'w', encoding='utf-8') as f:
        f.write(text)


def store_ours(file, n, folder):
    got = session.run_ours(n, folder, file)
    for c in session.cases(file):
        if c.mode == 'ours':
            store(c, session.shown(c, *got[c.name]))


class Kafka:
    """A node of Kafka's own."""

    def __init__(self, port):
        self.servers, self.port = '127.0.0.1:%d' % port, port

    def __enter__(self):
        subprocess.run([KAFKA, 'wipe', 'sessions'], check=True)
        subprocess.run([KAFKA, 'start', 'sessions', 'listeners=PLAINTEXT://%s,CONTROLLER://127.0.0.1:%d' % (self.servers, self.port + 1),
                        'controller.quorum.voters=1@127.0.0.1:%d' % (self.port + 1), 'num.partitions=1'] + list(session.NODE), check=True)
        return self

    def __exit__(self, *exc):
        subprocess.run([KAFKA, 'wipe', 'sessions'], check=True)


def run_together(cases, n, folder):
    """Cases in one Java process: name to (status, stdout, stderr)."""
    table = os.path.join(folder, 'table')
    with open(table, 'w') as f:
        for c in cases:
            f.write('\t'.join([c.name, CLASSES[c.tool], c.stdin] + c.words(n, folder)) + '\n')
    os.makedirs(os.path.join(folder, 'got'), exist_ok=True)
    subprocess.run([KAFKA, 'java', os.path.join(session.ROOT, 'tests/oracle/RunTools.java'), table, os.path.join(folder, 'got')], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    got = {}
    for c in cases:
        status, out, err = [open(os.path.join(folder, 'got', c.name + end), encoding='utf-8', errors='replace').read()
                            for end in ('.status', '.out', '.err')]
        got[c.name] = int(status), out, err
    return got


def outcomes(file, n, folder):
    """Each case and what Kafka's tool showed."""
    got, together = {}, []

    def flush():
        if together:
            got.update(run_together(together, n, folder))
            together.clear()

    with session.Background(n) as background:
        for c in session.steps(file):
            if c.mode == '-' or alone(c) or '{ID' in c.args:  # it needs what the cases before have done
                flush()
            if c.mode == '-':
                background.step(c, c.words(n, folder), folder)
            elif c.mode == 'report':
                got[c.name] = session.until_report([KAFKA, c.tool] + c.words(n, folder))
            elif alone(c):
                p = subprocess.run([KAFKA, c.tool] + c.words(n, folder), capture_output=True, timeout=120, stdin=subprocess.DEVNULL)
                got[c.name] = p.returncode, p.stdout.decode(errors='replace'), p.stderr.decode(errors='replace')
            elif c.mode != 'ours':
                together.append(c)
        flush()
    for c in session.cases(file):
        if c.mode != 'ours':
            status, out, err = got[c.name]
            yield c, session.shown(c, status, session.masked(out, n, folder), session.masked(err, n, folder))


def main():
    words = sys.argv[1:]
    files = [w for w in words if not w.startswith('--')] or session.FILES + session.CLUSTER_FILES
    passed = failed = 0
    for file in files:
        folder = tempfile.mkdtemp(prefix='sessions-')
        session.prepare(folder)
        if file in session.CLUSTER_FILES:
            target = cluster_of(file, os.path.join(folder, 'cluster'))
        else:
            target = Kafka(free_port()) if '--kafka' in words else Node(folder, session.NODE)
        with target as n:
            if '--ours' in words:
                store_ours(file, n, folder)
                continue
            for c, text in outcomes(file, n, folder):
                if '--store' in words:
                    store(c, text)
                elif '--kafka' in words and c.differs:
                    equal = text == session.expected(c)
                    print('%s: %s: %s' % (c.name, 'does not differ any more, but is told to' if equal else 'differs', c.differs))
                    failed += equal
                    passed += not equal
                    continue
                elif text != session.expected(c):
                    failed += 1
                    print('%s: Kafka\'s tool prints\n%sstored is\n%s' % (c.name, text, session.expected(c)))
                    continue
                passed += 1
        shutil.rmtree(folder)
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed else 0


sys.exit(main())
