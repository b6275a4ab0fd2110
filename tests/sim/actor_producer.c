/* A producer: plain (acks 0, 1 or all, each record sent once) or idempotent (acks all, each batch
 * sent until it is answered).
 *
 * An idempotent one has up to five batches under way for a partition, over one connection. Once one
 * of them was not answered well, those behind it may come out of order and are refused: when
 * nothing is under way any more, all that are left are sent again, in order. If the first of
 * several is refused then, all may have been appended: a broker that has read its producers from a
 * snapshot knows the last batch of each for sure, and of those before it what is near. As Kafka's
 * producer would, this one begins anew. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "sim/node_run.h"

enum { RECORDS_MAX = 5, CALL_US = 6000000, IN_FLIGHT_MAX = 3, PENDING_MAX = 5 };

/* A batch of an idempotent producer that was not answered well yet. */
struct pending {
    struct buf batch;
    struct topic *topic;
    int32_t partition;
    uint64_t first;
    uint32_t n;
    uint64_t number; /* no other one has it */
    bool sending;
    bool again;      /* it was sent more than once */
    uint32_t stream; /* of the connection that it was sent over last */
};

/* All of a partition, in the order of their sequences. */
struct pending_list {
    struct pending v[PENDING_MAX];
    unsigned n;
};

struct producer_actor {
    struct actor a;
    char id[16];
    int16_t acks;
    bool idempotent;
    unsigned in_flight_max;
    unsigned in_flight;
    uint32_t stream;
    int64_t pid;
    int16_t epoch;
    bool has_pid;
    uint64_t losses; /* as many as there had been when the id was given */
    int32_t next[HISTORY_PARTS_MAX];
    unsigned pending_max;
    uint64_t numbers;
    struct pending_list pending[HISTORY_PARTS_MAX];
};

/* One Produce in flight. */
struct sent {
    struct producer_actor *p;
    struct topic *topic;
    int32_t partition;
    uint64_t first;
    uint32_t n;
    uint64_t number; /* of the pending batch; 0: it is none */
};

static struct producer_actor *of(struct actor *a)
{
    return CONTAINER_OF(a, struct producer_actor, a);
}

static void step_over(struct producer_actor *p)
{
    if (p->in_flight == 0 && p->a.busy) {
        actor_done(&p->a);
    }
}

/* stream: the order of plain records holds within a connection, that of others by their producer
 * id. */
static void batch_make(struct producer_actor *p, struct topic *t, int32_t partition,
                       uint32_t stream, struct buf *out, uint64_t *first, uint32_t *n)
{
    struct node_run *nr = p->a.nr;
    static const enum codec codecs[] = {CODEC_NONE, CODEC_NONE,   CODEC_NONE, CODEC_GZIP,
                                        CODEC_LZ4,  CODEC_SNAPPY, CODEC_ZSTD};
    uint32_t part = t->part[partition];
    struct batch_options o = BATCH_OPTIONS_DEFAULT;
    o.codec = codecs[run_below(nr->r, ARRAY_LEN(codecs))];
    if (p->idempotent) {
        o.producer_id = p->pid;
        o.producer_epoch = p->epoch;
        o.base_sequence = p->next[part];
    }
    struct batch_builder b = {0};
    batch_builder_init(&b, &o);
    *n = 1 + (uint32_t)run_below(nr->r, RECORDS_MAX);
    for (uint32_t i = 0; i < *n; i++) {
        struct buf value = {0};
        /* A batch larger than a segment would be refused. */
        uint64_t most = (uint64_t)t->segment / *n - 200;
        size_t size = (size_t)run_between(nr->r, 16, run_chance(nr->r, 5) ? most : 300);
        uint64_t number = history_send(&nr->h, part, stream, &value, size);
        *first = i == 0 ? number : *first;
        batch_builder_add(&b, sim_host_wall_ms(nr->w.client_host), BYTES_NULL, buf_bytes(&value),
                          NULL, 0);
        buf_free(&value);
    }
    RUN_CHECK(nr->r, batch_builder_finish(&b, out) == 0);
    batch_builder_free(&b);
}

/* ---- the answer ---- */

static void drop(struct pending_list *l, unsigned i)
{
    buf_free(&l->v[i].batch);
    memmove(&l->v[i], &l->v[i + 1], (--l->n - i) * sizeof(l->v[0]));
}

static void forget_id(struct producer_actor *p)
{
    p->has_pid = false;
    p->stream = ++p->a.nr->streams;
    for (int i = 0; i < HISTORY_PARTS_MAX; i++) {
        p->next[i] = 0;
        while (p->pending[i].n > 0) {
            drop(&p->pending[i], p->pending[i].n - 1);
        }
    }
}

/* Where it is in the partition's list; -1: it is plain, or nobody waits for it any more. */
static int place_of(const struct sent *s)
{
    const struct pending_list *l = &s->p->pending[s->topic->part[s->partition]];
    for (unsigned i = 0; i < l->n; i++) {
        if (l->v[i].number == s->number) {
            return (int)i;
        }
    }
    return -1;
}

/* The log may have lost batches that the sequences of this one count on: on a disk, or by the
 * election of a replica that had not all. */
static bool may_have_lost(const struct producer_actor *p, const struct topic *t)
{
    return p->losses != p->a.nr->losses || (p->a.nr->many && topic_may_lose(t));
}

static void judge(struct sent *s, int16_t code, int64_t base)
{
    struct producer_actor *p = s->p;
    struct node_run *nr = p->a.nr;
    uint32_t part = s->topic->part[s->partition];
    struct pending_list *l = &p->pending[part];
    int at = place_of(s);
    if (code == 0) {
        if (base >= 0 && s->topic->state <= TOPIC_EXISTS &&
            node_run_promised(nr, s->topic, p->acks)) {
            history_acked(&nr->h, part, s->first, s->n, base);
        }
        if (at >= 0) {
            drop(l, (unsigned)at);
        }
        return;
    }
    actor_forget(&p->a, part);
    bool lost = code == KE_OUT_OF_ORDER_SEQUENCE_NUMBER || code == KE_UNKNOWN_PRODUCER_ID;
    if (node_run_retriable(code) || (p->idempotent && lost && at > 0)) {
        if (at >= 0) {
            l->v[at].sending = false;
        }
        if (at >= 0 && s->topic->state > TOPIC_EXISTS) {
            drop(l, (unsigned)at);
        }
        return;
    }
    bool forgotten = at == 0 && l->n > 1 && l->v[0].again;
    if (p->idempotent && lost && (at < 0 || forgotten || may_have_lost(p, s->topic))) {
        if (at >= 0) {
            forget_id(p);
        }
        return; /* the id was forgotten while this one was under way */
    }
    run_fail(nr->r, "%s-%d: Produce of record %llu (%s) is answered %d", s->topic->name,
             s->partition, (unsigned long long)s->first, p->idempotent ? "idempotent" : "plain",
             code);
}

static void on_answer(struct sim_call *call, int err, struct bytes body)
{
    struct sent *s = call->user;
    struct producer_actor *p = s->p;
    struct node_run *nr = p->a.nr;
    p->in_flight--;
    if (err == 0) {
        struct arena arena = {0};
        struct produce_response resp;
        node_run_decode(nr, call, body, &arena, &resp);
        RUN_CHECK(nr->r, resp.responses_n == 1 && resp.responses[0].partition_responses_n == 1);
        judge(s, resp.responses[0].partition_responses[0].error_code,
              resp.responses[0].partition_responses[0].base_offset);
        arena_free(&arena);
    } else {
        actor_forget(&p->a, s->topic->part[s->partition]);
        int at = place_of(s);
        if (at >= 0) {
            p->pending[s->topic->part[s->partition]].v[at].sending = false;
        }
    }
    mem_free(s);
    step_over(p);
}

/* ---- sending ---- */

static void send_batch(struct producer_actor *p, struct sim_client *to, struct topic *t,
                       int32_t partition, struct bytes batch, uint64_t first, uint32_t n,
                       uint64_t number)
{
    struct node_run *nr = p->a.nr;
    struct produce_request req;
    struct produce_request_topic_produce_data topic;
    struct produce_request_partition_produce_data data;
    proto_msg_init(&produce_request_msg, &req);
    proto_init(&produce_request_topic_produce_data_desc, &topic);
    proto_init(&produce_request_partition_produce_data_desc, &data);
    int16_t version = (int16_t)(7 + run_below(nr->r, topic_has_id(t) ? 7 : 6));
    req.acks = p->acks;
    req.timeout_ms = 5000;
    req.topic_data = &topic;
    req.topic_data_n = 1;
    if (version >= 13) {
        topic.topic_id = t->id;
    } else {
        topic.name = bytes_str(t->name);
    }
    topic.partition_data = &data;
    topic.partition_data_n = 1;
    data.index = partition;
    data.records = batch;
    if (p->acks == 0) {
        sim_client_send(to, API_PRODUCE, version, &req);
        return;
    }
    struct sent *s = MEM_NEW(struct sent);
    *s = (struct sent){.p = p, .topic = t, .partition = partition, .first = first, .n = n};
    s->number = number;
    p->in_flight++;
    sim_client_call(to, API_PRODUCE, version, &req, CALL_US, on_answer, s);
}

static void send_plain(struct producer_actor *p, struct actor_link *to, struct topic *t,
                       int32_t partition)
{
    struct buf batch = {0};
    uint64_t first = 0;
    uint32_t n;
    batch_make(p, t, partition, to->stream, &batch, &first, &n);
    send_batch(p, &to->c, t, partition, buf_bytes(&batch), first, n, 0);
    buf_free(&batch);
}

static void send_pending(struct producer_actor *p, struct actor_link *to, struct pending *q)
{
    q->again = q->stream != 0;
    q->sending = true;
    q->stream = to->stream;
    send_batch(p, &to->c, q->topic, q->partition, buf_bytes(&q->batch), q->first, q->n, q->number);
}

static void send_idempotent(struct producer_actor *p, struct actor_link *to, struct topic *t,
                            int32_t partition)
{
    uint32_t part = t->part[partition];
    struct pending_list *l = &p->pending[part];
    unsigned sending = 0;
    bool elsewhere = false;
    for (unsigned i = 0; i < l->n; i++) {
        sending += l->v[i].sending;
        elsewhere = elsewhere || l->v[i].stream != to->stream;
    }
    if (sending == 0 && l->n > 0) {
        for (unsigned i = 0; i < l->n; i++) {
            send_pending(p, to, &l->v[i]);
        }
    } else if (sending == l->n && !elsewhere && l->n < p->pending_max) {
        struct pending *q = &l->v[l->n++];
        *q = (struct pending){.topic = t, .partition = partition, .number = ++p->numbers};
        batch_make(p, t, partition, p->stream, &q->batch, &q->first, &q->n);
        p->next[part] = batch_sequence_add(p->next[part], (int32_t)q->n);
        send_pending(p, to, q);
    }
}

static void on_producer_id(struct sim_call *call, int err, struct bytes body)
{
    struct producer_actor *p = call->user;
    struct node_run *nr = p->a.nr;
    p->in_flight--;
    if (err == 0) {
        struct arena arena = {0};
        struct init_producer_id_response resp;
        node_run_decode(nr, call, body, &arena, &resp);
        if (resp.error_code == 0) {
            RUN_CHECK(nr->r, resp.producer_id >= 0 && resp.producer_epoch >= 0);
            for (unsigned i = 0; i < nr->actors_n; i++) { /* nobody else has it */
                struct actor *a = nr->actors[i];
                RUN_CHECK(nr->r, a == &p->a || a->step != p->a.step || !of(a)->has_pid ||
                                     of(a)->pid != resp.producer_id);
            }
            p->pid = resp.producer_id;
            p->epoch = resp.producer_epoch;
            p->has_pid = true;
            p->losses = nr->losses;
        } else if (!node_run_retriable(resp.error_code)) {
            run_fail(nr->r, "InitProducerId is answered %d", resp.error_code);
        }
        arena_free(&arena);
    }
    step_over(p);
}

static void ask_producer_id(struct producer_actor *p)
{
    struct init_producer_id_request req;
    proto_msg_init(&init_producer_id_request_msg, &req);
    req.transactional_id = BYTES_NULL;
    req.transaction_timeout_ms = 60000;
    p->in_flight++;
    sim_client_call(p->a.c, API_INIT_PRODUCER_ID, (int16_t)run_below(p->a.nr->r, 6), &req, CALL_US,
                    on_producer_id, p);
}

static void on_learned(struct actor *a)
{
    of(a)->in_flight--;
    step_over(of(a));
}

/* One batch. False: nobody knows yet to whom. */
static bool send_one(struct producer_actor *p, struct topic *t, int32_t partition)
{
    struct actor_link *to = actor_leader(&p->a, t->part[partition]);
    if (to == NULL) {
        return false;
    }
    if (p->idempotent) {
        send_idempotent(p, to, t, partition);
    } else {
        send_plain(p, to, t, partition);
    }
    return true;
}

static void producer_step(struct actor *a)
{
    struct producer_actor *p = of(a);
    struct node_run *nr = a->nr;
    if (run_chance(nr->r, 3)) {
        actor_hang_up(a); /* in the middle of whatever the node was doing with acks=0 */
    }
    actor_open(a);
    if (p->idempotent && !p->has_pid) {
        ask_producer_id(p);
        return;
    }
    unsigned n = 1 + (unsigned)run_below(nr->r, p->in_flight_max);
    bool lost = false;
    for (unsigned i = 0; i < n && !lost; i++) {
        struct topic *t = node_run_topic(nr);
        if (t == NULL) {
            break;
        }
        lost = !send_one(p, t, (int32_t)run_below(nr->r, (uint64_t)t->parts_n));
    }
    if (p->in_flight > 0 && run_chance(nr->r, 2)) {
        actor_hang_up(a); /* hangs up while requests are under way */
    }
    if (lost) {
        p->in_flight++;
        actor_learn(a);
    }
    step_over(p);
}

static void producer_stop(struct actor *a)
{
    forget_id(of(a));
}

struct actor *actor_producer_new(struct node_run *nr, unsigned index)
{
    struct producer_actor *p = MEM_NEW(struct producer_actor);
    static const int16_t acks[] = {-1, 1, 0, -1};
    snprintf(p->id, sizeof(p->id), "producer-%u", index);
    p->idempotent = run_chance(nr->r, 50);
    p->acks = p->idempotent ? -1 : acks[run_below(nr->r, ARRAY_LEN(acks))];
    p->in_flight_max = 1 + (unsigned)run_below(nr->r, IN_FLIGHT_MAX);
    p->pending_max = run_chance(nr->r, 50) ? 1 : PENDING_MAX;
    p->stream = ++nr->streams;
    p->a.step = producer_step;
    p->a.learned = on_learned;
    p->a.stop = producer_stop;
    actor_init(nr, &p->a, p->id, 1 + (int64_t)run_between(nr->r, 1000, 200000));
    return &p->a;
}
