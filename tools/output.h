/* Standard output, which has to be there in the end: a tool whose lines a full disk did not take
 * has not done what it was asked for, whatever else it did. As GNU's tools have it: one sentence
 * and a status that is not 0; a reader that went away (`| head`) ends the tool by SIGPIPE, without
 * a word. */
#ifndef TOOLS_OUTPUT_H
#define TOOLS_OUTPUT_H

#include <stdbool.h>

/* Before anything is opened: a standard stream that is closed (`>&-`) is not to become a socket or
 * a file of the tool's. What is printed to it fails. */
void output_init(void);
/* What was printed so far goes out; false: something could not be written. */
bool output_flush(void);
/* The last word about standard output, which is closed: says on standard error what could not be
 * written. The exit status: `status`, but never 0 then. */
int output_end(const char *tool, int status);

#endif
