"""Kafka's tools through the cases of tests/data/tools/cases.tsv: see sessions.sh."""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '../lib'))
import session  # noqa: E402
from node import Node  # noqa: E402

KAFKA = os.path.join(session.ROOT, 'tests/oracle/kafka')
TOOLS = 'org.apache.kafka.tools.'
CLASSES = {'topics': TOOLS + 'TopicCommand', 'configs': 'kafka.admin.ConfigCommand', 'get-offsets': TOOLS + 'GetOffsetShell',
           'delete-records': TOOLS + 'DeleteRecordsCommand', 'broker-api-versions': TOOLS + 'BrokerApiVersionsCommand',
           'console-producer': TOOLS + 'ConsoleProducer', 'console-consumer': TOOLS + 'consumer.ConsoleConsumer',
           'storage': 'kafka.tools.StorageTool'}


def asked():
    return [c for c in session.cases() if c.mode != 'ours']


def store(c, text):
    os.makedirs(os.path.join(session.DATA, 'expect'), exist_ok=True)
    with open(os.path.join(session.DATA, 'expect', c.name), 'w', encoding='utf-8') as f:
        f.write(text)


def store_ours(n, folder):
    got = session.run_ours(n, folder)
    for c in session.cases():
        if c.mode == 'ours':
            store(c, session.shown(c, *got[c.name]))


def outcomes(n, folder):
    table = os.path.join(folder, 'table')
    with open(table, 'w') as f:
        for c in asked():
            f.write('\t'.join([c.name, CLASSES[c.tool], c.stdin] + c.words(n.servers, folder)) + '\n')
    os.mkdir(os.path.join(folder, 'got'))
    subprocess.run([KAFKA, 'java', os.path.join(session.ROOT, 'tests/oracle/RunTools.java'), table, os.path.join(folder, 'got')], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for c in asked():
        got = [open(os.path.join(folder, 'got', c.name + end), encoding='utf-8', errors='replace').read() for end in ('.status', '.out', '.err')]
        yield c, session.shown(c, int(got[0]), session.masked(got[1], n.servers, folder), session.masked(got[2], n.servers, folder))


def main():
    folder = tempfile.mkdtemp(prefix='sessions-')
    passed = failed = 0
    session.prepare(folder)
    with Node(folder) as n:
        if sys.argv[1:] == ['--ours']:
            store_ours(n, folder)
            return 0
        for c, text in outcomes(n, folder):
            if sys.argv[1:] == ['--store']:
                store(c, text)
            elif text != session.expected(c):
                failed += 1
                print('%s: Kafka\'s tool prints\n%sstored is\n%s' % (c.name, text, session.expected(c)))
                continue
            passed += 1
    shutil.rmtree(folder)
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed else 0


sys.exit(main())
