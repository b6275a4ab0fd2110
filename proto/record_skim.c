#include "proto/record_skim.h"

#include "base/varint.h"

/* The input ends where Kafka would read on. */
static void meet_end(struct record_skim *s)
{
    if (s->fault == RECORD_OK) {
        s->fault = s->tail == 0            ? RECORD_FAULT_RECORD
                   : s->tail == ERR_TOOBIG ? RECORD_FAULT_LIMIT
                                           : RECORD_FAULT_CODEC;
    }
}

static int64_t take_varint(struct record_skim *s, size_t max)
{
    uint64_t v = 0;
    struct bytes rest = {s->in.data + s->at, s->in.len - s->at};
    size_t n = s->fault ? 0 : uvarint_get(rest.data, rest.len, max, &v);
    if (n == 0) {
        if (s->fault == RECORD_OK && rest.len >= max) {
            s->fault = RECORD_FAULT_RECORD;
        }
        meet_end(s);
        return 0;
    }
    s->at += n;
    return max == 5 ? (int32_t)((uint32_t)v >> 1 ^ (0u - ((uint32_t)v & 1))) : zigzag_decode(v);
}

/* Skips a length and its bytes; returns the length. */
static int64_t skip_bytes(struct record_skim *s)
{
    int64_t n = take_varint(s, 5);
    if (s->fault == RECORD_OK && n > 0) {
        if ((uint64_t)n > s->in.len - s->at) {
            s->at = s->in.len;
            meet_end(s);
        } else {
            s->at += (size_t)n;
        }
    }
    return n;
}

bool record_skim_next(struct record_skim *s, struct record_skimmed *out)
{
    take_varint(s, 5); /* the length, which nobody looks at */
    if (s->at < s->in.len) {
        s->at++; /* attributes */
    } else {
        meet_end(s);
    }
    out->timestamp_delta = take_varint(s, 10);
    out->offset_delta = (int32_t)take_varint(s, 5);
    out->has_key = skip_bytes(s) >= 0;
    skip_bytes(s);
    int64_t headers = take_varint(s, 5);
    if (s->fault == RECORD_OK && headers < 0) {
        s->fault = RECORD_FAULT_RECORD;
    }
    for (int64_t i = 0; i < headers && s->fault == RECORD_OK; i++) {
        if (skip_bytes(s) < 0 && s->fault == RECORD_OK) {
            s->fault = RECORD_FAULT_RECORD;
        }
        skip_bytes(s);
    }
    return s->fault == RECORD_OK;
}

enum record_fault record_skim_end(struct record_skim *s)
{
    if (s->fault == RECORD_OK && s->at < s->in.len) {
        s->fault = RECORD_FAULT_RECORD;
    } else if (s->fault == RECORD_OK && s->tail) {
        meet_end(s);
    }
    return s->fault;
}

int record_skim_open(struct record_skim *s, enum codec codec, struct bytes payload, size_t limit)
{
    *s = (struct record_skim){0};
    s->tail = decompress_put(codec, payload, limit ? limit : RECORD_LIMIT_DEFAULT, &s->owned);
    s->in = buf_bytes(&s->owned);
    return s->tail == ERR_NOMEM ? ERR_NOMEM : 0;
}

void record_skim_close(struct record_skim *s)
{
    buf_free(&s->owned);
}
