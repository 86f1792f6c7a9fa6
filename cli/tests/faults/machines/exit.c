/* An exit that hangs, as it may where threads hold locks: preloaded, it makes a process that asks for its end by `exit` wait
   for somebody to kill it. */
#include <unistd.h>

void exit(int code) {
    (void)code;
    for (;;) {
        pause();
    }
}
