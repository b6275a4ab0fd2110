/* Where new replicas go: the result is random, so its invariants are tested, over many clusters
 * made from seeds. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "controller/placement.h"
#include "proto_messages.h"

enum { BROKERS_MAX = 40, PARTITIONS = 200 };

struct cluster {
    struct image *img;
    uint32_t brokers;
    uint32_t active;
    uint32_t racks;            /* that hold a broker; brokers without one are one rack */
    int32_t rack[BROKERS_MAX]; /* by id */
    bool fenced[BROKERS_MAX];  /* by id */
};

static void add_broker(struct image_delta *d, int32_t id, const char *rack, bool fenced)
{
    struct register_broker_record r;
    struct errmsg em;
    proto_msg_init(&register_broker_record_msg, &r);
    r.broker_id = id;
    r.rack = bytes_str(rack);
    r.fenced = fenced;
    assert_int_equal(0, image_delta_apply(d, &register_broker_record_msg, 4, &r, &em));
}

static struct cluster make_cluster(struct prng *rng)
{
    struct cluster c = {.brokers = 1 + (uint32_t)prng_below(rng, BROKERS_MAX - 1)};
    struct image *empty = image_empty();
    struct image_delta *d = image_delta_new(empty);
    uint32_t racks = (uint32_t)prng_below(rng, 6); /* 0: without racks */
    bool seen[8] = {false};
    for (uint32_t i = 0; i < c.brokers; i++) {
        char name[16];
        uint32_t rack = racks ? (uint32_t)prng_below(rng, racks) : 7;
        c.rack[i] = (int32_t)rack;
        c.fenced[i] = prng_below(rng, 4) == 0;
        snprintf(name, sizeof name, "rack%u", rack);
        add_broker(d, (int32_t)i, racks ? name : NULL, c.fenced[i]);
        c.active += !c.fenced[i];
        c.racks += !seen[rack];
        seen[rack] = true;
    }
    c.img = image_delta_finish(d, 0, 0, 0);
    image_delta_put(d);
    image_put(empty);
    return c;
}

static void check_partition(const struct cluster *c, const int32_t *ids, int32_t n)
{
    bool racks[8] = {false};
    uint32_t distinct = 0;
    assert_false(c->fenced[ids[0]]);
    for (int32_t i = 0; i < n; i++) {
        assert_in_range(ids[i], 0, c->brokers - 1);
        for (int32_t k = 0; k < i; k++) {
            assert_int_not_equal(ids[i], ids[k]);
        }
        distinct += !racks[c->rack[ids[i]]];
        racks[c->rack[ids[i]]] = true;
    }
    assert_int_equal((uint32_t)n < c->racks ? (uint32_t)n : c->racks, distinct);
}

static void check_cluster(uint64_t seed)
{
    struct prng rng;
    struct arena a = {0};
    struct errmsg em = {{0}};
    prng_seed(&rng, seed);
    struct cluster c = make_cluster(&rng);
    struct placement *p = placement_new(&a, c.img, &rng, NULL, NULL);
    int32_t replicas = 1 + (int32_t)prng_below(&rng, c.brokers + 2);
    int32_t ids[BROKERS_MAX];
    uint32_t leads[BROKERS_MAX] = {0};
    if (c.active == 0 || replicas > (int32_t)c.brokers) {
        assert_int_equal(ERR_RANGE, placement_check(p, replicas, &em));
        assert_true(em.text[0] != '\0');
    } else {
        assert_int_equal(0, placement_check(p, replicas, &em));
        for (int i = 0; i < PARTITIONS; i++) {
            placement_next(p, replicas, ids);
            check_partition(&c, ids, replicas);
            leads[ids[0]]++;
        }
        for (uint32_t i = 0; i < c.brokers; i++) {
            assert_true(!c.fenced[i] || leads[i] == 0);
        }
        if (c.racks == 1) { /* leaderships are as even as the rounds allow */
            uint32_t least = PARTITIONS, most = 0;
            for (uint32_t i = 0; i < c.brokers; i++) {
                if (!c.fenced[i]) {
                    least = leads[i] < least ? leads[i] : least;
                    most = leads[i] > most ? leads[i] : most;
                }
            }
            assert_true(most - least <= 1);
        }
    }
    arena_free(&a);
    image_put(c.img);
}

static void invariants_hold_in_any_cluster(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        check_cluster(seed);
    }
}

static void a_broker_that_leaves_gets_nothing_new(void **state)
{
    (void)state;
    struct image *empty = image_empty();
    struct image_delta *d = image_delta_new(empty);
    struct broker_registration_change_record r;
    struct arena a = {0};
    struct prng rng;
    struct errmsg em = {{0}};
    int32_t ids[2];
    add_broker(d, 1, NULL, false);
    add_broker(d, 2, NULL, false);
    proto_msg_init(&broker_registration_change_record_msg, &r);
    r.broker_id = 2;
    r.in_controlled_shutdown = 1;
    assert_int_equal(0, image_delta_apply(d, &broker_registration_change_record_msg, 1, &r, &em));
    struct image *img = image_delta_finish(d, 0, 0, 0);
    prng_seed(&rng, 1);
    struct placement *p = placement_new(&a, img, &rng, NULL, NULL);
    assert_int_equal(ERR_RANGE, placement_check(p, 2, &em));
    for (int i = 0; i < 10; i++) {
        placement_next(p, 1, ids);
        assert_int_equal(1, ids[0]);
    }
    arena_free(&a);
    image_put(img);
    image_delta_put(d);
    image_put(empty);
}

/* A broker whose directories are all cordoned gets nothing; one that has another does. */
static void cordoned_directories_take_nothing(void **state)
{
    UNUSED(state);
    struct image *empty = image_empty();
    struct image_delta *d = image_delta_new(empty);
    struct arena a = {0};
    struct prng rng;
    struct errmsg em = {{0}};
    struct uuid dirs[4][2] = {{{{0}}}};
    prng_seed(&rng, 3);
    for (int32_t id = 1; id <= 3; id++) {
        struct register_broker_record r;
        proto_msg_init(&register_broker_record_msg, &r);
        r.broker_id = id;
        r.fenced = false;
        for (int k = 0; k < 2; k++) {
            dirs[id][k].b[0] = 9;
            dirs[id][k].b[15] = (uint8_t)(200 + 10 * id + k);
        }
        r.log_dirs = dirs[id];
        r.log_dirs_n = 2;
        r.cordoned_log_dirs = dirs[id];
        r.cordoned_log_dirs_n = id == 3 ? 0 : id; /* 1: one of two, 2: both */
        assert_int_equal(0, image_delta_apply(d, &register_broker_record_msg, 4, &r, &em));
    }
    struct image *img = image_delta_finish(d, 0, 0, 0);
    struct placement *p = placement_new(&a, img, &rng, NULL, NULL);
    int32_t ids[3];
    assert_int_equal(0, placement_check(p, 2, &em));
    assert_int_equal(ERR_RANGE, placement_check(p, 3, &em));
    for (int i = 0; i < 20; i++) {
        placement_next(p, 2, ids);
        assert_true(ids[0] != 2 && ids[1] != 2);
    }
    arena_free(&a);
    image_put(img);
    image_delta_put(d);
    image_put(empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cordoned_directories_take_nothing),
        cmocka_unit_test(invariants_hold_in_any_cluster),
        cmocka_unit_test(a_broker_that_leaves_gets_nothing_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
