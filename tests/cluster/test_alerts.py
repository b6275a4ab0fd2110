"""The alerts of deploy/monitoring in Prometheus itself: by promtool, each of them (alerts.yml); by the server, those of a broker that is killed.

The programs are those of Debian's package prometheus: in the PATH, or unpacked (not installed: it would start a service) by
`deploy/deps.sh prometheus`, which tests/run.sh cluster does."""
import json
import os
import re
import shutil
import subprocess
import urllib.request

import pytest
import yaml

from cluster import Cluster, ports, wait
from monitor import SETTING, port_of
from node import ROOT, run

FOLDER = os.path.join(ROOT, 'deploy/monitoring')
RULES = os.path.join(FOLDER, 'millrace-rules.yml')
CASES = os.path.join(ROOT, 'tests/cluster/alerts.yml')
UNPACKED = os.path.join(ROOT, 'build/prometheus/usr/bin')


def program(name):
    found = shutil.which(name, path=os.environ['PATH'] + ':' + UNPACKED)
    if not found:
        pytest.skip('%s is not here: deploy/deps.sh prometheus unpacks Debian\'s' % name)
    return found


def rules():
    with open(RULES) as f:
        return {r['alert']: r for g in yaml.safe_load(f)['groups'] for r in g['rules']}


def looks():
    """{alert: (how often silence is expected, how often the alert)}"""
    found = {}
    with open(CASES) as f:
        for case in yaml.safe_load(f)['tests']:
            for look in case['alert_rule_test']:
                silent, fires = found.get(look['alertname'], (0, 0))
                found[look['alertname']] = (silent, fires + 1) if look.get('exp_alerts') else (silent + 1, fires)
    return found


def test_every_alert_is_made_to_fire_and_to_be_silent():
    seen = looks()
    assert set(seen) == set(rules())
    assert [a for a, (silent, fires) in seen.items() if not silent or not fires] == []


def test_alerts_fire_when_they_are_meant_to():
    status, out, err = run(program('promtool'), 'test', 'rules', CASES)
    assert status == 0, out + err


@pytest.mark.slow
@pytest.mark.parametrize('was,now', [('for: 5m', 'for: 6m'), ('for: 1m', 'for: 2m'), ('> 0', '> 1000'), ('cannot be scraped', 'is down'), (' or 0 * sum by (job) (up{job=~"millrace.*"})', ''),
                                     ('topic=""', 'topic!=""'), ('by (job) ', ''), ('(job, ', '(')])
def test_a_rule_that_is_changed_is_noticed(tmp_path, was, now):
    with open(RULES) as f, open(tmp_path / 'rules.yml', 'w') as to:
        text = f.read()
        assert was in text
        to.write(text.replace(was, now))
    with open(CASES) as f, open(tmp_path / 'alerts.yml', 'w') as to:
        to.write(re.sub(r'rule_files: .*', 'rule_files: [rules.yml]', f.read()))
    assert run(program('promtool'), 'test', 'rules', str(tmp_path / 'alerts.yml'))[0] == 1


def test_rules_and_sample_configuration_are_valid():
    for what, name in (('rules', RULES), ('config', os.path.join(FOLDER, 'prometheus.yml'))):
        status, out, err = run(program('promtool'), 'check', what, name)
        assert status == 0, out + err


# ---- the server

class Prometheus:
    """A server with the sample configuration, but for the nodes, and a look each second."""

    def __init__(self, folder, targets):
        self.port, self.log = ports(1)[0], str(folder / 'prometheus.log')
        with open(os.path.join(FOLDER, 'prometheus.yml')) as f:
            config = yaml.safe_load(f)
        config['global'] = {'scrape_interval': '1s', 'evaluation_interval': '1s'}
        config['rule_files'] = [RULES]
        config['scrape_configs'][0]['static_configs'] = [{'targets': targets}]
        with open(folder / 'prometheus.yml', 'w') as f:
            yaml.safe_dump(config, f)
        self.process = subprocess.Popen([program('prometheus'), '--config.file=%s' % (folder / 'prometheus.yml'), '--storage.tsdb.path=%s' % (folder / 'tsdb'),
                                         '--web.listen-address=127.0.0.1:%d' % self.port], stdout=open(self.log, 'w'), stderr=subprocess.STDOUT)

    def ask(self, path):
        try:
            with urllib.request.urlopen('http://127.0.0.1:%d/api/v1/%s' % (self.port, path), timeout=10) as r:
                return json.load(r)['data']
        except OSError:
            assert self.process.poll() is None, open(self.log).read()[-3000:]
            return None

    def up(self):
        """The nodes that it has scraped."""
        data = self.ask('targets')
        return {t['labels']['instance'] for t in data['activeTargets'] if t['health'] == 'up'} if data else set()

    def firing(self):
        """{(alert, node or None)}"""
        data = self.ask('alerts')
        return {(a['labels']['alertname'], a['labels'].get('instance')) for a in data['alerts'] if a['state'] == 'firing'} if data else set()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()


@pytest.mark.slow
def test_a_killed_broker_is_told_by_prometheus(tmp_path):
    """Nothing fires while all is well; MillraceDown and, where it was one of two, MillraceUnderMinIsr fire behind their minute, and end with the cause."""
    with Cluster(tmp_path, controllers=1, brokers=2, factor=2, settings={'metrics.listener': SETTING, 'min.insync.replicas': 2}) as c:
        c.create_topic('t', 4, 2)
        c.wait_in_sync('t')
        address = {n.id: '127.0.0.1:%d' % port_of(n.text) for n in c.nodes}
        for n in c.nodes:  # a node that is started again must be found
            n.write_properties(**{'metrics.listener': 'http://' + address[n.id]})
        with Prometheus(tmp_path, list(address.values())) as p:
            wait(lambda: p.up() == set(address.values()), lambda: 'scraped: %s of %s' % (p.up(), address), 60)
            assert p.firing() == set()
            c.node(12).kill()
            wanted = {('MillraceDown', address[12]), ('MillraceUnderMinIsr', address[11])}
            wait(lambda: wanted <= p.firing(), lambda: 'fires: %s' % p.firing(), 150)
            assert p.firing() == wanted
            c.node(12).start()
            c.wait_in_sync('t')
            wait(lambda: p.firing() == set(), lambda: 'fires still: %s' % p.firing(), 60)
