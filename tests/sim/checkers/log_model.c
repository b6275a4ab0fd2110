/* See log_model.h. */
#include "sim/checkers/log_model.h"

#include <string.h>

#include "base/mem.h"

static void list_add(struct batch_list *l, const uint8_t *data, size_t len, struct run *r)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 32;
        l->v = mem_realloc(l->v, l->cap * sizeof(*l->v));
    }
    struct model_batch *b = &l->v[l->n++];
    RUN_CHECK(r, batch_header_read(bytes_of(data, len), &b->h) == 0);
    RUN_CHECK(r, batch_size(&b->h) == len);
    b->base = b->h.base_offset;
    b->last = batch_last_offset(&b->h);
    b->data = mem_alloc(len);
    b->len = len;
    memcpy(b->data, data, len);
}

static void list_cut(struct batch_list *l, size_t n)
{
    while (l->n > n) {
        mem_free(l->v[--l->n].data);
    }
}

void log_model_free(struct log_model *m)
{
    list_cut(&m->acked, 0);
    list_cut(&m->doubtful, 0);
    mem_free(m->acked.v);
    mem_free(m->doubtful.v);
    *m = (struct log_model){0};
}

void log_model_append(struct run *r, struct log_model *m, const uint8_t *data, size_t len)
{
    list_add(&m->acked, data, len, r);
    const struct model_batch *b = &m->acked.v[m->acked.n - 1];
    if (b->base != m->end) {
        run_fail(r, "%s: a batch got offset %lld, the log ended at %lld", m->name,
                 (long long)b->base, (long long)m->end);
    }
    m->end = b->last + 1;
}

void log_model_doubt(struct run *r, struct log_model *m, const uint8_t *data, size_t len)
{
    list_add(&m->doubtful, data, len, r);
}

void log_model_undoubt(struct log_model *m, size_t n)
{
    list_cut(&m->doubtful, n);
}

void log_model_truncate(struct log_model *m, int64_t offset)
{
    size_t n = m->acked.n;
    while (n > 0 && m->acked.v[n - 1].last >= offset) {
        n--;
    }
    for (size_t i = n; i < m->acked.n; i++) { /* they change hands, bytes and all */
        struct batch_list *l = &m->doubtful;
        if (l->n == l->cap) {
            l->cap = l->cap ? l->cap * 2 : 32;
            l->v = mem_realloc(l->v, l->cap * sizeof(*l->v));
        }
        l->v[l->n++] = m->acked.v[i];
    }
    m->acked.n = n;
    m->end = offset < m->end ? offset : m->end;
    m->durable = m->durable < m->end ? m->durable : m->end;
}

void log_model_truncate_fully(struct log_model *m, int64_t offset)
{
    log_model_truncate(m, INT64_MIN);
    m->start = m->end = m->durable = offset;
}

void log_model_flushed(struct log_model *m, int64_t offset)
{
    offset = offset < m->end ? offset : m->end;
    m->durable = m->durable > offset ? m->durable : offset;
}

const struct model_batch *log_model_find(const struct log_model *m, int64_t offset)
{
    size_t low = 0;
    size_t high = m->acked.n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (m->acked.v[mid].last < offset) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    bool found = low < m->acked.n && m->acked.v[low].base <= offset;
    return found ? &m->acked.v[low] : NULL;
}

static bool is_batch(const struct model_batch *b, struct bytes bytes)
{
    return b->len == bytes.len && memcmp(b->data, bytes.data, b->len) == 0;
}

static bool is_doubtful(const struct log_model *m, struct bytes bytes)
{
    for (size_t i = 0; i < m->doubtful.n; i++) {
        if (is_batch(&m->doubtful.v[i], bytes)) {
            return true;
        }
    }
    return false;
}

/* The header of the next batch, which must be whole, sound, and continue at `expected` (or, for the
 * first one, contain it). */
static struct batch_header next_batch(struct run *r, const struct log_model *m, struct bytes batch,
                                      int64_t expected, bool first)
{
    struct batch_header h;
    if (batch_header_read(batch, &h) != 0 || batch_size(&h) != batch.len ||
        !batch_crc_check(batch)) {
        run_fail(r, "%s: unsound batch where offset %lld is expected", m->name,
                 (long long)expected);
    }
    bool fits = first ? h.base_offset <= expected && batch_last_offset(&h) >= expected
                      : h.base_offset == expected;
    if (!fits) {
        run_fail(r, "%s: offsets %lld..%lld where %lld is expected", m->name,
                 (long long)h.base_offset, (long long)batch_last_offset(&h), (long long)expected);
    }
    return h;
}

/* Compares from the start on; returns the end that was found. doubt: NULL, or how many batches of
 * the acknowledged ones came before the first doubtful one. */
static int64_t compare(struct run *r, const struct log_model *m, struct bytes content,
                       int64_t start, size_t *trusted)
{
    struct bytes rest = content;
    struct bytes batch;
    int64_t at = start;
    bool doubt = false;
    int more;
    while ((more = batch_next(&rest, &batch)) == 1) {
        struct batch_header h = next_batch(r, m, batch, at, rest.data == content.data + batch.len);
        const struct model_batch *b = doubt ? NULL : log_model_find(m, h.base_offset);
        if (b != NULL && is_batch(b, batch)) {
            if (trusted != NULL) {
                *trusted = (size_t)(b - m->acked.v) + 1;
            }
        } else if (trusted == NULL || !is_doubtful(m, batch)) {
            run_fail(r,
                     "%s: the batch at %lld (%d records, leader epoch %d) is not what was "
                     "appended there%s",
                     m->name, (long long)h.base_offset, h.record_count, h.leader_epoch,
                     b ? "" : " (nothing was)");
        } else {
            doubt = true;
        }
        at = batch_next_offset(&h);
    }
    if (more != 0 || rest.len != 0) {
        run_fail(r, "%s: %zu bytes behind offset %lld are no batch", m->name, rest.len,
                 (long long)at);
    }
    return at;
}

void log_model_same(struct run *r, const struct log_model *m, struct bytes content, int64_t start,
                    int64_t end)
{
    if (start != m->start || end != m->end) {
        run_fail(r, "%s: log is %lld..%lld, should be %lld..%lld", m->name, (long long)start,
                 (long long)end, (long long)m->start, (long long)m->end);
    }
    int64_t found = compare(r, m, content, start, NULL);
    if (found != end) {
        run_fail(r, "%s: the log reads to %lld, its end is %lld", m->name, (long long)found,
                 (long long)end);
    }
}

/* What was found becomes the truth; acknowledged batches that it lacks become doubtful. */
static void adopt(struct run *r, struct log_model *m, struct bytes content, size_t trusted,
                  int64_t start)
{
    int64_t known = trusted > 0 ? m->acked.v[trusted - 1].last : start - 1;
    if (trusted < m->acked.n) {
        log_model_truncate(m, m->acked.v[trusted].base);
    }
    struct bytes batch;
    while (batch_next(&content, &batch) == 1) {
        struct batch_header h;
        batch_header_read(batch, &h);
        if (batch_last_offset(&h) > known) {
            list_add(&m->acked, batch.data, batch.len, r);
        }
    }
}

void log_model_recovered(struct run *r, struct log_model *m, struct bytes content, int64_t start,
                         int64_t end, int64_t required)
{
    /* If no record was promised, the first segments may be lost and later ones there. */
    if (end < required || (start > m->start && required > m->start)) {
        run_fail(r,
                 "%s: after the restart the log is %lld..%lld; it must start at %lld or before "
                 "and reach %lld",
                 m->name, (long long)start, (long long)end, (long long)m->start,
                 (long long)required);
    }
    size_t trusted = 0;
    while (trusted < m->acked.n && m->acked.v[trusted].last < start) {
        trusted++; /* not readable any more, still what came before */
    }
    int64_t found = compare(r, m, content, start, &trusted);
    if (found != end) {
        run_fail(r, "%s: after the restart the log reads to %lld, its end is %lld", m->name,
                 (long long)found, (long long)end);
    }
    if (trusted < m->acked.n && m->acked.v[trusted].base < required) {
        run_fail(r, "%s: the batch at %lld, promised to stay, is not there", m->name,
                 (long long)m->acked.v[trusted].base);
    }
    int64_t durable = m->durable;
    adopt(r, m, content, trusted, start);
    m->start = start;
    m->end = end;
    m->durable = durable < end ? durable : end;
}

void log_model_on_platters(struct log_model *m)
{
    m->durable = m->end;
}

void log_model_stopped(struct log_model *m)
{
    m->durable = m->end;
    list_cut(&m->doubtful, 0);
}
