/* Wall time in s. */
#include <time.h>
static double seconds_now(void) {
  struct timespec t;
  timespec_get(&t, TIME_UTC);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}
