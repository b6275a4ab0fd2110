/* Messages of one partition, if console.messages.enable is set: its first and last offset are asked
 * of its leader, then a Fetch from where the page wants to look. What comes is bounded in records,
 * in bytes of each key and value, and in bytes of the whole; keys and values are handed over in
 * base64, for they are no text as far as the broker knows. */
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "broker/console/console_private.h"
#include "controller/image.h"
#include "proto/record_batch.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"

enum {
    OFFSETS_VERSION = 7,
    FETCH_VERSION = 12,
    ASK_MS = 5000,
    LIMIT_DEFAULT = 50,
    LIMIT_MAX = 200,
    FETCH_BYTES = 1 << 20,
    BATCH_BYTES = 16 << 20, /* of records that were compressed */
    PIECE_BYTES = 32 << 10, /* of a key or a value */
    NAME_BYTES = 1 << 10,   /* of a header's key */
    ANSWER_BYTES = 4 << 20,
    HEADERS_MAX = 50,
    OFFSET_LATEST = -1,
    OFFSET_EARLIEST = -2,
};

/* One request of a page, until it is answered. */
struct look {
    struct console *c;
    struct http_request *r;
    struct peer *peer;
    char *topic;
    int32_t partition;
    int64_t from; /* OFFSET_LATEST: the newest; OFFSET_EARLIEST: the first */
    int64_t limit;
    int64_t start, end;
};

static void free_look(struct look *l)
{
    mem_free(l->topic);
    mem_free(l);
}

static void fail(struct look *l, int status, const char *why)
{
    api_refuse(l->r, status, "%s", why);
    free_look(l);
}

/* ---- records ---- */

struct page {
    struct json_writer w;
    const struct look *look;
    int64_t n;
    int64_t next; /* offset behind the last that was looked at */
    const char *broken;
};

static void put_piece(struct json_writer *w, const char *name, struct bytes b)
{
    json_open(w, name, '{');
    json_known(w, "size", bytes_is_null(b) ? -1 : (int64_t)b.len);
    if (!bytes_is_null(b)) {
        size_t n = b.len < PIECE_BYTES ? b.len : PIECE_BYTES;
        struct buf text = {0};
        base64_put(&text, bytes_of(b.data, n));
        json_text(w, "base64", buf_bytes(&text));
        buf_free(&text);
    }
    json_close(w, '}');
}

static void put_record(struct page *p, const struct record *rec)
{
    struct json_writer *w = &p->w;
    struct bytes headers = rec->headers;
    struct record_header h;
    json_open(w, NULL, '{');
    json_int(w, "offset", rec->offset);
    json_int(w, "timestamp", rec->timestamp);
    put_piece(w, "key", rec->key);
    put_piece(w, "value", rec->value);
    json_int(w, "headerCount", rec->header_count);
    json_open(w, "headers", '[');
    for (int i = 0; i < HEADERS_MAX && record_header_next(&headers, &h); i++) {
        json_open(w, NULL, '{');
        json_text(w, "key", bytes_of(h.key.data, h.key.len < NAME_BYTES ? h.key.len : NAME_BYTES));
        put_piece(w, "value", h.value);
        json_close(w, '}');
    }
    json_close(w, ']');
    json_close(w, '}');
    p->n++;
}

static bool is_full(const struct page *p)
{
    return p->n >= p->look->limit || p->w.out->len >= ANSWER_BYTES;
}

static void put_batch(struct page *p, struct bytes batch)
{
    struct record_reader reader;
    struct record rec;
    int rv = record_reader_open(&reader, batch, BATCH_BYTES);
    if (rv) {
        p->broken =
            rv == ERR_TOOBIG ? "A batch is too large to be shown." : "A batch cannot be read.";
        return;
    }
    while (!is_full(p) && record_reader_next(&reader, &rec) == 1) {
        if (rec.offset < p->next) {
            continue;
        }
        if (!batch_is_control(&reader.h)) {
            put_record(p, &rec);
        }
        p->next = rec.offset + 1;
    }
    if (!is_full(p) && batch_next_offset(&reader.h) > p->next) {
        p->next = batch_next_offset(&reader.h); /* a compacted one ends behind its last record */
    }
    record_reader_close(&reader);
}

static void put_records(struct page *p, struct bytes records)
{
    struct bytes batch;
    json_open(&p->w, "messages", '[');
    while (!is_full(p) && p->broken == NULL && batch_next(&records, &batch) == 1) {
        put_batch(p, batch);
    }
    json_close(&p->w, ']');
}

static const struct fetch_response_partition_data *the_partition(const struct fetch_response *r)
{
    bool whole = r->error_code == 0 && r->responses_n == 1 && r->responses[0].partitions_n == 1;
    return whole ? &r->responses[0].partitions[0] : NULL;
}

static void reply_page(struct look *l, struct bytes records)
{
    struct buf text = {0};
    struct page p = {.w = {.out = &text}, .look = l, .next = l->from};
    json_open(&p.w, NULL, '{');
    json_text(&p.w, "topic", bytes_str(l->topic));
    json_int(&p.w, "partition", l->partition);
    json_int(&p.w, "start", l->start);
    json_int(&p.w, "end", l->end);
    json_int(&p.w, "from", l->from);
    put_records(&p, records);
    json_int(&p.w, "next", p.next);
    json_str(&p.w, "broken", p.broken);
    json_close(&p.w, '}');
    api_reply(l->r, &text);
}

static void on_fetch(struct peer *p, int err, const void *answer, void *user)
{
    UNUSED(p);
    struct look *l = user;
    const struct fetch_response_partition_data *d = err ? NULL : the_partition(answer);
    if (d == NULL || d->error_code) {
        fail(l, 502, "The partition's leader did not give its records; it may have moved.");
        return;
    }
    reply_page(l, d->records);
    free_look(l);
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
        reply_page(l, BYTES_NULL);
        free_look(l);
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
    } else {
        struct look *l = MEM_NEW(struct look);
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
