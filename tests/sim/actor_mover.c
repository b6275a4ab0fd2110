/* An administrator of replicas, in a cluster: moves partitions to other brokers and thinks better
 * of it, asks for elections, preferred and unclean, and changes min.insync.replicas and
 * unclean.leader.election.enable.
 *
 * What it asks for lowers what clients may count on from the moment of asking (topic.min_isr,
 * topic.unclean, topic.moved), since nobody knows when it is done. An end without a success leaves
 * that open. */
#include <stdio.h>

#include "base/mem.h"
#include "sim/node_run.h"

enum { CALL_US = 6000000, PREFERRED = 0, UNCLEAN = 1, REPLICAS_MAX = 4 };

struct mover_actor {
    struct actor a;
    struct topic *topic; /* of the call in flight */
    int32_t partition;
    int32_t value;
    bool cancels;
};

static struct mover_actor *of(struct actor *a)
{
    return CONTAINER_OF(a, struct mover_actor, a);
}

static bool legal(int16_t code, const int16_t *codes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (codes[i] == code) {
            return true;
        }
    }
    return node_run_retriable(code);
}

/* ---- moves ---- */

static void on_move(struct sim_call *call, int err, struct bytes body)
{
    static const int16_t codes[] = {0, KE_INVALID_REPLICATION_FACTOR, KE_INVALID_REPLICA_ASSIGNMENT,
                                    KE_NO_REASSIGNMENT_IN_PROGRESS};
    struct mover_actor *mv = call->user;
    struct node_run *nr = mv->a.nr;
    if (err == 0) {
        struct arena arena = {0};
        struct alter_partition_reassignments_response resp;
        node_run_decode(nr, call, body, &arena, &resp);
        int16_t code = resp.error_code;
        if (code == 0) {
            RUN_CHECK(nr->r, resp.responses_n == 1 && resp.responses[0].partitions_n == 1);
            code = resp.responses[0].partitions[0].error_code;
        }
        if (!legal(code, codes, ARRAY_LEN(codes)) ||
            (code == KE_NO_REASSIGNMENT_IN_PROGRESS && !mv->cancels)) {
            run_fail(nr->r, "%s-%d: AlterPartitionReassignments is answered %d", mv->topic->name,
                     mv->partition, code);
        }
        arena_free(&arena);
    }
    actor_done(&mv->a);
}

/* Some of the brokers, in any order. */
static int32_t draw_target(struct node_run *nr, int32_t n, int32_t *out)
{
    int32_t ids[WORLD_MACHINES_MAX];
    uint64_t left = nr->brokers_n;
    for (unsigned i = 0; i < nr->brokers_n; i++) {
        ids[i] = nr->brokers[i]->node_id;
    }
    n = n < 1 ? 1 : n < (int32_t)left ? n : (int32_t)left;
    for (int32_t i = 0; i < n; i++) {
        uint64_t k = run_below(nr->r, left);
        out[i] = ids[k];
        ids[k] = ids[--left];
    }
    return n;
}

static void move(struct mover_actor *mv, struct topic *t)
{
    struct node_run *nr = mv->a.nr;
    struct alter_partition_reassignments_request req;
    struct alter_partition_reassignments_request_reassignable_topic topic;
    struct alter_partition_reassignments_request_reassignable_partition p;
    int32_t target[REPLICAS_MAX];
    proto_msg_init(&alter_partition_reassignments_request_msg, &req);
    proto_init(&alter_partition_reassignments_request_reassignable_topic_desc, &topic);
    proto_init(&alter_partition_reassignments_request_reassignable_partition_desc, &p);
    mv->topic = t;
    mv->partition = (int32_t)run_below(nr->r, (uint64_t)t->parts_n);
    mv->cancels = run_chance(nr->r, 25);
    req.timeout_ms = 5000;
    req.topics = &topic;
    req.topics_n = 1;
    topic.name = bytes_str(t->name);
    topic.partitions = &p;
    topic.partitions_n = 1;
    p.partition_index = mv->partition;
    p.replicas = NULL;
    p.replicas_n = -1;
    if (!mv->cancels) {
        int32_t factor = t->factor + (run_chance(nr->r, 20) ? (int32_t)run_below(nr->r, 3) - 1 : 0);
        p.replicas = target;
        p.replicas_n = draw_target(nr, factor, target);
        t->moved = true;
        t->min_isr = t->min_isr < p.replicas_n ? t->min_isr : p.replicas_n;
    }
    sim_client_call(mv->a.c, API_ALTER_PARTITION_REASSIGNMENTS, (int16_t)run_below(nr->r, 2), &req,
                    CALL_US, on_move, mv);
}

/* ---- elections ---- */

static void on_elect(struct sim_call *call, int err, struct bytes body)
{
    static const int16_t codes[] = {0, KE_ELECTION_NOT_NEEDED, KE_PREFERRED_LEADER_NOT_AVAILABLE,
                                    KE_ELIGIBLE_LEADERS_NOT_AVAILABLE};
    struct mover_actor *mv = call->user;
    struct node_run *nr = mv->a.nr;
    if (err == 0) {
        struct arena arena = {0};
        struct elect_leaders_response resp;
        node_run_decode(nr, call, body, &arena, &resp);
        int16_t code = resp.error_code;
        if (code == 0) {
            RUN_CHECK(nr->r, resp.replica_election_results_n == 1 &&
                                 resp.replica_election_results[0].partition_result_n == 1);
            code = resp.replica_election_results[0].partition_result[0].error_code;
        }
        if (!legal(code, codes, ARRAY_LEN(codes))) {
            run_fail(nr->r, "%s-%d: ElectLeaders is answered %d", mv->topic->name, mv->partition,
                     code);
        }
        arena_free(&arena);
    }
    actor_done(&mv->a);
}

static void elect(struct mover_actor *mv, struct topic *t, int8_t type)
{
    struct node_run *nr = mv->a.nr;
    struct elect_leaders_request req;
    struct elect_leaders_request_topic_partitions p;
    proto_msg_init(&elect_leaders_request_msg, &req);
    proto_init(&elect_leaders_request_topic_partitions_desc, &p);
    mv->topic = t;
    mv->partition = (int32_t)run_below(nr->r, (uint64_t)t->parts_n);
    req.election_type = type;
    req.topic_partitions = &p;
    req.topic_partitions_n = 1;
    req.timeout_ms = 5000;
    p.topic = bytes_str(t->name);
    p.partitions = &mv->partition;
    p.partitions_n = 1;
    if (type == UNCLEAN) {
        topic_unclean(nr, t);
    }
    int16_t version = type == UNCLEAN ? (int16_t)(1 + run_below(nr->r, 2)) : 0;
    sim_client_call(mv->a.c, API_ELECT_LEADERS, version, &req, CALL_US, on_elect, mv);
}

/* ---- settings ---- */

static void on_alter(struct sim_call *call, int err, struct bytes body)
{
    struct mover_actor *mv = call->user;
    struct topic *t = mv->topic;
    int16_t code = actor_set_code(mv->a.nr, t, call, err, body);
    t->settings_open = t->settings_open || code != 0;
    if (code == 0 && mv->value > 0) {
        t->min_isr_set = mv->value;
    } else if (code == 0) {
        t->unclean_set = mv->value < 0;
    }
    actor_done(&mv->a);
}

/* value: of min.insync.replicas; or -1, 0: unclean.leader.election.enable or not. */
static void alter(struct mover_actor *mv, struct topic *t, int32_t value)
{
    char text[16];
    const char *name = "unclean.leader.election.enable";
    mv->topic = t;
    mv->value = value;
    if (value > 0) {
        name = "min.insync.replicas";
        snprintf(text, sizeof(text), "%d", value);
        t->min_isr = t->min_isr < value ? t->min_isr : value;
    } else {
        snprintf(text, sizeof(text), "%s", value < 0 ? "true" : "false");
        if (value < 0) {
            topic_unclean(mv->a.nr, t);
        }
    }
    actor_set(&mv->a, t, name, text, on_alter, mv);
}

static void mover_step(struct actor *a)
{
    struct mover_actor *mv = of(a);
    struct node_run *nr = a->nr;
    struct topic *t = node_run_topic(nr);
    if (t == NULL || t->state != TOPIC_EXISTS) {
        actor_done(a);
        return;
    }
    actor_open(a);
    uint64_t what = run_below(nr->r, 100);
    if (what < 55) {
        move(mv, t);
    } else if (what < 75) {
        elect(mv, t, PREFERRED);
    } else if (what < 78) {
        elect(mv, t, UNCLEAN);
    } else if (what < 80) {
        alter(mv, t, t->unclean_set ? 0 : -1);
    } else if (what < 90) {
        alter(mv, t, 1 + (int32_t)run_below(nr->r, nr->factor_max));
    } else {
        actor_done(a);
    }
}

struct actor *actor_mover_new(struct node_run *nr)
{
    struct mover_actor *mv = MEM_NEW(struct mover_actor);
    mv->a.step = mover_step;
    mv->a.learned = actor_done;
    actor_init(nr, &mv->a, "mover", 1 + (int64_t)run_between(nr->r, 100000, 3000000));
    return &mv->a;
}
