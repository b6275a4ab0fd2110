/* See hooks.h: breaches in the disk and in storage. A name __wrap_x is called in place of x, which
 * is __real_x here (CMakeLists.txt has the list). */
#include "proto/record_batch.h"
#include "sim/hooks.h"
#include "storage/log.h"
#include "storage/producer_state.h"

const bool hooks_can_break = true;

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

int64_t __real_sim_disk_write(struct sim_inode *ino, const struct iovec *iov, int iovcnt,
                              uint64_t off, uint64_t limit);
int64_t __wrap_sim_disk_write(struct sim_inode *ino, const struct iovec *iov, int iovcnt,
                              uint64_t off, uint64_t limit);
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

int __real_sim_disk_truncate(struct sim_inode *ino, uint64_t size);
int __wrap_sim_disk_truncate(struct sim_inode *ino, uint64_t size);
int __wrap_sim_disk_truncate(struct sim_inode *ino, uint64_t size)
{
    if (size < ino->size && hooks_strike(MUTANT_CUT, 1)) {
        return 0;
    }
    return __real_sim_disk_truncate(ino, size);
}

/* ---- production code ---- */

bool __real_batch_crc_check(struct bytes batch);
bool __wrap_batch_crc_check(struct bytes batch);
bool __wrap_batch_crc_check(struct bytes batch)
{
    bool good = __real_batch_crc_check(batch);
    return good || (in_product() && hooks_strike(MUTANT_CRC, 1));
}

const struct producer_batch *__real_producer_duplicate(const struct producer *p,
                                                       const struct batch_header *h);
const struct producer_batch *__wrap_producer_duplicate(const struct producer *p,
                                                       const struct batch_header *h);
const struct producer_batch *__wrap_producer_duplicate(const struct producer *p,
                                                       const struct batch_header *h)
{
    const struct producer_batch *b = __real_producer_duplicate(p, h);
    return b != NULL && hooks_strike(MUTANT_SEQUENCE, 1) ? NULL : b;
}

enum plog_result __real_producer_check(struct producer *p, const struct batch_header *h,
                                       int64_t base, enum plog_origin origin);
enum plog_result __wrap_producer_check(struct producer *p, const struct batch_header *h,
                                       int64_t base, enum plog_origin origin);
enum plog_result __wrap_producer_check(struct producer *p, const struct batch_header *h,
                                       int64_t base, enum plog_origin origin)
{
    enum plog_result res = __real_producer_check(p, h, base, origin);
    return res != PLOG_APPENDED && hooks_strike(MUTANT_SEQUENCE, 1) ? PLOG_APPENDED : res;
}

/* One batch in a hundred is answered and not appended; of a coordinator's more. */
unsigned __real_plog_append(struct plog *log, struct plog_batch *batches, unsigned count,
                            const struct plog_append_args *args);
unsigned __wrap_plog_append(struct plog *log, struct plog_batch *batches, unsigned count,
                            const struct plog_append_args *args);
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

int64_t __real_plog_flushed_offset(const struct plog *log);
int64_t __wrap_plog_flushed_offset(const struct plog *log);
int64_t __wrap_plog_flushed_offset(const struct plog *log)
{
    return hooks_strike(MUTANT_EARLY, 1) ? plog_end_offset(log) : __real_plog_flushed_offset(log);
}
