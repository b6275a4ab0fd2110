/* The hash map beside a plain table that cannot be wrong: a long random history with collisions. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/map.h"
#include "base/prng.h"

enum { KEYS = 600, STEPS = 60000 };

struct item {
    char key[24];
    size_t len;
    int present;
    int seen;
};

static struct bytes key_of(const struct item *it)
{
    return bytes_of(it->key, it->len);
}

static void make_items(struct item *items)
{
    for (int i = 0; i < KEYS; i++) {
        items[i] = (struct item){0};
        items[i].len = (size_t)snprintf(items[i].key, sizeof items[i].key, "topic-%d", i);
    }
    items[0].len = 0; /* the empty key is a key */
}

static void check_all(const struct map *m, struct item *items, size_t count)
{
    assert_int_equal(m->count, count);
    size_t visited = 0;
    for (int i = 0; i < KEYS; i++) {
        items[i].seen = 0;
        void *got = map_get(m, key_of(&items[i]));
        assert_ptr_equal(got, items[i].present ? &items[i] : NULL);
    }
    map_for_each (slot, m) {
        struct item *it = slot->value;
        assert_true(bytes_eq(slot->key, key_of(it)));
        assert_true(it->present && !it->seen);
        it->seen = 1;
        visited++;
    }
    assert_int_equal(visited, count);
}

static void it_agrees_with_a_plain_table(void **state)
{
    (void)state;
    static struct item items[KEYS];
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct map m = {0};
        struct prng r;
        size_t count = 0;
        prng_seed(&r, seed);
        make_items(items);
        assert_null(map_get(&m, key_of(&items[1])));
        assert_null(map_remove(&m, key_of(&items[1])));
        for (int step = 0; step < STEPS; step++) {
            /* Waves: first it fills up, then it empties. */
            int filling = (step / 5000) % 2 == 0;
            struct item *it = &items[prng_below(&r, KEYS)];
            if (prng_below(&r, 10) < (filling ? 7u : 3u)) {
                assert_ptr_equal(map_put(&m, key_of(it), it), it->present ? it : NULL);
                count += !it->present;
                it->present = 1;
            } else {
                assert_ptr_equal(map_remove(&m, key_of(it)), it->present ? it : NULL);
                count -= (size_t)it->present;
                it->present = 0;
            }
            if (step % 2500 == 0) {
                check_all(&m, items, count);
            }
        }
        check_all(&m, items, count);
        map_free(&m);
        assert_int_equal(m.count, 0);
        assert_null(map_get(&m, key_of(&items[1])));
    }
}

static void a_full_cluster_survives_removals(void **state)
{
    (void)state;
    /* Keys whose home slots are the last ones of the table: runs wrap around its end. */
    static struct item items[KEYS];
    static struct item *chosen[9];
    make_items(items);
    int n = 0;
    for (int i = 1; i < KEYS && n < 9; i++) {
        if ((bytes_hash(key_of(&items[i])) & 15) >= 13) {
            chosen[n++] = &items[i];
        }
    }
    assert_int_equal(n, 9);
    for (int gone = 0; gone < 9; gone++) {
        struct map m = {0};
        for (int i = 0; i < 9; i++) {
            assert_null(map_put(&m, key_of(chosen[i]), chosen[i]));
        }
        assert_int_equal(m.cap, 16);
        assert_ptr_equal(map_remove(&m, key_of(chosen[gone])), chosen[gone]);
        for (int i = 0; i < 9; i++) {
            assert_ptr_equal(map_get(&m, key_of(chosen[i])), i == gone ? NULL : chosen[i]);
        }
        map_free(&m);
    }
}

static void order_depends_on_keys_and_history_only(void **state)
{
    (void)state;
    static struct item items[2][KEYS];
    struct map m[2] = {{0}, {0}};
    for (int k = 0; k < 2; k++) {
        make_items(items[k]);
        for (int i = 1; i < KEYS; i++) {
            map_put(&m[k], key_of(&items[k][i]), &items[k][i]);
        }
        for (int i = 1; i < KEYS; i += 3) {
            map_remove(&m[k], key_of(&items[k][i]));
        }
    }
    assert_int_equal(m[0].cap, m[1].cap);
    for (size_t i = 0; i < m[0].cap; i++) {
        assert_true(bytes_eq(m[0].slots[i].key, m[1].slots[i].key));
    }
    map_free(&m[0]);
    map_free(&m[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_agrees_with_a_plain_table),
        cmocka_unit_test(a_full_cluster_survives_removals),
        cmocka_unit_test(order_depends_on_keys_and_history_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
