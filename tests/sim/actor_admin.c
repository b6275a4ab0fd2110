/* An administrator: creates topics, gives them partitions and settings, now and then deletes one,
 * deletes records, moves replicas between log directories. And a nuisance: connections that send
 * garbage, stop in the middle, or never read. */
#include <stdio.h>

#include "base/mem.h"
#include "sim/node_run.h"

enum { CALL_US = 10000000, CONFIGS_MAX = 6 };

struct admin_actor {
    struct actor a;
    struct topic *topic; /* of the call in flight */
    int32_t partition;
    int64_t before;
    int32_t value; /* partitions or setting that were asked for */
};

static struct admin_actor *of(struct actor *a)
{
    return CONTAINER_OF(a, struct admin_actor, a);
}

/* The end of a step. In a cluster a request that was not answered may be done much later. */
static void finish(struct admin_actor *ad, int err)
{
    ad->topic->doubt = ad->topic->doubt || (err != 0 && ad->a.nr->many);
    actor_done(&ad->a);
}

/* ---- topics ---- */

static void on_create(struct sim_call *call, int err, struct bytes body)
{
    struct admin_actor *ad = call->user;
    struct node_run *nr = ad->a.nr;
    struct topic *t = ad->topic;
    if (err == 0) {
        struct arena arena = {0};
        struct create_topics_response resp;
        node_run_decode(nr, call, body, &arena, &resp);
        RUN_CHECK(nr->r, resp.topics_n == 1 && bytes_eq_str(resp.topics[0].name, t->name));
        int16_t code = resp.topics[0].error_code;
        if (code == 0 || code == KE_TOPIC_ALREADY_EXISTS) {
            t->state = TOPIC_EXISTS;
            if (code == 0 && call->version >= 7) {
                t->id = resp.topics[0].topic_id;
                RUN_CHECK(nr->r, topic_has_id(t));
            }
        } else if (code != KE_INVALID_REPLICATION_FACTOR && !node_run_retriable(code)) {
            /* (the one broker is fenced while it leaves) */
            run_fail(nr->r, "%s: CreateTopics is answered %d: %.*s", t->name, code,
                     BYTES_FMT(resp.topics[0].error_message));
        }
        arena_free(&arena);
    }
    finish(ad, err);
}

static void create(struct admin_actor *ad, struct topic *t)
{
    struct node_run *nr = ad->a.nr;
    struct create_topics_request req;
    struct create_topics_request_creatable_topic topic;
    struct create_topics_request_creatable_topic_config configs[CONFIGS_MAX];
    char segment[16];
    char min_isr[16];
    int n = 0;
    proto_msg_init(&create_topics_request_msg, &req);
    proto_init(&create_topics_request_creatable_topic_desc, &topic);
    for (int i = 0; i < CONFIGS_MAX; i++) {
        proto_init(&create_topics_request_creatable_topic_config_desc, &configs[i]);
    }
    snprintf(segment, sizeof(segment), "%d", t->segment);
    configs[n].name = bytes_str("internal.segment.bytes");
    configs[n++].value = bytes_str(segment);
    configs[n].name = bytes_str("index.interval.bytes");
    configs[n++].value = bytes_str("300");
    if (t->flushed) {
        configs[n].name = bytes_str("flush.messages");
        configs[n++].value = bytes_str("1");
    }
    topic.name = bytes_str(t->name);
    topic.num_partitions = t->parts_n;
    if (t->factor > 1) {
        snprintf(min_isr, sizeof(min_isr), "%d", t->min_isr);
        configs[n].name = bytes_str("min.insync.replicas");
        configs[n++].value = bytes_str(min_isr);
        configs[n].name = bytes_str("unclean.leader.election.enable");
        configs[n++].value = bytes_str(t->unclean ? "true" : "false");
    }
    topic.replication_factor = t->factor;
    topic.configs = configs;
    topic.configs_n = n;
    req.topics = &topic;
    req.topics_n = 1;
    req.timeout_ms = 5000;
    ad->topic = t;
    sim_client_call(ad->a.c, API_CREATE_TOPICS, (int16_t)(2 + run_below(nr->r, 6)), &req, CALL_US,
                    on_create, ad);
}

static void watch_partition(struct node_run *nr, struct topic *t, int32_t i)
{
    char name[40];
    snprintf(name, sizeof(name), "%s-%d", t->name, i);
    t->part[i] = history_part(&nr->h, name, t->flushed);
    history_part_unclean(&nr->h, t->part[i], topic_may_lose(t));
}

static void copies(struct node_run *nr, struct topic *t)
{
    bool all = run_chance(nr->r, 80);
    t->factor = (int16_t)(all ? nr->factor_max : 1 + (int)run_below(nr->r, nr->factor_max));
    bool most = run_chance(nr->r, 70);
    t->min_isr = 1 + (most ? t->factor / 2 : (int32_t)run_below(nr->r, (uint64_t)t->factor));
    t->min_isr_set = t->min_isr;
    t->unclean = t->unclean_set = run_chance(nr->r, 10);
}

static struct topic *topic_new(struct node_run *nr)
{
    struct topic *t = &nr->topics[nr->topics_n];
    *t = (struct topic){.state = TOPIC_ASKED};
    snprintf(t->name, sizeof(t->name), "topic-%u", nr->topics_n);
    t->parts_n = t->parts_asked = 1 + (int32_t)run_below(nr->r, TOPIC_PARTS_MAX);
    t->flushed = run_chance(nr->r, 50);
    t->segment = (int32_t)run_between(nr->r, 25000, 200000);
    t->factor = 1;
    t->min_isr = t->min_isr_set = 1;
    if (nr->factor_max > 1) {
        copies(nr, t);
    }
    for (int32_t i = 0; i < t->parts_n; i++) {
        watch_partition(nr, t, i);
    }
    nr->topics_n++;
    return t;
}

static void on_delete(struct sim_call *call, int err, struct bytes body)
{
    struct admin_actor *ad = call->user;
    struct node_run *nr = ad->a.nr;
    if (err == 0) {
        struct arena arena = {0};
        struct delete_topics_response resp;
        node_run_decode(nr, call, body, &arena, &resp);
        RUN_CHECK(nr->r, resp.responses_n == 1);
        int16_t code = resp.responses[0].error_code;
        if (code == 0 || code == KE_UNKNOWN_TOPIC_OR_PARTITION) {
            ad->topic->state = TOPIC_GONE;
        } else if (!node_run_retriable(code)) {
            run_fail(nr->r, "%s: DeleteTopics is answered %d", ad->topic->name, code);
        }
        arena_free(&arena);
    }
    finish(ad, err);
}

static void delete_topic(struct admin_actor *ad, struct topic *t)
{
    struct node_run *nr = ad->a.nr;
    struct delete_topics_request req;
    struct delete_topics_request_delete_topic_state state;
    struct bytes name = bytes_str(t->name);
    proto_msg_init(&delete_topics_request_msg, &req);
    proto_init(&delete_topics_request_delete_topic_state_desc, &state);
    int16_t version = (int16_t)(1 + run_below(nr->r, 6));
    if (version >= 6) {
        state.name = name;
        req.topics = &state;
        req.topics_n = 1;
    } else {
        req.topic_names = &name;
        req.topic_names_n = 1;
    }
    req.timeout_ms = 5000;
    t->state = TOPIC_DELETING;
    ad->topic = t;
    sim_client_call(ad->a.c, API_DELETE_TOPICS, version, &req, CALL_US, on_delete, ad);
}

/* ---- more partitions, other settings ---- */

static void on_create_partitions(struct sim_call *call, int err, struct bytes body)
{
    struct admin_actor *ad = call->user;
    struct node_run *nr = ad->a.nr;
    if (err == 0) {
        struct arena arena = {0};
        struct create_partitions_response resp;
        node_run_decode(nr, call, body, &arena, &resp);
        RUN_CHECK(nr->r, resp.results_n == 1);
        int16_t code = resp.results[0].error_code;
        if (code == 0 || (code == KE_INVALID_PARTITIONS && ad->topic->parts_n < ad->value)) {
            ad->topic->parts_n = ad->value; /* just now, or by a try that was not answered */
        } else if (code != KE_INVALID_REPLICATION_FACTOR && !node_run_retriable(code)) {
            run_fail(nr->r, "%s: CreatePartitions is answered %d", ad->topic->name, code);
        }
        arena_free(&arena);
    }
    finish(ad, err);
}

static void create_partitions(struct admin_actor *ad, struct topic *t)
{
    struct node_run *nr = ad->a.nr;
    struct create_partitions_request req;
    struct create_partitions_request_create_partitions_topic topic;
    proto_msg_init(&create_partitions_request_msg, &req);
    proto_init(&create_partitions_request_create_partitions_topic_desc, &topic);
    if (t->parts_asked == t->parts_n) {
        watch_partition(nr, t, t->parts_asked++);
    }
    topic.name = bytes_str(t->name);
    topic.count = ad->value = t->parts_asked;
    topic.assignments = NULL;
    topic.assignments_n = -1;
    req.topics = &topic;
    req.topics_n = 1;
    req.timeout_ms = 5000;
    ad->topic = t;
    sim_client_call(ad->a.c, API_CREATE_PARTITIONS, (int16_t)run_below(nr->r, 4), &req, CALL_US,
                    on_create_partitions, ad);
}

static void on_alter(struct sim_call *call, int err, struct bytes body)
{
    struct admin_actor *ad = call->user;
    if (actor_set_code(ad->a.nr, ad->topic, call, err, body) == 0) {
        ad->topic->setting = ad->value;
    }
    finish(ad, err);
}

/* One setting takes ever higher values, so that what it is tells which of them were taken. */
static void alter(struct admin_actor *ad, struct topic *t)
{
    char value[16];
    ad->value = ++t->setting_asked;
    ad->topic = t;
    snprintf(value, sizeof(value), "%d", SETTING_BASE + ad->value);
    actor_set(&ad->a, t, SETTING_NAME, value, on_alter, ad);
}

/* ---- records ---- */

static void on_delete_records(struct sim_call *call, int err, struct bytes body)
{
    struct admin_actor *ad = call->user;
    struct node_run *nr = ad->a.nr;
    if (err == 0 && ad->topic->state <= TOPIC_EXISTS) {
        struct arena arena = {0};
        struct delete_records_response resp;
        node_run_decode(nr, call, body, &arena, &resp);
        RUN_CHECK(nr->r, resp.topics_n == 1 && resp.topics[0].partitions_n == 1);
        const struct delete_records_response_delete_records_partition_result *p =
            &resp.topics[0].partitions[0];
        if (p->error_code == 0) {
            history_delete_done(&nr->h, ad->topic->part[ad->partition], p->low_watermark);
        } else if (node_run_retriable(p->error_code)) {
            actor_forget(&ad->a, ad->topic->part[ad->partition]);
        } else if (p->error_code != KE_OFFSET_OUT_OF_RANGE) {
            run_fail(nr->r, "%s: DeleteRecords is answered %d", ad->topic->name, p->error_code);
        }
        arena_free(&arena);
    }
    finish(ad, err);
}

static void delete_records(struct admin_actor *ad, struct topic *t)
{
    struct node_run *nr = ad->a.nr;
    struct delete_records_request req;
    struct delete_records_request_delete_records_topic topic;
    struct delete_records_request_delete_records_partition p;
    proto_msg_init(&delete_records_request_msg, &req);
    proto_init(&delete_records_request_delete_records_topic_desc, &topic);
    proto_init(&delete_records_request_delete_records_partition_desc, &p);
    ad->topic = t;
    ad->partition = (int32_t)run_below(nr->r, (uint64_t)t->parts_n);
    if (actor_leader(&ad->a, t->part[ad->partition]) == NULL) {
        actor_learn(&ad->a);
        return;
    }
    const struct hist_part *hp = &nr->h.parts[t->part[ad->partition]];
    ad->before = hp->start + (int64_t)run_below(nr->r, (uint64_t)(hp->end - hp->start) + 1);
    req.topics = &topic;
    req.topics_n = 1;
    req.timeout_ms = 5000;
    topic.name = bytes_str(t->name);
    topic.partitions = &p;
    topic.partitions_n = 1;
    p.partition_index = ad->partition;
    p.offset = ad->before;
    history_delete_asked(&nr->h, t->part[ad->partition], ad->before);
    sim_client_call(ad->a.c, API_DELETE_RECORDS, (int16_t)run_below(nr->r, 3), &req, CALL_US,
                    on_delete_records, ad);
}

/* ---- log directories ---- */

static void on_move(struct sim_call *call, int err, struct bytes body)
{
    struct admin_actor *ad = call->user;
    struct node_run *nr = ad->a.nr;
    if (err == 0) {
        struct arena arena = {0};
        struct alter_replica_log_dirs_response resp;
        node_run_decode(nr, call, body, &arena, &resp);
        RUN_CHECK(nr->r, resp.results_n == 1 && resp.results[0].partitions_n == 1);
        int16_t code = resp.results[0].partitions[0].error_code;
        if (code != 0 && !node_run_retriable(code)) {
            run_fail(nr->r, "%s: AlterReplicaLogDirs is answered %d", ad->topic->name, code);
        }
        arena_free(&arena);
    }
    actor_done(&ad->a); /* whether it is done or not, nothing is different for anybody */
}

/* The broker's replica, if it has one, is to lie in some directory, maybe where it is. */
static void move_replica(struct admin_actor *ad, struct topic *t)
{
    struct node_run *nr = ad->a.nr;
    struct alter_replica_log_dirs_request req;
    struct alter_replica_log_dirs_request_alter_replica_log_dir dir;
    struct alter_replica_log_dirs_request_alter_replica_log_dir_topic topic;
    int32_t partition = (int32_t)run_below(nr->r, (uint64_t)t->parts_n);
    proto_msg_init(&alter_replica_log_dirs_request_msg, &req);
    proto_init(&alter_replica_log_dirs_request_alter_replica_log_dir_desc, &dir);
    proto_init(&alter_replica_log_dirs_request_alter_replica_log_dir_topic_desc, &topic);
    req.dirs = &dir;
    req.dirs_n = 1;
    dir.path = bytes_str(world_dir((unsigned)run_below(nr->r, nr->w.dirs)));
    dir.topics = &topic;
    dir.topics_n = 1;
    topic.name = bytes_str(t->name);
    topic.partitions = &partition;
    topic.partitions_n = 1;
    ad->topic = t;
    sim_client_call(ad->a.c, API_ALTER_REPLICA_LOG_DIRS, (int16_t)(1 + run_below(nr->r, 2)), &req,
                    CALL_US, on_move, ad);
}

static void admin_step(struct actor *a)
{
    struct admin_actor *ad = of(a);
    struct node_run *nr = a->nr;
    actor_open(a);
    for (unsigned i = 0; i < nr->topics_n; i++) { /* unfinished business first */
        struct topic *t = &nr->topics[i];
        if (t->state == TOPIC_ASKED) {
            create(ad, t);
            return;
        }
        if (t->state == TOPIC_DELETING && run_chance(nr->r, 50)) {
            delete_topic(ad, t);
            return;
        }
    }
    uint64_t what = run_below(nr->r, nr->w.dirs > 1 ? 22 : 14);
    struct topic *t = node_run_topic(nr);
    if (t == NULL || (what < 3 && nr->topics_n < TOPICS_MAX)) {
        if (nr->topics_n < TOPICS_MAX) {
            create(ad, topic_new(nr));
            return;
        }
    } else if (what < 4 && nr->topics_n > 2) {
        delete_topic(ad, t);
        return;
    } else if (what < 8) {
        delete_records(ad, t);
        return;
    } else if (what < 10 && t->state == TOPIC_EXISTS) {
        alter(ad, t);
        return;
    } else if (what < 11 && t->state == TOPIC_EXISTS && t->parts_asked < TOPIC_PARTS_MAX) {
        create_partitions(ad, t);
        return;
    } else if (nr->w.dirs > 1) {
        move_replica(ad, t);
        return;
    }
    actor_done(a);
}

struct actor *actor_admin_new(struct node_run *nr)
{
    struct admin_actor *ad = MEM_NEW(struct admin_actor);
    ad->a.step = admin_step;
    ad->a.learned = actor_done;
    actor_init(nr, &ad->a, "admin", nr->w.dirs > 1 ? 300000 : 1500000);
    return &ad->a;
}

/* ---- noise ---- */

static void ignore(struct sim_call *call, int err, struct bytes body)
{
    UNUSED(call);
    UNUSED(err);
    UNUSED(body);
}

static void noise_step(struct actor *a)
{
    struct node_run *nr = a->nr;
    uint8_t junk[64];
    struct metadata_request req;
    proto_msg_init(&metadata_request_msg, &req);
    actor_hang_up(a);
    actor_open(a);
    for (size_t i = 0; i < sizeof(junk); i++) {
        junk[i] = (uint8_t)prng_next(&nr->r->rng);
    }
    switch (run_below(nr->r, 4)) {
    case 0: /* no frame at all */
        sim_client_raw(a->c, junk, (size_t)run_between(nr->r, 1, sizeof(junk)));
        break;
    case 1: /* a frame that ends early */
        store_be32(junk, (uint32_t)run_between(nr->r, 1, 100000));
        sim_client_raw(a->c, junk, (size_t)run_between(nr->r, 1, sizeof(junk)));
        break;
    case 2: /* a known request with garbage behind its header */
        store_be32(junk, sizeof(junk) - 4);
        store_be16(junk + 4, (uint16_t)run_below(nr->r, 75));
        store_be16(junk + 6, (uint16_t)run_below(nr->r, 14));
        store_be16(junk + 12, 0);
        sim_client_raw(a->c, junk, sizeof(junk));
        break;
    default: /* asks and does not read */
        req.topics_n = -1;
        req.topics = NULL;
        for (int i = 0; i < 20; i++) {
            sim_client_call(a->c, API_METADATA, 9, &req, 3000000, ignore, NULL);
        }
        a->c->reading = false;
    }
    actor_done(a);
}

struct actor *actor_noise_new(struct node_run *nr)
{
    struct actor *a = MEM_NEW(struct actor);
    a->step = noise_step;
    actor_init(nr, a, "noise", 3000000);
    return a;
}
