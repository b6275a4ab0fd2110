/* See group_model.h: committed offsets. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "sim/checkers/group_model_private.h"

enum { SPREAD = 40503, VALUES = 65536 };

/* Every value once, high and low ones after each other: a commit may well go back. */
static int64_t value_of(uint32_t n)
{
    return (int64_t)((uint64_t)n * SPREAD % VALUES);
}

static struct gm_key *key_of(struct group_model *m, struct gm_ref ref)
{
    return &m->groups[ref.group].keys[ref.topic][ref.part];
}

static void key_name(const struct group_model *m, unsigned group, unsigned topic, unsigned part,
                     char *out, size_t n)
{
    snprintf(out, n, "%s, topic %u, partition %u", m->groups[group].name, topic, part);
}

static struct gm_ref add(struct group_model *m, struct gm_ref ref, struct gm_commit c)
{
    struct gm_key *k = key_of(m, ref);
    if (k->n == k->cap) {
        k->cap = k->cap ? 2 * k->cap : 8;
        k->v = mem_realloc(k->v, k->cap * sizeof(*k->v));
    }
    ref.index = k->n;
    k->v[k->n++] = c;
    return ref;
}

/* The first entry of each key: there is nothing. */
void group_offsets_init(struct group_model *m, unsigned group)
{
    for (unsigned t = 0; t < GM_TOPICS_MAX; t++) {
        for (unsigned p = 0; p < GM_PARTS_MAX; p++) {
            struct gm_ref ref = {.group = group, .topic = t, .part = p};
            add(m, ref,
                (struct gm_commit){
                    .offset = -1, .leader_epoch = -1, .state = GM_CONFIRMED, .durable = true});
        }
    }
}

void group_offsets_free(struct group_model *m, unsigned group)
{
    for (unsigned t = 0; t < GM_TOPICS_MAX; t++) {
        for (unsigned p = 0; p < GM_PARTS_MAX; p++) {
            mem_free(m->groups[group].keys[t][p].v);
        }
    }
}

struct gm_ref group_model_commit(struct group_model *m, unsigned group, unsigned topic,
                                 unsigned part, bool with_epoch)
{
    struct gm_ref ref = {.group = group, .topic = topic, .part = part};
    struct gm_key *k = key_of(m, ref);
    int64_t offset = value_of(++k->given);
    RUN_CHECK(m->r, k->given < VALUES);
    return add(m, ref,
               (struct gm_commit){.offset = offset,
                                  .leader_epoch =
                                      with_epoch && offset % 3 != 0 ? (int32_t)(offset % 90) : -1,
                                  .state = GM_DOUBT,
                                  .in_flight = true,
                                  .begin = group_model_tick(m),
                                  .end = UINT64_MAX,
                                  .losses = m->losses});
}

struct gm_ref group_model_forget(struct group_model *m, unsigned group, unsigned topic,
                                 unsigned part)
{
    struct gm_ref ref = {.group = group, .topic = topic, .part = part};
    return add(m, ref,
               (struct gm_commit){.offset = -1,
                                  .leader_epoch = -1,
                                  .state = GM_DOUBT,
                                  .in_flight = true,
                                  .begin = group_model_tick(m),
                                  .end = UINT64_MAX,
                                  .losses = m->losses});
}

const struct gm_commit *group_model_at(const struct group_model *m, struct gm_ref ref)
{
    return &m->groups[ref.group].keys[ref.topic][ref.part].v[ref.index];
}

bool group_model_metadata(int64_t offset, char *out, size_t n)
{
    if (offset % 5 == 0) {
        snprintf(out, n, "%s", "");
        return offset % 2 == 0;
    }
    snprintf(out, n, "at %" PRId64 "%.*s", offset, (int)(offset % 7), "-------");
    return true;
}

static void confirm(struct group_model *m, struct gm_commit *c)
{
    c->state = GM_CONFIRMED;
    c->durable = c->durable || m->flushed;
    c->end = c->end < m->tick ? c->end : m->tick;
}

/* A refusal that says for sure that nothing was written. */
static bool refusal(const struct group_model *m, int16_t code)
{
    switch (code) {
    case 3:   /* UNKNOWN_TOPIC_OR_PARTITION */
    case 12:  /* OFFSET_METADATA_TOO_LARGE */
    case 14:  /* COORDINATOR_LOAD_IN_PROGRESS */
    case 22:  /* ILLEGAL_GENERATION */
    case 24:  /* INVALID_GROUP_ID */
    case 25:  /* UNKNOWN_MEMBER_ID */
    case 27:  /* REBALANCE_IN_PROGRESS */
    case 68:  /* NON_EMPTY_GROUP */
    case 69:  /* GROUP_ID_NOT_FOUND */
    case 82:  /* FENCED_INSTANCE_ID */
    case 86:  /* GROUP_SUBSCRIBED_TO_TOPIC */
    case 100: /* UNKNOWN_TOPIC_ID */
        return true;
    default:
        return m->certain;
    }
}

void group_model_commit_done(struct group_model *m, struct gm_ref ref, int err, int16_t code)
{
    struct gm_commit *c = &key_of(m, ref)->v[ref.index];
    group_model_tick(m);
    c->in_flight = false;
    if (err == 0 && code == 0) {
        if (c->state == GM_REFUSED) {
            return; /* a loss has taken it already */
        }
        confirm(m, c);
        m->acked++;
    } else if (err == 0 && refusal(m, code)) {
        if (c->state == GM_CONFIRMED) {
            char name[80];
            key_name(m, ref.group, ref.topic, ref.part, name, sizeof(name));
            run_fail(m->r, "%s: offset %" PRId64 " was read, and its commit is answered %d", name,
                     c->offset, code);
        }
        c->state = GM_REFUSED;
        c->code = code;
        m->refused++;
    }
}

void group_offsets_down(struct group_model *m, unsigned group, bool lost, bool power)
{
    for (unsigned t = 0; t < GM_TOPICS_MAX; t++) {
        for (unsigned p = 0; p < GM_PARTS_MAX; p++) {
            struct gm_key *k = &m->groups[group].keys[t][p];
            for (uint32_t i = 0; i < k->n; i++) {
                struct gm_commit *c = &k->v[i];
                if (c->state == GM_DOUBT && !c->in_flight && c->end == UINT64_MAX) {
                    c->end = m->tick;
                }
                if (lost && c->state == GM_CONFIRMED && !c->durable) {
                    c->state = GM_DOUBT;
                }
                if (power && c->unsure) { /* what hid it may have been in memory alone */
                    c->state = GM_DOUBT;
                    c->unsure = false;
                }
            }
        }
    }
}

void group_model_flushed(struct group_model *m)
{
    for (unsigned g = 0; g < m->groups_n; g++) {
        for (unsigned t = 0; t < GM_TOPICS_MAX; t++) {
            for (unsigned p = 0; p < GM_PARTS_MAX; p++) {
                struct gm_key *k = &m->groups[g].keys[t][p];
                for (uint32_t i = 0; i < k->n; i++) {
                    k->v[i].durable = k->v[i].durable || k->v[i].state == GM_CONFIRMED;
                }
            }
        }
    }
}

/* The first that was known to take effect after c had, and before the read began; NULL: none. */
static const struct gm_commit *replaced_by(const struct gm_key *k, const struct gm_commit *c,
                                           uint64_t began)
{
    for (uint32_t i = 0; i < k->n; i++) {
        const struct gm_commit *y = &k->v[i];
        if (y->state == GM_CONFIRMED && y->begin > c->end && y->end <= began) {
            return y;
        }
    }
    return NULL;
}

/* It has gone by its age: from now on it is as good as deleted. */
static struct gm_commit *expired(struct group_model *m, struct gm_ref ref, uint64_t began)
{
    struct gm_commit gone = {.offset = -1,
                             .leader_epoch = -1,
                             .state = GM_CONFIRMED,
                             .begin = began,
                             .end = m->tick,
                             .losses = m->losses};
    ref = add(m, ref, gone);
    return &key_of(m, ref)->v[ref.index];
}

/* The commit that was read; *only: no other one can have been. */
static struct gm_commit *find(struct group_model *m, struct gm_ref ref, const char *name,
                              uint64_t began, int64_t offset, bool *only)
{
    struct gm_key *k = key_of(m, ref);
    const struct gm_commit *why = NULL;
    const struct gm_commit *refused = NULL;
    struct gm_commit *found = NULL;
    *only = true;
    for (uint32_t i = 0; i < k->n; i++) {
        struct gm_commit *c = &k->v[i];
        if (c->offset != offset) {
            continue;
        }
        const struct gm_commit *y = replaced_by(k, c, began);
        if (c->state != GM_REFUSED && y == NULL) {
            *only = found == NULL;
            found = c;
            continue;
        }
        refused = c->state == GM_REFUSED ? c : refused;
        why = y != NULL ? y : why;
    }
    if (found != NULL) {
        return found;
    }
    if (offset < 0 && m->retention_us != 0 && m->r->sim->clock.now_us > m->retention_us) {
        return expired(m, ref, began);
    }
    if (refused != NULL && refused->code != 0) {
        run_fail(m->r, "%s: committed is %" PRId64 ", whose commit was answered %d", name, offset,
                 refused->code);
    }
    if (why != NULL) {
        run_fail(m->r,
                 "%s: committed is %" PRId64 "; after it %" PRId64 " was acknowledged or read",
                 name, offset, why->offset);
    }
    if (refused != NULL) {
        run_fail(m->r, "%s: committed is %" PRId64 ", which had been lost", name, offset);
    }
    run_fail(m->r, "%s: committed is %" PRId64 ", which nobody committed", name, offset);
}

/* After a loss the first read tells what is there; nothing else that was before it can come. */
static void settle(struct group_model *m, struct gm_key *k, const struct gm_commit *c)
{
    if (c->losses == m->losses) {
        return;
    }
    for (uint32_t i = 0; i < k->n; i++) {
        struct gm_commit *o = &k->v[i];
        if (o != c && o->losses < m->losses && o->state == GM_DOUBT && !o->in_flight) {
            o->state = GM_REFUSED;
            o->code = 0;
            o->unsure = m->unsure;
            m->lost++;
        }
    }
}

void group_model_read(struct group_model *m, unsigned group, unsigned topic, unsigned part,
                      uint64_t began, int64_t offset, int32_t leader_epoch, struct bytes metadata)
{
    struct gm_ref ref = {.group = group, .topic = topic, .part = part};
    char name[80];
    char want[64];
    key_name(m, group, topic, part, name, sizeof(name));
    group_model_tick(m);
    if (m->blind) {
        return;
    }
    bool only;
    struct gm_commit *c = find(m, ref, name, began, offset, &only);
    if (leader_epoch != -2 && leader_epoch != c->leader_epoch) {
        run_fail(m->r, "%s: offset %" PRId64 " has leader epoch %d, %d was committed", name, offset,
                 leader_epoch, c->leader_epoch);
    }
    if (offset < 0 || !group_model_metadata(offset, want, sizeof(want))) {
        want[0] = 0; /* null is stored as the empty string */
    }
    if (!bytes_is_null(metadata) && !bytes_eq_str(metadata, want)) {
        run_fail(m->r, "%s: offset %" PRId64 " has the metadata '%.*s', '%s' was committed", name,
                 offset, BYTES_FMT(metadata), want);
    }
    if (only) {
        settle(m, key_of(m, ref), c);
        confirm(m, c);
    }
    m->read++;
}

static bool never_deleted(const struct gm_key *k, uint64_t tick)
{
    bool there = false;
    for (uint32_t i = 1; i < k->n; i++) {
        if (k->v[i].offset < 0 && k->v[i].state != GM_REFUSED) {
            return false;
        }
        there = there || (k->v[i].state == GM_CONFIRMED && k->v[i].end < tick);
    }
    return there;
}

bool group_model_has_offsets(const struct group_model *m, unsigned group, uint64_t tick)
{
    for (unsigned t = 0; t < GM_TOPICS_MAX; t++) {
        for (unsigned p = 0; p < GM_PARTS_MAX; p++) {
            if (never_deleted(&m->groups[group].keys[t][p], tick)) {
                return true;
            }
        }
    }
    return false;
}
