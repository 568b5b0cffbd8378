/* pause: holds a pod's namespaces. It reaps children (with shareProcessNamespace it is PID 1) and ends on TERM or INT. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int signal_number) {
  (void)signal_number;
  _exit(0);
}

static void reap(int signal_number) {
  (void)signal_number;
  while (waitpid(-1, 0, WNOHANG) > 0) {
  }
}

int main(void) {
  struct sigaction on_child = {.sa_handler = reap, .sa_flags = SA_NOCLDSTOP};
  sigaction(SIGCHLD, &on_child, 0);
  signal(SIGTERM, end);
  signal(SIGINT, end);
  for (;;)
    pause();
}
