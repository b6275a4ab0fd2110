/* A consumer: reads every partition it knows from the start on, in order, and checks what it gets:
 * whole batches, no gap, nothing twice, nothing that was not sent. Some use fetch sessions'
 * simplest form (none); versions and limits vary from call to call. In a cluster one may have a
 * rack, and then reads from the replica that the leader sends it to, for a while or until that one
 * does not serve it any more. */
#include <stdio.h>

#include "base/mem.h"
#include "sim/node_run.h"

enum { CALL_US = 8000000, OTHER_US = 2000000, RACK_FROM = 11 };

struct consumer_actor {
    struct actor a;
    char id[16];
    int64_t at[HISTORY_PARTS_MAX];   /* next offset to read */
    int64_t hw[HISTORY_PARTS_MAX];   /* the last high watermark that was told */
    int64_t seen[HISTORY_PARTS_MAX]; /* offsets below were read */
    uint64_t losses;
    struct topic *topic; /* of the call in flight */
    int32_t partition;
    int64_t from;
    int64_t start;                   /* as it was known when the call was made */
    bool epoch_sent;                 /* the leader's, so that one that leads no more says so */
    char rack[8];                    /* "": none */
    int8_t other[HISTORY_PARTS_MAX]; /* machine that the leader sent it to; -1: none */
    int64_t other_until_us[HISTORY_PARTS_MAX];
    bool at_other; /* the call in flight is to such a one */
};

static struct consumer_actor *of(struct actor *a)
{
    return CONTAINER_OF(a, struct consumer_actor, a);
}

static void read_batch(struct consumer_actor *c, uint32_t part, struct bytes batch, int64_t hw)
{
    struct node_run *nr = c->a.nr;
    struct record_reader rd;
    struct record rec;
    if (!batch_crc_check(batch) || record_reader_open(&rd, batch, 0) != 0) {
        run_fail(nr->r, "%s: an unsound batch was fetched", nr->h.parts[part].name);
    }
    int more;
    while ((more = record_reader_next(&rd, &rec)) == 1) {
        if (rec.offset < c->at[part]) {
            continue; /* the front of a batch that was asked for in its middle */
        }
        if (rec.offset != c->at[part] || rec.offset >= hw) {
            run_fail(nr->r, "%s: offset %lld was fetched, %lld comes next (high watermark %lld)",
                     nr->h.parts[part].name, (long long)rec.offset, (long long)c->at[part],
                     (long long)hw);
        }
        history_seen(&nr->h, part, rec.offset, rec.value, c->start);
        c->at[part]++;
        c->seen[part] = c->at[part] > c->seen[part] ? c->at[part] : c->seen[part];
    }
    RUN_CHECK(nr->r, more == 0);
    record_reader_close(&rd);
}

/* What was read before stands in every later leader's log. */
static void check_range(struct consumer_actor *c, uint32_t part)
{
    const struct hist_part *hp = &c->a.nr->h.parts[part];
    if (c->epoch_sent && !hp->may_lose && c->from >= hp->start_max && c->from <= c->seen[part]) {
        run_fail(c->a.nr->r, "%s: offset %lld is out of range, offsets up to %lld were read",
                 hp->name, (long long)c->from, (long long)c->seen[part]);
    }
}

/* The leader sends it to another replica, which may be behind, or gone by now. */
static void go_to(struct consumer_actor *c, uint32_t part, int32_t id)
{
    struct node_run *nr = c->a.nr;
    for (unsigned i = 0; i < nr->brokers_n; i++) {
        if (nr->brokers[i]->node_id == id) {
            c->other[part] = (int8_t)nr->brokers[i]->index;
            c->other_until_us[part] = nr->w.sim->clock.now_us + OTHER_US;
            return;
        }
    }
    run_fail(nr->r, "%s: Fetch sends a consumer to broker %d, which there is not",
             nr->h.parts[part].name, id);
}

static void read_partition(struct consumer_actor *c, const struct fetch_response_partition_data *d)
{
    struct node_run *nr = c->a.nr;
    uint32_t part = c->topic->part[c->partition];
    RUN_CHECK(nr->r, d->partition_index == c->partition);
    if (d->preferred_read_replica >= 0) {
        RUN_CHECK(nr->r, c->rack[0] != 0 && !c->at_other && d->records.len == 0);
        go_to(c, part, d->preferred_read_replica);
        return;
    }
    if (d->error_code == KE_OFFSET_OUT_OF_RANGE && c->at_other) {
        c->other[part] = -1; /* the leader knows better */
        return;
    }
    if (d->error_code == KE_OFFSET_OUT_OF_RANGE) {
        check_range(c, part);
        c->at[part] = -1; /* ask where it starts */
        return;
    }
    if (d->error_code != 0) {
        if (!node_run_retriable(d->error_code)) {
            run_fail(nr->r, "%s: Fetch at %lld is answered %d", nr->h.parts[part].name,
                     (long long)c->from, d->error_code);
        }
        actor_forget(&c->a, part);
        c->other[part] = -1;
        return;
    }
    if (!nr->many && d->high_watermark < c->hw[part]) { /* a new leader's may be behind */
        run_fail(nr->r, "%s: the high watermark went back from %lld to %lld",
                 nr->h.parts[part].name, (long long)c->hw[part], (long long)d->high_watermark);
    }
    c->hw[part] = d->high_watermark;
    history_end_told(&nr->h, part, d->high_watermark);
    RUN_CHECK(nr->r, d->last_stable_offset == d->high_watermark); /* there are no transactions */
    struct bytes rest = d->records;
    struct bytes batch;
    bool first = true;
    while (batch_next(&rest, &batch) == 1) {
        read_batch(c, part, batch, d->high_watermark);
        first = false;
    }
    /* Progress: if there is something to read, the first batch comes whole. */
    if (first && c->from < d->high_watermark && rest.len > 0) {
        run_fail(nr->r, "%s: a fetch at %lld gives no whole batch", nr->h.parts[part].name,
                 (long long)c->from);
    }
}

static void on_fetch(struct sim_call *call, int err, struct bytes body)
{
    struct consumer_actor *c = call->user;
    struct node_run *nr = c->a.nr;
    if (err == 0 && c->topic->state <= TOPIC_EXISTS) {
        struct arena arena = {0};
        struct fetch_response resp;
        node_run_decode(nr, call, body, &arena, &resp);
        if (resp.error_code == 0 && resp.responses_n == 1 && resp.responses[0].partitions_n == 1) {
            read_partition(c, &resp.responses[0].partitions[0]);
        } else if (resp.error_code != 0 && !node_run_retriable(resp.error_code)) {
            run_fail(nr->r, "Fetch is answered %d", resp.error_code);
        }
        arena_free(&arena);
    } else if (err != 0) {
        actor_forget(&c->a, c->topic->part[c->partition]);
        c->other[c->topic->part[c->partition]] = -1;
    }
    actor_done(&c->a);
}

/* It reads on from the replica that it was sent to. */
static bool goes_elsewhere(struct consumer_actor *c, uint32_t part)
{
    if (c->other[part] >= 0 && c->a.nr->w.sim->clock.now_us > c->other_until_us[part]) {
        c->other[part] = -1; /* the leader may know a better one by now */
    }
    return c->other[part] >= 0;
}

static void fetch(struct consumer_actor *c)
{
    struct node_run *nr = c->a.nr;
    struct fetch_request req;
    struct fetch_request_fetch_topic topic;
    struct fetch_request_fetch_partition p;
    proto_msg_init(&fetch_request_msg, &req);
    proto_init(&fetch_request_fetch_topic_desc, &topic);
    proto_init(&fetch_request_fetch_partition_desc, &p);
    uint32_t part = c->topic->part[c->partition];
    int16_t least = c->rack[0] != 0 ? RACK_FROM : 4;
    int16_t most = topic_has_id(c->topic) ? 17 : 12;
    int16_t version = (int16_t)(least + (int16_t)run_below(nr->r, (uint64_t)(most - least) + 1));
    c->at_other = goes_elsewhere(c, part);
    if (c->at_other) {
        actor_at(&c->a, (unsigned)c->other[part]);
    }
    req.rack_id = version >= RACK_FROM ? bytes_str(c->rack) : req.rack_id;
    req.max_wait_ms = (int32_t)run_between(nr->r, 0, 2000);
    req.min_bytes = (int32_t)run_between(nr->r, 0, 5000);
    req.max_bytes = (int32_t)run_between(nr->r, 1, 1 << 20);
    if (version >= 7) {
        req.session_id = 0;
        req.session_epoch = -1; /* no session */
    }
    req.topics = &topic;
    req.topics_n = 1;
    if (version >= 13) {
        topic.topic_id = c->topic->id;
    } else {
        topic.topic = bytes_str(c->topic->name);
    }
    topic.partitions = &p;
    topic.partitions_n = 1;
    p.partition = c->partition;
    p.fetch_offset = c->from = c->at[part];
    c->start = nr->many ? 0 : nr->h.parts[part].start; /* a new leader's may be behind */
    c->epoch_sent = nr->many && version >= 9 && run_chance(nr->r, 70);
    p.current_leader_epoch = c->epoch_sent ? c->a.epoch[part] : -1;
    p.partition_max_bytes = (int32_t)run_between(nr->r, 1, 100000);
    sim_client_call(c->a.c, API_FETCH, version, &req, CALL_US, on_fetch, c);
}

static void on_offset(struct sim_call *call, int err, struct bytes body)
{
    struct consumer_actor *c = call->user;
    struct node_run *nr = c->a.nr;
    if (err == 0 && c->topic->state <= TOPIC_EXISTS) {
        struct arena arena = {0};
        struct list_offsets_response resp;
        node_run_decode(nr, call, body, &arena, &resp);
        RUN_CHECK(nr->r, resp.topics_n == 1 && resp.topics[0].partitions_n == 1);
        const struct list_offsets_response_list_offsets_partition_response *p =
            &resp.topics[0].partitions[0];
        if (p->error_code == 0) {
            RUN_CHECK(nr->r, p->offset >= 0);
            c->at[c->topic->part[c->partition]] = p->offset;
        } else if (!node_run_retriable(p->error_code)) {
            run_fail(nr->r, "%s: ListOffsets is answered %d", c->topic->name, p->error_code);
        } else {
            actor_forget(&c->a, c->topic->part[c->partition]);
        }
        arena_free(&arena);
    } else if (err != 0) {
        actor_forget(&c->a, c->topic->part[c->partition]);
    }
    actor_done(&c->a);
}

static void ask_start(struct consumer_actor *c)
{
    struct node_run *nr = c->a.nr;
    struct list_offsets_request req;
    struct list_offsets_request_list_offsets_topic topic;
    struct list_offsets_request_list_offsets_partition p;
    proto_msg_init(&list_offsets_request_msg, &req);
    proto_init(&list_offsets_request_list_offsets_topic_desc, &topic);
    proto_init(&list_offsets_request_list_offsets_partition_desc, &p);
    req.replica_id = -1;
    req.topics = &topic;
    req.topics_n = 1;
    topic.name = bytes_str(c->topic->name);
    topic.partitions = &p;
    topic.partitions_n = 1;
    p.partition_index = c->partition;
    p.timestamp = -2;
    sim_client_call(c->a.c, API_LIST_OFFSETS, (int16_t)(1 + run_below(nr->r, 10)), &req, CALL_US,
                    on_offset, c);
}

static void consumer_step(struct actor *a)
{
    struct consumer_actor *c = of(a);
    struct node_run *nr = a->nr;
    c->topic = node_run_topic(nr);
    if (c->topic == NULL) {
        actor_done(a);
        return;
    }
    if (c->losses != nr->losses) { /* what it has read may not be there any more */
        for (int i = 0; i < HISTORY_PARTS_MAX; i++) {
            c->at[i] = -1;
            c->hw[i] = 0;
            c->seen[i] = 0;
        }
        c->losses = nr->losses;
    }
    actor_open(a);
    c->partition = (int32_t)run_below(nr->r, (uint64_t)c->topic->parts_n);
    if (actor_leader(a, c->topic->part[c->partition]) == NULL) {
        actor_learn(a);
    } else if (c->at[c->topic->part[c->partition]] < 0 || run_chance(nr->r, 2)) {
        ask_start(c);
    } else {
        fetch(c);
    }
}

struct actor *actor_consumer_new(struct node_run *nr, unsigned index)
{
    struct consumer_actor *c = MEM_NEW(struct consumer_actor);
    snprintf(c->id, sizeof(c->id), "consumer-%u", index);
    for (int i = 0; i < HISTORY_PARTS_MAX; i++) {
        c->at[i] = run_chance(nr->r, 50) ? 0 : -1;
        c->other[i] = -1;
    }
    if (nr->racks > 0 && run_chance(nr->r, 70)) {
        snprintf(c->rack, sizeof(c->rack), "r%u", (unsigned)run_below(nr->r, nr->racks));
    }
    c->a.step = consumer_step;
    c->a.learned = actor_done;
    actor_init(nr, &c->a, c->id, 1 + (int64_t)run_between(nr->r, 1000, 100000));
    return &c->a;
}
