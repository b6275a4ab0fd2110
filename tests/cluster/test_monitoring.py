"""deploy/monitoring: every metric and label that its dashboard and its alerts name is one that real nodes export, and docs/MONITORING.md knows them all."""
import json
import os
import re

import pytest
import yaml

from cluster import Cluster, wait
from monitor import NAME, SETTING, get, metrics, port_of
from node import ROOT, run

FOLDER = os.path.join(ROOT, 'deploy/monitoring')
RULES, DASHBOARD = os.path.join(FOLDER, 'millrace-rules.yml'), os.path.join(FOLDER, 'grafana-dashboard.json')
OURS = re.compile(r'(kafka|millrace|process)_|up$')  # a word of an expression that is a metric
FROM_PROMETHEUS = {'instance', 'job'}                # labels that a scrape adds


def rules():
    with open(RULES) as f:
        return [r for g in yaml.safe_load(f)['groups'] for r in g['rules']]


def dashboard():
    with open(DASHBOARD) as f:
        return json.load(f)


def expressions():
    """(where, expression, text whose {{ names }} are labels of the result)"""
    for r in rules():
        notes = r['annotations']
        yield r['alert'], r['expr'], re.sub(r'\$labels\.', '', notes['summary'] + notes['description'])
    for p in dashboard()['panels']:
        for t in p.get('targets', []):
            yield p['title'], t['expr'], t['legendFormat']
    for v in dashboard()['templating']['list']:
        if v['type'] == 'query':
            yield v['name'], v['query']['query'], ''


def words(expr):
    """(metrics with the labels that are asked of each, labels that are grouped by)"""
    plain = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expr)
    found = {}
    for m in re.finditer(r'(%s)\s*(?:\{([^}]*)\})?' % NAME, plain):
        if OURS.match(m.group(1)):
            found.setdefault(m.group(1), set()).update(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)', m.group(2) or ''))
    grouped = set()
    for m in re.finditer(r'\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)', plain):
        grouped.update(x.strip() for x in m.group(1).split(',') if x.strip())
    asked = re.match(r'label_values\((\w+)(?:\{[^}]*\})?, (\w+)\)', expr)
    return found, grouped | ({asked.group(2)} if asked else set())


@pytest.fixture(scope='module')
def families():
    """{family: (type, help)}, filled by exported."""
    return {}


@pytest.fixture(scope='module')
def exported(tmp_path_factory, families):
    """{metric: its labels, of all samples} over the nodes of a cluster that has served; families without a sample have none."""
    with Cluster(tmp_path_factory.mktemp('monitoring'), controllers=1, brokers=2, factor=2, settings={'metrics.listener': SETTING}) as c:
        c.create_topic('t', 2, 2)
        status, out, err = run('kcat', '-P', '-b', c.servers, '-t', 't', input=b'1\n2\n3\n')
        assert status == 0, err
        c.tool('console-consumer', '--topic', 't', '--group', 'g', '--from-beginning', '--max-messages', '3')
        wait(lambda: any('kafka_consumergroup_current_offset' in metrics(port_of(n.text)) for n in c.brokers), 'no offset is told', 60)
        names = {'up': set()}
        for n in c.nodes:
            text = get(port_of(n.text), '/metrics')[2]
            for family, told, kind in re.findall(r'# HELP (\S+) (.*)\n# TYPE \S+ (\w+)\n', text):
                names.setdefault(family, set())
                families[family] = kind, told
            for name, samples in metrics(port_of(n.text)).items():
                names.setdefault(name, set()).update(label for labels in samples for label, _ in labels)
        yield names


def test_every_metric_and_label_is_exported(exported):
    wrong, seen = [], set()
    for where, expr, text in expressions():
        found, grouped = words(expr)
        assert found, 'no metric in %s: %s' % (where, expr)
        seen |= set(found)
        labels = set(FROM_PROMETHEUS)
        for name, asked in found.items():
            if name not in exported:
                wrong.append('%s: nobody exports %s' % (where, name))
                continue
            labels |= exported[name]
            wrong += ['%s: %s has no label %s' % (where, name, x) for x in asked - exported[name] - FROM_PROMETHEUS]
        wrong += ['%s: groups by %s, which none of %s has' % (where, x, sorted(found)) for x in grouped - labels]
        wrong += ['%s: tells %s, which none of %s has' % (where, x, sorted(found)) for x in re.findall(r'\{\{\s*(\w+)\s*\}\}', text)
                  if x not in labels]
    assert not wrong, '\n'.join(wrong)
    assert len(seen) > 50


def test_the_check_sees_what_is_wrong(exported):
    found, grouped = words('sum by (instance, shardd) (rate(kafka_x_total{topic="a{b=c}", peer!="y"}[5m])) / on (job) up{job="m"}')
    assert found == {'kafka_x_total': {'topic', 'peer'}, 'up': {'job'}} and grouped == {'instance', 'shardd', 'job'}
    assert 'kafka_x_total' not in exported and 'topic' in exported['kafka_log_log_size'] and 'shard' not in exported['kafka_log_log_size']


def test_a_replica_on_its_way_is_not_missing(tmp_path):
    with Cluster(tmp_path, controllers=1, brokers=2, factor=1, settings={'metrics.listener': SETTING, 'min.insync.replicas': 1}) as c:
        leader, other = c.brokers
        c.tool('topics', '--create', '--topic', 't', '--replica-assignment', str(leader.id))
        other.pause()  # what moves to it waits
        plan = tmp_path / 'plan.json'
        plan.write_text(json.dumps({'version': 1, 'partitions': [{'topic': 't', 'partition': 0, 'replicas': [leader.id, other.id]}]}))
        c.tool('reassign-partitions', '--execute', '--reassignment-json-file', str(plan))

        def told():
            partitions = json.loads(get(port_of(leader.text), '/console/api/overview')[2])['partitions']
            under = metrics(port_of(leader.text))['kafka_server_replicamanager_underreplicatedpartitions']
            return partitions['reassigning'], partitions['underReplicated'], int(sum(under.values()))
        wait(lambda: told()[0] == 1, told, 60)
        assert told() == (1, 0, 0)
        other.resume()
        wait(lambda: told()[0] == 0, told, 60)
        other.kill()  # now it is missing
        wait(lambda: told() == (0, 1, 1), told, 60)
        other.start()
        wait(lambda: told() == (0, 0, 0), told, 60)


def test_alerts_are_whole():
    names = [r['alert'] for r in rules()]
    assert len(names) == len(set(names)) > 20
    for r in rules():
        assert r['labels']['severity'] in ('critical', 'warning', 'info'), r
        assert re.fullmatch(r'\d+[smh]', r['for']) and r['annotations']['summary'].endswith('.'), r


def test_the_dashboard_is_whole():
    d = dashboard()
    panels = d['panels']
    for p in panels:
        assert p['type'] == 'row' or p['description'].endswith('.'), p['title']
        for t in p.get('targets', []):  # two clusters are not added up
            found, _ = words(t['expr'])
            assert found and all('job' in asked for asked in found.values()), t['expr']
    assert len({p['id'] for p in panels}) == len(panels)
    boxes = [(p['gridPos']['x'], p['gridPos']['y'], p['gridPos']['w'], p['gridPos']['h'], p['title']) for p in panels]
    for i, (x, y, w, h, title) in enumerate(boxes):
        assert x + w <= 24, title
        for x2, y2, w2, h2, other in boxes[:i]:
            assert x >= x2 + w2 or x2 >= x + w or y >= y2 + h2 or y2 >= y + h, '%s lies on %s' % (title, other)


def test_every_metric_and_alert_is_documented(exported, families):
    with open(os.path.join(ROOT, 'docs/MONITORING.md')) as f:
        page = f.read()
    rows = {name: (kind, told) for name, kind, told in
            re.findall(r'^\| `((?:kafka|millrace|process)_\w+)` \| (\w+) \| [^|]* \| [^|]* \| (.*) \|$', page, re.M)}
    assert rows == families, 'docs/MONITORING.md says of metrics what is not so: %s' % [
        (n, rows.get(n), families.get(n)) for n in sorted(set(rows) | set(families)) if rows.get(n) != families.get(n)]
    assert {r['alert'] for r in rules()} == set(re.findall(r'^\| `(Millrace\w+)` ', page, re.M))
