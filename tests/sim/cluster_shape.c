/* Scenario `cluster`, its shape: how many controllers and brokers, in separate or combined nodes,
 * and the configuration of each. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "sim/cluster_run.h"

#define SELECTOR "org.apache.kafka.common.replica.RackAwareReplicaSelector"

struct shape {
    unsigned controllers;
    unsigned brokers;
    bool combined; /* controllers are brokers too */
    bool observer; /* one more controller, that is no voter */
    bool servers;  /* brokers find the voters by controller.quorum.bootstrap.servers */
};

static struct shape draw(struct run *r)
{
    struct shape s = {.controllers = 3, .brokers = 3};
    if (run_chance(r, 25)) {
        s.controllers = 1;
    } else if (run_chance(r, 10)) {
        s.controllers = CLUSTER_VOTERS;
    }
    if (run_chance(r, 25)) {
        s.brokers = 4; /* so that partitions have somewhere to go */
    } else if (run_chance(r, 35)) {
        s.brokers = 1 + (unsigned)run_below(r, 3);
    }
    s.combined = run_chance(r, 25) && s.brokers >= s.controllers;
    s.observer = run_chance(r, 30);
    s.servers = run_chance(r, 25);
    return s;
}

static void add(char *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(char *text, const char *fmt, ...)
{
    size_t at = strlen(text);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text + at, WORLD_CONFIG - at, fmt, ap);
    va_end(ap);
    ASSERT(n >= 0 && (size_t)n < WORLD_CONFIG - at);
}

/* What all nodes have alike. */
static void common(struct cluster_run *cr, const struct shape *s, char *text)
{
    struct run *r = cr->nr.r;
    int64_t session = 1500 + (int64_t)run_below(r, 3000);
    cr->min_isr = s->brokers >= 3 && run_chance(r, 70) ? 2 : 1;
    add(text, "controller.listener.names=CONTROLLER\n");
    add(text, "io.threads=%d\n", 1 + (int)run_chance(r, 30));
    add(text, "auto.create.topics.enable=false\n");
    add(text, "broker.session.timeout.ms=%lld\n", (long long)session);
    add(text, "broker.heartbeat.interval.ms=%lld\n", (long long)(session / 4));
    add(text, "replica.lag.time.max.ms=%d\n", 1000 + (int)run_below(r, 3000));
    add(text, "replica.fetch.backoff.ms=%d\n", 20 + (int)run_below(r, 300));
    add(text, "controller.raft.election.timeout.ms=%d\n", CLUSTER_ELECTION_MS);
    add(text, "min.insync.replicas=%d\n", cr->min_isr);
    add(text, "offsets.topic.num.partitions=2\n");
    add(text, "group.min.session.timeout.ms=500\n");
    add(text, "group.initial.rebalance.delay.ms=%d\n", run_chance(r, 50) ? 0 : 1000);
    add(text, "offsets.topic.replication.factor=%u\n", s->brokers < 3 ? s->brokers : 3);
    add(text, "shutdown.timeout.ms=%d\n", 2000 + (int)run_below(r, 5000));
    if (run_chance(r, CLUSTER_SNAPSHOTS)) {
        add(text, "metadata.log.max.record.bytes.between.snapshots=%d\n",
            500 + (int)run_below(r, 5000));
    }
    if (run_chance(r, 30)) {
        add(text, "leader.imbalance.check.interval.seconds=1\n");
    }
}

/* How the node finds the quorum. Whoever is no voter needs no more than one controller to begin
 * with, which may be any. */
static void put_quorum(struct cluster_run *cr, const struct shape *s, struct machine *m,
                       const char *voters)
{
    const struct cluster_member *mb = &cr->members[m->index];
    if (!mb->observer && (mb->controller || !s->servers)) {
        add(m->config, "controller.quorum.voters=%s\n", voters);
        return;
    }
    const char *between = "controller.quorum.bootstrap.servers=";
    bool all = run_chance(cr->nr.r, 50);
    uint64_t one = run_below(cr->nr.r, s->controllers);
    for (unsigned i = 0; i < cr->nr.w.machines_n; i++) {
        bool named = cr->members[i].controller && i != m->index &&
                     (all || i == one || cr->members[i].observer);
        if (named) {
            add(m->config, "%s%s:%d", between, cr->nr.w.machines[i].host->ip,
                WORLD_CONTROLLER_PORT);
            between = ",";
        }
    }
    add(m->config, "\n");
}

static void configure(struct cluster_run *cr, const struct shape *s, const char *text,
                      const char *voters)
{
    for (unsigned i = 0; i < cr->nr.w.machines_n; i++) {
        struct machine *m = &cr->nr.w.machines[i];
        const struct cluster_member *mb = &cr->members[i];
        bool both = mb->broker && mb->controller;
        add(m->config, "process.roles=%s\nnode.id=%d\n",
            both         ? "broker,controller"
            : mb->broker ? "broker"
                         : "controller",
            m->node_id);
        put_quorum(cr, s, m, voters);
        add(m->config, "listeners=");
        if (mb->broker) {
            add(m->config, "PLAINTEXT://%s:%d%s", m->host->ip, WORLD_PORT, both ? "," : "");
        }
        if (mb->controller) {
            add(m->config, "CONTROLLER://%s:%d", m->host->ip, WORLD_CONTROLLER_PORT);
        }
        add(m->config, "\n%s", text);
        if (mb->broker && cr->nr.racks > 0) {
            add(m->config, "broker.rack=r%u\nreplica.selector.class=" SELECTOR "\n",
                m->index % cr->nr.racks);
        }
        if (mb->broker) {
            cr->nr.brokers[cr->nr.brokers_n++] = m;
        }
    }
}

/* The i-th machine: controllers come first, brokers then, unless they are both, and one that
 * follows the quorum last. */
static void cast(struct cluster_run *cr, const struct shape *s, unsigned i)
{
    struct cluster_member *mb = &cr->members[i];
    unsigned before = s->combined ? 0 : s->controllers;
    mb->controller = i < s->controllers;
    mb->broker = i >= before && i < before + s->brokers;
    mb->observer = !mb->controller && !mb->broker;
    mb->controller |= mb->observer;
    cr->nr.w.machines[i].node_id = (int32_t)(mb->broker ? 1 + i - before : 101 + i);
}

/* The machines with empty disks, what each is, and where the voters are. */
static void make_machines(struct cluster_run *cr, const struct shape *s, char *voters)
{
    unsigned n = (s->combined ? s->brokers : s->controllers + s->brokers) + s->observer;
    world_init(&cr->nr.w, cr->nr.r, n, NODE_DISK_BYTES);
    for (unsigned i = 0; i < n; i++) {
        struct machine *m = &cr->nr.w.machines[i];
        cast(cr, s, i);
        if (cr->members[i].controller && !cr->members[i].observer) {
            add(voters, "%s%d@%s:%d", i > 0 ? "," : "", m->node_id, m->host->ip,
                WORLD_CONTROLLER_PORT);
        }
    }
    cr->controllers_n = s->controllers;
    cr->nr.factor_max = (uint8_t)(CLUSTER_FACTOR < s->brokers ? CLUSTER_FACTOR : s->brokers);
}

void cluster_make(struct cluster_run *cr)
{
    struct run *r = cr->nr.r;
    struct shape s = draw(r);
    char text[WORLD_CONFIG] = "";
    char voters[WORLD_CONFIG] = "";
    cr->nr.w.dirs = log_dirs_drawn(r);
    make_machines(cr, &s, voters);
    cr->nr.racks = run_chance(r, 50) ? (uint8_t)(1 + run_below(r, 3)) : 0;
    common(cr, &s, text);
    configure(cr, &s, text, voters);
    world_format(&cr->nr.w);
    run_note(r, "%u controllers%s%s, %u brokers; min.insync.replicas=%d", s.controllers,
             s.combined ? " (brokers too)" : "", s.observer ? " and one that is no voter" : "",
             s.brokers, cr->min_isr);
}

void cluster_make_plain(struct cluster_run *cr, unsigned controllers, unsigned brokers,
                        const char *text)
{
    struct shape s = {.controllers = controllers, .brokers = brokers};
    char voters[WORLD_CONFIG] = "";
    cr->nr.w.dirs = 1;
    make_machines(cr, &s, voters);
    configure(cr, &s, text, voters);
    world_format(&cr->nr.w);
}
