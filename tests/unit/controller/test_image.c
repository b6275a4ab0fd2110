/* The image against logs and snapshots that real Kafka wrote (tests/data/metadata): what it says
 * after the whole log is what Kafka's clients saw, a snapshot of ours holds the records that
 * Kafka's holds, and a snapshot loads to the image that the log gives. And the delta's lists. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "controller/image.h"
#include "controller/loader.h"
#include "proto/record_batch.h"
#include "proto_messages.h"

static struct buf read_file(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/metadata/%s", TEST_DATA, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        fail_msg("cannot open %s", path);
    }
    struct buf b = {0};
    char part[65536];
    size_t n;
    while ((n = fread(part, 1, sizeof part, f)) > 0) {
        buf_put(&b, part, n);
    }
    fclose(f);
    return b;
}

/* Whole batches of the log whose offsets are below end. */
static struct bytes log_until(const struct buf *log, int64_t end)
{
    struct bytes rest = buf_bytes(log);
    struct bytes batch;
    size_t len = 0;
    while (batch_next(&rest, &batch) == 1 && (int64_t)load_be64(batch.data) < end) {
        len += batch.len;
    }
    return bytes_of(log->data, len);
}

static struct loader *load_log(const char *dir, int64_t end)
{
    char name[256];
    snprintf(name, sizeof name, "%s/__cluster_metadata-0/00000000000000000000.log", dir);
    struct buf log = read_file(name);
    struct loader *l = loader_new();
    struct errmsg em = {""};
    if (loader_feed(l, log_until(&log, end), &em) != 0) {
        fail_msg("%s: %s", dir, em.text);
    }
    struct image_delta *d;
    assert_true(loader_publish(l, &d));
    image_delta_put(d);
    buf_free(&log);
    return l;
}

static struct loader *load_snapshot(const char *dir, int64_t offset, int32_t epoch, size_t piece)
{
    char name[256];
    snprintf(name, sizeof name, "%s/__cluster_metadata-0/%020lld-%010d.checkpoint", dir,
             (long long)offset, epoch);
    struct buf file = read_file(name);
    struct loader *l = loader_new();
    struct errmsg em = {""};
    loader_snapshot_begin(l, offset, epoch);
    for (size_t at = 0; at < file.len; at += piece) {
        size_t n = file.len - at < piece ? file.len - at : piece;
        assert_int_equal(0, loader_snapshot_feed(l, bytes_of(file.data + at, n), &em));
    }
    assert_int_equal(0, loader_snapshot_end(l, &em));
    struct image_delta *d;
    assert_true(loader_publish(l, &d));
    image_delta_put(d);
    assert_int_equal(offset, loader_next_offset(l));
    buf_free(&file);
    return l;
}

/* ---- against what clients saw ---- */

static struct bytes text(json_t *o, const char *key)
{
    return bytes_str(json_string_value(json_object_get(o, key)));
}

static void check_ids(json_t *want, const int32_t *have, uint32_t n)
{
    assert_int_equal(json_array_size(want), n);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(json_integer_value(json_array_get(want, i)), have[i]);
    }
}

static void check_topic(const struct image *img, json_t *o)
{
    const struct image_topic *t = image_topic_by_name(img, text(o, "name"));
    char id[UUID_TEXT];
    assert_non_null(t);
    assert_ptr_equal(t, image_topic_by_id(img, t->id));
    assert_string_equal(json_string_value(json_object_get(o, "id")), uuid_text(t->id, id));
    assert_int_equal(json_integer_value(json_object_get(o, "partitions")), t->partitions_n);
}

static void check_partition(const struct image *img, json_t *o)
{
    const struct image_topic *t = image_topic_by_name(img, text(o, "topic"));
    assert_non_null(t);
    const struct image_partition *p =
        image_partition(t, (int32_t)json_integer_value(json_object_get(o, "partition")));
    assert_non_null(p);
    assert_int_equal(json_integer_value(json_object_get(o, "leader")), p->leader);
    check_ids(json_object_get(o, "replicas"), p->replicas, p->replicas_n);
    json_t *isr = json_object_get(o, "isr"); /* in any order */
    assert_int_equal(json_array_size(isr), p->isr_n);
    for (uint32_t i = 0; i < p->isr_n; i++) {
        bool found = false;
        for (size_t k = 0; k < p->isr_n; k++) {
            found = found || json_integer_value(json_array_get(isr, k)) == p->isr[i];
        }
        assert_true(found);
    }
    assert_int_equal(p->directories_n, p->replicas_n);
}

static int8_t config_type(const char *name)
{
    static const struct {
        const char *name;
        int8_t type;
    } types[] = {{"TOPIC", CONFIG_TOPIC},
                 {"BROKER", CONFIG_BROKER},
                 {"CLIENT_METRICS", CONFIG_CLIENT_METRICS},
                 {"GROUP", CONFIG_GROUP}};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (strcmp(name, types[i].name) == 0) {
            return types[i].type;
        }
    }
    fail_msg("config type %s", name);
    return 0;
}

static void check_config(const struct image *img, json_t *o)
{
    int8_t type = config_type(json_string_value(json_object_get(o, "type")));
    json_t *set = json_object_get(o, "set");
    const struct image_config *c = image_config(img, type, text(o, "name"));
    assert_int_equal(json_object_size(set), c ? c->n : 0);
    const char *key;
    json_t *value;
    json_object_foreach(set, key, value)
    {
        struct bytes have = image_config_value(img, type, text(o, "name"), bytes_str(key));
        assert_true(bytes_eq_str(have, json_string_value(value)));
    }
}

struct counts {
    int topics, partitions, features, opaque, configs;
};

static void check_line(const struct image *img, json_t *o, struct counts *n)
{
    const char *t = json_string_value(json_object_get(o, "t"));
    if (strcmp(t, "topic") == 0) {
        check_topic(img, o);
        n->topics++;
    } else if (strcmp(t, "partition") == 0) {
        check_partition(img, o);
        n->partitions++;
    } else if (strcmp(t, "config") == 0) {
        check_config(img, o);
        n->configs += json_object_size(json_object_get(o, "set")) > 0;
    } else if (strcmp(t, "feature") == 0) {
        const char *name = json_string_value(json_object_get(o, "name"));
        int16_t want = (int16_t)json_integer_value(json_object_get(o, "level"));
        if (strcmp(name, "kraft.version") != 0) { /* kept by the quorum, not in the image */
            assert_int_equal(want, image_feature_level(img, name));
            n->features++;
        }
    } else {
        n->opaque +=
            strcmp(t, "quota") == 0 ? (int)json_object_size(json_object_get(o, "limits")) : 1;
    }
}

static void compare_with(const struct image *img, const char *file)
{
    struct buf lines = read_file(file);
    struct counts n = {0};
    for (char *line = strtok((char *)(uintptr_t)buf_cstr(&lines), "\n"); line;
         line = strtok(NULL, "\n")) {
        json_error_t e;
        json_t *o = json_loads(line, 0, &e);
        assert_non_null(o);
        check_line(img, o, &n);
        json_decref(o);
    }
    assert_int_equal(n.topics, img->topics_n);
    assert_int_equal(n.partitions, img->partitions_n);
    assert_int_equal(n.opaque, img->opaque.count);
    if (n.features) {
        assert_int_equal(n.features, img->features_n);
        assert_int_equal(n.configs, img->configs.count);
    }
    assert_true(n.topics > 0 && n.partitions > 0);
    buf_free(&lines);
}

static void image_of_a_kafka_log_says_what_clients_saw(void **state)
{
    UNUSED(state);
    /* Both nodes up; behind it they stop one after the other. */
    struct loader *l = load_log("metadata-node1", 278);
    compare_with(loader_image(l), "metadata.jsonl");
    assert_int_equal(2, loader_image(l)->brokers_n);
    assert_int_equal(1, loader_image(l)->controllers_n);
    assert_false(image_broker(loader_image(l), 2)->fenced);
    loader_free(l);
    for (int node = 1; node <= 3; node++) {
        char dir[32];
        snprintf(dir, sizeof dir, "cluster3-node%d", node);
        l = load_log(dir, 496);
        compare_with(loader_image(l), "cluster3.jsonl");
        assert_int_equal(3, loader_image(l)->brokers_n);
        assert_int_equal(3, loader_image(l)->controllers_n);
        loader_free(l);
    }
}

static void image_of_a_stopped_cluster_has_its_last_leaders(void **state)
{
    UNUSED(state);
    struct loader *l = load_log("cluster3-node1", INT64_MAX);
    const struct image *img = loader_image(l);
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    while ((t = image_next_topic(img, &it)) != NULL) {
        for (uint32_t i = 0; i < t->partitions_n; i++) {
            const struct image_partition *p = t->partitions[i];
            assert_true(p->isr_n + p->elr_n > 0);
            assert_true(p->leader_epoch > 0 && p->partition_epoch >= p->leader_epoch);
        }
    }
    for (int32_t id = 1; id <= 3; id++) {
        assert_true(image_broker(img, id)->fenced);
    }
    loader_free(l);
}

/* ---- snapshots ---- */

static int by_bytes(const void *a, const void *b)
{
    return bytes_cmp(*(const struct bytes *)a, *(const struct bytes *)b);
}

struct records {
    struct bytes v[512];
    size_t n;
    struct buf mem[512];
};

static void records_free(struct records *r)
{
    for (size_t i = 0; i < r->n; i++) {
        buf_free(&r->mem[i]);
    }
}

static void records_of_image(const struct image *img, struct records *out)
{
    struct image_writer w;
    out->n = 0;
    memset(out->mem, 0, sizeof out->mem);
    image_writer_init(&w, img);
    while (image_writer_next(&w, &out->mem[out->n])) {
        out->v[out->n] = buf_bytes(&out->mem[out->n]);
        out->n++;
        assert_true(out->n < ARRAY_LEN(out->v));
    }
    qsort(out->v, out->n, sizeof out->v[0], by_bytes);
}

static int by_feature(const void *a, const void *b)
{
    return bytes_cmp(((const struct register_broker_record_broker_feature *)a)->name,
                     ((const struct register_broker_record_broker_feature *)b)->name);
}

/* Kafka writes the features of a registration in hash order: sorts them. */
static void put_sorted(struct bytes value, struct buf *out)
{
    struct arena a = {0};
    const struct proto_message *m;
    int16_t version;
    void *rec;
    assert_int_equal(0, proto_decode_metadata_record(value, &a, &m, &version, &rec));
    if (m == &register_broker_record_msg) {
        struct register_broker_record *r = rec;
        qsort(r->features, (size_t)r->features_n, sizeof *r->features, by_feature);
    } else if (m == &register_controller_record_msg) {
        struct register_controller_record *r = rec; /* the same struct by another name */
        qsort(r->features, (size_t)r->features_n, sizeof *r->features, by_feature);
    }
    assert_int_equal(0, proto_encode_metadata_record(m, version, rec, out, NULL));
    arena_free(&a);
}

static void records_of_file(struct bytes rest, struct records *out)
{
    struct bytes batch;
    out->n = 0;
    memset(out->mem, 0, sizeof out->mem);
    while (batch_next(&rest, &batch) == 1) {
        struct record_reader rr;
        struct record rec;
        assert_int_equal(0, record_reader_open(&rr, batch, 0));
        while (!batch_is_control(&rr.h) && record_reader_next(&rr, &rec) == 1) {
            put_sorted(rec.value, &out->mem[out->n]);
            out->v[out->n] = buf_bytes(&out->mem[out->n]);
            out->n++;
            assert_true(out->n < ARRAY_LEN(out->v));
        }
        record_reader_close(&rr);
    }
    qsort(out->v, out->n, sizeof out->v[0], by_bytes);
}

static void print_record(const char *who, struct bytes v)
{
    struct arena a = {0};
    const struct proto_message *m;
    int16_t version;
    void *rec;
    struct buf json = {0};
    if (proto_decode_metadata_record(v, &a, &m, &version, &rec) == 0) {
        proto_print_json(m, version, rec, &json);
        print_message("%s %s v%d %s\n", who, m->name, version, buf_cstr(&json));
    }
    buf_free(&json);
    arena_free(&a);
}

static void assert_same_records(const struct records *want, const struct records *have)
{
    size_t i = 0;
    size_t k = 0;
    int wrong = 0;
    while (i < want->n || k < have->n) {
        int c = i == want->n ? 1 : k == have->n ? -1 : bytes_cmp(want->v[i], have->v[k]);
        if (c < 0) {
            print_record("only in Kafka's:", want->v[i]);
        } else if (c > 0) {
            print_record("only in ours:", have->v[k]);
        }
        wrong += c != 0;
        i += c <= 0;
        k += c >= 0;
    }
    assert_int_equal(0, wrong);
    assert_true(want->n > 0);
}

static void snapshot_holds_the_records_that_kafkas_holds(void **state)
{
    UNUSED(state);
    static const struct {
        const char *dir;
        int64_t offset;
    } cases[] = {{"metadata-node1", 90},  {"metadata-node1", 163}, {"metadata-node1", 229},
                 {"metadata-node1", 308}, {"metadata-node2", 136}, {"metadata-node2", 201},
                 {"metadata-node2", 267}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char name[256];
        snprintf(name, sizeof name, "%s/__cluster_metadata-0/%020lld-0000000001.checkpoint",
                 cases[i].dir, (long long)cases[i].offset);
        struct buf file = read_file(name);
        struct loader *l = load_log(cases[i].dir, cases[i].offset);
        static struct records ours, theirs;
        records_of_image(loader_image(l), &ours);
        records_of_file(buf_bytes(&file), &theirs);
        assert_same_records(&theirs, &ours);
        records_free(&ours);
        records_free(&theirs);
        loader_free(l);
        buf_free(&file);
    }
}

static void snapshot_loads_to_the_image_of_the_log(void **state)
{
    UNUSED(state);
    static const size_t pieces[] = {1, 7, 1000, 1 << 20};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct loader *a = load_snapshot("metadata-node1", 308, 1, pieces[i]);
        struct loader *b = load_log("metadata-node1", 308);
        static struct records from_snapshot, from_log;
        records_of_image(loader_image(a), &from_snapshot);
        records_of_image(loader_image(b), &from_log);
        assert_same_records(&from_snapshot, &from_log);
        assert_int_equal(loader_image(a)->topics_n, loader_image(b)->topics_n);
        assert_int_equal(loader_image(a)->partitions_n, loader_image(b)->partitions_n);
        assert_int_equal(loader_image(a)->offset, loader_image(b)->offset);
        assert_int_equal(loader_image(a)->time_ms, loader_image(b)->time_ms);
        /* and goes on with the log */
        records_free(&from_snapshot);
        records_free(&from_log);
        loader_free(a);
        loader_free(b);
    }
}

static void log_goes_on_behind_a_snapshot(void **state)
{
    UNUSED(state);
    struct loader *l = load_snapshot("metadata-node1", 229, 1, 4096);
    struct buf log = read_file("metadata-node1/__cluster_metadata-0/00000000000000000000.log");
    size_t front = log_until(&log, 229).len;
    size_t end = log_until(&log, 278).len;
    assert_int_equal(0, loader_feed(l, bytes_of(log.data + front, end - front), NULL));
    struct image_delta *d;
    assert_true(loader_publish(l, &d));
    compare_with(loader_image(l), "metadata.jsonl");
    image_delta_put(d);
    buf_free(&log);
    loader_free(l);
}

static void snapshot_delta_lists_only_differences(void **state)
{
    UNUSED(state);
    struct loader *l = load_log("metadata-node1", 308);
    struct buf file =
        read_file("metadata-node1/__cluster_metadata-0/00000000000000000308-0000000001.checkpoint");
    loader_snapshot_begin(l, 308, 1);
    assert_int_equal(0, loader_snapshot_feed(l, buf_bytes(&file), NULL));
    assert_int_equal(0, loader_snapshot_end(l, NULL));
    struct image_delta *d;
    assert_true(loader_publish(l, &d));
    assert_true(d->is_snapshot);
    assert_int_equal(0, d->topics_n);
    assert_int_equal(0, d->configs_n);
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    while ((t = image_next_topic(d->image, &it)) != NULL) {
        assert_ptr_equal(t, image_topic_by_id(d->base, t->id));
    }
    image_delta_put(d);
    buf_free(&file);
    loader_free(l);
}

static void broken_snapshots_are_refused(void **state)
{
    UNUSED(state);
    struct buf file =
        read_file("metadata-node1/__cluster_metadata-0/00000000000000000090-0000000001.checkpoint");
    struct loader *l = loader_new();
    struct errmsg em;
    for (size_t cut = 1; cut < file.len; cut += 13) { /* every truncation */
        loader_snapshot_begin(l, 90, 1);
        assert_int_equal(0, loader_snapshot_feed(l, bytes_of(file.data, file.len - cut), &em));
        assert_int_equal(ERR_CORRUPT, loader_snapshot_end(l, &em));
    }
    for (size_t at = 21; at < file.len; at += 17) { /* a flipped bit */
        file.data[at] ^= 4;
        loader_snapshot_begin(l, 90, 1);
        int err = loader_snapshot_feed(l, buf_bytes(&file), &em);
        if (err == 0) {
            err = loader_snapshot_end(l, &em);
        } else {
            loader_snapshot_abandon(l);
        }
        /* leader epoch (12..15 of a batch) is the one field that no checksum covers */
        if (err == 0) {
            struct bytes rest = buf_bytes(&file);
            struct bytes batch;
            size_t start = 0;
            while (batch_next(&rest, &batch) == 1 && start + batch.len <= at) {
                start += batch.len;
            }
            assert_in_range(at - start, 12, 15);
        }
        file.data[at] ^= 4;
    }
    buf_free(&file);
    loader_free(l);
}

/* ---- deltas by hand ---- */

static struct uuid some_id(uint8_t n)
{
    struct uuid u = {{9, 9, n}};
    return u;
}

static void add_topic(struct image_delta *d, uint8_t n, const char *name, int partitions)
{
    struct topic_record t;
    proto_msg_init(&topic_record_msg, &t);
    t.topic_id = some_id(n);
    t.name = bytes_str(name);
    assert_int_equal(0, image_delta_apply(d, &topic_record_msg, 0, &t, NULL));
    for (int i = 0; i < partitions; i++) {
        int32_t replica = 1;
        struct uuid dir = some_id(200);
        struct partition_record p;
        proto_msg_init(&partition_record_msg, &p);
        p.topic_id = t.topic_id;
        p.partition_id = i;
        p.replicas = &replica;
        p.replicas_n = 1;
        p.isr = &replica;
        p.isr_n = 1;
        p.leader = 1;
        p.leader_epoch = 0;
        p.partition_epoch = 0;
        p.directories = &dir;
        p.directories_n = 1;
        assert_int_equal(0, image_delta_apply(d, &partition_record_msg, 2, &p, NULL));
    }
}

static int change_leader(struct image_delta *d, uint8_t n, int32_t partition, int32_t leader)
{
    struct partition_change_record c;
    proto_msg_init(&partition_change_record_msg, &c);
    c.topic_id = some_id(n);
    c.partition_id = partition;
    c.leader = leader;
    return image_delta_apply(d, &partition_change_record_msg, 2, &c, NULL);
}

static int remove_topic(struct image_delta *d, uint8_t n)
{
    struct remove_topic_record r;
    proto_msg_init(&remove_topic_record_msg, &r);
    r.topic_id = some_id(n);
    return image_delta_apply(d, &remove_topic_record_msg, 0, &r, NULL);
}

static void set_config(struct image_delta *d, int8_t type, const char *resource, const char *name,
                       const char *value)
{
    struct config_record r;
    proto_msg_init(&config_record_msg, &r);
    r.resource_type = type;
    r.resource_name = bytes_str(resource);
    r.name = bytes_str(name);
    r.value = bytes_str(value);
    assert_int_equal(0, image_delta_apply(d, &config_record_msg, 0, &r, NULL));
}

/* topics "a" (3 partitions) and "b" (2), one config on "a" */
static struct image *two_topics(void)
{
    struct image *empty = image_empty();
    struct image_delta *d = image_delta_new(empty);
    add_topic(d, 1, "a", 3);
    add_topic(d, 2, "b", 2);
    set_config(d, CONFIG_TOPIC, "a", "retention.ms", "5");
    struct image *img = image_delta_finish(d, 10, 1, 1000);
    assert_int_equal(2, d->topics_n);
    assert_int_equal(1, d->configs_n);
    image_delta_put(d);
    image_put(empty);
    return img;
}

static void versions_share_what_did_not_change(void **state)
{
    UNUSED(state);
    struct image *one = two_topics();
    struct image_delta *d = image_delta_new(one);
    assert_int_equal(0, change_leader(d, 1, 1, 7));
    struct image *two = image_delta_finish(d, 11, 1, 1001);
    assert_int_equal(1, d->topics_n);
    const struct image_topic *before = d->topics[0].before;
    const struct image_topic *after = d->topics[0].after;
    assert_ptr_equal(before->partitions[0], after->partitions[0]);
    assert_ptr_equal(before->partitions[2], after->partitions[2]);
    assert_ptr_not_equal(before->partitions[1], after->partitions[1]);
    assert_int_equal(1, before->partitions[1]->leader);
    assert_int_equal(7, after->partitions[1]->leader);
    assert_int_equal(1, after->partitions[1]->leader_epoch);
    assert_int_equal(1, after->partitions[1]->partition_epoch);
    assert_ptr_equal(image_topic_by_name(one, bytes_str("b")),
                     image_topic_by_name(two, bytes_str("b")));
    assert_ptr_equal(before, image_topic_by_name(one, bytes_str("a")));
    assert_ptr_equal(after, image_topic_by_id(two, some_id(1)));
    assert_int_equal(0, d->configs_n);
    image_delta_put(d);
    image_put(one); /* the newer version lives on alone */
    assert_int_equal(7, image_topic_by_name(two, bytes_str("a"))->partitions[1]->leader);
    image_put(two);
}

static void removing_a_topic_removes_its_partitions_and_configs(void **state)
{
    UNUSED(state);
    struct image *one = two_topics();
    struct image_delta *d = image_delta_new(one);
    assert_int_equal(0, remove_topic(d, 1));
    assert_int_equal(ERR_CORRUPT, remove_topic(d, 1));
    image_delta_put(d); /* a failed delta leaves the base as it was */
    assert_int_equal(2, one->topics_n);

    d = image_delta_new(one);
    assert_int_equal(0, remove_topic(d, 1));
    add_topic(d, 3, "a", 1); /* the same name under a new id */
    add_topic(d, 4, "gone", 1);
    assert_int_equal(0, remove_topic(d, 4));
    struct image *two = image_delta_finish(d, 20, 2, 2000);
    assert_int_equal(2, d->topics_n); /* 1 gone, 3 new; 4 came and went */
    assert_int_equal(1, d->configs_n);
    assert_null(d->configs[0].after);
    assert_null(image_config(two, CONFIG_TOPIC, bytes_str("a")));
    assert_non_null(image_config(one, CONFIG_TOPIC, bytes_str("a")));
    assert_int_equal(2, two->topics_n);
    assert_int_equal(3, two->partitions_n);
    assert_null(image_topic_by_id(two, some_id(1)));
    assert_int_equal(3, image_topic_by_name(two, bytes_str("a"))->id.b[2]);
    image_delta_put(d);
    image_put(one);
    image_put(two);
}

static void contradictions_are_corrupt(void **state)
{
    UNUSED(state);
    struct image *one = two_topics();
    struct image_delta *d = image_delta_new(one);
    struct errmsg em;
    struct topic_record t;
    proto_msg_init(&topic_record_msg, &t);
    t.topic_id = some_id(50);
    t.name = bytes_str("a");
    assert_int_equal(ERR_CORRUPT, image_delta_apply(d, &topic_record_msg, 0, &t, &em));
    assert_int_equal(ERR_CORRUPT, change_leader(d, 99, 0, 1));
    assert_int_equal(ERR_CORRUPT, change_leader(d, 1, 3, 1));
    struct partition_record p;
    proto_msg_init(&partition_record_msg, &p);
    p.topic_id = some_id(1);
    p.partition_id = -1;
    assert_int_equal(ERR_CORRUPT, image_delta_apply(d, &partition_record_msg, 2, &p, &em));
    p.partition_id = INT32_MAX;
    assert_int_equal(ERR_CORRUPT, image_delta_apply(d, &partition_record_msg, 2, &p, &em));
    struct broker_registration_change_record b;
    proto_msg_init(&broker_registration_change_record_msg, &b);
    b.broker_id = 4;
    assert_int_equal(ERR_CORRUPT,
                     image_delta_apply(d, &broker_registration_change_record_msg, 3, &b, &em));
    image_delta_put(d);
    image_put(one);
}

static void many_topics_and_versions(void **state)
{
    UNUSED(state);
    struct image *img = image_empty();
    struct image *kept = NULL;
    for (int round = 0; round < 40; round++) {
        struct image_delta *d = image_delta_new(img);
        for (int i = 0; i < 50; i++) {
            char name[32];
            struct topic_record t;
            snprintf(name, sizeof name, "topic-%d", round * 50 + i);
            proto_msg_init(&topic_record_msg, &t);
            t.name = bytes_str(name);
            store_be32(t.topic_id.b, (uint32_t)(round * 50 + i) * 2654435761u);
            assert_int_equal(0, image_delta_apply(d, &topic_record_msg, 0, &t, NULL));
        }
        struct image *next = image_delta_finish(d, round, 1, 0);
        image_delta_put(d);
        image_put(img);
        img = next;
        if (round == 10) {
            kept = image_get(img);
        }
    }
    int n = 0;
    struct image_topic_iter it = {0};
    while (image_next_topic(img, &it)) {
        n++;
    }
    assert_int_equal(2000, n);
    assert_int_equal(2000, img->topics_n);
    for (int i = 0; i < 2000; i++) {
        char name[32];
        snprintf(name, sizeof name, "topic-%d", i);
        assert_non_null(image_topic_by_name(img, bytes_str(name)));
        assert_true((i < 550) == (image_topic_by_name(kept, bytes_str(name)) != NULL));
    }
    assert_int_equal(550, kept->topics_n);
    image_put(kept);
    image_put(img);
}

/* ---- transactions and broken input of the loader ---- */

static void put_batch(struct buf *out, int64_t offset, const struct buf *values, size_t n)
{
    struct batch_options opt = BATCH_OPTIONS_DEFAULT;
    struct batch_builder b = {0};
    opt.base_offset = offset;
    opt.leader_epoch = 1;
    batch_builder_init(&b, &opt);
    for (size_t i = 0; i < n; i++) {
        batch_builder_add(&b, 1000, BYTES_NULL, buf_bytes(&values[i]), NULL, 0);
    }
    assert_int_equal(0, batch_builder_finish(&b, out));
    batch_builder_free(&b);
}

static struct buf feature(const char *name, int16_t level)
{
    struct buf b = {0};
    struct feature_level_record r;
    proto_msg_init(&feature_level_record_msg, &r);
    r.name = bytes_str(name);
    r.feature_level = level;
    assert_int_equal(0, proto_encode_metadata_record(&feature_level_record_msg, 0, &r, &b, NULL));
    return b;
}

static struct buf mark(const struct proto_message *m)
{
    struct buf b = {0};
    struct begin_transaction_record r; /* the largest of the three */
    proto_msg_init(m, &r);
    assert_int_equal(0, proto_encode_metadata_record(m, 0, &r, &b, NULL));
    return b;
}

static void transactions_are_held_back_until_their_end(void **state)
{
    UNUSED(state);
    struct buf v[3] = {feature("group.version", 1), mark(&begin_transaction_record_msg),
                       feature("share.version", 1)};
    struct buf end = mark(&end_transaction_record_msg);
    struct buf abort = mark(&abort_transaction_record_msg);
    for (int commit = 0; commit < 2; commit++) {
        struct loader *l = loader_new();
        struct image_delta *d;
        struct buf log = {0};
        put_batch(&log, 0, v, 1);
        put_batch(&log, 1, v + 1, 2);
        assert_int_equal(0, loader_feed(l, buf_bytes(&log), NULL));
        assert_true(loader_in_transaction(l));
        assert_true(loader_publish(l, &d));
        assert_int_equal(1, image_feature_level(loader_image(l), "group.version"));
        assert_int_equal(0, image_feature_level(loader_image(l), "share.version"));
        assert_int_equal(0, loader_image(l)->offset);
        assert_int_equal(3, loader_next_offset(l));
        image_delta_put(d);
        assert_false(loader_publish(l, &d));
        buf_clear(&log);
        put_batch(&log, 3, commit ? &end : &abort, 1);
        assert_int_equal(0, loader_feed(l, buf_bytes(&log), NULL));
        assert_true(loader_publish(l, &d));
        assert_int_equal(commit, image_feature_level(loader_image(l), "share.version"));
        assert_int_equal(3, loader_image(l)->offset);
        image_delta_put(d);
        buf_free(&log);
        loader_free(l);
    }
    for (size_t i = 0; i < 3; i++) {
        buf_free(&v[i]);
    }
    buf_free(&end);
    buf_free(&abort);
}

static void broken_batches_are_refused_and_reset_mends(void **state)
{
    UNUSED(state);
    struct loader *l = load_log("cluster3-node1", 300);
    int64_t next = loader_next_offset(l);
    struct image *img = image_get(loader_image(l));
    struct buf log = read_file("cluster3-node1/__cluster_metadata-0/00000000000000000000.log");
    struct bytes front = log_until(&log, next);
    struct bytes rest = bytes_of(log.data + front.len, log.len - front.len);
    struct errmsg em;
    assert_int_equal(ERR_CORRUPT, loader_feed(l, front, &em)); /* offset 0 again */
    assert_int_equal(ERR_CORRUPT, loader_feed(l, rest, &em));  /* stays failed */
    loader_reset(l, img, next, 1);
    uint8_t *byte = log.data + front.len + 70;
    *byte ^= 1;
    assert_int_equal(ERR_CORRUPT, loader_feed(l, rest, &em));
    assert_non_null(strstr(em.text, "checksum"));
    *byte ^= 1;
    loader_reset(l, img, next, 1);
    assert_int_equal(ERR_CORRUPT, loader_feed(l, bytes_of(rest.data, rest.len - 1), &em));
    loader_reset(l, img, next, 1);
    assert_int_equal(0, loader_feed(l, rest, &em));
    struct image_delta *d;
    assert_true(loader_publish(l, &d));
    image_delta_put(d);
    image_put(img);
    buf_free(&log);
    loader_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(image_of_a_kafka_log_says_what_clients_saw),
        cmocka_unit_test(image_of_a_stopped_cluster_has_its_last_leaders),
        cmocka_unit_test(snapshot_holds_the_records_that_kafkas_holds),
        cmocka_unit_test(snapshot_loads_to_the_image_of_the_log),
        cmocka_unit_test(log_goes_on_behind_a_snapshot),
        cmocka_unit_test(snapshot_delta_lists_only_differences),
        cmocka_unit_test(broken_snapshots_are_refused),
        cmocka_unit_test(versions_share_what_did_not_change),
        cmocka_unit_test(removing_a_topic_removes_its_partitions_and_configs),
        cmocka_unit_test(contradictions_are_corrupt),
        cmocka_unit_test(many_topics_and_versions),
        cmocka_unit_test(transactions_are_held_back_until_their_end),
        cmocka_unit_test(broken_batches_are_refused_and_reset_mends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
