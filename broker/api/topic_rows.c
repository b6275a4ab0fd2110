#include "broker/api/topic_rows.h"

void topic_rows_init(struct topic_rows *rows, struct request *r, bool by_id)
{
    *rows = (struct topic_rows){.r = r, .by_id = by_id, .index.secret = &r->ns->map_secret};
    rows->end = &rows->first;
}

static struct bytes key_of(const struct topic_rows *rows, const struct topic_rows_topic *t)
{
    return rows->by_id ? bytes_of(t->id.b, sizeof t->id.b) : t->name;
}

static void index_all(struct topic_rows *rows)
{
    for (struct topic_rows_topic *t = rows->first; t; t = t->next) {
        map_put(&rows->index, key_of(rows, t), t);
    }
}

struct topic_rows_topic *topic_rows_topic(struct topic_rows *rows, struct bytes name,
                                          struct uuid id)
{
    struct topic_rows_topic probe = {.name = name, .id = id};
    if (rows->index.count == 0) {
        index_all(rows);
    }
    struct topic_rows_topic *t = map_get(&rows->index, key_of(rows, &probe));
    if (t == NULL) {
        t = ARENA_NEW(&rows->r->arena, struct topic_rows_topic);
        *t = probe;
        t->end = &t->first;
        map_put(&rows->index, key_of(rows, t), t);
        *rows->end = t;
        rows->end = &t->next;
        rows->n++;
    }
    return t;
}

void topic_rows_add(struct topic_rows *rows, struct topic_rows_topic *t, int32_t index,
                    int16_t error)
{
    struct topic_rows_partition *p = ARENA_NEW(&rows->r->arena, struct topic_rows_partition);
    p->index = index;
    p->error = error;
    *t->end = p;
    t->end = &p->next;
    t->n++;
}

void topic_rows_rest(struct topic_rows *rows)
{
    map_free(&rows->index);
}
