#include "storage/epoch_cache.h"

#include <string.h>

#include "base/mem.h"

int32_t epoch_cache_latest(const struct epoch_cache *c)
{
    return c->n ? c->e[c->n - 1].epoch : -1;
}

bool epoch_cache_assign(struct epoch_cache *c, int32_t epoch, int64_t start)
{
    if (epoch < 0 || start < 0) {
        return false;
    }
    if (c->n) {
        const struct epoch_entry *last = &c->e[c->n - 1];
        if (last->epoch == epoch && last->start <= start) {
            return false;
        }
    }
    while (c->n && (c->e[c->n - 1].epoch >= epoch || c->e[c->n - 1].start >= start)) {
        c->n--;
    }
    if (c->n == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 2;
        c->e = mem_realloc(c->e, c->cap * sizeof *c->e);
    }
    c->e[c->n++] = (struct epoch_entry){epoch, start};
    return true;
}

/* Number of entries with epoch <= epoch. */
static uint32_t count_epochs(const struct epoch_cache *c, int32_t epoch)
{
    uint32_t n = c->n;
    while (n && c->e[n - 1].epoch > epoch) {
        n--;
    }
    return n;
}

int32_t epoch_cache_of(const struct epoch_cache *c, int64_t offset)
{
    uint32_t n = c->n;
    while (n && c->e[n - 1].start > offset) {
        n--;
    }
    return n ? c->e[n - 1].epoch : -1;
}

void epoch_cache_end_offset(const struct epoch_cache *c, int32_t epoch, int64_t log_end,
                            int32_t *found, int64_t *end)
{
    *found = -1;
    *end = -1;
    if (epoch == -1 || c->n == 0 || epoch > c->e[c->n - 1].epoch) {
        return;
    }
    if (epoch == c->e[c->n - 1].epoch) {
        *found = epoch;
        *end = log_end;
        return;
    }
    uint32_t n = count_epochs(c, epoch);
    *found = n ? c->e[n - 1].epoch : epoch;
    *end = c->e[n].start;
}

bool epoch_cache_truncate_end(struct epoch_cache *c, int64_t offset)
{
    uint32_t n = c->n;
    while (c->n && c->e[c->n - 1].start >= offset) {
        c->n--;
    }
    return c->n != n;
}

bool epoch_cache_truncate_start(struct epoch_cache *c, int64_t offset)
{
    uint32_t n = 0;
    while (n < c->n && c->e[n].start <= offset) {
        n++;
    }
    if (n == 0 || (n == 1 && c->e[0].start == offset)) {
        return false;
    }
    memmove(c->e, c->e + n - 1, (c->n - n + 1) * sizeof *c->e);
    c->n -= n - 1;
    c->e[0].start = offset;
    return true;
}

void epoch_cache_clear(struct epoch_cache *c)
{
    c->n = 0;
}

void epoch_cache_free(struct epoch_cache *c)
{
    mem_free(c->e);
    *c = (struct epoch_cache){0};
}
