/* The console's questions to brokers: so many at a time over all of them, the others in line. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "broker/console/console_private.h"
#include "broker/monitor/monitor_private.h"
#include "fake_channel.h"
#include "proto_apis.h"
#include "proto_messages.h"

enum { VERSION = 4, ASKS = 40, ASK_MS = 1500 };

struct rig {
    struct fake f;
    struct monitor m;
    struct console *c;
    struct peer *peers[2];
    unsigned ended;       /* questions */
    unsigned ended_of[2]; /* of them, each peer's; in the order in which they were asked */
    unsigned errors;
};

struct question {
    struct rig *rig;
    unsigned number;
};

static void fake_on_msg(struct shard *sh, struct msg *m)
{
    UNUSED(sh);
    UNUSED(m);
    fail();
}

static void open_rig(struct rig *r)
{
    memset(r, 0, sizeof *r);
    fake_open(&r->f, fake_config(NULL));
    r->m = (struct monitor){.node = &r->f.node, .shard = r->f.shard};
    r->c = console_new(&r->m);
    for (int i = 0; i < 2; i++) {
        struct peer *p = MEM_NEW(struct peer);
        p->console = r->c;
        p->id = i;
        p->channel = &r->f.channel;
        list_push_back(&r->c->peers, &p->node);
        r->peers[i] = p;
    }
}

static void shut_rig(struct rig *r)
{
    r->peers[0]->channel = r->peers[1]->channel = NULL;
    console_end(r->c);
    console_free(r->c);
    fake_shut(&r->f);
    config_free((struct config *)(uintptr_t)r->f.node.config);
}

static size_t out(const struct rig *r)
{
    size_t n = 0;
    list_for_each (it, &r->f.calls) {
        n++;
    }
    return n;
}

static void on_end(struct peer *p, int err, const void *answer, void *user)
{
    struct question *q = user;
    assert_true((err == 0) == (answer != NULL));
    if (err != ERR_CANCELED) { /* which none was that was out */
        assert_int_equal(q->number, 2 * q->rig->ended_of[p->id]++ + (unsigned)p->id);
    }
    q->rig->ended++;
    q->rig->errors += err != 0;
}

static void ask(struct rig *r, struct question *q, unsigned number)
{
    struct list_groups_request body;
    proto_msg_init(&list_groups_request_msg, &body);
    body.states_filter = (struct bytes[]){bytes_str("Stable")};
    body.states_filter_n = 1;
    *q = (struct question){.rig = r, .number = number};
    peer_ask(r->peers[number % 2], API_LIST_GROUPS, VERSION, &body, ASK_MS, on_end, q);
}

static void answer_one(struct rig *r)
{
    struct list_groups_response body;
    struct channel_call *call = fake_next(&r->f, API_LIST_GROUPS);
    const struct list_groups_request *q = fake_request(&r->f, call); /* whole, also out of line */
    assert_int_equal(q->states_filter_n, 1);
    proto_msg_init(&list_groups_response_msg, &body);
    fake_answer(&r->f, call, &body);
}

static void no_more_are_out_than_may_be(void **state)
{
    struct rig r;
    struct question q[ASKS];
    UNUSED(state);
    open_rig(&r);
    for (unsigned i = 0; i < ASKS; i++) {
        ask(&r, &q[i], i);
        assert_int_equal(out(&r), i < PEER_ASKS_MAX ? i + 1 : PEER_ASKS_MAX);
    }
    for (unsigned i = 0; i < ASKS; i++) {
        size_t left = ASKS - i;
        assert_int_equal(out(&r), left < PEER_ASKS_MAX ? left : PEER_ASKS_MAX);
        if (i % 3) {
            answer_one(&r);
        } else {
            fake_end(fake_next(&r.f, API_LIST_GROUPS), ERR_TIMEOUT, BYTES_NULL);
        }
        assert_int_equal(r.ended, i + 1);
    }
    assert_int_equal(r.errors, (ASKS + 2) / 3);
    assert_int_equal(r.peers[0]->asks + r.peers[1]->asks, 0);
    shut_rig(&r);
}

/* One whose broker is gone when its turn comes ends then, and does not keep the others. */
static void a_broker_goes_while_its_questions_are_in_line(void **state)
{
    struct rig r;
    struct question q[ASKS];
    UNUSED(state);
    open_rig(&r);
    for (unsigned i = 0; i < ASKS; i++) {
        ask(&r, &q[i], i);
    }
    r.peers[1]->channel = NULL;
    while (out(&r)) {
        answer_one(&r);
    }
    assert_int_equal(r.ended, ASKS);
    assert_int_equal(r.errors, (ASKS - PEER_ASKS_MAX) / 2);
    assert_int_equal(r.peers[1]->asks, 0);
    shut_rig(&r);
}

/* The shard ends in the middle: what is out and what is in line is freed. */
static void the_end_with_questions_in_line(void **state)
{
    struct rig r;
    struct question q[ASKS];
    UNUSED(state);
    open_rig(&r);
    for (unsigned i = 0; i < ASKS; i++) {
        ask(&r, &q[i], i);
    }
    fake_run(&r.f, ASK_MS);
    assert_int_equal(r.ended, 0);
    shut_rig(&r);
    assert_int_equal(r.ended, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_more_are_out_than_may_be),
        cmocka_unit_test(a_broker_goes_while_its_questions_are_in_line),
        cmocka_unit_test(the_end_with_questions_in_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
