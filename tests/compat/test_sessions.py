"""Every recorded session with a real broker, played against a fresh node (tests/vectors_sessions.py): how many of its exchanges go as
recorded, and how many are about what comes with a later version. Both numbers stand here, so that neither changes unseen."""
import os
import re
import sys

from node import ROOT, binary, run

# session: (as recorded, not yet)
SESSIONS = {
    'api-versions': (13, 0), 'frames': (33, 0), 'create-topics': (41, 0), 'create-partitions': (8, 0), 'delete-topics': (8, 0),
    'metadata': (21, 0), 'produce': (33, 0), 'produce-acks-0': (3, 0), 'produce-idempotent': (20, 0), 'fetch': (24, 0),
    'fetch-sessions': (9, 0), 'list-offsets': (25, 0), 'leader-epoch': (4, 0), 'delete-records': (7, 0), 'describe-configs': (17, 0),
    'alter-configs': (30, 0), 'api-versions-controller': (2, 0),
    'controller-listener': (13, 1),      # Vote: several voters
    'join-group': (32, 0), 'join-group-static': (7, 0), 'offset-commit': (12, 0), 'offset-fetch': (11, 0),
    'find-coordinator': (12, 1),         # of transactions
    'consumer-group-heartbeat': (1, 19), 'streams-group-heartbeat': (0, 4), 'share-groups': (1, 13),
    'transactions': (5, 27), 'transactions-v2': (0, 8),
    'misc': (13, 23),                     # SASL, ACLs, SCRAM, quotas, reassignment, features, tokens, telemetry, voters
}


def test_sessions_as_recorded():
    tests = os.path.join(ROOT, 'tests')
    folder = os.path.join(tests, 'data/vectors/sessions')
    files = sorted(os.path.join(folder, f) for f in os.listdir(folder) if f.endswith('.jsonl'))
    status, out, err = run(sys.executable, os.path.join(tests, 'vectors_sessions.py'), '--build', os.path.dirname(binary()), *files,
                           timeout=600)
    assert status == 0, out + err
    seen = {}
    for line in re.finditer(r'^(.+)\.jsonl: (\d+) of (\d+)(?:, (\d+) not yet)?$', out, re.M):
        assert line[2] == line[3], out
        seen[line[1]] = (int(line[2]), int(line[4] or 0))
    assert seen == SESSIONS
    assert sum(sum(n) for n in seen.values()) == 501
