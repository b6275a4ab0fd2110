#include "controller/observers.h"

void observers_clear(struct observers *o)
{
    o->n = 0;
}

static struct observer *find(struct observers *o, int32_t id)
{
    for (size_t i = 0; i < o->n; i++) {
        if (o->v[i].id == id) {
            return &o->v[i];
        }
    }
    return NULL;
}

static void forget_old(struct observers *o, int64_t now_ms)
{
    size_t n = 0;
    for (size_t i = 0; i < o->n; i++) {
        if (now_ms - o->v[i].seen_ms <= OBSERVER_GONE_MS) {
            o->v[n++] = o->v[i];
        }
    }
    o->n = n;
}

struct observer *observers_touch(struct observers *o, int32_t id, struct uuid directory,
                                 int64_t now_ms)
{
    forget_old(o, now_ms);
    struct observer *found = find(o, id);
    if (found == NULL && o->n < OBSERVERS_MAX) {
        found = &o->v[o->n++];
        *found = (struct observer){
            .id = id, .directory_id = directory, .end_offset = -1, .caught_up_ms = -1};
    }
    if (found && !uuid_is_zero(directory) && !uuid_eq(found->directory_id, directory)) {
        found->other_id = found->directory_id; /* zero: the first one had no name */
        found->other_ms = found->seen_ms;
        found->directory_id = directory;
    }
    if (found) {
        found->seen_ms = now_ms;
    }
    return found;
}

bool observers_may_replace(struct observers *o, int32_t id, struct uuid registered,
                           struct uuid incarnation, int64_t now_ms, int64_t session_ms)
{
    struct observer *it = find(o, id);
    if (it == NULL) {
        return true;
    }
    bool two = !uuid_is_zero(it->other_id) && now_ms - it->other_ms <= session_ms &&
               now_ms - it->seen_ms <= session_ms;
    if (two || uuid_eq(it->replaced, incarnation)) {
        return false;
    }
    it->replaced = registered;
    return true;
}
