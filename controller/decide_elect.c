/* Elections after a broker came or went: every partition that it concerns gets its next leader,
 * ISR and ELR (partition_change.h). */
#include "controller/partition_change.h"

static bool concerns(const struct image_partition *p, const struct broker_event *ev)
{
    if (ev->come >= 0 && p->leader < 0) {
        return true;
    }
    int32_t id = ev->gone >= 0 ? ev->gone : ev->unclean;
    return id >= 0 && (p->leader == id || id_in(p->isr, p->isr_n, id) ||
                       (ev->unclean >= 0 && id_in(p->elr, p->elr_n, id)));
}

static void look_at(struct decision *d, const struct image_topic *t,
                    const struct image_partition *p, const struct broker_event *ev)
{
    struct partition_change c;
    int32_t id = ev->gone >= 0 ? ev->gone : ev->unclean;
    partition_change_init(&c, d, t, p);
    c.unclean = ev->unclean;
    if (id >= 0) {
        c.isr = id_without(d->arena, p->isr, p->isr_n, id);
    }
    partition_change_add(&c);
}

void decide_partitions_of(struct decision *d, const struct broker_event *ev)
{
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    while ((t = image_next_topic(d->img, &it)) != NULL) {
        for (uint32_t i = 0; i < t->partitions_n; i++) {
            if (t->partitions[i] && concerns(t->partitions[i], ev)) {
                look_at(d, t, t->partitions[i], ev);
            }
        }
    }
}

bool decide_leads_any(const struct decision *d, int32_t broker)
{
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    while ((t = image_next_topic(d->img, &it)) != NULL) {
        for (uint32_t i = 0; i < t->partitions_n; i++) {
            if (t->partitions[i] && t->partitions[i]->leader == broker) {
                return true;
            }
        }
    }
    return false;
}

static bool lies_in(const struct image_partition *p, int32_t broker, const struct uuid *dirs,
                    int32_t n)
{
    for (uint32_t i = 0; i < p->replicas_n; i++) {
        for (int32_t k = 0; p->replicas[i] == broker && k < n; k++) {
            if (uuid_eq(p->directories[i], dirs[k])) {
                return true;
            }
        }
    }
    return false;
}

void decide_directories_lost(struct decision *d, int32_t broker, const struct uuid *dirs, int32_t n)
{
    const struct broker_event ev = {.gone = broker, .unclean = -1, .come = -1};
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    int32_t changed = d->changed_broker;
    bool active = d->changed_active;
    d->changed_broker = broker; /* for these partitions it is as good as dead */
    d->changed_active = false;
    while ((t = image_next_topic(d->img, &it)) != NULL) {
        for (uint32_t i = 0; i < t->partitions_n; i++) {
            const struct image_partition *p = t->partitions[i];
            if (p && lies_in(p, broker, dirs, n) && concerns(p, &ev)) {
                look_at(d, t, p, &ev);
            }
        }
    }
    d->changed_broker = changed;
    d->changed_active = active;
}
