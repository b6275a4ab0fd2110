/* The ring between two shards: bounded, in order, nothing lost between two threads, and the
 * sleeping flag never lets a message lie while the receiver sleeps. Worth running under the thread
 * sanitizer. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/assert.h"
#include "runtime/mailbox.h"

static struct mailbox *mailbox_new(void)
{
    struct mailbox *m = aligned_alloc(64, sizeof *m);
    assert_non_null(m);
    atomic_init(&m->head, 0);
    atomic_init(&m->tail, 0);
    m->head_seen = m->tail_seen = 0;
    return m;
}

static void it_is_bounded_and_in_order(void **state)
{
    struct mailbox *m = mailbox_new();
    UNUSED(state);
    for (uintptr_t round = 0; round < 3; round++) {
        assert_true(mailbox_empty(m));
        assert_null(mailbox_take(m));
        for (uintptr_t i = 1; i <= MAILBOX_SLOTS; i++) {
            assert_true(mailbox_put(m, (void *)i));
        }
        assert_false(mailbox_put(m, (void *)1));
        assert_false(mailbox_empty(m));
        assert_int_equal((uintptr_t)mailbox_take(m), 1);
        assert_true(mailbox_put(m, (void *)(MAILBOX_SLOTS + 1)));
        assert_false(mailbox_put(m, (void *)1));
        for (uintptr_t i = 2; i <= MAILBOX_SLOTS + 1; i++) {
            assert_int_equal((uintptr_t)mailbox_take(m), i);
        }
    }
    free(m);
}

static void the_producer_sees_what_was_taken(void **state)
{
    struct mailbox *m = mailbox_new();
    UNUSED(state);
    assert_true(mailbox_taken(m, mailbox_tail(m)));
    for (uintptr_t i = 1; i <= 3 * MAILBOX_SLOTS; i++) {
        uint32_t before = mailbox_tail(m);
        assert_true(mailbox_put(m, (void *)i));
        assert_true(mailbox_put(m, (void *)i));
        assert_true(mailbox_taken(m, before));
        assert_non_null(mailbox_take(m));
        assert_true(mailbox_taken(m, before + 1));
        assert_false(mailbox_taken(m, mailbox_tail(m)));
        assert_non_null(mailbox_take(m));
        assert_true(mailbox_taken(m, mailbox_tail(m)));
    }
    free(m);
}

enum { STREAM = 200000 };

/* What is handed over: plain memory, written by one thread, read and freed by the other. */
struct parcel {
    uint64_t number;
};

/* The receiver sleeps on a condition variable, as a shard does in its io. */
struct stream {
    struct mailbox *box;
    struct sleep_flag flag;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool woken;
};

static void *send_all(void *arg)
{
    struct stream *s = arg;
    for (uint64_t i = 1; i <= STREAM; i++) {
        struct parcel *p = malloc(sizeof *p);
        p->number = i;
        while (!mailbox_put(s->box, p)) {
            sched_yield();
        }
        if (sleep_flag_take(&s->flag)) {
            pthread_mutex_lock(&s->lock);
            s->woken = true;
            pthread_cond_signal(&s->wake);
            pthread_mutex_unlock(&s->lock);
        }
    }
    return NULL;
}

static void sleep_until_woken(struct stream *s)
{
    sleep_flag_set(&s->flag, true);
    if (mailbox_empty(s->box)) {
        pthread_mutex_lock(&s->lock);
        while (!s->woken) { /* for ever, if the protocol ever loses a wake-up */
            pthread_cond_wait(&s->wake, &s->lock);
        }
        s->woken = false;
        pthread_mutex_unlock(&s->lock);
    }
    sleep_flag_set(&s->flag, false);
}

static void nothing_is_lost_between_threads(void **state)
{
    static struct stream s = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
    pthread_t sender;
    UNUSED(state);
    s.box = mailbox_new();
    assert_int_equal(pthread_create(&sender, NULL, send_all, &s), 0);
    for (uint64_t want = 1; want <= STREAM;) {
        struct parcel *p = mailbox_take(s.box);
        if (p == NULL) {
            sleep_until_woken(&s);
            continue;
        }
        assert_int_equal(p->number, want);
        free(p);
        want++;
    }
    pthread_join(sender, NULL);
    free(s.box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_bounded_and_in_order),
        cmocka_unit_test(the_producer_sees_what_was_taken),
        cmocka_unit_test(nothing_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
