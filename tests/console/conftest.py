import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '../cluster'), os.path.join(HERE, '../lib'), os.path.join(HERE, '..')]


def pytest_configure(config):
    config.addinivalue_line('markers', 'slow: not in the short form')
