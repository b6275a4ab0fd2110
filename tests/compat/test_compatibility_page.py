"""docs/COMPATIBILITY.md says what a node advertises: every API, its key and its versions, no more and no less."""
import os
import re
import sys

from node import ROOT

sys.path.insert(0, os.path.join(ROOT, 'tests'))
from kafkawire import Codec, Connection  # noqa: E402


def table():
    page = open(os.path.join(ROOT, 'docs/COMPATIBILITY.md')).read()
    rows = re.findall(r'^\| (\w+) \| (\d+) \| (\d+)(?:-(\d+))? \| \d+\.\d+\.\d+ \|$', page, re.M)
    return {name: (int(key), int(low), int(high or low)) for name, key, low, high in rows}


def test_the_table_is_what_is_advertised(node):
    codec = Codec()
    c = Connection('127.0.0.1', node.port, codec)
    answer = c.ask('ApiVersions', 4, {'clientSoftwareName': 'page', 'clientSoftwareVersion': '1'})
    names = {m.key: name.removesuffix('Request') for name, m in codec.messages.items() if name.endswith('Request')}
    assert table() == {names[k['apiKey']]: (k['apiKey'], k['minVersion'], k['maxVersion']) for k in answer['apiKeys']}
    c.close()
