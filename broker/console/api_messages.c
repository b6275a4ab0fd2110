/* Messages of one partition, if console.messages.enable is set: its first and last offset are asked
 * of its leader, then a Fetch from where the page wants to look. The answer is made by
 * message_page.h in steps, one a turn of the shard, those of several looks by turns.
 *
 * LOOKS_MAX are under way at a time, so their records have a bound together; further ones are
 * refused. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "broker/console/console_private.h"
#include "broker/console/message_page.h"
#include "controller/image.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"

enum {
    OFFSETS_VERSION = 7,
    FETCH_VERSION = 12,
    ASK_MS = 5000,
    LIMIT_DEFAULT = 50,
    LIMIT_MAX = 200,
    LOOKS_MAX = 8,
    FETCH_BYTES = 1 << 20,
    OFFSET_LATEST = -1,
    OFFSET_EARLIEST = -2,
};

/* One request of a page, until it is answered. */
struct look {
    struct list node; /* of the console's `reading`, once its records are there */
    struct console *c;
    struct http_request *r;
    struct peer *peer;
    char *topic;
    int32_t partition;
    int64_t from; /* OFFSET_LATEST: the newest; OFFSET_EARLIEST: the first */
    int64_t limit;
    int64_t start, end;
    struct message_page page;
};

static void free_look(struct look *l)
{
    l->c->looks--;
    mem_free(l->topic);
    mem_free(l);
}

static void fail(struct look *l, int status, const char *why)
{
    api_refuse(l->r, status, "%s", why);
    free_look(l);
}

/* ---- records ---- */

static const struct fetch_response_partition_data *the_partition(const struct fetch_response *r)
{
    bool whole = r->error_code == 0 && r->responses_n == 1 && r->responses[0].partitions_n == 1;
    return whole ? &r->responses[0].partitions[0] : NULL;
}

/* One step of the look whose turn it is; the next is that of another one, in another turn. */
static void read_on(struct timer *t)
{
    struct console *c = t->user;
    struct look *l = LIST_ENTRY(list_pop_front(&c->reading), struct look, node);
    if (message_page_step(&l->page)) {
        list_push_back(&c->reading, &l->node);
    } else {
        struct buf text;
        message_page_finish(&l->page, &text);
        api_reply(l->r, &text);
        free_look(l);
    }
    if (!list_empty(&c->reading)) {
        timer_set(console_shard(c), &c->read, console_now(c));
    }
}

static void begin_page(struct look *l, struct bytes records)
{
    const struct message_page_head head = {.topic = bytes_str(l->topic),
                                           .partition = l->partition,
                                           .start = l->start,
                                           .end = l->end,
                                           .from = l->from,
                                           .limit = l->limit};
    message_page_begin(&l->page, &head, records);
    list_push_back(&l->c->reading, &l->node);
    timer_set(console_shard(l->c), &l->c->read, console_now(l->c));
}

static void on_fetch(struct peer *p, int err, const void *answer, void *user)
{
    UNUSED(p);
    struct look *l = user;
    const struct fetch_response_partition_data *d = err ? NULL : the_partition(answer);
    if (d == NULL || d->error_code || l->c->ended) {
        fail(l, 502,
             "The partition's leader did not give its records: it may have moved, or a batch is "
             "larger than 20 MiB.");
        return;
    }
    begin_page(l, d->records);
}

/* ---- offsets ---- */

static void ask_records(struct look *l)
{
    struct fetch_request q;
    struct fetch_request_fetch_topic topic;
    struct fetch_request_fetch_partition partition;
    proto_msg_init(&fetch_request_msg, &q);
    proto_init(&fetch_request_fetch_topic_desc, &topic);
    proto_init(&fetch_request_fetch_partition_desc, &partition);
    partition.partition = l->partition;
    partition.fetch_offset = l->from;
    partition.partition_max_bytes = FETCH_BYTES;
    topic.topic = bytes_str(l->topic);
    topic.partitions = &partition;
    topic.partitions_n = 1;
    q.replica_id = -1;
    q.max_bytes = FETCH_BYTES;
    q.topics = &topic;
    q.topics_n = 1;
    peer_ask(l->peer, API_FETCH, FETCH_VERSION, &q, ASK_MS, on_fetch, l);
}

static void ask_offset(struct look *l, int64_t at, ask_fn *fn)
{
    struct list_offsets_request q;
    struct list_offsets_request_list_offsets_topic topic;
    struct list_offsets_request_list_offsets_partition partition;
    proto_msg_init(&list_offsets_request_msg, &q);
    proto_init(&list_offsets_request_list_offsets_topic_desc, &topic);
    proto_init(&list_offsets_request_list_offsets_partition_desc, &partition);
    partition.partition_index = l->partition;
    partition.timestamp = at;
    topic.name = bytes_str(l->topic);
    topic.partitions = &partition;
    topic.partitions_n = 1;
    q.replica_id = -1;
    q.topics = &topic;
    q.topics_n = 1;
    peer_ask(l->peer, API_LIST_OFFSETS, OFFSETS_VERSION, &q, ASK_MS, fn, l);
}

/* -1: it did not come; l is answered then. */
static int64_t offset_in(struct look *l, int err, const struct list_offsets_response *r)
{
    bool whole = err == 0 && r->topics_n == 1 && r->topics[0].partitions_n == 1 &&
                 r->topics[0].partitions[0].error_code == 0;
    if (!whole || l->c->ended || l->peer->channel == NULL) {
        fail(l, 502, "The partition's leader did not tell its offsets; it may have moved.");
        return -1;
    }
    return r->topics[0].partitions[0].offset;
}

static void on_start(struct peer *p, int err, const void *answer, void *user)
{
    UNUSED(p);
    struct look *l = user;
    l->start = offset_in(l, err, answer);
    if (l->start < 0) {
        return;
    }
    l->from = l->from == OFFSET_LATEST ? l->end - l->limit : l->from;
    l->from = l->from > l->end ? l->end : l->from;
    l->from = l->from < l->start ? l->start : l->from;
    if (l->from == l->end) {
        begin_page(l, BYTES_NULL);
    } else {
        ask_records(l);
    }
}

static void on_end(struct peer *p, int err, const void *answer, void *user)
{
    UNUSED(p);
    struct look *l = user;
    l->end = offset_in(l, err, answer);
    if (l->end >= 0) {
        ask_offset(l, OFFSET_EARLIEST, on_start);
    }
}

/* ---- the request ---- */

static int64_t where(const struct http_request *r)
{
    const char *text = http_query(r, "offset");
    if (text && strcmp(text, "earliest") == 0) {
        return 0;
    }
    return api_number(r, "offset", OFFSET_LATEST, 0, INT64_MAX);
}

void api_messages(struct console *c, struct http_request *r)
{
    const char *name = http_query(r, "topic");
    int64_t index = api_number(r, "partition", 0, 0, INT32_MAX);
    if (!console_config(c)->v.console_messages_enable) {
        api_refuse(r, 403, "Messages are not shown: console.messages.enable is false.");
        return;
    }
    const struct image_topic *t =
        name ? image_topic_by_name(c->watch.image, bytes_str(name)) : NULL;
    const struct image_partition *p = t ? image_partition(t, (int32_t)index) : NULL;
    struct peer *leader = p ? peer_find(c, p->leader) : NULL;
    if (p == NULL) {
        api_refuse(r, 404, "There is no such partition.");
    } else if (leader == NULL || leader->channel == NULL) {
        api_refuse(r, 502, "The partition has no leader now.");
    } else if (c->looks == LOOKS_MAX) {
        api_refuse(r, 503, "Messages are being read for %d others: try again.", LOOKS_MAX);
    } else {
        struct look *l = MEM_NEW(struct look);
        c->looks++;
        list_init(&l->node);
        l->c = c;
        l->r = r;
        l->peer = leader;
        l->topic = mem_strdup(name);
        l->partition = (int32_t)index;
        l->from = where(r);
        l->limit = api_number(r, "limit", LIMIT_DEFAULT, 1, LIMIT_MAX);
        ask_offset(l, OFFSET_LATEST, on_end);
    }
}

void messages_init(struct console *c)
{
    list_init(&c->reading);
    c->read = (struct timer){.cb = read_on, .user = c};
}

void messages_end(struct console *c)
{
    while (!list_empty(&c->reading)) {
        struct look *l = LIST_ENTRY(list_pop_front(&c->reading), struct look, node);
        message_page_finish(&l->page, NULL);
        fail(l, 503, "The node stops.");
    }
    if (timer_is_set(&c->read)) {
        timer_cancel(console_shard(c), &c->read);
    }
}
