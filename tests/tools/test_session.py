"""Our tools print what Kafka's print: every case of tests/data/tools/cases.tsv in order against one node. What Kafka's tools say is
stored in tests/data/tools/expect; sessions.sh asks the real ones."""
import re

import pytest
import session
from node import Node


@pytest.fixture(scope='module')
def outcomes(tmp_path_factory):
    """Name to (status, stdout, stderr), all cases in order."""
    folder = str(tmp_path_factory.mktemp('session'))
    session.prepare(folder)
    with Node(tmp_path_factory.mktemp('session-node')) as n:
        return session.run_ours(n, folder)


@pytest.mark.parametrize('case', session.cases(), ids=lambda c: c.name)
def test_prints_what_kafkas_tool_prints(outcomes, case):
    status, out, err = outcomes[case.name]
    assert session.shown(case, status, out, err) == session.expected(case), err
    assert 'Sanitizer' not in err and 'runtime error' not in err
    if case.mode == 'status' and status != 0:  # one sentence, on one of the two; a heading may stand over it
        lines = [line for line in (out + err).strip().splitlines() if line != 'Found problem:']
        assert len(lines) == 1 and len(lines[0]) > 10, out + err


def test_every_tool_has_cases():
    names = {c.tool for c in session.cases()}
    assert names >= {'topics', 'configs', 'get-offsets', 'delete-records', 'broker-api-versions', 'console-producer', 'console-consumer', 'storage'}
    assert len({c.name for c in session.cases()}) == len(session.cases())
    for c in session.cases():
        assert re.fullmatch(r'[a-z0-9-]+', c.name)
