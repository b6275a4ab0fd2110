/* What the console keeps of groups has a bound, and what is left out is counted and told. */
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/assert.h"
#include "base/mem.h"
#include "broker/console/console_private.h"
#include "broker/console/watch_keep.h"
#include "broker/monitor/monitor_private.h"

enum { MANY = 200000, PART_ROWS = KEEP_PART_BYTES / sizeof(struct watch_offset) };

static struct watch w;
static struct arena memory; /* of answers */

static int open_watch(void **state)
{
    UNUSED(state);
    w = (struct watch){.kept = 0};
    return 0;
}

static int close_watch(void **state)
{
    UNUSED(state);
    keep_drop_all(&w);
    assert_int_equal(w.kept, 0);
    arena_free(&memory);
    return 0;
}

static struct watch_group *group(const char *id)
{
    struct watch_group *g = keep_group(&w, bytes_str(id));
    assert_non_null(g);
    strcpy(g->protocol_type, "consumer");
    return g;
}

/* Offsets of two topics, n of each. */
static struct offset_fetch_response_offset_fetch_response_group offsets_of(int32_t n)
{
    struct offset_fetch_response_offset_fetch_response_group r = {.topics_n = 2};
    r.topics = proto_array(&memory, &offset_fetch_response_offset_fetch_response_topics_desc, 2);
    for (int i = 0; i < 2; i++) {
        r.topics[i].name = bytes_str(i ? "second" : "first");
        r.topics[i].partitions_n = n;
        r.topics[i].partitions = proto_array(
            &memory, &offset_fetch_response_offset_fetch_response_partitions_desc, (size_t)n);
        for (int32_t k = 0; k < n; k++) {
            r.topics[i].partitions[k].partition_index = k;
            r.topics[i].partitions[k].committed_offset = 1000 + k;
        }
    }
    return r;
}

/* So many members, with `partitions` of a topic each, and an id of `id_len` bytes. */
static struct describe_groups_response_described_group members_of(int32_t n, int32_t partitions,
                                                                  size_t id_len)
{
    struct describe_groups_response_described_group r = {.members_n = n};
    struct consumer_protocol_assignment as;
    struct consumer_protocol_assignment_topic_partition topic = {.topic = bytes_str("t")};
    struct buf text = {0};
    proto_msg_init(&consumer_protocol_assignment_msg, &as);
    as.assigned_partitions = &topic;
    as.assigned_partitions_n = 1;
    topic.partitions = ARENA_ARRAY(&memory, int32_t, partitions);
    topic.partitions_n = partitions;
    assert_int_equal(proto_encode_prefixed(&consumer_protocol_assignment_msg, 1, &as, &text, NULL),
                     0);
    struct bytes assignment = bytes_of(arena_strndup(&memory, text.data, text.len), text.len);
    struct bytes id = bytes_of(arena_alloc(&memory, id_len), id_len);
    buf_free(&text);
    r.members =
        proto_array(&memory, &describe_groups_response_described_group_member_desc, (size_t)n);
    for (int32_t i = 0; i < n; i++) {
        r.members[i].member_id = id;
        r.members[i].client_id = bytes_str("client");
        r.members[i].client_host = bytes_str("/127.0.0.1");
        r.members[i].member_assignment = assignment;
    }
    return r;
}

static void small_groups_are_whole(void **state)
{
    UNUSED(state);
    struct watch_group *g = group("g");
    struct offset_fetch_response_offset_fetch_response_group r = offsets_of(3);
    struct describe_groups_response_described_group m = members_of(4, 5, 10);
    keep_offsets(&w, g, &r);
    keep_members(&w, g, &m);
    assert_int_equal(g->offsets_n, 6);
    assert_int_equal(g->offsets[4].partition, 1);
    assert_int_equal(g->offsets[4].committed, 1001);
    assert_memory_equal(g->offsets[4].topic.data, "second", 6);
    assert_int_equal(g->members_n, 4);
    assert_int_equal(g->members[3].partitions, 5);
    assert_int_equal(g->members[3].id.len, 10);
    assert_int_equal(g->assigned_n, 20);
    assert_int_equal(g->assigned[19].member, 3);
    assert_int_equal(g->offsets_left_out + g->members_left_out + g->assigned_left_out, 0);
    assert_int_equal(w.kept, g->offsets_mem.used + g->members_mem.used + sizeof *g + 1);
}

static void a_group_of_too_many_offsets(void **state)
{
    UNUSED(state);
    struct watch_group *g = group("g");
    struct offset_fetch_response_offset_fetch_response_group r = offsets_of(MANY);
    for (int round = 0; round < 3; round++) {
        keep_offsets(&w, g, &r);
        assert_in_range(g->offsets_n, PART_ROWS - 10, PART_ROWS);
        assert_int_equal(g->offsets_n + g->offsets_left_out, 2 * MANY);
        assert_int_equal(g->offsets[g->offsets_n - 1].committed, 1000 + g->offsets_n - 1);
        assert_in_range(w.kept, KEEP_PART_BYTES / 2, KEEP_PART_BYTES + 10000);
    }
    r = offsets_of(2);
    keep_offsets(&w, g, &r);
    assert_int_equal(g->offsets_left_out, 0);
    assert_in_range(w.kept, 1, 10000);
}

static void a_group_of_too_many_members(void **state)
{
    UNUSED(state);
    struct watch_group *g = group("g");
    struct describe_groups_response_described_group r = members_of(1000, 2, 10000);
    keep_members(&w, g, &r);
    assert_in_range(g->members_n, 190, 210); /* in half of the room, ids of 10,000 bytes */
    assert_int_equal(g->members_n + g->members_left_out, 1000);
    assert_int_equal(g->assigned_n, 2 * g->members_n);
    assert_int_equal(g->assigned_n + g->assigned_left_out, 2000);
    r = members_of(10, MANY / 2, 10);
    keep_members(&w, g, &r);
    assert_int_equal(g->members_n, 10);
    assert_in_range(g->assigned_n, PART_ROWS / 2 - 10, PART_ROWS / 2);
    assert_int_equal(g->assigned_n + g->assigned_left_out, MANY / 2 * 10);
    assert_int_equal(g->members[9].partitions, MANY / 2); /* that many are told all the same */
    assert_in_range(w.kept, KEEP_PART_BYTES / 4, KEEP_PART_BYTES + 10000);
}

static void all_groups_together(void **state)
{
    UNUSED(state);
    struct offset_fetch_response_offset_fetch_response_group r = offsets_of(MANY);
    struct watch_group *all[20];
    char id[16];
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        snprintf(id, sizeof id, "g%zu", i);
        all[i] = group(id);
        keep_offsets(&w, all[i], &r);
        assert_true(w.kept <= KEEP_PARTS_BYTES + 100000);
        assert_int_equal(all[i]->offsets_n + all[i]->offsets_left_out, 2 * MANY);
    }
    assert_int_equal(all[19]->offsets_n, 0);
    keep_drop(&w, all[0]); /* its room is the next one's */
    keep_offsets(&w, all[19], &r);
    assert_in_range(all[19]->offsets_n, PART_ROWS / 2, PART_ROWS);
    assert_true(w.kept <= KEEP_PARTS_BYTES + 100000);
}

static void groups_themselves(void **state)
{
    UNUSED(state);
    char id[16];
    for (int i = 0; i < KEEP_GROUPS_MAX; i++) {
        snprintf(id, sizeof id, "g%d", i);
        group(id);
    }
    assert_null(keep_group(&w, bytes_str("one more")));
    assert_non_null(keep_group(&w, bytes_str("g7")));
    keep_drop_all(&w);
    static char long_id[INT16_MAX]; /* as the protocol allows */
    uint32_t n = 0;
    do {
        memcpy(long_id, &n, sizeof n);
    } while (keep_group(&w, bytes_of(long_id, sizeof long_id)) && ++n < KEEP_GROUPS_MAX);
    assert_in_range(n, KEEP_GROUPS_MAX / 2, KEEP_GROUPS_MAX - 1); /* their ids are too long */
    assert_true(w.kept <= KEEP_BYTES);
}

/* ---- that it is told */

static struct buf answered;

static const char *fake_query(const struct http_request *r, const char *name)
{
    UNUSED(r);
    return strcmp(name, "id") == 0 ? "g" : NULL;
}

static void fake_answer(struct http_request *r, struct http_answer *a)
{
    UNUSED(r);
    assert_int_equal(a->status, 200);
    answered = a->body;
}

static void what_is_left_out_is_told(void **state)
{
    UNUSED(state);
    const struct http_ops ops = {.query = fake_query, .answer = fake_answer};
    static struct config config;
    static struct node node;
    static struct console c;
    struct monitor m = {.node = &node};
    struct http_request request = {.ops = &ops};
    struct offset_fetch_response_offset_fetch_response_group r = offsets_of(MANY);
    struct describe_groups_response_described_group members = members_of(1000, 2, 10000);
    struct watch_group *g = group("g");
    char want[128];
    node.config = &config;
    c.monitor = &m;
    keep_offsets(&w, g, &r);
    keep_members(&w, g, &members);
    g->described = true;
    c.watch.groups = w.groups;
    api_group(&c, &request);
    const char *text = buf_cstr(&answered);
    snprintf(want, sizeof want,
             "\"members\":1000,\"partitions\":%d,\"offsetsLeftOut\":%" PRIu32 ",", 2 * MANY,
             2 * MANY - g->offsets_n);
    assert_non_null(strstr(text, want));
    snprintf(want, sizeof want, "\"assignedLeftOut\":%" PRIu32 ",", 2000 - g->assigned_n);
    assert_non_null(strstr(text, want));
    buf_free(&answered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(small_groups_are_whole, open_watch, close_watch),
        cmocka_unit_test_setup_teardown(a_group_of_too_many_offsets, open_watch, close_watch),
        cmocka_unit_test_setup_teardown(a_group_of_too_many_members, open_watch, close_watch),
        cmocka_unit_test_setup_teardown(all_groups_together, open_watch, close_watch),
        cmocka_unit_test_setup_teardown(groups_themselves, open_watch, close_watch),
        cmocka_unit_test_setup_teardown(what_is_left_out_is_told, open_watch, close_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
