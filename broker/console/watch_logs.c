/* Offsets and sizes. Last offsets (the high watermarks, as a consumer sees them) are asked of each
 * leader in every round: rates and lags come from them. First offsets and log directories, which
 * change slowly, are asked less often. */
#include "base/mem.h"
#include "broker/console/console_private.h"
#include "controller/image.h"
#include "proto_apis.h"
#include "proto_messages.h"

enum {
    OFFSETS_VERSION = 7,
    DIRS_VERSION = 4,
    ASK_MS = 1500,
    OFFSET_LATEST = -1,
    OFFSET_EARLIEST = -2,
};

/* ---- the table of topics ---- */

static struct watch_topic *topic_of(struct watch *w, const struct image_topic *t)
{
    struct watch_topic *have = map_get(&w->topics, bytes_of(t->id.b, sizeof t->id.b));
    if (have == NULL) {
        have = MEM_NEW(struct watch_topic);
        have->id = t->id;
        map_put(&w->topics, bytes_of(have->id.b, sizeof have->id.b), have);
    }
    if (have->n < t->partitions_n) {
        have->v = mem_realloc(have->v, t->partitions_n * sizeof *have->v);
        for (; have->n < t->partitions_n; have->n++) {
            have->v[have->n] = (struct watch_partition){.start = -1, .end = -1, .bytes = -1};
        }
    }
    return have;
}

static void free_topic(struct watch_topic *t)
{
    mem_free(t->v);
    mem_free(t);
}

static struct watch_topic *find_gone(const struct watch *w)
{
    map_for_each (slot, &w->topics) {
        struct watch_topic *t = slot->value;
        if (t->seen != w->round) {
            return t;
        }
    }
    return NULL;
}

void watch_topics_follow(struct watch *w)
{
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    while ((t = image_next_topic(w->image, &it)) != NULL) {
        topic_of(w, t)->seen = w->round;
    }
    struct watch_topic *gone;
    while (w->topics.count > (size_t)w->image->topics_n && (gone = find_gone(w)) != NULL) {
        map_remove(&w->topics, bytes_of(gone->id.b, sizeof gone->id.b));
        free_topic(gone);
    }
}

void watch_topics_free(struct watch *w)
{
    map_for_each (slot, &w->topics) {
        free_topic(slot->value);
    }
    map_free(&w->topics);
    w->topics = (struct map){0};
}

static struct watch_partition *partition_named(struct watch *w, struct bytes topic, int32_t index)
{
    return (struct watch_partition *)(uintptr_t)watch_partition_named(w, topic, index);
}

/* ---- last offsets, first offsets ---- */

static void take_end(struct watch_partition *p, int64_t end, int64_t now)
{
    int64_t ms = now - p->heard_ms;
    p->rate =
        p->end >= 0 && end > p->end && ms > 0 ? (double)(end - p->end) * 1000 / (double)ms : 0;
    p->end = end;
    p->heard_ms = now;
}

static void take_offsets(struct console *c, const struct list_offsets_response *r, bool latest)
{
    int64_t now = console_now(c);
    for (int32_t i = 0; i < r->topics_n; i++) {
        const struct list_offsets_response_list_offsets_topic_response *t = &r->topics[i];
        for (int32_t k = 0; k < t->partitions_n; k++) {
            const struct list_offsets_response_list_offsets_partition_response *row =
                &t->partitions[k];
            struct watch_partition *p = partition_named(&c->watch, t->name, row->partition_index);
            if (p == NULL || row->error_code || row->offset < 0) {
                continue;
            }
            if (latest) {
                take_end(p, row->offset, now);
            } else {
                p->start = row->offset;
            }
        }
    }
}

static void on_ends(struct peer *p, int err, const void *answer, void *user)
{
    UNUSED(user);
    if (err == 0) {
        take_offsets(p->console, answer, true);
    }
    watch_answered(p->console);
}

static void on_starts(struct peer *p, int err, const void *answer, void *user)
{
    UNUSED(user);
    if (err == 0) {
        take_offsets(p->console, answer, false);
    }
    watch_answered(p->console);
}

static int32_t led_by(const struct image_topic *t, int32_t broker)
{
    int32_t n = 0;
    for (uint32_t i = 0; i < t->partitions_n; i++) {
        n += t->partitions[i] && t->partitions[i]->leader == broker;
    }
    return n;
}

static void put_topic(const struct image_topic *t, int32_t broker, int64_t at, struct arena *a,
                      struct list_offsets_request_list_offsets_topic *row, int32_t n)
{
    row->name = t->name;
    row->partitions = proto_array(a, &list_offsets_request_list_offsets_partition_desc, (size_t)n);
    for (uint32_t i = 0; i < t->partitions_n; i++) {
        if (t->partitions[i] && t->partitions[i]->leader == broker) {
            struct list_offsets_request_list_offsets_partition *p =
                &row->partitions[row->partitions_n++];
            p->partition_index = (int32_t)i;
            p->timestamp = at;
        }
    }
}

/* Of all partitions that it leads. */
static void ask_offsets(struct console *c, struct peer *p, int64_t at)
{
    const struct image *img = c->watch.image;
    struct arena a = {0};
    struct list_offsets_request q;
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    proto_msg_init(&list_offsets_request_msg, &q);
    q.replica_id = -1;
    q.topics =
        proto_array(&a, &list_offsets_request_list_offsets_topic_desc, (size_t)img->topics_n);
    while ((t = image_next_topic(img, &it)) != NULL) {
        int32_t n = led_by(t, p->id);
        if (n > 0) {
            put_topic(t, p->id, at, &a, &q.topics[q.topics_n++], n);
        }
    }
    watch_asked(c);
    peer_ask(p, API_LIST_OFFSETS, OFFSETS_VERSION, &q, ASK_MS,
             at == OFFSET_LATEST ? on_ends : on_starts, NULL);
    arena_free(&a);
}

/* ---- log directories ---- */

static void take_dir(struct peer *p,
                     const struct describe_log_dirs_response_describe_log_dirs_result *r,
                     struct peer_dir *d)
{
    struct watch *w = &p->console->watch;
    d->path = mem_alloc(r->log_dir.len + 1);
    memcpy(d->path, r->log_dir.data, r->log_dir.len);
    d->path[r->log_dir.len] = '\0';
    d->error = r->error_code;
    d->total = r->total_bytes;
    d->usable = r->usable_bytes;
    for (int32_t i = 0; i < r->topics_n; i++) {
        const struct image_topic *t = image_topic_by_name(w->image, r->topics[i].name);
        for (int32_t k = 0; k < r->topics[i].partitions_n; k++) {
            const struct describe_log_dirs_response_describe_log_dirs_partition *row =
                &r->topics[i].partitions[k];
            const struct image_partition *ip = t ? image_partition(t, row->partition_index) : NULL;
            struct watch_partition *wp =
                ip && ip->leader == p->id && !row->is_future_key
                    ? (struct watch_partition *)(uintptr_t)watch_partition(w, t->id, ip->index)
                    : NULL;
            d->replicas++;
            d->bytes += row->partition_size;
            if (wp) {
                wp->bytes = row->partition_size;
            }
        }
    }
}

static void on_dirs(struct peer *p, int err, const void *answer, void *user)
{
    UNUSED(user);
    const struct describe_log_dirs_response *r = answer;
    if (err == 0 && r->error_code == 0 && r->results_n > 0 && p->console->watch.image) {
        peer_drop_dirs(p);
        p->dirs = mem_zalloc((size_t)r->results_n * sizeof *p->dirs);
        p->dirs_n = (unsigned)r->results_n;
        for (int32_t i = 0; i < r->results_n; i++) {
            take_dir(p, &r->results[i], &p->dirs[i]);
        }
    }
    watch_answered(p->console);
}

static void ask_dirs(struct console *c, struct peer *p)
{
    struct describe_log_dirs_request q;
    proto_msg_init(&describe_log_dirs_request_msg, &q);
    q.topics_n = -1; /* all */
    watch_asked(c);
    peer_ask(p, API_DESCRIBE_LOG_DIRS, DIRS_VERSION, &q, ASK_MS, on_dirs, NULL);
}

void watch_ask_logs(struct console *c, struct peer *p)
{
    ask_offsets(c, p, OFFSET_LATEST);
    if (c->watch.slow || p->dirs == NULL) {
        ask_offsets(c, p, OFFSET_EARLIEST);
        ask_dirs(c, p);
    }
}
