"""reassign-partitions beyond what Kafka's tool does (that is in moves.tsv): waiting, progress, interrupts, throttles left behind, and what bad
input is told."""
import json
import os
import shlex
import signal
import subprocess

import pytest
from cluster_session import ClusterTarget
from members import wait
from node import binary, millrace, run
from terminal import WIPED, Tool

RECORD = b'x' * 100000 + b'\n'


@pytest.fixture(scope='module')
def target(tmp_path_factory):
    with ClusterTarget(tmp_path_factory.mktemp('moves'), dirs=2, racks={1: 'one'}) as t:
        for name, assignment in (('m', '1:2'), ('n', '1:2,2:1')):
            assert millrace('topics', '--bootstrap-server', t.servers, '--create', '--topic', name, '--replica-assignment', assignment)[0] == 0
            t.cluster.wait_in_sync(name)
        assert run('kcat', '-P', '-b', t.servers, '-t', 'm', '-p', '0', input=RECORD * 200)[0] == 0
        yield t
        assert listed(t) == ([], [], [])


def tool(t, *words):
    return millrace('reassign-partitions', '--bootstrap-server', t.servers, *map(str, words))


def listed(t):
    """Partitions that move, brokers and topics with a throttle."""
    status, out, err = tool(t, '--list', '--json')
    assert (status, err) == (0, '')
    v = json.loads(out)
    return ['%s-%d' % (i['topic'], i['partition']) for i in v['items']], v['throttledBrokers'], v['throttledTopics']


def plan(folder, *parts):
    path = folder / 'move.json'
    path.write_text(json.dumps({'version': 1, 'partitions': [{'topic': t, 'partition': p, 'replicas': r} for t, p, r in parts]}))
    return path


def replicas(t, topic):
    status, out, _ = millrace('topics', '--bootstrap-server', t.servers, '--describe', '--topic', topic, '--json')
    assert status == 0
    return [p['replicas'] for p in json.loads(out)['items'][0]['partitions']]


def waiting(t, *words, terminal):
    """The tool with --wait, its standard error on a terminal or in a pipe."""
    return Tool(('reassign-partitions', '--bootstrap-server', t.servers, '--wait', *words), terminal)


def test_it_waits_in_a_pipe_without_a_word_and_takes_the_throttle_off(target, tmp_path):
    file = plan(tmp_path, ('m', 0, [3, 1]), ('n', 0, [3, 2]))
    with waiting(target, '--execute', '--throttle', 10000000, '--reassignment-json-file', file, terminal=False) as w:
        status, out = w.end()
    assert (status, w.text) == (0, ''), out
    assert out.endswith('Successfully started partition reassignments for m-0,n-0\n'
                        'Status of partition reassignment:\nReassignment of partition m-0 is completed.\nReassignment of partition n-0 is completed.\n\n'
                        'Clearing broker-level throttles on brokers 1,2,3\nClearing topic-level throttles on topics m,n\n')
    assert replicas(target, 'm') == [[3, 1]] and replicas(target, 'n') == [[3, 2], [2, 1]]
    assert listed(target) == ([], [], [])


def test_progress_on_a_terminal(target, tmp_path):
    file = plan(tmp_path, ('m', 0, [2, 1]))
    with waiting(target, '--execute', '--throttle', 100000, '--reassignment-json-file', file, terminal=True) as w:
        w.until(r'1 of 1 partitions left, \d+(\.\d)? [KM]?i?B of 19\.1 MiB, \d+(\.\d)? [KM]?i?B/s, at least 3 min left')  # 200 s, from the first word on
        w.until(r'1 of 1 partitions left, [1-9]\d*(\.\d)? [KM]?i?B of 19\.1 MiB, [1-9]\d*(\.\d)? [KM]?i?B/s, (at least )?[1-9]\d* (s|min) left')
        moving, brokers, topics = listed(target)
        assert (moving, brokers, topics) == (['m-0'], [1, 2, 3], ['m'])
        status, out, _ = tool(target, '--execute', '--additional', '--throttle', 100000000, '--reassignment-json-file', file)
        assert status == 0 and 'set to 100000000 B/s' in out
        status, out = w.end()
    assert status == 0 and 'm-0 is completed' in out
    assert w.text.endswith(WIPED)


@pytest.mark.parametrize('sign', (signal.SIGINT, signal.SIGTERM))
def test_an_interrupted_tool_says_that_the_move_goes_on(target, tmp_path, sign):
    file, config = plan(tmp_path, ('m', 0, [3, 1])), tmp_path / 'client.properties'
    config.write_text('request.timeout.ms=20000\n')
    before = replicas(target, 'm')
    with waiting(target, '--execute', '--throttle', 1000, '--command-config', config, '--reassignment-json-file', file, terminal=False) as w:
        wait(lambda: listed(target) == (['m-0'], [1, 2, 3], ['m']), 'it does not move', 20)
        w.process.send_signal(sign)
        status, out = w.end()
    assert status == 130 and 'Successfully started' in out
    assert 'The move itself goes on: 1 partitions' in w.text
    see, stop = [line.strip() for line in w.text.splitlines() if line.startswith('    millrace ')]
    assert listed(target)[0] == ['m-0'] and all(' --command-config %s ' % config in line for line in (see, stop))
    status, out, _ = millrace(*shlex.split(see)[1:])
    assert status == 0 and 'm-0 is still in progress' in out
    status, out, _ = millrace(*shlex.split(stop)[1:])
    assert status == 0 and out.startswith('Successfully cancelled partition reassignment for: m-0\n')
    assert sorted(replicas(target, 'm')[0]) == sorted(before[0])  # in which order depends on the target, as in Kafka


def test_a_move_that_somebody_else_cancels(target, tmp_path):
    file = plan(tmp_path, ('m', 0, [3, 1]))
    with waiting(target, '--execute', '--throttle', 1000, '--reassignment-json-file', file, terminal=False) as w:
        wait(lambda: listed(target)[0] == ['m-0'], 'it does not move', 20)
        assert tool(target, '--cancel', '--preserve-throttles', '--reassignment-json-file', file)[0] == 0
        status, out = w.end()
    assert status == 1 and 'There is no active reassignment of partition m-0, but replica set is ' in out
    assert listed(target) == ([], [], [])


def test_throttles_that_are_left_behind_are_told(target, tmp_path):
    file = plan(tmp_path, ('n', 1, [3, 1]))
    assert tool(target, '--execute', '--throttle', 100000, '--reassignment-json-file', file)[0] == 0
    wait(lambda: not listed(target)[0], 'it moves on', 30)
    brokers = listed(target)[1]
    assert brokers == [1, 2, 3] and listed(target)[2] == ['n']
    status, out, err = tool(target, '--list')
    assert (status, out) == (0, 'No partition reassignments found.\n') and 'throttles are set: on brokers 1, 2, 3; on topics n.' in err
    status, _, err = tool(target, '--verify', '--preserve-throttles', '--reassignment-json-file', file)
    assert status == 0 and 'throttles are set' in err
    status, _, err = tool(target, '--verify', '--reassignment-json-file', file)
    assert (status, err) == (0, '') and listed(target) == ([], [], [])
    assert tool(target, '--list')[2] == ''


def test_files_come_by_standard_input(target):
    """For a tool in a container, which sees no file of this machine."""
    move = json.dumps({'partitions': [{'topic': 'n', 'partition': 1, 'replicas': [2, 1]}]}).encode()
    words = [binary(), 'reassign-partitions', '--bootstrap-server', target.servers]
    for name in ('-', '/dev/stdin'):
        status, out, err = run(*words, '--execute', '--wait', '--reassignment-json-file', name, input=move)
        assert (status, err) == (0, '') and out.endswith('Clearing topic-level throttles on topic n\n'), out
        status, out, err = run(*words, '--verify', '--reassignment-json-file', name, input=move)
        assert (status, err) == (0, '') and 'Reassignment of partition n-1 is completed.' in out
        status, out, err = run(*words, '--generate', '--broker-list', '2,3', '--topics-to-move-json-file', name, input=b'{"topics":[{"topic":"n"}]}')
        assert (status, err) == (0, '') and len(json.loads(out.splitlines()[-1])['partitions']) == 2
        status, out, err = run(binary(), 'leader-election', '--bootstrap-server', target.servers, '--election-type', 'preferred', '--path-to-json-file', name,
                               input=b'{"partitions":[{"topic":"n","partition":1}]}')
        assert (status, err) == (0, '') and 'n-1' in out
    status, out, _ = run(*words, '--execute', '--reassignment-json-file', '-', input=b'')
    assert status == 1 and out.startswith('Error: '), out


@pytest.mark.parametrize('text,said', (
    ('{"version":1,\n "partitions":[\n  {"topic":"m","partition":0,"replicas":[1,2]\n', "Not valid JSON: it ends too early (line 3): '}' expected\n"),
    ('{"version":1,\n "partitions":[\n  {"topic":"m",,', 'Not valid JSON: line 3, column 16: '),
    ('{"version":1,"partitions":[{"topic":"m","partition":0,"replicas":[1,2]}]} more', 'line 1, column 7'),
    ('{"version":1,"partitions":[{"topic":"m","partition":-1,"replicas":[1,2]}]}', 'partitions[0].partition'),
    ('{"version":1,"partitions":[{"topic":"m","partition":0,"replicas":[1,2]},{"topic":"n","partition":0,"replicas":[1,"2"]}]}',
     'partitions[1].replicas'),
    ('{"version":1,"partitions":{"topic":"m"}}', 'partitions is not a list'),
    ('{"version":1,"partitions":[{"topic":"m","partition":0,"replicas":[1,9]}]}', 'Unknown broker id 9\nIt is named for m-0. Brokers that are up: 1, 2, 3.'),
    ('{"version":1,"partitions":[{"topic":"nowhere","partition":0,"replicas":[1]}]}',
     'Topic nowhere not found.\n`millrace topics --list` shows the topics that are there.\n'),
    ('{"version":1,"partitions":[{"topic":"m","partition":1,"replicas":[1]}]}', 'Unable to find partition: m-1\nm has partition 0 only.\n'),
    ('{"version":1,"partitions":[{"topic":"n","partition":7,"replicas":[1]},{"topic":"n","partition":0,"replicas":[1]},'
     '{"topic":"m","partition":3,"replicas":[1]}]}', 'Unable to find partition: m-3, n-7\nm has partition 0 only. n has partitions 0 to 1.\n'),
    ('{"version":1,"partitions":[{"topic":"m","partition":0,"replicas":[1,2],"log_dirs":["any","/away"]}]}', 'Broker 2 has no log directory /away'),
    ('{"version":1,"partitions":[{"topic":"m","partition":0,"replicas":[1,2]},{"topic":"m","partition":0,"replicas":[2,1]}]}', 'duplicate')))
def test_bad_input_changes_nothing_and_says_why(target, tmp_path, text, said):
    file, before = tmp_path / 'bad.json', replicas(target, 'm')
    file.write_text(text)
    status, out, _ = tool(target, '--execute', '--throttle', 1000, '--reassignment-json-file', file)
    assert status == 1 and said in out, out
    assert listed(target) == ([], [], []) and replicas(target, 'm') == before


@pytest.mark.parametrize('where,why', (('>/dev/full', 'No space left on device'), ('>&-', 'Bad file descriptor')))
def test_nothing_begins_when_the_way_back_cannot_be_printed(target, tmp_path, where, why):
    file, before = plan(tmp_path, ('m', 0, [3, 1])), replicas(target, 'm')
    words = ('reassign-partitions', '--bootstrap-server', target.servers, '--execute', '--throttle', '1000', '--reassignment-json-file', str(file))
    status, _, err = run('sh', '-c', f'exec "$0" "$@" {where}', binary(), *words)
    assert status == 1 and err.splitlines() == ['Nothing was begun: the way back, which is printed first, would be lost.',
                                                f'millrace reassign-partitions: cannot write the output: {why}']
    assert listed(target) == ([], [], []) and replicas(target, 'm') == before


@pytest.fixture
def throttled(target, tmp_path):
    """A move that is done, n-1 as it is, with its throttle left behind."""
    file = tmp_path / 'there.json'
    there = replicas(target, 'n')[1]
    file.write_text(json.dumps({'partitions': [{'topic': 'n', 'partition': 1, 'replicas': there}]}))
    assert tool(target, '--execute', '--throttle', '100000', '--reassignment-json-file', file)[0] == 0
    wait(lambda: listed(target) == ([], sorted(there), ['n']), lambda: listed(target), 30)
    yield target
    assert listed(target) == ([], sorted(there), ['n'])  # as it was
    assert tool(target, '--verify', '--reassignment-json-file', file)[0] == 0 and listed(target) == ([], [], [])


@pytest.mark.parametrize('part,said', (
    (('n', 1, [1, 9]), 'Error: Unknown broker id 9\nIt is named for n-1. Brokers of the cluster: 1, 2, 3. Nothing was changed.\n'),
    (('n', 1, [1, 1]), 'Error: Partition replica lists may not contain duplicate entries: n-1 contains multiple entries for 1\n'),
    (('nowhere', 0, [1]), 'Topic nowhere not found.\n`millrace topics --list` shows the topics that are there. Nothing was changed.\n')))
def test_what_is_not_there_is_refused_before_a_throttle_is_taken_off(throttled, tmp_path, part, said):
    file = plan(tmp_path, ('n', 0, [1, 2]), part)
    for words in (('--verify',), ('--verify', '--json'), ('--verify', '--wait'), ('--cancel',)):
        status, out, err = tool(throttled, *words, '--reassignment-json-file', file)
        assert (status, err) == (1, '') and out.endswith(said) and 'Clearing' not in out, out
        assert out.startswith('Status of partition' if words == ('--verify',) and 'duplicate' not in said else 'Error: '), out
        assert listed(throttled)[2] == ['n']
    if 'duplicate' not in said:  # as Kafka's tool, which looks for nothing then
        status, out, err = tool(throttled, '--cancel', '--preserve-throttles', '--reassignment-json-file', file)
        assert (status, out) == (0, 'None of the specified partition reassignments are active.\nNone of the specified partition moves are active.')
        assert len(err.splitlines()) == 1 and said.split('\n')[0].removeprefix('Error: ') in err, err
        status, out, err = tool(throttled, '--verify', '--preserve-throttles', '--reassignment-json-file', file)
        assert status == 0 and 'There is no active reassignment of partition %s-%d' % part[:2] in out


def test_a_partition_that_is_not_there_is_passed_over_and_told(target, tmp_path):
    """As Kafka's tool does, but for the word on standard error; --wait, which is ours, refuses."""
    there, file = replicas(target, 'n')[1], plan(tmp_path, ('n', 1, replicas(target, 'n')[1]), ('n', 7, [1, 2]))
    told = 'org.apache.kafka.common.errors.UnknownTopicOrPartitionException: Unable to find partition: n-7. n has partitions 0 to 1.\n'
    status, out, err = tool(target, '--verify', '--wait', '--reassignment-json-file', file)
    assert (status, err) == (1, '') and out.endswith('Unable to find partition: n-7\nn has partitions 0 to 1. Nothing was changed.\n'), out
    for words in (('--verify',), ('--cancel',)):
        only = plan(tmp_path, ('n', 1, there))
        assert tool(target, '--execute', '--throttle', '100000', '--reassignment-json-file', only)[0] == 0
        wait(lambda: listed(target) == ([], sorted(there), ['n']), lambda: listed(target), 30)
        file = plan(tmp_path, ('n', 1, there), ('n', 7, [1, 2]))
        status, out, err = tool(target, *words, '--reassignment-json-file', file)
        assert (status, err) == (0, told) and out.endswith('Clearing topic-level throttles on topic n\n'), out
        assert '--verify' not in words or ('Reassignment of partition n-1 is completed.\n'
                                           'There is no active reassignment of partition n-7, but replica set is  rather than 1,2.\n') in out
        assert listed(target) == ([], [], [])


def test_what_moves_is_called_off_although_another_topic_is_gone(target, tmp_path):
    was = replicas(target, 'm')[0]
    file = plan(tmp_path, ('m', 0, [next(i for i in (1, 2, 3) if i not in was), was[0]]))
    assert tool(target, '--execute', '--throttle', 1000, '--reassignment-json-file', file)[0] == 0
    wait(lambda: listed(target)[0] == ['m-0'], lambda: listed(target), 20)
    both = plan(tmp_path, ('m', 0, was), ('gone', 0, [1]))
    status, out, err = tool(target, '--cancel', '--preserve-throttles', '--reassignment-json-file', both)
    assert status == 0 and out.startswith('Successfully cancelled partition reassignment for: m-0\n') and 'Topic gone not found' in err, out + err
    only = plan(tmp_path, ('m', 0, was))
    assert tool(target, '--cancel', '--reassignment-json-file', only)[0] == 0 and listed(target) == ([], [], [])
    wait(lambda: sorted(replicas(target, 'm')[0]) == sorted(was), lambda: replicas(target, 'm'), 20)


@pytest.mark.parametrize('part,said', ((('n', 1, [1, 9]), '9'), (('nowhere', 0, [1]), 'nowhere')))
def test_what_is_not_there_is_refused_by_controllers_too(throttled, tmp_path, part, said):
    file = plan(tmp_path, ('n', 0, [1, 2]), part)
    status, out, err = millrace('reassign-partitions', '--bootstrap-controller', throttled.controller_servers, '--cancel', '--reassignment-json-file', str(file))
    assert (status, err) == (1, '') and out.startswith('Error: ') and said in out.splitlines()[0] and out.endswith('\nNothing was changed.\n'), out


def test_brokers_with_and_without_a_rack(target, tmp_path):
    file = tmp_path / 'topics.json'
    file.write_text('{"topics":[{"topic":"n"}]}')
    words = ('--generate', '--topics-to-move-json-file', file, '--broker-list')
    status, out, _ = tool(target, *words, '1,2')
    assert status == 1 and out.startswith('Error: Not all brokers have rack information. Add --disable-rack-aware')
    for ids, *more in (('1,2', '--disable-rack-aware'), ('2,3',)):
        status, out, err = tool(target, *words, ids, *more)
        assert (status, err) == (0, '')
        proposed = json.loads(out.splitlines()[-1])['partitions']
        assert [sorted(p['replicas']) for p in proposed] == [[int(i) for i in ids.split(',')]] * 2
    status, out, err = tool(target, *words, '2,3,9')
    assert status == 0 and err == 'Broker 9 of --broker-list is not up, and is left out; up are 1, 2, 3.\n'


def test_away_from_a_broker_that_is_down(target, tmp_path):
    """The last test of the cluster."""
    there = plan(tmp_path, ('n', 0, [3, 2]), ('n', 1, [2, 3]))
    assert tool(target, '--execute', '--wait', '--reassignment-json-file', there)[0] == 0
    target.step('kill', ['3'])
    file = plan(tmp_path, ('n', 0, [1, 2]), ('n', 1, [2, 1]))
    status, out, err = tool(target, '--execute', '--wait', '--throttle', 10000000, '--reassignment-json-file', file)
    assert (status, err) == (0, 'Broker 3 is not up, and is not throttled.\n') and 'throttles on brokers 1,2\n' in out
    assert replicas(target, 'n') == [[1, 2], [2, 1]]
    there = plan(tmp_path, ('n', 0, [3, 2]))
    status, out, _ = tool(target, '--execute', '--reassignment-json-file', there)
    assert status == 1 and out == 'Error: Unknown broker id 3\nIt is named for n-0. Brokers that are up: 1, 2.\n'
    status, out, _ = tool(target, '--verify', '--reassignment-json-file', there)  # what it could not do is not passed over
    assert status == 1 and 'Error: Broker 3 has the throttles that it had: ' in out and 'Run it again when the broker is up.' in out
    target.step('start', ['3'])


def test_nobody_answers(tmp_path):
    status, out, _ = millrace('reassign-partitions', '--bootstrap-server', '127.0.0.1:1', '--list')
    assert status == 1 and out == 'Error: Connection to 127.0.0.1:1 could not be established: Connection refused\n'
    status, out, err = millrace('leader-election', '--bootstrap-server', '127.0.0.1:1', '--election-type', 'preferred', '--all-topic-partitions')
    assert (status, out) == (1, '') and 'Connection refused' in err


def test_many_topics_take_little_memory(target, tmp_path):
    """Room for the partitions of each topic is shared: room for all of them at each would be 800 MB here."""
    path = tmp_path / 'many.json'
    path.write_text(json.dumps({'partitions': [{'topic': 'none-%05d' % i, 'partition': 0} for i in range(20000)]}))
    words = ['leader-election', '--bootstrap-server', target.servers, '--election-type', 'preferred', '--path-to-json-file', str(path)]
    p = subprocess.Popen([binary(), *words], stdout=open(tmp_path / 'out', 'w'), stderr=subprocess.STDOUT)
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    out = (tmp_path / 'out').read_text()
    assert p.returncode == 1 and out.endswith('20000 replica(s) could not be elected\n'), out[-2000:]
    assert usage.ru_maxrss < 400 << 10, usage
