import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ('.', '../cluster', '../lib'):
    sys.path.insert(0, os.path.join(HERE, folder))

import pytest  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line('markers', 'slow: not in the short form, which CI runs')


def pytest_collection_modifyitems(items):
    why = os.environ.get('MILLRACE_NO_ENGINE')
    for item in items if why else ():
        if 'engine' in item.fixturenames:
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope='session')
def engine():
    """Says that a test needs a Docker engine, and the image that run.sh builds."""
    assert 'MILLRACE_IMAGE' in os.environ, 'tests/deploy/run.sh starts these tests'


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what the containers of its project said."""
    outcome = yield
    report, project = outcome.get_result(), getattr(item, 'funcargs', {}).get('cluster')
    if report.failed and project:
        report.sections.append(('logs of ' + project.project, project.said()))
