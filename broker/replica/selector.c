#include "broker/replica/selector.h"

#include "broker/partition_manager.h"
#include "broker/replica/isr.h"
#include "controller/image.h"

/* Alive, reachable on this listener, and in this rack. */
static bool serves_rack(const struct image *img, int32_t id, struct bytes listener,
                        struct bytes rack)
{
    const struct image_broker *b = image_broker(img, id);
    return b && !b->fenced && image_broker_endpoint(b, listener) && !bytes_is_null(b->rack) &&
           bytes_eq(b->rack, rack);
}

static bool is_better(const struct isr_follower *a, const struct isr_follower *b)
{
    if (a->end != b->end) {
        return a->end > b->end;
    }
    return a->caught_up_ms != b->caught_up_ms ? a->caught_up_ms > b->caught_up_ms : a->id > b->id;
}

int32_t replica_select(const struct partition *p, const struct image *img, struct bytes listener,
                       struct bytes rack, int64_t offset)
{
    const struct isr_follower *best = NULL;
    if (p->isr == NULL || rack.len == 0 || serves_rack(img, p->isr->self, listener, rack)) {
        return -1;
    }
    for (uint32_t i = 0; i < p->isr->n; i++) {
        const struct isr_follower *f = &p->isr->followers[i];
        if (f->in_isr && f->end >= offset && f->start <= offset &&
            serves_rack(img, f->id, listener, rack) && (best == NULL || is_better(f, best))) {
            best = f;
        }
    }
    return best ? best->id : -1;
}
