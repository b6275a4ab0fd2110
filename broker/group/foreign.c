/* Groups of kinds that are kept and not served: consumer groups (KIP-848), share groups (KIP-932)
 * and streams groups (KIP-1071) that a Kafka wrote before us. Every record is kept as it stands in
 * the log, by its key; what is asked of a group is read from them. So nothing is lost until the
 * kind is served, and its deletion knows every key that needs a tombstone.
 *
 * Members that such a group had stay in it: nobody can tell whether they live. Its offsets can be
 * read; they can be committed by whoever is in no group once it is Empty, and by its members in
 * their own epoch.
 *
 * Failure modes. A record for a name under which a group of another kind stands is skipped, as is
 * one whose value cannot be read. */
#include <stdlib.h>

#include "broker/group/group_private.h"
#include "proto/cursor.h"

enum foreign_role {
    ROLE_NONE,
    ROLE_GROUP,         /* its tombstone ends the group */
    ROLE_MEMBER,        /* what a member said of itself */
    ROLE_TARGET,        /* epoch of the target assignment */
    ROLE_TARGET_MEMBER, /* a member's target */
    ROLE_CURRENT,       /* what a member has now */
    ROLE_REGEX,         /* resolved topics of a pattern */
    ROLE_TOPOLOGY,
    ROLE_OTHER,
};

struct foreign_type {
    enum group_kind kind;
    enum foreign_role role;
    bool single;  /* one in a group, its tombstone is written whether it is there or not */
    int8_t order; /* among the tombstones of a group */
};

enum { TYPE_MAX = 23, STATE_STABLE = 0, STATE_STABLE_STREAMS = 1, EPOCH_NONE = -1 };

static const struct foreign_type types[TYPE_MAX + 1] = {
    [3] = {GROUP_KIND_CONSUMER, ROLE_GROUP, true, 6},
    [4] = {GROUP_KIND_CONSUMER, ROLE_OTHER, true, 5},
    [5] = {GROUP_KIND_CONSUMER, ROLE_MEMBER, false, 3},
    [6] = {GROUP_KIND_CONSUMER, ROLE_TARGET, true, 2},
    [7] = {GROUP_KIND_CONSUMER, ROLE_TARGET_MEMBER, false, 1},
    [8] = {GROUP_KIND_CONSUMER, ROLE_CURRENT, false, 0},
    [16] = {GROUP_KIND_CONSUMER, ROLE_REGEX, false, 4},
    [10] = {GROUP_KIND_SHARE, ROLE_MEMBER, false, 3},
    [11] = {GROUP_KIND_SHARE, ROLE_GROUP, true, 6},
    [12] = {GROUP_KIND_SHARE, ROLE_TARGET, true, 2},
    [13] = {GROUP_KIND_SHARE, ROLE_TARGET_MEMBER, false, 1},
    [14] = {GROUP_KIND_SHARE, ROLE_CURRENT, false, 0},
    [15] = {GROUP_KIND_SHARE, ROLE_OTHER, true, 5},
    [17] = {GROUP_KIND_STREAMS, ROLE_GROUP, true, 5},
    [19] = {GROUP_KIND_STREAMS, ROLE_MEMBER, false, 3},
    [20] = {GROUP_KIND_STREAMS, ROLE_TARGET, true, 2},
    [21] = {GROUP_KIND_STREAMS, ROLE_TARGET_MEMBER, false, 1},
    [22] = {GROUP_KIND_STREAMS, ROLE_CURRENT, false, 0},
    [23] = {GROUP_KIND_STREAMS, ROLE_TOPOLOGY, true, 6},
};

struct foreign_record {
    int16_t type;
    struct bytes key;   /* type and what follows the group's name; owned */
    struct bytes value; /* owned */
};

struct foreign {
    struct map records; /* key -> foreign_record */
    uint32_t members;
};

bool foreign_knows(int16_t type)
{
    return type >= 0 && type <= TYPE_MAX && types[type].role != ROLE_NONE;
}

static const struct proto_message *value_message(int16_t type)
{
    return proto_record(PROTO_STORE_CONSUMER_OFFSETS, PROTO_COORDINATOR_VALUE, type);
}

/* ---- the records of a group ---- */

static struct bytes key_of(struct group_coordinator *c, int16_t type, struct bytes rest)
{
    uint8_t *p = group_alloc(c, 2 + rest.len);
    store_be16(p, (uint16_t)type);
    if (rest.len) {
        memcpy(p + 2, rest.data, rest.len);
    }
    return bytes_of(p, 2 + rest.len);
}

static struct foreign_record *record_find(const struct group *g, enum foreign_role role,
                                          struct bytes rest)
{
    uint8_t key[2 + 2 + INT16_MAX];
    if (g->foreign == NULL || rest.len > sizeof key - 2) {
        return NULL;
    }
    for (int16_t type = 0; type <= TYPE_MAX; type++) {
        if (types[type].role == role && types[type].kind == g->kind) {
            store_be16(key, (uint16_t)type);
            if (rest.len) {
                memcpy(key + 2, rest.data, rest.len);
            }
            return map_get(&g->foreign->records, bytes_of(key, 2 + rest.len));
        }
    }
    return NULL;
}

static bool is_member(const struct group *g, struct bytes rest)
{
    return record_find(g, ROLE_MEMBER, rest) != NULL || record_find(g, ROLE_CURRENT, rest) != NULL;
}

static void members_add(struct group *g, int32_t n)
{
    g->foreign->members += (uint32_t)n;
    g->c->members += (uint64_t)(int64_t)n;
}

static void record_free(struct group_coordinator *c, struct foreign_record *r)
{
    group_undup(c, &r->key);
    group_undup(c, &r->value);
    group_dealloc(c, r, sizeof *r);
}

static void record_put(struct group *g, int16_t type, struct bytes rest, struct bytes value)
{
    struct group_coordinator *c = g->c;
    struct foreign *f = g->foreign;
    bool member = types[type].role == ROLE_MEMBER || types[type].role == ROLE_CURRENT;
    bool was = member && is_member(g, rest);
    struct foreign_record *r = record_find(g, types[type].role, rest);
    if (r == NULL) {
        r = group_alloc(c, sizeof *r);
        r->type = type;
        r->key = key_of(c, type, rest);
        group_map_put(c, &f->records, r->key, r);
    }
    group_undup(c, &r->value);
    r->value = group_dup(c, value);
    if (member && !was) {
        members_add(g, 1);
    }
}

static void record_remove(struct group *g, int16_t type, struct bytes rest)
{
    bool member = types[type].role == ROLE_MEMBER || types[type].role == ROLE_CURRENT;
    struct foreign_record *r = record_find(g, types[type].role, rest);
    if (r == NULL) {
        return;
    }
    group_map_remove(g->c, &g->foreign->records, r->key);
    if (member && !is_member(g, rest)) {
        members_add(g, -1);
    }
    record_free(g->c, r);
}

void foreign_free(struct group *g)
{
    struct foreign *f = g->foreign;
    if (f == NULL) {
        return;
    }
    members_add(g, -(int32_t)f->members);
    map_for_each (slot, &f->records) {
        record_free(g->c, slot->value);
    }
    group_map_free(g->c, &f->records);
    group_dealloc(g->c, f, sizeof *f);
    g->foreign = NULL;
}

/* ---- replay ---- */

static int value_check(int16_t type, struct bytes value)
{
    struct arena a = {0};
    int16_t version;
    void *v;
    int err = proto_decode_prefixed(value_message(type), value, &a, &version, &v);
    arena_free(&a);
    return err;
}

static void replay_gone(struct group *g, int16_t type, struct bytes rest)
{
    if (g == NULL || g->kind != types[type].kind) {
        return;
    }
    record_remove(g, type, rest);
    if (types[type].role == ROLE_GROUP || g->foreign->records.count == 0) {
        foreign_free(g);
        g->kept = false;
        g->kind = GROUP_KIND_CLASSIC;
        g->in_log = false;
        group_release(g);
    }
}

/* Is what follows the group's name in a key what the type has there? */
static bool rest_is_right(int16_t type, struct bytes rest)
{
    if (types[type].single) {
        return true; /* nothing is read of it */
    }
    return rest.len >= 2 && (int16_t)load_be16(rest.data) >= 0 &&
           rest.len >= 2u + load_be16(rest.data);
}

int foreign_replay(struct group_coordinator *c, struct bytes id, int16_t type, struct bytes rest,
                   struct bytes value)
{
    struct group *g = group_find(c, id);
    if (!rest_is_right(type, rest)) {
        return ERR_CORRUPT;
    }
    rest.len = types[type].single ? 0 : 2u + load_be16(rest.data);
    if (bytes_is_null(value)) {
        replay_gone(g, type, rest);
        return 0;
    }
    bool simple = g && g->kind == GROUP_KIND_CLASSIC && !g->in_log && g->classic == NULL;
    if (value_check(type, value) != 0 || (g && !simple && g->kind != types[type].kind)) {
        return ERR_CORRUPT;
    }
    if (g == NULL) {
        g = group_make(c, id, types[type].kind);
    }
    if (g->foreign == NULL) {
        g->kind = types[type].kind;
        g->in_log = true;
        g->foreign = group_alloc(c, sizeof *g->foreign);
        g->foreign->records.secret = c->secret;
    }
    record_put(g, type, rest, value);
    return 0;
}

/* ---- what is asked ---- */

/* The value of a record; of the schema's struct. NULL: there is none. */
static const void *read_value(const struct foreign_record *r, struct arena *a)
{
    int16_t version;
    void *v = NULL;
    if (r && proto_decode_prefixed(value_message(r->type), r->value, a, &version, &v) != 0) {
        return NULL;
    }
    return v;
}

static int32_t group_epoch(const struct group *g, struct arena *a)
{
    const void *v = read_value(record_find(g, ROLE_GROUP, BYTES_NULL), a);
    if (v == NULL) {
        return 0;
    }
    return g->kind == GROUP_KIND_STREAMS ? ((const struct streams_group_metadata_value *)v)->epoch
           : g->kind == GROUP_KIND_SHARE ? ((const struct share_group_metadata_value *)v)->epoch
                                         : ((const struct consumer_group_metadata_value *)v)->epoch;
}

static int32_t target_epoch(const struct group *g, struct arena *a)
{
    const void *v = read_value(record_find(g, ROLE_TARGET, BYTES_NULL), a);
    if (v == NULL) {
        return EPOCH_NONE;
    }
    return g->kind == GROUP_KIND_STREAMS
               ? ((const struct streams_group_target_assignment_metadata_value *)v)
                     ->assignment_epoch
               : ((const struct consumer_group_target_assignment_metadata_value *)v)
                     ->assignment_epoch;
}

/* Epoch and state of a member of a consumer or streams group; as Kafka has a member of which only
 * the other record is there. */
static int32_t member_epoch(const struct group *g, struct bytes rest, struct arena *a, bool *stable)
{
    const void *v = read_value(record_find(g, ROLE_CURRENT, rest), a);
    *stable = true;
    if (v == NULL) {
        return 0;
    }
    if (g->kind == GROUP_KIND_STREAMS) {
        const struct streams_group_current_member_assignment_value *s = v;
        *stable = s->state == STATE_STABLE_STREAMS;
        return s->member_epoch;
    }
    const struct consumer_group_current_member_assignment_value *s = v;
    *stable = s->state == STATE_STABLE;
    return s->member_epoch;
}

bool foreign_is_empty(const struct group *g)
{
    return g->foreign == NULL || g->foreign->members == 0;
}

uint32_t foreign_members(const struct group *g)
{
    return g->foreign ? g->foreign->members : 0;
}

static bool topology_is_validated(const struct group *g, struct arena *a)
{
    const struct streams_group_metadata_value *m =
        read_value(record_find(g, ROLE_GROUP, BYTES_NULL), a);
    const struct streams_group_topology_value *t =
        read_value(record_find(g, ROLE_TOPOLOGY, BYTES_NULL), a);
    return t != NULL && t->epoch == (m ? m->validated_topology_epoch : -1);
}

static bool members_are_reconciled(const struct group *g, int32_t epoch, struct arena *a)
{
    map_for_each (slot, &g->foreign->records) {
        const struct foreign_record *r = slot->value;
        enum foreign_role role = types[r->type].role;
        if (role == ROLE_MEMBER || role == ROLE_CURRENT) {
            bool stable;
            struct bytes rest = bytes_of(r->key.data + 2, r->key.len - 2);
            if (member_epoch(g, rest, a, &stable) != epoch || !stable) {
                return false;
            }
        }
    }
    return true;
}

const char *foreign_state_name(const struct group *g)
{
    if (foreign_is_empty(g)) {
        return "Empty";
    }
    if (g->kind == GROUP_KIND_SHARE) {
        return "Stable";
    }
    struct arena a = {0};
    int32_t epoch = target_epoch(g, &a);
    const char *name = "Stable";
    if (g->kind == GROUP_KIND_STREAMS && !topology_is_validated(g, &a)) {
        name = "NotReady";
    } else if (group_epoch(g, &a) > epoch) {
        name = "Assigning";
    } else if (!members_are_reconciled(g, epoch, &a)) {
        name = "Reconciling";
    }
    arena_free(&a);
    return name;
}

static bool names_contain(const struct bytes *v, int32_t n, struct bytes topic)
{
    for (int32_t i = 0; i < n; i++) {
        if (bytes_eq(v[i], topic)) {
            return true;
        }
    }
    return false;
}

static bool topology_reads(const struct streams_group_topology_value *t, struct bytes topic)
{
    for (int32_t i = 0; i < t->subtopologies_n; i++) {
        if (names_contain(t->subtopologies[i].source_topics, t->subtopologies[i].source_topics_n,
                          topic)) {
            return true;
        }
    }
    return false;
}

static bool record_subscribes(const struct foreign_record *r, enum group_kind kind,
                              struct bytes topic, struct arena *a)
{
    const void *v = read_value(r, a);
    enum foreign_role role = types[r->type].role;
    if (v && role == ROLE_REGEX) {
        const struct consumer_group_regular_expression_value *x = v;
        return names_contain(x->topics, x->topics_n, topic);
    }
    if (v && role == ROLE_MEMBER && kind == GROUP_KIND_CONSUMER) {
        const struct consumer_group_member_metadata_value *x = v;
        return names_contain(x->subscribed_topic_names, x->subscribed_topic_names_n, topic);
    }
    if (v && role == ROLE_TOPOLOGY) {
        return topology_reads(v, topic);
    }
    return false;
}

bool foreign_subscribes(const struct group *g, struct bytes topic)
{
    bool found = false;
    if (foreign_is_empty(g)) {
        return false;
    }
    struct arena a = {0};
    map_for_each (slot, &g->foreign->records) {
        const struct foreign_record *r = slot->value;
        enum foreign_role role = types[r->type].role;
        if (!found && (role == ROLE_REGEX || role == ROLE_MEMBER || role == ROLE_TOPOLOGY)) {
            found = record_subscribes(r, g->kind, topic, &a);
        }
    }
    arena_free(&a);
    return found;
}

/* ---- members that come by the APIs of offsets ---- */

static bool speaks_classic(const struct group *g, struct bytes rest, struct arena *a)
{
    if (g->kind != GROUP_KIND_CONSUMER) {
        return false;
    }
    const struct consumer_group_member_metadata_value *v =
        read_value(record_find(g, ROLE_MEMBER, rest), a);
    return v && v->classic_member_metadata != NULL;
}

static struct bytes rest_of(struct arena *a, struct bytes member_id)
{
    uint8_t *p = arena_alloc(a, 2 + member_id.len);
    store_be16(p, (uint16_t)member_id.len);
    if (member_id.len) {
        memcpy(p + 2, member_id.data, member_id.len);
    }
    return bytes_of(p, 2 + member_id.len);
}

/* version below 0: a fetch, which only asks for the epoch. */
static int16_t member_check(const struct group *g, struct bytes member_id, int32_t epoch,
                            int16_t version)
{
    struct arena a = {0};
    struct bytes rest = rest_of(&a, member_id);
    bool stable;
    int16_t code = 0;
    if (!is_member(g, rest)) {
        code = KE_UNKNOWN_MEMBER_ID;
    } else if (version >= 0 && version < 9 && !speaks_classic(g, rest, &a)) {
        code = KE_UNSUPPORTED_VERSION;
    } else if (member_epoch(g, rest, &a, &stable) != epoch) {
        code = speaks_classic(g, rest, &a) ? KE_ILLEGAL_GENERATION : KE_STALE_MEMBER_EPOCH;
    }
    arena_free(&a);
    return code;
}

int16_t foreign_check_commit(const struct group *g, struct bytes member_id, int32_t epoch,
                             int16_t version)
{
    if (g->kind == GROUP_KIND_SHARE) {
        return KE_GROUP_ID_NOT_FOUND;
    }
    return epoch < 0 && foreign_is_empty(g) ? 0 : member_check(g, member_id, epoch, version);
}

int16_t foreign_check_fetch(const struct group *g, struct bytes member_id, int32_t epoch)
{
    if (g->kind == GROUP_KIND_SHARE) {
        return KE_GROUP_ID_NOT_FOUND;
    }
    return bytes_is_null(member_id) && epoch < 0 ? 0 : member_check(g, member_id, epoch, -1);
}

/* ---- deletion ---- */

uint32_t foreign_tombstones_max(const struct group *g)
{
    uint32_t singles = 0;
    for (int16_t type = 0; type <= TYPE_MAX; type++) {
        singles +=
            types[type].role != ROLE_NONE && types[type].single && types[type].kind == g->kind;
    }
    return singles + (g->foreign ? (uint32_t)g->foreign->records.count : 0);
}

static void tombstone(const struct group *g, struct group_effects *fx, int16_t type,
                      struct bytes rest, struct group_record *out)
{
    size_t n = 2 + 2 + g->id.len + rest.len;
    uint8_t *p = arena_alloc(&fx->arena, n);
    store_be16(p, (uint16_t)type);
    store_be16(p + 2, (uint16_t)g->id.len);
    memcpy(p + 4, g->id.data, g->id.len);
    if (rest.len) {
        memcpy(p + 4 + g->id.len, rest.data, rest.len);
    }
    *out = (struct group_record){bytes_of(p, n), BYTES_NULL};
}

static int by_key(const void *pa, const void *pb)
{
    const struct foreign_record *const *a = pa, *const *b = pb;
    return bytes_cmp((*a)->key, (*b)->key);
}

/* In the order in which Kafka lets go: what depends on something else first. */
void foreign_tombstones(const struct group *g, struct group_effects *fx, struct group_record *recs,
                        uint32_t *n)
{
    enum { ORDERS = 7 };
    uint32_t count = g->foreign ? (uint32_t)g->foreign->records.count : 0, k = 0;
    const struct foreign_record **v = ARENA_ARRAY(&fx->arena, const struct foreign_record *, count);
    if (g->foreign) {
        map_for_each (slot, &g->foreign->records) {
            v[k++] = slot->value;
        }
    }
    qsort(v, k, sizeof(struct foreign_record *), by_key);
    for (int8_t order = 0; order < ORDERS; order++) {
        for (int16_t type = 0; type <= TYPE_MAX; type++) {
            const struct foreign_type *t = &types[type];
            if (t->role == ROLE_NONE || t->kind != g->kind || t->order != order) {
                continue;
            }
            if (t->single) {
                tombstone(g, fx, type, BYTES_NULL, &recs[(*n)++]);
            }
            for (uint32_t i = 0; i < k && !t->single; i++) {
                if (v[i]->type == type) {
                    tombstone(g, fx, type, bytes_of(v[i]->key.data + 2, v[i]->key.len - 2),
                              &recs[(*n)++]);
                }
            }
        }
    }
}
