/* Rows that no shard can make alone: of the followers of what is led here, of the leaders of what
 * is followed here, and of partitions that are counted. A follower's Fetch names only partitions
 * with news, on the shard of its session: when it was heard of last is the newest of what all
 * shards saw, not what one partition saw. */
#include <stdio.h>

#include "broker/monitor/why.h"
#include "broker/replica/isr.h"

enum { NAMES = 400 }; /* of a list of followers in a sentence */

struct why_follower *why_follower(struct why_answer *a, int32_t id)
{
    list_for_each (at, &a->followers) {
        struct why_follower *f = LIST_ENTRY(at, struct why_follower, node);
        if (f->id == id) {
            return f;
        }
    }
    struct why_follower *f = ARENA_NEW(&a->arena, struct why_follower);
    *f = (struct why_follower){.id = id, .ms = -1, .worst = -1, .fetched_ms = ISR_NEVER};
    list_push_back(&a->followers, &f->node);
    return f;
}

void why_add_leader(struct why_answer *a, const struct why_leader *l)
{
    list_for_each (at, &a->leaders) {
        struct why_leader *had = LIST_ENTRY(at, struct why_leader, node);
        if (had->id == l->id) {
            had->partitions += l->partitions;
            had->tries += l->tries;
            had->ms = l->ms > had->ms ? l->ms : had->ms;
            return;
        }
    }
    struct why_leader *new = ARENA_NEW(&a->arena, struct why_leader);
    *new = *l;
    new->host = why_clean(&a->arena, bytes_str(l->host));
    list_push_back(&a->leaders, &new->node);
}

/* ---- together ---- */

static void add_follower(struct why_answer *to, const struct why_follower *f)
{
    struct why_follower *l = why_follower(to, f->id);
    l->out += f->out;
    l->late += f->late;
    l->alive = f->alive;
    l->ms = f->ms > l->ms ? f->ms : l->ms;
    l->fetched_ms = f->fetched_ms > l->fetched_ms ? f->fetched_ms : l->fetched_ms;
    if (f->worst > l->worst) {
        l->worst = f->worst;
        l->topic = f->topic;
        l->index = f->index;
    }
}

static void add_counts(struct why_answer *to, const struct why_answer *a)
{
    for (unsigned i = 0; i < WHY_SOMES; i++) {
        struct why_count sum = a->some[i];
        sum.n += to->some[i].n;
        to->some[i] = a->some[i].n > 0 ? sum : to->some[i];
    }
}

/* The newest of `ms` and what any shard saw of the broker. */
static int64_t seen(struct why_answer *const *answers, unsigned n, int32_t id, int64_t ms)
{
    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = 0; k < answers[i]->seen_n; k++) {
            const struct follower_seen *s = &answers[i]->seen[k];
            ms = s->id == id && s->ms > ms ? s->ms : ms;
        }
    }
    return ms;
}

/* ---- rows ---- */

static int64_t ago(int64_t now_ms, int64_t ms)
{
    return now_ms > ms ? now_ms - ms : 0; /* shards look one after the other */
}

static void put_where(struct why_answer *a, struct why_row *row, const char *topic, int32_t index)
{
    why_text(a, row, "topic", bytes_str(topic));
    why_number(row, "partition", index);
}

static void tell_follower(struct why_answer *a, const struct why_follower *f, int64_t fetched_ms)
{
    struct why_row *row = why_add(a, WHY_REPLICA, f->ms);
    char fetch[64] = "no fetch has come";
    if (row == NULL) {
        return;
    }
    if (fetched_ms > ISR_NEVER) {
        int64_t ms = ago(a->now_ms, fetched_ms);
        snprintf(fetch, sizeof fetch, "its last fetch came %.1f s ago", (double)ms / 1000);
        why_number(row, "last_fetch_ms", ms);
    }
    why_number(row, "follower", f->id);
    why_number(row, "out_of_sync", f->out);
    why_number(row, "late", f->late);
    why_number(row, "records_behind", f->worst);
    put_where(a, row, f->topic, f->index);
    why_say(a, row,
            "follower %d of partitions led here: out of sync in %u, in sync and late in %u; most "
            "behind in %s-%d, records: %lld; %s%s",
            f->id, f->out, f->late, f->topic, f->index, (long long)f->worst, fetch,
            f->alive ? "" : "; the controller counts the broker as gone");
}

static void tell_leader(struct why_answer *a, const struct why_leader *l)
{
    struct why_row *row = why_add(a, WHY_FETCHER, l->ms);
    if (row == NULL) {
        return;
    }
    why_number(row, "leader", l->id);
    why_text(a, row, "host", bytes_str(l->host));
    why_number(row, "port", l->port);
    why_number(row, "partitions", l->partitions);
    why_number(row, "tries", l->tries);
    if (l->host[0] == '\0') {
        why_say(a, row, "leader %d has no address in the metadata; partitions followed there: %u",
                l->id, l->partitions);
    } else {
        why_say(a, row,
                "leader %d at %s:%u does not answer; partitions followed there: %u, tries that "
                "failed: %u",
                l->id, l->host, l->port, l->partitions, l->tries);
    }
}

static void tell_some(struct why_answer *a, enum why_kind kind, enum why_some some,
                      const char *what)
{
    const struct why_count *c = &a->some[some];
    struct why_row *row = c->n > 0 ? why_add(a, kind, -1) : NULL;
    if (row) {
        why_number(row, "partitions", c->n);
        put_where(a, row, c->topic, c->index);
        why_say(a, row, "partitions that %s: %u; %s-%d is one of them", what, c->n, c->topic,
                c->index);
    }
}

/* "3 (no fetch yet), 4 (last fetch 2.0 s ago)", behind the sentence and as a field. */
static void tell_blockers(struct why_answer *a, struct why_row *row,
                          struct why_answer *const *answers, unsigned n)
{
    char who[NAMES] = "";
    size_t at = 0;
    for (unsigned i = 0; i < row->blockers_n; i++) {
        const struct why_blocker *b = &row->blockers[i];
        int64_t ms = seen(answers, n, b->id, b->fetched_ms);
        const char *comma = i > 0 ? ", " : "";
        int got = b->fetched_ms == ISR_NEVER
                      ? snprintf(who + at, NAMES - at, "%s%d (no fetch yet)", comma, b->id)
                      : snprintf(who + at, NAMES - at, "%s%d (last fetch %.1f s ago)", comma, b->id,
                                 (double)ago(a->now_ms, ms) / 1000);
        at += (size_t)got < NAMES - at ? (size_t)got : NAMES - at - 1;
    }
    why_text(a, row, "followers", bytes_str(who));
    why_say(a, row, "%s %s %s", row->text, row->blockers_n == 1 ? "follower" : "followers", who);
}

void why_merge(struct why_answer **answers, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        list_for_each (at, &answers[i]->rows[WHY_PRODUCE]) {
            struct why_row *row = LIST_ENTRY(at, struct why_row, node);
            if (row->blockers_n > 0) {
                tell_blockers(answers[i], row, answers, n);
            }
        }
    }
    if (n == 0) {
        return;
    }
    for (unsigned i = 1; i < n; i++) {
        list_for_each (at, &answers[i]->followers) {
            add_follower(answers[0], LIST_ENTRY(at, struct why_follower, node));
        }
        list_for_each (at, &answers[i]->leaders) {
            why_add_leader(answers[0], LIST_ENTRY(at, struct why_leader, node));
        }
        add_counts(answers[0], answers[i]);
        if (answers[i]->now_ms > answers[0]->now_ms) { /* the controller's shard says none */
            answers[0]->now_ms = answers[i]->now_ms;
        }
    }
    list_for_each (at, &answers[0]->followers) {
        const struct why_follower *f = LIST_ENTRY(at, struct why_follower, node);
        tell_follower(answers[0], f, seen(answers, n, f->id, f->fetched_ms));
    }
    list_for_each (at, &answers[0]->leaders) {
        tell_leader(answers[0], LIST_ENTRY(at, struct why_leader, node));
    }
    tell_some(answers[0], WHY_DISK, WHY_OFFLINE,
              "are offline here: their log directory failed or their log does not open");
    tell_some(answers[0], WHY_DISK, WHY_NO_SPACE, "found the disk full at their newest append");
    tell_some(answers[0], WHY_REPLICA, WHY_SHORT,
              "led here have fewer replicas in sync than min.insync.replicas: acks=all is refused");
}
