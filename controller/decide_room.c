/* Full disks. A broker names with each heartbeat the log directories whose disks are full
 * (broker/disk_room.h). While it does, its replicas there
 *
 *   - do not lead where another one may that is in the ISR and has room,
 *   - are not in the ISR where it holds min.insync.replicas, and at least two, without them: it
 *     could not commit anything that they have no room for. One that is left alone keeps them
 *     until they lag: they may have all that there is,
 *   - and do not join one that holds as many without them.
 *
 * They follow as far as there is room, and may lead if nobody else can: reads go on. With the first
 * heartbeat that does not name the directory all is as ever: they join when they have caught up,
 * and the next election of preferred leaders (on demand or by time) brings leaders back.
 *
 * Nothing of it is in the metadata: the next controller hears it with the next heartbeat. */
#include "controller/partition_change.h"

static bool is_named(const struct session_of_broker *s, struct uuid dir)
{
    for (int32_t i = 0; i < s->full_n; i++) {
        if (uuid_eq(s->full[i], dir)) {
            return true;
        }
    }
    return false;
}

/* UNASSIGNED among the full ones says that all are: then it does not matter where it lies. */
bool decide_has_room(const struct decision *d, int32_t broker, struct uuid dir)
{
    const struct session_of_broker *s = sessions_find(d->sessions, broker);
    const struct image_broker *b = s && s->full_n > 0 ? image_broker(d->img, broker) : NULL;
    return b == NULL || b->epoch != s->epoch ||
           !(is_named(s, dir) || is_named(s, uuid_reserved(1)));
}

bool decide_replica_has_room(const struct decision *d, const struct image_partition *p,
                             int32_t broker)
{
    for (uint32_t i = 0; i < p->replicas_n; i++) {
        if (p->replicas[i] == broker) {
            return decide_has_room(d, broker, p->directories[i]);
        }
    }
    return true;
}

/* How many of the ISR can take records. */
static uint32_t with_room(const struct partition_change *c)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->isr.n; i++) {
        n += partition_change_acceptable(c, c->isr.v[i]) &&
             decide_replica_has_room(c->d, c->p, c->isr.v[i]);
    }
    return n;
}

static void leave(struct decision *d, const struct image_topic *t, const struct image_partition *p,
                  int32_t broker)
{
    struct partition_change c;
    partition_change_init(&c, d, t, p);
    uint32_t n = with_room(&c);
    uint32_t least = partition_change_least_isr(&c);
    bool spared = n >= 2 && n >= least;
    if (n == 0 || (!spared && p->leader != broker)) {
        return;
    }
    if (spared) {
        c.isr = id_without(d->arena, p->isr, p->isr_n, broker);
    }
    c.election = ELECT_ROOM;
    partition_change_add(&c);
}

bool decide_leave_full(struct decision *d, int32_t broker, size_t max)
{
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    size_t end = d->n + max;
    while ((t = image_next_topic(d->img, &it)) != NULL) {
        for (uint32_t i = 0; i < t->partitions_n; i++) {
            const struct image_partition *p = t->partitions[i];
            if (p == NULL || p->leader < 0 || !id_in(p->isr, p->isr_n, broker) ||
                decide_replica_has_room(d, p, broker)) {
                continue;
            }
            if (d->n >= end) {
                return false;
            }
            leave(d, t, p, broker);
        }
    }
    return true;
}

bool decide_joins_full(struct decision *d, const struct image_topic *t,
                       const struct image_partition *p, const int32_t *isr, uint32_t n)
{
    struct partition_change c;
    bool joins = false;
    for (uint32_t i = 0; i < n; i++) {
        joins =
            joins || (!id_in(p->isr, p->isr_n, isr[i]) && !decide_replica_has_room(d, p, isr[i]));
    }
    if (!joins) {
        return false;
    }
    partition_change_init(&c, d, t, p);
    c.isr = id_without(d->arena, isr, n, -1);
    return with_room(&c) >= partition_change_least_isr(&c);
}
