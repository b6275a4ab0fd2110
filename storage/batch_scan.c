#include "storage/batch_scan.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

void batch_scan_init(struct batch_scan *s, struct io_file *f, uint64_t pos, uint64_t end,
                     void *window, size_t window_len)
{
    ASSERT(window_len >= BATCH_HEADER_SIZE && pos <= end);
    *s = (struct batch_scan){
        .file = f, .pos = pos, .next = pos, .end = end, .win = window, .cap = window_len};
}

/* Makes bytes [pos, pos + n) available; n <= cap. */
static int fill(struct batch_scan *s, uint64_t pos, size_t n)
{
    if (pos >= s->win_pos && pos + n <= s->win_pos + s->win_len) {
        return 0;
    }
    uint64_t rest = s->end - pos;
    size_t want = rest < s->cap ? (size_t)rest : s->cap;
    s->win_len = 0;
    int64_t got = io_pread(s->file, s->win, want, pos);
    if (got < 0) {
        snprintf(s->why, sizeof s->why, "it cannot be read: %s", err_text((int)got));
        return (int)got;
    }
    s->win_pos = pos;
    s->win_len = (size_t)got;
    if ((size_t)got < n) {
        snprintf(s->why, sizeof s->why, "the file is shorter than it was");
        return ERR_TRUNCATED;
    }
    return 0;
}

static int bad(struct batch_scan *s, int err, const char *why)
{
    snprintf(s->why, sizeof s->why, "%s", why);
    return err;
}

/* A message of magic 0 or 1: offset, size, then crc; its offset is the last one of the set. */
static int legacy_header(struct batch_header *h)
{
    h->max_timestamp = BATCH_NO_TIMESTAMP;
    h->base_timestamp = BATCH_NO_TIMESTAMP;
    h->last_offset_delta = 0;
    h->leader_epoch = -1;
    h->attributes = 0;
    h->producer_id = BATCH_NO_PRODUCER_ID;
    h->producer_epoch = BATCH_NO_EPOCH;
    h->base_sequence = BATCH_NO_SEQUENCE;
    h->record_count = 1;
    return 0;
}

int batch_scan_next(struct batch_scan *s, struct batch_header *h)
{
    s->pos = s->next;
    if (s->pos == s->end) {
        return 0;
    }
    uint64_t rest = s->end - s->pos;
    if (rest < BATCH_UP_TO_MAGIC) {
        return bad(s, ERR_TRUNCATED, "the last batch is cut off");
    }
    size_t need = rest < BATCH_HEADER_SIZE ? (size_t)rest : BATCH_HEADER_SIZE;
    int rc = fill(s, s->pos, need);
    if (rc < 0) {
        return rc;
    }
    const uint8_t *p = s->win + (s->pos - s->win_pos);
    *h = (struct batch_header){0};
    int32_t length = (int32_t)load_be32(p + BATCH_AT_LENGTH);
    if (length < BATCH_LENGTH_LEAST) {
        snprintf(s->why, sizeof s->why, "batch length %d is below the least, %d", length,
                 BATCH_LENGTH_LEAST);
        return ERR_CORRUPT;
    }
    if (rest < BATCH_LOG_OVERHEAD + (uint64_t)length) {
        return bad(s, ERR_TRUNCATED, "the last batch is cut off");
    }
    rc = batch_header_read(bytes_of(p, need), h);
    if (rc == ERR_UNSUPPORTED && (h->magic == 0 || h->magic == 1)) {
        rc = legacy_header(h);
    }
    if (rc < 0) {
        return bad(s, ERR_CORRUPT, "the header does not hold together");
    }
    s->next = s->pos + batch_size(h);
    return 1;
}

int batch_scan_body(struct batch_scan *s, const struct batch_header *h, struct bytes *out)
{
    size_t n = batch_size(h);
    ASSERT(s->next == s->pos + n);
    if (n > s->cap) {
        size_t cap = n + n / 2;
        uint8_t *grown = mem_try_alloc(cap);
        if (grown == NULL) {
            return bad(s, ERR_NOMEM, "there is no memory for a batch of this size");
        }
        mem_free(s->owned);
        s->owned = grown;
        s->win = grown;
        s->cap = cap;
        s->win_len = 0;
    }
    int rc = fill(s, s->pos, n);
    if (rc < 0) {
        return rc;
    }
    *out = bytes_of(s->win + (s->pos - s->win_pos), n);
    return 0;
}

void batch_scan_free(struct batch_scan *s)
{
    mem_free(s->owned);
    s->owned = NULL;
}
