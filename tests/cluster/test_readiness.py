"""/healthz and /readyz through a node's life: start, loss of the controllers, stop."""
import signal

from cluster import Cluster, wait
from monitor import SETTING, get, port_of

SESSION_MS = 3000


def port(n):
    return port_of(n.text)


def wait_ready(n, status, words):
    """Waits for the answer; the node is alive all the time."""
    at, last = port(n), []

    def look():
        last[:] = get(at, '/readyz')
        assert get(at, '/healthz')[0] == 200
        return last[0] == status and words in last[2]
    wait(look, lambda: '%r: wanted %d "%s", got %s\n%s' % (n, status, words, last, n.text()[-2000:]), 60)


def test_ready_through_life(tmp_path):
    c = Cluster(tmp_path, controllers=3, brokers=1, factor=1,
                settings={'metrics.listener': SETTING, 'broker.session.timeout.ms': SESSION_MS, 'controlled.shutdown.enable': 'true'})
    try:
        c.format()
        broker, controllers = c.node(11), c.controllers
        broker.launch()
        wait_ready(broker, 503, 'broker: not registered')
        controllers[0].launch()
        wait_ready(controllers[0], 503, 'controller: the quorum has no leader')
        for n in controllers[1:]:
            n.launch()
        for n in controllers:
            wait_ready(n, 200, 'ready')
        wait_ready(broker, 200, 'ready')
        broker.wait_ready()
        for n in controllers:  # nobody fences the broker now, and it knows that somebody would
            n.pause()
        wait_ready(broker, 503, 'broker: no controller has answered a heartbeat for')
        for n in controllers:
            n.resume()
        wait_ready(broker, 200, 'ready')
        for n in controllers:  # the broker's stop waits for their consent
            n.pause()
        broker.signal(signal.SIGTERM)
        wait_ready(broker, 503, 'broker: the node stops')
        for n in controllers:
            n.resume()
        assert broker.process.wait(60) == 0
        c.stop()
        for n in c.nodes:
            c.clean(n)
    except BaseException:
        c.fail()
        raise
