"""dump-log over the files of tests/data/dump-log: the same bytes as Kafka's tool (cases marked `kafka`;
tests/oracle/dump_log.sh holds the stored text against a real one), and our own words where Kafka's tool dies."""

import os
import subprocess

import pytest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..')
DATA = os.path.realpath(os.path.join(ROOT, 'tests/data/dump-log'))
MILLRACE = os.path.join(os.environ.get('MILLRACE_BUILD', os.path.join(ROOT, 'build/dev')), 'millrace')


def cases():
    with open(os.path.join(DATA, 'cases.tsv'), encoding='utf-8') as f:
        return [line.rstrip('\n').split('\t') for line in f if not line.startswith('#')]


def dump(args, cwd=DATA):
    return subprocess.run([MILLRACE, 'dump-log', *args], cwd=cwd, capture_output=True, check=False)


def stored(name):
    path = os.path.join(DATA, 'expect', name)
    if not os.path.exists(path):
        assert name.endswith('.err')  # nothing on stderr
        return b''
    with open(path, 'rb') as f:
        return f.read()


@pytest.mark.parametrize('case', cases(), ids=lambda c: c[0])
def test_prints_what_is_stored(case):
    name, whose, status, args = case
    assert whose in ('kafka', 'ours')
    got = dump(args.split(' '))
    assert got.stdout == stored(name + '.out')
    assert got.stderr.replace(DATA.encode() + b'/', b'@/') == stored(name + '.err')
    assert got.returncode == int(status)


@pytest.mark.parametrize('suffix', ['log', 'index', 'timeindex', 'txnindex', 'snapshot'])
def test_any_cut_and_any_turned_bit_ends_in_words(suffix, tmp_path):
    """Damaged files of each kind: never a crash, and never more than a sentence."""
    folder = os.path.join(DATA, 'transactional-0')
    for other in ('log', 'index'):
        with open(os.path.join(folder, f'00000000000000000336.{other}'), 'rb') as f:
            (tmp_path / f'00000000000000000336.{other}').write_bytes(f.read())
    with open(os.path.join(folder, f'00000000000000000336.{suffix}'), 'rb') as f:
        whole = f.read()
    path = tmp_path / f'00000000000000000336.{suffix}'
    step = max(1, len(whole) // 7)
    damaged = [whole[:cut] for cut in range(0, len(whole), step)]
    damaged += [whole[:at] + bytes([whole[at] ^ 0x81]) + whole[at + 1:] for at in range(0, len(whole), step)]
    for data in damaged:
        path.write_bytes(data)
        got = dump(['--print-data-log', '--files', str(path)], cwd=tmp_path)
        assert got.returncode in (0, 1), got.stderr
        assert got.returncode == 0 or str(path).encode() in got.stderr
        assert b'Sanitizer' not in got.stderr and b'runtime error' not in got.stderr
