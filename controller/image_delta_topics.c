/* What the records of topics and partitions do to the next version of the image. */
#include "base/mem.h"
#include "controller/image_private.h"
#include "proto_messages.h"

enum { PARTITION_INDEX_MAX = 1 << 20 }; /* a number above it is damage, not a topic */

static const char *id_text(struct uuid id, char out[UUID_TEXT])
{
    return uuid_text(id, out);
}

static struct image_topic *next_topic(struct image_delta *d, struct uuid id)
{
    return (struct image_topic *)(uintptr_t)image_topic_by_id(d->priv->next, id);
}

/* The topic to change in place; NULL if there is none. */
static struct image_topic *own_topic(struct image_delta *d, struct uuid id)
{
    struct image_topic *t = next_topic(d, id);
    if (t == NULL || map_get(&d->priv->topics, bytes_of(id.b, sizeof id.b))) {
        return t;
    }
    image_touch_topic(d, id);
    struct image_topic *copy = image_topic_copy(t);
    image_put_topic(d->priv->next, copy);
    return copy;
}

int image_apply_topic(struct image_delta *d, const void *record, struct errmsg *em)
{
    const struct topic_record *r = record;
    char id[UUID_TEXT];
    struct image *next = d->priv->next;
    if (next_topic(d, r->topic_id) || image_topic_by_name(next, r->name)) {
        return errmsg_set(em, ERR_CORRUPT,
                          "a record creates topic '%.*s' (%s), but its name or id is in use",
                          BYTES_FMT(r->name), id_text(r->topic_id, id));
    }
    image_touch_topic(d, r->topic_id);
    image_put_topic(next, image_topic_new(r->topic_id, r->name));
    next->topics_n++;
    return 0;
}

static int unknown_topic(struct errmsg *em, const char *record, struct uuid id)
{
    char text[UUID_TEXT];
    return errmsg_set(em, ERR_CORRUPT, "a %s names topic %s, which does not exist", record,
                      id_text(id, text));
}

static struct image_partition *base_partition(const struct image_delta *d, struct uuid id,
                                              int32_t index)
{
    const struct image_topic *t = image_topic_by_id(d->base, id);
    return t ? (struct image_partition *)(uintptr_t)image_partition(t, index) : NULL;
}

/* Puts the new state of a partition; a snapshot that repeats what base has shares base's object. */
static void set_partition(struct image_delta *d, struct image_topic *t,
                          const struct image_partition *state)
{
    struct image_partition *old = d->is_snapshot ? base_partition(d, t->id, state->index) : NULL;
    d->priv->next->partitions_n += image_partition(t, state->index) == NULL;
    if (old && image_partition_same(old, state)) {
        image_partition_get(old);
        image_topic_set(t, old);
    } else {
        image_topic_set(t, image_partition_new(state));
    }
}

int image_apply_partition(struct image_delta *d, const void *record, struct errmsg *em)
{
    const struct partition_record *r = record;
    struct image_topic *t = own_topic(d, r->topic_id);
    if (t == NULL) {
        return unknown_topic(em, "PartitionRecord", r->topic_id);
    }
    bool dirs = r->directories_n > 0;
    if (r->partition_id < 0 || r->partition_id > PARTITION_INDEX_MAX ||
        (dirs && r->directories_n != r->replicas_n)) {
        return errmsg_set(em, ERR_CORRUPT,
                          "a PartitionRecord of topic '%.*s' has partition %d with %d replicas and "
                          "%d directories",
                          BYTES_FMT(t->name), r->partition_id, r->replicas_n, r->directories_n);
    }
    /* Without directories (before metadata.version 17) each is MIGRATING, the zero id. */
    struct uuid *zero = dirs ? NULL : mem_zalloc((size_t)r->replicas_n * sizeof *zero);
    struct image_partition p = {
        .index = r->partition_id,
        .leader = r->leader,
        .leader_epoch = r->leader_epoch,
        .partition_epoch = r->partition_epoch,
        .leader_recovery_state = r->leader_recovery_state,
        .replicas = r->replicas,
        .replicas_n = (uint32_t)r->replicas_n,
        .isr = r->isr,
        .isr_n = (uint32_t)r->isr_n,
        .adding = r->adding_replicas,
        .adding_n = (uint32_t)r->adding_replicas_n,
        .removing = r->removing_replicas,
        .removing_n = (uint32_t)r->removing_replicas_n,
        .elr = r->eligible_leader_replicas,
        .elr_n = (uint32_t)(r->eligible_leader_replicas_n > 0 ? r->eligible_leader_replicas_n : 0),
        .last_known_elr = r->last_known_elr,
        .last_known_elr_n = (uint32_t)(r->last_known_elr_n > 0 ? r->last_known_elr_n : 0),
        .directories = dirs ? r->directories : zero,
        .directories_n = (uint32_t)r->replicas_n,
    };
    set_partition(d, t, &p);
    mem_free(zero);
    return 0;
}

static void take_ids(const int32_t *ids, int32_t n, const int32_t **out, uint32_t *out_n)
{
    if (n >= 0) { /* -1 is null: unchanged */
        *out = ids;
        *out_n = (uint32_t)n;
    }
}

/* Directories after a change of replicas that names none: a replica that stays keeps its own. */
static struct uuid *carry_directories(const struct image_partition *old,
                                      const struct image_partition *p)
{
    struct uuid *dirs = mem_zalloc(p->replicas_n * sizeof *dirs);
    for (uint32_t i = 0; i < p->replicas_n; i++) {
        dirs[i] = uuid_reserved(1); /* UNASSIGNED */
        for (uint32_t k = 0; k < old->replicas_n; k++) {
            if (old->replicas[k] == p->replicas[i]) {
                dirs[i] = old->directories[k];
            }
        }
    }
    return dirs;
}

static int merge_change(const struct image_partition *old, const struct partition_change_record *r,
                        struct image_partition *p, struct uuid **carried)
{
    enum { NO_LEADER_CHANGE = -2, NO_RECOVERY_CHANGE = -1 };
    REFCOUNT_COPY_REST(p, old);
    *carried = NULL;
    take_ids(r->isr, r->isr_n, &p->isr, &p->isr_n);
    take_ids(r->replicas, r->replicas_n, &p->replicas, &p->replicas_n);
    take_ids(r->removing_replicas, r->removing_replicas_n, &p->removing, &p->removing_n);
    take_ids(r->adding_replicas, r->adding_replicas_n, &p->adding, &p->adding_n);
    take_ids(r->eligible_leader_replicas, r->eligible_leader_replicas_n, &p->elr, &p->elr_n);
    take_ids(r->last_known_elr, r->last_known_elr_n, &p->last_known_elr, &p->last_known_elr_n);
    if (r->leader != NO_LEADER_CHANGE) {
        p->leader = r->leader;
        p->leader_epoch++;
    }
    if (r->leader_recovery_state != NO_RECOVERY_CHANGE) {
        p->leader_recovery_state = r->leader_recovery_state;
    }
    p->partition_epoch++;
    if (r->directories_n >= 0) {
        p->directories = r->directories;
        p->directories_n = (uint32_t)r->directories_n;
    } else if (r->replicas_n >= 0) {
        *carried = carry_directories(old, p);
        p->directories = *carried;
        p->directories_n = p->replicas_n;
    }
    return p->directories_n == p->replicas_n ? 0 : ERR_CORRUPT;
}

int image_apply_partition_change(struct image_delta *d, const void *record, struct errmsg *em)
{
    const struct partition_change_record *r = record;
    struct image_topic *t = own_topic(d, r->topic_id);
    if (t == NULL) {
        return unknown_topic(em, "PartitionChangeRecord", r->topic_id);
    }
    const struct image_partition *old = image_partition(t, r->partition_id);
    struct image_partition p;
    struct uuid *carried = NULL;
    if (old == NULL || merge_change(old, r, &p, &carried) != 0) {
        return errmsg_set(em, ERR_CORRUPT,
                          "a PartitionChangeRecord does not fit partition %d of topic '%.*s'",
                          r->partition_id, BYTES_FMT(t->name));
    }
    set_partition(d, t, &p);
    mem_free(carried);
    return 0;
}

int image_apply_remove_topic(struct image_delta *d, const void *record, struct errmsg *em)
{
    const struct remove_topic_record *r = record;
    struct image *next = d->priv->next;
    struct image_topic *t = next_topic(d, r->topic_id);
    if (t == NULL) {
        return unknown_topic(em, "RemoveTopicRecord", r->topic_id);
    }
    image_touch_topic(d, r->topic_id);
    if (image_config(next, CONFIG_TOPIC, t->name)) {
        struct image_touched *c = image_touch_config(d, CONFIG_TOPIC, t->name);
        cowmap_remove(&next->configs, c->as_key);
    }
    for (uint32_t i = 0; i < t->partitions_n; i++) {
        next->partitions_n -= t->partitions[i] != NULL;
    }
    next->topics_n--;
    image_remove_topic(next, t);
    return 0;
}

static void clear_elr_of(struct image_delta *d, struct uuid id)
{
    const struct image_topic *t = next_topic(d, id);
    for (uint32_t i = 0; i < t->partitions_n; i++) {
        if (t->partitions[i] && (t->partitions[i]->elr_n || t->partitions[i]->last_known_elr_n)) {
            struct image_topic *own = own_topic(d, id);
            struct image_partition p = {0};
            REFCOUNT_COPY_REST(&p, own->partitions[i]);
            p.elr_n = 0;
            p.last_known_elr_n = 0;
            p.partition_epoch++;
            set_partition(d, own, &p);
            t = own;
        }
    }
}

int image_apply_clear_elr(struct image_delta *d, const void *record, struct errmsg *em)
{
    const struct clear_elr_record *r = record;
    if (r->topic_name.len) {
        const struct image_topic *t = image_topic_by_name(d->priv->next, r->topic_name);
        if (t == NULL) {
            return errmsg_set(em, ERR_CORRUPT,
                              "a ClearElrRecord names topic '%.*s', which does "
                              "not exist",
                              BYTES_FMT(r->topic_name));
        }
        clear_elr_of(d, t->id);
        return 0;
    }
    /* All topics: ids first, since the table changes below. */
    size_t n = (size_t)d->priv->next->topics_n;
    struct uuid *ids = mem_alloc(n * sizeof *ids);
    struct image_topic_iter it = {0};
    for (size_t i = 0; i < n; i++) {
        ids[i] = image_next_topic(d->priv->next, &it)->id;
    }
    for (size_t i = 0; i < n; i++) {
        clear_elr_of(d, ids[i]);
    }
    mem_free(ids);
    return 0;
}
