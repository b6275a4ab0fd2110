/* Log directories before a node runs on them, in the simulator: what formatting writes is what
 * Kafka's does, what is no directory of ours is refused, and a formatting that is cut short
 * anywhere can be done again. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "controller/bootstrap.h"
#include "proto/record_batch.h"
#include "sim/io_sim.h"

static const char *const dirs[] = {"/a/b/log", "/d2"};
#define CLUSTER "DUO7j3nMRSCdq1RXXLLHig"

struct world {
    struct sim *sim;
    struct sim_host *host;
    struct sim_proc *proc;
    struct io *io;
    void (*fn)(struct world *w);
    struct errmsg em;
    int lines;
    char line[300];
};

static void in_process(void *arg)
{
    struct world *w = arg;
    assert_int_equal(0, io_sim_make(w->proc, 0, &w->io, &w->em));
    w->fn(w);
    io_destroy(w->io);
}

static void world_init(struct world *w)
{
    *w = (struct world){0};
    w->sim = sim_new(1);
    w->sim->self_advance = true;
    w->host = sim_host_new(w->sim, 1 << 24);
}

/* False: it died before its end. */
static bool world_run(struct world *w, void (*fn)(struct world *w))
{
    if (w->proc == NULL) {
        w->proc = sim_proc_new(w->host);
    }
    w->fn = fn;
    return sim_proc_run(w->proc, in_process, w);
}

static void world_free(struct world *w)
{
    struct errmsg why;
    if (w->proc && !sim_proc_end(w->proc, &why)) {
        fail_msg("left open: %s", why.text);
    }
    sim_free(w->sim);
}

static void with_world(void (*fn)(struct world *w))
{
    struct world w;
    world_init(&w);
    assert_true(world_run(&w, fn));
    world_free(&w);
}

static void say(void *ctx, const char *line)
{
    struct world *w = ctx;
    w->lines++;
    snprintf(w->line, sizeof w->line, "%s", line);
}

static int format(struct world *w, const struct format_options *opt)
{
    return format_dirs(w->io, dirs, 2, NULL, opt, say, w, &w->em);
}

static void write_file(struct world *w, const char *path, const char *text)
{
    assert_int_equal(0, io_replace_file(w->io, path, text, strlen(text)));
}

static const struct format_options usual = {.cluster_id = CLUSTER, .node_id = 7};

/* ---- formatting ---- */

static void format_and_load(struct world *w)
{
    struct format_meta m[2];
    size_t missing;
    struct io_stat st;
    assert_int_equal(ERR_NOTFOUND, format_load(w->io, dirs, 2, 7, m, &missing, &w->em));
    assert_int_equal(0, format(w, &usual));
    assert_int_equal(3, w->lines); /* the features, and one for each directory */
    assert_string_equal("Formatting data directory /d2 with metadata.version 4.3-IV0.", w->line);
    assert_int_equal(0, format_load(w->io, dirs, 2, 7, m, &missing, &w->em));
    assert_int_equal(0, missing);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(CLUSTER, m[i].cluster_id);
        assert_int_equal(7, m[i].node_id);
        assert_false(uuid_is_zero(m[i].directory_id));
    }
    assert_false(uuid_eq(m[0].directory_id, m[1].directory_id));
    assert_int_equal(0, io_stat(w->io, "/a/b/log/bootstrap.checkpoint", &st));
    assert_int_equal(ERR_NOTFOUND, io_stat(w->io, "/d2/bootstrap.checkpoint", &st));
}

static void what_was_formatted_loads(void **state)
{
    UNUSED(state);
    with_world(format_and_load);
}

static void format_again(struct world *w)
{
    struct format_options opt = usual;
    struct format_meta m[2], again[2];
    assert_int_equal(0, format(w, &opt));
    assert_int_equal(0, format_load(w->io, dirs, 2, 7, m, NULL, &w->em));
    assert_int_equal(ERR_EXISTS, format(w, &opt));
    assert_non_null(strstr(w->em.text, "/a/b/log"));
    opt.ignore_formatted = true;
    assert_int_equal(0, format(w, &opt));
    assert_string_equal("All of the log directories are already formatted.", w->line);
    assert_int_equal(0, io_unlink(w->io, "/d2/meta.properties"));
    assert_int_equal(0, format(w, &opt));
    assert_int_equal(0, format_load(w->io, dirs, 2, 7, again, NULL, &w->em));
    assert_true(uuid_eq(m[0].directory_id, again[0].directory_id));
    assert_false(uuid_eq(m[1].directory_id, again[1].directory_id));
    opt.cluster_id = "another";
    assert_int_equal(ERR_CONFLICT, format(w, &opt));
    assert_non_null(strstr(w->em.text, CLUSTER));
    opt.cluster_id = CLUSTER;
    opt.node_id = 8;
    assert_int_equal(ERR_CONFLICT, format(w, &opt));
}

static void formatted_directories_are_left_alone(void **state)
{
    UNUSED(state);
    with_world(format_again);
}

static void foreign(struct world *w)
{
    struct format_meta m[2];
    assert_int_equal(0, io_mkdir(w->io, "/d2"));
    write_file(w, "/d2/photo.jpg", "x");
    assert_int_equal(ERR_CONFLICT, format(w, &usual));
    assert_non_null(strstr(w->em.text, "photo.jpg"));
    assert_int_equal(ERR_NOTFOUND,
                     io_stat(w->io, "/a/b/log/meta.properties", &(struct io_stat){0}));
    assert_int_equal(0, io_unlink(w->io, "/d2/photo.jpg"));
    assert_int_equal(0, format(w, &usual));
    assert_int_equal(ERR_CONFLICT, format_load(w->io, dirs, 2, 8, m, NULL, &w->em));
    assert_non_null(strstr(w->em.text, "node 7"));
    write_file(w, "/d2/meta.properties", "version=1\nnode.id=7\ncluster.id=other\n");
    assert_int_equal(ERR_CONFLICT, format_load(w->io, dirs, 2, 7, m, NULL, &w->em));
    assert_non_null(strstr(w->em.text, "other"));
    write_file(w, "/d2/meta.properties", "version=0\nbroker.id=7\ncluster.id=" CLUSTER "\n");
    assert_int_equal(ERR_CORRUPT, format_load(w->io, dirs, 2, 7, m, NULL, &w->em));
    assert_non_null(strstr(w->em.text, "ZooKeeper"));
    write_file(w, "/d2/meta.properties", "version=2\nnode.id=7\ncluster.id=" CLUSTER "\n");
    assert_int_equal(ERR_CORRUPT, format_load(w->io, dirs, 2, 7, m, NULL, &w->em));
    assert_non_null(strstr(w->em.text, "version 2"));
    write_file(w, "/d2/meta.properties", "node.id=7\n");
    assert_int_equal(ERR_CORRUPT, format_load(w->io, dirs, 2, 7, m, NULL, &w->em));
    /* a copy of the other directory */
    char text[200], id[UUID_TEXT];
    assert_int_equal(0, format_read_meta(w->io, dirs[0], &m[0], &w->em));
    snprintf(text, sizeof text, "version=1\nnode.id=7\ncluster.id=%s\ndirectory.id=%s\n", CLUSTER,
             uuid_text(m[0].directory_id, id));
    write_file(w, "/d2/meta.properties", text);
    assert_int_equal(ERR_CONFLICT, format_load(w->io, dirs, 2, 7, m, NULL, &w->em));
    assert_non_null(strstr(w->em.text, "copy"));
}

static void foreign_directories_are_refused(void **state)
{
    UNUSED(state);
    with_world(foreign);
}

static void automatic(struct world *w)
{
    struct format_meta m, again;
    bool formatted;
    assert_int_equal(0, format_auto(w->io, "/data", 1, &m, &formatted, &w->em));
    assert_true(formatted);
    assert_int_equal(22, strlen(m.cluster_id));
    assert_int_equal(0, format_auto(w->io, "/data", 1, &again, &formatted, &w->em));
    assert_false(formatted);
    assert_string_equal(m.cluster_id, again.cluster_id);
    assert_int_equal(ERR_CONFLICT, format_auto(w->io, "/data", 2, &again, &formatted, &w->em));
    assert_int_equal(0, io_mkdir(w->io, "/home"));
    write_file(w, "/home/letter", "x");
    assert_int_equal(ERR_CONFLICT, format_auto(w->io, "/home", 1, &m, &formatted, &w->em));
    write_file(w, "/file", "x");
    assert_int_not_equal(0, format_auto(w->io, "/file", 1, &m, &formatted, &w->em));
    assert_false(formatted);
}

static void a_node_without_a_file_formats_its_own(void **state)
{
    UNUSED(state);
    with_world(automatic);
}

static void bad_options(struct world *w)
{
    struct format_options opt = usual;
    opt.cluster_id = "";
    assert_int_equal(ERR_INVALID, format(w, &opt));
    opt = usual;
    opt.node_id = -1;
    assert_int_equal(ERR_INVALID, format(w, &opt));
    opt = usual;
    opt.metadata_version = 999;
    assert_int_equal(ERR_INVALID, format(w, &opt));
    static const struct format_feature bad[] = {{"no.such", 1},
                                                {"transaction.version", 3},
                                                {"transaction.version", -1},
                                                {"kraft.version", 1}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        opt = usual;
        opt.features = &bad[i];
        opt.features_n = 1;
        assert_int_equal(ERR_INVALID, format(w, &opt));
        assert_non_null(strstr(w->em.text, bad[i].name));
    }
    static const struct format_feature early[] = {{"eligible.leader.replicas.version", 1}};
    opt.features = early;
    opt.metadata_version = format_metadata_version("3.9");
    assert_int_equal(ERR_INVALID, format(w, &opt)); /* it needs a newer metadata.version */
    assert_int_equal(ERR_NOTFOUND, io_stat(w->io, "/a", &(struct io_stat){0}));
}

static void bad_options_leave_nothing(void **state)
{
    UNUSED(state);
    with_world(bad_options);
}

/* ---- cut short ---- */

static void try_format(struct world *w)
{
    struct format_options opt = usual;
    opt.ignore_formatted = true;
    int err = format(w, &opt);
    if (err) {
        fail_msg("%s", w->em.text);
    }
}

static void check_formatted(struct world *w)
{
    struct format_meta m[2];
    struct arena a = {0};
    struct bytes *records;
    size_t n;
    assert_int_equal(0, format_load(w->io, dirs, 2, 7, m, NULL, &w->em));
    assert_int_equal(0, bootstrap_read(w->io, dirs[0], &a, &records, &n, &w->em));
    assert_int_equal(6, n);
    arena_free(&a);
}

/* In a process of its own: what dies in it is not freed. True if it came to its end. */
static bool cut_short(uint64_t calls, bool power)
{
    struct world w;
    world_init(&w);
    w.proc = sim_proc_new(w.host);
    sim_proc_die_in(w.proc, calls);
    bool whole = world_run(&w, try_format);
    if (power) {
        sim_host_power_loss(w.host);
        sim_host_power_on(w.host);
    } else {
        sim_proc_kill(w.proc);
    }
    w.proc = NULL;
    assert_true(world_run(&w, try_format));
    assert_true(world_run(&w, check_formatted));
    world_free(&w);
    return whole;
}

static void a_formatting_cut_short_can_be_done_again(void **state)
{
    UNUSED(state);
    enum { WHOLE = 10 };
    int status = 0;
    for (uint64_t calls = 1; status != WHOLE; calls++) {
        for (int power = 0; power < 2; power++) {
            pid_t pid = fork();
            if (pid == 0) {
                _exit(cut_short(calls, power == 1) ? WHOLE : 0);
            }
            assert_int_equal(pid, waitpid(pid, &status, 0));
            assert_true(WIFEXITED(status));
            status = WEXITSTATUS(status);
            assert_true(status == 0 || status == WHOLE);
        }
        assert_true(calls < 1000);
    }
}

/* ---- bootstrap.checkpoint ---- */

/* Two files of batches that differ in their times only (and so in their checksums); the record's
 * own time at time_at in the first batch (0: none) is taken over, too. */
static void same_but_times(uint8_t *kafkas, size_t n, struct bytes ours, size_t time_at)
{
    assert_int_equal(n, ours.len);
    if (time_at) {
        memcpy(kafkas + time_at, ours.data + time_at, 8);
    }
    struct bytes a = bytes_of(kafkas, n), b = ours, ba, bb;
    while (batch_next(&a, &ba) == 1) {
        struct batch_header ha, hb;
        assert_int_equal(1, batch_next(&b, &bb));
        assert_int_equal(0, batch_header_read(ba, &ha));
        assert_int_equal(0, batch_header_read(bb, &hb));
        assert_true(batch_crc_check(bb));
        ha.crc = hb.crc;
        ha.base_timestamp = hb.base_timestamp;
        ha.max_timestamp = hb.max_timestamp;
        batch_header_write(&ha, (uint8_t *)(uintptr_t)ba.data);
        assert_memory_equal(ba.data, bb.data, ba.len);
    }
}

static size_t read_kafkas(const char *path, uint8_t *out, size_t max)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t n = fread(out, 1, max, file);
    fclose(file);
    return n;
}

static void the_file_is_kafkas(void **state)
{
    UNUSED(state);
    struct format_options opt = {0};
    struct bootstrap_features f;
    struct buf ours = {0};
    struct errmsg em;
    uint8_t kafkas[4096];
    size_t n = read_kafkas(TEST_DATA "/metadata/cluster3-node1/bootstrap.checkpoint", kafkas,
                           sizeof kafkas);
    assert_int_equal(0, bootstrap_choose(&opt, &f, &em));
    bootstrap_encode(&f, 5, &ours);
    same_but_times(kafkas, n, buf_bytes(&ours), 0);
    buf_free(&ours);
}

/* `format --standalone` of Kafka, on node 1 with CONTROLLER://localhost:9093. */
static void the_first_snapshot_of_a_sole_voter_is_kafkas(void **state)
{
    UNUSED(state);
    enum { TIME_IN_HEADER_RECORD = 61 + 13 }; /* behind the batch's header, the record's, the key */
    struct format_voter voter = {"CONTROLLER", "localhost", 9093, UUID_ZERO};
    struct uuid dir;
    struct buf ours = {0};
    uint8_t kafkas[4096];
    size_t n =
        read_kafkas(TEST_DATA "/metadata/standalone/00000000000000000000-0000000000.checkpoint",
                    kafkas, sizeof kafkas);
    assert_int_equal(0, uuid_parse("D5-Q3upITd6oCZeY-zpBrw", 22, &dir));
    bootstrap_encode_voter(1, dir, &voter, 5, &ours);
    same_but_times(kafkas, n, buf_bytes(&ours), TIME_IN_HEADER_RECORD);
    buf_free(&ours);
}

static void sole_voter(struct world *w)
{
    struct format_options opt = usual;
    struct format_voter voter = {"CONTROLLER", "h", 9, UUID_ZERO};
    struct format_meta m[2];
    struct io_stat st;
    const char *snapshot =
        "/a/b/log/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint";
    opt.voter = &voter;
    assert_int_equal(0, format(w, &opt));
    assert_int_equal(0, io_stat(w->io, snapshot, &st));
    assert_int_equal(ERR_NOTFOUND, io_stat(w->io, "/d2/__cluster_metadata-0", &st));
    /* cut short before meta.properties: it can be done again, with a directory id that was chosen
     */
    assert_int_equal(0, io_unlink(w->io, "/a/b/log/meta.properties"));
    opt.ignore_formatted = true;
    voter.directory_id = uuid_reserved(7);
    voter.directory_id.b[0] = 1;
    assert_int_equal(0, format(w, &opt));
    assert_int_equal(0, format_load(w->io, dirs, 2, 7, m, NULL, &w->em));
    assert_true(uuid_eq(voter.directory_id, m[0].directory_id));
    /* but a log that holds more is somebody's */
    assert_int_equal(0, io_unlink(w->io, "/a/b/log/meta.properties"));
    write_file(w, "/a/b/log/__cluster_metadata-0/00000000000000000000.log", "x");
    assert_int_equal(ERR_CONFLICT, format(w, &opt));
    assert_non_null(strstr(w->em.text, "__cluster_metadata-0"));
}

static void a_sole_voter_is_formatted(void **state)
{
    UNUSED(state);
    with_world(sole_voter);
}

static void damaged_bootstrap(struct world *w)
{
    struct arena a = {0};
    struct bytes *records;
    size_t n;
    struct buf file = {0};
    assert_int_equal(0, io_mkdir(w->io, "/d2"));
    assert_int_equal(0, bootstrap_read(w->io, "/d2", &a, &records, &n, &w->em));
    assert_int_equal(6, n); /* the release's */
    struct format_options opt = {0};
    struct bootstrap_features f;
    assert_int_equal(0, bootstrap_choose(&opt, &f, &w->em));
    bootstrap_encode(&f, 5, &file);
    for (size_t cut = 0; cut <= file.len; cut++) {
        assert_int_equal(0, io_replace_file(w->io, "/d2/bootstrap.checkpoint", file.data, cut));
        int err = bootstrap_read(w->io, "/d2", &a, &records, &n, &w->em);
        assert_int_equal(cut == file.len ? 0 : ERR_CORRUPT, err);
        arena_reset(&a);
    }
    for (size_t at = 12; at < file.len;
         at += 7) { /* a base offset is not covered by the checksum */
        if ((at >= 83 && at < 95) || (at >= 336 && at < 348) || (at >= 12 && at < 16) ||
            (at >= 95 && at < 99) || (at >= 348 && at < 352)) {
            continue;
        }
        file.data[at] ^= 0x40;
        assert_int_equal(0,
                         io_replace_file(w->io, "/d2/bootstrap.checkpoint", file.data, file.len));
        assert_int_not_equal(0, bootstrap_read(w->io, "/d2", &a, &records, &n, &w->em));
        assert_non_null(strstr(w->em.text, "bootstrap.checkpoint"));
        file.data[at] ^= 0x40;
        arena_reset(&a);
    }
    arena_free(&a);
    buf_free(&file);
}

static void a_damaged_file_is_told(void **state)
{
    UNUSED(state);
    with_world(damaged_bootstrap);
}

static void releases_have_levels(void **state)
{
    UNUSED(state);
    assert_int_equal(30, format_metadata_version("4.3"));
    assert_int_equal(30, format_metadata_version("4.3-IV0"));
    assert_int_equal(25, format_metadata_version("4.0"));
    assert_int_equal(22, format_metadata_version("4.0-IV0"));
    assert_int_equal(7, format_metadata_version("3.3"));
    assert_int_equal(0, format_metadata_version("2.8"));
    assert_int_equal(0, format_metadata_version(""));
    assert_int_equal(0, format_metadata_version("4"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_formatted_loads),
        cmocka_unit_test(formatted_directories_are_left_alone),
        cmocka_unit_test(foreign_directories_are_refused),
        cmocka_unit_test(a_node_without_a_file_formats_its_own),
        cmocka_unit_test(bad_options_leave_nothing),
        cmocka_unit_test(a_formatting_cut_short_can_be_done_again),
        cmocka_unit_test(the_file_is_kafkas),
        cmocka_unit_test(the_first_snapshot_of_a_sole_voter_is_kafkas),
        cmocka_unit_test(a_sole_voter_is_formatted),
        cmocka_unit_test(a_damaged_file_is_told),
        cmocka_unit_test(releases_have_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
