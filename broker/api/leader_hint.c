#include "broker/api/leader_hint.h"

#include "broker/listener.h"
#include "controller/image.h"

static void add(struct leader_hints *h, int32_t id)
{
    for (uint32_t i = 0; i < h->n; i++) {
        if (h->v[i].id == id) {
            return;
        }
    }
    const struct image_broker *b = image_broker(h->r->image, id);
    const struct image_endpoint *e =
        b && !b->fenced ? image_broker_endpoint(b, bytes_str(h->r->listener->config->name)) : NULL;
    if (e && h->n < LEADER_HINTS_MAX) {
        h->v[h->n++] = (struct leader_hint){id, e->host, e->port, b->rack};
    }
}

void leader_hint_find(struct leader_hints *h, const struct image_topic *t, int32_t partition,
                      int32_t *leader, int32_t *epoch)
{
    const struct image_partition *p = image_partition(t, partition);
    if (p == NULL) {
        return;
    }
    *leader = p->leader;
    *epoch = p->leader_epoch;
    if (p->leader >= 0) {
        add(h, p->leader);
    }
}
