/* See history.h. */
#include "sim/checkers/history.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum { VALUE_LEAST = 16 };

void history_init(struct history *h, struct run *r)
{
    *h = (struct history){.r = r};
}

void history_free(struct history *h)
{
    for (int i = 0; i < HISTORY_PARTS_MAX; i++) {
        mem_free(h->parts[i].at);
    }
    mem_free(h->records);
}

uint32_t history_part(struct history *h, const char *name, bool flushed)
{
    uint32_t i = 0;
    while (i < HISTORY_PARTS_MAX && h->parts[i].used) {
        i++;
    }
    ASSERT(i < HISTORY_PARTS_MAX);
    struct hist_part *p = &h->parts[i];
    *p = (struct hist_part){.used = true, .flushed = flushed, .recovered = INT64_MAX};
    snprintf(p->name, sizeof(p->name), "%s", name);
    return i;
}

/* ---- values ---- */

static uint8_t pattern(uint64_t number, size_t i)
{
    return (uint8_t)((number * 0x9e3779b97f4a7c15ull >> (i % 7 * 8)) + i);
}

uint64_t history_send(struct history *h, uint32_t part, uint32_t stream, struct buf *out,
                      size_t size)
{
    if (h->n == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 1024;
        h->records = mem_realloc(h->records, h->cap * sizeof(*h->records));
    }
    uint64_t number = h->n++;
    h->records[number] = (struct hist_record){.part = part, .stream = stream, .offset = -1};
    size = size < VALUE_LEAST ? VALUE_LEAST : size;
    buf_put_be64(out, number);
    buf_put_be64(out, size);
    for (size_t i = VALUE_LEAST; i < size; i++) {
        buf_put_u8(out, pattern(number, i));
    }
    return number;
}

uint64_t history_number(struct history *h, struct bytes value)
{
    if (value.len < VALUE_LEAST || load_be64(value.data + 8) != value.len ||
        load_be64(value.data) >= h->n) {
        run_fail(h->r, "a record of %zu bytes was read that nobody sent", value.len);
    }
    uint64_t number = load_be64(value.data);
    for (size_t i = VALUE_LEAST; i < value.len; i++) {
        if (value.data[i] != pattern(number, i)) {
            run_fail(h->r, "record %llu was read with a wrong byte at %zu",
                     (unsigned long long)number, i);
        }
    }
    return number;
}

/* ---- knowledge ---- */

static void reserve(struct hist_part *p, int64_t offset)
{
    size_t need = (size_t)offset + 1;
    if (need > p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 256;
        cap = cap < need ? need : cap;
        p->at = mem_realloc(p->at, cap * sizeof(*p->at));
        memset(p->at + p->cap, 0, (cap - p->cap) * sizeof(*p->at));
        p->cap = cap;
    }
}

/* Nothing is known any more from this offset on. */
static void forget(struct history *h, uint32_t part, int64_t from)
{
    struct hist_part *p = &h->parts[part];
    for (int64_t i = from; i < p->end; i++) {
        if (p->at[i] != 0) {
            h->records[p->at[i] - 1].offset = -1;
            h->records[p->at[i] - 1].lost = true;
            h->lost++;
        }
        p->at[i] = 0;
    }
    p->end = p->end < from ? p->end : from;
}

/* In a cluster losses show while clients work. */
static void forgive(struct history *h, uint32_t part, int64_t offset, uint64_t number)
{
    struct hist_part *p = &h->parts[part];
    int64_t was = h->records[number].offset;
    if (!h->many || !p->may_lose) {
        return;
    }
    if (was >= p->durable && was != offset) {
        forget(h, part, was);
    }
    if (offset >= p->durable && offset < p->end && p->at[offset] != 0 &&
        p->at[offset] != number + 1) {
        forget(h, part, offset);
    }
}

/* DeleteRecords took a batch that nobody had acknowledged yet, and a replica was begun at the log's
 * start, which leads now: as in Kafka it knows nothing of the batch, and takes it once more. The
 * start may go back with a later leader, and then both are there. */
static bool stands_anew(const struct history *h, const struct hist_part *p,
                        const struct hist_record *rec, int64_t offset)
{
    bool was_deleted = rec->offset < offset && rec->offset < p->start_max && !rec->acked;
    bool is_the_deleted = rec->anew && offset < rec->offset && offset < p->start_max;
    return h->many && (was_deleted || is_the_deleted);
}

/* The record stands at the offset, says an answer or a look. */
static void know(struct history *h, uint32_t part, int64_t offset, uint64_t number, const char *how)
{
    struct hist_part *p = &h->parts[part];
    struct hist_record *rec = &h->records[number];
    if (offset < 0 || rec->part != part) {
        run_fail(h->r, "%s: record %llu of %s was %s at offset %lld", p->name,
                 (unsigned long long)number, h->parts[rec->part].name, how, (long long)offset);
    }
    reserve(p, offset);
    forgive(h, part, offset, number);
    if (p->at[offset] != 0 && p->at[offset] != number + 1) {
        run_fail(h->r, "%s: offset %lld held record %llu, now record %llu was %s there", p->name,
                 (long long)offset, (unsigned long long)(p->at[offset] - 1),
                 (unsigned long long)number, how);
    }
    bool twice = rec->offset >= 0 && rec->offset != offset;
    if (twice && !stands_anew(h, p, rec, offset)) {
        run_fail(h->r, "%s: record %llu stands at offset %lld, now it was %s at %lld", p->name,
                 (unsigned long long)number, (long long)rec->offset, how, (long long)offset);
    }
    p->at[offset] = number + 1;
    rec->anew = rec->anew || twice;
    rec->offset = rec->offset < offset ? offset : rec->offset;
    p->end = p->end > offset + 1 ? p->end : offset + 1;
}

void history_acked(struct history *h, uint32_t part, uint64_t first, uint32_t n, int64_t base)
{
    struct hist_part *p = &h->parts[part];
    for (uint32_t i = 0; i < n; i++) {
        know(h, part, base + i, first + i, "acknowledged");
        h->records[first + i].acked = true;
    }
    h->acked += n;
    if (p->flushed && !p->unclean && base + n > p->durable) {
        p->durable = base + n;
    }
}

void history_seen(struct history *h, uint32_t part, int64_t offset, struct bytes value,
                  int64_t start_then)
{
    uint64_t number = history_number(h, value);
    if (offset < start_then) {
        run_fail(h->r, "%s: offset %lld was read, the log starts at %lld", h->parts[part].name,
                 (long long)offset, (long long)start_then);
    }
    know(h, part, offset, number, "read");
    h->read++;
}

void history_delete_asked(struct history *h, uint32_t part, int64_t before)
{
    struct hist_part *p = &h->parts[part];
    p->start_max = p->start_max > before ? p->start_max : before;
}

void history_delete_done(struct history *h, uint32_t part, int64_t low_watermark)
{
    struct hist_part *p = &h->parts[part];
    bool back = low_watermark < p->start && !h->many;
    if (back || low_watermark > p->start_max) {
        run_fail(h->r, "%s: DeleteRecords answers %lld, the log started at %lld, asked for %lld",
                 p->name, (long long)low_watermark, (long long)p->start, (long long)p->start_max);
    }
    p->start = low_watermark > p->start ? low_watermark : p->start;
    p->end = p->end > low_watermark ? p->end : low_watermark;
}

void history_killed(struct history *h)
{
    for (int i = 0; i < HISTORY_PARTS_MAX; i++) {
        h->parts[i].may_unstart = true;
    }
}

void history_may_lose(struct history *h, bool power_loss)
{
    for (int i = 0; i < HISTORY_PARTS_MAX; i++) {
        struct hist_part *p = &h->parts[i];
        p->may_lose = p->may_unstart = true;
        /* A partition of which nothing is known may not be there yet, and then is not scanned
         * before its first records come. */
        p->on_platters = p->on_platters || (power_loss && p->end > 0);
    }
}

void history_recovered(struct history *h, const char *name, int64_t end)
{
    for (int i = 0; i < HISTORY_PARTS_MAX; i++) {
        if (h->parts[i].used && strcmp(h->parts[i].name, name) == 0) {
            h->parts[i].recovered = end;
        }
    }
}

void history_part_may_lose(struct history *h, uint32_t part)
{
    h->parts[part].may_lose = true;
}

void history_part_unclean(struct history *h, uint32_t part, bool on)
{
    struct hist_part *p = &h->parts[part];
    p->unclean = on;
    if (on) {
        p->may_lose = true;
        p->durable = 0;
    }
}

void history_end_told(struct history *h, uint32_t part, int64_t end)
{
    struct hist_part *p = &h->parts[part];
    if (end > p->end) {
        reserve(p, end - 1);
        p->end = end;
    }
}

/* ---- scans ---- */

void history_scan_begin(struct history *h, uint32_t part, int64_t start)
{
    struct hist_part *p = &h->parts[part];
    if (start > p->start_max || (start < p->start && !p->may_unstart && !h->many)) {
        run_fail(h->r, "%s: the log starts at %lld; it did at %lld, at most %lld was asked for",
                 p->name, (long long)start, (long long)p->start, (long long)p->start_max);
    }
    p->start = start;
    p->scan_at = start;
    p->scan_read = 0;
}

/* The order of a stream is that of its numbers. */
static void check_order(struct history *h, uint32_t part, int64_t offset, uint64_t number)
{
    struct hist_part *p = &h->parts[part];
    uint32_t stream = h->records[number].stream;
    for (int64_t i = offset - 1; i >= p->start && i > offset - 200; i--) {
        uint64_t other = p->at[i];
        if (other != 0 && h->records[other - 1].stream == stream) {
            if (other - 1 > number) {
                run_fail(h->r, "%s: record %llu at %lld was sent before record %llu at %lld",
                         p->name, (unsigned long long)number, (long long)offset,
                         (unsigned long long)(other - 1), (long long)i);
            }
            return;
        }
    }
}

void history_scan_record(struct history *h, uint32_t part, int64_t offset, struct bytes value)
{
    struct hist_part *p = &h->parts[part];
    if (offset != p->scan_at) {
        run_fail(h->r, "%s: offset %lld comes after %lld", p->name, (long long)offset,
                 (long long)p->scan_at - 1);
    }
    p->scan_at++;
    p->scan_read++;
    uint64_t number = history_number(h, value);
    /* What a power loss took may stand elsewhere now, or something else in its place. */
    reserve(p, offset);
    uint64_t before = p->at[offset];
    if (p->may_lose && before != 0 && before != number + 1 && offset >= p->durable) {
        forget(h, part, offset);
    }
    know(h, part, offset, number, "found");
    check_order(h, part, offset, number);
}

void history_scan_end(struct history *h, uint32_t part, int64_t end)
{
    struct hist_part *p = &h->parts[part];
    if (p->scan_at != end) {
        run_fail(h->r, "%s: the log reads to %lld, its end is said to be %lld", p->name,
                 (long long)p->scan_at, (long long)end);
    }
    int64_t required = p->may_lose ? p->durable : p->end;
    if (end < required) {
        run_fail(h->r, "%s: the log ends at %lld; offsets up to %lld were %s", p->name,
                 (long long)end, (long long)required,
                 p->may_lose ? "acknowledged as flushed" : "acknowledged or read");
    }
    forget(h, part, end);
    p->end = end;
    p->durable = p->durable < end ? p->durable : end;
    if (p->on_platters) { /* but for what clients that tried again have written since */
        p->durable = end < p->recovered ? end : p->recovered;
    }
    p->may_lose = p->may_unstart = p->on_platters = false;
    p->recovered = INT64_MAX;
}
