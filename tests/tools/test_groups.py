"""The group tools where a session of single commands does not reach: members that live and die, --explain, signals, a coordinator that
is not there."""
import json
import os
import re
import signal
import subprocess
import time

import pytest
from node import Node, binary, free_port, millrace


@pytest.fixture(scope='module')
def node(tmp_path_factory):
    with Node(tmp_path_factory.mktemp('node'), ['group.initial.rebalance.delay.ms=0', 'group.min.session.timeout.ms=1000']) as n:
        yield n


def tool(node, name, *args, **kw):
    return millrace(name, '--bootstrap-server', node.servers, *args, **kw)


def wait_for(what, seconds=60):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Background:
    """A tool that goes on; its lines so far."""

    def __init__(self, node, folder, *words):
        self.out = os.path.join(str(folder), 'out-%d' % time.monotonic_ns())
        with open(self.out, 'w') as f:
            self.process = subprocess.Popen([binary(), words[0], '--bootstrap-server', node.servers, *words[1:]], stdout=f,
                                            stderr=open(self.out + '.err', 'w'))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()

    def events(self, name):
        return [e for e in map(json.loads, open(self.out).read().splitlines()) if e['name'] == name]

    def end(self, sig):
        self.process.send_signal(sig)
        assert self.process.wait(60) == 0, open(self.out + '.err').read()


def test_explain_tells_who_came_who_died_and_who_is_waited_for(node, tmp_path):
    tool(node, 'topics', '--create', '--topic', 'why', '--partitions', '2')
    words = ('verifiable-consumer', '--topic', 'why', '--group-id', 'why', '--session-timeout', '8000')
    with Background(node, tmp_path, *words) as one:
        wait_for(lambda: one.events('partitions_assigned'))
        with Background(node, tmp_path, *words) as two:
            wait_for(lambda: two.events('partitions_assigned'))
            wait_for(lambda: tool(node, 'consumer-groups', '--explain', 'why')[1].startswith("Group 'why' is Stable, with 2 members.\n"))
            status, out, err = tool(node, 'consumer-groups', '--explain', 'why')
            assert status == 0, out + err
            lines = out.splitlines()[1:]
            assert len(lines) >= 4 and all(re.match(r'20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}  \w', line) for line in lines), out
            assert any(' joined' in line for line in lines) and 'stable' in lines[-1], out
            two.process.kill()
            wait_for(lambda: ' 1 member.\n' in tool(node, 'consumer-groups', '--explain', 'why')[1])
        wait_for(lambda: "is Stable" in tool(node, 'consumer-groups', '--explain', 'why')[1])
        assert re.search(r'session|heard|timed out|expired', tool(node, 'consumer-groups', '--explain', 'why')[1])
        one.end(signal.SIGTERM)
    assert tool(node, 'consumer-groups', '--explain', 'why')[1].startswith("Group 'why' is Empty, with 0 members.\n")


def test_explain_times_are_local(node):
    out = [tool(node, 'consumer-groups', '--explain', 'why', env=dict(os.environ, TZ=tz))[1].splitlines()[1] for tz in ('UTC', 'XYZ-5')]
    hours = [int(line[11:13]) for line in out]
    assert (hours[1] - hours[0]) % 24 == 5, out


def test_a_group_that_is_not_there(node):
    for args in (('--explain', 'nobody'), ('--describe', '--group', 'nobody')):
        status, out, err = tool(node, 'consumer-groups', *args)
        assert (status, err) == (1, '') and out.startswith('\nError: ') and out.count('\n') == 2 and out.count('nobody') == 1
        assert out.endswith('Group nobody not found.\n')


RESET = ('--reset-offsets', '--group', 'mistakes', '--dry-run')


@pytest.mark.parametrize('args, sentence', [
    (RESET + ('--topic', 'nowhere', '--to-earliest'), 'The topic "nowhere" does not exist'),
    (RESET + ('--topic', 'mistakes:7', '--to-earliest'), 'The partitions "mistakes-7" do not exist'),
    (RESET + ('--topic', 'mistakes', '--to-datetime', '2026-11-28'), 'Unparseable date: "2026-11-28"; it is written YYYY-MM-DDTHH:mm:ss.sss'),
    (RESET + ('--topic', 'mistakes', '--by-duration', '1h'), 'cannot be parsed to a Duration: "1h"; it is written PnDTnHnMnS'),
    (RESET + ('--topic', 'mistakes', '--shift-by', '1'), 'partition mistakes-0 since there is no current committed offset'),
    (RESET + ('--topic', 'mistakes', '--shift-by', 'back'), "Option shift-by is 'back'; it takes a whole number (see "),
    (RESET + ('--topic', 'mistakes'), 'requires one of --to-offset'),
    (RESET + ('--to-earliest',), 'One of the reset scopes should be defined: --all-topics, --topic'),
    (RESET + ('--topic', 'mistakes', '--from-file', '/none/there.csv'), 'Unable to read file /none/there.csv: No such file'),
    (('--reset-offsets', '--topic', 'mistakes', '--to-earliest', '--dry-run'), 'Give the groups: --group or --all-groups'),
    (('--delete', '--group', 'mistakes', '--topic', 'mistakes'), 'Option topic does not go with this action'),
    (('--list', '--state', 'sleepy'), "Invalid state list 'sleepy'. Valid states are: PreparingRebalance, "),
    (('--list', '--type', 'planet'), "Invalid type list 'planet'. Valid types are: Consumer, Classic"),
    (('--describe',), 'Give the groups'),
    ((), 'exactly one action: --list'),
])
def test_a_mistake_is_told_in_one_sentence(node, args, sentence):
    tool(node, 'topics', '--create', '--if-not-exists', '--topic', 'mistakes', '--partitions', '2')
    status, out, err = tool(node, 'consumer-groups', *args)
    assert status == 1 and sentence in out + err and len((out + err).strip().splitlines()) == 1, out + err


def test_a_server_that_is_not_there():
    for servers, why in (('localhost:%d' % free_port(), 'could not be established: Connection refused'), ('localhost', 'host:port is wanted')):
        status, out, err = millrace('consumer-groups', '--bootstrap-server', servers, '--list', '--timeout', '2000')
        assert status == 1 and why in out + err and len((out + err).strip().splitlines()) == 1, out + err


def test_the_console_says_once_and_plainly_that_there_is_no_server():
    servers = 'localhost:%d' % free_port()
    status, out, err = millrace('console-consumer', '--bootstrap-server', servers, '--topic', 'x', '--group', 'g', '--timeout-ms', '700')
    lines = [line for line in err.splitlines() if 'Connection refused' in line]
    assert status == 1 and 'Cannot read x: Local: Broker transport failure\n' in err, err
    assert len(lines) == 1 and lines[0].startswith('ERROR ') and servers in lines[0] and '%' not in err and 'thrd' not in err, err


def test_lines_of_a_file_are_counted_as_an_editor_does(node, tmp_path):
    """Empty lines, which --export itself writes last, are no lines of offsets, whichever way they end; but they are counted."""
    tool(node, 'topics', '--create', '--if-not-exists', '--topic', 'mistakes', '--partitions', '2')
    file = tmp_path / 'offsets.csv'
    words = ('consumer-groups', '--reset-offsets', '--group', 'mistakes', '--dry-run', '--from-file', str(file))
    file.write_bytes(b'\r\nmistakes,0,0\r\n\r\n\nmistakes,1,0\r\n\r\n')
    status, out, err = tool(node, *words)
    assert (status, err) == (0, '') and re.findall(r'(?m)^mistakes +mistakes +(\d) +0$', out) == ['0', '1'], out + err
    file.write_text('mistakes,0,0\n\n\nmistakes,one,0\n')
    status, out, err = tool(node, *words)
    assert status == 1 and 'line 4 of %s is not of the form topic,partition,offset' % file in out, out + err


def test_delete_offsets_of_very_many_topics_that_are_not_there(node):
    words = [w for i in range(200) for w in ('--topic', 'none-%d' % i)]
    tool(node, 'topics', '--create', '--if-not-exists', '--topic', 'mistakes', '--partitions', '2')
    tool(node, 'consumer-groups', '--reset-offsets', '--group', 'many', '--topic', 'mistakes', '--to-earliest', '--execute')
    status, out, err = tool(node, 'consumer-groups', '--delete-offsets', '--group', 'many', *words)
    assert (status, err) == (1, '') and len(re.findall(r'(?m)^none-\d+ +- +Error: .*UnknownTopicOrPartitionException', out)) == 200, out + err


def test_a_member_waits_for_a_topic_that_comes_later(node, tmp_path):
    with Background(node, tmp_path, 'console-consumer', '--topic', 'later', '--group', 'early', '--from-beginning') as console:
        wait_for(lambda: 'Subscribed topic not available: later' in open(console.out + '.err').read())
        tool(node, 'topics', '--create', '--if-not-exists', '--topic', 'later')
        assert tool(node, 'console-producer', '--topic', 'later', input=b'here it is\n')[0] == 0
        wait_for(lambda: open(console.out).read() == 'here it is\n')
        console.end(signal.SIGINT)


def test_without_a_group_it_waits_for_a_topic_too(node, tmp_path):
    with Background(node, tmp_path, 'console-consumer', '--topic', 'later2') as console:
        wait_for(lambda: 'WARN later2: Broker: Unknown topic or partition; waiting for it' in open(console.out + '.err').read())
        assert tool(node, 'console-producer', '--topic', 'later2', input=b'here it is\n')[0] == 0  # which makes it
        wait_for(lambda: open(console.out).read() == 'here it is\n')
        console.end(signal.SIGINT)


@pytest.mark.parametrize('sig', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_in_good_order(node, tmp_path, sig):
    with Background(node, tmp_path, 'verifiable-producer', '--topic', 'sig', '--throughput', '200') as p, \
            Background(node, tmp_path, 'verifiable-consumer', '--topic', 'sig', '--group-id', 'sig') as c, \
            Background(node, tmp_path, 'console-consumer', '--topic', 'sig', '--group', 'sig2', '--from-beginning') as console:
        wait_for(lambda: c.events('records_consumed') and console.process.poll() is None and open(console.out).read().count('\n') > 3)
        p.end(sig)
        end = p.events('tool_data')
        assert len(end) == 1 and end[0]['sent'] == end[0]['acked'] == len(p.events('producer_send_success'))
        total = int(tool(node, 'get-offsets', '--topic', 'sig')[1].split(':')[2])
        wait_for(lambda: sum(e['count'] for e in c.events('records_consumed')) >= end[0]['sent'])
        c.end(sig)
        console.end(sig)
        names = [json.loads(line)['name'] for line in open(c.out)]
        assert names[-3:] == ['shutdown_requested', 'partitions_revoked', 'shutdown_complete']
        assert 'Processed a total of' in open(console.out + '.err').read()
    out = tool(node, 'consumer-groups', '--describe', '--group', 'sig')[1]
    assert re.search(r'(?m)^sig +sig +0 +%d +%d +0 ' % (total, total), out), out
    read = len(open(console.out).read().splitlines())
    committed = int(re.search(r'(?m)^sig2 +sig +0 +(\d+) ', tool(node, 'consumer-groups', '--describe', '--group', 'sig2')[1]).group(1))
    tool(node, 'consumer-groups', '--delete', '--group', 'sig', '--group', 'sig2')
    tool(node, 'topics', '--delete', '--topic', 'sig')
    assert committed == read


def test_cooperative_members_share(node, tmp_path):
    tool(node, 'topics', '--create', '--topic', 'coop', '--partitions', '4')
    words = ('verifiable-consumer', '--topic', 'coop', '--group-id', 'coop', '--assignment-strategy', 'CooperativeStickyAssignor')

    def owned(reader):
        have = set()
        for line in open(reader.out):
            e = json.loads(line)
            parts = {p['partition'] for p in e.get('partitions', []) if 'minOffset' not in p}
            have = have | parts if e['name'] == 'partitions_assigned' else have - parts if e['name'] == 'partitions_revoked' else have
        return have

    with Background(node, tmp_path, *words) as one:
        wait_for(lambda: owned(one) == {0, 1, 2, 3})
        with Background(node, tmp_path, *words) as two:
            wait_for(lambda: len(owned(one)) == 2 and len(owned(two)) == 2 and owned(one) | owned(two) == {0, 1, 2, 3})
            revoked = one.events('partitions_revoked')
            assert sum(len(e['partitions']) for e in revoked) == 2  # it kept the others all the time
            out = tool(node, 'consumer-groups', '--describe', '--group', 'coop', '--members', '--verbose')[1]
            assert len(re.findall(r'coop:\d,\d ', out)) == 2, out


def test_console_consumer_follows_new_partitions(node, tmp_path):
    tool(node, 'topics', '--create', '--topic', 'grows', '--partitions', '1')
    with Background(node, tmp_path, 'console-consumer', '--topic', 'grows', '--from-beginning') as c:
        tool(node, 'console-producer', '--topic', 'grows', input=b'first\n')
        wait_for(lambda: open(c.out).read() == 'first\n')
        tool(node, 'topics', '--alter', '--topic', 'grows', '--partitions', '8')
        lines = ''.join('%d\tnew\n' % i for i in range(40)).encode()
        tool(node, 'console-producer', '--topic', 'grows', '--reader-property', 'parse.key=true', input=lines)
        wait_for(lambda: open(c.out).read().count('new') == 40)
    assert 'console-consumer' not in tool(node, 'consumer-groups', '--list')[1]  # it left no trace


def test_console_consumer_include_without_a_group(node):
    for topic in ('inc-a', 'inc-b', 'other'):
        tool(node, 'console-producer', '--topic', topic, input=(topic + '\n').encode())
    status, out, err = tool(node, 'console-consumer', '--include', 'inc-.*', '--from-beginning', '--max-messages', '2', '--timeout-ms', '20000')
    assert status == 0 and sorted(out.split()) == ['inc-a', 'inc-b'], err


def test_no_coordinator_is_one_sentence_in_time(tmp_path):
    """A broker whose __consumer_offsets cannot be made: three replicas on one node."""
    with Node(tmp_path, ['offsets.topic.replication.factor=3', 'io.threads=1'], port=free_port()) as n:
        start = time.monotonic()
        status, out, err = tool(n, 'consumer-groups', '--describe', '--group', 'g', '--timeout', '1500')
        assert status == 1 and len((out + err).strip().splitlines()) == 1 and 'The coordinator of group' in out, out + err
        assert time.monotonic() - start < 20
        assert tool(n, 'consumer-groups', '--list')[:2] == (0, '')
        said = re.findall(r'WARN +group: groups wait: .*offsets.topic.replication.factor says live_brokers=1 wanted=3\n', open(n.log).read())
        assert len(said) == 1  # however often it was asked
