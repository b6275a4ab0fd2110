/* Scenario `cluster`: a controller that is no voter (docs/quorum.md). What it does with the
 * metadata cluster_watch.c sees, as of any controller: the same image at the same offset, never in
 * the lead, caught up when all is well. Here, when all is well and by its own answers: it names the
 * active controller and all others, and the active one has it among the observers. */
#include <stdio.h>

#include "sim/cluster_run.h"

enum { LIMIT_US = 60000000, PAUSE_US = 200000, CONTROLLERS = 2 };

static void ask(struct node_run *nr, struct machine *m, int16_t api_key, int16_t version,
                const void *request, void *out)
{
    struct machine *before = nr->m;
    sim_client_close(&nr->checker);
    nr->m = m;
    nr->checker_port = WORLD_CONTROLLER_PORT;
    if (!check_call(nr, api_key, version, request, out, LIMIT_US)) {
        run_fail(nr->r, "node %d does not answer", m->node_id);
    }
    sim_client_close(&nr->checker);
    nr->checker_port = 0;
    nr->m = before;
}

/* Everybody whom it names is there, and the other way round. */
static bool names_all(struct cluster_run *cr, struct machine *observer, char *why, size_t n)
{
    struct describe_cluster_request q;
    struct describe_cluster_response a;
    const struct machine *active = cluster_active(cr);
    proto_msg_init(&describe_cluster_request_msg, &q);
    q.endpoint_type = CONTROLLERS;
    ask(&cr->nr, observer, API_DESCRIBE_CLUSTER, 1, &q, &a);
    RUN_CHECK(cr->nr.r, a.error_code == 0);
    uint32_t named = 0;
    uint32_t all = 0;
    for (int32_t i = 0; i < a.brokers_n; i++) {
        unsigned at = cluster_index_of(cr, a.brokers[i].broker_id);
        RUN_CHECK(cr->nr.r, bytes_eq_str(a.brokers[i].host, cr->nr.w.machines[at].host->ip));
        named |= 1u << at;
    }
    for (unsigned i = 0; i < cr->nr.w.machines_n; i++) {
        all |= (uint32_t)cr->members[i].controller << i;
    }
    snprintf(why, n, "controllers %x of %x, %d is active", named, all, a.controller_id);
    return active != NULL && a.controller_id == active->node_id && named == all;
}

/* The active one has it among the observers, with all that is committed. */
static bool is_seen(struct cluster_run *cr, const struct machine *observer, char *why, size_t n)
{
    struct describe_quorum_request q;
    struct describe_quorum_request_topic_data topic;
    struct describe_quorum_request_partition_data part;
    struct describe_quorum_response a;
    struct machine *active = cluster_active(cr);
    snprintf(why, n, "nobody is active");
    if (active == NULL) {
        return false;
    }
    proto_msg_init(&describe_quorum_request_msg, &q);
    proto_init(&describe_quorum_request_topic_data_desc, &topic);
    proto_init(&describe_quorum_request_partition_data_desc, &part);
    q.topics = &topic;
    q.topics_n = 1;
    topic.topic_name = bytes_str("__cluster_metadata");
    topic.partitions = &part;
    topic.partitions_n = 1;
    ask(&cr->nr, active, API_DESCRIBE_QUORUM, 1, &q, &a);
    snprintf(why, n, "not among the observers");
    if (a.error_code != 0 || a.topics_n != 1) {
        return false;
    }
    const struct describe_quorum_response_partition_data *p = &a.topics[0].partitions[0];
    for (int32_t i = 0; i < p->current_voters_n; i++) {
        RUN_CHECK(cr->nr.r, p->current_voters[i].replica_id != observer->node_id);
    }
    for (int32_t i = 0; i < p->observers_n; i++) {
        if (p->observers[i].replica_id == observer->node_id) {
            snprintf(why, n, "it has the metadata up to %lld of %lld",
                     (long long)p->observers[i].log_end_offset, (long long)p->high_watermark);
            return p->observers[i].log_end_offset >= p->high_watermark;
        }
    }
    return false;
}

static void check(struct cluster_run *cr, struct machine *observer)
{
    char why[100] = "";
    int64_t until = cr->nr.w.sim->clock.now_us + LIMIT_US;
    while (!names_all(cr, observer, why, sizeof(why)) || !is_seen(cr, observer, why, sizeof(why))) {
        if (cr->nr.w.sim->clock.now_us > until) {
            run_fail(cr->nr.r, "node %d, a controller that is no voter: %s", observer->node_id,
                     why);
        }
        world_run(&cr->nr.w, PAUSE_US, NULL, NULL);
    }
}

void cluster_observers_check(struct cluster_run *cr)
{
    for (unsigned i = 0; i < cr->nr.w.machines_n; i++) {
        if (cr->members[i].observer) {
            check(cr, &cr->nr.w.machines[i]);
        }
    }
}
