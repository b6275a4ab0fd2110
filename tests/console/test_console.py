"""The console of a cluster, as somebody sees it in a browser."""
import json
import os
import shutil
import subprocess
import time

import pytest
from browser import Browser, Keys
from cluster import Cluster, ports
from members import LONG, wait
from monitor import get
from node import Node, binary, millrace, run

# Group ids, client ids, keys, values and headers may hold anything; each of these would say so in window.pwned.
EVIL = '<img src=x onerror="window.pwned=1">'
EVIL_VALUE = '<script>window.pwned=2</script><svg onload="window.pwned=3"></svg>'
RECORDS, READ = 500, 120
CONTROLLERS, BROKERS = (1,), (11, 12, 13)
NETWORK = 'net::ERR_'


class Consoles:
    """A cluster whose nodes have consoles: base(id) is the address of one."""

    def __init__(self, folder):
        ids = CONTROLLERS + BROKERS
        self.http = dict(zip(ids, ports(len(ids))))
        per_node = {i: {'metrics.listener': 'http://127.0.0.1:%d' % p, 'broker.rack': 'rack-%d' % i} for i, p in self.http.items()}
        per_node[12]['console.messages.enable'] = 'true'
        self.cluster = Cluster(folder, controllers=len(CONTROLLERS), brokers=len(BROKERS), per_node=per_node,
                               settings={'console.lag.alarm.records': RECORDS - READ - 1, 'broker.session.timeout.ms': 3000})

    def base(self, node_id=11):
        return 'http://127.0.0.1:%d/console/' % self.http[node_id]

    def fill(self):
        c = self.cluster
        c.create_topic('orders', 4, 3, {'retention.ms': 86400000})
        c.create_topic('alone', 1, 1, assignments=[[13]])
        status, _, err = run('kcat', '-P', '-b', c.servers, '-t', 'orders', '-p', '0', '-K', '\t', '-H', 'who=' + EVIL, '-X', 'client.id=' + EVIL,
                             input=''.join('key-%d\t{"order": %d, "account": 12345678901234567890}\n' % (i, i) for i in range(RECORDS)).encode())
        assert status == 0, err
        status, _, err = run('kcat', '-P', '-b', c.servers, '-t', 'orders', '-p', '1', '-k', EVIL, input=EVIL_VALUE.encode())
        assert status == 0, err
        for group in ('late', EVIL):
            c.tool('consumer-groups', '--reset-offsets', '--group', group, '--topic', 'orders:0', '--to-offset', str(READ), '--execute')


@pytest.fixture(scope='module')
def consoles(tmp_path_factory):
    it = Consoles(tmp_path_factory.mktemp('console'))
    with it.cluster:
        it.fill()
        yield it


@pytest.fixture
def browser():
    with Browser() as b:
        yield b
        assert b.run('return window.pwned') is None


# ---- every view shows what is there

def test_overview(consoles, browser):
    browser.open(consoles.base(), 'overview')
    assert consoles.cluster.id in browser.text('header') and 'node 11' in browser.text('header') and browser.text('#live') == 'live'
    browser.wait_for(lambda: browser.tiles()['Lag of all groups'] == str(2 * (RECORDS - READ)), 'the lag')
    tiles = browser.tiles()
    assert tiles['Brokers up'] == '3 of 3' and tiles['Active controller'] == 'Node 1' and tiles['Topics'] == '3'
    assert tiles['Under-replicated'] == tiles['Offline'] == '0' and tiles['Groups'] == '2'
    assert [r[:2] for r in browser.rows('Controllers')] == [['1', 'leader']]
    browser.wait_text('2 groups need a look', '.note')


def test_brokers(consoles, browser):
    browser.open(consoles.base(), 'brokers')
    browser.wait_for(lambda: all('free' in r[6] for r in browser.rows()), 'log directories')
    rows = browser.rows()
    assert [r[0] for r in rows] == ['11 this node', '12', '13']
    for r, n in zip(rows, consoles.cluster.brokers):
        assert r[1] == 'up' and str(n.port) in r[2] and r[3] == 'rack-%d' % n.id and n.data in r[6] and 'all in sync' in r[5]
    assert sum(int(r[4].split()[0]) for r in rows) == 4 + 1 + 5


def test_topics(consoles, browser):
    browser.open(consoles.base(), 'topics')
    assert [r[0] for r in browser.rows()] == ['__consumer_offsets internal', 'alone', 'orders']
    browser.wait_for(lambda: browser.rows()[2][4] == str(RECORDS + 1) and browser.rows()[2][5] != '–', 'records and size')
    assert browser.rows()[2][1:4] == ['in sync', '4', '3']
    browser.find('#filter').send_keys('ORD')
    browser.wait_for(lambda: [r[0] for r in browser.rows()] == ['orders'], 'the filter')
    assert 'filter=ORD' in browser.driver.current_url
    browser.find('#filter').send_keys('nothing')
    browser.wait_text('No topic matches.')


def test_topic(consoles, browser):
    browser.open(consoles.base(), 'topic/orders')
    browser.wait_for(lambda: browser.rows('Partitions')[0][6] == str(RECORDS), 'the end offset')
    view = consoles.cluster.partition('orders', 0)
    row = browser.rows('Partitions')[0]
    assert row[1] == str(view['leaderId']) and row[2].split() == [str(i) for i in view['replicaNodes']] and row[3] == '3 of 3'
    assert browser.run('return document.querySelector(".chip.lead").innerText') == str(view['leaderId'])
    assert ['retention.ms', '86400000', 'topic'] in browser.rows('Settings')
    browser.find('.tools button').click()
    browser.wait_for(lambda: ['cleanup.policy', 'delete', 'default'] in browser.rows('Settings'), 'the defaults')
    browser.expect('404')
    browser.open(consoles.base(), 'topic/nothing')
    assert 'There is no topic of that name.' in browser.text('#view')


def test_groups(consoles, browser):
    browser.open(consoles.base(), 'groups')
    browser.wait_for(lambda: all(r[3] == '0' for r in browser.rows()), 'members')
    rows = {r[0]: r for r in browser.rows()}
    assert set(rows) == {'late', EVIL}
    assert rows['late'][1] == 'Empty' and 'far behind' in rows['late'][2] and 'nobody reads' in rows['late'][2] and rows['late'][5] == str(RECORDS - READ)
    browser.find('a[href="#/group/late"]').click()
    browser.wait_for(lambda: browser.rows('Partitions') == [['orders partition 0', 'nobody', str(READ), str(RECORDS), str(RECORDS - READ)]], 'the partitions')


def test_a_member_reads(consoles, browser):
    p = subprocess.Popen([binary(), 'console-consumer', '--bootstrap-server', consoles.cluster.servers, '--topic', 'orders', '--group', 'readers',
                          '--from-beginning', '--consumer-property', 'client.id=' + EVIL], stdout=subprocess.DEVNULL)
    try:
        browser.open(consoles.base(13), 'groups')
        browser.wait_for(lambda: any(r[0] == 'readers' and r[1] == 'Stable' and r[3] == '1' and r[5] == '0' for r in browser.rows()), 'a group without lag')
        browser.open(consoles.base(13), 'group/readers')
        browser.wait_for(lambda: len(browser.rows('Partitions')) == 4 and browser.rows('Members')[0][0].startswith(EVIL), 'the member')
        assert all(r[1] == EVIL for r in browser.rows('Partitions'))
    finally:
        p.terminate()
        p.wait(30)
    browser.wait_text('The group has no members now.')


def test_throughput(consoles, browser):
    p = subprocess.Popen([binary(), 'producer-perf-test', '--topic', 'alone', '--num-records', '1000000', '--record-size', '100', '--throughput', '200',
                          '--producer-props', 'bootstrap.servers=' + consoles.cluster.servers], stdout=subprocess.DEVNULL)
    try:
        browser.open(consoles.base(13), 'throughput')

        def figure(title):
            return browser.run('''return [...document.querySelectorAll('.chart')].find((c) => c.innerText.startsWith(arguments[0])).querySelector('h3 b').innerText''', title)
        browser.wait_for(lambda: figure('Records written') not in ('–', '0/s') and figure('Bytes of clients') not in ('–', '0 B/s'), 'rates')
        browser.wait_for(lambda: browser.run('return document.querySelectorAll(".chart path.line").length') >= 7, 'lines')
    finally:
        p.terminate()
        p.wait(30)


# ---- messages

def test_messages_are_hidden(consoles, browser):
    browser.open(consoles.base(11), 'messages?topic=orders')
    assert 'console.messages.enable=true' in browser.text('#view') and 'order' not in browser.text('#view .card').replace('To switch it on', '')
    browser.look()
    assert not [u for u in browser.asked if '/api/messages' in u]


def test_messages(consoles, browser):
    browser.open(consoles.base(12), 'messages?topic=orders&partition=0')
    browser.wait_text('key-%d' % (RECORDS - 1))
    first = browser.find('.message')
    assert first.text.startswith(str(RECORDS - 1))
    first.click()
    browser.wait_for(lambda: '"order": %d' % (RECORDS - 1) in browser.text('.message pre:last-of-type') or '"order"' in browser.text('.message'), 'the value')
    assert 'JSON' in browser.text('.message') and 'Header who' in browser.text('.message') and EVIL in browser.text('.message')
    browser.run('const s = [...document.querySelectorAll("form select")].at(-1); s.value = "hex"; s.dispatchEvent(new Event("change"))')
    browser.wait_for(lambda: '6b 65 79 2d' in browser.text('.message'), 'hex')
    assert browser.run('return document.querySelector(".message").open')  # polls leave it so
    browser.run('[...document.querySelectorAll(".pager button")][0].click()')
    browser.wait_for(lambda: 'key-%d' % (RECORDS - 100) in browser.text('#view'), 'older ones')


def test_html_in_messages_is_text(consoles, browser):
    browser.open(consoles.base(12), 'messages?topic=orders&partition=1')
    browser.wait_text(EVIL)
    for details in browser.run('return [...document.querySelectorAll(".message")]'):
        details.click()
    browser.wait_text(EVIL_VALUE)
    assert browser.run('return document.querySelectorAll("#view img, #view script").length') == 0


# ---- design that can be asked about

VIEWS = ['overview', 'brokers', 'topics', 'topic/orders', 'groups', 'group/late', 'throughput', 'messages?topic=orders']


def test_a_phone(consoles, browser):
    browser.screen(390, 844, phone=True)
    for view in VIEWS:
        browser.open(consoles.base(12), view)
        wide = browser.run('return [document.documentElement.scrollWidth, innerWidth]')
        assert wide[0] <= wide[1], '%s is wider than a phone: %s' % (view, wide)
        assert browser.text('h1')


def test_light_and_dark(consoles, browser):
    """Text can be read on what it stands on, in both palettes: 4.5 to 1, as WCAG has it."""
    script = '''
        const lum = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map((v) => v / 255).map((v) => (v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)); return .2126 * r + .7152 * g + .0722 * b; };
        const ground = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\\)$/.test(c)) return c; } };
        const bad = [];
        for (const e of document.querySelectorAll('h1, h2, nav a, td, th, .pill, .note, .tile span, .tile b, p, button, .chip, .sub')) {
            if (!e.innerText?.trim() || e.disabled) continue;
            const [a, b] = [lum(getComputedStyle(e).color), lum(ground(e))];
            const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
            if (ratio < 4.5) bad.push(e.className + ' ' + e.tagName + ' "' + e.innerText.slice(0, 20) + '" ' + ratio.toFixed(2));
        }
        return [getComputedStyle(document.body).backgroundColor, bad];'''
    grounds = set()
    for dark in (False, True):
        browser.screen(dark=dark)
        for view in VIEWS:
            browser.open(consoles.base(12), view)
            ground, bad = browser.run(script)
            grounds.add(ground)
            assert not bad, (view, dark, bad)
    assert len(grounds) == 2
    browser.find('#theme').click()  # auto, light: also where the system is dark
    browser.wait_for(lambda: browser.run('return getComputedStyle(document.body).backgroundColor') != ground, 'the light palette')


def test_keyboard(consoles, browser):
    browser.open(consoles.base(), 'topics')
    browser.run('document.activeElement.blur()')
    browser.press('/')
    assert browser.run('return document.activeElement.id') == 'filter'
    browser.run('document.activeElement.blur()')
    reached = set()
    for _ in range(40):
        browser.press(Keys.TAB)
        reached.add(browser.run('return document.activeElement.getAttribute("href") || document.activeElement.id || document.activeElement.tagName'))
    assert {'#/overview', '#/groups', '#/topic/orders', 'filter', 'theme', 'SELECT'} <= reached, reached
    browser.run('document.querySelector(\'nav a[href="#/groups"]\').focus()')
    browser.press(Keys.ENTER)
    browser.wait_for(lambda: browser.text('h1').startswith('Groups'), 'groups')
    assert browser.run('return document.activeElement.id') == 'main' and browser.driver.title.startswith('Groups')


# ---- trouble; these change the cluster, and mend it

def test_a_broker_that_stands_still(consoles, browser):
    """It is no longer heard, but not fenced yet: the console says so itself, and goes on."""
    node = consoles.cluster.node(13)
    browser.open(consoles.base(), 'brokers')
    node.pause()
    try:
        browser.wait_for(lambda: browser.rows()[2][1].startswith(('not answering', 'fenced')), 'its state')
        browser.wait_for(lambda: browser.rows()[2][1].startswith('fenced'), 'the fence')
        assert [row[-1].endswith('when it was last heard') for row in browser.rows()] == [False, False, True]
        assert browser.text('#live') == 'live'
    finally:
        node.resume()
    browser.wait_for(lambda: browser.rows()[2][1] == 'up' and 'last heard' not in browser.rows()[2][-1], 'its return')


def test_a_partition_that_moves(consoles, browser, tmp_path):
    """What is on its way is not missing."""
    c, node, plan = consoles.cluster, consoles.cluster.node(13), tmp_path / 'plan.json'
    c.create_topic('moves', 1, 2, assignments=[[11, 12]])
    c.wait_in_sync('moves')
    plan.write_text(json.dumps({'version': 1, 'partitions': [{'topic': 'moves', 'partition': 0, 'replicas': [11, 12, 13]}]}))
    node.pause()
    try:
        c.tool('reassign-partitions', '--execute', '--reassignment-json-file', str(plan))
        browser.expect('404')  # its metadata are those of the last round
        browser.open(consoles.base(), 'topic/moves')
        browser.wait_for(lambda: ['13' in r[2] for r in browser.rows('Partitions')] == [True], 'the move')
        assert 'all in sync' in browser.text('.tiles')
        assert browser.rows('Partitions')[0][3] == '2 of 2' and 'under-replicated' not in browser.text('#view')
        assert browser.run('return [...document.querySelectorAll(".chip.move")].map((e) => [e.innerText, e.title])') == [['13 +', 'Broker 13: being added']]
        browser.open(consoles.base(), 'topics')
        assert [r[1] for r in browser.rows() if r[0] == 'moves'] == ['in sync1 moving']
    finally:
        node.resume()
    browser.open(consoles.base(), 'topic/moves')
    browser.wait_for(lambda: browser.rows('Partitions')[0][3] == '3 of 3', 'the end of the move')
    browser.wait_text('all in sync', '.tiles')
    c.wait_unfenced()
    c.tool('topics', '--delete', '--topic', 'moves')


def test_a_killed_broker(consoles, browser):
    c, node = consoles.cluster, consoles.cluster.node(13)
    browser.open(consoles.base(), 'overview')
    node.kill()
    browser.wait_for(lambda: browser.tiles()['Brokers up'] == '2 of 3' and browser.tiles()['Offline'] == '1', 'the loss')
    assert '1 broker is fenced' in browser.text('.note') and '1 partition has no leader' in browser.text('.note')
    browser.open(consoles.base(), 'topics?sort=trouble')
    assert browser.rows()[0][:2] == ['alone', '1 offline'] and 'under-replicated' in browser.rows()[1][1]
    browser.open(consoles.base(), 'topic/orders')
    assert browser.run('return [...document.querySelectorAll(".chip.out")].map((e) => e.innerText)') == ['13'] * 4
    node.start()
    c.wait_unfenced()
    browser.open(consoles.base(), 'overview')
    browser.wait_for(lambda: browser.tiles()['Brokers up'] == '3 of 3' and browser.tiles()['Under-replicated'] == '0', 'its return')


def test_the_node_goes_away(consoles, browser):
    node = consoles.cluster.node(12)
    browser.expect(NETWORK, '503')
    browser.open(consoles.base(12), 'topics')
    node.kill()
    browser.wait_text('The node does not answer')
    assert browser.text('#live') == 'no answer' and 'orders' in browser.text('#view')  # what it said last
    node.start()
    browser.wait_for(lambda: browser.text('#live') == 'live' and not browser.text('#banner'), 'its return')
    assert 'orders' in browser.text('#view')


def test_controllers_go_away(tmp_path, browser):
    """One of three, which nobody else notices, and a second: brokers are not blamed for what the controllers do not answer."""
    port, = ports(1)
    with Cluster(tmp_path, controllers=3, brokers=2, factor=1, per_node={11: {'metrics.listener': 'http://127.0.0.1:%d' % port}}) as c:
        browser.open('http://127.0.0.1:%d/console/' % port, 'overview')
        browser.wait_text('All is well')
        second = c.active()
        first = next(n for n in c.controllers if n is not second)
        first.kill()
        browser.wait_text('Controller %d is not heard by the others' % first.id)
        assert 'After one more failure' in browser.text('.note')
        browser.wait_for(lambda: ['voter not heard'] == [r[1] for r in browser.rows('Controllers') if r[0] == str(first.id)], 'its row')
        second.kill()
        browser.wait_for(lambda: 'metadata cannot change now' in browser.text('.note'), 'the quorum is lost')
        told, end = set(), time.monotonic() + 8  # four rounds of questions
        while time.monotonic() < end:
            told.update(b['state'] for b in json.loads(get(port, '/console/api/brokers')[2])['brokers'])
        assert told == {'up'} and 'answer this node' not in browser.text('.note')
        first.start()
        second.start()
        browser.wait_text('All is well')


def test_a_controller_on_an_empty_disk(tmp_path, browser):
    """It runs, and follows nothing until its disk is admitted."""
    port, = ports(1)
    with Cluster(tmp_path, controllers=3, brokers=1, factor=1, per_node={11: {'metrics.listener': 'http://127.0.0.1:%d' % port}}) as c:
        active = c.wait_active()
        one = next(n for n in c.controllers if n is not active)
        one.kill()
        shutil.rmtree(one.data)
        one.format()
        one.launch()
        active.wait_log('a voter\'s message is refused: voter %d comes with directory' % one.id)
        browser.open('http://127.0.0.1:%d/console/' % port, 'overview')
        browser.wait_text('Controller %d is not heard by the others' % one.id, '.note.bad')
        assert 'on a disk that was not admitted' in browser.text('.note') and 'After one more failure' in browser.text('.note')
        assert [r[1] for r in browser.rows('Controllers') if r[0] == str(one.id)] == ['voter not heard']


# ---- without anything

def test_an_empty_node(tmp_path, browser):
    port, = ports(1)
    with Node(tmp_path, ['metrics.listener=http://127.0.0.1:%d' % port]) as n:
        base = 'http://127.0.0.1:%d/console/' % port
        browser.open(base, 'overview')
        browser.wait_text('All is well')
        browser.open(base, 'topics')
        browser.wait_text('There is no topic yet.')
        browser.open(base, 'groups')
        browser.wait_text('There is no group')
        assert get(port, '/healthz')[0] == 200 and n.process.poll() is None


# ---- what takes a while

@pytest.mark.slow
def test_a_lag_that_grows(consoles, browser):
    """The group's member stands still while somebody writes: half a minute later both are told; a group that keeps up has no alarm."""
    c = consoles.cluster
    c.create_topic('flow', 1, 3)
    writer = subprocess.Popen([binary(), 'producer-perf-test', '--topic', 'flow', '--num-records', '1000000', '--record-size', '100', '--throughput', '100',
                               '--producer-props', 'bootstrap.servers=' + c.servers], stdout=subprocess.DEVNULL)
    reader = subprocess.Popen([binary(), 'console-consumer', '--bootstrap-server', c.servers, '--topic', 'flow', '--group', 'keeps-up'], stdout=subprocess.DEVNULL)
    try:
        status, out, err = millrace('console-consumer', '--bootstrap-server', c.servers, '--topic', 'flow', '--group', 'stuck', '--max-messages', '10')
        assert status == 0, out + err
        b = browser
        b.seconds = LONG
        b.open(consoles.base(), 'groups')
        b.wait_for(lambda: any(r[0] == 'stuck' and 'lag grows' in r[2] and 'nobody reads' in r[2] for r in b.rows()), 'the alarm')
        assert [r[2] for r in b.rows() if r[0] == 'keeps-up'] == ['none']
    finally:
        for p in (writer, reader):
            p.terminate()
            p.wait(30)
