/* DescribeLogDirs (35), versions 1 to 5: every log directory with its partitions (those that were
 * asked for, or all), their sizes, and the space on its disk. A future log (dir_move.h) has a row
 * of its own, with what it lacks of the partition's log; -1 if that is offline. An offline
 * directory has KAFKA_STORAGE_ERROR and nothing else. Every shard says what it has; the asking one
 * puts it together. */
#include <stdlib.h>

#include "base/mem.h"
#include "broker/api/errors.h"
#include "broker/api/handlers.h"
#include "broker/call.h"
#include "broker/config.h"
#include "broker/dir_move.h"
#include "broker/partition_manager.h"
#include "broker/request.h"
#include "proto_messages.h"
#include "storage/log_dir.h"

struct found {         /* one partition */
    const char *topic; /* in the shard's arena */
    int32_t partition;
    unsigned dir;
    uint64_t size;
    int64_t lag;
    bool future;
};

struct shard_part {
    struct call call;
    struct state *s;
    struct arena arena;
    struct found *v;
    uint32_t n;
};

struct state {
    struct request *r;
    const struct describe_log_dirs_request *q;
    struct shard_part *shards;
    unsigned shards_n;
    unsigned out;
};

static bool wanted(const struct describe_log_dirs_request *q, const struct partition *p)
{
    if (q->topics_n < 0) {
        return true;
    }
    for (int32_t i = 0; i < q->topics_n; i++) {
        if (!bytes_eq_str(q->topics[i].topic, p->topic->name)) {
            continue;
        }
        for (int32_t k = 0; k < q->topics[i].partitions_n; k++) {
            if (q->topics[i].partitions[k] == p->index) {
                return true;
            }
        }
    }
    return false;
}

static void add_log(struct shard_part *sp, const struct partition *p, const struct plog *log)
{
    sp->v[sp->n++] = (struct found){
        .topic = arena_strndup(&sp->arena, p->topic->name, strlen(p->topic->name)),
        .partition = p->index,
        .dir = plog_dir_index(log),
        .size = plog_size(log),
    };
}

static void add_future(struct shard_part *sp, const struct partition *p)
{
    const struct plog *log = dir_move_log(p);
    add_log(sp, p, log);
    sp->v[sp->n - 1].future = true;
    sp->v[sp->n - 1].lag = p->offline ? -1 : plog_end_offset(p->log) - plog_end_offset(log);
}

static void run(struct shard *sh, struct call *c)
{
    struct shard_part *sp = c->user;
    struct partition_manager *pm = node_shard_of(sh)->partitions;
    sp->v = ARENA_ARRAY(&sp->arena, struct found, 2 * pm->by_key.count + 1);
    list_for_each (at, &pm->all) {
        const struct partition *p = LIST_ENTRY(at, struct partition, all);
        if (!wanted(sp->s->q, p)) {
            continue;
        }
        if (!p->offline) {
            add_log(sp, p, p->log);
        }
        if (p->move) {
            add_future(sp, p);
        }
    }
    call_finish(sh, c);
}

/* Adds the partition to its topic's row of the directory; neighbours are usually of one topic. */
static void add_found(struct request *r,
                      struct describe_log_dirs_response_describe_log_dirs_result *d,
                      const struct found *f, size_t topics_cap, int32_t *caps)
{
    struct describe_log_dirs_response_describe_log_dirs_topic *t = NULL;
    int32_t i = d->topics_n - 1;
    while (i >= 0 && !bytes_eq_str(d->topics[i].name, f->topic)) {
        i--;
    }
    if (i < 0) {
        ASSERT((size_t)d->topics_n < topics_cap);
        i = d->topics_n++;
        d->topics[i].name = bytes_str(arena_strndup(&r->arena, f->topic, strlen(f->topic)));
    }
    t = &d->topics[i];
    if (t->partitions_n == caps[i]) {
        caps[i] = caps[i] ? caps[i] * 2 : 4;
        void *more =
            proto_array(&r->arena, &describe_log_dirs_response_describe_log_dirs_partition_desc,
                        (size_t)caps[i]);
        if (t->partitions_n) {
            memcpy(more, t->partitions, (size_t)t->partitions_n * sizeof t->partitions[0]);
        }
        t->partitions = more;
    }
    struct describe_log_dirs_response_describe_log_dirs_partition *o =
        &t->partitions[t->partitions_n++];
    o->partition_index = f->partition;
    o->partition_size = (int64_t)f->size;
    o->offset_lag = f->lag;
    o->is_future_key = f->future;
}

static int by_topic(const void *a, const void *b)
{
    const struct found *x = a;
    const struct found *y = b;
    int c = strcmp(x->topic, y->topic);
    return c ? c : (x->partition > y->partition) - (x->partition < y->partition);
}

static void put_dir(struct state *s, unsigned d, struct found *all, uint32_t all_n,
                    struct describe_log_dirs_response_describe_log_dirs_result *out)
{
    struct node *n = request_node(s->r);
    out->log_dir = bytes_str(n->config->log_dirs[d]);
    out->total_bytes = -1;
    out->usable_bytes = -1;
    uint64_t total;
    uint64_t usable;
    if (n->log_dirs[d] == NULL || s->r->ns->partitions->store.dir_offline[d]) {
        out->error_code = KE_KAFKA_STORAGE_ERROR;
        return;
    }
    if (io_disk_space(s->r->ns->shard->io, n->log_dirs[d]->path, &total, &usable) == 0) {
        out->total_bytes = (int64_t)total;
        out->usable_bytes = (int64_t)usable;
    }
    out->topics =
        proto_array(&s->r->arena, &describe_log_dirs_response_describe_log_dirs_topic_desc, all_n);
    int32_t *caps = ARENA_ARRAY(&s->r->arena, int32_t, all_n + 1);
    for (uint32_t i = 0; i < all_n; i++) {
        if (all[i].dir == d) {
            add_found(s->r, out, &all[i], all_n, caps);
        }
    }
}

static void answer(struct state *s)
{
    struct request *r = s->r;
    struct node *n = request_node(r);
    uint32_t total = 0;
    for (unsigned i = 0; i < s->shards_n; i++) {
        total += s->shards[i].n;
    }
    struct found *all = ARENA_ARRAY(&r->arena, struct found, total + 1);
    uint32_t at = 0;
    for (unsigned i = 0; i < s->shards_n; i++) {
        memcpy(all + at, s->shards[i].v, s->shards[i].n * sizeof *all);
        at += s->shards[i].n;
    }
    qsort(all, total, sizeof *all, by_topic);
    struct describe_log_dirs_response *resp = request_response(r);
    resp->results = proto_array(
        &r->arena, &describe_log_dirs_response_describe_log_dirs_result_desc, n->log_dirs_n);
    resp->results_n = (int32_t)n->log_dirs_n;
    for (unsigned d = 0; d < n->log_dirs_n; d++) {
        put_dir(s, d, all, total, &resp->results[d]);
    }
    for (unsigned i = 0; i < s->shards_n; i++) {
        arena_free(&s->shards[i].arena);
    }
    mem_free(s->shards);
    request_reply(r, resp);
}

static void done(struct shard *sh, struct call *c)
{
    UNUSED(sh);
    struct shard_part *sp = c->user;
    if (--sp->s->out == 0) {
        answer(sp->s);
    }
}

void api_describe_log_dirs(struct request *r)
{
    struct state *s = ARENA_NEW(&r->arena, struct state);
    s->r = r;
    s->q = r->body;
    s->shards_n = request_node(r)->data_shards;
    s->out = s->shards_n;
    s->shards = mem_zalloc(s->shards_n * sizeof *s->shards);
    for (unsigned i = 0; i < s->shards_n; i++) {
        s->shards[i].s = s;
        call_start(r->ns->shard, i, &s->shards[i].call, run, done, &s->shards[i]);
    }
}
