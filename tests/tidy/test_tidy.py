"""The rules of tidy.py that read Python, tried on what they must find and on what they must leave."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tidy

TWICE = '''
def test_moves(cluster):
    pass

def test_other():
    def inner(): pass
    def inner(): pass

def test_moves(cluster):
    pass

class Node:
    def stop(self): pass
    async def stop(self): pass
'''
ONCE = '''
class A:
    @property
    def port(self): return 1
    @port.setter
    def port(self, v): pass
    def stop(self): pass

class B:
    def stop(self): pass

if A:
    def load(): pass
else:
    def load(): pass

def stop():
    def load(): pass
'''


def test_a_name_that_is_defined_twice():
    assert tidy.defined_twice(TWICE) == [(7, 'inner'), (9, 'test_moves'), (14, 'stop')]
    assert tidy.defined_twice(ONCE) == []


def test_all_python_of_the_tree_is_read():
    files = {os.path.relpath(p, tidy.ROOT) for p in tidy.python_files()}
    assert {'tests/tidy/tidy.py', 'tests/tools/test_json.py', 'tests/cluster/cluster.py'} <= files
    assert any('.' not in os.path.basename(f) for f in files)  # what says it in its first line
    assert not any(f.startswith('build/') for f in files)
