"""Asks a node's HTTP listener (metrics.listener=http://127.0.0.1:0). Its port stands in the node's log."""
import http.client
import re

from members import wait

SETTING = 'http://127.0.0.1:0'


def port_of(log_text):
    """log_text() is the node's log since its start; waits until the listener is there."""
    found = []

    def look():
        found[:] = re.findall(r'monitor: listening .*port=(\d+)', log_text())
        return found
    wait(look, lambda: 'there is no monitor:\n' + log_text()[-3000:], 60)
    return int(found[-1])


def get(port, path, method='GET', headers=None, body=None, timeout=10):
    """(status, headers with names in lower case, text)"""
    c = http.client.HTTPConnection('127.0.0.1', port, timeout=timeout)
    try:
        c.request(method, path, body=body, headers=headers or {})
        r = c.getresponse()
        return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read().decode()
    finally:
        c.close()


# ---- Prometheus' text format

NAME = r'[a-zA-Z_:][a-zA-Z0-9_:]*'
SAMPLE = re.compile(r'(%s)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?[0-9.]+(?:e[+-]?[0-9]+)?|NaN|[+-]Inf)' % NAME)
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
SUFFIXES = {'summary': ('_sum', '_count', ''), 'histogram': ('_bucket', '_sum', '_count'), 'counter': ('',), 'gauge': ('',)}


def parse(text):
    """{name: {labels as a sorted tuple: value}}. Refuses what Prometheus would: a line of no form, a family that has no HELP or TYPE, comes
    twice or is interrupted, a sample that belongs to another family or comes twice, a histogram that is not cumulative."""
    families, samples, family, helped = {}, {}, None, None
    assert text.endswith('\n')
    for line in text.split('\n')[:-1]:
        if line.startswith('# HELP '):
            helped, words = re.fullmatch(r'# HELP (%s) (.+)' % NAME, line).groups()
            assert helped not in families, 'twice: ' + line
            assert words.endswith('.') or words[-1] == ')', line
        elif line.startswith('# TYPE '):
            family, kind = re.fullmatch(r'# TYPE (%s) (\w+)' % NAME, line).groups()
            assert family == helped and kind in SUFFIXES, line
            assert kind != 'counter' or family.endswith('_total'), line
            families[family] = kind
        else:
            m = SAMPLE.fullmatch(line)
            assert m, 'not a sample: ' + line
            name = m.group(1)
            assert name in [family + s for s in SUFFIXES[families[family]]], '%s in the family %s' % (line, family)
            labels = tuple(sorted(LABEL.findall(m.group(2) or '')))
            assert labels not in samples.setdefault(name, {}), 'twice: ' + line
            samples[name][labels] = float(m.group(3))
    for family in (f for f, kind in families.items() if kind == 'histogram'):
        for labels, count in samples.get(family + '_count', {}).items():
            bounds = [(float(dict(k)['le'].replace('+Inf', 'inf')), v) for k, v in samples[family + '_bucket'].items()
                      if tuple(x for x in k if x[0] != 'le') == labels]
            values = [v for _, v in sorted(bounds)]
            assert values == sorted(values) and values[-1] == count, (family, labels, bounds)
    return samples


def metrics(port):
    status, headers, text = get(port, '/metrics')
    assert status == 200 and headers['content-type'].startswith('text/plain; version=0.0.4')
    return parse(text)
