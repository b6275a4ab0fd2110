#!/usr/bin/env python3
"""Asks a node what it says to every setting of every kind of resource, changed while it runs.

    dynamic_settings.py HOST:PORT > tests/data/dynamic-settings.tsv      Kafka's answers, from a fresh node (tests/oracle/kafka)

Every name of broker/configs is set to its default (to something of its type if it has none) and to values that its type and range forbid, by
IncrementalAlterConfigs that only validates: for broker 1 and for all brokers, for a topic, a group and a client metrics subscription. One line
an answer: resource type, resource name, setting, value, error code."""
import os
import sys

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..'))
sys.path.insert(0, os.path.join(ROOT, 'tests'))
from kafkawire import Codec, Connection  # noqa: E402

BROKER, TOPIC, CLIENT_METRICS, GROUP = 4, 2, 16, 32
RESOURCES = [('broker', BROKER, ('1', '')), ('quota-brokerQuotaConfigs', BROKER, ('1', '')), ('topic', TOPIC, ('t',)), ('group', GROUP, ('g',)),
             ('client-metrics', CLIENT_METRICS, ('m',))]
SOMETHING = {'int': '1', 'long': '1', 'short': '1', 'boolean': 'true', 'double': '0.5'}


def table(name):
    head = None
    for line in open(os.path.join(ROOT, 'broker/configs', name + '.tsv')):
        cells = line.rstrip('\n').split('\t')
        if line.startswith('# name\t'):
            head = [c.lstrip('# ') for c in cells]
        elif not line.startswith('#'):
            yield dict(zip(head, cells))


def good_value(row):
    if row['default'] in ('<null>', '<required>'):
        return SOMETHING.get(row['type'], 'x')
    return row['default'].replace('<empty>', '').replace('{TMP}', '/tmp')


def bad_values(row):
    valid, bad = row['valid'], []
    if row['type'] == 'boolean':
        bad.append('maybe')
    elif row['type'] in ('int', 'short', 'long', 'double'):
        bad.append('x')
    if valid.startswith('[partitionId'):
        bad.append('none')
    elif valid.startswith('[') and ',...' in valid:
        least, _, rest = valid[1:].partition(',...')
        bad.append('%d' % (int(float(least)) - 1))
        if rest.startswith(','):
            bad.append('%d' % (int(float(rest[1:].split(']')[0])) + 1))
    elif valid.startswith('['):
        bad.append('no-such-choice')
    elif 'non-empty string' in valid:
        bad.append('')
    return bad


def questions():
    for name, kind, resources in RESOURCES:
        for row in table(name):
            for resource in resources:
                for value in [good_value(row), *bad_values(row)]:
                    yield kind, resource, row['name'], value


def ask(conn, kind, resource, setting, value):
    """The code and the sentence."""
    entry = {'name': setting, 'configOperation': 0, 'value': value}
    answer = conn.ask('IncrementalAlterConfigs', 1, {'resources': [{'resourceType': kind, 'resourceName': resource, 'configs': [entry]}],
                                                     'validateOnly': True})['responses'][0]
    return answer['errorCode'], answer['errorMessage']


def connect(host, port):
    """With the topic there that is asked about."""
    conn = Connection(host, port, Codec())
    made = conn.ask('CreateTopics', 7, {'topics': [{'name': 't', 'numPartitions': 1, 'replicationFactor': 1}]})
    assert made['topics'][0]['errorCode'] == 0, made
    return conn


def main():
    host, _, port = sys.argv[1].rpartition(':')
    conn = connect(host, int(port))
    print('# resource type\tresource name\tsetting\tvalue\terror code of Kafka 4.3.1')
    for q in questions():
        print(*q, ask(conn, *q)[0], sep='\t')


if __name__ == '__main__':
    main()
