#include "tools/reassign_json.h"

#include <stdlib.h>

#include "tools/listing.h"
#include "tools/text.h"

#define ANY_DIR "any"

/* Where the reader is: "partitions[3].replicas". */
struct place {
    struct arena *arena;
    struct errmsg *em;
    const char *list;
    size_t i;
};

static int bad(const struct place *at, const char *field, const char *wanted)
{
    return errmsg_set(at->em, ERR_INVALID, "%s[%zu]%s%s is not %s", at->list, at->i,
                      *field ? "." : "", field, wanted);
}

static int read_topic(const struct place *at, const json_t *o, struct replica_set *s)
{
    if (!json_is_object(o)) {
        return bad(at, "", "an object, as {\"topic\":\"orders\", ...}");
    }
    const json_t *t = json_object_get(o, "topic");
    if (!json_is_string(t) || json_string_length(t) == 0) {
        return bad(at, "topic", "the name of a topic (text)");
    }
    size_t n = json_string_length(t);
    s->topic = bytes_of(arena_strndup(at->arena, json_string_value(t), n), n);
    return 0;
}

static int read_partition(const struct place *at, const json_t *o, struct replica_set *s)
{
    const json_t *p = json_object_get(o, "partition");
    json_int_t v = json_integer_value(p);
    if (!json_is_integer(p) || v < 0 || v > INT32_MAX) {
        return bad(at, "partition", "the number of a partition (0 or more)");
    }
    s->partition = (int32_t)v;
    return 0;
}

static int read_replicas(const struct place *at, const json_t *o, struct replica_set *s)
{
    const json_t *list = json_object_get(o, "replicas");
    if (!json_is_array(list)) {
        return bad(at, "replicas", "a list of broker ids, as [1,2,3]");
    }
    size_t n = json_array_size(list);
    s->replicas = ARENA_ARRAY(at->arena, int32_t, n + 1);
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_array_get(list, i);
        json_int_t v = json_integer_value(id);
        if (!json_is_integer(id) || v < INT32_MIN || v > INT32_MAX) {
            return bad(at, "replicas", "a list of broker ids, as [1,2,3]");
        }
        s->replicas[s->replicas_n++] = (int32_t)v;
    }
    return 0;
}

/* Kafka's sentence, with its lists as Java prints them. */
static int sizes_differ(const struct place *at, const json_t *dirs, const struct replica_set *s)
{
    struct buf b = {0};
    for (int32_t i = 0; i < s->replicas_n; i++) {
        buf_printf(&b, "%s%d", i ? ", " : "", s->replicas[i]);
    }
    buf_put_str(&b, "] is different from size of log dirs list [");
    for (size_t i = 0; i < json_array_size(dirs); i++) {
        const char *dir = json_string_value(json_array_get(dirs, i));
        buf_printf(&b, "%s%s", i ? ", " : "", dir ? dir : "?");
    }
    int rv = errmsg_set(at->em, ERR_INVALID, "Size of replicas list [%.400s] for partition %.*s-%d",
                        buf_cstr(&b), BYTES_FMT(s->topic), s->partition);
    buf_free(&b);
    return rv;
}

static int read_dirs(const struct place *at, const json_t *o, struct replica_set *s)
{
    const json_t *list = json_object_get(o, "log_dirs");
    if (list == NULL) {
        return 0;
    }
    if (!json_is_array(list)) {
        return bad(at, "log_dirs", "a list of directories, as [\"any\",\"/data/2\"]");
    }
    size_t n = json_array_size(list);
    if (n != (size_t)s->replicas_n) {
        return sizes_differ(at, list, s);
    }
    s->dirs = ARENA_ARRAY(at->arena, struct bytes, n + 1);
    for (size_t i = 0; i < n; i++) {
        const json_t *dir = json_array_get(list, i);
        if (!json_is_string(dir)) {
            return bad(at, "log_dirs", "a list of directories, as [\"any\",\"/data/2\"]");
        }
        const char *v = json_string_value(dir);
        s->dirs[i] = strcmp(v, ANY_DIR) == 0 ? BYTES_NULL
                                             : bytes_str(arena_strndup(at->arena, v, strlen(v)));
    }
    return 0;
}

static int read_item(const struct place *at, const json_t *o, enum reassign_kind kind,
                     struct replica_set *s)
{
    int rv = read_topic(at, o, s);
    s->partition = -1;
    if (rv == 0 && kind != REASSIGN_TOPICS) {
        rv = read_partition(at, o, s);
    }
    if (rv == 0 && kind == REASSIGN_MOVES) {
        rv = read_replicas(at, o, s);
        rv = rv ? rv : read_dirs(at, o, s);
    }
    return rv;
}

static int check_version(const json_t *root, struct errmsg *em)
{
    const json_t *version = json_object_get(root, "version");
    if (version == NULL || (json_is_integer(version) && json_integer_value(version) == 1)) {
        return 0;
    }
    return json_is_integer(version)
               ? errmsg_set(em, ERR_INVALID, "Not supported version field value %lld",
                            (long long)json_integer_value(version))
               : errmsg_set(em, ERR_INVALID, "version is not a number; 1 is supported");
}

static int read_root(struct arena *a, const json_t *root, enum reassign_kind kind,
                     struct replica_sets *out, struct errmsg *em)
{
    struct place at = {a, em, kind == REASSIGN_TOPICS ? "topics" : "partitions", 0};
    if (!json_is_object(root)) {
        return errmsg_set(em, ERR_INVALID, "There is no JSON object ({...}) in it");
    }
    int rv = kind == REASSIGN_NAMES ? 0 : check_version(root, em);
    const json_t *list = rv ? NULL : json_object_get(root, at.list);
    if (rv == 0 && list == NULL && kind == REASSIGN_NAMES) {
        return errmsg_set(em, ERR_INVALID, "Replica election data is missing \"partitions\" field");
    }
    if (rv == 0 && list && !json_is_array(list)) {
        rv = errmsg_set(em, ERR_INVALID, "%s is not a list ([...])", at.list);
    }
    size_t n = rv ? 0 : json_array_size(list);
    out->v = ARENA_ARRAY(a, struct replica_set, n + 1);
    for (; at.i < n && rv == 0; at.i++) {
        rv = read_item(&at, json_array_get(list, at.i), kind, &out->v[out->n]);
        out->n += rv == 0;
    }
    return rv;
}

int reassign_json_parse(struct arena *a, struct bytes text, enum reassign_kind kind,
                        struct replica_sets *out, struct errmsg *em)
{
    json_error_t je;
    *out = (struct replica_sets){0};
    json_t *root = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &je);
    if (root == NULL) {
        char why[300];
        return errmsg_set(em, ERR_INVALID, "Not valid JSON: %s",
                          json_complaint(&je, text, why, sizeof why));
    }
    int rv = read_root(a, root, kind, out, em);
    json_decref(root);
    return rv;
}

int reassign_json_read(struct arena *a, const char *path, enum reassign_kind kind,
                       struct replica_sets *out, struct errmsg *em)
{
    struct buf text = {0};
    *out = (struct replica_sets){0};
    int rv = tool_read_file(path, &text, em);
    rv = rv ? rv : reassign_json_parse(a, buf_bytes(&text), kind, out, em);
    buf_free(&text);
    return rv;
}

/* ---- what cannot be asked for ---- */

static bool has_twice(const struct replica_set *s, int32_t *id)
{
    for (int32_t i = 0; i < s->replicas_n; i++) {
        if (id_in(s->replicas, i, s->replicas[i])) {
            *id = s->replicas[i];
            return true;
        }
    }
    return false;
}

int reassign_json_check(struct replica_sets *s, struct errmsg *em)
{
    if (s->n == 0) {
        return errmsg_set(em, ERR_INVALID, "Partition reassignment list cannot be empty");
    }
    for (size_t i = 0; i < s->n; i++) {
        if (s->v[i].replicas_n == 0) {
            return errmsg_set(em, ERR_INVALID, "Partition replica list cannot be empty");
        }
    }
    replica_sets_sort(s);
    for (size_t i = 1; i < s->n; i++) {
        if (replica_set_cmp(&s->v[i - 1], &s->v[i]) == 0) {
            return errmsg_set(em, ERR_INVALID,
                              "Partition reassignment contains duplicate topic partitions: %.*s-%d",
                              BYTES_FMT(s->v[i].topic), s->v[i].partition);
        }
    }
    int32_t id;
    for (size_t i = 0; i < s->n; i++) {
        if (has_twice(&s->v[i], &id)) {
            return errmsg_set(em, ERR_INVALID,
                              "Partition replica lists may not contain duplicate entries: %.*s-%d "
                              "contains multiple entries for %d",
                              BYTES_FMT(s->v[i].topic), s->v[i].partition, id);
        }
    }
    return 0;
}

json_t *reassign_json_of(const struct replica_sets *s)
{
    json_t *root = json_pack("{s:i}", "version", 1);
    json_t *list = json_put_array(root, "partitions");
    for (size_t i = 0; i < s->n; i++) {
        json_t *o = json_add_object(list);
        json_put_text(o, "topic", s->v[i].topic);
        json_put_int(o, "partition", s->v[i].partition);
        json_put_ids(o, "replicas", s->v[i].replicas, s->v[i].replicas_n);
        json_t *dirs = json_put_array(o, "log_dirs");
        for (int32_t k = 0; k < s->v[i].replicas_n; k++) {
            struct bytes dir = s->v[i].dirs ? s->v[i].dirs[k] : BYTES_NULL;
            json_array_append_new(dirs, bytes_is_null(dir)
                                            ? json_string(ANY_DIR)
                                            : json_stringn((const char *)dir.data, dir.len));
        }
    }
    return root;
}
