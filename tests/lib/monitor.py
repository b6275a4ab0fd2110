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
