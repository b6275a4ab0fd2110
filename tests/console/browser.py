"""A headless Chromium for tests of the console, by Debian's chromedriver and python3-selenium.

    with Browser() as b:
        b.open('http://127.0.0.1:9644/console/', 'topics')
        b.wait_text('orders')

It keeps what the pages ask for and what they complain of: end() fails if anything but the page's own host was asked, or an error stands in the
console that was not expected(). Each browser has a profile of its own in an empty folder."""
import json
import shutil
import tempfile
import urllib.parse

from members import wait
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys  # noqa: F401

SECONDS = 60
ARGUMENTS = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
             '--disable-component-update', '--disable-sync', '--disable-extensions', '--disable-dev-shm-usage', '--window-size=1280,900']


class Browser:
    def __init__(self, seconds=SECONDS):
        self.seconds, self.profile, self.asked, self.errors, self.allowed = seconds, tempfile.mkdtemp(prefix='console-'), [], [], []
        options = Options()
        for a in ARGUMENTS + ['--user-data-dir=' + self.profile]:
            options.add_argument(a)
        options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
        self.driver = webdriver.Chrome(service=Service('/usr/bin/chromedriver'), options=options)
        self.base = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        try:
            if exc[0] is None:
                self.end()
        finally:
            self.driver.quit()
            shutil.rmtree(self.profile, ignore_errors=True)

    # ---- what it did

    def look(self):
        for entry in self.driver.get_log('browser'):
            if entry['level'] == 'SEVERE':
                self.errors.append(entry['message'])
        for entry in self.driver.get_log('performance'):
            m = json.loads(entry['message'])['message']
            if m['method'] in ('Network.requestWillBeSent', 'Network.webSocketCreated'):
                self.asked.append(m['params'].get('request', m['params'])['url'])

    def expect(self, *parts):
        """Errors that contain one of these are what the test is about: a node that does not answer is told by the browser too."""
        self.allowed += parts

    def end(self):
        self.look()
        host = urllib.parse.urlsplit(self.base).netloc
        others = [u for u in self.asked if urllib.parse.urlsplit(u).netloc != host and not u.startswith(('data:', 'about:', 'chrome:'))]
        assert self.asked and not others, 'asked other hosts: %s' % others
        bad = [e for e in self.errors if not any(part in e for part in self.allowed)]
        assert not bad, 'errors in the console: %s' % bad

    # ---- pages

    def open(self, base, view):
        """view: what stands behind #/. Waits until it is shown."""
        self.base = base
        name = view.split('/')[0].split('?')[0]
        self.run("delete document.documentElement.dataset.shown")
        self.driver.get(base + '#/' + view)
        wait(lambda: self.run('return document.documentElement.dataset.shown') == name, lambda: '%s is not shown:\n%s' % (view, self.text()), self.seconds)

    def run(self, script, *args):
        return self.driver.execute_script(script, *args)

    def text(self, selector='body'):
        """Of the first element of that kind; '' if there is none."""
        return self.run('return document.querySelector(arguments[0])?.innerText ?? ""', selector)

    def rows(self, heading=None):
        """Cells' texts of the first table behind a heading (h1, h2) that begins so."""
        return self.run('''
            const heads = [...document.querySelectorAll('#view h1, #view h2')];
            const at = arguments[0] === null ? heads[0] : heads.find((h) => h.innerText.startsWith(arguments[0]));
            const all = [...document.querySelectorAll('#view table')];
            const table = all.find((t) => at && at.compareDocumentPosition(t) & Node.DOCUMENT_POSITION_FOLLOWING);
            return table ? [...table.tBodies[0].rows].map((r) => [...r.cells].map((c) => c.innerText.replace(/\\s+/g, ' ').trim())) : [];''', heading)

    def tiles(self):
        """{label: value}"""
        return self.run('''return Object.fromEntries([...document.querySelectorAll('.tile')].map((t) =>
            [t.children[0].innerText, t.children[1].innerText.replace(/\\s+/g, ' ')]))''')

    def wait_for(self, condition, what='it'):
        """condition(): what is awaited, asked again and again while the page polls."""
        wait(condition, lambda: '%s did not come:\n%s' % (what, self.text()), self.seconds)

    def wait_text(self, text, selector='body'):
        self.wait_for(lambda: text in self.text(selector), text)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def press(self, *keys):
        self.driver.switch_to.active_element.send_keys(*keys)

    def screen(self, width=1280, height=900, dark=False, phone=False):
        self.driver.execute_cdp_cmd('Emulation.setEmulatedMedia', {'features': [{'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}]})
        self.driver.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', {'width': width, 'height': height, 'deviceScaleFactor': 1, 'mobile': phone})
