/* Input: a byte that says which small file of a log directory follows, then the file (enum kind).
 *
 * Demanded: a sentence where it is refused; what is taken survives being written and read again. */
#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/properties.h"
#include "fuzz_disk.h"
#include "storage/log_dir.h"
#include "storage/producer_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum kind {
    META_PROPERTIES,
    PARTITION_METADATA,
    OFFSETS,         /* one of the four offset checkpoints */
    EPOCHS,          /* leader-epoch-checkpoint */
    SNAPSHOT,        /* of producers, as it is */
    SNAPSHOT_SEALED, /* of producers, its checksum made right first */
    PROPERTIES,      /* a configuration file */
    CLEAN_MARK,
    DIR_NAMES, /* names of folders, a line each */
    KINDS,
};

struct file {
    struct fuzz_disk *d;
    struct bytes text;
};

/* ---- through the disk ---- */

static void meta(void *arg)
{
    struct file *f = arg;
    struct meta_properties m[2];
    struct errmsg em = {{0}};
    fuzz_disk_put(f->d, LOG_DIR_META, f->text);
    int rc = meta_properties_read(f->d->io, FUZZ_DIR, &m[0], &em);
    ASSERT(rc == 0 || em.text[0] != 0);
    if (rc != 0 || m[0].version != 1) { /* only version 1 is written */
        return;
    }
    rc = meta_properties_write(f->d->io, FUZZ_DIR, &m[0]);
    ASSERT(rc == 0);
    rc = meta_properties_read(f->d->io, FUZZ_DIR, &m[1], &em);
    ASSERT(rc == 0 && m[1].node_id == m[0].node_id);
    ASSERT(strcmp(m[0].cluster_id, m[1].cluster_id) == 0);
    ASSERT(uuid_eq(m[0].directory_id, m[1].directory_id));
}

static void partition_metadata(void *arg)
{
    struct file *f = arg;
    struct uuid id[2];
    struct errmsg em = {{0}};
    fuzz_disk_put(f->d, "partition.metadata", f->text);
    int rc = partition_metadata_read(f->d->io, FUZZ_DIR, &id[0], &em);
    ASSERT(rc == 0 || em.text[0] != 0);
    if (rc == 0) {
        rc = partition_metadata_write(f->d->io, FUZZ_DIR, id[0]);
        ASSERT(rc == 0);
        rc = partition_metadata_read(f->d->io, FUZZ_DIR, &id[1], &em);
        ASSERT(rc == 0 && uuid_eq(id[0], id[1]));
    }
}

static void offsets(void *arg)
{
    struct file *f = arg;
    struct offset_table t = {0};
    struct offset_table again = {0};
    struct errmsg em = {{0}};
    fuzz_disk_put(f->d, CHECKPOINT_REPLICATION, f->text);
    int rc = offset_checkpoint_read(f->d->io, FUZZ_DIR, CHECKPOINT_REPLICATION, &t, &em);
    ASSERT(rc == 0 || em.text[0] != 0);
    if (rc == 0) {
        rc = offset_checkpoint_write(f->d->io, FUZZ_DIR, CHECKPOINT_LOG_START, &t);
        ASSERT(rc == 0);
        rc = offset_checkpoint_read(f->d->io, FUZZ_DIR, CHECKPOINT_LOG_START, &again, &em);
        ASSERT(rc == 0 && again.map.count == t.map.count);
        for (const struct offset_entry *e = t.first; e; e = e->next) {
            ASSERT(e->partition >= 0);
            ASSERT(offset_table_get(&again, e->name, e->offset - 1) == e->offset);
        }
    }
    offset_table_free(&t);
    offset_table_free(&again);
}

/* A log directory whose mark of a clean stop, or one of whose folders, has these bytes. */
static void open_dir(struct file *f)
{
    struct log_dir *dir = NULL;
    struct errmsg em = {{0}};
    int rc = log_dir_open(f->d->io, &f->d->lg, 0, FUZZ_DIR, false, &dir, &em);
    ASSERT(rc == 0 || em.text[0] != 0);
    if (rc == 0) {
        for (size_t i = 0; i < dir->entry_count; i++) {
            ASSERT(dir->entries[i].name[0] != 0 && dir->entries[i].partition >= 0);
        }
        rc = log_dir_close(dir, false, -1);
        ASSERT(rc == 0);
    }
}

static void clean_mark(void *arg)
{
    struct file *f = arg;
    fuzz_disk_put(f->d, LOG_DIR_CLEAN_SHUTDOWN, f->text);
    open_dir(f);
}

static void dir_names(void *arg)
{
    struct file *f = arg;
    char path[sizeof FUZZ_DIR + 256];
    size_t len = 0;
    strcpy(path, FUZZ_DIR "/");
    for (size_t i = 0; i <= f->text.len && len < 250; i++) {
        uint8_t c = i < f->text.len ? f->text.data[i] : '\n';
        if (c != '\n' && c != 0 && c != '/') {
            path[sizeof FUZZ_DIR + len++] = (char)c;
        } else if (len > 0) {
            path[sizeof FUZZ_DIR + len] = 0;
            (void)io_mkdir(f->d->io, path); /* "." and twins are refused */
            len = 0;
        }
    }
    open_dir(f);
}

static void with_disk(void (*fn)(void *arg), struct bytes text)
{
    struct fuzz_disk d;
    struct file f = {.d = &d, .text = text};
    fuzz_disk_init(&d);
    fuzz_disk_run(&d, fn, &f);
    fuzz_disk_free(&d);
}

/* ---- bytes alone ---- */

static int each_epoch(void *ctx, int64_t epoch, int64_t start)
{
    uint32_t *n = ctx;
    (*n)++;
    return epoch < 0 || start < 0 ? ERR_CORRUPT : 0;
}

static void epochs(struct bytes text)
{
    struct errmsg em = {{0}};
    uint32_t n = 0;
    int rc = checkpoint_parse_pairs(text, each_epoch, &n, &em);
    ASSERT(rc == 0 || em.text[0] != 0);
    ASSERT(n <= text.len);
}

static void snapshot(struct bytes text, int64_t now_ms, int64_t expiration_ms)
{
    struct producer_state ps[2];
    struct buf out = {0};
    producer_state_init(&ps[0]);
    producer_state_init(&ps[1]);
    if (producer_snapshot_read(&ps[0], text, now_ms, expiration_ms) == 0) {
        producer_snapshot_put(&ps[0], &out);
        int rc = producer_snapshot_read(&ps[1], buf_bytes(&out), 0, INT64_MAX);
        ASSERT(rc == 0 && ps[1].map.count <= ps[0].map.count);
        ASSERT(expiration_ms != INT64_MAX || ps[1].map.count == ps[0].map.count);
        (void)producer_first_unstable(&ps[0]);
        (void)producer_expire(&ps[0], now_ms, expiration_ms, NULL);
        producer_high_watermark(&ps[0], INT64_MAX);
    }
    producer_state_free(&ps[0]);
    producer_state_free(&ps[1]);
    buf_free(&out);
}

static void snapshot_sealed(struct bytes text)
{
    enum { HEAD = 10, AT_CRC = 2, AT_COUNT = 6, ENTRY = 46 };
    struct buf b = {0};
    buf_put(&b, text.data, text.len);
    if (b.len >= HEAD) {
        size_t n = (b.len - HEAD) / ENTRY;
        b.len = HEAD + n * ENTRY;
        store_be16(b.data, 1);
        store_be32(b.data + AT_COUNT, (uint32_t)n);
        store_be32(b.data + AT_CRC, crc32c(0, b.data + AT_COUNT, b.len - AT_COUNT));
    }
    snapshot(buf_bytes(&b), 1700000000000, 86400000);
    buf_free(&b);
}

static int each_property(void *ctx, const char *key, const char *value, unsigned line)
{
    struct bytes *text = ctx;
    ASSERT(line >= 1 && line <= text->len + 1);
    ASSERT(strlen(key) + strlen(value) <= text->len);
    return 0;
}

static void properties(struct bytes text)
{
    struct errmsg em = {{0}};
    int rc = properties_parse(text, each_property, &text, &em);
    ASSERT(rc == 0 || em.text[0] != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    struct bytes text = bytes_of(data + 1, size - 1);
    switch ((enum kind)(data[0] % KINDS)) {
    case META_PROPERTIES:
        with_disk(meta, text);
        break;
    case PARTITION_METADATA:
        with_disk(partition_metadata, text);
        break;
    case OFFSETS:
        with_disk(offsets, text);
        break;
    case EPOCHS:
        epochs(text);
        break;
    case SNAPSHOT:
        snapshot(text, 0, INT64_MAX);
        break;
    case SNAPSHOT_SEALED:
        snapshot_sealed(text);
        break;
    case PROPERTIES:
        properties(text);
        break;
    case CLEAN_MARK:
        with_disk(clean_mark, text);
        break;
    case DIR_NAMES:
        with_disk(dir_names, text);
        break;
    case KINDS:
        break;
    }
    return 0;
}
