/* Every setting of a broker, from the tables that the server's own are made of (broker.tsv: what
 * Kafka's classes say; millrace.tsv: ours), read here on their own: each name is known and says so
 * if it is not used, takes its default, and refuses what its type or its range forbids with a
 * sentence that names setting, value and what is allowed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "broker/config.h"

enum { ROWS_MAX = 600, TEXT_MAX = 128 << 10, BAD_MAX = 16, VALUE_MAX = 128 };

struct row {
    const char *name;
    const char *type;
    const char *def;
    const char *valid;
    bool sensitive;
};

struct table {
    char text[TEXT_MAX];
    struct row rows[ROWS_MAX];
    size_t n;
};

static void read_table(struct table *t, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/../../broker/configs/%s", TEST_DATA, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(t->text, 1, TEXT_MAX - 1, f);
    fclose(f);
    assert_true(n > 0 && n < TEXT_MAX - 1);
    t->text[n] = 0;
    t->n = 0;
    char *rest = t->text;
    char *line;
    while ((line = strsep(&rest, "\n")) != NULL) {
        char *cell[7];
        if (line[0] == 0 || line[0] == '#') {
            continue;
        }
        for (int i = 0; i < 7; i++) {
            cell[i] = strsep(&line, "\t");
            assert_non_null(cell[i]);
        }
        assert_true(t->n < ROWS_MAX);
        t->rows[t->n++] =
            (struct row){cell[0], cell[1], cell[2], cell[3], strcmp(cell[5], "yes") == 0};
    }
}

static int64_t no_clock(void *ctx)
{
    (void)ctx;
    return 0;
}

static void to_buf(void *ctx, enum log_level level, const char *line, size_t len)
{
    (void)level;
    buf_put(ctx, line, len);
}

/* A node with one setting over a sound configuration. */
static int load(const char *name, const char *value, struct buf *log, struct errmsg *em)
{
    static const char base[] = "process.roles=broker,controller\nnode.id=1\n"
                               "controller.quorum.voters=1@localhost:9093\n"
                               "controller.listener.names=CONTROLLER\n"
                               "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n";
    const struct config_machine machine = {"box.example", 4, (uint64_t)8 << 30, "/tmp"};
    struct logger lg = {LOG_INFO, no_clock, to_buf, log};
    struct config *c = config_new();
    struct buf text = {0};
    buf_put_str(&text, base);
    assert_int_equal(config_add_properties(c, buf_bytes(&text), "sound", em), 0);
    buf_clear(&text);
    buf_printf(&text, "%s=%s", name, value);
    assert_int_equal(config_add_override(c, buf_cstr(&text), em), 0);
    int rc = config_finish(c, &machine, &lg, em);
    buf_free(&text);
    config_free(c);
    return rc;
}

/* Defaults that a node with both roles cannot have: it needs a listener for the controller, and
 * voters. */
static bool default_is_not_enough(const char *name)
{
    return strcmp(name, "listeners") == 0 || strcmp(name, "controller.quorum.voters") == 0 ||
           strcmp(name, "listener.security.protocol.map") == 0;
}

static void check_known(const struct row *r)
{
    struct errmsg em = {{0}};
    struct buf log = {0};
    const struct config_def *d = config_find(&config_broker_table, bytes_str(r->name));
    bool text = r->def[0] != '<' || strcmp(r->def, "<empty>") == 0;
    char mine[256];
    assert_non_null(d);
    if (text && !default_is_not_enough(r->name)) {
        if (load(r->name, r->def[0] == '<' ? "" : r->def, &log, &em)) {
            fail_msg("%s", em.text);
        }
        snprintf(mine, sizeof mine, "name=%s at=--override", r->name);
        const char *said = buf_cstr(&log);
        assert_null(strstr(said, "unknown"));
        if ((strstr(said, mine) != NULL) != (d->served != CONFIG_SERVED)) {
            fail_msg("%s: served %d, and said: %s", r->name, d->served, said);
        }
        assert_true((strstr(said, "this version does not use") != NULL) ==
                    (d->served == CONFIG_NOT_YET));
    }
    buf_free(&log);
}

/* ---- bad values ---- */

struct values {
    char v[BAD_MAX][VALUE_MAX];
    size_t n;
};

static void add(struct values *b, const char *fmt, ...)
{
    va_list ap;
    assert_true(b->n < BAD_MAX);
    va_start(ap, fmt);
    vsnprintf(b->v[b->n++], VALUE_MAX, fmt, ap);
    va_end(ap);
}

static void bad_for_type(struct values *b, const char *type)
{
    if (strcmp(type, "boolean") == 0) {
        add(b, "maybe");
        add(b, "1");
    } else if (strcmp(type, "int") == 0 || strcmp(type, "short") == 0) {
        bool is_int = type[0] == 'i';
        add(b, "x");
        add(b, "1.5");
        add(b, is_int ? "2147483648" : "32768");
        add(b, is_int ? "-2147483649" : "-32769");
    } else if (strcmp(type, "long") == 0) {
        add(b, "1e3");
        add(b, "9223372036854775808");
    } else if (strcmp(type, "double") == 0) {
        add(b, "half");
    }
    bool text = strcmp(type, "string") == 0 || strcmp(type, "class") == 0 ||
                strcmp(type, "list") == 0 || strcmp(type, "password") == 0;
    if (!text) {
        add(b, "%s", "");
    }
}

static bool is_integer(const char *type)
{
    return strcmp(type, "int") == 0 || strcmp(type, "long") == 0 || strcmp(type, "short") == 0;
}

/* [least,...] or [least,...,most] */
static void bad_for_range(struct values *b, const struct row *r)
{
    char *end;
    const char *dots = strstr(r->valid, ",...");
    if (r->valid[0] != '[' || dots == NULL) {
        return;
    }
    double least = strtod(r->valid + 1, &end);
    assert_ptr_equal(end, dots);
    add(b, is_integer(r->type) ? "%.0f" : "%f", least - 1);
    if (dots[4] == ',') {
        double most = strtod(dots + 5, &end);
        assert_int_equal(*end, ']');
        add(b, is_integer(r->type) ? "%.0f" : "%f", most + 1);
    }
}

static void bad_for_choice(struct values *b, const struct row *r)
{
    bool any_case = strncmp(r->valid, "(case insensitive) [", 20) == 0;
    const char *first = strchr(r->valid, '[');
    bool choice = (first == r->valid || any_case) && !strstr(r->valid, "...");
    if (!choice) {
        return;
    }
    size_t n = strcspn(++first, ",]");
    add(b, "no-such-choice");
    if (strcmp(r->type, "list") == 0) {
        add(b, "%.*s,no-such-choice", (int)n, first);
        add(b, ",");
    } else if (!any_case) {
        char other[VALUE_MAX];
        snprintf(other, sizeof other, "%.*s", (int)n, first);
        other[0] ^= 0x20;
        add(b, "%s", other);
    }
}

static void check_refused(const struct row *r, const char *value)
{
    struct errmsg em = {{0}};
    struct buf log = {0};
    int rc = load(r->name, value, &log, &em);
    if (rc != ERR_INVALID) {
        fail_msg("%s=%s: accepted", r->name, value);
    }
    char name_and_value[512];
    snprintf(name_and_value, sizeof name_and_value, r->sensitive ? "%s: the value" : "%s=%s ",
             r->name, value);
    const char *allowed = strstr(em.text, "allowed: ");
    if (strncmp(em.text, name_and_value, strlen(name_and_value)) != 0 || allowed == NULL ||
        strstr(em.text, "(--override)") == NULL) {
        fail_msg("%s=%s: %s", r->name, value, em.text);
    }
    if (strstr(r->valid, ",...") != NULL) { /* the sentence names the limits */
        char limit[64];
        snprintf(limit, sizeof limit, "%.*s", (int)strcspn(r->valid + 1, ","), r->valid + 1);
        assert_non_null(strstr(allowed, limit));
        const char *most = strstr(r->valid, ",...,");
        if (most) {
            snprintf(limit, sizeof limit, "%.*s", (int)strcspn(most + 5, "]"), most + 5);
            assert_non_null(strstr(allowed, limit));
        }
    }
    buf_free(&log);
}

static size_t check_bad(const struct row *r)
{
    struct values b = {.n = 0};
    bad_for_type(&b, r->type);
    bad_for_range(&b, r);
    bad_for_choice(&b, r);
    if (strcmp(r->valid, "non-empty string") == 0) {
        add(&b, "%s", "");
    }
    for (size_t i = 0; i < b.n; i++) {
        check_refused(r, b.v[i]);
    }
    return b.n;
}

static void check_table(const char *name, size_t least_rows, size_t least_bad)
{
    struct table *t = MEM_NEW(struct table);
    size_t bad = 0;
    read_table(t, name);
    assert_true(t->n >= least_rows);
    for (size_t i = 0; i < t->n; i++) {
        check_known(&t->rows[i]);
        bad += check_bad(&t->rows[i]);
    }
    assert_true(bad >= least_bad);
    mem_free(t);
}

static void every_setting_of_kafka(void **state)
{
    (void)state;
    check_table("broker.tsv", 360, 1000);
}

static void every_setting_of_millrace(void **state)
{
    (void)state;
    check_table("millrace.tsv", 12, 40);
}

static void an_unknown_name_warns(void **state)
{
    struct errmsg em = {{0}};
    struct buf log = {0};
    (void)state;
    assert_int_equal(load("log.retention.mss", "1", &log, &em), 0);
    assert_non_null(strstr(buf_cstr(&log), "WARN"));
    assert_non_null(strstr(buf_cstr(&log), "an unknown setting, ignored name=log.retention.mss "
                                           "at=--override"));
    buf_free(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_setting_of_kafka),
        cmocka_unit_test(every_setting_of_millrace),
        cmocka_unit_test(an_unknown_name_warns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
