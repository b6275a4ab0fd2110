/* millrace simulate: runs this release's code in the simulator, by seed. The simulator is a program
 * of its own (libexec/millrace/millrace-simulate, beside bin): a node does not carry it. A report
 * that names a seed is seen again with it, to the byte, by whoever has the same release.
 *
 * Failure modes: the program is not installed; this one says where it was looked for. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/tool.h"

enum { PATH_BYTES = 4096 };

static const char help[] =
    "millrace simulate: whole nodes and clusters in one process, on virtual time, network and "
    "disks\n"
    "\n"
    "Examples:\n"
    "  millrace simulate --seed 431                        every scenario with this seed\n"
    "  millrace simulate --seed 431 --scenario cluster --verbose\n"
    "                                                      one, told in full\n"
    "  millrace simulate --seeds 1-1000 --scenario quorum  many\n"
    "\n"
    "Options:\n"
    "  --seed N, --seeds A-B  which runs: a seed decides all that happens in one\n"
    "  --scenario NAME        storage, node, sweep, moves, groups, coordinator, quorum,\n"
    "                         cluster or plays\n"
    "  --step N               only every N-th of the seeds\n"
    "  --jobs N               so many at once (as many as there are processors)\n"
    "  --seconds N            a run that takes longer counts as hanging (300)\n"
    "  --verbose              every call that changed anything, and the log at debug level\n"
    "  --help                 this text\n"
    "\n"
    "Ends with `N passed, N failed`; the exit status is 1 when a run failed.\n";

/* The simulator beside this program: as installed (bin, libexec), or as built. */
static int run_at(const char *dir, const char *place, char **argv)
{
    char path[2 * PATH_BYTES];
    snprintf(path, sizeof(path), "%s/%s/millrace-simulate", dir, place);
    execv(path, argv);
    return errno;
}

int tool_simulate(int argc, char **argv)
{
    static const char *const places[] = {"../libexec/millrace", "libexec/millrace"};
    char dir[PATH_BYTES];
    int err = ENOENT;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(help, stdout);
            return 0;
        }
    }
    ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);
    dir[n > 0 ? n : 0] = 0;
    char *slash = strrchr(dir, '/');
    if (slash != NULL) {
        *slash = 0;
    }
    for (size_t i = 0; err == ENOENT && i < sizeof(places) / sizeof(places[0]); i++) {
        err = run_at(dir, places[i], argv);
    }
    fprintf(stderr,
            "%s: the simulator cannot be run: %s/../libexec/millrace/millrace-simulate: %s\n",
            argv[0], dir, strerror(err));
    return 2;
}
