/* See group_world.h: subscriptions and assignments, in the form of consumers, with marks in their
 * user data that tell a mixed-up one. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/group_world.h"

static struct bytes encode(struct group_world *gw, struct arena *a, const struct proto_message *msg,
                           int16_t version, const void *in)
{
    struct buf b = {0};
    struct errmsg em;
    RUN_CHECK(gw->r, proto_encode_prefixed(msg, version, in, &b, &em) == 0);
    uint8_t *p = arena_alloc(a, b.len + 1);
    memcpy(p, b.data, b.len);
    struct bytes out = bytes_of(p, b.len);
    buf_free(&b);
    return out;
}

/* Bits as lists of partitions by topic; how many topics. */
static unsigned partitions_of(const struct group_world *gw, uint32_t bits, struct arena *a,
                              int32_t **lists, int32_t *counts, unsigned *topics)
{
    unsigned n = 0;
    for (unsigned t = 0; t < gw->topics_n; t++) {
        int32_t *list = ARENA_ARRAY(a, int32_t, GM_PARTS_MAX);
        int32_t k = 0;
        for (unsigned p = 0; p < gw->topics[t].parts_n; p++) {
            if (bits & gw_bit(t, p)) {
                list[k++] = (int32_t)p;
            }
        }
        if (k > 0) {
            lists[n] = list;
            counts[n] = k;
            topics[n++] = t;
        }
    }
    return n;
}

struct bytes gw_subscription(struct gw_member *m, struct arena *a, const char *protocol)
{
    struct group_world *gw = m->gw;
    const struct gw_group *g = &gw->groups[m->group];
    struct consumer_protocol_subscription sub;
    struct consumer_protocol_subscription_topic_partition owned[GM_TOPICS_MAX];
    struct bytes topics[GM_TOPICS_MAX];
    int32_t *lists[GM_TOPICS_MAX];
    int32_t counts[GM_TOPICS_MAX];
    unsigned which[GM_TOPICS_MAX];
    proto_msg_init(&consumer_protocol_subscription_msg, &sub);
    for (unsigned t = 0; t < gw->topics_n; t++) {
        topics[t] = bytes_str(gw->topics[t].name);
    }
    sub.topics = topics;
    sub.topics_n = (int32_t)gw->topics_n;
    sub.user_data =
        bytes_str(arena_printf(a, "%s %u %u %s", g->name, m->slot, m->subscription, protocol));
    if (g->coop) {
        unsigned n = partitions_of(gw, m->owns, a, lists, counts, which);
        for (unsigned i = 0; i < n; i++) {
            proto_init(&consumer_protocol_subscription_topic_partition_desc, &owned[i]);
            owned[i].topic = bytes_str(gw->topics[which[i]].name);
            owned[i].partitions = lists[i];
            owned[i].partitions_n = counts[i];
        }
        sub.owned_partitions = owned;
        sub.owned_partitions_n = (int32_t)n;
        sub.generation_id = m->owns != 0 ? m->gen : -1;
    }
    return encode(gw, a, &consumer_protocol_subscription_msg, g->coop ? 2 : 0, &sub);
}

static unsigned topic_of(const struct group_world *gw, struct bytes name)
{
    for (unsigned t = 0; t < gw->topics_n; t++) {
        if (bytes_eq_str(name, gw->topics[t].name)) {
            return t;
        }
    }
    run_fail(gw->r, "a member hears of the topic '%.*s'", BYTES_FMT(name));
}

void gw_mate(struct gw_member *m, struct bytes id, struct bytes metadata)
{
    struct group_world *gw = m->gw;
    struct arena a = {0};
    struct consumer_protocol_subscription *sub = NULL;
    int16_t version;
    char group[24];
    char protocol[24];
    char marks[100];
    unsigned slot;
    unsigned number;
    RUN_CHECK(gw->r, m->mates_n < ARRAY_LEN(m->mates) && id.len < GM_ID_MAX);
    struct gw_mate *mate = &m->mates[m->mates_n++];
    *mate = (struct gw_mate){.gen = -1};
    snprintf(mate->id, sizeof(mate->id), "%.*s", BYTES_FMT(id));
    int err = proto_decode_prefixed(&consumer_protocol_subscription_msg, metadata, &a, &version,
                                    (void **)&sub);
    if (err != 0 || sub->user_data.len >= sizeof(marks)) {
        run_fail(gw->r, "%s: the metadata of %s does not decode", m->client_id, mate->id);
    }
    snprintf(marks, sizeof(marks), "%.*s", BYTES_FMT(sub->user_data));
    if (sscanf(marks, "%23s %u %u %23s", group, &slot, &number, protocol) != 4 ||
        strcmp(group, gw->groups[m->group].name) != 0 || strcmp(protocol, m->protocol) != 0 ||
        slot >= gw->members_n || gw->members[slot]->group != m->group ||
        number > gw->members[slot]->subscription) {
        run_fail(gw->r, "%s: %s is said to have the metadata '%s' for protocol %s", m->client_id,
                 mate->id, marks, m->protocol);
    }
    if (gw->members[slot]->instance[0] == 0 && strncmp(mate->id, gw->members[slot]->client_id,
                                                       strlen(gw->members[slot]->client_id)) != 0) {
        run_fail(gw->r, "%s: %s is said to have the metadata of slot %u", m->client_id, mate->id,
                 slot);
    }
    for (int32_t i = 0; i < sub->owned_partitions_n; i++) {
        unsigned t = topic_of(gw, sub->owned_partitions[i].topic);
        for (int32_t k = 0; k < sub->owned_partitions[i].partitions_n; k++) {
            mate->owns |= gw_bit(t, (unsigned)sub->owned_partitions[i].partitions[k]);
        }
    }
    mate->gen = version >= 2 ? sub->generation_id : -1;
    arena_free(&a);
}

/* ---- the leader's plan ---- */

static struct bytes share(struct gw_member *m, struct arena *a, const char *id, uint32_t bits,
                          uint64_t plan)
{
    struct group_world *gw = m->gw;
    struct consumer_protocol_assignment as;
    struct consumer_protocol_assignment_topic_partition parts[GM_TOPICS_MAX];
    int32_t *lists[GM_TOPICS_MAX];
    int32_t counts[GM_TOPICS_MAX];
    unsigned which[GM_TOPICS_MAX];
    proto_msg_init(&consumer_protocol_assignment_msg, &as);
    unsigned n = partitions_of(gw, bits, a, lists, counts, which);
    for (unsigned i = 0; i < n; i++) {
        proto_init(&consumer_protocol_assignment_topic_partition_desc, &parts[i]);
        parts[i].topic = bytes_str(gw->topics[which[i]].name);
        parts[i].partitions = lists[i];
        parts[i].partitions_n = counts[i];
    }
    as.assigned_partitions = parts;
    as.assigned_partitions_n = (int32_t)n;
    as.user_data = bytes_str(
        arena_printf(a, "%s %d %" PRIu64 " %s", gw->groups[m->group].name, m->gen, plan, id));
    return encode(gw, a, &consumer_protocol_assignment_msg, 0, &as);
}

/* Who says, with the highest generation, to own it; NULL: nobody, or two. */
static const struct gw_mate *owner(const struct gw_member *m, uint32_t bit)
{
    const struct gw_mate *best = NULL;
    bool two = false;
    for (unsigned i = 0; i < m->mates_n; i++) {
        const struct gw_mate *x = &m->mates[i];
        if (x->owns & bit) {
            two = best != NULL && x->gen == best->gen;
            best = best == NULL || x->gen > best->gen ? x : best;
        }
    }
    return two ? NULL : best;
}

struct gw_share *gw_plan(struct gw_member *m, struct arena *a)
{
    struct group_world *gw = m->gw;
    const struct gw_group *g = &gw->groups[m->group];
    uint32_t bits[ARRAY_LEN(m->mates)] = {0};
    unsigned many[ARRAY_LEN(m->mates)] = {0};
    unsigned quota = ((unsigned)__builtin_popcount(g->all) + m->mates_n - 1) / m->mates_n;
    unsigned at = (unsigned)run_below(gw->r, m->mates_n);
    uint32_t rest = g->all;
    m->incomplete = false;
    for (uint32_t bit = 1; g->coop && bit != 0 && bit <= g->all; bit <<= 1) {
        const struct gw_mate *x = g->all & bit ? owner(m, bit) : NULL;
        unsigned i = x != NULL ? (unsigned)(x - m->mates) : 0;
        if (x != NULL && many[i] < quota) {
            bits[i] |= bit;
            many[i]++;
            rest &= ~bit;
        } else if (x != NULL) { /* its owner gives it up first */
            rest &= ~bit;
            m->incomplete = true;
        }
    }
    for (uint32_t bit = 1; bit != 0 && bit <= rest; bit <<= 1) {
        if (rest & bit) {
            while (many[at % m->mates_n] >= quota) {
                at++;
            }
            bits[at % m->mates_n] |= bit;
            many[at++ % m->mates_n]++;
        }
    }
    struct gw_share *out = ARENA_ARRAY(a, struct gw_share, m->mates_n);
    uint64_t plan = ++gw->plans;
    for (unsigned i = 0; i < m->mates_n; i++) {
        out[i] = (struct gw_share){m->mates[i].id, share(m, a, m->mates[i].id, bits[i], plan)};
    }
    return out;
}

uint32_t gw_read_share(struct gw_member *m, struct bytes assignment, int32_t gen, const char *id,
                       uint64_t *plan)
{
    struct group_world *gw = m->gw;
    struct arena a = {0};
    struct consumer_protocol_assignment *as = NULL;
    int16_t version;
    char group[24];
    char marks[160];
    char whose[GM_ID_MAX];
    int32_t of = -1;
    uint32_t bits = 0;
    int err = proto_decode_prefixed(&consumer_protocol_assignment_msg, assignment, &a, &version,
                                    (void **)&as);
    if (err != 0 || as->user_data.len >= sizeof(marks)) {
        run_fail(gw->r, "%s: generation %d: an assignment of %zu bytes that nobody made",
                 gw->groups[m->group].name, gen, assignment.len);
    }
    snprintf(marks, sizeof(marks), "%.*s", BYTES_FMT(as->user_data));
    int n = sscanf(marks, "%23s %d %" SCNu64 " %95s", group, &of, plan, whose);
    /* A static member that came back gets what its former id was given. */
    bool own =
        n == 4 && (strcmp(whose, id) == 0 ||
                   (m->instance[0] != 0 && strncmp(whose, m->instance, strlen(m->instance)) == 0));
    if (!own || strcmp(group, gw->groups[m->group].name) != 0 || of != gen) {
        run_fail(gw->r, "%s: %s gets in generation %d an assignment marked '%s'",
                 gw->groups[m->group].name, id, gen, marks);
    }
    for (int32_t i = 0; i < as->assigned_partitions_n; i++) {
        unsigned t = topic_of(gw, as->assigned_partitions[i].topic);
        for (int32_t k = 0; k < as->assigned_partitions[i].partitions_n; k++) {
            bits |= gw_bit(t, (unsigned)as->assigned_partitions[i].partitions[k]);
        }
    }
    arena_free(&a);
    return bits;
}
