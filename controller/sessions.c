#include "controller/sessions.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

void sessions_free(struct sessions *s)
{
    mem_free(s->v);
    s->v = NULL;
    s->n = s->cap = 0;
}

void sessions_clear(struct sessions *s)
{
    s->n = 0;
    s->leaderless = s->more = false;
}

static size_t place_of(const struct sessions *s, int32_t broker)
{
    size_t at = 0;
    while (at < s->n && s->v[at].broker < broker) {
        at++;
    }
    return at;
}

struct session_of_broker *sessions_find(const struct sessions *s, int32_t broker)
{
    size_t at = place_of(s, broker);
    return at < s->n && s->v[at].broker == broker ? &s->v[at] : NULL;
}

struct session_of_broker *sessions_touch(struct sessions *s, int32_t broker, int64_t epoch,
                                         int64_t now_ms)
{
    struct session_of_broker *b = sessions_find(s, broker);
    if (b == NULL) {
        size_t at = place_of(s, broker);
        if (s->n == s->cap) {
            s->cap = s->cap ? 2 * s->cap : 8;
            s->v = mem_realloc(s->v, s->cap * sizeof *s->v);
        }
        memmove(&s->v[at + 1], &s->v[at], (s->n - at) * sizeof *s->v);
        s->n++;
        b = &s->v[at];
        *b = (struct session_of_broker){
            .broker = broker, .epoch = epoch, .metadata_offset = -1, .leaving_offset = -1};
    }
    if (b->epoch != epoch) {
        b->epoch = epoch;
        b->metadata_offset = -1;
        b->leaving_offset = -1;
        b->fencing = b->unclean = false;
        b->doomed_ms = 0;
        b->lost_n = b->full_n = 0;
        b->full_more = false;
    }
    b->contact_ms = now_ms;
    b->let_go = false;
    return b;
}

bool sessions_valid(const struct sessions *s, int32_t broker, int64_t epoch, int64_t now_ms)
{
    const struct session_of_broker *b = sessions_find(s, broker);
    return b && b->epoch == epoch && !b->let_go && now_ms - b->contact_ms <= s->timeout_ms;
}

void sessions_remove(struct sessions *s, int32_t broker)
{
    size_t at = place_of(s, broker);
    if (at < s->n && s->v[at].broker == broker) {
        s->n--;
        memmove(&s->v[at], &s->v[at + 1], (s->n - at) * sizeof *s->v);
    }
}
