"""The figures of docs/PERFORMANCE.md about the cluster of docker-compose: the image over its base, the time from `up` until all six nodes are ready,
memory and processor of the idle cluster. Each is asserted against what issue and documentation promise."""
import os
import sys
import time
from datetime import datetime

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ('.', '../cluster', '../lib'):
    sys.path.insert(0, os.path.join(HERE, folder))

from engine import READY, docker, image  # noqa: E402
from members import wait  # noqa: E402
from test_cluster import NODES, project  # noqa: E402

RUNS, IDLE_SECONDS = 5, 30


def moment(text):
    """A time as the engine writes it, in seconds."""
    day, _, fraction = text.partition('.')
    return datetime.fromisoformat(day + '+00:00').timestamp() + float('0.' + fraction.rstrip('Z'))


def ready_at(c):
    line = next(x for x in docker('logs', '-t', c.name, check=False)[1].splitlines() if READY in x)
    return moment(line.split()[0])


def cgroup(pid, controller):
    """The folder of a process's control group, of version 1 or 2."""
    for line in open('/proc/%d/cgroup' % pid):
        _, names, path = line.strip().split(':', 2)
        if controller in names.split(','):
            return '/sys/fs/cgroup/%s%s' % (controller, path)
    return '/sys/fs/cgroup' + path


def memory(c):
    """What `docker stats` counts: all of the group without the page cache that can go."""
    folder = cgroup(c.inspect('.State.Pid'), 'memory')
    used, inactive = ('memory.usage_in_bytes', 'total_inactive_file') if 'memory/' in folder else ('memory.current', 'inactive_file')
    stat = dict(line.split() for line in open(os.path.join(folder, 'memory.stat')))
    return int(open(os.path.join(folder, used)).read()) - int(stat[inactive])


def cpu_seconds(c):
    t = open('/proc/%d/stat' % c.inspect('.State.Pid')).read().rpartition(')')[2].split()
    return (int(t[11]) + int(t[12])) / os.sysconf('SC_CLK_TCK')


def main():
    size = {i: int(docker('image', 'inspect', '-f', '{{.Size}}', i)) / 1e6 for i in (image(), os.environ['MILLRACE_BASE'])}
    print('image: %.1f MB, %.1f MB over its base' % (size[image()], size[image()] - size[os.environ['MILLRACE_BASE']]))
    ready, after_up = [], []
    for _ in range(RUNS):
        with project() as p:
            begun = time.time()
            p.up()
            returned = time.time()
            nodes = [p.service(n) for n in NODES]
            for c in nodes:
                wait(lambda: READY in c.logs(), c.logs, 60)
            last = max(map(ready_at, nodes))
            ready.append(last - begun)
            after_up.append(last - returned)
            if len(ready) < RUNS:
                continue
            for c in nodes:
                c.wait_healthy()
            before, start = sum(map(cpu_seconds, nodes)), time.time()
            time.sleep(IDLE_SECONDS)  # what is measured is an idle while, not an event
            cpu = (sum(map(cpu_seconds, nodes)) - before) / (time.time() - start)
            total = sum(map(memory, nodes)) / (1 << 20)
    print('ready: %s s from the call of up, of which %s s after it returned' % (' '.join('%.1f' % s for s in sorted(ready)),
                                                                               ' '.join('%.1f' % s for s in sorted(after_up))))
    print('idle: %.0f MiB in all, %.1f %% of a core' % (total, 100 * cpu))
    assert size[image()] - size[os.environ['MILLRACE_BASE']] < 20 and total < 200 and max(after_up) < 5


main()
