#include "broker/run_before.h"

#include "controller/image.h"
#include "storage/log_dir.h"

/* Of the others main hears later. */
static bool disk_has_failed(const struct node *n)
{
    return n->failed_dirs != 0 || n->disk_failed;
}

static bool has_mark(const struct log_dir *d)
{
    return d != NULL && d->previous_broker_epoch >= 0;
}

/* Something hangs on a note; and nothing else is missing. */
bool run_before_is_open(const struct node *n)
{
    bool any = false;
    for (unsigned i = 0; i < n->log_dirs_n; i++) {
        const struct log_dir *d = n->log_dirs[i];
        if (!node_dir_is_online(n, i) || !(has_mark(d) || d->kept)) {
            return false;
        }
        any = any || d->kept;
    }
    return any;
}

/* The broker was registered with exactly the directories that it has now. */
static bool same_dirs(const struct node *n, const struct image_broker *b)
{
    unsigned found = 0;
    for (unsigned i = 0; i < n->log_dirs_n; i++) {
        for (uint32_t k = 0; k < b->log_dirs_n; k++) {
            found += uuid_eq(n->log_dirs[i]->meta.directory_id, b->log_dirs[k]);
        }
    }
    return found == n->log_dirs_n && found == b->log_dirs_n;
}

/* Opening the logs has not taken the note away. */
static bool still_noted(const struct log_dir *d)
{
    struct last_run now;
    return last_run_read(d->io, d->path, &now) == 0;
}

static int64_t epoch_of(const struct log_dir *d, const struct image_broker *b)
{
    if (!d->kept) {
        return d->previous_broker_epoch;
    }
    const struct last_run *r = &d->last_run;
    bool its = !uuid_is_zero(r->incarnation) && uuid_eq(r->incarnation, b->incarnation);
    return still_noted(d) && (its || r->broker_epoch == b->epoch) ? b->epoch : -1;
}

static int64_t kept_epoch(const struct node *n)
{
    const struct image *img = n->shards[0].image;
    const struct image_broker *b = img ? image_broker(img, n->id) : NULL;
    if (b == NULL || !run_before_is_open(n) || disk_has_failed(n) || !same_dirs(n, b)) {
        return -1;
    }
    for (unsigned i = 0; i < n->log_dirs_n; i++) {
        if (epoch_of(n->log_dirs[i], b) != b->epoch) {
            return -1;
        }
    }
    return b->epoch;
}

/* Of the marks of a clean stop, which need nothing else. */
static int64_t marked_epoch(const struct node *n)
{
    int64_t epoch = -1;
    for (unsigned i = 0; i < n->log_dirs_n; i++) {
        const struct log_dir *d = n->log_dirs[i];
        if (!has_mark(d) || (i > 0 && d->previous_broker_epoch != epoch)) {
            return -1;
        }
        epoch = d->previous_broker_epoch;
    }
    return epoch;
}

int64_t run_before_epoch(const struct node *n)
{
    int64_t epoch = kept_epoch(n);
    return epoch >= 0 ? epoch : marked_epoch(n);
}

void run_before_keep(struct node *n)
{
    int64_t epoch = run_before_epoch(n);
    for (unsigned i = 0; epoch >= 0 && i < n->log_dirs_n; i++) {
        n->log_dirs[i]->previous_broker_epoch = epoch;
    }
}

void run_before_note(struct node *n, int64_t epoch_before)
{
    for (unsigned i = 0; i < n->log_dirs_n; i++) {
        const struct log_dir *d = n->log_dirs[i];
        int err = d && !disk_has_failed(n) ? log_dir_note_run(d, epoch_before, n->incarnation) : 0;
        if (err) {
            log_warn(n->log, "lifecycle",
                     "no note of this run could be written, a crash will be taken for a loss of "
                     "power dir=%s error=\"%s\"",
                     d->path, err_text(err));
        }
    }
    /* Asked after the writing: a shard that sees a failure says so before it takes a note away. */
    if (disk_has_failed(n)) {
        run_before_forget(n);
    }
}

static void take_away(const struct node *n, struct io *io, const struct log_dir *d)
{
    int err = last_run_remove(io, d->path);
    if (err) {
        log_warn(n->log, "lifecycle",
                 "the note of a run cannot be taken away, a later start may believe it dir=%s "
                 "error=\"%s\"",
                 d->path, err_text(err));
    }
}

void run_before_forget(struct node *n)
{
    for (unsigned i = 0; i < n->log_dirs_n; i++) {
        if (n->log_dirs[i]) {
            take_away(n, n->log_dirs[i]->io, n->log_dirs[i]);
        }
    }
}

void run_before_disk_failed(struct node_shard *ns, unsigned dir)
{
    ns->node->disk_failed = true;
    (void)last_run_remove(ns->shard->io, ns->node->log_dirs[dir]->path); /* main says if not */
}

void run_before_not_opened(struct node_shard *ns, unsigned dir)
{
    take_away(ns->node, ns->shard->io, ns->node->log_dirs[dir]);
}
