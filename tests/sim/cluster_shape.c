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

static void configure(struct cluster_run *cr, const char *text, const char *voters)
{
    for (unsigned i = 0; i < cr->nr.w.machines_n; i++) {
        struct machine *m = &cr->nr.w.machines[i];
        const struct cluster_member *mb = &cr->members[i];
        bool both = mb->broker && mb->controller;
        add(m->config, "process.roles=%s\nnode.id=%d\ncontroller.quorum.voters=%s\n",
            both         ? "broker,controller"
            : mb->broker ? "broker"
                         : "controller",
            m->node_id, voters);
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

/* The machines with empty disks, what each is, and where the voters are. */
static void make_machines(struct cluster_run *cr, const struct shape *s, char *voters)
{
    unsigned n = s->combined ? s->brokers : s->controllers + s->brokers;
    world_init(&cr->nr.w, cr->nr.r, n, NODE_DISK_BYTES);
    for (unsigned i = 0; i < n; i++) {
        struct machine *m = &cr->nr.w.machines[i];
        cr->members[i].controller = i < s->controllers;
        cr->members[i].broker = s->combined || i >= s->controllers;
        m->node_id =
            (cr->members[i].broker ? 1 : 101) + (int32_t)(s->combined ? i : i % s->controllers);
        if (cr->members[i].controller) {
            add(voters, "%s%d@%s:%d", i > 0 ? "," : "", m->node_id, m->host->ip,
                WORLD_CONTROLLER_PORT);
        }
    }
    for (unsigned i = s->controllers; !s->combined && i < n; i++) {
        cr->nr.w.machines[i].node_id = 1 + (int32_t)(i - s->controllers);
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
    configure(cr, text, voters);
    world_format(&cr->nr.w);
    run_note(r, "%u controllers%s, %u brokers; min.insync.replicas=%d", s.controllers,
             s.combined ? " (brokers too)" : "", s.brokers, cr->min_isr);
}

void cluster_make_plain(struct cluster_run *cr, unsigned brokers, const char *text)
{
    struct shape s = {.controllers = 1, .brokers = brokers};
    char voters[WORLD_CONFIG] = "";
    cr->nr.w.dirs = 1;
    make_machines(cr, &s, voters);
    configure(cr, text, voters);
    world_format(&cr->nr.w);
}
