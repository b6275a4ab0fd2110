#include "tools/server_config.h"

#include "base/buf.h"
#include "broker/config.h"
#include "tools/env_config.h"
#include "tools/machine.h"
#include "tools/text.h"

static int read_file(struct config *c, const char *path, struct errmsg *em)
{
    struct buf text = {0};
    int err = tool_read_file(path, &text, em);
    if (err == 0) {
        err = config_add_properties(c, buf_bytes(&text), path, em);
    }
    buf_free(&text);
    return err;
}

struct config *server_config_load(const struct server_options *o, const struct logger *lg,
                                  struct errmsg *em)
{
    struct config *c = config_new();
    struct machine m;
    machine_look(&m);
    int err = 0;
    if (o->file) {
        err = read_file(c, o->file, em);
    } else if (o->environment == NULL) {
        config_zero(c, o->data, o->port);
    }
    if (o->environment && err == 0) {
        env_config_add(c, o->environment, o->file != NULL, lg);
    }
    for (size_t i = 0; i < o->overrides_n && err == 0; i++) {
        err = config_add_override(c, o->overrides[i], em);
    }
    if (err == 0) {
        err = config_finish(c, &m.config, lg, em);
    }
    if (err) {
        if (o->environment) {
            env_config_explain(em);
        }
        config_free(c);
        return NULL;
    }
    return c;
}
