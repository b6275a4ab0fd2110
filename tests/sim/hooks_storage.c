/* See hooks.h: breaches in the disk and in storage. A name __wrap_x is called in place of x, which
 * is __real_x here (CMakeLists.txt has the list). */
#include <string.h>

#include "proto/record_batch.h"
#include "sim/hooks.h"
#include "storage/log.h"
#include "storage/producer_state.h"

const bool hooks_can_break = true;

/* Of the type of what they stand for, so that a change there does not compile here. */
#define WRAP(fn)                \
    __typeof__(fn) __real_##fn; \
    __typeof__(fn) __wrap_##fn

static bool in_product(void)
{
    const struct sim *s = hooks_world();
    if (s == NULL) {
        return false;
    }
    list_for_each (it, &s->hosts) {
        const struct sim_host *h = LIST_ENTRY(it, struct sim_host, node);
        list_for_each (jt, &h->procs) {
            if (LIST_ENTRY(jt, struct sim_proc, node)->home != NULL) {
                return true;
            }
        }
    }
    return false;
}

/* ---- the disk ---- */

WRAP(sim_disk_write);
int64_t __wrap_sim_disk_write(struct sim_inode *ino, const struct iovec *iov, int iovcnt,
                              uint64_t off, uint64_t limit)
{
    int64_t wanted = 0;
    for (int i = 0; i < iovcnt; i++) {
        wanted += (int64_t)iov[i].iov_len;
    }
    return limit == UINT64_MAX && hooks_strike(MUTANT_WRITE, 50)
               ? wanted
               : __real_sim_disk_write(ino, iov, iovcnt, off, limit);
}

WRAP(sim_disk_truncate);
int __wrap_sim_disk_truncate(struct sim_inode *ino, uint64_t size)
{
    if (size < ino->size && hooks_strike(MUTANT_CUT, 1)) {
        return 0;
    }
    return __real_sim_disk_truncate(ino, size);
}

/* ---- a log's copy in another directory that takes its place unflushed ---- */

static struct sim_sync *unflushed[8]; /* flushes of such copies under way */

static struct sim_inode *folder_of(struct sim_disk *d, const struct sim_inode *ino,
                                   const char **name)
{
    list_for_each (it, &d->inodes) {
        struct sim_inode *dir = LIST_ENTRY(it, struct sim_inode, node);
        for (size_t i = 0; dir->is_dir && i < dir->now.n; i++) {
            if (dir->now.v[i].inode == ino) {
                *name = dir->now.v[i].name;
                return dir;
            }
        }
    }
    return NULL;
}

static bool is_of_copy(struct sim_inode *ino)
{
    static const char suffix[] = "-future";
    const char *name = "";
    const struct sim_inode *dir = folder_of(ino->disk, ino, &name);
    if (dir == NULL || folder_of(ino->disk, dir, &name) == NULL) {
        return false;
    }
    size_t n = strlen(name);
    return n >= sizeof(suffix) && strcmp(name + n - sizeof(suffix) + 1, suffix) == 0;
}

WRAP(sim_disk_sync_begin);
struct sim_sync *__wrap_sim_disk_sync_begin(struct sim_inode *ino)
{
    struct sim_sync *s = __real_sim_disk_sync_begin(ino);
    for (size_t i = 0; hooks_breaks(MUTANT_SWAP) && i < ARRAY_LEN(unflushed); i++) {
        if (unflushed[i] == NULL && is_of_copy(ino) && hooks_strike(MUTANT_SWAP, 1)) {
            unflushed[i] = s;
            break;
        }
    }
    return s;
}

WRAP(sim_disk_sync_end);
int __wrap_sim_disk_sync_end(struct sim_sync *s)
{
    for (size_t i = 0; i < ARRAY_LEN(unflushed); i++) {
        if (unflushed[i] == s) {
            unflushed[i] = NULL;
            sim_disk_sync_drop(s);
            return 0;
        }
    }
    return __real_sim_disk_sync_end(s);
}

/* ---- production code ---- */

WRAP(batch_crc_check);
bool __wrap_batch_crc_check(struct bytes batch)
{
    bool good = __real_batch_crc_check(batch);
    return good || (in_product() && hooks_strike(MUTANT_CRC, 1));
}

WRAP(producer_duplicate);
const struct producer_batch *__wrap_producer_duplicate(const struct producer *p,
                                                       const struct batch_header *h)
{
    const struct producer_batch *b = __real_producer_duplicate(p, h);
    return b != NULL && hooks_strike(MUTANT_SEQUENCE, 1) ? NULL : b;
}

WRAP(producer_check);
enum plog_result __wrap_producer_check(struct producer *p, const struct batch_header *h,
                                       int64_t base, enum plog_origin origin)
{
    enum plog_result res = __real_producer_check(p, h, base, origin);
    return res != PLOG_APPENDED && hooks_strike(MUTANT_SEQUENCE, 1) ? PLOG_APPENDED : res;
}

/* One batch in a hundred is answered and not appended; of a coordinator's more. */
WRAP(plog_append);
unsigned __wrap_plog_append(struct plog *log, struct plog_batch *batches, unsigned count,
                            const struct plog_append_args *args)
{
    struct batch_header h;
    bool lie = (args->origin == PLOG_CLIENT && hooks_strike(MUTANT_ACK, 100)) ||
               (args->origin == PLOG_COORDINATOR && hooks_strike(MUTANT_COMMIT, 15));
    if (!lie || count != 1 || batch_header_read(bytes_of(batches->data, batches->len), &h) != 0) {
        return __real_plog_append(log, batches, count, args);
    }
    batches->result = PLOG_APPENDED;
    batches->base_offset = plog_end_offset(log);
    batches->last_offset = batches->base_offset + h.last_offset_delta;
    batches->append_time_ms = -1;
    return 0;
}

WRAP(plog_flushed_offset);
int64_t __wrap_plog_flushed_offset(const struct plog *log)
{
    return hooks_strike(MUTANT_EARLY, 1) ? plog_end_offset(log) : __real_plog_flushed_offset(log);
}
