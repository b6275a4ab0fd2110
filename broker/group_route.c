#include "broker/group_route.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "broker/call.h"
#include "broker/group_host.h"
#include "broker/messages.h"
#include "broker/partition_manager.h"
#include "broker/peer_address.h"
#include "controller/image.h"
#include "proto_errors.h"
#include "proto_messages.h"

/* ---- which partition ---- */

enum {
    JAVA_HASH = 31,
    REPLACEMENT = 0xfffd,
    SURROGATE_HIGH = 0xd800,
    SURROGATE_LOW = 0xdc00,
    BMP_END = 0x10000,
};

/* The code point of the well-formed sequence of n bytes at p. */
static uint32_t code_point(const uint8_t *p, size_t n)
{
    static const uint8_t first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = p[0] & first_bits[n];
    for (size_t i = 1; i < n; i++) {
        c = c << 6 | (p[i] & 0x3f);
    }
    return c;
}

/* String.hashCode: over UTF-16 units, what is not well-formed read as Java's decoder reads it. */
static uint32_t java_hash(struct bytes s)
{
    const uint8_t *p = s.data;
    const uint8_t *end = s.len ? p + s.len : p;
    uint32_t h = 0;
    while (p < end) {
        size_t bad;
        size_t n = utf8_sequence(p, end, &bad);
        uint32_t c = n ? code_point(p, n) : REPLACEMENT;
        if (c >= BMP_END) {
            h = JAVA_HASH * h + (SURROGATE_HIGH | (c - BMP_END) >> 10);
            c = SURROGATE_LOW | ((c - BMP_END) & 0x3ff);
        }
        h = JAVA_HASH * h + c;
        p += n ? n : bad;
    }
    return h;
}

int32_t group_partition_of(struct bytes group_id, int32_t partitions)
{
    int32_t h = (int32_t)java_hash(group_id);
    ASSERT(partitions > 0);
    return h == INT32_MIN ? 0 : abs(h) % partitions;
}

const struct image_topic *group_topic(const struct request *r)
{
    const struct image_topic *t = image_topic_by_name(r->image, bytes_str(GROUP_TOPIC));
    return t && t->partitions_n > 0 ? t : NULL;
}

/* ---- one event for one group ---- */

/* What need not hurry goes along with what comes next: a shard with patient connections wakes by
 * itself every so often. */
static void dispatch(struct shard *from, unsigned to, struct group_request *g)
{
    if (g->patient) {
        shard_post_within(from, to, &g->m, 2 * from->io->patience_us);
    } else {
        shard_send(from, to, &g->m);
    }
}

static void finish(struct group_request *g)
{
    g->done(g->r, g, g->code);
}

/* A member acts upon the error that its heartbeat is answered with: no need to keep it from that.
 */
static bool tells_news(const struct group_request *g)
{
    const struct heartbeat_response *r = g->ask.response;
    return g->code != KE_NONE || (g->kind == GROUP_HEARTBEAT && r->error_code != KE_NONE);
}

/* From the home shard to the connection's. */
static void go_back(struct node_shard *home, struct group_request *g, int16_t code)
{
    g->code = code;
    g->returning = true;
    g->patient = g->patient && !tells_news(g);
    if (g->r->ns == home) {
        finish(g);
    } else {
        dispatch(home->shard, g->r->ns->index, g);
    }
}

void group_route_reply(struct node_shard *ns, struct group_ask *ask)
{
    go_back(ns, CONTAINER_OF(ask, struct group_request, ask), KE_NONE);
}

/* These may wait for minutes, and hold what may be megabytes. */
static bool frame_goes(enum group_event_kind kind)
{
    return kind == GROUP_JOIN || kind == GROUP_SYNC;
}

static void ask_here(struct node_shard *home, struct group_request *g)
{
    struct partition *p = partition_find(home->partitions, g->topic_id, g->partition);
    int16_t code = group_host_code(home->groups, p);
    if (code) {
        go_back(home, g, code);
        return;
    }
    bool release = frame_goes(g->kind);
    if (!group_host_ask(p, g->kind, &g->ask) || !release) {
        return; /* g may be gone */
    }
    if (g->r->ns == home) {
        request_release_frame(g->r, g->r->arena.used);
    } else {
        g->used = g->r->arena.used;
        g->seen.kind = MSG_GROUP_SEEN; /* goes before the answer: messages keep their order */
        shard_send(home->shard, g->r->ns->index, &g->seen);
    }
}

void group_request_start(struct group_request *g, struct request *r, enum group_event_kind kind,
                         struct bytes group_id, const void *request, void *response,
                         group_done_fn *done, void *user)
{
    const struct image_topic *t = group_topic(r);
    const char *peer = r->cr->conn ? r->cr->conn->peer : "";
    ASSERT_ON_SHARD(r->ns->shard);
    list_init(&g->m.node);
    list_init(&g->seen.node);
    g->m.kind = MSG_GROUP;
    g->kind = kind;
    g->group_id = group_id;
    g->r = r;
    g->done = done;
    g->user = user;
    g->returning = false;
    g->patient = r->cr->patient;
    g->code = KE_NONE;
    g->image_offset = r->image->offset;
    g->ask = (struct group_ask){
        .version = r->hdr.version,
        .client_id = r->hdr.client_id,
        .client_host = kind == GROUP_JOIN ? peer_java_text(peer, &r->arena) : BYTES_NULL,
        .request = request,
        .arena = &r->arena,
        .response = response,
        .user = g,
    };
    if (t == NULL) {
        g->code = KE_NOT_COORDINATOR;
        finish(g);
        return;
    }
    g->topic_id = t->id;
    g->partition = group_partition_of(group_id, (int32_t)t->partitions_n);
    unsigned home = node_home_shard(r->ns->node, t->id, g->partition);
    if (home == r->ns->index) {
        ask_here(r->ns, g);
    } else {
        dispatch(r->ns->shard, home, g);
    }
}

void group_route_on_msg(struct node_shard *ns, struct msg *m)
{
    ASSERT_ON_SHARD(ns->shard);
    if (m->kind == MSG_GROUP_SEEN) {
        struct group_request *g = CONTAINER_OF(m, struct group_request, seen);
        request_release_frame(g->r, g->used);
        return;
    }
    struct group_request *g = CONTAINER_OF(m, struct group_request, m);
    if (g->returning) {
        ASSERT(g->r->ns == ns);
        finish(g);
    } else if (!node_wait_image(ns, m, g->image_offset)) {
        ask_here(ns, g);
    }
}

/* ---- reading ---- */

/* Who names everything once gets it: an answer about all groups takes less than so many times what
 * they take. */
enum { ALL_GROUPS = 2 };

/* Of group_read_start; in the request's arena. */
struct read_job {
    uint8_t *items;
    size_t item_size;
    uint32_t n;
    group_read_fn *read;
    group_read_done_fn *done;
    void *user;
};

static struct group_item *item_at(const struct read_job *j, uint32_t i)
{
    return (struct group_item *)(void *)(j->items + i * j->item_size);
}

static void read_run(struct node_shard *home, struct partition *p, struct scatter_item *at,
                     void *user, struct arena *a)
{
    const struct read_job *j = user;
    struct group_item *it = CONTAINER_OF(at, struct group_item, at);
    at->error = group_host_code(home->groups, p);
    if (at->error == KE_NONE) {
        a->limit = request_answer_max(home) + ALL_GROUPS * home->groups->bytes;
        it->too_large = a->used > a->limit ||
                        !j->read(group_host_core(p), it, j->user, shard_now_ms(home->shard),
                                 io_wall_ms(home->shard->io), a);
    }
}

static void read_done(struct request *r, void *user)
{
    const struct read_job *j = user;
    for (uint32_t i = 0; i < j->n; i++) {
        if (item_at(j, i)->too_large) {
            request_refuse(r, "its answer does not fit in memory (request.memory.bytes)");
            return;
        }
    }
    j->done(r, j->user);
}

/* Where it is to be asked; without a topic nowhere. */
static void place(const struct image_topic *t, struct group_item *it)
{
    it->too_large = false;
    if (it->at.error == KE_NONE && t == NULL) {
        it->at.error = KE_NOT_COORDINATOR;
    } else if (it->at.error == KE_NONE) {
        it->at.topic_id = t->id;
        it->at.index = group_partition_of(it->group_id, (int32_t)t->partitions_n);
    }
}

void group_read_start(struct request *r, void *items, size_t item_size, uint32_t n,
                      group_read_fn *read, group_read_done_fn *done, void *user)
{
    const struct image_topic *t = group_topic(r);
    struct read_job *j = ARENA_NEW(&r->arena, struct read_job);
    *j = (struct read_job){items, item_size, n, read, done, user};
    for (uint32_t i = 0; i < n; i++) {
        place(t, item_at(j, i));
    }
    scatter_start(r, items, item_size, n, read_run, read_done, j);
}

/* ---- every coordinator ---- */

struct all_leg {
    struct call call;
    struct all_job *job;
    struct arena arena;
    struct group_all_part *parts;
    uint32_t n;
    int16_t code;
};

struct all_job {
    struct request *r;
    group_all_fn *read;
    group_all_done_fn *done;
    void *user;
    unsigned out;
    struct all_leg legs[]; /* one per data shard */
};

static void all_leg_run(struct node_shard *home, struct all_leg *leg)
{
    struct group_host *h = home->groups;
    uint32_t cap = 0;
    if (h == NULL || h->stopping) {
        leg->code = KE_COORDINATOR_NOT_AVAILABLE;
        return;
    }
    list_for_each (at, &h->all) {
        cap++;
    }
    leg->parts = ARENA_ARRAY(&leg->arena, struct group_all_part, cap + 1);
    list_for_each (at, &h->all) {
        const struct group_coord *c = LIST_ENTRY(at, struct group_coord, all);
        int16_t code = group_host_code(h, c->part);
        if (code == KE_NONE) {
            leg->parts[leg->n++] = (struct group_all_part){
                c->part->index, leg->job->read(c->core, leg->job->user, &leg->arena)};
        } else if (code == KE_COORDINATOR_LOAD_IN_PROGRESS) {
            leg->code = code;
        }
    }
}

static int by_partition(const void *a, const void *b)
{
    const struct group_all_part *x = a;
    const struct group_all_part *y = b;
    return (x->partition > y->partition) - (x->partition < y->partition);
}

static void all_leg_home(struct all_job *j)
{
    unsigned shards = j->r->ns->node->data_shards;
    uint32_t n = 0;
    int16_t code = KE_NONE;
    ASSERT(j->out > 0);
    if (--j->out > 0) {
        return;
    }
    for (unsigned i = 0; i < shards; i++) {
        n += j->legs[i].n;
        code = j->legs[i].code ? j->legs[i].code : code;
    }
    struct group_all_part *parts = ARENA_ARRAY(&j->r->arena, struct group_all_part, n + 1);
    n = 0;
    for (unsigned i = 0; i < shards; i++) {
        for (uint32_t k = 0; k < j->legs[i].n; k++) {
            parts[n++] = j->legs[i].parts[k];
        }
    }
    qsort(parts, n, sizeof *parts, by_partition);
    j->done(j->r, j->user, code, parts, n);
    for (unsigned i = 0; i < shards; i++) {
        arena_free(&j->legs[i].arena);
    }
    mem_free(j);
}

static void all_call_run(struct shard *sh, struct call *c)
{
    all_leg_run(node_shard_of(sh), c->user);
    call_finish(sh, c);
}

static void all_call_done(struct shard *sh, struct call *c)
{
    UNUSED(sh);
    all_leg_home(((struct all_leg *)c->user)->job);
}

void group_all_start(struct request *r, group_all_fn *read, group_all_done_fn *done, void *user)
{
    struct node_shard *ns = r->ns;
    unsigned shards = ns->node->data_shards;
    ASSERT_ON_SHARD(ns->shard);
    struct all_job *j = mem_zalloc(sizeof *j + shards * sizeof j->legs[0]);
    j->r = r;
    j->read = read;
    j->done = done;
    j->user = user;
    j->out = shards;
    for (unsigned i = 0; i < shards; i++) {
        struct all_leg *leg = &j->legs[i];
        leg->job = j;
        if (i != ns->index) {
            call_start(ns->shard, i, &leg->call, all_call_run, all_call_done, leg);
        }
    }
    all_leg_run(ns, &j->legs[ns->index]);
    all_leg_home(j);
}
