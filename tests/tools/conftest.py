import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../lib'))

import pytest
from node import Node


@pytest.fixture(scope='module')
def node(tmp_path_factory):
    with Node(tmp_path_factory.mktemp('node')) as n:
        yield n
