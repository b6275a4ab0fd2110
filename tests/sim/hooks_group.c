/* See hooks.h: breaches in the coordinator of groups. */
#include "base/mem.h"
#include "broker/group/group_private.h"
#include "sim/hooks.h"

enum { SYNCS = 64 };

static struct {
    struct group_ask *syncs[SYNCS]; /* SyncGroup requests that are not answered yet */
    struct bytes last;              /* the assignment that was handed out last */
} seen;

bool hooks_drop_commit(void)
{
    return hooks_strike(MUTANT_COMMIT, 15);
}

/* Of the type of what they stand for, so that a change there does not compile here. */
#define WRAP(fn)                \
    __typeof__(fn) __real_##fn; \
    __typeof__(fn) __wrap_##fn

WRAP(classic_check_commit);
int16_t __wrap_classic_check_commit(struct group *g, struct bytes member_id,
                                    struct bytes instance_id, int32_t generation, int16_t version,
                                    const struct group_event *ev, struct group_effects *fx)
{
    int16_t code =
        __real_classic_check_commit(g, member_id, instance_id, generation, version, ev, fx);
    return code != 0 && g != NULL && hooks_strike(MUTANT_STALE, 1) ? 0 : code;
}

WRAP(group_timer_set);
void __wrap_group_timer_set(struct group_coordinator *c, struct group_timer *t, int64_t due_ms)
{
    if (!hooks_strike(MUTANT_TIMER, 3)) {
        __real_group_timer_set(c, t, due_ms);
    }
}

WRAP(classic_replay);
void __wrap_classic_replay(struct group *g, const struct group_metadata_value *v, int64_t timestamp)
{
    if (!hooks_strike(MUTANT_REPLAY, 2)) {
        __real_classic_replay(g, v, timestamp);
    }
}

WRAP(group_coordinator_replay);
int __wrap_group_coordinator_replay(struct group_coordinator *c, const struct group_replay *r,
                                    struct bytes key, struct bytes value)
{
    bool offset = key.len > 2 && load_be16(key.data) <= 1;
    return offset && hooks_strike(MUTANT_FORGET, 10)
               ? 0
               : __real_group_coordinator_replay(c, r, key, value);
}

/* ---- an assignment given twice ---- */

WRAP(classic_sync);
void __wrap_classic_sync(struct group_coordinator *c, const struct group_event *ev,
                         struct group_effects *fx)
{
    for (int i = 0; i < SYNCS; i++) {
        if (seen.syncs[i] == NULL) {
            seen.syncs[i] = ev->ask;
            break;
        }
    }
    __real_classic_sync(c, ev, fx);
}

WRAP(group_fx_reply);
void __wrap_group_fx_reply(struct group_effects *fx, struct group_ask *ask)
{
    for (int i = 0; i < SYNCS; i++) {
        if (seen.syncs[i] != ask) {
            continue;
        }
        struct sync_group_response *resp = ask->response;
        seen.syncs[i] = NULL;
        if (resp->error_code == 0 && seen.last.len > 0 && hooks_strike(MUTANT_TWICE, 10)) {
            resp->assignment = seen.last;
        } else if (resp->error_code == 0) { /* for ever: runs with a breach are short */
            uint8_t *p = mem_alloc(resp->assignment.len + 1);
            memcpy(p, resp->assignment.data, resp->assignment.len);
            seen.last = bytes_of(p, resp->assignment.len);
        }
    }
    __real_group_fx_reply(fx, ask);
}
