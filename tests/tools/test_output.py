"""Output that cannot be written: a full disk and a closed standard output are told by every tool, a reader that went away ends it quietly."""
import os
import signal
import subprocess

import pytest
from node import binary, millrace, run

DATA = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../data/dump-log'))
TOOLS = [line.split()[0] for line in millrace('help')[1].splitlines() if line.startswith('  ')]
FULL, CLOSED = '>/dev/full', '>&-'
WHY = {FULL: 'No space left on device', CLOSED: 'Bad file descriptor'}


def to(where, *words):
    """A tool whose output goes there: (status, stderr)."""
    status, out, err = run('sh', '-c', f'exec "$0" "$@" {where}', binary(), *words)
    assert out == ''
    return status, err


def told(name, where):
    return f'millrace {name}: cannot write the output: {WHY[where]}\n'


@pytest.mark.parametrize('where', WHY)
@pytest.mark.parametrize('name', TOOLS)
def test_every_tool_says_that_its_help_went_nowhere(name, where):
    words = ('version',) if name == 'version' else (name, '--help')
    assert to(where, *words) == (1, told(name, where))


@pytest.mark.parametrize('where', WHY)
def test_the_list_of_tools_and_the_version_of_one(where):
    assert to(where, 'help') == (1, told('help', where))
    assert to(where, 'topics', '--version') == (1, told('topics', where))


@pytest.mark.parametrize('where', WHY)
def test_what_is_described_and_listed(node, where):
    server = ('--bootstrap-server', node.servers)
    millrace('topics', *server, '--create', '--topic', 'seen', '--if-not-exists')
    for words in (('topics', '--describe'), ('topics', '--describe', '--json'), ('topics', '--list'), ('get-offsets', ), ('log-dirs', '--describe'),
                  ('configs', '--describe', '--topic', 'seen', '--all'), ('broker-api-versions', ), ('cluster', 'cluster-id')):
        assert to(where, *words, *server) == (1, told(words[0], where)), words


def test_more_than_a_buffer_of_it(node):
    for i in range(3):
        millrace('topics', '--bootstrap-server', node.servers, '--create', '--topic', f'wide{i}', '--partitions', '200', '--if-not-exists')
    words = ('topics', '--bootstrap-server', node.servers, '--describe')
    assert len(millrace(*words)[1]) > 40000
    assert to(FULL, *words) == (1, told('topics', FULL))


def test_who_prints_nothing_needs_no_output(node):
    for where in WHY:
        millrace('topics', '--bootstrap-server', node.servers, '--create', '--topic', 'gone')
        assert to(where, 'topics', '--bootstrap-server', node.servers, '--delete', '--topic', 'gone') == (0, '')


def test_files_and_records_end_with_the_reason(node):
    log = os.path.join(DATA, 'transactional-0/00000000000000000336.log')
    assert millrace('dump-log', '--files', log)[0] == 0
    assert to(FULL, 'dump-log', '--files', log) == (1, told('dump-log', FULL))
    server = ('--bootstrap-server', node.servers, '--topic', 'read')
    millrace('topics', *server[:2], '--create', '--topic', 'read')
    assert millrace('console-producer', *server, input=b'one\n')[0] == 0
    status, err = to(FULL, 'console-consumer', *server, '--from-beginning', '--max-messages', '1', '--timeout-ms', '20000')
    assert status == 1 and err.endswith(told('console-consumer', FULL))


def pipe_without_reader(sigpipe, words):
    """A tool that writes to a pipe that nobody reads, with that disposition of SIGPIPE from its parent."""
    r, w = os.pipe()
    os.close(r)
    with subprocess.Popen([binary(), *words], stdout=w, stderr=subprocess.PIPE, restore_signals=False,
                          preexec_fn=lambda: signal.signal(signal.SIGPIPE, sigpipe)) as p:
        os.close(w)
        err = p.communicate(timeout=120)[1].decode()
    return p.returncode, err


def test_a_reader_that_went_away(node, tmp_path):
    settings = tmp_path / 'server.properties'
    settings.write_text(f'process.roles=broker\nnode.id=1\nlisteners=PLAINTEXT://localhost:19092\ncontroller.quorum.voters=9@localhost:19093\n'
                        f'controller.listener.names=CONTROLLER\nlog.dirs={tmp_path}/data\n')
    for words in (('topics', '--bootstrap-server', node.servers, '--describe'), ('help', ), ('topics', '--help'), ('storage', 'info', '-c', str(settings))):
        assert pipe_without_reader(signal.SIG_DFL, words) == (-signal.SIGPIPE, ''), words
        status, err = pipe_without_reader(signal.SIG_IGN, words)
        assert status == 1 and err == f'millrace {words[0]}: cannot write the output: Broken pipe\n', words


def test_no_socket_takes_the_place_of_a_closed_stream(node):
    """What is printed must not go to a broker, nor what a broker says be taken for input."""
    words = ('topics', '--bootstrap-server', node.servers, '--describe', '--topic', 'nobodys')
    status, _, err = run('sh', '-c', 'exec "$0" "$@" <&- >&- 2>&-', binary(), *words)
    assert (status, err) == (1, '')
    status, out, err = run('sh', '-c', 'exec "$0" "$@" <&-', binary(), 'reassign-partitions', '--bootstrap-server', node.servers, '--execute',
                           '--reassignment-json-file', '-')
    assert (status, err) == (1, '') and 'Unable to read file -: Bad file descriptor' in out


def test_input_that_cannot_be_read_is_no_end_of_it(node, tmp_path):
    millrace('topics', '--bootstrap-server', node.servers, '--create', '--topic', 'fed')
    for where, why in (('<&-', 'Bad file descriptor'), (f'<{tmp_path}', 'Is a directory')):
        status, out, err = run('sh', '-c', f'exec "$0" "$@" {where}', binary(), 'console-producer', '--bootstrap-server', node.servers, '--topic', 'fed')
        assert (status, out, err) == (1, '', f'Unable to read standard input: {why}\n')
