/* The process and its disks: asked of the system by the monitor's own io. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/config.h"
#include "broker/monitor/metrics.h"
#include "broker/monitor/monitor_private.h"

enum { PROC_BYTES = 4096 };

/* A file of /proc, which has no size of its own. "" if it cannot be read. */
static const char *read_proc(struct io *io, const char *path, char buf[PROC_BYTES])
{
    struct io_file *f;
    buf[0] = '\0';
    if (io_open(io, path, IO_OPEN_READ, &f) == 0) {
        int64_t n = io_pread(f, buf, PROC_BYTES - 1, 0);
        buf[n > 0 ? n : 0] = '\0';
        io_file_close(f);
    }
    return buf;
}

/* The number behind a word. */
static double number_after(const char *text, const char *word)
{
    const char *at = strstr(text, word);
    return at ? strtod(at + strlen(word), NULL) : 0;
}

static double cpu_seconds(struct io *io)
{
    char buf[PROC_BYTES];
    unsigned long long user = 0, kernel = 0;
    const char *at = strrchr(read_proc(io, "/proc/self/stat", buf), ')'); /* behind the name */
    if (at == NULL || sscanf(at, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
                             &kernel) != 2) {
        return 0;
    }
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

static void count_entry(void *ctx, const struct io_dirent *e)
{
    UNUSED(e);
    ++*(unsigned *)ctx;
}

/* Since Linux 6.2 the folder's size is their number; else they are counted one by one, which with
 * thousands of them takes longer than all the rest of /metrics. */
static unsigned open_fds(struct io *io)
{
    static const char path[] = "/proc/self/fd";
    struct io_stat st;
    unsigned n = 0;
    if (io_stat(io, path, &st) == 0 && st.size > 0) {
        return (unsigned)st.size;
    }
    (void)io_list_dir(io, path, count_entry, &n);
    return n;
}

static void put_disks(struct metrics *m)
{
    struct metrics_text *t = &m->text;
    const struct config *c = m->node->config;
    struct io *io = monitor_shard(m->monitor)->io;
    uint64_t total[CONFIG_LOG_DIRS_MAX], usable[CONFIG_LOG_DIRS_MAX], failed = 0;
    struct buf labels[CONFIG_LOG_DIRS_MAX] = {0}, own[CONFIG_LOG_DIRS_MAX] = {0};
    for (size_t d = 0; d < c->log_dirs_n; d++) {
        metric_label(&labels[d], "logDirectory", bytes_str(c->log_dirs[d])); /* Kafka's word */
        metric_label(&own[d], "log_dir", bytes_str(c->log_dirs[d]));
        if (io_disk_space(io, c->log_dirs[d], &total[d], &usable[d])) {
            total[d] = usable[d] = 0;
        }
    }
    failed = m->main ? m->main->failed_dirs : 0;
    metric_one(t, "kafka_log_logmanager_offlinelogdirectorycount", "gauge",
               "Log directories that cannot be used.", __builtin_popcountll(failed));
    metric_family(t, "kafka_log_logmanager_logdirectoryoffline", "gauge",
                  "1: the log directory cannot be used until the node starts anew.");
    for (size_t d = 0; d < c->log_dirs_n; d++) {
        metric_u64(t, buf_bytes(&labels[d]), failed >> d & 1);
    }
    metric_family(t, "millrace_log_dir_size_bytes", "gauge",
                  "Size of the file system of the log directory.");
    for (size_t d = 0; d < c->log_dirs_n; d++) {
        metric_u64(t, buf_bytes(&own[d]), total[d]);
    }
    metric_family(t, "millrace_log_dir_usable_bytes", "gauge", "Room that is left there.");
    for (size_t d = 0; d < c->log_dirs_n; d++) {
        metric_u64(t, buf_bytes(&own[d]), usable[d]);
        buf_free(&labels[d]);
        buf_free(&own[d]);
    }
}

void metrics_put_process(struct metrics *m)
{
    struct metrics_text *t = &m->text;
    struct io *io = monitor_shard(m->monitor)->io;
    char buf[PROC_BYTES];
    struct buf labels = {0};
    put_disks(m);
    metric_one(t, "process_cpu_seconds_total", "counter", "Processor time, of user and system.",
               cpu_seconds(io));
    read_proc(io, "/proc/self/status", buf);
    metric_one(t, "process_resident_memory_bytes", "gauge", "Memory in use.",
               1024 * number_after(buf, "VmRSS:"));
    metric_one(t, "process_virtual_memory_bytes", "gauge", "Addresses in use.",
               1024 * number_after(buf, "VmSize:"));
    metric_one(t, "process_threads", "gauge", "Threads.", number_after(buf, "Threads:"));
    read_proc(io, "/proc/self/limits", buf);
    metric_one(t, "process_max_fds", "gauge", "Most file descriptors that may be open.",
               number_after(buf, "Max open files"));
    metric_one(t, "process_open_fds", "gauge", "Open file descriptors.", open_fds(io));
    metric_one(t, "process_start_time_seconds", "gauge", "When the node started, since 1970.",
               (double)m->monitor->began_ms / 1000);
    metric_family(t, "millrace_build_info", "gauge", "The version; the value is always 1.");
    metric_label(&labels, "version", bytes_str(MILLRACE_VERSION));
    metric_u64(t, buf_bytes(&labels), 1);
    buf_free(&labels);
}
