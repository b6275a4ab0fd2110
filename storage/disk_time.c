#include "storage/disk_time.h"

#include <stdio.h>

static const int64_t minute_us = (int64_t)DISK_TIME_MS * 1000;

static void turn_over(struct disk_time *t, int64_t now_us)
{
    int64_t age = now_us - t->began_us;
    if (age < minute_us) {
        return;
    }
    t->before = age < 2 * minute_us ? t->longest : (struct disk_longest){0};
    t->longest = (struct disk_longest){0};
    t->began_us = now_us;
}

void disk_time_add(struct disk_time *t, int64_t from_us, int64_t to_us, const char *where)
{
    int64_t us = to_us > from_us ? to_us - from_us : 0;
    t->count++;
    t->sum_us += (uint64_t)us;
    turn_over(t, to_us);
    if (us > t->longest.us) {
        t->longest.us = us;
        t->longest.at_us = to_us;
        snprintf(t->longest.where, sizeof t->longest.where, "%s", where);
    }
}

struct disk_longest disk_time_longest(const struct disk_time *t, int64_t now_us)
{
    struct disk_longest none = {0};
    struct disk_longest now = now_us - t->longest.at_us < 2 * minute_us ? t->longest : none;
    struct disk_longest before = now_us - t->before.at_us < 2 * minute_us ? t->before : none;
    return now.us >= before.us ? now : before;
}
