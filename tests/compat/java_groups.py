"""Kafka's tools of consumer groups against one Millrace node (part of java_tools.py; tests/tools/sessions.sh holds what they print
against what they print for Kafka, case by case)."""
import json
import os
import re
import signal
import subprocess
import time

from node import ROOT, binary

KAFKA = os.path.join(ROOT, 'tests/oracle/kafka')


class Reader:
    """A verifiable-consumer in the background, Kafka's or ours."""

    def __init__(self, words, out):
        self.out = out
        with open(out, 'w') as f:
            self.process = subprocess.Popen(words, stdout=f, stderr=subprocess.DEVNULL, start_new_session=True)

    def events(self, name=None):
        found = []
        for line in open(self.out):
            if line.startswith('{') and line.endswith('}\n'):
                e = json.loads(line)
                found += [e] if name in (None, e['name']) else []
        return found

    def read(self):
        return sum(e['count'] for e in self.events('records_consumed'))

    def owns(self):
        """How many partitions it has now (eager: each event is the whole of it)."""
        e = [e for e in self.events() if e['name'] in ('partitions_assigned', 'partitions_revoked')]
        return len(e[-1]['partitions']) if e and e[-1]['name'] == 'partitions_assigned' else 0

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(60)
        wait_for(lambda: self.events('shutdown_complete'))
        return bool(self.events('shutdown_complete'))


def wait_for(what, seconds=180):
    deadline = time.monotonic() + seconds
    while not what() and time.monotonic() < deadline:
        time.sleep(0.1)
    return what()


def one_group_of_two_clients(n, servers, folder, check, kafka):
    """Java's client and librdkafka in one group: each has partitions, every record is read once, one takes over from the other."""
    kafka('topics', *servers, '--create', '--topic', 'mixed', '--partitions', '6')
    words = [*servers, '--topic', 'mixed', '--group-id', 'mixed']
    java = Reader([KAFKA, 'verifiable-consumer', *words], os.path.join(folder, 'java.events'))
    check('mixed group: Java joins', wait_for(lambda: java.owns() == 6), str(java.events()))
    rdk = Reader([binary(), 'verifiable-consumer', *words], os.path.join(folder, 'rdk.events'))
    check('mixed group: librdkafka joins, three partitions each', wait_for(lambda: (java.owns(), rdk.owns()) == (3, 3)),
          '%s %s' % (java.events()[-3:], rdk.events()[-3:]))
    status, out, err = kafka('consumer-groups', *servers, '--describe', '--group', 'mixed', '--members')
    check('mixed group: --members shows both', status == 0 and out.count('/127.0.0.1') == 2 and len(re.findall(r' 3 +\n', out)) == 2, out + err)
    status, out, err = kafka('verifiable-producer', *servers, '--topic', 'mixed', '--max-messages', '600', '--repeating-keys', '60')
    check('mixed group: every record is read once', wait_for(lambda: java.read() + rdk.read() >= 600) and java.read() + rdk.read() == 600 and
          java.read() > 0 and rdk.read() > 0, '%d %d' % (java.read(), rdk.read()))
    check('mixed group: Java leaves', java.stop(), str(java.events()[-3:]))
    check('mixed group: librdkafka takes over', wait_for(lambda: rdk.owns() == 6), str(rdk.events()[-3:]))
    kafka('verifiable-producer', *servers, '--topic', 'mixed', '--max-messages', '60', '--repeating-keys', '60')
    check('mixed group: and reads on', wait_for(lambda: java.read() + rdk.read() >= 660) and java.read() + rdk.read() == 660,
          '%d %d' % (java.read(), rdk.read()))
    check('mixed group: librdkafka leaves', rdk.stop(), str(rdk.events()[-3:]))
    status, out, err = kafka('consumer-groups', *servers, '--describe', '--group', 'mixed')
    lags = re.findall(r'(?m)^mixed +mixed +\d +(\d+) +(\d+) +(\d+) ', out)
    check('mixed group: all committed, none behind', len(lags) == 6 and all(a == b and c == '0' for a, b, c in lags) and
          sum(int(a) for a, _, _ in lags) == 660, out + err)


def check_groups(n, servers, folder, check, kafka):
    kafka('verifiable-producer', *servers, '--topic', 'grouped', '--max-messages', '300')
    read = ('console-consumer', *servers, '--topic', 'grouped', '--timeout-ms', '20000')
    status, out, err = kafka(*read, '--group', 'g', '--from-beginning', '--max-messages', '200')
    check('console-consumer --group', out.split() == [str(i) for i in range(200)], out[-200:] + err)
    status, out, err = kafka(*read, '--group', 'g', '--max-messages', '100')
    check('console-consumer --group goes on where it was', out.split() == [str(i) for i in range(200, 300)], out[-200:] + err)
    status, out, err = kafka(*read, '--from-beginning', '--max-messages', '300')
    check('console-consumer without a group', out.split() == [str(i) for i in range(300)], out[-200:] + err)
    status, out, err = kafka('console-consumer', *servers, '--include', 'grou.*', '--group', 'inc', '--from-beginning', '--max-messages', '300',
                             '--timeout-ms', '20000')
    check('console-consumer --include', out.split() == [str(i) for i in range(300)], out[-200:] + err)
    status, out, err = kafka('consumer-groups', *servers, '--list')
    check('consumer-groups --list', status == 0 and {'g', 'inc'} <= set(out.split()), out + err)
    status, out, err = kafka('consumer-groups', *servers, '--describe', '--group', 'g')
    check('consumer-groups --describe', re.search(r'(?m)^g +grouped +0 +300 +300 +0 +- +- +-', out) is not None, out + err)
    status, out, err = kafka('consumer-groups', *servers, '--reset-offsets', '--group', 'g', '--topic', 'grouped', '--to-offset', '290', '--execute')
    check('consumer-groups --reset-offsets', re.search(r'(?m)^g +grouped +0 +290', out) is not None, out + err)
    status, out, err = kafka(*read, '--group', 'g', '--max-messages', '10')
    check('console-consumer after it', out.split() == [str(i) for i in range(290, 300)], out[-200:] + err)
    status, out, err = kafka('groups', *servers, '--list', '--consumer')
    check('groups --list', status == 0 and re.search(r'(?m)^g +Classic +consumer', out) is not None, out + err)
    status, out, err = kafka('verifiable-consumer', *servers, '--topic', 'grouped', '--group-id', 'ver', '--max-messages', '300')
    check('verifiable-consumer', '"shutdown_complete"' in out and sum(json.loads(line)['count'] for line in out.splitlines()
                                                                       if '"records_consumed"' in line) == 300, out[-500:] + err)
    status, out, err = kafka('consumer-perf-test', '--bootstrap-server', n.servers, '--topic', 'perf-none', '--num-records', '20000',
                             '--timeout', '20000')
    check('consumer-perf-test', status == 0 and ', 20000, ' in out.splitlines()[-1], out[-500:] + err[-500:])
    one_group_of_two_clients(n, servers, folder, check, kafka)
    status, out, err = kafka('consumer-groups', *servers, '--delete', '--group', 'g', '--group', 'inc')
    check('consumer-groups --delete', 'was successful' in out, out + err)
