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
    const struct image_broker *b = image_broker(h->r->ns->image, id);
    const struct image_endpoint *e =
        b && !b->fenced ? image_broker_endpoint(b, bytes_str(h->r->listener->config->name)) : NULL;
    if (e && h->n < LEADER_HINTS_MAX) {
        h->v[h->n++] = (struct leader_hint){id, e->host, e->port, b->rack};
    }
}

void leader_hint_find(struct leader_hints *h, struct uuid topic_id, int32_t partition,
                      int32_t known_leader, int32_t known_epoch, int32_t *leader, int32_t *epoch)
{
    const struct image_topic *t = image_topic_by_id(h->r->ns->image, topic_id);
    const struct image_partition *p = t ? image_partition(t, partition) : NULL;
    if (p && p->leader_epoch > known_epoch) {
        known_leader = p->leader;
        known_epoch = p->leader_epoch;
    }
    if (known_epoch < 0) {
        return;
    }
    *leader = known_leader;
    *epoch = known_epoch;
    if (known_leader >= 0) {
        add(h, known_leader);
    }
}
