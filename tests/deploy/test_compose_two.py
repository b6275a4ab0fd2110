"""The compose files by the rules of `docker compose`, the second generation: read by its own library, which comes from the Go module proxy and is built
once in a cache folder outside the tree. What it understands is what docker-compose 1.29 makes of them (test_cluster.py)."""
import json
import os
import shutil

import pytest
from engine import DEPLOY, run

LIBRARY = 'github.com/compose-spec/compose-go/v2@v2.16.2'
CACHE = os.path.join(os.environ.get('MILLRACE_CACHE', os.path.expanduser('~/.cache/millrace-compat')), 'compose-two')
HERE = os.path.dirname(os.path.abspath(__file__))
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def reader():
    if shutil.which('go') is None:
        pytest.skip('there is no Go here to build the library of docker compose with')
    os.makedirs(CACHE, exist_ok=True)
    shutil.copy(os.path.join(HERE, 'compose.go'), os.path.join(CACHE, 'main.go'))
    if not os.path.exists(os.path.join(CACHE, 'go.mod')):
        run('go', 'mod', 'init', 'reader', cwd=CACHE)
    for step in ('get', LIBRARY), ('mod', 'tidy'), ('build', '-o', 'reader', '.'):
        run('go', *step, cwd=CACHE, timeout=1800)
    return os.path.join(CACHE, 'reader')


def understood(reader, file, **variables):
    return json.loads(run(reader, file, cwd=DEPLOY, env={**os.environ, **variables}))


def test_the_cluster(reader):
    project = understood(reader, 'docker-compose.yml', COMPOSE_PROFILES='', MILLRACE_IMAGE='other:1', BROKER12_PORT='20012')
    nodes = project['services']
    assert sorted(nodes) == ['broker11', 'broker12', 'broker13', 'controller1', 'controller2', 'controller3']
    for name, n in nodes.items():
        assert n['image'] == 'other:1' and n['read_only'] and n['restart'] == 'unless-stopped' and n['stop_grace_period'] == '40s', n
        assert n['security_opt'] == ['no-new-privileges:true', 'seccomp=seccomp-io_uring.json'] and n['cap_drop'] == ['ALL'], n
        assert [(v['type'], v['source']) for v in n['volumes']] == [('volume', name)]
        # merged from a block that is merged itself
        assert n['environment']['KAFKA_MIN_INSYNC_REPLICAS'] == '2' and n['environment']['KAFKA_NODE_ID'] == name.strip('abcdefghijklmnopqrstuvwxyz')
        assert n['environment']['KAFKA_PROCESS_ROLES'] == name.rstrip('0123456789')
    assert [(p['host_ip'], p['published'], p['target']) for p in nodes['broker12']['ports']] == [('127.0.0.1', '20012', 19092), ('127.0.0.1', '19645', 9644)]
    assert nodes['broker12']['environment']['KAFKA_ADVERTISED_LISTENERS'] == 'INSIDE://broker12:9092,OUTSIDE://localhost:20012'
    assert sorted(nodes['broker12']['depends_on']) == ['controller1', 'controller2', 'controller3']


def test_a_fourth_broker_by_its_profile(reader):
    project = understood(reader, 'docker-compose.yml', COMPOSE_PROFILES='more')
    assert 'broker14' in project['services'] and len(project['services']) == 7


def test_the_single_node(reader):
    project = understood(reader, 'docker-compose.single.yml', MILLRACE_PORT='20092')
    node = project['services']['node']
    assert list(project['services']) == ['node'] and node['build']['dockerfile'] == 'deploy/Dockerfile'
    assert 'OUTSIDE://localhost:20092,' in node['environment']['KAFKA_ADVERTISED_LISTENERS'] and node['ports'][0]['published'] == '20092'


def test_what_is_wrong_is_refused(reader, tmp_path):
    """It does judge: a misspelt key does not pass."""
    text = open(os.path.join(DEPLOY, 'docker-compose.single.yml')).read()
    (tmp_path / 'wrong.yml').write_text(text.replace('read_only:', 'readonly:'))
    status, said = run(reader, tmp_path / 'wrong.yml', check=False, cwd=tmp_path)
    assert status == 1 and 'readonly' in said, said
