/* For tests of checkers, which end the process when they find something: a history runs in one of
 * its own, and passes if that ends well. The test has `struct rig` and rig_run(), which makes one,
 * plays the history into its checker and lets the checker judge. */
#ifndef SIM_CHECKERS_PASSES_H
#define SIM_CHECKERS_PASSES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct rig;
static void rig_run(void (*history)(struct rig *rig), bool many);

static bool passes(void (*history)(struct rig *rig), bool many)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        rig_run(history, many);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status) == 0;
}

#endif
