#include "broker/console/message_page.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/base64.h"
#include "proto/record_batch.h"

enum {
    PIECE_BYTES = 32 << 10, /* of a key or a value */
    NAME_BYTES = 1 << 10,   /* of a header's key */
    HEADERS_MAX = 50,
    TEXT_BYTES = 4 << 20, /* of the page, and what one more message brings */
    MIB = 1 << 20,
};

/* ---- a message ---- */

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

static void put_record(struct message_page *p, const struct record *rec)
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

/* ---- a batch ---- */

static bool is_full(const struct message_page *p)
{
    return p->n >= p->limit || p->text.len >= TEXT_BYTES;
}

static void tell(struct message_page *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void tell(struct message_page *p, const char *fmt, ...)
{
    va_list ap;
    if (p->broken[0] == '\0') {
        va_start(ap, fmt);
        vsnprintf(p->broken, sizeof p->broken, fmt, ap);
        va_end(ap);
    }
}

static void tell_of_batch(struct message_page *p, const struct record_reader *r, int err)
{
    if (err == ERR_TOOBIG) {
        tell(p,
             "The batch at offset %" PRId64 " opens to more than %d MiB: %" PRId32
             " of its %" PRId32 " messages could be read.",
             r->h.base_offset, PAGE_BATCH_BYTES / MIB, r->read, r->h.record_count);
    } else {
        tell(p, "The batch at offset %" PRId64 " cannot be read beyond %" PRId32 " messages: %s.",
             r->h.base_offset, r->read, err_text(err));
    }
}

static void put_batch(struct message_page *p, struct bytes batch)
{
    struct record_reader reader;
    struct record rec;
    int rv = record_reader_open(&reader, batch, PAGE_BATCH_BYTES);
    bool more = rv == 0;
    p->opened += reader.records.len;
    while (more && !is_full(p)) {
        rv = record_reader_next(&reader, &rec);
        more = rv == 1;
        if (more && rec.offset >= p->next) {
            if (!batch_is_control(&reader.h)) {
                put_record(p, &rec);
            }
            p->next = rec.offset + 1;
        }
    }
    if (rv < 0) {
        tell_of_batch(p, &reader, rv);
    }
    if (!is_full(p) && batch_next_offset(&reader.h) > p->next) {
        p->next = batch_next_offset(&reader.h); /* a compacted one ends behind its last record */
    }
    record_reader_close(&reader);
}

/* ---- the page ---- */

void message_page_begin(struct message_page *p, const struct message_page_head *head,
                        struct bytes records)
{
    *p = (struct message_page){.limit = head->limit, .next = head->from};
    p->w.out = &p->text;
    buf_put(&p->records, records.data, records.len);
    p->rest = buf_bytes(&p->records);
    json_open(&p->w, NULL, '{');
    json_text(&p->w, "topic", head->topic);
    json_int(&p->w, "partition", head->partition);
    json_int(&p->w, "start", head->start);
    json_int(&p->w, "end", head->end);
    json_int(&p->w, "from", head->from);
    json_open(&p->w, "messages", '[');
}

bool message_page_step(struct message_page *p)
{
    size_t before = p->opened;
    while (p->opened - before < PAGE_STEP_BYTES) {
        struct bytes batch;
        if (is_full(p) || batch_next(&p->rest, &batch) != 1) {
            return false;
        }
        if (p->opened >= PAGE_OPENED_BYTES) {
            tell(p, "The page ends at offset %" PRId64 ": its batches opened to more than %d MiB.",
                 p->next, PAGE_OPENED_BYTES / MIB);
            return false;
        }
        put_batch(p, batch);
    }
    return true;
}

void message_page_finish(struct message_page *p, struct buf *out)
{
    json_close(&p->w, ']');
    json_int(&p->w, "next", p->next);
    json_str(&p->w, "broken", p->broken[0] ? p->broken : NULL);
    json_close(&p->w, '}');
    if (out) {
        *out = p->text;
        p->text = (struct buf){0};
    }
    buf_free(&p->text);
    buf_free(&p->records);
}
