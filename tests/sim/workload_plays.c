/* Scenario `plays`, the stage (cluster_play.h). After the play everything that is wrong ends, and
 * what holds for scenario `cluster` must hold: all comes into sync, and what was acknowledged is
 * there. The nodes' memory is looked at after every step (cluster_watch.c). */
#include "broker/partition.h"
#include "controller/sessions.h"
#include "sim/cluster_play.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum {
    LIMIT_US = 30000000,
    LOOK_US = 1000,
    CALL_US = 20000000,
    BROKERS = 3,
    VALUE_BYTES = 600,
    PRODUCER_ID = 4711
};

/* Sessions that end soon, and small fetches: a follower needs many to catch up. */
static const char config[] = "controller.listener.names=CONTROLLER\n"
                             "io.threads=1\n"
                             "auto.create.topics.enable=false\n"
                             "broker.session.timeout.ms=1500\n"
                             "broker.heartbeat.interval.ms=300\n"
                             "replica.lag.time.max.ms=1000\n"
                             "replica.fetch.backoff.ms=50\n"
                             "replica.fetch.max.bytes=1000\n"
                             "leader.imbalance.check.interval.seconds=1\n"
                             "controller.raft.election.timeout.ms=300\n"
                             "min.insync.replicas=2\n"
                             "offsets.topic.replication.factor=3\n";

/* ---- time ---- */

void play_until(struct play *p, bool (*holds)(struct play *p), const char *what)
{
    int64_t until = p->cr->nr.w.sim->clock.now_us + LIMIT_US;
    while (!holds(p)) {
        if (p->cr->nr.w.sim->clock.now_us > until) {
            run_fail(p->cr->nr.r, "the play does not go on: %s", what);
        }
        cluster_run_for(p->cr, LOOK_US);
    }
    run_note(p->cr->nr.r, "%s", what);
}

/* ---- what is so ---- */

const struct image_partition *play_state(struct play *p)
{
    const struct image *img = cluster_image(p->cr);
    const struct image_topic *t = img ? image_topic_by_id(img, p->topic->id) : NULL;
    return t ? image_partition(t, 0) : NULL;
}

struct partition *play_copy(struct play *p, struct machine *m)
{
    return machine_up(m) && m->state == NODE_RUNNING ? cluster_copy(m, p->topic->id, 0) : NULL;
}

int64_t play_end(struct play *p, struct machine *m)
{
    struct partition *copy = play_copy(p, m);
    return copy ? plog_end_offset(copy->log) : -1;
}

bool play_in_isr(struct play *p, const struct machine *m)
{
    const struct image_partition *ip = play_state(p);
    for (uint32_t i = 0; ip != NULL && i < ip->isr_n; i++) {
        if (ip->isr[i] == m->node_id) {
            return true;
        }
    }
    return false;
}

bool play_unfenced(struct play *p, const struct machine *m)
{
    const struct image *img = cluster_image(p->cr);
    const struct image_broker *b = img ? image_broker(img, m->node_id) : NULL;
    return b != NULL && !b->fenced;
}

struct isr_follower *play_follower(struct play *p, const struct machine *m)
{
    struct partition *copy = play_copy(p, p->leader);
    return copy && copy->isr ? isr_follower(copy->isr, m->node_id) : NULL;
}

/* ---- the network ---- */

/* Of heartbeats only those by which a broker wants to leave. */
static bool is_meant(const struct play *p, struct bytes frame)
{
    struct proto_request_header h;
    struct broker_heartbeat_request q;
    struct arena arena = {0};
    if (frame.len < 8) {
        return false;
    }
    frame = bytes_of(frame.data + 4, frame.len - 4);
    if (proto_read_request_header(frame, &h) != 0 || h.api_key != p->api) {
        return false;
    }
    if (h.api_key != API_BROKER_HEARTBEAT) {
        return true;
    }
    struct bytes body = bytes_of(frame.data + h.body_at, frame.len - h.body_at);
    proto_msg_init(&broker_heartbeat_request_msg, &q);
    bool leaves =
        proto_decode(&broker_heartbeat_request_msg, h.version, body, NULL, &arena, &q) == 0 &&
        q.want_shut_down;
    arena_free(&arena);
    return leaves;
}

static bool hold(void *user, const struct sim_host *from, const struct sim_host *to,
                 struct bytes first)
{
    struct play *p = user;
    if (from != p->from->host || to != p->to->host || !is_meant(p, first)) {
        return false;
    }
    p->held = true;
    return true;
}

void play_hold(struct play *p, const struct machine *from, const struct machine *to, int16_t api)
{
    p->from = from;
    p->to = to;
    p->api = api;
    p->held = false;
    p->cr->nr.w.sim->net.hold = hold;
    p->cr->nr.w.sim->net.hold_user = p;
}

void play_release(struct play *p)
{
    p->cr->nr.w.sim->net.hold = NULL;
}

void play_cut(struct play *p, const struct machine *a, const struct machine *b, bool cut)
{
    sim_net_block(&p->cr->nr.w.sim->net, a->host, b->host, cut);
    sim_net_block(&p->cr->nr.w.sim->net, b->host, a->host, cut);
}

void play_isolate(struct play *p, const struct machine *m, bool cut)
{
    for (unsigned i = 0; i < p->cr->nr.w.machines_n; i++) {
        play_cut(p, m, &p->cr->nr.w.machines[i], cut);
    }
}

/* ---- machines ---- */

void play_down(struct play *p, struct machine *m, enum world_end how)
{
    machine_end(m, how);
    cluster_run_for(p->cr, 1);
    p->cr->members[m->index].up_at_us = INT64_MAX;
}

void play_up(struct play *p, struct machine *m)
{
    p->cr->members[m->index].up_at_us = p->cr->nr.w.sim->clock.now_us;
}

/* ---- clients ---- */

struct sent {
    struct play *p;
    int16_t acks;
    bool trying;
    uint64_t number;
};

static void on_produced(struct sim_call *call, int err, struct bytes body)
{
    struct sent *s = call->user;
    struct node_run *nr = &s->p->cr->nr;
    struct arena arena = {0};
    s->p->asked--;
    if (err == 0 && s->acks == -1) {
        struct produce_response resp;
        node_run_decode(nr, call, body, &arena, &resp);
        RUN_CHECK(nr->r, resp.responses_n == 1 && resp.responses[0].partition_responses_n == 1);
        int16_t code = resp.responses[0].partition_responses[0].error_code;
        s->p->refused = code != 0;
        RUN_CHECK(nr->r, code == 0 || (s->trying && code == KE_KAFKA_STORAGE_ERROR));
        if (code == 0) {
            history_acked(&nr->h, s->p->topic->part[0], s->number, 1,
                          resp.responses[0].partition_responses[0].base_offset);
        }
    }
    arena_free(&arena);
    mem_free(s);
}

/* A batch of one record. */
static void make_batch(struct play *p, const struct batch_options *o, uint32_t stream,
                       struct buf *out, uint64_t *number)
{
    struct node_run *nr = &p->cr->nr;
    struct batch_builder b = {0};
    struct buf value = {0};
    *number = history_send(&nr->h, p->topic->part[0], stream, &value, VALUE_BYTES);
    batch_builder_init(&b, o);
    batch_builder_add(&b, sim_host_wall_ms(nr->w.client_host), BYTES_NULL, buf_bytes(&value), NULL,
                      0);
    RUN_CHECK(nr->r, batch_builder_finish(&b, out) == 0);
    batch_builder_free(&b);
    buf_free(&value);
}

static void send_batch(struct play *p, int16_t acks, const struct buf *batch, uint64_t number)
{
    struct produce_request req;
    struct produce_request_topic_produce_data topic;
    struct produce_request_partition_produce_data data;
    struct sent *s = MEM_NEW(struct sent);
    *s = (struct sent){.p = p, .acks = acks, .trying = p->trying, .number = number};
    proto_msg_init(&produce_request_msg, &req);
    proto_init(&produce_request_topic_produce_data_desc, &topic);
    proto_init(&produce_request_partition_produce_data_desc, &data);
    req.acks = acks;
    req.timeout_ms = CALL_US / 1000;
    req.topic_data = &topic;
    req.topic_data_n = 1;
    topic.name = bytes_str(p->topic->name);
    topic.partition_data = &data;
    topic.partition_data_n = 1;
    data.records = buf_bytes(batch);
    p->asked++;
    sim_client_call(&p->client, API_PRODUCE, 9, &req, CALL_US, on_produced, s);
}

static void connect_to(struct play *p, const struct machine *to)
{
    if (p->to_producer != to && p->asked == 0) {
        sim_client_close(&p->client);
    }
    if (!sim_client_is_open(&p->client)) {
        sim_client_open(&p->client, to->host->ip, WORLD_PORT);
        p->to_producer = to;
    }
}

void play_produce(struct play *p, struct machine *to, int16_t acks, unsigned records)
{
    connect_to(p, to);
    uint32_t stream = ++p->cr->nr.streams;
    for (; records > 0; records--) {
        struct batch_options o = BATCH_OPTIONS_DEFAULT;
        struct buf batch = {0};
        uint64_t number;
        make_batch(p, &o, stream, &batch, &number);
        send_batch(p, acks, &batch, number);
        buf_free(&batch);
    }
}

void play_try(struct play *p, struct machine *to)
{
    p->trying = true;
    play_produce(p, to, -1, 1);
    p->trying = false;
}

void play_produce_once(struct play *p, struct machine *to)
{
    connect_to(p, to);
    if (p->once[0].batch.len == 0) {
        uint32_t stream = ++p->cr->nr.streams;
        for (unsigned i = 0; i < PLAY_IN_FLIGHT; i++) {
            struct batch_options o = BATCH_OPTIONS_DEFAULT;
            o.producer_id = PRODUCER_ID;
            o.producer_epoch = 0;
            o.base_sequence = (int32_t)i;
            make_batch(p, &o, stream, &p->once[i].batch, &p->once[i].number);
        }
    }
    for (unsigned i = 0; i < PLAY_IN_FLIGHT; i++) {
        send_batch(p, -1, &p->once[i].batch, p->once[i].number);
    }
}

bool play_answered(struct play *p)
{
    return p->asked == 0;
}

void play_reorder(struct play *p, struct machine *by, const int32_t *replicas)
{
    struct node_run *nr = &p->cr->nr;
    struct alter_partition_reassignments_request req;
    struct alter_partition_reassignments_request_reassignable_topic topic;
    struct alter_partition_reassignments_request_reassignable_partition part;
    struct alter_partition_reassignments_response resp;
    int32_t order[BROKERS];
    memcpy(order, replicas, sizeof(order));
    proto_msg_init(&alter_partition_reassignments_request_msg, &req);
    proto_init(&alter_partition_reassignments_request_reassignable_topic_desc, &topic);
    proto_init(&alter_partition_reassignments_request_reassignable_partition_desc, &part);
    req.timeout_ms = 5000;
    req.topics = &topic;
    req.topics_n = 1;
    topic.name = bytes_str(p->topic->name);
    topic.partitions = &part;
    topic.partitions_n = 1;
    part.replicas = order;
    part.replicas_n = BROKERS;
    nr->m = by;
    sim_client_close(&nr->checker);
    RUN_CHECK(nr->r, check_call(nr, API_ALTER_PARTITION_REASSIGNMENTS, 0, &req, &resp, LIMIT_US) &&
                         resp.error_code == 0 && resp.responses_n == 1 &&
                         resp.responses[0].partitions[0].error_code == 0);
}

void play_set_min_isr(struct play *p, struct machine *by, int32_t least)
{
    struct node_run *nr = &p->cr->nr;
    struct incremental_alter_configs_request req;
    struct incremental_alter_configs_request_alter_configs_resource res;
    struct incremental_alter_configs_request_alterable_config set;
    struct incremental_alter_configs_response resp;
    char text[12];
    snprintf(text, sizeof(text), "%d", least);
    proto_msg_init(&incremental_alter_configs_request_msg, &req);
    proto_init(&incremental_alter_configs_request_alter_configs_resource_desc, &res);
    proto_init(&incremental_alter_configs_request_alterable_config_desc, &set);
    req.resources = &res;
    req.resources_n = 1;
    res.resource_type = 2; /* TOPIC */
    res.resource_name = bytes_str(p->topic->name);
    res.configs = &set;
    res.configs_n = 1;
    set.name = bytes_str("min.insync.replicas");
    set.value = bytes_str(text);
    p->topic->min_isr = least < p->topic->min_isr ? least : p->topic->min_isr;
    p->topic->min_isr_set = least;
    nr->m = by;
    sim_client_close(&nr->checker);
    RUN_CHECK(nr->r, check_call(nr, API_INCREMENTAL_ALTER_CONFIGS, 1, &req, &resp, LIMIT_US) &&
                         resp.responses_n == 1 && resp.responses[0].error_code == 0);
}

/* ---- the stage ---- */

/* alone: one copy, on the leader, flushed before anything is acknowledged. */
static void create_topic(struct play *p, bool alone)
{
    struct node_run *nr = &p->cr->nr;
    struct create_topics_request req;
    struct create_topics_request_creatable_topic topic;
    struct create_topics_request_creatable_replica_assignment where;
    struct create_topics_request_creatable_topic_config flush;
    struct create_topics_response resp;
    struct topic *t = p->topic = &nr->topics[nr->topics_n++];
    int32_t replicas[BROKERS] = {p->leader->node_id, p->second->node_id, p->third->node_id};
    int16_t copies = alone ? 1 : BROKERS;
    *t = (struct topic){.name = "topic",
                        .state = TOPIC_EXISTS,
                        .parts_n = 1,
                        .parts_asked = 1,
                        .flushed = alone,
                        .factor = copies,
                        .min_isr = alone ? 1 : 2,
                        .min_isr_set = alone ? 1 : 2};
    t->part[0] = history_part(&nr->h, "topic-0", alone);
    proto_init(&create_topics_request_creatable_topic_config_desc, &flush);
    flush.name = bytes_str("flush.messages");
    flush.value = bytes_str("1");
    proto_msg_init(&create_topics_request_msg, &req);
    proto_init(&create_topics_request_creatable_topic_desc, &topic);
    proto_init(&create_topics_request_creatable_replica_assignment_desc, &where);
    req.topics = &topic;
    req.topics_n = 1;
    req.timeout_ms = 5000;
    topic.name = bytes_str(t->name);
    topic.num_partitions = topic.replication_factor = -1;
    topic.assignments = &where;
    topic.assignments_n = 1;
    where.broker_ids = replicas;
    where.broker_ids_n = copies;
    topic.configs = &flush;
    topic.configs_n = alone;
    RUN_CHECK(nr->r, check_call(nr, API_CREATE_TOPICS, 7, &req, &resp, LIMIT_US) &&
                         resp.topics_n == 1 && resp.topics[0].error_code == 0);
    t->id = resp.topics[0].topic_id;
}

static void locate(struct node_run *nr, const struct topic *t, int32_t partition)
{
    struct machine *m = cluster_leader(cluster_of(nr), t, partition);
    nr->m = m != NULL ? m : nr->m;
}

static void set_up(struct play *p, struct run *r, enum play_kind kind)
{
    struct cluster_run *cr = p->cr = MEM_NEW(struct cluster_run);
    struct node_run *nr = &cr->nr;
    nr->r = r;
    run_world(r, false);
    history_init(&nr->h, r);
    nr->h.many = nr->many = true;
    nr->user = cr;
    nr->locate = locate;
    cr->close = true;
    cr->min_isr = 2;
    cluster_make_plain(cr, kind == PLAY_WIPED ? 3 : 1, BROKERS, config);
    p->controller = &nr->w.machines[0];
    p->leader = nr->brokers[0];
    p->second = nr->brokers[1];
    p->third = nr->brokers[2];
    nr->m = p->leader;
    sim_client_init(&nr->checker, world_client(&nr->w), "checker");
    sim_client_init(&p->client, world_client(&nr->w), "producer");
    cluster_start_all(cr);
    cluster_heal(cr);
    create_topic(p, kind == PLAY_TEAR);
    cluster_heal(cr);
    cr->healing = false;
}

static void run_plays(struct run *r)
{
    struct play p = {0};
    enum play_kind kind = (enum play_kind)(r->seed % PLAYS);
    set_up(&p, r, kind);
    play_run(&p, kind);
    play_release(&p);
    cluster_heal(p.cr);
    play_until(&p, play_answered, "what was produced is answered");
    sim_client_close(&p.client);
    for (unsigned i = 0; i < PLAY_IN_FLIGHT; i++) {
        buf_free(&p.once[i].batch);
    }
    cluster_round_end(p.cr);
    cluster_stop_all(p.cr);
    cluster_free(p.cr);
}

const struct scenario scenario_plays = {
    .name = "plays",
    .what = "a cluster and fixed schedules, each of which needs one rule of replication",
    .run = run_plays,
    .mutants = MUTANT_BIT(MUTANT_WATERMARK) | MUTANT_BIT(MUTANT_BEHIND) | MUTANT_BIT(MUTANT_JOIN) |
               MUTANT_BIT(MUTANT_FENCE) | MUTANT_BIT(MUTANT_ZOMBIE) | MUTANT_BIT(MUTANT_CLEAN) |
               MUTANT_BIT(MUTANT_TEAR) | MUTANT_BIT(MUTANT_SEQUENCE) | MUTANT_BIT(MUTANT_WIPED) |
               MUTANT_BIT(MUTANT_AHEAD) | MUTANT_BIT(MUTANT_BOOT) | MUTANT_BIT(MUTANT_ROOM),
};
