#include "tools/view.h"

#include "base/ids.h"

bool view_ids_has(struct view_ids ids, int32_t id)
{
    return id_in(ids.v, ids.n, id);
}

struct view_broker *view_broker(const struct view *v, int32_t id)
{
    int32_t low = 0, high = v->brokers_n;
    while (low < high) {
        int32_t mid = low + (high - low) / 2;
        if (v->brokers[mid].id == id) {
            return &v->brokers[mid];
        }
        if (v->brokers[mid].id < id) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return NULL;
}

struct view_topic *view_topic(const struct view *v, struct bytes name)
{
    int32_t low = 0, high = v->topics_n;
    while (low < high) {
        int32_t mid = low + (high - low) / 2;
        int c = bytes_cmp(v->topics[mid].name, name);
        if (c == 0) {
            return &v->topics[mid];
        }
        if (c < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return NULL;
}

bool view_is_up(const struct view *v, int32_t id)
{
    const struct view_broker *b = view_broker(v, id);
    return b && !b->fenced && b->silent == NULL;
}

int32_t view_factor(const struct view_partition *p)
{
    int32_t n = 0;
    for (int32_t i = 0; i < p->replicas.n; i++) {
        n += !view_ids_has(p->adding, p->replicas.v[i]);
    }
    return n;
}

struct bytes view_value(const struct view_setting *s, int32_t n, const char *name)
{
    for (int32_t i = 0; i < n; i++) {
        if (bytes_eq_str(s[i].name, name)) {
            return s[i].value;
        }
    }
    return BYTES_NULL;
}

int64_t view_bytes_on(const struct view *v, int32_t broker)
{
    int64_t sum = 0;
    for (int32_t t = 0; t < v->topics_n; t++) {
        for (int32_t k = 0; k < v->topics[t].partitions_n; k++) {
            const struct view_partition *p = &v->topics[t].partitions[k];
            for (int32_t i = 0; i < p->replicas.n; i++) {
                sum += p->replicas.v[i] == broker && p->bytes[i] > 0 ? p->bytes[i] : 0;
            }
        }
    }
    return sum;
}

int64_t view_size(const struct view_partition *p)
{
    int64_t size = 0;
    for (int32_t i = 0; i < p->replicas.n; i++) {
        size = p->bytes[i] > size ? p->bytes[i] : size;
    }
    return size;
}

/* ---- what is written ---- */

static int32_t place_of(const struct view_partition *p, int32_t broker)
{
    for (int32_t i = 0; i < p->replicas.n; i++) {
        if (p->replicas.v[i] == broker) {
            return i;
        }
    }
    return -1;
}

/* Of the log of who leads it, or of a follower that was to lead it and had it all; -1: unknown. */
static int64_t size_of(const struct view_partition *p, int32_t leader)
{
    int32_t at = view_ids_has(p->isr, leader) ? place_of(p, leader) : -1;
    return at < 0 ? -1 : p->bytes[at];
}

/* What it has grown by since it was looked at before. */
static void add_growth(const struct view *before, const struct view_partition *was,
                       const struct view *v, struct view_partition *is)
{
    const struct view_broker *old = view_broker(before, is->leader);
    const struct view_broker *new = view_broker(v, is->leader);
    int64_t had = size_of(was, is->leader), has = size_of(is, is->leader);
    is->grown = was->grown;
    is->grown_ms = was->grown_ms;
    if (old && new &&had >= 0 && has >= had &&new->dirs_ms > old->dirs_ms) {
        is->grown += has - had;
        is->grown_ms += new->dirs_ms - old->dirs_ms;
    }
}

void view_measure(const struct view *before, struct view *v)
{
    v->measured = true;
    v->unmeasured = 0;
    for (int32_t i = 0; i < v->topics_n; i++) {
        const struct view_topic *was = view_topic(before, v->topics[i].name);
        for (int32_t k = 0; k < v->topics[i].partitions_n; k++) {
            struct view_partition *p = &v->topics[i].partitions[k];
            if (was && k < was->partitions_n) {
                add_growth(before, &was->partitions[k], v, p);
            }
            p->written = p->grown_ms ? p->grown * 1000 / p->grown_ms : -1;
            v->unmeasured += p->written < 0;
        }
    }
}
