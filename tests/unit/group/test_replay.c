/* Records in: a directory that Kafka 4.3.1 left (tests/data/logs, groups), transactions in every
 * order, groups of other kinds, records that cannot be read. */
#include <unistd.h>

#include "offsets_rig.h"
#include "proto/compress.h"
#include "proto/record_batch.h"

enum { PARTITIONS = 5, EXPECT_MAX = 128, COLUMNS = 6 };

/* ---- Kafka's directory ---- */

static void slurp(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        fail_msg("%s cannot be opened", path);
        return;
    }
    size_t n;
    do {
        buf_reserve(out, 1 << 16);
        n = fread(out->data + out->len, 1, 1 << 16, f);
        out->len += n;
    } while (n > 0);
    fclose(f);
}

static void unpack(char *dir)
{
    struct buf packed = {0}, tar = {0};
    char command[128];
    assert_non_null(mkdtemp(dir));
    slurp(TEST_DATA "/logs/groups.tar.zst", &packed);
    assert_int_equal(decompress_put(CODEC_ZSTD, buf_bytes(&packed), 1 << 28, &tar), 0);
    snprintf(command, sizeof command, "tar -xf - --no-same-owner -C %s", dir);
    FILE *f = popen(command, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(tar.data, 1, tar.len, f), tar.len);
    assert_int_equal(pclose(f), 0);
    buf_free(&packed);
    buf_free(&tar);
}

static void load_batch(struct group_coordinator *c, struct bytes batch)
{
    struct record_reader rd;
    struct record rec;
    assert_int_equal(record_reader_open(&rd, batch, 0), 0);
    while (record_reader_next(&rd, &rec) == 1) {
        if (batch_is_control(&rd.h)) {
            enum control_type type;
            assert_int_equal(control_key_read(rec.key, &type), 0);
            group_coordinator_replay_marker(c, rd.h.producer_id, type == CONTROL_COMMIT);
        } else {
            struct group_replay r = {.producer_id = rd.h.producer_id,
                                     .transactional = batch_is_transactional(&rd.h),
                                     .timestamp = rec.timestamp,
                                     .offset = rec.offset};
            assert_int_equal(group_coordinator_replay(c, &r, rec.key, rec.value), 0);
        }
    }
    record_reader_close(&rd);
}

static void load_partition(struct group_coordinator *c, const char *dir, int partition)
{
    char path[256];
    struct buf log = {0};
    snprintf(path, sizeof path, "%s/groups/__consumer_offsets-%d/00000000000000000000.log", dir,
             partition);
    slurp(path, &log);
    struct bytes rest = buf_bytes(&log), batch;
    int n = 0;
    while (batch_next(&rest, &batch) == 1) {
        load_batch(c, batch);
        n++;
    }
    assert_true(n > 5);
    assert_int_equal(rest.len, 0);
    buf_free(&log);
}

struct expect {
    struct buf text;
    char *row[EXPECT_MAX][COLUMNS + 1]; /* kind and columns */
    int n;
};

static void expect_load(struct expect *x)
{
    slurp(TEST_DATA "/logs/groups.tsv", &x->text);
    char *rest = (char *)(uintptr_t)buf_cstr(&x->text), *line;
    while ((line = strsep(&rest, "\n")) != NULL) {
        if (*line) {
            assert_true(x->n < EXPECT_MAX);
            for (int k = 0; k <= COLUMNS; k++) {
                x->row[x->n][k] = strsep(&line, "\t");
            }
            x->n++;
        }
    }
    assert_true(x->n > 50);
}

/* Everything that a coordinator knows must be expected; the rows that were met are counted. */
static int check_offsets(const struct expect *x, const struct group_coordinator *c,
                         struct bytes group, struct arena *a)
{
    struct offset_fetch_request_offset_fetch_request_group q;
    struct offset_fetch_response_offset_fetch_response_group out;
    int met = 0;
    proto_init(&offset_fetch_request_offset_fetch_request_group_desc, &q);
    proto_init(&offset_fetch_response_offset_fetch_response_group_desc, &out);
    q.group_id = group;
    q.topics_n = -1;
    group_fetch_offsets(c, &q, true, a, &out);
    for (int32_t i = 0; i < out.topics_n; i++) {
        for (int32_t k = 0; k < out.topics[i].partitions_n; k++) {
            const struct offset_fetch_response_offset_fetch_response_partitions *p =
                &out.topics[i].partitions[k];
            int row = 0;
            while (row < x->n && !(strcmp(x->row[row][0], "committed") == 0 &&
                                   bytes_eq_str(group, x->row[row][1]) &&
                                   bytes_eq_str(out.topics[i].name, x->row[row][2]) &&
                                   atoi(x->row[row][3]) == p->partition_index)) {
                row++;
            }
            if (row == x->n) {
                fail_msg("%.*s has an offset for %.*s %d", BYTES_FMT(group),
                         BYTES_FMT(out.topics[i].name), p->partition_index);
            }
            assert_int_equal(p->error_code, 0);
            assert_int_equal(p->committed_offset, atoll(x->row[row][4]));
            assert_int_equal(p->committed_leader_epoch, atoi(x->row[row][5]));
            assert_true(bytes_eq_str(p->metadata, x->row[row][6]));
            met++;
        }
    }
    return met;
}

static void check_group(const struct expect *x, const struct list_groups_response_listed_group *g)
{
    for (int row = 0; row < x->n; row++) {
        if (strcmp(x->row[row][0], "group") == 0 && bytes_eq_str(g->group_id, x->row[row][1])) {
            if (!bytes_eq_str(g->group_state, x->row[row][3])) {
                fail_msg("%s is %.*s", x->row[row][1], BYTES_FMT(g->group_state));
            }
            assert_int_equal(g->group_type.len, strlen(x->row[row][2]));
            assert_memory_equal(g->group_type.data + 1, x->row[row][2] + 1, g->group_type.len - 1);
            assert_true(bytes_eq_str(g->protocol_type, x->row[row][4]));
            return;
        }
    }
    fail_msg("group %.*s is not expected", BYTES_FMT(g->group_id));
}

static void test_directory_of_kafka(void **state)
{
    char dir[] = "/tmp/millrace-groups-XXXXXX", command[64];
    static struct expect x;
    int groups = 0, offsets = 0, members = 0;
    (void)state;
    unpack(dir);
    expect_load(&x);
    for (int i = 0; i < PARTITIONS; i++) {
        struct rig r;
        struct arena a = {0};
        struct group_filter all = group_filter_of(NULL, 0, NULL, 0);
        struct list_groups_response_listed_group listed[EXPECT_MAX] = {0};
        rig_init(&r);
        load_partition(r.c, dir, i);
        rig_loaded(&r);
        assert_int_equal(r.c->skipped, 0);
        uint32_t n = group_list(r.c, &all, &a, listed, EXPECT_MAX);
        for (uint32_t k = 0; k < n; k++) {
            check_group(&x, &listed[k]);
            offsets += check_offsets(&x, r.c, listed[k].group_id, &a);
        }
        groups += (int)n;
        members += (int)group_coordinator_counts(r.c).members;
        assert_int_equal(r.c->txns.count, 0);
        arena_free(&a);
        rig_free(&r);
    }
    int want[2] = {0};
    for (int row = 0; row < x.n; row++) {
        want[strcmp(x.row[row][0], "group") == 0]++;
    }
    assert_int_equal(groups, want[1]);
    assert_int_equal(offsets, want[0]);
    assert_int_equal(members, 5);
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
    buf_free(&x.text);
}

/* ---- transactions ---- */

static void put(struct rig *r, int64_t producer_id, const char *group, int32_t partition,
                int64_t offset)
{
    struct group_effects fx;
    struct offset_commit_value v = {
        .offset = offset,
        .leader_epoch = -1,
        .metadata = bytes_str(offset % 2 ? "odd" : ""),
        .commit_timestamp = r->wall_ms,
        .expire_timestamp = -1,
        .topic_id = rig_topic_id("t"),
    };
    group_effects_init(&fx);
    struct group_record rec =
        offset < 0 ? group_record_offset_gone(&fx, bytes_str(group), bytes_str("t"), partition)
                   : group_record_offset(&fx, bytes_str(group), bytes_str("t"), partition, &v, 4);
    struct group_replay rp = {.producer_id = producer_id,
                              .transactional = producer_id >= 0,
                              .timestamp = r->wall_ms,
                              .offset = r->log_n};
    rig_log_put(r, (struct rig_record){rig_copy(rec.key), rig_copy(rec.value), r->wall_ms,
                                       producer_id, false, false});
    assert_int_equal(group_coordinator_replay(r->c, &rp, rec.key, rec.value), 0);
    group_effects_free(&fx);
}

static void end(struct rig *r, int64_t producer_id, bool commit)
{
    rig_log_put(r,
                (struct rig_record){BYTES_NULL, BYTES_NULL, r->wall_ms, producer_id, true, commit});
    group_coordinator_replay_marker(r->c, producer_id, commit);
}

static int16_t stable_code(struct rig *r, const char *group, int32_t partition)
{
    struct arena a = {0};
    int16_t code = rig_fetch(r, group, "t", UUID_ZERO, partition, true, &a).error_code;
    arena_free(&a);
    return code;
}

static void test_transaction_waits_for_its_marker(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    put(&r, 7, "g", 0, 11);
    put(&r, 7, "g", 0, 13);
    put(&r, 8, "g", 1, 21);
    put(&r, 7, "h", 0, 31);
    assert_int_equal(rig_offset(&r, "g", "t", 0), -1);
    assert_int_equal(stable_code(&r, "g", 0), KE_UNSTABLE_OFFSET_COMMIT);
    assert_int_equal(stable_code(&r, "g", 2), 0);
    assert_int_equal(r.c->offsets, 0);
    assert_int_equal(r.c->txns.count, 2);
    end(&r, 9, true); /* nobody's */
    end(&r, 7, true);
    assert_int_equal(rig_offset(&r, "g", "t", 0), 13);
    assert_int_equal(rig_offset(&r, "h", "t", 0), 31);
    assert_int_equal(stable_code(&r, "g", 0), 0);
    assert_int_equal(stable_code(&r, "g", 1), KE_UNSTABLE_OFFSET_COMMIT);
    end(&r, 8, false);
    assert_int_equal(rig_offset(&r, "g", "t", 1), -1);
    assert_int_equal(r.c->txns.count, 0);
    rig_loaded(&r);
    rig_check_reload(&r);
    rig_free(&r);
}

/* The later record stands, whenever the marker came. */
static void test_transaction_and_plain_commit(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    put(&r, 7, "g", 0, 1);
    put(&r, -1, "g", 0, 2);
    end(&r, 7, true);
    assert_int_equal(rig_offset(&r, "g", "t", 0), 2);
    put(&r, -1, "g", 1, 3);
    put(&r, 7, "g", 1, 4);
    assert_int_equal(rig_offset(&r, "g", "t", 1), 3);
    end(&r, 7, true);
    assert_int_equal(rig_offset(&r, "g", "t", 1), 4);
    /* two transactions for a partition: the later record, not the later marker */
    put(&r, 7, "g", 2, 5);
    put(&r, 8, "g", 2, 6);
    put(&r, 9, "g", 2, 7);
    end(&r, 9, false);
    assert_int_equal(stable_code(&r, "g", 2), KE_UNSTABLE_OFFSET_COMMIT);
    end(&r, 8, true);
    end(&r, 7, true);
    assert_int_equal(rig_offset(&r, "g", "t", 2), 6);
    /* a commit that comes while the coordinator lives is later than what was loaded */
    put(&r, 7, "g", 3, 8);
    rig_loaded(&r);
    assert_int_equal(rig_commit(&r, "g", "t", 3, 9), 0);
    end(&r, 7, true);
    assert_int_equal(rig_offset(&r, "g", "t", 3), 9);
    rig_check_reload(&r);
    rig_free(&r);
}

static void test_tombstone_ends_what_a_transaction_holds(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    put(&r, 7, "g", 0, 1);
    put(&r, 8, "g", 0, 2);
    put(&r, 7, "g", 1, 3);
    put(&r, -1, "g", 0, -1);
    assert_int_equal(r.c->txns.count, 1);
    assert_int_equal(stable_code(&r, "g", 0), 0);
    rig_loaded(&r);
    struct rig_ask *del = rig_delete_ask("g", "t", 1);
    rig_step(&r, GROUP_OFFSET_DELETE, del);
    rig_settle(&r);
    assert_int_equal(del->out.del.topics[0].partitions[0].error_code, 0);
    rig_ask_free(del);
    end(&r, 7, true);
    end(&r, 8, true);
    assert_int_equal(r.c->offsets, 0);
    assert_int_equal(r.c->groups.count, 1);
    rig_check_reload(&r);
    rig_free(&r);
}

static void test_group_delete_ends_what_a_transaction_holds(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    for (int i = 0; i < 1000; i++) {
        put(&r, i % 3, "g", i, i);
        put(&r, i % 7, "g", i / 2, i);
    }
    uint64_t before = r.c->bytes;
    rig_loaded(&r);
    struct rig_ask *del = rig_group_delete_ask("g");
    rig_step(&r, GROUP_DELETE, del);
    rig_settle(&r);
    assert_int_equal(del->out.groups.results[0].error_code, 0);
    assert_int_equal(r.c->groups.count, 0);
    assert_int_equal(r.c->txns.count, 0);
    assert_true(r.c->bytes < before);
    rig_ask_free(del);
    rig_check_reload(&r);
    rig_free(&r);
}

/* ---- what cannot be read, what is not known ---- */

static int replay_raw(struct rig *r, const void *key, size_t key_n, const void *value,
                      size_t value_n)
{
    struct group_replay rp = {.producer_id = -1, .offset = r->log_n};
    return group_coordinator_replay(r->c, &rp, bytes_of(key, key_n), bytes_of(value, value_n));
}
#define RAW(r, key, value) replay_raw((r), (key), sizeof(key) - 1, (value), sizeof(value) - 1)

static void test_unreadable(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    /* types of a later Kafka */
    assert_int_equal(RAW(&r, "\0\x09", "x"), 0);
    assert_int_equal(RAW(&r, "\0\x12\0\1g", "x"), 0);
    assert_int_equal(RAW(&r, "\x7f\xff", ""), 0);
    assert_int_equal(RAW(&r, "\xff\xff", ""), 0);
    assert_int_equal(r.c->skipped, 0);
    assert_int_equal(RAW(&r, "", ""), ERR_CORRUPT);
    assert_int_equal(RAW(&r, "\0", ""), ERR_CORRUPT);
    assert_int_equal(RAW(&r, "\0\1\0\1g\xff\xff\0\0\0\0", ""), ERR_CORRUPT);
    assert_int_equal(RAW(&r, "\0\1\0\1g\0\1t\0\0\0", ""), ERR_CORRUPT);
    assert_int_equal(RAW(&r, "\0\1\0\1g\0\1t\0\0\0\0", "\0\5"), ERR_CORRUPT);
    assert_int_equal(RAW(&r, "\0\1\0\1g\0\1t\0\0\0\0", "\xff\xff"), ERR_CORRUPT);
    assert_int_equal(RAW(&r, "\0\2\0\1g", "\0\3"), ERR_CORRUPT);
    assert_int_equal(RAW(&r, "\0\2\0\2g", "\0\3"), ERR_CORRUPT);
    assert_int_equal(RAW(&r, "\0\3\0\1g", "\0\0"), ERR_CORRUPT);
    assert_int_equal(RAW(&r, "\0\5\0\1g", "\0\0"), ERR_CORRUPT);
    assert_int_equal(RAW(&r, "\0\5\0\1g\0\5abc", "\0\0"), ERR_CORRUPT);
    assert_int_equal(r.c->skipped, 11);
    assert_int_equal(r.c->groups.count, 0);
    /* the form of Kafka 0.8 */
    assert_int_equal(
        RAW(&r, "\0\0\0\1g\0\1t\0\0\0\4", "\0\0\0\0\0\0\0\0\0\x2a\0\2mm\0\0\0\0\0\0\0\7"), 0);
    assert_int_equal(rig_offset(&r, "g", "t", 4), 42);
    rig_free(&r);
}

/* ---- groups of other kinds ---- */

static void put_value(struct rig *r, const struct proto_message *key_msg, const void *key,
                      const struct proto_message *value_msg, const void *value)
{
    struct buf k = {0}, v = {0};
    struct errmsg em;
    struct group_replay rp = {.producer_id = -1, .offset = r->log_n};
    assert_int_equal(proto_encode_prefixed(key_msg, 0, key, &k, &em), 0);
    if (value) {
        assert_int_equal(proto_encode_prefixed(value_msg, 0, value, &v, &em), 0);
    }
    struct bytes vb = value ? buf_bytes(&v) : BYTES_NULL;
    assert_int_equal(group_coordinator_replay(r->c, &rp, buf_bytes(&k), vb), 0);
    rig_log_put(r, (struct rig_record){rig_copy(buf_bytes(&k)), rig_copy(vb), r->wall_ms, -1, false,
                                       false});
    buf_free(&k);
    buf_free(&v);
}

static void put_consumer_group(struct rig *r, const char *group, int32_t epoch, int32_t target)
{
    struct consumer_group_metadata_key k = {.group_id = bytes_str(group)};
    struct consumer_group_metadata_value v = {.epoch = epoch};
    struct consumer_group_target_assignment_metadata_key tk = {.group_id = bytes_str(group)};
    struct consumer_group_target_assignment_metadata_value tv = {.assignment_epoch = target};
    put_value(r, &consumer_group_metadata_key_msg, &k, &consumer_group_metadata_value_msg, &v);
    put_value(r, &consumer_group_target_assignment_metadata_key_msg, &tk,
              &consumer_group_target_assignment_metadata_value_msg, &tv);
}

static void put_consumer(struct rig *r, const char *group, const char *member, int32_t epoch,
                         const char *topic)
{
    struct bytes topics[1] = {bytes_str(topic)};
    struct consumer_group_member_metadata_key mk = {.group_id = bytes_str(group),
                                                    .member_id = bytes_str(member)};
    struct consumer_group_member_metadata_value mv;
    struct consumer_group_current_member_assignment_key ck = {.group_id = bytes_str(group),
                                                              .member_id = bytes_str(member)};
    struct consumer_group_current_member_assignment_value cv;
    proto_msg_init(&consumer_group_member_metadata_value_msg, &mv);
    proto_msg_init(&consumer_group_current_member_assignment_value_msg, &cv);
    mv.client_id = bytes_str("c");
    mv.client_host = bytes_str("/h");
    mv.classic_member_metadata = NULL;
    mv.subscribed_topic_names = topics;
    mv.subscribed_topic_names_n = 1;
    cv.member_epoch = epoch;
    put_value(r, &consumer_group_member_metadata_key_msg, &mk,
              &consumer_group_member_metadata_value_msg, epoch < 0 ? NULL : &mv);
    put_value(r, &consumer_group_current_member_assignment_key_msg, &ck,
              &consumer_group_current_member_assignment_value_msg, epoch < 0 ? NULL : &cv);
}

static int16_t commit_as(struct rig *r, const char *group, const char *member, int32_t epoch,
                         int16_t version)
{
    struct rig_offset o = {"t", 0, 5, ""};
    struct rig_ask *a = rig_commit_ask(group, version, &o, 1);
    a->q.commit.member_id = bytes_str(member);
    a->q.commit.generation_id_or_member_epoch = epoch;
    rig_step(r, GROUP_OFFSET_COMMIT, a);
    rig_settle(r);
    int16_t code = rig_commit_code(a, 0);
    rig_ask_free(a);
    return code;
}

static int16_t fetch_as(struct rig *r, const char *group, const char *member, int32_t epoch)
{
    struct arena a = {0};
    struct offset_fetch_request_offset_fetch_request_group q;
    struct offset_fetch_response_offset_fetch_response_group out;
    proto_init(&offset_fetch_request_offset_fetch_request_group_desc, &q);
    proto_init(&offset_fetch_response_offset_fetch_response_group_desc, &out);
    q.group_id = bytes_str(group);
    q.member_id = bytes_str(member);
    q.member_epoch = epoch;
    q.topics_n = -1;
    group_fetch_offsets(r->c, &q, false, &a, &out);
    arena_free(&a);
    return out.error_code;
}

static void test_consumer_group(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    put(&r, -1, "g", 0, 3); /* before its group, as after a compaction */
    put_consumer_group(&r, "g", 5, 5);
    put_consumer(&r, "g", "m", 5, "t");
    const struct group *g = group_find(r.c, bytes_str("g"));
    assert_int_equal(g->kind, GROUP_KIND_CONSUMER);
    assert_int_equal(foreign_members(g), 1);
    assert_int_equal(r.c->members, 1);
    assert_string_equal(foreign_state_name(g), "Stable");
    put_consumer_group(&r, "g", 6, 5);
    assert_string_equal(foreign_state_name(g), "Assigning");
    put_consumer_group(&r, "g", 6, 6);
    assert_string_equal(foreign_state_name(g), "Reconciling");
    put_consumer(&r, "g", "m", 6, "t");
    assert_string_equal(foreign_state_name(g), "Stable");
    assert_true(foreign_subscribes(g, bytes_str("t")));
    assert_false(foreign_subscribes(g, bytes_str("u")));
    rig_loaded(&r);
    assert_int_equal(commit_as(&r, "g", "", -1, 9), KE_UNKNOWN_MEMBER_ID);
    assert_int_equal(commit_as(&r, "g", "x", 6, 9), KE_UNKNOWN_MEMBER_ID);
    assert_int_equal(commit_as(&r, "g", "m", 6, 8), KE_UNSUPPORTED_VERSION);
    assert_int_equal(commit_as(&r, "g", "m", 5, 9), KE_STALE_MEMBER_EPOCH);
    assert_int_equal(commit_as(&r, "g", "m", 7, 9), KE_STALE_MEMBER_EPOCH);
    assert_int_equal(commit_as(&r, "g", "m", 6, 9), 0);
    assert_int_equal(fetch_as(&r, "g", NULL, -1), 0);
    assert_int_equal(fetch_as(&r, "g", "m", 6), 0);
    assert_int_equal(fetch_as(&r, "g", "m", 5), KE_STALE_MEMBER_EPOCH);
    assert_int_equal(fetch_as(&r, "g", "x", 6), KE_UNKNOWN_MEMBER_ID);
    struct rig_ask *del = rig_group_delete_ask("g");
    rig_step(&r, GROUP_DELETE, del);
    assert_int_equal(del->out.groups.results[0].error_code, KE_NON_EMPTY_GROUP);
    rig_ask_free(del);
    rig_check_reload(&r);
    rig_free(&r);
}

static void test_consumer_group_is_deleted(void **state)
{
    static const int16_t types[] = {1, 6, 4, 3};
    struct rig r;
    (void)state;
    rig_init(&r);
    put_consumer_group(&r, "g", 5, 5);
    put_consumer(&r, "g", "m", 5, "t");
    put_consumer(&r, "g", "m", -1, "t");
    assert_string_equal(foreign_state_name(group_find(r.c, bytes_str("g"))), "Empty");
    assert_int_equal(r.c->members, 0);
    rig_loaded(&r);
    assert_int_equal(commit_as(&r, "g", "", -1, 9), 0);
    uint32_t records = r.log_n;
    struct rig_ask *del = rig_group_delete_ask("g");
    rig_step(&r, GROUP_DELETE, del);
    rig_settle(&r);
    assert_int_equal(del->out.groups.results[0].error_code, 0);
    assert_int_equal(r.log_n, records + ARRAY_LEN(types));
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        assert_int_equal(load_be16(r.log[records + i].key.data), types[i]);
        assert_null(r.log[records + i].value.data);
    }
    assert_int_equal(r.c->groups.count, 0);
    rig_ask_free(del);
    rig_check_reload(&r);
    rig_free(&r);
}

static void test_share_and_streams_groups(void **state)
{
    struct rig r;
    int16_t code;
    (void)state;
    rig_init(&r);
    struct share_group_metadata_key sk = {.group_id = bytes_str("s")};
    struct share_group_metadata_value sv = {.epoch = 1};
    struct streams_group_metadata_key xk = {.group_id = bytes_str("x")};
    struct streams_group_metadata_value xv = {.epoch = 1, .validated_topology_epoch = -1};
    struct streams_group_member_metadata_key mk = {.group_id = bytes_str("x"),
                                                   .member_id = bytes_str("m")};
    struct streams_group_member_metadata_value mv;
    proto_msg_init(&streams_group_member_metadata_value_msg, &mv);
    mv.client_id = mv.client_host = mv.process_id = bytes_str("c");
    put_value(&r, &share_group_metadata_key_msg, &sk, &share_group_metadata_value_msg, &sv);
    put_value(&r, &streams_group_metadata_key_msg, &xk, &streams_group_metadata_value_msg, &xv);
    const struct group *x = group_find(r.c, bytes_str("x"));
    assert_string_equal(foreign_state_name(x), "Empty");
    put_value(&r, &streams_group_member_metadata_key_msg, &mk,
              &streams_group_member_metadata_value_msg, &mv);
    assert_string_equal(foreign_state_name(x), "NotReady");
    rig_loaded(&r);
    assert_int_equal(commit_as(&r, "s", "", -1, 9), KE_GROUP_ID_NOT_FOUND);
    assert_int_equal(commit_as(&r, "x", "", -1, 9), KE_UNKNOWN_MEMBER_ID);
    assert_int_equal(fetch_as(&r, "s", NULL, -1), 0);
    struct rig_ask *del = rig_delete_ask("s", "t", 0);
    rig_step(&r, GROUP_OFFSET_DELETE, del);
    code = del->out.del.error_code;
    assert_int_equal(code, KE_GROUP_ID_NOT_FOUND);
    rig_ask_free(del);
    struct rig_ask *gone = rig_group_delete_ask("s");
    rig_step(&r, GROUP_DELETE, gone);
    rig_settle(&r);
    assert_int_equal(gone->out.groups.results[0].error_code, 0);
    assert_null(group_find(r.c, bytes_str("s")));
    rig_ask_free(gone);
    rig_check_reload(&r);
    rig_free(&r);
}

/* A classic generation takes a name over; a record of another kind does not take it back. */
static void test_kinds_under_one_name(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    put_consumer_group(&r, "g", 5, 5);
    put(&r, -1, "g", 0, 4);
    struct group_metadata_key k = {.group = bytes_str("g")};
    struct group_metadata_value v = {.protocol_type = bytes_str("consumer"), .generation = 2};
    put_value(&r, &group_metadata_key_msg, &k, &group_metadata_value_msg, &v);
    const struct group *g = group_find(r.c, bytes_str("g"));
    assert_int_equal(g->kind, GROUP_KIND_CLASSIC);
    assert_null(g->foreign);
    assert_int_equal(g->offsets_n, 1);
    assert_int_equal(RAW(&r, "\0\3\0\1g", "\0\0\0\0\0\1\0"), ERR_CORRUPT);
    assert_int_equal(g->kind, GROUP_KIND_CLASSIC);
    put_value(&r, &group_metadata_key_msg, &k, NULL, NULL);
    assert_false(g->in_log);
    assert_int_equal(rig_offset(&r, "g", "t", 0), 4);
    put(&r, -1, "g", 0, -1);
    assert_int_equal(r.c->groups.count, 0);
    rig_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_directory_of_kafka),
        cmocka_unit_test(test_transaction_waits_for_its_marker),
        cmocka_unit_test(test_transaction_and_plain_commit),
        cmocka_unit_test(test_tombstone_ends_what_a_transaction_holds),
        cmocka_unit_test(test_group_delete_ends_what_a_transaction_holds),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_consumer_group),
        cmocka_unit_test(test_consumer_group_is_deleted),
        cmocka_unit_test(test_share_and_streams_groups),
        cmocka_unit_test(test_kinds_under_one_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
