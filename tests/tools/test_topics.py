"""The admin tools and console tools against one node: what they print and how they end."""
import json
import re

import pytest
from node import millrace


def tool(node, name, *args, **kw):
    return millrace(name, '--bootstrap-server', node.servers, *args, **kw)


def test_topics_life(node):
    assert tool(node, 'topics', '--create', '--topic', 'a', '--partitions', '2', '--config', 'retention.ms=1000')[:2] == (0, 'Created topic a.\n')
    status, out, _ = tool(node, 'topics', '--create', '--topic', 'a')
    assert status == 1 and "Topic 'a' already exists." in out
    assert tool(node, 'topics', '--create', '--topic', 'a', '--if-not-exists')[0] == 0
    assert 'a' in tool(node, 'topics', '--list')[1].splitlines()
    status, out, _ = tool(node, 'topics', '--describe', '--topic', 'a')
    assert status == 0
    assert re.match(r'Topic: a\tTopicId: [\w-]{22}\tPartitionCount: 2\tReplicationFactor: 1\tConfigs: .*retention.ms=1000', out)
    assert '\tTopic: a\tPartition: 1\tLeader: 1\tReplicas: 1\tIsr: 1\tElr: \tLastKnownElr: \n' in out
    assert tool(node, 'topics', '--alter', '--topic', 'a', '--partitions', '4')[0] == 0
    status, out, _ = tool(node, 'topics', '--alter', '--topic', 'a', '--partitions', '3')
    assert status == 1 and 'would not be an increase' in out
    assert tool(node, 'topics', '--delete', '--topic', 'a')[0] == 0
    status, out, _ = tool(node, 'topics', '--describe', '--topic', 'a')
    assert status == 1 and "Topic 'a' does not exist as expected" in out


def test_bad_requests_are_one_sentence(node):
    for args, text in ((('--create', '--topic', 'bad name'), 'bad name'), (('--create', '--topic', 'r', '--replication-factor', '3'), 'factor')):
        status, out, _ = tool(node, 'topics', *args)
        assert status == 1 and text in out and len(out.strip().splitlines()) == 1
    assert millrace('topics', '--list')[0] == 1
    assert tool(node, 'topics', '--list', '--command-config', '/')[1].endswith('Unable to read file /: Is a directory\n')
    assert millrace('topics', '--bootstrap-server', '127.0.0.1:1', '--list')[0] == 1

    status, out, err = tool(node, 'console-consumer', '--topic', 'nowhere', '--timeout-ms', '1000')
    assert (status, out) == (1, '') and err.splitlines() == [
        'WARN nowhere: Broker: Unknown topic or partition; waiting for it', 'No record for 1000 ms', 'Cannot read nowhere: Broker: Unknown topic or partition',
        'Processed a total of 0 messages'], err
    assert 'nowhere' not in tool(node, 'topics', '--list')[1]


def test_numbers_are_told_with_their_range(node):
    for tool_args, said in ((('reassign-partitions', '--execute', '--reassignment-json-file', '-', '--throttle', '5MB'), 'a whole number (see'),
                            (('broker', 'drain', '1', '--throttle', '5MB'), 'a whole number, 1 or more (see')):
        status, out, err = tool(node, *tool_args, input=b'{}')
        assert status == 1 and "Option throttle is '5MB'; it takes " + said in err, err


def test_a_container_with_one_setting_alone_says_that_it_needs_all(tmp_path):
    status, out, err = millrace('container', 'KAFKA_NUM_PARTITIONS=3', 'KAFKA_LOG_DIRS=%s' % tmp_path)
    assert (status, out) == (1, '') and 'KAFKA_PROCESS_ROLES is not\namong them' in err, err


def test_help_of_a_tool():
    assert millrace('help', 'topics') == millrace('topics', '--help')
    status, out, err = millrace('help', 'tpics')
    assert (status, out) == (1, '') and '"tpics"' in err and len(err.splitlines()) == 1


def test_a_server_that_is_not_there():
    status, out, err = millrace('console-consumer', '--bootstrap-server', '127.0.0.1:1', '--topic', 'a', '--timeout-ms', '1000')
    said = [line for line in err.splitlines() if not line.startswith('ERROR ')]  # the others are about connections
    assert (status, out) == (1, '') and said == ['Cannot read a: Local: Broker transport failure']


def test_configs(node):
    tool(node, 'topics', '--create', '--topic', 'c')
    assert tool(node, 'configs', '--alter', '--topic', 'c', '--add-config', 'retention.ms=7,cleanup.policy=[compact,delete]')[:2] == \
        (0, 'Completed updating config for topic c.\n')
    out = tool(node, 'configs', '--describe', '--topic', 'c')[1]
    assert out.startswith('Dynamic configs for topic c are:\n  cleanup.policy=compact,delete sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:')
    assert tool(node, 'configs', '--alter', '--topic', 'c', '--delete-config', 'retention.ms,cleanup.policy')[0] == 0
    assert tool(node, 'configs', '--describe', '--topic', 'c')[1] == 'Dynamic configs for topic c are:\n'
    status, _, err = tool(node, 'configs', '--alter', '--topic', 'c', '--add-config', 'retention.ms=abc')
    assert status == 1 and 'retention.ms' in err and 'abc' in err
    status, out, err = millrace('configs', '--bootstrap-controller', node.servers, '--describe', '--topic', 'c')
    assert (status, out) == (1, '') and "this is a broker's" in err and len(err.splitlines()) == 1


@pytest.mark.parametrize('option,kind', (('user', 'users'), ('client', 'clients'), ('ip', 'ips')))
def test_settings_that_are_not_served_change_no_others(node, option, kind):
    """--client was once taken for --client-metrics, cut short."""
    def metrics():
        return [i['entityName'] for i in json.loads(tool(node, 'configs', '--describe', '--entity-type', 'client-metrics', '--json')[1])['items']]

    before = metrics()
    for words in (('--alter', '--' + option, 'c1', '--add-config', 'interval.ms=1000'), ('--alter', f'--{option}-defaults', '--add-config', 'interval.ms=1000'),
                  ('--describe', '--' + option, 'c1'), ('--describe', f'--{option}-defaults')):
        status, out, err = tool(node, 'configs', *words)
        assert (status, out) == (1, '') and err.startswith(f'Entity type {kind} is not served yet; served are topics, ') and err.count('\n') == 1, (words, err)
    assert metrics() == before


def test_two_entities_change_neither(node):
    tool(node, 'topics', '--create', '--topic', 'two')
    for words, said in ((('--topic', 'two', '--broker-defaults'), 'may be specified together'), (('--topic', 'two', '--entity-name', 'c'), 'in conjunction'),
                        (('--topic', 'two', '--entity-type', 'topics', '--entity-name', 'c'), 'Duplicate entity type(s) specified: topics')):
        status, out, err = tool(node, 'configs', '--alter', *words, '--add-config', 'retention.ms=1000')
        assert (status, out) == (1, '') and said in err and err.count('\n') == 1, (words, err)
    assert tool(node, 'configs', '--describe', '--topic', 'two')[1] == 'Dynamic configs for topic two are:\n'


def test_console_offsets_and_delete_records(node, tmp_path):
    lines = ''.join('k%d\tv%d\n' % (i, i) for i in range(10))
    tool(node, 'topics', '--create', '--topic', 'd', '--partitions', '1')
    assert tool(node, 'console-producer', '--topic', 'd', '--reader-property', 'parse.key=true', '--timeout', '5', input=lines.encode())[0] == 0
    assert tool(node, 'get-offsets', '--topic', 'd')[1] == 'd:0:10\n'
    cut = tmp_path / 'cut.json'
    cut.write_text(json.dumps({'partitions': [{'topic': 'd', 'partition': 0, 'offset': 4}], 'version': 1}))
    assert 'partition: d-0\tlow_watermark: 4' in tool(node, 'delete-records', '--offset-json-file', str(cut))[1]
    assert tool(node, 'get-offsets', '--topic', 'd', '--time', 'earliest')[1] == 'd:0:4\n'
    cut.write_text('{"partitions":[{"topic":"d",\n"partition":0,"offset":5}\n\n')
    status, out, err = tool(node, 'delete-records', '--offset-json-file', str(cut))
    assert status == 1 and "The input string is not a valid JSON: it ends too early (line 2): ']' expected" in out + err
    status, out, err = tool(node, 'console-consumer', '--topic', 'd', '--from-beginning', '--max-messages', '6', '--timeout-ms', '10000',
                            '--formatter-property', 'print.key=true', '--formatter-property', 'print.offset=true')
    assert status == 0 and out == ''.join('Offset:%d\tk%d\tv%d\n' % (i, i, i) for i in range(4, 10)), err
    assert 'Processed a total of 6 messages' in err


def test_broker_api_versions(node):
    status, out, _ = tool(node, 'broker-api-versions')
    assert status == 0 and '\tProduce(0): 0 to 13 [usable: 13],' in out and '\tFetch(1): 4 to 18 [usable: 18],' in out
