#include "controller/leaderless.h"

enum { LOST_DIRECTORY = 2, RESERVED_BELOW = 100 }; /* ids that name no directory, but a state */

bool replica_directory_works(const struct image_broker *b, struct uuid dir)
{
    struct uuid low = uuid_reserved(dir.b[15]);
    if (uuid_eq(dir, low) && dir.b[15] < RESERVED_BELOW) {
        return dir.b[15] != LOST_DIRECTORY;
    }
    for (uint32_t i = 0; i < b->log_dirs_n; i++) {
        if (uuid_eq(b->log_dirs[i], dir)) {
            return true;
        }
    }
    return b->log_dirs_n == 0; /* from before directories were reported */
}

static bool directory_works(const struct image_broker *b, const struct image_partition *p)
{
    for (uint32_t i = 0; i < p->directories_n; i++) {
        if (p->replicas[i] == b->id) {
            return replica_directory_works(b, p->directories[i]);
        }
    }
    return true;
}

const char *leaderless_hindrance(const struct image *img, const struct sessions *sessions,
                                 const struct image_partition *p, int32_t id)
{
    const struct image_broker *b = image_broker(img, id);
    const struct session_of_broker *s = sessions ? sessions_find(sessions, id) : NULL;
    return b == NULL                   ? "not registered"
           : b->fenced                 ? "fenced"
           : s && s->fencing           ? "being fenced"
           : b->in_controlled_shutdown ? "shutting down"
           : directory_works(b, p)     ? NULL
                                       : "its directory does not work";
}

void leaderless_put(struct buf *out, const struct image *img, const struct sessions *sessions,
                    const struct image_partition *p, const int32_t *ids, uint32_t n)
{
    if (n == 0) {
        buf_put_str(out, "none");
    }
    for (uint32_t i = 0; i < n; i++) {
        const char *why = leaderless_hindrance(img, sessions, p, ids[i]);
        buf_printf(out, why ? "%s%d (%s)" : "%s%d", i > 0 ? ", " : "", (int)ids[i], why);
    }
}
