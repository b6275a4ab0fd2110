/* Commands of the doctor that mend many things at once: what it says is to be typed once, however
 * many topics or partitions it is about. They are for a shell, and quote nothing but JSON: names of
 * topics have letters, digits, points, underscores and hyphens. */
#include "base/buf.h"
#include "tools/doctor.h"

static const char *kept(struct arena *a, struct buf *b)
{
    const char *text = arena_strndup(a, b->data, b->len);
    buf_free(b);
    return text;
}

const char *doctor_alter(const struct doctor_picture *pic, struct arena *a, const char *entity,
                         const char *list, int32_t n, const char *change)
{
    const char *command = arena_printf(a, "millrace configs --bootstrap-server %s --alter --%s",
                                       pic->servers, entity);
    return n == 1 ? arena_printf(a, "%s%s %s", command, list, change)
                  : arena_printf(a, "for e in%s; do %s $e %s; done", list, command, change);
}

const char *doctor_alter_topics(const struct doctor_picture *pic, struct arena *a,
                                const struct doctor_finding *f, const char *change)
{
    struct buf b = {0};
    for (int32_t i = 0; i < f->places_n; i++) {
        buf_printf(&b, " %.*s", BYTES_FMT(f->places[i].topic));
    }
    return doctor_alter(pic, a, "topic", kept(a, &b), f->places_n, change);
}

const char *doctor_elect_unclean(const struct doctor_picture *pic, struct arena *a,
                                 const struct doctor_place *places, int32_t n)
{
    const char *command = arena_printf(
        a, "millrace leader-election --bootstrap-server %s --election-type unclean", pic->servers);
    if (n == 1) {
        return arena_printf(a, "%s --topic %.*s --partition %d", command,
                            BYTES_FMT(places[0].topic), places[0].partition);
    }
    struct buf b = {0};
    for (int32_t i = 0; i < n; i++) {
        buf_printf(&b, "%s{\"topic\":\"%.*s\",\"partition\":%d}", i ? "," : "",
                   BYTES_FMT(places[i].topic), places[i].partition);
    }
    return arena_printf(a, "echo '{\"partitions\":[%s]}' | %s --path-to-json-file -", kept(a, &b),
                        command);
}
