/* What a group looks like from outside: DescribeGroups and ListGroups. Groups whose first record is
 * not committed yet are not there. Kinds other than classic are listed; described by APIs of their
 * own. */
#include <strings.h>

#include "broker/group/classic.h"

static bool visible(const struct group *g)
{
    return g != NULL && (g->in_log || g->kept || g->offsets_n > 0);
}

static const char *const kind_names[] = {
    [GROUP_KIND_CLASSIC] = "classic",
    [GROUP_KIND_CONSUMER] = "consumer",
    [GROUP_KIND_SHARE] = "share",
    [GROUP_KIND_STREAMS] = "streams",
};

static struct bytes copy(struct arena *a, struct bytes b)
{
    return b.len > 0 ? bytes_of(arena_strndup(a, b.data, b.len), b.len)
                     : (b.data ? bytes_str("") : BYTES_NULL);
}

/* ---- DescribeGroups ---- */

enum { SHOWN_MAX = 32000 }; /* of a name in a sentence */

static void describe_members(const struct classic *cl, struct arena *a,
                             struct describe_groups_response_described_group *out)
{
    bool stable = cl->state == CLASSIC_STABLE;
    out->members =
        proto_array(a, &describe_groups_response_described_group_member_desc, cl->members_n);
    list_for_each (n, &cl->members) {
        const struct classic_member *m = LIST_ENTRY(n, struct classic_member, node);
        struct describe_groups_response_described_group_member *d = &out->members[out->members_n++];
        d->member_id = copy(a, m->id);
        d->group_instance_id = copy(a, m->instance);
        d->client_id = copy(a, m->client_id->text);
        d->client_host = copy(a, m->client_host->text);
        d->member_metadata =
            stable ? copy(a, classic_member_metadata(m, cl->protocol)) : bytes_str("");
        d->member_assignment = copy(a, m->assignment);
    }
}

void group_describe(const struct group_coordinator *c, struct bytes group_id, int16_t version,
                    struct arena *a, struct describe_groups_response_described_group *out)
{
    const struct group *g = group_find(c, group_id);
    if (!visible(g) || g->kind != GROUP_KIND_CLASSIC) {
        out->group_state = bytes_str("Dead");
        if (version >= 6) {
            out->error_code = KE_GROUP_ID_NOT_FOUND;
            /* with the rest of the sentence still a string of the protocol */
            struct bytes shown =
                bytes_of(group_id.data, group_id.len < SHOWN_MAX ? group_id.len : SHOWN_MAX);
            out->error_message = bytes_str(arena_printf(
                a, visible(g) ? "Group %.*s is not a classic group." : "Group %.*s not found.",
                BYTES_FMT(shown)));
        }
        return;
    }
    const struct classic *cl = g->classic;
    out->group_state = bytes_str(classic_state_name(g));
    out->protocol_type = cl && cl->type ? copy(a, cl->type->text) : bytes_str("");
    if (cl != NULL) {
        if (cl->state == CLASSIC_STABLE && cl->protocol != NULL) {
            out->protocol_data = copy(a, cl->protocol->text);
        }
        describe_members(cl, a, out);
    }
}

/* ---- ListGroups ---- */

static bool same_word(struct bytes said, const char *is)
{
    while (said.len > 0 && said.data[0] <= ' ') {
        said = bytes_of(said.data + 1, said.len - 1);
    }
    while (said.len > 0 && said.data[said.len - 1] <= ' ') {
        said.len--;
    }
    return said.len == strlen(is) && strncasecmp((const char *)said.data, is, said.len) == 0;
}

/* All states of all kinds; that of a group is one of them. */
static const char *const state_names[] = {
    "Empty",       "PreparingRebalance", "CompletingRebalance", "Stable", "Assigning",
    "Reconciling", "NotReady",
};
static uint32_t named(const struct bytes *words, int32_t words_n, const char *const *names,
                      uint32_t names_n)
{
    uint32_t set = 0, all = (1u << names_n) - 1;
    for (int32_t i = 0; i < words_n && set != all; i++) {
        for (uint32_t k = 0; k < names_n; k++) {
            set |= (uint32_t)same_word(words[i], names[k]) << k;
        }
    }
    return words_n <= 0 ? all : set;
}

struct group_filter group_filter_of(const struct bytes *states, int32_t states_n,
                                    const struct bytes *types, int32_t types_n)
{
    return (struct group_filter){named(states, states_n, state_names, ARRAY_LEN(state_names)),
                                 named(types, types_n, kind_names, ARRAY_LEN(kind_names))};
}

static bool is_in(uint32_t set, const char *name, const char *const *names, uint32_t names_n)
{
    for (uint32_t k = 0; k < names_n; k++) {
        if (strcmp(names[k], name) == 0) {
            return (set >> k & 1) != 0;
        }
    }
    return false;
}

static const char *state_name(const struct group *g)
{
    return g->kind == GROUP_KIND_CLASSIC ? classic_state_name(g) : foreign_state_name(g);
}

static void list_one(const struct group *g, struct arena *a,
                     struct list_groups_response_listed_group *out)
{
    out->group_id = copy(a, g->id);
    out->group_state = bytes_str(state_name(g));
    out->group_type = bytes_str(kind_names[g->kind]);
    if (g->kind != GROUP_KIND_CLASSIC) {
        out->protocol_type = bytes_str(kind_names[g->kind]);
    } else {
        out->protocol_type =
            g->classic && g->classic->type ? copy(a, g->classic->type->text) : bytes_str("");
    }
}

uint32_t group_list(const struct group_coordinator *c, const struct group_filter *f,
                    struct arena *a, struct list_groups_response_listed_group *out, uint32_t max)
{
    uint32_t n = 0;
    map_for_each (s, &c->groups) {
        const struct group *g = s->value;
        if (!visible(g) || !(f->kinds >> g->kind & 1) ||
            !is_in(f->states, state_name(g), state_names, ARRAY_LEN(state_names))) {
            continue;
        }
        if (out != NULL && n < max) {
            list_one(g, a, &out[n]);
        }
        n++;
    }
    return n;
}

void group_coordinator_states(const struct group_coordinator *c, struct group_states *sum)
{
    list_for_each (at, &c->all) {
        const struct group *g = LIST_ENTRY(at, struct group, all);
        if (g->kind != GROUP_KIND_CLASSIC) {
            continue;
        }
        switch (g->classic ? g->classic->state : CLASSIC_EMPTY) {
        case CLASSIC_EMPTY:
            sum->empty++;
            break;
        case CLASSIC_PREPARING:
            sum->preparing++;
            break;
        case CLASSIC_COMPLETING:
            sum->completing++;
            break;
        case CLASSIC_STABLE:
            sum->stable++;
            break;
        }
    }
}
