#include "tools/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/properties.h"

int tool_read_file(const char *path, struct buf *out, struct errmsg *em)
{
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    if (f == NULL) {
        return errmsg_set(em, ERR_NOTFOUND, "Unable to read file %s: %s", path, strerror(errno));
    }
    size_t n;
    int err;
    do {
        buf_reserve(out, 65536);
        n = fread(out->data + out->len, 1, 65536, f);
        err = errno; /* of the read that failed, if one did */
        out->len += n;
    } while (n > 0);
    int rv = 0;
    if (ferror(f)) {
        rv = errmsg_set(em, ERR_IO, "Unable to read file %s: %s", path, strerror(err));
    }
    if (f != stdin) {
        fclose(f);
    }
    return rv;
}

int topic_pattern_init(struct topic_pattern *p, const char *text, struct errmsg *em)
{
    p->all = text == NULL;
    if (p->all) {
        return 0;
    }
    struct buf b = {0};
    buf_put_str(&b, "^(");
    for (const char *s = text; *s; s++) {
        if (*s == ',') {
            buf_put_u8(&b, '|');
        } else if (*s != '"' && *s != '\'' && *s != ' ') {
            buf_put_u8(&b, (uint8_t)*s);
        }
    }
    buf_put_str(&b, ")$");
    int rc = regcomp(&p->re, buf_cstr(&b), REG_EXTENDED | REG_NOSUB);
    buf_free(&b);
    return rc ? errmsg_set(em, ERR_INVALID, "%s is an invalid regex.", text) : 0;
}

bool topic_pattern_matches(const struct topic_pattern *p, struct bytes topic)
{
    if (p->all) {
        return true;
    }
    char name[256];
    snprintf(name, sizeof name, "%.*s", BYTES_FMT(topic));
    return regexec(&p->re, name, 0, NULL, 0) == 0;
}

void topic_pattern_free(struct topic_pattern *p)
{
    if (!p->all) {
        regfree(&p->re);
    }
}

bool list_has(const char *list, struct bytes word)
{
    for (const char *at = list;; at++) {
        size_t n = strcspn(at, ",");
        if (n == word.len && memcmp(at, word.data, n) == 0) {
            return true;
        }
        at += n;
        if (*at == 0) {
            return false;
        }
    }
}

void print_ids(const int32_t *ids, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        printf("%s%d", i ? "," : "", ids[i]);
    }
}

static char *trim(char *s)
{
    while (*s == ' ' || *s == '\t') {
        s++;
    }
    size_t n = strlen(s);
    while (n && (s[n - 1] == ' ' || s[n - 1] == '\t')) {
        s[--n] = 0;
    }
    if (n >= 2 && s[0] == '[' && s[n - 1] == ']') {
        s[n - 1] = 0;
        s++;
    }
    return s;
}

int each_pair(const char *text, int (*each)(void *ctx, const char *name, const char *value),
              void *ctx)
{
    char *copy = mem_strdup(text);
    int rv = 0;
    char *at = copy;
    while (rv == 0 && *at) {
        int depth = 0;
        char *end = at;
        while (*end && (depth || *end != ',')) {
            depth += (*end == '[') - (*end == ']');
            end++;
        }
        char *next = *end ? end + 1 : end;
        *end = 0;
        char *eq = strchr(at, '=');
        if (eq) {
            *eq = 0;
        }
        char *name = trim(at);
        if (*name) {
            rv = each(ctx, name, eq ? trim(eq + 1) : NULL);
        }
        at = next;
    }
    mem_free(copy);
    return rv;
}

struct pairs {
    char **v;
    size_t n;
};

static int add_pair(void *ctx, const char *key, const char *value, unsigned line)
{
    struct pairs *p = ctx;
    struct buf text = {0};
    UNUSED(line);
    buf_printf(&text, "%s=%s", key, value);
    p->v = mem_realloc(p->v, (p->n + 2) * sizeof *p->v);
    p->v[p->n++] = mem_strdup(buf_cstr(&text));
    p->v[p->n] = NULL;
    buf_free(&text);
    return 0;
}

int pairs_read(const char *path, char ***out, struct errmsg *em)
{
    struct buf text = {0};
    struct pairs p = {.v = mem_zalloc(sizeof *p.v)};
    int rv = tool_read_file(path, &text, em);
    rv = rv ? rv : properties_parse(buf_bytes(&text), add_pair, &p, em);
    if (rv) {
        pairs_free(p.v);
        p.v = NULL;
    }
    buf_free(&text);
    *out = p.v;
    return rv;
}

void pairs_free(char **pairs)
{
    for (size_t i = 0; pairs && pairs[i]; i++) {
        mem_free(pairs[i]);
    }
    mem_free(pairs);
}
