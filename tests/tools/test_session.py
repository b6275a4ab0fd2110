"""Our tools print what Kafka's print: every case of tests/data/tools/*.tsv, the cases of one file in order against one node. What
Kafka's tools say is stored in tests/data/tools/expect; sessions.sh asks the real ones."""
import os
import re

import pytest
import session
from cluster_session import cluster_of
from node import ROOT, Node


@pytest.fixture(scope='module')
def outcomes(tmp_path_factory):
    """File to name to (status, stdout, stderr): all cases of a file in order, when the first of them is asked for."""
    done = {}

    def ask(file):
        if file not in done:
            folder = str(tmp_path_factory.mktemp('session'))
            session.prepare(folder)
            place = tmp_path_factory.mktemp('session-node')
            with cluster_of(file, place) if file in session.CLUSTER_FILES else Node(place, session.NODE) as n:
                done[file] = session.run_ours(n, folder, file)
        return done[file]
    return ask


ALL = [(f, c) for f in session.FILES + session.CLUSTER_FILES for c in session.cases(f)]


@pytest.mark.parametrize('file,case', ALL, ids=[c.name for f, c in ALL])
def test_prints_what_kafkas_tool_prints(outcomes, file, case):
    status, out, err = outcomes(file)[case.name]
    assert session.shown(case, status, out, err) == session.expected(case), err
    assert 'Sanitizer' not in err and 'runtime error' not in err
    if 'error' in case.mode:
        assert status != 0
    if case.mode in ('status', 'status-error') and status != 0:  # one sentence, on one of the two; a heading may stand over it
        lines = [line for line in (out + err).strip().splitlines() if line != 'Found problem:' and 'deprecated' not in line]
        assert len(lines) == 1 and len(lines[0]) > 10, out + err


def test_every_tool_has_cases():
    """Every tool that has Kafka's name: here; dump-log, which needs files and no node, in tests/data/dump-log (tests/oracle/dump_log.sh)."""
    with open(os.path.join(ROOT, 'tools/kafka-names.txt'), encoding='utf-8') as f:
        names = {re.fullmatch(r'kafka-(.*)\.sh', line.strip())[1] for line in f}
    assert {c.tool for _, c in ALL} == names - {'server-start', 'dump-log'} and len(names) >= 24
    with open(os.path.join(ROOT, 'tests/data/dump-log/cases.tsv'), encoding='utf-8') as f:
        assert sum(line.split('\t')[1] == 'kafka' for line in f) >= 30
    assert len({c.name for _, c in ALL}) == len(ALL)
    for _, c in ALL:
        assert re.fullmatch(r'[a-z0-9-]+', c.name)
