#include "tools/server_config.h"

#include <stdlib.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/buf.h"
#include "broker/config.h"
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
    char host[256] = "localhost";
    gethostname(host, sizeof host - 1);
    struct sysinfo si;
    struct config_machine m = {
        .hostname = host,
        .processors = (unsigned)sysconf(_SC_NPROCESSORS_ONLN),
        .memory_bytes = sysinfo(&si) == 0 ? (uint64_t)si.totalram * si.mem_unit : 0,
        .tmp_dir = getenv("TMPDIR"),
    };
    int err = 0;
    if (o->file) {
        err = read_file(c, o->file, em);
    } else {
        config_zero(c, o->data, o->port);
    }
    for (size_t i = 0; i < o->overrides_n && err == 0; i++) {
        err = config_add_override(c, o->overrides[i], em);
    }
    if (err == 0) {
        err = config_finish(c, &m, lg, em);
    }
    if (err) {
        config_free(c);
        return NULL;
    }
    return c;
}
