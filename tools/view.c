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
