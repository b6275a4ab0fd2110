/* A future log takes its final name (storage/plog_promote.c): what it has stays readable, and the
 * files that it was about to remove are removed under the new name. */
#include "storage_rig.h"

#include <dirent.h>

#include "storage/plog.h"

enum { DELETE_DELAY_MS = 1000 };

/* Files in the folder whose name ends so. */
static unsigned files_with(const struct rig *r, const char *folder, const char *suffix)
{
    char path[512];
    unsigned n = 0;
    DIR *d = opendir(rig_path(r, folder, path));
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        size_t len = strlen(e->d_name);
        size_t k = strlen(suffix);
        n += len > k && strcmp(e->d_name + len - k, suffix) == 0;
    }
    closedir(d);
    return n;
}

static void flushed(struct plog_flush *f, int err)
{
    assert_int_equal(err, 0);
    *(bool *)f->user = true;
}

static void promoted(struct plog_promotion *p, int err)
{
    assert_int_equal(err, 0);
    *(bool *)p->user = true;
}

static void what_waits_for_its_removal_is_removed(void **state)
{
    struct rig r;
    struct buf name = {0};
    struct plog_flush flush;
    struct plog_promotion promotion;
    unsigned deleted;
    struct {
        bool flushed;
        bool promoted;
    } came = {0};
    (void)state;
    rig_init(&r);
    r.config.file_delete_delay_ms = DELETE_DELAY_MS;
    r.config.retention_ms = -1;
    plog_future_name(r.io, "t-0", &name);
    struct plog *log = rig_create(&r, buf_cstr(&name));
    rig_fill(log, 2, 5, 100);
    assert_int_equal(plog_roll(log), 0);
    rig_fill(log, 2, 5, 100);
    assert_int_equal(plog_set_start_offset(log, 10), 0);
    assert_int_equal(plog_retention(log, &deleted), 0);
    assert_int_equal(deleted, 1);
    assert_true(files_with(&r, buf_cstr(&name), ".deleted") > 0);
    plog_flush_start(log, &flush, flushed, &came.flushed);
    rig_until(&r, came.flushed && plog_is_durable(log));
    plog_promote(log, &promotion, promoted, &came.promoted);
    rig_until(&r, came.promoted);
    assert_string_equal(plog_name(log), "t-0");
    assert_int_equal(rig_count(log), 2);
    rig_until(&r, list_empty(&r.st.deletions) && r.st.unlinking == NULL);
    assert_int_equal(files_with(&r, "t-0", ".deleted"), 0);
    plog_close(log);
    buf_free(&name);
    rig_free(&r);
}

/* A batch that is deleted before the copy begins is not in the copy, and its producer, which has
 * not heard of it yet, sends it again. */
static void a_copy_knows_what_was_deleted_before_it_was_made(void **state)
{
    struct rig r;
    struct buf name = {0};
    const struct rig_batch first = {.records = 5, .time = RIG_TIME, .pid = 7};
    struct rig_batch other = {.records = 5, .time = RIG_TIME, .pid = 8};
    (void)state;
    rig_init(&r);
    plog_future_name(r.io, "t-0", &name);
    struct plog *old = rig_create(&r, "t-0");
    struct plog *copy = rig_create(&r, buf_cstr(&name));
    assert_int_equal(rig_append(old, &first).result, PLOG_APPENDED);
    assert_int_equal(rig_append(old, &other).result, PLOG_APPENDED);
    plog_set_high_watermark(old, 10);
    assert_int_equal(plog_set_start_offset(old, 5), 0);
    assert_int_equal(plog_truncate_fully(copy, 5), 0);
    other.offset = 5;
    assert_int_equal(rig_append_as(copy, &other, PLOG_REPLICATION).result, PLOG_APPENDED);
    plog_take_producers(copy, old);
    struct plog_batch again = rig_append(copy, &first);
    assert_int_equal(again.result, PLOG_DUPLICATE);
    assert_int_equal(again.base_offset, 0);
    plog_close(old);
    plog_close(copy);
    buf_free(&name);
    rig_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_waits_for_its_removal_is_removed),
        cmocka_unit_test(a_copy_knows_what_was_deleted_before_it_was_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
